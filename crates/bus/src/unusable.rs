use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

/// Messages that could not be used: all are counted, few are logged. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unusable(Arc<AtomicU64>);

impl Unusable {
    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a message that is dropped. Whoever sends many fills no log with them: every doubling of
    /// the count is logged.
    pub(crate) fn dropped(&self, subject: &str, why: &dyn Display) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if count.is_power_of_two() {
            warn!(subject, %why, count, "dropped an unusable message");
        }
    }
}
