//! Names for parts of conditions: parts of one name have one value in every record.

use crate::rules::condition::expr::{Expr, Path, Root, Step};
use std::fmt::Write as _;

/// Longer lists are told apart by where they are kept.
const LONG_LIST: usize = 64;

/// The name of a part of a condition, however it is spelled.
pub(super) fn key(expr: &Expr) -> String {
    let mut text = String::new();
    write(expr, &mut text);
    text
}

/// The name of the test whether a field is there.
pub(super) fn path_key(path: &Path) -> String {
    let mut text = "has ".to_owned();
    place(path, &mut text);
    text
}

/// Whether an expression has a value in every record: what is asked of queues has a score.
pub(super) fn is_always_there(expr: &Expr) -> bool {
    match expr {
        Expr::Has(..) => true,
        Expr::Threshold(threshold) => matches!(threshold.side, Expr::Score(_) | Expr::Age(_)),
        Expr::Field(path) => path.root == Root::Published,
        _ => false,
    }
}

/// The fields that are there whenever the expression has a value.
pub(super) fn presences(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    gather(expr, &mut found);
    found
}

fn gather(expr: &Expr, found: &mut Vec<String>) {
    match expr {
        Expr::Field(path) => found.push(path_key(path)),
        Expr::Threshold(threshold) => gather(&threshold.side, found),
        Expr::Compare(_, _, sides)
        | Expr::In(_, sides)
        | Expr::Part(_, sides)
        | Expr::Arithmetic(_, sides, _)
        | Expr::Join(sides) => sides.iter().for_each(|side| gather(side, found)),
        Expr::Matches(inner, _)
        | Expr::Negate(inner)
        | Expr::LowerAscii(inner)
        | Expr::TextSize(inner)
        | Expr::ListSize(inner) => gather(inner, found),
        Expr::Each(each) => gather(&each.list, found),
        // Of these, not every part need have a value.
        _ => {}
    }
}

fn place(path: &Path, text: &mut String) {
    let _ = write!(text, "{:?}", path.root);
    for step in &path.steps {
        let _ = match step {
            Step::Key(key) => write!(text, ".{key:?}"),
            Step::At(at) => write!(text, "[{at}]"),
        };
    }
}

fn write(expr: &Expr, text: &mut String) {
    let _ = match expr {
        Expr::Bool(yes) => write!(text, "{yes}"),
        Expr::Number(number) => write!(text, "{number:?}"),
        Expr::Text(constant) => write!(text, "{constant:?}"),
        Expr::List(list) if list.len() > LONG_LIST => write!(text, "list {:p}", list.as_ptr()),
        Expr::List(list) => write!(text, "{list:?}"),
        Expr::Field(path) => return place(path, text),
        Expr::Score(axis) => write!(text, "score {axis:?}"),
        Expr::Age(unit) => write!(text, "age {unit:?}"),
        Expr::Not(inner) => return many("!", [&**inner], text),
        Expr::All(parts) => return many("&", parts, text),
        Expr::Any(parts) => return many("|", parts, text),
        Expr::If(parts) => return many("?", &**parts, text),
        Expr::Has(path, _) => return text.push_str(&path_key(path)),
        Expr::Threshold(threshold) => {
            let _ = write!(text, "{:?} {:?} ", threshold.comparison, threshold.limit);
            return write(&threshold.side, text);
        }
        Expr::Compare(kind, comparison, sides) => {
            return many(&format!("{kind:?} {comparison:?}"), &**sides, text);
        }
        Expr::In(kind, sides) => return many(&format!("{kind:?} in"), &**sides, text),
        Expr::Part(part, sides) => return many(&format!("{part:?}"), &**sides, text),
        Expr::Matches(inner, pattern) => {
            return many(&format!("matches {:?}", pattern.as_str()), [&**inner], text);
        }
        Expr::Each(each) => {
            let sign = if each.every { "all" } else { "exists" };
            return many(sign, [&each.list, &each.condition], text);
        }
        Expr::About(topic) => write!(text, "about {topic:?}"),
        Expr::Mentions(phrases) => write!(text, "mentions {phrases:?}"),
        Expr::Negate(inner) => return many("-", [&**inner], text),
        Expr::Arithmetic(operation, sides, _) => {
            return many(&format!("{operation:?}"), &**sides, text);
        }
        Expr::Join(sides) => return many("join", &**sides, text),
        Expr::LowerAscii(inner) => return many("lower", [&**inner], text),
        Expr::TextSize(inner) => return many("characters", [&**inner], text),
        Expr::ListSize(inner) => return many("elements", [&**inner], text),
    };
}

fn many<'e>(sign: &str, parts: impl IntoIterator<Item = &'e Expr>, text: &mut String) {
    text.push_str(sign);
    text.push('(');
    for part in parts {
        write(part, text);
        text.push(' ');
    }
    text.push(')');
}
