//! `copydesk approve`, `reject`, `hold` and `reopen`.

use super::screen::{WELL, styled};
use super::{Desk, Exit, Usage};
use crate::intake;
use crate::item::{ItemRef, Verdict};
use crate::record::file::transfer::Way;
use crate::record::shown;
use crate::review::{self, Actor, Request, ReviewError};
use crate::rules::RuleSet;
use crate::schedule;
use crate::store::items::Listed;
use crate::store::lock::{Lock, LockError};
use crate::store::write_backs::End;
use crate::store::{Store, StoreError};
use crate::write_back::{self, Outcome};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The items: a number, or with the version that you looked at, `7@1`
    #[arg(required = true, value_name = "ID[@VERSION]")]
    items: Vec<ItemRef>,
    /// A note that is kept with the decision
    #[arg(long)]
    note: Option<String>,
    /// A UUID that names this decision: given again, it does nothing twice
    #[arg(long, value_name = "UUID")]
    id: Option<uuid::Uuid>,
    /// Decide as this reviewer
    #[arg(long = "as", value_name = "EMAIL")]
    reviewer: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RejectArgs {
    #[command(flatten)]
    pub(super) decision: Args,
    /// Why: the key of one of the desk's reasons
    #[arg(long, value_name = "KEY")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct HoldArgs {
    #[command(flatten)]
    pub(super) decision: Args,
    /// Until when: a span like 3d, a date, or RFC 3339
    #[arg(long, value_name = "WHEN")]
    pub(super) until: Option<String>,
}

pub(super) fn run(
    desk: &mut Desk<'_>,
    verdict: Verdict,
    args: &Args,
    reason: Option<&str>,
    until: Option<&str>,
) -> anyhow::Result<Exit> {
    if args.id.is_some() && args.items.len() > 1 {
        return Err(Usage("--id names one decision, and there are several items".into()).into());
    }
    let rules = desk.rules()?;
    let now = desk.now;
    let actor = actor(&rules, args.reviewer.as_deref())?;
    let zone = zone(&actor);
    let until = until
        .map(|text| schedule::moment(text, now, &zone))
        .transpose()
        .map_err(Usage)?;
    let mut store = desk.store()?;
    intake::pass_time(&mut store, now)?;
    let mut exit = Exit::Done;
    let (mut decided, mut failed) = (Vec::new(), None);
    for item in &args.items {
        let note = args.note.as_deref();
        let request = Request {
            id: args.id.unwrap_or_else(uuid::Uuid::now_v7),
            item: *item,
            verdict,
            actor: &actor,
            reason,
            note,
            until,
        };
        match decide(&mut store, &rules, &request, now) {
            Ok(listed) => decided.push(listed),
            Err(ReviewError::Store(error)) => {
                failed = Some(anyhow::Error::from(error).context(format!("item {}", item.id)));
                break;
            }
            Err(error) => {
                desk.screen.complain(error.to_string())?;
                exit = Exit::Wrong;
            }
        }
    }
    let mut outcomes = Vec::new();
    if failed.is_none() {
        match write_back_now(desk, &mut store, &rules, &decided) {
            Ok(written) => outcomes = written,
            // What was decided is told of, whatever fails after.
            Err(error) if !decided.is_empty() => {
                let stands = "the decision stands, and is not yet written into its file";
                failed = Some(error.context(stands));
            }
            Err(error) => failed = Some(error),
        }
    }
    let mut lines = Vec::new();
    for listed in decided {
        let line = report(&outcomes, listed, &rules, now);
        if desk.screen.is_json() {
            lines.push(line.item);
        } else {
            desk.screen.line(line.text)?;
        }
        for trouble in line.troubles {
            desk.screen.complain(trouble)?;
            exit = Exit::Wrong;
        }
    }
    if desk.screen.is_json() {
        desk.screen.json(&lines)?;
    }
    failed.map_or(Ok(exit), Err)
}

/// Decides on what stands in the file now.
pub(super) fn decide(
    store: &mut Store,
    rules: &RuleSet,
    request: &Request<'_>,
    now: jiff::Timestamp,
) -> Result<Listed, ReviewError> {
    if let Some(item) = store.read(|tx| tx.item(request.item.id))? {
        intake::look_again(store, rules, item.record, now)?;
    }
    review::decide(store, rules, request, now)
}

pub(super) fn actor<'r>(rules: &'r RuleSet, email: Option<&str>) -> Result<Actor<'r>, Usage> {
    match email {
        Some(email) => {
            let unknown = || {
                Usage(format!(
                    "there is no reviewer {} in the rules",
                    shown::line(email, 80)
                ))
            };
            rules
                .reviewer(email)
                .map(Actor::Reviewer)
                .ok_or_else(unknown)
        }
        None => {
            let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
            let number = rustix::process::getuid().as_raw();
            Ok(Actor::User(user.unwrap_or_else(|_| number.to_string())))
        }
    }
}

/// Whose clock times are told by.
pub(super) fn zone(actor: &Actor<'_>) -> jiff::tz::TimeZone {
    match actor {
        Actor::Reviewer(reviewer) => reviewer.timezone.clone(),
        Actor::User(_) | Actor::Program(_) => jiff::tz::TimeZone::system(),
    }
}

/// Carries the decisions into their files; a running service does that itself and is waited for.
fn write_back_now(
    desk: &mut Desk<'_>,
    store: &mut Store,
    rules: &RuleSet,
    decided: &[Listed],
) -> anyhow::Result<Vec<Outcome>> {
    let give_up = Instant::now() + Duration::from_secs(3);
    loop {
        let process = match Lock::take(&desk.folders.lock()) {
            Ok(_lock) => {
                let mut outcomes = write_back::tick(store, rules, desk.now)?;
                // What could not even be tried.
                let refused = ends(store, decided)?.into_iter().filter(|end| {
                    let is_it = |o: &Outcome| (o.item, &o.location) == (end.item, &end.location);
                    matches!(end.end, Some(End::Refused(_))) && !outcomes.iter().any(is_it)
                });
                outcomes.extend(refused.collect::<Vec<_>>());
                return Ok(outcomes);
            }
            Err(LockError::Held(process)) => process,
            Err(error) => return Err(error.into()),
        };
        let written = ends(store, decided)?;
        if written.iter().all(|outcome| outcome.end.is_some()) {
            return Ok(written);
        }
        if Instant::now() > give_up {
            desk.screen.complain(format!(
                "process {process} writes the decision into the file"
            ))?;
            return Ok(written
                .into_iter()
                .filter(|outcome| outcome.end.is_some())
                .collect());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What has become of writing these decisions, as far as it is known.
fn ends(store: &mut Store, decided: &[Listed]) -> Result<Vec<Outcome>, StoreError> {
    store.read(|tx| {
        let mut outcomes = Vec::new();
        for listed in decided {
            let item = listed.item.id;
            let ends = tx.last_ends(item)?.into_iter();
            outcomes.extend(ends.map(|(location, end)| Outcome {
                item,
                location,
                end,
                error: None,
            }));
        }
        Ok(outcomes)
    })
}

struct Report {
    item: crate::report::ItemLine,
    text: String,
    troubles: Vec<String>,
}

fn report(outcomes: &[Outcome], listed: Listed, rules: &RuleSet, now: jiff::Timestamp) -> Report {
    let source = rules.source(&listed.source);
    let move_to = source.and_then(|source| source.move_to.clone());
    let item = crate::report::ItemLine::of(listed, now);
    let hers: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| outcome.item == item.id)
        .collect();
    let written = hers
        .iter()
        .filter(|o| matches!(&o.end, Some(End::Done(undo)) if !undo.is_empty()));
    let written: Vec<String> = written
        .map(|o| shown::line(o.location.as_str(), 100))
        .collect();
    let mut text = format!("{}@{} {}", item.id, item.version, styled(WELL, item.status));
    if let Some(until) = &item.held_until {
        text.push_str(&format!(" until {until}"));
    }
    text.push_str(&format!(": {}", shown::line(item.name(), 70)));
    if !written.is_empty() {
        text.push_str(&format!("\n    written to {}", written.join(", ")));
    }
    for outcome in &hers {
        let Some(End::Moved(way)) = outcome.end else {
            continue;
        };
        let location = &outcome.location;
        let to = move_to.as_ref().filter(|_| way == Way::Out);
        let line = match to.map(|to| to.join(location.to_path())) {
            Some(to) => format!("moved to {}", shown::line(&to.to_string_lossy(), 100)),
            None => format!("moved back to {}", shown::line(location.as_str(), 100)),
        };
        text.push_str(&format!("\n    {line}"));
    }
    Report {
        text,
        troubles: hers.iter().filter_map(|outcome| trouble(outcome)).collect(),
        item,
    }
}

/// What went wrong with a write-back, if anything did.
pub(super) fn trouble(outcome: &Outcome) -> Option<String> {
    let location = shown::line(outcome.location.as_str(), 100);
    let item = outcome.item;
    match (&outcome.end, &outcome.error) {
        (Some(End::Done(_) | End::Moved(_)), _) => None,
        (Some(End::Stale(why) | End::Refused(why)), _) => Some(format!(
            "item {item}: the decision is not written into {location}: {why}"
        )),
        (None, error) => {
            let why = error.as_deref().unwrap_or("it failed");
            Some(format!(
                "item {item}: the decision stands, and is not yet written into {location}: {why}"
            ))
        }
    }
}
