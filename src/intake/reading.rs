//! Reads files, on as many cores as there are, and gives them in the order that they were asked for.

use super::settle::Settling;
use crate::record::file::{Folder, Stat};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::{Broken, Hash, Record};
use crate::rules::assess::Assessment;
use crate::store::StoreError;
use crate::store::packing::Packed;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// Files that one core reads at a time, and hands on together.
const BATCH: usize = 64;
/// Cores that read at most: one writer stores what they read.
const CORES: usize = 8;
/// Batches that a core reads ahead of the writer.
const AHEAD: usize = 4;

/// What a file holds.
pub(super) enum Reading {
    /// A record.
    Record(Box<Whole>),
    /// Something that cannot be read, and the state to know it by; without one it is read again.
    Broken(Broken, Option<Stat>),
}

/// A record as it was read.
pub(super) struct Whole {
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

/// What is read of some files that follow each other.
pub(super) type Batch = Result<Vec<(Location, Option<Reading>)>, StoreError>;

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

/// What is read of files, in their order; of those that are gone nothing.
pub(super) enum Readings {
    /// A few, which were read at once.
    Few(Option<Batch>),
    /// Many: each lane has every so many-th batch.
    Many {
        lanes: Vec<Receiver<Batch>>,
        given: usize,
    },
}

impl Readings {
    /// The next of them, unless it must be waited for.
    pub(super) fn next_ready(&mut self) -> Option<Batch> {
        self.next_by(|lane| lane.try_recv().ok())
    }

    fn next_by(&mut self, take: impl FnOnce(&Receiver<Batch>) -> Option<Batch>) -> Option<Batch> {
        match self {
            Self::Few(batch) => batch.take(),
            Self::Many { lanes, given } => {
                let batch = take(&lanes[*given % lanes.len()])?;
                *given += 1;
                Some(batch)
            }
        }
    }
}

impl Iterator for Readings {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.next_by(|lane| lane.recv().ok())
    }
}

/// Reads files while `take` takes what is read of them.
pub(super) fn read_all<T>(
    settling: &Settling<'_>,
    folder: &Folder,
    files: &[ToRead],
    take: impl FnOnce(Readings) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if files.len() <= BATCH {
        let batch = (!files.is_empty()).then(|| read_batch(settling, folder, files));
        return take(Readings::Few(batch));
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.min(CORES);
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
        take(Readings::Many { lanes, given: 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;
    use jiff::Timestamp;

    /// What `take` makes of so many files, each of which has its name as its title.
    fn read_many<T>(
        count: usize,
        take: impl FnOnce(Readings) -> Result<T, StoreError>,
    ) -> (Vec<Location>, T) {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "sources:\n  - {name: news, path: .}\nqueues:\n  - name: all\n";
        std::fs::write(folder.path().join("a.yaml"), yaml).unwrap();
        let rules = RuleSet::load(folder.path()).unwrap();
        let (source, now) = (&rules.sources[0], Timestamp::UNIX_EPOCH);
        let rules = &rules;
        let settling = Settling { rules, source, now };
        let files = (0..count).map(|n| {
            let location = Location::stored(format!("{n}.md"));
            let text = format!("---\ntitle: {location}\n---\n");
            std::fs::write(folder.path().join(location.as_str()), text).unwrap();
            let stood = false;
            ToRead { location, stood }
        });
        let files: Vec<_> = files.collect();
        let opened = Folder::open(folder.path()).unwrap();
        let taken = read_all(&settling, &opened, &files, take).unwrap();
        (files.into_iter().map(|file| file.location).collect(), taken)
    }

    #[test]
    fn however_many_files_are_read_each_comes_once_and_in_its_order() {
        for count in [0, 1, BATCH, BATCH + 1, 20 * BATCH + 7] {
            let (files, read) = read_many(count, |mut readings| {
                let mut all = Vec::new();
                while let Some(batch) = readings.next_ready().or_else(|| readings.next()) {
                    all.extend(batch?);
                }
                Ok(all)
            });
            let order: Vec<_> = read.iter().map(|(location, _)| location).collect();
            assert_eq!(order, files.iter().collect::<Vec<_>>());
            for (location, reading) in &read {
                let Some(Reading::Record(whole)) = reading else {
                    panic!("{location} is not read")
                };
                assert_eq!(whole.record.title(), Some(location.as_str()));
                assert!(whole.first.is_some());
            }
        }
    }

    #[test]
    fn readers_end_when_nobody_takes_any_more() {
        let (_, first) = read_many(40 * BATCH, |mut readings| {
            Ok(readings.next().transpose()?.map(|batch| batch.len()))
        });
        assert_eq!(first, Some(BATCH));
    }
}
