//! `copydesk scan`: one pass, then one write-back tick; once a day what is old is forgotten.

use super::screen::counted;
use super::{Desk, Exit, Usage};
use crate::daemon;
use crate::intake::{self, Control};
use crate::store::Store;
use crate::store::lock::Lock;
use crate::store::retention;
use crate::write_back;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read this folder in place of the path of the one source
    content: Option<PathBuf>,
    /// Say what a pass would do, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let mut rules = desk.rules()?;
    daemon::place_content(&mut rules, args.content.as_ref())
        .map_err(|error| Usage(error.to_string()))?;
    let (counts, outcomes) = if args.dry_run {
        let mut copy = desk.store()?.copy_in_memory()?;
        (
            intake::scan(&mut copy, &rules, desk.now, &Control::NONE)?.0,
            Vec::new(),
        )
    } else {
        let _lock = Lock::wait(&desk.folders.lock())?;
        let mut store = Store::open(&desk.folders.database())?;
        write_back::sweep(&mut store, &rules, desk.now)?;
        let bar = bar();
        let progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let control = Control {
            progress: &progress,
            ..Control::NONE
        };
        let (counts, _) = intake::scan(&mut store, &rules, desk.now, &control)?;
        bar.finish_and_clear();
        let outcomes = write_back::tick(&mut store, &rules, desk.now)?;
        retention::tick(&mut store, &rules, desk.now, &|| false)?;
        (counts, outcomes)
    };
    for outcome in &outcomes {
        if let Some(trouble) = super::decide::trouble(outcome) {
            desk.screen.complain(trouble)?;
        }
    }
    if desk.screen.is_json() {
        desk.screen.json(&counts)?;
        return Ok(Exit::Done);
    }
    let of = [
        (counts.new, "new"),
        (counts.changed, "changed"),
        (counts.rescored, "rescored"),
        (counts.unchanged, "unchanged"),
    ];
    let of: Vec<String> = of.iter().map(|(n, word)| format!("{n} {word}")).collect();
    desk.screen.line(format!(
        "{}: {}",
        counted(counts.records, "record"),
        of.join(", ")
    ))?;
    if counts.broken > 0 {
        desk.screen.line(format!(
            "{} broken: `copydesk status` lists them",
            counts.broken
        ))?;
    }
    desk.screen.line(format!(
        "{} open: `copydesk queue` lists them",
        counted(counts.queued, "item")
    ))?;
    Ok(Exit::Done)
}

/// A bar on standard error; on anything but a terminal it draws nothing.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} files, {eta} left");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
