//! Copies of the database, and what putting one back does and does not do.
//!
//! `COPYDESK_ROUNDS=100` makes it 100 cycles of backup and restore under load.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use rusqlite::Connection;

use crate::desk::{Desk, Run, finish, text};
use crate::service::{BOUND, Service, beside, number, rounds};

fn three_stories() -> Desk {
    let desk = Desk::new();
    for name in ["a", "b", "c"] {
        desk.story(&format!("{name}.md")).published(false).write();
    }
    desk.scan();
    desk
}

fn screen(desk: &Desk, args: &[&str], expected: &Expect) {
    let run = desk.run(args);
    let folder = desk.path("").display().to_string();
    expected.assert_eq(&run.seen().replace(&folder, "DESK/"));
}

/// A digest is written, and no server takes it: it waits.
fn notify_in_vain(desk: &Desk) -> Run {
    let mut command = desk.command(&["notify"]);
    command
        .env("COPYDESK_SMTP_URL", "smtp://127.0.0.1:1")
        .env("COPYDESK_MAIL_FROM", "desk@example.org");
    finish(command)
}

#[test]
fn a_copy_is_checked_and_told_of() {
    let desk = three_stories();
    desk.approve("a.md").done();
    notify_in_vain(&desk);
    screen(
        &desk,
        &["backup", "desk.backup"],
        &expect![[r#"
        desk.backup is written and checked
            3 records, 2 open items, 1 decision, 1 unsent mail
    "#]],
    );
    let mode = fs::metadata(desk.path("desk.backup"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    desk.later("1h").approve("b.md").done();
    screen(
        &desk,
        &["restore", "desk.backup"],
        &expect![[r#"
        desk.backup, taken at 2026-03-02T09:00:00Z, is restored
            3 records, 2 open items, 1 decision, 1 unsent mail
        what was there is kept as DESK/state/copydesk.db.before-20260302T100000Z
        the unsent mails are held: they may have been sent since the backup was taken
        `copydesk scan` or `copydesk run` reads every file again
    "#]],
    );
    screen(
        &desk,
        &["mails"],
        &expect![[r#"
            2026-03-02T09:00:00Z  ana@example.org  digest held: first digest, 2 items
                2 new: general
                held, since a backup of 2026-03-02T09:00:00Z was restored at 2026-03-02T10:00:00Z: it may have been sent meanwhile; the next digest tells what waits
        "#]],
    );
    screen(
        &desk,
        &["status"],
        &expect![[r#"
            problem: the mail to ana@example.org is held, since a backup of 2026-03-02T09:00:00Z was restored at 2026-03-02T10:00:00Z: it may have been sent meanwhile; the next digest tells what waits
            problem: the SMTP server takes no mail since 2026-03-02T09:00:00Z: Connection refused (os error 111); it is tried again after 2026-03-02T09:04:56Z

            sources
              news: 3 records, 0 in no queue (DESK/rules/../content)

            queues
              urgent: 0 pending
              ai-desk: 0 pending
              general: 2 pending, 1 approved

            mail 0 sent, 1 held
            rules 1 rule, 1 reviewer (7aefde36eb68)
            last notify 2026-03-02T09:00:00Z
            last retention 2026-03-02T09:00:00Z
            last scan 2026-03-02T09:00:00Z
        "#]],
    );
}

#[test]
fn json_of_backup_and_restore() {
    let desk = three_stories();
    let made = desk.json(&["backup", "desk.backup"]);
    assert_eq!(made["file"], "desk.backup");
    assert_eq!(made["taken"], "2026-03-02T09:00:00Z");
    assert_eq!(made["holds"]["records"], 3);
    let restored = desk.json(&["restore", "desk.backup"]);
    assert_eq!(restored["holds"], made["holds"]);
    assert_eq!(restored["taken"], made["taken"]);
    let kept = text(&restored, "kept");
    assert!(
        kept.ends_with("copydesk.db.before-20260302T090000Z"),
        "{kept}"
    );
    assert!(Path::new(&kept).exists());
}

#[test]
fn a_backup_writes_over_a_backup_and_nothing_else() {
    let desk = three_stories();
    desk.run(&["backup", "desk.backup"]).done();
    desk.later("1h").approve("a.md").done();
    let again = desk.json(&["backup", "desk.backup"]);
    assert_eq!(again["holds"]["decisions"], 1);
    fs::write(desk.path("notes.txt"), "mine").unwrap();
    desk.run(&["backup", "notes.txt"])
        .refused()
        .says(&["notes.txt", "no backup"]);
    assert_eq!(fs::read(desk.path("notes.txt")).unwrap(), b"mine");
    desk.run(&["backup", "state/copydesk.db"])
        .refused()
        .says(&["no backup"]);
    desk.run(&["backup", "no/such/folder"])
        .refused()
        .says(&["no/such/folder"]);
    assert_eq!(desk.queue().len(), 2);
    Desk::new()
        .run(&["backup", "b"])
        .used_wrongly()
        .says(&["nothing to back up"]);
    // Nothing half made is left anywhere.
    let left = fs::read_dir(desk.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_str().unwrap().starts_with(".copydesk"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_no_good_backup_is_not_restored() {
    let desk = three_stories();
    desk.run(&["backup", "good"]).done();
    let good = fs::read(desk.path("good")).unwrap();
    let before = desk.dump();
    let mut flipped = good.clone();
    flipped
        .iter_mut()
        .skip(4096)
        .step_by(97)
        .for_each(|byte| *byte ^= 0x40);
    fs::write(desk.path("flipped"), flipped).unwrap();
    fs::write(desk.path("half"), &good[..good.len() / 2]).unwrap();
    fs::write(
        desk.path("text"),
        "not a database, but longer than a header of one ".repeat(40),
    )
    .unwrap();
    fs::write(desk.path("empty"), "").unwrap();
    Connection::open(desk.path("other"))
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    fs::write(desk.path("newer"), &good).unwrap();
    let newer = Connection::open(desk.path("newer")).unwrap();
    newer
        .execute_batch("INSERT INTO schema_version VALUES (900)")
        .unwrap();
    drop(newer);
    fs::write(desk.path("stray"), &good).unwrap();
    let stray = Connection::open(desk.path("stray")).unwrap();
    stray
        .execute_batch("PRAGMA foreign_keys = 0; DELETE FROM records WHERE id = 1")
        .unwrap();
    drop(stray);
    for (file, says) in [
        ("flipped", "damaged"),
        ("half", "damaged"),
        ("text", "not a database of copydesk"),
        ("empty", "not a database of copydesk"),
        ("other", "not a database of copydesk"),
        ("newer", "version 900"),
        ("stray", "rows that are not there"),
        ("missing", "cannot be read"),
        ("state/copydesk.db", "the database itself"),
    ] {
        desk.run(&["restore", file]).refused().says(&[file, says]);
        assert_eq!(desk.dump(), before, "{file}");
    }
    let left = fs::read_dir(desk.path("state")).unwrap().count();
    assert!(left <= 4, "something is left in the state folder: {left}");
    desk.run(&["restore", "good"]).done();
}

#[test]
fn a_state_folder_in_use_is_not_restored_into() {
    let desk = three_stories();
    let service = Service::start(&desk);
    finish(beside(&desk, &["backup", "desk.backup"])).done();
    let process = number(&desk, "SELECT process FROM service")
        .unwrap()
        .to_string();
    finish(beside(&desk, &["restore", "desk.backup"]))
        .refused()
        .says(&["in use by process", &process]);
    service.stop();
    desk.run(&["restore", "desk.backup"]).done();
}

#[test]
fn a_restored_backup_never_mails_again_and_gives_out_no_number_twice() {
    let desk = three_stories();
    notify_in_vain(&desk);
    desk.run(&["backup", "desk.backup"]).done();
    desk.later("10m");
    let sent = desk.notify();
    assert_eq!(sent.len(), 1);
    desk.story("d.md").published(false).write();
    desk.replace("a.md", "A story about a", "Another story about a");
    desk.later("10m").scan();
    assert_eq!(desk.tag("a.md"), "1@2");
    assert_eq!(desk.id("d.md"), 4);
    desk.notify();
    assert_eq!(desk.mails().len(), 2);

    desk.replace("a.md", "Another story about a", "A third story about a");
    desk.story("e.md").published(false).write();
    desk.remove("d.md");
    desk.later("10m");
    desk.run(&["restore", "desk.backup"]).done();
    let held = desk.json(&["mails"]);
    assert_eq!(held[0]["status"], "held", "{held:#}");
    assert_eq!(held[0]["next"], serde_json::Value::Null);
    assert!(!desk.problems().is_empty());
    desk.scan();
    // She was mailed `1@2` for the second text and `4@1` for a story that is gone.
    assert_ne!(desk.tag("a.md"), "1@2");
    desk.run(&["approve", "1@2"])
        .refused()
        .says(&["has changed"]);
    desk.run(&["approve", "4@1"]).refused().says(&["no item 4"]);
    assert_eq!(desk.id("e.md"), 5);
    assert_eq!(
        desk.tag("b.md"),
        "2@1",
        "what she was mailed and did not change still means the same"
    );

    let news = desk.later("10m").notify();
    assert_eq!(news.len(), 1, "the next digest tells what waits");
    let mails = desk.mails();
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.id.as_str()).collect();
    assert_eq!(
        (mails.len(), ids.len()),
        (3, 3),
        "a mail landed twice, or over another"
    );
    assert_eq!(desk.later("6h").notify().len(), 0);
    assert_eq!(desk.problems(), Vec::<serde_json::Value>::new());
}

#[test]
fn without_what_was_there_every_reference_is_asked_for_again() {
    let desk = three_stories();
    desk.run(&["backup", "desk.backup"]).done();
    fs::remove_dir_all(desk.path("state")).unwrap();
    desk.run(&["restore", "desk.backup"]).done();
    desk.run(&["approve", "1@1"]).refused().says(&["restored"]);
    desk.scan();
    desk.approve("a.md").done();
    assert!(desk.says("a.md", "published: true"));
}

#[test]
fn a_decision_that_was_taken_back_after_the_backup_is_not_written_again() {
    let desk = three_stories();
    let (a, b) = (desk.id("a.md"), desk.id("b.md"));
    desk.approve("a.md").done();
    desk.approve("b.md").done();
    desk.run(&["backup", "desk.backup"]).done();
    desk.later("1h");
    desk.run(&["reject", &a.to_string()]).done();
    assert!(desk.says("a.md", "published: false"));
    desk.later("1h").run(&["restore", "desk.backup"]).done();
    desk.later("1h").scan();
    assert!(
        desk.says("a.md", "published: false"),
        "the rejection that the backup knows nothing of is undone"
    );
    assert!(desk.says("b.md", "published: true"));
    assert_eq!(desk.status_of(b), "approved");
    let problems = format!("{:?}", desk.problems());
    assert!(
        problems.contains("a.md") && problems.contains("decide again"),
        "{problems}"
    );
    desk.later("1m").run(&["reject", &a.to_string()]).done();
    assert_eq!(desk.problems(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_decision_that_was_on_its_way_stands_and_is_written() {
    let desk = three_stories();
    let id = desk.id("a.md");
    desk.remove("a.md");
    // The file is away for a moment, so the write waits.
    desk.run(&["approve", &id.to_string()]);
    assert_eq!(
        number(
            &desk,
            "SELECT count(*) FROM write_backs WHERE status = 'pending'"
        ),
        Some(1)
    );
    desk.run(&["backup", "desk.backup"]).done();
    desk.story("a.md").published(false).write();
    fs::remove_dir_all(desk.path("state")).unwrap();
    desk.run(&["restore", "desk.backup"]).done();
    desk.later("10m").scan();
    assert!(desk.says("a.md", "published: true"));
}

#[test]
fn a_restoring_that_is_killed_leaves_the_one_or_the_other() {
    let desk = three_stories();
    desk.run(&["backup", "desk.backup"]).done();
    desk.later("1h").approve("a.md").done();
    let (mut before, mut after) = (0, 0);
    for kill in 0..rounds().unwrap_or(15) {
        let mut child = desk
            .command(&["restore", "desk.backup"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(
            u64::try_from(kill % 15).unwrap() * 12,
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        let (decisions, restores) = (
            number(&desk, "SELECT count(*) FROM decisions").unwrap(),
            number(&desk, "SELECT count(*) FROM restores").unwrap(),
        );
        assert!(
            (decisions, restores) == (1, 0) || (decisions, restores) == (0, 1),
            "{decisions} {restores}"
        );
        if restores == 1 {
            after += 1;
            // What was there is put back for the next kill, which is itself a restoring.
            let old = newest_kept(&desk);
            desk.run(&["restore", old.to_str().unwrap()]).done();
            let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
            database.execute_batch("DELETE FROM restores").unwrap();
        } else {
            before += 1;
        }
        let files = fs::read_dir(desk.path("state"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for kept in files.filter(|path| path.to_str().unwrap().contains(".before-")) {
            fs::remove_file(kept).unwrap();
        }
    }
    println!(
        "| a restoring that is killed leaves the one database or the other | {} kills, {before} before it counted, {after} after | 0 neither |",
        before + after
    );
    desk.run(&["restore", "desk.backup"]).done();
    let left = fs::read_dir(desk.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_str().unwrap().starts_with(".copydesk"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Decisions in a desk, one after the other, until told to stop; those that were acknowledged.
fn decide(desk: &Desk, stop: &AtomicBool, ledger: &Mutex<Vec<(String, i64)>>, round: usize) {
    let items = number(desk, "SELECT count(*) FROM items").unwrap();
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let item = 1 + i64::from(n) % items;
        let id = format!("00000000-0000-7000-8000-{round:06}{n:06}");
        // Approved, rejected, approved: whatever stands, one of the two is possible.
        for verb in ["approve", "reject"] {
            let args = [verb, &item.to_string(), "--id", &id];
            if finish(beside(desk, &args)).code == 0 {
                ledger.lock().unwrap().push((id, item));
                break;
            }
        }
    }
}

#[test]
fn what_was_acknowledged_before_a_backup_is_there_after_its_restoring() {
    let cycles = rounds().unwrap_or(3);
    let started = Instant::now();
    let desk = Desk::new();
    for n in 0..40 {
        desk.story(&format!("{}/{n}.md", n % 5))
            .published(false)
            .write();
    }
    finish(beside(&desk, &["scan"])).done();
    let (mut acknowledged, mut held) = (0, 0);
    let kept: Mutex<Vec<(String, i64)>> = Mutex::default();
    for cycle in 0..cycles {
        let service = Service::start(&desk);
        // Something new to be told of.
        desk.story(&format!("new/{cycle}.md"))
            .published(false)
            .write();
        let queued = format!(
            "SELECT count(*) FROM locations WHERE path = 'new/{cycle}.md' AND record IS NOT NULL"
        );
        service.until("the new story is queued", BOUND, || {
            number(&desk, &queued) == Some(1)
        });
        let stop = AtomicBool::new(false);
        let wait = Duration::from_millis(100 + 37 * (u64::try_from(cycle).unwrap() % 11));
        let (mut vain, backup) = (
            beside(&desk, &["notify"]),
            beside(&desk, &["backup", "desk.backup"]),
        );
        vain.env("COPYDESK_SMTP_URL", "smtp://127.0.0.1:1")
            .env("COPYDESK_MAIL_FROM", "desk@example.org");
        let before = thread::scope(|scope| {
            let backing_up = scope.spawn(|| {
                let known = kept.lock().unwrap().len();
                let given_up = Instant::now() + BOUND;
                while kept.lock().unwrap().len() < known + 2 && Instant::now() < given_up {
                    thread::sleep(Duration::from_millis(5));
                }
                thread::sleep(wait);
                finish(vain);
                let before = kept.lock().unwrap().clone();
                finish(backup).done();
                thread::sleep(Duration::from_millis(50));
                stop.store(true, Ordering::SeqCst);
                before
            });
            decide(&desk, &stop, &kept, cycle);
            backing_up.join().unwrap()
        });
        service.stop();
        let made = Connection::open(desk.path("desk.backup")).unwrap();
        let unsent =
            "SELECT count(*) FROM mails WHERE status IN ('queued', 'sending', 'uncertain')";
        let unsent: i64 = made.query_row(unsent, [], |row| row.get(0)).unwrap();
        let bytes: Vec<Vec<u8>> = desk_files(&desk);
        drop(made);
        finish(beside(&desk, &["restore", "desk.backup"])).done();
        let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
        let healthy: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(healthy, "ok");
        let mut found = database
            .prepare("SELECT item FROM decisions WHERE id = ?1")
            .unwrap();
        for (id, item) in &before {
            let there: i64 = found
                .query_row([id], |row| row.get(0))
                .unwrap_or_else(|error| panic!("lost in cycle {cycle}: {id}: {error}"));
            assert_eq!(there, *item);
        }
        drop(found);
        let now_held: i64 = database
            .query_row(
                "SELECT count(*) FROM mails WHERE held IS NOT NULL",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(now_held - held, unsent, "held in cycle {cycle}");
        held = now_held;
        assert_eq!(desk_files(&desk), bytes, "restoring touched a file");
        acknowledged += before.len();
        // What came after the backup is not known any more; the ledger goes on from what is.
        *kept.lock().unwrap() = before;
        drop(fs::remove_file(newest_kept(&desk)));
    }
    let mails = if desk.path("state/mail").exists() {
        desk.mails()
    } else {
        Vec::new()
    };
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.id.as_str()).collect();
    assert_eq!(ids.len(), mails.len(), "one mail landed twice");
    println!(
        "| decision acknowledged before a backup and lost in its restoring, or a mail sent again | {cycles} cycles under load, {acknowledged} decisions looked for, {held} mails held, {} mails landed, {:.0?} | 0 lost, 0 again |",
        mails.len(),
        started.elapsed()
    );
    assert!(
        acknowledged > 0 && held > 0,
        "{acknowledged} decisions, {held} mails held"
    );
}

fn desk_files(desk: &Desk) -> Vec<Vec<u8>> {
    (0..40)
        .map(|n| desk.read(format!("{}/{n}.md", n % 5)))
        .collect()
}

fn newest_kept(desk: &Desk) -> std::path::PathBuf {
    let files = fs::read_dir(desk.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_str().unwrap().contains(".before-"))
        .max()
        .expect("what was there is kept")
}
