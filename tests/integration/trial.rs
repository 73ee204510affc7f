//! What is not in force yet: rules and queues in shadow mode, and rules that not every record is
//! scored by so far.

use std::cell::Cell;
use std::time::{Duration, Instant};

use copydesk::intake;
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use expect_test::expect;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::desk::{Desk, QUEUES, SCORING};
use crate::service::{BOUND, Service, beside};

const SHADOW: &str = r#"rules:
  - {id: warm, axis: heat, when: heat >= 10, points: 7, why: It is warm, mode: shadow}
  - {id: cold, axis: heat, when: heat < 0, points: -7, why: It is cold, mode: shadow}
queues:
  - {name: auto, when: quality >= 40, decide: approve, takes: all, mode: shadow}
  - {name: big, when: score.total >= 150, mode: shadow}
"#;

fn shadow(desk: &Desk) -> Value {
    desk.json(&["status"])["shadow"].clone()
}

#[test]
fn what_is_in_shadow_is_recorded_and_does_nothing() {
    let desk = Desk::new();
    desk.story("a.md").quality(44).published(false).write();
    desk.story("b.md").quality(30).published(false).write();
    desk.story("c.md").quality(50).published(true).write();
    desk.scan();
    let before = (desk.queue(), desk.explain("a.md")["score"].clone());
    assert_eq!(shadow(&desk), json!([]));

    desk.rules("a.yaml", SHADOW);
    desk.scan();
    assert_eq!(
        (desk.queue(), desk.explain("a.md")["score"].clone()),
        before
    );
    assert_eq!(
        shadow(&desk),
        json!([
            {"rule": "warm", "records": 3, "points": 21, "decides": null},
            {"rule": "cold", "records": 0, "points": 0, "decides": null},
            {"rule": "queue auto", "records": 2, "points": 0, "decides": "approve"},
            {"rule": "queue big", "records": 0, "points": 0, "decides": null},
        ])
    );
    let run = desk.run(&["status"]).done();
    let from = run.stdout.find("in shadow").unwrap();
    expect![[r#"
        in shadow
          warm: would hit 3 records, +21 points
          cold: would hit 0 records
          queue auto: would take 2 records, and approve each
          queue big: would take 0 records
    "#]]
    .assert_eq(&run.stdout[from..run.stdout.find("\nmail").unwrap()]);

    let shown = desk.show(desk.id("a.md"));
    let rules: Vec<&Value> = shown["shadow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| &hit["rule"])
        .collect();
    assert_eq!(rules, ["queue auto", "warm"]);
    assert_eq!(shown["shadow"][1]["points"], 7);
    assert_eq!(shown["shadow"][1]["why"], "It is warm");
    assert_eq!(shown["shadow"][1]["at"], "rules/a.yaml:2");
    let id = desk.id("a.md").to_string();
    desk.run(&["show", &id]).done().says(&[
        "in shadow      warm: +7 It is warm",
        "queue auto: would wait in auto",
    ]);

    // What does not hold any more, and what is gone, is not counted.
    desk.story("b.md")
        .quality(30)
        .heat(1)
        .published(false)
        .write();
    desk.remove("c.md");
    desk.scan();
    desk.later("61s").scan();
    let counts = shadow(&desk);
    assert_eq!(
        (&counts[0]["records"], &counts[0]["points"]),
        (&json!(1), &json!(7))
    );
    assert_eq!(counts[2]["records"], 1);

    // Once it is live it is in shadow no more.
    desk.rules("a.yaml", &SHADOW.replace(", mode: shadow", ""));
    desk.scan();
    assert_eq!(shadow(&desk), json!([]));
    let approved = desk.show(1);
    assert_eq!(
        (&approved["shadow"], &approved["score"]["heat"]),
        (&json!([]), &json!(12))
    );
}

#[test]
fn an_item_is_explained_by_the_rules_that_scored_it() {
    let desk = Desk::new();
    desk.rules(
        "more.yaml",
        "rules:\n  - {id: crowded, axis: heat, when: members > 10, points: 7, why: Many members}\n",
    );
    desk.story("a.md")
        .quality(76)
        .heat(10)
        .topics(&["Traffic"])
        .published(false)
        .write();
    desk.scan();
    let id = desk.id("a.md");
    let shown = desk.show(id);
    assert_eq!(shown["current"], true);
    assert_eq!(
        shown["near"],
        json!([{"queue": "urgent", "needs": [{"name": "score.total", "by": 14}]}])
    );
    assert_eq!(
        shown["not_evaluated"],
        json!([{"rule": "crowded", "missing": ["members"]}])
    );
    let explained = desk.explain("a.md");
    for list in ["hits", "near", "not_evaluated", "shadow"] {
        assert_eq!(shown[list], explained[list], "{list}");
    }
    let id = id.to_string();
    desk.run(&["show", &id]).done().says(&[
        "near miss      14 more score.total: urgent",
        "not evaluated  crowded: the record has no members",
    ]);

    desk.rules("queues.yaml", &QUEUES.replace("95", "100"));
    let shown = desk.json(&["show", &id]);
    assert_eq!(
        (&shown["current"], &shown["near"], &shown["not_evaluated"]),
        (&json!(false), &json!([]), &json!([]))
    );
    assert_eq!(shown["hits"], explained["hits"]);
    desk.run(&["show", &id])
        .done()
        .says(&["by other rules than those in force"]);
    desk.rules("queues.yaml", "queues: [");
    desk.run(&["show", &id])
        .done()
        .says(&["the rules do not load"]);
}

fn rescoring(desk: &Desk) -> Value {
    desk.json(&["status"])["rules"]["rescoring"].clone()
}

fn left(desk: &Desk) -> i64 {
    rescoring(desk)["left"].as_i64().unwrap_or_default()
}

#[test]
fn what_waits_is_scored_first_when_the_rules_change() {
    let desk = Desk::new();
    for n in 0..400 {
        desk.story(&format!("a{n}.md"))
            .quality(10)
            .published(true)
            .write();
    }
    for n in 0..5 {
        desk.story(&format!("z{n}.md"))
            .quality(10)
            .published(false)
            .write();
    }
    desk.scan();
    desk.approve("z0.md").done();
    assert_eq!(rescoring(&desk), Value::Null);

    desk.rules("scoring.yaml", &SCORING.replace("weight: 1}", "weight: 2}"));
    assert_eq!(rescoring(&desk), json!({"left": 405, "of": 405}));
    desk.run(&["status"])
        .done()
        .says(&["rules 405 of 405 records are still scored by the rules before"]);
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    // As if it were killed after the first transaction.
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 1
    };
    intake::reassess(&mut store, &rules, desk.now(), &stop).unwrap();
    assert_eq!(rescoring(&desk), json!({"left": 401, "of": 405}));
    for item in desk.queue() {
        assert_eq!(item["score"]["quality"], 20, "{item}");
    }
    intake::reassess(&mut store, &rules, desk.now(), &|| false).unwrap();
    assert_eq!(rescoring(&desk), Value::Null);
    assert_eq!(desk.explain("a0.md")["score"]["quality"], 20);
    let decided = desk.run(&["queue"]).done();
    assert!(!decided.stdout.contains("z0"), "the decision stands");
}

/// Waits until some records are scored by the rules of `rules/`, but not all.
fn midst(desk: &Desk, running: &Service, all: i64) {
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let asked = Instant::now();
    loop {
        let left = store.read(|tx| tx.stale_count("news", rules.hash)).unwrap();
        assert!(left > 0, "all was scored before anyone could see it");
        if left < all {
            return;
        }
        assert!(
            asked.elapsed() < BOUND,
            "nothing is scored: {}",
            running.log()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Killed in the middle, it goes on where it was; decisions do not wait for it.
#[test]
fn scoring_again_is_taken_up_after_a_kill_and_lets_decisions_through() {
    let desk = Desk::new();
    let files = 2_000;
    for n in 0..files {
        desk.story(&format!("{n}.md"))
            .quality(10)
            .published(n > 5)
            .write();
    }
    let weight = |weight: &str| SCORING.replace("weight: 1}", &format!("weight: {weight}}}"));
    let running = Service::start(&desk);
    desk.rules("scoring.yaml", &weight("2"));
    midst(&desk, &running, files);
    running.signal(Signal::KILL);
    drop(running);
    let before = left(&desk);
    assert!(before > 0, "it was not killed in the middle");

    let running = Service::start(&desk);
    running.until("all are scored by the new rules", BOUND, || {
        left(&desk) == 0
    });
    desk.rules("scoring.yaml", &weight("3"));
    midst(&desk, &running, files);
    let decided = Instant::now();
    crate::desk::finish(beside(&desk, &["approve", "1"])).done();
    let took = decided.elapsed();
    println!("{before} of {files} were left at the kill; decided in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    running.until("all are scored by the newest rules", BOUND, || {
        left(&desk) == 0
    });
    running.stop();
    let decided = desk.show(1);
    assert_eq!(
        (&decided["status"], &decided["score"]["quality"]),
        (&json!("approved"), &json!(30))
    );
}
