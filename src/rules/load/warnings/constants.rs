//! Conditions that are the same for every record, and those that cannot hold together.

use super::{Entry, Written};
use crate::rules::condition::expr::Expr;
use crate::rules::condition::reason::{self, Policy};
use crate::rules::load::conditions;
use std::ops::Range;

const CHANGE: &str = "take it away, or change a number or a name in it";

/// What is joined by `&&` to the rest of a policy.
struct Part<'a> {
    entry: Written<'a>,
    span: Range<usize>,
    expr: &'a Expr,
}

impl Entry<'_> {
    /// Tells each condition that is always one thing; if none is, the whole when it never holds.
    pub(super) fn warn_of_constants(&self) {
        if let ([only], []) = (self.policy.when, self.policy.unless)
            && only.alone().is_ordinary
        {
            return;
        }
        let mut told = false;
        let always = |part: &Part<'_>| !reason::can_be(part.expr, false);
        for part in self.when.iter().flat_map(|w| parts(*w)).filter(always) {
            told = true;
            self.always(&part);
        }
        for whole in self.unless.iter().map(|w| Part::whole(*w)).filter(always) {
            told = true;
            self.always_excepts(&whole);
        }
        for written in &self.unless {
            if !reason::can_be(written.condition.expr(), true) {
                told = true;
                self.never(
                    written,
                    "this never holds, so that it excepts nothing",
                    CHANGE,
                );
            }
        }
        if !told && !self.policy.can_hold() && !self.part_never_holds() {
            self.whole_never_holds();
        }
    }

    fn always(&self, part: &Part<'_>) {
        let (message, help) = if matches!(part.expr, Expr::Bool(_)) {
            let help = "take it away, or say which stories are meant";
            ("this always holds", help)
        } else {
            let help = "take it away; to ask whether a field is there, write has(field)";
            ("this is never false", help)
        };
        let help = Some(help.to_owned());
        self.file
            .warning("always-holds", &self.place(part), message, help);
    }

    fn always_excepts(&self, whole: &Part<'_>) {
        let (message, help) = if self.policy.can_hold() {
            let message = "this is never false: it excepts all that has its fields".to_owned();
            let help = "write has(field) if that is meant, or change a number in it";
            (message, help)
        } else {
            let message = format!("this always holds, so that {} never does", self.what);
            (message, CHANGE)
        };
        let help = Some(help.to_owned());
        self.file
            .warning("always-holds", &self.place(whole), message, help);
    }

    /// Marks the part of `when` that never holds, alone or where an earlier part does.
    fn part_never_holds(&self) -> bool {
        let parts: Vec<Part<'_>> = self.when.iter().flat_map(|w| parts(*w)).collect();
        for (n, part) in parts.iter().enumerate() {
            let clash = |earlier: &&Part<'_>| !reason::can_both_hold(earlier.expr, part.expr);
            let (message, help) = if !reason::can_be(part.expr, true) {
                let message = format!("this never holds, and so {} never does", self.what);
                (message, CHANGE.to_owned())
            } else if let Some(earlier) = parts[..n].iter().find(clash) {
                let (one, other) = (earlier.written(), part.written());
                let either = format!("if {} means either", self.what);
                let help = format!("change one of the two, or join them by `||` {either}");
                (format!("`{other}` never holds where `{one}` does"), help)
            } else {
                continue;
            };
            self.file
                .warning("never-holds", &self.place(part), message, Some(help));
            return true;
        }
        false
    }

    /// What no two parts explain.
    fn whole_never_holds(&self) {
        let what = &self.what;
        let when = Policy {
            unless: &[],
            ..self.policy
        };
        let excepts_all = |unless: &&Written<'_>| {
            let unless = std::slice::from_ref(unless.condition);
            !Policy { unless, ..when }.can_hold()
        };
        if let Some(last) = self.when.last().filter(|_| !when.can_hold()) {
            let message =
                format!("the conditions of {what} exclude each other, so that it never holds");
            let help = "change one of them, or join by `||` what is meant as either";
            self.never(last, &message, help);
        } else if let Some(unless) = self.unless.iter().find(excepts_all) {
            let message =
                format!("this excepts all that `when` lets through, so that {what} never holds");
            self.never(unless, &message, "narrow it, or widen `when`");
        } else if let Some(last) = self.unless.last() {
            let message = format!(
                "`unless` excepts all that `when` lets through, so that {what} never holds"
            );
            self.never(last, &message, "narrow `unless`, or widen `when`");
        }
    }

    fn place(&self, part: &Part<'_>) -> Range<usize> {
        let Written { node, condition } = part.entry;
        conditions::place(self.file, node, condition, &part.span)
    }

    fn never(&self, written: &Written<'_>, message: &str, help: &str) {
        let help = Some(help.to_owned());
        self.file
            .warning("never-holds", &written.node.span, message, help);
    }
}

/// The parts of a condition that `&&` joins, as far as they can be told apart in its source.
fn parts(entry: Written<'_>) -> Vec<Part<'_>> {
    if let Expr::All(exprs) = entry.condition.expr() {
        let spans = entry.condition.joined_by_and();
        if spans.len() == exprs.len() {
            let pairs = spans.into_iter().zip(exprs);
            return pairs
                .map(|(span, expr)| Part { entry, span, expr })
                .collect();
        }
    }
    vec![Part::whole(entry)]
}

impl<'a> Part<'a> {
    fn whole(entry: Written<'a>) -> Self {
        Self {
            entry,
            span: 0..entry.condition.source.len(),
            expr: entry.condition.expr(),
        }
    }

    fn written(&self) -> &str {
        self.entry
            .condition
            .source
            .get(self.span.clone())
            .unwrap_or_default()
    }
}
