//! Changes one key of a record's front matter and not another byte.
//!
//! The edit replaces the bytes of one scalar, or inserts one line. Then both versions are read
//! again and compared: they must differ in that key alone and in one line alone, or the edit is
//! refused and a person has to make it.

use crate::record::value::{Map, Value};
use crate::record::yaml::{Data, Node, Style};
use crate::record::{Broken, Parts, split};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The bytes of a file after an edit, and what takes it back.
#[derive(Debug, PartialEq)]
pub struct Edited {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What takes the edit back.
    pub undo: Undo,
}

/// What an edit did to one key, as the scalars are written in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The key.
    pub key: String,
    /// The scalar that stood there; `None` when the line was inserted.
    pub before: Option<String>,
    /// The scalar that the edit wrote.
    pub after: String,
}

/// Whether a file has a top-level key.
///
/// # Errors
/// [`EditError::Broken`].
pub fn has(bytes: &[u8], key: &str) -> Result<bool, EditError> {
    Ok(find(&split(bytes)?, key).is_some())
}

/// Sets a top-level key to a scalar. `None` when the file holds that value already.
///
/// The scalar keeps its quotes, its comment and its line ending; a missing key becomes one line at
/// the end of the front matter.
///
/// # Errors
/// [`EditError`]; nothing may be written then.
pub fn set(bytes: &[u8], key: &str, value: &Value) -> Result<Option<Edited>, EditError> {
    let parts = split(bytes)?;
    let Some(node) = find(&parts, key) else {
        let line = Line::new(&parts, key, value)?;
        let edited = splice(bytes, line.at..line.at, &line.text);
        verify(bytes, &edited, key, Some(value))?;
        let undo = Undo {
            key: key.into(),
            before: None,
            after: written(value, Style::Plain)?,
        };
        return Ok(Some(Edited {
            bytes: edited,
            undo,
        }));
    };
    let (Some(stands), Data::Scalar(_, style)) = (node.as_scalar(), &node.data) else {
        return Err(EditError::odd(key, "is no single value"));
    };
    if stands == value {
        return Ok(None);
    }
    if std::mem::discriminant(stands) != std::mem::discriminant(value) {
        return Err(EditError::odd(key, &format!("holds {}", stands.kind())));
    }
    let after = written(value, *style).map_err(|_| {
        EditError::odd(
            key,
            "is written as a block, or marked by a tag, anchor or alias",
        )
    })?;
    let range = place(&parts, node);
    let edited = splice(bytes, range.clone(), &after);
    verify(bytes, &edited, key, Some(value))?;
    let before = Some(parts.text[range].to_owned());
    Ok(Some(Edited {
        bytes: edited,
        undo: Undo {
            key: key.into(),
            before,
            after,
        },
    }))
}

/// Takes an edit back. `None` when what it wrote does not stand there any more.
///
/// # Errors
/// [`EditError`]; nothing may be written then.
pub fn undo(bytes: &[u8], undo: &Undo) -> Result<Option<Edited>, EditError> {
    let parts = split(bytes)?;
    let Some(node) = find(&parts, &undo.key) else {
        return Ok(None);
    };
    let range = place(&parts, node);
    if parts.text[range.clone()] != undo.after {
        return Ok(None);
    }
    let (range, text) = match &undo.before {
        Some(before) => (range, before.as_str()),
        None => (line_around(&parts, &range), ""),
    };
    let edited = splice(bytes, range, text);
    verify(bytes, &edited, &undo.key, None)?;
    Ok(Some(Edited {
        bytes: edited,
        undo: undo.clone(),
    }))
}

fn find<'p>(parts: &'p Parts<'_>, key: &str) -> Option<&'p Node> {
    parts
        .tree
        .as_map()?
        .iter()
        .find(|(k, _)| k.text == key)
        .map(|(_, node)| node)
}

/// The bytes of a node in the whole file.
fn place(parts: &Parts<'_>, node: &Node) -> Range<usize> {
    parts.front.start + node.span.start..parts.front.start + node.span.end
}

/// The whole line that a range stands on, with its ending.
fn line_around(parts: &Parts<'_>, range: &Range<usize>) -> Range<usize> {
    let start = parts.text[..range.start].rfind('\n').map_or(0, |lf| lf + 1);
    let end = parts.text[range.end..]
        .find('\n')
        .map_or(parts.text.len(), |lf| range.end + lf + 1);
    start..end
}

/// The line that a missing key becomes.
struct Line {
    at: usize,
    text: String,
}

impl Line {
    fn new(parts: &Parts<'_>, key: &str, value: &Value) -> Result<Self, EditError> {
        let front = &parts.text[parts.front.clone()];
        // The ending of the last line of the front matter, which is never the file's last line.
        let ending = if front.ends_with("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        let first = parts.tree.as_map().and_then(|entries| entries.first());
        let indent = first.map_or("", |(first, _)| {
            let start = front[..first.span.start].rfind('\n').map_or(0, |lf| lf + 1);
            &front[start..first.span.start]
        });
        if !indent.chars().all(|c| c == ' ') {
            return Err(EditError::odd(
                key,
                "is missing, and the front matter is no plain list of keys",
            ));
        }
        let value = written(value, Style::Plain)?;
        let key = written(&Value::Text(key.to_owned()), Style::Plain)?;
        Ok(Self {
            at: parts.front.end,
            text: format!("{indent}{key}: {value}{ending}"),
        })
    }
}

/// A value as YAML writes it on one line, in the quotes that stand there.
fn written(value: &Value, style: Style) -> Result<String, EditError> {
    let refuse = || EditError::Refused(format!("{} cannot be written on one line", value.kind()));
    match (value, style) {
        (_, Style::Block | Style::Marked) => Err(refuse()),
        (Value::List(_) | Value::Map(_), _) => Err(refuse()),
        (Value::Text(text), Style::Single) if !text.contains(char::is_control) => {
            Ok(format!("'{}'", text.replace('\'', "''")))
        }
        (Value::Text(text), Style::Single | Style::Double) => {
            serde_json::to_string(text).map_err(|_| refuse())
        }
        _ => {
            let yaml = serde_yaml::to_string(value).map_err(|_| refuse())?;
            let yaml = yaml.trim_end();
            if yaml.contains('\n') {
                Err(refuse())
            } else {
                Ok(yaml.to_owned())
            }
        }
    }
}

fn splice(bytes: &[u8], range: Range<usize>, text: &str) -> Vec<u8> {
    [&bytes[..range.start], text.as_bytes(), &bytes[range.end..]].concat()
}

/// Reads both versions and compares them: only `key` may differ, in one line, and no byte of the
/// body, and it holds what was wanted.
fn verify(before: &[u8], after: &[u8], key: &str, wanted: Option<&Value>) -> Result<(), EditError> {
    let unsafe_edit =
        || EditError::Refused(format!("setting `{key}` would change more than that key"));
    let (old, new) = (split(before)?, split(after).map_err(|_| unsafe_edit())?);
    let without_key = |parts: &Parts<'_>| -> Map {
        let mut map = parts.tree.to_map();
        map.remove(key);
        map
    };
    let same_front = without_key(&old) == without_key(&new);
    let same_body = old.body() == new.body();
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let shorter = before.len().min(after.len()) - start;
    let end = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take(shorter)
        .take_while(|(a, b)| a == b)
        .count();
    let breaks = |bytes: &[u8]| {
        bytes[start..bytes.len() - end]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    };
    let one_line = match (breaks(before), breaks(after)) {
        (0, 0) => true,
        (0, 1) | (1, 0) => find(&old, key).is_none() || find(&new, key).is_none(),
        _ => false,
    };
    let as_wanted =
        wanted.is_none_or(|value| find(&new, key).and_then(Node::as_scalar) == Some(value));
    if same_front && same_body && one_line && as_wanted {
        Ok(())
    } else {
        Err(unsafe_edit())
    }
}

/// Why an edit is left to a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file is no record.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The edit would guess, or change more than its key.
    #[error("{0}")]
    Refused(String),
}

impl EditError {
    fn odd(key: &str, how: &str) -> Self {
        Self::Refused(format!(
            "`{key}` {how}; it is not written over: change it by hand"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: Value = Value::Bool(true);

    fn publish(file: &str) -> Result<Option<String>, String> {
        match set(file.as_bytes(), "published", &TRUE) {
            Ok(edited) => Ok(edited.map(|e| String::from_utf8(e.bytes).unwrap())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn one_scalar_changes_or_one_line_comes() {
        for (before, after) in [
            (
                "---\na: 1\npublished: false\n---\nbody",
                "---\na: 1\npublished: true\n---\nbody",
            ),
            (
                "---\r\npublished:   false  # why\r\na: 1\r\n---\r\n",
                "---\r\npublished:   true  # why\r\na: 1\r\n---\r\n",
            ),
            (
                "\u{feff}---\npublished: False\n---",
                "\u{feff}---\npublished: true\n---",
            ),
            (
                "---\n{a: 1, published: false, b: [2]}\n---\n",
                "---\n{a: 1, published: true, b: [2]}\n---\n",
            ),
            (
                "---\n\"published\": false\n---\n",
                "---\n\"published\": true\n---\n",
            ),
            (
                "---\na: 1\n---\nbody",
                "---\na: 1\npublished: true\n---\nbody",
            ),
            (
                "---\r\na: 1\r\n---\r\nbody",
                "---\r\na: 1\r\npublished: true\r\n---\r\nbody",
            ),
            (
                "---\n  a: 1\n  b: 2\n---\n",
                "---\n  a: 1\n  b: 2\n  published: true\n---\n",
            ),
            (
                "---\na: |+\n  x\n\n\n---\n",
                "---\na: |+\n  x\n\n\npublished: true\n---\n",
            ),
            (
                "---\na: 1\n# end\n...\n",
                "---\na: 1\n# end\npublished: true\n...\n",
            ),
            (
                "---\nrelated:\n  - published: false\n---\n",
                "---\nrelated:\n  - published: false\npublished: true\n---\n",
            ),
        ] {
            assert_eq!(publish(before), Ok(Some(after.into())), "{before:?}");
            let edit = set(before.as_bytes(), "published", &TRUE).unwrap().unwrap();
            let back = super::undo(&edit.bytes, &edit.undo).unwrap().unwrap();
            assert_eq!(String::from_utf8(back.bytes).unwrap(), before);
        }
    }

    #[test]
    fn a_value_that_stands_is_left_alone() {
        assert_eq!(publish("---\npublished: true\n---\n"), Ok(None));
        assert_eq!(publish("---\npublished: !!bool true\n---\n"), Ok(None));
        let undo = Undo {
            key: "published".into(),
            before: None,
            after: "true".into(),
        };
        assert_eq!(
            super::undo(b"---\npublished: false\n---\n", &undo),
            Ok(None)
        );
    }

    #[test]
    fn what_would_have_to_be_guessed_is_left_to_a_person() {
        for (file, reason) in [
            ("---\npublished: \"false\"\n---\n", "holds text"),
            ("---\npublished: no\n---\n", "holds text"),
            ("---\npublished: 0\n---\n", "holds a number"),
            ("---\npublished:\n---\n", "holds nothing"),
            ("---\npublished: [false]\n---\n", "is no single value"),
            (
                "---\npublished: &p false\nb: *p\n---\n",
                "marked by a tag, anchor or alias",
            ),
            (
                "---\npublished: !!bool false\n---\n",
                "marked by a tag, anchor or alias",
            ),
            ("---\n{a: 1}\n---\n", "no plain list of keys"),
            (
                "---\npublished: false\npublished: true\n---\n",
                "stands twice",
            ),
        ] {
            let error = publish(file).unwrap_err();
            assert!(error.contains(reason), "{file:?}: {error}");
        }
    }

    #[test]
    fn what_would_not_read_back_is_refused() {
        let set = set(
            b"---\nstatus: 'draft'\n---\n",
            "title",
            &Value::Text("a\u{2028}b".into()),
        );
        assert!(set.is_err(), "{set:?}");
    }

    #[test]
    fn text_keeps_its_quotes() {
        let set = |file: &str, text: &str| {
            let edited = set(file.as_bytes(), "status", &Value::Text(text.into()))
                .unwrap()
                .unwrap();
            String::from_utf8(edited.bytes).unwrap()
        };
        assert_eq!(
            set("---\nstatus: draft\n---\n", "ready"),
            "---\nstatus: ready\n---\n"
        );
        assert_eq!(
            set("---\nstatus: draft\n---\n", "true"),
            "---\nstatus: 'true'\n---\n"
        );
        assert_eq!(
            set("---\nstatus: 'draft'\n---\n", "it's"),
            "---\nstatus: 'it''s'\n---\n"
        );
        assert_eq!(
            set("---\nstatus: \"draft\"\n---\n", "a\"b"),
            "---\nstatus: \"a\\\"b\"\n---\n"
        );
    }
}
