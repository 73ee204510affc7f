//! Reads YAML that others write, records and rule files alike, into a tree that knows where each
//! node stands.
//!
//! What programs write is read by a scanner of [its own](plain), many times faster than all of YAML
//! can be; it declines whatever is not plain, and the [full reader](full) reads that, or says what
//! is wrong. Everything here is a budget or a refusal to guess: no merge keys, no tags beyond the
//! core schema, no duplicate keys, no second document, aliases counted by what they expand to.

pub mod full;
pub mod plain;
mod scalar;

pub(crate) use self::scalar::{number, plain_value};

use crate::record::shown;
use crate::record::value::{Map, Name, Value};
use std::borrow::Cow;
use std::ops::Range;

/// What one document may cost at most.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Levels of nesting.
    pub depth: usize,
    /// Nodes: scalars, lists and mappings, aliases counted by what they stand for.
    pub nodes: usize,
    /// Entries in one list.
    pub list: usize,
    /// Anchors that may be set.
    pub anchors: usize,
    /// Aliases that may be used.
    pub aliases: usize,
}

impl Budget {
    /// For the front matter of a record, which is untrusted.
    pub const RECORD: Self = Self {
        depth: 32,
        nodes: 5_000,
        list: 1_000,
        anchors: 32,
        aliases: 128,
    };
    /// For a rule file, which editors write: large sets are fine, aliases are not.
    pub const RULES: Self = Self {
        depth: 32,
        nodes: 1_000_000,
        list: 1_000_000,
        anchors: 0,
        aliases: 0,
    };
}

/// A node of the tree, with the bytes of the source that it covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Byte range of the value in the source; for an alias, of the alias.
    pub span: Range<usize>,
    /// What stands there.
    pub data: Data,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A scalar and how it is written.
    Scalar(Value, Style),
    /// A list.
    List(Vec<Node>),
    /// A mapping; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping: its text as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text of the key; a plain `2020` is the text "2020".
    pub text: String,
    /// Byte range in the source.
    pub span: Range<usize>,
}

/// How a scalar is written, as far as an edit must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bare text.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A literal or folded block.
    Block,
    /// With a tag or an anchor, or standing for another node: never edited.
    Marked,
}

/// What of a budget is spent.
#[derive(Debug)]
pub(crate) struct Spent {
    budget: Budget,
    nodes: usize,
}

impl Spent {
    pub(crate) fn of(budget: Budget) -> Self {
        Self { budget, nodes: 0 }
    }

    /// Counts a node that stands so deep.
    pub(crate) fn node(&mut self, depth: usize, at: usize) -> Result<(), Fault> {
        let most = self.budget.depth;
        if depth > most {
            return Err(Fault {
                at,
                message: too_deep(most),
            });
        }
        self.count(1, at)
    }

    /// Counts nodes, or keys.
    pub(crate) fn count(&mut self, nodes: usize, at: usize) -> Result<(), Fault> {
        let most = self.budget.nodes;
        self.nodes += nodes;
        if self.nodes > most {
            return Err(Fault {
                at,
                message: format!("more than {most} values"),
            });
        }
        Ok(())
    }

    /// Asks whether a list may grow beyond so many entries.
    pub(crate) fn entry(&self, entries: usize, at: usize) -> Result<(), Fault> {
        let most = self.budget.list;
        if entries == most {
            return Err(Fault {
                at,
                message: format!("a list of more than {most} entries"),
            });
        }
        Ok(())
    }
}

fn too_deep(most: usize) -> String {
    format!("nested deeper than {most} levels")
}

/// Why a text is not read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Byte offset in the source.
    pub at: usize,
    /// The reason, lower case, without a final stop.
    pub message: String,
}

impl Fault {
    pub(crate) fn twice(at: usize, key: &str) -> Self {
        Self {
            at,
            message: format!("the key `{}` stands twice", shown::line(key, 80)),
        }
    }
}

impl Node {
    /// The mapping's entries, if this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(Key, Self)]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The list's nodes, if this is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The scalar's value, if this is one.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Value> {
        match &self.data {
            Data::Scalar(value, _) => Some(value),
            _ => None,
        }
    }

    /// The plain value, without places.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(value, _) => value.clone(),
            Data::List(nodes) => Value::List(nodes.iter().map(Self::to_value).collect()),
            Data::Map(_) => Value::Map(self.to_map()),
        }
    }

    /// The plain mapping, without places; empty if this is none.
    #[must_use]
    pub fn to_map(&self) -> Map {
        let entries = self.as_map().unwrap_or_default();
        entries
            .iter()
            .map(|(key, node)| (key.text.clone(), node.to_value()))
            .collect()
    }

    fn size(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(..) => 0,
            Data::List(nodes) => nodes.iter().map(Self::size).sum(),
            Data::Map(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
        }
    }
}

/// What a document is read as: a [`Node`], or a [`Value`] that knows no places.
pub trait Tree: From<Node> {
    /// A key of a mapping.
    type Key;

    /// A key of that text.
    fn key(text: Cow<'_, str>, span: Range<usize>) -> Self::Key;
    /// The text of a key, as bytes.
    fn text(key: &Self::Key) -> &[u8];
    /// A scalar.
    fn scalar(value: Value, style: Style, span: Range<usize>) -> Self;
    /// A list.
    fn list(entries: Vec<Self>, span: Range<usize>) -> Self;
    /// A mapping, the keys of which are unique.
    fn mapping(entries: Vec<(Self::Key, Self)>, span: Range<usize>) -> Self;
}

impl Tree for Node {
    type Key = Key;

    fn key(text: Cow<'_, str>, span: Range<usize>) -> Key {
        let text = text.into_owned();
        Key { text, span }
    }

    fn text(key: &Key) -> &[u8] {
        key.text.as_bytes()
    }

    fn scalar(value: Value, style: Style, span: Range<usize>) -> Self {
        let data = Data::Scalar(value, style);
        Self { span, data }
    }

    fn list(entries: Vec<Self>, span: Range<usize>) -> Self {
        let data = Data::List(entries);
        Self { span, data }
    }

    fn mapping(entries: Vec<(Key, Self)>, span: Range<usize>) -> Self {
        let data = Data::Map(entries);
        Self { span, data }
    }
}

impl Tree for Value {
    type Key = Name;

    fn key(text: Cow<'_, str>, _: Range<usize>) -> Name {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }

    fn text(key: &Name) -> &[u8] {
        key.as_bytes()
    }

    fn scalar(value: Value, _: Style, _: Range<usize>) -> Self {
        value
    }

    fn list(entries: Vec<Self>, _: Range<usize>) -> Self {
        Self::List(entries)
    }

    fn mapping(entries: Vec<(Name, Self)>, _: Range<usize>) -> Self {
        Self::Map(entries.into())
    }
}

impl From<Node> for Value {
    fn from(node: Node) -> Self {
        match node.data {
            Data::Scalar(value, _) => value,
            Data::List(nodes) => Self::List(nodes.into_iter().map(Self::from).collect()),
            Data::Map(entries) => {
                let plain = |(key, node): (Key, Node)| (key.text, Self::from(node));
                Self::Map(entries.into_iter().map(plain).collect())
            }
        }
    }
}

/// Reads one document; `None` when it holds nothing but blanks and comments.
///
/// # Errors
/// What is not YAML, goes over `budget`, or would have to be guessed.
pub fn read(source: &str, budget: Budget) -> Result<Option<Node>, Fault> {
    match plain::read(source, budget) {
        Some(root) => Ok(Some(root)),
        None => full::read(source, budget),
    }
}

/// Line and column, both from 1, of a byte offset; columns count characters.
#[must_use]
pub fn place(source: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let before = &source[..at];
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(yaml: &str) -> Value {
        read(yaml, Budget::RECORD).unwrap().unwrap().to_value()
    }

    fn refused(yaml: &str) -> String {
        let fault = read(yaml, Budget::RECORD).unwrap_err();
        let (line, column) = place(yaml, fault.at);
        format!("{line}:{column}: {}", fault.message)
    }

    #[test]
    fn scalars_follow_the_core_schema_and_nothing_else() {
        let number = |n: f64| Value::Number(n);
        let text = |t: &str| Value::Text(t.into());
        for (yaml, expected) in [
            ("44", number(44.0)),
            ("-0", number(0.0)),
            ("+3", number(3.0)),
            ("1.5", number(1.5)),
            (".5", number(0.5)),
            ("1e3", number(1000.0)),
            ("0x1F", number(31.0)),
            ("0o17", number(15.0)),
            ("0x-1", text("0x-1")),
            ("0x+1", text("0x+1")),
            ("1_000", text("1_000")),
            ("007", text("007")),
            ("1e400", text("1e400")),
            (".nan", text(".nan")),
            ("-.inf", text("-.inf")),
            ("9223372036854775808", text("9223372036854775808")),
            ("12:30:45", text("12:30:45")),
            ("2020-06-11T03:28:00Z", text("2020-06-11T03:28:00Z")),
            ("yes", text("yes")),
            ("True", Value::Bool(true)),
            ("\"true\"", text("true")),
            ("~", Value::Null),
            ("!!str 44", text("44")),
            ("!!bool true", Value::Bool(true)),
            ("e5", text("e5")),
            (".", text(".")),
        ] {
            let read = value(&format!("a: {yaml}"));
            assert_eq!(
                read.as_map().and_then(|m| m.get("a")),
                Some(&expected),
                "{yaml}"
            );
        }
    }

    #[test]
    fn what_would_have_to_be_guessed_is_refused_with_its_place() {
        for (yaml, expected) in [
            ("a: 1\nb: 2\na: 3\n", "3:1: the key `a` stands twice"),
            ("a: 1\n\"a\": 3\n", "2:1: the key `a` stands twice"),
            (
                "a: &x {b: 1}\nc:\n  <<: *x\n",
                "3:3: merge keys (`<<`) are not read; write the keys out",
            ),
            (
                "a: !!python/object:os.system x\n",
                "1:4: the tag `!!python/object:os.system` is not known here",
            ),
            (
                "a: !include /etc/passwd\n",
                "1:4: the tag `!include` is not known here",
            ),
            (
                "a: 1\n--- \nb: 2\n",
                "2:1: a second YAML document begins here",
            ),
            (
                "a: &x [*x]\n",
                "1:8: an alias that stands for a node around itself",
            ),
            ("? [a]\n: b\n", "1:3: a key must be text"),
        ] {
            assert_eq!(refused(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn budgets_hold_against_bombs() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let previous = format!("*a{}, ", n - 1).repeat(9);
            bomb.push_str(&format!(
                "a{n}: &a{n} [{}]\n",
                previous.trim_end_matches(", ")
            ));
        }
        assert!(
            refused(&bomb).ends_with("more than 5000 values"),
            "{}",
            refused(&bomb)
        );
        let anchors: String = (0..100).map(|n| format!("k{n}: &a{n} x\n")).collect();
        assert!(refused(&anchors).ends_with("more than 32 anchors"));
        let list = format!("a: [{}]\n", "x, ".repeat(1_001));
        assert!(refused(&list).ends_with("a list of more than 1000 entries"));
        refused(&format!("a: {}", "[".repeat(100_000)));
        refused(&format!(
            "a:\n{}",
            (0..100).map(|n| " ".repeat(n) + "- \n").collect::<String>()
        ));
        refused(&"- ".repeat(10_000));
    }
}
