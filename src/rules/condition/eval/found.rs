//! What a part of a condition reads in a record, cut to what a person takes in at a glance.

use super::{Element, Evaluation};
use super::{Found as Read, List};
use crate::record::shown;
use crate::record::value::{Map, Value};
use crate::rules::condition::expr::{Each, Expr, Path, Threshold, Unit};
use crate::rules::condition::parts::Found;
use crate::rules::condition::{Facts, Trace};
use crate::rules::score::Axis;

/// Readings of one part.
const MOST_FOUND: usize = 12;
/// Elements that `exists` and `all` show, and elements of a list.
const MOST_ELEMENTS: usize = 6;
/// Columns of a text.
const COLUMNS: usize = 80;
/// Lists and mappings inside each other.
const DEPTH: usize = 3;

/// Everything that the tree reads, true or not, in the order it is written.
pub(in crate::rules::condition) fn found(expr: &Expr, facts: &Facts<'_>) -> Vec<Found> {
    let mut trace = Trace::default();
    let mut gather = Gather {
        evaluation: Evaluation {
            facts,
            trace: &mut trace,
            elements: vec![],
        },
        found: vec![],
    };
    gather.all_of(expr);
    gather.found
}

struct Gather<'a> {
    evaluation: Evaluation<'a>,
    found: Vec<Found>,
}

impl<'a> Gather<'a> {
    fn all_of(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Bool(_) | Expr::Number(_) | Expr::Text(_) | Expr::List(_) => {}
            Expr::Field(path) | Expr::Has(path, _) => self.field(path),
            Expr::Score(_) | Expr::Age(_) => self.number(name_of(expr), expr),
            Expr::Threshold(threshold) => self.threshold(threshold),
            Expr::All(parts) | Expr::Any(parts) => parts.iter().for_each(|part| self.all_of(part)),
            Expr::If(parts) => parts.iter().for_each(|part| self.all_of(part)),
            Expr::Compare(_, _, sides)
            | Expr::In(_, sides)
            | Expr::Part(_, sides)
            | Expr::Arithmetic(_, sides, _)
            | Expr::Join(sides) => sides.iter().for_each(|side| self.all_of(side)),
            Expr::Not(inner)
            | Expr::Negate(inner)
            | Expr::LowerAscii(inner)
            | Expr::TextSize(inner)
            | Expr::ListSize(inner)
            | Expr::Matches(inner, _) => self.all_of(inner),
            Expr::Each(each) => self.each(each),
            Expr::About(_) => {
                if let Some(topics) = self.evaluation.facts.topics {
                    self.push("topics".to_owned(), texts(topics));
                }
            }
            Expr::Mentions(_) => {
                for key in ["title", "excerpt"] {
                    if let Some(value) = self.evaluation.facts.fields.get(key) {
                        self.push(key.to_owned(), short(value, 0));
                    }
                }
            }
        }
    }

    /// What stands at a place, of whatever type.
    fn field(&mut self, path: &Path) {
        let value = match self.evaluation.read(path) {
            Some(Read::Value(value)) => short(value, 0),
            Some(Read::Map(map)) => short_map(map, 0),
            Some(Read::Bool(yes)) => Value::Bool(yes),
            Some(Read::Text(text)) => short_text(text),
            Some(Read::Texts(list)) => texts(list),
            None => return,
        };
        let name = self.evaluation.name(path);
        self.push(name, value);
    }

    /// The number on its side; where there is none, what it would be made of.
    fn threshold(&mut self, threshold: &'a Threshold) {
        match &threshold.side {
            Expr::Field(path) => self.field(path),
            side => match self.evaluation.number(side) {
                Some(_) => self.number(threshold.name.clone(), side),
                None => self.all_of(side),
            },
        }
    }

    fn number(&mut self, name: String, expr: &'a Expr) {
        if let Some(number) = self.evaluation.number(expr) {
            self.push(name, Value::Number((number * 100.0).round() / 100.0));
        }
    }

    /// What the first elements hold of that which is asked of each.
    fn each(&mut self, each: &'a Each) {
        let Some(list) = self.evaluation.list(&each.list) else {
            return self.all_of(&each.list);
        };
        let name = self.evaluation.list_name(&each.list);
        if list.len() == 0 {
            return self.push(name, Value::List(vec![]));
        }
        for (at, found) in list.iter().take(MOST_ELEMENTS).enumerate() {
            self.evaluation.elements.push(Element {
                list: &each.list,
                at,
                found,
            });
            self.all_of(&each.condition);
            self.evaluation.elements.pop();
        }
        if list.len() > MOST_ELEMENTS {
            self.push(format!("size({name})"), count(list));
        }
    }

    fn push(&mut self, name: String, value: Value) {
        let known = self.found.iter().any(|found| found.name == name);
        if !known && self.found.len() < MOST_FOUND {
            self.found.push(Found { name, value });
        }
    }
}

fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Age(Unit::Hours) => "age_hours",
        Expr::Age(Unit::Days) => "age_days",
        Expr::Score(Some(Axis::Quality)) => "score.quality",
        Expr::Score(Some(Axis::Heat)) => "score.heat",
        Expr::Score(Some(Axis::Topic)) => "score.topic",
        _ => "score.total",
    }
    .to_owned()
}

#[allow(clippy::cast_precision_loss)]
fn count(list: List<'_>) -> Value {
    Value::Number(list.len() as f64)
}

fn short_text(text: &str) -> Value {
    Value::Text(shown::line(text, COLUMNS))
}

fn texts(list: &[String]) -> Value {
    cut(list.len(), list.iter().map(|text| short_text(text)))
}

fn short(value: &Value, depth: usize) -> Value {
    match value {
        Value::Text(text) => short_text(text),
        Value::List(_) | Value::Map(_) if depth >= DEPTH => Value::Text("…".to_owned()),
        Value::List(list) => cut(list.len(), list.iter().map(|value| short(value, depth + 1))),
        Value::Map(map) => short_map(map, depth),
        plain => plain.clone(),
    }
}

fn short_map(map: &Map, depth: usize) -> Value {
    let pairs = map
        .iter()
        .take(MOST_FOUND)
        .map(|(key, value)| (shown::line(key, COLUMNS), short(value, depth + 1)));
    let mut cut = Map::default();
    for (key, value) in pairs {
        cut.set(&key, value);
    }
    Value::Map(cut)
}

/// The first elements, and how many there are when that is not all.
fn cut(len: usize, elements: impl Iterator<Item = Value>) -> Value {
    let mut list: Vec<Value> = elements.take(MOST_ELEMENTS).collect();
    if len > list.len() {
        list.push(Value::Text(format!("… {len} in all")));
    }
    Value::List(list)
}
