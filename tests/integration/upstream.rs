//! A hostile upstream: flags that flip without us, and against us.

use serde_json::{Value, json};

use crate::desk::Desk;

#[test]
fn what_upstream_publishes_itself_is_withdrawn_and_returns() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let before = desk.item("a.md");
    let id = desk.id("a.md");
    story.clone().published(true).write();
    desk.later("1h").scan();
    assert_eq!(desk.queue(), Vec::<Value>::new());
    assert_eq!(desk.status_of(id), "withdrawn");
    assert!(desk.show(id)["events"].to_string().contains("outside"));
    story.write();
    desk.later("1h").scan();
    let back = desk.item("a.md");
    assert_eq!(
        (&back["id"], &back["status"]),
        (&before["id"], &json!("pending"))
    );
}

#[test]
fn an_approval_that_upstream_takes_back_is_written_again() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.approve("a.md").done();
    for _ in 0..6 {
        desk.later("2h");
        desk.replace("a.md", "published: true", "published: false");
        desk.scan();
        assert!(desk.says("a.md", "published: true"));
    }
    assert_eq!(desk.status_of(id), "approved");
    assert_eq!(desk.queue(), Vec::<Value>::new());
    assert_eq!(
        desk.json(&["status"])["ok"],
        true,
        "a feed that rewrites every two hours is normal"
    );
}

#[test]
fn a_feed_that_answers_at_once_is_fought_three_times() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.approve("a.md").done();
    desk.later("1h");
    for round in 1..=3 {
        desk.later("1m");
        desk.replace("a.md", "published: true", "published: false");
        desk.scan();
        assert!(desk.says("a.md", "published: true"), "round {round}");
    }
    assert_eq!(desk.problems(), Vec::<Value>::new());
    desk.later("1m");
    desk.replace("a.md", "published: true", "published: false");
    desk.scan();
    assert!(desk.says("a.md", "published: false"), "the fight goes on");
    desk.run(&["status"]).refused().says(&["a.md"]);
    assert!(!desk.problems().is_empty());
}

#[test]
fn a_fight_that_goes_on_is_noted_once_until_it_may_be_taken_up_again() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.approve("a.md").done();
    let events = || {
        let events = desk.show(id)["events"].as_array().unwrap().clone();
        let count = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
        (count("reasserted"), count("reassert_stopped"))
    };
    let rewrite = |n: i32| {
        desk.later("20s");
        story.clone().secured(&n.to_string()).write();
        desk.scan();
    };
    (0..20).for_each(rewrite);
    assert_eq!(events(), (3, 1));
    assert!(desk.says("a.md", "published: false"));
    assert!(!desk.problems().is_empty(), "the alarm stands");
    desk.later("10m");
    rewrite(20);
    assert!(desk.says("a.md", "published: true"));
    (21..30).for_each(rewrite);
    assert_eq!(events(), (6, 2));
}

#[test]
fn a_rejection_that_upstream_overrides_is_written_again() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.run(&["reject", &desk.tag("a.md")]).done();
    desk.replace("a.md", "published: false", "published: true");
    desk.later("2h").scan();
    assert!(desk.says("a.md", "published: false"));
}

#[test]
fn an_approval_never_covers_a_new_revision() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    desk.approve("a.md").done();
    let before = story.title("Not what was approved").write().bytes();
    desk.later("2h").scan();
    assert_eq!(desk.read("a.md"), before);
    let item = desk.item("a.md");
    assert_eq!(
        (&item["changed_after_approval"], &item["overdue"]),
        (&json!(true), &json!(true))
    );
}

#[test]
fn a_story_that_upstream_changes_and_publishes_is_asked_about_again_once_it_was_approved() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    desk.approve("a.md").done();
    let before = story
        .published(true)
        .title("Not what was approved")
        .write()
        .bytes();
    desk.later("2h").scan();
    assert_eq!(
        desk.item("a.md")["changed_after_approval"],
        true,
        "whatever the flag says"
    );
    assert_eq!(
        desk.read("a.md"),
        before,
        "`on_change: leave` leaves the file"
    );
}

#[test]
fn a_source_may_unpublish_what_changed() {
    let desk = Desk::new().with_source("on_change: leave", "on_change: unpublish");
    let story = desk.story("a.md").write();
    desk.scan();
    desk.approve("a.md").done();
    story.published(true).title("Not what was approved").write();
    desk.later("2h").scan();
    assert!(desk.says("a.md", "published: false"));
    assert_eq!(desk.item("a.md")["changed_after_approval"], true);
}

#[test]
fn an_approval_that_was_never_written_does_not_reach_a_new_revision() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.remove("a.md");
    desk.run(&["approve", &id.to_string()]);
    story.title("Another story altogether").write();
    desk.later("10m").scan();
    desk.later("2h").scan();
    assert!(
        desk.says("a.md", "published: false"),
        "nobody approved this"
    );
    assert_eq!(desk.status_of(id), "pending");
}

#[test]
fn taking_back_a_decision_leaves_what_upstream_wrote_with_the_revision() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.approve("a.md").done();
    story.title("Newer").published(true).write();
    desk.later("1h").scan();
    desk.run(&["approve", &id]).done();
    desk.run(&["reopen", &id]).done();
    assert!(
        desk.says("a.md", "published: true"),
        "no write of ours stands in the new file"
    );
}

#[test]
fn taking_back_a_rejection_never_publishes_what_upstream_unpublished() {
    let desk = Desk::new().with_rules(
        "queues.yaml",
        "queues:\n  - {name: audit, takes: all, due: 3d}\n",
    );
    let story = desk.story("a.md").published(true).write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.run(&["reject", &id]).done();
    assert!(desk.says("a.md", "published: false"));
    story.published(false).secured("bmV3ZXI=").write();
    desk.later("1h").scan();
    desk.run(&["reopen", &id]).done();
    assert!(
        desk.says("a.md", "published: false"),
        "upstream says so by itself"
    );
}
