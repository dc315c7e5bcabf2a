//! The live calls, and what reaches them from outside: runs that are over before their call is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::{Bus, From, Observer, Stream, Watch, subject};
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Team};
use ringdown_proto::v1::{Envelope, envelope::Fact};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Runs over that are remembered for calls that are being matched at this moment.
const REMEMBERED: usize = 4_096;

type Key = (Team, RunId);

/// Why a call whose run is over has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// A user cancelled the run.
    Cancelled,
    /// The run failed while we thought it was in a call: the platform took us for lost, and may have
    /// given the slot away.
    Lost,
}

impl Over {
    const ALL: [Self; 2] = [Self::Cancelled, Self::Lost];

    /// The state that such a run enters.
    fn status(self) -> Status {
        match self {
            Self::Cancelled => Status::Cancelled,
            Self::Lost => Status::Failed,
        }
    }
}

/// One token for each way a run may be over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    /// See [`Over::Cancelled`].
    pub(crate) cancelled: CancellationToken,
    /// See [`Over::Lost`].
    pub(crate) lost: CancellationToken,
}

impl Tokens {
    fn cancel(&self, over: Over) {
        match over {
            Over::Cancelled => self.cancelled.cancel(),
            Over::Lost => self.lost.cancel(),
        }
    }
}

/// The calls that have a run.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: HashMap<Key, Tokens>,
    /// A run may be over after the platform matched it and before we have heard of that.
    over: VecDeque<(Key, Over)>,
}

impl Live {
    /// Registers the call of a run. Its tokens are cancelled when the run is over, even if that happened
    /// a moment ago.
    pub(crate) fn enter(self: &Arc<Self>, team: &Team, run: RunId) -> Entry {
        let mut state = self.lock();
        let key = (team.clone(), run);
        let tokens = Tokens::default();
        for (_, over) in state.over.iter().filter(|(run, _)| *run == key) {
            tokens.cancel(*over);
        }
        state.calls.insert(key.clone(), tokens.clone());
        drop(state);
        Entry {
            live: Arc::clone(self),
            key,
            tokens,
        }
    }

    fn take(&self, envelope: &Envelope) {
        if let Some((key, over)) = read(envelope) {
            self.end(key, over);
        }
    }

    fn end(&self, key: Key, over: Over) {
        let mut state = self.lock();
        let known = (key, over);
        if state.over.contains(&known) {
            return;
        }
        if let Some(tokens) = state.calls.get(&known.0) {
            tokens.cancel(over);
        }
        if state.over.len() == REMEMBERED {
            state.over.pop_front();
        }
        state.over.push_back(known);
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
    tokens: Tokens,
}

impl Entry {
    /// What is cancelled when the run is over.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.live.lock().calls.remove(&self.key);
    }
}

/// Follows runs that are over, by the two ways such news comes. The plain subscription works again the moment the connection
/// does, but never hears what was published while it was away. The observer misses nothing, but
/// takes up to half a minute to notice that a server was restarted, and may then replay old
/// news. Taking one twice, or one of a run long gone, is harmless.
pub(crate) struct Endings {
    bus: Bus,
    followed: Vec<Followed>,
}

struct Followed {
    over: Over,
    watch: Watch,
    observer: Observer,
}

impl Endings {
    /// Starts to follow them, from now on.
    pub(crate) async fn follow(bus: &Bus) -> Result<Self, ringdown_bus::Error> {
        let mut followed = Vec::new();
        for over in Over::ALL {
            followed.push(Followed {
                over,
                watch: bus.watch(&filter(over)).await?,
                observer: observe(bus, over, From::Now).await?,
            });
        }
        Ok(Self {
            bus: bus.clone(),
            followed,
        })
    }

    /// Passes them on; ends when the bus was closed for good.
    pub(crate) async fn pass_on(self, live: &Live) {
        let Self { bus, followed } = self;
        let all = followed.into_iter().map(|followed| {
            let (bus, over) = (&bus, followed.over);
            let mut watch = followed.watch;
            async move {
                let promptly = async {
                    while let Some(envelope) = watch.next().await {
                        live.take(&envelope);
                    }
                };
                tokio::join!(promptly, completely(bus, over, followed.observer, live));
            }
        });
        futures::future::join_all(all).await;
    }
}

fn filter(over: Over) -> String {
    subject::runs_entering(over.status())
}

async fn observe(bus: &Bus, over: Over, from: From) -> Result<Observer, ringdown_bus::Error> {
    bus.observe(Stream::Runs, &filter(over), from).await
}

async fn completely(bus: &Bus, over: Over, first: Observer, live: &Live) {
    let mut from = From::Now;
    let mut observer = Some(first);
    loop {
        let Some(current) = observer.as_mut() else {
            match observe(bus, over, from).await {
                Ok(next) => observer = Some(next),
                Err(error) => {
                    warn!(?over, %error, "cannot follow which runs are over, will try again");
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
                    debug!(?over, %error, "following again which runs are over");
                }
                observer = None;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn read(envelope: &Envelope) -> Option<(Key, Over)> {
    let Fact::Run(run) = envelope.fact.as_ref()? else {
        return None;
    };
    let entered = run.known_status()?;
    let over = Over::ALL
        .into_iter()
        .find(|over| over.status() == entered)?;
    Some(((envelope.team.parse().ok()?, run.run()), over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_reaches_the_call_before_and_after_it_registers() {
        let live = Arc::new(Live::default());
        let (ours, other): (Team, Team) = ("ours".parse().unwrap(), "other".parse().unwrap());
        let entry = live.enter(&ours, RunId(1));
        live.end((other, RunId(1)), Over::Cancelled);
        assert!(
            !entry.tokens().cancelled.is_cancelled(),
            "another team's run"
        );
        live.end((ours.clone(), RunId(1)), Over::Cancelled);
        assert!(entry.tokens().cancelled.is_cancelled());
        assert!(!entry.tokens().lost.is_cancelled());
        live.end((ours.clone(), RunId(1)), Over::Lost);
        assert!(entry.tokens().lost.is_cancelled());
        drop(entry);
        assert!(live.lock().calls.is_empty());

        live.end((ours.clone(), RunId(2)), Over::Cancelled);
        assert!(
            live.enter(&ours, RunId(2))
                .tokens()
                .cancelled
                .is_cancelled()
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let live = Arc::new(Live::default());
        let team: Team = "team".parse().unwrap();
        for run in 0..=4_096 {
            live.end((team.clone(), RunId(run)), Over::Cancelled);
        }
        assert_eq!(live.lock().over.len(), REMEMBERED);
        assert!(
            !live
                .enter(&team, RunId(0))
                .tokens()
                .cancelled
                .is_cancelled()
        );
    }
}
