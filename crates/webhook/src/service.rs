//! Takes due events and delivers them, many at once and never too many.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ringdown_domain::Timestamp;
use ringdown_store::{WebhookEvent, WebhookState};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::circuit::{Lane, Lanes, lane};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::policy::{Outcome, Schedule};
use crate::sender::{Dispatch, Done, Sender, now};

/// Pause after the database failed, and between looks while everything that is due has to wait.
const PAUSE: Duration = Duration::from_secs(1);

/// How events are delivered.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where links to this platform begin: scheme and host, no slash at the end.
    pub base: String,
    /// Longest time for one try, from the look-up of the name to the end of the answer.
    pub timeout: Duration,
    /// How long a taken event is this process's own; longer than `timeout`.
    pub lease: Duration,
    /// Events in flight at once.
    pub concurrency: usize,
    /// Events of one project and kind that are taken at once; up to twice as many are in flight.
    pub share: u32,
    /// Longest time between two looks into the database, for events that another process added.
    pub look_every: Duration,
    /// When what failed is tried again.
    pub schedule: Schedule,
}

impl Options {
    /// What is documented, with links that begin with `base`.
    pub fn new(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            timeout: Duration::from_secs(30),
            lease: Duration::from_secs(60),
            concurrency: 64,
            share: 4,
            look_every: Duration::from_secs(10),
            schedule: Schedule::default(),
        }
    }
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Service {
    /// Starts delivering.
    pub fn start(sender: Sender, dispatch: Arc<dyn Dispatch>, metrics: Metrics) -> Self {
        let stop = CancellationToken::new();
        let work = Loop {
            sender,
            dispatch,
            metrics,
            lanes: Lanes::default(),
            in_flight: JoinSet::new(),
            lane_of: HashMap::new(),
        };
        Self {
            task: tokio::spawn(work.run(stop.clone())),
            stop,
        }
    }

    /// Takes nothing more, and waits until what is in flight has ended. What has not after `patience`
    /// is left to whoever finds its lease run out.
    pub async fn drain(mut self, patience: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(patience, &mut self.task)
            .await
            .is_err()
        {
            warn!("some webhooks were not answered in time; they are delivered again later");
            self.task.abort();
        }
    }
}

/// A delivery that has ended: its task, and whether its target is alive.
type Ended = (Id, Option<bool>);

struct Loop {
    sender: Sender,
    dispatch: Arc<dyn Dispatch>,
    metrics: Metrics,
    lanes: Lanes,
    in_flight: JoinSet<Option<bool>>,
    lane_of: HashMap<Id, Lane>,
}

impl Loop {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.take().await {
                Ok(pause) => pause,
                Err(error) => {
                    warn!(%error, "cannot read webhooks, will try again");
                    PAUSE
                }
            };
            let full = self.in_flight.len() >= self.sender.options().concurrency;
            let dispatch = Arc::clone(&self.dispatch);
            tokio::select! {
                () = stop.cancelled() => break,
                () = dispatch.wait_for_work(), if !full => {}
                () = tokio::time::sleep(pause), if !full => {}
                Some(ended) = self.in_flight.join_next_with_id() => self.ended(ended),
            }
        }
        while let Some(ended) = self.in_flight.join_next_with_id().await {
            self.ended(ended);
        }
    }

    /// Starts what is due and has room. Returns how long nothing else will be due.
    async fn take(&mut self) -> Result<Duration, Error> {
        let options = self.sender.options().clone();
        let room = options.concurrency.saturating_sub(self.in_flight.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let store = self.sender.store();
        if room > 0 {
            let now = now();
            let closed = self.lanes.closed(options.share, now);
            let until = now.plus(options.lease);
            let taken = store
                .take_webhooks_fairly(now, until, room, options.share, &closed)
                .await?;
            for event in taken {
                self.start(event);
            }
        }
        let next = self.sender.store().next_webhook().await?;
        let now = now();
        let overdue = next.map_or(Duration::ZERO, |at| now.since(at));
        self.metrics.queue_age.set(overdue.as_secs_f64());
        Ok(self.pause(next, now).min(options.look_every))
    }

    fn pause(&self, next: Option<Timestamp>, now: Timestamp) -> Duration {
        match next {
            None => Duration::MAX,
            Some(at) if at > now => now.until(at),
            // Due, and not taken: its lane is closed, or it came this moment.
            Some(_) => match self.lanes.next_awake(now) {
                Some(awake) => now.until(awake).min(PAUSE),
                None => PAUSE / 10,
            },
        }
    }

    fn start(&mut self, event: WebhookEvent) {
        let (sender, dispatch) = (self.sender.clone(), Arc::clone(&self.dispatch));
        let metrics = self.metrics.clone();
        let lane = lane(&event);
        self.lanes.started(lane);
        self.metrics.in_flight.inc();
        let task = self.in_flight.spawn(async move {
            let done = sender.deliver(&event, dispatch.as_ref()).await;
            report(&event, &done, &metrics)
        });
        self.lane_of.insert(task.id(), lane);
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        self.metrics.in_flight.dec();
        let (task, alive) = match ended {
            Ok(ended) => ended,
            Err(panic) => {
                // The lease brings the event back.
                error!(%panic, "the delivery of a webhook panicked");
                (panic.id(), None)
            }
        };
        if let Some(lane) = self.lane_of.remove(&task) {
            self.lanes.ended(lane, alive, now());
        }
    }
}

/// Logs and counts; returns whether the target is alive.
fn report(event: &WebhookEvent, done: &Result<Done, Error>, metrics: &Metrics) -> Option<bool> {
    let kind = event.kind.as_str();
    let (webhook, project, result) = (event.id, event.project, event.result.map(|id| id.0));
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            warn!(%webhook, %project, result, %error, "failed to deliver a webhook; it is tried again");
            return None;
        }
    };
    let Some(outcome) = done.outcome else {
        metrics.skipped.with_label_values(&[kind]).inc();
        debug!(%webhook, %project, result, kind, "nobody wants this webhook");
        return None;
    };
    let label = match done.state {
        WebhookState::Delivered => "delivered",
        WebhookState::Due => "retried",
        WebhookState::Failed | WebhookState::Skipped => "failed",
    };
    metrics.tries.with_label_values(&[kind, label]).inc();
    if done.state == WebhookState::Failed {
        warn!(%webhook, %project, result, kind, ?outcome, "gave a webhook up");
    } else {
        info!(%webhook, %project, result, kind, ?outcome, label, "tried a webhook");
    }
    match outcome {
        Outcome::Status(status) => Some(status < 500),
        Outcome::NoAnswer => Some(false),
        Outcome::Refused => None,
    }
}
