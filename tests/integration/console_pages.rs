//! My desk, queues and items in the console: what is shown, what forms do, what is refused.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::chromium::{Browser as Chromium, has_browser};
use crate::console::Browser;
use crate::desk::Desk;
use crate::http::{Answer, REVIEWERS, Site};
use crate::service::BOUND;

const ED: &str = "  - {name: Ed Itor, email: ed@example.org, role: editor, queues: all}\n";

/// A desk with these stories: location, title, quality.
fn desk(stories: &[(&str, &str, i64)]) -> Desk {
    let desk = Desk::new().with_rules("reviewers.yaml", &format!("{REVIEWERS}{ED}"));
    for (location, title, quality) in stories {
        let story = desk.story(location).published(false).title(title);
        story.quality(*quality).topics(&["AI"]).write();
    }
    desk
}

fn three() -> Site {
    Site::open(desk(&[
        ("a.md", "Alpha", 50),
        ("b.md", "Beta", 40),
        ("c.md", "Gamma", 30),
    ]))
}

impl Answer {
    /// The value of a hidden field of the first form that has it.
    #[track_caller]
    fn field(&self, name: &str) -> String {
        let after = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1);
        let after = after.unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        let value = after.split('"').next().unwrap();
        value.replace("&#38;", "&").replace("&amp;", "&")
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Browser<'_> {
    /// Sends what a form of an item's page sends, with what it says besides.
    fn decide(&self, page: &Answer, more: &str) -> Answer {
        let item = page.field("item");
        let id = item.split('@').next().unwrap();
        let hidden =
            ["key", "item", "from"].map(|name| format!("{name}={}", encoded(&page.field(name))));
        let next = if page.body.contains("name=\"next\"") {
            format!("&next={}", encoded(&page.field("next")))
        } else {
            String::new()
        };
        self.post(
            &format!("/items/{id}"),
            &format!("{}{next}&{more}", hidden.join("&")),
        )
    }

    /// Sends a form as our script does.
    fn send(&self, path: &str, form: &str) -> (u16, Value) {
        let csrf = self.csrf();
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            ("X-CSRF", &csrf),
        ];
        let answer = self.ask("POST", path, &headers, form);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{answer:?}"
        );
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    /// Where an answer leads, as a page.
    #[track_caller]
    fn follow(&self, answer: &Answer) -> Answer {
        answer.is(303, &[]);
        self.get(answer.header("location").unwrap())
    }
}

fn id(site: &Site, location: &str) -> i64 {
    site.desk.id(location)
}

#[test]
fn a_decision_leads_to_the_next_story_of_the_same_view() {
    let site = three();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let [a, b, c] = ["a.md", "b.md", "c.md"].map(|location| id(&site, location));
    let list = ana.get("/queues/ai-desk?sort=score&least=45");
    list.is(200, &["Alpha", "Beta", "3 open", "value=\"45\""]);
    list.leaves_out(&["Gamma"]);
    let page = ana.get(&format!(
        "/items/{a}?from={}",
        encoded("/queues/ai-desk?sort=score&least=45")
    ));
    page.is(
        200,
        &[
            "<h1>Alpha</h1>",
            "Approve",
            "Not our subject",
            "A week",
            "quality 50",
        ],
    );
    let done = ana.decide(&page, "verb=approve");
    let next = ana.follow(&done);
    next.is(
        200,
        &["<h1>Beta</h1>", &format!("Approved {a}: Alpha"), "Undo"],
    );
    assert_eq!(next.field("from"), "/queues/ai-desk?sort=score&least=45");
    assert_eq!(site.desk.status_of(a), "approved");
    // The last of the view leads back to the list.
    let done = ana.decide(
        &ana.get(&format!(
            "/items/{b}?from={}",
            encoded("/queues/ai-desk?sort=score&least=45")
        )),
        "verb=reject&reason=off-topic&note=Not+here",
    );
    ana.follow(&done).is(
        200,
        &[
            "Nothing here passes these filters",
            &format!("Rejected {b}: Beta"),
        ],
    );
    assert_eq!(site.desk.status_of(b), "rejected");
    assert_eq!(site.desk.status_of(c), "pending");
    ana.get(&format!("/items/{b}")).is(
        200,
        &["Not here", "rejected by Ana Example: Not our subject"],
    );
    // Taken back from the line that says it.
    let undone = ana.post(
        &format!("/items/{b}"),
        &format!("key=k&item={b}@2&verb=reopen"),
    );
    ana.follow(&undone).is(200, &["<h1>Beta</h1>", "pending"]);
}

#[test]
fn a_hold_lasts_as_long_as_the_form_says() {
    let site = three();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let a = id(&site, "a.md");
    let page = ana.get(&format!("/items/{a}"));
    ana.decide(&page, "verb=hold&until=date&date=2020-01-01")
        .is(400, &["That day has begun"]);
    ana.decide(&page, "verb=hold&until=someday")
        .is(400, &["Choose a day"]);
    ana.decide(&page, "verb=hold&until=3d").is(303, &[]);
    let held =
        "SELECT (held_until - (SELECT max(at) FROM decisions)) / 3600000000 FROM items WHERE id = ";
    assert_eq!(site.number(&format!("{held}{a}")), 72);
    ana.get("/queues/ai-desk?only=held")
        .is(200, &["Alpha", "held until"])
        .leaves_out(&["Beta"]);
}

#[test]
fn a_stale_decision_shows_what_changed_and_does_nothing() {
    let site = three();
    let (ana, bo) = (
        Browser::sign_in(&site, "ana@example.org"),
        Browser::sign_in(&site, "bo@example.org"),
    );
    let [a, b] = ["a.md", "b.md"].map(|location| id(&site, location));
    let (seen, other) = (
        ana.get(&format!("/items/{a}")),
        ana.get(&format!("/items/{b}")),
    );
    site.desk.replace("a.md", "Alpha", "Omega");
    let stale = ana.decide(&seen, "verb=approve");
    stale.is(
        409,
        &[
            "It has moved on",
            "the story changed",
            "<h1>Omega</h1>",
            "<del>Alpha</del><ins>Omega</ins>",
        ],
    );
    assert_eq!(stale.field("item"), format!("{a}@2"));
    assert_eq!(site.decisions(), 0);
    bo.decide(&bo.get(&format!("/items/{b}")), "verb=reject")
        .is(303, &[]);
    let (status, came) = ana.send(
        &format!("/items/{b}"),
        &format!("item={b}@1&key=x&verb=approve"),
    );
    assert_eq!(
        (status, &came["stale"], &came["done"]),
        (409, &json!(true), &json!(false))
    );
    assert_eq!(came["happened"][0]["what"], "rejected by bo@example.org");
    ana.decide(&other, "verb=approve")
        .is(409, &["rejected by bo@example.org"]);
    assert_eq!(site.decisions(), 1);
}

#[test]
fn a_form_that_is_sent_again_is_answered_as_the_first_time() {
    let site = three();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let page = ana.get(&format!("/items/{}", id(&site, "a.md")));
    let first = ana.decide(&page, "verb=approve");
    let again = ana.decide(&page, "verb=approve");
    assert_eq!(
        first.is(303, &[]).header("location"),
        again.is(303, &[]).header("location")
    );
    assert_eq!(site.decisions(), 1);
    // Another decision by the same form is another one, and late.
    ana.decide(&page, "verb=reject")
        .is(409, &["approved by ana@example.org"]);
    assert_eq!(site.decisions(), 1);
}

#[test]
fn many_are_decided_at_once_and_each_is_told_of() {
    let site = three();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let [a, b, c] = ["a.md", "b.md", "c.md"].map(|location| id(&site, location));
    let list = ana.get("/queues/ai-desk");
    list.is(200, &["With the chosen"]);
    site.desk.replace("b.md", "Beta", "Other");
    let key = list.field("key");
    let form =
        format!("key={key}&item={a}@1&item={b}@1&item={c}@1&item=999@1&verb=reject&reason=quality");
    for _ in 0..2 {
        let done = ana.post("/queues/ai-desk", &form);
        done.is(200, &["2 done, 2 not", "Undo all 2", "the story changed"]);
        done.is(
            200,
            &[&format!("Rejected {a}: Alpha"), "There is no item 999"],
        );
        assert_eq!(site.decisions(), 2);
    }
    assert_eq!(site.desk.status_of(b), "pending");
    let undo = format!("key={key}2&item={a}@2&item={c}@2&verb=reopen");
    ana.post("/queues/ai-desk", &undo)
        .is(200, &["2 done", &format!("{a} waits again: Alpha")]);
    assert_eq!(site.desk.status_of(a), "pending");
    ana.post("/queues/ai-desk", "key=x&verb=approve")
        .is(400, &["Choose the stories first"]);
    ana.post("/queues/ai-desk", &format!("item={a}&verb=approve"))
        .is(400, &[]);
}

#[test]
fn claims_notes_and_handing_over_are_seen_by_others() {
    let site = three();
    let (ana, bo) = (
        Browser::sign_in(&site, "ana@example.org"),
        Browser::sign_in(&site, "bo@example.org"),
    );
    let a = id(&site, "a.md");
    let page = ana.get(&format!("/items/{a}"));
    let claimed = ana.decide(&page, "verb=claim");
    ana.follow(&claimed).is(
        200,
        &["You have claimed it until", "Ten minutes more", "Release"],
    );
    ana.get("/").is(200, &["Claimed by you", "Alpha"]);
    let hers = bo.get(&format!("/items/{a}"));
    hers.is(200, &["Ana Example has claimed it until"])
        .leaves_out(&["value=\"claim\"", "Release"]);
    bo.decide(&hers, "verb=claim")
        .is(409, &["Ana Example has claimed"]);
    bo.get("/queues/ai-desk")
        .is(200, &["claimed by Ana Example", "2 unclaimed"]);
    let noted = ana.decide(&page, "verb=note&note=Call+them+%3Cb%3Efirst");
    ana.follow(&noted)
        .is(200, &["Ana Example noted", "Call them &#60;b&#62;first"]);
    ana.decide(&page, "verb=hand-over&to=nobody%40example.org")
        .is(400, &["There is no reviewer"]);
    ana.decide(&page, "verb=hand-over&to=bo%40example.org&note=Yours")
        .is(303, &[]);
    bo.get("/").is(200, &["Handed to you", "Alpha"]);
    bo.get(&format!("/items/{a}")).is(
        200,
        &[
            "It was handed over to you",
            "Ana Example handed it over to Bo Example",
            "Yours",
        ],
    );
    // To a queue that is not his: then it is no more to him than what is not there.
    let page = bo.get(&format!("/items/{a}"));
    bo.decide(&page, "verb=hand-over&to=urgent").is(303, &[]);
    bo.get(&format!("/items/{a}")).is(404, &[]);
}

#[test]
fn what_is_in_no_queue_of_hers_is_not_there() {
    let site = Site::open(desk(&[("a.md", "Alpha", 50), ("u.md", "Secret", 100)]));
    let bo = Browser::sign_in(&site, "bo@example.org");
    let u = id(&site, "u.md");
    for path in [
        format!("/items/{u}"),
        format!("/items/{u}/body"),
        "/items/999".into(),
        "/queues/urgent".into(),
        "/queues/urgent/live".into(),
        "/queues/nothing".into(),
    ] {
        bo.get(&path).is(404, &[]).leaves_out(&["Secret"]);
    }
    for none in ["abc", "1e3", "99999999999999999999"] {
        for below in ["", "/body"] {
            let path = format!("/items/{none}{below}");
            bo.get(&path).is(404, &["There is no such page"]);
        }
    }
    bo.post(&format!("/items/{u}"), &format!("item={u}@1&verb=approve"))
        .is(404, &[]);
    let done = bo.post("/queues/ai-desk", &format!("item={u}@1&verb=approve"));
    done.is(200, &["1 not"]).leaves_out(&["Secret"]);
    bo.get(&format!("/items/{}?done={u}", id(&site, "a.md")))
        .is(200, &[])
        .leaves_out(&["Secret"]);
    bo.get("/")
        .is(200, &["ai-desk"])
        .leaves_out(&["urgent", "Secret"]);
    assert_eq!(site.decisions(), 0);
    // What someone else decided is not his to take back.
    let ed = Browser::sign_in(&site, "ed@example.org");
    let a = id(&site, "a.md");
    ed.decide(&ed.get(&format!("/items/{a}")), "verb=approve")
        .is(303, &[]);
    let page = bo.get(&format!("/items/{a}"));
    page.leaves_out(&["Take it back"]);
    bo.post(&format!("/items/{a}"), &format!("item={a}@2&verb=reopen"))
        .is(403, &["only an editor"]);
    // A form without the session's token does nothing.
    bo.ask(
        "POST",
        &format!("/items/{a}"),
        &[],
        &format!("csrf=x&item={a}@2&verb=reopen"),
    )
    .is(403, &[]);
}

#[test]
fn filters_are_kept_in_every_link() {
    let stories: Vec<_> = (0..60)
        .map(|n| (format!("s{n:02}.md"), format!("Story {n:02}")))
        .collect();
    let stories: Vec<_> = stories
        .iter()
        .map(|(location, title)| (&**location, &**title, 30))
        .collect();
    let site = Site::open(desk(&stories));
    let ana = Browser::sign_in(&site, "ana@example.org");
    let first = ana.get("/queues/ai-desk?sort=oldest&topic=ai&text=story&least=1");
    first.is(
        200,
        &[
            "60 open",
            "sort=oldest&#38;topic=ai&#38;least=1&#38;text=story&#38;at=",
        ],
    );
    let next = first.body.split("rel=\"next\"").next().unwrap();
    let next = next
        .rsplit("href=\"")
        .next()
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    let second = ana.get(&next);
    second
        .is(200, &["Story 59", "rel=\"prev\"", "value=\"story\""])
        .leaves_out(&["Story 00", "rel=\"next\""]);
    // The last of a page is followed by the first of the next, and the first one is preceded.
    let last = site.desk.id("s39.md");
    let page = ana.get(&format!(
        "/items/{last}?from={}",
        encoded("/queues/ai-desk?sort=oldest")
    ));
    let on = page.field("next");
    ana.get(&on)
        .is(200, &["<h1>Story 40</h1>"])
        .is(200, &[&format!("/items/{last}?from=")]);
    // A place that is none leads to the beginning.
    ana.get("/queues/ai-desk?sort=oldest&at=%00evil")
        .is(200, &["Story 00"]);
    ana.get("/queues/ai-desk?text=nothing+like+it")
        .is(200, &["Nothing here passes these filters"]);
}

#[test]
fn an_empty_queue_says_so() {
    let site = Site::open(desk(&[]));
    let ana = Browser::sign_in(&site, "ana@example.org");
    ana.get("/queues/ai-desk")
        .is(200, &["Nothing waits in ai-desk. Well done.", "0 open"]);
    ana.get("/").is(200, &["Nothing is overdue", "Nothing yet"]);
}

#[test]
fn a_hostile_story_is_text() {
    let desk = desk(&[]).with_rules("desk.yaml", "desk: {pictures: ask}\n");
    let story = desk.story("x.md").published(false);
    let story = story
        .title("<script>alert(1)</script>\u{202e}gpj\u{1b}[31m")
        .excerpt("\"><img src=x onerror=alert(1)>");
    let story = story
        .topics(&["AI", "<svg onload=alert(1)>"])
        .domain("evil.example\"><b>");
    let story = story.line("featuredImage: https://pictures.example.org/a.jpg");
    let story = story.line("\"</td><script>\": \"<i>{{ x }}</i>\"");
    let body = "<script>alert(1)</script>\n\n# Head\n\n<iframe src=\"https://player.example/x\"></iframe>\n\n![a](https://pictures.example.org/b.jpg)\n";
    story.body(body).write();
    let site = Site::open(desk);
    let ana = Browser::sign_in(&site, "ana@example.org");
    let x = id(&site, "x.md");
    for path in [
        "/".to_owned(),
        "/queues/ai-desk".to_owned(),
        format!("/items/{x}"),
    ] {
        ana.get(&path).leaves_out(&[
            "<script>alert",
            "<img src=x",
            "<svg onload",
            "\u{202e}",
            "\u{1b}",
            "<i>{{",
        ]);
    }
    let page = ana.get(&format!("/items/{x}"));
    page.is(
        200,
        &[
            "&#60;script&#62;alert(1)",
            "Show pictures",
            "sandbox=\"allow-popups\"",
        ],
    );
    page.leaves_out(&["pictures.example.org/a.jpg\" alt"]);
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("img-src")
    );
    let body = ana.get(&format!("/items/{x}/body"));
    body.is(200, &["<h1>Head</h1>", ">embed: player.example</a>"])
        .leaves_out(&["alert(1)", "<iframe", "<img"]);
    assert_eq!(
        body.header("content-security-policy"),
        Some(
            "sandbox allow-popups; default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
    );
    // Asked for, the pictures are shown, here and in the frame.
    let page = ana.get(&format!("/items/{x}?pictures=yes"));
    page.is(
        200,
        &[
            "<img src=\"https://pictures.example.org/a.jpg\"",
            &format!("/items/{x}/body?&#38;pictures=yes"),
        ],
    );
    let body = ana.get(&format!("/items/{x}/body?pictures=yes"));
    body.is(200, &["<img src=\"https://pictures.example.org/b.jpg\""]);
    assert!(
        body.header("content-security-policy")
            .unwrap()
            .contains("img-src https:;")
    );
    // Where the desk shows none, nobody sees one.
    site.desk.rules("desk.yaml", "desk: {pictures: never}\n");
    site.service.until("the rules", BOUND, || {
        !ana.get(&format!("/items/{x}?pictures=yes"))
            .body
            .contains("<img")
    });
    ana.get(&format!("/items/{x}/body?pictures=yes"))
        .leaves_out(&["<img"]);
    ana.get(&format!("/items/{x}"))
        .leaves_out(&["Show pictures"]);
}

#[test]
fn a_page_with_all_it_loads_is_small() {
    let stories: Vec<_> = (0..50)
        .map(|n| {
            (
                format!("s{n:02}.md"),
                format!("A story with a title of some length, number {n}"),
            )
        })
        .collect();
    let stories: Vec<_> = stories
        .iter()
        .map(|(location, title)| (&**location, &**title, 30))
        .collect();
    let site = Site::open(desk(&stories));
    let ana = Browser::sign_in(&site, "ana@example.org");
    let sizes = ["/queues/ai-desk", "/style.css", "/console.js"]
        .map(|path| ana.get(path).is(200, &[]).body.len());
    assert!(sizes.iter().sum::<usize>() < 60 << 10, "{sizes:?}");
}

#[test]
fn news_of_a_queue_come_as_they_happen_and_end_with_the_service() {
    use std::io::{BufRead, BufReader, Write};
    let site = three();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let b = id(&site, "b.md");
    let listen = |query: &str| {
        let mut stream = std::net::TcpStream::connect(&site.address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        write!(
            stream,
            "GET /queues/ai-desk/live?{query} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
            site.address, ana.cookie
        )
        .unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
        lines
            .by_ref()
            .find(|line| line.starts_with("retry:"))
            .unwrap();
        lines
    };
    let (mut one, other) = (listen("since=0"), listen(""));
    let said = |line: String| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok();
    // From the beginning: what the page did not know yet.
    let known = one.by_ref().find_map(said).unwrap();
    assert_eq!(known["items"].as_array().unwrap().len(), 3);
    let (status, _) = ana.send(
        &format!("/items/{b}"),
        &format!("item={b}@1&key=k&verb=approve"),
    );
    assert_eq!(status, 200);
    for line in [&mut one as &mut dyn Iterator<Item = String>, &mut { other }] {
        let mut news = line
            .filter_map(said)
            .flat_map(|news| news["items"].as_array().cloned().unwrap());
        let heard = news.next().unwrap();
        assert_eq!(
            heard,
            json!({"id": b, "kind": "approved", "version": 2, "here": true})
        );
    }
    // A line that is open ends when the service is to stop, and does not keep it.
    site.service.signal(Signal::TERM);
    assert!(one.all(|line| !line.starts_with("data: ")));
    let log = site.service.log();
    assert!(
        log.contains("Stopping") && !log.contains("Stopped before"),
        "{log}"
    );
}

/// Presses a key in a browser.
fn key(browser: &mut Chromium, key: &str) {
    let text = if key.chars().count() == 1 { key } else { "" };
    let code = if key == "Escape" { 27 } else { 0 };
    for kind in ["keyDown", "keyUp"] {
        let text = if kind == "keyDown" { text } else { "" };
        browser.tell(
            "Input.dispatchKeyEvent",
            &json!({"type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code}),
        );
    }
}

#[test]
fn a_queue_is_worked_through_by_keys() {
    if !has_browser() {
        return;
    }
    let site = three();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let [a, b, c] = ["a.md", "b.md", "c.md"].map(|location| id(&site, location));
    let mut browser = Chromium::open();
    let (name, value) = ana.cookie.split_once('=').unwrap();
    browser.tell(
        "Network.setCookie",
        &json!({"name": name, "value": value, "url": site.url()}),
    );
    browser.visit(&format!("{}/", site.url()));
    browser.pictures("console-desk");
    browser.visit(&format!("{}/queues/ai-desk", site.url()));
    browser.value("addEventListener('securitypolicyviolation', e => { window.violated = e.violatedDirective; })");
    browser.until("document.querySelector('.current .title').textContent === 'Alpha'");
    browser.pictures("console-queue");
    key(&mut browser, "?");
    browser.until("document.querySelector('dialog[open] kbd').textContent === 'j'");
    key(&mut browser, "a");
    key(&mut browser, "Escape");
    browser.until("!document.querySelector('dialog')");
    assert_eq!(site.decisions(), 0);
    // Letters that are typed are text.
    key(&mut browser, "/");
    key(&mut browser, "a");
    browser.until("document.activeElement.value === 'a'");
    key(&mut browser, "Escape");
    key(&mut browser, "a");
    browser.until(&format!(
        "document.querySelector('#said').textContent.includes('Approved {a}: Alpha')"
    ));
    browser.until("document.querySelector('.current .title').textContent === 'Beta'");
    assert_eq!(site.desk.status_of(a), "approved");
    key(&mut browser, "r");
    browser.until("!!document.querySelector('dialog[open]')");
    key(&mut browser, "1");
    browser.until(&format!(
        "document.querySelector('#said').textContent.includes('Rejected {b}: Beta')"
    ));
    assert_eq!(
        site.number("SELECT count(*) FROM decisions WHERE reason = 'duplicate'"),
        1
    );
    browser.until("[...document.querySelectorAll('li.item:not([hidden])')].length === 1");
    key(&mut browser, "u");
    browser.until(&format!(
        "document.querySelector('#said').textContent.includes('{b} waits again')"
    ));
    browser.until("document.querySelector('.current .title').textContent === 'Beta'");
    // One that someone else decided comes back and says so.
    let ed = Browser::sign_in(&site, "ed@example.org");
    ed.send(
        &format!("/items/{c}"),
        &format!("item={c}@1&key=e&verb=reject"),
    );
    browser.until("!!document.querySelector('li.gone')");
    key(&mut browser, "j");
    key(&mut browser, "a");
    browser.until("document.querySelector('.failed')?.textContent.includes('has moved on')");
    assert_eq!(site.desk.status_of(c), "rejected");
    // Chosen by keys, decided by the form.
    key(&mut browser, "k");
    key(&mut browser, "x");
    key(&mut browser, "h");
    browser.until("!!document.querySelector('dialog[open]')");
    key(&mut browser, "3");
    browser.until("document.querySelector('#said')?.textContent.includes('1 done')");
    assert_eq!(site.desk.status_of(b), "held");
    assert_eq!(browser.value("window.violated ?? null"), Value::Null);
    // On the page of a story a decision goes on to the next.
    browser.visit(&format!("{}/items/{b}", site.url()));
    browser.value("addEventListener('securitypolicyviolation', e => { window.violated = e.violatedDirective; })");
    browser.pictures("console-item");
    assert_eq!(browser.value("window.violated ?? null"), Value::Null);
    key(&mut browser, "a");
    browser.until("document.querySelector('#said')?.textContent.includes('Approved')");
    assert_eq!(site.desk.status_of(b), "approved");
    key(&mut browser, "u");
    browser.until("document.querySelector('h1')?.textContent === 'Beta'");
    site.service
        .until("it waits", BOUND, || site.desk.status_of(b) == "pending");
}
