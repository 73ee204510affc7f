//! Carries decisions into files, and is the only part that writes content.
//!
//! The decision is the truth and the file is its projection: a write-back is tried until the file
//! carries the decision, unless the file holds something else by now, or a person has to do it.
//! Exactly one key changes at a time, and no other byte (`record::edit`).

use crate::record::edit::{self, EditError, Undo};
use crate::record::file::{Folder, WriteError};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::value::{Map, Value};
use crate::record::{Hash, Record};
use crate::rules::RuleSet;
use crate::store::write_backs::{End, WriteBack};
use crate::store::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

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
    due.into_iter()
        .map(|write_back| carry_out(store, rules, write_back, now))
        .collect()
}

/// What is known of an item when its decision is written.
struct Standing {
    identity: String,
    revision: Hash,
    changes: Vec<Undo>,
}

fn carry_out(
    store: &mut Store,
    rules: &RuleSet,
    write_back: WriteBack,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let standing = store.read(|tx| {
        let Some(item) = tx.item(write_back.item)? else {
            return Ok(None);
        };
        let Some(record) = tx.record(item.record)? else {
            return Ok(None);
        };
        let changes = tx.changes(item.id, &write_back.source, &write_back.location)?;
        Ok::<_, StoreError>(Some(Standing {
            identity: record.identity,
            revision: item.revision,
            changes,
        }))
    })?;
    let tried = match (standing, rules.source(&write_back.source)) {
        (Some(standing), Some(source)) => write(source, &write_back, &standing),
        (None, _) => Ok(Written::nothing(End::Stale("its record is gone".into()))),
        (_, None) => Ok(Written::nothing(End::Refused(
            "its source is not in the rules any more".into(),
        ))),
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
            Ok(Outcome {
                item,
                location,
                end: Some(written.end),
                error: None,
            })
        }
        Err(error) => {
            store.write(|tx| {
                tx.put_off_write_back(write_back.id, &error, now + pause(write_back.tries))
            })?;
            Ok(Outcome {
                item,
                location,
                end: None,
                error: Some(error),
            })
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
    published: Option<bool>,
}

impl Written {
    fn nothing(end: End) -> Self {
        Self {
            end,
            file: None,
            published: None,
        }
    }
}

/// Writes one file. An error is one that may pass.
fn write(source: &Source, write_back: &WriteBack, standing: &Standing) -> Result<Written, String> {
    let location = &write_back.location;
    let folder = Folder::open(&source.path)
        .map_err(|error| format!("the source's folder cannot be opened: {error}"))?;
    let found = folder.read(location).map_err(|error| error.to_string())?;
    let stale = |why: &str| Ok(Written::nothing(End::Stale(why.to_owned())));
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
    let edited = match write_back.verb.as_str() {
        "approve" => set_all(&found.bytes, &source.approve, source),
        "reject" => set_all(&found.bytes, &source.reject, source),
        "unpublish" => {
            let unpublished = Map::from_iter([(source.published.key.clone(), Value::Bool(false))]);
            set_all(&found.bytes, &unpublished, source)
        }
        _ => take_back(&found.bytes, &standing.changes),
    };
    let (bytes, undo) = match edited {
        Ok(edited) => edited,
        Err(error) => return Ok(Written::nothing(End::Refused(error.to_string()))),
    };
    if undo.is_empty() {
        return Ok(Written::nothing(End::Done(undo)));
    }
    let published = match Record::read(&bytes, location.as_str(), source) {
        Ok(record) if record.revision == standing.revision => record.published,
        _ => {
            return Ok(Written::nothing(End::Refused(
                "the edit would change the story".into(),
            )));
        }
    };
    match folder.replace(location, Hash::of(&found.bytes), &bytes) {
        Ok(stat) => {
            let file = Some((Hash::of(&bytes), stat.to_bytes().to_vec()));
            Ok(Written {
                end: End::Done(undo),
                file,
                published: Some(published),
            })
        }
        Err(error @ (WriteError::HardLink | WriteError::Owner)) => {
            Ok(Written::nothing(End::Refused(error.to_string())))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Sets every key of a decision, one edit after the other.
fn set_all(bytes: &[u8], sets: &Map, source: &Source) -> Result<(Vec<u8>, Vec<Undo>), EditError> {
    let mut bytes = bytes.to_vec();
    let mut undo = Vec::new();
    for (key, value) in sets.iter() {
        // A file without the flag already says what its absence means.
        let by_absence =
            key == source.published.key && *value == Value::Bool(source.published.missing);
        if by_absence && !edit::has(&bytes, key)? {
            continue;
        }
        if let Some(edited) = edit::set(&bytes, key, value)? {
            bytes = edited.bytes;
            undo.push(edited.undo);
        }
    }
    Ok((bytes, undo))
}

/// Takes back what our writes have changed, where our bytes still stand.
fn take_back(bytes: &[u8], changes: &[Undo]) -> Result<(Vec<u8>, Vec<Undo>), EditError> {
    let mut bytes = bytes.to_vec();
    let mut undone = Vec::new();
    for change in changes.iter().rev() {
        if change.before.as_ref() == Some(&change.after) {
            continue;
        }
        if let Some(edited) = edit::undo(&bytes, change)? {
            bytes = edited.bytes;
            undone.push(edited.undo);
        }
    }
    Ok((bytes, undone))
}
