//! The outbox: takes mails from their rows, one process at a time, and sends them or lands them as
//! files. What is refused for the moment waits, longer each time.

use crate::config;
use crate::notify::smtp::{Failure, Session, SmtpSettings};
use crate::store::mails::{Claim, DueMail};
use crate::store::{Store, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};
use lettre::Address;
use lettre::message::Mailbox;
use std::io::Write;
use std::path::{Path, PathBuf};

/// After this long a mail that is being sent is taken to be left behind by a process that died;
/// the longest waits for a server's replies are below it.
const ABANDONED: SignedDuration = SignedDuration::from_mins(20);
/// How long a mail waits whose answer was lost.
const AFTER_LOST_ANSWER: SignedDuration = SignedDuration::from_mins(15);
/// The first wait after a refusal that may pass, doubled each time up to the longest, in seconds.
const FIRST_WAIT: i64 = 300;
const LONGEST_WAIT: i64 = 4_000;
/// How long a mail is tried.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(5 * 24);

/// How one round of sending went.
#[derive(Debug, Default)]
pub struct Sent {
    /// The mails that were sent.
    pub sent: Vec<Delivered>,
    /// Addresses of those that were not, and why.
    pub failed: Vec<(String, String)>,
    /// Addresses of those that wait, and when they may be tried next.
    pub waiting: Vec<(String, Timestamp)>,
}

/// A mail that was sent.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// To whom.
    pub to: String,
    /// What the server said, or where the file is.
    pub answer: String,
    /// The file, if it landed as one.
    pub file: Option<PathBuf>,
}

impl Sent {
    pub(super) fn failed(&mut self, to: &str, why: String) {
        self.failed.retain(|(failed, _)| failed != to);
        self.failed.push((to.to_owned(), why));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.failed.is_empty()
    }

    pub(super) fn has_failed(&self, to: &str) -> bool {
        self.failed.iter().any(|(failed, _)| failed == to)
    }
}

/// Where mails go, and from whom they come.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// The sender.
    pub from: Mailbox,
    /// How they go.
    pub way: Way,
}

/// How mails go out.
#[derive(Clone, Debug)]
pub enum Way {
    /// They land in this folder as `.eml` files.
    Folder(PathBuf),
    /// An SMTP server takes them.
    Smtp(SmtpSettings),
}

impl Outbox {
    /// What the settings say; without an SMTP server mails land in `folder`.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(mail: &config::Mail, folder: PathBuf) -> Result<Self, String> {
        let Some(url) = mail.smtp_url()? else {
            let local =
                || Address::new("copydesk", "localhost").map(|local| Mailbox::new(None, local));
            let from = mail.from.clone().map_or_else(local, Ok);
            let from = from.map_err(|error| error.to_string())?;
            return Ok(Self {
                from,
                way: Way::Folder(folder),
            });
        };
        let Some(from) = mail.from.clone() else {
            return Err("an SMTP server is set, and COPYDESK_MAIL_FROM (--mail-from) does not say from whom mails come".into());
        };
        let settings = SmtpSettings::new(&url, mail.smtp_ca.as_deref())?;
        Ok(Self {
            from,
            way: Way::Smtp(settings),
        })
    }
}

/// Mails whose process died while it sent them: they may have arrived.
pub(super) fn look_after_abandoned(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    for claim in tx.abandoned_mails(now - ABANDONED)? {
        let answer = "copydesk was stopped while it was sent";
        tx.mail_uncertain(claim, answer, now + AFTER_LOST_ANSWER)?;
    }
    Ok(())
}

/// Sends every mail that is due, oldest first; `false` when the server is to be left alone.
pub(super) fn deliver(
    store: &mut Store,
    outbox: &Outbox,
    sent: &mut Sent,
    clock: &impl Fn() -> Timestamp,
) -> Result<bool, StoreError> {
    let due = store.read(|tx| tx.due_mails(clock()))?;
    match &outbox.way {
        Way::Folder(folder) => {
            for mail in due {
                let landed = store.write(|tx| land_row(tx, folder, &mail, clock()))?;
                match landed {
                    Some(Ok(delivered)) => sent.sent.push(delivered),
                    Some(Err(why)) => sent.failed(&mail.recipient, why),
                    None => {}
                }
            }
            Ok(true)
        }
        Way::Smtp(settings) => transmit(store, (&outbox.from.email, settings), due, sent, clock),
    }
}

/// Claims a mail, writes it and notes it in one transaction: nothing is left half done, and writing
/// it again would write the same file.
fn land_row(
    tx: &Tx<'_>,
    folder: &Path,
    mail: &DueMail,
    now: Timestamp,
) -> Result<Option<Result<Delivered, String>>, StoreError> {
    let Some(claim) = tx.claim_mail(mail.id, now)? else {
        return Ok(None);
    };
    Ok(Some(
        match land(
            folder,
            &format!("{:06}", mail.id),
            &mail.recipient,
            &mail.bytes,
        ) {
            Ok(path) => {
                let answer = written(&path);
                tx.mail_sent(claim, &answer, now)?;
                Ok(Delivered {
                    to: mail.recipient.clone(),
                    answer,
                    file: Some(path),
                })
            }
            Err(error) => {
                let answer = format!("it cannot be written to {}: {error}", folder.display());
                tx.mail_deferred(claim, &answer, now, Timestamp::MIN)?;
                Err(answer)
            }
        },
    ))
}

/// Sends mails over one connection, or a new one after each failure.
fn transmit(
    store: &mut Store,
    (from, settings): (&Address, &SmtpSettings),
    due: Vec<DueMail>,
    sent: &mut Sent,
    clock: &impl Fn() -> Timestamp,
) -> Result<bool, StoreError> {
    let mut session = None;
    for mail in due {
        let mut open = match session.take().map_or_else(|| Session::open(settings), Ok) {
            Ok(open) => open,
            Err(failure) => {
                pause(store, &mail, &failure, sent, clock())?;
                return Ok(false);
            }
        };
        let Some(claim) = store.write(|tx| tx.claim_mail(mail.id, clock()))? else {
            session = Some(open);
            continue;
        };
        let answer = match mail.recipient.parse() {
            Ok(to) => open.send(from, &to, &mail.bytes),
            Err(error) => Err(Failure::Rejected {
                code: 553,
                text: format!("{error}"),
            }),
        };
        match answer {
            Ok(answer) => {
                store.write(|tx| tx.mail_sent(claim, &answer, clock()))?;
                tracing::info!(mail.id, "Sent mail {}", mail.id);
                sent.sent.push(Delivered {
                    to: mail.recipient,
                    answer,
                    file: None,
                });
                session = Some(open);
            }
            Err(failure) => {
                let now = clock();
                store.write(|tx| note_failure(tx, claim, &failure, now))?;
                // A server's answer often names the address, which is not for logs.
                let why = failure
                    .to_string()
                    .replace(&mail.recipient, "the recipient");
                tracing::warn!(mail.id, "Mail {} is not sent: {why}", mail.id);
                sent.failed(&mail.recipient, failure.to_string());
                if failure.is_about_relay() {
                    pause(store, &mail, &failure, sent, now)?;
                    return Ok(false);
                }
            }
        }
    }
    if let Some(session) = session {
        session.close();
    }
    Ok(true)
}

/// Puts off every mail: none would fare better than this one.
fn pause(
    store: &mut Store,
    mail: &DueMail,
    failure: &Failure,
    sent: &mut Sent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let next = now + wait(mail.tries + 1, mail.id);
    store.write(|tx| tx.mails_paused(&failure.to_string(), next, now - GIVEN_UP))?;
    let why = failure
        .to_string()
        .replace(&mail.recipient, "the recipient");
    tracing::warn!("The SMTP server takes no mail: {why}");
    sent.failed(&mail.recipient, failure.to_string());
    Ok(())
}

fn note_failure(
    tx: &Tx<'_>,
    claim: Claim,
    failure: &Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    let answer = failure.to_string();
    match failure {
        Failure::Rejected { .. } => tx.mail_failed(claim, &answer),
        Failure::Deferred { .. } => {
            let next = now + wait(claim.tries, claim.id);
            tx.mail_deferred(claim, &answer, next, now - GIVEN_UP)
        }
        Failure::Uncertain { .. } => tx.mail_uncertain(claim, &answer, now + AFTER_LOST_ANSWER),
    }
}

/// How long a mail waits after this many tries: doubled each time, and a tenth more or less, so
/// that mails refused together do not come back together.
fn wait(tries: i64, id: i64) -> SignedDuration {
    let doubled = FIRST_WAIT << (tries - 1).clamp(0, 4);
    let per_mille = 900 + (id.wrapping_mul(7_919) + tries * 104_729).rem_euclid(201);
    SignedDuration::from_secs(doubled.min(LONGEST_WAIT) * per_mille / 1_000)
}

/// Writes a mail as a file whose name follows from its row, so that writing it twice is writing it
/// once.
pub(super) fn land(
    folder: &Path,
    name: &str,
    recipient: &str,
    bytes: &[u8],
) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "@.-_+".contains(c) {
            c
        } else {
            '_'
        }
    };
    let path = folder.join(format!(
        "{name}-{}.eml",
        recipient.chars().map(safe).collect::<String>()
    ));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(path)
}

pub(super) fn written(path: &Path) -> String {
    format!("written to {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_up_to_a_limit() {
        let mut all = std::collections::BTreeSet::new();
        for id in 1..500 {
            for (tries, expected) in [
                (1, 300),
                (2, 600),
                (3, 1_200),
                (4, 2_400),
                (5, 4_000),
                (99, 4_000),
            ] {
                let waits = wait(tries, id).as_secs();
                assert!(
                    (waits - expected).abs() <= expected / 10,
                    "try {tries}: {waits}"
                );
                all.insert(waits);
            }
        }
        assert!(all.len() > 100, "no jitter");
    }
}
