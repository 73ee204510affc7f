//! The files of a source: opened below its folder without following a link, replaced whole.

use crate::record::location::Location;
use crate::record::{FILE_BYTES, Hash};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// How the names of our temporary files begin.
const TEMPORARY: &str = ".copydesk-";

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
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
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
        let (folder, name) = self.parent(location)?;
        for _ in 0..4 {
            // Non-blocking, since opening a FIFO would wait for a writer.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut file = match rustix::fs::openat(&folder, &name, flags, Mode::empty()) {
                Ok(fd) => File::from(fd),
                Err(Errno::LOOP) => return Err(ReadError::Link),
                Err(errno) => return Err(errno.into()),
            };
            let before = file.metadata()?;
            if !before.is_file() {
                return Err(ReadError::Special);
            }
            if before.size() > FILE_BYTES {
                return Err(ReadError::TooLarge);
            }
            let mut bytes =
                Vec::with_capacity(usize::try_from(before.size()).unwrap_or_default() + 1);
            (&mut file).take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
            let after = file.metadata()?;
            if Stat::of(&before) == Stat::of(&after) && bytes.len() as u64 == after.size() {
                return Ok(Found {
                    bytes,
                    stat: Stat::of(&after),
                });
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

    /// Whether this is the name of a file that a replacement makes and leaves only if it is cut short.
    #[must_use]
    pub fn is_temporary(name: &[u8]) -> bool {
        let id = name
            .strip_prefix(TEMPORARY.as_bytes())
            .and_then(|rest| rest.strip_suffix(b".tmp"));
        id.is_some_and(|id| uuid::Uuid::try_parse_ascii(id).is_ok())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn remove(&self, location: &Location) -> Result<(), WriteError> {
        let (folder, name) = self.parent(location)?;
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
    }

    /// Replaces a file by `bytes`, if it still holds what hashes to `expected`: a temporary file in
    /// the same folder with the same mode and owner, synced, then renamed over it.
    ///
    /// # Errors
    /// [`WriteError`]; the file is untouched then.
    pub fn replace(
        &self,
        location: &Location,
        expected: Hash,
        bytes: &[u8],
    ) -> Result<Stat, WriteError> {
        let (folder, name) = self.parent(location)?;
        let temporary = format!("{TEMPORARY}{}.tmp", uuid::Uuid::now_v7());
        let written = self.replace_by(&folder, &name, &temporary, location, expected, bytes);
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&folder, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    fn replace_by(
        &self,
        folder: &OwnedFd,
        name: &OsString,
        temporary: &str,
        location: &Location,
        expected: Hash,
        bytes: &[u8],
    ) -> Result<Stat, WriteError> {
        let old = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(old.st_mode) != FileType::RegularFile {
            return Err(WriteError::Read(ReadError::Special));
        }
        if old.st_nlink > 1 {
            return Err(WriteError::HardLink);
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(
            folder,
            temporary,
            flags,
            Mode::RUSR | Mode::WUSR,
        )?);
        file.write_all(bytes)?;
        let new = rustix::fs::fstat(&file)?;
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) {
            rustix::fs::fchown(
                &file,
                Some(rustix::fs::Uid::from_raw(old.st_uid)),
                Some(rustix::fs::Gid::from_raw(old.st_gid)),
            )
            .map_err(|_| WriteError::Owner)?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(old.st_mode))?;
        file.sync_all()?;
        let stands = self.read(location)?;
        if Hash::of(&stands.bytes) != expected {
            return Err(WriteError::Changed);
        }
        rustix::fs::renameat(folder, temporary, folder, name)?;
        rustix::fs::fsync(folder)?;
        Ok(Stat::of(&file.metadata()?))
    }

    /// Opens the folder that a file stands in, one step at a time so that no link is followed.
    fn parent(&self, location: &Location) -> Result<(OwnedFd, OsString), ReadError> {
        let path = location.to_path();
        let mut steps = path.components();
        let Some(Component::Normal(name)) = steps.next_back() else {
            return Err(ReadError::Outside);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = self.root.try_clone()?;
        for step in steps {
            let Component::Normal(step) = step else {
                return Err(ReadError::Outside);
            };
            folder = match rustix::fs::openat(&folder, step, flags, Mode::empty()) {
                Ok(fd) => fd,
                // A link in the place of a folder reads as "not a folder".
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(ReadError::Link),
                Err(errno) => return Err(errno.into()),
            };
        }
        Ok((folder, name.to_owned()))
    }
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

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It holds something else by now.
    #[error("it changed while it was being written")]
    Changed,
    /// The file has a second name, which a replacement would cut off.
    #[error("it is a hard link: writing it would part it from its other name")]
    HardLink,
    /// The new file cannot be given the old one's owner.
    #[error("it belongs to another user, and the owner cannot be kept; run copydesk as that user")]
    Owner,
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The system refused.
    #[error("it cannot be written: {0}")]
    Io(#[from] std::io::Error),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}
