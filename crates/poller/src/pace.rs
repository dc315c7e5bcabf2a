use std::time::Duration;

use crate::NOTICE;

const FASTEST: Duration = Duration::from_millis(500);

/// Part of [`NOTICE`] left for the request itself.
const MARGIN: Duration = Duration::from_millis(500);

/// Longest wait while no run can become pending any more.
const CALM: Duration = Duration::from_secs(5);

/// How long to wait between two looks: short after something changed, longer while nothing does,
/// never so long that a run could be pending unnoticed for more than [`NOTICE`].
#[derive(Debug)]
pub(crate) struct Pace {
    wait: Duration,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { wait: FASTEST }
    }

    /// The next wait. `queued`: some run may become pending. `took`: how long the look itself took.
    pub(crate) fn next(&mut self, changed: bool, queued: bool, took: Duration) -> Duration {
        self.wait = if changed {
            FASTEST
        } else {
            self.wait.mul_f64(1.5)
        };
        let longest = if queued {
            (NOTICE - MARGIN).saturating_sub(took)
        } else {
            CALM
        };
        self.wait = self.wait.clamp(FASTEST, CALM);
        self.wait.min(longest.max(Duration::from_millis(100)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_in_calm_and_never_hide_a_pending_run() {
        let mut pace = Pace::new();
        let quick = Duration::from_millis(10);
        assert_eq!(pace.next(true, true, quick), FASTEST);
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            let wait = pace.next(false, true, quick);
            assert!(wait >= last && wait + quick <= NOTICE);
            last = wait;
        }
        assert!(last > Duration::from_secs(2));
        assert_eq!(pace.next(false, false, quick), CALM);
        let slow = Duration::from_secs(2);
        assert!(pace.next(false, true, slow) + slow <= NOTICE);
    }
}
