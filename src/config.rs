//! Deployment: what operators set by flags and environment, and nothing that editors decide.

use clap::Args;
use lettre::message::Mailbox;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the two folders are.
#[derive(Args, Clone, Debug)]
pub struct Folders {
    /// The folder of rule files, which editors write
    #[arg(
        long,
        value_name = "DIR",
        env = "COPYDESK_RULES",
        default_value = "rules",
        global = true
    )]
    pub rules: PathBuf,
    /// The folder of the database and of unsent mail, which copydesk writes
    #[arg(
        long,
        value_name = "DIR",
        env = "COPYDESK_STATE",
        default_value = "state",
        global = true
    )]
    pub state: PathBuf,
}

impl Folders {
    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state.join("copydesk.db")
    }

    /// Where mail lands when no SMTP server is set.
    #[must_use]
    pub fn mail(&self) -> PathBuf {
        self.state.join("mail")
    }

    /// What a pass over the state folder holds while it runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }
}

/// How mails go out. Without an SMTP server they land as files.
#[derive(Args, Clone, Debug)]
pub struct Mail {
    /// The address that mails come from; with an SMTP server it must be given
    #[arg(long = "mail-from", value_name = "ADDRESS", env = "COPYDESK_MAIL_FROM")]
    pub from: Option<Mailbox>,
    /// The SMTP server: smtps://USER:PASSWORD@HOST, or smtp://… for STARTTLS. Better set in the
    /// environment or in a file: whoever is on this machine sees the arguments of a command
    #[arg(
        long,
        value_name = "URL",
        env = "COPYDESK_SMTP_URL",
        hide_env_values = true
    )]
    smtp_url: Option<Secret>,
    /// A file that holds the URL of the SMTP server
    #[arg(long, value_name = "FILE", env = "COPYDESK_SMTP_URL_FILE")]
    smtp_url_file: Option<PathBuf>,
    /// A file of certificates (PEM) that are trusted besides the system's
    #[arg(long, value_name = "FILE", env = "COPYDESK_SMTP_CA")]
    pub smtp_ca: Option<PathBuf>,
}

impl Mail {
    /// The URL of the SMTP server, if one is set. An empty one is none.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn smtp_url(&self) -> Result<Option<Secret>, String> {
        let given = self.smtp_url.as_ref().filter(|url| !url.0.is_empty());
        match (given, &self.smtp_url_file) {
            (Some(_), Some(_)) => Err(
                "the SMTP server is set twice: by COPYDESK_SMTP_URL and by COPYDESK_SMTP_URL_FILE"
                    .into(),
            ),
            (Some(url), None) => Ok(Some(url.clone())),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) if text.trim().is_empty() => Err(format!(
                    "`{}` holds no URL of an SMTP server",
                    file.display()
                )),
                Ok(text) => {
                    warn_if_open(file);
                    Ok(Some(Secret(text.trim().to_owned())))
                }
                Err(error) => Err(format!(
                    "the URL of the SMTP server cannot be read from `{}`: {error}",
                    file.display()
                )),
            },
            (None, None) => Ok(None),
        }
    }
}

/// The header that proxies such as Authelia send.
pub const PROXY_HEADER: &str = "Remote-Email";

/// Where the desk is reached by browsers: by the links in its mails.
#[derive(Args, Clone, Debug)]
pub struct Web {
    /// The address and port that the service listens on, or `off`
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "COPYDESK_LISTEN",
        default_value = "127.0.0.1:8420"
    )]
    pub listen: Listen,
    /// The address under which reviewers reach it, such as `https://desk.example.org`; without it, the
    /// one that it listens on
    #[arg(long, value_name = "URL", env = "COPYDESK_PUBLIC_URL")]
    pub public_url: Option<PublicUrl>,
    /// Addresses of proxies, with commas between them, that say in a header who is signed in. The
    /// header of all others is not looked at
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "COPYDESK_TRUSTED_PROXIES",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<IpAddr>,
    /// The header in which they say it: the address of a reviewer
    #[arg(
        long,
        value_name = "NAME",
        env = "COPYDESK_PROXY_HEADER",
        default_value = PROXY_HEADER
    )]
    pub proxy_header: String,
}

/// What the service listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nothing.
    Off,
    /// This address.
    On(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map(Self::On);
        address.map_err(|_| format!("`{text}` is no address and port, such as 127.0.0.1:8420"))
    }
}

/// An address of the web without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mend =
            || format!("`{text}` is no address of the web, such as https://desk.example.org");
        let url = url::Url::parse(text).map_err(|_| mend())?;
        let plain = url.query().is_none() && url.fragment().is_none();
        let plain = plain && url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
            return Err(mend());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl Web {
    /// The same where the port was found: what listens on `address`.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        let listen = Listen::On(address);
        Self { listen, ..self }
    }

    /// The address that links lead to, without a slash at its end; `None` when the desk cannot be
    /// reached, or nobody said how.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        if let Some(PublicUrl(url)) = &self.public_url {
            return Some(url.clone());
        }
        match self.listen {
            Listen::On(at) if at.port() != 0 && !at.ip().is_unspecified() => {
                Some(format!("http://{at}"))
            }
            _ => None,
        }
    }
}

/// Warns of a file with a password that everyone on this machine may read.
fn warn_if_open(file: &Path) {
    let mode = std::fs::metadata(file).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        tracing::warn!(
            "`{}` may hold a password, and may be read by every user of this machine: chmod o-r",
            file.display()
        );
    }
}

/// A text that is never shown: no `Display`, and a `Debug` that hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
