//! Moments as providers write them, and the clock that tokens are dated by.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use ringdown_domain::Timestamp;

/// Where a provider that signs short-lived tokens takes the time from.
pub(crate) type Clock = fn() -> Timestamp;

/// The system's clock. The only one that is read in this crate, and here only to date tokens.
pub fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Whole seconds since the Unix epoch, rounded down.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000_000)
}

/// In UTC as RFC 3339 writes it, to the second, rounded down: `2026-11-28T11:48:30Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{:.0}", civil(at))
}

/// As [`rfc3339`], to the millisecond: `2026-11-28T11:48:30.000Z`.
pub(crate) fn rfc3339_millis(at: Timestamp) -> String {
    format!("{:.3}", civil(at))
}

/// Years end with 9999 here.
fn civil(at: Timestamp) -> jiff::Timestamp {
    let end = if at.as_micros() < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    };
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(end)
}

/// RFC 3339, also with a space for the T and without an offset, which then is UTC.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = text.parse().or_else(|_| {
        let at: DateTime = text.parse()?;
        TimeZone::UTC.to_timestamp(at)
    });
    // A date alone is no moment, though jiff takes it for midnight.
    let at: jiff::Timestamp = at.ok().filter(|_| text.contains(':'))?;
    Some(Timestamp::from_micros(at.as_microsecond()))
}

/// As in mail (RFC 5322 section 3.3), such as `Sat, 28 Nov 2026 11:48:30 +0000`. The day of the week is not compared
/// with the date.
pub(crate) fn parse_rfc2822(text: &str) -> Option<Timestamp> {
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let at = parser.parse_timestamp(text.trim()).ok()?;
    Some(Timestamp::from_micros(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_moment_is_read_however_it_is_written() {
        let moment = Timestamp::from_micros(1_795_866_510_000_000);
        let at = Some(moment);
        for text in [
            "2026-11-28T11:48:30Z",
            "2026-11-28T11:48:30.000Z",
            "2026-11-28 11:48:30",
            "2026-11-28 17:18:30+05:30",
            "2026-11-28T03:48:30.0-0800",
        ] {
            assert_eq!(parse_rfc3339(text), at, "{text}");
        }
        for text in [
            "Sat, 28 Nov 2026 11:48:30 +0000",
            "28 Nov 2026 06:48:30 -0500",
            "Sat, 28 Nov 2026 11:48:30 GMT",
        ] {
            assert_eq!(parse_rfc2822(text), at, "{text}");
        }
        assert_eq!(rfc3339_millis(moment), "2026-11-28T11:48:30.000Z");
        let leap = parse_rfc3339("2024-02-29T23:59:59.5Z").unwrap();
        assert_eq!(rfc3339_millis(leap), "2024-02-29T23:59:59.500Z");
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "",
            "2026-13-01T00:00:00Z",
            "2026-11-28",
            "2026-11-28T25:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        for text in ["", "Sat, 28 Foo 2026 11:48:30 +0000", "Sat, 28 Nov 2026"] {
            assert_eq!(parse_rfc2822(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_rfc_3339_does() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_795_866_506, "2026-11-28T11:48:26Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            let at = Timestamp::from_micros(second * 1_000_000 + 999_999);
            assert_eq!(rfc3339(at), text);
        }
        for end in [i64::MAX, i64::MIN] {
            assert!(!rfc3339(Timestamp::from_micros(end)).is_empty());
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_agree(millis in 0_i64..200_000_000_000_000) {
            let at = Timestamp::from_micros(millis * 1000);
            prop_assert_eq!(parse_rfc3339(&rfc3339_millis(at)), Some(at));
        }

        #[test]
        fn no_text_panics(text in prop_oneof![".{0,40}", "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}.{0,8}"]) {
            let _ = (parse_rfc3339(&text), parse_rfc2822(&text));
        }
    }
}
