//! How the fields and the body of a record are packed: JSON and text, by LZ4.
//!
//! Records are short, and alike: packed each for itself, they stay nearly as long as they were. So
//! fields are packed as what follows a text that both sides know: what most records
//! write, then the record's own identity and title, which stand in columns of their own.

use super::StoreError;
use crate::record::Record;
use crate::record::value::{Map, Only};
use serde::de::DeserializeSeed;
use std::collections::BTreeSet;

/// What most records write. Stored fields are read by it, so it is never changed: a better text
/// would be a second one, with a flag of its own. What is met oftenest stands last.
const KNOWN: &str = r#"","isCached":true}],"levels":["Beginner","Intermediate","Advanced"],"related":[{"title":"","url":"/assets/images/organizations/.com-50x50.jpg","width":50,"height":50}]},"items":["courses/"],"tags":["","ratings":{"count":1,"average":4.5},"quality":100,"published":true,"excerpt":"In this video, you will learn how to the and of your with for that this from can are will have more about","originalUrl":"https://www.youtube.com/watch?v=","webUrl":"https://www.","type":"article","price":"Free","length":"PT1H30M","publishedDateTime":"2024-01-01T00:00:00Z","heat":100,"featuredContent":"<iframe width=\"800\" height=\"500\" frameborder=\"0\" src=\"https://www.youtube.com/embed/\" allow=\"accelerometer; autoplay; encrypted-media; gyroscope; picture-in-picture\" allowfullscreen></iframe>","provider":{"name":"","domain":".com","topics":["","images":[{"url":"https://www..com/media/","width":1280,"height":720,"isCached":true}]}{"title":""#;

/// Set in the length that precedes the block: it follows what both sides know. Fields that were
/// stored before do not have it.
const FOLLOWS: u32 = 1 << 31;

/// What a record's own columns say.
#[derive(Clone, Copy)]
pub(super) struct Own<'r> {
    pub(super) identity: &'r str,
    pub(super) title: Option<&'r str>,
}

impl Own<'_> {
    fn known(self) -> Vec<u8> {
        let title = self.title.unwrap_or_default();
        [KNOWN, self.identity, title].concat().into_bytes()
    }
}

/// What is stored of a record's fields and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    pub(super) fields: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Packed {
    /// Packs a record: about 4 µs, which need not be spent while the database is locked.
    ///
    /// # Errors
    /// [`StoreError`], if the fields cannot be written as JSON.
    pub fn of(record: &Record) -> Result<Self, StoreError> {
        let own = Own {
            identity: &record.identity,
            title: record.title(),
        };
        Ok(Self {
            fields: packed_fields(&record.fields, own)?,
            body: packed(&record.body),
        })
    }
}

fn packed_fields(fields: &Map, own: Own<'_>) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(fields).map_err(|error| StoreError::Odd(error.to_string()))?;
    let length = u32::try_from(json.len()).map_err(|error| StoreError::Odd(error.to_string()))?;
    let mut packed = vec![0; 4 + lz4_flex::block::get_maximum_output_size(json.len())];
    let (head, block) = packed.split_at_mut(4);
    head.copy_from_slice(&(length | FOLLOWS).to_le_bytes());
    let filled = lz4_flex::block::compress_into_with_dict(&json, block, &own.known())
        .map_err(|error| StoreError::Odd(error.to_string()))?;
    packed.truncate(4 + filled);
    Ok(packed)
}

/// The JSON of packed fields, in `room`, which is used again.
fn json_of<'r>(packed: &[u8], own: Own<'_>, room: &'r mut Vec<u8>) -> Result<&'r [u8], String> {
    let (head, block) = packed.split_first_chunk::<4>().ok_or("it is cut short")?;
    let head = u32::from_le_bytes(*head);
    let length = usize::try_from(head & !FOLLOWS).map_err(|error| error.to_string())?;
    room.resize(length, 0);
    let filled = if head & FOLLOWS == 0 {
        lz4_flex::block::decompress_into(block, room)
    } else {
        lz4_flex::block::decompress_into_with_dict(block, room, &own.known())
    };
    let filled = filled.map_err(|error| error.to_string())?;
    Ok(room.get(..filled).unwrap_or_default())
}

/// All fields.
pub(super) fn unpacked_fields(packed: &[u8], own: Own<'_>) -> Result<Map, String> {
    let mut room = Vec::new();
    let json = json_of(packed, own, &mut room)?;
    let fields: crate::record::value::Value =
        serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(fields.as_map().cloned().unwrap_or_default())
}

/// Some of the fields; `room` is used again.
pub(super) fn some_fields(
    packed: &[u8],
    own: Own<'_>,
    keys: &BTreeSet<String>,
    room: &mut Vec<u8>,
) -> Result<Map, String> {
    let json = json_of(packed, own, room)?;
    let mut parser = serde_json::Deserializer::from_slice(json);
    Only(keys)
        .deserialize(&mut parser)
        .map_err(|error| error.to_string())
}

fn packed(text: &str) -> Vec<u8> {
    lz4_flex::compress_prepend_size(text.as_bytes())
}

pub(super) fn unpacked(bytes: &[u8]) -> Result<String, String> {
    let text = lz4_flex::decompress_size_prepended(bytes).map_err(|error| error.to_string())?;
    String::from_utf8(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Hash;
    use crate::record::value::Value;
    use proptest::prelude::*;

    const OWN: Own<'_> = Own {
        identity: "https://example.org/a",
        title: Some("A story"),
    };

    fn fields(text: &str) -> Map {
        [("title".to_owned(), Value::Text(text.to_owned()))]
            .into_iter()
            .collect()
    }

    #[test]
    fn what_stored_fields_are_read_by_is_as_it_was() {
        let hash = Hash::of(KNOWN.as_bytes());
        assert_eq!(format!("{hash:?}"), "b91360bb6ab3");
    }

    #[test]
    fn fields_that_were_packed_for_themselves_are_read() {
        let map = fields("A story that was stored long ago");
        let old = packed(&serde_json::to_string(&map).unwrap());
        assert_eq!(unpacked_fields(&old, OWN).unwrap(), map);
    }

    #[test]
    fn what_the_columns_say_is_not_stored_again() {
        let long = "A title which is said twice, and stored once: ".repeat(5);
        let own = Own {
            identity: "a.md",
            title: Some(&long),
        };
        let packed = packed_fields(&fields(&long), own).unwrap();
        assert!(packed.len() < 30, "{}", packed.len());
        assert_eq!(unpacked_fields(&packed, own).unwrap(), fields(&long));
    }

    #[test]
    fn what_is_no_packing_is_no_panic() {
        for bytes in [
            &b""[..],
            b"\x00",
            b"\xff\xff\xff\x80x",
            b"\x09\x00\x00\x80\xf0",
        ] {
            assert!(unpacked_fields(bytes, OWN).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn fields_come_back_as_they_were(text in ".{0,2000}", identity in ".{0,100}", title in proptest::option::of(".{0,100}")) {
            let own = Own { identity: &identity, title: title.as_deref() };
            let packed = packed_fields(&fields(&text), own).unwrap();
            prop_assert_eq!(unpacked_fields(&packed, own).unwrap(), fields(&text));
            let keys = ["title".to_owned()].into();
            prop_assert_eq!(some_fields(&packed, own, &keys, &mut Vec::new()).unwrap(), fields(&text));
        }
    }
}
