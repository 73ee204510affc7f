//! Chromium without a window, told what to do by its debugging port.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::BOUND;
use crate::smtp::found;

/// Whether there is a browser.
pub(crate) fn has_browser() -> bool {
    found("chromium", "chromium", &["--version"])
}

/// One page of a browser.
pub(crate) struct Browser {
    child: Child,
    socket: TcpStream,
    asked: u64,
    /// What the browser told of without being asked.
    events: Vec<Value>,
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
        Self::open_where("MAP desk.test 127.0.0.1")
    }

    /// A browser that finds hosts by these rules; all frames of a page are in one process, so that
    /// what happens in any of them is told of.
    pub(crate) fn open_where(hosts: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--host-resolver-rules={hosts}"))
            .args([
                "--disable-dev-shm-usage",
                "--disable-site-isolation-trials",
                "--disable-features=IsolateSandboxedIframes,IsolateOrigins",
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
            events: Vec::new(),
            _profile: profile,
        }
    }

    /// Sends a command of the debugging protocol and returns what came of it.
    pub(crate) fn tell(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn answer(&mut self, method: &str, params: &Value) -> Value {
        let asked = self.send(method, params);
        loop {
            let answer: Value = serde_json::from_slice(&self.frame()).unwrap();
            if answer["id"] == asked {
                return answer;
            }
            if answer["method"] == "Page.javascriptDialogOpening" {
                // A page stands still until its dialog is closed.
                self.send("Page.handleJavaScriptDialog", &json!({"accept": false}));
            }
            if answer["id"].is_null() {
                self.events.push(answer);
            }
        }
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.asked += 1;
        let text = json!({"id": self.asked, "method": method, "params": params}).to_string();
        // A frame of text; its mask is zero, and changes nothing.
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length) => {
                frame.push(0xfe);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0xff);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.socket.write_all(&frame).unwrap();
        self.asked
    }

    /// What was told of under this name since it was asked for last.
    pub(crate) fn told(&mut self, method: &str) -> Vec<Value> {
        // Whatever happened before this answer has been told of.
        self.value("0");
        let (told, other) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|event| event["method"] == method);
        self.events = other;
        told
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

    /// What an expression is in the page; a promise is waited for. A page that goes away meanwhile is
    /// followed.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        loop {
            let answer = self.answer("Runtime.evaluate", &params);
            let error = answer["error"]["message"].as_str();
            match error {
                None => return answer["result"]["result"]["value"].clone(),
                Some("Inspected target navigated or closed") => {}
                Some(error) => panic!("{expression}: {error}"),
            }
        }
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

    /// Types one key, as on a keyboard.
    pub(crate) fn key(&mut self, key: &str) {
        let (text, code, number) = match key {
            "Enter" => ("\r", "Enter".to_owned(), 13),
            "Escape" => ("", "Escape".to_owned(), 27),
            "Tab" => ("", "Tab".to_owned(), 9),
            _ => {
                let letter = key.bytes().next().unwrap().to_ascii_uppercase();
                let kind = if letter.is_ascii_digit() {
                    "Digit"
                } else {
                    "Key"
                };
                (key, format!("{kind}{}", char::from(letter)), letter)
            }
        };
        let mut params = json!({"key": key, "code": code, "windowsVirtualKeyCode": number});
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            params["type"] = kind.into();
            params["text"] = text.into();
            self.tell("Input.dispatchKeyEvent", &params);
        }
    }

    /// Holds a session of a desk, as after signing in.
    pub(crate) fn hold(&mut self, url: &str, cookie: &str) {
        let (name, value) = cookie.split_once('=').unwrap();
        let cookie = json!({"url": url, "name": name, "value": value, "httpOnly": true});
        self.tell("Network.setCookie", &cookie);
    }

    pub(crate) fn scheme(&mut self, media: &str, scheme: &str) {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({"media": media, "features": feature});
        self.tell("Emulation.setEmulatedMedia", &media);
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.tell("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Where `COPYDESK_PICTURES` names a folder: pictures of the page, wide and narrow, light and dark,
    /// and on paper.
    pub(crate) fn pictures(&mut self, name: &str) {
        for (width, height) in [(1280, 900), (390, 844)] {
            self.size(width, height);
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
                self.scheme(media, scheme);
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
