use std::time::Duration;

use ringdown_domain::attempt::Verdict;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Effect, State, Status, Window};
use ringdown_domain::{
    AgentId, CallId, E164, OrganisationId, PhoneNumberId, ProjectId, ResultId, RunId, ScenarioId,
    Team, TestProfileId, Timestamp,
};
use serde::{Deserialize, Serialize};

/// JSON object of API fields that the platform stores and returns but does not act on.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// One page of a listing, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Page number, from 1.
    pub number: u32,
    /// Rows per page.
    pub size: u32,
}

/// Rows of one page and how many there are in all.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// Rows over all pages.
    pub count: u64,
    /// Rows of this page.
    pub rows: Vec<T>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its token on the bus.
    pub team: Team,
    /// Its name.
    pub name: String,
    /// Parallel-call limit over all its projects; `None` is unlimited.
    pub parallel_limit: Option<u32>,
}

/// A tenant to create.
#[derive(Clone, Debug)]
pub struct NewOrganisation {
    /// Its token on the bus, unique.
    pub team: Team,
    /// Its name.
    pub name: String,
    /// Parallel-call limit; `None` is unlimited.
    pub parallel_limit: Option<u32>,
    /// SHA-256 of its first API key.
    pub key_sha256: [u8; 32],
    /// Whether that key administers the whole deployment.
    pub admin: bool,
}

/// An API key to register.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Whose key it is.
    pub org: OrganisationId,
    /// SHA-256 of the key.
    pub key_sha256: [u8; 32],
    /// What it is for.
    pub label: String,
    /// Whether it administers the whole deployment.
    pub admin: bool,
}

/// The holder of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The organisation whose data it may use.
    pub org: OrganisationId,
    /// The organisation's token on the bus.
    pub team: Team,
    /// Whether it administers the whole deployment.
    pub admin: bool,
}

/// What a refused caller hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// A final response with a reason.
    Explicit,
    /// Nothing, as the reference service does.
    Silent,
}

/// A project and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its name.
    pub name: String,
    /// Parallel-call limit; `None` is unlimited.
    pub parallel_limit: Option<u32>,
    /// Share of the organisation's slots relative to other projects, at least 1.
    pub weight: u32,
    /// Length of the dial window (`outbound_timeout`), 1 to 300 s.
    pub dial_window: Duration,
    /// Longest call (`max_call_duration`), 10 to 3600 s.
    pub max_call_duration: Duration,
    /// Mutual silence that ends a call.
    pub silence_timeout: Duration,
    /// What refused callers hear.
    pub reject: Reject,
    /// When it was created.
    pub created_at: Timestamp,
}

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

/// A batch of runs triggered together, called result by the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its id.
    pub id: ResultId,
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// The agent under test.
    pub agent: AgentId,
    /// The agent's name when the batch was triggered.
    pub agent_name: String,
    /// Its name.
    pub name: String,
    /// Its own parallel-call limit.
    pub concurrency_limit: Option<u32>,
    /// The settings it was triggered with, for `run_settings`.
    pub settings: serde_json::Value,
    /// When it was triggered.
    pub created_at: Timestamp,
    /// When one of its runs last changed.
    pub updated_at: Timestamp,
}

/// A batch to store.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// Its organisation.
    pub org: OrganisationId,
    /// Its project.
    pub project: ProjectId,
    /// The agent under test.
    pub agent: AgentId,
    /// The agent's name.
    pub agent_name: String,
    /// Its name.
    pub name: String,
    /// Its own parallel-call limit.
    pub concurrency_limit: Option<u32>,
    /// The settings it was triggered with.
    pub settings: serde_json::Value,
    /// Its runs, in queue order.
    pub runs: Vec<NewRun>,
}

/// A run to store.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The evaluator.
    pub scenario: ScenarioId,
    /// The evaluator's name.
    pub scenario_name: String,
    /// The number to call.
    pub number: E164,
    /// Caller IDs the agent may call from.
    pub caller_ids: Vec<E164>,
    /// The dialer route; `None` if the agent calls by itself.
    pub dial_route: Option<String>,
    /// Its test profile.
    pub test_profile: Option<ProfileSnapshot>,
    /// What the testing agent does.
    pub script: Script,
}

/// A test profile as it was when the run was triggered. Serialises as the API's `test_profile_data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileSnapshot {
    /// The profile's id.
    pub id: i64,
    /// The profile's name.
    pub name: String,
    /// The variables.
    pub information: serde_json::Value,
}

/// What the testing agent does on a run's call, fixed when the run was triggered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Said first; empty: the agent under test speaks first.
    pub first_message: String,
    /// Said one by one, each after the agent's turn.
    pub replies: Vec<String>,
    /// Said before hanging up.
    pub closing: String,
    /// Longest call, in milliseconds.
    pub max_duration_ms: u64,
    /// Mutual silence that ends the call, in milliseconds.
    pub silence_timeout_ms: u64,
    /// Language, for example `en`.
    pub language: String,
    /// The evaluator's instructions, for reports.
    pub instructions: String,
    /// The evaluator's expected outcome, for reports.
    pub expected_outcome: String,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its organisation.
    pub org: OrganisationId,
    /// The organisation's token on the bus.
    pub team: Team,
    /// Its project.
    pub project: ProjectId,
    /// Its batch.
    pub result: ResultId,
    /// The batch's name.
    pub result_name: String,
    /// The agent under test.
    pub agent: AgentId,
    /// The agent's name.
    pub agent_name: String,
    /// The evaluator.
    pub scenario: ScenarioId,
    /// The evaluator's name.
    pub scenario_name: String,
    /// The number to call.
    pub number: E164,
    /// Caller IDs the agent may call from.
    pub caller_ids: Vec<E164>,
    /// The dialer route; `None` if the agent calls by itself.
    pub dial_route: Option<String>,
    /// Its test profile.
    pub test_profile: Option<ProfileSnapshot>,
    /// What the testing agent does.
    pub script: Script,
    /// Number of transitions so far, from 1.
    pub seq: u64,
    /// Its state.
    pub state: State,
    /// Its dial window, once it has had one.
    pub window: Option<Window>,
    /// The call it was matched to, once there was one.
    pub call: Option<CallId>,
    /// When it was triggered.
    pub created_at: Timestamp,
    /// When its call was matched.
    pub executed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Length of the call.
    pub duration: Option<Duration>,
    /// How the call ended.
    pub ended_reason: Option<EndedReason>,
    /// Key of the recording among the artefacts.
    pub recording: Option<String>,
    /// The score, as JSON in the platform's own form.
    pub score: Option<serde_json::Value>,
}

impl Run {
    /// Its status.
    pub fn status(&self) -> Status {
        self.state.status()
    }

    /// Why it ended without a score, if it did.
    pub fn error_message(&self) -> Option<&str> {
        match &self.state {
            State::Failed { reason } | State::Timeout { reason } | State::Cancelled { reason } => {
                Some(reason)
            }
            _ => None,
        }
    }

    /// Whether it passed; `None` unless it is completed.
    pub fn success(&self) -> Option<bool> {
        match self.state {
            State::Completed { success } => Some(success),
            _ => None,
        }
    }
}

/// Facts about a run that come with an event. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct RunPatch {
    /// Length of the call.
    pub duration: Option<Duration>,
    /// How the call ended.
    pub ended_reason: Option<EndedReason>,
    /// Key of the recording.
    pub recording: Option<String>,
    /// The score.
    pub score: Option<serde_json::Value>,
}

/// A run after a transition, and what the transition demands.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The run as it is now.
    pub run: Run,
    /// What has to happen in the world.
    pub effects: Vec<Effect>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only of this batch.
    pub result: Option<ResultId>,
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only in these states; empty means any.
    pub statuses: Vec<Status>,
}

/// A queued run's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The run.
    pub run: RunId,
    /// Its place, from 1.
    pub position: u32,
    /// The limit that keeps it: `organisation`, `project` or `batch`.
    pub blocked_by: String,
}

/// How a call arrived, for the ledger.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Unique name of the ledger row: the call's id.
    pub attempt_id: String,
    /// Caller as the trunk sent it.
    pub from_raw: String,
    /// Callee as the trunk sent it.
    pub to_raw: String,
    /// Address the INVITE came from.
    pub source: String,
    /// SIP Call-ID.
    pub sip_call_id: String,
}

/// What a ledger row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// A call that arrived.
    Invite,
    /// A call a dialer made, or tried to.
    Dial,
}

impl AttemptKind {
    /// The text used on the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Dial => "dial",
        }
    }

    /// The kind with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Invite, Self::Dial]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A row for the ledger.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Unique name within its kind.
    pub attempt_id: String,
    /// What it is about.
    pub kind: AttemptKind,
    /// When it happened.
    pub at: Timestamp,
    /// Verdict text: [`Verdict`] for calls that arrived, `domain::dial::Stage` for dials.
    pub verdict: String,
    /// The organisation it belongs to, if any can be told.
    pub org: Option<OrganisationId>,
    /// The matched or nearest run.
    pub run: Option<RunId>,
    /// Whether `run` is only the nearest one.
    pub nearest: bool,
    /// Caller as it was sent.
    pub from_raw: String,
    /// Caller in E.164.
    pub from: Option<E164>,
    /// Callee as it was sent.
    pub to_raw: String,
    /// Callee in E.164.
    pub to: Option<E164>,
    /// Address it came from.
    pub source: String,
    /// SIP Call-ID, or the provider's id of a dial.
    pub sip_call_id: String,
    /// Final SIP response sent; 200 for a matched call; `None` for no response, and for dials.
    pub response: Option<u16>,
    /// One sentence for a person.
    pub explanation: String,
    /// The dialer route, for dials.
    pub route: String,
}

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Position in the ledger.
    pub id: i64,
    /// What was written.
    pub row: NewAttempt,
}

impl Attempt {
    /// The verdict, for calls that arrived.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.row.kind {
            AttemptKind::Invite => Verdict::parse(&self.row.verdict),
            AttemptKind::Dial => None,
        }
    }
}

/// Which attempts to list.
#[derive(Clone, Debug, Default)]
pub struct AttemptFilter {
    /// Only of this run, matched or nearest.
    pub run: Option<RunId>,
    /// Only of this kind.
    pub kind: Option<AttemptKind>,
    /// Only with this verdict.
    pub verdict: Option<String>,
    /// Only those not matched.
    pub refused: bool,
}

/// A transition that has to be announced.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Position; rows are published in this order.
    pub id: i64,
    /// When the transition happened.
    pub at: Timestamp,
    /// The run's seq after the transition.
    pub seq: u64,
    /// The state entered.
    pub status: Status,
    /// The dial window at that time.
    pub window: Option<Window>,
    /// Why the run ended without a score.
    pub error_message: Option<String>,
    /// Whether it passed.
    pub success: Option<bool>,
    /// The run; only its fixed fields (names, numbers, route, profile) belong to this row.
    pub run: Run,
}
