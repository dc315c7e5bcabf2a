use std::time::Duration;

use ringdown_domain::{
    AgentId, E164, OrganisationId, PhoneNumberId, ProjectId, ScenarioId, TestProfileId, Timestamp,
};

use super::Extra;

/// An agent under test.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: String,
    /// Whether it takes calls instead of making them.
    pub inbound: bool,
    /// The number it calls from, exactly as the user gave it; empty if unset.
    pub contact_number: Option<E164>,
    /// Numbers it may call from; the contact number counts if this is empty.
    pub outbound_numbers: Vec<E164>,
    /// The dialer route that makes it call; `None` if it calls by itself.
    pub dial_route: Option<String>,
    /// The other API fields.
    pub extra: Extra,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An agent to create.
#[derive(Clone, Debug)]
pub struct NewAgent {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: String,
    /// Whether it takes calls instead of making them.
    pub inbound: bool,
    /// The number it calls from.
    pub contact_number: Option<E164>,
    /// Numbers it may call from.
    pub outbound_numbers: Vec<E164>,
    /// The dialer route that makes it call.
    pub dial_route: Option<String>,
    /// The other API fields.
    pub extra: Extra,
}

/// Which agents to list.
#[derive(Clone, Debug, Default)]
pub struct AgentFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only with this in the name, ignoring case.
    pub name_contains: Option<String>,
}

/// An evaluator, called scenario by the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its id.
    pub id: ScenarioId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// The agent it tests.
    pub agent: AgentId,
    /// Its name, at most 80 characters.
    pub name: String,
    /// The number it is called on.
    pub phone_number: Option<PhoneNumberId>,
    /// That number, joined in when read.
    pub number: Option<E164>,
    /// Its test profile.
    pub test_profile: Option<TestProfileId>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its folder, with `.` between levels.
    pub folder_path: Option<String>,
    /// What the testing agent says first; empty: the agent under test speaks first.
    pub first_message: String,
    /// Longest call; `None`: the project's.
    pub max_duration: Option<Duration>,
    /// The other API fields (instructions, conditional_actions, expected_outcome_prompt, ...).
    pub extra: Extra,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An evaluator to create.
#[derive(Clone, Debug)]
pub struct NewScenario {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// The agent it tests.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// The number it is called on; `None`: one is chosen.
    pub phone_number: Option<PhoneNumberId>,
    /// Its test profile.
    pub test_profile: Option<TestProfileId>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its folder.
    pub folder_path: Option<String>,
    /// What the testing agent says first.
    pub first_message: String,
    /// Longest call.
    pub max_duration: Option<Duration>,
    /// The other API fields.
    pub extra: Extra,
}

/// How the tags of a filter combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagMatch {
    /// At least one of them.
    #[default]
    Any,
    /// All of them.
    All,
    /// None of them.
    None,
}

/// Which evaluators to list.
#[derive(Clone, Debug, Default)]
pub struct ScenarioFilter {
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only these ids.
    pub ids: Option<Vec<ScenarioId>>,
    /// Only with these tags.
    pub tags: Vec<String>,
    /// How the tags combine.
    pub tag_match: TagMatch,
    /// Only in this folder or below it.
    pub folder_path: Option<String>,
}

/// Variables for both sides of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct TestProfile {
    /// Its id.
    pub id: TestProfileId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project, if it is a project's.
    pub project: Option<ProjectId>,
    /// Its agent, if it is an agent's.
    pub agent: Option<AgentId>,
    /// Its name.
    pub name: String,
    /// The variables.
    pub information: serde_json::Value,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A test profile to create.
#[derive(Clone, Debug)]
pub struct NewTestProfile {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project, if it is a project's.
    pub project: Option<ProjectId>,
    /// Its agent, if it is an agent's.
    pub agent: Option<AgentId>,
    /// Its name.
    pub name: String,
    /// The variables.
    pub information: serde_json::Value,
}

/// Which test profiles to list.
#[derive(Clone, Debug, Default)]
pub struct TestProfileFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of this agent.
    pub agent: Option<AgentId>,
}

/// A number the deployment answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneNumber {
    /// Its id.
    pub id: PhoneNumberId,
    /// Its organisation.
    pub org: OrganisationId,
    /// The number.
    pub number: E164,
    /// A name for people.
    pub name: Option<String>,
    /// The evaluator that uses it, if exactly one or several do: the oldest.
    pub scenario: Option<(ScenarioId, String)>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A number to add.
#[derive(Clone, Debug)]
pub struct NewPhoneNumber {
    /// Its organisation.
    pub org: OrganisationId,
    /// The number.
    pub number: E164,
    /// A name for people.
    pub name: Option<String>,
}
