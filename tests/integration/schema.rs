//! The schema for editors and the loader say the same: what the one takes the other takes.

use crate::desk::{Desk, shipped_rules};
use copydesk::rules::diagnostic::Diagnostic;
use copydesk::rules::{RuleSet, SCHEMA};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use tempfile::TempDir;

/// Faults of a file that an editor marks while it is typed.
const MARKED: [&str; 5] = [
    "unknown-key",
    "unknown-section",
    "unknown-word",
    "missing-key",
    "bad-span",
];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// The schema as a validator.
struct Marker(boon::Schemas, boon::SchemaIndex);

thread_local! {
    static MARKER: Marker = {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("schema.json", schema()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Marker(schemas, index)
    };
}

/// What an editor would mark in a file; nothing in one that is empty.
fn faults(yaml: &str) -> Option<String> {
    let file: Value = match serde_yaml::from_str(yaml) {
        Ok(Value::Null) => return None,
        Ok(file) => file,
        Err(error) => return Some(error.to_string()),
    };
    let outcome = MARKER.with(|Marker(schemas, index)| {
        let outcome = schemas.validate(&file, *index);
        outcome.map_err(|error| error.to_string())
    });
    outcome.err()
}

/// Holds the schema to what the loader says of some files; every set that a test loads comes here.
pub(crate) fn agrees(files: &[(&str, &str)], refused: Option<&[Diagnostic]>) {
    for (name, yaml) in files.iter().filter(|(name, _)| name.ends_with(".yaml")) {
        let marked = faults(yaml);
        match refused {
            None => assert_eq!(marked, None, "{yaml}"),
            Some(told) => {
                let of_this = |fault: &&Diagnostic| fault.file.ends_with(name);
                let fault = told
                    .iter()
                    .filter(of_this)
                    .find(|f| MARKED.contains(&f.code));
                let Some(fault) = fault else { continue };
                assert!(marked.is_some(), "not marked: {}\n{yaml}", fault.message);
            }
        }
    }
}

#[test]
fn the_shipped_files_are_right_and_name_the_schema() {
    let sources = include_str!("../../rules/sources.yaml").to_owned();
    let shipped = shipped_rules().into_iter();
    for (name, yaml) in shipped.chain([("sources.yaml".to_owned(), sources)]) {
        assert_eq!(faults(&yaml), None, "{name}");
        let first = yaml.lines().next();
        assert_eq!(
            first,
            Some("# yaml-language-server: $schema=schema.json"),
            "{name}"
        );
    }
}

#[test]
fn check_prints_the_schema_that_init_puts_beside_the_rules() {
    let desk = Desk::with_no_rules();
    let printed = desk.run(&["check", "--schema"]).done().stdout;
    desk.run(&["init", desk.path("new").to_str().unwrap()])
        .done();
    let beside = fs::read_to_string(desk.path("new/rules/schema.json")).unwrap();
    assert_eq!(printed, beside);
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), schema());
    for name in ["sources", "scoring", "queues", "reviewers", "desk"] {
        let file = fs::read_to_string(desk.path(format!("new/rules/{name}.yaml"))).unwrap();
        assert!(
            file.starts_with("# yaml-language-server: $schema=schema.json\n"),
            "{name}"
        );
    }
}

/// The keys that the loader would take in place of the key `0`, by what it says of that one.
fn taken(yaml: &str) -> BTreeSet<String> {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), yaml).unwrap();
    let Err(copydesk::rules::Refused::Wrong(told)) = RuleSet::load(dir.path()) else {
        panic!("{yaml} loads")
    };
    let is_this = |fault: &&Diagnostic| fault.message.ends_with("`0`");
    let fault = told
        .iter()
        .find(is_this)
        .unwrap_or_else(|| panic!("{yaml}: {told:?}"));
    let help = fault.help.as_deref().unwrap();
    help.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The keys that the schema knows at a place.
fn known(place: &str) -> BTreeSet<String> {
    let schema = schema();
    let mapping = schema
        .pointer(place)
        .unwrap_or_else(|| panic!("no {place}"));
    assert_eq!(mapping["additionalProperties"], false, "{place}");
    mapping["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn loader_and_schema_know_the_same_keys() {
    let all = [
        ("", "0: 1"),
        ("/properties/score", "score: {0: {}}"),
        ("/definitions/axis", "score: {heat: {0: 1}}"),
        ("/definitions/source", "sources: [{0: 1}]"),
        (
            "/definitions/source/properties/fields",
            "sources: [{fields: {0: 1}}]",
        ),
        (
            "/definitions/source/properties/published",
            "sources: [{published: {0: 1}}]",
        ),
        ("/definitions/decision", "sources: [{approve: {0: 1}}]"),
        ("/definitions/rejection", "sources: [{reject: {0: 1}}]"),
        ("/definitions/topic", "topics: [{0: 1}]"),
        ("/definitions/rule", "rules: [{0: 1}]"),
        (
            "/definitions/rule/properties/examples",
            "rules: [{examples: {0: 1}}]",
        ),
        ("/definitions/queue", "queues: [{0: 1}]"),
        (
            "/definitions/queue/properties/examples",
            "queues: [{examples: {0: 1}}]",
        ),
        ("/definitions/reviewer", "reviewers: [{0: 1}]"),
        ("/definitions/desk", "desk: {0: 1}"),
        (
            "/definitions/desk/properties/escalate",
            "desk: {escalate: {0: 1}}",
        ),
        (
            "/definitions/desk/properties/reassert",
            "desk: {reassert: {0: 1}}",
        ),
        (
            "/definitions/desk/properties/retention",
            "desk: {retention: {0: 1}}",
        ),
    ];
    for (place, yaml) in all {
        assert_eq!(taken(yaml), known(place), "{yaml}");
    }
    // No mapping with keys of its own stands anywhere else.
    let text = schema().to_string();
    let closed = text.matches("\"additionalProperties\":false").count();
    let places: BTreeSet<&str> = all.iter().map(|(place, _)| *place).collect();
    assert_eq!(closed, places.len());
}

#[test]
fn every_key_is_described_and_defaults_are_right() {
    fn visit(place: &str, node: &Value) {
        let Some(properties) = node.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (key, value) in properties {
            let by_reference = value.get("$ref").and_then(Value::as_str);
            let definition = by_reference.and_then(|r| {
                let name = r.strip_prefix("#/definitions/")?;
                schema()["definitions"][name]["description"]
                    .as_str()
                    .map(str::to_owned)
            });
            let described = value.get("description").is_some() || definition.is_some();
            assert!(described, "{place}/{key}");
            visit(&format!("{place}/{key}"), value);
        }
    }
    visit("", &schema());
    for (name, definition) in schema()["definitions"].as_object().unwrap() {
        visit(name, definition);
    }
    // The shipped desk.yaml writes its defaults out, and the README's reference names the rest.
    let desk: Value = serde_yaml::from_str(&shipped_rules()["desk.yaml"]).unwrap();
    for (key, properties) in schema()["definitions"]["desk"]["properties"]
        .as_object()
        .unwrap()
    {
        let written = &desk["desk"][key];
        if let Some(default) = properties.get("default") {
            assert_eq!(default, written, "{key}");
            continue;
        }
        for (part, property) in properties["properties"].as_object().unwrap() {
            assert_eq!(property["default"], written[part], "{key}.{part}");
        }
    }
}

#[test]
fn an_editor_marks_what_is_wrong() {
    let wrong = [
        "queue: []",
        "queues: {name: a}",
        "queues: [a]",
        "queues: [{name: 2020}]",
        "queues: [{name: a, duo: 3d}]",
        "queues: [{due: 3d}]",
        "queues: [{name: a, due: 3}]",
        "queues: [{name: a, due: soon}]",
        "queues: [{name: a, due: 0d}]",
        "queues: [{name: a, order: oldst}]",
        "queues: [{name: a, order: fresh}]",
        "queues: [{name: a, half_life: 3d}]",
        "queues: [{name: a, skip: yes}]",
        "queues: [{name: a, when: {quality: 3}}]",
        "rules: [{id: a, axis: topic, when: 'true', points: ten, why: b}]",
        "rules: [{id: a, axis: topic, when: 'true', points: 1.5, why: b}]",
        "rules: [{id: a, axis: topic, when: 'true', points: 2000000, why: b}]",
        "rules: [{id: a, axis: topics, when: 'true', points: 1, why: b}]",
        "rules: [{id: a, axis: topic, when: 'true', points: 1}]",
        "rules: [{id: a, axis: topic, when: 'true', points: 1, why: b, examples: {hits: [a]}}]",
        "topics: [{name: AI, keywords: {a: b}}]",
        "topic_files: {a: b}",
        "lists: {odd-name: [a]}",
        "lists: {mixed: [a, 1]}",
        "lists: {one: a}",
        "score: {qualty: {cap: 3}}",
        "score: {quality: {weight: 1}}",
        "sources: [{name: a}]",
        "sources: [{name: a, path: b, types: {x: nummer}}]",
        "sources: [{name: a, path: b, types: {x: [number, string]}}]",
        "sources: [{name: a, path: b, approve: {set: {x: [a]}}}]",
        "sources: [{name: a, path: b, approve: {move: ../c}}]",
        "sources: [{name: a, path: b, reject: {}}]",
        "sources: [{name: a, path: b, reject: {move: ../c, set: {published: false}}}]",
        "reviewers: [{name: a, email: 'A <a@example.org>', queues: all}]",
        "reviewers: [{name: a, email: a@example.org}]",
        "reviewers: [{name: a, email: a@example.org, queues: all, digest: daily}]",
        "reviewers: [{name: a, email: a@example.org, queues: all, quiet: 8pm to 8am}]",
        "desk: {pictures: no}",
        "desk: {reassert: {per_day: -1}}",
        "desk: {reject_reasons: {a: }}",
    ];
    for yaml in wrong {
        assert!(faults(yaml).is_some(), "not marked: {yaml}");
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("a.yaml"), yaml).unwrap();
        assert!(
            RuleSet::load(dir.path()).is_err(),
            "the loader takes it: {yaml}"
        );
    }
    let right = [
        "reviewers: [{name: a, email: a@example.org, role: editor}]\nqueues: [{name: a}]",
        "queues: [{name: a, when: true, order: fresh, half_life: 36h, expire: 2 w}]",
        "queues: [{name: a, when: [quality > 3, heat > 3], unless: published}]",
    ];
    for yaml in right {
        assert_eq!(faults(yaml), None, "{yaml}");
    }
}
