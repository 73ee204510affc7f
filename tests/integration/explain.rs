//! Why this score, why this queue: sums that add up, what was missing, and what was near.

use serde_json::{Value, json};

use crate::desk::{Desk, SCORING, assert_adds_up, assert_keys, fixtures, text};

fn hit<'a>(explained: &'a Value, rule: &str) -> Option<&'a Value> {
    explained["hits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|hit| hit["rule"] == rule)
}

/// Scores 44 + 22 + 30 = 96.
fn rich(desk: &Desk) {
    desk.story("rich.md")
        .title("City stops face-recognition cameras")
        .excerpt("The cameras used Rekognition.")
        .quality(44)
        .heat(44)
        .topics(&["AI"])
        .write();
}

#[test]
fn a_score_is_printed_as_a_sum_that_adds_up() {
    let desk = Desk::new();
    rich(&desk);
    let explained = desk.explain("rich.md");
    assert_keys(
        &explained,
        &[
            "location",
            "score",
            "hits",
            "queue",
            "not_evaluated",
            "near",
        ],
    );
    assert_eq!(explained["location"], "rich.md");
    assert_eq!(
        explained["score"],
        json!({"quality": 44, "heat": 22, "topic": 30, "total": 96})
    );
    assert_adds_up(&explained);
    assert_eq!(
        (&explained["queue"], &explained["near"]),
        (&json!("urgent"), &json!([]))
    );
    for hit in explained["hits"].as_array().unwrap() {
        assert_keys(hit, &["rule", "axis", "points", "why", "at"]);
        assert!(text(hit, "at").contains(".yaml:"), "{hit}");
    }
    let rule = hit(&explained, "face-recognition").expect("the rule held");
    assert_eq!(
        (&rule["axis"], &rule["points"]),
        (&json!("topic"), &json!(15))
    );
    assert_eq!(rule["why"], "Face recognition is policy-sensitive");
    assert!(text(rule, "at").contains("scoring.yaml:"));
    let file = desk.content("rich.md");
    desk.run(&["explain", file.to_str().unwrap()])
        .done()
        .says(&[
            "96",
            "44",
            "22",
            "30",
            "15",
            "face-recognition",
            "Face recognition is policy-sensitive",
            "scoring.yaml:",
            "urgent",
        ]);
}

#[test]
fn the_sum_adds_up_for_every_fixture() {
    let desk = Desk::new();
    for (name, bytes) in fixtures() {
        desk.write(&name, bytes);
        let explained = desk.explain(&name);
        assert_adds_up(&explained);
        assert!(explained["queue"].is_string() || explained["queue"].is_null());
    }
}

#[test]
fn the_near_misses_say_what_is_lacking() {
    let desk = Desk::new();
    desk.story("a.md").quality(76).heat(10).write();
    let explained = desk.explain("a.md");
    assert_eq!(explained["score"]["total"], 81);
    assert_eq!(explained["queue"], "general");
    assert_eq!(
        explained["near"],
        json!([{"queue": "urgent", "needs": [{"name": "score.total", "by": 14}]}])
    );
    let file = desk.content("a.md");
    desk.run(&["explain", file.to_str().unwrap()])
        .done()
        .says(&["14 more score.total: urgent"]);
}

#[test]
fn what_is_missing_gives_no_points_and_is_named() {
    let desk = Desk::new();
    desk.rules(
        "more.yaml",
        "rules:\n  - {id: crowded, axis: heat, when: members > 10, points: 7, why: Many members}\n",
    );
    desk.story("a.md").without_numbers().write();
    let explained = desk.explain("a.md");
    assert_eq!(
        explained["score"],
        json!({"quality": 0, "heat": 0, "topic": 0, "total": 0})
    );
    let not_evaluated = explained["not_evaluated"].as_array().unwrap();
    let rule = not_evaluated
        .iter()
        .find(|entry| entry["rule"] == "crowded")
        .expect("the rule was not evaluated");
    assert_eq!(rule["missing"], json!(["members"]));
    let file = desk.content("a.md");
    desk.run(&["explain", file.to_str().unwrap()])
        .done()
        .says(&["crowded", "members", "quality", "heat"]);
    desk.story("b.md").line("members: 11").write();
    let explained = desk.explain("b.md");
    assert_eq!(hit(&explained, "crowded").unwrap()["points"], 7);
}

#[test]
fn a_missing_side_may_be_made_up_for() {
    let desk = Desk::new();
    desk.rules(
        "more.yaml",
        "rules:
  - {id: either, axis: heat, when: members > 10 || quality > 10, points: 1, why: One side is true}
  - {id: both, axis: heat, when: members > 10 && quality > 1000, points: 1, why: One side is false}
  - {id: unknown, axis: heat, when: members > 10 && quality > 10, points: 1, why: Nobody knows}
  - {id: asked, axis: heat, when: has(members), points: 1, why: It is there}
  - {id: excepted, axis: heat, when: quality > 10, unless: members > 10, points: 1, why: Nothing excepts it}
",
    );
    desk.story("a.md").write();
    let explained = desk.explain("a.md");
    let not_evaluated: Vec<&Value> = explained["not_evaluated"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["rule"])
        .collect();
    let held = |rule: &str| hit(&explained, rule).is_some();
    assert!(held("either") && held("excepted"), "{explained:#}");
    assert!(
        !held("both") && !held("unknown") && !held("asked"),
        "{explained:#}"
    );
    assert!(not_evaluated.contains(&&json!("unknown")), "{explained:#}");
    assert!(
        !not_evaluated.contains(&&json!("both")) && !not_evaluated.contains(&&json!("either")),
        "{explained:#}"
    );
}

#[test]
fn a_trusted_provider_is_excepted() {
    let desk = Desk::new();
    for (name, domain, held) in [
        ("a.md", "daily.example.org", true),
        ("b.md", "trusted.example.org", false),
        ("c.md", "www.trusted.example.org", false),
    ] {
        desk.story(name)
            .title("Facial recognition at work")
            .domain(domain)
            .write();
        assert_eq!(
            hit(&desk.explain(name), "face-recognition").is_some(),
            held,
            "{domain}"
        );
    }
}

#[test]
fn what_a_cap_cuts_is_itself_a_hit() {
    let desk = Desk::new().with_rules("scoring.yaml", &SCORING.replace("cap: 40", "cap: 12"));
    rich(&desk);
    let explained = desk.explain("rich.md");
    assert_eq!(explained["score"]["topic"], 12);
    assert_adds_up(&explained);
    assert!(
        explained["hits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|hit| hit["points"] == -18),
        "{explained:#}"
    );
}

#[test]
fn points_are_rounded_half_away_from_zero() {
    let desk = Desk::new();
    for (heat, points) in [(45, 23), (-45, -23), (44, 22), (1, 1), (0, 0)] {
        desk.story("a.md").heat(heat).write();
        let explained = desk.explain("a.md");
        assert_eq!(explained["score"]["heat"], points, "{heat}");
        assert_adds_up(&explained);
    }
}

#[test]
fn a_topic_brings_its_parents_and_counts_once() {
    let desk = Desk::new();
    desk.story("a.md")
        .title("SageMaker and Rekognition")
        .topics(&["AWS AI", "AI"])
        .write();
    let explained = desk.explain("a.md");
    assert_eq!(explained["score"]["topic"], 15);
    desk.story("b.md").topics(&["AWS AI"]).write();
    let explained = desk.explain("b.md");
    assert_eq!(
        (&explained["queue"], &explained["score"]["topic"]),
        (&json!("ai-desk"), &json!(15))
    );
}

#[test]
fn words_are_whole_and_of_any_case() {
    let desk = Desk::new();
    for (title, held) in [
        ("FACE RECOGNITION at the gate", true),
        ("Face-Recognition at the gate", true),
        ("Surface recognition of a lake", false),
        ("A face, recognition of it", false),
        ("No such thing", false),
    ] {
        desk.story("a.md").title(title).write();
        assert_eq!(
            hit(&desk.explain("a.md"), "face-recognition").is_some(),
            held,
            "{title}"
        );
    }
    desk.story("a.md")
        .body("All about face recognition.\n")
        .write();
    assert!(
        hit(&desk.explain("a.md"), "face-recognition").is_none(),
        "title and excerpt alone are read"
    );
}

#[test]
fn several_files_are_explained_one_to_a_line() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.story("in/b.md").write();
    let (a, b) = (desk.content("a.md"), desk.content("in/b.md"));
    let run = desk
        .run(&[
            "explain",
            a.to_str().unwrap(),
            b.to_str().unwrap(),
            "--json",
        ])
        .done();
    let locations: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["location"].clone())
        .collect();
    assert_eq!(locations, ["a.md", "in/b.md"]);
}

#[test]
fn a_file_outside_every_source_is_explained_too() {
    let desk = Desk::new();
    desk.story("../outside.md").quality(30).write();
    let file = desk.path("outside.md");
    let file = file.to_str().unwrap();
    assert_eq!(desk.json(&["explain", file])["score"]["quality"], 30);
    assert_eq!(
        desk.json(&["explain", file, "--source", "news"])["score"]["quality"],
        30
    );
    desk.run(&["explain", file, "--source", "nwes"])
        .not_done()
        .says(&["news"]);
}

#[test]
fn one_rule_can_be_asked_about() {
    let desk = Desk::new();
    rich(&desk);
    let file = desk.content("rich.md");
    let file = file.to_str().unwrap();
    desk.run(&["explain", file, "--rule", "face-recognition"])
        .done()
        .says(&["face-recognition", "15"]);
    desk.run(&["explain", file, "--rule", "face-recogniton"])
        .not_done()
        .says(&["face-recognition"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let desk = Desk::new();
    desk.run(&["explain", desk.content("nowhere.md").to_str().unwrap()])
        .not_done()
        .says(&["nowhere.md"]);
}

#[test]
fn a_listing_and_an_explanation_agree() {
    let desk = Desk::new();
    rich(&desk);
    desk.story("calm.md").write();
    desk.scan();
    for location in ["rich.md", "calm.md"] {
        let (item, explained) = (desk.item(location), desk.explain(location));
        assert_eq!(
            (&item["score"], &item["queue"]),
            (&explained["score"], &explained["queue"])
        );
        let shown = desk.show(item["id"].as_i64().unwrap());
        assert_eq!(shown["hits"], explained["hits"]);
    }
}
