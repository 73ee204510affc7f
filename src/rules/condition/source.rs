//! The text of a condition, cut into tokens: what the parser does not tell, to point at mistakes.

use super::ConditionError;
use cel::common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use std::ops::Range;

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Number,
    /// Quoted text; `closed` tells whether its last quote is there.
    Text {
        closed: bool,
        raw: bool,
    },
    Symbol,
}

/// A condition's text and its tokens.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token>,
    /// Pairs of opening and closing brackets, as places in `tokens`.
    brackets: Vec<(usize, usize)>,
    /// Brackets without a partner.
    pub(super) lone: Vec<usize>,
    /// How deep brackets stand inside each other, and where they are deepest.
    pub(super) deepest: (usize, usize),
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let tokens = tokens(text);
        let mut source = Self {
            text,
            tokens,
            brackets: vec![],
            lone: vec![],
            deepest: (0, 0),
        };
        source.pair_brackets();
        source
    }

    fn pair_brackets(&mut self) {
        let mut open = Vec::new();
        for at in 0..self.tokens.len() {
            match self.token_text(at) {
                "(" | "[" | "{" => {
                    open.push(at);
                    if open.len() > self.deepest.0 {
                        self.deepest = (open.len(), at);
                    }
                }
                close @ (")" | "]" | "}") => match open.pop() {
                    Some(start) if closes(self.token_text(start), close) => {
                        self.brackets.push((start, at));
                    }
                    Some(start) => self.lone.extend([start, at]),
                    None => self.lone.push(at),
                },
                _ => {}
            }
        }
        self.lone.extend(open);
        self.lone.sort_unstable();
    }

    /// The text of the token at a place; empty beyond the last one.
    pub(super) fn token_text(&self, at: usize) -> &'a str {
        self.tokens
            .get(at)
            .map_or("", |token| self.slice(token.span.clone()))
    }

    /// The text in a span.
    pub(super) fn slice(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// The place of the token that holds a byte, or of the next one.
    pub(super) fn token_at(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| token.span.end <= byte)
    }

    /// The place of the partner of an opening bracket.
    fn closing(&self, open: usize) -> Option<usize> {
        self.brackets
            .iter()
            .find(|(start, _)| *start == open)
            .map(|(_, end)| *end)
    }

    fn end_of(&self, at: usize) -> usize {
        self.tokens
            .get(at)
            .map_or(self.text.len(), |token| token.span.end)
    }

    fn start_of(&self, at: usize) -> usize {
        self.tokens
            .get(at)
            .map_or(self.text.len(), |token| token.span.start)
    }

    /// A mistake in the whole of a token.
    pub(super) fn error_at(&self, at: usize, message: impl Into<String>) -> ConditionError {
        ConditionError::new(self.start_of(at)..self.end_of(at), message)
    }

    /// Where a node of the parser's tree stands, brackets of calls and indexes included. The
    /// parser itself only knows the place of an operator, a dot or an opening bracket.
    pub(super) fn span(&self, info: &SourceInfo, node: &IdedExpr) -> Range<usize> {
        let (start, stop) = info.offset_for(node.id).unwrap_or((0, 0));
        let own = start as usize..(stop as usize + 1).min(self.text.len());
        let at = self.token_at(own.start);
        match &node.expr {
            Expr::Literal(LiteralValue::Int(_) | LiteralValue::Double(_)) => {
                let signed = self.signed_literal(at, &node.expr);
                if signed {
                    self.start_of(at - 1)..own.end
                } else {
                    own
                }
            }
            Expr::Select(select) => {
                let operand = self.operand_span(info, &select.operand);
                operand.start.min(own.start)..self.end_of(at + 1)
            }
            Expr::List(_) | Expr::Map(_) => own.start..self.closed_end(at),
            Expr::Struct(_) => self.start_of(at.saturating_sub(1))..self.closed_end(at),
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let target = call
                    .args
                    .first()
                    .map(|target| self.operand_span(info, target));
                target.map_or(own.start, |target| target.start)..self.closed_end(at)
            }
            Expr::Call(call) if is_operator(&call.func_name) => {
                call.args.iter().fold(own, |span, side| {
                    let side = self.operand_span(info, side);
                    span.start.min(side.start)..span.end.max(side.end)
                })
            }
            Expr::Call(call) => {
                let target = call
                    .target
                    .as_ref()
                    .map(|target| self.operand_span(info, target));
                let name = self.start_of(at.saturating_sub(1));
                target.map_or(name, |target| target.start)..self.closed_end(at)
            }
            _ => own,
        }
    }

    /// The name of the function that a call node calls.
    pub(super) fn name_span(&self, info: &SourceInfo, node: &IdedExpr) -> Range<usize> {
        let start = info
            .offset_for(node.id)
            .map_or(0, |(start, _)| start as usize);
        let name = self.token_at(start).saturating_sub(1);
        self.start_of(name)..self.end_of(name)
    }

    /// A node with the brackets that are only there to group it.
    fn operand_span(&self, info: &SourceInfo, node: &IdedExpr) -> Range<usize> {
        let mut span = self.span(info, node);
        loop {
            let before = self.token_at(span.start);
            let after = self.token_at(span.end);
            let Some(open) = before.checked_sub(1) else {
                return span;
            };
            let groups = self.token_text(open) == "("
                && self.closing(open) == Some(after)
                && !open.checked_sub(1).is_some_and(|name| self.is_called(name));
            if !groups {
                return span;
            }
            span = self.start_of(open)..self.end_of(after);
        }
    }

    /// Whether a bracket right after this token is that of a call.
    fn is_called(&self, at: usize) -> bool {
        let is_word = self
            .tokens
            .get(at)
            .is_some_and(|token| token.kind == TokenKind::Word);
        is_word && self.token_text(at) != "in"
    }

    fn closed_end(&self, open: usize) -> usize {
        self.closing(open)
            .map_or(self.text.len(), |close| self.end_of(close))
    }

    /// Whether the `-` before a number was read as part of it.
    fn signed_literal(&self, at: usize, literal: &Expr) -> bool {
        let negative = match literal {
            Expr::Literal(LiteralValue::Int(number)) => *number.inner() < 0,
            Expr::Literal(LiteralValue::Double(number)) => number.inner().is_sign_negative(),
            _ => false,
        };
        negative
            && at
                .checked_sub(1)
                .is_some_and(|sign| self.token_text(sign) == "-")
    }
}

/// Whether a call of the parser's tree is an operator: those have names such as `_+_`.
fn is_operator(name: &str) -> bool {
    !name.starts_with('.') && name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn closes(open: &str, close: &str) -> bool {
    matches!((open, close), ("(", ")") | ("[", "]") | ("{", "}"))
}

/// Cuts a text as the parser does, but never fails.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (kind, len) = token(rest);
        if let Some(kind) = kind {
            tokens.push(Token {
                kind,
                span: at..at + len,
            });
        }
        at += len.max(1);
    }
    tokens
}

/// The kind and the length of the first token; no kind for spaces and comments.
fn token(rest: &str) -> (Option<TokenKind>, usize) {
    let run = |stop: &dyn Fn(char) -> bool| rest.find(stop).unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_whitespace() {
        return (None, run(&|c| !c.is_whitespace()));
    }
    if rest.starts_with("//") {
        return (None, run(&|c| c == '\n'));
    }
    let prefix = rest.len() - rest.trim_start_matches(['r', 'R', 'b', 'B']).len();
    let quoted = rest.get(prefix..).unwrap_or_default();
    if prefix <= 2 && quoted.starts_with(['"', '\'']) {
        let raw = rest.get(..prefix).unwrap_or_default().contains(['r', 'R']);
        let (closed, len) = quoted_len(quoted, raw);
        return (Some(TokenKind::Text { closed, raw }), prefix + len);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        return (
            Some(TokenKind::Word),
            run(&|c| !c.is_ascii_alphanumeric() && c != '_'),
        );
    }
    if first.is_ascii_digit() {
        return (Some(TokenKind::Number), number_len(rest));
    }
    let pair = rest.get(..2).unwrap_or_default();
    if ["==", "!=", "<=", ">=", "&&", "||"].contains(&pair) {
        return (Some(TokenKind::Symbol), 2);
    }
    (Some(TokenKind::Symbol), first.len_utf8())
}

fn number_len(rest: &str) -> usize {
    let whole = rest
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(rest.len());
    let fraction = rest
        .get(whole..)
        .and_then(|tail| tail.strip_prefix('.'))
        .unwrap_or_default();
    let digits = fraction
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(fraction.len());
    if fraction.starts_with(|c: char| c.is_ascii_digit()) {
        whole + 1 + digits
    } else {
        whole
    }
}

/// Whether the quoted text at the start of `quoted` ends, and how long it is.
fn quoted_len(quoted: &str, raw: bool) -> (bool, usize) {
    let one = quoted.get(..1).unwrap_or_default();
    let three = one.repeat(3);
    let quote = if quoted.starts_with(&three) {
        three.as_str()
    } else {
        one
    };
    let mut at = quote.len();
    while let Some(rest) = quoted.get(at..) {
        if rest.starts_with(quote) {
            return (true, at + quote.len());
        }
        let Some(c) = rest.chars().next() else { break };
        if c == '\n' && quote.len() == 1 {
            break;
        }
        at += c.len_utf8();
        if c == '\\' && !raw {
            at += rest.chars().nth(1).map_or(0, char::len_utf8);
        }
    }
    (false, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cut() {
        let text = r#"a.b[0] >= 1.5e3 && r'\d"' != "é\"" // end"#;
        let source = Source::new(text);
        let cut: Vec<&str> = (0..source.tokens.len())
            .map(|at| source.token_text(at))
            .collect();
        assert_eq!(
            cut,
            [
                "a",
                ".",
                "b",
                "[",
                "0",
                "]",
                ">=",
                "1.5e3",
                "&&",
                r#"r'\d"'"#,
                "!=",
                r#""é\"""#
            ]
        );
    }

    #[test]
    fn brackets_are_paired() {
        let source = Source::new("f((a[0]) + ']'");
        assert_eq!(source.lone, [1]);
        assert_eq!(source.deepest.0, 3);
        assert_eq!(source.closing(2), Some(7));
    }
}
