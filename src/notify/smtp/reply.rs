//! What a server's reply means, by a table.

use std::ops::RangeInclusive;

/// Where in the talk a reply is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The greeting, `EHLO` and `STARTTLS`.
    Connect,
    /// `AUTH`.
    Login,
    /// `MAIL`.
    From,
    /// `RCPT`.
    To,
    /// `DATA`.
    Data,
    /// The final dot.
    Text,
}

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The talk goes on; after the final dot: the mail is taken.
    Yes,
    /// This mail is not taken now.
    Later,
    /// This mail is never taken.
    Never,
    /// The server takes no mail now.
    Busy,
    /// The login is not good, or needed.
    Login,
    /// It is out of place.
    Senseless,
}

type Row = (
    &'static [Step],
    RangeInclusive<u16>,
    &'static str,
    &'static str,
    Meaning,
);

const TALK: &[Step] = &[Step::Connect, Step::Login];
const MAIL: &[Step] = &[Step::From, Step::To, Step::Data, Step::Text];
const ANY: &[Step] = &[
    Step::Connect,
    Step::Login,
    Step::From,
    Step::To,
    Step::Data,
    Step::Text,
];

/// Steps, codes, what the text begins with, a word in it, and what that means. The first row that
/// fits holds; what none fits is out of place.
///
/// The rows with words are refusals that are called permanent and pass with time: Google's "550
/// 5.4.5 Daily user sending limit exceeded" and "550 5.7.1 Daily SMTP relay limit exceeded", a full
/// mailbox.
const TABLE: &[Row] = &[
    (ANY, 421..=421, "", "", Meaning::Busy),
    (ANY, 454..=454, "", "", Meaning::Busy),
    (ANY, 530..=530, "", "", Meaning::Login),
    (ANY, 534..=535, "", "", Meaning::Login),
    (ANY, 538..=538, "", "", Meaning::Login),
    (TALK, 400..=499, "", "", Meaning::Busy),
    (&[Step::Login], 500..=599, "", "", Meaning::Login),
    (&[Step::Connect], 500..=599, "", "", Meaning::Busy),
    (MAIL, 400..=499, "", "", Meaning::Later),
    (MAIL, 500..=599, "5.4.5", "", Meaning::Later),
    (MAIL, 500..=599, "5.7.1", "limit exceeded", Meaning::Later),
    (MAIL, 500..=599, "", "sending limit", Meaning::Later),
    (MAIL, 500..=599, "", "relay limit", Meaning::Later),
    (MAIL, 500..=599, "", "daily limit", Meaning::Later),
    (MAIL, 500..=599, "", "rate limit", Meaning::Later),
    (MAIL, 500..=599, "", "quota", Meaning::Later),
    (MAIL, 500..=599, "", "", Meaning::Never),
    (&[Step::Data], 354..=354, "", "", Meaning::Yes),
    (&[Step::Data], 200..=299, "", "", Meaning::Senseless),
    (ANY, 200..=299, "", "", Meaning::Yes),
];

pub(super) fn meaning(step: Step, code: u16, text: &str) -> Meaning {
    let text = text.to_lowercase();
    let detail = text.split([' ', '\t']).next().unwrap_or_default();
    let row = TABLE.iter().find(|(steps, codes, enhanced, words, _)| {
        steps.contains(&step)
            && codes.contains(&code)
            && (enhanced.is_empty() || detail == *enhanced)
            && text.contains(words)
    });
    row.map_or(Meaning::Senseless, |(.., means)| *means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_means_what_the_table_says() {
        use Meaning::{Busy, Later, Login, Never, Senseless, Yes};
        use Step::{Connect, Data, From, Text, To};
        for (step, code, text, expected) in [
            (Text, 250, "2.0.0 taken", Yes),
            (Text, 251, "", Yes),
            (Text, 354, "go ahead", Senseless),
            (Text, 150, "", Senseless),
            (Data, 354, "", Yes),
            (Data, 250, "", Senseless),
            (Data, 355, "", Senseless),
            (From, 354, "", Senseless),
            (To, 450, "4.7.1 greylisted", Later),
            (Text, 452, "4.3.1 full", Later),
            (To, 550, "5.1.1 No such user", Never),
            (To, 550, "5.7.1 Rejected", Never),
            (Text, 552, "5.3.4 Message size limit exceeded", Never),
            (Text, 554, "5.7.1 spam", Never),
            (
                To,
                550,
                "5.4.5 Daily user sending limit exceeded. More",
                Later,
            ),
            (From, 550, "5.4.50 odd", Never),
            (
                Text,
                550,
                "5.7.1 Daily SMTP relay limit exceeded for customer.",
                Later,
            ),
            (To, 552, "5.2.2 Mailbox is over quota", Later),
            (Connect, 421, "4.3.2 closing", Busy),
            (To, 421, "4.3.2 closing", Busy),
            (Connect, 554, "no mail here", Busy),
            (Connect, 450, "later", Busy),
            (Step::Login, 454, "4.7.0 Temporary", Busy),
            (Step::Login, 535, "5.7.8 wrong", Login),
            (Step::Login, 501, "bad", Login),
            (Step::Login, 235, "welcome", Yes),
            (From, 530, "5.7.0 log in first", Login),
            (Text, 600, "", Senseless),
        ] {
            assert_eq!(
                meaning(step, code, text),
                expected,
                "{step:?}: {code} {text}"
            );
        }
    }
}
