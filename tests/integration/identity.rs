//! Which record a file holds: moves, take-overs, twins, and files that go.

use std::fs;

use serde_json::json;

use crate::desk::{Desk, assert_published};

#[test]
fn the_source_url_names_a_record_however_it_is_written() {
    let desk = Desk::new();
    let story = desk
        .story("a.md")
        .url("http://News.Example.org:80/a?id=1&utm_source=feed#top")
        .write();
    desk.scan();
    let id = desk.id("a.md");
    story.url("  https://news.example.org/a?id=1 ").write();
    let scan = desk.later("1h").scan();
    assert_eq!((&scan["records"], &scan["new"]), (&json!(1), &json!(0)));
    assert_eq!(desk.id("a.md"), id);
}

#[test]
fn all_else_of_a_url_is_kept() {
    let desk = Desk::new();
    for (n, url) in [
        "https://example.org/a",
        "https://example.org/a/",
        "https://example.org/A",
        "https://example.org/a?b=1",
    ]
    .iter()
    .enumerate()
    {
        desk.story(&format!("{n}.md")).url(url).write();
    }
    assert_eq!(desk.scan()["queued"], 4);
}

#[test]
fn a_moved_file_keeps_its_item() {
    let desk = Desk::new();
    desk.story("in/a.md").url("https://example.org/a").write();
    desk.scan();
    let before = desk.item("in/a.md");
    desk.rename("in/a.md", "2026/b.md");
    assert_eq!(desk.later("1h").scan()["new"], 0);
    let after = desk.item("2026/b.md");
    assert_eq!(
        (&after["id"], &after["version"]),
        (&before["id"], &before["version"])
    );
    assert_eq!(desk.queue().len(), 1);
    let before = desk.read("2026/b.md");
    desk.approve("2026/b.md").done();
    assert_published(&before, &desk.read("2026/b.md"));
}

#[test]
fn a_moved_file_without_a_url_keeps_its_item_within_one_pass() {
    let desk = Desk::new();
    desk.story("a.md").without_url().write();
    desk.story("other.md").without_url().write();
    desk.scan();
    let before = desk.item("a.md");
    desk.rename("a.md", "moved/b.md");
    assert_eq!(desk.later("1h").scan()["new"], 0);
    let after = desk.item("moved/b.md");
    assert_eq!(
        (&after["id"], &after["version"]),
        (&before["id"], &before["version"])
    );
    assert_eq!(desk.queue().len(), 2);
}

#[test]
fn a_record_that_gains_an_earlier_key_stays_itself() {
    let desk = Desk::new();
    desk.story("a.md")
        .without_url()
        .line("webUrl: https://example.org/web")
        .write();
    desk.scan();
    let id = desk.id("a.md");
    desk.change_source(
        "identity: [originalUrl, webUrl]",
        "identity: [canonical, webUrl]",
    );
    desk.scan();
    assert_eq!(desk.id("a.md"), id);
    assert_eq!(desk.queue().len(), 1);
}

#[test]
fn two_stories_that_take_turns_on_a_path_are_two_records() {
    let desk = Desk::new();
    let ours = desk
        .story("path.md")
        .url("https://one.example.org/a")
        .title("Ours")
        .quality(60);
    let theirs = desk
        .story("path.md")
        .url("https://two.example.org/b")
        .title("Theirs")
        .quality(50);
    ours.clone().write();
    desk.scan();
    let first = desk.id("path.md");
    desk.approve("path.md").done();
    assert!(desk.says("path.md", "published: true"));

    theirs.clone().write();
    assert_eq!(desk.later("1h").scan()["new"], 1);
    assert!(
        desk.says("path.md", "published: false"),
        "an approval of one published the other"
    );
    let second = desk.id("path.md");
    assert_ne!(first, second);
    assert_eq!(desk.status_of(first), "approved");

    ours.write();
    assert_eq!(desk.later("1h").scan()["new"], 0);
    assert_eq!(desk.status_of(first), "approved");
    assert!(
        desk.says("path.md", "published: true"),
        "a standing decision is written again"
    );

    theirs.write();
    assert_eq!(desk.later("1h").scan()["new"], 0);
    assert!(
        desk.says("path.md", "published: false"),
        "an approval of one published the other"
    );
    desk.later("2m").scan();
    assert_eq!(
        desk.id("path.md"),
        second,
        "a displaced story returns as itself"
    );
    assert_eq!(desk.item("path.md")["version"], 1);
}

#[test]
fn what_was_displaced_waits_no_more() {
    let desk = Desk::new();
    desk.story("path.md")
        .url("https://one.example.org/a")
        .write();
    desk.scan();
    let first = desk.id("path.md");
    desk.story("path.md")
        .url("https://two.example.org/b")
        .write();
    desk.later("1h").scan();
    desk.later("61s").scan();
    assert_eq!(desk.status_of(first), "withdrawn");
    assert_eq!(desk.queue().len(), 1);
}

#[test]
fn a_decision_on_what_was_displaced_never_reaches_the_newcomer() {
    let desk = Desk::new();
    desk.story("path.md")
        .url("https://one.example.org/a")
        .write();
    desk.scan();
    let tag = desk.tag("path.md");
    desk.story("path.md")
        .url("https://two.example.org/b")
        .write();
    let newcomer = desk.read("path.md");
    desk.run(&["approve", &tag]);
    assert_eq!(desk.read("path.md"), newcomer);
    desk.later("1h").scan();
    assert_eq!(desk.read("path.md"), newcomer);
    assert_eq!(desk.item("path.md")["status"], "pending");
}

#[test]
fn one_record_in_two_files_has_one_item_and_both_are_written() {
    let desk = Desk::new();
    let story = desk.story("one.md").url("https://example.org/a").write();
    story.moved_to("two.md").write();
    desk.scan();
    assert_eq!(desk.queue().len(), 1);
    let (one, two) = (desk.read("one.md"), desk.read("two.md"));
    let tag = crate::desk::tag(&desk.queue()[0]);
    desk.run(&["approve", &tag]).done();
    assert_published(&one, &desk.read("one.md"));
    assert_published(&two, &desk.read("two.md"));
    assert_eq!(desk.later("1h").scan()["queued"], 0);
}

#[test]
fn of_two_revisions_of_one_identity_the_first_leads_and_the_other_is_reported() {
    let desk = Desk::new();
    let first = desk
        .story("first.md")
        .url("https://example.org/a")
        .title("The first")
        .write();
    desk.scan();
    first.moved_to("another.md").title("The other").write();
    let other = desk.read("another.md");
    desk.later("1h").scan();
    assert_eq!(desk.queue().len(), 1);
    assert_eq!(desk.item("first.md")["title"], "The first");
    assert!(
        desk.json(&["status"]).to_string().contains("another.md"),
        "the other file is not reported"
    );
    desk.approve("first.md").done();
    assert!(desk.says("first.md", "published: true"));
    assert_eq!(desk.read("another.md"), other);
    desk.later("1h").scan();
    assert_eq!(desk.read("another.md"), other);
}

#[test]
fn a_missing_file_is_withdrawn_by_a_pass_a_minute_later() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.story("stays.md").write();
    desk.scan();
    let before = desk.item("a.md");
    let id = desk.id("a.md");
    desk.remove("a.md");
    desk.later("1h").scan();
    assert_eq!(desk.status_of(id), "pending", "the pass that misses it");
    desk.later("30s").scan();
    assert_eq!(desk.status_of(id), "pending", "half a minute later");
    desk.later("31s").scan();
    assert_eq!(desk.status_of(id), "withdrawn", "a minute later");
    assert_eq!(desk.waiting(), ["stays.md".to_owned()].into());
    story.write();
    assert_eq!(desk.later("1h").scan()["new"], 0);
    let back = desk.item("a.md");
    assert_eq!(
        (&back["id"], &back["status"]),
        (&before["id"], &json!("pending"))
    );
}

#[test]
fn a_file_that_was_away_for_one_pass_was_never_gone() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let item = desk.item("a.md");
    desk.remove("a.md");
    desk.later("1h").scan();
    story.write();
    desk.later("1h").scan();
    assert_eq!(desk.item("a.md"), item);
}

#[test]
fn what_is_withdrawn_cannot_be_approved() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.remove("a.md");
    desk.later("1h").scan();
    desk.later("61s").scan();
    desk.run(&["approve", &id]).refused().says(&["withdrawn"]);
}

#[test]
fn more_than_half_of_many_gone_at_once_freezes_the_source() {
    let desk = Desk::new();
    for n in 0..24 {
        desk.story(&format!("{n}.md")).write();
    }
    desk.scan();
    for n in 0..20 {
        desk.remove(&format!("{n}.md"));
    }
    for _ in 0..3 {
        desk.later("5m");
        desk.run(&["scan"]);
    }
    assert_eq!(desk.queue().len(), 24, "a frozen source loses nothing");
    let status = desk.json(&["status"]);
    assert_eq!(status["ok"], false);
    assert!(!desk.problems().is_empty());
    desk.run(&["status"]).refused().says(&["news"]);
}

#[test]
fn a_frozen_source_thaws_when_its_files_are_back() {
    let desk = Desk::new();
    for n in 0..24 {
        desk.story(&format!("{n}.md")).write();
    }
    desk.scan();
    fs::rename(desk.path("content"), desk.path("away")).unwrap();
    fs::create_dir(desk.path("content")).unwrap();
    desk.later("5m");
    desk.run(&["scan"]);
    assert_eq!(desk.json(&["status"])["ok"], false);
    fs::remove_dir(desk.path("content")).unwrap();
    fs::rename(desk.path("away"), desk.path("content")).unwrap();
    let scan = desk.later("5m").scan();
    assert_eq!((&scan["new"], &scan["queued"]), (&json!(0), &json!(24)));
    assert_eq!(desk.problems(), Vec::<serde_json::Value>::new());
}

#[test]
fn all_of_a_few_may_go() {
    let desk = Desk::new();
    for n in 0..6 {
        desk.story(&format!("{n}.md")).write();
    }
    desk.scan();
    for n in 0..6 {
        desk.remove(&format!("{n}.md"));
    }
    desk.later("1h").scan();
    desk.later("61s").scan();
    assert_eq!(desk.queue(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_source_without_its_folder_loses_nothing() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    fs::rename(desk.path("content"), desk.path("away")).unwrap();
    desk.run(&["check"]).done().says(&["content"]);
    for _ in 0..3 {
        desk.later("5m");
        desk.run(&["scan"]);
    }
    assert_eq!(desk.waiting(), ["a.md".to_owned()].into());
    desk.run(&["status"]).refused().says(&["news"]);
}

#[test]
fn a_copy_on_an_older_path_does_not_lead() {
    let desk = Desk::new();
    desk.story("a.md").url("https://example.org/a").write();
    desk.scan();
    let story = desk.story("b.md").url("https://example.org/b").write();
    desk.later("1h").scan();
    let before = desk.item("b.md");
    story.moved_to("a.md").title("Copied and changed").write();
    desk.later("1h").scan();
    assert_eq!(desk.item("b.md"), before, "the file seen first leads");
}

#[test]
fn stories_that_change_and_swap_their_paths_are_taken_in_by_one_pass() {
    let desk = Desk::new();
    let a = desk.story("a.md").url("https://example.org/a").write();
    let b = desk.story("b.md").url("https://example.org/b").write();
    desk.scan();
    b.moved_to("a.md").title("B, and new").write();
    a.moved_to("b.md").title("A, and new").write();
    assert_eq!(desk.later("1h").scan()["changed"], 2);
    let stands = desk.dump();
    desk.scan();
    assert_eq!(desk.dump(), stands, "a second pass changes nothing");
    assert_eq!(desk.item("a.md")["title"], "B, and new");
}

#[test]
fn the_file_that_is_left_leads_at_once() {
    let desk = Desk::new();
    let story = desk.story("a.md").url("https://example.org/a").write();
    desk.scan();
    story.moved_to("b.md").title("The other").write();
    desk.later("1h").scan();
    desk.remove("a.md");
    desk.later("1h").scan();
    desk.later("1h").scan();
    assert_eq!(desk.item("b.md")["title"], "The other");
    let stands = desk.dump();
    desk.scan();
    assert_eq!(desk.dump(), stands, "a second pass changes nothing");
}

#[test]
fn a_file_that_was_away_for_one_pass_leads_again() {
    let desk = Desk::new();
    let story = desk
        .story("in/a.md")
        .url("https://example.org/a")
        .title("First")
        .write();
    desk.scan();
    let twin = story.clone().moved_to("b.md").title("Second").write();
    desk.later("1h").scan();
    desk.rename("in", ".away");
    twin.title("Third").write();
    desk.later("1h").scan();
    desk.rename(".away", "in");
    desk.scan();
    assert_eq!(desk.item("in/a.md")["title"], "First");
}

#[test]
fn a_renamed_folder_is_not_gone() {
    let desk = Desk::new();
    for n in 0..25 {
        desk.story(&format!("in/{n}.md"))
            .url(&format!("https://example.org/{n}"))
            .write();
    }
    desk.scan();
    let id = desk.id("in/7.md").to_string();
    desk.rename("in", "out");
    desk.later("1h").scan();
    assert_eq!(
        desk.problems(),
        Vec::<serde_json::Value>::new(),
        "nothing is frozen"
    );
    desk.run(&["approve", &id]).done();
    assert!(desk.says("out/7.md", "published: true"));
    desk.later("1h").scan();
    assert_eq!(desk.waiting().len(), 24);
}

#[test]
fn stories_that_swap_paths_before_an_approval_keep_their_own_decisions() {
    for seen in [false, true] {
        let desk = Desk::new();
        desk.story("a.md").url("https://example.org/a").write();
        desk.story("b.md").url("https://example.org/b").write();
        desk.scan();
        let (tag, id) = (desk.tag("a.md"), desk.id("a.md"));
        desk.rename("a.md", ".away");
        desk.rename("b.md", "a.md");
        desk.rename(".away", "b.md");
        let (theirs, ours) = (desk.read("a.md"), desk.read("b.md"));
        if seen {
            assert_eq!(desk.later("1h").scan()["new"], 0);
        }
        // What is not seen yet may be refused, and never goes to the other story.
        desk.run(&["approve", &tag]);
        assert_eq!(
            desk.read("a.md"),
            theirs,
            "an approval of one published the other"
        );
        desk.later("1h").scan();
        if desk.status_of(id) != "approved" {
            desk.run(&["approve", &id.to_string()]).done();
        }
        assert_published(&ours, &desk.read("b.md"));
        assert_eq!(
            desk.read("a.md"),
            theirs,
            "an approval of one published the other"
        );
        assert_eq!(desk.later("1h").scan()["queued"], 1);
    }
}

#[test]
fn an_approval_on_its_way_follows_its_story_to_the_other_path() {
    let desk = Desk::new();
    desk.story("a.md").url("https://example.org/a").write();
    desk.story("b.md").url("https://example.org/b").write();
    desk.scan();
    fs::create_dir_all(desk.path("content/.git")).unwrap();
    fs::write(desk.path("content/.git/index.lock"), "").unwrap();
    desk.run(&["approve", &desk.tag("a.md")]).not_done();
    desk.rename("a.md", ".away");
    desk.rename("b.md", "a.md");
    desk.rename(".away", "b.md");
    let (theirs, ours) = (desk.read("a.md"), desk.read("b.md"));
    fs::remove_dir_all(desk.path("content/.git")).unwrap();
    desk.later("2m").scan();
    desk.later("2m").scan();
    assert_published(&ours, &desk.read("b.md"));
    assert_eq!(
        desk.read("a.md"),
        theirs,
        "an approval of one published the other"
    );
    assert_eq!(desk.problems(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_path_of_two_that_another_story_took_is_left_to_it() {
    let desk = Desk::new();
    let story = desk.story("one.md").url("https://example.org/a").write();
    story.moved_to("two.md").write();
    desk.scan();
    let tag = desk.tag("one.md");
    let theirs = desk
        .story("one.md")
        .url("https://example.org/b")
        .write()
        .bytes();
    let two = desk.read("two.md");
    desk.run(&["approve", &tag]);
    desk.later("1h").scan();
    assert_published(&two, &desk.read("two.md"));
    assert_eq!(
        desk.read("one.md"),
        theirs,
        "an approval of one published the other"
    );
    assert_eq!(desk.queue().len(), 1);
}

#[test]
fn an_approved_story_that_was_gone_comes_back_approved_and_its_place_is_its_heirs() {
    let desk = Desk::new();
    let story = desk.story("a.md").url("https://example.org/a").write();
    desk.scan();
    desk.approve("a.md").done();
    desk.remove("a.md");
    desk.later("1h").scan();
    desk.later("61s").scan();
    let heir = desk
        .story("a.md")
        .url("https://example.org/b")
        .write()
        .bytes();
    desk.later("1h").scan();
    let back = story.clone().moved_to("back.md").write().bytes();
    assert_eq!(desk.later("1h").scan()["new"], 0);
    assert_eq!(desk.status_of(1), "approved");
    assert_published(&back, &desk.read("back.md"));
    assert_eq!(
        desk.read("a.md"),
        heir,
        "an approval of one published the other"
    );
    // With another text it is judged anew.
    desk.remove("back.md");
    desk.later("1h").scan();
    desk.later("61s").scan();
    story.moved_to("again.md").title("Another text").write();
    desk.later("1h").scan();
    assert!(desk.says("again.md", "published: false"));
    assert_eq!(desk.item("again.md")["status"], "pending");
}
