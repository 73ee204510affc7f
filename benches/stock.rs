//! A desk that has been in use for long: so many records that were published, and so many that wait.

use crate::newsroom::Newsroom;
use copydesk::record::location::Location;
use copydesk::record::{Hash, Record};
use copydesk::rules::RuleSet;
use copydesk::rules::assess::{Occasion, Subject};
use copydesk::store::Store;
use copydesk::store::items::Place;
use copydesk::store::packing::Packed;
use copydesk::store::records::Found;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;

/// Records that are written at once.
const BATCH: usize = 10_000;

/// Fills the database of a desk with records of the source `stock`; the first of them wait, and their
/// items are numbered from 1.
pub(crate) fn fill(desk: &Path, records: usize, pending: usize) -> anyhow::Result<()> {
    let rules = RuleSet::load(&desk.join("rules"))?;
    let source = rules
        .source("stock")
        .ok_or_else(|| anyhow::anyhow!("no source"))?;
    let mut store = Store::open(&desk.join("state/copydesk.db"))?;
    let mut newsroom = Newsroom::new(7);
    let now = Timestamp::now();
    for from in (0..records).step_by(BATCH) {
        store.write(|tx| {
            let classes = tx.classes_id(&source.classes)?;
            for n in from..records.min(from + BATCH) {
                let path = format!("{}/{n}.md", n % 1_000);
                let waits = n < pending;
                let file = newsroom.file();
                let (is, other) = (
                    format!("published: {}", !waits),
                    format!("published: {waits}"),
                );
                let file = file.replacen(&other, &is, 1);
                let record = Record::read(file.as_bytes(), &path, source)?;
                // One after the other, over some weeks.
                let seen = now - SignedDuration::from_secs(i64::try_from(n % 3_000_000)?);
                let id =
                    tx.add_record(&source.name, &record, &Packed::of(&record)?, classes, seen)?;
                let found = Found {
                    location: Location::stored(path),
                    record: Some(id),
                    revision: Some(record.revision),
                    raw: Some(Hash::of(file.as_bytes())),
                    stat: Vec::new(),
                    first_seen: seen,
                    missing_since: None,
                    broken: None,
                };
                tx.put_location(&source.name, &found)?;
                let subject = Subject {
                    fields: &record.fields,
                    published: record.published,
                    first_seen: seen,
                    source: &source.name,
                };
                let assessment = rules.assess(&subject, Occasion::FIRST, now);
                tx.put_assessment(id, rules.hash, &assessment)?;
                if let Some(queue) = assessment.route.queue().and_then(|name| rules.queue(name)) {
                    let place = Place::of(queue, assessment.score.total, seen, seen);
                    tx.open_item(id, record.revision, &place, seen)?;
                }
            }
            Ok::<_, anyhow::Error>(())
        })?;
    }
    let waiting = store.read(|tx| tx.open_count())?;
    anyhow::ensure!(waiting == i64::try_from(pending)?, "{waiting} wait");
    Ok(())
}
