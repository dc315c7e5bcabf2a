//! When a provider that fails is left alone. Pure: the clock is handed in.

use std::time::Duration;

use ringdown_domain::Timestamp;

/// Failures in a row after which it rests.
const PATIENCE: u32 = 5;

/// The first rest and the longest one; each is twice the last.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// After a rest one call is let through; if nothing is heard of it for this long, the next one is.
const PROBE: Duration = Duration::from_secs(35);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    until: Option<Timestamp>,
    why: String,
}

impl Breaker {
    /// Until when nothing is to be asked of it, and why. Whoever comes after a rest is the one that tries, and the
    /// others wait for what it finds.
    pub(super) fn rest(&mut self, now: Timestamp) -> Option<(Timestamp, String)> {
        let until = self.until?;
        if until <= now {
            self.until = Some(now.plus(PROBE));
            return None;
        }
        Some((until, self.why.clone()))
    }

    pub(super) fn heard(&mut self, failure: Option<&str>, now: Timestamp) {
        let Some(why) = failure else {
            *self = Self::default();
            return;
        };
        self.failures = self.failures.saturating_add(1);
        why.clone_into(&mut self.why);
        if let Some(beyond) = self.failures.checked_sub(PATIENCE) {
            let rest = FIRST_REST.saturating_mul(1 << beyond.min(8));
            self.until = Some(now.plus(rest.min(LONGEST_REST)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn five_failures_in_a_row_are_a_rest_and_one_success_ends_it() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.heard(Some("500"), at(0));
        }
        assert_eq!(breaker.rest(at(0)), None);
        breaker.heard(Some("500"), at(0));
        assert_eq!(breaker.rest(at(1)), Some((at(2), "500".to_owned())));
        // One tries, the others wait for it.
        assert_eq!(breaker.rest(at(2)), None);
        assert_eq!(breaker.rest(at(3)).unwrap().0, at(37));
        breaker.heard(Some("503"), at(4));
        assert_eq!(breaker.rest(at(4)).unwrap().0, at(8));
        breaker.heard(None, at(8));
        assert_eq!(breaker.rest(at(8)), None);
        breaker.heard(Some("500"), at(9));
        assert_eq!(breaker.rest(at(9)), None);
    }

    #[test]
    fn rests_grow_to_a_minute() {
        let mut breaker = Breaker::default();
        for _ in 0..40 {
            breaker.heard(Some("down"), at(0));
        }
        assert_eq!(breaker.rest(at(0)).unwrap().0, at(60));
    }
}
