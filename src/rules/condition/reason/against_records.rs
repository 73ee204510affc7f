//! What is said without a record, held against many records.

use super::tests::compile_all;
use super::{Policy, can_be};
use crate::record::value::{Map, Value};
use crate::rules::condition::{Condition, Facts, Trace, on_large_stack};
use crate::rules::score::Score;
use crate::rules::words::Folded;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;

/// Comparisons of one number and of one text, whose limits meet.
fn narrow() -> BoxedStrategy<String> {
    let side = || select(vec!["quality", "score.total"]);
    let operator = select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let atom = prop_oneof![
        4 => (side(), operator, select(vec!["1", "1.5", "2"])).prop_map(|(n, op, l)| format!("{n} {op} {l}")),
        1 => (side(), select(vec!["[1, 2]", "[2]"])).prop_map(|(n, list)| format!("{n} in {list}")),
        1 => select(vec!["domain == 'a'", "domain != 'b'", "domain in trusted", "has(quality)"])
            .prop_map(str::to_owned),
    ];
    let literal = (atom, any::<bool>()).prop_map(|(atom, not)| match not {
        true => format!("!({atom})"),
        false => atom,
    });
    (vec(literal, 2..5), select(vec![" && ", " || "]))
        .prop_map(|(literals, sign)| format!("({})", literals.join(sign)))
        .boxed()
}

/// Conditions about few values, so that many of them contradict each other.
fn any_condition() -> BoxedStrategy<String> {
    prop_oneof![wide(), narrow()].boxed()
}

fn wide() -> BoxedStrategy<String> {
    let number = select(vec![
        "quality",
        "quality",
        "heat",
        "score.total",
        "age_days",
        "age_hours",
        "size(title)",
        "size(images)",
        "quality + heat",
    ]);
    let text = select(vec!["title", "domain", "domain", "title.lowerAscii()"]);
    let ordering = select(vec!["<", "<=", ">", ">="]);
    let limit = select(vec!["0", "1", "1.5", "2", "24", "36", "48"]);
    let atom = prop_oneof![
        6 => (number.clone(), ordering, limit.clone()).prop_map(|(n, op, l)| format!("{n} {op} {l}")),
        2 => (select(vec!["quality", "heat", "score.total"]), select(vec!["==", "!="]), limit)
            .prop_map(|(n, op, l)| format!("{n} {op} {l}")),
        1 => select(vec!["quality in [1, 2]", "heat in [2, 3]", "score.total in []", "quality == heat"])
            .prop_map(str::to_owned),
        3 => (text.clone(), select(vec!["==", "!="]), select(vec!["'a'", "'b'", "'c'", "'A'"]))
            .prop_map(|(t, op, c)| format!("{t} {op} {c}")),
        2 => (text, select(vec!["trusted", "['b', 'c']"])).prop_map(|(t, l)| format!("{t} in {l}")),
        3 => select(vec![
            "about('A')", "'A' in topics", "mentions('a')", "mentions('a', 'b')", "mentions('b')",
            "has(quality)", "has(title)", "has(images)", "published", "published == false", "true",
            "false", "has(published)", "title.contains('a')", "domain < 'b'",
        ]).prop_map(str::to_owned),
        1 => select(vec![
            "images.exists(x, x.width > 1)", "images.all(x, x.width > 1)",
            "images.exists(x, x.width > 1 && x.width <= 1)", "images.all(x, x.width > 1 || x.width < 2)",
        ]).prop_map(str::to_owned),
    ];
    atom.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
    .boxed()
}

/// A record of the few values that the conditions are about.
#[derive(Clone, Debug)]
struct Story {
    fields: Map,
    published: bool,
    topics: Option<Vec<String>>,
    domain: Option<&'static str>,
    age_hours: f64,
    total: i64,
}

fn any_story() -> impl Strategy<Value = Story> {
    let number =
        || proptest::option::weighted(0.8, select(vec![0.0, 0.5, 1.0, 1.5, 2.0, 24.0, 30.0, 48.0]));
    let title = proptest::option::weighted(0.8, select(vec!["a", "b", "c", "A", "a b", ""]));
    let images = proptest::option::of(vec(proptest::option::weighted(0.8, 0..3i32), 0..3));
    let topics = proptest::option::of(vec(select(vec!["A", "B"]), 0..2));
    let domain = proptest::option::weighted(0.8, select(vec!["a", "b", "c", "d"]));
    let ages = select(vec![
        -1.0, 0.0, 1.0, 23.9, 24.0, 35.0, 36.0, 37.0, 48.0, 576.0, 900.0,
    ]);
    let flags = (any::<bool>(), -1..50i64);
    (
        number(),
        number(),
        title,
        images,
        topics,
        domain,
        ages,
        flags,
    )
        .prop_map(
            |(quality, heat, title, images, topics, domain, age_hours, (published, total))| {
                let width = |width: Option<i32>| {
                    let width = width.map(|w| ("width".to_owned(), Value::Number(f64::from(w))));
                    Value::Map(width.into_iter().collect())
                };
                let images = images.map(|i| Value::List(i.into_iter().map(width).collect()));
                let pairs = [
                    ("quality", quality.map(Value::Number)),
                    ("heat", heat.map(Value::Number)),
                    ("title", title.map(|t| Value::Text(t.to_owned()))),
                    ("images", images),
                ];
                let pairs = pairs
                    .into_iter()
                    .filter_map(|(k, v)| Some((k.to_owned(), v?)));
                let topics = topics.map(|topics| topics.into_iter().map(str::to_owned).collect());
                Story {
                    fields: pairs.collect(),
                    published,
                    topics,
                    domain,
                    age_hours,
                    total,
                }
            },
        )
}

impl Story {
    fn with_facts<T>(&self, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let title = self.fields.get("title").and_then(Value::as_text);
        let folded = title.map(|title| Folded::new(Some(title), None));
        ask(&Facts {
            fields: &self.fields,
            published: self.published,
            topics: self.topics.as_deref(),
            folded: folded.as_ref(),
            domain: self.domain,
            age_hours: self.age_hours,
            score: Some(Score::new(self.total, 0, 0)),
        })
    }

    fn value(&self, condition: &Condition) -> Option<bool> {
        self.with_facts(|facts| condition.holds(facts, &mut Trace::default()))
    }

    fn satisfies(&self, policy: Policy<'_>) -> bool {
        policy.when.iter().all(|c| self.value(c) == Some(true))
            && !policy.unless.iter().any(|c| self.value(c) == Some(true))
    }
}

/// The records that everything said is held against.
fn stories() -> Vec<Story> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    vec(any_story(), 300)
        .new_tree(&mut runner)
        .unwrap()
        .current()
}

fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value)) {
    let config = Config {
        cases: 2_000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(strategy, |value| {
            test(value);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_called_constant_is_so_for_every_record() {
    let told = on_large_stack(|| {
        let (stories, told) = (stories(), Cell::new([0_u32; 2]));
        run(&any_condition(), |source| {
            let condition = compile_all(&[source]).remove(0);
            for (n, truth) in [true, false].into_iter().enumerate() {
                if can_be(&condition.expr, truth) {
                    continue;
                }
                for story in &stories {
                    let value = story.value(&condition);
                    assert_ne!(value, Some(truth), "{} of {story:?}", condition.source);
                }
                let mut sum = told.get();
                sum[n] += 1;
                told.set(sum);
            }
        });
        told.get()
    });
    let [never, always] = told.unwrap();
    assert!(never > 80 && always > 50, "{never} {always}");
}

#[test]
fn what_is_called_impossible_or_implied_is_so_for_every_record() {
    let told = on_large_stack(|| {
        let (stories, told) = (stories(), Cell::new([0_u32; 3]));
        let list = || vec(any_condition(), 0..3);
        run(&(list(), list(), list(), list()), |(a, b, c, d)| {
            let [a, b, c, d] = [a, b, c, d].map(|list| compile_all(&list));
            let one = Policy {
                when: &a,
                unless: &b,
            };
            let other = Policy {
                when: &c,
                unless: &d,
            };
            let (never, implied) = (!one.can_hold(), one.implies(other));
            let same = one.normal_form() == other.normal_form();
            for story in stories.iter().filter(|_| never || implied || same) {
                let (first, second) = (story.satisfies(one), story.satisfies(other));
                let wrong =
                    (never && first) || (implied && first && !second) || (same && first != second);
                assert!(!wrong, "{one:#?}\n{other:#?}\n{story:?}");
            }
            let mut sum = told.get();
            sum[0] += u32::from(never);
            sum[1] += u32::from(implied && !never);
            sum[2] += u32::from(same);
            told.set(sum);
        });
        told.get()
    });
    let [never, implied, same] = told.unwrap();
    assert!(
        never > 120 && implied > 150 && same > 15,
        "{never} {implied} {same}"
    );
}
