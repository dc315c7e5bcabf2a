//! The live calls, and what reaches them from outside: cancelled runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::{Bus, From, Observer, Stream, subject};
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Team};
use ringdown_proto::v1::{Envelope, envelope::Fact};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Cancellations remembered for calls that are being matched at this moment.
const REMEMBERED: usize = 4_096;

type Key = (Team, RunId);

/// The calls that have a run.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: HashMap<Key, CancellationToken>,
    /// A run may be cancelled after the platform matched it and before we have heard of that.
    cancelled: VecDeque<Key>,
}

impl Live {
    /// Registers the call of a run. Its token is cancelled when the run is, even if that happened a
    /// moment ago.
    pub(crate) fn enter(self: &Arc<Self>, team: &Team, run: RunId) -> Entry {
        let mut state = self.lock();
        let key = (team.clone(), run);
        let token = CancellationToken::new();
        if state.cancelled.contains(&key) {
            token.cancel();
        }
        state.calls.insert(key.clone(), token.clone());
        drop(state);
        Entry {
            live: Arc::clone(self),
            key,
            token,
        }
    }

    fn cancel(&self, key: Key) {
        let mut state = self.lock();
        if let Some(token) = state.calls.get(&key) {
            token.cancel();
        }
        if state.cancelled.len() == REMEMBERED {
            state.cancelled.pop_front();
        }
        state.cancelled.push_back(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // No invariant spans a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A live call's registration; it ends with the value.
#[derive(Debug)]
pub(crate) struct Entry {
    live: Arc<Live>,
    key: Key,
    token: CancellationToken,
}

impl Entry {
    /// Cancelled when the run is.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.live.lock().calls.remove(&self.key);
    }
}

/// Starts to follow cancellations.
pub(crate) async fn observe(bus: &Bus, from: From) -> Result<Observer, ringdown_bus::Error> {
    let filter = subject::runs_entering(Status::Cancelled);
    bus.observe(Stream::Runs, &filter, from).await
}

/// Passes cancellations on until cancelled itself. An observer rather than a plain subscription, so
/// that an order given while the bus was away still arrives.
pub(crate) async fn follow(bus: Bus, live: &Live, first: Observer) {
    let mut from = From::Now;
    let mut observer = Some(first);
    loop {
        let Some(current) = observer.as_mut() else {
            match observe(&bus, from).await {
                Ok(next) => observer = Some(next),
                Err(error) => {
                    warn!(%error, "cannot follow cancellations, will try again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
            continue;
        };
        match current.next().await {
            Some(Ok(fact)) => {
                from = From::Sequence(fact.sequence.saturating_add(1));
                if let Some(key) = key(&fact.envelope) {
                    live.cancel(key);
                }
            }
            lost => {
                if let Some(Err(error)) = lost {
                    debug!(%error, "following cancellations again");
                }
                observer = None;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn key(envelope: &Envelope) -> Option<Key> {
    match envelope.fact.as_ref()? {
        Fact::Run(run) => Some((envelope.team.parse().ok()?, run.run())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_reaches_the_call_before_and_after_it_registers() {
        let live = Arc::new(Live::default());
        let (ours, other): (Team, Team) = ("ours".parse().unwrap(), "other".parse().unwrap());
        let entry = live.enter(&ours, RunId(1));
        live.cancel((other, RunId(1)));
        assert!(!entry.token().is_cancelled(), "another team's run");
        live.cancel((ours.clone(), RunId(1)));
        assert!(entry.token().is_cancelled());
        drop(entry);
        assert!(live.lock().calls.is_empty());

        live.cancel((ours.clone(), RunId(2)));
        assert!(live.enter(&ours, RunId(2)).token().is_cancelled());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let live = Arc::new(Live::default());
        let team: Team = "team".parse().unwrap();
        for run in 0..=4_096 {
            live.cancel((team.clone(), RunId(run)));
        }
        assert_eq!(live.lock().cancelled.len(), REMEMBERED);
        assert!(!live.enter(&team, RunId(0)).token().is_cancelled());
    }
}
