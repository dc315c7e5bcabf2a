//! Our own additions, under `/ringdown/v1/`.

mod carriers;
mod doctor;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use carriers::{Carrier, CarrierAgent, CarrierDetail};
pub use doctor::{CallDetail, Diagnosis, Finding, Severity};

/// Body of `POST phone-numbers/`: a number of one's own trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPhoneNumber {
    /// The number, E.164.
    pub number: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The project that alone may use it; absent: all of the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,
}

/// A row of the attempt ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Position in the ledger.
    pub id: i64,
    /// `invite` for a call that arrived, `dial` for one that was made.
    pub kind: String,
    /// Name of the attempt.
    pub attempt_id: String,
    /// When, RFC 3339.
    pub at: String,
    /// Why it went as it did, in one word.
    pub verdict: String,
    /// The same in one sentence.
    pub explanation: String,
    /// The matched or nearest run.
    pub run_id: Option<i64>,
    /// Whether `run_id` is only the nearest one.
    pub nearest: bool,
    /// Caller as it was sent.
    pub from_raw: String,
    /// Caller in E.164.
    pub from: Option<String>,
    /// Callee as it was sent.
    pub to_raw: String,
    /// Callee in E.164.
    pub to: Option<String>,
    /// Address the call came from.
    pub source: String,
    /// SIP Call-ID, or the provider's id of a dial.
    pub sip_call_id: String,
    /// Final SIP response sent; of a dial, the one that its provider tells.
    pub response: Option<u16>,
    /// How a dialed call ended, as its provider says: `completed`, `busy`, `no_answer`, `rejected`,
    /// `invalid_number`, `failed`, `never_dialed` or `cancelled`; null until it says so, and for calls that arrived.
    #[serde(default)]
    pub ending: Option<String>,
    /// The dialer route.
    pub route: String,
    /// The configured trunk that the call came from; empty if it came from none.
    #[serde(default)]
    pub trunk: String,
    /// The header that `from_raw` is from, such as `p-asserted-identity`; null if none counted.
    #[serde(default)]
    pub from_header: Option<String>,
    /// Every header of the call that may name a caller, whether it counts or not; at most 16.
    #[serde(default)]
    pub caller_headers: Vec<CallerHeader>,
}

/// A header of a call that may name its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallerHeader {
    /// `from`, `p-asserted-identity`, `remote-party-id` or `diversion`.
    pub header: String,
    /// Its value as it was received, at most 256 characters.
    pub value: String,
    /// The number it names, E.164; null if it names none.
    pub number: Option<String>,
}

/// Body of `POST organizations/`; needs the deployment's admin key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    /// Its name.
    pub name: String,
    /// Its token on the bus: 1 to 32 characters of a-z, 0-9 and '-'.
    pub slug: String,
    /// Parallel-call limit; null is unlimited.
    #[serde(default)]
    pub parallel_call_limit: Option<u32>,
}

/// An organisation. `api_key` is there only in the answer that creates it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Organization {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its token on the bus.
    pub slug: String,
    /// Its first project.
    #[serde(default)]
    pub project_id: Option<i64>,
    /// Parallel-call limit; null is unlimited.
    pub parallel_call_limit: Option<u32>,
    /// Its first API key, shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
}

/// Body of `PATCH organizations/current/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationSettings {
    /// Parallel-call limit; null is unlimited.
    pub parallel_call_limit: Option<u32>,
}

/// A project and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Parallel-call limit; null is unlimited.
    pub parallel_call_limit: Option<u32>,
    /// Length of the dial window in seconds, 1 to 300.
    pub outbound_timeout: u64,
    /// Longest call in seconds, 10 to 3600.
    pub max_call_duration: u64,
    /// Mutual silence in seconds that ends a call, 1 to 300.
    pub silence_timeout: u64,
    /// What refused callers hear: `explicit` or `silent`.
    pub reject: String,
    /// Share of the organisation's slots relative to its other projects, 1 to 1000.
    pub weight: u32,
    /// How many of its calls may start per second, 0.001 to 1000; null: as many as there are slots.
    pub calls_per_second: Option<f64>,
    /// Days that ended results are kept with their recordings; null is for ever.
    pub retention_days: Option<u32>,
}

/// Body of `PATCH projects/ID/`; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectSettings {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Parallel-call limit; 0 removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_call_limit: Option<u32>,
    /// Length of the dial window in seconds, 1 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_timeout: Option<u64>,
    /// Longest call in seconds, 10 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_call_duration: Option<u64>,
    /// Mutual silence in seconds that ends a call, 1 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_timeout: Option<u64>,
    /// What refused callers hear: `explicit` or `silent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<String>,
    /// Share of the organisation's slots relative to its other projects, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// How many of its calls may start per second, 0.001 to 1000 in thousandths; 0 removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<f64>,
    /// Days that ended results are kept with their recordings, 1 to 3650; 0 keeps them for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

/// Body of `PUT agents/ID/dial-route/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DialRoute {
    /// Name of a configured route; `carrier:` and the name of a carrier; `agent`: what the agent's own settings
    /// name; null: the agent calls by itself.
    pub route: Option<String>,
}

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueEntry {
    /// The run.
    pub run_id: i64,
    /// Its place, from 1.
    pub position: u32,
    /// What keeps it: `organisation`, `project`, `batch` or `pace`; `admission` if it is about to start.
    pub blocked_by: String,
}

/// Why one run waits, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueuePlace {
    /// The run.
    pub run_id: i64,
    /// Whether it waits for a slot; if not, the rest is empty.
    pub queued: bool,
    /// Its place in the order in which runs get slots, from 1, as far as can be told while all wait that
    /// wait now; null while its result waits for the pre-run webhook.
    pub position: Option<u64>,
    /// What keeps it: the limit of its `organisation`, `project` or `batch`, the project's `pace`, or the
    /// `gate` of the pre-run webhook; `admission` if it is about to start.
    pub blocked_by: Option<String>,
    /// How many slots that limit allows.
    pub limit: Option<u32>,
    /// How many of them are used.
    pub held: Option<u32>,
    /// How many calls of its project may start per second.
    pub calls_per_second: Option<f64>,
    /// Runs that use the slots, oldest first, at most 20.
    pub holders: Vec<SlotHolder>,
    /// About when it starts, RFC 3339, if calls go on as the latest ones of its project did.
    pub estimated_start_at: Option<String>,
    /// Why that is not known.
    pub estimate_unknown_because: Option<String>,
}

/// A run that uses a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotHolder {
    /// The run.
    pub run_id: i64,
    /// Its state, `pending` or `in_progress`.
    pub status: String,
    /// Since when it is in it, RFC 3339.
    pub since: String,
}

/// A run's state, in an event of its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunEvent {
    /// The run.
    pub run_id: i64,
    /// Place of the state in the run's history, from 1, without gaps.
    pub seq: u64,
    /// The state.
    pub status: String,
    /// First moment a call is matched; null before the run is dispatched.
    pub outbound_dial_window_opens_at: Option<String>,
    /// First moment a call is too late; null before the run is dispatched.
    pub outbound_dial_window_closes_at: Option<String>,
    /// Why the run failed or timed out; empty otherwise.
    pub error_message: String,
    /// Whether the run passed; null until it is completed.
    pub success: Option<bool>,
}

/// The first event of a stream: where every run of the result is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunsSnapshot {
    /// The runs, by id.
    pub runs: Vec<RunEvent>,
}

/// First line of `ringdown up --format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadyLine {
    /// Always true: the line is printed once work can be taken.
    pub ready: bool,
    /// Where the REST API is.
    pub http_url: String,
    /// Where the health pages of a process without the REST API are.
    #[serde(default)]
    pub health_url: String,
    /// Where calls go.
    pub sip_uri: String,
    /// Where the bus is, with credentials.
    pub nats_url: String,
    /// The deployment's admin key.
    pub admin_key: String,
}
