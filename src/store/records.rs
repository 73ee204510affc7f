//! Records, where they are found, and what the rules said of them.

use super::packing::{Own, Packed, unpacked, unpacked_fields};
use super::{Micros, StoreError, Tx, micros, time};
use crate::record::location::Location;
use crate::record::source::Classes;
use crate::record::value::Map;
use crate::record::{Broken, Hash, Record};
use crate::rules::assess::{Assessment, Hit, Route};
use crate::rules::score::Score;
use jiff::Timestamp;
use rusqlite::Row;

/// A record, without its fields and body.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its number.
    pub id: i64,
    /// Its source.
    pub source: String,
    /// Its identity.
    pub identity: String,
    /// The hash of its content.
    pub revision: Hash,
    /// The hash of its signals.
    pub signal: Hash,
    /// The field classes that both were made by.
    pub classes: i64,
    /// Whether its file reads as published.
    pub published: bool,
    /// What the key of `published` says in its file, where that says true or false.
    pub flag: Option<bool>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Since when no file holds it.
    pub gone_at: Option<Timestamp>,
}

/// A file that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub location: Location,
    /// The record that it holds, or held when it last could be read.
    pub record: Option<i64>,
    /// The revision that it holds.
    pub revision: Option<Hash>,
    /// The hash of its bytes.
    pub raw: Option<Hash>,
    /// Its state when it was read.
    pub stat: Vec<u8>,
    /// When a file was first seen here.
    pub first_seen: Timestamp,
    /// Since when a pass does not see it.
    pub missing_since: Option<Timestamp>,
    /// Why it cannot be read, and since when.
    pub broken: Option<(Broken, Timestamp)>,
}

/// Where the assessment of a record stands among those that were made by other rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    rules: i64,
    /// The record.
    pub record: i64,
}

/// What the rules said when the record was last assessed.
#[derive(Clone, Debug)]
pub struct Assessed {
    /// The hash of the rule set.
    pub rules: Hash,
    /// The score.
    pub score: Score,
    /// The queue that took it.
    pub queue: Option<String>,
    /// Whether that queue opens no item.
    pub skipped: bool,
    /// When an age next changes it.
    pub flips_at: Option<Timestamp>,
    /// Why.
    pub hits: Vec<Hit>,
}

/// What a pass asks of every file that was met.
#[derive(Clone, Debug)]
pub struct Stood {
    /// Where.
    pub location: Location,
    /// Its state when it was read; none when it could not be told.
    pub stat: Option<[u8; 32]>,
    /// When a file was first seen here.
    pub first_seen: Timestamp,
    /// Since when a pass does not see it.
    pub missing_since: Option<Timestamp>,
    /// Whether it holds, or held, a record.
    pub is_record: bool,
}

const STOOD: &str = "path, stat, first_seen, missing_since, record IS NOT NULL";
const KNOWN: &str =
    "id, source, identity, revision, signal, classes, published, first_seen, gone_at, flag";
const FOUND: &str =
    "path, record, revision, raw, stat, first_seen, missing_since, broken_line, broken_column,
                     broken_reason, broken_since";

impl Known {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            source: row.get(1)?,
            identity: row.get(2)?,
            revision: row.get(3)?,
            signal: row.get(4)?,
            classes: row.get(5)?,
            published: row.get(6)?,
            first_seen: row.get::<_, Micros>(7)?.0,
            gone_at: time(row.get(8)?),
            flag: row.get(9)?,
        })
    }
}

impl Stood {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            location: Location::stored(row.get(0)?),
            stat: row.get_ref(1)?.as_blob()?.try_into().ok(),
            first_seen: row.get::<_, Micros>(2)?.0,
            missing_since: time(row.get(3)?),
            is_record: row.get(4)?,
        })
    }
}

impl Found {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let reason: Option<String> = row.get(9)?;
        let broken = match reason {
            None => None,
            Some(reason) => {
                let broken = Broken {
                    line: row.get(7)?,
                    column: row.get(8)?,
                    reason,
                };
                Some((broken, row.get::<_, Micros>(10)?.0))
            }
        };
        Ok(Self {
            location: Location::stored(row.get(0)?),
            record: row.get(1)?,
            revision: row.get(2)?,
            raw: row.get(3)?,
            stat: row.get(4)?,
            first_seen: row.get::<_, Micros>(5)?.0,
            missing_since: time(row.get(6)?),
            broken,
        })
    }
}

impl Tx<'_> {
    /// The record of an identity.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn record_by_identity(
        &self,
        source: &str,
        identity: &str,
    ) -> Result<Option<Known>, StoreError> {
        let sql = format!("SELECT {KNOWN} FROM records WHERE source = ?1 AND identity = ?2");
        self.one(&sql, (source, identity), Known::of)
    }

    /// The record of a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self, id: i64) -> Result<Option<Known>, StoreError> {
        self.one(
            &format!("SELECT {KNOWN} FROM records WHERE id = ?1"),
            [id],
            Known::of,
        )
    }

    /// The content and signal fields of a record, and its body.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn contents(&self, id: i64) -> Result<(Map, String), StoreError> {
        let row = self.one(
            "SELECT fields, body, identity, title FROM records WHERE id = ?1",
            [id],
            |row| {
                let title = row.get_ref(3)?.as_str_or_null()?;
                let identity = row.get_ref(2)?.as_str()?;
                let fields = unpacked_fields(row.get_ref(0)?.as_blob()?, Own { identity, title });
                Ok((fields, unpacked(row.get_ref(1)?.as_blob()?)))
            },
        )?;
        let (fields, body) =
            row.ok_or_else(|| StoreError::Odd(format!("there is no record {id}")))?;
        let odd = |error: String| StoreError::Odd(format!("record {id}: {error}"));
        Ok((fields.map_err(odd)?, body.map_err(odd)?))
    }

    /// Adds a record that was never seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_record(
        &self,
        source: &str,
        record: &Record,
        packed: &Packed,
        classes: i64,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let sql = "INSERT INTO records
                   (source, identity, revision, signal, classes, published, first_seen, changed_at, title, fields, body, flag)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11) RETURNING id";
        let values = (
            source,
            &record.identity,
            record.revision,
            record.signal,
            classes,
            record.published,
            Micros(now),
            record.title(),
            &packed.fields,
            &packed.body,
            record.flag,
        );
        let id = self.one(sql, values, |row| row.get(0))?;
        id.ok_or_else(|| StoreError::Odd("a record was not added".into()))
    }

    /// Stores a record as it stands now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_record(
        &self,
        id: i64,
        record: &Record,
        packed: &Packed,
        classes: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE records SET identity = ?2, revision = ?3, signal = ?4, classes = ?5, published = ?6,
                   changed_at = ?7, title = ?8, fields = ?9, body = ?10, flag = ?11, gone_at = NULL WHERE id = ?1";
        let values = (
            id,
            &record.identity,
            record.revision,
            record.signal,
            classes,
            record.published,
            Micros(now),
            record.title(),
            &packed.fields,
            &packed.body,
            record.flag,
        );
        self.run(sql, values).map(drop)
    }

    /// Notes whether a record's file reads as published, and what its flag says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_published(
        &self,
        id: i64,
        (published, flag): (bool, Option<bool>),
    ) -> Result<(), StoreError> {
        self.run(
            "UPDATE records SET published = ?2, flag = ?3 WHERE id = ?1",
            (id, published, flag),
        )
        .map(drop)
    }

    /// Notes that no file holds a record any more, or that one does again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_gone(&self, id: i64, gone_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.run(
            "UPDATE records SET gone_at = ?2 WHERE id = ?1",
            (id, micros(gone_at)),
        )
        .map(drop)
    }

    /// The number under which a set of field classes is stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn classes_id(&self, classes: &Classes) -> Result<i64, StoreError> {
        let text =
            serde_json::to_string(classes).map_err(|error| StoreError::Odd(error.to_string()))?;
        let find = "SELECT id FROM field_classes WHERE classes = ?1";
        if let Some(id) = self.one(find, [&text], |row| row.get(0))? {
            return Ok(id);
        }
        let id = self.one(
            "INSERT INTO field_classes (classes) VALUES (?1) RETURNING id",
            [&text],
            |row| row.get(0),
        )?;
        id.ok_or_else(|| StoreError::Odd("field classes were not added".into()))
    }

    /// The field classes stored under a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn classes(&self, id: i64) -> Result<Classes, StoreError> {
        let text = self.one(
            "SELECT classes FROM field_classes WHERE id = ?1",
            [id],
            |row| row.get::<_, String>(0),
        )?;
        let text =
            text.ok_or_else(|| StoreError::Odd(format!("there are no field classes {id}")))?;
        serde_json::from_str(&text).map_err(|error| StoreError::Odd(error.to_string()))
    }

    /// The files that were met in a source, in the order of their locations: at most `limit`, after
    /// the one that was given last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stood_after(
        &self,
        source: &str,
        after: Option<&Location>,
        limit: usize,
    ) -> Result<Vec<Stood>, StoreError> {
        let sql = format!(
            "SELECT {STOOD} FROM locations WHERE source = ?1 AND path > ?2 ORDER BY path LIMIT ?3"
        );
        let after = after.map_or("", Location::as_str);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(&sql, (source, after, limit), Stood::of)
    }

    /// The files that were met at a location and below it, in the order of their locations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stood_below(&self, source: &str, at: &Location) -> Result<Vec<Stood>, StoreError> {
        // `0` follows `/` in every alphabet that a database sorts bytes by.
        let sql = format!(
            "SELECT {STOOD} FROM locations WHERE source = ?1 AND path = ?2
             UNION ALL SELECT {STOOD} FROM locations WHERE source = ?1 AND path > ?3 AND path < ?4
             ORDER BY path"
        );
        let (from, to) = (format!("{at}/"), format!("{at}0"));
        self.all(&sql, (source, at.as_str(), from, to), Stood::of)
    }

    /// The file that was met at a location.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn location(&self, source: &str, location: &Location) -> Result<Option<Found>, StoreError> {
        let sql = format!("SELECT {FOUND} FROM locations WHERE source = ?1 AND path = ?2");
        self.one(&sql, (source, location.as_str()), Found::of)
    }

    /// The files that hold a record, the leading one first: those that are there before those that
    /// are missing, and the one seen first before the others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn locations_of(&self, record: i64) -> Result<Vec<Found>, StoreError> {
        let sql = format!(
            "SELECT {FOUND} FROM locations WHERE record = ?1
             ORDER BY CASE WHEN missing_since IS NULL THEN 0 ELSE 1 END, first_seen, path"
        );
        self.all(&sql, [record], Found::of)
    }

    /// The file that leads a record, if one is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lead_of(&self, record: i64) -> Result<Option<Found>, StoreError> {
        let first = self.locations_of(record)?.into_iter().next();
        Ok(first.filter(|lead| lead.missing_since.is_none()))
    }

    /// Files of a source that hold this revision of a record which no URL names, or are missing since
    /// `since` or later and held it: first those that are missing, and not more than could be looked
    /// at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn files_with(
        &self,
        source: &str,
        revision: Hash,
        since: Timestamp,
    ) -> Result<Vec<Found>, StoreError> {
        let sql = format!(
            "SELECT {FOUND} FROM locations
             WHERE record IN (SELECT id FROM records
                     WHERE source = ?1 AND revision = ?2 AND instr(identity, '://') = 0)
                 AND source = ?1 AND revision = ?2 AND (missing_since >= ?3 OR missing_since IS NULL)
             ORDER BY missing_since IS NULL, missing_since, path LIMIT 50"
        );
        self.all(&sql, (source, revision, Micros(since)), Found::of)
    }

    /// Stores what stands at a location; it is there, so it is not missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_location(&self, source: &str, found: &Found) -> Result<(), StoreError> {
        let sql = "INSERT INTO locations (source, path, record, revision, raw, stat, first_seen, missing_since,
                       broken_line, broken_column, broken_reason, broken_since)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                   ON CONFLICT (source, path) DO UPDATE SET record = excluded.record, revision = excluded.revision,
                       raw = excluded.raw, stat = excluded.stat, first_seen = excluded.first_seen,
                       missing_since = excluded.missing_since, broken_line = excluded.broken_line, broken_column = excluded.broken_column,
                       broken_reason = excluded.broken_reason, broken_since = excluded.broken_since";
        let broken = found.broken.as_ref();
        let values = (
            source,
            found.location.as_str(),
            found.record,
            found.revision,
            found.raw,
            &found.stat,
            Micros(found.first_seen),
            micros(found.missing_since),
            broken.map(|(broken, _)| broken.line),
            broken.map(|(broken, _)| broken.column),
            broken.map(|(broken, _)| &broken.reason),
            broken.map(|(_, since)| Micros(*since)),
        );
        self.run(sql, values).map(drop)
    }

    /// Forgets a location.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_location(&self, source: &str, location: &Location) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM locations WHERE source = ?1 AND path = ?2",
            (source, location.as_str()),
        )
        .map(drop)
    }

    /// The last assessment of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn assessment(&self, record: i64) -> Result<Option<Assessed>, StoreError> {
        let sql = "SELECT s.hash, quality, heat, topic, queue, skipped, flips_at, hits
                   FROM assessments a JOIN rule_sets s ON s.id = a.rules WHERE record = ?1";
        let row = self.one(sql, [record], |row| {
            let score = Score::new(row.get(1)?, row.get(2)?, row.get(3)?);
            let flips_at = time(row.get(6)?);
            Ok((
                row.get(0)?,
                score,
                row.get(4)?,
                row.get(5)?,
                flips_at,
                row.get::<_, String>(7)?,
            ))
        })?;
        let Some((rules, score, queue, skipped, flips_at, hits)) = row else {
            return Ok(None);
        };
        let hits = self.hits_of(&hits)?;
        Ok(Some(Assessed {
            rules,
            score,
            queue,
            skipped,
            flips_at,
            hits,
        }))
    }

    /// Stores what the rules say of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_assessment(
        &self,
        record: i64,
        rules: Hash,
        assessment: &Assessment,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE items SET score = ?2 WHERE record = ?1 AND score <> ?2";
        self.run(sql, (record, assessment.score.total))?;
        self.forget_shadow_hits(record)?;
        self.add_assessment(record, rules, assessment)
    }

    /// The same for a record that was just added: it has no item, and nothing of it is replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_assessment(
        &self,
        record: i64,
        rules: Hash,
        assessment: &Assessment,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO assessments (record, rules, quality, heat, topic, total, queue, skipped, flips_at, hits)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                   ON CONFLICT (record) DO UPDATE SET rules = excluded.rules, quality = excluded.quality,
                       heat = excluded.heat, topic = excluded.topic, total = excluded.total, queue = excluded.queue,
                       skipped = excluded.skipped, flips_at = excluded.flips_at, hits = excluded.hits";
        let score = assessment.score;
        let values = (
            record,
            self.rule_set(rules)?,
            score.quality,
            score.heat,
            score.topic,
            score.total,
            assessment.route.queue(),
            matches!(assessment.route, Route::Skipped(_)),
            micros(assessment.flips_at),
            self.hit_list(&assessment.hits)?,
        );
        self.run(sql, values)?;
        self.add_shadow_hits(record, &assessment.shadow)
    }

    /// Has records assessed again of which an age has changed what the rules say: at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn make_flipped_stale(&self, now: Timestamp, limit: usize) -> Result<(), StoreError> {
        let sql = "UPDATE assessments SET rules = 0, flips_at = NULL WHERE record IN
                   (SELECT record FROM assessments WHERE flips_at <= ?1 ORDER BY flips_at LIMIT ?2)";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run(sql, (Micros(now), limit)).map(drop)
    }

    /// Whether an age has changed what the rules say of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_any_flipped(&self, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM assessments WHERE flips_at <= ?1 LIMIT 1";
        Ok(self.one(sql, [Micros(now)], |_| Ok(()))?.is_some())
    }

    /// Records that are there and were assessed by other rules: at most `limit`, after the one that
    /// was given last; `waiting` only those with an open item.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stale_assessments(
        &self,
        rules: Hash,
        waiting: bool,
        after: Stale,
        limit: usize,
    ) -> Result<Vec<Stale>, StoreError> {
        let open = "SELECT a.rules, a.record FROM assessments a JOIN records r ON r.id = a.record
                    WHERE (a.rules, a.record) > (?1, ?2) AND a.rules <> ?3 AND r.gone_at IS NULL
                        AND EXISTS (SELECT 1 FROM items i WHERE i.record = a.record AND i.status IN ('pending', 'held'))
                    ORDER BY a.rules, a.record LIMIT ?4";
        let all = "SELECT a.rules, a.record FROM assessments a JOIN records r ON r.id = a.record
                   WHERE (a.rules, a.record) > (?1, ?2) AND a.rules <> ?3 AND r.gone_at IS NULL
                   ORDER BY a.rules, a.record LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rules = self.known_rule_set(rules)?.unwrap_or(-1);
        let sql = if waiting { open } else { all };
        self.all(sql, (after.rules, after.record, rules, limit), |row| {
            let (rules, record) = (row.get(0)?, row.get(1)?);
            Ok(Stale { rules, record })
        })
    }

    /// Has a record assessed again as soon as the rules name its source, even if they are the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn make_stale(&self, record: i64) -> Result<(), StoreError> {
        self.run(
            "UPDATE assessments SET rules = 0 WHERE record = ?1",
            [record],
        )
        .map(drop)
    }

    /// The name of every source that has records.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known_sources(&self) -> Result<Vec<String>, StoreError> {
        self.all(
            // DISTINCT would read the source of each record.
            "WITH RECURSIVE known (name) AS (SELECT min(source) FROM records
                 UNION ALL SELECT (SELECT min(source) FROM records WHERE source > name) FROM known
                 WHERE name IS NOT NULL)
             SELECT name FROM known WHERE name IS NOT NULL ORDER BY name",
            [],
            |row| row.get(0),
        )
    }

    /// Why nothing is withdrawn of a source, and since when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alarm(&self, source: &str) -> Result<Option<(String, Timestamp)>, StoreError> {
        let sql = "SELECT alarm, alarm_at FROM sources WHERE name = ?1 AND alarm IS NOT NULL";
        self.one(sql, [source], |row| {
            Ok((row.get(0)?, row.get::<_, Micros>(1)?.0))
        })
    }

    /// The sources with an alarm.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alarms(&self) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT name, alarm FROM sources WHERE alarm IS NOT NULL ORDER BY name";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Raises or ends the alarm of a source.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_alarm(
        &self,
        source: &str,
        alarm: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO sources (name, alarm, alarm_at) VALUES (?1, ?2, ?3)
                   ON CONFLICT (name) DO UPDATE SET alarm = excluded.alarm, alarm_at = excluded.alarm_at";
        self.run(sql, (source, alarm, alarm.map(|_| Micros(now))))
            .map(drop)
    }

    /// How the files of a source were read in its last whole pass.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reading(&self, source: &str) -> Result<Option<String>, StoreError> {
        let reading = self.one(
            "SELECT reading FROM sources WHERE name = ?1",
            [source],
            |row| row.get(0),
        )?;
        Ok(reading.flatten())
    }

    /// Notes how the files of a source were read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_reading(&self, source: &str, reading: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO sources (name, reading) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET reading = excluded.reading";
        self.run(sql, (source, reading)).map(drop)
    }

    /// Every file that cannot be read: source, location, why and since when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn broken(&self) -> Result<Vec<(String, Found)>, StoreError> {
        let sql = format!(
            "SELECT {FOUND}, source FROM locations WHERE broken_reason IS NOT NULL AND missing_since IS NULL
             ORDER BY source, path"
        );
        self.all(&sql, [], |row| Ok((row.get(11)?, Found::of(row)?)))
    }

    /// Notes that a file was not met, if that is new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_missing(
        &self,
        source: &str,
        location: &Location,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE locations SET missing_since = ?3
                   WHERE source = ?1 AND path = ?2 AND missing_since IS NULL";
        self.run(sql, (source, location.as_str(), Micros(now)))
            .map(drop)
    }

    /// Records of a source that have lost a file, and were not looked at since: no file may hold them,
    /// or the one that leads now may hold another revision. The schema keeps this list.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unjudged(&self, source: &str) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT u.record FROM unjudged u JOIN records r ON r.id = u.record
                   WHERE r.source = ?1 ORDER BY u.record";
        self.all(sql, [source], |row| row.get(0))
    }

    /// Notes that a record that had lost a file was looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_judged(&self, record: i64) -> Result<(), StoreError> {
        self.run("DELETE FROM unjudged WHERE record = ?1", [record])
            .map(drop)
    }

    /// Files that hold another revision of a record than the file that leads: source, location and
    /// the leading location.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn contradicting(&self) -> Result<Vec<(String, Location, String)>, StoreError> {
        let sql = "SELECT l.source, l.path, r.identity FROM locations l JOIN records r ON r.id = l.record
                   WHERE l.revision <> r.revision AND l.missing_since IS NULL AND l.broken_reason IS NULL
                   ORDER BY l.source, l.path";
        self.all(sql, [], |row| {
            Ok((row.get(0)?, Location::stored(row.get(1)?), row.get(2)?))
        })
    }

    /// How many records of a source are there and can be read, and how many files cannot.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn file_counts(&self, source: &str) -> Result<(usize, usize), StoreError> {
        let sql = "SELECT
            (SELECT count(*) FROM (SELECT DISTINCT record FROM locations INDEXED BY locations_by_record
                WHERE source = ?1 AND record IS NOT NULL))
            - (SELECT count(*) FROM (SELECT DISTINCT record FROM locations o INDEXED BY locations_odd
                WHERE source = ?1 AND record IS NOT NULL AND (missing_since IS NOT NULL OR broken_reason IS NOT NULL)
                    AND NOT EXISTS (SELECT 1 FROM locations l WHERE l.record = o.record AND l.source = ?1
                        AND l.missing_since IS NULL AND l.broken_reason IS NULL))),
            (SELECT count(*) FROM locations INDEXED BY locations_odd
                WHERE source = ?1 AND missing_since IS NULL AND broken_reason IS NOT NULL
                    AND (missing_since IS NOT NULL OR broken_reason IS NOT NULL))";
        let number = |n: i64| usize::try_from(n).unwrap_or_default();
        let counts = self.one(sql, [source], |row| {
            Ok((number(row.get(0)?), number(row.get(1)?)))
        })?;
        Ok(counts.unwrap_or_default())
    }

    /// How many records of a source are there, and how many of them no queue takes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record_counts(&self, source: &str) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE a.queue IS NULL) FROM records r
                   LEFT JOIN assessments a ON a.record = r.id WHERE r.source = ?1 AND r.gone_at IS NULL";
        let counts = self.one(sql, [source], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(counts.unwrap_or_default())
    }
}
