//! The API for programs: who is let in, what is answered, and that the document says it.

use std::io::{Read, Write};
use std::net::TcpStream;

use copydesk::record::Hash;
use copydesk::store::Store;
use copydesk::store::access::Scope;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::console::Browser;
use crate::desk::Desk;
use crate::http::{Answer, REVIEWERS, Site, ask};
use crate::service::BOUND;

const EDITOR: &str =
    "  - {name: Cleo Example, email: cleo@example.org, role: editor, queues: all}\n";

/// A program that holds a token.
pub(crate) struct Program<'s> {
    site: &'s Site,
    pub(crate) token: String,
}

impl<'s> Program<'s> {
    /// A token that an editor made.
    pub(crate) fn with(site: &'s Site, scope: Scope) -> Self {
        Self::made_by(
            site,
            scope,
            "cleo@example.org",
            SignedDuration::from_hours(1),
        )
    }

    fn made_by(site: &'s Site, scope: Scope, editor: &str, lasts: SignedDuration) -> Self {
        let token = format!("cd_{}", uuid::Uuid::now_v7().simple());
        let now = Timestamp::now();
        let hash = Hash::of(token.as_bytes());
        let made = store(site).write(|tx| {
            let kept = (token.as_str(), hash, scope);
            tx.add_api_token(kept, editor, now + lasts, now)
        });
        made.unwrap().expect("the name is new");
        Self { site, token }
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let token = format!("Bearer {}", self.token);
        let headers = [&[("Authorization", &*token)], headers].concat();
        ask(&self.site.address, method, path, &headers, body)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", &format!("/api/v1{path}"), &[], "")
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:#?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        serde_json::from_str(&answer.body).unwrap()
    }

    fn send(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let kind = [("Content-Type", "application/json")];
        let headers = [&kind, headers].concat();
        self.ask(
            "POST",
            &format!("/api/v1{path}"),
            &headers,
            &body.to_string(),
        )
    }

    fn decide(&self, item: i64, key: &str, body: &Value) -> Answer {
        let path = format!("/items/{item}/decisions");
        self.send(&path, &[("Idempotency-Key", key)], body)
    }
}

fn store(site: &Site) -> Store {
    Store::open(&site.desk.path("state/copydesk.db")).unwrap()
}

/// A few stories, one file that cannot be read, reviewers and an editor.
fn site() -> Site {
    site_with(&[])
}

pub(crate) fn site_with(settings: &[(&str, &str)]) -> Site {
    let reviewers = format!("{REVIEWERS}{EDITOR}");
    let desk = Desk::new().with_rules("reviewers.yaml", &reviewers);
    for n in 0..5 {
        desk.story(&format!("{n}.md"))
            .published(false)
            .title(&format!("Story {n} with <b>markup</b> and \u{202e}more"))
            .quality(n)
            .write();
    }
    desk.write("broken.md", "---\ntitle: [\n---\n");
    Site::open_as(desk, settings)
}

fn problem(answer: &Answer) -> Value {
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{answer:#?}");
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    problem
}

fn document(site: &Site) -> Value {
    let answer = site.get("/api/v1/openapi.json");
    serde_json::from_str(&answer.is(200, &[]).body).unwrap()
}

/// Each operation of the document: method, path with values in it, and the operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "1").replace("{name}", "general");
        for (method, operation) in methods.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn who_may_ask_for_what() {
    let site = site_with(&[("COPYDESK_TRUSTED_PROXIES", "127.0.0.1")]);
    let hour = SignedDuration::from_hours(1);
    let (reads, decides) = (
        Program::with(&site, Scope::Read),
        Program::with(&site, Scope::Decide),
    );
    let (expired, revoked) = (
        Program::made_by(&site, Scope::Decide, "cleo@example.org", -hour),
        Program::with(&site, Scope::Decide),
    );
    let by_reviewer = Program::made_by(&site, Scope::Decide, "ana@example.org", hour);
    let by_nobody = Program::made_by(&site, Scope::Decide, "gone@example.org", hour);
    let taken_back = store(&site).write(|tx| {
        let token = tx.api_token(Hash::of(revoked.token.as_bytes()), Timestamp::now())?;
        tx.revoke_api_token(token.unwrap().0.id, Timestamp::now())
    });
    assert!(taken_back.unwrap());
    let ana = Browser::sign_in(&site, "cleo@example.org");
    let mut before = site.desk.dump();
    let mut asked = 0;
    // Each from an address of its own: those who are let in nowhere may not ask often.
    let mut from = (0..).map(|n| format!("10.0.{}.{}", n / 200, n % 200));
    for (method, path, operation) in operations(&document(&site)) {
        let is_open = operation["security"] == json!([]);
        let (acts, what) = (method != "GET", format!("{method} {path}"));
        let strangers: [&[(&str, &str)]; 8] = [
            &[],
            &[("Authorization", "Bearer cd_nothing")],
            &[("Authorization", &format!("Basic {}", decides.token))],
            &[("Authorization", &format!("Bearer {}", expired.token))],
            &[("Authorization", &format!("Bearer {}", revoked.token))],
            &[("Authorization", &format!("Bearer {}", by_reviewer.token))],
            &[("Authorization", &format!("Bearer {}", by_nobody.token))],
            &[
                ("Cookie", &ana.cookie),
                ("Remote-Email", "cleo@example.org"),
            ],
        ];
        for headers in strangers {
            let peer = from.next().unwrap();
            let headers = [headers, &[("X-Forwarded-For", &*peer)]].concat();
            let answer = ask(&site.address, &method, &path, &headers, "");
            if is_open {
                assert_eq!(answer.status, 200, "{what}");
                continue;
            }
            assert_eq!(answer.status, 401, "{what} {headers:?}");
            let asks = answer.header("www-authenticate").unwrap();
            assert!(asks.starts_with("Bearer"), "{what}");
            problem(&answer);
            asked += 1;
        }
        let by_reader = reads.ask(&method, &path, &[], "");
        match acts && !is_open {
            true => {
                assert_eq!(by_reader.status, 403, "{what}");
                problem(&by_reader);
            }
            false => assert_eq!(by_reader.status, 200, "{what} {by_reader:#?}"),
        }
        if !acts {
            assert_eq!(decides.ask(&method, &path, &[], "").status, 200, "{what}");
        }
    }
    // That tokens and sessions were used is noted, and nothing else.
    let used = "SELECT count(*) FROM api_tokens WHERE used_at IS NOT NULL";
    assert_eq!(site.number(used), 2);
    let mut after = site.desk.dump();
    for table in ["service", "api_tokens", "sessions"] {
        after.remove(table);
        before.remove(table);
    }
    assert_eq!(after, before);
    println!("| who may ask the API | {asked} requests by eight kinds of strangers | all 401 |");
}

#[test]
fn the_document_names_every_route_and_its_answers_are_as_it_says() {
    let site = site();
    let program = Program::with(&site, Scope::Decide);
    let document = document(&site);
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource("api.json", document.clone()).unwrap();
    let mut check = |path: &str, method: &str, answer: &Answer| {
        let status = answer.status.to_string();
        let response = &document["paths"][path][method]["responses"][&status];
        assert!(!response.is_null(), "{method} {path} {status}: {answer:#?}");
        let at = match response["$ref"].as_str() {
            Some(at) => at.trim_start_matches('#').to_owned(),
            None => {
                let path = path
                    .replace('/', "~1")
                    .replace('{', "%7B")
                    .replace('}', "%7D");
                format!("/paths/{path}/{method}/responses/{status}")
            }
        };
        let kind = answer.header("content-type").unwrap().replace('/', "~1");
        let at = format!("api.json#{at}/content/{kind}/schema");
        let index = compiler.compile(&at, &mut schemas).expect(&at);
        for line in answer.body.lines() {
            let value = serde_json::from_str(line).unwrap();
            let valid = schemas.validate(&value, index);
            assert!(valid.is_ok(), "{at}: {} in {value:#}", valid.unwrap_err());
        }
    };
    let id = program.json("/queues/general/items?limit=1")["items"][0]["id"].clone();
    let id = id.as_i64().unwrap();
    let said = json!({"verb": "hold", "version": 1, "note": "später"});
    check(
        "/api/v1/items/{id}/decisions",
        "post",
        program
            .decide(id, "0190163d-8694-739b-aea5-966c26f8ad91", &said)
            .is(200, &["held"]),
    );
    let claimed = program.ask("POST", &format!("/api/v1/items/{id}/claim"), &[], "");
    check(
        "/api/v1/items/{id}/claim",
        "post",
        claimed.is(200, &["api:"]),
    );
    let to = json!({"to": "ana@example.org"});
    let handed = program.send(&format!("/items/{id}/hand-over"), &[], &to);
    check(
        "/api/v1/items/{id}/hand-over",
        "post",
        handed.is(200, &["ana@example.org"]),
    );
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let real = path
            .replace("{id}", &id.to_string())
            .replace("{name}", "general");
        let absent = path.replace("{id}", "999").replace("{name}", "nothing");
        for method in ["get", "post", "put", "patch", "delete"] {
            let known = methods.get(method).is_some();
            let answer = program.ask(&method.to_uppercase(), &real, &[], "");
            assert_eq!(answer.status != 405, known, "{method} {path}");
            if !known {
                problem(&answer);
                continue;
            }
            check(path, method, &answer);
            if absent != *path {
                let answer = program.ask(&method.to_uppercase(), &absent, &[], "");
                check(path, method, &answer);
            }
            checked += 1;
        }
    }
    assert!(checked > 10);
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn it_answers_what_the_commands_print() {
    let site = site();
    let program = Program::with(&site, Scope::Read);
    let mut shown = program.json("/items/1");
    let mut printed = site.desk.json(&["show", "1"]);
    // A rule of the desk's clock, which the service does not have.
    for page in [&mut shown, &mut printed] {
        for key in ["overdue", "near", "not_evaluated", "current"] {
            page.as_object_mut().unwrap().remove(key);
        }
    }
    assert_eq!(shown, printed);
    let status = program.json("/status");
    let printed = site.desk.json(&["status"]);
    for key in ["sources", "broken", "mail", "rules", "shadow"] {
        assert_eq!(status[key], printed[key], "{key}");
    }
    assert_eq!(program.json("/broken"), printed["broken"]);
    assert_eq!(program.json("/queues"), status["queues"]);
    let record = program.json("/records/1");
    assert_eq!(record["item"], 1);
    assert_eq!(record["locations"][0]["path"], shown["location"]);
    assert_eq!(record["body"], shown["body"]);
    assert!(record["fields"]["title"].as_str().unwrap().contains("<b>"));
    program.get("/items/99").is(404, &["no item 99"]);
    program.get("/records/99").is(404, &["no record 99"]);
    program.get("/items/1.0").is(200, &[]);
    program.get("/items/x").is(400, &["whole number"]);
}

#[test]
fn a_queue_is_read_page_by_page() {
    let site = site();
    let program = Program::with(&site, Scope::Read);
    let mut path = "/api/v1/queues/general/items?sort=oldest&limit=2".to_owned();
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let answer = program.ask("GET", &path, &[], "");
        let page: Value = serde_json::from_str(&answer.is(200, &[]).body).unwrap();
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_i64().unwrap()));
        pages += 1;
        let Some(link) = answer.header("link") else {
            assert_eq!(page["next"], Value::Null);
            break;
        };
        let next = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap();
        assert!(next.ends_with(page["next"].as_str().unwrap()), "{link}");
        assert!(next.contains("sort=oldest&limit=2"), "{link}");
        path = next.to_owned();
    }
    assert_eq!((pages, ids.len()), (3, 5));
    ids.dedup();
    assert_eq!(ids.len(), 5);
    let best = program.json("/queues/general/items?sort=score&limit=1");
    let best = best["items"][0]["score"]["total"].as_i64().unwrap();
    let least = program.json(&format!(
        "/queues/general/items?least={best}&status=pending"
    ));
    let found = least["items"].as_array().unwrap();
    assert!((1..5).contains(&found.len()), "{found:#?}");
    assert!(
        found
            .iter()
            .all(|item| item["score"]["total"].as_i64() >= Some(best))
    );
    for (query, status, words) in [
        ("after=x", 422, "no place in this list"),
        ("limit=0", 400, "from 1 to 200"),
        ("limit=2&limit=3", 400, "twice"),
        ("sort=rnk", 400, "one of rank"),
        ("overdue=yes", 400, "true or false"),
        ("published_since=yesterday", 400, "a time like"),
        ("statu=held", 400, "did you mean `status`?"),
    ] {
        let answer = program.get(&format!("/queues/general/items?{query}"));
        problem(answer.is(status, &[words]));
    }
    problem(program.get("/queues/nothing/items").is(404, &["no queue"]));
}

#[test]
fn a_decision_is_made_once_under_its_key_and_only_on_what_was_seen() {
    let site = site();
    let program = Program::with(&site, Scope::Decide);
    let (key, other) = (
        "0190163d-8694-739b-aea5-966c26f8ad91",
        "0190163d-8694-739b-aea5-966c26f8ad92",
    );
    let said = json!({"verb": "approve", "version": 1, "note": "fine"});
    let id = site.desk.id_of("0.md");
    let first = program.decide(id, key, &said);
    first.is(200, &["\"status\":\"approved\"", "\"version\":2"]);
    let written = || site.desk.says("0.md", "published: true");
    site.service.until("the file is written", BOUND, written);
    for _ in 0..3 {
        assert_eq!(program.decide(id, key, &said).body, first.body);
    }
    assert_eq!(program.decide(id, &format!("\"{key}\""), &said), first);
    let by = format!(
        "SELECT count(*) FROM decisions WHERE actor = 'api:{}'",
        program.token
    );
    assert_eq!((site.decisions(), site.number(&by)), (1, 1));
    let stale = problem(program.decide(id, other, &said).is(409, &[]));
    assert_eq!(stale["type"], "urn:copydesk:problem:stale");
    assert_eq!(stale["version"], 2);
    let changed = stale["changed"][0].as_str().unwrap();
    assert!(changed.contains("approved by api:"), "{stale}");
    let reused = json!({"verb": "reject", "version": 2});
    let reused = problem(program.decide(id, key, &reused).is(422, &["new UUID"]));
    assert_eq!(reused["type"], "urn:copydesk:problem:key-reused");

    for (key, body, status, words) in [
        (
            other,
            json!({"verb": "approve", "version": 2}),
            409,
            "is approved",
        ),
        (
            other,
            json!({"verb": "aprove", "version": 2}),
            400,
            "unknown variant `aprove`",
        ),
        (
            other,
            json!({"verb": "hold", "version": 1.5}),
            400,
            "whole number",
        ),
        (
            other,
            json!({"verb": "hold"}),
            400,
            "missing field `version`",
        ),
        (other, json!({"verb": "hold", "version": 0}), 400, "from 1"),
        (
            other,
            json!({"verb": "reject", "version": 2, "reson": "x"}),
            400,
            "did you mean `reason`?",
        ),
        (
            other,
            json!({"verb": "reject", "version": 2, "reason": "x"}),
            422,
            "off-topic",
        ),
        (
            other,
            json!({"verb": "approve", "version": 2, "reason": "rights"}),
            422,
            "use `note`",
        ),
        (
            other,
            json!({"verb": "approve", "version": 2, "until": "2100-01-01T00:00:00Z"}),
            422,
            "`hold`",
        ),
        (
            other,
            json!({"verb": "hold", "version": 2, "until": "3d"}),
            400,
            "The body",
        ),
        (
            other,
            json!({"verb": "hold", "version": 2, "note": "x".repeat(2_001)}),
            400,
            "2000",
        ),
        (other, json!([]), 400, "The body"),
        ("7", said.clone(), 400, "a UUID"),
    ] {
        problem(program.decide(id, key, &body).is(status, &[words]));
    }
    let another = site.desk.id_of("1.md");
    let path = &format!("/items/{another}/decisions");
    problem(program.send(path, &[], &said).is(400, &["Idempotency-Key"]));
    let now = json!({"verb": "hold", "version": 1, "until": "2001-01-01T00:00:00Z"});
    problem(program.decide(another, other, &now).is(422, &["passed"]));
    let key = [("Idempotency-Key", other)];
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let headers = [&key[..], &[("Content-Type", kind)]].concat();
        let path = format!("/api/v1{path}");
        let answer = program.ask("POST", &path, &headers, &said.to_string());
        problem(answer.is(415, &["application/json"]));
    }
    assert_eq!(site.decisions(), 1);
    program
        .decide(
            another,
            other,
            &json!({"verb": "reject", "version": 1, "reason": "rights"}),
        )
        .is(200, &["rejected"]);
}

/// The whole of what is streamed, as HTTP 1.0 sends it.
fn streamed(program: &Program<'_>, path: &str) -> String {
    let mut stream = TcpStream::connect(&program.site.address).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let (host, token) = (&program.site.address, &program.token);
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(head.contains("content-type: application/jsonl"), "{head}");
    body.to_owned()
}

#[test]
fn what_happened_and_was_decided_is_read_page_by_page_or_whole() {
    let site = site();
    let program = Program::with(&site, Scope::Decide);
    assert_eq!(program.json("/decisions")["decisions"], json!([]));
    assert_eq!(streamed(&program, "/api/v1/decisions.jsonl"), "");
    let start = program.json("/events")["next"].as_i64().unwrap();
    // More than are read at once, and by several tokens, since none may ask so often.
    for n in 0..3 {
        let another = Program::with(&site, Scope::Decide);
        for n in 35 * n..35 * (n + 1) {
            for (verb, version) in [("approve", 1 + 2 * n), ("reject", 2 + 2 * n)] {
                let said = json!({"verb": verb, "version": version});
                let key = uuid::Uuid::now_v7().to_string();
                another.decide(1, &key, &said).is(200, &[]);
            }
        }
    }
    let mut path = "/decisions?limit=100&item=1".to_owned();
    let mut paged = Vec::new();
    loop {
        let page = program.json(&path);
        paged.extend(page["decisions"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => path = format!("/decisions?limit=100&item=1&after={next}"),
            None => break,
        }
    }
    assert_eq!(paged.len(), 210);
    assert_eq!(
        (&paged[0]["kind"], &paged[0]["version"]),
        (&json!("reject"), &json!(210))
    );
    let whole = streamed(&program, "/api/v1/decisions.jsonl");
    let whole: Vec<Value> = whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let without_writes = |lines: &[Value]| -> Vec<Value> {
        let mut lines = lines.to_vec();
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("writes");
        }
        lines
    };
    assert_eq!(without_writes(&whole), without_writes(&paged));
    let approved = program.json("/decisions?verb=approve&limit=200");
    assert_eq!(approved["decisions"].as_array().unwrap().len(), 105);
    let none = program.json("/decisions?actor=ana@example.org&queue=general");
    assert_eq!(none["decisions"], json!([]));
    problem(
        program
            .get("/decisions?after=x")
            .is(422, &["no place in this list"]),
    );

    let (mut after, mut ids) = (start, Vec::new());
    loop {
        let page = program.json(&format!("/events?limit=64&after={after}"));
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            assert_eq!(page["next"], after);
            break;
        }
        let of_people = events.iter().filter(|event| event["actor"] != "copydesk");
        ids.extend(of_people.map(|event| event["id"].as_i64().unwrap()));
        after = page["next"].as_i64().unwrap();
    }
    assert_eq!(ids.len(), 210);
    assert!(ids.is_sorted());
}

#[test]
fn an_item_is_claimed_let_go_and_handed_over() {
    let site = site();
    let (program, beside) = (
        Program::with(&site, Scope::Decide),
        Program::with(&site, Scope::Decide),
    );
    let claim = |by: &Program<'_>, method: &str| by.ask(method, "/api/v1/items/1/claim", &[], "");
    let claimed = claim(&program, "POST");
    let line: Value = serde_json::from_str(&claimed.is(200, &[]).body).unwrap();
    assert_eq!(line["claimed_by"], format!("api:{}", program.token));
    assert!(line["claimed_until"].is_string());
    let refused = problem(claim(&beside, "POST").is(409, &["is claimed by api:"]));
    assert_eq!(refused["type"], "urn:copydesk:problem:claimed");
    claim(&program, "DELETE").is(200, &["\"claimed_by\":null"]);
    claim(&program, "DELETE").is(200, &["\"claimed_by\":null"]);
    claim(&beside, "POST").is(200, &[]);
    let hand = |body: &Value| program.send("/items/1/hand-over", &[], body);
    hand(&json!({"to": "ana@example.org", "note": "yours"})).is(200, &["ana@example.org"]);
    problem(hand(&json!({"to": "anna@example.org"})).is(422, &["did you mean `ana@example.org`?"]));
    problem(hand(&json!({"to": "generl"})).is(422, &["did you mean `general`?"]));
    problem(hand(&json!({"to": "general", "version": 7})).is(409, &["\"version\":1"]));
    problem(hand(&json!({"to": "  "})).is(400, &[]));
    problem(
        program
            .ask("POST", "/api/v1/items/99/claim", &[], "")
            .is(404, &[]),
    );
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let site = site();
    let program = Program::with(&site, Scope::Decide);
    for path in ["/items/1", "/queues", "/records/1", "/openapi.json"] {
        let path = format!("/api/v1{path}");
        let first = program.ask("GET", &path, &[], "");
        let tag = first.is(200, &[]).header("etag").unwrap();
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        for known in [tag.to_owned(), format!("\"x\", W/{tag}")] {
            let again = program.ask("GET", &path, &[("If-None-Match", &known)], "");
            assert_eq!((again.status, &*again.body), (304, ""), "{path}");
            assert_eq!(again.header("etag"), Some(tag));
        }
        let other = [("If-None-Match", "\"x\"")];
        assert_eq!(program.ask("GET", &path, &other, "").body, first.body);
        ask(&site.address, "HEAD", "/api/v1/openapi.json", &[], "").is(200, &[]);
    }
    let item = program.get("/items/1");
    let tag = item.header("etag").unwrap();
    program
        .ask("POST", "/api/v1/items/1/claim", &[], "")
        .is(200, &[]);
    let changed = program.ask("GET", "/api/v1/items/1", &[("If-None-Match", tag)], "");
    changed.is(200, &["\"claimed\""]);
}

#[test]
fn whatever_goes_wrong_is_told_as_a_problem() {
    let site = site();
    let program = Program::with(&site, Scope::Decide);
    for path in [
        "/api/",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/queues",
        "/api/v1/items/1/claim/x",
    ] {
        problem(program.ask("GET", path, &[], "").is(404, &[]));
    }
    let wrong = program.ask("PUT", "/api/v1/items/1/claim", &[], "");
    problem(wrong.is(405, &[]));
    assert_eq!(wrong.header("allow"), Some("POST,DELETE"));
    let key = ("Idempotency-Key", "0190163d-8694-739b-aea5-966c26f8ad91");
    let large = json!({"verb": "hold", "version": 1, "note": "x".repeat(70_000)});
    problem(program.decide(1, key.1, &large).is(413, &[]));
    for body in [
        "",
        "{",
        "null",
        "{\"verb\":\"hold\",\"verb\":\"hold\",\"version\":1}",
    ] {
        let headers = [key, ("Content-Type", "application/json; charset=utf-8")];
        let answer = program.ask("POST", "/api/v1/items/1/decisions", &headers, body);
        problem(answer.is(400, &["The body"]));
    }
    problem(
        program
            .ask("GET", "/api/v1/queues", &[("Host", "evil.example")], "")
            .is(421, &[]),
    );
    let foreign = [("Origin", "https://evil.example")];
    problem(
        program
            .ask("POST", "/api/v1/items/1/claim", &foreign, "")
            .is(403, &[]),
    );
    let huge = "x".repeat(20_000);
    problem(
        program
            .ask("GET", "/api/v1/queues", &[("X-Huge", &huge)], "")
            .is(431, &[]),
    );
    assert_eq!(site.decisions(), 0);
}

#[test]
fn who_asks_too_often_is_told_to_wait() {
    let site = site();
    let program = Program::with(&site, Scope::Read);
    let strange = || site.get("/api/v1/queues");
    let statuses: Vec<u16> = (0..12).map(|_| strange().status).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let wait = strange()
        .header("retry-after")
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    // That is no matter of who has a token, nor of who asks to sign in.
    program.get("/queues").is(200, &[]);
    let sign_in = || site.post("/sign-in", "email=someone@example.org");
    let statuses: Vec<u16> = (0..12).map(|_| sign_in().status).collect();
    assert_eq!(statuses[..10], [200; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let told = sign_in();
    told.is(429, &["Too many links"]);
    assert!(told.header("retry-after").is_some());
    site.get("/sign-in").is(200, &[]);
    // A header of someone who is no trusted proxy hides nobody.
    let hidden = [("X-Forwarded-For", "10.0.0.1")];
    problem(ask(&site.address, "GET", "/api/v1/queues", &hidden, "").is(429, &[]));
}

#[test]
fn what_is_asked_is_logged_by_its_route_and_what_acts_by_whom() {
    let site = site();
    let program = Program::with(&site, Scope::Decide);
    program.get("/items/1").is(200, &[]);
    program
        .ask("POST", "/api/v1/items/1/claim", &[], "")
        .is(200, &[]);
    let who = format!("who=\"api:{}\"", program.token);
    let logged = || site.service.log().contains(&who);
    site.service.until("the line", BOUND, logged);
    let log = site.service.log();
    let line = log.lines().find(|line| line.contains(&who)).unwrap();
    for part in [
        "POST",
        "/api/v1/items/{id}/claim",
        "status=200",
        "ms=",
        "peer=127.0.0.1",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!log.contains("method=\"GET\""), "{log}");
    let metrics = site.get("/metrics");
    metrics.is(
        200,
        &[
            "copydesk_http_requests_total{route=\"/api/v1/items/{id}\",status=\"200\"} 1\n",
            "copydesk_http_request_duration_seconds_count{route=\"/api/v1/items/{id}/claim\"} 1\n",
            "copydesk_http_request_duration_seconds_bucket{route=\"/api/v1/items/{id}/claim\",le=\"+Inf\"} 1\n",
        ],
    );
}
