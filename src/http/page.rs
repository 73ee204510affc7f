//! Pages as answers, and the one stylesheet.

use crate::http::visitor::At;
use crate::http::{HttpError, Site, guard, plain};
use crate::record::shown;
use askama::Template;
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::{Arc, LazyLock};

/// What pages load besides themselves: path, kind, text.
const ASSETS: [(&str, &str, &str); 2] = [
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("pages/style.css"),
    ),
    (
        "/console.js",
        "text/javascript; charset=utf-8",
        include_str!("pages/console.js"),
    ),
];

static ETAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |text: &str| format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..16]);
    ASSETS.iter().map(|(_, _, text)| tag(text)).collect()
});

pub(super) fn assets() -> Router<Arc<Site>> {
    let add = |router: Router<_>, n: usize| {
        router.route(ASSETS[n].0, get(move |headers| asset(n, headers)))
    };
    (0..ASSETS.len()).fold(Router::new(), add)
}

/// What pages load; browsers keep it, and ask whether it is still the same.
async fn asset(n: usize, headers: HeaderMap) -> Response {
    let ((_, kind, text), tag) = (ASSETS[n], &ETAGS[n]);
    let mut answer = if is_known(&headers, tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        plain(StatusCode::OK, kind, text.to_owned())
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // The frame of a story's body is sandboxed, which makes it a stranger to us.
    let anyone = HeaderValue::from_static("cross-origin");
    headers.insert("cross-origin-resource-policy", anyone);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

/// Whether who asks has what this tag names.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|known| known.to_str().ok());
    let mut known = known.unwrap_or_default().split(',');
    known.any(|known| known.trim().trim_start_matches("W/") == tag)
}

/// What stands around a page of the console.
pub(super) struct Frame {
    pub(super) base: String,
    pub(super) title: String,
    /// Which of the places it is.
    pub(super) here: &'static str,
    pub(super) name: String,
    pub(super) csrf: String,
    pub(super) is_editor: bool,
}

/// The pages that every page leads to: name, path, words, and whether they are for editors alone.
const PLACES: [(&str, &str, &str, bool); 5] = [
    ("broken", "/broken", "Broken", false),
    ("history", "/history", "History", false),
    ("rules", "/rules", "Rules", false),
    ("status", "/status", "Status", false),
    ("tokens", "/tokens", "API", true),
];

impl Frame {
    pub(super) fn of(at: &At<'_>, here: &'static str, title: impl Into<String>) -> Self {
        Self {
            base: at.site.base.clone(),
            title: title.into(),
            here,
            name: shown::line(at.visitor.name(), 60),
            csrf: at.visitor.csrf.clone(),
            is_editor: at.visitor.is_editor(),
        }
    }

    pub(super) fn places(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let is_editor = self.is_editor;
        let places = PLACES.iter().filter(move |place| is_editor || !place.3);
        places.map(|(key, path, words, _)| (*key, *path, *words))
    }
}

/// A page of the console as an answer: its scripts run, its forms are sent, and pictures of the
/// stories are shown if `with_pictures`.
pub(super) fn console(
    status: StatusCode,
    page: &impl Template,
    with_pictures: bool,
) -> Result<Response, HttpError> {
    let mut answer = html(status, page)?;
    guard::allow_console(&mut answer, with_pictures);
    guard::allow_forms(&mut answer);
    Ok(answer)
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
    /// In how many seconds it may be tried again; 0 if that is not said.
    pub(super) retry_after: u16,
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
        let mut answer = html(self.status, &page).unwrap_or_else(|error| {
            tracing::error!("A page could not be made: {error}");
            self.status.into_response()
        });
        if self.retry_after > 0 {
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, self.retry_after.into());
        }
        answer
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

    pub(super) fn unknown_endpoint() -> Self {
        let text =
            "There is no such endpoint; /api/v1/openapi.json describes those that there are.";
        Self::new(StatusCode::NOT_FOUND, "Not found", &[text])
    }

    pub(super) fn unknown_item(id: i64) -> Self {
        let text = format!("There is no item {id}, or it is in no queue of yours.");
        Self::new(StatusCode::NOT_FOUND, "Not found", &[&text])
    }

    pub(super) fn only_editors() -> Self {
        let text = "This is for editors of the desk.";
        Self::new(StatusCode::FORBIDDEN, "Not for you", &[text])
    }

    pub(super) fn old_form() -> Self {
        let text = "This page is of an earlier session, and nothing was changed. Load it again.";
        Self::new(StatusCode::FORBIDDEN, "Load the page again", &[text])
    }

    pub(super) fn signed_out(base: &str) -> Self {
        let text = "Nothing was changed: you are not signed in any more.";
        let note = Self::new(StatusCode::UNAUTHORIZED, "Signed out", &[text]);
        note.link(format!("{base}/sign-in"), "Sign in")
    }

    pub(super) fn old_sign_in() -> Self {
        let text = "It was used, or is older than ten minutes. Ask for another.";
        Self::new(StatusCode::FORBIDDEN, "This link does not hold", &[text])
    }

    pub(super) fn no_address() -> Self {
        let text = "The desk does not know by which address it is reached, so no link would lead here. Whoever runs it sets COPYDESK_PUBLIC_URL.";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "No link can be mailed",
            &[text],
        )
    }

    pub(super) fn wrong_method() -> Self {
        let text = "That cannot be done with this page.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Not possible", &[text])
    }

    pub(super) fn too_long() -> Self {
        let text = "This took too long. Try again in a minute; what was done is not done twice.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Too busy", &[text])
    }

    pub(super) fn too_often(seconds: u16) -> Self {
        let text = format!("Too many links were asked for. Ask again in {seconds} seconds.");
        let note = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too often", &[&text]);
        Self {
            retry_after: seconds,
            ..note
        }
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
