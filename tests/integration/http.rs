//! The pages behind the links of mails, by a client that sends what it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use copydesk::token::{Claims, Keys, Purpose, whose};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};

use crate::desk::{Desk, assert_published, finish};
use crate::service::{BOUND, Service, number, rounds, scanned_at, service};

pub(crate) const REVIEWERS: &str = "reviewers:
  - {name: Ana Example, email: ana@example.org, queues: all, timezone: Europe/Lisbon}
  - {name: Bo Example, email: bo@example.org, queues: [ai-desk]}
";

/// A desk whose service runs, and what its links are signed with.
pub(crate) struct Site {
    pub(crate) desk: Desk,
    pub(crate) service: Service,
    pub(crate) address: String,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All but the date.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, words: &[&str]) -> &Self {
        assert_eq!(self.status, status, "{self:#?}");
        for word in words {
            assert!(self.body.contains(word), "no {word:?} in {}", self.body);
        }
        self
    }

    #[track_caller]
    pub(crate) fn leaves_out(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(!self.body.contains(word), "{word:?} in {}", self.body);
        }
        self
    }

    /// The address of the link with these words, below the host.
    #[track_caller]
    fn link(&self, words: &str) -> String {
        let before = self.body.split(&format!("\">{words}</a>")).next().unwrap();
        assert_ne!(before, self.body, "no link {words:?} in {}", self.body);
        let url = before.rsplit("href=\"").next().unwrap();
        let at = url.find("/d/").or_else(|| url.find("/mails/")).unwrap();
        url[at..].to_owned()
    }
}

/// A connection that is kept.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next answer; that to `HEAD` has no body.
    fn answer(&mut self, is_head: bool) -> Answer {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {first:?}"));
        let mut headers = Vec::new();
        let (mut length, mut is_poured, mut is_endless) = (0, false, false);
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            if name == "content-length" && !is_head {
                length = value.parse().unwrap();
            }
            is_poured |= name == "transfer-encoding" && value == "chunked" && !is_head;
            is_endless |= value == "text/event-stream";
            if name != "date" {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        while is_poured && !is_endless {
            let length = usize::from_str_radix(&self.line(), 16).expect("a chunk");
            let start = body.len();
            body.resize(start + length, 0);
            self.0.read_exact(&mut body[start..]).unwrap();
            assert_eq!(self.line(), "");
            is_poured = length > 0;
        }
        let body = String::from_utf8(body).unwrap();
        Answer {
            status,
            headers,
            body,
        }
    }
}

pub(crate) fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let mut talk = Talk::open(address);
    talk.send(format!("{head}\r\n{body}"));
    talk.answer(method == "HEAD")
}

/// Sends a form as a page of ours does.
fn post(address: &str, path: &str, form: &str) -> Answer {
    let headers = [
        ("Origin", &*format!("http://{address}")),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    ask(address, "POST", path, &headers, form)
}

impl Site {
    pub(crate) fn open(desk: Desk) -> Self {
        Self::open_as(desk, &[])
    }

    pub(crate) fn open_as(desk: Desk, settings: &[(&str, &str)]) -> Self {
        let mut command = service(&desk);
        command.envs(settings.iter().copied());
        let passes = scanned_at(&desk);
        let service = Service::spawn(&desk, command);
        service.until("the first pass", BOUND, || scanned_at(&desk) != passes);
        let log = service.log();
        let address = log
            .split("Listening on http://")
            .nth(1)
            .expect("it listens");
        let address = address.split_whitespace().next().unwrap().to_owned();
        Self {
            desk,
            service,
            address,
        }
    }

    /// One story waits, and nobody is mailed.
    pub(crate) fn with_a_story() -> Self {
        let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
        desk.story("a.md")
            .published(false)
            .title("A quiet <b>story</b>")
            .write();
        Self::open(desk)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(&self.address, "GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        post(&self.address, path, form)
    }

    fn claims(&self, purpose: Purpose) -> Claims {
        Claims {
            purpose,
            reviewer: whose("ana@example.org"),
            item: if purpose == Purpose::Settings { 0 } else { 1 },
            version: if purpose == Purpose::Settings { 0 } else { 1 },
            expires: Timestamp::now() + SignedDuration::from_hours(24),
        }
    }

    fn keys(&self) -> Keys {
        Keys::open(&self.desk.path("state"), Timestamp::now()).unwrap()
    }

    fn sign(&self, claims: &Claims) -> String {
        self.keys().sign(claims, &self.url())
    }

    fn link(&self, purpose: Purpose) -> String {
        self.link_for(purpose, &self.url())
    }

    /// The path of a link that was made for this public URL.
    pub(crate) fn link_for(&self, purpose: Purpose, audience: &str) -> String {
        let token = self.keys().sign(&self.claims(purpose), audience);
        match purpose {
            Purpose::Settings => format!("/mails/{token}"),
            _ => format!("/d/{token}"),
        }
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        number(&self.desk, sql).unwrap()
    }

    pub(crate) fn decisions(&self) -> i64 {
        self.number("SELECT count(*) FROM decisions")
    }

    /// All that is stored, but for how the service fares.
    pub(crate) fn all(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut dump = self.desk.dump();
        dump.remove("service");
        (dump, fs::read(self.desk.path("state/keys")).unwrap())
    }
}

#[test]
fn every_answer_is_strict_and_small() {
    let site = Site::with_a_story();
    let (open, settings) = (site.link(Purpose::Open), site.link(Purpose::Settings));
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/style.css",
        "/d/x",
        "/d/",
        "/mails/x",
        "/unsubscribe/x",
        "/d/../../etc/passwd",
        "//evil.example.org/",
        &open,
        &settings,
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST"] {
            let answer = ask(&site.address, method, path, &[], "");
            for (name, value) in [
                (
                    "content-security-policy",
                    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
                ),
                ("x-content-type-options", "nosniff"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{method} {path}");
            }
            let referrer = answer.header("referrer-policy").unwrap();
            assert!(
                ["no-referrer", "same-origin"].contains(&referrer),
                "{method} {path}"
            );
            let cache = if path == "/style.css" && answer.status == 200 {
                "no-cache"
            } else {
                "no-store"
            };
            assert_eq!(
                answer.header("cache-control"),
                Some(cache),
                "{method} {path}"
            );
            if path == "/" && answer.status == 303 {
                continue;
            }
            for name in ["location", "set-cookie", "strict-transport-security"] {
                assert_eq!(answer.header(name), None, "{method} {path}");
            }
        }
    }
    site.get("/nowhere").is(404, &["Not found", "/style.css"]);
    let wrong = ask(&site.address, "DELETE", &open, &[], "");
    assert_eq!(
        wrong.is(405, &["Not possible"]).header("allow"),
        Some("GET,HEAD,POST")
    );
    site.get("/healthz").is(200, &["ok"]);
    let style = site.get("/style.css");
    let tag = style
        .is(200, &["prefers-color-scheme"])
        .header("etag")
        .unwrap();
    let again = ask(
        &site.address,
        "GET",
        "/style.css",
        &[("If-None-Match", tag)],
        "",
    );
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}

#[test]
fn what_is_too_much_too_slow_or_from_elsewhere_is_cut() {
    let site = Site::with_a_story();
    let (path, before) = (site.link(Purpose::Approve), site.all());
    // Begun first, so that the rest goes on while it is waited for.
    let mut slow = Talk::open(&site.address);
    slow.send(format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nX-Slow: ",
        site.address
    ));

    let large = format!("verb=approve&note={}", "x".repeat(70_000));
    site.post(&path, &large).is(413, &["Too large"]);
    let mut chunked = Talk::open(&site.address);
    chunked.send(format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        site.address
    ));
    chunked.send(format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()));
    chunked.answer(false).is(413, &[]);
    let many: Vec<String> = (0..100).map(|n| format!("X-{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
    ask(&site.address, "GET", &path, &many, "").is(431, &["Too many headers"]);
    let huge = "x".repeat(20_000);
    ask(&site.address, "GET", &path, &[("X-Huge", &huge)], "").is(431, &[]);
    let more = many.repeat(3);
    ask(&site.address, "GET", &path, &more, "").is(431, &[]);

    for host in ["evil.example.org", "127.0.0.1", ""] {
        ask(&site.address, "GET", &path, &[("Host", host)], "").is(421, &["Wrong address"]);
    }
    let port = site.address.split(':').nth(1).unwrap();
    ask(
        &site.address,
        "GET",
        &path,
        &[("Host", &format!("localhost:{port}"))],
        "",
    )
    .is(200, &[]);
    for header in [
        ("Origin", "https://evil.example.org"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let form = "verb=approve";
        ask(&site.address, "POST", &path, &[header], form).is(403, &["Not from here"]);
    }

    let mut left = Vec::new();
    let _ = slow.0.read_to_end(&mut left);
    let left = String::from_utf8_lossy(&left);
    assert!(
        left.is_empty() || left.starts_with("HTTP/1.1 408"),
        "{left}"
    );
    assert!(site.all() == before, "something was changed");
}

#[test]
fn a_link_that_does_not_hold_is_refused_alike_whatever_is_wrong_with_it() {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    desk.story("a.md")
        .published(false)
        .topics(&["Health"])
        .write();
    let site = Site::open(desk);
    let good = site.claims(Purpose::Open);
    let token = site.sign(&good);
    let before = site.all();
    let changed = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let other_keys = Keys::open(elsewhere.path(), Timestamp::now()).unwrap();
    let with = |change: &dyn Fn(&mut Claims)| {
        let mut claims = good;
        change(&mut claims);
        site.sign(&claims)
    };
    let mut bad: Vec<(&str, String)> = vec![
        ("nothing", "x".into()),
        ("no base64", "%2e%2e%2f".into()),
        ("truncated", token[..token.len() - 1].into()),
        ("longer", format!("{token}AAAA")),
        (
            "another audience",
            site.keys().sign(&good, "https://desk.example.org"),
        ),
        ("an unknown key", other_keys.sign(&good, &site.url())),
        (
            "expired",
            with(&|c| c.expires = Timestamp::now() - SignedDuration::from_secs(1)),
        ),
        (
            "an unknown reviewer",
            with(&|c| c.reviewer = whose("eve@example.org")),
        ),
        (
            "another's queue",
            with(&|c| c.reviewer = whose("bo@example.org")),
        ),
        ("an unknown item", with(&|c| c.item = 77)),
        ("another purpose", with(&|c| c.purpose = Purpose::Settings)),
    ];
    bad.extend(
        (1..token.len())
            .step_by(7)
            .map(|at| ("forged", changed(at))),
    );
    let first = site.get("/d/x");
    first.is(403, &["This link does not hold"]);
    for (what, token) in &bad {
        assert_eq!(site.get(&format!("/d/{token}")), first, "{what}");
        for form in [
            "verb=approve",
            "verb=reject&reason=other",
            "",
            "verb=reopen",
        ] {
            assert_eq!(site.post(&format!("/d/{token}"), form), first, "{what}");
        }
    }
    // What is bound to one verb or page does nothing else.
    let approve = site.link(Purpose::Approve);
    assert_eq!(site.post(&approve, "verb=reject"), first);
    for page in ["mails", "unsubscribe"] {
        for token in [&*token, "x"] {
            let path = format!("/{page}/{token}");
            assert_eq!(site.get(&path), first);
            assert_eq!(
                site.post(&path, "List-Unsubscribe=One-Click&do=stop"),
                first
            );
        }
    }
    assert!(site.all() == before, "something was changed");
    let log = site.service.log();
    assert!(log.contains("A link was refused"), "{log}");
    for (what, token) in bad.iter().filter(|(_, token)| token.len() > 20) {
        assert!(!log.contains(&token[..20]), "{what} is in the log");
    }
    println!(
        "| links that do not hold | {} kinds and places of a fault, GET and POST | one answer, nothing changed |",
        bad.len()
    );
}

#[test]
fn a_removed_reviewer_loses_her_links() {
    let site = Site::with_a_story();
    let path = site.link(Purpose::Open);
    site.get(&path).is(200, &["Approve"]);
    let bo = REVIEWERS
        .lines()
        .filter(|line| !line.contains("Ana"))
        .collect::<Vec<_>>();
    site.desk
        .rules("reviewers.yaml", &bo.join("\n").replace("[ai-desk]", "all"));
    let refused = || site.get(&path).status == 403;
    site.service
        .until("the reviewer is removed", BOUND, refused);
    assert_eq!(site.get(&path).body, site.get("/d/x").body);
}

#[test]
fn looking_changes_nothing() {
    let site = Site::with_a_story();
    let mut paths: Vec<String> = Purpose::ALL.map(|purpose| site.link(purpose)).into();
    let settings = site.link(Purpose::Settings);
    paths.push(settings.replace("/mails/", "/unsubscribe/"));
    paths.extend(["/d/x", "/metrics", "/readyz", "/healthz", "/style.css", "/"].map(String::from));
    let before = site.all();
    let asked = rounds().unwrap_or(600);
    let threads = 4;
    thread::scope(|scope| {
        for thread in 0..threads {
            let (address, paths) = (&site.address, &paths);
            scope.spawn(move || {
                let mut talk = Talk::open(address);
                for n in 0..asked / threads {
                    let path = &paths[(n + thread) % paths.len()];
                    let method = ["GET", "HEAD", "OPTIONS"][n / paths.len() % 3];
                    // A connection lives for two minutes.
                    if n % 500 == 499 {
                        talk = Talk::open(address);
                    }
                    talk.send(format!(
                        "{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
                        address
                    ));
                    let status = talk.answer(method == "HEAD").status;
                    let expected = match (method, path.as_str()) {
                        ("OPTIONS", _) => 405,
                        (_, "/") => 303,
                        (_, "/d/x") => 403,
                        _ => 200,
                    };
                    assert_eq!(status, expected, "{method} {path}");
                }
            });
        }
    });
    assert!(site.all() == before, "something was changed");
    println!(
        "| looking changes nothing | {asked} GET, HEAD and OPTIONS over {} links and pages | database and keys the same |",
        paths.len()
    );
}

#[test]
fn a_story_is_shown_and_approved_and_its_file_is_written() {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    desk.story("a.md")
        .published(false)
        .title("A quiet <b>story</b>")
        .body("First <script>paragraph</script>.\n\nSecond.\n")
        .write();
    let site = Site::open(desk);
    let path = site.link(Purpose::Open);
    let page = site.get(&path);
    page.is(
        200,
        &[
            "A quiet &#60;b&#62;story&#60;/b&#62;",
            "First &#60;script&#62;",
            "<p>Second.</p>",
            "1@1",
            "Approve</button>",
            "Reject</button>",
            "Hold</button>",
            "Not our subject",
            "rel=\"noreferrer noopener\"",
        ],
    );
    page.leaves_out(&["<script", "<b>", "Other decisions", "<img"]);
    let approve = site.get(&site.link(Purpose::Approve));
    approve
        .is(200, &["Approve</button>"])
        .leaves_out(&["Reject</button>", "Hold</button>"]);
    assert_eq!(approve.link("Other decisions").len(), path.len());
    site.get(&approve.link("Other decisions"))
        .is(200, &["Reject</button>"]);

    let before = site.desk.read("a.md");
    let done = site.post(&path, "verb=approve");
    done.is(200, &["Approved", "A quiet &#60;b&#62;story"]);
    let written = || site.desk.says("a.md", "published: true");
    site.service.until("the file is written", BOUND, written);
    assert_published(&before, &site.desk.read("a.md"));
    // Asked again it answers the same, and so does the mail's own button.
    assert_eq!(site.post(&path, "verb=approve"), done);
    site.post(&path, "verb=approve&note=other")
        .is(409, &["approved by ana@example.org"]);
    let late = site.post(&path, "verb=reject&reason=off-topic");
    late.is(
        409,
        &[
            "moved on",
            "It is approved now",
            "approved by ana@example.org",
        ],
    );
    site.get(&path)
        .is(200, &["approved by ana@example.org"])
        .leaves_out(&["Approve</button>"]);
    assert_eq!(site.decisions(), 1);
    // She may think again, by the page.
    let other = late.link("Decide otherwise");
    site.get(&other)
        .is(200, &["Reject</button>"])
        .leaves_out(&["Approve</button>"]);
    site.post(&other, "verb=reject&reason=off-topic&note=Not+ours")
        .is(200, &["Rejected"]);
    let note = "SELECT count(*) FROM decisions WHERE reason = 'off-topic' AND note = 'Not ours' AND actor = 'ana@example.org'";
    assert_eq!((site.number(note), site.decisions()), (1, 2));
    let written = || site.desk.says("a.md", "published: false");
    site.service
        .until("the rejection is written", BOUND, written);
}

#[test]
fn a_story_is_held_until_a_day_of_her_zone() {
    let site = Site::with_a_story();
    let path = site.link(Purpose::Hold);
    for (form, words) in [
        ("verb=hold", "Until when"),
        ("verb=hold&until=date&date=soon", "Choose a day"),
        ("verb=hold&until=date", "Until when"),
        ("verb=hold&until=date&date=2020-01-01", "has begun"),
    ] {
        site.post(&path, form)
            .is(400, &["Nothing was decided", words]);
    }
    assert_eq!(site.decisions(), 0);
    site.post(&path, "verb=hold&until=date&date=2090-07-01")
        .is(200, &["Held", "1 Jul"]);
    let until = site.number("SELECT until FROM decisions");
    let lisbon: Timestamp = "2090-06-30T23:00:00Z".parse().unwrap();
    assert_eq!(until, lisbon.as_microsecond());
}

#[test]
fn one_decision_is_made_however_often_the_button_is_pressed() {
    let site = Site::with_a_story();
    let path = site.link(Purpose::Open);
    let rounds = rounds().unwrap_or(3);
    for round in 0..rounds {
        let claims = Claims {
            version: site.number("SELECT version FROM items"),
            ..site.claims(Purpose::Open)
        };
        let path = format!("/d/{}", site.sign(&claims));
        let decided = site.decisions();
        let verbs = [
            "approve", "reject", "approve", "reject", "approve", "reject",
        ];
        let answers: Vec<(&str, Answer)> = thread::scope(|scope| {
            let asked = verbs.map(|verb| {
                let (address, path) = (&site.address, &path);
                (
                    verb,
                    scope.spawn(move || post(address, path, &format!("verb={verb}"))),
                )
            });
            asked
                .into_iter()
                .map(|(verb, answer)| (verb, answer.join().unwrap()))
                .collect()
        });
        assert_eq!(site.decisions(), decided + 1, "round {round}: {answers:#?}");
        let done = answers
            .iter()
            .find(|(_, answer)| answer.status == 200)
            .unwrap();
        for (verb, answer) in &answers {
            let expected = if *verb == done.0 { 200 } else { 409 };
            assert_eq!(
                answer.status, expected,
                "round {round}: {verb}: {answer:#?}"
            );
            if expected == 200 {
                assert_eq!(answer, &done.1);
            }
        }
        let reopened = crate::service::beside(&site.desk, &["reopen", "1"]);
        finish(reopened).done();
    }
    site.get(&path).is(200, &["reopened by cli:tester"]);
    println!(
        "| one decision a link | {rounds} rounds of 6 buttons pressed at once | one decision each |"
    );
}

#[test]
fn a_story_that_changed_since_is_not_decided_on_unread() {
    let site = Site::with_a_story();
    let path = site.link(Purpose::Approve);
    // The service may not have seen it yet: the button looks for itself.
    site.desk
        .replace("a.md", "A quiet <b>story</b>", "A loud story");
    let late = site.post(&path, "verb=approve");
    late.is(
        409,
        &[
            "the story changed",
            "A quiet &#60;b&#62;story&#60;/b&#62;",
            "became",
            "A loud story",
        ],
    );
    assert_eq!(site.decisions(), 0);
    let page = site.get(&path);
    page.is(200, &["has moved on", "A loud story"])
        .leaves_out(&["Approve</button>"]);
    let fresh = page.link("Decide on it as it is now");
    assert_eq!(fresh, late.link("Decide on it as it is now"));
    site.get(&fresh).is(200, &["1@2"]);
    site.post(&fresh, "verb=approve").is(200, &["Approved"]);
    assert_eq!(site.decisions(), 1);
}

#[test]
fn above_the_threshold_a_link_only_opens_the_page() {
    let desk = Desk::new()
        .with_rules("reviewers.yaml", REVIEWERS)
        .with_rules("desk.yaml", "desk: {link_threshold: 20}\n");
    desk.story("a.md").published(false).quality(90).write();
    let site = Site::open(desk);
    for purpose in [Purpose::Approve, Purpose::Open] {
        let path = site.link(purpose);
        let page = site.get(&path);
        page.is(200, &["To be decided at the desk", "copydesk approve 1@1"]);
        page.leaves_out(&["<form", "<button"]);
        site.post(&path, "verb=approve")
            .is(403, &["To be decided at the desk"]);
    }
    assert_eq!(site.decisions(), 0);
}

#[test]
fn a_picture_is_shown_only_where_the_desk_says_so() {
    let desk = Desk::new()
        .with_rules("reviewers.yaml", REVIEWERS)
        .with_rules("desk.yaml", "desk: {pictures: ask}\n");
    desk.story("a.md")
        .published(false)
        .line("featuredImage: https://pictures.example.org/a.jpg")
        .write();
    let site = Site::open(desk);
    let (path, settings) = (site.link(Purpose::Open), site.link(Purpose::Settings));
    let policy = "content-security-policy";
    let page = site.get(&path);
    assert!(
        !page
            .leaves_out(&["<img"])
            .header(policy)
            .unwrap()
            .contains("img-src")
    );
    site.post(&settings, "do=pictures&show=yes")
        .is(200, &["show pictures"]);
    let page = site.get(&path);
    page.is(200, &["src=\"https://pictures.example.org/a.jpg\""]);
    assert!(page.header(policy).unwrap().contains("img-src https:;"));
}

#[test]
fn one_click_stops_her_mails_and_the_page_brings_them_back() {
    let desk = Desk::new();
    desk.story("a.md").published(false).write();
    let site = Site::open(desk);
    // Her daily digest is made up, with links that lead to where the service listens.
    site.service
        .until("the digest", BOUND, || !site.desk.mails().is_empty());
    let mail = fs::read_dir(site.desk.path("state/mail"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let mail = fs::read_to_string(mail.path())
        .unwrap()
        .replace("\r\n ", "");
    let start = format!("{}/unsubscribe/", site.url());
    let token = mail.split(&start).nth(1).expect("a link to unsubscribe");
    let token = token
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .next()
        .unwrap();
    let path = format!("/unsubscribe/{token}");
    let stopped = "SELECT count(*) FROM settings WHERE reviewer = 'ana@example.org' AND stopped";

    site.get(&path)
        .is(200, &["Stop your mails?", "ana@example.org"]);
    site.post(&path, "x=y").is(400, &[]);
    assert_eq!(site.number(stopped), 0);
    // A mail program is no page of ours.
    let headers = [
        ("Origin", "https://mail.example.org"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    let clicked = ask(
        &site.address,
        "POST",
        &path,
        &headers,
        "List-Unsubscribe=One-Click",
    );
    clicked.is(200, &["Your mails are stopped"]);
    assert_eq!(
        (clicked.header("set-cookie"), clicked.header("location")),
        (None, None)
    );
    assert_eq!(site.number(stopped), 1);
    let part = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    let kind = [("Content-Type", "multipart/form-data; boundary=x")];
    ask(&site.address, "POST", &path, &kind, part).is(200, &[]);

    let page = clicked.link("Start them again");
    site.get(&page).is(200, &["You have stopped your mails"]);
    let begun = site.post(&page, "do=start");
    begun.is(200, &["started again", "Your next digest comes", "09:00"]);
    assert_eq!(site.number(stopped), 0);
    site.post(&page, "do=pause&until=3d")
        .is(200, &["paused until"]);
    site.post(&page, "do=pause&until=date&date=2020-01-01")
        .is(400, &[]);
    site.post(&page, "do=dance").is(400, &[]);
    let paused = site.number("SELECT paused_until FROM settings");
    assert!(paused > Timestamp::now().as_microsecond());
}

#[test]
fn readyz_says_what_is_late_and_metrics_count() {
    let site = Site::with_a_story();
    site.get("/readyz")
        .is(200, &["\"ready\":true", "\"scan\":\"ok\""]);
    let rules = fs::read_to_string(site.desk.path("rules/queues.yaml")).unwrap();
    site.desk.rules("queues.yaml", "queues: [{name: 7");
    let late = || site.get("/readyz").status == 503;
    site.service.until("it is not ready", BOUND, late);
    site.get("/readyz").is(
        503,
        &["\"ready\":false", "\"rules\":\"late\"", "\"scan\":\"ok\""],
    );
    let metrics = site.get("/metrics");
    metrics.is(
        200,
        &[
            "# TYPE copydesk_items gauge",
            "copydesk_items{queue=\"general\",status=\"pending\"} 1\n",
            "copydesk_rules_loaded 0\n",
            "copydesk_late{job=\"rules\"} 1\n",
            "copydesk_write_backs_pending 0\n",
            "copydesk_items_oldest_timestamp_seconds{queue=\"general\"} ",
            "copydesk_loop_failing{loop=\"notify\"} 0\n",
            "copydesk_loop_heard_timestamp_seconds{loop=\"write-back\"} ",
            "copydesk_source_records{source=\"news\"} 1\n",
            "copydesk_sessions 0\n",
            "# TYPE copydesk_http_request_duration_seconds histogram",
            "copydesk_http_request_duration_seconds_bucket{route=\"/readyz\",le=\"0.005\"} ",
            "copydesk_http_requests_total{route=\"/readyz\",status=\"503\"}",
            "copydesk_last_run_timestamp_seconds{kind=\"scan\"}",
        ],
    );
    for line in metrics.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(
            name.starts_with("copydesk_") && value.parse::<f64>().is_ok(),
            "{line}"
        );
        let metric = name.split('{').next().unwrap();
        let metric = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| metric.strip_suffix(part))
            .unwrap_or(metric);
        assert!(
            metrics.body.contains(&format!("# TYPE {metric} ")),
            "{line}"
        );
    }
    site.desk.rules("queues.yaml", &rules);
    let well = || site.get("/readyz").status == 200;
    site.service.until("it is ready again", BOUND, well);
}

#[test]
fn while_nothing_is_late_it_pings_and_what_is_late_is_a_problem() {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    desk.story("a.md").published(false).write();
    let watcher = TcpListener::bind("127.0.0.1:0").unwrap();
    let ping = format!("http://{}/secret", watcher.local_addr().unwrap());
    let pinged = thread::spawn(move || {
        let (mut stream, _) = watcher.accept().unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            .unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let site = Site::open_as(desk, &[("COPYDESK_PING_URL", &ping)]);
    site.service
        .until("it is pinged", BOUND, || pinged.is_finished());
    let request = pinged.join().unwrap();
    assert!(request.starts_with("GET /secret HTTP/1.1\r\n"), "{request}");
    assert!(!site.service.log().contains("/secret"));

    // Two days ago by the clock of the database: nothing was done since.
    site.service.signal(rustix::process::Signal::KILL);
    let Site { desk, service, .. } = site;
    drop(service);
    let database = desk.path("state/copydesk.db");
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    for sql in [
        "UPDATE service SET started_at = started_at - 172800000000",
        "UPDATE runs SET at = at - 172800000000",
    ] {
        connection.execute(sql, ()).unwrap();
    }
    drop(connection);
    let status = finish(crate::service::beside(&desk, &["status"]));
    assert!(
        status
            .stdout
            .contains("the content was not looked at whole since"),
        "{status:?}"
    );
}

#[test]
fn a_ping_that_fails_is_said_once_and_is_no_problem() {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let site = Site::open_as(
        desk,
        &[("COPYDESK_PING_URL", &format!("http://{closed}/secret"))],
    );
    let said = || {
        site.service
            .log()
            .contains("COPYDESK_PING_URL is not reached")
    };
    site.service.until("it is said", BOUND, said);
    assert!(
        !site.service.log().contains("secret"),
        "{}",
        site.service.log()
    );
    site.get("/readyz").is(200, &[]);
}

#[test]
fn a_port_in_use_is_named_and_off_is_off() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    let mut command = service(&desk);
    command.env("COPYDESK_LISTEN", &address);
    let run = finish(command).not_done();
    assert!(
        run.stderr.contains("COPYDESK_LISTEN") && run.stderr.contains(&address),
        "{run:?}"
    );
    let mut command = service(&desk);
    command.env("COPYDESK_PING_URL", "mailto:ana@example.org");
    let run = finish(command).not_done();
    assert!(run.stderr.contains("COPYDESK_PING_URL"), "{run:?}");
    let mut command = service(&desk);
    command.env("COPYDESK_LISTEN", "off");
    let service = Service::spawn(&desk, command);
    let scans = || number(&desk, "SELECT at FROM runs WHERE kind = 'scan'").is_some();
    service.until("the first pass", BOUND, scans);
    assert!(!service.log().contains("Listening"), "{}", service.log());
    service.stop();
}

#[test]
fn behind_a_proxy_the_public_url_counts() {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    desk.story("a.md").published(false).write();
    let public = "https://desk.example.org/copy";
    let site = Site::open_as(desk, &[("COPYDESK_PUBLIC_URL", public)]);
    let token = site.keys().sign(&site.claims(Purpose::Open), public);
    let host = ("Host", "desk.example.org");
    for path in [format!("/copy/d/{token}"), format!("/d/{token}")] {
        let page = ask(&site.address, "GET", &path, &[host], "");
        page.is(200, &["href=\"/copy/style.css\"", "action=\"/copy/d/"]);
        assert_eq!(
            page.header("strict-transport-security"),
            Some("max-age=31536000")
        );
    }
    let path = format!("/copy/d/{token}");
    let elsewhere = [host, ("Origin", "http://desk.example.org")];
    ask(&site.address, "POST", &path, &elsewhere, "verb=approve").is(403, &[]);
    let own = [host, ("Origin", "https://desk.example.org")];
    ask(&site.address, "POST", &path, &own, "verb=approve").is(
        200,
        &["Approved", "href=\"https://desk.example.org/copy/d/"],
    );
}

#[test]
fn the_service_ends_with_a_connection_open() {
    let site = Site::with_a_story();
    let mut kept = Talk::open(&site.address);
    kept.send(format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n",
        site.address
    ));
    kept.answer(false).is(200, &["ok"]);
    site.service.stop();
    drop(kept);
    let again = TcpStream::connect_timeout(&site.address.parse().unwrap(), Duration::from_secs(1));
    assert!(again.is_err());
}
