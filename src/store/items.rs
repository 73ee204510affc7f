//! Items: what waits, where, and what has happened to it.

use super::{Micros, StoreError, Tx, micros, time};
use crate::item::Status;
use crate::record::Hash;
use crate::record::location::Location;
use crate::rules::Queue;
use crate::rules::score::Score;
use jiff::Timestamp;
use rusqlite::Row;
use serde_json::Value as Json;

/// An item as it stands.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its number.
    pub id: i64,
    /// Its record.
    pub record: i64,
    /// The queue that it waits in, or waited in last.
    pub queue: String,
    /// Where it stands.
    pub status: Status,
    /// Rises with every decision and new revision.
    pub version: i64,
    /// The revision that it is about.
    pub revision: Hash,
    /// Its place in the queue: the highest is read first.
    pub rank: f64,
    /// When it was opened.
    pub arrived_at: Timestamp,
    /// When it is overdue.
    pub due_at: Option<Timestamp>,
    /// When it is closed undecided.
    pub expires_at: Option<Timestamp>,
    /// Until when it is held.
    pub held_until: Option<Timestamp>,
    /// Whether the story changed after it was approved.
    pub changed_after_approval: bool,
    /// Who has claimed it, lapsed or not: see [`Item::claim`].
    pub claimed_by: Option<String>,
    /// When the claim ends.
    pub claimed_until: Option<Timestamp>,
    /// The reviewer whom it was handed to.
    pub assigned_to: Option<String>,
    /// Whether a person chose its queue: it stays there while it is open.
    pub queue_by_hand: bool,
}

/// An item with what a listing shows of its record.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The item.
    pub item: Item,
    /// The record's source.
    pub source: String,
    /// The record's identity.
    pub identity: String,
    /// The record's title, if it has one.
    pub title: Option<String>,
    /// The leading file's path below the source's folder.
    pub location: Option<Location>,
    /// The record's score.
    pub score: Score,
}

/// A line of an item's history.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: String,
    /// The item's version afterwards.
    pub version: i64,
    /// Who or what did it.
    pub actor: String,
    /// More about it.
    pub detail: Option<Json>,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// What changed in the story by it, a line for each field: `title: "A" became "B"`; `None` if it
    /// is no change of the story.
    #[must_use]
    pub fn changes(&self) -> Option<Vec<String>> {
        let changed = self.detail.as_ref()?.get("changed")?.as_array()?;
        let lines = changed.iter().map(|change| {
            let text = |key: &str| {
                let text = change.get(key).and_then(Json::as_str);
                text.map_or("nothing".into(), |text| format!("\"{text}\""))
            };
            let field = change.get("field").and_then(Json::as_str);
            let field = field.unwrap_or_default();
            format!("{field}: {} became {}", text("before"), text("after"))
        });
        Some(lines.collect())
    }
}

/// Where an item that is opened or routed anew goes.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The queue.
    pub queue: &'a str,
    /// Its place in it.
    pub rank: f64,
    /// When it is overdue.
    pub due_at: Option<Timestamp>,
    /// When it is closed undecided.
    pub expires_at: Option<Timestamp>,
}

impl<'a> Place<'a> {
    /// In a queue, for a story of this score and date that waits since `from`.
    #[must_use]
    pub fn of(queue: &'a Queue, total: i64, published: Timestamp, from: Timestamp) -> Self {
        Self {
            queue: &queue.name,
            rank: queue.rank(total, published),
            due_at: queue.due.and_then(|span| from.checked_add(span).ok()),
            expires_at: queue.expire.and_then(|span| from.checked_add(span).ok()),
        }
    }
}

pub(super) const ITEM: &str =
    "i.id, i.record, i.queue, i.status, i.version, i.revision, i.rank, i.arrived_at, i.due_at,
                    i.expires_at, i.held_until, i.changed_after_approval, i.claimed_by,
                    i.claimed_until, i.assigned_to, i.queue_by_hand";
pub(super) const LISTED: &str = "r.source, r.identity, r.title, a.quality, a.heat, a.topic,
                      coalesce((SELECT l.path FROM locations l WHERE l.record = r.id
                       ORDER BY CASE WHEN l.missing_since IS NULL THEN 0 ELSE 1 END, l.first_seen, l.path LIMIT 1),
                       (SELECT min(m.path) FROM moved m WHERE m.record = r.id))";

impl Item {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let status: String = row.get(3)?;
        let status = status.parse().map_err(|error: crate::item::Unknown| {
            rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, error.into())
        })?;
        Ok(Self {
            id: row.get(0)?,
            record: row.get(1)?,
            queue: row.get(2)?,
            status,
            version: row.get(4)?,
            revision: row.get(5)?,
            rank: row.get(6)?,
            arrived_at: row.get::<_, Micros>(7)?.0,
            due_at: time(row.get(8)?),
            expires_at: time(row.get(9)?),
            held_until: time(row.get(10)?),
            changed_after_approval: row.get(11)?,
            claimed_by: row.get(12)?,
            claimed_until: time(row.get(13)?),
            assigned_to: row.get(14)?,
            queue_by_hand: row.get(15)?,
        })
    }

    /// Whether it should have been decided by now.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.status == Status::Pending && self.due_at.is_some_and(|due| due <= now)
    }

    /// The claim on it, if one lasts: who made it, and when it ends.
    #[must_use]
    pub fn claim(&self, now: Timestamp) -> Option<(&str, Timestamp)> {
        let until = self.claimed_until.filter(|until| *until > now)?;
        Some((self.claimed_by.as_deref()?, until))
    }
}

impl Listed {
    /// The title, or else where it stands.
    #[must_use]
    pub fn name(&self) -> &str {
        let location = self.location.as_ref().map(Location::as_str);
        self.title.as_deref().or(location).unwrap_or(&self.identity)
    }

    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            item: Item::of(row)?,
            source: row.get(16)?,
            identity: row.get(17)?,
            title: row.get(18)?,
            score: Score::new(row.get(19)?, row.get(20)?, row.get(21)?),
            location: row.get::<_, Option<String>>(22)?.map(Location::stored),
        })
    }
}

impl Tx<'_> {
    /// An item by its number.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn item(&self, id: i64) -> Result<Option<Item>, StoreError> {
        self.one(
            &format!("SELECT {ITEM} FROM items i WHERE i.id = ?1"),
            [id],
            Item::of,
        )
    }

    /// The item of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn item_of(&self, record: i64) -> Result<Option<Item>, StoreError> {
        self.one(
            &format!("SELECT {ITEM} FROM items i WHERE i.record = ?1"),
            [record],
            Item::of,
        )
    }

    /// An item with what a listing shows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn listed(&self, id: i64) -> Result<Option<Listed>, StoreError> {
        let sql = format!(
            "SELECT {ITEM}, {LISTED} FROM items i JOIN records r ON r.id = i.record
             JOIN assessments a ON a.record = r.id WHERE i.id = ?1"
        );
        self.one(&sql, [id], Listed::of)
    }

    /// Every open item, by queue and rank.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_items(&self) -> Result<Vec<Listed>, StoreError> {
        let sql = format!(
            "SELECT {ITEM}, {LISTED} FROM items i JOIN records r ON r.id = i.record
             JOIN assessments a ON a.record = r.id WHERE i.status IN ('pending', 'held')
             ORDER BY i.queue, i.rank DESC, i.id"
        );
        self.all(&sql, [], Listed::of)
    }

    /// Every pending item and its queue, by queue and rank.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pending_in_order(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let sql =
            "SELECT id, queue FROM items WHERE status IN ('pending', 'held') AND held_until IS NULL
                   ORDER BY queue, rank DESC, id";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// How many items are open.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_count(&self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM items WHERE status IN ('pending', 'held')";
        Ok(self.one(sql, [], |row| row.get(0))?.unwrap_or_default())
    }

    /// How many items are in each queue and status.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn item_counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        let sql = "SELECT queue, status, count(*) FROM items GROUP BY queue, status ORDER BY queue, status";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    /// How many items of a queue should have been decided by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn overdue_count(&self, queue: &str, now: Timestamp) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM items WHERE queue = ?1 AND status IN ('pending', 'held')
                   AND status = 'pending' AND coalesce(due_at, 9223372036854775807) <= ?2";
        let count = self.one(sql, (queue, Micros(now)), |row| row.get(0))?;
        Ok(count.unwrap_or_default())
    }

    /// When the oldest open item of a queue arrived.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn oldest_arrival(&self, queue: &str) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(arrived_at) FROM items
                   WHERE queue = ?1 AND status IN ('pending', 'held')";
        Ok(self
            .one(sql, [queue], |row| Ok(time(row.get(0)?)))?
            .flatten())
    }

    /// Opens a pending item for a record that has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_item(
        &self,
        record: i64,
        revision: Hash,
        place: &Place<'_>,
        now: Timestamp,
    ) -> Result<Item, StoreError> {
        let sql = "INSERT INTO items (id, record, queue, status, version, revision, rank, arrived_at, due_at, expires_at, score)
                   VALUES ((SELECT 1 + max(n) FROM (SELECT coalesce(max(id), 0) AS n FROM items
                                                    UNION ALL SELECT last_item FROM restores) AS given),
                           ?1, ?2, 'pending', 1, ?3, ?4, ?5, ?6, ?7,
                           coalesce((SELECT total FROM assessments WHERE record = ?1), 0)) RETURNING id";
        let values = (
            record,
            place.queue,
            revision,
            place.rank,
            Micros(now),
            micros(place.due_at),
            micros(place.expires_at),
        );
        let id = self.one(sql, values, |row| row.get(0))?;
        let item = id.map(|id| self.item(id)).transpose()?.flatten();
        let item = item.ok_or_else(|| StoreError::Odd("an item was not opened".into()))?;
        let detail = serde_json::json!({"queue": place.queue});
        self.add_event(&item, "queued", "copydesk", Some(&detail), now)?;
        Ok(item)
    }

    /// Moves an open item to where it belongs now; its number and arrival stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn place_item(
        &self,
        item: &Item,
        place: &Place<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.put_in(item, place)?;
        if item.queue != place.queue {
            let detail = serde_json::json!({"from": item.queue, "queue": place.queue});
            self.add_event(item, "routed", "copydesk", Some(&detail), now)?;
        }
        Ok(())
    }

    pub(super) fn put_in(&self, item: &Item, place: &Place<'_>) -> Result<(), StoreError> {
        let sql =
            "UPDATE items SET queue = ?2, rank = ?3, due_at = ?4, expires_at = ?5 WHERE id = ?1";
        let (due, expires) = (micros(place.due_at), micros(place.expires_at));
        let values = (item.id, place.queue, place.rank, due, expires);
        self.run(sql, values).map(drop)
    }

    /// Sets the revision that an item is about, and whether it replaces an approved one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_item_revision(
        &self,
        id: i64,
        revision: Hash,
        after_approval: bool,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE items SET revision = ?2, changed_after_approval = ?3 WHERE id = ?1";
        self.run(sql, (id, revision, after_approval)).map(drop)
    }

    /// Adds a line to an item's history.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_event(
        &self,
        item: &Item,
        kind: &str,
        actor: &str,
        detail: Option<&Json>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO events (item, kind, version, actor, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let detail = detail.map(Json::to_string);
        self.run(
            sql,
            (item.id, kind, item.version, actor, detail, Micros(now)),
        )
        .map(drop)
    }

    /// An item's history, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events(&self, item: i64) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT kind, version, actor, detail, at FROM events WHERE item = ?1 ORDER BY id";
        self.all(sql, [item], |row| {
            let detail: Option<String> = row.get(3)?;
            Ok(Event {
                kind: row.get(0)?,
                version: row.get(1)?,
                actor: row.get(2)?,
                detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
                at: row.get::<_, Micros>(4)?.0,
            })
        })
    }

    /// When an item last came to wait: opened, revised, back or taken up again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting_since(&self, item: i64) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT at FROM events WHERE item = ?1 AND kind IN ('queued', 'revised', 'back', 'reopened', 'hold_over')
                   ORDER BY id DESC LIMIT 1";
        self.one(sql, [item], |row| Ok(row.get::<_, Micros>(0)?.0))
    }

    /// Items whose time has come: held ones to be taken up again, pending ones to expire.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn items_by_time(&self, now: Timestamp) -> Result<Vec<Item>, StoreError> {
        let sql = format!(
            "SELECT {ITEM} FROM items i WHERE i.id IN (
                 SELECT id FROM items WHERE status = 'held' AND held_until <= ?1
                 UNION SELECT id FROM items WHERE status = 'pending' AND expires_at <= ?1)
             ORDER BY i.id"
        );
        self.all(&sql, [Micros(now)], Item::of)
    }

    /// Open items of a source.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_items_of_source(&self, source: &str) -> Result<Vec<Item>, StoreError> {
        let sql = format!(
            "SELECT {ITEM} FROM items i JOIN records r ON r.id = i.record
             WHERE r.source = ?1 AND i.status IN ('pending', 'held') ORDER BY i.id"
        );
        self.all(&sql, [source], Item::of)
    }
}
