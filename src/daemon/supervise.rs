//! Runs a job over and over, whatever becomes of it.

use crate::store::Store;
use jiff::Timestamp;
use sd_notify::NotifyState;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

type Tick = dyn FnMut(&mut Store, Timestamp) -> anyhow::Result<()> + Send;

/// Work that one loop does: a function of the database and the time.
pub(super) struct Job(Box<Tick>);

impl Job {
    pub(super) fn new(
        tick: impl FnMut(&mut Store, Timestamp) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self(Box::new(tick))
    }
}

/// Whether the service is to stop, and how its loops are; shared by all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    wake: Arc<Notify>,
    /// When each loop last ended a tick, or began one that still runs.
    alive: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

impl Stop {
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.wake.notify_waiters();
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until the service is to stop.
    pub(super) async fn asked(&self) {
        while !self.is_asked() {
            self.wait(Duration::from_secs(3600)).await;
        }
    }

    /// Waits for a time, unless the service is to stop.
    async fn wait(&self, time: Duration) {
        let stopped = self.wake.notified();
        if !self.is_asked() {
            tokio::select! {
                () = stopped => {}
                () = tokio::time::sleep(time) => {}
            }
        }
    }

    fn lives(&self, name: &'static str) {
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Instant::now());
    }

    /// Says that a long tick goes on.
    pub(super) fn goes_on(&self, name: &'static str) {
        self.lives(name);
    }

    /// The loops of which nothing is heard.
    pub(super) fn unheard_of(&self) -> Vec<&'static str> {
        self.silent(SILENT)
    }

    /// How long ago each loop was last heard of.
    pub(super) fn heard(&self) -> Vec<(&'static str, Duration)> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = alive.iter().map(|(name, last)| (*name, last.elapsed()));
        heard.collect()
    }

    /// The loops that have not been heard of for a time.
    fn silent(&self, time: Duration) -> Vec<&'static str> {
        let silent = self.heard().into_iter().filter(|(_, ago)| *ago > time);
        silent.map(|(name, _)| name).collect()
    }
}

/// A loop: its name, how often it ticks, and what wakes it in between.
pub(super) struct Loop {
    name: &'static str,
    every: Duration,
    wake: Arc<Notify>,
    stop: Stop,
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// What failed for want of space, or of a lock, goes on within a minute of having it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Loop {
    pub(super) fn new(name: &'static str, every: Duration, stop: Stop) -> Self {
        Self {
            name,
            every,
            wake: Arc::new(Notify::new()),
            stop,
        }
    }

    pub(super) fn woken_by(self, wake: &Arc<Notify>) -> Self {
        Self {
            wake: Arc::clone(wake),
            ..self
        }
    }

    /// Ticks until the service stops. After a failure the database is opened and the job made anew.
    pub(super) async fn run(
        self,
        open: impl Fn() -> anyhow::Result<Store> + Send + 'static,
        make: impl Fn() -> Job + Send + 'static,
    ) {
        let Self {
            name,
            every,
            wake,
            stop,
        } = self;
        let mut pause = FIRST_PAUSE;
        let mut at_work: Option<(Store, Job)> = None;
        let mut failing = false;
        while !stop.is_asked() {
            stop.lives(name);
            let start = match at_work.take() {
                Some(pair) => Ok(pair),
                None => open().map(|store| (store, make())),
            };
            let ended = match start {
                Ok((store, job)) => tokio::task::spawn_blocking(move || tick(store, job))
                    .await
                    .unwrap_or_else(|error| Err(error.into())),
                Err(error) => Err(error),
            };
            stop.lives(name);
            match ended {
                Ok(mut pair) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("The {name} loop works again");
                        drop(pair.0.write(|tx| tx.loop_works(name)));
                    }
                    pause = FIRST_PAUSE;
                    at_work = Some(pair);
                    tokio::select! {
                        () = stop.wait(every) => {}
                        () = wake.notified() => {}
                    }
                }
                Err(error) => {
                    failing = true;
                    tracing::error!(
                        "The {name} loop failed and is tried again in {pause:?}: {error:#}"
                    );
                    if let Ok(mut store) = open() {
                        drop(store.write(|tx| {
                            tx.loop_fails(name, &format!("{error:#}"), Timestamp::now())
                        }));
                    }
                    stop.wait(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        tracing::debug!("The {name} loop has ended");
    }
}

/// One tick; the database and the job come back only if it succeeded.
fn tick(mut store: Store, mut job: Job) -> anyhow::Result<(Store, Job)> {
    let done = catch_unwind(AssertUnwindSafe(|| (job.0)(&mut store, Timestamp::now())));
    match done {
        Ok(Ok(())) => Ok((store, job)),
        Ok(Err(error)) => Err(error),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            anyhow::bail!("it panicked: {}", text.unwrap_or_default())
        }
    }
}

/// A loop may be silent this long before systemd is no longer told that all is well: a pause after
/// failures and an SMTP server's longest silence are shorter, and a full pass over much content
/// says in between that it goes on.
const SILENT: Duration = Duration::from_secs(1_200);

/// Notes now and then that the service runs, and tells systemd so: only when the database answers
/// and every loop has been heard of.
pub(super) async fn beat(store: Store, stop: Stop) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(Duration::from_secs(30), |limit| {
        (limit / 3).min(Duration::from_secs(30))
    });
    let mut store = Some(store);
    while !stop.is_asked() {
        if let Some(mut open) = store.take() {
            let noted = tokio::task::spawn_blocking(move || {
                let noted = open.write(|tx| tx.service_beats(Timestamp::now()));
                (open, noted)
            });
            match noted.await {
                Ok((open, noted)) => {
                    store = Some(open);
                    let silent = stop.unheard_of();
                    match noted {
                        Ok(()) if silent.is_empty() => super::tell(&[NotifyState::Watchdog]),
                        Ok(()) => tracing::error!("Nothing is heard of: {}", silent.join(", ")),
                        Err(error) => tracing::error!("{error}"),
                    }
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
        stop.wait(every).await;
    }
    if let Some(mut store) = store {
        drop(store.write(|tx| tx.service_stopped()));
    }
    tracing::debug!("The beat has ended");
}
