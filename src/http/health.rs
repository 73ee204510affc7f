//! What watches the service: whether it lives, and whether all is done in time.

use crate::http::work::Access;
use crate::http::{Shared, plain};
use crate::store::Store;
use crate::store::late::Job;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use std::sync::Arc;

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
