//! What reviewers have set for themselves by the links in their mails.

use super::{Micros, StoreError, Tx, micros, time};
use jiff::Timestamp;

/// A reviewer's own settings. They only narrow what the rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Nothing is mailed to her before.
    pub paused_until: Option<Timestamp>,
    /// Nothing is mailed to her until she starts her mails again.
    pub stopped: bool,
    /// Whether her mails show pictures.
    pub pictures: bool,
}

impl Tx<'_> {
    /// What a reviewer has set; nothing, if she never did.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn own_settings(&self, reviewer: &str) -> Result<Own, StoreError> {
        let sql = "SELECT paused_until, stopped, pictures FROM settings WHERE reviewer = ?1";
        let own = self.one(sql, [reviewer], |row| {
            Ok(Own {
                paused_until: time(row.get(0)?),
                stopped: row.get(1)?,
                pictures: row.get(2)?,
            })
        })?;
        Ok(own.unwrap_or_default())
    }

    /// Keeps what a reviewer has set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_own_settings(&self, reviewer: &str, own: &Own) -> Result<(), StoreError> {
        let sql = "INSERT INTO settings (reviewer, paused_until, stopped, pictures) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (reviewer) DO UPDATE SET paused_until = excluded.paused_until,
                       stopped = excluded.stopped, pictures = excluded.pictures";
        let paused = micros(own.paused_until);
        self.run(sql, (reviewer, paused, own.stopped, own.pictures))
            .map(drop)
    }

    /// Notes that a source was looked at whole for the first time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_first_pass(&self, source: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO sources (name, first_pass_at) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET first_pass_at = excluded.first_pass_at
                   WHERE sources.first_pass_at IS NULL";
        self.run(sql, (source, Micros(now))).map(drop)
    }

    /// When each source was first looked at whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn first_passes(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT name, first_pass_at FROM sources WHERE first_pass_at IS NOT NULL";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get::<_, Micros>(1)?.0)))
    }
}
