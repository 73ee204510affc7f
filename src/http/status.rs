//! `GET /status`: whether all is well, and how the work goes. What names other people, or items of
//! other queues, is for editors.

use crate::http::chart::Chart;
use crate::http::page::{Frame, console};
use crate::http::visitor::{At, Ticket};
use crate::http::{HttpError, Shared, Site};
use crate::record::shown;
use crate::report::{self, QueueLine, RunLine, ShadowLine, StatusPage};
use crate::schedule::clock;
use crate::store::late::Job;
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/status", get(status))
}

async fn status(State(site): Shared, ticket: Ticket) -> Response {
    site.show(ticket, page).await
}

#[derive(Template)]
#[template(path = "status.html", config = "src/http/askama.toml")]
struct View {
    frame: Frame,
    status: StatusPage,
    zone: TimeZone,
    /// Each job of the service, and whether it is done in time.
    jobs: Vec<(&'static str, bool)>,
    charts: Vec<Chart>,
}

fn page(at: &mut At<'_>) -> Result<Response, HttpError> {
    let mut status = report::status(at.store, Ok(at.rules), at.now)?;
    status.queues.retain(|line| at.visitor.may_see(&line.name));
    let late = at.store.read(|tx| tx.late(at.rules, at.now))?;
    let is_late = |job| late.iter().any(|late| late.job == job);
    let page = View {
        frame: Frame::of(at, "status", "Status"),
        status,
        zone: at.visitor.timezone(),
        jobs: Job::ALL.map(|job| (says(job), is_late(job))).into(),
        charts: Vec::new(),
    };
    console(StatusCode::OK, &page, false)
}

fn says(job: Job) -> &'static str {
    match job {
        Job::Scan => "Content is looked at",
        Job::Rules => "Rules are taken into force",
        Job::WriteBack => "Decisions are written into files",
        Job::Mail => "Mails are sent",
        Job::Digest => "Digests are made",
        Job::Loops => "The loops run",
    }
}

impl View {
    /// A time as reports say it, on her clock.
    fn clock(&self, rfc3339: &str) -> String {
        let time = rfc3339.parse::<Timestamp>();
        time.map_or_else(|_| rfc3339.to_owned(), |time| clock(time, &self.zone))
    }

    fn line(&self, text: &str) -> String {
        shown::line(text, 600)
    }

    /// The numbers of a queue, in the order of the table's head.
    fn counts(&self, of: &QueueLine) -> [(i64, &'static str); 7] {
        [
            (of.pending, "pending"),
            (of.overdue, "overdue"),
            (of.held, "held"),
            (of.approved, "approved"),
            (of.rejected, "rejected"),
            (of.withdrawn, "withdrawn"),
            (of.expired, "expired"),
        ]
    }

    /// What a run counted, but for what it found none of.
    fn counted(&self, run: &RunLine) -> String {
        let counts = run.counts.as_object().into_iter().flatten();
        let counts = counts.filter(|(_, count)| count.as_i64().is_some_and(|n| n > 0));
        let counts: Vec<String> = counts.map(|(of, n)| format!("{n} {of}")).collect();
        counts.join(", ")
    }

    fn trial(&self, line: &ShadowLine) -> String {
        let records = match line.records {
            1 => "1 record".to_owned(),
            n => format!("{n} records"),
        };
        match (line.rule.starts_with("queue "), line.decides) {
            (true, Some(verdict)) => format!("would take {records}, and {verdict} each"),
            (true, None) => format!("would take {records}"),
            (false, _) => format!("would hit {records}, {:+} points", line.points),
        }
    }
}
