//! Decisions at the command line: who may decide what, on which version, and what time does.

use serde_json::{Value, json};

use crate::desk::{Desk, assert_keys, tag, text, time};

fn last_decision(desk: &Desk, id: i64) -> Value {
    desk.show(id)["decisions"]
        .as_array()
        .unwrap()
        .last()
        .expect("a decision")
        .clone()
}

#[test]
fn an_approved_item_waits_no_more() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["approve", &format!("{id}@1"), "--note", "Good one"])
        .done();
    assert_eq!(desk.queue(), Vec::<Value>::new());
    let shown = desk.show(id);
    assert_eq!(shown["status"], "approved");
    assert_eq!(shown["version"], 2, "a decision is a new version");
    let decision = last_decision(&desk, id);
    assert_keys(
        &decision,
        &[
            "id", "kind", "version", "actor", "at", "reason", "note", "until",
        ],
    );
    assert_eq!(
        (&decision["kind"], &decision["version"]),
        (&json!("approve"), &json!(1))
    );
    assert_eq!(decision["note"], "Good one");
    assert_eq!(time(&decision, "at"), desk.now());
    assert!(text(&decision, "actor").starts_with("cli:"), "{decision}");
}

#[test]
fn a_rejection_keeps_its_reason() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&[
        "reject",
        &desk.tag("a.md"),
        "--reason",
        "off-topic",
        "--note",
        "Not us",
    ])
    .done();
    assert_eq!(desk.status_of(id), "rejected");
    let decision = last_decision(&desk, id);
    assert_eq!(
        (&decision["kind"], &decision["reason"]),
        (&json!("reject"), &json!("off-topic"))
    );
    assert_eq!(desk.later("1h").scan()["queued"], 0);
}

#[test]
fn an_unknown_reason_is_refused_with_the_known_ones() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.run(&["reject", &desk.tag("a.md"), "--reason", "of-topic"])
        .not_done()
        .says(&["off-topic", "duplicate"]);
    assert_eq!(desk.item("a.md")["version"], 1);
}

#[test]
fn a_stale_version_is_refused_with_what_changed() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let seen = desk.tag("a.md");
    story.title("Quite another story").write();
    desk.later("1h").scan();
    let before = desk.read("a.md");
    desk.run(&["approve", &seen]).refused().says(&["title"]);
    assert_eq!(desk.read("a.md"), before);
    let item = desk.item("a.md");
    assert_eq!(
        (&item["status"], &item["version"]),
        (&json!("pending"), &json!(2))
    );
    assert_eq!(
        desk.show(item["id"].as_i64().unwrap())["decisions"],
        json!([])
    );
}

#[test]
fn a_story_that_changed_since_the_last_pass_is_never_written() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let seen = desk.tag("a.md");
    story.title("Quite another story").write();
    let before = desk.read("a.md");
    desk.run(&["approve", &seen]).says(&["changed"]);
    assert_eq!(desk.read("a.md"), before);
    desk.later("1h").scan();
    assert_eq!(desk.read("a.md"), before);
    assert_eq!(desk.item("a.md")["status"], "pending");
}

#[test]
fn a_version_overtaken_by_another_decision_is_refused() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let seen = desk.tag("a.md");
    desk.run(&["approve", &seen]).done();
    desk.run(&["reject", &seen]).refused().says(&["approve"]);
    assert!(desk.says("a.md", "published: true"));
}

#[test]
fn without_a_version_the_item_is_decided_as_it_stands() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    story.title("Quite another story").write();
    desk.later("1h").scan();
    desk.run(&["approve", &desk.id("a.md").to_string()]).done();
    assert!(desk.says("a.md", "published: true"));
}

#[test]
fn a_changed_score_is_no_new_version() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let seen = desk.tag("a.md");
    story.heat(300).write();
    desk.later("1h").scan();
    desk.run(&["approve", &seen]).done();
}

#[test]
fn several_are_decided_at_once_and_a_stale_one_alone_is_refused() {
    let desk = Desk::new();
    desk.story("one.md").write();
    desk.story("two.md").write();
    let changes = desk.story("three.md").write();
    desk.scan();
    let tags = [desk.tag("one.md"), desk.tag("three.md"), desk.tag("two.md")];
    changes.body("Another body.\n").write();
    desk.later("1h").scan();
    desk.run(&["approve", &tags[0], &tags[1], &tags[2]])
        .refused()
        .says(&["body"]);
    assert_eq!(desk.waiting(), ["three.md".to_owned()].into());
}

#[test]
fn an_unknown_item_is_refused() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    for verb in ["approve", "reject", "hold", "reopen", "show"] {
        desk.run(&[verb, "4711"]).refused().says(&["4711"]);
    }
}

#[test]
fn a_decision_has_its_maker() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["approve", &desk.tag("a.md"), "--as", "ana@example.org"])
        .done();
    assert!(text(&last_decision(&desk, id), "actor").contains("ana@example.org"));
}

#[test]
fn an_unknown_reviewer_is_refused() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let before = desk.read("a.md");
    desk.run(&["approve", &desk.tag("a.md"), "--as", "nobody@example.org"])
        .not_done()
        .says(&["nobody@example.org"]);
    assert_eq!(desk.item("a.md")["version"], 1);
    assert_eq!(desk.read("a.md"), before);
}

#[test]
fn a_held_item_still_waits_and_returns_by_itself() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["hold", &desk.tag("a.md"), "--note", "Ask the lawyer"])
        .done();
    let held = desk.item("a.md");
    assert_eq!(
        (&held["id"], &held["status"], &held["version"]),
        (&json!(id), &json!("held"), &json!(2))
    );
    let until = time(&last_decision(&desk, id), "until");
    assert_eq!(
        until.duration_since(desk.now()).as_secs(),
        24 * 3600,
        "a hold is a day"
    );
    desk.later("23h").scan();
    assert_eq!(desk.item("a.md")["status"], "held");
    desk.later("61m").scan();
    assert_eq!(desk.item("a.md")["status"], "pending");
}

#[test]
fn a_hold_ends_when_it_is_told_to() {
    for (until, last_moment, end) in [
        ("3d", "2026-03-05T08:59:00Z", "2026-03-05T09:01:00Z"),
        (
            "2026-03-04T12:00:00Z",
            "2026-03-04T11:59:00Z",
            "2026-03-04T12:01:00Z",
        ),
        ("2026-03-06", "2026-03-05T09:00:00Z", "2026-03-07T12:00:00Z"),
    ] {
        let desk = Desk::new();
        desk.story("a.md").write();
        desk.scan();
        desk.run(&["hold", &desk.tag("a.md"), "--until", until])
            .done();
        desk.at(last_moment).scan();
        assert_eq!(desk.item("a.md")["status"], "held", "{until}");
        desk.at(end).scan();
        assert_eq!(desk.item("a.md")["status"], "pending", "{until}");
    }
}

#[test]
fn a_held_item_can_be_approved() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.run(&["hold", &desk.tag("a.md")]).done();
    desk.approve("a.md").done();
    assert!(desk.says("a.md", "published: true"));
    desk.later("48h").scan();
    assert_eq!(desk.queue(), Vec::<Value>::new());
}

#[test]
fn a_new_revision_ends_a_hold() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    desk.run(&["hold", &desk.tag("a.md"), "--until", "9d"])
        .done();
    story.title("Corrected").write();
    desk.later("1h").scan();
    assert_eq!(desk.item("a.md")["status"], "pending");
}

#[test]
fn approve_and_reject_lead_into_each_other() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    let before = desk.read("a.md");
    desk.approve("a.md").done();
    desk.run(&["reject", &format!("{id}@2"), "--reason", "quality"])
        .done();
    assert_eq!(desk.status_of(id), "rejected");
    assert_eq!(desk.read("a.md"), before);
    desk.run(&["approve", &format!("{id}@3")]).done();
    assert_eq!(desk.status_of(id), "approved");
    assert!(desk.says("a.md", "published: true"));
}

#[test]
fn what_is_decided_is_not_held_and_what_is_open_is_not_reopened() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.run(&["reopen", &id]).refused();
    desk.run(&["approve", &id]).done();
    desk.run(&["hold", &id]).refused();
    desk.run(&["approve", &id]).refused();
}

#[test]
fn a_rejected_story_comes_back_with_a_new_revision() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["reject", &desk.tag("a.md")]).done();
    story.clone().heat(90).secured("bmV3").write();
    desk.later("1h").scan();
    assert_eq!(desk.status_of(id), "rejected");
    story.body("Written again.\n").write();
    desk.later("1h").scan();
    let item = desk.item("a.md");
    assert_eq!(
        (&item["id"], &item["changed_after_approval"]),
        (&json!(id), &json!(false))
    );
}

#[test]
fn a_story_that_changes_after_approval_comes_back_marked_and_overdue() {
    let desk = Desk::new();
    let story = desk.story("a.md").topics(&["AI"]).write();
    desk.scan();
    let id = desk.id("a.md");
    desk.approve("a.md").done();
    story.published(true).title("Not what was approved").write();
    desk.later("1h").scan();
    let item = desk.item("a.md");
    assert_eq!(
        (&item["id"], &item["queue"], &item["status"]),
        (&json!(id), &json!("ai-desk"), &json!("pending"))
    );
    assert_eq!(
        (&item["changed_after_approval"], &item["overdue"]),
        (&json!(true), &json!(true))
    );
    desk.run(&["queue"])
        .done()
        .says(&["changed after approval"]);
    desk.approve("a.md").done();
    assert_eq!(desk.status_of(id), "approved");
    assert_eq!(desk.queue(), Vec::<Value>::new());
}

#[test]
fn an_approved_story_whose_heat_falls_keeps_its_decision() {
    let desk = Desk::new();
    let story = desk.story("a.md").heat(90).write();
    desk.scan();
    let id = desk.id("a.md");
    desk.approve("a.md").done();
    story.published(true).heat(10).write();
    let scan = desk.later("1h").scan();
    assert_eq!((&scan["rescored"], &scan["queued"]), (&json!(1), &json!(0)));
    let shown = desk.show(id);
    assert_eq!(
        (&shown["status"], &shown["version"]),
        (&json!("approved"), &json!(2))
    );
    assert_eq!(shown["score"]["heat"], 5);
}

#[test]
fn an_item_is_due_after_what_its_queue_says() {
    let desk = Desk::new();
    desk.story("hot.md").quality(99).write();
    desk.story("calm.md").write();
    desk.scan();
    assert_eq!(
        time(&desk.item("hot.md"), "due"),
        "2026-03-02T11:00:00Z".parse().unwrap()
    );
    assert_eq!(
        time(&desk.item("calm.md"), "due"),
        "2026-03-05T09:00:00Z".parse().unwrap()
    );
    for (now, hot, calm) in [
        ("2026-03-02T10:59:00Z", false, false),
        ("2026-03-02T11:01:00Z", true, false),
        ("2026-03-05T09:01:00Z", true, true),
    ] {
        desk.at(now);
        assert_eq!(desk.item("hot.md")["overdue"], hot, "{now}");
        assert_eq!(desk.item("calm.md")["overdue"], calm, "{now}");
    }
}

#[test]
fn what_no_one_will_read_expires() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.at("2026-03-31T09:00:00Z").scan();
    assert_eq!(desk.status_of(id), "pending");
    desk.at("2026-04-01T10:00:00Z").scan();
    assert_eq!(desk.status_of(id), "expired");
    assert_eq!(desk.queue(), Vec::<Value>::new());
    desk.later("24h").scan();
    assert_eq!(desk.status_of(id), "expired", "it stays closed");
    story.title("News about it").write();
    desk.later("24h").scan();
    assert_eq!(
        desk.item("a.md")["id"],
        json!(id),
        "a new revision brings it back"
    );
}

#[test]
fn what_expired_can_be_reopened() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.at("2026-04-01T10:00:00Z").scan();
    desk.run(&["reopen", &id.to_string()]).done();
    assert_eq!(desk.item("a.md")["id"], json!(id));
}

const TRUSTED: &str = "queues:
  - {name: trusted, when: quality >= 80, decide: approve}
  - {name: hopeless, when: quality < 5, decide: reject}
  - {name: general, due: 3d}
";

#[test]
fn a_queue_may_decide() {
    let desk = Desk::new().with_rules("queues.yaml", TRUSTED);
    desk.story("good.md").quality(85).write();
    desk.story("weak.md").quality(2).write();
    desk.story("middling.md").quality(40).write();
    let before = desk.read("weak.md");
    desk.scan();
    assert_eq!(desk.waiting(), ["middling.md".to_owned()].into());
    assert!(desk.says("good.md", "published: true"));
    assert_eq!(desk.read("weak.md"), before);
    let id = (1..=3)
        .find(|id| desk.show(*id)["location"] == "good.md")
        .expect("an item");
    assert_eq!(desk.status_of(id), "approved");
    assert!(text(&last_decision(&desk, id), "actor").contains("trusted"));
}

#[test]
fn a_queue_decides_only_at_the_first_routing_of_a_revision() {
    let desk = Desk::new().with_rules("queues.yaml", TRUSTED);
    let story = desk.story("a.md").quality(40).write();
    desk.scan();
    story.clone().quality(85).write();
    desk.later("1h").scan();
    assert!(
        desk.says("a.md", "published: false"),
        "decided after its first routing"
    );
    story.quality(85).title("A new revision").write();
    desk.later("1h").scan();
    assert!(
        desk.says("a.md", "published: true"),
        "a new revision is routed for the first time"
    );
}

#[test]
fn a_queue_never_decides_after_a_person() {
    let desk = Desk::new().with_rules("queues.yaml", TRUSTED);
    desk.story("a.md").quality(85).write();
    desk.scan();
    desk.run(&["reopen", "1"]).done();
    assert!(desk.says("a.md", "published: false"));
    desk.later("1h").scan();
    assert!(desk.says("a.md", "published: false"));
    assert_eq!(desk.item("a.md")["status"], "pending");
}

#[test]
fn a_queue_never_decides_on_what_was_not_evaluated() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:
  - {name: careful, when: members > 10, due: 1d}
  - {name: trusted, when: quality >= 80, decide: approve}
  - {name: general, due: 3d}
",
    );
    desk.story("unknown.md").quality(85).write();
    desk.story("known.md")
        .quality(85)
        .line("members: 3")
        .write();
    desk.scan();
    assert!(desk.says("unknown.md", "published: false"));
    assert_eq!(desk.item("unknown.md")["queue"], "general");
    assert!(desk.says("known.md", "published: true"));
}

#[test]
fn what_happened_is_told_in_order() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.later("1h");
    desk.run(&["hold", &desk.tag("a.md")]).done();
    desk.later("1h");
    desk.run(&["approve", &tag(&desk.item("a.md"))]).done();
    let shown = desk.show(id);
    let events = shown["events"].as_array().unwrap();
    assert!(events.len() >= 3, "{events:?}");
    for event in events {
        assert_keys(event, &["kind", "at", "actor"]);
    }
    assert!(
        events
            .windows(2)
            .all(|pair| time(&pair[0], "at") <= time(&pair[1], "at")),
        "{events:?}"
    );
    let kinds: Vec<&Value> = shown["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|made| &made["kind"])
        .collect();
    assert_eq!(kinds, ["hold", "approve"]);
}

/// Three who decide: two reviewers and an editor.
fn three_reviewers() -> Desk {
    Desk::new().with_rules(
        "reviewers.yaml",
        r#"reviewers:
  - {name: One, email: one@example.org, queues: [general, ai-desk]}
  - {name: Two, email: two@example.org, queues: [general, urgent]}
  - {name: Chief, email: chief@example.org, role: editor}
"#,
    )
}

#[test]
fn only_an_editor_takes_back_what_others_decided() {
    let desk = three_reviewers();
    desk.story("a.md").quality(10).published(false).write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    let by = |verb: &str, who: &str| desk.run(&[verb, &id, "--as", who]);
    by("approve", "one@example.org").done();
    by("reopen", "two@example.org")
        .refused()
        .says(&["two@example.org", "editor"]);
    by("reopen", "one@example.org").done();
    by("approve", "one@example.org").done();
    by("reopen", "chief@example.org").done();
}

#[test]
fn a_reviewer_decides_in_her_own_queues() {
    let desk = three_reviewers();
    desk.story("a.md").quality(200).published(false).write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.run(&["approve", &id, "--as", "one@example.org"])
        .refused()
        .says(&["one@example.org", "urgent"]);
    desk.run(&["approve", &id, "--as", "two@example.org"])
        .done();
}

#[test]
fn what_is_taken_up_again_does_not_expire_at_once() {
    let desk = Desk::new();
    desk.story("a.md").quality(10).published(false).write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["hold", &id.to_string(), "--until", "40d"])
        .done();
    desk.later("960h").scan();
    assert_eq!(desk.status_of(id), "pending");
    desk.later("24h").scan();
    assert_eq!(desk.status_of(id), "pending");
}

#[test]
fn what_was_reopened_does_not_expire_again_at_once() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.at("2026-04-01T10:00:00Z").scan();
    assert_eq!(desk.status_of(id), "expired");
    desk.run(&["reopen", &id.to_string()]).done();
    desk.later("1h").scan();
    assert_eq!(desk.status_of(id), "pending");
    story.heat(7).write();
    desk.later("1h").scan();
    assert_eq!(
        desk.status_of(id),
        "pending",
        "a new score does not close it"
    );
    desk.at("2026-05-02T10:00:00Z").scan();
    assert_eq!(
        desk.status_of(id),
        "expired",
        "30 days after it was reopened"
    );
}

#[test]
fn a_new_score_does_not_age_a_story_that_came_back() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["reject", &id.to_string()]).done();
    let story = story.title("News about it").write();
    desk.at("2026-03-31T09:00:00Z").scan();
    let due = text(&desk.item("a.md"), "due");
    story.heat(7).write();
    desk.at("2026-04-02T08:00:00Z").scan();
    assert_eq!(text(&desk.item("a.md"), "due"), due);
    assert_eq!(desk.status_of(id), "pending");
}

#[test]
fn the_last_decision_stands_though_the_clock_was_set_back() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.approve("a.md").done();
    desk.at("2026-03-01T09:00:00Z");
    desk.run(&["reject", &id]).done();
    desk.replace("a.md", "published: false", "published: true");
    desk.later("1h").scan();
    assert!(
        desk.says("a.md", "published: false"),
        "it was rejected last"
    );
}

#[test]
fn a_hold_beyond_all_time_is_refused() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.run(&["hold", "1", "--until", "100000y"])
        .used_wrongly();
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.at("9999-12-30T12:00:00Z").scan();
    desk.run(&["hold", "1"]).done();
}

#[test]
fn what_was_held_is_read_before_it_expires() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.run(&["hold", "1", "--until", "35d"]).done();
    desk.at("2026-04-07T09:00:00Z").scan();
    assert_eq!(
        desk.status_of(1),
        "pending",
        "someone wanted to see it then"
    );
    desk.at("2026-05-08T09:00:00Z").scan();
    assert_eq!(desk.status_of(1), "expired");
}

#[test]
fn a_decision_that_is_asked_for_again_is_answered_as_the_first_time() {
    let desk = Desk::new();
    desk.story("a.md").published(false).write();
    desk.scan();
    let id = "01900000-0000-7000-8000-000000000001";
    let first = desk.run(&["approve", "1@1", "--id", id]).done();
    // The first may not have been heard of; meanwhile the item has moved on.
    desk.run(&["reject", "1"]).done();
    let again = desk.run(&["approve", "1@1", "--id", id]).done();
    let line = |run: &crate::desk::Run| run.stdout.lines().next().unwrap().to_owned();
    assert_eq!(line(&again), line(&first));
    assert_eq!(desk.status_of(1), "rejected", "it was done twice");
    assert!(desk.says("a.md", "published: false"));
    for other in [
        &["reject", "1", "--id", id][..],
        &["approve", "1", "--id", id, "--note", "another"],
        &["approve", "1@3", "--id", id],
        &["approve", "1", "--id", id, "--as", "ana@example.org"],
    ] {
        desk.run(other)
            .refused()
            .says(&["something else was decided", id]);
    }
    let decisions = desk.show(1)["decisions"].as_array().unwrap().len();
    assert_eq!(decisions, 2);
    desk.run(&["approve", "1", "2", "--id", id]).used_wrongly();
}

#[test]
fn one_request_from_several_processes_is_one_decision() {
    let desk = Desk::new();
    for n in 0..5 {
        desk.story(&format!("{n}.md")).published(false).write();
    }
    desk.scan();
    for item in 1..=5 {
        let id = format!("01900000-0000-7000-8000-00000000000{item}");
        let runs: Vec<_> = (0..4)
            .map(|n| {
                let verb = if n == 3 { "reject" } else { "approve" };
                let command = desk.command(&[verb, &format!("{item}"), "--id", &id]);
                std::thread::spawn(move || (verb, crate::desk::finish(command)))
            })
            .collect();
        let runs: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        let decisions = desk.show(item)["decisions"].clone();
        assert_eq!(decisions.as_array().unwrap().len(), 1, "{decisions:#}");
        let made = decisions[0]["kind"].as_str().unwrap();
        for (verb, run) in runs {
            assert_eq!(run.code, i32::from(verb != made), "{made}: {verb}: {run:?}");
        }
    }
}
