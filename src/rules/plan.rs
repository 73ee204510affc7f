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
//! Few rules are quicker looked at one by one; then there is no index. `tests` holds both ways
//! against each other, and against the conditions themselves.

mod bands;
mod index;
mod look;
mod lower;
mod sets;
#[cfg(test)]
mod tests;
mod trigger;

use crate::rules::condition::expr::{Comparison, Expr, Part, Path};
use crate::rules::words::Phrase;
use crate::rules::{Rule, Topic};
use index::Index;
use memchr::memmem::Finder;
use regex::Regex;
use std::ops::Range;

pub(crate) use look::{Look, Tell};

/// Up to this many rules, and up to as many keywords of topics, are looked at one by one. Measured
/// by `cargo bench --bench rules`: about where the two ways cost the same.
const FEW: usize = 20;

/// The atoms of all rules, and how each rule is made of them.
#[derive(Debug, Default)]
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
    /// The topics that an atom is a keyword of: atom, and place of the topic.
    keywords: Vec<(AtomId, u32)>,
    /// What triggers rules; without it every rule is looked at.
    index: Option<Index>,
}

type AtomId = u32;
type NodeId = u32;
type TextId = u16;

/// A rule, as nodes.
#[derive(Debug)]
struct Program {
    when: NodeId,
    unless: Option<NodeId>,
    /// What is left of `when` to be asked once the rule was triggered.
    rest: Option<NodeId>,
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
    /// About a topic.
    Topic(String),
    /// A text is one of a few.
    OneOf {
        text: TextId,
        lower: bool,
        any: Vec<String>,
    },
    /// A text has a part.
    Part {
        place: Where,
        lower: bool,
        part: Part,
        finder: Box<Finder<'static>>,
    },
    /// A phrase stands in title or excerpt.
    Words(Phrase),
    /// A text matches a pattern.
    Pattern {
        place: Where,
        lower: bool,
        regex: Regex,
    },
    /// A number against a constant.
    Number {
        number: u32,
        comparison: Comparison,
        limit: f64,
    },
    /// Anything else.
    Other(Expr),
}

/// Which text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Where {
    /// One field.
    Text(TextId),
    /// Title and excerpt, as far as they are there and not blank.
    Story,
}

/// The place of the title among the texts.
const TITLE: TextId = 0;
/// The place of the excerpt among the texts.
const EXCERPT: TextId = 1;

impl Plan {
    /// The plan for these rules and the keywords of these topics.
    pub(crate) fn new(rules: &[Rule], topics: &[Topic]) -> Self {
        let mut plan = lower::plan(rules, topics);
        if rules.len() > FEW || plan.keywords.len() > FEW {
            plan.index();
        }
        plan
    }

    /// Has the plan find what triggers rules. One with more literals than can be looked for at once
    /// stays as it is.
    fn index(&mut self) {
        let index = Index::new(self);
        self.index = index;
    }
}
