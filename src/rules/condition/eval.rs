//! Evaluation in three values, by CEL's rules of absorption.
//!
//! `None` is "no value" everywhere. Nothing is copied out of the record except by `+` on text and
//! `lowerAscii()`.

mod found;
mod near;

use super::expr::{
    Arithmetic, Comparison, Each, Expr, Kind, Part, Path, Root, Step, Threshold, Unit,
};
use super::{Facts, Trace};
use crate::record::value::{Map, Value};
use crate::rules::types::Type;
use std::borrow::Cow;

pub(super) use found::found;
pub(super) use near::near;

const MOST_MISSING: usize = 32;

/// One microsecond, the unit of stored times, in hours.
const MOMENT: f64 = 1.0 / 3_600_000_000.0;

/// Whether the tree holds.
pub(crate) fn holds(expr: &Expr, facts: &Facts<'_>, trace: &mut Trace) -> Option<bool> {
    Evaluation::new(facts, trace).test(expr)
}

/// The number that a tree stands for.
pub(crate) fn number(expr: &Expr, facts: &Facts<'_>, trace: &mut Trace) -> Option<f64> {
    Evaluation::new(facts, trace).number(expr)
}

/// The text at a place of the record itself; not for what is worked out from it, which the facts
/// do not outlive.
pub(crate) fn text_at<'f>(path: &Path, facts: &Facts<'f>) -> Option<&'f str> {
    let root = match path.root {
        Root::Record => Found::Map(facts.fields),
        Root::Domain => Found::Text(facts.domain?),
        _ => return None,
    };
    path.steps
        .iter()
        .try_fold(root, |found, step| found.step(step))?
        .as_text()
}

/// What stands at a place in the record.
#[derive(Clone, Copy)]
enum Found<'a> {
    Value(&'a Value),
    Map(&'a Map),
    Bool(bool),
    Text(&'a str),
    Texts(&'a [String]),
}

#[derive(Clone, Copy)]
enum List<'a> {
    Values(&'a [Value]),
    Texts(&'a [String]),
}

/// The element that an `exists` or `all` looks at.
#[derive(Clone, Copy)]
struct Element<'a> {
    list: &'a Expr,
    at: usize,
    found: Found<'a>,
}

struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    trace: &'a mut Trace,
    elements: Vec<Element<'a>>,
}

impl<'a> Evaluation<'a> {
    fn new(facts: &'a Facts<'a>, trace: &'a mut Trace) -> Self {
        Self {
            facts,
            trace,
            elements: vec![],
        }
    }

    fn test(&mut self, expr: &'a Expr) -> Option<bool> {
        self.trace.steps += 1;
        if self.trace.is_exhausted() {
            return None;
        }
        match expr {
            Expr::Bool(yes) => Some(*yes),
            Expr::Field(path) => {
                let found = self.read(path).and_then(Found::as_bool);
                self.noted(found, path)
            }
            Expr::Not(inner) => self.test(inner).map(|yes| !yes),
            Expr::All(parts) => self.first_decides(parts, false),
            Expr::Any(parts) => self.first_decides(parts, true),
            Expr::If(parts) => {
                let branch = self.branch(parts)?;
                self.test(branch)
            }
            Expr::Has(path, kind) => Some(self.read(path).is_some_and(|found| found.is(kind))),
            Expr::Threshold(threshold) => {
                let value = self.number(&threshold.side)?;
                if let Expr::Age(unit) = threshold.side {
                    self.note_flip(threshold, unit);
                }
                Some(threshold.comparison.holds(&value, &threshold.limit))
            }
            Expr::Compare(kind, comparison, sides) => self.compare(*kind, *comparison, sides),
            Expr::In(kind, sides) => self.contains(*kind, sides),
            Expr::Part(part, sides) => {
                let [text, wanted] = &**sides;
                let (text, wanted) = self.text(text).zip(self.text(wanted))?;
                self.trace.read(&text);
                Some(match part {
                    Part::Inside => text.contains(&*wanted),
                    Part::Start => text.starts_with(&*wanted),
                    Part::End => text.ends_with(&*wanted),
                })
            }
            Expr::Matches(text, pattern) => {
                let text = self.text(text)?;
                self.trace.read(&text);
                Some(pattern.is_match(&text))
            }
            Expr::Each(each) => self.each(each),
            Expr::About(topic) => match self.facts.topics {
                Some(topics) => Some(topics.contains(topic)),
                None => self.missing("topics"),
            },
            Expr::Mentions(phrases) => match self.facts.folded {
                Some(story) => Some(phrases.iter().any(|phrase| {
                    self.trace.read(story.as_str());
                    phrase.occurs_in(story)
                })),
                None => self.missing_text(),
            },
            _ => None,
        }
    }

    fn number(&mut self, expr: &'a Expr) -> Option<f64> {
        match expr {
            Expr::Number(number) => Some(*number),
            Expr::Field(path) => {
                let found = self.read(path).and_then(Found::as_number);
                self.noted(found, path)
            }
            #[allow(clippy::cast_precision_loss)]
            Expr::Score(axis) => match (self.facts.score, axis) {
                (Some(score), Some(axis)) => Some(score.on(*axis) as f64),
                (Some(score), None) => Some(score.total as f64),
                (None, _) => self.missing("score"),
            },
            Expr::Age(unit) => Some(self.facts.age_hours / unit.hours()),
            Expr::Negate(inner) => self.number(inner).map(|number| -number),
            Expr::Arithmetic(operation, sides, written) => {
                let [left, right] = &**sides;
                let (left, right) = self.number(left).zip(self.number(right))?;
                // No field is missing: what has no value is the computation itself.
                let result = Arithmetic::apply(*operation, left, right);
                result.or_else(|| self.missing(written))
            }
            #[allow(clippy::cast_precision_loss)]
            Expr::TextSize(text) => {
                let text = self.text(text)?;
                self.trace.read(&text);
                Some(text.chars().count() as f64)
            }
            #[allow(clippy::cast_precision_loss)]
            Expr::ListSize(list) => self.list(list).map(|list| list.len() as f64),
            Expr::If(parts) => {
                let branch = self.branch(parts)?;
                self.number(branch)
            }
            _ => None,
        }
    }

    fn text(&mut self, expr: &'a Expr) -> Option<Cow<'a, str>> {
        match expr {
            Expr::Text(text) => Some(Cow::Borrowed(text)),
            Expr::Field(path) => {
                let found = self.read(path).and_then(Found::as_text);
                self.noted(found, path).map(Cow::Borrowed)
            }
            Expr::Join(sides) => {
                let [left, right] = &**sides;
                let (left, right) = self.text(left).zip(self.text(right))?;
                self.trace.read(&left);
                self.trace.read(&right);
                Some(left + right)
            }
            Expr::LowerAscii(text) => {
                let text = self.text(text)?;
                self.trace.read(&text);
                Some(Cow::Owned(text.to_ascii_lowercase()))
            }
            Expr::If(parts) => {
                let branch = self.branch(parts)?;
                self.text(branch)
            }
            _ => None,
        }
    }

    fn list(&mut self, expr: &'a Expr) -> Option<List<'a>> {
        let list = self.any_list(expr)?;
        self.trace.steps += list.len() as u64 / 16;
        Some(list)
    }

    fn any_list(&mut self, expr: &'a Expr) -> Option<List<'a>> {
        match expr {
            Expr::List(list) => Some(List::Values(list)),
            Expr::Field(path) => {
                let found = self.read(path).and_then(Found::as_list);
                self.noted(found, path)
            }
            Expr::If(parts) => {
                let branch = self.branch(parts)?;
                self.list(branch)
            }
            _ => None,
        }
    }

    /// `&&` is false, and `||` true, as soon as one part is; a part without a value counts only
    /// when no part decides.
    fn first_decides(&mut self, parts: &'a [Expr], decisive: bool) -> Option<bool> {
        let mut result = Some(!decisive);
        for part in parts {
            match self.test(part) {
                Some(yes) if yes == decisive => return Some(decisive),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    fn branch(&mut self, parts: &'a [Expr; 3]) -> Option<&'a Expr> {
        let [condition, then, otherwise] = parts;
        Some(if self.test(condition)? {
            then
        } else {
            otherwise
        })
    }

    /// Both sides are read, so that the trace names all that is missing.
    fn compare(
        &mut self,
        kind: Kind,
        comparison: Comparison,
        sides: &'a [Expr; 2],
    ) -> Option<bool> {
        let [left, right] = sides;
        Some(match kind {
            Kind::Bool => {
                let (left, right) = self.test(left).zip(self.test(right))?;
                comparison.holds(&left, &right)
            }
            Kind::Number => {
                let (left, right) = self.number(left).zip(self.number(right))?;
                comparison.holds(&left, &right)
            }
            Kind::Text => {
                let (left, right) = self.text(left).zip(self.text(right))?;
                comparison.holds(&*left, &*right)
            }
        })
    }

    /// An element of another type is simply not the one that is looked for.
    fn contains(&mut self, kind: Kind, sides: &'a [Expr; 2]) -> Option<bool> {
        let [element, list] = sides;
        Some(match kind {
            Kind::Bool => {
                let (element, list) = self.test(element).zip(self.list(list))?;
                list.iter().any(|found| found.as_bool() == Some(element))
            }
            Kind::Number => {
                let (element, list) = self.number(element).zip(self.list(list))?;
                list.iter().any(|found| found.as_number() == Some(element))
            }
            Kind::Text => {
                let (element, list) = self.text(element).zip(self.list(list))?;
                list.iter().any(|found| found.as_text() == Some(&*element))
            }
        })
    }

    /// As [`Self::first_decides`], over the elements of a list.
    fn each(&mut self, each: &'a Each) -> Option<bool> {
        let list = self.list(&each.list)?;
        let mut result = Some(each.every);
        for (at, found) in list.iter().enumerate() {
            if self.trace.is_exhausted() {
                return None;
            }
            self.elements.push(Element {
                list: &each.list,
                at,
                found,
            });
            let test = self.test(&each.condition);
            self.elements.pop();
            match test {
                Some(yes) if yes != each.every => return Some(yes),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    fn read(&self, path: &Path) -> Option<Found<'a>> {
        let facts = self.facts;
        let root = match path.root {
            Root::Record => Found::Map(facts.fields),
            Root::Published => Found::Bool(facts.published),
            Root::Topics => Found::Texts(facts.topics?),
            Root::Text => Found::Text(facts.folded?.plain()),
            Root::Domain => Found::Text(facts.domain?),
            Root::Element(level) => self.elements.get(level)?.found,
        };
        let found = path
            .steps
            .iter()
            .try_fold(root, |found, step| found.step(step))?;
        (!matches!(found, Found::Value(Value::Null))).then_some(found)
    }

    /// The value as it is, after noting the path when there is none.
    fn noted<T>(&mut self, value: Option<T>, path: &Path) -> Option<T> {
        if value.is_none() {
            match path.root {
                Root::Text => return self.missing_text(),
                Root::Domain => return self.missing("provider.domain"),
                Root::Element(_) => {
                    let name = self.name(path);
                    return self.missing(&name);
                }
                Root::Record | Root::Published | Root::Topics => return self.missing(&path.name),
            }
        }
        value
    }

    /// The full name of a path that starts at an element, such as `related[0].title`.
    fn name(&self, path: &Path) -> String {
        let Root::Element(level) = path.root else {
            return path.name.clone();
        };
        let Some(element) = self.elements.get(level) else {
            return path.name.clone();
        };
        format!(
            "{}[{}]{}",
            self.list_name(element.list),
            element.at,
            path.name
        )
    }

    fn list_name(&self, list: &Expr) -> String {
        match list {
            Expr::Field(path) => self.name(path),
            _ => "list".to_owned(),
        }
    }

    fn missing<T>(&mut self, name: &str) -> Option<T> {
        let missing = &mut self.trace.missing;
        if missing.len() < MOST_MISSING && !missing.iter().any(|known| known == name) {
            missing.push(name.to_owned());
        }
        None
    }

    fn missing_text<T>(&mut self) -> Option<T> {
        self.missing::<T>("title");
        self.missing("excerpt")
    }

    /// Notes when the comparison turns out differently: on reaching its limit, or just after.
    fn note_flip(&mut self, threshold: &Threshold, unit: Unit) {
        let on_reaching = matches!(threshold.comparison, Comparison::AtLeast | Comparison::Less);
        let left = threshold.limit * unit.hours() - self.facts.age_hours;
        let left = if on_reaching { left } else { left + MOMENT };
        if left > 0.0 {
            let soonest = self
                .trace
                .flips_in_hours
                .map_or(left, |known| known.min(left));
            self.trace.flips_in_hours = Some(soonest);
        }
    }
}

impl<'a> Found<'a> {
    fn step(self, step: &Step) -> Option<Self> {
        match step {
            Step::Key(key) => self.as_map()?.get(key).map(Found::Value),
            Step::At(at) => self.as_list()?.get(*at),
        }
    }

    fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(yes) => Some(yes),
            Self::Value(value) => value.as_bool(),
            _ => None,
        }
    }

    fn as_number(self) -> Option<f64> {
        match self {
            Self::Value(value) => value.as_number(),
            _ => None,
        }
    }

    fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Value(value) => value.as_text(),
            _ => None,
        }
    }

    fn as_list(self) -> Option<List<'a>> {
        match self {
            Self::Texts(texts) => Some(List::Texts(texts)),
            Self::Value(value) => value.as_list().map(List::Values),
            _ => None,
        }
    }

    fn as_map(self) -> Option<&'a Map> {
        match self {
            Self::Map(map) => Some(map),
            Self::Value(value) => value.as_map(),
            _ => None,
        }
    }

    fn is(self, kind: &Type) -> bool {
        match kind {
            Type::Bool => self.as_bool().is_some(),
            Type::Number => self.as_number().is_some(),
            Type::Text => self.as_text().is_some(),
            Type::List(_) => self.as_list().is_some(),
            Type::Map(_) => self.as_map().is_some(),
            Type::Any => true,
        }
    }
}

impl<'a> List<'a> {
    fn len(self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    fn get(self, at: usize) -> Option<Found<'a>> {
        match self {
            Self::Values(values) => values.get(at).map(Found::Value),
            Self::Texts(texts) => texts.get(at).map(|text| Found::Text(text)),
        }
    }

    fn iter(self) -> impl Iterator<Item = Found<'a>> {
        (0..self.len()).filter_map(move |at| self.get(at))
    }
}
