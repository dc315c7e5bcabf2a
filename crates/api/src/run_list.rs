use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Metric, RunStatus, null_is_default};

/// A run in a listing (`RunList`): without its conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// The run.
    pub id: i64,
    /// Its state.
    pub status: RunStatus,
    /// Its call, once it was matched to one; else empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub provider_call_id: String,
    /// A name its users gave it in their traces.
    #[serde(default, deserialize_with = "null_is_default")]
    pub trace_id: String,
    /// The evaluator.
    #[serde(default)]
    pub scenario: Option<i64>,
    /// The evaluator's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_name: String,
    /// The personality.
    #[serde(default)]
    pub personality: Option<i64>,
    /// The personality's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub personality_name: String,
    /// The result it belongs to.
    #[serde(default)]
    pub result_id: Option<i64>,
    /// The agent under test.
    #[serde(default)]
    pub agent: Option<i64>,
    /// The agent's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// The agent's version; always empty here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_version: String,
    /// Length of the call as `MM:SS`.
    #[serde(default)]
    pub duration: serde_json::Value,
    /// `success` or `failure`, once completed; a reviewer's verdict stands before it.
    #[serde(default)]
    pub evaluation_status: Option<String>,
    /// Verdict on the expected outcome; null if nothing judged it.
    #[serde(default)]
    pub expected_outcome: serde_json::Value,
    /// Whether it passed; null until it is completed.
    #[serde(default)]
    pub success: Option<bool>,
    /// When it was triggered, RFC 3339.
    #[serde(default)]
    pub timestamp: Option<String>,
    /// When its call was matched, RFC 3339.
    #[serde(default)]
    pub executed_at: Option<String>,
    /// Further facts, `ended_reason` among them.
    #[serde(default)]
    pub metadata: serde_json::Value,
    /// The number to call, E.164.
    #[serde(default)]
    pub outbound_number: Option<String>,
    /// Number of an inbound agent; null for outbound runs.
    #[serde(default)]
    pub inbound_number: Option<String>,
    /// Caller ID expected instead of the agent's.
    #[serde(default)]
    pub agent_number: Option<String>,
    /// Findings by weight; none here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub critical_categories: Vec<serde_json::Value>,
    /// What was measured.
    #[serde(default, deserialize_with = "null_is_default")]
    pub metrics: Vec<Metric>,
    /// Why it has no score.
    #[serde(default, deserialize_with = "null_is_default")]
    pub error_message: String,
    /// Whether it runs as text; never here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub run_as_text: bool,
    /// The test profile's name; empty without one.
    #[serde(default, deserialize_with = "null_is_default")]
    pub test_profile_name: String,
    /// Kind of run; null: an ordinary one.
    #[serde(default)]
    pub run_type: Option<String>,
    /// When it may be dialed, RFC 3339; null until it is pending.
    #[serde(default)]
    pub outbound_dial_window_opens_at: Option<String>,
    /// Length of the dial window in seconds.
    #[serde(default)]
    pub outbound_dial_window_seconds: Option<f64>,
    /// When a call is too late, RFC 3339.
    #[serde(default)]
    pub outbound_dial_window_closes_at: Option<String>,
}

/// Where a call can be listened to (`get_listen_url`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenUrl {
    /// The run.
    pub id: i64,
    /// Its recording; takes the same API key.
    pub listen_url: String,
    /// The same.
    pub voice_recording_url: String,
}
