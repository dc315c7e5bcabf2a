use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::null_is_default;

/// A number the service answers (`PhoneNumber`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhoneNumber {
    /// Its id.
    pub id: i64,
    /// The evaluator that uses it, its id as text; empty if none does.
    #[serde(default, deserialize_with = "text_or_number")]
    pub scenario_id: String,
    /// That evaluator's name; empty if there is none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub scenario_name: String,
    /// Nothing is kept here.
    #[serde(default)]
    pub metadata: Option<Value>,
    /// The project that alone may use it; null: all of the organisation (our own addition).
    #[serde(default)]
    pub project: Option<i64>,
    /// The number, E.164.
    pub number: String,
    /// The provider's id of the number; the number itself if it is of an own trunk.
    #[serde(default, deserialize_with = "null_is_default")]
    pub phone_number_id: String,
    /// Always `patronus`: not run by a provider of agents.
    #[serde(default, deserialize_with = "null_is_default")]
    pub call_service_provider: String,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it comes from: `twilio`, `telnyx` or `plivo`; null: an own trunk.
    #[serde(default)]
    pub provider: Option<String>,
    /// Whether text messages are wanted; kept only.
    #[serde(default)]
    pub sms_enabled: Option<bool>,
    /// When it was added, RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Its organisation.
    #[serde(default)]
    pub organization: Option<i64>,
    /// Nobody: access is by API key.
    #[serde(default)]
    pub user: Option<i64>,
}

/// A number without who uses it (`PhoneNumberDetail`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhoneNumberDetail {
    /// Its id.
    pub id: i64,
    /// The number, E.164.
    pub number: String,
    /// The provider's id of the number; the number itself if it is of an own trunk.
    #[serde(default, deserialize_with = "null_is_default")]
    pub phone_number_id: String,
    /// Always `patronus`: not run by a provider of agents.
    #[serde(default, deserialize_with = "null_is_default")]
    pub call_service_provider: String,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it comes from: `twilio`, `telnyx` or `plivo`; null: an own trunk.
    #[serde(default)]
    pub provider: Option<String>,
    /// Whether text messages are wanted; kept only.
    #[serde(default)]
    pub sms_enabled: Option<bool>,
    /// When it was added, RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Its organisation.
    #[serde(default)]
    pub organization: Option<i64>,
    /// Nobody: access is by API key.
    #[serde(default)]
    pub user: Option<i64>,
}

/// A number in short (`PhoneNumberInbound`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhoneNumberBrief {
    /// Its id.
    pub id: i64,
    /// The number, E.164.
    pub number: String,
    /// The provider's id of the number.
    #[serde(default, deserialize_with = "null_is_default")]
    pub phone_number_id: String,
}

/// Reads an id that some services write as text and others as a number.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}
