use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::null_is_default;

/// An agent under test (`AIAgent`). Fields this product does not act on are kept as they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// Its id.
    pub id: i64,
    /// Its project.
    #[serde(default)]
    pub project: Option<i64>,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// What it is for and how it behaves.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Whether it takes calls instead of making them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub inbound: bool,
    /// The number it calls from, E.164; empty if unset.
    #[serde(default, deserialize_with = "null_is_default")]
    pub contact_number: String,
    /// Numbers it may call from; `contact_number` counts if this is empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub outbound_numbers: Vec<String>,
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

/// Whether runs are pending on a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Occupancy {
    /// The number, E.164.
    pub phone_number: String,
    /// Whether any is.
    pub is_occupied: bool,
    /// The same for people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub message: String,
    /// How many are.
    #[serde(default, deserialize_with = "null_is_default")]
    pub pending_runs_count: u32,
}

/// A test profile (`AIAgentTestProfile`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestProfile {
    /// Its id.
    pub id: i64,
    /// Its project, if it is a project's.
    #[serde(default)]
    pub project: Option<i64>,
    /// Its agent, if it is an agent's.
    #[serde(default)]
    pub agent: Option<i64>,
    /// The agent's name; empty on the wire if there is none.
    #[serde(default, with = "crate::empty_if_none")]
    #[schemars(with = "String")]
    pub agent_name: Option<String>,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The variables.
    #[serde(default)]
    pub information: serde_json::Value,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}

/// A run's test profile (`TestProfileData`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestProfileData {
    /// Its id.
    #[serde(default)]
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// The variables.
    #[serde(default)]
    pub information: serde_json::Value,
}
