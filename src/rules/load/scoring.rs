//! `score:` and `rules:` what a record is worth.

use super::Loading;
use super::examples::{Example, Of};
use crate::record::yaml::Node;
use crate::rules::decode::{File, listed, near};
use crate::rules::score::Axis;
use crate::rules::types::Type;
use crate::rules::words::Phrase;
use crate::rules::{Own, Rule, RuleSet, Scoring};

const AXES: [(&str, Axis); 3] = [
    ("quality", Axis::Quality),
    ("heat", Axis::Heat),
    ("topic", Axis::Topic),
];

impl<'a> Loading<'a> {
    pub(super) fn scoring(&self) -> Scoring {
        let mut scoring = Scoring::default();
        for section in self.named("score") {
            let file = section.file;
            for (key, node) in file.map(section.node, "`score`") {
                let Some((_, axis)) = AXES.into_iter().find(|(name, _)| *name == key.text) else {
                    let help = Some("the axes are `quality`, `heat` and `topic`".to_owned());
                    file.error(
                        "unknown-key",
                        &key.span,
                        format!("there is no axis `{}`", key.text),
                        help,
                    );
                    continue;
                };
                self.claim("axis", &key.text, file, &key.span);
                let mut fields = file.fields(node, "an axis");
                let place = file.place(key.span.start);
                if let Some(cap) = fields.get("cap").and_then(|n| file.whole(n, "`cap`")) {
                    scoring.caps.push((axis, cap, place.clone()));
                }
                let field = fields.get("field");
                let has_field = field.is_some();
                let field = field.and_then(|n| self.number_field(file, n));
                let weight = fields.get("weight").map(|n| file.number(n, "`weight`"));
                match (field, weight) {
                    (Some(field), weight) => {
                        let weight = weight.unwrap_or(Some(1.0)).unwrap_or_default();
                        scoring.own.push(Own {
                            axis,
                            label: format!("score.{}", key.text).into(),
                            field,
                            weight,
                            times: format!(" × {weight}"),
                            place,
                        });
                    }
                    (None, Some(_)) if !has_field => {
                        let help = Some(format!("field: {}", key.text));
                        file.error(
                            "missing-key",
                            &key.span,
                            "a weight needs the `field` that it weighs",
                            help,
                        );
                    }
                    _ => {}
                }
                fields.finish();
            }
        }
        scoring
    }

    fn number_field(&self, file: &File<'_>, node: &Node) -> Option<String> {
        let field = file.text(node, "`field`")?;
        match self.fields.get(&field) {
            Some(Type::Number) => Some(field),
            Some(other) => {
                file.error(
                    "wrong-type",
                    &node.span,
                    format!("`{field}` is {other}, and points need a number"),
                    Some("name a field of a number, such as `quality`".to_owned()),
                );
                None
            }
            None => {
                let help = match near(&field, self.fields.names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("declare it in the source: `types: {{{field}: number}}`"),
                };
                file.error(
                    "unknown-field",
                    &node.span,
                    format!("there is no field `{field}`"),
                    Some(help),
                );
                None
            }
        }
    }

    /// Reads the rules into the set and returns their examples.
    pub(super) fn rules(&self, set: &mut RuleSet) -> Vec<Example<'a>> {
        let mut examples = Vec::new();
        for (file, node) in self.entries("rules") {
            let mut fields = file.fields(node, "a rule");
            let id = fields
                .need("id", "id: face-recognition")
                .and_then(|n| Some((file.text(n, "`id`")?, n)));
            let axis = fields
                .need("axis", "axis: topic")
                .and_then(|n| file.word(n, "`axis`", &AXES));
            let when = fields.need("when", "when: quality > 50");
            let when = self.conditions(file, when, "when", false);
            let unless = self.conditions(file, fields.get("unless"), "unless", false);
            let points = fields
                .need("points", "points: 10")
                .and_then(|n| file.whole(n, "`points`"));
            let why = fields
                .need("why", "why: the reason that reviewers read")
                .and_then(|n| file.text(n, "`why`"));
            let source = fields
                .get("source")
                .and_then(|n| Some((file.text(n, "`source`")?, n)));
            let shadow = shadow(file, fields.get("mode"));
            let of = Of::Rule(set.rules.len());
            examples.extend(self.examples(file, &mut fields, of));
            fields.finish();
            if let Some((source, node)) = &source
                && set.source(source).is_none()
            {
                let names: Vec<&str> = set.sources.iter().map(|s| s.name.as_str()).collect();
                let help = match near(source, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.is_empty() => "declare it under `sources:`".to_owned(),
                    None => format!("there are {}", listed(&names)),
                };
                file.error(
                    "unknown-source",
                    &node.span,
                    format!("there is no source `{source}`"),
                    Some(help),
                );
            }
            let (id, node) = match id {
                Some((id, node)) => (id, node),
                None => (String::new(), node),
            };
            if !id.is_empty() {
                self.claim("rule", &id, file, &node.span);
            }
            set.rules.push(Rule {
                id: id.into(),
                axis: axis.unwrap_or(Axis::Topic),
                when,
                unless,
                points: points.unwrap_or_default(),
                why: why.unwrap_or_default().into(),
                source: source.map(|(source, _)| source),
                shadow,
                place: file.place(node.span.start),
            });
        }
        examples
    }
}

/// `mode: shadow` or `mode: live`.
pub(super) fn shadow(file: &File<'_>, node: Option<&Node>) -> bool {
    node.and_then(|n| file.word(n, "`mode`", &[("live", false), ("shadow", true)]))
        .unwrap_or(false)
}

pub(super) fn phrase(file: &File<'_>, word: &str, node: &Node) -> Option<Phrase> {
    let phrase = Phrase::new(word);
    if phrase.is_none() {
        file.error(
            "bad-keyword",
            &node.span,
            "a keyword needs a letter or a digit",
            Some("write a word, or take the keyword away".to_owned()),
        );
    }
    phrase
}
