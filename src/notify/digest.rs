//! The digest: a work list, and what is new since the last one.

use crate::record::shown;
use crate::rules::Reviewer;
use crate::rules::assess::Hit;
use crate::rules::score::Score;
use crate::schedule::rough;
use crate::store::mails::Told;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};

/// Items that a digest shows in full; the rest is counted by queue.
const IN_FULL: usize = 30;
const WIDTH: usize = 74;

/// An item that waits, as a digest shows it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its number.
    pub id: i64,
    /// Its version.
    pub version: i64,
    /// Its queue.
    pub queue: String,
    /// Whether it should have been decided by now.
    pub overdue: bool,
    /// Whether the story changed after it was approved.
    pub changed_after_approval: bool,
    /// When it was opened.
    pub arrived_at: Timestamp,
    /// When it is, or was, due.
    pub due_at: Option<Timestamp>,
    /// The title, or else where it stands.
    pub title: String,
    /// Who published it.
    pub provider: Option<String>,
    /// What it is about, as its file says.
    pub topics: Vec<String>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Its score.
    pub score: Score,
    /// The hits that weigh most.
    pub reasons: Vec<Hit>,
}

/// What a digest says is wrong with the desk.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Files that cannot be read.
    pub broken: usize,
    /// Why the changed rules do not load.
    pub rules: Option<String>,
}

/// A digest that is due: what it tells and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Why it is sent.
    pub reason: Reason,
    /// Items that are overdue.
    pub overdue: Vec<i64>,
    /// Items that she was never told of.
    pub new: Vec<i64>,
    /// Items that have changed since she was told.
    pub changed: Vec<i64>,
    /// Items that she knows and that wait on.
    pub still: Vec<i64>,
    /// What the mail log keeps: item, version, whether overdue.
    pub told: Vec<(i64, i64, bool)>,
}

/// Why a digest is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is her first.
    First,
    /// Something is new, has changed, or has become overdue.
    News {
        /// New items.
        new: usize,
        /// Changed items.
        changed: usize,
        /// Items that have become overdue.
        overdue: usize,
    },
    /// Nothing is new, and the list is sent again.
    Reminder,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first digest"),
            Self::Reminder => f.write_str("reminder"),
            Self::News {
                new,
                changed,
                overdue,
            } => {
                let counts = [
                    (new, "new"),
                    (changed, "changed"),
                    (overdue, "become overdue"),
                ];
                let said: Vec<String> = counts
                    .iter()
                    .filter(|(n, _)| **n > 0)
                    .map(|(n, word)| format!("{n} {word}"))
                    .collect();
                f.write_str(&said.join(", "))
            }
        }
    }
}

/// What to send to a reviewer: a function of what waits for her, what she was told, when she was
/// last sent a digest, and the time. `None` when nothing is to be said.
#[must_use]
pub fn due(
    waiting: &[&Waiting],
    told: &[Told],
    last: Option<Timestamp>,
    remind: Option<SignedDuration>,
    now: Timestamp,
) -> Option<Due> {
    let told: HashMap<i64, &Told> = told.iter().map(|told| (told.item, told)).collect();
    let (mut new, mut changed, mut overdue, mut still) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut news, mut become_overdue) = ((0, 0), 0);
    for item in waiting {
        let known = told.get(&item.id);
        let is_new = known.is_none();
        let has_changed = known.is_some_and(|known| known.version < item.version);
        if is_new {
            news.0 += 1;
        } else if has_changed {
            news.1 += 1;
        } else if item.overdue && known.is_some_and(|known| !known.overdue) {
            become_overdue += 1;
        }
        let section = match (item.overdue, is_new, has_changed) {
            (true, ..) => &mut overdue,
            (_, true, _) => &mut new,
            (_, _, true) => &mut changed,
            _ => &mut still,
        };
        section.push(item.id);
    }
    let reason = match (news, become_overdue) {
        _ if waiting.is_empty() => return None,
        ((0, 0), 0) => {
            let again = last
                .zip(remind)
                // As long ahead: the clock was set back since.
                .is_some_and(|(last, remind)| now.duration_since(last).abs() >= remind);
            if !again {
                return None;
            }
            Reason::Reminder
        }
        _ if last.is_none() => Reason::First,
        ((new, changed), overdue) => Reason::News {
            new,
            changed,
            overdue,
        },
    };
    let told = waiting
        .iter()
        .map(|item| (item.id, item.version, item.overdue))
        .collect();
    Some(Due {
        reason,
        overdue,
        new,
        changed,
        still,
        told,
    })
}

/// The subject, with counts that fit a phone's list.
#[must_use]
pub fn subject(due: &Due) -> String {
    let counts = [
        (due.overdue.len(), "overdue"),
        (due.new.len(), "new"),
        (due.changed.len(), "changed"),
        (
            if due.reason == Reason::Reminder {
                due.still.len()
            } else {
                0
            },
            "waiting",
        ),
    ];
    let said: Vec<String> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    format!("copydesk: {}", said.join(", "))
}

/// The digest as plain text, in her time zone.
#[must_use]
pub fn text(
    reviewer: &Reviewer,
    due: &Due,
    waiting: &[&Waiting],
    trouble: &Trouble,
    now: Timestamp,
) -> String {
    let by_id: HashMap<i64, &Waiting> = waiting.iter().map(|item| (item.id, *item)).collect();
    let mut page = Page {
        reviewer,
        now,
        room: IN_FULL,
        left_out: BTreeMap::new(),
        text: String::new(),
    };
    page.line(&format!("Hello {},", shown::line(&reviewer.name, 60)));
    let count = waiting.len();
    let (story, waits) = if count == 1 {
        ("story", "waits")
    } else {
        ("stories", "wait")
    };
    page.line(&format!(
        "{count} {story} {waits} for a decision in your queues ({}).",
        due.reason
    ));
    let find = |ids: &[i64]| -> Vec<&Waiting> {
        ids.iter().filter_map(|id| by_id.get(id).copied()).collect()
    };
    page.section("Overdue", &find(&due.overdue));
    page.section("New for you", &find(&due.new));
    page.section("Changed since you looked", &find(&due.changed));
    let still = find(&due.still);
    if due.reason == Reason::Reminder {
        page.section("Still waiting", &still);
    } else if let Some(oldest) = still.iter().map(|item| item.arrived_at).min() {
        page.line(&format!(
            "\nStill waiting: {}, the oldest for {}.",
            still.len(),
            rough(now.duration_since(oldest))
        ));
    }
    if !page.left_out.is_empty() {
        let counts: Vec<String> = page
            .left_out
            .iter()
            .map(|(queue, n)| format!("{n} in {queue}"))
            .collect();
        page.line(&format!(
            "\nMore, not listed here: {}. `copydesk queue` lists all.",
            counts.join(", ")
        ));
    }
    let broken = trouble.broken;
    if broken > 0 {
        let files = if broken == 1 {
            "1 file"
        } else {
            &format!("{broken} files")
        };
        page.line(&format!(
            "\n{files} cannot be read (broken): `copydesk status` says which and why."
        ));
    }
    if let Some(error) = &trouble.rules {
        let error = shown::line(error, 200);
        page.line(&format!(
            "\nThe changed rules do not load, and the last good ones are in force: {error}"
        ));
    }
    page.line("\nDecide with `copydesk approve`, `reject` or `hold` and the item's number; `copydesk show` has more.");
    page.text
}

struct Page<'a> {
    reviewer: &'a Reviewer,
    now: Timestamp,
    room: usize,
    left_out: BTreeMap<String, usize>,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end_matches('\n'));
        self.text.push('\n');
    }

    fn section(&mut self, title: &str, items: &[&Waiting]) {
        if items.is_empty() {
            return;
        }
        let title = format!("{title} ({})", items.len());
        self.line(&format!("\n{title}\n{}", "=".repeat(title.chars().count())));
        for item in items {
            if self.room == 0 {
                *self.left_out.entry(item.queue.clone()).or_default() += 1;
                continue;
            }
            self.room -= 1;
            let block = self.item(item);
            self.text.push_str(&block);
        }
    }

    fn item(&self, item: &Waiting) -> String {
        let mut text = String::new();
        let mut line = |line: String| writeln!(text, "{line}").unwrap_or_default();
        let known_as = format!("{}@{}", item.id, item.version);
        line(format!("\n{known_as}  {}", shown::line(&item.title, WIDTH)));
        let mut about = Vec::new();
        about.extend(
            item.provider
                .as_deref()
                .map(|provider| shown::line(provider, 50)),
        );
        about.extend(
            item.published_at
                .map(|at| format!("{} old", rough(self.now.duration_since(at)))),
        );
        if !item.topics.is_empty() {
            about.push(shown::line(&item.topics.join(", "), 60));
        }
        if !about.is_empty() {
            line(format!("    {}", about.join(" | ")));
        }
        let mut place = vec![format!("queue {}", item.queue)];
        place.extend(item.due_at.map(|due| {
            let word = if item.overdue { "was due" } else { "due" };
            let due = due.to_zoned(self.reviewer.timezone.clone());
            format!("{word} {}", due.strftime("%a %-d %b %H:%M"))
        }));
        if item.changed_after_approval {
            place.push("changed after approval".into());
        }
        line(format!("    {}", place.join(" | ")));
        let Score {
            quality,
            heat,
            topic,
            total,
        } = item.score;
        line(format!(
            "    score {total} = quality {quality} + heat {heat} + topic {topic}"
        ));
        for hit in &item.reasons {
            line(format!(
                "    {:+}  {}",
                hit.points,
                shown::line(&hit.why, 66)
            ));
        }
        line(format!("    copydesk approve {known_as}"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_772_442_000, 0);

    fn waiting(id: i64, version: i64, overdue: bool) -> Waiting {
        Waiting {
            id,
            version,
            queue: "general".into(),
            overdue,
            changed_after_approval: false,
            arrived_at: NOW,
            due_at: None,
            title: format!("Story {id}"),
            provider: None,
            topics: Vec::new(),
            published_at: None,
            score: Score::default(),
            reasons: Vec::new(),
        }
    }

    /// Told and waiting as `id@version`, `!` for overdue; the last digest was `hours` ago.
    fn said(told: &str, waits: &str, hours: Option<i64>) -> String {
        let parse = |text: &str| -> Vec<(i64, i64, bool)> {
            let parts = text.split_whitespace().map(|part| {
                let (id, version) = part.trim_end_matches('!').split_once('@').unwrap();
                (
                    id.parse().unwrap(),
                    version.parse().unwrap(),
                    part.ends_with('!'),
                )
            });
            parts.collect()
        };
        let told: Vec<Told> = parse(told)
            .into_iter()
            .map(|(item, version, overdue)| Told {
                item,
                version,
                overdue,
            })
            .collect();
        let waits: Vec<Waiting> = parse(waits)
            .into_iter()
            .map(|(id, v, o)| waiting(id, v, o))
            .collect();
        let last = hours.map(|hours| NOW - SignedDuration::from_hours(hours));
        let remind = Some(SignedDuration::from_hours(72));
        match due(&waits.iter().collect::<Vec<_>>(), &told, last, remind, NOW) {
            None => "nothing".into(),
            Some(due) => format!("{}; {}", due.reason, subject(&due)),
        }
    }

    #[test]
    fn a_digest_is_a_diff() {
        for (told, waits, hours, expected) in [
            ("", "", None, "nothing"),
            (
                "",
                "1@1 2@1!",
                None,
                "first digest; copydesk: 1 overdue, 1 new",
            ),
            ("1@1", "1@1", Some(1), "nothing"),
            ("1@1", "1@1 2@1", Some(1), "1 new; copydesk: 1 new"),
            ("1@1", "1@2", Some(1), "1 changed; copydesk: 1 changed"),
            (
                "1@1",
                "1@1!",
                Some(1),
                "1 become overdue; copydesk: 1 overdue",
            ),
            ("1@1!", "1@1!", Some(1), "nothing"),
            (
                "1@1!",
                "1@1! 2@1",
                Some(1),
                "1 new; copydesk: 1 overdue, 1 new",
            ),
            ("1@1", "1@1", Some(72), "reminder; copydesk: 1 waiting"),
            ("1@1 2@1", "", Some(99), "nothing"),
        ] {
            assert_eq!(
                said(told, waits, hours),
                expected,
                "told {told:?}, waiting {waits:?}"
            );
        }
    }
}
