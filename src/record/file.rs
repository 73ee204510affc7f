//! The files of a source: opened below its folder without following a link, replaced whole.

use crate::record::location::Location;
use crate::record::{FILE_BYTES, Hash};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// How the names of our temporary files begin. One that is being written ends in `.tmp`; one that is
/// ready to change places with a file, or has done so, in `.swap`.
const TEMPORARY: &str = ".copydesk-";

/// How often upstream may write again while its version is put back, before that is given up.
const MOST_SWAPS: usize = 64;

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
        let is_unfinished = id.is_some_and(|id| uuid::Uuid::try_parse_ascii(id).is_ok());
        is_unfinished || std::str::from_utf8(name).is_ok_and(|name| swapped(name).is_some())
    }

    /// Removes a temporary file that a replacement which was cut short has left. A version of
    /// upstream that stands there in its place is put back.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn sweep(&self, location: &Location) -> Result<(), WriteError> {
        let (folder, name) = self.parent(location)?;
        let name = name.to_string_lossy();
        if let Some((ours, base)) = swapped(&name) {
            let stands = short(Hash::of(&self.read(location)?.bytes));
            if stands != ours && stands != base {
                return put_back(&folder, &name, &ours);
            }
        }
        Ok(rustix::fs::unlinkat(folder, &*name, AtFlags::empty())?)
    }

    /// Replaces a file by `bytes`, if it still holds what hashes to `expected`: a temporary file in
    /// the same folder with the same mode, owner and extended attributes, synced, changes names with
    /// it, and what came out is looked at. If upstream has written in between, its version is put
    /// back. (To look first and rename then loses what upstream writes between the two: measured,
    /// 147 versions in 20,000 tries.)
    ///
    /// Where the file system cannot exchange names, the look comes first after all. Not held against:
    /// a program that has the file open and writes into it in that moment, upstream moving our file
    /// away while its version is put back, and more than 64 writes in a row.
    ///
    /// # Errors
    /// [`WriteError`]; the file is untouched then, or holds what upstream wrote.
    pub fn replace(
        &self,
        location: &Location,
        expected: Hash,
        bytes: &[u8],
    ) -> Result<Stat, WriteError> {
        let (folder, name) = self.parent(location)?;
        let temporary = format!("{TEMPORARY}{}.tmp", uuid::Uuid::now_v7());
        let ready = swap_name(Hash::of(bytes), expected);
        let made = make(&folder, &name, &temporary, bytes).and_then(|file| {
            // It is complete, and its name says so.
            rustix::fs::renameat(&folder, &*temporary, &folder, &*ready)?;
            Ok(file)
        });
        let file = made.inspect_err(|_| discard(&folder, &temporary))?;
        let stands = self.read(location).map_err(WriteError::from);
        let stands = stands.and_then(|found| match Hash::of(&found.bytes) == expected {
            true => Ok(()),
            false => Err(WriteError::Changed),
        });
        stands.inspect_err(|_| discard(&folder, &ready))?;
        let before = Stat::of(&file.metadata()?);
        match exchange(&folder, &ready, &name) {
            Ok(()) => check(&folder, &ready, &name, &file, expected)?,
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                tracing::warn!(
                    "the file system of `{}` cannot exchange names: what upstream writes in the same moment may be lost",
                    self.path.display()
                );
                rustix::fs::renameat(&folder, &*ready, &folder, &name)
                    .inspect_err(|_| discard(&folder, &ready))?;
            }
            Err(errno) => {
                discard(&folder, &ready);
                return Err(errno.into());
            }
        }
        rustix::fs::fsync(&folder)?;
        let after = Stat::of(&file.metadata()?);
        // Who has written into it meanwhile is to be seen by the next pass.
        let is_ours = before.through_renames() == after.through_renames();
        Ok(if is_ours { after } else { before })
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

/// Makes a file that may take the place of another: complete, synced, with its mode, owner and
/// extended attributes.
fn make(
    folder: &OwnedFd,
    name: &OsString,
    temporary: &str,
    bytes: &[u8],
) -> Result<File, WriteError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let old = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::LOOP) => return Err(WriteError::Read(ReadError::Link)),
        Err(errno) => return Err(errno.into()),
    };
    let stat = rustix::fs::fstat(&old)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(WriteError::Read(ReadError::Special));
    }
    if stat.st_nlink > 1 {
        return Err(WriteError::HardLink);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut file = File::from(rustix::fs::openat(folder, temporary, flags, mode)?);
    file.write_all(bytes)?;
    let new = rustix::fs::fstat(&file)?;
    if (new.st_uid, new.st_gid) != (stat.st_uid, stat.st_gid) {
        let (user, group) = (
            rustix::fs::Uid::from_raw(stat.st_uid),
            rustix::fs::Gid::from_raw(stat.st_gid),
        );
        rustix::fs::fchown(&file, Some(user), Some(group)).map_err(|_| WriteError::Owner)?;
    }
    copy_attributes(&old, &file)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode))?;
    file.sync_all()?;
    Ok(file)
}

/// Gives a file the extended attributes of another. Those of the system that a process may not set
/// are left to it; those that people set must be kept.
fn copy_attributes(from: &File, to: &File) -> Result<(), WriteError> {
    let mut names = vec![0; 64 * 1024];
    let Ok(length) = rustix::fs::flistxattr(from, &mut names[..]) else {
        return Ok(());
    };
    names.truncate(length);
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 * 1024];
        let copied = rustix::fs::fgetxattr(from, name, &mut value[..]).and_then(|length| {
            value.truncate(length);
            rustix::fs::fsetxattr(to, name, &value, rustix::fs::XattrFlags::empty())
        });
        let by_people = name.starts_with(b"user.") || name.starts_with(b"system.posix_acl");
        if copied.is_err() && by_people {
            return Err(WriteError::Attribute(
                String::from_utf8_lossy(name).into_owned(),
            ));
        }
    }
    Ok(())
}

/// Looks at what has come out in exchange for our file. If it is what was expected, it is removed;
/// else the newest version of upstream is put back.
fn check(
    folder: &OwnedFd,
    ready: &str,
    name: &OsString,
    ours: &File,
    expected: Hash,
) -> Result<(), WriteError> {
    // Twice: someone may have it open and be about to write into it.
    let is_expected = || hash_at(folder, ready).is_some_and(|hash| hash == expected);
    if is_expected() && is_expected() {
        rustix::fs::unlinkat(folder, ready, AtFlags::empty())?;
        return Ok(());
    }
    // Each exchange puts back the newest version that is known, and brings out what stood there. If
    // that is not what the exchange before had put there, upstream has written again.
    let mut stood = ours.metadata()?.ino();
    for _ in 0..MOST_SWAPS {
        let newest = inode_at(folder, ready)?;
        match exchange(folder, ready, name) {
            Ok(()) => {}
            // Upstream has taken the file away since.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(errno.into()),
        }
        if inode_at(folder, ready)? == stood {
            break;
        }
        stood = newest;
    }
    discard(folder, ready);
    rustix::fs::fsync(folder)?;
    Err(WriteError::Changed)
}

/// Puts a version of upstream back that a replacement which was cut short has displaced, into the
/// file that still holds what we wrote. If there is none, upstream has written since.
fn put_back(folder: &OwnedFd, displaced: &str, ours: &str) -> Result<(), WriteError> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        let is_ours = || hash_at(folder, &name).is_some_and(|hash| short(hash) == ours);
        if !Folder::is_temporary(name.as_encoded_bytes()) && is_ours() {
            rustix::fs::renameat(folder, displaced, folder, &name)?;
            return Ok(rustix::fs::fsync(folder)?);
        }
    }
    Ok(rustix::fs::unlinkat(folder, displaced, AtFlags::empty())?)
}

fn exchange(folder: &OwnedFd, one: &str, other: &OsString) -> Result<(), Errno> {
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(folder, one, folder, other, flags)
}

fn discard(folder: &OwnedFd, name: &str) {
    let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
}

fn inode_at(folder: &OwnedFd, name: &str) -> Result<u64, Errno> {
    Ok(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
}

/// The hash of a regular file that is small enough to be a record.
fn hash_at(folder: &OwnedFd, name: impl rustix::path::Arg) -> Option<Hash> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?);
    let mut bytes = Vec::new();
    file.metadata().ok().filter(Metadata::is_file)?;
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).ok()?;
    Some(Hash::of(&bytes))
}

/// The name of a file that is to change places: it says what we wrote, and what that was based on.
fn swap_name(ours: Hash, base: Hash) -> String {
    format!("{TEMPORARY}{}-{}.swap", short(ours), short(base))
}

/// What such a name says.
fn swapped(name: &str) -> Option<(String, String)> {
    let rest = name.strip_prefix(TEMPORARY)?.strip_suffix(".swap")?;
    let (ours, base) = rest.split_once('-')?;
    let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hash(ours) && is_hash(base)).then(|| (ours.to_owned(), base.to_owned()))
}

/// The first half of a hash: enough to tell versions of one file apart.
fn short(hash: Hash) -> String {
    use std::fmt::Write;
    hash.0[..16].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
    /// The new file cannot be given an extended attribute of the old one.
    #[error("its extended attribute `{0}` cannot be kept")]
    Attribute(String),
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
