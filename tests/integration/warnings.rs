//! What an editor is told of a set that loads and is odd.

use crate::desk::Desk;
use crate::rules::{SOURCE, load, render};
use copydesk::rules::RuleSet;
use expect_test::{Expect, expect};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Loads a set and compares all that is odd about it.
fn warned(files: &[(&str, &str)], expected: &Expect) {
    let dir = TempDir::new().unwrap();
    let rules = dir.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for (name, text) in files {
        fs::write(rules.join(name), text).unwrap();
    }
    let set = RuleSet::load(&rules).unwrap_or_else(|refused| panic!("{refused:#?}"));
    // Few of these sets have reviewers, and that is not what they are about.
    let warnings = set.warnings.iter().filter(|w| w.code != "no-reviewers");
    let shown: Vec<String> = warnings.map(|w| render(w, dir.path())).collect();
    expected.assert_eq(&shown.join("\n"));
}

/// A rule with these lines as its conditions, the first on line 4.
fn odd_rule(lines: &str, expected: &Expect) {
    let rule = format!(
        "rules:\n  - id: one\n    axis: topic\n    {lines}\n    points: 1\n    why: Because\n"
    );
    warned(&[("a.yaml", SOURCE), ("b.yaml", &rule)], expected);
}

/// A queue with this condition, on line 3, before one that takes the rest.
fn odd_queue(condition: &str, expected: &Expect) {
    let queues = format!("queues:\n  - name: one\n    when: {condition}\n  - {{name: general}}\n");
    warned(&[("a.yaml", SOURCE), ("b.yaml", &queues)], expected);
}

/// Nothing is odd about a set.
fn fine(text: &str) {
    let set = load(&[("a.yaml", SOURCE), ("b.yaml", text)]).unwrap();
    let odd = set.warnings.iter().find(|w| w.code != "no-reviewers");
    assert!(odd.is_none(), "{text}\n{odd:?}");
}

#[test]
fn conditions_that_are_the_same_for_every_record() {
    odd_rule(
        "when: true",
        &expect![[r#"
        warning[always-holds]: this always holds
         --> rules/b.yaml:4:11
          |
        4 |     when: true
          |           ^^^^
          |
          = help: take it away, or say which stories are meant
    "#]],
    );
    odd_rule(
        "when: 1 < 2",
        &expect![[r#"
        warning[always-holds]: this always holds
         --> rules/b.yaml:4:11
          |
        4 |     when: 1 < 2
          |           ^^^^^
          |
          = help: take it away, or say which stories are meant
    "#]],
    );
    odd_rule(
        "when: quality > 3 || quality <= 3",
        &expect![[r#"
        warning[always-holds]: this is never false
         --> rules/b.yaml:4:11
          |
        4 |     when: quality > 3 || quality <= 3
          |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: take it away; to ask whether a field is there, write has(field)
    "#]],
    );
    odd_rule(
        "when: [quality > 3, 'has(published)']",
        &expect![[r#"
            warning[always-holds]: this is never false
             --> rules/b.yaml:4:26
              |
            4 |     when: [quality > 3, 'has(published)']
              |                          ^^^^^^^^^^^^^^
              |
              = help: take it away; to ask whether a field is there, write has(field)
        "#]],
    );
    odd_rule(
        "when: quality > 3 && size(title) >= 0",
        &expect![[r#"
        warning[always-holds]: this is never false
         --> rules/b.yaml:4:26
          |
        4 |     when: quality > 3 && size(title) >= 0
          |                          ^^^^^^^^^^^^^^^^
          |
          = help: take it away; to ask whether a field is there, write has(field)
    "#]],
    );
    odd_rule(
        "when: quality > 3\n    unless: size(title) >= 0",
        &expect![[r#"
            warning[always-holds]: this is never false: it excepts all that has its fields
             --> rules/b.yaml:5:13
              |
            5 |     unless: size(title) >= 0
              |             ^^^^^^^^^^^^^^^^
              |
              = help: write has(field) if that is meant, or change a number in it
        "#]],
    );
    odd_rule(
        "when: quality > 3\n    unless: [has(title), 'true']",
        &expect![[r#"
            warning[always-holds]: this always holds, so that the rule `one` never does
             --> rules/b.yaml:5:27
              |
            5 |     unless: [has(title), 'true']
              |                           ^^^^
              |
              = help: take it away, or change a number or a name in it
        "#]],
    );
    odd_rule(
        "when: quality > 3\n    unless: 'false'",
        &expect![[r#"
        warning[never-holds]: this never holds, so that it excepts nothing
         --> rules/b.yaml:5:13
          |
        5 |     unless: 'false'
          |             ^^^^^^^
          |
          = help: take it away, or change a number or a name in it
    "#]],
    );
}

#[test]
fn conditions_that_never_hold() {
    odd_rule(
        "when: false",
        &expect![[r#"
        warning[never-holds]: this never holds, and so the rule `one` never does
         --> rules/b.yaml:4:11
          |
        4 |     when: false
          |           ^^^^^
          |
          = help: take it away, or change a number or a name in it
    "#]],
    );
    odd_rule(
        "when: quality > 80 && quality < 50",
        &expect![[r#"
        warning[never-holds]: `quality < 50` never holds where `quality > 80` does
         --> rules/b.yaml:4:27
          |
        4 |     when: quality > 80 && quality < 50
          |                           ^^^^^^^^^^^^
          |
          = help: change one of the two, or join them by `||` if the rule `one` means either
    "#]],
    );
    odd_rule(
        "when: [quality > 80, heat > 3, quality < 50]",
        &expect![[r#"
            warning[never-holds]: `quality < 50` never holds where `quality > 80` does
             --> rules/b.yaml:4:36
              |
            4 |     when: [quality > 80, heat > 3, quality < 50]
              |                                    ^^^^^^^^^^^^
              |
              = help: change one of the two, or join them by `||` if the rule `one` means either
        "#]],
    );
    odd_rule(
        "when: >-\n      heat > 3\n      && (domain == \"a\" && domain == \"b\")",
        &expect![[r#"
            warning[never-holds]: this never holds, and so the rule `one` never does
             --> rules/b.yaml:5:7
              |
            5 |       heat > 3
              |       ^^^^^^^^
              |
              = help: take it away, or change a number or a name in it
        "#]],
    );
    odd_rule(
        "when: 'domain == \"a\" && domain in [\"b\", \"c\"]'",
        &expect![[r#"
            warning[never-holds]: `domain in ["b", "c"]` never holds where `domain == "a"` does
             --> rules/b.yaml:4:29
              |
            4 |     when: 'domain == "a" && domain in ["b", "c"]'
              |                             ^^^^^^^^^^^^^^^^^^^^
              |
              = help: change one of the two, or join them by `||` if the rule `one` means either
        "#]],
    );
    odd_rule(
        "when: [quality > 3 || heat > 3, quality < 3, heat < 3]",
        &expect![[r#"
            warning[never-holds]: the conditions of the rule `one` exclude each other, so that it never holds
             --> rules/b.yaml:4:50
              |
            4 |     when: [quality > 3 || heat > 3, quality < 3, heat < 3]
              |                                                  ^^^^^^^^
              |
              = help: change one of them, or join by `||` what is meant as either
        "#]],
    );
    odd_rule(
        "when: quality > 80\n    unless: [heat > 3, quality > 50]",
        &expect![[r#"
            warning[never-holds]: this excepts all that `when` lets through, so that the rule `one` never holds
             --> rules/b.yaml:5:24
              |
            5 |     unless: [heat > 3, quality > 50]
              |                        ^^^^^^^^^^^^
              |
              = help: narrow it, or widen `when`
        "#]],
    );
    odd_rule(
        "when: has(title) && quality > 80\n    unless: [quality > 90, quality <= 90]",
        &expect![[r#"
            warning[never-holds]: `unless` excepts all that `when` lets through, so that the rule `one` never holds
             --> rules/b.yaml:5:28
              |
            5 |     unless: [quality > 90, quality <= 90]
              |                            ^^^^^^^^^^^^^
              |
              = help: narrow `unless`, or widen `when`
        "#]],
    );
    odd_rule(
        "when: 'images.exists(x, x.width > 3 && x.width < 2)'",
        &expect![[r#"
            warning[never-holds]: this never holds, and so the rule `one` never does
             --> rules/b.yaml:4:12
              |
            4 |     when: 'images.exists(x, x.width > 3 && x.width < 2)'
              |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: take it away, or change a number or a name in it
        "#]],
    );
    odd_queue(
        "score.total > 4 && score.total < 5",
        &expect![[r#"
        warning[never-holds]: `score.total < 5` never holds where `score.total > 4` does
         --> rules/b.yaml:3:30
          |
        3 |     when: score.total > 4 && score.total < 5
          |                              ^^^^^^^^^^^^^^^
          |
          = help: change one of the two, or join them by `||` if the queue `one` means either
    "#]],
    );
    odd_queue(
        "age_days > 7 && age_hours < 100",
        &expect![[r#"
        warning[never-holds]: `age_hours < 100` never holds where `age_days > 7` does
         --> rules/b.yaml:3:27
          |
        3 |     when: age_days > 7 && age_hours < 100
          |                           ^^^^^^^^^^^^^^^
          |
          = help: change one of the two, or join them by `||` if the queue `one` means either
    "#]],
    );
}

#[test]
fn queues_that_nothing_reaches() {
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "queues:\n  - {name: general}\n  - {name: late, when: quality > 3}\n",
            ),
        ],
        &expect![[r#"
            warning[unreachable-queue]: nothing reaches the queue `late`: `general` before it takes all
             --> rules/b.yaml:3:5
              |
            3 |   - {name: late, when: quality > 3}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: give `general` a `when`, or move it to the end
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "queues:\n  - {name: good, when: score.total >= 50}\n  - {name: urgent, when: score.total >= 100}\n  - {name: general}\n",
            ),
        ],
        &expect![[r#"
            warning[unreachable-queue]: nothing reaches the queue `urgent`: `good` before it takes all that it would
             --> rules/b.yaml:3:5
              |
            3 |   - {name: urgent, when: score.total >= 100}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: move `urgent` before `good`, or narrow `good`
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "queues:\n  - {name: ai, when: 'about(\"AI\")', unless: heat > 90}\n  - {name: hot, when: ['about(\"AI\")', quality > 3, heat < 10]}\n  - {name: general}\n",
            ),
        ],
        &expect![[r#"
            warning[unreachable-queue]: nothing reaches the queue `hot`: `ai` before it takes all that it would
             --> rules/b.yaml:3:5
              |
            3 |   - {name: hot, when: ['about("AI")', quality > 3, heat < 10]}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: move `hot` before `ai`, or narrow `ai`
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "queues:\n  - {name: stale, when: age_days > 3, skip: true}\n  - {name: old, when: age_days > 30}\n  - {name: general}\n",
            ),
        ],
        &expect![[r#"
            warning[unreachable-queue]: nothing reaches the queue `old`: `stale` before it takes all that it would
             --> rules/b.yaml:3:5
              |
            3 |   - {name: old, when: age_days > 30}
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: move `old` before `stale`, or narrow `stale`
        "#]],
    );
}

#[test]
fn rules_that_say_the_same() {
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "rules:\n  - {id: one, axis: heat, when: [quality > 3, 'about(\"AI\")'], points: 1, why: A}\n  - {id: two, axis: heat, when: '\"AI\" in topics && !(quality <= 3)', points: 2, why: B}\n",
            ),
        ],
        &expect![[r#"
            warning[same-rule]: the rule `two` says the same as `one`, at rules/b.yaml:2
             --> rules/b.yaml:3:10
              |
            3 |   - {id: two, axis: heat, when: '"AI" in topics && !(quality <= 3)', points: 2, why: B}
              |          ^^^
              |
              = help: keep one of the two, with the points of both
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "rules:\n  - {id: one, axis: heat, when: quality > 3, unless: [heat > 1, 'domain == \"a\"'], points: 1, why: A}\n  - {id: two, axis: heat, when: 3 < quality, unless: 'domain in [\"a\"] || heat > 1', points: 1, why: A}\n",
            ),
        ],
        &expect![[r#"
            warning[same-rule]: the rule `two` says the same as `one`, at rules/b.yaml:2
             --> rules/b.yaml:3:10
              |
            3 |   - {id: two, axis: heat, when: 3 < quality, unless: 'domain in ["a"] || heat > 1', points: 1, why: A}
              |          ^^^
              |
              = help: keep one of the two, with the points of both
        "#]],
    );
}

#[test]
fn topics_that_are_declared_nowhere() {
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "topics: [{name: Face recognition}]\nrules:\n  - {id: one, axis: heat, when: 'has(title) && about(\"Face-recognition\")', points: 1, why: A}\n",
            ),
        ],
        &expect![[r#"
            warning[unknown-topic]: no topic `Face-recognition` is declared
             --> rules/b.yaml:3:54
              |
            3 |   - {id: one, axis: heat, when: 'has(title) && about("Face-recognition")', points: 1, why: A}
              |                                                      ^^^^^^^^^^^^^^^^^^
              |
              = help: did you mean `Face recognition`?
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "topics: [{name: AI}]\nqueues:\n  - name: police\n    when: heat > 3\n    unless: 'quality > 3 && \"Police\" in topics'\n  - {name: general}\n",
            ),
        ],
        &expect![[r#"
            warning[unknown-topic]: no topic `Police` is declared
             --> rules/b.yaml:5:29
              |
            5 |     unless: 'quality > 3 && "Police" in topics'
              |                             ^^^^^^^^
              |
              = help: declare it under `topics:` as `- {name: Police}`
        "#]],
    );
}

#[test]
fn points_of_zero() {
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "rules: [{id: one, axis: heat, when: quality > 3, points: 0, why: A}]\n",
            ),
        ],
        &expect![[r#"
            warning[zero-points]: the rule `one` gives no points, whatever it finds
             --> rules/b.yaml:1:58
              |
            1 | rules: [{id: one, axis: heat, when: quality > 3, points: 0, why: A}]
              |                                                          ^
              |
              = help: give it points, or take it away; `mode: shadow` tries a rule out
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            ("b.yaml", "score: {quality: {field: quality, weight: 0}}\n"),
        ],
        &expect![[r#"
            warning[zero-points]: a weight of zero gives no points on `quality`
             --> rules/b.yaml:1:43
              |
            1 | score: {quality: {field: quality, weight: 0}}
              |                                           ^
              |
              = help: take `field` and `weight` away, or give it a weight
        "#]],
    );
}

#[test]
fn numbers_that_are_counted_twice() {
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "score: {heat: {field: heat}}\nqueues:\n  - {name: hot, when: [score.heat > 3 && quality > 1, heat > 3]}\n  - {name: general}\n",
            ),
        ],
        &expect![[r#"
            warning[counted-twice]: the queue `hot` asks for `heat` and for `score.heat`, which is counted from it
             --> rules/b.yaml:3:55
              |
            3 |   - {name: hot, when: [score.heat > 3 && quality > 1, heat > 3]}
              |                                                       ^^^^
              |
              = help: ask for one of the two: it is one number counted twice
        "#]],
    );
    warned(
        &[
            ("a.yaml", SOURCE),
            (
                "b.yaml",
                "score: {quality: {field: quality}}\nqueues:\n  - {name: good, when: score.quality > 3, unless: quality > 90}\n  - {name: general}\n",
            ),
        ],
        &expect![[r#"
            warning[counted-twice]: the queue `good` asks for `quality` and for `score.quality`, which is counted from it
             --> rules/b.yaml:3:51
              |
            3 |   - {name: good, when: score.quality > 3, unless: quality > 90}
              |                                                   ^^^^^^^
              |
              = help: ask for one of the two: it is one number counted twice
        "#]],
    );
}

#[test]
fn what_makes_sense_is_not_called_odd() {
    let rules = |lines: &[&str]| {
        let rule = |(n, line): (usize, &&str)| {
            format!("  - {{id: r{n}, axis: heat, points: 1, why: A, {line}}}\n")
        };
        let rules: String = lines.iter().enumerate().map(rule).collect();
        fine(&format!(
            "topics: [{{name: AI, points: 0}}]\nrules:\n{rules}"
        ));
    };
    rules(&[
        "when: quality > 3 && quality < 5",
        "when: quality > 3, unless: quality > 5",
        "when: '!has(excerpt) || size(excerpt) < 80'",
        "when: 'about(\"AI\") && !mentions(\"AI\")'",
        "when: 'images.all(x, x.width > 1)'",
        // The same condition elsewhere, or on trial.
        "when: heat > 3",
        "when: heat > 3, source: news",
        "when: heat > 3, mode: shadow",
    ]);
    let queues = [
        "{name: a, when: score.total >= 100}, {name: b, when: score.total >= 50}, {name: c}",
        "{name: a, when: quality > 3, mode: shadow}, {name: b, when: quality > 4}, {name: c}",
        "{name: a, when: quality > 3, decide: reject}, {name: b, when: quality > 4}, {name: c}",
        "{name: a, when: quality > 3, takes: published}, {name: b, when: quality > 4}, {name: c}",
        "{name: a, when: quality > 3, unless: heat > 3}, {name: b, when: quality > 4}, {name: c}",
        // A record without heat reaches the second.
        "{name: a, when: heat > 3 || heat <= 3}, {name: b, when: quality > 4}, {name: c}",
        "{name: a, when: [heat > 3, score.total > 9]}, {name: c}",
        "{name: a, when: [quality > 3, score.heat > 9]}, {name: c}",
    ];
    for queues in queues {
        let text = format!(
            "score: {{heat: {{field: heat}}, quality: {{field: quality}}}}\nqueues: [{queues}]\n"
        );
        // The one that asks for heat of any size is odd for another reason.
        let odd = load(&[("a.yaml", SOURCE), ("b.yaml", &text)])
            .unwrap()
            .warnings;
        let codes = odd
            .iter()
            .map(|w| w.code)
            .filter(|code| *code != "no-reviewers");
        assert!(
            codes.clone().all(|code| code == "always-holds"),
            "{queues}: {odd:#?}"
        );
        assert_eq!(
            codes.count(),
            usize::from(queues.contains("||")),
            "{queues}"
        );
    }
    // Where no topic is declared there is nothing to compare with.
    fine("rules: [{id: one, axis: heat, when: 'about(\"Police\")', points: 1, why: A}]\n");
    // Points that are not counted from the number.
    fine(
        "score: {heat: {cap: 9}}\nqueues: [{name: a, when: [heat > 3, score.heat > 3]}, {name: b}]\n",
    );
}

#[test]
fn files_that_say_less_than_they_seem_to() {
    let dir = TempDir::new().unwrap();
    let rules = dir.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("a.yaml"), "queues: [{name: general}]\n").unwrap();
    fs::write(rules.join("b.yml"), "queues: [{name: general}]\n").unwrap();
    let warnings = RuleSet::load(&rules).unwrap().warnings;
    let shown: Vec<String> = warnings.iter().map(|w| render(w, dir.path())).collect();
    expect![[r#"
        warning[no-reviewers]: there are no reviewers: nobody is mailed
         --> rules/a.yaml:1:1
          |
        1 | queues: [{name: general}]
          | ^^^^^^
          |
          = help: add a `reviewers:` section; `rules/README.md` shows one

        warning[not-read]: only files that end in `.yaml` are read
         --> rules/b.yml:1:1
          |
        1 | queues: [{name: general}]
          | ^
          |
          = help: rename it to end in `.yaml`
    "#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn many_warnings_of_a_kind_are_a_count() {
    let rules = |count: usize| {
        let rule = |n: usize| {
            format!("  - {{id: r{n}, axis: heat, when: quality > {n}, points: 0, why: A}}\n")
        };
        format!("rules:\n{}", (0..count).map(rule).collect::<String>())
    };
    let desk = Desk::new().with_rules("many.yaml", &rules(21));
    let run = desk.run(&["check"]).done().says(&[
        "warning[zero-points]: 18 more of this kind; `copydesk check --json` shows all",
        "21 warnings",
    ]);
    assert_eq!(run.stdout.matches("gives no points").count(), 3);
    let all = desk.json(&["check"]);
    assert_eq!(all.as_array().unwrap().len(), 21);
    // Of other kinds, all are shown.
    let desk = desk.with_rules("many.yaml", &rules(20));
    let run = desk.run(&["check"]).done();
    assert_eq!(run.stdout.matches("gives no points").count(), 20);
    assert!(!run.stdout.contains("more of this kind"));
}

#[test]
fn every_code_has_a_golden_message() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let golden: String = ["rules.rs", "warnings.rs", "topic_files.rs"]
        .map(|file| read(&format!("tests/integration/{file}")))
        .concat();
    let readme = read("rules/README.md");
    let rows = readme.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        Some((cells.next()?.strip_suffix('`')?, cells.next()?))
    });
    let codes: Vec<(&str, &str)> = rows
        .filter(|(_, severity)| ["error", "warning"].contains(severity))
        .collect();
    assert!(codes.len() > 40);
    for (code, severity) in codes {
        assert!(
            golden.contains(&format!("{severity}[{code}]: ")),
            "{severity}[{code}]"
        );
    }
}
