//! `copydesk claim` and `copydesk hand-over`.

use super::decide::actor;
use super::screen::{WELL, styled};
use super::{Desk, Exit};
use crate::item::ItemRef;
use crate::record::shown;
use crate::report::ItemLine;
use crate::review::{self, Actor, HandTo, ReviewError};
use crate::rules::RuleSet;
use crate::store::Store;
use crate::store::items::Listed;
use crate::{intake, schedule};

#[derive(Debug, clap::Args)]
pub(super) struct ClaimArgs {
    /// The items: a number, or with the version that you looked at, `7@1`
    #[arg(required = true, value_name = "ID[@VERSION]")]
    items: Vec<ItemRef>,
    /// End the claim instead
    #[arg(long)]
    release: bool,
    /// Claim as this reviewer
    #[arg(long = "as", value_name = "EMAIL")]
    reviewer: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct HandOverArgs {
    /// The items: a number, or with the version that you looked at, `7@1`
    #[arg(required = true, value_name = "ID[@VERSION]")]
    items: Vec<ItemRef>,
    /// The reviewer or the queue that they go to
    #[arg(long, value_name = "EMAIL|QUEUE")]
    to: String,
    /// A note that is kept with it
    #[arg(long)]
    note: Option<String>,
    /// Hand over as this reviewer
    #[arg(long = "as", value_name = "EMAIL")]
    reviewer: Option<String>,
}

pub(super) fn claim(desk: &mut Desk<'_>, args: &ClaimArgs) -> anyhow::Result<Exit> {
    let now = desk.now;
    let who = args.reviewer.as_deref();
    each(desk, &args.items, who, |store, _, item, actor| {
        if args.release {
            let listed = review::release(store, item, actor, now)?;
            return Ok((listed, "released".to_owned()));
        }
        let listed = review::claim(store, item, actor, now)?;
        let until = listed.item.claimed_until.map(schedule::rfc3339);
        Ok((
            listed,
            format!("claimed until {}", until.unwrap_or_default()),
        ))
    })
}

pub(super) fn hand_over(desk: &mut Desk<'_>, args: &HandOverArgs) -> anyhow::Result<Exit> {
    let now = desk.now;
    let who = args.reviewer.as_deref();
    each(desk, &args.items, who, |store, rules, item, actor| {
        let (to, note) = (HandTo::of(&args.to, rules), args.note.as_deref());
        let listed = review::hand_over(store, rules, item, to, note, actor, now)?;
        let to = match to {
            HandTo::Reviewer(_) => listed.item.assigned_to.as_deref().unwrap_or_default(),
            HandTo::Queue(_) => &listed.item.queue,
        };
        let done = format!("handed to {}", shown::line(to, 80));
        Ok((listed, done))
    })
}

/// Does something to each item and says what came of it.
fn each(
    desk: &mut Desk<'_>,
    items: &[ItemRef],
    reviewer: Option<&str>,
    work: impl Fn(&mut Store, &RuleSet, ItemRef, &Actor<'_>) -> Result<(Listed, String), ReviewError>,
) -> anyhow::Result<Exit> {
    let rules = desk.rules()?;
    let now = desk.now;
    let actor = actor(&rules, reviewer)?;
    let mut store = desk.store()?;
    intake::pass_time(&mut store, now)?;
    let (mut exit, mut failed, mut lines) = (Exit::Done, None, Vec::new());
    for item in items {
        match work(&mut store, &rules, *item, &actor) {
            Ok((listed, done)) => {
                let line = ItemLine::of(listed, now);
                if !desk.screen.is_json() {
                    let (done, name) = (styled(WELL, done), shown::line(line.name(), 70));
                    desk.screen
                        .line(format!("{}@{} {done}: {name}", line.id, line.version))?;
                }
                lines.push(line);
            }
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
    if desk.screen.is_json() {
        desk.screen.json(&lines)?;
    }
    failed.map_or(Ok(exit), Err)
}
