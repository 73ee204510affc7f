//! The command line's faces: shapes of `--json`, exit codes, and the words that help.

use std::fs;

use serde_json::{Value, json};

use crate::desk::{Desk, assert_adds_up, assert_keys, time};

fn one_story() -> Desk {
    let desk = Desk::new();
    desk.story("in/a.md").title("Bees on a roof").write();
    desk.scan();
    desk
}

#[test]
fn shape_of_scan() {
    let desk = Desk::new();
    desk.story("a.md").write();
    let scan = desk.scan();
    for (key, count) in [
        ("records", 1),
        ("new", 1),
        ("changed", 0),
        ("rescored", 0),
        ("unchanged", 0),
        ("broken", 0),
        ("queued", 1),
    ] {
        assert_eq!(scan[key], count, "{key}");
    }
}

#[test]
fn shape_of_queue() {
    let desk = one_story();
    let queue = desk.queue();
    assert_eq!(queue.len(), 1);
    let item = &queue[0];
    assert_keys(
        item,
        &[
            "id",
            "queue",
            "status",
            "version",
            "title",
            "location",
            "identity",
            "score",
            "due",
            "claimed_by",
            "claimed_until",
            "assigned_to",
            "overdue",
            "changed_after_approval",
        ],
    );
    assert_eq!(
        (&item["queue"], &item["status"], &item["version"]),
        (&json!("general"), &json!("pending"), &json!(1))
    );
    assert_eq!(
        (&item["title"], &item["location"]),
        (&json!("Bees on a roof"), &json!("in/a.md"))
    );
    assert!(
        item["identity"]
            .as_str()
            .unwrap()
            .contains("www.example.org/in/a.md"),
        "{item}"
    );
    assert_eq!(
        item["score"],
        json!({"quality": 20, "heat": 5, "topic": 0, "total": 25})
    );
    assert_eq!(
        (&item["claimed_by"], &item["overdue"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(item["changed_after_approval"], false);
    assert!(time(item, "due") > desk.now());
    assert!(
        item["due"].as_str().unwrap().ends_with('Z'),
        "times are UTC: {item}"
    );
}

#[test]
fn a_queue_is_listed_by_name() {
    let desk = Desk::new();
    desk.story("hot.md").quality(99).write();
    desk.story("calm.md").write();
    desk.scan();
    let urgent = desk.json(&["queue", "urgent"]);
    assert_eq!(urgent.as_array().unwrap().len(), 1);
    assert_eq!(urgent[0]["location"], "hot.md");
    assert_eq!(desk.json(&["queue", "ai-desk"]), json!([]));
    desk.run(&["queue", "urgnet"]).not_done().says(&["urgent"]);
}

#[test]
fn before_the_first_pass_nothing_waits() {
    let desk = Desk::new();
    assert_eq!(desk.json(&["queue"]), json!([]));
}

#[test]
fn a_listing_has_no_limit() {
    let desk = Desk::new();
    for n in 0..300 {
        desk.story(&format!("{n}.md")).write();
    }
    desk.scan();
    assert_eq!(desk.queue().len(), 300);
}

#[test]
fn shape_of_show() {
    let desk = one_story();
    let shown = desk.show(desk.id("in/a.md"));
    assert_keys(
        &shown,
        &[
            "id",
            "queue",
            "status",
            "version",
            "title",
            "score",
            "record",
            "hits",
            "events",
            "decisions",
        ],
    );
    assert_eq!(shown["record"]["title"], "Bees on a roof");
    assert_eq!(shown["record"]["provider"]["domain"], "daily.example.org");
    assert_eq!(shown["decisions"], json!([]));
    assert_adds_up(&shown);
    let events = shown["events"].as_array().unwrap();
    assert!(!events.is_empty());
    for event in events {
        assert_keys(event, &["kind", "at", "actor"]);
        time(event, "at");
    }
    desk.run(&["show", &shown["id"].to_string()])
        .done()
        .says(&["Bees on a roof", "in/a.md", "25"]);
}

#[test]
fn shape_of_check() {
    let desk = Desk::new();
    let found = desk.json(&["check"]);
    assert!(
        found
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["severity"] != "error"),
        "{found}"
    );
    desk.rules(
        "queues.yaml",
        "queues:\n  - {name: all, when: qualty > 3}\n",
    );
    let run = desk.run(&["check", "--json"]).refused();
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    let error = found
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["severity"] == "error")
        .expect("an error");
    assert_keys(
        error,
        &[
            "code", "severity", "file", "line", "column", "message", "help",
        ],
    );
    assert!(error["file"].as_str().unwrap().ends_with("queues.yaml"));
    assert_eq!(error["line"], 2);
    desk.run(&["check"])
        .refused()
        .says(&["queues.yaml:2", "qualty", "quality"]);
}

#[test]
fn rules_that_do_not_load_stop_a_pass() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.rules(
        "queues.yaml",
        "queues:\n  - {name: all, when: qualty > 3}\n",
    );
    desk.run(&["scan"]).not_done().says(&["queues.yaml:2"]);
    desk.rules("queues.yaml", "queues:\n  - {name: all, due: 1d}\n");
    assert_eq!(desk.scan()["new"], 1, "nothing was scored with half a set");
}

#[test]
fn shape_of_status() {
    let desk = one_story();
    desk.write("bad.md", "---\ntitle: [\n---\n");
    desk.scan();
    let status = desk.json(&["status"]);
    assert_keys(
        &status,
        &[
            "ok", "sources", "queues", "broken", "mail", "rules", "problems",
        ],
    );
    for list in ["sources", "queues", "broken", "problems"] {
        assert!(status[list].is_array(), "{list}: {status}");
    }
    assert!(
        status["mail"].is_object() && status["rules"].is_object(),
        "{status}"
    );
    assert!(status["sources"].to_string().contains("news"));
    for queue in ["urgent", "ai-desk", "general"] {
        assert!(status["queues"].to_string().contains(queue), "{queue}");
    }
    assert_keys(
        &status["broken"][0],
        &["location", "line", "column", "reason"],
    );
    assert_eq!(status["broken"][0]["location"], "bad.md");
}

#[test]
fn all_is_well() {
    let desk = one_story();
    let status = desk.json(&["status"]);
    assert_eq!(
        (&status["ok"], &status["problems"]),
        (&json!(true), &json!([]))
    );
    desk.run(&["status"]).done().says(&["news", "general"]);
}

#[test]
fn every_listing_is_one_json_value_on_stdout() {
    let desk = one_story();
    desk.notify();
    let file = desk.content("in/a.md");
    let file = file.to_str().unwrap();
    for args in [
        vec!["scan"],
        vec!["scan", "--dry-run"],
        vec!["queue"],
        vec!["show", "1"],
        vec!["explain", file],
        vec!["notify", "--dry-run"],
        vec!["mails"],
        vec!["check"],
        vec!["status"],
    ] {
        let value = desk.json(&args);
        assert!(value.is_object() || value.is_array(), "{args:?}: {value}");
    }
}

#[test]
fn broken_records_are_no_failure_of_a_pass() {
    let desk = Desk::new();
    desk.write("bad.md", "---\ntitle: [\n---\n");
    desk.run(&["scan"]).done().says(&["1 broken"]);
}

#[test]
fn wrong_use_is_told_apart_from_a_refusal() {
    let desk = one_story();
    for args in [
        vec!["frobnicate"],
        vec!["scan", "--no-such-flag"],
        vec!["approve"],
        vec!["approve", "seven"],
        vec!["approve", "7@"],
        vec!["approve", "@1"],
        vec!["approve", "-1"],
        vec!["show"],
        vec!["hold", "1", "--until", "when hell freezes"],
        vec!["explain"],
    ] {
        desk.run(&args).used_wrongly();
    }
    assert_eq!(desk.item("in/a.md")["version"], 1);
}

#[test]
fn help_is_no_failure() {
    let desk = Desk::new();
    for verb in [
        "scan", "check", "explain", "queue", "show", "approve", "reject", "hold", "reopen",
        "notify", "mails", "status",
    ] {
        desk.run(&[verb, "--help"]).done().says(&[verb, "--state"]);
    }
}

#[test]
fn check_and_explain_make_no_state() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.run(&["check"]).done();
    desk.explain("a.md");
    assert!(!desk.path("state").exists());
}

#[test]
fn without_rules_the_answer_is_init() {
    let desk = Desk::new();
    fs::remove_dir_all(desk.path("rules")).unwrap();
    for verb in ["scan", "check", "queue", "status"] {
        desk.run(&[verb]).not_done().says(&["copydesk init"]);
    }
}

#[test]
fn settings_come_from_the_environment_too() {
    let desk = one_story();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_copydesk"));
    command
        .args(["queue", "--json"])
        .current_dir("/")
        .env("COPYDESK_RULES", desk.path("rules"))
        .env("COPYDESK_STATE", desk.path("state"))
        .env("COPYDESK_NOW", desk.now().to_string());
    let run = crate::desk::finish(command).done();
    assert!(run.stdout.contains("Bees on a roof"), "{run:?}");
}

#[test]
fn rules_and_state_are_looked_for_here() {
    let desk = one_story();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_copydesk"));
    command
        .args(["queue", "--json"])
        .current_dir(desk.path(""))
        .env("COPYDESK_NOW", desk.now().to_string());
    for name in ["COPYDESK_RULES", "COPYDESK_STATE"] {
        command.env_remove(name);
    }
    let run = crate::desk::finish(command).done();
    assert!(run.stdout.contains("Bees on a roof"), "{run:?}");
}

#[test]
fn a_story_without_title_is_shown_by_its_place() {
    let desk = Desk::new();
    desk.story("in/untitled.md").without_title().write();
    desk.scan();
    assert_eq!(desk.item("in/untitled.md")["title"], Value::Null);
    desk.run(&["queue"]).done().says(&["in/untitled.md"]);
}

#[test]
fn a_listing_shows_what_to_type() {
    let desk = one_story();
    let tag = desk.tag("in/a.md");
    desk.run(&["queue"])
        .done()
        .says(&[&tag, "Bees on a roof", "25", "general"]);
}

#[test]
fn a_done_decision_says_so() {
    let desk = one_story();
    desk.run(&["approve", &desk.tag("in/a.md")])
        .done()
        .says(&["approved"]);
}

#[test]
fn what_runs_at_the_same_time_waits_a_moment_for_its_turn() {
    let desk = Desk::new();
    for n in 0..5 {
        desk.story(&format!("{n}.md")).write();
    }
    desk.scan();
    let verbs: [&[&str]; 6] = [
        &["scan"],
        &["notify"],
        &["approve", "1"],
        &["scan"],
        &["notify"],
        &["approve", "2"],
    ];
    let running: Vec<_> = verbs
        .iter()
        .map(|args| {
            desk.command(args)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for (mut process, args) in running.into_iter().zip(verbs) {
        assert!(process.wait().unwrap().success(), "{args:?}");
    }
    assert_eq!(
        desk.mails().len(),
        1,
        "the second round of mails had nothing to tell"
    );
    assert!(desk.says("0.md", "published: true") && desk.says("1.md", "published: true"));
}
