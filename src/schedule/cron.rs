//! Cron in a time zone: five fields as POSIX reads them, daylight saving at both edges.
//!
//! The `cron` crate only answers on a clock without time zones. This module rewrites five fields
//! into what that crate reads, and lays its answers on the stretches of real time between a zone's
//! changes of the clock. A schedule whose hours are plain numbers and ranges names times of the
//! day: one that the clock skips fires when the clock has jumped, one that it repeats fires at the
//! first pass. A schedule whose hour is `*` or has a step follows the clock as it runs.

mod unit;

use chrono::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::fmt;
use unit::{DAY, HOUR, MINUTE, MONTH, WEEKDAY};

/// When something is due, as cron writes it: minute, hour, day of the month, month, weekday.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    civil: ::cron::Schedule,
    follows_the_clock: bool,
}

impl Schedule {
    /// Reads five fields; 0 and 7 are Sunday, names in any case.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = written[..] else {
            return Err(not_five(text, &written));
        };
        let [minutes, hours, days, months, weekdays] = [
            MINUTE.values(minute)?,
            HOUR.values(hour)?,
            DAY.values(day)?,
            MONTH.values(month)?,
            WEEKDAY.values(weekday)?,
        ];
        if day != "*" && weekday != "*" {
            return Err(format!(
                "`{text}` names days of the month and weekdays, and cron fires on either; write \
                 `{minute} {hour} {day} {month} *` or `{minute} {hour} * {month} {weekday}`"
            ));
        }
        let list = |values: &BTreeSet<u8>| {
            let values: Vec<String> = values.iter().map(u8::to_string).collect();
            values.join(",")
        };
        let weekdays: BTreeSet<&str> = weekdays.iter().map(|day| WEEKDAY.named(*day)).collect();
        let six = format!(
            "0 {} {} {} {} {}",
            list(&minutes),
            list(&hours),
            list(&days),
            list(&months),
            Vec::from_iter(weekdays).join(",")
        );
        let schedule = Self {
            text: text.to_owned(),
            civil: six
                .parse()
                .map_err(|_| format!("`{text}` is no schedule; {EXAMPLE}"))?,
            follows_the_clock: hour.contains(['*', '/']) || hours.len() == 24,
        };
        if schedule.first_from(0).is_none() {
            return Err(format!(
                "`{text}` never comes, as no such month has that day; write a day up to 29 for \
                 FEB, up to 30 for APR, JUN, SEP and NOV"
            ));
        }
        Ok(schedule)
    }

    /// The first time after `moment` that is due in `zone`; none past 2100.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moment = whole(moment).max(0);
        let mut stretch = Stretch::around(moment, zone)?;
        let mut from = stretch.first(self).max(moment + stretch.offset + 1);
        loop {
            let civil = self.first_from(from)?;
            if civil - stretch.offset < stretch.end {
                return stretch.moment(civil);
            }
            stretch = Stretch::around(stretch.end, zone)?;
            from = stretch.first(self);
        }
    }

    /// The last time up to and with `moment` that was due in `zone`; none before 1970, and none on
    /// or past the last day of 2100 is seen.
    #[must_use]
    pub fn last_at_or_before(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moment = whole(moment).min(LAST_DAY);
        let mut stretch = Stretch::around(moment, zone)?;
        let mut to = moment + stretch.offset;
        loop {
            let civil = self.last_to(to)?;
            if civil >= stretch.first(self) {
                return stretch.moment(civil);
            }
            to = stretch.start + stretch.before - 1;
            stretch = Stretch::around(stretch.start - 1, zone)?;
        }
    }

    /// The first time on the clock at or after `second`.
    fn first_from(&self, second: i64) -> Option<i64> {
        let before = DateTime::from_timestamp(second - 1, 0)?;
        Some(self.civil.after(&before).next()?.timestamp())
    }

    /// The last time on the clock at or before `second`.
    fn last_to(&self, second: i64) -> Option<i64> {
        let after = DateTime::from_timestamp(second + 1, 0).filter(|_| second >= 0)?;
        Some(self.civil.after(&after).next_back()?.timestamp())
    }
}

/// As it was written.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The last time since `last_checked` (without it: in the last 24 hours) that was due up to `now`,
/// so that whatever was missed is made up once.
#[must_use]
pub fn due(
    schedule: &Schedule,
    zone: &TimeZone,
    last_checked: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let since = match last_checked {
        Some(moment) => moment,
        None => now.checked_sub(SignedDuration::from_hours(24)).ok()?,
    };
    schedule
        .last_at_or_before(now, zone)
        .filter(|moment| *moment > since)
}

/// Real time between two changes of a zone's clock. All in seconds: `start` (in it) and `end` (past
/// it) since 1970 in UTC, `offset` of the clock from UTC and the one `before` the start.
///
/// What a clock shows is reckoned in seconds too: since 1970 on that clock.
struct Stretch {
    start: i64,
    end: i64,
    offset: i64,
    before: i64,
}

impl Stretch {
    fn around(second: i64, zone: &TimeZone) -> Option<Self> {
        let moment = |second| Timestamp::from_second(second).ok();
        let offset = |second| Some(i64::from(zone.to_offset(moment(second)?).seconds()));
        let here = moment(second)?;
        let start = zone.preceding(moment(second + 1)?).next();
        let start = start.map(|change| change.timestamp().as_second());
        let end = zone.following(here).next();
        let end = end.map(|change| change.timestamp().as_second());
        Some(Self {
            start: start.unwrap_or(Timestamp::MIN.as_second()),
            end: end.unwrap_or(Timestamp::MAX.as_second()),
            offset: offset(second)?,
            before: offset(start.map_or(second, |start| start - 1))?,
        })
    }

    /// The first time on the clock that belongs here. Times of the day go on where the last stretch
    /// stopped: those that were skipped are ours, those that come again are not.
    fn first(&self, schedule: &Schedule) -> i64 {
        let follows = schedule.follows_the_clock;
        self.start + if follows { self.offset } else { self.before }
    }

    /// When the clock shows `civil`; at the start what was skipped.
    fn moment(&self, civil: i64) -> Option<Timestamp> {
        Timestamp::from_second((civil - self.offset).max(self.start)).ok()
    }
}

/// The start of 2100-12-31 in UTC, in seconds since 1970: `cron` knows the years 1970 to 2100.
const LAST_DAY: i64 = 4_133_894_400;

/// Seconds since 1970, whatever follows the second cut off.
fn whole(moment: Timestamp) -> i64 {
    moment.as_second() - i64::from(moment.subsec_nanosecond() < 0)
}

const EXAMPLE: &str = "write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`";

fn not_five(text: &str, written: &[&str]) -> String {
    let nickname = match text.trim().to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * SUN",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => "",
    };
    if !nickname.is_empty() {
        return format!("`{text}` is a nickname; write `{nickname}`");
    }
    let rest = written.iter().skip(1).copied().collect::<Vec<_>>();
    let rest = rest.join(" ");
    match written.len() {
        6 if Schedule::parse(&rest).is_ok() => {
            format!("`{text}` has 6 fields, not five; leave out the seconds and write `{rest}`")
        }
        1 => format!("`{text}` is one field, not five; {EXAMPLE}"),
        count => format!("`{text}` has {count} fields, not five; {EXAMPLE}"),
    }
}

#[cfg(test)]
mod against_croner;
#[cfg(test)]
mod tests;
