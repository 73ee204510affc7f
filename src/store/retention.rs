//! What is forgotten when it is old, so that the database does not grow without end under content
//! that changes for years.
//!
//! The views `spent_…` name what nothing needs any more, and the guards let nothing else go; the rules
//! (`desk.retention`) say how old it must be. Nothing of what waits is forgotten, no decision, and
//! nothing whose absence would have something told, written or counted twice. The file does not
//! shrink (that takes a `VACUUM`, which holds everyone up, or `auto_vacuum` from the first day on), but
//! what comes is written into the pages that were freed, which is enough.

use super::{HOLDS, LEAVES, Micros, Store, StoreError, Tx};
use crate::rules::RuleSet;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::time::Instant;

/// How often.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// A clock that is so far from where it was is given a day to be set right: what goes is gone for good.
const LEAP: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Nothing younger goes, whatever the rules say: how much was sent and written within a day is counted
/// from these rows, and a mail is tried for five.
const LEAST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Rows that are looked at at once.
const LOOK: usize = 500;

/// How much was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Events.
    pub events: usize,
    /// Mails.
    pub mails: usize,
    /// Write-backs.
    pub write_backs: usize,
}

/// How one kind of row is forgotten.
struct Kind {
    /// The rows after a key (`?1`, `?2`), in order and `?4` at most: the key, whether it is older than
    /// `?3`, and whether it goes.
    look: &'static str,
    /// Forgets the row of a key (`?1`, `?2`), if it still goes.
    forget: &'static str,
}

const EVENTS: Kind = Kind {
    look: "SELECT e.id, 0, e.at < ?3,
               EXISTS (SELECT 1 FROM spent_events s WHERE s.id = e.id AND s.at < ?3)
           FROM events e WHERE e.id > ?1 ORDER BY e.id LIMIT ?4",
    forget: "DELETE FROM events WHERE id = ?1
             AND EXISTS (SELECT 1 FROM spent_events s WHERE s.id = ?1 AND s.at < ?3)",
};

const WRITE_BACKS: Kind = Kind {
    look: "SELECT w.id, 0, w.created_at < ?3,
               EXISTS (SELECT 1 FROM spent_write_backs s WHERE s.id = w.id AND s.at < ?3)
           FROM write_backs w WHERE w.id > ?1 ORDER BY w.id LIMIT ?4",
    forget: "DELETE FROM write_backs WHERE id = ?1
             AND EXISTS (SELECT 1 FROM spent_write_backs s WHERE s.id = ?1 AND s.at < ?3)",
};

const TELLINGS: Kind = Kind {
    look: "SELECT l.mail, l.item, m.created_at < ?3,
               EXISTS (SELECT 1 FROM spent_tellings s
                       WHERE s.mail = l.mail AND s.item = l.item AND s.at < ?3 AND s.rests_at < ?3)
           FROM mail_log l JOIN mails m ON m.id = l.mail
           WHERE (l.mail, l.item) > (?1, ?2) ORDER BY l.mail, l.item LIMIT ?4",
    forget: "DELETE FROM mail_log WHERE mail = ?1 AND item = ?2
             AND EXISTS (SELECT 1 FROM spent_tellings s
                         WHERE s.mail = ?1 AND s.item = ?2 AND s.at < ?3 AND s.rests_at < ?3)",
};

const MAILS: Kind = Kind {
    look: "SELECT m.id, 0, m.created_at < ?3,
               EXISTS (SELECT 1 FROM spent_mails s WHERE s.id = m.id AND s.at < ?3)
           FROM mails m WHERE m.id > ?1 ORDER BY m.id LIMIT ?4",
    forget: "DELETE FROM mails WHERE id = ?1
             AND EXISTS (SELECT 1 FROM spent_mails s WHERE s.id = ?1 AND s.at < ?3)",
};

/// The texts of mails that stay.
const TEXTS: Kind = Kind {
    look: "SELECT m.id, 0, m.created_at < ?3, m.status IN ('sent', 'failed')
               AND coalesce(m.sent_at, m.claimed_at, m.created_at) < ?3 AND length(m.bytes) > 0
           FROM mails m WHERE m.id > ?1 ORDER BY m.id LIMIT ?4",
    forget: "UPDATE mails SET bytes = substr(bytes, 1, 0) WHERE id = ?1
             AND status IN ('sent', 'failed') AND coalesce(sent_at, claimed_at, created_at) < ?3",
};

/// A row that was looked at.
struct Looked {
    key: (i64, i64),
    is_old: bool,
    goes: bool,
}

/// Forgets what the rules say is old, once a day; `None` if the day is not over, or it was stopped. It
/// may be ended at any moment, by `stop` or by a kill, and what is left goes the next time.
///
/// # Errors
/// [`StoreError`].
pub fn tick(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Forgotten>, StoreError> {
    let last = store.read(|tx| tx.forgot_at())?;
    // As long ahead: the clock was set back since.
    let since = last.map(|last| now.duration_since(last).abs());
    if since.is_some_and(|since| since < EVERY) {
        return Ok(None);
    }
    let forgotten = if since.is_some_and(|since| since > LEAP) {
        Some(Forgotten::default())
    } else {
        forget(store, rules.desk.retention, now, stop)?
    };
    if let Some(forgotten) = &forgotten {
        store.write(|tx| tx.forget_unnamed_hits())?;
        let counts = serde_json::to_string(forgotten).unwrap_or_default();
        store.write(|tx| tx.note_run("retention", rules.hash, &counts, now))?;
    }
    Ok(forgotten)
}

/// Forgets events and write-backs that are older than the first span, and mails that are older than
/// the second; seven days are the least. `None` if it was stopped.
///
/// # Errors
/// [`StoreError`].
pub fn forget(
    store: &mut Store,
    (events, mails): (SignedDuration, SignedDuration),
    now: Timestamp,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Forgotten>, StoreError> {
    let mut forgotten = Forgotten::default();
    // What a mail told goes first: a mail goes when nothing of it is left.
    for (kind, span, count) in [
        (EVENTS, events, &mut forgotten.events),
        (WRITE_BACKS, events, &mut forgotten.write_backs),
        (TELLINGS, mails, &mut 0),
        (MAILS, mails, &mut forgotten.mails),
        (TEXTS, mails, &mut 0),
    ] {
        let Ok(before) = now.checked_sub(span.max(LEAST)) else {
            continue;
        };
        match forget_kind(store, &kind, before, stop)? {
            Some(gone) => *count = gone,
            None => return Ok(None),
        }
    }
    Ok(Some(forgotten))
}

/// Looks at all rows of a kind from the oldest on, until none of those that were looked at is old.
fn forget_kind(
    store: &mut Store,
    kind: &Kind,
    before: Timestamp,
    stop: &dyn Fn() -> bool,
) -> Result<Option<usize>, StoreError> {
    let (mut after, mut gone) = ((0, 0), 0);
    while !stop() {
        let looked = store.read(|tx| tx.look_at_old(kind, after, before))?;
        let spent = looked.iter().filter(|row| row.goes).map(|row| row.key);
        let spent: Vec<(i64, i64)> = spent.collect();
        let mut cut = None;
        if !spent.is_empty() {
            let forgotten;
            (forgotten, cut) = store.write(|tx| tx.forget_some(kind, &spent, before))?;
            gone += forgotten;
        }
        let goes_on = looked.len() == LOOK && looked.iter().any(|row| row.is_old);
        let last = looked.last().filter(|_| goes_on).map(|row| row.key);
        match cut.or(last) {
            Some(key) => after = key,
            None => return Ok(Some(gone)),
        }
        if !spent.is_empty() {
            std::thread::sleep(LEAVES);
        }
    }
    Ok(None)
}

impl Tx<'_> {
    fn forgot_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT at FROM runs WHERE kind = 'retention'";
        self.one(sql, (), |row| Ok(row.get::<_, Micros>(0)?.0))
    }

    fn look_at_old(
        &self,
        kind: &Kind,
        after: (i64, i64),
        before: Timestamp,
    ) -> Result<Vec<Looked>, StoreError> {
        let limit = i64::try_from(LOOK).unwrap_or(i64::MAX);
        self.all(
            kind.look,
            (after.0, after.1, Micros(before), limit),
            |row| {
                Ok(Looked {
                    key: (row.get(0)?, row.get(1)?),
                    is_old: row.get(2)?,
                    goes: row.get(3)?,
                })
            },
        )
    }

    /// Forgets as many of these as the time suffices for: how many went, and the last of them if it
    /// did not suffice for all.
    fn forget_some(
        &self,
        kind: &Kind,
        keys: &[(i64, i64)],
        before: Timestamp,
    ) -> Result<(usize, Option<(i64, i64)>), StoreError> {
        let (began, mut gone) = (Instant::now(), 0);
        for key in keys {
            gone += self.run(kind.forget, (key.0, key.1, Micros(before)))?;
            if began.elapsed() >= HOLDS {
                return Ok((gone, Some(*key)));
            }
        }
        Ok((gone, None))
    }
}

#[cfg(test)]
mod tests;
