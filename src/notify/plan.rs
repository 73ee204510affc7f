//! What is owed to whom at one moment, put together from what is stored.

use crate::notify::due::{Due, Moment, Reason, SET_BACK, Silence, When};
use crate::notify::letter::{Entry, IN_FULL, Letter, Links, Section, Tone, Writer, counted};
use crate::notify::waiting::{self, Waiting};
use crate::record::shown;
use crate::rules::{Desk, Reviewer, Role, RuleSet};
use crate::schedule::{cron, rough};
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
    /// The mails that go out, in order. A digest tells what an alert would.
    pub fn mails(&self) -> impl Iterator<Item = &Owed> {
        let first = self.digest.as_ref().or(self.alert.as_ref());
        let then = self.escalation.as_ref();
        first.into_iter().chain(then)
    }

    /// The mail that goes out first.
    #[must_use]
    pub fn owed(&self) -> Option<&Owed> {
        self.mails().next()
    }
}

/// The reviewers to whom something may be owed now, asked without looking at all that waits: a time
/// has come, what cannot wait is untold, or something is overdue for long.
pub(super) fn may_be_owed<'r>(
    tx: &Tx<'_>,
    rules: &'r RuleSet,
    now: Timestamp,
) -> Result<Vec<&'r Reviewer>, StoreError> {
    let (unsent, suspended) = (tx.unsent_mails()?, tx.suspended(now)?);
    let mut reviewers = Vec::new();
    for reviewer in &rules.reviewers {
        let (email, zone) = (&reviewer.email, &reviewer.timezone);
        // Nothing new is written to her until that is sent.
        if unsent.iter().any(|(to, _)| to == email) {
            continue;
        }
        let kept_to = tx.kept_to(email)?.filter(|to| *to <= now + SET_BACK);
        let schedule = reviewer.digest.as_ref();
        let is_time = schedule.is_some_and(|at| cron::due(at, zone, kept_to, now).is_some());
        let is_suspended = || suspended.iter().any(|s| s.address == *email);
        if is_time || !is_suspended() && has_urgent(tx, &rules.desk, reviewer, now)? {
            reviewers.push(reviewer);
        }
    }
    Ok(reviewers)
}

/// Whether there may be what a reviewer is told of whatever her schedule.
fn has_urgent(
    tx: &Tx<'_>,
    desk: &Desk,
    reviewer: &Reviewer,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let email = &reviewer.email;
    let own = tx.own_settings(email)?;
    if own.stopped || own.paused_until.is_some_and(|until| until > now) {
        return Ok(false);
    }
    for queue in &reviewer.alert {
        if tx.has_untold(queue, email)? {
            return Ok(true);
        }
    }
    let (first, second) = desk.escalate;
    let limits = [(1, first), (2, second)];
    for (level, after) in limits.iter().filter(|_| reviewer.role == Role::Editor) {
        let Ok(before) = now.checked_sub(*after) else {
            continue;
        };
        if tx.has_unescalated(email, *level, before)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What every mail of a tick is written from.
pub(super) struct View {
    waiting: Vec<Waiting>,
    troubles: Vec<String>,
    /// The newest event: what waits is as it was while there is no newer one.
    upto: i64,
}

impl View {
    /// # Errors
    /// [`StoreError`].
    pub(super) fn of(tx: &Tx<'_>, rules: &RuleSet, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            waiting: waiting::waiting(tx, rules, now)?,
            troubles: troubles(tx, rules, now)?,
            upto: tx.newest_event()?,
        })
    }

    /// The same, or a new one if something happened to an item since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn renewed(
        self,
        tx: &Tx<'_>,
        rules: &RuleSet,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        if tx.newest_event()? == self.upto {
            return Ok(self);
        }
        Self::of(tx, rules, now)
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
    let view = View::of(tx, rules, now)?;
    let reviewers = rules.reviewers.iter();
    reviewers
        .map(|reviewer| plan(tx, rules, (&view, reviewer), links, (when, now)))
        .collect()
}

/// What is owed to a reviewer.
///
/// # Errors
/// [`StoreError`].
pub(super) fn plan<'r>(
    tx: &Tx<'_>,
    rules: &RuleSet,
    (view, reviewer): (&View, &'r Reviewer),
    links: Option<&Links>,
    (when, now): (When, Timestamp),
) -> Result<Plan<'r>, StoreError> {
    let email = &reviewer.email;
    let own = tx.own_settings(email)?;
    let (told, last) = tx.told(email)?;
    let given_up = tx.given_up(email)?;
    let hers: Vec<&Waiting> = view
        .waiting
        .iter()
        .filter(|w| reviewer.reads(&w.queue) || w.assigned_to.as_ref() == Some(email))
        .collect();
    let moment = Moment {
        reviewer,
        own: &own,
        waiting: &hers,
        told: &told,
        last,
        given_up: &given_up,
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
        troubles: &view.troubles,
        room: IN_FULL,
        more: BTreeMap::new(),
    };
    let all: Vec<&Waiting> = view.waiting.iter().collect();
    let of_all = Moment {
        waiting: &all,
        ..moment
    };
    let mut late = of_all.escalation(rules.desk.escalate, &tx.escalated(email)?);
    let answer = moment.digest();
    let digest = match answer.digest {
        Ok(due) => {
            let levels = late
                .as_deref()
                .unwrap_or_default()
                .iter()
                .copied()
                .collect();
            // What her digest says is overdue is not said again in a mail of its own.
            late = late.and_then(|mut late| {
                late.retain(|(id, _)| hers.iter().all(|item| item.id != *id));
                let is_empty = late.is_empty();
                (!is_empty).then_some(late).ok_or(Silence::NothingNew)
            });
            Ok(sheet.digest(&due, &hers, last.digest, &levels)?)
        }
        Err(silence) => Err(silence),
    };
    let alert = match moment.alert() {
        Ok(items) => Ok(sheet.alert(&items, &hers)?),
        Err(silence) => Err(silence),
    };
    let escalation = match late {
        Ok(late) => Ok(sheet.escalation(&late, &all)?),
        Err(silence) => Err(silence),
    };
    Ok(Plan {
        reviewer,
        kept: answer.kept,
        digest,
        alert,
        escalation,
    })
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
        levels: &HashMap<i64, i64>,
    ) -> Result<Owed, StoreError> {
        self.room = IN_FULL;
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
        let lead = match due.reason {
            Reason::First => format!("{stories} for a decision. This is your first digest."),
            Reason::News { .. } => {
                format!(
                    "{stories} for a decision. Since your last digest: {}.",
                    due.reason
                )
            }
            Reason::Reminder => {
                format!(
                    "{stories} for a decision. Nothing is new, so this is the whole list again."
                )
            }
        };
        let listed: Vec<&Waiting> = hers
            .iter()
            .copied()
            .filter(|item| is_reminder || !due.still.contains(&item.id))
            .collect();
        let decided = match last {
            Some(last) => self.decided_since(last)?,
            None => None,
        };
        let mut letter = self.letter(format!("{}: {}", said.join(", "), desk(&listed)), lead);
        let titles = sections.iter().flat_map(|section| &section.entries);
        let titles: Vec<&str> = titles.map(|entry| entry.title.as_str()).take(3).collect();
        letter.preview = shown::line(&titles.join("; "), 120);
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
            letter: letter.fitted(),
            told: hers.iter().map(|item| telling(item, levels)).collect(),
        })
    }

    fn alert(&mut self, ids: &[i64], hers: &[&Waiting]) -> Result<Owed, StoreError> {
        let items: Vec<&Waiting> = hers
            .iter()
            .copied()
            .filter(|w| ids.contains(&w.id))
            .collect();
        self.room = IN_FULL;
        let section = self.section("Cannot wait", Tone::Late, ids, hers)?;
        let subject = match items.as_slice() {
            [one] => format!("{}: {}", desk(&items), shown::line(&one.title, 80)),
            _ => format!("{} that cannot wait: {}", items.len(), desk(&items)),
        };
        let stories = match items.len() {
            1 => "This story".to_owned(),
            count => format!("These {count} stories"),
        };
        let lead = format!("{stories} cannot wait for your next digest.");
        let mut letter = self.letter(subject, lead);
        letter.sections.extend(section);
        letter.more = std::mem::take(&mut self.more).into_iter().collect();
        Ok(Owed {
            kind: "alert",
            reason: format!("{} in a queue that cannot wait", items.len()),
            letter: letter.fitted(),
            told: items
                .iter()
                .map(|item| telling(item, &HashMap::new()))
                .collect(),
        })
    }

    fn escalation(&mut self, late: &[(i64, i64)], all: &[&Waiting]) -> Result<Owed, StoreError> {
        let ids: Vec<i64> = late.iter().map(|(id, _)| *id).collect();
        let items: Vec<&Waiting> = all
            .iter()
            .copied()
            .filter(|w| ids.contains(&w.id))
            .collect();
        self.room = IN_FULL;
        let section = self.section("Overdue", Tone::Late, &ids, all)?;
        let after = self.rules.desk.escalate;
        let is_second = late.iter().all(|(_, level)| *level == 2);
        let long = rough(if is_second { after.1 } else { after.0 });
        let stories = counted(items.len(), "story has", "stories have");
        let told = if is_second {
            "You are told as an editor, for the second and last time."
        } else {
            "You are told as an editor."
        };
        let lead =
            format!("{stories} been overdue for {long} or longer, and nobody has decided. {told}");
        let subject = match items.as_slice() {
            [one] => format!("overdue for {long}: {}", shown::line(&one.title, 80)),
            _ => format!("{} overdue for {long}: {}", items.len(), desk(&items)),
        };
        let mut letter = self.letter(subject, lead);
        letter.sections.extend(section);
        letter.more = std::mem::take(&mut self.more).into_iter().collect();
        letter.desk = self.troubles.to_vec();
        let levels: HashMap<i64, i64> = late.iter().copied().collect();
        Ok(Owed {
            kind: "alert",
            reason: format!("{} overdue for {long}", items.len()),
            letter: letter.fitted(),
            told: items.iter().map(|item| telling(item, &levels)).collect(),
        })
    }

    fn letter(&self, subject: String, lead: String) -> Letter {
        let (settings, unsubscribe) = self.writer.settings();
        // A list of mails shows the subject already: what follows it says more.
        Letter {
            preview: lead.clone(),
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

fn telling(item: &Waiting, levels: &HashMap<i64, i64>) -> Telling {
    Telling {
        item: item.id,
        version: item.version,
        overdue: item.overdue,
        escalation: levels.get(&item.id).copied().unwrap_or_default(),
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
    let named = |queue: &&str| shown::line(queue, 40);
    match queues.as_slice() {
        [] => String::new(),
        [one] => named(one),
        [one, other] => format!("{}, {}", named(one), named(other)),
        [one, rest @ ..] => format!("{} and {} more queues", named(one), rest.len()),
    }
}
