//! How costs grow with what a desk holds, and what its program costs to start.

use crate::Bench;
use crate::desk::{self, Desk, in_memory};
use crate::process;
use crate::scans::{first_scan, middle};
use crate::table::Measure::{Bytes, Time};
use crate::table::{count, doing, each, line, median};
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::Duration;

const GOAL: &str = "1.3 times";
/// The program is started so often; Linux tells CPU times by hundredths of a second.
const STARTS: usize = 100;

/// By records: the first scan of more and more files, which are made up.
pub(crate) fn records(bench: &Bench) -> anyhow::Result<()> {
    let mut first = None;
    for size in &bench.sizes {
        let content = in_memory()?;
        doing(&format!("making {} files", count(*size)));
        desk::write_stories(content.path(), *size)?;
        let desk = Desk::shipped(&[content.path()])?;
        let (mut first_scans, mut second) = (Vec::new(), Vec::new());
        for _ in bench.rounds() {
            doing(&format!("scans of {}", count(*size)));
            first_scans.push(first_scan(&desk)?);
            second.push(desk.run("scan")?);
        }
        let (scan, again) = (middle(&first_scans), middle(&second));
        let cost = |cpu| Time(each(cpu, *size));
        let now = (cost(scan.cpu), cost(again.cpu));
        let (least, before) = *first.get_or_insert((*size, now));
        let of = format!("of {}", count(least));
        let what = format!("first scan of {}", count(*size));
        line(
            &format!("{what}: CPU a record"),
            Some((&of, before.0)),
            now.0,
            GOAL,
        );
        line("… and nothing changed", Some((&of, before.1)), now.1, GOAL);
        line("… memory of the first", None, Bytes(scan.peak), "");
        line("… of the second", None, Bytes(again.peak), "");
    }
    Ok(())
}

/// By rules: the first scan with more and more, without what loading them costs.
pub(crate) fn rules(bench: &Bench) -> anyhow::Result<()> {
    let content = bench.folder.path().join("few");
    let few = &bench.files[..bench.files.len().min(10_000)];
    let files = desk::copy(&bench.content, few, &content)?;
    let mut first = None;
    for rules in [10, 100, 1_000, 10_000] {
        let desk = Desk::with_rules(&content, &files, rules)?;
        let (mut scans, mut loads) = (Vec::new(), Vec::new());
        for _ in bench.rounds() {
            doing(&format!("{} rules", count(rules)));
            loads.push(desk.run("check")?);
            scans.push(first_scan(&desk)?);
        }
        let (scan, load) = (middle(&scans).cpu, middle(&loads).cpu);
        let cost = Time(each(scan.saturating_sub(load), files.len()));
        line(
            &format!("first scan by {} rules, loaded: CPU a record", count(rules)),
            Some(("by 10", *first.get_or_insert(cost))),
            cost,
            GOAL,
        );
    }
    Ok(())
}

/// By reviewers: what one more who is owed a digest costs.
pub(crate) fn reviewers(bench: &Bench) -> anyhow::Result<()> {
    let desk = Desk::shipped(&[&bench.content])?;
    doing("reviewers: the first scan");
    desk.run("scan")?;
    desk.keep()?;
    let cost = |reviewers: usize| -> anyhow::Result<(Duration, Duration)> {
        doing(&format!("{} reviewers", count(reviewers)));
        let mut text = "reviewers:\n".to_owned();
        for n in 0..reviewers {
            let _ = writeln!(
                text,
                "  - {{name: R{n}, email: r{n}@example.org, queues: all, digest: \"0 9 * * *\"}}"
            );
        }
        desk.rule("reviewers.yaml", &text)?;
        let (mut runs, mut again) = (Vec::new(), Vec::new());
        for _ in bench.rounds() {
            desk.back_to_kept()?;
            runs.push(desk.run("notify")?);
            again.push(desk.run("notify")?);
        }
        Ok((middle(&runs).cpu, middle(&again).cpu))
    };
    let one = cost(1)?;
    let what = "`notify`, first digests";
    line(&format!("{what}: CPU for one"), None, Time(one.0), "");
    let mut first = None;
    for reviewers in [100, 1_000] {
        let (cpu, again) = cost(reviewers)?;
        let more = |cpu: Duration, one| Time(each(cpu.saturating_sub(one), reviewers - 1));
        let now = (more(cpu, one.0), more(again, one.1));
        let before = *first.get_or_insert(now);
        line(
            &format!("{what} to {}: CPU for each", count(reviewers)),
            Some(("of 100", before.0)),
            now.0,
            GOAL,
        );
        line(
            "… right after, when nothing is owed",
            Some(("of 100", before.1)),
            now.1,
            GOAL,
        );
    }
    Ok(())
}

/// The program itself.
pub(crate) fn start(bench: &Bench) -> anyhow::Result<()> {
    let desk = Desk::shipped(&[&bench.content])?;
    doing("starting");
    let mut programs = [
        ("true", Command::new("true")),
        ("--version", desk.command("--version")),
        ("check", desk.command("check")),
    ];
    let mut nothing = None;
    for (name, command) in &mut programs {
        let (mut walls, mut cpu) = (Vec::new(), Duration::ZERO);
        for _ in 0..STARTS {
            let used = process::run(command)?;
            walls.push(used.wall);
            cpu += used.cpu;
        }
        let now = (Time(median(walls)), Time(each(cpu, STARTS)));
        // The first is the limit of the others.
        let Some(before) = nothing else {
            nothing = Some(now);
            continue;
        };
        let name = format!("`copydesk {name}`");
        line(
            &format!("{name}: wall"),
            Some(("`true`", before.0)),
            now.0,
            "",
        );
        line(
            &format!("{name}: CPU"),
            Some(("`true`", before.1)),
            now.1,
            "",
        );
    }
    let size = fs::metadata(env!("CARGO_BIN_EXE_copydesk"))?.len();
    line("size of the program", None, Bytes(size), "");
    Ok(())
}
