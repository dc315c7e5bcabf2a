//! Wire types of the REST API, shared by server and client.
//!
//! Contract: exact when writing, lenient when reading. A remote service is a peer that may leave
//! fields out, send `null`, or know statuses this build does not; none of that is an error. Field
//! names are the reference service's; our own additions are in [`own`].
//!
//! Refuses: behaviour. The crate has no clock and no I/O; times on the wire stay RFC 3339 text.

mod agents;
mod errors;
mod numbers;
pub mod own;
mod page;
mod results;
mod runs;
mod scenarios;
pub mod teams;
mod trigger;

pub use agents::{Agent, Occupancy, TestProfile, TestProfileData};
pub use errors::{Detail, FieldErrors};
pub use numbers::{PhoneNumber, PhoneNumberBrief, PhoneNumberDetail};
pub use page::Page;
pub use results::{EndedCalls, ResultDetail, ResultSummary};
pub use runs::{Evaluation, Metric, MetricExtra, Run, RunStatus, TranscriptTurn};
pub use scenarios::Scenario;
pub use trigger::{RunScenarios, TriggeredResult, TriggeredRun};

/// Header that carries the API key.
pub const API_KEY_HEADER: &str = "X-CEKURA-API-KEY";

/// Run ids a client asks for in one bulk request; a batch of more takes several.
pub const MAX_BULK_IDS: usize = 100;

/// Reads a missing or `null` field as its default.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}
