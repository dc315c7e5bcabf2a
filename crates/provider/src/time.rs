//! Moments as providers write them.

use ringdown_domain::Timestamp;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// In UTC, with milliseconds (RFC 3339), such as `2026-11-28T11:48:30.000Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let millis = at.as_micros().div_euclid(1000);
    let seconds = millis.div_euclid(1000);
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        millis.rem_euclid(1000)
    )
}

/// RFC 3339, also with a space for the T and without an offset, which then is UTC.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            let (digits, offset) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            let micros: String = digits.chars().chain("000000".chars()).take(6).collect();
            (number(&micros)?, offset)
        }
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let days = days(number(year)?, number(month)?, number(day)?)?;
    moment(days, clock, offset, fraction)
}

/// As in mail (RFC 5322 section 3.3), such as `Sat, 28 Nov 2026 11:48:30 +0000`.
pub(crate) fn parse_rfc2822(text: &str) -> Option<Timestamp> {
    let date = text.split_once(',').map_or(text, |(_, date)| date);
    let mut parts = date.split_ascii_whitespace();
    let day = number(parts.next()?)?;
    let name = parts.next()?;
    let month = MONTHS.iter().zip(1..).find(|(month, _)| **month == name)?.1;
    let days = days(number(parts.next()?)?, month, day)?;
    moment(days, parts.next()?, parts.next().unwrap_or("Z"), 0)
}

fn moment(days: i64, clock: &str, offset: &str, micros: i64) -> Option<Timestamp> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let valid = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - east(offset)?;
    valid.then(|| Timestamp::from_micros(seconds * MICROS + micros))
}

/// Seconds east of UTC.
fn east(offset: &str) -> Option<i64> {
    if matches!(offset, "" | "Z" | "z" | "GMT" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Digits only: no sign, no spaces, not more than fit.
fn number(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Days since 1970 of a date in the Gregorian calendar; years begin in March here, so that leap days end them.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leaps + of_year - 719_468)
}

/// The date of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
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
        assert_eq!(rfc3339(moment), "2026-11-28T11:48:30.000Z");
        let leap = parse_rfc3339("2024-02-29T23:59:59.5Z").unwrap();
        assert_eq!(rfc3339(leap), "2024-02-29T23:59:59.500Z");
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

    proptest! {
        #[test]
        fn writing_and_reading_agree(millis in 0_i64..200_000_000_000_000) {
            let at = Timestamp::from_micros(millis * 1000);
            prop_assert_eq!(parse_rfc3339(&rfc3339(at)), Some(at));
        }

        #[test]
        fn no_text_panics(text in prop_oneof![".{0,40}", "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}.{0,8}"]) {
            let _ = (parse_rfc3339(&text), parse_rfc2822(&text));
        }
    }
}
