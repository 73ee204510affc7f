//! What the rules cost: a record, by how many rules there are; loading a set; reloading it.
//!
//! ```sh
//! cargo bench --bench rules                  # rules and records made up here
//! cargo bench --bench rules -- FOLDER        # those of ../shared/speed, see its README
//! ```
//!
//! A figure is CPU time (user and system) of this thread, the median of five rounds, of a release
//! build. Machines differ and are shared: quote ratios of one run.

#![allow(clippy::print_stdout)]

#[allow(dead_code)]
mod newsroom;

use copydesk::record::value::{Map, Value};
use copydesk::rules::RuleSet;
use copydesk::rules::assess::{Occasion, Subject};
use jiff::Timestamp;
use newsroom::Newsroom;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    match folder {
        Some(folder) => peers(Path::new(&folder)),
        None => made_up(),
    }
}

/// The rules and records that the peers are measured with.
fn peers(folder: &Path) -> anyhow::Result<()> {
    let lines = fs::read_to_string(folder.join("records.jsonl"))?;
    let records: Vec<Map> = lines
        .lines()
        .map(from_peers)
        .collect::<anyhow::Result<_>>()?;
    println!(
        "{:>7} {:>12} {:>10} {:>9} {:>9}",
        "rules", "us a record", "matches", "first 30", "load s"
    );
    for count in COUNTS {
        let rules = folder.join(format!("desk_{count}"));
        let (set, load) = wall(|| RuleSet::load(&rules));
        let set = set?;
        let (cost, hits) = assess(&set, &records);
        // The slowest peers are measured on so few.
        let (_, few) = assess(&set, records.get(..30).unwrap_or(&records));
        println!(
            "{count:>7} {:>12.2} {hits:>10} {few:>9} {:>9.2}",
            micros(cost),
            load.as_secs_f64()
        );
    }
    Ok(())
}

/// A record as a file of the feed would give it; the peers get `domain` on its own.
fn from_peers(line: &str) -> anyhow::Result<Map> {
    let Value::Map(all) = serde_json::from_str(line)? else {
        anyhow::bail!("no mapping: {line}")
    };
    let mut fields = Map::default();
    for key in ["title", "excerpt", "type", "quality", "heat", "topics"] {
        fields.set(key, all.get(key).cloned().unwrap_or_default());
    }
    let domain = all.get("domain").cloned().unwrap_or_default();
    fields.set(
        "provider",
        Value::Map([("domain".to_owned(), domain)].into_iter().collect()),
    );
    fields.set(
        "published",
        all.get("published").cloned().unwrap_or_default(),
    );
    Ok(fields)
}

fn made_up() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut newsroom = Newsroom::new(1);
    let records: Vec<Map> = (0..10_000).map(|_| newsroom.record()).collect();
    println!(
        "{:>7} {:>12} {:>10} {:>10} {:>9} {:>9}",
        "rules", "us a record", "hits each", "growth", "load s", "reload s"
    );
    let mut first = None;
    for count in COUNTS {
        let rules = folder.path().join(count.to_string());
        fs::create_dir(&rules)?;
        let text = newsroom.rules(count, &records);
        write_rules(&rules, &text)?;
        let (set, load) = wall(|| RuleSet::load(&rules));
        let set = set?;
        let (cost, hits) = assess(&set, &records);
        let changed = text.replacen("points: 1", "points: 2", 1);
        write_rules(&rules, &changed)?;
        let (again, reload) = wall(|| RuleSet::reload(&rules, &set));
        again?;
        let cost = micros(cost);
        #[allow(clippy::cast_precision_loss)]
        let each = hits as f64 / records.len() as f64;
        println!(
            "{count:>7} {cost:>12.2} {each:>10.1} {:>10.1} {:>9.2} {:>9.2}",
            cost / *first.get_or_insert(cost),
            load.as_secs_f64(),
            reload.as_secs_f64()
        );
    }
    Ok(())
}

fn write_rules(folder: &Path, rules: &str) -> anyhow::Result<()> {
    let write = |name: &str, text: &str| fs::write(PathBuf::from(folder).join(name), text);
    write("desk.yaml", newsroom::DESK)?;
    write("rules.yaml", rules)?;
    Ok(())
}

/// CPU time of a record, and how often a rule held over all records.
fn assess(set: &RuleSet, records: &[Map]) -> (Duration, usize) {
    let now: Timestamp = Timestamp::UNIX_EPOCH;
    let round = || {
        let mut hits = 0;
        for fields in records {
            let published = fields.get("published").and_then(Value::as_bool);
            let subject = Subject {
                fields,
                published: published.unwrap_or(true),
                first_seen: now,
                source: "corpus",
            };
            let assessment = set.assess(&subject, Occasion::FIRST, now);
            let own = |rule: &str| rule.starts_with("score.");
            hits += assessment.hits.iter().filter(|hit| !own(&hit.rule)).count();
        }
        hits
    };
    let mut costs = Vec::new();
    let mut hits = round();
    for _ in 0..ROUNDS {
        let before = cpu();
        hits = round();
        costs.push(cpu().saturating_sub(before));
    }
    costs.sort();
    let count = u32::try_from(records.len()).unwrap_or(1);
    (costs[ROUNDS / 2] / count, hits)
}

fn wall<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}
