use std::time::Duration;

use ringdown_domain::{
    AgentId, CronJobId, E164, FolderId, KeyId, OrganisationId, PersonalityId, PhoneNumberId,
    ProjectId, ScenarioId, TestProfileId, Timestamp,
};

use super::{Extra, Scope, SecretChange};

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

impl Agent {
    /// The caller IDs it is recognised by: its `outbound_numbers`, else its `contact_number`.
    pub fn caller_ids(&self) -> &[E164] {
        if self.outbound_numbers.is_empty() {
            self.contact_number.as_slice()
        } else {
            &self.outbound_numbers
        }
    }
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
    /// Its secrets.
    pub secrets: Vec<SecretChange>,
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
    /// The only project that may use it; `None`: all of the organisation.
    pub project: Option<ProjectId>,
    /// The number.
    pub number: E164,
    /// A name for people.
    pub name: Option<String>,
    /// Whose number it is: `own` for a trunk of the deployment's, else the provider it came from.
    pub provider: String,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Whether its user wants text messages; kept for the API.
    pub sms_enabled: bool,
    /// The evaluator that uses it, if exactly one or several do: the oldest.
    pub scenario: Option<(ScenarioId, String)>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A number to add.
#[derive(Clone, Debug)]
pub struct NewPhoneNumber {
    /// Its organisation and the only project that may use it, if it is not for all.
    pub scope: Scope,
    /// The number.
    pub number: E164,
    /// A name for people.
    pub name: Option<String>,
    /// `own`, or the provider it came from.
    pub provider: String,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Whether its user wants text messages.
    pub sms_enabled: bool,
    /// The provider's credentials.
    pub secrets: Vec<SecretChange>,
}

/// A personality made by a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Personality {
    /// Its id, above those of the built-in ones.
    pub id: PersonalityId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: String,
    /// Its language, for example `en`.
    pub language: String,
    /// The other API fields.
    pub extra: Extra,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A personality to create.
#[derive(Clone, Debug)]
pub struct NewPersonality {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// The other API fields.
    pub extra: Extra,
}

/// A folder of evaluators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its id.
    pub id: FolderId,
    /// Its project.
    pub project: ProjectId,
    /// Its path, with `.` between levels.
    pub path: String,
    /// Evaluators in it, not counting folders below.
    pub scenarios: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which folders to list.
#[derive(Clone, Debug, Default)]
pub struct FolderFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only directly below this path; an empty path means the top level.
    pub parent: Option<String>,
    /// Only with this in the path, ignoring case.
    pub search: Option<String>,
    /// Only those that hold an evaluator of this agent.
    pub agent: Option<AgentId>,
}

/// A job that triggers runs on a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct CronJob {
    /// Its id.
    pub id: CronJobId,
    /// What it is.
    pub job: NewCronJob,
    /// When it last triggered runs, or tried to.
    pub last_run_at: Option<Timestamp>,
    /// What came of that: `triggered result 7`, or why nothing was triggered.
    pub last_outcome: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A job to create, or what a job is changed to.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCronJob {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// The agent under test.
    pub agent: Option<AgentId>,
    /// Its name.
    pub name: String,
    /// When it runs: five fields.
    pub expression: String,
    /// The IANA time zone of the expression.
    pub timezone: String,
    /// Whether it runs.
    pub is_active: bool,
    /// What it triggers: the other API fields.
    pub extra: Extra,
    /// When it runs next; `None` if never.
    pub next_run_at: Option<Timestamp>,
    /// The key it was made with.
    pub created_by: Option<KeyId>,
}
