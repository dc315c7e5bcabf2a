//! What follows from a try. No clock, no I/O.

use std::time::Duration;

use ringdown_domain::Timestamp;
use ringdown_store::WebhookKind;

/// Longest pause that a target may ask for with `Retry-After`.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// The same for an event that a batch waits for.
const LONGEST_ASKED_HOLDING: Duration = Duration::from_secs(60);

/// Share by which a pause may be longer or shorter than planned.
const JITTER: f64 = 0.1;

/// How a try ended, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered with this status.
    Status(u16),
    /// There is no answer: no connection, or it broke, or time was over.
    NoAnswer,
    /// The request may not be sent at all, and never will be as things are.
    Refused,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Delivered,
    /// It is tried again after this.
    Retry(Duration),
    /// It is given up.
    GiveUp,
}

/// The pauses after the first try, the second, and so on. The try after the last pause is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// For `result.completed`.
    pub completed: Vec<Duration>,
    /// For `result.pre_trigger`, which holds a batch back.
    pub pre_trigger: Vec<Duration>,
}

impl Default for Schedule {
    /// Eight tries over about 24 hours, each pause about four times the last; four tries over 13
    /// seconds for what holds a batch back.
    fn default() -> Self {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        Self {
            completed: seconds(&[30, 120, 480, 1800, 7200, 21_600, 54_000]),
            pre_trigger: seconds(&[1, 3, 9]),
        }
    }
}

impl Schedule {
    fn pauses(&self, kind: WebhookKind) -> &[Duration] {
        match kind {
            WebhookKind::ResultCompleted => &self.completed,
            WebhookKind::ResultPreTrigger => &self.pre_trigger,
            // Somebody waits for the answer and can ask again.
            WebhookKind::Test => &[],
        }
    }

    /// What follows from try number `tries` (from 1). `asked` is the pause that the target asked for.
    /// `chance`, from 0 to 1, spreads pauses out.
    pub fn next(
        &self,
        kind: WebhookKind,
        tries: u32,
        outcome: Outcome,
        asked: Option<Duration>,
        chance: f64,
    ) -> Next {
        match outcome {
            Outcome::Status(200..=299) => return Next::Delivered,
            // Redirects and the other 4xx say that the request itself is wrong, 410 above all: they
            // are given up at once, and can be replayed when the target is put right.
            Outcome::Status(408 | 425 | 429) | Outcome::NoAnswer => {}
            Outcome::Status(300..=499) | Outcome::Refused => return Next::GiveUp,
            Outcome::Status(_) => {}
        }
        let pauses = self.pauses(kind);
        let planned = usize::try_from(tries.max(1) - 1)
            .ok()
            .and_then(|index| pauses.get(index));
        let Some(planned) = planned else {
            return Next::GiveUp;
        };
        let longest = match kind {
            WebhookKind::ResultPreTrigger => LONGEST_ASKED_HOLDING,
            _ => LONGEST_ASKED,
        };
        let spread = 1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        let pause = match asked {
            // Later than asked is no harm, earlier is.
            Some(asked) => asked.min(longest).mul_f64(spread.max(1.0)),
            None => planned.mul_f64(spread),
        };
        Next::Retry(pause)
    }
}

/// The pause that `Retry-After` asks for: seconds, or a date (RFC 9110 section 10.2.3). Nothing if
/// it says neither.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are a very long time.
        return Some(Duration::from_secs(
            text.parse().unwrap_or(u64::from(u32::MAX)),
        ));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    let at = Timestamp::from_micros(at.timestamp().as_microsecond());
    Some(now.until(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMPLETED: WebhookKind = WebhookKind::ResultCompleted;
    const PRE: WebhookKind = WebhookKind::ResultPreTrigger;

    fn next(kind: WebhookKind, tries: u32, outcome: Outcome) -> Next {
        Schedule::default().next(kind, tries, outcome, None, 0.5)
    }

    /// The pauses until it is given up.
    fn life(kind: WebhookKind, chance: f64) -> Vec<Duration> {
        let mut pauses = Vec::new();
        for tries in 1.. {
            let schedule = Schedule::default();
            match schedule.next(kind, tries, Outcome::NoAnswer, None, chance) {
                Next::Retry(pause) => pauses.push(pause),
                Next::GiveUp => return pauses,
                Next::Delivered => panic!("nothing arrived"),
            }
        }
        pauses
    }

    #[test]
    fn a_result_is_tried_eight_times_in_about_a_day() {
        let pauses = life(COMPLETED, 0.5);
        assert_eq!(pauses.len() + 1, 8);
        let total: Duration = pauses.iter().sum();
        let hours = total.as_secs_f64() / 3600.0;
        assert!((23.0..25.0).contains(&hours), "{hours}");
        assert!(pauses.windows(2).all(|two| two[1] >= two[0] * 2));
    }

    #[test]
    fn a_batch_is_held_back_for_seconds() {
        let pauses = life(PRE, 1.0);
        assert_eq!(pauses.len(), 3);
        assert!(pauses.iter().sum::<Duration>() < Duration::from_secs(15));
        assert!(life(WebhookKind::Test, 0.0).is_empty());
    }

    #[test]
    fn every_status_has_its_consequence() {
        for status in 100..=999 {
            let got = next(COMPLETED, 1, Outcome::Status(status));
            let expected = match status {
                200..=299 => Next::Delivered,
                408 | 425 | 429 => Next::Retry(Duration::from_secs(30)),
                300..=499 => Next::GiveUp,
                _ => Next::Retry(Duration::from_secs(30)),
            };
            assert_eq!(got, expected, "{status}");
        }
        assert_eq!(next(COMPLETED, 1, Outcome::Refused), Next::GiveUp);
        assert_eq!(
            next(COMPLETED, 1, Outcome::NoAnswer),
            Next::Retry(Duration::from_secs(30))
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let after = |text: &str| retry_after(text, now);
        assert_eq!(after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after("0"), Some(Duration::ZERO));
        assert!(after("99999999999999999999999").is_some_and(|pause| pause > LONGEST_ASKED));
        let date = "Tue, 14 Nov 2023 22:14:20 GMT";
        assert_eq!(after(date), Some(Duration::from_secs(60)));
        let past = "Tue, 14 Nov 2023 20:00:00 GMT";
        assert_eq!(after(past), Some(Duration::ZERO));
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(after(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_near_the_planned_one(tries in 1u32..=7, chance in 0.0f64..=1.0) {
            let schedule = Schedule::default();
            let planned = schedule.completed[tries as usize - 1];
            let got = schedule.next(COMPLETED, tries, Outcome::Status(503), None, chance);
            let Next::Retry(pause) = got else {
                return Err(TestCaseError::fail("given up"));
            };
            prop_assert!(pause >= planned.mul_f64(0.899) && pause <= planned.mul_f64(1.101));
        }

        #[test]
        fn what_the_target_asks_for_is_kept_within_bounds(
            tries in 1u32..=3,
            asked in 0u64..1_000_000,
            chance in 0.0f64..=1.0,
        ) {
            let asked = Duration::from_secs(asked);
            for (kind, longest) in [(COMPLETED, LONGEST_ASKED), (PRE, LONGEST_ASKED_HOLDING)] {
                let schedule = Schedule::default();
                let got = schedule.next(kind, tries, Outcome::Status(429), Some(asked), chance);
                let Next::Retry(pause) = got else {
                    return Err(TestCaseError::fail("given up"));
                };
                prop_assert!(pause >= asked.min(longest) && pause <= longest.mul_f64(1.101));
            }
        }

        #[test]
        fn it_ends_whatever_the_target_says(
            tries in 8u32..,
            status in 100u16..1000,
            asked in prop::option::of(0u64..100),
            chance in any::<f64>(),
        ) {
            for kind in [COMPLETED, PRE, WebhookKind::Test] {
                let asked = asked.map(Duration::from_secs);
                let outcome = Outcome::Status(status);
                let got = Schedule::default().next(kind, tries, outcome, asked, chance);
                prop_assert!(!matches!(got, Next::Retry(_)));
            }
        }
    }
}
