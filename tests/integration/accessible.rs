//! Every page as people with a screen reader, a keyboard, weak eyes or a phone have it: looked at by
//! axe-core in a real browser, light and dark.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use copydesk::token::Purpose;
use serde_json::{Value, json};

use crate::chromium::{Browser, has_browser};
use crate::console;
use crate::desk::Desk;
use crate::http::Site;
use crate::smtp::found;

/// The script of axe-core: of the folder named by `COPYDESK_AXE`, or of the Python package that
/// carries it.
static AXE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    if let Some(file) = std::env::var_os("COPYDESK_AXE").map(PathBuf::from) {
        return Some(file);
    }
    let program = "import importlib.util as u; print(u.find_spec('axe_playwright_python').submodule_search_locations[0])";
    let run = Command::new("python3")
        .args(["-c", program])
        .output()
        .ok()?;
    let folder = String::from_utf8(run.stdout).ok()?;
    let file = PathBuf::from(folder.trim()).join("axe.min.js");
    file.is_file().then_some(file)
});

fn axe() -> Option<String> {
    let file = AXE.clone().unwrap_or_default();
    let file = file.to_str().unwrap();
    let is_there = has_browser() && found("axe-core", "test", &["-s", file]);
    is_there.then(|| std::fs::read_to_string(file).unwrap())
}

/// What axe-core has against the page as it is shown now.
fn violations(browser: &mut Browser, axe: &str) -> Vec<String> {
    if browser.value("typeof axe") != "object" {
        browser.tell("Runtime.evaluate", &json!({"expression": axe}));
    }
    let run = "axe.run(document, {iframes: false, resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.html.slice(0, 200) + ' ' + n.failureSummary)))";
    let found = browser.value(run);
    let found = found
        .as_array()
        .unwrap_or_else(|| panic!("axe did not run: {found}"));
    found
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect()
}

/// A page that fails, so that this can.
#[test]
fn what_is_wrong_is_noticed() {
    let Some(axe) = axe() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("a.html");
    let html = "<!doctype html><title>x</title><p style='color:#ccc;background:#fff'>pale</p><img src=x><input>";
    std::fs::write(&page, html).unwrap();
    let mut browser = Browser::open();
    browser.visit(&format!("file://{}", page.display()));
    let found = violations(&mut browser, &axe).join("\n");
    for rule in ["color-contrast", "image-alt", "label", "html-has-lang"] {
        assert!(found.contains(rule), "{found}");
    }
}

/// A desk on which every page has something to show.
pub(crate) fn busy() -> Desk {
    let desk = Desk::new().with_rules(
        "reviewers.yaml",
        "reviewers:
  - {name: Ana Example, email: ana@example.org, queues: all, timezone: Europe/Lisbon}
  - {name: Bo Example, email: bo@example.org, queues: [ai-desk]}
  - {name: Eve Example, email: eve@example.org, role: editor, queues: all}
",
    );
    // By the clock of the service, or all is too old to be read.
    desk.at(&jiff::Timestamp::now().to_string());
    for n in 0..70 {
        let story = desk.story(&format!("2026/story-{n}.md")).published(false);
        let story = story.quality(10 + n).topics(if n % 3 == 0 {
            &["AI", "Policing"]
        } else {
            &["Health"]
        });
        let story = story.body("# A heading\n\nThe council voted on Monday evening, see [the minutes](https://council.example.net/minutes).\n\n> A quote\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode that is long enough to be wider than a phone, if nobody takes care that it is not, which is what this is for\n```\n\n![A chart](https://pictures.example.org/chart.png)\n\n<iframe src=\"https://video.example.net/1\"></iframe>\n");
        let story = story.line("related:\n  - title: What the hearings said\n    provider: {name: Weekly Example, domain: weekly.example.net}\n  - title: The vendor answers");
        story
            .line("featuredImage: https://pictures.example.org/a.jpg")
            .write();
    }
    desk.story("2026/AVeryLongWordThatNobodyHyphenates-and-goes-on-for-the-width-of-more-than-one-phone.md")
        .published(false)
        .title("Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft https://www.example.org/a/very/long/address/without/any/place/to/break")
        .write();
    desk.write("broken.md", "---\ntitle: \"never ended\n---\n");
    desk.scan();
    let ids: Vec<String> = (1..=12).map(|id| id.to_string()).collect();
    desk.run(
        &[
            &["approve"],
            &ids[..4].iter().map(String::as_str).collect::<Vec<_>>()[..],
        ]
        .concat(),
    )
    .done();
    desk.run(&[
        "reject",
        &ids[4],
        &ids[5],
        "--reason",
        "quality",
        "--note",
        "Twice the same",
    ])
    .done();
    desk.run(&["hold", &ids[6], &ids[7]]).done();
    desk.run(&["reopen", &ids[0]]).done();
    desk.replace(
        "2026/story-9.md",
        "The council voted",
        "The council did not vote",
    );
    desk.scan();
    desk
}

/// Every page that leads on from the first: of those that differ in a number, or in what is asked
/// for behind `?`, so many.
pub(crate) fn pages_from(browser: &console::Browser<'_>, alike: usize) -> Vec<String> {
    let shape = |path: &str| {
        let path = path.split('?').next().unwrap();
        path.split('/')
            .map(|part| match part.parse::<i64>() {
                Ok(_) => "N",
                Err(_) => part,
            })
            .collect::<Vec<_>>()
            .join("/")
    };
    let mut pages: Vec<String> = vec!["/".into()];
    let mut at = 0;
    while at < pages.len() {
        let page = browser.get(&pages[at]);
        assert_eq!(page.status, 200, "{}", pages[at]);
        at += 1;
        for link in page.body.split("href=\"/").skip(1) {
            let link = link.split(['"', '#']).next().unwrap();
            let link = format!("/{}", link.replace("&amp;", "&").replace("&#38;", "&"));
            let path = link.split('?').next().unwrap();
            let is_file = path.rsplit('/').next().unwrap().contains('.');
            let is_page = !is_file && !path.starts_with("/api/") && !link.starts_with("//");
            let likes = pages
                .iter()
                .filter(|page| shape(page) == shape(path))
                .count();
            if is_page && likes < alike && !pages.contains(&link) {
                pages.push(link);
            }
        }
        assert!(pages.len() < 1_000, "{pages:#?}");
    }
    pages
}

#[test]
fn no_page_has_anything_that_axe_is_against() {
    let Some(axe) = axe() else { return };
    let site = Site::open(busy());
    let eve = console::Browser::sign_in(&site, "eve@example.org");
    let mut pages = pages_from(&eve, 4);
    // Those that nothing in the console leads to.
    for purpose in [Purpose::Open, Purpose::Settings] {
        pages.push(site.link_for(purpose, &site.url()));
    }
    pages.extend(["/nowhere", "/d/x", "/items/999999"].map(str::to_owned));
    let mut browser = Browser::open();
    // Scripts that are looked at from outside do not mind the policy of the pages.
    browser.tell("Page.setBypassCSP", &json!({"enabled": true}));
    let mut wrong = Vec::new();
    let mut look = |browser: &mut Browser, path: &str| {
        for (width, height, scheme) in [
            (1280, 900, "light"),
            (1280, 900, "dark"),
            (375, 812, "light"),
        ] {
            browser.size(width, height);
            browser.scheme("", scheme);
            // A colour that is on its way from one to the other is neither.
            browser.until("document.getAnimations().length === 0");
            let found = violations(browser, &axe).into_iter();
            wrong.extend(found.map(|it| format!("{path} {width} {scheme} {it}")));
            let fits = browser.value("document.documentElement.scrollWidth <= innerWidth");
            if fits == Value::Bool(false) {
                wrong.push(format!("{path}: wider than {width}"));
            }
        }
    };
    browser.visit(&format!("{}/sign-in", site.url()));
    look(&mut browser, "/sign-in");
    browser.hold(&site.url(), &eve.cookie);
    for path in &pages {
        browser.visit(&format!("{}{path}", site.url()));
        look(&mut browser, path);
    }
    // The list of keys is a page over the page.
    browser.visit(&format!("{}/queues/general", site.url()));
    browser.key("?");
    look(&mut browser, "the list of keys");
    println!("{} pages, three times each: {pages:#?}", pages.len() + 2);
    assert!(wrong.is_empty(), "{} faults: {wrong:#?}", wrong.len());
}
