//! `GET /status`: whether all is well, and how the work goes. What names other people, or items of
//! other queues, is for editors.

use crate::http::chart::Chart;
use crate::http::page::{Frame, console};
use crate::http::visitor::{At, Ticket};
use crate::http::{HttpError, Shared, Site};
use crate::record::shown;
use crate::report::history::{self, Age, Day};
use crate::report::{self, QueueLine, RunLine, ShadowLine, StatusPage};
use crate::schedule::{clock, rough};
use crate::store::late::Job;
use crate::store::tallies::Tally;
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Days in the chart of days.
const DAYS: usize = 30;
/// Tens of points side by side; where the totals lie farther apart, the empty ones are left out.
const TENS: i64 = 40;

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
        charts: charts(at)?,
    };
    console(StatusCode::OK, &page, false)
}

fn charts(at: &mut At<'_>) -> Result<Vec<Chart>, HttpError> {
    let (zone, queues) = (at.visitor.timezone(), at.visitor.queues(at.rules));
    let (days, ages, scores) = at.store.read(|tx| {
        let days = history::days(tx, DAYS, &zone, at.now)?;
        let ages = history::ages(tx, &queues, at.now)?;
        Ok::<_, HttpError>((days, ages, tx.decided_by_score()?))
    })?;
    Ok(vec![by_day(&days), by_age(&ages), by_score(&scores)])
}

fn by_day(days: &[Day]) -> Chart {
    let groups = days.iter().map(|Day { date, flow }| {
        let decided = flow.approved + flow.rejected;
        (
            date.strftime("%-d %b").to_string(),
            vec![flow.arrived, decided],
        )
    });
    let arrived: i64 = days.iter().map(|day| day.flow.arrived).sum();
    let decisions = days.iter().map(|day| day.flow.approved + day.flow.rejected);
    let decided: i64 = decisions.sum();
    Chart {
        id: "days",
        title: "Arrivals and decisions",
        about: format!("{DAYS} days of the whole desk: {arrived} arrived, {decided} decided."),
        of: "Day",
        series: vec!["arrived", "decided"],
        groups: groups.collect(),
    }
}

fn by_age(ages: &[Age]) -> Chart {
    let groups = ages.iter().map(|age| {
        let under = age.under.map(|under| format!("<{}", rough(under)));
        (under.unwrap_or("more".into()), vec![age.items])
    });
    let week = SignedDuration::from_hours(7 * 24);
    let long = ages
        .iter()
        .filter(|age| age.under.is_none_or(|under| under > week));
    let long: i64 = long.map(|age| age.items).sum();
    let all: i64 = ages.iter().map(|age| age.items).sum();
    Chart {
        id: "ages",
        title: "How long it has waited",
        about: format!("{all} pending in your queues, {long} of them for a week or longer."),
        of: "Waited",
        series: vec!["pending"],
        groups: groups.collect(),
    }
}

fn by_score(scores: &BTreeMap<i64, Tally>) -> Chart {
    let ends = scores.keys().next().zip(scores.keys().next_back());
    let all: Vec<i64> = match ends {
        Some((first, last)) if last.saturating_sub(*first) / 10 < TENS => {
            (0..=(last - first) / 10).map(|n| first + 10 * n).collect()
        }
        _ => scores.keys().copied().collect(),
    };
    let groups = all.into_iter().map(|ten| {
        let tally = scores.get(&ten).copied().unwrap_or_default();
        (ten.to_string(), vec![tally.approved, tally.rejected])
    });
    let approved: i64 = scores.values().map(|tally| tally.approved).sum();
    let rejected: i64 = scores.values().map(|tally| tally.rejected).sum();
    Chart {
        id: "scores",
        title: "Score against decision",
        about: format!(
            "The newest decisions by people that stand, by tens of the present total: {approved} approved, {rejected} rejected."
        ),
        of: "Score from",
        series: vec!["approved", "rejected"],
        groups: groups.collect(),
    }
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
        let counts: Vec<String> = counts
            .map(|(of, n)| format!("{n} {}", of.replace('_', "-")))
            .collect();
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
            (false, _) if line.points == 0 => format!("would hit {records}"),
            (false, _) => format!("would hit {records}, {:+} points", line.points),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stand_at_their_tens_and_gaps_are_seen() {
        let tally = |approved, rejected| Tally {
            approved,
            rejected,
            ..Tally::default()
        };
        let scores = BTreeMap::from([(-10, tally(0, 3)), (20, tally(2, 1))]);
        let chart = by_score(&scores);
        let groups: Vec<(&str, &[i64])> = chart
            .groups
            .iter()
            .map(|(name, counts)| (name.as_str(), counts.as_slice()))
            .collect();
        let expected: [(&str, &[i64]); 4] = [
            ("-10", &[0, 3]),
            ("0", &[0, 0]),
            ("10", &[0, 0]),
            ("20", &[2, 1]),
        ];
        assert_eq!(groups, expected);
        assert!(chart.about.contains("2 approved, 4 rejected"));
        let far = BTreeMap::from([(i64::MIN / 2, tally(1, 0)), (i64::MAX / 4, tally(1, 0))]);
        assert_eq!(by_score(&far).groups.len(), 2);
        assert!(by_score(&BTreeMap::new()).is_empty());
    }
}
