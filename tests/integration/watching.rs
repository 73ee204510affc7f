//! No changed file is left unlooked at, whatever becomes of the events: they are lost in folders
//! just made, the queue runs over, no more folders can be watched, or none at all. The oracle walks
//! the folder by itself and holds what stands there against the database.
//!
//! `COPYDESK_ROUNDS` sets how many files are written: 50,000, 12,000 at an overflow, 6,000 in 2,000
//! nested folders. `COPYDESK_SEED` writes them in the same order again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use copydesk::record::Hash;
use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use crate::crash::{Random, seed};
use crate::desk::{Desk, finish, memory};
use crate::nth::under_strace;
use crate::service::{BOUND, Service, beside, records, rounds, scanned_at, service};
use crate::smtp::found;

/// So many files written at once may take a busy machine so long.
const MANY: Duration = Duration::from_secs(600);

/// The files below a folder and their bytes' hashes, by path.
fn on_disk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Hash>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            on_disk(root, &path, found);
        } else {
            let below = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(below.to_owned(), Hash::of(&fs::read(&path).unwrap()));
        }
    }
}

/// The files that were evaluated as they stand in the database.
fn evaluated(desk: &Desk) -> BTreeMap<String, Hash> {
    let database = desk.path("state/copydesk.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(database, flags).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "SELECT l.path, l.raw FROM locations l
               JOIN records r ON r.id = l.record AND r.revision = l.revision
               JOIN assessments a ON a.record = r.id
               WHERE l.missing_since IS NULL AND l.broken_reason IS NULL";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, Hash(row.get(1)?))));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The files of which the database does not know what stands on disk.
fn unevaluated(desk: &Desk) -> Vec<String> {
    let (mut disk, evaluated) = (BTreeMap::new(), evaluated(desk));
    let root = desk.path("content");
    on_disk(&root, &root, &mut disk);
    let gone = evaluated.keys().filter(|path| !disk.contains_key(*path));
    let unknown = disk
        .iter()
        .filter(|(path, hash)| evaluated.get(*path) != Some(*hash))
        .map(|(path, _)| path);
    unknown.chain(gone).cloned().collect()
}

/// Waits until every file is evaluated, or for the longest time that this may take; returns which
/// are not, and how long that took.
fn settled(desk: &Desk) -> (Vec<String>, Duration) {
    let started = Instant::now();
    let mut wait = Duration::from_millis(50);
    loop {
        let left = unevaluated(desk);
        if left.is_empty() || started.elapsed() > MANY {
            return (left, started.elapsed());
        }
        thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_secs(2));
    }
}

/// Prints the line, and fails if a file was missed.
fn tell(figures: &str, missed: &[String], service: &Service) {
    let count = missed.len();
    println!("| changed files never evaluated | {figures} | {count} |");
    assert!(missed.is_empty(), "{missed:?}\n{}", service.log());
}

/// The smallest record.
fn small(text: &str) -> String {
    format!("---\ntitle: Story {text}\n---\n")
}

/// Upstream at work: so many new files, and a change to every fifth of them, in all the ways in
/// which files are written.
fn write(desk: &Desk, files: usize, random: &mut Random) {
    let mut below = |many: usize| usize::try_from(random.next(many as u64)).unwrap();
    let mut names: Vec<String> = Vec::new();
    for n in 0..files {
        let name = format!("{}/{}/{n}.md", below(20), below(20));
        put(&desk.content(&name), &small(&n.to_string()), below(3));
        names.push(name);
        if n % 5 != 4 {
            continue;
        }
        let at = below(names.len());
        let path = desk.content(&names[at]);
        let (way, changed) = (below(6), small(&format!("{n} changed")));
        match way {
            0..3 => put(&path, &changed, way),
            3 => {
                fs::remove_file(&path).unwrap();
                put(&path, &changed, 0);
            }
            4 => {
                let moved = format!("{}.moved.md", &names[at][..names[at].len() - 3]);
                fs::rename(&path, desk.content(&moved)).unwrap();
                names[at] = moved;
            }
            _ => {
                fs::remove_file(&path).unwrap();
                names.swap_remove(at);
            }
        }
    }
}

/// Writes a file: whole, by renaming, or in two parts.
fn put(path: &PathBuf, text: &str, way: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match way {
        0 => fs::write(path, text).unwrap(),
        1 => {
            let beside = path.with_file_name(".upstream");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, path).unwrap();
        }
        _ => {
            use std::io::Write;
            let (head, tail) = text.as_bytes().split_at(text.len() / 2);
            let mut file = fs::File::create(path).unwrap();
            file.write_all(head).unwrap();
            file.write_all(tail).unwrap();
        }
    }
}

#[test]
fn files_that_change_while_the_service_runs_are_all_evaluated() {
    let (files, mut random) = (rounds().unwrap_or(600), Random(seed()));
    let desk = Desk::below(&memory());
    let service = Service::start(&desk);
    let started = Instant::now();
    write(&desk, files, &mut random);
    let written = started.elapsed();
    let (missed, took) = settled(&desk);
    let figures =
        format!("{files} files within {written:.1?}, with events, all in {took:.1?} later");
    tell(&figures, &missed, &service);
    service.stop();
}

#[test]
fn files_written_into_folders_just_made_are_never_missed() {
    let desk = Desk::below(&memory());
    let service = Service::start(&desk);
    let passes = scanned_at(&desk);
    let folders = rounds().map_or(200, |files| files / 3);
    let (mut written, mut longest) = (0, Duration::ZERO);
    for folder in 0..folders {
        let below = format!("{folder}/y");
        fs::create_dir_all(desk.content(&below)).unwrap();
        for file in 0..3 {
            let path = desk.content(format!("{below}/{file}.md"));
            fs::write(path, small(&written.to_string())).unwrap();
            written += 1;
        }
        if folder % 10 == 9 {
            let all = || records(&desk) == i64::from(written);
            longest = longest.max(service.until("all files are in", BOUND, all));
        }
    }
    let (missed, _) = settled(&desk);
    assert_eq!(
        scanned_at(&desk),
        passes,
        "a whole pass hid what hints missed"
    );
    let figures =
        format!("{written} files in {folders} nested folders just made, in {longest:.1?} at most");
    tell(&figures, &missed, &service);
}

#[test]
fn an_event_queue_that_runs_over_misses_no_file() {
    let desk = Desk::below(&memory());
    let mut command = service(&desk);
    command.env("COPYDESK_LOG", "info");
    let service = Service::spawn(&desk, command);
    service.until("the first pass", BOUND, || scanned_at(&desk).is_some());
    let files = rounds().unwrap_or(6_000);
    service.signal(Signal::STOP);
    // Each file makes four events, and the queue holds 16,384.
    for n in 0..files {
        desk.write(format!("{n}.md"), small(&n.to_string()));
    }
    desk.write("made/while/lost.md", small("lost"));
    service.signal(Signal::CONT);
    let (mut missed, took) = settled(&desk);
    let log = service.log();
    assert!(log.contains("Events were lost"), "no overflow: {log}");
    // A folder whose making was lost is watched all the same.
    desk.write("made/while/later.md", small("later"));
    missed.extend(settled(&desk).0);
    let figures =
        format!("a burst of {files} files, the event queue run over, all in {took:.1?} later");
    tell(&figures, &missed, &service);
}

const POLLED: &str = "looked at every 30 seconds, since it cannot be watched";

fn status(desk: &Desk) -> String {
    finish(beside(desk, &["status"])).seen()
}

/// Waits until `status` says that the source is polled, and what mends it.
fn polled(desk: &Desk, service: &Service, mend: &str) {
    service.until("it says that it is polled", BOUND, || {
        let status = status(desk);
        status.contains(POLLED) && status.contains(mend)
    });
}

/// A service some of whose system calls fail.
fn failing(desk: &Desk, call: &str, how: &str) -> Service {
    let command = service(desk);
    let (trace, fault) = (format!("trace={call}"), format!("inject={call}:{how}"));
    // The service is the child, so that what ends the child ends the service.
    let options = ["-D", "--seccomp-bpf", "-e", &trace, "-e", &fault];
    let traced: Command = under_strace(desk, &command, &options);
    Service::spawn(desk, traced)
}

#[test]
fn a_source_that_cannot_be_watched_is_polled_and_no_file_is_missed() {
    if !found("strace", "strace", &["-o", "/dev/null", "true"]) {
        return;
    }
    let (files, seed) = (rounds().unwrap_or(300), seed());
    let no_events = || {
        let desk = Desk::below(&memory());
        desk.write("first.md", small("first"));
        let service = failing(&desk, "inotify_init1", "error=EMFILE");
        polled(&desk, &service, "raise fs.inotify.max_user_instances");
        write(&desk, files, &mut Random(seed));
        let (missed, took) = settled(&desk);
        let figures = format!("{files} files, events off, all in {took:.1?} later");
        tell(&figures, &missed, &service);
        service.stop();
    };
    let few_watches = || {
        let desk = Desk::below(&memory());
        // With the source's own folder, these take up all watches but three.
        for n in 0..60 {
            desk.write(format!("before/{n}/first.md"), small(&n.to_string()));
        }
        let service = failing(&desk, "inotify_add_watch", "error=ENOSPC:when=65+");
        service.until("the first pass", BOUND, || scanned_at(&desk).is_some());
        assert!(!status(&desk).contains(POLLED), "{}", service.log());
        let files = files.min(12_000);
        write(&desk, files, &mut Random(seed));
        polled(&desk, &service, "raise fs.inotify.max_user_watches");
        let (mut missed, took) = settled(&desk);
        // Once more in every folder, those that are watched and the others.
        let folders: BTreeSet<PathBuf> = evaluated(&desk)
            .keys()
            .map(|path| Path::new(path).with_file_name("second.md"))
            .collect();
        for file in &folders {
            desk.write(file, small("second"));
        }
        missed.extend(settled(&desk).0);
        let (folders, files) = (folders.len(), files + folders.len());
        let figures =
            format!("{files} files in {folders} folders, 64 watches, all in {took:.1?} later");
        tell(&figures, &missed, &service);
        service.stop();
    };
    thread::scope(|scope| {
        scope.spawn(no_events);
        few_watches();
    });
}
