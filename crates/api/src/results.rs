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
    /// The agent's version; always empty here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_version: String,
    /// Runs that met what was expected of them: those that passed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub met_expected_outcome_count: i64,
    /// Runs that were judged: those that are completed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub total_expected_outcome_count: i64,
    /// Whether a cron job triggered it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_cronjob: bool,
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
    /// Runs that ended without a usable conversation: failed or timed out.
    #[serde(default, deserialize_with = "null_is_default")]
    pub failed_infrastructure_runs: i64,
    /// Runs that are completed and did not pass.
    #[serde(default, deserialize_with = "null_is_default")]
    pub failed_workflow_runs: i64,
    /// Runs whose call could be scored.
    #[serde(default, deserialize_with = "null_is_default")]
    pub successful_calls: i64,
    /// Evaluators of the result.
    #[serde(default)]
    pub scenarios: serde_json::Value,
    /// All metrics over all runs.
    #[serde(default)]
    pub overall_evaluation: serde_json::Value,
    /// Findings by weight; none here.
    #[serde(default)]
    pub critical_categories: serde_json::Value,
    /// What was measured, one entry per metric.
    #[serde(default)]
    pub metrics: serde_json::Value,
    /// Numeric metrics with their spread over the runs.
    #[serde(default)]
    pub performance_metrics: serde_json::Value,
    /// Runs counted by the tags that their evaluators have now.
    #[serde(default)]
    pub runs_by_tags: serde_json::Value,
    /// The agent's latency over all runs, in milliseconds; empty if it was never measured.
    #[serde(default)]
    pub latency_data: serde_json::Value,
    /// Why runs failed or did not pass, the most frequent reason first.
    #[serde(default)]
    pub failed_reasons: serde_json::Value,
    /// A summary in words; never here.
    #[serde(default)]
    pub ai_summary: serde_json::Value,
    /// State of that summary; always empty here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub ai_summary_status: String,
    /// Advice; never here.
    #[serde(default)]
    pub next_steps: serde_json::Value,
    /// Paths of a conversation that were taken; never here.
    #[serde(default)]
    pub path_coverage: serde_json::Value,
    /// Kind of result; null: an ordinary one.
    #[serde(default)]
    pub run_type: Option<String>,
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
    /// Whether the agent takes calls instead of making them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_inbound: bool,
    /// The agent's version; always empty here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_version: String,
    /// Runs that met what was expected of them: those that passed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub met_expected_outcome_count: i64,
    /// Runs that were judged: those that are completed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub total_expected_outcome_count: i64,
    /// Whether a cron job triggered it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_cronjob: bool,
    /// Whether it runs as text; never here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub run_as_text: bool,
    /// Kind of result; null: an ordinary one.
    #[serde(default)]
    pub run_type: Option<String>,
    /// Its evaluators by id.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenarios: BTreeMap<String, ResultScenario>,
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

/// An evaluator of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultScenario {
    /// The evaluator.
    pub id: i64,
    /// Its name when the result was triggered.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
}

/// A link that shows a result to whoever has it (`create_shareable_link_token`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareableLink {
    /// The secret in the link; shown once.
    pub token: String,
    /// The link.
    pub shareable_link: String,
    /// When it stops working, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub expire_at: String,
}
