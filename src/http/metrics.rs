//! `GET /metrics`: the numbers of the service, for Prometheus.

use crate::http::traffic::{BUCKETS, Route};
use crate::http::work::Access;
use crate::http::{HttpError, Shared, Site, plain};
use crate::report::{self, StatusPage};
use crate::store::Store;
use crate::store::late::Job;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::time::Duration;

/// `GET /metrics`.
pub(super) async fn metrics(State(site): Shared) -> Response {
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| numbers(&at, store, Timestamp::now());
    let done = site.work.run(Access::Read, work).await;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    site.answer(done.map(|text| plain(StatusCode::OK, kind, text)))
}

/// Numbers as Prometheus reads them.
#[derive(Default)]
struct Numbers(String);

impl Numbers {
    /// Begins a metric of the kind `gauge`, `counter` or `histogram`.
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        let escaped = |text: &str| {
            text.replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
        };
        let labels = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)));
        let labels: Vec<String> = labels.collect();
        if !labels.is_empty() {
            let _ = write!(self.0, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A gauge of one value.
    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "gauge", help);
        self.add(name, &[], value);
    }

    /// A gauge with a value for each of some names.
    fn each<'n, V: Display>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'n str, V)>,
    ) {
        self.begin(name, "gauge", help);
        for (of, value) in values {
            self.add(name, &[(label, of)], value);
        }
    }
}

fn numbers(site: &Site, store: &mut Store, now: Timestamp) -> Result<String, HttpError> {
    let rules = (site.rules)();
    let status = report::status(store, Ok(&rules), now)?;
    let mut numbers = Numbers::default();
    numbers.begin("copydesk_build_info", "gauge", "The version that runs.");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    numbers.add("copydesk_build_info", &version, 1);
    store.read(|tx| {
        if let Some(service) = tx.service()? {
            let started = service.started_at.as_second();
            let name = "copydesk_service_start_time_seconds";
            numbers.one(name, "When the service started.", started);
        }
        let name = "copydesk_write_backs_pending";
        let help = "Decisions that are not in their files yet.";
        numbers.one(name, help, tx.pending_write_backs()?);
        let loaded = u8::from(tx.refused_rules()?.is_none());
        let help = "Whether the rule files are in force as they are.";
        numbers.one("copydesk_rules_loaded", help, loaded);
        let runs = tx.runs()?;
        let runs = runs.iter().map(|(kind, at, _)| (&**kind, at.as_second()));
        let name = ("copydesk_last_run_timestamp_seconds", "kind");
        numbers.each(name, "When work of a kind was last done.", runs);
        let late = tx.late(&rules, now)?;
        let late = Job::ALL.map(|job| {
            let count = late.iter().filter(|late| late.job == job).count();
            (job.as_str(), count)
        });
        let name = ("copydesk_late", "job");
        numbers.each(name, "What should have been done by now.", late);
        let mut oldest = Vec::new();
        for queue in &status.queues {
            let at = tx.oldest_arrival(&queue.name)?;
            oldest.extend(at.map(|at| (&*queue.name, at.as_second())));
        }
        let name = ("copydesk_items_oldest_timestamp_seconds", "queue");
        let help = "When the item arrived that is open for longest.";
        numbers.each(name, help, oldest);
        let failing = tx.failing_loops()?;
        let heard = (site.loops)();
        let failing = heard.iter().map(|(name, _)| {
            let fails = failing.iter().any(|failure| failure.name == *name);
            (*name, u8::from(fails))
        });
        let name = ("copydesk_loop_failing", "loop");
        numbers.each(name, "Whether a loop of the service fails.", failing);
        let heard = heard.iter().map(|(name, ago)| (*name, before(now, *ago)));
        let name = ("copydesk_loop_heard_timestamp_seconds", "loop");
        numbers.each(name, "When a loop last began or ended its work.", heard);
        let sessions = tx.session_count(now)?;
        let help = "Sessions of the console that are not over.";
        numbers.one("copydesk_sessions", help, sessions);
        Ok::<_, HttpError>(())
    })?;
    let rules = status.rules.rules;
    numbers.one("copydesk_rules", "Scoring rules in force.", rules);
    let problems = status.problems.len();
    numbers.one(
        "copydesk_problems",
        "What status calls a problem.",
        problems,
    );
    desk(&mut numbers, &status);
    requests(&mut numbers, &site.traffic.routes());
    Ok(numbers.0)
}

/// The time that was so long ago, in seconds.
fn before(now: Timestamp, ago: Duration) -> i64 {
    let ago = i64::try_from(ago.as_secs()).unwrap_or(i64::MAX);
    now.as_second().saturating_sub(ago)
}

/// Queues, sources and mails.
fn desk(numbers: &mut Numbers, status: &StatusPage) {
    numbers.begin("copydesk_items", "gauge", "Items by queue and status.");
    for queue in &status.queues {
        for (word, count) in [
            ("pending", queue.pending),
            ("held", queue.held),
            ("approved", queue.approved),
            ("rejected", queue.rejected),
            ("withdrawn", queue.withdrawn),
            ("expired", queue.expired),
        ] {
            let labels = [("queue", &*queue.name), ("status", word)];
            numbers.add("copydesk_items", &labels, count);
        }
    }
    let queues = status.queues.iter();
    let overdue = queues.map(|queue| (&*queue.name, queue.overdue));
    let help = "Pending items that should have been decided.";
    numbers.each(("copydesk_items_overdue", "queue"), help, overdue);
    let sources = || status.sources.iter();
    let records = sources().map(|source| (&*source.name, source.records));
    let help = "Records that are there.";
    numbers.each(("copydesk_source_records", "source"), help, records);
    let unrouted = sources().map(|source| (&*source.name, source.unrouted));
    let help = "Records that no queue takes.";
    numbers.each(
        ("copydesk_source_records_unrouted", "source"),
        help,
        unrouted,
    );
    let frozen = sources().map(|source| (&*source.name, u8::from(source.alarm.is_some())));
    let help = "Whether nothing of the source is withdrawn.";
    numbers.each(("copydesk_source_frozen", "source"), help, frozen);
    let writable = sources().map(|source| (&*source.name, u8::from(source.writable)));
    let help = "Whether decisions can be written into its files.";
    numbers.each(("copydesk_source_writable", "source"), help, writable);
    let broken = sources().map(|source| {
        let of_it = |broken: &&report::BrokenLine| broken.source == source.name;
        (&*source.name, status.broken.iter().filter(of_it).count())
    });
    let help = "Files that cannot be read as records.";
    numbers.each(("copydesk_broken_files", "source"), help, broken);
    let mail = &status.mail;
    let mails = [
        ("sent", mail.sent),
        ("queued", mail.queued),
        ("failed", mail.failed),
        ("held", mail.held),
    ];
    numbers.each(("copydesk_mails", "status"), "Mails by status.", mails);
    let paused = u8::from(mail.relay.is_some());
    let help = "Whether the SMTP server is left alone for a while.";
    numbers.one("copydesk_mail_paused", help, paused);
    let suspended = mail.suspended.len();
    let help = "Addresses that are sent nothing for a while.";
    numbers.one("copydesk_mail_suspended", help, suspended);
}

/// What was asked of us.
fn requests(numbers: &mut Numbers, routes: &BTreeMap<String, Route>) {
    let name = "copydesk_http_requests_total";
    numbers.begin(name, "counter", "Requests by route and status.");
    for (path, route) in routes {
        for (status, count) in &route.statuses {
            let status = status.to_string();
            numbers.add(name, &[("route", path), ("status", &status)], count);
        }
    }
    let name = "copydesk_http_request_duration_seconds";
    let help = "How long requests took until the answer began.";
    numbers.begin(name, "histogram", help);
    for (path, route) in routes {
        let mut so_far = 0;
        for (end, count) in BUCKETS.iter().zip(route.buckets) {
            so_far += count;
            let labels = [("route", &**path), ("le", &*end.to_string())];
            numbers.add(&format!("{name}_bucket"), &labels, so_far);
        }
        let all: u64 = route.statuses.values().sum();
        let labels = [("route", &**path), ("le", "+Inf")];
        numbers.add(&format!("{name}_bucket"), &labels, all);
        numbers.add(&format!("{name}_sum"), &labels[..1], route.seconds);
        numbers.add(&format!("{name}_count"), &labels[..1], all);
    }
}
