use async_trait::async_trait;
use ringdown_domain::{
    AgentId, E164, FolderId, PersonalityId, PhoneNumberId, ProjectId, ScenarioId, TestProfileId,
    Timestamp,
};

use crate::{
    Agent, AgentFilter, Folder, FolderFilter, Listing, NewAgent, NewPersonality, NewPhoneNumber,
    NewScenario, NewTestProfile, Page, Personality, PhoneNumber, Result, Scenario, ScenarioFilter,
    Scope, SecretChange, TestProfile, TestProfileFilter,
};

/// Agents under test.
#[async_trait]
pub trait Agents: Send + Sync {
    /// Stores a new agent. [`Error::NotFound`](crate::Error::NotFound) if its dial route leads through a carrier
    /// that its organisation has not.
    async fn create_agent(&self, new: NewAgent, now: Timestamp) -> Result<Agent>;
    /// One agent.
    async fn agent(&self, scope: Scope, id: AgentId) -> Result<Agent>;
    /// Agents, newest first.
    async fn agents(&self, scope: Scope, filter: AgentFilter, page: Page)
    -> Result<Listing<Agent>>;
    /// Those of these agents that are in the scope, by id.
    async fn agents_by_id(&self, scope: Scope, ids: &[AgentId]) -> Result<Vec<Agent>>;
    /// The oldest agent with this `assistant_id`, its id at the voice provider.
    async fn agent_of_assistant(&self, scope: Scope, assistant: &str) -> Result<Option<Agent>>;
    /// Replaces an agent, and changes these secrets. Its dial route is held to the same as a new agent's.
    async fn update_agent(
        &self,
        agent: &Agent,
        secrets: Vec<SecretChange>,
        now: Timestamp,
    ) -> Result<()>;
    /// Deletes an agent. Its evaluators, test profiles and cron jobs go with it, if `related`; else it
    /// is [`Error::Conflict`](crate::Error::Conflict) to have any. Finished runs keep their own copy of the names.
    async fn delete_agent(&self, scope: Scope, id: AgentId, related: bool) -> Result<()>;
}

/// Evaluators, called scenarios by the API.
#[async_trait]
pub trait Scenarios: Send + Sync {
    /// Stores a new evaluator. Without a number of its own it gets the least used one of those its
    /// project may use; `None` if there are no numbers.
    async fn create_scenario(&self, new: NewScenario, now: Timestamp) -> Result<Scenario>;
    /// Stores several at once, or none.
    async fn create_scenarios(
        &self,
        new: Vec<NewScenario>,
        now: Timestamp,
    ) -> Result<Vec<Scenario>>;
    /// One evaluator.
    async fn scenario(&self, scope: Scope, id: ScenarioId) -> Result<Scenario>;
    /// Evaluators, by id.
    async fn scenarios(
        &self,
        scope: Scope,
        filter: ScenarioFilter,
        page: Page,
    ) -> Result<Listing<Scenario>>;
    /// Replaces an evaluator.
    async fn update_scenario(&self, scenario: &Scenario, now: Timestamp) -> Result<()>;
    /// Deletes these evaluators, or none if one of them is not there.
    async fn delete_scenarios(&self, scope: Scope, ids: &[ScenarioId]) -> Result<()>;
    /// Adds tags to these evaluators, or to none if one of them is not there. An evaluator holds each
    /// tag once.
    async fn add_tags(
        &self,
        scope: Scope,
        ids: &[ScenarioId],
        tags: &[String],
        now: Timestamp,
    ) -> Result<()>;
    /// Every tag in use and how many evaluators have it, by name.
    async fn tags(&self, scope: Scope, filter: ScenarioFilter) -> Result<Vec<(String, u64)>>;
}

/// Folders of evaluators.
#[async_trait]
pub trait Folders: Send + Sync {
    /// Stores a folder, which exists without evaluators too. [`Error::Conflict`](crate::Error::Conflict) if there is one
    /// with that path, [`Error::NotFound`](crate::Error::NotFound) if its parent is not there.
    async fn create_folder(
        &self,
        scope: Scope,
        project: ProjectId,
        path: &str,
        now: Timestamp,
    ) -> Result<Folder>;
    /// Folders, by path: those that were created.
    async fn folders(
        &self,
        scope: Scope,
        filter: FolderFilter,
        page: Page,
    ) -> Result<Listing<Folder>>;
    /// One folder.
    async fn folder(&self, scope: Scope, id: FolderId) -> Result<Folder>;
}

/// Variables for both sides of a call.
#[async_trait]
pub trait TestProfiles: Send + Sync {
    /// Stores a new test profile.
    async fn create_test_profile(&self, new: NewTestProfile, now: Timestamp)
    -> Result<TestProfile>;
    /// One test profile.
    async fn test_profile(&self, scope: Scope, id: TestProfileId) -> Result<TestProfile>;
    /// Test profiles, by id.
    async fn test_profiles(
        &self,
        scope: Scope,
        filter: TestProfileFilter,
        page: Page,
    ) -> Result<Listing<TestProfile>>;
    /// Those of these test profiles that are in the scope, by id.
    async fn test_profiles_by_id(
        &self,
        scope: Scope,
        ids: &[TestProfileId],
    ) -> Result<Vec<TestProfile>>;
    /// Replaces a test profile.
    async fn update_test_profile(&self, profile: &TestProfile, now: Timestamp) -> Result<()>;
    /// Deletes a test profile.
    async fn delete_test_profile(&self, scope: Scope, id: TestProfileId) -> Result<()>;
}

/// Personalities that users made. The built-in ones are not rows.
#[async_trait]
pub trait Personalities: Send + Sync {
    /// Stores a new personality.
    async fn create_personality(&self, new: NewPersonality, now: Timestamp) -> Result<Personality>;
    /// One personality.
    async fn personality(&self, scope: Scope, id: PersonalityId) -> Result<Personality>;
    /// Personalities, by id, at most 10,000.
    async fn personalities(
        &self,
        scope: Scope,
        project: Option<ProjectId>,
    ) -> Result<Vec<Personality>>;
    /// Replaces a personality.
    async fn update_personality(&self, personality: &Personality, now: Timestamp) -> Result<()>;
    /// Deletes a personality. Runs keep its name.
    async fn delete_personality(&self, scope: Scope, id: PersonalityId) -> Result<()>;
}

/// Phone numbers. A project's scope sees its own and those that are the whole organisation's.
#[async_trait]
pub trait Numbers: Send + Sync {
    /// Adds a number, and gives it to evaluators that have none and may use it.
    /// [`Error::Conflict`](crate::Error::Conflict) if the number is registered already, by anybody.
    async fn add_phone_number(&self, new: NewPhoneNumber, now: Timestamp) -> Result<PhoneNumber>;
    /// One number.
    async fn phone_number(&self, scope: Scope, id: PhoneNumberId) -> Result<PhoneNumber>;
    /// Numbers, by id.
    async fn phone_numbers(&self, scope: Scope, page: Page) -> Result<Listing<PhoneNumber>>;
    /// Removes a number. [`Error::Conflict`](crate::Error::Conflict) while unfinished runs wait on it. A project's scope
    /// removes its own only.
    async fn delete_phone_number(&self, scope: Scope, id: PhoneNumberId) -> Result<()>;
    /// How many runs are pending on this number.
    async fn pending_on(&self, scope: Scope, number: &E164) -> Result<u32>;
}
