//! A condition taken apart: each part with its value and with what it found in the record.
//!
//! Only an explanation needs this, so nothing is kept for it: the source is parsed again, its
//! logical structure is walked, and each leaf is compiled and evaluated as a condition of its own.

use super::source::Source;
use super::{Condition, Facts, Names, Trace, eval, parse};
use crate::record::shown;
use crate::record::value::Value;
use cel::common::ast::{CallExpr, Expr as Node, IdedExpr, SourceInfo, operators as symbols};
use serde::ser::{SerializeMap, Serializer};
use std::fmt;

/// Columns of a part's source.
const COLUMNS: usize = 100;

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Part {
    /// Its source, on one line.
    pub condition: String,
    /// Whether it holds; `None` when a missing field leaves it without a value.
    pub holds: Option<bool>,
    /// What it found in the record; of a part with parts, they say it.
    #[serde(serialize_with = "as_mapping")]
    pub found: Vec<Found>,
    /// The fields that it has no value for want of.
    pub missing: Vec<String>,
    /// How its value comes from those of its parts.
    #[serde(skip)]
    pub made: Made,
    /// Its parts.
    pub parts: Vec<Self>,
}

/// How the value of a part comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// From the record.
    Leaf,
    /// `&&`: all parts hold.
    All,
    /// `||`: one part holds.
    Any,
    /// `!`: the part does not hold.
    Not,
    /// `? :`: the first part says which of the other two counts.
    If,
}

/// Something that stands in the record, by the name that conditions have for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The name.
    pub name: String,
    /// The value, cut to what can be taken in, with nothing in it that acts on a terminal.
    pub value: Value,
}

impl fmt::Display for Found {
    /// `quality is 44`, `domain is "example.org"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = serde_json::to_string(&self.value).map_err(|_| fmt::Error)?;
        write!(f, "{} is {value}", shown::line(&self.name, COLUMNS))
    }
}

fn as_mapping<S: Serializer>(found: &[Found], s: S) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(found.len()))?;
    for found in found {
        map.serialize_entry(&found.name, &found.value)?;
    }
    map.end()
}

impl Condition {
    /// Takes the condition apart. Its value is that of [`Condition::holds`].
    ///
    /// Call it inside [`super::on_large_stack`]: the parser recurses deeply.
    #[must_use]
    pub fn parts(&self, names: &Names<'_>, facts: &Facts<'_>) -> Part {
        let source = Source::new(&self.source);
        match parse::parse(&source) {
            Ok(syntax) => Apart {
                source: &source,
                info: &syntax.info,
                names,
                facts,
            }
            .part(&syntax.root),
            // It was compiled from this very source, so that this does not come up.
            Err(_) => of_leaf(self, facts),
        }
    }
}

struct Apart<'a> {
    source: &'a Source<'a>,
    info: &'a SourceInfo,
    names: &'a Names<'a>,
    facts: &'a Facts<'a>,
}

impl Apart<'_> {
    fn part(&self, node: &IdedExpr) -> Part {
        let Node::Call(call) = &node.expr else {
            return self.leaf(node);
        };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (symbols::LOGICAL_AND, _) => self.joined(node, Made::All, &chain(call)),
            (symbols::LOGICAL_OR, _) => self.joined(node, Made::Any, &chain(call)),
            (symbols::LOGICAL_NOT, [inner]) => self.joined(node, Made::Not, &[inner]),
            (symbols::CONDITIONAL, [test, then, otherwise]) => {
                self.joined(node, Made::If, &[test, then, otherwise])
            }
            _ => self.leaf(node),
        }
    }

    fn joined(&self, node: &IdedExpr, made: Made, parts: &[&IdedExpr]) -> Part {
        let parts: Vec<Part> = parts.iter().map(|part| self.part(part)).collect();
        Part {
            condition: shown::line(self.written(node), COLUMNS),
            holds: value(made, &parts),
            found: Vec::new(),
            missing: Vec::new(),
            made,
            parts,
        }
    }

    fn leaf(&self, node: &IdedExpr) -> Part {
        let written = self.written(node);
        match Condition::compile(written, self.names) {
            Ok(condition) => of_leaf(&condition, self.facts),
            Err(_) => Part {
                condition: shown::line(written, COLUMNS),
                holds: None,
                found: Vec::new(),
                missing: Vec::new(),
                made: Made::Leaf,
                parts: Vec::new(),
            },
        }
    }

    fn written(&self, node: &IdedExpr) -> &str {
        self.source.slice(self.source.span(self.info, node))
    }
}

fn of_leaf(condition: &Condition, facts: &Facts<'_>) -> Part {
    let mut trace = Trace::default();
    let holds = condition.holds(facts, &mut trace);
    Part {
        condition: shown::line(&condition.source, COLUMNS),
        holds,
        found: eval::found(&condition.expr, facts),
        missing: if holds.is_none() {
            trace.missing
        } else {
            Vec::new()
        },
        made: Made::Leaf,
        parts: Vec::new(),
    }
}

/// The sides of a chain of one operator, in order; the parser balances such chains.
fn chain(call: &CallExpr) -> Vec<&IdedExpr> {
    let mut sides = Vec::new();
    for side in &call.args {
        match &side.expr {
            Node::Call(inner) if inner.func_name == call.func_name && inner.target.is_none() => {
                sides.extend(chain(inner));
            }
            _ => sides.push(side),
        }
    }
    sides
}

/// The value of a part from those of its parts, in three values.
fn value(made: Made, parts: &[Part]) -> Option<bool> {
    let mut values = parts.iter().map(|part| part.holds);
    let decided = |decisive: bool| {
        let decides = parts.iter().any(|part| part.holds == Some(decisive));
        let known = parts.iter().all(|part| part.holds.is_some());
        (decides || known).then_some(decides == decisive)
    };
    match (made, parts) {
        (Made::All, _) => decided(false),
        (Made::Any, _) => decided(true),
        (Made::Not, _) => values.next()?.map(|yes| !yes),
        (Made::If, [test, then, otherwise]) => {
            if test.holds? {
                then.holds
            } else {
                otherwise.holds
            }
        }
        (Made::If | Made::Leaf, _) => None,
    }
}
