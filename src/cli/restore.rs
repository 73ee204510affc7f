//! `copydesk restore`: a backup takes the place of the database.

use super::backup::contents;
use super::{Desk, Exit};
use crate::record::shown;
use crate::schedule::rfc3339;
use crate::store::lock::Lock;
use crate::store::restore;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file that `copydesk backup` has written, or a copy of a database
    file: PathBuf,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let _lock = Lock::wait(&desk.folders.lock())?;
    let restored = restore::restore(&desk.folders.database(), &args.file, desk.now)?;
    let file = args.file.display().to_string();
    let kept = restored.kept.map(|kept| kept.display().to_string());
    let taken = restored.taken.map(rfc3339);
    if desk.screen.is_json() {
        desk.screen
            .json(&json!({"file": file, "taken": taken, "holds": restored.holds, "kept": kept}))?;
        return Ok(Exit::Done);
    }
    let taken = taken.map_or(String::new(), |taken| format!(", taken at {taken},"));
    let file = shown::line(&file, 200);
    desk.screen.line(format!("{file}{taken} is restored"))?;
    desk.screen
        .line(format!("    {}", contents(&restored.holds)))?;
    if let Some(kept) = kept {
        let kept = shown::line(&kept, 200);
        desk.screen
            .line(format!("what was there is kept as {kept}"))?;
    }
    if restored.holds.unsent > 0 {
        desk.screen.line(
            "the unsent mails are held: they may have been sent since the backup was taken",
        )?;
    }
    desk.screen
        .line("`copydesk scan` or `copydesk run` reads every file again")?;
    Ok(Exit::Done)
}
