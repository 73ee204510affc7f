//! Why a rule or a queue does what it does with one record: its conditions, taken apart.

use crate::record::shown;
use crate::rules::assess::{self, Assessment, Subject};
use crate::rules::condition::parts::{Made, Part};
use crate::rules::condition::{Condition, Facts, Names, Trace, on_large_stack};
use crate::rules::score::Score;
use crate::rules::{Queue, Rule, RuleSet, Takes};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// What `when` and `unless` come to for one record, and each of their parts.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// Whether all of `when` and none of `unless` hold; `None` for want of the missing fields.
    pub holds: Option<bool>,
    /// The fields that it has no value for want of.
    pub missing: Vec<String>,
    /// The conditions that must all hold.
    pub when: Vec<Part>,
    /// The conditions of which none may hold.
    pub unless: Vec<Part>,
}

impl RuleSet {
    /// Takes the conditions of a rule apart.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn why_rule(
        &self,
        rule: &Rule,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> std::io::Result<Why> {
        self.why((&rule.when, &rule.unless), subject, None, now)
    }

    /// Takes the conditions of a queue apart, for a record that scores so.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn why_queue(
        &self,
        queue: &Queue,
        subject: &Subject<'_>,
        score: Score,
        now: Timestamp,
    ) -> std::io::Result<Why> {
        self.why((&queue.when, &queue.unless), subject, Some(score), now)
    }

    fn why(
        &self,
        (when, unless): (&[Condition], &[Condition]),
        subject: &Subject<'_>,
        score: Option<Score>,
        now: Timestamp,
    ) -> std::io::Result<Why> {
        let names = Names {
            fields: &self.fields,
            lists: &self.lists,
            score: score.is_some(),
        };
        let apart = |conditions: &[Condition], facts: &Facts<'_>| {
            let parts = conditions.iter().map(|c| c.parts(&names, facts));
            parts.collect::<Vec<_>>()
        };
        assess::with_facts(self, subject, score, now, |facts| {
            let mut trace = Trace::default();
            let holds = assess::holds(when, unless, facts, &mut trace);
            let missing = if holds.is_none() {
                trace.missing
            } else {
                Vec::new()
            };
            on_large_stack(|| Why {
                holds,
                missing,
                when: apart(when, facts),
                unless: apart(unless, facts),
            })
        })
    }
}

impl Queue {
    /// Whether it is this queue that takes the record, or would if it were not in shadow.
    #[must_use]
    pub fn took(&self, assessment: &Assessment) -> bool {
        let name = format!("queue {}", self.name);
        assessment.route.queue() == Some(&self.name)
            || (self.shadow && assessment.shadow.iter().any(|hit| *hit.rule == *name))
    }
}

impl Takes {
    /// Whether it looks at a record whose file says so.
    #[must_use]
    pub fn looks_at(self, published: bool) -> bool {
        match self {
            Self::All => true,
            Self::Published => published,
            Self::Unpublished => !published,
        }
    }
}

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How far it is indented.
    pub depth: usize,
    /// Whether the part holds; `None` without a value. A heading has no value at all.
    pub holds: Option<Option<bool>>,
    /// The part.
    pub text: String,
    /// What it found.
    pub found: String,
    /// Columns that the text takes, so that what was found stands below each other.
    pub columns: usize,
}

/// Texts longer than this have what they found right behind them.
const ALIGNED: usize = 48;

impl Line {
    fn width(&self) -> usize {
        2 * self.depth + self.text.width()
    }

    /// `✓` for what holds, `✗` for what does not, `?` for what has no value.
    #[must_use]
    pub fn mark(&self) -> &'static str {
        match self.holds {
            None => "",
            Some(Some(true)) => "✓ ",
            Some(Some(false)) => "✗ ",
            Some(None) => "? ",
        }
    }

    /// The text, and what it found behind it.
    #[must_use]
    pub fn rest(&self) -> String {
        if self.found.is_empty() {
            return self.text.clone();
        }
        let pad = self.columns.saturating_sub(self.width());
        format!("{}{:pad$}  {}", self.text, "", self.found)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = 2 * self.depth;
        write!(f, "{:indent$}{}{}", "", self.mark(), self.rest())
    }
}

impl Why {
    /// Whether only `unless` keeps it from holding.
    #[must_use]
    pub fn is_excepted(&self) -> bool {
        let holds = |part: &Part| part.holds == Some(true);
        self.when.iter().all(holds) && self.unless.iter().any(holds)
    }

    /// The explanation, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (conditions, heading, made) in [
            (&self.when, "when all of this holds", Made::All),
            (&self.unless, "unless any of this holds", Made::Any),
        ] {
            if conditions.is_empty() {
                continue;
            }
            lines.push(line(0, None, heading));
            for part in conditions {
                // A list of conditions and one joined by `&&` are the same; so is `unless` and `||`.
                if part.made == made {
                    part.parts.iter().for_each(|part| tell(part, 1, &mut lines));
                } else {
                    tell(part, 1, &mut lines);
                }
            }
        }
        let widths = lines.iter().filter(|line| !line.found.is_empty());
        let columns = widths
            .map(Line::width)
            .filter(|width| *width <= ALIGNED)
            .max();
        for line in &mut lines {
            line.columns = columns.unwrap_or_default();
        }
        lines
    }
}

fn line(depth: usize, holds: Option<Option<bool>>, text: impl Into<String>) -> Line {
    Line {
        depth,
        holds,
        text: text.into(),
        found: String::new(),
        columns: 0,
    }
}

fn tell(part: &Part, depth: usize, lines: &mut Vec<Line>) {
    let text = match (part.made, part.parts.as_slice()) {
        (Made::Leaf, _) => {
            lines.push(Line {
                found: found(part),
                ..line(depth, Some(part.holds), &part.condition)
            });
            return;
        }
        // `!published` reads best as it is written.
        (Made::Not, [inner]) if inner.made == Made::Leaf => {
            lines.push(Line {
                found: found(inner),
                ..line(depth, Some(part.holds), &part.condition)
            });
            return;
        }
        (Made::All, _) => "all of",
        (Made::Any, _) => "any of",
        (Made::Not, _) => "not",
        (Made::If, _) => "if the first holds, the second, else the third",
    };
    lines.push(line(depth, Some(part.holds), text));
    for part in &part.parts {
        tell(part, depth + 1, lines);
    }
}

/// What a leaf found, and what is missing.
fn found(part: &Part) -> String {
    let mut said: Vec<String> = part
        .found
        .iter()
        .map(|found| {
            if part.missing.contains(&found.name) {
                format!("{found}, which is of another type and counts as missing")
            } else {
                found.to_string()
            }
        })
        .collect();
    for name in &part.missing {
        if !part.found.iter().any(|found| found.name == *name) {
            said.push(format!("missing: {}", shown::line(name, 60)));
        }
    }
    said.join(", ")
}
