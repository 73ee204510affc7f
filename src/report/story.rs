//! One record, as it is stored and where it is found.

use super::BrokenLine;
use crate::record::value::Map;
use crate::schedule::rfc3339;
use crate::store::records::Found;
use crate::store::{Store, StoreError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

/// One record whole.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RecordPage {
    /// Its number.
    pub id: i64,
    /// Its source.
    pub source: String,
    /// Its identity.
    pub identity: String,
    /// Whether its file reads as published.
    pub published: bool,
    /// When it was first seen.
    #[schemars(extend("format" = "date-time"))]
    pub first_seen: String,
    /// Since when no file holds it.
    #[schemars(extend("format" = "date-time"))]
    pub gone: Option<String>,
    /// Its item, if it ever had one.
    pub item: Option<i64>,
    /// Its content and signal fields.
    #[schemars(with = "serde_json::Map<String, Json>")]
    pub fields: Map,
    /// Its body.
    pub body: String,
    /// The files that hold it.
    pub locations: Vec<LocationLine>,
}

/// A file that holds a record.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LocationLine {
    /// The path below the source.
    pub path: String,
    /// When it was first seen.
    #[schemars(extend("format" = "date-time"))]
    pub first_seen: String,
    /// Since when it is not there.
    #[schemars(extend("format" = "date-time"))]
    pub missing_since: Option<String>,
    /// Why it cannot be read now.
    pub broken: Option<BrokenLine>,
}

/// One record whole, if there is one of that number.
///
/// # Errors
/// [`StoreError`].
pub fn record(store: &mut Store, id: i64) -> Result<Option<RecordPage>, StoreError> {
    store.read(|tx| {
        let Some(known) = tx.record(id)? else {
            return Ok(None);
        };
        let (fields, body) = tx.contents(id)?;
        let line = |found: Found| LocationLine {
            path: found.location.to_string(),
            first_seen: rfc3339(found.first_seen),
            missing_since: found.missing_since.map(rfc3339),
            broken: BrokenLine::of(known.source.clone(), found),
        };
        let locations = tx.locations_of(id)?.into_iter().map(line).collect();
        Ok(Some(RecordPage {
            item: tx.item_of(id)?.map(|item| item.id),
            first_seen: rfc3339(known.first_seen),
            gone: known.gone_at.map(rfc3339),
            published: known.published,
            id,
            source: known.source,
            identity: known.identity,
            fields,
            body,
            locations,
        }))
    })
}
