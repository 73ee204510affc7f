//! `reject: {move: …}`: a rejected story's file leaves its source, and comes back when that is taken
//! back; nothing is written over but our own earlier copy.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use copydesk::intake::{self, Control};
use copydesk::item::Verdict;
use copydesk::review::{self, Actor, Request};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use copydesk::write_back;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::desk::{Desk, Story, assert_published};
use crate::race::run_failing;

/// A desk that moves what is rejected.
pub(crate) fn desk() -> Desk {
    Desk::new().with_source(
        "reject: {set: {published: false}}",
        "reject: {move: ../_archive}",
    )
}

fn story(desk: &Desk, location: &str) -> Story {
    desk.story(location).url("https://example.org/a")
}

fn archived(desk: &Desk, location: &str) -> Vec<u8> {
    fs::read(desk.path("_archive").join(location)).unwrap()
}

/// Every file below a folder, hidden ones too, sorted.
fn files(folder: &Path) -> Vec<String> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name();
    all.into_iter()
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let path = entry.path().strip_prefix(folder).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect()
}

fn in_source(desk: &Desk) -> Vec<String> {
    files(&desk.path("content"))
}

fn in_archive(desk: &Desk) -> Vec<String> {
    files(&desk.path("_archive"))
}

fn kinds(desk: &Desk, id: i64) -> Vec<String> {
    let events = &desk.show(id)["events"];
    let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
    events.as_array().unwrap().iter().map(kind).collect()
}

#[test]
fn a_rejected_file_leaves_its_source_and_comes_back() {
    let desk = desk();
    desk.story("stays.md").write();
    let before = story(&desk, "2026/a.md").write().bytes();
    desk.scan();
    let id = desk.id("2026/a.md");
    desk.run(&["reject", &desk.tag("2026/a.md")]).done().says(&[
        "rejected",
        "moved to",
        "_archive/2026/a.md",
    ]);
    assert_eq!(in_source(&desk), ["stays.md"]);
    assert_eq!(archived(&desk, "2026/a.md"), before);

    for _ in 0..3 {
        let scan = desk.later("1h").scan();
        assert_eq!((&scan["new"], &scan["queued"]), (&json!(0), &json!(1)));
    }
    assert_eq!(desk.status_of(id), "rejected");
    assert_eq!(desk.show(id)["location"], "2026/a.md");
    assert_eq!(desk.problems(), Vec::<Value>::new());
    let stands = desk.dump();
    desk.scan();
    assert_eq!(desk.dump(), stands, "a pass changes nothing");

    fs::remove_dir(desk.content("2026")).unwrap();
    desk.run(&["reopen", &id.to_string()])
        .done()
        .says(&["moved back to 2026/a.md"]);
    assert_eq!(desk.read("2026/a.md"), before);
    assert_eq!(in_archive(&desk), Vec::<String>::new());
    let stands = desk.dump();
    assert_eq!(desk.scan()["unchanged"], 2);
    assert_eq!(desk.dump(), stands, "our own move is no news");
    assert_eq!(
        kinds(&desk, id),
        ["queued", "rejected", "moved_out", "reopened", "moved_back"]
    );
    desk.approve("2026/a.md").done();
    assert_published(&before, &desk.read("2026/a.md"));
}

#[test]
fn an_approval_of_what_was_moved_brings_it_back_and_is_written() {
    let desk = desk();
    let before = story(&desk, "a.md").write().bytes();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.run(&["reject", &id]).done();
    desk.run(&["approve", &id])
        .done()
        .says(&["written to a.md"]);
    assert_published(&before, &desk.read("a.md"));
    assert_eq!(in_archive(&desk), Vec::<String>::new());
    // And what was approved, rejected and taken back is as it was before all of that.
    desk.run(&["reject", &id]).done();
    assert_published(&before, &archived(&desk, "a.md"));
    desk.run(&["reopen", &id]).done();
    assert_eq!(desk.read("a.md"), before);
    assert_eq!(desk.later("1h").scan()["queued"], 1);
}

#[test]
fn many_that_are_moved_freeze_nothing() {
    let desk = desk();
    for n in 0..24 {
        story(&desk, &format!("{n}.md"))
            .url(&format!("https://example.org/{n}"))
            .write();
    }
    desk.scan();
    let tags: Vec<String> = (0..22).map(|n| desk.tag(&format!("{n}.md"))).collect();
    let mut args = vec!["reject"];
    args.extend(tags.iter().map(String::as_str));
    desk.run(&args).done();
    assert_eq!(in_source(&desk).len(), 2);
    for _ in 0..3 {
        assert_eq!(desk.later("5m").scan()["queued"], 2);
    }
    assert_eq!(desk.problems(), Vec::<Value>::new());
    assert_eq!(desk.status_of(1), "rejected");
}

/// As in the service, where the two are loops of their own.
#[test]
fn a_pass_that_looks_while_files_are_moved_takes_none_for_gone() {
    let desk = desk();
    for n in 0..30 {
        let url = format!("https://example.org/{n}");
        desk.story(&format!("{n}.md")).url(&url).write();
    }
    desk.scan();
    let (database, first) = (desk.path("state/copydesk.db"), desk.now());
    let open = || Store::open(&database).unwrap();
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut store, mut now, mut passes) = (open(), first, 0);
            while !over.load(Ordering::SeqCst) {
                // Less than what makes a missing file a gone one.
                now += SignedDuration::from_millis(1);
                intake::scan(&mut store, &rules, now, &Control::NONE).unwrap();
                passes += 1;
                // The database is the other's as well.
                thread::sleep(Duration::from_millis(5));
            }
            passes
        });
        let mut store = open();
        for round in 0..2 {
            for id in 1..=30 {
                let request = Request {
                    id: uuid::Uuid::now_v7(),
                    item: id.to_string().parse().unwrap(),
                    verdict: [Verdict::Reject, Verdict::Reopen][round % 2],
                    actor: &Actor::User("tester".into()),
                    reason: None,
                    note: None,
                    until: None,
                };
                review::decide(&mut store, &rules, &request, desk.now()).unwrap();
            }
            write_back::tick(&mut store, &rules, desk.now()).unwrap();
            assert_eq!(in_source(&desk).len(), 30 * (round % 2));
            let alarm = store.read(|tx| tx.alarm("news")).unwrap();
            assert_eq!(alarm, None, "round {round}");
        }
        over.store(true, Ordering::SeqCst);
        assert!(looking.join().unwrap() > 2);
    });
    assert_eq!(desk.later("1h").scan()["queued"], 30);
    for id in 1..=30 {
        let told = kinds(&desk, id);
        let odd = ["gone", "back", "outside", "revised", "reasserted"];
        assert!(
            !told.iter().any(|kind| odd.contains(&kind.as_str())),
            "{told:?}"
        );
    }
    assert_eq!(desk.problems(), Vec::<Value>::new());
}

#[test]
fn the_same_story_dropped_again_is_moved_over_our_own_copy_and_is_no_news() {
    let desk = desk();
    let story = story(&desk, "a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.run(&["reject", &id.to_string()]).done();
    for noise in ["", "bmV3", "bmV3ZXI="] {
        let again = story.clone().secured(noise).write().bytes();
        let scan = desk.later("2h").scan();
        assert_eq!((&scan["new"], &scan["queued"]), (&json!(0), &json!(0)));
        assert_eq!(in_source(&desk), Vec::<String>::new());
        assert_eq!(archived(&desk, "a.md"), again, "the newest stands");
        assert_eq!(in_archive(&desk), ["a.md"]);
    }
    assert_eq!(desk.status_of(id), "rejected");
    assert_eq!(desk.problems(), Vec::<Value>::new());
}

#[test]
fn a_feed_that_drops_it_again_at_once_is_fought_three_times() {
    let desk = desk();
    let story = story(&desk, "a.md").write();
    desk.scan();
    desk.run(&["reject", "1"]).done();
    desk.later("1h");
    for round in 1..=3 {
        story.clone().write();
        desk.later("1m").scan();
        assert_eq!(in_source(&desk), Vec::<String>::new(), "round {round}");
    }
    story.write();
    desk.later("1m").scan();
    assert_eq!(in_source(&desk), ["a.md"], "the fight goes on");
    desk.run(&["status"]).refused().says(&["a.md"]);
    assert_eq!(desk.status_of(1), "rejected");
    // It stands there; taking the rejection back leaves it, and asks for nothing.
    desk.run(&["reopen", "1"]).done();
    assert_eq!(desk.problems(), Vec::<Value>::new());
    assert_eq!(desk.later("1m").scan()["queued"], 1);
}

#[test]
fn a_new_revision_waits_anew_and_goes_over_our_own_copy_of_the_old_one() {
    let desk = desk();
    let story = story(&desk, "a.md").write();
    desk.scan();
    desk.run(&["reject", "1"]).done();
    let newer = story.clone().title("Corrected").write().bytes();
    let scan = desk.later("1h").scan();
    assert_eq!((&scan["changed"], &scan["queued"]), (&json!(1), &json!(1)));
    desk.run(&["reject", &desk.tag("a.md")]).done();
    assert_eq!(archived(&desk, "a.md"), newer);
    assert_eq!(in_source(&desk), Vec::<String>::new());
    // A new revision that goes again is gone: the copy of the old one does not hold its place.
    story.title("Third").write();
    desk.later("1h").scan();
    desk.remove("a.md");
    desk.later("1h").scan();
    desk.later("61s").scan();
    assert_eq!(desk.status_of(1), "withdrawn");
    desk.run(&["reopen", "1"]).done();
    assert_eq!(
        in_source(&desk),
        Vec::<String>::new(),
        "an old revision is not put back"
    );
}

#[test]
fn a_name_that_another_holds_is_never_written_over() {
    let desk = desk();
    let before = story(&desk, "a.md").write().bytes();
    desk.scan();
    for (other, holds) in [
        ("not a record", "not a record".as_bytes().to_vec()),
        (
            "another story",
            desk.story("x.md").url("https://example.org/x").bytes(),
        ),
    ] {
        desk.write("../_archive/a.md", &holds);
        desk.run(&["reject", "1"])
            .not_done()
            .says(&["_archive/a.md", "another file"]);
        assert_eq!(desk.read("a.md"), before, "{other}");
        assert_eq!(archived(&desk, "a.md"), holds, "{other}");
        desk.run(&["status"]).refused().says(&["_archive/a.md"]);
        assert_eq!(desk.later("2m").scan()["queued"], 0);
        assert_eq!(archived(&desk, "a.md"), holds, "{other}");
        fs::remove_file(desk.path("_archive/a.md")).unwrap();
        desk.later("2h").scan();
        assert_eq!(archived(&desk, "a.md"), before, "{other}");
        assert_eq!(desk.problems(), Vec::<Value>::new());
        desk.run(&["reopen", "1"]).done();
    }
    // Our own copy that someone has changed is another's by now.
    desk.run(&["reject", "1"]).done();
    desk.write("../_archive/a.md", "changed by hand");
    story(&desk, "a.md").title("New").write();
    desk.later("1h").scan();
    desk.run(&["reject", &desk.tag("a.md")]).not_done();
    assert_eq!(archived(&desk, "a.md"), b"changed by hand");
    assert_eq!(in_source(&desk), ["a.md"]);
}

#[test]
fn a_path_that_another_story_took_is_left_to_it() {
    let desk = desk();
    let before = story(&desk, "a.md").write().bytes();
    desk.scan();
    desk.run(&["reject", "1"]).done();
    let theirs = desk
        .story("a.md")
        .url("https://two.example.org/b")
        .title("Theirs")
        .write()
        .bytes();
    // Not seen by a pass yet.
    desk.run(&["reopen", "1"])
        .not_done()
        .says(&["another story stands there"]);
    assert_eq!(desk.read("a.md"), theirs);
    desk.run(&["reject", "1"]).done();
    assert_eq!(desk.later("1h").scan()["new"], 1);
    // And seen, with a decision of its own on the way.
    desk.run(&["reopen", "1"])
        .not_done()
        .says(&["another story stands there"]);
    desk.run(&["status"])
        .refused()
        .says(&["another story stands there"]);
    assert_eq!(desk.read("a.md"), theirs);
    assert_eq!(archived(&desk, "a.md"), before);
    desk.run(&["approve", &desk.tag("a.md")]).not_done();
    assert!(
        desk.says("a.md", "published: false"),
        "an approval of one published the other"
    );
    let other = desk
        .queue()
        .iter()
        .find(|i| i["title"] == "Theirs")
        .unwrap()["id"]
        .to_string();
    desk.run(&["approve", &other]).done();
    assert_published(&theirs, &desk.read("a.md"));
    // Its place is free again: a new decision brings it back.
    desk.remove("a.md");
    desk.later("1h").scan();
    desk.later("61s").scan();
    desk.run(&["reject", "1"]).done();
    desk.run(&["reopen", "1"]).done();
    assert_eq!(desk.read("a.md"), before);
}

#[test]
fn a_story_in_two_files_leaves_both_and_comes_back_to_both() {
    let desk = desk();
    let one = story(&desk, "one.md").write();
    let two = one.clone().moved_to("in/two.md").secured("bmV3").write();
    desk.scan();
    desk.run(&["reject", "1"]).done();
    assert_eq!(in_source(&desk), Vec::<String>::new());
    assert_eq!(in_archive(&desk), ["in/two.md", "one.md"]);
    desk.later("1h").scan();
    desk.run(&["approve", "1"]).done();
    assert_published(&one.bytes(), &desk.read("one.md"));
    assert_published(&two.bytes(), &desk.read("in/two.md"));
    assert_eq!(in_archive(&desk), Vec::<String>::new());
    assert_eq!(desk.later("1h").scan()["queued"], 0);
}

#[test]
fn a_story_without_a_url_is_moved_and_known_again() {
    let desk = desk();
    let story = desk.story("a.md").without_url().write();
    desk.scan();
    desk.run(&["reject", "1"]).done();
    assert_eq!(desk.later("1h").scan()["queued"], 0);
    story.clone().write();
    let scan = desk.later("2h").scan();
    assert_eq!((&scan["new"], &scan["queued"]), (&json!(0), &json!(0)));
    assert_eq!(in_source(&desk), Vec::<String>::new());
    // The same text at another path is another story: this one has not gone there by itself.
    story.moved_to("b.md").write();
    let scan = desk.later("2h").scan();
    assert_eq!((&scan["new"], &scan["queued"]), (&json!(1), &json!(1)));
    desk.run(&["reopen", "1"]).done();
    assert_eq!(in_source(&desk), ["a.md", "b.md"]);
}

#[test]
fn a_queue_that_rejects_moves() {
    let desk = desk().with_rules("queues.yaml", "queues:\n  - {name: none, decide: reject}\n");
    story(&desk, "a.md").write();
    let scan = desk.scan();
    assert_eq!((&scan["new"], &scan["queued"]), (&json!(1), &json!(0)));
    assert_eq!(in_source(&desk), Vec::<String>::new());
    assert_eq!(in_archive(&desk), ["a.md"]);
    assert_eq!(desk.later("1h").scan()["queued"], 0);
}

#[test]
fn no_link_is_followed_and_no_second_name_parted() {
    let desk = desk();
    let before = story(&desk, "in/a.md").write().bytes();
    desk.scan();
    fs::create_dir_all(desk.path("outside")).unwrap();
    fs::create_dir_all(desk.path("_archive")).unwrap();
    symlink(desk.path("outside"), desk.path("_archive/in")).unwrap();
    desk.run(&["reject", "1"])
        .not_done()
        .says(&["symbolic link"]);
    assert_eq!(files(&desk.path("outside")), Vec::<String>::new());
    assert_eq!(desk.read("in/a.md"), before);
    fs::remove_file(desk.path("_archive/in")).unwrap();
    fs::hard_link(desk.content("in/a.md"), desk.path("other")).unwrap();
    desk.later("2h").scan();
    desk.run(&["status"]).refused().says(&["hard link"]);
    assert_eq!(desk.read("in/a.md"), before);
    // The folder itself is a link into the source.
    fs::remove_file(desk.path("other")).unwrap();
    desk.run(&["reopen", "1"]).done();
    fs::remove_dir_all(desk.path("_archive")).unwrap();
    symlink(desk.content("in"), desk.path("_archive")).unwrap();
    desk.run(&["check"]).refused().says(&["bad-move"]);
}

#[test]
fn a_folder_named_at_the_command_line_is_held_to_the_same() {
    let desk = desk();
    story(&desk, "../_archive/a.md").write();
    let archive = desk.path("_archive");
    let scan = ["scan", archive.to_str().unwrap()];
    desk.run(&scan).done();
    desk.run(&["reject", "1"]);
    desk.later("2h").run(&scan).done();
    assert_eq!(in_archive(&desk), ["a.md"], "it is moved over itself");
    desk.run(&["status"]).refused();
}

#[test]
fn what_waits_to_come_back_is_told_of_when_another_story_took_its_path() {
    let desk = desk();
    let before = story(&desk, "a.md").write().bytes();
    desk.scan();
    desk.run(&["reject", "1"]).done();
    let lock = desk.content(".git/index.lock");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    desk.run(&["approve", "1"]).not_done().says(&["git"]);
    let other = desk.story("a.md").url("https://two.example.org/b");
    other.title("Theirs").write();
    desk.later("10s").scan();
    fs::remove_file(&lock).unwrap();
    desk.run(&["approve", &desk.id("a.md").to_string()]).done();
    desk.run(&["status"])
        .refused()
        .says(&["another story stands there"]);
    assert_eq!(archived(&desk, "a.md"), before);
}

#[test]
fn a_move_waits_while_git_is_at_work() {
    let desk = desk();
    story(&desk, "a.md").write();
    desk.scan();
    fs::create_dir_all(desk.path("content/.git")).unwrap();
    fs::write(desk.path("content/.git/index.lock"), "").unwrap();
    desk.run(&["reject", "1"]).not_done().says(&["git"]);
    assert!(desk.content("a.md").exists());
    fs::remove_file(desk.path("content/.git/index.lock")).unwrap();
    desk.later("2m").scan();
    assert_eq!(in_archive(&desk), ["a.md"]);
}

#[test]
fn what_was_moved_before_a_backup_was_taken_or_lost_is_found_again() {
    let desk = desk();
    story(&desk, "a.md").write();
    desk.scan();
    let backup = desk.path("desk.backup");
    let backup = backup.to_str().unwrap();
    // A rejection that is on its way in the backup, and has arrived since.
    fs::create_dir_all(desk.path("content/.git")).unwrap();
    fs::write(desk.path("content/.git/index.lock"), "").unwrap();
    desk.run(&["reject", "1"]).not_done();
    desk.run(&["backup", backup]).done();
    fs::remove_dir_all(desk.path("content/.git")).unwrap();
    desk.later("2m").scan();
    assert_eq!(in_archive(&desk), ["a.md"]);
    desk.run(&["restore", backup]).done();
    desk.later("2m").scan();
    assert_eq!(desk.status_of(1), "rejected");
    assert_eq!(desk.problems(), Vec::<Value>::new());
    desk.run(&["reopen", "1"]).done();
    assert_eq!(in_source(&desk), ["a.md"]);
}

/// Fails and kills a move at each of these calls, those of `fsync` in one folder only, and looks at
/// what stands after the next passes.
fn cut_short(scene: &str, steps: &[(&str, Option<&str>)]) {
    let is_back = scene == "back";
    let (verb, other) = if is_back {
        ("reopen", "reject")
    } else {
        ("reject", "reopen")
    };
    for (step, folder) in steps {
        for what in ["signal=KILL", "error=EIO"] {
            let desk = desk();
            let first = story(&desk, "a.md").write();
            desk.scan();
            let mut bytes = first.bytes();
            if scene != "out" {
                desk.run(&["reject", "1"]).done();
            }
            if scene == "over our own copy" {
                bytes = first.title("Second").write().bytes();
                desk.later("1h").scan();
            }
            let (call, n) = step.split_once(' ').unwrap();
            let fault = format!("{call}:{what}:when={n}");
            let folder = folder.map(|folder| desk.path(folder));
            let told = format!("{scene}: {fault} {folder:?}");
            if run_failing(&desk, &[verb, "1"], &fault, folder.as_deref()).is_none() {
                return;
            }
            desk.later("2h").scan();
            let status = if is_back { "pending" } else { "rejected" };
            assert_eq!(desk.status_of(1), status, "{told}");
            let moved = |to_source: bool| {
                let names = (in_source(&desk), in_archive(&desk));
                let one = vec!["a.md".to_owned()];
                if to_source {
                    assert_eq!(names, (one, vec![]), "{told}");
                    assert_eq!(desk.read("a.md"), bytes, "{told}");
                } else {
                    assert_eq!(names, (vec![], one), "{told}");
                    assert_eq!(archived(&desk, "a.md"), bytes, "{told}");
                }
            };
            moved(is_back);
            assert_eq!(desk.problems(), Vec::<Value>::new(), "{told}");
            // And known for what it is: the other way goes as well.
            desk.run(&[other, "1"]).done();
            moved(!is_back);
        }
    }
    let points = steps.len() * 2;
    println!("| move killed or failing at each step, {scene} | {points} points | lost 0 |");
}

const STEPS: [(&str, Option<&str>); 4] = [
    ("renameat 1", None),
    ("renameat2 1", None),
    ("fsync 1", Some("content")),
    ("fsync 1", Some("_archive")),
];

#[test]
fn a_move_out_cut_short_at_any_step_is_made_good_and_leaves_nothing() {
    cut_short("out", &STEPS);
}

#[test]
fn a_move_back_cut_short_at_any_step_is_made_good_and_leaves_nothing() {
    cut_short("back", &STEPS);
}

#[test]
fn a_move_over_our_own_copy_cut_short_at_any_step_is_made_good_and_leaves_nothing() {
    let more = [("renameat2 2", None), ("unlinkat 1", None)];
    cut_short("over our own copy", &[&STEPS[..], &more].concat());
}

#[test]
fn another_file_system_is_refused_and_where_names_cannot_be_kept_free_it_still_moves() {
    let desk = desk();
    let before = story(&desk, "a.md").write().bytes();
    desk.scan();
    let fault = "renameat2:error=EXDEV:when=1";
    let Some(seen) = run_failing(&desk, &["reject", "1"], fault, None) else {
        return;
    };
    assert!(seen.contains("another file system"), "{seen}");
    assert_eq!(desk.read("a.md"), before);
    assert_eq!(in_source(&desk), ["a.md"]);
    desk.run(&["status"])
        .refused()
        .says(&["another file system"]);
    desk.run(&["reopen", "1"]).done();
    for error in ["ENOSYS", "EINVAL", "EOPNOTSUPP"] {
        let fault = format!("renameat2:error={error}");
        run_failing(&desk, &["reject", "1"], &fault, None);
        assert_eq!(archived(&desk, "a.md"), before, "{error}");
        assert_eq!(in_source(&desk), Vec::<String>::new(), "{error}");
        run_failing(&desk, &["reopen", "1"], &fault, None);
        assert_eq!(desk.read("a.md"), before, "{error}");
        assert_eq!(in_archive(&desk), Vec::<String>::new(), "{error}");
    }
}
