//! What can be said of conditions without a record, in tables.

use super::{Policy, can_be};
use crate::record::value::Value;
use crate::rules::condition::{Condition, Names, on_large_stack};
use crate::rules::types::Schema;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn compile_all(sources: &[String]) -> Vec<Condition> {
    let trusted = ["a", "b"].map(|name| Value::Text(name.to_owned()));
    let names = Names {
        fields: &Schema::seed(),
        lists: &BTreeMap::from([("trusted".to_owned(), Arc::from(trusted))]),
        score: true,
    };
    let compile = |source: &String| {
        Condition::compile(source, &names).unwrap_or_else(|errors| panic!("{source}: {errors:?}"))
    };
    sources.iter().map(compile).collect()
}

fn compile(source: &str) -> Condition {
    on_large_stack(|| compile_all(&[source.to_owned()]))
        .unwrap()
        .remove(0)
}

#[test]
fn what_never_holds_is_known() {
    for source in [
        "false",
        "quality > 80 && quality < 50",
        "quality > 3 && quality <= 3",
        "quality == 3 && quality == 4",
        "quality == 3 && quality != 3",
        "quality in [1, 2] && quality > 2",
        "quality > 3 && !(heat > 1 || quality > 2)",
        "(quality > 5 || heat > 5) && quality < 3 && heat < 3",
        "quality > 3 ? quality < 2 : quality > 4",
        "score.total > 4 && score.total < 5",
        "score.total >= 4 && score.total <= 5 && score.total != 4 && score.total != 5",
        "size(title) < 0",
        "age_days > 7 && age_hours < 100",
        "domain == 'a' && domain == 'b'",
        "domain == 'c' && domain in trusted",
        "domain in trusted && domain != 'a' && domain != 'b'",
        "domain in []",
        "'a' == 'b'",
        "title == 'a' && !(title == 'a')",
        "about('A') && !('A' in topics)",
        "mentions('a') && !mentions('a', 'b')",
        "mentions('a', 'b') && !mentions('a') && !mentions('b')",
        "!has(quality) && quality > 3",
        "!has(title) && size(title) > 3",
        "!has(published)",
        "published && published == false",
        "images.exists(x, x.width > 3 && x.width < 2)",
        "!images.all(x, true)",
        "title.matches('a') && !title.matches('a')",
    ] {
        assert!(!can_be(&compile(source).expr, true), "{source}");
    }
}

#[test]
fn what_always_holds_is_known() {
    for source in [
        "true",
        "1 < 2",
        "quality > 3 || quality <= 3",
        "quality > 3 || quality < 4",
        "!(quality > 3 && quality < 2)",
        "size(images) >= 0",
        "has(title) || !has(title)",
        "published || !published",
        "score.total >= 3 || score.total <= 2",
        "domain != 'a' || domain in trusted",
        "images.all(x, x.width > 3 || x.width <= 3)",
    ] {
        assert!(!can_be(&compile(source).expr, false), "{source}");
    }
}

#[test]
fn what_may_hold_is_not_called_impossible() {
    for source in [
        "quality > 3 && quality < 3.5",
        "quality >= 3 && quality <= 3",
        "quality > 3 && heat < 3",
        "quality != 3 && quality != 4",
        "score.total > 4 && score.total < 6",
        "age_days >= 7 && age_hours <= 168",
        "images.all(x, x.width > 3 && x.width < 2)",
        "mentions('a', 'b') && !mentions('a')",
        "has(quality) && !(quality > 3)",
        "!has(title) || size(title) < 80",
        "quality > 3 ? heat < 2 : heat > 4",
        "topics[0] == 'a' && topics[1] == 'b'",
        "'a' in topics && 'b' in topics",
    ] {
        assert!(can_be(&compile(source).expr, true), "{source}");
        assert!(can_be(&compile(source).expr, false), "{source}");
    }
}

#[test]
fn too_many_ways_count_as_possible() {
    let choice = |n: usize| format!("(title.contains('{n}') || excerpt.contains('{n}'))");
    let impossible = |choices: usize| {
        let ways: Vec<String> = (0..choices).map(choice).collect();
        let ways = ways.join(" && ");
        let source =
            format!("heat < 2 && quality < 2 && {ways} && (heat > 3 || quality > 3) && {ways}");
        !can_be(&compile(&source).expr, true)
    };
    assert!(impossible(2));
    assert!(!impossible(20));
}

fn policy(when: &[&str], unless: &[&str]) -> (Vec<Condition>, Vec<Condition>) {
    let compile_list = |list: &[&str]| list.iter().map(|source| compile(source)).collect();
    (compile_list(when), compile_list(unless))
}

fn as_policy((when, unless): &(Vec<Condition>, Vec<Condition>)) -> Policy<'_> {
    Policy { when, unless }
}

#[test]
fn an_exception_without_a_value_excepts_nothing() {
    let possible = |when: &[&str], unless: &[&str]| as_policy(&policy(when, unless)).can_hold();
    assert!(!possible(&["quality > 80"], &["quality > 50"]));
    assert!(possible(&["quality > 50"], &["quality > 80"]));
    assert!(!possible(&["quality > 80"], &["heat > 3", "quality > 50"]));
    // A record without heat is not excepted.
    assert!(possible(&["quality > 80"], &["heat > 3 || heat <= 3"]));
    assert!(!possible(
        &["quality > 80"],
        &["quality > 3 || quality <= 3"]
    ));
    // What is never missing is.
    assert!(!possible(
        &["score.total > 3"],
        &["age_days > 1 || age_days <= 1"]
    ));
    assert!(!possible(&[], &["has(title)", "!has(title)"]));
}

#[test]
fn one_policy_implies_another() {
    let implies = |a: (&[&str], &[&str]), b: (&[&str], &[&str])| {
        as_policy(&policy(a.0, a.1)).implies(as_policy(&policy(b.0, b.1)))
    };
    assert!(implies(
        (&["score.total >= 100"], &[]),
        (&["score.total >= 50"], &[])
    ));
    assert!(!implies(
        (&["score.total >= 50"], &[]),
        (&["score.total >= 100"], &[])
    ));
    assert!(implies(
        (&["quality > 3", "heat > 3"], &[]),
        (&["heat > 2"], &[])
    ));
    assert!(implies(
        (&["heat > 2"], &[]),
        (&["heat > 2 || quality > 3"], &[])
    ));
    assert!(implies((&["heat > 2"], &[]), (&[], &[])));
    assert!(!implies((&[], &[]), (&["heat > 2"], &[])));
    // The earlier one may leave what its exception names.
    assert!(!implies(
        (&["heat > 2"], &[]),
        (&["heat > 2"], &["quality > 3"])
    ));
    assert!(implies(
        (&["heat > 2"], &["quality > 3"]),
        (&["heat > 2"], &["quality > 3"])
    ));
    assert!(implies(
        (&["heat > 2"], &["quality > 2"]),
        (&["heat > 2"], &["quality > 3"])
    ));
    assert!(!implies(
        (&["heat > 2"], &["quality > 3"]),
        (&["heat > 2"], &["quality > 2"])
    ));
    // Of a record without heat, the later one holds and the earlier one has no value.
    assert!(!implies(
        (&["quality > 3"], &[]),
        (&["heat > 2 || heat <= 2"], &[])
    ));
    assert!(implies(
        (&["mentions('a')"], &[]),
        (&["mentions('a', 'b')"], &[])
    ));
    assert!(implies(
        (&["domain == 'a'"], &[]),
        (&["domain in trusted"], &[])
    ));
}

#[test]
fn one_meaning_has_one_form() {
    let form = |when: &[&str], unless: &[&str]| {
        as_policy(&policy(when, unless)).normal_form().into_owned()
    };
    let same = [
        (
            form(&["quality > 3", "heat < 2"], &[]),
            form(&["2.0 > heat && quality > 3"], &[]),
        ),
        (form(&["!(quality > 3)"], &[]), form(&["quality <= 3"], &[])),
        (form(&["about('A')"], &[]), form(&["'A' in topics"], &[])),
        (
            form(&["mentions('a', 'B b')"], &[]),
            form(&["mentions('b-b', 'A')"], &[]),
        ),
        (
            form(&["domain in ['b', 'a']"], &[]),
            form(&["domain in trusted"], &[]),
        ),
        (
            form(&["published"], &["heat > 1", "quality > 1"]),
            form(&["published == true"], &["quality > 1 || heat > 1"]),
        ),
        (
            form(&["heat > 1 && heat > 1"], &[]),
            form(&["heat > 1"], &[]),
        ),
    ];
    for (one, other) in same {
        assert_eq!(one, other);
    }
    assert_ne!(form(&["quality > 3"], &[]), form(&["quality > 4"], &[]));
    assert_ne!(form(&["quality > 3"], &[]), form(&[], &["quality > 3"]));
    assert_ne!(form(&["!(quality > 3)"], &[]), form(&[], &["quality > 3"]));
    assert_ne!(
        form(&["quality > 3 && heat > 1"], &[]),
        form(&["quality > 3 || heat > 1"], &[])
    );
}
