//! A feed's own topic files: taken in by `topic_files:`, under what `topics:` says.

use crate::corpus::corpus;
use crate::desk::Desk;
use crate::rules::{SOURCE, render};
use crate::service::{BOUND, Service, number};
use copydesk::rules::{RuleSet, Topic};
use expect_test::{Expect, expect};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const ALL: &str = "topic_files: [../data/topics/*.yaml]\n";

/// A folder with `rules/` and a feed's `data/topics/`.
struct Feed(TempDir);

impl Feed {
    fn new(rules: &str, topics: &[(&str, &str)]) -> Self {
        let feed = Self(TempDir::new().unwrap());
        feed.put("rules/a.yaml", SOURCE);
        feed.put("rules/b.yaml", rules);
        fs::create_dir_all(feed.0.path().join("data/topics")).unwrap();
        for (name, text) in topics {
            feed.put(&format!("data/topics/{name}"), text);
        }
        feed
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn set(&self) -> RuleSet {
        RuleSet::load(&self.0.path().join("rules")).unwrap_or_else(|refused| panic!("{refused:#?}"))
    }

    /// Each topic as one line: name, parent, points, keywords and place.
    fn topics(&self) -> Vec<String> {
        let shown = |topic: &Topic| {
            let keywords: Vec<&str> = topic.keywords.iter().map(|word| word.as_str()).collect();
            let parent = topic.parent.as_deref().unwrap_or("-");
            let Topic {
                name,
                points,
                place,
                ..
            } = topic;
            format!(
                "{name} < {parent}, {points}, {}, {place}",
                keywords.join("/")
            )
        };
        self.set().topics.iter().map(shown).collect()
    }

    fn told(&self, expected: &Expect) {
        let faults = match RuleSet::load(&self.0.path().join("rules")) {
            Ok(set) => set.warnings,
            Err(copydesk::rules::Refused::Wrong(faults)) => faults,
            Err(other) => panic!("{other}"),
        };
        let shown = faults.iter().map(|fault| render(fault, self.0.path()));
        expected.assert_eq(&shown.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn files_give_topics_and_the_rules_go_before_them() {
    let feed = Feed::new(
        &format!(
            "{ALL}topics:\n  - {{name: AI, points: 5}}\n  - {{name: Vision, parent: AI, points: 3, keywords: []}}\n"
        ),
        &[
            ("0.yaml", "name: Tech\n"),
            (
                "1.yaml",
                "taxonomy: topic\n_id: ai\nname: AI\nparent: Tech\nkeywords: [a i, A-I, a i]\nhashtags: [\"#AI\"]\n",
            ),
            (
                "2.yaml",
                "name: Vision\nparent: Tech\nkeywords: [vision]\nservices: {news: x}\n",
            ),
            ("3.yaml", "name: Police\nparent:\nkeywords: police\n"),
            ("notes.txt", "none"),
        ],
    );
    assert_eq!(
        feed.topics(),
        [
            "AI < Tech, 5, a i/a i/a i, rules/b.yaml:3",
            "Vision < AI, 3, , rules/b.yaml:4",
            "Tech < -, 0, , topics/0.yaml:1",
            "Police < -, 0, police, topics/3.yaml:1",
        ]
    );
    assert!(feed.set().warnings.iter().all(|w| w.code == "no-reviewers"));
}

#[test]
fn a_topic_file_is_part_of_the_set() {
    let feed = Feed::new(ALL, &[("a.yaml", "name: A\n"), ("b.yaml", "name: B\n")]);
    let hash = feed.set().hash;
    assert_eq!(feed.set().hash, hash);
    feed.put("data/topics/b.yaml", "name: C\n");
    let changed = feed.set().hash;
    assert_ne!(changed, hash);
    feed.put("data/topics/c.yaml", "name: D\n");
    assert_ne!(feed.set().hash, changed);
    // A file that two patterns match is read once.
    feed.put(
        "rules/b.yaml",
        "topic_files: [../data/topics/*.yaml, ../data/topics/a.yaml, ../data/**/b.*]\n",
    );
    assert_eq!(feed.topics().len(), 3);
    feed.put("rules/b.yaml", "topic_files: ../data/topics/a.yaml\n");
    assert_eq!(feed.topics(), ["A < -, 0, , topics/a.yaml:1"]);
}

#[test]
fn what_is_wrong_is_told_with_its_file() {
    let wrong = [
        ("a.yaml", "name: 'A\n"),
        ("b.yaml", "nmae: B\n"),
        (
            "c.yaml",
            "_id: c\nname: C\nparent: Z\nkeywords:\n  - c\n  - \"-\"\n",
        ),
        ("d.yaml", "- name: D\n"),
        ("e.yaml", "name: 2020\n"),
        ("f.yaml", "name: C\n"),
        ("g.yaml", "\n"),
        ("h.yaml", "name: H\nparent: I\n"),
        ("i.yaml", "name: I\nparent: H\n"),
    ];
    Feed::new(ALL, &wrong).told(&expect![[r#"
        error[yaml]: unclosed quote
         --> rules/../data/topics/a.yaml:1:7
          |
        1 | name: 'A
          |       ^
          |
          = help: look for a quote, a bracket or an indent that is wrong on this line or above it

        error[missing-key]: a topic file needs `name`
         --> rules/../data/topics/b.yaml:1:1
          |
        1 | nmae: B
          | ^^^^^^^
          |
          = help: name: AI

        error[unknown-topic]: there is no topic `Z`
         --> rules/../data/topics/c.yaml:3:9
          |
        3 | parent: Z
          |         ^
          |
          = help: declare it: `- {name: Z}`

        error[bad-keyword]: a keyword needs a letter or a digit
         --> rules/../data/topics/c.yaml:6:5
          |
        6 |   - "-"
          |     ^^^
          |
          = help: write a word, or take the keyword away

        error[wrong-type]: a topic file must be a mapping, not a list
         --> rules/../data/topics/d.yaml:1:1
          |
        1 | - name: D
          | ^^^^^^^^^
          |
          = help: write it as `key: value`, one to a line

        error[wrong-type]: `name` must be text
         --> rules/../data/topics/e.yaml:1:7
          |
        1 | name: 2020
          |       ^^^^
          |
          = help: put it in quotes: "2020"

        error[name-twice]: the topic `C` is in another file already, at topics/c.yaml:2
         --> rules/../data/topics/f.yaml:1:7
          |
        1 | name: C
          |       ^
          |
          = help: keep one of the two files in `topic_files`

        error[missing-key]: a topic file needs `name`
         --> rules/../data/topics/g.yaml:1:1
          |
        1 |
          | ^
          |
          = help: name: AI

        error[topic-cycle]: `H` is its own parent, by way of `I`
         --> rules/../data/topics/h.yaml:2:9
          |
        2 | parent: I
          |         ^
          |
          = help: take one `parent` away

        error[topic-cycle]: `I` is its own parent, by way of `H`
         --> rules/../data/topics/i.yaml:2:9
          |
        2 | parent: H
          |         ^
          |
          = help: take one `parent` away
    "#]]);
    Feed::new("topic_files: [../data/topcs/*.yaml, \"{a,b\"]\n", &[]).told(&expect![[r#"
        warning[no-topic-file]: no file is there
         --> rules/b.yaml:1:15
          |
        1 | topic_files: [../data/topcs/*.yaml, "{a,b"]
          |               ^^^^^^^^^^^^^^^^^^^^
          |
          = help: the path is relative to this file: look for a slip in the name of a folder

        error[bad-pattern]: not a pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
         --> rules/b.yaml:1:37
          |
        1 | topic_files: [../data/topcs/*.yaml, "{a,b"]
          |                                     ^^^^^^
          |
          = help: write one like ../content/_data/topics/*.yaml
    "#]]);
    let feed = Feed::new("topic_files: 3\n", &[]);
    feed.told(&expect![[r#"
        error[wrong-type]: `topic_files` must be text
         --> rules/b.yaml:1:14
          |
        1 | topic_files: 3
          |              ^
          |
          = help: put it in quotes: "3"
    "#]]);
    let feed = Feed::new(ALL, &[]);
    feed.put("data/topics/a.yaml", b"name: \xff\n");
    feed.put(
        "data/topics/b.yaml",
        format!("name: B\nabout: {}\n", "x".repeat(300_000)),
    );
    feed.told(&expect![[r#"
        error[not-utf-8]: the file is not UTF-8
         --> rules/../data/topics/a.yaml:1:7
          |
        1 | name: �
          |       ^
          |
          = help: save it as UTF-8

        error[too-large]: the topic file is larger than 256 KiB
         --> rules/../data/topics/b.yaml:1:1
          |
        1 | name: B
          | ^
          |
          = help: take it out of `topic_files`: a topic needs a few lines
    "#]]);
    // It cannot be read whoever asks.
    Feed::new("topic_files: /proc/self/mem\n", &[]).told(&expect![[r#"
        error[unreadable]: /proc/self/mem cannot be read: Input/output error (os error 5)
         --> rules/b.yaml:1:14
          |
        1 | topic_files: /proc/self/mem
          |              ^^^^^^^^^^^^^^
          |
          = help: let the user that runs copydesk read it
    "#]]);
    let feed = Feed::new(ALL, &[]);
    for n in 0..1_001 {
        feed.put(&format!("data/topics/{n}.yaml"), "name: A\n");
    }
    feed.told(&expect![[r#"
        error[bad-pattern]: more than 1000 files match
         --> rules/b.yaml:1:15
          |
        1 | topic_files: [../data/topics/*.yaml]
          |               ^^^^^^^^^^^^^^^^^^^^^
          |
          = help: name the folder of the topic files alone
    "#]]);
}

#[test]
fn a_story_is_about_the_topics_of_files() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("data/topics")).unwrap();
    let file = "name: Robots\nparent: AI\nkeywords: [robot]\n";
    fs::write(desk.path("data/topics/robots.yaml"), file).unwrap();
    desk.rules("topics.yaml", ALL);
    desk.story("a.md").title("A robot at last").write();
    let explained = desk.explain("a.md");
    let hits = explained["hits"].as_array().unwrap();
    // It is about AI, which is above it; the file itself gives no points.
    assert!(
        hits.iter().any(|hit| hit["rule"] == "topic AI"),
        "{explained:#}"
    );
    assert!(
        !hits.iter().any(|hit| hit["rule"] == "topic Robots"),
        "{explained:#}"
    );
}

#[test]
fn the_topic_files_of_a_real_feed_are_taken_as_they_are() {
    let Some(corpus) = corpus() else { return };
    let pattern = corpus.join("_data/topics/*.yaml");
    let rules = format!(
        "topic_files: [{:?}]\ntopics: [{{name: Power Apps, points: 5}}, {{name: Teams integration, keywords: [microsoft teams]}}]\n",
        pattern.display()
    );
    let feed = Feed::new(&rules, &[]);
    assert_eq!(
        feed.topics(),
        [
            "Power Apps < -, 5, power apps, rules/b.yaml:2",
            "Teams integration < Power Apps, 0, microsoft teams, rules/b.yaml:2",
            "Canvas apps < Power Apps, 0, canvas app/canvas apps, topics/01-canvas-apps.yaml:3",
            "Model-driven apps < Power Apps, 0, model driven apps/model driven apps/model driven apps/model driven app, topics/02-model-driven-apps.yaml:3",
            "Common Data Service < Power Apps, 0, common data service, topics/03-common-data-service.yaml:3",
            "AI Builder < Power Apps, 0, ai builder, topics/04-ai-builder.yaml:3",
            "Portals < Power Apps, 0, portals, topics/05-portals.yaml:3",
        ]
    );
    assert!(Path::new(&pattern).is_absolute());
}

#[test]
fn a_changed_topic_file_acts_on_what_waits() {
    let desk = Desk::new();
    let put = |name: &str, text: &str| {
        let path = desk.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("data/topics/robots.yaml", "name: Robots\n");
    desk.rules("topics.yaml", ALL);
    desk.story("a.md").title("A robot at last").write();
    let service = Service::start(&desk);
    let points = || desk.item("a.md")["score"]["topic"].as_i64().unwrap();
    assert_eq!(points(), 0);
    put(
        "data/topics/robots.yaml",
        "name: Robots\nparent: AI\nkeywords: robot\n",
    );
    service.until("the changed file counts", BOUND, || points() == 5);
    // A file of a set that is not in force is looked at too.
    put("other/robots.yaml", "name: Robots\nparent: Nowhere\n");
    desk.rules("topics.yaml", "topic_files: ../other/*.yaml\n");
    let is_told = || {
        let problems = desk.problems();
        problems
            .iter()
            .any(|p| p.to_string().contains("robots.yaml:2"))
    };
    let tried = "SELECT count(*) FROM failures WHERE error LIKE '%robots.yaml:2%'";
    service.until("the service tells the fault", BOUND, || {
        number(&desk, tried) == Some(1)
    });
    assert!(is_told());
    put(
        "other/robots.yaml",
        "name: Robots\nparent: AWS AI\nkeywords: robot\n",
    );
    service.until("the mended file counts", BOUND, || points() == 15);
    assert!(!is_told());
}
