use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use ringdown_bus::{Bus, From, Stream};
use ringdown_domain::Team;
use ringdown_proto::v1::Envelope;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{Error, Live, RunKey, RunView};

/// Changes a slow listener may lag behind before it has to look at the whole state again.
const CHANGES: usize = 4096;

/// What to observe.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this team; `None` for all.
    pub team: Option<Team>,
    /// Where to start.
    pub from: From,
    /// Finished runs to remember.
    pub capacity: usize,
}

/// A run changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which run.
    pub key: RunKey,
    /// The run after the change.
    pub view: Arc<RunView>,
    /// The fact that changed it.
    pub cause: Arc<Envelope>,
}

/// Follows the bus. Stops when dropped.
pub struct Observer {
    live: Arc<Mutex<Live>>,
    changes: broadcast::Sender<Change>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Observer {
    /// Starts following.
    ///
    /// # Errors
    /// [`Error::Bus`] if the streams cannot be read, [`Error::Metric`] if another observer already
    /// uses this registry.
    pub async fn start(bus: &Bus, options: Options, registry: &Registry) -> Result<Self, Error> {
        let opts = Opts::new("ringdown_observer_facts_total", "Facts seen, by stream.");
        let counter = IntCounterVec::new(opts, &["stream"])?;
        registry.register(Box::new(counter.clone()))?;
        let mut observer = Self {
            live: Arc::new(Mutex::new(Live::new(options.capacity))),
            changes: broadcast::channel(CHANGES).0,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        for stream in [Stream::Runs, Stream::Dials, Stream::Calls, Stream::Scores] {
            let filter = filter(stream, options.team.as_ref());
            let follower = Follower {
                bus: bus.clone(),
                stream,
                seen: counter.with_label_values(&[stream.name()]),
                filter,
                live: Arc::clone(&observer.live),
                changes: observer.changes.clone(),
            };
            let first = bus.observe(stream, &follower.filter, options.from).await?;
            let stop = observer.stop.clone();
            observer.tasks.spawn(async move {
                stop.run_until_cancelled(follower.run(first, options.from))
                    .await;
            });
        }
        Ok(observer)
    }

    /// Changes from now on. A receiver that lags more than a few thousand changes is told so and
    /// has to take a [`Observer::snapshot`].
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Every run known now.
    pub fn snapshot(&self) -> Vec<(RunKey, RunView)> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.runs()
            .map(|(key, view)| (key.clone(), view.clone()))
            .collect()
    }

    /// One run.
    pub fn run(&self, key: &RunKey) -> Option<RunView> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.run(key).cloned()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn filter(stream: Stream, team: Option<&Team>) -> String {
    match team {
        None => stream.subjects().to_owned(),
        Some(team) => {
            let all = stream.subjects().trim_end_matches('>');
            format!("{all}{team}.>")
        }
    }
}

struct Follower {
    bus: Bus,
    stream: Stream,
    seen: prometheus::IntCounter,
    filter: String,
    live: Arc<Mutex<Live>>,
    changes: broadcast::Sender<Change>,
}

impl Follower {
    /// Follows until cancelled; an observer that lost its place is replaced by one that goes on
    /// after the last fact seen.
    async fn run(self, first: ringdown_bus::Observer, mut from: From) {
        let mut observer = Some(first);
        loop {
            let Some(current) = observer.as_mut() else {
                match self.bus.observe(self.stream, &self.filter, from).await {
                    Ok(next) => observer = Some(next),
                    Err(error) => {
                        warn!(stream = self.stream.name(), %error, "cannot observe, will try again");
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
                continue;
            };
            match current.next().await {
                Some(Ok(fact)) => {
                    from = From::Sequence(fact.sequence.saturating_add(1));
                    self.take(fact.envelope);
                }
                Some(Err(error)) => {
                    debug!(stream = self.stream.name(), %error, "observing again");
                    observer = None;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                None => {
                    observer = None;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn take(&self, envelope: Envelope) {
        self.seen.inc();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = live.apply(&envelope) else {
            return;
        };
        let Some(view) = live.run(&key).cloned() else {
            return;
        };
        drop(live);
        // Nobody may be listening at the moment; the state keeps what happened.
        let _ = self.changes.send(Change {
            key,
            view: Arc::new(view),
            cause: Arc::new(envelope),
        });
    }
}
