//! Takes changed rules into force, and keeps the last good set when they do not load.

use super::InForce;
use super::supervise::Job;
use crate::rules::{Refused, RuleSet};
use crate::store::Store;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;

/// What tells that the files have changed: name, size and time of each.
type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Errors of a refused set that are kept to be shown.
const FAULTS: usize = 100;

#[derive(Clone)]
pub(super) struct Reload {
    folder: PathBuf,
    content: Option<PathBuf>,
    in_force: InForce,
    reloaded: Arc<Notify>,
    look: Arc<Notify>,
}

impl Reload {
    pub(super) fn new(
        folder: PathBuf,
        content: Option<PathBuf>,
        in_force: InForce,
        reloaded: Arc<Notify>,
        look: Arc<Notify>,
    ) -> Self {
        Self {
            folder,
            content,
            in_force,
            reloaded,
            look,
        }
    }

    pub(super) fn job(self) -> Job {
        let mut tried: Option<Seen> = None;
        let mut faulty = Vec::new();
        Job::new(move |store, now| {
            let seen = look(&self.folder, &self.in_force.get(), &faulty);
            if tried.as_ref() == Some(&seen) {
                return Ok(());
            }
            // A file that is being written may look whole; it is looked at again when it changes.
            tried = Some(seen);
            faulty = self.load(store, now)?;
            Ok(())
        })
    }

    /// Loads the set; returns the files that have errors.
    fn load(&self, store: &mut Store, now: Timestamp) -> anyhow::Result<Vec<PathBuf>> {
        let (mut faulty, mut faults) = (Vec::new(), Vec::new());
        let loaded = RuleSet::reload(&self.folder, &self.in_force.get())
            .map_err(|refused| {
                faulty = files_of(&refused);
                faults = refused.faults();
                first(&refused)
            })
            .and_then(|mut rules| {
                let placed = super::place_content(&mut rules, self.content.as_ref());
                placed.map(|()| rules).map_err(|error| error.to_string())
            });
        match loaded {
            Ok(rules) => {
                store.write(|tx| tx.rules_loaded())?;
                if rules.hash != self.in_force.get().hash {
                    tracing::info!(rules = ?rules.hash, "The changed rules are in force");
                    self.in_force.set(rules);
                    self.reloaded.notify_one();
                    self.look.notify_one();
                }
            }
            Err(error) => {
                tracing::error!(
                    "The changed rules do not load, and the last good set stays in force: {error}"
                );
                faults.truncate(FAULTS);
                store.write(|tx| tx.rules_refused(&error, &faults, now))?;
            }
        }
        Ok(faulty)
    }
}

/// The files that have errors: once one of them changes, the set may load.
fn files_of(refused: &Refused) -> Vec<PathBuf> {
    let Refused::Wrong(faults) = refused else {
        return Vec::new();
    };
    let errors = faults.iter().filter(|fault| fault.is_error());
    let mut files: Vec<PathBuf> = errors.map(|fault| PathBuf::from(&fault.file)).collect();
    files.dedup();
    files
}

/// The first fault of a set that does not load, with its place.
fn first(refused: &Refused) -> String {
    refused.first_fault().unwrap_or_else(|| refused.to_string())
}

/// The files of the folder, the topic files that the set in force names, and those that kept a
/// later set from loading.
fn look(folder: &Path, rules: &RuleSet, faulty: &[PathBuf]) -> Seen {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let topic_files = rules.topic_files.iter().flat_map(|pattern| pattern.files());
    let paths: BTreeSet<PathBuf> = entries
        .map(|entry| entry.path())
        .chain(topic_files)
        .chain(faulty.iter().cloned())
        .collect();
    let stamp = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok();
        let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        (path, size, metadata.and_then(|m| m.modified().ok()))
    };
    paths.into_iter().map(stamp).collect()
}
