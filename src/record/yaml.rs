//! Reads YAML that others write, records and rule files alike, into a tree that knows where each
//! node stands.
//!
//! The parser behind it is `granit-parser`, which streams events with byte spans in linear time
//! and stops at a nesting limit (libyaml and its ports take seconds on 10 KB of `[`). Everything
//! here is a budget or a refusal to guess: no merge keys, no tags beyond the core schema, no
//! duplicate keys, no second document, aliases counted by what they expand to.

use crate::record::shown;
use crate::record::value::{Map, Value};
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, Span, Tag, options};
use std::collections::{HashMap, HashSet};
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
#[derive(Clone, Debug)]
pub struct Node {
    /// Byte range of the value in the source; for an alias, of the alias.
    pub span: Range<usize>,
    /// What stands there.
    pub data: Data,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Data {
    /// A scalar and how it is written.
    Scalar(Value, Style),
    /// A list.
    List(Vec<Node>),
    /// A mapping; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping: its text as written, and where.
#[derive(Clone, Debug)]
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

/// Reads one document; `None` when it holds nothing but blanks and comments.
///
/// # Errors
/// What is not YAML, goes over `budget`, or would have to be guessed.
pub fn read(source: &str, budget: Budget) -> Result<Option<Node>, Fault> {
    let options = options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: budget.depth,
        block_nesting_limit: budget.depth,
    };
    Composer::new(source, options, budget).document()
}

struct Composer<'s> {
    source: &'s str,
    parser: Parser<'s, granit_parser::StrInput<'s>>,
    budget: Budget,
    spent: Spent,
    aliases: usize,
    anchors: HashMap<usize, Node>,
    anchors_seen: usize,
}

impl<'s> Composer<'s> {
    fn new(source: &'s str, options: Options, budget: Budget) -> Self {
        Self {
            source,
            parser: Parser::new_from_str_with_options(source, options),
            budget,
            spent: Spent::of(budget),
            aliases: 0,
            anchors: HashMap::new(),
            anchors_seen: 0,
        }
    }

    fn document(mut self) -> Result<Option<Node>, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(fault(&span, "a second YAML document begins here"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                // A document of nothing is an empty plain scalar.
                Event::Scalar(ref text, ScalarStyle::Plain, 0, None) if text.is_empty() => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'s>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(self.source.len());
                Err(Fault {
                    at: at.min(self.source.len()),
                    message: match error.kind() {
                        ErrorKind::RecursionLimitExceeded => too_deep(self.spent.budget.depth),
                        kind => kind.to_string(),
                    },
                })
            }
            None => Err(Fault {
                at: self.source.len(),
                message: "the document ends early".into(),
            }),
        }
    }

    fn node(&mut self, event: Event<'s>, span: Span, depth: usize) -> Result<Node, Fault> {
        self.spent.node(depth, offset(&span))?;
        let range = self.range(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = resolve(&text, style, tag.as_deref()).map_err(|m| fault(&span, m))?;
                let style = match style {
                    _ if anchor > 0 || tag.is_some() => Style::Marked,
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::Single,
                    ScalarStyle::DoubleQuoted => Style::Double,
                    _ => Style::Block,
                };
                self.keep(
                    anchor,
                    Node {
                        span: range,
                        data: Data::Scalar(value, style),
                    },
                    &span,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                known(tag.as_deref(), "seq").map_err(|m| fault(&span, m))?;
                let mut nodes = Vec::new();
                let end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, end) => break end,
                        (event, span) => {
                            self.spent.entry(nodes.len(), offset(&span))?;
                            nodes.push(self.node(event, span, depth + 1)?);
                        }
                    }
                };
                let range = range.start..self.range(&end).end;
                self.keep(
                    anchor,
                    Node {
                        span: range,
                        data: Data::List(nodes),
                    },
                    &span,
                )
            }
            Event::MappingStart(_, anchor, tag) => {
                known(tag.as_deref(), "map").map_err(|m| fault(&span, m))?;
                let (entries, end) = self.entries(depth)?;
                let range = range.start..self.range(&end).end;
                self.keep(
                    anchor,
                    Node {
                        span: range,
                        data: Data::Map(entries),
                    },
                    &span,
                )
            }
            Event::Alias(id) => {
                self.aliases += 1;
                if self.aliases > self.budget.aliases {
                    let most = self.budget.aliases;
                    return Err(fault(
                        &span,
                        match most {
                            0 => "aliases (`*name`) are not read here".to_owned(),
                            _ => format!("more than {most} aliases"),
                        },
                    ));
                }
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(fault(
                        &span,
                        "an alias that stands for a node around itself",
                    ));
                };
                self.spent.count(node.size(), offset(&span))?;
                let data = match node.data {
                    Data::Scalar(value, _) => Data::Scalar(value, Style::Marked),
                    data => data,
                };
                Ok(Node { span: range, data })
            }
            _ => Err(fault(&span, "a value is expected here")),
        }
    }

    fn entries(&mut self, depth: usize) -> Result<(Vec<(Key, Node)>, Span), Fault> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (text, span) = match self.next()? {
                (Event::MappingEnd, end) => return Ok((entries, end)),
                (Event::Scalar(text, style, _, tag), span) => {
                    known(tag.as_deref(), "str").map_err(|m| fault(&span, m))?;
                    if text.is_empty() {
                        return Err(fault(&span, "a key without a name"));
                    }
                    if text == "<<" && style == ScalarStyle::Plain {
                        return Err(fault(
                            &span,
                            "merge keys (`<<`) are not read; write the keys out",
                        ));
                    }
                    (text.into_owned(), span)
                }
                (_, span) => return Err(fault(&span, "a key must be text")),
            };
            self.spent.count(1, offset(&span))?;
            if !seen.insert(text.clone()) {
                return Err(Fault::twice(offset(&span), &text));
            }
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span, depth + 1)?;
            entries.push((
                Key {
                    text,
                    span: self.range(&span),
                },
                node,
            ));
        }
    }

    fn keep(&mut self, anchor: usize, node: Node, span: &Span) -> Result<Node, Fault> {
        if anchor > 0 {
            self.anchors_seen += 1;
            if self.anchors_seen > self.budget.anchors {
                let most = self.budget.anchors;
                return Err(fault(
                    span,
                    match most {
                        0 => "anchors (`&name`) are not read here".to_owned(),
                        _ => format!("more than {most} anchors"),
                    },
                ));
            }
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn range(&self, span: &Span) -> Range<usize> {
        span.byte_range()
            .unwrap_or(self.source.len()..self.source.len())
    }
}

fn fault(span: &Span, message: impl Into<String>) -> Fault {
    Fault {
        at: offset(span),
        message: message.into(),
    }
}

fn offset(span: &Span) -> usize {
    let start = span.tag_start().unwrap_or(span.start);
    start.byte_offset().unwrap_or_default()
}

/// Accepts no tag, or the core schema's tag of that name.
fn known(tag: Option<&Tag>, name: &str) -> Result<(), String> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(name) => {
            Err(format!("the tag `{}` is not known here", tag.original()))
        }
        _ => Ok(()),
    }
}

/// The value of a scalar by the YAML 1.2 core schema (section 10.3.2), except that a number which
/// a 64-bit float cannot hold, and one with a leading zero, stay text.
fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let plain = style == ScalarStyle::Plain;
    let Some(tag) = tag else {
        return Ok(if plain {
            plain_value(text)
        } else {
            Value::Text(text.to_owned())
        });
    };
    let value = plain_value(text);
    match (tag.core_suffix(), &value) {
        (Some("str"), _) => Ok(Value::Text(text.to_owned())),
        (Some("bool"), Value::Bool(_))
        | (Some("int" | "float"), Value::Number(_))
        | (Some("null"), Value::Null) => Ok(value),
        _ => Err(format!("the tag `{}` is not known here", tag.original())),
    }
}

pub(crate) fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

pub(crate) fn number(text: &str) -> Option<f64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if let Some(hex) = text.strip_prefix("0x") {
        return whole_number(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return whole_number(octal, 8);
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let shaped = match fraction {
        None => digits(whole),
        Some(fraction) => {
            (whole.is_empty() || digits(whole))
                && (fraction.is_empty() || digits(fraction))
                && whole.len() + fraction.len() > 0
        }
    } && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !shaped || leading_zero {
        return None;
    }
    let n: f64 = text.parse().ok()?;
    let exact = fraction.is_some() || exponent.is_some() || n.abs() <= EXACT;
    (n.is_finite() && exact).then_some(n + 0.0) // -0 is 0
}

/// A number of hexadecimal or octal digits, if a float holds it exactly.
fn whole_number(digits: &str, radix: u32) -> Option<f64> {
    let n = digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then_some(digits)?;
    let n = u64::from_str_radix(n, radix).ok()?;
    u32::try_from(n).ok().map(f64::from)
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
