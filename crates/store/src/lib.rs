//! Persistence: the platform's database and the artefacts (recordings, reports).
//!
//! Contract: [`Store`] is narrow and says what the platform needs, not what SQL can do. Every
//! method is one transaction. A run's transition and its outbox row are written together; the state
//! machine itself is `domain::run`. Tenant data is only reachable with the [`OrganisationId`] that
//! owns it, so one team's key can never read another's rows.
//!
//! Refuses: the bus (an outbox row is a record, the platform turns it into a message), clocks (time
//! is handed in), wire formats.

mod artefacts;
mod error;
mod records;
mod sqlite;

use async_trait::async_trait;
use ringdown_domain::attempt::Verdict;
use ringdown_domain::matching::{IncomingCall, Judgement};
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{
    AgentId, E164, OrganisationId, PhoneNumberId, ProjectId, ResultId, RunId, ScenarioId,
    TestProfileId, Timestamp,
};

pub use artefacts::Artefacts;
pub use error::Error;
pub use records::*;
pub use sqlite::Sqlite;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The platform's database. Object safe, so that SQLite and PostgreSQL serve the same platform.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether the database answers; for health checks.
    async fn ping(&self) -> Result<()>;

    // Tenancy.

    /// Creates an organisation with one project named "default" and one API key, or fails with
    /// [`Error::Conflict`] if the slug is taken.
    async fn create_organisation(
        &self,
        new: NewOrganisation,
        now: Timestamp,
    ) -> Result<(Organisation, Project)>;
    /// The organisation with this slug.
    async fn organisation_by_slug(&self, slug: &str) -> Result<Option<Organisation>>;
    /// The organisation.
    async fn organisation(&self, id: OrganisationId) -> Result<Organisation>;
    /// Changes the organisation's parallel-call limit.
    async fn set_organisation_limit(&self, id: OrganisationId, limit: Option<u32>) -> Result<()>;
    /// Registers an API key by its SHA-256; the key itself is never stored.
    async fn add_api_key(&self, key: NewApiKey, now: Timestamp) -> Result<()>;
    /// Who holds the key with this SHA-256.
    async fn authenticate(&self, key_sha256: [u8; 32]) -> Result<Option<Principal>>;
    /// Creates a project with default settings.
    async fn create_project(
        &self,
        org: OrganisationId,
        name: &str,
        now: Timestamp,
    ) -> Result<Project>;
    /// All projects, by id.
    async fn projects(&self, org: OrganisationId) -> Result<Vec<Project>>;
    /// One project.
    async fn project(&self, org: OrganisationId, id: ProjectId) -> Result<Project>;
    /// Replaces the project's name and settings.
    async fn update_project(&self, project: &Project) -> Result<()>;

    // What is tested with. `update_*` replaces the whole record and fails with
    // `Error::NotFound` if the organisation has none with that id.

    /// Stores a new agent.
    async fn create_agent(&self, new: NewAgent, now: Timestamp) -> Result<Agent>;
    /// One agent.
    async fn agent(&self, org: OrganisationId, id: AgentId) -> Result<Agent>;
    /// Agents, newest first.
    async fn agents(
        &self,
        org: OrganisationId,
        filter: AgentFilter,
        page: Page,
    ) -> Result<Listing<Agent>>;
    /// Replaces an agent.
    async fn update_agent(&self, agent: &Agent, now: Timestamp) -> Result<()>;
    /// Deletes an agent and its evaluators. Finished runs keep their own copy of the names.
    async fn delete_agent(&self, org: OrganisationId, id: AgentId) -> Result<()>;

    /// Stores a new evaluator. Without a number of its own it gets a free one of the organisation's
    /// or the shared pool, or the least used one if none is free; `None` if there are no numbers.
    async fn create_scenario(&self, new: NewScenario, now: Timestamp) -> Result<Scenario>;
    /// One evaluator.
    async fn scenario(&self, org: OrganisationId, id: ScenarioId) -> Result<Scenario>;
    /// Evaluators, by id.
    async fn scenarios(
        &self,
        org: OrganisationId,
        filter: ScenarioFilter,
        page: Page,
    ) -> Result<Listing<Scenario>>;
    /// Replaces an evaluator.
    async fn update_scenario(&self, scenario: &Scenario, now: Timestamp) -> Result<()>;
    /// Deletes an evaluator.
    async fn delete_scenario(&self, org: OrganisationId, id: ScenarioId) -> Result<()>;

    /// Stores a new test profile.
    async fn create_test_profile(&self, new: NewTestProfile, now: Timestamp)
    -> Result<TestProfile>;
    /// One test profile.
    async fn test_profile(&self, org: OrganisationId, id: TestProfileId) -> Result<TestProfile>;
    /// Test profiles, by id.
    async fn test_profiles(
        &self,
        org: OrganisationId,
        filter: TestProfileFilter,
        page: Page,
    ) -> Result<Listing<TestProfile>>;
    /// Replaces a test profile.
    async fn update_test_profile(&self, profile: &TestProfile, now: Timestamp) -> Result<()>;
    /// Deletes a test profile.
    async fn delete_test_profile(&self, org: OrganisationId, id: TestProfileId) -> Result<()>;

    /// Adds a number of the organisation's own trunk, and gives it to evaluators that have none.
    /// [`Error::Conflict`] if the number is registered already, by anybody.
    async fn add_phone_number(&self, new: NewPhoneNumber, now: Timestamp) -> Result<PhoneNumber>;
    /// One number.
    async fn phone_number(&self, org: OrganisationId, id: PhoneNumberId) -> Result<PhoneNumber>;
    /// The organisation's numbers, by id.
    async fn phone_numbers(&self, org: OrganisationId, page: Page) -> Result<Listing<PhoneNumber>>;
    /// Removes a number. [`Error::Conflict`] while unfinished runs wait on it.
    async fn delete_phone_number(&self, org: OrganisationId, id: PhoneNumberId) -> Result<()>;
    /// How many runs are pending on this number.
    async fn pending_on(&self, org: OrganisationId, number: &E164) -> Result<u32>;

    // Runs.

    /// Stores a batch and its queued runs, each with its outbox row.
    async fn trigger(&self, batch: NewBatch, now: Timestamp) -> Result<(Batch, Vec<Run>)>;
    /// Grants slots to queued runs of this organisation as far as its limits allow
    /// (`domain::admission`); returns the runs that became pending.
    async fn admit(&self, org: OrganisationId, now: Timestamp) -> Result<Vec<Run>>;
    /// Why each queued run of the organisation waits, in queue order.
    async fn queue(&self, org: OrganisationId) -> Result<Vec<QueueEntry>>;
    /// Organisations that have queued runs, so that a restarted platform can admit.
    async fn organisations_with_queue(&self) -> Result<Vec<OrganisationId>>;
    /// Applies `event` to a run together with `patch`. [`Error::Illegal`] if the event does not fit
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
        org: OrganisationId,
        batch: ResultId,
        reason: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Transition>>;
    /// Applies `patch` to a run in whatever state it is, without a transition.
    async fn patch_run(&self, run: RunId, patch: RunPatch) -> Result<()>;
    /// Judges a call, claims the run it matches and writes the ledger, atomically: two calls never
    /// get one run.
    async fn match_call(
        &self,
        call: IncomingCall,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Matched>;
    /// Runs in one of these states whose deadline is at or before `now`, most overdue first, at most
    /// `limit`.
    async fn overdue(&self, statuses: &[Status], now: Timestamp, limit: u32) -> Result<Vec<Run>>;
    /// The earliest deadline of any unfinished run.
    async fn next_deadline(&self) -> Result<Option<Timestamp>>;
    /// One run, whoever owns it; for the platform's own use.
    async fn run_unscoped(&self, id: RunId) -> Result<Run>;
    /// One run.
    async fn run(&self, org: OrganisationId, id: RunId) -> Result<Run>;
    /// The runs among `ids` that the organisation owns, in the order asked for.
    async fn runs_by_id(&self, org: OrganisationId, ids: &[RunId]) -> Result<Vec<Run>>;
    /// Runs, newest first.
    async fn runs(
        &self,
        org: OrganisationId,
        filter: RunFilter,
        page: Page,
    ) -> Result<Listing<Run>>;
    /// One batch.
    async fn batch(&self, org: OrganisationId, id: ResultId) -> Result<Batch>;
    /// Batches, newest first.
    async fn batches(
        &self,
        org: OrganisationId,
        agent: Option<AgentId>,
        page: Page,
    ) -> Result<Listing<Batch>>;

    // Ledger.

    /// Writes an attempt to the ledger. A second attempt with the same kind and `attempt_id`
    /// updates the first.
    async fn record_attempt(&self, attempt: NewAttempt) -> Result<()>;
    /// Writes down a call that the testing agent refused by itself, and ends the run that it may have
    /// been matched to meanwhile. The call is never matched after this.
    async fn refuse_call(&self, attempt: NewAttempt, now: Timestamp) -> Result<Option<Transition>>;
    /// Attempts, newest first.
    async fn attempts(
        &self,
        org: OrganisationId,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Listing<Attempt>>;
    /// Refused calls that are the likeliest explanation of why `run` got none: the ones whose
    /// nearest run it is, and those to or from its numbers since it became pending.
    async fn evidence(&self, run: RunId) -> Result<Vec<Attempt>>;

    // Outbox.

    /// The oldest unpublished outbox rows, in the order they were written.
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>>;
    /// Forgets outbox rows up to and including `last`, which have all been published.
    async fn outbox_published(&self, last: i64) -> Result<()>;
}

/// What matching decided, with the run as it is after the claim.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The judgement, as written to the ledger.
    pub judgement: Judgement,
    /// The matched or nearest run.
    pub run: Option<Run>,
    /// How refused callers of that run's project are treated; explicit if no project is concerned.
    pub reject: Reject,
}

impl Matched {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.judgement.verdict
    }
}
