use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{RunStatus, TestProfileData, null_is_default};

/// Body of `POST scenarios/run_scenarios/`. Exactly one of `scenarios`, `tags` and `folder_path`
/// selects what runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunScenarios {
    /// The agent under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<i64>,
    /// The agent under test by its provider's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant_id: Option<String>,
    /// Evaluators by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios: Option<Vec<i64>>,
    /// Evaluators by tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Evaluators by folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_path: Option<String>,
    /// Project of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,
    /// Runs per evaluator, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<i64>,
    /// What the reference's sample script calls `frequency`; `frequency` wins if both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freq: Option<i64>,
    /// Name of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Number to use instead of the evaluators' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_phone_number: Option<String>,
    /// Personalities; each multiplies the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality_ids: Option<Vec<i64>>,
    /// One personality for all runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality_id: Option<i64>,
    /// Test profiles; each multiplies the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_profile_ids: Option<Vec<i64>>,
    /// One test profile for all runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_profile_id: Option<i64>,
    /// `same_number` (default) or `different_numbers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Caller ID to expect instead of the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_number: Option<String>,
    /// Parallel-call limit of this result, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_limit: Option<i64>,
    /// Results of a higher priority go first inside their project, -100 to 100; default 0. Our own addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Mock tools to switch on; kept with the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock_tool_names: Option<Vec<String>>,
}

/// Body of `POST results/ID/evaluate_metrics/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvaluateMetrics {
    /// Runs of the result, at least one.
    pub run_ids: Vec<String>,
    /// Metrics, at least one.
    pub metric_ids: Vec<String>,
}

/// Answer to `POST scenarios/run_scenarios_json/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SuiteAnswer {
    /// What was triggered.
    Triggered(TriggeredResult),
    /// What would be, if `dry_run` was asked for.
    Planned(PlannedSuite),
}

/// What running a suite would do. Nothing of it has happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSuite {
    /// Always true.
    pub dry_run: bool,
    /// The agent under test.
    pub agent: i64,
    /// What the result would be called.
    pub name: String,
    /// The state the result would be in.
    pub status: RunStatus,
    /// Whether it would run as text; never here.
    pub run_as_text: bool,
    /// None: they would be made.
    pub runs: Vec<TriggeredRun>,
    /// Runs that would be made.
    pub total_runs_count: i64,
    /// The evaluators, in the order of the suite.
    pub scenarios: Vec<PlannedPart>,
    /// The personalities that are written in the suite.
    pub personalities: Vec<PlannedPart>,
    /// The test profiles that are written in the suite.
    pub test_profiles: Vec<PlannedPart>,
}

/// Something that a suite would create or change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedPart {
    /// Its id; null if it would be created.
    pub id: Option<i64>,
    /// Its name.
    pub name: String,
    /// What identifies it from one commit to the next, for an evaluator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `create` or `update`.
    pub action: String,
    /// Runs it would make, for an evaluator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<i64>,
}

/// Answer to `POST scenarios/run_scenarios/`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggeredResult {
    /// The result.
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The agent under test.
    #[serde(default)]
    pub agent: Option<i64>,
    /// Its state.
    #[serde(default)]
    pub status: RunStatus,
    /// Percent of runs that passed so far.
    #[serde(default, deserialize_with = "null_is_default")]
    pub success_rate: f64,
    /// Whether it runs as text; never here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub run_as_text: bool,
    /// Every run, with its number.
    pub runs: Vec<TriggeredRun>,
    /// When it was triggered, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
}

/// A run in the answer to `POST scenarios/run_scenarios/`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggeredRun {
    /// The run.
    pub id: i64,
    /// Its state.
    #[serde(default)]
    pub status: RunStatus,
    /// The evaluator.
    #[serde(default)]
    pub scenario: Option<i64>,
    /// The evaluator's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_name: String,
    /// The number to call, as this answer names it.
    #[serde(default)]
    pub number: Option<String>,
    /// The number to call, as reads name it.
    #[serde(default)]
    pub outbound_number: Option<String>,
    /// Number of an inbound agent; null for outbound runs.
    #[serde(default)]
    pub inbound_number: Option<String>,
    /// Its test profile.
    #[serde(default)]
    pub test_profile_data: Option<TestProfileData>,
    /// When it may be dialed, RFC 3339; null until it is pending.
    #[serde(default)]
    pub outbound_dial_window_opens_at: Option<String>,
    /// Length of the dial window in seconds; null until it is pending.
    #[serde(default, serialize_with = "crate::whole_seconds")]
    pub outbound_dial_window_seconds: Option<f64>,
    /// When a call is too late, RFC 3339; null until it is pending.
    #[serde(default)]
    pub outbound_dial_window_closes_at: Option<String>,
}
