use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::null_is_default;

/// A way the testing agent speaks and behaves (`CreatePersonality`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Personality {
    /// Its id.
    pub id: i64,
    /// Its project; absent for the built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<i64>,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Its language.
    #[serde(default, deserialize_with = "null_is_default")]
    pub language: String,
    /// What is heard behind it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub background_noise: String,
    /// Its voice model.
    #[serde(default, deserialize_with = "null_is_default")]
    pub voice_model: String,
    /// Whether it may end the call.
    #[serde(default)]
    pub end_call_enabled: bool,
    /// Every other field.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A folder of evaluators (`ScenarioFolder`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioFolder {
    /// Its id; an addition to the reference.
    #[serde(default)]
    pub id: i64,
    /// The last level of its path.
    pub name: String,
    /// Its path, with `.` between levels.
    #[serde(default, deserialize_with = "null_is_default")]
    pub path: String,
    /// Its project; an addition to the reference.
    #[serde(default)]
    pub project_id: i64,
    /// Evaluators in it, not counting folders below; an addition to the reference.
    #[serde(default)]
    pub scenarios_count: u64,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}

/// Tags of evaluators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioTags {
    /// The tags, by name.
    pub tags: Vec<String>,
    /// How many evaluators have each.
    #[serde(default)]
    pub counts: std::collections::BTreeMap<String, u64>,
}

/// What tags were added to what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaggedScenarios {
    /// The evaluators.
    pub scenarios: Vec<i64>,
    /// The tags they all have now.
    pub tags: Vec<String>,
}

/// A job that triggers runs on a schedule (`CronJob`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CronJob {
    /// Its id.
    pub id: i64,
    /// The agent under test; absent if it is that of the evaluators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<i64>,
    /// Its project; an addition to the reference.
    #[serde(default)]
    pub project: i64,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// When it runs: five fields.
    pub crontab_expression: String,
    /// The IANA time zone of the expression.
    #[serde(default, deserialize_with = "null_is_default")]
    pub timezone: String,
    /// The evaluators it runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_ids: Vec<i64>,
    /// Those of them that are still there.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenarios_data: Vec<ScenarioBrief>,
    /// The first of its personalities.
    #[serde(default)]
    pub personality: Option<i64>,
    /// Its personalities; each multiplies the runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub personalities: Vec<i64>,
    /// Runs the evaluators with these tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// Runs per evaluator, 1 to 100.
    #[serde(default)]
    pub frequency: i64,
    /// Parallel-call limit of its results; an addition to the reference, which only takes it.
    #[serde(default)]
    pub concurrency_limit: Option<i64>,
    /// Whether it runs as text; never here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub run_as_text: bool,
    /// How its runs are made.
    #[serde(default, deserialize_with = "null_is_default")]
    pub execution_mode: String,
    /// On what its owner is told: `never`, `success`, `failure` or `both`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub notify_on: String,
    /// Whether it runs.
    #[serde(default)]
    pub is_active: bool,
    /// When it runs next, RFC 3339; an addition to the reference.
    #[serde(default)]
    pub next_run_at: Option<String>,
    /// When it last ran, RFC 3339; an addition to the reference.
    #[serde(default)]
    pub last_run_at: Option<String>,
    /// What came of that; an addition to the reference.
    #[serde(default, deserialize_with = "null_is_default")]
    pub last_outcome: String,
    /// The key it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<i64>,
    /// How it was made.
    #[serde(default)]
    pub created_via: Option<String>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Every other field.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An evaluator in short (`ScenarioInline`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioBrief {
    /// Its id.
    pub id: i64,
    /// The agent it tests.
    #[serde(default)]
    pub agent: Option<i64>,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Its personality.
    #[serde(default)]
    pub personality: Option<i64>,
    /// The personality's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub personality_name: String,
}

/// A metric that runs are scored by (`MetricList`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricInfo {
    /// Its id, the same in every deployment.
    pub id: i64,
    /// Its short name.
    #[serde(default)]
    pub slug: Option<String>,
    /// Its project; none: every project has it.
    #[serde(default)]
    pub project: Option<i64>,
    /// Its agents; empty: all of them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agents: Vec<i64>,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// What it says.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Stable code.
    #[serde(default)]
    pub function_name: Option<String>,
    /// Always `basic`: none of them asks a model.
    #[serde(default, rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// `numeric` or `binary`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub eval_type: String,
    /// Unit of the value; an addition to the reference.
    #[serde(default, deserialize_with = "null_is_default")]
    pub unit: String,
    /// Whether it is measured in the recording.
    #[serde(default)]
    pub audio_enabled: bool,
    /// Whether it scores production calls; never here.
    #[serde(default)]
    pub observability_enabled: bool,
    /// Whether it scores runs.
    #[serde(default)]
    pub simulation_enabled: bool,
    /// Whether only some runs are scored.
    #[serde(default)]
    pub sampling_enabled: bool,
    /// Its place in lists.
    #[serde(default)]
    pub display_order: i64,
    /// When it is measured.
    #[serde(default, deserialize_with = "null_is_default")]
    pub evaluation_trigger: String,
    /// Stable code, as webhooks name it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub vocera_defined_metric_code: String,
    /// What it costs; nothing.
    #[serde(default)]
    pub metric_cost: f64,
    /// Alerts; there are none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub alert_type: String,
    /// Whether new agents get it.
    #[serde(default)]
    pub add_to_new_agents: Option<bool>,
}

/// A metric that is part of the product (`PredefinedMetric`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredefinedMetric {
    /// Its id, the same in every deployment.
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// What it says.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Stable code.
    #[serde(default, deserialize_with = "null_is_default")]
    pub code: String,
    /// Its short name.
    #[serde(default)]
    pub slug: Option<String>,
    /// Always `basic`: none of them asks a model.
    #[serde(default, rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// `numeric` or `binary`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub eval_type: String,
    /// Whether it is measured in the recording.
    #[serde(default)]
    pub audio_enabled: bool,
    /// Stable code.
    #[serde(default)]
    pub function_name: Option<String>,
    /// Whether it scores runs.
    #[serde(default)]
    pub simulation_enabled: bool,
    /// Whether it scores production calls; never here.
    #[serde(default)]
    pub observability_enabled: bool,
    /// What it costs, as a decimal.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cost: String,
    /// When it is measured.
    #[serde(default, deserialize_with = "null_is_default")]
    pub evaluation_trigger: String,
    /// What it is about.
    #[serde(default)]
    pub category: Option<String>,
    /// The same more exactly.
    #[serde(default)]
    pub sub_category: Option<String>,
    /// Its organisation; none: every one has it.
    #[serde(default)]
    pub organization: Option<i64>,
}
