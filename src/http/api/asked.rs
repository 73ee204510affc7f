//! What a request says, held against the table.

use super::problem::Problem;
use super::table::{Endpoint, KEY, Kind, Param, Place};
use crate::http::{HttpError, body};
use crate::rules::nearest;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// A request that says what it may say.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its path below the address of the desk.
    path: String,
    /// Each parameter that was given, and is of its kind.
    given: Vec<(&'static Param, String)>,
    body: Bytes,
}

impl Asked {
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn of(
        endpoint: &'static Endpoint,
        parts: &mut Parts,
        sent: Body,
    ) -> Result<Self, HttpError> {
        let in_path = Path::<Vec<(String, String)>>::from_request_parts(parts, &()).await;
        let Path(mut said) = in_path.map_err(|error| Problem::missing(error.body_text()))?;
        said.retain(|(name, _)| endpoint.names(Place::Path).any(|known| known == name));
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !endpoint.names(Place::Query).any(|known| known == name) {
                let near = nearest(&name, endpoint.names(Place::Query));
                let near = near.map(|near| format!("; did you mean `{near}`?"));
                let near = near.unwrap_or_default();
                let fault = format!("There is no parameter `{name}`{near}");
                return Err(Problem::bad(fault).into());
            }
            if said.iter().any(|(known, _)| *known == name) {
                return Err(Problem::bad(format!("`{name}` is given twice.")).into());
            }
            said.push((name.into_owned(), value.into_owned()));
        }
        for name in endpoint.names(Place::Header) {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            let value =
                value.ok_or_else(|| Problem::bad(format!("The header `{name}` is missing.")))?;
            said.push((name.to_owned(), value.trim_matches('"').to_owned()));
        }
        let mut given = Vec::new();
        for param in endpoint.params {
            let Some((_, value)) = said.iter().find(|(name, _)| name == param.name) else {
                continue;
            };
            // Programs that know one kind of number write a whole one so.
            let is_number = matches!(param.kind, Kind::Number(..));
            let whole = value.strip_suffix(".0").filter(|_| is_number);
            let value = whole.unwrap_or(value);
            if let Some(wanted) = param.kind.fault(value) {
                return Err(Problem::bad(format!("`{}` must be {wanted}.", param.name)).into());
            }
            given.push((param, value.to_owned()));
        }
        let body = match endpoint.takes {
            Some(_) => taken(&parts.headers, sent).await?,
            None => Bytes::new(),
        };
        let path = parts.uri.path().to_owned();
        Ok(Self { path, given, body })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().filter(|(param, _)| param.name == name);
        given.next().map(|(_, value)| value.as_str())
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// How many a page is to hold.
    pub(super) fn size(&self) -> Option<usize> {
        self.parsed("limit")
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The number in its path.
    pub(super) fn id(&self) -> i64 {
        self.parsed("id").unwrap_or_default()
    }

    /// What the request is named by.
    pub(super) fn key(&self) -> uuid::Uuid {
        self.parsed(KEY).unwrap_or_default()
    }

    /// The path of the same request from another cursor.
    pub(super) fn after(&self, cursor: &str) -> String {
        let given = self.given.iter();
        let given = given.filter(|(param, _)| param.place == Place::Query && param.name != "after");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(given.map(|(param, value)| (param.name, value)))
            .append_pair("after", cursor)
            .finish();
        format!("{}?{query}", self.path)
    }

    /// The body.
    pub(super) fn body<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = error.to_string();
            let unknown = text.strip_prefix("unknown field `");
            let near = unknown.and_then(|rest| near_key::<T>(rest.split('`').next()?));
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            Problem::bad(format!("The body: {text}{}", near.unwrap_or_default())).into()
        })
    }
}

/// The key of a shape that was meant.
fn near_key<T: JsonSchema>(wrong: &str) -> Option<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let keys = schema.get("properties")?.as_object()?;
    nearest(wrong, keys.keys().map(String::as_str)).map(str::to_owned)
}

async fn taken(headers: &HeaderMap, sent: Body) -> Result<Bytes, HttpError> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::no_json().into());
    }
    Ok(body(headers, sent).await?)
}
