//! What was decided and what happened, over all items: pages by key, and what is new since an event.

use super::history::Called;
use super::{Micros, StoreError, Tx, time};
use crate::item::Verdict;
use crate::record::location::Location;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use serde_json::Value as Json;

/// Decisions on a page, unless it is asked for more or fewer.
pub const SIZE: usize = 50;
/// Decisions on a page at most.
pub const MOST: usize = 200;
/// Decisions that are looked at for a page at most, while a filter passes over them.
pub const LOOK: usize = 2_000;

/// Which decisions are asked for.
#[derive(Clone, Debug, Default)]
pub struct PastAsk<'a> {
    /// Decisions on a page; [`SIZE`] if not said, [`MOST`] at most.
    pub size: Option<usize>,
    /// A page's `next`; without one it is the newest page.
    pub at: Option<&'a str>,
    /// Only those by this actor: an address, `cli:USER` or `queue:NAME`.
    pub actor: Option<&'a str>,
    /// Only those of this kind.
    pub verdict: Option<Verdict>,
    /// Only those on items that wait in this queue, or waited in it last.
    pub queue: Option<&'a str>,
    /// Only those on items of these queues.
    pub queues: Option<&'a [String]>,
    /// Only those made at this time or later.
    pub since: Option<Timestamp>,
    /// Only those made before this time.
    pub until: Option<Timestamp>,
    /// Only those on this item.
    pub item: Option<i64>,
    /// Only those for this reason.
    pub reason: Option<&'a str>,
}

/// A page of decisions, newest first.
#[derive(Clone, Debug)]
pub struct PastPage {
    /// Its decisions.
    pub rows: Vec<Past>,
    /// Leads to the page after it, if there is more.
    pub next: Option<String>,
    /// Whether it ends before the list does because [`LOOK`] decisions were looked at.
    pub goes_on: bool,
}

/// A decision, with what it was about.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its UUID.
    pub id: String,
    /// The item.
    pub item: i64,
    /// What was decided.
    pub verdict: Verdict,
    /// The version that it was made on.
    pub version: i64,
    /// By whom.
    pub actor: String,
    /// The key of a rejection's reason.
    pub reason: Option<String>,
    /// A note.
    pub note: Option<String>,
    /// Until when the item was held.
    pub until: Option<Timestamp>,
    /// When.
    pub at: Timestamp,
    /// The queue that the item waits in, or waited in last.
    pub queue: String,
    /// What the record is called now.
    pub called: Called,
    /// What came of writing it into files; nothing if it was not to be written.
    pub writes: Vec<Wrote>,
}

/// What came of a write-back.
#[derive(Clone, Debug)]
pub struct Wrote {
    /// The file.
    pub location: Location,
    /// `pending`, `done`, `superseded`, `stale`, `refused` or `stopped`.
    pub status: String,
    /// Why it was not done.
    pub error: Option<String>,
}

/// A line of the history of all items.
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// Rises with every event.
    pub id: i64,
    /// The item.
    pub item: i64,
    /// What happened.
    pub kind: String,
    /// The item's version afterwards.
    pub version: i64,
    /// Who or what did it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// The queue that the item waits in now, or waited in last.
    pub queue: String,
    /// More about it.
    pub detail: Option<Json>,
}

impl Tx<'_> {
    /// A page of decisions, newest first.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] if `at` is no place in this list, and else as all methods here.
    pub fn past(&self, ask: &PastAsk<'_>) -> Result<PastPage, StoreError> {
        let size = ask.size.unwrap_or(SIZE).clamp(1, MOST);
        let from = ask.at.map(|text| read(text).ok_or(StoreError::Cursor));
        let from = from.transpose()?.unwrap_or((i64::MAX, String::new()));
        let (mut found, mut looked) = (Vec::new(), 0);
        let mut last = None;
        let mut on = None;
        let mut goes_on = false;
        // Each has an index; all have the same values.
        let of = match (ask.item, ask.actor) {
            (Some(_), _) => "d.item = ?5 AND coalesce(?6, d.actor) = d.actor",
            (None, Some(_)) => "d.actor = ?6 AND coalesce(?5, d.item) = d.item",
            (None, None) => "coalesce(?5, d.item) = d.item AND coalesce(?6, d.actor) = d.actor",
        };
        let sql = format!(
            "SELECT d.id, d.item, d.kind, d.version, d.actor, d.reason, d.note, d.until, d.at, i.queue, i.record
             FROM decisions d JOIN items i ON i.id = d.item
             WHERE (d.at, d.id) < (?1, ?2) AND d.at >= ?3 AND d.at < ?4 AND {of}
             ORDER BY d.at DESC, d.id DESC"
        );
        let since = ask.since.map_or(i64::MIN, Timestamp::as_microsecond);
        let until = ask.until.map_or(i64::MAX, Timestamp::as_microsecond);
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query((from.0, &from.1, since, until, ask.item, ask.actor))?;
        while let Some(row) = rows.next()? {
            if looked == LOOK {
                (on, goes_on) = (last, true);
                break;
            }
            looked += 1;
            let past = Past::of(row)?;
            let place = (past.at.as_microsecond(), past.id.clone());
            if ask.lets_through(&past) {
                if found.len() == size {
                    on = last;
                    break;
                }
                found.push((row.get::<_, i64>(10)?, past));
            }
            last = Some(place);
        }
        let whole = |(record, past): (i64, Past)| {
            Ok(Past {
                called: self.called(record)?.unwrap_or_default(),
                writes: self.wrote(past.item, &past.id)?,
                ..past
            })
        };
        Ok(PastPage {
            rows: found
                .into_iter()
                .map(whole)
                .collect::<Result<_, StoreError>>()?,
            next: on.map(|(at, id)| written(at, &id)),
            goes_on,
        })
    }

    fn wrote(&self, item: i64, decision: &str) -> Result<Vec<Wrote>, StoreError> {
        let sql = "SELECT path, status, error FROM write_backs WHERE item = ?1 AND decision = ?2 ORDER BY id";
        self.all(sql, (item, decision), |row| {
            Ok(Wrote {
                location: Location::stored(row.get(0)?),
                status: row.get(1)?,
                error: row.get(2)?,
            })
        })
    }

    /// At most `limit` events after the one of this number, oldest first; 0 is before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events_since(&self, event: i64, limit: usize) -> Result<Vec<PastEvent>, StoreError> {
        let sql = "SELECT e.id, e.item, e.kind, e.version, e.actor, e.at, i.queue, e.detail
                   FROM events e JOIN items i ON i.id = e.item WHERE e.id > ?1 ORDER BY e.id LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(sql, (event, limit), |row| {
            let detail: Option<String> = row.get(7)?;
            Ok(PastEvent {
                id: row.get(0)?,
                item: row.get(1)?,
                kind: row.get(2)?,
                version: row.get(3)?,
                actor: row.get(4)?,
                at: row.get::<_, Micros>(5)?.0,
                queue: row.get(6)?,
                detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
            })
        })
    }

    /// The number of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn newest_event(&self) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce(max(id), 0) FROM events";
        Ok(self.one(sql, [], |row| row.get(0))?.unwrap_or_default())
    }
}

impl PastAsk<'_> {
    fn lets_through(&self, past: &Past) -> bool {
        self.verdict.is_none_or(|verdict| verdict == past.verdict)
            && self.queue.is_none_or(|queue| queue == past.queue)
            && self
                .queues
                .is_none_or(|queues| queues.contains(&past.queue))
            && self
                .reason
                .is_none_or(|_| self.reason == past.reason.as_deref())
    }
}

impl Past {
    fn of(row: &rusqlite::Row<'_>) -> Result<Self, StoreError> {
        let kind: String = row.get(2)?;
        let verdict = kind.parse();
        Ok(Self {
            id: row.get(0)?,
            item: row.get(1)?,
            verdict: verdict.map_err(|_| StoreError::Odd(format!("a decision `{kind}`")))?,
            version: row.get(3)?,
            actor: row.get(4)?,
            reason: row.get(5)?,
            note: row.get(6)?,
            until: time(row.get(7)?),
            at: row.get::<_, Micros>(8)?.0,
            queue: row.get(9)?,
            called: Called::default(),
            writes: Vec::new(),
        })
    }
}

fn written(at: i64, id: &str) -> String {
    BASE64.encode([&at.to_be_bytes(), id.as_bytes()].concat())
}

fn read(text: &str) -> Option<(i64, String)> {
    let bytes = BASE64.decode(text).ok()?;
    let (at, id) = bytes.split_first_chunk()?;
    let id = std::str::from_utf8(id).ok()?;
    Some((i64::from_be_bytes(*at), id.to_owned()))
}
