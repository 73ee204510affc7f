//! Every route and method against everyone who may come: what is not in the table is not there, and
//! who may not do something changes nothing by trying.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use copydesk::record::Hash;
use copydesk::store::Store;
use copydesk::store::access::Scope;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use crate::console::Browser;
use crate::desk::Desk;
use crate::http::{Answer, Site, ask};

/// Nobody; a reviewer of the queue; one of another queue; an editor; who had the link of the terminal;
/// a program that may read; one that may decide.
const WHO: [&str; 7] = [
    "nobody", "hers", "another", "editor", "terminal", "read", "decide",
];

const REVIEWERS: &str = "reviewers:
  - {name: Bo, email: bo@example.org, queues: [ai-desk]}
  - {name: Cy, email: cy@example.org, queues: [general]}
  - {name: Eve, email: eve@example.org, role: editor, queues: all}
";

/// A method, a route, what is sent (a form, or JSON to the API), and what each is answered. `{id}` is
/// an item in the queue `ai-desk`, another each time.
type Row = (&'static str, &'static str, &'static str, [u16; 7]);

/// For everyone, signed in or not.
const fn all(status: u16) -> [u16; 7] {
    [status; 7]
}

/// A page for whoever is signed in; a token is for the API.
const fn page(status: u16) -> [u16; 7] {
    [303, status, status, status, status, 303, 303]
}

/// A page of what only reviewers of its queue see.
const HERS: [u16; 7] = [303, 200, 404, 200, 200, 303, 303];

/// A form of such a page.
const fn form(status: u16) -> [u16; 7] {
    [401, status, 404, status, status, 401, 401]
}

/// What the API tells programs that may read.
const TOLD: [u16; 7] = [401, 401, 401, 401, 401, 200, 200];

/// What programs do that may decide.
const DONE: [u16; 7] = [401, 401, 401, 401, 401, 403, 200];

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("GET", "/healthz", "", all(200)),
    ("GET", "/readyz", "", all(200)),
    ("GET", "/metrics", "", all(200)),
    ("GET", "/style.css", "", all(200)),
    ("GET", "/console.js", "", all(200)),
    // Links of mails say themselves who comes; this one does not hold.
    ("GET", "/d/{token}", "", all(403)),
    ("POST", "/d/{token}", "verb=approve", all(403)),
    ("GET", "/mails/{token}", "", all(403)),
    ("POST", "/mails/{token}", "do=stop", all(403)),
    ("GET", "/unsubscribe/{token}", "", all(403)),
    ("POST", "/unsubscribe/{token}", "List-Unsubscribe=One-Click", all(403)),
    ("GET", "/sign-in", "", [200, 303, 303, 303, 303, 200, 200]),
    ("POST", "/sign-in", "email=nobody@example.org", all(200)),
    ("GET", "/sign-in/{link}", "", all(403)),
    ("POST", "/sign-in/{link}", "", all(403)),
    ("GET", "/", "", page(200)),
    ("GET", "/broken", "", page(200)),
    ("GET", "/status", "", page(200)),
    ("GET", "/rules", "", page(200)),
    ("GET", "/history", "", page(200)),
    ("GET", "/history.csv", "", page(200)),
    ("GET", "/history.jsonl", "", page(200)),
    ("GET", "/tokens", "", [303, 403, 403, 200, 200, 303, 303]),
    ("POST", "/tokens", "name=new-{id}&scope=read&days=30", [401, 403, 403, 200, 200, 401, 401]),
    ("POST", "/tokens/{id}/revoke", "", [401, 403, 403, 404, 404, 401, 401]),
    ("GET", "/queues/{name}", "", HERS),
    ("GET", "/items/{id}", "", HERS),
    ("GET", "/items/{id}/body", "", HERS),
    ("POST", "/items/{id}", "verb=approve&item={id}@1", form(303)),
    ("POST", "/queues/{name}", "verb=hold&until=1d&item={id}@1", form(200)),
    ("GET", "/queues/{name}/live", "", HERS),
    ("GET", "/api/v1/openapi.json", "", all(200)),
    ("GET", "/api/v1/status", "", TOLD),
    ("GET", "/api/v1/queues", "", TOLD),
    ("GET", "/api/v1/queues/{name}/items", "", TOLD),
    ("GET", "/api/v1/events", "", TOLD),
    ("GET", "/api/v1/decisions", "", TOLD),
    ("GET", "/api/v1/decisions.jsonl", "", TOLD),
    ("GET", "/api/v1/items/{id}", "", TOLD),
    ("GET", "/api/v1/records/{id}", "", TOLD),
    ("GET", "/api/v1/broken", "", TOLD),
    ("POST", "/api/v1/items/{id}/decisions", r#"{"verb": "approve", "version": 1}"#, DONE),
    ("POST", "/api/v1/items/{id}/claim", "", DONE),
    ("DELETE", "/api/v1/items/{id}/claim", "", DONE),
    ("POST", "/api/v1/items/{id}/hand-over", r#"{"to": "general", "version": 1}"#, DONE),
    // The last: it ends a session.
    ("POST", "/sign-out", "", [401, 200, 200, 200, 200, 401, 401]),
];

/// Every route and method that the sources name.
fn routes() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("http.rs")];
    let mut folders = vec![root.join("http")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    let (named, method) = (
        Regex::new(r#"^\(\s*"([^"]+)"\s*,"#).unwrap(),
        Regex::new(r"\b(get|post|put|patch|delete|any|on)\(").unwrap(),
    );
    let asset = Regex::new(r#"\(\s*"(/[^"]+)""#).unwrap();
    let mut routes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for other in [
            ".route_service(",
            ".nest(",
            ".nest_service(",
            ".fallback_service(",
        ] {
            assert!(!text.contains(other), "{}: {other}", file.display());
        }
        for call in text
            .split(".route")
            .skip(1)
            .filter(|call| call.starts_with('('))
        {
            let Some(path) = named.captures(call) else {
                if call.starts_with("(&path, on(endpoint.verb.filter(), answer))") {
                    routes.extend(endpoints(&root));
                    continue;
                }
                // The one list of files that pages load.
                assert!(
                    call.starts_with("(ASSETS[n].0, get("),
                    "{}: {call:.80}",
                    file.display()
                );
                let list = text.split("const ASSETS").nth(1).unwrap();
                let list = list.split("];").next().unwrap();
                let assets = asset
                    .captures_iter(list)
                    .map(|found| ("GET".into(), found[1].into()));
                routes.extend(assets);
                continue;
            };
            let mut depth = 0;
            let ends = call.char_indices().find(|(_, letter)| {
                depth += match letter {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let whole = &call[..ends.unwrap().0];
            let methods: Vec<_> = method.captures_iter(whole).collect();
            assert!(!methods.is_empty(), "{}: {whole}", file.display());
            for found in methods {
                routes.insert((found[1].to_uppercase(), path[1].to_owned()));
            }
        }
    }
    routes
}

/// Those of the API, which are made from a table.
fn endpoints(root: &Path) -> Vec<(String, String)> {
    let table = fs::read_to_string(root.join("http/api/table.rs")).unwrap();
    let table = table.split("ENDPOINTS:").nth(1).unwrap();
    let endpoint = Regex::new(r#"verb: Verb::(\w+),\s*path: "([^"]+)""#).unwrap();
    let all = endpoint.captures_iter(table);
    let all: Vec<_> = all
        .map(|found| (found[1].to_uppercase(), format!("/api/v1{}", &found[2])))
        .collect();
    assert_eq!(all.len(), table.matches("Endpoint {").count());
    all
}

#[test]
fn every_route_is_in_the_table_once() {
    let rows: Vec<_> = TABLE
        .iter()
        .map(|row| (row.0.to_owned(), row.1.to_owned()))
        .collect();
    let table: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), table.len());
    let routes = routes();
    let unknown: Vec<_> = routes.difference(&table).collect();
    let gone: Vec<_> = table.difference(&routes).collect();
    assert!(
        unknown.is_empty() && gone.is_empty(),
        "not in the table: {unknown:#?}, no more there: {gone:#?}"
    );
}

/// A desk with so many stories in `ai-desk`, and one in `general`.
fn desk(count: usize) -> Desk {
    let desk = Desk::new();
    for n in 0..count {
        desk.story(&format!("{n}.md"))
            .published(false)
            .topics(&["AI"])
            .write();
    }
    desk.story("general.md").published(false).write();
    desk
}

/// Behind a proxy, which says for whom it asks.
fn open(desk: Desk) -> Site {
    Site::open_as(desk, &[("COPYDESK_TRUSTED_PROXIES", "127.0.0.1")])
}

/// What one of them sends with a request.
enum Who<'s> {
    Nobody,
    Session(Browser<'s>),
    Program(String),
}

struct Stage<'s> {
    site: &'s Site,
    items: Vec<i64>,
    next: Cell<usize>,
    asked: Cell<usize>,
}

impl<'s> Stage<'s> {
    fn new(site: &'s Site) -> Self {
        let waits = || site.number("SELECT count(*) FROM items WHERE queue = 'general'") == 1;
        site.service
            .until("all stories", crate::service::BOUND, waits);
        let first = site.number("SELECT min(id) FROM items WHERE queue = 'ai-desk'");
        let count = site.number("SELECT count(*) FROM items WHERE queue = 'ai-desk'");
        let all: Vec<i64> = (1..=count + 1).collect();
        let other = site.number("SELECT id FROM items WHERE queue = 'general'");
        assert!(first >= 1);
        Self {
            site,
            items: all.into_iter().filter(|id| *id != other).collect(),
            next: Cell::new(0),
            asked: Cell::new(0),
        }
    }

    /// A route and what is sent to it, with an item that nobody has touched.
    fn filled(&self, route: &str, sent: &str) -> (String, String) {
        let fill = |text: &str, id: i64| {
            let text = text
                .replace("{id}", &id.to_string())
                .replace("{name}", "ai-desk");
            text.replace("{token}", "7").replace("{link}", "x")
        };
        let needs = route.contains("{id}") || sent.contains("{id}");
        let at = self.next.get();
        self.next.set(at + usize::from(needs));
        let id = if needs { self.items[at] } else { 0 };
        (fill(route, id), fill(sent, id))
    }

    fn ask(
        &self,
        who: &Who<'_>,
        (method, route, sent): (&str, &str, &str),
        with_csrf: bool,
    ) -> (String, Answer) {
        let (path, mut sent) = self.filled(route, sent);
        let is_api = route.starts_with("/api/");
        let kind = if is_api {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        let mut headers = vec![
            ("Content-Type", kind.to_owned()),
            // How often one address may ask is another matter.
            (
                "X-Forwarded-For",
                format!("10.0.{}.{}", asked / 250, asked % 250),
            ),
        ];
        if is_api && method == "POST" {
            headers.push(("Idempotency-Key", uuid::Uuid::now_v7().to_string()));
        }
        match who {
            Who::Nobody => headers.push(("Origin", self.site.url())),
            Who::Program(token) => headers.push(("Authorization", format!("Bearer {token}"))),
            Who::Session(browser) => {
                headers.push(("Origin", self.site.url()));
                headers.push(("Cookie", browser.cookie.clone()));
                if with_csrf && method != "GET" && !is_api {
                    sent = format!("csrf={}&{sent}", browser.csrf());
                }
            }
        }
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let answer = ask(
            &self.site.address,
            method,
            &path,
            &headers,
            if method == "GET" { "" } else { &sent },
        );
        (path, answer)
    }

    /// All that people do; what the service does by itself goes on meanwhile.
    fn kept(&self) -> Vec<(String, Vec<String>)> {
        let mut dump = self.site.desk.dump();
        dump.retain(|table, _| ["decisions", "events", "items", "settings"].contains(&&**table));
        let by_people = |event: &String| event.contains('@') || event.contains("api:");
        dump.get_mut("events").unwrap().retain(by_people);
        let count = |what: &str| self.site.number(&format!("SELECT count(*) FROM {what}"));
        let counts = [
            "sessions",
            "api_tokens",
            "api_tokens WHERE revoked_at IS NOT NULL",
        ];
        let counts = counts.map(|what| (what.to_owned(), vec![count(what).to_string()]));
        dump.into_iter().chain(counts).collect()
    }
}

/// Lets this one try everything; what is refused must have changed nothing.
fn tries(stage: &Stage<'_>, column: usize, who: &Who<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for &(method, route, sent, expected) in TABLE {
        let expected = expected[column];
        let before = stage.kept();
        let (path, answer) = stage.ask(who, (method, route, sent), true);
        if answer.status != expected {
            wrong.push(format!(
                "{} {method} {path}: {}, not {expected}",
                WHO[column], answer.status
            ));
        }
        let to_sign_in = answer
            .header("location")
            .is_some_and(|to| to.contains("/sign-in?next="));
        let is_refused = method == "GET" || answer.status >= 400 || to_sign_in;
        if is_refused && stage.kept() != before {
            wrong.push(format!(
                "{} {method} {path}: {} changed something",
                WHO[column], answer.status
            ));
        }
        if expected == 303 && method == "GET" && route != "/sign-in" && !to_sign_in {
            wrong.push(format!(
                "{} {method} {path}: goes to {:?}",
                WHO[column],
                answer.header("location")
            ));
        }
    }
    wrong
}

/// Keeps a token that an editor has made.
fn token(site: &Site, name: &str, scope: Scope) -> String {
    let mut store = Store::open(&site.desk.path("state/copydesk.db")).unwrap();
    let (token, now) = (format!("cd_{name}"), Timestamp::now());
    let hash = Hash::of(token.as_bytes());
    let ends = now + SignedDuration::from_hours(1);
    let made =
        store.write(|tx| tx.add_api_token((name, hash, scope), "eve@example.org", ends, now));
    assert!(made.unwrap().is_some());
    token
}

#[test]
fn everyone_may_do_what_the_table_says_and_nothing_else() {
    let needed = TABLE
        .iter()
        .filter(|row| row.1.contains("{id}") || row.2.contains("{id}"))
        .count();
    let site = open(desk(needed * 6).with_rules("reviewers.yaml", REVIEWERS));
    let stage = Stage::new(&site);
    let programs = [("read", Scope::Read), ("decide", Scope::Decide)];
    let [reads, decides] = programs.map(|(name, scope)| Who::Program(token(&site, name, scope)));
    let session = |email| Who::Session(Browser::sign_in(&site, email));
    let everyone = [
        (0, Who::Nobody),
        (1, session("bo@example.org")),
        (2, session("cy@example.org")),
        (3, session("eve@example.org")),
        (5, reads),
        (6, decides),
    ];
    let mut wrong = Vec::new();
    for (column, who) in everyone {
        wrong.extend(tries(&stage, column, &who));
    }
    // While the rules name nobody, who has the terminal comes in, and is an editor.
    let site = open(desk(needed).with_rules("reviewers.yaml", "reviewers: []\n"));
    let link = copydesk::http::sign_in_link(
        &mut Store::open(&site.desk.path("state/copydesk.db")).unwrap(),
        "",
        "",
        Timestamp::now(),
    );
    let entered = site.post(&link.unwrap().unwrap(), "");
    let cookie = entered.is(303, &[]).header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let terminal = Who::Session(Browser::with(&site, cookie));
    wrong.extend(tries(&Stage::new(&site), 4, &terminal));
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} routes and methods, {} who ask", TABLE.len(), WHO.len());
}

#[test]
fn without_its_session_s_word_a_form_does_nothing_and_no_other_method_does() {
    let rows = TABLE.iter().filter(|row| row.0 != "GET");
    let forms: Vec<&Row> = rows
        .filter(|row| !row.1.starts_with("/api/") && row.3[0] == 401)
        .collect();
    assert!(forms.len() >= 3);
    let site = open(desk(4 * forms.len()).with_rules("reviewers.yaml", REVIEWERS));
    let stage = Stage::new(&site);
    let eve = Who::Session(Browser::sign_in(&site, "eve@example.org"));
    let before = stage.kept();
    for &&(method, route, sent, _) in &forms {
        for sent in [
            sent.to_owned(),
            format!("csrf=&{sent}"),
            format!("csrf=wrong&{sent}"),
        ] {
            let (path, answer) = stage.ask(&eve, (method, route, &sent), false);
            assert_eq!(answer.status, 403, "{method} {path} {sent}");
        }
    }
    for (_, route) in routes() {
        let known: Vec<&str> = TABLE
            .iter()
            .filter(|row| row.1 == route)
            .map(|row| row.0)
            .collect();
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            if !known.contains(&method) {
                let path = route.replace("{id}", "1");
                let (path, answer) = stage.ask(&eve, (method, &path, ""), true);
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
    assert!(stage.kept() == before, "something was changed");
}
