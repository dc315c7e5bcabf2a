//! The live calls, and what reaches them from outside: cancelled runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::{Bus, From, Observer, Stream, Watch, subject};
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

    fn take(&self, envelope: &Envelope) {
        if let Some(key) = key(envelope) {
            self.cancel(key);
        }
    }

    fn cancel(&self, key: Key) {
        let mut state = self.lock();
        if state.cancelled.contains(&key) {
            return;
        }
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

/// The two ways cancellations come. The plain subscription works again the moment the connection
/// does, but never hears what was published while it was away. The observer misses nothing, but
/// takes up to half a minute to notice that a server was restarted, and may then replay old
/// cancellations. Taking one twice, or one of a run long gone, is harmless.
pub(crate) struct Cancellations {
    bus: Bus,
    watch: Watch,
    observer: Observer,
}

impl Cancellations {
    /// Starts to follow them, from now on.
    pub(crate) async fn follow(bus: &Bus) -> Result<Self, ringdown_bus::Error> {
        Ok(Self {
            bus: bus.clone(),
            watch: bus.watch(&filter()).await?,
            observer: observe(bus, From::Now).await?,
        })
    }

    /// Passes them on; ends when the bus was closed for good.
    pub(crate) async fn pass_on(self, live: &Live) {
        let Self {
            bus,
            mut watch,
            observer,
        } = self;
        let promptly = async {
            while let Some(envelope) = watch.next().await {
                live.take(&envelope);
            }
        };
        tokio::join!(promptly, completely(bus, observer, live));
    }
}

fn filter() -> String {
    subject::runs_entering(Status::Cancelled)
}

async fn observe(bus: &Bus, from: From) -> Result<Observer, ringdown_bus::Error> {
    bus.observe(Stream::Runs, &filter(), from).await
}

async fn completely(bus: Bus, first: Observer, live: &Live) {
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
                live.take(&fact.envelope);
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
