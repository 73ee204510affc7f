//! What a rule set reads: the keys of a record that it can look at, and the scores at which a queue
//! turns over. Whoever assesses many records loads only those keys, and asks for a new route only
//! when a score crosses one of these.

use crate::rules::condition::Condition;
use crate::rules::condition::expr::{Expr, Path, Root, Step};
use crate::rules::score::{Axis, Score};
use crate::rules::{Queue, RuleSet};
use std::collections::BTreeSet;

/// What is read of every record: its words, topics, domain and age.
const ALWAYS: [&str; 5] = [
    "title",
    "excerpt",
    "topics",
    "provider",
    "publishedDateTime",
];

impl RuleSet {
    /// The top-level keys of a record that may count; every other key changes nothing.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<String> {
        let mut keys: BTreeSet<String> = ALWAYS.map(str::to_owned).into();
        keys.extend(self.scoring.own.iter().map(|own| own.field.clone()));
        let rules = self.rules.iter().map(|rule| (&rule.when, &rule.unless));
        let queues = self.queues.iter().map(|queue| (&queue.when, &queue.unless));
        for condition in rules
            .chain(queues)
            .flat_map(|(when, unless)| when.iter().chain(unless))
        {
            walk(condition.expr(), &mut |expr| {
                let (Expr::Field(path) | Expr::Has(path, _)) = expr else {
                    return;
                };
                keys.extend(root_key(path).map(str::to_owned));
            });
        }
        keys
    }
}

fn root_key(path: &Path) -> Option<&str> {
    match (path.root, path.steps.first()) {
        (Root::Record, Some(Step::Key(key))) => Some(key),
        _ => None,
    }
}

/// The scores at which some queue's condition may turn over.
#[derive(Debug, Default)]
pub struct Edges {
    /// The constants that each axis and the total are compared with, in order.
    limits: [Vec<f64>; 4],
    /// Whether a score is read otherwise, so that any change of it may count.
    opaque: [bool; 4],
}

impl Edges {
    /// The edges of these queues.
    pub fn of<'q>(queues: impl IntoIterator<Item = &'q Queue>) -> Self {
        let mut edges = Self::default();
        for queue in queues {
            for condition in queue.when.iter().chain(&queue.unless) {
                edges.add(condition);
            }
        }
        for limits in &mut edges.limits {
            limits.sort_by(f64::total_cmp);
        }
        edges
    }

    fn add(&mut self, condition: &Condition) {
        let (mut compared, mut read) = ([0_usize; 4], [0_usize; 4]);
        walk(condition.expr(), &mut |expr| match expr {
            Expr::Threshold(threshold) => {
                if let Expr::Score(axis) = threshold.side {
                    self.limits[place(axis)].push(threshold.limit);
                    compared[place(axis)] += 1;
                }
            }
            Expr::Score(axis) => read[place(*axis)] += 1,
            _ => {}
        });
        for (at, opaque) in self.opaque.iter_mut().enumerate() {
            *opaque |= read[at] > compared[at];
        }
    }

    /// Whether a queue may hold with one of these scores and not with the other.
    #[must_use]
    pub fn part(&self, one: Score, other: Score) -> bool {
        let axes = [
            Some(Axis::Quality),
            Some(Axis::Heat),
            Some(Axis::Topic),
            None,
        ];
        axes.into_iter().any(|axis| {
            let points = |score: Score| axis.map_or(score.total, |axis| score.on(axis));
            let (one, other) = (points(one), points(other));
            one != other
                && (self.opaque[place(axis)] || self.cell(axis, one) != self.cell(axis, other))
        })
    }

    /// Between which limits some points lie, or on which.
    #[allow(clippy::cast_precision_loss)]
    fn cell(&self, axis: Option<Axis>, points: i64) -> (usize, usize) {
        let (limits, points) = (&self.limits[place(axis)], points as f64);
        (
            limits.partition_point(|limit| *limit < points),
            limits.partition_point(|limit| *limit <= points),
        )
    }
}

fn place(axis: Option<Axis>) -> usize {
    match axis {
        Some(Axis::Quality) => 0,
        Some(Axis::Heat) => 1,
        Some(Axis::Topic) => 2,
        None => 3,
    }
}

/// Visits a node and all below it.
fn walk<'e>(expr: &'e Expr, visit: &mut impl FnMut(&'e Expr)) {
    visit(expr);
    match expr {
        Expr::Bool(_)
        | Expr::Number(_)
        | Expr::Text(_)
        | Expr::List(_)
        | Expr::Field(_)
        | Expr::Score(_)
        | Expr::Age(_)
        | Expr::Has(..)
        | Expr::About(_)
        | Expr::Mentions(_) => {}
        Expr::Not(inner)
        | Expr::Negate(inner)
        | Expr::LowerAscii(inner)
        | Expr::TextSize(inner)
        | Expr::ListSize(inner)
        | Expr::Matches(inner, _) => walk(inner, visit),
        Expr::All(parts) | Expr::Any(parts) => parts.iter().for_each(|part| walk(part, visit)),
        Expr::If(parts) => parts.iter().for_each(|part| walk(part, visit)),
        Expr::Compare(_, _, sides)
        | Expr::In(_, sides)
        | Expr::Part(_, sides)
        | Expr::Arithmetic(_, sides, _)
        | Expr::Join(sides) => sides.iter().for_each(|side| walk(side, visit)),
        Expr::Threshold(threshold) => walk(&threshold.side, visit),
        Expr::Each(each) => {
            walk(&each.list, visit);
            walk(&each.condition, visit);
        }
    }
}
