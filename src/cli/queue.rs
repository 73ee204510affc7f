//! `copydesk queue`: what waits.

use super::screen::{ALARM, FAINT, STRONG, counted, styled};
use super::{Desk, Exit, Usage};
use crate::item::Status;
use crate::record::shown;
use crate::report::{self, ItemLine};
use crate::schedule::rough;
use jiff::Timestamp;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this queue
    name: Option<String>,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let rules = desk.rules()?;
    let mut store = desk.store()?;
    let name = args.name.as_deref();
    let lines = report::waiting(&mut store, &rules, name, desk.now)?;
    if let Some(name) = name.filter(|name| rules.queue(name).is_none() && lines.is_empty()) {
        let known: Vec<&str> = rules
            .queues
            .iter()
            .map(|queue| queue.name.as_str())
            .collect();
        return Err(Usage(format!(
            "there is no queue `{name}`; the queues are: {}",
            known.join(", ")
        ))
        .into());
    }
    if desk.screen.is_json() {
        desk.screen.json(&lines)?;
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        desk.screen.line("nothing waits")?;
    }
    for (n, line) in lines.iter().enumerate() {
        if n == 0
            || lines
                .get(n - 1)
                .is_some_and(|before| before.queue != line.queue)
        {
            let count = lines
                .iter()
                .filter(|other| other.queue == line.queue)
                .count();
            let title = format!(
                "{} {}",
                styled(STRONG, &line.queue),
                styled(FAINT, format!("({count})"))
            );
            desk.screen
                .line(if n == 0 { title } else { format!("\n{title}") })?;
        }
        desk.screen.line(row(line, desk.now))?;
    }
    if !lines.is_empty() {
        desk.screen.line(styled(
            FAINT,
            format!(
                "\n{}; `copydesk approve ID@VERSION` decides",
                counted(lines.len(), "item")
            ),
        ))?;
    }
    Ok(Exit::Done)
}

/// Who has the item: `claimed by ana@example.org for 9m, handed to bo@example.org`.
pub(super) fn hands(line: &ItemLine, now: Timestamp) -> String {
    let who = |who: &str| shown::line(who, 40);
    let until = line.claimed_until.as_ref().and_then(|at| at.parse().ok());
    let claim = line.claimed_by.as_ref().zip(until).map(|(by, until)| {
        let left = rough(Timestamp::duration_since(until, now));
        format!("claimed by {} for {left}", who(by))
    });
    let handed = line.assigned_to.as_ref();
    let handed = handed.map(|to| format!("handed to {}", who(to)));
    let hands: Vec<String> = claim.into_iter().chain(handed).collect();
    hands.join(", ")
}

fn row(line: &ItemLine, now: Timestamp) -> String {
    let id = format!("{}@{}", line.id, line.version);
    let title = shown::line(line.name(), 60);
    let until = |text: &Option<String>| text.as_ref().and_then(|t| t.parse::<Timestamp>().ok());
    let mut state = match (line.status, until(&line.due), until(&line.held_until)) {
        (Status::Held, _, Some(until)) => format!("held for {}", rough(until.duration_since(now))),
        (_, Some(due), _) if line.overdue => styled(
            ALARM,
            format!("overdue by {}", rough(now.duration_since(due))),
        ),
        (_, Some(due), _) => format!("due in {}", rough(due.duration_since(now))),
        _ => String::new(),
    };
    if line.changed_after_approval {
        state = format!("{}, {state}", styled(ALARM, "changed after approval"));
    }
    let hands = hands(line, now);
    if !hands.is_empty() {
        let gap = if state.is_empty() { "" } else { ", " };
        state = format!("{state}{gap}{hands}");
    }
    let pad = 60_usize.saturating_sub(unicode_width::UnicodeWidthStr::width(title.as_str()));
    let (score, gap) = (line.score.total, " ".repeat(pad));
    format!("  {id:>7} {score:>5}  {title}{gap}  {state}")
        .trim_end()
        .to_owned()
}
