//! Everything that copydesk remembers, in one SQLite file. SQL lives here and nowhere else.
//!
//! Reads and writes happen in transactions: [`Store::read`] sees one moment, [`Store::write`] is
//! alone and whole. A failed statement fails its transaction. The SQL keeps to what SQLite and
//! PostgreSQL share.

pub mod access;
pub mod backup;
pub mod claims;
pub mod counts;
pub mod decide;
mod error;
pub mod history;
mod hits;
pub mod items;
pub mod late;
pub mod lock;
pub mod mails;
pub mod packing;
pub mod pages;
pub mod past;
pub mod records;
pub mod relay;
pub mod restore;
pub mod retention;
pub mod service;
pub mod settings;
pub mod shadow;
pub mod tallies;
pub mod write_backs;

pub use error::StoreError;

use crate::record::Hash;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

const MIGRATIONS: [&str; 15] = [
    include_str!("store/migrations/0001_line.sql"),
    include_str!("store/migrations/0002_flag.sql"),
    include_str!("store/migrations/0003_shadow.sql"),
    include_str!("store/migrations/0004_backup.sql"),
    include_str!("store/migrations/0005_guards.sql"),
    include_str!("store/migrations/0006_mail.sql"),
    include_str!("store/migrations/0007_exchange.sql"),
    include_str!("store/migrations/0008_move.sql"),
    include_str!("store/migrations/0009_telling.sql"),
    include_str!("store/migrations/0010_claims.sql"),
    include_str!("store/migrations/0011_console.sql"),
    include_str!("store/migrations/0012_pages.sql"),
    include_str!("store/migrations/0013_metrics.sql"),
    include_str!("store/migrations/0014_lean.sql"),
    include_str!("store/migrations/0015_retention.sql"),
];

/// The least SQLite: earlier ones can corrupt a database in WAL mode when two connections write
/// and checkpoint at once (fixed in 3.51.3, March 2026).
const LEAST_SQLITE: i32 = 3_051_003;

/// An open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    line: Arc<Line>,
}

/// Where those of this process who write to a database stand in line. SQLite has none: who finds it
/// locked asks again after a while, and may find it locked by another each time.
#[derive(Debug, Default)]
struct Line {
    turn: Mutex<()>,
    waiting: AtomicUsize,
}

static LINES: Mutex<BTreeMap<PathBuf, Weak<Line>>> = Mutex::new(BTreeMap::new());

/// The line of the database in that file.
fn line(path: &Path) -> Arc<Line> {
    // One that is kept nowhere has no file, and its own line.
    let Ok(path) = path.canonicalize() else {
        return Arc::default();
    };
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.retain(|_, line| line.strong_count() > 0);
    if let Some(line) = lines.get(&path).and_then(Weak::upgrade) {
        return line;
    }
    let line = Arc::default();
    lines.insert(path, Arc::downgrade(&line));
    line
}

/// A transaction; every query and change is a method of it.
pub struct Tx<'c>(rusqlite::Transaction<'c>, hits::Common, Option<&'c Line>);

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

/// How long work of many transactions holds the writer in one of them, while others wait.
pub const HOLDS: Duration = Duration::from_millis(20);
/// How long it leaves the writer to them then: those of this process stand in line for it, and other
/// processes look for it each millisecond.
pub const LEAVES: Duration = Duration::from_millis(3);

impl Store {
    /// Opens the database at `path`, made or brought up to date as needed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let named = |error| StoreError::Open {
            path: path.to_owned(),
            error,
        };
        if let Some(folder) = path.parent() {
            let failed = |error| StoreError::Folder {
                path: folder.to_owned(),
                error,
            };
            std::fs::create_dir_all(folder).map_err(failed)?;
            // What does not tell is taken: a database in this folder is opened next.
            let found = rustix::fs::statfs(folder).ok();
            if let Some(kind) = found.and_then(|found| network(found.f_type)) {
                let path = folder.to_owned();
                return Err(StoreError::Network { path, kind });
            }
        }
        Self::set_up(Connection::open(path).map_err(named)?, path)
    }

    /// Opens the database at `path` if there is one, else an empty one that is kept nowhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if path.exists() {
            Self::open(path)
        } else {
            Self::in_memory()
        }
    }

    /// An empty database that is kept nowhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_memory() -> Result<Self, StoreError> {
        let memory = Path::new(":memory:");
        let connection = Connection::open_in_memory_with_flags(OpenFlags::default());
        let named = |error| StoreError::Open {
            path: memory.to_owned(),
            error,
        };
        Self::set_up(connection.map_err(named)?, memory)
    }

    /// The same database, for work that only reads: SQLite refuses whatever would change it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn only_reading(self) -> Result<Self, StoreError> {
        self.connection.pragma_update(None, "query_only", true)?;
        Ok(self)
    }

    /// A copy that is kept nowhere, to try something on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_in_memory(&self) -> Result<Self, StoreError> {
        let mut copy = Self::in_memory()?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut copy.connection)?;
        backup.run_to_completion(10_000, Duration::ZERO, None)?;
        drop(backup);
        Ok(copy)
    }

    fn set_up(mut connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let version = rusqlite::version_number();
        if version < LEAST_SQLITE {
            return Err(StoreError::OldSqlite(rusqlite::version().to_owned()));
        }
        let named = |error| StoreError::Open {
            path: path.to_owned(),
            error,
        };
        let mut settings = || -> rusqlite::Result<()> {
            // Other processes leave the writer to us for some milliseconds now and then: SQLite's own
            // handler would look for it ten times a second.
            connection.busy_handler(Some(|looks| {
                std::thread::sleep(Duration::from_millis(1));
                looks < 10_000
            }))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            let enforced: bool =
                connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
            if !enforced {
                return Err(rusqlite::Error::InvalidQuery);
            }
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
            // Else a cached statement is compiled anew for every value that is bound to it.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            // 16 MiB, where it is needed: with SQLite's own 2 MiB the indexes are read again and again.
            connection.pragma_update(None, "cache_size", -16_384)?;
            connection.set_prepared_statement_cache_capacity(128);
            Ok(())
        };
        settings().map_err(named)?;
        let line = line(path);
        let mut store = Self { connection, line };
        store.migrate(path).map_err(|error| match error {
            StoreError::Sqlite(error) => named(error),
            other => other,
        })?;
        Ok(store)
    }

    fn migrate(&mut self, path: &Path) -> Result<(), StoreError> {
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if self.version()? == Some(known) {
            return Ok(());
        }
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT",
        )?;
        // Asked again: another process may have migrated while this one waited for the lock.
        let found: i64 = tx.query_row(
            "SELECT coalesce(max(version), 0) FROM schema_version",
            [],
            |row| row.get(0),
        )?;
        if found > known {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found,
                known,
            });
        }
        for (version, sql) in (1i64..)
            .zip(MIGRATIONS)
            .filter(|(version, _)| *version > found)
        {
            tx.execute_batch(sql)?;
            tx.execute(
                "INSERT INTO schema_version (version) VALUES (?1)",
                [version],
            )?;
        }
        Ok(tx.commit()?)
    }

    fn version(&self) -> Result<Option<i64>, StoreError> {
        let table =
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'";
        let exists: i64 = self.connection.query_row(table, [], |row| row.get(0))?;
        if exists == 0 {
            return Ok(None);
        }
        Ok(self
            .connection
            .query_row("SELECT max(version) FROM schema_version", [], |row| {
                row.get(0)
            })?)
    }

    /// Reads every page, to see damage before it spreads: two seconds for a million records.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], with the first thing that is wrong.
    pub fn look_through(&self) -> Result<(), StoreError> {
        let path = || PathBuf::from(self.connection.path().unwrap_or_default());
        let found = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match found {
            Ok(found) if found == "ok" => Ok(()),
            Ok(what) => Err(StoreError::Damaged { path: path(), what }),
            Err(error) => Err(StoreError::Open {
                path: path(),
                error,
            }),
        }
    }

    /// Reads at one moment.
    ///
    /// # Errors
    /// What `work` returns, or [`StoreError`].
    pub fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self.connection.transaction().map_err(StoreError::from)?;
        work(&Tx(tx, hits::Common::default(), None))
    }

    /// Writes all of it, or nothing if `work` fails.
    ///
    /// # Errors
    /// What `work` returns, or [`StoreError`].
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.line.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = self.line.turn.lock();
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = Tx(
            tx.map_err(StoreError::from)?,
            hits::Common::default(),
            Some(&self.line),
        );
        let done = work(&tx)?;
        tx.0.commit().map_err(StoreError::from)?;
        Ok(done)
    }
}

/// The name of a file system that is another host's, by the number that `statfs(2)` gives it. There
/// the locks and the shared memory of SQLite's write-ahead log do not work.
fn network(magic: i64) -> Option<&'static str> {
    // It is a signed number on some machines.
    match magic & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        _ => None,
    }
}

impl Tx<'_> {
    /// Whether others of this process wait for this transaction to end, so that they can write.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        let waiting = |line: &Line| line.waiting.load(Ordering::Relaxed) > 0;
        self.2.is_some_and(waiting)
    }

    /// Notes the last run of a kind of work: when, under which rules, and its counts as JSON.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_run(
        &self,
        kind: &str,
        rules: Hash,
        counts: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO runs (kind, at, rules, counts) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (kind) DO UPDATE SET at = excluded.at, rules = excluded.rules, counts = excluded.counts";
        self.0
            .prepare_cached(sql)?
            .execute((kind, Micros(now), rules, counts))?;
        Ok(())
    }

    /// The last run of each kind: kind, time, counts as JSON.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn runs(&self) -> Result<Vec<(String, Timestamp, String)>, StoreError> {
        self.all(
            "SELECT kind, at, counts FROM runs ORDER BY kind",
            [],
            |row| Ok((row.get(0)?, row.get::<_, Micros>(1)?.0, row.get(2)?)),
        )
    }

    /// Every row of a query.
    fn all<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let rows = statement.query_map(values, row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The row of a query that has one at most.
    fn one<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        row: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        match statement.query_row(values, row) {
            Ok(found) => Ok(Some(found)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs a statement and returns how many rows it changed.
    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        Ok(self.0.prepare_cached(sql)?.execute(values)?)
    }
}

/// A time as the database holds it.
#[derive(Clone, Copy, Debug)]
struct Micros(Timestamp);

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_microsecond().into())
    }
}

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = value.as_i64()?;
        Timestamp::from_microsecond(micros)
            .map(Self)
            .map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0[..].into())
    }
}

impl FromSql for Hash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_blob()?
            .try_into()
            .map(Self)
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// A time that may be absent, for the database.
fn micros(time: Option<Timestamp>) -> Option<Micros> {
    time.map(Micros)
}

/// A time that may be absent, from the database.
fn time(micros: Option<Micros>) -> Option<Timestamp> {
    micros.map(|micros| micros.0)
}

#[cfg(test)]
mod guards;

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    /// A database of version 1, as the first copydesk made it, which says that it is of another.
    fn first(file: &Path, version: i64) {
        let connection = Connection::open(file).unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection
            .execute_batch("CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT")
            .unwrap();
        let sql = "INSERT INTO schema_version (version) VALUES (?1)";
        connection.execute(sql, [version]).unwrap();
    }

    #[test]
    fn a_cached_statement_is_compiled_once_for_all_values() {
        let store = Store::in_memory().unwrap();
        let sql = "SELECT id FROM records WHERE title = ?1 ORDER BY id";
        let cached = || store.connection.prepare_cached(sql).unwrap();
        for title in ["one", "another"] {
            assert!(!cached().exists([title]).unwrap());
        }
        assert_eq!(cached().get_status(StatementStatus::Run), 2);
        assert_eq!(cached().get_status(StatementStatus::RePrepare), 0);
    }

    /// However long it takes until somebody waits.
    fn until(what: &str, is_so: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_writes_knows_that_others_stand_in_line() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&folder.path().join(name)).unwrap();
        let (mut first, mut second, mut other) = (open("a.db"), open("a.db"), open("b.db"));
        let nothing = |_: &Tx<'_>| Ok::<_, StoreError>(());
        std::thread::scope(|scope| {
            let written = first.write(|tx| {
                assert!(!tx.is_waited_for());
                // Another database has another line.
                other.write(nothing)?;
                assert!(!tx.is_waited_for());
                scope.spawn(|| second.write(nothing).unwrap());
                until("the second waits", || tx.is_waited_for());
                Ok::<_, StoreError>(())
            });
            written.unwrap();
        });
        first
            .write(|tx| nothing(tx).inspect(|()| assert!(!tx.is_waited_for())))
            .unwrap();
    }

    #[test]
    fn a_database_of_version_1_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copydesk.db");
        first(&file, 1);
        let mut store = Store::open(&file).unwrap();
        let newest = i64::try_from(MIGRATIONS.len()).unwrap();
        assert_eq!(store.version().unwrap(), Some(newest));
        assert_eq!(store.read(|tx| tx.shadow_counts()).unwrap(), []);
        drop(store);
        Store::open(&file).unwrap();
    }

    #[test]
    fn a_database_of_another_host_is_told_by_its_file_system() {
        for (magic, kind) in [
            (0x6969, Some("NFS")),
            (0x517b, Some("SMB")),
            (0xff53_4d42, Some("SMB")),
            (i64::from(0xfe53_4d42_u32.cast_signed()), Some("SMB")),
            (0xef53, None),      // ext4
            (0x5846_5342, None), // XFS
            (0x9123_683e, None), // Btrfs
            (0x0102_1994, None), // tmpfs
            (0x794c_7630, None), // overlayfs
        ] {
            assert_eq!(network(magic), kind, "{magic:x}");
        }
    }

    #[test]
    fn a_migration_that_is_not_known_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copydesk.db");
        first(&file, 900);
        let error = Store::open(&file).unwrap_err().to_string();
        assert!(error.contains("of version 900"), "{error}");
    }
}
