//! What is done.

use super::Reply;
use super::asked::Asked;
use super::problem::Problem;
use super::table::LARGEST;
use crate::http::HttpError;
use crate::http::visitor::At;
use crate::intake;
use crate::item::{ItemRef, Verdict};
use crate::report::ItemLine;
use crate::review::{self, HandTo, Request};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

/// Characters that a note holds.
const NOTE: usize = 2_000;

/// A decision.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decide {
    /// What is decided.
    verb: Verdict,
    /// The version of the item that was looked at.
    #[schemars(with = "i64", range(min = 1, max = LARGEST))]
    version: Version,
    /// Why it is rejected: the key of one of the desk's reasons.
    #[schemars(length(max = 200))]
    reason: Option<String>,
    /// A note that is kept with the decision.
    #[schemars(length(max = NOTE))]
    note: Option<String>,
    /// Until when it is held; a day, if it is not said.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    until: Option<Timestamp>,
}

/// The version of an item. Programs that know one kind of number write it as `1.0`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "f64")]
struct Version(i64);

impl TryFrom<f64> for Version {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "what is in the range is exact"
        )]
        let (largest, version) = (LARGEST as f64, number as i64);
        if number.fract() == 0.0 && (1.0..=largest).contains(&number) {
            return Ok(Self(version));
        }
        Err(format!(
            "`version` must be a whole number from 1 to {LARGEST}"
        ))
    }
}

/// To whom an item goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandOver {
    /// The address of a reviewer, or the name of a queue.
    #[schemars(length(min = 1, max = 200))]
    to: String,
    /// The version of the item that was looked at.
    #[schemars(with = "Option<i64>", range(min = 1, max = LARGEST))]
    version: Option<Version>,
    /// A note that is kept with it.
    #[schemars(length(max = NOTE))]
    note: Option<String>,
}

pub(super) fn decide(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let said: Decide = asked.body()?;
    let version = Some(said.version.0);
    let (reason, note) = (
        text("reason", said.reason.as_deref(), 200)?,
        text("note", said.note.as_deref(), NOTE)?,
    );
    if said.until.is_some() && said.verb != Verdict::Hold {
        return Err(Problem::refused("`until` belongs to `hold`.").into());
    }
    let id = asked.id();
    // What stands in the file now is what is decided on.
    let record = at.item(id)?.item.record;
    intake::look_again(at.store, at.rules, record, at.now)?;
    let request = Request {
        id: asked.key(),
        item: ItemRef { id, version },
        verdict: said.verb,
        actor: &at.visitor.actor(),
        reason,
        note,
        until: said.until,
    };
    let listed = review::decide(at.store, at.rules, &request, at.now)?;
    Reply::of(&ItemLine::of(listed, at.now))
}

pub(super) fn claim(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let item = any_version(at, asked)?;
    let listed = review::claim(at.store, item, &at.visitor.actor(), at.now)?;
    Reply::of(&ItemLine::of(listed, at.now))
}

pub(super) fn release(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let item = any_version(at, asked)?;
    let listed = review::release(at.store, item, &at.visitor.actor(), at.now)?;
    Reply::of(&ItemLine::of(listed, at.now))
}

pub(super) fn hand_over(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let said: HandOver = asked.body()?;
    let to = text("to", Some(&said.to), 200)?;
    let to = to.ok_or_else(|| Problem::bad("`to` must be 1 to 200 characters."))?;
    let note = text("note", said.note.as_deref(), NOTE)?;
    let item = ItemRef {
        version: said.version.map(|version| version.0),
        ..any_version(at, asked)?
    };
    let (to, actor) = (HandTo::of(to, at.rules), at.visitor.actor());
    let listed = review::hand_over(at.store, at.rules, item, to, note, &actor, at.now)?;
    Reply::of(&ItemLine::of(listed, at.now))
}

fn any_version(at: &mut At<'_>, asked: &Asked) -> Result<ItemRef, HttpError> {
    let id = at.item(asked.id())?.item.id;
    Ok(ItemRef { id, version: None })
}

/// A text that says something; none that is too long.
fn text<'t>(name: &str, text: Option<&'t str>, most: usize) -> Result<Option<&'t str>, HttpError> {
    if text.is_some_and(|text| text.chars().count() > most) {
        let fault = format!("`{name}` holds up to {most} characters.");
        return Err(Problem::bad(fault).into());
    }
    Ok(text.map(str::trim).filter(|text| !text.is_empty()))
}
