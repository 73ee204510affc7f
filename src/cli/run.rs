//! `copydesk run`: the service.

use super::{Desk, Exit, Usage};
use crate::config::{Mail, Secret, Web};
use crate::daemon::{self, Settings, Signals, Welcome, Wish};
use crate::notify::outbox::Outbox;
use std::io::IsTerminal;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read this folder in place of the path of the one source
    content: Option<PathBuf>,
    #[command(flatten)]
    mail: Mail,
    #[command(flatten)]
    web: Web,
    /// A URL that is asked about once a minute while all is done in time, so that a watcher such as
    /// healthchecks.io notices when it is not
    #[arg(
        long,
        value_name = "URL",
        env = "COPYDESK_PING_URL",
        hide_env_values = true
    )]
    ping_url: Option<Secret>,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let rules = desk.rules()?;
    let settings = Settings {
        rules: desk.folders.rules.clone(),
        database: desk.folders.database(),
        lock: desk.folders.lock(),
        content: args.content.clone(),
        outbox: Outbox::new(&args.mail, &args.web, desk.folders).map_err(Usage)?,
        web: args.web.clone(),
        // What is logged is kept, and this link lets in whoever reads it.
        welcome: (rules.reviewers.is_empty() && std::io::stderr().is_terminal()).then(|| Welcome {
            reviewer: String::new(),
            tell: |link| {
                anstream::eprintln!("The rules name no reviewer yet. To look around, open once, within ten minutes:\n\n    {link}\n");
            },
        }),
        ping: args.ping_url.clone().filter(|url| !url.reveal().is_empty()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let signals = SystemSignals::new()?;
        daemon::run(settings, rules, signals).await
    });
    // A tick that still runs is not waited for: whatever it was doing is taken up at the next start.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

/// What the system tells the process.
struct SystemSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl SystemSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Signals for SystemSignals {
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
