//! Who is let in to the console and the API: sessions, links that sign in, tokens of programs. Only
//! hashes of what they hold are kept.

use super::{Micros, StoreError, Tx};
use crate::record::Hash;
use jiff::{SignedDuration, Timestamp};

/// A session that nobody uses ends after this long, and any after the second (NIST SP 800-63B,
/// section 4.2.3, allows twice that).
pub const IDLE: SignedDuration = SignedDuration::from_hours(12);
/// See [`IDLE`].
pub const LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a link that signs in holds.
pub const SIGN_IN: SignedDuration = SignedDuration::from_mins(10);
/// A session's use is noted this often.
const NOTED: SignedDuration = SignedDuration::from_mins(5);
/// Links that one address, and all of them, are sent within [`SIGN_IN`].
const ASKED: (i64, i64) = (3, 100);

/// Someone who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Her address; empty for who had the link from the terminal.
    pub reviewer: String,
    /// Whether its use is to be noted.
    pub is_unnoted: bool,
}

/// What a token lets a program do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read.
    Read,
    /// Read and decide.
    Decide,
}

impl Scope {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decide => "decide",
        }
    }
}

/// A program's token.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Its number.
    pub id: i64,
    /// What it is called; decisions made by it are kept under `api:NAME`.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The editor who made it; it may do what she may.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// Until when it holds.
    pub ends_at: Timestamp,
    /// When it was last used, to five minutes.
    pub used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl ApiToken {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let time = |at: Option<Micros>| at.map(|at| at.0);
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            scope: match row.get::<_, String>(2)?.as_str() {
                "decide" => Scope::Decide,
                _ => Scope::Read,
            },
            made_by: row.get(3)?,
            made_at: row.get::<_, Micros>(4)?.0,
            ends_at: row.get::<_, Micros>(5)?.0,
            used_at: time(row.get(6)?),
            revoked_at: time(row.get(7)?),
        })
    }
}

const API_TOKEN: &str = "id, name, scope, made_by, made_at, ends_at, used_at, revoked_at";

impl Tx<'_> {
    /// Keeps a link that signs a reviewer in. Returns whether it is to be sent: not, when she, or
    /// everyone, was sent too many of late.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn add_sign_in(
        &self,
        hash: Hash,
        reviewer: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run("DELETE FROM sign_ins WHERE ends_at <= ?1", [Micros(now)])?;
        let sql = "SELECT count(*), sum(CASE WHEN reviewer = ?1 THEN 1 ELSE 0 END) FROM sign_ins";
        let asked = self.one(sql, [reviewer], |row| {
            let hers: Option<i64> = row.get(1)?;
            Ok((row.get::<_, i64>(0)?, hers.unwrap_or_default()))
        })?;
        let (all, hers) = asked.unwrap_or_default();
        if hers >= ASKED.0 || all >= ASKED.1 {
            return Ok(false);
        }
        let sql = "INSERT INTO sign_ins (hash, reviewer, made_at, ends_at) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, (hash, reviewer, Micros(now), Micros(now + SIGN_IN)))?;
        Ok(true)
    }

    /// Whom a link signs in, if it still does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sign_in(&self, hash: Hash, now: Timestamp) -> Result<Option<String>, StoreError> {
        let sql =
            "SELECT reviewer FROM sign_ins WHERE hash = ?1 AND used_at IS NULL AND ends_at > ?2";
        self.one(sql, (hash, Micros(now)), |row| row.get(0))
    }

    /// Uses a link up. Returns whether it still held.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn use_sign_in(&self, hash: Hash, now: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "UPDATE sign_ins SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL AND ends_at > ?2";
        Ok(self.run(sql, (hash, Micros(now)))? == 1)
    }

    /// Begins a session; those that are over are forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_session(
        &self,
        hash: Hash,
        reviewer: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let over = "DELETE FROM sessions WHERE seen_at <= ?1 OR made_at <= ?2";
        self.run(over, (Micros(now - IDLE), Micros(now - LASTS)))?;
        let sql = "INSERT INTO sessions (hash, reviewer, made_at, seen_at) VALUES (?1, ?2, ?3, ?3)";
        self.run(sql, (hash, reviewer, Micros(now))).map(drop)
    }

    /// A session that is not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn session(&self, hash: Hash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT reviewer, seen_at FROM sessions WHERE hash = ?1 AND seen_at > ?2 AND made_at > ?3";
        let values = (hash, Micros(now - IDLE), Micros(now - LASTS));
        self.one(sql, values, |row| {
            let seen_at = row.get::<_, Micros>(1)?.0;
            Ok(Session {
                reviewer: row.get(0)?,
                is_unnoted: now.duration_since(seen_at) >= NOTED,
            })
        })
    }

    /// Notes that a session is used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn session_seen(&self, hash: Hash, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE sessions SET seen_at = ?2 WHERE hash = ?1";
        self.run(sql, (hash, Micros(now))).map(drop)
    }

    /// How many sessions are not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn session_count(&self, now: Timestamp) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM sessions WHERE seen_at > ?1 AND made_at > ?2";
        let count = self.one(sql, (Micros(now - IDLE), Micros(now - LASTS)), |row| {
            row.get(0)
        })?;
        Ok(count.unwrap_or_default())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_session(&self, hash: Hash) -> Result<(), StoreError> {
        self.run("DELETE FROM sessions WHERE hash = ?1", [hash])
            .map(drop)
    }

    /// Keeps a new token of the API. Returns its number; `None` if its name is taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_api_token(
        &self,
        (name, hash, scope): (&str, Hash, Scope),
        made_by: &str,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "INSERT INTO api_tokens (name, hash, scope, made_by, made_at, ends_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING RETURNING id";
        let (made_at, ends_at) = (Micros(now), Micros(ends_at));
        let values = (name, hash, scope.as_str(), made_by, made_at, ends_at);
        self.one(sql, values, |row| row.get(0))
    }

    /// The token of this hash, if it holds; and whether its use is to be noted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn api_token(
        &self,
        hash: Hash,
        now: Timestamp,
    ) -> Result<Option<(ApiToken, bool)>, StoreError> {
        let sql = format!(
            "SELECT {API_TOKEN} FROM api_tokens WHERE hash = ?1 AND ends_at > ?2 AND revoked_at IS NULL"
        );
        let token = self.one(&sql, (hash, Micros(now)), ApiToken::of)?;
        Ok(token.map(|token| {
            let used = token.used_at.map(|at| now.duration_since(at));
            let is_unnoted = used.is_none_or(|since| since >= NOTED);
            (token, is_unnoted)
        }))
    }

    /// Notes that a token is used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn api_token_used(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE api_tokens SET used_at = ?2 WHERE id = ?1";
        self.run(sql, (id, Micros(now))).map(drop)
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revoke_api_token(&self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE api_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
        Ok(self.run(sql, (id, Micros(now)))? == 1)
    }

    /// Every token, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let sql = format!("SELECT {API_TOKEN} FROM api_tokens ORDER BY id DESC");
        self.all(&sql, (), ApiToken::of)
    }
}
