//! The console's records: what is broken, what was decided, the rules, the status, and the tokens.

use copydesk::item::Verdict;
use copydesk::store::decide::{Answer as Made, Decision};
use copydesk::store::{Store, StoreError};
use jiff::Timestamp;
use rusqlite::Connection;

use crate::console::Browser;
use crate::desk::{Desk, finish};
use crate::http::{Site, ask};
use crate::service::{BOUND, beside};

const REVIEWERS: &str = "reviewers:
  - {name: Eda Example, email: eda@example.org, role: editor, queues: all}
  - {name: Bo Example, email: bo@example.org, queues: [ai-desk]}
";

/// An editor's desk: a story in Bo's queue, one in another, and a file that does not read.
fn desk() -> Desk {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    let story = desk.story("robot.md").published(false);
    story.title("A robot").topics(&["AI"]).write();
    let story = desk.story("garden.md").published(false);
    story.title("A <i>garden</i>").write();
    desk.write(
        "bad <b>.md",
        "---\ntitle: \"<script>alert(1)</script>\ntitle: twice\n---\n",
    );
    desk
}

fn site() -> Site {
    Site::open(desk())
}

#[test]
fn each_page_answers_those_whom_it_is_for() {
    let site = site();
    let (bo, eda) = (
        Browser::sign_in(&site, "bo@example.org"),
        Browser::sign_in(&site, "eda@example.org"),
    );
    for (path, to_bo, to_eda) in [
        ("/broken", 200, 200),
        ("/history", 200, 200),
        ("/history.csv", 200, 200),
        ("/history.jsonl", 200, 200),
        ("/rules", 200, 200),
        ("/rules?q=%3Cb%3E&from=7", 200, 200),
        ("/rules?from=-1", 200, 200),
        ("/rules?from=18446744073709551615", 200, 200),
        ("/status", 200, 200),
        ("/tokens", 403, 200),
        ("/tokens/1/revoke", 405, 405),
        ("/tokens/1", 404, 404),
        ("/broken/1", 404, 404),
        ("/rules/1", 404, 404),
    ] {
        let nobody = site.get(path).status;
        assert_eq!(nobody, if to_eda == 200 { 303 } else { to_eda }, "{path}");
        assert_eq!(bo.get(path).status, to_bo, "{path}");
        let page = eda.get(path);
        assert_eq!(page.status, to_eda, "{path}");
        page.leaves_out(&[" style=", "<b>.md", "<script>alert"]);
        let head = eda.ask("HEAD", path, &[], "");
        assert_eq!((head.status, head.body.len()), (to_eda, 0), "{path}");
    }
    for path in ["/broken", "/rules", "/status"] {
        bo.post(path, "").is(405, &[]);
        eda.ask("DELETE", path, &[], "").is(405, &[]);
    }
    for path in ["/tokens", "/tokens/1/revoke"] {
        let nobody = site.post(path, "name=a&scope=read&days=30");
        nobody.is(401, &["you are not signed in"]);
        bo.post(path, "name=a&scope=read&days=30").is(403, &[]);
        let forged = "csrf=wrong&name=a&scope=read&days=30";
        eda.ask("POST", path, &[], forged)
            .is(403, &["Load the page again"]);
    }
    assert_eq!(site.number("SELECT count(*) FROM api_tokens"), 0);
}

#[test]
fn broken_records_are_named_with_place_and_reason_until_they_read() {
    let site = site();
    let bo = Browser::sign_in(&site, "bo@example.org");
    let page = bo.get("/broken");
    page.is(
        200,
        &["1 file cannot be read", "<h2>news", "bad &#60;b&#62;.md:"],
    );
    let (line, column) = (
        site.number("SELECT broken_line FROM locations WHERE broken_reason IS NOT NULL"),
        site.number("SELECT broken_column FROM locations WHERE broken_reason IS NOT NULL"),
    );
    page.is(200, &[&format!("&#60;b&#62;.md:{line}:{column}</code>")]);
    site.desk.write("bad <b>.md", "---\ntitle: Good\n---\n");
    site.service.until("the file is read", BOUND, || {
        bo.get("/broken").body.contains("Every file reads")
    });
}

#[test]
fn what_is_wrong_is_for_editors_and_counts_are_of_ones_own_queues() {
    let site = site();
    let secret = "the <b>server</b> fell over";
    let database = Connection::open(site.desk.path("state/copydesk.db")).unwrap();
    let fails = "INSERT INTO failures (name, error, since) VALUES ('mail', ?1, 0)";
    database.execute(fails, [secret]).unwrap();
    let (bo, eda) = (
        Browser::sign_in(&site, "bo@example.org"),
        Browser::sign_in(&site, "eda@example.org"),
    );
    let (hers, all) = (bo.get("/status"), eda.get("/status"));
    all.is(
        200,
        &[
            "the &#60;b&#62;server&#60;/b&#62; fell over",
            ">general</a>",
            ">ai-desk</a>",
        ],
    );
    hers.is(200, &["A problem", ">ai-desk</a>", "1 broken record"]);
    hers.leaves_out(&[
        "fell over",
        "general",
        &site.desk.path("content").display().to_string(),
    ]);
    let queue = all.body.split(">ai-desk</a>").nth(1).unwrap();
    let pending = "<td class=\"number\" data-of=\"pending\">1</td>";
    assert!(queue.contains(pending), "{queue}");
    database.execute("DELETE FROM failures", []).unwrap();
    let well = eda.get("/status");
    well.is(
        200,
        &[
            "All is well",
            "2 arrived, 0 decided",
            "2 pending in your queues",
        ],
    );
    bo.get("/status").is(200, &["1 pending in your queues"]);
    assert_eq!(well.body.matches("<svg ").count(), 2);
    assert_eq!(well.body.matches("role=\"img\"").count(), 2);
    well.is(
        200,
        &[
            "<title id=\"days-title\">",
            "<desc id=\"ages-about\">",
            "Nothing to draw yet",
        ],
    );
}

#[test]
fn rules_are_shown_as_they_are_written_and_faults_of_a_changed_set_too() {
    let site = site();
    let bo = Browser::sign_in(&site, "bo@example.org");
    bo.get("/rules")
        .is(
            200,
            &[
                "face-recognition",
                "mentions(&#34;face recognition&#34;, &#34;facial recognition&#34;)",
                "domain in trusted",
                "+15",
                "Face recognition is policy-sensitive",
                "rules/scoring.yaml:11",
                "score.total &#62;= 95",
                "2 topics, 3 queues",
                "closed unread after 30d",
            ],
        )
        .leaves_out(&["do not load"]);
    bo.get("/rules?q=TRUSTED").is(200, &["face-recognition"]);
    let none = bo.get("/rules?q=nothing+like+it");
    none.is(200, &["None says that"])
        .leaves_out(&["policy-sensitive"]);
    let wrong = crate::desk::SCORING.replace("points: 15", "points: many\n    colour: <b>red</b>");
    site.desk.rules("scoring.yaml", &wrong);
    site.service.until("the faults", BOUND, || {
        bo.get("/rules").body.contains("do not load")
    });
    let page = bo.get("/rules");
    page.is(
        200,
        &[
            "scoring.yaml:15:",
            "scoring.yaml:16:",
            "colour",
            "face-recognition",
        ],
    );
    page.leaves_out(&["<b>red"]);
    let eda = Browser::sign_in(&site, "eda@example.org");
    let status = eda.get("/status");
    status.is(200, &["keeps to the last good rules", "(and 1 more)"]);
    status.leaves_out(&["colour"]);
    site.desk.rules("scoring.yaml", crate::desk::SCORING);
    site.service.until("the rules", BOUND, || {
        !bo.get("/rules").body.contains("do not load")
    });
}

#[test]
fn many_rules_are_shown_page_by_page() {
    let rule =
        |n| format!("  - {{id: r{n:03}, axis: heat, when: heat > {n}, points: 1, why: w}}\n");
    let rules: String = (0..450).map(rule).collect();
    let site = Site::open(desk().with_rules("more.yaml", &format!("rules:\n{rules}")));
    let bo = Browser::sign_in(&site, "bo@example.org");
    let (mut path, mut seen) = ("/rules?q=heat+%3E".to_owned(), Vec::new());
    loop {
        let page = bo
            .get(&path)
            .is(200, &["value=\"heat &#62;\""])
            .body
            .clone();
        let ids = page.split("<strong>r").skip(1);
        seen.extend(ids.map(|id| id[..3].parse::<i32>().unwrap()));
        let Some(link) = page.split("rel=\"next\" href=\"").nth(1) else {
            break;
        };
        path = link.split('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(seen, Vec::from_iter(0..450));
    bo.get("/rules?from=400")
        .is(200, &["rel=\"prev\" href=\"/rules?from=200\""]);
}

#[test]
fn a_token_is_shown_once_and_kept_as_its_hash() {
    let site = site();
    let eda = Browser::sign_in(&site, "eda@example.org");
    eda.get("/tokens").is(200, &["There is none yet"]);
    let made = eda.post("/tokens", "name=news-bot.2&scope=decide&days=90");
    made.is(200, &["shown this once"]);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let token = made.body.split("class=\"token\">").nth(1).unwrap();
    let token = token.split('<').next().unwrap();
    assert!(token.starts_with("cd_") && token.len() == 3 + 43, "{token}");
    let hash = blake3::hash(token.as_bytes()).to_hex();
    let by_hash = format!(
        "SELECT (ends_at - made_at) / 86400000000 FROM api_tokens
         WHERE lower(hex(hash)) = '{hash}' AND scope = 'decide' AND made_by = 'eda@example.org'"
    );
    assert_eq!(site.number(&by_hash), 90);
    let all = format!("{:?}", site.desk.dump());
    assert!(!all.contains(&token[3..]) && !site.service.log().contains(&token[3..]));
    let list = eda.get("/tokens");
    list.is(200, &["news-bot.2", "Eda Example", "never", ">holds<"]);
    list.leaves_out(&[token]);
    eda.post("/tokens", "name=news-bot.2&scope=read&days=30")
        .is(409, &["There is a token news-bot.2 already"]);
    let id = site.number("SELECT id FROM api_tokens");
    let revoked = eda.post(&format!("/tokens/{id}/revoke"), "");
    assert_eq!(revoked.is(303, &[]).header("location"), Some("/tokens"));
    let list = eda.get("/tokens");
    list.is(200, &[">taken back"])
        .leaves_out(&[">Take back</button>"]);
    let first = site.number("SELECT revoked_at FROM api_tokens");
    eda.post(&format!("/tokens/{id}/revoke"), "").is(303, &[]);
    assert_eq!(site.number("SELECT revoked_at FROM api_tokens"), first);
    for path in ["/tokens/99/revoke", "/tokens/x/revoke"] {
        eda.post(path, "").is(404, &["Not found"]);
    }
}

#[test]
fn a_token_is_not_made_of_what_is_no_token() {
    let site = site();
    let eda = Browser::sign_in(&site, "eda@example.org");
    for (form, says) in [
        ("name=&scope=read&days=30", "A name has 1 to 40"),
        ("name=two+words&scope=read&days=30", "A name has 1 to 40"),
        ("name=%3Cb%3E&scope=read&days=30", "A name has 1 to 40"),
        ("name=bot&scope=all&days=30", "Say what it may do"),
        ("name=bot&days=30", "Say what it may do"),
        ("name=bot&scope=read&days=31", "Say how long"),
        ("name=bot&scope=read&days=", "Say how long"),
    ] {
        let answer = eda.post("/tokens", form);
        answer.is(400, &[says]).leaves_out(&["value=\"<b>"]);
    }
    eda.post("/tokens", "name=bot&scope=decide&days=365&csrf=")
        .is(200, &["shown this once"]);
    let kept = eda.post("/tokens", "name=bot&scope=decide&days=365");
    kept.is(
        409,
        &[
            "value=\"bot\"",
            "value=\"decide\" selected",
            "value=\"365\" selected",
        ],
    );
    assert_eq!(site.number("SELECT count(*) FROM api_tokens"), 1);
    let stranger = [("Authorization", "Bearer cd_x")];
    ask(&site.address, "GET", "/tokens", &stranger, "").is(303, &[]);
}

/// Both stories decided on, with a note that a spreadsheet would run.
fn decided() -> (Site, i64, i64) {
    decided_after(|_, _, _| {})
}

fn decided_after(before: impl FnOnce(&Site, i64, i64)) -> (Site, i64, i64) {
    let site = site();
    let (robot, garden) = (site.desk.id_of("robot.md"), site.desk.id_of("garden.md"));
    before(&site, robot, garden);
    let (first, second) = (robot.to_string(), garden.to_string());
    let approve = ["approve", &first, "--as", "eda@example.org"];
    finish(beside(&site.desk, &approve)).done();
    let why = ["--reason", "quality", "--note", "=1+1 \"<b>\", so"];
    finish(beside(
        &site.desk,
        &[&["reject", &*second][..], &why].concat(),
    ))
    .done();
    (site, robot, garden)
}

/// Holds an item again and again, long ago, once each second.
fn hold(site: &Site, item: i64, times: i64) {
    let mut store = Store::open(&site.desk.path("state/copydesk.db")).unwrap();
    let until = Some("2999-01-01T00:00:00Z".parse().unwrap());
    let held: Result<(), StoreError> = store.write(|tx| {
        for n in 1..=times {
            let decision = Decision {
                id: &format!("{item}-{n:06}"),
                item,
                version: None,
                verdict: Verdict::Hold,
                actor: "bo@example.org",
                reason: None,
                note: None,
                until,
                writes: false,
            };
            let now = Timestamp::from_second(n).unwrap();
            assert!(matches!(tx.decide(&decision, now)?, Made::Made(_)));
        }
        Ok(())
    });
    held.unwrap();
}

#[test]
fn history_shows_each_what_was_decided_in_her_queues() {
    let (site, robot, garden) = decided();
    let (bo, eda) = (
        Browser::sign_in(&site, "bo@example.org"),
        Browser::sign_in(&site, "eda@example.org"),
    );
    let (hers, all) = (bo.get("/history"), eda.get("/history"));
    let (to_robot, to_garden) = (
        format!("href=\"/items/{robot}\">A robot</a>"),
        format!("href=\"/items/{garden}\">A &#60;i&#62;garden&#60;/i&#62;</a>"),
    );
    all.is(
        200,
        &[
            &to_robot,
            &to_garden,
            "Eda Example",
            "tester, in the terminal",
            "Too weak",
            "“=1+1 &#34;&#60;b&#62;&#34;, so”",
        ],
    );
    let newest = all.body.find(&to_garden).unwrap();
    assert!(newest < all.body.find(&to_robot).unwrap());
    hers.is(200, &[&to_robot, "Eda Example"]);
    hers.leaves_out(&["garden", "Too weak", "general"]);
    for (query, robots, gardens) in [
        ("", true, true),
        ("?who=eda%40example.org", true, false),
        ("?who=Eda+Example", true, false),
        ("?who=cli%3Atester", false, true),
        ("?who=nobody", false, false),
        ("?kind=reject", false, true),
        ("?kind=hold", false, false),
        ("?queue=ai-desk", true, false),
        (&format!("?item={garden}"), false, true),
        ("?since=1h", true, true),
        ("?since=2999-01-01", false, false),
        ("?until=2026-01-01", false, false),
        ("?until=2999-01-01", true, true),
        ("?who=&kind=&queue=&since=&until=&item=", true, true),
    ] {
        let page = eda.get(&format!("/history{query}"));
        let found = (
            page.body.contains(&to_robot),
            page.body.contains(&to_garden),
        );
        assert_eq!((page.status, found), (200, (robots, gardens)), "{query}");
        let (lines, csv) = (
            eda.get(&format!("/history.jsonl{query}")),
            eda.get(&format!("/history.csv{query}")),
        );
        let count = usize::from(robots) + usize::from(gardens);
        assert_eq!(lines.is(200, &[]).body.lines().count(), count, "{query}");
        assert_eq!(csv.is(200, &[]).body.lines().count(), 1 + count, "{query}");
        let hers = bo.get(&format!("/history.jsonl{query}"));
        assert_eq!(hers.body.lines().count(), usize::from(robots), "{query}");
    }
    for path in ["/history", "/history.csv", "/history.jsonl"] {
        let query = format!("{path}?item={garden}&queue=general");
        bo.get(&query)
            .is(200, &[])
            .leaves_out(&["<i>", "&#60;i", "quality"]);
        for query in ["kind=delete", "item=x", "since=yesterday", "until=x"] {
            eda.get(&format!("{path}?{query}")).is(400, &[]);
        }
        site.get(path).is(303, &[]);
        eda.post(path, "").is(405, &[]);
        let head = eda.ask("HEAD", path, &[], "");
        assert!(head.is(200, &[]).body.is_empty());
    }
    eda.get("/history?at=nonsense")
        .is(400, &["Begin at its newest page"]);
}

#[test]
fn files_of_the_history_are_whole_and_nothing_in_them_acts() {
    let (site, robot, garden) = decided_after(|site, robot, _| hold(site, robot, 1_234));
    let eda = Browser::sign_in(&site, "eda@example.org");
    let csv = eda.get("/history.csv");
    let name = csv.header("content-disposition");
    assert_eq!(name, Some("attachment; filename=\"history.csv\""));
    let rows: Vec<&str> = csv.body.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 1 + 2 + 1_234);
    assert!(
        rows[0].starts_with("\"at\",\"kind\",\"item\""),
        "{}",
        rows[0]
    );
    let row = format!("\"reject\",\"{garden}\",");
    assert!(rows[1].contains(&row), "{}", rows[1]);
    assert!(rows[1].contains("\"'=1+1 \"\"<b>\"\", so\""), "{}", rows[1]);
    let lines = eda.get("/history.jsonl");
    let lines: Vec<serde_json::Value> = lines
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2 + 1_234);
    assert_eq!(lines[0]["note"], "=1+1 \"<b>\", so");
    assert_eq!(lines[1]["item"], robot);
    assert_eq!(lines[1_235]["id"], format!("{robot}-000001"));
    let some = eda.get("/history.csv?kind=hold&until=1970-01-01");
    assert_eq!(some.body.lines().count(), 1 + 1_234);
}

#[test]
fn pages_of_history_follow_one_another_with_their_filters() {
    let (site, _, _) = decided_after(|site, robot, garden| {
        hold(site, robot, 120);
        hold(site, garden, 300);
    });
    let bo = Browser::sign_in(&site, "bo@example.org");
    let mut path = "/history?who=bo%40example.org&kind=hold&since=1970-01-01".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = bo.get(&path);
        page.is(200, &["value=\"bo@example.org\"", "<option selected>hold"]);
        let rows = page.body.split("<td class=\"when beside\">").skip(1);
        seen.extend(rows.map(|row| row.split('<').next().unwrap().to_owned()));
        let Some(link) = page.body.split("rel=\"next\" href=\"").nth(1) else {
            break;
        };
        let link = link.split('"').next().unwrap();
        assert!(
            link.contains("who=bo%40example.org&#38;kind=hold"),
            "{link}"
        );
        path = link.replace("&#38;", "&");
    }
    assert_eq!(seen.len(), 120);
    assert_eq!(seen.first().unwrap(), "1 Jan 1970 00:02");
    assert_eq!(seen.last().unwrap(), "1 Jan 1970 00:00");
}
