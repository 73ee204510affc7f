//! What must hold whatever the rule files, the condition and the record are. The fuzzers run these
//! on bytes that they make up, `tests/integration/fuzzed.rs` on every input that once broke one.
//!
//! An input is text in parts, which lines of `====` stand between, so that people can read and
//! write it.

use copydesk::notify::letter::{Entry, Letter, Section, Tone, Writer};
use copydesk::notify::waiting::{Story, Waiting};
use copydesk::notify::{self, Owed, smtp};
use copydesk::record::edit::{self, Edited};
use copydesk::record::kind::Kind;
use copydesk::record::source::{Classes, Source};
use copydesk::record::value::{Map, Value};
use copydesk::record::yaml::{Budget, Node, full, plain};
use copydesk::record::{self, Record};
use copydesk::rules::assess::{Assessment, NotEvaluated, Occasion, Subject};
use copydesk::rules::condition::parts::Part;
use copydesk::rules::condition::{Condition, Facts, Names, Trace, on_large_stack};
use copydesk::rules::diagnostic::Diagnostic;
use copydesk::rules::score::{Axis, Score};
use copydesk::rules::words::Folded;
use copydesk::rules::{Refused, RuleSet};
use jiff::Timestamp;
use lettre::message::Mailbox;
use mail_parser::MessageParser;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What stands between the parts of an input.
const BETWEEN: &str = "\n====\n";

/// A record that has most of what conditions may name.
const STORY: &str = r#"title: Amazon stops police using its face-recognition technology
excerpt: Rekognition is back.
type: article
category: news
publishedDateTime: 2020-06-10T21:00:00Z
quality: 44
heat: 0.5
topics: [AI, "AWS AI"]
provider: {name: Example, domain: www.example.org}
images: [{url: "https://example.org/a.jpg", width: 1200, height: 630, isCached: true}]
related: [{title: Another, provider: {domain: example.com}, quality: 3, topics: [AI]}]
webUrl: https://example.org/a
members: 5
levels: [one, two]
ratings: {value: 3}
"#;

/// A rule set that leaves as much as it can to what is tried in it.
const BASE: &str = r#"sources:
  - name: news
    path: ../content
    identity: [webUrl]
    fields: {signal: [quality, heat, topics], volatile: [secured]}
    types: {members: number, levels: [string], ratings: {value: number}}
lists:
  trusted: [example.org, example.com]
  sizes: [1, 2, 3]
queues:
  - {name: general}
reviewers:
  - {name: Ana Example, email: ana@example.org, role: reviewer, queues: all, digest: "0 9 * * *"}
"#;

/// Files of one text in each kind.
const PATHS: [&str; 4] = ["a.md", "a.yaml", "a.toml", "a.json"];

/// Rule files, at most two, and a record: loading them tells every fault at a place that is there;
/// what loads assesses each record the same way whoever asks. Returns whether they load.
pub(crate) fn rules_load(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        // The loader says so; there is nothing to split.
        return judge_load(&[bytes], STORY);
    };
    let mut parts = text.splitn(3, BETWEEN);
    let first = parts.next().unwrap_or_default();
    let second = parts.next();
    let files: Vec<&[u8]> = [Some(first), second]
        .into_iter()
        .flatten()
        .map(str::as_bytes)
        .collect();
    judge_load(&files, parts.next().unwrap_or(STORY))
}

fn judge_load(files: &[&[u8]], story: &str) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).expect("a folder");
    for (name, bytes) in ["a.yaml", "b.yaml"].iter().zip(files) {
        fs::write(rules.join(name), bytes).expect("a file");
    }
    match RuleSet::load(&rules) {
        Ok(set) => {
            set.warnings.iter().for_each(|fault| tells(fault, files));
            assert!(!set.warnings.iter().any(Diagnostic::is_error));
            judge_set(&set, &rules, story);
            true
        }
        Err(Refused::Wrong(faults)) => {
            faults.iter().for_each(|fault| tells(fault, files));
            assert!(faults.iter().any(Diagnostic::is_error));
            false
        }
        Err(other) => panic!("{other}"),
    }
}

/// A fault can be shown, and its place is in the file.
fn tells(fault: &Diagnostic, files: &[&[u8]]) {
    assert!(fault.render(false).contains(fault.code), "{fault:?}");
    assert!(!fault.render(true).is_empty());
    serde_json::to_string(fault).expect("a fault in JSON");
    let at = usize::from(fault.file.ends_with("b.yaml"));
    let lines = files.get(at).map_or(0, |bytes| lines_of(bytes));
    assert!(fault.line >= 1 && fault.column >= 1, "{fault:?}");
    assert!(fault.line <= lines, "{fault:?} is beyond line {lines}");
    assert!(!fault.message.is_empty(), "{fault:?}");
}

/// The most that could be called lines: every kind of line break counts.
fn lines_of(bytes: &[u8]) -> usize {
    1 + bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count()
}

/// What must hold of a set that loads.
fn judge_set(set: &RuleSet, rules: &Path, story: &str) {
    let again = RuleSet::load(rules).expect("what loads once loads again");
    let reloaded = RuleSet::reload(rules, set).expect("what loads once is reloaded");
    assert_eq!(set.hash, again.hash);
    assert_eq!(set.hash, reloaded.hash);
    assert_eq!(set.warnings.len(), reloaded.warnings.len());
    let source = set.sources.first().or(base().sources.first());
    let source = source.expect("the base has a source");
    for story in [STORY, story] {
        let front = format!("---\n{story}\n---\n");
        let Ok(record) = Record::read(front.as_bytes(), "a.md", source) else {
            continue;
        };
        for (occasion, published) in [
            (Occasion::FIRST, false),
            (Occasion::FIRST, true),
            (Occasion::again(set, "general"), true),
        ] {
            let subject = Subject {
                fields: &record.fields,
                published,
                first_seen: seen(),
                source: &source.name,
            };
            let assessment = set.assess(&subject, occasion, now());
            adds_up(set, &assessment);
            let explained = set.explain(&subject, occasion, now());
            same(&assessment, &explained);
            // Of `reload` everything, the rules that were not evaluated too.
            let other = reloaded.explain(&subject, occasion, now());
            assert_eq!(explained, other);
            // Whoever assesses many records leaves out what the set does not read.
            let keys = set.keys();
            let read = record.fields.iter().filter(|(key, _)| keys.contains(*key));
            let fewer: Map = read.map(|(k, v)| (k.to_owned(), v.clone())).collect();
            let subject_of_fewer = Subject {
                fields: &fewer,
                ..subject
            };
            same(&assessment, &set.assess(&subject_of_fewer, occasion, now()));
            explains_each(set, &subject, &explained);
        }
    }
}

/// The score is what the hits add up to, and each says where it comes from.
fn adds_up(set: &RuleSet, assessment: &Assessment) {
    for axis in [Axis::Quality, Axis::Heat, Axis::Topic] {
        let hits = assessment.hits.iter().filter(|hit| hit.axis == axis);
        let sum: i128 = hits.map(|hit| i128::from(hit.points)).sum();
        assert_eq!(i128::from(assessment.score.on(axis)), sum, "{axis:?}");
    }
    let sum: i128 = assessment.hits.iter().map(|h| i128::from(h.points)).sum();
    assert_eq!(i128::from(assessment.score.total), sum);
    let all = assessment.hits.iter().chain(&assessment.shadow);
    for hit in all {
        assert!(hit.at.line >= 1, "{hit:?}");
        let file = &*hit.at.file;
        assert!(matches!(file, "rules/a.yaml" | "rules/b.yaml"), "{hit:?}");
        assert!(!hit.rule.is_empty(), "{hit:?}");
    }
    if let Some(queue) = assessment.route.queue() {
        assert!(set.queue(queue).is_some(), "{queue}");
    }
    for near in &assessment.near {
        assert!(!near.needs.is_empty(), "{near:?}");
        for need in &near.needs {
            assert!(need.by.is_finite(), "{near:?}");
            assert!(need.by != 0.0 || need.beyond.is_some(), "{near:?}");
        }
    }
}

/// An explanation says more than an assessment, and nothing else.
fn same(assessment: &Assessment, explained: &Assessment) {
    assert_eq!(assessment.score, explained.score);
    assert_eq!(assessment.hits, explained.hits);
    assert_eq!(assessment.shadow, explained.shadow);
    assert_eq!(assessment.route, explained.route);
    assert_eq!(assessment.near, explained.near);
}

/// Each rule taken apart says what the explanation of the whole says.
fn explains_each(set: &RuleSet, subject: &Subject<'_>, explained: &Assessment) {
    let few = set.rules.iter().filter(|rule| match &rule.source {
        Some(source) => source == subject.source,
        None => true,
    });
    for rule in few.take(4) {
        let why = set.why_rule(rule, subject, now()).expect("a thread");
        let hits = explained.hits.iter().chain(&explained.shadow);
        let hit = hits.filter(|hit| hit.at == rule.place).count() > 0;
        let unknown = explained.not_evaluated.iter().any(|n| n.rule == rule.id);
        let found = match (hit, unknown) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        };
        // A hit without points is none.
        assert!(why.holds == found || rule.points == 0, "{rule:?}: {why:?}");
        why.lines().iter().for_each(|line| drop(line.to_string()));
    }
}

/// A condition, and records that it is asked about: faults lie inside of it; its value is the same
/// in one rule, among many, and taken apart; what it lacks by numbers is told only of what is
/// false. Returns whether it compiles as the condition of a rule.
pub(crate) fn condition(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut compiles = false;
    let mut parts = text.split(BETWEEN);
    let source = parts.next().unwrap_or_default();
    let stories: Vec<&str> = [STORY].into_iter().chain(parts.take(3)).collect();
    for score in [true, false] {
        let Some(condition) = compiled(source, score) else {
            continue;
        };
        let subjects: Vec<Record> = stories.iter().filter_map(|story| read(story)).collect();
        for record in &subjects {
            judge_condition(&condition, record, score);
        }
        if !score {
            compiles = true;
            judge_in_sets(source, &condition, &subjects);
        }
    }
    compiles
}

fn base() -> &'static RuleSet {
    static BASE_SET: OnceLock<RuleSet> = OnceLock::new();
    BASE_SET.get_or_init(|| load(&[("a.yaml", BASE)]).expect("the base loads"))
}

fn load(files: &[(&str, &str)]) -> Result<RuleSet, Refused> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    RuleSet::load(folder.path())
}

fn names(score: bool) -> Names<'static> {
    Names {
        fields: &base().fields,
        lists: &base().lists,
        score,
    }
}

fn read(story: &str) -> Option<Record> {
    let source = base().sources.first().expect("the base has a source");
    let front = format!("---\n{story}\n---\n");
    Record::read(front.as_bytes(), "a.md", source).ok()
}

/// Compiles it, and looks at what is wrong with it.
fn compiled(source: &str, score: bool) -> Option<Condition> {
    let compiled = on_large_stack(|| Condition::compile(source, &names(score)));
    match compiled.expect("a thread") {
        Ok(condition) => Some(condition),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in &errors {
                let inside = source.get(error.span.clone());
                assert!(inside.is_some(), "{error:?} is not inside of {source:?}");
                assert!(!error.message.is_empty(), "{error:?}");
                assert_ne!(error.help.as_deref(), Some(""), "{error:?}");
            }
            None
        }
    }
}

fn judge_condition(condition: &Condition, record: &Record, score: bool) {
    let facts = Known::of(&record.fields);
    let facts = facts.facts(record, score);
    let mut trace = Trace::default();
    let value = condition.holds(&facts, &mut trace);
    assert!(trace.missing.len() <= 32, "{trace:?}");
    if value.is_none() && !trace.is_exhausted() {
        assert!(!trace.missing.is_empty(), "without a value for no reason");
    }
    let mut again = Trace::default();
    assert_eq!(condition.holds(&facts, &mut again), value);
    assert_eq!(again, trace);
    if let Some(needs) = condition.near(&facts) {
        assert_eq!(value, Some(false), "near though not false: {needs:?}");
        assert!(!needs.is_empty());
        for need in needs {
            assert!(need.by.is_finite(), "{need:?}");
            assert!(!need.name.is_empty() && !need.to_string().is_empty());
        }
    }
    let part = on_large_stack(|| condition.parts(&names(score), &facts)).expect("a thread");
    assert_eq!(part.holds, value, "{part:?}");
    told(&part);
}

fn told(part: &Part) {
    serde_json::to_string(part).expect("a part in JSON");
    part.found.iter().for_each(|found| drop(found.to_string()));
    part.parts.iter().for_each(told);
}

/// The value of a condition alone is its value in a set of a few rules, and in one of many.
fn judge_in_sets(source: &str, condition: &Condition, subjects: &[Record]) {
    let written = serde_json::to_string(source).expect("text in JSON");
    let mut few = format!("{BASE}rules:\n");
    few += &rule("whole", &written, None);
    few += &rule("excepted", "published == published", Some(&written));
    let mut many = few.clone();
    for n in 0..15 {
        many += &rule(
            &format!("copy-{n}"),
            &format!("[{written}, size(related) >= {n}]"),
            None,
        );
        many += &rule(
            &format!("other-{n}"),
            &format!("quality > {n}"),
            Some(&written),
        );
        many += &rule(
            &format!("word-{n}"),
            &format!("'title.contains(\"{n}\") || \"{n}\" in topics'"),
            None,
        );
    }
    let (few, many) = match (load(&[("a.yaml", &few)]), load(&[("a.yaml", &many)])) {
        (Ok(few), Ok(many)) => (few, many),
        // Not every text may stand in YAML.
        (Err(Refused::Wrong(faults)), Err(_)) if faults.iter().any(|f| f.code == "yaml") => return,
        (few, many) => panic!(
            "a condition that compiles does not load: {source:?}: {:?} {:?}",
            few.err(),
            many.err()
        ),
    };
    for record in subjects {
        let known = Known::of(&record.fields);
        let mut trace = Trace::default();
        let value = condition.holds(&known.facts(record, false), &mut trace);
        // Beyond its budget a set says nothing of single rules.
        if trace.steps > 10_000 {
            continue;
        }
        let subject = Subject {
            fields: &record.fields,
            published: record.published,
            first_seen: seen(),
            source: "news",
        };
        let few = few.explain(&subject, Occasion::FIRST, now());
        let many = many.explain(&subject, Occasion::FIRST, now());
        assert_eq!(said(&few, "whole"), said(&many, "whole"));
        assert_eq!(said(&few, "excepted"), said(&many, "excepted"));
        let missing = value.is_none().then_some(trace.missing);
        assert_eq!(said(&few, "whole"), (value, missing), "{source:?}");
        let excepted = Some(value != Some(true));
        assert_eq!(said(&few, "excepted"), (excepted, None), "{source:?}");
        for n in 0..15 {
            let other = said(&many, &format!("other-{n}")).0;
            if value == Some(true) {
                assert_eq!(other, Some(false));
            }
            let copy = said(&many, &format!("copy-{n}")).0;
            if value == Some(false) {
                assert_eq!(copy, Some(false), "{source:?} copy {n}");
            } else {
                assert!(
                    copy != Some(true) || value == Some(true),
                    "{source:?} copy {n}"
                );
            }
        }
    }
}

fn rule(id: &str, when: &str, unless: Option<&str>) -> String {
    let unless = unless.map_or_else(String::new, |unless| format!("    unless: {unless}\n"));
    format!(
        "  - id: {id}\n    axis: topic\n    points: 1\n    why: It holds\n    when: {when}\n{unless}"
    )
}

/// What an explanation says of one rule.
fn said(explained: &Assessment, rule: &str) -> (Option<bool>, Option<Vec<String>>) {
    if explained.hits.iter().any(|hit| &*hit.rule == rule) {
        return (Some(true), None);
    }
    let unknown = |n: &&NotEvaluated| &*n.rule == rule;
    match explained.not_evaluated.iter().find(unknown) {
        Some(unknown) => (None, Some(unknown.missing.clone())),
        None => (Some(false), None),
    }
}

/// What a set works out of a record, worked out here.
struct Known<'r> {
    folded: Option<Folded<'r>>,
    domain: Option<String>,
    topics: Option<Vec<String>>,
    age_hours: f64,
}

impl<'r> Known<'r> {
    fn of(fields: &'r Map) -> Self {
        let (title, excerpt) = (
            record::text(fields, "title"),
            record::text(fields, "excerpt"),
        );
        let some = title.is_some() || excerpt.is_some();
        let topics = fields.get("topics").and_then(|topics| topics.as_list());
        let topics = topics.map(|topics| {
            let mut named: Vec<String> = Vec::new();
            for name in topics.iter().filter_map(|topic| topic.as_text()) {
                if !named.iter().any(|known| known == name.trim()) {
                    named.push(name.trim().to_owned());
                }
            }
            named
        });
        let since = record::published_at(fields).unwrap_or(seen());
        Self {
            folded: some.then(|| Folded::new(title, excerpt)),
            domain: record::domain(fields).map(Into::into),
            topics,
            age_hours: now().duration_since(since).as_secs_f64() / 3600.0,
        }
    }

    fn facts<'a>(&'a self, record: &'a Record, score: bool) -> Facts<'a> {
        Facts {
            fields: &record.fields,
            published: record.published,
            topics: self.topics.as_deref(),
            folded: self.folded.as_ref(),
            domain: self.domain.as_deref(),
            age_hours: self.age_hours,
            score: score.then_some(Score::new(44, 22, -30)),
        }
    }
}

/// The first time a record was seen: a fixed one.
fn seen() -> Timestamp {
    at(1_591_822_800)
}

fn now() -> Timestamp {
    at(1_592_000_000)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// Bytes as a file of each kind: what is no record is told at a place that is there, what is one
/// reads the same again, as it does from the store, with other line endings and with a byte-order
/// mark. Returns whether it is a record of some kind.
pub(crate) fn front_matter(bytes: &[u8]) -> bool {
    let source = base().sources.first().expect("the base has a source");
    let mut is_record = false;
    if let Ok(text) = std::str::from_utf8(bytes) {
        let front = text.split_inclusive('\n').skip(1);
        let front: String = front.take_while(|line| line.trim_end() != "---").collect();
        judge_plain(text);
        judge_plain(&front);
    }
    for path in PATHS {
        match Record::read(bytes, path, source) {
            Ok(record) => {
                is_record = true;
                judge_record(&record, bytes, path, source);
            }
            Err(broken) => {
                assert_eq!(
                    Record::read(bytes, path, source).err(),
                    Some(broken.clone())
                );
                let lines = i64::try_from(lines_of(bytes)).expect("not so many lines");
                assert!((1..=lines).contains(&broken.line), "{broken:?} of {lines}");
                assert!(broken.column >= 1, "{broken:?}");
                assert!(!broken.reason.is_empty(), "{broken:?}");
                // A reason may repeat what stands there, cut short; marks above a letter take no width.
                assert!(broken.reason.chars().count() <= 1_600, "{broken:?}");
                assert!(!broken.reason.contains(char::is_control), "{broken:?}");
            }
        }
    }
    is_record
}

/// What the plain reader reads, all of YAML reads as the same tree.
fn judge_plain(text: &str) {
    let values = plain::read::<Value>(text, Budget::RECORD);
    let tree = plain::read::<Node>(text, Budget::RECORD);
    assert_eq!(values, tree.as_ref().map(Node::to_value));
    if let Some(tree) = tree {
        assert_eq!(full::read(text, Budget::RECORD), Ok(Some(tree)));
    }
}

fn judge_record(record: &Record, bytes: &[u8], path: &str, source: &Source) {
    let read = |bytes: &[u8]| Record::read(bytes, path, source);
    assert_eq!(read(bytes).as_ref(), Ok(record), "read twice");
    for (key, value) in record.fields.iter() {
        let class = source.classes.of(key);
        let kept = matches!(
            class,
            record::source::Class::Content | record::source::Class::Signal
        );
        assert!(kept, "{key} is kept");
        fair(value, 0);
    }
    assert!(record.flag.is_none_or(|flag| record.published == flag));
    assert!(!record.identity.is_empty());
    for warning in &record.warnings {
        assert!(!warning.is_empty());
    }
    let stored = serde_json::to_string(&record.fields).expect("fields in JSON");
    let stored: Value = serde_json::from_str(&stored).expect("what was stored");
    let stored = stored.as_map().expect("a mapping");
    assert_eq!(*stored, record.fields, "stored and read");
    let classes = &source.classes;
    assert_eq!(
        record::revision(stored, &record.body, classes),
        record.revision
    );
    assert_eq!(record::signal(stored, classes), record.signal);
    let text = std::str::from_utf8(bytes).expect("a record is text");
    let same = |other: &str, how: &str| {
        let other = read(other.as_bytes()).unwrap_or_else(|b| panic!("{how}: {b}"));
        assert_eq!(other.revision, record.revision, "{how}");
        assert_eq!(other.signal, record.signal, "{how}");
        assert_eq!(other.identity, record.identity, "{how}");
        assert_eq!(other.flag, record.flag, "{how}");
    };
    if !text.starts_with('\u{feff}') {
        same(&format!("\u{feff}{text}"), "with a byte-order mark");
    }
    if !text.contains('\r') {
        same(&text.replace('\n', "\r\n"), "with CR LF");
    }
}

/// What was read is within what is promised of it.
fn fair(value: &Value, depth: usize) {
    assert!(depth <= 64, "too deep");
    match value {
        Value::Number(number) => assert!(number.is_finite()),
        Value::List(list) => list.iter().for_each(|value| fair(value, depth + 1)),
        Value::Map(map) => {
            let keys: BTreeSet<&str> = map.iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), map.len(), "a key stands twice");
            map.iter().for_each(|(_, value)| fair(value, depth + 1));
        }
        Value::Null | Value::Bool(_) | Value::Text(_) => {}
    }
}

/// Bytes as a file of each kind: setting a key changes that key alone, in one line, once; taken
/// back, it leaves the bytes that were there. Returns whether some file was changed.
pub(crate) fn write_back_edit(bytes: &[u8]) -> bool {
    let text = |text: &str| Value::Text(text.into());
    let wanted = [
        ("published", Value::Bool(true)),
        ("published", Value::Bool(false)),
        ("status", text("it's \"ready\": #1")),
        ("quality", Value::Number(-7.5)),
    ];
    let mut changed = false;
    for path in PATHS {
        let kind = Kind::of(path);
        for (key, value) in &wanted {
            let edited = edit::set(bytes, kind, key, value);
            assert_eq!(edit::set(bytes, kind, key, value), edited, "set twice");
            match edited {
                Ok(Some(edited)) => {
                    changed = true;
                    judge_edit(bytes, &edited, path, (key, value));
                }
                Ok(None) => {
                    let stands = whole(bytes, path);
                    assert_eq!(stands.fields.get(key), Some(value), "{path}");
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
    changed
}

/// The record with every key as content, so that nothing of it is left out.
fn whole(bytes: &[u8], path: &str) -> Record {
    let mut source = base()
        .sources
        .first()
        .expect("the base has a source")
        .clone();
    source.classes = Classes {
        signal: Vec::new(),
        volatile: Vec::new(),
        decision: Vec::new(),
    };
    Record::read(bytes, path, &source).expect("what is edited is a record")
}

fn judge_edit(before: &[u8], edited: &Edited, path: &str, (key, value): (&str, &Value)) {
    let kind = Kind::of(path);
    let after = &edited.bytes;
    let (mut old, mut new) = (whole(before, path), whole(after, path));
    let held = old.fields.remove(key);
    assert_eq!(held.is_some(), edited.undo.before.is_some());
    assert_eq!(edit::has(before, kind, key), Ok(held.is_some()));
    assert_eq!(new.fields.remove(key).as_ref(), Some(value), "{path}");
    assert_eq!(old.fields, new.fields, "{path}");
    assert_eq!(old.body, new.body, "{path}");
    one_line(before, after, held.is_some());
    assert_eq!(edit::set(after, kind, key, value), Ok(None), "set again");
    let back = edit::undo(after, kind, &edited.undo);
    let back = back.expect("taken back").expect("it stands there");
    assert!(back.bytes == before, "{path}: {key} is not taken back");
}

/// Two versions differ in one line, and the line endings of neither.
fn one_line(before: &[u8], after: &[u8], stood: bool) {
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    let more = lines(after) - lines(before);
    assert_eq!(more, usize::from(!stood), "lines came or went");
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let room = before.len().min(after.len()) - start;
    let (old, new) = (before.iter().rev(), after.iter().rev());
    let end = old.zip(new).take(room).take_while(|(a, b)| a == b).count();
    let gone = &before[start..before.len() - end];
    let come = &after[start..after.len() - end];
    assert!(lines(gone) == 0 && lines(come) == more);
    assert!(stood || gone.is_empty(), "more than one line came");
}

/// A reviewer's name and a sender, one a line, then records: the digest of them all is a mail that
/// reads back as it was written and holds nothing that acts. Returns whether some record is in it.
pub(crate) fn mail_render(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let source = base().sources.first().expect("the base has a source");
    let mut parts = text.split(BETWEEN);
    let head = parts.next().unwrap_or_default();
    let (name, sender) = head.split_once('\n').unwrap_or((head, ""));
    let sender: Option<Mailbox> = sender.parse().ok();
    // An address beyond ASCII stands in the mail as it is; that the server takes it is asked first.
    let sender = sender.filter(|sender| AsRef::<str>::as_ref(&sender.email).is_ascii());
    let ours = "Copy desk <desk@example.org>".parse();
    let sender = sender.unwrap_or_else(|| ours.expect("an address"));
    let mut reviewer = base().reviewers.first().expect("a reviewer").clone();
    name.clone_into(&mut reviewer.name);
    let writer = Writer {
        reviewer: &reviewer,
        links: None,
        link_threshold: 120,
        pictures: true,
        now: now(),
    };
    let entries: Vec<Entry> = parts
        .take(8)
        .enumerate()
        .filter_map(|(n, story)| {
            let front = format!("---\n{story}\n---\n");
            let record = Record::read(front.as_bytes(), "a.md", source).ok()?;
            Some(entry(&writer, n, &record, source))
        })
        .collect();
    let Some(first) = entries.first() else {
        return false;
    };
    let letter = Letter {
        subject: format!("general: {}", first.title),
        name: record::shown::line(name, 60),
        lead: "Stories wait for a decision in your queues.".to_owned(),
        sections: vec![Section {
            title: "New for you",
            tone: Tone::New,
            count: entries.len(),
            entries,
        }],
        desk: vec![record::shown::line(name, 200)],
        ..Letter::default()
    };
    let owed = Owed {
        kind: "digest",
        reason: "first digest".to_owned(),
        letter,
        told: Vec::new(),
    };
    let mail = notify::preview(&reviewer, &owed, &sender, now());
    judge_mail(&mail.expect("a mail"), &reviewer.email, &owed.letter);
    true
}

fn entry(writer: &Writer<'_>, n: usize, record: &Record, source: &Source) -> Entry {
    let subject = Subject {
        fields: &record.fields,
        published: record.published,
        first_seen: seen(),
        source: &source.name,
    };
    let assessment = base().assess(&subject, Occasion::FIRST, now());
    let title = record.title().unwrap_or(&record.identity);
    let item = Waiting {
        id: i64::try_from(n).expect("few") + 1,
        version: 1,
        queue: "general".to_owned(),
        overdue: n == 1,
        changed_after_approval: n == 2,
        arrived_at: seen(),
        arrived_since: true,
        ignores_quiet: false,
        due_at: Some(now()),
        title: title.to_owned(),
        assigned_to: None,
        record: 1,
        score: assessment.score,
    };
    let near = assessment.near.into_iter().next();
    let story = Story::of(&record.fields, assessment.hits, near);
    writer.entry(
        &item,
        story,
        vec![format!("title: \"{title}\" became nothing")],
    )
}

fn judge_mail(bytes: &[u8], email: &str, letter: &Letter) {
    let mail = String::from_utf8(bytes.to_vec()).expect("a mail is text");
    assert!(mail.is_ascii(), "beyond ASCII");
    assert!(!mail.replace("\r\n", "").contains(['\r', '\n']));
    let (head, _) = mail.split_once("\r\n\r\n").expect("an end of the head");
    for line in mail.split("\r\n") {
        assert!(line.len() <= 998, "a line of {}", line.len());
        assert!(!line.contains(|c: char| c.is_control() && c != '\t'));
    }
    let names: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    let known: BTreeSet<&str> = names.iter().copied().collect();
    let ours: BTreeSet<&str> = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "List-Id",
        "MIME-Version",
        "Precedence",
    ]
    .into();
    assert!(known.is_subset(&ours), "{known:?}");
    assert_eq!(known.len(), names.len(), "a header stands twice: {names:?}");

    let read = MessageParser::default().parse(bytes).expect("a mail");
    let to = read.to().expect("To");
    assert_eq!(to.iter().count(), 1, "{head}");
    let to = to.first().and_then(|to| to.address());
    assert_eq!(to, Some(email));
    assert_eq!(read.from().map(|from| from.iter().count()), Some(1));
    assert_eq!(read.subject(), Some(letter.subject.as_str()));
    let text = read.body_text(0).expect("a text").replace("\r\n", "\n");
    assert_eq!(text, letter.text().expect("a text"));
    let acts = |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(acts), "{text:?}");
    for line in text.lines() {
        assert!(line.chars().count() <= 450, "{line:?}");
    }

    let wire = smtp::on_the_wire(bytes);
    let mut heard = String::new();
    let wire = std::str::from_utf8(&wire).expect("text");
    for line in wire.strip_suffix("\r\n").expect("an end").split("\r\n") {
        assert_ne!(line, ".", "the mail ends before its end");
        heard += line.strip_prefix('.').unwrap_or(line);
        heard += "\r\n";
    }
    assert_eq!(heard.trim_end(), mail.trim_end());
}
