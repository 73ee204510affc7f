//! Tells reviewers what waits for them, once.
//!
//! What to send is decided purely (`digest::due`) from what waits, what she was told and the time.
//! A mail is a row first, with its bytes and its Message-ID fixed; it is sent from the row, and
//! counts as told only when it was sent. Without an SMTP server a mail lands as an `.eml` file.
//!
//! Before a mail goes to a server its row is claimed, so that two processes do not send it at once
//! ([`outbox`]). What is refused for the moment waits, longer each time; what is refused for good is
//! given up and shown by `status`. When the answer to a whole mail is lost, it is sent once more,
//! with the same Message-ID, and never a third time.

pub mod digest;
pub mod outbox;
pub mod smtp;

use crate::notify::digest::{Due, Trouble, Waiting};
use crate::notify::outbox::{Delivered, Outbox, Sent, Way};
use crate::notify::smtp::Session;
use crate::record::value::Map;
use crate::rules::assess::Hit;
use crate::rules::{Reviewer, RuleSet};
use crate::schedule::rfc3339;
use crate::store::mails::NewMail;
use crate::store::{Store, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};
use lettre::Address;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use std::time::Instant;

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
    tick_by(store, rules, outbox, when, &|| now + started.elapsed())
}

/// [`tick`], by a clock of the caller's: servers are waited for, and time goes on meanwhile.
///
/// # Errors
/// [`NotifyError`].
pub fn tick_by(
    store: &mut Store,
    rules: &RuleSet,
    outbox: &Outbox,
    when: When,
    clock: &impl Fn() -> Timestamp,
) -> Result<Sent, NotifyError> {
    let now = clock();
    let mut sent = Sent::default();
    store.write(|tx| outbox::look_after_abandoned(tx, now))?;
    let reached = outbox::deliver(store, outbox, &mut sent, clock)?;
    // What is owed is seen and stored in one transaction, so that two processes do not tell twice.
    store.write(|tx| {
        let unsent = tx.unsent_mails()?;
        let suspended = tx.suspended(now)?;
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
            if let Some(suspended) = suspended.iter().find(|s| s.address == *to) {
                let (until, answer) = (rfc3339(suspended.until), &suspended.answer);
                sent.failed(to, format!("it is suspended until {until}: the server refused it three times within a day: {answer}"));
                continue;
            }
            let message_id = message_id("digest", &outbox.from);
            // One address that cannot be written to does not keep the others waiting.
            let message = match message(&outbox.from, &owed, &message_id, now) {
                Ok(message) => message,
                Err(error) => {
                    tracing::warn!("A mail could not be written: {error}");
                    sent.failed(to, error.to_string());
                    continue;
                }
            };
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
        outbox::deliver(store, outbox, &mut sent, clock)?;
    }
    let unsent = store.read(|tx| tx.unsent_mails())?;
    sent.waiting = unsent
        .into_iter()
        .filter(|(to, _)| !sent.has_failed(to))
        .map(|(to, next)| (to, sent.held_until.map_or(next, |held| held.max(next))))
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
            let path = outbox::land(folder, "test", to.as_ref(), &bytes)
                .map_err(|error| failed(&error))?;
            (outbox::written(&path), Some(path))
        }
        Way::Smtp(settings) => {
            let mut session = Session::open(settings).map_err(|error| failed(&error))?;
            let addressed = session.address(&outbox.from.email, to, &bytes);
            addressed.map_err(|error| failed(&error))?;
            let answer = session.text(&bytes).map_err(|error| failed(&error))?;
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

/// A schedule that was kept this far ahead was so before the clock was set back, and what it waits
/// for must not be years away.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

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
        let kept_to = kept_to.filter(|kept_to| *kept_to <= now + SET_BACK);
        if let Some(at) = crate::schedule::cron::due(schedule, &reviewer.timezone, kept_to, now) {
            tx.keep_to(&reviewer.email, at)?;
            come.push(reviewer.email.clone());
        }
    }
    Ok(come)
}

fn message_id(kind: &str, from: &Mailbox) -> String {
    format!("<{kind}-{}@{}>", uuid::Uuid::now_v7(), from.email.domain())
}

/// The mail as it is stored and sent.
///
/// # Errors
/// [`NotifyError::Message`] when an address cannot be written to.
pub fn message(
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

/// Who published a record, as a digest names them.
#[must_use]
pub fn provider(fields: &Map) -> Option<String> {
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

/// What a record is about, as its file says.
#[must_use]
pub fn topics(fields: &Map) -> Vec<String> {
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
