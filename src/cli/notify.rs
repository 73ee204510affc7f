//! `copydesk notify`: what is owed to whom, and sending it.

use super::screen::{FAINT, STRONG, counted, styled};
use super::{Desk, Exit, Usage};
use crate::config::{Mail, Web};
use crate::intake;
use crate::notify::outbox::{self, Delivered, Outbox};
use crate::notify::{self, Plan, Silence, When};
use crate::rules::RuleSet;
use crate::schedule::{clock, rfc3339};
use crate::store::Store;
use anyhow::Context;
use lettre::Address;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say what is owed to whom and why, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Send one short mail to this address now, and print what the server answers
    #[arg(long, value_name = "EMAIL", conflicts_with = "dry_run")]
    test: Option<Address>,
    /// Write what is owed as HTML, text and `.eml` files into this folder, and send nothing
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["dry_run", "test"])]
    preview: Option<PathBuf>,
    #[command(flatten)]
    mail: Mail,
    #[command(flatten)]
    web: Web,
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
    if args.dry_run || args.preview.is_some() {
        return foresee(desk, args, &rules);
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

/// What would be sent by `copydesk notify` now, and when each reviewer's next times are; or the mails
/// themselves, as files.
fn foresee(desk: &mut Desk<'_>, args: &Args, rules: &RuleSet) -> anyhow::Result<Exit> {
    let mut copy = desk.store()?.copy_in_memory()?;
    intake::pass_time(&mut copy, desk.now)?;
    let outbox = settings(desk, args)?;
    let links = match &args.preview {
        // Only mails need them.
        Some(_) => outbox.links(desk.now)?,
        None => None,
    };
    let plans = notify::plans(&mut copy, rules, links.as_ref(), (When::Now, desk.now))?;
    if let Some(folder) = &args.preview {
        return preview(desk, &outbox, &plans, folder);
    }
    if desk.screen.is_json() {
        let owed = plans
            .iter()
            .flat_map(|plan| plan.mails().map(move |mail| (plan, mail)));
        let lines: Vec<_> = owed
            .map(|(plan, owed)| {
                let items: Vec<i64> = owed.told.iter().map(|told| told.item).collect();
                let to = &plan.reviewer.email;
                json!({"to": to, "kind": owed.kind, "reason": owed.reason, "due": rfc3339(desk.now),
                    "items": items, "subject": owed.letter.subject})
            })
            .collect();
        desk.screen.json(&lines)?;
        return Ok(Exit::Done);
    }
    for plan in &plans {
        of_reviewer(desk, plan)?;
    }
    if plans.iter().all(|plan| plan.owed().is_none()) {
        desk.screen.line("nothing is owed to anyone")?;
    }
    Ok(Exit::Done)
}

/// What a reviewer would be sent now, and why; when the next may come.
fn of_reviewer(desk: &mut Desk<'_>, plan: &Plan<'_>) -> anyhow::Result<()> {
    let reviewer = plan.reviewer;
    desk.screen.line(styled(STRONG, &reviewer.email))?;
    for owed in plan.mails() {
        let items = counted(owed.told.len(), "item");
        let why = format!("  now   {}, {}: {items}", owed.kind, owed.reason);
        desk.screen.line(why)?;
        let subject = format!("        {}", owed.letter.subject);
        desk.screen.line(styled(FAINT, subject))?;
    }
    if let (None, Err(digest), Err(alert)) = (plan.owed(), &plan.digest, &plan.alert) {
        let why = if *digest == Silence::NotAsked {
            alert
        } else {
            digest
        };
        desk.screen.line(format!("  now   nothing: {why}"))?;
    }
    if matches!(plan.digest, Err(Silence::Stopped)) {
        return Ok(());
    }
    let zone = &reviewer.timezone;
    let from = match plan.digest {
        Err(Silence::Paused(until)) => until,
        _ => desk.now,
    };
    let next = reviewer.digest.as_ref();
    if let Some(next) = next.and_then(|digest| digest.next_after(from, zone)) {
        let (here, zone) = (clock(next, zone), zone.iana_name());
        let next = format!(
            "  next  digest {here} {}, if there is something to say",
            zone.unwrap_or("UTC")
        );
        desk.screen.line(styled(FAINT, next))?;
    }
    if !reviewer.alert.is_empty() {
        let mut also = format!("  also  alerts from {}", reviewer.alert.join(", "));
        if let Some((from, to)) = reviewer.quiet {
            let (from, to) = (from.strftime("%H:%M"), to.strftime("%H:%M"));
            also += &format!(", but not from {from} to {to}");
        }
        desk.screen.line(styled(FAINT, also))?;
    }
    Ok(())
}

/// Writes each mail as files that programs open: `.html`, `.txt` and `.eml`.
fn preview(
    desk: &mut Desk<'_>,
    outbox: &Outbox,
    plans: &[Plan<'_>],
    folder: &Path,
) -> anyhow::Result<Exit> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
    let mut written = Vec::new();
    for plan in plans {
        for (n, owed) in (1..).zip(plan.mails()) {
            let name = format!(
                "{}-{n}-{}",
                plan.reviewer.email.replace('/', "_"),
                owed.kind
            );
            let mail = notify::preview(plan.reviewer, owed, &outbox.from, desk.now)?;
            for (ending, bytes) in [
                ("html", owed.letter.html()?.into_bytes()),
                ("txt", owed.letter.text()?.into_bytes()),
                ("eml", mail),
            ] {
                let file = folder.join(format!("{name}.{ending}"));
                std::fs::write(&file, bytes)
                    .with_context(|| format!("`{}` cannot be written", file.display()))?;
                written.push(file.display().to_string());
            }
        }
    }
    if desk.screen.is_json() {
        desk.screen.json(&written)?;
        return Ok(Exit::Done);
    }
    for file in &written {
        desk.screen.line(file)?;
    }
    if written.is_empty() {
        desk.screen.line("nothing is owed to anyone")?;
    }
    Ok(Exit::Done)
}

fn settings(desk: &Desk<'_>, args: &Args) -> Result<Outbox, Usage> {
    Outbox::new(&args.mail, &args.web, desk.folders).map_err(Usage)
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
