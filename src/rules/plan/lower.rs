//! From the typed trees of conditions to atoms and nodes, each atom once.

use super::index::Index;
use super::{Atom, AtomId, Node, NodeId, Plan, Program, Remembered, TextId, Where};
use crate::record::value::Value;
use crate::rules::condition::Condition;
use crate::rules::condition::expr::{Comparison, Expr, Kind, Part, Path, Root};
use crate::rules::words::Phrase;
use crate::rules::{Rule, Topic};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use std::collections::HashMap;
use std::ops::Range;

/// A literal of a pattern must have so many bytes to be worth looking for.
const LEAST_LITERAL: usize = 2;

/// What makes two atoms one.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Topic(String),
    OneOf(TextId, bool, Vec<String>),
    Part(Where, bool, Part, String),
    Words(String),
    Pattern(Where, bool, String),
    Number(u32, Comparison, u64),
    Other(String),
}

/// What the index has to look for, for which atom.
#[derive(Debug)]
pub(super) enum Sought {
    /// A topic.
    Topic(String),
    /// A whole text; in lower case if the second says so.
    Whole(TextId, bool, String),
    /// A part of a text.
    Part {
        place: Where,
        lower: bool,
        part: Part,
        text: String,
    },
    /// A word of a phrase.
    Anchor(Vec<u8>),
    /// A literal of a pattern.
    Literal(Where, Vec<u8>),
}

/// The places of title and excerpt among the texts.
pub(super) const TITLE: TextId = 0;
/// See [`TITLE`].
pub(super) const EXCERPT: TextId = 1;

pub(super) struct Lowering {
    atoms: Vec<Atom>,
    nodes: Vec<Node>,
    parts: Vec<NodeId>,
    texts: Vec<Path>,
    numbers: Vec<Expr>,
    number_ids: HashMap<String, u32>,
    remembered: Remembered,
    keys: HashMap<Key, AtomId>,
    sought: Vec<(AtomId, Sought)>,
}

impl Lowering {
    pub(super) fn new() -> Self {
        Self {
            atoms: Vec::new(),
            nodes: Vec::new(),
            parts: Vec::new(),
            texts: vec![Path::of_key("title"), Path::of_key("excerpt")],
            numbers: Vec::new(),
            number_ids: HashMap::new(),
            remembered: 0,
            keys: HashMap::new(),
            sought: Vec::new(),
        }
    }

    /// `None` when there are more literals than can be looked for at once.
    pub(super) fn plan(mut self, rules: &[Rule], topics: &[Topic]) -> Option<Plan> {
        let programs = rules
            .iter()
            .map(|rule| Program {
                when: self.several(rule.when.iter().map(Condition::expr), true),
                unless: self.several(rule.unless.iter().map(Condition::expr), false),
            })
            .collect();
        let mut keywords = Vec::new();
        for (topic, entry) in (0_u32..).zip(topics) {
            for phrase in &entry.keywords {
                keywords.push((self.words(phrase), topic));
            }
        }
        let mut plan = Plan {
            atoms: self.atoms,
            nodes: self.nodes,
            parts: self.parts,
            programs,
            texts: self.texts,
            numbers: self.numbers,
            remembered: self.remembered as usize,
            index: Index::default(),
        };
        plan.index = Index::new(&plan, self.sought, &keywords)?;
        Some(plan)
    }

    fn node(&mut self, expr: &Expr) -> NodeId {
        let node = match expr {
            Expr::Bool(yes) => Node::Constant(*yes),
            Expr::Not(inner) => Node::Not(self.node(inner)),
            Expr::All(_) => return self.several(std::iter::once(expr), true),
            Expr::Any(_) => return self.several(std::iter::once(expr), false),
            Expr::If(parts) => {
                let parts = parts.each_ref().map(|part| self.node(part));
                Node::If(self.list(&parts).start)
            }
            Expr::Mentions(phrases) => {
                let atoms: Vec<NodeId> = phrases
                    .iter()
                    .map(|phrase| {
                        let atom = self.words(phrase);
                        self.push(Node::Atom(atom))
                    })
                    .collect();
                return self.joined(&atoms, false);
            }
            Expr::Compare(Kind::Text, Comparison::NotEqual, sides) => {
                let equal = one_of(sides).and_then(|(subject, text)| {
                    let place = self.text(subject)?;
                    Some(self.one_of(place, vec![text.to_owned()]))
                });
                match equal {
                    Some(equal) => {
                        let equal = self.push(Node::Atom(equal));
                        Node::Not(equal)
                    }
                    None => Node::Atom(self.other(expr)),
                }
            }
            _ => Node::Atom(self.atom(expr)),
        };
        self.push(node)
    }

    /// All or any of some conditions. What is joined in the same way inside them is joined with
    /// them, so that comparisons of one number come together.
    fn several<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr>, all: bool) -> NodeId {
        let mut flat = Vec::new();
        for expr in exprs {
            flatten(expr, all, &mut flat);
        }
        let nodes: Vec<NodeId> = flat.into_iter().map(|expr| self.node(expr)).collect();
        self.joined(&nodes, all)
    }

    fn joined(&mut self, nodes: &[NodeId], all: bool) -> NodeId {
        match nodes {
            [] => self.push(Node::Constant(all)),
            [one] => *one,
            several => {
                let range = self.list(several);
                self.push(if all {
                    Node::All(range)
                } else {
                    Node::Any(range)
                })
            }
        }
    }

    fn atom(&mut self, expr: &Expr) -> AtomId {
        match expr {
            Expr::About(topic) => self.topic(topic),
            Expr::In(Kind::Text, sides) => match &**sides {
                [Expr::Text(topic), Expr::Field(path)] if is_topics(path) => self.topic(topic),
                [subject, Expr::List(list)] => {
                    let texts = list.iter().filter_map(Value::as_text);
                    self.whole(subject, texts.map(str::to_owned).collect(), expr)
                }
                _ => self.other(expr),
            },
            Expr::Compare(Kind::Text, Comparison::Equal, sides) => match one_of(sides) {
                Some((subject, text)) => self.whole(subject, vec![text.to_owned()], expr),
                None => self.other(expr),
            },
            Expr::Threshold(threshold) if !matches!(threshold.side, Expr::Age(_)) => {
                let number = self.number(&threshold.side);
                let (comparison, limit) = (threshold.comparison, threshold.limit);
                let key = Key::Number(number, comparison, limit.to_bits());
                self.once(key, |_| Atom::Number {
                    number,
                    comparison,
                    limit,
                })
            }
            Expr::Part(part, sides) => self.part(*part, sides, expr),
            Expr::Matches(subject, regex) => self.pattern(subject, regex, expr),
            _ => self.other(expr),
        }
    }

    fn topic(&mut self, topic: &str) -> AtomId {
        let sought = Sought::Topic(topic.to_owned());
        self.found(Key::Topic(topic.to_owned()), [sought], |_| Atom::Topic)
    }

    fn words(&mut self, phrase: &Phrase) -> AtomId {
        let words = phrase.as_str();
        let anchor = words.split(' ').max_by_key(|word| word.len());
        let sought = Sought::Anchor(anchor.unwrap_or(words).as_bytes().to_vec());
        self.found(Key::Words(words.to_owned()), [sought], |lowering| {
            Atom::Words(phrase.clone(), lowering.remember())
        })
    }

    /// A text that is one of several.
    fn whole(&mut self, subject: &Expr, texts: Vec<String>, expr: &Expr) -> AtomId {
        match self.text(subject) {
            Some(place) => self.one_of(place, texts),
            None => self.other(expr),
        }
    }

    fn one_of(&mut self, (text, lower): (TextId, bool), texts: Vec<String>) -> AtomId {
        let sought: Vec<Sought> = texts
            .iter()
            .map(|whole| Sought::Whole(text, lower, whole.clone()))
            .collect();
        self.found(Key::OneOf(text, lower, texts), sought, |_| {
            Atom::OneOf(text)
        })
    }

    fn part(&mut self, part: Part, sides: &[Expr; 2], expr: &Expr) -> AtomId {
        let [subject, Expr::Text(text)] = sides else {
            return self.other(expr);
        };
        let Some((place, lower)) = self.place(subject) else {
            return self.other(expr);
        };
        // An empty part is everywhere, and a line break may be the one between title and excerpt.
        if text.is_empty() || (place == Where::Story && text.contains('\n')) {
            return self.other(expr);
        }
        let key = Key::Part(place, lower, part, text.clone());
        let sought = Sought::Part {
            place,
            lower,
            part,
            text: text.clone(),
        };
        // In lower case there are no capitals to be found.
        let is_lower = !text.contains(|c: char| c.is_ascii_uppercase());
        let sought = (!lower || is_lower).then_some(sought);
        self.found(key, sought, |_| Atom::Part(place))
    }

    fn pattern(&mut self, subject: &Expr, regex: &regex::Regex, expr: &Expr) -> AtomId {
        let Some((place, lower)) = self.place(subject) else {
            return self.other(expr);
        };
        let literals = literals(regex.as_str()).unwrap_or_default();
        let sought: Vec<Sought> = literals
            .into_iter()
            .map(|literal| Sought::Literal(place, literal))
            .collect();
        let is_sought = !sought.is_empty();
        let key = Key::Pattern(place, lower, regex.as_str().to_owned());
        self.found(key, sought, |lowering| Atom::Pattern {
            place,
            lower,
            regex: regex.clone(),
            sought: is_sought,
            remembered: lowering.remember(),
        })
    }

    fn number(&mut self, side: &Expr) -> u32 {
        let key = format!("{side:?}");
        if let Some(known) = self.number_ids.get(&key) {
            return *known;
        }
        let id = id(self.numbers.len());
        self.numbers.push(side.clone());
        self.number_ids.insert(key, id);
        id
    }

    fn other(&mut self, expr: &Expr) -> AtomId {
        self.once(Key::Other(format!("{expr:?}")), |lowering| {
            Atom::Other(expr.clone(), lowering.remember())
        })
    }

    /// A field that holds text, as it is or in lower case.
    fn text(&mut self, subject: &Expr) -> Option<(TextId, bool)> {
        match self.place(subject)? {
            (Where::Text(text), lower) => Some((text, lower)),
            (Where::Story, _) => None,
        }
    }

    /// Where a text stands that the index can read.
    fn place(&mut self, subject: &Expr) -> Option<(Where, bool)> {
        let (path, lower) = match subject {
            Expr::Field(path) => (path, false),
            Expr::LowerAscii(inner) => match &**inner {
                Expr::Field(path) => (path, true),
                _ => return None,
            },
            _ => return None,
        };
        let place = match path.root {
            Root::Text if path.steps.is_empty() => Where::Story,
            Root::Record | Root::Domain => {
                let known = self.texts.iter().position(|known| same(known, path));
                let at = known.unwrap_or_else(|| {
                    self.texts.push(path.clone());
                    self.texts.len() - 1
                });
                Where::Text(TextId::try_from(at).ok()?)
            }
            _ => return None,
        };
        Some((place, lower))
    }

    /// An atom that holds, or may hold, when one of some things was found.
    fn found(
        &mut self,
        key: Key,
        sought: impl IntoIterator<Item = Sought>,
        atom: impl FnOnce(&mut Self) -> Atom,
    ) -> AtomId {
        let before = self.atoms.len();
        let id = self.once(key, atom);
        if self.atoms.len() > before {
            self.sought
                .extend(sought.into_iter().map(|sought| (id, sought)));
        }
        id
    }

    fn once(&mut self, key: Key, atom: impl FnOnce(&mut Self) -> Atom) -> AtomId {
        if let Some(known) = self.keys.get(&key) {
            return *known;
        }
        let atom = atom(self);
        let id = id(self.atoms.len());
        self.atoms.push(atom);
        self.keys.insert(key, id);
        id
    }

    fn remember(&mut self) -> Remembered {
        self.remembered += 1;
        self.remembered - 1
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        id(self.nodes.len() - 1)
    }

    fn list(&mut self, nodes: &[NodeId]) -> Range<u32> {
        let start = id(self.parts.len());
        self.parts.extend_from_slice(nodes);
        start..id(self.parts.len())
    }
}

/// Rule files are bounded, so that no set comes near the end of these numbers.
fn id(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn flatten<'e>(expr: &'e Expr, all: bool, flat: &mut Vec<&'e Expr>) {
    match expr {
        Expr::All(parts) if all => parts.iter().for_each(|part| flatten(part, all, flat)),
        Expr::Any(parts) if !all => parts.iter().for_each(|part| flatten(part, all, flat)),
        other => flat.push(other),
    }
}

fn one_of(sides: &[Expr; 2]) -> Option<(&Expr, &str)> {
    match sides {
        [subject, Expr::Text(text)] | [Expr::Text(text), subject] => Some((subject, text)),
        _ => None,
    }
}

fn is_topics(path: &Path) -> bool {
    path.root == Root::Topics && path.steps.is_empty()
}

/// Whether two paths lead to the same place, however they are called.
fn same(a: &Path, b: &Path) -> bool {
    a.root == b.root && a.steps == b.steps
}

/// Literals of which one stands wherever a pattern matches, if there are such.
fn literals(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let of = |kind: ExtractKind| {
        let mut extractor = Extractor::new();
        let found = extractor.kind(kind).extract(&hir);
        let literals = found.literals()?;
        let mut bytes: Vec<Vec<u8>> = literals
            .iter()
            .map(|literal| literal.as_bytes().to_ascii_lowercase())
            .collect();
        bytes.sort_unstable();
        bytes.dedup();
        let long = bytes.iter().all(|literal| literal.len() >= LEAST_LITERAL);
        (long && !bytes.is_empty()).then_some(bytes)
    };
    of(ExtractKind::Prefix).or_else(|| of(ExtractKind::Suffix))
}
