//! Evaluation held against the interpreter of the `cel` crate, and compilation against nonsense.
//!
//! Conditions come from a grammar of what both sides mean by the same words. Left out is where the
//! interpreter is lax or differs on purpose: integer arithmetic, infinities, wrong types (they are
//! taken out of its records), `has()` below a missing field, names of CEL types.

use super::parts::Part;
use super::{Condition, Facts, Names, Trace, on_large_stack};
use crate::record::value::{Map, Value};
use crate::rules::score::Score;
use crate::rules::types::{Schema, Type};
use crate::rules::words::Folded;
use cel::{Context, Env, ExecutionError, Program, Value as CelValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A condition as we write it, and as the interpreter understands it.
pub(crate) type Pair = (String, String);

fn same(text: impl Into<String>) -> Pair {
    let text = text.into();
    (text.clone(), text)
}

fn join(parts: &[&Pair], format: impl Fn(&[&str]) -> String) -> Pair {
    let ours: Vec<&str> = parts.iter().map(|pair| pair.0.as_str()).collect();
    let theirs: Vec<&str> = parts.iter().map(|pair| pair.1.as_str()).collect();
    (format(&ours), format(&theirs))
}

fn pick(options: &'static [&'static str]) -> impl Strategy<Value = Pair> + Clone {
    proptest::sample::select(options).prop_map(same)
}

const TEXTS: &[&str] = &["'a'", "'b'", "'ab'", "'A'", "''", "'é'"];

fn numbers(variable: Option<&'static str>) -> BoxedStrategy<Pair> {
    let leaf = prop_oneof![
        pick(&[
            "quality",
            "heat",
            "related[0].quality",
            "related[1].heat",
            "record['heat']"
        ]),
        pick(&[
            "score.total",
            "score.heat",
            "1.0",
            "2.0",
            "-1.0",
            "0.5",
            "record.quality"
        ]),
        texts().prop_map(|text| join(&[&text], |p| format!("(size({}) > 1.0 ? 1.0 : 2.0)", p[0]))),
    ];
    let leaf = match variable {
        Some(name) => prop_oneof![
            leaf,
            proptest::sample::select(vec!["quality", "heat"])
                .prop_map(move |field| same(format!("{name}.{field}")))
        ]
        .boxed(),
        None => leaf.boxed(),
    };
    leaf.prop_recursive(2, 6, 2, |inner| {
        (
            inner.clone(),
            proptest::sample::select(vec!["+", "-", "*"]),
            inner,
        )
            .prop_map(|(a, op, b)| join(&[&a, &b], |p| format!("({} {op} {})", p[0], p[1])))
    })
    .boxed()
}

fn texts() -> BoxedStrategy<Pair> {
    let leaf = prop_oneof![
        pick(TEXTS),
        pick(&[
            "title",
            "excerpt",
            "provider.name",
            "provider.domain",
            "topics[0]"
        ]),
        pick(&[
            "related[0].title",
            "text",
            "domain",
            "record['title']",
            "related[1].topics[0]"
        ]),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| join(&[&a, &b], |p| format!("({} + {})", p[0], p[1]))),
            inner.prop_map(|a| join(&[&a], |p| format!("{}.lowerAscii()", p[0]))),
        ]
    })
    .boxed()
}

/// Conditions without `exists` and `all`; `variable` is a related story that may be named.
fn plain(variable: Option<&'static str>) -> BoxedStrategy<Pair> {
    let number = numbers(variable);
    let text = texts();
    let atom = prop_oneof![
        (
            number.clone(),
            proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]),
            number
        )
            .prop_map(|(a, op, b)| join(&[&a, &b], |p| format!("{} {op} {}", p[0], p[1]))),
        (
            text.clone(),
            proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]),
            text
        )
            .prop_map(|(a, op, b)| join(&[&a, &b], |p| format!("{} {op} {}", p[0], p[1]))),
        (
            texts(),
            proptest::sample::select(vec!["contains", "startsWith", "endsWith"]),
            proptest::sample::select(TEXTS)
        )
            .prop_map(|(a, method, b)| join(&[&a], |p| format!("{}.{method}({b})", p[0]))),
        texts().prop_map(|a| join(&[&a], |p| format!("{}.matches('^[ab]+$')", p[0]))),
        (
            texts(),
            pick(&["topics", "trusted", "['a', 'ab']", "related[0].topics"])
        )
            .prop_map(|(a, list)| join(&[&a, &list], |p| format!("{} in {}", p[0], p[1]))),
        pick(&[
            "published",
            "related[0].published",
            "has(record.title)",
            "has(record.quality)"
        ]),
        pick(&[
            "has(record.topics)",
            "has(record.published)",
            "true",
            "false"
        ]),
        pick(&[
            "size(topics) == 1.0",
            "quality in [1.0, 2.0]",
            "published == (quality > 1.0)"
        ]),
        Just((
            "has(provider.name)".to_owned(),
            "(has(record.provider) && has(record.provider.name))".to_owned()
        )),
        proptest::sample::select(TEXTS)
            .prop_map(|topic| (format!("about({topic})"), format!("{topic} in topics"))),
    ];
    atom.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            2 => (inner.clone(), inner.clone())
                .prop_map(|(a, b)| join(&[&a, &b], |p| format!("({} && {})", p[0], p[1]))),
            2 => (inner.clone(), inner.clone())
                .prop_map(|(a, b)| join(&[&a, &b], |p| format!("({} || {})", p[0], p[1]))),
            1 => vec(inner.clone(), 3..5).prop_map(|parts| {
                let parts: Vec<&Pair> = parts.iter().collect();
                join(&parts, |p| format!("({})", p.join(" || ")))
            }),
            1 => inner.clone().prop_map(|a| join(&[&a], |p| format!("!({})", p[0]))),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| {
                join(&[&a, &b, &c], |p| format!("({} ? {} : {})", p[0], p[1], p[2]))
            }),
        ]
    })
    .boxed()
}

pub(crate) fn conditions() -> BoxedStrategy<Pair> {
    let every = || proptest::sample::select(vec!["exists", "all"]);
    let each = (every(), plain(Some("r")))
        .prop_map(|(each, c)| join(&[&c], |p| format!("related.{each}(r, {})", p[0])));
    let nested = (every(), every(), proptest::sample::select(TEXTS)).prop_map(|(a, b, text)| {
        same(format!(
            "related.{a}(r, r.topics.{b}(t, t == {text} || r.quality > 1.0))"
        ))
    });
    let names = (every(), pick(&["topics", "trusted", "['a', 'b']"])).prop_map(|(each, list)| {
        join(&[&list], |p| {
            format!("{}.{each}(t, title.contains(t) || t == domain)", p[0])
        })
    });
    let top = prop_oneof![3 => plain(None), 2 => each, 1 => nested, 1 => names].boxed();
    (
        top,
        proptest::sample::select(vec!["&&", "||"]),
        plain(None),
        any::<bool>(),
    )
        .prop_map(|(a, op, b, alone)| match alone {
            true => a,
            false => join(&[&a, &b], |p| format!("{} {op} {}", p[0], p[1])),
        })
        .boxed()
}

/// What a file may hold for a field: nothing, the right thing, or something else.
fn field(right: BoxedStrategy<Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        5 => right.prop_map(Some),
        3 => Just(None),
        1 => Just(Some(Value::Null)),
        1 => proptest::sample::select(vec![
            Value::Bool(true),
            Value::Number(1.0),
            Value::Text("1".to_owned()),
            Value::List(vec![]),
        ])
        .prop_map(Some),
    ]
}

fn number() -> BoxedStrategy<Value> {
    proptest::sample::select(vec![-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
        .prop_map(Value::Number)
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    proptest::sample::select(vec!["a", "b", "ab", "A", "", "é"])
        .prop_map(|text| Value::Text(text.to_owned()))
        .boxed()
}

fn list(of: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(of, 0..3).prop_map(Value::List).boxed()
}

fn map(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields
        .into_iter()
        .map(|(name, value)| (name, field(value)))
        .unzip();
    values
        .prop_map(move |values| {
            let pairs = names.iter().zip(values);
            let pairs = pairs.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Map(pairs.collect())
        })
        .boxed()
}

pub(crate) fn records() -> BoxedStrategy<Value> {
    let story = || {
        vec![
            ("title", text()),
            ("quality", number()),
            ("heat", number()),
            ("published", any::<bool>().prop_map(Value::Bool).boxed()),
            ("topics", list(text())),
        ]
    };
    let mut fields = story();
    fields.push(("excerpt", text()));
    fields.push(("provider", map(vec![("name", text()), ("domain", text())])));
    fields.push(("related", list(map(story()))));
    map(fields)
}

/// A value as the interpreter should see it: without what counts as missing.
fn kept(value: &Value, kind: &Type) -> Option<CelValue> {
    match (value, kind) {
        (Value::Bool(yes), Type::Bool) => Some(CelValue::Bool(*yes)),
        (Value::Number(number), Type::Number) => Some(CelValue::Float(*number)),
        (Value::Text(text), Type::Text) => Some(text.as_str().into()),
        (Value::List(list), Type::List(kind)) => {
            let list: Vec<_> = list.iter().filter_map(|value| kept(value, kind)).collect();
            Some(list.into())
        }
        (Value::Map(map), Type::Map(schema)) => Some(kept_map(map, schema).into()),
        _ => None,
    }
}

fn kept_map(map: &Map, schema: &Schema) -> HashMap<String, CelValue> {
    map.iter()
        .filter_map(|(key, value)| Some((key.to_owned(), kept(value, schema.get(key)?)?)))
        .collect()
}

/// What the interpreter says; `None` only for what is missing.
fn interpret(program: &Program, env: &Arc<Env>, facts: &Facts<'_>) -> Option<bool> {
    let mut context = Context::with_env(env.clone());
    let mut record = kept_map(facts.fields, &Schema::seed());
    record.insert("published".to_owned(), facts.published.into());
    record.remove("topics");
    if let Some(topics) = facts.topics {
        record.insert("topics".to_owned(), topics.to_vec().into());
    }
    for (name, value) in &record {
        context.add_variable_from_value(name.as_str(), value.clone());
    }
    context.add_variable_from_value("record", record);
    if let Some(domain) = facts.domain {
        context.add_variable_from_value("domain", domain);
    }
    if let Some(folded) = facts.folded {
        context.add_variable_from_value("text", folded.plain());
    }
    let score = facts.score.unwrap();
    #[allow(clippy::cast_precision_loss)]
    let score = HashMap::from([
        ("total".to_owned(), CelValue::Float(score.total as f64)),
        ("heat".to_owned(), CelValue::Float(score.heat as f64)),
    ]);
    context.add_variable_from_value("score", score);
    context.add_variable_from_value("trusted", vec!["a".to_owned(), "b".to_owned()]);
    match program.execute(&context) {
        Ok(CelValue::Bool(yes)) => Some(yes),
        Err(
            ExecutionError::UndeclaredReference(_)
            | ExecutionError::NoSuchKey(_)
            | ExecutionError::IndexOutOfBounds(_),
        ) => None,
        other => panic!("{other:?}"),
    }
}

/// Calls `check` with a record's facts as intake would gather them.
fn with_facts<T>(record: &Value, check: impl FnOnce(&Facts<'_>) -> T) -> T {
    let fields = record.as_map().unwrap();
    let text = |key: &str| fields.get(key).and_then(Value::as_text);
    let topics = fields.get("topics").and_then(Value::as_list).map(|topics| {
        topics
            .iter()
            .filter_map(Value::as_text)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let folded = (text("title").is_some() || text("excerpt").is_some())
        .then(|| Folded::new(text("title"), text("excerpt")));
    let provider = fields.get("provider").and_then(Value::as_map);
    check(&Facts {
        fields,
        published: fields
            .get("published")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        topics: topics.as_deref(),
        folded: folded.as_ref(),
        domain: provider
            .and_then(|map| map.get("domain"))
            .and_then(Value::as_text),
        age_hours: 1.0,
        score: Some(Score::new(1, 2, -1)),
    })
}

pub(crate) fn lists() -> BTreeMap<String, Arc<[Value]>> {
    let names = ["a", "b"].map(|name| Value::Text(name.to_owned()));
    BTreeMap::from([("trusted".to_owned(), Arc::from(names))])
}

/// Runs a test on the same random values each time.
pub(crate) fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(TestError::Fail(reason, value)) = result {
        panic!("{reason}\n{value:#?}");
    }
    result.unwrap();
}

#[test]
fn evaluation_agrees_with_the_interpreter() {
    let mut env = Env::stdlib();
    cel::extensions::strings(&mut env).unwrap();
    let env = Arc::new(env);
    let (fields, lists) = (Schema::seed(), lists());
    let names = Names {
        fields: &fields,
        lists: &lists,
        score: true,
    };
    let counts = on_large_stack(|| {
        let counts = Cell::new([0_u32; 3]);
        run(
            10_000,
            &(conditions(), vec(records(), 2)),
            |((ours, theirs), records)| {
                let condition = Condition::compile(&ours, &names)
                    .unwrap_or_else(|errors| panic!("{ours}: {errors:?}"));
                let program = env.compile(&theirs).unwrap();
                for record in records {
                    with_facts(&record, |facts| {
                        let mut trace = Trace::default();
                        let found = condition.holds(facts, &mut trace);
                        assert_eq!(
                            found,
                            interpret(&program, &env, facts),
                            "{ours}\n{record:?}"
                        );
                        assert!(
                            found.is_some() || !trace.missing.is_empty(),
                            "{ours}\n{record:?}"
                        );
                        let mut sum = counts.get();
                        sum[found.map_or(2, usize::from)] += 1;
                        counts.set(sum);
                    });
                }
            },
        );
        counts.get()
    })
    .unwrap();
    // All three values must be common, or the agreement says little.
    assert!(counts.iter().all(|count| *count > 1_000), "{counts:?}");
}

/// Taking a condition apart must not change what it says.
#[test]
fn the_parts_make_up_the_whole() {
    let (fields, lists) = (Schema::seed(), lists());
    let names = Names {
        fields: &fields,
        lists: &lists,
        score: true,
    };
    let counts = on_large_stack(|| {
        let counts = Cell::new([0_u32; 3]);
        run(600, &(conditions(), records()), |((ours, _), record)| {
            let condition = Condition::compile(&ours, &names).unwrap();
            with_facts(&record, |facts| {
                let whole = condition.holds(facts, &mut Trace::default());
                let parts = condition.parts(&names, facts);
                assert_eq!(parts.holds, whole, "{ours}\n{record:?}\n{parts:#?}");
                let mut leaves = Vec::new();
                leaves_of(&parts, &mut leaves);
                for leaf in &leaves {
                    assert!(
                        leaf.holds.is_some() || !leaf.missing.is_empty(),
                        "{ours}: {leaf:#?}"
                    );
                }
                let mut sum = counts.get();
                sum[whole.map_or(2, usize::from)] += u32::from(leaves.len() > 1);
                counts.set(sum);
            });
        });
        counts.get()
    })
    .unwrap();
    assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
}

fn leaves_of<'p>(part: &'p Part, leaves: &mut Vec<&'p Part>) {
    if part.parts.is_empty() {
        leaves.push(part);
    }
    for part in &part.parts {
        leaves_of(part, leaves);
    }
}

/// Words of conditions in no order, and conditions with a part cut out or put in.
fn nonsense() -> impl Strategy<Value = String> {
    let words = proptest::sample::select(vec![
        "title", "quality", "related", "topics", "record", "score", "age_days", "text", "x", "has",
        "mentions", "about", "size", "exists", "all", "contains", "matches", "in", "and", "null",
        "true", "if", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "==", "=", "<", ">=", "&&",
        "||", "&", "!", "-", "+", "/", "%", "'a'", "\"b\"", "'", "\"", "'''", "r'", "b'", "'\\d'",
        "\\", "`", "“", "é", "1", "0", "-1", "1.5", "1e999", "0x", "5u", "//", "\n", "🦀", ".?",
        "@",
    ]);
    prop_oneof![
        vec(words, 0..24)
            .prop_flat_map(|words| { prop_oneof![Just(words.join(" ")), Just(words.concat())] }),
        (conditions(), any::<prop::sample::Index>(), "\\PC{0,3}").prop_map(
            |((ours, _), at, more)| {
                let mut cut: Vec<char> = ours.chars().collect();
                let at = at.index(cut.len());
                cut.splice(at..=at, more.chars());
                cut.into_iter().collect()
            }
        ),
    ]
}

#[test]
fn nonsense_is_refused_without_harm() {
    let (fields, lists) = (Schema::seed(), lists());
    let names = Names {
        fields: &fields,
        lists: &lists,
        score: true,
    };
    on_large_stack(|| {
        run(
            2_000,
            &(nonsense(), records()),
            |(source, record)| match Condition::compile(&source, &names) {
                Ok(condition) => with_facts(&record, |facts| {
                    let found = condition.holds(facts, &mut Trace::default());
                    assert!(
                        condition.near(facts).is_none() || found == Some(false),
                        "{source}"
                    );
                    assert_eq!(condition.parts(&names, facts).holds, found, "{source}");
                }),
                Err(errors) => {
                    assert!(!errors.is_empty());
                    for error in errors {
                        assert!(
                            source.get(error.span.clone()).is_some(),
                            "{source}: {error:?}"
                        );
                    }
                }
            },
        );
    })
    .unwrap();
}
