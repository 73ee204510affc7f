//! Files of rejected stories that are moved out of their source, and back.
//!
//! A file has the same path in both places. What was moved is known in the database by its bytes, so
//! that the same story can be moved over our own earlier copy of it and over nothing else.

use super::{End, Failed, Prepared, Standing, Written, attempt};
use crate::record::file::Folder;
use crate::record::file::replace::{Exchange, WriteError};
use crate::record::file::transfer::{Carried, Transfer, Way};
use crate::record::location::Location;
use crate::record::source::{self, Source};
use crate::record::{Hash, Record, shown};
use crate::rules::RuleSet;
use crate::store::write_backs::{MovedOut, UnderWay, WriteBack};
use crate::store::{Store, StoreError};
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;

/// A file that is to be moved.
pub(super) struct Planned {
    source: Folder,
    archive: Folder,
    way: Way,
    moved: MovedOut,
    /// What may stand where it goes: our earlier copy.
    over: Hash,
    /// Whether it stands there already.
    is_made: bool,
    /// Where it stands or goes in the archive, as people read it.
    path: String,
}

/// The move of a story out of its source, where it stands.
pub(super) fn out(
    rules: &RuleSet,
    source: &Source,
    folder: Folder,
    location: &Location,
    standing: &Standing,
    old: Hash,
) -> Result<Prepared, String> {
    let Some(to) = &source.move_to else {
        return Err("the rules name no folder of `move`".into());
    };
    let refused = |why: String| Ok(Prepared::End(End::Refused(why)));
    // The rules are checked for it; a folder named at the command line, or a link made since, is not.
    if let Some(other) = rules.sources.iter().find(|s| source::overlap(&s.path, to)) {
        let (to, name) = (to.display(), &other.name);
        return refused(format!(
            "`{to}` and the folder of source {name} lie in one another"
        ));
    }
    std::fs::create_dir_all(to)
        .map_err(|error| format!("`{}` cannot be made: {error}", to.display()))?;
    let archive = open(to)?;
    let stands = archive.read(location).ok().and_then(|found| {
        let raw = Hash::of(&found.bytes);
        let is_it = Record::read(&found.bytes, location.as_str(), source)
            .is_ok_and(|record| standing.is(&record));
        let is_ours = standing.moved.as_ref().is_some_and(|m| m.raw == raw);
        (is_it || is_ours).then_some(raw)
    });
    Ok(Prepared::Move(Planned {
        source: folder,
        archive,
        way: Way::Out,
        moved: MovedOut {
            location: location.clone(),
            record: standing.record,
            revision: standing.revision,
            raw: old,
        },
        over: stands.unwrap_or(old),
        is_made: false,
        path: path(to, location),
    }))
}

/// The move of a story that is not in its source: out of it and made already, or back. `None` if
/// it is not where it would have been moved to.
pub(super) fn away(
    source: &Source,
    folder: Folder,
    location: &Location,
    standing: &Standing,
    moves_out: bool,
) -> Result<Option<Planned>, String> {
    let moved = standing.moved_out();
    let to = match &source.move_to {
        Some(to) if moves_out || moved.is_some() => to,
        None if moved.is_some() => {
            return Err(
                "it was moved out of its source, and the rules do not say any more where to".into(),
            );
        }
        _ => return Ok(None),
    };
    let path = path(to, location);
    let archive = match open(to) {
        Err(_) if moves_out => return Ok(None),
        archive => archive?,
    };
    let found = match archive.read(location) {
        Ok(found) => found,
        Err(error) if error.is_gone() && moves_out => return Ok(None),
        Err(error) => return Err(format!("it was moved to `{path}`: {error}")),
    };
    let raw = Hash::of(&found.bytes);
    let is_it = Record::read(&found.bytes, location.as_str(), source)
        .is_ok_and(|record| standing.is(&record));
    if !is_it && moved.is_none_or(|moved| moved.raw != raw) {
        return match moves_out {
            true => Ok(None),
            false => Err(format!("`{path}` is not any more what was moved there")),
        };
    }
    Ok(Some(Planned {
        source: folder,
        archive,
        way: if moves_out { Way::Out } else { Way::Back },
        moved: MovedOut {
            location: location.clone(),
            record: standing.record,
            revision: standing.revision,
            raw,
        },
        over: raw,
        is_made: moves_out,
        path,
    }))
}

/// Moves a file; one that is back is written then, if the decision asks for that.
pub(super) fn carry_out(
    store: &mut Store,
    rules: &RuleSet,
    write_back: &WriteBack,
    planned: Planned,
    now: Timestamp,
) -> Result<Option<Result<Written, Failed>>, StoreError> {
    let Planned { way, moved, .. } = &planned;
    let mut stat = None;
    if !planned.is_made {
        let exchange = Exchange::new(moved.raw, planned.over);
        if !store.write(|tx| tx.plan_move(write_back.id, *way, &exchange))? {
            return Ok(None);
        }
        let transfer = Transfer {
            source: &planned.source,
            archive: &planned.archive,
            way: *way,
        };
        match transfer.carry(&moved.location, &exchange) {
            Ok(found) => stat = Some(found),
            Err(error @ WriteError::Halfway(_)) => {
                return Ok(Some(Err(Failed::Halfway(error.to_string()))));
            }
            Err(error) => {
                store.write(|tx| tx.unplan_write_back(write_back.id))?;
                return Ok(Some(failed(error, &planned)));
            }
        }
    }
    if *way == Way::Out {
        let moved = Some(moved.clone());
        let end = End::Moved(Way::Out);
        return Ok(Some(Ok(Written {
            moved,
            ..Written::nothing(end)
        })));
    }
    store.write(|tx| {
        tx.end_write(write_back.id)?;
        let stat = stat
            .map(|stat| stat.to_bytes().to_vec())
            .unwrap_or_default();
        tx.note_moved_back(&write_back.source, moved, stat, now)?;
        if let Some(item) = tx.item(write_back.item)? {
            let detail = json!({"location": moved.location.as_str(), "verb": write_back.verb});
            tx.add_event(&item, "moved_back", "copydesk", Some(&detail), now)?;
        }
        Ok::<_, StoreError>(())
    })?;
    let tried = attempt(store, rules, write_back, now)?;
    Ok(tried.map(|tried| {
        tried.map(|written| match &written.end {
            End::Done(undo) if undo.is_empty() => Written {
                end: End::Moved(Way::Back),
                ..written
            },
            _ => written,
        })
    }))
}

/// What a move that was not made means for its write-back.
fn failed(error: WriteError, planned: &Planned) -> Result<Written, Failed> {
    let refused = |why: &str| Ok(Written::nothing(End::Refused(why.to_owned())));
    match (error, planned.way) {
        (WriteError::HardLink, _) => {
            refused("it is a hard link: moving it would leave its other name")
        }
        (error @ WriteError::Elsewhere, _) => refused(&format!("`{}`: {error}", planned.path)),
        (WriteError::Taken, Way::Out) => Err(Failed::Otherwise(format!(
            "`{}` is another file, and is not written over; move it away",
            planned.path
        ))),
        (WriteError::Changed | WriteError::Taken, _) => Err(Failed::Changed),
        (error, _) => Err(Failed::Otherwise(error.to_string())),
    }
}

/// Ends a move that was cut short; one that cannot be ended yet stays noted.
pub(super) fn recover(
    store: &mut Store,
    source: &Source,
    cut: &UnderWay,
    way: Way,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = store.read(|tx| tx.moved_from(&cut.source, &cut.location))?;
    match recovered(source, cut, way, known) {
        Ok(Some((moved, stat))) => store.write(|tx| {
            match way {
                Way::Out => tx.note_moved_out(&cut.source, &moved)?,
                Way::Back => tx.note_moved_back(&cut.source, &moved, stat, now)?,
            }
            tx.end_write(cut.id)
        }),
        Ok(None) => store.write(|tx| tx.unplan_write_back(cut.id)),
        Err(error) => {
            let shown = shown::line(cut.location.as_str(), 200);
            tracing::warn!("A move of `{shown}` was cut short and is not put right: {error}");
            Ok(())
        }
    }
}

/// What has arrived of a move that was cut short, and its state; `None` if it was not moved.
fn recovered(
    source: &Source,
    cut: &UnderWay,
    way: Way,
    known: Option<MovedOut>,
) -> Result<Option<(MovedOut, Vec<u8>)>, String> {
    let Some(to) = &source.move_to else {
        return Err("the rules do not say any more where to".into());
    };
    let (folder, archive) = (open(&source.path)?, open(to)?);
    let transfer = Transfer {
        source: &folder,
        archive: &archive,
        way,
    };
    let location = &cut.location;
    let carried = transfer.recover(location, &cut.exchange);
    let Carried::There(stat) = carried.map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let stat = stat
        .map(|stat| stat.to_bytes().to_vec())
        .unwrap_or_default();
    if way == Way::Back {
        let raw = cut.exchange.old;
        return Ok(known.map(|moved| (MovedOut { raw, ..moved }, stat)));
    }
    let found = archive.read(location).map_err(|error| error.to_string())?;
    let record = Record::read(&found.bytes, location.as_str(), source);
    let moved = MovedOut {
        location: location.clone(),
        record: cut.record,
        revision: record.map_err(|error| error.to_string())?.revision,
        raw: cut.exchange.old,
    };
    Ok(Some((moved, stat)))
}

fn open(folder: &Path) -> Result<Folder, String> {
    Folder::open(folder)
        .map_err(|error| format!("`{}` cannot be opened: {error}", folder.display()))
}

/// Where a file stands in the archive, as people read it.
fn path(to: &Path, location: &Location) -> String {
    shown::line(&to.join(location.to_path()).to_string_lossy(), 200)
}
