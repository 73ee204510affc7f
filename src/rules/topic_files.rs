//! Where a feed keeps its own topic files: a path or a pattern, which may match other files later.

use globset::{GlobBuilder, GlobMatcher};
use std::path::{Component, Path, PathBuf};
use walkdir::WalkDir;

/// How deep `**` looks.
const DEEPEST: usize = 16;

/// A path of a file, or a pattern of paths: `*` stops at a slash, `**` does not.
#[derive(Clone, Debug)]
pub struct Pattern {
    folder: PathBuf,
    below: GlobMatcher,
    depth: usize,
}

impl Pattern {
    /// Reads a pattern that is relative to a folder.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn new(folder: &Path, written: &str) -> Result<Self, String> {
        let is_plain = |part: &Component<'_>| {
            let text = part.as_os_str().to_string_lossy();
            !text.contains(['*', '?', '[', ']', '{', '}', '\\'])
        };
        let parts: Vec<Component<'_>> = Path::new(written).components().collect();
        let plain = parts.iter().take_while(|part| is_plain(part)).count();
        // The last part names files, whether it is a pattern or not.
        let (above, below) = parts.split_at(plain.min(parts.len().saturating_sub(1)));
        let text: PathBuf = below.iter().collect();
        let text = text.to_string_lossy();
        let glob = GlobBuilder::new(&text).literal_separator(true).build();
        let depth = if text.contains("**") {
            DEEPEST
        } else {
            below.len()
        };
        Ok(Self {
            folder: folder.join(above.iter().collect::<PathBuf>()),
            below: glob
                .map_err(|error| error.kind().to_string())?
                .compile_matcher(),
            depth,
        })
    }

    /// The files that match now, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let walk = WalkDir::new(&self.folder)
            .min_depth(1)
            .max_depth(self.depth)
            .sort_by_file_name();
        walk.into_iter()
            .filter_map(Result::ok)
            .map(walkdir::DirEntry::into_path)
            .filter(|path| {
                let below = path.strip_prefix(&self.folder);
                below.is_ok_and(|below| self.below.is_match(below)) && path.is_file()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_pattern_is_relative_and_stops_at_slashes() {
        let dir = tempfile::TempDir::new().unwrap();
        for name in ["rules", "data/topics/deep"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for name in ["a.yaml", "b.yaml", "c.txt", "deep/d.yaml"] {
            fs::write(dir.path().join("data/topics").join(name), "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let pattern = Pattern::new(&dir.path().join("rules"), pattern).unwrap();
            let names = pattern
                .files()
                .map(|path| path.file_name().unwrap().to_owned());
            names.map(|name| name.into_string().unwrap()).collect()
        };
        assert_eq!(found("../data/topics/*.yaml"), ["a.yaml", "b.yaml"]);
        assert_eq!(found("../data/topics/b.yaml"), ["b.yaml"]);
        assert_eq!(found("../data/**/*.yaml"), ["a.yaml", "b.yaml", "d.yaml"]);
        assert_eq!(found("../data/*/[bc].*"), ["b.yaml", "c.txt"]);
        assert_eq!(found("../**/topics/*.yaml"), ["a.yaml", "b.yaml"]);
        assert_eq!(found("../data/topics"), Vec::<String>::new());
        assert_eq!(found("../nowhere/*.yaml"), Vec::<String>::new());
        let absolute = dir.path().join("data/topics/*.txt");
        assert_eq!(found(absolute.to_str().unwrap()), ["c.txt"]);
        assert!(Pattern::new(dir.path(), "{a,b").is_err());
    }
}
