//! What cannot be passed on this machine, measured beside what is ours.

use crate::process::cpu;
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use walkdir::WalkDir;

/// CPU time of reading all files and storing each as a row, under its path and with its hash: whoever
/// remembers what it read does as much.
pub(crate) fn read_and_store(files: &[PathBuf], folder: &Path) -> anyhow::Result<Duration> {
    let path = folder.join("raw.db");
    let before = cpu();
    let mut connection = Raw::open(&path)?;
    for batch in files.chunks(1_000) {
        let tx = connection.0.transaction()?;
        for file in batch {
            put(&tx, &file.to_string_lossy(), &fs::read(file)?)?;
        }
        tx.commit()?;
    }
    drop(connection);
    let took = cpu().saturating_sub(before);
    fs::remove_file(path)?;
    Ok(took)
}

/// A database of rows, and nothing besides.
pub(crate) struct Raw(Connection);

impl Raw {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE raw (id INTEGER PRIMARY KEY, path TEXT UNIQUE, hash BLOB, bytes BLOB) STRICT",
        )?;
        Ok(Self(connection))
    }

    /// The time until one file is read and is a row.
    pub(crate) fn one(&mut self, file: &Path) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let tx = self.0.transaction()?;
        put(&tx, &file.to_string_lossy(), &fs::read(file)?)?;
        tx.commit()?;
        Ok(started.elapsed())
    }
}

fn put(connection: &Connection, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let sql = "INSERT INTO raw (path, hash, bytes) VALUES (?1, ?2, ?3)";
    let hash = blake3::hash(bytes);
    let mut insert = connection.prepare_cached(sql)?;
    insert.execute((path, &hash.as_bytes()[..], bytes))?;
    Ok(())
}

/// CPU time of reading all files.
pub(crate) fn read(files: &[PathBuf]) -> anyhow::Result<Duration> {
    let before = cpu();
    for file in files {
        std::hint::black_box(fs::read(file)?);
    }
    Ok(cpu().saturating_sub(before))
}

/// CPU and wall time of walking over a folder and asking for the state of each file.
pub(crate) fn walk(folder: &Path) -> anyhow::Result<(Duration, Duration)> {
    let (before, started) = (cpu(), Instant::now());
    for entry in WalkDir::new(folder) {
        std::hint::black_box(entry?.metadata()?);
    }
    Ok((cpu().saturating_sub(before), started.elapsed()))
}
