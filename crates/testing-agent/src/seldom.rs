//! Logging once in a while about what strangers can cause at any rate.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// Says when it is time to log again, and how often it was not in between.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// How many occurrences a log line now stands for, this one included; `None`: do not log.
    pub(crate) fn due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, held_back) = *state;
        if last.is_some_and(|last| last.elapsed() < EVERY) {
            state.1 = held_back.saturating_add(1);
            return None;
        }
        *state = (Some(Instant::now()), 0);
        Some(held_back.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_occurrence_is_logged_and_the_next_are_held_back() {
        let seldom = Seldom::default();
        assert_eq!(seldom.due(), Some(1));
        assert_eq!(seldom.due(), None);
        assert_eq!(seldom.due(), None);
    }
}
