//! The types. Their comments and bounds become the schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the testing agent says turn by turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Actions {
    /// Who the testing agent pretends to be.
    #[schemars(length(min = 1, max = 10_000))]
    pub role: String,
    /// What it says when. The first opens the call.
    #[schemars(length(min = 1, max = 200))]
    pub conditions: Vec<Condition>,
    /// Requests to services of yours whose answers the testing agent uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub functions: Option<Vec<Function>>,
}

/// One thing to say, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Identifies it among the conditions. The first is 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub id: u32,
    /// When to act. The first is `FIRST_MESSAGE`.
    pub condition: Trigger,
    /// The message itself if it is fixed, an instruction otherwise. Only the first may be empty.
    #[schemars(length(max = 16_384))]
    pub action: String,
    /// What the trigger means.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether the action is said word for word. Tags work only then.
    pub fixed_message: bool,
}

/// What the trigger of a condition means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionType {
    /// Acts when the agent under test does what the trigger says.
    Standard,
    /// Acts on the turn after the condition whose id is the trigger, whatever was said.
    ActionFollowup,
}

/// When to act: something the agent does, or the id of another condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Trigger {
    /// The id of the condition to follow.
    After(#[schemars(range(min = 0, max = 1_000_000))] u32),
    /// What the agent under test does.
    When(#[schemars(length(max = 10_000))] String),
}

/// A request to a service of yours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its name: letters, digits, `_` and `-`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The kind of request.
    #[serde(rename = "type")]
    pub kind: FunctionType,
    /// Whether it runs once when the call starts; if not, a `<function>` tag runs it. True, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_run: Option<bool>,
    /// The request.
    pub config: Config,
}

/// The kind of request a function makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FunctionType {
    /// An HTTP request.
    RestApi,
}

/// An HTTP request and what is taken from its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How it is sent; GET, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Where it is sent: an address that the whole internet can reach.
    #[schemars(length(min = 1, max = 2000))]
    pub url: String,
    /// Its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub headers: Option<BTreeMap<String, Scalar>>,
    /// What is added to the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub query_params: Option<BTreeMap<String, Scalar>>,
    /// What is sent with POST: an object or a list as JSON, a text as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = ["object", "array", "string", "null"]))]
    pub body: Option<Value>,
    /// How long to wait for the answer, in seconds; 10, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 30.0))]
    pub timeout_seconds: Option<f64>,
    /// The values to take from the answer, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub response_mapping: Option<BTreeMap<String, Output>>,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Without a body.
    Get,
    /// With a body.
    Post,
}

/// A text or a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A number.
    Number(serde_json::Number),
    /// A text.
    Text(#[schemars(length(max = 10_000))] String),
}

/// A value in an answer: its path, or its path and what to take if it is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Output {
    /// The path, for example `$.order.items[0].sku`.
    Path(#[schemars(length(min = 1, max = 1000))] String),
    /// The path and a default.
    Or(OutputOr),
}

/// A value in an answer, and what to take if it is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputOr {
    /// The path, for example `$.order.items[0].sku`.
    #[schemars(length(min = 1, max = 1000))]
    pub path: String,
    /// What to take if the request fails or the value is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}
