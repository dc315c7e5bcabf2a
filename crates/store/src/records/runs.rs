use std::time::Duration;

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Effect, State, Status, Window};
use ringdown_domain::{
    AgentId, CallId, E164, OrganisationId, ProjectId, ResultId, RunId, ScenarioId, Team, Timestamp,
};
use serde::{Deserialize, Serialize};

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
