//! The console as people have it: a real browser, keys that are typed, links that are followed.

use std::collections::BTreeSet;

use serde_json::json;

use crate::accessible::{busy, pages_from};
use crate::chromium::{Browser, has_browser};
use crate::console::{self, mailed_link};
use crate::desk::{Desk, assert_published, finish};
use crate::http::{REVIEWERS, Site};
use crate::service::{BOUND, beside};

/// The lines of a queue's page that stand for items.
const LINES: &str = "[...document.querySelectorAll('[data-item]')]";

/// A desk with so many stories that wait in `general`, the best first: `a story about 00` …
fn stories(count: i64) -> Desk {
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    for n in 0..count {
        let story = desk.story(&format!("{n:02}.md")).published(false);
        story
            .title(&format!("Story number {n:02}"))
            .quality(60 - n)
            .heat(0)
            .write();
    }
    desk
}

/// Which of the lines of the page are there: the numbers of their stories.
fn shown(browser: &mut Browser) -> Vec<String> {
    let titles = browser.value(&format!(
        "{LINES}.filter(e => e.checkVisibility()).map(e => (e.textContent.match(/Story number (\\d+)/) || [])[1])"
    ));
    let titles = titles.as_array().unwrap().iter();
    titles
        .filter_map(|it| Some(it.as_str()?.to_owned()))
        .collect()
}

/// A browser in which she is signed in.
fn signed_in(site: &Site, email: &str) -> Browser {
    let session = console::Browser::sign_in(site, email);
    holding(site, &session.cookie)
}

/// A browser that holds a session.
fn holding(site: &Site, cookie: &str) -> Browser {
    let mut browser = Browser::open();
    browser.hold(&site.url(), cookie);
    // Keys go to the page, whether or not a window is in front.
    browser.tell(
        "Emulation.setFocusEmulationEnabled",
        &json!({"enabled": true}),
    );
    browser
}

/// Opens a queue.
fn open(browser: &mut Browser, site: &Site, queue: &str) {
    browser.visit(&format!("{}/queues/{queue}", site.url()));
}

fn decided(site: &Site) -> i64 {
    site.number("SELECT count(*) FROM decisions WHERE actor = 'ana@example.org'")
}

fn status(site: &Site, story: &str) -> String {
    site.desk.status_of(site.desk.id_of(&format!("{story}.md")))
}

#[test]
fn she_signs_in_from_the_mail() {
    if !has_browser() {
        return;
    }
    let site = Site::open(stories(3));
    let mut browser = Browser::open();
    // Where she wanted to go she is brought after it.
    browser.tell(
        "Page.navigate",
        &json!({"url": format!("{}/queues/general", site.url())}),
    );
    browser.until("document.querySelector('input[type=email]') !== null && document.readyState === 'complete'");
    browser.value("document.querySelector('input[type=email]').focus()");
    browser.tell("Input.insertText", &json!({"text": "ana@example.org"}));
    let link = mailed_link(&site, "ana@example.org", || {
        browser.key("Enter");
        browser.until("document.body.textContent.includes('Look into your mail')");
    });
    browser.visit(&format!("{}{link}", site.url()));
    browser.press("Sign in on this browser");
    browser.until("location.pathname === '/queues/general' && document.readyState === 'complete'");
    assert_eq!(shown(&mut browser), ["00", "01", "02"]);
    browser.press("Sign out");
    browser.until("document.body.textContent.includes('This browser is signed out')");
    browser.tell(
        "Page.navigate",
        &json!({"url": format!("{}/queues/general", site.url())}),
    );
    browser.until("location.pathname === '/sign-in'");
}

#[test]
fn a_queue_of_twenty_is_cleared_by_keys_alone() {
    if !has_browser() {
        return;
    }
    let site = Site::open(stories(20));
    let files: Vec<Vec<u8>> = (0..20)
        .map(|n| site.desk.read(format!("{n:02}.md")))
        .collect();
    let mut browser = signed_in(&site, "ana@example.org");
    open(&mut browser, &site, "general");
    assert_eq!(shown(&mut browser).len(), 20);
    let counts = "document.querySelector('.counts') !== null";
    assert_eq!(browser.value(counts), json!(true));
    let started = std::time::Instant::now();
    let (mut done, mut keys) = (0, 0);
    let mut expected = Vec::new();
    for n in 0..20 {
        let now = &shown(&mut browser)[0].clone();
        let (typed, becomes): (&[&str], _) = match n % 5 {
            1 => (&["r", "1"], "rejected"),
            3 => (&["h", "1"], "held"),
            _ => (&["a"], "approved"),
        };
        for key in typed {
            browser.key(key);
        }
        keys += typed.len();
        done += 1;
        expected.push((now.clone(), becomes));
        // The next is there at once; what was decided on is not, or says what it is.
        let gone = format!(
            "!{LINES}.some(e => e.checkVisibility() && e.textContent.includes('Story number {now}') && !/held/i.test(e.textContent))"
        );
        browser.until(&gone);
        if becomes == "held" && shown(&mut browser)[0] == *now {
            browser.key("j");
        }
    }
    site.service
        .until("all decisions", BOUND, || decided(&site) == done);
    println!("20 items in {:?} by {keys} keys", started.elapsed());
    assert_eq!(browser.value(counts), json!(false), "they are no longer so");
    let open = site.number("SELECT count(*) FROM items WHERE status = 'pending'");
    assert_eq!(open, 0);
    let all: BTreeSet<&String> = expected.iter().map(|(story, _)| story).collect();
    assert_eq!(all.len(), 20, "one was decided twice: {expected:?}");
    for (story, becomes) in &expected {
        assert_eq!(status(&site, story), *becomes, "{story}");
        let (location, before) = (
            format!("{story}.md"),
            &files[story.parse::<usize>().unwrap()],
        );
        match *becomes {
            "approved" => {
                let written = || site.desk.read(&location) != *before;
                site.service.until("the file is written", BOUND, written);
                assert_published(before, &site.desk.read(&location));
            }
            _ => assert_eq!(site.desk.read(&location), *before, "{story}"),
        }
    }
    let rejected = site.number("SELECT count(*) FROM decisions WHERE kind = 'reject'");
    let alike = site.number("SELECT count(DISTINCT reason) FROM decisions WHERE kind = 'reject'");
    assert_eq!((rejected, alike), (4, 1));
}

#[test]
fn what_was_done_is_undone_by_a_key() {
    if !has_browser() {
        return;
    }
    let site = Site::open(stories(3));
    let mut browser = signed_in(&site, "ana@example.org");
    open(&mut browser, &site, "general");
    browser.key("a");
    site.service
        .until("the decision", BOUND, || decided(&site) == 1);
    let written = || site.desk.says("00.md", "published: true");
    site.service.until("the file is written", BOUND, written);
    browser.until(&format!(
        "!{LINES}.some(e => e.checkVisibility() && e.textContent.includes('Story number 00'))"
    ));
    browser.key("u");
    site.service
        .until("the undo", BOUND, || status(&site, "00") == "pending");
    let back = || site.desk.says("00.md", "published: false");
    site.service.until("the file is as it was", BOUND, back);
    browser.until(&format!(
        "{LINES}.some(e => e.checkVisibility() && e.textContent.includes('Story number 00'))"
    ));
}

#[test]
fn many_are_decided_at_once_and_taken_back_at_once() {
    if !has_browser() {
        return;
    }
    let site = Site::open(stories(6));
    let mut browser = signed_in(&site, "ana@example.org");
    open(&mut browser, &site, "general");
    for key in ["x", "j", "x", "j", "j", "x", "a"] {
        browser.key(key);
    }
    site.service
        .until("three decisions", BOUND, || decided(&site) == 3);
    for story in ["00", "01", "03"] {
        assert_eq!(status(&site, story), "approved");
        browser.until(&format!("!{LINES}.some(e => e.checkVisibility() && e.textContent.includes('Story number {story}'))"));
    }
    browser.key("u");
    let waits = || site.number("SELECT count(*) FROM items WHERE status = 'pending'") == 6;
    site.service.until("all wait again", BOUND, waits);
    for story in ["00", "01", "03"] {
        browser.until(&format!("{LINES}.some(e => e.checkVisibility() && e.textContent.includes('Story number {story}'))"));
    }
}

#[test]
fn two_who_decide_at_once_do_not_overwrite_each_other() {
    if !has_browser() {
        return;
    }
    let desk = stories(3).with_rules(
        "reviewers.yaml",
        "reviewers:
  - {name: Ana Example, email: ana@example.org, queues: all}
  - {name: Bo Example, email: bo@example.org, queues: all}
",
    );
    let site = Site::open(desk);
    let (mut ana, mut bo) = (
        signed_in(&site, "ana@example.org"),
        signed_in(&site, "bo@example.org"),
    );
    // What would tell him in time does not reach him.
    bo.tell("Network.enable", &json!({}));
    bo.tell(
        "Network.setBlockedURLs",
        &json!({"urls": ["*events*", "*live*", "*stream*"]}),
    );
    let item = format!("{}/items/{}", site.url(), site.desk.id_of("01.md"));
    open(&mut bo, &site, "general");
    open(&mut ana, &site, "general");
    ana.key("a");
    site.service.until("hers", BOUND, || decided(&site) == 1);
    bo.key("r");
    bo.key("1");
    bo.until("document.body.textContent.includes('moved on')");
    bo.until("document.body.textContent.includes('Ana Example') || document.body.textContent.includes('ana@example.org')");
    assert_eq!(site.decisions(), 1);
    assert_eq!(status(&site, "00"), "approved");
    // The same on the page of one item, without any script.
    for browser in [&mut ana, &mut bo] {
        browser.tell(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": true}),
        );
        browser.visit(&item);
    }
    ana.press("Approve");
    site.service.until("hers", BOUND, || decided(&site) == 2);
    bo.press("Approve");
    bo.until("document.body.textContent.includes('moved on')");
    bo.until("document.body.textContent.includes('approved')");
    assert_eq!(site.decisions(), 2);
}

#[test]
fn a_queue_that_is_open_shows_what_comes_and_what_goes() {
    if !has_browser() {
        return;
    }
    let site = Site::open(stories(3));
    let mut browser = signed_in(&site, "ana@example.org");
    open(&mut browser, &site, "general");
    browser.value("window.same = true");
    let story = site.desk.story("77.md").published(false);
    story.title("Story number 77").quality(1).write();
    browser.until("document.body.textContent.includes('Story number 77') || /1 story is new/.test(document.body.textContent)");
    let tag = site.desk.id_of("01.md").to_string();
    finish(beside(&site.desk, &["approve", &tag])).done();
    browser.until(&format!("!{LINES}.some(e => e.checkVisibility() && e.textContent.includes('Story number 01') && !/approved|decided/i.test(e.textContent))"));
    assert_eq!(browser.value("window.same"), true, "it was loaded again");
}

#[test]
fn all_is_done_without_scripts() {
    if !has_browser() {
        return;
    }
    let site = Site::open(stories(4));
    let mut browser = signed_in(&site, "ana@example.org");
    browser.tell(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.visit(&format!("{}/", site.url()));
    let follow = |browser: &mut Browser, words: &str| {
        let to = browser.value(&format!(
            "[...document.links].find(a => a.textContent.includes('{words}'))?.href"
        ));
        browser.visit(to.as_str().unwrap_or_else(|| panic!("no link {words}")));
    };
    follow(&mut browser, "general");
    follow(&mut browser, "Story number 00");
    browser.press("Approve");
    site.service
        .until("approved", BOUND, || status(&site, "00") == "approved");
    browser.visit(&format!(
        "{}/items/{}",
        site.url(),
        site.desk.id_of("01.md")
    ));
    browser.value("document.querySelector('input[name=reason]').checked = true; document.querySelector('input[name=reason]').closest('form').querySelector('[name=note]').value = 'as it is'");
    browser.press("Reject");
    site.service
        .until("rejected", BOUND, || status(&site, "01") == "rejected");
    browser.visit(&format!(
        "{}/items/{}",
        site.url(),
        site.desk.id_of("02.md")
    ));
    browser.press("Claim");
    let claimed =
        || site.number("SELECT count(*) FROM items WHERE claimed_by = 'ana@example.org'") == 1;
    site.service.until("claimed", BOUND, claimed);
    // Many at once, by boxes that are ticked.
    browser.visit(&format!("{}/queues/general", site.url()));
    let boxes = browser.value("(b => { b.forEach(b => b.checked = true); return b.length; })([...document.querySelectorAll('input[type=checkbox]')].filter(b => b.closest('[data-item]')))");
    assert_eq!(boxes, 2);
    browser.press("Approve");
    let approved = || site.number("SELECT count(*) FROM items WHERE status = 'approved'") == 3;
    site.service.until("both are approved", BOUND, approved);
}

#[test]
fn every_page_fits_a_phone_is_dark_in_the_dark_and_prints_no_forms() {
    if !has_browser() {
        return;
    }
    let site = Site::open(busy());
    let eve = console::Browser::sign_in(&site, "eve@example.org");
    let pages = pages_from(&eve, 2);
    let mut browser = holding(&site, &eve.cookie);
    let ground = "(c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126 * r + 0.7152 * g + 0.0722 * b; })(getComputedStyle(document.body).backgroundColor)";
    let mut wrong = Vec::new();
    let is = |wrong: &mut Vec<String>, browser: &mut Browser, what: &str, holds: &str| {
        if browser.value(holds) != true {
            wrong.push(what.to_owned());
        }
    };
    for path in &pages {
        browser.visit(&format!("{}{path}", site.url()));
        for width in [1600, 1024, 768, 375, 320] {
            browser.size(width, 800);
            let wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 && document.documentElement.scrollWidth > document.documentElement.clientWidth).map(e => e.outerHTML.slice(0, 80)).slice(0, 3)";
            let wide = browser.value(wide);
            if wide != json!([]) {
                wrong.push(format!("{path}: wider than {width}: {wide}"));
            }
        }
        browser.size(375, 800);
        // WCAG 2.2, 2.5.8: but for those within a sentence or a list of links.
        let small = "[...document.querySelectorAll('a, button, input, select, textarea, summary')].filter(e => e.checkVisibility() && e.type !== 'hidden' && !e.closest('p, li, td, th, dd, h1, h2, h3, .skip, label') && e.getBoundingClientRect().height < 24).map(e => e.outerHTML.slice(0, 120))";
        let small = browser.value(small);
        if small != json!([]) {
            wrong.push(format!("{path}: too small to hit: {small}"));
        }
        browser.scheme("", "light");
        is(
            &mut wrong,
            &mut browser,
            &format!("{path}: not light"),
            &format!("{ground} > 200"),
        );
        browser.scheme("", "dark");
        is(
            &mut wrong,
            &mut browser,
            &format!("{path}: not dark"),
            &format!("{ground} < 60"),
        );
        browser.scheme("print", "light");
        let printed = "[...document.querySelectorAll('button, input, select, textarea')].every(e => !e.checkVisibility())";
        is(
            &mut wrong,
            &mut browser,
            &format!("{path}: prints forms"),
            printed,
        );
        browser.scheme("", "light");
        let name = path
            .split('?')
            .next()
            .unwrap()
            .trim_matches('/')
            .replace('/', "-");
        if std::env::var_os("COPYDESK_PICTURES").is_some() && !path.contains('?') {
            browser.pictures(&format!("console-{name}"));
        }
    }
    println!("{} pages", pages.len());
    assert!(pages.len() >= 10, "{pages:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_item_is_printed_whole() {
    if !has_browser() {
        return;
    }
    let site = Site::open(busy());
    let mut browser = signed_in(&site, "eve@example.org");
    let id = site.desk.id_of("2026/story-20.md");
    browser.visit(&format!("{}/items/{id}", site.url()));
    browser.scheme("print", "light");
    for words in [
        "A story about story 20",
        "What there is to know about story 20",
        "Score",
    ] {
        let seen = format!(
            "document.body.innerText.toLowerCase().includes({})",
            json!(words.to_lowercase())
        );
        assert_eq!(browser.value(&seen), true, "{words} is not printed");
    }
    let pdf = browser.tell("Page.printToPDF", &json!({"preferCSSPageSize": true}));
    assert!(pdf["data"].as_str().unwrap().starts_with("JVBERi0"));
}
