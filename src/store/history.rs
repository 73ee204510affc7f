//! Everything that was seen, row by row, for whoever tries rules on it: nothing is held but the row
//! at hand.

use super::packing::{Own, some_fields};
use super::{Micros, StoreError, Tx, time};
use crate::item::{Status, Verdict};
use crate::record::edit::Undo;
use crate::record::location::Location;
use crate::record::value::Map;
use jiff::Timestamp;
use rusqlite::Row;
use std::collections::BTreeSet;

/// A record with what became of it.
#[derive(Debug)]
pub struct Seen<'r> {
    /// Its number.
    pub id: i64,
    /// Its source.
    pub source: &'r str,
    /// Those of its content and signal fields that were asked for.
    pub fields: Map,
    /// Whether its file reads as published.
    pub published: bool,
    /// What the key of `published` says in its file, where that says true or false.
    pub flag: Option<bool>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Since when no file holds it.
    pub gone_at: Option<Timestamp>,
    /// Its total and its queue when it was last assessed.
    pub assessed: Option<(i64, Option<&'r str>)>,
    /// Where its item stands, if it has one.
    pub status: Option<Status>,
    /// What a person decided last on its present revision, unless that was taken back.
    pub person: Option<Verdict>,
    /// The queue that decided on its present revision by itself.
    pub decider: Option<&'r str>,
    /// What our writes into its files have changed and not taken back.
    pub written: Vec<Undo>,
}

/// What a record is called.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// Its title.
    pub title: Option<String>,
    /// Its source.
    pub source: String,
    /// The path of its leading file.
    pub location: Option<Location>,
}

impl Called {
    /// The path of its file, as text.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        let location = self.location.as_ref();
        location.map(|location| location.as_str().to_owned())
    }
}

/// The decisions on the present revision. A revised item has a higher version than every decision
/// on what it was before.
const ON_PRESENT: &str = "d.item = i.id AND d.version >=
    (SELECT coalesce(max(e.version), 0) FROM events e WHERE e.item = i.id AND e.kind = 'revised')";

impl Tx<'_> {
    /// How many records were first seen at a time or later.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn seen_count(&self, since: Option<Timestamp>) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM records WHERE first_seen >= ?1";
        let count: Option<i64> = self.one(sql, [from(since)], |row| row.get(0))?;
        Ok(count.and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
    }

    /// Shows each record that was first seen at a time or later, with those of its fields that are
    /// among `keys`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn each_seen(
        &self,
        since: Option<Timestamp>,
        keys: &BTreeSet<String>,
        mut show: impl FnMut(&Seen<'_>),
    ) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT r.id, r.source, r.fields, r.published, r.flag, r.first_seen, r.gone_at, a.total, a.queue, i.status,
                (SELECT d.kind FROM decisions d WHERE {ON_PRESENT} AND (d.kind = 'reopen'
                    OR (d.kind IN ('approve', 'reject') AND substr(d.actor, 1, 6) <> 'queue:'))
                 ORDER BY d.version DESC, d.id DESC LIMIT 1),
                (SELECT substr(d.actor, 7) FROM decisions d WHERE {ON_PRESENT} AND substr(d.actor, 1, 6) = 'queue:'
                 ORDER BY d.version DESC LIMIT 1),
                CASE WHEN EXISTS (SELECT 1 FROM write_backs w WHERE w.item = i.id AND w.undo IS NOT NULL) THEN i.id END,
                r.identity, r.title
             FROM records r LEFT JOIN assessments a ON a.record = r.id LEFT JOIN items i ON i.record = r.id
             WHERE r.first_seen >= ?1 ORDER BY r.id"
        );
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query([from(since)])?;
        let mut json = Vec::new();
        while let Some(row) = rows.next()? {
            let mut seen = Seen::of(row, keys, &mut json)?;
            if let Some(item) = row.get(12)? {
                seen.written = self.written(item)?;
            }
            show(&seen);
        }
        Ok(())
    }

    /// What our writes into the files of an item have changed and not taken back: for each key, what
    /// stood there before the first of them, and what the last one wrote.
    fn written(&self, item: i64) -> Result<Vec<Undo>, StoreError> {
        let sql = "SELECT verb, undo FROM write_backs
                   WHERE item = ?1 AND undo IS NOT NULL AND status IN ('done', 'pending') ORDER BY id";
        let writes: Vec<(String, String)> =
            self.all(sql, [item], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut written: Vec<Undo> = Vec::new();
        for (verb, undo) in writes {
            if verb == "reopen" {
                written.clear();
                continue;
            }
            let undo: Vec<Undo> = serde_json::from_str(&undo)
                .map_err(|error| StoreError::Odd(format!("a write of item {item}: {error}")))?;
            for edit in undo {
                match written.iter_mut().find(|known| known.key == edit.key) {
                    Some(known) if edit.before.as_ref() == Some(&known.after) => {
                        known.after = edit.after;
                    }
                    Some(known) => *known = edit,
                    None => written.push(edit),
                }
            }
        }
        Ok(written)
    }

    /// What a record is called.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn called(&self, id: i64) -> Result<Option<Called>, StoreError> {
        let sql = "SELECT r.title, r.source, coalesce((SELECT l.path FROM locations l WHERE l.record = r.id
                       ORDER BY CASE WHEN l.missing_since IS NULL THEN 0 ELSE 1 END, l.first_seen, l.path LIMIT 1),
                       (SELECT min(m.path) FROM moved m WHERE m.record = r.id))
                   FROM records r WHERE r.id = ?1";
        self.one(sql, [id], |row| {
            let path: Option<String> = row.get(2)?;
            Ok(Called {
                title: row.get(0)?,
                source: row.get(1)?,
                location: path.map(Location::stored),
            })
        })
    }
}

impl<'r> Seen<'r> {
    fn of(
        row: &'r Row<'_>,
        keys: &BTreeSet<String>,
        json: &mut Vec<u8>,
    ) -> Result<Self, StoreError> {
        let id = row.get(0)?;
        let odd = |error: String| StoreError::Odd(format!("record {id}: {error}"));
        let text = |at: usize| {
            row.get_ref(at)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)
        };
        let fields = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let own = Own {
            identity: text(13)?.unwrap_or_default(),
            title: text(14)?,
        };
        let total: Option<i64> = row.get(7)?;
        let queue = text(8)?;
        let status = text(9)?.map(str::parse).transpose();
        let person = text(10)?.map(str::parse::<Verdict>).transpose();
        Ok(Self {
            id,
            source: text(1)?.unwrap_or_default(),
            fields: some_fields(fields, own, keys, json).map_err(odd)?,
            published: row.get(3)?,
            flag: row.get(4)?,
            first_seen: row.get::<_, Micros>(5)?.0,
            gone_at: time(row.get(6)?),
            assessed: total.map(|total| (total, queue)),
            status: status.map_err(|error: crate::item::Unknown| odd(error.to_string()))?,
            person: person
                .map_err(|error| odd(error.to_string()))?
                .filter(|verdict| *verdict != Verdict::Reopen),
            decider: text(11)?,
            written: Vec::new(),
        })
    }
}

fn from(since: Option<Timestamp>) -> Micros {
    Micros(since.unwrap_or(Timestamp::MIN))
}
