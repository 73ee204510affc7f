//! `GET /`: the desk of who is signed in.

use crate::http::acts;
use crate::http::item::Done;
use crate::http::page::{Frame, console};
use crate::http::queue::{COUNTED, Row};
use crate::http::view::View;
use crate::http::visitor::{At, Ticket};
use crate::http::{HttpError, Shared, Site};
use crate::store::counts::QueueCounts;
use crate::store::pages::{Ask, Sort};
use crate::store::past::PastAsk;
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::collections::HashSet;
use std::sync::Arc;

/// Rows of each list.
const ROWS: usize = 10;

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
    /// Each queue of hers: its address, and what is in it.
    queues: Vec<(String, QueueCounts)>,
    /// Lists of stories: what they are, and what to say when there are none.
    lists: Vec<(&'static str, Vec<Row>)>,
    /// What she decided last.
    last: Vec<Done>,
    key: String,
}

impl DeskPage {
    fn is_clear(&self) -> bool {
        self.lists.iter().all(|(_, rows)| rows.is_empty())
    }
}

fn page(at: &mut At<'_>) -> Result<Response, HttpError> {
    let (rules, now) = (at.rules, at.now);
    let names = at.visitor.queues(rules);
    let me = at.visitor.actor().name();
    let overdue = Ask {
        queues: names.clone(),
        sort: Sort::Due,
        size: Some(ROWS),
        overdue: true,
        ..Ask::default()
    };
    let (counts, overdue, mut claimed, mut assigned, last) = at.store.read(|tx| {
        let counts = tx.queue_counts(&names, COUNTED, now)?;
        let overdue = tx.page(&overdue, now)?.rows;
        let (mut claimed, mut assigned) = (Vec::new(), Vec::new());
        for (item, who) in tx.in_hands(now)? {
            if who == me && item.status.is_open() && claimed.len() + assigned.len() < MOST {
                let is_claimed = item.claim(now).is_some_and(|(by, _)| by == me);
                let list = if is_claimed {
                    &mut claimed
                } else {
                    &mut assigned
                };
                list.push(tx.page_row(item.id)?);
            }
        }
        let hers = PastAsk {
            actor: Some(&me),
            size: Some(2 * ROWS),
            ..PastAsk::default()
        };
        let last = tx.past(&hers)?.rows;
        Ok::<_, HttpError>((counts, overdue, claimed, assigned, last))
    })?;
    claimed.retain(|row| at.visitor.may_see(&row.listed.item.queue));
    assigned.retain(|row| at.visitor.may_see(&row.listed.item.queue));
    let lists = [
        ("Overdue", overdue),
        ("Claimed by you", claimed),
        ("Handed to you", assigned),
    ];
    let lists =
        lists.map(|(what, rows)| (what, rows.into_iter().map(|row| Row::of(row, at)).collect()));
    let mut done = Vec::new();
    let mut seen = HashSet::new();
    for id in last.into_iter().map(|past| past.item) {
        if done.len() < ROWS && seen.insert(id) && at.item(id).is_ok() {
            done.extend(Done::by_her(at, id)?);
        }
    }
    let counts = counts
        .into_iter()
        .map(|counts| (View::of(&counts.queue).path(), counts));
    let page = DeskPage {
        frame: Frame::of(at, "desk", "My desk"),
        queues: counts.collect(),
        lists: lists.into(),
        last: done,
        key: acts::new_key(),
    };
    console(StatusCode::OK, &page, false)
}

/// Stories in her hands that are listed at most.
const MOST: usize = 50;
