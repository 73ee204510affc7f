//! Names, and the ways that lead from them into a record.

use super::{Check, Typed, nearest};
use crate::record::value::Value;
use crate::rules::condition::BUILT_IN;
use crate::rules::condition::expr::{Expr, MAX_DEPTH, Path, Root, Step, Unit};
use crate::rules::score::Axis;
use crate::rules::types::{Schema, Type};
use cel::common::ast::{Expr as Node, IdedExpr, LiteralValue, operators as symbols};
use std::sync::Arc;

impl<'a> Check<'a> {
    /// Where a name, or a way that starts at one, leads.
    pub(super) fn place(&mut self, node: &IdedExpr) -> Option<(Path, Type)> {
        if self.depth >= MAX_DEPTH {
            return self.fail_with(
                node,
                "this leads too deep into the record",
                "ask for a field nearer to the top",
            );
        }
        self.depth += 1;
        let place = self.step(node);
        self.depth -= 1;
        place
    }

    pub(super) fn step(&mut self, node: &IdedExpr) -> Option<(Path, Type)> {
        let (operand, step) = match &node.expr {
            Node::Ident(name) => return self.name(node, name),
            Node::Select(select) => (&*select.operand, Step::Key(select.field.clone())),
            Node::Call(call) if call.func_name == symbols::INDEX => {
                let [operand, index] = call.args.as_slice() else {
                    return self.fail_with(node, "this is no index", "as in images[0]");
                };
                (operand, self.index(index)?)
            }
            _ => {
                let message = format!("{} is no field of a record", self.quote(node));
                return self.fail_with(
                    node,
                    message,
                    "name a field, such as title or provider.name",
                );
            }
        };
        if self.is_ident(operand, "record") {
            let Step::Key(key) = &step else {
                let help = "write record[\"odd-key\"]";
                return self.fail_with(node, "a record is asked by key", help);
            };
            let written_as_key = !matches!(node.expr, Node::Select(_));
            return self.top_level(node, key, written_as_key);
        }
        let (path, kind) = self.place(operand)?;
        let kind = self.type_after(node, operand, &kind, &step)?;
        Some((path.then(step), kind))
    }

    pub(super) fn type_after(
        &mut self,
        node: &IdedExpr,
        operand: &IdedExpr,
        kind: &Type,
        step: &Step,
    ) -> Option<Type> {
        let message = match (kind, step) {
            (Type::Any, _) => return Some(Type::Any),
            (Type::List(element), Step::At(_)) => return Some((**element).clone()),
            (Type::Map(schema), Step::Key(key)) => {
                if let Some(kind) = schema.get(key) {
                    return Some(kind.clone());
                }
                if self.open {
                    return Some(Type::Any);
                }
                return self.unknown_part(node, operand, schema, key);
            }
            (Type::List(_), Step::Key(_)) => {
                let written = self.written(operand);
                let message = format!("`{written}` is {kind}, which has no fields");
                let help = format!("as in `{written}[0]` or `{written}.exists(x, …)`");
                return self.fail_with(node, message, help);
            }
            (_, Step::Key(_)) => format!("{} is {kind}, which has no fields", self.quote(operand)),
            (_, Step::At(_)) => format!("{} is {kind}, which has no elements", self.quote(operand)),
        };
        let help = format!("leave out what follows `{}`", self.written(operand));
        self.fail_with(node, message, help)
    }

    pub(super) fn index(&mut self, node: &IdedExpr) -> Option<Step> {
        match &node.expr {
            Node::Literal(LiteralValue::String(key)) => Some(Step::Key(key.inner().to_owned())),
            Node::Literal(LiteralValue::Int(at)) if *at.inner() >= 0 => {
                Some(Step::At(usize::try_from(*at.inner()).ok()?))
            }
            _ => self.fail_with(
                node,
                "between `[` and `]` stands a key in quotes, or 0, 1, 2, …",
                "as in images[0] or record[\"odd-key\"]",
            ),
        }
    }

    pub(super) fn name(&mut self, node: &IdedExpr, name: &str) -> Option<(Path, Type)> {
        if let Some((level, kind)) = self.variable(name) {
            return Some((Path::new(Root::Element(level), ""), kind));
        }
        match name {
            "text" => Some((Path::new(Root::Text, name), Type::Text)),
            "domain" => Some((Path::new(Root::Domain, name), Type::Text)),
            "record" => {
                let help = "write record[\"odd-key\"]";
                self.fail_with(node, "`record` is asked by key", help)
            }
            "score" => {
                let help = "write score.quality, score.heat, score.topic or score.total";
                self.fail_with(node, "`score` is asked by axis", help)
            }
            "age_hours" | "age_days" => self.fail_with(
                node,
                format!("`{name}` is never missing"),
                format!("as in `{name} > 7`"),
            ),
            _ if self.named_list(name).is_some() => {
                let help = format!("write `x in {name}`, or {name}.exists(x, …)");
                self.fail_with(node, format!("`{name}` is a list, not a field"), help)
            }
            _ => self.top_level(node, name, false),
        }
    }

    /// A key of the record; one that is written as a key need not be declared.
    pub(super) fn top_level(
        &mut self,
        node: &IdedExpr,
        key: &str,
        as_key: bool,
    ) -> Option<(Path, Type)> {
        match key {
            "published" => return Some((Path::new(Root::Published, key), Type::Bool)),
            "topics" => return Some((Path::new(Root::Topics, key), Type::Text.list())),
            _ => {}
        }
        match self.names.fields.get(key) {
            Some(kind) => Some((Path::of_key(key), kind.clone())),
            None if as_key || self.open => Some((Path::of_key(key), Type::Any)),
            None => self.unknown_name(node, key),
        }
    }

    pub(super) fn score(&mut self, node: &IdedExpr, field: &str) -> Option<Typed> {
        let axis = match field {
            "quality" => Some(Axis::Quality),
            "heat" => Some(Axis::Heat),
            "topic" => Some(Axis::Topic),
            "total" => None,
            _ => {
                let help = "it has score.quality, score.heat, score.topic and score.total";
                return self.fail_with(node, format!("`score` has no `{field}`"), help);
            }
        };
        if !self.names.score {
            let message = format!("scoring knows no queues: only they may read `score.{field}`");
            return self.fail_with(node, message, "move this condition to a queue");
        }
        self.reads.scores.push(axis);
        Some((Expr::Score(axis), Type::Number))
    }

    pub(super) fn variable(&self, name: &str) -> Option<(usize, Type)> {
        let level = self
            .variables
            .iter()
            .rposition(|(known, _)| known == name)?;
        self.variables
            .get(level)
            .map(|(_, kind)| (level, kind.clone()))
    }

    /// A list of the rule set, unless a field or a built-in name stands in its way.
    pub(super) fn named_list(&self, name: &str) -> Option<&'a Arc<[Value]>> {
        let hidden = BUILT_IN.contains(&name) || self.names.fields.get(name).is_some();
        self.names.lists.get(name).filter(|_| !hidden)
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| known == name)
            || self.names.fields.get(name).is_some()
            || self.names.lists.contains_key(name)
            || BUILT_IN.contains(&name)
    }

    pub(super) fn is_ident(&self, node: &IdedExpr, name: &str) -> bool {
        matches!(&node.expr, Node::Ident(found) if found == name)
    }

    pub(super) fn age(&self, node: &IdedExpr) -> Option<Unit> {
        match &node.expr {
            Node::Ident(name) if name == "age_hours" => Some(Unit::Hours),
            Node::Ident(name) if name == "age_days" => Some(Unit::Days),
            _ => None,
        }
    }

    pub(super) fn is_age(&self, node: &IdedExpr) -> bool {
        self.age(node).is_some()
    }

    pub(super) fn unknown_name<T>(&mut self, node: &IdedExpr, name: &str) -> Option<T> {
        let names = self
            .names
            .fields
            .names()
            .chain(self.names.lists.keys().map(String::as_str))
            .chain(self.variables.iter().map(|(name, _)| name.as_str()))
            .chain(BUILT_IN);
        let help = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None if name == "now" => "ask for age_hours or age_days".to_owned(),
            None => format!("declare it under `types:` in the source, or write record[{name:?}]"),
        };
        self.fail_with(node, format!("there is no field `{name}`"), help)
    }

    pub(super) fn unknown_part<T>(
        &mut self,
        node: &IdedExpr,
        operand: &IdedExpr,
        schema: &Schema,
        key: &str,
    ) -> Option<T> {
        let message = format!("{} has no field `{key}`", self.quote(operand));
        let help = match nearest(key, schema.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", schema.names().collect::<Vec<_>>().join(", ")),
        };
        self.fail_with(node, message, help)
    }
}
