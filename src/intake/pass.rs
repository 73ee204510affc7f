//! One pass over one source: which files are new, changed, moved or missing, and whose they are.

use super::reading::{First, Reading, ToRead, Whole, read, read_all};
use super::settle::Settling;
use super::{Control, GRACE, Looked, Tally};
use crate::item::Cause;
use crate::record::file::{Folder, Stat};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::value::Map;
use crate::record::{Record, shown};
use crate::store::records::{Found, Known, Stood};
use crate::store::{HOLDS, LEAVES, Store, StoreError, Tx};
use crate::{record, watch};
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Known files that are asked for at a time.
const PAGE: usize = 2_000;
/// How long one transaction of a pass may hold the writer while nobody of this process waits for it:
/// the fewer there are, the fewer pages are written twice.
const HOLDS_ALONE: Duration = Duration::from_millis(100);
/// A source of which this many files, and more than half, are gone at once is frozen.
const VANISHED: usize = 20;

/// A file that reads as half written is given this long before it is called broken.
const SETTLING: Duration = Duration::from_secs(2);

/// What a pass has to do.
#[derive(Default)]
struct Difference {
    /// Files that were met before, and are to be read again, by when they were first seen: the one
    /// that leads a record is read before the others that hold it.
    again: Vec<(jiff::Timestamp, Location)>,
    /// Files that held no record yet, in the order of their locations.
    new: Vec<ToRead>,
    /// Files that were met before, and were not met now.
    missing: Vec<Stood>,
    /// How many files were met before.
    all: usize,
}

impl Difference {
    fn take_to_read(&mut self) -> Vec<ToRead> {
        self.again.sort();
        let stood = true;
        let again = std::mem::take(&mut self.again).into_iter();
        let again = again.map(|(_, location)| ToRead { location, stood });
        let new = std::mem::take(&mut self.new);
        if again.len() == 0 {
            new
        } else {
            again.chain(new).collect()
        }
    }

    /// How many of the missing files do not stand under another name now.
    fn vanished(&self, folder: &Folder) -> usize {
        let again = self.again.iter().map(|(_, location)| location);
        let new = self.new.iter().map(|file| &file.location);
        let stats = again.chain(new).filter_map(|l| folder.stat(l).ok());
        let kept: HashSet<_> = stats.map(Stat::through_renames).collect();
        let is_renamed = |stood: &&Stood| {
            let stat = stood.stat.as_ref().and_then(|stat| stat.first_chunk());
            stat.is_some_and(|stat| kept.contains(stat))
        };
        self.missing
            .iter()
            .filter(|stood| !is_renamed(stood))
            .count()
    }
}

/// A pass over one source.
pub(super) struct Pass<'a> {
    settling: Settling<'a>,
    tally: &'a mut Tally,
}

impl<'a> Pass<'a> {
    pub(super) fn new(settling: Settling<'a>, tally: &'a mut Tally) -> Self {
        Self { settling, tally }
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
        let reading = source.reading();
        let read_anew = store.read(|tx| tx.reading(&source.name))?.as_deref() != Some(&reading);
        let known =
            |after: Option<&Location>| store.read(|tx| tx.stood_after(&source.name, after, PAGE));
        let mut difference = self.compare(watch::walk(&source.path), known, read_anew)?;
        self.forget_moved(store, &mut difference.missing)?;
        let (missing, all) = (difference.missing.len(), difference.all);
        let are_many = |vanished: usize| vanished >= VANISHED && vanished * 2 > all;
        let vanished = are_many(missing).then(|| difference.vanished(&folder));
        let vanished = vanished.filter(|vanished| are_many(*vanished));
        let alarm = vanished.map(|vanished| {
            format!("{vanished} of {all} files are gone at once; nothing of it is withdrawn until they are back")
        });
        let frozen = alarm.is_some();
        set_alarm(store, &source.name, alarm.as_deref(), now)?;
        if !frozen {
            self.mark_missing(store, &difference.missing)?;
        }
        let mut looked = Looked::default();
        let to_read = difference.take_to_read();
        if !self.read_in(store, &folder, &to_read, control, &mut looked)? {
            return Ok(Looked::default());
        }
        if !frozen {
            self.drop_missing(store, &difference.missing)?;
        }
        if read_anew {
            store.write(|tx| tx.set_reading(&source.name, &reading))?;
        }
        self.finish(store, &folder)?;
        looked.missing = missing > 0 && !frozen;
        Ok(looked)
    }

    /// Reads files and stores them; a patient look leaves out those that are still being written,
    /// and names them. Says whether it came to its end.
    fn read_in(
        &mut self,
        store: &mut Store,
        folder: &Folder,
        files: &[ToRead],
        control: &Control<'_>,
        looked: &mut Looked,
    ) -> Result<bool, StoreError> {
        let (settling, source) = (self.settling, self.settling.source);
        let mut done = 0;
        let mut settled = |location: Location, reading: Option<Reading>| match reading {
            Some(Reading::Broken(broken, _))
                if control.patient && is_being_written(source, &location, &broken) =>
            {
                looked.unsettled.push(source.path.join(location.to_path()));
                None
            }
            reading => Some((location, reading?)),
        };
        read_all(&settling, folder, files, |mut readings| {
            while !(control.stop)() {
                let Some(batch) = readings.next() else {
                    return Ok(true);
                };
                store.write(|tx| {
                    let began = Instant::now();
                    let classes = tx.classes_id(&source.classes)?;
                    let mut next = Some(batch);
                    while let Some(batch) = next {
                        let batch = batch?;
                        done += batch.len();
                        for (location, reading) in batch {
                            if let Some((location, reading)) = settled(location, reading) {
                                self.take_one(tx, folder, location, reading, classes)?;
                            }
                        }
                        let is_waited_for = tx.is_waited_for();
                        let holds = if is_waited_for { HOLDS } else { HOLDS_ALONE };
                        let goes_on = began.elapsed() < holds;
                        next = goes_on.then(|| readings.next_ready()).flatten();
                    }
                    Ok::<_, StoreError>(())
                })?;
                (control.progress)(done, files.len());
                if done < files.len() {
                    std::thread::sleep(LEAVES);
                }
            }
            Ok(false)
        })
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
        let (mut looked, mut all) = (Looked::default(), Difference::default());
        for path in paths {
            let location = Location::of(path);
            let mut known = Some(store.read(|tx| tx.stood_below(&source.name, &location))?);
            let known = |_: Option<&Location>| Ok(known.take().unwrap_or_default());
            let mut difference =
                self.compare(watch::walk_below(&source.path, path), known, false)?;
            self.forget_moved(store, &mut difference.missing)?;
            looked.missing |= !difference.missing.is_empty();
            self.mark_missing(store, &difference.missing)?;
            all.again.append(&mut difference.again);
            all.new.append(&mut difference.new);
        }
        // A path may be named with a folder that it is below.
        all.new.sort_by(|a, b| a.location.cmp(&b.location));
        all.new.dedup_by(|a, b| a.location == b.location);
        let mut to_read = all.take_to_read();
        to_read.dedup_by(|a, b| a.location == b.location);
        let control = Control {
            patient: true,
            ..Control::NONE
        };
        self.read_in(store, &folder, &to_read, &control, &mut looked)?;
        self.finish(store, &folder)?;
        Ok(looked)
    }

    /// Holds what was met against what is known: both come in the order of locations, so that none
    /// of it is kept but the difference. `known` gives what follows a location.
    fn compare(
        &self,
        met: impl Iterator<Item = watch::Met>,
        mut known: impl FnMut(Option<&Location>) -> Result<Vec<Stood>, StoreError>,
        read_anew: bool,
    ) -> Result<Difference, StoreError> {
        let Settling { source, .. } = self.settling;
        let (mut difference, mut closed) = (Difference::default(), Vec::<PathBuf>::new());
        let mut page = VecDeque::from(known(None)?);
        for met in met {
            match met {
                watch::Met::File { path, stat } if source.includes(&path) => {
                    let location = Location::of(&path);
                    let mut found = None;
                    while let Some(stood) = page.pop_front() {
                        if stood.location > location {
                            page.push_front(stood);
                            break;
                        }
                        difference.all += 1;
                        if page.is_empty() {
                            page = known(Some(&stood.location))?.into();
                        }
                        if stood.location == location {
                            found = Some(stood);
                            break;
                        }
                        difference.missing.push(stood);
                    }
                    match found {
                        Some(stood)
                            if !read_anew
                                && stood.missing_since.is_none()
                                && stood.stat == Some(stat.to_bytes()) => {}
                        Some(stood) if stood.is_record => {
                            difference.again.push((stood.first_seen, location));
                        }
                        // What was never readable is as new as any other once it is.
                        found => {
                            let stood = found.is_some();
                            difference.new.push(ToRead { location, stood });
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
        while let Some(stood) = page.pop_front() {
            difference.all += 1;
            if page.is_empty() {
                page = known(Some(&stood.location))?.into();
            }
            difference.missing.push(stood);
        }
        // Of files below a closed folder it says nothing that they were not met.
        let is_closed = |stood: &Stood| {
            let path = stood.location.to_path();
            closed.iter().any(|closed| path.starts_with(closed))
        };
        if !closed.is_empty() {
            difference.missing.retain(|stood| !is_closed(stood));
        }
        Ok(difference)
    }

    /// Stores what was read again of files that were read before.
    pub(super) fn take_in(
        &mut self,
        store: &mut Store,
        folder: &Folder,
        readings: Vec<(Location, Reading)>,
    ) -> Result<(), StoreError> {
        store.write(|tx| {
            let classes = tx.classes_id(&self.settling.source.classes)?;
            for (location, reading) in readings {
                self.take_one(tx, folder, location, reading, classes)?;
            }
            Ok(())
        })
    }

    /// Stores what was read of a file. What another process has stored or written meanwhile is
    /// newer: a file that is known, and is not as it was read, is read again.
    fn take_one(
        &mut self,
        tx: &Tx<'_>,
        folder: &Folder,
        location: Location,
        reading: Reading,
        classes: i64,
    ) -> Result<(), StoreError> {
        let stood = tx.location(&self.settling.source.name, &location)?;
        let stands = stood.is_none()
            || folder
                .stat(&location)
                .ok()
                .is_some_and(|stat| reading.stat() == Some(stat));
        let reading = if stands {
            Some(reading)
        } else {
            read(folder, self.settling.source, &location)
        };
        match reading {
            Some(Reading::Broken(broken, stat)) => {
                self.keep_broken(tx, location, stood, broken, stat)
            }
            Some(Reading::Record(whole)) => self.take(tx, folder, location, stood, *whole, classes),
            None => Ok(()),
        }
    }

    fn keep_broken(
        &self,
        tx: &Tx<'_>,
        location: Location,
        stood: Option<Found>,
        broken: record::Broken,
        stat: Option<Stat>,
    ) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
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
        stood: Option<Found>,
        whole: Whole,
        classes: i64,
    ) -> Result<(), StoreError> {
        let Whole {
            record,
            raw,
            stat,
            first,
        } = whole;
        let Settling { source, now, .. } = self.settling;
        for warning in &record.warnings {
            let shown = told(&location);
            tracing::warn!(
                source = source.name,
                location = shown,
                "`{shown}` {warning}"
            );
        }
        let mut known = tx.record_by_identity(&source.name, &record.identity)?;
        let mut same_content = false;
        let held = stood
            .as_ref()
            .and_then(|stood| stood.record)
            .map(|id| tx.record(id))
            .transpose()?
            .flatten();
        if let Some(other) = held.filter(|held| held.identity != record.identity)
            && known.is_none()
            && self.is_named_anew(&other, &record, &location)
        {
            known = Some(other);
            same_content = true;
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
            let First { packed, assessment } = match first {
                Some(first) => first,
                None => self.settling.first(&record)?,
            };
            let id = tx.add_record(&source.name, &record, &packed, classes, now)?;
            tx.put_location(&source.name, &found(id))?;
            self.tally.new.push(id);
            return self.settling.first_seen(tx, id, &record, &assessment);
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
    fn forget_moved(&self, store: &mut Store, missing: &mut Vec<Stood>) -> Result<(), StoreError> {
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

    fn mark_missing(&self, store: &mut Store, missing: &[Stood]) -> Result<(), StoreError> {
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
    fn drop_missing(&self, store: &mut Store, missing: &[Stood]) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        let is_gone = |found: &&Stood| {
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
            Ok(())
        })
    }

    /// Looks at the records that lost a file, those too of a pass that was stopped or killed before
    /// it came to this: those that no file holds are gone.
    pub(super) fn finish(mut self, store: &mut Store, folder: &Folder) -> Result<(), StoreError> {
        let Settling { source, now, .. } = self.settling;
        let unjudged = store.read(|tx| tx.unjudged(&source.name))?;
        if unjudged.is_empty() {
            return Ok(());
        }
        // Another file may lead now, which did not when it was read.
        let mut leads = Vec::new();
        for id in unjudged {
            leads.extend(store.read(|tx| tx.lead_of(id))?.map(|lead| lead.location));
        }
        let readings = leads
            .into_iter()
            .filter_map(|l| Some((l.clone(), read(folder, source, &l)?)))
            .collect();
        self.take_in(store, folder, readings)?;
        store.write(|tx| {
            for id in tx.unjudged(&source.name)? {
                if tx.locations_of(id)?.is_empty() && !is_moved(tx, id)? {
                    tx.set_gone(id, Some(now))?;
                    if let Some(item) = tx.item_of(id)? {
                        tx.advance(&item, Cause::Gone, None, now)?;
                    }
                }
                let known = tx.record(id)?.map(|known| known.revision);
                let lead = tx.lead_of(id)?.filter(|lead| lead.broken.is_none());
                if lead.is_none_or(|lead| lead.revision == known) {
                    tx.note_judged(id)?;
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
        let stood = |store: &mut Store| store.read(|tx| tx.stood_after("news", None, 10)).unwrap();
        let mut missing = stood(&mut store);
        assert_eq!(missing.len(), 1);
        let found = store
            .read(|tx| tx.location("news", &missing[0].location))
            .unwrap()
            .unwrap();

        std::fs::remove_file(&story).unwrap();
        let (id, revision) = (found.record.unwrap(), found.revision.unwrap());
        let moved = MovedOut {
            location: missing[0].location.clone(),
            record: id,
            revision,
            raw: found.raw.unwrap(),
        };
        store.write(|tx| tx.note_moved_out("news", &moved)).unwrap();

        let mut tally = Tally::default();
        let settling = Settling {
            rules: &rules,
            source,
            now: NOW,
        };
        let pass = Pass::new(settling, &mut tally);
        pass.mark_missing(&mut store, &missing).unwrap();
        assert!(stood(&mut store).is_empty());
        pass.forget_moved(&mut store, &mut missing).unwrap();
        assert!(missing.is_empty());
        assert_eq!(store.read(|tx| tx.unjudged("news")).unwrap(), [id]);
        let opened = Folder::open(&source.path).unwrap();
        pass.finish(&mut store, &opened).unwrap();
        let known = store.read(|tx| tx.record(id)).unwrap().unwrap();
        assert_eq!(known.gone_at, None);
        let item = store.read(|tx| tx.item_of(id)).unwrap().unwrap();
        assert!(item.status.is_open());
    }
}
