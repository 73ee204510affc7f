//! What must be found in a record for a rule to hold, chosen so that it is seldom found in vain.

use super::bands::Interval;
use super::{Atom, AtomId, Node, NodeId, Plan};
use crate::rules::condition::expr::{Comparison, Part};
use std::collections::BTreeMap;

/// One thing that may be found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Atom(AtomId),
    /// A number, by its place in [`Plan::numbers`], in an interval.
    Band(u32, Interval),
}

/// One of these must be found; without any the rule never holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Trigger {
    pub(super) keys: Vec<Key>,
    /// How often it is found, as a guess: only the order counts.
    cost: u32,
}

/// The trigger of a node; `None` when the node may hold whatever is found.
pub(super) fn of(plan: &Plan, node: NodeId) -> Option<Trigger> {
    needed(plan, node, true)
}

/// What is needed for a node to be `wanted`.
fn needed(plan: &Plan, node: NodeId, wanted: bool) -> Option<Trigger> {
    let parts = |range: &std::ops::Range<u32>| {
        let range = range.start as usize..range.end as usize;
        plan.parts.get(range).unwrap_or_default()
    };
    match plan.nodes.get(node as usize)? {
        Node::Constant(yes) => (*yes != wanted).then(Trigger::default),
        Node::Not(inner) => needed(plan, *inner, !wanted),
        Node::All(range) if wanted => best(plan, parts(range), wanted),
        Node::Any(range) if !wanted => best(plan, parts(range), wanted),
        Node::All(range) | Node::Any(range) => any(plan, parts(range), wanted),
        // Which branch counts is not known before; such a rule is always looked at.
        Node::If(_) => None,
        Node::Atom(atom) => match plan.atoms.get(*atom as usize)? {
            Atom::Number { .. } => {
                let (number, interval) = band(plan, node, wanted)?;
                Some(Trigger::band(number, interval))
            }
            _ if !wanted => None,
            found => Some(Trigger {
                keys: vec![Key::Atom(*atom)],
                cost: cost(found)?,
            }),
        },
    }
}

/// All of the parts are needed, so that any one's trigger will do; comparisons of one number are
/// one interval.
fn best(plan: &Plan, parts: &[NodeId], wanted: bool) -> Option<Trigger> {
    let mut bands: BTreeMap<u32, Interval> = BTreeMap::new();
    let mut best: Option<Trigger> = None;
    let mut offer = |trigger: Trigger| {
        if best.as_ref().is_none_or(|best| trigger.cost < best.cost) {
            best = Some(trigger);
        }
    };
    for part in parts {
        match band(plan, *part, wanted) {
            Some((number, interval)) => {
                let both = bands
                    .get(&number)
                    .map_or(interval, |known| known.and(interval));
                bands.insert(number, both);
            }
            None => needed(plan, *part, wanted).into_iter().for_each(&mut offer),
        }
    }
    for (number, interval) in bands {
        offer(Trigger::band(number, interval));
    }
    best
}

/// Any one of the parts is enough, so that each one's trigger counts.
fn any(plan: &Plan, parts: &[NodeId], wanted: bool) -> Option<Trigger> {
    let mut all = Trigger::default();
    for part in parts {
        let trigger = needed(plan, *part, wanted)?;
        all.cost = all.cost.saturating_add(trigger.cost);
        all.keys.extend(trigger.keys);
    }
    Some(all)
}

/// The number and the interval that it must lie in, if the node is a comparison of a number.
fn band(plan: &Plan, node: NodeId, wanted: bool) -> Option<(u32, Interval)> {
    let atom = match plan.nodes.get(node as usize)? {
        Node::Not(inner) => return band(plan, *inner, !wanted),
        Node::Atom(atom) => *atom,
        _ => return None,
    };
    let Atom::Number {
        number,
        comparison,
        limit,
    } = plan.atoms.get(atom as usize)?
    else {
        return None;
    };
    let comparison = if wanted {
        *comparison
    } else {
        opposite(*comparison)
    };
    Some((*number, Interval::of(comparison, *limit)?))
}

fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::AtLeast,
        Comparison::AtMost => Comparison::Greater,
        Comparison::Greater => Comparison::AtMost,
        Comparison::AtLeast => Comparison::Less,
    }
}

/// How often an atom is found; `None` when it is not looked for.
fn cost(atom: &Atom) -> Option<u32> {
    match atom {
        Atom::OneOf(_) => Some(1),
        Atom::Topic | Atom::Part(_) | Atom::Words(..) => Some(2),
        Atom::Pattern { sought, .. } => sought.then_some(3),
        Atom::Number { .. } | Atom::Other(..) => None,
    }
}

impl Trigger {
    fn band(number: u32, interval: Interval) -> Self {
        let cost = match interval.is_bounded() {
            true if interval.from == interval.to => 2,
            true => 15,
            false => 50,
        };
        Self {
            keys: vec![Key::Band(number, interval)],
            cost,
        }
    }
}

/// Whether a part that stands from `start` to `end` of a text of this length is where it should be.
pub(super) fn stands(part: Part, start: usize, end: usize, length: usize) -> bool {
    match part {
        Part::Inside => true,
        Part::Start => start == 0,
        Part::End => end == length,
    }
}
