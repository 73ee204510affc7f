//! What keeps mails from going out, in `status`.

use crate::schedule::rfc3339;
use crate::store::{StoreError, Tx};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// That the SMTP server is left alone.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RelayLine {
    /// `busy`, or `login` when the login is refused.
    pub reason: String,
    /// What it said.
    pub answer: String,
    /// Since when it takes nothing.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// When it is tried again.
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
}

/// An address that is sent nothing.
#[derive(Debug, JsonSchema, Serialize)]
pub struct SuspendedLine {
    /// The address.
    pub address: String,
    /// What the server said last.
    pub answer: String,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// Until when.
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
}

/// Looks at the server and at the addresses, and says what is wrong with them.
pub(super) fn look(
    tx: &Tx<'_>,
    now: Timestamp,
    problems: &mut Vec<String>,
) -> Result<(Option<RelayLine>, Vec<SuspendedLine>), StoreError> {
    let relay = tx.relay()?.map(|pause| RelayLine {
        reason: pause.reason,
        answer: pause.answer,
        since: rfc3339(pause.since),
        until: rfc3339(pause.until),
    });
    if let Some(RelayLine {
        reason,
        answer,
        since,
        until,
    }) = &relay
    {
        problems.push(if reason == "login" {
            format!("the SMTP server refuses the login since {since}: {answer}; mend the user and password in COPYDESK_SMTP_URL; it is tried again after {until}, and at once by `copydesk notify --test EMAIL`")
        } else {
            format!("the SMTP server takes no mail since {since}: {answer}; it is tried again after {until}")
        });
    }
    let suspended = tx.suspended(now)?.into_iter().map(|s| SuspendedLine {
        address: s.address,
        answer: s.answer,
        since: rfc3339(s.since),
        until: rfc3339(s.until),
    });
    let suspended: Vec<SuspendedLine> = suspended.collect();
    for SuspendedLine {
        address,
        answer,
        until,
        ..
    } in &suspended
    {
        problems.push(format!("{address} is sent nothing until {until}, since the server refused it three times within a day: {answer}; once it takes mail, `copydesk notify --test {address}` ends this"));
    }
    Ok((relay, suspended))
}
