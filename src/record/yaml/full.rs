//! Reads all of YAML that is read here, by `granit-parser`: it streams events with byte spans in
//! linear time and stops at a nesting limit (libyaml and its ports take seconds on 10 KB of `[`).

use super::scalar::plain_value;
use super::{Budget, Data, Fault, Key, Node, Spent, Style, too_deep};
use crate::record::value::Value;
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, Span, Tag, options};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Reads one document as [`read`](super::read) does, whatever it is written in.
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
