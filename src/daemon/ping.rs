//! Tells a watcher outside that all is well: when this falls silent, it knows that something is not.

use super::supervise::Stop;
use crate::config::Secret;
use crate::rules::RuleSet;
use crate::store::Store;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The longest that one ping may take.
const TAKES: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Ping {
    url: Secret,
    agent: Agent,
    /// Whether the last one failed: that is said once.
    failing: Arc<AtomicBool>,
}

impl Ping {
    pub(super) fn new(url: &Secret) -> anyhow::Result<Self> {
        let parsed = url::Url::parse(url.reveal());
        if !parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            anyhow::bail!(
                "COPYDESK_PING_URL holds no address of the web, such as https://hc-ping.com/…"
            );
        }
        let found = rustls_native_certs::load_native_certs();
        let certificates = found
            .certs
            .iter()
            .map(|der| Certificate::from_der(der).to_owned());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(certificates.collect())))
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(TAKES))
            .max_redirects(3)
            .user_agent("copydesk")
            .tls_config(tls);
        Ok(Self {
            url: url.clone(),
            agent: config.build().into(),
            failing: Arc::default(),
        })
    }

    /// Asks the URL if nothing is late. That it cannot be reached is no fault of the desk: it says so
    /// in the log, once.
    pub(super) fn tick(
        &self,
        store: &mut Store,
        rules: &RuleSet,
        stop: &Stop,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let late = store.read(|tx| tx.late(rules, now))?;
        if !late.is_empty() || !stop.unheard_of().is_empty() {
            return Ok(());
        }
        match self.agent.get(self.url.reveal()).call() {
            Ok(_) => {
                if self.failing.swap(false, Ordering::SeqCst) {
                    tracing::info!("COPYDESK_PING_URL is reached again");
                }
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::SeqCst) {
                    tracing::warn!("COPYDESK_PING_URL is not reached: {}", in_short(&error));
                }
            }
        }
        Ok(())
    }
}

/// What went wrong, without the URL: whoever knows it can ping in our place.
fn in_short(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => format!("it answers {status}"),
        ureq::Error::Timeout(_) => format!("no answer within {} s", TAKES.as_secs()),
        ureq::Error::HostNotFound => "its host is not found".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "TLS fails".to_owned(),
        _ => "the request fails".to_owned(),
    }
}
