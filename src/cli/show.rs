//! `copydesk show`: one item whole.

use super::screen::{ALARM, FAINT, STRONG, styled};
use super::{Desk, Exit, explain, queue};
use crate::item::ItemRef;
use crate::record::shown;
use crate::report::{self, Again, ItemPage};
use crate::review::ReviewError;
use crate::rules::RuleSet;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The item's number
    #[arg(value_name = "ID")]
    item: ItemRef,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    // Without rules that load, all but the reasons beyond the hits is told.
    let rules = RuleSet::load(&desk.folders.rules).ok();
    let mut store = desk.store()?;
    let page = report::item(&mut store, rules.as_ref(), args.item.id, desk.now)?;
    let page = page.ok_or(ReviewError::NoItem(args.item.id))?;
    if desk.screen.is_json() {
        desk.screen.json(&page)?;
    } else {
        print(desk, &page, rules.is_some())?;
    }
    Ok(Exit::Done)
}

fn print(desk: &mut Desk<'_>, page: &ItemPage, loaded: bool) -> anyhow::Result<()> {
    let line = &page.line;
    desk.screen
        .line(styled(STRONG, shown::line(line.name(), 100)))?;
    let mut state = format!(
        "{}@{}  {} in {}",
        line.id, line.version, line.status, line.queue
    );
    for (word, time) in [("due", &line.due), ("held until", &line.held_until)] {
        if let Some(time) = time {
            state.push_str(&format!(", {word} {time}"));
        }
    }
    desk.screen.line(state)?;
    let hands = queue::hands(line, desk.now);
    if !hands.is_empty() {
        desk.screen.line(hands)?;
    }
    for (holds, word) in [
        (line.overdue, "overdue"),
        (line.changed_after_approval, "changed after approval"),
    ] {
        if holds {
            desk.screen.line(styled(ALARM, word))?;
        }
    }
    desk.screen.line("")?;
    let location = line.location.as_deref().unwrap_or("no file holds it now");
    desk.screen.line(format!(
        "  {:<18} {}",
        "location",
        shown::line(location, 100)
    ))?;
    desk.screen.line(format!(
        "  {:<18} {}",
        "identity",
        shown::line(&line.identity, 100)
    ))?;
    for (key, value) in page.record.iter() {
        let (key, value) = (shown::line(key, 18), shown::line(&value.to_string(), 100));
        desk.screen.line(format!("  {key:<18} {value}"))?;
    }
    if !page.body.trim().is_empty() {
        desk.screen.line(format!(
            "  {:<18} {}",
            "(body)",
            shown::line(&page.body, 100)
        ))?;
    }
    let score = line.score;
    let (quality, heat, topic) = (score.quality, score.heat, score.topic);
    desk.screen.line(format!(
        "\nscore {} = quality {quality} + heat {heat} + topic {topic}",
        score.total
    ))?;
    for hit in &page.hits {
        let why = shown::line(&hit.why, 70);
        desk.screen.line(format!(
            "  {:>+5}  {why} {}",
            hit.points,
            styled(FAINT, format!("({}, {})", hit.rule, hit.at))
        ))?;
    }
    print_again(desk, &page.again, loaded)?;
    desk.screen.line("\nhistory")?;
    for event in &page.events {
        let detail = event
            .detail
            .as_ref()
            .map(told)
            .filter(|told| !told.is_empty());
        let detail = detail.map(|told| format!(" ({told})")).unwrap_or_default();
        let (kind, actor) = (&event.kind, shown::line(&event.actor, 40));
        desk.screen.line(format!(
            "  {}  {}@{}  {kind} by {actor}{}",
            event.at,
            line.id,
            event.version,
            styled(FAINT, detail)
        ))?;
    }
    Ok(())
}

fn print_again(desk: &mut Desk<'_>, again: &Again, loaded: bool) -> anyhow::Result<()> {
    let (near, not_evaluated) = (&again.near, &again.not_evaluated);
    if near.len() + not_evaluated.len() + again.shadow.len() > 0 {
        desk.screen.line("")?;
    }
    explain::print_near(desk, near)?;
    for hit in &again.shadow {
        let why = hit.why.as_deref().unwrap_or_default();
        explain::print_shadow(desk, &hit.rule, hit.points, why)?;
    }
    explain::print_not_evaluated(desk, not_evaluated)?;
    let unexplained = match (again.current, loaded) {
        (true, _) => return Ok(()),
        (false, true) => {
            "this score is by other rules than those in force, which do not explain it"
        }
        (false, false) => "the rules do not load, so that they do not explain this score",
    };
    desk.screen
        .line(styled(FAINT, format!("\n  {unexplained}")))?;
    Ok(())
}

/// What an event says besides its kind, on one line.
fn told(detail: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let parts = detail
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match (key.as_str(), value) {
            (_, serde_json::Value::Null | serde_json::Value::Bool(false)) | ("decision", _) => None,
            ("after_approval", _) => Some("after it was approved".to_owned()),
            ("changed", serde_json::Value::Array(changes)) => {
                let fields: Vec<String> = changes
                    .iter()
                    .filter_map(|change| change.get("field"))
                    .map(text)
                    .collect();
                Some(format!("changed: {}", fields.join(", ")))
            }
            (key, value) => Some(format!("{key}: {}", text(value))),
        });
    shown::line(&parts.collect::<Vec<_>>().join("; "), 120)
}
