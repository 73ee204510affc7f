//! `GET /broken`: the files that cannot be read as records.

use crate::http::page::{Frame, console};
use crate::http::visitor::{At, Ticket};
use crate::http::{HttpError, Shared, Site};
use crate::record::shown;
use crate::schedule::clock;
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

/// The most that one page shows.
const SHOWN: usize = 500;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/broken", get(broken))
}

async fn broken(State(site): Shared, ticket: Ticket) -> Response {
    site.show(ticket, page).await
}

#[derive(Template)]
#[template(path = "broken.html", config = "src/http/askama.toml")]
struct BrokenPage {
    frame: Frame,
    count: usize,
    sources: Vec<(String, Vec<Line>)>,
    /// How many are not shown.
    more: usize,
}

/// A file: where in it, what is wrong, since when.
struct Line {
    file: String,
    line: i64,
    column: i64,
    reason: String,
    since: String,
}

fn page(at: &mut At<'_>) -> Result<Response, HttpError> {
    let broken = at.store.read(|tx| tx.broken())?;
    let (count, zone) = (broken.len(), at.visitor.timezone());
    let mut sources: Vec<(String, Vec<Line>)> = Vec::new();
    for (source, found) in broken.into_iter().take(SHOWN) {
        let Some((broken, since)) = found.broken else {
            continue;
        };
        let line = Line {
            file: shown::line(found.location.as_str(), 300),
            line: broken.line,
            column: broken.column,
            reason: shown::line(&broken.reason, 500),
            since: clock(since, &zone),
        };
        match sources.last_mut().filter(|(name, _)| *name == source) {
            Some((_, lines)) => lines.push(line),
            None => sources.push((source, vec![line])),
        }
    }
    let page = BrokenPage {
        frame: Frame::of(at, "broken", "Broken records"),
        count,
        sources,
        more: count.saturating_sub(SHOWN),
    };
    console(StatusCode::OK, &page, false)
}
