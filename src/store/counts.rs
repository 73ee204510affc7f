//! How much waits where, for a page that many people keep open: nothing is counted further than it
//! is asked for.

use super::{Micros, StoreError, Tx};
use jiff::Timestamp;
use std::fmt;

/// A number of items, or that there are more than it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub n: i64,
    /// Whether there are more; how many was not counted.
    pub more: bool,
}

/// What is in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Its name.
    pub queue: String,
    /// Items that are open.
    pub open: Count,
    /// Pending items that should have been decided by now.
    pub overdue: Count,
    /// Items put off.
    pub held: Count,
    /// Open items that nobody has claimed.
    pub unclaimed: Count,
}

/// What is in someone's hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InHands {
    /// Open items that they have claimed.
    pub claimed: i64,
    /// Open items that they were handed.
    pub assigned: i64,
}

impl Count {
    fn of(n: i64, up_to: i64) -> Self {
        Self {
            n: n.min(up_to),
            more: n > up_to,
        }
    }
}

impl fmt::Display for Count {
    /// `17`, or `1000+`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.n, if self.more { "+" } else { "" })
    }
}

/// The queue of each claim. Grouped, it would go through all items in the order of their queues.
pub(super) const CLAIMED_QUEUES: &str =
    "SELECT queue FROM items WHERE claimed_by IS NOT NULL AND claimed_until > ?1";

impl Tx<'_> {
    /// What is in each of these queues, in their order, each number counted up to `up_to`. A number
    /// costs 30 microseconds for a thousand items.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn queue_counts(
        &self,
        queues: &[&str],
        up_to: i64,
        now: Timestamp,
    ) -> Result<Vec<QueueCounts>, StoreError> {
        let claimed: Vec<String> = self.all(CLAIMED_QUEUES, [Micros(now)], |row| row.get(0))?;
        let of = |queue: &&str| {
            let open = "SELECT count(*) FROM (SELECT 1 AS n FROM items
                        WHERE queue = ?1 AND status IN ('pending', 'held') LIMIT ?2) AS found";
            let overdue = "SELECT count(*) FROM (SELECT 1 AS n FROM items
                           WHERE queue = ?1 AND status IN ('pending', 'held') AND status = 'pending'
                           AND coalesce(due_at, 9223372036854775807) <= ?3 LIMIT ?2) AS found";
            let held = "SELECT count(*) FROM (SELECT 1 AS n FROM items
                        WHERE queue = ?1 AND status = 'held' LIMIT ?2) AS found";
            let limit = up_to.saturating_add(1);
            let count = |found: Option<i64>| Count::of(found.unwrap_or_default(), up_to);
            let open = count(self.one(open, (queue, limit), |row| row.get(0))?);
            let values = (queue, limit, Micros(now));
            let hands = claimed.iter().filter(|claimed| claimed == queue).count();
            let hands = i64::try_from(hands).unwrap_or(i64::MAX);
            Ok(QueueCounts {
                queue: (*queue).to_owned(),
                open,
                overdue: count(self.one(overdue, values, |row| row.get(0))?),
                held: count(self.one(held, (queue, limit), |row| row.get(0))?),
                unclaimed: Count {
                    n: (open.n - hands).max(0),
                    ..open
                },
            })
        };
        queues.iter().map(of).collect()
    }

    /// How much is in someone's hands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_hands_of(&self, who: &str, now: Timestamp) -> Result<InHands, StoreError> {
        let claimed = "SELECT count(*) FROM items WHERE claimed_by = ?1 AND claimed_until > ?2";
        let assigned = "SELECT count(*) FROM items WHERE assigned_to = ?1";
        let claimed = self.one(claimed, (who, Micros(now)), |row| row.get(0))?;
        let assigned = self.one(assigned, [who], |row| row.get(0))?;
        Ok(InHands {
            claimed: claimed.unwrap_or_default(),
            assigned: assigned.unwrap_or_default(),
        })
    }
}
