//! Mails through postfix as Debian ships it: a relay that takes nothing without TLS, and a real server
//! behind it that counts what comes.
//!
//! `COPYDESK_ROUNDS` sets how many mails go through it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mail_parser::MessageParser;
use serde_json::Value;
use tempfile::TempDir;

use crate::desk::{Desk, Run, finish};
use crate::mail_once::{desk, recorded};
use crate::service::{BOUND, rounds};
use crate::smtp::{Running, certificates, found, has_real_server, stored};

/// What is behind the relay: it takes everything, and writes down to whom and what, a line each.
const SINK: &str = r#"
import asyncio, json, sys
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_DATA(self, server, session, envelope):
        with open(sys.argv[1], "a") as file:
            file.write(json.dumps({"to": envelope.rcpt_tos, "text": envelope.content.decode()}) + "\n")
        return "250 2.0.0 taken"
async def main():
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

/// Addresses that the relay answers as real ones do, and what.
const ANSWERS: [(&str, &str); 5] = [
    ("nobody@example.org", "550 5.1.1 no such user"),
    ("banned@example.org", "554 5.7.1 not from you"),
    ("grey@example.org", "450 4.2.0 greylisted"),
    (
        "limit@example.org",
        "550 5.4.5 Daily user sending limit exceeded",
    ),
    ("closing@example.org", "421 4.3.2 closing"),
];

/// Postfix in a folder of its own, and what is behind it; both end with the test.
struct Relay {
    folder: TempDir,
    starttls: u16,
    implicit: u16,
    _sink: Running,
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = postfix(self.folder.path(), "stop");
    }
}

fn postfix(folder: &Path, verb: &str) -> std::io::Result<std::process::Output> {
    let mut command = Command::new("postfix");
    command.arg("-c").arg(folder).arg(verb);
    command.stdin(Stdio::null()).output()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Relay {
    /// A relay, or nothing where there is no postfix, or nobody who may start it.
    fn start() -> Option<Self> {
        let is_there = has_real_server()
            && found("postfix", "postconf", &["-d", "mail_version"])
            && found("root", "sh", &["-c", "test $(id -u) = 0"]);
        if !is_there {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        // Its processes run as another user.
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        certificates(at);
        let (sink, behind) = Running::with_port(
            Command::new("python3")
                .args(["-c", SINK])
                .arg(at.join("received")),
        );
        let (starttls, implicit) = (free_port(), free_port());
        let answers: String = ANSWERS
            .iter()
            .map(|(to, answer)| format!(" {{{to} = {answer}}},"))
            .collect();
        let main = format!(
            "compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
maillog_file = {at}/log
maillog_file_prefixes = {at}
myhostname = relay.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
relayhost = [127.0.0.1]:{behind}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none
smtpd_peername_lookup = no
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {at}/leaf.pem
smtpd_tls_key_file = {at}/leaf.key
smtpd_recipient_restrictions = check_recipient_access inline:{{{answers}}}, permit_mynetworks, reject
",
            at = at.display(),
        );
        let master = format!(
            "127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{implicit} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
",
        );
        fs::write(at.join("main.cf"), main).unwrap();
        fs::write(at.join("master.cf"), master).unwrap();
        fs::create_dir(at.join("queue")).unwrap();
        let relay = Self {
            folder,
            starttls,
            implicit,
            _sink: sink,
        };
        let run = postfix(relay.folder.path(), "start").unwrap();
        assert!(run.status.success(), "{run:?}\n{}", relay.log());
        for port in [starttls, implicit] {
            relay.until("it listens", || {
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
        }
        Some(relay)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < BOUND, "not {what}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What came to the server behind it, when the relay holds nothing any more.
    fn received(&self) -> Vec<Value> {
        self.until("the relay's queue is empty", || {
            let mut command = Command::new("postqueue");
            let run = command.arg("-c").arg(self.folder.path()).arg("-p").output();
            String::from_utf8_lossy(&run.unwrap().stdout).contains("Mail queue is empty")
        });
        let Ok(file) = fs::File::open(self.folder.path().join("received")) else {
            return Vec::new();
        };
        BufReader::new(file)
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect()
    }

    fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=required", self.starttls)
    }

    fn command(&self, desk: &Desk, url: &str) -> Command {
        let mut command = desk.command(&["notify"]);
        command
            .env("COPYDESK_SMTP_URL", url)
            .env("COPYDESK_SMTP_CA", self.folder.path().join("ca.pem"))
            .env("COPYDESK_MAIL_FROM", "Copy Desk <desk@example.org>");
        command
    }

    fn notify(&self, desk: &Desk) -> Run {
        finish(self.command(desk, &self.url()))
    }
}

/// A mail without the line that the relay put above it.
fn as_sent(mail: &Value) -> String {
    let text = mail["text"].as_str().unwrap();
    let mut lines = text.split_inclusive('\n').peekable();
    let first = lines.next().unwrap();
    assert!(first.starts_with("Received: from "), "{text}");
    while lines
        .next_if(|line| line.starts_with(['\t', ' ']))
        .is_some()
    {}
    lines.collect()
}

#[test]
fn a_digest_comes_whole_through_postfix() {
    let Some(relay) = Relay::start() else { return };
    let implicit = format!("smtps://127.0.0.1:{}", relay.implicit);
    for (nth, url) in [relay.url(), implicit].iter().enumerate() {
        let desk = desk(1);
        desk.with_links();
        finish(relay.command(&desk, url))
            .done()
            .says(&["250 2.0.0 Ok: queued"]);
        let received = relay.received();
        assert_eq!(received.len(), nth + 1, "{url}");
        assert_eq!(received[nth]["to"], serde_json::json!(["r0@example.org"]));
        let text = as_sent(&received[nth]);
        assert_eq!(text.trim_end(), stored(&desk)[0].trim_end(), "{url}");
        let mail = MessageParser::default().parse(text.as_bytes()).unwrap();
        let decide = "https://desk.example.org/d/";
        assert!(mail.body_text(0).unwrap().contains(decide), "{text}");
        assert!(mail.body_html(0).unwrap().contains(decide), "{text}");
        for (header, value) in [
            ("List-Unsubscribe", "<https://desk.example.org/unsubscribe/"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-Id", "<"),
            ("Auto-Submitted", "auto-generated"),
            ("Message-ID", "<"),
        ] {
            let raw = mail.header_raw(header).unwrap_or_default();
            assert!(raw.contains(value), "{header}: {raw:?} in {text}");
        }
    }
}

#[test]
fn postfix_that_is_not_known_or_not_asked_for_tls_gets_and_takes_nothing() {
    let Some(relay) = Relay::start() else { return };
    let desk = desk(1);
    let mut command = relay.command(&desk, &relay.url());
    command.env_remove("COPYDESK_SMTP_CA");
    finish(command).refused().says(&["certificate"]);
    assert_eq!(desk.json(&["mails"])[0]["status"], "queued");

    // The relay is as strict as the tests here take it to be.
    let mut stream = TcpStream::connect(("127.0.0.1", relay.starttls)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
        .write_all(b"HELO desk\r\nMAIL FROM:<desk@example.org>\r\nQUIT\r\n")
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.contains("530 5.7.0 Must issue a STARTTLS"), "{said}");
    assert_eq!(relay.received(), Vec::<Value>::new());
}

#[test]
fn what_postfix_answers_decides_what_becomes_of_a_mail() {
    let Some(relay) = Relay::start() else { return };
    for (to, answer) in ANSWERS {
        let desk = desk(1);
        let reviewers = fs::read_to_string(desk.path("rules/reviewers.yaml")).unwrap();
        desk.rules("reviewers.yaml", &reviewers.replace("r0@example.org", to));
        relay.notify(&desk).refused().says(&[&answer[..9], to]);
        let mail = desk.json(&["mails"])[0].clone();
        // Only what is refused for good is given up.
        let is_refused = answer.starts_with('5') && !answer.contains("limit");
        let status = if is_refused { "failed" } else { "queued" };
        assert_eq!(mail["status"], status, "{mail:#}");
        assert_eq!(mail["next"].is_null(), is_refused, "{mail:#}");
        assert!(mail["answer"].as_str().unwrap().contains(&answer[..9]));
    }
    assert_eq!(relay.received(), Vec::<Value>::new());
}

#[test]
fn many_mails_go_through_postfix_and_each_comes_once() {
    let Some(relay) = Relay::start() else { return };
    let (wanted, started) = (rounds().unwrap_or(50), Instant::now());
    let desk = desk(wanted);
    let mut sent = 0;
    while sent < wanted {
        relay.notify(&desk).done();
        let now = recorded(&desk).len();
        // So many a minute, and so many a day.
        desk.later(if now > sent { "61s" } else { "23h" });
        sent = now;
    }
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for mail in relay.received() {
        let text = as_sent(&mail);
        let id = text
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "));
        *copies.entry(id.unwrap().to_owned()).or_default() += 1;
    }
    let recorded = recorded(&desk);
    let lost = recorded.iter().filter(|id| !copies.contains_key(*id));
    let (lost, double) = (lost.count(), copies.values().filter(|n| **n > 1).count());
    assert_eq!((lost, double, copies.len()), (0, 0, recorded.len()));
    let told = desk.json(&["mails"]);
    let told: BTreeSet<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| mail["to"].as_str().unwrap())
        .collect();
    assert_eq!(told.len(), wanted, "somebody was not told");
    println!(
        "| mails through postfix, STARTTLS required, to a server behind it | {} mails, {wanted} reviewers, {:.0?} | lost {lost}, double {double} |",
        recorded.len(),
        started.elapsed()
    );
}
