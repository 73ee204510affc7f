//! What is left when the service is killed at a random moment: nothing acknowledged is lost, and
//! nothing is done twice.
//!
//! `COPYDESK_ROUNDS=50` makes it 50 kills of a run of 200 records, 50 decisions and 10 digests;
//! `COPYDESK_SEED` plays a run's randomness again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::desk::{Desk, Run, finish};
use crate::service::{BOUND, Service, beside, number, rounds, service};

/// A small generator (SplitMix64): what it gives follows from its seed.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

/// The seed that is asked for, or one of its own; it is printed.
pub(crate) fn seed() -> u64 {
    let asked = std::env::var("COPYDESK_SEED").ok();
    let seed = asked.and_then(|seed| seed.parse().ok());
    let seed =
        seed.unwrap_or_else(|| u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap());
    println!("COPYDESK_SEED={seed}");
    seed
}

/// How much happens in one run.
#[derive(Clone, Copy)]
struct Size {
    records: usize,
    decisions: usize,
    digests: usize,
    /// In milliseconds, from the start to the kill.
    longest_life: u64,
}

/// A decision that was acknowledged.
#[derive(Debug, Clone)]
struct Acknowledged {
    item: i64,
    kind: &'static str,
}

/// Reviewers whose time comes every minute.
fn reviewers(count: usize) -> String {
    let reviewer = |n| {
        format!(
            "  - {{name: Reviewer {n}, email: r{n}@example.org, role: reviewer, queues: all, digest: \"* * * * *\"}}\n"
        )
    };
    format!(
        "reviewers:\n{}",
        (0..count).map(reviewer).collect::<String>()
    )
}

fn run(desk: &Desk, args: &[&str]) -> Run {
    finish(beside(desk, args))
}

/// The items that wait, as numbers.
fn open_items(desk: &Desk) -> Vec<i64> {
    let run = run(desk, &["queue", "--json"]).done();
    let queue: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let pending = queue.iter().filter(|item| item["status"] == "pending");
    pending.map(|item| item["id"].as_i64().unwrap()).collect()
}

/// One run: stories are dropped, decided on and told of, and at some moment the service is killed.
fn script(desk: &Desk, size: Size, random: &mut Random) -> Vec<Acknowledged> {
    let stories: Vec<_> = (0..size.records)
        .map(|n| desk.story(&format!("{}/{n}.md", n % 7)))
        .collect();
    let mut service = Some(Service::spawn(desk, service(desk)));
    let started = Instant::now();
    let life = Duration::from_millis(50 + random.next(size.longest_life));
    let dropping = thread::spawn(move || stories.into_iter().for_each(|story| drop(story.write())));
    let (mut acknowledged, mut decided) = (Vec::new(), 0);
    let killing = thread::scope(|scope| {
        let service = service.take().unwrap();
        let killing = scope.spawn(move || {
            thread::sleep(life);
            drop(service);
        });
        while decided < size.decisions && started.elapsed() < BOUND {
            if random.next(4) == 0 {
                // Mails are sent beside the service too; either may come first.
                run(desk, &["notify"]);
            }
            let mut items = open_items(desk);
            let most = u64::try_from(items.len()).unwrap();
            if most == 0 && killing.is_finished() {
                break;
            }
            // A few items in one command.
            let chosen: Vec<i64> = (0..(1 + random.next(6)).min(most))
                .map(|left| {
                    let at = random.next(most - left);
                    items.swap_remove(usize::try_from(at).unwrap())
                })
                .collect();
            if chosen.is_empty() {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            let kind = ["approve", "reject"][usize::try_from(random.next(2)).unwrap()];
            let ids: Vec<String> = chosen.iter().map(i64::to_string).collect();
            let mut args = vec![kind];
            args.extend(ids.iter().map(String::as_str));
            if kind == "reject" {
                args.extend(["--reason", "quality"]);
            }
            decided += chosen.len();
            if run(desk, &args).code == 0 {
                acknowledged.extend(chosen.into_iter().map(|item| Acknowledged { item, kind }));
            }
        }
        killing.join()
    });
    killing.unwrap();
    dropping.join().unwrap();
    acknowledged
}

/// What a mail lists: item, version, and whether it was overdue.
type Told = BTreeSet<(i64, i64, i64)>;

/// One number from the database, which must be there.
fn count(desk: &Desk, sql: &str) -> i64 {
    number(desk, sql).unwrap_or_else(|| panic!("no answer: {sql}"))
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// What was promised holds, once the service has settled.
fn holds(desk: &Desk, acknowledged: &[Acknowledged]) {
    let content = files(&desk.path("content"));
    let written = i64::try_from(content.len()).unwrap();
    let left: Vec<_> = content
        .iter()
        .filter(|path| path.extension().is_none_or(|ending| ending != "md"))
        .collect();
    assert!(left.is_empty(), "left in the content: {left:?}");
    let per = "SELECT count(*) FROM records WHERE gone_at IS NULL";
    assert_eq!(count(desk, per), written, "records");
    assert_eq!(count(desk, "SELECT count(*) FROM items"), written, "items");
    assert_eq!(
        count(
            desk,
            "SELECT count(*) FROM write_backs WHERE status IN ('refused', 'stopped', 'stale')"
        ),
        0
    );

    let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
    let healthy: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(healthy, "ok");
    for decision in acknowledged {
        let (path, status): (String, String) = database
            .query_row(
                "SELECT l.path, i.status FROM items i JOIN locations l ON l.record = i.record
                 WHERE i.id = ?1 AND EXISTS (SELECT 1 FROM decisions WHERE item = i.id AND kind = ?2)",
                (decision.item, decision.kind),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap_or_else(|error| panic!("lost: {decision:?}: {error}"));
        let (expected, line) = match decision.kind {
            "approve" => ("approved", "published: true"),
            _ => ("rejected", "published: false"),
        };
        assert_eq!(status, expected, "{decision:?}");
        assert!(
            desk.says(&path, line),
            "{decision:?}: {path} does not say {line}"
        );
    }
    once_each(desk, &database);
}

/// No digest landed twice, and none tells its reader nothing new.
pub(crate) fn once_each(desk: &Desk, database: &Connection) {
    let mails = if desk.path("state/mail").exists() {
        desk.mails()
    } else {
        Vec::new()
    };
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.id.as_str()).collect();
    assert_eq!(ids.len(), mails.len(), "one mail landed twice");
    let rows = count(desk, "SELECT count(*) FROM mails");
    assert_eq!(i64::try_from(mails.len()).unwrap(), rows, "mails and files");
    assert_eq!(
        count(desk, "SELECT count(*) FROM mails WHERE status <> 'sent'"),
        0
    );
    // A digest also lists what still waits; one that says nothing new is one too many.
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut listed: BTreeMap<(i64, String), Told> = BTreeMap::new();
    let mut statement = database
        .prepare("SELECT m.id, m.recipient, l.item, l.version, l.overdue FROM mail_log l JOIN mails m ON m.id = l.mail")
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let mail = (row.get(0).unwrap(), row.get(1).unwrap());
        let item = (
            row.get(2).unwrap(),
            row.get(3).unwrap(),
            row.get(4).unwrap(),
        );
        listed.entry(mail).or_default().insert(item);
    }
    for ((mail, to), items) in listed {
        let before = told.entry(to.clone()).or_default();
        assert!(
            !items.is_subset(before),
            "mail {mail} tells {to} nothing new"
        );
        before.extend(items);
    }
}

#[test]
fn a_service_that_is_killed_loses_nothing_and_does_nothing_twice() {
    let (kills, size) = match rounds() {
        None => (
            5,
            Size {
                records: 40,
                decisions: 10,
                digests: 3,
                longest_life: 2_000,
            },
        ),
        Some(kills) => (
            kills,
            Size {
                records: 200,
                decisions: 50,
                digests: 10,
                longest_life: 7_000,
            },
        ),
    };
    let seed = seed();
    let mut random = Random(seed);
    let started = Instant::now();
    let (mut records, mut decisions, mut mails) = (0, 0, 0);
    for kill in 0..kills {
        let desk = Desk::new().with_rules("reviewers.yaml", &reviewers(size.digests));
        let acknowledged = script(&desk, size, &mut random);
        let again = Service::start(&desk);
        again.until(
            "every decision is in its file, every mail sent",
            BOUND,
            || {
                let open = "SELECT count(*) FROM write_backs WHERE status = 'pending'";
                let unsent = "SELECT count(*) FROM mails WHERE status <> 'sent'";
                let kept = "SELECT count(*) FROM schedules";
                number(&desk, open) == Some(0)
                    && number(&desk, unsent) == Some(0)
                    && number(&desk, kept) == i64::try_from(size.digests).ok()
            },
        );
        again.stop();
        holds(&desk, &acknowledged);
        records += count(&desk, "SELECT count(*) FROM records");
        mails += count(&desk, "SELECT count(*) FROM mails");
        decisions += acknowledged.len();
        println!("{} after {:?}", kill + 1, started.elapsed());
    }
    println!(
        "| acknowledged decision lost, or anything done twice, when the service is killed | {kills} kills at random moments, {records} records, {decisions} decisions acknowledged, {mails} mails, {:.0?} | 0 lost, 0 twice |",
        started.elapsed()
    );
    assert!(decisions > 0, "nothing was decided");
}
