//! Items in someone's hands: claimed while she looks, handed over when it is for another.

use super::{Actor, ReviewError, not_hers, stale};
use crate::item::{ItemRef, LEASE};
use crate::record;
use crate::rules::{Reviewer, RuleSet, nearest};
use crate::store::items::{Item, Listed, Place};
use crate::store::{Store, Tx};
use jiff::Timestamp;

/// To whom an item is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandTo<'a> {
    /// A reviewer, by her address.
    Reviewer(&'a str),
    /// A queue, where it stays while it is open.
    Queue(&'a str),
}

impl<'a> HandTo<'a> {
    /// What someone typed: a queue, or an address.
    #[must_use]
    pub fn of(to: &'a str, rules: &RuleSet) -> Self {
        if to.contains('@') && rules.queue(to).is_none() {
            Self::Reviewer(to)
        } else {
            Self::Queue(to)
        }
    }
}

/// Claims an open item for [`LEASE`]; claimed again by the same, it is hers for as long from now.
///
/// # Errors
/// [`ReviewError`]; nothing was done then.
pub fn claim(
    store: &mut Store,
    item: ItemRef,
    actor: &Actor<'_>,
    now: Timestamp,
) -> Result<Listed, ReviewError> {
    let name = actor.name();
    store.write(|tx| {
        let listed = open(tx, item, actor, "claimed")?;
        not_claimed_by_others(&listed.item, &name, now)?;
        let until = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        let item = tx.claim(listed.item, &name, until, now)?;
        Ok(Listed { item, ..listed })
    })
}

/// Ends a claim: one's own, and for an editor anyone's. Without a claim there is nothing to do.
///
/// # Errors
/// [`ReviewError`]; nothing was done then.
pub fn release(
    store: &mut Store,
    item: ItemRef,
    actor: &Actor<'_>,
    now: Timestamp,
) -> Result<Listed, ReviewError> {
    let name = actor.name();
    store.write(|tx| {
        let listed = found(tx, item)?;
        if !actor.is_editor() {
            not_claimed_by_others(&listed.item, &name, now)?;
        }
        let item = tx.release(listed.item, &name, now)?;
        Ok(Listed { item, ..listed })
    })
}

/// Hands an open item to another reviewer or queue. Handed there already, nothing is done.
///
/// # Errors
/// [`ReviewError`]; nothing was done then.
pub fn hand_over(
    store: &mut Store,
    rules: &RuleSet,
    item: ItemRef,
    to: HandTo<'_>,
    note: Option<&str>,
    actor: &Actor<'_>,
    now: Timestamp,
) -> Result<Listed, ReviewError> {
    let name = actor.name();
    let by = (name.as_str(), now);
    store.write(|tx| {
        let listed = open(tx, item, actor, "handed over")?;
        if !actor.is_editor() {
            not_claimed_by_others(&listed.item, &name, now)?;
        }
        let Listed { item, score, .. } = listed.clone();
        let item = match to {
            HandTo::Reviewer(email) => {
                let reviewer = reviewer(rules, email)?;
                not_hers(reviewer, &item)?;
                if item.assigned_to.as_ref() == Some(&reviewer.email) && note.is_none() {
                    return Ok(listed);
                }
                tx.hand_to_reviewer(item, &reviewer.email, note, by)?
            }
            HandTo::Queue(queue) => {
                let place = place(tx, rules, &item, (queue, score.total))?;
                if item.queue == queue && item.queue_by_hand && note.is_none() {
                    return Ok(listed);
                }
                tx.hand_to_queue(item, &place, note, by)?
            }
        };
        Ok(Listed { item, ..listed })
    })
}

/// Keeps a note with an item, which decides nothing.
///
/// # Errors
/// [`ReviewError`]; nothing was done then.
pub fn note(
    store: &mut Store,
    item: ItemRef,
    text: &str,
    actor: &Actor<'_>,
    now: Timestamp,
) -> Result<Listed, ReviewError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ReviewError::EmptyNote);
    }
    store.write(|tx| {
        let listed = found(tx, item)?;
        if let Actor::Reviewer(reviewer) = actor {
            not_hers(reviewer, &listed.item)?;
        }
        let detail = serde_json::json!({"note": text});
        tx.add_event(&listed.item, "noted", &actor.name(), Some(&detail), now)?;
        Ok(listed)
    })
}

fn found(tx: &Tx<'_>, item: ItemRef) -> Result<Listed, ReviewError> {
    let listed = tx.listed(item.id)?.ok_or(ReviewError::NoItem(item.id))?;
    match item.version {
        Some(asked) if asked != listed.item.version => Err(stale(tx, &listed.item, asked)?),
        _ => Ok(listed),
    }
}

/// An item that is open, and in a queue of the one who asks.
fn open(
    tx: &Tx<'_>,
    item: ItemRef,
    actor: &Actor<'_>,
    what: &'static str,
) -> Result<Listed, ReviewError> {
    let listed = found(tx, item)?;
    let (id, status) = (listed.item.id, listed.item.status);
    if let Actor::Reviewer(reviewer) = actor {
        not_hers(reviewer, &listed.item)?;
    }
    if status.is_open() {
        Ok(listed)
    } else {
        Err(ReviewError::Closed { id, status, what })
    }
}

fn not_claimed_by_others(item: &Item, name: &str, now: Timestamp) -> Result<(), ReviewError> {
    match item.claim(now) {
        Some((by, until)) if by != name => Err(ReviewError::Claimed {
            id: item.id,
            by: by.to_owned(),
            until: crate::schedule::rfc3339(until),
        }),
        _ => Ok(()),
    }
}

fn reviewer<'r>(rules: &'r RuleSet, email: &str) -> Result<&'r Reviewer, ReviewError> {
    rules.reviewer(email).ok_or_else(|| {
        let known = rules.reviewers.iter().map(|reviewer| &*reviewer.email);
        ReviewError::NoReviewer {
            email: email.to_owned(),
            near: meant(email, known),
        }
    })
}

/// Where an item waits in a queue that someone chose for it.
fn place<'r>(
    tx: &Tx<'_>,
    rules: &'r RuleSet,
    item: &Item,
    (name, total): (&str, i64),
) -> Result<Place<'r>, ReviewError> {
    let unknown = || {
        let known = rules.queues.iter().map(|queue| &*queue.name);
        ReviewError::NoQueue {
            queue: name.to_owned(),
            near: meant(name, known),
        }
    };
    let queue = rules.queue(name).ok_or_else(unknown)?;
    let nobody = match (queue.skip, queue.decide.is_some(), queue.shadow) {
        (true, ..) => Some("it skips what it takes"),
        (_, true, _) => Some("it decides by itself"),
        (.., true) => Some("it is in shadow mode"),
        _ => None,
    };
    if let Some(why) = nobody {
        let queue = name.to_owned();
        return Err(ReviewError::NothingWaits { queue, why });
    }
    let (fields, _) = tx.contents(item.record)?;
    let known = tx.record(item.record)?;
    let seen = known.map_or(item.arrived_at, |known| known.first_seen);
    let published = record::published_at(&fields).unwrap_or(seen);
    let since = tx.waiting_since(item.id)?.unwrap_or(item.arrived_at);
    let mut place = Place::of(queue, total, published, since);
    place.due_at = place.due_at.into_iter().chain(item.due_at).min();
    Ok(place)
}

fn meant<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> String {
    let near = nearest(wrong, known);
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
