//! Whether git is at work on a folder.
//!
//! Only the innermost work tree that holds the file counts, searched from the file's folder up to
//! the root of the file system, since content is often a folder of a repository. What has been left
//! by a git that was killed counts too: `status` names it, and whoever removes it ends the waiting.

use crate::record::shown;
use std::path::{Path, PathBuf};

/// What stands in git's folder while it is at work, or waits for a person in the middle of it.
const SIGNS: [&str; 6] = [
    "index.lock",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
];

/// What git is at, in the work tree that holds a file of a source.
pub(super) fn at_work(source: &Path, file: &Path) -> Option<String> {
    let source = source.canonicalize().ok()?;
    let file = source.join(file);
    let git = file.ancestors().skip(1).find_map(git_folder)?;
    let sign = SIGNS
        .iter()
        .map(|sign| git.join(sign))
        .find(|sign| sign.symlink_metadata().is_ok())?;
    let sign = shown::line(&sign.to_string_lossy(), 200);
    Some(format!("git is at work in its folder: `{sign}` stands"))
}

/// Git's folder of a work tree: `.git`, or what a file of that name points to.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let git = folder.join(".git");
    let metadata = git.metadata().ok()?;
    if metadata.is_dir() {
        return Some(git);
    }
    if !metadata.is_file() || metadata.len() > 64 * 1024 {
        return None;
    }
    let text = std::fs::read_to_string(&git).ok()?;
    Some(folder.join(text.strip_prefix("gitdir:")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_innermost_work_tree_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("site/.git")).unwrap();
        fs::create_dir_all(at("site/content/in/module")).unwrap();
        fs::create_dir_all(at("elsewhere")).unwrap();
        let busy = |file: &str| at_work(&at("site/content"), Path::new(file));
        assert_eq!(busy("in/a.md"), None);
        for sign in SIGNS {
            fs::write(at("site/.git").join(sign), "").unwrap();
            let why = busy("in/a.md").unwrap();
            assert!(why.contains(sign), "{why}");
            fs::remove_file(at("site/.git").join(sign)).unwrap();
        }
        assert_eq!(busy("in/a.md"), None);
        fs::write(at("site/.git/index.lock"), "").unwrap();
        let linked = "gitdir: ../../../../elsewhere\n";
        fs::write(at("site/content/in/module/.git"), linked).unwrap();
        assert_eq!(busy("in/module/a.md"), None);
        fs::create_dir(at("elsewhere/rebase-merge")).unwrap();
        assert!(busy("in/module/a.md").unwrap().contains("rebase-merge"));
    }
}
