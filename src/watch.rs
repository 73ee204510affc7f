//! What goes on in a source's folder: the walk over it, and hints of what has changed.

pub mod hints;

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Levels of folders below a source that are walked.
pub const DEPTH: usize = 64;
/// Why a folder is passed over; whatever it is called, there may be content in it.
pub const TOO_DEEP: &str = "more than 64 folders deep";

/// What the walk met.
#[derive(Debug)]
pub enum Met {
    /// A regular file.
    File {
        /// Its path below the folder.
        path: PathBuf,
        /// Its state.
        metadata: Metadata,
    },
    /// A thing that is passed over: a link, a pipe, a device, a folder too deep.
    Passed {
        /// Its path below the folder.
        path: PathBuf,
        /// Why: lower case, no final stop.
        why: &'static str,
    },
    /// A folder or file that cannot be looked at; what is below it is not known to be gone.
    Closed {
        /// Its path below the folder.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
}

/// Walks a folder in the order of names. No link is followed; hidden files and folders, and what
/// editors and copying tools leave for a moment, are not content and are not named.
pub fn walk(root: &Path) -> impl Iterator<Item = Met> {
    walk_from(root, root, 0)
}

/// Walks only the file or folder at `path` below a folder, as the whole walk would meet it.
pub fn walk_below(root: &Path, path: &Path) -> impl Iterator<Item = Met> {
    let is_named = path
        .components()
        .all(|part| !is_left_over(part.as_os_str().as_encoded_bytes()));
    // A link on the way is not followed either.
    let mut folders = path
        .ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty());
    let is_direct = folders
        .all(|folder| std::fs::symlink_metadata(root.join(folder)).is_ok_and(|m| m.is_dir()));
    let depth = path.components().count();
    let met = (is_named && is_direct).then(|| walk_from(root, &root.join(path), depth));
    met.into_iter().flatten()
}

/// Walks what stands at `start`, `depth` levels below `root`.
fn walk_from(root: &Path, start: &Path, depth: usize) -> impl Iterator<Item = Met> + use<> {
    let below = root.to_owned();
    let walk = WalkDir::new(start)
        .follow_root_links(depth == 0)
        .min_depth(usize::from(depth == 0))
        .max_depth((DEPTH + 1).saturating_sub(depth))
        .sort_by_file_name()
        .into_iter();
    walk.filter_entry(move |entry| {
        entry.depth() == 0 || !is_left_over(entry.file_name().as_encoded_bytes())
    })
    .filter_map(move |step| {
        let relative = |path: &Path| path.strip_prefix(&below).unwrap_or(path).to_owned();
        match step {
            Ok(entry) => {
                let (kind, path) = (entry.file_type(), relative(entry.path()));
                if kind.is_dir() {
                    let why = TOO_DEEP;
                    return (depth + entry.depth() > DEPTH).then_some(Met::Passed { path, why });
                }
                if kind.is_symlink() {
                    return Some(Met::Passed {
                        path,
                        why: "a symbolic link is not followed",
                    });
                }
                if !kind.is_file() {
                    return Some(Met::Passed {
                        path,
                        why: "not a regular file",
                    });
                }
                match entry.metadata() {
                    Ok(metadata) => Some(Met::File { path, metadata }),
                    Err(error) => closed(&error, path),
                }
            }
            Err(error) => {
                let path = error.path().map(relative).unwrap_or_default();
                closed(&error, path)
            }
        }
    })
}

/// Hidden files below a folder, at any depth that is walked, whose name is one of these.
pub fn left_over(root: &Path, is_one: impl Fn(&[u8]) -> bool) -> Vec<PathBuf> {
    let walk = WalkDir::new(root)
        .min_depth(1)
        .max_depth(DEPTH + 1)
        .into_iter();
    let is_ours = |entry: &walkdir::DirEntry| {
        entry.file_type().is_file() || !is_left_over(entry.file_name().as_encoded_bytes())
    };
    walk.filter_entry(is_ours)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file() && is_one(entry.file_name().as_encoded_bytes()))
        .filter_map(|entry| Some(entry.path().strip_prefix(root).ok()?.to_owned()))
        .collect()
}

/// What went away between its listing and the look at it is simply gone.
fn closed(error: &walkdir::Error, path: PathBuf) -> Option<Met> {
    let kind = error.io_error().map(std::io::Error::kind);
    let error = error
        .io_error()
        .map_or_else(|| error.to_string(), ToString::to_string);
    (kind != Some(std::io::ErrorKind::NotFound)).then_some(Met::Closed { path, error })
}

/// Hidden files, and the names that vim, Emacs, rsync and Syncthing use for copies.
fn is_left_over(name: &[u8]) -> bool {
    name.starts_with(b".") || name.ends_with(b"~") || name == b"4913" || name.starts_with(b"#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_left_overs_are_no_content() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        for file in ["a/b/x.md", "a/.hidden.md", "a/x.md~", "4913", "y.md"] {
            std::fs::write(at(file), "").unwrap();
        }
        std::os::unix::fs::symlink(at("y.md"), at("link.md")).unwrap();
        std::os::unix::fs::symlink(folder.path(), at("a/loop")).unwrap();
        let met: Vec<String> = walk(folder.path())
            .map(|met| match met {
                Met::File { path, .. } => path.display().to_string(),
                Met::Passed { path, why } => format!("{}: {why}", path.display()),
                Met::Closed { path, .. } => format!("{}: closed", path.display()),
            })
            .collect();
        let link = "a symbolic link is not followed";
        let expected = [
            "a/b/x.md",
            &format!("a/loop: {link}"),
            &format!("link.md: {link}"),
            "y.md",
        ];
        assert_eq!(met, expected);
    }
}
