//! What is not in force yet: rules and queues in shadow mode, and rules by which not everything is
//! scored so far.

use crate::rules::RuleSet;
use crate::store::shadow::ShadowCount;
use crate::store::{StoreError, Tx};
use schemars::JsonSchema;
use serde::Serialize;

/// What a rule or queue in shadow mode would have done to all records that are there.
#[derive(Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ShadowLine {
    /// The rule, or `queue NAME`.
    pub rule: String,
    /// The records that it would have hit or taken.
    pub records: i64,
    /// The points that it would have added, all records together.
    pub points: i64,
    /// What the queue would have decided by itself.
    pub decides: Option<&'static str>,
}

/// How many records are still scored by the rules before.
#[derive(Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Rescoring {
    /// Records that are still to be scored.
    pub left: i64,
    /// All records.
    pub of: i64,
}

/// The rules and queues in shadow mode, in the order of the set.
pub(super) fn shadow(tx: &Tx<'_>, rules: &RuleSet) -> Result<Vec<ShadowLine>, StoreError> {
    let counts = tx.shadow_counts()?;
    let line = |rule: String, decides| {
        let found = counts.iter().find(|count| count.rule == rule);
        let (records, points) = found.map_or(
            (0, 0),
            |ShadowCount {
                 records, points, ..
             }| (*records, *points),
        );
        ShadowLine {
            rule,
            records,
            points,
            decides,
        }
    };
    let of_rules = rules.rules.iter().filter(|rule| rule.shadow);
    let of_rules = of_rules.map(|rule| line(rule.id.to_string(), None));
    let of_queues = rules.queues.iter().filter(|queue| queue.shadow);
    let of_queues = of_queues.map(|queue| {
        let decides = queue.decide.map(crate::item::Verdict::as_str);
        line(format!("queue {}", queue.name), decides)
    });
    Ok(of_rules.chain(of_queues).collect())
}

/// How far the scoring by these rules has come; `None` when all is done.
pub(super) fn rescoring(tx: &Tx<'_>, rules: &RuleSet) -> Result<Option<Rescoring>, StoreError> {
    let (mut left, mut of) = (0, 0);
    for source in &rules.sources {
        left += tx.stale_count(&source.name, rules.hash)?;
        of += tx.record_counts(&source.name)?.0;
    }
    Ok((left > 0).then_some(Rescoring { left, of }))
}
