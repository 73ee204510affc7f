//! A rule set tried on history: what moves, what agrees, what is suggested, and that nothing changes.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::desk::{Desk, QUEUES, assert_keys, text};

/// Queues that decide by quality: one live, one in shadow mode.
const DECIDING: &str = r#"queues:
  - {name: good, when: quality >= 70, decide: approve}
  - {name: bad, when: quality < 30, decide: reject, mode: shadow}
  - {name: general}
"#;

/// Quality 80, 50 and 20, all unpublished.
fn three() -> Desk {
    let desk = Desk::new();
    for (location, quality) in [("good.md", 80), ("middling.md", 50), ("bad.md", 20)] {
        desk.story(location).quality(quality).write();
    }
    desk
}

fn moves(page: &Value) -> BTreeMap<(String, String), i64> {
    let name = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let lines = page["moves"].as_array().unwrap().iter();
    let line = |line: &Value| {
        let count = line["count"].as_i64().unwrap();
        ((name(&line["from"]), name(&line["to"])), count)
    };
    lines.map(line).collect()
}

fn away(page: &Value) -> BTreeMap<(String, String), i64> {
    let mut moves = moves(page);
    moves.retain(|(from, to), _| from != to);
    moves
}

fn rule_line<'p>(page: &'p Value, id: &str) -> &'p Value {
    let mut rules = page["rules"].as_array().unwrap().iter();
    rules.find(|line| line["rule"] == id).unwrap()
}

pub(crate) fn locations(lines: &Value) -> Vec<String> {
    let lines = lines.as_array().unwrap();
    lines.iter().map(|line| text(line, "location")).collect()
}

fn route(from: &str, to: &str, count: i64) -> ((String, String), i64) {
    ((from.to_owned(), to.to_owned()), count)
}

#[test]
fn the_same_rules_move_nothing_whatever_has_happened() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: auto, when: heat >= 90, decide: approve}\n  - {name: new, when: '!published && quality >= 90'}\n  - {name: general}\n  - {name: audit, takes: published, when: quality >= 90}\n",
    );
    for location in [
        "kept.md",
        "held.md",
        "gone.md",
        "changed.md",
        "outside.md",
        "back.md",
        "both.md",
    ] {
        desk.story(location).write();
    }
    desk.story("auto.md").heat(95).write();
    desk.story("out.md").published(true).write();
    desk.scan();
    desk.run(&["hold", &desk.tag("held.md"), "--until", "3d"])
        .done();
    for location in ["changed.md", "back.md"] {
        desk.approve(location).done();
    }
    desk.run(&["reopen", &desk.id_of("back.md").to_string()])
        .done();
    desk.later("1h");
    desk.replace("changed.md", "title: \"A", "title: \"Corrected: a");
    desk.replace("outside.md", "published: false", "published: true");
    // A new text waits whatever its flag says.
    desk.replace("both.md", "title: \"A", "title: \"Anew: a");
    desk.replace("both.md", "published: false", "published: true");
    desk.remove("gone.md");
    desk.scan();
    desk.later("1h").scan();
    // A comment makes another set of the same rules, and every record is assessed again.
    desk.rules("desk.yaml", "# nothing\n");
    desk.scan();
    // Our own write makes it published, which it was not when it came.
    desk.story("new.md").quality(95).write();
    desk.story("audit.md").quality(95).published(true).write();
    desk.scan();
    desk.approve("new.md").done();
    let before = desk.dump();
    let page = desk.json(&["backtest"]);
    assert_eq!(away(&page), BTreeMap::new(), "{page:#}");
    assert_eq!(
        (&page["moved"], &page["moved_count"]),
        (&json!([]), &json!(0))
    );
    assert_eq!((&page["records"], &page["gone"]), (&json!(11), &json!(1)));
    assert_eq!(moves(&page).values().sum::<i64>(), 10);
    assert_eq!(desk.dump(), before, "a backtest changes nothing");
    desk.run(&["backtest", "--max-moved", "0"]).done();
}

#[test]
fn what_moves_is_counted_and_listed_the_most_surprising_first() {
    let desk = three();
    desk.story("huge.md").quality(90).write();
    desk.scan();
    desk.approve("middling.md").done();
    let scoring = fs::read_to_string(desk.path("rules/scoring.yaml")).unwrap();
    desk.rules("scoring.yaml", &scoring.replace("weight: 1}", "weight: 2}"));
    desk.rules(
        "queues.yaml",
        "queues:\n  - {name: best, when: score.total >= 150}\n  - {name: none, when: quality == 50, skip: true}\n  - {name: general}\n",
    );
    let page = desk.json(&["backtest"]);
    let expected = [
        route("general", "best", 1),
        route("general", "none", 1),
        route("urgent", "best", 1),
    ];
    assert_eq!(away(&page), BTreeMap::from(expected));
    assert_eq!(moves(&page)[&("general".into(), "general".into())], 1);
    assert_eq!(page["moved_count"], 3);
    let moved = page["moved"].as_array().unwrap();
    assert_eq!(
        locations(&page["moved"]),
        ["middling.md", "huge.md", "good.md"]
    );
    assert_eq!(
        moved[0]["contradicts"], true,
        "a person approved what nobody would see"
    );
    assert_eq!(
        (&moved[0]["decided"], &moved[0]["to"]),
        (&json!("approve"), &json!("none"))
    );
    assert_eq!(
        (&moved[1]["before"], &moved[1]["after"]),
        (&json!(95), &json!(185))
    );
    assert_eq!(
        (&moved[2]["before"], &moved[2]["after"]),
        (&json!(85), &json!(165))
    );
    assert_keys(&moved[0], &["title", "source", "from", "to", "decides"]);
}

#[test]
fn a_folder_is_tried_without_a_state_folder_and_none_is_made() {
    let desk = three();
    desk.write("half.md", "---\ntitle: Half\n");
    desk.write("notes.txt", "not a record");
    let folder = desk.path("content");
    let folder = folder.to_str().unwrap();
    let run = desk
        .run(&["backtest", "--against", folder, "--json"])
        .done();
    assert!(run.stderr.contains("half.md:"), "{run:?}");
    let page: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_keys(&page, &["records", "moves", "moved", "agreement", "rules"]);
    assert_eq!((&page["records"], &page["broken"]), (&json!(3), &json!(1)));
    assert_eq!(moves(&page), BTreeMap::from([route("-", "general", 3)]));
    assert_eq!(
        (&page["moved"], &page["moved_count"]),
        (&json!([]), &Value::Null)
    );
    assert!(!desk.path("state").exists());
    let run = desk.run(&["backtest", "--against", folder, "--max-moved", "9"]);
    run.used_wrongly().says(&["--max-moved"]);
    desk.run(&["backtest", "--against", "nowhere"])
        .used_wrongly()
        .says(&["no folder"]);
    desk.run(&["backtest", "--against", folder, "--source", "x"])
        .used_wrongly()
        .says(&["there is no source `x`", "news"]);
    // The one source reads it, though it stands elsewhere.
    let elsewhere = desk.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("a.md"), desk.read("good.md")).unwrap();
    assert_eq!(
        desk.json(&["backtest", "--against", elsewhere.to_str().unwrap()])["records"],
        1
    );
}

#[test]
fn nothing_seen_is_nothing_to_compare() {
    let desk = Desk::new();
    assert_eq!(desk.json(&["backtest"])["records"], 0);
    assert!(!desk.path("state").exists());
    desk.run(&["backtest"]).done().says(&["0 records"]);
    desk.run(&["backtest", "--max-moved", "0"]).used_wrongly();
    desk.run(&["backtest", "--min-agreement", "0"])
        .used_wrongly();
    desk.run(&["backtest", "--min-agreement", "1.1"])
        .used_wrongly()
        .says(&["from 0 to 1"]);
    desk.run(&["backtest", "--suggest"]).done();
}

#[test]
fn gates_end_with_1_when_violated_and_with_2_when_blind() {
    let desk = three();
    desk.scan();
    desk.run(&["backtest", "--min-agreement", "0.5"])
        .used_wrongly()
        .says(&["no queue decides"]);
    // All three say unpublished, and `good` would approve one of the two that are decided.
    desk.rules("queues.yaml", DECIDING);
    assert_eq!(
        desk.json(&["backtest"])["agreement"]["feed"],
        json!({"agree": 1, "of": 2})
    );
    desk.run(&["backtest", "--min-agreement", "0.5"]).done();
    desk.run(&["backtest", "--min-agreement", "0.51"])
        .refused()
        .says(&["1 of 2", "the feed"]);
    desk.run(&["backtest", "--max-moved", "1"]).done();
    let run = desk
        .run(&["backtest", "--max-moved", "0", "--json"])
        .refused();
    assert!(run.stderr.contains("1 records change") || run.stderr.contains("--max-moved 0"));
    assert!(
        serde_json::from_str::<Value>(&run.stdout).is_ok(),
        "the page is printed all the same"
    );
    // What is violated counts for more than what has nothing to say.
    desk.rules("queues.yaml", &QUEUES.replace("general", "other"));
    desk.run(&["backtest", "--max-moved", "0", "--min-agreement", "1"])
        .refused();
}

#[test]
fn agreement_is_with_what_people_decided_last_on_what_stands_there() {
    let desk = three();
    desk.story("taken-back.md").quality(80).write();
    desk.story("changed.md").quality(80).write();
    desk.scan();
    let id = desk.id("taken-back.md").to_string();
    for location in ["good.md", "changed.md", "taken-back.md"] {
        desk.approve(location).done();
    }
    desk.run(&["approve", &desk.tag("bad.md")]).done();
    desk.run(&["reopen", &id]).done();
    desk.replace("changed.md", "title: \"A", "title: \"Not a");
    desk.scan();
    // `good` would approve good.md, as a person did; `bad` would reject bad.md, and she did not.
    desk.rules("queues.yaml", DECIDING);
    let page = desk.json(&["backtest"]);
    assert_eq!(page["agreement"]["people"], json!({"agree": 1, "of": 2}));
    desk.run(&["reject", &desk.id_of("bad.md").to_string()])
        .done();
    let page = desk.json(&["backtest"]);
    assert_eq!(page["agreement"]["people"], json!({"agree": 2, "of": 2}));
    // What the queue itself decides is no decision of people.
    desk.story("by-queue.md").quality(99).write();
    desk.scan();
    let by_queue = desk.show(desk.id_of("by-queue.md"));
    assert_eq!(by_queue["status"], "approved");
    assert_eq!(
        desk.json(&["backtest"])["agreement"]["people"],
        json!({"agree": 2, "of": 2})
    );
}

#[test]
fn the_flag_that_we_wrote_is_not_the_word_of_the_feed() {
    let desk = Desk::new().with_rules("queues.yaml", DECIDING);
    desk.rules(
        "queues.yaml",
        &DECIDING.replace(
            "decide: approve}",
            "decide: approve, mode: shadow, takes: all}",
        ),
    );
    desk.story("good.md").quality(80).write();
    desk.story("no.md")
        .quality(80)
        .published_as("\"no\"")
        .write();
    desk.story("without.md")
        .quality(80)
        .without_published()
        .write();
    desk.scan();
    let feed = |desk: &Desk| desk.json(&["backtest"])["agreement"]["feed"].clone();
    // Only good.md carries the flag: it says false, and the queue would approve it.
    let wrong = json!({"agree": 0, "of": 1});
    assert_eq!(feed(&desk), wrong);
    desk.approve("good.md").done();
    assert!(desk.says("good.md", "published: true"));
    assert_eq!(feed(&desk), Value::Null);
    // Read again, it is still ours.
    desk.replace("good.md", "secured: \"b3", "secured: \"c4");
    desk.later("1h").scan();
    assert_eq!(feed(&desk), Value::Null);
    let id = desk.id_of("good.md").to_string();
    desk.run(&["reopen", &id]).done();
    assert_eq!(feed(&desk), wrong);
    desk.replace("good.md", "published: false", "published: true");
    desk.later("1h").scan();
    assert_eq!(feed(&desk), json!({"agree": 1, "of": 1}));
}

#[test]
fn a_database_from_before_the_flag_learns_it_at_the_next_pass() {
    let desk = three();
    desk.scan();
    let database = rusqlite::Connection::open(desk.path("state/copydesk.db")).unwrap();
    let old = "ALTER TABLE records DROP COLUMN flag; DROP TABLE shadow_hits;
               DROP INDEX write_backs_under_way; ALTER TABLE write_backs DROP COLUMN aside;
               ALTER TABLE write_backs DROP COLUMN old; ALTER TABLE write_backs DROP COLUMN new;
               ALTER TABLE sources DROP COLUMN weak;
               DELETE FROM schema_version WHERE version > 1;";
    database.execute_batch(old).unwrap();
    drop(database);
    desk.rules("queues.yaml", DECIDING);
    assert_eq!(desk.json(&["backtest"])["agreement"]["feed"], Value::Null);
    desk.rules("queues.yaml", QUEUES);
    let counts = desk.scan();
    assert_eq!(
        (&counts["unchanged"], &counts["changed"]),
        (&json!(3), &json!(0))
    );
    desk.rules("queues.yaml", DECIDING);
    assert_eq!(
        desk.json(&["backtest"])["agreement"]["feed"],
        json!({"agree": 1, "of": 2})
    );
}

#[test]
fn since_leaves_out_what_came_before() {
    let desk = Desk::new();
    desk.story("old.md").date("2026-01-05T10:00:00Z").write();
    desk.scan();
    desk.later("72h");
    desk.story("new.md").date("2026-03-04T10:00:00Z").write();
    desk.scan();
    let records = |args: &[&str]| {
        let args = [&["backtest"], args].concat();
        desk.json(&args)["records"].as_i64().unwrap()
    };
    assert_eq!(records(&[]), 2);
    assert_eq!(records(&["--since", "2d"]), 1);
    assert_eq!(records(&["--since", "4d"]), 2);
    assert_eq!(records(&["--since", "2026-03-05T09:00:00Z"]), 1);
    let folder = desk.path("content");
    let folder = folder.to_str().unwrap();
    assert_eq!(records(&["--against", folder, "--since", "2026-02-01"]), 1);
    assert_eq!(records(&["--against", folder, "--since", "2026-01-01"]), 2);
    desk.run(&["backtest", "--since", "yesterday"])
        .used_wrongly()
        .says(&["write a span"]);
}

#[test]
fn each_rule_says_what_it_is_good_for() {
    let desk = Desk::new().with_rules(
        "more.yaml",
        r#"rules:
  - {id: decides, axis: quality, when: mentions("alpha"), points: 30, why: Moves it into urgent}
  - {id: idle, axis: heat, when: 'mentions("alpha", "beta")', points: 1, why: Too little}
  - {id: capped, axis: topic, when: mentions("alpha"), points: 500, why: Beyond the cap}
  - {id: also-capped, axis: topic, when: mentions("alpha"), points: 500, why: Beyond the cap}
  - {id: never, axis: heat, when: mentions("omega"), points: 9, why: Never}
  - {id: blind, axis: heat, when: members > 3, points: 9, why: Nobody has members}
  - {id: on-trial, axis: heat, when: mentions("beta"), points: 90, why: On trial, mode: shadow}
"#,
    );
    // 20 + 30 quality, 5 + 1 heat, 40 topic: 96.
    desk.story("alpha.md").write();
    desk.story("beta.md").write();
    desk.story("gamma.md").line("members: 2").write();
    desk.scan();
    desk.approve("alpha.md").done();
    desk.run(&["reject", &desk.tag("beta.md")]).done();
    let page = desk.json(&["backtest"]);
    let counts = |id: &str| {
        let line = rule_line(&page, id);
        ["hits", "decided", "not_evaluated", "moves"].map(|key| line[key].as_i64().unwrap())
    };
    assert_eq!(counts("decides"), [1, 1, 0, 1]);
    assert_eq!(counts("idle"), [2, 2, 0, 0]);
    assert_eq!(
        counts("capped"),
        [1, 1, 0, 0],
        "the other one reaches the cap alone"
    );
    assert_eq!(counts("never"), [0, 0, 0, 0]);
    assert_eq!(counts("blind"), [0, 0, 2, 0]);
    assert_eq!(
        counts("on-trial"),
        [1, 1, 0, 1],
        "with it beta.md would be urgent"
    );
    assert_eq!(rule_line(&page, "decides")["approved_share"], 1.0);
    assert_eq!(rule_line(&page, "idle")["approved_share"], 0.5);
    assert_eq!(rule_line(&page, "never")["approved_share"], Value::Null);
    assert_eq!(rule_line(&page, "on-trial")["mode"], "shadow");
    assert!(text(rule_line(&page, "idle"), "at").ends_with("more.yaml:3"));
    assert_eq!(
        page["never_hit"],
        json!(["never", "blind", "face-recognition"])
    );
    assert_eq!(
        page["moves_nothing"],
        json!(["idle", "capped", "also-capped"])
    );
}

#[test]
fn queues_in_shadow_mode_say_what_they_would_take() {
    let desk = three().with_rules(
        "queues.yaml",
        "queues:\n  - {name: high, when: score.total >= 50, mode: shadow}\n  - {name: general}\n  - {name: late, when: quality >= 10, takes: all, mode: shadow, decide: approve}\n",
    );
    desk.story("out.md").quality(60).published(true).write();
    desk.scan();
    let page = desk.json(&["backtest"]);
    let late = json!({"queue": "late", "decide": "approve", "takes": 1, "holds": 4});
    let high = json!({"queue": "high", "decide": null, "takes": 2, "holds": 2});
    assert_eq!(page["shadow"], json!([high, late]));
    assert_eq!(page["agreement"]["feed"], json!({"agree": 1, "of": 4}));
    assert_eq!(away(&page), BTreeMap::new());
}

#[test]
fn a_queue_in_shadow_mode_decides_nothing_that_it_could_not_judge() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: general}\n  - {name: by-score, when: score.total < 10, mode: shadow, decide: reject}\n  - {name: by-members, when: members > 5, mode: shadow, decide: reject}\n  - {name: rest, mode: shadow, decide: reject}\n",
    );
    desk.story("blind.md")
        .without_numbers()
        .line("members: 9")
        .write();
    desk.story("unknown.md").write();
    desk.story("few.md").line("members: 1").write();
    desk.scan();
    // blind.md: its low score says nothing; unknown.md: whether it has members is not known.
    assert_eq!(
        desk.json(&["backtest"])["agreement"]["feed"],
        json!({"agree": 1, "of": 1})
    );
}

#[test]
fn load_is_by_day_of_publication_and_queue() {
    let desk = Desk::new();
    for (location, date, quality) in [
        ("a.md", "2026-02-01T23:59:59Z", 20),
        ("b.md", "2026-02-03T00:00:00Z", 20),
        ("c.md", "2026-02-03T12:00:00Z", 20),
        ("d.md", "2026-02-04T12:00:00Z", 95),
    ] {
        desk.story(location).date(date).quality(quality).write();
    }
    desk.scan();
    let load = desk.json(&["backtest"])["load"].clone();
    assert_eq!(
        load,
        json!({"from": "2026-02-01", "to": "2026-02-04", "days": 4, "queues": [
            {"queue": "urgent", "records": 1, "per_day": 0.25, "busiest": "2026-02-04", "on_busiest": 1},
            {"queue": "general", "records": 3, "per_day": 0.75, "busiest": "2026-02-03", "on_busiest": 2},
        ]})
    );
}

#[test]
fn of_a_stored_record_every_key_counts_that_a_rule_names() {
    let conditions = [
        "members > 3",
        "has(cdnAmpWebUrl)",
        "record[\"odd-key\"] == \"a\"",
        "ratings.value >= 2",
        "images.exists(x, x.width > 500)",
        "!(\"x\" in levels) ? false : true",
        "size(category) + 1 > 2",
        "webUrl.lowerAscii().contains(\"example\")",
        "type.matches(r\"^art\")",
        "category + ampWebUrl == \"newsb\"",
        "-heat < 0",
    ];
    let rule = |(n, when): (usize, &&str)| {
        format!("  - {{id: r{n}, axis: heat, when: '{when}', points: 1, why: so}}\n")
    };
    let rules: String = conditions.iter().enumerate().map(rule).collect();
    let desk = Desk::new().with_rules("more.yaml", &format!("rules:\n{rules}"));
    let mut story = desk.story("a.md");
    for line in [
        "members: 4",
        "levels: [x]",
        "odd-key: a",
        "ratings: {value: 2}",
        "images: [{width: 600}]",
        "webUrl: https://EXAMPLE.org/",
        "ampWebUrl: b",
        "cdnAmpWebUrl: c",
        "unread: {large: [1, 2, 3]}",
    ] {
        story = story.line(line);
    }
    story.write();
    desk.scan();
    let stored = desk.json(&["backtest"]);
    for (n, condition) in conditions.iter().enumerate() {
        let line = rule_line(&stored, &format!("r{n}"));
        assert_eq!(line["hits"], 1, "{condition}");
    }
    let folder = desk.path("content");
    let read = desk.json(&["backtest", "--against", folder.to_str().unwrap()]);
    assert_eq!(stored["rules"], read["rules"]);
}
