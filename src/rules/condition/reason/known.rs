//! What several claims come to together: whether one record can bear them all out.

use super::claim::{Claim, Literal, Numbers};
use crate::rules::condition::expr::Comparison;
use std::collections::{BTreeSet, HashMap};

/// Up to here a number and the next whole one differ.
const LAST_WHOLE: f64 = 4_503_599_627_370_496.0;

/// Whether some record may bear out all the literals.
pub(super) fn is_consistent(literals: &[&Literal<'_>]) -> bool {
    let mut known = Known::default();
    let (certain, open): (Vec<&Literal<'_>>, Vec<&Literal<'_>>) = literals
        .iter()
        .partition(|literal| !literal.or_missing || literal.is_always_there);
    for literal in certain {
        known.add(&literal.claim);
        for field in &literal.present {
            known.test(field, true);
        }
    }
    // Without a value they are so; with one, they must be borne out too.
    for literal in open {
        if known.speaks_of(&literal.claim) {
            known.add(&literal.claim);
        }
    }
    known.is_possible()
}

/// What a record is known to hold.
#[derive(Default)]
struct Known<'l> {
    numbers: HashMap<&'l str, Range>,
    texts: HashMap<&'l str, Texts<'l>>,
    tests: HashMap<&'l str, bool>,
    mentioned: Vec<&'l [&'l str]>,
    unmentioned: BTreeSet<&'l str>,
    speaks_of_mentions: bool,
    contradicted: bool,
}

#[derive(Default)]
struct Texts<'l> {
    among: Option<Vec<&'l str>>,
    not: Vec<&'l str>,
}

/// The numbers that one may still be.
struct Range {
    numbers: Numbers,
    from: (f64, bool),
    to: (f64, bool),
    among: Option<Vec<f64>>,
    not: Vec<f64>,
}

impl<'l> Known<'l> {
    fn add<'e: 'l>(&mut self, claim: &'l Claim<'e>) {
        match claim {
            Claim::Number(key, numbers, comparison, limit) => {
                self.range(key, *numbers).compare(*comparison, *limit);
                if key == "age Days" {
                    self.add_hours(*comparison, *limit);
                }
            }
            Claim::NumberAmong(key, among, yes) => {
                let range = self.range(key, Numbers::Any);
                if *yes {
                    narrow(&mut range.among, among);
                } else {
                    range.not.extend(among);
                }
            }
            Claim::TextAmong(key, among, yes) => {
                let texts = self.texts.entry(key).or_default();
                if *yes {
                    narrow(&mut texts.among, among);
                } else {
                    texts.not.extend(among);
                }
            }
            Claim::Mentions(phrases, yes) => {
                self.speaks_of_mentions = true;
                if *yes {
                    self.mentioned.push(phrases);
                } else {
                    self.unmentioned.extend(phrases);
                }
            }
            Claim::Test(key, yes) => self.test(key, *yes),
        }
    }

    fn range(&mut self, key: &'l str, numbers: Numbers) -> &mut Range {
        self.numbers.entry(key).or_insert_with(|| Range {
            numbers,
            from: (f64::NEG_INFINITY, true),
            to: (f64::INFINITY, true),
            among: None,
            not: Vec::new(),
        })
    }

    /// What an age in days says of the hours; a little less, since a quotient is rounded.
    fn add_hours(&mut self, comparison: Comparison, days: f64) {
        let hours = days * 24.0;
        let slack = hours.abs() * 1e-9 + 1e-9;
        let (comparison, limit) = match comparison {
            Comparison::Greater | Comparison::AtLeast => (Comparison::AtLeast, hours - slack),
            _ => (Comparison::AtMost, hours + slack),
        };
        self.range("age Hours", Numbers::Any)
            .compare(comparison, limit);
    }

    fn test(&mut self, key: &'l str, yes: bool) {
        let before = self.tests.insert(key, yes);
        self.contradicted |= before.is_some_and(|before| before != yes);
    }

    /// Whether the value that a claim is about is known to be there.
    fn speaks_of(&self, claim: &Claim<'_>) -> bool {
        match claim {
            Claim::Number(key, ..) | Claim::NumberAmong(key, ..) => {
                self.numbers.contains_key(key.as_str())
            }
            Claim::TextAmong(key, ..) => self.texts.contains_key(key.as_str()),
            Claim::Mentions(..) => self.speaks_of_mentions,
            Claim::Test(key, _) => self.tests.contains_key(key.as_str()),
        }
    }

    fn is_possible(&self) -> bool {
        let mentions = |phrases: &&[&str]| !phrases.iter().all(|p| self.unmentioned.contains(p));
        !self.contradicted
            && self.numbers.values().all(Range::is_possible)
            && self.texts.values().all(Texts::is_possible)
            && self.mentioned.iter().all(mentions)
    }
}

impl Texts<'_> {
    fn is_possible(&self) -> bool {
        let allowed = |text: &&str| !self.not.contains(text);
        self.among
            .as_ref()
            .is_none_or(|among| among.iter().any(allowed))
    }
}

impl Range {
    fn compare(&mut self, comparison: Comparison, limit: f64) {
        match comparison {
            Comparison::Equal => narrow(&mut self.among, &[limit]),
            Comparison::NotEqual => self.not.push(limit),
            Comparison::Less => self.end((limit, true)),
            Comparison::AtMost => self.end((limit, false)),
            Comparison::Greater => self.begin((limit, true)),
            Comparison::AtLeast => self.begin((limit, false)),
        }
    }

    fn begin(&mut self, from: (f64, bool)) {
        if (from.0, from.1) > self.from {
            self.from = from;
        }
    }

    fn end(&mut self, to: (f64, bool)) {
        // An open end is lower than a closed one.
        if to.0 < self.to.0 || (to.0 == self.to.0 && to.1) {
            self.to = to;
        }
    }

    fn holds(&self, number: f64) -> bool {
        let after = if self.from.1 {
            number > self.from.0
        } else {
            number >= self.from.0
        };
        let before = if self.to.1 {
            number < self.to.0
        } else {
            number <= self.to.0
        };
        let whole = self.numbers == Numbers::Any || number.fract() == 0.0;
        let natural = self.numbers != Numbers::Natural || number >= 0.0;
        after && before && whole && natural && !self.not.contains(&number)
    }

    fn is_possible(&self) -> bool {
        if let Some(among) = &self.among {
            return among.iter().any(|number| self.holds(*number));
        }
        if self.numbers == Numbers::Any {
            let room = self.from.0 < self.to.0;
            return room || self.holds(self.from.0);
        }
        let first = self.first_whole();
        if first.abs() > LAST_WHOLE {
            return true;
        }
        // Every number that is taken out makes room for one more to try.
        (0..=self.not.len()).any(|n| {
            #[allow(clippy::cast_precision_loss)]
            let number = first + n as f64;
            self.holds(number)
        })
    }

    fn first_whole(&self) -> f64 {
        let from = match self.numbers {
            Numbers::Natural => self.from.0.max(0.0),
            _ => self.from.0,
        };
        let first = from.ceil();
        if self.from.1 && first == self.from.0 {
            first + 1.0
        } else {
            first
        }
    }
}

/// Keeps of what is allowed only what is among these too.
fn narrow<T: Copy + PartialEq>(allowed: &mut Option<Vec<T>>, among: &[T]) {
    match allowed {
        Some(allowed) => allowed.retain(|one| among.contains(one)),
        None => *allowed = Some(among.to_vec()),
    }
}
