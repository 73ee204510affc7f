//! Compiling the conditions of rule files: where in the file a fault stands, and how to quote what
//! YAML reads in its own way.

use super::Loading;
use crate::record::value::Value;
use crate::record::yaml::{Data, Node, Style};
use crate::rules::RuleSet;
use crate::rules::condition::{Condition, ConditionError, LARGE_STACK, Names};
use crate::rules::decode::File;
use std::collections::HashMap;
use std::ops::Range;

/// So many conditions are worth a thread.
const LEAST_CHUNK: usize = 64;

/// The text of a condition, and whether it may read the score.
pub(super) type Written = (String, bool);

/// What became of a condition.
pub(super) type Compiled = Result<Condition, Vec<ConditionError>>;

impl Loading<'_> {
    /// Compiles every condition of the set, on all processors; what `previous` has compiled with
    /// the same names is taken from it.
    pub(super) fn compile_all(&mut self, previous: Option<&RuleSet>) {
        let mut known = HashMap::new();
        if let Some(set) =
            previous.filter(|set| set.fields == self.fields && set.lists == self.lists)
        {
            let rules = set
                .rules
                .iter()
                .map(|rule| (&rule.when, &rule.unless, false));
            let queues = set
                .queues
                .iter()
                .map(|queue| (&queue.when, &queue.unless, true));
            for (when, unless, score) in rules.chain(queues) {
                for condition in when.iter().chain(unless) {
                    known.insert((condition.source.to_string(), score), condition.clone());
                }
            }
        }
        let mut wanted = self.sources_of("rules", false);
        wanted.extend(self.sources_of("queues", true));
        let (mut compiled, mut left) = (HashMap::new(), Vec::new());
        for written in wanted {
            match known.remove(&written) {
                Some(condition) => {
                    compiled.insert(written, Ok(condition));
                }
                None => left.push(written),
            }
        }
        left.sort_unstable();
        left.dedup();
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        let chunk = left.len().div_ceil(threads).max(LEAST_CHUNK);
        std::thread::scope(|scope| {
            let (fields, lists) = (&self.fields, &self.lists);
            let compile = |written: &Written| {
                let (source, score) = written;
                let names = Names {
                    fields,
                    lists,
                    score: *score,
                };
                (written.clone(), Condition::compile(source, &names))
            };
            let started: Vec<_> = left
                .chunks(chunk)
                .map(|chunk| {
                    let work = move || chunk.iter().map(compile).collect::<Vec<_>>();
                    let thread = std::thread::Builder::new().stack_size(LARGE_STACK);
                    thread.spawn_scoped(scope, work)
                })
                .collect();
            // What no thread could be had for is compiled when it is asked for.
            for thread in started.into_iter().flatten() {
                compiled.extend(thread.join().unwrap_or_default());
            }
        });
        self.compiled = compiled;
    }

    /// Every condition under `when` and `unless` in the entries of a section.
    fn sources_of(&self, section: &'static str, score: bool) -> Vec<Written> {
        let mut written = Vec::new();
        for section in self.named(section) {
            let entries = section.node.as_list().unwrap_or_default().iter();
            let keys = entries.filter_map(Node::as_map).flatten();
            let conditions = keys.filter(|(key, _)| key.text == "when" || key.text == "unless");
            for (_, node) in conditions {
                let parts = match &node.data {
                    Data::List(nodes) => nodes.as_slice(),
                    _ => std::slice::from_ref(node),
                };
                let sources = parts.iter().filter_map(|node| source(section.file, node));
                written.extend(sources.map(|source| (source, score)));
            }
        }
        written
    }

    /// One condition of a file; or tells what is wrong with it.
    pub(super) fn condition(
        &self,
        file: &File<'_>,
        node: &Node,
        key: &str,
        score: bool,
    ) -> Option<Condition> {
        let (Data::Scalar(_, style), Some(source)) = (&node.data, source(file, node)) else {
            let message = format!(
                "`{key}` must be a condition, not {}",
                node.to_value().kind()
            );
            let help = match &node.data {
                Data::Map(_) => Some(format!("write it like `{key}: quality > 70`")),
                _ => quoted_form(&file.text, node.span.start)
                    .or_else(|| Some("write each condition as one line of the list".to_owned())),
            };
            file.error("wrong-type", &node.span, message, help);
            return None;
        };
        let names = Names {
            fields: &self.fields,
            lists: &self.lists,
            score,
        };
        let written = (source, score);
        let compiled = self.compiled.get(&written).cloned();
        let source = written.0;
        match compiled.unwrap_or_else(|| Condition::compile(&source, &names)) {
            Ok(condition) => Some(condition),
            Err(errors) => {
                let help = match style {
                    Style::Plain => cut_by_comment(file, node, &source, &errors, &names),
                    _ => None,
                };
                for error in errors {
                    let span = in_file(&file.text, node, *style, &source, &error.span);
                    let help = help.clone().or(error.help);
                    file.error("condition", &span, error.message, help);
                }
                None
            }
        }
    }
}

/// The text of a condition; `when: true` is one too.
fn source(file: &File<'_>, node: &Node) -> Option<String> {
    Some(match node.as_scalar()? {
        Value::Text(text) => text.clone(),
        Value::Null => String::new(),
        _ => file.text[node.span.clone()].to_owned(),
    })
}

/// The quoted form of a condition that YAML cut off at a ` #`, when that explains its errors.
fn cut_by_comment(
    file: &File<'_>,
    node: &Node,
    source: &str,
    errors: &[ConditionError],
    names: &Names<'_>,
) -> Option<String> {
    let rest = file.text[node.span.end..]
        .lines()
        .next()
        .filter(|rest| rest.trim_start().starts_with('#'))?;
    let never_ends = errors
        .iter()
        .any(|e| e.message.ends_with("never ends") || e.message.ends_with("never closed"));
    let whole = format!("{source}{rest}");
    (never_ends || Condition::compile(whole.trim_end(), names).is_ok())
        .then(|| quoted_form(&file.text, node.span.start))
        .flatten()
}

/// Where bytes of a compiled condition stand in the file.
pub(super) fn place(
    file: &File<'_>,
    node: &Node,
    condition: &Condition,
    span: &Range<usize>,
) -> Range<usize> {
    match node.data {
        Data::Scalar(_, style) => in_file(&file.text, node, style, &condition.source, span),
        _ => node.span.clone(),
    }
}

/// Where bytes of a condition stand in the file: its characters are looked for one after the other,
/// since quotes, escapes and folded lines stand between them.
fn in_file(
    text: &str,
    node: &Node,
    style: Style,
    source: &str,
    span: &Range<usize>,
) -> Range<usize> {
    let raw = &text[node.span.clone()];
    let mut at = match style {
        Style::Single | Style::Double => 1,
        Style::Block if raw.starts_with(['|', '>']) => raw.find('\n').unwrap_or_default(),
        Style::Block | Style::Plain | Style::Marked => 0,
    };
    let (mut start, mut end) = (None, at);
    for (n, c) in source
        .char_indices()
        .take_while(|(n, _)| *n < span.end.max(span.start + 1))
    {
        let same = |found: char| found == c || (found.is_whitespace() && c.is_whitespace());
        let Some(found) = raw.get(at..).and_then(|rest| rest.find(same)) else {
            return node.span.clone();
        };
        if n == span.start {
            start = Some(at + found);
        }
        at += found + raw[at + found..].chars().next().map_or(1, char::len_utf8);
        end = at;
    }
    let start = start.unwrap_or(end);
    node.span.start + start..node.span.start + end
}

/// The condition on the line around `at`, put into quotes, if YAML reads it in its own way.
pub(super) fn quoted_form(text: &str, at: usize) -> Option<String> {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let lines: Vec<&str> = text.lines().collect();
    let here = text[..at].bytes().filter(|b| *b == b'\n').count();
    // A fault can be told at the start of the next line.
    let near = [Some(here), here.checked_sub(1)].into_iter().flatten();
    let (key, condition) = near
        .flat_map(|n| written_conditions(&lines, n))
        .find(|written| written.in_own_way())
        .map(|written| (written.key, written.condition))?;
    let own_way = "YAML reads this in its own way; quote";
    Some(if condition.starts_with('[') && condition.ends_with(']') {
        format!("{own_way} each condition of the list: {key} ['…', '…']")
    } else {
        format!(
            "{own_way} the condition: {key} '{}'",
            condition.replace('\'', "''")
        )
    })
}

/// A condition as it is written on one line.
struct OnOneLine<'t> {
    key: &'static str,
    condition: &'t str,
    in_braces: bool,
}

impl OnOneLine<'_> {
    /// Whether YAML reads something else in it than what is written.
    fn in_own_way(&self) -> bool {
        let condition = self.condition;
        let quoted = |q: char| {
            condition.len() > 1
                && condition.starts_with(q)
                && condition[1..].find(q) == Some(condition.len() - 2)
        };
        let opens =
            condition.starts_with(['"', '\'', '!', '[', '{', '&', '*', '|', '>', '%', '@', '`']);
        let holds = [" #", ": ", "\t#"]
            .iter()
            .any(|sign| condition.contains(sign));
        let breaks = self.in_braces && condition.contains([',', '[', ']', '{', '}']);
        (opens || holds || breaks) && !quoted('\'') && !quoted('"')
    }
}

/// What stands on a line as conditions: after `when:` and `unless:`, or as an entry of their list.
fn written_conditions<'t>(lines: &[&'t str], n: usize) -> Vec<OnOneLine<'t>> {
    const KEYS: [&str; 2] = ["when:", "unless:"];
    let Some(line) = lines.get(n) else {
        return Vec::new();
    };
    if let Some(entry) = line.trim_start().strip_prefix("- ") {
        let is_entry = |above: &&&str| above.trim_start().starts_with(['-', '#']);
        let above = lines[..n].iter().rev().find(|above| !is_entry(above));
        let starts = |line: &str| KEYS.iter().any(|key| line.trim_start().starts_with(key));
        if above.is_some_and(|above| starts(above)) {
            let condition = entry.trim();
            return vec![OnOneLine {
                key: "-",
                condition,
                in_braces: false,
            }];
        }
    }
    let written = KEYS.into_iter().filter_map(|key| {
        let at = line.find(key)?;
        let before = &line[..at];
        let rest = line[at + key.len()..].trim();
        let in_braces = before.contains('{');
        let condition = if in_braces {
            until_next_key(rest)
        } else {
            rest
        };
        let is_key = before.ends_with([' ', '{', ',']);
        is_key.then_some(OnOneLine {
            key,
            condition,
            in_braces,
        })
    });
    written.collect()
}

/// What stands inside braces before the next `, name:` or before their end.
fn until_next_key(rest: &str) -> &str {
    let next_key = rest.match_indices(", ").find(|(comma, _)| {
        let after = &rest[comma + 2..];
        let word = after.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
        word.len() < after.len() && word.starts_with(": ")
    });
    match next_key {
        Some((comma, _)) => &rest[..comma],
        None => rest.strip_suffix('}').unwrap_or(rest).trim_end(),
    }
}
