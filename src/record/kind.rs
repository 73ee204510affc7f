//! How a file holds a record: front matter above a text, or a whole file of keys; in YAML, TOML or
//! JSON.

use crate::record::yaml::{self, Budget, Fault, Node, Tree, full, plain};
use crate::record::{Broken, FILE_BYTES, FRONT_MATTER_BYTES, json, toml};
use memchr::{memchr, memchr_iter};
use std::ops::Range;
use std::path::Path;

pub(crate) const EMPTY: &str = "the file is empty";
pub(crate) const UNCLOSED: &str = "the front matter is not closed: no second `---` line";
pub(crate) const UNCLOSED_TOML: &str = "the front matter is not closed: no second `+++` line";

/// How a file holds a record, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Front matter above a text; the first line says in which language.
    Page,
    /// One mapping, and nothing else.
    Whole(Language),
}

impl Kind {
    /// The kind of the file of that name.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let extension = Path::new(path).extension().and_then(|e| e.to_str());
        let extension = extension.unwrap_or_default();
        let is = |known: &str| extension.eq_ignore_ascii_case(known);
        if is("yaml") || is("yml") {
            Self::Whole(Language::Yaml)
        } else if is("toml") {
            Self::Whole(Language::Toml)
        } else if is("json") {
            Self::Whole(Language::Json)
        } else {
            Self::Page
        }
    }
}

/// What the keys of a record are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// YAML, between `---` lines.
    Yaml,
    /// TOML, between `+++` lines.
    Toml,
    /// JSON, one object in its own braces.
    Json,
}

/// The parts of a file.
pub(crate) struct Parts<'a, T = Node> {
    /// The whole file as text, a byte-order mark included.
    pub text: &'a str,
    /// What the front matter is written in.
    pub language: Language,
    /// The front matter without the lines around it; JSON with its braces.
    pub front: Range<usize>,
    /// What follows the closing line.
    pub body: Range<usize>,
    /// The mapping of the front matter; the spans of a [`Node`] count from the start of `front`.
    pub tree: T,
}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn body(&self) -> &'a str {
        &self.text[self.body.clone()]
    }
}

/// Splits a file into front matter and body and reads the front matter.
pub(crate) fn split(bytes: &[u8], kind: Kind) -> Result<Parts<'_>, Broken> {
    split_as(bytes, kind)
}

/// Splits a file, and reads its front matter as a tree with places or without.
pub(crate) fn split_as<T: Tree>(bytes: &[u8], kind: Kind) -> Result<Parts<'_, T>, Broken> {
    let text = text_of(bytes)?;
    let at = |offset: usize, reason: String| Broken::at(yaml::place(text, offset), reason);
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    if text[start..].chars().all(char::is_whitespace) {
        return Err(at(start, EMPTY.into()));
    }
    let (language, front, body) = match kind {
        Kind::Whole(language) => (language, start..text.len(), text.len()..text.len()),
        Kind::Page => front_matter(text, start)?,
    };
    let what = match kind {
        Kind::Whole(_) => "the file",
        Kind::Page => "the front matter",
    };
    if front.len() > FRONT_MATTER_BYTES {
        return Err(Broken::at((1, 1), format!("{what} is larger than 256 KiB")));
    }
    let parts = |tree| Parts {
        text,
        language,
        front: front.clone(),
        body,
        tree,
    };
    let keys = &text[front.clone()];
    // What is plain is a mapping, and holds a key.
    if let (Language::Yaml, Some(tree)) = (language, plain::read(keys, Budget::RECORD)) {
        return Ok(parts(tree));
    }
    let tree = read(keys, language)
        .map_err(|fault| at(front.start + fault.at, fault.message))?
        .ok_or_else(|| at(front.start, format!("{what} holds no key")))?;
    match tree.as_map() {
        None => Err(at(
            front.start + tree.span.start,
            format!("{what} is no mapping of keys"),
        )),
        Some([]) => Err(at(front.start, format!("{what} holds no key"))),
        Some(_) => Ok(parts(tree.into())),
    }
}

/// Reads what is not plain.
fn read(front: &str, language: Language) -> Result<Option<Node>, Fault> {
    match language {
        Language::Yaml => full::read(front, Budget::RECORD),
        Language::Toml => toml::read(front, Budget::RECORD).map(Some),
        Language::Json => json::read(front, Budget::RECORD).map(Some),
    }
}

/// A file's bytes as text, if they are fair text and not too many.
fn text_of(bytes: &[u8]) -> Result<&str, Broken> {
    let broken = |place, reason: &str| Broken::at(place, reason.to_owned());
    if bytes.len() as u64 > FILE_BYTES {
        return Err(broken((1, 1), "larger than 8 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => broken((1, 1), "UTF-16; save the file as UTF-8"),
            _ => broken(yaml::place(&good, good.len()), "not UTF-8"),
        }
    })?;
    match memchr(0, bytes) {
        Some(nul) => Err(broken(yaml::place(text, nul), "a NUL byte")),
        None => Ok(text),
    }
}

/// Finds the front matter that begins at `start`, and the body.
fn front_matter(
    text: &str,
    start: usize,
) -> Result<(Language, Range<usize>, Range<usize>), Broken> {
    let at = |offset: usize, reason: &str| Broken::at(yaml::place(text, offset), reason.to_owned());
    if text[start..].starts_with('{') {
        let length = json::length(&text[start..]).map_err(|f| at(start + f.at, &f.message))?;
        let end = start + length;
        let line = text[end..].find('\n').map_or(text.len(), |lf| end + lf + 1);
        if !text[end..line].trim().is_empty() {
            return Err(at(end, "a line must end after the closing `}`"));
        }
        return Ok((Language::Json, start..end, line..text.len()));
    }
    let (first, front) = line(text, start);
    let (language, close, unclosed): (_, &[&str], _) = match first.trim_end() {
        "---" => (Language::Yaml, &["---", "..."], UNCLOSED),
        "+++" => (Language::Toml, &["+++"], UNCLOSED_TOML),
        _ => {
            return Err(at(
                start,
                "no front matter: the first line must be `---` or `+++`, or begin with `{`",
            ));
        }
    };
    let bytes = text.as_bytes();
    let breaks = memchr_iter(b'\n', &bytes[front..]);
    let mut starts = std::iter::once(front).chain(breaks.map(|lf| front + lf + 1));
    let closes = |start: &usize| {
        let may = matches!(bytes.get(*start), Some(b'-' | b'.' | b'+'));
        may && close.contains(&line(text, *start).0.trim_end())
    };
    let end = starts.find(closes).ok_or_else(|| at(0, unclosed))?;
    Ok((language, front..end, line(text, end).1..text.len()))
}

/// The line that begins there, without its ending, and where the next one begins.
fn line(text: &str, start: usize) -> (&str, usize) {
    match memchr(b'\n', &text.as_bytes()[start..]) {
        Some(length) => (&text[start..start + length], start + length + 1),
        None => (&text[start..], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::value::Value;

    #[test]
    fn the_name_and_the_first_line_tell_the_kind() {
        for (path, kind) in [
            ("a/b.md", Kind::Page),
            ("a.json/b", Kind::Page),
            ("a.markdown", Kind::Page),
            ("a.yaml", Kind::Whole(Language::Yaml)),
            ("a/b.YML", Kind::Whole(Language::Yaml)),
            ("a.toml", Kind::Whole(Language::Toml)),
            ("a.md.json", Kind::Whole(Language::Json)),
            (".json", Kind::Page),
            ("a/.yaml", Kind::Page),
            ("json", Kind::Page),
            ("a.", Kind::Page),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn every_kind_gives_the_same_fields_and_body() {
        for (path, text, body) in [
            ("a.md", "---\na: 1\nb: {c: [x]}\n---\n+++\n", "+++\n"),
            ("a.md", "+++\na = 1\n[b]\nc = ['x']\n+++\n---\n", "---\n"),
            (
                "a.md",
                "{\"a\": 1,\n\t\"b\": {\"c\": [\"x\"]}\n}\nbody }\n",
                "body }\n",
            ),
            (
                "a.md",
                "\u{feff}{\"a\":1,\"b\":{\"c\":[\"x\"]}} \r\nbody",
                "body",
            ),
            ("a.md", "{\"a\": 1, \"b\": {\"c\": [\"\\u0078\"]}}", ""),
            ("a.yml", "a: 1\nb:\n  c: [x]\n", ""),
            ("a.yaml", "---\na: 1\nb: {c: [x]}\n...\n# end\n", ""),
            ("a.toml", "\u{feff}a = 1\nb.c = [\"x\"]", ""),
            ("a.json", " {\"a\": 1.0, \"b\": {\"c\": [\"x\"]}}\n", ""),
        ] {
            let parts =
                split(text.as_bytes(), Kind::of(path)).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!(parts.body(), body, "{text:?}");
            let read = Value::Map(parts.tree.to_map());
            assert_eq!(
                serde_json::to_string(&read).unwrap(),
                r#"{"a":1,"b":{"c":["x"]}}"#,
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_record_is_told_by_line_and_column() {
        for (path, text, expected) in [
            (
                "a.md",
                "+++\na = 1\n",
                "1:1: the front matter is not closed: no second `+++` line",
            ),
            (
                "a.md",
                "+++\na = 1\n---\n",
                "1:1: the front matter is not closed: no second `+++` line",
            ),
            (
                "a.md",
                "+++\n# nothing\n+++\n",
                "2:1: the front matter holds no key",
            ),
            (
                "a.md",
                "+++\na = 1\na = 2\n+++\n",
                "3:1: the key `a` stands twice",
            ),
            ("a.md", "+++\na = 1\nb = maybe\n+++\n", "3:5: "),
            (
                "a.md",
                "{\"a\": 1} body\n",
                "1:9: a line must end after the closing `}`",
            ),
            (
                "a.md",
                "{\n  \"a\": 1,\n}\n",
                "2:9: a comma after the last entry",
            ),
            ("a.md", "{\"a\": NaN}\n", "1:7: expected value"),
            ("a.md", "{\"a\": 1\n", "2:1: the JSON object is not closed"),
            (
                "a.md",
                "{\"é\": 1, \"é\": 2}\n",
                "1:10: the key `é` stands twice",
            ),
            ("a.md", "{}\n", "1:1: the front matter holds no key"),
            (
                "a.md",
                "text\n",
                "1:1: no front matter: the first line must be `---` or `+++`, or begin with `{`",
            ),
            ("a.json", "{\"a\": 1}\nbody\n", "2:1: trailing characters"),
            ("a.json", "[1]\n", "1:1: the file is no mapping of keys"),
            ("a.json", "{\"a\": \"\\ud800\"}", "1:7: "),
            ("a.yaml", "- a\n", "1:1: the file is no mapping of keys"),
            ("a.yaml", "# nothing\n", "1:1: the file holds no key"),
            (
                "a.yaml",
                "---\na: 1\n---\n",
                "3:1: a second YAML document begins here",
            ),
            ("a.yaml", "a: 1\nb: [\n", "2:4: "),
            ("a.toml", "[a]\n[a]\n", "2:"),
        ] {
            let broken = split(text.as_bytes(), Kind::of(path))
                .err()
                .map(|e| e.to_string());
            let broken = broken.unwrap_or_else(|| panic!("{text:?} is read"));
            assert!(broken.starts_with(expected), "{text:?}: {broken}");
        }
    }

    #[test]
    fn a_large_whole_file_is_refused() {
        let text = format!("{{\"a\": \"{}\"}}", "x".repeat(FRONT_MATTER_BYTES));
        for path in ["a.json", "a.md"] {
            let broken = split(text.as_bytes(), Kind::of(path)).err().unwrap();
            assert!(broken.reason.ends_with("larger than 256 KiB"), "{broken}");
        }
    }
}
