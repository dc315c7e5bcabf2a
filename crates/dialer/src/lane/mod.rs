//! What an account may do, shared by every dialer: calls started each second, calls up at once, and a rest when its
//! provider fails.

mod breaker;
mod calls;
mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::{Bus, now};
use ringdown_carrier::Limits;
use ringdown_domain::Timestamp;
use tracing::debug;

use breaker::Breaker;
use calls::Calls;
pub(crate) use calls::Up;
use turns::Turns;

/// Most accounts whose lanes are kept without being in use.
const MOST: usize = 1_000;

/// Pause before the bus is asked again for a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// A moment that is nearer than this is now.
const EXACT: Duration = Duration::from_millis(1);

/// One account's lane.
pub(crate) struct Lane {
    /// `None`: calls are started as they come.
    turns: Option<Turns>,
    calls: Option<Arc<Calls>>,
    breaker: Mutex<Breaker>,
    limits: Limits,
}

/// The lanes of this process, one for each account and its limits.
#[derive(Clone)]
pub(crate) struct Lanes {
    bus: Bus,
    lanes: Arc<Mutex<HashMap<String, Arc<Lane>>>>,
}

impl Lanes {
    pub(crate) fn new(bus: Bus) -> Self {
        Self {
            bus,
            lanes: Arc::default(),
        }
    }

    pub(crate) fn of(&self, limits: &Limits) -> Arc<Lane> {
        let Limits {
            account,
            calls_per_second,
            concurrent_calls,
            ..
        } = limits;
        let name = format!("{account} {calls_per_second} {concurrent_calls:?}");
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= MOST && !lanes.contains_key(&name) {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = lanes
            .entry(name)
            .or_insert_with(|| Arc::new(Lane::new(&self.bus, limits.clone())));
        Arc::clone(lane)
    }
}

impl Lane {
    fn new(bus: &Bus, limits: Limits) -> Self {
        let paced = limits.calls_per_second.is_finite();
        let turns = paced.then(|| Turns::new(bus.pacer(&limits.account, limits.calls_per_second)));
        let calls = limits
            .concurrent_calls
            .map(|limit| Calls::start(bus.clone(), limits.account.clone(), limit));
        Self {
            turns,
            calls,
            breaker: Mutex::default(),
            limits,
        }
    }

    /// Waits for room for one more call, at most until `latest`. The room is kept until what is returned is dropped.
    ///
    /// # Errors
    /// Why there is none in time.
    pub(crate) async fn room(&self, latest: Timestamp) -> Result<Option<Up>, String> {
        let Some(calls) = &self.calls else {
            return Ok(None);
        };
        let limit = self.limits.concurrent_calls.unwrap_or(u32::MAX);
        let left = now().until(latest);
        match tokio::time::timeout(left, calls.take()).await {
            Ok(up) => Ok(Some(up)),
            Err(_) => Err(format!(
                "dropped: {} calls of {} are up, and none ended before the dial window was over",
                limit, self.limits.account
            )),
        }
    }

    /// The room of a call that is up already, if calls are counted.
    pub(crate) fn occupied(&self) -> Option<Up> {
        self.calls.as_ref().map(Calls::enter)
    }

    /// Waits until one more call may be started, at most until `latest`.
    ///
    /// # Errors
    /// Why that is not in time.
    pub(crate) async fn moment(&self, latest: Timestamp) -> Result<(), String> {
        self.rested(latest).await?;
        let Some(turns) = &self.turns else {
            return Ok(());
        };
        let at = loop {
            // Others may be waiting for an answer of the bus before this one asks.
            let asked = tokio::time::timeout(now().until(latest), turns.next(latest)).await;
            match asked.unwrap_or(Ok(None)) {
                Ok(Some(at)) => break at,
                Ok(None) => {
                    return Err(format!(
                        "dropped: {} may start {} calls each second, and none of these moments was left before the \
                         dial window was over",
                        self.limits.account, self.limits.calls_per_second
                    ));
                }
                Err(error) if now().until(latest) > PAUSE => {
                    debug!(%error, "asking again for a moment to dial");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(format!("dropped: no moment to dial was given: {error}")),
            }
        };
        let left = now().until(at);
        // Timers are up to a millisecond late, and no pace is exact to less than that.
        if left > EXACT {
            tokio::time::sleep(left).await;
        }
        Ok(())
    }

    /// Waits for the end of a rest.
    async fn rested(&self, latest: Timestamp) -> Result<(), String> {
        loop {
            let rest = self.breaker().rest(now());
            let Some((until, why)) = rest else {
                return Ok(());
            };
            if until > latest {
                return Err(format!(
                    "dropped: {} failed several times in a row and rests until after the dial window: {why}",
                    self.limits.account
                ));
            }
            tokio::time::sleep(now().until(until).max(Duration::from_millis(1))).await;
        }
    }

    /// The provider answered like something that works, or failed, and how.
    pub(crate) fn answered(&self, failure: Option<&str>) {
        self.breaker().heard(failure, now());
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
