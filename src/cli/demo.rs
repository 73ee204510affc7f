//! `copydesk demo`: a sample newsroom in a temporary folder, stories arriving, and what to type.
//!
//! The service runs as `copydesk run` does. Beside it, one loop drops stories into the folder,
//! looks at the database, and says what is new in it; nothing is said that did not happen.

mod stories;
mod tell;

use self::stories::{ARRIVING, OPENING, RULES, Step, Story};
use self::tell::{Known, Said, Tone, tell};
use super::screen::{ALARM, FAINT, STRONG, Screen, WELL, styled};
use super::{Desk, Exit, Usage};
use crate::config::{Folders, Listen, PROXY_HEADER, Web};
use crate::daemon::{self, Settings, Signals, Welcome, Wish};
use crate::notify::outbox::{Outbox, Way};
use crate::rules::RuleSet;
use crate::store::Store;
use anyhow::Context;
use jiff::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Let all stories arrive at once, and end when they are in
    #[arg(long)]
    fast: bool,
    /// Keep the folder at the end
    #[arg(long)]
    keep: bool,
}

/// How often is looked what is new.
const LOOK: Duration = Duration::from_millis(200);
/// From one story to the next.
const PACE: Duration = Duration::from_millis(1_100);
/// The same with `--fast`.
const FAST: Duration = Duration::from_millis(40);
/// Nothing new for this long: all has been seen.
const SETTLED: Duration = Duration::from_secs(3);
/// Noise has been looked at after this long.
const NOISE: Duration = Duration::from_secs(2);
/// The longest wait for the first pass.
const AT_MOST: Duration = Duration::from_secs(20);

/// Who reviews in the sample newsroom.
const REVIEWER: &str = "reviewer@example.org";
/// What signs her in, once the service listens.
static LINK: OnceLock<String> = OnceLock::new();

/// The thread that the service runs on.
type Service = JoinHandle<anyhow::Result<()>>;

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    if desk.screen.is_json() {
        return Err(Usage("the demo is for people and prints no JSON".to_owned()).into());
    }
    let newsroom = Newsroom::make().context("the sample newsroom cannot be made")?;
    let rules = RuleSet::load(&newsroom.folders.rules)?;
    let mut store = Store::open(&newsroom.folders.database())?;
    let ended = Arc::new(Notify::new());
    let service = newsroom.serve(Arc::clone(&ended))?;
    let mut show = Show {
        newsroom: &newsroom,
        rules,
        store: &mut store,
        screen: desk.screen,
        known: Known::default(),
        resealed: Vec::new(),
    };
    let shown = show.run(&service, args.fast);
    let known = show.known;
    ended.notify_one();
    match service.join() {
        Ok(served) => served?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    shown?;
    drop(store);
    desk.screen.line(format!("\n{}", known.decisions()))?;
    desk.screen.line(newsroom.close(args.keep))?;
    Ok(Exit::Done)
}

/// The temporary folder: `rules/`, `content/`, `state/`, and the program under its own name.
struct Newsroom {
    dir: TempDir,
    root: PathBuf,
    folders: Folders,
    /// What the stories' times count back from.
    opened: Timestamp,
    /// How the program is called from within the folder.
    program: &'static str,
}

impl Newsroom {
    fn make() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("copydesk-demo-")
            .tempdir()?;
        let root = dir.path().canonicalize()?;
        let folders = Folders {
            rules: root.join("rules"),
            state: root.join("state"),
        };
        for folder in [&folders.rules, &folders.state, &root.join("content")] {
            std::fs::create_dir(folder)?;
        }
        for (name, text) in RULES {
            std::fs::write(folders.rules.join(name), text)?;
        }
        let program = launcher(&root)?;
        let newsroom = Self {
            dir,
            root,
            folders,
            opened: Timestamp::now(),
            program,
        };
        OPENING
            .iter()
            .try_for_each(|story| newsroom.drop_story(*story))?;
        Ok(newsroom)
    }

    /// Starts the service on a thread of its own; it ends by a signal, or when it is told that the
    /// show has ended.
    fn serve(&self, ended: Arc<Notify>) -> anyhow::Result<Service> {
        let settings = Settings {
            rules: self.folders.rules.clone(),
            database: self.folders.database(),
            lock: self.folders.lock(),
            content: None,
            outbox: Outbox {
                from: "copydesk@example.org".parse()?,
                way: Way::Folder(self.folders.mail()),
                desk: (self.folders.state.clone(), None),
            },
            // Any port that is free: the links of the mails name it.
            web: Web {
                listen: Listen::On(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
                public_url: None,
                trusted_proxies: Vec::new(),
                proxy_header: PROXY_HEADER.into(),
            },
            welcome: Some(Welcome {
                reviewer: REVIEWER.into(),
                tell: |link| drop(LINK.set(link.to_owned())),
            }),
            ping: None,
        };
        let rules = RuleSet::load(&self.folders.rules)?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build()?;
        let service = move || {
            let served = runtime.block_on(async {
                let signals = Ends::new(ended)?;
                daemon::run(settings, rules, signals).await
            });
            // The folder is removed after this, so whatever still writes in it is waited for.
            runtime.shutdown_timeout(Duration::from_secs(2));
            served
        };
        Ok(thread::Builder::new()
            .name("service".into())
            .spawn(service)?)
    }

    fn drop_story(&self, story: Story) -> anyhow::Result<()> {
        self.put(story.location, &story.text(self.opened))
    }

    /// Writes a file as a good feed does: whole, under another name, then renamed.
    fn put(&self, location: &str, text: &str) -> anyhow::Result<()> {
        let path = self.content(location);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    }

    fn content(&self, location: &str) -> PathBuf {
        self.root.join("content").join(location)
    }

    /// Removes the folder, unless it is to be kept, and says so.
    fn close(self, keep: bool) -> String {
        let root = self.root.display().to_string();
        if keep {
            drop(self.dir.keep());
            return format!("The folder is kept: {root}");
        }
        match self.dir.close() {
            Ok(()) => format!("The folder is removed: {root}"),
            Err(error) => format!("The folder could not be removed: {root}: {error}"),
        }
    }
}

/// How this program is called from within the folder: by its name if that finds it, else by a link
/// that is made there.
fn launcher(root: &Path) -> std::io::Result<&'static str> {
    let own = std::env::current_exe()?.canonicalize()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).find_map(|dir| dir.join("copydesk").canonicalize().ok());
    if found.is_some_and(|found| found == own) {
        return Ok("copydesk");
    }
    std::os::unix::fs::symlink(own, root.join("copydesk"))?;
    Ok("./copydesk")
}

/// What ends the demo: a signal, or its own end.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    ended: Arc<Notify>,
}

impl Ends {
    fn new(ended: Arc<Notify>) -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            ended,
        })
    }
}

impl Signals for Ends {
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            () = self.ended.notified() => {}
        }
        Wish::Stop
    }
}

/// Drops the stories and says what comes of them.
struct Show<'a> {
    newsroom: &'a Newsroom,
    rules: RuleSet,
    store: &'a mut Store,
    screen: &'a mut Screen,
    known: Known,
    /// Stories that were written again with nothing new but noise: when, and their item's version.
    resealed: Vec<(Instant, &'static str, i64)>,
}

impl Show<'_> {
    /// Runs until the service ends, or with `fast` until all is in and told.
    fn run(&mut self, service: &Service, fast: bool) -> anyhow::Result<()> {
        self.open(service)?;
        let pace = if fast { FAST } else { PACE };
        let started = Instant::now();
        let (mut last_drop, mut last_news) = (started, started);
        let mut steps = ARRIVING.iter().zip(1..).peekable();
        let mut all_told = false;
        while !service.is_finished() {
            while let Some((step, _)) = steps.next_if(|(_, n)| started.elapsed() >= pace * *n) {
                last_drop = Instant::now();
                self.take(*step)?;
            }
            if self.look()? {
                last_news = Instant::now();
            }
            let all_in = steps.peek().is_none() && last_drop.elapsed() >= SETTLED;
            if fast && all_in && last_news.elapsed() >= SETTLED {
                break;
            }
            if !fast && all_in && !all_told {
                all_told = true;
                self.screen
                    .line("\nAll stories are in. The next move is yours:")?;
                self.suggest()?;
                let rules = "Or change a number in rules/scoring.yaml, and see what moves.";
                self.screen.line(format!("{rules}\n"))?;
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Waits for the first pass, says what it found and what to type.
    fn open(&mut self, service: &Service) -> anyhow::Result<()> {
        let title = "copydesk demo: a newsroom's copy desk, at work in a temporary folder";
        self.screen.line(styled(STRONG, title))?;
        let root = self.newsroom.root.display();
        let inside = "content/ the stories   rules/ what editors write   state/ database, mails";
        self.screen.line(format!("{root}\n  {inside}\n"))?;
        let started = Instant::now();
        let (empty, mut known) = (Known::default(), Known::default());
        while known.files() < OPENING.len() && started.elapsed() < AT_MOST && !service.is_finished()
        {
            thread::sleep(LOOK);
            known = self.seen()?;
        }
        if service.is_finished() {
            return Ok(());
        }
        let (files, items) = (known.files(), known.items.len());
        self.screen.line(format!(
            "{files} stories are here, {items} of them wait for a decision:"
        ))?;
        self.say(&tell(&empty, &known))?;
        self.known = known;
        if let Some(link) = LINK.get() {
            let open = "\nOpen the desk in a browser, once, within ten minutes:";
            self.screen.line(format!("{open}\n  {link}"))?;
        }
        self.screen.line("\nOr open a second terminal and type:")?;
        self.screen.line(format!("  cd {root}"))?;
        self.suggest()?;
        let more = "More stories arrive now, and a mail at the full minute. Ctrl-C ends it.";
        self.screen.line(format!("\n{more}\n"))?;
        Ok(())
    }

    /// Says what to type, with the names that things have now.
    fn suggest(&mut self) -> anyhow::Result<()> {
        let program = self.newsroom.program;
        let mut lines = vec![("queue".to_owned(), "what waits".to_owned())];
        let waiting = self.known.waiting(&self.rules);
        if let Some((id, item)) = waiting.first() {
            let score = item.score;
            lines.push((
                format!("explain content/{}", item.location),
                format!("why it scores {score}"),
            ));
            lines.push((
                format!("approve {id}@{}", item.version),
                "publishes it, in its file".to_owned(),
            ));
        }
        if let Some((id, item)) = waiting.last().filter(|_| waiting.len() > 1) {
            let reject = format!("reject {id}@{} --reason off-topic", item.version);
            lines.push((reject, "leaves it unpublished".to_owned()));
        }
        lines.push(("status".to_owned(), "is all well?".to_owned()));
        let mut lines: Vec<(String, String)> = lines
            .into_iter()
            .map(|(command, meaning)| (format!("{program} {command}"), meaning))
            .collect();
        if let Some(location) = self.known.unclosed() {
            let mend = format!("echo --- >> content/{location}");
            lines.push((mend, "mends a broken file".to_owned()));
        }
        for (command, meaning) in lines {
            self.screen
                .line(format!("  {command:<51} {}", styled(FAINT, meaning)))?;
        }
        Ok(())
    }

    fn take(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Drop(story) => self.newsroom.drop_story(story),
            Step::Reseal(location) => {
                let text = std::fs::read_to_string(self.newsroom.content(location))?;
                self.newsroom.put(location, &stories::resealed(&text))?;
                let version = self.known.version_at(location);
                self.resealed
                    .extend(version.map(|version| (Instant::now(), location, version)));
                Ok(())
            }
        }
    }

    /// Looks what is new and says it; says whether there was anything.
    fn look(&mut self) -> anyhow::Result<bool> {
        let now = self.seen()?;
        let said = tell(&self.known, &now);
        self.say(&said)?;
        self.known = now;
        Ok(!said.is_empty())
    }

    fn seen(&mut self) -> anyhow::Result<Known> {
        let wrong = match RuleSet::load(&self.newsroom.folders.rules) {
            Ok(rules) => {
                self.rules = rules;
                None
            }
            Err(refused) => Some(refused.to_string()),
        };
        let now = Timestamp::now();
        let mut now = self.known.look(self.store, &self.rules, wrong, now)?;
        // That nothing was made of a file means something only after there was time to look at it.
        let looked_at = self
            .resealed
            .iter()
            .filter(|(at, ..)| at.elapsed() >= NOISE);
        now.resealed
            .extend(looked_at.map(|(_, location, version)| ((*location).to_owned(), *version)));
        Ok(now)
    }

    fn say(&mut self, said: &[Said]) -> std::io::Result<()> {
        let called = format!("`{} ", self.newsroom.program);
        let typed = |text: &str| text.replace("`copydesk ", &called);
        for Said {
            word,
            tone,
            text,
            notes,
        } in said
        {
            let style = match tone {
                Tone::Plain => STRONG,
                Tone::Alarm => ALARM,
                Tone::Well => WELL,
            };
            let (word, text) = (styled(style, format!("{word:<8}")), typed(text));
            self.screen.line(format!(" {word} {text}"))?;
            for note in notes {
                let note = format!("{:10}{}", "", typed(note));
                self.screen.line(styled(FAINT, note))?;
            }
        }
        Ok(())
    }
}
