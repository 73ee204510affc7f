//! `copydesk backtest`: what a rule set would do to everything already seen.

mod print;
mod suggested;

use super::{Desk, Exit, Usage};
use crate::backtest::{self, Agreement, Files, Page, Trial};
use crate::record::shown;
use crate::record::source::Source;
use crate::rules::RuleSet;
use crate::schedule;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Try the rules on the files of this folder, not on what was seen; needs no state folder
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Read the files as this source does
    #[arg(long, value_name = "NAME", requires = "against")]
    source: Option<String>,
    /// Leave out what was first seen (with --against: published) before: 3d, a date, or RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Look for the number that best tells approved from not, and print it as two queues
    #[arg(long)]
    suggest: bool,
    /// Exit with 1 if more records than this change their queue, with 2 if none stood anywhere
    #[arg(long, value_name = "N")]
    max_moved: Option<usize>,
    /// Exit with 1 if queues that decide agree with people or with the feed in less than this share
    /// (0 to 1), with 2 if nothing can be compared
    #[arg(long, value_name = "X", value_parser = share)]
    min_agreement: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    share.ok_or_else(|| "write a number from 0 to 1, like 0.95".to_owned())
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let rules = desk.rules()?;
    let zone = jiff::tz::TimeZone::system();
    let since = args.since.as_deref();
    let since = since.map(|text| schedule::moment_ago(text, desk.now, &zone));
    let bar = bar();
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let trial = Trial {
        rules: &rules,
        now: desk.now,
        since: since.transpose().map_err(Usage)?,
        suggest: args.suggest,
        progress: &progress,
    };
    let page = match &args.against {
        Some(folder) => over_files(&trial, folder, args.source.as_deref())?,
        None => backtest::over_store(&mut desk.store()?, &trial)?,
    };
    bar.finish_and_clear();
    for (location, reason) in page.broken_files.iter().take(10) {
        let (location, reason) = (shown::line(location, 120), shown::line(reason, 200));
        desk.screen.complain(format!("{location}:{reason}"))?;
    }
    if desk.screen.is_json() {
        desk.screen.json(&page)?;
    } else {
        print::page(desk.screen, &page, &rules)?;
    }
    gates(desk, args, &page)
}

fn over_files(trial: &Trial<'_>, folder: &Path, named: Option<&str>) -> anyhow::Result<Page> {
    if !folder.is_dir() {
        return Err(Usage(format!("`{}` is no folder", folder.display())).into());
    }
    let (source, below) = place(trial.rules, folder, named)?;
    let files = Files {
        folder,
        source,
        below: &below,
    };
    backtest::over_files(&files, trial)
        .with_context(|| format!("`{}` cannot be read", folder.display()))
}

/// The source whose folder holds this one, and the way from there; outside every source, the one
/// that was named or the only one there is.
fn place<'r>(
    rules: &'r RuleSet,
    folder: &Path,
    named: Option<&str>,
) -> Result<(&'r Source, PathBuf), Usage> {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let below = |source: &Source| {
        let root = source.path.canonicalize().ok()?;
        whole.strip_prefix(root).ok().map(Path::to_owned)
    };
    let all = || {
        let names: Vec<&str> = rules.sources.iter().map(|s| s.name.as_str()).collect();
        names.join(", ")
    };
    let source = match named {
        Some(name) => rules
            .source(name)
            .ok_or_else(|| format!("there is no source `{name}`; the sources are: {}", all())),
        None => {
            let around = rules.sources.iter().find(|source| below(source).is_some());
            match (around, rules.sources.as_slice()) {
                (Some(source), _) | (None, [source]) => Ok(source),
                _ => Err(format!(
                    "`{}` is in no source; name one with --source: {}",
                    folder.display(),
                    all()
                )),
            }
        }
    }
    .map_err(Usage)?;
    Ok((source, below(source).unwrap_or_default()))
}

/// Whether the gates hold. One that is violated counts for more than one that has nothing to say.
fn gates(desk: &mut Desk<'_>, args: &Args, page: &Page) -> anyhow::Result<Exit> {
    let (mut faults, mut blanks) = (Vec::new(), Vec::new());
    if let Some(most) = args.max_moved {
        match page.moved_count {
            Some(moved) if moved > most => faults.push(format!(
                "--max-moved {most}: {moved} records change their queue"
            )),
            Some(_) => {}
            None => blanks.push("--max-moved: no record stood anywhere before".to_owned()),
        }
    }
    if let Some(least) = args.min_agreement {
        let Agreement { people, feed } = page.agreement;
        for (agree, with) in [(people, "people"), (feed, "the feed")] {
            if let Some(agree) = agree.filter(|agree| agree.share() < least) {
                let (agree, of) = (agree.agree, agree.of);
                faults.push(format!(
                    "--min-agreement {least}: {agree} of {of} decisions agree with {with}"
                ));
            }
        }
        if people.or(feed).is_none() {
            blanks.push("--min-agreement: no queue decides on a record with a decision".to_owned());
        }
    }
    for fault in &faults {
        desk.screen.complain(format!("copydesk: {fault}"))?;
    }
    match (faults.as_slice(), blanks.as_slice()) {
        ([], []) => Ok(Exit::Done),
        ([], blanks) => Err(Usage(blanks.join("; ")).into()),
        _ => Ok(Exit::Wrong),
    }
}

/// A bar on standard error; on anything but a terminal it draws nothing.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} records, {eta} left");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
