//! Moves items: the only place that applies [`Status::after`].
//!
//! Whatever moves an item (a person, a queue that decides, its file, the clock) comes through here,
//! and status, version, history, decision and write-backs change in the caller's one transaction.

use super::items::Item;
use super::{Micros, StoreError, Tx, micros, time};
use crate::item::{Cause, Status, Verdict};
use crate::record::Hash;
use jiff::Timestamp;
use serde_json::Value as Json;

/// A decision as it is made.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// Names it, so that a repeated request is harmless: a UUID.
    pub id: &'a str,
    /// The item.
    pub item: i64,
    /// The version that it is made on; `None` is the item as it stands.
    pub version: Option<i64>,
    /// What is decided.
    pub verdict: Verdict,
    /// By whom: an address, `cli:USER`, or `queue:NAME`.
    pub actor: &'a str,
    /// The key of a rejection's reason.
    pub reason: Option<&'a str>,
    /// A note.
    pub note: Option<&'a str>,
    /// Until when a held item is held.
    pub until: Option<Timestamp>,
    /// Whether its source's files are written.
    pub writes: bool,
}

/// A decision as it was made.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Its UUID.
    pub id: String,
    /// What was decided.
    pub verdict: Verdict,
    /// The version that it was made on.
    pub version: i64,
    /// The revision that it was made on.
    pub revision: Hash,
    /// By whom.
    pub actor: String,
    /// The key of a rejection's reason.
    pub reason: Option<String>,
    /// A note.
    pub note: Option<String>,
    /// Until when the item is held.
    pub until: Option<Timestamp>,
    /// When.
    pub at: Timestamp,
}

/// What became of a decision.
#[derive(Debug)]
pub enum Answer {
    /// It stands; the item as it is now.
    Made(Item),
    /// It was made already under that UUID; the item as that decision left it.
    Repeated(Item),
    /// Something else was decided under that UUID; nothing was done.
    Taken,
    /// There is no such item.
    NoItem,
    /// The item has moved on since that version; nothing was done.
    Stale(Item),
    /// The item's status does not allow it; nothing was done.
    NotNow(Item),
}

impl Tx<'_> {
    /// Makes a decision, with everything that follows from it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn decide(&self, decision: &Decision<'_>, now: Timestamp) -> Result<Answer, StoreError> {
        let Some(item) = self.item(decision.item)? else {
            return Ok(Answer::NoItem);
        };
        if let Some(answer) = self.answered(decision)? {
            return Ok(answer);
        }
        if decision
            .version
            .is_some_and(|version| version != item.version)
        {
            return Ok(Answer::Stale(item));
        }
        if item.status.after(decision.verdict.cause()).is_none() {
            return Ok(Answer::NotNow(item));
        }
        let held_until = decision.until.filter(|_| decision.verdict == Verdict::Hold);
        let sql = "INSERT INTO decisions (id, item, kind, version, revision, actor, reason, note, until, at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let kind = decision.verdict.as_str();
        let (actor, reason, note) = (decision.actor, decision.reason, decision.note);
        let (until, at) = (micros(held_until), Micros(now));
        self.run(
            sql,
            (
                decision.id,
                item.id,
                kind,
                item.version,
                item.revision,
                actor,
                reason,
                note,
                until,
                at,
            ),
        )?;
        let detail = serde_json::json!({"decision": decision.id, "reason": reason, "note": note});
        let moved = self.move_item(
            &item,
            decision.verdict.cause(),
            held_until,
            actor,
            Some(&detail),
            now,
        )?;
        if decision.writes && decision.verdict != Verdict::Hold {
            self.request_writes(&moved, decision.id, decision.verdict.as_str(), None, now)?;
        }
        Ok(Answer::Made(moved))
    }

    /// What was answered when a decision was first asked for, or `None` if it never was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn answered(&self, decision: &Decision<'_>) -> Result<Option<Answer>, StoreError> {
        let sql =
            "SELECT item, kind, actor, reason, note, version, until FROM decisions WHERE id = ?1";
        let made = self.one(sql, [decision.id], |row| {
            let (item, kind, actor): (i64, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let (reason, note): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
            let same = item == decision.item
                && kind == decision.verdict.as_str()
                && actor == decision.actor
                && reason.as_deref() == decision.reason
                && note.as_deref() == decision.note;
            Ok((same, row.get::<_, i64>(5)?, time(row.get(6)?)))
        })?;
        let Some((same, version, held_until)) = made else {
            return Ok(None);
        };
        let same = same && decision.version.is_none_or(|asked| asked == version);
        let item = self.item(decision.item)?.filter(|_| same);
        Ok(Some(match item {
            Some(item) => Answer::Repeated(Item {
                status: decision.verdict.leads_to(),
                version: version + 1,
                held_until,
                ..item
            }),
            None => Answer::Taken,
        }))
    }

    /// Moves an item by what happened to its file or its time. `None` when that does not move it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn advance(
        &self,
        item: &Item,
        cause: Cause,
        detail: Option<&Json>,
        now: Timestamp,
    ) -> Result<Option<Item>, StoreError> {
        match item.status.after(cause) {
            None => Ok(None),
            Some(_) => self
                .move_item(item, cause, None, "copydesk", detail, now)
                .map(Some),
        }
    }

    fn move_item(
        &self,
        item: &Item,
        cause: Cause,
        held_until: Option<Timestamp>,
        actor: &str,
        detail: Option<&Json>,
        now: Timestamp,
    ) -> Result<Item, StoreError> {
        let status = item.status.after(cause).unwrap_or(item.status);
        let version = item.version + i64::from(cause.raises_version());
        let decided = status.is_decided();
        // Who was handed an item has it while it waits in this revision; a decision is what a claim
        // was for.
        let is_handed = matches!(cause, Cause::Hold | Cause::HoldOver);
        let is_claimed = matches!(cause, Cause::HoldOver | Cause::Revised);
        let moved = Item {
            status,
            version,
            held_until: held_until.filter(|_| status == Status::Held),
            expires_at: self.expiry_after(item, cause, now)?,
            changed_after_approval: item.changed_after_approval && !decided,
            claimed_by: item.claimed_by.clone().filter(|_| is_claimed),
            claimed_until: item.claimed_until.filter(|_| is_claimed),
            assigned_to: item.assigned_to.clone().filter(|_| is_handed),
            queue_by_hand: item.queue_by_hand && is_handed,
            ..item.clone()
        };
        let sql = "UPDATE items SET status = ?2, version = ?3, held_until = ?4, changed_after_approval = ?5,
                   claimed_by = ?6, claimed_until = ?7, assigned_to = ?8, queue_by_hand = ?9, expires_at = ?10
                   WHERE id = ?1";
        let (until, expires) = (micros(moved.held_until), micros(moved.expires_at));
        let after_approval = moved.changed_after_approval;
        self.run(
            sql,
            (
                item.id,
                status.as_str(),
                version,
                until,
                after_approval,
                &moved.claimed_by,
                micros(moved.claimed_until),
                &moved.assigned_to,
                moved.queue_by_hand,
                expires,
            ),
        )?;
        if matches!(
            cause,
            Cause::Approve | Cause::Reject | Cause::Reopen | Cause::Revised
        ) {
            self.supersede_writes(&moved, now)?;
        }
        self.add_event(&moved, cause.as_str(), actor, detail, now)?;
        Ok(moved)
    }

    /// What someone takes up again waits as long as it waited before: it is not closed by the time
    /// that it lay there.
    fn expiry_after(
        &self,
        item: &Item,
        cause: Cause,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        match item.expires_at {
            Some(at) if at <= now && matches!(cause, Cause::Reopen | Cause::HoldOver) => {
                let since = self.waiting_since(item.id)?.unwrap_or(item.arrived_at);
                Ok(now.checked_add(at.duration_since(since)).ok())
            }
            expires_at => Ok(expires_at),
        }
    }

    /// The decisions on an item, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn decisions(&self, item: i64) -> Result<Vec<Decided>, StoreError> {
        let sql =
            "SELECT id, kind, version, revision, actor, reason, note, until, at FROM decisions
                   WHERE item = ?1 ORDER BY version, id";
        let rows = self.all(sql, [item], |row| {
            let kind: String = row.get(1)?;
            Ok((
                kind,
                Decided {
                    id: row.get(0)?,
                    verdict: Verdict::Hold,
                    version: row.get(2)?,
                    revision: row.get(3)?,
                    actor: row.get(4)?,
                    reason: row.get(5)?,
                    note: row.get(6)?,
                    until: time(row.get(7)?),
                    at: row.get::<_, Micros>(8)?.0,
                },
            ))
        })?;
        let verdict = |kind: String| {
            kind.parse()
                .map_err(|_| StoreError::Odd(format!("a decision `{kind}`")))
        };
        rows.into_iter()
            .map(|(kind, decided)| {
                Ok(Decided {
                    verdict: verdict(kind)?,
                    ..decided
                })
            })
            .collect()
    }
}
