//! Tells reviewers what waits for them, once.
//!
//! What to send is decided purely (`digest::due`) from what waits, what she was told and the time.
//! A mail is a row first, with its bytes and its Message-ID fixed; it is sent from the row, and
//! counts as told only when it was sent. Without an SMTP server a mail lands as an `.eml` file.

pub mod digest;

use crate::notify::digest::{Due, Waiting};
use crate::record::value::Map;
use crate::rules::assess::Hit;
use crate::rules::{Reviewer, RuleSet};
use crate::store::mails::NewMail;
use crate::store::{Store, StoreError, Tx};
use jiff::Timestamp;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use std::io::Write;
use std::path::{Path, PathBuf};

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
    /// Addresses of the mails that were sent, and where they went.
    pub sent: Vec<(String, PathBuf)>,
    /// Addresses of those that were not, and why.
    pub failed: Vec<(String, String)>,
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
    let broken = tx.broken()?.len();
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
            let text = digest::text(reviewer, &due, &hers, broken, now);
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
    now: Timestamp,
) -> Result<Sent, NotifyError> {
    let mut sent = Sent::default();
    deliver(store, outbox, &mut sent, now)?;
    // What is owed is seen and stored in one transaction, so that two processes do not tell twice.
    store.write(|tx| {
        let waits = tx.queued_mails()?;
        for owed in owed_in(tx, rules, now)? {
            if waits
                .iter()
                .any(|mail| mail.recipient == owed.reviewer.email)
            {
                continue;
            }
            let domain = outbox.from.email.domain();
            let message_id = format!("<digest-{}@{domain}>", uuid::Uuid::now_v7());
            let message = message(&outbox.from, &owed, &message_id, now)?;
            let mail = NewMail {
                message_id: &message_id,
                kind: "digest",
                recipient: &owed.reviewer.email,
                reason: &owed.due.reason.to_string(),
                subject: &owed.subject,
                bytes: &message.formatted(),
                items: &owed.due.told,
            };
            tx.queue_mail(&mail, now)?;
        }
        Ok::<_, NotifyError>(())
    })?;
    deliver(store, outbox, &mut sent, now)?;
    let counts =
        serde_json::json!({"sent": sent.sent.len(), "failed": sent.failed.len()}).to_string();
    store.write(|tx| tx.note_run("notify", rules.hash, &counts, now))?;
    Ok(sent)
}

/// Where mails go, and from whom they come.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// The sender.
    pub from: Mailbox,
    /// The folder that they land in as `.eml` files.
    pub folder: PathBuf,
}

/// Sends every mail that waits, oldest first.
fn deliver(
    store: &mut Store,
    outbox: &Outbox,
    sent: &mut Sent,
    now: Timestamp,
) -> Result<(), StoreError> {
    for mail in store.read(|tx| tx.queued_mails())? {
        match land(&outbox.folder, mail.id, &mail.recipient, &mail.bytes) {
            Ok(path) => {
                let answer = format!("written to {}", path.display());
                store.write(|tx| tx.mail_sent(mail.id, &answer, now))?;
                sent.sent.push((mail.recipient, path));
            }
            Err(error) => {
                let answer = format!(
                    "it cannot be written to {}: {error}",
                    outbox.folder.display()
                );
                store.write(|tx| tx.mail_failed(mail.id, &answer))?;
                sent.failed.retain(|(to, _)| *to != mail.recipient);
                sent.failed.push((mail.recipient, answer));
            }
        }
    }
    Ok(())
}

/// Writes a mail as a file whose name follows from its row, so that writing it twice is writing it
/// once.
fn land(folder: &Path, id: i64, recipient: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "@.-_+".contains(c) {
            c
        } else {
            '_'
        }
    };
    let path = folder.join(format!(
        "{id:06}-{}.eml",
        recipient.chars().map(safe).collect::<String>()
    ));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(path)
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
        (Some(name), Some(domain)) if name.to_lowercase() == domain => Some(domain),
        (Some(name), Some(domain)) => Some(format!("{name} ({domain})")),
        (name, domain) => name.map(str::to_owned).or(domain),
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
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
