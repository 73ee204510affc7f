//! What was asked and answered: counted for `/metrics`, and a line each in the log. A route is named
//! by its pattern, never by the path itself, in which tokens stand.

use axum::http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper ends of the buckets of durations, in seconds.
pub(super) const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Who an answer was for.
#[derive(Clone, Debug)]
pub(super) struct Named(pub(super) String);

/// The requests of one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Route {
    /// How many were answered by each status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// How many took up to the end of each bucket, and longer than those before it.
    pub(super) buckets: [u64; BUCKETS.len()],
    /// How long all of them took, in seconds.
    pub(super) seconds: f64,
}

/// The requests so far.
#[derive(Default)]
pub(super) struct Traffic(Mutex<BTreeMap<String, Route>>);

/// One request.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) method: &'a Method,
    pub(super) route: &'a str,
    pub(super) peer: Option<IpAddr>,
    pub(super) who: Option<&'a str>,
}

impl Traffic {
    /// Notes a request that was answered: what acts for everyone who reads the log, what reads for
    /// who asks for it.
    pub(super) fn note(&self, line: &Line<'_>, status: StatusCode, took: Duration) {
        self.count(line.route, status, took);
        let (method, route, status) = (named(line.method), line.route, status.as_u16());
        let ms = (took.as_secs_f64() * 10_000.0).round() / 10.0;
        let peer = line.peer.map(tracing::field::display);
        let who = line.who;
        macro_rules! tell {
            ($level:expr) => {
                tracing::event!(target: "copydesk::access", $level, method, route, status, ms, peer, who, "Answered")
            };
        }
        if line.method.is_safe() {
            tell!(tracing::Level::DEBUG);
        } else {
            tell!(tracing::Level::INFO);
        }
    }

    fn count(&self, route: &str, status: StatusCode, took: Duration) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route.to_owned()).or_default();
        *route.statuses.entry(status.as_u16()).or_default() += 1;
        let seconds = took.as_secs_f64();
        route.seconds += seconds;
        let bucket = BUCKETS.iter().position(|end| seconds <= *end);
        if let Some(bucket) = bucket {
            route.buckets[bucket] += 1;
        }
    }

    pub(super) fn routes(&self) -> BTreeMap<String, Route> {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes.clone()
    }
}

/// A method that we know; others are whatever someone wrote.
fn named(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "DELETE" | "PUT" | "PATCH" | "OPTIONS") => known,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_status_and_duration() {
        let traffic = Traffic::default();
        for (millis, status) in [(1, 200), (5, 200), (6, 404), (60_000, 503)] {
            let status = StatusCode::from_u16(status).unwrap();
            traffic.count("/items/{id}", status, Duration::from_millis(millis));
        }
        let routes = traffic.routes();
        let route = &routes["/items/{id}"];
        assert_eq!(
            route.statuses,
            BTreeMap::from([(200, 2), (404, 1), (503, 1)])
        );
        // What took longer than the last bucket is in none.
        assert_eq!(route.buckets[..3], [2, 1, 0]);
        assert_eq!(route.buckets.iter().sum::<u64>(), 3);
        assert!((route.seconds - 60.012).abs() < 1e-9);
    }

    #[test]
    fn only_known_methods_are_named() {
        assert_eq!(named(&Method::POST), "POST");
        let odd = Method::from_bytes(b"c4nary").unwrap();
        assert_eq!(named(&odd), "other");
    }
}
