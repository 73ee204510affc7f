//! The desk: a whole copydesk in a temporary folder, run through its command line at a chosen time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mail_parser::MessageParser;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

/// A Monday morning; tests that care choose their own.
const START: &str = "2026-03-02T09:00:00Z";

/// A run that takes this long hangs; it is killed and the test fails.
pub(crate) const HANGS_AFTER: Duration = Duration::from_secs(180);

pub(crate) const SOURCES: &str = r#"sources:
  - name: news
    path: ../content
    include: ["**/*.md"]
    identity: [originalUrl, webUrl]
    fields:
      signal: [quality, heat, topics, images, related]
      volatile: [secured]
    types: {members: number, levels: [string], ratings: {value: number}}
    published: {key: published, missing: true}
    approve: {set: {published: true}}
    reject: {set: {published: false}}
    on_change: leave
    write: always
"#;

pub(crate) const SCORING: &str = r#"score:
  quality: {field: quality, weight: 1}
  heat:    {field: heat, weight: 0.5}
  topic:   {cap: 40}
lists:
  trusted: [trusted.example.org]
topics:
  - {name: AI, points: 5}
  - {name: AWS AI, parent: AI, points: 10, keywords: [rekognition, sagemaker]}
rules:
  - id: face-recognition
    axis: topic
    when: mentions("face recognition", "facial recognition")
    unless: domain in trusted
    points: 15
    why: Face recognition is policy-sensitive
"#;

pub(crate) const QUEUES: &str = r#"queues:
  - {name: urgent,  when: score.total >= 95, due: 2h}
  - {name: ai-desk, when: 'about("AI")', due: 1d}
  - {name: general, due: 3d, order: score, expire: 30d}
"#;

pub(crate) const REVIEWERS: &str = r#"reviewers:
  - name: Ana Example
    email: ana@example.org
    role: reviewer
    queues: all
    timezone: UTC
    digest: "0 9 * * *"
"#;

pub(crate) struct Desk {
    dir: TempDir,
    now: Mutex<Timestamp>,
    public_url: Mutex<Option<&'static str>>,
}

impl Desk {
    /// A desk with a small, complete set of rules and no content yet.
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// The same in a folder of its own below this one.
    pub(crate) fn below(folder: &Path) -> Self {
        Self::with_no_rules_below(folder)
            .with_rules("sources.yaml", SOURCES)
            .with_rules("scoring.yaml", SCORING)
            .with_rules("queues.yaml", QUEUES)
            .with_rules("reviewers.yaml", REVIEWERS)
    }

    /// Another desk that is as this one is now; in memory where there is such a place, since it is
    /// one of many.
    pub(crate) fn copy(&self) -> Self {
        let dir = tempfile::tempdir_in(memory());
        let copy = Self {
            dir: dir.unwrap(),
            now: Mutex::new(self.now()),
            public_url: Mutex::new(*self.public_url.lock().unwrap()),
        };
        copy_folder(self.dir.path(), copy.dir.path());
        copy
    }

    /// A desk whose `rules/` is empty.
    pub(crate) fn with_no_rules() -> Self {
        Self::with_no_rules_below(&std::env::temp_dir())
    }

    fn with_no_rules_below(folder: &Path) -> Self {
        let dir = tempfile::tempdir_in(folder).unwrap();
        fs::create_dir(dir.path().join("content")).unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        Self {
            dir,
            now: Mutex::new(START.parse().unwrap()),
            public_url: Mutex::new(None),
        }
    }

    /// The rules that the crate ships, except where its content is.
    pub(crate) fn shipped() -> Self {
        let desk = Self::with_no_rules().with_rules("sources.yaml", SOURCES);
        for (name, yaml) in shipped_rules() {
            desk.rules(&name, &yaml);
        }
        desk
    }

    pub(crate) fn with_rules(self, file: &str, yaml: &str) -> Self {
        self.rules(file, yaml);
        self
    }

    /// The same source with one setting written otherwise.
    pub(crate) fn with_source(self, from: &str, to: &str) -> Self {
        self.change_source(from, to);
        self
    }

    pub(crate) fn rules(&self, file: &str, yaml: &str) {
        fs::write(self.path("rules").join(file), yaml).unwrap();
    }

    pub(crate) fn change_source(&self, from: &str, to: &str) {
        let file = self.path("rules/sources.yaml");
        let yaml = fs::read_to_string(&file).unwrap();
        assert!(yaml.contains(from), "sources.yaml has no {from:?}");
        fs::write(file, yaml.replace(from, to)).unwrap();
    }

    /// From here on its mails carry links, always signed by the same key.
    pub(crate) fn with_links(&self) -> &Self {
        let (folder, key) = (self.path("state"), "7".repeat(64));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("keys"),
            format!("0000002a 2026-03-01T00:00:00Z {key}\n"),
        )
        .unwrap();
        *self.public_url.lock().unwrap() = Some("https://desk.example.org");
        self
    }

    /// The address that links lead to.
    pub(crate) fn public_url(&self) -> Option<String> {
        self.public_url.lock().unwrap().map(str::to_owned)
    }

    /// From here on it is this time.
    pub(crate) fn at(&self, now: &str) -> &Self {
        *self.now.lock().unwrap() = now.parse().unwrap();
        self
    }

    /// From here on it is that much later: `61s`, `72h`.
    pub(crate) fn later(&self, by: &str) -> &Self {
        let by: SignedDuration = by.parse().unwrap();
        let mut now = self.now.lock().unwrap();
        *now = now.checked_add(by).unwrap();
        drop(now);
        self
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn content(&self, location: impl AsRef<Path>) -> PathBuf {
        self.path("content").join(location)
    }

    pub(crate) fn read(&self, location: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.content(location)).unwrap()
    }

    pub(crate) fn write(&self, location: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let file = self.content(location);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    pub(crate) fn remove(&self, location: &str) {
        fs::remove_file(self.content(location)).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        let to = self.content(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(self.content(from), to).unwrap();
    }

    /// What upstream does when it takes back what we wrote.
    pub(crate) fn replace(&self, location: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(location)).unwrap();
        assert!(text.contains(from), "{location} has no {from:?}:\n{text}");
        self.write(location, text.replacen(from, to, 1));
    }

    pub(crate) fn says(&self, location: &str, line: &str) -> bool {
        let text = String::from_utf8(self.read(location)).unwrap();
        text.lines().any(|found| found == line)
    }

    pub(crate) fn story(&self, location: &str) -> Story {
        Story::new(&self.path("content"), location)
    }

    /// A command that is not run yet: the flags follow the verb, no setting comes from outside.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_copydesk"));
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"COPYDESK_") {
                command.env_remove(name);
            }
        }
        if let Some(url) = *self.public_url.lock().unwrap() {
            command.env("COPYDESK_PUBLIC_URL", url);
        }
        let (verb, rest) = args.split_first().expect("a verb");
        // Services of many tests run at once.
        let listens = verb.as_ref() == "run";
        command
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .env("USER", "tester")
            .env("COPYDESK_NOW", self.now().to_string())
            .env(
                "COPYDESK_LISTEN",
                if listens { "127.0.0.1:0" } else { "off" },
            )
            .arg(verb)
            .arg("--rules")
            .arg(self.path("rules"))
            .arg("--state")
            .arg(self.path("state"))
            .args(rest);
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        finish(self.command(args))
    }

    /// Runs with `--json`; the whole of stdout is one JSON value.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        let run = self.run(&args);
        assert!(run.code == 0 || run.code == 1, "{args:?}: {run:?}");
        serde_json::from_str(&run.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {run:?}"))
    }

    /// One pass that must go well, and its counts.
    pub(crate) fn scan(&self) -> Value {
        let run = self.run(&["scan", "--json"]).done();
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    pub(crate) fn queue(&self) -> Vec<Value> {
        self.json(&["queue"]).as_array().unwrap().clone()
    }

    /// The locations of what waits, sorted.
    pub(crate) fn waiting(&self) -> BTreeSet<String> {
        self.queue()
            .iter()
            .map(|item| text(item, "location"))
            .collect()
    }

    /// What waits at this location.
    pub(crate) fn item(&self, location: &str) -> Value {
        let queue = self.queue();
        let found = queue.iter().find(|item| item["location"] == location);
        found
            .unwrap_or_else(|| panic!("nothing waits at {location}: {queue:#?}"))
            .clone()
    }

    pub(crate) fn id(&self, location: &str) -> i64 {
        self.item(location)["id"].as_i64().unwrap()
    }

    /// The item of the record at this location, waiting or not.
    pub(crate) fn id_of(&self, location: &str) -> i64 {
        let database = self.path("state/copydesk.db");
        let connection =
            Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let sql =
            "SELECT i.id FROM items i JOIN locations l ON l.record = i.record WHERE l.path = ?1";
        connection
            .query_row(sql, [location], |row| row.get(0))
            .unwrap()
    }

    /// `ID@VERSION` of what waits at this location.
    pub(crate) fn tag(&self, location: &str) -> String {
        tag(&self.item(location))
    }

    pub(crate) fn show(&self, id: i64) -> Value {
        self.json(&["show", &id.to_string()])
    }

    pub(crate) fn status_of(&self, id: i64) -> String {
        text(&self.show(id), "status")
    }

    pub(crate) fn explain(&self, location: &str) -> Value {
        self.json(&["explain", self.content(location).to_str().unwrap()])
    }

    pub(crate) fn approve(&self, location: &str) -> Run {
        self.run(&["approve", &self.tag(location)])
    }

    /// What cannot be read, by location.
    pub(crate) fn broken(&self) -> BTreeMap<String, Value> {
        let status = self.json(&["status"]);
        let broken = status["broken"].as_array().unwrap();
        broken
            .iter()
            .map(|entry| (text(entry, "location"), entry.clone()))
            .collect()
    }

    pub(crate) fn problems(&self) -> Vec<Value> {
        self.json(&["status"])["problems"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Every row of every table but that of the runs, as text.
    pub(crate) fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let database = self.path("state/copydesk.db");
        let connection =
            Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let names: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN ('runs', 'unjudged')")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(!names.is_empty(), "the database has no tables");
        names
            .into_iter()
            .map(|name| (rows(&connection, &name), name))
            .map(|(rows, name)| (name, rows))
            .collect()
    }

    /// Every mail that has landed, oldest file name first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mail_files()
            .iter()
            .map(|file| Mail::parse(&fs::read(file).unwrap()))
            .collect()
    }

    /// Sends what is owed and returns what landed.
    pub(crate) fn notify(&self) -> Vec<Mail> {
        let before = self.mail_files();
        self.run(&["notify"]).done();
        let after = self.mail_files();
        assert!(before.is_subset(&after), "a mail that had landed is gone");
        after
            .difference(&before)
            .map(|file| Mail::parse(&fs::read(file).unwrap()))
            .collect()
    }

    fn mail_files(&self) -> BTreeSet<PathBuf> {
        let Ok(folder) = fs::read_dir(self.path("state/mail")) else {
            return BTreeSet::new();
        };
        let files = folder.map(|entry| entry.unwrap().path());
        files
            .filter(|file| file.extension().is_some_and(|ending| ending == "eml"))
            .collect()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// A folder whose files are in memory, if there is one with room.
pub(crate) fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let room = rustix::fs::statvfs(&memory).map_or(0, |found| found.f_bavail * found.f_frsize);
    let is_writable = tempfile::tempfile_in(&memory).is_ok();
    if is_writable && room > 1 << 30 {
        memory
    } else {
        std::env::temp_dir()
    }
}

fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("SELECT * FROM \"{table}\""))
        .unwrap();
    let columns = statement.column_count();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let cells: Result<Vec<SqlValue>, _> =
                (0..columns).map(|column| row.get(column)).collect();
            Ok(format!("{:?}", cells?))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    rows.sort();
    rows
}

/// Runs to the end; a run that hangs is killed.
pub(crate) fn finish(mut command: Command) -> Run {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let process = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(HANGS_AFTER) else {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        panic!("hangs: {command:?}");
    };
    let output = output.unwrap();
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    };
    assert!(
        (0..=2).contains(&run.code),
        "neither done, refused nor used wrongly: {command:?}: {run:?}"
    );
    run
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn refused(self) -> Self {
        assert_eq!(self.code, 1, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn used_wrongly(self) -> Self {
        assert_eq!(self.code, 2, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn not_done(self) -> Self {
        assert_ne!(self.code, 0, "{self:?}");
        self
    }

    /// What a person sees, wherever it was printed.
    pub(crate) fn seen(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The words are seen, in any case.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let seen = self.seen().to_lowercase();
        for word in words {
            assert!(
                seen.contains(&word.to_lowercase()),
                "does not say {word:?}: {self:?}"
            );
        }
        self
    }
}

/// A record in the shape of a feed's drop, written as a file by [`Story::write`].
#[derive(Clone)]
pub(crate) struct Story {
    root: PathBuf,
    location: String,
    title: Option<String>,
    excerpt: String,
    url: Option<String>,
    date: String,
    quality: Option<i64>,
    heat: Option<String>,
    published: Option<String>,
    domain: String,
    topics: Vec<String>,
    lines: Vec<String>,
    secured: String,
    body: String,
    eol: &'static str,
    bom: bool,
}

impl Story {
    fn new(root: &Path, location: &str) -> Self {
        let stem = Path::new(location)
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .replace(['-', '_'], " ");
        Self {
            root: root.to_owned(),
            location: location.to_owned(),
            title: Some(format!("A story about {stem}")),
            excerpt: format!("What there is to know about {stem}."),
            url: Some(format!(
                "https://www.example.org/{}",
                location.replace(' ', "-")
            )),
            date: "2026-03-01T12:00:00Z".to_owned(),
            quality: Some(20),
            heat: Some("10".to_owned()),
            published: Some("false".to_owned()),
            domain: "daily.example.org".to_owned(),
            topics: Vec::new(),
            lines: Vec::new(),
            secured: "b3BhcXVl".to_owned(),
            body: format!("The body of {stem}.\n"),
            eol: "\n",
            bom: false,
        }
    }

    pub(crate) fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    pub(crate) fn without_title(mut self) -> Self {
        self.title = None;
        self
    }

    pub(crate) fn excerpt(mut self, excerpt: &str) -> Self {
        excerpt.clone_into(&mut self.excerpt);
        self
    }

    pub(crate) fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    pub(crate) fn without_url(mut self) -> Self {
        self.url = None;
        self
    }

    pub(crate) fn date(mut self, date: &str) -> Self {
        date.clone_into(&mut self.date);
        self
    }

    pub(crate) fn quality(mut self, quality: i64) -> Self {
        self.quality = Some(quality);
        self
    }

    pub(crate) fn without_numbers(mut self) -> Self {
        self.quality = None;
        self.heat = None;
        self
    }

    pub(crate) fn heat(self, heat: i64) -> Self {
        self.heat_as(&heat.to_string())
    }

    /// Heat as it stands in the file, number or not.
    pub(crate) fn heat_as(mut self, heat: &str) -> Self {
        self.heat = Some(heat.to_owned());
        self
    }

    pub(crate) fn published(self, published: bool) -> Self {
        self.published_as(if published { "true" } else { "false" })
    }

    /// The flag as it stands in the file, `true`, `false` or not.
    pub(crate) fn published_as(mut self, published: &str) -> Self {
        self.published = Some(published.to_owned());
        self
    }

    pub(crate) fn without_published(mut self) -> Self {
        self.published = None;
        self
    }

    pub(crate) fn domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.domain);
        self
    }

    pub(crate) fn topics(mut self, topics: &[&str]) -> Self {
        self.topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        self
    }

    /// One more line of front matter, as it stands.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    pub(crate) fn secured(mut self, secured: &str) -> Self {
        secured.clone_into(&mut self.secured);
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn crlf(mut self) -> Self {
        self.eol = "\r\n";
        self
    }

    pub(crate) fn bom(mut self) -> Self {
        self.bom = true;
        self
    }

    pub(crate) fn moved_to(mut self, location: &str) -> Self {
        location.clone_into(&mut self.location);
        self
    }

    /// Drops the file at its place, over what is there.
    pub(crate) fn write(self) -> Self {
        let file = self.root.join(&self.location);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, self.bytes()).unwrap();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut lines = vec!["---".to_owned(), "category: news".to_owned()];
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        lines.extend(
            self.title
                .iter()
                .map(|title| format!("title: {}", quoted(title))),
        );
        lines.push(format!("excerpt: {}", quoted(&self.excerpt)));
        lines.push(format!("publishedDateTime: {}", self.date));
        lines.extend(
            self.url
                .iter()
                .map(|url| format!("originalUrl: {}", quoted(url))),
        );
        lines.push("type: article".to_owned());
        lines.extend(
            self.quality
                .iter()
                .map(|quality| format!("quality: {quality}")),
        );
        lines.extend(self.heat.iter().map(|heat| format!("heat: {heat}")));
        lines.extend(
            self.published
                .iter()
                .map(|published| format!("published: {published}")),
        );
        lines.push("provider:".to_owned());
        lines.push("  name: Example Daily".to_owned());
        lines.push(format!("  domain: {}", self.domain));
        if !self.topics.is_empty() {
            lines.push("topics:".to_owned());
            lines.extend(self.topics.iter().map(|topic| format!("  - {topic}")));
        }
        lines.extend(self.lines.iter().cloned());
        lines.push(format!("secured: {}", quoted(&self.secured)));
        lines.push("---".to_owned());
        let mut text = lines.join("\n") + "\n" + &self.body;
        if self.eol != "\n" {
            text = text.replace('\n', self.eol);
        }
        let mut bytes = if self.bom {
            b"\xEF\xBB\xBF".to_vec()
        } else {
            Vec::new()
        };
        bytes.extend(text.into_bytes());
        bytes
    }
}

/// A mail as a mail program would show it.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) date: i64,
    pub(crate) headers: Vec<String>,
    /// The plain text part, its line ends read as LF.
    pub(crate) text: String,
    /// The HTML part, likewise.
    pub(crate) html: String,
    /// Every header as it is written, unfolded.
    pub(crate) written: BTreeMap<String, String>,
    pub(crate) bytes: Vec<u8>,
}

impl Mail {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mail = MessageParser::default().parse(bytes).expect("a mail");
        let to = mail.to().expect("To");
        assert_eq!(to.iter().count(), 1, "one reader a mail");
        Self {
            to: to.first().unwrap().address().unwrap().to_owned(),
            subject: mail.subject().expect("Subject").to_owned(),
            id: mail.message_id().expect("Message-ID").to_owned(),
            date: mail.date().expect("Date").to_timestamp(),
            headers: mail
                .headers()
                .iter()
                .map(|header| header.name().to_lowercase())
                .collect(),
            text: mail
                .body_text(0)
                .expect("a plain text part")
                .replace("\r\n", "\n"),
            html: mail.body_html(0).unwrap_or_default().replace("\r\n", "\n"),
            written: mail
                .headers_raw()
                .map(|(name, text)| {
                    (
                        name.to_lowercase(),
                        text.replace("\r\n", "").trim().to_owned(),
                    )
                })
                .collect(),
            bytes: bytes.to_vec(),
        }
    }

    /// The words are in the text, in any case.
    #[track_caller]
    pub(crate) fn lists(&self, words: &[&str]) {
        let text = self.text.to_lowercase();
        for word in words {
            assert!(
                text.contains(&word.to_lowercase()),
                "does not list {word:?}:\n{}",
                self.text
            );
        }
    }

    #[track_caller]
    pub(crate) fn leaves_out(&self, words: &[&str]) {
        for word in words {
            assert!(!self.text.contains(word), "lists {word:?}:\n{}", self.text);
        }
    }
}

/// How one file differs from another in a single line.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    Changed { from: Vec<u8>, to: Vec<u8> },
    Inserted { followed_by: Vec<u8>, line: Vec<u8> },
}

/// The one line in which they differ; more or less than one fails the test.
#[track_caller]
pub(crate) fn one_line(before: &[u8], after: &[u8]) -> Line {
    let old: Vec<&[u8]> = before.split_inclusive(|&byte| byte == b'\n').collect();
    let new: Vec<&[u8]> = after.split_inclusive(|&byte| byte == b'\n').collect();
    let same = old
        .iter()
        .zip(&new)
        .take_while(|(old, new)| old == new)
        .count();
    if new.len() == old.len() && same < old.len() && old[same + 1..] == new[same + 1..] {
        return Line::Changed {
            from: old[same].to_vec(),
            to: new[same].to_vec(),
        };
    }
    if new.len() == old.len() + 1 && same < old.len() && old[same..] == new[same + 1..] {
        return Line::Inserted {
            followed_by: old[same].to_vec(),
            line: new[same].to_vec(),
        };
    }
    panic!(
        "they do not differ in one line:\n{}\n=====\n{}",
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(after)
    );
}

/// Exactly `published: false` became `published: true`, or that line was inserted, with the line end of its neighbour.
#[track_caller]
pub(crate) fn assert_published(before: &[u8], after: &[u8]) {
    match one_line(before, after) {
        Line::Changed { from, to } => {
            let (from, to) = (
                String::from_utf8(from).unwrap(),
                String::from_utf8(to).unwrap(),
            );
            assert!(
                from.contains("published"),
                "the wrong line changed: {from:?}"
            );
            assert_eq!(to, from.replacen("false", "true", 1));
        }
        Line::Inserted { followed_by, line } => {
            assert!(
                followed_by.starts_with(b"---"),
                "not at the end of the front matter"
            );
            let first = before
                .split_inclusive(|&byte| byte == b'\n')
                .next()
                .unwrap();
            let ending: &[u8] = if first.ends_with(b"\r\n") {
                b"\r\n"
            } else {
                b"\n"
            };
            assert_eq!(line, [b"published: true", ending].concat());
        }
    }
}

pub(crate) fn tag(item: &Value) -> String {
    format!("{}@{}", item["id"], item["version"])
}

#[track_caller]
pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is no text: {value}"))
        .to_owned()
}

#[track_caller]
pub(crate) fn time(value: &Value, key: &str) -> Timestamp {
    text(value, key)
        .parse()
        .unwrap_or_else(|error| panic!("{key}: {error}: {value}"))
}

#[track_caller]
pub(crate) fn assert_keys(value: &Value, keys: &[&str]) {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    for key in keys {
        assert!(object.contains_key(*key), "no {key:?} in {value}");
    }
}

/// The hits add up to the score, on each axis and in total.
#[track_caller]
pub(crate) fn assert_adds_up(assessed: &Value) {
    let hits = assessed["hits"].as_array().unwrap();
    let sum = |axis: Option<&str>| -> i64 {
        let counted = hits
            .iter()
            .filter(|hit| axis.is_none_or(|axis| hit["axis"] == axis));
        counted
            .map(|hit| hit["points"].as_i64().expect("whole points"))
            .sum()
    };
    for axis in ["quality", "heat", "topic"] {
        assert_eq!(
            assessed["score"][axis],
            sum(Some(axis)),
            "{axis}: {assessed:#}"
        );
    }
    assert_eq!(assessed["score"]["total"], sum(None), "{assessed:#}");
}

/// The rule files of the crate's `rules/` but `sources.yaml`, by name.
pub(crate) fn shipped_rules() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let files = fs::read_dir(folder)
        .expect("the crate ships rules/")
        .map(|entry| entry.unwrap().path());
    let rules = files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    rules
        .map(|file| {
            (
                file.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(&file).unwrap(),
            )
        })
        .filter(|(name, _)| name != "sources.yaml")
        .collect()
}

/// The project's own records, by name.
pub(crate) fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let records = files.filter(|file| file.extension().is_some_and(|ending| ending == "md"));
    records
        .map(|file| {
            (
                file.file_name().unwrap().to_str().unwrap().to_owned(),
                fs::read(&file).unwrap(),
            )
        })
        .collect()
}

#[test]
fn one_changed_line_is_told_from_one_inserted() {
    let changed = Line::Changed {
        from: b"b\n".to_vec(),
        to: b"x\n".to_vec(),
    };
    assert_eq!(one_line(b"a\nb\nc", b"a\nx\nc"), changed);
    let inserted = Line::Inserted {
        followed_by: b"c".to_vec(),
        line: b"x\n".to_vec(),
    };
    assert_eq!(one_line(b"a\nb\nc", b"a\nb\nx\nc"), inserted);
}

#[test]
fn any_other_difference_is_not_one_line() {
    for after in [
        &b"a\nb\nc"[..],
        b"x\nb\nx",
        b"a\nb",
        b"a\r\nx\nc",
        b"a\nb\nx\ny\nc",
    ] {
        let compared = std::panic::catch_unwind(|| one_line(b"a\nb\nc", after));
        assert!(
            compared.is_err(),
            "{:?}: {compared:?}",
            String::from_utf8_lossy(after)
        );
    }
}

#[test]
fn a_story_is_written_as_it_was_set() {
    let desk = Desk::with_no_rules();
    desk.story("a-b.md").topics(&["AI"]).crlf().bom().write();
    let written = String::from_utf8(desk.read("a-b.md")).unwrap();
    let plain = written
        .strip_prefix('\u{feff}')
        .unwrap()
        .replace("\r\n", "\n");
    assert!(!plain.contains('\r'));
    assert_eq!(
        plain,
        "---
category: news
title: \"A story about a b\"
excerpt: \"What there is to know about a b.\"
publishedDateTime: 2026-03-01T12:00:00Z
originalUrl: \"https://www.example.org/a-b.md\"
type: article
quality: 20
heat: 10
published: false
provider:
  name: Example Daily
  domain: daily.example.org
topics:
  - AI
secured: \"b3BhcXVl\"
---
The body of a b.
"
    );
}

#[test]
fn a_mail_is_read_as_a_mail_program_reads_it() {
    let mail = Mail::parse(
        b"From: Desk <desk@example.org>\r\nTo: Ana Example <ana@example.org>\r\n\
        Subject: =?utf-8?q?2_stories_=C3=A9?=\r\nMessage-ID: <1@example.org>\r\n\
        Date: Mon, 02 Mar 2026 09:00:00 +0000\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\none=\r\n line\r\ntwo=C3=A9\r\n",
    );
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        ("ana@example.org", "2 stories \u{e9}")
    );
    assert_eq!(
        (mail.id.as_str(), mail.text.as_str()),
        ("1@example.org", "one line\ntwo\u{e9}\n")
    );
    assert_eq!(mail.date, START.parse::<Timestamp>().unwrap().as_second());
    assert!(!mail.headers.iter().any(|header| header == "bcc"));
}
