//! Carries decisions into files, and is the only part that writes content.
//!
//! The decision is the truth and the file is its projection: a write-back is tried until the file
//! carries the decision, unless the file holds something else by now, or a person has to do it.
//! Exactly one key changes at a time, and no other byte (`record::edit`). A source may have the
//! files of rejected stories moved instead: out of it, and back when that is taken back.

mod git;
mod moving;

use crate::record::edit::{self, EditError, Undo};
use crate::record::file::Folder;
use crate::record::file::replace::{Exchange, Recovered, WriteError};
use crate::record::file::transfer::Way;
use crate::record::kind::Kind;
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::value::{Map, Value};
use crate::record::{Hash, Record, shown};
use crate::rules::RuleSet;
use crate::store::write_backs::{End, MovedOut, TAKEN, WriteBack, Writes};
use crate::store::{Store, StoreError};
use crate::watch;
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

/// How often a file that upstream writes at the same moment is looked at anew and tried again.
const ATTEMPTS: usize = 3;

/// Writes every decision whose time has come. For the holder of the state folder's lock, as all
/// that writes files.
///
/// # Errors
/// [`StoreError`]; what is wrong with a file is stored and returned as its outcome.
pub fn tick(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
) -> Result<Vec<Outcome>, StoreError> {
    recover(store, rules, now)?;
    let due = store.read(|tx| tx.due_write_backs(now))?;
    let outcomes = due
        .into_iter()
        .map(|write_back| carry_out(store, rules, write_back, now));
    outcomes.filter_map(Result::transpose).collect()
}

/// Puts right what writes that were cut short have left beside their files: a version of upstream's
/// goes back under its name, what is ours is removed. For the holder of the state folder's lock,
/// while nothing is being written.
///
/// # Errors
/// [`StoreError`]; what cannot be removed is logged.
pub fn sweep(store: &mut Store, rules: &RuleSet, now: Timestamp) -> Result<(), StoreError> {
    recover(store, rules, now)?;
    for source in &rules.sources {
        let Ok(folder) = Folder::open(&source.path) else {
            continue;
        };
        let left = watch::left_over(&source.path, |name| {
            Folder::is_unfinished(name) || Folder::is_displaced(name)
        });
        for path in left {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            let location = Location::of(&path);
            let shown = shown::line(location.as_str(), 200);
            if Folder::is_displaced(name) {
                // Written by a copydesk with another state folder, or before this one was lost.
                tracing::warn!(
                    source = source.name,
                    "`{shown}` is left over from a write that is not known here, and may hold a version of a file beside it"
                );
            } else if let Err(error) = folder.remove(&location) {
                tracing::warn!(
                    source = source.name,
                    "`{shown}` is left over and cannot be removed: {error}"
                );
            }
        }
    }
    Ok(())
}

/// Ends the writes that were cut short; those that cannot be ended yet stay noted.
fn recover(store: &mut Store, rules: &RuleSet, now: Timestamp) -> Result<(), StoreError> {
    for cut in store.read(|tx| tx.writes_under_way())? {
        let Some(source) = rules.source(&cut.source) else {
            continue;
        };
        if let Some(way) = cut.moves {
            moving::recover(store, source, &cut, way, now)?;
            continue;
        }
        let recovered = Folder::open(&source.path)
            .map_err(WriteError::from)
            .and_then(|folder| folder.recover(&cut.location, &cut.exchange));
        match recovered {
            Ok(Recovered::Undone) => store.write(|tx| tx.unplan_write_back(cut.id))?,
            Ok(Recovered::Nothing | Recovered::Done) => store.write(|tx| tx.end_write(cut.id))?,
            Err(error) => {
                let shown = shown::line(cut.location.as_str(), 200);
                tracing::debug!("A write of `{shown}` was cut short and is not put right: {error}");
            }
        }
    }
    Ok(())
}

/// What is known of an item when its decision is written.
struct Standing {
    identity: String,
    revision: Hash,
    writes: Writes,
    /// Whether another file holds the record.
    elsewhere: bool,
    record: i64,
    /// What a rejection has moved out from here, if that is this record.
    moved: Option<MovedOut>,
}

impl Standing {
    /// Whether this is the record, in the revision decided on.
    fn is(&self, record: &Record) -> bool {
        record.identity == self.identity && record.revision == self.revision
    }

    /// What was moved out from here, if it is the revision decided on.
    fn moved_out(&self) -> Option<&MovedOut> {
        self.moved
            .as_ref()
            .filter(|moved| moved.revision == self.revision)
    }
}

/// Writes one decision into one file. `None` if it is not wanted any more.
fn carry_out(
    store: &mut Store,
    rules: &RuleSet,
    write_back: WriteBack,
    now: Timestamp,
) -> Result<Option<Outcome>, StoreError> {
    let mut attempts = 0;
    let tried = loop {
        let Some(tried) = attempt(store, rules, &write_back, now)? else {
            return Ok(None);
        };
        attempts += 1;
        // Upstream wrote at the same moment: what it wrote may still be the story decided on.
        let Err(Failed::Changed) = tried else {
            break tried;
        };
        if attempts == ATTEMPTS {
            break tried;
        }
    };
    finish(store, &write_back, tried, now).map(Some)
}

/// What an item's record and files are known as.
fn standing(store: &mut Store, write_back: &WriteBack) -> Result<Option<Standing>, StoreError> {
    store.read(|tx| {
        let Some(item) = tx.item(write_back.item)? else {
            return Ok(None);
        };
        let Some(record) = tx.record(item.record)? else {
            return Ok(None);
        };
        let writes = tx.writes(item.id, &write_back.source, &write_back.location)?;
        let files = tx.locations_of(record.id)?;
        let elsewhere = files
            .iter()
            .any(|f| f.missing_since.is_none() && f.location != write_back.location);
        let moved = tx.moved_from(&write_back.source, &write_back.location)?;
        Ok(Some(Standing {
            identity: record.identity,
            revision: item.revision,
            writes,
            elsewhere,
            record: record.id,
            moved: moved.filter(|moved| moved.record == record.id),
        }))
    })
}

/// Looks at the file and writes it, once. `None` if that is not wanted any more.
fn attempt(
    store: &mut Store,
    rules: &RuleSet,
    write_back: &WriteBack,
    now: Timestamp,
) -> Result<Option<Result<Written, Failed>>, StoreError> {
    let under_way = store.read(|tx| tx.writes_under_way())?;
    if under_way
        .iter()
        .any(|other| (&other.source, &other.location) == (&write_back.source, &write_back.location))
    {
        let error = "an earlier write of it was cut short and cannot be put right yet";
        return Ok(Some(Err(Failed::Otherwise(error.into()))));
    }
    let prepared = match (
        standing(store, write_back)?,
        rules.source(&write_back.source),
    ) {
        (None, _) => Ok(Prepared::End(End::Stale("its record is gone".into()))),
        // Either may change again, and the decision stands.
        (_, None) => Err("its source is not in the rules".into()),
        (_, Some(source)) if !source.write => {
            Err("its source is not written (`write: never`)".into())
        }
        (Some(standing), Some(source)) => prepare(rules, source, write_back, &standing),
    };
    let edit = match prepared {
        Ok(Prepared::Edit(edit)) => edit,
        Ok(Prepared::Move(planned)) => {
            return moving::carry_out(store, rules, write_back, planned, now);
        }
        Ok(Prepared::End(end)) => return Ok(Some(Ok(Written::nothing(end)))),
        Err(error) => return Ok(Some(Err(Failed::Otherwise(error)))),
    };
    // What takes the write back, and what puts it right, is known before it is made, should nothing
    // be noted after.
    let exchange = Exchange::new(edit.expected, Hash::of(&edit.bytes));
    if !store.write(|tx| tx.plan_write_back(write_back.id, &edit.undo, &exchange))? {
        return Ok(None);
    }
    let tried = write(&write_back.location, edit, &exchange);
    match &tried {
        Ok(Written {
            end: End::Done(_), ..
        })
        | Err(Failed::Halfway(_)) => {}
        _ => store.write(|tx| tx.unplan_write_back(write_back.id))?,
    }
    Ok(Some(tried))
}

/// Notes what has become of a write-back.
fn finish(
    store: &mut Store,
    write_back: &WriteBack,
    tried: Result<Written, Failed>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let (item, location) = (write_back.item, write_back.location.clone());
    match tried {
        Ok(written) => {
            store.write(|tx| {
                if let Some(weak) = written.weak
                    && weak != tx.is_weak(&write_back.source)?
                {
                    tx.set_weak(&write_back.source, weak)?;
                }
                if let Some(moved) = &written.moved {
                    tx.note_moved_out(&write_back.source, moved)?;
                }
                let item = tx.item(write_back.item)?;
                if let (Some(item), Some((hashes, stat))) = (&item, &written.file) {
                    let file = (write_back.source.as_str(), &write_back.location);
                    tx.note_written(item, file, *hashes, stat)?;
                }
                if let (Some(item), Some(published)) = (&item, written.published) {
                    tx.set_published(item.record, published)?;
                }
                tx.close_write_back(write_back.id, &written.end, now)?;
                if let Some(item) = item {
                    let (kind, why) = match &written.end {
                        End::Done(undo) if undo.is_empty() => return Ok(()),
                        End::Done(_) => ("written", None),
                        End::Moved(Way::Out) => ("moved_out", None),
                        // That was noted when it was moved.
                        End::Moved(Way::Back) => return Ok(()),
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
                End::Moved(Way::Out) => tracing::info!(
                    item,
                    location = shown,
                    "Moved `{shown}` out of its source, since item {item} is rejected"
                ),
                End::Moved(Way::Back) => {
                    tracing::info!(
                        item,
                        location = shown,
                        "Moved `{shown}` back into its source"
                    );
                }
                End::Stale(why) | End::Refused(why) => {
                    tracing::info!(item, location = shown, "Left `{shown}` as it is: {why}");
                }
            }
            Ok(Outcome {
                item,
                location,
                end: Some(written.end),
                error: None,
            })
        }
        Err(error) => {
            let error = error.to_string();
            store.write(|tx| {
                tx.put_off_write_back(
                    write_back.id,
                    &error,
                    now.checked_add(pause(write_back.tries)).unwrap_or(now),
                )
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
    file: Option<((Hash, Hash), Vec<u8>)>,
    /// How the file reads now, and what its flag says.
    published: Option<(bool, Option<bool>)>,
    /// Whether its file system cannot exchange names, where that was tried.
    weak: Option<bool>,
    /// What has left its source.
    moved: Option<MovedOut>,
}

impl Written {
    /// Ended without a byte written.
    fn nothing(end: End) -> Self {
        Self {
            end,
            file: None,
            published: None,
            weak: None,
            moved: None,
        }
    }
}

/// Why a write is tried again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// Upstream wrote at the same moment.
    #[error("{}", WriteError::Changed)]
    Changed,
    /// The names may be exchanged.
    #[error("{0}")]
    Halfway(String),
    /// Something that may pass.
    #[error("{0}")]
    Otherwise(String),
}

/// What is to be done with a file.
enum Prepared {
    /// Nothing.
    End(End),
    /// It is to be replaced.
    Edit(Edit),
    /// It is to be moved.
    Move(moving::Planned),
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
    rules: &RuleSet,
    source: &Source,
    write_back: &WriteBack,
    standing: &Standing,
) -> Result<Prepared, String> {
    let location = &write_back.location;
    let folder = Folder::open(&source.path)
        .map_err(|error| format!("the source's folder cannot be opened: {error}"))?;
    if let Some(busy) = git::at_work(&source.path, &location.to_path()) {
        return Err(busy);
    }
    let stale = |why: &str| Ok(Prepared::End(End::Stale(why.to_owned())));
    let moves_out = write_back.verb == "reject" && source.move_to.is_some();
    let found = match folder.read(location) {
        Ok(found) => found,
        Err(error) if error.is_gone() => {
            let away = moving::away(source, folder, location, standing, moves_out)?;
            return match away {
                Some(planned) => Ok(Prepared::Move(planned)),
                None if standing.elsewhere => {
                    stale("the file is gone, and another holds the story")
                }
                None => Err(error.to_string()),
            };
        }
        Err(error) => return Err(error.to_string()),
    };
    match Record::read(&found.bytes, location.as_str(), source) {
        // A file that cannot be read now may be half written.
        Err(broken) => return Err(format!("it cannot be read: {broken}")),
        Ok(record) if record.identity != standing.identity => {
            if !moves_out && standing.moved_out().is_some() {
                return Ok(Prepared::End(End::Refused(TAKEN.into())));
            }
            return stale("another story stands there now");
        }
        Ok(record) if record.revision != standing.revision => {
            return stale("the story changed after the decision");
        }
        Ok(_) => {}
    }
    let old = Hash::of(&found.bytes);
    if moves_out {
        return moving::out(rules, source, folder, location, standing, old);
    }
    let kind = Kind::of(location.as_str());
    let edited = match write_back.verb.as_str() {
        "approve" => set_all(&found.bytes, kind, &source.approve, source),
        "reject" => set_all(&found.bytes, kind, &source.reject, source),
        "unpublish" => {
            let unpublished = Map::from_iter([(source.published.key.clone(), Value::Bool(false))]);
            set_all(&found.bytes, kind, &unpublished, source)
        }
        _ => take_back(&found.bytes, kind, &standing.writes.standing(old)),
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
        expected: old,
        bytes,
        undo,
        published,
    }))
}

/// Writes one file. An error is one that may pass.
fn write(location: &Location, edit: Edit, exchange: &Exchange) -> Result<Written, Failed> {
    match edit.folder.replace(location, exchange, &edit.bytes) {
        Ok(replaced) => {
            let file = replaced
                .stat
                .map(|stat| ((exchange.old, exchange.new), stat.to_bytes().to_vec()));
            Ok(Written {
                end: End::Done(edit.undo),
                file,
                published: Some(edit.published),
                weak: Some(replaced.weak),
                moved: None,
            })
        }
        Err(error @ (WriteError::HardLink | WriteError::Owner | WriteError::Attribute(_))) => {
            Ok(Written::nothing(End::Refused(error.to_string())))
        }
        Err(WriteError::Changed) => Err(Failed::Changed),
        Err(error @ WriteError::Halfway(_)) => Err(Failed::Halfway(error.to_string())),
        Err(error) => Err(Failed::Otherwise(error.to_string())),
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
