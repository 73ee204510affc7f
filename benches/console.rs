//! What the console costs: the real service over a large desk, asked over loopback.
//!
//! ```sh
//! cargo bench --bench console                          # 1,000,000 records, 100,000 pending, 60 s
//! cargo bench --bench console -- 100000 10000 10
//! ```
//!
//! A time is from the first byte that is sent to the last that came, on a kept connection. Machines
//! differ and are shared: quote figures of one run.

#![allow(clippy::print_stdout)]

#[allow(dead_code)]
mod newsroom;
mod stock;

use anyhow::{Context, bail, ensure};
use copydesk::record::Hash;
use copydesk::store::Store;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Who decides at once, how many decisions they make in a second, and how many files come then.
const REVIEWERS: usize = 50;
const DECISIONS: f64 = 10.0;
const FILES: f64 = 200.0;
/// How often each page is asked for.
const TIMES: usize = 200;

/// `live` is what is decided on here, and has files; `stock` is what waits.
const RULES: &str = "\
sources:
  - {name: stock, path: ../stock}
  - {name: live, path: ../live}
score:
  quality: {field: quality, weight: 1}
  heat: {field: heat, weight: 0.5}
queues:
  - {name: live, when: quality >= 1000, order: oldest}
  - {name: stock}
";

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args().filter_map(|arg| arg.parse().ok());
    let numbers: Vec<usize> = numbers.collect();
    let number = |at: usize, other| numbers.get(at).copied().unwrap_or(other);
    let (records, pending) = (number(0, 1_000_000), number(1, 100_000));
    let seconds = number(2, 60);
    let desk = Bench::new(records, pending, seconds)?;
    let mut client = desk.client(0)?;
    println!("| figure ({records} records, {pending} pending) | limit | p50 | p99 |");
    println!("|---|---|---|---|");
    let first = "/queues/stock".to_owned();
    let last = desk.page(&mut client, 500.min(pending / 50))?;
    let items = |n: usize| format!("/items/{}", 1 + n * 37 % pending);
    line(
        "queue page, first",
        "5 ms, 25 ms",
        client.times(|_| first.clone())?,
    );
    line(
        "queue page, five hundredth",
        "5 ms, 25 ms",
        client.times(|_| last.clone())?,
    );
    line("item page", "5 ms, 25 ms", client.times(items)?);
    desk.decisions(&mut client)?;
    desk.load(seconds)?;
    weight(&mut client, &[&first, &items(1)])?;
    desk.stop()
}

fn line(what: &str, limit: &str, times: Vec<Duration>) {
    let (p50, p99) = (at(&times, 50), at(&times, 99));
    println!("| {what} | {limit} | {p50:.2?} | {p99:.2?} |");
}

/// The time that so many of a hundred do not pass.
fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times
        .get((times.len() * percent / 100).min(last))
        .copied()
        .unwrap_or_default()
}

/// A large desk whose service runs.
struct Bench {
    folder: tempfile::TempDir,
    service: Child,
    address: String,
    /// Files that are written while it is measured, numbered on.
    written: std::cell::Cell<usize>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

impl Bench {
    fn new(records: usize, pending: usize, seconds: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |below: &str| folder.path().join(below);
        for below in ["rules", "state", "live"] {
            fs::create_dir(path(below))?;
        }
        fs::write(path("rules/desk.yaml"), RULES)?;
        let mut reviewers = "reviewers:\n".to_owned();
        for n in 0..REVIEWERS {
            reviewers += &format!("  - {{name: R{n}, email: r{n}@example.org, queues: all}}\n");
        }
        fs::write(path("rules/reviewers.yaml"), reviewers)?;
        let started = Instant::now();
        stock::fill(folder.path(), records, pending)?;
        println!("made in {:.1?}", started.elapsed());
        // Enough to decide on.
        let count = TIMES + (seconds as f64 * DECISIONS) as usize + REVIEWERS;
        for n in 0..count {
            write_story(&path("live"), &format!("waits-{n}"))?;
        }
        let mut store = Store::open(&path("state/copydesk.db"))?;
        for n in 0..REVIEWERS {
            let hash = Hash::of(session(n).as_bytes());
            let email = format!("r{n}@example.org");
            store.write(|tx| tx.add_session(hash, &email, Timestamp::now()))?;
        }
        drop(store);
        let log = path("log");
        let service = Command::new(env!("CARGO_BIN_EXE_copydesk"))
            .arg("run")
            .current_dir(folder.path())
            .env("COPYDESK_LISTEN", "127.0.0.1:0")
            .env("COPYDESK_LOG", "info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut bench = Self {
            folder,
            service,
            address: String::new(),
            written: 0.into(),
        };
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(&log)?;
            let address = said.split("Listening on http://").nth(1);
            if let Some(address) = address.and_then(|rest| rest.split_whitespace().next()) {
                bench.address = address.to_owned();
            }
            let waits = "SELECT count(*) FROM items WHERE queue = 'live' AND status = 'pending'";
            if !bench.address.is_empty() && bench.number(waits).is_ok_and(|it| it == count as i64) {
                break;
            }
            ensure!(
                bench.service.try_wait()?.is_none(),
                "the service ended: {said}"
            );
            ensure!(
                started.elapsed() < Duration::from_secs(600),
                "it does not begin: {said}"
            );
            thread::sleep(Duration::from_millis(100));
        }
        println!("the service has begun after {:.1?}", started.elapsed());
        Ok(bench)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn reader(&self) -> anyhow::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let reader = Connection::open_with_flags(self.path("state/copydesk.db"), flags)?;
        reader.busy_timeout(Duration::from_secs(10))?;
        Ok(reader)
    }

    fn number(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self.reader()?.query_row(sql, (), |row| row.get(0))?)
    }

    /// The items that are decided on: `ID@VERSION`.
    fn live(&self) -> anyhow::Result<Vec<(i64, i64)>> {
        let reader = self.reader()?;
        let sql = "SELECT i.id, i.version FROM items i JOIN locations l ON l.record = i.record
                   WHERE i.queue = 'live' AND i.status = 'pending' AND l.path LIKE 'waits-%'";
        let mut statement = reader.prepare(sql)?;
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn client(&self, reviewer: usize) -> anyhow::Result<Client> {
        Client::open(&self.address, &session(reviewer))
    }

    /// The path of the page of so high a number, as one comes there.
    fn page(&self, client: &mut Client, number: usize) -> anyhow::Result<String> {
        let mut path = "/queues/stock".to_owned();
        for n in 1..number {
            let page = client.get(&path)?;
            let next = page
                .split("rel=\"next\"")
                .next()
                .filter(|before| before.len() < page.len());
            let next = next.or_else(|| {
                page.split(">Next")
                    .next()
                    .filter(|it| it.len() < page.len())
            });
            let next = next.and_then(|before| before.rsplit("href=\"").next()?.split('"').next());
            let next = next.with_context(|| format!("no page after {n}"))?;
            path = next.replace("&amp;", "&").replace("&#38;", "&");
        }
        Ok(path)
    }

    /// One decision after the other, each beside a raw `fdatasync` on the same disk.
    fn decisions(&self, client: &mut Client) -> anyhow::Result<()> {
        let mut file = File::create(self.path("state/raw"))?;
        let (mut decided, mut raw) = (Vec::new(), Vec::new());
        for item in self.live()?.into_iter().take(TIMES) {
            let started = Instant::now();
            file.write_all(&[7; 4096])?;
            file.sync_data()?;
            raw.push(started.elapsed());
            let started = Instant::now();
            client.approve(item)?;
            decided.push(started.elapsed());
        }
        let times = at(&decided, 50).as_secs_f64() / at(&raw, 50).as_secs_f64();
        line("one fdatasync of 4 KiB", "", raw);
        line(
            "a decision, click to answered",
            "3 times a raw fdatasync",
            decided,
        );
        println!("| … in raw fdatasyncs | 3 | {times:.1} | |");
        Ok(())
    }

    /// All reviewers decide, each on her own items, while files come.
    fn load(&self, seconds: usize) -> anyhow::Result<()> {
        let lasts = Duration::from_secs(seconds as u64);
        let over = Arc::new(AtomicBool::new(false));
        let items = self.live()?;
        let each = items.len() / REVIEWERS;
        let pause = Duration::from_secs_f64(REVIEWERS as f64 / DECISIONS);
        let started = Instant::now();
        let reviewers: Vec<_> = items
            .chunks(each.max(1))
            .take(REVIEWERS)
            .enumerate()
            .map(|(n, items)| {
                let (mut client, items) = (self.client(n), items.to_vec());
                let first = started + pause.mul_f64(n as f64 / REVIEWERS as f64);
                thread::spawn(move || -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
                    let client = client
                        .as_mut()
                        .map_err(|error| anyhow::anyhow!("{error}"))?;
                    let (mut decided, mut looked) = (Vec::new(), Vec::new());
                    for (turn, item) in items.into_iter().enumerate() {
                        let begins = first + pause.mul_f64(turn as f64);
                        if begins >= started + lasts {
                            break;
                        }
                        thread::sleep(begins.saturating_duration_since(Instant::now()));
                        let asked = Instant::now();
                        client.get(&format!("/items/{}", item.0))?;
                        looked.push(asked.elapsed());
                        let asked = Instant::now();
                        client.approve(item)?;
                        decided.push(asked.elapsed());
                    }
                    Ok((decided, looked))
                })
            })
            .collect();
        let times = Arc::new(Mutex::new(HashMap::new()));
        let writer = thread::spawn({
            let (times, folder) = (Arc::clone(&times), self.path("live"));
            let from = self.written.get();
            move || -> anyhow::Result<usize> {
                let mut n = 0;
                while started.elapsed() < lasts {
                    let due = started + Duration::from_secs_f64(n as f64 / FILES);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let name = format!("comes-{}", from + n);
                    write_story(&folder, &name)?;
                    let times = times.lock();
                    times
                        .map_err(|_| anyhow::anyhow!("a thread died"))?
                        .insert(format!("{name}.md"), Instant::now());
                    n += 1;
                }
                Ok(n)
            }
        });
        let watcher = thread::spawn({
            let (reader, over) = (self.reader()?, Arc::clone(&over));
            move || -> anyhow::Result<HashMap<String, Instant>> {
                let sql =
                    "SELECT l.rowid, l.path FROM locations l JOIN items i ON i.record = l.record
                           WHERE l.rowid > ?1 ORDER BY l.rowid";
                let mut seen = HashMap::new();
                let mut last: i64 =
                    reader.query_row("SELECT max(rowid) FROM locations", (), |row| row.get(0))?;
                loop {
                    let is_over = over.load(Ordering::Relaxed);
                    let mut statement = reader.prepare_cached(sql)?;
                    let rows = statement.query_map([last], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    for row in rows {
                        let (rowid, path): (i64, String) = row?;
                        last = last.max(rowid);
                        seen.insert(path, Instant::now());
                    }
                    if is_over {
                        return Ok(seen);
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        let ended = |_| anyhow::anyhow!("a thread died");
        let (mut decided, mut looked, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for reviewer in reviewers {
            match reviewer.join().map_err(ended)? {
                Ok((decisions, pages)) => {
                    decided.extend(decisions);
                    looked.extend(pages);
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        let count = writer.join().map_err(ended)??;
        self.written.set(self.written.get() + count);
        let is_in = "SELECT count(*) FROM items i JOIN locations l ON l.record = i.record WHERE l.path LIKE 'comes-%'";
        let waits = Instant::now();
        while self.number(is_in)? < count as i64 && waits.elapsed() < Duration::from_secs(120) {
            thread::sleep(Duration::from_millis(200));
        }
        over.store(true, Ordering::Relaxed);
        let seen = watcher.join().map_err(ended)??;
        let times = times.lock().map_err(|_| anyhow::anyhow!("a thread died"))?;
        let late: Vec<Duration> = times
            .iter()
            .map(|(path, at)| {
                seen.get(path)
                    .map_or(Duration::MAX, |seen| seen.saturating_duration_since(*at))
            })
            .collect();
        let latest = late.iter().max().copied().unwrap_or_default();
        let rate = decided.len() as f64 / lasts.as_secs_f64();
        println!(
            "| {REVIEWERS} reviewers, {rate:.1} decisions and {:.0} files a second: errors | 0 | {} | |",
            count as f64 / lasts.as_secs_f64(),
            errors.len()
        );
        line("… a decision", "p99 under 250 ms", decided);
        line("… an item page", "p99 under 250 ms", looked);
        line("… a file is in its queue after", "", late);
        println!("| … the latest of {count} | 5 s | {latest:.2?} | |");
        errors
            .iter()
            .take(5)
            .for_each(|error| println!("error: {error}"));
        Ok(())
    }

    fn stop(mut self) -> anyhow::Result<()> {
        let kept = fs::metadata(self.path("state/copydesk.db"))?.len();
        println!("the database has {} MiB", kept >> 20);
        self.service.kill()?;
        self.service.wait()?;
        Ok(())
    }
}

fn session(reviewer: usize) -> String {
    format!("session-{reviewer}")
}

/// A story for `live`; no two are alike.
fn write_story(folder: &Path, name: &str) -> anyhow::Result<()> {
    let text = format!(
        "---\ntitle: A story called {name}\nexcerpt: What there is to know about {name}.\noriginalUrl: https://live.example.org/{name}\nquality: 1000\nheat: 3\npublished: false\ntopics: [AI, Health]\nprovider: {{name: Example Daily, domain: daily.example.org}}\n---\nThe council voted on Monday evening; {name}.\n"
    );
    // Whole at once, as feeds do that care.
    let (made, file) = (
        folder.join(format!(".{name}")),
        folder.join(format!("{name}.md")),
    );
    fs::write(&made, text)?;
    Ok(fs::rename(made, file)?)
}

/// What pages, style and script weigh together.
fn weight(client: &mut Client, paths: &[&str]) -> anyhow::Result<()> {
    for path in paths {
        let page = client.get(path)?;
        let mut all = vec![(*path).to_owned()];
        for mark in [
            "<link rel=\"stylesheet\" href=\"",
            "<script type=\"module\" src=\"",
        ] {
            let found = page.split(mark).skip(1);
            all.extend(found.filter_map(|rest| Some(rest.split('"').next()?.to_owned())));
        }
        let frames = page.split("<iframe").skip(1);
        let frames = frames.filter_map(|rest| rest.split("src=\"").nth(1)?.split('"').next());
        all.extend(frames.map(|src| src.replace("&amp;", "&").replace("&#38;", "&")));
        // What a script loads besides.
        let mut at = 0;
        while let Some(asset) = all.get(at).cloned() {
            at += 1;
            if asset.ends_with(".js") {
                let text = client.get(&asset)?;
                let imports = text
                    .split("from \"")
                    .skip(1)
                    .filter_map(|rest| rest.split('"').next());
                for import in imports.map(|it| it.trim_start_matches('.').to_owned()) {
                    if !all.contains(&import) {
                        all.push(import);
                    }
                }
            }
        }
        let mut sum = 0;
        for asset in &all {
            sum += client.get(asset)?.len();
        }
        #[allow(clippy::cast_precision_loss)]
        let kib = sum as f64 / 1024.0;
        println!(
            "| weight of {} with {} | 60 KiB | {kib:.1} KiB | |",
            all[0],
            all[1..].join(", ")
        );
    }
    Ok(())
}

/// A browser that keeps its connection.
struct Client {
    address: String,
    session: String,
    csrf: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    fn open(address: &str, session: &str) -> anyhow::Result<Self> {
        let stream = BufReader::new(TcpStream::connect(address)?);
        let (address, session) = (address.to_owned(), session.to_owned());
        let mut client = Self {
            address,
            session,
            csrf: String::new(),
            stream,
        };
        client.stream.get_ref().set_nodelay(true)?;
        let page = client.get("/")?;
        let csrf = page.split("name=\"csrf\" content=\"").nth(1);
        let csrf = csrf
            .and_then(|rest| rest.split('"').next())
            .context("no session")?;
        client.csrf = csrf.to_owned();
        Ok(client)
    }

    fn get(&mut self, path: &str) -> anyhow::Result<String> {
        let (status, text) = self.ask("GET", path, "")?;
        ensure!(status == 200, "{path}: {status}: {text}");
        Ok(text)
    }

    /// How long each of many takes.
    fn times(&mut self, path: impl Fn(usize) -> String) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for n in 0..TIMES {
            let started = Instant::now();
            self.get(&path(n))?;
            times.push(started.elapsed());
        }
        Ok(times)
    }

    fn approve(&mut self, (id, version): (i64, i64)) -> anyhow::Result<()> {
        let form = format!("csrf={}&item={id}@{version}&verb=approve", self.csrf);
        let (status, text) = self.ask("POST", &format!("/items/{id}"), &form)?;
        ensure!(
            status == 200 && text.contains("\"done\":true"),
            "{id}: {status}: {text}"
        );
        Ok(())
    }

    fn ask(&mut self, method: &str, path: &str, form: &str) -> anyhow::Result<(u16, String)> {
        let kind = if form.is_empty() {
            String::new()
        } else {
            let (address, length) = (&self.address, form.len());
            format!(
                "Origin: http://{address}\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            )
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: copydesk={}\r\n{kind}\r\n{form}",
            self.address, self.session
        );
        match self.talk(&request) {
            Ok(answer) => Ok(answer),
            // A connection is closed after two minutes; browsers open another.
            Err(_) => {
                self.stream = BufReader::new(TcpStream::connect(&self.address)?);
                self.stream.get_ref().set_nodelay(true)?;
                self.talk(&request)
            }
        }
    }

    fn talk(&mut self, request: &str) -> anyhow::Result<(u16, String)> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let Some(status) = line.split(' ').nth(1).and_then(|code| code.parse().ok()) else {
            bail!("no answer");
        };
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }
}
