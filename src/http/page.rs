//! Pages as answers, and the one stylesheet.

use crate::http::{HttpError, plain};
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

const STYLE: &str = include_str!("pages/style.css");

static ETAG: LazyLock<String> = LazyLock::new(|| {
    let hash = blake3::hash(STYLE.as_bytes()).to_hex();
    format!("\"{}\"", &hash[..16])
});

/// The stylesheet; browsers keep it, and ask whether it is still the same.
pub(super) async fn style(headers: HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known
        .and_then(|known| known.to_str().ok())
        .unwrap_or_default();
    let mut answer = if known
        .split(',')
        .any(|tag| tag.trim().trim_start_matches("W/") == *ETAG)
    {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        plain(StatusCode::OK, "text/css; charset=utf-8", STYLE.to_owned())
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&ETAG) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

/// A page as an answer.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Result<Response, HttpError> {
    Ok(plain(status, "text/html; charset=utf-8", page.render()?))
}

/// A small page: what is, and what to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Note {
    pub(super) status: StatusCode,
    pub(super) title: String,
    /// A paragraph each.
    pub(super) text: Vec<String>,
    /// What happened: when, what, and what changed by it.
    pub(super) happened: Vec<(String, String, Vec<String>)>,
    /// Where to go on: address and words.
    pub(super) link: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "note.html", config = "src/http/askama.toml")]
struct NotePage<'a> {
    base: &'a str,
    title: &'a str,
    note: &'a Note,
}

impl Note {
    pub(super) fn new(status: StatusCode, title: impl Into<String>, text: &[&str]) -> Self {
        Self {
            status,
            title: title.into(),
            text: text.iter().map(|&text| text.to_owned()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn link(self, to: impl Into<String>, words: &str) -> Self {
        let link = Some((to.into(), words.to_owned()));
        Self { link, ..self }
    }

    /// The page, below `base`.
    pub(super) fn show(&self, base: &str) -> Response {
        let title = &self.title;
        let page = NotePage {
            base,
            title,
            note: self,
        };
        html(self.status, &page).unwrap_or_else(|error| {
            tracing::error!("A page could not be made: {error}");
            self.status.into_response()
        })
    }

    /// For every link that does not hold, whatever is wrong with it.
    pub(super) fn refused() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This link does not hold",
            &[
                "It may be too old, cut short on its way, or meant for someone else.",
                "Nothing was changed. Use the newest mail from the copy desk; what still waits is in it.",
            ],
        )
    }

    pub(super) fn failed() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "That did not work",
            &["The fault is ours, and is in the log. Nothing was changed; try again in a minute."],
        )
    }

    pub(super) fn unknown() -> Self {
        let text = "There is no such page. The links of mails lead to those that there are.";
        Self::new(StatusCode::NOT_FOUND, "Not found", &[text])
    }

    pub(super) fn wrong_method() -> Self {
        let text = "That cannot be done with this page.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Not possible", &[text])
    }

    pub(super) fn too_long() -> Self {
        let text = "This took too long. Try again in a minute; what was done is not done twice.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Too busy", &[text])
    }

    pub(super) fn many_headers() -> Self {
        let text = "The request carries more headers than we read.";
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Too many headers",
            &[text],
        )
    }

    pub(super) fn large_body() -> Self {
        let text = "That is more than we read. A note holds up to 2,000 characters.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", &[text])
    }

    pub(super) fn slow_body() -> Self {
        let text = "The request did not come whole. Nothing was changed; try again.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "Too slow", &[text])
    }

    pub(super) fn misdirected() -> Self {
        let text = "The copy desk is not known by this address. Use the links of its mails.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "Wrong address", &[text])
    }

    pub(super) fn elsewhere() -> Self {
        let text = "This was sent from a page that is not ours, and nothing was changed. Open the link of the mail again, and decide there.";
        Self::new(StatusCode::FORBIDDEN, "Not from here", &[text])
    }
}
