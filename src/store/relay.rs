//! The mail server as all processes share it: when it is left alone, which addresses are, and how
//! much was sent.

use super::{Micros, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};

/// No pause or suspension is longer: one that seems so was written before the clock was set back.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(2);
pub(super) const LONGEST_SUSPENSION: SignedDuration = SignedDuration::from_hours(8 * 24);
/// No mail waits longer for its next try.
pub(super) const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(25);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// That the mail server is left alone.
#[derive(Clone, Debug)]
pub struct Pause {
    /// `busy`, or `login` when the login is refused.
    pub reason: String,
    /// What the server said.
    pub answer: String,
    /// Since when it takes nothing.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
    /// How often it was tried in vain.
    pub tries: i64,
}

impl Pause {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until > now && self.until <= now + LONGEST_PAUSE
    }
}

/// An address that is mailed nothing.
#[derive(Clone, Debug)]
pub struct Suspended {
    /// The address.
    pub address: String,
    /// What the server said last.
    pub answer: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Tx<'_> {
    /// Whether the mail server is left alone, or was when it was last tried.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn relay(&self) -> Result<Option<Pause>, StoreError> {
        let sql = "SELECT reason, answer, since, until, tries FROM relay";
        self.one(sql, [], |row| {
            Ok(Pause {
                reason: row.get(0)?,
                answer: row.get(1)?,
                since: row.get::<_, Micros>(2)?.0,
                until: row.get::<_, Micros>(3)?.0,
                tries: row.get(4)?,
            })
        })
    }

    /// Notes that the mail server is left alone, and why.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pause_relay(
        &self,
        reason: &str,
        answer: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO relay (id, reason, answer, since, until, tries) VALUES (1, ?1, ?2, ?3, ?4, 1)
                   ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, answer = excluded.answer,
                       until = excluded.until, tries = relay.tries + 1";
        self.run(sql, (reason, answer, Micros(now), Micros(until)))
            .map(drop)
    }

    /// Notes that the mail server answers: what waited for that alone waits no longer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn relay_works(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE mails SET next_at = ?1 WHERE status = 'queued' AND next_at > ?1
                   AND next_at = (SELECT until FROM relay)";
        self.run(sql, [Micros(now)])?;
        self.run("DELETE FROM relay", []).map(drop)
    }

    /// Until when no more mails may be tried, given how many may be within a minute and a day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mails_full_until(
        &self,
        a_minute: i64,
        a_day: i64,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        // What lies more than a minute ahead was written before the clock was set back.
        let sql = "SELECT claimed_at FROM mails WHERE claimed_at > ?1 AND claimed_at < ?2
                   ORDER BY claimed_at DESC LIMIT 1 OFFSET ?3";
        let mut full = None;
        for (most, span) in [(a_minute, MINUTE), (a_day, DAY)] {
            let values = (Micros(now - span), Micros(now + MINUTE), most - 1);
            let oldest = self.one(sql, values, |row| row.get::<_, Micros>(0))?;
            full = full.max(oldest.map(|oldest| oldest.0 + span));
        }
        Ok(full)
    }

    /// Notes that the server refused a mail's address for good, and returns for how many mails to
    /// it that was so since a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn address_refused(
        &self,
        mail: i64,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let sql = "UPDATE mails SET refused_at = ?2 WHERE id = ?1";
        self.run(sql, (mail, Micros(now)))?;
        let sql = "SELECT count(*) FROM mails WHERE refused_at > ?2
                   AND recipient = (SELECT recipient FROM mails WHERE id = ?1)";
        let count = self.one(sql, (mail, Micros(since)), |row| row.get(0))?;
        Ok(count.unwrap_or_default())
    }

    /// Sends an address nothing for a while.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn suspend(
        &self,
        address: &str,
        answer: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO suspended (address, answer, since, until) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (address) DO UPDATE SET answer = excluded.answer, since = excluded.since, until = excluded.until";
        self.run(sql, (address, answer, Micros(now), Micros(until)))
            .map(drop)
    }

    /// Sends an address mails again; what was refused before does not count any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lift(&self, address: &str) -> Result<(), StoreError> {
        self.run("DELETE FROM suspended WHERE address = ?1", [address])?;
        let sql = "UPDATE mails SET refused_at = NULL WHERE recipient = ?1";
        self.run(sql, [address]).map(drop)
    }

    /// The addresses that are sent nothing now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn suspended(&self, now: Timestamp) -> Result<Vec<Suspended>, StoreError> {
        let sql = "SELECT address, answer, since, until FROM suspended WHERE until > ?1 AND until <= ?2 ORDER BY address";
        self.all(
            sql,
            [Micros(now), Micros(now + LONGEST_SUSPENSION)],
            |row| {
                Ok(Suspended {
                    address: row.get(0)?,
                    answer: row.get(1)?,
                    since: row.get::<_, Micros>(2)?.0,
                    until: row.get::<_, Micros>(3)?.0,
                })
            },
        )
    }
}
