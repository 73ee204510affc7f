//! Sending by SMTP: one connection for a round of mails, one recipient to a mail.
//!
//! The commands are given one by one, so that it is known how far a mail came: until its final dot
//! was sent a lost connection means that it was not taken, after that it may have arrived. Only a
//! reply of the class 2xx to the dot is success. Whatever fails ends the connection, so that no late
//! reply is taken for the answer to the next mail.

mod reply;
mod wire;

pub use reply::Step;

use crate::config::Secret;
use crate::record::shown;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::{
    ClientId, Extension, MailBodyParameter, MailParameter, ServerInfo,
};
use lettre::transport::smtp::response::Response;
use percent_encoding::percent_decode_str;
use reply::{Meaning, meaning};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::{Host, Url};
use wire::{Fault, Wire};

/// What is kept of a server's answer.
const ANSWER: usize = 300;
/// How often a server may ask back while one logs in.
const CHALLENGES: usize = 5;

/// How long a server is waited for, and how much it is asked to do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a connection, for TLS and for each reply, whole.
    pub reply: Duration,
    /// To take the text of a mail.
    pub text: Duration,
    /// For the reply to a whole mail (RFC 5321, 4.5.3.2.6): whoever asks again earlier sends mails
    /// twice.
    pub after_text: Duration,
    /// To say goodbye.
    pub goodbye: Duration,
    /// So many mails go over one connection, and none when it is older than this: what Postfix does
    /// (`smtp_connection_reuse_time_limit`).
    pub mails: usize,
    /// The age that ends a connection.
    pub age: Duration,
    /// So many mails are tried within a minute: below the 30 of Microsoft 365.
    pub a_minute: i64,
    /// So many within a day: a quarter of what Google allows an account (2,000).
    pub a_day: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reply: Duration::from_secs(60),
            text: Duration::from_secs(180),
            after_text: Duration::from_secs(600),
            goodbye: Duration::from_secs(5),
            mails: 20,
            age: Duration::from_secs(300),
            a_minute: 20,
            a_day: 500,
        }
    }
}

/// How an SMTP server is reached.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    host: String,
    port: u16,
    security: Security,
    login: Option<(String, Secret)>,
    ca: Vec<CertificateDer<'static>>,
    /// How long it is waited for, and how much it is asked to do.
    pub limits: Limits,
}

/// How the connection is kept from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, or nothing is sent.
    Required,
    /// This machine: STARTTLS if it is offered.
    Loopback,
}

impl SmtpSettings {
    /// Reads a URL, and a file of certificates that are trusted besides the system's.
    ///
    /// # Errors
    /// What is wrong with them; the URL itself is never part of it.
    pub fn new(url: &Secret, ca: Option<&Path>) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "the URL of the SMTP server {why}; it reads smtps://USER:PASSWORD@HOST, or smtp://… for STARTTLS"
            )
        };
        let url = Url::parse(url.reveal()).map_err(|error| wrong(&format!("is none: {error}")))?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("names no host")),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(wrong(
                "goes on after the host (`/`, `?` and `#` in a password are written %2F, %3F and %23)",
            ));
        }
        let tls = match url.query() {
            None => false,
            Some("tls=required") => true,
            Some(_) => return Err(wrong("has an option that is not `tls=required`")),
        };
        let security = match url.scheme() {
            "smtps" => Security::Implicit,
            "smtp" if !tls && is_loopback(&host) => Security::Loopback,
            "smtp" => Security::Required,
            _ => return Err(wrong("starts with neither smtps:// nor smtp://")),
        };
        let decoded = |text: &str| -> Result<String, String> {
            let text = percent_decode_str(text).decode_utf8();
            Ok(text
                .map_err(|_| wrong("holds what is not UTF-8"))?
                .into_owned())
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => {
                Some((decoded(user)?, decoded(password)?.into()))
            }
            _ => return Err(wrong("has only one of user and password")),
        };
        let settings = Self {
            port: url.port().unwrap_or(if security == Security::Implicit {
                465
            } else {
                587
            }),
            host,
            security,
            login,
            ca: ca.map(certificates).transpose()?.unwrap_or_default(),
            limits: Limits::default(),
        };
        if let Some(ca) = ca {
            let unusable = |error| format!("`{}` cannot be used: {error}", ca.display());
            settings.tls().map_err(unusable)?;
        }
        Ok(settings)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in &self.ca {
            trusted.add(certificate.clone())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// The text of an answer as it is kept: on one line, and never with the password in it.
    fn kept(&self, text: &str) -> String {
        match &self.login {
            Some((_, password)) if !password.reveal().is_empty() => {
                shown::line(&text.replace(password.reveal(), "…"), ANSWER)
            }
            _ => shown::line(text, ANSWER),
        }
    }

    /// What a reply comes to: a failure, unless the talk goes on.
    fn judge(&self, step: Step, reply: &Response) -> Result<(), Failure> {
        let code = u16::from(reply.code());
        let said = self.kept(&said(reply));
        let (code, text) = (Some(code), said);
        match meaning(step, u16::from(reply.code()), &text) {
            Meaning::Yes => Ok(()),
            Meaning::Later => Err(Failure::Deferred { code, text }),
            Meaning::Never => Err(Failure::Rejected {
                code: u16::from(reply.code()),
                text,
                step,
            }),
            Meaning::Busy => Err(Failure::Busy { code, text }),
            Meaning::Login => Err(Failure::Login { code, text }),
            Meaning::Senseless => {
                let what = match step {
                    Step::Text => "it answered",
                    _ => "a reply that is out of place:",
                };
                Err(self.failed(step, &format!("{what} {} {text}", reply.code())))
            }
        }
    }

    /// What it comes to that there is no reply, or none that makes sense.
    fn failed(&self, step: Step, why: &str) -> Failure {
        let text = self.kept(why);
        match step {
            Step::Connect | Step::Login => Failure::Busy { code: None, text },
            Step::From | Step::To | Step::Data => Failure::Deferred { code: None, text },
            Step::Text => Failure::Uncertain {
                text: format!("the answer to the whole mail is lost: {text}"),
            },
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("`{}`: {why}", file.display());
    let pem = std::fs::read(file).map_err(|error| failed(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| failed(&error))?;
    if found.is_empty() {
        return Err(failed(&"it holds no certificate in PEM"));
    }
    Ok(found)
}

/// A connection over which mails are sent one after the other. What fails ends it.
pub struct Session<'s> {
    settings: &'s SmtpSettings,
    wire: Wire,
    server: ServerInfo,
    opened: Instant,
    mails: usize,
}

impl<'s> Session<'s> {
    /// Connects, secures the connection and logs in.
    ///
    /// # Errors
    /// [`Failure::Busy`] or [`Failure::Login`]: whatever it is, it is about no mail.
    pub fn open(settings: &'s SmtpSettings) -> Result<Self, Failure> {
        let failed = |fault: Fault| settings.failed(Step::Connect, &fault.to_string());
        let patience = settings.limits.reply;
        let tls = || {
            let tls = settings.tls();
            tls.map_err(|error| settings.failed(Step::Connect, &error.to_string()))
        };
        let mut wire = Wire::connect(&settings.host, settings.port, patience).map_err(failed)?;
        if settings.security == Security::Implicit {
            wire = wire
                .encrypt(&settings.host, tls()?, patience)
                .map_err(failed)?;
        }
        settings.judge(Step::Connect, &wire.reply(patience).map_err(failed)?)?;
        let mut session = Self {
            settings,
            wire,
            server: ServerInfo::default(),
            opened: Instant::now(),
            mails: 0,
        };
        session.greet()?;
        let offered = session.server.supports_feature(Extension::StartTls);
        if settings.security == Security::Required && !offered {
            return Err(settings.failed(Step::Connect, "STARTTLS is not supported on this server"));
        }
        if settings.security != Security::Implicit && offered {
            session.say(Step::Connect, Starttls)?;
            session.wire = session
                .wire
                .encrypt(&settings.host, tls()?, patience)
                .map_err(failed)?;
            session.greet()?;
        }
        if settings.login.is_some() {
            session.log_in()?;
        }
        Ok(session)
    }

    fn greet(&mut self) -> Result<(), Failure> {
        let reply = self.say(Step::Connect, Ehlo::new(ClientId::default()))?;
        self.server = ServerInfo::from_response(&reply).map_err(|_| {
            self.settings
                .failed(Step::Connect, "the reply to EHLO makes no sense")
        })?;
        Ok(())
    }

    /// Of the answer to a login only the codes are kept: some servers repeat what they were sent.
    fn log_in(&mut self) -> Result<(), Failure> {
        let Some((user, password)) = &self.settings.login else {
            return Ok(());
        };
        debug_assert!(self.wire.is_encrypted() || self.settings.security == Security::Loopback);
        let busy = |text: &str| Failure::Busy {
            code: None,
            text: text.to_owned(),
        };
        let login = Credentials::new(user.clone(), password.reveal().to_owned());
        let Some(mechanism) = self.server.get_auth_mechanism(DEFAULT_MECHANISMS) else {
            return Err(busy(
                "the server offers no way to log in that is known here",
            ));
        };
        let patience = self.settings.limits.reply;
        let mut command = Auth::new(mechanism, login.clone(), None);
        for _ in 0..CHALLENGES {
            let given = command.map_err(|_| busy("the reply to the login makes no sense"))?;
            let reply = match self.wire.ask(&given.to_string(), patience) {
                Ok(reply) => reply,
                Err(Fault::Lost(why)) => return Err(busy(&why)),
                Err(Fault::Senseless(_)) => {
                    return Err(busy("the reply to the login makes no sense"));
                }
            };
            if !reply.has_code(334) {
                return self.settings.judge(Step::Login, &codes_of(&reply));
            }
            command = Auth::new_from_response(mechanism, login.clone(), &reply);
        }
        Err(busy("the server asks back without end while one logs in"))
    }

    /// Tells the server from whom and to whom a mail is. Nothing of it is sent yet.
    ///
    /// # Errors
    /// [`Failure`]; the connection is of no use then.
    pub fn address(&mut self, from: &Address, to: &Address, text: &[u8]) -> Result<(), Failure> {
        let options = options(&self.server, &[from, to], text)?;
        self.say(Step::From, Mail::new(Some(from.clone()), options))?;
        self.say(Step::To, Rcpt::new(to.clone(), Vec::new()))?;
        Ok(())
    }

    /// Sends the text of a mail, and returns what the server answered.
    ///
    /// # Errors
    /// [`Failure`]; the connection is of no use then.
    pub fn text(&mut self, text: &[u8]) -> Result<String, Failure> {
        let limits = &self.settings.limits;
        self.say(Step::Data, Data)?;
        // Without its dot a text is no mail, whatever becomes of the connection.
        let unsent = |fault: Fault| self.settings.failed(Step::Data, &fault.to_string());
        let sent = self.wire.write(&on_the_wire(text), limits.text);
        sent.map_err(unsent)?;
        self.hear_out(Step::Data)?;
        let asked = self.wire.ask(".\r\n", limits.after_text);
        let reply = asked.map_err(|fault| self.settings.failed(Step::Text, &fault.to_string()))?;
        self.settings.judge(Step::Text, &reply)?;
        self.mails += 1;
        Ok(self
            .settings
            .kept(&format!("{} {}", reply.code(), said(&reply))))
    }

    /// Gives a command, and returns the reply if the talk goes on.
    fn say(&mut self, step: Step, command: impl std::fmt::Display) -> Result<Response, Failure> {
        self.hear_out(step)?;
        let reply = self
            .wire
            .ask(&command.to_string(), self.settings.limits.reply);
        let reply = reply.map_err(|fault| self.settings.failed(step, &fault.to_string()))?;
        self.settings.judge(step, &reply)?;
        Ok(reply)
    }

    /// Whoever speaks before he is asked answers something else than what is asked next. A server
    /// that closes down may (421).
    fn hear_out(&mut self, step: Step) -> Result<(), Failure> {
        let failed = |fault: Fault| self.settings.failed(step, &fault.to_string());
        if !self.wire.has_spoken().map_err(failed)? {
            return Ok(());
        }
        let reply = self.wire.reply(self.settings.limits.reply);
        let reply = reply.map_err(failed)?;
        let said = said(&reply);
        if reply.has_code(421) {
            self.settings.judge(step, &reply)?;
        }
        let why = format!("the server spoke out of turn: {} {said}", reply.code());
        Err(self.settings.failed(step, &why))
    }

    /// Whether the next mail should go over a new connection.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        let limits = &self.settings.limits;
        self.mails >= limits.mails || self.opened.elapsed() >= limits.age
    }

    /// Says goodbye. What comes of it does not matter: every mail has its answer.
    pub fn close(mut self) {
        drop(
            self.wire
                .ask(&Quit.to_string(), self.settings.limits.goodbye),
        );
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(self.settings).finish()
    }
}

/// The reply to a login without its words.
fn codes_of(reply: &Response) -> Response {
    let detail = reply.first_word().unwrap_or_default();
    let is_code = detail.chars().all(|c| c.is_ascii_digit() || c == '.');
    let text = if is_code && !detail.is_empty() {
        format!("{detail} the server refuses the login")
    } else {
        "the server refuses the login".to_owned()
    };
    Response::new(reply.code(), vec![text])
}

/// A text as it goes out: lines end in CR LF and nothing else does, so that no server sees an end
/// where there is none; a dot that begins a line is doubled.
#[must_use]
pub fn on_the_wire(text: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(text.len() + 64);
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'\r' || byte == b'\n' {
            rest.next_if(|next| byte == b'\r' && *next == b'\n');
            sent.extend_from_slice(b"\r\n");
            continue;
        }
        if byte == b'.' && (sent.is_empty() || sent.ends_with(b"\n")) {
            sent.push(b'.');
        }
        sent.push(byte);
    }
    if !sent.ends_with(b"\r\n") {
        sent.extend_from_slice(b"\r\n");
    }
    sent
}

/// What the server must be told about the mail beforehand.
fn options(
    server: &ServerInfo,
    addresses: &[&Address],
    text: &[u8],
) -> Result<Vec<MailParameter>, Failure> {
    let ascii = |address: &&Address| AsRef::<str>::as_ref(*address).is_ascii();
    let mut options = Vec::new();
    if !addresses.iter().all(ascii) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            return Err(Failure::Rejected {
                code: 553,
                text: "the server takes no addresses beyond ASCII (SMTPUTF8)".into(),
                step: Step::To,
            });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !text.is_ascii() {
        if !server.supports_feature(Extension::EightBitMime) {
            return Err(Failure::Deferred {
                code: None,
                text: "the server takes no text beyond ASCII (8BITMIME)".into(),
            });
        }
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}

fn said(reply: &Response) -> String {
    let detail = reply.first_word().filter(|word| word.contains('.'));
    let again = detail
        .map(|detail| format!("{detail} "))
        .unwrap_or_default();
    let lines = reply.message().enumerate().map(|(line, text)| match line {
        0 => text,
        _ => text.strip_prefix(again.as_str()).unwrap_or(text),
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// Why a mail was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Refused for good.
    #[error("{code} {text}")]
    Rejected {
        /// The server's code, 5xx.
        code: u16,
        /// What it said.
        text: String,
        /// Where in the talk: at [`Step::To`] it is the address that is refused.
        step: Step,
    },
    /// Not taken this time, and certainly not sent.
    #[error("{}{text}", code_and_space(.code))]
    Deferred {
        /// The server's code, if it gave one.
        code: Option<u16>,
        /// What it said, or what went wrong.
        text: String,
    },
    /// The server takes no mail now, and no other would fare better.
    #[error("{}{text}", code_and_space(.code))]
    Busy {
        /// The server's code, if it gave one.
        code: Option<u16>,
        /// What it said, or what went wrong.
        text: String,
    },
    /// The server refuses the login, or wants one: to try again and again locks accounts.
    #[error("{}{text}", code_and_space(.code))]
    Login {
        /// The server's code.
        code: Option<u16>,
        /// What it said.
        text: String,
    },
    /// The whole mail went out and no answer came back: it may have arrived.
    #[error("{text}")]
    Uncertain {
        /// What went wrong.
        text: String,
    },
}

fn code_and_space(code: &Option<u16>) -> String {
    code.map(|code| format!("{code} ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    fn settings(url: &str) -> Result<SmtpSettings, String> {
        SmtpSettings::new(&Secret::from(url.to_owned()), None)
    }

    #[test]
    fn a_url_says_how_the_connection_is_secured() {
        for (url, host, port, security) in [
            (
                "smtps://mail.example.org",
                "mail.example.org",
                465,
                Security::Implicit,
            ),
            (
                "smtps://u:p@mail.example.org:4650/",
                "mail.example.org",
                4650,
                Security::Implicit,
            ),
            (
                "smtp://u:p@mail.example.org",
                "mail.example.org",
                587,
                Security::Required,
            ),
            (
                "smtp://mail.example.org?tls=required",
                "mail.example.org",
                587,
                Security::Required,
            ),
            (
                "smtp://127.0.0.1:1025",
                "127.0.0.1",
                1025,
                Security::Loopback,
            ),
            ("smtp://[::1]:1025", "::1", 1025, Security::Loopback),
            ("smtp://localhost:25", "localhost", 25, Security::Loopback),
            (
                "smtp://127.0.0.1:25?tls=required",
                "127.0.0.1",
                25,
                Security::Required,
            ),
            (
                "smtp://127.0.0.1.example.org",
                "127.0.0.1.example.org",
                587,
                Security::Required,
            ),
            ("smtp://192.0.2.7", "192.0.2.7", 587, Security::Required),
        ] {
            let found = settings(url).unwrap();
            assert_eq!(
                (found.host.as_str(), found.port, found.security),
                (host, port, security),
                "{url}"
            );
        }
        let (user, password) = settings("smtps://a%40b:p%2Fq%40@mail.example.org")
            .unwrap()
            .login
            .unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("a@b", "p/q@"));
    }

    #[test]
    fn a_wrong_url_is_refused_and_not_repeated() {
        for url in [
            "",
            "canary",
            "canary://u:canary@mail.example.org",
            "http://u:canary@mail.example.org",
            "smtps://",
            "smtps://u:canary@",
            "smtps://u:can/canary@mail.example.org",
            "smtps://u:12/canary@mail.example.org",
            "smtps://u:12?canary@mail.example.org",
            "smtps://u:12#canary@mail.example.org",
            "smtps://canary@mail.example.org",
            "smtps://:canary@mail.example.org",
            "smtp://u:canary@mail.example.org?tls=none",
            "smtps://u:canary%ff@mail.example.org",
            "smtps://u:canary@mail.example.org:99999",
        ] {
            let error = settings(url).unwrap_err();
            assert!(!error.contains("canary"), "{url}: {error}");
        }
        let shown = format!(
            "{:?}",
            settings("smtps://u:canary@mail.example.org").unwrap()
        );
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn no_line_of_a_text_ends_it() {
        for (text, expected) in [
            ("", "\r\n"),
            ("a", "a\r\n"),
            ("a\r\n", "a\r\n"),
            (".", "..\r\n"),
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n"),
            ("a\n.\nQUIT\n", "a\r\n..\r\nQUIT\r\n"),
            ("a\r.\rQUIT", "a\r\n..\r\nQUIT\r\n"),
            ("a\n.\r\nMAIL FROM:<x@y>", "a\r\n..\r\nMAIL FROM:<x@y>\r\n"),
            ("a\r\r\n\n.x", "a\r\n\r\n\r\n..x\r\n"),
            ("a.b\r\nc.", "a.b\r\nc.\r\n"),
        ] {
            let sent = on_the_wire(text.as_bytes());
            assert_eq!(String::from_utf8(sent).unwrap(), expected, "{text:?}");
        }
    }

    /// A server that takes one connection after the other, and answers each with these lines.
    fn server(connections: Vec<Vec<&'static str>>, wait: mpsc::Receiver<()>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for answers in connections {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for answer in answers {
                    if answer == "wait" {
                        let _ = wait.recv_timeout(Duration::from_secs(20));
                    } else if answer == "text" {
                        while lines.next().is_some_and(|line| line.unwrap() != ".") {}
                    } else {
                        let _ = stream.write_all(format!("{answer}\r\n").as_bytes());
                        if !answer.starts_with("354") {
                            lines.next();
                        }
                    }
                }
            }
        });
        port
    }

    #[test]
    fn a_late_answer_is_never_taken_for_the_next() {
        let (release, wait) = mpsc::channel();
        let polite = [
            "220 hello",
            "250 hello",
            "250 from",
            "250 to",
            "354 go",
            "text",
        ];
        let late = [&polite[..], &["wait", "250 late"]].concat();
        let refused = [&polite[..], &["550 5.7.1 no"]].concat();
        let port = server(vec![late, refused], wait);
        let mut settings = settings(&format!("smtp://127.0.0.1:{port}")).unwrap();
        settings.limits.after_text = Duration::from_millis(100);
        let (from, to) = (
            "a@example.org".parse().unwrap(),
            "b@example.org".parse().unwrap(),
        );
        let text = b"Subject: x\r\n\r\nx\r\n";
        let send = || {
            let mut session = Session::open(&settings)?;
            session.address(&from, &to, text)?;
            session.text(text)
        };
        let first = send();
        release.send(()).unwrap();
        let second = send();
        let text = "the answer to the whole mail is lost: the server did not answer in time".into();
        assert_eq!(first, Err(Failure::Uncertain { text }));
        let text = "5.7.1 no".into();
        let step = Step::Text;
        let code = 550;
        assert_eq!(second, Err(Failure::Rejected { code, text, step }));
    }
}
