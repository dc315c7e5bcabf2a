//! What is read, what is refused, and in which words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use proptest::prelude::*;
use ringdown_cron::{Invalid, Schedule};

fn refusal(expression: &str) -> String {
    Schedule::parse(expression, "UTC").unwrap_err().to_string()
}

#[test]
fn every_form_of_a_field_is_read() {
    for expression in [
        "* * * * *",
        "0 9 * * mon-fri",
        "*/15 8-18/2 1,15 JAN-mar,12 *",
        "5/20 0 * * 7",
        "  0\t0 29 2 *  ",
        "0 0 29 2 */7",
    ] {
        Schedule::parse(expression, "Europe/Berlin").expect(expression);
    }
    let schedule = Schedule::parse(" 0  0 * *  0", "asia/calcutta").unwrap();
    assert_eq!(schedule.expression(), "0 0 * * 0");
    assert_eq!(schedule.timezone(), "Asia/Calcutta");
    assert_eq!(schedule.to_string(), "0 0 * * 0 (Asia/Calcutta)");
}

#[test]
fn a_refusal_names_the_field_and_says_what_to_write() {
    for (expression, words) in [
        ("60 * * * *", "minute: 60 is not between 0 and 59"),
        ("* 24 * * *", "hour: 24 is not between 0 and 23"),
        ("* * 0 * *", "day of month: 0 is not between 1 and 31"),
        ("* * * 13 *", "month: 13 is not between 1 and 12"),
        ("* * * * 8", "day of week: 8 is not between 0 and 7"),
        ("* * * * fri-mon", "the range 5-1 runs backwards"),
        ("*/0 * * * *", "the step 0 has to be between 1 and 59"),
        ("* * L * *", "day of month: `L` is not understood"),
        ("1,,2 * * * *", "minute: `` is not understood"),
        ("-5 * * * *", "minute: `-5` is not understood"),
        ("0 0 * *", "has 4 fields and needs 5"),
        ("0 0 0 * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("@daily", "write `0 0 * * *`"),
        ("@reboot", "write five fields"),
        ("0 0 30 2 *", "would never run"),
        ("0 0 31 4,6,9,11 *", "would never run"),
    ] {
        let refusal = refusal(expression);
        assert!(refusal.contains(words), "{expression}: {refusal}");
    }
    assert_eq!(
        Schedule::parse("* * * * *", "Mars/Olympus").unwrap_err(),
        Invalid::TimeZone("Mars/Olympus".to_owned())
    );
    assert!(refusal(&"1,".repeat(200)).contains("longer than 255 bytes"));
}

#[test]
fn spacing_is_the_closest_two_runs_come() {
    let spacing = |expression| {
        let schedule = Schedule::parse(expression, "UTC").unwrap();
        schedule.spacing().map(|spacing| spacing.as_secs() / 60)
    };
    assert_eq!(spacing("* * * * *"), Some(1));
    assert_eq!(spacing("*/15 * * * *"), Some(15));
    assert_eq!(spacing("0,50 * * * *"), Some(10));
    assert_eq!(spacing("0 0,23 * * *"), Some(60));
    // Only Mondays: the hour over midnight never happens.
    assert_eq!(spacing("0 0,23 * * 1"), Some(23 * 60));
    assert_eq!(spacing("0 6 * * *"), Some(24 * 60));
    assert_eq!(spacing("0 6 * * 1"), None);
    // The 31st and the 1st follow each other.
    assert_eq!(spacing("0 6 1,31 * *"), Some(24 * 60));

    let schedule = Schedule::parse("*/5 * * * *", "UTC").unwrap();
    schedule.check_spacing(Duration::from_secs(300)).unwrap();
    let refusal = schedule.check_spacing(Duration::from_secs(600));
    let refusal = refusal.unwrap_err().to_string();
    assert!(refusal.contains("every 300 seconds"), "{refusal}");
}

proptest! {
    #[test]
    fn no_text_panics(expression in "\\PC{0,60}", zone in "\\PC{0,30}") {
        let _ = Schedule::parse(&expression, &zone);
        let _ = Schedule::parse(&expression, "UTC");
    }

    #[test]
    fn no_near_miss_panics(fields in prop::collection::vec("[0-9*/,a-z-]{1,8}", 4..7)) {
        let _ = Schedule::parse(&fields.join(" "), "UTC");
    }
}
