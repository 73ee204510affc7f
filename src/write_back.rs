//! Carries decisions into files, and is the only part that writes content.
//!
//! The decision is the truth and the file is its projection: a write-back is tried until the file
//! carries the decision, unless the file holds something else by now, or a person has to do it.
//! Exactly one key changes at a time, and no other byte (`record::edit`).

use crate::record::edit::{self, EditError, Undo};
use crate::record::file::{Folder, WriteError};
use crate::record::kind::Kind;
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::value::{Map, Value};
use crate::record::{Hash, Record, shown};
use crate::rules::RuleSet;
use crate::store::write_backs::{End, WriteBack};
use crate::store::{Store, StoreError};
use crate::watch;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::path::Path;

/// What became of one write-back in this tick.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The item.
    pub item: i64,
    /// The file.
    pub location: Location,
    /// How it ended; `None` if it will be tried again.
    pub end: Option<End>,
    /// Why it will be tried again.
    pub error: Option<String>,
}

/// Writes every decision whose time has come.
///
/// # Errors
/// [`StoreError`]; what is wrong with a file is stored and returned as its outcome.
pub fn tick(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
) -> Result<Vec<Outcome>, StoreError> {
    let due = store.read(|tx| tx.due_write_backs(now))?;
    let outcomes = due
        .into_iter()
        .map(|write_back| carry_out(store, rules, write_back, now));
    outcomes.filter_map(Result::transpose).collect()
}

/// Removes what a write that was cut short has left beside its file. For the holder of the state
/// folder's lock, while nothing is being written.
pub fn sweep(rules: &RuleSet) {
    for source in &rules.sources {
        let Ok(folder) = Folder::open(&source.path) else {
            continue;
        };
        for path in watch::left_over(&source.path, Folder::is_temporary) {
            let location = Location::of(&path);
            if let Err(error) = folder.sweep(&location) {
                let location = shown::line(location.as_str(), 200);
                tracing::warn!(
                    source = source.name,
                    "`{location}` is left over and cannot be removed: {error}"
                );
            }
        }
    }
}

/// What is known of an item when its decision is written.
struct Standing {
    identity: String,
    revision: Hash,
    changes: Vec<Undo>,
    /// Whether another file holds the record.
    elsewhere: bool,
}

/// Writes one decision into one file. `None` if it is not wanted any more.
fn carry_out(
    store: &mut Store,
    rules: &RuleSet,
    write_back: WriteBack,
    now: Timestamp,
) -> Result<Option<Outcome>, StoreError> {
    let standing = store.read(|tx| {
        let Some(item) = tx.item(write_back.item)? else {
            return Ok(None);
        };
        let Some(record) = tx.record(item.record)? else {
            return Ok(None);
        };
        let changes = tx.changes(item.id, &write_back.source, &write_back.location)?;
        let files = tx.locations_of(record.id)?;
        let elsewhere = files
            .iter()
            .any(|f| f.missing_since.is_none() && f.location != write_back.location);
        Ok::<_, StoreError>(Some(Standing {
            identity: record.identity,
            revision: item.revision,
            changes,
            elsewhere,
        }))
    })?;
    let prepared = match (standing, rules.source(&write_back.source)) {
        (Some(standing), Some(source)) => prepare(source, &write_back, &standing),
        (None, _) => Ok(Prepared::End(End::Stale("its record is gone".into()))),
        (_, None) => Ok(Prepared::End(End::Refused(
            "its source is not in the rules any more".into(),
        ))),
    };
    let tried = match prepared {
        Ok(Prepared::Edit(edit)) => {
            // What takes the write back is known before it is made, should nothing be noted after.
            if !store.write(|tx| tx.plan_write_back(write_back.id, &edit.undo))? {
                return Ok(None);
            }
            let tried = write(&write_back.location, edit);
            if !matches!(
                &tried,
                Ok(Written {
                    end: End::Done(_),
                    ..
                })
            ) {
                store.write(|tx| tx.unplan_write_back(write_back.id))?;
            }
            tried
        }
        Ok(Prepared::End(end)) => Ok(Written {
            end,
            file: None,
            published: None,
        }),
        Err(error) => Err(error),
    };
    let (item, location) = (write_back.item, write_back.location.clone());
    match tried {
        Ok(written) => {
            store.write(|tx| {
                if let Some((raw, stat)) = &written.file {
                    tx.note_written(&write_back.source, &write_back.location, *raw, stat)?;
                }
                let item = tx.item(write_back.item)?;
                if let (Some(item), Some(published)) = (&item, written.published) {
                    tx.set_published(item.record, published)?;
                }
                tx.close_write_back(write_back.id, &written.end, now)?;
                if let Some(item) = item {
                    let (kind, why) = match &written.end {
                        End::Done(undo) if undo.is_empty() => return Ok(()),
                        End::Done(_) => ("written", None),
                        End::Stale(why) => ("write_stale", Some(why)),
                        End::Refused(why) => ("write_refused", Some(why)),
                    };
                    let detail = json!({"location": write_back.location.as_str(), "verb": write_back.verb, "why": why});
                    tx.add_event(&item, kind, "copydesk", Some(&detail), now)?;
                }
                Ok::<_, StoreError>(())
            })?;
            let shown = shown::line(location.as_str(), 200);
            match &written.end {
                End::Done(undo) if undo.is_empty() => {}
                End::Done(_) => tracing::info!(
                    item,
                    location = shown,
                    "Wrote the decision on item {item} into `{shown}`"
                ),
                End::Stale(why) | End::Refused(why) => {
                    tracing::info!(item, location = shown, "Left `{shown}` as it is: {why}");
                }
            }
            Ok(Some(Outcome {
                item,
                location,
                end: Some(written.end),
                error: None,
            }))
        }
        Err(error) => {
            store.write(|tx| {
                tx.put_off_write_back(
                    write_back.id,
                    &error,
                    now.checked_add(pause(write_back.tries)).unwrap_or(now),
                )
            })?;
            Ok(Some(Outcome {
                item,
                location,
                end: None,
                error: Some(error),
            }))
        }
    }
}

/// How long to wait after a failure: a minute, doubled each time, an hour at most.
fn pause(tries: i64) -> SignedDuration {
    let doubled = u32::try_from(tries).map_or(60, |tries| 1_i64 << tries.min(6));
    SignedDuration::from_mins(doubled.min(60))
}

/// A file that was written, or found to need nothing.
struct Written {
    end: End,
    file: Option<(Hash, Vec<u8>)>,
    /// How the file reads now, and what its flag says.
    published: Option<(bool, Option<bool>)>,
}

/// What is to be done with a file.
enum Prepared {
    /// Nothing.
    End(End),
    /// It is to be replaced.
    Edit(Edit),
}

/// A file as it is to be.
struct Edit {
    folder: Folder,
    expected: Hash,
    bytes: Vec<u8>,
    undo: Vec<Undo>,
    published: (bool, Option<bool>),
}

/// Looks at one file and makes its edit. An error is one that may pass.
fn prepare(
    source: &Source,
    write_back: &WriteBack,
    standing: &Standing,
) -> Result<Prepared, String> {
    let location = &write_back.location;
    let folder = Folder::open(&source.path)
        .map_err(|error| format!("the source's folder cannot be opened: {error}"))?;
    if let Some(at_work) = git_at_work(&source.path) {
        return Err(format!(
            "git is at work there ({at_work}); it is tried again"
        ));
    }
    let stale = |why: &str| Ok(Prepared::End(End::Stale(why.to_owned())));
    let found = match folder.read(location) {
        Ok(found) => found,
        Err(error) if error.is_gone() && standing.elsewhere => {
            return stale("the file is gone, and another holds the story");
        }
        Err(error) => return Err(error.to_string()),
    };
    match Record::read(&found.bytes, location.as_str(), source) {
        // A file that cannot be read now may be half written.
        Err(broken) => return Err(format!("it cannot be read: {broken}")),
        Ok(record) if record.identity != standing.identity => {
            return stale("another story stands there now");
        }
        Ok(record) if record.revision != standing.revision => {
            return stale("the story changed after the decision");
        }
        Ok(_) => {}
    }
    let kind = Kind::of(location.as_str());
    let edited = match write_back.verb.as_str() {
        "approve" => set_all(&found.bytes, kind, &source.approve, source),
        "reject" => set_all(&found.bytes, kind, &source.reject, source),
        "unpublish" => {
            let unpublished = Map::from_iter([(source.published.key.clone(), Value::Bool(false))]);
            set_all(&found.bytes, kind, &unpublished, source)
        }
        _ => take_back(&found.bytes, kind, &standing.changes),
    };
    let (bytes, undo) = match edited {
        Ok(edited) => edited,
        Err(error) => return Ok(Prepared::End(End::Refused(error.to_string()))),
    };
    if undo.is_empty() {
        return Ok(Prepared::End(End::Done(undo)));
    }
    let published = match Record::read(&bytes, location.as_str(), source) {
        Ok(record) if record.revision == standing.revision => (record.published, record.flag),
        _ => {
            return Ok(Prepared::End(End::Refused(
                "the edit would change the story".into(),
            )));
        }
    };
    Ok(Prepared::Edit(Edit {
        folder,
        expected: Hash::of(&found.bytes),
        bytes,
        undo,
        published,
    }))
}

/// What tells that git is about to change the files of the work tree that a folder is in.
fn git_at_work(folder: &Path) -> Option<&'static str> {
    const SIGNS: [&str; 5] = [
        "index.lock",
        "MERGE_HEAD",
        "CHERRY_PICK_HEAD",
        "rebase-merge",
        "rebase-apply",
    ];
    let folder = folder.canonicalize().ok()?;
    let git = folder.ancestors().map(|above| above.join(".git"));
    let git = git.into_iter().find(|git| git.exists())?;
    // In a work tree of its own, a file says where git keeps it.
    let git = match std::fs::read_to_string(&git) {
        Ok(text) => git.parent()?.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    SIGNS.into_iter().find(|sign| git.join(sign).exists())
}

/// Writes one file. An error is one that may pass.
fn write(location: &Location, edit: Edit) -> Result<Written, String> {
    match edit.folder.replace(location, edit.expected, &edit.bytes) {
        Ok(stat) => {
            let file = Some((Hash::of(&edit.bytes), stat.to_bytes().to_vec()));
            Ok(Written {
                end: End::Done(edit.undo),
                file,
                published: Some(edit.published),
            })
        }
        Err(error @ (WriteError::HardLink | WriteError::Owner | WriteError::Attribute(_))) => {
            Ok(Written {
                end: End::Refused(error.to_string()),
                file: None,
                published: None,
            })
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Sets every key of a decision, one edit after the other.
fn set_all(
    bytes: &[u8],
    kind: Kind,
    sets: &Map,
    source: &Source,
) -> Result<(Vec<u8>, Vec<Undo>), EditError> {
    let mut bytes = bytes.to_vec();
    let mut undo = Vec::new();
    for (key, value) in sets.iter() {
        // A file without the flag already says what its absence means.
        let by_absence =
            key == source.published.key && *value == Value::Bool(source.published.missing);
        if by_absence && !edit::has(&bytes, kind, key)? {
            continue;
        }
        if let Some(edited) = edit::set(&bytes, kind, key, value)? {
            bytes = edited.bytes;
            undo.push(edited.undo);
        }
    }
    Ok((bytes, undo))
}

/// Takes back what our writes have changed, where our bytes still stand.
fn take_back(
    bytes: &[u8],
    kind: Kind,
    changes: &[Undo],
) -> Result<(Vec<u8>, Vec<Undo>), EditError> {
    let mut bytes = bytes.to_vec();
    let mut undone = Vec::new();
    for change in changes.iter().rev() {
        if change.before.as_ref() == Some(&change.after) {
            continue;
        }
        if let Some(edited) = edit::undo(&bytes, kind, change)? {
            bytes = edited.bytes;
            undone.push(edited.undo);
        }
    }
    Ok((bytes, undone))
}
