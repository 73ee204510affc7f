//! `/history`: who decided what, newest first; the whole of it as CSV and as lines of JSON.

use crate::http::page::{Frame, Note, console};
use crate::http::pour::Out;
use crate::http::visitor::{At, Form, Ticket, Who};
use crate::http::{HttpError, Shared, Site};
use crate::item::Verdict;
use crate::record::shown;
use crate::report::history::{self, HistoryError};
use crate::rules::{Queues, RuleSet};
use crate::schedule::{clock, moment_ago};
use crate::store::past::{Past, PastAsk};
use crate::store::{Store, StoreError};
use askama::Template;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Date};
use std::io;
use std::sync::Arc;

/// Links to a page carry its filters by these names.
const FILTERS: [&str; 6] = ["who", "kind", "queue", "since", "until", "item"];

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/history", get(look))
        .route("/history.csv", get(csv))
        .route("/history.jsonl", get(json_lines))
}

async fn look(State(site): Shared, ticket: Ticket, RawQuery(query): RawQuery) -> Response {
    let form = Form::of(query.unwrap_or_default().as_bytes());
    site.show(ticket, move |at| page(at, &form)).await
}

async fn csv(State(site): Shared, ticket: Ticket, RawQuery(query): RawQuery) -> Response {
    let form = Form::of(query.unwrap_or_default().as_bytes());
    let kind = ("text/csv; charset=utf-8; header=present", "csv");
    let write = |store: &mut Store, ask: &PastAsk<'_>, out: &mut _| history::csv(store, ask, out);
    site.show(ticket, move |at| file(at, &form, kind, write))
        .await
}

async fn json_lines(State(site): Shared, ticket: Ticket, RawQuery(query): RawQuery) -> Response {
    let form = Form::of(query.unwrap_or_default().as_bytes());
    let kind = ("application/x-ndjson", "jsonl");
    let write =
        |store: &mut Store, ask: &PastAsk<'_>, out: &mut _| history::json_lines(store, ask, out);
    site.show(ticket, move |at| file(at, &form, kind, write))
        .await
}

/// Which decisions are asked for; only those that she may see.
#[derive(Debug, Default)]
struct Asked {
    actor: Option<String>,
    verdict: Option<Verdict>,
    queue: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    item: Option<i64>,
    /// Her queues; none are all.
    queues: Option<Vec<String>>,
}

impl Asked {
    /// Reads the filters, or says which of them says nothing.
    fn of(at: &At<'_>, form: &Form) -> Result<Self, String> {
        let zone = at.visitor.timezone();
        let who = form.get("who").map(|who| actor(at.rules, who));
        let verdict = form.get("kind").map(|kind| {
            let verdict = kind.parse::<Verdict>();
            verdict.map_err(|_| "A decision is to approve, reject, hold or reopen.".to_owned())
        });
        let item = form.get("item").map(|id| {
            let id = id.parse::<i64>();
            id.map_err(|_| "An item is named by its number.".to_owned())
        });
        let time = |text: &str| moment_ago(text, at.now, &zone);
        let since = form.get("since").map(time);
        // A day is meant with all of it.
        let until = form.get("until").map(|text| match text.parse::<Date>() {
            Ok(day) => {
                let next = day.tomorrow().ok();
                let next = next.and_then(|next| next.to_zoned(zone.clone()).ok());
                Ok(next.map_or(Timestamp::MAX, |next| next.timestamp()))
            }
            Err(_) => time(text),
        });
        let sees_all = match &at.visitor.who {
            Who::Reviewer(reviewer) => reviewer.queues == Queues::All,
            Who::Terminal | Who::Program(_) => true,
        };
        let queues = (!sees_all && !at.visitor.is_editor()).then(|| {
            let queues = at.rules.queues.iter().map(|queue| queue.name.clone());
            queues.filter(|name| at.visitor.may_see(name)).collect()
        });
        Ok(Self {
            actor: who,
            verdict: verdict.transpose()?,
            queue: form.get("queue").map(str::to_owned),
            since: since.transpose()?,
            until: until.transpose()?,
            item: item.transpose()?,
            queues,
        })
    }

    fn ask(&self) -> PastAsk<'_> {
        PastAsk {
            actor: self.actor.as_deref(),
            verdict: self.verdict,
            queue: self.queue.as_deref(),
            since: self.since,
            until: self.until,
            item: self.item,
            queues: self.queues.as_deref(),
            ..PastAsk::default()
        }
    }
}

/// The name under which decisions of someone are kept, of her address or her name.
fn actor(rules: &RuleSet, who: &str) -> String {
    let by_name = rules.reviewers.iter().find(|r| r.name == who);
    let reviewer = rules.reviewer(who).or(by_name);
    reviewer.map_or(who, |reviewer| &reviewer.email).to_owned()
}

/// What people read for an actor.
fn name_of(rules: &RuleSet, actor: &str) -> String {
    let name = match actor.split_once(':') {
        Some(("queue", queue)) => format!("the queue {queue}"),
        Some(("cli", "console")) => "the console".to_owned(),
        Some(("cli", user)) => format!("{user}, in the terminal"),
        Some(("api", token)) => format!("the program {token}"),
        _ => {
            let reviewer = rules.reviewer(actor);
            reviewer.map_or(actor, |reviewer| &reviewer.name).to_owned()
        }
    };
    shown::line(&name, 60)
}

#[derive(Template)]
#[template(path = "history.html", config = "src/http/askama.toml")]
struct HistoryPage<'f> {
    frame: Frame,
    form: &'f Form,
    /// What the filters say, as a query.
    query: String,
    /// Why nothing is shown.
    wrong: Option<String>,
    people: Vec<(String, String)>,
    queues: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    goes_on: bool,
}

struct Row {
    at: String,
    actor: String,
    who: String,
    kind: &'static str,
    item: i64,
    title: String,
    queue: String,
    reason: Option<String>,
    note: Option<String>,
    until: Option<String>,
    /// What did not come of it.
    unwritten: Option<String>,
}

impl HistoryPage<'_> {
    fn value(&self, key: &str) -> &str {
        self.form.get(key).unwrap_or_default()
    }

    fn kinds(&self) -> [(&'static str, bool); 4] {
        let asked = self.value("kind");
        ["approve", "reject", "hold", "reopen"].map(|kind| (kind, kind == asked))
    }

    /// A link to this list, from there on.
    fn link(&self, file: &str, at: &str) -> String {
        let mut query = self.query.clone();
        if !at.is_empty() {
            query.push_str(if query.is_empty() { "at=" } else { "&at=" });
            query.push_str(at);
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/history{file}{mark}{query}", self.frame.base)
    }
}

fn page(at: &mut At<'_>, form: &Form) -> Result<Response, HttpError> {
    let asked = Asked::of(at, form);
    let mark = form.get("at");
    let found = match &asked {
        Ok(asked) => {
            let ask = PastAsk {
                at: mark,
                ..asked.ask()
            };
            Some(at.store.read(|tx| tx.past(&ask)).map_err(known)?)
        }
        Err(_) => None,
    };
    let (zone, rules) = (at.visitor.timezone(), at.rules);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for key in FILTERS {
        if let Some(value) = form.get(key) {
            query.append_pair(key, value);
        }
    }
    let queues = rules.queues.iter().map(|queue| queue.name.clone());
    let people = rules.reviewers.iter();
    let people = people.map(|r| (r.email.clone(), shown::line(&r.name, 60)));
    let wrong = asked.err();
    let status = match &wrong {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let (rows, next, goes_on) = match found {
        Some(found) => (found.rows, found.next, found.goes_on),
        None => (Vec::new(), None, false),
    };
    let page = HistoryPage {
        frame: Frame::of(at, "history", "History"),
        form,
        query: query.finish(),
        wrong,
        people: people.collect(),
        queues: queues.filter(|name| at.visitor.may_see(name)).collect(),
        rows: rows
            .into_iter()
            .map(|past| row(rules, &zone, past))
            .collect(),
        next,
        goes_on,
    };
    console(status, &page, false)
}

fn row(rules: &RuleSet, zone: &TimeZone, past: Past) -> Row {
    let reasons = &rules.desk.reject_reasons;
    let reason = past
        .reason
        .map(|key| reasons.get(&key).cloned().unwrap_or(key));
    let title = past.called.title.clone().or_else(|| past.called.path());
    let title = title.unwrap_or_else(|| format!("item {}", past.item));
    let unwritten = past
        .writes
        .iter()
        .rev()
        .find(|wrote| matches!(wrote.status.as_str(), "pending" | "refused" | "stopped"));
    Row {
        at: day_and_time(past.at, zone),
        who: name_of(rules, &past.actor),
        actor: past.actor,
        kind: match past.verdict {
            Verdict::Approve => "approved",
            Verdict::Reject => "rejected",
            Verdict::Hold => "held",
            Verdict::Reopen => "reopened",
        },
        item: past.item,
        title: shown::line(&shown::unescaped(&title), 160),
        queue: past.queue,
        reason: reason.map(|reason| shown::line(&reason, 200)),
        note: past.note.map(|note| shown::line(&note, 500)),
        until: past.until.map(|until| clock(until, zone)),
        unwritten: unwritten.map(|wrote| match &wrote.error {
            Some(error) => format!("not in its file: {}", shown::line(error, 300)),
            None => "not in its file yet".to_owned(),
        }),
    }
}

/// A time with its year: the list goes far back.
fn day_and_time(at: Timestamp, zone: &TimeZone) -> String {
    let here = at.to_zoned(zone.clone());
    here.strftime("%-d %b %Y %H:%M").to_string()
}

/// Pours all that is asked for into a file.
fn file(
    at: &mut At<'_>,
    form: &Form,
    (kind, ending): (&'static str, &str),
    write: impl FnOnce(&mut Store, &PastAsk<'_>, &mut Out) -> Result<(), HistoryError> + Send + 'static,
) -> Result<Response, HttpError> {
    let asked = Asked::of(at, form);
    let asked =
        asked.map_err(|why| Note::new(StatusCode::BAD_REQUEST, "Not understood", &[&why]))?;
    let body = at.site.work.pour(move |store, out| {
        write(store, &asked.ask(), out).map_err(|error| match error {
            HistoryError::Out(error) => error,
            HistoryError::Store(error) => {
                tracing::error!("The history could not be read to its end: {error}");
                io::Error::other(error)
            }
        })
    })?;
    let name = format!("attachment; filename=\"history.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, &name),
    ];
    Ok((headers, body).into_response())
}

fn known(error: StoreError) -> HttpError {
    match error {
        StoreError::Cursor => {
            let text = "This link leads nowhere in the list. Begin at its newest page.";
            Note::new(StatusCode::BAD_REQUEST, "Not understood", &[text]).into()
        }
        error => error.into(),
    }
}
