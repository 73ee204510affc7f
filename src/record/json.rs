//! Reads JSON into the tree that YAML is read into.
//!
//! `serde_json` says whether it is JSON; after that only places have to be found.

use crate::record::value::Value;
use crate::record::yaml::{self, Budget, Data, Fault, Key, Node, Spent, Style};
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use serde_json::error::Category;
use std::collections::HashSet;

pub(crate) const UNCLOSED: &str = "the JSON object is not closed";

/// How many bytes the value takes that a text begins with.
///
/// # Errors
/// What is not JSON.
pub fn length(source: &str) -> Result<usize, Fault> {
    let mut values = Deserializer::from_str(source).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Err(error)) => Err(fault(source, &error)),
        Some(Ok(_)) | None => Ok(values.byte_offset()),
    }
}

/// Reads one value, which must be all there is.
///
/// # Errors
/// What is not JSON, names a key twice, or goes over `budget`.
pub fn read(source: &str, budget: Budget) -> Result<Node, Fault> {
    serde_json::from_str::<IgnoredAny>(source).map_err(|error| fault(source, &error))?;
    let mut reader = Reader {
        source,
        at: 0,
        spent: Spent::of(budget),
    };
    reader.value(0)
}

/// Walks over what is known to be JSON.
struct Reader<'s> {
    source: &'s str,
    at: usize,
    spent: Spent,
}

impl Reader<'_> {
    /// The first byte of the next token; in JSON that is known to be right, commas and colons say
    /// nothing.
    fn next(&mut self) -> Option<u8> {
        let rest = self.source[self.at..].trim_start_matches([' ', '\t', '\r', '\n', ',', ':']);
        self.at = self.source.len() - rest.len();
        rest.bytes().next()
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        let first = self.next();
        let start = self.at;
        self.spent.node(depth, start)?;
        let data = match first {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Data::Scalar(Value::Text(self.string()?), Style::Double),
            _ => self.literal(),
        };
        Ok(Node {
            span: start..self.at,
            data,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Data, Fault> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        self.at += 1;
        while self.next().is_some_and(|byte| byte != b'}') {
            let start = self.at;
            self.spent.count(1, start)?;
            let text = self.string()?;
            let key = Key {
                span: start..self.at,
                text,
            };
            if !seen.insert(key.text.clone()) {
                return Err(Fault::twice(start, &key.text));
            }
            entries.push((key, self.value(depth + 1)?));
        }
        self.at += 1;
        Ok(Data::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Data, Fault> {
        let mut nodes = Vec::new();
        self.at += 1;
        while self.next().is_some_and(|byte| byte != b']') {
            self.spent.entry(nodes.len(), self.at)?;
            nodes.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Ok(Data::List(nodes))
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let mut bytes = self.source.bytes().enumerate().skip(start + 1);
        while let Some((at, byte)) = bytes.next() {
            self.at = at + 1;
            match byte {
                b'\\' => drop(bytes.next()),
                b'"' => break,
                _ => {}
            }
        }
        serde_json::from_str(&self.source[start..self.at]).map_err(|error| Fault {
            at: start,
            message: reason(&error),
        })
    }

    /// `true`, `false`, `null` or a number; a number that a float does not hold is text.
    fn literal(&mut self) -> Data {
        let rest = &self.source[self.at..];
        let ends = |c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace();
        let text = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += text.len();
        match yaml::plain_value(text) {
            value @ Value::Text(_) => Data::Scalar(value, Style::Marked),
            value => Data::Scalar(value, Style::Plain),
        }
    }
}

fn fault(source: &str, error: &serde_json::Error) -> Fault {
    if error.classify() == Category::Eof {
        return Fault {
            at: source.len(),
            message: UNCLOSED.into(),
        };
    }
    let lines: usize = source
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = lines + error.column().saturating_sub(1);
    let before = source.get(..at).unwrap_or_default().trim_end();
    let closes = source.get(at..).is_some_and(|s| s.starts_with(['}', ']']));
    match before.strip_suffix(',') {
        Some(before) if closes => Fault {
            at: before.len(),
            message: "a comma after the last entry".into(),
        },
        _ => Fault {
            at,
            message: reason(error),
        },
    }
}

/// The reason without its place.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        read(json, Budget::RECORD).unwrap_err().message
    }

    #[test]
    fn values_are_read_as_another_reader_reads_them() {
        let json =
            r#" {"a" : [1, -2.5e3, true, null, "x\"\\\/é\ud83d\ude00"], "b":{"":[]},"c":"{]," }"#;
        let node = read(json, Budget::RECORD).unwrap();
        let other: Value = serde_json::from_str(json).unwrap();
        assert_eq!(node.to_value(), other);
        let (key, list) = &node.as_map().unwrap()[0];
        assert_eq!(&json[key.span.clone()], "\"a\"");
        let spans: Vec<_> = list
            .as_list()
            .unwrap()
            .iter()
            .map(|n| &json[n.span.clone()])
            .collect();
        assert_eq!(
            spans,
            ["1", "-2.5e3", "true", "null", r#""x\"\\\/é\ud83d\ude00""#]
        );
    }

    #[test]
    fn a_number_that_no_float_holds_is_text() {
        let node = read("{\"a\": 1e400, \"b\": 9007199254740995}", Budget::RECORD).unwrap();
        let texts: Vec<_> = node
            .as_map()
            .unwrap()
            .iter()
            .map(|(_, n)| n.to_value())
            .collect();
        assert_eq!(
            texts,
            [
                Value::Text("1e400".into()),
                Value::Text("9007199254740995".into())
            ]
        );
    }

    #[test]
    fn budgets_hold() {
        let nested = |n: usize| format!("{{\"a\": {}{}}}", "[".repeat(n), "]".repeat(n));
        assert_eq!(refused(&nested(33)), "nested deeper than 32 levels");
        assert!(read(&nested(32), Budget::RECORD).is_ok());
        assert_eq!(refused(&nested(100_000)), "nested deeper than 32 levels");
        let list = format!("[{}0]", "0,".repeat(1_000));
        assert_eq!(refused(&list), "a list of more than 1000 entries");
        let keys: Vec<_> = (0..3_000).map(|n| format!("\"{n}\": 0")).collect();
        assert_eq!(
            refused(&format!("{{{}}}", keys.join(","))),
            "more than 5000 values"
        );
        assert_eq!(refused(&"[".repeat(200_000)), UNCLOSED);
    }
}
