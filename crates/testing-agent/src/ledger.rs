//! Ledger entries for calls the testing agent refused without asking the platform.
//!
//! Strangers decide how many of these there are, so their rate and their number are bounded; what
//! is not reported is counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringdown_bus::Bus;
use ringdown_proto::v1::MatchRequest;
use tokio::sync::mpsc;
use tracing::warn;

use crate::metrics::Metrics;
use crate::seldom::Seldom;

/// Entries that may wait for the platform.
const WAITING: usize = 256;
/// How long the platform may take to write one down.
const DEADLINE: Duration = Duration::from_secs(2);
/// Tries to report a call that was refused because the platform did not answer, and the pause between
/// them: the platform may have matched it all the same, and then its run waits for a call that is gone.
const GIVEN_UP_TRIES: u32 = 120;
const GIVEN_UP_PAUSE: Duration = Duration::from_secs(1);
/// Reports of untrusted sources per second at most.
const UNTRUSTED_PER_SECOND: u32 = 4;

/// The way of such entries to the platform.
#[derive(Debug)]
pub(crate) struct Ledger {
    waiting: mpsc::Sender<MatchRequest>,
    untrusted: Mutex<Bucket>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    refilled: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.refilled) >= Duration::from_secs(1) {
            self.tokens = UNTRUSTED_PER_SECOND;
            self.refilled = now;
        }
        let granted = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        granted
    }
}

impl Ledger {
    pub(crate) fn new(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<MatchRequest>) {
        let (waiting, entries) = mpsc::channel(WAITING);
        let ledger = Self {
            waiting,
            untrusted: Mutex::new(Bucket {
                tokens: UNTRUSTED_PER_SECOND,
                refilled: Instant::now(),
            }),
            metrics,
        };
        (ledger, entries)
    }

    /// Whether a report about an untrusted source may be made now.
    pub(crate) fn may_report_untrusted(&self) -> bool {
        let mut bucket = self
            .untrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let granted = bucket.take(Instant::now());
        if !granted {
            self.metrics.unreported.inc();
        }
        granted
    }

    /// Queues an entry whose verdict is decided.
    pub(crate) fn report(&self, entry: MatchRequest) {
        if self.waiting.try_send(entry).is_err() {
            self.metrics.unreported.inc();
        }
    }
}

/// Hands entries to the platform, one after the other, until every [`Ledger`] is gone.
pub(crate) async fn write(
    bus: Bus,
    mut entries: mpsc::Receiver<MatchRequest>,
    metrics: Arc<Metrics>,
) {
    let seldom = Seldom::default();
    while let Some(entry) = entries.recv().await {
        let tries = if entry.given_up { GIVEN_UP_TRIES } else { 1 };
        if let Err(error) = write_down(&bus, &entry, tries).await {
            metrics.unreported.inc();
            if let Some(times) = seldom.due() {
                warn!(%error, times, verdict = entry.decided_verdict, "a refused call is missing in the ledger");
            }
        }
    }
}

async fn write_down(
    bus: &Bus,
    entry: &MatchRequest,
    tries: u32,
) -> Result<(), ringdown_bus::Error> {
    let mut tried = 0;
    loop {
        tried += 1;
        match bus.match_call(entry, DEADLINE).await {
            Ok(_) => return Ok(()),
            Err(error) if tried >= tries => return Err(error),
            Err(_) => tokio::time::sleep(GIVEN_UP_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_let_through_at_a_bounded_rate() {
        let start = Instant::now();
        let mut bucket = Bucket {
            tokens: UNTRUSTED_PER_SECOND,
            refilled: start,
        };
        let granted = (0..3_000u64)
            .filter(|ms| bucket.take(start + Duration::from_millis(*ms)))
            .count();
        assert_eq!(granted, 12);
    }
}
