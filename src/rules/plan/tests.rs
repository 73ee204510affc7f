//! The plan held against looking at every rule, on random rules and records.

use super::{Look, Plan, Tell};
use crate::record::value::{Map, Value};
use crate::rules::condition::{Condition, Facts, Names, Trace, on_large_stack, oracle};
use crate::rules::score::Axis;
use crate::rules::types::Schema;
use crate::rules::words::{Folded, Phrase};
use crate::rules::{Place, Rule, Topic};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What stands in titles, excerpts and the texts of conditions: few words, so that they are met,
/// with what the index must see through.
const WORDS: [&str; 14] = [
    "ab", "b", "A", "Ab", "a-b", "a b", "é", "É", "b\u{AD}c", "bc", "ſ", "K", "k", " ",
];

fn texts() -> impl Strategy<Value = String> {
    vec(proptest::sample::select(&WORDS[..]), 0..5).prop_map(|words| words.join(" "))
}

fn quoted() -> impl Strategy<Value = String> {
    let one = proptest::sample::select(&WORDS[..]).prop_map(str::to_owned);
    let text = prop_oneof![3 => one, 1 => texts(), 1 => Just("a\nb".to_owned())];
    text.prop_map(|text| format!("{text:?}").replace("\\u{ad}", "\\u00ad"))
}

/// Conditions of the kind that is indexed.
fn atoms() -> BoxedStrategy<String> {
    let subject = || {
        proptest::sample::select(vec![
            "title",
            "excerpt",
            "text",
            "category",
            "domain",
            "title.lowerAscii()",
            "text.lowerAscii()",
            "excerpt.lowerAscii()",
            "record['odd-key']",
        ])
    };
    let number = || {
        proptest::sample::select(vec![
            "quality",
            "heat",
            "size(title)",
            "quality + heat",
            "age_hours",
        ])
    };
    let comparison = || proptest::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    prop_oneof![
        (
            subject(),
            proptest::sample::select(vec!["contains", "startsWith", "endsWith"]),
            quoted()
        )
            .prop_map(|(subject, method, text)| format!("{subject}.{method}({text})")),
        (
            subject(),
            proptest::sample::select(vec!["==", "!="]),
            quoted()
        )
            .prop_map(|(subject, sign, text)| format!("{subject} {sign} {text}")),
        (subject(), quoted(), quoted())
            .prop_map(|(subject, a, b)| format!("{subject} in [{a}, {b}]")),
        (
            subject(),
            proptest::sample::select(vec![
                "ab",
                "(?i)ab",
                r"\\bab\\b",
                "a|bc",
                "(?i)k",
                "b$",
                "^a",
                "[ab]c",
                "(?i)É",
                "(?i)s b"
            ])
        )
            .prop_map(|(subject, pattern)| format!("{subject}.matches(\"{pattern}\")")),
        (
            proptest::sample::select(&WORDS[..13]),
            proptest::sample::select(&WORDS[..13])
        )
            .prop_map(
                |(a, b)| format!("mentions({a:?}, {:?})", format!("{b} {a}"))
                    .replace("\\u{ad}", "\\u00ad")
            ),
        proptest::sample::select(vec!["a", "ab", "A"])
            .prop_map(|topic| format!("about('{topic}')")),
        proptest::sample::select(vec!["a", "ab"]).prop_map(|topic| format!("'{topic}' in topics")),
        (number(), comparison(), -1..4_i32).prop_filter_map(
            "an age has an order only",
            |(number, sign, limit)| {
                let order = number != "age_hours"
                    || !sign.contains('=')
                    || sign.len() == 2 && !sign.starts_with(['=', '!']);
                order.then(|| format!("{number} {sign} {limit}"))
            }
        ),
        Just("published".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ]
    .boxed()
}

fn conditions() -> impl Strategy<Value = String> {
    let mine = atoms().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            2 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            2 => inner.clone().prop_map(|part| format!("!({part})")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    });
    prop_oneof![4 => mine, 1 => oracle::conditions().prop_map(|(ours, _)| ours)]
}

fn fields() -> impl Strategy<Value = Map> {
    let text = |of: BoxedStrategy<String>| of.prop_map(Value::Text).boxed();
    let number = || {
        (-1..4_i32)
            .prop_map(|n| Value::Number(f64::from(n)))
            .boxed()
    };
    let list = vec(proptest::sample::select(vec!["a", "ab", "b", " A "]), 0..3);
    let topics = list.prop_map(|list| {
        Value::List(
            list.into_iter()
                .map(|t| Value::Text(t.to_owned()))
                .collect(),
        )
    });
    let entries = [
        ("title", text(texts().boxed())),
        ("excerpt", text(texts().boxed())),
        ("category", text(texts().boxed())),
        ("odd-key", text(texts().boxed())),
        ("quality", number()),
        ("heat", number()),
        ("topics", topics.boxed()),
    ];
    let mine = entries
        .map(|(name, value)| {
            let kept = prop_oneof![5 => Just(0), 2 => Just(1), 1 => Just(2)];
            (kept, value).prop_map(move |(kept, value)| match kept {
                0 => Some((name.to_owned(), value)),
                1 => None,
                _ => Some((name.to_owned(), Value::Bool(true))),
            })
        })
        .into_iter()
        .collect::<Vec<_>>()
        .prop_map(|entries| entries.into_iter().flatten().collect::<Map>());
    let theirs = oracle::records().prop_map(|value| match value {
        Value::Map(map) => map,
        _ => Map::default(),
    });
    prop_oneof![3 => mine, 1 => theirs]
}

fn place() -> Place {
    Place {
        file: "rules/a.yaml".into(),
        line: 1,
    }
}

fn rule(n: usize, (when, unless): &(Vec<String>, Vec<String>)) -> Rule {
    let (fields, lists) = (Schema::seed(), oracle::lists());
    let names = Names {
        fields: &fields,
        lists: &lists,
        score: true,
    };
    let compile = |sources: &[String]| {
        let compiled = sources.iter().map(|source| {
            Condition::compile(source, &names)
                .unwrap_or_else(|errors| panic!("{source}: {errors:?}"))
        });
        compiled.collect()
    };
    Rule {
        id: format!("r{n}").into(),
        axis: Axis::Topic,
        when: compile(when),
        unless: compile(unless),
        points: 1,
        why: Arc::from("why"),
        source: None,
        shadow: false,
        place: place(),
    }
}

fn topic(n: usize, keyword: &str) -> Topic {
    Topic {
        name: format!("t{n}"),
        parent: None,
        points: 0,
        keywords: Phrase::new(keyword).into_iter().collect(),
        place: place(),
    }
}

fn text<'f>(fields: &'f Map, key: &str) -> Option<&'f str> {
    crate::record::text(fields, key)
}

/// What each rule is, and which topics have a keyword in the record.
type Outcome = (Vec<(usize, Option<bool>)>, Vec<usize>);

fn planned(plan: &Plan, facts: &Facts<'_>, all: bool) -> Outcome {
    let mut trace = Trace::default();
    let mut look = Look::new(plan, facts, &mut trace);
    let topics = look.keyword_topics(facts, &mut trace);
    let mut told = Vec::new();
    let what = if all { Tell::Valueless } else { Tell::Held };
    look.rules(facts, &mut trace, what, |rule, held| {
        told.push((rule, held))
    });
    (told, topics)
}

fn one_by_one(rules: &[Rule], topics: &[Topic], facts: &Facts<'_>, all: bool) -> Outcome {
    let mut trace = Trace::default();
    let held = rules.iter().map(|rule| {
        let when = rule
            .when
            .iter()
            .map(|c| c.holds(facts, &mut trace))
            .collect::<Vec<_>>();
        let excepted = rule
            .unless
            .iter()
            .any(|c| c.holds(facts, &mut trace) == Some(true));
        match when.iter().copied().reduce(|a, b| match (a, b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, _) | (_, None) => None,
            _ => Some(true),
        }) {
            _ if excepted => Some(false),
            None => Some(true),
            Some(when) => when,
        }
    });
    let told = held.enumerate().filter(|(_, held)| match held {
        Some(held) => *held,
        None => all,
    });
    let told = told.collect();
    let occurs = |topic: &Topic| {
        facts
            .folded
            .is_some_and(|story| topic.keywords.iter().any(|word| word.occurs_in(story)))
    };
    let topics = topics.iter().enumerate().filter(|(_, topic)| occurs(topic));
    (told, topics.map(|(at, _)| at).collect())
}

/// Runs `check` on rules, topics and the facts of a record.
fn on_random_sets(cases: u32, check: impl Fn(&[Rule], &[Topic], &Facts<'_>)) {
    let sources = vec((vec(conditions(), 0..3), vec(conditions(), 0..2)), 1..7);
    let keywords = vec(proptest::sample::select(&WORDS[..]), 0..4);
    let strategy = (sources, keywords, vec(fields(), 3), any::<bool>());
    oracle::run(
        cases,
        &strategy,
        |(sources, keywords, records, published)| {
            let rules: Vec<Rule> = sources
                .iter()
                .enumerate()
                .map(|(n, s)| rule(n, s))
                .collect();
            let topics: Vec<Topic> = keywords
                .iter()
                .enumerate()
                .map(|(n, k)| topic(n, k))
                .collect();
            for fields in &records {
                let (title, excerpt) = (text(fields, "title"), text(fields, "excerpt"));
                let folded =
                    (title.is_some() || excerpt.is_some()).then(|| Folded::new(title, excerpt));
                let listed = fields.get("topics").and_then(Value::as_list).map(|list| {
                    let texts = list.iter().filter_map(Value::as_text);
                    texts.map(|text| text.trim().to_owned()).collect::<Vec<_>>()
                });
                check(
                    &rules,
                    &topics,
                    &Facts {
                        fields,
                        published,
                        topics: listed.as_deref(),
                        folded: folded.as_ref(),
                        domain: text(fields, "category"),
                        age_hours: 1.0,
                        score: None,
                    },
                );
            }
        },
    );
}

#[test]
fn the_plan_tells_what_looking_at_every_rule_tells() {
    let counts = on_large_stack(|| {
        let counts = Cell::new([0_usize; 3]);
        on_random_sets(3_400, |rules, topics, facts| {
            let plain = Plan::new(rules, topics);
            let mut indexed = Plan::new(rules, topics);
            assert!(plain.index.is_none());
            indexed.index();
            for (plan, all) in [
                (&plain, false),
                (&plain, true),
                (&indexed, false),
                (&indexed, true),
            ] {
                let expected = one_by_one(rules, topics, facts, all);
                let found = planned(plan, facts, all);
                assert_eq!(found, expected, "{:#?} {facts:?}", sources(rules));
                let mut sum = counts.get();
                for (_, held) in &expected.0 {
                    sum[usize::from(held.is_none())] += 1;
                }
                sum[2] += expected.1.len();
                counts.set(sum);
            }
        });
        counts.get()
    })
    .unwrap();
    // Rules that hold, rules without a value, topics by keyword: all must be common.
    assert!(counts.iter().all(|count| *count > 1_000), "{counts:?}");
}

fn sources(rules: &[Rule]) -> BTreeMap<&str, Vec<&str>> {
    rules
        .iter()
        .map(|rule| {
            let conditions = rule.when.iter().chain(&rule.unless);
            (&*rule.id, conditions.map(|c| &*c.source).collect())
        })
        .collect()
}
