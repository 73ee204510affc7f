//! From the typed trees of conditions to atoms and nodes, each atom once.

use super::{Atom, AtomId, Node, NodeId, Plan, Program, TextId, Where};
use crate::record::value::Value;
use crate::rules::condition::Condition;
use crate::rules::condition::expr::{Comparison, Expr, Kind, Part, Path, Root};
use crate::rules::words::Phrase;
use crate::rules::{Rule, Topic};
use memchr::memmem::Finder;
use regex::Regex;
use std::collections::HashMap;
use std::ops::Range;

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

#[derive(Default)]
struct Lowering {
    plan: Plan,
    numbers: HashMap<String, u32>,
    atoms: HashMap<Key, AtomId>,
}

/// The plan without an index.
pub(super) fn plan(rules: &[Rule], topics: &[Topic]) -> Plan {
    let mut lowering = Lowering::default();
    // In the order of `TITLE` and `EXCERPT`.
    lowering.plan.texts = vec![Path::of_key("title"), Path::of_key("excerpt")];
    for rule in rules {
        let when = lowering.several(rule.when.iter().map(Condition::expr), true);
        let unless = (!rule.unless.is_empty())
            .then(|| lowering.several(rule.unless.iter().map(Condition::expr), false));
        let rest = Some(when);
        lowering.plan.programs.push(Program { when, unless, rest });
    }
    for (topic, entry) in (0_u32..).zip(topics) {
        for phrase in &entry.keywords {
            let atom = lowering.words(phrase);
            lowering.plan.keywords.push((atom, topic));
        }
    }
    lowering.plan
}

impl Lowering {
    fn node(&mut self, expr: &Expr) -> NodeId {
        let node = match expr {
            Expr::Bool(yes) => Node::Constant(*yes),
            Expr::Not(inner) => Node::Not(self.node(inner)),
            Expr::All(_) => return self.several(std::iter::once(expr), true),
            Expr::Any(_) => return self.several(std::iter::once(expr), false),
            Expr::If(parts) => {
                let parts = parts.each_ref().map(|part| self.node(part));
                Node::If(self.plan.list(&parts).start)
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

    /// What is cheap to ask is asked first; for the outcome the order does not count.
    fn joined(&mut self, nodes: &[NodeId], all: bool) -> NodeId {
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|node| self.dearness(*node));
        self.plan.join(&nodes, all)
    }

    fn dearness(&self, node: NodeId) -> u8 {
        let atom = match self.plan.nodes.get(node as usize) {
            Some(Node::Constant(_)) | None => return 0,
            Some(Node::Atom(atom)) => *atom,
            Some(Node::Not(inner)) => return self.dearness(*inner),
            Some(_) => return 4,
        };
        match self.plan.atoms.get(atom as usize) {
            Some(Atom::Number { .. }) | None => 1,
            Some(Atom::Topic(_) | Atom::OneOf { .. }) => 2,
            Some(Atom::Part { .. } | Atom::Words(_)) => 3,
            Some(Atom::Pattern { .. } | Atom::Other(_)) => 5,
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
                self.once(key, || Atom::Number {
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
        self.once(Key::Topic(topic.to_owned()), || {
            Atom::Topic(topic.to_owned())
        })
    }

    fn words(&mut self, phrase: &Phrase) -> AtomId {
        let key = Key::Words(phrase.as_str().to_owned());
        self.once(key, || Atom::Words(phrase.clone()))
    }

    /// A text that is one of several.
    fn whole(&mut self, subject: &Expr, any: Vec<String>, expr: &Expr) -> AtomId {
        match self.text(subject) {
            Some(place) => self.one_of(place, any),
            None => self.other(expr),
        }
    }

    fn one_of(&mut self, (text, lower): (TextId, bool), any: Vec<String>) -> AtomId {
        self.once(Key::OneOf(text, lower, any.clone()), || Atom::OneOf {
            text,
            lower,
            any,
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
        self.once(Key::Part(place, lower, part, text.clone()), || {
            let finder = Box::new(Finder::new(text.as_bytes()).into_owned());
            Atom::Part {
                place,
                lower,
                part,
                finder,
            }
        })
    }

    fn pattern(&mut self, subject: &Expr, regex: &Regex, expr: &Expr) -> AtomId {
        let Some((place, lower)) = self.place(subject) else {
            return self.other(expr);
        };
        let key = Key::Pattern(place, lower, regex.as_str().to_owned());
        self.once(key, || Atom::Pattern {
            place,
            lower,
            regex: regex.clone(),
        })
    }

    fn number(&mut self, side: &Expr) -> u32 {
        // Most numbers are fields, and there are few of those.
        let is_it = |known: &Expr| match (known, side) {
            (Expr::Field(known), Expr::Field(path)) => same(known, path),
            _ => false,
        };
        if let Some(known) = self.plan.numbers.iter().position(is_it) {
            return id(known);
        }
        let next = id(self.plan.numbers.len());
        *self.numbers.entry(format!("{side:?}")).or_insert_with(|| {
            self.plan.numbers.push(side.clone());
            next
        })
    }

    fn other(&mut self, expr: &Expr) -> AtomId {
        let key = Key::Other(format!("{expr:?}"));
        self.once(key, || Atom::Other(expr.clone()))
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
                let texts = &mut self.plan.texts;
                let known = texts.iter().position(|known| same(known, path));
                let at = known.unwrap_or_else(|| {
                    texts.push(path.clone());
                    texts.len() - 1
                });
                Where::Text(TextId::try_from(at).ok()?)
            }
            _ => return None,
        };
        Some((place, lower))
    }

    fn once(&mut self, key: Key, atom: impl FnOnce() -> Atom) -> AtomId {
        if let Some(known) = self.atoms.get(&key) {
            return *known;
        }
        let atom = atom();
        let id = id(self.plan.atoms.len());
        self.plan.atoms.push(atom);
        self.atoms.insert(key, id);
        id
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.plan.push(node)
    }
}

impl Plan {
    /// A node that holds when all, or any, of some hold.
    pub(super) fn join(&mut self, nodes: &[NodeId], all: bool) -> NodeId {
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
