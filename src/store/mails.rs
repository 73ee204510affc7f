//! Mails as rows, and the log of who was told what.

use super::relay::{LONGEST_SUSPENSION, LONGEST_WAIT};
use super::{Micros, StoreError, Tx, time};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};

/// A mail to be stored.
#[derive(Clone, Debug)]
pub struct NewMail<'a> {
    /// Its Message-ID, fixed for all tries.
    pub message_id: &'a str,
    /// `digest` or `alert`.
    pub kind: &'a str,
    /// The reviewer's address.
    pub recipient: &'a str,
    /// Why it is sent.
    pub reason: &'a str,
    /// Its subject.
    pub subject: &'a str,
    /// The whole message.
    pub bytes: &'a [u8],
    /// The items that it tells of.
    pub items: &'a [Telling],
}

/// A mail whose time to be sent has come.
#[derive(Clone, Debug)]
pub struct DueMail {
    /// Its number.
    pub id: i64,
    /// The reviewer's address.
    pub recipient: String,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// A mail that a process has taken to send; it ends in what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The mail.
    pub id: i64,
    /// The number of this try, from 1.
    pub tries: i64,
}

/// A mail as a listing shows it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number.
    pub id: i64,
    /// `digest` or `alert`.
    pub kind: String,
    /// The reviewer's address.
    pub recipient: String,
    /// Why it was sent.
    pub reason: String,
    /// Its subject.
    pub subject: String,
    /// `queued`, `sending`, `uncertain`, `sent`, `failed`, or `held`: not sent, since a backup was
    /// restored.
    pub status: String,
    /// How often it was tried.
    pub tries: i64,
    /// When it may be tried next.
    pub next_at: Timestamp,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// What the server said.
    pub answer: Option<String>,
}

/// When a reviewer was last sent a mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// A digest.
    pub digest: Option<Timestamp>,
    /// Any.
    pub any: Option<Timestamp>,
}

/// What a mail tells of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The item.
    pub item: i64,
    /// Its version.
    pub version: i64,
    /// Whether it is overdue.
    pub overdue: bool,
    /// Whether an editor is told since it is overdue for long: 1 the first time, 2 the second, else 0.
    pub escalation: i64,
}

/// The last that a reviewer was told of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The item.
    pub item: i64,
    /// Its version then.
    pub version: i64,
    /// Whether it was overdue then.
    pub overdue: bool,
}

impl Tx<'_> {
    /// Stores a mail to be sent, with what it tells.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn queue_mail(&self, mail: &NewMail<'_>, now: Timestamp) -> Result<i64, StoreError> {
        let sql = "INSERT INTO mails (id, message_id, kind, recipient, reason, subject, bytes, status, next_at, created_at)
                   VALUES ((SELECT 1 + max(n) FROM (SELECT coalesce(max(id), 0) AS n FROM mails
                                                    UNION ALL SELECT last_mail FROM restores) AS given),
                           ?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7, ?7) RETURNING id";
        let values = (
            mail.message_id,
            mail.kind,
            mail.recipient,
            mail.reason,
            mail.subject,
            mail.bytes,
            Micros(now),
        );
        let id: Option<i64> = self.one(sql, values, |row| row.get(0))?;
        let id = id.ok_or_else(|| StoreError::Odd("a mail was not stored".into()))?;
        for told in mail.items {
            let sql = "INSERT INTO mail_log (mail, item, version, overdue, escalation) VALUES (?1, ?2, ?3, ?4, ?5)";
            let values = (id, told.item, told.version, told.overdue, told.escalation);
            self.run(sql, values)?;
        }
        Ok(id)
    }

    /// Mails that may be tried now, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due_mails(&self, now: Timestamp) -> Result<Vec<DueMail>, StoreError> {
        let sql = "SELECT id, recipient, bytes FROM mails
                   WHERE status IN ('queued', 'uncertain') AND (next_at <= ?1 OR next_at > ?2)
                   AND NOT EXISTS (SELECT 1 FROM suspended s
                                   WHERE s.address = recipient AND s.until > ?1 AND s.until <= ?3) ORDER BY id";
        let values = (
            Micros(now),
            Micros(now + LONGEST_WAIT),
            Micros(now + LONGEST_SUSPENSION),
        );
        self.all(sql, values, |row| {
            Ok(DueMail {
                id: row.get(0)?,
                recipient: row.get(1)?,
                bytes: row.get(2)?,
            })
        })
    }

    /// Mails that are neither sent nor given up: to whom, and when they may be tried next.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unsent_mails(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT recipient, next_at FROM mails
                   WHERE status IN ('queued', 'sending', 'uncertain') ORDER BY id";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get::<_, Micros>(1)?.0)))
    }

    /// Takes a mail to send it; `None` when another process has it, or had it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim_mail(&self, id: i64, now: Timestamp) -> Result<Option<Claim>, StoreError> {
        let sql = "UPDATE mails SET status = 'sending', claimed_at = ?2, text_at = NULL, tries = tries + 1
                   WHERE id = ?1 AND status IN ('queued', 'uncertain') AND (next_at <= ?2 OR next_at > ?3)
                   RETURNING tries";
        let values = (id, Micros(now), Micros(now + LONGEST_WAIT));
        let tries = self.one(sql, values, |row| row.get(0))?;
        Ok(tries.map(|tries| Claim { id, tries }))
    }

    /// Notes that the text of a mail begins to go out; `false` when another process has it, or had
    /// it, meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_goes_out(&self, claim: Claim, now: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "UPDATE mails SET text_at = ?3 WHERE id = ?1 AND status = 'sending' AND tries = ?2";
        Ok(self.run(sql, (claim.id, claim.tries, Micros(now)))? == 1)
    }

    /// Gives a mail back as if it had not been tried, until `next`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_returned(
        &self,
        claim: Claim,
        answer: &str,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET status = 'queued', tries = tries - 1, next_at = ?4, answer = ?3
                   WHERE id = ?1 AND status = 'sending' AND tries = ?2";
        self.run(sql, (claim.id, claim.tries, answer, Micros(next)))
            .map(drop)
    }

    /// Notes that a mail was sent, and what was answered. This stands even if the claim was taken
    /// for dead meanwhile: it is known now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_sent(&self, claim: Claim, answer: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET status = 'sent', sent_at = ?2, answer = ?3
                   WHERE id = ?1 AND status <> 'sent' AND held IS NULL";
        self.run(sql, (claim.id, Micros(now), answer)).map(drop)
    }

    /// Notes that a mail is refused for good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_failed(&self, claim: Claim, answer: &str) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET status = 'failed', answer = ?3
                   WHERE id = ?1 AND status = 'sending' AND tries = ?2";
        self.run(sql, (claim.id, claim.tries, answer)).map(drop)
    }

    /// Notes that a mail was not sent this time and waits until `next`; one that was written
    /// before `give_up` is given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_deferred(
        &self,
        claim: Claim,
        answer: &str,
        next: Timestamp,
        give_up: Timestamp,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE mails SET status = CASE WHEN created_at < ?5 THEN 'failed' ELSE 'queued' END,
                          next_at = ?4, answer = ?3
                   WHERE id = ?1 AND status = 'sending' AND tries = ?2";
        let values = (claim.id, claim.tries, answer, Micros(next), Micros(give_up));
        self.run(sql, values).map(drop)
    }

    /// Notes that nothing can be sent before `next`, and why: every mail waits till then; one that
    /// was written before `give_up` is given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mails_paused(
        &self,
        answer: &str,
        next: Timestamp,
        give_up: Timestamp,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE mails SET status = CASE WHEN created_at < ?3 THEN 'failed' ELSE status END,
                          tries = tries + 1, next_at = ?2, answer = ?1
                   WHERE status IN ('queued', 'uncertain') AND next_at < ?2";
        self.run(sql, (answer, Micros(next), Micros(give_up)))
            .map(drop)
    }

    /// Notes that nothing can be sent before `next`, and why: every mail waits till then, and none
    /// is older for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mails_held(&self, answer: &str, next: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET next_at = ?2, answer = ?1
                   WHERE status IN ('queued', 'uncertain') AND next_at < ?2";
        self.run(sql, (answer, Micros(next))).map(drop)
    }

    /// Notes that the answer to a mail was lost, so that it may have arrived: it is tried once more
    /// at `next`, and not a third time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_uncertain(
        &self,
        claim: Claim,
        answer: &str,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET status = CASE WHEN lost > 0 THEN 'failed' ELSE 'uncertain' END,
                          lost = lost + 1, next_at = ?4, answer = ?3
                   WHERE id = ?1 AND status = 'sending' AND tries = ?2";
        self.run(sql, (claim.id, claim.tries, answer, Micros(next)))
            .map(drop)
    }

    /// Mails whose sending began longer ago than `span` and never ended, since their process died;
    /// and whether their text may be out. One that began as long ahead did so before the clock was
    /// set back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn abandoned_mails(
        &self,
        span: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<(Claim, bool)>, StoreError> {
        let sql = "SELECT id, tries, text_at IS NOT NULL FROM mails
                   WHERE status = 'sending' AND (claimed_at < ?1 OR claimed_at > ?2) ORDER BY id";
        self.all(sql, [Micros(now - span), Micros(now + span)], |row| {
            let claim = Claim {
                id: row.get(0)?,
                tries: row.get(1)?,
            };
            Ok((claim, row.get(2)?))
        })
    }

    /// What a reviewer was last told of each item, by mails that were sent; and when the last of
    /// those was. What was handed to her since is as if she was never told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn told(&self, recipient: &str) -> Result<(Vec<Told>, Last), StoreError> {
        let sql = "SELECT l.item, l.version, l.overdue FROM mail_log l
                   JOIN (SELECT x.item AS item, max(x.mail) AS mail FROM mail_log x JOIN mails m ON m.id = x.mail
                         JOIN items i ON i.id = x.item
                         WHERE m.recipient = ?1 AND m.status = 'sent'
                         AND (coalesce(i.assigned_to, '') <> ?1 OR i.assigned_at < m.created_at) GROUP BY x.item) last
                   ON last.item = l.item AND last.mail = l.mail ORDER BY l.item";
        let told = self.all(sql, [recipient], |row| {
            Ok(Told {
                item: row.get(0)?,
                version: row.get(1)?,
                overdue: row.get(2)?,
            })
        })?;
        let last = |kinds: &str| {
            let sql = format!(
                "SELECT sent_at FROM mails WHERE recipient = ?1 AND kind IN ({kinds}) AND status = 'sent'
                 ORDER BY id DESC LIMIT 1"
            );
            let last = self.one(&sql, [recipient], |row| row.get(0))?;
            Ok::<_, StoreError>(time(last.flatten()))
        };
        let last = Last {
            digest: last("'digest'")?,
            any: last("'digest', 'alert'")?,
        };
        Ok((told, last))
    }

    /// What mails to a reviewer said that were given up: item and version. They are not written
    /// again but for her next digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn given_up(&self, recipient: &str) -> Result<HashSet<(i64, i64)>, StoreError> {
        let sql = "SELECT l.item, l.version FROM mail_log l JOIN mails m ON m.id = l.mail
                   WHERE m.recipient = ?1 AND m.status = 'failed'";
        let rows = self.all(sql, [recipient], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// How far an editor was told that items are long overdue, by mails that were sent or given up:
    /// by item and version.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn escalated(&self, recipient: &str) -> Result<HashMap<(i64, i64), i64>, StoreError> {
        let sql = "SELECT l.item, l.version, max(l.escalation) FROM mail_log l JOIN mails m ON m.id = l.mail
                   WHERE m.recipient = ?1 AND m.status IN ('sent', 'failed') AND l.escalation > 0 GROUP BY l.item, l.version";
        let rows = self.all(sql, [recipient], |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Whether a queue has items that no mail, sent or given up, told a reviewer of as they are now, besides those
    /// that stood in their source when it was first looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_untold(&self, queue: &str, recipient: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM items i JOIN records r ON r.id = i.record JOIN sources s ON s.name = r.source
                   WHERE i.queue = ?1 AND i.status = 'pending'
                   AND (i.arrived_at > s.first_pass_at OR i.changed_after_approval = 1)
                   AND NOT EXISTS (SELECT 1 FROM mail_log l JOIN mails m ON m.id = l.mail
                                   WHERE l.item = i.id AND l.version >= i.version
                                   AND m.recipient = ?2 AND (m.status = 'failed' OR m.status = 'sent'
                                       AND (coalesce(i.assigned_to, '') <> ?2 OR i.assigned_at < m.created_at))))";
        let found = self.one(sql, (queue, recipient), |row| row.get(0))?;
        Ok(found.unwrap_or_default())
    }

    /// Whether items were due before a moment and no mail, sent or given up, told an editor so at this level.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_unescalated(
        &self,
        recipient: &str,
        level: i64,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM items i WHERE i.status = 'pending' AND i.due_at <= ?3
                   AND NOT EXISTS (SELECT 1 FROM mail_log l JOIN mails m ON m.id = l.mail
                                   WHERE l.item = i.id AND l.version = i.version AND l.escalation >= ?2
                                   AND m.recipient = ?1 AND m.status IN ('sent', 'failed')))";
        let values = (recipient, level, Micros(before));
        let found = self.one(sql, values, |row| row.get(0))?;
        Ok(found.unwrap_or_default())
    }

    /// How many items were decided since a moment by others than `reviewer`, by queue.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn decided_since(
        &self,
        since: Timestamp,
        reviewer: &str,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let sql = "SELECT i.queue, count(DISTINCT i.id) FROM decisions d JOIN items i ON i.id = d.item
                   WHERE d.at > ?1 AND d.actor <> ?2 AND d.kind IN ('approve', 'reject') GROUP BY i.queue";
        let values = (Micros(since), reviewer);
        self.all(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Mails, newest first; those to one address, if one is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mails(&self, to: Option<&str>) -> Result<Vec<Sent>, StoreError> {
        let sql = "SELECT id, kind, recipient, reason, subject, CASE WHEN held IS NULL THEN status ELSE 'held' END,
                          tries, next_at, created_at, sent_at, coalesce(held, answer) FROM mails
                   WHERE CAST(?1 AS TEXT) IS NULL OR recipient = ?1 ORDER BY id DESC";
        self.all(sql, [to], |row| {
            Ok(Sent {
                id: row.get(0)?,
                kind: row.get(1)?,
                recipient: row.get(2)?,
                reason: row.get(3)?,
                subject: row.get(4)?,
                status: row.get(5)?,
                tries: row.get(6)?,
                next_at: row.get::<_, Micros>(7)?.0,
                created_at: row.get::<_, Micros>(8)?.0,
                sent_at: time(row.get(9)?),
                answer: row.get(10)?,
            })
        })
    }

    /// The items that a mail told of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_items(&self, mail: i64) -> Result<Vec<i64>, StoreError> {
        self.all(
            "SELECT item FROM mail_log WHERE mail = ?1 ORDER BY item",
            [mail],
            |row| row.get(0),
        )
    }
}
