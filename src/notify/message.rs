//! A mail as bytes: its headers and its two bodies.

use crate::notify::NotifyError;
use crate::notify::plan::Owed;
use crate::rules::Reviewer;
use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, MultiPartKind, SinglePart};

/// A Message-ID that no other mail has.
pub(super) fn id(kind: &str, from: &Mailbox) -> String {
    format!("<{kind}-{}@{}>", uuid::Uuid::now_v7(), from.email.domain())
}

pub(super) fn of(
    reviewer: &Reviewer,
    owed: &Owed,
    (from, id): (&Mailbox, &str),
    now: Timestamp,
) -> Result<Message, NotifyError> {
    let failed = |error: &dyn std::fmt::Display| {
        NotifyError::Message(reviewer.email.clone(), error.to_string())
    };
    let address = reviewer.email.parse().map_err(|error| failed(&error))?;
    let letter = &owed.letter;
    let mut message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(Some(letter.name.clone()), address))
        .subject(&letter.subject)
        .date(now.into())
        .message_id(Some(id.to_owned()))
        .header(AutoSubmitted("auto-generated".into()))
        .header(Precedence("bulk".into()))
        .header(ListId(format!(
            "copydesk <copydesk.{}>",
            from.email.domain()
        )));
    // The mails about one item are one thread; each other mail begins its own.
    if let ("alert", [told]) = (owed.kind, owed.told.as_slice()) {
        let thread = format!("<item-{}@{}>", told.item, from.email.domain());
        message = message.in_reply_to(thread.clone()).references(thread);
    }
    if let Some(unsubscribe) = &letter.unsubscribe {
        message = message
            .header(Unsubscribe(format!("<{unsubscribe}>")))
            .header(UnsubscribePost("List-Unsubscribe=One-Click".into()));
    }
    let text = letter.text().map_err(|error| failed(&error))?;
    let html = letter.html().map_err(|error| failed(&error))?;
    let both = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(boundary(id))
        .singlepart(SinglePart::plain(text))
        .singlepart(SinglePart::html(html));
    message.multipart(both).map_err(|error| failed(&error))
}

/// What stands between the two bodies: it follows from the Message-ID, so that nothing else about a
/// mail is left to chance.
fn boundary(id: &str) -> String {
    let id = id.trim_start_matches('<').split('@').next();
    format!("=_{}", id.unwrap_or_default())
}

/// A short mail to see whether mail goes out.
pub(super) fn test(
    from: &Mailbox,
    to: &Address,
    now: Timestamp,
) -> Result<Message, lettre::error::Error> {
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject("copydesk: a test")
        .date(now.into())
        .message_id(Some(id("test", from)))
        .header(AutoSubmitted("auto-generated".into()))
        .header(ContentType::TEXT_PLAIN)
        .body(
            "This mail was asked for by `copydesk notify --test`. Mail from copydesk arrives.\n"
                .to_owned(),
        )
}

/// A link that signs its reader in.
pub(super) fn sign_in(
    from: &Mailbox,
    (name, to): (&str, &Address),
    link: &str,
    now: Timestamp,
) -> Result<Message, lettre::error::Error> {
    let text = format!(
        "Someone, you we hope, asked to sign in to the copy desk. This link does, once, within ten\nminutes:\n\n{link}\n\nIf it was not you, do nothing: without the link nobody gets in.\n"
    );
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(Some(name.to_owned()), to.clone()))
        .subject("Sign in to the copy desk")
        .date(now.into())
        .message_id(Some(id("sign-in", from)))
        .header(AutoSubmitted("auto-generated".into()))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
}

/// Headers that lettre does not know.
macro_rules! header {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        struct $name(String);

        impl Header for $name {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($text)
            }

            fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self(text.to_owned()))
            }

            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), self.0.clone())
            }
        }
    };
}

header!(
    /// No holiday notice answers it (RFC 3834).
    AutoSubmitted,
    "Auto-Submitted"
);
header!(
    /// The same for programs that know no better.
    Precedence,
    "Precedence"
);
header!(
    /// What mail programs sort it by (RFC 2919).
    ListId,
    "List-Id"
);
header!(
    /// Where it is stopped (RFC 2369).
    Unsubscribe,
    "List-Unsubscribe"
);
header!(
    /// That one click is enough (RFC 8058).
    UnsubscribePost,
    "List-Unsubscribe-Post"
);
