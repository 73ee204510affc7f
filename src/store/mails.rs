//! Mails as rows, and the log of who was told what.

use super::{Micros, StoreError, Tx, time};
use jiff::Timestamp;

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
    /// The items that it tells of: number, version, whether overdue.
    pub items: &'a [(i64, i64, bool)],
}

/// A mail that waits to be sent.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its number.
    pub id: i64,
    /// The reviewer's address.
    pub recipient: String,
    /// The whole message.
    pub bytes: Vec<u8>,
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
    /// `queued`, `sent` or `failed`.
    pub status: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// What the server said.
    pub answer: Option<String>,
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
        let sql = "INSERT INTO mails (message_id, kind, recipient, reason, subject, bytes, status, created_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7) RETURNING id";
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
        for (item, version, overdue) in mail.items {
            let sql = "INSERT INTO mail_log (mail, item, version, overdue) VALUES (?1, ?2, ?3, ?4)";
            self.run(sql, (id, item, version, overdue))?;
        }
        Ok(id)
    }

    /// Mails that wait to be sent, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn queued_mails(&self) -> Result<Vec<Queued>, StoreError> {
        let sql = "SELECT id, recipient, bytes FROM mails WHERE status = 'queued' ORDER BY id";
        self.all(sql, [], |row| {
            Ok(Queued {
                id: row.get(0)?,
                recipient: row.get(1)?,
                bytes: row.get(2)?,
            })
        })
    }

    /// Notes that a mail was sent, and what was answered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_sent(&self, id: i64, answer: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET status = 'sent', sent_at = ?2, answer = ?3 WHERE id = ?1 AND status = 'queued'";
        self.run(sql, (id, Micros(now), answer)).map(drop)
    }

    /// Notes that a mail could not be sent this time; it waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mail_failed(&self, id: i64, answer: &str) -> Result<(), StoreError> {
        self.run(
            "UPDATE mails SET answer = ?2 WHERE id = ?1 AND status = 'queued'",
            (id, answer),
        )
        .map(drop)
    }

    /// What a reviewer was last told of each item, by mails that were sent; and when the last of
    /// those was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn told(&self, recipient: &str) -> Result<(Vec<Told>, Option<Timestamp>), StoreError> {
        let sql = "SELECT l.item, l.version, l.overdue FROM mail_log l
                   JOIN (SELECT x.item AS item, max(x.mail) AS mail FROM mail_log x JOIN mails m ON m.id = x.mail
                         WHERE m.recipient = ?1 AND m.status = 'sent' GROUP BY x.item) last
                   ON last.item = l.item AND last.mail = l.mail ORDER BY l.item";
        let told = self.all(sql, [recipient], |row| {
            Ok(Told {
                item: row.get(0)?,
                version: row.get(1)?,
                overdue: row.get(2)?,
            })
        })?;
        let last = "SELECT max(sent_at) FROM mails WHERE recipient = ?1 AND kind = 'digest' AND status = 'sent'";
        let last = self.one(last, [recipient], |row| row.get(0))?;
        Ok((told, time(last.flatten())))
    }

    /// Mails, newest first; those to one address, if one is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mails(&self, to: Option<&str>) -> Result<Vec<Sent>, StoreError> {
        let sql = "SELECT id, kind, recipient, reason, subject, status, created_at, sent_at, answer FROM mails
                   WHERE CAST(?1 AS TEXT) IS NULL OR recipient = ?1 ORDER BY id DESC";
        self.all(sql, [to], |row| {
            Ok(Sent {
                id: row.get(0)?,
                kind: row.get(1)?,
                recipient: row.get(2)?,
                reason: row.get(3)?,
                subject: row.get(4)?,
                status: row.get(5)?,
                created_at: row.get::<_, Micros>(6)?.0,
                sent_at: time(row.get(7)?),
                answer: row.get(8)?,
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
