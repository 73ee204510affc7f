//! The outbox: takes mails from their rows, one process at a time, and sends them or lands them as
//! files.
//!
//! A try has phases, each committed before it begins: claimed, text going out, answered. A process
//! that dies before the second is as if it had not tried; after it the mail may have arrived, and
//! is sent once more at most. What is refused for the moment waits, longer each time. While the
//! server takes nothing it is left alone, by all processes.

use crate::config;
use crate::notify::letter::Links;
use crate::notify::smtp::{Failure, Limits, Session, SmtpSettings, Step};
use crate::store::mails::{Claim, DueMail};
use crate::store::{Store, StoreError, Tx};
use crate::token::{KeyError, Keys};
use jiff::{SignedDuration, Timestamp};
use lettre::Address;
use lettre::message::Mailbox;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// After this long a mail that is being sent is taken to be left behind by a process that died;
/// the longest waits for a server's replies are below it.
const ABANDONED: SignedDuration = SignedDuration::from_mins(20);
/// How long a mail waits whose answer was lost.
const AFTER_LOST_ANSWER: SignedDuration = SignedDuration::from_mins(15);
/// The first wait after a refusal that may pass, doubled each time up to the longest, in seconds.
const FIRST_WAIT: i64 = 300;
const LONGEST_WAIT: i64 = 4_000;
/// How long the server is left alone after it refused the login. That is no fault of the mails, and
/// quick repetition locks accounts.
const AFTER_REFUSED_LOGIN: SignedDuration = SignedDuration::from_mins(15);
/// So many mails to an address that the server refuses within a day, and it is sent nothing for a
/// week, or until a test mail to it is taken.
const REFUSALS: i64 = 3;
const REFUSALS_WITHIN: SignedDuration = SignedDuration::from_hours(24);
const SUSPENDED: SignedDuration = SignedDuration::from_hours(7 * 24);
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
    /// Until when nothing is sent at all, if the server is left alone.
    pub(super) held_until: Option<Timestamp>,
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
    /// The folder of the keys that sign links, and the address that links lead to, if there is one.
    pub desk: (PathBuf, Option<String>),
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
    /// What the settings say; without an SMTP server mails land in the state folder.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        mail: &config::Mail,
        web: &config::Web,
        folders: &config::Folders,
    ) -> Result<Self, String> {
        let desk = (folders.state.clone(), web.url());
        let Some(url) = mail.smtp_url()? else {
            let local =
                || Address::new("copydesk", "localhost").map(|local| Mailbox::new(None, local));
            let from = mail.from.clone().map_or_else(local, Ok);
            let from = from.map_err(|error| error.to_string())?;
            return Ok(Self {
                from,
                way: Way::Folder(folders.mail()),
                desk,
            });
        };
        let Some(from) = mail.from.clone() else {
            return Err("an SMTP server is set, and COPYDESK_MAIL_FROM (--mail-from) does not say from whom mails come".into());
        };
        let settings = SmtpSettings::new(&url, mail.smtp_ca.as_deref())?;
        Ok(Self {
            from,
            way: Way::Smtp(settings),
            desk,
        })
    }

    /// What signs the links of mails that are written now.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn links(&self, now: Timestamp) -> Result<Option<Links>, KeyError> {
        let (folder, url) = &self.desk;
        let Some(url) = url.clone() else {
            return Ok(None);
        };
        let keys = Keys::open(folder, now)?;
        Ok(Some(Links { keys, url }))
    }
}

/// Mails whose process died while it sent them: they may have arrived if their text was going out.
pub(super) fn look_after_abandoned(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    let abandoned = |tx: &Tx<'_>| tx.abandoned_mails(ABANDONED, now);
    if store.read(abandoned)?.is_empty() {
        return Ok(());
    }
    store.write(|tx| look_after(tx, abandoned(tx)?, now))
}

fn look_after(
    tx: &Tx<'_>,
    abandoned: Vec<(Claim, bool)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (claim, text_is_out) in abandoned {
        let answer = "copydesk was stopped while it was sent";
        if text_is_out {
            tx.mail_uncertain(claim, answer, now + AFTER_LOST_ANSWER)?;
        } else {
            tx.mail_deferred(claim, answer, now, Timestamp::MIN)?;
        }
    }
    Ok(())
}

/// Sends every mail that is due, oldest first; `false` when the server is to be left alone.
///
/// # Errors
/// [`StoreError`].
pub fn deliver(
    store: &mut Store,
    outbox: &Outbox,
    sent: &mut Sent,
    clock: &impl Fn() -> Timestamp,
) -> Result<bool, StoreError> {
    match &outbox.way {
        Way::Folder(folder) => {
            if store.read(|tx| tx.relay())?.is_some() {
                store.write(|tx| tx.relay_works(clock()))?;
            }
            for mail in store.read(|tx| tx.due_mails(clock()))? {
                let landed = store.write(|tx| land_row(tx, folder, &mail, clock()))?;
                match landed {
                    Some(Ok(delivered)) => sent.sent.push(delivered),
                    Some(Err(why)) => sent.failed(&mail.recipient, why),
                    None => {}
                }
            }
            Ok(true)
        }
        Way::Smtp(settings) => {
            let pause = store.read(|tx| tx.relay())?;
            if let Some(pause) = pause.filter(|pause| pause.holds(clock())) {
                sent.held_until = Some(pause.until);
                return Ok(false);
            }
            let due = store.read(|tx| tx.due_mails(clock()))?;
            transmit(store, (&outbox.from.email, settings), due, sent, clock)
        }
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
    let mut session: Option<Session<'_>> = None;
    for mail in due {
        if let Some(until) = store.read(|tx| full_until(tx, &settings.limits, clock()))? {
            sent.held_until = Some(until);
            break;
        }
        if session.as_ref().is_some_and(Session::is_worn)
            && let Some(worn) = session.take()
        {
            worn.close();
        }
        let mut open = match session.take().map_or_else(|| Session::open(settings), Ok) {
            Ok(open) => open,
            Err(failure) => {
                let now = clock();
                store.write(|tx| pause(tx, None, &mail, &failure, now))?;
                tell_pause(&mail, &failure, sent);
                return Ok(false);
            }
        };
        let claim = match store.write(|tx| claim(tx, &mail, &settings.limits, clock()))? {
            Claimed::Mine(claim) => claim,
            Claimed::Taken => {
                session = Some(open);
                continue;
            }
            Claimed::Full(until) => {
                sent.held_until = Some(until);
                session = Some(open);
                break;
            }
        };
        match send(store, &mut open, claim, (from, &mail), clock)? {
            Ok(answer) => {
                store.write(|tx| {
                    tx.mail_sent(claim, &answer, clock())?;
                    tx.relay_works(clock())
                })?;
                tracing::info!(mail.id, "Sent mail {}", mail.id);
                sent.sent.push(Delivered {
                    to: mail.recipient,
                    answer,
                    file: None,
                });
                session = Some(open);
            }
            Err(failure @ (Failure::Busy { .. } | Failure::Login { .. })) => {
                let now = clock();
                store.write(|tx| pause(tx, Some(claim), &mail, &failure, now))?;
                tell_pause(&mail, &failure, sent);
                return Ok(false);
            }
            Err(failure) => {
                store.write(|tx| note_failure(tx, claim, &mail, &failure, clock()))?;
                // A server's answer often names the address, which is not for logs.
                let why = failure
                    .to_string()
                    .replace(&mail.recipient, "the recipient");
                tracing::warn!(mail.id, "Mail {} is not sent: {why}", mail.id);
                sent.failed(&mail.recipient, failure.to_string());
            }
        }
    }
    if let Some(session) = session {
        session.close();
    }
    if let Some(until) = sent.held_until {
        tracing::debug!("Enough mails were sent for now; the next go out at {until}");
    }
    Ok(sent.held_until.is_none())
}

/// What became of the wish to send a mail.
enum Claimed {
    Mine(Claim),
    /// Another process has it, or had it.
    Taken,
    /// No more may be sent till then.
    Full(Timestamp),
}

fn claim(
    tx: &Tx<'_>,
    mail: &DueMail,
    limits: &Limits,
    now: Timestamp,
) -> Result<Claimed, StoreError> {
    if let Some(until) = full_until(tx, limits, now)? {
        return Ok(Claimed::Full(until));
    }
    let claim = tx.claim_mail(mail.id, now)?;
    Ok(claim.map_or(Claimed::Taken, Claimed::Mine))
}

fn full_until(
    tx: &Tx<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    tx.mails_full_until(limits.a_minute, limits.a_day, now)
}

/// Sends a claimed mail; that its text goes out is committed before it does.
fn send(
    store: &mut Store,
    session: &mut Session<'_>,
    claim: Claim,
    (from, mail): (&Address, &DueMail),
    clock: &impl Fn() -> Timestamp,
) -> Result<Result<String, Failure>, StoreError> {
    let to = match mail.recipient.parse() {
        Ok(to) => to,
        Err(error) => {
            let text = format!("{error}");
            let (code, step) = (553, Step::From);
            return Ok(Err(Failure::Rejected { code, text, step }));
        }
    };
    if let Err(failure) = session.address(from, &to, &mail.bytes) {
        return Ok(Err(failure));
    }
    if !store.write(|tx| tx.mail_goes_out(claim, clock()))? {
        let text = "another process took it over".into();
        return Ok(Err(Failure::Deferred { code: None, text }));
    }
    Ok(session.text(&mail.bytes))
}

/// Puts off every mail: none would fare better than this one. A refused login costs no mail a try.
fn pause(
    tx: &Tx<'_>,
    claim: Option<Claim>,
    mail: &DueMail,
    failure: &Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    let answer = failure.to_string();
    if let Failure::Login { .. } = failure {
        let until = now + AFTER_REFUSED_LOGIN;
        if let Some(claim) = claim {
            tx.mail_returned(claim, &answer, until)?;
        }
        tx.mails_held(&answer, until)?;
        return tx.pause_relay("login", &answer, now, until);
    }
    let tries = tx.relay()?.map_or(0, |pause| pause.tries);
    let until = now + wait(tries + 1, mail.id);
    if let Some(claim) = claim {
        tx.mail_deferred(claim, &answer, until, now - GIVEN_UP)?;
    }
    tx.mails_paused(&answer, until, now - GIVEN_UP)?;
    tx.pause_relay("busy", &answer, now, until)
}

fn tell_pause(mail: &DueMail, failure: &Failure, sent: &mut Sent) {
    let why = failure
        .to_string()
        .replace(&mail.recipient, "the recipient");
    if let Failure::Login { .. } = failure {
        tracing::warn!(
            "The SMTP server refuses the login, and is left alone for 15 minutes; mend the user and password in COPYDESK_SMTP_URL: {why}"
        );
    } else {
        tracing::warn!("The SMTP server takes no mail: {why}");
    }
    sent.failed(&mail.recipient, failure.to_string());
}

fn note_failure(
    tx: &Tx<'_>,
    claim: Claim,
    mail: &DueMail,
    failure: &Failure,
    now: Timestamp,
) -> Result<(), StoreError> {
    let answer = failure.to_string();
    if let Failure::Rejected { .. } | Failure::Deferred { code: Some(_), .. } = failure {
        // What it says of one mail shows that it takes others.
        tx.relay_works(now)?;
    }
    match failure {
        Failure::Rejected { step, .. } => {
            tx.mail_failed(claim, &answer)?;
            if *step == Step::To
                && tx.address_refused(mail.id, now - REFUSALS_WITHIN, now)? >= REFUSALS
            {
                tx.suspend(&mail.recipient, &answer, now, now + SUSPENDED)?;
            }
            Ok(())
        }
        Failure::Uncertain { .. } => tx.mail_uncertain(claim, &answer, now + AFTER_LOST_ANSWER),
        Failure::Deferred { .. } | Failure::Busy { .. } | Failure::Login { .. } => {
            let next = now + wait(claim.tries, claim.id);
            tx.mail_deferred(claim, &answer, next, now - GIVEN_UP)
        }
    }
}

/// Notes that a test mail to an address was taken: the server works, and so does the address.
///
/// # Errors
/// [`StoreError`].
pub fn test_was_taken(store: &mut Store, to: &Address, now: Timestamp) -> Result<(), StoreError> {
    store.write(|tx| {
        tx.lift(&to.to_string().to_ascii_lowercase())?;
        tx.relay_works(now)
    })
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
    // Its name follows from the row too: what a process that was killed has left is written over.
    let part = folder.join(format!(".{name}.tmp"));
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, &path)?;
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
