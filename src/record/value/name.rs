//! The text of a key.

use std::cmp::Ordering;
use std::fmt;

/// Bytes of a key that are kept in place.
const SHORT: usize = 22;

/// The text of a key. A record has dozens, most of them a word: those are kept in place, and cost
/// neither memory of their own nor a look elsewhere when a key is searched for.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Kept);

#[derive(Clone, PartialEq, Eq)]
enum Kept {
    /// So many bytes, which are whole characters; those beyond are 0.
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kept::Short(..) => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Kept::Long(text) => text,
        }
    }

    /// The bytes of the text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Short(length, bytes) => &bytes[..usize::from(*length)],
            Kept::Long(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Kept::Short(length, bytes))
            }
            _ => Self(Kept::Long(text.into())),
        }
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        match text.len() {
            0..=SHORT => Self::from(text.as_str()),
            _ => Self(Kept::Long(text.into_boxed_str())),
        }
    }
}

impl Ord for Name {
    /// By the bytes of the text.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // What is shorter ends in zeros, and stands before what goes on.
            (Kept::Short(a_length, a), Kept::Short(b_length, b)) => {
                a.cmp(b).then(a_length.cmp(b_length))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_text_that_it_was_made_of() {
        for length in 0..40 {
            for text in ["a".repeat(length), "é".repeat(length)] {
                let name = Name::from(text.as_str());
                assert_eq!(name.as_str(), text);
                assert_eq!(name, Name::from(text.clone()));
                assert_ne!(name, Name::from(text + "b"));
            }
        }
        assert_ne!(Name::from("a"), Name::from("a\0"));
        assert_eq!(size_of::<Name>(), size_of::<String>());
    }

    #[test]
    fn names_stand_in_the_order_of_their_texts() {
        let long = "b".repeat(30);
        let texts = [
            "", "a", "a\0", "a\0b", "ab", "b", &long, "bc", "\u{7f}", "é",
        ];
        for a in texts {
            for b in texts {
                assert_eq!(Name::from(a).cmp(&Name::from(b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }
}
