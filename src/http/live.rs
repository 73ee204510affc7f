//! `GET /queues/{name}/live`: what happens to the items of a queue, as it happens.
//!
//! One task looks for new events, about once a second, while anyone listens.

use crate::http::page::Note;
use crate::http::queue::is_hers;
use crate::http::visitor::{At, Ticket};
use crate::http::work::{Access, Work};
use crate::http::{Shared, told};
use crate::store::Store;
use crate::store::past::PastEvent;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How many may listen at once.
const LISTENERS: usize = 64;
/// How often is looked for news, and how many events at once.
const LOOK: (Duration, usize) = (Duration::from_secs(1), 500);
/// After this long without news it is said that the line holds.
const BEAT: Duration = Duration::from_secs(15);
/// After this long a line ends, before its connection would be cut; browsers open another, which
/// goes on from the last event.
const LASTS: Duration = Duration::from_secs(100);
/// Looks by which a slow listener may be behind.
const BEHIND: usize = 32;

type News = Arc<Vec<PastEvent>>;

pub(super) struct Live {
    work: Arc<Work>,
    places: Arc<Semaphore>,
    news: broadcast::Sender<News>,
    is_watched: Mutex<bool>,
    stop: watch::Receiver<bool>,
    runtime: Handle,
}

impl Live {
    pub(super) fn new(work: Arc<Work>, stop: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            work,
            places: Arc::new(Semaphore::new(LISTENERS)),
            news: broadcast::channel(BEHIND).0,
            is_watched: Mutex::new(false),
            stop,
            runtime: Handle::current(),
        })
    }

    /// Sees to it that someone looks for what happens after an event.
    fn is_watched_from(self: &Arc<Self>, after: i64) {
        let mut is_watched = self
            .is_watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !*is_watched {
            *is_watched = true;
            self.runtime.spawn(Arc::clone(self).watch(after));
        }
    }

    async fn watch(self: Arc<Self>, mut after: i64) {
        while self.is_listened_to() {
            let look =
                move |store: &mut Store| Ok(store.read(|tx| tx.events_since(after, LOOK.1))?);
            match self.work.run(Access::Read, look).await {
                Ok(events) => {
                    if let Some(last) = events.last() {
                        after = last.id;
                        drop(self.news.send(Arc::new(events)));
                    }
                }
                Err(error) => tracing::warn!("News could not be looked for: {error}"),
            }
            tokio::select! {
                () = sleep(LOOK.0) => {}
                () = told(self.stop.clone()) => {}
            }
        }
    }

    /// Whether the watcher goes on. If not, who comes next starts another.
    fn is_listened_to(&self) -> bool {
        let mut is_watched = self
            .is_watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *is_watched = self.news.receiver_count() > 0 && !*self.stop.borrow();
        *is_watched
    }
}

/// `GET /queues/{name}/live`: from an event on that the page knows of, or that was heard last.
pub(super) async fn listen(
    State(site): Shared,
    Path(name): Path<String>,
    ticket: Ticket,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let live = Arc::clone(&site.live);
    let Ok(place) = Arc::clone(&live.places).try_acquire_owned() else {
        return Note::too_long().show(&site.base);
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let since = last.or(query.get("since").map(String::as_str));
    let since = since.and_then(|since| since.parse().ok());
    // What happens from here on is heard.
    let news = live.news.subscribe();
    let listen = move |at: &mut At<'_>| {
        is_hers(at, &name)?;
        let (after, missed) = at.store.read(|tx| match since {
            Some(since) => tx.events_since(since, LOOK.1).map(|events| (since, events)),
            None => tx.newest_event().map(|newest| (newest, Vec::new())),
        })?;
        let mut line = Line {
            queue: name,
            after,
            news,
            ends: Instant::now() + LASTS,
            stop: live.stop.clone(),
            _place: place,
        };
        let begun = format!("retry: 3000\n\n{}", line.said(&missed).unwrap_or_default());
        live.is_watched_from(line.after);
        let next = Box::pin(async { Some((begun.into(), line)) });
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        Ok((kind, Body::new(Stream(next))).into_response())
    };
    site.show(ticket, listen).await
}

/// One listener.
struct Line {
    queue: String,
    /// The last event that was said, or is none of hers.
    after: i64,
    news: broadcast::Receiver<News>,
    ends: Instant,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Line {
    /// The next thing to say, unless the service stops.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let news = tokio::select! {
                news = timeout(BEAT, self.news.recv()) => news,
                () = told(self.stop.clone()) => return None,
                () = sleep_until(self.ends) => return None,
            };
            let said = match news {
                Err(_) => ": still here\n\n".to_owned(),
                Ok(Ok(events)) => match self.said(&events) {
                    Some(said) => said,
                    None => continue,
                },
                // What was missed is not known, so anything may have changed.
                Ok(Err(RecvError::Lagged(_))) => {
                    "event: changed\ndata: {\"missed\":true}\n\n".to_owned()
                }
                Ok(Err(RecvError::Closed)) => return None,
            };
            return Some((said.into(), self));
        }
    }

    /// What is news in this queue: of items that are in it, or have just left it.
    fn said(&mut self, events: &[PastEvent]) -> Option<String> {
        let known = self.after;
        let news = events.iter().filter(|event| event.id > known);
        let is_here = |event: &PastEvent| event.queue == self.queue;
        let was_here = |event: &PastEvent| {
            let from = event.detail.as_ref().and_then(|detail| detail.get("from"));
            from.is_some_and(|from| *from == *self.queue)
        };
        let items = news.filter(|event| is_here(event) || was_here(event));
        let items = items.map(|event| {
            json!({"id": event.item, "kind": event.kind, "version": event.version, "here": is_here(event)})
        });
        let items: Vec<_> = items.collect();
        self.after = events.last().map_or(known, |last| last.id.max(known));
        let (id, data) = (self.after, json!({"items": items}));
        (!items.is_empty()).then(|| format!("id: {id}\nevent: changed\ndata: {data}\n\n"))
    }
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Line)>> + Send>>;

/// A line as the body of an answer.
struct Stream(Next);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = ready!(self.0.as_mut().poll(context));
        Poll::Ready(next.map(|(bytes, line)| {
            self.0 = Box::pin(line.next());
            Ok(Frame::data(bytes))
        }))
    }
}
