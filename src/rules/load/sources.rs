//! `sources:` where content is, and how its files are read and written.

use super::Loading;
use crate::record::source::{self, Classes, OnChange, Published, Source, overlap};
use crate::record::value::{Map, Value};
use crate::record::yaml::{Data, Node};
use crate::rules::Place;
use crate::rules::condition::BUILT_IN;
use crate::rules::decode::{Fields, File};
use crate::rules::types::{Schema, Type};
use std::collections::HashMap;

impl Loading<'_> {
    /// The sources, and the fields that conditions may name: the seed's and those declared.
    pub(super) fn sources(&self) -> (Vec<Source>, Schema) {
        let seed = Schema::seed();
        let mut schema = seed.clone();
        let mut declared: HashMap<String, (Type, Place)> = HashMap::new();
        let (mut sources, mut moves) = (Vec::new(), Vec::new());
        for (file, node) in self.entries("sources") {
            let mut fields = file.fields(node, "a source");
            if let Some((_, types)) = fields.entry("types") {
                for (key, node) in file.map(types, "`types`") {
                    let Some(kind) = kind(file, node) else {
                        continue;
                    };
                    let name = key.text.as_str();
                    let other = match (seed.get(name), declared.get(name)) {
                        (Some(first), _) => Some((first.clone(), "in every rule set".to_owned())),
                        (None, Some((first, place))) => {
                            Some((Type::clone(first), format!("at {place}")))
                        }
                        (None, None) if BUILT_IN.contains(&name) => {
                            let help = Some(format!(
                                "leave it out, and write record[{name:?}] for the field"
                            ));
                            file.error(
                                "bad-name",
                                &key.span,
                                format!("`{name}` means something else in conditions"),
                                help,
                            );
                            continue;
                        }
                        (None, None) => None,
                    };
                    if let Some((first, place)) = other.filter(|(first, _)| *first != kind) {
                        let message = format!("`{name}` is {kind} here and {first} {place}");
                        file.error(
                            "type-twice",
                            &key.span,
                            message,
                            Some("give the field one type".into()),
                        );
                        continue;
                    }
                    declared
                        .entry(key.text.clone())
                        .or_insert((kind.clone(), file.place(key.span.start)));
                    schema.insert(name, kind);
                }
            }
            let source = self.source(file, fields);
            let to = source.as_ref().and_then(|source| source.move_to.clone());
            moves.extend(to.map(|to| (file, node, to)));
            sources.extend(source);
        }
        for (file, node, to) in moves {
            let Some(source) = sources.iter().find(|source| overlap(&source.path, &to)) else {
                continue;
            };
            let span = move_node(node).map_or(&node.span, |node| &node.span);
            let message = format!(
                "a file that is moved there would be seen again: the folder and that of source `{}` lie in one another",
                source.name
            );
            let help = Some("name a folder beside those of the sources, as ../_archive".to_owned());
            file.error("bad-move", span, message, help);
        }
        (sources, schema)
    }

    fn source(&self, file: &File<'_>, mut fields: Fields<'_, '_>) -> Option<Source> {
        let name = fields
            .need("name", "name: news")
            .and_then(|n| Some((file.text(n, "`name`")?, n)));
        if let Some((name, node)) = &name {
            self.claim("source", name, file, &node.span);
        }
        let path = fields
            .need("path", "path: ../content, relative to this file")
            .and_then(|n| file.text(n, "`path`"));
        let include = match fields.get("include") {
            None => source::include(&["**/*.md".to_owned()]).ok(),
            Some(node) => {
                let patterns = file.texts(node, "`include`");
                let texts: Vec<String> = patterns.iter().map(|(text, _)| text.clone()).collect();
                source::include(&texts)
                    .map_err(|(n, reason)| {
                        let span = patterns.get(n).map_or(&node.span, |(_, node)| &node.span);
                        file.error(
                            "bad-pattern",
                            span,
                            format!("not a pattern: {reason}"),
                            Some("write one like \"**/*.md\"".into()),
                        );
                    })
                    .ok()
            }
        };
        let identity: Vec<String> = match fields.get("identity") {
            None => vec!["originalUrl".to_owned(), "webUrl".to_owned()],
            Some(node) => file
                .texts(node, "`identity`")
                .into_iter()
                .map(|(text, _)| text)
                .collect(),
        };
        let mut keys = Keys::new(file);
        let published = published(file, fields.get("published"), &mut keys);
        let approve = match fields.get("approve") {
            None => Map::from_iter([(published.key.clone(), Value::Bool(true))]),
            Some(node) => {
                let mut fields = file.fields(node, "`approve`");
                let set = fields.need("set", "set: {published: true}, or false");
                let values = set.map(|node| sets(file, node, &published.key, &mut keys));
                fields.finish();
                values.unwrap_or_default()
            }
        };
        let mut move_to = None;
        let reject = match fields.get("reject") {
            None => Map::from_iter([(published.key.clone(), Value::Bool(false))]),
            Some(node) => {
                let mut fields = file.fields(node, "`reject`");
                let moves = fields.entry("move");
                move_to = moves
                    .and_then(|(_, node)| file.text(node, "`move`"))
                    .map(|to| file.folder.join(to));
                let set = match moves {
                    None => fields.need("set", "set: {published: false}, or move: ../_archive"),
                    Some(_) => fields.get("set"),
                };
                if let (Some((key, _)), Some(_)) = (moves, set) {
                    let message = "a rejection sets keys or moves the file";
                    let help = Some("keep one of `set` and `move`".to_owned());
                    file.error("unused-key", &key.span, message, help);
                }
                let values = set.map(|node| sets(file, node, &published.key, &mut keys));
                fields.finish();
                values.unwrap_or_default()
            }
        };
        let (mut signal, mut volatile) = defaults();
        if let Some(node) = fields.get("fields") {
            let mut classes = file.fields(node, "`fields`");
            if let Some(node) = classes.get("signal") {
                signal = file
                    .texts(node, "`signal`")
                    .into_iter()
                    .map(|(key, n)| keys.take(key, "signal", n))
                    .collect();
            }
            if let Some(node) = classes.get("volatile") {
                let texts = file.texts(node, "`volatile`");
                for (key, node) in texts.iter().filter(|(key, _)| identity.contains(key)) {
                    let help = Some("take it out of `identity` or out of `volatile`".to_owned());
                    file.error(
                        "class-twice",
                        &node.span,
                        format!("`{key}` names records and cannot be volatile"),
                        help,
                    );
                }
                volatile = texts
                    .into_iter()
                    .map(|(key, n)| keys.take(key, "volatile", n))
                    .collect();
            }
            classes.finish();
        }
        // A default gives way to what the source says itself.
        signal.retain(|key| keys.is("signal", key));
        volatile.retain(|key| keys.is("volatile", key));
        let on_change = fields.get("on_change").and_then(|n| {
            file.word(
                n,
                "`on_change`",
                &[
                    ("leave", OnChange::Leave),
                    ("unpublish", OnChange::Unpublish),
                ],
            )
        });
        let write = fields
            .get("write")
            .and_then(|n| file.word(n, "`write`", &[("always", true), ("never", false)]));
        fields.finish();
        let classes = Classes {
            signal,
            volatile,
            decision: keys.decision,
        };
        Some(Source {
            name: name?.0,
            path: file.folder.join(path?),
            include: include?,
            identity,
            classes,
            published,
            approve,
            reject,
            move_to,
            on_change: on_change.unwrap_or_default(),
            write: write.unwrap_or(true),
        })
    }
}

fn defaults() -> (Vec<String>, Vec<String>) {
    let signal = ["quality", "heat", "topics", "images", "related"]
        .map(str::to_owned)
        .into();
    (signal, vec!["secured".to_owned()])
}

/// Which key was given to which class, and on which line.
struct Keys<'f> {
    file: &'f File<'f>,
    given: HashMap<String, (&'static str, usize)>,
    decision: Vec<String>,
}

impl<'f> Keys<'f> {
    fn new(file: &'f File<'f>) -> Self {
        Self {
            file,
            given: HashMap::new(),
            decision: Vec::new(),
        }
    }

    fn decides(&mut self, key: &str, line: usize) {
        if !self.decision.iter().any(|k| k == key) {
            self.decision.push(key.to_owned());
            self.given.insert(key.to_owned(), ("decision", line));
        }
    }

    fn take(&mut self, key: String, class: &'static str, node: &Node) -> String {
        let line = self.file.place(node.span.start).line;
        match self.given.get(&key) {
            Some((other, first)) if *other != class => {
                let first = match first {
                    0 => "by itself, since it says what is published".to_owned(),
                    first => format!("on line {first}"),
                };
                let message = format!("`{key}` is {class} here on line {line} and {other} {first}");
                self.file.error(
                    "class-twice",
                    &node.span,
                    message,
                    Some("give each key one class".into()),
                );
            }
            _ => drop(self.given.insert(key.clone(), (class, line))),
        }
        key
    }

    /// Whether a key of this class was given to no other.
    fn is(&self, class: &str, key: &str) -> bool {
        self.given.get(key).is_none_or(|(given, _)| *given == class)
    }
}

fn published(file: &File<'_>, node: Option<&Node>, keys: &mut Keys<'_>) -> Published {
    let mut published = Published {
        key: "published".into(),
        missing: true,
    };
    let Some(node) = node else {
        keys.decides("published", 0);
        return published;
    };
    let mut fields = file.fields(node, "`published`");
    if let Some(key) = fields.get("key").and_then(|n| file.text(n, "`key`")) {
        published.key = key;
    }
    if let Some(missing) = fields
        .get("missing")
        .and_then(|n| file.boolean(n, "`missing`"))
    {
        published.missing = missing;
    }
    fields.finish();
    keys.decides(&published.key, file.place(node.span.start).line);
    published
}

/// Where `move` is written in a source.
fn move_node(source: &Node) -> Option<&Node> {
    fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
        let entries = node.as_map()?;
        entries.iter().find(|(k, _)| k.text == key).map(|(_, n)| n)
    }
    value(value(source, "reject")?, "move")
}

/// `{key: value}`: what a decision writes.
fn sets(file: &File<'_>, node: &Node, published: &str, keys: &mut Keys<'_>) -> Map {
    let mut values = Map::default();
    for (key, node) in file.map(node, "`set`") {
        match node.as_scalar() {
            Some(Value::Null) | None => {
                file.error(
                    "wrong-type",
                    &node.span,
                    format!("`{}` must be set to one value", key.text),
                    Some("write text, a number, true or false".to_owned()),
                );
            }
            Some(value) if key.text == published && value.as_bool().is_none() => {
                let message = format!(
                    "`{published}` says whether a record is published: set it to true or false"
                );
                let help = Some(format!("{published}: true, or {published}: false"));
                file.error("wrong-type", &node.span, message, help);
            }
            Some(value) => {
                values.set(&key.text, value.clone());
                keys.decides(&key.text, file.place(key.span.start).line);
            }
        }
    }
    values
}

/// A type as `types:` writes it: `number`, `text`, `bool`, `[string]`, `{value: number}`.
fn kind(file: &File<'_>, node: &Node) -> Option<Type> {
    let words = [
        ("number", 0),
        ("string", 1),
        ("text", 1),
        ("bool", 2),
        ("boolean", 2),
    ];
    match &node.data {
        Data::Scalar(..) => file.word(node, "a type", &words).map(|word| match word {
            0 => Type::Number,
            1 => Type::Text,
            _ => Type::Bool,
        }),
        Data::List(nodes) => match nodes.as_slice() {
            [one] => Some(kind(file, one)?.list()),
            _ => {
                file.error(
                    "wrong-type",
                    &node.span,
                    "a list has one type",
                    Some("write it like [string]".into()),
                );
                None
            }
        },
        Data::Map(entries) => {
            let mut schema = Schema::default();
            for (key, node) in entries {
                schema.insert(&key.text, kind(file, node)?);
            }
            Some(Type::Map(schema))
        }
    }
}
