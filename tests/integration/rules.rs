//! What an editor is told about a wrong rule set, and what a right one does with a record.

use crate::corpus::corpus;
use crate::schema;
use copydesk::item::Verdict;
use copydesk::record::Record;
use copydesk::rules::assess::{Assessment, Occasion, Route, Subject};
use copydesk::rules::diagnostic::Diagnostic;
use copydesk::rules::score::Axis;
use copydesk::rules::{Refused, RuleSet};
use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What every set of these tests has beside the files that a test is about.
pub(crate) const SOURCE: &str = "sources:\n  - {name: news, path: ../content}\n";
const QUEUE: &str = "queues:\n  - {name: general, due: 3d}\n";
const REVIEWER: &str = "reviewers:\n  - {name: Ana, email: ana@example.org, queues: all}\n";

pub(crate) fn load(files: &[(&str, &str)]) -> Result<RuleSet, Vec<String>> {
    let (loaded, refused) = load_any(files);
    schema::agrees(files, refused.as_deref());
    loaded
}

/// As [`load`], of text that an editor with a YAML parser of its own may read otherwise.
fn load_any(files: &[(&str, &str)]) -> (Result<RuleSet, Vec<String>>, Option<Vec<Diagnostic>>) {
    let dir = TempDir::new().unwrap();
    let rules = dir.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for (name, text) in files {
        fs::write(rules.join(name), text).unwrap();
    }
    let shown = |faults: &[Diagnostic]| {
        faults
            .iter()
            .map(|fault| render(fault, dir.path()))
            .collect()
    };
    match RuleSet::load(&rules) {
        Ok(set) => (Ok(set), None),
        Err(Refused::Wrong(faults)) => (Err(shown(&faults)), Some(faults)),
        Err(other) => (Err(vec![other.to_string()]), Some(Vec::new())),
    }
}

pub(crate) fn render(fault: &Diagnostic, dir: &Path) -> String {
    let text = fault
        .render(false)
        .replace(&format!("{}/", dir.display()), "");
    assert!(fault.help.is_some(), "no mend: {text}");
    // The code stands in front of the message, the place below it.
    assert!(
        text.contains(&format!(
            "[{}]: {}",
            fault.code,
            fault.message.replace('\t', "    ")
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!("{}:{}", fault.line, fault.column)),
        "{text}"
    );
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

/// Loads a set that is wrong and compares all that is said of it.
fn refused(files: &[(&str, &str)], expected: &Expect) {
    let mut faults = load(files).expect_err("the set loads");
    // Few of these sets have reviewers, and that is not what they are about.
    faults.retain(|fault| !fault.starts_with("warning[no-reviewers]"));
    expected.assert_eq(&faults.join("\n"));
}

/// A rule with this line as its condition, on line 4.
fn when(line: &str) -> String {
    format!("rules:\n  - id: one\n    axis: topic\n    {line}\n    points: 1\n    why: Because\n")
}

fn wrong_condition(line: &str, expected: &Expect) {
    refused(
        &[("a.yaml", SOURCE), ("scoring.yaml", &when(line))],
        expected,
    );
}

fn wrong_reviewer(line: &str, expected: &Expect) {
    let text = format!(
        "reviewers:\n  - name: Ana\n    email: ana@example.org\n    queues: all\n    {line}\n"
    );
    refused(
        &[("queues.yaml", QUEUE), ("reviewers.yaml", &text)],
        expected,
    );
}

#[test]
fn yaml_that_cannot_be_read() {
    refused(
        &[("a.yaml", "queues:\n\t- name: general\n")],
        &expect![[r#"
        error[yaml]: tabs disallowed within this context (block indentation)
         --> rules/a.yaml:2:2
          |
        2 |     - name: general
          |     ^
          |
          = help: indent by spaces
    "#]],
    );
    refused(
        &[(
            "a.yaml",
            "queues:\n  - {name: general, due: 3d\n  - {name: other}\n",
        )],
        &expect![[r#"
        error[yaml]: unclosed bracket '{'
         --> rules/a.yaml:2:5
          |
        2 |   - {name: general, due: 3d
          |     ^
          |
          = help: close it, or put text that begins with it in quotes
    "#]],
    );
    refused(
        &[("a.yaml", "lists:\n  trusted: [example.org\nrules: []\n")],
        &expect![[r#"
        error[yaml]: illegal placement of ':' indicator
         --> rules/a.yaml:3:6
          |
        3 | rules: []
          |      ^
          |
          = help: close the bracket or the quote that is open above this line
    "#]],
    );
    refused(
        &[("a.yaml", "desk: {pictures: ask}\ndesk: {pictures: show}\n")],
        &expect![[r#"
        error[yaml]: the key `desk` stands twice
         --> rules/a.yaml:2:1
          |
        2 | desk: {pictures: show}
          | ^
          |
          = help: keep one of the two
    "#]],
    );
    refused(
        &[("a.yaml", "- queues\n")],
        &expect![[r#"
            error[wrong-type]: a rule file must be a mapping, not a list
             --> rules/a.yaml:1:1
              |
            1 | - queues
              | ^^^^^^^^
              |
              = help: write it as `key: value`, one to a line
        "#]],
    );
}

#[test]
fn sections_and_keys() {
    refused(
        &[("a.yaml", "queue:\n  - name: general\n")],
        &expect![[r#"
        error[unknown-section]: there is no section `queue`
         --> rules/a.yaml:1:1
          |
        1 | queue:
          | ^^^^^
          |
          = help: did you mean `queues`?
    "#]],
    );
    refused(
        &[("a.yaml", "colours: [red]\n")],
        &expect![[r#"
            error[unknown-section]: there is no section `colours`
             --> rules/a.yaml:1:1
              |
            1 | colours: [red]
              | ^^^^^^^
              |
              = help: the sections are `sources`, `score`, `topics`, `topic_files`, `lists`, `rules`, `queues`, `reviewers` and `desk`
        "#]],
    );
    refused(
        &[("a.yaml", "queues:\n  - {name: general, duo: 3d}\n")],
        &expect![[r#"
        error[unknown-key]: a queue has no `duo`
         --> rules/a.yaml:2:21
          |
        2 |   - {name: general, duo: 3d}
          |                     ^^^
          |
          = help: did you mean `due`?
    "#]],
    );
    refused(
        &[("a.yaml", "rules:\n  - id: one\n    when: quality > 3\n")],
        &expect![[r#"
        error[missing-key]: a rule needs `axis`
         --> rules/a.yaml:2:5
          |
        2 |   - id: one
          |     ^^^^^^^
          |
          = help: axis: topic

        error[missing-key]: a rule needs `points`
         --> rules/a.yaml:2:5
          |
        2 |   - id: one
          |     ^^^^^^^
          |
          = help: points: 10

        error[missing-key]: a rule needs `why`
         --> rules/a.yaml:2:5
          |
        2 |   - id: one
          |     ^^^^^^^
          |
          = help: why: the reason that reviewers read
    "#]],
    );
    refused(
        &[("a.yaml", "rules: [face]\n")],
        &expect![[r#"
            error[wrong-type]: a rule must be a mapping, not `face`
             --> rules/a.yaml:1:9
              |
            1 | rules: [face]
              |         ^^^^
              |
              = help: write it as `key: value`, one to a line
        "#]],
    );
    refused(
        &[("a.yaml", "queues:\n  name: general\n")],
        &expect![[r#"
            error[wrong-type]: `queues` must be a list, not a mapping
             --> rules/a.yaml:2:3
              |
            2 |   name: general
              |   ^^^^^^^^^^^^^
              |
              = help: begin each entry with `- `, or write [one, two]
        "#]],
    );
    refused(
        &[(
            "a.yaml",
            "topics:\n  - {name: AI, points: ten}\n  - {name: 5G, points: 1.5}\n  - {name: 2020}\n",
        )],
        &expect![[r#"
            error[wrong-type]: `points` must be a whole number between -1000000 and 1000000, not `ten`
             --> rules/a.yaml:2:24
              |
            2 |   - {name: AI, points: ten}
              |                        ^^^
              |
              = help: write a whole number, like 10

            error[wrong-type]: `points` must be a whole number between -1000000 and 1000000, not `1.5`
             --> rules/a.yaml:3:24
              |
            3 |   - {name: 5G, points: 1.5}
              |                        ^^^
              |
              = help: write a whole number, like 10

            error[wrong-type]: `name` must be text
             --> rules/a.yaml:4:12
              |
            4 |   - {name: 2020}
              |            ^^^^
              |
              = help: put it in quotes: "2020"
        "#]],
    );
    refused(
        &[("a.yaml", "queues:\n  - {name: general, order: oldst}\n")],
        &expect![[r#"
        error[unknown-word]: `order` must be `score`, `oldest`, `newest` or `fresh`, not `oldst`
         --> rules/a.yaml:2:28
          |
        2 |   - {name: general, order: oldst}
          |                            ^^^^^
          |
          = help: did you mean `oldest`?
    "#]],
    );
    refused(
        &[(
            "a.yaml",
            "score: {qualty: {weight: 1}, heat: {weight: 1}, topic: {field: titel}}\n",
        )],
        &expect![[r#"
        error[unknown-key]: there is no axis `qualty`
         --> rules/a.yaml:1:9
          |
        1 | score: {qualty: {weight: 1}, heat: {weight: 1}, topic: {field: titel}}
          |         ^^^^^^
          |
          = help: the axes are `quality`, `heat` and `topic`

        error[missing-key]: a weight needs the `field` that it weighs
         --> rules/a.yaml:1:30
          |
        1 | score: {qualty: {weight: 1}, heat: {weight: 1}, topic: {field: titel}}
          |                              ^^^^
          |
          = help: field: heat

        error[unknown-field]: there is no field `titel`
         --> rules/a.yaml:1:64
          |
        1 | score: {qualty: {weight: 1}, heat: {weight: 1}, topic: {field: titel}}
          |                                                                ^^^^^
          |
          = help: did you mean `title`?
    "#]],
    );
}

#[test]
fn names_that_are_given_twice() {
    refused(
        &[
            ("queues.yaml", QUEUE),
            (
                "team.yaml",
                "queues:\n  - name: urgent\n  - name: general\n",
            ),
        ],
        &expect![[r#"
            error[name-twice]: the queue `general` is there already, at rules/queues.yaml:2
             --> rules/team.yaml:3:11
              |
            3 |   - name: general
              |           ^^^^^^^
              |
              = help: give one of the two another name
        "#]],
    );
    refused(
        &[
            ("a.yaml", "desk: {pictures: ask}\n"),
            (
                "b.yaml",
                "desk: {pictures: show}\nlists: {vip: [a], quality: [b]}\n",
            ),
            ("c.yaml", "lists: {vip: [c]}\n"),
        ],
        &expect![[r#"
            error[name-twice]: the desk setting `pictures` is there already, at rules/a.yaml:1
             --> rules/b.yaml:1:8
              |
            1 | desk: {pictures: show}
              |        ^^^^^^^^
              |
              = help: keep one of the two

            error[bad-name]: `quality` is a field of the records
             --> rules/b.yaml:2:19
              |
            2 | lists: {vip: [a], quality: [b]}
              |                   ^^^^^^^
              |
              = help: give the list a name that no field has

            error[name-twice]: the list `vip` is there already, at rules/b.yaml:2
             --> rules/c.yaml:1:9
              |
            1 | lists: {vip: [c]}
              |         ^^^
              |
              = help: give one of the two another name
        "#]],
    );
}

#[test]
fn names_and_types_in_conditions() {
    wrong_condition(
        "when: qualty > 70",
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:4:11
          |
        4 |     when: qualty > 70
          |           ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
    wrong_condition(
        "when: quality > 70 && provider.nme == \"x\"",
        &expect![[r#"
        error[condition]: `provider` has no field `nme`
         --> rules/scoring.yaml:4:27
          |
        4 |     when: quality > 70 && provider.nme == "x"
          |                           ^^^^^^^^^^^^
          |
          = help: did you mean `name`?
    "#]],
    );
    wrong_condition(
        "when: title > 70",
        &expect![[r#"
            error[condition]: `title` is text and cannot be compared with `70`, which is a number
             --> rules/scoring.yaml:4:11
              |
            4 |     when: title > 70
              |           ^^^^^^^^^^
              |
              = help: numbers go without quotes, text in quotes; size() of a text is a number
        "#]],
    );
    wrong_condition(
        "when: quality > 70 and heat > 3",
        &expect![[r#"
        error[condition]: `and` joins nothing
         --> rules/scoring.yaml:4:24
          |
        4 |     when: quality > 70 and heat > 3
          |                        ^^^
          |
          = help: write `&&`
    "#]],
    );
    wrong_condition(
        "when: quality = 70",
        &expect![[r#"
        error[condition]: `=` is no comparison
         --> rules/scoring.yaml:4:19
          |
        4 |     when: quality = 70
          |                   ^
          |
          = help: write `==`
    "#]],
    );
    wrong_condition(
        "when: title.contains(“police”)",
        &expect![[r#"
        error[condition]: “ does not quote text
         --> rules/scoring.yaml:4:26
          |
        4 |     when: title.contains(“police”)
          |                          ^
          |
          = help: write straight quotes: "…" or '…'
    "#]],
    );
    wrong_condition(
        "when: title.matches(\"(police\")",
        &expect![[r#"
            error[condition]: this pattern cannot be read: unclosed group
             --> rules/scoring.yaml:4:25
              |
            4 |     when: title.matches("(police")
              |                         ^^^^^^^^^
              |
              = help: close the `(`, or write `\(` for a bracket in the text
        "#]],
    );
    wrong_condition(
        "when: score.total > 100",
        &expect![[r#"
        error[condition]: scoring knows no queues: only they may read `score.total`
         --> rules/scoring.yaml:4:11
          |
        4 |     when: score.total > 100
          |           ^^^^^^^^^^^
          |
          = help: move this condition to a queue
    "#]],
    );
    wrong_condition(
        "when: {quality: 70}",
        &expect![[r#"
        error[wrong-type]: `when` must be a condition, not a mapping
         --> rules/scoring.yaml:4:11
          |
        4 |     when: {quality: 70}
          |           ^^^^^^^^^^^^^
          |
          = help: write it like `when: quality > 70`
    "#]],
    );
    wrong_condition(
        "when:",
        &expect![[r#"
        error[condition]: the condition is empty
         --> rules/scoring.yaml:4:9
          |
        4 |     when:
          |         ^
          |
          = help: write one, or leave the key out
    "#]],
    );
}

#[test]
fn a_fault_is_marked_where_it_stands_whatever_the_quotes() {
    wrong_condition(
        r#"when: "title == \"a\" || qualty > 3""#,
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:4:30
          |
        4 |     when: "title == \"a\" || qualty > 3"
          |                              ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
    wrong_condition(
        "when: 'title == ''a'' || qualty > 3'",
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:4:30
          |
        4 |     when: 'title == ''a'' || qualty > 3'
          |                              ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
    wrong_condition(
        "when: >-\n      quality > 3\n      && qualty > 4",
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:6:10
          |
        6 |       && qualty > 4
          |          ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
    wrong_condition(
        "when: [quality > 3, \"'é' == title && qualty > 4\"]",
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:4:42
          |
        4 |     when: [quality > 3, "'é' == title && qualty > 4"]
          |                                          ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
    wrong_condition(
        "when: quality > 3\n      && qualty > 4",
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:5:10
          |
        5 |       && qualty > 4
          |          ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
}

#[test]
fn conditions_that_yaml_breaks_are_shown_in_quotes() {
    wrong_condition(
        "when: \"AI\" in topics",
        &expect![[r#"
        error[yaml]: invalid trailing content after double-quoted scalar
         --> rules/scoring.yaml:4:16
          |
        4 |     when: "AI" in topics
          |                ^
          |
          = help: YAML reads this in its own way; quote the condition: when: '"AI" in topics'
    "#]],
    );
    wrong_condition(
        "when: !has(images)",
        &expect![[r#"
        error[yaml]: the tag `!has(images)` is not known here
         --> rules/scoring.yaml:4:11
          |
        4 |     when: !has(images)
          |           ^
          |
          = help: YAML reads this in its own way; quote the condition: when: '!has(images)'
    "#]],
    );
    wrong_condition(
        "when: title == \"C # 1\"",
        &expect![[r#"
        error[condition]: this text never ends
         --> rules/scoring.yaml:4:20
          |
        4 |     when: title == "C # 1"
          |                    ^^
          |
          = help: YAML reads this in its own way; quote the condition: when: 'title == "C # 1"'
    "#]],
    );
    wrong_condition(
        "when: title == \"Note: this\"",
        &expect![[r#"
        error[yaml]: mapping values are not allowed in this context
         --> rules/scoring.yaml:4:25
          |
        4 |     when: title == "Note: this"
          |                         ^
          |
          = help: YAML reads this in its own way; quote the condition: when: 'title == "Note: this"'
    "#]],
    );
    wrong_condition(
        "when: published ? heat > 3 : heat > 4",
        &expect![[r#"
        error[yaml]: mapping values are not allowed in this context
         --> rules/scoring.yaml:4:32
          |
        4 |     when: published ? heat > 3 : heat > 4
          |                                ^
          |
          = help: YAML reads this in its own way; quote the condition: when: 'published ? heat > 3 : heat > 4'
    "#]],
    );
    wrong_condition(
        "when:\n      - quality > 3\n      - 'AI' in topics",
        &expect![[r#"
        error[yaml]: invalid trailing content after single-quoted scalar
         --> rules/scoring.yaml:6:14
          |
        6 |       - 'AI' in topics
          |              ^
          |
          = help: YAML reads this in its own way; quote the condition: - '''AI'' in topics'
    "#]],
    );
    wrong_condition(
        "when:\n      - quality > 3\n      - !published",
        &expect![[r#"
        error[yaml]: the tag `!published` is not known here
         --> rules/scoring.yaml:6:9
          |
        6 |       - !published
          |         ^
          |
          = help: YAML reads this in its own way; quote the condition: - '!published'
    "#]],
    );
    wrong_condition(
        "when: [!published, quality > 3]",
        &expect![[r#"
        error[yaml]: the tag `!published` is not known here
         --> rules/scoring.yaml:4:12
          |
        4 |     when: [!published, quality > 3]
          |            ^
          |
          = help: YAML reads this in its own way; quote each condition of the list: when: ['…', '…']
    "#]],
    );
    for entry in [
        "{name: ai, when: mentions(\"a\", \"b\"), due: 1d}",
        "{name: ai, when: topics[0] == \"AI\", due: 1d}",
        "{name: ai, when: \"AI\" in topics}",
        "{name: ai, when: title == \"C # 1\"}",
        "{name: ai, when: quality > 3, unless: mentions(\"a\", \"b\")}",
        "{name: ai, unless: quality > 3, when: mentions(\"a\", \"b\")}",
    ] {
        let faults = load(&[("queues.yaml", &format!("queues:\n  - {entry}\n"))]).unwrap_err();
        let help = faults
            .iter()
            .find(|fault| fault.contains("quote the condition"));
        assert!(help.is_some(), "{entry}: {}", faults.join("\n"));
    }
    refused(
        &[(
            "queues.yaml",
            "queues:\n  - {name: ai, when: mentions(\"a\", \"b\"), due: 1d}\n",
        )],
        &expect![[r#"
        error[yaml]: invalid trailing content after double-quoted scalar
         --> rules/queues.yaml:2:39
          |
        2 |   - {name: ai, when: mentions("a", "b"), due: 1d}
          |                                       ^
          |
          = help: YAML reads this in its own way; quote the condition: when: 'mentions("a", "b")'
    "#]],
    );
    refused(
        &[(
            "queues.yaml",
            "queues:\n  - {name: ai, when: topics[0] == \"AI\"}\n",
        )],
        &expect![[r#"
        error[yaml]: while parsing a flow mapping, did not find expected ',' or '}'
         --> rules/queues.yaml:2:28
          |
        2 |   - {name: ai, when: topics[0] == "AI"}
          |                            ^
          |
          = help: YAML reads this in its own way; quote the condition: when: 'topics[0] == "AI"'
    "#]],
    );
}

#[test]
fn a_condition_that_reads_well_is_not_blamed() {
    for text in [
        "queues:\n  - {name: ai, when: quality > 3\n",
        "queues:\n  - name: ai\n    when: quality > 3\n   due: 3d\n",
    ] {
        let faults = load(&[("queues.yaml", text)]).unwrap_err().join("\n");
        assert!(
            faults.contains("error[yaml]") && !faults.contains("quote the condition"),
            "{faults}"
        );
    }
}

#[test]
fn a_comment_is_blamed_only_when_it_is_to_blame() {
    wrong_condition(
        "when: qualty > 3 # it's good",
        &expect![[r#"
        error[condition]: there is no field `qualty`
         --> rules/scoring.yaml:4:11
          |
        4 |     when: qualty > 3 # it's good
          |           ^^^^^^
          |
          = help: did you mean `quality`?
    "#]],
    );
    assert!(
        load(&[
            ("a.yaml", SOURCE),
            ("b.yaml", &when("when: quality > 3 # good"))
        ])
        .is_ok()
    );
}

#[test]
fn topics() {
    refused(
        &[(
            "a.yaml",
            "topics:\n  - {name: AI}\n  - {name: AWS AI, parent: AL}\n  - {name: Vision, parent: Optics}\n",
        )],
        &expect![[r#"
        error[unknown-topic]: there is no topic `AL`
         --> rules/a.yaml:3:28
          |
        3 |   - {name: AWS AI, parent: AL}
          |                            ^^
          |
          = help: did you mean `AI`?

        error[unknown-topic]: there is no topic `Optics`
         --> rules/a.yaml:4:28
          |
        4 |   - {name: Vision, parent: Optics}
          |                            ^^^^^^
          |
          = help: declare it: `- {name: Optics}`
    "#]],
    );
    refused(
        &[(
            "a.yaml",
            "topics:\n  - {name: A, parent: B}\n  - {name: B, parent: A}\n  - {name: C, parent: A}\n  - {name: D, parent: D, keywords: [\"-\"]}\n",
        )],
        &expect![[r#"
            error[topic-cycle]: `A` is its own parent, by way of `B`
             --> rules/a.yaml:2:23
              |
            2 |   - {name: A, parent: B}
              |                       ^
              |
              = help: take one `parent` away

            error[topic-cycle]: `B` is its own parent, by way of `A`
             --> rules/a.yaml:3:23
              |
            3 |   - {name: B, parent: A}
              |                       ^
              |
              = help: take one `parent` away

            error[topic-cycle]: `D` is its own parent, by way of `D`
             --> rules/a.yaml:5:23
              |
            5 |   - {name: D, parent: D, keywords: ["-"]}
              |                       ^
              |
              = help: take one `parent` away

            error[bad-keyword]: a keyword needs a letter or a digit
             --> rules/a.yaml:5:37
              |
            5 |   - {name: D, parent: D, keywords: ["-"]}
              |                                     ^^^
              |
              = help: write a word, or take the keyword away
        "#]],
    );
}

#[test]
fn queues_and_reviewers() {
    let reviewer = "reviewers:\n  - {name: Ana, email: ana@example.org, queues: [general]}\n";
    let queues = "queues:\n  - {name: urgent, when: score.total > 90}\n  - {name: spam, when: quality < 3, skip: true}\n  - {name: general}\n";
    refused(
        &[("queues.yaml", queues), ("reviewers.yaml", reviewer)],
        &expect![[r#"
        error[unread-queue]: no reviewer reads the queue `urgent`
         --> rules/queues.yaml:2:12
          |
        2 |   - {name: urgent, when: score.total > 90}
          |            ^^^^^^
          |
          = help: add `urgent` to the `queues` of a reviewer, or give one `queues: all`
    "#]],
    );
    refused(
        &[
            ("queues.yaml", QUEUE),
            (
                "reviewers.yaml",
                "reviewers:\n  - {name: Ana, email: ana@example.org, queues: [genral], alert: [urgent]}\n",
            ),
        ],
        &expect![[r#"
        error[unknown-queue]: there is no queue `genral`
         --> rules/reviewers.yaml:2:50
          |
        2 |   - {name: Ana, email: ana@example.org, queues: [genral], alert: [urgent]}
          |                                                  ^^^^^^
          |
          = help: did you mean `general`?

        error[unknown-queue]: there is no queue `urgent`
         --> rules/reviewers.yaml:2:67
          |
        2 |   - {name: Ana, email: ana@example.org, queues: [genral], alert: [urgent]}
          |                                                                   ^^^^^^
          |
          = help: there are `general`
    "#]],
    );
    refused(
        &[(
            "queues.yaml",
            "queues:\n  - {name: general, order: fresh}\n  - {name: b, half_life: 1d}\n  - {name: c, skip: true, decide: reject}\n  - {name: all, due: soon}\n",
        )],
        &expect![[r#"
        error[missing-key]: `order: fresh` needs `half_life`
         --> rules/queues.yaml:2:28
          |
        2 |   - {name: general, order: fresh}
          |                            ^^^^^
          |
          = help: half_life: 36h

        error[unused-key]: `half_life` counts only with `order: fresh`
         --> rules/queues.yaml:3:15
          |
        3 |   - {name: b, half_life: 1d}
          |               ^^^^^^^^^
          |
          = help: order: fresh

        error[skip-and-decide]: a queue that skips opens no item to decide
         --> rules/queues.yaml:4:35
          |
        4 |   - {name: c, skip: true, decide: reject}
          |                                   ^^^^^^
          |
          = help: keep one of the two

        error[bad-span]: `due`: `soon` is no span of time
         --> rules/queues.yaml:5:22
          |
        5 |   - {name: all, due: soon}
          |                      ^^^^
          |
          = help: write a number and m, h, d, w or y, like 36h or 3d
    "#]],
    );
    wrong_reviewer(
        "timezone: Europe/Lisboa",
        &expect![[r#"
        error[bad-timezone]: there is no time zone `Europe/Lisboa`
         --> rules/reviewers.yaml:5:15
          |
        5 |     timezone: Europe/Lisboa
          |               ^^^^^^^^^^^^^
          |
          = help: write a name of the time-zone database, like Europe/Lisbon
    "#]],
    );
    wrong_reviewer(
        "digest: daily",
        &expect![[r#"
            error[bad-cron]: `daily` is one field, not five
             --> rules/reviewers.yaml:5:13
              |
            5 |     digest: daily
              |             ^^^^^
              |
              = help: write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`
        "#]],
    );
    wrong_reviewer(
        "digest: \"0 25 * * MON-FRY\"",
        &expect![[r#"
            error[bad-cron]: `25` is no hour
             --> rules/reviewers.yaml:5:13
              |
            5 |     digest: "0 25 * * MON-FRY"
              |             ^^^^^^^^^^^^^^^^^^
              |
              = help: write 0 to 23
        "#]],
    );
    wrong_reviewer(
        "digest: \"0 9 * * MON-FRY\"",
        &expect![[r#"
            error[bad-cron]: `FRY` is no weekday
             --> rules/reviewers.yaml:5:13
              |
            5 |     digest: "0 9 * * MON-FRY"
              |             ^^^^^^^^^^^^^^^^^
              |
              = help: write 0 to 7 (0 and 7 are Sunday) or SUN to SAT
        "#]],
    );
    wrong_reviewer(
        "quiet: 8pm to 8am",
        &expect![[r#"
        error[bad-quiet]: `8pm to 8am` are no quiet hours
         --> rules/reviewers.yaml:5:12
          |
        5 |     quiet: 8pm to 8am
          |            ^^^^^^^^^^
          |
          = help: write two times, like "20:00-08:00"
    "#]],
    );
    wrong_reviewer(
        "remind: three days",
        &expect![[r#"
        error[bad-span]: `remind`: `three days` is no span of time
         --> rules/reviewers.yaml:5:13
          |
        5 |     remind: three days
          |             ^^^^^^^^^^
          |
          = help: write a number and m, h, d, w or y, like 36h or 3d
    "#]],
    );
    refused(
        &[
            ("queues.yaml", QUEUE),
            (
                "b.yaml",
                "reviewers:\n  - {name: Ana, email: Ana <ana@example.org>, queues: all}\n  - {name: Bea, email: bea@example.org}\n",
            ),
        ],
        &expect![[r#"
        error[bad-email]: `Ana <ana@example.org>` is no mail address
         --> rules/b.yaml:2:24
          |
        2 |   - {name: Ana, email: Ana <ana@example.org>, queues: all}
          |                        ^^^^^^^^^^^^^^^^^^^^^
          |
          = help: write the bare address, like ana@example.org

        error[missing-key]: a reviewer needs `queues`
         --> rules/b.yaml:3:5
          |
        3 |   - {name: Bea, email: bea@example.org}
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: queues: all, or a list of names
    "#]],
    );
    refused(
        &[
            ("queues.yaml", QUEUE),
            (
                "b.yaml",
                "reviewers:\n  - {name: Ana, email: ana@example.org, queues: all}\n  - {name: Ana, email: ANA@example.org, queues: all}\n",
            ),
        ],
        &expect![[r#"
        error[name-twice]: the reviewer `ana@example.org` is there already, at rules/b.yaml:2
         --> rules/b.yaml:3:24
          |
        3 |   - {name: Ana, email: ANA@example.org, queues: all}
          |                        ^^^^^^^^^^^^^^^
          |
          = help: keep one of the two
    "#]],
    );
    refused(
        &[(
            "a.yaml",
            "desk: {pictures: no, escalate: {first: 1}, reassert: {per_day: -1}, reject_reasons: {a: }}\n",
        )],
        &expect![[r#"
            error[unknown-word]: `pictures` must be `show`, `ask` or `never`, not `no`
             --> rules/a.yaml:1:18
              |
            1 | desk: {pictures: no, escalate: {first: 1}, reassert: {per_day: -1}, reject_reasons: {a: }}
              |                  ^^
              |
              = help: write one of these words

            error[bad-span]: `first`: `1` is no span of time
             --> rules/a.yaml:1:40
              |
            1 | desk: {pictures: no, escalate: {first: 1}, reassert: {per_day: -1}, reject_reasons: {a: }}
              |                                        ^
              |
              = help: write a number and m, h, d, w or y, like 36h or 3d

            error[wrong-type]: `per_day` must be 0 or more
             --> rules/a.yaml:1:64
              |
            1 | desk: {pictures: no, escalate: {first: 1}, reassert: {per_day: -1}, reject_reasons: {a: }}
              |                                                                ^^
              |
              = help: 0 never writes again what a feed took back

            error[wrong-type]: a reason must be text, not nothing
             --> rules/a.yaml:1:87
              |
            1 | desk: {pictures: no, escalate: {first: 1}, reassert: {per_day: -1}, reject_reasons: {a: }}
              |                                                                                       ^
              |
              = help: write some text; what YAML reads in its own way goes in quotes
        "#]],
    );
}

#[test]
fn schedules_that_are_right() {
    for cron in [
        "0 9,14 * * MON-FRI",
        "*/15 * * * *",
        "0 8 1-7 jan,JUL *",
        "5 0-6/2 * * SUN-TUE",
        "0 9 * * 0-7",
    ] {
        let text = format!(
            "reviewers:\n  - {{name: A, email: a@example.org, queues: all, digest: \"{cron}\"}}\n"
        );
        let loaded = load(&[("queues.yaml", QUEUE), ("b.yaml", &text)]);
        assert!(loaded.is_ok(), "{cron}: {loaded:?}");
    }
    for cron in [
        "60 * * * *",
        "0 8 1-7 * 0",
        "0 0 30 2 *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "20-8 9 * * *",
        "1, * * * *",
        "+1 * * * *",
    ] {
        let text = format!(
            "reviewers:\n  - {{name: A, email: a@example.org, queues: all, digest: \"{cron}\"}}\n"
        );
        assert!(
            load(&[("queues.yaml", QUEUE), ("b.yaml", &text)]).is_err(),
            "{cron}"
        );
    }
}

#[test]
fn sources() {
    let source =
        |line: &str| format!("sources:\n  - name: news\n    path: ../content\n    {line}\n");
    refused(
        &[(
            "sources.yaml",
            &source(
                "identity: [webUrl]\n    published: {key: published}\n    fields:\n      signal: [heat, secured, published]\n      volatile: [secured, webUrl]",
            ),
        )],
        &expect![[r#"
            error[class-twice]: `published` is signal here on line 7 and decision on line 5
             --> rules/sources.yaml:7:31
              |
            7 |       signal: [heat, secured, published]
              |                               ^^^^^^^^^
              |
              = help: give each key one class

            error[class-twice]: `secured` is volatile here on line 8 and signal on line 7
             --> rules/sources.yaml:8:18
              |
            8 |       volatile: [secured, webUrl]
              |                  ^^^^^^^
              |
              = help: give each key one class

            error[class-twice]: `webUrl` names records and cannot be volatile
             --> rules/sources.yaml:8:27
              |
            8 |       volatile: [secured, webUrl]
              |                           ^^^^^^
              |
              = help: take it out of `identity` or out of `volatile`
        "#]],
    );
    refused(
        &[("sources.yaml", &source("fields: {signal: [published]}"))],
        &expect![[r#"
        error[class-twice]: `published` is signal here on line 4 and decision by itself, since it says what is published
         --> rules/sources.yaml:4:23
          |
        4 |     fields: {signal: [published]}
          |                       ^^^^^^^^^
          |
          = help: give each key one class
    "#]],
    );
    for to in [
        "../content",
        "..",
        "../content/../content/x",
        "../absent/../content",
    ] {
        let line = format!("reject: {{move: {to}}}");
        let refused = load(&[("sources.yaml", &source(&line))]).unwrap_err();
        assert!(
            refused[0].starts_with("error[bad-move]"),
            "{to}: {refused:?}"
        );
    }
    refused(
        &[(
            "sources.yaml",
            &source("reject: {move: ../content/_archive}"),
        )],
        &expect![[r#"
            error[bad-move]: a file that is moved there would be seen again: the folder and that of source `news` lie in one another
             --> rules/sources.yaml:4:20
              |
            4 |     reject: {move: ../content/_archive}
              |                    ^^^^^^^^^^^^^^^^^^^
              |
              = help: name a folder beside those of the sources, as ../_archive
        "#]],
    );
    refused(
        &[(
            "sources.yaml",
            &source("reject: {move: ../_archive, set: {published: false}}"),
        )],
        &expect![[r#"
            error[unused-key]: a rejection sets keys or moves the file
             --> rules/sources.yaml:4:14
              |
            4 |     reject: {move: ../_archive, set: {published: false}}
              |              ^^^^
              |
              = help: keep one of `set` and `move`
        "#]],
    );
    refused(
        &[("sources.yaml", &source("approve: {move: ../_archive}"))],
        &expect![[r#"
            error[missing-key]: `approve` needs `set`
             --> rules/sources.yaml:4:14
              |
            4 |     approve: {move: ../_archive}
              |              ^^^^^^^^^^^^^^^^^^^
              |
              = help: set: {published: true}, or false

            error[unknown-key]: `approve` has no `move`
             --> rules/sources.yaml:4:15
              |
            4 |     approve: {move: ../_archive}
              |               ^^^^
              |
              = help: it may have `set`
        "#]],
    );
    refused(
        &[("sources.yaml", &source("include: [\"**/*.md\", \"{a,b\"]"))],
        &expect![[r#"
        error[bad-pattern]: not a pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
         --> rules/sources.yaml:4:26
          |
        4 |     include: ["**/*.md", "{a,b"]
          |                          ^^^^^^
          |
          = help: write one like "**/*.md"
    "#]],
    );
    refused(
        &[(
            "sources.yaml",
            &source("approve: {set: {published: yes, desk: [a]}}"),
        )],
        &expect![[r#"
            error[wrong-type]: `published` says whether a record is published: set it to true or false
             --> rules/sources.yaml:4:32
              |
            4 |     approve: {set: {published: yes, desk: [a]}}
              |                                ^^^
              |
              = help: published: true, or published: false

            error[wrong-type]: `desk` must be set to one value
             --> rules/sources.yaml:4:43
              |
            4 |     approve: {set: {published: yes, desk: [a]}}
              |                                           ^^^
              |
              = help: write text, a number, true or false
        "#]],
    );
    refused(
        &[(
            "sources.yaml",
            &source(
                "types: {members: nummer, quality: string, domain: string, sizes: [number, string]}",
            ),
        )],
        &expect![[r#"
        error[unknown-word]: a type must be `number`, `string`, `text`, `bool` or `boolean`, not `nummer`
         --> rules/sources.yaml:4:22
          |
        4 |     types: {members: nummer, quality: string, domain: string, sizes: [number, string]}
          |                      ^^^^^^
          |
          = help: did you mean `number`?

        error[type-twice]: `quality` is text here and a number in every rule set
         --> rules/sources.yaml:4:30
          |
        4 |     types: {members: nummer, quality: string, domain: string, sizes: [number, string]}
          |                              ^^^^^^^
          |
          = help: give the field one type

        error[bad-name]: `domain` means something else in conditions
         --> rules/sources.yaml:4:47
          |
        4 |     types: {members: nummer, quality: string, domain: string, sizes: [number, string]}
          |                                               ^^^^^^
          |
          = help: leave it out, and write record["domain"] for the field

        error[wrong-type]: a list has one type
         --> rules/sources.yaml:4:70
          |
        4 |     types: {members: nummer, quality: string, domain: string, sizes: [number, string]}
          |                                                                      ^^^^^^^^^^^^^^^^
          |
          = help: write it like [string]
    "#]],
    );
    refused(
        &[
            (
                "a.yaml",
                "sources:\n  - {name: news, path: ../a, types: {members: number}}\n",
            ),
            (
                "b.yaml",
                "sources:\n  - {name: blog, path: ../b, types: {members: string}}\n",
            ),
        ],
        &expect![[r#"
            error[type-twice]: `members` is text here and a number at rules/a.yaml:2
             --> rules/b.yaml:2:38
              |
            2 |   - {name: blog, path: ../b, types: {members: string}}
              |                                      ^^^^^^^
              |
              = help: give the field one type
        "#]],
    );
    refused(
        &[(
            "a.yaml",
            "lists:\n  mixed: [a, 1]\n  odd-name: [a]\n  yes_no: [true]\n",
        )],
        &expect![[r#"
        error[wrong-type]: a list holds text only or numbers only
         --> rules/a.yaml:2:14
          |
        2 |   mixed: [a, 1]
          |              ^
          |
          = help: put what is text in quotes

        error[bad-name]: conditions cannot name a list `odd-name`
         --> rules/a.yaml:3:3
          |
        3 |   odd-name: [a]
          |   ^^^^^^^^
          |
          = help: use letters, digits and `_`, and begin with a letter

        error[wrong-type]: a list holds text only or numbers only
         --> rules/a.yaml:4:12
          |
        4 |   yes_no: [true]
          |            ^^^^
          |
          = help: put what is text in quotes
    "#]],
    );
}

#[test]
fn examples_run_on_every_load() {
    let examples = "    examples:\n      hits: [{title: Police}, {title: A, quality: 3}, Police]\n      misses: [{title: B, quality: 90}]\n";
    let rule = when("when: quality > 70") + examples;
    refused(
        &[("a.yaml", SOURCE), ("b.yaml", &rule)],
        &expect![[r#"
            error[example]: the rule `one` misses this example, which it should hit
             --> rules/b.yaml:8:14
              |
            8 |       hits: [{title: Police}, {title: A, quality: 3}, Police]
              |              ^^^^^^^^^^^^^^^
              |
              = help: when all of this holds
                        ? quality > 70  missing: quality

            error[example]: the rule `one` misses this example, which it should hit
             --> rules/b.yaml:8:31
              |
            8 |       hits: [{title: Police}, {title: A, quality: 3}, Police]
              |                               ^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: when all of this holds
                        ✗ quality > 70  quality is 3

            error[wrong-type]: an example must be a mapping, not `Police`
             --> rules/b.yaml:8:55
              |
            8 |       hits: [{title: Police}, {title: A, quality: 3}, Police]
              |                                                       ^^^^^^
              |
              = help: write it as `key: value`, one to a line

            error[example]: the rule `one` hits this example, which it should miss
             --> rules/b.yaml:9:16
              |
            9 |       misses: [{title: B, quality: 90}]
              |                ^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: when all of this holds
                        ✓ quality > 70  quality is 90
        "#]],
    );
    let good = when("when: quality > 70 && age_days > 2")
        + "    examples:\n      hits: [{quality: 71, age_days: 3}]\n      misses: [{quality: 71, age_hours: 47}, {quality: 71}]\n";
    assert!(load(&[("a.yaml", SOURCE), ("b.yaml", &good)]).is_ok());
}

/// A queue's example goes through the whole set: what it scores, and the queues before.
#[test]
fn examples_of_queues_are_routed_by_the_whole_set() {
    let rules = "score: {quality: {field: quality}}
lists: {trusted: [example.org]}
rules:
  - {id: vendor, axis: quality, when: domain in trusted, points: 20, why: From the vendor}
queues:
  - name: urgent
    when: [score.total >= 90, '!(age_days > 7 || domain == \"example.net\")']
    examples:
      hits: [{quality: 70, provider: {domain: example.org}}, {quality: 70}, {quality: 95, age_days: 8}]
      misses: [{quality: 89}, {quality: 90, published: true}, {quality: 91}]
  - name: shy
    when: quality > 60
    mode: shadow
    examples: {hits: [{quality: 61}], misses: [{quality: 95}, {quality: 62}]}
  - name: general
    examples:
      hits:
        - title: Long
          quality: 95
          provider: {domain: example.com}
        - {quality: 61}
      misses: [{quality: 95}, {title: Short}, {published: true}]
  - {name: last, examples: {hits: [{published: true}, A]}}
";
    refused(
        &[("a.yaml", SOURCE), ("b.yaml", rules)],
        &expect![[r#"
            error[example]: the queue `urgent` does not take this example, which it should
             --> rules/b.yaml:9:62
              |
            9 |       hits: [{quality: 70, provider: {domain: example.org}}, {quality: 70}, {quality: 95, age_days: 8}]
              |                                                              ^^^^^^^^^^^^^
              |
              = help: `general` takes it
                      when all of this holds
                        ✗ score.total >= 90            score.total is 70
                        ? not
                          ? any of
                            ✗ age_days > 7             age_days is 0
                            ? domain == "example.net"  missing: provider.domain

            error[example]: the queue `urgent` does not take this example, which it should
             --> rules/b.yaml:9:77
              |
            9 |       hits: [{quality: 70, provider: {domain: example.org}}, {quality: 70}, {quality: 95, age_days: 8}]
              |                                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: `general` takes it
                      when all of this holds
                        ✓ score.total >= 90            score.total is 95
                        ✗ not
                          ✓ any of
                            ✓ age_days > 7             age_days is 8
                            ? domain == "example.net"  missing: provider.domain

            error[example]: the queue `shy` takes this example, which it should miss
              --> rules/b.yaml:14:48
               |
            14 |     examples: {hits: [{quality: 61}], misses: [{quality: 95}, {quality: 62}]}
               |                                                ^^^^^^^^^^^^^
               |
               = help: when all of this holds
                         ✓ quality > 60  quality is 95

            error[example]: the queue `shy` takes this example, which it should miss
              --> rules/b.yaml:14:63
               |
            14 |     examples: {hits: [{quality: 61}], misses: [{quality: 95}, {quality: 62}]}
               |                                                               ^^^^^^^^^^^^^
               |
               = help: when all of this holds
                         ✓ quality > 60  quality is 62

            error[example]: the queue `general` does not take this example, which it should
              --> rules/b.yaml:18:11
               |
            18 |         - title: Long
               |           ^^^^^^^^^^^
               |
               = help: the record is {"title":"Long","quality":95,"provider":{"domain":"example.com"}}
                       `urgent` takes it

            error[example]: the queue `general` takes this example, which it should miss
              --> rules/b.yaml:22:16
               |
            22 |       misses: [{quality: 95}, {title: Short}, {published: true}]
               |                ^^^^^^^^^^^^^
               |
               = help: change the condition or the example

            error[example]: the queue `general` takes this example, which it should miss
              --> rules/b.yaml:22:31
               |
            22 |       misses: [{quality: 95}, {title: Short}, {published: true}]
               |                               ^^^^^^^^^^^^^^
               |
               = help: change the condition or the example

            warning[unreachable-queue]: nothing reaches the queue `last`: `general` before it takes all
              --> rules/b.yaml:23:5
               |
            23 |   - {name: last, examples: {hits: [{published: true}, A]}}
               |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: give `general` a `when`, or move it to the end

            error[example]: the queue `last` does not take this example, which it should
              --> rules/b.yaml:23:36
               |
            23 |   - {name: last, examples: {hits: [{published: true}, A]}}
               |                                    ^^^^^^^^^^^^^^^^^
               |
               = help: it reads as published, and this queue does not look at such

            error[wrong-type]: an example must be a mapping, not `A`
              --> rules/b.yaml:23:55
               |
            23 |   - {name: last, examples: {hits: [{published: true}, A]}}
               |                                                       ^
               |
               = help: write it as `key: value`, one to a line
        "#]],
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    refused(
        &[
            (
                "queues.yaml",
                "queues:\n  - {name: urgent, when: score.total >= ninety}\n  - {name: general, due: soon}\n",
            ),
            (
                "scoring.yaml",
                &when("when: qualty > 3 && titel == \"x\" || heat == \"4\""),
            ),
            ("sources.yaml", "sources:\n  - {name: news}\n"),
        ],
        &expect![[r#"
            error[condition]: there is no field `ninety`
             --> rules/queues.yaml:2:41
              |
            2 |   - {name: urgent, when: score.total >= ninety}
              |                                         ^^^^^^
              |
              = help: declare it under `types:` in the source, or write record["ninety"]

            error[bad-span]: `due`: `soon` is no span of time
             --> rules/queues.yaml:3:26
              |
            3 |   - {name: general, due: soon}
              |                          ^^^^
              |
              = help: write a number and m, h, d, w or y, like 36h or 3d

            error[condition]: there is no field `qualty`
             --> rules/scoring.yaml:4:11
              |
            4 |     when: qualty > 3 && titel == "x" || heat == "4"
              |           ^^^^^^
              |
              = help: did you mean `quality`?

            error[condition]: there is no field `titel`
             --> rules/scoring.yaml:4:25
              |
            4 |     when: qualty > 3 && titel == "x" || heat == "4"
              |                         ^^^^^
              |
              = help: did you mean `title`?

            error[condition]: `heat` is a number and cannot be compared with `"4"`, which is text
             --> rules/scoring.yaml:4:41
              |
            4 |     when: qualty > 3 && titel == "x" || heat == "4"
              |                                         ^^^^^^^^^^^
              |
              = help: numbers go without quotes, text in quotes; size() of a text is a number

            error[missing-key]: a source needs `path`
             --> rules/sources.yaml:2:5
              |
            2 |   - {name: news}
              |     ^^^^^^^^^^^^
              |
              = help: path: ../content, relative to this file
        "#]],
    );
}

#[test]
fn what_is_odd_is_a_warning() {
    let warnings = |files: &[(&str, &str)]| -> Vec<String> {
        let set = load(files).unwrap();
        let shown = |w: &Diagnostic| format!("{}:{} {}: {}", w.line, w.column, w.code, w.message);
        set.warnings.iter().map(shown).collect()
    };
    assert_eq!(
        warnings(&[("a.yaml", QUEUE)]),
        ["1:1 no-reviewers: there are no reviewers: nobody is mailed"]
    );
    let queues = "queues:\n  - {name: trial, mode: shadow}\n  - {name: general}\n  - {name: audit, takes: published}\n  - {name: late, when: quality > 3}\n";
    assert_eq!(
        warnings(&[("a.yaml", queues), ("b.yaml", REVIEWER)]),
        ["5:5 unreachable-queue: nothing reaches the queue `late`: `general` before it takes all"]
    );
    let slip = "topics: [{name: Face recognition}]\nqueues: [{name: a, when: 'has(title) && about(\"Face-recognition\") && about(\"Police\")'}]\n";
    assert_eq!(
        warnings(&[("a.yaml", slip), ("b.yaml", REVIEWER)]),
        [
            "2:47 unknown-topic: no topic `Face-recognition` is declared",
            "2:76 unknown-topic: no topic `Police` is declared"
        ]
    );
    assert_eq!(
        warnings(&[("a.yaml", QUEUE), ("b.yaml", REVIEWER), ("c.yml", "{")]),
        ["1:1 not-read: only files that end in `.yaml` are read"]
    );
}

#[test]
fn a_folder_without_rules_is_refused() {
    assert_eq!(load(&[]).unwrap_err().len(), 1);
    assert!(
        load(&[("notes.txt", "")]).unwrap_err()[0].ends_with("there is no `*.yaml` file in it")
    );
    assert!(matches!(
        RuleSet::load(Path::new("/nowhere/rules")),
        Err(Refused::NoFolder(_))
    ));
    assert!(load(&[("empty.yaml", "# nothing yet\n")]).is_ok());
}

/// A set of one source, with what a test adds.
fn set(text: &str) -> RuleSet {
    load(&[("a.yaml", SOURCE), ("b.yaml", text)])
        .unwrap_or_else(|faults| panic!("{}", faults.join("\n")))
}

fn record(set: &RuleSet, front: &str) -> Record {
    Record::read(
        format!("---\n{front}\n---\n").as_bytes(),
        "a.md",
        &set.sources[0],
    )
    .unwrap()
}

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

fn assess_at(set: &RuleSet, front: &str, now: Timestamp) -> Assessment {
    let record = record(set, front);
    let source = &set.sources[0].name;
    let subject = Subject {
        fields: &record.fields,
        published: record.published,
        first_seen: self::now(),
        source,
    };
    set.explain(&subject, Occasion::FIRST, now)
}

fn assess(set: &RuleSet, front: &str) -> Assessment {
    assess_at(set, front, now())
}

/// The queue that takes a record; in brackets the near misses.
fn routed(set: &RuleSet, front: &str) -> String {
    let assessment = assess(set, &format!("published: false\n{front}"));
    let near = assessment.near.iter().map(|near| {
        let needs = near
            .needs
            .iter()
            .map(|need| format!("{} {}", need.by, need.name));
        format!("[{}: {}]", near.queue, needs.collect::<Vec<_>>().join(", "))
    });
    let to = assessment.route.queue().unwrap_or("nowhere").to_owned();
    std::iter::once(to)
        .chain(near)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_first_queue_that_holds_takes_the_record() {
    let set = set("
score: {quality: {field: quality, weight: 1}, heat: {field: heat, weight: 0.5}}
topics: [{name: AI}, {name: AWS AI, parent: AI, keywords: [rekognition]}]
queues:
  - {name: hot, when: [score.total >= 100, 'about(\"AI\")']}
  - {name: good, when: score.quality > 60 && score.heat >= 30, unless: 'domain == \"example.org\"'}
  - {name: either, when: quality > 200 || heat > 200}
  - {name: general, when: has(title)}
");
    let table = [
        ("quality: 80\nheat: 60\ntopics: [AWS AI]", "hot"),
        (
            "quality: 70\nheat: 50\ntopics: [AI]",
            "nowhere [hot: 5 score.total] [good: 5 score.heat] [either: 130 quality]",
        ),
        (
            "quality: 50\nheat: 50\ntitle: New Rekognition",
            "general [hot: 25 score.total] [good: 11 score.quality, 5 score.heat] [either: 150 quality]",
        ),
        // Not numbers alone.
        (
            "quality: 50\nheat: 50\ntopics: [Cloud]",
            "nowhere [good: 11 score.quality, 5 score.heat] [either: 150 quality]",
        ),
        (
            "quality: 80\nheat: 60\nprovider: {domain: www.Example.org}\ntopics: []\ntitle: T",
            "general [either: 120 quality]",
        ),
        // One side is true, so that the missing one does not matter.
        ("quality: 201", "either [good: 30 score.heat]"),
        ("heat: 201", "either [good: 61 score.quality]"),
        (
            "title: T",
            "general [good: 61 score.quality, 30 score.heat]",
        ),
    ];
    for (front, expected) in table {
        assert_eq!(routed(&set, front), expected, "{front}");
    }
    let missing = assess(&set, "published: false\nquality: 20");
    let missing: Vec<String> = missing
        .not_evaluated
        .iter()
        .map(|n| format!("{}: {}", n.rule, n.missing.join(" ")))
        .collect();
    assert_eq!(missing, ["score.heat: heat", "queue either: heat"]);
}

#[test]
fn a_queue_takes_what_it_says() {
    let set = set(
        "queues:\n  - {name: audit, takes: published, when: quality > 3}\n  - {name: both, takes: all, when: quality > 2}\n  - {name: general}\n",
    );
    let queue = |front: &str| assess(&set, front).route.queue().map(str::to_owned);
    assert_eq!(queue("quality: 4\npublished: true"), Some("audit".into()));
    assert_eq!(queue("quality: 4"), Some("audit".into()));
    assert_eq!(queue("quality: 4\npublished: false"), Some("both".into()));
    assert_eq!(queue("quality: 3\npublished: true"), Some("both".into()));
    assert_eq!(queue("quality: 1\npublished: true"), None);
    assert_eq!(
        queue("quality: 1\npublished: maybe"),
        Some("general".into())
    );
}

#[test]
fn what_could_not_be_judged_is_not_decided_without_a_person() {
    let set = set("
queues:
  - {name: urgent, when: heat > 90}
  - {name: spam, when: quality < 10, decide: reject}
  - {name: trial, when: quality < 20, decide: reject, mode: shadow}
  - {name: skipped, when: quality > 90, skip: true}
  - {name: general}
");
    let route = |front: &str| assess(&set, &format!("published: false\n{front}")).route;
    assert_eq!(
        route("quality: 5\nheat: 3"),
        Route::Queue("spam".into(), Some(Verdict::Reject))
    );
    assert_eq!(route("quality: 5"), Route::Queue("general".into(), None));
    assert_eq!(route("heat: 3"), Route::Queue("general".into(), None));
    assert_eq!(route("quality: 95"), Route::Skipped("skipped".into()));
    // Only a revision's first routing is decided without a person.
    let record = record(&set, "quality: 5\nheat: 3");
    let subject = Subject {
        fields: &record.fields,
        published: false,
        first_seen: now(),
        source: "news",
    };
    for occasion in [Occasion::again(&set, "general"), Occasion::BACK] {
        let again = set.assess(&subject, occasion, now()).route;
        assert_eq!(again, Route::Queue("general".into(), None));
    }
    let shadow = assess(&set, "published: false\nquality: 15\nheat: 1");
    assert_eq!(shadow.route, Route::Queue("general".into(), None));
    assert_eq!(&*shadow.shadow[0].why, "would wait in trial");
}

#[test]
fn what_waits_is_routed_as_what_it_was_taken_for() {
    let set = set("
queues:
  - {name: audit, takes: published, when: quality > 3}
  - {name: both, takes: all, when: quality > 2}
  - {name: urgent, when: heat > 3}
  - {name: general}
  - {name: old, takes: published}
");
    let table = [
        // An item that was taken as unpublished is not an audit's, whatever its file says now.
        ("general", "quality: 4\nheat: 4", "both"),
        ("general", "quality: 1\nheat: 4", "urgent"),
        ("audit", "quality: 4", "audit"),
        ("audit", "quality: 1\nheat: 4", "old"),
        ("gone", "quality: 1", "general"),
    ];
    for (stood_in, front, expected) in table {
        for published in [false, true] {
            let record = record(&set, front);
            let subject = Subject {
                fields: &record.fields,
                published,
                first_seen: now(),
                source: "news",
            };
            let again = set.assess(&subject, Occasion::again(&set, stood_in), now());
            assert_eq!(again.route.queue(), Some(expected), "{stood_in}: {front}");
        }
    }
}

#[test]
fn what_costs_too_much_waits_for_a_person() {
    let rules = "
rules:
  - {id: first, axis: topic, when: quality > 1, points: 5, why: First}
  - {id: dear, axis: topic, when: 'related.exists(r, related.exists(s, r.title + s.title == \"?\"))', points: 5, why: Dear}
  - {id: last, axis: topic, when: quality > 1, points: 5, why: Last}
queues:
  - {name: none, when: score.total < 50, skip: true}
  - {name: marked, when: quality > 1000, MARK}
  - {name: machine, decide: reject}
  - {name: general}
";
    let related = "[".to_owned() + &["{title: a}"; 999].join(", ") + "]";
    let dear = format!("published: false\nquality: 2\nrelated: {related}");
    for (mark, expected) in [
        ("over_budget: true", "marked"),
        ("over_budget: false", "general"),
    ] {
        let set = set(&rules.replace("MARK", mark));
        let assessment = assess(&set, &dear);
        assert_eq!(assessment.route, Route::Queue(expected.into(), None));
        let last = assessment.hits.last().unwrap();
        assert_eq!((&*last.rule, last.points), ("budget", 0));
        // What was found before counts, and the sum holds.
        assert_eq!(assessment.score.total, 5);
        let cheap = assess(&set, "published: false\nquality: 2\nrelated: [{title: a}]");
        assert_eq!(cheap.route, Route::Skipped("none".into()));
        assert_eq!(cheap.score.total, 10);
    }
}

#[test]
fn a_score_without_its_number_is_not_decided_without_a_person() {
    let set = set("
score: {quality: {field: quality}, heat: {field: heat}}
queues:
  - {name: weak, when: score.total < 30, decide: reject}
  - {name: cold, when: score.heat < 10, unless: score.quality > 50, decide: reject}
  - {name: warm, when: score.heat > 90, decide: approve}
  - {name: known, when: 'title == \"a\"', decide: approve}
  - {name: general}
");
    let queue = |front: &str| {
        assess(&set, &format!("published: false\n{front}"))
            .route
            .queue()
            .map(str::to_owned)
    };
    assert_eq!(queue("quality: 5\nheat: 3").as_deref(), Some("weak"));
    assert_eq!(queue("heat: 3").as_deref(), Some("general"));
    assert_eq!(queue("heat: 95").as_deref(), Some("warm"));
    assert_eq!(queue("title: a").as_deref(), Some("known"));
}

#[test]
fn rules_hold_for_their_source_and_shadows_add_nothing() {
    let set = set("
sources: [{name: blog, path: ../blog}]
rules:
  - {id: all, axis: heat, when: quality > 3, points: 1, why: All}
  - {id: blog, axis: heat, when: quality > 3, points: 10, why: Blog, source: blog}
  - {id: trial, axis: heat, when: quality > 3, points: 100, why: Trial, mode: shadow}
  - {id: except, axis: heat, when: quality > 3, unless: heat > 3, points: 1000, why: Unless}
");
    let on = |source: &str, front: &str| {
        let record = record(&set, front);
        let subject = Subject {
            fields: &record.fields,
            published: true,
            first_seen: now(),
            source,
        };
        let assessment = set.assess(&subject, Occasion::FIRST, now());
        let shadow: Vec<i64> = assessment.shadow.iter().map(|hit| hit.points).collect();
        (assessment.score.total, shadow)
    };
    // An exception without a value excepts nothing.
    assert_eq!(on("news", "quality: 4"), (1001, vec![100]));
    assert_eq!(on("blog", "quality: 4"), (1011, vec![100]));
    assert_eq!(on("news", "quality: 4\nheat: 4"), (1, vec![100]));
    assert_eq!(on("news", "quality: 3"), (0, vec![]));
}

#[test]
fn a_rule_and_its_source_must_exist() {
    let rule = when("when: quality > 3") + "    source: new\n";
    refused(
        &[("a.yaml", SOURCE), ("b.yaml", &rule)],
        &expect![[r#"
        error[unknown-source]: there is no source `new`
         --> rules/b.yaml:7:13
          |
        7 |     source: new
          |             ^^^
          |
          = help: did you mean `news`?
    "#]],
    );
}

#[test]
fn an_assessment_knows_when_an_age_changes_it() {
    let set = set("
rules:
  - {id: stale, axis: heat, when: age_days > 2, points: -10, why: Old}
queues:
  - {name: fresh, when: age_hours < 12}
  - {name: general}
");
    let front = "published: false\npublishedDateTime: 2026-03-01T09:00:00Z";
    let mut moment: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    let mut seen = Vec::new();
    while let Some(flips) = {
        let assessment = assess_at(&set, front, moment);
        seen.push((
            assessment.score.total,
            assessment.route.queue().unwrap().to_owned(),
        ));
        assessment.flips_at
    } {
        // It says the same until then, and something else from then on.
        let before = flips - SignedDuration::from_secs(2);
        let (old, still) = (
            assess_at(&set, front, moment),
            assess_at(&set, front, before),
        );
        assert_eq!(
            (old.score, &old.route),
            (still.score, &still.route),
            "{before}"
        );
        assert!(flips > moment);
        moment = flips;
    }
    let queue = |name: &str| name.to_owned();
    assert_eq!(
        seen,
        [
            (0, queue("fresh")),
            (0, queue("general")),
            (-10, queue("general"))
        ]
    );
    // Without a date, the age counts since the record was first seen.
    let undated = assess(&set, "published: false").flips_at.unwrap();
    assert_eq!(
        undated,
        now() + SignedDuration::from_hours(12) + SignedDuration::from_secs(1)
    );
}

#[test]
fn a_fresh_queue_keeps_its_order_as_time_passes() {
    let set = set(
        "queues:\n  - {name: fresh, order: fresh, half_life: 36h}\n  - {name: oldest, order: oldest, when: quality > 3}\n",
    );
    let half_life = 36.0 * 3600.0;
    let stories = [
        (100, 0),
        (50, 40),
        (90, 10),
        (3, 200),
        (0, 0),
        (-20, 300),
        (100, 36),
    ];
    let published = |hours: i64| now() + SignedDuration::from_hours(hours);
    let fresh = set.queue("fresh").unwrap();
    for later in [300, 400, 5000] {
        let worth = |(total, hours): (i64, i64)| {
            let age = published(later)
                .duration_since(published(hours))
                .as_secs_f64();
            (f64::from(i32::try_from(total.max(1)).unwrap())).log2() - age / half_life
        };
        for a in stories {
            for b in stories {
                let ranked = fresh.rank(a.0, published(a.1)) - fresh.rank(b.0, published(b.1));
                assert!((ranked - (worth(a) - worth(b))).abs() < 1e-6, "{a:?} {b:?}");
            }
        }
    }
    // Half the score, one half-life later: the same rank.
    assert!((fresh.rank(100, published(0)) - fresh.rank(50, published(36))).abs() < 1e-6);
    assert!(
        set.queue("oldest").unwrap().rank(1, published(0))
            > set.queue("oldest").unwrap().rank(9, published(1))
    );
}

#[test]
fn caps_are_hits_and_rounding_goes_away_from_zero() {
    let set = set("
score:
  quality: {field: quality, weight: 0.5}
  topic: {cap: 10}
topics: [{name: A, points: 8}, {name: B, parent: A, points: 8}]
rules: [{id: minus, axis: topic, when: quality < 0, points: -7, why: Minus}]
");
    let shown = |front: &str| {
        let assessment = assess(&set, front);
        let hits = assessment
            .hits
            .iter()
            .map(|hit| format!("{:+} {} ({}) {}", hit.points, hit.rule, hit.why, hit.at));
        (assessment.score.total, hits.collect::<Vec<_>>())
    };
    assert_eq!(
        shown("quality: 3\ntopics: [B, B]"),
        (
            12,
            vec![
                "+2 score.quality (quality 3 × 0.5) rules/b.yaml:3".into(),
                "+8 topic A (about A) rules/b.yaml:5".into(),
                "+8 topic B (about B) rules/b.yaml:5".into(),
                "-6 score.topic (topic is capped at 10) rules/b.yaml:4".into(),
            ]
        )
    );
    assert_eq!(shown("quality: -3\ntopics: [B]").0, -2 + 16 - 7);
    assert_eq!(shown("quality: lots").1, Vec::<String>::new());
}

fn axis() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["quality", "heat", "topic"])
}

/// The text of a rule set: weights, caps, topics and rules of any size.
fn any_rules() -> impl Strategy<Value = String> {
    let score = prop::collection::btree_map(
        axis(),
        (prop::option::of(-50..50i32), prop::option::of(-300..300i32)),
        0..3,
    );
    let topics = prop::collection::vec((prop::option::of(0..6usize), -30..30i32), 0..6);
    let rules = prop::collection::vec((axis(), 0..6usize, -500..500i32, any::<bool>()), 0..8);
    (score, topics, rules).prop_map(|(score, topics, rules)| {
        let mut text = String::from("score:\n  {}\n");
        if !score.is_empty() {
            text = "score:\n".to_owned();
        }
        for (axis, (weight, cap)) in score {
            let weight = weight.map(|w| format!("field: heat, weight: {}", f64::from(w) / 8.0));
            let cap = cap.map(|cap| format!("cap: {cap}"));
            text += &format!("  {axis}: {{{}}}\n", weight.into_iter().chain(cap).collect::<Vec<_>>().join(", "));
        }
        text += "topics:\n  - {name: t}\n";
        for (n, (parent, points)) in topics.iter().enumerate() {
            // A parent stands before its child, so that no line of parents comes round.
            let parent = parent.filter(|parent| *parent < n).map_or("t".to_owned(), |parent| format!("t{parent}"));
            text += &format!("  - {{name: t{n}, parent: {parent}, points: {points}, keywords: [word{n}]}}\n");
        }
        let conditions = ["quality > 50", "heat <= 0", "about(\"t1\")", "mentions(\"word2\")", "has(related)", "!published"];
        text += "rules:\n  []\n";
        if !rules.is_empty() {
            text = text.replace("rules:\n  []\n", "rules:\n");
        }
        for (n, (axis, condition, points, shadow)) in rules.into_iter().enumerate() {
            let mode = if shadow { "shadow" } else { "live" };
            let when = conditions[condition];
            text += &format!("  - {{id: r{n}, axis: {axis}, when: '{when}', points: {points}, why: W, mode: {mode}}}\n");
        }
        text
    })
}

fn any_record() -> impl Strategy<Value = String> {
    let number = || {
        prop::option::of(prop_oneof![
            (-200..300i32).prop_map(f64::from),
            -1.0e12..1.0e12
        ])
    };
    let topics = prop::option::of(prop::collection::vec(0..7usize, 0..4));
    let words = prop::collection::vec(0..7usize, 0..4);
    (number(), number(), topics, words, any::<bool>()).prop_map(
        |(quality, heat, topics, words, published)| {
            let mut text = format!("published: {published}\n");
            quality
                .iter()
                .for_each(|n| text += &format!("quality: {n}\n"));
            heat.iter().for_each(|n| text += &format!("heat: {n}\n"));
            if let Some(topics) = topics {
                let names: Vec<String> = topics.iter().map(|n| format!("t{n}")).collect();
                text += &format!("topics: [{}]\n", names.join(", "));
            }
            let words: Vec<String> = words.iter().map(|n| format!("word{n}")).collect();
            text + &format!("title: \"{}\"\n", words.join(" "))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_score_is_the_sum_of_its_hits(rules in any_rules(), records in prop::collection::vec(any_record(), 8)) {
        let set = set(&rules);
        for front in records {
            let assessment = assess(&set, &front);
            let sum = |axis: Axis| assessment.hits.iter().filter(|hit| hit.axis == axis).map(|hit| hit.points).sum::<i64>();
            let score = assessment.score;
            prop_assert_eq!((score.quality, score.heat, score.topic), (sum(Axis::Quality), sum(Axis::Heat), sum(Axis::Topic)));
            prop_assert_eq!(score.total, assessment.hits.iter().map(|hit| hit.points).sum::<i64>());
            for (axis, cap, _) in &set.scoring.caps {
                prop_assert!(score.on(*axis) <= *cap);
            }
            // Each hit names a place, and each rule hits once at most.
            let mut names: Vec<String> = assessment.hits.iter().map(|hit| hit.at.to_string()).collect();
            prop_assert!(names.iter().all(|at| at.starts_with("rules/b.yaml:")));
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            let caps = assessment.hits.iter().filter(|hit| hit.why.contains("capped")).count();
            prop_assert!(all <= names.len() + caps);
        }
    }
}

/// What a slip of the hand puts into a file, or in place of some of it.
fn slips() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, &'static str)>> {
    let pieces = vec![
        "", "\"", "'", ":", ": ", "#", " # ", "[", "]", "{", "}", "\n", "\t", "  ", "-", "- ", "!",
        "é", "(", ")", "&&", "=", ",",
    ];
    prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            0..12usize,
            prop::sample::select(pieces),
        ),
        1..4,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_slip_of_the_hand_is_loaded_or_told(slips in slips()) {
        let mut text: Vec<char> = Vec::new();
        for name in ["sources.yaml", "scoring.yaml", "queues.yaml", "desk.yaml"] {
            text.extend(fs::read_to_string(shipped().join(name)).unwrap().chars());
        }
        for (at, taken, put) in slips {
            let at = at.index(text.len());
            let end = (at + taken).min(text.len());
            text.splice(at..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        if let (Err(faults), _) = load_any(&[("a.yaml", &text)]) {
            prop_assert!(faults.iter().any(|fault| fault.starts_with("error[")), "{}", faults.join("\n"));
        }
    }
}

/// The rules that copydesk ships.
fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
}

#[test]
fn the_shipped_rules_load_with_one_warning() {
    let set = RuleSet::load(shipped()).unwrap_or_else(|refused| panic!("{refused:#?}"));
    let codes: Vec<&str> = set.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["no-reviewers"]);
    assert!(set.rules.iter().all(|rule| !rule.when.is_empty()));
    let acts =
        |queue: &copydesk::rules::Queue| queue.skip || queue.decide.is_some() || queue.shadow;
    assert!(!set.queues.iter().any(acts));
    assert!(set.queues.last().unwrap().when.is_empty());
    // What desk.yaml writes out are the defaults.
    assert_eq!(
        format!("{:?}", set.desk),
        format!("{:?}", copydesk::rules::Desk::default())
    );
}

#[test]
fn the_shipped_reviewers_load_when_they_are_uncommented() {
    let dir = TempDir::new().unwrap();
    for entry in fs::read_dir(shipped()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let text = fs::read_to_string(shipped().join("reviewers.yaml")).unwrap();
    assert!(
        text.lines()
            .all(|line| line.is_empty() || line.starts_with('#')),
        "nobody is mailed as shipped"
    );
    let (_, section) = text.split_once("#\n# reviewers:").unwrap();
    let section: Vec<&str> = section
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line.trim_matches('#')))
        .collect();
    fs::write(
        dir.path().join("reviewers.yaml"),
        format!("reviewers:{}\n", section.join("\n")),
    )
    .unwrap();
    let set = RuleSet::load(dir.path()).unwrap_or_else(|refused| panic!("{refused:#?}"));
    assert!(set.warnings.is_empty());
    assert!(
        set.reviewers
            .iter()
            .all(|reviewer| reviewer.email.ends_with("@example.org"))
    );
    assert_eq!(set.reviewers.len(), 2);
}

fn assess_file(set: &RuleSet, path: &Path) -> (Record, Assessment) {
    let record = Record::read(&fs::read(path).unwrap(), "a.md", &set.sources[0]).unwrap();
    let subject = Subject {
        fields: &record.fields,
        published: record.published,
        first_seen: now(),
        source: "news",
    };
    let assessment = set.assess(&subject, Occasion::FIRST, now());
    (record, assessment)
}

#[test]
fn the_shipped_queues_each_get_something_of_the_feed() {
    let Some(corpus) = corpus() else { return };
    let set = RuleSet::load(shipped()).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for entry in walkdir::WalkDir::new(corpus.join("content")) {
        let entry = entry.unwrap();
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "md")
        {
            let (record, assessment) = assess_file(&set, entry.path());
            if !record.published {
                *counts
                    .entry(assessment.route.queue().unwrap_or("nowhere").to_owned())
                    .or_insert(0) += 1;
            }
        }
    }
    let queues = set.queues.iter().map(|queue| {
        (
            queue.name.as_str(),
            counts.get(&queue.name).copied().unwrap_or(0),
        )
    });
    let expected = [
        ("urgent", 4),
        ("ai-desk", 1),
        ("events", 4),
        ("power-platform", 8),
        ("general", 6),
    ];
    assert_eq!(queues.collect::<Vec<_>>(), expected, "{counts:?}");
}

#[test]
fn the_seed_explains_well_under_the_shipped_rules() {
    let Some(corpus) = corpus() else { return };
    let set = RuleSet::load(shipped()).unwrap();
    let seed = fs::read_dir(corpus.join("seed"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let (_, assessment) = assess_file(&set, &seed);
    let hits: Vec<String> = assessment
        .hits
        .iter()
        .map(|hit| format!("{:+} {:?} {}: {}", hit.points, hit.axis, hit.rule, hit.why))
        .collect();
    expect![[r#"
        +44 Quality score.quality: quality 44 × 1
        +22 Heat score.heat: heat 44 × 0.5
        +5 Topic topic AI: about AI
        +10 Topic topic AWS AI: about AWS AI
        +15 Topic face-recognition: Face recognition is policy-sensitive
        = Score { quality: 44, heat: 22, topic: 30, total: 96 }
        Queue("ai-desk", None)
        [Near { queue: "urgent", needs: [Need { name: "score.total", by: 19.0, beyond: None }] }]"#]]
    .assert_eq(&format!(
        "{}\n= {:?}\n{:?}\n{:?}",
        hits.join("\n"),
        assessment.score,
        assessment.route,
        assessment.near
    ));
}
