//! When jobs are due: against a search minute by minute, and on the nights the clocks change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{ToSpan, Zoned};
use proptest::prelude::*;
use ringdown_cron::Schedule;
use ringdown_domain::Timestamp;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Calcutta",
    "Pacific/Apia",
];

fn moment(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(moment.as_microsecond())
}

fn local(zone: &TimeZone, moment: Timestamp) -> Zoned {
    let moment = jiff::Timestamp::from_microsecond(moment.as_micros()).unwrap();
    moment.to_zoned(zone.clone())
}

/// The next `count` moments, in UTC.
fn fires(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(expression, zone).unwrap();
    let mut at = moment(after);
    let mut fires = Vec::new();
    for _ in 0..count {
        at = schedule.next_after(at).unwrap();
        fires.push(
            jiff::Timestamp::from_microsecond(at.as_micros())
                .unwrap()
                .to_string(),
        );
    }
    fires
}

#[test]
fn a_skipped_time_fires_once_when_the_gap_ends() {
    // Berlin: 02:00 becomes 03:00 at 01:00 UTC.
    let berlin = |expression| fires(expression, "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
    assert_eq!(
        berlin("30 2 * * *"),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    // Four skipped quarters and the one that exists are one moment.
    assert_eq!(
        fires("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:44:00Z", 3),
        [
            "2026-03-29T00:45:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:15:00Z"
        ]
    );
    // New York: 02:00 becomes 03:00 at 07:00 UTC.
    assert_eq!(
        fires("15 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", 2),
        ["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"]
    );
    // Lord Howe moves by half an hour: 02:00 becomes 02:30 at 15:30 UTC of the day before.
    assert_eq!(
        fires(
            "10,40 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            3
        ),
        [
            "2026-10-03T15:30:00Z",
            "2026-10-03T15:40:00Z",
            "2026-10-04T15:10:00Z"
        ]
    );
    // Samoa skipped the whole of 30 December 2011.
    assert_eq!(
        fires("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 2),
        ["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
    );
}

#[test]
fn a_repeated_time_fires_the_first_time_only() {
    // Berlin: 03:00 becomes 02:00 at 01:00 UTC, so 02:30 is 00:30 UTC and again 01:30.
    assert_eq!(
        fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // Asked in the second half: it has fired.
    assert_eq!(
        fires("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
        ["2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        fires("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z"
        ]
    );
    assert_eq!(
        fires("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 2),
        ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
    );
    // Lord Howe repeats 01:30 to 02:00.
    assert_eq!(
        fires(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            2
        ),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
}

#[test]
fn a_zone_without_clock_changes_keeps_its_odd_offset() {
    assert_eq!(
        fires("0 9 * * 1-5", "Asia/Calcutta", "2026-01-02T04:00:00Z", 2),
        ["2026-01-05T03:30:00Z", "2026-01-06T03:30:00Z"]
    );
}

#[test]
fn the_day_fields_combine_as_crontab_has_it() {
    // Both named: the 13th or a Friday.
    assert_eq!(
        fires("0 0 13 * 5", "UTC", "2026-03-07T00:00:00Z", 3),
        [
            "2026-03-13T00:00:00Z",
            "2026-03-20T00:00:00Z",
            "2026-03-27T00:00:00Z"
        ]
    );
    // One with a star: both have to match.
    assert_eq!(
        fires("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1),
        ["2104-02-29T00:00:00Z"]
    );
    assert_eq!(
        fires("0 0 29 2 */7", "UTC", "2088-03-01T00:00:00Z", 1),
        ["2128-02-29T00:00:00Z"]
    );
}

#[test]
fn the_ends_of_the_calendar_are_no_panic() {
    let schedule = Schedule::parse("0 0 1 1 *", "Europe/Berlin").unwrap();
    for edge in [i64::MIN, i64::MAX, 253_402_000_000_000_000] {
        assert_eq!(schedule.next_after(Timestamp::from_micros(edge)), None);
    }
}

fn item(lowest: u8, highest: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        2 => (lowest..=highest).prop_map(|value| value.to_string()),
        1 => (1..=highest).prop_map(|step| format!("*/{step}")),
        1 => (lowest..=highest, lowest..=highest)
            .prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    (
        item(0, 59),
        item(0, 23),
        item(1, 31),
        item(1, 12),
        item(0, 7),
    )
        .prop_map(|(minute, hour, day, month, weekday)| {
            format!("{minute} {hour} {day} {month} {weekday}")
        })
}

/// Whether one item of the kinds above allows a value: written anew, to check the crate against.
fn allows(item: &str, value: i8, lowest: i8) -> bool {
    if let Some(step) = item.strip_prefix("*/") {
        return (value - lowest) % step.parse::<i8>().unwrap() == 0;
    }
    match item.split_once('-') {
        None => item == "*" || item.parse::<i8>().unwrap() == value,
        Some((from, to)) => (from.parse().unwrap()..=to.parse().unwrap()).contains(&value),
    }
}

fn matches(expression: &str, at: &Zoned) -> bool {
    let fields: Vec<&str> = expression.split(' ').collect();
    let weekday = at.weekday().to_sunday_zero_offset();
    let of_week = allows(fields[4], weekday, 0)
        // `*/7` is Sunday once, every other item may mean it by 7.
        || (weekday == 0 && !fields[4].contains('*') && allows(fields[4], 7, 0));
    let of_month = allows(fields[2], at.day(), 1);
    let day = if fields[2].contains('*') || fields[4].contains('*') {
        of_month && of_week
    } else {
        of_month || of_week
    };
    day && allows(fields[0], at.minute(), 0)
        && allows(fields[1], at.hour(), 0)
        && allows(fields[3], at.month(), 1)
}

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_next_moment_is_later_and_matches_the_local_clock(
        expression in expression(),
        name in prop::sample::select(ZONES),
        // 2005 to 2065.
        after in 1_100_000_000_000_000_i64..3_000_000_000_000_000,
        further in 0_i64..20_000_000_000_000,
    ) {
        let Ok(schedule) = Schedule::parse(&expression, name) else {
            // The only refusal: days that no year has.
            return Ok(());
        };
        let zone = zone(name);
        let after = Timestamp::from_micros(after);
        let next = schedule.next_after(after).unwrap();
        prop_assert!(next > after);
        let clock = local(&zone, next);
        // At a gap's end the clock shows something later than the time that was skipped.
        let change = zone.preceding(clock.timestamp() + 1.nanosecond()).next();
        let gap_ends = change.is_some_and(|change| change.timestamp() == clock.timestamp());
        prop_assert!(gap_ends || matches(&expression, &clock), "{clock}");
        prop_assert!(gap_ends || clock.second() == 0 && clock.subsec_nanosecond() == 0);
        // Never backwards: a later question has no earlier answer.
        let later = Timestamp::from_micros(after.as_micros() + further);
        prop_assert!(schedule.next_after(later).unwrap() >= next);
        if later < next {
            prop_assert_eq!(schedule.next_after(later), Some(next));
        }
    }

    #[test]
    fn nothing_is_left_out(
        minute in item(0, 59),
        hour in item(0, 23),
        name in prop::sample::select(ZONES),
        after in 1_100_000_000_i64..3_000_000_000,
    ) {
        let expression = format!("{minute} {hour} * * *");
        let schedule = Schedule::parse(&expression, name).unwrap();
        let zone = zone(name);
        let after = Timestamp::from_micros(after * 1_000_000);
        let next = schedule.next_after(after).unwrap();
        let mut at = local(&zone, after);
        let mut shown = Vec::new();
        loop {
            at = at
                .timestamp()
                .checked_add(1.minute())
                .unwrap()
                .to_zoned(zone.clone());
            let at = at
                .datetime()
                .round(jiff::civil::DateTimeRound::new()
                    .smallest(jiff::Unit::Minute)
                    .mode(jiff::RoundMode::Trunc))
                .unwrap()
                .to_zoned(zone.clone())
                .unwrap();
            if Timestamp::from_micros(at.timestamp().as_microsecond()) >= next {
                break;
            }
            if at.timestamp().as_microsecond() > after.as_micros() && matches(&expression, &at) {
                shown.push(at);
            }
        }
        prop_assert!(shown.is_empty(), "{next:?} came after {shown:?}");
    }
}
