//! One look at one record: what is found in it, and which rules hold.

use super::index::{Index, Lack, Means, STORY, Use};
use super::sets::{Set, Sets};
use super::{Atom, AtomId, Node, NodeId, Plan, Where};
use crate::rules::condition::expr::Part;
use crate::rules::condition::{Facts, Trace, eval};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::ops::Range;

/// What is known of a record so far.
pub(crate) struct Look<'p, 'f> {
    plan: &'p Plan,
    /// By place in [`Plan::texts`].
    texts: Vec<Text<'f>>,
    /// By place in [`Plan::numbers`], as far as they were asked for; `NaN` is missing.
    numbers: Vec<f64>,
    sets: Sets,
    /// The atoms that were found in texts.
    atoms: Vec<AtomId>,
}

/// One text of a record.
struct Text<'f> {
    plain: Option<&'f str>,
    /// In lower case, once that was asked for.
    lower: Option<String>,
}

/// Of which rules to tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Those that hold.
    Held,
    /// Those that hold, and those that have no value.
    Valueless,
}

impl<'p, 'f> Look<'p, 'f> {
    /// Reads the texts of a record; its topics are not known yet.
    pub(crate) fn new(plan: &'p Plan, facts: &Facts<'f>, trace: &mut Trace) -> Self {
        let texts = plan.texts.iter().map(|path| Text {
            plain: eval::text_at(path, facts),
            lower: None,
        });
        let mut look = Self {
            plan,
            texts: texts.collect(),
            numbers: vec![f64::NAN; plan.numbers.len()],
            sets: Sets::new(plan),
            atoms: Vec::new(),
        };
        if let Some(index) = &plan.index {
            look.read(index, facts, trace);
        }
        look
    }

    /// The topics that keywords add, by their places, in order.
    pub(crate) fn keyword_topics(&mut self, facts: &Facts<'f>, trace: &mut Trace) -> Vec<usize> {
        let plan = self.plan;
        let mut topics = Vec::new();
        match &plan.index {
            Some(index) => {
                let found = self
                    .atoms
                    .iter()
                    .flat_map(|atom| index.keywords.get(*atom as usize));
                topics.extend(found.map(|topic| *topic as usize));
            }
            None => {
                for (atom, topic) in &plan.keywords {
                    if self.atom(*atom, facts, trace) == Some(true) {
                        topics.push(*topic as usize);
                    }
                }
            }
        }
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Tells of rules, in their order.
    pub(crate) fn rules(
        &mut self,
        facts: &Facts<'f>,
        trace: &mut Trace,
        what: Tell,
        mut tell: impl FnMut(usize, Option<bool>),
    ) {
        let plan = self.plan;
        let mut told = |rule: usize, held: Option<bool>| match held {
            Some(false) => {}
            None if what == Tell::Held => {}
            held => tell(rule, held),
        };
        let Some(index) = &plan.index else {
            for rule in 0..plan.programs.len() {
                let held = self.rule(rule, false, facts, trace);
                if trace.is_exhausted() {
                    return;
                }
                told(rule, held);
            }
            return;
        };
        self.look_up(index, facts, trace);
        if what == Tell::Valueless {
            self.find_lacking(index, facts);
        }
        let mut next = self.sets.next(Set::Triggered, 0);
        while let Some(rule) = next {
            next = self.sets.next(Set::Triggered, rule + 1);
            let is_whole = self.sets.has(Set::Lacking, rule);
            let held = self.rule(rule, !is_whole, facts, trace);
            if trace.is_exhausted() {
                return;
            }
            told(rule, held);
        }
    }

    /// Whether a rule holds, as [`super::super::assess`] defines it: an exception without a value
    /// excepts nothing.
    fn rule(
        &mut self,
        rule: usize,
        triggered: bool,
        facts: &Facts<'f>,
        trace: &mut Trace,
    ) -> Option<bool> {
        let program = self.plan.programs.get(rule)?;
        let when = if triggered {
            program.rest
        } else {
            Some(program.when)
        };
        let when = match when {
            Some(when) => self.value(when, facts, trace),
            None => Some(true),
        };
        if when == Some(false) {
            return when;
        }
        match program.unless {
            Some(unless) if self.value(unless, facts, trace) == Some(true) => Some(false),
            _ => when,
        }
    }

    /// Finds what stands in the texts.
    fn read(&mut self, index: &Index, facts: &Facts<'f>, trace: &mut Trace) {
        let Some(automaton) = &index.automaton else {
            return;
        };
        let mut perhaps: Vec<AtomId> = Vec::new();
        for (at, table) in index.texts.iter().enumerate() {
            let text = self.texts.get(at).and_then(|text| text.plain);
            let Some(plain) = text.filter(|_| table.is_read) else {
                continue;
            };
            trace.read(plain);
            let lower = plain.to_ascii_lowercase();
            let story = table.is_story.then(|| Story::of(plain, facts)).flatten();
            for found in automaton.find_overlapping_iter(&lower) {
                for used in index.uses.get(found.pattern().as_usize()) {
                    match self.stands(used, at, plain, story, found.range()) {
                        Some(true) => self.find(used.atom),
                        Some(false) => perhaps.push(used.atom),
                        None => {}
                    }
                }
            }
            if let Some(text) = self.texts.get_mut(at) {
                text.lower = Some(lower);
            }
        }
        // Beyond ASCII, folding changes more than capitals: phrases are looked for once more.
        let story = facts.folded.filter(|_| index.has_words);
        if let Some(story) = story.filter(|story| !story.parts().all(str::is_ascii)) {
            trace.read(story.as_str());
            for found in automaton.find_overlapping_iter(story.as_str()) {
                let uses = index.uses.get(found.pattern().as_usize()).iter();
                let words = uses.filter(|used| used.text == STORY && used.means == Means::Perhaps);
                perhaps.extend(words.map(|used| used.atom));
            }
        }
        for atom in perhaps {
            if self.sets.add(Set::Asked, atom as usize)
                && self.ask(atom, facts, trace) == Some(true)
            {
                self.find(atom);
            }
        }
    }

    /// Whether a literal that was found in a text is what a use looks for; `Some(false)` says
    /// perhaps.
    fn stands(
        &self,
        used: &Use,
        text_id: usize,
        text: &str,
        story: Option<Story>,
        range: Range<usize>,
    ) -> Option<bool> {
        let (first, last) = match used.text {
            STORY => story.map(|story| (story.is_first, story.is_last))?,
            text if text as usize == text_id => (true, true),
            _ => return None,
        };
        let at_place = |part: Part| match part {
            Part::Inside => true,
            Part::Start => first && range.start == 0,
            Part::End => last && range.end == text.len(),
        };
        let holds = match used.means {
            Means::Perhaps => return Some(false),
            Means::Part(part) => at_place(part),
            Means::Exactly(part) => {
                let written = text.as_bytes().get(range.clone());
                let atom = self.plan.atoms.get(used.atom as usize)?;
                let Atom::Part { finder, .. } = atom else {
                    return None;
                };
                at_place(part) && written == Some(finder.needle())
            }
        };
        holds.then_some(true)
    }

    /// Looks up whole texts, topics and numbers, and says which rules that triggers.
    fn look_up(&mut self, index: &Index, facts: &Facts<'f>, trace: &mut Trace) {
        let mut whole: Vec<AtomId> = Vec::new();
        for (text, table) in self.texts.iter_mut().zip(&index.texts) {
            let Some(plain) = text.plain else { continue };
            if !table.whole.is_empty() {
                whole.extend(table.whole.get(plain).into_iter().flatten().copied());
            }
            if !table.lower.is_empty() {
                whole.extend(
                    table
                        .lower
                        .get(text.both().1)
                        .into_iter()
                        .flatten()
                        .copied(),
                );
            }
        }
        whole.into_iter().for_each(|atom| self.find(atom));
        for topic in facts.topics.unwrap_or_default() {
            index
                .topics
                .get(topic)
                .into_iter()
                .for_each(|atom| self.find(*atom));
        }
        trace.steps += self.atoms.len() as u64;
        for number in &index.guards {
            self.number(*number, facts, trace);
        }
        let by_atom = self
            .atoms
            .iter()
            .flat_map(|atom| index.triggered.get(*atom as usize));
        let numbers = index.guards.iter().map(|number| *number as usize);
        let bands = numbers.filter_map(|at| Some((index.bands.get(at)?, self.numbers.get(at)?)));
        let bands = bands.filter(|(bands, number)| !bands.is_empty() && !number.is_nan());
        let by_number = bands.flat_map(|(bands, number)| bands.at(*number));
        for trigger in by_atom.chain(by_number) {
            if trigger.passes(&self.numbers) {
                self.sets.add(Set::Triggered, trigger.rule as usize);
            }
        }
        for rule in &index.always {
            self.sets.add(Set::Triggered, *rule as usize);
        }
    }

    /// Finds the rules whose trigger has no value.
    fn find_lacking(&mut self, index: &Index, facts: &Facts<'f>) {
        let texts = self.texts.iter().enumerate();
        let texts = texts.filter(|(_, text)| text.plain.is_none());
        let numbers = index.guards.iter().map(|number| *number as usize);
        let numbers = numbers.filter(|at| self.numbers.get(*at).is_some_and(|n| n.is_nan()));
        let lacks = texts
            .map(|(at, _)| Lack::Text(at))
            .chain(numbers.map(Lack::Number))
            .chain(facts.topics.is_none().then_some(Lack::Topics))
            .chain(facts.folded.is_none().then_some(Lack::Story));
        for lack in lacks {
            for rule in index.lacking.get(self.plan.lack(lack)) {
                self.sets.add(Set::Lacking, *rule as usize);
                self.sets.add(Set::Triggered, *rule as usize);
            }
        }
    }

    fn find(&mut self, atom: AtomId) {
        if self.sets.add(Set::Found, atom as usize) {
            self.atoms.push(atom);
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

    /// What an atom is; asked once.
    fn atom(&mut self, id: AtomId, facts: &Facts<'f>, trace: &mut Trace) -> Option<bool> {
        let at = id as usize;
        if self.sets.has(Set::Found, at) {
            return Some(true);
        }
        if !self.sets.add(Set::Asked, at) {
            return (!self.sets.has(Set::Valueless, at)).then_some(false);
        }
        let value = match &self.plan.index {
            Some(index) => self.not_found(index, id, facts, trace),
            None => self.ask(id, facts, trace),
        };
        match value {
            Some(true) => {
                self.sets.add(Set::Found, at);
            }
            Some(false) => {}
            None => {
                self.sets.add(Set::Valueless, at);
            }
        }
        value
    }

    /// What an atom is that the index did not find.
    fn not_found(
        &mut self,
        index: &Index,
        id: AtomId,
        facts: &Facts<'f>,
        trace: &mut Trace,
    ) -> Option<bool> {
        let is_there = match self.plan.atoms.get(id as usize)? {
            Atom::Number { .. } | Atom::Other(_) => return self.ask(id, facts, trace),
            Atom::Pattern { .. } if index.tried.contains(&id) => return self.ask(id, facts, trace),
            Atom::Topic(_) => facts.topics.is_some(),
            Atom::OneOf { text, .. } => self.plain(Where::Text(*text), facts).is_some(),
            Atom::Part { place, .. } | Atom::Pattern { place, .. } => match place {
                Where::Story => facts.folded.is_some(),
                place => self.plain(*place, facts).is_some(),
            },
            Atom::Words(_) => facts.folded.is_some(),
        };
        is_there.then_some(false)
    }

    /// What an atom is, without the index.
    fn ask(&mut self, id: AtomId, facts: &Facts<'f>, trace: &mut Trace) -> Option<bool> {
        let plan = self.plan;
        match plan.atoms.get(id as usize)? {
            Atom::Topic(topic) => Some(facts.topics?.contains(topic)),
            Atom::OneOf { text, lower, any } => {
                let text = self.cased(Where::Text(*text), *lower, facts)?;
                Some(any.iter().any(|one| *one == text))
            }
            Atom::Part {
                place,
                lower,
                part,
                finder,
            } => {
                let text = self.cased(*place, *lower, facts)?;
                trace.read(&text);
                Some(has_part(&text, *part, finder))
            }
            Atom::Words(phrase) => {
                let story = facts.folded?;
                trace.read(story.as_str());
                Some(phrase.occurs_in(story))
            }
            Atom::Pattern {
                place,
                lower,
                regex,
            } => {
                let text = self.cased(*place, *lower, facts)?;
                trace.read(&text);
                Some(regex.is_match(&text))
            }
            Atom::Number {
                number,
                comparison,
                limit,
            } => {
                let number = self.number(*number, facts, trace)?;
                Some(comparison.holds(&number, limit))
            }
            Atom::Other(expr) => eval::holds(expr, facts, trace),
        }
    }

    fn number(&mut self, at: u32, facts: &Facts<'f>, trace: &mut Trace) -> Option<f64> {
        let place = at as usize;
        if self.sets.add(Set::NumbersAsked, place) {
            let number = eval::number(self.plan.numbers.get(place)?, facts, trace);
            *self.numbers.get_mut(place)? = number.unwrap_or(f64::NAN);
        }
        self.numbers
            .get(place)
            .copied()
            .filter(|number| !number.is_nan())
    }

    fn plain<'s>(&'s self, place: Where, facts: &'s Facts<'f>) -> Option<&'s str> {
        match place {
            Where::Text(text) => self.texts.get(text as usize)?.plain,
            Where::Story => facts.folded.map(|story| story.plain()),
        }
    }

    fn cased<'s>(
        &'s mut self,
        place: Where,
        lower: bool,
        facts: &'s Facts<'f>,
    ) -> Option<Cow<'s, str>> {
        match place {
            Where::Text(text) if lower => {
                let (plain, lower) = self.texts.get_mut(text as usize)?.both();
                plain.map(|_| Cow::Borrowed(lower))
            }
            place => {
                let plain = self.plain(place, facts)?;
                Some(if lower {
                    plain.to_ascii_lowercase().into()
                } else {
                    plain.into()
                })
            }
        }
    }
}

impl<'f> Text<'f> {
    /// As it is, and in lower case.
    fn both(&mut self) -> (Option<&'f str>, &str) {
        let plain = self.plain;
        let lower = self
            .lower
            .get_or_insert_with(|| plain.unwrap_or_default().to_ascii_lowercase());
        (plain, lower)
    }
}

fn has_part(text: &str, part: Part, finder: &Finder<'_>) -> bool {
    let text = text.as_bytes();
    match part {
        Part::Inside => finder.find(text).is_some(),
        Part::Start => text.starts_with(finder.needle()),
        Part::End => text.ends_with(finder.needle()),
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
        let is_it = |part: &str| std::ptr::eq(part, text);
        let (first, last) = (facts.folded?.parts().next()?, facts.folded?.parts().last()?);
        let story = Self {
            is_first: is_it(first),
            is_last: is_it(last),
        };
        (story.is_first || story.is_last).then_some(story)
    }
}
