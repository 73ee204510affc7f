//! One pass over one source: which files are new, changed, moved or missing, and whose they are.

use super::settle::Settling;
use super::{Control, GRACE, Looked, Reading, Tally, read};
use crate::item::Cause;
use crate::record::file::{Folder, Stat};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::value::Map;
use crate::record::{Hash, Record, shown};
use crate::store::records::{Found, Known};
use crate::store::{Store, StoreError, Tx};
use crate::{record, watch};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;

/// Files that are stored in one transaction.
const BATCH: usize = 64;
/// A source of which this many files, and more than half, are gone at once is frozen.
const VANISHED: usize = 20;

/// A file that reads as half written is given this long before it is called broken.
const SETTLING: Duration = Duration::from_secs(2);

/// What a pass has to do.
struct Difference {
    to_read: Vec<Location>,
    /// What the files to read keep of their state when they are renamed.
    stats: HashSet<[u8; Stat::THROUGH_RENAMES]>,
    missing: Vec<Found>,
}

impl Difference {
    /// Whether a missing file stands under another name now.
    fn is_renamed(&self, missing: &Found) -> bool {
        let kept = missing.stat.first_chunk::<{ Stat::THROUGH_RENAMES }>();
        kept.is_some_and(|kept| self.stats.contains(kept))
    }
}

/// A pass over one source.
pub(super) struct Pass<'a> {
    settling: Settling<'a>,
    tally: &'a mut Tally,
    /// Records that lost a file to another story, to be looked at when all files are read.
    displaced: BTreeSet<i64>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(settling: Settling<'a>, tally: &'a mut Tally) -> Self {
        Self {
            settling,
            tally,
            displaced: BTreeSet::new(),
        }
    }

    /// Looks at every file of the source.
    pub(super) fn run(
        mut self,
        store: &mut Store,
        control: &Control<'_>,
    ) -> Result<Looked, StoreError> {
        let Settling { source, now, .. } = self.settling;
        let folder = match Folder::open(&source.path) {
            Ok(folder) => folder,
            Err(error) => {
                let alarm = format!(
                    "its folder `{}` cannot be opened: {error}",
                    source.path.display()
                );
                set_alarm(store, &source.name, Some(&alarm), now)?;
                return Ok(Looked::default());
            }
        };
        let known = store.read(|tx| tx.locations(&source.name))?;
        let all = known.len();
        let reading = source.reading();
        let read_anew = store.read(|tx| tx.reading(&source.name))?.as_deref() != Some(&reading);
        let mut difference = self.compare(watch::walk(&source.path), known, read_anew);
        self.forget_moved(store, &mut difference.missing)?;
        let missing = &difference.missing;
        let vanished = missing
            .iter()
            .filter(|found| !difference.is_renamed(found))
            .count();
        let frozen = vanished >= VANISHED && vanished * 2 > all;
        let alarm = frozen.then(|| {
            format!("{vanished} of {all} files are gone at once; nothing of it is withdrawn until they are back")
        });
        set_alarm(store, &source.name, alarm.as_deref(), now)?;
        if !frozen {
            self.mark_missing(store, missing)?;
        }
        let (mut done, mut looked) = (0, Looked::default());
        for batch in difference.to_read.chunks(BATCH) {
            if (control.stop)() {
                return Ok(Looked::default());
            }
            let readings = self.read_all(&folder, batch, control.patient, &mut looked);
            self.take_in(store, &folder, readings)?;
            done += batch.len();
            (control.progress)(done, difference.to_read.len());
        }
        if !frozen {
            self.drop_missing(store, missing)?;
            // Those too that a pass lost a file of, and was stopped or killed before it judged them.
            self.displaced
                .extend(store.read(|tx| tx.unjudged(&source.name))?);
        }
        if read_anew {
            store.write(|tx| tx.set_reading(&source.name, &reading))?;
        }
        self.finish(store, &folder)?;
        looked.missing = !missing.is_empty() && !frozen;
        Ok(looked)
    }

    /// Reads files; a patient look leaves out those that are still being written, and names them.
    fn read_all(
        &self,
        folder: &Folder,
        files: &[Location],
        patient: bool,
        looked: &mut Looked,
    ) -> Vec<(Location, Reading)> {
        let source = self.settling.source;
        let mut readings = Vec::new();
        for location in files {
            match read(folder, source, location) {
                Some(Reading::Broken(broken, _))
                    if patient && is_being_written(source, location, &broken) =>
                {
                    looked.unsettled.push(source.path.join(location.to_path()));
                }
                Some(reading) => readings.push((location.clone(), reading)),
                None => {}
            }
        }
        readings
    }

    /// Looks at some files and folders, as paths below the source's folder. What is missing there
    /// is noted, and judged by a whole pass.
    pub(super) fn look_at(
        mut self,
        store: &mut Store,
        paths: &[PathBuf],
    ) -> Result<Looked, StoreError> {
        let source = self.settling.source;
        let Ok(folder) = Folder::open(&source.path) else {
            return Ok(Looked::default());
        };
        let (mut looked, mut to_read) = (Looked::default(), BTreeSet::new());
        for path in paths {
            let location = Location::of(path);
            let known = store.read(|tx| tx.locations_below(&source.name, &location))?;
            let mut difference = self.compare(watch::walk_below(&source.path, path), known, false);
            self.forget_moved(store, &mut difference.missing)?;
            looked.missing |= !difference.missing.is_empty();
            self.mark_missing(store, &difference.missing)?;
            to_read.extend(difference.to_read);
        }
        let to_read: Vec<Location> = to_read.into_iter().collect();
        for batch in to_read.chunks(BATCH) {
            let readings = self.read_all(&folder, batch, true, &mut looked);
            self.take_in(store, &folder, readings)?;
        }
        self.finish(store, &folder)?;
        Ok(looked)
    }

    /// Holds what was met against what is known.
    fn compare(
        &self,
        met: impl Iterator<Item = watch::Met>,
        known: Vec<Found>,
        read_anew: bool,
    ) -> Difference {
        let Settling { source, now, .. } = self.settling;
        let mut known: BTreeMap<Location, Found> = known
            .into_iter()
            .map(|found| (found.location.clone(), found))
            .collect();
        let (mut to_read, mut stats, mut closed) =
            (Vec::new(), HashSet::new(), Vec::<PathBuf>::new());

        for met in met {
            match met {
                watch::Met::File { path, metadata } if source.includes(&path) => {
                    let location = Location::of(&path);
                    match known.remove(&location) {
                        Some(found)
                            if !read_anew
                                && found.missing_since.is_none()
                                && found.stat == Stat::of(&metadata).to_bytes() => {}
                        found => {
                            stats.insert(Stat::of(&metadata).through_renames());
                            // What was never readable is as new as any other once it is.
                            let held = found.filter(|found| found.record.is_some());
                            let since = held.map_or(now, |found| found.first_seen);
                            to_read.push((since, location));
                        }
                    }
                }
                watch::Met::File { .. } => {}
                watch::Met::Passed { path, why } => {
                    if why == watch::TOO_DEEP || source.includes(&path) {
                        tracing::warn!(
                            source = source.name,
                            "`{}` is passed over: {why}",
                            told(&Location::of(&path))
                        );
                    }
                }
                watch::Met::Closed { path, error } => {
                    tracing::warn!(
                        source = source.name,
                        "`{}` cannot be looked at: {error}",
                        told(&Location::of(&path))
                    );
                    closed.push(path);
                }
            }
        }
        // What is left of the known files was not met; below a closed folder that says nothing.
        let is_closed = |found: &Found| {
            closed
                .iter()
                .any(|path| found.location.to_path().starts_with(path))
        };
        let missing = known
            .into_values()
            .filter(|found| !is_closed(found))
            .collect();
        // The file that leads a record is read before the others that hold it.
        to_read.sort();
        Difference {
            to_read: to_read.into_iter().map(|(_, location)| location).collect(),
            stats,
            missing,
        }
    }

    /// Stores what was read. What another process has stored or written meanwhile is newer: a file
    /// that is not as it was read is read again.
    pub(super) fn take_in(
        &mut self,
        store: &mut Store,
        folder: &Folder,
        readings: Vec<(Location, Reading)>,
    ) -> Result<(), StoreError> {
        store.write(|tx| {
            let classes = tx.classes_id(&self.settling.source.classes)?;
            for (location, reading) in readings {
                let stands = folder
                    .stat(&location)
                    .ok()
                    .is_some_and(|stat| reading.stat() == Some(stat));
                let reading = if stands {
                    Some(reading)
                } else {
                    read(folder, self.settling.source, &location)
                };
                let Some(reading) = reading else { continue };
                match reading {
                    Reading::Broken(broken, stat) => {
                        self.keep_broken(tx, location, broken, stat)?
                    }
                    Reading::Record(record, raw, stat) => {
                        self.take(tx, folder, location, (*record, raw, stat), classes)?
                    }
                }
            }
            Ok(())
        })
    }

    fn keep_broken(
        &self,
        tx: &Tx<'_>,
        location: Location,
        broken: record::Broken,
        stat: Option<Stat>,
    ) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        let stood = tx.location(&source.name, &location)?;
        let since = stood
            .as_ref()
            .and_then(|s| s.broken.as_ref())
            .filter(|(b, _)| *b == broken)
            .map(|(_, since)| *since);
        let shown = told(&location);
        tracing::warn!(
            source = source.name,
            location = shown,
            "Kept `{shown}` as broken: {broken}"
        );
        tx.put_location(
            &source.name,
            &Found {
                record: stood.as_ref().and_then(|s| s.record),
                revision: stood.as_ref().and_then(|s| s.revision),
                raw: None,
                stat: stat
                    .map(|stat| stat.to_bytes().to_vec())
                    .unwrap_or_default(),
                first_seen: stood.as_ref().map_or(now, |s| s.first_seen),
                missing_since: None,
                broken: Some((broken, since.unwrap_or(now))),
                location,
            },
        )
    }

    fn take(
        &mut self,
        tx: &Tx<'_>,
        folder: &Folder,
        location: Location,
        (record, raw, stat): (Record, Hash, Stat),
        classes: i64,
    ) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        for warning in &record.warnings {
            let shown = told(&location);
            tracing::warn!(
                source = source.name,
                location = shown,
                "`{shown}` {warning}"
            );
        }
        let stood = tx.location(&source.name, &location)?;
        let mut known = tx.record_by_identity(&source.name, &record.identity)?;
        let mut same_content = false;
        let held = stood
            .as_ref()
            .and_then(|stood| stood.record)
            .map(|id| tx.record(id))
            .transpose()?
            .flatten();
        if let Some(other) = held.filter(|held| held.identity != record.identity) {
            if known.is_none() && self.is_named_anew(&other, &record, &location) {
                known = Some(other);
                same_content = true;
            } else {
                self.displaced.insert(other.id);
            }
        }
        if known.is_none() && record.identity == location.as_str() {
            known = self.moved_here(tx, folder, &record)?;
        }
        let found = |id: i64| Found {
            location: location.clone(),
            record: Some(id),
            revision: Some(record.revision),
            raw: Some(raw),
            stat: stat.to_bytes().to_vec(),
            first_seen: stood
                .as_ref()
                .filter(|s| s.record == Some(id))
                .map_or(now, |s| s.first_seen),
            missing_since: None,
            broken: None,
        };
        let Some(known) = known else {
            let id = tx.add_record(&source.name, &record, classes, now)?;
            tx.put_location(&source.name, &found(id))?;
            self.tally.new.insert(id);
            return self.settling.first_seen(tx, id, &record);
        };
        let found = found(known.id);
        // What is as it was is not written: people wait for it who decide.
        if stood.as_ref() != Some(&found) {
            tx.put_location(&source.name, &found)?;
        }
        if !record.published {
            // If someone else wrote so, no decision of ours that is taken back may publish it.
            tx.forget_unpublishing(known.id, &location, raw)?;
        }
        let leads = tx
            .locations_of(known.id)?
            .first()
            .is_some_and(|lead| lead.location == location);
        if !leads {
            if record.revision == known.revision {
                self.settling
                    .keep_decided(tx, known.id, &location, record.published)?;
            }
            return Ok(());
        }
        let same_content = same_content
            || record.revision == known.revision
            || self.is_hashed_anew(tx, &known, &record, classes)?;
        if same_content {
            if self
                .settling
                .same_revision(tx, &known, &location, &record, classes)?
            {
                self.tally.rescored.insert(known.id);
            }
        } else {
            self.tally.changed.insert(known.id);
            self.settling.revised(tx, &known, &record, classes)?;
        }
        Ok(())
    }

    /// Whether a record has only gained a key that names it: without that key and those listed
    /// before it, it is the record of old.
    fn is_named_anew(&self, known: &Known, record: &Record, location: &Location) -> bool {
        let source = self.settling.source;
        let mut fields = record.fields.clone();
        let names: Vec<(String, String)> = source
            .identities_of(&record.fields)
            .map(|(key, url)| (key.to_owned(), url))
            .collect();
        for (key, url) in &names {
            if *url == known.identity {
                return record::revision(&fields, &record.body, &source.classes) == known.revision;
            }
            fields.remove(key);
        }
        known.identity == location.as_str()
            && record::revision(&fields, &record.body, &source.classes) == known.revision
    }

    /// Whether the revision differs only because keys changed their class, or hashes their making:
    /// under the classes of old, what is stored and what was read are the same.
    fn is_hashed_anew(
        &self,
        tx: &Tx<'_>,
        known: &Known,
        record: &Record,
        classes: i64,
    ) -> Result<bool, StoreError> {
        if known.classes == classes {
            return Ok(false);
        }
        let old = tx.classes(known.classes)?;
        let (fields, body) = tx.contents(known.id)?;
        let shared = |map: &Map, other: &record::source::Classes| -> Map {
            // A key that either side does not store cannot be compared.
            let kept = map.iter().filter(|(key, _)| {
                !matches!(
                    other.of(key),
                    record::source::Class::Volatile | record::source::Class::Decision
                )
            });
            kept.map(|(key, value)| (key.to_owned(), value.clone()))
                .collect()
        };
        let before = record::revision(&shared(&fields, &self.settling.source.classes), &body, &old);
        let after = record::revision(&shared(&record.fields, &old), &record.body, &old);
        Ok(before == after)
    }

    /// The record without a URL that stood elsewhere with the same content and is missing there,
    /// noted or not: a hint may name the new place before the old one.
    fn moved_here(
        &self,
        tx: &Tx<'_>,
        folder: &Folder,
        record: &Record,
    ) -> Result<Option<Known>, StoreError> {
        let Settling { source, now, .. } = self.settling;
        for missing in tx.files_with(&source.name, record.revision, now - GRACE)? {
            let is_gone = || folder.stat(&missing.location).is_err_and(|e| e.is_gone());
            if missing.missing_since.is_none() && !is_gone() {
                continue;
            }
            let Some(known) = missing
                .record
                .map(|id| tx.record(id))
                .transpose()?
                .flatten()
            else {
                continue;
            };
            if known.identity == missing.location.as_str() {
                tx.drop_location(&source.name, &missing.location)?;
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Leaves out what was moved out of the source by a write-back while this pass looked at files.
    fn forget_moved(&self, store: &mut Store, missing: &mut Vec<Found>) -> Result<(), StoreError> {
        if self.settling.source.move_to.is_none() || missing.is_empty() {
            return Ok(());
        }
        let name = &self.settling.source.name;
        store.read(|tx| {
            let mut left = Vec::new();
            for found in missing.drain(..) {
                if tx.location(name, &found.location)?.is_some() {
                    left.push(found);
                }
            }
            *missing = left;
            Ok(())
        })
    }

    fn mark_missing(&self, store: &mut Store, missing: &[Found]) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        let newly: Vec<_> = missing
            .iter()
            .filter(|found| found.missing_since.is_none())
            .collect();
        if newly.is_empty() {
            return Ok(());
        }
        store.write(|tx| {
            for found in newly {
                tx.note_missing(&source.name, &found.location, now)?;
            }
            Ok(())
        })
    }

    /// Forgets files that were missing already in an earlier pass, long enough ago; as long ahead is
    /// before the clock was set back.
    fn drop_missing(&mut self, store: &mut Store, missing: &[Found]) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        let is_gone = |found: &&Found| {
            found
                .missing_since
                .is_some_and(|since| now.duration_since(since).abs() >= GRACE)
        };
        let gone: Vec<_> = missing.iter().filter(is_gone).collect();
        if gone.is_empty() {
            return Ok(());
        }
        store.write(|tx| {
            for found in &gone {
                // Another file may have taken its record over in this pass.
                if tx
                    .location(&source.name, &found.location)?
                    .is_some_and(|f| f.missing_since.is_some())
                {
                    tx.drop_location(&source.name, &found.location)?;
                }
            }
            Ok::<_, StoreError>(())
        })?;
        self.displaced
            .extend(gone.iter().filter_map(|found| found.record));
        Ok(())
    }

    /// Looks at the records that lost a file: those that no file holds are gone.
    pub(super) fn finish(mut self, store: &mut Store, folder: &Folder) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        if self.displaced.is_empty() {
            return Ok(());
        }
        // Another file may lead now, which did not when it was read.
        let mut leads = Vec::new();
        for id in &self.displaced {
            let lead = store.read(|tx| tx.locations_of(*id))?.into_iter().next();
            leads.extend(
                lead.filter(|lead| lead.missing_since.is_none())
                    .map(|lead| lead.location),
            );
        }
        let readings = leads
            .into_iter()
            .filter_map(|l| Some((l.clone(), read(folder, source, &l)?)))
            .collect();
        self.take_in(store, folder, readings)?;
        store.write(|tx| {
            for id in self.displaced {
                if tx.locations_of(id)?.is_empty() && !is_moved(tx, id)? {
                    tx.set_gone(id, Some(now))?;
                    if let Some(item) = tx.item_of(id)? {
                        tx.advance(&item, Cause::Gone, None, now)?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Whether we have moved out the story as it stands: then it is not gone.
fn is_moved(tx: &Tx<'_>, record: i64) -> Result<bool, StoreError> {
    let Some(known) = tx.record(record)? else {
        return Ok(false);
    };
    Ok(!tx.moved_of(record, known.revision)?.is_empty())
}

/// Raises or ends a source's alarm, if that changes anything.
fn set_alarm(
    store: &mut Store,
    source: &str,
    alarm: Option<&str>,
    now: jiff::Timestamp,
) -> Result<(), StoreError> {
    let stands = store.read(|tx| tx.alarm(source))?;
    if stands.as_ref().map(|(text, _)| text.as_str()) == alarm {
        return Ok(());
    }
    if let Some(alarm) = alarm {
        tracing::warn!(source, "the source is frozen: {alarm}");
    }
    store.write(|tx| tx.set_alarm(source, alarm, now))
}

/// Whether a file reads as half written and was written a moment ago, by the system's clock.
fn is_being_written(source: &Source, location: &Location, broken: &record::Broken) -> bool {
    let written = || {
        std::fs::symlink_metadata(source.path.join(location.to_path()))
            .ok()?
            .modified()
            .ok()
    };
    broken.is_unfinished()
        && written().is_some_and(|at| at.elapsed().is_ok_and(|since| since < SETTLING))
}

fn told(location: &Location) -> String {
    shown::line(location.as_str(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;
    use crate::store::write_backs::MovedOut;
    use jiff::Timestamp;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A pass that has listed a file as missing while a write-back has moved it out.
    #[test]
    fn what_is_moved_out_during_a_pass_is_neither_missing_nor_gone() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "sources:\n  - {name: news, path: content, reject: {move: archive}}\nqueues:\n  - name: all\n";
        std::fs::write(folder.path().join("a.yaml"), yaml).unwrap();
        std::fs::create_dir(folder.path().join("content")).unwrap();
        let rules = RuleSet::load(folder.path()).unwrap();
        let source = &rules.sources[0];
        let story = source.path.join("a.md");
        std::fs::write(&story, "---\ntitle: A\npublished: false\n---\n").unwrap();
        let mut store = Store::in_memory().unwrap();
        super::super::scan(&mut store, &rules, NOW, &Control::NONE).unwrap();
        let mut missing = store.read(|tx| tx.locations("news")).unwrap();
        assert_eq!(missing.len(), 1);

        std::fs::remove_file(&story).unwrap();
        let (id, revision) = (missing[0].record.unwrap(), missing[0].revision.unwrap());
        let moved = MovedOut {
            location: missing[0].location.clone(),
            record: id,
            revision,
            raw: missing[0].raw.unwrap(),
        };
        store.write(|tx| tx.note_moved_out("news", &moved)).unwrap();

        let mut tally = Tally::default();
        let settling = Settling {
            rules: &rules,
            source,
            now: NOW,
        };
        let mut pass = Pass::new(settling, &mut tally);
        pass.mark_missing(&mut store, &missing).unwrap();
        assert!(store.read(|tx| tx.locations("news")).unwrap().is_empty());
        pass.forget_moved(&mut store, &mut missing).unwrap();
        assert!(missing.is_empty());
        pass.displaced.insert(id);
        let opened = Folder::open(&source.path).unwrap();
        pass.finish(&mut store, &opened).unwrap();
        let known = store.read(|tx| tx.record(id)).unwrap().unwrap();
        assert_eq!(known.gone_at, None);
        let item = store.read(|tx| tx.item_of(id)).unwrap().unwrap();
        assert!(item.status.is_open());
    }
}
