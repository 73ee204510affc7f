//! Changes one key of a record's front matter and not another byte.
//!
//! The edit replaces the bytes of one scalar, or inserts one line. Then both versions are read
//! again and compared: they must differ in that key alone and in one line alone, or the edit is
//! refused and a person has to make it.

use crate::record::kind::{Kind, Language, Parts, split};
use crate::record::value::{Map, Value};
use crate::record::yaml::{Data, Node, Style};
use crate::record::{Broken, toml};
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
pub fn has(bytes: &[u8], kind: Kind, key: &str) -> Result<bool, EditError> {
    Ok(find(&split(bytes, kind)?, key).is_some())
}

/// Sets a top-level key to a scalar. `None` when the file holds that value already.
///
/// The scalar keeps its quotes, its comment and its line ending; a missing key becomes one line: at
/// the end of YAML, before the first `[table]` of TOML, below the opening brace of JSON.
///
/// # Errors
/// [`EditError`]; nothing may be written then.
pub fn set(
    bytes: &[u8],
    kind: Kind,
    key: &str,
    value: &Value,
) -> Result<Option<Edited>, EditError> {
    let parts = split(bytes, kind)?;
    let Some(node) = find(&parts, key) else {
        let line = Line::new(&parts, key, value)?;
        let edited = splice(bytes, line.at..line.at, &line.text);
        verify((bytes, &edited), kind, key, Some(value))?;
        let undo = Undo {
            key: key.into(),
            before: None,
            after: written(value, Style::Plain, parts.language)?,
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
    let after = written(value, *style, parts.language).map_err(|_| {
        let how = match parts.language {
            Language::Yaml => "is written as a block, or marked by a tag, anchor or alias",
            Language::Toml => "is a date, a number of its own kind, or text between triple quotes",
            Language::Json => "is a number of its own kind",
        };
        EditError::odd(key, how)
    })?;
    let range = place(&parts, node);
    let edited = splice(bytes, range.clone(), &after);
    verify((bytes, &edited), kind, key, Some(value))?;
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
pub fn undo(bytes: &[u8], kind: Kind, undo: &Undo) -> Result<Option<Edited>, EditError> {
    let parts = split(bytes, kind)?;
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
    verify((bytes, &edited), kind, &undo.key, None)?;
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

/// The whole line that a range stands on, with its ending; the last line of a file may have none,
/// and goes with the ending before it.
fn line_around(parts: &Parts<'_>, range: &Range<usize>) -> Range<usize> {
    let text = parts.text;
    let start = text[..range.start].rfind('\n').map_or(0, |lf| lf + 1);
    let start = start.max(parts.front.start);
    match text[range.end..].find('\n') {
        Some(lf) => start..range.end + lf + 1,
        None => {
            let before = &text[..start];
            let before = before.strip_suffix('\n').unwrap_or(before);
            before.strip_suffix('\r').unwrap_or(before).len()..text.len()
        }
    }
}

/// The line that a missing key becomes.
struct Line {
    at: usize,
    text: String,
}

impl Line {
    fn new(parts: &Parts<'_>, key: &str, value: &Value) -> Result<Self, EditError> {
        let language = parts.language;
        let value = written(value, Style::Plain, language)?;
        let name = written_key(key, language)?;
        let (at, line) = match language {
            Language::Yaml => {
                let indent = indent(parts).ok_or_else(|| {
                    EditError::odd(
                        key,
                        "is missing, and the front matter is no plain list of keys",
                    )
                })?;
                (end_of_yaml(parts), format!("{indent}{name}: {value}"))
            }
            Language::Toml => {
                let front = &parts.text[parts.front.clone()];
                let at = toml::end_of_top(front).map_or(0, |end| {
                    front[end..]
                        .find('\n')
                        .map_or(front.len(), |lf| end + lf + 1)
                });
                (parts.front.start + at, format!("{name} = {value}"))
            }
            Language::Json => {
                let Some((at, indent)) = below_the_brace(parts) else {
                    return Err(EditError::Refused(format!(
                        "read-only: `{key}` is missing, and the JSON is not written one key per \
                         line: change it by hand"
                    )));
                };
                (at, format!("{indent}{name}: {value},"))
            }
        };
        let before = &parts.text[..at];
        let ending = match before.rfind('\n').or_else(|| parts.text.find('\n')) {
            Some(lf) if parts.text[..lf].ends_with('\r') => "\r\n",
            _ => "\n",
        };
        let text = if at == parts.front.start || before.ends_with('\n') {
            line + ending
        } else if before.ends_with('\r') {
            return Err(EditError::odd(
                key,
                "is missing, and the file ends in half a line ending",
            ));
        } else {
            // The file's last line has no ending, and the new one gets none either.
            format!("{ending}{line}")
        };
        Ok(Self { at, text })
    }
}

/// The spaces before the first key of YAML, if nothing else stands there.
fn indent<'p>(parts: &'p Parts<'_>) -> Option<&'p str> {
    let front = &parts.text[parts.front.clone()];
    let (first, _) = parts.tree.as_map()?.first()?;
    let start = front[..first.span.start].rfind('\n').map_or(0, |lf| lf + 1);
    let indent = &front[start..first.span.start];
    indent.chars().all(|c| c == ' ').then_some(indent)
}

/// Where the keys of YAML end: at the line that closes the document, or at the end.
fn end_of_yaml(parts: &Parts<'_>) -> usize {
    let mut at = parts.front.start;
    for line in parts.text[parts.front.clone()].split_inclusive('\n') {
        let closes = |rest: &str| rest.is_empty() || rest.starts_with(char::is_whitespace);
        if line.strip_prefix("...").is_some_and(closes) {
            return at;
        }
        at += line.len();
    }
    at
}

/// The line below the opening brace, and the indentation of the first key, if every key stands on
/// a line of its own.
fn below_the_brace<'p>(parts: &'p Parts<'_>) -> Option<(usize, &'p str)> {
    let front = &parts.text[parts.front.clone()];
    let mut indents = parts.tree.as_map()?.iter().map(|(key, _)| {
        let start = front[..key.span.start].rfind('\n')? + 1;
        let indent = &front[start..key.span.start];
        indent.trim().is_empty().then_some(indent)
    });
    let first = indents.next()??;
    if indents.any(|indent| indent.is_none()) {
        return None;
    }
    let brace = parts.tree.span.start;
    let below = brace + front[brace..].find('\n')? + 1;
    Some((parts.front.start + below, first))
}

/// A value on one line, in the quotes that stand there.
fn written(value: &Value, style: Style, language: Language) -> Result<String, EditError> {
    let refuse = || EditError::Refused(format!("{} cannot be written on one line", value.kind()));
    let json = || serde_json::to_string(value).map_err(|_| refuse());
    match (value, style, language) {
        (_, Style::Block | Style::Marked, _) | (Value::List(_) | Value::Map(_), ..) => {
            Err(refuse())
        }
        (Value::Null, _, Language::Toml) => Err(refuse()),
        (Value::Text(text), Style::Single, Language::Toml)
            if !text.contains('\'') && !text.contains(char::is_control) =>
        {
            Ok(format!("'{text}'"))
        }
        // Its text in double quotes is read by TOML as it is by JSON, but for one character.
        (_, _, Language::Toml) => Ok(json()?.replace('\u{7f}', "\\u007F")),
        (_, _, Language::Json) => json(),
        (Value::Text(text), Style::Single, Language::Yaml) if !text.contains(char::is_control) => {
            Ok(format!("'{}'", text.replace('\'', "''")))
        }
        (Value::Text(_), Style::Single | Style::Double, Language::Yaml) => json(),
        (_, _, Language::Yaml) => {
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

fn written_key(key: &str, language: Language) -> Result<String, EditError> {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if language == Language::Toml && !key.is_empty() && key.chars().all(bare) {
        return Ok(key.to_owned());
    }
    written(&Value::Text(key.to_owned()), Style::Plain, language)
}

fn splice(bytes: &[u8], range: Range<usize>, text: &str) -> Vec<u8> {
    [&bytes[..range.start], text.as_bytes(), &bytes[range.end..]].concat()
}

/// Reads both versions and compares them: only `key` may differ, in one line, and no byte of the
/// body, and it holds what was wanted.
fn verify(
    (before, after): (&[u8], &[u8]),
    kind: Kind,
    key: &str,
    wanted: Option<&Value>,
) -> Result<(), EditError> {
    let unsafe_edit =
        || EditError::Refused(format!("setting `{key}` would change more than that key"));
    let (old, new) = (
        split(before, kind)?,
        split(after, kind).map_err(|_| unsafe_edit())?,
    );
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
        match set(file.as_bytes(), Kind::Page, "published", &TRUE) {
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
            let edit = set(before.as_bytes(), Kind::Page, "published", &TRUE)
                .unwrap()
                .unwrap();
            let back = super::undo(&edit.bytes, Kind::Page, &edit.undo)
                .unwrap()
                .unwrap();
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
            super::undo(b"---\npublished: false\n---\n", Kind::Page, &undo),
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
            Kind::Page,
            "title",
            &Value::Text("a\u{2028}b".into()),
        );
        assert!(set.is_err(), "{set:?}");
    }

    #[test]
    fn text_keeps_its_quotes() {
        let set = |file: &str, text: &str| {
            let edited = set(
                file.as_bytes(),
                Kind::Page,
                "status",
                &Value::Text(text.into()),
            )
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

    /// Publishes one file, and takes that back.
    fn published(path: &str, before: &str) -> String {
        let kind = Kind::of(path);
        let edit = set(before.as_bytes(), kind, "published", &TRUE)
            .unwrap_or_else(|error| panic!("{before:?}: {error}"))
            .unwrap_or_else(|| panic!("{before:?} is published"));
        let back = super::undo(&edit.bytes, kind, &edit.undo).unwrap().unwrap();
        assert_eq!(String::from_utf8(back.bytes).unwrap(), before);
        assert_eq!(set(&edit.bytes, kind, "published", &TRUE), Ok(None));
        String::from_utf8(edit.bytes).unwrap()
    }

    #[test]
    fn toml_changes_in_one_line() {
        for (path, before, after) in [
            (
                "a.md",
                "+++\r\npublished =  false  # why\r\na = 1\r\n+++\r\n",
                "+++\r\npublished =  true  # why\r\na = 1\r\n+++\r\n",
            ),
            (
                "a.md",
                "\u{feff}+++\n\"published\" = false\n+++",
                "\u{feff}+++\n\"published\" = true\n+++",
            ),
            (
                "a.md",
                "+++\na = {published = false}\nb.published = false\npublished = false\n[c]\npublished = false\n+++\n",
                "+++\na = {published = false}\nb.published = false\npublished = true\n[c]\npublished = false\n+++\n",
            ),
            (
                "a.md",
                "+++\na = '''\npublished = false\n'''\n'published'=false\n+++\n+++\n",
                "+++\na = '''\npublished = false\n'''\n'published'=true\n+++\n+++\n",
            ),
            (
                "a.md",
                "+++\na = 1\n+++\nbody",
                "+++\na = 1\npublished = true\n+++\nbody",
            ),
            (
                "a.md",
                "+++\r\na = 1 # x\r\n\r\n# c\r\n[c] # d\r\npublished = false\r\n+++\r\n",
                "+++\r\na = 1 # x\r\npublished = true\r\n\r\n# c\r\n[c] # d\r\npublished = false\r\n+++\r\n",
            ),
            (
                "a.md",
                "+++\r\n# c\r\n[c]\r\npublished = false\r\n+++\r\n",
                "+++\r\npublished = true\r\n# c\r\n[c]\r\npublished = false\r\n+++\r\n",
            ),
            (
                "a.md",
                "+++\na = [\n  1, # x\n]\nb.c = \"\"\"\n[d]\n\"\"\"\n[[e]]\npublished = false\n+++\n",
                "+++\na = [\n  1, # x\n]\nb.c = \"\"\"\n[d]\n\"\"\"\npublished = true\n[[e]]\npublished = false\n+++\n",
            ),
            ("a.toml", "a = 1", "a = 1\npublished = true"),
            (
                "a.toml",
                "a = 1\r\nb = 2 # c",
                "a = 1\r\nb = 2 # c\r\npublished = true",
            ),
            ("a.toml", "a = 1\n\n\n", "a = 1\npublished = true\n\n\n"),
            (
                "a.toml",
                "\u{feff}[a]\r\npublished = false",
                "\u{feff}published = true\r\n[a]\r\npublished = false",
            ),
        ] {
            assert_eq!(published(path, before), after);
        }
    }

    #[test]
    fn json_changes_in_one_line() {
        for (path, before, after) in [
            (
                "a.md",
                "{\"a\": {\"published\": false}, \"published\" :false}\nbody",
                "{\"a\": {\"published\": false}, \"published\" :true}\nbody",
            ),
            (
                "a.md",
                "\u{feff}{\r\n\t\"published\": false,\r\n\t\"a\": \"published\"\r\n}\r\nbody",
                "\u{feff}{\r\n\t\"published\": true,\r\n\t\"a\": \"published\"\r\n}\r\nbody",
            ),
            (
                "a.md",
                "{\n  \"a\": [\n    {\"published\": false}\n  ]\n}\nbody",
                "{\n  \"published\": true,\n  \"a\": [\n    {\"published\": false}\n  ]\n}\nbody",
            ),
            (
                "a.json",
                "\u{feff}\n { \r\n\r\n\t\"a\": 1,\r\n\t\"b\": 2}",
                "\u{feff}\n { \r\n\t\"published\": true,\r\n\r\n\t\"a\": 1,\r\n\t\"b\": 2}",
            ),
            (
                "a.json",
                "{\"publ\\u0069shed\":false}",
                "{\"publ\\u0069shed\":true}",
            ),
            (
                "a.json",
                "{\n\"a\": 1\n}",
                "{\n\"published\": true,\n\"a\": 1\n}",
            ),
        ] {
            assert_eq!(published(path, before), after);
        }
    }

    #[test]
    fn whole_yaml_changes_in_one_line() {
        for (before, after) in [
            ("a: 1\npublished: false", "a: 1\npublished: true"),
            ("a: 1", "a: 1\npublished: true"),
            ("a: 1\r\nb: 2 # c", "a: 1\r\nb: 2 # c\r\npublished: true"),
            ("a: 1\n", "a: 1\npublished: true\n"),
            (
                "\u{feff}---\r\na:\r\n  published: false\r\n...\r\n# end",
                "\u{feff}---\r\na:\r\n  published: false\r\npublished: true\r\n...\r\n# end",
            ),
            ("a: 1\n... # end\n", "a: 1\npublished: true\n... # end\n"),
            ("a:\n- ...x\n", "a:\n- ...x\npublished: true\n"),
            ("  a: 1\n# b: 2\n", "  a: 1\n# b: 2\n  published: true\n"),
        ] {
            assert_eq!(published("a.yaml", before), after);
        }
    }

    #[test]
    fn what_would_have_to_be_guessed_is_left_to_a_person_in_every_kind() {
        for (path, file, reason) in [
            ("a.md", "+++\npublished = \"false\"\n+++\n", "holds text"),
            (
                "a.md",
                "+++\n[published]\na = 1\n+++\n",
                "is no single value",
            ),
            ("a.md", "+++\npublished.a = 1\n+++\n", "is no single value"),
            ("a.md", "{\"published\": null}\n", "holds nothing"),
            (
                "a.md",
                "{\"a\": 1}\nbody",
                "read-only: `published` is missing, and the JSON is not written one key per line: change it by hand",
            ),
            ("a.json", "{\n  \"a\": 1, \"b\": 2\n}\n", "read-only"),
            ("a.json", "{ \"a\": 1,\n  \"b\": 2\n}\n", "read-only"),
            ("a.yaml", "{a: 1}\n", "no plain list of keys"),
            ("a.yaml", "a: 1\r", "half a line ending"),
        ] {
            let error = set(file.as_bytes(), Kind::of(path), "published", &TRUE).unwrap_err();
            assert!(error.to_string().contains(reason), "{file:?}: {error}");
        }
    }

    #[test]
    fn text_keeps_its_quotes_in_every_kind() {
        let set = |path: &str, file: &str, text: &str| {
            let value = Value::Text(text.into());
            let edited = set(file.as_bytes(), Kind::of(path), "status", &value);
            edited.map(|edited| String::from_utf8(edited.unwrap().bytes).unwrap())
        };
        for (path, before, text, after) in [
            ("a.toml", "status = 'draft'", "a\\b", "status = 'a\\b'"),
            ("a.toml", "status = 'draft'", "it's", "status = \"it's\""),
            (
                "a.toml",
                "status = \"draft\"",
                "a\"\t\u{7f}",
                "status = \"a\\\"\\t\\u007F\"",
            ),
            ("a.toml", "a = 1\n", "x", "a = 1\nstatus = \"x\"\n"),
            (
                "a.json",
                "{\"status\":\"draft\"}",
                "a\"é",
                "{\"status\":\"a\\\"é\"}",
            ),
        ] {
            assert_eq!(set(path, before, text), Ok(after.into()), "{before}");
        }
        for (path, file) in [
            ("a.toml", "status = 2024-05-01"),
            ("a.toml", "status = '''draft'''"),
            ("a.toml", "status = inf"),
            ("a.json", "{\"status\": 1e400}"),
        ] {
            let error = set(path, file, "x").unwrap_err().to_string();
            assert!(error.ends_with("change it by hand"), "{file}: {error}");
        }
    }

    #[test]
    fn an_inserted_line_that_others_moved_is_left_to_a_person() {
        let undo = Undo {
            key: "published".into(),
            before: None,
            after: "true".into(),
        };
        for (path, file) in [
            ("a.json", "{\"published\": true, \"a\": 1}"),
            ("a.json", "{\n  \"a\": 1,\n  \"published\": true\n}"),
            ("a.md", "{\"published\": true}\n"),
            ("a.yaml", "published: true"),
            ("a.toml", "published = true"),
        ] {
            let undone = super::undo(file.as_bytes(), Kind::of(path), &undo);
            assert!(undone.is_err(), "{file:?}: {undone:?}");
        }
    }
}
