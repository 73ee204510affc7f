//! Operators: what their sides must be, and what becomes of constants.

use super::{Check, Typed, fits};
use crate::rules::condition::expr::{
    Arithmetic, Comparison, Expr, Kind, Threshold, Unit, is_identifier,
};
use crate::rules::types::Type;
use cel::common::ast::{CallExpr, Expr as Node, IdedExpr, LiteralValue, operators as symbols};

impl<'a> Check<'a> {
    pub(super) fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target {
            return self.method(node, target, name, &call.args);
        }
        match (name, call.args.as_slice()) {
            (symbols::LOGICAL_AND, _) => {
                let parts = self.parts(node, "&&")?;
                Some((Expr::All(parts), Type::Bool))
            }
            (symbols::LOGICAL_OR, _) => {
                let parts = self.parts(node, "||")?;
                Some((Expr::Any(parts), Type::Bool))
            }
            (symbols::LOGICAL_NOT, [inner]) => {
                let inner = self.need(inner, &Type::Bool, "`!`")?;
                Some((Expr::Not(Box::new(inner)), Type::Bool))
            }
            (symbols::CONDITIONAL, [condition, then, otherwise]) => {
                self.choice(node, condition, then, otherwise)
            }
            (symbols::IN, [element, list]) => self.membership(node, element, list),
            (symbols::NEGATE, [inner]) => Some((
                negated(self.need(inner, &Type::Number, "`-`")?),
                Type::Number,
            )),
            (_, [left, right]) if comparison(name).is_some() => {
                self.comparison(node, comparison(name)?, left, right)
            }
            (_, [left, right]) if arithmetic(name).is_some() => {
                self.arithmetic(node, arithmetic(name)?, left, right)
            }
            (_, args) => self.function(node, name, args),
        }
    }

    /// The sides of a chain of one operator, side by side; the parser nests them.
    pub(super) fn parts(&mut self, node: &IdedExpr, operator: &str) -> Option<Vec<Expr>> {
        let mut nodes = Vec::new();
        flatten(node, &mut nodes);
        let who = format!("`{operator}`");
        let parts: Vec<_> = nodes
            .iter()
            .map(|part| self.need(part, &Type::Bool, &who))
            .collect();
        parts.into_iter().collect()
    }

    pub(super) fn choice(
        &mut self,
        node: &IdedExpr,
        condition: &IdedExpr,
        then: &IdedExpr,
        otherwise: &IdedExpr,
    ) -> Option<Typed> {
        let condition = self.need(condition, &Type::Bool, "`?`");
        let (then_typed, otherwise_typed) = (self.any(then), self.any(otherwise));
        let (condition, (then_expr, one), (otherwise_expr, other)) =
            (condition?, then_typed?, otherwise_typed?);
        let kind = if fits(&other, &one) {
            one
        } else if fits(&one, &other) {
            other
        } else {
            let message = format!(
                "both results of `?` must be of one type: {} is {one}, {} is {other}",
                self.quote(then),
                self.quote(otherwise)
            );
            let help = "make both text, both numbers, or both conditions";
            return self.fail_with(node, message, help);
        };
        Some((
            Expr::If(Box::new([condition, then_expr, otherwise_expr])),
            kind,
        ))
    }

    pub(super) fn membership(
        &mut self,
        node: &IdedExpr,
        element: &IdedExpr,
        list: &IdedExpr,
    ) -> Option<Typed> {
        let (element_typed, list_typed) = (self.any(element), self.any(list));
        let ((element_expr, element_kind), (list_expr, list_kind)) = (element_typed?, list_typed?);
        let inside = match list_kind {
            Type::List(inside) => *inside,
            Type::Any => Type::Any,
            Type::Text => {
                let message = format!("`in` looks into a list, and {} is text", self.quote(list));
                let help = format!(
                    "write {}.contains({})",
                    self.written(list),
                    self.written(element)
                );
                return self.fail_with(list, message, help);
            }
            other => {
                let message = format!(
                    "`in` looks into a list, and {} is {other}",
                    self.quote(list)
                );
                let help = "as in domain in [\"example.org\"], or a name under `lists:`";
                return self.fail_with(list, message, help);
            }
        };
        let kind = self.common(node, (element, &element_kind), (list, &inside), "found in")?;
        Some((
            Expr::In(kind, Box::new([element_expr, list_expr])),
            Type::Bool,
        ))
    }

    pub(super) fn comparison(
        &mut self,
        node: &IdedExpr,
        comparison: Comparison,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Option<Typed> {
        if let Some(unit) = self.age(left) {
            return self.age_comparison(comparison, left, unit, right);
        }
        if let Some(unit) = self.age(right) {
            return self.age_comparison(comparison.mirrored(), right, unit, left);
        }
        let is_null = |side: &IdedExpr| matches!(side.expr, Node::Literal(LiteralValue::Null));
        if let Some((null, other)) = [(left, right), (right, left)]
            .into_iter()
            .find(|(null, other)| is_null(null) && !is_null(other))
        {
            let not = if comparison == Comparison::Equal {
                "!"
            } else {
                ""
            };
            let help = format!("write {not}has({})", self.written(other));
            return self.fail_with(null, "nothing is compared with `null`", help);
        }
        let (left_typed, right_typed) = (self.any(left), self.any(right));
        let ((left_expr, left_kind), (right_expr, right_kind)) = (left_typed?, right_typed?);
        let kind = self.common(
            node,
            (left, &left_kind),
            (right, &right_kind),
            "compared with",
        )?;
        if kind == Kind::Bool && comparison.is_ordering() {
            let message = "true and false have no order";
            return self.fail_with(node, message, "compare them by `==` or `!=`");
        }
        let expr = match (left_expr, right_expr) {
            (Expr::Number(left), Expr::Number(right)) => {
                Expr::Bool(comparison.holds(&left, &right))
            }
            (side, Expr::Number(limit)) => self.threshold(left, side, comparison, limit),
            (Expr::Number(limit), side) => {
                self.threshold(right, side, comparison.mirrored(), limit)
            }
            (left, right) => Expr::Compare(kind, comparison, Box::new([left, right])),
        };
        Some((expr, Type::Bool))
    }

    pub(super) fn age_comparison(
        &mut self,
        comparison: Comparison,
        age: &IdedExpr,
        unit: Unit,
        limit: &IdedExpr,
    ) -> Option<Typed> {
        let name = self.written(age);
        self.reads.age = true;
        if !comparison.is_ordering() {
            let message = format!("`{name}` is equal to a number for an instant only");
            return self.fail_with(age, message, format!("as in `{name} > 7`"));
        }
        match self.need(limit, &Type::Number, "a comparison with an age")? {
            Expr::Number(limit) => Some((
                self.threshold(age, Expr::Age(unit), comparison, limit),
                Type::Bool,
            )),
            _ => {
                let message = format!("`{name}` may only be compared with a number");
                self.fail_with(limit, message, format!("as in `{name} > 7`"))
            }
        }
    }

    pub(super) fn threshold(
        &self,
        node: &IdedExpr,
        side: Expr,
        comparison: Comparison,
        limit: f64,
    ) -> Expr {
        let name = self.written(node).to_owned();
        Expr::Threshold(Box::new(Threshold {
            side,
            comparison,
            limit,
            name,
        }))
    }

    pub(super) fn arithmetic(
        &mut self,
        node: &IdedExpr,
        operation: Arithmetic,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Option<Typed> {
        if operation == Arithmetic::Subtract && self.is_hyphenated(node) {
            let key = self.written(node);
            let message = format!("`{key}` is read as a subtraction");
            return self.fail_with(node, message, format!("write record[\"{key}\"]"));
        }
        let (left_typed, right_typed) = (self.any(left), self.any(right));
        let ((left_expr, left_kind), (right_expr, right_kind)) = (left_typed?, right_typed?);
        if operation == Arithmetic::Add && (left_kind == Type::Text || right_kind == Type::Text) {
            self.common(node, (left, &left_kind), (right, &right_kind), "joined to")?;
            return Some((Expr::Join(Box::new([left_expr, right_expr])), Type::Text));
        }
        for (side, kind) in [(left, &left_kind), (right, &right_kind)] {
            if !fits(kind, &Type::Number) {
                let message = format!(
                    "this computes with numbers, and {} is {kind}",
                    self.quote(side)
                );
                let help = "write a number, or a field of one; `+` joins text with text";
                return self.fail_with(side, message, help);
            }
        }
        if let (Expr::Number(a), Expr::Number(b)) = (&left_expr, &right_expr) {
            let Some(result) = operation.apply(*a, *b) else {
                return self.fail_with(
                    node,
                    "this computation has no result",
                    "do not divide by zero, and keep numbers below 1e308",
                );
            };
            return Some((Expr::Number(result), Type::Number));
        }
        Some((
            Expr::Arithmetic(
                operation,
                Box::new([left_expr, right_expr]),
                self.short(node).into(),
            ),
            Type::Number,
        ))
    }

    /// Whether `odd-key` was meant as one key: names without spaces, of which one is unknown.
    pub(super) fn is_hyphenated(&self, node: &IdedExpr) -> bool {
        let parts = || self.written(node).split('-');
        parts().all(is_identifier) && !parts().all(|name| self.is_known(name))
    }

    /// What two sides have in common, so that one can be compared with the other.
    pub(super) fn common(
        &mut self,
        node: &IdedExpr,
        (left, left_kind): (&IdedExpr, &Type),
        (right, right_kind): (&IdedExpr, &Type),
        verb: &str,
    ) -> Option<Kind> {
        let kind = match (left_kind, right_kind) {
            (Type::Any, Type::Any) => {
                let message = format!(
                    "the types of {} and {} are not known",
                    self.quote(left),
                    self.quote(right)
                );
                let help = "declare one of them under `types:` in the source";
                return self.fail_with(node, message, help);
            }
            (Type::Any, known) | (known, Type::Any) => known,
            (left, right) if left == right => left,
            _ => {
                let inside = if verb == "found in" { "holds" } else { "is" };
                let inner = if verb == "found in" && *right_kind == Type::Number {
                    "numbers".to_owned()
                } else {
                    right_kind.to_string()
                };
                let message = format!(
                    "{} is {left_kind} and cannot be {verb} {}, which {inside} {inner}",
                    self.quote(left),
                    self.quote(right),
                );
                let help = common_mend(verb, left_kind, right_kind);
                return self.fail_with(node, message, help);
            }
        };
        match kind {
            Type::Bool => Some(Kind::Bool),
            Type::Number => Some(Kind::Number),
            Type::Text => Some(Kind::Text),
            other => {
                let message = format!("{other} cannot be {verb} anything");
                self.fail_with(
                    node,
                    message,
                    "ask for one element by `in`, or for its size()",
                )
            }
        }
    }
}

/// How to make two sides comparable.
fn common_mend(verb: &str, left: &Type, right: &Type) -> &'static str {
    match (left, right) {
        (Type::Number, Type::Text) | (Type::Text, Type::Number) if verb != "joined to" => {
            "numbers go without quotes, text in quotes; size() of a text is a number"
        }
        (Type::List(_), _) => "ask for one element by `in`, or for its size()",
        (_, Type::List(_)) => "ask for one element by `in`",
        (Type::Bool, _) | (_, Type::Bool) => "true and false are conditions by themselves",
        _ => "compare text with text and numbers with numbers",
    }
}

fn negated(expr: Expr) -> Expr {
    match expr {
        Expr::Number(number) => Expr::Number(-number),
        other => Expr::Negate(Box::new(other)),
    }
}

/// The sides of a chain of one logical operator, in order. The parser balances such chains, so
/// that this recursion is shallow.
fn flatten<'n>(node: &'n IdedExpr, parts: &mut Vec<&'n IdedExpr>) {
    let Node::Call(chain) = &node.expr else {
        return;
    };
    for side in &chain.args {
        match &side.expr {
            Node::Call(call) if call.func_name == chain.func_name && call.target.is_none() => {
                flatten(side, parts);
            }
            _ => parts.push(side),
        }
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        symbols::EQUALS => Comparison::Equal,
        symbols::NOT_EQUALS => Comparison::NotEqual,
        symbols::LESS => Comparison::Less,
        symbols::LESS_EQUALS => Comparison::AtMost,
        symbols::GREATER => Comparison::Greater,
        symbols::GREATER_EQUALS => Comparison::AtLeast,
        _ => return None,
    })
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        symbols::ADD => Arithmetic::Add,
        symbols::SUBSTRACT => Arithmetic::Subtract,
        symbols::MULTIPLY => Arithmetic::Multiply,
        symbols::DIVIDE => Arithmetic::Divide,
        symbols::MODULO => Arithmetic::Remainder,
        _ => return None,
    })
}
