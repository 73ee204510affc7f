//! Runs the core for requests: on threads that may block, a few at a time, each with a connection
//! of its own that is kept for the next.

use crate::http::HttpError;
use crate::http::page::Note;
use crate::http::pour::{self, Out};
use crate::store::Store;
use axum::body::Body;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Requests that the core works on at once; more wait.
const AT_ONCE: usize = 4;
/// Answers that are poured out at once; more are refused.
const POURED: usize = 2;

/// What a request does to the database.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// It reads, and could not change anything.
    Read,
    /// It writes.
    Write,
}

pub(super) struct Work {
    database: PathBuf,
    places: Arc<Semaphore>,
    poured: Arc<Semaphore>,
    readers: Mutex<Vec<Store>>,
    writers: Mutex<Vec<Store>>,
}

impl Work {
    pub(super) fn new(database: PathBuf) -> Self {
        Self {
            database,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            poured: Arc::new(Semaphore::new(POURED)),
            readers: Mutex::default(),
            writers: Mutex::default(),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        access: Access,
        work: impl FnOnce(&mut Store) -> Result<T, HttpError> + Send + 'static,
    ) -> Result<T, HttpError> {
        let ended = |error: &dyn std::fmt::Display| HttpError::Ended(error.to_string());
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|error| ended(&error))?;
        let this = Arc::clone(self);
        let done = spawn_blocking(move || {
            // Held until the work ends, even when nobody waits for it any more.
            let _place = place;
            let mut store = this.take(access)?;
            let done = work(&mut store);
            if !matches!(done, Err(HttpError::Store(_))) {
                this.kept(access).push(store);
            }
            done
        });
        done.await.map_err(|error| ended(&error))?
    }

    fn kept(&self, access: Access) -> std::sync::MutexGuard<'_, Vec<Store>> {
        let kept = match access {
            Access::Read => &self.readers,
            Access::Write => &self.writers,
        };
        kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, access: Access) -> Result<Store, HttpError> {
        let kept = self.kept(access).pop();
        match (kept, access) {
            (Some(store), _) => Ok(store),
            (None, Access::Read) => self.reader(),
            (None, Access::Write) => Ok(Store::open(&self.database)?),
        }
    }

    fn reader(&self) -> Result<Store, HttpError> {
        Ok(Store::open(&self.database)?.only_reading()?)
    }

    /// The body of an answer that is written while it is sent, from a connection of its own: it lasts
    /// as long as its reader takes, so that it holds none of the places of requests.
    pub(super) fn pour(
        &self,
        write: impl FnOnce(&mut Store, &mut Out) -> io::Result<()> + Send + 'static,
    ) -> Result<Body, HttpError> {
        let place = Arc::clone(&self.poured).try_acquire_owned();
        let place = place.map_err(|_| Note::too_long())?;
        let mut store = self.reader()?;
        Ok(pour::pour(move |out| {
            let _place = place;
            write(&mut store, out)
        }))
    }
}
