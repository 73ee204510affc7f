//! From the parser's tree to the typed one: every name is known, every type fits, every pattern
//! compiles. Errors are gathered, so that one load shows all of a condition's.

mod functions;
mod operators;
mod places;

use super::expr::{Expr, MAX_DEPTH};
use super::parse::Syntax;
use super::source::Source;
use super::{ConditionError, Names, Reads};
use crate::record::value::Value;
use crate::rules::types::Type;
use cel::common::ast::{Expr as Node, IdedExpr, LiteralValue, operators as symbols};
use std::ops::Range;

/// Checks the whole condition, which must be true or false.
pub(super) fn check(
    syntax: &Syntax,
    source: &Source<'_>,
    names: &Names<'_>,
) -> Result<(Expr, Reads), Vec<ConditionError>> {
    let mut check = Check {
        syntax,
        source,
        names,
        variables: vec![],
        depth: 0,
        errors: vec![],
        reads: Reads::default(),
        open: false,
    };
    let expr = check.whole(&syntax.root);
    match expr {
        Some(expr) if check.errors.is_empty() => Ok((expr, check.reads)),
        _ => {
            check.errors.sort_by_key(|error| error.span.start);
            Err(check.errors)
        }
    }
}

/// A checked expression and its type.
type Typed = (Expr, Type);

struct Check<'a> {
    syntax: &'a Syntax,
    source: &'a Source<'a>,
    names: &'a Names<'a>,
    /// The variables of the enclosing `exists` and `all`, outermost first.
    variables: Vec<(String, Type)>,
    depth: usize,
    errors: Vec<ConditionError>,
    reads: Reads,
    /// Whether undeclared fields are let through: inside `has()`.
    open: bool,
}

/// `None` from any of these means that an error was gathered.
impl<'a> Check<'a> {
    fn whole(&mut self, node: &IdedExpr) -> Option<Expr> {
        let (expr, kind) = self.any(node)?;
        if fits(&kind, &Type::Bool) {
            return Some(expr);
        }
        let message = format!(
            "a condition is true or false, and {} is {kind}",
            self.quote(node)
        );
        self.fail_with(node, message, "compare it with something")
    }

    /// Checks a node of any type.
    fn any(&mut self, node: &IdedExpr) -> Option<Typed> {
        if self.depth >= MAX_DEPTH {
            let message = format!("the condition has parts nested deeper than {MAX_DEPTH}");
            return self.fail_with(node, message, "split it into several conditions");
        }
        self.depth += 1;
        let typed = self.node(node);
        self.depth -= 1;
        typed
    }

    fn node(&mut self, node: &IdedExpr) -> Option<Typed> {
        match &node.expr {
            Node::Literal(literal) => self.literal(node, literal),
            Node::Ident(name) if self.is_age(node) => {
                let message = format!("`{name}` may only be compared with a number");
                self.fail_with(node, message, format!("as in `{name} > 7`"))
            }
            Node::Ident(name) if self.variable(name).is_none() => match self.named_list(name) {
                Some(list) => {
                    let kind = self.list_type(node, list)?;
                    Some((Expr::List(list.clone()), kind))
                }
                None => self.field(node),
            },
            Node::Select(select) if self.is_ident(&select.operand, "score") => {
                self.score(node, &select.field)
            }
            Node::Ident(_) | Node::Select(_) => self.field(node),
            Node::Call(call) if call.func_name == symbols::INDEX => self.field(node),
            Node::Call(call) => self.call(node, call),
            Node::List(list) => self.list_literal(node, &list.elements),
            Node::Map(_) | Node::Struct(_) => self.fail_with(
                node,
                "a mapping cannot be written in a condition",
                "compare the parts of a mapping: provider.name == \"…\"",
            ),
            Node::Comprehension(_) | Node::Unspecified => self.fail_with(
                node,
                "this is no part of conditions",
                "see `rules/README.md` for what is",
            ),
        }
    }

    fn field(&mut self, node: &IdedExpr) -> Option<Typed> {
        let (path, kind) = self.place(node)?;
        Some((Expr::Field(path), kind))
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        if let Some(value) = constant(literal) {
            return Some(match value {
                Value::Bool(yes) => (Expr::Bool(yes), Type::Bool),
                Value::Number(number) => (Expr::Number(number), Type::Number),
                Value::Text(text) => (Expr::Text(text), Type::Text),
                _ => return None,
            });
        }
        if matches!(literal, LiteralValue::Null) {
            let help = "ask whether a field is there by has(field)";
            return self.fail_with(node, "`null` is no value here", help);
        }
        self.fail_with(
            node,
            "bytes are no part of conditions",
            "leave out the `b` before the text",
        )
    }

    fn list_literal(&mut self, node: &IdedExpr, elements: &[IdedExpr]) -> Option<Typed> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            let value = match &element.expr {
                Node::Literal(literal) => constant(literal),
                _ => None,
            };
            let Some(value) = value else {
                let message = format!(
                    "a list holds text, numbers, true or false; {} is none of them",
                    self.quote(element)
                );
                let help = "write the values out; to compare fields, join comparisons by `||`";
                return self.fail_with(element, message, help);
            };
            values.push(value);
        }
        let kind = self.list_type(node, &values)?;
        Some((Expr::List(values.into()), kind))
    }

    fn list_type(&mut self, node: &IdedExpr, values: &[Value]) -> Option<Type> {
        let type_of = |value: &Value| match value {
            Value::Bool(_) => Some(Type::Bool),
            Value::Number(_) => Some(Type::Number),
            Value::Text(_) => Some(Type::Text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        let Some(first) = values.first() else {
            return Some(Type::Any.list());
        };
        let kind = type_of(first);
        match (
            kind,
            values.iter().find(|value| value.kind() != first.kind()),
        ) {
            (Some(kind), None) => Some(kind.list()),
            (_, other) => {
                let odd = other.unwrap_or(first).kind();
                let message = format!(
                    "the elements of {} must be of one kind, and it holds {} and {odd}",
                    self.quote(node),
                    first.kind()
                );
                self.fail_with(
                    node,
                    message,
                    "put what is text in quotes, and numbers in none",
                )
            }
        }
    }

    /// Checks a node that must be of one type.
    fn need(&mut self, node: &IdedExpr, wanted: &Type, who: &str) -> Option<Expr> {
        let (expr, kind) = self.any(node)?;
        if fits(&kind, wanted) {
            return Some(expr);
        }
        let message = format!("{who} takes {wanted}, and {} is {kind}", self.quote(node));
        let help = match wanted {
            Type::Bool => "compare it with something",
            Type::Number => "write a number, or a field of one",
            _ => "write text in quotes, or a field of text",
        };
        self.fail_with(node, message, help)
    }

    fn constant_text(&mut self, node: &IdedExpr, who: &str) -> Option<String> {
        match &node.expr {
            Node::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            _ => {
                let message = format!(
                    "`{who}` takes text in quotes, and {} is none",
                    self.quote(node)
                );
                self.fail_with(node, message, "put the text itself in quotes")
            }
        }
    }

    fn wrong_count<T>(
        &mut self,
        node: &IdedExpr,
        name: &str,
        takes: &str,
        example: &str,
    ) -> Option<T> {
        let span = self.source.name_span(&self.syntax.info, node);
        self.fail_at(
            span,
            format!("`{name}` takes {takes}"),
            format!("as in {example}"),
        )
    }

    fn fail_with<T>(
        &mut self,
        node: &IdedExpr,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        let span = self.source.span(&self.syntax.info, node);
        self.fail_at(span, message, help)
    }

    fn fail_at<T>(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.errors
            .push(ConditionError::new(span, message).help(help));
        None
    }

    /// The source of a node.
    fn written(&self, node: &IdedExpr) -> &'a str {
        self.source.slice(self.source.span(&self.syntax.info, node))
    }

    /// The source of a node as messages quote it.
    fn quote(&self, node: &IdedExpr) -> String {
        format!("`{}`", self.short(node))
    }

    /// The beginning of the source of a node.
    fn short(&self, node: &IdedExpr) -> String {
        let written = self.written(node);
        let short = written
            .char_indices()
            .nth(40)
            .and_then(|(end, _)| written.get(..end));
        short.map_or_else(|| written.to_owned(), |short| format!("{short}…"))
    }
}

/// Whether a value of type `kind` may stand where `wanted` is needed.
fn fits(kind: &Type, wanted: &Type) -> bool {
    kind == wanted || *kind == Type::Any
}

fn constant(literal: &LiteralValue) -> Option<Value> {
    #[allow(clippy::cast_precision_loss)]
    Some(match literal {
        LiteralValue::Boolean(yes) => Value::Bool(*yes.inner()),
        LiteralValue::Int(number) => Value::Number(*number.inner() as f64),
        LiteralValue::UInt(number) => Value::Number(*number.inner() as f64),
        LiteralValue::Double(number) => Value::Number(*number.inner()),
        LiteralValue::String(text) => Value::Text(text.inner().to_owned()),
        LiteralValue::Bytes(_) | LiteralValue::Null => return None,
    })
}

/// The known name that a wrong one was most likely meant to be.
fn nearest<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let wrong = wrong.to_lowercase();
    let most = (wrong.chars().count() / 3).max(1);
    known
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wrong, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
