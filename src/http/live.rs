//! `GET /queues/{name}/live`: what happens to the items of a queue, as it happens.
//!
//! One task looks for new events, about once a second, while anyone listens.

use crate::http::page::Note;
use crate::http::queue::is_hers;
use crate::http::visitor::{At, Ticket};
use crate::http::work::{Access, Work};
use crate::http::{Shared, told};
use crate::store::past::PastEvent;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::{sleep, timeout};

/// How many may listen at once.
const LISTENERS: usize = 64;
/// How often is looked for news, and how many events at once.
const LOOK: (Duration, usize) = (Duration::from_secs(1), 500);
/// After this long without news it is said that the line holds.
const BEAT: Duration = Duration::from_secs(15);
/// Looks by which a slow listener may be behind.
const BEHIND: usize = 32;

type News = Arc<Vec<PastEvent>>;

pub(super) struct Live {
    work: Arc<Work>,
    places: Arc<Semaphore>,
    news: broadcast::Sender<News>,
    is_watched: Mutex<bool>,
    stop: watch::Receiver<bool>,
}

impl Live {
    pub(super) fn new(work: Arc<Work>, stop: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            work,
            places: Arc::new(Semaphore::new(LISTENERS)),
            news: broadcast::channel(BEHIND).0,
            is_watched: Mutex::new(false),
            stop,
        })
    }

    /// Someone listens from now on; the watcher is there.
    fn join(self: &Arc<Self>) -> broadcast::Receiver<News> {
        let mut is_watched = self
            .is_watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let news = self.news.subscribe();
        if !*is_watched {
            *is_watched = true;
            tokio::spawn(Arc::clone(self).watch());
        }
        news
    }

    async fn watch(self: Arc<Self>) {
        let mut newest = None;
        while self.is_listened_to() {
            let after = newest;
            let look = move |store: &mut crate::store::Store| {
                Ok(store.read(|tx| match after {
                    Some(after) => tx.events_since(after, LOOK.1).map(|events| (after, events)),
                    None => tx.newest_event().map(|newest| (newest, Vec::new())),
                })?)
            };
            match self.work.run(Access::Read, look).await {
                Ok((after, events)) => {
                    newest = Some(events.last().map_or(after, |event| event.id));
                    if !events.is_empty() {
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

/// `GET /queues/{name}/live`.
pub(super) async fn listen(
    State(site): Shared,
    Path(name): Path<String>,
    ticket: Ticket,
) -> Response {
    let queue = name.clone();
    let hers = site.show(ticket, move |at: &mut At<'_>| {
        is_hers(at, &queue)?;
        Ok(StatusCode::OK.into_response())
    });
    let answer = hers.await;
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let live = &site.live;
    let Ok(place) = Arc::clone(&live.places).try_acquire_owned() else {
        return Note::too_long().show(&site.base);
    };
    let line = Line {
        queue: name,
        news: live.join(),
        stop: live.stop.clone(),
        _place: place,
    };
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::new(Stream(Box::pin(line.next(true))))).into_response()
}

/// One listener.
struct Line {
    queue: String,
    news: broadcast::Receiver<News>,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Line {
    /// The next thing to say, unless the service stops.
    async fn next(mut self, is_first: bool) -> Option<(Bytes, Self)> {
        if is_first {
            return Some((Bytes::from_static(b"retry: 3000\n\n"), self));
        }
        loop {
            let news = tokio::select! {
                news = timeout(BEAT, self.news.recv()) => news,
                () = told(self.stop.clone()) => return None,
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

    /// What is news in this queue: items that are in it, or have just left it.
    fn said(&self, events: &[PastEvent]) -> Option<String> {
        let left = |event: &PastEvent| {
            let from = event
                .detail
                .as_ref()
                .and_then(|detail| detail.get("from")?.as_str());
            from == Some(&*self.queue)
        };
        let here = events
            .iter()
            .filter(|event| event.queue == self.queue || left(event));
        let items: Vec<_> = here
            .map(|event| json!({"id": event.item, "kind": event.kind, "version": event.version, "here": event.queue == self.queue}))
            .collect();
        let data = json!({"items": items});
        (!items.is_empty()).then(|| format!("event: changed\ndata: {data}\n\n"))
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
            self.0 = Box::pin(line.next(false));
            Ok(Frame::data(bytes))
        }))
    }
}
