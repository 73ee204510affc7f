//! Sending by SMTP: one connection for a round of mails, one recipient to a mail.
//!
//! The commands are given one by one, so that it is known how far a mail came: before its text was
//! sent a lost connection means that it was not taken, after that it may have arrived. Only a reply
//! of the class 2xx is success. Whatever fails ends the connection, so that no late reply is taken
//! for the answer to the next mail.

use crate::config::Secret;
use crate::record::shown;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{
    ClientId, Extension, MailBodyParameter, MailParameter, ServerInfo,
};
use lettre::transport::smtp::response::{Response, Severity};
use percent_encoding::percent_decode_str;
use std::error::Error as _;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use url::{Host, Url};

/// How long one reply is waited for, and how long a connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the reply to a whole mail is waited for (RFC 5321, 4.5.3.2.6): whoever asks again
/// earlier sends mails twice.
const PATIENCE_AFTER_TEXT: Duration = Duration::from_secs(600);
/// How long a server is waited for to say goodbye.
const PATIENCE_AT_END: Duration = Duration::from_secs(5);
/// What is kept of a server's answer.
const ANSWER: usize = 300;

/// Codes that are about the relay or the login, and so about every mail.
const ABOUT_RELAY: [u16; 6] = [421, 454, 530, 534, 535, 538];
/// Words of refusals that are called permanent and pass with time: a day's limit, a full mailbox.
const PASSES: [&str; 5] = [
    "sending limit",
    "relay limit",
    "daily limit",
    "rate limit",
    "quota",
];

/// How an SMTP server is reached.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    host: String,
    port: u16,
    security: Security,
    login: Option<(String, Secret)>,
    ca: Option<Certificate>,
    patience: Duration,
    patience_after_text: Duration,
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
            ca: ca.map(certificates).transpose()?,
            patience: PATIENCE,
            patience_after_text: PATIENCE_AFTER_TEXT,
        };
        if let Some(ca) = ca {
            let unusable = |error| format!("`{}` cannot be used: {error}", ca.display());
            settings.tls().map_err(unusable)?;
        }
        Ok(settings)
    }

    fn tls(&self) -> Result<TlsParameters, Error> {
        let tls = TlsParameters::builder(self.host.clone());
        match &self.ca {
            Some(ca) => tls.add_root_certificate(ca.clone()),
            None => tls,
        }
        .build()
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

    fn failure(&self, error: &Error) -> Failure {
        let text = self.kept(&said(error));
        match error.status().map(u16::from) {
            Some(code) if error.is_permanent() && !passes(&text) && !is_about_relay(code) => {
                Failure::Rejected { code, text }
            }
            code => Failure::Deferred { code, text },
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn certificates(file: &Path) -> Result<Certificate, String> {
    let failed = |why: &dyn std::fmt::Display| format!("`{}`: {why}", file.display());
    let pem = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(failed(&"it holds no certificate in PEM"));
    }
    Certificate::from_pem(pem.as_bytes()).map_err(|error| failed(&error))
}

/// A connection over which mails are sent one after the other. What fails ends it.
pub struct Session<'s> {
    settings: &'s SmtpSettings,
    connection: SmtpConnection,
}

impl<'s> Session<'s> {
    /// Connects, secures the connection and logs in.
    ///
    /// # Errors
    /// [`Failure::Deferred`]: whatever it is, it is about no mail.
    pub fn open(settings: &'s SmtpSettings) -> Result<Self, Failure> {
        let mut connection = connect(settings).map_err(|error| Failure::Deferred {
            code: error.status().map(u16::from),
            text: settings.kept(&said(&error)),
        })?;
        if let Some((user, password)) = &settings.login {
            let login = Credentials::new(user.clone(), password.reveal().to_owned());
            let answer = connection.auth(DEFAULT_MECHANISMS, &login);
            answer.map_err(|error| login_refused(&error))?;
        }
        Ok(Self {
            settings,
            connection,
        })
    }

    /// Sends one mail as it is, and returns what the server answered.
    ///
    /// # Errors
    /// [`Failure`]; the connection is of no use then.
    pub fn send(&mut self, from: &Address, to: &Address, text: &[u8]) -> Result<String, Failure> {
        let options = options(self.connection.server_info(), &[from, to], text)
            .map_err(|text| Failure::Deferred { code: None, text })?;
        self.say(Mail::new(Some(from.clone()), options), 2)?;
        self.say(Rcpt::new(to.clone(), Vec::new()), 2)?;
        self.say(Data, 3)?;
        self.wait_for(self.settings.patience_after_text)?;
        let answer = match self.connection.message(text) {
            Ok(answer) if class(&answer) == 2 => answer,
            Ok(answer) => return Err(self.lost(&format!("it answered {}", told(&answer)))),
            Err(error) if error.status().is_some() => return Err(self.settings.failure(&error)),
            Err(error) => return Err(self.lost(&said(&error))),
        };
        self.wait_for(self.settings.patience)?;
        Ok(self.settings.kept(&told(&answer)))
    }

    /// Gives a command, whose reply must be of this class.
    fn say(&mut self, command: impl std::fmt::Display, expected: u8) -> Result<(), Failure> {
        let answer = self.connection.command(command);
        let answer = answer.map_err(|error| self.settings.failure(&error))?;
        if class(&answer) == expected {
            return Ok(());
        }
        let text = format!("a reply that is out of place: {}", told(&answer));
        Err(Failure::Deferred {
            code: None,
            text: self.settings.kept(&text),
        })
    }

    fn wait_for(&mut self, patience: Duration) -> Result<(), Failure> {
        let set = self.connection.set_timeout(Some(patience));
        set.map_err(|error| Failure::Deferred {
            code: None,
            text: error.to_string(),
        })
    }

    fn lost(&self, why: &str) -> Failure {
        Failure::Uncertain {
            text: self
                .settings
                .kept(&format!("the answer to the whole mail is lost: {why}")),
        }
    }

    /// Says goodbye. What comes of it does not matter: every mail has its answer.
    pub fn close(mut self) {
        if self.connection.set_timeout(Some(PATIENCE_AT_END)).is_ok() {
            drop(self.connection.quit());
        }
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(self.settings).finish()
    }
}

fn connect(settings: &SmtpSettings) -> Result<SmtpConnection, Error> {
    let name = ClientId::default();
    let tls = match settings.security {
        Security::Implicit => Some(settings.tls()?),
        Security::Required | Security::Loopback => None,
    };
    let server = (settings.host.as_str(), settings.port);
    let mut connection =
        SmtpConnection::connect(server, Some(settings.patience), &name, tls.as_ref(), None)?;
    // Where STARTTLS is required and not offered, `starttls` fails before anything is sent.
    if settings.security == Security::Required || connection.can_starttls() {
        connection.starttls(&settings.tls()?, &name)?;
    }
    Ok(connection)
}

/// Of the answer to a login only the codes are kept: some servers repeat what they were sent.
fn login_refused(error: &Error) -> Failure {
    let code = error.status().map(u16::from);
    let text = match code {
        Some(_) => {
            let said = said(error);
            let detail = said.split(' ').next().unwrap_or_default();
            let is_code = detail.chars().all(|c| c.is_ascii_digit() || c == '.');
            let detail = if is_code { detail } else { "" };
            format!("{detail} the server refuses the login")
                .trim()
                .to_owned()
        }
        None if error.is_response() => "the reply to the login makes no sense".into(),
        None => said(error),
    };
    Failure::Deferred { code, text }
}

/// What the server must be told about the mail beforehand.
fn options(
    server: &ServerInfo,
    addresses: &[&Address],
    text: &[u8],
) -> Result<Vec<MailParameter>, String> {
    let ascii = |address: &&Address| AsRef::<str>::as_ref(*address).is_ascii();
    let mut options = Vec::new();
    if !addresses.iter().all(ascii) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            return Err("the server takes no addresses beyond ASCII (SMTPUTF8)".into());
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !text.is_ascii() {
        if !server.supports_feature(Extension::EightBitMime) {
            return Err("the server takes no text beyond ASCII (8BITMIME)".into());
        }
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}

fn class(answer: &Response) -> u8 {
    match answer.code().severity {
        Severity::PositiveCompletion => 2,
        Severity::PositiveIntermediate => 3,
        Severity::TransientNegativeCompletion => 4,
        Severity::PermanentNegativeCompletion => 5,
    }
}

fn told(answer: &Response) -> String {
    let lines: Vec<&str> = answer.message().collect();
    format!("{} {}", answer.code(), lines.join(" "))
}

/// An error in words. Linux tells a timeout of a socket as "would block".
fn said(error: &Error) -> String {
    let mut cause = error.source();
    if error.status().is_some() {
        return cause.map(ToString::to_string).unwrap_or_default();
    }
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        {
            return "the server did not answer in time".into();
        }
        cause = inner.source();
    }
    error.to_string()
}

fn is_about_relay(code: u16) -> bool {
    ABOUT_RELAY.contains(&code)
}

/// Whether a refusal that is called permanent passes with time (Google's 550 5.4.5, for one).
fn passes(text: &str) -> bool {
    let text = text.to_lowercase();
    text.starts_with("5.4.5 ") || PASSES.iter().any(|words| text.contains(words))
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
    },
    /// Not taken this time, and certainly not sent.
    #[error("{}{text}", code_and_space(.code))]
    Deferred {
        /// The server's code, if it gave one.
        code: Option<u16>,
        /// What it said, or what went wrong.
        text: String,
    },
    /// The whole mail went out and no answer came back: it may have arrived.
    #[error("{text}")]
    Uncertain {
        /// What went wrong.
        text: String,
    },
}

impl Failure {
    /// Whether the relay or the login is at fault, so that no other mail fares better now.
    #[must_use]
    pub fn is_about_relay(&self) -> bool {
        matches!(self, Self::Deferred { code: Some(code), .. } if is_about_relay(*code))
    }
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
    fn a_limit_that_passes_is_told_from_a_refusal() {
        for (text, expected) in [
            ("5.4.5 Daily user sending limit exceeded.", true),
            ("5.7.1 Daily SMTP relay limit exceeded for customer.", true),
            ("5.2.2 Mailbox is over quota", true),
            ("5.3.4 Message size limit exceeded", false),
            ("5.1.1 No such user", false),
            ("5.7.1 Rejected", false),
        ] {
            assert_eq!(passes(text), expected, "{text}");
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
        settings.patience_after_text = Duration::from_millis(100);
        let (from, to) = (
            "a@example.org".parse().unwrap(),
            "b@example.org".parse().unwrap(),
        );
        let send = || Session::open(&settings)?.send(&from, &to, b"Subject: x\r\n\r\nx\r\n");
        let first = send();
        release.send(()).unwrap();
        let second = send();
        let text = "the answer to the whole mail is lost: the server did not answer in time".into();
        assert_eq!(first, Err(Failure::Uncertain { text }));
        let text = "5.7.1 no".into();
        assert_eq!(second, Err(Failure::Rejected { code: 550, text }));
    }
}
