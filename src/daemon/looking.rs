//! Looks at the sources: where hints point, and now and then at everything.

use super::InForce;
use super::supervise::{Job, Stop};
use crate::intake::{self, Control, Looked};
use crate::rules::RuleSet;
use crate::store::Store;
use crate::watch::hints::Watch;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// A whole pass comes after an hour, give or take a quarter, so that many services on one disk do
/// not look at the same moment.
const HOURLY: Duration = Duration::from_secs(3600);
/// A source whose folder cannot be watched is looked at this often.
const POLLED: Duration = Duration::from_secs(30);
/// What a pass missed is looked for again after this long: a little more than the grace.
const GRACE: Duration = Duration::from_secs(61);
/// A folder that is new is looked into again after these times: files that came before it was
/// watched are named in no event.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];
/// A file that is still being written is looked at again after this long.
const UNSETTLED: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(super) struct Looking {
    in_force: InForce,
    watching: Arc<Mutex<Watching>>,
    wake: Arc<Notify>,
    ready: Arc<watch::Sender<bool>>,
    stop: Stop,
}

/// What is watched and what is still to be looked at; outlives a failed tick.
struct Watching {
    watch: Watch,
    /// The folders of the sources if they are watched, else why they are not.
    folders: BTreeMap<PathBuf, Result<Watched, String>>,
    again: BTreeSet<(Instant, PathBuf)>,
    next_pass: Instant,
}

/// A folder that is watched. Another one that takes its place is not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    real: PathBuf,
    device: u64,
    inode: u64,
}

impl Watched {
    /// Events name files by the path that is watched, so that it must be the whole one.
    fn of(folder: &Path) -> std::io::Result<Self> {
        let real = folder.canonicalize()?;
        let metadata = real.metadata()?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Self {
            real,
            device,
            inode,
        })
    }
}

impl Looking {
    pub(super) fn new(
        in_force: InForce,
        wake: Arc<Notify>,
        ready: Arc<watch::Sender<bool>>,
        stop: Stop,
    ) -> Self {
        let waking = Arc::clone(&wake);
        let watch = Watch::new(move || waking.notify_one());
        let (folders, again) = (BTreeMap::new(), BTreeSet::new());
        let watching = Watching {
            watch,
            folders,
            again,
            next_pass: Instant::now(),
        };
        Self {
            in_force,
            watching: Arc::new(Mutex::new(watching)),
            wake,
            ready,
            stop,
        }
    }

    pub(super) fn clone_job(&self) -> Job {
        let looking = self.clone();
        Job::new(move |store, now| looking.tick(store, now))
    }

    fn tick(&self, store: &mut Store, now: Timestamp) -> anyhow::Result<()> {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = self.look(&mut watching, store, now);
        if looked.is_err() {
            // What was hinted at is forgotten, so that only a whole pass finds it.
            watching.next_pass = Instant::now();
        }
        looked
    }

    fn look(
        &self,
        watching: &mut Watching,
        store: &mut Store,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let rules = self.in_force.get();
        let hints = watching.watch.take();
        // Folders that were made while events were lost are not watched yet.
        let added = watching.follow(&rules, store, hints.rescan)?;
        tracing::debug!(?hints, "Hints");
        let control = Control {
            stop: &|| {
                self.stop.goes_on("watch and scan");
                self.stop.is_asked()
            },
            progress: &|_, _| self.stop.goes_on("watch and scan"),
            patient: true,
        };
        if added || hints.rescan || watching.next_pass <= Instant::now() {
            watching.plan_pass();
            let (_, looked) = intake::scan(store, &rules, now, &control)?;
            watching.plan_again(looked);
            watching.look_into_again(&hints.paths);
            if !self.stop.is_asked() {
                self.ready.send_replace(true);
            }
            // What came meanwhile is looked at in the next tick, at once.
            self.wake.notify_one();
            return Ok(());
        }
        let due = watching.take_due();
        let paths: BTreeSet<PathBuf> = hints.paths.into_iter().chain(due.iter().cloned()).collect();
        for source in &rules.sources {
            let Some(Ok(folder)) = watching.folders.get(&source.path).cloned() else {
                continue;
            };
            let below = |path: &PathBuf| path.strip_prefix(&folder.real).ok().map(Path::to_owned);
            let below: Vec<PathBuf> = paths.iter().filter_map(below).collect();
            if below.is_empty() {
                continue;
            }
            let looked = intake::look_at(store, &rules, source, &below, now)?;
            watching.plan_again(looked);
        }
        watching.look_into_again(paths.difference(&due));
        self.wake_for(watching);
        Ok(())
    }

    /// Wakes the loop when something is to be looked at again before its usual time.
    fn wake_for(&self, watching: &Watching) {
        if let Some((at, _)) = watching.again.first() {
            let (wait, wake) = (
                at.saturating_duration_since(Instant::now()),
                Arc::clone(&self.wake),
            );
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    tokio::time::sleep(wait).await;
                    wake.notify_one();
                });
            }
        }
    }
}

impl Watching {
    /// Watches the folders that the rules name, and no others; `anew` with all that is below them.
    /// Returns whether one is new.
    fn follow(&mut self, rules: &RuleSet, store: &mut Store, anew: bool) -> anyhow::Result<bool> {
        let wanted: BTreeSet<&PathBuf> = rules.sources.iter().map(|source| &source.path).collect();
        let old: Vec<PathBuf> = self
            .folders
            .keys()
            .filter(|folder| !wanted.contains(folder))
            .cloned()
            .collect();
        for folder in old {
            if let Some(Ok(real)) = self.folders.remove(&folder) {
                self.watch.remove(&real.real);
            }
        }
        let mut added = false;
        for source in &rules.sources {
            match self.folders.get(&source.path) {
                Some(Ok(old)) => {
                    let stands = Watched::of(&source.path).is_ok_and(|found| found == *old);
                    if stands && !anew {
                        continue;
                    }
                    if !stands {
                        self.watch.remove(&old.real.clone());
                    }
                }
                // One that could not be watched is tried again with each whole pass.
                Some(Err(_)) if self.next_pass > Instant::now() => continue,
                _ => {}
            }
            let found = Watched::of(&source.path).map_err(|error| error.to_string());
            let watched = found.and_then(|found| self.watch.add(&found.real).map(|()| found));
            if self.folders.get(&source.path) != Some(&watched) {
                added = true;
                let polled = watched.as_ref().err().map(String::as_str);
                if let Some(error) = polled {
                    tracing::warn!(
                        source = source.name,
                        "The source is polled, since it cannot be watched: {error}"
                    );
                }
                store.write(|tx| tx.set_polled(&source.name, polled))?;
            }
            self.folders.insert(source.path.clone(), watched);
        }
        Ok(added)
    }

    fn plan_pass(&mut self) {
        let polled = self.folders.values().any(Result::is_err);
        let quarter = HOURLY / 4;
        let jitter = Duration::from_secs(
            u64::from(uuid::Uuid::now_v7().as_bytes()[15]) * quarter.as_secs() / 128,
        );
        let wait = if polled {
            POLLED
        } else {
            HOURLY - quarter + jitter
        };
        self.next_pass = Instant::now() + wait;
    }

    /// Plans to look again at what could not be judged yet.
    fn plan_again(&mut self, looked: Looked) {
        if looked.missing {
            self.pass_within(GRACE);
        }
        for file in looked.unsettled {
            let watched = self.folders.iter().find_map(|(path, folder)| {
                let below = file.strip_prefix(path).ok()?;
                Some(folder.as_ref().ok()?.real.join(below))
            });
            match watched {
                Some(file) => drop(self.again.insert((Instant::now() + UNSETTLED, file))),
                None => self.pass_within(UNSETTLED),
            }
        }
    }

    /// Plans to look again into those of these paths that are folders.
    fn look_into_again<'p>(&mut self, paths: impl IntoIterator<Item = &'p PathBuf>) {
        for folder in paths.into_iter().filter(|path| path.is_dir()) {
            for wait in AGAIN {
                self.again.insert((Instant::now() + wait, folder.clone()));
            }
        }
    }

    fn pass_within(&mut self, wait: Duration) {
        self.next_pass = self.next_pass.min(Instant::now() + wait);
    }

    /// Takes the paths whose time has come.
    fn take_due(&mut self) -> BTreeSet<PathBuf> {
        let later = self.again.split_off(&(Instant::now(), PathBuf::new()));
        let due = std::mem::replace(&mut self.again, later);
        due.into_iter().map(|(_, path)| path).collect()
    }
}
