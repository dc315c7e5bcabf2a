//! Wire types of the REST API, shared by server and client.
//!
//! Contract: exact when writing, lenient when reading. A remote service is a peer that may leave
//! fields out, send `null`, or know statuses this build does not; none of that is an error. Field
//! names are the reference service's; our own additions are in [`own`].
//!
//! Refuses: behaviour. The crate has no clock and no I/O; times on the wire stay RFC 3339 text.

mod agents;
mod agents_v2;
mod catalogue;
mod errors;
mod numbers;
pub mod own;
mod page;
mod results;
mod run_list;
mod runs;
mod scenarios;
pub mod teams;
mod trigger;
pub mod webhooks;

pub use agents::{Agent, Occupancy, TestProfile, TestProfileData};
pub use agents_v2::{AgentV2, Chat, Credentials, Provider, ShortAgent, Telephony};
pub use catalogue::{
    CronJob, MetricInfo, Personality, PredefinedMetric, ScenarioBrief, ScenarioFolder,
    ScenarioTags, TaggedScenarios,
};
pub use errors::{Detail, FieldErrors};
pub use numbers::{PhoneNumber, PhoneNumberBrief, PhoneNumberDetail};
pub use page::Page;
pub use results::{EndedCalls, ResultDetail, ResultScenario, ResultSummary, ShareableLink};
pub use run_list::{ListenUrl, RunSummary};
pub use runs::{Evaluation, Metric, MetricExtra, Run, RunStatus, TranscriptTurn};
pub use scenarios::Scenario;
pub use trigger::{
    EvaluateMetrics, PlannedPart, PlannedSuite, RunScenarios, SuiteAnswer, TriggeredResult,
    TriggeredRun,
};

/// Header that carries the API key.
pub const API_KEY_HEADER: &str = "X-CEKURA-API-KEY";

/// Run ids a client asks for in one bulk request; a batch of more takes several.
pub const MAX_BULK_IDS: usize = 100;

/// A text that is empty on the wire where there is none: the reference's type of some fields that are
/// not always there is plain text.
mod empty_if_none {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(crate) fn serialize<S: Serializer>(
        text: &Option<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(text.as_deref().unwrap_or_default())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<String>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.filter(|text| !text.is_empty()))
    }
}

/// Writes whole seconds as a whole number: `300`, not `300.0`, which a strict reader of integers
/// refuses.
#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn whole_seconds<S: serde::Serializer>(seconds: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    const LONGEST: f64 = 4_294_967_295.0;
    match *seconds {
        #[expect(clippy::cast_possible_truncation, reason = "it has just been checked")]
        Some(seconds) if seconds.fract() == 0.0 && seconds.abs() <= LONGEST => {
            to.serialize_i64(seconds as i64)
        }
        Some(seconds) => to.serialize_f64(seconds),
        None => to.serialize_none(),
    }
}

/// Reads a missing or `null` field as its default.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}
