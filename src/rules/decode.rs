//! Reading the tree of a rule file: each value is taken by name and type, and what is left over
//! or of the wrong type is a fault at its place.

use crate::record::value::Value;
use crate::record::yaml::{Data, Key, Node};
use crate::rules::Place;
use crate::rules::diagnostic::{Diagnostic, Severity};
use jiff::SignedDuration;
use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// One rule file: its text, and where faults in it are told.
pub(crate) struct File<'f> {
    /// The path as it is shown.
    pub shown: String,
    /// Folder and file name, as places are printed.
    pub short: Arc<str>,
    /// The folder it stands in, to which its paths are relative.
    pub folder: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// Where its lines end, once that was asked.
    pub breaks: OnceCell<Vec<usize>>,
    /// All faults of the set so far.
    pub faults: &'f RefCell<Vec<Diagnostic>>,
}

impl File<'_> {
    pub(crate) fn place(&self, at: usize) -> Place {
        Place {
            file: self.short.clone(),
            line: self.line_and_column(at).0,
        }
    }

    /// The line of a byte and its column in characters, both from 1. Sets of many rules ask often,
    /// so that the lines are counted once.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let breaks = self.breaks.get_or_init(|| {
            let breaks = self.text.match_indices('\n');
            breaks.map(|(at, _)| at).collect()
        });
        let line = breaks.partition_point(|line_break| *line_break < at);
        let start = line.checked_sub(1).and_then(|above| breaks.get(above));
        let start = start.map_or(0, |line_break| line_break + 1);
        let column = self
            .text
            .get(start..at)
            .map_or(0, |text| text.chars().count());
        (line + 1, column + 1)
    }

    pub(crate) fn error(
        &self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.tell(Severity::Error, code, span, message.into(), help);
    }

    pub(crate) fn warning(
        &self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.tell(Severity::Warning, code, span, message.into(), help);
    }

    fn tell(
        &self,
        severity: Severity,
        code: &'static str,
        span: &Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        let file = (self.shown.as_str(), &self.text);
        self.faults.borrow_mut().push(Diagnostic::new(
            code,
            severity,
            file,
            |at| self.line_and_column(at),
            span.clone(),
            message,
            help,
        ));
    }

    /// The first line of what stands there.
    fn written(&self, node: &Node) -> &str {
        self.text[node.span.clone()]
            .lines()
            .next()
            .unwrap_or_default()
    }

    fn wrong_type(&self, node: &Node, what: &str, expected: &str) {
        let found = match &node.data {
            Data::Scalar(value, _) if *value != Value::Null => format!("`{}`", self.written(node)),
            _ => node.to_value().kind().to_owned(),
        };
        let message = format!("{what} must be {expected}, not {found}");
        self.error(
            "wrong-type",
            &node.span,
            message,
            Some(mend(node, expected)),
        );
    }

    pub(crate) fn text(&self, node: &Node, what: &str) -> Option<String> {
        match node.as_scalar() {
            Some(Value::Text(text)) if !text.trim().is_empty() => Some(text.clone()),
            // `name: 2020` and `name: true` are meant as names.
            Some(Value::Number(_) | Value::Bool(_)) => {
                let written = self.text[node.span.clone()].to_owned();
                let help = Some(format!("put it in quotes: \"{written}\""));
                self.error(
                    "wrong-type",
                    &node.span,
                    format!("{what} must be text"),
                    help,
                );
                None
            }
            _ => {
                self.wrong_type(node, what, "text");
                None
            }
        }
    }

    pub(crate) fn whole(&self, node: &Node, what: &str) -> Option<i64> {
        match node.as_scalar().and_then(Value::as_number) {
            #[allow(clippy::cast_possible_truncation)]
            Some(n) if n.fract() == 0.0 && n.abs() <= 1_000_000.0 => Some(n as i64),
            _ => {
                self.wrong_type(node, what, "a whole number between -1000000 and 1000000");
                None
            }
        }
    }

    pub(crate) fn number(&self, node: &Node, what: &str) -> Option<f64> {
        let number = node
            .as_scalar()
            .and_then(Value::as_number)
            .filter(|n| n.abs() <= 1_000_000.0);
        if number.is_none() {
            self.wrong_type(node, what, "a number between -1000000 and 1000000");
        }
        number
    }

    pub(crate) fn boolean(&self, node: &Node, what: &str) -> Option<bool> {
        let value = node.as_scalar().and_then(Value::as_bool);
        if value.is_none() {
            self.wrong_type(node, what, "true or false");
        }
        value
    }

    pub(crate) fn span(&self, node: &Node, what: &str) -> Option<SignedDuration> {
        // `due: 3` is meant as a span too.
        let text = match node.as_scalar() {
            Some(Value::Number(_)) => self.written(node).to_owned(),
            _ => self.text(node, what)?,
        };
        crate::schedule::span(&text)
            .map_err(|mend| {
                let (message, help) = mend.split_once("; ").unwrap_or((&mend, ""));
                let help = Some(help.to_owned()).filter(|help| !help.is_empty());
                self.error("bad-span", &node.span, format!("{what}: {message}"), help);
            })
            .ok()
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = node
            .as_scalar()
            .and_then(Value::as_text)
            .unwrap_or_default();
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let help = match near(text, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write one of these words".to_owned(),
            };
            let message = format!(
                "{what} must be {}, not `{}`",
                joined(&known, "or"),
                self.written(node)
            );
            self.error("unknown-word", &node.span, message, Some(help));
        }
        found
    }

    /// A list of texts with their nodes; a single text is a list of one.
    pub(crate) fn texts<'n>(&self, node: &'n Node, what: &str) -> Vec<(String, &'n Node)> {
        match &node.data {
            Data::List(nodes) => nodes
                .iter()
                .filter_map(|node| Some((self.text(node, what)?, node)))
                .collect(),
            Data::Scalar(..) => self
                .text(node, what)
                .map(|text| (text, node))
                .into_iter()
                .collect(),
            Data::Map(_) => {
                self.wrong_type(node, what, "a list of text");
                Vec::new()
            }
        }
    }

    pub(crate) fn list<'n>(&self, node: &'n Node, what: &str) -> &'n [Node] {
        node.as_list().unwrap_or_else(|| {
            self.wrong_type(node, what, "a list");
            &[]
        })
    }

    pub(crate) fn map<'n>(&self, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
        node.as_map().unwrap_or_else(|| {
            self.wrong_type(node, what, "a mapping");
            &[]
        })
    }

    /// The entries of a mapping whose keys are known.
    pub(crate) fn fields<'n>(&self, node: &'n Node, what: &'static str) -> Fields<'_, 'n> {
        let is_map = node.as_map().is_some();
        Fields {
            file: self,
            what,
            span: node.span.clone(),
            entries: self.map(node, what),
            is_map,
            known: Vec::new(),
        }
    }
}

/// A mapping whose keys are known: each is taken once, and `finish` refuses the rest.
pub(crate) struct Fields<'f, 'n> {
    file: &'f File<'f>,
    what: &'static str,
    span: Range<usize>,
    entries: &'n [(Key, Node)],
    is_map: bool,
    known: Vec<&'static str>,
}

impl<'n> Fields<'_, 'n> {
    /// The value of a key, with the key itself.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'n (Key, Node)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.iter().find(|(k, _)| k.text == key)
    }

    /// The value of a key.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The value of a key that must be there.
    pub(crate) fn need(&mut self, key: &'static str, help: &str) -> Option<&'n Node> {
        let found = self.get(key);
        // What is no mapping was told already.
        if found.is_none() && self.is_map {
            let message = format!("{} needs `{key}`", self.what);
            self.file
                .error("missing-key", &self.span, message, Some(help.to_owned()));
        }
        found
    }

    /// Refuses every key that was not asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self.entries {
            if !self.known.contains(&key.text.as_str()) {
                let help = match near(&key.text, self.known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it may have {}", listed(&self.known)),
                };
                let message = format!("{} has no `{}`", self.what, key.text);
                self.file
                    .error("unknown-key", &key.span, message, Some(help));
            }
        }
    }
}

/// How to write what is expected.
fn mend(node: &Node, expected: &str) -> String {
    match expected {
        "a list" | "a list of text" => "begin each entry with `- `, or write [one, two]",
        "a mapping" => "write it as `key: value`, one to a line",
        "text" if node.as_list().is_some() => "write one text, without brackets",
        "text" => "write some text; what YAML reads in its own way goes in quotes",
        "true or false" => "write true or false, without quotes",
        _ if expected.starts_with("a whole number") => "write a whole number, like 10",
        _ => "write a number, like 0.5",
    }
    .to_owned()
}

/// Names in backquotes, the last one joined by "and".
pub(crate) fn listed(names: &[&str]) -> String {
    joined(names, "and")
}

fn joined(names: &[&str], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The name most like a word, if one is like it enough to be meant.
pub(crate) fn near<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    names
        .map(|name| {
            let name_lower = name.to_lowercase();
            let likeness = strsim::jaro_winkler(&word, &name_lower);
            // Of short names, one letter is a large part.
            let one_off = name.len() > 1 && strsim::damerau_levenshtein(&word, &name_lower) <= 1;
            (if one_off { likeness.max(0.9) } else { likeness }, name)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
