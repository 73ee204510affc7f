//! What pages of queues and of history cost with much in the database.
//!
//! ```sh
//! cargo bench --bench queue                    # 1,000,000 records, 100,000 of them pending
//! cargo bench --bench queue -- 100000          # a tenth of all
//! ```
//!
//! A time is CPU time (user and system) of this thread, for one call with its transaction, from warm
//! files in memory where there is such a place. Beside it stands the same by plain SQL with nothing
//! made of the rows. Machines differ and are shared: quote ratios of one run.

#![allow(clippy::print_stdout)]

#[allow(dead_code)]
mod newsroom;

use copydesk::item::Verdict;
use copydesk::record::location::Location;
use copydesk::record::source::Classes;
use copydesk::record::value::Value;
use copydesk::record::{Hash, Record};
use copydesk::report::history;
use copydesk::rules::Place as RulePlace;
use copydesk::rules::assess::{Assessment, Hit, Route};
use copydesk::rules::score::{Axis, Score};
use copydesk::store::decide::Decision;
use copydesk::store::items::Place;
use copydesk::store::packing::Packed;
use copydesk::store::pages::{Ask, LOOK, Sort};
use copydesk::store::past::PastAsk;
use copydesk::store::records::Found;
use copydesk::store::{Store, StoreError, Tx};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use newsroom::Newsroom;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::{Duration, Instant};

const QUEUES: [&str; 8] = [
    "general", "urgent", "ai", "climate", "law", "health", "sport", "rest",
];
const ANA: &str = "ana@example.org";
const ROUNDS: usize = 300;
/// Records in one transaction.
const BATCH: usize = 10_000;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<usize>().ok());
    let records = numbers.next().unwrap_or(1_000_000);
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory)?,
        false => tempfile::tempdir()?,
    };
    let file = folder.path().join("copydesk.db");
    let now: Timestamp = "2026-03-02T09:00:00Z".parse()?;
    let mut store = Store::open(&file)?;
    let start = Instant::now();
    fill(&mut store, records, now)?;
    let plain = Connection::open(&file)?;
    plain.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    more_events(&plain, records)?;
    println!(
        "{records} records, a tenth pending, a tenth decided, {} events, {} MB, made in {:.0} s",
        plain.query_row("SELECT count(*) FROM events", [], |row| row
            .get::<_, i64>(0))?,
        std::fs::metadata(&file)?.len() / 1_000_000,
        start.elapsed().as_secs_f64()
    );
    let mut store = store.only_reading()?;
    println!(
        "\n{:<34} {:>9} {:>9} {:>10} {:>7}",
        "", "p50 ms", "p99 ms", "plain p50", "ratio"
    );
    queues(&mut store, &plain, now)?;
    past(&mut store, &plain, now)
}

fn queues(store: &mut Store, plain: &Connection, now: Timestamp) -> anyhow::Result<()> {
    let ask = Ask {
        queues: vec!["general"],
        ..Ask::default()
    };
    let all = Ask {
        queues: QUEUES.to_vec(),
        ..Ask::default()
    };
    for sort in Sort::ALL {
        for (ask, name) in [(&ask, "one queue"), (&all, "all queues")] {
            let ask = Ask {
                sort,
                ..ask.clone()
            };
            let name = |page: &str| format!("{page} page, {name}, {}", sort.as_str());
            let floor = (ask.queues.len() == 1 && sort == Sort::Rank)
                .then(|| raw_page(plain, f64::INFINITY))
                .transpose()?;
            line(&name("first"), floor, || {
                store.read(|tx| tx.page(&ask, now))
            })?;
            let (at, rank) = store.read(|tx| five_hundredth(tx, &ask, now))?;
            let floor = floor.map(|_| raw_page(plain, rank)).transpose()?;
            let ask = Ask {
                at: Some(&at),
                ..ask
            };
            line(&name("500th"), floor, || {
                store.read(|tx| tx.page(&ask, now))
            })?;
        }
    }
    let day = SignedDuration::from_hours(24);
    let scan = Some(raw_scan(plain)?);
    for (name, ask) in [
        (
            "a frequent topic",
            Ask {
                topic: Some("bababa apps"),
                ..ask.clone()
            },
        ),
        (
            "a topic that nothing has",
            Ask {
                topic: Some("none"),
                ..ask.clone()
            },
        ),
        (
            "a frequent word",
            Ask {
                text: Some("ba"),
                ..ask.clone()
            },
        ),
        (
            "words that nothing has",
            Ask {
                text: Some("zebra crossing"),
                ..ask.clone()
            },
        ),
        (
            "a provider that nothing has",
            Ask {
                provider: Some("none"),
                ..ask.clone()
            },
        ),
        (
            "a score that few have",
            Ask {
                least: Some(168),
                ..ask.clone()
            },
        ),
        (
            "published today",
            Ask {
                published_since: Some(now - day),
                ..ask.clone()
            },
        ),
        (
            "overdue",
            Ask {
                overdue: true,
                ..ask.clone()
            },
        ),
        (
            "held",
            Ask {
                status: Some(copydesk::item::Status::Held),
                ..ask.clone()
            },
        ),
        (
            "claimed by one",
            Ask {
                claimed_by: Some(ANA),
                ..all.clone()
            },
        ),
    ] {
        line(name, scan, || store.read(|tx| tx.page(&ask, now)))?;
    }
    let counts = Some(timed(|| {
        let sql =
            "SELECT queue, count(*) FROM items WHERE status IN ('pending', 'held') GROUP BY queue";
        raw(plain, sql, [])
    })?);
    for up_to in [1_000, 10_000, i64::MAX] {
        let name = format!("counts of 8 queues, up to {up_to}");
        line(&name, counts, || {
            store.read(|tx| tx.queue_counts(&QUEUES, up_to, now))
        })?;
    }
    line("my desk: hands and counts", counts, || {
        store.read(|tx| {
            let hands = tx.in_hands_of(ANA, now)?;
            Ok::<_, StoreError>((hands, tx.queue_counts(&QUEUES, 1_000, now)?))
        })
    })?;
    let item: i64 = plain.query_row("SELECT max(id) / 2 FROM items", [], |row| row.get(0))?;
    let floor = Some(timed(|| {
        raw(
            plain,
            "SELECT * FROM items i JOIN records r ON r.id = i.record
                    JOIN assessments a ON a.record = r.id WHERE i.id = ?1",
            [item],
        )
    })?);
    line("one item, with its contents", floor, || {
        store.read(|tx| {
            let listed = tx.listed(item)?;
            let contents = tx.contents(listed.as_ref().map_or(1, |l| l.item.record))?;
            Ok::<_, StoreError>((listed, contents))
        })
    })
}

fn past(store: &mut Store, plain: &Connection, now: Timestamp) -> anyhow::Result<()> {
    let floor = Some(timed(|| {
        let sql = "SELECT * FROM decisions d JOIN items i ON i.id = d.item JOIN records r ON r.id = i.record
                   ORDER BY d.at DESC, d.id DESC LIMIT 50";
        raw(plain, sql, [])
    })?);
    let ask = PastAsk::default();
    line("history, first page", floor, || {
        store.read(|tx| tx.past(&ask))
    })?;
    let mut at = None;
    for _ in 1..500 {
        let ask = PastAsk {
            at: at.as_deref(),
            ..ask.clone()
        };
        let next = store.read(|tx| tx.past(&ask))?.next;
        at = next.or(at);
    }
    let there = PastAsk {
        at: at.as_deref(),
        ..ask.clone()
    };
    line("history, 500th page", floor, || {
        store.read(|tx| tx.past(&there))
    })?;
    let of_ana = PastAsk {
        actor: Some(ANA),
        ..ask.clone()
    };
    line("history, one actor", floor, || {
        store.read(|tx| tx.past(&of_ana))
    })?;
    let none = PastAsk {
        reason: Some("none"),
        ..ask.clone()
    };
    line("history, a reason that none has", floor, || {
        store.read(|tx| tx.past(&none))
    })?;
    let newest = store.read(|tx| tx.newest_event())?;
    line("100 events since", None, || {
        store.read(|tx| tx.events_since(newest - 100, 100))
    })?;
    line("no event since", None, || {
        store.read(|tx| tx.events_since(newest, 100))
    })?;
    let zone = TimeZone::get("Europe/Lisbon")?;
    line("14 days", None, || {
        store.read(|tx| history::days(tx, 14, &zone, now))
    })?;
    line("90 days", None, || {
        store.read(|tx| history::days(tx, 90, &zone, now))
    })?;
    line("ages of what waits", None, || {
        store.read(|tx| history::ages(tx, &QUEUES, now))
    })?;
    line("decisions by score", None, || {
        store.read(|tx| tx.decided_by_score())
    })?;
    line("hits by rule", None, || {
        store.read(|tx| tx.hits_by_rule(&QUEUES))
    })?;
    let start = Instant::now();
    let mut lines = 0;
    history::each_decision(store, &ask, |_| {
        lines += 1;
        Ok::<_, StoreError>(())
    })?;
    println!(
        "all {lines} decisions in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Where the five hundredth page begins, or the last if there are fewer; by rank also the rank there.
fn five_hundredth(tx: &Tx<'_>, ask: &Ask<'_>, now: Timestamp) -> Result<(String, f64), StoreError> {
    let mut found = (String::new(), f64::INFINITY);
    for _ in 1..500 {
        let at = (!found.0.is_empty()).then_some(found.0.as_str());
        let page = tx.page(&Ask { at, ..ask.clone() }, now)?;
        let last = page.rows.last().map_or(0.0, |row| row.listed.item.rank);
        match page.next {
            Some(next) => found = (next, last),
            None => break,
        }
    }
    Ok(found)
}

fn raw_page(plain: &Connection, from: f64) -> anyhow::Result<Duration> {
    let sql = "SELECT i.*, r.source, r.identity, r.title, r.fields, a.quality, a.heat, a.topic,
             (SELECT l.path FROM locations l WHERE l.record = r.id LIMIT 1)
         FROM items i JOIN records r ON r.id = i.record JOIN assessments a ON a.record = r.id
         WHERE i.queue = 'general' AND i.status IN ('pending', 'held') AND i.rank < ?1
         ORDER BY i.rank DESC, i.id LIMIT 50";
    timed(|| raw(plain, sql, [from]))
}

/// As many rows as a page looks at.
fn raw_scan(plain: &Connection) -> anyhow::Result<Duration> {
    let sql = "SELECT i.status, i.score, r.source, r.title, r.fields FROM items i JOIN records r ON r.id = i.record
               WHERE i.queue = 'general' AND i.status IN ('pending', 'held') ORDER BY i.rank DESC, i.id LIMIT ?1";
    timed(|| raw(plain, sql, [i64::try_from(LOOK).unwrap_or(i64::MAX)]))
}

/// Steps through the rows and takes every column.
fn raw(plain: &Connection, sql: &str, values: impl rusqlite::Params) -> anyhow::Result<usize> {
    let mut statement = plain.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(values)?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        for at in 0..columns {
            bytes += row
                .get_ref(at)?
                .as_bytes_or_null()
                .ok()
                .flatten()
                .map_or(8, <[u8]>::len);
        }
    }
    Ok(bytes)
}

fn timed<T>(work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Duration> {
    Ok(times(work)?[ROUNDS / 2])
}

fn times<T, E>(mut work: impl FnMut() -> Result<T, E>) -> Result<Vec<Duration>, E> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let before = cpu();
        std::hint::black_box(work()?);
        times.push(cpu().saturating_sub(before));
    }
    times.sort();
    Ok(times)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn line<T>(
    name: &str,
    plain: Option<Duration>,
    work: impl FnMut() -> Result<T, StoreError>,
) -> anyhow::Result<()> {
    let times = times(work)?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (half, most) = (ms(times[ROUNDS / 2]), ms(times[ROUNDS * 99 / 100]));
    print!("{name:<34} {half:>9.3} {most:>9.3}");
    match plain.map(ms) {
        Some(plain) => println!(" {plain:>10.3} {:>7.1}", half / plain),
        None => println!(),
    }
    Ok(())
}

/// Of ten records one has an item that waits, one an item that is decided.
fn fill(store: &mut Store, records: usize, now: Timestamp) -> anyhow::Result<()> {
    let mut newsroom = Newsroom::new(1);
    for from in (0..records).step_by(BATCH) {
        let classes = Classes {
            signal: Vec::new(),
            volatile: Vec::new(),
            decision: Vec::new(),
        };
        store.write(|tx| {
            let classes = tx.classes_id(&classes)?;
            let to = records.min(from + BATCH);
            (from..to).try_for_each(|n| put(tx, &mut newsroom, classes, (n, records), now))
        })?;
    }
    Ok(())
}

fn put(
    tx: &Tx<'_>,
    newsroom: &mut Newsroom,
    classes: i64,
    (n, of): (usize, usize),
    now: Timestamp,
) -> Result<(), StoreError> {
    let fields = newsroom.record();
    let points = |key: &str| {
        fields
            .get(key)
            .and_then(Value::as_number)
            .unwrap_or_default()
    };
    #[allow(clippy::cast_possible_truncation)]
    let score = Score::new(points("quality") as i64, points("heat") as i64 / 2, 5);
    let hash = Hash(*blake3::hash(&n.to_le_bytes()).as_bytes());
    let record = Record {
        identity: format!("https://example.org/{n}"),
        fields,
        body: "A short body.\n".repeat(40),
        published: false,
        flag: Some(false),
        revision: hash,
        signal: hash,
        warnings: Vec::new(),
    };
    // The oldest arrived half a year ago.
    let ago = SignedDuration::from_secs(i64::try_from((of - n) * 15_000_000 / of).unwrap_or(0));
    let at = now - ago;
    let id = tx.add_record("news", &record, &Packed::of(&record)?, classes, at)?;
    let hit = |rule: usize| Hit {
        rule: format!("rule-{}", rule % 40).into(),
        axis: Axis::Topic,
        points: 5,
        why: "It is about something of ours".into(),
        at: RulePlace {
            file: "rules/scoring.yaml".into(),
            line: rule,
        },
    };
    let queue = match n / 10 % 16 {
        0..8 => 0,
        other => other - 8,
    };
    let queue = QUEUES[queue];
    let assessment = Assessment {
        score,
        hits: vec![hit(n / 3), hit(n / 7), hit(n / 11)],
        shadow: Vec::new(),
        not_evaluated: Vec::new(),
        route: Route::Queue(queue.to_owned(), None),
        near: Vec::new(),
        flips_at: None,
    };
    tx.put_assessment(id, hash, &assessment)?;
    if n % 10 > 1 {
        return Ok(());
    }
    let found = Found {
        location: Location::stored(format!("2026/{n}.md")),
        record: Some(id),
        revision: Some(hash),
        raw: Some(hash),
        stat: vec![0; 40],
        first_seen: at,
        missing_since: None,
        broken: None,
    };
    tx.put_location("news", &found)?;
    let rank = f64::from(i32::try_from(score.total).unwrap_or_default());
    let place = Place {
        queue,
        rank,
        due_at: (n % 30 != 0).then(|| at + SignedDuration::from_hours(24 * 150)),
        expires_at: None,
    };
    let item = tx.open_item(id, hash, &place, at)?;
    let decide = |verdict, actor| {
        let decision = Decision {
            id: &format!("{n:032}"),
            item: item.id,
            version: None,
            verdict,
            actor,
            reason: None,
            note: None,
            until: Some(now + ago),
            writes: false,
        };
        tx.decide(&decision, at + ago / 2).map(drop)
    };
    match n {
        _ if n % 10 == 1 && n % 70 == 1 => decide(Verdict::Approve, ANA),
        _ if n % 10 == 1 && n % 20 == 1 => decide(Verdict::Approve, "ben@example.org"),
        _ if n % 10 == 1 => decide(Verdict::Reject, "ben@example.org"),
        _ if n % 500 == 0 => decide(Verdict::Hold, ANA),
        _ if n % 3_000 == 10 && n > of / 10 * 9 => {
            let until = now + SignedDuration::from_mins(10);
            tx.claim(item, ANA, until, now).map(drop)
        }
        _ => Ok(()),
    }
}

/// As many events as there are records.
fn more_events(plain: &Connection, records: usize) -> anyhow::Result<()> {
    let sql = "INSERT INTO events (item, kind, version, actor, detail, at)
               SELECT i.id, 'claimed', 1, 'ben@example.org', NULL, i.arrived_at FROM items i, (VALUES (1), (2), (3), (4)) v
               LIMIT ?1";
    plain.execute(sql, [i64::try_from(records)?])?;
    Ok(())
}
