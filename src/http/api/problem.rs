//! What went wrong, for programs (RFC 9457).

use crate::http::HttpError;
use crate::http::page::Note;
use crate::review::ReviewError;
use crate::store::StoreError;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request was not answered as it was meant.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(in crate::http) struct Problem {
    /// A URI that names the kind of problem; `about:blank` says no more than the status.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What is wrong, in short.
    title: String,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What is wrong with this request, and what to do about it.
    detail: String,
    /// What happened since the version that was decided on, a line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<String>>,
    /// The version that stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip)]
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            changed: None,
            version: None,
            header: None,
        }
    }

    fn of_kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        let header = Some((name, value));
        Self { header, ..self }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad request", detail)
    }

    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    /// What is well formed, and cannot be done all the same.
    pub(super) fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Refused", detail)
    }

    pub(super) fn no_json() -> Self {
        let detail = "The body must be JSON, and say so: `Content-Type: application/json`.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON", detail)
    }

    /// Nobody was let in; `with_token` when there was a token, and it does not hold.
    pub(in crate::http) fn no_token(with_token: bool) -> Self {
        let (detail, asks) = if with_token {
            let detail = "The token does not hold: it was taken back, has ended, or never was.";
            (detail, "Bearer error=\"invalid_token\"")
        } else {
            let detail = "Send a token: `Authorization: Bearer cd_…`. Editors make them in the console, under API.";
            (detail, "Bearer")
        };
        Self::new(StatusCode::UNAUTHORIZED, "No token", detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static(asks))
    }

    pub(in crate::http) fn only_reads() -> Self {
        let detail = "This token may only read; what acts needs one that may decide.";
        let asks = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
        Self::new(StatusCode::FORBIDDEN, "Only for reading", detail)
            .with(header::WWW_AUTHENTICATE, asks)
    }

    /// Asked too often: again in so many seconds.
    pub(in crate::http) fn too_often(seconds: u16) -> Self {
        let detail = format!("Too many requests. Ask again in {seconds} seconds.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too often", detail)
            .with(header::RETRY_AFTER, seconds.into())
    }
}

impl From<Note> for Problem {
    fn from(note: Note) -> Self {
        let detail = note.text.join(" ");
        let problem = Self::new(note.status, &note.title, detail);
        match note.retry_after {
            0 => problem,
            seconds => problem.with(header::RETRY_AFTER, seconds.into()),
        }
    }
}

impl From<HttpError> for Problem {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Problem(problem) => *problem,
            HttpError::Note(note) => (*note).into(),
            HttpError::Store(error @ StoreError::Cursor) => Self::refused(error.to_string()),
            error => {
                tracing::error!("A request to the API could not be answered: {error}");
                Note::failed().into()
            }
        }
    }
}

impl From<Problem> for HttpError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<ReviewError> for HttpError {
    fn from(error: ReviewError) -> Self {
        let text = error.to_string();
        let conflict = |title: &str, text: String| Problem::new(StatusCode::CONFLICT, title, text);
        let problem = match error {
            ReviewError::Store(error) => return error.into(),
            ReviewError::Stale {
                id,
                asked,
                stands,
                since,
            } => Problem {
                changed: Some(since),
                version: Some(stands),
                ..conflict(
                    "It has changed",
                    format!(
                        "Item {id} is not what it was at version {asked}. Look at it again, then decide on version {stands}."
                    ),
                )
                .of_kind("urn:copydesk:problem:stale")
            },
            ReviewError::Taken(_) => {
                Problem::refused(text).of_kind("urn:copydesk:problem:key-reused")
            }
            ReviewError::Claimed { .. } => {
                conflict("Claimed", text).of_kind("urn:copydesk:problem:claimed")
            }
            ReviewError::NotNow { .. } | ReviewError::Closed { .. } | ReviewError::Gone(_) => {
                conflict("Not now", text)
            }
            ReviewError::NoItem(id) => Note::unknown_item(id).into(),
            ReviewError::NotHers { .. } | ReviewError::EditorsOnly { .. } => {
                Problem::new(StatusCode::FORBIDDEN, "Not allowed", text)
            }
            ReviewError::ReasonWithoutReject(verdict) => Problem::refused(format!(
                "a reason belongs to a rejection, not to {verdict}; use `note`"
            )),
            ReviewError::NoReviewer { .. }
            | ReviewError::NoQueue { .. }
            | ReviewError::NothingWaits { .. }
            | ReviewError::EmptyNote
            | ReviewError::NoReason { .. }
            | ReviewError::Past(_) => Problem::refused(text),
        };
        problem.into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(&self).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut answer = (status, kind, text).into_response();
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}
