//! `copydesk status`: is it well?

use super::screen::{ALARM, FAINT, STRONG, Screen, WELL, counted, grouped, styled};
use super::{Desk, Exit};
use crate::record::shown;
use crate::report::{self, Rescoring, ShadowLine, StatusPage};
use crate::rules::{Refused, RuleSet};

pub(super) fn run(desk: &mut Desk<'_>) -> anyhow::Result<Exit> {
    let rules = match RuleSet::load(&desk.folders.rules) {
        Err(refused @ Refused::NoFolder(_)) => return Err(refused.into()),
        other => {
            other.map_err(|refused| refused.first_fault().unwrap_or_else(|| refused.to_string()))
        }
    };
    let mut store = desk.store()?;
    let page = report::status(&mut store, rules.as_ref().map_err(String::clone), desk.now)?;
    if desk.screen.is_json() {
        desk.screen.json(&page)?;
    } else {
        print(desk, &page)?;
    }
    Ok(if page.ok { Exit::Done } else { Exit::Wrong })
}

fn print(desk: &mut Desk<'_>, page: &StatusPage) -> anyhow::Result<()> {
    let screen = &mut *desk.screen;
    if page.ok {
        screen.line(styled(WELL, "all is well"))?;
    }
    for problem in &page.problems {
        screen.line(format!(
            "{} {}",
            styled(ALARM, "problem:"),
            shown::line(problem, 300)
        ))?;
    }
    screen.line(styled(STRONG, "\nsources"))?;
    for source in &page.sources {
        let alarm = if source.alarm.is_some() {
            styled(ALARM, ", frozen")
        } else {
            String::new()
        };
        let (name, records, unrouted) = (&source.name, source.records, source.unrouted);
        screen.line(format!(
            "  {name}: {records} records, {unrouted} in no queue{alarm} {}",
            styled(FAINT, format!("({})", source.path))
        ))?;
        if let Some(why) = &source.polled {
            screen.line(format!(
                "    looked at every 30 seconds, since it cannot be watched: {why}"
            ))?;
        }
        if let Some(why) = source.weak {
            screen.line(format!("    {why}"))?;
        }
    }
    screen.line(styled(STRONG, "\nqueues"))?;
    for queue in &page.queues {
        let counts = [
            (queue.pending, "pending"),
            (queue.overdue, "overdue"),
            (queue.held, "held"),
            (queue.approved, "approved"),
            (queue.rejected, "rejected"),
            (queue.withdrawn, "withdrawn"),
            (queue.expired, "expired"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(n, word)| *n > 0 || *word == "pending")
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        screen.line(format!("  {}: {}", queue.name, counts.join(", ")))?;
    }
    print_shadow(screen, &page.shadow)?;
    if !page.broken.is_empty() {
        screen.line(styled(
            STRONG,
            format!("\nbroken records ({})", page.broken.len()),
        ))?;
    }
    for broken in &page.broken {
        let location = shown::line(&broken.location, 120);
        let reason = shown::line(&broken.reason, 200);
        screen.line(format!(
            "  {location}:{}:{}: {reason} {}",
            broken.line,
            broken.column,
            styled(FAINT, format!("(since {})", broken.since))
        ))?;
    }
    let (mail, rules) = (&page.mail, &page.rules);
    let of = |n: usize, word: &str| {
        if n > 0 {
            format!(", {n} {word}")
        } else {
            String::new()
        }
    };
    screen.line(format!(
        "\n{} {} sent{}{}{}",
        styled(STRONG, "mail"),
        mail.sent,
        of(mail.queued, "waiting"),
        of(mail.failed, "failed"),
        of(mail.held, "held")
    ))?;
    let warnings = match rules.warnings {
        0 => String::new(),
        n => format!(", {} of `copydesk check`", counted(n, "warning")),
    };
    let hash = rules.hash.as_deref().unwrap_or("not loaded");
    screen.line(format!(
        "{} {}, {}{warnings} {}",
        styled(STRONG, "rules"),
        counted(rules.rules, "rule"),
        counted(rules.reviewers, "reviewer"),
        styled(FAINT, format!("({hash})"))
    ))?;
    if let Some(Rescoring { left, of }) = rules.rescoring {
        let (left, of) = (grouped(left), grouped(of));
        screen.line(format!(
            "{} {left} of {of} records are still scored by the rules before",
            styled(STRONG, "rules")
        ))?;
    }
    if let Some(service) = &page.service {
        let state = if service.running {
            "runs"
        } else {
            "does not run"
        };
        let (process, heard) = (service.process, &service.heard);
        screen.line(format!(
            "{} {state} {}",
            styled(STRONG, "service"),
            styled(FAINT, format!("(process {process}, heard of at {heard})"))
        ))?;
    }
    for run in &page.runs {
        screen.line(format!(
            "{} {}",
            styled(STRONG, format!("last {}", run.kind)),
            run.at
        ))?;
    }
    Ok(())
}

/// What is on trial, and what it would have done.
fn print_shadow(screen: &mut Screen, shadow: &[ShadowLine]) -> anyhow::Result<()> {
    if !shadow.is_empty() {
        screen.line(styled(STRONG, "\nin shadow"))?;
    }
    for line in shadow {
        let records = grouped(line.records);
        let noun = if line.records == 1 {
            "record"
        } else {
            "records"
        };
        let effect = match (line.rule.starts_with("queue "), line.decides) {
            (true, Some(verdict)) => format!("would take {records} {noun}, and {verdict} each"),
            (true, None) => format!("would take {records} {noun}"),
            (false, _) if line.points == 0 => format!("would hit {records} {noun}"),
            (false, _) => format!("would hit {records} {noun}, {:+} points", line.points),
        };
        screen.line(format!("  {}: {effect}", line.rule))?;
    }
    Ok(())
}
