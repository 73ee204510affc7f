//! The same answers as `croner`, which reads five fields and knows time zones, on generated
//! schedules, zones and moments of 2026 to 2028.
//!
//! Two differences are known and wanted.
//! - croner calls a schedule fixed if it names one minute and one hour; any other skips what the
//!   clock skips and fires twice when the clock repeats. Here the hours alone decide, so that
//!   `0 9,14 * * *` is as sure as `0 9 * * *`. Near a change of the clock such a schedule is
//!   compared with croner's answers for each of its times of the day, taken together.
//! - Where the last hour of a day is skipped, croner drops its times if the day after is not named.
//!   Only Greenland does that (America/Scoresbysund, America/Nuuk): it is left out here, and in
//!   the table of times of the day.
//!
//! Nothing else is left out: the generator only avoids what one of the two refuses (weekdays
//! together with days of the month, days that never come).

use super::Schedule;
use croner::{Cron, CronComponent, Direction, JobType};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/Lisbon",
    "Europe/Berlin",
    "Australia/Lord_Howe", // 30 minutes
    "Asia/Kolkata",
    "UTC",
    "America/Santiago",  // skips midnight
    "Africa/Cairo",      // skips midnight
    "America/Havana",    // skips midnight, repeats it
    "Africa/Casablanca", // back for Ramadan
    "Pacific/Chatham",   // 45 minutes off the hour
    "Antarctica/Troll",  // two hours
];
const CASES: usize = 10_500;

#[test]
fn schedules_agree_with_croner() {
    let mut dice = Dice(2026);
    let (mut compared, mut near, mut split) = (0, 0, 0);
    let mut wrong = Vec::new();
    while compared < CASES {
        let text = dice.schedule();
        let (Ok(ours), Ok(theirs)) = (Schedule::parse(&text), text.parse::<Cron>()) else {
            continue;
        };
        let name = dice.one(&ZONES);
        let zone = TimeZone::get(name).unwrap();
        let moment = dice.moment(&zone);
        for direction in [Direction::Forward, Direction::Backward] {
            let (found, (expected, by_edge, by_part)) = (
                match direction {
                    Direction::Forward => ours.next_after(moment, &zone),
                    Direction::Backward => ours.last_at_or_before(moment, &zone),
                },
                oracle(&ours, &theirs, moment, &zone, direction),
            );
            if found != expected {
                wrong.push(format!(
                    "`{text}` in {name}, {direction:?} from {moment}: {found:?}, croner {expected:?}"
                ));
            }
            near += usize::from(by_edge);
            split += usize::from(by_part);
        }
        compared += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(
        near > CASES / 2 && split > CASES / 20,
        "too few near an edge: {near}, in parts: {split}"
    );
}

/// croner's answer; whether a change of the clock was near, and whether it was asked in parts.
fn oracle(
    ours: &Schedule,
    theirs: &Cron,
    moment: Timestamp,
    zone: &TimeZone,
    direction: Direction,
) -> (Option<Timestamp>, bool, bool) {
    let day = SignedDuration::from_hours(24);
    let whole = ask(theirs, moment, zone, direction);
    let (from, to) = match direction {
        Direction::Forward => (moment, whole.unwrap_or(Timestamp::MAX - day)),
        Direction::Backward => (whole.unwrap_or(Timestamp::MIN + day), moment),
    };
    let edge = zone.following(from - day).next();
    let near = edge.is_some_and(|edge| edge.timestamp() < to + day);
    if !near || ours.follows_the_clock || theirs.determine_job_type() == JobType::FixedTime {
        return (whole, near, false);
    }
    let only = |value: u16, max: u16| {
        let mut one = CronComponent::new(0, max, 0, 0);
        one.parse(&value.to_string()).unwrap();
        one
    };
    let mut part = theirs.clone();
    let times = theirs.pattern.hours.values().into_iter().flat_map(|hour| {
        let minutes = theirs.pattern.minutes.values().into_iter();
        minutes.map(move |minute| (hour, minute))
    });
    let parts = times.filter_map(|(hour, minute)| {
        part.pattern.minutes = only(minute, 59);
        part.pattern.hours = only(hour, 23);
        ask(&part, moment, zone, direction)
    });
    let answer = match direction {
        Direction::Forward => parts.min(),
        Direction::Backward => parts.max(),
    };
    (answer, near, true)
}

fn ask(cron: &Cron, moment: Timestamp, zone: &TimeZone, direction: Direction) -> Option<Timestamp> {
    let from = moment.to_zoned(zone.clone());
    let found = match direction {
        Direction::Forward => cron.find_next_occurrence(&from, false),
        Direction::Backward => cron.find_previous_occurrence(&from, true),
    };
    found.ok().map(|found| found.timestamp())
}

/// The same throws in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(of.len() as u64);
        of[usize::try_from(at).unwrap()]
    }

    /// In 2026 to 2028; half of them within three hours of a change of the clock, a third of those
    /// a multiple of 15 minutes from it.
    fn moment(&mut self, zone: &TimeZone) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let seconds = i64::try_from(self.below(3 * 365 * 86_400)).unwrap();
        let moment = start + SignedDuration::from_secs(seconds);
        let Some(edge) = zone.following(moment).next().filter(|_| self.below(2) == 0) else {
            return moment;
        };
        let (step, steps) = if self.below(3) == 0 {
            (60 * 15, 24)
        } else {
            (1, 6 * 3600)
        };
        let off = i64::try_from(self.below(steps + 1)).unwrap() - i64::try_from(steps / 2).unwrap();
        edge.timestamp() + SignedDuration::from_secs(off * step)
    }

    fn schedule(&mut self) -> String {
        let minute = match self.below(4) {
            0 => "0".to_owned(),
            1 => self.one(&["30", "*/30", "15,45", "*/15"]).to_owned(),
            _ => self.field(0, 59, &[]),
        };
        let hour = match self.below(3) {
            0 => self
                .one(&["0", "1", "2", "3", "1,2", "0-3", "2,14", "9,14", "23"])
                .to_owned(),
            _ => self.field(0, 23, &[]),
        };
        let (mut day, mut weekday) = ("*".to_owned(), "*".to_owned());
        match self.below(3) {
            0 => day = self.field(1, 31, &[]),
            1 => {
                let names = ["SUN", "mon", "Tue", "WED", "THU", "FRI", "SAT", "SUN"];
                weekday = self.field(0, 7, &names);
            }
            _ => {}
        }
        let month = if self.below(2) == 0 {
            "*".to_owned()
        } else {
            let names = [
                "jan", "Feb", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
            ];
            self.field(1, 12, &names)
        };
        format!("{minute} {hour} {day} {month} {weekday}")
    }

    fn field(&mut self, min: u64, max: u64, names: &[&str]) -> String {
        let parts = 1 + self.below(3);
        let parts: Vec<String> = (0..parts).map(|_| self.part(min, max, names)).collect();
        match self.below(4) {
            0 => self.one(&["*", "*/2", "*/3", "*/5"]).to_owned(),
            _ => parts.join(","),
        }
    }

    fn part(&mut self, min: u64, max: u64, names: &[&str]) -> String {
        let first = min + self.below(max - min);
        let last = first + 1 + self.below((max - first).min(12));
        let named = self.below(2) == 0;
        let shown = |value: u64| match names.get(usize::try_from(value - min).unwrap()) {
            Some(name) if named => (*name).to_owned(),
            _ => value.to_string(),
        };
        match self.below(6) {
            0 => format!("{}-{}", shown(first), shown(last)),
            1 => format!(
                "{}-{}/{}",
                shown(first),
                shown(last),
                2 + self.below(max / 2)
            ),
            _ => shown(first),
        }
    }
}
