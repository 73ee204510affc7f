//! One record: reading it, telling its versions apart, editing it.
//!
//! A record is a Markdown file with front matter in YAML, TOML or JSON, or a whole file of keys
//! ([`kind`]). Everything in it is untrusted: it is read within a [budget](yaml::Budget), nothing is
//! guessed, and what cannot be read is [`Broken`], with line, column and reason. This module knows
//! no rules and no database.

pub mod edit;
pub mod file;
mod hash;
pub mod json;
pub mod kind;
pub mod location;
pub mod shown;
pub mod source;
pub mod toml;
pub mod value;
pub mod yaml;

pub use crate::record::hash::{Hash, revision, signal};

use crate::record::hash::hash;
use crate::record::kind::{Kind, split, split_as};
use crate::record::source::{Class, Classes, Source};
use crate::record::value::{Map, Value};
use std::borrow::Cow;

/// Most bytes of a file.
pub const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes of front matter, or of a whole file of keys.
pub const FRONT_MATTER_BYTES: usize = 256 * 1024;

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
    /// What the key of `published` says, where the file has it and it says true or false.
    pub flag: Option<bool>,
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

impl Broken {
    /// Whether a file reads so while it is being written.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let changing = file::ReadError::Changing.to_string();
        [
            kind::EMPTY,
            kind::UNCLOSED,
            kind::UNCLOSED_TOML,
            json::UNCLOSED,
            &changing,
        ]
        .contains(&self.reason.as_str())
    }

    /// A fault at a line and a column, both from 1. A reason may repeat what stands there, and is
    /// shown on terminals: it is one line, with nothing in it that acts.
    #[must_use]
    pub fn at((line, column): (usize, usize), reason: String) -> Self {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Self {
            line: number(line),
            column: number(column),
            reason: shown::line(&reason, 300),
        }
    }
}

impl Record {
    /// Reads the bytes of a file that stands at `path`, which tells its kind, and names it if no
    /// URL does.
    ///
    /// # Errors
    /// [`Broken`] when this is no record.
    pub fn read(bytes: &[u8], path: &str, source: &Source) -> Result<Self, Broken> {
        let kind = Kind::of(path);
        let parts = split_as::<Value>(bytes, kind)
            .map_err(|broken| without_noise(broken, bytes, &source.classes))?;
        let body = parts.body();
        let Value::Map(mut fields) = parts.tree else {
            return Err(Broken::at((1, 1), "no mapping of keys".into()));
        };
        let mut published = source.published.missing;
        let mut flag = None;
        let mut warnings = Vec::new();
        let mut classes = Vec::with_capacity(fields.len());
        fields.retain(|key, value| {
            let class = source.classes.of_bytes(key.as_bytes());
            if class == Class::Decision && key.as_str() == source.published.key {
                let key = key.as_str();
                flag = value.as_bool();
                published = flag == Some(true);
                if flag.is_none() {
                    let line = line_of(bytes, kind, key);
                    warnings.push(format!(
                        "line {line}: `{key}` holds {}, not true or false, and reads as unpublished",
                        value.kind()
                    ));
                }
            }
            let stays = matches!(class, Class::Content | Class::Signal);
            if stays {
                classes.push(class);
            }
            stays
        });
        let of = |class: Class| {
            let classed = fields.entries().iter().zip(&classes);
            classed.filter_map(move |(entry, of)| (*of == class).then_some(entry))
        };
        Ok(Self {
            identity: source
                .identity_of(&fields)
                .unwrap_or_else(|| path.to_owned()),
            revision: hash(of(Class::Content), Some(body)),
            signal: hash(of(Class::Signal), None),
            body: body.to_owned(),
            published,
            flag,
            warnings,
            fields,
        })
    }

    /// The title, if it is text and not blank.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        text(&self.fields, "title")
    }
}

/// The line on which the value of a key begins, in a file that reads.
fn line_of(bytes: &[u8], kind: Kind, key: &str) -> usize {
    let Ok(parts) = split(bytes, kind) else {
        return 1;
    };
    let mut entries = parts.tree.as_map().unwrap_or_default().iter();
    let value = entries.find(|(other, _)| other.text == key);
    let at = value.map_or(0, |(_, node)| node.span.start);
    yaml::place(parts.text, parts.front.start + at).0
}

/// What is told of a fault in a volatile field quotes nothing that stands there. Since the file
/// does not read, the field is the one that its line, or the last one that begins with a key, names.
fn without_noise(mut broken: Broken, bytes: &[u8], classes: &Classes) -> Broken {
    let text = String::from_utf8_lossy(bytes);
    let upto = usize::try_from(broken.line).unwrap_or(usize::MAX);
    let lines = || text.lines().take(upto);
    let is_key =
        |line: &&str| line.starts_with(|c: char| c.is_alphanumeric() || "_\"'?".contains(c));
    let is_volatile = |key: &str| classes.volatile.iter().any(|volatile| volatile == key);
    let names_one = |line: &str| {
        classes
            .volatile
            .iter()
            .any(|key| line.contains(key.as_str()))
    };
    if lines().filter(is_key).last().is_some_and(names_one) || lines().last().is_some_and(names_one)
    {
        let parts = broken.reason.split('`').enumerate();
        let told = parts.map(|(n, part)| match n % 2 {
            1 if !is_volatile(part) => "…",
            _ => part,
        });
        broken.reason = told.collect::<Vec<_>>().join("`");
    }
    broken
}

/// A top-level field's text, if it is text and not blank.
#[must_use]
pub fn text<'f>(fields: &'f Map, key: &str) -> Option<&'f str> {
    fields
        .get(key)
        .and_then(Value::as_text)
        .filter(|text| !text.chars().all(char::is_whitespace))
}

/// The provider's name, if the record has one.
#[must_use]
pub fn provider(fields: &Map) -> Option<&str> {
    text(fields.get("provider")?.as_map()?, "name")
}

/// The provider's domain in lower case and without `www.`, if the record has one.
#[must_use]
pub fn domain(fields: &Map) -> Option<Cow<'_, str>> {
    let domain = text(fields.get("provider")?.as_map()?, "domain")?.trim();
    if domain
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        return Some(domain.strip_prefix("www.").unwrap_or(domain).into());
    }
    let lower = domain.to_lowercase();
    let bare = lower.strip_prefix("www.").map(str::to_owned);
    Some(bare.unwrap_or(lower).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_act() {
        for text in [
            "---\n\"\\e[31mred\": 1\n\"\\e[31mred\": 2\n---\n",
            "---\na: *\u{202e}b\n---\n",
        ] {
            let broken = kind::split(text.as_bytes(), Kind::Page).err().unwrap();
            let acts = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!broken.reason.contains(acts), "{broken:?}");
        }
        let long = "k".repeat(1_000);
        let text = format!("---\n{long}: 1\n{long}: 2\n---\n");
        let broken = kind::split(text.as_bytes(), Kind::Page).err().unwrap();
        assert!(broken.reason.len() < 120, "{broken:?}");
        assert!(broken.reason.ends_with("stands twice"), "{broken:?}");
    }
}
