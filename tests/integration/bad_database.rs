//! Databases that cannot be worked with: each is refused by name, and none is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;

use crate::desk::{Desk, finish};
use crate::race::run_failing;
use crate::service::{BOUND, Service, beside, number, service};
use crate::smtp::found;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.story("a.md").published(false).write();
    desk.story("b.md").published(false).write();
    desk.scan();
    desk.run(&["backup", "good"]).done();
    desk
}

#[test]
fn a_database_that_cannot_be_read_is_named_and_left_as_it_is() {
    for (what, damage) in [
        (
            "text",
            Box::new(|_: &[u8]| b"these are the notes of the editor ".repeat(300))
                as Box<dyn Fn(&[u8]) -> Vec<u8>>,
        ),
        (
            "half",
            Box::new(|good: &[u8]| good[..good.len() / 2].to_vec()),
        ),
        (
            "an odd end",
            // More than a page: of the last one, a part may be missing after a crash, and is made good.
            Box::new(|good: &[u8]| good[..good.len() - 5000].to_vec()),
        ),
        (
            "flipped",
            Box::new(|good: &[u8]| {
                let flip = |(at, byte): (usize, &u8)| {
                    if at > 100 && at % 61 == 0 {
                        byte ^ 0x20
                    } else {
                        *byte
                    }
                };
                good.iter().enumerate().map(flip).collect()
            }),
        ),
    ] {
        let desk = desk();
        let file = desk.path("state/copydesk.db");
        let bad = damage(&fs::read(&file).unwrap());
        fs::write(&file, &bad).unwrap();
        for args in [
            &["queue"][..],
            &["scan"],
            &["approve", "1"],
            &["status"],
            &["notify"],
            &["backup", "b"],
            &["run"],
        ] {
            let run = desk.run(args);
            assert_eq!(run.code, 1, "{what}: {args:?}: {run:?}");
            run.says(&["state/copydesk.db", "copydesk restore FILE"]);
            assert!(
                fs::read(&file).unwrap() == bad,
                "{what}: {args:?} changed it"
            );
        }
        desk.run(&["restore", "good"]).done();
        let kept = desk.path("state/copydesk.db.before-20260302T090000Z");
        assert!(
            fs::read(kept).unwrap() == bad,
            "{what}: what was there is not kept"
        );
        desk.scan();
        assert_eq!(desk.waiting().len(), 2);
    }
}

#[test]
fn a_database_of_a_newer_copydesk_is_left_to_it() {
    let desk = desk();
    let file = desk.path("state/copydesk.db");
    Connection::open(&file)
        .unwrap()
        .execute_batch("INSERT INTO schema_version VALUES (900)")
        .unwrap();
    let before = fs::read(&file).unwrap();
    for args in [&["queue"][..], &["scan"], &["approve", "1"], &["run"]] {
        desk.run(args)
            .refused()
            .says(&["state/copydesk.db", "version 900", "newer"]);
        assert!(fs::read(&file).unwrap() == before, "{args:?} changed it");
    }
}

/// One page in the middle is damaged: most commands never come by it.
#[test]
fn after_an_unclean_end_the_service_looks_through_the_database() {
    let desk = desk();
    let mut service = Service::start(&desk);
    service.stop();
    let file = desk.path("state/copydesk.db");
    let damage = |file: &Path| {
        let page: usize = {
            let database = Connection::open(file).unwrap();
            let sql = "SELECT rootpage FROM sqlite_master WHERE name = 'events_by_item'";
            let page: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
            usize::try_from(page).unwrap()
        };
        let mut bytes = fs::read(file).unwrap();
        bytes[(page - 1) * 4096..][..8].copy_from_slice(&[9; 8]);
        fs::write(file, bytes).unwrap();
    };
    service = Service::start(&desk);
    service.signal(rustix::process::Signal::KILL);
    drop(service);
    // What the killed one left in the log is brought in first.
    drop(
        Connection::open(&file)
            .unwrap()
            .query_row("SELECT count(*) FROM items", [], |row| row.get::<_, i64>(0)),
    );
    damage(&file);
    let run = finish(beside(&desk, &["run"])).refused();
    run.says(&["state/copydesk.db", "copydesk restore FILE"]);
    desk.run(&["restore", "good"]).done();
    Service::start(&desk).stop();
}

#[test]
fn a_database_that_another_program_keeps_locked_is_waited_for_and_then_named() {
    let desk = desk();
    let other = Connection::open(desk.path("state/copydesk.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    desk.run(&["approve", "1"])
        .refused()
        .says(&["state/copydesk.db", "locked", "try again"]);
    // Reading goes on.
    assert_eq!(desk.queue().len(), 2);
    other.execute_batch("ROLLBACK").unwrap();
    desk.run(&["approve", "1"]).done();
}

/// A small disk in the place of a folder.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None` where this user may not mount one.
    pub(crate) fn small(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=2m", "tmpfs"];
        let mount = [&mount[..], &[folder.to_str().unwrap()]].concat();
        found("tmpfs", "mount", &mount).then(|| Self(folder.to_owned()))
    }

    /// Leaves so many bytes.
    pub(crate) fn fill(&self, left: u64) {
        let filler = vec![7; 4 << 20];
        drop(fs::write(self.0.join("filler"), filler));
        let filler = fs::File::options()
            .write(true)
            .open(self.0.join("filler"))
            .unwrap();
        filler
            .set_len(filler.metadata().unwrap().len() - left)
            .unwrap();
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    pub(crate) fn remount(&self, how: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_or_read_only_disk_costs_no_decision() {
    let desk = Desk::new();
    let Some(disk) = Disk::small(&desk.path("state")) else {
        return;
    };
    for n in 0..20 {
        desk.story(&format!("{n}.md")).published(false).write();
    }
    desk.scan();
    disk.fill(280 << 10);
    let mut acknowledged = Vec::new();
    for item in 1..=20 {
        let note = "x".repeat(20_000);
        let run = desk.run(&["approve", &item.to_string(), "--note", &note]);
        if run.code == 0 {
            acknowledged.push(item);
        } else {
            run.refused().says(&["state/copydesk.db", "space"]);
        }
    }
    assert!(acknowledged.len() < 20, "the disk was not full");
    println!("{} of 20 decisions fitted", acknowledged.len());
    disk.free();
    for item in 1..=20 {
        let expected = if acknowledged.contains(&item) {
            "approved"
        } else {
            "pending"
        };
        assert_eq!(desk.status_of(item), expected, "item {item}");
    }
    let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
    let healthy: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(healthy, "ok");
    drop(database);

    disk.remount("ro");
    desk.run(&["approve", "20"])
        .refused()
        .says(&["state", "writable"]);
    disk.remount("rw");
    if !acknowledged.contains(&20) {
        desk.run(&["approve", "20"]).done();
    }
}

#[test]
fn the_service_gets_over_a_full_disk_by_itself() {
    let desk = Desk::new();
    let Some(disk) = Disk::small(&desk.path("state")) else {
        return;
    };
    desk.story("a.md").published(false).write();
    let running = Service::spawn(&desk, service(&desk));
    running.until("the first pass", BOUND, || {
        number(&desk, "SELECT count(*) FROM items") == Some(1)
    });
    disk.fill(0);
    // More than fits: the pass fails, and so does the decision.
    for n in 0..200 {
        desk.story(&format!("more/{n}.md")).published(false).write();
    }
    running.until("the loop fails", BOUND, || {
        running.log().contains("is full")
    });
    let run = finish(beside(&desk, &["approve", "1"]));
    let acknowledged = run.code == 0;
    std::thread::sleep(Duration::from_secs(5));
    disk.free();
    let took = running.until("all is queued", BOUND, || {
        number(&desk, "SELECT count(*) FROM items") == Some(201)
    });
    println!("went on {took:?} after there was space");
    let status = number(&desk, "SELECT count(*) FROM decisions").unwrap();
    assert_eq!(status, i64::from(acknowledged));
    finish(beside(&desk, &["approve", "2"])).done();
    running.until("no failure is left", BOUND, || {
        number(&desk, "SELECT count(*) FROM failures") == Some(0)
    });
    running.stop();
}

#[test]
fn a_state_folder_of_another_host_is_refused_and_left_alone() {
    for (kind, magic) in [("NFS", "6969000000000000"), ("SMB", "424d53fe00000000")] {
        let desk = Desk::new();
        desk.story("a.md").write();
        fs::create_dir(desk.path("state")).unwrap();
        let fault = format!("statfs:poke_exit=@arg2={magic}");
        let state = desk.path("state");
        let Some(seen) = run_failing(&desk, &["scan"], &fault, Some(&state)) else {
            return;
        };
        assert!(seen.contains(kind) && seen.contains("--state"), "{seen}");
        assert!(!desk.path("state/copydesk.db").exists(), "{kind}");
        desk.scan();
    }
}
