//! The pages as a real browser shows them: Chromium without a window, told what to do by its
//! debugging port.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use copydesk::token::Purpose;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::desk::{Desk, Mail, assert_published};
use crate::http::{REVIEWERS, Site};
use crate::service::BOUND;
use crate::smtp::{Running, found};

/// One page of a browser.
pub(crate) struct Browser {
    child: Child,
    socket: TcpStream,
    asked: u64,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// A browser for which `desk.test` is this machine.
    pub(crate) fn open() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-port=0",
            ])
            .args([
                "--host-resolver-rules=MAP desk.test 127.0.0.1",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port_file = profile.path().join("DevToolsActivePort");
        let started = Instant::now();
        let (mut socket, path) = loop {
            let page = fs::read_to_string(&port_file)
                .ok()
                .and_then(|text| page(&text));
            if let Some(page) = page {
                break page;
            }
            assert!(started.elapsed() < BOUND, "the browser does not start");
            thread::sleep(Duration::from_millis(50));
        };
        let ask = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        socket.write_all(ask.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Self {
            child,
            socket,
            asked: 0,
            _profile: profile,
        }
    }

    /// Sends a command of the debugging protocol and returns what came of it.
    pub(crate) fn tell(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let text = json!({"id": self.asked, "method": method, "params": params}).to_string();
        // A frame of text; its mask is zero, and changes nothing.
        let length = u16::try_from(text.len()).unwrap();
        let mut frame = vec![0x81, 0xfe];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.socket.write_all(&frame).unwrap();
        loop {
            let answer: Value = serde_json::from_slice(&self.frame()).unwrap();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let mut head = [0; 2];
            self.socket.read_exact(&mut head).unwrap();
            let length = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                length => u64::from(length),
            };
            let start = whole.len();
            whole.resize(start + usize::try_from(length).unwrap(), 0);
            self.socket.read_exact(&mut whole[start..]).unwrap();
            if head[0] & 0x80 != 0 {
                return whole;
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.socket.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        self.tell("Runtime.evaluate", &params)["result"]["value"].clone()
    }

    pub(crate) fn until(&mut self, expression: &str) {
        let started = Instant::now();
        while self.value(expression) != true {
            assert!(
                started.elapsed() < BOUND,
                "not {expression}: {}",
                self.value("document.documentElement.outerHTML")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn visit(&mut self, url: &str) {
        self.tell("Page.navigate", &json!({"url": url}));
        let url = serde_json::to_string(url).unwrap();
        self.until(&format!(
            "location.href === {url} && document.readyState === 'complete'"
        ));
    }

    /// Presses the button with this word.
    pub(crate) fn press(&mut self, word: &str) {
        let pressed = self.value(&format!(
            "(() => {{ const b = [...document.querySelectorAll('button')].find(b => b.textContent === '{word}'); if (b) b.click(); return !!b; }})()"
        ));
        assert_eq!(pressed, true, "no button {word}");
    }

    /// Where `COPYDESK_PICTURES` names a folder: pictures of the page, wide and narrow, light and dark,
    /// and on paper.
    pub(crate) fn pictures(&mut self, name: &str) {
        for (width, height) in [(1280, 900), (390, 844)] {
            let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
            self.tell("Emulation.setDeviceMetricsOverride", &size);
            // Nothing is wider than the screen.
            let fits = self.value("document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(fits, true, "{name} is wider than {width}");
            let Some(folder) = std::env::var_os("COPYDESK_PICTURES").map(PathBuf::from) else {
                continue;
            };
            for (kind, media, scheme) in [
                ("light", "", "light"),
                ("dark", "", "dark"),
                ("print", "print", "light"),
            ] {
                let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
                self.tell(
                    "Emulation.setEmulatedMedia",
                    &json!({"media": media, "features": feature}),
                );
                let taken = self.tell(
                    "Page.captureScreenshot",
                    &json!({"captureBeyondViewport": true}),
                );
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(taken["data"].as_str().unwrap());
                fs::write(
                    folder.join(format!("{name}-{width}-{kind}.png")),
                    bytes.unwrap(),
                )
                .unwrap();
            }
            self.tell(
                "Emulation.setEmulatedMedia",
                &json!({"media": "", "features": []}),
            );
        }
    }
}

/// A connection to the first page of the browser whose port file holds this, and the page's path.
fn page(port_file: &str) -> Option<(TcpStream, String)> {
    let port: u16 = port_file.lines().next()?.parse().ok()?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .write_all(b"GET /json/list HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        .ok()?;
    // It keeps the connection, whatever it is told.
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut list = vec![0; length];
    reader.read_exact(&mut list).ok()?;
    let list: Value = serde_json::from_slice(&list).ok()?;
    let page = list
        .as_array()?
        .iter()
        .find(|target| target["type"] == "page")?;
    let url = page["webSocketDebuggerUrl"].as_str()?;
    let path = &url[url.find("/devtools")?..];
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(BOUND)).unwrap();
    Some((stream, path.to_owned()))
}

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
    if !found("chromium", "chromium", &["--version"]) {
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
    if !found("chromium", "chromium", &["--version"]) {
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
    if !found("chromium", "chromium", &["--version"]) {
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
