//! One look at one record: what is found in it, and which rules hold.

use super::index::{Lack, Means, Use};
use super::trigger::stands;
use super::{Atom, AtomId, Node, NodeId, Plan, TextId, Where};
use crate::rules::condition::{Facts, Trace, eval};
use std::ops::Range;

/// What is known of a record so far.
pub(crate) struct Look<'p, 'f> {
    plan: &'p Plan,
    /// By place in [`Plan::texts`].
    texts: Vec<Option<&'f str>>,
    /// By atom, whether it was found.
    found: Bits,
    /// The atoms that were found, each once.
    atoms: Vec<AtomId>,
    /// By rule, whether it is to be looked at.
    triggered: Bits,
    /// What was settled, by atom that is remembered.
    remembered: Vec<Settled>,
    /// The numbers that were asked for.
    numbers: Vec<Option<Option<f64>>>,
}

/// What an atom turned out to be.
#[derive(Clone, Copy)]
enum Settled {
    NotYet,
    As(Option<bool>),
}

impl<'p, 'f> Look<'p, 'f> {
    /// Reads the texts of a record; its topics are not known yet.
    pub(crate) fn new(plan: &'p Plan, facts: &Facts<'f>, trace: &mut Trace) -> Self {
        let mut look = Self {
            plan,
            texts: plan
                .texts
                .iter()
                .map(|path| eval::text_at(path, facts))
                .collect(),
            found: Bits::new(plan.atoms.len()),
            atoms: Vec::new(),
            triggered: Bits::new(plan.programs.len()),
            remembered: vec![Settled::NotYet; plan.remembered],
            numbers: vec![None; plan.numbers.len()],
        };
        look.read(facts, trace);
        look
    }

    /// The topics that keywords add, by their places, in order.
    pub(crate) fn keyword_topics(&mut self, facts: &Facts<'f>, trace: &mut Trace) -> Vec<usize> {
        let plan = self.plan;
        let mut topics = Vec::new();
        for at in 0..self.atoms.len() {
            let Some(atom) = self.atoms.get(at).copied() else {
                break;
            };
            let of_atom = plan.index.keywords.get(atom as usize);
            if !of_atom.is_empty() && self.atom(atom, facts, trace) == Some(true) {
                topics.extend(of_atom.iter().map(|topic| *topic as usize));
            }
        }
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Tells each rule that holds, and each that has no value if `all` are asked for, in the order
    /// of the rules; `looks_at` says which rules are of interest.
    pub(crate) fn rules(
        &mut self,
        facts: &Facts<'f>,
        trace: &mut Trace,
        all: bool,
        looks_at: impl Fn(usize) -> bool,
        mut tell: impl FnMut(usize, Option<bool>),
    ) {
        self.look_up(facts, trace);
        if all {
            self.trigger_lacking(facts);
        }
        for word in 0..self.triggered.0.len() {
            let mut left = self.triggered.0.get(word).copied().unwrap_or_default();
            while left != 0 {
                let rule = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                if !looks_at(rule) {
                    continue;
                }
                match self.rule(rule, facts, trace) {
                    _ if trace.is_exhausted() => return,
                    Some(false) => {}
                    None if !all => {}
                    held => tell(rule, held),
                }
            }
        }
    }

    /// As [`super::super::assess`] defines it: an exception without a value excepts nothing.
    fn rule(&mut self, rule: usize, facts: &Facts<'f>, trace: &mut Trace) -> Option<bool> {
        let program = self.plan.programs.get(rule)?;
        let when = self.value(program.when, facts, trace);
        if when == Some(false) || self.value(program.unless, facts, trace) == Some(true) {
            return Some(false);
        }
        when
    }

    /// Finds the literals in the texts.
    fn read(&mut self, facts: &Facts<'f>, trace: &mut Trace) {
        let index = &self.plan.index;
        let Some(automaton) = &index.automaton else {
            return;
        };
        let mut lower = String::new();
        for (at, table) in index.texts.iter().enumerate() {
            let Some(text) = self
                .texts
                .get(at)
                .copied()
                .flatten()
                .filter(|_| table.is_read)
            else {
                continue;
            };
            trace.read(text);
            lower.clear();
            lower.push_str(text);
            lower.make_ascii_lowercase();
            let story = table.is_story.then(|| Story::of(text, facts)).flatten();
            for found in automaton.find_overlapping_iter(&lower) {
                for used in index.uses.get(found.pattern().as_usize()) {
                    if self.stands(used, at, text, story, found.range()) {
                        self.find(used.atom);
                    }
                }
            }
        }
        // Beyond ASCII, folding changes more than capitals: phrases are looked for once more.
        let story = facts.folded.filter(|_| index.has_words);
        if let Some(story) = story.filter(|story| !story.parts().all(str::is_ascii)) {
            trace.read(story.as_str());
            for found in automaton.find_overlapping_iter(story.as_str()) {
                for used in index.uses.get(found.pattern().as_usize()) {
                    if matches!(
                        self.plan.atoms.get(used.atom as usize),
                        Some(Atom::Words(..))
                    ) {
                        self.find(used.atom);
                    }
                }
            }
        }
    }

    /// Whether a literal that was found in a text is one that a use looks for.
    fn stands(
        &self,
        used: &Use,
        text_id: usize,
        text: &str,
        story: Option<Story>,
        range: Range<usize>,
    ) -> bool {
        let (starts, ends) = match used.place {
            Where::Text(place) if place as usize == text_id => (true, true),
            Where::Text(_) => return false,
            Where::Story => match story {
                Some(story) => (story.is_first, story.is_last),
                None => return false,
            },
        };
        match &used.means {
            Means::Perhaps => true,
            Means::Part(part, letters) => {
                // Of a story, the start is that of its first text, and the end that of its last.
                let start = if starts { range.start } else { range.start + 1 };
                let length = if ends { text.len() } else { text.len() + 1 };
                stands(*part, start, range.end, length)
                    && letters
                        .as_deref()
                        .is_none_or(|letters| text.get(range) == Some(letters))
            }
        }
    }

    /// Looks up whole texts, topics and numbers.
    fn look_up(&mut self, facts: &Facts<'f>, trace: &mut Trace) {
        let plan = self.plan;
        for (at, table) in plan.index.texts.iter().enumerate() {
            let Some(text) = self.texts.get(at).copied().flatten() else {
                continue;
            };
            for atom in table.whole.get(text).into_iter().flatten() {
                self.find(*atom);
            }
            if !table.lower.is_empty() {
                let lower = text.to_ascii_lowercase();
                for atom in table.lower.get(&lower).into_iter().flatten() {
                    self.find(*atom);
                }
            }
        }
        for topic in facts.topics.unwrap_or_default() {
            if let Some(atom) = plan.index.topics.get(topic) {
                self.find(*atom);
            }
        }
        for (at, bands) in plan.index.bands.iter().enumerate() {
            if bands.is_empty() {
                continue;
            }
            if let Some(number) = self.number(at, facts, trace) {
                for rule in bands.at(number) {
                    self.triggered.set(rule as usize);
                }
            }
        }
        for rule in &plan.index.always {
            self.triggered.set(*rule as usize);
        }
    }

    /// Has the rules looked at whose trigger has no value.
    fn trigger_lacking(&mut self, facts: &Facts<'f>) {
        let plan = self.plan;
        let texts = self.texts.iter().enumerate();
        let texts = texts
            .filter(|(_, text)| text.is_none())
            .map(|(at, _)| Lack::Text(at));
        let numbers = self.numbers.iter().enumerate();
        let numbers = numbers
            .filter(|(_, number)| matches!(number, Some(None)))
            .map(|(at, _)| Lack::Number(at));
        let topics = facts.topics.is_none().then_some(Lack::Topics);
        let story = facts.folded.is_none().then_some(Lack::Story);
        let lacks = texts.chain(numbers).chain(topics).chain(story);
        for lack in lacks {
            for rule in plan.index.lacking.get(plan.lack(lack)) {
                self.triggered.set(*rule as usize);
            }
        }
    }

    fn find(&mut self, atom: AtomId) {
        if self.found.set(atom as usize) {
            self.atoms.push(atom);
            for rule in self.plan.index.triggered.get(atom as usize) {
                self.triggered.set(*rule as usize);
            }
        }
    }

    fn value(&mut self, node: NodeId, facts: &Facts<'f>, trace: &mut Trace) -> Option<bool> {
        trace.steps += 1;
        if trace.is_exhausted() {
            return None;
        }
        let plan = self.plan;
        match plan.nodes.get(node as usize)? {
            Node::Constant(yes) => Some(*yes),
            Node::Atom(atom) => self.atom(*atom, facts, trace),
            Node::Not(inner) => self.value(*inner, facts, trace).map(|yes| !yes),
            Node::All(range) => self.first_decides(range, false, facts, trace),
            Node::Any(range) => self.first_decides(range, true, facts, trace),
            Node::If(first) => {
                let part = |n: u32| plan.parts.get((first + n) as usize).copied();
                let branch = if self.value(part(0)?, facts, trace)? {
                    1
                } else {
                    2
                };
                self.value(part(branch)?, facts, trace)
            }
        }
    }

    fn first_decides(
        &mut self,
        range: &Range<u32>,
        decisive: bool,
        facts: &Facts<'f>,
        trace: &mut Trace,
    ) -> Option<bool> {
        let plan = self.plan;
        let mut result = Some(!decisive);
        for part in plan.parts.get(range.start as usize..range.end as usize)? {
            match self.value(*part, facts, trace) {
                Some(yes) if yes == decisive => return Some(decisive),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    fn atom(&mut self, id: AtomId, facts: &Facts<'f>, trace: &mut Trace) -> Option<bool> {
        let plan = self.plan;
        let found = self.found.has(id as usize);
        match plan.atoms.get(id as usize)? {
            Atom::Topic => facts.topics.map(|_| found),
            Atom::OneOf(text) => self.text(*text).map(|_| found),
            Atom::Part(place) => self.is_there(*place, facts).then_some(found),
            Atom::Number {
                number,
                comparison,
                limit,
            } => {
                let number = self.number(*number as usize, facts, trace)?;
                Some(comparison.holds(&number, limit))
            }
            Atom::Words(phrase, remembered) => self.remember(*remembered, |_| {
                let story = facts.folded?;
                trace.read(if found { story.as_str() } else { "" });
                Some(found && phrase.occurs_in(story))
            }),
            Atom::Pattern {
                place,
                lower,
                regex,
                sought,
                remembered,
            } => self.remember(*remembered, |look| {
                let text = match place {
                    Where::Text(text) => look.text(*text)?,
                    Where::Story => facts.folded?.plain(),
                };
                if *sought && !found {
                    return Some(false);
                }
                trace.read(text);
                Some(match lower {
                    true => regex.is_match(&text.to_ascii_lowercase()),
                    false => regex.is_match(text),
                })
            }),
            Atom::Other(expr, remembered) => {
                self.remember(*remembered, |_| eval::holds(expr, facts, trace))
            }
        }
    }

    fn remember(
        &mut self,
        at: u32,
        settle: impl FnOnce(&mut Self) -> Option<bool>,
    ) -> Option<bool> {
        if let Some(Settled::As(known)) = self.remembered.get(at as usize) {
            return *known;
        }
        let value = settle(self);
        if let Some(place) = self.remembered.get_mut(at as usize) {
            *place = Settled::As(value);
        }
        value
    }

    fn number(&mut self, at: usize, facts: &Facts<'f>, trace: &mut Trace) -> Option<f64> {
        if let Some(Some(known)) = self.numbers.get(at) {
            return *known;
        }
        let number = eval::number(self.plan.numbers.get(at)?, facts, trace);
        if let Some(place) = self.numbers.get_mut(at) {
            *place = Some(number);
        }
        number
    }

    fn text(&self, at: TextId) -> Option<&'f str> {
        self.texts.get(at as usize).copied().flatten()
    }

    fn is_there(&self, place: Where, facts: &Facts<'f>) -> bool {
        match place {
            Where::Text(text) => self.text(text).is_some(),
            Where::Story => facts.folded.is_some(),
        }
    }
}

/// Where a text stands in the story that it is a part of.
#[derive(Clone, Copy)]
struct Story {
    is_first: bool,
    is_last: bool,
}

impl Story {
    /// `None` for a text that the story leaves out, being blank.
    fn of(text: &str, facts: &Facts<'_>) -> Option<Self> {
        let same = |part: &str| std::ptr::eq(part, text);
        let mut parts = facts.folded?.parts().enumerate();
        let count = facts.folded?.parts().count();
        let (at, _) = parts.find(|(_, part)| same(part))?;
        Some(Self {
            is_first: at == 0,
            is_last: at + 1 == count,
        })
    }
}

/// A set of small numbers.
struct Bits(Vec<u64>);

impl Bits {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        self.0
            .get(at / 64)
            .is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// Adds a number; whether it was not there yet.
    fn set(&mut self, at: usize) -> bool {
        let Some(word) = self.0.get_mut(at / 64) else {
            return false;
        };
        let bit = 1 << (at % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
