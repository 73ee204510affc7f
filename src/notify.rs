//! Tells reviewers what waits for them, once.
//!
//! What to send is decided purely (`digest::due`) from what waits, what she was told and the time.
//! A mail is a row first, with its bytes and its Message-ID fixed; it is sent from the row, and
//! counts as told only when it was sent. Without an SMTP server a mail lands as an `.eml` file.
//!
//! Before a mail goes to a server its row is claimed, so that two processes do not send it at once.
//! What is refused for the moment waits, longer each time; what is refused for good is given up and
//! shown by `status`. When the answer to a whole mail is lost, it is sent once more, with the same
//! Message-ID, and never a third time.

pub mod digest;
pub mod smtp;

use crate::config;
use crate::notify::digest::{Due, Trouble, Waiting};
use crate::notify::smtp::{Failure, Session, SmtpSettings};
use crate::record::value::Map;
use crate::rules::assess::Hit;
use crate::rules::{Reviewer, RuleSet};
use crate::store::mails::{Claim, DueMail, NewMail};
use crate::store::{Store, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};
use lettre::Address;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
/// So many mails to one address given up within a day, and it is left alone for the rest of it.
const REFUSALS: i64 = 3;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A digest that is owed to a reviewer.
#[derive(Debug)]
pub struct Owed<'r> {
    /// To whom.
    pub reviewer: &'r Reviewer,
    /// What it tells, and why.
    pub due: Due,
    /// The subject of the mail.
    pub subject: String,
    /// The text of the mail.
    pub text: String,
}

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
    fn failed(&mut self, to: &str, why: String) {
        self.failed.retain(|(failed, _)| failed != to);
        self.failed.push((to.to_owned(), why));
    }

    fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.failed.is_empty()
    }

    fn has_failed(&self, to: &str) -> bool {
        self.failed.iter().any(|(failed, _)| failed == to)
    }
}

/// What is owed to whom now, the schedule aside.
///
/// # Errors
/// [`StoreError`].
pub fn owed<'r>(
    store: &mut Store,
    rules: &'r RuleSet,
    now: Timestamp,
) -> Result<Vec<Owed<'r>>, StoreError> {
    store.read(|tx| owed_in(tx, rules, now))
}

fn owed_in<'r>(
    tx: &Tx<'_>,
    rules: &'r RuleSet,
    now: Timestamp,
) -> Result<Vec<Owed<'r>>, StoreError> {
    let mut waiting = waiting(tx, now)?;
    // A stable sort keeps the order by rank within each queue.
    waiting.sort_by_key(|item| {
        rules
            .queues
            .iter()
            .position(|queue| queue.name == item.queue)
    });
    let trouble = Trouble {
        broken: tx.broken()?.len(),
        rules: tx.refused_rules()?,
    };
    let mut owed = Vec::new();
    for reviewer in rules
        .reviewers
        .iter()
        .filter(|reviewer| reviewer.digest.is_some())
    {
        let hers: Vec<&Waiting> = waiting
            .iter()
            .filter(|w| reviewer.reads(&w.queue))
            .collect();
        let (told, last) = tx.told(&reviewer.email)?;
        if let Some(due) = digest::due(&hers, &told, last, reviewer.remind, now) {
            let subject = digest::subject(&due);
            let text = digest::text(reviewer, &due, &hers, &trouble, now);
            owed.push(Owed {
                reviewer,
                due,
                subject,
                text,
            });
        }
    }
    Ok(owed)
}

/// Sends what waits to be sent, then what is owed. A mail that was written and not sent is sent as
/// it was written, and until it is, nothing new is written to her.
///
/// # Errors
/// [`NotifyError`]; a mail that could not be sent is a row, not an error.
pub fn tick(
    store: &mut Store,
    rules: &RuleSet,
    outbox: &Outbox,
    when: When,
    now: Timestamp,
) -> Result<Sent, NotifyError> {
    let started = Instant::now();
    let clock = || now + started.elapsed();
    let mut sent = Sent::default();
    store.write(|tx| look_after_abandoned(tx, now))?;
    let reached = deliver(store, outbox, &mut sent, &clock)?;
    // What is owed is seen and stored in one transaction, so that two processes do not tell twice.
    store.write(|tx| {
        let unsent = tx.unsent_mails()?;
        let scheduled = keep_schedules(tx, rules, when, now)?;
        if when == When::Scheduled && scheduled.is_empty() {
            return Ok(());
        }
        for owed in owed_in(tx, rules, now)? {
            let to = &owed.reviewer.email;
            if when == When::Scheduled && !scheduled.contains(to) {
                continue;
            }
            if sent.has_failed(to) || unsent.iter().any(|(waits, _)| waits == to) {
                continue;
            }
            if tx.failed_mails(to, now - DAY)? >= REFUSALS {
                let why = format!(
                    "{REFUSALS} mails to it were given up within a day; see `copydesk mails`"
                );
                sent.failed(to, why);
                continue;
            }
            let message_id = message_id("digest", &outbox.from);
            let message = message(&outbox.from, &owed, &message_id, now)?;
            let mail = NewMail {
                message_id: &message_id,
                kind: "digest",
                recipient: to,
                reason: &owed.due.reason.to_string(),
                subject: &owed.subject,
                bytes: &message.formatted(),
                items: &owed.due.told,
            };
            tx.queue_mail(&mail, now)?;
        }
        Ok::<_, NotifyError>(())
    })?;
    if reached {
        deliver(store, outbox, &mut sent, &clock)?;
    }
    let unsent = store.read(|tx| tx.unsent_mails())?;
    sent.waiting = unsent
        .into_iter()
        .filter(|(to, _)| !sent.has_failed(to))
        .collect();
    let counts =
        serde_json::json!({"sent": sent.sent.len(), "failed": sent.failed.len()}).to_string();
    if when == When::Now || !sent.is_empty() {
        store.write(|tx| tx.note_run("notify", rules.hash, &counts, now))?;
    }
    Ok(sent)
}

/// Sends a short mail at once, stored nowhere, to see whether mail goes out.
///
/// # Errors
/// Why it was not sent.
pub fn test(outbox: &Outbox, to: &Address, now: Timestamp) -> Result<Delivered, NotifyError> {
    let failed = |error: &dyn std::fmt::Display| NotifyError::Test(error.to_string());
    let message = Message::builder()
        .from(outbox.from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject("copydesk: a test")
        .date(now.into())
        .message_id(Some(message_id("test", &outbox.from)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(
            "This mail was asked for by `copydesk notify --test`. Mail from copydesk arrives.\n"
                .to_owned(),
        )
        .map_err(|error| failed(&error))?;
    let bytes = message.formatted();
    let (answer, file) = match &outbox.way {
        Way::Folder(folder) => {
            let path = land(folder, "test", to.as_ref(), &bytes).map_err(|error| failed(&error))?;
            (written(&path), Some(path))
        }
        Way::Smtp(settings) => {
            let mut session = Session::open(settings).map_err(|error| failed(&error))?;
            let answer = session.send(&outbox.from.email, to, &bytes);
            let answer = answer.map_err(|error| failed(&error))?;
            session.close();
            (answer, None)
        }
    };
    let to = to.to_string();
    Ok(Delivered { to, answer, file })
}

/// Whether the reviewers' schedules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only those are told whose time has come since their schedule was last kept.
    Scheduled,
    /// Whoever is owed something is told now.
    Now,
}

/// The addresses of those whose digest time has come, and notes that it was kept: times that were
/// missed are made up once.
fn keep_schedules(
    tx: &Tx<'_>,
    rules: &RuleSet,
    when: When,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut come = Vec::new();
    for reviewer in rules.reviewers.iter().filter(|_| when == When::Scheduled) {
        let Some(schedule) = &reviewer.digest else {
            continue;
        };
        let kept_to = tx.kept_to(&reviewer.email)?;
        if let Some(at) = crate::schedule::cron::due(schedule, &reviewer.timezone, kept_to, now) {
            tx.keep_to(&reviewer.email, at)?;
            come.push(reviewer.email.clone());
        }
    }
    Ok(come)
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
fn look_after_abandoned(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    for claim in tx.abandoned_mails(now - ABANDONED)? {
        let answer = "copydesk was stopped while it was sent";
        tx.mail_uncertain(claim, answer, now + AFTER_LOST_ANSWER)?;
    }
    Ok(())
}

/// Sends every mail that is due, oldest first; `false` when the server is to be left alone.
fn deliver(
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
fn land(folder: &Path, name: &str, recipient: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
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

fn written(path: &Path) -> String {
    format!("written to {}", path.display())
}

fn message_id(kind: &str, from: &Mailbox) -> String {
    format!("<{kind}-{}@{}>", uuid::Uuid::now_v7(), from.email.domain())
}

fn message(
    from: &Mailbox,
    owed: &Owed<'_>,
    message_id: &str,
    now: Timestamp,
) -> Result<Message, NotifyError> {
    let failed = |error: &dyn std::fmt::Display| {
        NotifyError::Message(owed.reviewer.email.clone(), error.to_string())
    };
    let address = owed
        .reviewer
        .email
        .parse()
        .map_err(|error| failed(&error))?;
    let name = crate::record::shown::line(&owed.reviewer.name, 80);
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(Some(name), address))
        .subject(&owed.subject)
        .date(now.into())
        .message_id(Some(message_id.to_owned()))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(owed.text.clone())
        .map_err(|error| failed(&error))
}

/// `Auto-Submitted: auto-generated` (RFC 3834): no holiday notice answers it.
#[derive(Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Every pending item as a digest shows it, by queue and rank.
fn waiting(tx: &Tx<'_>, now: Timestamp) -> Result<Vec<Waiting>, StoreError> {
    let mut waiting = Vec::new();
    for listed in tx.open_items()? {
        if listed.item.status != crate::item::Status::Pending {
            continue;
        }
        let (fields, _) = tx.contents(listed.item.record)?;
        let assessed = tx.assessment(listed.item.record)?;
        waiting.push(Waiting {
            id: listed.item.id,
            version: listed.item.version,
            queue: listed.item.queue.clone(),
            overdue: listed.item.is_overdue(now),
            changed_after_approval: listed.item.changed_after_approval,
            arrived_at: listed.item.arrived_at,
            due_at: listed.item.due_at,
            title: listed
                .title
                .or_else(|| listed.location.map(|l| l.to_string()))
                .unwrap_or(listed.identity),
            provider: provider(&fields),
            topics: topics(&fields),
            published_at: crate::record::published_at(&fields),
            score: listed.score,
            reasons: assessed.map(|a| best(a.hits)).unwrap_or_default(),
        });
    }
    Ok(waiting)
}

fn provider(fields: &Map) -> Option<String> {
    match (
        crate::record::provider(fields),
        crate::record::domain(fields),
    ) {
        (Some(name), Some(domain)) if name.to_lowercase() == domain => Some(domain.into_owned()),
        (Some(name), Some(domain)) => Some(format!("{name} ({domain})")),
        (name, domain) => name
            .map(str::to_owned)
            .or(domain.map(std::borrow::Cow::into_owned)),
    }
}

fn topics(fields: &Map) -> Vec<String> {
    let list = fields
        .get("topics")
        .and_then(|topics| topics.as_list())
        .unwrap_or_default();
    list.iter()
        .filter_map(|topic| topic.as_text().map(str::to_owned))
        .collect()
}

/// The two hits that weigh most.
fn best(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| std::cmp::Reverse(hit.points.abs()));
    hits.truncate(2);
    hits
}

/// Why nobody could be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A mail could not be put together.
    #[error("the mail to {0} could not be written: {1}")]
    Message(String, String),
    /// A test mail was not sent.
    #[error("the test mail is not sent: {0}")]
    Test(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
