//! Tells reviewers what waits for them, once.
//!
//! What to send is decided purely ([`due`]) from what waits, what she was told, her schedule and the
//! time. A mail is a row first, with its bytes and its Message-ID fixed; it is sent from the row, and
//! counts as told only when it was sent. Without an SMTP server a mail lands as an `.eml` file.
//!
//! Before a mail goes to a server its row is claimed, so that two processes do not send it at once
//! ([`outbox`]). What is refused for the moment waits, longer each time; what is refused for good is
//! given up and shown by `status`. When the answer to a whole mail is lost, it is sent once more,
//! with the same Message-ID, and never a third time.

pub mod due;
pub mod letter;
mod message;
pub mod outbox;
mod plan;
pub mod smtp;
pub mod waiting;

pub use due::{Silence, When};
pub use plan::{Owed, Plan};

use crate::notify::letter::Links;
use crate::notify::outbox::{Delivered, Outbox, Sent, Way};
use crate::notify::plan::View;
use crate::notify::smtp::Session;
use crate::rules::{Reviewer, RuleSet};
use crate::schedule::rfc3339;
use crate::store::mails::NewMail;
use crate::store::{Store, StoreError, Tx};
use jiff::Timestamp;
use lettre::Address;
use lettre::message::Mailbox;
use std::time::Instant;

/// What is owed to each reviewer now, or why nothing is.
///
/// # Errors
/// [`StoreError`].
pub fn plans<'r>(
    store: &mut Store,
    rules: &'r RuleSet,
    links: Option<&Links>,
    (when, now): (When, Timestamp),
) -> Result<Vec<Plan<'r>>, StoreError> {
    store.read(|tx| plan::plans(tx, rules, links, (when, now)))
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
    outbox::look_after_abandoned(store, now)?;
    let reached = outbox::deliver(store, outbox, &mut sent, clock)?;
    if write_owed(store, rules, outbox, &mut sent, (when, now))? && reached {
        outbox::deliver(store, outbox, &mut sent, clock)?;
    }
    let unsent = store.read(|tx| tx.unsent_mails())?;
    sent.waiting = unsent
        .into_iter()
        .filter(|(to, _)| !sent.has_failed(to))
        .map(|(to, next)| (to, sent.held_until.map_or(next, |held| held.max(next))))
        .collect();
    if when == When::Now || !sent.is_empty() {
        let counts = serde_json::json!({"sent": sent.sent.len(), "failed": sent.failed.len()});
        let counts = counts.to_string();
        store.write(|tx| tx.note_run("notify", rules.hash, &counts, now))?;
    }
    Ok(sent)
}

/// Writes and stores what is owed. Says whether anything may have been.
fn write_owed(
    store: &mut Store,
    rules: &RuleSet,
    outbox: &Outbox,
    sent: &mut Sent,
    (when, now): (When, Timestamp),
) -> Result<bool, NotifyError> {
    let reviewers = match when {
        When::Now => rules.reviewers.iter().collect(),
        When::Scheduled => store.read(|tx| plan::may_be_owed(tx, rules, now))?,
    };
    if reviewers.is_empty() {
        return Ok(false);
    }
    let links = outbox.links(now)?;
    let mut view = store.read(|tx| View::of(tx, rules, now))?;
    // What is owed to one is seen and stored in one transaction, so that two processes do not tell
    // twice; with all in one, a thousand reviewers would keep everybody waiting.
    for reviewer in reviewers {
        view = store.write(|tx| {
            let view = view.renewed(tx, rules, now)?;
            let plan = plan::plan(tx, rules, (&view, reviewer), links.as_ref(), (when, now))?;
            write_to(tx, &plan, outbox, sent, now)?;
            Ok::<_, NotifyError>(view)
        })?;
    }
    Ok(true)
}

/// Writes and stores what is owed to one reviewer.
fn write_to(
    tx: &Tx<'_>,
    plan: &Plan<'_>,
    outbox: &Outbox,
    sent: &mut Sent,
    now: Timestamp,
) -> Result<(), NotifyError> {
    let to = &plan.reviewer.email;
    // Her time is not kept while a mail to her waits: it comes when that is sent.
    if sent.has_failed(to) || tx.unsent_mails()?.iter().any(|(waits, _)| waits == to) {
        return Ok(());
    }
    if let Some(at) = plan.kept {
        tx.keep_to(to, at)?;
    }
    let Some(owed) = plan.owed() else {
        return Ok(());
    };
    if let Some(suspended) = tx.suspended(now)?.iter().find(|s| s.address == *to) {
        let (until, answer) = (rfc3339(suspended.until), &suspended.answer);
        sent.failed(to, format!("it is suspended until {until}: the server refused it three times within a day: {answer}"));
        return Ok(());
    }
    // One address that cannot be written to does not keep the others waiting.
    if let Err(error) = queue(tx, plan, owed, outbox, now)? {
        tracing::warn!("A mail could not be written: {error}");
        sent.failed(to, error.to_string());
    }
    Ok(())
}

/// Writes a mail and stores it to be sent.
fn queue(
    tx: &Tx<'_>,
    plan: &Plan<'_>,
    owed: &Owed,
    outbox: &Outbox,
    now: Timestamp,
) -> Result<Result<(), NotifyError>, StoreError> {
    let message_id = message::id(owed.kind, &outbox.from);
    let message = match message::of(plan.reviewer, owed, (&outbox.from, &message_id), now) {
        Ok(message) => message,
        Err(error) => return Ok(Err(error)),
    };
    let mail = NewMail {
        message_id: &message_id,
        kind: owed.kind,
        recipient: &plan.reviewer.email,
        reason: &owed.reason,
        subject: &owed.letter.subject,
        bytes: &message.formatted(),
        items: &owed.told,
    };
    tx.queue_mail(&mail, now)?;
    Ok(Ok(()))
}

/// A mail as it would be sent.
///
/// # Errors
/// [`NotifyError::Message`].
pub fn preview(
    reviewer: &Reviewer,
    owed: &Owed,
    from: &Mailbox,
    now: Timestamp,
) -> Result<Vec<u8>, NotifyError> {
    let id = message::id(owed.kind, from);
    let message = message::of(reviewer, owed, (from, &id), now)?;
    Ok(message.formatted())
}

/// Sends a short mail at once, stored nowhere, to see whether mail goes out.
///
/// # Errors
/// Why it was not sent.
pub fn test(outbox: &Outbox, to: &Address, now: Timestamp) -> Result<Delivered, NotifyError> {
    let failed = |error: &dyn std::fmt::Display| NotifyError::Test(error.to_string());
    let message = message::test(&outbox.from, to, now).map_err(|error| failed(&error))?;
    let delivered = send_now(outbox, "test", to, &message.formatted());
    delivered.map_err(|error| failed(&error))
}

/// Sends a link that signs a reviewer in. It is stored nowhere: whoever reads the database, or a
/// backup of it, is not let in by it.
///
/// # Errors
/// Why it was not sent.
pub fn sign_in(
    outbox: &Outbox,
    reviewer: &Reviewer,
    link: &str,
    now: Timestamp,
) -> Result<Delivered, NotifyError> {
    let failed = |error: &dyn std::fmt::Display| {
        NotifyError::Message(reviewer.email.clone(), error.to_string())
    };
    let to = reviewer.email.parse().map_err(|error| failed(&error))?;
    let message = message::sign_in(&outbox.from, (&reviewer.name, &to), link, now);
    let message = message.map_err(|error| failed(&error))?;
    // Each as a file of its own.
    let name = format!("sign-in-{}", uuid::Uuid::now_v7());
    let delivered = send_now(outbox, &name, &to, &message.formatted());
    delivered.map_err(|error| failed(&error))
}

fn send_now(outbox: &Outbox, name: &str, to: &Address, bytes: &[u8]) -> Result<Delivered, String> {
    let (answer, file) = match &outbox.way {
        Way::Folder(folder) => {
            let path = outbox::land(folder, name, to.as_ref(), bytes);
            let path = path.map_err(|error| error.to_string())?;
            (outbox::written(&path), Some(path))
        }
        Way::Smtp(settings) => {
            let failed = |error: smtp::Failure| error.to_string();
            let mut session = Session::open(settings).map_err(failed)?;
            let addressed = session.address(&outbox.from.email, to, bytes);
            addressed.map_err(failed)?;
            let answer = session.text(bytes).map_err(failed)?;
            session.close();
            (answer, None)
        }
    };
    let to = to.to_string();
    Ok(Delivered { to, answer, file })
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
    /// Links cannot be signed.
    #[error(transparent)]
    Keys(#[from] crate::token::KeyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
