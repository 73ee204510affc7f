//! One pass: what is read, what waits, and what changes nothing.

use serde_json::{Value, json};

use crate::desk::{Desk, assert_keys, text, time};

fn counts(scan: &Value) -> [i64; 7] {
    [
        "records",
        "new",
        "changed",
        "rescored",
        "unchanged",
        "broken",
        "queued",
    ]
    .map(|key| {
        scan[key]
            .as_i64()
            .unwrap_or_else(|| panic!("no {key} in {scan}"))
    })
}

#[test]
fn what_reads_as_unpublished_waits() {
    let desk = Desk::new();
    desk.story("waits.md").write();
    desk.story("deep/er/waits-too.md").write();
    desk.story("out.md").published(true).write();
    desk.story("no-flag.md").without_published().write();
    assert_eq!(counts(&desk.scan()), [4, 4, 0, 0, 0, 0, 2]);
    assert_eq!(
        desk.waiting(),
        ["deep/er/waits-too.md".to_owned(), "waits.md".to_owned()].into()
    );
}

#[test]
fn a_source_says_what_no_flag_means() {
    let desk = Desk::new().with_source("missing: true", "missing: false");
    desk.story("no-flag.md").without_published().write();
    assert_eq!(desk.scan()["queued"], 1);
}

#[test]
fn only_what_is_included_is_read() {
    let desk = Desk::new().with_source(r#"["**/*.md"]"#, r#"["in/*.md"]"#);
    desk.story("in/one.md").write();
    desk.story("in/deeper/two.md").write();
    desk.story("three.md").write();
    desk.write("in/four.txt", "no record");
    assert_eq!(counts(&desk.scan())[0], 1);
}

#[test]
fn each_record_goes_to_the_first_queue_that_takes_it() {
    let desk = Desk::new();
    desk.story("hot.md").quality(90).write();
    desk.story("machine.md").topics(&["AI"]).write();
    desk.story("keyword.md")
        .title("What SageMaker is for")
        .write();
    desk.story("rest.md").write();
    desk.scan();
    for (location, queue) in [
        ("hot.md", "urgent"),
        ("machine.md", "ai-desk"),
        ("keyword.md", "ai-desk"),
        ("rest.md", "general"),
    ] {
        assert_eq!(desk.item(location)["queue"], queue, "{location}");
    }
}

#[test]
fn an_item_tells_its_score() {
    let desk = Desk::new();
    desk.story("a.md")
        .quality(44)
        .heat(44)
        .topics(&["AI"])
        .title("City tries facial recognition")
        .write();
    desk.scan();
    assert_eq!(
        desk.item("a.md")["score"],
        json!({"quality": 44, "heat": 22, "topic": 20, "total": 86})
    );
}

#[test]
fn a_second_pass_changes_nothing_but_the_row_of_the_last_run() {
    let desk = Desk::new();
    for n in 0..5 {
        desk.story(&format!("{n}.md")).published(n == 0).write();
    }
    desk.write("broken.md", "---\ntitle: [\n---\n");
    desk.scan();
    let before = desk.dump();
    desk.later("2h");
    assert_eq!(counts(&desk.scan()), [5, 0, 0, 0, 5, 1, 4]);
    assert_eq!(desk.dump(), before);
}

#[test]
fn noise_is_no_change() {
    let desk = Desk::new();
    let story = desk.story("a.md").quality(35).write();
    desk.scan();
    let item = desk.item("a.md");
    let id = item["id"].as_i64().unwrap();
    let shown = desk.show(id);
    let rewritten = |what: &str| {
        desk.later("2h");
        assert_eq!(counts(&desk.scan()), [1, 0, 0, 0, 1, 0, 1], "{what}");
        assert_eq!(desk.item("a.md"), item, "{what}");
        assert_eq!(desk.show(id), shown, "{what}");
    };
    story.clone().secured("c29tZXRoaW5nIGVsc2U=").write();
    rewritten("volatile text");
    story.clone().crlf().write();
    rewritten("LF to CRLF");
    story.clone().crlf().bom().write();
    rewritten("a mark at the start");
    story.write();
    desk.replace("a.md", "category: news", "category: \"news\"   # as ever");
    rewritten("quotes and a comment");
}

#[test]
fn a_changed_signal_scores_again_and_asks_nobody_again() {
    let desk = Desk::new();
    let story = desk.story("a.md").heat(40).write();
    desk.scan();
    let before = desk.item("a.md");
    story.heat(20).write();
    desk.later("1h");
    assert_eq!(counts(&desk.scan()), [1, 0, 0, 1, 0, 0, 1]);
    let after = desk.item("a.md");
    assert_eq!(
        (&after["id"], &after["version"]),
        (&before["id"], &before["version"])
    );
    assert_eq!(after["score"]["total"], 30);
}

#[test]
fn changed_content_is_a_new_version() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    for (version, changed) in [
        (2, story.clone().title("Another title")),
        (3, story.clone().body("Another body.\n")),
        (4, story.clone().line("unknown: key")),
    ] {
        changed.write();
        desk.later("1h");
        assert_eq!(counts(&desk.scan()), [1, 0, 1, 0, 0, 0, 1]);
        let item = desk.item("a.md");
        assert_eq!(
            (item["id"].as_i64(), item["version"].as_i64()),
            (Some(id), Some(version))
        );
    }
}

#[test]
fn a_new_score_moves_the_item_and_keeps_its_id_and_the_earlier_due() {
    let desk = Desk::new();
    let story = desk.story("a.md").heat(10).write();
    desk.scan();
    let calm = desk.item("a.md");
    desk.later("1h");
    story.clone().heat(200).write();
    desk.scan();
    let hot = desk.item("a.md");
    assert_eq!(
        (&hot["queue"], &hot["id"], &hot["version"]),
        (&json!("urgent"), &calm["id"], &calm["version"])
    );
    assert!(time(&hot, "due") < time(&calm, "due"));
    story.heat(10).write();
    desk.scan();
    let cooled = desk.item("a.md");
    assert_eq!(cooled["queue"], "general");
    assert_eq!(cooled["due"], hot["due"]);
}

#[test]
fn changed_rules_route_again_and_keep_id_and_version() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let before = desk.item("a.md");
    desk.rules("queues.yaml", "queues:\n  - {name: everything, due: 3d}\n");
    desk.later("1h");
    desk.scan();
    let after = desk.item("a.md");
    assert_eq!(after["queue"], "everything");
    for key in ["id", "version", "due"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    desk.rules(
        "scoring.yaml",
        "score:\n  quality: {field: quality, weight: 3}\n",
    );
    desk.scan();
    let after = desk.item("a.md");
    assert_eq!(
        after["score"],
        json!({"quality": 60, "heat": 0, "topic": 0, "total": 60})
    );
    assert_eq!(
        (&after["id"], &after["version"]),
        (&before["id"], &before["version"])
    );
}

#[test]
fn a_field_that_changes_class_makes_no_new_revision() {
    let desk = Desk::new();
    desk.story("waits.md")
        .line("images: [{url: /a.jpg}]")
        .write();
    desk.story("decided.md")
        .line("images: [{url: /b.jpg}]")
        .write();
    desk.scan();
    desk.approve("decided.md").done();
    desk.scan();
    let before = desk.item("waits.md");
    for (from, to) in [
        ("topics, images, related]", "topics, related]"),
        ("topics, related]", "topics, related, excerpt]"),
        ("volatile: [secured]", "volatile: [secured, category]"),
        ("volatile: [secured, category]", "volatile: [secured]"),
    ] {
        desk.change_source(from, to);
        desk.later("1h");
        let scan = desk.scan();
        assert_eq!(
            (&scan["new"], &scan["changed"], &scan["queued"]),
            (&json!(0), &json!(0), &json!(1)),
            "{to}"
        );
        assert_eq!(desk.item("waits.md")["version"], before["version"], "{to}");
    }
}

#[test]
fn a_dry_run_keeps_nothing() {
    let desk = Desk::new();
    desk.story("a.md").write();
    let scan = desk.json(&["scan", "--dry-run"]);
    assert_keys(
        &scan,
        &[
            "records",
            "new",
            "changed",
            "rescored",
            "unchanged",
            "broken",
            "queued",
        ],
    );
    assert_eq!(scan["new"], 1);
    assert_eq!(desk.json(&["queue"]), json!([]));
    assert_eq!(desk.scan()["new"], 1);
}

#[test]
fn another_folder_can_be_named() {
    let desk = Desk::new();
    desk.story("../elsewhere/a.md").write();
    desk.run(&["scan", desk.path("elsewhere").to_str().unwrap()])
        .done();
    assert_eq!(desk.waiting(), ["a.md".to_owned()].into());
}

#[test]
fn another_folder_cannot_replace_two() {
    let desk = Desk::new().with_rules(
        "more.yaml",
        "sources:\n  - {name: other, path: ../other, include: [\"**/*.md\"], identity: [originalUrl], published: {key: published, missing: true}, approve: {set: {published: true}}, reject: {set: {published: false}}}\n",
    );
    std::fs::create_dir_all(desk.path("other")).unwrap();
    desk.run(&["check"]).done();
    desk.run(&["scan", desk.path("content").to_str().unwrap()])
        .not_done();
}

#[test]
fn a_state_folder_in_use_is_refused_by_name_of_the_process() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let me = std::process::id().to_string();
    std::fs::write(desk.path("state/lock"), &me).unwrap();
    let lock = std::fs::File::open(desk.path("state/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    desk.run(&["scan"]).not_done().says(&[&me]);
    // The other commands work beside it.
    assert_eq!(desk.queue().len(), 1);
    desk.run(&["check"]).done();
    drop(lock);
    desk.scan();
}

#[test]
fn what_no_queue_takes_has_no_item() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: hot, when: score.total > 50, due: 1d}\n",
    );
    desk.story("cold.md").write();
    desk.story("hot.md").quality(60).write();
    assert_eq!(desk.scan()["queued"], 1);
    assert_eq!(desk.waiting(), ["hot.md".to_owned()].into());
}

#[test]
fn a_queue_may_skip() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: weak, when: score.total < 50, skip: true}\n  - {name: rest, due: 1d}\n",
    );
    desk.story("cold.md").write();
    desk.story("hot.md").quality(60).write();
    desk.scan();
    assert_eq!(desk.waiting(), ["hot.md".to_owned()].into());
}

#[test]
fn a_queue_says_what_it_takes() {
    let queues = |takes: &str| format!("queues:\n  - {{name: all, takes: {takes}, due: 1d}}\n");
    for (takes, waiting) in [
        ("published", vec!["out.md"]),
        ("all", vec!["in.md", "out.md"]),
    ] {
        let desk = Desk::new().with_rules("queues.yaml", &queues(takes));
        desk.story("in.md").write();
        desk.story("out.md").published(true).write();
        desk.scan();
        assert_eq!(
            desk.waiting(),
            waiting.into_iter().map(str::to_owned).collect(),
            "{takes}"
        );
    }
}

#[test]
fn a_queue_or_rule_in_the_shadow_does_nothing() {
    let desk = Desk::new()
        .with_rules("queues.yaml", "queues:\n  - {name: tried, mode: shadow, due: 1h}\n  - {name: rest, due: 1d}\n")
        .with_rules("tried.yaml", "rules:\n  - {id: tried, axis: topic, when: quality > 0, points: 9, why: Tried, mode: shadow}\n");
    desk.story("a.md").quality(20).heat(0).write();
    desk.scan();
    let item = desk.item("a.md");
    assert_eq!(
        (&item["queue"], &item["score"]["total"]),
        (&json!("rest"), &json!(20))
    );
}

#[test]
fn a_queue_keeps_its_order() {
    for (order, first, last) in [
        ("score", "strong.md", "weak.md"),
        ("oldest", "weak.md", "strong.md"),
        ("newest", "strong.md", "weak.md"),
    ] {
        let queues = format!("queues:\n  - {{name: all, due: 9d, order: {order}}}\n");
        let desk = Desk::new().with_rules("queues.yaml", &queues);
        desk.story("weak.md")
            .quality(1)
            .date("2026-02-01T00:00:00Z")
            .write();
        desk.scan();
        desk.later("1h");
        desk.story("strong.md")
            .quality(70)
            .date("2026-02-20T00:00:00Z")
            .write();
        desk.scan();
        let order_seen: Vec<String> = desk
            .queue()
            .iter()
            .map(|item| text(item, "location"))
            .collect();
        assert_eq!(order_seen, [first, last], "{order}");
    }
}

#[test]
fn fresh_halves_a_score_as_time_passes() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: all, due: 9d, order: fresh, half_life: 24h}\n",
    );
    desk.story("old-strong.md")
        .quality(80)
        .date("2026-02-20T09:00:00Z")
        .write();
    desk.story("new-weak.md")
        .quality(30)
        .date("2026-03-02T08:00:00Z")
        .write();
    desk.scan();
    let order: Vec<String> = desk
        .queue()
        .iter()
        .map(|item| text(item, "location"))
        .collect();
    assert_eq!(order, ["new-weak.md", "old-strong.md"]);
}

#[test]
fn age_moves_a_record_without_a_change_of_its_file() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: old, when: age_days > 7, due: 9d}\n  - {name: young, due: 9d}\n",
    );
    desk.story("a.md").date("2026-03-01T09:00:00Z").write();
    desk.scan();
    assert_eq!(desk.item("a.md")["queue"], "young");
    desk.at("2026-03-09T09:00:00Z").scan();
    assert_eq!(desk.item("a.md")["queue"], "old");
}

#[test]
fn a_removed_source_withdraws_its_items() {
    let desk = Desk::new();
    desk.story("a.md").write();
    std::fs::create_dir(desk.path("other")).unwrap();
    desk.scan();
    let id = desk.id("a.md");
    desk.change_source("name: news", "name: other");
    desk.change_source("path: ../content", "path: ../other");
    desk.later("1h").scan();
    desk.later("2m").scan();
    assert_eq!(desk.json(&["queue"]), json!([]));
    assert_eq!(desk.status_of(id), "withdrawn");
}

#[test]
fn volatile_text_is_kept_nowhere() {
    let desk = Desk::new();
    desk.story("a.md").secured("CANARYCANARY").write();
    desk.scan();
    desk.notify();
    let id = desk.id("a.md");
    for shown in [
        desk.show(id).to_string(),
        desk.explain("a.md").to_string(),
        format!("{:?}", desk.dump()),
    ] {
        assert!(!shown.contains("CANARY"), "{shown}");
    }
    for mail in desk.mails() {
        mail.leaves_out(&["CANARY"]);
    }
    for file in std::fs::read_dir(desk.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            assert!(
                !bytes.windows(6).any(|window| window == b"CANARY"),
                "{}",
                file.display()
            );
        }
    }
}

#[test]
fn a_source_that_is_named_again_has_its_items_back() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let before = desk.item("a.md");
    let named = std::fs::read_to_string(desk.path("rules/sources.yaml")).unwrap();
    let other = named
        .replace("name: news", "name: other")
        .replace("../content", "../other");
    std::fs::create_dir_all(desk.path("other")).unwrap();
    desk.rules("sources.yaml", &other);
    desk.later("1h").scan();
    assert_eq!(desk.queue(), Vec::<Value>::new());
    desk.rules("sources.yaml", &named);
    desk.later("1h").scan();
    assert_eq!(desk.item("a.md")["id"], before["id"]);
}

#[test]
fn a_time_beyond_all_time_is_none() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: general, due: 100000y, expire: 100000y}\n",
    );
    desk.story("a.md").write();
    assert_eq!(desk.scan()["queued"], 1);
    assert_eq!(desk.item("a.md")["due"], Value::Null);
}

#[test]
fn a_number_is_stored_as_it_was_read() {
    let desk = Desk::new();
    for (n, rating) in [
        "90.42225290942383",
        "42.215889504792884",
        "19.243053591130522",
    ]
    .iter()
    .enumerate()
    {
        desk.story(&format!("{n}.md"))
            .line(&format!("rating: {rating}"))
            .write();
    }
    desk.scan();
    desk.run(&["approve", "1", "2", "3"]).done();
    desk.change_source("volatile: [secured]", "volatile: [secured, category]");
    assert_eq!(desk.later("1h").scan()["changed"], 0);
    assert_eq!(desk.queue(), Vec::<Value>::new());
}
