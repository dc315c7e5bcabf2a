//! What keeps runs moving: admission, the outbox relay, deadlines, leases, matching and facts.

mod accounts;
mod admission;
mod clip;
mod cron;
mod deadlines;
mod evidence;
mod facts;
mod leases;
mod matching;
mod questions;
mod relay;
mod retention;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ringdown_bus::{Bus, LeaseTimes, now};
use ringdown_domain::invariant::{Invariant, of_run};
use ringdown_domain::run::{Effect, Event, Status};
use ringdown_domain::{OrganisationId, ResultId, RunId};
use ringdown_store::{
    Artefacts, Batch, Error as StoreError, NewBatch, Run, RunPatch, RunProgress, Scope, Store,
    Transition, TriggeredRun,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::Error;
use crate::invariants::Counts;

/// Pause before something that failed is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// Runs of a batch that are cancelled in one transaction.
const CANCELLED_AT_ONCE: u32 = 500;

/// Why a cancelled run ended.
const BY_A_USER: &str = "cancelled by a user";

/// A batch that was just stored.
#[derive(Clone, Debug)]
pub struct Triggered {
    /// The batch.
    pub batch: Batch,
    /// Its runs, in queue order.
    pub runs: Vec<TriggeredRun>,
    /// Where they are once free slots were given away, by id.
    pub progress: Vec<RunProgress>,
}

/// What an engine works with besides its database and its bus.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where recordings are; `None`: they stay when their runs are deleted.
    pub artefacts: Option<Artefacts>,
    /// When a testing agent that is not heard is taken for lost.
    pub leases: LeaseTimes,
    /// Where providers reach the REST API, without a slash at its end; `None`: they report nothing.
    pub public_url: Option<String>,
}

/// The platform's engine. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    bus: Bus,
    outbox: Notify,
    deadlines: Notify,
    webhooks: Notify,
    cron: Notify,
    admission: admission::Waiting,
    retention: Notify,
    /// Where recordings are; `None`: they stay when their runs are deleted.
    artefacts: Option<Artefacts>,
    leases: LeaseTimes,
    public_url: Option<String>,
    missed_admissions: AtomicU64,
    invariants: Counts,
}

impl Engine {
    /// An engine that is not running yet; [`Engine::run`] starts it.
    pub fn new(store: Arc<dyn Store>, bus: Bus) -> Self {
        Self::with_options(store, bus, Options::default())
    }

    /// The same, with these options.
    pub fn with_options(store: Arc<dyn Store>, bus: Bus, options: Options) -> Self {
        Self(Arc::new(Inner {
            store,
            bus,
            outbox: Notify::new(),
            deadlines: Notify::new(),
            webhooks: Notify::new(),
            cron: Notify::new(),
            admission: admission::Waiting::default(),
            retention: Notify::new(),
            artefacts: options.artefacts,
            leases: options.leases,
            public_url: options.public_url,
            missed_admissions: AtomicU64::new(0),
            invariants: Counts::default(),
        }))
    }

    /// The database.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Where providers reach the REST API, if they do.
    pub fn public_url(&self) -> Option<&str> {
        self.0.public_url.as_deref()
    }

    /// The bus.
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// Runs every part until `stop`, then publishes what is in the outbox if the bus lets it.
    ///
    /// # Errors
    /// [`Error`] if the bus or the store cannot be used at the start. Later failures are logged and
    /// survived.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let matching = matching::Service::start(self).await?;
        let accounts = accounts::Service::start(self).await?;
        let facts = facts::Service::start(self).await?;
        let leases = leases::Service::start(self).await?;
        let deadlines = deadlines::Service::new(self);
        let mut parts = JoinSet::new();
        parts.spawn(matching.run(self.clone(), stop.clone()));
        parts.spawn(accounts.run(self.clone(), stop.clone()));
        parts.spawn(facts.run(self.clone(), stop.clone()));
        parts.spawn(relay::run(self.clone(), stop.clone()));
        parts.spawn(deadlines.run(stop.clone()));
        parts.spawn(leases.run(stop.clone()));
        parts.spawn(cron::run(self.clone(), stop.clone()));
        parts.spawn(retention::run(self.clone(), stop.clone()));
        parts.spawn(self.clone().admission_loop(stop.clone()));
        while let Some(ended) = parts.join_next().await {
            if let Err(panic) = ended {
                error!(%panic, "a part of the platform panicked, stopping the others");
                stop.cancel();
            }
        }
        Ok(())
    }

    /// Stores a batch and grants slots to the head of the queue; a long queue gets the rest afterwards.
    /// Returns where the runs are then.
    ///
    /// # Errors
    /// [`Error::Store`] if nothing was stored.
    pub async fn trigger(&self, batch: NewBatch) -> Result<Triggered, Error> {
        let org = batch.org;
        let (batch, runs) = self.0.store.trigger(batch, now()).await?;
        self.changed();
        if let Some((_, true)) = self.admit_portion(org).await {
            self.schedule_admission(org);
        }
        let progress = match self.0.store.progress(batch.id).await {
            Ok(progress) => progress,
            // The batch is stored: its runs as they were stored are still a true answer.
            Err(error) => {
                warn!(%error, "cannot read triggered runs again");
                let queued = |run: &TriggeredRun| RunProgress {
                    id: run.id,
                    status: Status::InQueue,
                    window: None,
                };
                runs.iter().map(queued).collect()
            }
        };
        Ok(Triggered {
            batch,
            runs,
            progress,
        })
    }

    /// Lets a batch that waited for its pre-run webhook be dispatched.
    ///
    /// # Errors
    /// [`Error::Store`] if the database failed; nothing has changed then.
    pub async fn open_gate(&self, org: OrganisationId, batch: ResultId) -> Result<(), Error> {
        self.0.store.open_gate(batch).await?;
        self.schedule_admission(org);
        Ok(())
    }

    /// Ends a run on a user's behalf. A run that has ended stays as it is.
    ///
    /// # Errors
    /// [`Error::Store`] if there is no such run in the scope.
    pub async fn cancel_run(&self, scope: Scope, run: RunId) -> Result<Run, Error> {
        self.0.store.run(scope, run).await?;
        let reason = BY_A_USER.to_owned();
        match self
            .apply(run, Event::Cancelled { reason }, RunPatch::default())
            .await
        {
            Ok(transition) => Ok(transition.run),
            Err(StoreError::Illegal(_)) => Ok(self.0.store.run(scope, run).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends every unfinished run of a batch on a user's behalf; returns how many.
    ///
    /// # Errors
    /// [`Error::Store`] if there is no such batch in the scope.
    pub async fn cancel_batch(&self, scope: Scope, id: ResultId) -> Result<u32, Error> {
        self.end_batch(scope, id, BY_A_USER).await
    }

    /// Ends every unfinished run of a batch for this reason; returns how many.
    ///
    /// # Errors
    /// [`Error::Store`] if there is no such batch in the scope.
    pub async fn end_batch(&self, scope: Scope, id: ResultId, why: &str) -> Result<u32, Error> {
        self.0.store.batch(scope, id).await?;
        let mut cancelled = 0;
        loop {
            // In portions, so that no transaction holds the others up.
            let portion = self
                .0
                .store
                .cancel_batch(scope, id, why, CANCELLED_AT_ONCE, now());
            let portion = portion.await?;
            if portion.is_empty() {
                return Ok(cancelled);
            }
            cancelled += u32::try_from(portion.len()).unwrap_or(u32::MAX);
            for transition in &portion {
                self.follow_up(transition);
            }
        }
    }

    /// A limit was changed: the queue may move.
    pub fn limits_changed(&self, org: OrganisationId) {
        self.schedule_admission(org);
    }

    /// Applies an event and does what the transition demands.
    async fn apply(
        &self,
        run: RunId,
        event: Event,
        patch: RunPatch,
    ) -> Result<Transition, StoreError> {
        let transition = self.0.store.transition(run, event, patch, now()).await?;
        self.follow_up(&transition);
        Ok(transition)
    }

    /// Does what a stored transition demands.
    fn follow_up(&self, transition: &Transition) {
        self.changed();
        let run = &transition.run;
        debug!(run = %run.id, status = %run.status(), "run changed");
        self.check(run);
        for effect in &transition.effects {
            match effect {
                Effect::SlotFreed => self.schedule_admission(run.org),
                // The testing agent hears on the bus that the run is over, and hangs up.
                Effect::HangUp(call) => debug!(run = %run.id, %call, "call has to be hung up"),
            }
        }
    }

    /// What has to be true of a run after every transition.
    fn check(&self, run: &Run) {
        let found = of_run(
            &run.state,
            run.window,
            run.executed_at,
            run.seq,
            run.version,
        );
        self.0
            .invariants
            .check(found, &format_args!("run {}", run.id));
    }

    /// How often each invariant was violated since the start; in debug builds a violation panics instead.
    pub fn violations(&self) -> impl Iterator<Item = (Invariant, u64)> {
        self.0.invariants.all()
    }

    /// Something was written: the outbox has rows, deadlines may have moved.
    fn changed(&self) {
        self.0.outbox.notify_one();
        self.0.deadlines.notify_one();
        self.0.webhooks.notify_one();
    }

    /// Waits until something was written that an outgoing webhook may tell of.
    pub async fn webhooks_may_be_due(&self) {
        self.0.webhooks.notified().await;
    }

    /// An outgoing webhook was added or is to be tried again.
    pub fn webhooks_changed(&self) {
        self.0.webhooks.notify_one();
    }

    /// Runs were deleted: what belonged to them can be removed.
    pub fn deleted(&self) {
        self.0.retention.notify_one();
    }
}
