//! Write-back against an upstream that replaces the file in the same moment: no version of upstream is
//! lost, and no reader ever sees a file that is neither upstream's nor ours. Writes into the open file
//! are not raced here.
//!
//! `COPYDESK_ROUNDS=20000 cargo test --release --test integration race:: -- --nocapture` is the long
//! form; it prints its figures.

use copydesk::record::Hash;
use copydesk::record::file::{Folder, WriteError};
use copydesk::record::location::Location;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NAME: &str = "story.md";

fn rounds() -> u64 {
    let rounds = std::env::var("COPYDESK_ROUNDS").ok();
    rounds.and_then(|text| text.parse().ok()).unwrap_or(400)
}

/// A version of upstream, of more than one page, so that half of it would be seen.
fn version(number: u64) -> String {
    let line = format!("version {number} says the same on every line\n");
    format!("---\npublished: false\n---\n{}", line.repeat(200))
}

fn ours(version: &str) -> String {
    version.replace("published: false", "published: true")
}

/// Whether a text is a whole version, approved or not, and which.
fn number(text: &str) -> Option<u64> {
    let number = text
        .split("version ")
        .nth(1)?
        .split(' ')
        .next()?
        .parse()
        .ok()?;
    (text == version(number) || text == ours(&version(number))).then_some(number)
}

/// How upstream writes.
#[derive(Clone, Copy)]
enum Upstream {
    /// A new file, renamed over the old one.
    Rename,
    /// The old one taken away, a new one made under another name and given its name.
    RemoveAndCreate,
}

fn write(folder: &Path, how: Upstream, number: u64) {
    let (file, new) = (folder.join(NAME), folder.join("upstream.new"));
    fs::write(&new, version(number)).unwrap();
    if matches!(how, Upstream::RemoveAndCreate) {
        let _ = fs::remove_file(&file);
    }
    fs::rename(new, file).unwrap();
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    changed: AtomicU64,
    gone: AtomicU64,
    lost: AtomicU64,
    invalid: AtomicU64,
    read: AtomicU64,
}

/// How long a replacement takes that nobody disturbs.
fn usual(folder: &Path) -> Duration {
    let location = Location::of(Path::new(NAME));
    let folder = Folder::open(folder).unwrap();
    let start = Instant::now();
    for _ in 0..10 {
        let base = folder.read(&location).unwrap().bytes;
        let base_hash = Hash::of(&base);
        folder.replace(&location, base_hash, &base).unwrap();
    }
    start.elapsed() / 10
}

/// One replacement against one write of upstream, in the same moment, again and again.
fn race(how: Upstream) -> Counts {
    let dir = TempDir::new().unwrap();
    let counts = Counts::default();
    let (barrier, done) = (Barrier::new(2), AtomicBool::new(false));
    write(dir.path(), how, 0);
    let usual = usual(dir.path());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Between taking away and creating there is no file.
                let Ok(text) = fs::read_to_string(dir.path().join(NAME)) else {
                    continue;
                };
                counts.read.fetch_add(1, Ordering::Relaxed);
                let whole = u64::from(number(&text).is_none());
                counts.invalid.fetch_add(whole, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            for round in 1..=rounds() {
                barrier.wait();
                // Sooner or later within the time that a replacement takes.
                #[allow(clippy::cast_precision_loss)]
                let later = usual.mul_f64((round * 7919 % 1000) as f64 / 800.0);
                let start = Instant::now();
                while start.elapsed() < later {
                    std::hint::spin_loop();
                }
                write(dir.path(), how, round);
                barrier.wait();
                barrier.wait();
            }
        });
        let folder = Folder::open(dir.path()).unwrap();
        let location = Location::of(Path::new(NAME));
        for round in 1..=rounds() {
            let base = fs::read(dir.path().join(NAME)).unwrap();
            let text = ours(std::str::from_utf8(&base).unwrap());
            barrier.wait();
            let replaced = folder.replace(&location, Hash::of(&base), text.as_bytes());
            let count = match &replaced {
                Ok(_) => &counts.written,
                Err(WriteError::Changed) => &counts.changed,
                Err(_) => &counts.gone,
            };
            count.fetch_add(1, Ordering::Relaxed);
            barrier.wait();
            // Upstream has written this round's version, and nothing came after it.
            let stands = fs::read_to_string(dir.path().join(NAME)).unwrap_or_default();
            let lost = u64::from(stands != version(round));
            counts.lost.fetch_add(lost, Ordering::Relaxed);
            barrier.wait();
        }
        done.store(true, Ordering::Relaxed);
    });
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "temporary files are left over: {left:?}");
    counts
}

#[test]
fn no_version_of_upstream_is_lost() {
    for (how, name) in [
        (Upstream::Rename, "rename"),
        (Upstream::RemoveAndCreate, "remove and create"),
    ] {
        let start = Instant::now();
        let counts = race(how);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        println!(
            "{name}: {} rounds, {} written before upstream, {} given way, {} found no file; lost {}; {} reads, invalid {}; {:.1} s",
            rounds(),
            of(&counts.written),
            of(&counts.changed),
            of(&counts.gone),
            of(&counts.lost),
            of(&counts.read),
            of(&counts.invalid),
            start.elapsed().as_secs_f64()
        );
        assert_eq!((of(&counts.lost), of(&counts.invalid)), (0, 0), "{name}");
    }
}

/// What a replacement leaves that is killed between the exchange and the look at what came out.
#[test]
fn a_version_that_was_displaced_when_all_ended_is_put_back() {
    let swap = |ours: &[u8], base: &[u8]| {
        let short = |bytes: &[u8]| {
            let hash = Hash::of(bytes);
            let hex = hash.0.iter().take(16).map(|byte| format!("{byte:02x}"));
            hex.collect::<String>()
        };
        format!(".copydesk-{}-{}.swap", short(ours), short(base))
    };
    let (base, newer) = (version(1), version(2));
    let written = ours(&base);
    let name = swap(written.as_bytes(), base.as_bytes());
    let table = [
        // What stands under our name, what the file holds, and what must stand there at last.
        (&written, &base, &base),    // never exchanged
        (&base, &written, &written), // exchanged, and all is well
        (&newer, &written, &newer),  // upstream's newer version came out
        (&base, &newer, &newer),     // upstream has written since
    ];
    for (swapped, stands, expected) in table {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(&name), swapped).unwrap();
        fs::write(dir.path().join(NAME), stands).unwrap();
        assert!(Folder::is_temporary(name.as_bytes()));
        let folder = Folder::open(dir.path()).unwrap();
        folder.sweep(&Location::of(Path::new(&name))).unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join(NAME)).unwrap(),
            *expected
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
