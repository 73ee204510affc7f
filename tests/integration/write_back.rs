//! A decision in the file: one line, and every other byte as it was.

use copydesk::item::Verdict;
use copydesk::review::{self, Actor, Request};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use copydesk::store::write_backs::End;
use copydesk::write_back;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::desk::{Desk, Line, assert_published, fixtures, one_line};

fn fixture_desk() -> Desk {
    let desk = Desk::new().with_source("missing: true", "missing: false");
    for (name, bytes) in fixtures() {
        desk.write(name, bytes);
    }
    desk
}

#[test]
fn the_fixtures_are_what_their_names_say() {
    let records = fixtures();
    assert!(records["crlf.md"].starts_with(b"---\r\n"));
    assert!(records["bom.md"].starts_with(b"\xEF\xBB\xBF---\n"));
    assert!(records["bom-crlf.md"].starts_with(b"\xEF\xBB\xBF---\r\n"));
    assert!(records["without-published-crlf.md"].starts_with(b"---\r\n"));
    assert!(records["no-final-newline.md"].ends_with(b"---"));
    assert!(
        records["mixed-endings.md"]
            .windows(4)
            .any(|four| four == b"wo\r\n")
    );
}

#[test]
fn every_fixture_is_read_and_waits() {
    let desk = fixture_desk();
    let scan = desk.scan();
    assert_eq!(
        desk.broken().keys().collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(scan["queued"], fixtures().len());
}

#[test]
fn approve_changes_one_line_of_every_fixture_and_reopen_puts_it_back() {
    let desk = fixture_desk();
    desk.scan();
    for (name, before) in fixtures() {
        let id = desk.id(&name).to_string();
        desk.run(&["approve", &id]).done();
        println!("{name}");
        assert_published(&before, &desk.read(&name));
        desk.run(&["reopen", &id]).done();
        assert_eq!(desk.read(&name), before, "{name} is not as it was");
        desk.run(&["approve", &id]).done();
        assert_published(&before, &desk.read(&name));
    }
    assert_eq!(desk.later("1h").scan()["queued"], 0);
}

#[test]
fn the_next_pass_finds_nothing_new_in_what_we_wrote() {
    let desk = fixture_desk();
    desk.scan();
    for name in fixtures().keys() {
        desk.approve(name).done();
    }
    let before: Vec<Vec<u8>> = fixtures().keys().map(|name| desk.read(name)).collect();
    let scan = desk.later("1h").scan();
    assert_eq!(
        (
            &scan["new"],
            &scan["changed"],
            &scan["rescored"],
            &scan["queued"]
        ),
        (&0.into(), &0.into(), &0.into(), &0.into())
    );
    let rows = desk.dump();
    desk.later("1h").scan();
    assert_eq!(desk.dump(), rows);
    assert_eq!(
        fixtures()
            .keys()
            .map(|name| desk.read(name))
            .collect::<Vec<_>>(),
        before
    );
}

#[test]
fn reject_leaves_what_is_unpublished_as_it_was() {
    let desk = Desk::new();
    let before = desk.story("a.md").write().bytes();
    desk.scan();
    desk.run(&["reject", &desk.tag("a.md")]).done();
    assert_eq!(desk.read("a.md"), before);
    desk.later("1h").scan();
    assert_eq!(desk.read("a.md"), before);
}

#[test]
fn a_missing_key_is_one_line_at_the_end_of_the_front_matter() {
    let desk = Desk::new().with_source("missing: true", "missing: false");
    for (name, story) in [
        ("lf.md", desk.story("lf.md")),
        ("crlf.md", desk.story("crlf.md").crlf()),
    ] {
        let before = story.without_published().write().bytes();
        desk.scan();
        let id = desk.id(name).to_string();
        desk.run(&["approve", &id]).done();
        let after = desk.read(name);
        assert!(matches!(one_line(&before, &after), Line::Inserted { .. }));
        assert_published(&before, &after);
        desk.run(&["reopen", &id]).done();
        assert_eq!(desk.read(name), before);
    }
}

#[test]
fn other_keys_and_values_can_be_set() {
    let desk = Desk::new()
        .with_source(
            "published: {key: published, missing: true}",
            "published: {key: live, missing: false}",
        )
        .with_source(
            "approve: {set: {published: true}}",
            "approve: {set: {live: true}}",
        )
        .with_source(
            "reject: {set: {published: false}}",
            "reject: {set: {live: false}}",
        );
    let before = desk
        .story("a.md")
        .without_published()
        .line("live: false")
        .write()
        .bytes();
    desk.scan();
    desk.approve("a.md").done();
    assert_eq!(
        one_line(&before, &desk.read("a.md")),
        Line::Changed {
            from: b"live: false\n".to_vec(),
            to: b"live: true\n".to_vec()
        }
    );
}

#[test]
fn a_flag_that_is_neither_true_nor_false_is_never_written_over() {
    for odd in ["yes", "\"true\"", "on", "1", "no", "[false]"] {
        let desk = Desk::new();
        let before = desk.story("a.md").published_as(odd).write().bytes();
        desk.scan();
        let item = desk.item("a.md");
        let decided = desk.run(&["approve", &crate::desk::tag(&item)]).seen();
        assert_eq!(desk.read("a.md"), before, "{odd}");
        let status = desk.json(&["status"]).to_string();
        assert!(
            decided.contains("published") || status.contains("a.md"),
            "{odd}: nobody is told: {decided} {status}"
        );
        desk.later("1h").scan();
        assert_eq!(desk.read("a.md"), before, "{odd}");
    }
}

#[test]
fn a_source_may_keep_decisions_out_of_its_files() {
    let desk = Desk::new().with_source("write: always", "write: never");
    let before = desk.story("a.md").write().bytes();
    desk.scan();
    let id = desk.id("a.md");
    desk.approve("a.md").done();
    desk.later("1h").scan();
    assert_eq!(desk.read("a.md"), before);
    assert_eq!(desk.status_of(id), "approved");
    assert_eq!(desk.json(&["status"])["ok"], true);
}

#[test]
fn nothing_is_left_beside_the_file() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    desk.approve("a.md").done();
    let names: BTreeSet<_> = fs::read_dir(desk.path("content"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a.md".into()].into());
}

#[test]
fn the_file_keeps_its_mode() {
    let desk = Desk::new();
    desk.story("a.md").write();
    let file = desk.content("a.md");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    desk.scan();
    desk.approve("a.md").done();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o640
    );
}

#[test]
fn noise_between_the_pass_and_the_decision_is_kept() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let tag = desk.tag("a.md");
    let before = story.secured("bmV3ZXI=").crlf().write().bytes();
    desk.run(&["approve", &tag]).done();
    assert_published(&before, &desk.read("a.md"));
}

#[test]
fn a_file_that_is_away_is_written_when_it_is_back() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.remove("a.md");
    desk.run(&["approve", &id.to_string()]);
    assert_eq!(desk.status_of(id), "approved", "the decision stands");
    let before = story.write().bytes();
    desk.later("10m").scan();
    desk.later("2h").scan();
    assert_published(&before, &desk.read("a.md"));
}

#[test]
fn a_decision_overtaken_while_its_file_was_gone_is_never_written() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.remove("a.md");
    desk.run(&["approve", &id]);
    desk.later("10m").scan();
    desk.later("10m").scan();
    desk.run(&["reject", &id]);
    let before = story.write().bytes();
    desk.later("3h").scan();
    desk.later("3h").scan();
    assert_eq!(desk.read("a.md"), before, "it was rejected last");
}

#[test]
fn a_decision_follows_a_file_that_moved_before_it_was_written() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.remove("a.md");
    desk.run(&["approve", &id]);
    let before = story.moved_to("b.md").write().bytes();
    desk.later("10m").scan();
    assert_published(&before, &desk.read("b.md"));
    assert_eq!(desk.problems(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_decision_is_taken_back_where_its_file_has_moved() {
    let desk = Desk::new();
    let before = desk.story("a.md").write().bytes();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.approve("a.md").done();
    desk.rename("a.md", "b.md");
    desk.later("1h").scan();
    desk.run(&["reopen", &id]).done();
    assert_eq!(desk.read("b.md"), before);
}

#[test]
fn a_write_that_was_cut_short_before_it_was_noted_can_be_taken_back() {
    let desk = Desk::new();
    let before = desk.story("a.md").write().bytes();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.approve("a.md").done();
    let database = rusqlite::Connection::open(desk.path("state/copydesk.db")).unwrap();
    // The schema lets no program do this.
    let undone =
        "DROP TRIGGER write_backs_end; UPDATE write_backs SET status = 'pending', closed_at = NULL";
    database.execute_batch(undone).unwrap();
    desk.later("1m").scan();
    desk.run(&["reopen", &id]).done();
    assert_eq!(desk.read("a.md"), before);
}

#[test]
fn what_a_write_cut_short_has_left_is_removed() {
    let desk = Desk::new();
    desk.story("in/a.md").write();
    let left = "in/.copydesk-019a2064-0f61-76a3-9ca2-b55aab45ad5f.tmp";
    desk.write(left, "half");
    desk.write("in/.copydesk-notes.tmp", "somebody's");
    desk.run(&["scan", "--dry-run"]).done();
    assert!(desk.content(left).exists(), "a dry run removes nothing");
    desk.scan();
    assert!(!desk.content(left).exists());
    assert!(desk.content("in/.copydesk-notes.tmp").exists());
}

#[test]
fn what_is_left_of_a_write_that_is_not_known_is_neither_read_nor_removed() {
    let desk = Desk::new();
    desk.story("a.md").write();
    let left = ".copydesk-019a2064-0f61-76a3-9ca2-b55aab45ad5f.swap";
    let bytes = desk.story(left).write().bytes();
    let scan = desk.run(&["scan"]).says(&["may hold a version"]);
    assert_eq!(desk.waiting(), ["a.md".to_owned()].into(), "{scan:?}");
    assert_eq!(desk.read(left), bytes);
}

#[test]
fn a_write_waits_while_git_is_at_work() {
    let desk = Desk::new();
    let before = desk.story("a.md").write().bytes();
    desk.scan();
    std::fs::create_dir(desk.path(".git")).unwrap();
    desk.write("../.git/index.lock", "");
    desk.run(&["approve", &desk.tag("a.md")]).says(&["git"]);
    assert_eq!(desk.read("a.md"), before);
    desk.run(&["status"])
        .says(&["git is at work", "index.lock"]);
    desk.remove("../.git/index.lock");
    desk.later("2m").scan();
    assert_published(&before, &desk.read("a.md"));
    assert_eq!(desk.json(&["status"])["ok"], true);
}

/// One record of each kind, without the flag, and what its approval makes of it.
const KINDS: [(&str, &str, &str); 6] = [
    (
        "toml.md",
        "+++\r\ntitle = 'In TOML' # why\r\n\r\n[provider]\r\npublished = false\r\n+++\r\nA body.\r\n",
        "+++\r\ntitle = 'In TOML' # why\r\npublished = true\r\n\r\n[provider]\r\npublished = false\r\n+++\r\nA body.\r\n",
    ),
    (
        "json.md",
        "{\n\t\"title\": \"In \\\"JSON\\\"\",\n\t\"provider\": {\"published\": false}\n}\nA body }.\n",
        "{\n\t\"published\": true,\n\t\"title\": \"In \\\"JSON\\\"\",\n\t\"provider\": {\"published\": false}\n}\nA body }.\n",
    ),
    (
        "whole.yaml",
        "\u{feff}title: In YAML\nprovider:\n  published: false # no",
        "\u{feff}title: In YAML\nprovider:\n  published: false # no\npublished: true",
    ),
    (
        "whole.yml",
        "---\ntitle: In YAML\n# end\n...\n",
        "---\ntitle: In YAML\n# end\npublished: true\n...\n",
    ),
    (
        "whole.toml",
        "title = \"In TOML\"\n[provider]\npublished = false\n",
        "title = \"In TOML\"\npublished = true\n[provider]\npublished = false\n",
    ),
    (
        "whole.json",
        "{\n  \"title\": \"In JSON\"\n}",
        "{\n  \"published\": true,\n  \"title\": \"In JSON\"\n}",
    ),
];

/// The same records with the flag.
const FLAGGED: [(&str, &str); 4] = [
    (
        "flag.md",
        "+++\ntitle = \"a\"\npublished = false # not yet\n+++\n",
    ),
    (
        "line.md",
        "{\"title\": \"b\", \"published\" :false, \"n\": 1}\nbody",
    ),
    ("flag.yaml", "title: c\npublished:  false  # not yet"),
    ("flag.json", "{\"title\":\"d\",\"published\":false}"),
];

fn desk_of_all_kinds(missing: bool) -> Desk {
    let desk = Desk::new().with_source(r#"["**/*.md"]"#, r#"["**/*.{md,yaml,yml,toml,json}"]"#);
    if missing {
        desk
    } else {
        desk.with_source("missing: true", "missing: false")
    }
}

#[test]
fn a_record_of_each_kind_is_read_written_and_put_back() {
    let desk = desk_of_all_kinds(false);
    for (name, before, _) in KINDS {
        desk.write(name, before);
    }
    assert_eq!(desk.scan()["queued"], KINDS.len());
    assert_eq!(desk.broken(), [].into());
    for (name, before, after) in KINDS {
        let id = desk.id(name).to_string();
        desk.run(&["approve", &id]).done();
        assert_eq!(String::from_utf8(desk.read(name)).unwrap(), after);
        desk.run(&["reopen", &id]).done();
        assert_eq!(String::from_utf8(desk.read(name)).unwrap(), before);
        desk.run(&["approve", &id]).done();
        assert_eq!(String::from_utf8(desk.read(name)).unwrap(), after);
    }
    let scan = desk.later("1h").scan();
    assert_eq!((&scan["queued"], &scan["changed"]), (&0.into(), &0.into()));
}

#[test]
fn a_flag_of_each_kind_changes_in_place() {
    let desk = desk_of_all_kinds(true);
    for (name, before) in FLAGGED {
        desk.write(name, before);
    }
    assert_eq!(desk.scan()["queued"], FLAGGED.len());
    for (name, before) in FLAGGED {
        let id = desk.id(name).to_string();
        desk.run(&["approve", &id]).done();
        let after = before.replacen("false", "true", 1);
        assert_eq!(String::from_utf8(desk.read(name)).unwrap(), after);
        desk.run(&["reopen", &id]).done();
        assert_eq!(String::from_utf8(desk.read(name)).unwrap(), before);
    }
}

#[test]
fn json_on_one_line_gets_no_key_and_status_says_so() {
    let desk = desk_of_all_kinds(false);
    let before = "{\"title\": \"On one line\"}\n";
    desk.write("a.json", before);
    desk.scan();
    desk.run(&["approve", &desk.tag("a.json")]);
    assert_eq!(desk.read("a.json"), before.as_bytes());
    desk.run(&["status"])
        .says(&["a.json", "read-only", "change it by hand"]);
}

/// Approves an item and, before it is written, lets `upstream` act; returns how the write ended.
fn written_after(desk: &Desk, upstream: impl FnOnce()) -> Option<End> {
    desk.scan();
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let request = Request {
        id: uuid::Uuid::now_v7(),
        item: "1@1".parse().unwrap(),
        verdict: Verdict::Approve,
        actor: &Actor::User("tester".into()),
        reason: None,
        note: None,
        until: None,
    };
    review::decide(&mut store, &rules, &request, desk.now()).unwrap();
    upstream();
    let outcomes = write_back::tick(&mut store, &rules, desk.now()).unwrap();
    outcomes.into_iter().next().unwrap().end
}

#[test]
fn what_is_replaced_between_the_decision_and_its_write_is_left_as_it_is() {
    for replaced in ["the same story, changed", "another story"] {
        let desk = Desk::new();
        let story = desk.story("a.md").url("https://example.org/a").write();
        let end = written_after(&desk, || {
            match replaced {
                "another story" => story.url("https://example.org/b").write(),
                _ => story.title("Something else").write(),
            };
        });
        assert!(matches!(end, Some(End::Stale(_))), "{replaced}: {end:?}");
        assert!(desk.says("a.md", "published: false"), "{replaced}");
    }
}

#[test]
fn noise_between_the_decision_and_its_write_does_not_stop_it() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    let end = written_after(&desk, || {
        story.secured("afresh").heat(3).write();
    });
    assert!(matches!(end, Some(End::Done(_))), "{end:?}");
    assert!(desk.says("a.md", "published: true"));
}
