//! `copydesk backup`: a consistent copy of the database, beside whatever runs.

use super::screen::counted;
use super::{Desk, Exit, Usage};
use crate::record::shown;
use crate::schedule::rfc3339;
use crate::store::Store;
use crate::store::backup::Holds;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; an earlier backup of that name is replaced, nothing else is
    file: PathBuf,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let database = desk.folders.database();
    if !database.exists() {
        let path = database.display();
        return Err(Usage(format!("there is nothing to back up: no `{path}`")).into());
    }
    let holds = Store::open(&database)?.back_up(&args.file, desk.now)?;
    let file = args.file.display().to_string();
    if desk.screen.is_json() {
        let taken = rfc3339(desk.now);
        desk.screen
            .json(&json!({"file": file, "taken": taken, "holds": holds}))?;
    } else {
        let file = shown::line(&file, 200);
        desk.screen.line(format!("{file} is written and checked"))?;
        desk.screen.line(format!("    {}", contents(&holds)))?;
    }
    Ok(Exit::Done)
}

/// What a copy holds, in one line.
pub(super) fn contents(holds: &Holds) -> String {
    format!(
        "{}, {}, {}, {}",
        counted(holds.records, "record"),
        counted(holds.open, "open item"),
        counted(holds.decisions, "decision"),
        counted(holds.unsent, "unsent mail")
    )
}
