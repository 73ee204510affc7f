//! The lock of a state folder: one pass, or one service, at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Held while a pass runs; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and writes the number of this process into it.
    ///
    /// # Errors
    /// [`LockError::Held`] by another process, or what the system says.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        Self::take_file(path).map_err(|error| LockError::Io {
            path: path.to_owned(),
            error,
        })?
    }

    fn take_file(path: &Path) -> std::io::Result<Result<Self, LockError>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            // It has not told its number yet.
            let holder = if holder.trim().is_empty() {
                "unknown"
            } else {
                holder.trim()
            };
            return Ok(Err(LockError::Held(holder.to_owned())));
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Ok(Self { _file: file }))
    }

    /// Takes the lock like [`take`](Self::take), but waits two seconds: a pass or a deciding command
    /// lets go in a moment, a service does not.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn wait(path: &Path) -> Result<Self, LockError> {
        let give_up = Instant::now() + Duration::from_secs(2);
        loop {
            match Self::take(path) {
                Err(LockError::Held(_)) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(20))
                }
                taken => return taken,
            }
        }
    }
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// By this process.
    #[error("the state folder is in use by process {0}")]
    Held(String),
    /// The system refused.
    #[error("the state folder's lock `{}` cannot be taken: {error}", .path.display())]
    Io {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}
