//! Noise is no news: upstream writes its files again and again with another volatile value, another
//! order of keys, other quotes, indentation or line ends, or takes a published flag back, and no
//! item, no version and no mail comes of it, nor does the database grow.
//!
//! `COPYDESK_ROUNDS=1000000` is the long form: every fiftieth rewrite is on disk, the others on a
//! file system in memory. `COPYDESK_SEED` makes the same noise again.

use std::collections::BTreeSet;
use std::fs;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use copydesk::intake::{self, Control};
use copydesk::item::Verdict;
use copydesk::notify::outbox::{Outbox, Way};
use copydesk::notify::{self, When};
use copydesk::review::{self, Actor, Request};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use copydesk::write_back;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use crate::crash::{Random, seed};
use crate::desk::{Desk, memory};
use crate::race::in_lanes;
use crate::service::rounds;

/// Files on one desk.
const FILES: usize = 250;
/// How often each of them is rewritten.
const SWEEPS: usize = 40;
/// Every so many files, one is approved.
const APPROVED: usize = 10;

enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<String>),
    Map(Vec<(&'static str, String)>),
}

/// What a story says, whatever its file looks like.
fn story(n: usize, published: bool) -> Vec<(&'static str, Value)> {
    let text = |text: String| Value::Text(text);
    let number = |n: usize| Value::Number(i64::try_from(n).unwrap());
    vec![
        (
            "title",
            text(format!("It's story {n}: \"heat\" & dust, caf\u{e9} #1")),
        ),
        ("excerpt", text(format!("What there is to know about {n}"))),
        ("publishedDateTime", text("2026-03-01T12:00:00Z".into())),
        ("originalUrl", text(format!("https://www.example.org/{n}"))),
        ("quality", number(n % 120)),
        ("heat", number(n % 50)),
        (
            "topics",
            Value::List(vec!["AWS AI".into(), format!("t{n}")]),
        ),
        (
            "provider",
            Value::Map(vec![
                ("name", "Example Daily".into()),
                ("domain", "daily.example.org".into()),
            ]),
        ),
        ("published", Value::Flag(published)),
    ]
}

/// How upstream happens to write this time.
struct Hand<'r>(&'r mut Random);

impl Hand<'_> {
    fn below(&mut self, many: usize) -> usize {
        usize::try_from(self.0.next(many as u64)).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// A whole file.
    fn file(&mut self, n: usize, published: bool) -> Vec<u8> {
        let mut entries = story(n, published);
        if !self.one_in(10) {
            let length = self.below(300);
            let opaque =
                (0..length).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap()));
            entries.push(("secured", Value::Text(opaque.collect())));
        }
        let mut text = String::from("---\n");
        while !entries.is_empty() {
            let at = self.below(entries.len());
            let (key, value) = entries.swap_remove(at);
            if self.one_in(6) {
                text += ["\n", "# a note\n", "# published: true\n"][self.below(3)];
            }
            let key = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
            text += &key[self.below(3)];
            text += [": ", ":   "][self.below(2)];
            text += &self.value(&value);
            text += "\n";
        }
        text += "---\n";
        text += &format!("The body of {n}.\n\n    as it: stands\n");
        if self.one_in(2) {
            text = text.replace('\n', "\r\n");
        }
        if self.one_in(4) {
            text.insert(0, '\u{feff}');
        }
        text.into_bytes()
    }

    /// What follows a key.
    fn value(&mut self, value: &Value) -> String {
        let indent = " ".repeat(1 + self.below(4));
        match value {
            Value::Text(text) => match self.below(4) {
                0 if !text.is_empty() => format!("|-\n{indent}{text}"),
                1 if text.contains(' ') => format!(
                    ">-\n{indent}{}",
                    text.replacen(' ', &format!("\n{indent}"), 1)
                ),
                _ => self.scalar(text) + self.end(),
            },
            Value::Number(n) => format!("{n}{}{}", ["", ".0"][self.below(2)], self.end()),
            Value::Flag(is) => {
                let spelt = if *is {
                    ["true", "True", "TRUE"]
                } else {
                    ["false", "False", "FALSE"]
                };
                spelt[self.below(3)].to_owned() + self.end()
            }
            Value::List(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| self.scalar(text)).collect();
                if self.one_in(2) {
                    return format!("[{}]{}", texts.join([", ", ","][self.below(2)]), self.end());
                }
                let indent = if self.one_in(2) { "" } else { &indent };
                let line = |text| format!("\n{indent}- {text}");
                texts.iter().map(line).collect()
            }
            Value::Map(entries) => {
                let mut entries: Vec<String> = entries
                    .iter()
                    .map(|(key, text)| format!("{key}: {}", self.scalar(text)))
                    .collect();
                if self.one_in(2) {
                    entries.reverse();
                }
                if self.one_in(2) {
                    return format!("{{{}}}{}", entries.join(", "), self.end());
                }
                let line = |entry: &String| format!("\n{indent}{entry}");
                entries.iter().map(line).collect()
            }
        }
    }

    /// A text on one line.
    fn scalar(&mut self, text: &str) -> String {
        let is_plain =
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
        match self.below(3) {
            0 if is_plain => text.to_owned(),
            1 => format!("'{}'", text.replace('\'', "''")),
            _ => serde_json::to_string(text).unwrap(),
        }
    }

    /// What may follow a value on its line.
    fn end(&mut self) -> &'static str {
        ["", "", "  ", "  # why"][self.below(4)]
    }

    /// Writes a file, in place or by renaming.
    fn write(&mut self, file: &Path, n: usize, published: bool) {
        let bytes = self.file(n, published);
        if self.one_in(2) {
            fs::write(file, bytes).unwrap();
            return;
        }
        let beside = file.with_file_name(".upstream");
        fs::write(&beside, bytes).unwrap();
        fs::rename(beside, file).unwrap();
    }
}

/// A desk in this process.
struct Here {
    desk: Desk,
    rules: RuleSet,
    store: Store,
    outbox: Outbox,
    now: Timestamp,
}

impl Here {
    fn new(folder: &Path) -> Self {
        let desk = Desk::below(folder);
        Self {
            rules: RuleSet::load(&desk.path("rules")).unwrap(),
            store: Store::open(&desk.path("state/copydesk.db")).unwrap(),
            outbox: Outbox {
                from: "desk@example.org".parse().unwrap(),
                way: Way::Folder(desk.path("state/mail")),
                desk: (desk.path("state"), None),
            },
            now: desk.now(),
            desk,
        }
    }

    /// What the service does again and again.
    fn look(&mut self) {
        self.now += SignedDuration::from_mins(1);
        let (rules, now) = (&self.rules, self.now);
        intake::scan(&mut self.store, rules, now, &Control::NONE).unwrap();
        write_back::tick(&mut self.store, rules, now).unwrap();
        notify::tick(&mut self.store, rules, &self.outbox, When::Now, now).unwrap();
    }

    fn approve(&mut self, item: i64) {
        let request = Request {
            id: uuid::Uuid::now_v7(),
            item: format!("{item}@1").parse().unwrap(),
            verdict: Verdict::Approve,
            actor: &Actor::User("tester".into()),
            reason: None,
            note: None,
            until: None,
        };
        review::decide(&mut self.store, &self.rules, &request, self.now).unwrap();
    }

    fn file(&self, n: usize) -> PathBuf {
        self.desk.content(format!("{}/{n}.md", n % 10))
    }

    fn numbers<const N: usize>(&self, sql: [&str; N]) -> [i64; N] {
        let database = Connection::open(self.desk.path("state/copydesk.db")).unwrap();
        sql.map(|sql| database.query_row(sql, [], |row| row.get(0)).unwrap())
    }

    /// Every row, but when things were last done, and what each file's bytes are.
    fn known(&self) -> BTreeSet<String> {
        let mut known = self.desk.dump();
        let database = Connection::open(self.desk.path("state/copydesk.db")).unwrap();
        let sql = "SELECT format('%s %s %s %s', path, record, hex(revision), first_seen)
                   FROM locations WHERE missing_since IS NULL AND broken_reason IS NULL";
        let mut locations = database.prepare(sql).unwrap();
        let locations = locations.query_map([], |row| row.get(0)).unwrap();
        known.insert("locations".into(), locations.map(Result::unwrap).collect());
        let rows = |(table, rows): (String, Vec<String>)| {
            rows.into_iter().map(move |row| format!("{table}: {row}"))
        };
        known.into_iter().flat_map(rows).collect()
    }
}

/// What noise caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Caused {
    rewrites: usize,
    flips: usize,
    written_again: i64,
    items: i64,
    versions: i64,
    mails: i64,
    pages: i64,
}

impl AddAssign for Caused {
    fn add_assign(&mut self, other: Self) {
        self.rewrites += other.rewrites;
        self.flips += other.flips;
        self.written_again += other.written_again;
        self.items += other.items;
        self.versions += other.versions;
        self.mails += other.mails;
        self.pages += other.pages;
    }
}

/// So many sweeps over one desk. With `flips`, upstream takes every approval back at each of them.
fn sweep(folder: &Path, sweeps: usize, flips: bool, random: &mut Random) -> Caused {
    let mut here = Here::new(folder);
    let mut hand = Hand(random);
    for n in 0..FILES {
        let file = here.file(n);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        hand.write(&file, n, false);
    }
    here.look();
    // Items are numbered as the files were met.
    let approved: Vec<bool> = (0..FILES)
        .map(|n| {
            let chosen = n % APPROVED == 0;
            if chosen {
                let path = format!("{}/{n}.md", n % 10);
                here.approve(here.desk.id_of(&path));
            }
            chosen
        })
        .collect();
    here.look();
    let count = [
        "SELECT count(*) FROM items",
        "SELECT sum(version) FROM items",
        "SELECT (SELECT count(*) FROM mails) + (SELECT count(*) FROM mail_log)",
        "SELECT count(*) FROM write_backs WHERE reassert = 1 AND status = 'done'",
        "PRAGMA page_count",
    ];
    let (before, known) = (here.numbers(count), here.known());
    assert_eq!(usize::try_from(before[0]).unwrap(), FILES);
    assert!(before[2] > 0, "nobody was told");
    let mut caused = Caused::default();
    for _ in 0..sweeps {
        for (n, approved) in approved.iter().enumerate() {
            let flipped = flips && *approved;
            hand.write(&here.file(n), n, *approved && !flipped);
            caused.rewrites += 1;
            caused.flips += usize::from(flipped);
        }
        here.look();
    }
    let after = here.numbers(count);
    let more = |at: usize| after[at] - before[at];
    caused.items = more(0);
    caused.versions = more(1);
    caused.mails = more(2);
    caused.written_again = more(3);
    caused.pages = more(4);
    if flips {
        fought(&here, sweeps);
        // What was written again, and why it is not any more, is kept.
        caused.pages = 0;
    } else {
        let after = here.known();
        let marks: Vec<&String> = after.symmetric_difference(&known).collect();
        assert!(marks.is_empty(), "noise left its mark: {marks:#?}");
    }
    caused
}

/// No decision was written again more often than the rules allow, and where upstream did not give
/// in, `status` says so.
fn fought(here: &Here, sweeps: usize) {
    let [most, stopped, notes, written] = here.numbers([
        "SELECT max((SELECT count(*) FROM write_backs x WHERE x.item = w.item AND x.reassert = 1
                      AND x.status <> 'stopped' AND x.created_at > w.created_at - 600000000
                      AND x.created_at <= w.created_at))
         FROM write_backs w WHERE reassert = 1 AND status <> 'stopped'",
        "SELECT count(DISTINCT item) FROM events WHERE kind = 'reassert_stopped'",
        "SELECT count(*) FROM write_backs WHERE status = 'stopped'",
        "SELECT count(*) FROM write_backs WHERE reassert = 1 AND status = 'done'",
    ]);
    assert!(most <= 3, "written again {most} times within ten minutes");
    if sweeps > 5 {
        let flipping = i64::try_from(FILES.div_ceil(APPROVED)).unwrap();
        assert_eq!(stopped, flipping, "no alarm");
        assert!(notes <= written, "{notes} notes of {written} writes");
    }
}

#[test]
fn a_million_rewrites_that_say_nothing_new_cause_nothing() {
    let (all, seed, started) = (rounds().unwrap_or(5_000), seed(), Instant::now());
    let sweeps = all.div_ceil(FILES);
    let on_disk = (all / 50).div_ceil(FILES);
    let pieces = sweeps.div_ceil(SWEEPS).max(2);
    let sum = Mutex::new(Caused::default());
    in_lanes(2, pieces, |piece| {
        let begun = piece * sweeps / pieces;
        let folder = if begun < on_disk {
            std::env::temp_dir()
        } else {
            memory()
        };
        let count = (piece + 1) * sweeps / pieces - begun;
        let mut random = Random(seed.wrapping_add(piece as u64 * 7_919));
        let caused = sweep(&folder, count, piece % 10 == 1, &mut random);
        *sum.lock().unwrap() += caused;
    });
    let sum = sum.into_inner().unwrap();
    println!(
        "| items or mails caused by volatile or formatting rewrites | {} rewrites, {} of them on disk, {} approvals taken back and {} written again, {:.0?} | {} items, {} versions, {} mails, {} pages of the database |",
        sum.rewrites,
        on_disk * FILES,
        sum.flips,
        sum.written_again,
        started.elapsed(),
        sum.items,
        sum.versions,
        sum.mails,
        sum.pages
    );
    assert_eq!(
        (sum.items, sum.versions, sum.mails, sum.pages),
        (0, 0, 0, 0)
    );
    assert!(sum.flips > 0 && sum.written_again > 0, "{sum:?}");
}
