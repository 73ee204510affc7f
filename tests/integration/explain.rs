//! Why this score, why this queue: sums that add up, what was missing, and what was near.

use expect_test::{Expect, expect};
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

/// What is printed of one rule or queue.
fn parts(desk: &Desk, location: &str, of: &[&str], expected: &Expect) {
    let file = desk.content(location);
    let run = desk.run(&[&["explain", file.to_str().unwrap()], of].concat());
    assert!(run.code == 0 && run.stderr.is_empty(), "{run:?}");
    expected.assert_eq(&run.stdout);
}

/// Rules of every shape, on one story.
fn shapes() -> Desk {
    let desk = Desk::new();
    desk.rules(
        "more.yaml",
        r#"rules:
  - id: mixed
    axis: heat
    when:
      - quality > 50 || members > 50 || (domain in trusted && !published)
      - related.exists(r, r.quality > 5)
      - 'age_days < 3 ? has(images) : size(related) > 1'
      - '!(about("Portals") || size(topics) > 9)'
    unless: [published, '"AI" in topics && title.contains("cameras")']
    points: 3
    why: It is mixed
  - {id: excepted, axis: heat, when: heat >= 10, unless: heat < 20, points: 4, why: Warm}
  - {id: typed, axis: heat, when: 'levels.all(l, l == "high") && record["odd-key"] == "x"', points: 4, why: Typed}
  - {id: tried, axis: quality, when: heat < 20, points: 4, why: Cold, mode: shadow}
"#,
    );
    desk.story("a.md")
        .title("City stops \u{1b}[31mface-recognition cameras")
        .quality(44)
        .topics(&["AI", "Traffic"])
        .line("related: [{title: One, quality: 3}, {title: Two}]")
        .line("levels: low")
        .published(false)
        .write();
    desk
}

#[test]
fn a_rule_that_missed_says_which_part_failed_and_what_the_value_was() {
    let desk = shapes();
    parts(
        &desk,
        "a.md",
        &["--rule", "mixed"],
        &expect![[r#"
        a.md: mixed does not hit (rules/more.yaml:2)
          when all of this holds
            ? any of
              ✗ quality > 50                    quality is 44
              ? members > 50                    missing: members
              ✗ all of
                ✗ domain in trusted             domain is "daily.example.org"
                ✓ !published                    published is false
            ? related.exists(r, r.quality > 5)  related[0].quality is 3, missing: related[1].quality
            ✗ if the first holds, the second, else the third
              ✓ age_days < 3                    age_days is 0.88
              ✗ has(images)
              ✓ size(related) > 1               size(related) is 2
            ✓ not
              ✗ any of
                ✗ about("Portals")              topics is ["AI","Traffic"]
                ✗ size(topics) > 9              size(topics) is 2
          unless any of this holds
            ✗ published                         published is false
            ✓ all of
              ✓ "AI" in topics                  topics is ["AI","Traffic"]
              ✓ title.contains("cameras")       title is "City stops ␛[31mface-recognition cameras"
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--rule", "excepted"],
        &expect![[r#"
        a.md: excepted does not hit: an exception holds (rules/more.yaml:12)
          when all of this holds
            ✓ heat >= 10  heat is 10
          unless any of this holds
            ✓ heat < 20   heat is 10
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--rule", "typed"],
        &expect![[r#"
        a.md: typed is not evaluated: the record has no levels, record["odd-key"] (rules/more.yaml:13)
          when all of this holds
            ? levels.all(l, l == "high")  levels is "low", which is of another type and counts as missing
            ? record["odd-key"] == "x"    missing: record["odd-key"]
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--rule", "tried"],
        &expect![[r#"
        a.md: tried would hit, and is in shadow: +4 quality, Cold (rules/more.yaml:14)
          when all of this holds
            ✓ heat < 20  heat is 10
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--rule", "face-recognition"],
        &expect![[r#"
            a.md: face-recognition does not hit (rules/scoring.yaml:11)
              when all of this holds
                ✗ mentions("face recognition", "facial recognition")  title is "City stops ␛[31mface-recognition cameras", excerpt is "What there is to know about a."
              unless any of this holds
                ✗ domain in trusted  domain is "daily.example.org"
        "#]],
    );
}

#[test]
fn a_queue_says_why_it_does_not_take_a_story() {
    let desk = shapes();
    desk.rules(
        "z.yaml",
        "queues:
  - {name: audit, takes: published}
  - {name: tried, takes: all, mode: shadow}
  - {name: auto, when: quality > 1, decide: approve}
",
    );
    parts(
        &desk,
        "a.md",
        &["--queue", "urgent"],
        &expect![[r#"
        a.md: urgent does not take it; ai-desk takes it (rules/queues.yaml:2)
          when all of this holds
            ✗ score.total >= 95  score.total is 54
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--queue", "ai-desk"],
        &expect![[r#"
        a.md: ai-desk takes it (rules/queues.yaml:3)
          when all of this holds
            ✓ about("AI")  topics is ["AI","Traffic"]
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--queue", "general"],
        &expect![[r#"
        a.md: general holds, but ai-desk takes it first (rules/queues.yaml:4)
          it has no condition, so that it always holds
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--queue", "audit"],
        &expect![[r#"
        a.md: audit looks only at what reads as published, and this reads as unpublished; ai-desk takes it (rules/z.yaml:2)
          it has no condition, so that it always holds
    "#]],
    );
    parts(
        &desk,
        "a.md",
        &["--queue", "auto"],
        &expect![[r#"
        a.md: auto holds, but ai-desk takes it first (rules/z.yaml:4)
          when all of this holds
            ✓ quality > 1  quality is 44
    "#]],
    );
    let file = desk.content("a.md");
    let file = file.to_str().unwrap();
    desk.run(&["explain", file, "--queue", "genral"])
        .used_wrongly()
        .says(&["genral", "general"]);
    desk.run(&["explain", file, "--queue", "general", "--rule", "mixed"])
        .used_wrongly();
}

#[test]
fn the_parts_are_told_as_a_tree() {
    let desk = shapes();
    let file = desk.content("a.md");
    let file = file.to_str().unwrap();
    let told = desk.json(&["explain", file, "--rule", "mixed"]);
    assert_eq!(
        (
            &told["location"],
            &told["rule"],
            &told["hit"],
            &told["missing"]
        ),
        (&json!("a.md"), &json!("mixed"), &Value::Null, &json!([]))
    );
    assert_eq!(told["at"], "rules/more.yaml:2");
    assert_eq!(
        told["when"][0]["parts"][2],
        json!({
            "condition": "domain in trusted && !published", "holds": false, "found": {}, "missing": [],
            "parts": [
                {"condition": "domain in trusted", "holds": false, "found": {"domain": "daily.example.org"}, "missing": [], "parts": []},
                {"condition": "!published", "holds": true, "found": {}, "missing": [], "parts": [
                    {"condition": "published", "holds": false, "found": {"published": false}, "missing": [], "parts": []},
                ]},
            ],
        })
    );
    assert_eq!(told["when"][0]["parts"][1]["missing"], json!(["members"]));
    assert_eq!(told["unless"].as_array().unwrap().len(), 2);
    let told = desk.json(&["explain", file, "--rule", "tried"]);
    assert_eq!(
        (&told["shadow"], &told["hit"]["points"]),
        (&json!(true), &json!(4))
    );
    let told = desk.json(&["explain", file, "--queue", "urgent"]);
    assert_eq!(
        (&told["queue"], &told["takes"], &told["taken_by"]),
        (&json!("urgent"), &json!(false), &json!("ai-desk"))
    );
    assert_eq!(told["when"][0]["found"], json!({"score.total": 54}));
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
