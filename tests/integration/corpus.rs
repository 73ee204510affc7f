//! The whole line on a real feed, where that feed is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::desk::{Desk, Line, assert_adds_up, assert_published, one_line, shipped_rules, text};

const FLAG_OFF: &str = "published: false";

/// The feed's folder; without it the test shows nothing and says so.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var("COPYDESK_REQUIRE").as_deref() != Ok("all"),
        "no ../shared/corpus"
    );
    println!("skipped: no ../shared/corpus");
    None
}

/// The shipped rules over a copy of the feed.
fn desk() -> Option<Desk> {
    let corpus = corpus()?;
    let desk = Desk::shipped();
    for (location, bytes) in files(&corpus.join("content")) {
        desk.write(location, bytes);
    }
    Some(desk)
}

/// Every record below a folder, by location.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        if entry.is_dir() {
            found.extend(
                files(&entry)
                    .into_iter()
                    .map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else if name.ends_with(".md") {
            found.insert(name, fs::read(&entry).unwrap());
        }
    }
    found
}

fn content(desk: &Desk) -> BTreeMap<String, Vec<u8>> {
    files(&desk.path("content"))
}

/// Where the flag stands in the front matter, and is off.
fn unpublished(records: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let off = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .lines()
            .any(|line| line.trim_end() == FLAG_OFF)
    };
    records
        .iter()
        .filter(|(_, bytes)| off(bytes))
        .map(|(location, _)| location.clone())
        .collect()
}

/// The names of the shipped queues, in their order.
fn shipped_queues() -> Vec<String> {
    let sets = shipped_rules()
        .into_values()
        .map(|yaml| serde_yaml::from_str::<Value>(&yaml).unwrap());
    sets.flat_map(|set| set["queues"].as_array().cloned().unwrap_or_default())
        .map(|queue| text(&queue, "name"))
        .collect()
}

fn with_a_reviewer(desk: &Desk) {
    desk.rules(
        "ana.yaml",
        "reviewers:\n  - {name: Ana Example, email: ana@example.org, role: editor, queues: all, digest: \"0 9 * * *\"}\n",
    );
}

/// Text that is other at each call, the same in each run of the test.
fn opaque(seed: &mut u64) -> String {
    let mut next = || {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((*seed >> 33) % 26).unwrap())
    };
    (0..300).map(|_| next()).collect()
}

fn rewrite(desk: &Desk, mut rewritten: impl FnMut(&str) -> String) {
    for (location, bytes) in content(desk) {
        desk.write(location, rewritten(&String::from_utf8(bytes).unwrap()));
    }
}

#[test]
fn one_pass_reads_the_feed() {
    let Some(desk) = desk() else { return };
    let scan = desk.scan();
    for (key, count) in [
        ("records", 122),
        ("new", 122),
        ("changed", 0),
        ("rescored", 0),
        ("unchanged", 0),
        ("broken", 0),
        ("queued", 23),
    ] {
        assert_eq!(scan[key], count, "{key}: {scan}");
    }
    let unpublished = unpublished(&content(&desk));
    assert_eq!(unpublished.len(), 23);
    assert_eq!(desk.waiting(), unpublished);
    assert!(desk.queue().iter().all(|item| item["status"] == "pending"));
    assert!(desk.broken().is_empty());
}

#[test]
fn the_shipped_policy_puts_something_in_each_of_its_queues() {
    let Some(desk) = desk() else { return };
    desk.run(&["check"]).done();
    desk.scan();
    let used: BTreeSet<String> = desk
        .queue()
        .iter()
        .map(|item| text(item, "queue"))
        .collect();
    assert_eq!(used, shipped_queues().into_iter().collect());
    for rules in shipped_rules().values() {
        let set: Value = serde_yaml::from_str(rules).unwrap();
        for queue in set["queues"].as_array().into_iter().flatten() {
            assert!(
                queue.get("skip").is_none() && queue.get("decide").is_none(),
                "{queue}"
            );
            assert!(!queue["when"].to_string().contains("age_"), "{queue}");
        }
    }
}

#[test]
fn the_seed_is_explained() {
    let Some(corpus) = corpus() else { return };
    let desk = Desk::shipped();
    for (location, bytes) in files(&corpus.join("seed")) {
        desk.write(&location, bytes);
        let explained = desk.explain(&location);
        assert_adds_up(&explained);
        let queue = text(&explained, "queue");
        let queues = shipped_queues();
        assert!(queues.contains(&queue), "{queue}");
        assert_eq!(
            explained["near"] == json!([]),
            queue == queues[0],
            "{explained:#}"
        );
        let total = explained["score"]["total"].to_string();
        let file = desk.content(&location);
        desk.run(&["explain", file.to_str().unwrap()])
            .done()
            .says(&[&total, &queue]);
    }
}

#[test]
fn every_score_of_the_feed_is_the_sum_of_its_hits() {
    let Some(desk) = desk() else { return };
    let paths: Vec<PathBuf> = content(&desk)
        .keys()
        .map(|location| desk.content(location))
        .collect();
    let mut args = vec!["explain", "--json"];
    args.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let run = desk.run(&args).done();
    let explained: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(explained.len(), 122);
    explained.iter().for_each(assert_adds_up);
}

#[test]
fn a_second_pass_changes_nothing() {
    let Some(desk) = desk() else { return };
    with_a_reviewer(&desk);
    desk.scan();
    assert_eq!(desk.notify().len(), 1);
    let before = desk.dump();
    let scan = desk.later("2h").scan();
    assert_eq!(
        (&scan["unchanged"], &scan["queued"]),
        (&json!(122), &json!(23))
    );
    assert_eq!(desk.dump(), before);
    assert!(desk.notify().is_empty());
    assert_eq!(desk.dump(), before);
}

#[test]
fn new_opaque_text_and_other_line_ends_are_no_news() {
    let Some(desk) = desk() else { return };
    with_a_reviewer(&desk);
    desk.scan();
    desk.notify();
    let (queue, mails) = (desk.queue(), desk.json(&["mails"]));
    let shown: Vec<Value> = queue
        .iter()
        .map(|item| desk.show(item["id"].as_i64().unwrap()))
        .collect();
    let mut seed = 7;
    rewrite(&desk, |text| {
        let lines = text.split_inclusive('\n').map(|line| {
            if !line.starts_with("secured:") {
                return line.to_owned();
            }
            let ending = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
            format!("secured: \"{}\"{ending}", opaque(&mut seed))
        });
        lines.collect()
    });
    let volatile = desk.later("10m").scan();
    rewrite(&desk, |text| {
        text.replace("\r\n", "\n").replace('\n', "\r\n")
    });
    let endings = desk.later("10m").scan();
    for scan in [volatile, endings] {
        for (key, count) in [
            ("new", 0),
            ("changed", 0),
            ("rescored", 0),
            ("unchanged", 122),
            ("queued", 23),
        ] {
            assert_eq!(scan[key], count, "{key}: {scan}");
        }
    }
    assert!(desk.notify().is_empty());
    assert_eq!(desk.queue(), queue);
    assert_eq!(desk.json(&["mails"]), mails);
    assert_eq!(
        queue
            .iter()
            .map(|item| desk.show(item["id"].as_i64().unwrap()))
            .collect::<Vec<_>>(),
        shown
    );
}

#[test]
fn approve_changes_one_line_of_each_and_reopen_puts_it_back() {
    let Some(desk) = desk() else { return };
    desk.scan();
    let before = content(&desk);
    let ids: BTreeMap<String, String> = desk
        .queue()
        .iter()
        .map(|item| (text(item, "location"), item["id"].to_string()))
        .collect();
    assert_eq!(ids.len(), 23);
    for id in ids.values() {
        desk.run(&["approve", &format!("{id}@1")]).done();
    }
    let after = content(&desk);
    for (location, bytes) in &before {
        if !ids.contains_key(location) {
            assert_eq!(&after[location], bytes, "{location} was touched");
            continue;
        }
        let Line::Changed { from, to } = one_line(bytes, &after[location]) else {
            panic!("{location}")
        };
        let (from, to) = (
            String::from_utf8(from).unwrap(),
            String::from_utf8(to).unwrap(),
        );
        assert_eq!(
            (from.trim_end(), to.trim_end()),
            (FLAG_OFF, "published: true"),
            "{location}"
        );
        assert_eq!(from.ends_with("\r\n"), to.ends_with("\r\n"), "{location}");
    }
    let scan = desk.later("1h").scan();
    for (key, count) in [("new", 0), ("changed", 0), ("rescored", 0), ("queued", 0)] {
        assert_eq!(scan[key], count, "{key}: {scan}");
    }
    for id in ids.values() {
        desk.run(&["reopen", id]).done();
    }
    assert_eq!(content(&desk), before);
    assert_eq!(desk.queue().len(), 23);
    for id in ids.values() {
        desk.run(&["reject", id]).done();
    }
    assert_eq!(content(&desk), before);
    assert_eq!(desk.later("1h").scan()["queued"], 0);
    assert_eq!(content(&desk), before);
}

#[test]
fn a_record_without_the_flag_gets_one_line() {
    let Some(desk) = desk() else { return };
    desk.change_source("missing: true", "missing: false");
    assert_eq!(desk.scan()["queued"], 23 + 42);
    let before = content(&desk);
    let ids: Vec<String> = desk
        .queue()
        .iter()
        .map(|item| item["id"].to_string())
        .collect();
    let mut args = vec!["approve"];
    args.extend(ids.iter().map(String::as_str));
    desk.run(&args).done();
    let after = content(&desk);
    let mut inserted = 0;
    for (location, bytes) in &before {
        if bytes != &after[location] {
            assert_published(bytes, &after[location]);
            inserted += usize::from(matches!(
                one_line(bytes, &after[location]),
                Line::Inserted { .. }
            ));
        }
    }
    assert_eq!(inserted, 42);
    assert_eq!(desk.later("1h").scan()["queued"], 0);
}

#[test]
fn a_digest_lists_the_feed() {
    let Some(desk) = desk() else { return };
    with_a_reviewer(&desk);
    desk.scan();
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    for item in desk.queue() {
        mails[0].lists(&[&format!(
            "copydesk approve {}@{}",
            item["id"], item["version"]
        )]);
    }
    assert!(desk.notify().is_empty());
    desk.story("_news/extra.md").title("One story more").write();
    desk.later("1h").scan();
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    mails[0].lists(&["new", "One story more"]);
}
