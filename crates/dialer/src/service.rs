use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::Registry;
use ringdown_bus::{Bus, Delivery, Stream, Watch, Workers, WorkersOptions, subject};
use ringdown_carrier::Routes;
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Team};
use ringdown_proto::v1::envelope::Fact;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::Error;
use crate::accounts::{Access, Accounts};
use crate::attempt::{self, Context, Finished};
use crate::cancelled::Cancelled;
use crate::facts::Job;
use crate::follow::{Ears, Followup};
use crate::lane::Lanes;
use crate::metrics::Metrics;

/// A transition that could not be decided comes again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// How a dialer works.
#[derive(Clone)]
pub struct Options {
    /// Only this team's runs; `None` for every team's.
    pub team: Option<Team>,
    /// Dials in flight at once, at least 1.
    pub concurrency: usize,
    /// A dialer that is silent for this long is taken for gone.
    pub ack_wait: Duration,
    /// Least time before the window closes that a dial is worth.
    pub min_ring: Duration,
    /// The ways to dial.
    pub routes: Routes,
    /// Dials with the accounts of agents and organisations too; `None` leaves those to other dialers.
    pub accounts: Option<Access>,
}

/// A running dialer.
pub struct Dialer {
    stop: CancellationToken,
    hang_up: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

type Key = (Team, RunId);
type Live = Arc<Mutex<HashMap<Key, Handle>>>;

/// How a run that is worked on is told of.
struct Handle {
    stop: CancellationToken,
    moved: watch::Sender<Option<Status>>,
}

/// The states that somebody who dials or follows has to hear of.
const HEARD: [Status; 6] = [
    Status::Cancelled,
    Status::InProgress,
    Status::Evaluating,
    Status::Completed,
    Status::Failed,
    Status::Timeout,
];

/// How often it is looked how many runs wait.
const LOOK: Duration = Duration::from_secs(2);

/// Most transitions that are taken in one request, if so many dials can begin.
const AHEAD: usize = 64;

/// Transitions that may be unanswered at once, over all dialers: those whose call is being placed or followed.
const UNANSWERED: u32 = 100_000;

impl Dialer {
    /// Joins the dialers on this bus.
    ///
    /// # Errors
    /// [`Error`] if the bus cannot be used.
    pub async fn start(bus: &Bus, options: Options, registry: &Registry) -> Result<Self, Error> {
        let concurrency = options.concurrency.max(1);
        let entering = |status| match &options.team {
            None => subject::runs_entering(status),
            Some(team) => subject::team_runs_entering(team, status),
        };
        let durable = match &options.team {
            None => "dialers".to_owned(),
            Some(team) => format!("dialers-{team}"),
        };
        let workers = bus
            .workers(WorkersOptions {
                stream: Stream::Runs,
                durable: durable.clone(),
                filter: entering(Status::Pending),
                ack_wait: options.ack_wait,
                max_in_flight: UNANSWERED,
                batch: AHEAD,
            })
            .await?;
        let mut watches = Vec::with_capacity(HEARD.len());
        for status in HEARD {
            watches.push((status, bus.watch(&entering(status)).await?));
        }
        let (stop, hang_up) = (CancellationToken::new(), CancellationToken::new());
        let service = Service {
            context: Context {
                bus: bus.clone(),
                routes: options.routes,
                accounts: options
                    .accounts
                    .map(|access| Accounts::new(bus.clone(), access)),
                lanes: Lanes::new(bus.clone()),
                cancelled: Cancelled::new(bus),
                metrics: Metrics::register(registry)?,
                min_ring: options.min_ring,
                silence: options.ack_wait,
            },
            permits: Arc::new(Semaphore::new(concurrency)),
            live: Live::default(),
            hang_up: hang_up.clone(),
            leaving: stop.clone(),
            progress: options.ack_wait / 3,
            durable,
        };
        let task = tokio::spawn(service.run(workers, watches, stop.clone()));
        Ok(Self {
            stop,
            hang_up,
            task,
        })
    }

    /// Takes no new runs, lets dials and calls in flight finish until `deadline`, then ends them.
    pub async fn drain(self, deadline: Duration) {
        self.stop.cancel();
        let mut task = self.task;
        if tokio::time::timeout(deadline, &mut task).await.is_ok() {
            return;
        }
        self.hang_up.cancel();
        // Reporting what was ended needs the bus; without it nobody would hear anyway.
        if tokio::time::timeout(Duration::from_secs(5), &mut task)
            .await
            .is_err()
        {
            error!("dials in flight could not be ended in time");
            task.abort();
        }
    }
}

#[derive(Clone)]
struct Service {
    context: Context,
    permits: Arc<Semaphore>,
    live: Live,
    hang_up: CancellationToken,
    leaving: CancellationToken,
    progress: Duration,
    durable: String,
}

impl Service {
    async fn run(
        self,
        mut workers: Workers,
        watches: Vec<(Status, Watch)>,
        stop: CancellationToken,
    ) {
        let mut watching = JoinSet::new();
        for (status, watch) in watches {
            watching.spawn(self.clone().hear(status, watch));
        }
        watching.spawn(self.clone().measure());
        let mut working = JoinSet::new();
        loop {
            while let Some(ended) = working.try_join_next() {
                log_panic(ended);
            }
            let next = async {
                let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
                // Only this loop takes permits, so that those which are left are there for what is taken in advance.
                let most = self.permits.available_permits() + 1;
                Some((permit, workers.next_of(most).await))
            };
            let Some(Some((permit, delivery))) = stop.run_until_cancelled(next).await else {
                break;
            };
            let service = self.clone();
            let span = info_span!(parent: &delivery.span, "dial");
            let work = async move {
                service.take(delivery, permit).await;
            };
            working.spawn(work.instrument(span));
        }
        // What the server hands to this end from now on would wait for `ack_wait`.
        workers.leave().await;
        while let Some(ended) = working.join_next().await {
            log_panic(ended);
        }
        watching.shutdown().await;
    }

    /// Looks now and then how many runs wait for a dialer, so that their number can be scaled by it.
    async fn measure(self) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            match self.context.bus.backlog(Stream::Runs, &self.durable).await {
                Ok(backlog) => {
                    let backlog = i64::try_from(backlog).unwrap_or(i64::MAX);
                    self.context.metrics.backlog.set(backlog);
                }
                Err(error) => debug!(%error, "cannot see how many runs wait for a dialer"),
            }
        }
    }

    async fn take(&self, delivery: Delivery, permit: OwnedSemaphorePermit) {
        let Some(job) = Job::read(&delivery.envelope) else {
            warn!(event = %delivery.envelope.event_id, "a pending transition has no window");
            answered(delivery.done().await);
            return;
        };
        let Some(live) = self.begin(&job) else {
            // The run is being dialed right here. Unanswered, the transition comes again after
            // `ack_wait`; if it is the one being worked on, its progress reports put that off.
            debug!(run = %job.run, "announced again while it is dialed");
            return;
        };
        // On the heap: what waits and follows is small beside what dials.
        let work = Box::pin(attempt::run(
            &self.context,
            &job,
            delivery.delivered,
            &live.stop,
        ));
        let finished = delivery.kept_alive(self.progress, work).await;
        match finished {
            Finished::Following(follow) => {
                // The provider carries the call, and looking after it takes next to nothing.
                drop(permit);
                let ears = Ears {
                    moved: live.moved.clone(),
                    leaving: self.leaving.clone(),
                };
                let work = Box::pin(follow.run(&self.context, &job, ears));
                match delivery.kept_alive(self.progress, work).await {
                    Followup::Done => answered(delivery.done().await),
                    Followup::HandedOver => answered(delivery.again_after(Duration::ZERO).await),
                }
            }
            Finished::Again => answered(delivery.again_after(AGAIN).await),
            Finished::Done => answered(delivery.done().await),
            Finished::TakenOver => info!(run = %job.run, "another dialer has taken the run over"),
            // The outcome is reported: whoever gets the transition now will see it.
            Finished::Talking(rest) => {
                // The call goes on meanwhile: without the bus an answer takes seconds to fail.
                tokio::join!(async { answered(delivery.done().await) }, rest);
            }
        }
    }

    /// Enters the run into the books of this process; `None` if it is there already.
    fn begin(&self, job: &Job) -> Option<OnAir<'_>> {
        let key = (job.team.clone(), job.run);
        let stop = self.hang_up.child_token();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.contains_key(&key) {
            return None;
        }
        let (sender, moved) = watch::channel(None);
        let handle = Handle {
            stop: stop.clone(),
            moved: sender,
        };
        live.insert(key.clone(), handle);
        self.context.metrics.in_flight.inc();
        Some(OnAir {
            service: self,
            key,
            stop,
            moved,
        })
    }

    /// Tells whoever works on a run that it has entered `status`; dials of one that was cancelled are called off.
    async fn hear(self, status: Status, mut watch: Watch) {
        while let Some(envelope) = watch.next().await {
            let (Ok(team), Some(Fact::Run(transition))) =
                (envelope.team.parse::<Team>(), &envelope.fact)
            else {
                continue;
            };
            if status == Status::Cancelled {
                self.context.cancelled.note(team.clone(), transition.run());
            }
            let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(handle) = live.get(&(team, transition.run())) {
                handle.moved.send_replace(Some(status));
                if status == Status::Cancelled {
                    handle.stop.cancel();
                }
            }
        }
        // The bus is asked from now on.
        warn!(%status, "runs that enter a state are not heard any more");
        self.context.cancelled.deaf();
    }
}

/// A run that this process works on, until it is dropped.
struct OnAir<'a> {
    service: &'a Service,
    key: Key,
    stop: CancellationToken,
    moved: watch::Receiver<Option<Status>>,
}

impl Drop for OnAir<'_> {
    fn drop(&mut self) {
        let live = &self.service.live;
        live.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
        self.service.context.metrics.in_flight.dec();
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = ended {
        error!(%panic, "a dial panicked");
    }
}

fn answered(result: Result<(), ringdown_bus::Error>) {
    if let Err(error) = result {
        debug!(%error, "a transition will come again");
    }
}
