//! Parsing, and turning what the parser says about a mistake into what an editor can use.

use super::ConditionError;
use super::source::{Source, Token, TokenKind};
use cel::common::ast::{IdedExpr, SourceInfo};
use cel::{Env, ParseError};
use std::ops::Range;

/// The parser's tree, and where its nodes stand.
pub(super) struct Syntax {
    pub(super) root: IdedExpr,
    pub(super) info: SourceInfo,
}

const MAX_BYTES: usize = 4 * 1024;
const MAX_NESTING: u16 = 24;
const SPLIT: &str = "split it into a list of conditions, which must all hold";
const EXAMPLE: &str = "write one like quality > 70";

/// Words that CEL keeps for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Parses a condition, or says what keeps it from being one.
pub(super) fn parse(source: &Source<'_>) -> Result<Syntax, Vec<ConditionError>> {
    if let Some(error) = oversize(source) {
        return Err(vec![error]);
    }
    // Without macros `has`, `exists` and `all` stay calls whose places are known.
    let parser = Env::default()
        .parser()
        .enable_optional_syntax(false)
        .max_recursion_depth(MAX_NESTING);
    match parser.parse_with_source_info(source.text) {
        Ok((root, info)) => Ok(Syntax { root, info }),
        Err(errors) => {
            let known = mistakes(source);
            Err(if known.is_empty() {
                vec![unknown(source, &errors.errors)]
            } else {
                known
            })
        }
    }
}

fn oversize(source: &Source<'_>) -> Option<ConditionError> {
    let whole = 0..source.text.len();
    if source.text.len() > MAX_BYTES {
        let message = format!(
            "the condition has {} bytes, and at most {MAX_BYTES} are read",
            source.text.len()
        );
        let help = "put long enumerations into `lists:` and test them by `in`";
        return Some(ConditionError::new(whole, message).help(help));
    }
    if source.tokens.is_empty() {
        let help = "write one, or leave the key out";
        return Some(ConditionError::new(whole, "the condition is empty").help(help));
    }
    let (depth, at) = source.deepest;
    (depth > usize::from(MAX_NESTING)).then(|| source.error_at(at, too_deep()).help(SPLIT))
}

/// Every mistake that is recognised from the tokens alone. Asked only after the parser refused, so
/// that what it accepts is never called a mistake.
fn mistakes(source: &Source<'_>) -> Vec<ConditionError> {
    let mut found = Vec::new();
    let mut quotes = false;
    for (at, token) in source.tokens.iter().enumerate() {
        let text = source.token_text(at);
        match token.kind {
            TokenKind::Text { closed: false, .. } => {
                let help = "end it as it starts; text with an apostrophe goes into \"…\"";
                found.push(source.error_at(at, "this text never ends").help(help));
                // Where the text was meant to end is unknown, so is all that follows.
                return found;
            }
            TokenKind::Text { raw: false, .. } => found.extend(bad_escape(source, token)),
            TokenKind::Symbol if is_foreign_quote(text) => {
                if !quotes {
                    let message = format!("{text} does not quote text");
                    let help = "write straight quotes: \"…\" or '…'";
                    found.push(source.error_at(at, message).help(help));
                }
                quotes = true;
            }
            TokenKind::Symbol => found.extend(bad_symbol(source, at)),
            TokenKind::Word => found.extend(bad_word(source, at)),
            TokenKind::Text { .. } | TokenKind::Number => {}
        }
    }
    if found.is_empty() {
        found.extend(source.lone.first().map(|at| lone_bracket(source, *at)));
    }
    found
}

fn is_foreign_quote(text: &str) -> bool {
    ["`", "“", "”", "„", "‟", "‘", "’", "‚", "«", "»"].contains(&text)
}

fn bad_symbol(source: &Source<'_>, at: usize) -> Option<ConditionError> {
    let text = source.token_text(at);
    let touches = |a: usize, b: usize| {
        let ends = source.tokens.get(a).map(|token| token.span.end);
        ends.is_some() && ends == source.tokens.get(b).map(|token| token.span.start)
    };
    let next = if touches(at, at + 1) {
        source.token_text(at + 1)
    } else {
        ""
    };
    let after = |text: &str| at > 0 && touches(at - 1, at) && source.token_text(at - 1) == text;
    let (message, help) = match (text, next) {
        ("=", ">") => ("`=>` is no comparison", "write `>=`"),
        ("=", "<") => ("`=<` is no comparison", "write `<=`"),
        ("=", _) if after("==") => ("`===` is no comparison", "write `==`"),
        ("=", _) => ("`=` is no comparison", "write `==`"),
        ("<", ">") => ("`<>` is no comparison", "write `!=`"),
        ("&", _) => ("`&` joins nothing", "write `&&`"),
        ("|", _) => ("`|` joins nothing", "write `||`"),
        (";", _) => (
            "a condition is one expression",
            "join its parts by `&&`, or write a list",
        ),
        (other, _) if other.chars().any(char::is_alphanumeric) => {
            return bad_name(source, source.tokens.get(at)?.span.clone());
        }
        _ => return None,
    };
    Some(source.error_at(at, message).help(help))
}

/// A word with letters that no name may have; told once, at the first of them.
fn bad_name(source: &Source<'_>, letter: Range<usize>) -> Option<ConditionError> {
    let in_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let before: Vec<char> = source
        .text
        .get(..letter.start)?
        .chars()
        .rev()
        .take_while(in_word)
        .collect();
    if !before.iter().all(char::is_ascii) {
        return None;
    }
    let after = source.text.get(letter.end..)?;
    let after: usize = after.chars().take_while(in_word).map(char::len_utf8).sum();
    let span = letter.start - before.len()..letter.end + after;
    let word = source.slice(span.clone());
    let message = format!("`{word}` cannot be a name");
    let help = format!("write record[{word:?}] for a field of this name, and quote text");
    Some(ConditionError::new(span, message).help(help))
}

fn bad_word(source: &Source<'_>, at: usize) -> Option<ConditionError> {
    let word = source.token_text(at);
    let previous = at
        .checked_sub(1)
        .map_or("", |before| source.token_text(before));
    let next = source.token_text(at + 1);
    if previous == "." {
        return None;
    }
    let (message, help) = match (word.to_ascii_lowercase().as_str(), next) {
        ("and", _) => (format!("`{word}` joins nothing"), "write `&&`".to_owned()),
        ("or", _) => (format!("`{word}` joins nothing"), "write `||`".to_owned()),
        ("not", "in") => (
            format!("`{word} in` is no operator"),
            "write `!(x in list)`".to_owned(),
        ),
        ("not", _) => (format!("`{word}` negates nothing"), "write `!`".to_owned()),
        ("is", _) => (
            format!("`{word}` compares nothing"),
            "write `==`".to_owned(),
        ),
        ("contains" | "startswith" | "endswith" | "matches", next) if next != "(" => (
            format!("`{word}` is a method"),
            "write title.contains(\"…\")".to_owned(),
        ),
        _ if RESERVED.contains(&word) => (
            format!("`{word}` is a word that CEL keeps for itself"),
            format!("write record[\"{word}\"] for a field of this name"),
        ),
        _ => return None,
    };
    Some(source.error_at(at, message).help(help))
}

fn lone_bracket(source: &Source<'_>, at: usize) -> ConditionError {
    let text = source.token_text(at);
    if ["(", "[", "{"].contains(&text) {
        let error = source.error_at(at, format!("this `{text}` is never closed"));
        error.help("close it, or take it away")
    } else {
        let error = source.error_at(at, format!("this `{text}` closes nothing"));
        error.help("take it away, or open it before")
    }
}

/// The first backslash in a text that starts no escape.
fn bad_escape(source: &Source<'_>, token: &Token) -> Option<ConditionError> {
    let text = source.slice(token.span.clone());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = rest.get(at + 1..).unwrap_or_default();
        let Some(len) = escape_len(escape) else {
            let start = token.span.end - rest.len() + at;
            let letter = escape.chars().next().map_or(0, char::len_utf8);
            let span = start..start + 1 + letter;
            let message = format!("`{}` is no escape", source.slice(span.clone()));
            let help = if text.contains("\\'") || text.contains("\\\"") {
                "double the backslash".to_owned()
            } else {
                format!("write a raw text: r{text}")
            };
            return Some(ConditionError::new(span, message).help(help));
        };
        rest = escape.get(len..).unwrap_or_default();
    }
    None
}

/// How long the escape is that follows a backslash; `None` if it is none.
fn escape_len(rest: &str) -> Option<usize> {
    let digits = |count: usize, radix: u32| {
        let run = rest.get(1..=count)?;
        run.chars().all(|c| c.is_digit(radix)).then_some(count + 1)
    };
    match rest.chars().next()? {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`' => Some(1),
        'x' | 'X' => digits(2, 16),
        'u' => digits(4, 16),
        'U' => digits(8, 16),
        '0'..='3' => digits(2, 8),
        _ => None,
    }
}

/// The parser's first complaint, when none of the known mistakes explains it.
fn unknown(source: &Source<'_>, errors: &[ParseError]) -> ConditionError {
    if errors.iter().any(is_limit) {
        return ConditionError::new(0..source.text.len(), too_deep()).help(SPLIT);
    }
    let Some(error) = errors.first() else {
        return ConditionError::new(0..source.text.len(), "this is no condition").help(EXAMPLE);
    };
    let byte = byte_of(source.text, error.pos);
    let at = source.token_at(byte);
    let token = source.token_text(at);
    if error.msg.contains("invalid int") || error.msg.contains("invalid uint") {
        let error = source.error_at(at, "a whole number has at most 18 digits");
        return error.help("write a smaller number, or quote it if it is text");
    }
    if error.msg.contains("invalid double") {
        let error = source.error_at(at, "this number is too large");
        return error.help("write a number below 1e308");
    }
    if error.msg.contains("invalid string") {
        let error = source.error_at(at, "this text holds a character that does not exist");
        return error.help("write the character itself in place of its number");
    }
    if error.msg.contains("unsupported syntax") {
        let help = "a missing field is no error: ask has(field) where it matters";
        return source
            .error_at(at, "the optional syntax is no part of conditions")
            .help(help);
    }
    if token.is_empty() {
        let end = source.text.trim_end().len();
        let error = ConditionError::new(end..end, "something is missing at the end");
        return error.help("write what follows, or take the last sign away");
    }
    let error = source.error_at(at, format!("`{token}` is not expected here"));
    error.help("join conditions by `&&` or `||`, and put text in quotes")
}

fn is_limit(error: &ParseError) -> bool {
    let cause = error
        .source
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    error.msg == "UNKNOWN" || error.msg.contains("Recursion limit") || cause.contains("Recursion")
}

/// The byte at the parser's line and column, both counted in characters from 1.
fn byte_of(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start
        + rest
            .char_indices()
            .nth(column)
            .map_or(rest.len(), |(byte, _)| byte)
}

fn too_deep() -> String {
    format!("the condition is nested deeper than {MAX_NESTING}")
}
