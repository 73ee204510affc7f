//! What whole passes cost, by `copydesk scan`.

use crate::Bench;
use crate::desk::{self, Desk};
use crate::limit;
use crate::newsroom::Newsroom;
use crate::process::{self, Used};
use crate::table::Measure::{Bytes, Number, Time};
use crate::table::{count, doing, each, line, median, without};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The first scan of all files, and the database after it.
pub(crate) fn first(bench: &Bench) -> anyhow::Result<()> {
    let desk = Desk::shipped(&[&bench.content])?;
    let (mut floor, mut read, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for round in bench.rounds() {
        doing(&format!("first scan {round}"));
        read.push(limit::read(&bench.files)?);
        floor.push(limit::read_and_store(&bench.files, &desk.path(""))?);
        runs.push(first_scan(&desk)?);
    }
    let size = desk.size()?;
    let used = middle(&runs);
    let all = bench.files.len();
    let what = |what: &str| format!("first scan of {}: {what}", count(all));
    let limit = Time(each(median(floor), all));
    line(
        &what("CPU a record"),
        Some(("read, hash and insert as it is", limit)),
        Time(each(used.cpu, all)),
        "60 us",
    );
    let limit = Time(each(median(read), all));
    line(
        &what("CPU a record"),
        Some(("bare read", limit)),
        Time(each(used.cpu, all)),
        "",
    );
    line(
        &what("wall"),
        Some(("its CPU", Time(used.cpu))),
        Time(used.wall),
        "0.7 times",
    );
    line(&what("memory"), None, Bytes(used.peak), "96 MiB at 100,000");
    line(
        &what("database"),
        Some(("the files", Bytes(bench.bytes))),
        Bytes(size),
        "1.1 times",
    );
    Ok(())
}

/// The first scan with many rules.
pub(crate) fn rules(bench: &Bench) -> anyhow::Result<()> {
    let shipped = Desk::shipped(&[&bench.content])?;
    let desk = Desk::with_rules(&bench.content, &bench.files, bench.rules)?;
    let (mut few, mut many, mut loads) = (Vec::new(), Vec::new(), Vec::new());
    for round in bench.rounds() {
        doing(&format!("first scan with many rules {round}"));
        few.push(first_scan(&shipped)?);
        many.push(first_scan(&desk)?);
        loads.push(desk.run("check")?);
    }
    let all = bench.files.len();
    let rules = count(bench.rules);
    line(
        &format!("first scan with {rules} rules: CPU a record"),
        Some(("with those shipped", Time(each(middle(&few).cpu, all)))),
        Time(each(middle(&many).cpu, all)),
        "70 us",
    );
    line(
        &format!("`check` of {rules} rules: CPU"),
        None,
        Time(middle(&loads).cpu),
        "",
    );
    let hits = desk.reader()?.query_row(
        "SELECT avg(json_array_length(hits)) FROM assessments",
        (),
        |row| row.get(0),
    );
    // How hits are stored may change; the figure is only to see that rules hold at all.
    if let Ok(hits) = hits {
        line(
            "hits a record, two of them not of rules",
            None,
            Number(hits),
            "",
        );
    }
    Ok(())
}

/// A scan of what has not changed, beside `git status`.
pub(crate) fn second(bench: &Bench) -> anyhow::Result<()> {
    let desk = Desk::shipped(&[&bench.content])?;
    doing("second scan: the first");
    first_scan(&desk)?;
    let git = Git::new(&desk, &bench.content);
    let (mut theirs, mut ours, mut walks) = (Vec::new(), Vec::new(), Vec::new());
    // Times of files that are not old enough to be trusted are settled by the next run.
    git.as_ref().map(Git::status).transpose()?;
    desk.run("scan")?;
    for round in bench.rounds() {
        doing(&format!("second scan {round}"));
        theirs.extend(git.as_ref().map(Git::status).transpose()?);
        walks.push(limit::walk(&bench.content)?.0);
        ours.push(desk.run("scan")?);
    }
    let all = bench.files.len();
    let (what, goal) = (
        format!("scan of {}, nothing changed: CPU", count(all)),
        "1.5 times",
    );
    let used = middle(&ours);
    match git {
        Some(_) => line(
            &what,
            Some(("git status", Time(median(theirs)))),
            Time(used.cpu),
            goal,
        ),
        None => without(&what, "no git here", goal),
    }
    line(
        &what,
        Some(("walk and stat", Time(median(walks)))),
        Time(used.cpu),
        "",
    );
    line("… memory", None, Bytes(used.peak), "");
    Ok(())
}

/// All files written anew with nothing but noise changed, once; and some of them very often.
pub(crate) fn sweep(bench: &Bench) -> anyhow::Result<()> {
    let (desk, files) = of_copies(bench, bench.files.len())?;
    let (before, mut runs, mut floor) = (desk.size()?, Vec::new(), Vec::new());
    let mut newsroom = Newsroom::new(5);
    for round in bench.rounds() {
        doing(&format!("sweep {round}"));
        desk::rewrite(&files, &mut newsroom)?;
        floor.push(limit::read(&files)?);
        runs.push(desk.run("scan")?);
    }
    let (all, used) = (files.len(), middle(&runs));
    let what = format!("scan of {}, all rewritten but for noise", count(all));
    line(
        &format!("{what}: CPU a file"),
        Some(("bare read", Time(each(median(floor), all)))),
        Time(each(used.cpu, all)),
        "",
    );
    line(&format!("{what}: wall"), None, Time(used.wall), "");
    line(
        &format!("… database after {} times", runs.len()),
        Some(("before", Bytes(before))),
        Bytes(desk.size()?),
        "1.00 times",
    );
    Ok(())
}

/// A few files written anew very often.
pub(crate) fn volatile(bench: &Bench) -> anyhow::Result<()> {
    let (desk, files) = of_copies(bench, 1_000)?;
    let before = desk.size()?;
    let mut newsroom = Newsroom::new(6);
    let mut cpu = Duration::ZERO;
    for time in 1..=bench.rewrites {
        if time % 50 == 0 {
            doing(&format!("rewrite {time}"));
        }
        desk::rewrite(&files, &mut newsroom)?;
        cpu += desk.run("scan")?.cpu;
    }
    let all = files.len();
    let what = format!("{} rewrites of {}", count(bench.rewrites), count(all));
    line(
        &format!("database after {what}"),
        Some(("before", Bytes(before))),
        Bytes(desk.size()?),
        "1.00 times",
    );
    let rewrites = all * bench.rewrites;
    line("… CPU a rewrite", None, Time(each(cpu, rewrites)), "");
    Ok(())
}

/// A desk that has scanned copies of so many files, which may be written.
fn of_copies(bench: &Bench, most: usize) -> anyhow::Result<(Desk, Vec<PathBuf>)> {
    let files = &bench.files[..most.min(bench.files.len())];
    doing(&format!("copying {}", count(files.len())));
    let folder = bench.folder.path().join("copies");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let files = desk::copy(&bench.content, files, &folder)?;
    let desk = Desk::shipped(&[&folder])?;
    desk.run("scan")?;
    Ok((desk, files))
}

/// Scans as if for the first time.
pub(crate) fn first_scan(desk: &Desk) -> anyhow::Result<Used> {
    desk.clear()?;
    desk.run("scan")
}

/// The median of each figure.
pub(crate) fn middle(runs: &[Used]) -> Used {
    let time = |of: fn(&Used) -> Duration| median(runs.iter().map(of).collect());
    let mut peaks: Vec<u64> = runs.iter().map(|used| used.peak).collect();
    peaks.sort_unstable();
    let peak = peaks.get(peaks.len() / 2).copied().unwrap_or_default();
    let (cpu, wall) = (time(|used| used.cpu), time(|used| used.wall));
    Used { cpu, wall, peak }
}

/// The same files as git knows them; nothing is written beside them.
struct Git {
    folder: PathBuf,
    files: PathBuf,
}

impl Git {
    fn new(desk: &Desk, files: &Path) -> Option<Self> {
        let git = Self {
            folder: desk.path("git"),
            files: files.to_owned(),
        };
        doing("git add");
        for arguments in [
            &["init", "-q"][..],
            &["add", "-A"],
            &["commit", "-q", "-m", "all"],
        ] {
            process::run(git.command().args(arguments)).ok()?;
        }
        Some(git)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .arg("--git-dir")
            .arg(&self.folder)
            .arg("--work-tree")
            .arg(&self.files)
            .args(["-c", "core.compression=0", "-c", "gc.auto=0"])
            .args([
                "-c",
                "user.name=Bench",
                "-c",
                "user.email=bench@example.org",
            ])
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(&self.files);
        command
    }

    /// CPU time of `git status`, which is too short to be told of one run.
    fn status(&self) -> anyhow::Result<Duration> {
        const TIMES: u32 = 5;
        let mut cpu = Duration::ZERO;
        for _ in 0..TIMES {
            cpu += process::run(self.command().args(["status", "--porcelain"]))?.cpu;
        }
        Ok(cpu / TIMES)
    }
}
