//! The desk in a world that one seed decides: upstream, reviewers, clock, mail server, failures of
//! the database and crashes. The parts of the desk are the real ones, run in this process; files
//! stand on a memory disk, the mail server on the loopback.
//!
//! After every step the model's ledger is held against database, files and mail server; then
//! nothing fails any more, and all must come to rest within a bounded number of rounds.
//!
//! `COPYDESK_ROUNDS=10000` makes it 10,000 seeds; `COPYDESK_SEED=7` plays seed 7 alone and tells its
//! steps. A seed that fails is printed with them.

mod ledger;
mod old;
mod post;
mod upstream;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use copydesk::record::Hash;
use copydesk::rules::RuleSet;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};
use tempfile::TempDir;

pub(crate) use post::tells_of;

use crate::service::rounds;
use world::{Ground, World};

/// Every row of a query.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = connection.prepare_cached(sql).unwrap();
    statement
        .query_map(values, row)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

const ALPHA: &str = r#"
  - name: alpha
    path: ../alpha
    identity: [originalUrl]
    fields: {signal: [heat], volatile: [secured]}
    types: {kind: string}
    published: {key: published, missing: true}
"#;
const BETA: &str = r#"
  - name: beta
    path: ../beta
    identity: [originalUrl]
    fields: {signal: [heat], volatile: [secured]}
    types: {kind: string}
    published: {key: published, missing: false}
    on_change: unpublish
"#;
const WIRE: &str = r#"  - {name: wire, when: 'kind == "wire"', decide: approve}
"#;
const REVIEWERS: &str = r#"reviewers:
  - {name: Ana, email: ana@example.org, role: reviewer, queues: all, digest: "0 9 * * *"}
  - {name: Ben, email: ben@example.org, role: reviewer, queues: all, digest: "*/20 * * * *", remind: 3d}
  - {name: Ed, email: ed@example.org, role: editor, queues: all, digest: "0 * * * *"}
"#;

/// The rules that may come into force, the first of them last.
fn rule_sets() -> Vec<String> {
    let general = "  - {name: general, due: 3d, order: score, expire: 30d}\n";
    let urgent = "  - {name: urgent, when: score.total >= 90, due: 2h}\n";
    let hot = "  - {name: urgent, when: score.total >= 50, due: 1h}\n";
    let all = "  - {name: night, when: score.total >= 20, takes: all, due: 1d, expire: 20d}\n";
    let section = ALPHA.replace("signal: [heat]", "signal: [heat, section]");
    let set = |sources: &str, queues: &str| {
        format!(
            "sources:{sources}score: {{heat: {{field: heat, weight: 1}}}}\nqueues:\n{queues}{REVIEWERS}"
        )
    };
    let both = format!("{ALPHA}{BETA}");
    vec![
        set(&both, &format!("{urgent}{WIRE}{general}")),
        set(&both, &format!("{all}{WIRE}{general}")),
        set(
            &format!("{ALPHA}    write: never\n"),
            &format!("{urgent}{WIRE}{general}"),
        ),
        set(&both, &format!("{WIRE}{hot}")),
        set(&format!("{section}{BETA}"), general),
    ]
}

/// Makes the ground on which one world after the other stands.
fn ground(dir: &Path, n: usize) -> Ground {
    let root = dir.join(format!("ground-{n}"));
    for folder in ["alpha", "beta", "state"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let mut rules = Vec::new();
    for (n, yaml) in rule_sets().iter().enumerate() {
        let folder = root.join(format!("rules-{n}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("rules.yaml"), yaml).unwrap();
        rules.push(RuleSet::load(&folder).unwrap_or_else(|error| panic!("{error}")));
    }
    let (port, post) = post::serve();
    let template = dir.join("template.db");
    Ground {
        root,
        rules,
        template,
        port,
        post,
    }
}

/// A folder on the memory disk, if there is one.
fn memory() -> TempDir {
    let disk = Path::new("/dev/shm");
    let made = if disk.is_dir() {
        tempfile::tempdir_in(disk)
    } else {
        tempfile::tempdir()
    };
    let dir = made.unwrap();
    world::template(&dir.path().join("template.db"));
    dir
}

/// What came of one seed.
struct Run {
    failed: Option<String>,
    steps: u64,
    counts: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
    /// Every row of the database in the end, without what no seed decides.
    rows: Vec<String>,
}

fn run(ground: &Ground, seed: u64) -> Run {
    let trace = Mutex::new(Vec::new());
    let mut world = World::new(ground, &trace, seed);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let (steps, failed) = match lived {
        Ok(Ok(steps)) => (steps, None),
        Ok(Err(error)) => (0, Some(error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            (0, Some(format!("panic: {}", text.unwrap_or_default())))
        }
    };
    let mut counts = std::mem::take(&mut world.counts);
    {
        let post = ground.post.lock().unwrap();
        for (kind, count) in &post.counts {
            *counts.entry(kind).or_default() += count;
        }
        counts.insert("mails", post.letters.len() as u64);
        counts.insert(
            "mails that came twice",
            post.letters
                .values()
                .filter(|letter| letter.copies.len() > 1)
                .count() as u64,
        );
    }
    let rows = dump(&world.side);
    drop(world);
    let trace = std::mem::take(
        &mut *trace
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    );
    Run {
        failed,
        steps,
        counts,
        trace,
        rows,
    }
}

/// Every row of every table as text, but for the states of files; each UUID is told by where it is
/// met first.
fn dump(side: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut lines = Vec::new();
    for table in rows(side, sql, (), |row| row.get::<_, String>(0)) {
        let sql = format!("SELECT * FROM {table} ORDER BY rowid");
        lines.extend(rows(side, &sql, (), |row| {
            let mut line = table.clone();
            for column in 0..row.as_ref().column_count() {
                if row.as_ref().column_name(column)? == "stat" {
                    continue;
                }
                line += &match row.get_ref(column)? {
                    ValueRef::Null => " null".to_owned(),
                    ValueRef::Integer(n) => format!(" {n}"),
                    ValueRef::Real(n) => format!(" {n}"),
                    ValueRef::Text(text) => format!(" {}", String::from_utf8_lossy(text)),
                    ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
                        Ok(text) => format!(" {text}"),
                        Err(_) => format!(" {:?}", Hash::of(bytes)),
                    },
                };
            }
            Ok(line)
        }));
    }
    let uuid =
        regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    let mut told = |found: &regex::Captures<'_>| {
        let next = met.len();
        format!("uuid-{}", met.entry(found[0].to_owned()).or_insert(next))
    };
    lines
        .iter()
        .map(|line| uuid.replace_all(line, &mut told).into_owned())
        .collect()
}

/// A failing seed with the steps that led there, and what the database holds of the files.
fn told(seed: u64, run: &Run) -> String {
    let tables = ["items ", "decisions ", "locations ", "write_backs "];
    let rows: Vec<&str> = run
        .rows
        .iter()
        .map(String::as_str)
        .filter(|row| tables.iter().any(|table| row.starts_with(table)))
        .collect();
    let (steps, rows) = (run.trace.join("\n"), rows.join("\n"));
    format!(
        "{steps}\n{rows}\n{}\nCOPYDESK_SEED={seed}",
        run.failed.as_deref().unwrap_or("no invariant is broken")
    )
}

/// What must have happened in a long enough run, besides the world's own events.
const HAPPENS: [&str; 19] = [
    "events forgotten",
    "mails forgotten",
    "commit refused",
    "statement refused",
    "crash",
    "crash while it is put right",
    "crash between a file and its note",
    "upstream's version displaced by a crash",
    "files written",
    "mails",
    "mails that came twice",
    "2xx",
    "4xx",
    "5xx",
    "421",
    "535",
    "cut before the dot",
    "cut after the dot",
    "answered late",
];

#[test]
fn whatever_happens_nothing_is_lost_or_repeated_and_all_comes_to_rest() {
    let dir = memory();
    let asked = std::env::var("COPYDESK_SEED").ok();
    if let Some(seed) = asked.and_then(|seed| seed.parse().ok()) {
        let run = run(&ground(dir.path(), 0), seed);
        println!("{}", told(seed, &run));
        assert_eq!(run.failed, None);
        return;
    }
    let seeds = rounds().map_or(60, |rounds| rounds as u64);
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let (next, started) = (AtomicU64::new(1), Instant::now());
    let sums: Mutex<(u64, BTreeMap<&str, u64>)> = Mutex::default();
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    thread::scope(|scope| {
        // More than there are cores: much of a run is waiting, for a reply or for a late writer. Not
        // many more: SQLite counts its memory under one lock, and all stand in line for it.
        for n in 0..cores * 4 {
            let (dir, next, sums, failed) = (dir.path(), &next, &sums, &failed);
            scope.spawn(move || {
                let ground = ground(dir, n);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds || failed.lock().unwrap().len() > 2 {
                        break;
                    }
                    let run = run(&ground, seed);
                    if run.failed.is_some() {
                        failed.lock().unwrap().push((seed, told(seed, &run)));
                    }
                    let mut sums = sums.lock().unwrap();
                    sums.0 += run.steps;
                    for (kind, count) in &run.counts {
                        *sums.1.entry(kind).or_default() += count;
                    }
                }
            });
        }
    });
    let (mut failed, (steps, counts)) = (failed.into_inner().unwrap(), sums.into_inner().unwrap());
    failed.sort();
    for (_, told) in &failed {
        println!("{told}\n");
    }
    let count = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    println!(
        "| seeds of the simulation | {seeds} seeds, {steps} steps, {} crashes, {} commits refused, {} mails, {} of them twice, in {:.0?} | broken invariants {} |",
        count("crash"),
        count("commit refused") + count("statement refused"),
        count("mails"),
        count("mails that came twice"),
        started.elapsed(),
        failed.len()
    );
    for (kind, count) in &counts {
        println!("{count:>9} {kind}");
    }
    assert!(
        failed.is_empty(),
        "seeds {:?}",
        failed.iter().map(|(seed, _)| seed).collect::<Vec<_>>()
    );
    if seeds >= 60 {
        let missing: Vec<_> = world::EVENTS
            .iter()
            .map(|(_, kind)| *kind)
            .chain(HAPPENS)
            .filter(|kind| count(kind) == 0)
            .collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let dir = memory();
    let grounds = [ground(dir.path(), 0), ground(dir.path(), 1)];
    for seed in [3, 5, 8] {
        let [first, second] = grounds.each_ref().map(|ground| run(ground, seed));
        assert!(first.failed.is_none(), "{}", told(seed, &first));
        assert!(first.trace.len() > 30);
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.rows, second.rows, "seed {seed}");
    }
}
