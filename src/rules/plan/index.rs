//! What is looked for in a record, and which rules it triggers.

use super::bands::{Bands, Interval, Lists};
use super::lower::{EXCERPT, Sought, TITLE};
use super::trigger::{self, Key};
use super::{Atom, AtomId, Plan, Where};
use crate::rules::condition::expr::Part;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::collections::HashMap;

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
    /// The atoms of topics.
    pub(super) topics: HashMap<String, AtomId>,
    /// The topic of a keyword, by its atom.
    pub(super) keywords: Lists<u32>,
    /// By place in [`Plan::numbers`].
    pub(super) bands: Vec<Bands>,
    /// The rules that an atom triggers.
    pub(super) triggered: Lists<u32>,
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

/// What a literal that was found says.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) atom: AtomId,
    pub(super) place: Where,
    pub(super) means: Means,
}

/// What finding a literal means for an atom.
#[derive(Debug)]
pub(super) enum Means {
    /// The atom holds if the literal stands where it should; if given, in just these letters.
    Part(Part, Option<Box<str>>),
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
    pub(super) fn new(
        plan: &Plan,
        sought: Vec<(AtomId, Sought)>,
        keywords: &[(AtomId, u32)],
    ) -> Option<Self> {
        let mut index = Self {
            texts: plan.texts.iter().map(|_| Text::default()).collect(),
            keywords: Lists::new(
                plan.atoms.len(),
                keywords
                    .iter()
                    .map(|(atom, topic)| (*atom as usize, *topic))
                    .collect(),
            ),
            ..Self::default()
        };
        index.look_for(sought)?;
        index.trigger(plan);
        Some(index)
    }

    /// `None` when there are more literals than one automaton can hold.
    fn look_for(&mut self, sought: Vec<(AtomId, Sought)>) -> Option<()> {
        let mut literals = Literals::default();
        for (atom, sought) in sought {
            match sought {
                Sought::Topic(topic) => {
                    self.topics.insert(topic, atom);
                }
                Sought::Whole(text, lower, whole) => {
                    if let Some(table) = self.texts.get_mut(text as usize) {
                        let table = if lower {
                            &mut table.lower
                        } else {
                            &mut table.whole
                        };
                        table.entry(whole).or_default().push(atom);
                    }
                }
                Sought::Part {
                    place,
                    lower,
                    part,
                    text,
                } => {
                    let exact = !lower && text.contains(|c: char| c.is_ascii_alphabetic());
                    let bytes = text.to_ascii_lowercase().into_bytes();
                    let means = Means::Part(part, exact.then(|| text.into()));
                    literals.add(bytes, Use { atom, place, means });
                }
                Sought::Anchor(word) => {
                    self.has_words = true;
                    literals.add(word, Use::perhaps(atom, Where::Story));
                }
                Sought::Literal(place, literal) => literals.add(literal, Use::perhaps(atom, place)),
            }
        }
        for (at, text) in self.texts.iter_mut().enumerate() {
            text.is_story = at == usize::from(TITLE) || at == usize::from(EXCERPT);
            text.is_read = literals.places.iter().any(|place| match place {
                Where::Text(read) => usize::from(*read) == at,
                Where::Story => text.is_story,
            });
        }
        let count = literals.texts.len();
        if count > 0 {
            let automaton = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                .build(&literals.texts);
            self.automaton = Some(automaton.ok()?);
        }
        self.uses = Lists::new(count, literals.uses);
        Some(())
    }

    fn trigger(&mut self, plan: &Plan) {
        let mut by_atom = Vec::new();
        let mut by_lack = Vec::new();
        let mut bands: Vec<Vec<(Interval, u32)>> = plan.numbers.iter().map(|_| vec![]).collect();
        for (rule, program) in (0_u32..).zip(&plan.programs) {
            let Some(trigger) = trigger::of(plan, program.when) else {
                self.always.push(rule);
                continue;
            };
            for key in trigger.keys {
                let lack = match key {
                    Key::Atom(atom) => {
                        by_atom.push((atom as usize, rule));
                        lack_of(plan, atom)
                    }
                    Key::Band(number, interval) => {
                        let number = number as usize;
                        if let Some(bands) = bands.get_mut(number) {
                            bands.push((interval, rule));
                        }
                        Some(Lack::Number(number))
                    }
                };
                by_lack.extend(lack.map(|lack| (plan.lack(lack), rule)));
            }
        }
        self.triggered = Lists::new(plan.atoms.len(), by_atom);
        self.lacking = Lists::new(plan.lack(Lack::Number(plan.numbers.len())), by_lack);
        self.bands = bands.iter().map(|bands| Bands::new(bands)).collect();
    }
}

fn lack_of(plan: &Plan, atom: AtomId) -> Option<Lack> {
    let of = |place: &Where| match place {
        Where::Story => Lack::Story,
        Where::Text(text) => Lack::Text(*text as usize),
    };
    match plan.atoms.get(atom as usize)? {
        Atom::Topic => Some(Lack::Topics),
        Atom::OneOf(text) => Some(Lack::Text(*text as usize)),
        Atom::Part(place) | Atom::Pattern { place, .. } => Some(of(place)),
        Atom::Words(..) => Some(Lack::Story),
        Atom::Number { number, .. } => Some(Lack::Number(*number as usize)),
        Atom::Other(..) => None,
    }
}

impl Use {
    fn perhaps(atom: AtomId, place: Where) -> Self {
        Self {
            atom,
            place,
            means: Means::Perhaps,
        }
    }
}

/// Literals, each once, with what they are for.
#[derive(Default)]
struct Literals {
    texts: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, usize>,
    uses: Vec<(usize, Use)>,
    places: Vec<Where>,
}

impl Literals {
    fn add(&mut self, literal: Vec<u8>, used: Use) {
        if !self.places.contains(&used.place) {
            self.places.push(used.place);
        }
        let next = self.texts.len();
        let id = *self.ids.entry(literal).or_insert_with_key(|literal| {
            self.texts.push(literal.clone());
            next
        });
        self.uses.push((id, used));
    }
}
