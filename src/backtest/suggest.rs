//! Cuts that tell what was approved from what was not: proposed as two queues, and nothing changed.
//!
//! Unlike all else in a backtest, this keeps the numbers of every record with a decision.

use super::cut::{self, Point};
use super::removal::AXES;
use crate::record::value::{Map, Value};
use crate::rules::RuleSet;
use crate::rules::assess::Assessment;
use crate::rules::score::Axis;
use crate::rules::types::Type;
use crate::store::history::Called;
use serde::Serialize;
use std::cmp::Reverse;

/// Records that are named among those that a cut gets wrong.
const NAMED: usize = 100;

/// The numbers of the records that were decided on.
#[derive(Debug)]
pub(super) struct Samples<'r> {
    measures: Vec<Measure<'r>>,
    decided: [usize; 2],
}

/// Something that can be cut, with the values that were met.
#[derive(Debug)]
struct Measure<'r> {
    of: Of<'r>,
    points: Vec<Point>,
}

/// What is measured, in the order in which equally good ones are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of<'r> {
    Field(&'r str),
    Axis(Axis, &'static str),
    Total,
}

/// What a set could be told to decide.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// Records that were approved, by people or else by the feed.
    pub approved: usize,
    /// Records that were not.
    pub not_approved: usize,
    /// The best cut of each number, the best number first.
    pub measures: Vec<Measured>,
    /// The best one as two queues to be pasted into the rules; `None` if it is right no more often
    /// than deciding all alike.
    pub yaml: Option<String>,
}

/// The best cut of one number.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// The number as a condition names it.
    pub measure: String,
    /// From here on it is approved.
    pub cut: Value,
    /// On how many records the cut decides as was decided.
    pub agree: usize,
    /// Of how many that have the number.
    pub of: usize,
    /// The records that it gets wrong, at most 100, those farthest from the cut first.
    pub wrong: Vec<Wrong>,
}

/// A record that a cut gets wrong.
#[derive(Debug, Serialize)]
pub struct Wrong {
    /// Its title.
    pub title: Option<String>,
    /// Its source.
    pub source: String,
    /// The path of its file.
    pub location: Option<String>,
    /// Its number.
    pub value: Value,
    /// Whether it was approved.
    pub approved: bool,
}

impl<'r> Samples<'r> {
    pub(super) fn new(rules: &'r RuleSet) -> Self {
        let own = rules.scoring.own.iter().map(|own| own.field.as_str());
        let is_number = |name: &&str| rules.fields.get(name) == Some(&Type::Number);
        let mut measures: Vec<Of<'r>> = Vec::new();
        for name in own.chain(rules.fields.names().filter(is_number)) {
            if !measures.contains(&Of::Field(name)) {
                measures.push(Of::Field(name));
            }
        }
        measures.extend(AXES.map(|(axis, name)| Of::Axis(axis, name)));
        measures.push(Of::Total);
        let measures = measures.into_iter().map(|of| Measure {
            of,
            points: Vec::new(),
        });
        Self {
            measures: measures.collect(),
            decided: [0; 2],
        }
    }

    /// The fields that are measured.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.measures.iter().filter_map(|measure| match measure.of {
            Of::Field(name) => Some(name),
            _ => None,
        })
    }

    pub(super) fn take(&mut self, key: i64, fields: &Map, assessment: &Assessment, approved: bool) {
        self.decided[usize::from(!approved)] += 1;
        for measure in &mut self.measures {
            if let Some(value) = measure.of.value(fields, assessment) {
                measure.points.push(Point {
                    value,
                    approved,
                    key,
                });
            }
        }
    }

    pub(super) fn suggestion<E>(
        self,
        mut name: impl FnMut(i64) -> Result<Called, E>,
    ) -> Result<Suggestion, E> {
        let mut found = Vec::new();
        for (rank, mut measure) in self.measures.into_iter().enumerate() {
            if let Some((cut, agree)) = cut::best(&mut measure.points) {
                found.push((agree, rank, cut, measure));
            }
        }
        // What a cut leaves undecided waits for a person; what it gets wrong does not.
        found.sort_by_key(|(agree, rank, _, measure)| {
            (Reverse(*agree), measure.points.len() - agree, *rank)
        });
        let best = found
            .first()
            .filter(|(agree, _, _, measure)| *agree > alike(&measure.points));
        let yaml = best.map(|(_, _, cut, measure)| queues(measure.of, *cut));
        let mut measures = Vec::new();
        for (agree, _, cut, measure) in found {
            measures.push(Measured {
                measure: measure.of.to_string(),
                cut: Value::Number(cut),
                agree,
                of: measure.points.len(),
                wrong: wrong(measure.points, cut, &mut name)?,
            });
        }
        Ok(Suggestion {
            approved: self.decided[0],
            not_approved: self.decided[1],
            measures,
            yaml,
        })
    }
}

/// On how many the commoner decision is right.
fn alike(points: &[Point]) -> usize {
    let approved = points.iter().filter(|point| point.approved).count();
    approved.max(points.len() - approved)
}

fn wrong<E>(
    mut points: Vec<Point>,
    cut: f64,
    name: &mut impl FnMut(i64) -> Result<Called, E>,
) -> Result<Vec<Wrong>, E> {
    points.retain(|point| !point.agrees(cut));
    let distance = |point: &Point| (point.value - cut).abs();
    points.sort_by(|a, b| distance(b).total_cmp(&distance(a)).then(a.key.cmp(&b.key)));
    let named = points.into_iter().take(NAMED).map(|point| {
        let name = name(point.key)?;
        Ok(Wrong {
            location: name.path(),
            title: name.title,
            source: name.source,
            value: Value::Number(point.value),
            approved: point.approved,
        })
    });
    named.collect()
}

impl Of<'_> {
    /// The number, if a queue that goes by it would decide.
    #[allow(clippy::cast_precision_loss)]
    fn value(self, fields: &Map, assessment: &Assessment) -> Option<f64> {
        let is_missing = |name: &str| {
            assessment
                .not_evaluated
                .iter()
                .any(|not| &*not.rule == name)
        };
        match self {
            Self::Field(name) => fields.get(name)?.as_number(),
            Self::Axis(_, name) if is_missing(name) => None,
            Self::Axis(axis, _) => Some(assessment.score.on(axis) as f64),
            Self::Total if AXES.iter().any(|(_, name)| is_missing(name)) => None,
            Self::Total => Some(assessment.score.total as f64),
        }
    }
}

impl std::fmt::Display for Of<'_> {
    /// Writes the number as a condition names it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) if is_name(name) => f.write_str(name),
            Self::Field(name) => write!(f, "record[{name:?}]"),
            Self::Axis(_, name) => f.write_str(name),
            Self::Total => f.write_str("score.total"),
        }
    }
}

fn is_name(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Two queues in shadow mode that decide by a cut.
fn queues(of: Of<'_>, cut: f64) -> String {
    let (number, cut) = (of.to_string(), Value::Number(cut).to_string());
    let word: String = number
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let queue = |side: &str, decide: &str, sign: &str| {
        let name = format!("{word}-{side}-{cut}");
        let condition = format!("{number} {sign} {cut}").replace('\'', "''");
        let condition = if number.contains('[') {
            format!("'{condition}'")
        } else {
            condition
        };
        format!(
            "  - name: {name}\n    takes: all\n    mode: shadow\n    decide: {decide}\n    when: {condition}\n"
        )
    };
    let (above, below) = (
        queue("from", "approve", ">="),
        queue("below", "reject", "<"),
    );
    format!("queues:\n{above}{below}")
}
