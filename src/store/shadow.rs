//! What rules and queues in shadow mode would have done, and how far a new rule set has come.

use super::{StoreError, Tx};
use crate::record::Hash;
use crate::rules::assess::Hit;

/// What one rule or queue in shadow mode would have done to everything that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowCount {
    /// The rule, or `queue NAME`.
    pub rule: String,
    /// The records that it would have hit or taken.
    pub records: i64,
    /// The points that it would have added.
    pub points: i64,
}

impl Tx<'_> {
    /// Forgets what would have been done to a record.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub(super) fn forget_shadow_hits(&self, record: i64) -> Result<(), StoreError> {
        self.run("DELETE FROM shadow_hits WHERE record = ?1", [record])
            .map(drop)
    }

    /// Stores what would have been done to a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn add_shadow_hits(&self, record: i64, hits: &[Hit]) -> Result<(), StoreError> {
        // A rule may bear the name that a queue has here; one of the two is enough to be seen.
        let sql = "INSERT INTO shadow_hits (record, rule, points) VALUES (?1, ?2, ?3)
                   ON CONFLICT (record, rule) DO NOTHING";
        for hit in hits {
            self.run(sql, (record, &*hit.rule, hit.points))?;
        }
        Ok(())
    }

    /// What would have been done to a record: rule and points.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn shadow_hits(&self, record: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let sql = "SELECT rule, points FROM shadow_hits WHERE record = ?1 ORDER BY rule";
        self.all(sql, [record], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// What would have been done to the records that are there, by rule.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn shadow_counts(&self) -> Result<Vec<ShadowCount>, StoreError> {
        let sql = "SELECT s.rule, count(*), CAST(sum(s.points) AS BIGINT) FROM shadow_hits s
                   JOIN records r ON r.id = s.record WHERE r.gone_at IS NULL
                   GROUP BY s.rule ORDER BY s.rule";
        self.all(sql, (), |row| {
            let (rule, records, points) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(ShadowCount {
                rule,
                records,
                points,
            })
        })
    }

    /// How many records of a source are there that were last assessed by other rules.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stale_count(&self, source: &str, rules: Hash) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM records r JOIN assessments a ON a.record = r.id
                   WHERE r.source = ?1 AND r.gone_at IS NULL AND a.rules <> ?2";
        let rules = self.known_rule_set(rules)?.unwrap_or(-1);
        let count = self.one(sql, (source, rules), |row| row.get(0))?;
        Ok(count.unwrap_or_default())
    }
}
