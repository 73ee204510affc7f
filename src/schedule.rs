//! Times as people write them: spans (`2h`, `3d`), moments (`3d`, a date, RFC 3339), how both are
//! printed, and schedules ([`cron`]).

pub mod cron;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

/// Reads a span: a whole number and one unit of `m`, `h`, `d`, `w` or `y` (365 days).
///
/// # Errors
/// What to write instead.
pub fn span(text: &str) -> Result<SignedDuration, String> {
    let mend = || {
        format!("`{text}` is no span of time; write a number and m, h, d, w or y, like 36h or 3d")
    };
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let hours = match unit.trim() {
        "m" => 0,
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        "y" => 365 * 24,
        _ => return Err(mend()),
    };
    let number: i64 = number
        .parse()
        .ok()
        .filter(|n| (1..=100_000).contains(n))
        .ok_or_else(mend)?;
    Ok(if hours == 0 {
        SignedDuration::from_mins(number)
    } else {
        SignedDuration::from_hours(number * hours)
    })
}

/// Reads a moment after `now`: a span from now, a date (its start in `zone`), or RFC 3339.
///
/// # Errors
/// What to write instead.
pub fn moment(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(span) = span(text) {
        return now
            .checked_add(span)
            .map_err(|_| format!("`{text}` from now is beyond the year 9999"));
    }
    fixed(text, zone)
}

/// Reads a moment before `now`: a span back from now, a date (its start in `zone`), or RFC 3339.
///
/// # Errors
/// What to write instead.
pub fn moment_ago(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(span) = span(text) {
        return now
            .checked_sub(span)
            .map_err(|_| format!("`{text}` ago is before all time"));
    }
    fixed(text, zone)
}

/// A moment that does not depend on now.
fn fixed(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let date = text.parse::<civil::Date>().ok();
    date.and_then(|date| date.to_zoned(zone.clone()).ok()).map(|zoned| zoned.timestamp()).ok_or_else(|| {
        format!("`{text}` is no time; write a span like 3d, a date like 2026-03-01, or RFC 3339 like 2026-03-01T09:00:00Z")
    })
}

/// A moment for a machine: RFC 3339 in UTC, whole seconds.
#[must_use]
pub fn rfc3339(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time on a reviewer's clock: `Mon 2 Mar 09:00`.
#[must_use]
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    let here = at.to_zoned(zone.clone());
    here.strftime("%a %-d %b %H:%M").to_string()
}

/// How long something lasts or lasted, rounded, in the unit that says it best: `5m`, `3h`, `2d`,
/// `5y`.
#[must_use]
pub fn rough(span: SignedDuration) -> String {
    const HOUR: i64 = 60;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let minutes = (span.as_secs().abs() + 30) / 60;
    let rounded = |unit: i64| (minutes + unit / 2) / unit;
    match minutes {
        0..HOUR => format!("{minutes}m"),
        _ if rounded(HOUR) < 48 => format!("{}h", rounded(HOUR)),
        _ if rounded(DAY) < 2 * 365 => format!("{}d", rounded(DAY)),
        _ => format!("{}y", rounded(YEAR)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments_are_read_as_people_write_them() {
        for (text, hours) in [
            ("2h", 2),
            ("1d", 24),
            ("36h", 36),
            ("2w", 336),
            ("1y", 8_760),
            ("3 d", 72),
        ] {
            assert_eq!(span(text), Ok(SignedDuration::from_hours(hours)), "{text}");
        }
        for wrong in [
            "",
            "3",
            "d",
            "-1d",
            "0h",
            "3x",
            "1.5h",
            "3 days",
            "99999999999d",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        let now: Timestamp = "2026-03-01T09:30:00Z".parse().unwrap();
        let paris = TimeZone::get("Europe/Paris").unwrap();
        for (text, expected) in [
            ("3d", "2026-03-04T09:30:00Z"),
            ("2026-03-05", "2026-03-04T23:00:00Z"),
            ("2026-03-05T10:00:00+02:00", "2026-03-05T08:00:00Z"),
        ] {
            assert_eq!(
                moment(text, now, &paris).map(rfc3339),
                Ok(expected.into()),
                "{text}"
            );
        }
        let ago = |text| moment_ago(text, now, &paris).map(rfc3339);
        assert_eq!(ago("3d"), Ok("2026-02-26T09:30:00Z".into()));
        assert_eq!(ago("2026-03-05"), Ok("2026-03-04T23:00:00Z".into()));
        assert!(ago("yesterday").is_err());
        for (seconds, expected) in [
            (20, "0m"),
            (59 * 60, "59m"),
            (4 * 3600 - 1, "4h"),
            (47 * 3600, "47h"),
            (2 * 86_400 - 1, "2d"),
            (2_006 * 86_400, "5y"),
        ] {
            assert_eq!(rough(SignedDuration::from_secs(seconds)), expected);
        }
        assert!(
            moment("tomorrow", now, &paris)
                .unwrap_err()
                .contains("write a span")
        );
    }
}
