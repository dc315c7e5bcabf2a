use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An account of the organisation at a provider, with which its runs can be dialed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// The provider, for example `twilio`.
    pub provider: String,
    /// The dial route of agents that are dialed through it: `carrier:` and its name.
    pub dial_route: String,
    /// What the provider needs to know, without secrets.
    pub settings: Map<String, Value>,
    /// Names of the secrets it has. Their values are never shown.
    pub secrets_configured: Vec<String>,
    /// How many calls may start with it per second, 0.001 to 10,000; null: the provider's default.
    pub calls_per_second: Option<f64>,
    /// How many calls may be up with it at once, 1 to 1,000,000; null: the provider's default.
    pub concurrent_calls: Option<u32>,
    /// When it was created, RFC 3339.
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    pub updated_at: String,
}

/// A carrier and who uses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CarrierDetail {
    /// The carrier.
    #[serde(flatten)]
    pub carrier: Carrier,
    /// Agents that are dialed through it, at most 1000.
    pub agents: Vec<CarrierAgent>,
}

/// An agent that is dialed through a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CarrierAgent {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
}
