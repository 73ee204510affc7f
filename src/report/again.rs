//! What the rules in force say of a stored record beyond its hits: what they could not evaluate,
//! which queues it only just missed, and what is in shadow.

use crate::item::Status;
use crate::record::value::Map;
use crate::rules::assess::{Near, NotEvaluated, Occasion, Subject};
use crate::rules::{Place, RuleSet};
use crate::store::items::Item;
use crate::store::records::Known;
use crate::store::{StoreError, Tx};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// What an explanation adds to the hits of an item.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct Again {
    /// Whether the score is by the rules in force; else nothing is known of the two lists below.
    pub current: bool,
    /// What had no value for want of fields.
    pub not_evaluated: Vec<NotEvaluated>,
    /// The earlier queues that it only just missed.
    pub near: Vec<Near>,
    /// What rules and queues in shadow mode would have done when it was last assessed.
    pub shadow: Vec<ShadowHit>,
}

/// What a rule or queue in shadow mode would have done to a record.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ShadowHit {
    /// The rule, or `queue NAME`.
    pub rule: String,
    /// The points that it would have added.
    pub points: i64,
    /// The reason that people read, if the rules still have it.
    pub why: Option<String>,
    /// Where it is written.
    pub at: Option<Place>,
}

/// Assesses a stored record again. Only the same rules can explain a score: others would give
/// reasons that it does not have.
pub(super) fn look(
    tx: &Tx<'_>,
    rules: Option<&RuleSet>,
    (known, fields): (&Known, &Map),
    item: &Item,
    now: Timestamp,
) -> Result<Again, StoreError> {
    let stored = tx.shadow_hits(known.id)?.into_iter();
    let shadow = stored.map(|(rule, points)| shadow_hit(rules, rule, points));
    let mut again = Again {
        shadow: shadow.collect(),
        ..Again::default()
    };
    let by = tx.assessment(known.id)?.map(|assessed| assessed.rules);
    let Some(rules) = rules.filter(|rules| by == Some(rules.hash)) else {
        return Ok(again);
    };
    let subject = Subject {
        fields,
        published: known.published,
        first_seen: known.first_seen,
        source: &known.source,
    };
    let occasion = if item.status == Status::Withdrawn {
        Occasion::BACK
    } else {
        Occasion::again(rules, &item.queue)
    };
    let assessment = rules.explain(&subject, occasion, now);
    again.current = true;
    again.not_evaluated = assessment.not_evaluated;
    again.near = assessment.near;
    Ok(again)
}

fn shadow_hit(rules: Option<&RuleSet>, rule: String, points: i64) -> ShadowHit {
    let found = rules.and_then(|rules| {
        let of_rule = rules.rules.iter().find(|known| *known.id == *rule);
        let of_rule = of_rule.map(|known| (known.why.to_string(), known.place.clone()));
        of_rule.or_else(|| {
            let queue = rules.queue(rule.strip_prefix("queue ")?)?;
            Some((format!("would wait in {}", queue.name), queue.place.clone()))
        })
    });
    let (why, at) = found.unzip();
    ShadowHit {
        rule,
        points,
        why,
        at,
    }
}
