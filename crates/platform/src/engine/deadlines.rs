//! Ends runs whose deadline has passed.
//!
//! A dial window is the platform's own: it closes when it closes. That a call has no end or no score is
//! only known once everything that was reported has been read, so a live run whose deadline passed
//! while the platform or the bus was away is given the time that the others need to report.

use std::time::{Duration, Instant};

use ringdown_bus::now;
use ringdown_domain::run::{Event, Status};
use ringdown_store::{Error as StoreError, Run, RunPatch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Engine, PAUSE, evidence, facts};
use crate::Error;

const BATCH: u32 = 100;

/// Longest sleep without a look at the clock, should the system clock be set.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// What others get to report after the platform or the bus was away. A recording that a scorer died
/// with is given to the next one after 15 s, which has 60 s for it.
const GRACE: Duration = Duration::from_secs(90);

/// No run is kept waiting longer than this, whatever the bus is like.
const MAX_GRACE: Duration = Duration::from_secs(600);

/// What the bus gets to say whether reports wait.
const ASK: Duration = Duration::from_secs(1);

/// States that end when a fact is reported.
const LIVE: [Status; 2] = [Status::InProgress, Status::Evaluating];

/// When a live run may be ended for want of a report.
#[derive(Debug)]
struct Patience {
    /// The others have had their time to report.
    from: Instant,
    /// The first run that had to wait has waited since.
    since: Option<Instant>,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self {
            from: now + GRACE,
            since: None,
        }
    }

    /// Whether overdue runs may be ended. `unread`: whether reports wait to be read, if that is known.
    fn is_over(&mut self, now: Instant, unread: Option<bool>) -> bool {
        if unread.is_none() {
            self.from = self.from.max(now + GRACE);
        }
        let since = *self.since.get_or_insert(now);
        let over = unread == Some(false) && now >= self.from;
        let over = over || now.saturating_duration_since(since) >= MAX_GRACE;
        if over {
            self.since = None;
        }
        over
    }
}

pub(super) struct Service {
    engine: Engine,
    patience: Patience,
}

impl Service {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            patience: Patience::new(Instant::now()),
        }
    }

    /// Ends runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let Some(ended) = stop.run_until_cancelled(self.end_overdue()).await else {
                return;
            };
            let sleep = ended.unwrap_or_else(|error| {
                warn!(%error, "cannot end overdue runs, will try again");
                PAUSE
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.engine.0.deadlines.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    async fn are_reports_unread(&self) -> Option<bool> {
        // Dial windows close on time even if the bus hangs.
        match tokio::time::timeout(ASK, facts::are_unread(&self.engine)).await {
            Ok(Ok(unread)) => Some(unread),
            Ok(Err(error)) => {
                debug!(%error, "cannot know whether reports wait to be read");
                None
            }
            Err(_) => None,
        }
    }

    /// Returns when to look again.
    async fn end_overdue(&mut self) -> Result<Duration, Error> {
        let engine = self.engine.clone();
        end_all(&engine, &[Status::Pending]).await?;
        let store = &engine.0.store;
        if store.overdue(&LIVE, now(), 1).await?.is_empty() {
            self.patience.since = None;
        } else {
            let unread = self.are_reports_unread().await;
            if !self.patience.is_over(Instant::now(), unread) {
                return Ok(PAUSE);
            }
            end_all(&engine, &LIVE).await?;
        }
        let next = store.next_deadline().await?;
        Ok(next.map_or(MAX_SLEEP, |at| now().until(at).min(MAX_SLEEP)))
    }
}

async fn end_all(engine: &Engine, statuses: &[Status]) -> Result<(), Error> {
    loop {
        let runs = engine.0.store.overdue(statuses, now(), BATCH).await?;
        if runs.is_empty() {
            return Ok(());
        }
        for run in runs {
            end(engine, &run).await?;
        }
    }
}

async fn end(engine: &Engine, run: &Run) -> Result<(), Error> {
    let event = if run.status() == Status::Pending {
        let attempts = engine.0.store.evidence(run.id).await?;
        Event::WindowClosed {
            reason: evidence::explain(run, &attempts),
        }
    } else {
        Event::DeadlinePassed
    };
    match engine.apply(run.id, event, RunPatch::default()).await {
        Ok(_) => Ok(()),
        // It moved on while we looked: nothing is overdue any more.
        Err(StoreError::Illegal(why)) => {
            debug!(run = %run.id, %why, "run was not overdue after all");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_get_their_time_to_report_and_no_run_waits_for_ever() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(start);
        assert!(!patience.is_over(at(1), Some(false)), "just started");
        assert!(!patience.is_over(at(90), Some(true)), "reports wait");
        assert!(patience.is_over(at(91), Some(false)));
        assert!(!patience.is_over(at(200), None), "the bus is away");
        assert!(!patience.is_over(at(289), Some(false)), "it is just back");
        assert!(patience.is_over(at(290), Some(false)));
        assert!(!patience.is_over(at(1_000), None));
        assert!(!patience.is_over(at(1_599), None));
        assert!(
            patience.is_over(at(1_600), None),
            "the bus never comes back"
        );
    }
}
