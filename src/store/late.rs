//! The dead man's switch: what a service that runs should have done by now and has not.

use super::{Micros, StoreError, Tx};
use crate::rules::{Reviewer, RuleSet};
use crate::schedule::rfc3339;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// A whole pass comes after an hour, give or take a quarter; after this long one has not come.
const SCAN: SignedDuration = SignedDuration::from_hours(2);
/// A decision is written within a second, and tried again within minutes.
const WRITE_BACK: SignedDuration = SignedDuration::from_mins(15);
/// What a server puts off is tried again several times within this.
const MAIL: SignedDuration = SignedDuration::from_hours(1);
/// A time of a schedule is kept within seconds.
const DIGEST: SignedDuration = SignedDuration::from_hours(1);

/// Work that has its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Looking at all content.
    Scan,
    /// Taking changed rules into force.
    Rules,
    /// Carrying decisions into files.
    WriteBack,
    /// Sending mails.
    Mail,
    /// Making digests by the reviewers' schedules.
    Digest,
    /// The loops of the service.
    Loops,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 6] = [
        Self::Scan,
        Self::Rules,
        Self::WriteBack,
        Self::Mail,
        Self::Digest,
        Self::Loops,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Rules => "rules",
            Self::WriteBack => "write-back",
            Self::Mail => "mail",
            Self::Digest => "digest",
            Self::Loops => "loops",
        }
    }
}

/// Something that is late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// What should have been done.
    pub job: Job,
    /// Since when it waits.
    pub since: Timestamp,
    /// Which it is, or why: an address, an error, a loop.
    pub about: String,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (since, about) = (rfc3339(self.since), &self.about);
        match self.job {
            Job::Scan => write!(f, "the content was not looked at whole since {since}"),
            Job::Rules => write!(f, "the changed rules do not load since {since}: {about}"),
            Job::WriteBack => write!(f, "a decision waits since {since} to be written: {about}"),
            Job::Mail => write!(f, "a mail to {about} waits since {since} to be sent"),
            Job::Digest => write!(f, "the digest of {about} was to be made at {since}"),
            Job::Loops => write!(f, "the {about} since {since}"),
        }
    }
}

/// All that says what is late.
#[derive(Clone, Debug)]
pub struct Facts<'r> {
    /// When the service started that runs.
    pub started_at: Timestamp,
    /// When all content was last looked at.
    pub scanned_at: Option<Timestamp>,
    /// Rules that do not load, and loops that fail.
    pub failing: Vec<Late>,
    /// The write-back that waits longest: since when, and its file.
    pub writing: Option<(Timestamp, String)>,
    /// Mails that are not sent, but for those to suspended addresses: to whom, and since when.
    pub mails: Vec<(String, Timestamp)>,
    /// The reviewers whose schedule goes on, and until when it was kept.
    pub schedules: Vec<(&'r Reviewer, Option<Timestamp>)>,
}

impl Facts<'_> {
    /// What is late. Nothing is before the service had its time since it started.
    #[must_use]
    pub fn late(&self, now: Timestamp) -> Vec<Late> {
        let over = |since: Timestamp, limit| {
            let since = since.max(self.started_at);
            now.duration_since(since) > limit
        };
        let mut late = Vec::new();
        let scanned_at = self.scanned_at.unwrap_or(self.started_at);
        if over(scanned_at, SCAN) {
            late.push(Late {
                job: Job::Scan,
                since: scanned_at,
                about: String::new(),
            });
        }
        late.extend(self.failing.iter().cloned());
        if let Some((since, file)) = self
            .writing
            .as_ref()
            .filter(|(at, _)| over(*at, WRITE_BACK))
        {
            late.push(Late {
                job: Job::WriteBack,
                since: *since,
                about: file.clone(),
            });
        }
        let mails = self.mails.iter().filter(|(_, since)| over(*since, MAIL));
        late.extend(mails.map(|(to, since)| Late {
            job: Job::Mail,
            since: *since,
            about: to.clone(),
        }));
        for (reviewer, kept_to) in &self.schedules {
            // Without it, the last 24 hours are looked at when a digest is made.
            let kept_to = kept_to.unwrap_or(now - SignedDuration::from_hours(24));
            let schedule = reviewer.digest.as_ref();
            let next = schedule.and_then(|s| s.next_after(kept_to, &reviewer.timezone));
            if let Some(since) = next.filter(|at| over(*at, DIGEST)) {
                late.push(Late {
                    job: Job::Digest,
                    since,
                    about: reviewer.email.clone(),
                });
            }
        }
        late
    }
}

impl Tx<'_> {
    /// What is late, if there is a service that should have done it: one that was not stopped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn late(&self, rules: &RuleSet, now: Timestamp) -> Result<Vec<Late>, StoreError> {
        let Some(service) = self.service()?.filter(|service| !service.stopped) else {
            return Ok(Vec::new());
        };
        let scan = "SELECT at FROM runs WHERE kind = 'scan'";
        let writing = "SELECT created_at, path FROM write_backs WHERE status = 'pending' ORDER BY created_at LIMIT 1";
        let suspended = self.suspended(now)?;
        let is_suspended = |to: &str| suspended.iter().any(|s| s.address == to);
        let mut mails = self.waiting_mails()?;
        // Her schedule is not kept while a mail to her waits; that one is named.
        let mut schedules = Vec::new();
        for reviewer in &rules.reviewers {
            let email = &reviewer.email;
            if !is_suspended(email) && !mails.iter().any(|(to, _)| to == email) {
                schedules.push((reviewer, self.kept_to(email)?));
            }
        }
        mails.retain(|(to, _)| !is_suspended(to));
        let facts = Facts {
            started_at: service.started_at,
            scanned_at: self.one(scan, (), |row| Ok(row.get::<_, Micros>(0)?.0))?,
            failing: self.failing()?,
            writing: self.one(writing, (), |row| {
                Ok((row.get::<_, Micros>(0)?.0, row.get(1)?))
            })?,
            mails,
            schedules,
        };
        Ok(facts.late(now))
    }

    /// Decisions that are not in their files yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pending_write_backs(&self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM write_backs WHERE status = 'pending'";
        Ok(self.one(sql, (), |row| row.get(0))?.unwrap_or_default())
    }

    /// To whom a mail waits, and since when the oldest does.
    fn waiting_mails(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT recipient, min(created_at) FROM mails
                   WHERE status IN ('queued', 'sending', 'uncertain') GROUP BY recipient ORDER BY recipient";
        self.all(sql, (), |row| Ok((row.get(0)?, row.get::<_, Micros>(1)?.0)))
    }

    /// Rules that do not load, and loops that fail.
    fn failing(&self) -> Result<Vec<Late>, StoreError> {
        let sql = "SELECT name, error, since FROM failures ORDER BY name";
        self.all(sql, (), |row| {
            let (name, error): (String, String) = (row.get(0)?, row.get(1)?);
            let since = row.get::<_, Micros>(2)?.0;
            Ok(if name == super::service::RULES {
                let line = error.lines().next().unwrap_or_default();
                Late {
                    job: Job::Rules,
                    since,
                    about: line.to_owned(),
                }
            } else {
                Late {
                    job: Job::Loops,
                    since,
                    about: format!("{name} loop of the service fails ({error})"),
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Queues, Role};
    use crate::schedule::cron::Schedule;

    const START: Timestamp = Timestamp::constant(1_772_442_000, 0); // Mon 2026-03-02 09:00 UTC

    fn ana() -> Reviewer {
        Reviewer {
            name: "Ana".into(),
            email: "ana@example.org".into(),
            role: Role::Reviewer,
            queues: Queues::All,
            timezone: jiff::tz::TimeZone::UTC,
            digest: Some(Schedule::parse("0 10 * * *").unwrap()),
            alert: Vec::new(),
            quiet: None,
            remind: None,
        }
    }

    fn jobs(facts: &Facts<'_>, minutes: i64) -> Vec<Job> {
        let late = facts.late(START + SignedDuration::from_mins(minutes));
        late.into_iter().map(|late| late.job).collect()
    }

    #[test]
    fn what_has_its_time_is_late_after_it_and_not_before() {
        let ana = ana();
        let well = Facts {
            started_at: START,
            scanned_at: Some(START),
            failing: Vec::new(),
            writing: None,
            mails: Vec::new(),
            schedules: vec![(&ana, Some(START))],
        };
        let writing = Facts {
            writing: Some((START, "a.md".into())),
            ..well.clone()
        };
        assert_eq!(
            (jobs(&writing, 15), jobs(&writing, 16)),
            (vec![], vec![Job::WriteBack])
        );
        let mails = Facts {
            mails: vec![("ana@example.org".into(), START)],
            ..well.clone()
        };
        assert_eq!(
            (jobs(&mails, 60), jobs(&mails, 61)),
            (vec![], vec![Job::Mail])
        );
        // Her digest was to be made at ten.
        assert_eq!(
            (jobs(&well, 120), jobs(&well, 121)),
            (vec![], vec![Job::Scan, Job::Digest])
        );
        let kept = Facts {
            schedules: vec![(&ana, Some(START + SignedDuration::from_hours(1)))],
            ..well.clone()
        };
        assert_eq!(jobs(&kept, 121), [Job::Scan]);
        let since = START - SignedDuration::from_hours(30);
        let failing = Late {
            job: Job::Rules,
            since,
            about: "line 3".into(),
        };
        let failing = Facts {
            failing: vec![failing],
            ..well
        };
        assert_eq!(jobs(&failing, 0), [Job::Rules]);
    }

    #[test]
    fn a_service_that_was_down_has_its_time_to_catch_up() {
        let ana = ana();
        let week = START - SignedDuration::from_hours(168);
        let facts = Facts {
            started_at: START,
            scanned_at: Some(week),
            failing: Vec::new(),
            writing: Some((week, "a.md".into())),
            mails: vec![("bo@example.org".into(), week)],
            schedules: vec![(&ana, Some(week)), (&ana, None)],
        };
        assert_eq!(jobs(&facts, 14), []);
        // Who has no schedule kept yet was to be told at ten.
        let late = [Job::WriteBack, Job::Mail, Job::Digest];
        assert_eq!(jobs(&facts, 61), late);
        assert_eq!(
            jobs(&facts, 121),
            [&[Job::Scan], &late[..], &[Job::Digest]].concat()
        );
    }
}
