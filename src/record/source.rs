//! A source: a folder of content, how its files are read, and what a decision writes.

use crate::record::value::{Map, Value};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::{Component, Path, PathBuf};

/// A folder of content, as `sources:` in `rules/` describes it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, unique in the rule set.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Which files below it are records.
    pub include: GlobSet,
    /// Keys that may hold the source URL, the first that does names the record.
    pub identity: Vec<String>,
    /// What kind of field each key is.
    pub classes: Classes,
    /// The key that says whether a record is published.
    pub published: Published,
    /// What an approval sets.
    pub approve: Map,
    /// What a rejection sets.
    pub reject: Map,
    /// The folder that a rejection moves the file to, instead of setting anything.
    pub move_to: Option<PathBuf>,
    /// What happens to the file when an approved story is replaced.
    pub on_change: OnChange,
    /// Whether decisions are written into files at all.
    pub write: bool,
}

/// The key that says whether a record is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The key.
    pub key: String,
    /// What a file without the key means.
    pub missing: bool,
}

/// What happens to the file when an approved story is replaced by a new revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// Nothing: the new revision waits for a decision as it stands.
    #[default]
    Leave,
    /// It is set unpublished until someone decides on the new revision.
    Unpublish,
}

/// The class of a top-level key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What a reviewer judges.
    Content,
    /// What moves the score.
    Signal,
    /// Noise: never stored, shown, logged or mailed.
    Volatile,
    /// What a decision writes; in no hash.
    Decision,
}

/// Which top-level keys belong to which class; every other key is content.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Classes {
    /// Keys of class signal.
    pub signal: Vec<String>,
    /// Keys of class volatile.
    pub volatile: Vec<String>,
    /// Keys of class decision.
    pub decision: Vec<String>,
}

impl Classes {
    /// The class of a key.
    #[must_use]
    pub fn of(&self, key: &str) -> Class {
        self.of_bytes(key.as_bytes())
    }

    pub(crate) fn of_bytes(&self, key: &[u8]) -> Class {
        let among = |keys: &[String]| keys.iter().any(|k| k.as_bytes() == key);
        if among(&self.decision) {
            Class::Decision
        } else if among(&self.signal) {
            Class::Signal
        } else if among(&self.volatile) {
            Class::Volatile
        } else {
            Class::Content
        }
    }
}

impl Source {
    /// The record's source URL, normalised: the first of the identity keys that holds one.
    #[must_use]
    pub fn identity_of(&self, fields: &Map) -> Option<String> {
        self.identities_of(fields).next().map(|(_, url)| url)
    }

    /// Every identity key that holds a URL, in order, with the URL normalised.
    pub fn identities_of<'f>(&'f self, fields: &'f Map) -> impl Iterator<Item = (&'f str, String)> {
        self.identity.iter().filter_map(|key| {
            let url = normalised_url(fields.get(key)?.as_text()?)?;
            Some((key.as_str(), url))
        })
    }

    /// Whether the file at this path below the folder is a record by its name.
    #[must_use]
    pub fn includes(&self, path: &Path) -> bool {
        self.include.is_match(path)
    }

    /// How its files are read, and that they are not written, as text to be compared: when it
    /// changes, every file is read again, and held against what was decided.
    #[must_use]
    pub fn reading(&self) -> String {
        let Published { key, missing } = &self.published;
        let never = if self.write { "" } else { " never" };
        format!(
            "{:?} {:?} {key:?} {missing}{never}",
            self.identity, self.classes
        )
    }

    /// What a decision that sets `wanted` makes of the published flag, if it sets it.
    #[must_use]
    pub fn wants_published(&self, wanted: &Map) -> Option<bool> {
        wanted.get(&self.published.key).and_then(Value::as_bool)
    }
}

/// Whether two folders are one, or one of them lies in the other; links are followed.
#[must_use]
pub fn overlap(a: &Path, b: &Path) -> bool {
    let (a, b) = (real(a), real(b));
    a.starts_with(&b) || b.starts_with(&a)
}

/// Where a path leads, as far as what it names is there.
fn real(path: &Path) -> PathBuf {
    let mut real = std::env::current_dir().unwrap_or_default();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(real.pop()),
            Component::CurDir => {}
            step => real.push(step),
        }
        real = real.canonicalize().unwrap_or(real);
    }
    real
}

/// Compiles the patterns of `include:`; `*` stops at a slash, `**` does not.
///
/// # Errors
/// The first pattern that is none, with its place in the list.
pub fn include(patterns: &[String]) -> Result<GlobSet, (usize, String)> {
    let mut set = GlobSetBuilder::new();
    for (n, pattern) in patterns.iter().enumerate() {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| (n, error.kind().to_string()))?);
    }
    set.build().map_err(|error| (0, error.kind().to_string()))
}

/// A URL in the form that names a record: trimmed, scheme and host in lower case, http as https,
/// without default port, fragment and `utm_*` parameters, all else kept. `None` for what is no
/// http(s) URL.
#[must_use]
pub fn normalised_url(text: &str) -> Option<String> {
    if is_normal(text) {
        return Some(text.to_owned());
    }
    put_together(text)
}

fn put_together(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let host = host.to_lowercase();
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return None;
    }
    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    let path = if path.is_empty() { "/" } else { path };
    let kept: Vec<&str> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.to_ascii_lowercase().starts_with("utm_"))
        .collect();
    let query = match (query, kept.join("&")) {
        (None, _) => String::new(),
        (Some(all), kept) if kept.is_empty() && !all.is_empty() => String::new(),
        (Some(_), kept) => format!("?{kept}"),
    };
    Some(format!("https://{user}{host}{path}{query}"))
}

/// Whether a URL is one that plainly stands in that form; most do.
fn is_normal(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else {
        return false;
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or_default());
    let in_host = |b: u8| b.is_ascii_lowercase() | b.is_ascii_digit() | (b == b'.') | (b == b'-');
    let in_path = |b: u8| b.is_ascii_graphic() & (b != b'?') & (b != b'#');
    // Without a branch, many bytes are looked at together.
    !host.is_empty()
        && host.bytes().fold(true, |all, b| all & in_host(b))
        && path.bytes().fold(true, |all, b| all & in_path(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_lie_in_one_another_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("content/in")).unwrap();
        std::os::unix::fs::symlink(at("content/in"), at("link")).unwrap();
        for (other, expected) in [
            ("content", true),
            ("content/absent/../in", true),
            ("content/absent", true),
            (".", true),
            ("link/deep", true),
            ("absent/../content", true),
            ("absent", false),
            ("content-2", false),
            ("content/../_archive", false),
        ] {
            assert_eq!(overlap(&at("content"), &at(other)), expected, "{other}");
            assert_eq!(overlap(&at(other), &at("content")), expected, "{other}");
        }
        assert!(overlap("src".as_ref(), "src/../src/record".as_ref()));
        assert!(!overlap("src".as_ref(), "tests".as_ref()));
    }

    #[test]
    fn a_url_names_a_record_in_one_form() {
        for (url, expected) in [
            (
                " https://Example.ORG/A?b=1#c ",
                Some("https://example.org/A?b=1"),
            ),
            ("http://example.org:80/a", Some("https://example.org/a")),
            ("HTTPS://example.org:443", Some("https://example.org/")),
            (
                "https://example.org:8443/a",
                Some("https://example.org:8443/a"),
            ),
            (
                "https://example.org/a?utm_source=x&b=2&UTM_Medium=y",
                Some("https://example.org/a?b=2"),
            ),
            (
                "https://example.org/a?utm_source=x",
                Some("https://example.org/a"),
            ),
            ("https://example.org/?", Some("https://example.org/?")),
            (
                "https://u:P@Example.org/a",
                Some("https://u:P@example.org/a"),
            ),
            ("https://example.org/a/", Some("https://example.org/a/")),
            ("ftp://example.org/a", None),
            ("example.org/a", None),
            ("https://", None),
            ("https://a b/c", None),
        ] {
            assert_eq!(normalised_url(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn what_plainly_is_in_that_form_would_be_put_together_so() {
        let pieces = [
            "https://",
            "HTTPS://",
            "http://",
            "a.example.org",
            "A",
            "é",
            "b-1",
            "/",
            "/c",
            "//",
            ":443",
            ":",
            "@",
            "?d=1",
            "#",
            "utm_e=f",
            " ",
            "\u{a0}",
            "%20",
            "",
        ];
        let mut normal = 0;
        for n in 0..pieces.len().pow(4) {
            let at = |place: u32| pieces[n / pieces.len().pow(place) % pieces.len()];
            let url = [at(0), at(1), at(2), at(3)].concat();
            if is_normal(&url) {
                normal += 1;
                assert_eq!(put_together(&url).as_ref(), Some(&url), "{url}");
            }
        }
        assert!(normal > 100, "{normal}");
    }
}
