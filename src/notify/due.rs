//! What to send to a reviewer: functions of what waits for her, what she was told, her schedule and
//! the time, and of nothing else.

use crate::notify::waiting::Waiting;
use crate::rules::{Reviewer, Role};
use crate::schedule::cron;
use crate::store::mails::{Last, Told};
use crate::store::settings::Own;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// How long an alert waits for more to tell.
pub const GATHERED: SignedDuration = SignedDuration::from_mins(2);

/// A schedule that was kept this far ahead was so before the clock was set back, and what it waits
/// for must not be years away.
pub(super) const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

/// Whether the reviewers' schedules and quiet hours count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only those are told whose time has come since their schedule was last kept.
    Scheduled,
    /// Whoever is owed something is told now.
    Now,
}

/// A reviewer at one moment: all that decides what she is sent.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Her, as the rules say.
    pub reviewer: &'a Reviewer,
    /// What she has set herself.
    pub own: &'a Own,
    /// The pending items of her queues; for an editor's escalations, of all queues.
    pub waiting: &'a [&'a Waiting],
    /// What she was last told of each item.
    pub told: &'a [Told],
    /// When she was last sent a mail.
    pub last: Last,
    /// What mails to her said that were given up: item and version.
    pub given_up: &'a HashSet<(i64, i64)>,
    /// Until when her schedule was kept.
    pub kept_to: Option<Timestamp>,
    /// Whether her schedule and quiet hours count.
    pub when: When,
    /// The time.
    pub now: Timestamp,
}

/// What her digest has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The time of her schedule that is kept by this, whether something is sent or not.
    pub kept: Option<Timestamp>,
    /// What is sent, or why nothing is.
    pub digest: Result<Due, Silence>,
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The rules give her no digest, or no alerts.
    NotAsked,
    /// She has stopped her mails.
    Stopped,
    /// She has paused her mails.
    Paused(Timestamp),
    /// Her time comes later; never again, if it is `None`.
    NotYet(Option<Timestamp>),
    /// Her quiet hours end later.
    Quiet(Timestamp),
    /// More may come until then, for the same mail.
    Gathering(Timestamp),
    /// Nothing waits for her.
    NothingWaits,
    /// She was told all of it.
    NothingNew,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |at: &Timestamp| crate::schedule::rfc3339(*at);
        match self {
            Self::NotAsked => f.write_str("the rules give her none"),
            Self::Stopped => f.write_str("she has stopped her mails"),
            Self::Paused(until) => write!(f, "she has paused her mails until {}", at(until)),
            Self::NotYet(Some(next)) => write!(f, "her next time is {}", at(next)),
            Self::NotYet(None) => f.write_str("her time never comes again"),
            Self::Quiet(until) => write!(f, "her quiet hours last until {}", at(until)),
            Self::Gathering(until) => write!(f, "more may come until {}", at(until)),
            Self::NothingWaits => f.write_str("nothing waits for her"),
            Self::NothingNew => f.write_str("she was told all of it"),
        }
    }
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
                let counts = [(new, "new"), (changed, "changed"), (overdue, "now overdue")];
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

impl Moment<'_> {
    /// Whether she has told us to be silent.
    fn wish(&self) -> Result<(), Silence> {
        if self.own.stopped {
            return Err(Silence::Stopped);
        }
        let paused = self.own.paused_until.filter(|until| *until > self.now);
        paused.map_or(Ok(()), |until| Err(Silence::Paused(until)))
    }

    /// When her quiet hours end, if it is within them now.
    fn quiet_until(&self) -> Option<Timestamp> {
        let (from, to) = self
            .reviewer
            .quiet
            .filter(|_| self.when == When::Scheduled)?;
        let here = self.now.to_zoned(self.reviewer.timezone.clone());
        let time = here.time();
        let (is_quiet, ends_tomorrow) = if from <= to {
            (from <= time && time < to, false)
        } else {
            (from <= time || time < to, from <= time)
        };
        let mut day = here.date();
        if ends_tomorrow {
            day = day.tomorrow().ok()?;
        }
        let ends = day.to_datetime(to).to_zoned(self.reviewer.timezone.clone());
        is_quiet.then_some(ends.ok()?.timestamp())
    }

    fn told(&self) -> HashMap<i64, &Told> {
        self.told.iter().map(|told| (told.item, told)).collect()
    }

    /// The digest that she is owed.
    ///
    /// A time of her schedule is kept whether or not there is something to say, and times that were
    /// missed are made up once. What passes while she has paused is not made up: her next time tells
    /// all.
    #[must_use]
    pub fn digest(&self) -> Answer {
        let Some(schedule) = &self.reviewer.digest else {
            let digest = Err(Silence::NotAsked);
            return Answer { kept: None, digest };
        };
        let zone = &self.reviewer.timezone;
        let kept_to = self
            .kept_to
            .filter(|kept_to| *kept_to <= self.now + SET_BACK);
        let kept =
            cron::due(schedule, zone, kept_to, self.now).filter(|_| self.when == When::Scheduled);
        let digest = match self.wish() {
            Err(silence) => Err(silence),
            Ok(()) if self.when == When::Scheduled && kept.is_none() => {
                Err(Silence::NotYet(schedule.next_after(self.now, zone)))
            }
            Ok(()) => self.news(),
        };
        Answer { kept, digest }
    }

    /// What there is to say, whatever the schedule.
    fn news(&self) -> Result<Due, Silence> {
        let told = self.told();
        let (mut overdue, mut new, mut changed, mut still) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut are_new, mut have_changed, mut became_overdue) = (0, 0, 0);
        for item in self.waiting {
            let known = told.get(&item.id);
            let is_new = known.is_none();
            let has_changed = known.is_some_and(|known| known.version < item.version);
            if is_new {
                are_new += 1;
            } else if has_changed {
                have_changed += 1;
            } else if item.overdue && known.is_some_and(|known| !known.overdue) {
                became_overdue += 1;
            }
            let section = match (item.overdue, is_new, has_changed) {
                (true, ..) => &mut overdue,
                (_, true, _) => &mut new,
                (_, _, true) => &mut changed,
                _ => &mut still,
            };
            section.push(item.id);
        }
        // Who is only alerted is reminded all the same.
        let last = self.last.digest.or(self.last.any);
        let remind_after = last.zip(self.reviewer.remind);
        let reason = match (are_new, have_changed, became_overdue) {
            _ if self.waiting.is_empty() => return Err(Silence::NothingWaits),
            (0, 0, 0) => {
                // As long ahead: the clock was set back since.
                let again = |(last, remind)| self.now.duration_since(last).abs() >= remind;
                if !remind_after.is_some_and(again) {
                    return Err(Silence::NothingNew);
                }
                Reason::Reminder
            }
            _ if self.last.digest.is_none() => Reason::First,
            (new, changed, overdue) => Reason::News {
                new,
                changed,
                overdue,
            },
        };
        Ok(Due {
            reason,
            overdue,
            new,
            changed,
            still,
        })
    }

    /// The items that an alert tells her of now: those of her queues that cannot wait, once each.
    ///
    /// They are gathered for [`GATHERED`] from the first. What stood in a source when it was first
    /// looked at raises none.
    ///
    /// # Errors
    /// Why there is no alert.
    pub fn alert(&self) -> Result<Vec<i64>, Silence> {
        if self.reviewer.alert.is_empty() {
            return Err(Silence::NotAsked);
        }
        self.wish()?;
        let told = self.told();
        let cannot_wait: Vec<&&Waiting> = self
            .waiting
            .iter()
            .filter(|item| self.reviewer.alert.contains(&item.queue))
            .filter(|item| !self.given_up.contains(&(item.id, item.version)))
            .filter(|item| match told.get(&item.id) {
                None => item.arrived_since,
                Some(told) => told.version < item.version && item.changed_after_approval,
            })
            .collect();
        if cannot_wait.is_empty() {
            return Err(Silence::NothingNew);
        }
        let quiet = self.quiet_until();
        let may: Vec<&&&Waiting> = cannot_wait
            .iter()
            .filter(|item| quiet.is_none() || item.ignores_quiet)
            .collect();
        let Some(first) = may.iter().map(|item| item.since()).min() else {
            return Err(Silence::Quiet(quiet.unwrap_or(self.now)));
        };
        let ends = first + GATHERED;
        if self.when == When::Scheduled && ends > self.now {
            return Err(Silence::Gathering(ends));
        }
        Ok(may.iter().map(|item| item.id).collect())
    }

    /// The items that an editor is told of since they are overdue for long: by `after.0`, and once
    /// more by `after.1`; each with 1 or 2. `told` says how far each item has come already.
    ///
    /// # Errors
    /// Why she is told of none.
    pub fn escalation(
        &self,
        after: (SignedDuration, SignedDuration),
        told: &HashMap<(i64, i64), i64>,
    ) -> Result<Vec<(i64, i64)>, Silence> {
        if self.reviewer.role != Role::Editor {
            return Err(Silence::NotAsked);
        }
        self.wish()?;
        let quiet = self.quiet_until();
        let mut late = Vec::new();
        for item in self.waiting.iter().filter(|item| item.overdue) {
            let Some(due) = item.due_at else { continue };
            let overdue = self.now.duration_since(due);
            let level = i64::from(overdue >= after.0) + i64::from(overdue >= after.1);
            let known = told.get(&(item.id, item.version));
            if level > known.copied().unwrap_or_default() {
                late.push((item, level));
            }
        }
        if late.is_empty() {
            return Err(Silence::NothingNew);
        }
        let may: Vec<(i64, i64)> = late
            .iter()
            .filter(|(item, _)| quiet.is_none() || item.ignores_quiet)
            .map(|(item, level)| (item.id, *level))
            .collect();
        match quiet {
            Some(until) if may.is_empty() => Err(Silence::Quiet(until)),
            _ => Ok(may),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Queues;
    use crate::rules::score::Score;
    use crate::schedule::cron::Schedule;
    use jiff::civil::time;
    use jiff::tz::TimeZone;

    /// 2026-03-02, a Monday, 09:00 in UTC.
    const NOW: Timestamp = Timestamp::constant(1_772_442_000, 0);

    fn waiting(id: i64, version: i64, overdue: bool) -> Waiting {
        Waiting {
            id,
            version,
            queue: "general".into(),
            overdue,
            changed_after_approval: false,
            arrived_at: NOW - SignedDuration::from_hours(5),
            arrived_since: true,
            ignores_quiet: false,
            assigned_to: None,
            due_at: overdue.then_some(NOW - SignedDuration::from_hours(1)),
            title: format!("Story {id}"),
            record: id,
            score: Score::default(),
        }
    }

    fn ana() -> Reviewer {
        Reviewer {
            name: "Ana".into(),
            email: "ana@example.org".into(),
            role: Role::Editor,
            queues: Queues::All,
            timezone: TimeZone::UTC,
            digest: Schedule::parse("0 9 * * *").ok(),
            alert: vec!["general".into()],
            quiet: Some((time(20, 0, 0, 0), time(8, 0, 0, 0))),
            remind: Some(SignedDuration::from_hours(72)),
        }
    }

    /// Ana's moment at `now`, told and waiting as `id@version`, `!` for overdue; asked of `ask`.
    fn asked<T>(
        told: &str,
        waits: &str,
        now: Timestamp,
        ask: impl FnOnce(&mut Moment<'_>) -> T,
    ) -> T {
        let parse = |text: &str| -> Vec<(i64, i64, bool)> {
            let parts = text.split_whitespace().map(|part| {
                let (id, version) = part.trim_end_matches('!').split_once('@').unwrap();
                let late = part.ends_with('!');
                (id.parse().unwrap(), version.parse().unwrap(), late)
            });
            parts.collect()
        };
        let told = parse(told).into_iter();
        let told: Vec<Told> = told
            .map(|(item, version, overdue)| Told {
                item,
                version,
                overdue,
            })
            .collect();
        let waits = parse(waits).into_iter();
        let waits: Vec<Waiting> = waits.map(|(id, v, o)| waiting(id, v, o)).collect();
        let (reviewer, own) = (ana(), Own::default());
        ask(&mut Moment {
            reviewer: &reviewer,
            own: &own,
            waiting: &waits.iter().collect::<Vec<_>>(),
            told: &told,
            last: sent(now - SignedDuration::from_hours(24)),
            given_up: &HashSet::new(),
            kept_to: Some(now - SignedDuration::from_hours(24)),
            when: When::Scheduled,
            now,
        })
    }

    fn sent(at: Timestamp) -> Last {
        let (digest, any) = (Some(at), Some(at));
        Last { digest, any }
    }

    fn said(told: &str, waits: &str, hours: Option<i64>) -> String {
        asked(told, waits, NOW, |moment| {
            moment.last = hours.map_or(Last::default(), |hours| {
                sent(NOW - SignedDuration::from_hours(hours))
            });
            match moment.digest().digest {
                Ok(due) => due.reason.to_string(),
                Err(silence) => silence.to_string(),
            }
        })
    }

    #[test]
    fn a_digest_is_a_diff() {
        for (told, waits, hours, expected) in [
            ("", "", None, "nothing waits for her"),
            ("", "1@1 2@1!", None, "first digest"),
            ("1@1", "1@1", Some(1), "she was told all of it"),
            ("1@1", "1@1 2@1", Some(1), "1 new"),
            ("1@1", "1@2", Some(1), "1 changed"),
            ("1@1", "1@1!", Some(1), "1 now overdue"),
            ("1@1!", "1@1!", Some(1), "she was told all of it"),
            ("1@1!", "1@1! 2@1", Some(1), "1 new"),
            ("1@1", "1@1", Some(72), "reminder"),
            ("1@1 2@1", "", Some(99), "nothing waits for her"),
        ] {
            assert_eq!(
                said(told, waits, hours),
                expected,
                "told {told:?}, waiting {waits:?}"
            );
        }
    }

    #[test]
    fn a_time_is_kept_once_and_a_pause_passes_over_it() {
        let at = |kept_to: Timestamp, own: Own| {
            asked("", "1@1", NOW, |moment| {
                moment.kept_to = Some(kept_to);
                let moment = Moment {
                    own: &own,
                    ..*moment
                };
                let answer = moment.digest();
                (answer.kept, answer.digest.map(|due| due.reason))
            })
        };
        let yesterday = NOW - SignedDuration::from_hours(24);
        let news = Reason::News {
            new: 1,
            changed: 0,
            overdue: 0,
        };
        assert_eq!(at(yesterday, Own::default()), (Some(NOW), Ok(news)));
        let next = NOW + SignedDuration::from_hours(24);
        let not_yet = Err(Silence::NotYet(Some(next)));
        assert_eq!(at(NOW, Own::default()), (None, not_yet));
        let paused = Own {
            paused_until: Some(next),
            ..Own::default()
        };
        assert_eq!(
            at(yesterday, paused),
            (Some(NOW), Err(Silence::Paused(next)))
        );
        let stopped = Own {
            stopped: true,
            ..Own::default()
        };
        assert_eq!(at(yesterday, stopped), (Some(NOW), Err(Silence::Stopped)));
    }

    #[test]
    fn an_alert_is_gathered_and_waits_for_the_end_of_quiet_hours() {
        let minutes = SignedDuration::from_mins;
        let alert = |told: &str, now: Timestamp, arrived: Timestamp, loud: bool| {
            let mut item = waiting(1, 1, false);
            (item.arrived_at, item.ignores_quiet) = (arrived, loud);
            asked(told, "", now, |moment| {
                let waiting = [&item];
                Moment {
                    waiting: &waiting,
                    ..*moment
                }
                .alert()
            })
        };
        assert_eq!(alert("", NOW, NOW - minutes(2), false), Ok(vec![1]));
        let gathering = Err(Silence::Gathering(NOW + minutes(1)));
        assert_eq!(alert("", NOW, NOW - minutes(1), false), gathering);
        assert_eq!(
            alert("1@1", NOW, NOW - minutes(9), false),
            Err(Silence::NothingNew)
        );
        let eight = NOW - minutes(60);
        for (hours, quiet) in [
            (-1, None),
            (12, Some(24)),
            (10, None),
            (11, Some(24)),
            (-2, Some(0)),
        ] {
            let now = NOW + SignedDuration::from_hours(hours);
            let expected = quiet.map_or(Ok(vec![1]), |ends| {
                Err(Silence::Quiet(eight + SignedDuration::from_hours(ends)))
            });
            assert_eq!(alert("", now, now - minutes(2), false), expected, "{hours}");
            assert_eq!(
                alert("", now, now - minutes(2), true),
                Ok(vec![1]),
                "{hours}"
            );
        }
    }

    #[test]
    fn editors_are_told_of_what_is_overdue_for_long_twice() {
        let hours = SignedDuration::from_hours;
        let late = |overdue: i64, told: i64| {
            let mut item = waiting(1, 1, true);
            item.due_at = Some(NOW - hours(overdue));
            asked("", "", NOW, |moment| {
                let told = [((1, 1), told)].into();
                let waiting = [&item];
                let moment = Moment {
                    waiting: &waiting,
                    ..*moment
                };
                moment.escalation((hours(24), hours(72)), &told)
            })
        };
        assert_eq!(late(23, 0), Err(Silence::NothingNew));
        assert_eq!(late(24, 0), Ok(vec![(1, 1)]));
        assert_eq!(late(71, 1), Err(Silence::NothingNew));
        assert_eq!(late(72, 1), Ok(vec![(1, 2)]));
        assert_eq!(late(999, 2), Err(Silence::NothingNew));
    }
}
