//! Where a record goes: the first queue that holds takes it.

use crate::record::value::Map;
use crate::rules::assess::{
    Hit, Near, NotEvaluated, Occasion, Route, Subject, Tally, holds, with_facts,
};
use crate::rules::condition::{Facts, MOST_STEPS, Trace};
use crate::rules::near::near_miss;
use crate::rules::score::{Axis, Score};
use crate::rules::{Order, Queue, RuleSet};
use jiff::Timestamp;

/// Where a record would go with each of these scores in place of its own.
pub(crate) fn routes_with(
    set: &RuleSet,
    subject: &Subject<'_>,
    occasion: Occasion,
    scores: &[Score],
    now: Timestamp,
) -> Vec<Route> {
    let unscored = unscored(set, subject.fields);
    with_facts(set, subject, None, now, |facts| {
        let route = |score: &Score| {
            let mut tally = Tally {
                unscored: unscored.clone(),
                ..Tally::default()
            };
            let facts = facts.with(*score);
            tally
                .route(&set.queues, &facts, occasion, &mut Trace::default())
                .0
        };
        scores.iter().map(route).collect()
    })
}

/// Whether each queue in shadow mode holds for a record of this score, wherever it stands in the
/// order. One that decides does not hold by a score whose own number was missing.
pub(crate) fn shadow_queues<'s>(
    set: &'s RuleSet,
    subject: &Subject<'_>,
    score: Score,
    now: Timestamp,
) -> Vec<(&'s Queue, Option<bool>)> {
    let tally = Tally {
        unscored: unscored(set, subject.fields),
        ..Tally::default()
    };
    with_facts(set, subject, None, now, |facts| {
        let facts = facts.with(score);
        let shadow = set.queues.iter().filter(|queue| queue.shadow);
        let judged = shadow.map(|queue| {
            if !queue.takes.includes(subject.published) {
                return (queue, Some(false));
            }
            let in_doubt = queue.decide.is_some() && tally.is_unscored(queue);
            let held = holds(&queue.when, &queue.unless, &facts, &mut Trace::default());
            (queue, held.filter(|held| !held || !in_doubt))
        });
        judged.collect()
    })
}

/// The axes whose own number is missing.
fn unscored(set: &RuleSet, fields: &Map) -> Vec<Axis> {
    let mut tally = Tally::default();
    for own in &set.scoring.own {
        tally.own(own, fields);
    }
    tally.unscored
}

impl Tally {
    pub(super) fn route(
        &mut self,
        queues: &[Queue],
        facts: &Facts<'_>,
        occasion: Occasion,
        trace: &mut Trace,
    ) -> (Route, Vec<Near>) {
        let mut near = Vec::new();
        let mut in_doubt = false;
        for queue in queues {
            if !queue.looks_at(facts, occasion) {
                continue;
            }
            trace.missing.clear();
            let held = holds(&queue.when, &queue.unless, facts, trace);
            if queue.shadow {
                if held == Some(true) {
                    let why = format!("would wait in {}", queue.name);
                    let rule = format!("queue {}", queue.name);
                    self.shadow.push(Hit {
                        rule: rule.into(),
                        axis: Axis::Topic,
                        points: 0,
                        why: why.into(),
                        at: queue.place.clone(),
                    });
                }
                continue;
            }
            match held {
                // What an earlier queue or the score could not judge is not decided without a person.
                Some(true)
                    if queue.decide.is_some()
                        && (in_doubt || !occasion.may_decide || self.is_unscored(queue)) => {}
                Some(true) if queue.skip => return (Route::Skipped(queue.name.clone()), near),
                Some(true) => return (Route::Queue(queue.name.clone(), queue.decide), near),
                Some(false) => near.extend(near_miss(queue, facts)),
                None => {
                    in_doubt = true;
                    let rule = format!("queue {}", queue.name).into();
                    self.not_evaluated.push(NotEvaluated {
                        rule,
                        missing: trace.missing.clone(),
                    });
                }
            }
        }
        (Route::Unrouted, near)
    }

    /// Where a record goes whose rules cost more than one record may: to the last queue that says
    /// so, else to the last that a person reads. It is never skipped, nor decided without one.
    pub(super) fn over_budget(
        &mut self,
        queues: &[Queue],
        facts: &Facts<'_>,
        occasion: Occasion,
    ) -> Route {
        let is_read = |queue: &&Queue| {
            let waits = !queue.skip && !queue.shadow && queue.decide.is_none();
            waits && queue.looks_at(facts, occasion)
        };
        let marked = queues
            .iter()
            .filter(is_read)
            .rfind(|queue| queue.over_budget);
        let Some(queue) = marked.or_else(|| queues.iter().rfind(is_read)) else {
            return Route::Unrouted;
        };
        self.hits.push(Hit {
            rule: "budget".into(),
            axis: Axis::Topic,
            points: 0,
            why: format!("the rules were stopped after {MOST_STEPS} steps: the score is not whole")
                .into(),
            at: queue.place.clone(),
        });
        Route::Queue(queue.name.clone(), None)
    }

    /// Whether a queue goes by points that a missing number left out.
    fn is_unscored(&self, queue: &Queue) -> bool {
        let mut conditions = queue.when.iter().chain(&queue.unless);
        conditions.any(|condition| {
            self.unscored
                .iter()
                .any(|axis| condition.reads_score(*axis))
        })
    }
}

impl Queue {
    /// Whether it may take a record with the flag of its file.
    fn looks_at(&self, facts: &Facts<'_>, occasion: Occasion) -> bool {
        let published = occasion.taken_as.unwrap_or(facts.published);
        self.takes.includes(published)
    }

    /// Where an item stands in the queue: the highest rank is read first.
    ///
    /// A fresh queue halves the score for every half-life since publication. What ranks is the
    /// logarithm of that, `log2(score) + published / half_life`, which does not change with time.
    #[must_use]
    pub fn rank(&self, total: i64, published: Timestamp) -> f64 {
        let seconds = published
            .duration_since(Timestamp::UNIX_EPOCH)
            .as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        match self.order {
            Order::Score => total as f64,
            Order::Oldest => -seconds,
            Order::Newest => seconds,
            Order::Fresh(half_life) => {
                (total.max(1) as f64).log2() + seconds / half_life.as_secs_f64()
            }
        }
    }
}
