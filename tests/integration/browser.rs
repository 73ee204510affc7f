//! The pages as a real browser shows them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use copydesk::token::Purpose;
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::chromium::{Browser, has_browser};
use crate::desk::{Desk, Mail, assert_published};
use crate::http::{REVIEWERS, Site};
use crate::service::BOUND;
use crate::smtp::Running;

/// A desk whose public URL is no secure context, as in an office without HTTPS: browsers send least
/// then.
fn office(desk: Desk) -> (Site, String) {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://desk.test:{}", free.port());
    let settings = [
        ("COPYDESK_LISTEN", free.to_string()),
        ("COPYDESK_PUBLIC_URL", url.clone()),
    ];
    let settings = settings
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    (Site::open_as(desk, &settings), url)
}

fn story(desk: &Desk) {
    desk.story("2026/rekognition.md")
        .published(false)
        .title("City stops police use of face recognition after a year of protest")
        .excerpt("The council voted 9 to 2 to end a pilot that had run in three districts since spring.")
        .quality(60)
        .heat(58)
        .topics(&["AI", "Policing"])
        .line("featuredImage: https://pictures.example.org/a.jpg")
        .line("related:\n  - title: What the hearings said\n    provider: {name: Weekly Example, domain: weekly.example.net}\n  - title: The vendor answers")
        .body("The council voted on Monday evening.\n\nOfficers had used the system in 412 cases; in 37 of them the match was wrong.\n\nThe vendor says that it will appeal.\n")
        .write();
}

#[test]
fn a_browser_that_follows_everything_it_sees_changes_nothing() {
    if !has_browser() {
        return;
    }
    let desk = Desk::new()
        .with_rules("reviewers.yaml", REVIEWERS)
        .with_rules("desk.yaml", "desk: {pictures: show}\n");
    story(&desk);
    let (site, url) = office(desk);
    let link = |purpose| format!("{url}{}", site.link_for(purpose, &url));
    let mut to_visit: Vec<String> = Purpose::ALL.map(link).into();
    let settings = link(Purpose::Settings);
    to_visit.push(settings.replace("/mails/", "/unsubscribe/"));
    to_visit.push(format!("{url}/d/x"));
    let before = site.all();
    let mut browser = Browser::open();
    let mut visited = Vec::new();
    while let Some(next) = to_visit.pop() {
        if visited.contains(&next) || !next.starts_with(&url) {
            continue;
        }
        browser.visit(&next);
        let styled = "getComputedStyle(document.querySelector('main')).maxWidth !== 'none'";
        assert_eq!(browser.value(styled), true, "{next} has no style");
        let links = browser.value("[...document.querySelectorAll('[href]')].map(a => a.href)");
        to_visit.extend(
            links
                .as_array()
                .unwrap()
                .iter()
                .map(|link| link.as_str().unwrap().to_owned())
                .filter(|link| !link.ends_with(".css")),
        );
        visited.push(next);
    }
    for (name, path) in [
        ("open", link(Purpose::Open)),
        ("approve", link(Purpose::Approve)),
        ("mails", settings.clone()),
        ("unsubscribe", settings.replace("/mails/", "/unsubscribe/")),
        ("refused", format!("{url}/d/x")),
    ] {
        browser.visit(&path);
        browser.pictures(name);
    }
    // Nothing is fetched from elsewhere in a test: this stands in for the story's picture.
    browser.tell("Page.setBypassCSP", &json!({"enabled": true}));
    browser.visit(&link(Purpose::Open));
    let svg = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='1600' height='900'><rect width='1600' height='900' fill='teal'/><circle cx='800' cy='450' r='300' fill='gold'/></svg>";
    let shown = format!("document.querySelector('img').src = {}", json!(svg));
    browser.value(&shown);
    browser.until("document.querySelector('img').naturalWidth === 1600");
    browser.pictures("picture");
    assert!(visited.len() >= 7, "{visited:?}");
    assert!(site.all() == before, "something was changed");
}

#[test]
fn buttons_work_in_a_browser_without_https() {
    if !has_browser() {
        return;
    }
    let desk = Desk::new().with_rules("reviewers.yaml", REVIEWERS);
    story(&desk);
    let (site, url) = office(desk);
    let (open, settings) = (
        format!("{url}{}", site.link_for(Purpose::Open, &url)),
        format!("{url}{}", site.link_for(Purpose::Settings, &url)),
    );
    let mut browser = Browser::open();
    browser.visit(&open);
    browser.press("Approve");
    browser.until("document.querySelector('h1')?.textContent === 'Approved'");
    browser.pictures("done");
    site.service.until("the file is written", BOUND, || {
        site.desk.says("2026/rekognition.md", "published: true")
    });
    browser.visit(&open);
    browser
        .until("document.querySelector('h2')?.textContent === 'It has moved on since your mail'");
    browser.pictures("late");
    browser.visit(&settings);
    browser.press("Stop my mails");
    browser.until("document.querySelector('.said')?.textContent === 'Your mails are stopped.'");
    browser.pictures("stopped");
    browser.press("Start my mails again");
    browser
        .until("document.querySelector('.said')?.textContent === 'Your mails are started again.'");
    assert_eq!(site.decisions(), 1);
}

/// What is below a folder, by path.
fn all_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_below(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            files.push((path, bytes));
        }
    }
    files
}

#[test]
fn a_demo_is_decided_with_nothing_but_a_mail_and_a_browser() {
    if !has_browser() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let said = temporary.path().join("said");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_copydesk"));
    demo.arg("demo")
        .current_dir(temporary.path())
        .env("TMPDIR", temporary.path())
        .env_remove("COPYDESK_RULES")
        .env_remove("COPYDESK_STATE")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&said).unwrap());
    let mut demo = Running::start(&mut demo);
    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !condition() {
            // A mail comes at the full minute.
            let said = || fs::read_to_string(&said).unwrap();
            assert!(started.elapsed() < 2 * BOUND, "not {what}: {}", said());
            thread::sleep(Duration::from_millis(50));
        }
    };
    let says = |words: &str| fs::read_to_string(&said).unwrap().contains(words);
    until("all stories are in", &|| says("All stories are in"));
    until("a mail is told of", &|| {
        says("or a link in it in a browser")
    });
    let desks = fs::read_dir(temporary.path()).unwrap();
    let mut desks = desks.map(|entry| entry.unwrap().path());
    let root = desks.find(|path| path.is_dir()).unwrap();
    // The first holds all that waited.
    let mails = all_below(&root.join("state/mail"));
    let mail = Mail::parse(&mails.iter().min().unwrap().1);

    let shown = temporary.path().join("mail.html");
    fs::write(&shown, &mail.html).unwrap();
    let mut browser = Browser::open();
    browser.visit(&format!("file://{}", shown.display()));
    browser.pictures("demo-mail");
    // The first story, as one would.
    browser.value("[...document.links].find(a => a.textContent.trim() === 'Approve').click()");
    browser.until("location.protocol === 'http:' && document.readyState === 'complete'");
    browser.pictures("demo-story");
    let title = browser.value("document.querySelector('h1').textContent");
    let title = title.as_str().unwrap();
    let before = all_below(&root.join("content"));
    let (path, story) = before
        .iter()
        .find(|(_, bytes)| String::from_utf8_lossy(bytes).contains(title))
        .unwrap();
    browser.press("Approve");
    browser.until("document.querySelector('h1')?.textContent === 'Approved'");
    browser.pictures("demo-done");
    until("the file is written", &|| fs::read(path).unwrap() != *story);
    assert_published(story, &fs::read(path).unwrap());
    until("it is told of", &|| {
        says("by reviewer@example.org") && says("says `published: true`")
    });
    let others = all_below(&root.join("content"));
    let changed = others.iter().filter(|file| !before.contains(file));
    assert_eq!(changed.count(), 1, "{title}");

    kill_process(demo.pid(), Signal::TERM).unwrap();
    demo.wait();
    assert!(says("Decided: 1 approved") && !root.exists());
}
