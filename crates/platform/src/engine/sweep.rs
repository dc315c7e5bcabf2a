//! Forgets what need not be kept any longer.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Engine;

/// How long an idempotency key and its answer are kept at least, in microseconds.
const KEPT_US: i64 = 24 * 3600 * 1_000_000;

/// Pause between two sweeps.
const EVERY: Duration = Duration::from_secs(3600);

/// Keys that are forgotten in one transaction.
const AT_ONCE: u32 = 100;

/// Sweeps at the start and every hour until `stop`.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    loop {
        if stop.run_until_cancelled(forget(&engine)).await.is_none() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn forget(engine: &Engine) {
    let before = Timestamp::from_micros(now().as_micros().saturating_sub(KEPT_US));
    loop {
        match engine.0.store.forget_answers(before, AT_ONCE).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                warn!(%error, "cannot forget old idempotency keys, will try again in an hour");
                return;
            }
        }
    }
}
