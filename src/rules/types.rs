//! The types that conditions are checked against: what each field of a record is meant to hold.
//!
//! A type is a promise of the rule set, not of the files: a value that does not keep it counts as
//! missing when a condition is evaluated.

use std::fmt;

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A number; there is one kind of number.
    Number,
    /// Text, dates included.
    Text,
    /// A list whose elements are of one type.
    List(Box<Self>),
    /// A mapping with known keys.
    Map(Schema),
    /// Not declared: whatever the place it is used in needs.
    Any,
}

impl Type {
    /// A list of this type.
    #[must_use]
    pub fn list(self) -> Self {
        Self::List(Box::new(self))
    }
}

impl fmt::Display for Type {
    /// Writes the type as messages say it: "a number", "text", "a list of text".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Number => f.write_str("a number"),
            Self::Text => f.write_str("text"),
            Self::Map(_) => f.write_str("a mapping"),
            Self::Any => f.write_str("of no known type"),
            Self::List(element) => match &**element {
                Self::Number => f.write_str("a list of numbers"),
                Self::Map(_) => f.write_str("a list of mappings"),
                Self::Any => f.write_str("a list"),
                Self::List(_) => f.write_str("a list of lists"),
                Self::Bool | Self::Text => write!(f, "a list of {element}"),
            },
        }
    }
}

/// The fields of a record or of a mapping in it, in the order they were declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema(Vec<(String, Type)>);

impl Schema {
    /// The fields that every rule may name without a declaration.
    #[must_use]
    pub fn seed() -> Self {
        let provider = Self::of([("name", Type::Text), ("domain", Type::Text)]);
        let image = Self::of([
            ("url", Type::Text),
            ("width", Type::Number),
            ("height", Type::Number),
            ("isCached", Type::Bool),
            ("title", Type::Text),
        ]);
        let story = Self::of([
            ("title", Type::Text),
            ("excerpt", Type::Text),
            ("publishedDateTime", Type::Text),
            ("webUrl", Type::Text),
            ("ampWebUrl", Type::Text),
            ("cdnAmpWebUrl", Type::Text),
            ("type", Type::Text),
            ("quality", Type::Number),
            ("heat", Type::Number),
            ("published", Type::Bool),
            ("provider", Type::Map(provider)),
            ("topics", Type::Text.list()),
            ("images", Type::Map(image).list()),
        ]);
        let mut fields = story.clone();
        fields.insert("category", Type::Text);
        fields.insert("related", Type::Map(story).list());
        fields
    }

    fn of<const N: usize>(fields: [(&str, Type); N]) -> Self {
        Self(fields.map(|(name, kind)| (name.to_owned(), kind)).into())
    }

    /// The type of a field, if it is declared.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, kind)| kind)
    }

    /// Declares a field, or declares it anew where it stands.
    pub fn insert(&mut self, name: &str, kind: Type) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = kind,
            None => self.0.push((name.to_owned(), kind)),
        }
    }

    /// The names of the fields, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_reaches_into_lists_and_mappings() {
        let seed = Schema::seed();
        assert_eq!(seed.get("quality"), Some(&Type::Number));
        assert_eq!(
            seed.get("related").unwrap().to_string(),
            "a list of mappings"
        );
        let Some(Type::List(element)) = seed.get("related") else {
            panic!()
        };
        let Type::Map(story) = &**element else {
            panic!()
        };
        assert_eq!(story.get("topics").unwrap().to_string(), "a list of text");
        assert_eq!(story.get("related"), None);
        assert_eq!(story.get("category"), None);
        assert_eq!(seed.names().next(), Some("title"));
    }

    #[test]
    fn insert_replaces_in_place() {
        let mut schema = Schema::seed();
        let count = schema.names().count();
        schema.insert("heat", Type::Text);
        schema.insert("odd-key", Type::Number.list());
        assert_eq!(schema.names().count(), count + 1);
        assert_eq!(schema.get("heat"), Some(&Type::Text));
        assert_eq!(
            schema.get("odd-key").unwrap().to_string(),
            "a list of numbers"
        );
    }
}
