//! A file replaced whole, without losing what upstream writes in the same moment.
//!
//! The new bytes are made and synced beside the file, then the two names are exchanged, and only
//! what came out tells whether the right version was replaced: had upstream rewritten the file in
//! between, that version came out, and it goes back. The newest version always ends under the name.
//!
//! One version can still be lost: that of a program that opened the file before the exchange and
//! writes into it, in place, after the displaced file is removed. Whoever writes by renaming, or
//! opens and writes in one go, is safe.

use super::{Folder, ReadError, Stat};
use crate::record::location::Location;
use crate::record::{FILE_BYTES, Hash};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// How long the displaced file is kept before it is looked at once more and removed: a program that
/// had opened it for writing has written by then.
const SETTLES: Duration = Duration::from_millis(5);

/// Attributes that the system makes anew for each file's bytes.
const OF_THE_BYTES: [&[u8]; 2] = [b"security.evm", b"security.ima"];

/// One replacement, or one move, as it must be known to who finds what it has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The name beside the file that the new bytes have until the exchange, and the old ones after;
    /// of a file that is moved, the name that it has on its way.
    pub aside: String,
    /// What the file holds before.
    pub old: Hash,
    /// What it is to hold; of a file that is moved, what may stand where it goes.
    pub new: Hash,
}

/// A file that was replaced.
#[derive(Clone, Copy, Debug)]
pub struct Replaced {
    /// Its state, unless another has written to it since.
    pub stat: Option<Stat>,
    /// Whether the file system cannot exchange names, so that a rewrite in the same moment could
    /// be lost.
    pub weak: bool,
}

/// What a replacement that was cut short has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing was left beside the file; whether it was replaced, the file tells.
    Nothing,
    /// The file was replaced.
    Done,
    /// The file was not replaced, or holds what upstream wrote.
    Undone,
}

impl Exchange {
    /// A replacement of one content by another, under a name that nobody has.
    #[must_use]
    pub fn new(old: Hash, new: Hash) -> Self {
        Self {
            aside: format!("{}{}.swap", super::TEMPORARY, uuid::Uuid::now_v7()),
            old,
            new,
        }
    }
}

impl Folder {
    /// Replaces a file by `bytes`, if it still holds what hashes to [`Exchange::old`].
    ///
    /// Mode, owner and extended attributes are kept; a file whose owner or attributes cannot be is
    /// not replaced.
    ///
    /// # Errors
    /// [`WriteError`]; the file is as upstream left it then, but for [`WriteError::Halfway`].
    pub fn replace(
        &self,
        location: &Location,
        exchange: &Exchange,
        bytes: &[u8],
    ) -> Result<Replaced, WriteError> {
        let (folder, name) = self.parent(location)?;
        let place = Place {
            folder,
            name,
            aside: exchange.aside.clone(),
        };
        place.replace(exchange, bytes)
    }

    /// Puts right what a replacement that was cut short has left beside its file: upstream's newest
    /// version stands under the name afterwards, and nothing beside it.
    ///
    /// # Errors
    /// [`WriteError`]; what is left is left as it is then.
    pub fn recover(
        &self,
        location: &Location,
        exchange: &Exchange,
    ) -> Result<Recovered, WriteError> {
        let (folder, name) = match self.parent(location) {
            Ok(found) => found,
            Err(error) if error.is_gone() => return Ok(Recovered::Nothing),
            Err(error) => return Err(error.into()),
        };
        let aside = exchange.aside.clone();
        Place {
            folder,
            name,
            aside,
        }
        .recover(exchange)
    }
}

/// Two names in one folder: that of the file, and one that nobody else uses.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    pub(super) aside: String,
}

/// What stood under a name at one moment; it is the same as long as nobody writes to it, whatever
/// its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    /// `None` of what is no file that can be read.
    pub(super) hash: Option<Hash>,
}

impl Seen {
    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl Place {
    fn replace(&self, exchange: &Exchange, bytes: &[u8]) -> Result<Replaced, WriteError> {
        let old = self.open_old(exchange)?;
        let new = self.prepare(&old, bytes)?;
        let ours = see(&new).map_err(|errno| self.give_up(errno.into()))?;
        match self.exchange() {
            Ok(()) => {
                self.check(exchange, ours, &new)?;
                let removed = self.unlink().and_then(|()| rustix::fs::fsync(&self.folder));
                removed.map_err(|errno| WriteError::Halfway(errno.into()))?;
                Ok(replaced(&new, ours, false))
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.rename_over(&old, exchange)?;
                Ok(replaced(&new, ours, true))
            }
            Err(errno) => Err(self.give_up(errno.into())),
        }
    }

    /// Opens the file, if it is one that may be taken away and holds what is expected.
    pub(super) fn open_old(&self, exchange: &Exchange) -> Result<OwnedFd, WriteError> {
        let old = self.open(&self.name)?;
        let stat = rustix::fs::fstat(&old)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(ReadError::Special.into());
        }
        if stat.st_nlink > 1 {
            return Err(WriteError::HardLink);
        }
        if hash(&old)? != Some(exchange.old) {
            return Err(WriteError::Changed);
        }
        Ok(old)
    }

    /// Opens what came out under the name aside, if it is what was to come out and stays that.
    pub(super) fn came_out(&self, exchange: &Exchange) -> Result<OwnedFd, WriteError> {
        let displaced = self.open(self.aside.as_ref())?;
        let seen = see(&displaced)?;
        if seen.hash != Some(exchange.old) {
            return Err(WriteError::Changed);
        }
        if rustix::fs::fstat(&displaced)?.st_nlink > 1 {
            return Err(WriteError::HardLink);
        }
        rustix::fs::fsync(&self.folder)?;
        std::thread::sleep(SETTLES);
        if see(&displaced)? == seen {
            Ok(displaced)
        } else {
            Err(WriteError::Changed)
        }
    }

    /// Makes the new file whole, under a name of its own until then, so that what has the other
    /// name is never half a file.
    fn prepare(&self, old: &OwnedFd, bytes: &[u8]) -> Result<File, WriteError> {
        let (file, part) = loop {
            let part = format!("{}{}.tmp", super::TEMPORARY, uuid::Uuid::now_v7());
            let flags =
                OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            match rustix::fs::openat(&self.folder, part.as_str(), flags, mode) {
                Ok(fd) => break (File::from(fd), part),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        let made = || {
            let mut file = &file;
            file.write_all(bytes)?;
            keep_owner(old, file)?;
            keep_attributes(old, file)?;
            let mode = rustix::fs::fstat(old)?.st_mode;
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
            // After a failed sync nothing is known of the bytes: the next try writes them anew.
            file.sync_all()?;
            let names = (part.as_str(), self.aside.as_str());
            rustix::fs::renameat(&self.folder, names.0, &self.folder, names.1)?;
            Ok(())
        };
        match made() {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = rustix::fs::unlinkat(&self.folder, part.as_str(), AtFlags::empty());
                Err(error)
            }
        }
    }

    /// After the exchange: whether what came out is what was to be replaced. If not, puts it back.
    fn check(&self, exchange: &Exchange, ours: Seen, new: &File) -> Result<(), WriteError> {
        self.came_out(exchange).map(drop).or_else(|error| {
            let held = new.try_clone().map_err(WriteError::Halfway)?;
            self.put_back(ours, held.into())
                .map_err(|failed| WriteError::Halfway(failed.into()))?;
            Err(error)
        })
    }

    /// Brings what stands aside back under the name, where `put` was put. Should something else
    /// come out, upstream has written again, and that is newer: it goes back in turn.
    fn put_back(&self, mut put: Seen, mut held: OwnedFd) -> Result<(), Errno> {
        loop {
            let hold_newest = self.hold(self.aside.as_ref())?;
            let newest = self.look(self.aside.as_ref())?;
            match self.exchange() {
                Ok(()) => {}
                Err(Errno::NOENT) => {
                    // Upstream has removed what it took for its own, or moved that away.
                    let back = if rustix::fs::fstat(&held)?.st_nlink == 0 {
                        self.unlink()
                    } else {
                        self.move_back()
                    };
                    if back == Err(Errno::EXIST) {
                        continue;
                    }
                    return back.and_then(|()| rustix::fs::fsync(&self.folder));
                }
                Err(errno) => return Err(errno),
            }
            // Another may have written into it while it stood aside.
            let now = self.look(&self.name).ok();
            let out = self.look(self.aside.as_ref())?;
            if out == put {
                std::thread::sleep(SETTLES);
                if self.look(self.aside.as_ref())? == put {
                    self.unlink()?;
                    return rustix::fs::fsync(&self.folder);
                }
            }
            put = now
                .filter(|now| now.is_same_file(&newest))
                .unwrap_or(newest);
            held = hold_newest;
        }
    }

    /// Where names cannot be exchanged: looks once more, and renames.
    fn rename_over(&self, old: &OwnedFd, exchange: &Exchange) -> Result<(), WriteError> {
        let renamed = || {
            // A file system without locks does without.
            let locked = rustix::fs::flock(old, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(Errno::WOULDBLOCK) {
                return Err(ReadError::Changing.into());
            }
            let stands = self.look(&self.name)?;
            if stands.hash != Some(exchange.old) || !stands.is_same_file(&see(old)?) {
                return Err(WriteError::Changed);
            }
            let names = (self.aside.as_str(), &self.name);
            Ok(rustix::fs::renameat(
                &self.folder,
                names.0,
                &self.folder,
                names.1,
            )?)
        };
        renamed().map_err(|error| self.give_up(error))?;
        rustix::fs::fsync(&self.folder).map_err(|errno| WriteError::Halfway(errno.into()))
    }

    fn recover(&self, exchange: &Exchange) -> Result<Recovered, WriteError> {
        let left = match self.look(self.aside.as_ref()) {
            Ok(left) => left,
            Err(Errno::NOENT) => return Ok(Recovered::Nothing),
            Err(errno) => return Err(errno.into()),
        };
        if left.hash == Some(exchange.new) {
            self.unlink()?;
            return Ok(Recovered::Undone);
        }
        if left.hash == Some(exchange.old) {
            self.unlink()?;
            return Ok(Recovered::Done);
        }
        // A version that was displaced and did not come back. Another that is not ours has been
        // written since, unless the crash came while that one was on its way back.
        match self.look(&self.name) {
            Ok(stands) if stands.hash == Some(exchange.new) || left.modified > stands.modified => {
                self.put_back(stands, self.hold(&self.name)?)?;
            }
            Ok(_) => self.unlink()?,
            Err(Errno::NOENT) => match self.move_back() {
                Err(Errno::EXIST) => return self.recover(exchange),
                moved => moved?,
            },
            Err(errno) => return Err(errno.into()),
        }
        Ok(Recovered::Undone)
    }

    fn exchange(&self) -> Result<(), Errno> {
        let (folder, aside) = (&self.folder, self.aside.as_str());
        rustix::fs::renameat_with(folder, aside, folder, &self.name, RenameFlags::EXCHANGE)
    }

    /// Moves what stands aside to the name that has become free.
    fn move_back(&self) -> Result<(), Errno> {
        let (folder, aside) = (&self.folder, self.aside.as_str());
        rustix::fs::renameat_with(folder, aside, folder, &self.name, RenameFlags::NOREPLACE)
    }

    /// Removes our own file, which never got the name.
    fn give_up(&self, error: WriteError) -> WriteError {
        match self.unlink() {
            Ok(()) => error,
            Err(errno) => WriteError::Halfway(errno.into()),
        }
    }

    pub(super) fn unlink(&self) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.folder, self.aside.as_str(), AtFlags::empty())
    }

    /// Opens a name for reading; without waiting, since it may be a pipe.
    pub(super) fn open(&self, name: &std::ffi::OsStr) -> Result<OwnedFd, ReadError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Err(Errno::LOOP) => Err(ReadError::Link),
            opened => Ok(opened?),
        }
    }

    /// Holds what stands under a name, whatever it is.
    fn hold(&self, name: &std::ffi::OsStr) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, name, flags, Mode::empty())
    }

    /// What stands under a name, whatever it is.
    pub(super) fn look(&self, name: &std::ffi::OsStr) -> Result<Seen, Errno> {
        let held = self.hold(name)?;
        let stat = rustix::fs::fstat(&held)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        match regular.then(|| self.open(name)) {
            // Had it been exchanged between the two, its inode would tell.
            Some(Ok(fd)) => see(&fd),
            _ => Ok(seen(&stat, None)),
        }
    }
}

/// The file that now has the name; what another has done to it since is for a pass to see.
fn replaced(new: &File, ours: Seen, weak: bool) -> Replaced {
    let stat = new.metadata().ok().map(|metadata| Stat::of(&metadata));
    let stat = stat.filter(|_| see(new) == Ok(ours));
    Replaced { stat, weak }
}

/// What an open file is and holds.
fn see(file: &impl std::os::fd::AsFd) -> Result<Seen, Errno> {
    let stat = rustix::fs::fstat(file)?;
    let hash = hash(file).ok().flatten();
    let after = rustix::fs::fstat(file)?;
    // Half of what is being written is nothing that anybody knows.
    let hash = hash.filter(|_| seen(&stat, None) == seen(&after, None));
    Ok(seen(&after, hash))
}

fn seen(stat: &rustix::fs::Stat, hash: Option<Hash>) -> Seen {
    Seen {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size,
        modified: (
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        ),
        hash,
    }
}

/// The hash of all that an open file holds, wherever it was read to; `None` above the limit.
fn hash(file: &impl std::os::fd::AsFd) -> std::io::Result<Option<Hash>> {
    let mut file = File::from(file.as_fd().try_clone_to_owned()?);
    std::io::Seek::rewind(&mut file)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(FILE_BYTES + 1))?;
    let hash = Hash(hasher.finalize().into());
    Ok((hasher.count() <= FILE_BYTES).then_some(hash))
}

/// Gives a new file the owner and group of the old one, where it has not got them by itself.
fn keep_owner(old: &OwnedFd, new: &File) -> Result<(), WriteError> {
    let (old, made) = (rustix::fs::fstat(old)?, rustix::fs::fstat(new)?);
    if (made.st_uid, made.st_gid) == (old.st_uid, old.st_gid) {
        return Ok(());
    }
    let user = rustix::fs::Uid::from_raw(old.st_uid);
    let group = rustix::fs::Gid::from_raw(old.st_gid);
    rustix::fs::fchown(new, Some(user), Some(group)).map_err(|_| WriteError::Owner)
}

/// Gives a new file the extended attributes of the old one, access lists among them, and no other.
fn keep_attributes(old: &OwnedFd, new: &File) -> Result<(), WriteError> {
    let failed = |name: &OsString| WriteError::Attribute(name.to_string_lossy().into_owned());
    let (kept, made) = (attributes(old)?, attributes(new)?);
    for (name, value) in kept.iter().filter(|kept| !made.contains(kept)) {
        rustix::fs::fsetxattr(new, name, value, XattrFlags::empty()).map_err(|_| failed(name))?;
    }
    for (name, _) in &made {
        let is_labelled = name.as_encoded_bytes().starts_with(b"security.");
        if !is_labelled && !kept.iter().any(|(other, _)| other == name) {
            rustix::fs::fremovexattr(new, name).map_err(|_| failed(name))?;
        }
    }
    Ok(())
}

/// The extended attributes of a file; none where the file system has none.
fn attributes(file: &impl std::os::fd::AsFd) -> Result<Vec<(OsString, Vec<u8>)>, Errno> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(file, &mut names[..]) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        length => length?,
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if name.is_empty() || OF_THE_BYTES.contains(&name) {
            continue;
        }
        let mut value = vec![0; 64 * 1024];
        let name = OsString::from_vec(name.to_vec());
        match rustix::fs::fgetxattr(file, &name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        }
        found.push((name, value));
    }
    Ok(found)
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
    /// The new file cannot be given one of the old one's attributes.
    #[error("its attribute `{0}` cannot be kept; run copydesk as a user who may set it")]
    Attribute(String),
    /// Where it is to be moved, another file stands.
    #[error("another file stands there")]
    Taken,
    /// Where it is to be moved is on another file system.
    #[error("it is on another file system, and a file is moved only within one")]
    Elsewhere,
    /// It may have been replaced, or what was displaced may stand beside it; a later try puts it right.
    #[error("it was written, and what stands there now is not sure yet: {0}")]
    Halfway(std::io::Error),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::file::{FILE, STEP};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;
    use tempfile::TempDir;

    const OLD: &[u8] = b"old";
    const OURS: &[u8] = b"ours";

    /// A folder with one file in it, which is being replaced.
    struct Scene {
        dir: TempDir,
        exchange: Exchange,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("a.md"), OLD).unwrap();
            let exchange = Exchange::new(Hash::of(OLD), Hash::of(OURS));
            Self { dir, exchange }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn replace(&self) -> Result<Replaced, WriteError> {
            let folder = Folder::open(self.dir.path()).unwrap();
            folder.replace(&Location::of("a.md".as_ref()), &self.exchange, OURS)
        }

        fn recover(&self) -> Recovered {
            let folder = Folder::open(self.dir.path()).unwrap();
            let recovered = folder.recover(&Location::of("a.md".as_ref()), &self.exchange);
            recovered.unwrap()
        }

        fn place(&self) -> Place {
            let folder = Folder::open(self.dir.path()).unwrap();
            let (folder, name) = folder.parent(&Location::of("a.md".as_ref())).unwrap();
            let aside = self.exchange.aside.clone();
            Place {
                folder,
                name,
                aside,
            }
        }

        /// Exchanges the names, lets upstream write before and after, and checks what came out.
        fn raced(&self, before: impl Fn(&Self), after: impl Fn(&Self)) -> Result<(), WriteError> {
            let place = self.place();
            let old = place.open("a.md".as_ref()).unwrap();
            let new = place.prepare(&old, OURS).unwrap();
            let ours = see(&new).unwrap();
            before(self);
            place.exchange().unwrap();
            after(self);
            place.check(&self.exchange, ours, &new)
        }

        fn upstream(&self, bytes: &str) {
            fs::write(self.at(".upstream"), bytes).unwrap();
            fs::rename(self.at(".upstream"), self.at("a.md")).unwrap();
        }

        /// All files and what they hold, in order of their names.
        fn files(&self) -> Vec<(String, String)> {
            let entries = fs::read_dir(self.dir.path()).unwrap().map(Result::unwrap);
            let mut files: Vec<_> = entries
                .map(|entry| {
                    let name = entry.file_name().into_string().unwrap();
                    (name, fs::read_to_string(entry.path()).unwrap())
                })
                .collect();
            files.sort();
            files
        }
    }

    fn only(name: &str, bytes: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), bytes.to_owned())]
    }

    #[test]
    fn a_file_is_replaced_with_mode_attributes_and_owner() {
        let scene = Scene::new();
        let file = File::open(scene.at("a.md")).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o4751))
            .unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(scene.at("a.md"), Some(1234), Some(4321)).unwrap();
            file.set_permissions(fs::Permissions::from_mode(0o640))
                .unwrap();
        }
        let name = "user.copydesk";
        let has_attributes =
            rustix::fs::fsetxattr(&file, name, b"kept", XattrFlags::empty()).is_ok();
        let replaced = scene.replace().unwrap();
        assert!(!replaced.weak);
        assert_eq!(scene.files(), only("a.md", "ours"));
        let (before, file) = (file.metadata(), File::open(scene.at("a.md")).unwrap());
        let (before, after) = (before.unwrap(), file.metadata().unwrap());
        assert_ne!(before.ino(), after.ino());
        assert_eq!(replaced.stat, Some(Stat::of(&after)));
        assert_eq!(
            (before.mode(), before.uid(), before.gid()),
            (after.mode(), after.uid(), after.gid())
        );
        let mut value = [0; 16];
        let kept = rustix::fs::fgetxattr(&file, name, &mut value[..]);
        assert_eq!(
            kept.map(|n| &value[..n] == b"kept").unwrap_or_default(),
            has_attributes
        );
    }

    #[test]
    fn what_is_not_what_was_read_or_has_two_names_is_left() {
        let scene = Scene::new();
        fs::hard_link(scene.at("a.md"), scene.at("b.md")).unwrap();
        assert!(matches!(scene.replace(), Err(WriteError::HardLink)));
        fs::remove_file(scene.at("b.md")).unwrap();
        scene.upstream("upstream");
        assert!(matches!(scene.replace(), Err(WriteError::Changed)));
        assert_eq!(scene.files(), only("a.md", "upstream"));
    }

    #[test]
    fn the_newest_of_upstream_stands_after_a_race() {
        let rewrite = |scene: &Scene| scene.upstream("first");
        let nothing = |_: &Scene| {};
        type Step = fn(&Scene);
        let after: [(Step, &str, &str); 4] = [
            (|_| {}, "a.md", "first"),
            (|scene| scene.upstream("second"), "a.md", "second"),
            (
                |scene| fs::write(scene.at("a.md"), "in place").unwrap(),
                "a.md",
                "in place",
            ),
            (
                |scene| fs::write(scene.at(&scene.exchange.aside), "late").unwrap(),
                "a.md",
                "late",
            ),
        ];
        for (after, name, stands) in after {
            let scene = Scene::new();
            assert!(matches!(
                scene.raced(rewrite, after),
                Err(WriteError::Changed)
            ));
            assert_eq!(scene.files(), only(name, stands));
        }
        // Written in place, by one who had opened it before the exchange.
        let scene = Scene::new();
        let late = |scene: &Scene| fs::write(scene.at(&scene.exchange.aside), "late").unwrap();
        assert!(matches!(
            scene.raced(nothing, late),
            Err(WriteError::Changed)
        ));
        assert_eq!(scene.files(), only("a.md", "late"));
    }

    #[test]
    fn a_writer_that_opened_the_old_file_is_waited_for() {
        let is_caught = || {
            let scene = Scene::new();
            let mut writer = File::options().write(true).open(scene.at("a.md")).unwrap();
            let file = scene.at("a.md");
            let late = std::thread::spawn(move || {
                while fs::read(&file).unwrap() != OURS {}
                std::thread::sleep(SETTLES / 4);
                writer.write_all(b"late").unwrap();
            });
            let raced = scene.raced(|_| {}, |_| {});
            late.join().unwrap();
            raced.is_err() && scene.files() == only("a.md", "late")
        };
        // On a busy machine the writer may come too late.
        assert!((0..20).any(|_| is_caught()));
    }

    #[test]
    fn what_upstream_removes_stays_away_and_what_it_moves_loses_nothing() {
        let rewrite = |scene: &Scene| scene.upstream("first");
        let scene = Scene::new();
        let remove = |scene: &Scene| fs::remove_file(scene.at("a.md")).unwrap();
        assert!(scene.raced(rewrite, remove).is_err());
        assert_eq!(scene.files(), []);
        let scene = Scene::new();
        let rename = |scene: &Scene| fs::rename(scene.at("a.md"), scene.at("b.md")).unwrap();
        assert!(scene.raced(rewrite, rename).is_err());
        assert_eq!(fs::read(scene.at("a.md")).unwrap(), b"first");
    }

    #[test]
    fn a_link_that_came_out_goes_back_and_is_not_followed() {
        let scene = Scene::new();
        let link = |scene: &Scene| {
            fs::write(scene.at("canary"), OLD).unwrap();
            fs::remove_file(scene.at("a.md")).unwrap();
            std::os::unix::fs::symlink("canary", scene.at("a.md")).unwrap();
        };
        assert!(scene.raced(link, |_| {}).is_err());
        assert_eq!(
            fs::read_link(scene.at("a.md")).unwrap(),
            PathBuf::from("canary")
        );
        assert_eq!(fs::read(scene.at("canary")).unwrap(), OLD);
        assert_eq!(fs::read_dir(scene.dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn after_a_crash_no_version_of_upstream_is_lost() {
        for (name, aside, recovered, stands) in [
            (Some("old"), None, Recovered::Nothing, "old"),
            (Some("old"), Some("ours"), Recovered::Undone, "old"),
            (Some("ours"), Some("old"), Recovered::Done, "ours"),
            (Some("ours"), Some("first"), Recovered::Undone, "first"),
            (Some("first"), Some("ours"), Recovered::Undone, "first"),
            (None, Some("first"), Recovered::Undone, "first"),
        ] {
            let scene = Scene::new();
            fs::remove_file(scene.at("a.md")).unwrap();
            for (name, bytes) in [("a.md", name), (&scene.exchange.aside, aside)] {
                if let Some(bytes) = bytes {
                    fs::write(scene.at(name), bytes).unwrap();
                }
            }
            assert_eq!(scene.recover(), recovered, "{name:?} {aside:?}");
            assert_eq!(scene.files(), only("a.md", stands), "{name:?} {aside:?}");
            assert_eq!(scene.recover(), Recovered::Nothing);
        }
        // Two versions of upstream's: the later one.
        let scene = Scene::new();
        fs::write(scene.at(&scene.exchange.aside), "first").unwrap();
        std::thread::sleep(Duration::from_millis(10));
        scene.upstream("second");
        assert_eq!(scene.recover(), Recovered::Undone);
        assert_eq!(scene.files(), only("a.md", "second"));
    }

    #[test]
    fn no_link_is_followed_by_either_way_to_open() {
        let scene = Scene::new();
        fs::create_dir_all(scene.at("in/deep")).unwrap();
        fs::write(scene.at("in/b.md"), "b").unwrap();
        std::os::unix::fs::symlink("in", scene.at("link")).unwrap();
        std::os::unix::fs::symlink("b.md", scene.at("in/link.md")).unwrap();
        let folder = Folder::open(scene.dir.path()).unwrap();
        let opens = |path: &str, flags| {
            let beneath = folder.open_beneath(path.as_ref(), flags).is_ok();
            let stepwise = folder.open_stepwise(path.as_ref(), flags).is_ok();
            assert_eq!(beneath, stepwise, "{path}");
            beneath
        };
        for path in ["in", "in/deep"] {
            assert!(opens(path, STEP), "{path}");
        }
        for path in ["link", "link/deep", "a.md", "in/link.md"] {
            assert!(!opens(path, STEP), "{path}");
        }
        for path in ["a.md", "in/b.md"] {
            assert!(opens(path, FILE), "{path}");
        }
        for path in ["in/link.md", "link/b.md", "a.md/b.md", "in/c.md"] {
            assert!(!opens(path, FILE), "{path}");
        }
        assert!(matches!(
            folder.open_beneath("..".as_ref(), STEP),
            Err(Errno::XDEV)
        ));
        let read = |path: &str| folder.read(&Location::of(path.as_ref()));
        assert_eq!(read("in/b.md").unwrap().bytes, b"b");
        for path in ["in/link.md", "link/b.md", "a.md/b.md"] {
            assert!(matches!(read(path), Err(ReadError::Link)), "{path}");
        }
        for path in ["..", "../a.md", "in/../a.md", "/a.md", ""] {
            assert!(matches!(read(path), Err(ReadError::Outside)), "{path}");
        }
        assert!(matches!(read("in"), Err(ReadError::Special)));
        assert!(read("in/c.md").unwrap_err().is_gone());
    }
}
