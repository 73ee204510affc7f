//! Tries a rule set on what was already seen, and changes nothing: where each record would go now,
//! what its rules are worth, and how far queues that decide agree with the decisions that were made.
//!
//! The records come from the store, and no content file is read, or straight from a folder of files,
//! and no state folder is needed. Either way they pass one by one and only sums are kept, so that
//! memory does not grow with history. Ages count as of now.

mod cut;
mod page;
mod removal;
mod suggest;
mod tally;

pub use page::{Agree, Agreement, Band, Load, Move, Moved, Page, QueueLoad, RuleLine, ShadowLine};
pub use suggest::{Measured, Suggestion, Wrong};

use crate::backtest::tally::{Before, Look, Tally};
use crate::item::{Status, Verdict};
use crate::record::file::{Folder, ReadError};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::{self, Record};
use crate::rules::RuleSet;
use crate::store::history::{Called, Seen};
use crate::store::{Store, StoreError};
use crate::watch;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// Records between two calls of a progress function.
const STEP: usize = 500;

/// What is tried.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The rule set.
    pub rules: &'a RuleSet,
    /// The present time.
    pub now: Timestamp,
    /// Leaves out what was first seen, or in a folder published, before.
    pub since: Option<Timestamp>,
    /// Whether to look for the cuts that tell approved from not.
    pub suggest: bool,
    /// Told how many records are done, and how many there are.
    pub progress: &'a dyn Fn(usize, usize),
}

impl std::fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trial")
    }
}

/// A folder of files that are read as those of a source.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// How its files are read.
    pub source: &'a Source,
    /// Where the folder stands below the source's, if it does.
    pub below: &'a Path,
}

/// Tries a rule set on every record in the store.
///
/// # Errors
/// [`StoreError`].
pub fn over_store(store: &mut Store, trial: &Trial<'_>) -> Result<Page, StoreError> {
    store.read(|tx| {
        let all = tx.seen_count(trial.since)?;
        let mut tally = Tally::new(trial);
        let keys = tally.keys().clone();
        let mut done = 0;
        tx.each_seen(trial.since, &keys, |seen| {
            tally.take(&look_of(trial.rules, seen));
            done += 1;
            if done % STEP == 0 {
                (trial.progress)(done, all);
            }
        })?;
        Page::of(tally, Vec::new(), |id| {
            Ok(tx.called(id)?.unwrap_or_default())
        })
    })
}

/// A record of the store as it was before we wrote into its file.
fn look_of<'s>(rules: &RuleSet, seen: &'s Seen<'_>) -> Look<'s> {
    let source = rules.source(seen.source);
    let flag = seen.flag.map(|flag| if flag { "true" } else { "false" });
    let ours = seen.written.iter().find(|edit| {
        let is_flag = source.is_none_or(|source| source.published.key == edit.key);
        is_flag && flag == Some(edit.after.as_str())
    });
    let published = match (ours, source) {
        (Some(edit), Some(source)) => match &edit.before {
            Some(before) => before.eq_ignore_ascii_case("true"),
            None => source.published.missing,
        },
        _ => seen.published,
    };
    let before = match (seen.gone_at, seen.assessed) {
        (Some(_), _) => Before::Gone,
        // What a queue decided by itself it has taken, wherever the record would go without it.
        (None, assessed) => Before::Stood {
            total: assessed.map_or(0, |(total, _)| total),
            queue: seen.decider.or(assessed.and_then(|(_, queue)| queue)),
        },
    };
    Look {
        key: seen.id,
        fields: &seen.fields,
        source: seen.source,
        published,
        first_seen: seen.first_seen,
        waits_in: seen
            .status
            .filter(|status| *status != Status::Withdrawn)
            .map(|_| seen.assessed.and_then(|(_, queue)| queue).unwrap_or("")),
        person: seen.person.map(|verdict| verdict == Verdict::Approve),
        feed: seen.flag.filter(|_| ours.is_none()),
        before,
    }
}

/// Tries a rule set on a folder of files.
///
/// # Errors
/// When the folder cannot be opened; a file that cannot be read is told in the page.
pub fn over_files(files: &Files<'_>, trial: &Trial<'_>) -> Result<Page, ReadError> {
    let folder = Folder::open(files.folder)?;
    let paths = files.paths();
    let mut tally = Tally::new(trial);
    let mut broken = Vec::new();
    for (key, path) in (0_i64..).zip(&paths) {
        match files.read(&folder, path) {
            Ok(record) => {
                let published_at = record::published_at(&record.fields);
                if published_at.is_none_or(|at| trial.since.is_none_or(|since| at >= since)) {
                    tally.take(&Look {
                        key,
                        fields: &record.fields,
                        source: &files.source.name,
                        published: record.published,
                        first_seen: trial.now,
                        waits_in: None,
                        person: None,
                        feed: record.flag,
                        before: Before::Nothing,
                    });
                }
            }
            Err(reason) => broken.push((files.location(path).as_str().to_owned(), reason)),
        }
        let done = usize::try_from(key).unwrap_or_default() + 1;
        if done % STEP == 0 || done == paths.len() {
            (trial.progress)(done, paths.len());
        }
    }
    Page::of(tally, broken, |key| Ok(files.name(&folder, &paths, key)))
}

impl Files<'_> {
    /// The files that the source includes, in the order of names.
    fn paths(&self) -> Vec<PathBuf> {
        let met = watch::walk(self.folder);
        met.filter_map(|met| match met {
            watch::Met::File { path, .. } => Some(path),
            _ => None,
        })
        .filter(|path| self.source.includes(&self.below.join(path)))
        .collect()
    }

    fn location(&self, path: &Path) -> Location {
        Location::of(&self.below.join(path))
    }

    fn read(&self, folder: &Folder, path: &Path) -> Result<Record, String> {
        let found = folder
            .read(&Location::of(path))
            .map_err(|error| error.to_string())?;
        Record::read(&found.bytes, self.location(path).as_str(), self.source)
            .map_err(|broken| broken.to_string())
    }

    /// Titles are not kept while the records pass; the few that are shown are read again.
    fn name(&self, folder: &Folder, paths: &[PathBuf], key: i64) -> Called {
        let path = usize::try_from(key).ok().and_then(|at| paths.get(at));
        let record = path.and_then(|path| self.read(folder, path).ok());
        Called {
            title: record.and_then(|record| record.title().map(str::to_owned)),
            source: self.source.name.clone(),
            location: path.map(|path| self.location(path)),
        }
    }
}
