//! The smallest statements: what a single comparison or test claims of a record.

use super::Statement;
use super::key::{is_always_there, key, path_key, presences};
use crate::record::value::Value;
use crate::rules::condition::expr::{Comparison, Expr, Kind, Path, Root, Threshold};
use crate::rules::words::Phrase;

/// Longer lists are compared as a whole.
const LONG_LIST: usize = 256;

/// A claim about a record, made when the value that it speaks of is there.
pub(super) struct Literal<'e> {
    pub(super) claim: Claim<'e>,
    /// Whether it is also so when there is no value.
    pub(super) or_missing: bool,
    /// Whether there always is a value.
    pub(super) is_always_there: bool,
    /// The fields that must be there for there to be a value.
    pub(super) present: Vec<String>,
}

/// What is claimed.
pub(super) enum Claim<'e> {
    /// A number stands so to a limit.
    Number(String, Numbers, Comparison, f64),
    /// A number is one of these, or none of these.
    NumberAmong(String, Vec<f64>, bool),
    /// A text is one of these, or none of these.
    TextAmong(String, Vec<&'e str>, bool),
    /// One of these phrases is mentioned, or none is.
    Mentions(Vec<&'e str>, bool),
    /// What is not looked into holds, or does not.
    Test(String, bool),
}

/// What is known of a number before anything is claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Any number.
    Any,
    /// Whole numbers: points.
    Whole,
    /// Whole numbers from 0: sizes.
    Natural,
}

/// The statement of an expression that is no `&&`, `||`, `!` or `?`.
pub(super) fn statement(expr: &Expr, truth: bool, or_missing: bool) -> Statement<'_> {
    match known(expr) {
        Some(yes) => Statement::of_bool(yes == truth),
        None => match (expr, same_as(expr)) {
            // `published == false` says what `!published` says.
            (_, Some((inner, equal))) => super::statement(inner, equal == truth, or_missing),
            _ => Statement::Literal(Literal {
                claim: claim(expr, truth),
                or_missing,
                is_always_there: is_always_there(expr),
                present: presences(expr),
            }),
        },
    }
}

/// The value of what does not depend on the record.
fn known(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Has(path, _) if path.root == Root::Published && path.steps.is_empty() => Some(true),
        Expr::Compare(Kind::Text, comparison, sides) => match &**sides {
            [Expr::Text(left), Expr::Text(right)] => Some(comparison.holds(left, right)),
            _ => None,
        },
        Expr::In(_, sides) => match &**sides {
            [Expr::Text(text), Expr::List(list)] => {
                Some(list.iter().any(|v| v.as_text() == Some(text)))
            }
            [Expr::Number(number), Expr::List(list)] => {
                Some(list.iter().any(|v| v.as_number() == Some(*number)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The side that a comparison with `true` or `false` is about, and what it is compared with.
fn same_as(expr: &Expr) -> Option<(&Expr, bool)> {
    let Expr::Compare(Kind::Bool, comparison, sides) = expr else {
        return None;
    };
    let equal = *comparison == Comparison::Equal;
    match &**sides {
        [Expr::Bool(yes), side] | [side, Expr::Bool(yes)] => Some((side, *yes == equal)),
        _ => None,
    }
}

fn claim(expr: &Expr, truth: bool) -> Claim<'_> {
    match expr {
        Expr::Threshold(threshold) => number(threshold, truth),
        Expr::Compare(Kind::Text, comparison, sides) if !comparison.is_ordering() => {
            let equal = (*comparison == Comparison::Equal) == truth;
            match &**sides {
                [Expr::Text(text), side] | [side, Expr::Text(text)] => {
                    Claim::TextAmong(key(side), vec![text], equal)
                }
                _ => test(expr, truth),
            }
        }
        Expr::In(kind, sides) => among(*kind, sides, truth).unwrap_or_else(|| test(expr, truth)),
        Expr::Mentions(phrases) => {
            let mut phrases: Vec<&str> = phrases.iter().map(Phrase::as_str).collect();
            phrases.sort_unstable();
            phrases.dedup();
            Claim::Mentions(phrases, truth)
        }
        Expr::Has(path, _) => Claim::Test(path_key(path), truth),
        _ => test(expr, truth),
    }
}

fn number(threshold: &Threshold, truth: bool) -> Claim<'_> {
    let comparison = if truth {
        threshold.comparison
    } else {
        opposite(threshold.comparison)
    };
    let numbers = match &threshold.side {
        Expr::Score(_) => Numbers::Whole,
        Expr::TextSize(_) | Expr::ListSize(_) => Numbers::Natural,
        _ => Numbers::Any,
    };
    Claim::Number(key(&threshold.side), numbers, comparison, threshold.limit)
}

/// Numbers are finite, so that a comparison that does not hold has an opposite that does.
fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::AtLeast,
        Comparison::AtLeast => Comparison::Less,
        Comparison::Greater => Comparison::AtMost,
        Comparison::AtMost => Comparison::Greater,
    }
}

fn among<'e>(kind: Kind, sides: &'e [Expr; 2], truth: bool) -> Option<Claim<'e>> {
    let [element, list] = sides;
    match (kind, element, list) {
        // What `about()` asks too.
        (Kind::Text, Expr::Text(topic), Expr::Field(path)) if is_topics(path) => {
            Some(Claim::Test(format!("about {topic:?}"), truth))
        }
        (Kind::Text, side, Expr::List(list)) if list.len() <= LONG_LIST => {
            let texts = list.iter().filter_map(Value::as_text).collect();
            Some(Claim::TextAmong(key(side), texts, truth))
        }
        (Kind::Number, side, Expr::List(list)) if list.len() <= LONG_LIST => {
            let numbers = list.iter().filter_map(Value::as_number).collect();
            Some(Claim::NumberAmong(key(side), numbers, truth))
        }
        _ => None,
    }
}

fn is_topics(path: &Path) -> bool {
    path.root == Root::Topics && path.steps.is_empty()
}

fn test(expr: &Expr, truth: bool) -> Claim<'_> {
    Claim::Test(key(expr), truth)
}

impl Literal<'_> {
    /// The literal in one spelling.
    pub(super) fn written(&self) -> String {
        let text = match &self.claim {
            Claim::Number(key, _, comparison, limit) => format!("{key} {comparison:?} {limit}"),
            Claim::NumberAmong(key, numbers, yes) => {
                let mut numbers = numbers.clone();
                numbers.sort_by(f64::total_cmp);
                format!("{key} {yes} {numbers:?}")
            }
            Claim::TextAmong(key, texts, yes) => {
                let mut texts = texts.clone();
                texts.sort_unstable();
                format!("{key} {yes} {texts:?}")
            }
            Claim::Mentions(phrases, yes) => format!("mentions {yes} {phrases:?}"),
            Claim::Test(key, yes) => format!("{yes} {key}"),
        };
        if self.or_missing {
            format!("{text} or missing")
        } else {
            text
        }
    }
}
