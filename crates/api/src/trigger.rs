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
