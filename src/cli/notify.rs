//! `copydesk notify`: what is owed to whom, and sending it.

use super::screen::{FAINT, counted, styled};
use super::{Desk, Exit, Usage};
use crate::config::{Mail, Web};
use crate::intake;
use crate::notify::outbox::{self, Delivered, Outbox};
use crate::notify::{self, Owed, Plan, When};
use crate::rules::{Reviewer, RuleSet};
use crate::schedule::rfc3339;
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
            .flat_map(|plan| mails(plan).map(move |mail| (plan, mail)));
        let lines: Vec<_> = owed
            .map(|(plan, owed)| {
                let items: Vec<i64> = owed.told.iter().map(|told| told.item).collect();
                let to = &plan.reviewer.email;
                json!({"to": to, "kind": owed.kind, "reason": owed.reason, "due": rfc3339(desk.now), "items": items})
            })
            .collect();
        desk.screen.json(&lines)?;
        return Ok(Exit::Done);
    }
    let mut is_quiet = true;
    for plan in &plans {
        let Reviewer {
            email,
            digest,
            timezone,
            ..
        } = plan.reviewer;
        for owed in mails(plan) {
            is_quiet = false;
            let items = counted(owed.told.len(), "item");
            desk.screen
                .line(format!("{email}  {}, {}: {items}", owed.kind, owed.reason))?;
            desk.screen
                .line(styled(FAINT, format!("    {}", owed.letter.subject)))?;
        }
        if mails(plan).next().is_none()
            && let Err(why) = &plan.digest
        {
            desk.screen.line(format!("{email}  nothing: {why}"))?;
        }
        let next = digest
            .as_ref()
            .and_then(|digest| digest.next_after(desk.now, timezone));
        if let Some(next) = next {
            let next = format!(
                "    next digest, if there is something to say: {}",
                rfc3339(next)
            );
            desk.screen.line(styled(FAINT, next))?;
        }
    }
    if is_quiet {
        desk.screen.line("nothing is owed to anyone")?;
    }
    Ok(Exit::Done)
}

fn mails<'p>(plan: &'p Plan<'_>) -> impl Iterator<Item = &'p Owed> {
    let all = [&plan.digest, &plan.alert, &plan.escalation];
    all.into_iter().filter_map(|owed| owed.as_ref().ok())
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
        for (n, owed) in (1..).zip(mails(plan)) {
            let name = format!(
                "{}-{n}-{}",
                plan.reviewer.email.replace('/', "_"),
                owed.kind
            );
            let mail = notify::preview(plan, owed, outbox, desk.now)?;
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
