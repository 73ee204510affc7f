//! Looks at the sources: where hints point, and now and then at everything.

use super::InForce;
use super::supervise::{Job, Stop};
use crate::intake::{self, Control};
use crate::rules::RuleSet;
use crate::store::Store;
use crate::watch::hints::Watch;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

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
    ready: Arc<Notify>,
    passed: Arc<AtomicBool>,
    stop: Stop,
}

/// What is watched and what is still to be looked at; outlives a failed tick.
struct Watching {
    watch: Watch,
    /// The folders of the sources: their real paths if they are watched, else why they are not.
    folders: BTreeMap<PathBuf, Result<PathBuf, String>>,
    again: BTreeSet<(Instant, PathBuf)>,
    next_pass: Instant,
}

impl Looking {
    pub(super) fn new(
        in_force: InForce,
        wake: Arc<Notify>,
        ready: Arc<Notify>,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let waking = Arc::clone(&wake);
        let watch = Watch::new(move || waking.notify_one()).map_err(anyhow::Error::msg)?;
        let (folders, again) = (BTreeMap::new(), BTreeSet::new());
        let watching = Watching {
            watch,
            folders,
            again,
            next_pass: Instant::now(),
        };
        Ok(Self {
            in_force,
            watching: Arc::new(Mutex::new(watching)),
            wake,
            ready,
            passed: Arc::default(),
            stop,
        })
    }

    /// Whether the first whole pass has ended.
    pub(super) fn first_pass(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.passed)
    }

    pub(super) fn clone_job(&self) -> Job {
        let looking = self.clone();
        Job::new(move |store, now| looking.tick(store, now))
    }

    fn tick(&self, store: &mut Store, now: Timestamp) -> anyhow::Result<()> {
        let rules = self.in_force.get();
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let added = watching.follow(&rules, store)?;
        let hints = watching.watch.take();
        tracing::debug!(?hints, "Hints");
        let control = Control {
            stop: &|| self.stop.is_asked(),
            progress: &|_, _| self.stop.goes_on("watch and scan"),
        };
        if added || hints.rescan || watching.next_pass <= Instant::now() {
            watching.plan_pass();
            watching.again.clear();
            let (_, pass) = intake::scan(store, &rules, now, &control)?;
            if pass.missing {
                watching.pass_within(GRACE);
            }
            self.passed.store(true, Ordering::SeqCst);
            self.ready.notify_one();
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
            let below = |path: &PathBuf| path.strip_prefix(&folder).ok().map(Path::to_owned);
            let below: Vec<PathBuf> = paths.iter().filter_map(below).collect();
            if below.is_empty() {
                continue;
            }
            let looked = intake::look_at(store, &rules, source, &below, now)?;
            if looked.missing {
                watching.pass_within(GRACE);
            }
            for path in looked.unsettled {
                watching
                    .again
                    .insert((Instant::now() + UNSETTLED, folder.join(path)));
            }
        }
        for folder in paths
            .iter()
            .filter(|path| !due.contains(*path) && path.is_dir())
        {
            for wait in AGAIN {
                watching
                    .again
                    .insert((Instant::now() + wait, folder.clone()));
            }
        }
        self.wake_for(&watching);
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
    /// Watches the folders that the rules name, and no others. Returns whether one is new.
    fn follow(&mut self, rules: &RuleSet, store: &mut Store) -> anyhow::Result<bool> {
        let wanted: BTreeSet<&PathBuf> = rules.sources.iter().map(|source| &source.path).collect();
        let old: Vec<PathBuf> = self
            .folders
            .keys()
            .filter(|folder| !wanted.contains(folder))
            .cloned()
            .collect();
        for folder in old {
            if let Some(Ok(real)) = self.folders.remove(&folder) {
                self.watch.remove(&real);
            }
        }
        let mut added = false;
        for source in &rules.sources {
            match self.folders.get(&source.path) {
                Some(Ok(folder)) if folder.is_dir() => continue,
                // One that could not be watched is tried again with each whole pass.
                Some(Err(_)) if self.next_pass > Instant::now() => continue,
                _ => {}
            }
            // Events name files by the path that is watched, so that it must be the whole one.
            let real = source
                .path
                .canonicalize()
                .map_err(|error| error.to_string());
            let watched = real.and_then(|folder| self.watch.add(&folder).map(|()| folder));
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
