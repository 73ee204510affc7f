//! Write-backs: decisions on their way into files.

use super::items::Item;
use super::records::Found;
use super::{Micros, StoreError, Tx};
use crate::record::Hash;
use crate::record::edit::Undo;
use crate::record::file::replace::Exchange;
use crate::record::file::transfer::Way;
use crate::record::location::Location;
use jiff::{SignedDuration, Timestamp};

/// Why a file that was moved out does not come back.
pub const TAKEN: &str = "another story stands there now, and its own file stays in the folder of `move`; \
     move it by hand";

/// No write-back waits longer for its next try: one that seems to was put off before the clock was
/// set back.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(2);

/// A decision on its way into one file.
#[derive(Clone, Debug)]
pub struct WriteBack {
    /// Its number.
    pub id: i64,
    /// The item.
    pub item: i64,
    /// The source of the file.
    pub source: String,
    /// The file.
    pub location: Location,
    /// What is written: `approve`, `reject`, `reopen` or `unpublish`.
    pub verb: String,
    /// How often it was tried.
    pub tries: i64,
}

/// How a write-back ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The file carries the decision; what takes it back, if a byte was changed.
    Done(Vec<Undo>),
    /// The file was moved, and no byte of it changed.
    Moved(Way),
    /// The file holds something else than what was decided on.
    Stale(String),
    /// A person has to do it.
    Refused(String),
}

/// A write that is under way, or was cut short.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// The number of its write-back.
    pub id: i64,
    /// The record.
    pub record: i64,
    /// The source of the file.
    pub source: String,
    /// The file.
    pub location: Location,
    /// How it is written.
    pub exchange: Exchange,
    /// Which way it is moved, if it is.
    pub moves: Option<Way>,
}

/// A file that a rejection has moved out of its source.
#[derive(Clone, Debug)]
pub struct MovedOut {
    /// Where it stood, and stands below the folder of `move`.
    pub location: Location,
    /// The record that it holds.
    pub record: i64,
    /// The revision that it holds.
    pub revision: Hash,
    /// The hash of its bytes.
    pub raw: Hash,
}

/// A write-back that needs someone's attention.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// The item.
    pub item: i64,
    /// The source of the file.
    pub source: String,
    /// The file.
    pub location: Location,
    /// `pending`, `refused` or `stopped`.
    pub status: String,
    /// Why.
    pub error: String,
}

/// Our writes into the files of an item, oldest first, as they concern one of them.
#[derive(Clone, Debug)]
pub struct Writes(Vec<Written>);

#[derive(Clone, Debug)]
struct Written {
    path: String,
    /// It takes back what those before it have changed.
    takes_back: bool,
    is_done: bool,
    undo: Vec<Undo>,
    /// The hash of the bytes that an approval made. Those of a rejection may as well be upstream's, and
    /// to take it back would publish them.
    new: Option<Hash>,
    /// Nothing but its bytes tells that it stands in this file: the one that it was made in stands where
    /// it did, or it was cut short and may not have been made.
    by_bytes: bool,
}

impl Writes {
    /// What of them stands in the file, which holds the bytes of this hash: for each key, what stood
    /// there before the first of them and what the last one wrote. Bytes that we approved are known
    /// wherever they have moved; others are taken for a later version of the file that was written
    /// there, or, where none was, of one that has moved there.
    #[must_use]
    pub fn standing(&self, raw: Hash) -> Vec<Undo> {
        let mut edits: Vec<&Written> = Vec::new();
        for write in &self.0 {
            if !write.takes_back {
                edits.push(write);
            } else if write.is_done {
                // What it found here had been written here, or where the file was before.
                let here = edits.iter().any(|edit| edit.path == write.path);
                let from_elsewhere = !here && !write.undo.is_empty();
                edits.retain(|edit| {
                    edit.new == Some(raw) || edit.path != write.path && !from_elsewhere
                });
            }
        }
        let mut changes: Vec<Undo> = Vec::new();
        let here = edits
            .iter()
            .filter(|edit| edit.new == Some(raw) || !edit.by_bytes);
        for edit in here.flat_map(|edit| &edit.undo).cloned() {
            match changes.iter_mut().find(|change| change.key == edit.key) {
                // Our own write stood there, so what stood before it is still the original.
                Some(change) if edit.before.as_ref() == Some(&change.after) => {
                    change.after = edit.after
                }
                Some(change) => *change = edit,
                None => changes.push(edit),
            }
        }
        changes
    }
}

/// The way of a stored word, if there is one.
fn way(word: Option<String>) -> Option<Way> {
    word.as_deref().and_then(Way::of)
}

impl MovedOut {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            location: Location::stored(row.get(0)?),
            record: row.get(1)?,
            revision: row.get(2)?,
            raw: row.get(3)?,
        })
    }
}

impl Tx<'_> {
    /// Gives up what was still to be written for an item that has moved on, wherever its files are;
    /// all but taking back what must not stay published.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn supersede_writes(&self, item: &Item, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE write_backs SET status = 'superseded', closed_at = ?2
                   WHERE item = ?1 AND status = 'pending' AND (verb <> 'unpublish' OR ?3)";
        self.run(sql, (item.id, Micros(now), item.status.is_decided()))
            .map(drop)
    }

    /// Asks for a decision to be written into every file that holds the item's revision, or, to
    /// write it again, into the one that does not carry it. What was still to be written there is
    /// superseded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn request_writes(
        &self,
        item: &Item,
        decision: &str,
        verb: &str,
        again: Option<&Location>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(record) = self.record(item.record)? else {
            return Ok(());
        };
        let files = self.locations_of(record.id)?;
        let all_missing = files.iter().all(|found| found.missing_since.is_some());
        let wanted = |found: &&Found| {
            // A file that has moved away is not waited for; the only one is.
            let away = found.missing_since.is_some() && !all_missing;
            let other = again.is_some_and(|again| *again != found.location);
            found.revision == Some(item.revision) && !away && !other
        };
        let mut paths: Vec<Location> = files
            .iter()
            .filter(wanted)
            .map(|found| found.location.clone())
            .collect();
        let mut taken = Vec::new();
        // What a rejection has moved out comes back first.
        if again.is_none() && matches!(verb, "approve" | "reopen") {
            for moved in self.moved_of(record.id, item.revision)? {
                match self.location(&record.source, &moved.location)? {
                    None => paths.push(moved.location),
                    Some(stands) if stands.record == Some(record.id) => {}
                    Some(_) => taken.push(moved.location),
                }
            }
        }
        for location in paths {
            let path = location.as_str();
            // What waits to move another story's file back here cannot come.
            let taken = "UPDATE write_backs SET status = 'refused', error = ?5, closed_at = ?3
                         WHERE source = ?1 AND path = ?2 AND status = 'pending' AND item <> ?4
                         AND EXISTS (SELECT 1 FROM moved m JOIN items i ON i.record = m.record
                                     WHERE m.source = ?1 AND m.path = ?2 AND i.id = write_backs.item)";
            let values = (&record.source, path, Micros(now), item.id, TAKEN);
            self.run(taken, values)?;
            let supersede = "UPDATE write_backs SET status = 'superseded', closed_at = ?3
                             WHERE source = ?1 AND path = ?2 AND status = 'pending'";
            self.run(supersede, (&record.source, path, Micros(now)))?;
            let add = "INSERT INTO write_backs (decision, item, source, path, verb, reassert, status, next_at, created_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7)";
            self.run(
                add,
                (
                    decision,
                    item.id,
                    &record.source,
                    path,
                    verb,
                    again.is_some(),
                    Micros(now),
                ),
            )?;
        }
        for location in taken {
            let add = "INSERT INTO write_backs (decision, item, source, path, verb, status, error, next_at, created_at, closed_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, 'refused', ?6, ?7, ?7, ?7)";
            let (path, error) = (location.as_str(), TAKEN);
            let of = (decision, item.id, &record.source, path, verb);
            self.run(add, (of.0, of.1, of.2, of.3, of.4, error, Micros(now)))?;
        }
        Ok(())
    }

    /// Asks for the standing decision on an item to be written into a file again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reassert(
        &self,
        item: &Item,
        location: &Location,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let last =
            "SELECT id, kind FROM decisions WHERE item = ?1 AND kind IN ('approve', 'reject')
                    ORDER BY version DESC LIMIT 1";
        let decision = self.one(last, [item.id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        match decision {
            Some((id, verb)) => self.request_writes(item, &id, &verb, Some(location), now),
            None => Ok(()),
        }
    }

    /// Whether something is still to be written into this file of the item.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_write_pending(&self, item: i64, location: &Location) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM write_backs WHERE item = ?1 AND path = ?2 AND status = 'pending' LIMIT 1";
        Ok(self
            .one(sql, (item, location.as_str()), |_| Ok(()))?
            .is_some())
    }

    /// How often the decision on an item was written into a file again in the time before `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reasserts(
        &self,
        item: i64,
        location: &Location,
        within: SignedDuration,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM write_backs
                   WHERE item = ?1 AND path = ?2 AND reassert = 1 AND status IN ('pending', 'done')
                   AND created_at > ?3 AND created_at <= ?4";
        let (since, to) = (Micros(now - within), Micros(now + within));
        Ok(self
            .one(sql, (item, location.as_str(), since, to), |row| row.get(0))?
            .unwrap_or_default())
    }

    /// Whether the standing decision on an item is older than the last time that a backup was
    /// restored: what was decided between the two is not known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_decided_before_restore(&self, item: i64) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM restores WHERE at >= (SELECT max(at) FROM decisions
                       WHERE item = ?1 AND kind IN ('approve', 'reject')) LIMIT 1";
        Ok(self.one(sql, [item], |_| Ok(()))?.is_some())
    }

    /// Notes that a decision is not written again, since upstream takes it back too often. Returns
    /// whether that is new: a feed that goes on for days leaves no more than one note.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stop_reasserting(
        &self,
        item: &Item,
        location: &Location,
        error: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let last = "SELECT status = 'stopped' FROM write_backs WHERE item = ?1 AND path = ?2
                    ORDER BY id DESC LIMIT 1";
        if self.one(last, (item.id, location.as_str()), |row| row.get(0))? == Some(true) {
            return Ok(false);
        }
        self.reassert(item, location, now)?;
        let sql = "UPDATE write_backs SET status = 'stopped', error = ?3, closed_at = ?4
                   WHERE item = ?1 AND path = ?2 AND status = 'pending'";
        self.run(sql, (item.id, location.as_str(), error, Micros(now)))?;
        Ok(true)
    }

    /// Write-backs whose time has come, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due_write_backs(&self, now: Timestamp) -> Result<Vec<WriteBack>, StoreError> {
        let sql = "SELECT id, item, source, path, verb, tries FROM write_backs
                   WHERE status = 'pending' AND (next_at <= ?1 OR next_at > ?2) ORDER BY id";
        self.all(sql, [Micros(now), Micros(now + LONGEST_WAIT)], |row| {
            Ok(WriteBack {
                id: row.get(0)?,
                item: row.get(1)?,
                source: row.get(2)?,
                location: Location::stored(row.get(3)?),
                verb: row.get(4)?,
                tries: row.get(5)?,
            })
        })
    }

    /// What has become of writing the last decision on an item: each file, and how that ended, or
    /// `None` while it has not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_ends(&self, item: i64) -> Result<Vec<(Location, Option<End>)>, StoreError> {
        let sql = "SELECT path, status, undo, error, moves FROM write_backs WHERE item = ?1 AND decision =
                       (SELECT id FROM decisions WHERE item = ?1 ORDER BY version DESC LIMIT 1)
                   AND status <> 'superseded' ORDER BY id";
        let rows = self.all(sql, [item], |row| {
            let (path, status): (String, String) = (row.get(0)?, row.get(1)?);
            let (undo, error): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
            Ok((
                Location::stored(path),
                status,
                (undo, way(row.get(4)?)),
                error.unwrap_or_default(),
            ))
        })?;
        let end = |status: &str, undo: (Option<String>, Option<Way>), error: String| {
            Ok::<_, StoreError>(match status {
                "pending" => None,
                "done" if let (None, Some(way)) = undo => Some(End::Moved(way)),
                "done" => {
                    let undo = undo
                        .0
                        .map_or(Ok(Vec::new()), |undo| serde_json::from_str(&undo));
                    Some(End::Done(
                        undo.map_err(|error| StoreError::Odd(error.to_string()))?,
                    ))
                }
                "stale" => Some(End::Stale(error)),
                _ => Some(End::Refused(error)),
            })
        };
        rows.into_iter()
            .map(|(location, status, undo, error)| Ok((location, end(&status, undo, error)?)))
            .collect()
    }

    /// Our writes into an item's files since the story's last revision, for one of its files. One that
    /// was never written may have moved there with what was written elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn writes(
        &self,
        item: i64,
        source: &str,
        location: &Location,
    ) -> Result<Writes, StoreError> {
        let sql = "SELECT w.path, w.verb, w.status, w.undo, CASE WHEN w.verb = 'approve' THEN w.new END,
                       w.status IN ('stale', 'refused')
                       OR EXISTS (SELECT 1 FROM locations l JOIN items i ON i.record = l.record
                               WHERE i.id = ?1 AND l.source = ?2 AND l.path = w.path AND l.path <> ?3
                               AND l.missing_since IS NULL AND l.first_seen <= w.created_at)
                   FROM write_backs w JOIN decisions d ON d.id = w.decision
                   WHERE w.item = ?1 AND w.source = ?2 AND (w.status = 'done' OR w.undo IS NOT NULL)
                   AND d.version >= (SELECT coalesce(max(version), 0) FROM events WHERE item = ?1 AND kind = 'revised')
                   ORDER BY w.id";
        let rows = self.all(sql, (item, source, location.as_str()), |row| {
            let undo: Option<String> = row.get(3)?;
            let written = Written {
                path: row.get(0)?,
                takes_back: row.get::<_, String>(1)? == "reopen",
                is_done: row.get::<_, String>(2)? == "done",
                undo: Vec::new(),
                new: row.get(4)?,
                by_bytes: row.get(5)?,
            };
            Ok((written, undo))
        })?;
        let read = |(written, undo): (Written, Option<String>)| {
            let undo = undo.as_deref().map_or(Ok(Vec::new()), serde_json::from_str);
            let undo = undo.map_err(|error| StoreError::Odd(error.to_string()))?;
            Ok(Written { undo, ..written })
        };
        rows.into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Writes)
    }

    /// The decision that took back what an item's writes had changed, if nothing was decided since
    /// and it has not come to this file: what our writes have changed may stand in it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reopen_to_come(
        &self,
        item: i64,
        location: &Location,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT d.id FROM decisions d WHERE d.item = ?1 AND d.kind = 'reopen'
                   AND NOT EXISTS (SELECT 1 FROM decisions x WHERE x.item = ?1 AND x.version > d.version)
                   AND NOT EXISTS (SELECT 1 FROM write_backs w WHERE w.item = ?1 AND w.decision = d.id AND w.path = ?2 AND w.status <> 'stale')";
        self.one(sql, (item, location.as_str()), |row| row.get(0))
    }

    /// Forgets what taking a rejection back would put into a file that holds other bytes than we
    /// wrote, or were about to write.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_unpublishing(
        &self,
        record: i64,
        location: &Location,
        raw: Hash,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE write_backs SET undo = NULL
                   WHERE item = (SELECT id FROM items WHERE record = ?1) AND path = ?2
                   AND verb = 'reject' AND undo IS NOT NULL AND (new IS NULL OR new <> ?3)";
        self.run(sql, (record, location.as_str(), raw)).map(drop)
    }

    /// Notes what a write is about to change, and how. Returns whether it is still wanted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn plan_write_back(
        &self,
        id: i64,
        undo: &[Undo],
        exchange: &Exchange,
    ) -> Result<bool, StoreError> {
        let undo =
            serde_json::to_string(undo).map_err(|error| StoreError::Odd(error.to_string()))?;
        let sql = "UPDATE write_backs SET undo = ?2, aside = ?3, old = ?4, new = ?5, moves = NULL
                   WHERE id = ?1 AND status = 'pending'";
        let Exchange { aside, old, new } = exchange;
        Ok(self.run(sql, (id, undo, aside, *old, *new))? == 1)
    }

    /// Notes that a file is about to be moved, and how. Returns whether that is still wanted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn plan_move(&self, id: i64, way: Way, exchange: &Exchange) -> Result<bool, StoreError> {
        let sql = "UPDATE write_backs SET moves = ?2, aside = ?3, old = ?4, new = ?5
                   WHERE id = ?1 AND status = 'pending'";
        let Exchange { aside, old, new } = exchange;
        Ok(self.run(sql, (id, way.as_str(), aside, *old, *new))? == 1)
    }

    /// Notes that a file of a record has left its source.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_moved_out(&self, source: &str, moved: &MovedOut) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO moved (source, path, record, revision, raw) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (source, path) DO UPDATE SET record = excluded.record,
                       revision = excluded.revision, raw = excluded.raw";
        let path = moved.location.as_str();
        self.run(sql, (source, path, moved.record, moved.revision, moved.raw))?;
        self.drop_location(source, &moved.location)
    }

    /// Notes that a file of a record is back in its source, in this state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_moved_back(
        &self,
        source: &str,
        moved: &MovedOut,
        stat: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM moved WHERE source = ?1 AND path = ?2";
        self.run(sql, (source, moved.location.as_str()))?;
        let found = Found {
            location: moved.location.clone(),
            record: Some(moved.record),
            revision: Some(moved.revision),
            raw: Some(moved.raw),
            stat,
            first_seen: now,
            missing_since: None,
            broken: None,
        };
        self.put_location(source, &found)
    }

    /// The file that was moved out from a location.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn moved_from(
        &self,
        source: &str,
        location: &Location,
    ) -> Result<Option<MovedOut>, StoreError> {
        let sql = "SELECT path, record, revision, raw FROM moved WHERE source = ?1 AND path = ?2";
        self.one(sql, (source, location.as_str()), MovedOut::of)
    }

    /// The files that were moved out and hold this revision of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn moved_of(&self, record: i64, revision: Hash) -> Result<Vec<MovedOut>, StoreError> {
        let sql =
            "SELECT path, record, revision, raw FROM moved WHERE record = ?1 AND revision = ?2
                   ORDER BY path";
        self.all(sql, (record, revision), MovedOut::of)
    }

    /// Notes that what was planned was not written, and has left nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unplan_write_back(&self, id: i64) -> Result<(), StoreError> {
        let sql = "UPDATE write_backs SET undo = NULL, moves = NULL WHERE id = ?1";
        self.run(sql, [id])?;
        self.end_write(id)
    }

    /// Notes that nothing is left of a write, however it went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_write(&self, id: i64) -> Result<(), StoreError> {
        let sql = "UPDATE write_backs SET aside = NULL, old = NULL WHERE id = ?1";
        self.run(sql, [id]).map(drop)
    }

    /// Writes that are under way; where nothing is being written, those that were cut short.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn writes_under_way(&self) -> Result<Vec<UnderWay>, StoreError> {
        let sql = "SELECT w.id, w.source, w.path, w.aside, w.old, w.new, w.moves, i.record
                   FROM write_backs w JOIN items i ON i.id = w.item WHERE w.aside IS NOT NULL";
        self.all(sql, (), |row| {
            Ok(UnderWay {
                id: row.get(0)?,
                source: row.get(1)?,
                location: Location::stored(row.get(2)?),
                exchange: Exchange {
                    aside: row.get(3)?,
                    old: row.get(4)?,
                    new: row.get(5)?,
                },
                moves: way(row.get(6)?),
                record: row.get(7)?,
            })
        })
    }

    /// Closes a write-back. What an earlier try had planned is kept: it was cut short, and the file may
    /// have been written, wherever it is by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close_write_back(&self, id: i64, end: &End, now: Timestamp) -> Result<(), StoreError> {
        let (status, undo, error) = match end {
            End::Moved(_) => ("done", None, None),
            End::Done(undo) if undo.is_empty() => ("done", None, None),
            End::Done(undo) => {
                let undo = serde_json::to_string(undo)
                    .map_err(|error| StoreError::Odd(error.to_string()))?;
                ("done", Some(undo), None)
            }
            End::Stale(why) => ("stale", None, Some(why)),
            End::Refused(why) => ("refused", None, Some(why)),
        };
        let sql = "UPDATE write_backs SET status = ?2, undo = coalesce(?3, undo), error = ?4, closed_at = ?5, tries = tries + 1,
                       aside = NULL, old = NULL
                   WHERE id = ?1 AND status = 'pending'";
        self.run(sql, (id, status, undo, error, Micros(now)))
            .map(drop)
    }

    /// Puts a write-back off after a failure that may pass.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_off_write_back(
        &self,
        id: i64,
        error: &str,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE write_backs SET tries = tries + 1, error = ?2, next_at = ?3 WHERE id = ?1 AND status = 'pending'";
        self.run(sql, (id, error, Micros(next_at))).map(drop)
    }

    /// Notes what a file holds after we wrote it, so that a pass knows our own write; unless more
    /// than that is new about the file, which a pass has to read then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_written(
        &self,
        item: &Item,
        (source, location): (&str, &Location),
        (old, new): (Hash, Hash),
        stat: &[u8],
    ) -> Result<(), StoreError> {
        let sql = "UPDATE locations SET raw = ?5, stat = ?6 WHERE source = ?3 AND path = ?4
                   AND record = ?1 AND revision = ?2 AND raw = ?7 AND broken_reason IS NULL";
        let (record, revision, path) = (item.record, item.revision, location.as_str());
        self.run(sql, (record, revision, source, path, new, stat, old))
            .map(drop)
    }

    /// The last write-back of each item into each file, where that one failed, was refused, or was
    /// given up; nothing of files that an item has no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stuck_write_backs(&self) -> Result<Vec<Stuck>, StoreError> {
        let sql = "SELECT item, source, path, status, error FROM write_backs w
                   WHERE error IS NOT NULL AND status IN ('pending', 'refused', 'stopped')
                   AND id = (SELECT max(id) FROM write_backs x WHERE x.item = w.item AND x.source = w.source AND x.path = w.path)
                   AND (status = 'pending'
                       OR EXISTS (SELECT 1 FROM locations l JOIN items i ON i.record = l.record
                                  WHERE i.id = w.item AND l.source = w.source AND l.path = w.path)
                       OR EXISTS (SELECT 1 FROM moved m JOIN items i ON i.record = m.record
                                  WHERE i.id = w.item AND m.source = w.source AND m.path = w.path))
                   ORDER BY source, path";
        self.all(sql, [], |row| {
            Ok(Stuck {
                item: row.get(0)?,
                source: row.get(1)?,
                location: Location::stored(row.get(2)?),
                status: row.get(3)?,
                error: row.get(4)?,
            })
        })
    }
}
