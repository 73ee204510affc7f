//! What a backtest of many stored records costs.
//!
//! ```sh
//! cargo bench --bench backtest                     # 100,000 records, 1,000 rules
//! cargo bench --bench backtest -- 1000000 1000
//! ```
//!
//! Records are made up as files of the seed's shape and stored as a scan stores them, each assessed
//! and, if a queue takes it, with an item. CPU time is that of the process, memory its peak.

#![allow(clippy::print_stdout)]

#[allow(dead_code)]
mod newsroom;

use copydesk::backtest::{self, Trial};
use copydesk::record::Record;
use copydesk::rules::RuleSet;
use copydesk::rules::assess::{Occasion, Route, Subject};
use copydesk::store::items::Place;
use copydesk::store::packing::Packed;
use copydesk::store::{Store, StoreError};
use jiff::Timestamp;
use newsroom::Newsroom;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

/// Records in one transaction, as many as keep it short beside what they cost.
const BATCH: usize = 1_000;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<usize>().ok());
    let records = numbers.next().unwrap_or(100_000);
    let count = numbers.next().unwrap_or(1_000);
    let folder = tempfile::tempdir()?;
    let mut newsroom = Newsroom::new(1);
    let sample: Vec<_> = (0..10_000).map(|_| newsroom.record()).collect();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules)?;
    fs::write(rules.join("desk.yaml"), newsroom::DESK)?;
    fs::write(rules.join("rules.yaml"), newsroom.rules(count, &sample))?;
    drop(sample);
    let rules = RuleSet::load(&rules)?;
    let database = folder.path().join("copydesk.db");
    let mut store = Store::open(&database)?;
    let start = Instant::now();
    let mut stored = 0;
    while stored < records {
        let batch = BATCH.min(records - stored);
        store.write(|tx| {
            let classes = tx.classes_id(&rules.sources[0].classes)?;
            (0..batch).try_for_each(|_| put(tx, &rules, classes, newsroom.file().as_bytes()))
        })?;
        stored += batch;
    }
    println!(
        "stored {records} records in {:.1} s, {} bytes each",
        start.elapsed().as_secs_f64(),
        fs::metadata(&database)?.len() / records.max(1) as u64
    );
    let shown = Cell::new(0);
    let progress = |_: usize, _: usize| shown.set(shown.get() + 1);
    let trial = Trial {
        rules: &rules,
        now: now(),
        since: None,
        suggest: false,
        progress: &progress,
    };
    let (before, start) = (cpu(), Instant::now());
    let page = backtest::over_store(&mut store, &trial)?;
    let (cpu, wall) = (cpu().saturating_sub(before), start.elapsed());
    let hits: usize = page.rules.iter().map(|rule| rule.hits).sum();
    println!(
        "backtest by {count} rules: {:.1} CPU s ({:.1} us a record), {:.1} s, peak {} MiB, {} hits, progress told {} times",
        cpu.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / records as f64,
        wall.as_secs_f64(),
        peak_kib()? / 1024,
        hits,
        shown.get()
    );
    Ok(())
}

/// Stores a record as its first scan does.
fn put(
    tx: &copydesk::store::Tx<'_>,
    rules: &RuleSet,
    classes: i64,
    file: &[u8],
) -> Result<(), StoreError> {
    let source = &rules.sources[0];
    let Ok(record) = Record::read(file, "story.md", source) else {
        return Ok(());
    };
    let id = tx.add_record(&source.name, &record, &Packed::of(&record)?, classes, now())?;
    let subject = Subject {
        fields: &record.fields,
        published: record.published,
        first_seen: now(),
        source: &source.name,
    };
    let assessment = rules.assess(&subject, Occasion::FIRST, now());
    tx.put_assessment(id, rules.hash, &assessment)?;
    if let Route::Queue(queue, _) = &assessment.route {
        let place = Place {
            queue,
            rank: 0.0,
            due_at: None,
            expires_at: None,
        };
        tx.open_item(id, record.revision, &place, now())?;
    }
    Ok(())
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// The most memory that was in use at once, as Linux tells.
fn peak_kib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.unwrap_or("0").parse()?)
}
