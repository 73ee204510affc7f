//! What the demo says: a function of what was known and what is known now.

use crate::cli::screen::counted;
use crate::item::Status;
use crate::record::shown;
use crate::report::{self, ItemLine, ItemPage};
use crate::rules::RuleSet;
use crate::store::{Store, StoreError};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What there is to know at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    /// Every item ever seen, by number.
    pub(super) items: BTreeMap<i64, Item>,
    /// Files that cannot be read: where, and why.
    pub(super) broken: BTreeMap<String, String>,
    /// Records without an item: they read as published.
    pub(super) published: usize,
    /// Mails that were sent, by number.
    pub(super) mails: BTreeMap<i64, Mail>,
    /// What `status` calls a problem.
    pub(super) problems: BTreeSet<String>,
    /// Files that were written again with nothing new but noise, and their item's version then.
    pub(super) resealed: BTreeMap<String, i64>,
}

/// An item, as far as the demo speaks of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) status: Status,
    pub(super) version: i64,
    pub(super) queue: String,
    pub(super) score: i64,
    pub(super) name: String,
    /// Below `content/`.
    pub(super) location: String,
    /// Whether its file says that it is published.
    pub(super) published: bool,
    /// What last happened to it, as events are named.
    pub(super) last: String,
    /// Who decided last.
    pub(super) by: String,
}

/// A mail that was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mail {
    pub(super) to: String,
    pub(super) items: usize,
    /// What became of it.
    pub(super) answer: String,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// The first word.
    pub(super) word: &'static str,
    /// Whether it needs attention, or is a success.
    pub(super) tone: Tone,
    /// The rest of the line.
    pub(super) text: String,
    /// Lines of comment below it.
    pub(super) notes: Vec<String>,
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Alarm,
    Well,
}

/// Events that tell where an item stands; others are about its file.
const TURNS: [&str; 10] = [
    "approved",
    "rejected",
    "held",
    "reopened",
    "hold_over",
    "gone",
    "back",
    "outside",
    "expired",
    "revised",
];

/// The word for another score or queue.
const RESCORED: &str = "rescored";
/// More items with another score than this are told as a count.
const ONE_BY_ONE: usize = 4;

impl Known {
    /// Looks again: what the database says now, together with what is remembered of before.
    /// `wrong` says why the rules that stand in the folder are not the ones in force.
    pub(super) fn look(
        &self,
        store: &mut Store,
        rules: &RuleSet,
        wrong: Option<String>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        // In one transaction, so that a record that arrives meanwhile is in both or in neither.
        let (open, records) = store.read(|tx| {
            let counts = rules
                .sources
                .iter()
                .map(|source| Ok(tx.record_counts(&source.name)?.0));
            let records: i64 = counts.sum::<Result<_, StoreError>>()?;
            Ok::<_, StoreError>((tx.open_items()?, records))
        })?;
        let status = report::status(store, wrong.map_or(Ok(rules), Err), now)?;
        let mut items = BTreeMap::new();
        let mut ids: BTreeSet<i64> = self.items.keys().copied().collect();
        ids.extend(open.iter().map(|open| open.item.id));
        for id in ids {
            if let Some(page) = report::item(store, Some(rules), id, now)? {
                items.insert(id, Item::of(&page));
            }
        }
        let mails = store.read(|tx| {
            let sent = tx.mails(None)?.into_iter();
            sent.filter(|mail| mail.status == "sent")
                .map(|mail| Ok((mail.id, (tx.mail_items(mail.id)?.len(), mail))))
                .collect::<Result<BTreeMap<_, _>, StoreError>>()
        })?;
        let mails = mails.into_iter().map(|(id, (items, mail))| {
            let (to, answer) = (mail.recipient, mail.answer.unwrap_or_default());
            (id, Mail { to, items, answer })
        });
        let broken = status.broken.into_iter().map(|found| {
            let reason = format!("line {}: {}", found.line, found.reason);
            (found.location, reason)
        });
        let records = usize::try_from(records).unwrap_or_default();
        Ok(Self {
            published: records.saturating_sub(items.len()),
            items,
            broken: broken.collect(),
            mails: mails.collect(),
            problems: status.problems.into_iter().collect(),
            resealed: self.resealed.clone(),
        })
    }

    /// How many files were looked at, readable or not.
    pub(super) fn files(&self) -> usize {
        self.items.len() + self.published + self.broken.len()
    }

    /// The items that wait, by queue and score.
    pub(super) fn waiting(&self, rules: &RuleSet) -> Vec<(i64, &Item)> {
        let place = |item: &Item| {
            rules
                .queues
                .iter()
                .position(|queue| queue.name == item.queue)
        };
        let mut waiting: Vec<(i64, &Item)> = self
            .items
            .iter()
            .filter(|(_, item)| item.status == Status::Pending)
            .map(|(id, item)| (*id, item))
            .collect();
        waiting.sort_by_key(|(_, item)| (place(item), -item.score));
        waiting
    }

    /// A broken file that one more line would mend.
    pub(super) fn unclosed(&self) -> Option<&str> {
        let mut broken = self.broken.iter();
        let unclosed = broken.find(|(_, reason)| reason.contains("is not closed"));
        unclosed.map(|(location, _)| location.as_str())
    }

    /// The version of the item whose file stands there.
    pub(super) fn version_at(&self, location: &str) -> Option<i64> {
        let mut items = self.items.values();
        items
            .find(|item| item.location == location)
            .map(|item| item.version)
    }

    /// What was decided, in words.
    pub(super) fn decisions(&self) -> String {
        let count = |status| {
            self.items
                .values()
                .filter(|item| item.status == status)
                .count()
        };
        let counts = [
            (count(Status::Approved), "approved"),
            (count(Status::Rejected), "rejected"),
            (count(Status::Held), "held"),
        ];
        let said: Vec<String> = counts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        let waiting = count(Status::Pending);
        match said.as_slice() {
            [] => format!("Nothing was decided; {} waited.", counted(waiting, "item")),
            said => format!(
                "Decided: {}; {} waited.",
                said.join(", "),
                counted(waiting, "item")
            ),
        }
    }
}

impl Item {
    fn of(page: &ItemPage) -> Self {
        let ItemLine {
            status,
            version,
            queue,
            score,
            location,
            identity,
            ..
        } = &page.line;
        let last = page
            .events
            .iter()
            .rev()
            .find(|event| TURNS.contains(&event.kind.as_str()));
        Self {
            status: *status,
            version: *version,
            queue: queue.clone(),
            score: score.total,
            name: page.line.name().to_owned(),
            location: location.as_ref().unwrap_or(identity).clone(),
            published: page
                .record
                .get("published")
                .and_then(|value| value.as_bool())
                .unwrap_or_default(),
            last: last.map(|event| event.kind.clone()).unwrap_or_default(),
            by: page
                .decisions
                .last()
                .map(|decision| decision.actor.clone())
                .unwrap_or_default(),
        }
    }
}

/// What is to be said when this was known before and that is known now.
pub(super) fn tell(before: &Known, now: &Known) -> Vec<Said> {
    let mut said = Vec::new();
    for (id, item) in &now.items {
        said.extend(item_turn(*id, before.items.get(id), item));
    }
    let rescored = |said: &Said| said.word == RESCORED;
    let count = said.iter().filter(|said| rescored(said)).count();
    if count > ONE_BY_ONE {
        said.retain(|said| !rescored(said));
        let text = format!("{} have another score or queue", counted(count, "item"));
        said.push(Said::of(RESCORED, Tone::Plain, text));
    }
    if now.published > before.published {
        let files = counted(now.published - before.published, "file");
        let text = format!("{files} read as published: nothing to decide");
        said.push(Said::of("passed", Tone::Plain, text));
    }
    said.extend(files(before, now));
    let unknown = |mail: &(&i64, &Mail)| !before.mails.contains_key(mail.0);
    for (_, mail) in now.mails.iter().filter(unknown) {
        let text = format!("to {}: {}", mail.to, counted(mail.items, "item"));
        let at = mail.answer.find("state/mail/").unwrap_or_default();
        let file = mail.answer.get(at..).unwrap_or_default();
        let mail = Said::of("mail", Tone::Well, text).note(format!("it stands in {file}"));
        let mail = mail.note("open it in a mail program, or a link in it in a browser, and decide");
        said.push(mail.note("`copydesk mails` says what was sent to whom, and why"));
    }
    for problem in now.problems.difference(&before.problems) {
        said.push(Said::of("problem", Tone::Alarm, shown::line(problem, 150)));
    }
    for problem in before.problems.difference(&now.problems) {
        said.push(Said::of("solved", Tone::Well, shown::line(problem, 150)));
    }
    said
}

/// What is to be said of files that hold no record, do again, or came back as they were.
fn files(before: &Known, now: &Known) -> Vec<Said> {
    let mut said = Vec::new();
    for (location, reason) in &now.broken {
        if before.broken.get(location) != Some(reason) {
            let text = format!("content/{location}");
            let broken = Said::of("broken", Tone::Alarm, text).note(shown::line(reason, 70));
            let is_first = before.broken.is_empty();
            said.push(if is_first {
                broken.note("nothing else stops for it; mend the file, and it is read again")
            } else {
                broken
            });
        }
    }
    for location in before.broken.keys() {
        if !now.broken.contains_key(location) {
            said.push(Said::of(
                "mended",
                Tone::Well,
                format!("content/{location}"),
            ));
        }
    }
    for (location, version) in &now.resealed {
        let holds = |item: &&Item| item.location == *location && item.version == *version;
        if !before.resealed.contains_key(location) && now.items.values().any(|item| holds(&item)) {
            let text = format!("content/{location}");
            let note = "its feed wrote it again, and only `secured` differs: nothing to do";
            said.push(Said::of("noise", Tone::Plain, text).note(note));
        }
    }
    said
}

/// What is to be said of one item.
fn item_turn(id: i64, before: Option<&Item>, now: &Item) -> Vec<Said> {
    let Some(before) = before else {
        return vec![Said::of("new", Tone::Plain, entry(id, now))];
    };
    let mut said = Vec::new();
    if (before.status, before.version) != (now.status, now.version) {
        said.push(status_turn(id, before, now));
    } else if (&before.queue, before.score) != (&now.queue, now.score) && now.status.is_open() {
        let note = format!("was {} in {}", before.score, before.queue);
        said.push(Said::of(RESCORED, Tone::Plain, entry(id, now)).note(note));
    }
    if before.published != now.published {
        said.extend(file_turn(id, now));
    }
    said
}

/// What is to be said of a file whose `published` has turned.
fn file_turn(id: i64, now: &Item) -> Option<Said> {
    let (location, value) = (&now.location, now.published);
    let text = format!("content/{location} says `published: {value}`");
    let written = || Said::of("written", Tone::Well, text.clone());
    if now.status.is_decided() && value != (now.status == Status::Approved) {
        let undone = Said::of("undone", Tone::Alarm, text);
        Some(undone.note("not by us: the decision is written again"))
    } else if now.status.is_decided() {
        Some(written().note(format!(
            "no other byte differs; `copydesk reopen {id}` puts it back"
        )))
    } else {
        (now.last == "reopened").then(written)
    }
}

fn status_turn(id: i64, before: &Item, now: &Item) -> Said {
    let Item { version, by, .. } = now;
    let by_whom = || {
        format!(
            "{id}@{version} by {}: {}",
            shown::line(by, 24),
            shown::line(&now.name, 32)
        )
    };
    match (now.status, now.last.as_str()) {
        (Status::Approved, _) => Said::of("approved", Tone::Well, by_whom()),
        (Status::Rejected, _) if before.published => Said::of("rejected", Tone::Well, by_whom()),
        (Status::Rejected, _) => Said::of("rejected", Tone::Well, by_whom())
            .note("its file says `published: false` already: nothing to write"),
        (Status::Held, _) => Said::of("held", Tone::Well, by_whom())
            .note("it waits on, out of the way; the file stays as it is"),
        (Status::Withdrawn, "outside") => Said::of("gone", Tone::Plain, entry(id, now))
            .note("someone else published it in the file: nothing to decide"),
        (Status::Withdrawn, _) => Said::of("gone", Tone::Plain, entry(id, now))
            .note("its file is gone: nothing to decide"),
        (Status::Expired, _) => Said::of("expired", Tone::Plain, entry(id, now)),
        (Status::Pending, "revised") if before.status.is_decided() => {
            Said::of("changed", Tone::Alarm, entry(id, now)).note(format!(
                "its text is new since it was {}: look again",
                before.status
            ))
        }
        (Status::Pending, "revised") => {
            let old = before.version;
            Said::of("changed", Tone::Plain, entry(id, now)).note(format!(
                "its text is new: {id}@{old} can no longer be approved by mistake"
            ))
        }
        (Status::Pending, "reopened") => Said::of("reopened", Tone::Well, by_whom()),
        (Status::Pending, _) => Said::of("back", Tone::Plain, entry(id, now)),
    }
}

/// An item as one line: `12@1  climate   86  Benches too hot to sit on`.
fn entry(id: i64, item: &Item) -> String {
    let Item {
        version,
        queue,
        score,
        name,
        ..
    } = item;
    let number = format!("{id}@{version}");
    format!(
        "{number:>5}  {queue:<7} {score:>4}  {}",
        shown::line(name, 48)
    )
}

impl Said {
    fn of(word: &'static str, tone: Tone, text: String) -> Self {
        Self {
            word,
            tone,
            text,
            notes: Vec::new(),
        }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    fn item() -> Item {
        Item {
            status: Status::Pending,
            version: 1,
            queue: "general".into(),
            score: 59,
            name: "A bakery sells places in its own queue".into(),
            location: "business/queue-tickets.md".into(),
            published: false,
            last: String::new(),
            by: String::new(),
        }
    }

    fn with(item: Item) -> Known {
        Known {
            items: BTreeMap::from([(4, item)]),
            ..Known::default()
        }
    }

    /// What is said, one line each, as it is printed.
    fn told(before: &Known, now: &Known) -> Vec<String> {
        let said = tell(before, now);
        said.into_iter()
            .flat_map(|said| {
                let first = format!("{} {}", said.word, said.text);
                std::iter::once(first).chain(said.notes)
            })
            .collect()
    }

    #[test]
    fn nothing_new_is_nothing_said() {
        let known = with(item());
        assert_eq!(tell(&known, &known), []);
    }

    #[test]
    fn an_arrival_is_told_with_queue_and_score() {
        let now = Known {
            published: 1,
            ..with(item())
        };
        assert_eq!(
            told(&Known::default(), &now),
            [
                "new   4@1  general   59  A bakery sells places in its own queue",
                "passed 1 file read as published: nothing to decide",
            ]
        );
    }

    #[test]
    fn a_decision_is_told_and_then_what_was_written() {
        let waiting = with(item());
        let approved = with(Item {
            status: Status::Approved,
            version: 2,
            last: "approved".into(),
            by: "cli:ana".into(),
            ..item()
        });
        assert_eq!(
            told(&waiting, &approved),
            ["approved 4@2 by cli:ana: A bakery sells places in its ow…"]
        );
        let mut written = approved.clone();
        written.items.get_mut(&4).unwrap().published = true;
        let lines = [
            "written content/business/queue-tickets.md says `published: true`",
            "no other byte differs; `copydesk reopen 4` puts it back",
        ];
        assert_eq!(told(&approved, &written), lines);
        assert_eq!(told(&waiting, &written)[1..], lines, "both in one look");

        let mut reopened = with(Item {
            version: 3,
            last: "reopened".into(),
            by: "cli:ana".into(),
            ..item()
        });
        assert_eq!(
            told(&written, &reopened),
            [
                "reopened 4@3 by cli:ana: A bakery sells places in its ow…",
                "written content/business/queue-tickets.md says `published: false`",
            ]
        );
        reopened.items.get_mut(&4).unwrap().status = Status::Rejected;
        let said = tell(&waiting, &reopened);
        assert_eq!((said.len(), said[0].word), (1, "rejected"));
    }

    #[test]
    fn a_new_text_and_a_new_score_are_told_apart() {
        let waiting = with(item());
        let revised = with(Item {
            version: 2,
            last: "revised".into(),
            ..item()
        });
        assert_eq!(
            told(&waiting, &revised),
            [
                "changed   4@2  general   59  A bakery sells places in its own queue",
                "its text is new: 4@1 can no longer be approved by mistake",
            ]
        );
        let hot = with(Item {
            score: 120,
            queue: "urgent".into(),
            ..item()
        });
        assert_eq!(told(&waiting, &hot)[1], "was 59 in general");
        let many = |score| {
            let items = (1..=9).map(|id| (id, Item { score, ..item() }));
            Known {
                items: items.collect(),
                ..Known::default()
            }
        };
        assert_eq!(
            told(&many(59), &many(60)),
            ["rescored 9 items have another score or queue"]
        );
        let outside = with(Item {
            status: Status::Withdrawn,
            published: true,
            last: "outside".into(),
            ..item()
        });
        let said = tell(&waiting, &outside);
        assert_eq!((said.len(), said[0].word), (1, "gone"));
    }

    #[test]
    fn noise_is_told_only_while_it_changed_nothing() {
        let waiting = with(item());
        let mut noise = waiting.clone();
        noise.resealed.insert("business/queue-tickets.md".into(), 1);
        assert_eq!(
            told(&waiting, &noise)[0],
            "noise content/business/queue-tickets.md"
        );
        noise.items.get_mut(&4).unwrap().version = 2;
        assert!(
            tell(&waiting, &noise)
                .iter()
                .all(|said| said.word != "noise")
        );
    }

    #[test]
    fn broken_files_mails_and_problems_come_and_go() {
        let quiet = Known::default();
        let mut loud = quiet.clone();
        loud.broken
            .insert("city/night-bus.md".into(), "line 1: not closed".into());
        let answer = "written to /demo/state/mail/000001-r@example.org.eml".to_owned();
        loud.mails.insert(
            1,
            Mail {
                to: "r@example.org".into(),
                items: 3,
                answer,
            },
        );
        loud.problems.insert("1 error in the rules".into());
        assert_eq!(
            told(&quiet, &loud),
            [
                "broken content/city/night-bus.md",
                "line 1: not closed",
                "nothing else stops for it; mend the file, and it is read again",
                "mail to r@example.org: 3 items",
                "it stands in state/mail/000001-r@example.org.eml",
                "open it in a mail program, or a link in it in a browser, and decide",
                "`copydesk mails` says what was sent to whom, and why",
                "problem 1 error in the rules",
            ]
        );
        let words: Vec<&str> = tell(&loud, &quiet).iter().map(|said| said.word).collect();
        assert_eq!(words, ["mended", "solved"]);
    }

    #[test]
    fn an_entry_fits_80_columns() {
        let long = Item {
            name: "long ".repeat(40),
            queue: "climate".into(),
            version: 3,
            ..item()
        };
        assert_eq!(entry(12, &long).width() + 11, 80);
    }

    #[test]
    fn the_farewell_counts_decisions() {
        assert_eq!(
            with(item()).decisions(),
            "Nothing was decided; 1 item waited."
        );
        let known = with(Item {
            status: Status::Approved,
            ..item()
        });
        assert_eq!(known.decisions(), "Decided: 1 approved; 0 items waited.");
    }
}
