//! What can be said of conditions without a record: whether one can hold, whether one says all
//! that another says, whether two say the same.
//!
//! A condition is turned into a statement about records, and the ways in which that statement can
//! come true are tried one after the other. What is not understood, and what would take too many
//! tries, counts as possible: an answer of "never" is certain, an answer of "perhaps" is not. Left
//! out of account is only that evaluation gives up when a record costs too many steps.

mod claim;
mod key;
mod known;

use super::Condition;
use super::expr::Expr;
use claim::Literal;
use known::is_consistent;
use std::borrow::Cow;

/// Tries before a statement counts as possible.
const MOST_TRIES: usize = 200;

/// What a rule or a queue asks for: all of `when`, and none of `unless`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'c> {
    pub(crate) when: &'c [Condition],
    pub(crate) unless: &'c [Condition],
}

/// What can be said of one condition alone.
#[derive(Debug)]
pub(crate) struct Alone {
    /// It can be true, and so can each part's opposite: there is nothing odd about it.
    pub(crate) is_ordinary: bool,
    normal_form: String,
}

impl Condition {
    /// What can be said of it alone.
    pub(crate) fn alone(&self) -> &Alone {
        self.alone.get_or_init(|| {
            let parts = match &*self.expr {
                Expr::All(parts) => parts.as_slice(),
                other => std::slice::from_ref(other),
            };
            let only = Policy {
                when: std::slice::from_ref(self),
                unless: &[],
            };
            Alone {
                is_ordinary: only.can_hold() && parts.iter().all(|part| can_be(part, false)),
                normal_form: only.written(),
            }
        })
    }
}

/// Whether some record may make the condition true (or false, as asked).
pub(crate) fn can_be(expr: &Expr, truth: bool) -> bool {
    is_possible(&[statement(expr, truth, false)])
}

/// Whether some record may make both true.
pub(crate) fn can_both_hold(one: &Expr, other: &Expr) -> bool {
    is_possible(&[statement(one, true, false), statement(other, true, false)])
}

impl<'c> Policy<'c> {
    /// Whether some record may satisfy it.
    pub(crate) fn can_hold(self) -> bool {
        is_possible(&self.holds())
    }

    /// Whether every record that satisfies it satisfies the other one too.
    pub(crate) fn implies(self, other: Self) -> bool {
        let mut all = self.holds();
        all.push(other.does_not_hold());
        !is_possible(&all)
    }

    /// A text that two policies share only if they hold for the same records.
    pub(crate) fn normal_form(self) -> Cow<'c, str> {
        match (self.when, self.unless) {
            ([only], []) => Cow::Borrowed(&only.alone().normal_form),
            _ => Cow::Owned(self.written()),
        }
    }

    fn written(self) -> String {
        let excepted = self.unless.iter().map(|c| statement(&c.expr, true, false));
        let when = self.when.iter().map(|c| statement(&c.expr, true, false));
        let (when, unless) = (
            Statement::All(when.collect()),
            Statement::Any(excepted.collect()),
        );
        format!("{} unless {}", when.written(), unless.written())
    }

    fn holds(self) -> Vec<Statement<'c>> {
        let when = self.when.iter().map(|c| statement(&c.expr, true, false));
        // An exception without a value excepts nothing.
        let unless = self.unless.iter().map(|c| statement(&c.expr, false, true));
        when.chain(unless).collect()
    }

    fn does_not_hold(self) -> Statement<'c> {
        let when = self.when.iter().map(|c| statement(&c.expr, false, true));
        let unless = self.unless.iter().map(|c| statement(&c.expr, true, false));
        Statement::Any(when.chain(unless).collect())
    }
}

/// A statement about a record, which is so or not: three values are two statements each.
enum Statement<'e> {
    All(Vec<Self>),
    Any(Vec<Self>),
    Literal(Literal<'e>),
}

impl Statement<'_> {
    fn of_bool(yes: bool) -> Self {
        if yes {
            Self::All(Vec::new())
        } else {
            Self::Any(Vec::new())
        }
    }

    fn ways(&self) -> &[Self] {
        match self {
            Self::Any(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    /// The statement in one spelling, whatever the order of its parts.
    fn written(&self) -> String {
        let (sign, parts) = match self {
            Self::All(parts) => ('&', parts),
            Self::Any(parts) => ('|', parts),
            Self::Literal(literal) => return literal.written(),
        };
        let mut texts = Vec::new();
        self.flatten(parts, &mut texts);
        texts.sort_unstable();
        texts.dedup();
        match texts.as_slice() {
            [one] => one.clone(),
            _ => format!("{sign}({})", texts.join(" ")),
        }
    }

    fn flatten(&self, parts: &[Self], texts: &mut Vec<String>) {
        for part in parts {
            match (self, part) {
                (Self::All(_), Self::All(inner)) | (Self::Any(_), Self::Any(inner)) => {
                    self.flatten(inner, texts);
                }
                _ => texts.push(part.written()),
            }
        }
    }
}

/// The statement that a condition is true (or false, as asked); with `or_missing`, that it is that
/// or has no value.
fn statement(expr: &Expr, truth: bool, or_missing: bool) -> Statement<'_> {
    match expr {
        Expr::Bool(yes) => Statement::of_bool(*yes == truth),
        Expr::Not(inner) => statement(inner, !truth, or_missing),
        Expr::All(parts) | Expr::Any(parts) => {
            let all = matches!(expr, Expr::All(_)) == truth;
            let parts = parts.iter().map(|part| statement(part, truth, or_missing));
            if all {
                Statement::All(parts.collect())
            } else {
                Statement::Any(parts.collect())
            }
        }
        Expr::If(parts) => choice(parts, truth, or_missing),
        Expr::Each(each)
            if !or_missing && each.every != truth && !can_be(&each.condition, truth) =>
        {
            // One element must satisfy what none can.
            Statement::of_bool(false)
        }
        other => claim::statement(other, truth, or_missing),
    }
}

/// `a ? b : c`: without a value when `a` has none.
fn choice(parts: &[Expr; 3], truth: bool, or_missing: bool) -> Statement<'_> {
    let [condition, then, otherwise] = parts;
    let way = |first: bool, branch| {
        Statement::All(vec![
            statement(condition, first, false),
            statement(branch, truth, or_missing),
        ])
    };
    let mut ways = vec![way(true, then), way(false, otherwise)];
    if or_missing {
        ways.push(Statement::All(vec![
            statement(condition, true, true),
            statement(condition, false, true),
        ]));
    }
    Statement::Any(ways)
}

/// Whether some record may make all of the statements so.
fn is_possible(statements: &[Statement<'_>]) -> bool {
    let mut tries = MOST_TRIES;
    search(statements.iter().collect(), Vec::new(), &mut tries)
}

fn search<'s, 'e>(
    mut open: Vec<&'s Statement<'e>>,
    mut literals: Vec<&'s Literal<'e>>,
    tries: &mut usize,
) -> bool {
    let mut choices: Vec<&'s Statement<'e>> = Vec::new();
    while let Some(statement) = open.pop() {
        match statement {
            Statement::Literal(literal) => literals.push(literal),
            Statement::All(parts) => open.extend(parts),
            Statement::Any(parts) => match parts.as_slice() {
                [one] => open.push(one),
                _ => choices.push(statement),
            },
        }
    }
    if *tries == 0 {
        return true;
    }
    *tries -= 1;
    if !is_consistent(&literals) {
        return false;
    }
    // The fewest ways first; none at all is impossible.
    choices.sort_by_key(|choice| std::cmp::Reverse(choice.ways().len()));
    let Some(choice) = choices.pop() else {
        return true;
    };
    choice.ways().iter().any(|way| {
        let open = choices.iter().copied().chain([way]).collect();
        search(open, literals.clone(), tries)
    })
}

#[cfg(test)]
mod against_records;
#[cfg(test)]
mod tests;
