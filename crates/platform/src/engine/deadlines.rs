use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::run::{Event, Status};
use ringdown_store::{Error as StoreError, Run, RunPatch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Engine, PAUSE, evidence};
use crate::Error;

const BATCH: u32 = 100;

/// Longest sleep without a look at the clock, should the system clock be set.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// Ends runs whose deadline has passed, until `stop`.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    loop {
        let sleep = match end_overdue(&engine).await {
            Ok(sleep) => sleep,
            Err(error) => {
                warn!(%error, "cannot end overdue runs, will try again");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.0.deadlines.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

async fn end_overdue(engine: &Engine) -> Result<Duration, Error> {
    loop {
        let runs = engine.0.store.overdue(now(), BATCH).await?;
        if runs.is_empty() {
            break;
        }
        for run in runs {
            end(engine, &run).await?;
        }
    }
    let next = engine.0.store.next_deadline().await?;
    Ok(next.map_or(MAX_SLEEP, |at| now().until(at).min(MAX_SLEEP)))
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
