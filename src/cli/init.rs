//! `copydesk init`: the two folders to start from, or a unit for systemd. Asks nothing and
//! overwrites nothing.

use super::{Desk, Exit};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to put `rules/` and `state/`
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print a unit for systemd, and make nothing
    #[arg(long)]
    systemd: bool,
}

const UNIT: &str = include_str!("init/copydesk.service");

const FILES: [(&str, &str); 8] = [
    ("rules/README.md", include_str!("../../rules/README.md")),
    (
        "rules/sources.yaml",
        include_str!("../../rules/sources.yaml"),
    ),
    (
        "rules/scoring.yaml",
        include_str!("../../rules/scoring.yaml"),
    ),
    ("rules/queues.yaml", include_str!("../../rules/queues.yaml")),
    (
        "rules/reviewers.yaml",
        include_str!("../../rules/reviewers.yaml"),
    ),
    ("rules/desk.yaml", include_str!("../../rules/desk.yaml")),
    ("rules/schema.json", crate::rules::SCHEMA),
    ("state/.gitignore", include_str!("../../state/.gitignore")),
];

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    if args.systemd {
        desk.screen.line(UNIT.trim_end())?;
        return Ok(Exit::Done);
    }
    let mut made = Vec::new();
    for (name, text) in FILES {
        let path = args.dir.join(name);
        if put(&path, text)? {
            desk.screen.complain(format!("made {}", path.display()))?;
            made.push(name);
        } else {
            desk.screen
                .complain(format!("kept {}, which is there already", path.display()))?;
        }
    }
    if desk.screen.is_json() {
        desk.screen.json(&made)?;
    } else {
        let sources = args.dir.join("rules/sources.yaml");
        desk.screen.line(format!(
            "Next: say in {} where your content is, then `copydesk check`, then `copydesk scan`.",
            sources.display()
        ))?;
    }
    Ok(Exit::Done)
}

/// Writes a file that is not there yet; says whether it did.
fn put(path: &Path, text: &str) -> std::io::Result<bool> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
