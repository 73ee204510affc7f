//! The typed tree of a condition.
//!
//! Types are settled when the tree is built: each place in it is read as the one type it must have,
//! and a value of another type counts as missing.

use crate::record::value::Value;
use crate::rules::score::Axis;
use crate::rules::types::Type;
use crate::rules::words::Phrase;
use regex::Regex;
use std::sync::Arc;

/// One node; at most [`MAX_DEPTH`] of them lie between the root and a leaf.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    /// `true` or `false`.
    Bool(bool),
    /// A number constant, computed as far as the source allows.
    Number(f64),
    /// A text constant.
    Text(String),
    /// A list of constants, named or literal.
    List(Arc<[Value]>),
    /// Something that a record says.
    Field(Path),
    /// Points on one axis, or in total.
    Score(Option<Axis>),
    /// The record's age; only ever the side of a [`Threshold`].
    Age(Unit),

    /// `!a`.
    Not(Box<Self>),
    /// `a && b && …`, flat.
    All(Vec<Self>),
    /// `a || b || …`, flat.
    Any(Vec<Self>),
    /// `a ? b : c`.
    If(Box<[Self; 3]>),

    /// `has(field)`: there, and of this type.
    Has(Path, Type),
    /// A number against a constant.
    Threshold(Box<Threshold>),
    /// Any other comparison.
    Compare(Kind, Comparison, Box<[Self; 2]>),
    /// `element in list`.
    In(Kind, Box<[Self; 2]>),
    /// `text.contains(part)` and its like.
    Part(Part, Box<[Self; 2]>),
    /// `text.matches(pattern)`.
    Matches(Box<Self>, Regex),
    /// `list.exists(x, condition)`, or `list.all(x, condition)`.
    Each(Box<Each>),
    /// `about("Topic")`.
    About(String),
    /// `mentions("a", "b")`.
    Mentions(Vec<Phrase>),

    /// `-a`.
    Negate(Box<Self>),
    /// `a + b` and its like, on numbers, and how it is written: a computation may have no result.
    Arithmetic(Arithmetic, Box<[Self; 2]>, Box<str>),
    /// `a + b` on text.
    Join(Box<[Self; 2]>),
    /// `text.lowerAscii()`.
    LowerAscii(Box<Self>),
    /// The characters of a text.
    TextSize(Box<Self>),
    /// The elements of a list.
    ListSize(Box<Self>),
}

impl Expr {
    /// Shows every node of the tree, the outer before the inner.
    pub(crate) fn walk<'e>(&'e self, see: &mut impl FnMut(&'e Self)) {
        see(self);
        match self {
            Self::Not(inner)
            | Self::Matches(inner, _)
            | Self::Negate(inner)
            | Self::LowerAscii(inner)
            | Self::TextSize(inner)
            | Self::ListSize(inner) => inner.walk(see),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.walk(see)),
            Self::If(parts) => parts.iter().for_each(|part| part.walk(see)),
            Self::Compare(_, _, sides)
            | Self::In(_, sides)
            | Self::Part(_, sides)
            | Self::Arithmetic(_, sides, _)
            | Self::Join(sides) => sides.iter().for_each(|side| side.walk(see)),
            Self::Threshold(threshold) => threshold.side.walk(see),
            Self::Each(each) => {
                each.list.walk(see);
                each.condition.walk(see);
            }
            Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Field(_)
            | Self::Score(_)
            | Self::Age(_)
            | Self::Has(..)
            | Self::About(_)
            | Self::Mentions(_) => {}
        }
    }
}

/// Bounds the recursion of every walk over a tree.
pub(crate) const MAX_DEPTH: usize = 64;

/// `exists` and `all` inside each other.
pub(crate) const MAX_NESTING: usize = 2;

/// A place in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Where it starts.
    pub(crate) root: Root,
    /// The way from there.
    pub(crate) steps: Vec<Step>,
    /// How messages call it; for an element of a list, what follows the element.
    pub(crate) name: String,
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// The record's keys.
    Record,
    /// `published`, after what a missing key means.
    Published,
    /// The effective topics.
    Topics,
    /// Title and excerpt.
    Text,
    /// `domain`.
    Domain,
    /// The element that the enclosing `exists` or `all` looks at, counted from the outermost.
    Element(usize),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    At(usize),
}

/// A number against a constant, the constant on the right.
#[derive(Clone, Debug)]
pub(crate) struct Threshold {
    pub(crate) side: Expr,
    pub(crate) comparison: Comparison,
    pub(crate) limit: f64,
    /// The side as it is written.
    pub(crate) name: String,
}

/// `list.exists(x, condition)`, or `all` when every element must satisfy it.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    pub(crate) every: bool,
    pub(crate) list: Expr,
    pub(crate) condition: Expr,
}

/// What two sides are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Number,
    Text,
}

/// How two sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Which part of a text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Inside,
    Start,
    End,
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What an age is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Hours,
    Days,
}

impl Unit {
    pub(crate) fn hours(self) -> f64 {
        match self {
            Self::Hours => 1.0,
            Self::Days => 24.0,
        }
    }
}

impl Comparison {
    /// The comparison that holds when the sides change places.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
            same => same,
        }
    }

    /// Whether it asks for more or less, rather than for the same.
    pub(crate) fn is_ordering(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    pub(crate) fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

impl Arithmetic {
    /// The result, if it is a finite number.
    pub(crate) fn apply(self, left: f64, right: f64) -> Option<f64> {
        let result = match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Remainder => left % right,
        };
        result.is_finite().then_some(result)
    }
}

impl Path {
    pub(crate) fn new(root: Root, name: &str) -> Self {
        Self {
            root,
            steps: Vec::new(),
            name: name.to_owned(),
        }
    }

    /// The path to a top-level key.
    pub(crate) fn of_key(key: &str) -> Self {
        let name = if is_identifier(key) {
            key.to_owned()
        } else {
            format!("record[{key:?}]")
        };
        Self {
            root: Root::Record,
            steps: vec![Step::Key(key.to_owned())],
            name,
        }
    }

    /// The path one step further.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.name += &match &step {
            Step::Key(key) if is_identifier(key) => format!(".{key}"),
            Step::Key(key) => format!("[{key:?}]"),
            Step::At(at) => format!("[{at}]"),
        };
        self.steps.push(step);
        self
    }
}

/// Whether a key can be written as it is.
pub(super) fn is_identifier(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
