use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ringdown_domain::run::Status;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{TestProfileData, null_is_default};

/// State of a run or result on the wire. A status this build does not know is kept as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RunStatus {
    /// One of the domain's states.
    Known(Status),
    /// `running`: at least one run is unfinished.
    Running,
    /// `scaling_up`: capacity is being added.
    ScalingUp,
    /// Something newer.
    Other(String),
    /// The field was missing.
    #[default]
    Missing,
}

impl RunStatus {
    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(status) => status.as_str(),
            Self::Running => "running",
            Self::ScalingUp => "scaling_up",
            Self::Other(text) => text,
            Self::Missing => "",
        }
    }

    /// The domain's state, if there is one for it.
    pub fn known(&self) -> Option<Status> {
        match self {
            Self::Known(status) => Some(*status),
            Self::Running => Some(Status::InProgress),
            Self::ScalingUp => Some(Status::InQueue),
            Self::Other(_) | Self::Missing => None,
        }
    }
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        Self::Known(status)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RunStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RunStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(match text.as_deref() {
            None | Some("") => Self::Missing,
            Some("running") => Self::Running,
            Some("scaling_up") => Self::ScalingUp,
            Some(text) => Status::parse(text)
                .map_or_else(|| Self::Other(text.chars().take(64).collect()), Self::Known),
        })
    }
}

impl JsonSchema for RunStatus {
    fn schema_name() -> Cow<'static, str> {
        "RunStatus".into()
    }

    /// What is sent; a reader should expect further texts.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known = Status::ALL.iter().map(|status| status.as_str());
        let texts: Vec<&str> = known.chain(["running", "scaling_up"]).collect();
        json_schema!({"type": "string", "enum": texts})
    }
}

/// A run (`Run`). Only `id` and `status` have to be there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The run.
    pub id: i64,
    /// Its state.
    pub status: RunStatus,
    /// The evaluator.
    #[serde(default)]
    pub scenario: Option<i64>,
    /// The evaluator's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_name: String,
    /// Kind of evaluator; always a list of instructions here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_type: String,
    /// The personality.
    #[serde(default)]
    pub personality: Option<i64>,
    /// The personality's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub personality_name: String,
    /// The agent under test.
    #[serde(default)]
    pub agent: Option<i64>,
    /// The agent's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// Its call, once it was matched to one; else empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub provider_call_id: String,
    /// A name its users gave it in their traces, at most 32 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub trace_id: String,
    /// The result it belongs to.
    #[serde(default)]
    pub result_id: Option<i64>,
    /// That result's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub result_name: String,
    /// The number to call, E.164.
    #[serde(default)]
    pub outbound_number: Option<String>,
    /// Number of an inbound agent; null for outbound runs.
    #[serde(default)]
    pub inbound_number: Option<String>,
    /// Caller ID expected instead of the agent's.
    #[serde(default)]
    pub agent_number: Option<String>,
    /// Whether it passed; null until it is completed.
    #[serde(default)]
    pub success: Option<bool>,
    /// `success` or `failure`, once completed; a reviewer's verdict, `reviewed_success` or
    /// `reviewed_failure`, stands before it.
    #[serde(default)]
    pub evaluation_status: Option<String>,
    /// Whether somebody reviewed it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_reviewed: bool,
    /// What a reviewer wrote.
    #[serde(default, deserialize_with = "null_is_default")]
    pub feedback: String,
    /// Rules for passing; none here.
    #[serde(default)]
    pub rubric: serde_json::Value,
    /// Findings by weight; none here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub critical_categories: Vec<serde_json::Value>,
    /// What was measured.
    #[serde(default)]
    pub evaluation: Option<Evaluation>,
    /// What had to happen for it to pass.
    #[serde(default, deserialize_with = "null_is_default")]
    pub expected_outcome_prompt: String,
    /// What the testing agent was told.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_instructions: String,
    /// Verdict on the expected outcome; null if nothing judged it.
    #[serde(default)]
    pub expected_outcome: serde_json::Value,
    /// The conversation as text.
    #[serde(default, deserialize_with = "null_is_default")]
    pub transcript: String,
    /// The conversation turn by turn.
    #[serde(default, deserialize_with = "null_is_default")]
    pub transcript_object: Vec<TranscriptTurn>,
    /// Length of the call as `MM:SS`.
    #[serde(default)]
    pub duration: serde_json::Value,
    /// Where the recording is; empty on the wire if there is none.
    #[serde(default, with = "crate::empty_if_none")]
    #[schemars(with = "String")]
    pub voice_recording_url: Option<String>,
    /// When it was triggered, RFC 3339.
    #[serde(default)]
    pub timestamp: Option<String>,
    /// When its call was matched, RFC 3339.
    #[serde(default)]
    pub executed_at: Option<String>,
    /// Why it has no score.
    #[serde(default, deserialize_with = "null_is_default")]
    pub error_message: String,
    /// Further facts, `ended_reason` among them; of a run that is shown alone also `attempts`, its
    /// calls and dials in the ledger, the newest 50.
    #[serde(default)]
    pub metadata: serde_json::Value,
    /// Its test profile.
    #[serde(default)]
    pub test_profile_data: Option<TestProfileData>,
    /// Whether it runs as text; never here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub run_as_text: bool,
    /// Kind of run; null: an ordinary one.
    #[serde(default)]
    pub run_type: Option<String>,
    /// Channel of the recording that holds the testing agent, from 0; null without a recording.
    #[serde(default)]
    pub testing_channel_index: Option<i64>,
    /// Mail address of a run by mail; never here.
    #[serde(default)]
    pub email_id: Option<String>,
    /// What a provider says of the call; nothing here.
    #[serde(default)]
    pub provider_call_details: serde_json::Value,
    /// Made-up answers of tools; none here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub generated_mock_tool_entries: Vec<serde_json::Value>,
    /// Tools that were replaced; none here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub mocked_tool_names: Vec<String>,
    /// When it may be dialed, RFC 3339; null until it is pending.
    #[serde(default)]
    pub outbound_dial_window_opens_at: Option<String>,
    /// Length of the dial window in seconds.
    #[serde(default, serialize_with = "crate::whole_seconds")]
    pub outbound_dial_window_seconds: Option<f64>,
    /// When a call is too late, RFC 3339.
    #[serde(default)]
    pub outbound_dial_window_closes_at: Option<String>,
}

/// What was measured on a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// One entry per metric.
    #[serde(default, deserialize_with = "null_is_default")]
    pub metrics: Vec<Metric>,
}

/// One metric of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Its id.
    #[serde(default)]
    pub id: Option<i64>,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// `numeric`, `binary` or, from a remote service, something else.
    #[serde(default, rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Its value; 5 or 0 for binary metrics.
    #[serde(default)]
    pub score: serde_json::Value,
    /// The verdict of a binary metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// The chosen text of a metric that chooses one; else empty.
    #[serde(default, rename = "enum", deserialize_with = "null_is_default")]
    pub choice: String,
    /// Its value as a text; empty if it could not be measured.
    #[serde(default)]
    pub value: serde_json::Value,
    /// A sentence, or several.
    #[serde(default)]
    pub explanation: serde_json::Value,
    /// Stable code.
    #[serde(default, deserialize_with = "null_is_default")]
    pub function_name: String,
    /// Stable code, as webhooks name it.
    #[serde(default)]
    pub vocera_defined_metric_code: Option<String>,
    /// Percentiles and the like.
    #[serde(default)]
    pub extra: Option<MetricExtra>,
}

/// Details of a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricExtra {
    /// `p50` and its like.
    #[serde(default, deserialize_with = "null_is_default")]
    pub percentiles: BTreeMap<String, f64>,
    /// Unit of the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// One turn of the conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptTurn {
    /// `Testing Agent` or `Main Agent`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub role: String,
    /// What was said, where it is known.
    #[serde(default, deserialize_with = "null_is_default")]
    pub content: String,
    /// What was said, in lower case.
    #[serde(default, deserialize_with = "null_is_default")]
    pub normalized_content: String,
    /// Where it differs from what was to be said; nothing here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub comparison_spans: Vec<serde_json::Value>,
    /// The same as `start_time`.
    #[serde(default)]
    pub timestamp: Option<f64>,
    /// Seconds from the start of the call.
    #[serde(default)]
    pub start_time: Option<f64>,
    /// Seconds from the start of the call.
    #[serde(default)]
    pub end_time: Option<f64>,
}
