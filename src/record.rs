//! One record: reading it, telling its versions apart, editing it.
//!
//! A record is a Markdown file with YAML front matter between `---` lines. Everything in it is
//! untrusted: it is read within a [budget](yaml::Budget), nothing is guessed, and what cannot be
//! read is [`Broken`], with line, column and reason. This module knows no rules and no database.

pub mod edit;
pub mod file;
pub mod location;
pub mod shown;
pub mod source;
pub mod value;
pub mod yaml;

use crate::record::source::{Class, Classes, Source};
use crate::record::value::{Map, Value};
use crate::record::yaml::{Budget, Node};
use std::fmt;
use std::ops::Range;

/// Most bytes of a file.
pub const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes of front matter.
pub const FRONT_MATTER_BYTES: usize = 256 * 1024;

/// A BLAKE3 hash, cut to nothing: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for Hash {
    /// The first 12 hexadecimal digits, enough to tell versions apart by eye.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One record as its file stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its source URL, normalised, or else the path it was read at.
    pub identity: String,
    /// Content and signal fields; volatile fields are gone, decision fields are not among them.
    pub fields: Map,
    /// All that follows the front matter, as it stands.
    pub body: String,
    /// Whether the file reads as published.
    pub published: bool,
    /// The record's content: what a reviewer judges. Names the revision.
    pub revision: Hash,
    /// What moves the score.
    pub signal: Hash,
    /// What reads oddly though the record is read.
    pub warnings: Vec<String>,
}

/// Why a file is no record as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {reason}")]
pub struct Broken {
    /// Line, from 1.
    pub line: i64,
    /// Column in characters, from 1.
    pub column: i64,
    /// The reason: lower case, no final stop.
    pub reason: String,
}

const UNCLOSED: &str = "the front matter is not closed: no second `---` line";
const EMPTY: &str = "the file is empty";

impl Broken {
    /// Whether a file reads so while it is being written.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let changing = file::ReadError::Changing.to_string();
        [UNCLOSED, EMPTY, &changing].contains(&self.reason.as_str())
    }

    /// A fault at a line and a column, both from 1.
    #[must_use]
    pub fn at((line, column): (usize, usize), reason: String) -> Self {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Self {
            line: number(line),
            column: number(column),
            reason,
        }
    }
}

/// The parts of a file.
pub(crate) struct Parts<'a> {
    /// The whole file as text, a byte-order mark included.
    pub text: &'a str,
    /// The front matter without its `---` lines.
    pub front: Range<usize>,
    /// What follows the closing line.
    pub body: Range<usize>,
    /// The tree of the front matter; its spans count from the start of `front`.
    pub tree: Node,
}

impl Parts<'_> {
    pub(crate) fn body(&self) -> &str {
        &self.text[self.body.clone()]
    }
}

impl Record {
    /// Reads the bytes of a file that stands at `path`, which names it if no URL does.
    ///
    /// # Errors
    /// [`Broken`] when this is no record.
    pub fn read(bytes: &[u8], path: &str, source: &Source) -> Result<Self, Broken> {
        let parts = split(bytes)?;
        let mut fields = Map::default();
        let mut published = source.published.missing;
        let mut warnings = Vec::new();
        let entries = parts.tree.as_map().unwrap_or_default();
        for (key, node) in entries {
            match source.classes.of(&key.text) {
                Class::Volatile => {}
                Class::Decision if key.text == source.published.key => {
                    let value = node.to_value();
                    published = value == Value::Bool(true);
                    if value.as_bool().is_none() {
                        let line = yaml::place(parts.text, parts.front.start + node.span.start).0;
                        warnings.push(format!(
                            "line {line}: `{}` holds {}, not true or false, and reads as unpublished",
                            key.text,
                            value.kind()
                        ));
                    }
                }
                Class::Decision => {}
                Class::Content | Class::Signal => fields.set(&key.text, node.to_value()),
            }
        }
        let body = parts.body();
        Ok(Self {
            identity: source
                .identity_of(&fields)
                .unwrap_or_else(|| path.to_owned()),
            revision: revision(&fields, body, &source.classes),
            signal: signal(&fields, &source.classes),
            fields,
            body: body.to_owned(),
            published,
            warnings,
        })
    }

    /// The title, if it is text and not blank.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        text(&self.fields, "title")
    }
}

/// A top-level field's text, if it is text and not blank.
#[must_use]
pub fn text<'f>(fields: &'f Map, key: &str) -> Option<&'f str> {
    fields
        .get(key)
        .and_then(Value::as_text)
        .filter(|text| !text.trim().is_empty())
}

/// The provider's name, if the record has one.
#[must_use]
pub fn provider(fields: &Map) -> Option<&str> {
    text(fields.get("provider")?.as_map()?, "name")
}

/// The provider's domain in lower case and without `www.`, if the record has one.
#[must_use]
pub fn domain(fields: &Map) -> Option<String> {
    let domain = text(fields.get("provider")?.as_map()?, "domain")?
        .trim()
        .to_lowercase();
    Some(
        domain
            .strip_prefix("www.")
            .map(str::to_owned)
            .unwrap_or(domain),
    )
}

/// When the record says that it was published: RFC 3339, or a date, read as its start in UTC.
#[must_use]
pub fn published_at(fields: &Map) -> Option<jiff::Timestamp> {
    let text = text(fields, "publishedDateTime")?.trim();
    text.parse().ok().or_else(|| {
        let date: jiff::civil::Date = text.parse().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

/// The hash of the content fields and the body.
#[must_use]
pub fn revision(fields: &Map, body: &str, classes: &Classes) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hash_class(&mut hasher, fields, classes, Class::Content);
    hash_text(&mut hasher, body);
    Hash(*hasher.finalize().as_bytes())
}

/// The hash of the signal fields.
#[must_use]
pub fn signal(fields: &Map, classes: &Classes) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hash_class(&mut hasher, fields, classes, Class::Signal);
    Hash(*hasher.finalize().as_bytes())
}

/// The order of keys is formatting, so keys are hashed in their own order.
fn hash_class(hasher: &mut blake3::Hasher, fields: &Map, classes: &Classes, class: Class) {
    let mut chosen: Vec<_> = fields
        .iter()
        .filter(|(key, _)| classes.of(key) == class)
        .collect();
    chosen.sort_unstable_by_key(|(key, _)| *key);
    hash_entries(hasher, &chosen);
}

fn hash_entries(hasher: &mut blake3::Hasher, entries: &[(&str, &Value)]) {
    hash_length(hasher, b'm', entries.len());
    for (key, value) in entries {
        hash_text(hasher, key);
        hash_value(hasher, value);
    }
}

fn hash_value(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Null => drop(hasher.update(b"0")),
        Value::Bool(yes) => drop(hasher.update(if *yes { b"t" } else { b"f" })),
        Value::Number(n) => drop(hasher.update(b"n").update(&n.to_le_bytes())),
        Value::Text(text) => hash_text(hasher, text),
        Value::List(list) => {
            hash_length(hasher, b'l', list.len());
            list.iter().for_each(|value| hash_value(hasher, value));
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            hash_entries(hasher, &entries);
        }
    }
}

/// Line endings are formatting: CRLF and CR are hashed as LF.
fn hash_text(hasher: &mut blake3::Hasher, text: &str) {
    let text = lines_by_lf(text);
    hash_length(hasher, b's', text.len());
    hasher.update(text.as_bytes());
}

fn hash_length(hasher: &mut blake3::Hasher, kind: u8, length: usize) {
    hasher
        .update(&[kind])
        .update(&(length as u64).to_le_bytes());
}

fn lines_by_lf(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        text.into()
    }
}

/// Splits a file into front matter and body and reads the front matter.
pub(crate) fn split(bytes: &[u8]) -> Result<Parts<'_>, Broken> {
    let broken = |line, column, reason: &str| Broken::at((line, column), reason.to_owned());
    if bytes.len() as u64 > FILE_BYTES {
        return Err(broken(1, 1, "larger than 8 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let (line, column) = yaml::place(&good, good.len());
        match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => broken(1, 1, "UTF-16; save the file as UTF-8"),
            _ => broken(line, column, "not UTF-8"),
        }
    })?;
    let at = |offset: usize, reason: String| Broken::at(yaml::place(text, offset), reason);
    if let Some(nul) = text.find('\0') {
        return Err(at(nul, "a NUL byte".into()));
    }
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    if text[start..].trim().is_empty() {
        return Err(at(start, EMPTY.into()));
    }
    let mut lines = Lines { text, at: start };
    let first = lines.next().unwrap_or(start..start);
    if text[first.clone()].trim_end() != "---" {
        return Err(at(
            start,
            match text[first].trim_end() {
                "+++" => "TOML front matter (`+++`) is not read; write YAML between `---` lines",
                _ => "no front matter: the first line must be `---`",
            }
            .into(),
        ));
    }
    let front_start = lines.at;
    let close = lines
        .find(|line| matches!(text[line.clone()].trim_end(), "---" | "..."))
        .ok_or_else(|| broken(1, 1, UNCLOSED))?;
    let front = front_start..close.start;
    if front.len() > FRONT_MATTER_BYTES {
        return Err(broken(1, 1, "the front matter is larger than 256 KiB"));
    }
    let tree = yaml::read(&text[front.clone()], Budget::RECORD)
        .map_err(|fault| at(front.start + fault.at, fault.message))?
        .ok_or_else(|| at(front.start, "the front matter holds no key".into()))?;
    match tree.as_map() {
        None => Err(at(
            front.start + tree.span.start,
            "the front matter is no mapping of keys".into(),
        )),
        Some([]) => Err(at(front.start, "the front matter holds no key".into())),
        Some(_) => Ok(Parts {
            text,
            front,
            body: lines.at..text.len(),
            tree,
        }),
    }
}

/// The ranges of lines, each without its line ending; `at` stands behind the last one given.
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let start = self.at;
        let (length, ending) = match rest.find('\n') {
            Some(lf) => (lf, 1),
            None => (rest.len(), 0),
        };
        self.at = start + length + ending;
        Some(start..start + length)
    }
}
