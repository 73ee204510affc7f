//! Functions and methods: what they take.

use super::{Check, Typed, nearest};
use crate::rules::condition::expr::{Each, Expr, MAX_NESTING, Part};
use crate::rules::types::Type;
use crate::rules::words::Phrase;
use cel::common::ast::{Expr as Node, IdedExpr, operators as symbols};
use regex::RegexBuilder;

const MAX_PATTERN_BYTES: usize = 1024;
const MAX_PATTERN_MEMORY: usize = 1024 * 1024;
const MAX_PATTERN_NESTING: u32 = 50;

const FUNCTIONS: [&str; 4] = ["about", "mentions", "has", "size"];
const TEXT_METHODS: [&str; 6] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "lowerAscii",
    "size",
];
const LIST_METHODS: [&str; 3] = ["exists", "all", "size"];

impl<'a> Check<'a> {
    pub(super) fn function(
        &mut self,
        node: &IdedExpr,
        name: &str,
        args: &[IdedExpr],
    ) -> Option<Typed> {
        match (name, args) {
            ("has", [field]) => self.has(field),
            ("size", [of]) => self.size(of),
            ("about", [topic]) => {
                let span = self.source.span(&self.syntax.info, topic);
                let topic = self.constant_text(topic, "about")?;
                self.reads.topics.push((topic.clone(), span));
                Some((Expr::About(topic), Type::Bool))
            }
            ("mentions", [_, ..]) => self.mentions(args),
            ("has", _) => self.wrong_count(node, "has", "one field", "has(title)"),
            ("size", _) => self.wrong_count(node, "size", "one text or list", "size(topics)"),
            ("about", _) => self.wrong_count(node, "about", "one topic", "about(\"AI\")"),
            ("mentions", _) => self.wrong_count(node, "mentions", "phrases", "mentions(\"AI\")"),
            _ => {
                let span = self.source.name_span(&self.syntax.info, node);
                let known = TEXT_METHODS
                    .iter()
                    .chain(&LIST_METHODS)
                    .any(|method| *method == name);
                let help = match (name, nearest(name, FUNCTIONS.into_iter())) {
                    ("not", _) => "write `!`".to_owned(),
                    _ if known => format!("write it after a dot: title.{name}(…)"),
                    (_, Some(near)) => format!("did you mean `{near}`?"),
                    (_, None) => format!("there are {}", FUNCTIONS.join(", ")),
                };
                self.fail_at(span, format!("there is no function `{name}`"), help)
            }
        }
    }

    pub(super) fn method(
        &mut self,
        node: &IdedExpr,
        target: &IdedExpr,
        name: &str,
        args: &[IdedExpr],
    ) -> Option<Typed> {
        match (name, args) {
            ("exists" | "all", [variable, condition]) => {
                self.each(name == "all", target, variable, condition)
            }
            ("size", []) => self.size(target),
            ("lowerAscii", []) => {
                let text = self.need(target, &Type::Text, "`lowerAscii`")?;
                Some((Expr::LowerAscii(Box::new(text)), Type::Text))
            }
            ("contains", [part]) => self.part(Part::Inside, target, name, part),
            ("startsWith", [part]) => self.part(Part::Start, target, name, part),
            ("endsWith", [part]) => self.part(Part::End, target, name, part),
            ("matches", [pattern]) => self.matches(target, pattern),
            ("exists" | "all", _) => {
                let example = format!("topics.{name}(t, t == \"AI\")");
                self.wrong_count(node, name, "a name and a condition", &example)
            }
            ("size" | "lowerAscii", _) => {
                let example = format!("title.{name}()");
                self.wrong_count(node, name, "nothing", &example)
            }
            ("contains" | "startsWith" | "endsWith" | "matches", _) => {
                let example = format!("title.{name}(\"AI\")");
                self.wrong_count(node, name, "one text", &example)
            }
            _ => {
                let span = self.source.name_span(&self.syntax.info, node);
                let methods = TEXT_METHODS.into_iter().chain(LIST_METHODS);
                let help = if FUNCTIONS.contains(&name) {
                    format!("write it without a dot: {name}(…)")
                } else if let Some(near) = nearest(name, methods) {
                    format!("did you mean `{near}`?")
                } else {
                    format!(
                        "text has {}; lists have {}",
                        TEXT_METHODS.join(", "),
                        LIST_METHODS.join(", ")
                    )
                };
                self.fail_at(span, format!("there is no method `{name}`"), help)
            }
        }
    }

    pub(super) fn has(&mut self, field: &IdedExpr) -> Option<Typed> {
        let is_score = matches!(&field.expr, Node::Select(s) if self.is_ident(&s.operand, "score"));
        let is_index = matches!(&field.expr, Node::Call(c) if c.func_name == symbols::INDEX);
        let is_field = is_index || matches!(field.expr, Node::Ident(_) | Node::Select(_));
        if is_score || !is_field {
            let message = format!("`has` asks for a field, and {} is none", self.quote(field));
            return self.fail_with(field, message, "as in has(provider.name)");
        }
        self.open = true;
        let place = self.place(field);
        self.open = false;
        let (path, kind) = place?;
        Some((Expr::Has(path, kind), Type::Bool))
    }

    pub(super) fn size(&mut self, of: &IdedExpr) -> Option<Typed> {
        let (expr, kind) = self.any(of)?;
        let expr = Box::new(expr);
        match kind {
            Type::Text => Some((Expr::TextSize(expr), Type::Number)),
            Type::List(_) => Some((Expr::ListSize(expr), Type::Number)),
            Type::Any => {
                let message = format!("whether {} is text or a list is not known", self.quote(of));
                self.fail_with(of, message, "declare it under `types:` in the source")
            }
            other => {
                let message = format!(
                    "`size` takes text or a list, and {} is {other}",
                    self.quote(of)
                );
                self.fail_with(of, message, "as in size(title) or size(topics)")
            }
        }
    }

    pub(super) fn part(
        &mut self,
        part: Part,
        target: &IdedExpr,
        name: &str,
        wanted: &IdedExpr,
    ) -> Option<Typed> {
        let who = format!("`{name}`");
        let text = self.need(target, &Type::Text, &who);
        let wanted = self.need(wanted, &Type::Text, &who);
        Some((Expr::Part(part, Box::new([text?, wanted?])), Type::Bool))
    }

    pub(super) fn matches(&mut self, target: &IdedExpr, pattern: &IdedExpr) -> Option<Typed> {
        let text = self.need(target, &Type::Text, "`matches`");
        let written = self.constant_text(pattern, "matches")?;
        if written.len() > MAX_PATTERN_BYTES {
            let message = format!("a pattern has at most {MAX_PATTERN_BYTES} bytes");
            let help = "split it into several, joined by `||`; words go into mentions()";
            return self.fail_with(pattern, message, help);
        }
        let compiled = RegexBuilder::new(&written)
            .size_limit(MAX_PATTERN_MEMORY)
            .dfa_size_limit(MAX_PATTERN_MEMORY)
            .nest_limit(MAX_PATTERN_NESTING)
            .build();
        match compiled {
            Ok(compiled) => Some((Expr::Matches(Box::new(text?), compiled), Type::Bool)),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ").trim_end_matches('.');
                let message = format!("this pattern cannot be read: {reason}");
                self.fail_with(pattern, message, pattern_mend(reason))
            }
        }
    }

    pub(super) fn mentions(&mut self, args: &[IdedExpr]) -> Option<Typed> {
        let mut phrases = Vec::with_capacity(args.len());
        let mut complete = true;
        for arg in args {
            match self
                .constant_text(arg, "mentions")
                .map(|text| Phrase::new(&text))
            {
                Some(Some(phrase)) => phrases.push(phrase),
                Some(None) => {
                    let message = "a phrase holds more than spaces and dashes";
                    let help = "write a word of at least one letter or digit";
                    complete = self.fail_with::<()>(arg, message, help).is_some();
                }
                None => complete = false,
            }
        }
        complete.then_some((Expr::Mentions(phrases), Type::Bool))
    }

    pub(super) fn each(
        &mut self,
        every: bool,
        target: &IdedExpr,
        variable: &IdedExpr,
        condition: &IdedExpr,
    ) -> Option<Typed> {
        let who = if every { "`all`" } else { "`exists`" };
        let (list, kind) = self.any(target)?;
        let element = match kind {
            Type::List(element) => *element,
            Type::Any => Type::Any,
            other => {
                let message = format!(
                    "{who} looks into a list, and {} is {other}",
                    self.quote(target)
                );
                let help = "as in topics.exists(t, t.startsWith(\"A\"))";
                return self.fail_with(target, message, help);
            }
        };
        let Node::Ident(name) = &variable.expr else {
            let message = format!("{who} takes a name for the element first");
            return self.fail_with(variable, message, "as in topics.exists(t, t == \"AI\")");
        };
        if self.is_known(name) {
            let message = format!("`{name}` already means something here");
            return self.fail_with(variable, message, "choose another name, such as `x`");
        }
        if self.variables.len() >= MAX_NESTING {
            let message =
                format!("at most {MAX_NESTING} of `exists` and `all` stand inside each other");
            let help = "ask for the inner one in a condition of its own";
            return self.fail_with(target, message, help);
        }
        self.variables.push((name.clone(), element));
        let condition = self.need(condition, &Type::Bool, who);
        self.variables.pop();
        Some((
            Expr::Each(Box::new(Each {
                every,
                list,
                condition: condition?,
            })),
            Type::Bool,
        ))
    }
}

/// What to do about a pattern that cannot be read.
fn pattern_mend(reason: &str) -> &'static str {
    const MENDS: [(&str, &str); 5] = [
        (
            "unclosed group",
            "close the `(`, or write `\\(` for a bracket in the text",
        ),
        (
            "unopened group",
            "open a `(` before it, or write `\\)` for a bracket in the text",
        ),
        (
            "unclosed character class",
            "close the `[`, or write `\\[` for one in the text",
        ),
        (
            "repetition",
            "put what repeats before it, or a backslash for the sign itself",
        ),
        (
            "look",
            "ask in a second condition, as in !title.matches(r\"…\")",
        ),
    ];
    let known = MENDS.into_iter().find(|(part, _)| reason.contains(part));
    known.map_or(
        "write a backslash before a sign that stands for itself",
        |(_, mend)| mend,
    )
}
