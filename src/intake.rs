//! Takes in what stands in the sources: one pass compares the files with what is known and stores
//! the difference.
//!
//! The files are the truth: a pass needs no memory of events, and one that was cut short is made
//! good by the next. A file whose state is as it was when it was last read costs a `stat` and
//! nothing else. One bad file never stops the others.

mod pass;
mod reading;
mod settle;

use crate::intake::pass::Pass;
use crate::intake::reading::read;
use crate::intake::settle::Settling;
use crate::item::Cause;
use crate::record::file::{Folder, Stat};
use crate::record::source::Source;
use crate::rules::RuleSet;
use crate::store::records::Stale;
use crate::store::{HOLDS, LEAVES, Store, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

/// A file must be missing this long, and from two passes, before its record counts as gone.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// What a pass found. Each readable record is one of new, changed, rescored and unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records that are there and can be read.
    pub records: usize,
    /// Never seen before.
    pub new: usize,
    /// With a new revision.
    pub changed: usize,
    /// Scored otherwise, by a changed signal, rule or age.
    pub rescored: usize,
    /// As they were.
    pub unchanged: usize,
    /// Files that cannot be read as records.
    pub broken: usize,
    /// Items that are open now.
    pub queued: usize,
}

/// Which records a pass found new, changed or scored otherwise.
#[derive(Debug, Default)]
struct Tally {
    /// In their order: a record that is new has the highest number yet.
    new: Vec<i64>,
    changed: HashSet<i64>,
    rescored: HashSet<i64>,
}

/// How a long pass is watched over.
#[derive(Clone, Copy)]
pub struct Control<'c> {
    /// Whether to end it before its time; the next pass makes it good.
    pub stop: &'c dyn Fn() -> bool,
    /// Told how many files of one source were read, and how many are to be read.
    pub progress: &'c dyn Fn(usize, usize),
    /// Whether a file that is still being written is left for later; else it is called broken.
    pub patient: bool,
}

impl std::fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Control<'_> {
    /// Lets a pass run to its end.
    pub const NONE: Self = Self {
        stop: &|| false,
        progress: &|_, _| {},
        patient: false,
    };
}

/// What a look at the files leaves to be looked at again.
#[derive(Debug, Default)]
pub struct Looked {
    /// Whether files are missing: a pass after the [`GRACE`] judges them.
    pub missing: bool,
    /// Files that are still being written, by their whole paths.
    pub unsettled: Vec<PathBuf>,
}

/// One pass over every source, then over what time and rules have changed.
///
/// # Errors
/// [`StoreError`]; what is wrong with a file or a source is stored, not returned.
pub fn scan(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
    control: &Control<'_>,
) -> Result<(Counts, Looked), StoreError> {
    let mut tally = Tally::default();
    let mut looked = Looked::default();
    for source in &rules.sources {
        let settling = Settling { rules, source, now };
        let found = Pass::new(settling, &mut tally).run(store, control)?;
        looked.missing |= found.missing;
        looked.unsettled.extend(found.unsettled);
    }
    if !(control.stop)() {
        assess_again(store, rules, now, control.stop, &mut tally)?;
        withdraw_removed(store, rules, now)?;
        take_from_removed(store, rules, now)?;
        pass_time(store, now)?;
    }
    let counts = store.read(|tx| {
        let (mut records, mut broken) = (0, 0);
        for source in &rules.sources {
            let (readable, unreadable) = tx.file_counts(&source.name)?;
            records += readable;
            broken += unreadable;
        }
        let is_new = |id: &&i64| tally.new.binary_search(id).is_ok();
        let is_changed = |id: &&i64| tally.changed.contains(id);
        let new = tally.new.len();
        let changed = tally.changed.iter().filter(|id| !is_new(id)).count();
        let rescored = tally.rescored.iter();
        let rescored = rescored.filter(|id| !is_new(id) && !is_changed(id)).count();
        let unchanged = records.saturating_sub(new + changed + rescored);
        let queued = usize::try_from(tx.open_count()?).unwrap_or_default();
        Ok::<_, StoreError>(Counts {
            records,
            new,
            changed,
            rescored,
            unchanged,
            broken,
            queued,
        })
    })?;
    let json = serde_json::to_string(&counts).unwrap_or_default();
    store.write(|tx| {
        for source in rules.sources.iter().filter(|_| !(control.stop)()) {
            if tx.alarm(&source.name)?.is_none() {
                tx.note_first_pass(&source.name, now)?;
            }
        }
        tx.note_run("scan", rules.hash, &json, now)
    })?;
    Ok((counts, looked))
}

/// Looks at some files and folders of a source, named by their paths below its folder.
///
/// # Errors
/// [`StoreError`].
pub fn look_at(
    store: &mut Store,
    rules: &RuleSet,
    source: &Source,
    paths: &[PathBuf],
    now: Timestamp,
) -> Result<Looked, StoreError> {
    let settling = Settling { rules, source, now };
    Pass::new(settling, &mut Tally::default()).look_at(store, paths)
}

/// Assesses again what was assessed by other rules, or what age has changed: first what waits.
///
/// What is to be done is told by the hash of the rules in each assessment, so that it may be ended
/// at any moment, by `stop` or by a kill, and is taken up where it was.
///
/// # Errors
/// [`StoreError`].
pub fn reassess(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
    stop: &dyn Fn() -> bool,
) -> Result<(), StoreError> {
    assess_again(store, rules, now, stop, &mut Tally::default())?;
    if stop() {
        return Ok(());
    }
    withdraw_removed(store, rules, now)?;
    take_from_removed(store, rules, now)
}

/// Looks again at the files of one record, so that what is decided is decided on what stands there.
///
/// # Errors
/// [`StoreError`].
pub fn look_again(
    store: &mut Store,
    rules: &RuleSet,
    record: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let files = store.read(|tx| {
        let Some(known) = tx.record(record)? else {
            return Ok(None);
        };
        let (files, reading) = (tx.locations_of(record)?, tx.reading(&known.source)?);
        Ok::<_, StoreError>(Some((known.source, files, reading)))
    })?;
    let Some((name, files, reading)) = files else {
        return Ok(());
    };
    let Some(source) = rules.source(&name) else {
        return Ok(());
    };
    let Ok(folder) = Folder::open(&source.path) else {
        return Ok(());
    };
    let mut tally = Tally::default();
    let mut pass = Pass::new(Settling { rules, source, now }, &mut tally);
    let is_read_so = reading == Some(source.reading());
    for found in files {
        let stat = folder.stat(&found.location);
        let stands = |stat: Stat| found.stat == stat.to_bytes() && !stat.is_recent();
        if is_read_so && found.missing_since.is_none() && stat.is_ok_and(stands) {
            continue;
        }
        // A file that is gone is the next pass's to judge.
        if let Some(reading) = read(&folder, source, &found.location) {
            pass.take_in(store, &folder, vec![(found.location, reading)])?;
        }
    }
    pass.finish(store, &folder)
}

/// What passing time does to items: held ones are taken up again, old ones expire.
///
/// # Errors
/// [`StoreError`].
pub fn pass_time(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    let due = store.read(|tx| tx.items_by_time(now))?;
    if due.is_empty() {
        return Ok(());
    }
    store.write(|tx| {
        for item in tx.items_by_time(now)? {
            let item = tx
                .advance(&item, Cause::HoldOver, None, now)?
                .unwrap_or(item);
            if item.expires_at.is_some_and(|at| at <= now) {
                tx.advance(&item, Cause::Expire, None, now)?;
            }
        }
        Ok(())
    })
}

/// Records that are assessed again in one transaction, if the time suffices.
const BATCH: usize = 200;
/// Records that are noted in one transaction as to be assessed again.
const FLIPPED: usize = 2_000;

fn assess_again(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
    stop: &dyn Fn() -> bool,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    while store.read(|tx| tx.is_any_flipped(now))? && !stop() {
        store.write(|tx| tx.make_flipped_stale(now, FLIPPED))?;
        std::thread::sleep(LEAVES);
    }
    for waiting in [true, false] {
        let mut after = Stale::default();
        while !stop() {
            let batch = store.read(|tx| tx.stale_assessments(rules.hash, waiting, after, BATCH))?;
            if batch.is_empty() {
                break;
            }
            let (last, rescored) = store.write(|tx| assess_batch(tx, rules, now, &batch))?;
            tally.rescored.extend(rescored);
            if batch.len() < BATCH && batch.last() == Some(&last) {
                break;
            }
            after = last;
            std::thread::sleep(LEAVES);
        }
    }
    Ok(())
}

/// As many of these records as the time suffices for: the last of them, and which score otherwise.
fn assess_batch(
    tx: &Tx<'_>,
    rules: &RuleSet,
    now: Timestamp,
    batch: &[Stale],
) -> Result<(Stale, Vec<i64>), StoreError> {
    let began = Instant::now();
    let (mut last, mut rescored) = (Stale::default(), Vec::new());
    for stale in batch {
        last = *stale;
        let Some(known) = tx.record(stale.record)? else {
            continue;
        };
        let Some(source) = rules.source(&known.source) else {
            continue;
        };
        let (fields, _) = tx.contents(stale.record)?;
        if (Settling { rules, source, now }).score_again(tx, &known, &fields)? {
            rescored.push(stale.record);
        }
        if began.elapsed() >= HOLDS {
            break;
        }
    }
    Ok((last, rescored))
}

/// Withdraws the open items of sources that the rules no longer name.
fn withdraw_removed(store: &mut Store, rules: &RuleSet, now: Timestamp) -> Result<(), StoreError> {
    let names = store.read(|tx| tx.known_sources())?;
    for name in names.iter().filter(|name| rules.source(name).is_none()) {
        if store.read(|tx| tx.open_items_of_source(name))?.is_empty() {
            continue;
        }
        store.write(|tx| {
            for item in tx.open_items_of_source(name)? {
                let detail = serde_json::json!({"why": "its source is not in the rules any more"});
                tx.advance(&item, Cause::Gone, Some(&detail), now)?;
                tx.make_stale(item.record)?;
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}

/// Takes items out of the hands of reviewers who may not decide on them any more.
fn take_from_removed(store: &mut Store, rules: &RuleSet, now: Timestamp) -> Result<(), StoreError> {
    let lost = |tx: &Tx<'_>| {
        let mut hands = tx.in_hands(now)?;
        hands.retain(|(item, who)| {
            let reviewer = rules.reviewer(who);
            let may = reviewer.is_some_and(|reviewer| reviewer.may_decide_in(&item.queue));
            // Users of this machine and programs are no reviewers, and may what an editor may.
            let is_reviewer = !who.starts_with("cli:") && !who.starts_with("api:");
            is_reviewer && !may
        });
        Ok::<_, StoreError>(hands)
    };
    if store.read(lost)?.is_empty() {
        return Ok(());
    }
    store.write(|tx| {
        for (item, who) in lost(tx)? {
            tx.take_from(item, &who, now)?;
        }
        Ok(())
    })
}
