//! What a condition names, and where in its source: for those who tell what is odd about it.

use super::Condition;
use super::expr::{Expr, Path, Root, Step};
use super::source::{Source, TokenKind};
use crate::rules::score::Axis;
use std::ops::Range;

impl Condition {
    /// The topics that it asks for by name, with their bytes in the source: `about("AI")`, and
    /// `"AI" in topics`.
    pub(crate) fn named_topics(&self) -> Vec<(String, Range<usize>)> {
        let mut topics = self.reads.topics.clone();
        self.expr.walk(&mut |expr| {
            if let Expr::In(_, sides) = expr
                && let [Expr::Text(topic), Expr::Field(path)] = &**sides
                && path.root == Root::Topics
            {
                let span = quoted(&Source::new(&self.source), topic);
                let span = span.unwrap_or(0..self.source.len());
                topics.push((topic.clone(), span));
            }
        });
        topics
    }

    /// Whether it asks for the points of this axis, rather than for the total.
    pub(crate) fn names_points(&self, axis: Axis) -> bool {
        self.reads.scores.contains(&Some(axis))
    }

    /// Whether it asks for this key of the record.
    pub(crate) fn names_field(&self, field: &str) -> bool {
        let mut found = false;
        self.expr.walk(&mut |expr| {
            found |= matches!(expr, Expr::Field(path) if is_key(path, field));
        });
        found
    }

    /// Where a name stands that no dot leads to; all of it, when it is written otherwise.
    pub(crate) fn word(&self, name: &str) -> Range<usize> {
        let source = Source::new(&self.source);
        let stands = |at: usize| {
            source.token_text(at) == name && (at == 0 || source.token_text(at - 1) != ".")
        };
        let at = (0..source.tokens.len()).find(|at| stands(*at));
        at.and_then(|at| source.tokens.get(at))
            .map_or(0..self.source.len(), |token| token.span.clone())
    }

    /// What `&&` joins outside of all brackets, in a condition that is such a chain.
    pub(crate) fn joined_by_and(&self) -> Vec<Range<usize>> {
        let source = Source::new(&self.source);
        let (mut depth, mut parts, mut start) = (0_usize, Vec::new(), 0);
        for (at, token) in source.tokens.iter().enumerate() {
            match source.token_text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "&&" if depth == 0 => {
                    parts.push(trimmed(&self.source, start..token.span.start));
                    start = token.span.end;
                }
                _ => {}
            }
        }
        parts.push(trimmed(&self.source, start..self.source.len()));
        parts
    }
}

/// Where a text stands in quotes before `in`.
fn quoted(source: &Source<'_>, text: &str) -> Option<Range<usize>> {
    let mut tokens = source.tokens.iter().enumerate();
    let found = tokens.find(|(at, token)| {
        let inner = source.slice(token.span.clone());
        matches!(token.kind, TokenKind::Text { .. })
            && inner.trim_matches(['"', '\'']) == text
            && source.token_text(at + 1) == "in"
    });
    found.map(|(_, token)| token.span.clone())
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let part = text.get(span.clone()).unwrap_or_default();
    let start = span.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

fn is_key(path: &Path, field: &str) -> bool {
    path.root == Root::Record && matches!(path.steps.as_slice(), [Step::Key(key)] if key == field)
}
