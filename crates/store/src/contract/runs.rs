use async_trait::async_trait;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{HolderId, OrganisationId, ResultId, RunId, ScenarioId, Timestamp};

use crate::{
    Admission, Arrival, Attempt, AttemptFilter, Batch, BatchFilter, Expired, Listing, Matched,
    NewAttempt, NewBatch, OutboxRow, Page, QueueEntry, QueuePlace, Repeated, Result, Run,
    RunFilter, RunPatch, RunProgress, Scope, Transition, TriggeredRun, UsedTemplate,
};

/// Runs and batches as users see them.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Stores a batch and its queued runs with their outbox row. Nobody sees any of it before all is
    /// stored. Fails with [`Error::Repeated`](crate::Error::Repeated) if its idempotency key was used, and with
    /// [`Error::TooFewNumbers`](crate::Error::TooFewNumbers) if a run has no number and none is free. The batch
    /// of a cron job moves its job on with it, or fails with [`Error::NotDue`](crate::Error::NotDue).
    async fn trigger(&self, batch: NewBatch, now: Timestamp) -> Result<(Batch, Vec<TriggeredRun>)>;
    /// What was triggered with this idempotency key.
    async fn repeated(&self, org: OrganisationId, key: &str) -> Result<Option<Repeated>>;
    /// Keeps the answer to a request with an idempotency key, unless one is kept already.
    async fn keep_answer(&self, org: OrganisationId, key: &str, answer: &str) -> Result<()>;
    /// Forgets idempotency keys used before `before`, at most `limit`; how many.
    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u64>;
    /// One run.
    async fn run(&self, scope: Scope, id: RunId) -> Result<Run>;
    /// The runs among `ids` that are in the scope, in the order asked for.
    async fn runs_by_id(&self, scope: Scope, ids: &[RunId]) -> Result<Vec<Run>>;
    /// The version of each run among `ids` that is in the scope. Cheap: for caches.
    async fn versions(&self, scope: Scope, ids: &[RunId]) -> Result<Vec<(RunId, u64)>>;
    /// Runs, newest first.
    async fn runs(&self, scope: Scope, filter: RunFilter, page: Page) -> Result<Listing<Run>>;
    /// Runs of a batch after this one, by id, at most `limit`.
    async fn runs_of(
        &self,
        scope: Scope,
        batch: ResultId,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Run>>;
    /// Where every run of a batch is, by id.
    async fn progress(&self, batch: ResultId) -> Result<Vec<RunProgress>>;
    /// One batch.
    async fn batch(&self, scope: Scope, id: ResultId) -> Result<Batch>;
    /// Batches, newest first.
    async fn batches(
        &self,
        scope: Scope,
        filter: BatchFilter,
        page: Page,
    ) -> Result<Listing<Batch>>;
    /// The evaluators of these batches, with their names.
    async fn batch_scenarios(
        &self,
        batches: &[ResultId],
    ) -> Result<Vec<(ResultId, ScenarioId, String)>>;
    /// What the runs of a batch have in common, and how many have it, in the order of its queue.
    async fn batch_templates(&self, scope: Scope, id: ResultId) -> Result<Vec<UsedTemplate>>;
    /// Renames a batch.
    async fn rename_batch(&self, scope: Scope, id: ResultId, name: &str) -> Result<()>;
    /// Stores a link that shows a batch to whoever has its token, until it expires.
    async fn add_share_link(
        &self,
        scope: Scope,
        batch: ResultId,
        token_sha256: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()>;
    /// The batch that a link shows at `now`, and whose it is.
    async fn shared_batch(
        &self,
        token_sha256: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(OrganisationId, ResultId)>>;
}

/// What moves runs from state to state.
#[async_trait]
pub trait Transitions: Send + Sync {
    /// Grants slots to queued runs of this organisation as far as its limits allow
    /// (`domain::admission`), to a bounded number at once.
    async fn admit(&self, org: OrganisationId, now: Timestamp) -> Result<Admission>;
    /// Why each queued run of the organisation waits, in the order of their turns; of a long queue, the
    /// head of each project.
    async fn queue(&self, org: OrganisationId, now: Timestamp) -> Result<Vec<QueueEntry>>;
    /// Why a run waits; `None` if it is not queued. What other projects do stays hidden from the scope of
    /// one.
    async fn place(&self, scope: Scope, run: RunId, now: Timestamp) -> Result<Option<QueuePlace>>;
    /// Organisations that have queued runs, so that a restarted platform can admit.
    async fn organisations_with_queue(&self) -> Result<Vec<OrganisationId>>;
    /// Lets the runs of a gated batch be admitted. Harmless if they may be already.
    async fn open_gate(&self, batch: ResultId) -> Result<()>;
    /// Applies `event` to a run together with `patch`. [`Error::Illegal`](crate::Error::Illegal) if the event does not fit
    /// the state: nothing is changed then.
    async fn transition(
        &self,
        run: RunId,
        event: Event,
        patch: RunPatch,
        now: Timestamp,
    ) -> Result<Transition>;
    /// Cancels at most `limit` unfinished runs of a batch at once, waiting ones first, so that none of
    /// them gets a slot that another one frees. No transition is returned once all have ended.
    async fn cancel_batch(
        &self,
        scope: Scope,
        batch: ResultId,
        reason: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Transition>>;
    /// Applies `patch` to a run in whatever state it is, without a transition.
    async fn patch_run(&self, run: RunId, patch: RunPatch, now: Timestamp) -> Result<()>;
    /// Judges a call, claims the run it matches and writes the ledger, atomically: two calls never
    /// get one run.
    async fn match_call(
        &self,
        call: IncomingCall,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Matched>;
    /// Writes down a call that the testing agent refused by itself, and ends the run that it may have
    /// been matched to meanwhile. The call is never matched after this.
    async fn refuse_call(&self, attempt: NewAttempt, now: Timestamp) -> Result<Option<Transition>>;
    /// Runs in one of these states whose deadline is at or before `now`, most overdue first, at most
    /// `limit`.
    async fn overdue(&self, statuses: &[Status], now: Timestamp, limit: u32) -> Result<Vec<Run>>;
    /// The earliest deadline of any unfinished run.
    async fn next_deadline(&self) -> Result<Option<Timestamp>>;
    /// Testing agents that hold the call of a live run, or owe the recording of one being scored.
    async fn holders(&self) -> Result<Vec<HolderId>>;
    /// Those runs of one of them after this one, by id, at most `limit`.
    async fn held_by(
        &self,
        holder: &HolderId,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Run>>;
    /// One run, whoever owns it; for the platform's own use.
    async fn run_unscoped(&self, id: RunId) -> Result<Run>;
}

/// The attempt ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Writes an attempt to the ledger. A second attempt with the same kind and `attempt_id`
    /// updates the first.
    async fn record_attempt(&self, attempt: NewAttempt) -> Result<()>;
    /// Attempts, newest first. `count` stops at 10,000.
    async fn attempts(
        &self,
        scope: Scope,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Listing<Attempt>>;
    /// Refused calls that are the likeliest explanation of why `run` got none: the ones whose
    /// nearest run it is, and those to or from its numbers since it became pending.
    async fn evidence(&self, run: RunId) -> Result<Vec<Attempt>>;
    /// The latest dial of an organisation that its provider knows by this name.
    async fn dial_of_provider(
        &self,
        org: OrganisationId,
        provider_id: &str,
    ) -> Result<Option<Attempt>>;
}

/// Transitions that have to be announced.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The oldest unpublished outbox rows. The rows of one run are in the order they were written.
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>>;
    /// Runs of a batch after this one, by id, as they were accepted; for announcing it.
    async fn accepted_runs(
        &self,
        batch: ResultId,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Run>>;
    /// Forgets these outbox rows, which have been published.
    async fn outbox_published(&self, ids: &[i64]) -> Result<()>;
}

/// Deleting what is no longer wanted.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes a run that has ended, with its attempts. Its recording is remembered for deletion.
    async fn delete_run(&self, scope: Scope, id: RunId, now: Timestamp) -> Result<()>;
    /// Deletes at most `limit` ended runs of a batch, and the batch once none is left; how many runs
    /// remain. [`Error::Conflict`](crate::Error::Conflict) while one has not ended.
    async fn delete_batch(
        &self,
        scope: Scope,
        id: ResultId,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64>;
    /// Batches that ended so long ago that their projects keep them no longer, at most `limit`.
    async fn expired_batches(&self, now: Timestamp, limit: u32) -> Result<Vec<Expired>>;
    /// Deletes at most `limit` attempts older than `before` that belong to no run, and audit rows.
    async fn delete_old_attempts(&self, before: Timestamp, limit: u32) -> Result<u64>;
    /// Keys of artefacts that nothing refers to any more, oldest first.
    async fn artefacts_to_delete(&self, limit: u32) -> Result<Vec<String>>;
    /// Forgets keys of artefacts that are deleted.
    async fn artefacts_deleted(&self, keys: &[String]) -> Result<()>;
    /// Removes what a process that died left half-stored; how many batches. Run once, before serving, by
    /// the only process of a SQLite database.
    async fn remove_unfinished(&self) -> Result<u64>;
}
