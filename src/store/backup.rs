//! A copy of the whole database, taken while others write, and checked before it counts.

use super::{Micros, Store, StoreError};
use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// How the names of copies in the making begin; six letters or digits follow.
const IN_THE_MAKING: &str = ".copydesk-backup-";
/// How the names of the files end that SQLite keeps beside one.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// Records.
    pub records: usize,
    /// Items that wait.
    pub open: usize,
    /// Decisions.
    pub decisions: usize,
    /// Mails that are neither sent nor given up.
    pub unsent: usize,
}

impl Store {
    /// Writes a copy of the database into `file`, as it stands at one moment. An earlier copy of
    /// that name is replaced once the new one is whole, checked and on disk; nothing else ever is.
    ///
    /// # Errors
    /// [`BackupError`]; `file` is as it was then.
    pub fn back_up(&self, file: &Path, now: Timestamp) -> Result<Holds, BackupError> {
        let replaces = may_replace(file)?;
        let failed = |error| BackupError::Write {
            path: file.to_owned(),
            error,
        };
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        sweep(folder);
        let copy = begin(folder).map_err(failed)?;
        let mut connection = Connection::open(copy.path())?;
        copy_all(&self.connection, &mut connection).map_err(|error| {
            match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => failed(std::io::Error::other(error)),
                _ => error.into(),
            }
        })?;
        // A file that stands alone, readable without a folder to write in.
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        let sql = "INSERT INTO backup (id, at) VALUES (1, ?1)
                   ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        connection.execute(sql, [Micros(now)])?;
        check(&connection).map_err(BackupError::Damaged)?;
        let holds = holds(&connection)?;
        connection.close().map_err(|(_, error)| error)?;
        copy.as_file().sync_all().map_err(failed)?;
        let kept = if replaces {
            copy.persist(file)
        } else {
            copy.persist_noclobber(file)
        };
        kept.map_err(|error| failed(error.error))?;
        sync_folder(folder).map_err(failed)?;
        Ok(holds)
    }
}

/// Makes the file that a copy is made in, and locks it for as long as that takes.
fn begin(folder: &Path) -> std::io::Result<NamedTempFile> {
    loop {
        let copy = tempfile::Builder::new()
            .prefix(IN_THE_MAKING)
            .tempfile_in(folder)?;
        // A file system without locks does without: nothing is swept there.
        let _ = flock(copy.as_file(), FlockOperation::LockExclusive);
        // Another may have swept it away before it was locked.
        if copy.as_file().metadata()?.nlink() > 0 {
            return Ok(copy);
        }
    }
}

/// Removes what backups that were killed have left in a folder: whoever still makes one holds its
/// lock.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let copy = name.to_str().and_then(|name| {
            let id = name.strip_prefix(IN_THE_MAKING)?;
            let beside = BESIDE.iter().find_map(|ending| id.strip_suffix(ending));
            let id = beside.unwrap_or(id);
            let is_id = id.len() == 6 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            is_id.then(|| folder.join(format!("{IN_THE_MAKING}{id}")))
        });
        let (Some(copy), true) = (copy, entry.file_type().is_ok_and(|kind| kind.is_file())) else {
            continue;
        };
        let lock = match std::fs::File::open(&copy) {
            Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).map(|()| Some(file)),
            // Its journal was left alone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(_) => continue,
        };
        if lock.is_ok() {
            for ending in BESIDE.iter().chain(&[""]) {
                let mut path = copy.clone().into_os_string();
                path.push(ending);
                drop(std::fs::remove_file(path));
            }
        }
    }
}

/// Whether there is an earlier copy to be replaced.
fn may_replace(file: &Path) -> Result<bool, BackupError> {
    if std::fs::symlink_metadata(file).is_err() {
        return Ok(false);
    }
    match taken_at(file) {
        Some(_) => Ok(true),
        None => Err(BackupError::NoCopy(file.to_owned())),
    }
}

/// When a copy was taken; `None` for every other file, a database at work too.
fn taken_at(file: &Path) -> Option<Timestamp> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let sql = "SELECT at FROM backup WHERE id = 1";
    connection
        .query_row(sql, [], |row| row.get::<_, Micros>(0))
        .ok()
        .map(|at| at.0)
}

/// Copies every page as they stand at one moment.
pub(super) fn copy_all(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(from, to)?;
    finish(&backup)
}

/// Takes the rest of the steps; one that is kept out by another process's lock is tried again.
pub(super) fn finish(backup: &Backup<'_, '_>) -> rusqlite::Result<()> {
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        // All pages in one step: with several, each write in between would begin it anew.
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if Instant::now() > give_up => return Err(busy()),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

pub(super) fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

/// Reads every page and index: the first thing that is wrong, if anything is.
pub(super) fn check(connection: &Connection) -> Result<(), String> {
    let found = connection.query_row("PRAGMA integrity_check(1)", [], |row| {
        row.get::<_, String>(0)
    });
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(found),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn holds(connection: &Connection) -> rusqlite::Result<Holds> {
    let count = |sql| {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>(usize::try_from(count).unwrap_or_default())
    };
    Ok(Holds {
        records: count("SELECT count(*) FROM records")?,
        open: count("SELECT count(*) FROM items WHERE status IN ('pending', 'held')")?,
        decisions: count("SELECT count(*) FROM decisions")?,
        unsent: count(
            "SELECT count(*) FROM mails WHERE status IN ('queued', 'sending', 'uncertain')",
        )?,
    })
}

/// Makes a rename in a folder last.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something else has that name.
    #[error("`{}` is there already and is no backup; it is not written over: name another file", .0.display())]
    NoCopy(PathBuf),
    /// The file cannot be written.
    #[error("the backup `{}` cannot be written: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// What was copied is damaged, so what it was copied from is.
    #[error(
        "the database is damaged, and no backup was made of it: {0}; `copydesk restore FILE` brings an earlier one back"
    )]
    Damaged(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
