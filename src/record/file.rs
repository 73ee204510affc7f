//! The files of a source: opened beneath its folder without following a link, replaced whole, moved
//! to another folder and back.

pub mod replace;
pub mod transfer;

use crate::record::FILE_BYTES;
use crate::record::location::Location;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// How the names of our temporary files begin.
const TEMPORARY: &str = ".copydesk-";
/// How a folder on the way to a file is opened.
const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// How a file is opened: non-blocking, since opening a FIFO would wait for a writer.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// The folder of a source, held open.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
    path: PathBuf,
}

/// What tells, without reading it, that a file has not changed: inode, size, and the times of its
/// last change in nanoseconds. The change time is among them because a copy may set back the
/// modification time (`rsync -t`, `git`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    inode: u64,
    size: u64,
    modified: i64,
    changed: i64,
}

/// A file that was read, and its state while it was read.
#[derive(Debug)]
pub struct Found {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Its state.
    pub stat: Stat,
}

impl Stat {
    /// The state as `stat(2)` gives it.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file changed within the last two seconds of the system's clock, or later: it may
    /// have changed again since and have the same times, which some file systems keep to the second.
    #[must_use]
    pub fn is_recent(self) -> bool {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos());
        u128::try_from(self.changed).is_ok_and(|changed| changed + 2_000_000_000 > now)
    }

    /// The state as bytes, to be stored and compared.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let parts = [
            self.inode.to_le_bytes(),
            self.size.to_le_bytes(),
            self.modified.to_le_bytes(),
            self.changed.to_le_bytes(),
        ];
        for (to, from) in bytes.chunks_exact_mut(8).zip(parts) {
            to.copy_from_slice(&from);
        }
        bytes
    }

    /// How many bytes of the stored state a file keeps when it is renamed: all but its change time.
    pub const THROUGH_RENAMES: usize = 24;

    /// That part of the state.
    #[must_use]
    pub fn through_renames(self) -> [u8; Self::THROUGH_RENAMES] {
        let mut kept = [0; Self::THROUGH_RENAMES];
        kept.copy_from_slice(&self.to_bytes()[..Self::THROUGH_RENAMES]);
        kept
    }
}

impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        let rest = |nanoseconds| i64::try_from(nanoseconds).unwrap_or_default();
        Self {
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: nanoseconds(stat.st_mtime, rest(stat.st_mtime_nsec)),
            changed: nanoseconds(stat.st_ctime, rest(stat.st_ctime_nsec)),
        }
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

impl Folder {
    /// Opens the folder of a source.
    ///
    /// # Errors
    /// When it is absent, no folder, or closed to us.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let root = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Whether this process may create files in the folder.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        rustix::fs::access(&self.path, rustix::fs::Access::WRITE_OK).is_ok()
    }

    /// Reads a file whole, as it stood at one moment.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, location: &Location) -> Result<Found, ReadError> {
        let path = location.to_path();
        if !all_below(&path) {
            return Err(ReadError::Outside);
        }
        for _ in 0..4 {
            let file = self.open_at(&path, FILE)?;
            let before = fstat(&file)?;
            if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
                return Err(ReadError::Special);
            }
            let before = Stat::from(before);
            if before.size > FILE_BYTES {
                return Err(ReadError::TooLarge);
            }
            let bytes = read_whole(&file, usize::try_from(before.size).unwrap_or_default())?;
            let after = Stat::from(fstat(&file)?);
            if before == after && bytes.len() as u64 == after.size {
                return Ok(Found { bytes, stat: after });
            }
        }
        Err(ReadError::Changing)
    }

    /// The state of a file, as it would be read now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn stat(&self, location: &Location) -> Result<Stat, ReadError> {
        let (folder, name) = self.parent(location)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&folder, &name, flags, Mode::empty())?);
        Ok(Stat::of(&file.metadata()?))
    }

    /// Whether this is the name of a new file that is not whole yet: left only if that was cut short.
    #[must_use]
    pub fn is_unfinished(name: &[u8]) -> bool {
        is_ours(name, b".tmp")
    }

    /// Whether this is a name that a replacement exchanges with its file's: what it left may be a
    /// version of upstream's.
    #[must_use]
    pub fn is_displaced(name: &[u8]) -> bool {
        is_ours(name, b".swap")
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn remove(&self, location: &Location) -> Result<(), ReadError> {
        let (folder, name) = self.parent(location)?;
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
    }

    /// Opens the folder that a file stands in, following no link.
    fn parent(&self, location: &Location) -> Result<(OwnedFd, OsString), ReadError> {
        let path = location.to_path();
        let (true, Some(name), Some(folder)) = (all_below(&path), path.file_name(), path.parent())
        else {
            return Err(ReadError::Outside);
        };
        let folder = if folder.as_os_str().is_empty() {
            self.root.try_clone()?
        } else {
            self.open_at(folder, STEP)?
        };
        Ok((folder, name.to_owned()))
    }

    /// Opens what stands there, following no link.
    fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, ReadError> {
        let opened = match self.open_beneath(path, flags) {
            // An old kernel, a filter of system calls that does not know it, or too long a path.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => self.open_stepwise(path, flags),
            opened => opened,
        };
        opened.map_err(|errno| match errno {
            // A link in the place of a folder reads as "not a folder".
            Errno::LOOP | Errno::NOTDIR => ReadError::Link,
            Errno::XDEV => ReadError::Outside,
            errno => errno.into(),
        })
    }

    /// Makes the folders that a file is to stand in, following no link.
    fn make_parent(&self, location: &Location) -> Result<(), ReadError> {
        let path = location.to_path();
        let mut folder = self.root.try_clone()?;
        for step in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(step) = step else {
                return Err(ReadError::Outside);
            };
            match rustix::fs::mkdirat(&folder, step, Mode::from_raw_mode(0o777)) {
                Ok(()) => rustix::fs::fsync(&folder)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            folder = match rustix::fs::openat(&folder, step, STEP, Mode::empty()) {
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(ReadError::Link),
                opened => opened?,
            };
        }
        Ok(())
    }

    fn open_beneath(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve);
        // Asked for again when something was renamed meanwhile.
        let tries = std::iter::repeat_with(open).take(8);
        let mut last = Errno::AGAIN;
        for opened in tries {
            match opened {
                Err(Errno::AGAIN | Errno::INTR) => last = Errno::AGAIN,
                opened => return opened,
            }
        }
        Err(last)
    }

    fn open_stepwise(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = path.file_name().unwrap_or_default();
        let mut folder = None;
        for step in path.parent().into_iter().flat_map(Path::components) {
            let from = folder.as_ref().unwrap_or(&self.root);
            let step = rustix::fs::openat(from, step.as_os_str(), STEP, Mode::empty())?;
            folder = Some(step);
        }
        let from = folder.as_ref().unwrap_or(&self.root);
        rustix::fs::openat(from, name, flags, Mode::empty())
    }
}

/// Whether each step of a path leads downwards.
fn all_below(path: &Path) -> bool {
    let mut steps = path.components().peekable();
    steps.peek().is_some() && steps.all(|step| matches!(step, Component::Normal(_)))
}

/// Reads a file of so many bytes, and one more if it has them.
fn read_whole(file: &OwnedFd, size: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::with_capacity(size + 1);
    loop {
        match rustix::io::read(file, spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() >= size => return Ok(bytes),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn is_ours(name: &[u8], ending: &[u8]) -> bool {
    let id = name
        .strip_prefix(TEMPORARY.as_bytes())
        .and_then(|rest| rest.strip_suffix(ending));
    id.is_some_and(|id| uuid::Uuid::try_parse_ascii(id).is_ok())
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is a symbolic link, or stands behind one.
    #[error("a symbolic link is not followed")]
    Link,
    /// A device, a pipe, a folder.
    #[error("not a regular file")]
    Special,
    /// The path leads out of the source.
    #[error("the path leads out of the source")]
    Outside,
    /// It is over the limit of size.
    #[error("larger than 8 MiB")]
    TooLarge,
    /// It changed at every try.
    #[error("it is being written")]
    Changing,
    /// The system refused.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl ReadError {
    /// Whether the file is not there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::NotFound)
    }
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}
