//! What keeps runs moving: admission, the outbox relay, deadlines, matching and facts.

mod clip;
mod deadlines;
mod evidence;
mod facts;
mod matching;
mod relay;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::{Bus, now};
use ringdown_domain::run::{Effect, Event};
use ringdown_domain::{OrganisationId, ResultId, RunId};
use ringdown_store::{Batch, Error as StoreError, NewBatch, Run, RunPatch, Store, Transition};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::Error;

/// Pause before something that failed is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// Runs of a batch that are cancelled in one transaction.
const CANCELLED_AT_ONCE: u32 = 500;

/// Why a cancelled run ended.
const BY_A_USER: &str = "cancelled by a user";

/// The platform's engine. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    bus: Bus,
    outbox: Notify,
    deadlines: Notify,
    admission: Notify,
    to_admit: Mutex<BTreeSet<OrganisationId>>,
}

impl Engine {
    /// An engine that is not running yet; [`Engine::run`] starts it.
    pub fn new(store: Arc<dyn Store>, bus: Bus) -> Self {
        Self(Arc::new(Inner {
            store,
            bus,
            outbox: Notify::new(),
            deadlines: Notify::new(),
            admission: Notify::new(),
            to_admit: Mutex::new(BTreeSet::new()),
        }))
    }

    /// The database.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
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
        let facts = facts::Service::start(self).await?;
        for org in self.0.store.organisations_with_queue().await? {
            self.schedule_admission(org);
        }
        let deadlines = deadlines::Service::new(self);
        let mut parts = JoinSet::new();
        parts.spawn(matching.run(self.clone(), stop.clone()));
        parts.spawn(facts.run(self.clone(), stop.clone()));
        parts.spawn(relay::run(self.clone(), stop.clone()));
        parts.spawn(deadlines.run(stop.clone()));
        parts.spawn(self.clone().admission_loop(stop.clone()));
        while let Some(ended) = parts.join_next().await {
            if let Err(panic) = ended {
                error!(%panic, "a part of the platform panicked, stopping the others");
                stop.cancel();
            }
        }
        Ok(())
    }

    /// Stores a batch and grants it what slots are free. Returns the runs as they are then.
    ///
    /// # Errors
    /// [`Error::Store`] if nothing was stored.
    pub async fn trigger(&self, batch: NewBatch) -> Result<(Batch, Vec<Run>), Error> {
        let org = batch.org;
        let (batch, runs) = self.0.store.trigger(batch, now()).await?;
        self.changed();
        self.admit(org).await;
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        match self.0.store.runs_by_id(org, &ids).await {
            Ok(fresh) => Ok((batch, fresh)),
            // The batch is stored: its runs as they were stored are still a true answer.
            Err(error) => {
                warn!(%error, "cannot read triggered runs again");
                Ok((batch, runs))
            }
        }
    }

    /// Ends a run on a user's behalf. A run that has ended stays as it is.
    ///
    /// # Errors
    /// [`Error::Store`] if the organisation has no such run.
    pub async fn cancel_run(&self, org: OrganisationId, run: RunId) -> Result<Run, Error> {
        self.0.store.run(org, run).await?;
        let reason = BY_A_USER.to_owned();
        match self
            .apply(run, Event::Cancelled { reason }, RunPatch::default())
            .await
        {
            Ok(transition) => Ok(transition.run),
            Err(StoreError::Illegal(_)) => Ok(self.0.store.run(org, run).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends every unfinished run of a batch; returns how many.
    ///
    /// # Errors
    /// [`Error::Store`] if the organisation has no such batch.
    pub async fn cancel_batch(&self, org: OrganisationId, id: ResultId) -> Result<u32, Error> {
        self.0.store.batch(org, id).await?;
        let mut cancelled = 0;
        loop {
            // In portions, so that no transaction holds the others up.
            let portion = self
                .0
                .store
                .cancel_batch(org, id, BY_A_USER, CANCELLED_AT_ONCE, now());
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
        for effect in &transition.effects {
            match effect {
                Effect::SlotFreed => self.schedule_admission(run.org),
                // The testing agent hears the `cancelled` transition on the bus and hangs up.
                Effect::HangUp(call) => debug!(run = %run.id, %call, "call has to be hung up"),
            }
        }
    }

    /// Something was written: the outbox has rows, deadlines may have moved.
    fn changed(&self) {
        self.0.outbox.notify_one();
        self.0.deadlines.notify_one();
    }

    fn schedule_admission(&self, org: OrganisationId) {
        self.0
            .to_admit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(org);
        self.0.admission.notify_one();
    }

    async fn admit(&self, org: OrganisationId) {
        // A long queue is admitted in portions, so that no transaction holds the others up.
        while self.admit_portion(org).await {}
    }

    /// Gives slots to the head of the queue. True if there may be more to give.
    async fn admit_portion(&self, org: OrganisationId) -> bool {
        match self.0.store.admit(org, now()).await {
            Ok(runs) if runs.is_empty() => false,
            Ok(runs) => {
                debug!(%org, admitted = runs.len(), "runs got slots");
                self.changed();
                true
            }
            Err(error) => {
                warn!(%org, %error, "cannot admit runs, will try again");
                let engine = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    engine.schedule_admission(org);
                });
                false
            }
        }
    }

    async fn admission_loop(self, stop: CancellationToken) {
        loop {
            if stop
                .run_until_cancelled(self.0.admission.notified())
                .await
                .is_none()
            {
                return;
            }
            let orgs = std::mem::take(
                &mut *self
                    .0
                    .to_admit
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            for org in orgs {
                self.admit(org).await;
            }
        }
    }
}
