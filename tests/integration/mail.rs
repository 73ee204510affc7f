//! The digest: a work list and a diff, sent when there is news, and remembered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::desk::{Desk, assert_keys, tag};

/// Two reasons that weigh, and one that does not.
const REASONS: &str = r#"score:
  quality: {field: quality, weight: 1}
rules:
  - {id: bees, axis: topic, when: 'mentions("bees")', points: 30, why: Bees are our beat}
  - {id: roof, axis: topic, when: 'mentions("roof")', points: 20, why: Roofs are in the news}
  - {id: city, axis: topic, when: 'mentions("city")', points: 2, why: It happens in a city}
"#;

fn line(item: &Value) -> String {
    format!("copydesk approve {}", tag(item))
}

#[test]
fn a_digest_lists_what_waits() {
    let desk = Desk::new().with_rules("scoring.yaml", REASONS);
    desk.story("bees.md")
        .title("Bees on a city roof")
        .quality(7)
        .write();
    desk.story("plain.md")
        .title("A plain story")
        .quality(11)
        .write();
    desk.story("out.md")
        .title("Already out")
        .published(true)
        .write();
    desk.scan();
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.to, "ana@example.org");
    assert!(!mail.subject.trim().is_empty());
    assert!(mail.id.contains('@'), "{}", mail.id);
    assert_eq!(mail.date, desk.now().as_second());
    mail.lists(&[
        "Bees on a city roof",
        "A plain story",
        "Example Daily",
        "59",
        "11",
    ]);
    mail.lists(&["Bees are our beat", "Roofs are in the news"]);
    mail.leaves_out(&["It happens in a city", "Already out"]);
    mail.lists(&[&line(&desk.item("bees.md")), &line(&desk.item("plain.md"))]);
}

#[test]
fn nothing_waits_and_nothing_is_sent() {
    let desk = Desk::new();
    desk.story("out.md").published(true).write();
    desk.scan();
    assert!(desk.notify().is_empty());
    assert_eq!(desk.json(&["mails"]), json!([]));
}

#[test]
fn nothing_new_is_no_mail() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    assert_eq!(desk.notify().len(), 1);
    assert!(desk.notify().is_empty());
    assert_eq!(desk.json(&["notify", "--dry-run"]), json!([]));
    desk.later("24h").scan();
    assert!(desk.notify().is_empty());
    assert_eq!(desk.mails().len(), 1);
}

#[test]
fn the_next_digest_says_what_is_new() {
    let desk = Desk::new();
    desk.story("old.md").title("The old one").write();
    desk.scan();
    let first = desk.notify();
    desk.story("new.md").title("The new one").write();
    desk.later("5h").scan();
    let second = desk.notify();
    assert_eq!(second.len(), 1);
    second[0].lists(&["new", "The new one", &line(&desk.item("new.md"))]);
    second[0].leaves_out(&[&line(&desk.item("old.md"))]);
    second[0].lists(&["still waiting", "1"]);
    assert_ne!(first[0].id, second[0].id);
    assert!(desk.notify().is_empty());
}

#[test]
fn noise_and_a_new_score_are_no_news() {
    let desk = Desk::new();
    let story = desk.story("a.md").heat(40).write();
    desk.scan();
    desk.notify();
    story.secured("bmV3").heat(30).crlf().write();
    desk.later("2h").scan();
    assert!(desk.notify().is_empty());
}

#[test]
fn what_changed_since_it_was_mailed_is_listed_again() {
    let desk = Desk::new();
    let story = desk.story("a.md").title("As it was").write();
    desk.scan();
    desk.notify();
    story.title("As it is now").write();
    desk.later("2h").scan();
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    let item = desk.item("a.md");
    assert_eq!(item["version"], 2);
    mails[0].lists(&["changed", "As it is now", &line(&item)]);
    assert!(desk.notify().is_empty());
}

#[test]
fn becoming_overdue_is_news_once() {
    let desk = Desk::new();
    desk.story("hot.md")
        .title("Urgent matter")
        .quality(99)
        .write();
    desk.story("calm.md").title("Calm matter").write();
    desk.scan();
    desk.notify();
    desk.later("119m");
    assert!(desk.notify().is_empty());
    desk.later("2m");
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    mails[0].lists(&["overdue", "Urgent matter", &line(&desk.item("hot.md"))]);
    mails[0].leaves_out(&[&line(&desk.item("calm.md"))]);
    desk.later("3h");
    assert!(desk.notify().is_empty());
}

#[test]
fn what_is_overdue_comes_first() {
    let desk = Desk::new();
    desk.story("late.md")
        .title("The late one")
        .quality(99)
        .write();
    desk.scan();
    desk.later("3h");
    desk.story("fresh.md")
        .title("The fresh one")
        .quality(99)
        .write();
    desk.scan();
    let text = desk.notify().remove(0).text;
    assert!(
        text.find("The late one").unwrap() < text.find("The fresh one").unwrap(),
        "{text}"
    );
}

#[test]
fn a_story_that_changed_after_approval_is_told_so() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    desk.notify();
    desk.approve("a.md").done();
    story.title("Not what was approved").write();
    desk.later("2h").scan();
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    mails[0].lists(&[
        "Not what was approved",
        "changed after approval",
        &line(&desk.item("a.md")),
    ]);
}

#[test]
fn without_a_decision_the_whole_list_is_sent_again() {
    let desk = Desk::new();
    desk.rules("reviewers.yaml", "reviewers:\n  - {name: Ana Example, email: ana@example.org, role: reviewer, queues: all, digest: \"0 9 * * *\", remind: 2d}\n");
    desk.story("one.md").write();
    desk.story("two.md").write();
    desk.scan();
    desk.notify();
    desk.later("47h");
    assert!(desk.notify().is_empty());
    desk.later("2h");
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    mails[0].lists(&[&line(&desk.item("one.md")), &line(&desk.item("two.md"))]);
    assert!(desk.notify().is_empty());
}

#[test]
fn each_reviewer_is_told_about_her_queues() {
    let desk = Desk::new();
    desk.rules(
        "reviewers.yaml",
        "reviewers:
  - {name: Ana Example, email: ana@example.org, role: reviewer, queues: [ai-desk], digest: \"0 9 * * *\"}
  - {name: Bo Example, email: bo@example.org, role: reviewer, queues: [general, urgent], digest: \"0 9 * * *\"}
  - {name: Cy Example, email: cy@example.org, role: editor, queues: all}
",
    );
    desk.story("machine.md")
        .title("A story for Ana")
        .topics(&["AI"])
        .write();
    desk.story("rest.md").title("A story for Bo").write();
    desk.scan();
    let mails = desk.notify();
    let to: BTreeSet<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(
        to,
        ["ana@example.org", "bo@example.org"].into(),
        "without a digest, none"
    );
    for mail in &mails {
        let (hers, not_hers) = if mail.to.starts_with("ana") {
            ("A story for Ana", "A story for Bo")
        } else {
            ("A story for Bo", "A story for Ana")
        };
        mail.lists(&[hers]);
        mail.leaves_out(&[not_hers]);
    }
    desk.story("more.md")
        .title("More for Ana")
        .topics(&["AI"])
        .write();
    desk.later("1h").scan();
    let mails = desk.notify();
    assert_eq!(
        mails
            .iter()
            .map(|mail| mail.to.as_str())
            .collect::<Vec<_>>(),
        ["ana@example.org"]
    );
}

#[test]
fn what_is_held_or_decided_is_not_listed() {
    let desk = Desk::new();
    desk.story("held.md").title("The held one").write();
    desk.story("decided.md").title("The decided one").write();
    desk.scan();
    desk.run(&["hold", &desk.tag("held.md"), "--until", "9d"])
        .done();
    desk.approve("decided.md").done();
    assert!(desk.notify().is_empty());
    desk.story("waits.md").title("The waiting one").write();
    desk.later("1h").scan();
    let mail = desk.notify().remove(0);
    mail.lists(&["The waiting one"]);
    mail.leaves_out(&["The held one", "The decided one"]);
}

#[test]
fn a_dry_run_says_what_is_owed_and_sends_nothing() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let owed = desk.json(&["notify", "--dry-run"]);
    let owed = owed.as_array().unwrap();
    assert_eq!(owed.len(), 1);
    assert_keys(&owed[0], &["to", "kind", "reason", "due", "items"]);
    assert_eq!(
        (&owed[0]["to"], &owed[0]["kind"]),
        (&json!("ana@example.org"), &json!("digest"))
    );
    assert_eq!(owed[0]["items"], json!([desk.id("a.md")]));
    assert!(desk.mails().is_empty());
    desk.run(&["notify", "--dry-run"])
        .done()
        .says(&["ana@example.org"]);
    assert_eq!(desk.notify().len(), 1);
}

#[test]
fn the_mail_log_says_who_was_told_what_and_why() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.notify();
    let log = desk.json(&["mails"]);
    let log = log.as_array().unwrap();
    assert_eq!(log.len(), 1);
    assert_keys(&log[0], &["to", "kind", "reason", "status", "at", "items"]);
    assert_eq!(
        (&log[0]["to"], &log[0]["items"]),
        (&json!("ana@example.org"), &json!([desk.id("a.md")]))
    );
    assert_eq!(
        desk.json(&["mails", "--to", "ana@example.org"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(desk.json(&["mails", "--to", "bo@example.org"]), json!([]));
    desk.run(&["mails"])
        .done()
        .says(&["ana@example.org", "digest"]);
}

#[test]
fn what_was_told_is_remembered_when_the_mail_is_deleted() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.notify();
    std::fs::remove_dir_all(desk.path("state/mail")).unwrap();
    desk.later("24h").scan();
    assert!(desk.notify().is_empty());
}

#[test]
fn an_editors_digest_counts_what_cannot_be_read() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.write("b.md", "---\ntitle: [\n---\n");
    desk.scan();
    let reviewers = [("ana", "reviewer"), ("ed", "editor")];
    let reviewers: String = reviewers
        .map(|(name, role)| format!("  - {{name: {name}, email: {name}@example.org, role: {role}, queues: all, digest: \"0 9 * * *\"}}\n"))
        .concat();
    desk.rules("reviewers.yaml", &format!("reviewers:\n{reviewers}"));
    for mail in desk.notify() {
        if mail.to == "ed@example.org" {
            mail.lists(&[
                "What is wrong with the desk",
                "1 file cannot be read (broken)",
            ]);
        } else {
            mail.leaves_out(&["broken"]);
        }
    }
}

#[test]
fn no_reviewer_gets_no_mail() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("rules/reviewers.yaml")).unwrap();
    desk.story("a.md").write();
    desk.scan();
    assert!(desk.notify().is_empty());
}

#[test]
fn a_story_without_title_is_listed_by_its_place() {
    let desk = Desk::new();
    desk.story("in/untitled.md").without_title().write();
    desk.scan();
    desk.notify()
        .remove(0)
        .lists(&["in/untitled.md", &line(&desk.item("in/untitled.md"))]);
}
