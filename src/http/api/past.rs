//! What was decided and what happened.

use super::Reply;
use super::asked::Asked;
use crate::http::HttpError;
use crate::http::visitor::At;
use crate::http::work::Access;
use crate::report::history::PastLine;
use crate::schedule::rfc3339;
use crate::store::Store;
use crate::store::past::{MOST, PastAsk, PastEvent};
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A page of decisions, newest first.
#[derive(JsonSchema, Serialize)]
pub(super) struct Decisions {
    decisions: Vec<PastLine>,
    /// What leads to the page after it as `after`, if there is more.
    next: Option<String>,
    /// Whether it ends before the history does because much was looked at in vain: there may be more
    /// that the filters let through.
    goes_on: bool,
}

/// What happened since an event, oldest first.
#[derive(JsonSchema, Serialize)]
pub(super) struct Events {
    events: Vec<HappenedLine>,
    /// What leads on from here as `after`, now or once more has happened.
    next: i64,
}

/// Something that happened to an item.
#[derive(JsonSchema, Serialize)]
struct HappenedLine {
    /// Rises with every event.
    id: i64,
    /// The item.
    item: i64,
    /// The queue that the item waits in now, or waited in last.
    queue: String,
    /// What happened.
    kind: String,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Who or what did it.
    actor: String,
    /// The item's version afterwards.
    version: i64,
    /// More about it.
    detail: Option<Json>,
}

impl From<PastEvent> for HappenedLine {
    fn from(event: PastEvent) -> Self {
        Self {
            id: event.id,
            item: event.item,
            queue: event.queue,
            kind: event.kind,
            at: rfc3339(event.at),
            actor: event.actor,
            version: event.version,
            detail: event.detail,
        }
    }
}

pub(super) fn decisions(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let ask = PastAsk {
        size: asked.size(),
        at: asked.text("after"),
        actor: asked.text("actor"),
        verdict: asked.parsed("verb"),
        queue: asked.text("queue"),
        since: asked.parsed("since"),
        until: asked.parsed("until"),
        item: asked.parsed("item"),
        reason: asked.text("reason"),
        queues: None,
    };
    let page = at.store.read(|tx| tx.past(&ask))?;
    let next = page.next.as_deref().map(|next| asked.after(next));
    let decisions = Decisions {
        decisions: page.rows.into_iter().map(PastLine::from).collect(),
        next: page.next,
        goes_on: page.goes_on,
    };
    let reply = Reply::of(&decisions)?;
    Ok(Reply { next, ..reply })
}

pub(super) fn events(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let after = asked.parsed("after").unwrap_or_default();
    let limit = asked.size().unwrap_or(50);
    let found = at.store.read(|tx| tx.events_since(after, limit))?;
    let is_full = found.len() == limit;
    let next = found.last().map_or(after, |last| last.id);
    let link = is_full.then(|| asked.after(&next.to_string()));
    let events = found.into_iter().map(HappenedLine::from).collect();
    let reply = Reply::of(&Events { events, next })?;
    Ok(Reply {
        next: link,
        ..reply
    })
}

/// The whole history, a line for each decision, read page by page as it is taken.
pub(super) fn history(at: &mut At<'_>, _: &Asked) -> Result<Body, HttpError> {
    let (gives, takes) = mpsc::channel(2);
    let work = Arc::clone(&at.site.work);
    tokio::spawn(async move {
        let mut from = None;
        loop {
            let read = work.run(Access::Read, move |store| lines(store, from.as_deref()));
            let (page, next) = match read.await {
                Ok((text, next)) => (Ok(text.into()), next),
                Err(error) => {
                    tracing::error!("The history could not be read: {error}");
                    (Err(error), None)
                }
            };
            let is_gone = gives.send(page).await.is_err();
            if is_gone || next.is_none() {
                return;
            }
            from = next;
        }
    });
    Ok(Body::new(Lines(takes)))
}

/// A page of it, and where the next one begins.
fn lines(store: &mut Store, from: Option<&str>) -> Result<(String, Option<String>), HttpError> {
    let ask = PastAsk {
        size: Some(MOST),
        at: from,
        ..PastAsk::default()
    };
    let page = store.read(|tx| tx.past(&ask))?;
    let mut text = String::new();
    for past in page.rows {
        text.push_str(&Reply::of(&PastLine::from(past))?.text);
        text.push('\n');
    }
    Ok((text, page.next))
}

/// What is still being read.
struct Lines(mpsc::Receiver<Result<Bytes, HttpError>>);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let page = self.0.poll_recv(context);
        page.map(|page| page.map(|page| page.map(Frame::data)))
    }
}
