//! A desk over a folder of files, and that folder.

use crate::newsroom::Newsroom;
use crate::process::{self, Service, Used};
use anyhow::{Context, ensure};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use walkdir::WalkDir;

/// The rules that the repository ships.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
const PROGRAM: &str = env!("CARGO_BIN_EXE_copydesk");
/// Nothing that is measured here takes so long.
const LONGEST_PASS: Duration = Duration::from_secs(1_800);
/// Files in one folder.
const FOLDER: usize = 100;

/// A new folder in memory, if this machine has one, so that no disk is measured.
pub(crate) fn in_memory() -> anyhow::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let made = tempfile::Builder::new()
        .prefix("copydesk-bench-")
        .tempdir_in(folder)?;
    Ok(made)
}

/// `rules/` and `state/` in a folder of its own.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    /// One with the shipped rules, over these folders: a source for each.
    pub(crate) fn shipped(contents: &[&Path]) -> anyhow::Result<Self> {
        let desk = Self {
            folder: in_memory()?,
        };
        fs::create_dir(desk.path("rules"))?;
        for entry in fs::read_dir(RULES)? {
            let entry = entry?;
            fs::copy(entry.path(), desk.path("rules").join(entry.file_name()))?;
        }
        desk.rule("sources.yaml", &sources(contents)?)?;
        Ok(desk)
    }

    /// One with so many rules that are made up over what stands in its files: each record is meant to
    /// be hit by about five of them, however many there are.
    pub(crate) fn with_rules(
        content: &Path,
        files: &[PathBuf],
        count: usize,
    ) -> anyhow::Result<Self> {
        let desk = Self::shipped(&[content])?;
        for file in ["queues.yaml", "scoring.yaml"] {
            fs::remove_file(desk.path("rules").join(file))?;
        }
        let base = "score:\n  quality: {field: quality, weight: 1}\n  heat: {field: heat, weight: 0.5}\n\
                    queues:\n  - {name: general}\n";
        desk.rule("queues.yaml", base)?;
        let rules = copydesk::rules::RuleSet::load(&desk.path("rules"))?;
        let source = &rules.sources[0];
        let step = (files.len() / 10_000).max(1);
        let records = files.iter().step_by(step).filter_map(|file| {
            let bytes = fs::read(file).ok()?;
            let record = copydesk::record::Record::read(&bytes, "story.md", source).ok()?;
            Some(record.fields)
        });
        let records: Vec<_> = records.collect();
        desk.rule("rules.yaml", &Newsroom::new(1).rules(count, &records))?;
        Ok(desk)
    }

    /// Puts another file of rules in place.
    pub(crate) fn rule(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.path("rules").join(name), text)?)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// A command of it.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(verb).current_dir(self.folder.path());
        command
            .env("COPYDESK_LISTEN", "127.0.0.1:0")
            .env("NO_COLOR", "1")
            .env("TZ", "UTC");
        command
    }

    pub(crate) fn run(&self, verb: &str) -> anyhow::Result<Used> {
        process::run(&mut self.command(verb))
    }

    pub(crate) fn serve(&self) -> anyhow::Result<Service> {
        Service::start(&mut self.command("run"), self.folder.path())
    }

    /// The same, which then is left alone until its first pass has ended; how long that took from its
    /// start.
    pub(crate) fn serve_and_pass(&self) -> anyhow::Result<(Service, Duration)> {
        let (before, started) = (self.last_pass()?, Instant::now());
        let service = self.serve()?;
        while self.last_pass()? == before {
            ensure!(started.elapsed() < LONGEST_PASS, "no pass ends");
            thread::sleep(Duration::from_millis(5));
        }
        Ok((service, started.elapsed()))
    }

    /// When the last whole pass ended.
    fn last_pass(&self) -> anyhow::Result<Option<i64>> {
        let sql = "SELECT max(at) FROM runs WHERE kind = 'scan'";
        Ok(self.reader()?.query_row(sql, (), |row| row.get(0))?)
    }

    /// Forgets all.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        let state = self.path("state");
        if state.exists() {
            fs::remove_dir_all(state)?;
        }
        Ok(())
    }

    /// Keeps a copy of the database as it is, while nothing runs.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        fs::copy(self.path("state/copydesk.db"), self.path("kept.db"))?;
        Ok(())
    }

    /// Forgets all that came since it was kept.
    pub(crate) fn back_to_kept(&self) -> anyhow::Result<()> {
        self.clear()?;
        fs::create_dir(self.path("state"))?;
        fs::copy(self.path("kept.db"), self.path("state/copydesk.db"))?;
        Ok(())
    }

    /// Bytes of the database and of what lies beside it.
    pub(crate) fn size(&self) -> anyhow::Result<u64> {
        let mut size = 0;
        for entry in fs::read_dir(self.path("state"))? {
            size += entry?.metadata()?.len();
        }
        Ok(size)
    }

    pub(crate) fn reader(&self) -> anyhow::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let reader = Connection::open_with_flags(self.path("state/copydesk.db"), flags)?;
        reader.busy_timeout(Duration::from_secs(10))?;
        Ok(reader)
    }
}

/// The shipped sources, with one of these folders in each.
fn sources(contents: &[&Path]) -> anyhow::Result<String> {
    let shipped = fs::read_to_string(Path::new(RULES).join("sources.yaml"))?;
    let (head, one) = shipped
        .split_once("sources:\n")
        .context("no sources in the shipped rules")?;
    let mut text = format!("{head}sources:\n");
    for (n, content) in contents.iter().enumerate() {
        let path = serde_json::to_string(content)?;
        let lines = one.lines().map(|line| match line.trim_start() {
            line if line.starts_with("- name:") => format!("  - name: source-{n}\n"),
            part if part.starts_with("path:") => format!("    path: {path}\n"),
            _ => format!("{line}\n"),
        });
        text.extend(lines);
    }
    Ok(text)
}

/// Makes up so many files, in folders of a hundred.
pub(crate) fn write_stories(folder: &Path, count: usize) -> anyhow::Result<()> {
    let mut newsroom = Newsroom::new(1);
    for n in 0..count {
        let below = n / FOLDER;
        let below = folder.join(format!("{:03}/{:02}", below / 100, below % 100));
        if n % FOLDER == 0 {
            fs::create_dir_all(&below)?;
        }
        fs::write(below.join(format!("{n}.md")), newsroom.story())?;
    }
    Ok(())
}

/// The content files of a folder, in the order of their names.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|it| it == "md") {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Copies so many files of a folder, which is not written into.
pub(crate) fn copy(from: &Path, files: &[PathBuf], to: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut copied = Vec::with_capacity(files.len());
    for file in files {
        let copy = to.join(file.strip_prefix(from)?);
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(file, &copy)?;
        copied.push(copy);
    }
    Ok(copied)
}

/// Writes files again as the feed does: the same, but for the noise.
pub(crate) fn rewrite(files: &[PathBuf], newsroom: &mut Newsroom) -> anyhow::Result<()> {
    for file in files {
        let text = fs::read_to_string(file)?;
        let (before, rest) = text
            .split_once("\nsecured: \"")
            .with_context(|| format!("{} has no `secured`", file.display()))?;
        let (noise, after) = rest.split_once('"').context("an open quote")?;
        let noise = newsroom.noise(noise.len());
        fs::write(file, format!("{before}\nsecured: \"{noise}\"{after}"))?;
    }
    Ok(())
}
