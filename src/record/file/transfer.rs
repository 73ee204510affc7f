//! A file moved out of its source, or back into it, without losing what upstream writes in the same
//! moment.
//!
//! On its way it has a name in the source's folder that nobody else knows, and only what came out
//! under that name tells whether the right version was moved: had upstream rewritten the file in
//! between, that version came out, and it goes back. Where the file goes, nothing is ever written
//! over but our own earlier copy of it.

use super::replace::{Exchange, Place, WriteError};
use super::{Folder, Stat};
use crate::record::location::Location;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;

/// Which way a file is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Out of its source.
    Out,
    /// Back into it.
    Back,
}

impl Way {
    /// The word for it, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Back => "back",
        }
    }

    /// The way of a stored word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Out, Self::Back]
            .into_iter()
            .find(|way| way.as_str() == word)
    }
}

/// A source's folder and the one that its files are moved to; a file has the same path below both.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'f> {
    /// The source's folder.
    pub source: &'f Folder,
    /// The folder beside it.
    pub archive: &'f Folder,
    /// Which way files are moved.
    pub way: Way,
}

/// What a move that was cut short has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The file was moved, or stands there already; its state, if it is still known.
    There(Option<Stat>),
    /// It was not moved, or upstream wrote it in the same moment.
    NotThere,
}

/// The two ends of one file's way.
struct Ends {
    from: Place,
    to: Place,
    way: Way,
}

impl Transfer<'_> {
    /// Moves a file, if it holds what hashes to [`Exchange::old`]; over what stands where it goes
    /// only if it goes out and that hashes to [`Exchange::new`]. Returns the state of the file then.
    ///
    /// # Errors
    /// [`WriteError`]; the file is as upstream left it then, but for [`WriteError::Halfway`].
    pub fn carry(&self, location: &Location, exchange: &Exchange) -> Result<Stat, WriteError> {
        let to = match self.way {
            Way::Out => self.archive,
            Way::Back => self.source,
        };
        to.make_parent(location)?;
        self.ends(location, exchange)?.carry(exchange)
    }

    /// Puts right what a move that was cut short has left: the file is at one of its two ends
    /// afterwards, and nothing stands between.
    ///
    /// # Errors
    /// [`WriteError`]; what is left is left as it is then.
    pub fn recover(&self, location: &Location, exchange: &Exchange) -> Result<Carried, WriteError> {
        // Both stood when the move began; upstream may have removed its own since.
        self.source.make_parent(location)?;
        self.archive.make_parent(location)?;
        self.ends(location, exchange)?.recover(exchange)
    }

    fn ends(&self, location: &Location, exchange: &Exchange) -> Result<Ends, WriteError> {
        let place = |folder: &Folder| {
            let (folder, name) = folder.parent(location)?;
            let aside = exchange.aside.clone();
            Ok::<_, WriteError>(Place {
                folder,
                name,
                aside,
            })
        };
        let (source, archive) = (place(self.source)?, place(self.archive)?);
        let (from, to) = match self.way {
            Way::Out => (source, archive),
            Way::Back => (archive, source),
        };
        let way = self.way;
        Ok(Ends { from, to, way })
    }
}

impl Ends {
    /// Where the file is while it is on its way: in the source's folder, whichever way it goes.
    fn between(&self) -> &Place {
        match self.way {
            Way::Out => &self.from,
            Way::Back => &self.to,
        }
    }

    fn carry(&self, exchange: &Exchange) -> Result<Stat, WriteError> {
        let between = self.between();
        self.from.open_old(exchange)?;
        match self.to.look(&self.to.name) {
            Err(Errno::NOENT) => {}
            Ok(stands) if self.way == Way::Out && stands.hash == Some(exchange.new) => {}
            Ok(_) => return Err(WriteError::Taken),
            Err(errno) => return Err(errno.into()),
        }
        // Whatever has the name by now; nobody has the other.
        let (from, aside) = (&self.from, between.aside.as_str());
        match rustix::fs::renameat(&from.folder, &from.name, &between.folder, aside) {
            Err(Errno::NOENT) => return Err(WriteError::Changed),
            renamed => renamed?,
        }
        let moved = between.came_out(exchange).and_then(|file| {
            self.arrive(exchange)?;
            Ok(file)
        });
        let file = match moved {
            Ok(file) => File::from(file),
            Err(error @ WriteError::Halfway(_)) => return Err(error),
            Err(error) => {
                self.go_back()?;
                return Err(error);
            }
        };
        self.sync()?;
        let metadata = file.metadata().map_err(WriteError::Halfway)?;
        Ok(Stat::of(&metadata))
    }

    /// Gives the file the name where it goes.
    fn arrive(&self, exchange: &Exchange) -> Result<(), WriteError> {
        let (between, to) = (self.between(), &self.to);
        match rename_new(between, &to.folder, &to.name) {
            Ok(()) => return Ok(()),
            Err(Errno::XDEV) => return Err(WriteError::Elsewhere),
            Err(Errno::EXIST) if self.way == Way::Out => {}
            Err(Errno::EXIST) => return Err(WriteError::Taken),
            Err(errno) => return Err(errno.into()),
        }
        let stands = to.look(&to.name)?.hash;
        if stands == Some(exchange.old) {
            // The same bytes: our earlier copy, or this very move, cut short.
            return Ok(between.unlink()?);
        }
        if stands != Some(exchange.new) {
            return Err(WriteError::Taken);
        }
        match self.exchange() {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let aside = between.aside.as_str();
                rustix::fs::renameat(&between.folder, aside, &to.folder, &to.name)?;
                return Ok(());
            }
            Err(errno) => return Err(errno.into()),
        }
        self.drop_earlier(exchange)
    }

    /// After our earlier copy has come out: removes it, or puts back what else it was.
    fn drop_earlier(&self, exchange: &Exchange) -> Result<(), WriteError> {
        let between = self.between();
        let halfway = |errno: Errno| WriteError::Halfway(errno.into());
        let out = between.look(between.aside.as_ref()).map_err(halfway)?;
        if out.hash == Some(exchange.new) {
            return between.unlink().map_err(halfway);
        }
        self.exchange().map_err(halfway)?;
        Err(WriteError::Taken)
    }

    fn exchange(&self) -> Result<(), Errno> {
        let (between, to) = (self.between(), &self.to);
        let (aside, flags) = (between.aside.as_str(), RenameFlags::EXCHANGE);
        rustix::fs::renameat_with(&between.folder, aside, &to.folder, &to.name, flags)
    }

    /// Brings the file back to where it came from. Should upstream have written there meanwhile,
    /// that is newer, and would have replaced it.
    fn go_back(&self) -> Result<(), WriteError> {
        let (between, from) = (self.between(), &self.from);
        let back = match rename_new(between, &from.folder, &from.name) {
            Err(Errno::EXIST) if self.way == Way::Out => between.unlink(),
            back => back,
        };
        back.map_err(|errno| WriteError::Halfway(errno.into()))?;
        self.sync()
    }

    fn recover(&self, exchange: &Exchange) -> Result<Carried, WriteError> {
        let between = self.between();
        let left = match between.look(between.aside.as_ref()) {
            Ok(left) => left,
            Err(Errno::NOENT) => return self.found(exchange),
            Err(errno) => return Err(errno.into()),
        };
        let arrived = if left.hash == Some(exchange.old) {
            self.arrive(exchange)
        } else if self.way == Way::Out
            && exchange.new != exchange.old
            && self.hash_there()? == Some(exchange.old)
        {
            self.drop_earlier(exchange)
        } else {
            Err(WriteError::Changed)
        };
        match arrived {
            Ok(()) => self.sync()?,
            Err(error @ (WriteError::Halfway(_) | WriteError::Io(_))) => return Err(error),
            Err(_) => {
                self.go_back()?;
                return Ok(Carried::NotThere);
            }
        }
        self.found(exchange)
    }

    /// Where the file is, when it is not on its way.
    fn found(&self, exchange: &Exchange) -> Result<Carried, WriteError> {
        let is_there = match self.way {
            Way::Out => self.hash_there()? == Some(exchange.old),
            Way::Back => self.from.look(&self.from.name) == Err(Errno::NOENT),
        };
        if !is_there {
            return Ok(Carried::NotThere);
        }
        let stat = self.to.open_old(exchange).ok().map(File::from);
        let metadata = stat.and_then(|file| file.metadata().ok());
        Ok(Carried::There(metadata.map(|found| Stat::of(&found))))
    }

    fn hash_there(&self) -> Result<Option<crate::record::Hash>, WriteError> {
        match self.to.look(&self.to.name) {
            Ok(stands) => Ok(stands.hash),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync(&self) -> Result<(), WriteError> {
        let both =
            rustix::fs::fsync(&self.to.folder).and_then(|()| rustix::fs::fsync(&self.from.folder));
        both.map_err(|errno| WriteError::Halfway(errno.into()))
    }
}

/// Gives what stands aside another name, if that is free.
fn rename_new(place: &Place, to: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let (folder, aside) = (&place.folder, place.aside.as_str());
    match rustix::fs::renameat_with(folder, aside, to, name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            // A second name is refused as well where one stands, and nobody knows the first.
            rustix::fs::linkat(folder, aside, to, name, AtFlags::empty())?;
            place.unlink()
        }
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Hash;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use tempfile::TempDir;

    const OLD: &[u8] = b"old";
    const EARLIER: &[u8] = b"earlier";

    /// A source with one file in it, and a folder to move it to.
    struct Scene {
        dir: TempDir,
        exchange: Exchange,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for folder in ["source/in", "archive"] {
                fs::create_dir_all(dir.path().join(folder)).unwrap();
            }
            fs::write(dir.path().join("source/in/a.md"), OLD).unwrap();
            let exchange = Exchange::new(Hash::of(OLD), Hash::of(EARLIER));
            Self { dir, exchange }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn with<T>(&self, way: Way, work: impl FnOnce(&Transfer<'_>, &Location) -> T) -> T {
            let open = |path| Folder::open(&self.at(path)).unwrap();
            let (source, archive) = (&open("source"), &open("archive"));
            let transfer = Transfer {
                source,
                archive,
                way,
            };
            work(&transfer, &Location::of("in/a.md".as_ref()))
        }

        fn carry(&self, way: Way) -> Result<Stat, WriteError> {
            self.with(way, |transfer, at| transfer.carry(at, &self.exchange))
        }

        fn recover(&self, way: Way) -> bool {
            let recovered = self.with(way, |transfer, at| transfer.recover(at, &self.exchange));
            recovered.unwrap() != Carried::NotThere
        }

        /// What stands in the source, on its way, and in the archive.
        fn stands(&self) -> [Option<String>; 3] {
            let aside = format!("source/in/{}", self.exchange.aside);
            ["source/in/a.md", &aside, "archive/in/a.md"]
                .map(|path| fs::read_to_string(self.at(path)).ok())
        }

        fn set(&self, path: &str, bytes: Option<&str>) {
            let path = self.at(path);
            match bytes {
                Some(bytes) => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, bytes).unwrap();
                }
                None => drop(fs::remove_file(path)),
            }
        }
    }

    fn only(source: Option<&str>, archive: Option<&str>) -> [Option<String>; 3] {
        [source.map(str::to_owned), None, archive.map(str::to_owned)]
    }

    #[test]
    fn a_file_goes_out_and_comes_back_as_it_is() {
        let scene = Scene::new();
        let stat = |path: &str| Stat::of(&fs::metadata(scene.at(path)).unwrap());
        let before = stat("source/in/a.md");
        let after = scene.carry(Way::Out).unwrap();
        assert_eq!(scene.stands(), only(None, Some("old")));
        assert_eq!(after, stat("archive/in/a.md"));
        assert_eq!(before.through_renames(), after.through_renames());
        fs::remove_dir(scene.at("source/in")).unwrap();
        let after = scene.carry(Way::Back).unwrap();
        assert_eq!(scene.stands(), only(Some("old"), None));
        assert_eq!(after, stat("source/in/a.md"));
    }

    #[test]
    fn nothing_is_written_over_but_our_earlier_copy() {
        for (archive, over) in [("earlier", true), ("old", false), ("another's", false)] {
            let scene = Scene::new();
            scene.set("archive/in/a.md", Some(archive));
            let carried = scene.carry(Way::Out);
            if over {
                carried.unwrap();
                assert_eq!(scene.stands(), only(None, Some("old")));
            } else {
                assert!(matches!(carried, Err(WriteError::Taken)), "{archive}");
                assert_eq!(scene.stands(), only(Some("old"), Some(archive)));
            }
        }
        let scene = Scene::new();
        scene.set("archive/in/a.md", Some("old"));
        scene.set("source/in/a.md", Some("earlier"));
        assert!(matches!(scene.carry(Way::Back), Err(WriteError::Taken)));
        assert_eq!(scene.stands(), only(Some("earlier"), Some("old")));
    }

    #[test]
    fn what_is_not_what_was_read_or_has_two_names_stays() {
        let scene = Scene::new();
        fs::hard_link(scene.at("source/in/a.md"), scene.at("b.md")).unwrap();
        assert!(matches!(scene.carry(Way::Out), Err(WriteError::HardLink)));
        scene.set("b.md", None);
        scene.set("source/in/a.md", Some("upstream"));
        assert!(matches!(scene.carry(Way::Out), Err(WriteError::Changed)));
        assert_eq!(scene.stands(), only(Some("upstream"), None));
        scene.set("source/in/a.md", None);
        symlink(scene.at("archive"), scene.at("source/in/a.md")).unwrap();
        assert!(scene.carry(Way::Out).is_err());
        assert!(scene.at("source/in/a.md").is_symlink());
    }

    #[test]
    fn no_link_is_followed_on_the_way_there() {
        let scene = Scene::new();
        fs::create_dir(scene.at("outside")).unwrap();
        symlink(scene.at("outside"), scene.at("archive/in")).unwrap();
        assert!(scene.carry(Way::Out).is_err());
        assert_eq!(fs::read_dir(scene.at("outside")).unwrap().count(), 0);
        assert_eq!(scene.stands()[0].as_deref(), Some("old"));
    }

    #[test]
    fn after_a_crash_the_file_is_at_one_end_and_nothing_is_lost() {
        use Way::{Back, Out};
        type Found = Option<&'static str>;
        let (old, new, first) = (Some("old"), Some("earlier"), Some("first"));
        let another = Some("another's");
        // Source, on its way, archive; whether it has arrived, source, archive.
        let cases: [(Way, [Found; 3], bool, [Found; 2]); 20] = [
            (Out, [old, None, None], false, [old, None]),
            (Out, [old, None, new], false, [old, new]),
            (Out, [None, old, None], true, [None, old]),
            (Out, [None, old, new], true, [None, old]),
            (Out, [None, old, old], true, [None, old]),
            (Out, [None, old, another], false, [old, another]),
            (Out, [None, new, old], true, [None, old]),
            (Out, [None, None, old], true, [None, old]),
            // Upstream wrote before the move, after it, and both.
            (Out, [None, first, None], false, [first, None]),
            (Out, [None, first, new], false, [first, new]),
            (Out, [first, old, None], true, [first, old]),
            (Out, [first, None, old], true, [first, old]),
            (
                Out,
                [Some("second"), first, None],
                false,
                [Some("second"), None],
            ),
            // Upstream's newer version takes the place of one that cannot be moved.
            (Out, [first, old, another], false, [first, another]),
            (Back, [None, None, old], false, [None, old]),
            (Back, [None, old, None], true, [old, None]),
            (Back, [old, None, None], true, [old, None]),
            (Back, [first, old, None], false, [first, old]),
            (Back, [None, another, None], false, [None, another]),
            (Back, [first, None, None], true, [first, None]),
        ];
        for (way, found, arrived, stands) in cases {
            let scene = Scene::new();
            let aside = format!("source/in/{}", scene.exchange.aside);
            for (path, bytes) in ["source/in/a.md", &aside, "archive/in/a.md"]
                .iter()
                .zip(found)
            {
                scene.set(path, bytes);
            }
            let told = format!("{way:?} {found:?}");
            assert_eq!(scene.recover(way), arrived, "{told}");
            assert_eq!(scene.stands(), only(stands[0], stands[1]), "{told}");
            assert_eq!(scene.recover(way), arrived, "{told}, again");
            assert_eq!(scene.stands(), only(stands[0], stands[1]), "{told}, again");
        }
    }

    /// Moves while upstream writes in a loop; every version of it that is not the newest may go, and
    /// the newest never.
    #[test]
    fn upstream_that_writes_meanwhile_loses_nothing() {
        for n in 0..40_u64 {
            let scene = Scene::new();
            let upstream = || {
                let wait = std::time::Duration::from_micros(n * 40);
                let started = std::time::Instant::now();
                while started.elapsed() < wait {
                    std::hint::spin_loop();
                }
                fs::write(scene.at(".new"), "newer").unwrap();
                fs::rename(scene.at(".new"), scene.at("source/in/a.md")).unwrap();
            };
            let carried = std::thread::scope(|scope| {
                scope.spawn(upstream);
                scene.carry(Way::Out)
            });
            let [source, aside, archive] = scene.stands();
            assert_eq!((source.as_deref(), aside), (Some("newer"), None));
            assert_eq!(archive.as_deref(), carried.is_ok().then_some("old"));
        }
    }
}
