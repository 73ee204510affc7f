//! How the desk does, in numbers. Each looks at what an index counts, or at the newest so many.

use super::{StoreError, Tx};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Decisions, and open items, that are looked at for what rules and scores have to do with them.
pub const NEWEST: i64 = 5_000;

/// What came in and was decided in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Items that arrived.
    pub arrived: i64,
    /// Approvals.
    pub approved: i64,
    /// Rejections.
    pub rejected: i64,
    /// Items put off.
    pub held: i64,
    /// Decisions taken back.
    pub reopened: i64,
}

/// How items were decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that are open.
    pub open: i64,
    /// Items approved.
    pub approved: i64,
    /// Items rejected.
    pub rejected: i64,
}

impl Tally {
    /// Which part of the decided ones was approved, if any was decided.
    #[must_use]
    pub fn share_approved(&self) -> Option<f64> {
        let decided = self.approved + self.rejected;
        #[allow(clippy::cast_precision_loss)]
        (decided > 0).then(|| self.approved as f64 / decided as f64)
    }

    fn count(&mut self, status: &str) {
        match status {
            "approved" => self.approved += 1,
            "rejected" => self.rejected += 1,
            _ => self.open += 1,
        }
    }
}

/// The items of the newest decisions by people, where a decision stands.
const DECIDED: &str = "SELECT DISTINCT d.item FROM
    (SELECT item, actor FROM decisions ORDER BY at DESC, id DESC LIMIT ?1) AS d
    WHERE substr(d.actor, 1, 6) <> 'queue:'";

impl Tx<'_> {
    /// What came in and was decided between two times. It costs what it counts: 10 milliseconds for
    /// 100,000.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn flow(&self, from: Timestamp, to: Timestamp) -> Result<Flow, StoreError> {
        let span = (from.as_microsecond(), to.as_microsecond());
        let arrived = "SELECT count(*) FROM items WHERE arrived_at >= ?1 AND arrived_at < ?2";
        let arrived = self.one(arrived, span, |row| row.get(0))?;
        let mut flow = Flow {
            arrived: arrived.unwrap_or_default(),
            ..Flow::default()
        };
        let decided =
            "SELECT kind, count(*) FROM decisions WHERE at >= ?1 AND at < ?2 GROUP BY kind";
        let decided = self.all(decided, span, |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })?;
        for (kind, n) in decided {
            match kind.as_str() {
                "approve" => flow.approved = n,
                "reject" => flow.rejected = n,
                "hold" => flow.held = n,
                _ => flow.reopened = n,
            }
        }
        Ok(flow)
    }

    /// How many items are pending in a queue that arrived after `from`, up to and with `to`. It costs
    /// what it counts: 5 milliseconds for 100,000.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting_count(
        &self,
        queue: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM items WHERE queue = ?1 AND status IN ('pending', 'held')
                   AND status = 'pending' AND arrived_at > ?2 AND arrived_at <= ?3";
        let values = (queue, from.as_microsecond(), to.as_microsecond());
        Ok(self.one(sql, values, |row| row.get(0))?.unwrap_or_default())
    }

    /// How people decided, by tens of the present total: of the [`NEWEST`] decisions those that stand.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn decided_by_score(&self) -> Result<BTreeMap<i64, Tally>, StoreError> {
        let sql = format!(
            "SELECT i.score, i.status FROM ({DECIDED}) AS n JOIN items i ON i.id = n.item
             WHERE i.status IN ('approved', 'rejected')"
        );
        let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
        self.each(&sql, [NEWEST], |row| {
            let ten = row.get::<_, i64>(0)?.div_euclid(10) * 10;
            let tally = tallies.entry(ten).or_default();
            tally.count(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
            Ok(())
        })?;
        Ok(tallies)
    }

    /// How often each rule (and `topic NAME`, and `score.AXIS`) hit items that are open, approved and
    /// rejected by people, by their present assessments: of the [`NEWEST`] decisions those that
    /// stand, and of the newest open items as many, alike from each of these queues.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn hits_by_rule(&self, queues: &[&str]) -> Result<BTreeMap<String, Tally>, StoreError> {
        let mut tallies = BTreeMap::new();
        let decided = format!(
            "SELECT i.status, a.hits FROM ({DECIDED}) AS n JOIN items i ON i.id = n.item
             JOIN assessments a ON a.record = i.record WHERE i.status IN ('approved', 'rejected')"
        );
        self.each(&decided, [NEWEST], |row| {
            tally_hits(self, row, &mut tallies)
        })?;
        let open = "SELECT i.status, a.hits FROM
                    (SELECT record, status FROM items WHERE queue = ?1 AND status IN ('pending', 'held')
                     ORDER BY arrived_at DESC, id DESC LIMIT ?2) AS i
                    JOIN assessments a ON a.record = i.record";
        let alike = NEWEST / i64::try_from(queues.len().max(1)).unwrap_or(NEWEST);
        for queue in queues {
            self.each(open, (queue, alike), |row| {
                tally_hits(self, row, &mut tallies)
            })?;
        }
        Ok(tallies)
    }

    /// Shows each row of a query.
    fn each(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        mut show: impl FnMut(&rusqlite::Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            show(row)?;
        }
        Ok(())
    }
}

fn tally_hits(
    tx: &Tx<'_>,
    row: &rusqlite::Row<'_>,
    tallies: &mut BTreeMap<String, Tally>,
) -> Result<(), StoreError> {
    let text = |at: usize| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
    let (status, hits) = (text(0)?, text(1)?);
    for hit in tx.hits_of(hits)? {
        if !tallies.contains_key(&*hit.rule) {
            tallies.insert(hit.rule.to_string(), Tally::default());
        }
        if let Some(tally) = tallies.get_mut(&*hit.rule) {
            tally.count(status);
        }
    }
    Ok(())
}
