//! `GET /`: the desk of who is signed in.

use crate::http::page::{Frame, console};
use crate::http::visitor::{At, Ticket};
use crate::http::{HttpError, Shared, Site};
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/", get(desk))
}

async fn desk(State(site): Shared, ticket: Ticket) -> Response {
    site.show(ticket, page).await
}

#[derive(Template)]
#[template(path = "desk.html", config = "src/http/askama.toml")]
struct DeskPage {
    frame: Frame,
    /// Each queue of hers, and how many items are open in it.
    queues: Vec<(String, i64)>,
}

fn page(at: &mut At<'_>) -> Result<Response, HttpError> {
    let counts = at.store.read(|tx| tx.item_counts())?;
    let open = |name: &str| {
        let open = counts.iter().filter(|(queue, status, _)| {
            queue == name && matches!(status.as_str(), "pending" | "held")
        });
        open.map(|(_, _, count)| count).sum()
    };
    let queues = at.visitor.queues(at.rules);
    let queues = queues.into_iter().map(|name| (name.to_owned(), open(name)));
    let page = DeskPage {
        queues: queues.collect(),
        frame: Frame::of(at, "desk", "My desk"),
    };
    console(StatusCode::OK, &page, false)
}
