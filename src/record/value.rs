//! A parsed value: what YAML, TOML and JSON have in common, and nothing more.

mod name;

pub use self::name::Name;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;

/// One value of a record or of a rule file.
///
/// A number is always finite: what a 64-bit float cannot hold exactly as a whole number, or not at
/// all (`1e400`, `.nan`), stays the text that was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, `~`, or a key without a value. Counts as missing.
    #[default]
    Null,
    /// `true` or `false`, in the spellings of the YAML 1.2 core schema only.
    Bool(bool),
    /// A finite number; there is one kind of number.
    Number(f64),
    /// Text, dates included.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping in the order of the file.
    Map(Map),
}

/// A mapping from key to value in the order of the file; keys are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Vec<(Name, Value)>);

impl Map {
    /// The value of `key`, if the key is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entry = self.0.iter().find(|(k, _)| k.as_bytes() == key.as_bytes());
        entry.map(|(_, value)| value)
    }

    /// Appends a key that is not there yet, or replaces its value where it stands.
    pub fn set(&mut self, key: &str, value: Value) {
        let mut entries = self.0.iter_mut();
        match entries.find(|(k, _)| k.as_bytes() == key.as_bytes()) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.into(), value)),
        }
    }

    /// Takes a key out and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let mut entries = self.0.iter();
        let at = entries.position(|(k, _)| k.as_bytes() == key.as_bytes())?;
        Some(self.0.remove(at).1)
    }

    /// Keeps the entries that `keep` says yes to.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Name, &Value) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Keys and values in the order of the file.
    pub(crate) fn entries(&self) -> &[(Name, Value)] {
        &self.0
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Value)> for Map {
    /// Collects pairs whose keys the caller knows to be unique.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self(pairs.map(|(key, value)| (key.into(), value)).collect())
    }
}

impl From<Vec<(Name, Value)>> for Map {
    /// Takes pairs whose keys the caller knows to be unique.
    fn from(pairs: Vec<(Name, Value)>) -> Self {
        Self(pairs)
    }
}

impl Value {
    /// The text, if this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a number.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    /// The list, if this is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The mapping, if this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// What kind of value this is, in the words of error messages: "text", "a number", …
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl fmt::Display for Value {
    /// Writes the value on one line, as JSON would but with bare text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            other => f.write_str(&serde_json::to_string(other).map_err(|_| fmt::Error)?),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_none(),
            Self::Bool(yes) => s.serialize_bool(*yes),
            // Whole numbers are written without a fraction; beyond 2^53 a float has no exact one.
            Self::Number(n) if n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0 =>
            {
                #[allow(clippy::cast_possible_truncation)]
                s.serialize_i64(*n as i64)
            }
            Self::Number(n) => s.serialize_f64(*n),
            Self::Text(text) => s.serialize_str(text),
            Self::List(list) => {
                let mut seq = s.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Self::Map(map) => map.serialize(s),
        }
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Reads a mapping of which only some top-level keys count; the others cost no more than being
/// passed over.
#[derive(Clone, Copy, Debug)]
pub struct Only<'k>(pub &'k std::collections::BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for Only<'_> {
    type Value = Map;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Map, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Only<'_> {
    type Value = Map;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Map, A::Error> {
        let mut map = Map::default();
        while let Some(key) = entries.next_key_seed(Among(self.0))? {
            match key {
                Some(key) => map.set(key, entries.next_value()?),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(map)
    }
}

/// One of some keys, or none of them.
struct Among<'k>(&'k std::collections::BTreeSet<String>);

impl<'de, 'k> DeserializeSeed<'de> for Among<'k> {
    type Value = Option<&'k str>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl<'k> Visitor<'_> for Among<'k> {
    type Value = Option<&'k str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(key).map(String::as_str))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Value, E> {
                Ok(Value::Bool(yes))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Value, E> {
                #[allow(clippy::cast_precision_loss)]
                Ok(Value::Number(n as f64))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Value, E> {
                #[allow(clippy::cast_precision_loss)]
                Ok(Value::Number(n as f64))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Value, E> {
                Ok(Value::Number(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
                Ok(Value::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(Value::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut map = Map::default();
                while let Some((key, value)) = entries.next_entry::<String, Value>()? {
                    map.set(&key, value);
                }
                Ok(Value::Map(map))
            }
        }
        d.deserialize_any(Any)
    }
}
