//! Content that wants to be more than text, in every field that a page shows: nothing of it runs, and
//! nothing of it is fetched.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::accessible::pages_from;
use crate::chromium::{Browser, has_browser};
use crate::console;
use crate::desk::Desk;
use crate::http::Site;
use crate::service::rounds;
use crate::vectors::vectors;

const EDITOR: &str = "reviewers:
  - {name: '<img src=x onerror=xss(0)>', email: eve@example.org, role: editor, queues: all}
";

/// The text as one part of a path.
fn part(vector: &str) -> String {
    let text = vector.replace('/', "\u{2215}").replace(['\n', '\0'], " ");
    text.chars().take(60).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A desk with a story for each vector, which is in every field of it; with decisions whose notes hold
/// them, with rules that give them as reasons, and with files that cannot be read.
fn infested(vectors: &[String]) -> Desk {
    let mut rules = "rules:\n".to_owned();
    for (n, vector) in vectors.iter().enumerate() {
        let why = quoted(&vector.replace('\n', " "));
        writeln!(
            rules,
            "  - {{id: r{n}, axis: topic, when: 'number == {n}', points: 1, why: {why}}}"
        )
        .unwrap();
    }
    let reasons: Vec<String> = vectors.iter().step_by(50).map(|it| quoted(it)).collect();
    let reasons = reasons.iter().enumerate();
    let reasons: Vec<String> = reasons.map(|(n, text)| format!("r{n}: {text}")).collect();
    let desk = Desk::new()
        .with_source("types: {", "types: {number: number, ")
        .with_rules("reviewers.yaml", EDITOR)
        .with_rules("vectors.yaml", &rules)
        .with_rules(
            "desk.yaml",
            &format!(
                "desk: {{pictures: never, reject_reasons: {{{}}}}}\n",
                reasons.join(", ")
            ),
        );
    for (n, vector) in vectors.iter().enumerate() {
        let it = quoted(vector);
        let path = format!("{n}/{} {n}.md", part(vector));
        let mut file = format!("---\nnumber: {n}\npublished: false\nquality: 10\nheat: {it}\n");
        for key in [
            "title",
            "excerpt",
            "author",
            "category",
            "type",
            "featuredImage",
            "featuredContent",
            "permalink",
        ] {
            writeln!(file, "{key}: {it}").unwrap();
        }
        // An address of its own, or each third would be one story with another.
        let address = format!("https://evil.test/{n}?{vector}");
        let address = match n % 3 {
            0 => quoted(&address),
            1 => it.clone(),
            _ => quoted(&format!("{vector}#{n}")),
        };
        write!(
            file,
            "originalUrl: {address}
provider: {{name: {it}, domain: {it}, url: {it}, images: [{{url: {it}}}]}}
topics: [{it}, {it}]
images: [{{url: {it}, title: {it}, width: {it}}}]
related: [{{title: {it}, webUrl: {it}, url: {it}, provider: {{name: {it}, domain: {it}}}}}]
levels: [{it}]
ratings: {{value: {it}, {it}: 1}}
{it}: {it}
secured: {it}
---
{vector}

A paragraph, and then {vector}

> {vector}

1. {vector}

# {vector}
"
        )
        .unwrap();
        desk.write(path, file);
        if n % 10 == 0 {
            let broken = format!("---\ntitle: {it}\n{it}: [{it}\n{vector}: {{\n---\n");
            desk.write(format!("broken/{} {n}.md", part(vector)), broken);
        }
    }
    desk
}

/// Decides on some of them, with notes that hold all vectors.
fn decide(desk: &Desk, vectors: &[String]) {
    desk.at(&jiff::Timestamp::now().to_string());
    desk.scan();
    let ids = desk.queue();
    assert_eq!(ids.len(), vectors.len());
    for (item, vectors) in ids.iter().zip(vectors.chunks(8)) {
        let (id, note) = (item["id"].to_string(), vectors.join("\n"));
        let note: String = note.chars().take(1900).collect();
        let verb = match item["id"].as_i64().unwrap() % 3 {
            0 => &["hold"][..],
            1 => &["approve"],
            _ => &["reject", "--reason", "r1"],
        };
        // A formula is one only where a cell begins.
        let formula = vectors.iter().find(|vector| vector.starts_with('='));
        let note = format!("--note={}{note}", formula.map_or("", |_| "=1+1 "));
        desk.run(&[verb, &[&id, &note]].concat()).done();
    }
}

/// Listens here, and answers each that asks by itself: some connections are opened in good time, and
/// say nothing yet.
fn listen(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            thread::spawn(move || {
                let mut asked = [0; 4096];
                let read = stream.read(&mut asked).unwrap_or_default();
                let answer = answer(&String::from_utf8_lossy(&asked[..read]));
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

/// What would be asked of any host named `evil.test`.
struct Trap {
    port: u16,
    caught: Arc<Mutex<Vec<String>>>,
}

impl Trap {
    fn open() -> Self {
        let caught: Arc<Mutex<Vec<String>>> = Arc::default();
        let catch = Arc::clone(&caught);
        let port = listen(move |asked| {
            catch.lock().unwrap().push(asked.to_owned());
            String::new()
        });
        Self { port, caught }
    }

    /// A browser for which every such host is the trap, and which tells of all that it runs and asks.
    fn browser(&self) -> Browser {
        let hosts = format!(
            "MAP evil.test 127.0.0.1:{0}, MAP *.evil.test 127.0.0.1:{0}",
            self.port
        );
        let mut browser = Browser::open_where(&hosts);
        for domain in ["Page", "Runtime", "Network"] {
            browser.tell(&format!("{domain}.enable"), &json!({}));
        }
        // A binding takes nothing but text.
        browser.tell("Runtime.addBinding", &json!({"name": "ran"}));
        let xss = "window.xss = n => ran(String(n))";
        browser.tell(
            "Page.addScriptToEvaluateOnNewDocument",
            &json!({"source": xss}),
        );
        browser
    }

    fn caught(&self) -> usize {
        self.caught.lock().unwrap().len()
    }
}

/// What ran since this was asked last, and what was asked of others than this origin.
fn happened(browser: &mut Browser, url: &str) -> (Vec<Value>, Vec<String>) {
    let mut ran = browser.told("Runtime.bindingCalled");
    ran.extend(browser.told("Page.javascriptDialogOpening"));
    let asked = browser.told("Network.requestWillBeSent");
    let asked = asked.iter().map(|event| &event["params"]["request"]["url"]);
    let asked = asked.map(|url| url.as_str().unwrap().to_owned());
    // What stands in its own address is asked of nobody; date fields have their sign so.
    let left = asked.filter(|asked| !asked.starts_with(url) && !asked.starts_with("data:"));
    (ran, left.collect())
}

/// Every element and attribute that a page of ours may hold.
const ELEMENTS: &str = "a abbr acronym bdi bdo center data dfn hgroup rp rt rtc ruby strike tt wbr article aside b blockquote body br button caption circle code col colgroup datalist dd del desc details dialog div dl dt em fieldset figcaption figure footer form g h1 h2 h3 h4 h5 h6 head header hr html i iframe input ins kbd label legend li line link main mark meta nav ol optgroup option output p path polyline pre progress q rect s samp script search section select small span strong sub summary sup svg table tbody td text textarea tfoot th thead time title tr u ul var";
const ATTRIBUTES: &str = "char charoff headers hreflang summary accept action align alt autocomplete autofocus charset checked cite class colspan content cx cy d datetime dir disabled download dx dy enterkeyhint fill for form formaction height hidden href id inputmode label lang list loading max maxlength method min minlength multiple name novalidate open pattern placeholder points r referrerpolicy rel required role rows rowspan rx ry sandbox scope selected size spellcheck src start step stroke stroke-width tabindex text-anchor title transform type value viewbox width wrap x x1 x2 xmlns y y1 y2 accesskey preserveaspectratio vector-effect accept-charset high low optimum target";

/// Reads a page as we write it, which is stricter than how browsers read one: a `<` is the start of a
/// tag, every value is in double quotes. What is not allowed fails.
#[track_caller]
fn is_plain(html: &str, what: &str) {
    let elements: BTreeSet<&str> = ELEMENTS.split(' ').collect();
    let attributes: BTreeSet<&str> = ATTRIBUTES.split(' ').collect();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at..];
        let excerpt = || tag.chars().take(200).collect::<String>();
        rest = &tag[1..];
        if rest.to_ascii_lowercase().starts_with("!doctype html>") {
            continue;
        }
        let is_end = rest.starts_with('/');
        rest = rest.trim_start_matches('/');
        let ends = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let name = rest[..ends].to_ascii_lowercase();
        assert!(
            elements.contains(&*name),
            "{what}: element {name:?}: {}",
            excerpt()
        );
        rest = &rest[ends..];
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('>').or_else(|| rest.strip_prefix("/>")) {
                rest = after;
                break;
            }
            assert!(!is_end, "{what}: {}", excerpt());
            let ends = rest.find(|c: char| c == '=' || c == '>' || c == '/' || c.is_whitespace());
            let (name, after) = rest.split_at(ends.unwrap_or(rest.len()));
            let name = name.to_ascii_lowercase();
            let is_known = attributes.contains(&*name)
                || name.starts_with("data-")
                || name.starts_with("aria-");
            assert!(is_known, "{what}: attribute {name:?}: {}", excerpt());
            rest = after;
            let Some(value) = after.strip_prefix("=\"") else {
                assert!(!after.starts_with('='), "{what}: {}", excerpt());
                continue;
            };
            let (value, after) = value
                .split_once('"')
                .unwrap_or_else(|| panic!("{what}: {}", excerpt()));
            assert!(!value.contains('<'), "{what}: {}", excerpt());
            if ["href", "src", "action", "formaction", "cite"].contains(&&*name) {
                let is_ours = value.is_empty()
                    || value.starts_with(['/', '?', '#']) && !value.starts_with("//");
                let is_web = value.starts_with("https:")
                    || value.starts_with("http://")
                    || value.starts_with("mailto:");
                assert!(
                    is_ours || (["href", "cite"].contains(&&*name) && is_web),
                    "{what}: {name}={value:?}"
                );
            }
            rest = after;
        }
        if name == "script" && !is_end {
            assert!(
                rest.starts_with("</script>"),
                "{what}: a script inline: {}",
                excerpt()
            );
        }
    }
}

#[test]
fn what_is_not_plain_is_noticed() {
    is_plain(
        "<!doctype html><p class=\"a\">&lt;script&gt; <a href=\"/x\">x</a></p>",
        "plain",
    );
    let noticed = vectors().into_iter().filter(|vector| {
        let read = std::panic::catch_unwind(|| is_plain(vector, ""));
        read.is_err()
    });
    let of = vectors()
        .into_iter()
        .filter(|vector| vector.contains('<'))
        .count();
    assert!(noticed.count() * 10 >= of * 9);
}

#[test]
fn what_runs_and_what_is_asked_for_is_noticed() {
    if !has_browser() {
        return;
    }
    let trap = Trap::open();
    let mut browser = trap.browser();
    let markup: Vec<String> = vectors().into_iter().take(46).collect();
    let pages = markup.clone();
    // A desk that takes no care.
    let port = listen(move |asked| {
        let n = asked
            .split(['/', ' '])
            .nth(2)
            .and_then(|n| n.parse::<usize>().ok());
        let page = n
            .and_then(|n| pages.get(n))
            .map(String::as_str)
            .unwrap_or_default();
        let page = format!("<!doctype html><p>{page}</p>");
        let length = page.len();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
        )
    });
    let origin = format!("http://127.0.0.1:{port}");
    let (mut ran, mut left) = (0, 0);
    for (n, vector) in markup.iter().enumerate() {
        let url = format!("{origin}/{n}");
        if vector.contains("refresh") {
            // It goes away at once.
            browser.tell("Page.navigate", &json!({"url": url}));
        } else {
            browser.visit(&url);
        }
        let (runs, leaves) = happened(&mut browser, &origin);
        ran += usize::from(!runs.is_empty());
        left += usize::from(!leaves.is_empty());
    }
    println!(
        "of 46 pages {ran} ran something, {left} asked another host, {} reached it",
        trap.caught()
    );
    assert!(ran >= 15 && left >= 10 && trap.caught() >= 5);
}

/// The cells of a CSV file in which each is quoted.
fn cells(csv: &str) -> Vec<String> {
    let lines = csv.trim_end().split("\"\r\n\"");
    let cells = lines.flat_map(|line| line.split("\",\""));
    cells
        .map(|cell| cell.trim_matches('"').to_owned())
        .collect()
}

#[test]
fn nothing_of_five_hundred_vectors_runs_or_is_fetched_whatever_field_it_is_in() {
    let vectors = vectors();
    let desk = infested(&vectors);
    decide(&desk, &vectors);
    let site = Site::open(desk);
    let eve = console::Browser::sign_in(&site, "eve@example.org");
    let pages = pages_from(&eve, 30);
    let pages: Vec<String> = pages
        .into_iter()
        .filter(|path| !path.starts_with("/items/"))
        .collect();
    let known = pages.join("\n");
    for place in [
        "/queues/general",
        "/broken",
        "/history",
        "/rules",
        "/status",
    ] {
        assert!(known.contains(place), "nothing leads to {place}: {known}");
    }
    let stories = site.number("SELECT count(*) FROM items");
    assert_eq!(stories, i64::try_from(vectors.len()).unwrap());
    let stories = (1..=stories).map(|id| format!("/items/{id}"));
    let all: Vec<String> = pages.into_iter().chain(stories).collect();
    let csv = eve.get("/history.csv");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let cells = cells(&csv.body);
    assert!(cells.len() > 13 * 60, "{}", cells.len());
    assert!(
        cells.iter().any(|cell| cell.starts_with("'=")),
        "no formula is in it"
    );
    for cell in &cells {
        assert!(
            !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
            "a formula: {cell}"
        );
    }
    // The frame of a body is a page of its own.
    let mut frames = Vec::new();
    for path in &all {
        let page = eve.get(path);
        assert_eq!(page.status, 200, "{path}");
        is_plain(&page.body, path);
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("img-src http"), "{path}: {policy}");
        let inner = page.body.split("<iframe").skip(1);
        for frame in inner.map(|frame| frame.split('>').next().unwrap()) {
            let sandbox = frame.split("sandbox=\"").nth(1).expect("a sandbox");
            let sandbox = sandbox.split('"').next().unwrap();
            assert!(
                !sandbox.contains("scripts") && !sandbox.contains("same-origin"),
                "{frame}"
            );
            let src = frame.split("src=\"").nth(1).expect("a source");
            frames.push(src.split('"').next().unwrap().to_owned());
        }
    }
    println!(
        "{} pages and {} frames hold {} vectors",
        all.len(),
        frames.len(),
        vectors.len()
    );
    assert!(frames.len() >= vectors.len(), "{} bodies", frames.len());
    for path in &frames {
        let page = eve.get(path);
        assert_eq!(page.status, 200, "{path}");
        is_plain(&page.body, path);
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("script"),
            "{path}: {policy}"
        );
    }
    if !has_browser() {
        return;
    }
    let trap = Trap::open();
    let mut browser = trap.browser();
    browser.hold(&site.url(), &eve.cookie);
    let started = std::time::Instant::now();
    let mut asked = BTreeSet::new();
    // Each page, and some of the stories; all of them in the long form. A body is loaded with its item,
    // and by itself it is no other.
    let every = vectors
        .len()
        .div_ceil(rounds().unwrap_or(50).clamp(1, vectors.len()));
    let pages = all.len() - vectors.len();
    let stories = all[pages..].iter().step_by(every);
    let frames = frames.iter().step_by(10 * every);
    let seen: Vec<&String> = all[..pages].iter().chain(stories).chain(frames).collect();
    for path in &seen {
        browser.visit(&format!("{}{path}", site.url()));
        let (ran, left) = happened(&mut browser, &site.url());
        assert!(ran.is_empty(), "{path}: {ran:#?}");
        asked.extend(left);
        let led = browser.value("[...document.querySelectorAll('[href],[src],[action],[formaction]')].flatMap(e => ['href', 'src', 'action', 'formaction'].map(n => e.hasAttribute(n) ? new URL(e.getAttribute(n), location).protocol : '')).filter(p => !['', 'http:', 'https:', 'mailto:'].includes(p))");
        assert_eq!(led, json!([]), "{path}");
    }
    println!(
        "| markup in every field | {} vectors, {} pages and bodies in a browser, {:?} | scripts run 0, requests elsewhere 0 |",
        vectors.len(),
        seen.len(),
        started.elapsed()
    );
    assert_eq!(asked, BTreeSet::new());
    assert_eq!(*trap.caught.lock().unwrap(), [""; 0]);
}

#[test]
fn what_is_asked_for_is_shown_as_text() {
    let site =
        Site::open(crate::accessible::busy().with_rules("desk.yaml", "desk: {pictures: never}\n"));
    let eve = console::Browser::sign_in(&site, "eve@example.org");
    let names = [
        "text", "topic", "provider", "least", "most", "age", "only", "whose", "sort", "at", "from",
        "done", "next", "who", "verb", "reason", "queue", "since", "until", "rule", "pictures",
    ];
    let pages = [
        "/",
        "/queues/general",
        "/items/1",
        "/broken",
        "/history",
        "/rules",
        "/status",
        "/tokens",
    ];
    let mut asked = 0;
    for (n, vector) in vectors().iter().enumerate() {
        let value: String = url::form_urlencoded::byte_serialize(vector.as_bytes()).collect();
        let query: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
        // All at once, and one at a time, lest one that is refused hides another.
        let queries = [query.join("&"), query[n % query.len()].clone()];
        for query in queries {
            let path = format!("{}?{query}", pages[n % pages.len()]);
            let page = eve.get(&path);
            assert!(page.status < 500, "{}: {path}", page.status);
            if page
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/html"))
            {
                is_plain(&page.body, &path);
            }
            let to = page.header("location").unwrap_or("/");
            assert!(
                to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'),
                "{path}: {to}"
            );
            asked += 1;
        }
        let part: String =
            percent_encoding::utf8_percent_encode(vector, percent_encoding::NON_ALPHANUMERIC)
                .collect();
        for path in [
            format!("/queues/{part}"),
            format!("/items/{part}"),
            format!("/{part}"),
            format!("/sign-in/{part}"),
            format!("/sign-in?next={value}"),
        ] {
            let page = eve.get(&path);
            assert!((300..500).contains(&page.status), "{}: {path}", page.status);
            if page
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/html"))
            {
                is_plain(&page.body, &path);
            }
        }
        let stranger = site.get(&format!("/sign-in?next={value}"));
        is_plain(&stranger.is(200, &[]).body, "/sign-in");
    }
    println!("{asked} requests");
}
