//! `copydesk mails`: what was sent, when, why, and what came of it.

use super::screen::{FAINT, counted, styled};
use super::{Desk, Exit};
use crate::record::shown;
use crate::schedule::rfc3339;
use crate::store::StoreError;
use crate::store::mails::Sent;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only mails to this address
    #[arg(long, value_name = "EMAIL")]
    to: Option<String>,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let to = args.to.as_deref().map(str::to_ascii_lowercase);
    let mails = desk.store()?.read(|tx| {
        let mails = tx.mails(to.as_deref())?;
        let with_items = mails
            .into_iter()
            .map(|mail| Ok((tx.mail_items(mail.id)?, mail)));
        with_items.collect::<Result<Vec<_>, StoreError>>()
    })?;
    if desk.screen.is_json() {
        let lines: Vec<_> = mails
            .iter()
            .map(|(items, mail)| {
                json!({
                    "id": mail.id, "to": mail.recipient, "kind": mail.kind, "reason": mail.reason,
                    "subject": mail.subject, "status": mail.status, "at": rfc3339(mail.sent_at.unwrap_or(mail.created_at)),
                    "answer": mail.answer, "items": items, "tries": mail.tries,
                    "next": waits(mail).then(|| rfc3339(mail.next_at)),
                })
            })
            .collect();
        desk.screen.json(&lines)?;
        return Ok(Exit::Done);
    }
    for (items, mail) in &mails {
        let at = rfc3339(mail.sent_at.unwrap_or(mail.created_at));
        let (to, status, kind) = (&mail.recipient, &mail.status, &mail.kind);
        let (reason, items) = (&mail.reason, counted(items.len(), "item"));
        desk.screen
            .line(format!("{at}  {to}  {kind} {status}: {reason}, {items}"))?;
        let subject = format!("    {}", mail.subject);
        desk.screen.line(styled(FAINT, subject))?;
        let answer = mail.answer.as_deref().unwrap_or("not tried yet");
        let mut answer = format!("    {}", shown::line(answer, 160));
        if waits(mail) && mail.tries > 0 {
            answer += &format!("; next try {}", rfc3339(mail.next_at));
        }
        desk.screen.line(styled(FAINT, answer))?;
    }
    if mails.is_empty() {
        desk.screen.line("no mail was sent")?;
    }
    Ok(Exit::Done)
}

/// Whether it will be tried at a known time.
fn waits(mail: &Sent) -> bool {
    matches!(mail.status.as_str(), "queued" | "uncertain")
}
