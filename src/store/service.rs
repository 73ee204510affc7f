//! How the service fares: that it runs, and what fails in it.

use super::{Micros, StoreError, Tx};
use jiff::Timestamp;

/// The service that runs, or ran last.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its process.
    pub process: i64,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub beat_at: Timestamp,
    /// Whether it ended by itself.
    pub stopped: bool,
}

/// Something that fails.
#[derive(Clone, Debug)]
pub struct Failure {
    /// A loop of the service, or `rules`.
    pub name: String,
    /// Why.
    pub error: String,
    /// Since when.
    pub since: Timestamp,
}

pub(super) const RULES: &str = "rules";

impl Tx<'_> {
    /// Notes that a service starts; what failed in an earlier one is forgotten.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn service_started(&self, process: u32, now: Timestamp) -> Result<(), StoreError> {
        self.run("DELETE FROM failures", ())?;
        let sql = "INSERT INTO service (id, process, started_at, beat_at, stopped) VALUES (1, ?1, ?2, ?2, 0)
                   ON CONFLICT (id) DO UPDATE SET process = excluded.process, started_at = excluded.started_at,
                       beat_at = excluded.beat_at, stopped = 0";
        self.run(sql, (process, Micros(now))).map(drop)
    }

    /// Notes that the service runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn service_beats(&self, now: Timestamp) -> Result<(), StoreError> {
        self.run(
            "UPDATE service SET beat_at = ?1 WHERE id = 1",
            [Micros(now)],
        )
        .map(drop)
    }

    /// Notes that the service has ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn service_stopped(&self) -> Result<(), StoreError> {
        self.run("UPDATE service SET stopped = 1 WHERE id = 1", ())
            .map(drop)
    }

    /// The service that runs, or ran last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn service(&self) -> Result<Option<Service>, StoreError> {
        let sql = "SELECT process, started_at, beat_at, stopped FROM service WHERE id = 1";
        self.one(sql, (), |row| {
            let (started_at, beat_at) = (row.get::<_, Micros>(1)?.0, row.get::<_, Micros>(2)?.0);
            Ok(Service {
                process: row.get(0)?,
                started_at,
                beat_at,
                stopped: row.get(3)?,
            })
        })
    }

    /// Notes that a loop fails.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn loop_fails(&self, name: &str, error: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO failures (name, error, since) VALUES (?1, ?2, ?3)
                   ON CONFLICT (name) DO UPDATE SET error = excluded.error";
        self.run(sql, (name, error, Micros(now))).map(drop)
    }

    /// Notes that a loop works.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn loop_works(&self, name: &str) -> Result<(), StoreError> {
        self.run("DELETE FROM failures WHERE name = ?1", [name])
            .map(drop)
    }

    /// Notes that the changed rules do not load, and why: in a line, and then each error in one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rules_refused(
        &self,
        error: &str,
        faults: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lines: Vec<&str> = std::iter::once(error)
            .chain(faults.iter().map(String::as_str))
            .collect();
        self.loop_fails(RULES, &lines.join("\n"), now)
    }

    /// Notes that the rules load.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rules_loaded(&self) -> Result<(), StoreError> {
        self.loop_works(RULES)
    }

    /// Why the rules in `rules/` are not those in force, in a line.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn refused_rules(&self) -> Result<Option<String>, StoreError> {
        let refused = self.rules_failure()?;
        Ok(refused.and_then(|(lines, _)| lines.into_iter().next()))
    }

    /// The same, then each error in a line; and since when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rules_failure(&self) -> Result<Option<(Vec<String>, Timestamp)>, StoreError> {
        let sql = "SELECT error, since FROM failures WHERE name = ?1";
        self.one(sql, [RULES], |row| {
            let lines: String = row.get(0)?;
            let lines = lines.lines().map(str::to_owned).collect();
            Ok((lines, row.get::<_, Micros>(1)?.0))
        })
    }

    /// The loops that fail.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn failing_loops(&self) -> Result<Vec<Failure>, StoreError> {
        self.all(
            "SELECT name, error, since FROM failures WHERE name <> ?1 ORDER BY name",
            [RULES],
            |row| {
                Ok(Failure {
                    name: row.get(0)?,
                    error: row.get(1)?,
                    since: row.get::<_, Micros>(2)?.0,
                })
            },
        )
    }

    /// Notes why the folder of a source cannot be watched, or that it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_polled(&self, source: &str, polled: Option<&str>) -> Result<(), StoreError> {
        let sql = "INSERT INTO sources (name, polled) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET polled = excluded.polled";
        self.run(sql, (source, polled)).map(drop)
    }

    /// Why the folder of a source cannot be watched.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn polled(&self, source: &str) -> Result<Option<String>, StoreError> {
        let polled = self.one(
            "SELECT polled FROM sources WHERE name = ?1",
            [source],
            |row| row.get(0),
        )?;
        Ok(polled.flatten())
    }

    /// Notes whether the file system of a source cannot exchange names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_weak(&self, source: &str, weak: bool) -> Result<(), StoreError> {
        let sql = "INSERT INTO sources (name, weak) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET weak = excluded.weak";
        self.run(sql, (source, weak)).map(drop)
    }

    /// Whether the file system of a source cannot exchange names, as far as it was tried.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_weak(&self, source: &str) -> Result<bool, StoreError> {
        let weak = self.one(
            "SELECT weak FROM sources WHERE name = ?1",
            [source],
            |row| row.get(0),
        )?;
        Ok(weak.unwrap_or_default())
    }

    /// Until when a reviewer's schedule has been kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn kept_to(&self, reviewer: &str) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT kept_to FROM schedules WHERE reviewer = ?1";
        self.one(sql, [reviewer], |row| Ok(row.get::<_, Micros>(0)?.0))
    }

    /// Notes until when a reviewer's schedule has been kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_to(&self, reviewer: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO schedules (reviewer, kept_to) VALUES (?1, ?2)
                   ON CONFLICT (reviewer) DO UPDATE SET kept_to = excluded.kept_to";
        self.run(sql, (reviewer, Micros(at))).map(drop)
    }
}
