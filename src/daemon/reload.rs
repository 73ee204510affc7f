//! Takes changed rules into force, and keeps the last good set when they do not load.

use super::InForce;
use super::supervise::Job;
use crate::rules::{Refused, RuleSet};
use crate::store::Store;
use jiff::Timestamp;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;

/// What tells that the files have changed: name, size and time of each.
type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

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
        Job::new(move |store, now| {
            let seen = look(&self.folder);
            if tried.as_ref() == Some(&seen) {
                return Ok(());
            }
            // A file that is being written may look whole; it is looked at again when it changes.
            tried = Some(seen);
            self.load(store, now)
        })
    }

    fn load(&self, store: &mut Store, now: Timestamp) -> anyhow::Result<()> {
        let loaded = RuleSet::reload(&self.folder, &self.in_force.get())
            .map_err(|refused| first(&refused))
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
                store.write(|tx| tx.rules_refused(&error, now))?;
            }
        }
        Ok(())
    }
}

/// The first fault of a set that does not load, with its place.
fn first(refused: &Refused) -> String {
    refused.first_fault().unwrap_or_else(|| refused.to_string())
}

fn look(folder: &Path) -> Seen {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut seen: Seen = entries
        .map(|entry| {
            let metadata = entry.metadata().ok();
            let size = metadata.as_ref().map_or(0, Metadata::len);
            (entry.path(), size, metadata.and_then(|m| m.modified().ok()))
        })
        .collect();
    seen.sort();
    seen
}
