//! Reads files, on as many cores as there are, and gives them in the order that they were asked for.

use super::settle::Settling;
use crate::record::file::{Folder, Stat};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::{Broken, Hash, Record};
use crate::rules::assess::Assessment;
use crate::store::StoreError;
use crate::store::packing::Packed;
use std::sync::mpsc;
use std::thread;

/// Files that one core reads at a time, and hands on together.
const BATCH: usize = 64;
/// Cores that read at most: one writer stores what they read.
const CORES: usize = 8;
/// Batches that a core reads ahead of the writer.
const AHEAD: usize = 4;

/// What a file holds.
pub(crate) enum Reading {
    /// A record.
    Record(Box<Whole>),
    /// Something that cannot be read, and the state to know it by; without one it is read again.
    Broken(Broken, Option<Stat>),
}

/// A record as it was read.
pub(crate) struct Whole {
    pub(super) record: Record,
    /// The hash of the file's bytes.
    pub(super) raw: Hash,
    pub(super) stat: Stat,
    /// What is to be stored if the record was never seen, made before the database is locked.
    pub(super) first: Option<First>,
}

/// What is stored of a record that was never seen.
pub(super) struct First {
    pub(super) packed: Packed,
    pub(super) assessment: Assessment,
}

impl Reading {
    /// The state of the file when it was read.
    pub(super) fn stat(&self) -> Option<Stat> {
        match self {
            Self::Record(whole) => Some(whole.stat),
            Self::Broken(_, stat) => *stat,
        }
    }
}

/// A file that is to be read.
#[derive(Clone, Debug)]
pub(super) struct ToRead {
    pub(super) location: Location,
    /// Whether a file stood here before.
    pub(super) stood: bool,
}

/// Reads one file. `None` when it is not there.
pub(super) fn read(folder: &Folder, source: &Source, location: &Location) -> Option<Reading> {
    match folder.read(location) {
        Ok(found) => Some(
            match Record::read(&found.bytes, location.as_str(), source) {
                Ok(record) => Reading::Record(Box::new(Whole {
                    record,
                    raw: Hash::of(&found.bytes),
                    stat: found.stat,
                    first: None,
                })),
                Err(broken) => Reading::Broken(broken, Some(found.stat)),
            },
        ),
        Err(error) if error.is_gone() => None,
        Err(error) => Some(Reading::Broken(Broken::at((1, 1), error.to_string()), None)),
    }
}

type Batch = Result<Vec<(Location, Option<Reading>)>, StoreError>;

fn read_batch(settling: &Settling<'_>, folder: &Folder, files: &[ToRead]) -> Batch {
    let read_one = |file: &ToRead| {
        let mut reading = read(folder, settling.source, &file.location);
        if let Some(Reading::Record(whole)) = &mut reading
            && !file.stood
        {
            whole.first = Some(settling.first(&whole.record)?);
        }
        Ok((file.location.clone(), reading))
    };
    files.iter().map(read_one).collect()
}

/// Reads all of the files and gives them in their order, some at a time; those that are gone
/// without a reading. `take` is given a way to ask for more, which gives nothing if that would mean
/// to wait, and says whether to go on.
pub(super) fn read_all(
    settling: &Settling<'_>,
    folder: &Folder,
    files: &[ToRead],
    mut take: impl FnMut(&mut dyn FnMut(bool) -> Option<Batch>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.min(CORES).min(files.len() / BATCH);
    if cores == 0 {
        let mut batches = files.chunks(BATCH);
        let mut next = |_| Some(read_batch(settling, folder, batches.next()?));
        while take(&mut next)? {}
        return Ok(());
    }
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        for core in 0..cores {
            let (send, lane) = mpsc::sync_channel(AHEAD);
            lanes.push(lane);
            let batches = files.chunks(BATCH).skip(core).step_by(cores);
            let reads = move || {
                for batch in batches {
                    // The one who takes has gone away when it was told to stop.
                    if send.send(read_batch(settling, folder, batch)).is_err() {
                        return;
                    }
                }
            };
            let named = thread::Builder::new().name("read".into());
            named.spawn_scoped(scope, reads).map_err(|error| {
                StoreError::Odd(format!("no thread can be started to read files: {error}"))
            })?;
        }
        let mut given = 0;
        let mut next = |may_wait: bool| {
            let lane = &lanes[given % cores];
            let batch = if may_wait {
                lane.recv().ok()
            } else {
                lane.try_recv().ok()
            }?;
            given += 1;
            Some(batch)
        };
        while take(&mut next)? {}
        Ok(())
    })
}
