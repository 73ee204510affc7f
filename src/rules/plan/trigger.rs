//! What must be found in a record for a rule to hold, chosen so that it is seldom found in vain.

use super::bands::Interval;
use super::{Atom, AtomId, Node, NodeId, Plan};
use crate::rules::condition::expr::Comparison;
use regex::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
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
pub(super) struct Keys {
    pub(super) keys: Vec<Key>,
    /// How often one is found in 10,000 records, as a guess: only the order counts.
    cost: u32,
    /// Whether the node holds as soon as one is found.
    enough: bool,
}

/// What triggers a rule.
#[derive(Debug)]
pub(super) struct Trigger {
    /// One of these must be found.
    pub(super) keys: Vec<Key>,
    /// And this number must lie in this interval.
    pub(super) guard: Option<(u32, Interval)>,
    /// What is still to be asked then.
    pub(super) rest: Vec<NodeId>,
}

/// One of the things that must all hold.
struct Part {
    nodes: Vec<NodeId>,
    keys: Option<Keys>,
    band: Option<(u32, Interval)>,
}

/// Guesses how often something is found.
pub(super) struct Guess {
    /// The constants that each number is compared with, in order. Where they lie close, records
    /// are told apart, so that a band with many of them is taken to hold many records.
    limits: Vec<Vec<f64>>,
}

/// A literal of a pattern must have so many bytes to be worth looking for.
const LEAST_LITERAL: usize = 2;

/// With fewer constants than this nothing is known of a number.
const TOO_FEW: usize = 8;

impl Guess {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut limits: Vec<Vec<f64>> = plan.numbers.iter().map(|_| Vec::new()).collect();
        for atom in &plan.atoms {
            if let Atom::Number { number, limit, .. } = atom {
                limits
                    .get_mut(*number as usize)
                    .into_iter()
                    .for_each(|all| all.push(*limit));
            }
        }
        limits
            .iter_mut()
            .for_each(|limits| limits.sort_by(f64::total_cmp));
        Self { limits }
    }

    fn band(&self, number: u32, interval: Interval) -> u32 {
        let (from, to) = interval.closed();
        let limits = self
            .limits
            .get(number as usize)
            .map_or(&[][..], Vec::as_slice);
        let below = |end: f64| limits.partition_point(|limit| *limit <= end);
        let inside = below(to).saturating_sub(below(from)) + 1;
        let all = limits.len() + 1;
        match interval.is_bounded() {
            _ if interval.from == interval.to => 100,
            bounded if all < TOO_FEW => {
                if bounded {
                    3_000
                } else {
                    5_000
                }
            }
            _ => u32::try_from(10_000 * inside / all).unwrap_or(10_000),
        }
    }

    fn atom(atom: &Atom) -> Option<u32> {
        let part = |bytes: usize| match bytes {
            0..3 => 2_000,
            3 => 200,
            4 => 60,
            _ => 30,
        };
        match atom {
            Atom::OneOf { any, .. } => u32::try_from(any.len()).ok()?.checked_mul(5),
            Atom::Topic(_) => Some(150),
            Atom::Part { finder, .. } => Some(part(finder.needle().len())),
            Atom::Words(phrase) => Some(part(phrase.as_str().len())),
            Atom::Pattern { regex, .. } => {
                let literals = literals(regex)?;
                Some(literals.iter().map(|literal| part(literal.len())).sum())
            }
            Atom::Number { .. } | Atom::Other(_) => None,
        }
    }
}

/// The trigger of a rule; `None` when it may hold whatever is found.
pub(super) fn of(plan: &Plan, guess: &Guess, when: NodeId) -> Option<Trigger> {
    let nodes = match plan.nodes.get(when as usize)? {
        Node::All(range) => plan.parts_of(range),
        _ => std::slice::from_ref(&when),
    };
    let mut parts = parts(plan, guess, nodes);
    let by_cost = |part: &&Part| part.keys.as_ref().map_or(u32::MAX, |keys| keys.cost);
    let best = parts
        .iter()
        .filter(|part| part.keys.is_some())
        .min_by_key(by_cost)?;
    let at = parts.iter().position(|part| std::ptr::eq(part, best))?;
    let keys = parts.get_mut(at)?.keys.take()?;
    if keys.enough {
        parts.remove(at);
    }
    let guards = parts.iter().filter(|part| part.band.is_some());
    let guard = guards
        .min_by_key(|part| part.keys.as_ref().map_or(u32::MAX, |keys| keys.cost))
        .and_then(|best| parts.iter().position(|part| std::ptr::eq(part, best)));
    let guard = guard.and_then(|at| parts.remove(at).band);
    let rest = parts.into_iter().flat_map(|part| part.nodes).collect();
    Some(Trigger {
        keys: keys.keys,
        guard,
        rest,
    })
}

/// What must all hold; comparisons of one number are one interval.
fn parts(plan: &Plan, guess: &Guess, nodes: &[NodeId]) -> Vec<Part> {
    let mut bands: BTreeMap<u32, (Interval, Vec<NodeId>)> = BTreeMap::new();
    let mut parts = Vec::new();
    for node in nodes {
        match band(plan, *node, true) {
            Some((number, interval)) => {
                let (both, nodes) = bands.entry(number).or_insert((interval, Vec::new()));
                *both = both.and(interval);
                nodes.push(*node);
            }
            None => parts.push(Part {
                nodes: vec![*node],
                keys: needed(plan, guess, *node, true),
                band: None,
            }),
        }
    }
    let bands = bands.into_iter().map(|(number, (interval, nodes))| Part {
        nodes,
        keys: Some(guess.keys(number, interval)),
        band: Some((number, interval)),
    });
    parts.extend(bands);
    parts
}

/// What is needed for a node to be `wanted`.
fn needed(plan: &Plan, guess: &Guess, node: NodeId, wanted: bool) -> Option<Keys> {
    match plan.nodes.get(node as usize)? {
        Node::Constant(yes) => (*yes != wanted).then(|| Keys {
            enough: true,
            ..Keys::default()
        }),
        Node::Not(inner) => needed(plan, guess, *inner, !wanted),
        Node::All(range) if wanted => all(plan, guess, plan.parts_of(range), wanted),
        Node::Any(range) if !wanted => all(plan, guess, plan.parts_of(range), wanted),
        Node::All(range) | Node::Any(range) => any(plan, guess, plan.parts_of(range), wanted),
        // Which branch counts is not known before; such a rule is always looked at.
        Node::If(_) => None,
        Node::Atom(atom) => match plan.atoms.get(*atom as usize)? {
            Atom::Number { .. } => {
                let (number, interval) = band(plan, node, wanted)?;
                Some(guess.keys(number, interval))
            }
            _ if !wanted => None,
            found => Some(Keys {
                keys: vec![Key::Atom(*atom)],
                cost: Guess::atom(found)?,
                enough: true,
            }),
        },
    }
}

/// All of the parts are needed, so that any one's keys will do.
fn all(plan: &Plan, guess: &Guess, parts: &[NodeId], wanted: bool) -> Option<Keys> {
    let keys = parts
        .iter()
        .filter_map(|part| needed(plan, guess, *part, wanted));
    let mut best = keys.min_by_key(|keys| keys.cost)?;
    best.enough = false;
    Some(best)
}

/// Any one of the parts is enough, so that each one's keys count.
fn any(plan: &Plan, guess: &Guess, parts: &[NodeId], wanted: bool) -> Option<Keys> {
    let mut any = Keys {
        enough: true,
        ..Keys::default()
    };
    for part in parts {
        let keys = needed(plan, guess, *part, wanted)?;
        any.cost = any.cost.saturating_add(keys.cost);
        any.enough &= keys.enough;
        any.keys.extend(keys.keys);
    }
    Some(any)
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
    let comparison = match wanted {
        true => *comparison,
        false => comparison.opposite(),
    };
    Some((*number, Interval::of(comparison, *limit)?))
}

impl Comparison {
    /// The comparison that holds when this one does not.
    fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::Greater,
            Self::Greater => Self::AtMost,
            Self::AtLeast => Self::Less,
        }
    }
}

impl Guess {
    fn keys(&self, number: u32, interval: Interval) -> Keys {
        Keys {
            keys: vec![Key::Band(number, interval)],
            cost: self.band(number, interval),
            enough: true,
        }
    }
}

impl Plan {
    fn parts_of(&self, range: &std::ops::Range<u32>) -> &[NodeId] {
        let range = range.start as usize..range.end as usize;
        self.parts.get(range).unwrap_or_default()
    }
}

/// Literals in lower case of which one stands wherever a pattern matches, if there are such.
pub(super) fn literals(pattern: &Regex) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::parse(pattern.as_str()).ok()?;
    let of = |kind: ExtractKind| {
        let found = Extractor::new().kind(kind).extract(&hir);
        let literals = found.literals()?.iter();
        let mut bytes: Vec<Vec<u8>> = literals
            .map(|literal| literal.as_bytes().to_ascii_lowercase())
            .collect();
        bytes.sort_unstable();
        bytes.dedup();
        let long = bytes.iter().all(|literal| literal.len() >= LEAST_LITERAL);
        (long && !bytes.is_empty()).then_some(bytes)
    };
    of(ExtractKind::Prefix).or_else(|| of(ExtractKind::Suffix))
}
