//! What each rule is good for: where a record would go without one that held, or with one that
//! holds in shadow mode.
//!
//! A rule moves a record only through its points, and points move it only across a number that some
//! queue compares the score with; so hardly any record is routed a second time.

use crate::rules::assess::{self, Assessment, Hit, Occasion, Subject};
use crate::rules::reads::Edges;
use crate::rules::score::{Axis, Score};
use crate::rules::{Queue, RuleSet};
use jiff::Timestamp;

/// The axes, and how a hit of an axis' own number or cap is called.
pub(super) const AXES: [(Axis, &str); 3] = [
    (Axis::Quality, "score.quality"),
    (Axis::Heat, "score.heat"),
    (Axis::Topic, "score.topic"),
];

/// Takes rules out of a set, one at a time.
#[derive(Debug)]
pub(super) struct Removal<'r> {
    rules: &'r RuleSet,
    edges: Edges,
}

impl<'r> Removal<'r> {
    pub(super) fn new(rules: &'r RuleSet) -> Self {
        let live = |queue: &&Queue| !queue.shadow;
        Self {
            rules,
            edges: Edges::of(rules.queues.iter().filter(live)),
        }
    }

    /// Of the rules that held, as `rule` numbers them, those whose removal takes the record
    /// elsewhere; and of those in shadow mode, those that would.
    pub(super) fn movers(
        &self,
        subject: &Subject<'_>,
        occasion: Occasion,
        assessment: &Assessment,
        now: Timestamp,
        rule: impl Fn(&Hit) -> Option<usize>,
    ) -> Vec<usize> {
        let mut sums = None;
        let mut others: Vec<(usize, Score)> = Vec::new();
        let without = assessment.hits.iter().map(|hit| (hit, -1));
        let with = assessment.shadow.iter().map(|hit| (hit, 1));
        for (hit, sign) in without.chain(with) {
            let Some(rule) = rule(hit) else { continue };
            let sums = sums.get_or_insert_with(|| self.uncapped(assessment));
            let other = self.score(sums, hit.axis, hit.points.saturating_mul(sign));
            if self.edges.part(assessment.score, other) {
                others.push((rule, other));
            }
        }
        if others.is_empty() {
            return Vec::new();
        }
        let mut scores: Vec<Score> = others.iter().map(|(_, score)| *score).collect();
        scores.sort_unstable_by_key(|s| (s.quality, s.heat, s.topic));
        scores.dedup();
        let routes = assess::routes_with(self.rules, subject, occasion, &scores, now);
        let leads_away = |score: &Score| {
            let at = scores.iter().position(|known| known == score);
            at.and_then(|at| routes.get(at))
                .is_some_and(|route| route.queue() != assessment.route.queue())
        };
        others
            .iter()
            .filter(|(_, score)| leads_away(score))
            .map(|(rule, _)| *rule)
            .collect()
    }

    /// The points of each axis before its cap.
    fn uncapped(&self, assessment: &Assessment) -> [i64; 3] {
        AXES.map(|(axis, name)| {
            let score = assessment.score.on(axis);
            if !self.rules.scoring.caps.iter().any(|(of, ..)| *of == axis) {
                return score;
            }
            let named = || assessment.hits.iter().filter(|hit| &*hit.rule == name);
            let own = self.rules.scoring.own.iter().any(|own| own.axis == axis);
            let missing = || {
                assessment
                    .not_evaluated
                    .iter()
                    .any(|not| &*not.rule == name)
            };
            let counted = usize::from(own && !missing());
            // What a cap cut is a hit too, and the last of its name.
            match named().last() {
                Some(cut) if named().count() > counted => score.saturating_sub(cut.points),
                _ => score,
            }
        })
    }

    /// The score with more points on one axis, caps applied.
    fn score(&self, sums: &[i64; 3], on: Axis, more: i64) -> Score {
        let mut points = *sums;
        for ((axis, _), sum) in AXES.iter().zip(&mut points) {
            if *axis == on {
                *sum = sum.saturating_add(more);
            }
            for (_, cap, _) in self.rules.scoring.caps.iter().filter(|(of, ..)| of == axis) {
                *sum = (*sum).min(*cap);
            }
        }
        Score::new(points[0], points[1], points[2])
    }
}
