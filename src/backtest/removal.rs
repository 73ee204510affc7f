//! What each rule is good for: where a record would go without one that held, or with one that
//! holds in shadow mode.
//!
//! A rule moves a record only through its points, and points move it only across a number that some
//! queue compares the score with; so hardly any record is routed a second time.

use crate::rules::assess::{Assessment, Hit, Occasion, Subject};
use crate::rules::reads::Edges;
use crate::rules::route;
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
        let routes = route::routes_with(self.rules, subject, occasion, &scores, now);
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
            match named().next_back() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::value::{Map, Value};
    use crate::rules::assess::Route;
    use proptest::prelude::*;

    /// A rule as it is written: field, limit, axis, points, and whether it is in shadow mode.
    type Written = (usize, i32, usize, i32, bool);

    const WORDS: [&str; 3] = ["quality", "heat", "topic"];
    const QUEUES: [&str; 7] = [
        "score.total >= 40",
        "score.quality > score.heat",
        "score.topic == 10",
        "score.heat * 2 >= 50 && quality < 50",
        "30 > score.quality || score.total >= 80",
        "quality < 20",
        "!(score.topic < 25)",
    ];

    fn rule(n: usize, (field, limit, axis, points, shadow): Written) -> String {
        let (field, axis) = (["quality", "heat"][field], WORDS[axis]);
        let mode = if shadow { ", mode: shadow" } else { "" };
        format!(
            "  - {{id: r{n}, axis: {axis}, when: {field} >= {limit}, points: {points}, why: so{mode}}}\n"
        )
    }

    fn load(rules: &[(usize, Written)], caps: &[Option<i32>; 3], queues: &[usize]) -> RuleSet {
        let folder = tempfile::tempdir().unwrap();
        let mut yaml = "sources:\n  - {name: news, path: content}\nscore:\n".to_owned();
        for (word, cap) in WORDS.iter().zip(caps) {
            let own = if *word == "topic" { "" } else { ", weight: 1" };
            let field = if own.is_empty() {
                String::new()
            } else {
                format!("field: {word}{own}")
            };
            let cap = cap.map(|cap| format!("cap: {cap}"));
            let keys: Vec<String> = [Some(field), cap].into_iter().flatten().collect();
            let keys: Vec<String> = keys.into_iter().filter(|key| !key.is_empty()).collect();
            yaml += &format!("  {word}: {{{}}}\n", keys.join(", "));
        }
        yaml += "rules:\n";
        for (n, written) in rules {
            yaml += &rule(*n, *written);
        }
        yaml += "queues:\n";
        for (n, queue) in queues.iter().enumerate() {
            yaml += &format!("  - {{name: q{n}, when: '{}'}}\n", QUEUES[*queue]);
        }
        std::fs::write(
            folder.path().join("all.yaml"),
            yaml.replace("rules:\nqueues", "queues"),
        )
        .unwrap();
        RuleSet::load(folder.path()).unwrap()
    }

    fn record(quality: Option<i32>, heat: i32) -> Map {
        let number = |n: i32| Value::Number(f64::from(n));
        let quality = quality.map(|n| ("quality".to_owned(), number(n)));
        quality
            .into_iter()
            .chain([("heat".to_owned(), number(heat))])
            .collect()
    }

    fn subject(fields: &Map) -> Subject<'_> {
        Subject {
            fields,
            published: false,
            first_seen: Timestamp::UNIX_EPOCH,
            source: "news",
        }
    }

    fn route(set: &RuleSet, fields: &Map) -> Route {
        set.assess(&subject(fields), Occasion::FIRST, Timestamp::UNIX_EPOCH)
            .route
    }

    fn movers(set: &RuleSet, fields: &Map) -> Vec<usize> {
        let (subject, now) = (subject(fields), Timestamp::UNIX_EPOCH);
        let assessment = set.explain(&subject, Occasion::FIRST, now);
        let number = |hit: &Hit| set.rules.iter().position(|rule| rule.id == hit.rule);
        let mut movers =
            Removal::new(set).movers(&subject, Occasion::FIRST, &assessment, now, number);
        movers.sort_unstable();
        movers
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// A rule moves a record exactly when the set without it, or with it live, sends it elsewhere.
        #[test]
        fn a_rule_moves_what_the_set_without_it_sends_elsewhere(
            rules in prop::collection::vec((0..2_usize, 0..90, 0..3_usize, -40..60, any::<bool>()), 1..6),
            caps in [prop::option::of(0..60), prop::option::of(0..60), prop::option::of(0..40)],
            queues in prop::collection::vec(0..QUEUES.len(), 1..5),
            records in prop::collection::vec((prop::option::weighted(0.9, -5..100), 0..100), 8),
        ) {
            let numbered: Vec<(usize, Written)> = rules.iter().copied().enumerate().collect();
            let set = load(&numbered, &caps, &queues);
            let others: Vec<RuleSet> = (0..rules.len()).map(|n| {
                let mut others = numbered.clone();
                if others[n].1.4 { others[n].1.4 = false; } else { others.remove(n); }
                load(&others, &caps, &queues)
            }).collect();
            for (quality, heat) in records {
                let fields = record(quality, heat);
                let stands = route(&set, &fields);
                let expected: Vec<usize> = (0..rules.len())
                    .filter(|n| route(&others[*n], &fields).queue() != stands.queue())
                    .collect();
                prop_assert_eq!(movers(&set, &fields), expected, "{:?} {}", quality, heat);
            }
        }
    }
}
