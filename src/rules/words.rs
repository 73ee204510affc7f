//! Finding whole words and phrases in a story, as `mentions()` and the keywords of topics do.
//!
//! Story and phrase are folded the same way, so that case, hyphens, line breaks and the shape of an
//! apostrophe make no difference.

use memchr::memmem::Finder;
use std::sync::OnceLock;

/// The title and the excerpt of one record; folded once for all phrases, when the first asks.
#[derive(Clone, Debug)]
pub struct Folded<'a> {
    title: Option<&'a str>,
    excerpt: Option<&'a str>,
    plain: OnceLock<String>,
    folded: OnceLock<String>,
}

impl<'a> Folded<'a> {
    /// What is to be folded.
    #[must_use]
    pub fn new(title: Option<&'a str>, excerpt: Option<&'a str>) -> Self {
        Self {
            title,
            excerpt,
            plain: OnceLock::new(),
            folded: OnceLock::new(),
        }
    }

    /// The title and the excerpt, as far as they are there.
    pub fn parts(&self) -> impl Iterator<Item = &'a str> {
        self.title.into_iter().chain(self.excerpt)
    }

    /// Title and excerpt as they were, joined by a line break: the `text` of conditions.
    #[must_use]
    pub fn plain(&self) -> &str {
        self.plain
            .get_or_init(|| self.parts().collect::<Vec<_>>().join("\n"))
    }

    /// Title and excerpt in the form that phrases are found in. A line break parts them; no folded
    /// phrase holds one, so none can match across the border.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.folded
            .get_or_init(|| self.parts().map(fold).collect::<Vec<_>>().join("\n"))
    }
}

/// A folded word or phrase; never empty.
#[derive(Clone, Debug)]
pub struct Phrase {
    text: String,
    finder: Box<Finder<'static>>,
}

impl PartialEq for Phrase {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Phrase {}

impl Phrase {
    /// The phrase in `text`, unless nothing is left of it once folded.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = fold(text);
        let finder = Box::new(Finder::new(&text).into_owned());
        (!text.is_empty()).then_some(Self { text, finder })
    }

    /// The folded phrase.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the phrase stands in the story as whole words. An edge that is no letter or digit
    /// (`C++`, `.NET`) needs no border.
    #[must_use]
    pub fn occurs_in(&self, story: &Folded<'_>) -> bool {
        let story = story.as_str();
        let starts_in_word = self.text.chars().next().is_some_and(char::is_alphanumeric);
        let mut from = 0;
        while let Some(rest) = story.get(from..) {
            let Some(found) = self.finder.find(rest.as_bytes()) else {
                return false;
            };
            let start = from + found;
            if self.stands_alone(story, start) {
                return true;
            }
            // A phrase that starts with a word cannot start again before this word ends: skipping
            // it keeps the search linear.
            let tail = story.get(start..).unwrap_or_default();
            let word = tail
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(tail.len());
            let first = tail.chars().next().map_or(1, char::len_utf8);
            from = start
                + if starts_in_word {
                    word.max(first)
                } else {
                    first
                };
        }
        false
    }

    /// Whether the occurrence at `start` has a border wherever the phrase's edge needs one.
    pub(crate) fn stands_alone(&self, story: &str, start: usize) -> bool {
        let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let before = story.get(..start).and_then(|s| s.chars().next_back());
        let after = story
            .get(start + self.text.len()..)
            .and_then(|s| s.chars().next());
        let first = self.text.chars().next();
        let last = self.text.chars().next_back();
        let runs_on = (in_word(first) && in_word(before)) || (in_word(last) && in_word(after));
        !runs_on
    }
}

/// Lower case, dashes and white space as single spaces, nothing invisible.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        if c.is_ascii_alphanumeric() {
            folded.push(c.to_ascii_lowercase());
        } else if c.is_whitespace() || is_dash(c) {
            if !folded.is_empty() && !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if matches!(c, '\u{2018}' | '\u{2019}' | '\u{2BC}') {
            folded.push('\'');
        } else {
            folded.extend(c.to_lowercase());
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Soft hyphens and the like, which a reader does not see.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}')
}

fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{58A}' | '\u{5BE}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2043}'
                | '\u{2212}'
                | '\u{2E3A}'
                | '\u{2E3B}'
                | '\u{FE58}'
                | '\u{FE63}'
                | '\u{FF0D}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_whole_words() {
        let table = [
            ("face recognition", "Police drop Face-Recognition", "", true),
            (
                "face recognition",
                "Police drop face\n  recognition tools",
                "",
                true,
            ),
            (
                "face\u{2011}recognition",
                "face \u{2014} recognition",
                "",
                true,
            ),
            ("face recognition", "surface recognition", "", false),
            (
                "face recognition",
                "a new face",
                "recognition at last",
                false,
            ),
            ("amazon", "Amazon's warehouses", "", true),
            ("amazon", "Amazon\u{2019}s warehouses", "", true),
            ("amazon's", "Amazon\u{2019}s warehouses", "", true),
            ("amazon", "Amazonas", "amazon", true),
            ("amazon", "Amazonas", "", false),
            ("c++", "Why C++ lives", "", true),
            ("c++", "Why C++11 lives", "", true),
            ("c++", "ABC++ lives", "", false),
            (".net", "ASP.NET Core", "", true),
            (".net", "the .NETwork", "", false),
            ("a a", "xa a a", "", true),
            ("ai", "said Kai, of AI", "", true),
            ("ai", "said Kai", "", false),
            ("über", "ÜBER alles", "", true),
            ("recognition", "recog\u{AD}nition", "", true),
            ("人工", "人工智能", "", false),
            ("5g", "5G", "", true),
        ];
        for (phrase, title, excerpt, expected) in table {
            let story = Folded::new(Some(title), Some(excerpt));
            let found = Phrase::new(phrase).unwrap().occurs_in(&story);
            assert_eq!(found, expected, "{phrase:?} in {title:?} / {excerpt:?}");
        }
    }

    #[test]
    fn nothing_folds_to_no_phrase() {
        for empty in ["", " ", "-", "\u{2014} \n-", "\u{AD}"] {
            assert_eq!(Phrase::new(empty), None, "{empty:?}");
        }
    }

    #[test]
    fn plain_text_is_kept() {
        assert_eq!(Folded::new(Some("A-b"), Some("C")).plain(), "A-b\nC");
        assert_eq!(Folded::new(Some("A-b"), Some("C")).as_str(), "a b\nc");
        assert_eq!(Folded::new(None, Some("C")).plain(), "C");
    }

    #[test]
    fn long_runs_stay_linear() {
        let long = "a".repeat(256 * 1024);
        let story = Folded::new(Some(&long), None);
        assert!(!Phrase::new(&"a".repeat(1000)).unwrap().occurs_in(&story));
    }
}
