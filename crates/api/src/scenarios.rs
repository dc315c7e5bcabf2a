use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{PhoneNumberBrief, TestProfileData, null_is_default};

/// An evaluator (`Scenario`, `ScenarioList`). Fields this product does not act on are kept as they
/// came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// Its id.
    pub id: i64,
    /// Its name, at most 80 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The agent it tests.
    #[serde(default)]
    pub agent: Option<i64>,
    /// That agent's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// Its project.
    #[serde(default)]
    pub project: Option<i64>,
    /// Its personality.
    #[serde(default)]
    pub personality: Option<i64>,
    /// The personality's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub personality_name: String,
    /// The number it is called on, E.164; empty on the wire if there is none.
    #[serde(default, with = "crate::empty_if_none")]
    #[schemars(with = "String")]
    pub phone_number: Option<String>,
    /// That number in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_phone_number_data: Option<PhoneNumberBrief>,
    /// What the testing agent says first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub first_message: String,
    /// What the testing agent is to do.
    #[serde(default, deserialize_with = "null_is_default")]
    pub instructions: String,
    /// What has to happen for the run to pass.
    #[serde(default, deserialize_with = "null_is_default")]
    pub expected_outcome_prompt: String,
    /// `instruction` or `conditional_actions`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_type: String,
    /// Its tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// Its folder, with `.` between levels.
    #[serde(default)]
    pub folder_path: Option<String>,
    /// Longest call in seconds; null: the project's.
    #[serde(default)]
    pub max_duration: Option<i64>,
    /// Its test profile.
    #[serde(default)]
    pub test_profile: Option<i64>,
    /// That test profile.
    #[serde(default)]
    pub test_profile_data: Option<TestProfileData>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Every other field.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}
