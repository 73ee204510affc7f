//! `copydesk notify`: what is owed to whom, and sending it.

use super::screen::{FAINT, counted, styled};
use super::{Desk, Exit};
use crate::intake;
use crate::notify::{self, Outbox};
use crate::schedule::rfc3339;
use crate::store::Store;
use lettre::message::Mailbox;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say what is owed to whom and why, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// The address that mails come from
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "COPYDESK_MAIL_FROM",
        default_value = "copydesk@localhost"
    )]
    mail_from: Mailbox,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let rules = desk.rules()?;
    for reviewer in rules
        .reviewers
        .iter()
        .filter(|reviewer| reviewer.digest.is_none())
    {
        if !desk.screen.is_json() {
            desk.screen.complain(format!(
                "{} has no `digest:` in the rules and gets none",
                reviewer.email
            ))?;
        }
    }
    if args.dry_run {
        let mut copy = desk.store()?.copy_in_memory()?;
        intake::pass_time(&mut copy, desk.now)?;
        let owed = notify::owed(&mut copy, &rules, desk.now)?;
        if desk.screen.is_json() {
            let lines: Vec<_> = owed
                .iter()
                .map(|owed| {
                    let items: Vec<i64> = owed.due.told.iter().map(|(item, ..)| *item).collect();
                    let reason = owed.due.reason.to_string();
                    let to = &owed.reviewer.email;
                    json!({"to": to, "kind": "digest", "reason": reason, "due": rfc3339(desk.now), "items": items})
                })
                .collect();
            desk.screen.json(&lines)?;
            return Ok(Exit::Done);
        }
        for owed in &owed {
            let items = counted(owed.due.told.len(), "item");
            desk.screen.line(format!(
                "{}  digest, {}: {items}",
                owed.reviewer.email, owed.due.reason
            ))?;
            desk.screen
                .line(styled(FAINT, format!("    {}", owed.subject)))?;
        }
        if owed.is_empty() {
            desk.screen.line("nothing is owed to anyone")?;
        }
        return Ok(Exit::Done);
    }
    let mut store = Store::open(&desk.folders.database())?;
    intake::pass_time(&mut store, desk.now)?;
    let outbox = Outbox {
        from: args.mail_from.clone(),
        folder: desk.folders.mail(),
    };
    let sent = notify::tick(&mut store, &rules, &outbox, desk.now)?;
    if desk.screen.is_json() {
        let lines: Vec<_> = sent
            .sent
            .iter()
            .map(|(to, path)| json!({"to": to, "file": path}))
            .collect();
        desk.screen.json(&lines)?;
    } else {
        for (to, path) in &sent.sent {
            desk.screen.line(format!("{to}  {}", path.display()))?;
        }
        if sent.sent.is_empty() && sent.failed.is_empty() {
            desk.screen.line("nothing is owed to anyone")?;
        }
    }
    for (to, why) in &sent.failed {
        desk.screen
            .complain(format!("the mail to {to} is not sent: {why}"))?;
    }
    Ok(if sent.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Wrong
    })
}
