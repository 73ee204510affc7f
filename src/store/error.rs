//! Why the database could not do something, and what mends it.

use rusqlite::ErrorCode;
use std::path::PathBuf;

/// Why the database could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state folder cannot be made.
    #[error("the state folder `{}` cannot be made: {error}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file cannot be opened.
    #[error("the database `{}` cannot be opened: {}", .path.display(), plain(.error))]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        error: rusqlite::Error,
    },
    /// It stands on another host.
    #[error("the state folder `{}` is on {kind}, where SQLite can lose what it wrote; name a folder on a disk of this host by `--state` or COPYDESK_STATE", .path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The file is damaged.
    #[error("the database `{}` is damaged: {what}; nothing in it was changed; `copydesk restore FILE` puts a backup in its place and keeps it", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A newer copydesk has changed it.
    #[error("the database `{}` is of version {found}, and this copydesk knows {known}; use the newer one", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// SQLite is too old to be trusted.
    #[error("SQLite {0} can corrupt its files; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// What was stored does not read back.
    #[error("what is stored does not read back: {0}")]
    Odd(String),
    /// A page was asked for from a place that is not in the list.
    #[error("this is no place in this list; begin with its first page")]
    Cursor,
    /// SQLite failed.
    #[error("the database failed: {}", plain(.0))]
    Sqlite(#[from] rusqlite::Error),
}

/// What SQLite says, with what mends it where it names only a code.
fn plain(error: &rusqlite::Error) -> String {
    let mend = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "nothing in it was changed; `copydesk restore FILE` puts a backup in its place and keeps it"
        }
        Some(ErrorCode::DiskFull) => {
            "what was under way is not done; free some space and try again"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "what was under way is not done; see that the disk is well and has space, and try again"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program keeps it locked; what was under way is not done, try again"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "it and its folder must be writable for this user"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {mend}")
}
