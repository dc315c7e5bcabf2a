use std::time::{Duration, Instant};

use ringdown_bus::{Bus, Delivery, Stream, Workers, WorkersOptions, subject};
use ringdown_client::Client;
use ringdown_domain::Team;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{PlanFact, plan_fact};
use tokio::sync::watch as watch_channel;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::{Error, watch};

/// A poller that is silent for this long is taken for gone, and another takes its plans.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// A poller that stops gives its plans back after this, when the server knows that it takes none.
const HAND_OVER: Duration = Duration::from_millis(100);

/// Plans watched at once.
const MAX_PLANS: usize = 100;

/// Watches the plans of one service.
pub struct Poller {
    stop: CancellationToken,
    heard: Heard,
    task: tokio::task::JoinHandle<()>,
}

impl Poller {
    /// Takes the plans that are announced for `team`, whose service `client` reaches.
    ///
    /// # Errors
    /// [`Error`] if the bus cannot be used.
    pub async fn start(bus: &Bus, team: Team, client: Client) -> Result<Self, Error> {
        let workers = bus
            .workers(WorkersOptions {
                stream: Stream::Plans,
                durable: format!("pollers-{team}"),
                filter: subject::plans_of(&team),
                ack_wait: ACK_WAIT,
                max_in_flight: 100,
                batch: 1,
            })
            .await?;
        let stop = CancellationToken::new();
        let heard = Heard::default();
        let service = Service {
            bus: bus.clone(),
            team,
            client,
            heard: heard.clone(),
        };
        let task = tokio::spawn(service.run(workers, stop.clone()));
        Ok(Self { stop, heard, task })
    }

    /// How long the service has not answered a look at its runs; since the start if it never has.
    pub fn unanswered_for(&self) -> Duration {
        self.heard.ago()
    }

    /// Stops watching; another poller goes on where this one stopped.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(panic) = self.task.await {
            error!(%panic, "the poller panicked");
        }
    }
}

/// When the service last answered. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Heard(watch_channel::Sender<Instant>);

impl Default for Heard {
    fn default() -> Self {
        Self(watch_channel::Sender::new(Instant::now()))
    }
}

impl Heard {
    pub(crate) fn now(&self) {
        self.0.send_replace(Instant::now());
    }

    fn ago(&self) -> Duration {
        self.0.borrow().elapsed()
    }
}

#[derive(Clone)]
struct Service {
    bus: Bus,
    team: Team,
    client: Client,
    heard: Heard,
}

impl Service {
    async fn run(self, mut workers: Workers, stop: CancellationToken) {
        let mut plans = JoinSet::new();
        loop {
            while plans.len() >= MAX_PLANS {
                plans.join_next().await;
            }
            let Some(delivery) = stop.run_until_cancelled(workers.next()).await else {
                break;
            };
            let (service, stop) = (self.clone(), stop.clone());
            plans.spawn(async move { service.take(delivery, &stop).await });
        }
        // What the server hands to this end from now on would wait for `ACK_WAIT`.
        drop(workers);
        while plans.join_next().await.is_some() {}
    }

    async fn take(&self, delivery: Delivery, stop: &CancellationToken) {
        let triggered = match &delivery.envelope.fact {
            Some(Fact::Plan(PlanFact {
                plan_id,
                step: Some(plan_fact::Step::Triggered(triggered)),
                ..
            })) => Some((plan_id.clone(), triggered.runs.clone())),
            _ => None,
        };
        let answered = match triggered {
            None => delivery.done().await,
            Some((plan_id, runs)) => {
                let watching = watch::watch(&self.client, &self.bus, &self.team, runs, &self.heard);
                let watching = delivery.kept_alive(ACK_WAIT / 3, watching);
                match stop.run_until_cancelled(watching).await {
                    Some(Ok(())) => {
                        self.finished(plan_id).await;
                        delivery.done().await
                    }
                    // Whoever polls now is not to wait until this one is taken for gone.
                    None => delivery.again_after(HAND_OVER).await,
                    Some(Err(error)) => {
                        warn!(%error, "cannot announce transitions, will try again");
                        delivery.again_after(Duration::from_secs(1)).await
                    }
                }
            }
        };
        if let Err(error) = answered {
            debug!(%error, "a plan will come again");
        }
    }

    async fn finished(&self, plan_id: String) {
        let id = format!("plan:{plan_id}:finished");
        let fact = Fact::Plan(PlanFact {
            plan_id,
            upstream: self.client.base().to_owned(),
            step: Some(plan_fact::Step::Finished(plan_fact::Finished {})),
        });
        let envelope = self.bus.envelope(&self.team, fact);
        if let Err(error) = self.bus.publish(&envelope, &id).await {
            warn!(%error, "cannot announce that a plan is finished");
        }
    }
}
