//! Laws of what reviewers are told, over simulated years of random schedules, zones, arrivals,
//! decisions, pauses and outages. Nothing but the pure functions runs here; what a mail would do to
//! the mail log is done by hand.
//!
//! `COPYDESK_ROUNDS` is a number of years; `COPYDESK_SEED` plays them again.

use copydesk::notify::When;
use copydesk::notify::due::{Due, GATHERED, Moment, Reason};
use copydesk::notify::waiting::Waiting;
use copydesk::rules::score::Score;
use copydesk::rules::{Queues, Reviewer, Role};
use copydesk::schedule::cron::Schedule;
use copydesk::store::mails::{Last, Told};
use copydesk::store::settings::Own;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::crash::{Random, seed};
use crate::service::rounds;

const SCHEDULES: [&str; 8] = [
    "0 9,14 * * MON-FRI",
    "0 9 * * *",
    "30 2 * * *",
    "*/20 * * * *",
    "0 0 1 * *",
    "59 23 * * SUN",
    "15 */6 * * *",
    "30 1 * * MON",
];
const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Lisbon",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
];
const QUEUES: [&str; 3] = ["urgent", "general", "elsewhere"];
const ESCALATE: (SignedDuration, SignedDuration) = (
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(72),
);

/// How often the service looks in these years; in life it is seconds.
const TICK: SignedDuration = SignedDuration::from_mins(5);

fn pick<'a, T: ?Sized>(random: &mut Random, from: &[&'a T]) -> &'a T {
    let count = u64::try_from(from.len()).unwrap();
    from[usize::try_from(random.next(count)).unwrap()]
}

/// One in `n`.
fn rarely(random: &mut Random, n: u64) -> bool {
    random.next(n) == 0
}

/// A mail that was sent.
#[derive(Debug)]
enum Mail {
    Digest(Timestamp),
    Alert,
    Escalation,
}

struct Year {
    random: Random,
    reviewer: Reviewer,
    own: Own,
    waiting: BTreeMap<i64, Waiting>,
    told: BTreeMap<i64, Told>,
    escalated: HashMap<(i64, i64), i64>,
    alerted: BTreeSet<(i64, i64)>,
    last: Last,
    /// What alerts said that were refused.
    given_up: HashSet<(i64, i64)>,
    kept_to: Option<Timestamp>,
    /// Since when each version of an item could be told.
    since: BTreeMap<(i64, i64), Timestamp>,
    /// Before this, times of her schedule were not to be kept: she had paused.
    silent_until: Timestamp,
    items: i64,
    sums: Sums,
}

#[derive(Debug, Default)]
struct Sums {
    windows: usize,
    digests: usize,
    alerts: usize,
    escalations: usize,
    reminders: usize,
    outages: usize,
    pauses: usize,
}

impl Year {
    fn new(mut random: Random, start: Timestamp) -> Self {
        let hour =
            |random: &mut Random| civil::time(i8::try_from(random.next(24)).unwrap(), 0, 0, 0);
        let quiet = (hour(&mut random), hour(&mut random));
        let zone = TimeZone::get(pick(&mut random, &ZONES)).unwrap();
        let role = [Role::Reviewer, Role::Editor][usize::try_from(random.next(2)).unwrap()];
        let reviewer = Reviewer {
            name: "Ana".into(),
            email: "ana@example.org".into(),
            role,
            queues: Queues::Named(vec!["urgent".into(), "general".into()]),
            timezone: zone,
            digest: Schedule::parse(pick(&mut random, &SCHEDULES)).ok(),
            alert: if rarely(&mut random, 3) {
                Vec::new()
            } else {
                vec!["urgent".into()]
            },
            quiet: (quiet.0 != quiet.1 && rarely(&mut random, 2)).then_some(quiet),
            remind: rarely(&mut random, 2).then(|| SignedDuration::from_hours(72)),
        };
        Self {
            random,
            reviewer,
            own: Own::default(),
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
            escalated: HashMap::new(),
            alerted: BTreeSet::new(),
            last: Last::default(),
            given_up: HashSet::new(),
            kept_to: None,
            since: BTreeMap::new(),
            silent_until: start,
            items: 0,
            sums: Sums::default(),
        }
    }

    /// What the newsroom does in one step.
    fn live(&mut self, now: Timestamp) {
        let busy = [24, 96, 600][usize::try_from(self.random.next(3)).unwrap()];
        if rarely(&mut self.random, busy) {
            self.items += 1;
            let due = [1, 24, 72][usize::try_from(self.random.next(3)).unwrap()];
            let queue = pick(&mut self.random, &QUEUES);
            let item = Waiting {
                id: self.items,
                version: 1,
                queue: queue.into(),
                overdue: false,
                changed_after_approval: false,
                arrived_at: now,
                arrived_since: !rarely(&mut self.random, 10),
                ignores_quiet: false,
                due_at: Some(now + SignedDuration::from_hours(due)),
                title: format!("Story {}", self.items),
                assigned_to: None,
                record: self.items,
                score: Score::default(),
            };
            self.since.insert((item.id, 1), now);
            self.waiting.insert(item.id, item);
        }
        let ids: Vec<i64> = self.waiting.keys().copied().collect();
        for id in ids {
            if rarely(&mut self.random, 400) {
                self.waiting.remove(&id);
            } else if rarely(&mut self.random, 900) {
                let item = self.waiting.get_mut(&id).unwrap();
                item.version += 1;
                self.since.insert((id, item.version), now);
            }
        }
        for item in self.waiting.values_mut() {
            item.overdue = item.due_at.is_some_and(|due| due <= now);
        }
        if self.own.paused_until.is_some_and(|until| until <= now) {
            self.own.paused_until = None;
        }
        match self.random.next(40_000) {
            0 => {
                let days = i64::try_from(1 + self.random.next(9)).unwrap();
                self.own.paused_until = Some(now + SignedDuration::from_hours(24 * days));
                self.sums.pauses += 1;
            }
            1 => self.own.stopped = true,
            2..8 => self.own.stopped = false,
            _ => {}
        }
        if self.own.stopped || self.own.paused_until.is_some() {
            self.silent_until = now + TICK;
        }
    }

    /// The service looks, once.
    fn look(&mut self, now: Timestamp) -> Option<Mail> {
        let waiting: Vec<Waiting> = self.waiting.values().cloned().collect();
        let all: Vec<&Waiting> = waiting.iter().collect();
        let hers: Vec<&Waiting> = all
            .iter()
            .copied()
            .filter(|w| w.queue != "elsewhere")
            .collect();
        let told: Vec<Told> = self.told.values().copied().collect();
        let (reviewer, own, given_up) = (self.reviewer.clone(), self.own, self.given_up.clone());
        let moment = Moment {
            reviewer: &reviewer,
            own: &own,
            waiting: &hers,
            told: &told,
            last: self.last,
            given_up: &given_up,
            kept_to: self.kept_to,
            when: When::Scheduled,
            now,
        };
        let answer = moment.digest();
        if let Some(kept) = answer.kept {
            assert!(
                self.kept_to.is_none_or(|to| to < kept),
                "kept twice: {kept}"
            );
            assert!(kept <= now, "kept before its time: {kept} at {now}");
            self.kept_to = Some(kept);
            self.sums.windows += 1;
        }
        if let Ok(due) = &answer.digest {
            let kept = answer.kept.expect("a digest of no window");
            self.lists_all(due, &hers);
            self.has_news(due, &hers, now);
            self.tell(&hers);
            self.last.digest = Some(now);
            self.last.any = Some(now);
            self.sums.digests += 1;
            self.sums.reminders += usize::from(due.reason == Reason::Reminder);
            return Some(Mail::Digest(kept));
        }
        if let Ok(ids) = moment.alert() {
            self.alert(&ids, &hers, now);
            return Some(Mail::Alert);
        }
        let moment = Moment {
            waiting: &all,
            ..moment
        };
        if let Ok(late) = moment.escalation(ESCALATE, &self.escalated) {
            assert_eq!(self.reviewer.role, Role::Editor);
            for (id, level) in &late {
                let item = &self.waiting[id];
                let overdue = now.duration_since(item.due_at.unwrap());
                let after = [ESCALATE.0, ESCALATE.1][usize::try_from(level - 1).unwrap()];
                assert!(overdue >= after, "{id} is escalated early: {overdue:?}");
                let before = self.escalated.insert((*id, item.version), *level);
                assert!(
                    before.is_none_or(|before| before < *level),
                    "{id} is escalated again"
                );
            }
            let told: Vec<&Waiting> = all
                .iter()
                .copied()
                .filter(|w| late.iter().any(|(id, _)| *id == w.id))
                .collect();
            self.tell(&told);
            self.sums.escalations += 1;
            return Some(Mail::Escalation);
        }
        None
    }

    /// Each item that waits for her is in one section.
    fn lists_all(&self, due: &Due, hers: &[&Waiting]) {
        let sections = [&due.overdue, &due.new, &due.changed, &due.still];
        let mut listed: Vec<i64> = sections.into_iter().flatten().copied().collect();
        listed.sort_unstable();
        let waits: Vec<i64> = hers.iter().map(|item| item.id).collect();
        assert_eq!(listed, waits, "each in one section");
    }

    /// A mail that says nothing new is a reminder, after its time.
    fn has_news(&self, due: &Due, hers: &[&Waiting], now: Timestamp) {
        let is_news = |item: &&&Waiting| match self.told.get(&item.id) {
            None => true,
            Some(told) => told.version < item.version || (item.overdue && !told.overdue),
        };
        let news = hers.iter().filter(is_news).count();
        if due.reason == Reason::Reminder {
            let since = now.duration_since(self.last.digest.or(self.last.any).unwrap());
            assert!(
                news == 0 && Some(since) >= self.reviewer.remind,
                "{since:?}"
            );
        } else {
            assert!(news > 0, "nothing new: {due:?}");
        }
    }

    fn alert(&mut self, ids: &[i64], hers: &[&Waiting], now: Timestamp) {
        let quiet = self.reviewer.quiet;
        if let Some((from, to)) = quiet {
            let time = now.to_zoned(self.reviewer.timezone.clone()).time();
            let is_quiet = if from < to {
                from <= time && time < to
            } else {
                time >= from || time < to
            };
            assert!(!is_quiet, "an alert in quiet hours: {time}");
        }
        assert!(!ids.is_empty());
        let items: Vec<&Waiting> = hers
            .iter()
            .copied()
            .filter(|w| ids.contains(&w.id))
            .collect();
        for item in &items {
            assert_eq!(item.queue, "urgent");
            assert!(item.arrived_since, "it stood there from the first");
            assert!(
                self.alerted.insert((item.id, item.version)),
                "{} twice",
                item.id
            );
        }
        if rarely(&mut self.random, 9) {
            // Refused for good: her digest tells of them.
            self.given_up
                .extend(items.iter().map(|item| (item.id, item.version)));
            return;
        }
        self.last.any = Some(now);
        self.tell(&items);
        self.sums.alerts += 1;
    }

    fn tell(&mut self, items: &[&Waiting]) {
        for item in items {
            let told = Told {
                item: item.id,
                version: item.version,
                overdue: item.overdue,
            };
            self.told.insert(item.id, told);
        }
    }

    /// Nothing waits untold past her time; nothing that cannot wait is untold past its gathering.
    fn nothing_is_untold(&self, now: Timestamp) {
        if self.own.stopped || self.own.paused_until.is_some() {
            return;
        }
        let zone = &self.reviewer.timezone;
        let schedule = self.reviewer.digest.as_ref().unwrap();
        let last_time = schedule.last_at_or_before(now, zone);
        // What passed while she was silent is told at her next time.
        let last_time = last_time.filter(|at| *at > self.silent_until);
        let hers = self.waiting.values().filter(|w| w.queue != "elsewhere");
        for item in hers {
            let told = self
                .told
                .get(&item.id)
                .is_some_and(|told| told.version == item.version);
            let since = self.since[&(item.id, item.version)];
            if last_time.is_some_and(|at| since < at) {
                assert!(
                    told,
                    "{item:?} waits untold since {since}, her time was {last_time:?}"
                );
            }
            let is_refused = self.given_up.contains(&(item.id, item.version));
            let is_alert =
                self.reviewer.alert.contains(&item.queue) && item.arrived_since && !is_refused;
            let free = self.reviewer.quiet.is_none() && self.silent_until <= since;
            if is_alert && free && item.version == 1 && since + GATHERED + TICK <= now {
                assert!(told, "{item:?} cannot wait, and waits untold since {since}");
            }
        }
    }
}

#[test]
fn nobody_is_told_twice_and_nothing_waits_untold() {
    let (seed, years) = (seed(), rounds().unwrap_or(6));
    let mut all = Sums::default();
    for year in 0..years {
        let random = Random(seed.wrapping_add(u64::try_from(year).unwrap()));
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut life = Year::new(random, start);
        let (mut now, mut down_until, mut windows) = (start, start, BTreeSet::new());
        while now < start + SignedDuration::from_hours(24 * 365) {
            now += TICK;
            life.live(now);
            if now < down_until {
                continue;
            }
            if rarely(&mut life.random, 20_000) {
                let hours = i64::try_from(life.random.next(100)).unwrap();
                down_until = now + SignedDuration::from_hours(hours);
                life.sums.outages += 1;
                continue;
            }
            // One mail at a time: what else is due follows at the next looks.
            let mut mails = 0;
            while let Some(mail) = life.look(now) {
                if let Mail::Digest(kept) = mail {
                    assert!(windows.insert(kept), "two digests for {kept}");
                }
                mails += 1;
                assert!(mails < 4, "mail after mail at {now}");
            }
            life.nothing_is_untold(now);
        }
        all.windows += life.sums.windows;
        all.digests += life.sums.digests;
        all.alerts += life.sums.alerts;
        all.escalations += life.sums.escalations;
        all.reminders += life.sums.reminders;
        all.outages += life.sums.outages;
        all.pauses += life.sums.pauses;
    }
    println!("| told twice, or untold past her time | {years} simulated years: {all:?} | 0 |");
    assert!(all.digests > 0 && all.digests < all.windows, "{all:?}");
    let others = [all.alerts, all.escalations, all.outages, all.pauses];
    assert!(years < 6 || others.iter().all(|n| *n > 0), "{all:?}");
}
