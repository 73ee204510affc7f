//! What is owed to whom at one moment, put together from what is stored.

use crate::notify::due::{Due, Moment, Reason, Silence, When};
use crate::notify::letter::{Entry, IN_FULL, Letter, Links, Section, Tone, Writer, counted};
use crate::notify::waiting::{self, Waiting};
use crate::record::shown;
use crate::rules::{Reviewer, Role, RuleSet};
use crate::schedule::rough;
use crate::store::late::Job;
use crate::store::mails::{Telling, Told};
use crate::store::{StoreError, Tx};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// What a reviewer is sent now, or why she is not.
#[derive(Debug)]
pub struct Plan<'r> {
    /// The reviewer.
    pub reviewer: &'r Reviewer,
    /// The time of her schedule that is kept by this.
    pub kept: Option<Timestamp>,
    /// Her digest.
    pub digest: Result<Owed, Silence>,
    /// An alert.
    pub alert: Result<Owed, Silence>,
    /// What an editor is told since it is overdue for long.
    pub escalation: Result<Owed, Silence>,
}

/// A mail that is owed.
#[derive(Clone, Debug)]
pub struct Owed {
    /// `digest` or `alert`.
    pub kind: &'static str,
    /// Why.
    pub reason: String,
    /// What the mail says.
    pub letter: Letter,
    /// What the mail log keeps.
    pub told: Vec<Telling>,
}

impl Plan<'_> {
    /// The mail that goes out first. A digest tells what an alert would.
    #[must_use]
    pub fn owed(&self) -> Option<&Owed> {
        let all = [&self.digest, &self.alert, &self.escalation];
        all.into_iter().find_map(|owed| owed.as_ref().ok())
    }
}

/// What is owed to each reviewer.
///
/// # Errors
/// [`StoreError`].
pub(super) fn plans<'r>(
    tx: &Tx<'_>,
    rules: &'r RuleSet,
    links: Option<&Links>,
    (when, now): (When, Timestamp),
) -> Result<Vec<Plan<'r>>, StoreError> {
    let waiting = waiting::waiting(tx, rules, now)?;
    let troubles = troubles(tx, rules, now)?;
    let mut plans = Vec::new();
    for reviewer in &rules.reviewers {
        let email = &reviewer.email;
        let own = tx.own_settings(email)?;
        let (told, last) = tx.told(email)?;
        let hers: Vec<&Waiting> = waiting
            .iter()
            .filter(|w| reviewer.reads(&w.queue))
            .collect();
        let moment = Moment {
            reviewer,
            own: &own,
            waiting: &hers,
            told: &told,
            last,
            kept_to: tx.kept_to(email)?,
            when,
            now,
        };
        let mut sheet = Sheet {
            tx,
            rules,
            writer: Writer {
                reviewer,
                links,
                link_threshold: rules.desk.link_threshold,
                pictures: own.pictures && rules.desk.pictures != "never",
                now,
            },
            told: told.iter().map(|told| (told.item, told)).collect(),
            troubles: &troubles,
            room: IN_FULL,
            more: BTreeMap::new(),
        };
        let answer = moment.digest();
        let digest = match answer.digest {
            Ok(due) => Ok(sheet.digest(&due, &hers, last)?),
            Err(silence) => Err(silence),
        };
        let alert = match moment.alert() {
            Ok(items) => Ok(sheet.alert(&items, &hers)?),
            Err(silence) => Err(silence),
        };
        let all: Vec<&Waiting> = waiting.iter().collect();
        let moment = Moment {
            waiting: &all,
            ..moment
        };
        let escalation = match moment.escalation(rules.desk.escalate, &tx.escalated(email)?) {
            Ok(late) => Ok(sheet.escalation(&late, &all)?),
            Err(silence) => Err(silence),
        };
        plans.push(Plan {
            reviewer,
            kept: answer.kept,
            digest,
            alert,
            escalation,
        });
    }
    Ok(plans)
}

/// What is wrong with the desk, a sentence each: for editors.
fn troubles(tx: &Tx<'_>, rules: &RuleSet, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let mut troubles = Vec::new();
    for (source, alarm) in tx.alarms()? {
        troubles.push(format!("The source {source} is frozen: {alarm}"));
    }
    let broken = tx.broken()?.len();
    if broken > 0 {
        let files = counted(broken, "file", "files");
        troubles.push(format!(
            "{files} cannot be read (broken): `copydesk status` says which and why."
        ));
    }
    if let Some(error) = tx.refused_rules()? {
        let error = shown::line(&error, 200);
        troubles.push(format!(
            "The changed rules do not load, and the last good ones are in force: {error}"
        ));
    }
    for late in tx.late(rules, now)? {
        if late.job != Job::Rules {
            let late = shown::line(&late.to_string(), 200);
            troubles.push(format!("Late: {late}."));
        }
    }
    Ok(troubles)
}

/// One reviewer's mails while they are written.
struct Sheet<'a> {
    tx: &'a Tx<'a>,
    rules: &'a RuleSet,
    writer: Writer<'a>,
    told: HashMap<i64, &'a Told>,
    troubles: &'a [String],
    room: usize,
    more: BTreeMap<String, usize>,
}

impl Sheet<'_> {
    fn digest(
        &mut self,
        due: &Due,
        hers: &[&Waiting],
        last: Option<Timestamp>,
    ) -> Result<Owed, StoreError> {
        let mut sections = Vec::new();
        for (title, tone, ids) in [
            ("Overdue", Tone::Late, &due.overdue),
            ("New for you", Tone::New, &due.new),
            ("Changed since you looked", Tone::New, &due.changed),
        ] {
            sections.extend(self.section(title, tone, ids, hers)?);
        }
        let is_reminder = due.reason == Reason::Reminder;
        let mut still = None;
        if is_reminder {
            sections.extend(self.section("Still waiting", Tone::Known, &due.still, hers)?);
        } else {
            let oldest = hers.iter().filter(|item| due.still.contains(&item.id));
            still = oldest.map(|item| item.arrived_at).min().map(|oldest| {
                let (count, age) = (due.still.len(), self.writer.now.duration_since(oldest));
                format!("Still waiting: {count}, the oldest for {}.", rough(age))
            });
        }
        let counts = [
            (due.overdue.len(), "overdue"),
            (due.new.len(), "new"),
            (due.changed.len(), "changed"),
            (if is_reminder { due.still.len() } else { 0 }, "waiting"),
        ];
        let said = counts.iter().filter(|(n, _)| *n > 0);
        let said: Vec<String> = said.map(|(n, word)| format!("{n} {word}")).collect();
        let stories = counted(hers.len(), "story waits", "stories wait");
        let lead = format!("{stories} for a decision in your queues ({}).", due.reason);
        let decided = match last {
            Some(last) => self.decided_since(last)?,
            None => None,
        };
        let mut letter = self.letter(format!("{}: {}", said.join(", "), desk(hers)), lead);
        letter.sections = sections;
        letter.still = still;
        letter.decided = decided;
        letter.more = std::mem::take(&mut self.more).into_iter().collect();
        if self.writer.reviewer.role == Role::Editor {
            letter.desk = self.troubles.to_vec();
        }
        Ok(Owed {
            kind: "digest",
            reason: due.reason.to_string(),
            letter,
            told: hers.iter().map(|item| telling(item, 0)).collect(),
        })
    }

    fn alert(&mut self, ids: &[i64], hers: &[&Waiting]) -> Result<Owed, StoreError> {
        let items: Vec<&Waiting> = hers
            .iter()
            .copied()
            .filter(|w| ids.contains(&w.id))
            .collect();
        let section = self.section("Cannot wait", Tone::Late, ids, hers)?;
        let subject = match items.as_slice() {
            [one] => format!("{}: {}", one.queue, shown::line(&one.title, 80)),
            _ => format!("{} new: {}", items.len(), desk(&items)),
        };
        let stories = counted(items.len(), "story", "stories");
        let lead = format!("{stories} that cannot wait for your digest.");
        let mut letter = self.letter(subject, lead);
        letter.sections.extend(section);
        letter.more = std::mem::take(&mut self.more).into_iter().collect();
        Ok(Owed {
            kind: "alert",
            reason: format!("{} in a queue that cannot wait", items.len()),
            letter,
            told: items.iter().map(|item| telling(item, 0)).collect(),
        })
    }

    fn escalation(&mut self, late: &[(i64, i64)], all: &[&Waiting]) -> Result<Owed, StoreError> {
        let ids: Vec<i64> = late.iter().map(|(id, _)| *id).collect();
        let items: Vec<&Waiting> = all
            .iter()
            .copied()
            .filter(|w| ids.contains(&w.id))
            .collect();
        let section = self.section("Overdue", Tone::Late, &ids, all)?;
        let after = self.rules.desk.escalate;
        let is_second = late.iter().any(|(_, level)| *level == 2);
        let long = rough(if is_second { after.1 } else { after.0 });
        let stories = counted(items.len(), "story has", "stories have");
        let lead = format!(
            "{stories} been overdue for {long} or longer, and nobody has decided. You are told as an editor."
        );
        let subject = format!("{} overdue for {long}: {}", items.len(), desk(&items));
        let mut letter = self.letter(subject, lead);
        letter.sections.extend(section);
        letter.more = std::mem::take(&mut self.more).into_iter().collect();
        letter.desk = self.troubles.to_vec();
        let level: HashMap<i64, i64> = late.iter().copied().collect();
        Ok(Owed {
            kind: "alert",
            reason: format!("{} overdue for {long}", items.len()),
            letter,
            told: items
                .iter()
                .map(|item| telling(item, level.get(&item.id).copied().unwrap_or_default()))
                .collect(),
        })
    }

    fn letter(&self, subject: String, lead: String) -> Letter {
        let (settings, unsubscribe) = self.writer.settings();
        Letter {
            subject,
            name: shown::line(&self.writer.reviewer.name, 60),
            lead,
            settings,
            unsubscribe,
            ..Letter::default()
        }
    }

    fn section(
        &mut self,
        title: &'static str,
        tone: Tone,
        ids: &[i64],
        items: &[&Waiting],
    ) -> Result<Option<Section>, StoreError> {
        let mut entries = Vec::new();
        for item in items.iter().filter(|item| ids.contains(&item.id)) {
            if self.room == 0 {
                *self.more.entry(item.queue.clone()).or_default() += 1;
                continue;
            }
            self.room -= 1;
            entries.push(self.entry(item)?);
        }
        Ok((!ids.is_empty()).then_some(Section {
            title,
            tone,
            count: ids.len(),
            entries,
        }))
    }

    fn entry(&self, item: &Waiting) -> Result<Entry, StoreError> {
        let story = waiting::story(self.tx, self.rules, item, self.writer.now)?;
        let mut changes = Vec::new();
        if let Some(told) = self.told.get(&item.id).filter(|t| t.version < item.version) {
            for event in self.tx.events(item.id)? {
                let new = event.version > told.version;
                changes.extend(event.changes().filter(|_| new).unwrap_or_default());
            }
        }
        Ok(self.writer.entry(item, story, changes))
    }

    fn decided_since(&self, last: Timestamp) -> Result<Option<String>, StoreError> {
        let reviewer = self.writer.reviewer;
        let by_queue = self.tx.decided_since(last, &reviewer.email)?;
        let hers = by_queue.iter().filter(|(queue, _)| reviewer.reads(queue));
        let count: i64 = hers.map(|(_, count)| count).sum();
        let count = usize::try_from(count).unwrap_or_default();
        let stories = counted(count, "story was", "stories were");
        Ok((count > 0).then(|| format!("{stories} decided by others since your last digest.")))
    }
}

fn telling(item: &Waiting, escalation: i64) -> Telling {
    Telling {
        item: item.id,
        version: item.version,
        overdue: item.overdue,
        escalation,
    }
}

/// What a subject calls the queues of some items.
fn desk(items: &[&Waiting]) -> String {
    let mut queues: Vec<&str> = Vec::new();
    for item in items {
        if !queues.contains(&item.queue.as_str()) {
            queues.push(&item.queue);
        }
    }
    match queues.as_slice() {
        [one] => (*one).to_owned(),
        [one, other] => format!("{one}, {other}"),
        _ => "copy desk".to_owned(),
    }
}
