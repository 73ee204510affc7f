//! What the running service costs, and how soon it sees what comes.

use crate::Bench;
use crate::desk::Desk;
use crate::limit::{self, Raw};
use crate::newsroom::Newsroom;
use crate::process::Service;
use crate::table::Measure::{Bytes, Core, Number, Time};
use crate::table::{at, count, doing, each, line, median, share};
use anyhow::ensure;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// After its start a service looks again at folders that are new to it.
const SETTLES: Duration = Duration::from_secs(5);
/// What did not come by then is missed.
const MISSED: Duration = Duration::from_secs(120);

/// From its start until the service is ready, with everything stored already.
pub(crate) fn restart(bench: &Bench) -> anyhow::Result<()> {
    let desk = Desk::shipped(&[&bench.content])?;
    doing("restart: the first scan");
    desk.run("scan")?;
    let (mut walks, mut ready, mut passed, mut cpus, mut killed) =
        (vec![], vec![], vec![], vec![], vec![]);
    for round in bench.rounds() {
        doing(&format!("restart {round}"));
        walks.push(limit::walk(&bench.content)?.1);
        let (service, took) = desk.serve_and_pass()?;
        ready.push(service.ready);
        passed.push(took);
        cpus.push(service.used()?);
        service.kill();
        let (service, _) = desk.serve_and_pass()?;
        killed.push(service.ready);
        service.stop()?;
    }
    let what = format!("restart with {} records", count(bench.files.len()));
    line(
        &format!("{what}: until it is ready"),
        None,
        Time(median(ready)),
        "3 s at 1,000,000",
    );
    line("… after it was killed", None, Time(median(killed)), "");
    line(
        "… until its first pass has ended",
        Some(("walk and stat", Time(median(walks)))),
        Time(median(passed)),
        "",
    );
    line("… CPU until then", None, Time(median(cpus)), "");
    Ok(())
}

/// What it takes while nothing happens.
pub(crate) fn idle(bench: &Bench) -> anyhow::Result<()> {
    let desk = Desk::shipped(&[&bench.content])?;
    doing("idle: the first scan");
    desk.run("scan")?;
    let (service, _) = desk.serve_and_pass()?;
    thread::sleep(SETTLES);
    doing("idle");
    let (before, started) = (service.used()?, Instant::now());
    thread::sleep(Duration::from_secs(bench.idle));
    let (used, lasted) = (service.used()?.saturating_sub(before), started.elapsed());
    line(
        &format!(
            "idle for {} s, {} files watched: CPU",
            bench.idle,
            count(bench.files.len())
        ),
        None,
        Core(share(used, lasted)),
        "0.1 % of a core",
    );
    let peak = service.peak();
    line("… memory at its most", None, Bytes(peak), "");
    service.stop()
}

/// A desk with all files, whose service also watches a folder of what comes.
struct Live {
    desk: Desk,
    service: Service,
    reader: Connection,
    newsroom: Newsroom,
    serial: usize,
}

impl Live {
    fn new(bench: &Bench) -> anyhow::Result<Self> {
        let comes = bench.folder.path().join("comes");
        if comes.exists() {
            fs::remove_dir_all(&comes)?;
        }
        fs::create_dir(&comes)?;
        let desk = Desk::shipped(&[&bench.content, &comes])?;
        doing("live: the first scan");
        desk.run("scan")?;
        let (service, _) = desk.serve_and_pass()?;
        thread::sleep(SETTLES);
        let (reader, newsroom) = (desk.reader()?, Newsroom::new(99));
        Ok(Self {
            desk,
            service,
            reader,
            newsroom,
            serial: 0,
        })
    }

    /// A story that some queue takes, of an address that no file has.
    fn story(&mut self) -> String {
        self.serial += 1;
        let own = format!("https://n{}.", self.serial);
        let story = self.newsroom.story().replace("https://www.", &own);
        story.replacen("published: true", "published: false", 1)
    }

    fn items(&self) -> anyhow::Result<i64> {
        let sql = "SELECT coalesce(max(id), 0) FROM items";
        Ok(self
            .reader
            .prepare_cached(sql)?
            .query_row((), |row| row.get(0))?)
    }

    /// Waits until there are so many items; how many are missed.
    fn wait_for(&self, items: i64) -> anyhow::Result<i64> {
        let started = Instant::now();
        loop {
            let missed = items - self.items()?;
            if missed <= 0 || started.elapsed() > MISSED {
                return Ok(missed.max(0));
            }
            thread::sleep(Duration::from_micros(100));
        }
    }
}

/// One file after the other, while nothing else happens. A file that reads as a whole is taken in at the
/// first hint: the service waits only for what reads as half written.
pub(crate) fn live(bench: &Bench) -> anyhow::Result<()> {
    let mut live = Live::new(bench)?;
    let comes = bench.folder.path().join("comes");
    let mut raw = Raw::open(&live.desk.path("raw.db"))?;
    doing("live");
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let before = live.service.used()?;
    for n in 0..bench.live {
        let (story, path) = (live.story(), comes.join(format!("{n}.md")));
        let items = live.items()?;
        let closed = write(&path, &story)?;
        ensure!(live.wait_for(items + 1)? == 0, "{n} is missed");
        ours.push(closed.elapsed());
        floor.push(raw.one(&path)?);
        // Never in step with what the service does every second.
        thread::sleep(Duration::from_micros(40_000 + 7_919 * (n as u64 % 13)));
    }
    let used = live.service.used()?.saturating_sub(before);
    for (percent, goal) in [(50, "10 ms"), (99, "100 ms")] {
        let limit = Time(at(floor.clone(), percent));
        line(
            &format!("a file closed until it is an item, p{percent}"),
            Some(("read, hash, insert and commit", limit)),
            Time(at(ours.clone(), percent)),
            goal,
        );
    }
    line("… CPU a file", None, Time(each(used, bench.live)), "");
    live.service.stop()
}

/// Very many files at once in one folder.
pub(crate) fn burst(bench: &Bench) -> anyhow::Result<()> {
    let mut live = Live::new(bench)?;
    let all = bench.burst;
    let stories: Vec<String> = (0..all).map(|_| live.story()).collect();
    let beside = live.desk.path("beside");
    fs::create_dir(&beside)?;
    doing("burst");
    let floor = write_all(&beside, &stories)?;
    let (items, before) = (live.items()?, live.service.used()?);
    let started = Instant::now();
    let written = write_all(&bench.folder.path().join("comes"), &stories)?;
    let missed = live.wait_for(items + i64::try_from(all)?)?;
    let took = started.elapsed();
    let used = live.service.used()?.saturating_sub(before);
    line(
        &format!("{} files at once until all are items", count(all)),
        Some(("written where nobody watches", Time(floor))),
        Time(took),
        "10 s",
    );
    line("… missed", None, Number(missed as f64), "0");
    line("… written after", None, Time(written), "");
    line("… CPU a file", None, Time(each(used, all)), "");
    live.service.stop()
}

fn write_all(folder: &Path, stories: &[String]) -> anyhow::Result<Duration> {
    let started = Instant::now();
    for (n, story) in stories.iter().enumerate() {
        write(&folder.join(format!("burst-{n}.md")), story)?;
    }
    Ok(started.elapsed())
}

/// Writes a file and tells when it was closed.
fn write(path: &Path, text: &str) -> anyhow::Result<Instant> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    let closed = Instant::now();
    drop(file);
    Ok(closed)
}
