//! What must hold after every step: the model's own account of decisions, items, files and mails,
//! held against the database, the disk and the mail server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use copydesk::item::{Cause, Status, Verdict};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use uuid::Uuid;
use walkdir::WalkDir;

use super::rows;
use super::upstream::{File, Key, SOURCES};
use super::world::{Checked, World};

const CAUSES: [Cause; 10] = [
    Cause::Approve,
    Cause::Reject,
    Cause::Hold,
    Cause::Reopen,
    Cause::HoldOver,
    Cause::Gone,
    Cause::Back,
    Cause::Outside,
    Cause::Expire,
    Cause::Revised,
];
/// What happens to an item and does not move it.
const NO_CAUSES: [&str; 6] = [
    "routed",
    "written",
    "write_stale",
    "write_refused",
    "reasserted",
    "reassert_stopped",
];

/// An item as it was last seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: Status,
    pub(super) version: i64,
    pub(super) record: i64,
    pub(super) source: String,
    pub(super) identity: String,
    /// The number of the content that it is about.
    pub(super) number: u64,
}

/// What someone asked for, and what was made of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: Uuid,
    pub(super) item: i64,
    pub(super) version: Option<i64>,
    pub(super) verdict: Verdict,
    pub(super) actor: usize,
    /// The number of the content that she saw.
    pub(super) judged: Option<u64>,
    /// The status and version that she was told.
    pub(super) made: Option<(Status, i64)>,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) items: BTreeMap<i64, Seen>,
    pub(super) asked: Vec<Asked>,
    /// The last decision on each content of each item.
    pub(super) last: BTreeMap<(i64, u64), Verdict>,
    events: i64,
    by_queue: BTreeSet<String>,
    failed_mails: BTreeSet<i64>,
    /// The newest mail.
    mail: i64,
    /// The Message-IDs of all mails, also of those that are forgotten.
    known: BTreeSet<String>,
    /// Which mail that was sent told whom of what first.
    told: BTreeMap<(String, String), i64>,
    refusals: u64,
    /// The flags before the last write-back.
    pub(super) before: BTreeMap<Key, Option<bool>>,
    /// How many copies of each mail were taken before the last round.
    pub(super) copies_before: BTreeMap<String, usize>,
}

impl Ledger {
    /// What a request must be answered: the status and version that it makes, or why it is refused.
    pub(super) fn expected(&self, asked: &Asked) -> Result<(Status, i64), &'static str> {
        if let Some(made) = self
            .asked
            .iter()
            .find(|a| a.id == asked.id && a.made.is_some())
        {
            let same = (made.item, made.version, made.verdict, made.actor)
                == (asked.item, asked.version, asked.verdict, asked.actor);
            return made.made.filter(|_| same).ok_or("taken");
        }
        let Some(item) = self.items.get(&asked.item) else {
            return Err("no item");
        };
        if asked.version.is_some_and(|version| version != item.version) {
            return Err("stale");
        }
        let status = item.status.after(asked.verdict.cause()).ok_or("not now")?;
        Ok((status, item.version + 1))
    }

    /// Keeps what someone asked for, and what she was answered.
    pub(super) fn note(&mut self, mut asked: Asked, made: Option<(Status, i64)>) {
        if self
            .asked
            .iter()
            .any(|a| a.id == asked.id && a.made.is_some())
        {
            return;
        }
        asked.made = made;
        if let (Some(number), Some(_)) = (asked.judged, made)
            && asked.verdict != Verdict::Hold
        {
            self.last.insert((asked.item, number), asked.verdict);
        }
        self.asked.retain(|a| a.id != asked.id);
        self.asked.push(asked);
    }

    pub(super) fn integrity(&self, side: &Connection) -> Checked {
        let said = rows(side, "PRAGMA integrity_check", (), |row| {
            row.get::<_, String>(0)
        });
        let odd = rows(side, "PRAGMA foreign_key_check", (), |row| {
            row.get::<_, String>(0)
        });
        match (&said[..], odd.is_empty()) {
            ([ok], true) if ok == "ok" => Ok(()),
            _ => Err(format!("the database is damaged: {said:?} {odd:?}")),
        }
    }

    /// Sums that change when anything is done.
    pub(super) fn sums(&self, side: &Connection) -> Vec<i64> {
        let sql = "SELECT (SELECT count(*) FROM mails), (SELECT count(*) FROM write_backs), (SELECT count(*) FROM events),
                          (SELECT count(*) FROM decisions), (SELECT sum(version) FROM items)";
        let sums = rows(side, sql, (), |row| {
            (0..5)
                .map(|n| row.get::<_, Option<i64>>(n))
                .collect::<Result<Vec<_>, _>>()
        });
        sums.concat()
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect()
    }

    /// Items move as the table allows, by what their events say, and only for a reason.
    fn items_move(&mut self, side: &Connection) -> Checked {
        let sql = "SELECT i.id, i.status, i.version, i.record, r.source, r.identity, r.title FROM items i JOIN records r ON r.id = i.record";
        let found: BTreeMap<i64, Seen> = rows(side, sql, (), |row| {
            let title: String = row.get(6)?;
            let seen = Seen {
                status: row.get::<_, String>(1)?.parse().unwrap(),
                version: row.get(2)?,
                record: row.get(3)?,
                source: row.get(4)?,
                identity: row.get(5)?,
                number: title.rsplit(' ').next().unwrap().parse().unwrap(),
            };
            Ok((row.get(0)?, seen))
        })
        .into_iter()
        .collect();
        let mut stands: BTreeMap<i64, (Status, i64)> = self
            .items
            .iter()
            .map(|(id, item)| (*id, (item.status, item.version)))
            .collect();
        let sql = "SELECT id, item, kind, version FROM events WHERE id > ?1 ORDER BY id";
        let events = rows(side, sql, [self.events], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
            ))
        });
        for (id, item, kind, version) in events {
            self.events = id;
            if kind == "queued" {
                if stands.insert(item, (Status::Pending, 1)).is_some() {
                    return Err(format!("item {item} is queued twice"));
                }
                continue;
            }
            if NO_CAUSES.contains(&kind.as_str()) {
                continue;
            }
            let Some(cause) = CAUSES.iter().find(|cause| cause.as_str() == kind) else {
                return Err(format!("item {item}: {kind}"));
            };
            let Some((status, at)) = stands.get(&item).copied() else {
                return Err(format!("item {item} is {kind} and was never queued"));
            };
            let Some(next) = status.after(*cause) else {
                return Err(format!("item {item} is {status}, and {kind}"));
            };
            let raised = at + i64::from(cause.raises_version());
            if raised != version {
                return Err(format!(
                    "item {item}: {kind} makes version {at} into {version}"
                ));
            }
            if *cause == Cause::Revised
                && self
                    .items
                    .get(&item)
                    .is_some_and(|before| before.number == found[&item].number)
            {
                return Err(format!(
                    "item {item} is revised, and its content is as it was"
                ));
            }
            stands.insert(item, (next, raised));
        }
        let seen = found
            .iter()
            .map(|(id, item)| (*id, (item.status, item.version)))
            .collect();
        if stands != seen {
            return Err(format!(
                "items are {seen:?}, and their events make {stands:?}"
            ));
        }
        self.items = found;
        Ok(())
    }

    /// What was acknowledged is there, once, and nothing else is.
    fn decisions_stand(&mut self, side: &Connection) -> Checked {
        let sql = "SELECT id, item, kind, version, actor FROM decisions ORDER BY rowid";
        let mut made: BTreeMap<String, (i64, String, i64)> = BTreeMap::new();
        for (id, item, kind, version, actor) in rows(side, sql, (), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, String>(4)?,
            ))
        }) {
            if actor == "queue:wire" {
                if self.by_queue.insert(id) {
                    self.last
                        .insert((item, self.items[&item].number), Verdict::Approve);
                }
            } else {
                made.insert(id, (item, kind, version));
            }
        }
        for asked in &self.asked {
            let found = made.remove(&asked.id.to_string());
            let wanted = asked
                .made
                .map(|(_, version)| (asked.item, asked.verdict.as_str().to_owned(), version - 1));
            if found != wanted {
                return Err(format!(
                    "a decision is lost, doubled or not what was asked: {asked:?}, found {found:?}"
                ));
            }
        }
        match made.first_key_value() {
            Some(nobodys) => Err(format!("nobody decided {nobodys:?}")),
            None => Ok(()),
        }
    }
}

impl World<'_> {
    /// Holds everything that must hold after every step; `whole` unless the step failed.
    pub(super) fn check(&mut self, what: &'static str, whole: bool) -> Checked {
        let said = std::mem::take(&mut self.ground.post.lock().unwrap().said);
        self.trace.lock().unwrap().extend(said);
        self.ledger.items_move(&self.side)?;
        self.ledger.decisions_stand(&self.side)?;
        self.files_stand(what)?;
        self.mails_are_once(whole)
    }

    /// Each file holds what upstream wrote last, but for the flag, which follows decisions.
    fn files_stand(&mut self, what: &str) -> Checked {
        let mut changed = Vec::new();
        for (key, file) in &self.files {
            let (place, content) = (self.place(key), &file.content);
            let bytes = fs::read(&place)
                .map_err(|error| format!("{key:?} is lost after {what}: {error}"))?;
            if bytes == content.bytes(file.flag) {
                continue;
            }
            let flags = [None, Some(true), Some(false)];
            let Some(flag) = flags.into_iter().find(|flag| bytes == content.bytes(*flag)) else {
                let text = String::from_utf8_lossy(&bytes);
                return Err(format!(
                    "{key:?} is not what upstream wrote: {content:?}\n{text}"
                ));
            };
            self.may_say(key, file, flag)?;
            changed.push((key.clone(), flag));
        }
        for (key, flag) in changed {
            let source = self.rules().source(SOURCES[key.0].0);
            if what != "write-back" || source.is_none_or(|source| !source.write) {
                return Err(format!("{key:?} is written by {what}"));
            }
            *self.counts.entry("files written").or_default() += 1;
            self.files.get_mut(&key).unwrap().flag = flag;
        }
        for source in 0..SOURCES.len() {
            let folder = self.folder(source);
            let found = WalkDir::new(&folder)
                .into_iter()
                .map(Result::unwrap)
                .filter(|entry| entry.file_type().is_file());
            for entry in found {
                let path = entry
                    .path()
                    .strip_prefix(&folder)
                    .unwrap()
                    .to_str()
                    .unwrap();
                if !self.files.contains_key(&(source, path.to_owned())) {
                    return Err(format!("{path} is left after {what}"));
                }
            }
        }
        Ok(())
    }

    /// A flag that is not upstream's is there by a decision on exactly what stands in the file.
    fn may_say(&self, key: &Key, file: &File, flag: Option<bool>) -> Checked {
        let content = &file.content;
        let (name, _) = SOURCES[key.0];
        let identity = content.identity(&key.1);
        let item = self
            .ledger
            .items
            .iter()
            .find(|(_, item)| item.source == name && item.identity == identity);
        let last = item.and_then(|(id, _)| self.ledger.last.get(&(*id, content.number)).copied());
        let item = item.map(|(_, item)| item);
        let may = match flag {
            _ if flag == content.flag => true,
            Some(true) => {
                let stands = item.is_some_and(|item| {
                    item.status == Status::Approved && item.number == content.number
                });
                // Its own word, for all that the desk can see.
                let taken_back = last == Some(Verdict::Reopen) && file.alike == flag;
                stands && last == Some(Verdict::Approve) || taken_back
            }
            Some(false) => {
                let unpublished =
                    name == "beta" && item.is_some_and(|item| item.status != Status::Approved);
                unpublished || matches!(last, Some(Verdict::Reject | Verdict::Reopen))
            }
            // What a reopening knew to have stood there. If upstream has written what we wrote since,
            // the two look alike, and the story is left unpublished.
            None => last == Some(Verdict::Reopen),
        };
        if may {
            return Ok(());
        }
        Err(format!(
            "{key:?} says {flag:?} where upstream says {:?}; the last decision on it is {last:?}, its item {item:?}",
            content.flag
        ))
    }

    /// Mails are told once, sent once, and called sent when they were.
    fn mails_are_once(&mut self, whole: bool) -> Checked {
        let mut post = self.ground.post.lock().unwrap();
        if !whole {
            // Its answer came, and was not noted.
            for (id, letter) in &mut post.letters {
                if letter.copies.len()
                    > self
                        .ledger
                        .copies_before
                        .get(id)
                        .copied()
                        .unwrap_or_default()
                {
                    letter.uncertain += 1;
                }
            }
        }
        let sql = "SELECT id, message_id, recipient, status, created_at FROM mails ORDER BY id";
        let mails = rows(&self.side, sql, (), |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
            ))
        });
        let new = mails.iter().filter(|mail| mail.0 > self.ledger.mail);
        let mut new: Vec<&String> = new.map(|mail| &mail.2).collect();
        let count = new.len();
        new.sort();
        new.dedup();
        if new.len() < count {
            return Err("somebody is written to twice at once".into());
        }
        let newest = mails.last().map_or(0, |mail| mail.0);
        if newest < self.ledger.mail {
            return Err(format!("the newest mail, {}, is gone", self.ledger.mail));
        }
        self.ledger.mail = newest;
        let mut newly_failed = 0;
        for (id, message, to, status, created) in &mails {
            self.ledger.known.insert(message.clone());
            let letter = post.letters.get(message);
            let copies = letter.map_or(0, |letter| letter.copies.len());
            if status == "sent" && !letter.is_some_and(|letter| letter.answered) {
                return Err(format!("mail {id} is called sent, and was not taken"));
            }
            let old = self.now - SignedDuration::from_hours(5 * 24);
            let is_old = Timestamp::from_microsecond(*created).unwrap() < old;
            if status == "failed" && self.ledger.failed_mails.insert(*id) && !is_old {
                let begun = letter.map_or(0, |letter| letter.begun);
                let cut = post.cut.get(to).copied().unwrap_or_default();
                newly_failed += u64::from(begun + cut < 2);
            }
            let Some(letter) = letter.filter(|_| copies > 0) else {
                continue;
            };
            if copies > 1 + letter.uncertain.min(1) {
                return Err(format!(
                    "mail {id} came {copies} times, {} of them uncertain",
                    letter.uncertain
                ));
            }
            if letter.copies.iter().any(|copy| *copy != letter.copies[0]) || letter.to != *to {
                return Err(format!("mail {id} is not the same each time"));
            }
            for name in letter.told().1 {
                let told = &mut self.ledger.told;
                let before = told.get(&(to.clone(), name.clone()));
                if let Some(before) = before.filter(|before| *before < id) {
                    return Err(format!(
                        "mail {id} tells {to} of {name}, as mail {before} did"
                    ));
                }
                if status == "sent" {
                    let first = told.entry((to.clone(), name)).or_insert(*id);
                    *first = (*first).min(*id);
                }
            }
        }
        if newly_failed > post.refusals() - self.ledger.refusals {
            return Err(format!(
                "{newly_failed} mails are given up, and the server refused fewer"
            ));
        }
        self.ledger.refusals = post.refusals();
        let known = &self.ledger.known;
        match post.letters.keys().find(|id| !known.contains(*id)) {
            Some(id) => Err(format!("{id} was sent and is not known")),
            None => Ok(()),
        }
    }
}
