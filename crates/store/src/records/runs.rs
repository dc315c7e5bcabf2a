use std::time::Duration;

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Effect, State, Status, Window};
use ringdown_domain::{
    AgentId, CallId, CronJobId, E164, HolderId, OrganisationId, PersonalityId, ProjectId, ResultId,
    RunId, ScenarioId, Team, TestProfileId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::Extra;

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
    /// Batches of a higher priority go first inside a project,
    /// [`MIN_PRIORITY`](ringdown_domain::admission::MIN_PRIORITY) to
    /// [`MAX_PRIORITY`](ringdown_domain::admission::MAX_PRIORITY).
    pub priority: i32,
    /// The settings it was triggered with, for `run_settings`.
    pub settings: serde_json::Value,
    /// Whether its runs wait for the pre-run webhook.
    pub gated: bool,
    /// The job that triggered it.
    pub cron_job: Option<CronJobId>,
    /// Its runs, counted.
    pub counts: Counts,
    /// When it was triggered.
    pub created_at: Timestamp,
    /// When one of its runs last changed.
    pub updated_at: Timestamp,
}

/// How many runs of a batch are in which state. Kept exact by every transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All runs.
    pub total: u64,
    /// Waiting for a slot.
    pub in_queue: u64,
    /// May be dialed.
    pub pending: u64,
    /// In a call.
    pub in_progress: u64,
    /// Being scored.
    pub evaluating: u64,
    /// Scored.
    pub completed: u64,
    /// Without a usable conversation or score.
    pub failed: u64,
    /// Without a call in their window.
    pub timeout: u64,
    /// Ended by a user.
    pub cancelled: u64,
    /// Completed and passed.
    pub passed: u64,
    /// Had a call.
    pub connected: u64,
    /// Length of all calls together.
    pub duration: Duration,
}

impl Counts {
    /// Runs that reached an end state.
    pub fn ended(&self) -> u64 {
        self.completed + self.failed + self.timeout + self.cancelled
    }
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
    /// Batches of a higher priority go first inside a project,
    /// [`MIN_PRIORITY`](ringdown_domain::admission::MIN_PRIORITY) to
    /// [`MAX_PRIORITY`](ringdown_domain::admission::MAX_PRIORITY).
    pub priority: i32,
    /// The settings it was triggered with.
    pub settings: serde_json::Value,
    /// Caller IDs the agent may call from.
    pub caller_ids: Vec<E164>,
    /// The dialer route; `None` if the agent calls by itself.
    pub dial_route: Option<String>,
    /// Whether its runs wait for the pre-run webhook.
    pub gated: bool,
    /// The job that triggers it, and when it was due: storing the batch moves the job on.
    pub cron_job: Option<Firing>,
    /// A key of the client's own: a second batch with it is not stored.
    pub idempotency: Option<Idempotency>,
    /// What the runs have in common.
    pub templates: Vec<NewTemplate>,
    /// Its runs, in queue order.
    pub runs: Vec<NewRun>,
}

/// One due time of a cron job. It is over once its batch is stored, in the same transaction, so a process
/// that dies triggers it again after its start or has triggered it, and never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The job.
    pub job: CronJobId,
    /// When it was due.
    pub due: Timestamp,
    /// When it is due the next time; `None` for never.
    pub next: Option<Timestamp>,
}

/// A client's promise that requests with the same key are the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key.
    pub key: String,
    /// SHA-256 of the request, to tell a repetition from a mistake.
    pub request_sha256: [u8; 32],
}

/// What was triggered before with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The batch.
    pub result: ResultId,
    /// SHA-256 of the request that triggered it.
    pub request_sha256: [u8; 32],
    /// The answer given then, if it was kept.
    pub answer: Option<String>,
}

/// What all runs of one evaluator with one personality and one test profile have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTemplate {
    /// The evaluator.
    pub scenario: ScenarioId,
    /// The evaluator's name.
    pub scenario_name: String,
    /// The personality.
    pub personality: Option<PersonalityId>,
    /// The personality's name.
    pub personality_name: String,
    /// The test profile.
    pub test_profile: Option<ProfileSnapshot>,
    /// What the testing agent does.
    pub script: Script,
}

/// What some runs of a stored batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedTemplate {
    /// The evaluator.
    pub scenario: ScenarioId,
    /// The personality.
    pub personality: Option<PersonalityId>,
    /// The test profile.
    pub test_profile: Option<TestProfileId>,
    /// How many runs.
    pub runs: u32,
}

/// A run to store.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Index of its template.
    pub template: usize,
    /// The number to call; `None`: one of the organisation's that no unfinished run uses.
    pub number: Option<E164>,
}

/// A run that was just stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggeredRun {
    /// Its id.
    pub id: RunId,
    /// Index of its template in the batch that was triggered.
    pub template: usize,
    /// The number to call.
    pub number: E164,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// The run.
    pub id: RunId,
    /// Its state.
    pub status: Status,
    /// Its dial window, once it has had one.
    pub window: Option<Window>,
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
    /// The personality.
    pub personality: Option<PersonalityId>,
    /// The personality's name.
    pub personality_name: String,
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
    /// Grows with every change, a transition or not.
    pub version: u64,
    /// Its state.
    pub state: State,
    /// Its dial window, once it has had one.
    pub window: Option<Window>,
    /// The call it was matched to, once there was one.
    pub call: Option<CallId>,
    /// The testing agent that held or holds the call, if it can be told whether it lives.
    pub holder: Option<HolderId>,
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
    /// What was written about it beside its state: by users, under names of the API, and by the
    /// platform about its call.
    pub notes: Extra,
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
    /// What is written about it: each note replaces the one of its name, the others stay.
    pub notes: Option<Extra>,
}

/// A run after a transition, and what the transition demands.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The run as it is now.
    pub run: Run,
    /// What has to happen in the world.
    pub effects: Vec<Effect>,
}

/// Which runs to list. Every condition that is set has to hold; an empty list sets none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// Only of this batch.
    pub result: Option<ResultId>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of these agents.
    pub agents: Vec<AgentId>,
    /// Only in these states.
    pub statuses: Vec<Status>,
    /// Only these.
    pub ids: Vec<RunId>,
    /// Only with these digits in the id.
    pub id_contains: Option<String>,
    /// Only triggered at or after.
    pub created_from: Option<Timestamp>,
    /// Only triggered at or before.
    pub created_to: Option<Timestamp>,
    /// Only passed, or only not passed ones; neither has those that are not completed.
    pub success: Option<bool>,
    /// Only with a call at least this long.
    pub min_duration: Option<Duration>,
    /// Only with a call at most this long.
    pub max_duration: Option<Duration>,
    /// Only of this call.
    pub call: Option<String>,
    /// Only with this in the call's id, ignoring case.
    pub call_contains: Option<String>,
    /// Only of these evaluators.
    pub scenarios: Vec<ScenarioId>,
    /// Only with these personalities.
    pub personalities: Vec<PersonalityId>,
    /// Only of evaluators with one of these tags.
    pub tags: Vec<String>,
    /// Only with this in the evaluator's name, the batch's name, the agent's name or the number.
    pub search: Option<String>,
    /// Only whose call ended for one of these reasons.
    pub ended_reasons: Vec<String>,
    /// Only with this in the reason, ignoring case.
    pub ended_reason_contains: Option<String>,
}

/// Which batches to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchFilter {
    /// Only of this agent.
    pub agent: Option<AgentId>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only with this in the name, ignoring case.
    pub search: Option<String>,
    /// Only with a run of one of these evaluators.
    pub scenarios: Vec<ScenarioId>,
}

/// What has to be announced.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its name in the outbox.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: Announcement,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// A batch was accepted: all its runs entered the queue, as their first transition.
    Accepted(ResultId),
    /// A run entered another state.
    Entered(Box<Entered>),
}

/// A transition of a run.
#[derive(Clone, Debug)]
pub struct Entered {
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

/// A batch that is kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Its organisation.
    pub org: OrganisationId,
    /// The batch.
    pub batch: ResultId,
}
