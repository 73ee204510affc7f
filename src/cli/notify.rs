//! `copydesk notify`: what is owed to whom, and sending it.

use super::screen::{FAINT, counted, styled};
use super::{Desk, Exit, Usage};
use crate::config::Mail;
use crate::intake;
use crate::notify::outbox::{self, Delivered, Outbox};
use crate::notify::{self, When};
use crate::schedule::rfc3339;
use crate::store::Store;
use lettre::Address;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say what is owed to whom and why, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Send one short mail to this address now, and print what the server answers
    #[arg(long, value_name = "EMAIL", conflicts_with = "dry_run")]
    test: Option<Address>,
    #[command(flatten)]
    mail: Mail,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    if let Some(to) = &args.test {
        let outbox = settings(desk, args)?;
        let delivered = notify::test(&outbox, to, desk.now)?;
        if delivered.file.is_none() {
            let mut store = Store::open_existing(&desk.folders.database())?;
            outbox::test_was_taken(&mut store, to, desk.now)?;
        }
        print(desk, &[delivered])?;
        return Ok(Exit::Done);
    }
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
    let outbox = settings(desk, args)?;
    let mut store = Store::open(&desk.folders.database())?;
    intake::pass_time(&mut store, desk.now)?;
    let sent = notify::tick(&mut store, &rules, &outbox, When::Now, desk.now)?;
    print(desk, &sent.sent)?;
    let quiet = sent.sent.is_empty() && sent.failed.is_empty() && sent.waiting.is_empty();
    if quiet && !desk.screen.is_json() {
        desk.screen.line("nothing is owed to anyone")?;
    }
    for (to, next) in &sent.waiting {
        let next = rfc3339(*next);
        desk.screen
            .complain(format!("a mail to {to} waits until {next}"))?;
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

fn settings(desk: &Desk<'_>, args: &Args) -> Result<Outbox, Usage> {
    Outbox::new(&args.mail, desk.folders.mail()).map_err(Usage)
}

fn print(desk: &mut Desk<'_>, delivered: &[Delivered]) -> anyhow::Result<()> {
    if desk.screen.is_json() {
        let lines: Vec<_> = delivered
            .iter()
            .map(|mail| json!({"to": mail.to, "file": mail.file, "answer": mail.answer}))
            .collect();
        return desk.screen.json(&lines);
    }
    for Delivered { to, answer, file } in delivered {
        let file = file.as_ref().map(|file| file.display().to_string());
        desk.screen
            .line(format!("{to}  {}", file.as_ref().unwrap_or(answer)))?;
    }
    Ok(())
}
