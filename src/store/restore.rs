//! Puts a backup in the place of the database.
//!
//! The backup is copied beside the database, checked, migrated and made ready there; then its pages
//! replace those of the database in one transaction of it, so that a process that has it open sees
//! all of the one or all of the other. What was there is kept under another name.

use super::backup::{Holds, busy, check, copy_all, finish, holds, sync_folder};
use super::{MIGRATIONS, Micros, Store, StoreError};
use crate::schedule::rfc3339;
use jiff::Timestamp;
use rusqlite::backup::Backup;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// When the backup was taken, if it says so.
    pub taken: Option<Timestamp>,
    /// What it holds; its unsent mails are held.
    pub holds: Holds,
    /// Where what was there before is kept.
    pub kept: Option<PathBuf>,
}

/// Numbers that were given out by the database that is replaced.
#[derive(Debug, Default)]
struct Given {
    item: i64,
    mail: i64,
    versions: Vec<(i64, i64)>,
}

const STAGED: &str = ".copydesk-restore-";

/// Where nothing tells which numbers were given out since the backup, they go on so much higher.
const LEAP: i64 = 100_000;
const VERSION_LEAP: i64 = 100;

/// Puts the backup `file` in the place of `database`. The caller holds the lock of the state folder.
///
/// # Errors
/// [`RestoreError`]; the database is as it was then.
pub fn restore(database: &Path, file: &Path, now: Timestamp) -> Result<Restored, RestoreError> {
    if std::fs::canonicalize(file).ok() == std::fs::canonicalize(database).ok() && file.exists() {
        return Err(RestoreError::Itself(file.to_owned()));
    }
    let failed = |error| RestoreError::Write {
        path: database.to_owned(),
        error,
    };
    let folder = database.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    sweep(folder);
    let mut again = 0;
    loop {
        let staged = tempfile::Builder::new()
            .prefix(STAGED)
            .tempdir_in(folder)
            .map_err(failed)?;
        let mut ready = stage(file, &staged.path().join("copydesk.db"))?;
        let (present, mut kept) = Present::open(database, now).map_err(failed)?;
        let given = present.given()?;
        let holds = holds(&ready.connection)?;
        let taken = make_ready(&mut ready, given.as_ref(), now)?;
        let aside = aside(database, now);
        if present.existed {
            kept = Some(aside.clone());
        }
        if replace(present, &ready.connection, &aside)? {
            sync_folder(folder).map_err(failed)?;
            return Ok(Restored { taken, holds, kept });
        }
        // Someone decided meanwhile: that is to be counted too.
        again += 1;
        if again > 10 {
            return Err(busy().into());
        }
    }
}

/// Removes what a restoring that was killed has left.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGED) {
            let path = entry.path();
            drop(std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)));
        }
    }
}

/// A checked copy of the backup, brought up to date.
fn stage(file: &Path, staged: &Path) -> Result<Store, RestoreError> {
    let unreadable = |error| RestoreError::Unreadable {
        path: file.to_owned(),
        error,
    };
    std::fs::File::open(file).map_err(unreadable)?;
    let no_desk = |_| RestoreError::NoDesk(file.to_owned());
    let damaged = |what| RestoreError::Damaged {
        path: file.to_owned(),
        what,
    };
    let from =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(no_desk)?;
    let sql = "SELECT count(*) FROM sqlite_master
               WHERE type = 'table' AND name IN ('schema_version', 'records', 'items', 'decisions')";
    let tables: i64 = match from.query_row(sql, [], |row| row.get(0)) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            return Err(damaged(error.to_string()));
        }
        tables => tables.map_err(no_desk)?,
    };
    if tables != 4 {
        return Err(RestoreError::NoDesk(file.to_owned()));
    }
    let mut copy = Connection::open(staged)?;
    copy_all(&from, &mut copy).map_err(|error| damaged(error.to_string()))?;
    check(&copy).map_err(damaged)?;
    let found: i64 = copy.query_row("SELECT max(version) FROM schema_version", [], |row| {
        row.get(0)
    })?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        let path = file.to_owned();
        return Err(StoreError::Newer { path, found, known }.into());
    }
    let strays = "SELECT count(*) FROM pragma_foreign_key_check";
    if copy.query_row(strays, [], |row| row.get::<_, i64>(0))? > 0 {
        return Err(damaged("rows refer to rows that are not there".into()));
    }
    Ok(Store::set_up(copy, file)?)
}

/// Sees to it that what happened since the backup is not done again, nor taken for something else.
fn make_ready(
    store: &mut Store,
    given: Option<&Given>,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    store.write(|tx| {
        let taken = tx.one("SELECT at FROM backup WHERE id = 1", (), |row| {
            row.get::<_, Micros>(0)
        })?;
        let taken = taken.map(|at| at.0);
        tx.run("DELETE FROM backup", ())?;
        let last = |table: &str| {
            let sql = format!("SELECT coalesce(max(id), 0) FROM {table}");
            Ok::<i64, StoreError>(tx.one(&sql, (), |row| row.get(0))?.unwrap_or_default())
        };
        let (items, mails) = (last("items")?, last("mails")?);
        let item = given.map_or(items + LEAP, |given| given.item.max(items));
        let mail = given.map_or(mails + LEAP, |given| given.mail.max(mails));
        let note = "INSERT INTO restores (at, taken_at, last_item, last_mail) VALUES (?1, ?2, ?3, ?4)";
        tx.run(note, (Micros(now), super::micros(taken), item, mail))?;

        // A reference that someone was mailed must not mean another version than the one she saw.
        let raised = match given {
            Some(given) => {
                let raise = "UPDATE items SET version = ?2 + 1 WHERE id = ?1 AND version < ?2";
                let mut raised = Vec::new();
                for (item, version) in &given.versions {
                    if tx.run(raise, (item, version))? > 0 {
                        raised.push(*item);
                    }
                }
                raised
            }
            None => tx.all(
                "UPDATE items SET version = version + ?1 RETURNING id",
                [VERSION_LEAP],
                |row| row.get(0),
            )?,
        };
        for item in raised.into_iter().map(|item: i64| tx.item(item)) {
            if let Some(item) = item? {
                tx.add_event(&item, "restored", "copydesk", None, now)?;
            }
        }

        let held = format!(
            "held, since a backup{} was restored at {}: it may have been sent meanwhile; the next digest tells what waits",
            taken.map(|at| format!(" of {}", rfc3339(at))).unwrap_or_default(),
            rfc3339(now)
        );
        let hold = "UPDATE mails SET status = 'failed', held = ?1 WHERE status IN ('queued', 'sending', 'uncertain')";
        tx.run(hold, [held])?;
        // Times that have passed since were kept by the database that is replaced.
        tx.run(
            "UPDATE schedules SET kept_to = ?1 WHERE kept_to < ?1",
            [Micros(now)],
        )?;
        // Every file is read again, whatever is known of it.
        tx.run("UPDATE sources SET reading = NULL", ())?;
        tx.run("UPDATE service SET stopped = 1", ())?;
        tx.run("DELETE FROM failures", ())?;
        // Who was let in after the backup, or shut out, is not known.
        tx.run("DELETE FROM sessions", ())?;
        tx.run("DELETE FROM sign_ins", ())?;
        let revoke = "UPDATE api_tokens SET revoked_at = ?1 WHERE revoked_at IS NULL";
        tx.run(revoke, [Micros(now)])?;
        Ok(taken)
    })
}

/// The database that is to be replaced.
struct Present {
    connection: Connection,
    /// Sees what is there while the other connection replaces it.
    reader: Connection,
    existed: bool,
    /// Changes whenever another process has written.
    at: i64,
}

impl Present {
    /// Opens it, or makes an empty one; one that SQLite cannot read is moved out of the way first,
    /// and its new name returned.
    fn open(database: &Path, now: Timestamp) -> std::io::Result<(Self, Option<PathBuf>)> {
        let existed = database.exists();
        let error = match Self::connect(database, existed) {
            Ok(present) => return Ok((present, None)),
            Err(error) => error,
        };
        let unreadable = [ErrorCode::NotADatabase, ErrorCode::DatabaseCorrupt];
        if !error
            .sqlite_error_code()
            .is_some_and(|code| unreadable.contains(&code))
        {
            return Err(std::io::Error::other(error));
        }
        let aside = aside(database, now);
        for ending in ["-wal", "-shm", ""] {
            let with = |path: &Path| {
                let mut name = path.as_os_str().to_owned();
                name.push(ending);
                PathBuf::from(name)
            };
            if with(database).exists() {
                std::fs::rename(with(database), with(&aside))?;
            }
        }
        let present = Self::connect(database, false).map_err(std::io::Error::other)?;
        Ok((present, Some(aside)))
    }

    fn connect(database: &Path, existed: bool) -> rusqlite::Result<Self> {
        let open = || {
            let connection = Connection::open(database)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let (connection, reader) = (open()?, open()?);
        if existed {
            let checked: String =
                reader.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if checked != "ok" {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                    Some(checked),
                ));
            }
        }
        let at = data_version(&reader)?;
        Ok(Self {
            connection,
            reader,
            existed,
            at,
        })
    }

    /// The numbers that it has given out, if it can tell.
    fn given(&self) -> rusqlite::Result<Option<Given>> {
        let desk = "SELECT count(*) FROM sqlite_master WHERE name IN ('items', 'mails')";
        let tables: i64 = self.reader.query_row(desk, [], |row| row.get(0))?;
        if tables != 2 {
            return Ok(None);
        }
        let last = |sql| self.reader.query_row(sql, [], |row| row.get(0));
        let mut versions = self.reader.prepare("SELECT id, version FROM items")?;
        let versions = versions.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Some(Given {
            item: last("SELECT coalesce(max(id), 0) FROM items")?,
            mail: last("SELECT coalesce(max(id), 0) FROM mails")?,
            versions: versions.collect::<rusqlite::Result<_>>()?,
        }))
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// Replaces every page in one transaction, once what was there is kept. `false` when another process
/// wrote since it was looked at: nothing was done then.
fn replace(mut present: Present, ready: &Connection, aside: &Path) -> Result<bool, RestoreError> {
    let backup = Backup::new(ready, &mut present.connection)?;
    // From the first page on nobody else can write.
    let give_up = Instant::now() + Duration::from_secs(10);
    while !matches!(
        backup.step(1)?,
        rusqlite::backup::StepResult::More | rusqlite::backup::StepResult::Done
    ) {
        if Instant::now() > give_up {
            return Err(busy().into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if data_version(&present.reader)? != present.at {
        return Ok(false);
    }
    if present.existed {
        let failed = |error| RestoreError::Write {
            path: aside.to_owned(),
            error,
        };
        let folder = aside.parent().unwrap_or(Path::new("."));
        let copy = tempfile::Builder::new()
            .prefix(STAGED)
            .tempfile_in(folder)
            .map_err(failed)?;
        let mut connection = Connection::open(copy.path())?;
        copy_all(&present.reader, &mut connection)?;
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        connection.close().map_err(|(_, error)| error)?;
        copy.as_file().sync_all().map_err(failed)?;
        copy.persist_noclobber(aside)
            .map_err(|error| failed(error.error))?;
        sync_folder(folder).map_err(failed)?;
    }
    finish(&backup)?;
    Ok(true)
}

/// A name for what was there: `copydesk.db.before-20261124T165000Z`.
fn aside(database: &Path, now: Timestamp) -> PathBuf {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let name = |more: String| {
        let mut name = database.as_os_str().to_owned();
        name.push(format!(".before-{stamp}{more}"));
        PathBuf::from(name)
    };
    (1..)
        .map(|n| {
            name(if n == 1 {
                String::new()
            } else {
                format!("-{n}")
            })
        })
        .find(|path| !path.exists())
        .unwrap_or_else(|| name("-0".into()))
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is the database.
    #[error("`{}` is the database itself; name a backup of it", .0.display())]
    Itself(PathBuf),
    /// The file cannot be read.
    #[error("the backup `{}` cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is something else.
    #[error("`{}` is not a database of copydesk; nothing was restored", .0.display())]
    NoDesk(PathBuf),
    /// The file is damaged.
    #[error("the backup `{}` is damaged, and nothing was restored: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The database, or the copy of it that is kept, cannot be written.
    #[error("`{}` cannot be written, and nothing was restored: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RestoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
