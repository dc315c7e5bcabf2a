//! The [`Store`] contract, each operation handed to the module that knows its tables.

use async_trait::async_trait;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{
    AgentId, E164, OrganisationId, PhoneNumberId, ProjectId, ResultId, RunId, ScenarioId,
    TestProfileId, Timestamp,
};

use super::catalogue::Owned;
use super::{Sqlite, catalogue, ledger, matching, numbers, queue, runs, tenancy};
use crate::*;

#[async_trait]
impl Store for Sqlite {
    async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    async fn create_organisation(
        &self,
        new: NewOrganisation,
        now: Timestamp,
    ) -> Result<(Organisation, Project)> {
        tenancy::create_organisation(self, new, now).await
    }

    async fn organisation_by_slug(&self, slug: &str) -> Result<Option<Organisation>> {
        tenancy::organisation_by_slug(self, slug).await
    }

    async fn organisation(&self, id: OrganisationId) -> Result<Organisation> {
        tenancy::organisation_by_id(self, id).await
    }

    async fn set_organisation_limit(&self, id: OrganisationId, limit: Option<u32>) -> Result<()> {
        tenancy::set_organisation_limit(self, id, limit).await
    }

    async fn add_api_key(&self, key: NewApiKey, now: Timestamp) -> Result<()> {
        tenancy::add_api_key(self, key, now).await
    }

    async fn authenticate(&self, key_sha256: [u8; 32]) -> Result<Option<Principal>> {
        tenancy::authenticate(self, key_sha256).await
    }

    async fn create_project(
        &self,
        org: OrganisationId,
        name: &str,
        now: Timestamp,
    ) -> Result<Project> {
        tenancy::create_project(self, org, name, now).await
    }

    async fn projects(&self, org: OrganisationId) -> Result<Vec<Project>> {
        tenancy::projects(self, org).await
    }

    async fn project(&self, org: OrganisationId, id: ProjectId) -> Result<Project> {
        tenancy::project_by_id(self, org, id).await
    }

    async fn update_project(&self, project: &Project) -> Result<()> {
        tenancy::update_project(self, project).await
    }

    async fn create_agent(&self, new: NewAgent, now: Timestamp) -> Result<Agent> {
        catalogue::create_agent(self, new, now).await
    }

    async fn agent(&self, org: OrganisationId, id: AgentId) -> Result<Agent> {
        catalogue::agent_by_id(self, org, id).await
    }

    async fn agents(
        &self,
        org: OrganisationId,
        filter: AgentFilter,
        page: Page,
    ) -> Result<Listing<Agent>> {
        catalogue::agents(self, org, filter, page).await
    }

    async fn update_agent(&self, agent: &Agent, now: Timestamp) -> Result<()> {
        catalogue::update_agent(self, agent, now).await
    }

    async fn delete_agent(&self, org: OrganisationId, id: AgentId) -> Result<()> {
        catalogue::delete(self, org, Owned::Agent, id.0).await
    }

    async fn create_scenario(&self, new: NewScenario, now: Timestamp) -> Result<Scenario> {
        catalogue::create_scenario(self, new, now).await
    }

    async fn scenario(&self, org: OrganisationId, id: ScenarioId) -> Result<Scenario> {
        catalogue::scenario_by_id(self, org, id).await
    }

    async fn scenarios(
        &self,
        org: OrganisationId,
        filter: ScenarioFilter,
        page: Page,
    ) -> Result<Listing<Scenario>> {
        catalogue::scenarios(self, org, filter, page).await
    }

    async fn update_scenario(&self, scenario: &Scenario, now: Timestamp) -> Result<()> {
        catalogue::update_scenario(self, scenario, now).await
    }

    async fn delete_scenario(&self, org: OrganisationId, id: ScenarioId) -> Result<()> {
        catalogue::delete(self, org, Owned::Scenario, id.0).await
    }

    async fn create_test_profile(
        &self,
        new: NewTestProfile,
        now: Timestamp,
    ) -> Result<TestProfile> {
        catalogue::create_test_profile(self, new, now).await
    }

    async fn test_profile(&self, org: OrganisationId, id: TestProfileId) -> Result<TestProfile> {
        catalogue::test_profile_by_id(self, org, id).await
    }

    async fn test_profiles(
        &self,
        org: OrganisationId,
        filter: TestProfileFilter,
        page: Page,
    ) -> Result<Listing<TestProfile>> {
        catalogue::test_profiles(self, org, filter, page).await
    }

    async fn update_test_profile(&self, profile: &TestProfile, now: Timestamp) -> Result<()> {
        catalogue::update_test_profile(self, profile, now).await
    }

    async fn delete_test_profile(&self, org: OrganisationId, id: TestProfileId) -> Result<()> {
        catalogue::delete(self, org, Owned::TestProfile, id.0).await
    }

    async fn add_phone_number(&self, new: NewPhoneNumber, now: Timestamp) -> Result<PhoneNumber> {
        numbers::add(self, new, now).await
    }

    async fn phone_number(&self, org: OrganisationId, id: PhoneNumberId) -> Result<PhoneNumber> {
        numbers::by_id(self, org, id).await
    }

    async fn phone_numbers(&self, org: OrganisationId, page: Page) -> Result<Listing<PhoneNumber>> {
        numbers::list(self, org, page).await
    }

    async fn delete_phone_number(&self, org: OrganisationId, id: PhoneNumberId) -> Result<()> {
        numbers::delete(self, org, id).await
    }

    async fn pending_on(&self, org: OrganisationId, number: &E164) -> Result<u32> {
        numbers::pending_on(self, org, number).await
    }

    async fn trigger(&self, batch: NewBatch, now: Timestamp) -> Result<(Batch, Vec<Run>)> {
        runs::trigger(self, batch, now).await
    }

    async fn admit(&self, org: OrganisationId, now: Timestamp) -> Result<Vec<Run>> {
        queue::admit(self, org, now).await
    }

    async fn queue(&self, org: OrganisationId) -> Result<Vec<QueueEntry>> {
        queue::explain(self, org).await
    }

    async fn organisations_with_queue(&self) -> Result<Vec<OrganisationId>> {
        queue::organisations(self).await
    }

    async fn transition(
        &self,
        run: RunId,
        event: Event,
        patch: RunPatch,
        now: Timestamp,
    ) -> Result<Transition> {
        runs::transition(self, run, event, patch, now).await
    }

    async fn cancel_batch(
        &self,
        org: OrganisationId,
        batch: ResultId,
        reason: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Transition>> {
        runs::cancel_batch(self, org, batch, reason, limit, now).await
    }

    async fn patch_run(&self, run: RunId, patch: RunPatch) -> Result<()> {
        runs::patch(self, run, patch).await
    }

    async fn match_call(
        &self,
        call: IncomingCall,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Matched> {
        matching::match_call(self, call, arrival, now).await
    }

    async fn overdue(&self, statuses: &[Status], now: Timestamp, limit: u32) -> Result<Vec<Run>> {
        runs::overdue(self, statuses, now, limit).await
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        runs::next_deadline(self).await
    }

    async fn run_unscoped(&self, id: RunId) -> Result<Run> {
        runs::unscoped(self, id).await
    }

    async fn run(&self, org: OrganisationId, id: RunId) -> Result<Run> {
        match runs::by_ids(self, org, &[id]).await?.pop() {
            Some(run) => Ok(run),
            None => Err(tenancy::not_found("run", id.0)),
        }
    }

    async fn runs_by_id(&self, org: OrganisationId, ids: &[RunId]) -> Result<Vec<Run>> {
        runs::by_ids(self, org, ids).await
    }

    async fn runs(
        &self,
        org: OrganisationId,
        filter: RunFilter,
        page: Page,
    ) -> Result<Listing<Run>> {
        runs::list(self, org, filter, page).await
    }

    async fn batch(&self, org: OrganisationId, id: ResultId) -> Result<Batch> {
        runs::batch_by_id(self, org, id).await
    }

    async fn batches(
        &self,
        org: OrganisationId,
        agent: Option<AgentId>,
        page: Page,
    ) -> Result<Listing<Batch>> {
        runs::batches(self, org, agent, page).await
    }

    async fn refuse_call(&self, attempt: NewAttempt, now: Timestamp) -> Result<Option<Transition>> {
        matching::refuse(self, attempt, now).await
    }

    async fn record_attempt(&self, attempt: NewAttempt) -> Result<()> {
        ledger::record(self, attempt).await
    }

    async fn attempts(
        &self,
        org: OrganisationId,
        filter: AttemptFilter,
        page: Page,
    ) -> Result<Listing<Attempt>> {
        ledger::list(self, org, filter, page).await
    }

    async fn evidence(&self, run: RunId) -> Result<Vec<Attempt>> {
        ledger::evidence(self, run).await
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        runs::outbox(self, limit).await
    }

    async fn outbox_published(&self, last: i64) -> Result<()> {
        runs::outbox_published(self, last).await
    }
}
