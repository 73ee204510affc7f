//! The five policies of `rules/README.md`: short enough for an editor, and they do what they say.

use std::fs;
use std::path::Path;

use copydesk::rules::RuleSet;
use serde_json::{Value, json};

use crate::desk::{Desk, SOURCES, text};

/// Each policy's promise and its YAML.
fn policies() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md");
    let page = fs::read_to_string(page).unwrap();
    let section = page.split("\n## ").find(|s| s.starts_with("Five policies"));
    let mut found = Vec::new();
    let mut promise = String::new();
    let mut lines = section.expect("the section").lines();
    while let Some(line) = lines.next() {
        if let Some(said) = line.strip_prefix("**") {
            promise = said.split("**").next().unwrap().to_owned();
        }
        if line == "```yaml" {
            let yaml = lines.by_ref().take_while(|line| *line != "```");
            let yaml: String = yaml.map(|line| format!("{line}\n")).collect();
            found.push((promise.clone(), yaml));
        }
    }
    found
}

/// The policy that makes this promise, alone.
fn alone(promise: &str) -> Desk {
    let policies = policies();
    let found = policies.iter().find(|(said, _)| said.starts_with(promise));
    let (_, yaml) = found.unwrap_or_else(|| panic!("no policy: {promise}"));
    Desk::with_no_rules()
        .with_rules("sources.yaml", SOURCES)
        .with_rules("policy.yaml", yaml)
}

/// All of them, in their order, and a reviewer of what no policy gives to anyone.
fn together() -> Desk {
    let desk = Desk::with_no_rules().with_rules("sources.yaml", SOURCES);
    for (n, (_, yaml)) in policies().iter().enumerate() {
        desk.rules(&format!("policy-{n}.yaml"), yaml);
    }
    desk.rules(
        "reviewers.yaml",
        "reviewers:\n  - {name: Ana, email: ana@example.org, queues: [urgent, rest]}\n",
    );
    desk
}

/// The queue of what waits at a location, or what else became of it.
fn queue(desk: &Desk, location: &str) -> String {
    let waiting = desk.queue();
    let item = waiting.iter().find(|item| item["location"] == location);
    item.map_or_else(|| "no item".to_owned(), |item| text(item, "queue"))
}

fn election(desk: &Desk, location: &str, domain: &str) {
    desk.story(location)
        .title("First count of the election")
        .domain(domain)
        .published(false)
        .write();
}

fn video(desk: &Desk, location: &str, domain: &str, quality: i64) {
    desk.story(location)
        .title("A tour of the editor")
        .domain(domain)
        .quality(quality)
        .topics(&["Editors"])
        .published(false)
        .write();
    desk.replace(location, "type: article", "type: video");
}

#[test]
fn each_takes_ten_lines_or_fewer_and_carries_examples() {
    let policies = policies();
    let promises: Vec<&str> = policies.iter().map(|(said, _)| said.as_str()).collect();
    assert_eq!(
        promises,
        [
            "Elections from domains that are not trusted wait for an editor.",
            "Hot stories about AWS AI are urgent.",
            "The vendor's own videos over 70 approve themselves.",
            "Stale stories of low quality open no item.",
            "Everything else by freshness.",
        ]
    );
    for (promise, yaml) in policies {
        assert!(yaml.lines().count() <= 10, "{promise}\n{yaml}");
        assert!(yaml.contains("examples:"), "{promise}\n{yaml}");
    }
}

#[test]
fn elections_from_domains_that_are_not_trusted_wait_for_an_editor() {
    let desk = alone("Elections");
    election(&desk, "a.md", "daily.example.org");
    election(&desk, "b.md", "www.theguardian.com");
    desk.story("c.md").published(false).write();
    desk.scan();
    assert_eq!(queue(&desk, "a.md"), "elections");
    assert_eq!(
        (queue(&desk, "b.md"), queue(&desk, "c.md")),
        ("no item".into(), "no item".into())
    );
    let mails = desk.notify();
    assert_eq!(mails[0].subject, "1 new: elections");
    desk.run(&["approve", "1", "--as", "ed@example.org"]).done();
}

#[test]
fn hot_stories_about_aws_ai_are_urgent() {
    let desk = alone("Hot stories");
    let story = |location: &str| desk.story(location).title("A story").published(false);
    story("named.md").topics(&["AWS AI"]).heat(70).write();
    story("mentioned.md")
        .title("Rekognition returns")
        .heat(99)
        .write();
    story("cool.md").topics(&["AWS AI"]).heat(69).write();
    story("other.md").topics(&["AI"]).heat(99).write();
    desk.scan();
    let waiting: Vec<String> = desk.waiting().into_iter().collect();
    assert_eq!(waiting, ["mentioned.md", "named.md"]);
    let item = desk.item("named.md");
    assert_eq!(
        (&item["queue"], &item["due"]),
        (&json!("urgent"), &json!("2026-03-02T11:00:00Z"))
    );
}

#[test]
fn the_vendors_own_videos_over_70_approve_themselves() {
    let desk = alone("The vendor's own videos");
    video(&desk, "good.md", "www.microsoft.com", 71);
    video(&desk, "weak.md", "www.microsoft.com", 70);
    video(&desk, "other.md", "videos.example.org", 90);
    desk.story("article.md")
        .domain("microsoft.com")
        .quality(90)
        .published(false)
        .write();
    desk.scan();
    assert!(desk.says("good.md", "published: true"));
    for location in ["weak.md", "other.md", "article.md"] {
        assert!(desk.says(location, "published: false"), "{location}");
    }
    let decisions = &desk.show(1)["decisions"];
    assert_eq!(
        (&decisions[0]["kind"], &decisions[0]["actor"]),
        (&json!("approve"), &json!("queue:vendor-videos"))
    );
}

#[test]
fn stale_stories_of_low_quality_open_no_item() {
    let desk = alone("Stale stories");
    for (location, quality, date) in [
        ("stale.md", 29, "2026-02-22T08:00:00Z"),
        ("new.md", 29, "2026-03-01T08:00:00Z"),
        ("good.md", 30, "2026-02-22T08:00:00Z"),
    ] {
        desk.story(location)
            .quality(quality)
            .date(date)
            .published(false)
            .write();
    }
    // Alone it leaves the others to no queue; here one more takes them.
    desk.rules("z.yaml", "queues:\n  - {name: rest}\n");
    desk.scan();
    let waiting: Vec<String> = desk.waiting().into_iter().collect();
    assert_eq!(waiting, ["good.md", "new.md"]);
    let explained = desk.explain("stale.md");
    assert_eq!(
        (&explained["queue"], &explained["skipped"]),
        (&json!("stale"), &json!(true))
    );
    desk.later("169h").scan();
    // What waits when it becomes stale leaves its queue.
    assert_eq!(queue(&desk, "new.md"), "no item");
}

#[test]
fn everything_else_goes_by_freshness() {
    let desk = alone("Everything else");
    for (location, date) in [
        ("middle.md", "2026-03-01T12:00:00Z"),
        ("newest.md", "2026-03-02T08:00:00Z"),
        ("oldest.md", "2026-02-01T12:00:00Z"),
    ] {
        desk.story(location).date(date).published(false).write();
    }
    desk.scan();
    let order: Vec<String> = desk
        .queue()
        .iter()
        .map(|item| text(item, "location"))
        .collect();
    assert_eq!(order, ["newest.md", "middle.md", "oldest.md"]);
}

#[test]
fn together_they_are_one_set() {
    let desk = together();
    let set = RuleSet::load(&desk.path("rules")).unwrap();
    assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    let names: Vec<&str> = set.queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(
        names,
        ["elections", "urgent", "vendor-videos", "stale", "rest"]
    );

    election(&desk, "election.md", "daily.example.org");
    election(&desk, "trusted.md", "theguardian.com");
    desk.story("hot.md")
        .title("Rekognition returns")
        .heat(80)
        .published(false)
        .write();
    video(&desk, "video.md", "microsoft.com", 80);
    let old = "2026-02-01T12:00:00Z";
    desk.story("stale.md")
        .quality(20)
        .date(old)
        .published(false)
        .write();
    desk.story("fine.md")
        .quality(50)
        .date(old)
        .published(false)
        .write();
    desk.scan();
    let queues = [
        "election.md",
        "trusted.md",
        "hot.md",
        "video.md",
        "stale.md",
        "fine.md",
    ]
    .map(|location| queue(&desk, location));
    assert_eq!(
        queues,
        ["elections", "rest", "urgent", "no item", "no item", "rest"]
    );
    assert!(desk.says("video.md", "published: true"));

    let id = desk.id("election.md").to_string();
    desk.run(&["approve", &id, "--as", "ana@example.org"])
        .refused();
    desk.run(&["approve", &id, "--as", "ed@example.org"]).done();
    assert!(desk.says("election.md", "published: true"));
    let counted = &desk.json(&["status"])["shadow"];
    assert_eq!(*counted, Value::Array(vec![]));
}
