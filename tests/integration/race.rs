//! Races against upstream: decisions are written into files that are being rewritten, moved and
//! swapped for links at the same moment. A ledger of what upstream wrote says what must stand.
//!
//! `COPYDESK_ROUNDS=100000` is the long form: of write-backs every fifth, of approvals every tenth is
//! on disk, and the rest on a file system in memory. `COPYDESK_SEED` plays a run's randomness again, as far
//! as threads let it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use copydesk::intake::{self, Control};
use copydesk::item::{Status, Verdict};
use copydesk::review::{self, Actor, Request, ReviewError};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use copydesk::store::write_backs::End;
use copydesk::write_back::{self, Outcome};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::crash::Random;
use crate::desk::{Desk, memory};
use crate::nth::under_strace;
use crate::service::rounds;
use crate::smtp::found;

/// Rounds on one desk, before a fresh one.
const BATCH: usize = 100;

/// One version of upstream's: the title is what is judged, the number tells it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    number: u64,
    title: u64,
}

impl Version {
    /// So long that half of it is told from the whole.
    fn bytes(self, published: bool) -> Vec<u8> {
        let Self { number, title } = self;
        let noise = format!("{number} ").repeat(500);
        let text = format!(
            "---\ntitle: Story {title}\noriginalUrl: https://www.example.org/a\npublished: {published}\nsecured: \"{noise}\"\n---\nThe body of story {title}.\n"
        );
        text.into_bytes()
    }

    /// Reads it back, and whether it is published. `None` unless it is whole.
    fn read(bytes: &[u8]) -> Option<(Self, bool)> {
        let text = std::str::from_utf8(bytes).ok()?;
        let after = |key: &str| text.split_once(key).map(|(_, rest)| rest);
        let title = after("title: Story ")?.split('\n').next()?.parse().ok()?;
        let number = after("secured: \"")?.split(' ').next()?.parse().ok()?;
        let version = Self { number, title };
        let published = after("published: ")?.starts_with("true");
        (version.bytes(published) == bytes).then_some((version, published))
    }
}

/// How upstream writes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Rename,
    InPlace,
    RemoveAndCreate,
}

/// One write of upstream's, so long after the one before, or after the desk has made a file of that
/// ending.
#[derive(Debug)]
struct Act {
    after: Duration,
    aimed: Option<&'static str>,
    way: Way,
    version: Version,
}

/// What is shared by upstream, the reader and the desk.
#[derive(Default)]
struct Ground {
    /// Odd while upstream itself leaves less than a whole file.
    unsafe_by_upstream: AtomicU64,
    over: AtomicBool,
    /// Once upstream is about to write.
    ready: AtomicBool,
    /// While the desk writes, or may.
    ticks: AtomicBool,
    approved: Mutex<HashSet<u64>>,
    reads: AtomicU64,
    invalid: Mutex<Vec<String>>,
}

impl Ground {
    fn act(&self, file: &Path, act: &Act) {
        let bytes = act.version.bytes(false);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let beside = file.with_file_name(".upstream");
        if let Way::Rename = act.way {
            fs::write(&beside, &bytes).unwrap();
        }
        self.ready.store(true, Ordering::SeqCst);
        if let Some(ending) = act.aimed {
            self.wait_for(ending, file.parent().unwrap());
        }
        let started = Instant::now();
        while started.elapsed() < act.after {
            std::hint::spin_loop();
        }
        if let Way::Rename = act.way {
            fs::rename(beside, file).unwrap();
            return;
        }
        self.unsafe_by_upstream.fetch_add(1, Ordering::SeqCst);
        if let Way::RemoveAndCreate = act.way {
            // It may have been moved away.
            let _ = fs::remove_file(file);
        }
        let mut written = File::create(file).unwrap();
        written.write_all(first).unwrap();
        thread::yield_now();
        written.write_all(second).unwrap();
        drop(written);
        self.unsafe_by_upstream.fetch_add(1, Ordering::SeqCst);
    }

    /// Reads without end; what is there must be whole, and published only as decided.
    fn read(&self, file: &Path) {
        while !self.over.load(Ordering::SeqCst) {
            let before = self.unsafe_by_upstream.load(Ordering::SeqCst);
            let read = fs::read(file);
            let after = self.unsafe_by_upstream.load(Ordering::SeqCst);
            if before != after || before % 2 == 1 {
                continue;
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
            let what = match read {
                Err(error) => error.to_string(),
                Ok(bytes) => match Version::read(&bytes) {
                    None => format!("{} bytes that are no version", bytes.len()),
                    Some((version, true)) if !self.is_approved(version) => {
                        format!("{version:?} is published and was not approved")
                    }
                    Some(_) => continue,
                },
            };
            self.invalid.lock().unwrap().push(what);
        }
    }

    /// Until the desk has made its new file (`.tmp`), or made it whole and is about to exchange the
    /// names (`.swap`), if it does.
    fn wait_for(&self, ending: &str, folder: &Path) {
        let is_made = |entry: std::io::Result<fs::DirEntry>| {
            let ending = ending.as_bytes();
            entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().ends_with(ending))
        };
        while self.ticks.load(Ordering::SeqCst) && !fs::read_dir(folder).unwrap().any(is_made) {
            std::hint::spin_loop();
        }
    }

    fn is_approved(&self, version: Version) -> bool {
        self.approved.lock().unwrap().contains(&version.title)
    }
}

/// A desk in this process: the database is in memory, the files are real.
pub(crate) struct Here {
    pub(crate) desk: Desk,
    pub(crate) rules: RuleSet,
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
}

impl Here {
    pub(crate) fn new(desk: Desk) -> Self {
        Self {
            rules: RuleSet::load(&desk.path("rules")).unwrap(),
            store: Store::in_memory().unwrap(),
            now: desk.now(),
            desk,
        }
    }

    pub(crate) fn scan(&mut self) {
        self.now += SignedDuration::from_hours(3);
        intake::scan(&mut self.store, &self.rules, self.now, &Control::NONE).unwrap();
    }

    /// Where the one item stands, its version, and the number in its title.
    fn item(&mut self) -> (Status, i64, u64) {
        let listed = self.store.read(|tx| tx.listed(1)).unwrap().unwrap();
        let title = listed.title.unwrap();
        let number = title.rsplit(' ').next().unwrap().parse().unwrap();
        (listed.item.status, listed.item.version, number)
    }

    fn decide(&mut self, verdict: Verdict, version: i64) -> Result<(), ReviewError> {
        let request = Request {
            id: uuid::Uuid::now_v7(),
            item: format!("1@{version}").parse().unwrap(),
            verdict,
            actor: &Actor::User("tester".into()),
            reason: None,
            note: None,
            until: None,
        };
        review::decide(&mut self.store, &self.rules, &request, self.now).map(drop)
    }

    pub(crate) fn tick(&mut self) -> Vec<Outcome> {
        write_back::tick(&mut self.store, &self.rules, self.now).unwrap()
    }
}

/// What came of all rounds.
#[derive(Debug, Default)]
struct Sums {
    rounds: usize,
    versions: u64,
    written: usize,
    stale: usize,
    put_off: usize,
    refused: usize,
    reads: u64,
    lost: Vec<String>,
    wrong: Vec<String>,
    invalid: Vec<String>,
}

impl Sums {
    fn count(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome.end {
                Some(End::Done(_) | End::Moved(_)) => self.written += 1,
                Some(_) => self.stale += 1,
                None => self.put_off += 1,
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.versions += other.versions;
        self.written += other.written;
        self.stale += other.stale;
        self.put_off += other.put_off;
        self.refused += other.refused;
        self.reads += other.reads;
        self.lost.extend(other.lost);
        self.wrong.extend(other.wrong);
        self.invalid.extend(other.invalid);
    }
}

/// Some rounds on one desk.
struct Batch {
    random: Random,
    rounds: usize,
    /// Where its files are.
    folder: PathBuf,
    /// A reader takes a core, and with it the aim: every fourth batch has one.
    is_read: bool,
}

/// Plays so many rounds, the first of them with files on disk and the rest in memory, a few batches
/// at a time: most of each is waiting.
fn play(all: usize, on_disk: usize, batch: impl Fn(Batch) -> Sums + Sync) -> Sums {
    let (seed, sums) = (crate::crash::seed(), Mutex::new(Sums::default()));
    let lanes = if all > 1_000 { 6 } else { 2 };
    in_lanes(lanes, all.div_ceil(BATCH), |number| {
        let begun = number * BATCH;
        let done = batch(Batch {
            random: Random(seed.wrapping_add(number as u64 * 7_919)),
            rounds: BATCH.min(all - begun),
            folder: if begun < on_disk {
                std::env::temp_dir()
            } else {
                memory()
            },
            is_read: number.is_multiple_of(4),
        });
        sums.lock().unwrap().add(done);
    });
    sums.into_inner().unwrap()
}

/// Does pieces of work, numbered from 0, in a few threads.
pub(crate) fn in_lanes(lanes: usize, pieces: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= pieces {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

/// Upstream at work on one file beside the desk.
struct Upstream<'g> {
    ground: &'g Ground,
    file: &'g Path,
    order: mpsc::Sender<Vec<Act>>,
    reports: mpsc::Receiver<()>,
}

impl Upstream<'_> {
    /// Does all this in a thread of its own.
    fn start(&self, acts: Vec<Act>) {
        self.ground.ticks.store(true, Ordering::SeqCst);
        self.ground.ready.store(false, Ordering::SeqCst);
        self.order.send(acts).unwrap();
        while !self.ground.ready.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }

    /// Waits until it is done; the desk writes no more.
    fn join(&self) {
        self.ground.ticks.store(false, Ordering::SeqCst);
        self.reports.recv().unwrap();
    }

    /// Does this here and now.
    fn act(&self, way: Way, version: Version) {
        let act = Act {
            after: Duration::ZERO,
            aimed: None,
            way,
            version,
        };
        self.ground.act(self.file, &act);
    }
}

/// Lets upstream, and a reader if there is one, go on beside `work`.
fn beside_upstream(ground: &Ground, file: &Path, is_read: bool, work: impl FnOnce(&Upstream<'_>)) {
    let (order, orders) = mpsc::channel::<Vec<Act>>();
    let (report, reports) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for acts in orders {
                acts.iter().for_each(|act| ground.act(file, act));
                report.send(()).unwrap();
            }
        });
        if is_read {
            scope.spawn(|| ground.read(file));
        }
        // Ended even if the work fails, so that the failure is told.
        let _over = Over(&ground.over);
        work(&Upstream {
            ground,
            file,
            order,
            reports,
        });
    });
}

struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Three of four times, what upstream waits for before it writes.
fn any_aim(random: &mut Random) -> Option<&'static str> {
    [None, Some(".tmp"), Some(".swap"), Some(".swap")][usize::try_from(random.next(4)).unwrap()]
}

fn any_way(random: &mut Random) -> Way {
    match random.next(3) {
        0 => Way::Rename,
        1 => Way::InPlace,
        _ => Way::RemoveAndCreate,
    }
}

/// A decision is written while upstream writes new versions of the file.
fn overwritten(batch: Batch) -> Sums {
    let (mut random, mut sums) = (batch.random, Sums::default());
    let mut here = Here::new(Desk::below(&batch.folder));
    let file = here.desk.content("a.md");
    let mut last = Version {
        number: 0,
        title: 0,
    };
    here.desk.write("a.md", last.bytes(false));
    let ground = Ground::default();
    beside_upstream(&ground, &file, batch.is_read, |upstream| {
        for round in 0..batch.rounds {
            here.scan();
            let (status, version, title) = here.item();
            let mut acts = Vec::new();
            for n in 0..1 + random.next(3) {
                let aimed = any_aim(&mut random).filter(|_| n == 0);
                let after = match (n, aimed) {
                    (0, Some(_)) => random.next(2) * random.next(200),
                    (0, None) => random.next(9_000),
                    _ => random.next(2) * random.next(2_000),
                };
                last.number += 1;
                last.title += u64::from(random.next(2) == 0);
                acts.push(Act {
                    after: Duration::from_micros(after),
                    aimed,
                    way: any_way(&mut random),
                    version: last,
                });
            }
            sums.versions += u64::try_from(acts.len()).unwrap();
            let told = format!("round {round}: {status} {acts:?}");
            upstream.start(acts);
            match status {
                Status::Pending => {
                    here.decide(Verdict::Approve, version).unwrap();
                    ground.approved.lock().unwrap().insert(title);
                }
                Status::Approved => here.decide(Verdict::Reopen, version).unwrap(),
                _ => {}
            }
            sums.count(here.tick());
            upstream.join();
            let stands = Version::read(&fs::read(&file).unwrap_or_default());
            match stands {
                Some((version, published)) if version == last => {
                    if published && !ground.is_approved(version) {
                        sums.wrong.push(format!("{told}: {version:?} is published"));
                    }
                }
                _ => {
                    sums.lost.push(format!("{told}: {stands:?} for {last:?}"));
                    // The next round is not to suffer from this one.
                    fs::write(&file, last.bytes(false)).unwrap();
                }
            }
            let names = fs::read_dir(here.desk.path("content")).unwrap();
            assert_eq!(names.count(), 1, "left beside the file: {told}");
        }
    });
    // Once upstream is quiet, what was decided stands in the file.
    for _ in 0..3 {
        here.scan();
        here.tick();
    }
    let (status, ..) = here.item();
    let (_, published) = Version::read(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(published, status == Status::Approved, "{status}");
    sums.rounds = batch.rounds;
    sums.reads = ground.reads.into_inner();
    sums.invalid = ground.invalid.into_inner().unwrap();
    sums
}

#[test]
fn upstream_and_write_back_race_and_no_version_is_lost() {
    let (all, started) = (rounds().unwrap_or(200), Instant::now());
    let sums = play(all, all.div_ceil(5), overwritten);
    println!(
        "| upstream versions lost, invalid files seen, in write-back races | {} rounds, {} of them on disk, {} upstream versions, {} writes, {} stale, {} put off, {} reads, {:.0?} | {} lost, {} invalid, {} wrongly published |",
        sums.rounds,
        all.div_ceil(5),
        sums.versions,
        sums.written,
        sums.stale,
        sums.put_off,
        sums.reads,
        started.elapsed(),
        sums.lost.len(),
        sums.invalid.len(),
        sums.wrong.len(),
    );
    let faults = [&sums.lost, &sums.invalid, &sums.wrong];
    assert!(faults.iter().all(|faults| faults.is_empty()), "{faults:#?}");
    assert!(
        sums.written > sums.rounds / 10 && sums.stale + sums.put_off > 0,
        "no race: {sums:?}"
    );
}

/// As [`overwritten`], where a rejection moves the file: upstream's newest version is in one of the
/// two places, and out of the source only as it was rejected.
fn moved(batch: Batch) -> Sums {
    let (mut random, mut sums) = (batch.random, Sums::default());
    let mut here = Here::new(crate::moving::desk());
    let (file, out) = (here.desk.content("a.md"), here.desk.path("_archive/a.md"));
    let mut last = Version {
        number: 0,
        title: 0,
    };
    here.desk.write("a.md", last.bytes(false));
    let (ground, mut rejected) = (Ground::default(), HashSet::new());
    beside_upstream(&ground, &file, false, |upstream| {
        for round in 0..batch.rounds {
            here.scan();
            let (status, version, title) = here.item();
            let acts: Vec<Act> = (0..1 + random.next(2))
                .map(|n| {
                    last.number += 1;
                    last.title += u64::from(random.next(4) == 0);
                    Act {
                        after: Duration::from_micros(random.next(2) * random.next(9_000)),
                        aimed: any_aim(&mut random).filter(|_| n == 0),
                        way: any_way(&mut random),
                        version: last,
                    }
                })
                .collect();
            sums.versions += u64::try_from(acts.len()).unwrap();
            let told = format!("round {round}: {status} {acts:?}");
            upstream.start(acts);
            match status {
                Status::Pending => {
                    here.decide(Verdict::Reject, version).unwrap();
                    rejected.insert(title);
                }
                Status::Rejected => here.decide(Verdict::Reopen, version).unwrap(),
                _ => {}
            }
            sums.count(here.tick());
            upstream.join();
            let read = |path: &Path| Some(Version::read(&fs::read(path).ok()?)?.0);
            let (stands, left) = (read(&file), read(&out));
            if stands != Some(last) && (left != Some(last) || stands.is_some()) {
                sums.lost
                    .push(format!("{told}: {stands:?}, {left:?} for {last:?}"));
                fs::write(&file, last.bytes(false)).unwrap();
            }
            if left.is_some_and(|left| !rejected.contains(&left.title)) {
                sums.wrong.push(format!("{told}: {left:?} was moved out"));
            }
            for folder in [file.parent(), out.parent()] {
                let names = fs::read_dir(folder.unwrap()).map_or(0, Iterator::count);
                assert!(names <= 1, "left beside the file: {told}");
            }
        }
    });
    for _ in 0..3 {
        here.scan();
        here.tick();
    }
    let (status, ..) = here.item();
    assert_eq!(file.exists(), status != Status::Rejected, "{status}");
    let stands = if file.exists() { &file } else { &out };
    let (newest, _) = Version::read(&fs::read(stands).unwrap()).unwrap();
    assert_eq!(newest, last);
    sums.rounds = batch.rounds;
    sums
}

#[test]
fn upstream_and_a_move_race_and_no_version_is_lost() {
    let (all, started) = (rounds().unwrap_or(100), Instant::now());
    let sums = play(all, all, moved);
    println!(
        "| upstream versions lost, stories moved unjudged, in races with a move | {} rounds on disk, {} upstream versions, {} moves, {} stale, {} put off, {:.0?} | {} lost, {} unjudged |",
        sums.rounds,
        sums.versions,
        sums.written,
        sums.stale,
        sums.put_off,
        started.elapsed(),
        sums.lost.len(),
        sums.wrong.len(),
    );
    assert!(sums.lost.is_empty() && sums.wrong.is_empty(), "{sums:#?}");
    assert!(
        sums.written > sums.rounds / 10 && sums.stale + sums.put_off > 0,
        "no race: {sums:?}"
    );
}

/// When upstream replaces the story that is being approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The reviewer has seen it, and the desk looks at it once more before she decides.
    BeforeTheLook,
    BeforeTheDecision,
    BeforeTheWrite,
    InTheWrite,
    AfterTheWrite,
}

const MOMENTS: [Moment; 5] = [
    Moment::BeforeTheLook,
    Moment::BeforeTheDecision,
    Moment::BeforeTheWrite,
    Moment::InTheWrite,
    Moment::AfterTheWrite,
];

/// A story is approved while upstream replaces it, comes back to it, or writes it anew.
fn replaced(batch: Batch) -> Sums {
    let (mut random, mut sums) = (batch.random, Sums::default());
    let mut here = Here::new(Desk::below(&batch.folder));
    let file = here.desk.content("a.md");
    let mut last = Version {
        number: 0,
        title: 0,
    };
    // Titles only go up, so that one that was not judged is never taken for one that was.
    let mut highest = 0;
    here.desk.write("a.md", last.bytes(false));
    let ground = Ground::default();
    beside_upstream(&ground, &file, batch.is_read, |upstream| {
        for round in 0..batch.rounds {
            here.scan();
            let (status, version, judged) = here.item();
            assert_eq!((status, judged), (Status::Pending, last.title));
            // Half of all rounds are for the moment that is the hardest to meet.
            let at = usize::try_from(random.next(10)).unwrap();
            let moment = *MOMENTS.get(at).unwrap_or(&Moment::InTheWrite);
            let other = highest + 1;
            let titles = match random.next(10) {
                0..6 => vec![other],
                6..8 => vec![other, judged],
                _ => vec![judged],
            };
            highest = highest.max(*titles.iter().max().unwrap());
            let mut acts = Vec::new();
            for title in titles {
                last = Version {
                    number: last.number + 1,
                    title,
                };
                acts.push((any_way(&mut random), last));
            }
            sums.versions += acts.len() as u64;
            let told = format!("round {round}: {moment:?} {acts:?}");
            let replace = |here_and_now| {
                if here_and_now {
                    acts.iter()
                        .for_each(|(way, version)| upstream.act(*way, *version));
                }
            };
            replace(moment == Moment::BeforeTheLook);
            let record = here.store.read(|tx| tx.listed(1)).unwrap().unwrap();
            let record = record.item.record;
            intake::look_again(&mut here.store, &here.rules, record, here.now).unwrap();
            replace(moment == Moment::BeforeTheDecision);
            let is_approved = match here.decide(Verdict::Approve, version) {
                Ok(()) => ground.approved.lock().unwrap().insert(judged),
                Err(ReviewError::Stale { .. }) => false,
                Err(error) => panic!("{told}: {error}"),
            };
            sums.refused += usize::from(!is_approved);
            replace(moment == Moment::BeforeTheWrite);
            if moment == Moment::InTheWrite {
                let aimed = any_aim(&mut random);
                let after = match aimed {
                    Some(_) => random.next(2) * random.next(200),
                    None => random.next(3_000),
                };
                let started = acts.iter().enumerate().map(|(n, (way, version))| Act {
                    after: Duration::from_micros(if n == 0 { after } else { random.next(500) }),
                    aimed: aimed.filter(|_| n == 0),
                    way: *way,
                    version: *version,
                });
                upstream.start(started.collect());
            }
            sums.count(here.tick());
            if moment == Moment::InTheWrite {
                upstream.join();
            }
            replace(moment == Moment::AfterTheWrite);
            let mut check = |when: &str, is_settled: bool| {
                let stands = Version::read(&fs::read(&file).unwrap_or_default());
                let Some((version, published)) = stands.filter(|(version, _)| *version == last)
                else {
                    sums.lost
                        .push(format!("{told}, {when}: {stands:?} for {last:?}"));
                    return;
                };
                let is_judged = is_approved && version.title == judged;
                if published && !is_judged || is_settled && published != is_judged {
                    sums.wrong.push(format!(
                        "{told}, {when}: {version:?}, published: {published}"
                    ));
                }
            };
            check("at once", false);
            // A decision that holds for what stands there comes through.
            for _ in 0..2 {
                here.scan();
                here.tick();
            }
            check("at last", true);
            if here.item().0 == Status::Approved {
                highest += 1;
                last = Version {
                    number: last.number + 1,
                    title: highest,
                };
                upstream.act(Way::Rename, last);
            }
        }
    });
    sums.rounds = batch.rounds;
    sums.reads = ground.reads.into_inner();
    sums.invalid = ground.invalid.into_inner().unwrap();
    sums
}

#[test]
fn a_story_that_is_replaced_while_it_is_approved_is_published_only_as_it_was_judged() {
    let (all, started) = (rounds().unwrap_or(200), Instant::now());
    let sums = play(all, all.div_ceil(10), replaced);
    println!(
        "| wrong publish in approve-against-replace races | {} rounds, {} of them on disk, {} upstream versions, {} approvals refused, {} written, {} stale, {} put off, {} reads, {:.0?} | {} wrong, {} invalid, {} lost |",
        sums.rounds,
        all.div_ceil(10),
        sums.versions,
        sums.refused,
        sums.written,
        sums.stale,
        sums.put_off,
        sums.reads,
        started.elapsed(),
        sums.wrong.len(),
        sums.invalid.len(),
        sums.lost.len(),
    );
    let faults = [&sums.wrong, &sums.invalid, &sums.lost];
    assert!(faults.iter().all(|faults| faults.is_empty()), "{faults:#?}");
    assert!(
        sums.refused > 0 && sums.written > 0 && sums.stale > 0,
        "no race: {sums:?}"
    );
}

/// Every file below a folder: its name, inode, bytes and times.
fn state(folder: &Path) -> Vec<(PathBuf, u64, Vec<u8>, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let found = path.metadata().unwrap();
        let bytes = fs::read(&path).unwrap();
        (
            path,
            found.ino(),
            bytes,
            found.mtime_nsec(),
            found.ctime_nsec(),
        )
    });
    entries.collect()
}

#[test]
fn a_folder_swapped_for_a_link_at_any_moment_is_not_written_through() {
    let all = rounds().unwrap_or(150).min(2_000);
    let mut here = Here::new(Desk::new());
    let version = Version {
        number: 1,
        title: 1,
    };
    here.desk.write("in/a.md", version.bytes(false));
    here.scan();
    here.desk.write("../outside/a.md", version.bytes(false));
    let (folder, link) = (here.desk.content("in"), here.desk.content(".link"));
    let outside = here.desk.path("outside");
    symlink(&outside, &link).unwrap();
    let before = state(&outside);
    let over = AtomicBool::new(false);
    let (mut written, mut passed) = (0, 0);
    let swaps = thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let (mut swaps, mut random) = (0_u64, Random(7));
            while !over.load(Ordering::SeqCst) || swaps % 2 == 1 {
                renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
                let wait = Duration::from_micros(random.next(40) * random.next(40));
                let started = Instant::now();
                while started.elapsed() < wait {
                    std::hint::spin_loop();
                }
            }
            swaps
        });
        for _ in 0..all {
            here.now += SignedDuration::from_hours(3);
            let (status, version, _) = here.item();
            match status {
                Status::Approved => here.decide(Verdict::Reopen, version).unwrap(),
                _ => here.decide(Verdict::Approve, version).unwrap(),
            }
            for outcome in here.tick() {
                match outcome.end {
                    Some(End::Done(_)) => written += 1,
                    _ => passed += 1,
                }
            }
        }
        over.store(true, Ordering::SeqCst);
        swapping.join().unwrap()
    });
    let same = state(&outside) == before;
    println!(
        "| folder swapped for a link out of the source | {all} rounds, {swaps} swaps, {written} writes, {passed} refused | written outside {} |",
        usize::from(!same)
    );
    assert!(same, "{:?}", state(&outside));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert!(written > 0 && passed > 0, "no race: {written}, {passed}");
}

/// Runs a command with a fault in its system calls, those that touch `path` if one is named; returns
/// what it said. `None` if that is not possible here.
pub(crate) fn run_failing(
    desk: &Desk,
    args: &[&str],
    fault: &str,
    path: Option<&Path>,
) -> Option<String> {
    if !found("strace", "strace", &["-o", "/dev/null", "true"]) {
        return None;
    }
    let call = fault.split(':').next().unwrap();
    let (trace, inject) = (format!("trace={call}"), format!("inject={fault}"));
    let mut options = vec!["-e", &trace, "-e", &inject];
    if let Some(path) = path {
        options.extend(["-P", path.to_str().unwrap()]);
    }
    let mut traced = under_strace(desk, &desk.command(args), &options);
    let output = traced.output().unwrap();
    let trace = fs::read_to_string(desk.path("trace")).unwrap();
    let met = ["INJECTED", "killed by SIGKILL"];
    assert!(
        met.iter().any(|word| trace.contains(word)),
        "{fault} met nothing: {trace}"
    );
    Some(String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
fn where_names_cannot_be_exchanged_the_file_is_written_and_status_says_so() {
    for error in ["ENOSYS", "EINVAL", "EOPNOTSUPP"] {
        let desk = Desk::new();
        let before = desk.story("a.md").write().bytes();
        desk.scan();
        let weak = "cannot exchange names";
        assert!(!desk.run(&["status"]).seen().contains(weak));
        let fault = format!("renameat2:error={error}");
        let Some(seen) = run_failing(&desk, &["approve", &desk.tag("a.md")], &fault, None) else {
            return;
        };
        assert!(seen.contains("written to a.md"), "{error}: {seen}");
        crate::desk::assert_published(&before, &desk.read("a.md"));
        assert_eq!(fs::read_dir(desk.path("content")).unwrap().count(), 1);
        desk.run(&["status"]).says(&["all is well", weak]);
        desk.run(&["reopen", "1"]).done();
        assert!(!desk.run(&["status"]).seen().contains(weak));
    }
}

#[test]
fn a_file_whose_bytes_or_folder_cannot_be_synced_is_as_it_was_and_written_later() {
    for (fault, path) in [
        ("fsync:error=EIO:when=1", Some("content")),
        ("fsync:error=EIO:when=2", Some("content")),
        ("renameat2:error=EIO:when=1", None),
        ("renameat:error=ENOSPC:when=1", None),
        ("flistxattr:error=EIO:when=1", None),
    ] {
        let desk = Desk::new();
        let before = desk.story("a.md").write().bytes();
        desk.scan();
        let path = path.map(|path| desk.path(path));
        let args = ["approve", &desk.tag("a.md")];
        let Some(seen) = run_failing(&desk, &args, fault, path.as_deref()) else {
            return;
        };
        // What fails after the exchange, once the right version came out, may also stand already.
        if desk.read("a.md") != before {
            crate::desk::assert_published(&before, &desk.read("a.md"));
        }
        assert_eq!(desk.status_of(1), "approved", "{fault}: {seen}");
        assert!(!desk.problems().is_empty(), "{fault}: {seen}");
        desk.later("2m").scan();
        crate::desk::assert_published(&before, &desk.read("a.md"));
        assert_eq!(fs::read_dir(desk.path("content")).unwrap().count(), 1);
        desk.run(&["reopen", "1"]).done();
        assert_eq!(desk.read("a.md"), before, "{fault}");
    }
}

#[test]
fn a_write_killed_at_any_step_is_made_good_and_leaves_nothing() {
    for (call, path) in [
        ("flistxattr:signal=KILL:when=2", None),
        ("renameat:signal=KILL:when=1", None),
        ("renameat2:signal=KILL:when=1", None),
        ("fsync:signal=KILL:when=1", Some("content")),
        ("fsync:signal=KILL:when=2", Some("content")),
    ] {
        let desk = Desk::new();
        let before = desk.story("a.md").write().bytes();
        desk.scan();
        let path = path.map(|path| desk.path(path));
        let args = ["approve", &desk.tag("a.md")];
        if run_failing(&desk, &args, call, path.as_deref()).is_none() {
            return;
        }
        let names = |desk: &Desk| fs::read_dir(desk.path("content")).unwrap().count();
        println!("{call}: {} names", names(&desk));
        assert_eq!(desk.status_of(1), "approved", "{call}");
        desk.later("2m").scan();
        crate::desk::assert_published(&before, &desk.read("a.md"));
        assert_eq!(names(&desk), 1, "{call}");
        desk.run(&["reopen", "1"]).done();
        assert_eq!(desk.read("a.md"), before, "{call}");
    }
}

#[test]
fn a_version_displaced_by_a_write_that_was_killed_comes_back_and_is_judged_anew() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.scan();
    let args = ["approve", &desk.tag("a.md")];
    let content = desk.path("content");
    let kill = "fsync:signal=KILL:when=1";
    if run_failing(&desk, &args, kill, Some(&content)).is_none() {
        return;
    }
    // As if upstream had renamed in the moment before the exchange.
    let aside = fs::read_dir(&content)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "swap"))
        .unwrap();
    let newer = story.moved_to("b.tmp").title("Something else").write();
    fs::rename(desk.content("b.tmp"), aside).unwrap();
    desk.later("2m").scan();
    assert_eq!(desk.read("a.md"), newer.bytes());
    assert_eq!(fs::read_dir(&content).unwrap().count(), 1);
    assert_eq!(desk.item("a.md")["title"], "Something else");
}
