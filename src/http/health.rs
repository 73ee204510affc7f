//! What watches the service: whether it lives, whether all is done in time, and its numbers.

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
use std::sync::{Arc, Mutex, PoisonError};

/// Requests by route and class of status: `2xx`.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<(String, u16), u64>>);

impl Counts {
    pub(super) fn count(&self, route: &str, status: StatusCode) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.to_owned(), status.as_u16() / 100);
        *counts.entry(key).or_default() += 1;
    }
}

/// `GET /healthz`.
pub(super) async fn lives() -> Response {
    plain(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".into())
}

/// `GET /readyz`: job by job, whether it is done in time. Why it is not is for `copydesk status`:
/// everyone may ask here.
pub(super) async fn ready(State(site): Shared) -> Response {
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| {
        let rules = (at.rules)();
        let late = store.read(|tx| tx.late(&rules, Timestamp::now()))?;
        Ok(late.into_iter().map(|late| late.job).collect::<Vec<_>>())
    };
    let late = site.work.run(Access::Read, work).await;
    let (database, late) = match late {
        Ok(late) => ("ok", late),
        Err(error) => {
            tracing::error!("Whether all is well cannot be told: {error}");
            ("late", Vec::new())
        }
    };
    let ready = database == "ok" && late.is_empty();
    let mut jobs = serde_json::Map::new();
    jobs.insert("database".into(), database.into());
    for job in Job::ALL {
        let word = if late.contains(&job) { "late" } else { "ok" };
        jobs.insert(job.as_str().into(), word.into());
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let text = serde_json::json!({"ready": ready, "jobs": jobs}).to_string();
    plain(status, "application/json", text + "\n")
}

/// `GET /metrics`: for Prometheus.
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
    /// Begins a metric of the kind `gauge` or `counter`.
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

    /// A metric of one value.
    fn one(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "gauge", help);
        self.add(name, &[], value);
    }
}

fn numbers(site: &Site, store: &mut Store, now: Timestamp) -> Result<String, HttpError> {
    let rules = (site.rules)();
    let status = report::status(store, Ok(&rules), now)?;
    let (late, writing, refused, runs, service) = store.read(|tx| {
        let late = tx.late(&rules, now)?;
        let (writing, refused) = (tx.pending_write_backs()?, tx.refused_rules()?);
        Ok::<_, HttpError>((late, writing, refused, tx.runs()?, tx.service()?))
    })?;
    let mut numbers = Numbers::default();
    numbers.begin("copydesk_build_info", "gauge", "The version that runs.");
    numbers.add(
        "copydesk_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    if let Some(service) = service {
        let started = service.started_at.as_second();
        numbers.one(
            "copydesk_service_start_time_seconds",
            "When the service started.",
            started,
        );
    }
    desk(&mut numbers, &status);
    numbers.one(
        "copydesk_write_backs_pending",
        "Decisions that are not in their files yet.",
        writing,
    );
    numbers.one(
        "copydesk_rules_loaded",
        "Whether the rule files are in force as they are.",
        u8::from(refused.is_none()),
    );
    numbers.one(
        "copydesk_rules",
        "Scoring rules in force.",
        status.rules.rules,
    );
    numbers.begin(
        "copydesk_last_run_timestamp_seconds",
        "gauge",
        "When work of a kind was last done.",
    );
    for (kind, at, _) in &runs {
        numbers.add(
            "copydesk_last_run_timestamp_seconds",
            &[("kind", kind)],
            at.as_second(),
        );
    }
    numbers.begin(
        "copydesk_late",
        "gauge",
        "What should have been done by now.",
    );
    for job in Job::ALL {
        let count = late.iter().filter(|late| late.job == job).count();
        numbers.add("copydesk_late", &[("job", job.as_str())], count);
    }
    numbers.one(
        "copydesk_problems",
        "What status calls a problem.",
        status.problems.len(),
    );
    numbers.begin(
        "copydesk_http_requests_total",
        "counter",
        "Requests by route and class of status.",
    );
    for ((route, class), count) in site
        .counts
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        let class = format!("{class}xx");
        numbers.add(
            "copydesk_http_requests_total",
            &[("route", route), ("status", &class)],
            count,
        );
    }
    Ok(numbers.0)
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
            numbers.add(
                "copydesk_items",
                &[("queue", &queue.name), ("status", word)],
                count,
            );
        }
    }
    numbers.begin(
        "copydesk_items_overdue",
        "gauge",
        "Pending items that should have been decided.",
    );
    for queue in &status.queues {
        numbers.add(
            "copydesk_items_overdue",
            &[("queue", &queue.name)],
            queue.overdue,
        );
    }
    numbers.begin(
        "copydesk_source_records",
        "gauge",
        "Records that are there.",
    );
    for source in &status.sources {
        numbers.add(
            "copydesk_source_records",
            &[("source", &source.name)],
            source.records,
        );
    }
    numbers.begin(
        "copydesk_source_frozen",
        "gauge",
        "Whether nothing of the source is withdrawn.",
    );
    for source in &status.sources {
        let frozen = u8::from(source.alarm.is_some());
        numbers.add(
            "copydesk_source_frozen",
            &[("source", &source.name)],
            frozen,
        );
    }
    numbers.one(
        "copydesk_broken_files",
        "Files that cannot be read as records.",
        status.broken.len(),
    );
    numbers.begin("copydesk_mails", "gauge", "Mails by status.");
    let mail = &status.mail;
    for (word, count) in [
        ("sent", mail.sent),
        ("queued", mail.queued),
        ("failed", mail.failed),
        ("held", mail.held),
    ] {
        numbers.add("copydesk_mails", &[("status", word)], count);
    }
}
