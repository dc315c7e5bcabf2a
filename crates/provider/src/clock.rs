use std::time::{SystemTime, UNIX_EPOCH};

use ringdown_domain::Timestamp;

/// Where a provider that signs short-lived tokens takes the time from.
pub(crate) type Clock = fn() -> Timestamp;

/// The system's clock. The only one that is read in this crate, and only to date tokens.
pub(crate) fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Whole seconds since the Unix epoch, rounded down.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(1_000_000)
}

/// A moment in UTC as RFC 3339 writes it, to the second, rounded down: `2026-01-31T08:15:00Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let all = seconds(at);
    let (days, second) = (all.div_euclid(86_400), all.rem_euclid(86_400));
    // Years that begin in March have their leap day at the end; eras have 400 of them, 146097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
    );
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        rfc3339(Timestamp::from_micros(i64::MAX));
        rfc3339(Timestamp::from_micros(i64::MIN));
    }
}
