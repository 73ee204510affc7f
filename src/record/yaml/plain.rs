//! Reads the part of YAML that programs write: block mappings and block lists of scalars that are
//! plain or quoted and end on their line, with comments and blank lines between.
//!
//! It reads a text to the end or declines it; what it reads, the [full reader](super::full) reads
//! as the same tree. So it says nothing of what is wrong, and declines wherever YAML has a case of
//! its own: flow collections (but an empty one), block scalars, tags, anchors, aliases, directives,
//! markers of documents, tabs, a list in a list on one line, bare keys of more than a word. It goes
//! over a text once, and compares a key with the few before it: it costs the same for a byte of any
//! text.

use super::scalar::plain_value;
use super::{Budget, Style, Tree};
use crate::record::value::Value;
use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memchr3};
use std::borrow::Cow;
use std::ops::Range;

/// Levels of collections that are read here.
const DEPTH: usize = 16;
/// Keys of a mapping that are read here: each is compared with all before it.
const KEYS: usize = 64;
/// Bytes of a key that are read here; YAML ends at 1,024 characters.
const KEY_BYTES: usize = 512;

/// Reads a document of one plain block mapping, or declines it.
#[must_use]
pub fn read<T: Tree>(source: &str, budget: Budget) -> Option<T> {
    if !is_fair(source) {
        return None;
    }
    let mut scan = Scan {
        source,
        bytes: source.as_bytes(),
        at: 0,
        column: None,
        depth: DEPTH.min(budget.depth),
        list: budget.list,
        left: budget.nodes,
    };
    scan.line_at(0);
    if scan.column != Some(0) {
        return None;
    }
    let first = scan.key()?;
    // A mapping at the first column ends only where the text does.
    scan.mapping(first, 0, 0)
}

/// Whether there are no characters in which YAML sees more than text, or none at all: control
/// characters, tabs among them, CR that ends no CRLF, byte-order marks.
fn is_fair(source: &str) -> bool {
    let bytes = source.as_bytes();
    // Without a branch, many bytes are looked at together.
    let (control, all) = bytes.iter().fold((false, 0), |(control, all), &b| {
        let is_one = ((b < b' ') & (b != b'\n') & (b != b'\r')) | (b == 0x7f);
        (control | is_one, all | b)
    });
    if control || !memchr_iter(b'\r', bytes).all(|at| bytes.get(at + 1) == Some(&b'\n')) {
        return false;
    }
    // U+0080 to U+009F, and U+FEFF, U+FFFE and U+FFFF.
    all.is_ascii()
        || !memchr2_iter(0xc2, 0xef, bytes).any(|at| {
            let after = |n: usize| bytes.get(at + n).copied().unwrap_or_default();
            match bytes[at] {
                0xc2 => after(1) < 0xa0,
                _ => matches!((after(1), after(2)), (0xbb, 0xbf) | (0xbf, 0xbe..)),
            }
        })
}

/// The text of a key, and where it stands.
type Found<'s> = (Cow<'s, str>, Range<usize>);

/// The text, and how far it is read. Whoever reads a node leaves the scan at the next line that
/// holds something.
struct Scan<'s> {
    source: &'s str,
    bytes: &'s [u8],
    /// Where the next thing begins; the end of the text, if nothing follows.
    at: usize,
    /// In which column that is: how far its line is indented. `None` at the end.
    column: Option<usize>,
    /// Levels that may be opened.
    depth: usize,
    /// Entries that a list may have.
    list: usize,
    /// Nodes and keys that may follow.
    left: usize,
}

impl<'s> Scan<'s> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn find(&self, needle: u8, from: usize) -> Option<usize> {
        Some(from + memchr(needle, self.bytes.get(from..)?)?)
    }

    /// Behind the spaces that begin here.
    fn spaces(&self, mut at: usize) -> usize {
        while self.byte(at) == Some(b' ') {
            at += 1;
        }
        at
    }

    /// Whether a line ends here.
    fn is_end(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b'\n' | b'\r'))
    }

    /// Whether what ends here is a key: a colon, and a blank.
    fn is_key_end(&self, at: usize) -> bool {
        self.byte(at) == Some(b':') && (self.byte(at + 1) == Some(b' ') || self.is_end(at + 1))
    }

    fn is_entry(&self) -> bool {
        self.byte(self.at) == Some(b'-') && self.byte(self.at + 1) == Some(b' ')
    }

    fn count(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    /// Goes to the line that begins here, or the next one that holds something.
    fn line_at(&mut self, mut start: usize) {
        loop {
            let at = self.spaces(start);
            let end = match self.byte(at) {
                Some(b'\n') => Some(at),
                Some(b'\r') => Some(at + 1),
                Some(b'#') => self.find(b'\n', at),
                Some(_) => {
                    self.at = at;
                    self.column = Some(at - start);
                    return;
                }
                None => None,
            };
            let Some(end) = end else {
                self.at = self.bytes.len();
                self.column = None;
                return;
            };
            start = end + 1;
        }
    }

    /// Goes to the next line, if nothing but a comment follows here.
    fn next_line(&mut self, from: usize) -> Option<()> {
        let mut at = self.spaces(from);
        if self.byte(at) == Some(b'#') && at > from {
            at = self.find(b'\n', at).unwrap_or(self.bytes.len());
        }
        match self.byte(at) {
            Some(b'\n') => self.line_at(at + 1),
            Some(b'\r') => self.line_at(at + 2),
            None => self.line_at(at),
            Some(_) => return None,
        }
        Some(())
    }

    /// Reads the key that stands here, up to its colon.
    fn key(&mut self) -> Option<Found<'s>> {
        let at = self.at;
        let (text, end) = match self.byte(at)? {
            b'"' => self.double(at)?,
            b'\'' => self.single(at)?,
            _ => return self.word(),
        };
        if text.is_empty() || end - at > KEY_BYTES || !self.is_key_end(end) {
            return None;
        }
        self.at = end;
        Some((text, at..end))
    }

    /// Reads the key that stands here, if it is one without quotes.
    fn word(&mut self) -> Option<Found<'s>> {
        let at = self.at;
        let length = self.bytes[at..]
            .iter()
            .position(|&b| !WORD[usize::from(b)])?;
        let end = at + length;
        if !self.is_key_end(end) || !(1..=KEY_BYTES).contains(&length) {
            return None;
        }
        self.at = end;
        Some((Cow::Borrowed(&self.source[at..end]), at..end))
    }

    /// Reads a mapping in that column, the first key of which is read.
    fn mapping<T: Tree>(&mut self, first: Found<'s>, column: usize, depth: usize) -> Option<T> {
        if depth == self.depth {
            return None;
        }
        let usual = if depth == 0 { 16 } else { 4 };
        let mut entries: Vec<(T::Key, T)> = Vec::with_capacity(usual);
        let start = first.1.start;
        let (mut text, mut span) = first;
        self.count()?;
        loop {
            let is_same = |(other, _): &(T::Key, T)| T::text(other) == text.as_bytes();
            if entries.iter().any(is_same) || entries.len() == KEYS {
                return None;
            }
            self.count()?;
            let node = self.value(column, depth + 1)?;
            entries.push((T::key(text, span), node));
            if self.column != Some(column) {
                break;
            }
            (text, span) = self.key()?;
        }
        (self.column < Some(column)).then(|| T::mapping(entries, start..self.at))
    }

    /// Reads what belongs to the key in that column, from its colon on.
    fn value<T: Tree>(&mut self, column: usize, depth: usize) -> Option<T> {
        let colon = self.at;
        let at = self.spaces(colon + 1);
        if !self.is_end(at) && self.byte(at) != Some(b'#') {
            return self.scalar(at);
        }
        self.next_line(colon + 1)?;
        match self.column {
            Some(inner) if inner >= column && self.is_entry() => {
                self.entries(inner, inner > column, depth)
            }
            Some(inner) if inner > column => {
                let first = self.key()?;
                self.mapping(first, inner, depth)
            }
            _ => {
                self.count()?;
                Some(T::scalar(Value::Null, Style::Plain, colon..colon))
            }
        }
    }

    /// Reads a list in that column. One that is not indented beyond its key has no place of its own,
    /// and begins with its first entry.
    fn entries<T: Tree>(&mut self, column: usize, indented: bool, depth: usize) -> Option<T> {
        if depth == self.depth {
            return None;
        }
        self.count()?;
        let start = match indented {
            true => self.at,
            false => self.spaces(self.at + 1),
        };
        let mut nodes = Vec::with_capacity(4);
        while self.column == Some(column) && self.is_entry() {
            if nodes.len() == self.list {
                return None;
            }
            let dash = self.at;
            self.at = self.spaces(dash + 1);
            let inner = column + (self.at - dash);
            // A key in quotes is declined here, so that no text in quotes is read twice.
            nodes.push(match self.word() {
                Some(key) => self.mapping(key, inner, depth + 1)?,
                None => self.scalar(self.at)?,
            });
        }
        // Whether the line that ends the list belongs to something, the mappings around it tell.
        Some(T::list(nodes, start..self.at))
    }

    /// Reads the scalar that stands here, or an empty flow collection, and goes to the next line.
    fn scalar<T: Tree>(&mut self, at: usize) -> Option<T> {
        self.count()?;
        let (node, end) = match (self.byte(at)?, self.byte(at + 1)) {
            (b'"', _) => {
                let (text, end) = self.double(at)?;
                let text = Value::Text(text.into_owned());
                (T::scalar(text, Style::Double, at..end), end)
            }
            (b'\'', _) => {
                let (text, end) = self.single(at)?;
                let text = Value::Text(text.into_owned());
                (T::scalar(text, Style::Single, at..end), end)
            }
            (b'[', Some(b']')) => (T::list(Vec::new(), at..at + 2), at + 2),
            (b'{', Some(b'}')) => (T::mapping(Vec::new(), at..at + 2), at + 2),
            (b'-', None | Some(b' ' | b'\n' | b'\r')) | (b'\n' | b'\r', _) => return None,
            (first, _) if is_indicator(first) => return None,
            _ => {
                let end = self.plain_end(at)?;
                let value = plain_value(&self.source[at..end]);
                (T::scalar(value, Style::Plain, at..end), end)
            }
        };
        self.next_line(end)?;
        Some(node)
    }

    /// Where the plain scalar that begins here ends: at its line's end, or a comment's blanks.
    fn plain_end(&self, start: usize) -> Option<usize> {
        let mut from = start;
        let mut end = loop {
            let rest = self.bytes.get(from..)?;
            let Some(found) = memchr3(b'\n', b':', b'#', rest) else {
                break self.bytes.len();
            };
            let at = from + found;
            match self.bytes[at] {
                b'\n' => break at,
                b'#' if self.bytes[at - 1] == b' ' => break at,
                b':' if self.is_key_end(at) => return None,
                _ => from = at + 1,
            }
        };
        while matches!(self.bytes[end - 1], b' ' | b'\r') {
            end -= 1;
        }
        Some(end)
    }

    /// Reads what is in single quotes here, and tells where they end.
    fn single(&self, at: usize) -> Option<(Cow<'s, str>, usize)> {
        let mut text = String::new();
        let mut from = at + 1;
        loop {
            let end = from + memchr2(b'\'', b'\n', self.bytes.get(from..)?)?;
            let part = &self.source[from..end];
            match (self.bytes[end], self.byte(end + 1)) {
                (b'\n', _) => return None,
                (_, Some(b'\'')) => {
                    text.push_str(part);
                    text.push('\'');
                    from = end + 2;
                }
                _ => return Some((joined(text, part), end + 1)),
            }
        }
    }

    /// Reads what is in double quotes here, and tells where they end.
    fn double(&self, at: usize) -> Option<(Cow<'s, str>, usize)> {
        let mut text = String::new();
        let mut from = at + 1;
        loop {
            let end = from + memchr3(b'"', b'\\', b'\n', self.bytes.get(from..)?)?;
            let part = &self.source[from..end];
            match self.bytes[end] {
                b'"' => return Some((joined(text, part), end + 1)),
                b'\\' => {
                    let (escaped, length) = self.escape(end + 1)?;
                    text.push_str(part);
                    text.push(escaped);
                    from = end + 1 + length;
                }
                _ => return None,
            }
        }
    }

    /// What an escape stands for, and how long it is behind its backslash.
    fn escape(&self, at: usize) -> Option<(char, usize)> {
        let short = match self.byte(at)? {
            c @ (b'"' | b'\\' | b'/') => char::from(c),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'u' => {
                let digits = self.source.get(at + 1..at + 5)?;
                let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| all)?;
                return Some((char::from_u32(code)?, 5));
            }
            _ => return None,
        };
        Some((short, 1))
    }
}

/// A text and its last part; a text of one part is that part.
fn joined(mut text: String, part: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed(part);
    }
    text.push_str(part);
    Cow::Owned(text)
}

/// Which bytes may stand in a key without quotes; beyond ASCII, all may.
static WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte: u8 = 0;
    loop {
        word[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || byte >= 0x80;
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => break word,
        }
    }
};

/// Whether a plain scalar may not begin so; `?` and `:` might, by what follows.
fn is_indicator(byte: u8) -> bool {
    b"?:,[]{}#&*!|>'\"%@`".contains(&byte)
}

#[cfg(test)]
mod tests;
