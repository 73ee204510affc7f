//! Where a record is found now: a path below its source's folder.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path below a source's folder, as text that loses no byte of the name.
///
/// A name that is UTF-8 without a backslash stands for itself; a backslash is written `\\`, a byte
/// that is not UTF-8 `\xNN`. So a location can be stored, compared and printed as text, and leads
/// back to exactly one file. It may hold control characters: print it by
/// [`shown`](crate::record::shown::line).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location(String);

impl Location {
    /// The location of a path below the source's folder.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(plain) if !plain.contains('\\') => return Self(plain.to_owned()),
            _ => {}
        }
        let mut text = String::new();
        for chunk in path.as_os_str().as_bytes().utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            for byte in chunk.invalid() {
                text.push_str(&format!(r"\x{byte:02X}"));
            }
        }
        Self(text)
    }

    /// A location as it was stored.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text of the location.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below the source's folder.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let escape = &rest[at + 1..];
            let hex = escape.strip_prefix('x').and_then(|hex| hex.get(..2));
            rest = match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    &escape[3..]
                }
                None => {
                    bytes.push(b'\\');
                    escape.strip_prefix('\\').unwrap_or(escape)
                }
            };
        }
        bytes.extend_from_slice(rest.as_bytes());
        OsString::from_vec(bytes).into()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn every_name_leads_back_to_its_own_file() {
        for name in [
            &b"_news/a b.md"[..],
            b"a\\b.md",
            b"a\\xFF.md",
            b"\xff\\x.md",
            b"a\\",
            b"\xf0\x9f",
            b"n\nl.md",
        ] {
            let path = Path::new(OsStr::from_bytes(name));
            assert_eq!(Location::of(path).to_path(), path, "{}", Location::of(path));
        }
    }
}
