//! The simulated mail server: on the loopback, in the seed's hands, and it remembers what it took.
//!
//! It speaks only when it is asked, and hangs rather than answers late, so that nothing depends on
//! which of two programs is faster.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::crash::Random;

/// Nothing that goes well takes this long.
const BOUND: Duration = Duration::from_secs(60);

/// What became of one mail, by its Message-ID.
#[derive(Debug, Default)]
pub(super) struct Letter {
    pub(super) to: String,
    /// Each copy that was taken.
    pub(super) copies: Vec<String>,
    /// How often its text was asked for.
    pub(super) begun: usize,
    /// Whether a copy was answered with 2xx.
    pub(super) answered: bool,
    /// How often the desk cannot know whether it was taken.
    pub(super) uncertain: usize,
}

impl Letter {
    /// What it tells of, as [`tells_of`] says.
    pub(super) fn told(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let text = self.copies.first().map(String::as_str).unwrap_or_default();
        tells_of(text)
    }
}

/// What a mail tells of, as `7@1`: all of it, and that which it calls new or changed.
pub(crate) fn tells_of(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut news) = (BTreeSet::new(), BTreeSet::new());
    let mut is_news = false;
    let text = text.lines().take_while(|line| !line.contains("text/html"));
    for line in text {
        if line.starts_with("New for you (") || line.starts_with("Changed since you looked (") {
            is_news = true;
        } else if line.starts_with("Overdue (") || line.starts_with("Still waiting") {
            is_news = false;
        }
        let name = line.trim_start().split(' ').next();
        let name = name.unwrap_or_default();
        let is_name = name.split_once('@').is_some_and(|(id, version)| {
            id.parse::<i64>().is_ok() && version.parse::<i64>().is_ok()
        });
        if is_name {
            all.insert(name.to_owned());
            if is_news {
                news.insert(name.to_owned());
            }
        }
    }
    (all, news)
}

/// The server as one seed sees it.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) random: Random,
    /// How many of a thousand answers are not the good one.
    pub(super) mood: u64,
    /// Whether no text is answered before the client has gone away.
    pub(super) late: bool,
    pub(super) letters: BTreeMap<String, Letter>,
    /// What was said since the world last asked.
    pub(super) said: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    recipient: String,
    /// How often the connection was cut when a text was about to come, by recipient: a desk that could
    /// not note that takes the text for sent, and its answer for lost.
    pub(super) cut: BTreeMap<String, usize>,
    /// Whether a connection is ended unheard.
    deaf: bool,
}

/// What the server does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Cut,
    Hang,
}

impl Post {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            mood: 0,
            late: false,
            letters: BTreeMap::new(),
            said: Vec::new(),
            counts: BTreeMap::new(),
            recipient: String::new(),
            cut: BTreeMap::new(),
            deaf: false,
        }
    }

    /// How often mails were refused for good.
    pub(super) fn refusals(&self) -> u64 {
        self.counts.get("5xx").copied().unwrap_or_default()
    }

    /// What is answered to a command, or, at `text`, to a whole mail.
    fn act(&mut self, command: &str, text: &str) -> (String, Then) {
        let step = command.split(' ').next().unwrap_or_default();
        if step == "RCPT" {
            let address = command.split(['<', '>']).nth(1).unwrap_or_default();
            address.clone_into(&mut self.recipient);
        }
        let good = match step {
            "greeting" => "220 mail.example.org",
            "EHLO" => "250-mail.example.org\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "AUTH" => "235 2.7.0 welcome",
            "DATA" => "354 go ahead",
            "QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 fine",
        };
        let bad: &[&str] = match step {
            "greeting" => &["cut", "421 4.3.2 closing", "554 5.3.2 no mail here"],
            "EHLO" => &["cut", "451 4.3.0 later"],
            "AUTH" => &["cut", "535 5.7.8 wrong", "454 4.7.0 later"],
            "MAIL" => &[
                "cut",
                "451 4.3.0 later",
                "550 5.7.1 no",
                "421 4.3.2 closing",
                "354 odd",
            ],
            "RCPT" => &[
                "cut",
                "450 4.7.1 later",
                "550 5.1.1 nobody",
                "550 5.1.1 nobody",
                "421 4.3.2 closing",
            ],
            "DATA" => &[
                "cut",
                "451 4.3.0 later",
                "554 5.7.1 no",
                "354 go\r\n421 4.3.2 closing",
                "354 go\r\n451 4.3.0 later",
            ],
            "text" => &[
                "taken, cut",
                "lost, cut",
                "452 4.3.1 full",
                "554 5.7.1 spam",
                "550 5.4.5 Daily limit",
                "354 odd",
            ],
            _ => &[],
        };
        let is_bad = !bad.is_empty() && self.random.next(1_000) < self.mood;
        let says = if is_bad {
            bad[usize::try_from(self.random.next(bad.len() as u64)).unwrap_or_default()]
        } else if step == "text" && self.late {
            "taken, late"
        } else {
            good
        };
        let kind = match (step, says) {
            ("text", "taken, late") => "answered late",
            ("text", "taken, cut" | "lost, cut") => "cut after the dot",
            (_, "cut") => "cut before the dot",
            (_, said) if said.contains("421 ") => "421",
            (_, said) if said.starts_with("535") => "535",
            (_, said) if said.starts_with("354 go\r\n") => "cut before the dot",
            (_, "354 odd") => "senseless",
            ("greeting" | "AUTH", said) if said.starts_with('5') => "4xx",
            (_, said) if said.contains("5.4.5") || said.starts_with('4') => "4xx",
            (_, said) if said.starts_with('5') => "5xx",
            ("text", _) => "2xx",
            _ => "",
        };
        if !kind.is_empty() {
            *self.counts.entry(kind).or_default() += 1;
        }
        if step == "DATA" || says != good || step == "text" {
            self.said.push(format!(
                "{step} {}: {}",
                self.recipient,
                says.replace("\r\n", " | ")
            ));
        }
        if step == "DATA" && says != good {
            *self.cut.entry(self.recipient.clone()).or_default() += 1;
        }
        if step == "text" {
            let header = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().to_owned()
            };
            let letter = self.letters.entry(header("Message-ID: ")).or_default();
            letter.to.clone_from(&self.recipient);
            letter.begun += 1;
            if matches!(kind, "answered late" | "cut after the dot" | "senseless") {
                letter.uncertain += 1;
            }
            letter.answered |= kind == "2xx";
            if kind == "2xx" || says.starts_with("taken") {
                letter.copies.push(text.to_owned());
            }
        }
        match says {
            "cut" | "taken, cut" | "lost, cut" => (String::new(), Then::Cut),
            "taken, late" => (String::new(), Then::Hang),
            // Both in one packet: the client hears the second before it sends a text.
            _ if says.starts_with("354 go\r\n") => (says.to_owned(), Then::Hang),
            _ => (says.to_owned(), Then::GoOn),
        }
    }
}

/// Answers on a port of its own for as long as the tests run.
pub(super) fn serve() -> (u16, Arc<Mutex<Post>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let post = Arc::new(Mutex::new(Post::new(0)));
    let shared = Arc::clone(&post);
    thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.lock().unwrap().deaf {
                continue;
            }
            // A client that goes away ends its connection, not the server.
            let _ = talk(&stream.unwrap(), &shared);
        }
    });
    (port, post)
}

/// Waits until the server has heard all that was said to it by a client that is gone. It hears one
/// after the other, and this comes last.
pub(super) fn hear_out(port: u16, post: &Mutex<Post>) {
    post.lock().unwrap().deaf = true;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    post.lock().unwrap().deaf = false;
}

fn talk(mut stream: &TcpStream, post: &Mutex<Post>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let (mut command, mut text) = ("greeting".to_owned(), String::new());
    loop {
        let (says, then) = post.lock().unwrap().act(&command, &text);
        if !says.is_empty() {
            stream.write_all(format!("{says}\r\n").as_bytes())?;
        }
        match then {
            Then::GoOn => {}
            Then::Cut => return Ok(()),
            Then::Hang => {
                lines.by_ref().take_while(Result::is_ok).for_each(drop);
                return Ok(());
            }
        }
        if command == "DATA" && says.starts_with("354") {
            text.clear();
            loop {
                match lines.next().transpose()? {
                    None => return Ok(()),
                    Some(line) if line == "." => break,
                    Some(line) => text += &format!("{}\n", line.strip_prefix('.').unwrap_or(&line)),
                }
            }
            "text".clone_into(&mut command);
            continue;
        }
        let Some(line) = lines.next().transpose()? else {
            return Ok(());
        };
        command = line;
    }
}
