use super::*;
use expect_test::expect;

/// The times that follow local `from`, as many as are expected. Looking back from each must find
/// it, and from just before it the one before.
fn assert_fires(text: &str, zone: &str, from: &str, expected: &str) {
    let schedule = Schedule::parse(text).unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let from: jiff::civil::DateTime = from.parse().unwrap();
    let mut moment = from.to_zoned(zone.clone()).unwrap().timestamp();
    let mut earlier = None;
    let mut found = Vec::new();
    for _ in expected.split(", ") {
        let next = schedule.next_after(moment, &zone).unwrap();
        assert!(next > moment, "{text}");
        assert_eq!(
            schedule.last_at_or_before(next, &zone),
            Some(next),
            "{text}"
        );
        let just_before = next - SignedDuration::from_nanos(1);
        let last = schedule.last_at_or_before(just_before, &zone).unwrap();
        assert!(last < next && earlier.is_none_or(|e| e == last), "{text}");
        assert_eq!(
            schedule.next_after(just_before, &zone),
            Some(next),
            "{text}"
        );
        let shown = next.to_zoned(zone.clone());
        found.push(shown.strftime("%m-%d %H:%M%:z").to_string());
        (moment, earlier) = (next, Some(next));
    }
    assert_eq!(found.join(", "), expected, "`{text}` from {from}");
}

#[test]
fn a_time_of_the_day_that_is_skipped_comes_once_after_the_jump() {
    for (zone, from, text, expected) in [
        (
            "America/New_York",
            "2026-03-07T00:00",
            "30 2 * * *",
            "03-07 02:30-05:00, 03-08 03:00-04:00, 03-09 02:30-04:00",
        ),
        (
            "America/New_York",
            "2026-03-08T00:00",
            "*/15 2 * * *",
            "03-08 03:00-04:00, 03-09 02:00-04:00",
        ),
        (
            "America/New_York",
            "2026-03-08T00:00",
            "0,30 2,3 * * *",
            "03-08 03:00-04:00, 03-08 03:30-04:00, 03-09 02:00-04:00",
        ),
        (
            "America/New_York",
            "2026-03-08T00:00",
            "0 0-3 * * *",
            "03-08 01:00-05:00, 03-08 03:00-04:00, 03-09 00:00-04:00",
        ),
        (
            "Europe/Lisbon",
            "2026-03-28T12:00",
            "30 1 * * *",
            "03-29 02:00+01:00, 03-30 01:30+01:00",
        ),
        (
            "Europe/Lisbon",
            "2026-03-28T12:00",
            "0 9,14 * * *",
            "03-28 14:00+00:00, 03-29 09:00+01:00, 03-29 14:00+01:00",
        ),
        (
            "Europe/Berlin",
            "2027-03-27T12:00",
            "15 2 * * SUN",
            "03-28 03:00+02:00, 04-04 02:15+02:00",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T12:00",
            "15 2 * * *",
            "10-04 02:30+11:00, 10-05 02:15+11:00",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T12:00",
            "45 2 * * *",
            "10-04 02:45+11:00, 10-05 02:45+11:00",
        ),
        (
            "America/Scoresbysund", // skips the last hour of the day
            "2026-03-28T12:00",
            "30 23 * * SAT",
            "03-29 00:00-01:00, 04-04 23:30-01:00",
        ),
    ] {
        assert_fires(text, zone, from, expected);
    }
}

#[test]
fn a_time_of_the_day_that_is_repeated_comes_at_the_first_pass() {
    for (zone, from, text, expected) in [
        (
            "America/New_York",
            "2026-11-01T00:00",
            "30 1 * * *",
            "11-01 01:30-04:00, 11-02 01:30-05:00",
        ),
        (
            "America/New_York",
            "2026-11-01T00:00",
            "0,30 1,2 * * *",
            "11-01 01:00-04:00, 11-01 01:30-04:00, 11-01 02:00-05:00, 11-01 02:30-05:00, 11-02 01:00-05:00",
        ),
        (
            "Europe/Lisbon",
            "2026-10-24T12:00",
            "0 1 * * *",
            "10-25 01:00+01:00, 10-26 01:00+00:00",
        ),
        (
            "Europe/Berlin",
            "2027-10-30T12:00",
            "59 2 * * *",
            "10-31 02:59+02:00, 11-01 02:59+01:00",
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T12:00",
            "45 1 * * *",
            "04-05 01:45+11:00, 04-06 01:45+10:30",
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T12:00",
            "15 1 * * *",
            "04-05 01:15+11:00, 04-06 01:15+10:30",
        ),
    ] {
        assert_fires(text, zone, from, expected);
    }
}

#[test]
fn an_hour_that_is_no_time_of_the_day_follows_the_clock() {
    for (zone, from, text, expected) in [
        (
            "America/New_York",
            "2026-03-08T01:00",
            "*/30 * * * *",
            "03-08 01:30-05:00, 03-08 03:00-04:00, 03-08 03:30-04:00",
        ),
        (
            "America/New_York",
            "2026-03-08T00:00",
            "0 */2 * * *",
            "03-08 04:00-04:00, 03-08 06:00-04:00",
        ),
        (
            "America/New_York",
            "2026-11-01T00:30",
            "*/30 * * * *",
            "11-01 01:00-04:00, 11-01 01:30-04:00, 11-01 01:00-05:00, 11-01 01:30-05:00, 11-01 02:00-05:00",
        ),
        (
            "Europe/Lisbon",
            "2026-03-29T00:00",
            "30 0-23 * * *",
            "03-29 00:30+00:00, 03-29 02:30+01:00",
        ),
        (
            "Europe/Berlin",
            "2026-10-25T01:30",
            "0 * * * *",
            "10-25 02:00+02:00, 10-25 02:00+01:00, 10-25 03:00+01:00",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-04T01:00",
            "*/30 * * * *",
            "10-04 01:30+10:30, 10-04 02:30+11:00, 10-04 03:00+11:00",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-04T00:30",
            "0 * * * *",
            "10-04 01:00+10:30, 10-04 03:00+11:00",
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05T00:45",
            "*/30 * * * *",
            "04-05 01:00+11:00, 04-05 01:30+11:00, 04-05 01:30+10:30, 04-05 02:00+10:30",
        ),
        (
            "Asia/Kolkata",
            "2026-03-08T23:45",
            "*/30 * * * *",
            "03-09 00:00+05:30, 03-09 00:30+05:30",
        ),
    ] {
        assert_fires(text, zone, from, expected);
    }
}

#[test]
fn fields_are_read_as_posix_says() {
    // 2026-03-01 is a Sunday.
    for (text, expected) in [
        ("0 9 * * 0", "03-01 09:00+05:30, 03-08 09:00+05:30"),
        ("0 9 * * 7", "03-01 09:00+05:30, 03-08 09:00+05:30"),
        ("0 9 * * 1", "03-02 09:00+05:30, 03-09 09:00+05:30"),
        (
            " 00 09 *  * sat-Sun ",
            "03-01 09:00+05:30, 03-07 09:00+05:30",
        ),
        ("0 9 * * 5-7/2", "03-01 09:00+05:30, 03-06 09:00+05:30"),
        ("0 9 * apr,MAY */2", "04-02 09:00+05:30, 04-04 09:00+05:30"),
        (
            "5-7/2,30 9 1 4-12/8 *",
            "04-01 09:05+05:30, 04-01 09:07+05:30, 04-01 09:30+05:30, 12-01 09:05+05:30",
        ),
        ("0 9 29 2 *", "02-29 09:00+05:30, 02-29 09:00+05:30"),
    ] {
        assert_fires(text, "Asia/Kolkata", "2026-03-01T00:00", expected);
        assert_eq!(Schedule::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_refusal_says_what_to_write() {
    let refusals: Vec<String> = [
        "",
        "0 9 * *",
        "0 0 9 * * MON",
        "0 0 9 * * 2026",
        "0 0 9 * * * 2026",
        "@daily",
        "@Weekly",
        "@reboot",
        "0 9 13 * 5",
        "0 9 1-31 * MON",
        "60 9 * * *",
        "0 24 * * *",
        "0 9 0 * *",
        "0 9 * 13 *",
        "0 9 * * 8",
        "0 9 * * monday",
        "0 9 * JUIN *",
        "0 -1 * * *",
        "+5 9 * * *",
        "0 9,,14 * * *",
        "0 22-2 * * *",
        "0 9 * NOV-FEB *",
        "0 9 * * 5-1",
        "0 9 * * FRI-MON",
        "0 9 * * 5-0",
        "0 9 * * 7-3",
        "0 9 * * SUN-SUN",
        "*/0 9 * * *",
        "*/90 9 * * *",
        "*/ 9 * * *",
        "5/15 9 * * *",
        "0 9 * * MON/0",
        "0 9 ? * MON",
        "0 9 L * *",
        "0 9 L-3 * *",
        "0 9 LW * *",
        "0 9 15W * *",
        "0 9 * * 5L",
        "0 9 * * L",
        "0 9 * * FRI#2",
        "0 9 * * wed#1,wedL",
        "0 9 * * wedL",
        "H 9 * * *",
        "0 9 30 2 *",
        "0 9 31 4,6 *",
    ]
    .iter()
    .map(|text| Schedule::parse(text).unwrap_err() + "\n")
    .collect();
    expect![[r#"
        `` has 0 fields, not five; write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`
        `0 9 * *` has 4 fields, not five; write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`
        `0 0 9 * * MON` has 6 fields, not five; leave out the seconds and write `0 9 * * MON`
        `0 0 9 * * 2026` has 6 fields, not five; write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`
        `0 0 9 * * * 2026` has 7 fields, not five; write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`
        `@daily` is a nickname; write `0 0 * * *`
        `@Weekly` is a nickname; write `0 0 * * SUN`
        `@reboot` is one field, not five; write minute, hour, day, month and weekday, like `0 9 * * MON-FRI`
        `0 9 13 * 5` names days of the month and weekdays, and cron fires on either; write `0 9 13 * *` or `0 9 * * 5`
        `0 9 1-31 * MON` names days of the month and weekdays, and cron fires on either; write `0 9 1-31 * *` or `0 9 * * MON`
        `60` is no minute; write 0 to 59
        `24` is no hour; write 0 to 23
        `0` is no day of the month; write 1 to 31
        `13` is no month; write 1 to 12 or JAN to DEC
        `8` is no weekday; write 0 to 7 (0 and 7 are Sunday) or SUN to SAT
        `monday` is no weekday; write 0 to 7 (0 and 7 are Sunday) or SUN to SAT
        `JUIN` is no month; write 1 to 12 or JAN to DEC
        a value of the hour is left out; write 0 to 23
        `+5` is no minute; write 0 to 59
        a value of the hour is left out; write 0 to 23
        `22-2` ends before it begins; write `22-23,0-2`
        `NOV-FEB` ends before it begins; write `NOV-DEC,JAN-FEB`
        `5-1` ends before it begins; write `FRI-SUN,MON`
        `FRI-MON` ends before it begins; write `FRI-SUN,MON`
        `5-0` ends before it begins; write `FRI-SUN`
        `7-3` ends before it begins; write `SUN,MON-WED`
        `SUN-SUN` may be one day or seven; write `SUN` or `*`
        `*/0` has no good step; write `*/` and 1 to 59
        `*/90` has no good step; write `*/` and 1 to 59
        `*/` has no good step; write `*/` and 1 to 59
        `5/15` has a step and no range; write `5-59/15`
        `MON/0` has no good step; write `MON/` and 1 to 7
        `?` is no day of the month; write `*`
        `L` is reckoned from the last day of the month, which five fields cannot say; write `28`, or `1` for the day after it
        `L` is reckoned from the last day of the month, which five fields cannot say; write `28`, or `1` for the day after it
        `LW` is reckoned from the last day of the month, which five fields cannot say; write `28`, or `1` for the day after it
        `15W` is the working day next to a date, which five fields cannot say; write `15`
        `5L` is the last such day of the month, which five fields cannot say; write `5` for every week
        `L` is the last such day of the month, which five fields cannot say; write `SAT` for every week
        `FRI#2` is one weekday of the month, which five fields cannot say; write `FRI` for every week
        `wed#1` is one weekday of the month, which five fields cannot say; write `wed` for every week
        `wedL` is the last such day of the month, which five fields cannot say; write `wed` for every week
        `H` is no minute; write 0 to 59
        `0 9 30 2 *` never comes, as no such month has that day; write a day up to 29 for FEB, up to 30 for APR, JUN, SEP and NOV
        `0 9 31 4,6 *` never comes, as no such month has that day; write a day up to 29 for FEB, up to 30 for APR, JUN, SEP and NOV
    "#]].assert_eq(&refusals.concat());
}

#[test]
fn what_was_missed_is_made_up_once() {
    let schedule = Schedule::parse("0 9,14 * * MON-FRI").unwrap();
    let zone = TimeZone::get("Europe/Lisbon").unwrap();
    for (last_checked, now, expected) in [
        // Wednesday in winter: Lisbon is on UTC.
        (Some("2026-03-04T08:59:00Z"), "2026-03-04T08:59:59Z", None),
        (
            Some("2026-03-04T08:59:00Z"),
            "2026-03-04T09:00:00Z",
            Some("2026-03-04T09:00:00Z"),
        ),
        (Some("2026-03-04T09:00:00Z"), "2026-03-04T09:00:30Z", None),
        // Down from Monday to Wednesday: four times, once made up.
        (
            Some("2026-03-02T12:00:00Z"),
            "2026-03-04T13:00:00Z",
            Some("2026-03-04T09:00:00Z"),
        ),
        // The weekend across the change of the clock.
        (Some("2026-03-27T14:00:00Z"), "2026-03-30T07:59:00Z", None),
        (
            Some("2026-03-27T14:00:00Z"),
            "2026-03-30T08:00:00Z",
            Some("2026-03-30T08:00:00Z"),
        ),
        // Never looked: one day back.
        (None, "2026-03-04T08:00:00Z", Some("2026-03-03T14:00:00Z")),
        (None, "2026-03-07T13:59:59Z", Some("2026-03-06T14:00:00Z")),
        (None, "2026-03-07T14:00:00Z", None),
        // The machine's clock was put back.
        (Some("2026-03-05T09:00:00Z"), "2026-03-04T15:00:00Z", None),
    ] {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            due(&schedule, &zone, last_checked.map(moment), moment(now)),
            expected.map(moment),
            "{last_checked:?} to {now}"
        );
    }
}

#[test]
fn the_search_ends() {
    let schedule = Schedule::parse("0 9 29 2 *").unwrap();
    let zone = TimeZone::get("Europe/Lisbon").unwrap();
    let year = |year: i16| {
        jiff::civil::date(year, 1, 1)
            .to_zoned(zone.clone())
            .unwrap()
            .timestamp()
    };
    assert_eq!(schedule.next_after(year(2098), &zone), None);
    assert_eq!(schedule.last_at_or_before(year(1971), &zone), None);
    let leap_day = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    for (moment, next, last) in [
        (Timestamp::MIN, leap_day("1972-02-29T08:00:00Z"), None),
        (Timestamp::MAX, None, leap_day("2096-02-29T09:00:00Z")),
    ] {
        assert_eq!(schedule.next_after(moment, &zone), next);
        assert_eq!(schedule.last_at_or_before(moment, &zone), last);
    }
}
