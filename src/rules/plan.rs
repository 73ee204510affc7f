//! All scoring rules as one plan, so that the cost of a record follows what matches in it and not
//! how many rules there are.
//!
//! Conditions are taken apart into *atoms*: one comparison, one look for a word, one membership. An
//! atom that many rules share is settled once a record. Most atoms are not even asked for: the
//! texts of a record are read once, by one automaton for all words, parts and patterns (Aho and
//! Corasick, 1975); its topics and its other texts are looked up in a table; its numbers fall into
//! bands that are found by one search. What is found that way *triggers* rules, and only a rule
//! that was triggered is looked at.
//!
//! A rule's trigger is a set of keys of which at least one must be found for the rule to hold. It
//! may be found in vain: what decides is the rule's whole condition, in three values, as
//! [`super::condition`] defines them. A rule without a trigger is always looked at.
//!
//! Few rules are quicker looked at one by one; then there is no index, and this module is not
//! asked. `tests` holds both ways against each other.

mod bands;
mod index;
mod look;
mod lower;
#[cfg(test)]
mod tests;
mod trigger;

use crate::rules::condition::expr::{Comparison, Expr, Path};
use crate::rules::words::Phrase;
use crate::rules::{Rule, Topic};
use index::Index;
use regex::Regex;
use std::ops::Range;

pub(crate) use look::Look;

/// Up to this many rules, and up to as many keywords of topics, are looked at one by one. Measured
/// by `cargo bench --bench rules`: about where the two ways cost the same.
const FEW: usize = 20;

/// The atoms of all rules, and how each rule is made of them.
#[derive(Debug)]
pub(crate) struct Plan {
    atoms: Vec<Atom>,
    nodes: Vec<Node>,
    /// The parts of nodes that have several.
    parts: Vec<NodeId>,
    /// By rule.
    programs: Vec<Program>,
    /// Places in a record that hold text; the title, the excerpt and others.
    texts: Vec<Path>,
    /// Numbers that are compared with constants: fields, sizes, sums.
    numbers: Vec<Expr>,
    /// How many atoms are settled once and remembered.
    remembered: usize,
    index: Index,
}

type AtomId = u32;
type NodeId = u32;
type TextId = u16;

/// A rule, as nodes.
#[derive(Debug)]
struct Program {
    when: NodeId,
    unless: NodeId,
}

/// A part of a condition that others are made of.
#[derive(Clone, Debug)]
enum Node {
    Constant(bool),
    Atom(AtomId),
    Not(NodeId),
    All(Range<u32>),
    Any(Range<u32>),
    /// Of three parts: if the first holds, the second, else the third.
    If(u32),
}

/// What a record is asked once, for however many rules.
#[derive(Debug)]
enum Atom {
    /// About a topic; holds when it was found.
    Topic,
    /// A text is one of a few; holds when it was found.
    OneOf(TextId),
    /// A text has a part, at its start, its end or anywhere; holds when it was found.
    Part(Where),
    /// A phrase stands in title or excerpt; may hold when its longest word was found.
    Words(Phrase, Remembered),
    /// A text matches a pattern; when `sought`, only if one of its literals was found.
    Pattern {
        place: Where,
        lower: bool,
        regex: Regex,
        sought: bool,
        remembered: Remembered,
    },
    /// A number against a constant.
    Number {
        number: u32,
        comparison: Comparison,
        limit: f64,
    },
    /// Anything else.
    Other(Expr, Remembered),
}

/// A place among the remembered answers.
type Remembered = u32;

/// Which text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Where {
    /// One field.
    Text(TextId),
    /// Title and excerpt, as far as they are there and not blank.
    Story,
}

impl Plan {
    /// The plan for these rules and the keywords of these topics; `None` when there are so few that
    /// it would not pay.
    pub(crate) fn new(rules: &[Rule], topics: &[Topic]) -> Option<Self> {
        let keywords: usize = topics.iter().map(|topic| topic.keywords.len()).sum();
        let many = rules.len() > FEW || keywords > FEW;
        many.then(|| Self::indexed(rules, topics)).flatten()
    }

    /// The plan for these rules, however few; `None` when it would be too large.
    pub(crate) fn indexed(rules: &[Rule], topics: &[Topic]) -> Option<Self> {
        lower::Lowering::new().plan(rules, topics)
    }
}
