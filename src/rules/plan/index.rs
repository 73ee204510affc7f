//! What is looked for in a record, and which rules it triggers.

use super::bands::{Bands, Interval, Lists};
use super::trigger::{self, Guess, Key};
use super::{Atom, AtomId, EXCERPT, Plan, TITLE, TextId, Where};
use crate::rules::condition::expr::Part;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::collections::{HashMap, HashSet};

/// The tables that a record is looked up in.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Finds every literal in a text of lower case.
    pub(super) automaton: Option<AhoCorasick>,
    /// What a literal is looked for for, by its place in the automaton.
    pub(super) uses: Lists<Use>,
    /// Whether phrases are looked for.
    pub(super) has_words: bool,
    /// By place in [`Plan::texts`].
    pub(super) texts: Vec<Text>,
    /// The topics of a keyword, by its atom.
    pub(super) keywords: Lists<u32>,
    /// The atoms of topics.
    pub(super) topics: HashMap<String, AtomId>,
    /// The patterns that have to be tried, since no literal tells of them.
    pub(super) tried: HashSet<AtomId>,
    /// By place in [`Plan::numbers`].
    pub(super) bands: Vec<Bands<Triggered>>,
    /// The numbers that are asked for before any rule.
    pub(super) guards: Vec<u32>,
    /// The rules that an atom triggers.
    pub(super) triggered: Lists<Triggered>,
    /// The rules without a trigger.
    pub(super) always: Vec<u32>,
    /// The rules with a trigger that has no value without this; see [`Lack`].
    pub(super) lacking: Lists<u32>,
}

/// One text of a record.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// The atoms of a whole text.
    pub(super) whole: HashMap<String, Vec<AtomId>>,
    /// The same, of texts in lower case.
    pub(super) lower: HashMap<String, Vec<AtomId>>,
    /// Whether something is looked for inside it.
    pub(super) is_read: bool,
    /// Whether it is a part of the story, which is title and excerpt.
    pub(super) is_story: bool,
}

/// A rule that was triggered, if its guard lets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Triggered {
    pub(super) rule: u32,
    /// The number that must not lie outside, by its place in [`Plan::numbers`].
    number: u32,
    from: f64,
    to: f64,
}

/// Instead of a number, for rules without a guard.
const UNGUARDED: u32 = u32::MAX;

/// What a literal that was found is for.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) atom: AtomId,
    /// The text that it must stand in; for the story [`STORY`].
    pub(super) text: TextId,
    pub(super) means: Means,
}

/// Instead of a text, for title and excerpt together.
pub(super) const STORY: TextId = TextId::MAX;

/// What finding a literal means for an atom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// The atom holds if the literal stands there.
    Part(Part),
    /// The same, and in just these letters.
    Exactly(Part),
    /// The atom may hold.
    Perhaps,
}

/// What a record may lack, counted for [`Index::lacking`].
#[derive(Clone, Copy)]
pub(super) enum Lack {
    Topics,
    Story,
    Text(usize),
    Number(usize),
}

impl Plan {
    pub(super) fn lack(&self, lack: Lack) -> usize {
        match lack {
            Lack::Topics => 0,
            Lack::Story => 1,
            Lack::Text(text) => 2 + text,
            Lack::Number(number) => 2 + self.texts.len() + number,
        }
    }
}

impl Index {
    /// `None` when there are more literals than one automaton can hold.
    pub(super) fn new(plan: &mut Plan) -> Option<Self> {
        let keywords = plan
            .keywords
            .iter()
            .map(|(atom, topic)| (*atom as usize, *topic));
        let mut index = Self {
            keywords: Lists::new(plan.atoms.len(), keywords.collect()),
            texts: plan.texts.iter().map(|_| Text::default()).collect(),
            ..Self::default()
        };
        index.look_for(plan)?;
        index.trigger(plan);
        Some(index)
    }

    fn look_for(&mut self, plan: &Plan) -> Option<()> {
        let mut literals = Literals::default();
        for (id, atom) in (0_u32..).zip(&plan.atoms) {
            match atom {
                Atom::Topic(topic) => {
                    self.topics.insert(topic.clone(), id);
                }
                Atom::OneOf { text, lower, any } => {
                    let table = self.texts.get_mut(*text as usize)?;
                    let table = if *lower {
                        &mut table.lower
                    } else {
                        &mut table.whole
                    };
                    for whole in any {
                        table.entry(whole.clone()).or_default().push(id);
                    }
                }
                Atom::Part {
                    place,
                    lower,
                    part,
                    finder,
                } => {
                    let needle = finder.needle();
                    // In lower case there are no capitals to be found.
                    if *lower && needle.iter().any(u8::is_ascii_uppercase) {
                        continue;
                    }
                    let exactly = !lower && needle.iter().any(u8::is_ascii_alphabetic);
                    let means = if exactly {
                        Means::Exactly(*part)
                    } else {
                        Means::Part(*part)
                    };
                    literals.add(needle.to_ascii_lowercase(), Use::new(id, *place, means));
                }
                Atom::Words(phrase) => {
                    self.has_words = true;
                    let longest = phrase.as_str().split(' ').max_by_key(|word| word.len())?;
                    let longest = longest.as_bytes().to_vec();
                    literals.add(longest, Use::new(id, Where::Story, Means::Perhaps));
                }
                Atom::Pattern { place, regex, .. } => match trigger::literals(regex) {
                    Some(any) => any.into_iter().for_each(|literal| {
                        literals.add(literal, Use::new(id, *place, Means::Perhaps));
                    }),
                    None => {
                        self.tried.insert(id);
                    }
                },
                Atom::Number { .. } | Atom::Other(_) => {}
            }
        }
        for (at, text) in (0..).zip(&mut self.texts) {
            text.is_story = at == TITLE || at == EXCERPT;
            text.is_read = literals.texts_read.contains(&at)
                || (text.is_story && literals.texts_read.contains(&STORY));
        }
        let count = literals.literals.len();
        if count > 0 {
            let automaton = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                .build(&literals.literals);
            self.automaton = Some(automaton.ok()?);
        }
        self.uses = Lists::new(count, literals.uses);
        Some(())
    }

    fn trigger(&mut self, plan: &mut Plan) {
        let guess = Guess::new(plan);
        let (mut by_atom, mut by_lack) = (Vec::new(), Vec::new());
        let mut bands: Vec<Vec<(Interval, Triggered)>> =
            plan.numbers.iter().map(|_| vec![]).collect();
        for rule in 0..plan.programs.len() {
            let Some(program) = plan.programs.get(rule) else {
                break;
            };
            let id = u32::try_from(rule).unwrap_or(u32::MAX);
            let Some(trigger) = trigger::of(plan, &guess, program.when) else {
                self.always.push(id);
                continue;
            };
            let rest = (!trigger.rest.is_empty()).then(|| plan.join(&trigger.rest, true));
            if let Some(program) = plan.programs.get_mut(rule) {
                program.rest = rest;
            }
            let triggered = Triggered::new(id, trigger.guard);
            if let Some((number, _)) = trigger.guard {
                self.guards.push(number);
                by_lack.push((plan.lack(Lack::Number(number as usize)), id));
            }
            for key in trigger.keys {
                let lack = match key {
                    Key::Atom(atom) => {
                        by_atom.push((atom as usize, triggered));
                        lack_of(plan, atom)
                    }
                    Key::Band(number, interval) => {
                        self.guards.push(number);
                        if let Some(bands) = bands.get_mut(number as usize) {
                            bands.push((interval, triggered));
                        }
                        Some(Lack::Number(number as usize))
                    }
                };
                by_lack.extend(lack.map(|lack| (plan.lack(lack), id)));
            }
        }
        self.guards.sort_unstable();
        self.guards.dedup();
        self.triggered = Lists::new(plan.atoms.len(), by_atom);
        self.lacking = Lists::new(plan.lack(Lack::Number(plan.numbers.len())), by_lack);
        self.bands = bands.iter().map(|bands| Bands::new(bands)).collect();
    }
}

fn lack_of(plan: &Plan, atom: AtomId) -> Option<Lack> {
    match plan.atoms.get(atom as usize)? {
        Atom::Topic(_) => Some(Lack::Topics),
        Atom::OneOf { text, .. } => Some(Lack::Text(*text as usize)),
        Atom::Part { place, .. } | Atom::Pattern { place, .. } => Some(match place {
            Where::Story => Lack::Story,
            Where::Text(text) => Lack::Text(*text as usize),
        }),
        Atom::Words(_) => Some(Lack::Story),
        Atom::Number { number, .. } => Some(Lack::Number(*number as usize)),
        Atom::Other(_) => None,
    }
}

impl Triggered {
    fn new(rule: u32, guard: Option<(u32, Interval)>) -> Self {
        let (number, (from, to)) = match guard {
            Some((number, interval)) => (number, interval.closed()),
            None => (UNGUARDED, (0.0, 0.0)),
        };
        Self {
            rule,
            number,
            from,
            to,
        }
    }

    /// Whether the guard lets it, by the numbers of the record; what is missing is `NaN` there.
    pub(super) fn passes(&self, numbers: &[f64]) -> bool {
        match numbers.get(self.number as usize) {
            Some(number) => self.from <= *number && *number <= self.to,
            None => self.number == UNGUARDED,
        }
    }
}

impl Use {
    fn new(atom: AtomId, place: Where, means: Means) -> Self {
        let text = match place {
            Where::Text(text) => text,
            Where::Story => STORY,
        };
        Self { atom, text, means }
    }
}

/// Literals, each once, with what they are for.
#[derive(Default)]
struct Literals {
    literals: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, usize>,
    uses: Vec<(usize, Use)>,
    texts_read: HashSet<TextId>,
}

impl Literals {
    fn add(&mut self, literal: Vec<u8>, used: Use) {
        self.texts_read.insert(used.text);
        let next = self.literals.len();
        let id = *self.ids.entry(literal).or_insert_with_key(|literal| {
            self.literals.push(literal.clone());
            next
        });
        self.uses.push((id, used));
    }
}
