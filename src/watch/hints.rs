//! Hints from the file system about what to look at.
//!
//! An event only says where to look: events are lost when a folder is new or the queue runs over,
//! so the pass over the whole folder is the truth, and a hint makes it sooner.

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// With more paths than this to look at, one pass over everything is cheaper.
const MOST: usize = 10_000;

/// Where to look.
#[derive(Debug, Default)]
pub struct Hints {
    /// Files and folders that were made, written, renamed or removed, as absolute paths.
    pub paths: BTreeSet<PathBuf>,
    /// Whether events were lost, so that only a whole pass will do.
    pub rescan: bool,
}

impl Hints {
    /// Whether there is nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.rescan
    }

    fn add(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => {
                tracing::info!("Events were lost, so that everything is looked at");
                self.rescan = true;
            }
            Ok(event) if is_telling(event.kind) => self.paths.extend(event.paths),
            Ok(_) => {}
            // Among them that no more folders can be watched.
            Err(error) => {
                tracing::warn!("The watch is not whole, so that everything is looked at: {error}");
                self.rescan = true;
            }
        }
        if self.paths.len() > MOST {
            self.paths.clear();
            self.rescan = true;
        }
    }
}

/// A write is told when the file is closed: half a file is of no use.
fn is_telling(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(modify) => {
            matches!(modify, ModifyKind::Name(_) | ModifyKind::Metadata(_))
        }
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Any | EventKind::Other => false,
    }
}

/// Watches folders and gathers hints.
pub struct Watch {
    /// Made with the first folder; where that fails, anew with the next.
    watcher: Option<RecommendedWatcher>,
    gathered: Arc<Mutex<Hints>>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// Watches nothing yet; `wake` is called, from a thread of the watcher, when a hint comes.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            watcher: None,
            gathered: Arc::default(),
            wake: Arc::new(wake),
        }
    }

    /// Watches a folder and all below it, those to come included.
    ///
    /// # Errors
    /// What the system says, such as that no more folders can be watched.
    pub fn add(&mut self, folder: &Path) -> Result<(), String> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            none => none.insert(watcher(&self.gathered, &self.wake).map_err(|error| told(&error))?),
        };
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .map_err(|error| told(&error))
    }

    /// Watches a folder no more.
    pub fn remove(&mut self, folder: &Path) {
        // One that is gone is not watched any more anyway.
        drop(self.watcher.as_mut().map(|watcher| watcher.unwatch(folder)));
    }

    /// Takes what has been gathered.
    #[must_use]
    pub fn take(&self) -> Hints {
        std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn watcher(
    gathered: &Arc<Mutex<Hints>>,
    wake: &Arc<dyn Fn() + Send + Sync>,
) -> notify::Result<RecommendedWatcher> {
    let (gathered, wake) = (Arc::clone(gathered), Arc::clone(wake));
    let on_event = move |event| {
        let mut hints = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        hints.add(event);
        let news = !hints.is_empty();
        drop(hints);
        if news {
            wake();
        }
    };
    RecommendedWatcher::new(on_event, Config::default().with_follow_symlinks(false))
}

/// Why a folder cannot be watched, with what mends it.
fn told(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "no more folders can be watched; raise fs.inotify.max_user_watches".to_owned()
        }
        notify::ErrorKind::Io(io)
            if io.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) =>
        {
            "no more programs can watch folders; raise fs.inotify.max_user_instances".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, Flag};

    #[test]
    fn lost_events_and_too_many_ask_for_a_whole_pass() {
        let mut hints = Hints::default();
        hints.add(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(hints.rescan);
        let mut hints = Hints::default();
        hints.add(Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)));
        assert!(hints.rescan);
        let mut hints = Hints::default();
        for n in 0..=MOST {
            assert!(!hints.rescan);
            hints
                .add(Ok(Event::new(EventKind::Create(CreateKind::File))
                    .add_path(format!("/{n}").into())));
        }
        assert!(hints.rescan && hints.paths.is_empty());
    }
}
