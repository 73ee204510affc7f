//! The API against its document, by someone else's program: Schemathesis makes requests of all kinds
//! from the document, and looks whether each answer is one that it promises.

use std::fs;
use std::process::Command;

use copydesk::store::access::Scope;

use crate::api::{Program, site_with};
use crate::service::rounds;
use crate::smtp::found;

/// What is well formed, and refused for what it says: an old cursor, a reason that the desk does not
/// know, a time that has passed. It is as good an answer as that it was done.
const SETTINGS: &str = "[checks.positive_data_acceptance]
expected-statuses = [\"2xx\", \"401\", \"403\", \"404\", \"409\", \"422\"]
";

/// Each request comes from an address of its own, since those without a token may not ask often.
const HOOKS: &str = "import itertools, requests
numbers = itertools.count()
send = requests.adapters.HTTPAdapter.send
def from_elsewhere(self, request, **others):
    n = next(numbers)
    request.headers['X-Forwarded-For'] = f'10.{n >> 16}.{n >> 8 & 255}.{n & 255}'
    return send(self, request, **others)
requests.adapters.HTTPAdapter.send = from_elsewhere
";

#[test]
fn nothing_that_the_document_allows_is_answered_otherwise() {
    if !found("schemathesis", "schemathesis", &["--version"]) {
        return;
    }
    let site = site_with(&[("COPYDESK_TRUSTED_PROXIES", "127.0.0.1")]);
    let program = Program::with(&site, Scope::Decide);
    let settings = site.desk.path("schemathesis.toml");
    fs::write(&settings, SETTINGS).unwrap();
    let hooks = site.desk.path("hooks.py");
    fs::write(&hooks, HOOKS).unwrap();
    let examples = rounds().unwrap_or(8).to_string();
    let run = Command::new("schemathesis")
        .arg("--config-file")
        .arg(&settings)
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", site.url()))
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", program.token))
        .args([
            "--max-examples",
            &examples,
            "--seed",
            "1",
            "--rate-limit",
            "18/s",
        ])
        .args([
            "--workers",
            "1",
            "--no-color",
            "--generation-database",
            "none",
        ])
        .env("SCHEMATHESIS_HOOKS", &hooks)
        .current_dir(site.desk.path(""))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}{errors}");
    let log = site.service.log();
    assert!(!log.contains("ERROR"), "{log}");
    println!("| Schemathesis | {examples} examples an operation | no failure |");
}
