//! Counts promises that were not kept. A test or a debug build stops at the first; a production build goes
//! on, says it in the log and counts it, since stopping would end calls that are fine.

use std::sync::atomic::{AtomicU64, Ordering};

use ringdown_domain::invariant::{Invariant, Violation};
use tracing::error;

/// How often each promise was not kept since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU64; Invariant::ALL.len()]);

impl Counts {
    /// Takes note of a violation, if there is one.
    ///
    /// # Panics
    /// In a debug build, if there is one.
    pub(crate) fn check(&self, found: Option<Violation>, of: &dyn std::fmt::Display) {
        let Some(Violation { invariant, what }) = found else {
            return;
        };
        debug_assert!(false, "{invariant} is violated by {of}: {what}");
        error!(%invariant, %of, %what, "an invariant is violated: please report it");
        if let Some(count) = self.0.get(invariant as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each promise, and how often it was not kept.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Invariant, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Invariant::ALL.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_has_its_own_count() {
        for (index, invariant) in Invariant::ALL.into_iter().enumerate() {
            assert_eq!(invariant as usize, index);
        }
        let counts = Counts::default();
        counts.check(None, &"nothing");
        assert!(counts.all().all(|(_, count)| count == 0));
    }

    #[test]
    #[should_panic(expected = "I4 is violated by run 7: it ended without a reason")]
    fn a_debug_build_stops_at_a_violation() {
        let found = Violation {
            invariant: Invariant::I4,
            what: "it ended without a reason".to_owned(),
        };
        Counts::default().check(Some(found), &"run 7");
    }
}
