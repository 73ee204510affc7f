//! The service: every background job in a loop of its own, started, supervised and stopped here.
//!
//! This is the only file that knows every loop. A job is a synchronous `tick`: it looks at the
//! database, does what is due, and returns; it remembers nothing that matters, so it can be cut
//! short anywhere. Timing, waking and stopping are here. A tick that fails or panics is tried again
//! after a pause that doubles, and is named in `status` until it succeeds.

mod looking;
mod ping;
mod reload;
mod supervise;

use crate::config::{Listen, Secret, Web};
use crate::daemon::looking::Looking;
use crate::daemon::ping::Ping;
use crate::daemon::reload::Reload;
use crate::daemon::supervise::{Job, Loop, Stop};
use crate::notify::outbox::Outbox;
use crate::rules::RuleSet;
use crate::store::Store;
use crate::store::lock::Lock;
use crate::store::retention;
use crate::{http, intake, notify, write_back};
use anyhow::Context;
use jiff::Timestamp;
use sd_notify::NotifyState;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What the service is started with.
#[derive(Debug)]
pub struct Settings {
    /// The folder of rule files.
    pub rules: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// The lock of the state folder.
    pub lock: PathBuf,
    /// In place of the path of the one source.
    pub content: Option<PathBuf>,
    /// Where mails go; the address that their links lead to is found here.
    pub outbox: Outbox,
    /// Where browsers reach the desk.
    pub web: Web,
    /// Who is told of a link that signs in, once, when the service starts.
    pub welcome: Option<Welcome>,
    /// What is asked now and then while all is well.
    pub ping: Option<Secret>,
}

/// Someone who may sign in when the service starts.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The address of a reviewer; empty for whoever stands at the terminal, which holds while the rules
    /// name no reviewer.
    pub reviewer: String,
    /// Is given the link.
    pub tell: fn(&str),
}

/// How the service is told to stop or to look at its rules again.
pub trait Signals: Send + 'static {
    /// Waits for the next wish.
    fn next(&mut self) -> impl Future<Output = Wish> + Send;
}

/// What someone outside wants of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// End what is being done and stop; asked again: stop at once.
    Stop,
    /// Look at the rules now.
    Reload,
}

/// The rule set in force, shared by all loops.
#[derive(Clone, Debug)]
struct InForce(Arc<RwLock<Arc<RuleSet>>>);

impl InForce {
    fn get(&self) -> Arc<RuleSet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, rules: RuleSet) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

/// The longest that a stop waits for ticks to end.
const DRAIN: Duration = Duration::from_secs(4);
/// How often decisions of other processes are looked for.
const DECISIONS: Duration = Duration::from_millis(500);

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start: the state folder is in use, the rules do not load, the database cannot be
/// opened, the address is taken. Once it runs, what fails is tried again.
pub async fn run(
    mut settings: Settings,
    mut rules: RuleSet,
    mut signals: impl Signals,
) -> anyhow::Result<()> {
    let _lock = Lock::wait(&settings.lock)?;
    let ping = settings.ping.as_ref().map(Ping::new).transpose()?;
    let door = match settings.web.listen {
        Listen::On(address) => Some(http::Door::open(address)?),
        Listen::Off => None,
    };
    if let Some(door) = &door {
        settings.web = settings.web.at(door.address);
        tracing::info!("Listening on http://{}", door.address);
    }
    settings.outbox.desk.1 = settings.web.url();
    place_content(&mut rules, settings.content.as_ref())?;
    let mut store = Store::open(&settings.database)?;
    // After a power cut or a kill, damage is to be found before anything is built on it.
    let last = store.read(|tx| tx.service())?;
    if last.is_none_or(|last| !last.stopped) {
        store.look_through()?;
    }
    let started = Timestamp::now();
    write_back::sweep(&mut store, &rules, started)?;
    store.write(|tx| tx.service_started(std::process::id(), started))?;
    if let (Some(Welcome { reviewer, tell }), Some(url)) = (&settings.welcome, settings.web.url())
        && let Some(link) = http::sign_in_link(&mut store, &url, reviewer, started)?
    {
        tell(&link);
    }
    let in_force = InForce(Arc::new(RwLock::new(Arc::new(rules))));
    let stop = Stop::default();
    let (ready, first_pass) = watch::channel(false);
    let (look, reloaded, check_rules) = (
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
    );

    let open = {
        let database = settings.database.clone();
        move || Store::open(&database).context("the database")
    };
    let every = |name, seconds| Loop::new(name, Duration::from_secs(seconds), stop.clone());
    let mut loops = tokio::task::JoinSet::new();

    let looking = Looking::new(
        in_force.clone(),
        Arc::clone(&look),
        Arc::new(ready),
        stop.clone(),
    );
    let watch = every("watch and scan", 1).woken_by(&look);
    loops.spawn(watch.run(open.clone(), move || looking.clone_job()));

    let (rules_folder, content, force) = (
        settings.rules.clone(),
        settings.content.clone(),
        in_force.clone(),
    );
    let reload = Reload::new(
        rules_folder,
        content,
        force,
        Arc::clone(&reloaded),
        Arc::clone(&look),
    );
    loops.spawn(
        every("rules", 1)
            .woken_by(&check_rules)
            .run(open.clone(), move || reload.clone().job()),
    );

    let force = in_force.clone();
    let writing = Loop::new("write-back", DECISIONS, stop.clone());
    loops.spawn(writing.run(open.clone(), move || {
        let force = force.clone();
        Job::new(move |store, now| {
            write_back::tick(store, &force.get(), now)?;
            Ok(())
        })
    }));

    let (force, outbox) = (in_force.clone(), settings.outbox.clone());
    let telling = every("notify", 5).run(open.clone(), move || {
        let (force, outbox) = (force.clone(), outbox.clone());
        Job::new(move |store, now| {
            notify::tick(store, &force.get(), &outbox, notify::When::Scheduled, now)?;
            Ok(())
        })
    });
    // A digest tells what waits, which only a whole pass knows.
    loops.spawn(after(first_pass.clone(), stop.clone(), telling));

    let (force, stopped) = (in_force.clone(), stop.clone());
    loops.spawn(
        every("re-assess", 30)
            .woken_by(&reloaded)
            .run(open.clone(), move || {
                let (force, stopped) = (force.clone(), stopped.clone());
                Job::new(move |store, now| {
                    let rules = force.get();
                    // Rules that changed again meanwhile are for the next tick, which follows at once.
                    let ends = || {
                        stopped.goes_on("re-assess");
                        stopped.is_asked() || force.get().hash != rules.hash
                    };
                    intake::reassess(store, &rules, now, &ends)?;
                    // Once a day; what is new goes first.
                    retention::tick(store, &rules, now, &ends)?;
                    Ok(())
                })
            }),
    );

    loops.spawn(every("expire", 5).run(open.clone(), || {
        Job::new(|store, now| Ok(intake::pass_time(store, now)?))
    }));

    let (stop_pages, pages_stop) = watch::channel(false);
    if let Some(door) = door {
        let (force, ticking) = (in_force.clone(), stop.clone());
        let pages = http::Settings {
            database: settings.database.clone(),
            state: settings.outbox.desk.0.clone(),
            url: settings.web.url(),
            rules: Arc::new(move || force.get()),
            outbox: settings.outbox.clone(),
            proxies: (
                settings.web.trusted_proxies.clone(),
                settings.web.proxy_header.clone(),
            ),
            loops: Arc::new(move || ticking.heard()),
        };
        loops.spawn(async move {
            if let Err(error) = http::serve(door, pages, pages_stop).await {
                tracing::error!("{error}");
            }
        });
    }
    if let Some(ping) = ping {
        let (force, stopped) = (in_force.clone(), stop.clone());
        let pinging = every("ping", 60).run(open.clone(), move || {
            let (force, stopped, ping) = (force.clone(), stopped.clone(), ping.clone());
            Job::new(move |store, now| ping.tick(store, &force.get(), &stopped, now))
        });
        loops.spawn(after(first_pass.clone(), stop.clone(), pinging));
    }

    let beat = supervise::beat(store, stop.clone());
    loops.spawn(beat);
    // It answers; the first pass goes on behind.
    tell(&[NotifyState::Ready]);

    while signals.next().await == Wish::Reload {
        check_rules.notify_one();
    }
    tracing::info!("Stopping: what is being done is ended first");
    tell(&[NotifyState::Stopping]);
    stop.ask();
    stop_pages.send_replace(true);
    tokio::select! {
        () = async { while loops.join_next().await.is_some() {} } => {}
        () = tokio::time::sleep(DRAIN) => tracing::warn!("Stopped before all was ended; it is taken up at the next start"),
        () = async { while signals.next().await != Wish::Stop {} } => tracing::warn!("Stopped at once"),
    }
    Ok(())
}

/// Begins a loop after the first whole pass.
async fn after(mut passed: watch::Receiver<bool>, stop: Stop, begun: impl Future<Output = ()>) {
    let has_passed = async { passed.wait_for(|passed| *passed).await.is_ok() };
    let goes_on = tokio::select! {
        has_passed = has_passed => has_passed,
        () = stop.asked() => false,
    };
    if goes_on {
        begun.await;
    }
}

/// Puts a folder in the place of the path of the one source.
///
/// # Errors
/// When the rules do not name exactly one source.
pub fn place_content(rules: &mut RuleSet, content: Option<&PathBuf>) -> anyhow::Result<()> {
    let Some(content) = content else {
        return Ok(());
    };
    match rules.sources.as_mut_slice() {
        [one] => one.path.clone_from(content),
        sources => {
            let count = sources.len();
            anyhow::bail!(
                "a folder can be named only for a single source, and the rules have {count}"
            );
        }
    }
    Ok(())
}

/// Tells systemd, if it listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd could not be told: {error}");
    }
}
