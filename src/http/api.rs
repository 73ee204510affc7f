//! `/api/v1`: the desk for programs, which come with a token and never with a cookie.

mod act;
mod asked;
mod openapi;
mod past;
mod problem;
mod read;
mod table;

pub(super) use problem::Problem;

use crate::http::page::is_known;
use crate::http::visitor::{At, Ticket};
use crate::http::work::Access;
use crate::http::{HttpError, Shared, Site, plain};
use asked::Asked;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use serde::Serialize;
use std::sync::Arc;
use table::{ENDPOINTS, Endpoint, Place, ROOT, Run, Verb};

pub(super) fn routes() -> Router<Arc<Site>> {
    let add = |router: Router<_>, endpoint: &'static Endpoint| {
        let answer = move |State(site): Shared, ticket: Ticket, request: Request| {
            answer(endpoint, site, ticket, request)
        };
        let path = format!("{ROOT}{}", endpoint.path);
        router.route(&path, on(endpoint.verb.filter(), answer))
    };
    ENDPOINTS.iter().fold(Router::new(), add)
}

/// Whether a path is that of the API: what goes wrong there is told to programs.
pub(super) fn is_of(path: &str) -> bool {
    path.starts_with("/api/")
}

async fn answer(
    endpoint: &'static Endpoint,
    site: Arc<Site>,
    ticket: Ticket,
    request: Request,
) -> Response {
    let (mut parts, sent) = request.into_parts();
    // Who may not ask is told no more than that.
    if !matches!(endpoint.run, Run::Document)
        && let Some(problem) = site.without_token(&ticket)
    {
        return problem.into_response();
    }
    let asked = Asked::of(endpoint, &mut parts, sent).await;
    let (access, make) = match endpoint.run {
        Run::Document => {
            let document = asked.map(|_| {
                let made = || openapi::document(&site.base).to_string();
                let text = site.document.get_or_init(made).clone();
                Reply { text, next: None }
            });
            return finished(endpoint, &parts.headers, &site.base, document);
        }
        Run::Read(make) => (Access::Read, make),
        Run::Act(make) => (Access::Write, make),
        Run::Lines(make) => {
            let begin = move |at: &mut At<'_>| {
                let kind = [(header::CONTENT_TYPE, endpoint.run.kind())];
                Ok((kind, make(at, &asked?)?).into_response())
            };
            return site.api(ticket, Access::Read, begin).await;
        }
    };
    let at = Arc::clone(&site);
    site.api(ticket, access, move |it| {
        let done = asked.and_then(|asked| make(it, &asked));
        Ok(finished(endpoint, &parts.headers, &at.base, done))
    })
    .await
}

/// An answer as it is sent, or that it is what the program has already.
fn finished(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    base: &str,
    done: Result<Reply, HttpError>,
) -> Response {
    let Reply { text, next } = match done {
        Ok(reply) => reply,
        Err(error) => return Problem::from(error).into_response(),
    };
    if endpoint.verb != Verb::Get {
        return plain(StatusCode::OK, "application/json", text);
    }
    let tag = format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..32]);
    let mut answer = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        plain(StatusCode::OK, "application/json", text)
    };
    let link = next.map(|next| format!("<{base}{next}>; rel=\"next\""));
    let kept = "private, no-cache".to_owned();
    let given = [
        (header::ETAG, Some(tag)),
        (header::CACHE_CONTROL, Some(kept)),
        (header::VARY, Some("Authorization".to_owned())),
        (header::LINK, link),
    ];
    for (name, value) in given {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// What an endpoint answers.
struct Reply {
    text: String,
    /// The path of the next page.
    next: Option<String>,
}

impl Reply {
    fn of(answer: &impl Serialize) -> Result<Self, HttpError> {
        let text = serde_json::to_string(answer);
        let text = text.map_err(|error| HttpError::Ended(error.to_string()))?;
        Ok(Self { text, next: None })
    }
}

impl Endpoint {
    /// The names of what may be said in a place.
    fn names(&self, place: Place) -> impl Iterator<Item = &'static str> {
        let params = self.params.iter().filter(move |param| param.place == place);
        params.map(|param| param.name)
    }

    fn has_pages(&self) -> bool {
        self.names(Place::Query).any(|name| name == "after")
    }
}

impl Run {
    /// What kind of text it answers.
    fn kind(self) -> &'static str {
        match self {
            Self::Lines(_) => "application/jsonl",
            _ => "application/json",
        }
    }
}
