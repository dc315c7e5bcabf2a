//! Deletes what is kept no longer: batches beyond the age their project keeps them, old attempts, audit
//! rows and idempotency keys, and artefacts that nothing refers to any more. Rows go first and files after them, so that no row
//! ever names a file that is gone for good.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::Timestamp;
use ringdown_store::{Artefacts, Error as StoreError, Expired};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Engine;
use crate::Error;

/// Pause between sweeps.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// How long attempts that belong to no run, and audit rows, are kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long an idempotency key and its answer are kept at least, in microseconds.
const ANSWERS_KEPT_US: i64 = 24 * 3600 * 1_000_000;

/// Answers, which may be long, forgotten in one transaction.
const ANSWERS: u32 = 100;

/// Batches looked for at once.
const BATCHES: u32 = 20;

/// Rows deleted in one transaction, so that none holds the others up.
const ROWS: u32 = 200;

/// Sweeps at the start, every hour, and when something was deleted, until `stop`.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    loop {
        let Some(swept) = stop.run_until_cancelled(sweep(&engine)).await else {
            return;
        };
        if let Err(error) = swept {
            warn!(%error, "cannot delete what is kept no longer, will try again");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.0.retention.notified() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn sweep(engine: &Engine) -> Result<(), Error> {
    let now = now();
    expired(engine, now).await?;
    let before = Timestamp::from_micros(
        now.as_micros()
            .saturating_sub(i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX)),
    );
    while engine.0.store.delete_old_attempts(before, ROWS).await? > 0 {}
    let before = Timestamp::from_micros(now.as_micros().saturating_sub(ANSWERS_KEPT_US));
    while engine.0.store.forget_answers(before, ANSWERS).await? > 0 {}
    match &engine.0.artefacts {
        Some(artefacts) => files(engine, artefacts).await,
        None => Ok(()),
    }
}

async fn expired(engine: &Engine, now: Timestamp) -> Result<(), Error> {
    loop {
        let found = engine.0.store.expired_batches(now, BATCHES).await?;
        let mut deleted = 0_usize;
        for one in &found {
            deleted += usize::from(delete(engine, *one, now).await?);
        }
        if deleted > 0 {
            info!(
                results = deleted,
                "deleted results that were kept long enough"
            );
        }
        // What could not be deleted would be found again at once.
        if deleted < found.len() || found.is_empty() {
            return Ok(());
        }
    }
}

/// Whether the batch is gone now.
async fn delete(engine: &Engine, one: Expired, now: Timestamp) -> Result<bool, Error> {
    loop {
        let left = engine
            .0
            .store
            .delete_batch(one.org.into(), one.batch, ROWS, now)
            .await;
        match left {
            Ok(0) | Err(StoreError::NotFound { .. }) => return Ok(true),
            Ok(_) => {}
            Err(StoreError::Conflict { why, .. }) => {
                debug!(result = %one.batch, %why, "a result is not to be deleted after all");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes files whose rows are gone. One that cannot be removed now is tried again with the next sweep.
async fn files(engine: &Engine, artefacts: &Artefacts) -> Result<(), Error> {
    loop {
        let keys = engine.0.store.artefacts_to_delete(ROWS).await?;
        if keys.is_empty() {
            return Ok(());
        }
        let found = keys.len();
        let mut removed = Vec::with_capacity(found);
        for key in keys {
            match artefacts.delete(&key).await {
                Ok(()) => removed.push(key),
                Err(error) => warn!(%key, %error, "cannot remove an artefact, will try again"),
            }
        }
        if !removed.is_empty() {
            engine.0.store.artefacts_deleted(&removed).await?;
        }
        if removed.len() < found {
            return Ok(());
        }
    }
}
