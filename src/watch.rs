//! What goes on in a source's folder: the walk over it, and hints of what has changed.

pub mod hints;

use crate::record::file::Stat;
use crate::record::location::Location;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Levels of folders below a source that are walked.
pub const DEPTH: usize = 64;
/// Why a folder is passed over; whatever it is called, there may be content in it.
pub const TOO_DEEP: &str = "more than 64 folders deep";

/// How a folder is opened; [`BELOW`] those on the way, which may be no links.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const BELOW: OFlags = FOLDER.union(OFlags::NOFOLLOW);

/// What the walk met.
#[derive(Debug)]
pub enum Met {
    /// A regular file.
    File {
        /// Its path below the folder.
        path: PathBuf,
        /// Its state.
        stat: Stat,
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

/// Walks a folder, its files in the order of their [`Location`]s. No link is followed; hidden files
/// and folders, and what editors and copying tools leave for a moment, are not content and are not
/// named.
pub fn walk(root: &Path) -> impl Iterator<Item = Met> + use<> {
    whole(root)
}

/// Walks only the file or folder at `path` below a folder, as the whole walk would meet it.
pub fn walk_below(root: &Path, path: &Path) -> impl Iterator<Item = Met> + use<> {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return whole(root);
    };
    let is_named = path
        .components()
        .all(|part| !is_left_over(part.as_os_str().as_encoded_bytes()));
    if !is_named {
        return Walk::default();
    }
    let mut opened = rustix::fs::open(root, FOLDER, Mode::empty());
    for part in folder {
        // A link on the way is not followed either.
        opened = opened.and_then(|above| rustix::fs::openat(above, part, BELOW, Mode::empty()));
    }
    let levels = opened.and_then(|folder| Level::only(folder, name));
    Walk {
        levels: levels.into_iter().collect(),
        above: folder.components().count(),
        below: folder.to_owned(),
        closed: None,
    }
}

fn whole(root: &Path) -> Walk {
    let opened = rustix::fs::open(root, FOLDER, Mode::empty());
    match opened.and_then(Level::list) {
        Ok(level) => Walk {
            levels: vec![level],
            ..Walk::default()
        },
        Err(errno) => Walk {
            closed: closed(errno, PathBuf::new()),
            ..Walk::default()
        },
    }
}

/// Hidden files below a folder, at any depth that is walked, whose name is one of these.
pub fn left_over(root: &Path, is_one: impl Fn(&[u8]) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = folders.pop() {
        let opened = rustix::fs::open(root.join(&below), FOLDER, Mode::empty());
        let Ok(entries) = opened.and_then(|folder| entries(&folder)) else {
            continue;
        };
        for entry in entries {
            let name = entry.name.as_bytes();
            let path = || below.join(OsStr::from_bytes(name));
            match entry.kind {
                FileType::Directory if depth < DEPTH && !is_left_over(name) => {
                    folders.push((path(), depth + 1));
                }
                FileType::RegularFile if is_one(name) => found.push(path()),
                _ => {}
            }
        }
    }
    found
}

/// A name in a folder, and what stands there.
struct Entry {
    name: CString,
    kind: FileType,
}

impl Entry {
    /// By the text of their locations: what a folder holds comes where `folder/` does.
    fn order(&self, other: &Self) -> Ordering {
        let slash = |entry: &Self| (entry.kind == FileType::Directory).then_some(b'/');
        let (first, second) = (self.name.as_bytes(), other.name.as_bytes());
        let (slash_first, slash_second) = (slash(self), slash(other));
        if first.is_ascii()
            && second.is_ascii()
            && !first.contains(&b'\\')
            && !second.contains(&b'\\')
        {
            let first = first.iter().copied().chain(slash_first);
            return first.cmp(second.iter().copied().chain(slash_second));
        }
        let text = |name: &[u8]| Location::of(Path::new(OsStr::from_bytes(name)));
        let (first, second) = (text(first), text(second));
        let first = first.as_str().bytes().chain(slash_first);
        first.cmp(second.as_str().bytes().chain(slash_second))
    }
}

/// What a folder holds, in the order of the system.
fn entries(folder: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => {
                match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(errno),
                }
            }
            kind => kind,
        };
        let name = name.to_owned();
        entries.push(Entry { name, kind });
    }
    Ok(entries)
}

/// A folder on the way down, and what of it is still to be met.
struct Level {
    folder: OwnedFd,
    rest: std::vec::IntoIter<Entry>,
}

impl Level {
    fn list(folder: OwnedFd) -> Result<Self, Errno> {
        let mut entries = entries(&folder)?;
        entries.retain(|entry| !is_left_over(entry.name.as_bytes()));
        entries.sort_by(Entry::order);
        let rest = entries.into_iter();
        Ok(Self { folder, rest })
    }

    fn only(folder: OwnedFd, name: &OsStr) -> Result<Self, Errno> {
        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        let rest = vec![Entry { name, kind }].into_iter();
        Ok(Self { folder, rest })
    }
}

#[derive(Default)]
struct Walk {
    levels: Vec<Level>,
    /// The folder of the last level, below the root.
    below: PathBuf,
    /// The levels above the first one.
    above: usize,
    /// The first folder cannot be looked at.
    closed: Option<Met>,
}

impl Walk {
    fn meet(&mut self, entry: &Entry) -> Option<Met> {
        let level = self.levels.last()?;
        let path = self.below.join(OsStr::from_bytes(entry.name.as_bytes()));
        match entry.kind {
            FileType::RegularFile => {
                match rustix::fs::statat(&level.folder, &entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                    // Something else may stand there by now.
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                        let stat = stat.into();
                        Some(Met::File { path, stat })
                    }
                    Ok(_) => None,
                    Err(errno) => closed(errno, path),
                }
            }
            FileType::Directory if self.above + self.levels.len() > DEPTH => {
                let why = TOO_DEEP;
                Some(Met::Passed { path, why })
            }
            FileType::Directory => {
                let opened =
                    rustix::fs::openat(level.folder.as_fd(), &entry.name, BELOW, Mode::empty());
                match opened.and_then(Level::list) {
                    Ok(level) => {
                        self.levels.push(level);
                        self.below = path;
                        None
                    }
                    Err(errno) => closed(errno, path),
                }
            }
            FileType::Symlink => {
                let why = "a symbolic link is not followed";
                Some(Met::Passed { path, why })
            }
            _ => {
                let why = "not a regular file";
                Some(Met::Passed { path, why })
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Met;

    fn next(&mut self) -> Option<Met> {
        if let Some(closed) = self.closed.take() {
            return Some(closed);
        }
        loop {
            match self.levels.last_mut()?.rest.next() {
                Some(entry) => {
                    if let Some(met) = self.meet(&entry) {
                        return Some(met);
                    }
                }
                None => {
                    self.levels.pop();
                    self.below.pop();
                }
            }
        }
    }
}

/// What went away between its listing and the look at it, or is a link or a file by now, is simply
/// gone.
fn closed(errno: Errno, path: PathBuf) -> Option<Met> {
    let is_gone = matches!(errno, Errno::NOENT | Errno::LOOP | Errno::NOTDIR);
    let error = std::io::Error::from(errno).to_string();
    (!is_gone).then_some(Met::Closed { path, error })
}

/// Hidden files, and the names that vim, Emacs, rsync and Syncthing use for copies.
fn is_left_over(name: &[u8]) -> bool {
    name.starts_with(b".") || name.ends_with(b"~") || name == b"4913" || name.starts_with(b"#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_locations() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            &b"a/b.md"[..],
            b"a-b.md",
            b"a.md",
            b"a/b/c.md",
            b"a\\b.md",
            b"a\\/x.md",
            b"a\xff.md",
            b"a\xc3\xa9/z.md",
            b"ab.md",
            b"[.md",
            b"].md",
        ] {
            let path = folder.path().join(Path::new(OsStr::from_bytes(name)));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let met: Vec<Location> = walk(folder.path())
            .map(|met| match met {
                Met::File { path, .. } => Location::of(&path),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(met.len(), 11);
        assert!(met.is_sorted(), "{met:?}");
    }

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
