//! Each mail is sent once, whatever the server says and whenever the talk ends: a server that
//! answers at random, connections that are cut at each step, processes that are killed.
//!
//! `COPYDESK_ROUNDS` sets how often each of them is done: 10,000 fuzzed mails, 200 cuts at each
//! step, 200 kills of 50 mails each. `COPYDESK_SEED` plays a run's randomness again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use copydesk::config::Secret;
use copydesk::notify::outbox::{self, Outbox, Sent, Way};
use copydesk::notify::smtp::{Failure, Limits, Session, SmtpSettings};
use copydesk::store::mails::NewMail;
use copydesk::store::{Store, Tx};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::crash::{Random, seed};
use crate::desk::{Desk, finish, memory};
use crate::race::in_lanes;
use crate::service::rounds;

const BOUND: Duration = Duration::from_secs(60);

/// A mail that a server answered with 2xx to its dot, by Message-ID.
pub(crate) type Taken = BTreeMap<String, Vec<String>>;

/// What a server does at a step: `greeting`, a verb, or `text` after the final dot.
pub(crate) struct Reply {
    /// What it says, piece by piece.
    pieces: Vec<Vec<u8>>,
    /// How often it says all that.
    times: usize,
    /// How long it keeps quiet first.
    after: Duration,
    /// How long it keeps quiet between two pieces.
    between: Duration,
    /// Whether it goes on then.
    goes_on: bool,
}

impl Reply {
    pub(crate) fn of(text: &str) -> Self {
        Self {
            pieces: vec![format!("{text}\r\n").into_bytes()],
            times: 1,
            after: Duration::ZERO,
            between: Duration::ZERO,
            goes_on: true,
        }
    }

    fn cut() -> Self {
        Self {
            pieces: Vec::new(),
            times: 1,
            after: Duration::ZERO,
            between: Duration::ZERO,
            goes_on: false,
        }
    }

    /// The code that the first line says, if it is a whole reply.
    fn code(&self) -> Option<u16> {
        let said = self.pieces.concat();
        let said = String::from_utf8_lossy(&said);
        let first = said.get(..3)?;
        let mut lines = said.split_inclusive('\n');
        let last = lines.find(|line| line.as_bytes().get(3) != Some(&b'-'))?;
        if !last.starts_with(first) || !last.ends_with("\r\n") {
            return None;
        }
        first.parse().ok()
    }
}

pub(crate) fn kind(step: &str) -> &'static str {
    match step {
        "greeting" => "220 mail.example.org",
        "EHLO" => "250-mail.example.org\r\n250 8BITMIME",
        "DATA" => "354 go ahead",
        "QUIT" => "221 bye",
        _ => "250 2.0.0 fine",
    }
}

/// An SMTP server that plays a script, and keeps what it took.
pub(crate) struct Server {
    pub(crate) port: u16,
    taken: Arc<Mutex<Taken>>,
}

impl Server {
    pub(crate) fn new(mut script: impl FnMut(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken: Arc<Mutex<Taken>> = Arc::default();
        let keep = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away ends its connection, not the server.
                let _ = talk(&stream.unwrap(), &mut script, &keep);
            }
        });
        Self { port, taken }
    }

    fn settings(&self, limits: Limits) -> SmtpSettings {
        let url = Secret::from(format!("smtp://127.0.0.1:{}", self.port));
        let mut settings = SmtpSettings::new(&url, None).unwrap();
        settings.limits = limits;
        settings
    }

    pub(crate) fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }
}

fn talk(
    mut stream: &TcpStream,
    script: &mut impl FnMut(&str) -> Reply,
    taken: &Mutex<Taken>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let (mut step, mut addressed, mut text) = ("greeting".to_owned(), true, String::new());
    loop {
        let reply = script(&step);
        let class = reply.code().map(|code| code / 100);
        if step == "MAIL" || step == "RCPT" {
            addressed &= class == Some(2);
        }
        if step == "text" && class == Some(2) && addressed {
            let id = text
                .lines()
                .find_map(|line| line.strip_prefix("Message-ID: "));
            let id = id.expect("a Message-ID").to_owned();
            let mut taken = taken.lock().unwrap();
            taken.entry(id).or_default().push(std::mem::take(&mut text));
        }
        thread::sleep(reply.after);
        for piece in std::iter::repeat_n(&reply.pieces, reply.times).flatten() {
            stream.write_all(piece)?;
            stream.flush()?;
            thread::sleep(reply.between);
        }
        if !reply.goes_on {
            return Ok(());
        }
        if step == "DATA" && reply.code() == Some(354) {
            loop {
                match lines.next().transpose()? {
                    None => return Ok(()),
                    Some(line) if line == "." => break,
                    Some(line) => text += &format!("{line}\r\n"),
                }
            }
            "text".clone_into(&mut step);
            continue;
        }
        let Some(line) = lines.next().transpose()? else {
            return Ok(());
        };
        line.split(' ').next().unwrap().clone_into(&mut step);
        if step == "MAIL" {
            addressed = true;
        }
    }
}

/// An outbox over a database of its own.
struct Post {
    _dir: TempDir,
    store: Store,
    now: Timestamp,
    queued: usize,
}

impl Post {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(memory()).unwrap();
        let store = Store::open(&dir.path().join("copydesk.db")).unwrap();
        Self {
            _dir: dir,
            store,
            now: "2026-03-02T09:00:00Z".parse().unwrap(),
            queued: 0,
        }
    }

    /// Queues a mail to an address of its own, and returns the address and the Message-ID.
    fn queue(&mut self) -> (String, String) {
        self.queued += 1;
        let (to, id) = (
            format!("r{}@example.org", self.queued),
            format!("<m{}@example.org>", self.queued),
        );
        let text = format!("Message-ID: {id}\r\nTo: {to}\r\n\r\nHello.\r\n");
        let mail = NewMail {
            message_id: &id,
            kind: "digest",
            recipient: &to,
            reason: "new",
            subject: "a subject",
            bytes: text.as_bytes(),
            items: &[],
        };
        self.store
            .write(|tx| tx.queue_mail(&mail, self.now))
            .unwrap();
        (to, id)
    }

    fn deliver(&mut self, settings: &SmtpSettings) -> Sent {
        let from = "desk@example.org".parse().unwrap();
        let outbox = Outbox {
            from,
            way: Way::Smtp(settings.clone()),
            desk: (PathBuf::new(), None),
        };
        let (mut sent, now) = (Sent::default(), self.now);
        outbox::deliver(&mut self.store, &outbox, &mut sent, &|| now).unwrap();
        sent
    }

    fn later(&mut self, hours: i64, minutes: i64) {
        self.now += SignedDuration::from_mins(hours * 60 + minutes);
    }

    fn status(&mut self, to: &str) -> String {
        let mails = self.store.read(|tx| tx.mails(Some(to))).unwrap();
        mails[0].status.clone()
    }
}

fn without_limits() -> Limits {
    Limits {
        reply: Duration::from_millis(200),
        after_text: Duration::from_millis(200),
        goodbye: Duration::from_millis(50),
        a_minute: i64::MAX,
        a_day: i64::MAX,
        ..Limits::default()
    }
}

/// A reply at random; most go well, so that every step is come to.
fn fuzzed(random: &mut Random, step: &str) -> Reply {
    let good = kind(step);
    let mut reply = Reply::of(good);
    if random.next(100) < 70 {
        return reply;
    }
    let choice = random.next(24);
    let text = match choice {
        0 => "250 fine".to_owned(),
        1 => "354 go ahead".into(),
        2 => "421 4.3.2 closing".into(),
        3 => "451 4.3.0 later".into(),
        4 => "550 5.1.1 no".into(),
        5 => "550 5.4.5 Daily user sending limit exceeded".into(),
        6 => "550-5.7.1 no\r\n550 5.7.1 never".into(),
        7 => "250-fine\r\n550 no".into(),
        8 => "550-no\r\n250 fine".into(),
        9 => format!("{} ok", 100 + random.next(900)),
        10 => "25".into(),
        11 => "what?".into(),
        12 => " 250 fine".into(),
        13 => "250".into(),
        14 => format!("250 {}", "x".repeat(5_000)),
        15 => "250-and so on\r\n".repeat(10_000) + "250 at last",
        16 => format!("250-fine\r\n{good}"),
        // What comes too early comes with what was asked for.
        17 => format!("{good}\r\n{good}"),
        18 => format!("{good}\r\n250 early"),
        19 => format!("{good}\r\n550 no"),
        20 => format!("550 5.7.1 no\r\n{good}"),
        _ => good.to_owned(),
    };
    reply = Reply::of(&text);
    match choice {
        21 => reply.after = Duration::from_millis(400),
        22 => reply = Reply::cut(),
        23 => {
            let junk = (0..random.next(300)).map(|_| u8::try_from(random.next(256)).unwrap());
            let mut junk: Vec<u8> = junk.collect();
            // Junk that happens to be a reply would be one.
            junk.splice(0..0, *b"\xff");
            reply.pieces = vec![junk];
            reply.goes_on = random.next(2) == 0;
        }
        _ => {}
    }
    if random.next(10) == 0 {
        reply.goes_on = false;
    }
    if random.next(3) == 0 {
        let whole = reply.pieces.concat();
        let at = usize::try_from(random.next(u64::try_from(whole.len().max(1)).unwrap())).unwrap();
        let (head, tail) = whole.split_at(at);
        reply.pieces = vec![head.to_vec(), tail.to_vec()];
    }
    reply
}

/// What became of mails whose server answered at random.
#[derive(Default)]
struct Fuzzed {
    replies: usize,
    taken: usize,
    by_status: BTreeMap<String, usize>,
}

fn fuzz(mails: usize, random: &mut Random) -> Fuzzed {
    let (mut of_server, replies) = (Random(random.next(u64::MAX)), Arc::new(Mutex::new(0)));
    let counted = replies.clone();
    let server = Server::new(move |step| {
        *counted.lock().unwrap() += 1;
        fuzzed(&mut of_server, step)
    });
    let settings = server.settings(without_limits());
    let (mut post, mut queued) = (Post::new(), Vec::new());
    for _ in 0..mails {
        let (to, id) = post.queue();
        post.deliver(&settings);
        let status = post.status(&to);
        assert!(
            status != "sent" || server.taken().contains_key(&id),
            "{id} is recorded as sent, and was not taken"
        );
        queued.push((to, id));
        // What was put off is tried once more, and then too old.
        post.later(144, 0);
    }
    post.deliver(&settings);
    let taken = server.taken();
    let mut fuzzed = Fuzzed {
        replies: *replies.lock().unwrap(),
        taken: taken.len(),
        ..Fuzzed::default()
    };
    for (to, id) in &queued {
        let status = post.status(to);
        let copies = taken.get(id).map_or(0, Vec::len);
        assert!(status != "sent" || copies > 0, "{id}: sent and not taken");
        assert!(copies <= 2, "{id}: {copies} copies");
        *fuzzed.by_status.entry(status).or_default() += 1;
    }
    fuzzed
}

#[test]
fn a_mail_that_the_server_did_not_take_is_never_recorded_as_sent() {
    let (all, seed, started) = (rounds().unwrap_or(300), seed(), Instant::now());
    let sum = Mutex::new(Fuzzed::default());
    let pieces = all.div_ceil(250);
    // Most of the time a server that says nothing is waited for.
    in_lanes(8, pieces, |piece| {
        let mails = (piece + 1) * all / pieces - piece * all / pieces;
        let fuzzed = fuzz(mails, &mut Random(seed.wrapping_add(piece as u64 * 7_919)));
        let mut sum = sum.lock().unwrap();
        sum.replies += fuzzed.replies;
        sum.taken += fuzzed.taken;
        for (status, count) in fuzzed.by_status {
            *sum.by_status.entry(status).or_default() += count;
        }
    });
    let Fuzzed {
        replies,
        taken,
        by_status,
    } = sum.into_inner().unwrap();
    println!(
        "| rejected mail recorded as sent | {all} mails, {replies} replies fuzzed, {taken} mails taken, {by_status:?}, {:.0?} | 0 |",
        started.elapsed()
    );
    let sent = by_status.get("sent").copied().unwrap_or_default();
    assert!(sent * 10 > all && sent < all, "nothing was tried");
}

/// The moments at which a connection is cut: before a step is answered, and after.
const CUTS: [(&str, bool); 12] = [
    ("greeting", false),
    ("greeting", true),
    ("EHLO", false),
    ("EHLO", true),
    ("MAIL", false),
    ("MAIL", true),
    ("RCPT", false),
    ("RCPT", true),
    ("DATA", false),
    ("DATA", true),
    ("text", false),
    ("text", true),
];

#[test]
fn a_connection_that_is_cut_loses_no_mail_and_doubles_none_but_after_the_dot() {
    let (rounds, started) = (rounds().unwrap_or(2), Instant::now());
    let mut table = BTreeMap::new();
    for (at, answered) in CUTS {
        let cut = Arc::new(Mutex::new(false));
        let armed = cut.clone();
        let server = Server::new(move |step| {
            let mut reply = Reply::of(kind(step));
            if step == at && std::mem::take(&mut *armed.lock().unwrap()) {
                reply.goes_on = false;
                if !answered {
                    reply.pieces.clear();
                }
            }
            reply
        });
        // Whole seconds: no busy machine is taken for a silent server.
        let limits = Limits {
            reply: BOUND,
            after_text: BOUND,
            ..without_limits()
        };
        let settings = server.settings(limits);
        let (mut post, mut lost, mut doubled) = (Post::new(), 0, 0);
        for _ in 0..rounds {
            let (to, id) = post.queue();
            *cut.lock().unwrap() = true;
            for _ in 0..3 {
                post.deliver(&settings);
                post.later(0, 16);
            }
            assert!(!*cut.lock().unwrap(), "{at}: never cut");
            // An answer that was never given is no yes, but the mail came whole.
            let copies = server.taken().get(&id).map_or(0, Vec::len);
            lost += usize::from(copies == 0 || post.status(&to) != "sent");
            doubled += usize::from(copies > 1);
            assert!(copies <= 2, "{at}: {copies} copies");
        }
        table.insert((at, answered), (lost, doubled));
    }
    let lost: usize = table.values().map(|(lost, _)| lost).sum();
    let doubled: usize = table.values().map(|(_, doubled)| doubled).sum();
    println!(
        "| mails lost, or doubled, by a connection that is cut | {rounds} cuts at each of {} moments, {:.0?} | {lost} lost, {doubled} doubled |",
        CUTS.len(),
        started.elapsed()
    );
    assert_eq!((lost, doubled), (0, 0), "{table:?}");
}

#[test]
fn a_mail_that_came_whole_and_was_not_answered_comes_twice_at_most_and_the_same() {
    // The server takes the mail, and the connection is cut before it can say so.
    for cuts in 1..4 {
        let (left, whole) = (Arc::new(Mutex::new(cuts)), Arc::new(Mutex::new(0)));
        let (cutting, came) = (left.clone(), whole.clone());
        let server = Server::new(move |step| {
            if step != "text" {
                return Reply::of(kind(step));
            }
            *came.lock().unwrap() += 1;
            let mut left = cutting.lock().unwrap();
            if *left == 0 {
                return Reply::of(kind(step));
            }
            *left -= 1;
            Reply::cut()
        });
        let settings = server.settings(without_limits());
        let mut post = Post::new();
        let (to, _) = post.queue();
        for _ in 0..12 {
            post.deliver(&settings);
            post.later(0, 16);
        }
        assert_eq!(*whole.lock().unwrap(), 2);
        assert_eq!(post.status(&to), if cuts == 1 { "sent" } else { "failed" });
    }
}

#[test]
fn what_a_server_may_say_and_how_long_is_bounded() {
    let limits = || Limits {
        text: Duration::from_millis(300),
        ..without_limits()
    };
    for at in ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "text"] {
        for how in ["silent", "a line", "many lines", "slowly"] {
            let server = Server::new(move |step| {
                let mut reply = Reply::of(kind(step));
                if step == at {
                    // Two gigabytes, unless the client goes away.
                    if how == "a line" || how == "many lines" {
                        reply.times = 2_048;
                    }
                    reply.pieces = match how {
                        "silent" => {
                            reply.after = Duration::from_millis(400);
                            Vec::new()
                        }
                        "a line" => vec![vec![b'2'; 1 << 20]],
                        "many lines" => vec![b"250-on\r\n".repeat(1 << 17)],
                        // Never silent for as long as a reply is waited for.
                        _ => {
                            reply.between = Duration::from_millis(40);
                            vec![b"250-on\r\n".to_vec(); 200]
                        }
                    };
                }
                reply
            });
            let mut post = Post::new();
            let (to, _) = post.queue();
            let started = Instant::now();
            post.deliver(&server.settings(limits()));
            let took = started.elapsed();
            assert!(took < Duration::from_secs(5), "{at}, {how}: {took:?}");
            let status = post.status(&to);
            let expected = if at == "text" { "uncertain" } else { "queued" };
            assert_eq!(status, expected, "{at}, {how}");
            let mails = post.store.read(|tx| tx.mails(Some(&to))).unwrap();
            let answer = mails[0].answer.clone().unwrap();
            let why = match how {
                "a line" => "a line without end",
                "many lines" => "a reply without end",
                _ => "did not answer in time",
            };
            assert!(answer.contains(why), "{at}, {how}: {answer}");
        }
    }
}

#[test]
fn a_slow_server_is_waited_for_and_sends_once() {
    let server = Server::new(|step| {
        let mut reply = Reply::of(kind(step));
        if step == "text" {
            reply.after = Duration::from_millis(500);
        }
        reply
    });
    let limits = Limits {
        reply: BOUND,
        after_text: BOUND,
        ..without_limits()
    };
    let mut post = Post::new();
    let (to, id) = post.queue();
    post.deliver(&server.settings(limits));
    assert_eq!(post.status(&to), "sent");
    assert_eq!(server.taken()[&id].len(), 1);
    assert!(Limits::default().after_text >= Duration::from_secs(600));
}

#[test]
fn what_was_put_off_before_the_clock_was_set_back_does_not_wait_for_it() {
    let busy = Server::new(|step| match step {
        "RCPT" => Reply::of("451 4.3.0 later"),
        step => Reply::of(kind(step)),
    });
    let good = Server::new(|step| Reply::of(kind(step)));
    let mut post = Post::new();
    let right = post.now;
    post.later(87_660, 0);
    let (to, _) = post.queue();
    post.deliver(&busy.settings(without_limits()));
    assert_eq!(post.status(&to), "queued");
    let until = post.now + SignedDuration::from_hours(1);
    let suspend = |tx: &Tx<'_>| tx.suspend("r2@example.org", "550 no", until, until);
    post.store.write(suspend).unwrap();
    post.now = right;
    let (second, _) = post.queue();
    post.deliver(&good.settings(without_limits()));
    assert_eq!(
        (post.status(&to), post.status(&second)),
        ("sent".into(), "sent".into())
    );
}

#[test]
fn no_more_mails_go_out_within_a_day_than_are_set() {
    let server = Server::new(|step| Reply::of(kind(step)));
    let settings = server.settings(Limits {
        reply: BOUND,
        after_text: BOUND,
        a_minute: 3,
        a_day: 7,
        ..without_limits()
    });
    let mut post = Post::new();
    for _ in 0..20 {
        post.queue();
    }
    let mut sent = Vec::new();
    for (hours, minutes) in [(0, 0), (0, 2), (0, 2), (0, 2), (23, 0), (1, 0), (0, 2)] {
        post.later(hours, minutes);
        post.deliver(&settings);
        sent.push(server.taken().len());
    }
    assert_eq!(sent, [3, 6, 7, 7, 7, 10, 13]);
}

#[test]
fn a_connection_is_not_used_for_ever() {
    let greeted = Arc::new(Mutex::new(0));
    let count = greeted.clone();
    let server = Server::new(move |step| {
        *count.lock().unwrap() += usize::from(step == "greeting");
        Reply::of(kind(step))
    });
    let mut limits = without_limits();
    limits.mails = 4;
    let mut post = Post::new();
    for _ in 0..10 {
        post.queue();
    }
    post.deliver(&server.settings(limits.clone()));
    assert_eq!((server.taken().len(), *greeted.lock().unwrap()), (10, 3));
    limits.age = Duration::ZERO;
    post.queue();
    post.queue();
    post.deliver(&server.settings(limits));
    assert_eq!((server.taken().len(), *greeted.lock().unwrap()), (12, 5));
}

#[test]
fn a_server_that_takes_the_login_only_in_a_second_step_is_logged_in_to() {
    // AUTH LOGIN asks for the user, then for the password.
    let asked = Arc::new(Mutex::new(0));
    let server = Server::new(move |step| {
        let mut asked = asked.lock().unwrap();
        match step {
            "EHLO" => Reply::of("250-mail.example.org\r\n250 AUTH LOGIN"),
            "AUTH" => Reply::of("334 VXNlcm5hbWU6"),
            "greeting" | "MAIL" | "RCPT" | "DATA" | "text" | "QUIT" => Reply::of(kind(step)),
            // `desk`, then `canary`.
            "ZGVzaw==" => {
                *asked = 1;
                Reply::of("334 UGFzc3dvcmQ6")
            }
            "Y2FuYXJ5" if *asked == 1 => Reply::of("235 welcome"),
            _ => Reply::of("535 no"),
        }
    });
    let open = |password: &str| {
        let url = format!("smtp://desk:{password}@127.0.0.1:{}", server.port);
        let settings = SmtpSettings::new(&Secret::from(url), None).unwrap();
        Session::open(&settings).map(Session::close)
    };
    assert_eq!(open("canary"), Ok(()));
    assert!(matches!(open("wrong"), Err(Failure::Login { .. })));
}

/// A desk with so many reviewers whom nobody told of its story.
pub(crate) fn desk(reviewers: usize) -> Desk {
    let line = |n| {
        format!(
            "  - {{name: R, email: r{n}@example.org, role: reviewer, queues: all, digest: \"0 9 * * *\"}}\n"
        )
    };
    let lines: String = (0..reviewers).map(line).collect();
    let desk = Desk::new().with_rules("reviewers.yaml", &format!("reviewers:\n{lines}"));
    desk.story("a.md").write();
    desk.scan();
    desk
}

fn notify(desk: &Desk, server: &Server) -> std::process::Command {
    let mut command = desk.command(&["notify"]);
    command
        .env(
            "COPYDESK_SMTP_URL",
            format!("smtp://127.0.0.1:{}", server.port),
        )
        .env("COPYDESK_MAIL_FROM", "desk@example.org");
    command
}

/// The Message-IDs of what is recorded as sent.
pub(crate) fn recorded(desk: &Desk) -> BTreeSet<String> {
    let database = rusqlite::Connection::open(desk.path("state/copydesk.db")).unwrap();
    let sql = "SELECT message_id FROM mails WHERE status = 'sent'";
    let mut statement = database.prepare(sql).unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

/// Kills a process that sends mails when its server is at a step, and sends the rest; returns at
/// which verb it was, how many mails there were, and how many came twice.
fn kill_at(at: u64, answered: bool, reviewers: usize) -> (String, usize, usize) {
    let desk = desk(reviewers);
    let (reached, reach) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let mut steps = 0;
    let server = Server::new(move |step| {
        steps += 1;
        let mut reply = Reply::of(kind(step));
        if steps == at {
            let _ = reached.send(step.to_owned());
            if !answered {
                let _ = gone.recv_timeout(BOUND);
                reply.goes_on = false;
            }
        }
        reply
    });
    let mut child = notify(&desk, &server)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let step = reach.recv_timeout(BOUND).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = go.send(());
    let before = recorded(&desk);
    let mails = || desk.json(&["mails"]).as_array().unwrap().clone();
    let mut left = Vec::new();
    for _ in 0..12 {
        desk.later("21m");
        finish(notify(&desk, &server));
        left = mails();
        left.retain(|mail: &Value| mail["status"] != "sent");
        if left.is_empty() && mails().len() >= reviewers {
            break;
        }
    }
    assert!(left.is_empty(), "{step}: not sent: {left:#?}");
    let (taken, rows) = (server.taken(), mails().len());
    assert_eq!(taken.len(), rows, "{step}: mails lost");
    let twice: Vec<_> = taken
        .iter()
        .filter(|(_, copies)| copies.len() > 1)
        .collect();
    for (id, copies) in &twice {
        assert!(
            !before.contains(*id),
            "{step}: {id} was recorded as sent and came again"
        );
        assert_eq!(copies.len(), 2, "{step}: more than two copies");
        assert_eq!(copies[0], copies[1], "{step}: not the same mail");
    }
    let told: BTreeSet<String> = taken
        .values()
        .map(|copies| {
            let to = copies[0].lines().find(|line| line.starts_with("To: "));
            to.unwrap().to_owned()
        })
        .collect();
    assert_eq!(told.len(), reviewers, "{step}: somebody was not told");
    (step, rows, twice.len())
}

#[test]
fn a_process_that_dies_before_the_text_goes_out_costs_the_mail_nothing() {
    let desk = desk(1);
    for _ in 0..3 {
        let (reached, reach) = mpsc::channel();
        let server = Server::new(move |step| {
            if step == "RCPT" {
                let _ = reached.send(());
                thread::sleep(BOUND);
            }
            Reply::of(kind(step))
        });
        let mut child = notify(&desk, &server)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        reach.recv_timeout(BOUND).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        desk.later("21m");
    }
    let server = Server::new(|step| Reply::of(kind(step)));
    finish(notify(&desk, &server)).done();
    let mails = desk.json(&["mails"]);
    assert_eq!(
        (&mails[0]["status"], &mails[0]["tries"]),
        (&Value::from("sent"), &Value::from(4))
    );
    assert_eq!(
        (mails.as_array().unwrap().len(), server.taken().len()),
        (1, 1)
    );
}

#[test]
fn a_process_that_is_killed_loses_no_mail_and_doubles_none_but_after_the_dot() {
    let (kills, reviewers) = rounds().map_or((6, 6), |kills| (kills, 50));
    let (mut random, started) = (Random(seed()), Instant::now());
    let most = u64::try_from(reviewers.min(20)).unwrap() * 4 + 2;
    let at: Vec<(u64, bool)> = (0..kills)
        .map(|_| (1 + random.next(most), random.next(2) == 0))
        .collect();
    let sum = Mutex::new((0, 0, BTreeMap::new()));
    in_lanes(3, kills, |kill| {
        let (at, answered) = at[kill];
        let (step, rows, twice) = kill_at(at, answered, reviewers);
        // A process that got its answer goes on until it is killed, and may be after another dot.
        assert!(
            twice == 0 || twice == 1 && (answered || step == "text"),
            "kill {kill} at {step}: {twice} mails came twice"
        );
        let (mails, doubled, at_steps) = &mut *sum.lock().unwrap();
        *mails += rows;
        *doubled += twice;
        *at_steps.entry(step).or_insert(0) += 1;
    });
    let (mails, doubled, at_steps) = sum.into_inner().unwrap();
    println!(
        "| mails lost, or doubled outside the window between dot and reply, by kills | {kills} kills {at_steps:?}, {mails} mails, {doubled} in the window came twice and the same, {:.0?} | 0 lost, 0 doubled |",
        started.elapsed()
    );
}
