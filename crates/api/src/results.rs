use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Run, RunStatus, null_is_default};

/// A result with its runs (`ResultDetailV2`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultDetail {
    /// The result.
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The agent under test.
    #[serde(default)]
    pub agent: Option<i64>,
    /// The agent's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// Its state.
    #[serde(default)]
    pub status: RunStatus,
    /// Percent of runs that passed, 0 to 100.
    #[serde(default, deserialize_with = "null_is_default")]
    pub success_rate: f64,
    /// Whether it runs as text; never here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub run_as_text: bool,
    /// Its runs by id.
    #[serde(default, deserialize_with = "null_is_default")]
    pub runs: BTreeMap<String, Run>,
    /// Length of all calls as `MM:SS`.
    #[serde(default)]
    pub total_duration: serde_json::Value,
    /// Number of runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub total_runs_count: i64,
    /// Runs that reached an end state.
    #[serde(default, deserialize_with = "null_is_default")]
    pub completed_runs_count: i64,
    /// Runs that passed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub success_runs_count: i64,
    /// Runs that ended otherwise.
    #[serde(default, deserialize_with = "null_is_default")]
    pub failed_runs_count: i64,
    /// Runs that had a call.
    #[serde(default, deserialize_with = "null_is_default")]
    pub connected_runs: i64,
    /// Runs that ended without a call.
    #[serde(default, deserialize_with = "null_is_default")]
    pub not_connected_runs: i64,
    /// Evaluators of the result.
    #[serde(default)]
    pub scenarios: serde_json::Value,
    /// The settings it was triggered with.
    #[serde(default)]
    pub run_settings: serde_json::Value,
    /// When it was triggered, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When one of its runs last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}

/// Answer to `POST results/ID/end_calls/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedCalls {
    /// The result.
    pub id: i64,
    /// Runs that were not over and are cancelled now.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cancelled_runs_count: u32,
}

/// A result in a listing (`Result`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultSummary {
    /// The result.
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The agent under test.
    #[serde(default)]
    pub agent: Option<i64>,
    /// The agent's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// Its state.
    #[serde(default)]
    pub status: RunStatus,
    /// Percent of runs that passed, 0 to 100.
    #[serde(default, deserialize_with = "null_is_default")]
    pub success_rate: f64,
    /// Number of runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub total_runs_count: i64,
    /// Runs that reached an end state.
    #[serde(default, deserialize_with = "null_is_default")]
    pub completed_runs_count: i64,
    /// Runs that passed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub success_runs_count: i64,
    /// Runs that ended otherwise.
    #[serde(default, deserialize_with = "null_is_default")]
    pub failed_runs_count: i64,
    /// When it was triggered, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When one of its runs last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}
