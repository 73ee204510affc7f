//! `/queues/{name}`: what waits in a queue, deciding on many, and hearing of changes.

use crate::http::acts::{self, Outcome, Wish, who};
use crate::http::item::{Done, queues, reviewers};
use crate::http::live;
use crate::http::page::{Frame, console};
use crate::http::story;
use crate::http::view::View;
use crate::http::visitor::{At, Form, Ticket};
use crate::http::{HttpError, Note, Shared, Site, plain};
use crate::item::ItemRef;
use crate::notify::waiting::best;
use crate::record::shown;
use crate::schedule::{clock, rough};
use crate::store::counts::QueueCounts;
use crate::store::pages::{MOST, PageRow, Sort};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is counted of a queue; there may be more.
pub(super) const COUNTED: i64 = 1_000;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/queues/{name}", get(look).post(act))
        .route("/queues/{name}/live", get(live::listen))
}

async fn look(
    State(site): Shared,
    Path(name): Path<String>,
    ticket: Ticket,
    RawQuery(query): RawQuery,
) -> Response {
    let show = move |at: &mut At<'_>| {
        let query = query.unwrap_or_default();
        let done = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "done");
        let done = done.and_then(|(_, id)| id.parse().ok());
        page(at, &View::asked(&name, &query), done, Vec::new())
    };
    site.show(ticket, show).await
}

async fn act(
    State(site): Shared,
    Path(name): Path<String>,
    ticket: Ticket,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let is_script = acts::wants_json(&headers);
    let act = move |at: &mut At<'_>, form: &Form| {
        let view = form.get("from").and_then(View::read);
        let view = view.filter(|view| view.queue == name);
        let view = view.unwrap_or_else(|| View::of(&name));
        is_hers(at, &view.queue)?;
        let wish = Wish::of(form, at)?;
        let items = form.all("item").map(|item| item.parse::<ItemRef>().ok());
        let items: Option<Vec<_>> = items
            .map(|item| item.filter(|it| it.version.is_some()))
            .collect();
        let items = items.filter(|items| !items.is_empty() && items.len() <= MOST);
        let items = items.ok_or_else(|| {
            let text = "Choose the stories first, by the box before each.";
            let note = Note::new(StatusCode::BAD_REQUEST, "Nothing was done", &[text]);
            note.link(
                format!("{}{}", at.site.base, view.path()),
                "Back to the queue",
            )
        })?;
        let mut outcomes = Vec::new();
        for item in items {
            match wish.fulfil(at, item) {
                Ok(outcome) => outcomes.push(outcome),
                // One that is not hers, or not any more, keeps her from no other.
                Err(HttpError::Note(note)) => outcomes.push(Outcome::unknown(item, &note)),
                Err(error) => return Err(error),
            }
        }
        if is_script {
            let all: Vec<Json> = outcomes.iter().map(Outcome::json).collect();
            let text = json!({"outcomes": all}).to_string();
            return Ok(plain(StatusCode::OK, "application/json", text));
        }
        page(at, &view, None, outcomes)
    };
    site.act(ticket, (headers, sent), act).await
}

/// A queue that is not hers is no more to her than one that is not there.
pub(super) fn is_hers(at: &At<'_>, queue: &str) -> Result<(), HttpError> {
    if at.rules.queue(queue).is_some() && at.visitor.may_see(queue) {
        return Ok(());
    }
    let text = "There is no such queue, or it is none of yours.";
    Err(Note::new(StatusCode::NOT_FOUND, "Not found", &[text]).into())
}

#[derive(Template)]
#[template(path = "queue.html", config = "src/http/askama.toml")]
struct QueuePage<'a> {
    frame: Frame,
    view: View,
    counts: QueueCounts,
    rows: Vec<Row>,
    previous: Option<String>,
    next: Option<String>,
    /// Whether the filters passed over so much that the search goes on with the next page.
    goes_on: bool,
    done: Option<Done>,
    outcomes: Vec<Outcome>,
    reasons: &'a BTreeMap<String, String>,
    reviewers: Vec<(String, String)>,
    queues: Vec<String>,
    key: String,
    /// The newest event when the page was made.
    event: i64,
}

impl QueuePage<'_> {
    fn is_sort(&self, sort: &Sort) -> bool {
        self.view
            .get("sort")
            .and_then(Sort::named)
            .unwrap_or_default()
            == *sort
    }

    /// What was done, and can be taken back.
    fn undone(&self) -> Vec<ItemRef> {
        let undone = self
            .outcomes
            .iter()
            .filter(|it| it.is_done() && it.is_undone);
        undone.map(|it| it.item).collect()
    }

    fn count(&self, done: bool) -> usize {
        self.outcomes
            .iter()
            .filter(|it| it.is_done() == done)
            .count()
    }
}

/// A story in a list.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) tag: String,
    pub(super) queue: String,
    pub(super) title: String,
    /// Who published it, how long ago, and on what.
    pub(super) about: Vec<String>,
    pub(super) score: i64,
    /// The two best reasons.
    pub(super) reasons: Vec<String>,
    pub(super) due: Option<String>,
    pub(super) overdue: bool,
    /// Held, claimed, handed over.
    pub(super) marks: Vec<String>,
}

impl Row {
    pub(super) fn of(row: PageRow, at: &At<'_>) -> Self {
        let (listed, now) = (&row.listed, at.now);
        let (item, zone) = (&listed.item, at.visitor.timezone());
        let me = at.visitor.actor().name();
        let overdue = item.is_overdue(now);
        let left = item.due_at.map(|due| due.duration_since(now));
        let due = left
            .filter(|_| item.held_until.is_none())
            .map(|left| match overdue {
                true => format!("overdue {}", rough(left)),
                false => format!("due in {}", rough(left)),
            });
        let name = |who_: &str| {
            if who_ == me {
                "you".to_owned()
            } else {
                who(at, who_)
            }
        };
        let held = item
            .held_until
            .map(|until| format!("held until {}", clock(until, &zone)));
        let changed = item
            .changed_after_approval
            .then(|| "changed after approval".to_owned());
        let claim = item
            .claim(now)
            .map(|(by, _)| format!("claimed by {}", name(by)));
        let assigned = item
            .assigned_to
            .as_deref()
            .map(|to| format!("for {}", name(to)));
        let publisher = row.provider.as_deref().or(row.domain.as_deref());
        let publisher = publisher.map(|publisher| shown::line(publisher, 60));
        let age = row.published_at.map(|at| rough(now.duration_since(at)));
        let topics = row
            .topics
            .iter()
            .take(6)
            .map(|topic| shown::line(topic, 30));
        let reasons = best(row.hits).into_iter();
        Self {
            id: item.id,
            tag: format!("{}@{}", item.id, item.version),
            queue: item.queue.clone(),
            title: story::title(listed),
            about: publisher.into_iter().chain(age).chain(topics).collect(),
            score: listed.score.total,
            reasons: reasons
                .map(|hit| shown::line(&format!("{:+} {}", hit.points, hit.why), 60))
                .collect(),
            due,
            overdue,
            marks: [held, changed, claim, assigned]
                .into_iter()
                .flatten()
                .collect(),
        }
    }
}

fn page(
    at: &mut At<'_>,
    view: &View,
    done: Option<i64>,
    outcomes: Vec<Outcome>,
) -> Result<Response, HttpError> {
    is_hers(at, &view.queue)?;
    // Before the rows: what happens in between is told again rather than never.
    let event = at.store.read(|tx| tx.newest_event())?;
    let found = view.rows(at)?;
    let now = at.now;
    let counts = at
        .store
        .read(|tx| tx.queue_counts(&[&view.queue], COUNTED, now))?;
    let done = done
        .map(|done| Done::by_her(at, done))
        .transpose()?
        .flatten();
    let to = |mark: Option<String>| mark.map(|mark| view.at(Some(&mark)).path());
    let page = QueuePage {
        frame: Frame::of(at, "", view.queue.clone()),
        counts: counts.into_iter().next().unwrap_or_default(),
        previous: to(found.previous),
        next: to(found.next),
        goes_on: found.goes_on,
        rows: found.rows.into_iter().map(|row| Row::of(row, at)).collect(),
        done,
        outcomes,
        reasons: &at.rules.desk.reject_reasons,
        reviewers: reviewers(at, &view.queue),
        queues: queues(at, &view.queue),
        key: acts::new_key(),
        event,
        view: view.clone(),
    };
    console(StatusCode::OK, &page, false)
}
