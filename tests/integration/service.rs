//! What the service promises: it runs by the real clock here, beside the commands that people type.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use copydesk::intake::{self, Control};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::desk::{Desk, QUEUES, Run, assert_published, finish, text};
use crate::smtp::{certificates, has_real_server, real_server};

/// No test waits longer for anything: the machine may be slow, the service is not.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// `copydesk run` on a desk; killed when the test ends.
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it and waits for its first pass.
    pub(crate) fn start(desk: &Desk) -> Self {
        let passes = scanned_at(desk);
        let service = Self::spawn(desk, service(desk));
        service.until("the first pass", BOUND, || scanned_at(desk) != passes);
        service
    }

    pub(crate) fn spawn(desk: &Desk, mut command: Command) -> Self {
        let log = desk.path("service.log");
        let file = fs::File::options().create(true).append(true).open(&log);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file.unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Polls until it holds; returns how long that took.
    #[track_caller]
    pub(crate) fn until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn() -> bool,
    ) -> Duration {
        let started = Instant::now();
        while !condition() {
            assert!(
                started.elapsed() < limit,
                "not within {limit:?}: {what}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
        started.elapsed()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, and how long that took.
    #[track_caller]
    fn ends(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, started.elapsed());
            }
            assert!(started.elapsed() < BOUND, "does not end: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to stop, and sees that it does.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        let log = self.log.clone();
        let (status, _) = self.ends();
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that runs the service, by the real clock.
pub(crate) fn service(desk: &Desk) -> Command {
    let mut command = beside(desk, &["run"]);
    command.env_remove("NOTIFY_SOCKET");
    command.env_remove("WATCHDOG_USEC");
    command.env_remove("WATCHDOG_PID");
    command
}

/// A command by the real clock, as it is typed beside the service.
pub(crate) fn beside(desk: &Desk, args: &[&str]) -> Command {
    let mut command = desk.command(args);
    command.env_remove("COPYDESK_NOW");
    command
}

fn run(desk: &Desk, args: &[&str]) -> Run {
    finish(beside(desk, args))
}

fn json(desk: &Desk, args: &[&str]) -> Value {
    let run = run(desk, &[args, &["--json"]].concat());
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {run:?}"))
}

fn queue(desk: &Desk) -> Vec<Value> {
    json(desk, &["queue"]).as_array().unwrap().clone()
}

fn item(desk: &Desk, location: &str) -> Option<Value> {
    let queue = queue(desk);
    queue.into_iter().find(|item| item["location"] == location)
}

fn waits(desk: &Desk, location: &str) -> bool {
    item(desk, location).is_some()
}

/// What `status` calls a problem, a line each.
fn problems(desk: &Desk) -> String {
    let status = json(desk, &["status"]);
    let problems = status["problems"].as_array().unwrap();
    let problems: Vec<&str> = problems.iter().map(|p| p.as_str().unwrap()).collect();
    problems.join("\n")
}

/// One number from the database.
pub(crate) fn number(desk: &Desk, sql: &str) -> Option<i64> {
    let database = desk.path("state/copydesk.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(database, flags).ok()?;
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

pub(crate) fn records(desk: &Desk) -> i64 {
    let sql = "SELECT count(*) FROM locations WHERE record IS NOT NULL AND missing_since IS NULL";
    number(desk, sql).unwrap_or_default()
}

/// When the last whole pass ended.
pub(crate) fn scanned_at(desk: &Desk) -> Option<i64> {
    number(desk, "SELECT at FROM runs WHERE kind = 'scan'")
}

/// How many times something is repeated: the number in `COPYDESK_ROUNDS`, if there is one.
pub(crate) fn rounds() -> Option<usize> {
    std::env::var("COPYDESK_ROUNDS").ok()?.parse().ok()
}

/// The smallest record.
fn small(n: usize) -> String {
    format!("---\ntitle: Story {n}\n---\n")
}

#[test]
fn a_story_dropped_in_a_fresh_nested_folder_is_queued() {
    let desk = Desk::new();
    desk.story("old.md").write();
    let service = Service::start(&desk);
    assert!(waits(&desk, "old.md"));
    desk.story("2026/11/fresh.md").write();
    let took = service.until("the story is queued", BOUND, || {
        waits(&desk, "2026/11/fresh.md")
    });
    println!("queued after {took:?}");
    let status = json(&desk, &["status"]);
    assert_eq!(status["service"]["running"], true, "{status:#}");
    service.stop();
}

#[test]
fn a_thousand_files_copied_in_at_once_are_all_in() {
    let desk = Desk::new();
    let service = Service::start(&desk);
    for n in 0..1_000 {
        desk.write(format!("{}/{n}.md", n % 10), small(n));
    }
    let took = service.until("all files are in", BOUND, || records(&desk) == 1_000);
    println!("1,000 files are in after {took:?}");
    service.stop();
}

#[test]
fn a_renamed_file_keeps_its_item() {
    let desk = Desk::new();
    desk.story("with-url.md").write();
    desk.story("without-url.md").without_url().write();
    let service = Service::start(&desk);
    for (from, to) in [("with-url.md", "new/a.md"), ("without-url.md", "new/b.md")] {
        let id = item(&desk, from).unwrap()["id"].clone();
        desk.rename(from, to);
        service.until("the rename is seen", BOUND, || waits(&desk, to));
        assert_eq!(item(&desk, to).unwrap()["id"], id, "{to}");
    }
    assert_eq!(queue(&desk).len(), 2);
}

#[test]
fn a_rename_is_one_whatever_hint_comes_first() {
    for hints in [&["a.md"][..], &["a.md", "z.md"], &["z.md", "a.md"]] {
        let desk = Desk::new();
        desk.story("z.md").without_url().write();
        desk.scan();
        let id = desk.id("z.md");
        desk.rename("z.md", "a.md");
        let rules = RuleSet::load(&desk.path("rules")).unwrap();
        let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
        let (source, now) = (&rules.sources[0], desk.now());
        let hints: Vec<PathBuf> = hints.iter().map(PathBuf::from).collect();
        intake::look_at(&mut store, &rules, source, &hints, now).unwrap();
        assert_eq!((desk.id("a.md"), desk.queue().len()), (id, 1), "{hints:?}");
    }
}

#[test]
fn a_deleted_file_is_withdrawn_after_the_grace() {
    let desk = Desk::new();
    desk.story("kept.md").write();
    desk.story("gone.md").write();
    desk.scan();
    let id = desk.id("gone.md");
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    desk.remove("gone.md");
    let (gone, now) = ([PathBuf::from("gone.md")], desk.now());
    let mut look_at = |now| {
        let source = &rules.sources[0];
        intake::look_at(&mut store, &rules, source, &gone, now).unwrap()
    };
    assert!(look_at(now).missing);
    assert!(look_at(now + SignedDuration::from_secs(120)).missing);
    assert_eq!(
        desk.status_of(id),
        "pending",
        "a hint alone withdraws nothing"
    );
    for (seconds, status) in [(59, "pending"), (61, "withdrawn")] {
        let now = now + SignedDuration::from_secs(seconds);
        intake::scan(&mut store, &rules, now, &Control::NONE).unwrap();
        assert_eq!(desk.status_of(id), status, "after {seconds} s");
    }
    assert_eq!(desk.waiting().into_iter().collect::<Vec<_>>(), ["kept.md"]);
}

#[test]
fn a_source_whose_folder_is_replaced_is_watched_on() {
    let desk = Desk::new();
    desk.story("a.md").write();
    let service = Service::start(&desk);
    fs::create_dir(desk.path("next")).unwrap();
    fs::copy(desk.content("a.md"), desk.path("next/a.md")).unwrap();
    fs::rename(desk.path("content"), desk.path("previous")).unwrap();
    fs::rename(desk.path("next"), desk.path("content")).unwrap();
    desk.story("b.md").write();
    service.until("a file in the new folder", BOUND, || waits(&desk, "b.md"));
    // Longer than a new folder is looked into again.
    thread::sleep(Duration::from_secs(3));
    desk.story("c.md").write();
    service.until("one more", BOUND, || waits(&desk, "c.md"));
}

#[test]
fn a_file_that_is_still_written_is_not_called_broken() {
    let desk = Desk::new();
    let bytes = desk.story("at-start.md").bytes();
    // The last one is cut within its front matter and stays so.
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    desk.write("at-start.md", half);
    let finish_later = |location: &str| {
        thread::sleep(Duration::from_millis(300));
        let file = fs::File::options()
            .append(true)
            .open(desk.content(location));
        file.unwrap().write_all(rest).unwrap();
    };
    let service = Service::start(&desk);
    finish_later("at-start.md");
    let mut open = fs::File::create(desk.content("one-handle.md")).unwrap();
    open.write_all(half).unwrap();
    thread::sleep(Duration::from_millis(300));
    open.write_all(rest).unwrap();
    drop(open);
    desk.write("two-handles.md", half);
    finish_later("two-handles.md");
    desk.write("never-ended.md", half);
    let broken = || {
        json(&desk, &["status"])["broken"]
            .as_array()
            .unwrap()
            .clone()
    };
    let took = service.until("it is called broken", BOUND, || !broken().is_empty());
    println!("called broken after {took:?}");
    assert_eq!(broken().len(), 1);
    assert_eq!(text(&broken()[0], "location"), "never-ended.md");
    service.until("the others are in", BOUND, || records(&desk) == 3);
    let log = service.log();
    let log: Vec<&str> = log.lines().filter(|line| line.contains("broken")).collect();
    let log = log.join("\n");
    for whole in ["at-start.md", "one-handle.md", "two-handles.md"] {
        assert!(!log.contains(whole), "{log}");
    }
    assert!(log.contains("never-ended.md"), "{log}");
}

/// Drops files until it is told to end.
fn writer(desk: &Desk, end: &Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    let (folder, end) = (desk.content("load"), end.clone());
    fs::create_dir(&folder).unwrap();
    thread::spawn(move || {
        let mut written = 0;
        while !end.load(Ordering::SeqCst) {
            fs::write(folder.join(format!("{written}.md")), small(written)).unwrap();
            written += 1;
            thread::sleep(Duration::from_millis(1));
        }
        written
    })
}

#[test]
fn it_stops_soon_under_load() {
    for signal in [Signal::TERM, Signal::INT] {
        let desk = Desk::new();
        let service = Service::start(&desk);
        let end = Arc::new(AtomicBool::new(false));
        let writer = writer(&desk, &end);
        service.until("some are in", BOUND, || records(&desk) > 50);
        service.signal(signal);
        let (status, took) = service.ends();
        end.store(true, Ordering::SeqCst);
        let written = writer.join().unwrap();
        println!("{signal:?}: ended after {took:?}, {written} files written");
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(number(&desk, "SELECT stopped FROM service"), Some(1));
    }
}

#[test]
fn one_state_folder_has_one_service_and_the_commands_work_beside_it() {
    let leap_days = EVERY_MINUTE.replace("* * * * *", "0 0 29 FEB *");
    let desk = Desk::new().with_rules("reviewers.yaml", &leap_days);
    desk.story("a.md").write();
    desk.story("b.md").write();
    let service = Service::start(&desk);
    let process = service.child.id().to_string();
    for verb in ["run", "scan"] {
        run(&desk, &[verb]).refused().says(&["in use", &process]);
    }
    run(&desk, &["queue"]).done().says(&["about a", "about b"]);
    run(&desk, &["status"]).done().says(&["runs", &process]);
    run(&desk, &["notify", "--dry-run"])
        .done()
        .says(&["ana@example.org"]);
    let (id, before) = (
        item(&desk, "a.md").unwrap()["id"].to_string(),
        desk.read("a.md"),
    );
    run(&desk, &["show", &id]).done();
    run(&desk, &["approve", &id])
        .done()
        .says(&["written to a.md"]);
    assert_published(&before, &desk.read("a.md"));
    service.stop();
    run(&desk, &["scan"]).done();
}

#[test]
fn a_command_that_holds_the_lock_for_a_moment_does_not_keep_the_service_from_starting() {
    let desk = Desk::new();
    desk.story("a.md").write();
    fs::create_dir_all(desk.path("state")).unwrap();
    let lock = fs::File::create(desk.path("state/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let service = Service::spawn(&desk, service(&desk));
    thread::sleep(Duration::from_millis(500));
    drop(lock);
    service.until("it runs", Duration::from_secs(15), || {
        scanned_at(&desk).is_some()
    });
}

#[test]
fn what_a_killed_service_left_beside_a_file_is_removed() {
    let desk = Desk::new();
    desk.write(
        "a/.copydesk-0192f3a1-7b1c-7def-8123-456789abcdef.tmp",
        "half a file",
    );
    let named = desk.content("a/.copydesk-0192f3a1-7b1c-7def-8123-456789abcdef.tmp");
    let service = Service::start(&desk);
    service.until("it is removed", Duration::from_secs(15), || !named.exists());
}

#[test]
fn rules_that_do_not_load_leave_the_last_good_ones_in_force() {
    let desk = Desk::new();
    desk.story("a.md").write();
    let service = Service::start(&desk);
    let end = Arc::new(AtomicBool::new(false));
    let load = writer(&desk, &end);
    let id = item(&desk, "a.md").unwrap()["id"].clone();
    assert_eq!(item(&desk, "a.md").unwrap()["queue"], "general");

    let broken = QUEUES.replace("score.total >= 95", "scoer.total >= 95");
    desk.rules("queues.yaml", &broken);
    let says = |words: &[&str]| {
        let problems = problems(&desk);
        words.iter().all(|word| problems.contains(word))
    };
    service.until("the service names the fault", BOUND, || {
        let named = "SELECT count(*) FROM failures WHERE error LIKE '%queues.yaml:2%'";
        number(&desk, named) == Some(1)
    });
    assert!(says(&["queues.yaml:2"]), "{}", problems(&desk));
    desk.story("b.md").write();
    let scored = "SELECT count(*) FROM items i JOIN records r ON r.id = i.record WHERE r.title LIKE '%about b' AND i.queue = 'general'";
    service.until("a new file is scored", BOUND, || {
        number(&desk, scored) == Some(1)
    });

    let mended = QUEUES.replace("score.total >= 95", "score.total >= 1");
    desk.rules("queues.yaml", &mended);
    let took = service.until("the mended rules act on what is open", BOUND, || {
        item(&desk, "a.md").is_some_and(|item| item["queue"] == "urgent")
    });
    println!("open items were routed anew after {took:?}");
    assert_eq!(item(&desk, "a.md").unwrap()["id"], id);
    assert!(!says(&["queues.yaml"]), "{}", problems(&desk));

    desk.rules("queues.yaml", QUEUES);
    service.signal(Signal::HUP);
    let took = service.until("a hang-up makes it look", BOUND, || {
        item(&desk, "a.md").is_some_and(|item| item["queue"] == "general")
    });
    println!("after a hang-up: {took:?}");
    end.store(true, Ordering::SeqCst);
    load.join().unwrap();
    run(&desk, &["status"]).done();
    service.stop();
}

/// Ana is due every minute.
pub(crate) const EVERY_MINUTE: &str = "reviewers:
  - {name: Ana Example, email: ana@example.org, role: reviewer, queues: all, digest: \"* * * * *\"}
";

fn landed(desk: &Desk) -> usize {
    let folder = fs::read_dir(desk.path("state/mail"));
    folder.map_or(0, |files| {
        let names = files.map(|file| file.unwrap().path());
        names
            .filter(|name| name.extension().is_some_and(|ending| ending == "eml"))
            .count()
    })
}

#[test]
fn the_first_digest_waits_for_the_first_pass_and_comes_once() {
    let desk = Desk::new();
    // Once a day: what the first look misses is not told before tomorrow.
    let hour = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    let before = (hour + 23) % 24;
    desk.rules(
        "reviewers.yaml",
        &EVERY_MINUTE.replace("* * * * *", &format!("30 {before} * * *")),
    );
    for n in 0..300 {
        desk.story(&format!("{n}.md")).write();
    }
    let service = Service::start(&desk);
    service.until("the digest lands", Duration::from_secs(20), || {
        landed(&desk) == 1
    });
    desk.mails()[0].lists(&["A story about 0"]);
    assert!(
        desk.mails()[0].subject.contains("300"),
        "{:?}",
        desk.mails()[0].subject
    );
    service.stop();
    let service = Service::start(&desk);
    // The loop has ticked when it would have told.
    thread::sleep(Duration::from_secs(1));
    let mails = number(&desk, "SELECT count(*) FROM mails");
    assert_eq!((landed(&desk), mails), (1, Some(1)));
    service.stop();
}

#[test]
fn a_digest_that_is_due_every_minute_comes_once_for_what_waits() {
    let desk = Desk::new().with_rules("reviewers.yaml", EVERY_MINUTE);
    desk.story("a.md").write();
    let service = Service::start(&desk);
    service.until("the digest lands", BOUND, || landed(&desk) == 1);
    desk.mails()[0].lists(&["A story about a"]);
    service.stop();
    // The schedule was last kept an hour ago, so that it is due again.
    let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
    let hour_ago = "UPDATE schedules SET kept_to = kept_to - 3600000000";
    database.execute_batch(hour_ago).unwrap();
    let kept = || number(&desk, "SELECT kept_to FROM schedules");
    let before = kept();
    let service = Service::start(&desk);
    service.until("it is kept again", BOUND, || kept() != before);
    assert_eq!(landed(&desk), 1, "told again of what she knows");
    service.stop();
}

#[test]
fn from_the_dropped_file_to_the_published_one() {
    if !has_real_server() {
        return;
    }
    let certificates_at = tempfile::tempdir().unwrap();
    let folder = certificates_at.path();
    certificates(folder);
    let (_server, port) = real_server("starttls", folder);
    let desk = Desk::new().with_rules("reviewers.yaml", EVERY_MINUTE);
    let url = format!("smtp://desk:canary-7f3a@127.0.0.1:{port}?tls=required");
    let mut command = service(&desk);
    command
        .env("COPYDESK_SMTP_URL", url)
        .env("COPYDESK_SMTP_CA", folder.join("ca.pem"))
        .env("COPYDESK_MAIL_FROM", "Copy Desk <desk@example.org>");
    // Dropped before the start, it is in the digest that is due at once.
    desk.story("2026/seed.md")
        .title("Facial recognition at the border")
        .write();
    let before = desk.read("2026/seed.md");
    let service = Service::spawn(&desk, command);
    let received = folder.join("received");
    let mail = || fs::read_to_string(&received).unwrap_or_default();
    let took = service.until("the digest is received", BOUND, || {
        mail().contains("Facial recognition at the border")
    });
    println!("received after {took:?}");
    let tag = format!("{}@1", item(&desk, "2026/seed.md").unwrap()["id"]);
    assert!(mail().contains(&tag), "{}", mail());
    run(&desk, &["approve", &tag])
        .done()
        .says(&["written to 2026/seed.md"]);
    assert_published(&before, &desk.read("2026/seed.md"));
    assert!(desk.says("2026/seed.md", "published: true"));
    run(&desk, &["mails"]).done().says(&["250 2.0.0 taken"]);
    service.stop();
    assert_eq!(mail().matches("Message-ID:").count(), 1);
}

/// What systemd is told.
struct Systemd {
    _folder: tempfile::TempDir,
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        Self {
            _folder: folder,
            socket,
            path,
        }
    }

    /// Waits until it is told this; returns what it was told before.
    fn hears(&self, word: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let mut bytes = [0; 256];
            let length = self.socket.recv(&mut bytes).expect("told within the bound");
            let told = String::from_utf8_lossy(&bytes[..length]).trim().to_owned();
            if told == word {
                return before;
            }
            before.push(told);
        }
    }

    fn socket(&self) -> &Path {
        &self.path
    }
}

#[test]
fn systemd_is_told_when_it_is_ready_alive_and_stopping() {
    let (desk, systemd) = (Desk::new(), Systemd::new());
    desk.story("a.md").write();
    let mut command = service(&desk);
    command
        .env("NOTIFY_SOCKET", systemd.socket())
        .env("WATCHDOG_USEC", "600000");
    let service = Service::spawn(&desk, command);
    systemd.hears("READY=1");
    // It answers; the first pass may still go on.
    service.until("the story waits", BOUND, || waits(&desk, "a.md"));
    for _ in 0..3 {
        systemd.hears("WATCHDOG=1");
    }
    service.signal(Signal::TERM);
    systemd.hears("STOPPING=1");
    assert_eq!(service.ends().0.code(), Some(0));
}

#[test]
fn the_watchdog_is_not_told_of_a_service_whose_database_does_not_answer() {
    let (desk, systemd) = (Desk::new(), Systemd::new());
    let mut command = service(&desk);
    command
        .env("NOTIFY_SOCKET", systemd.socket())
        .env("WATCHDOG_USEC", "600000");
    let service = Service::spawn(&desk, command);
    systemd.hears("READY=1");
    systemd.hears("WATCHDOG=1");
    let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    // What was under way when the lock was taken may still be told.
    let mut bytes = [0; 256];
    let quiet = Some(Duration::from_millis(1_500));
    systemd.socket.set_read_timeout(quiet).unwrap();
    let told = (0..10).filter(|_| systemd.socket.recv(&mut bytes).is_ok());
    assert!(told.count() < 4, "told that all is well");
    database.execute_batch("ROLLBACK").unwrap();
    systemd.socket.set_read_timeout(Some(BOUND)).unwrap();
    systemd.hears("WATCHDOG=1");
    service.stop();
}

#[test]
fn a_loop_that_fails_is_named_and_recovers_and_the_others_go_on() {
    let desk = Desk::new().with_rules("reviewers.yaml", EVERY_MINUTE);
    desk.scan();
    // The database takes no schedule any more: only the loop that sends mail needs that.
    let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER fault BEFORE INSERT ON schedules
             BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END",
        )
        .unwrap();
    let service = Service::start(&desk);
    service.until("it is named", BOUND, || {
        problems(&desk).contains("the notify loop of the service fails since")
    });
    assert!(problems(&desk).contains("the disk is on fire"));
    desk.story("a.md").write();
    service.until("a story is queued meanwhile", BOUND, || {
        waits(&desk, "a.md")
    });
    let id = item(&desk, "a.md").unwrap()["id"].to_string();
    run(&desk, &["approve", &id]).done().says(&["written to"]);
    assert_eq!(problems(&desk).lines().count(), 1, "{}", problems(&desk));
    desk.story("b.md").write();
    database.execute_batch("DROP TRIGGER fault").unwrap();
    service.until("it works again", BOUND, || problems(&desk).is_empty());
    service.until("the digest lands", BOUND, || landed(&desk) == 1);
    service.stop();
}

#[test]
fn mails_that_cannot_land_are_told_and_land_later() {
    let desk = Desk::new().with_rules("reviewers.yaml", EVERY_MINUTE);
    desk.story("a.md").write();
    fs::create_dir(desk.path("state")).unwrap();
    fs::write(desk.path("state/mail"), "not a folder").unwrap();
    let service = Service::start(&desk);
    service.until("it is told", BOUND, || {
        problems(&desk).contains("the mail to ana@example.org is not sent")
    });
    fs::remove_file(desk.path("state/mail")).unwrap();
    service.until("it lands", BOUND, || landed(&desk) == 1);
    service.until("all is well", BOUND, || problems(&desk).is_empty());
    service.stop();
}

#[test]
fn a_second_signal_hurries() {
    let desk = Desk::new();
    let mut command = service(&desk);
    command.env("COPYDESK_LOG", "info");
    let service = Service::spawn(&desk, command);
    service.until("the first pass", BOUND, || scanned_at(&desk).is_some());
    let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    desk.story("a.md").write();
    // A tick now waits for the database, for longer than a stop waits for ticks.
    thread::sleep(Duration::from_millis(500));
    service.signal(Signal::TERM);
    service.until("it says so", BOUND, || service.log().contains("Stopping"));
    service.signal(Signal::TERM);
    let (status, took) = service.ends();
    println!("after the second signal: {took:?}");
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}
