//! Mails by SMTP: what a server answers decides what is recorded, and nothing is sent twice.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Pid;
use serde_json::{Value, json};

use crate::desk::{Desk, Run, finish};

/// Longer than any test waits for another process.
const BOUND: Duration = Duration::from_secs(60);

/// What a server says at a step of its talk: `greeting`, a verb, or `text` after the final dot. An
/// empty reply closes the connection.
type Script = Box<dyn Fn(&str) -> String + Send>;

/// An SMTP server on this machine that plays a script.
pub(crate) struct Server {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn new(script: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Arc::default(),
            mails: Arc::default(),
        };
        let (heard, mails) = (server.heard.clone(), server.mails.clone());
        let script: Script = Box::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                heard.lock().unwrap().push("connection".to_owned());
                // A client that goes away ends its connection, not the server.
                let _ = talk(&stream.unwrap(), &script, &heard, &mails);
            }
        });
        server
    }

    /// A server that takes everything.
    pub(crate) fn kind() -> Self {
        Self::new(kind)
    }

    /// A server that takes everything, except that it answers one step otherwise.
    fn with(step: &'static str, reply: &'static str) -> Self {
        Self::new(move |at| {
            if at == step {
                reply.to_owned()
            } else {
                kind(at)
            }
        })
    }

    /// What the client said, in order; `connection` for each connection.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        let heard = self.heard();
        heard.iter().filter(|line| *line == "connection").count()
    }

    /// The whole mails that came, taken or not.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

pub(crate) fn kind(step: &str) -> String {
    match step {
        "greeting" => "220 mail.example.org",
        "EHLO" => "250-mail.example.org\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
        "AUTH" => "235 2.7.0 welcome",
        "DATA" => "354 go ahead",
        "QUIT" => "221 bye",
        "text" => "250 2.0.0 queued as 42",
        _ => "250 2.1.0 fine",
    }
    .to_owned()
}

fn talk(
    mut stream: &TcpStream,
    script: &Script,
    heard: &Mutex<Vec<String>>,
    mails: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(BOUND))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut step = "greeting".to_owned();
    loop {
        let reply = script(&step);
        if reply.is_empty() {
            return Ok(());
        }
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
        if step == "DATA" && reply.starts_with("354") {
            let mut text = String::new();
            loop {
                match lines.next().transpose()? {
                    None => return Ok(()),
                    Some(line) if line == "." => break,
                    Some(line) => {
                        text += &format!("{}\r\n", line.strip_prefix('.').unwrap_or(&line))
                    }
                }
            }
            mails.lock().unwrap().push(text);
            "text".clone_into(&mut step);
            continue;
        }
        let Some(line) = lines.next().transpose()? else {
            return Ok(());
        };
        line.split(' ').next().unwrap().clone_into(&mut step);
        heard.lock().unwrap().push(line);
    }
}

/// A desk with one story that nobody was told of.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk
}

const TWO: &str = "reviewers:
  - {name: Ana Example, email: ana@example.org, role: reviewer, queues: all, digest: \"0 9 * * *\"}
  - {name: Bo Example, email: bo@example.org, role: reviewer, queues: all, digest: \"0 9 * * *\"}
";

fn notify_at(desk: &Desk, url: &str, args: &[&str]) -> Command {
    let mut command = desk.command(&[&["notify"], args].concat());
    command
        .env("COPYDESK_SMTP_URL", url)
        .env("COPYDESK_MAIL_FROM", "Copy Desk <desk@example.org>");
    command
}

fn command(desk: &Desk, server: &Server) -> Command {
    notify_at(desk, &format!("smtp://127.0.0.1:{}", server.port), &[])
}

fn notify(desk: &Desk, server: &Server) -> Run {
    finish(command(desk, server))
}

fn test_mail(desk: &Desk, server: &Server) -> Run {
    let url = format!("smtp://127.0.0.1:{}", server.port);
    finish(notify_at(desk, &url, &["--test", "bo@example.org"]))
}

/// All mails, newest first.
fn mails(desk: &Desk) -> Vec<Value> {
    desk.json(&["mails"]).as_array().unwrap().clone()
}

/// The only mail.
#[track_caller]
fn mail(desk: &Desk) -> Value {
    let mails = mails(desk);
    assert_eq!(mails.len(), 1, "{mails:#?}");
    mails[0].clone()
}

fn message_id(mail: &str) -> String {
    let line = mail.lines().find(|line| line.starts_with("Message-ID:"));
    line.expect("a Message-ID").to_owned()
}

pub(crate) fn stored(desk: &Desk) -> Vec<String> {
    let database = desk.path("state/copydesk.db");
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = connection.unwrap();
    let mut statement = connection
        .prepare("SELECT bytes FROM mails ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0));
    rows.unwrap()
        .map(|bytes| String::from_utf8(bytes.unwrap()).unwrap())
        .collect()
}

#[test]
fn a_mail_that_is_taken_is_sent_once_and_as_it_is_stored() {
    let (desk, server) = (desk(), Server::kind());
    notify(&desk, &server)
        .done()
        .says(&["ana@example.org", "250 2.0.0 queued as 42"]);
    let sent = mail(&desk);
    assert_eq!(
        (&sent["status"], &sent["answer"], &sent["next"]),
        (
            &json!("sent"),
            &json!("250 2.0.0 queued as 42"),
            &Value::Null
        )
    );
    assert_eq!(server.mails().len(), 1);
    assert_eq!(server.mails()[0].trim_end(), stored(&desk)[0].trim_end());
    assert!(
        server.mails()[0].contains("From: \"Copy Desk\" <desk@example.org>"),
        "{}",
        server.mails()[0]
    );
    let heard = server.heard();
    assert!(
        heard.contains(&"MAIL FROM:<desk@example.org>".to_owned()),
        "{heard:?}"
    );
    assert!(
        heard.contains(&"RCPT TO:<ana@example.org>".to_owned()),
        "{heard:?}"
    );
    assert_eq!(heard.last().unwrap(), "QUIT");
    for later in ["1m", "25m", "2h"] {
        desk.later(later);
        notify(&desk, &server).done().says(&["nothing is owed"]);
    }
    assert_eq!((server.mails().len(), server.connections()), (1, 1));
    desk.run(&["status"]).done();
    assert!(!desk.path("state/mail").exists(), "it landed as a file too");
}

#[test]
fn only_a_yes_to_the_whole_mail_is_success() {
    for (step, reply, status, answer) in [
        (
            "RCPT",
            "550 5.1.1 no such user",
            "failed",
            "550 5.1.1 no such user",
        ),
        (
            "RCPT",
            "550-5.1.1 no such\r\n550 user",
            "failed",
            "550 5.1.1 no such user",
        ),
        ("text", "552 5.3.4 too big", "failed", "552 5.3.4 too big"),
        ("MAIL", "554 5.7.1 go away", "failed", "554 5.7.1 go away"),
        ("MAIL", "451 4.3.0 later", "queued", "451 4.3.0 later"),
        ("text", "451 4.3.0 later", "queued", "451 4.3.0 later"),
        (
            "text",
            "550 5.4.5 Daily user sending limit exceeded",
            "queued",
            "5.4.5",
        ),
        (
            "text",
            "550 5.7.1 Daily SMTP relay limit exceeded for customer",
            "queued",
            "5.7.1",
        ),
        ("RCPT", "450 4.7.1 greylisted", "queued", "450 4.7.1"),
        ("RCPT", "552 5.2.2 over quota", "queued", "552 5.2.2"),
        ("text", "452 4.3.1 full", "queued", "452 4.3.1 full"),
        (
            "greeting",
            "421 4.3.2 closing",
            "queued",
            "421 4.3.2 closing",
        ),
        ("greeting", "554 no mail here", "queued", "554 no mail here"),
        ("MAIL", "530 5.7.0 log in first", "queued", "530 5.7.0"),
        ("greeting", "", "queued", ""),
        ("EHLO", "what?", "queued", ""),
        ("MAIL", "354 go ahead", "queued", "out of place: 354"),
        ("RCPT", "", "queued", ""),
        ("DATA", "250 sure", "queued", "out of place: 250"),
        ("DATA", "", "queued", ""),
        ("text", "354 go ahead", "uncertain", "it answered 354"),
        ("text", "what?", "uncertain", "is lost"),
        ("text", "", "uncertain", "is lost"),
    ] {
        let case = format!("{step}: {reply:?}");
        let (desk, server) = (desk(), Server::with(step, reply));
        notify(&desk, &server)
            .refused()
            .says(&["ana@example.org", "not sent"]);
        let found = mail(&desk);
        assert_eq!(found["status"], status, "{case}: {found}");
        let said = found["answer"].as_str().unwrap();
        assert!(!said.is_empty() && said.contains(answer), "{case}: {found}");
        assert_eq!(
            found["next"].is_null(),
            status == "failed",
            "{case}: {found}"
        );
        let tries = i32::from(!reply.starts_with("530"));
        assert_eq!(found["tries"], tries, "{case}: {found}");
        desk.run(&["status"]).refused().says(&["ana@example.org"]);
    }
}

#[test]
fn a_mail_that_is_put_off_waits_longer_each_time() {
    let desk = desk();
    let busy = Server::with("RCPT", "451 4.7.1 greylisted");
    notify(&desk, &busy).refused();
    let first = stored(&desk);
    for (too_early, then) in [("269s", "62s"), ("539s", "122s")] {
        let before = busy.connections();
        desk.later(too_early);
        notify(&desk, &busy).done().says(&["waits until"]);
        assert_eq!(busy.connections(), before, "tried too early");
        desk.later(then);
        notify(&desk, &busy).refused();
        assert_eq!(busy.connections(), before + 1);
    }
    assert_eq!(mail(&desk)["tries"], 3);
    let server = Server::kind();
    desk.later("23m");
    notify(&desk, &server).done();
    assert_eq!(mail(&desk)["status"], "sent");
    assert_eq!(
        stored(&desk),
        first,
        "the mail was changed between two tries"
    );
    assert_eq!(message_id(&server.mails()[0]), message_id(&first[0]));
    desk.run(&["status"]).done();
}

#[test]
fn a_mail_is_given_up_after_five_days() {
    let desk = desk();
    let busy = Server::with("MAIL", "451 4.3.0 later");
    notify(&desk, &busy).refused();
    desk.later("119h");
    notify(&desk, &busy).refused();
    assert_eq!(mail(&desk)["status"], "queued");
    desk.later("2h");
    notify(&desk, &busy).refused();
    assert_eq!(mail(&desk)["status"], "failed");
    desk.run(&["status"]).refused().says(&["given up", "451"]);
}

#[test]
fn a_refused_mail_does_not_stand_in_the_way_of_the_next() {
    let desk = desk();
    let full = Server::with("RCPT", "550 5.1.1 no such user");
    notify(&desk, &full).refused();
    assert_eq!(mail(&desk)["status"], "failed");
    let server = Server::kind();
    notify(&desk, &server).done();
    let mails = mails(&desk);
    assert_eq!(
        (&mails[0]["status"], &mails[1]["status"]),
        (&json!("sent"), &json!("failed"))
    );
    assert_eq!(server.mails().len(), 1, "what was refused is never sent");
    desk.run(&["status"]).done();
}

/// A desk whose only reviewer's address was refused for three mails.
fn suspended() -> Desk {
    let desk = desk();
    let full = Server::with("RCPT", "550 5.1.1 no such user");
    for _ in 0..3 {
        notify(&desk, &full).refused();
    }
    assert_eq!(full.connections(), 3, "one try a round");
    desk
}

#[test]
fn an_address_that_is_refused_again_and_again_is_left_alone_for_a_week() {
    let (desk, server) = (suspended(), Server::kind());
    for later in ["1s", "25h", "140h"] {
        desk.later(later);
        notify(&desk, &server)
            .refused()
            .says(&["ana@example.org", "suspended until"]);
        assert_eq!((server.connections(), mails(&desk).len()), (0, 3));
    }
    desk.run(&["status"])
        .refused()
        .says(&["ana@example.org is sent nothing until", "--test ana@"]);
    let status = desk.run(&["status", "--json"]).refused();
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let line = &status["mail"]["suspended"][0];
    assert_eq!(line["address"], "ana@example.org", "{status:#}");
    assert_eq!(line["answer"], "550 5.1.1 no such user");
    desk.later("3h");
    notify(&desk, &server).done();
    assert_eq!(server.mails().len(), 1);
    desk.run(&["status"]).done();
}

#[test]
fn a_test_mail_that_is_taken_ends_a_suspension() {
    let desk = suspended();
    let (full, server) = (
        Server::with("RCPT", "550 5.1.1 no such user"),
        Server::kind(),
    );
    for (to, server) in [("ana@example.org", &full), ("bo@example.org", &server)] {
        let url = format!("smtp://127.0.0.1:{}", server.port);
        finish(notify_at(&desk, &url, &["--test", to]));
        notify(&desk, server).refused().says(&["suspended until"]);
    }
    let url = format!("smtp://127.0.0.1:{}", server.port);
    finish(notify_at(&desk, &url, &["--test", "Ana@Example.org"])).done();
    // One more refusal is the first, and not the fourth.
    notify(&desk, &full).refused();
    assert_eq!(full.connections(), 2);
    notify(&desk, &server).done();
    assert_eq!(mails(&desk)[0]["status"], "sent");
}

#[test]
fn only_a_refused_address_is_suspended() {
    let desk = desk();
    let spam = Server::with("text", "554 5.7.1 spam");
    for _ in 0..4 {
        notify(&desk, &spam).refused().says(&["554 5.7.1 spam"]);
    }
    assert_eq!(spam.mails().len(), 4);
}

#[test]
fn a_refused_login_costs_no_tries_and_is_repeated_every_quarter_of_an_hour() {
    for (step, reply) in [
        ("AUTH", "535 5.7.8 bad credentials"),
        ("MAIL", "530 5.7.0 log in first"),
    ] {
        let desk = desk();
        let locked = Server::with(step, reply);
        let url = format!("smtp://desk:canary@127.0.0.1:{}", locked.port);
        let mut command = notify_at(&desk, &url, &[]);
        command.env("COPYDESK_LOG", "warn");
        finish(command)
            .refused()
            .says(&[&reply[..9], "mend the user and password"]);
        desk.run(&["status"]).refused().says(&[
            "refuses the login",
            &reply[..9],
            "COPYDESK_SMTP_URL",
        ]);
        // Who is told of for the first time waits as well.
        desk.rules("reviewers.yaml", TWO);
        desk.later("14m");
        finish(notify_at(&desk, &url, &[])).done().says(&["waits"]);
        assert_eq!(locked.connections(), 1, "{reply}");
        for again in 2..6 {
            desk.later("61h");
            finish(notify_at(&desk, &url, &[])).refused();
            assert_eq!(locked.connections(), again, "{reply}");
        }
        let found = mails(&desk);
        assert_eq!(found.len(), 2);
        for mail in found {
            assert_eq!(
                (&mail["status"], &mail["tries"]),
                (&json!("queued"), &json!(0)),
                "{mail:#}"
            );
        }
        let server = Server::kind();
        notify(&desk, &server).done();
        assert_eq!(server.mails().len(), 0, "tried too early");
        test_mail(&desk, &server).done();
        notify(&desk, &server).done();
        let waited = &mails(&desk)[mails(&desk).len() - 2..];
        assert!(
            waited.iter().all(|mail| mail["status"] == "sent"),
            "{waited:#?}"
        );
        desk.run(&["status"]).done();
    }
}

#[test]
fn a_relay_that_cannot_check_a_login_now_is_busy() {
    let desk = desk();
    let busy = Server::with("AUTH", "454 4.7.0 Temporary authentication failure");
    let notify = |server: &Server| {
        let url = format!("smtp://desk:canary@127.0.0.1:{}", server.port);
        finish(notify_at(&desk, &url, &[]))
    };
    notify(&busy).refused().says(&["454 4.7.0"]);
    desk.later("2m");
    notify(&busy).done().says(&["waits until"]);
    assert_eq!(busy.connections(), 1);
    desk.run(&["status"])
        .refused()
        .says(&["takes no mail", "454 4.7.0"]);
    desk.later("4m");
    let server = Server::kind();
    notify(&server).done();
    assert_eq!(
        (mail(&desk)["status"].as_str(), server.mails().len()),
        (Some("sent"), 1)
    );
}

#[test]
fn a_busy_relay_is_left_alone_by_new_mails_too() {
    let desk = desk();
    let busy = Server::with("greeting", "421 4.3.2 closing");
    notify(&desk, &busy).refused();
    desk.rules("reviewers.yaml", TWO);
    desk.later("2m");
    notify(&desk, &busy)
        .done()
        .says(&["bo@example.org waits until"]);
    assert_eq!((busy.connections(), mails(&desk).len()), (1, 2));
    desk.run(&["status"])
        .refused()
        .says(&["takes no mail", "421 4.3.2 closing"]);
}

#[test]
fn no_more_than_twenty_mails_go_out_within_a_minute() {
    let desk = desk();
    let reviewers: String = (0..45)
        .map(|n| {
            format!(
                "  - {{name: R, email: r{n}@example.org, role: reviewer, queues: all, digest: \"0 9 * * *\"}}\n"
            )
        })
        .collect();
    desk.rules("reviewers.yaml", &format!("reviewers:\n{reviewers}"));
    let server = Server::kind();
    for (later, sent) in [("1s", 20), ("20s", 20), ("45s", 40), ("61s", 45)] {
        desk.later(later);
        let run = notify(&desk, &server).done();
        assert_eq!(server.mails().len(), sent, "{run:?}");
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_server_that_speaks_in_clear_after_starttls_gets_nothing() {
    let desk = desk();
    let server = Server::new(|at| match at {
        "EHLO" => "250-mail.example.org\r\n250 STARTTLS".to_owned(),
        "STARTTLS" => "220 go ahead\r\n250-mail.example.org\r\n250 AUTH PLAIN".to_owned(),
        _ => kind(at),
    });
    let url = format!("smtp://desk:canary@127.0.0.1:{}", server.port);
    finish(notify_at(&desk, &url, &[]))
        .refused()
        .says(&["in clear after its reply to STARTTLS"]);
    assert_eq!(mail(&desk)["status"], "queued");
    let heard = server.heard();
    assert_eq!(heard.last().unwrap(), "STARTTLS", "{heard:?}");
}

#[test]
fn a_server_that_speaks_out_of_turn_is_not_believed() {
    for (step, reply) in [
        ("greeting", "220 hello\r\n250 early"),
        ("MAIL", "250 fine\r\n250 early"),
        ("RCPT", "250 fine\r\n354 early"),
        ("DATA", "354 go ahead\r\n250 early"),
    ] {
        let (desk, server) = (desk(), Server::with(step, reply));
        notify(&desk, &server).refused().says(&["out of turn"]);
        assert_eq!(mail(&desk)["status"], "queued", "{step}");
    }
}

/// Nothing of what is written in a story or a name becomes a header or a command.
#[test]
fn no_text_becomes_a_header_or_a_command() {
    let desk = Desk::new();
    desk.story("a.md")
        .title(r#"Bees\r\nBcc: evil@example.net\r\n\r\n.\r\nRCPT TO:<evil@example.net>"#)
        .body("a\n.\nQUIT\n")
        .write();
    let path = desk.content("a.md");
    let quoted = fs::read_to_string(&path).unwrap();
    assert!(quoted.contains("Bcc"), "{quoted}");
    fs::write(desk.content("b.md"), "---\ntitle: \"b\\r\\nBcc: evil@example.net\\n.\\nMAIL FROM:<evil@example.net>\"\npublished: false\n---\n.\n").unwrap();
    desk.scan();
    desk.rules(
        "reviewers.yaml",
        "reviewers:\n  - {name: \"Ana\\r\\nBcc: evil@example.net\", email: ana@example.org, role: reviewer, queues: all, digest: \"0 9 * * *\"}\n",
    );
    let server = Server::kind();
    notify(&desk, &server).done();
    let heard: Vec<String> = server
        .heard()
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        heard,
        ["connection", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    );
    let mail = &server.mails()[0];
    let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
    assert!(
        !headers
            .lines()
            .any(|line| line.to_lowercase().starts_with("bcc")),
        "{headers}"
    );
    assert_eq!(mail.trim_end(), stored(&desk)[0].trim_end());
}

#[test]
fn an_address_that_cannot_be_one_is_refused_or_fails_alone() {
    for address in [
        "a@b\\r\\nRCPT TO:<evil@example.net>",
        "a@b>\\r\\nRCPT TO:<evil@example.net",
        "\\\"a b\\\"@example.org",
        "a%b@example.org",
        "añb@example.org",
        "a b@example.org",
    ] {
        let desk = desk();
        desk.rules(
            "reviewers.yaml",
            &format!("{TWO}  - {{name: Odd, email: \"{address}\", role: reviewer, queues: all, digest: \"0 9 * * *\"}}\n"),
        );
        let server = Server::kind();
        let run = notify(&desk, &server);
        let heard = server.heard().join("\n");
        assert!(!heard.contains("evil"), "{address}: {heard}");
        if server.connections() == 0 {
            assert_ne!(run.code, 0, "{address}: {run:?}");
            run.says(&["email"]);
            continue;
        }
        let others = mails(&desk);
        let sent = others.iter().filter(|mail| {
            mail["status"] == "sent"
                && ["ana@example.org", "bo@example.org"].contains(&mail["to"].as_str().unwrap())
        });
        assert_eq!(sent.count(), 2, "{address}: {others:#?}");
        let odd = &others[0];
        assert!(
            odd["status"] == "sent" || odd["status"] == "failed",
            "{address}: {odd:#}"
        );
        if !address.is_ascii() {
            assert_eq!(odd["status"], "failed", "{odd:#}");
        }
    }
}

#[test]
fn when_the_answer_is_lost_it_is_sent_once_more_and_never_a_third_time() {
    let desk = desk();
    let broken = Server::with("text", "");
    notify(&desk, &broken).refused();
    assert_eq!(mail(&desk)["status"], "uncertain");
    desk.run(&["status"])
        .refused()
        .says(&["may not have arrived"]);
    desk.later("14m");
    notify(&desk, &broken).done().says(&["waits until"]);
    assert_eq!(broken.mails().len(), 1);
    desk.later("2m");
    notify(&desk, &broken).refused();
    assert_eq!(mail(&desk)["status"], "failed");
    let (copies, ids): (usize, BTreeSet<String>) = {
        let mails = broken.mails();
        (
            mails.len(),
            mails.iter().map(|mail| message_id(mail)).collect(),
        )
    };
    assert_eq!((copies, ids.len()), (2, 1));
    desk.later("2h");
    let server = Server::kind();
    notify(&desk, &server).done();
    assert!(!ids.contains(&message_id(&server.mails()[0])));
    assert_eq!(server.mails().len(), 1);
}

#[test]
fn a_relay_that_closes_is_left_alone_and_the_other_mails_wait() {
    for (step, reply) in [
        ("RCPT", "421 4.3.2 closing"),
        ("greeting", "421 4.3.2 closing"),
    ] {
        let desk = desk();
        desk.rules("reviewers.yaml", TWO);
        let server = Server::with(step, reply);
        notify(&desk, &server).refused();
        assert_eq!(server.connections(), 1, "{step}");
        let found = mails(&desk);
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .all(|mail| mail["status"] == "queued" && mail["tries"] == 1),
            "{found:#?}"
        );
        desk.later("4m");
        notify(&desk, &server).done();
        assert_eq!(server.connections(), 1, "{step}");
        desk.later("2m");
        let kind = Server::kind();
        notify(&desk, &kind).done();
        assert_eq!((kind.mails().len(), kind.connections()), (2, 1), "{step}");
    }
}

#[test]
fn one_refusal_is_not_the_other_mails() {
    let desk = desk();
    desk.rules("reviewers.yaml", TWO);
    let once = Mutex::new(true);
    let server = Server::new(move |at| match at {
        "RCPT" if std::mem::take(&mut *once.lock().unwrap()) => "550 5.1.1 no such user".to_owned(),
        _ => kind(at),
    });
    notify(&desk, &server).refused();
    let found: Vec<String> = mails(&desk)
        .iter()
        .map(|mail| format!("{} {}", mail["to"], mail["status"]))
        .collect();
    assert_eq!(
        found,
        [
            "\"bo@example.org\" \"sent\"",
            "\"ana@example.org\" \"failed\""
        ]
    );
    assert_eq!((server.mails().len(), server.connections()), (1, 2));
}

/// A server that holds its answer to a whole mail back until it is let go, and tells when it waits.
fn holding() -> (Server, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (waits, waiting) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let server = Server::new(move |at| {
        if at == "text" {
            let _ = waits.send(());
            let _ = gone.recv_timeout(BOUND);
        }
        kind(at)
    });
    (server, waiting, go)
}

#[test]
fn two_processes_do_not_send_a_mail_twice() {
    let desk = desk();
    let (server, waiting, go) = holding();
    let first = command(&desk, &server);
    let first = thread::spawn(move || finish(first));
    waiting.recv_timeout(BOUND).unwrap();
    assert_eq!(mail(&desk)["status"], "sending");
    let other = Server::kind();
    notify(&desk, &other).done().says(&["waits"]);
    desk.run(&["notify"]).done();
    assert_eq!(other.mails().len(), 0);
    assert!(!desk.path("state/mail").exists(), "it landed as a file");
    go.send(()).unwrap();
    first.join().unwrap().done();
    assert_eq!(mail(&desk)["status"], "sent");
    desk.later("1h");
    notify(&desk, &other).done();
    assert_eq!((server.mails().len(), other.mails().len()), (1, 0));
}

#[test]
fn a_mail_whose_process_died_is_sent_once_more() {
    let desk = desk();
    let (server, waiting, go) = holding();
    let mut child = command(&desk, &server)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    waiting.recv_timeout(BOUND).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(go);
    let other = Server::kind();
    for (later, status) in [
        ("19m", "sending"),
        ("2m", "uncertain"),
        ("14m", "uncertain"),
        ("2m", "sent"),
    ] {
        desk.later(later);
        notify(&desk, &other).done();
        assert_eq!(mail(&desk)["status"], status, "{later}");
    }
    assert_eq!(server.mails(), other.mails());
    assert_eq!(other.mails().len(), 1);
}

#[test]
fn a_test_mail_is_sent_at_once_and_not_stored() {
    let (desk, server) = (desk(), Server::kind());
    test_mail(&desk, &server)
        .done()
        .says(&["bo@example.org", "250 2.0.0 queued as 42"]);
    assert_eq!(server.mails().len(), 1);
    assert!(
        server
            .heard()
            .contains(&"RCPT TO:<bo@example.org>".to_owned())
    );
    assert_eq!(mails(&desk), Vec::<Value>::new());
    let full = Server::with("RCPT", "550 5.1.1 no such user");
    test_mail(&desk, &full)
        .refused()
        .says(&["550 5.1.1 no such user"]);
    let run = desk.run(&["notify", "--test", "bo@example.org"]).done();
    assert!(run.stdout.trim_end().ends_with(".eml"), "{run:?}");
    assert_eq!(desk.mails()[0].to, "bo@example.org");
    desk.run(&["notify", "--test", "nobody"]).used_wrongly();
}

#[test]
fn a_server_that_is_set_wrongly_is_wrong_use() {
    let desk = desk();
    fs::write(desk.path("empty"), "\n").unwrap();
    let without_from = {
        let mut command = command(&desk, &Server::kind());
        command.env_remove("COPYDESK_MAIL_FROM");
        finish(command)
    };
    without_from.used_wrongly().says(&["COPYDESK_MAIL_FROM"]);
    for url in [
        "smtps://desk:canary@",
        "http://desk:canary@mail.example.org",
        "canary",
        "smtp://h?canary",
    ] {
        let run = finish(notify_at(&desk, url, &[])).used_wrongly();
        assert!(!run.seen().contains("canary"), "{run:?}");
    }
    let url = "smtps://desk:canary@mail.example.org";
    for args in [
        ["--smtp-url-file", "empty"],
        ["--smtp-ca", "empty"],
        ["--smtp-ca", "absent"],
    ] {
        let run = finish(notify_at(&desk, url, &args)).used_wrongly();
        assert!(!run.seen().contains("canary"), "{run:?}");
    }
    for file in ["empty", "absent"] {
        desk.run(&[
            "notify",
            "--mail-from",
            "desk@example.org",
            "--smtp-url-file",
            file,
        ])
        .used_wrongly();
    }
    assert_eq!(mails(&desk), Vec::<Value>::new());
}

#[test]
fn nothing_is_sent_in_clear_where_tls_is_required() {
    let (desk, server) = (desk(), Server::kind());
    let url = format!("smtp://desk:canary@127.0.0.1:{}?tls=required", server.port);
    finish(notify_at(&desk, &url, &[]))
        .refused()
        .says(&["STARTTLS"]);
    assert_eq!(mail(&desk)["status"], "queued");
    let heard = server.heard();
    assert!(
        heard
            .iter()
            .all(|line| line == "connection" || line.starts_with("EHLO") || line == "QUIT"),
        "{heard:?}"
    );
}

#[test]
fn the_password_is_never_told() {
    // `canary-7f3a`, the same in base64, and the two as AUTH PLAIN sends them.
    let secrets = ["canary-7f3a", "Y2FuYXJ5LTdmM2E", "AGRlc2sAY2FuYXJ5LTdmM2E"];
    for (step, reply) in [
        ("AUTH", "535 5.7.8 not AGRlc2sAY2FuYXJ5LTdmM2E="),
        ("AUTH", "535 Y2FuYXJ5LTdmM2E= is wrong"),
        ("AUTH", "what? AGRlc2sAY2FuYXJ5LTdmM2E="),
        ("MAIL", "554 5.7.1 canary-7f3a is no good password"),
        ("text", "250 2.0.0 taken with canary-7f3a"),
        ("text", "250 2.0.0 taken"),
        ("text", "451 4.3.0 later"),
        ("text", ""),
    ] {
        let (desk, server) = (desk(), Server::with(step, reply));
        let url = format!("smtp://desk:canary-7f3a@127.0.0.1:{}", server.port);
        fs::write(desk.path("url"), format!("{url}\n")).unwrap();
        let mut by_file = desk.command(&["notify", "--mail-from", "desk@example.org"]);
        by_file.env("COPYDESK_SMTP_URL_FILE", desk.path("url"));
        for mut command in [
            by_file,
            notify_at(&desk, &url, &["--test", "bo@example.org"]),
            notify_at(&desk, &url, &["--help"]),
            notify_at(&desk, &url, &["--json"]),
            desk.command(&["status"]),
            desk.command(&["status", "--json"]),
            desk.command(&["mails"]),
            desk.command(&["mails", "--json"]),
        ] {
            command.env("COPYDESK_LOG", "trace");
            let seen = finish(command).seen();
            assert!(
                !secrets.iter().any(|secret| seen.contains(secret)),
                "{seen}"
            );
        }
        let heard = server.heard().join("\n");
        assert!(heard.contains(secrets[2]), "never logged in: {heard}");
        for file in fs::read_dir(desk.path("state")).unwrap() {
            let mut bytes = Vec::new();
            fs::File::open(file.unwrap().path())
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                !secrets.iter().any(|secret| text.contains(secret)),
                "{step}: stored"
            );
        }
    }
}

/// A real server with TLS: `starttls`, or `implicit` from the first byte; a login is needed.
const AIOSMTPD: &str = r#"
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
mode, folder = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/leaf.pem", folder + "/leaf.key")
class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(folder + "/received", "ab") as file:
            file.write(envelope.content)
        return "250 2.0.0 taken"
def check(server, session, envelope, mechanism, data):
    known = data.login == b"desk" and data.password == b"canary-7f3a"
    return AuthResult(success=known, handled=False)
def protocol():
    if mode == "starttls":
        return SMTP(Handler(), tls_context=context, require_starttls=True, auth_required=True, authenticator=check)
    return SMTP(Handler(), auth_require_tls=False, auth_required=True, authenticator=check)
async def main():
    tls = context if mode == "implicit" else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

/// A process that ends with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) {
        assert!(self.0.wait().unwrap().success());
    }

    /// Starts a server that says its port first.
    pub(crate) fn with_port(command: &mut Command) -> (Self, u16) {
        let mut server = Self::start(command.stdout(Stdio::piped()));
        let mut port = String::new();
        BufReader::new(server.0.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        (server, port.trim().parse().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a tool is there; where `COPYDESK_REQUIRE=all` is set, it must be.
pub(crate) fn found(name: &str, program: &str, args: &[&str]) -> bool {
    let run = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let found = run.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: no {name}");
        assert!(
            std::env::var("COPYDESK_REQUIRE").as_deref() != Ok("all"),
            "{name} is required"
        );
    }
    found
}

/// Whether a real server can be started here.
pub(crate) fn has_real_server() -> bool {
    found("aiosmtpd", "python3", &["-c", "import aiosmtpd"])
        && found("openssl", "openssl", &["version"])
}

/// A certificate for this machine, and the authority that signed it.
pub(crate) fn certificates(folder: &Path) {
    fs::write(
        folder.join("names"),
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n",
    )
    .unwrap();
    openssl(
        folder,
        &[
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
            "req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost",
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out leaf.pem",
        ],
    );
}

fn openssl(folder: &Path, commands: &[&str]) {
    for args in commands {
        let run = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
}

/// A real server, and its port.
pub(crate) fn real_server(mode: &str, folder: &Path) -> (Running, u16) {
    let mut command = Command::new("python3");
    Running::with_port(command.args(["-c", AIOSMTPD, mode]).arg(folder))
}

#[test]
fn a_real_server_takes_the_digest_over_tls() {
    if !has_real_server() {
        return;
    }
    let certificates_at = tempfile::tempdir().unwrap();
    let folder = certificates_at.path();
    certificates(folder);
    for (mode, scheme, option) in [
        ("starttls", "smtp", "?tls=required"),
        ("implicit", "smtps", ""),
    ] {
        let (_server, port) = real_server(mode, folder);
        let url = |password: &str| format!("{scheme}://desk:{password}@127.0.0.1:{port}{option}");
        let send = |desk: &Desk, password: &str, trusted: bool| {
            let mut command = notify_at(desk, &url(password), &[]);
            if trusted {
                command.env("COPYDESK_SMTP_CA", folder.join("ca.pem"));
            }
            finish(command)
        };
        let _ = fs::remove_file(folder.join("received"));

        let stranger = desk();
        send(&stranger, "canary-7f3a", false)
            .refused()
            .says(&["certificate"]);
        assert_eq!(mail(&stranger)["status"], "queued", "{mode}");

        let locked_out = desk();
        send(&locked_out, "wrong", true)
            .refused()
            .says(&["535", "login"]);
        assert_eq!(mail(&locked_out)["status"], "queued", "{mode}");
        assert!(!folder.join("received").exists(), "{mode}");

        let desk = desk();
        send(&desk, "canary-7f3a", true)
            .done()
            .says(&["250 2.0.0 taken"]);
        assert_eq!(mail(&desk)["status"], "sent", "{mode}");
        let received = fs::read_to_string(folder.join("received")).unwrap();
        assert_eq!(received.trim_end(), stored(&desk)[0].trim_end(), "{mode}");
    }
}

/// A server that takes everything by TLS of one version and writes down all that it is told: before
/// TLS, in it, and how each handshake ended.
const TLS: &str = r#"
import socket, ssl, sys
mode, folder, certificate, newest = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.set_ciphers("ALL:@SECLEVEL=0")
context.minimum_version = ssl.TLSVersion.TLSv1
context.maximum_version = getattr(ssl.TLSVersion, newest)
context.load_cert_chain(folder + "/" + certificate + ".pem", folder + "/leaf.key")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
def note(what):
    with open(folder + "/heard", "a") as file:
        file.write(what + "\n")
def secured(stream):
    stream = context.wrap_socket(stream, server_side=True)
    note("secured by " + stream.version())
    return stream
def talk(stream):
    if mode == "implicit":
        stream = secured(stream)
    stream.sendall(b"220 mail.example.org\r\n")
    lines, text = stream.makefile("rb"), False
    while True:
        line = lines.readline()
        if not line:
            return
        line = line.decode().rstrip()
        if text:
            if line == ".":
                text = False
                stream.sendall(b"250 2.0.0 taken\r\n")
            continue
        note(line)
        verb = line.split(" ")[0]
        if verb == "STARTTLS":
            stream.sendall(b"220 go ahead\r\n")
            stream = secured(stream)
            lines = stream.makefile("rb")
            continue
        text = verb == "DATA"
        offer = b"STARTTLS" if not isinstance(stream, ssl.SSLSocket) else b"AUTH PLAIN"
        replies = {"EHLO": b"250-mail.example.org\r\n250 " + offer, "DATA": b"354 go ahead", "AUTH": b"235 welcome"}
        stream.sendall(replies.get(verb, b"250 fine") + b"\r\n")
while True:
    stream = listener.accept()[0]
    try:
        talk(stream)
    except (ssl.SSLError, OSError) as error:
        note("failed: " + str(error))
    stream.close()
"#;

fn tls_server(args: &[&str; 3], folder: &Path) -> (Running, u16) {
    let [mode, certificate, newest] = args;
    let mut command = Command::new("python3");
    command.args(["-W", "ignore", "-c", TLS, mode]).arg(folder);
    Running::with_port(command.args([certificate, newest]))
}

#[test]
fn a_server_with_a_bad_certificate_or_an_old_tls_gets_no_login_and_no_mail() {
    refuses_bad_tls("implicit", "TLSv1_3");
}

#[test]
fn a_server_that_turns_to_a_bad_certificate_or_an_old_tls_gets_no_login_and_no_mail() {
    refuses_bad_tls("starttls", "TLSv1_2");
}

fn refuses_bad_tls(mode: &str, newest: &str) {
    if !found("openssl", "openssl", &["version"])
        || !found("python3", "python3", &["-c", "import ssl"])
    {
        return;
    }
    let certificates_at = tempfile::tempdir().unwrap();
    let folder = certificates_at.path();
    certificates(folder);
    for (name, text) in [
        (
            "other",
            "subjectAltName=IP:127.0.0.2,DNS:other.example.org\n",
        ),
        ("index.txt", ""),
        ("serial", "01\n"),
        (
            "ca.conf",
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n",
        ),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    openssl(
        folder,
        &[
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile other -out other.pem",
            "ca -batch -config ca.conf -cert ca.pem -keyfile ca.key -in leaf.csr -out expired.pem -startdate 20200101000000Z -enddate 20200201000000Z -extfile names -notext",
            "req -x509 -key leaf.key -out self.pem -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1",
        ],
    );
    let talk = |certificate: &str, newest: &str| {
        let _ = fs::remove_file(folder.join("heard"));
        let (_server, port) = tls_server(&[mode, certificate, newest], folder);
        let (scheme, option) = match mode {
            "implicit" => ("smtps", ""),
            _ => ("smtp", "?tls=required"),
        };
        let url = format!("{scheme}://desk:canary-7f3a@127.0.0.1:{port}{option}");
        let desk = desk();
        let mut command = notify_at(&desk, &url, &[]);
        command.env("COPYDESK_SMTP_CA", folder.join("ca.pem"));
        let run = finish(command);
        let heard = fs::read_to_string(folder.join("heard")).unwrap_or_default();
        (run, mail(&desk)["status"].clone(), heard)
    };
    let (run, status, heard) = talk("leaf", newest);
    run.done();
    assert_eq!(status, "sent", "{heard}");
    let secured = format!("secured by {}", newest.replace('_', "."));
    for said in [secured.as_str(), "AUTH PLAIN", "MAIL FROM"] {
        assert!(heard.contains(said), "{heard}");
    }
    for (certificate, newest, says) in [
        ("expired", newest, "expired"),
        ("other", newest, "not valid for"),
        ("self", newest, "certificate"),
        // It speaks 1.0 and 1.1.
        ("leaf", "TLSv1_1", "protocol"),
    ] {
        let told = format!("{mode} {certificate} {newest}");
        let (run, status, heard) = talk(certificate, newest);
        run.refused().says(&[says]);
        assert_eq!(status, "queued", "{told}");
        for secret in ["AUTH", "MAIL", "canary", "Y2FuYXJ5"] {
            assert!(!heard.contains(secret), "{told}: {heard}");
        }
        // Only what asks for TLS was said in clear.
        let said: Vec<&str> = heard
            .lines()
            .filter(|line| !line.starts_with("failed"))
            .collect();
        match said.as_slice() {
            [] if mode == "implicit" => {}
            [hello, "STARTTLS"] if hello.starts_with("EHLO") => {}
            _ => panic!("{told}: {heard}"),
        }
        assert!(heard.contains("failed"), "{told}: {heard}");
    }
}
