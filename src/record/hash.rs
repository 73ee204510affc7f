//! What tells versions of a record apart.
//!
//! Hashes are stored: what is hashed, and how, stays as it is.

use crate::record::source::{Class, Classes};
use crate::record::value::{Map, Name, Value};
use std::fmt;

/// A BLAKE3 hash: 32 bytes.
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

/// The hash of the content fields and the body.
#[must_use]
pub fn revision(fields: &Map, body: &str, classes: &Classes) -> Hash {
    hash(of_class(fields, classes, Class::Content), Some(body))
}

/// The hash of the signal fields.
#[must_use]
pub fn signal(fields: &Map, classes: &Classes) -> Hash {
    hash(of_class(fields, classes, Class::Signal), None)
}

fn of_class<'f>(
    fields: &'f Map,
    classes: &Classes,
    class: Class,
) -> impl Iterator<Item = &'f (Name, Value)> {
    let entries = fields.entries().iter();
    entries.filter(move |(key, _)| classes.of_bytes(key.as_bytes()) == class)
}

/// The hash of some entries, and of the body if that is asked for.
pub(super) fn hash<'f>(
    entries: impl Iterator<Item = &'f (Name, Value)>,
    body: Option<&str>,
) -> Hash {
    let mut hashing = Hashing::new();
    hashing.entries(entries);
    if let Some(body) = body {
        hashing.text(body.as_bytes());
    }
    hashing.finish()
}

/// Bytes that are put together. A text may be 8 MiB, and is not copied whole: longer pieces are
/// hashed as they stand.
const PIECES: usize = 1024;

/// What is hashed: many small pieces, which are put together first, since each costs a call.
struct Hashing<'f> {
    hasher: blake3::Hasher,
    pieces: [u8; PIECES],
    filled: usize,
    /// The entries of the mapping that is being hashed, behind those of the mappings around it.
    sorted: Vec<&'f (Name, Value)>,
}

impl<'f> Hashing<'f> {
    fn new() -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            pieces: [0; PIECES],
            filled: 0,
            sorted: Vec::with_capacity(32),
        }
    }

    fn finish(mut self) -> Hash {
        self.hasher.update(&self.pieces[..self.filled]);
        Hash(*self.hasher.finalize().as_bytes())
    }

    fn piece(&mut self, bytes: &[u8]) {
        if self.filled + bytes.len() > PIECES {
            self.hasher.update(&self.pieces[..self.filled]);
            self.filled = 0;
        }
        match self.pieces.get_mut(self.filled..self.filled + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => drop(self.hasher.update(bytes)),
        }
    }

    fn length(&mut self, kind: u8, length: usize) {
        let [a, b, c, d, e, f, g, h] = (length as u64).to_le_bytes();
        self.piece(&[kind, a, b, c, d, e, f, g, h]);
    }

    /// The order of keys is formatting, so keys are hashed in their own order.
    fn entries(&mut self, entries: impl Iterator<Item = &'f (Name, Value)>) {
        let first = self.sorted.len();
        self.sorted.extend(entries);
        self.sorted[first..].sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.length(b'm', self.sorted.len() - first);
        for n in first..self.sorted.len() {
            let (key, value) = self.sorted[n];
            self.text(key.as_bytes());
            self.value(value);
        }
        self.sorted.truncate(first);
    }

    fn value(&mut self, value: &'f Value) {
        match value {
            Value::Null => self.piece(b"0"),
            Value::Bool(yes) => self.piece(if *yes { b"t" } else { b"f" }),
            Value::Number(n) => {
                self.piece(b"n");
                self.piece(&n.to_le_bytes());
            }
            Value::Text(text) => self.text(text.as_bytes()),
            Value::List(list) => {
                self.length(b'l', list.len());
                list.iter().for_each(|value| self.value(value));
            }
            Value::Map(map) => self.entries(map.entries().iter()),
        }
    }

    /// Line endings are formatting: CRLF and CR are hashed as LF.
    fn text(&mut self, text: &[u8]) {
        let has_cr = match text.len() {
            // Looking at a few bytes costs less than a call.
            0..32 => text.iter().fold(false, |found, b| found | (*b == b'\r')),
            _ => memchr::memchr(b'\r', text).is_some(),
        };
        if !has_cr {
            let whole = 9 + text.len();
            match self.pieces.get_mut(self.filled..self.filled + whole) {
                Some(place) => {
                    place[0] = b's';
                    place[1..9].copy_from_slice(&(text.len() as u64).to_le_bytes());
                    place[9..].copy_from_slice(text);
                    self.filled += whole;
                }
                None => {
                    self.length(b's', text.len());
                    self.piece(text);
                }
            }
            return;
        }
        let crlf = memchr::memmem::find_iter(text, b"\r\n").count();
        self.length(b's', text.len() - crlf);
        let mut after_cr = false;
        let mut lines = Vec::new();
        for part in text.chunks(64 * PIECES) {
            lines.clear();
            for byte in part {
                match byte {
                    b'\r' => lines.push(b'\n'),
                    b'\n' if after_cr => {}
                    byte => lines.push(*byte),
                }
                after_cr = *byte == b'\r';
            }
            self.piece(&lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(text: &str) -> Hash {
        let mut hashing = Hashing::new();
        hashing.text(text.as_bytes());
        hashing.finish()
    }

    #[test]
    fn what_was_stored_once_is_found_again() {
        let long = "long ".repeat(500);
        let json = format!(
            r#"{{"title": "A \r\n title\rend", "n": 1.5, "none": null, "yes": true, "no": false,
            "list": [1, "b", [], {{"z": 1, "a": {{}}}}], "map": {{"b": "2", "a": "1"}}, "heat": 3,
            "images": [{{"url": "u"}}], "a key of more than twenty-two bytes": "é", "long": "{long}"}}"#
        );
        let Value::Map(fields) = serde_json::from_str(&json).unwrap() else {
            panic!("no mapping")
        };
        let classes = Classes {
            signal: vec!["heat".into(), "images".into()],
            volatile: Vec::new(),
            decision: Vec::new(),
        };
        let none = Map::default();
        for (hash, expected) in [
            (
                revision(&fields, "body\r\nof lines\n", &classes),
                "e8cf6f98c1fb27e6c62c44d56ff0bbe5e29ec4b9c85ef13e9d26c572b26d11b2",
            ),
            (
                signal(&fields, &classes),
                "32cea12d992ca3a69b58c6c38b8e0bcdb3d9a746e158174f60be9d34d036d607",
            ),
            (
                revision(&none, "", &classes),
                "294c37bcd9eeda95910d9e7a75c2db44fe13b0c1658b18f5c24e0fe96f073505",
            ),
            (
                signal(&none, &classes),
                "d4b4a5515c52fe348ba5c8c45b77ffbcb993c9e7fafd404be18f7f47248bb0ac",
            ),
        ] {
            let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
        }
    }

    #[test]
    fn every_line_ending_is_hashed_as_one() {
        let long = "x".repeat(64 * 1024 - 1);
        for text in [
            "",
            "a",
            "\n",
            "a\n\nb\n",
            "\n\n\n",
            &format!("{long}\n\nb\n"),
        ] {
            for ending in ["\r\n", "\r"] {
                let other = text.replace('\n', ending);
                assert_eq!(hashed(&other), hashed(text), "{ending:?}");
            }
        }
        assert_eq!(hashed("a\r\r\nb\n\rc"), hashed("a\n\nb\n\nc"));
    }
}
