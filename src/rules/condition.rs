//! The condition language of rules and queues.
//!
//! A condition is written in CEL. The `cel` crate parses it; here it becomes a typed tree that is
//! checked once, when it is loaded, so that evaluating it cannot fail: it is true, false, or has no
//! value because a field is missing. A condition knows one record's facts and nothing else: no
//! clock, no store, no files.

mod check;
pub(crate) mod eval;
pub(crate) mod expr;
mod names;
#[cfg(test)]
pub(crate) mod oracle;
mod parse;
pub mod parts;
pub(crate) mod reason;
mod source;

use crate::record::value::{Map, Value};
use crate::rules::score::{Axis, Score};
use crate::rules::types::Schema;
use crate::rules::words::Folded;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use expr::Expr;

/// Names that every condition has, so that no list and no declared field may take them.
pub const BUILT_IN: [&str; 8] = [
    "record",
    "topics",
    "published",
    "text",
    "domain",
    "age_hours",
    "age_days",
    "score",
];

/// What all rules together may cost on one record, in steps: a part of a condition, an element of a
/// list, or 64 bytes of text that were looked at. Some 10 ms of CPU; the same on every machine.
pub const MOST_STEPS: u64 = 1_000_000;

/// Stack of a thread that compiles conditions, in bytes.
pub(crate) const LARGE_STACK: usize = 16 * 1024 * 1024;

/// A condition that was checked and is ready to be evaluated; a clone shares it.
#[derive(Clone, Debug)]
pub struct Condition {
    /// As it is written.
    pub source: Arc<str>,
    expr: Arc<Expr>,
    reads: Arc<Reads>,
    /// What can be said of it alone, once that was asked: a set that is loaded again asks again.
    alone: Arc<OnceLock<reason::Alone>>,
}

/// What a condition names, beyond the record.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// The axes of the score; `None` is the total.
    pub(crate) scores: Vec<Option<Axis>>,
    /// The topics of `about()`, with their bytes in the source.
    pub(crate) topics: Vec<(String, Range<usize>)>,
    /// Whether it names an age.
    pub(crate) age: bool,
}

/// What a condition may name.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The fields of a record: the seed's and those a source declares.
    pub fields: &'a Schema,
    /// The lists of the rule set; every condition that names one shares it.
    pub lists: &'a BTreeMap<String, Arc<[Value]>>,
    /// Whether `score` may be read: in queues only.
    pub score: bool,
}

/// What is known of one record when its conditions are evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The record's top-level keys.
    pub fields: &'a Map,
    /// Whether the record reads as published; never missing.
    pub published: bool,
    /// The effective topics (the file's, by keyword, and their parents); `None` is missing.
    pub topics: Option<&'a [String]>,
    /// Title and excerpt; `None` when there is neither.
    pub folded: Option<&'a Folded<'a>>,
    /// `provider.domain` without `www.`.
    pub domain: Option<&'a str>,
    /// Hours since publication, or since the record was first seen.
    pub age_hours: f64,
    /// The score, once there is one.
    pub score: Option<Score>,
}

impl Facts<'_> {
    /// The same record with this score.
    #[must_use]
    pub fn with(self, score: Score) -> Self {
        Self {
            score: Some(score),
            ..self
        }
    }
}

/// What evaluating conditions met on its way; one trace may serve several conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The missing fields that were met, each once, in order; at most 32.
    pub missing: Vec<String>,
    /// The least number of hours until a comparison with an age that was evaluated turns out
    /// differently. Round up when adding it to a time: earlier than this nothing changes.
    pub flips_in_hours: Option<f64>,
    /// What it has cost; beyond [`MOST_STEPS`] nothing has a value any more.
    pub steps: u64,
}

impl Trace {
    /// Whether it has cost more than one record may.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.steps > MOST_STEPS
    }

    /// Notes that a text was looked at.
    pub(crate) fn read(&mut self, text: &str) {
        self.steps += text.len() as u64 / 64;
    }
}

/// What one numeric comparison lacks to be true.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Need {
    /// The number side as it is written, such as `score.total`.
    pub name: String,
    /// How much more is needed; negative: how much less.
    #[serde(serialize_with = "as_number")]
    pub by: f64,
    /// Whether that much is not enough by itself: the comparison excludes its limit, and there is
    /// no number next to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
}

/// On which side of a limit a number has to be that may not be the limit itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Beyond {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl fmt::Display for Need {
    /// `14 more score.total`, `just over 2.5 more quality`, `a little less age_days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let less = self.by < 0.0 || (self.by == 0.0 && self.beyond == Some(Beyond::Below));
        let word = if less { "less" } else { "more" };
        let by = (self.by.abs() * 100.0).round() / 100.0;
        match self.beyond {
            Some(_) if by == 0.0 => write!(f, "a little {word} {}", self.name),
            Some(_) => write!(f, "just over {by} {word} {}", self.name),
            None => write!(f, "{by} {word} {}", self.name),
        }
    }
}

impl Condition {
    /// Parses and checks a condition, and compiles its patterns.
    ///
    /// Call it inside [`on_large_stack`]: the parser recurses deeply.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the condition's names and types, in the order it is written; a
    /// condition that does not parse yields the mistakes that explain why.
    pub fn compile(source: &str, names: &Names<'_>) -> Result<Self, Vec<ConditionError>> {
        let text = source::Source::new(source);
        let syntax = parse::parse(&text)?;
        let (expr, reads) = check::check(&syntax, &text, names)?;
        Ok(Self {
            source: source.into(),
            expr: expr.into(),
            reads: reads.into(),
            alone: Arc::default(),
        })
    }

    /// Whether it depends on the points of an axis.
    #[must_use]
    pub fn reads_score(&self, axis: Axis) -> bool {
        self.reads
            .scores
            .iter()
            .any(|read| read.is_none_or(|read| read == axis))
    }

    /// Whether it depends on the record's age.
    pub(crate) fn reads_age(&self) -> bool {
        self.reads.age
    }

    /// The checked tree.
    pub(crate) fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Whether the condition holds; `None` when a missing field leaves it without a value.
    pub fn holds(&self, facts: &Facts<'_>, trace: &mut Trace) -> Option<bool> {
        eval::holds(&self.expr, facts, trace)
    }

    /// What the record lacks, when the condition is false only because of comparisons with a
    /// number; `None` when it holds, has no value, or fails for another reason. Where one of
    /// several ways would do (`||`), the one that asks for the fewest numbers.
    #[must_use]
    pub fn near(&self, facts: &Facts<'_>) -> Option<Vec<Need>> {
        eval::near(&self.expr, facts)
    }
}

/// Runs `work` on a thread whose stack is large enough for [`Condition::compile`].
///
/// # Errors
///
/// When the system refuses the thread.
pub fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(LARGE_STACK)
            .spawn_scoped(scope, work)?;
        thread
            .join()
            .or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Writes a whole number without a fraction.
fn as_number<S: serde::Serializer>(by: &f64, s: S) -> Result<S::Ok, S::Error> {
    Value::Number(*by).serialize(s)
}

/// One thing that is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Where: bytes of the condition's source.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, when that is known.
    pub help: Option<String>,
}

impl ConditionError {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: None,
        }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
