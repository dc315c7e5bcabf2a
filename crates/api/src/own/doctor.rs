use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a [`Finding`] matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It may go wrong, or could not be found out.
    Warning,
    /// A batch will not work.
    Error,
}

impl Severity {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What it is about and what came out, for programs: for example `caller_id_missing`. It does not
    /// change its meaning; there may be further ones.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, one sentence.
    pub found: String,
    /// What to do, one sentence; empty if there is nothing to do.
    pub advice: String,
}

impl Finding {
    /// Something that is as it should be.
    pub fn ok(code: &str, found: impl Into<String>) -> Self {
        Self::of(code, Severity::Ok, found, "")
    }

    /// Something that may go wrong.
    pub fn warning(code: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of(code, Severity::Warning, found, advice)
    }

    /// Something that makes a batch fail.
    pub fn error(code: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::of(code, Severity::Error, found, advice)
    }

    fn of(
        code: &str,
        severity: Severity,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            found: found.into(),
            advice: advice.into(),
        }
    }
}

/// Whether a batch of an agent could work (`GET agents/ID/doctor/`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The agent.
    pub agent_id: i64,
    /// Runs that were asked about.
    pub runs: u32,
    /// Calls at once that were asked about; null: as many as the limits allow.
    pub parallel: Option<u32>,
    /// What was found, in the order of a batch's way.
    pub findings: Vec<Finding>,
    /// Length of the dial window in seconds.
    pub dial_window_seconds: u64,
    /// The longest call that any of its evaluators allows, in seconds.
    pub longest_call_seconds: u64,
    /// An evaluator that a test call may use; null if none has a number.
    pub evaluator_id: Option<i64>,
    /// Where calls go, `sip:ADDRESS:PORT`; null if the testing agent is another process's.
    pub sip_uri: Option<String>,
}

/// What the network made of a run's call: `call` in a run's `metadata`. Addresses are `ip:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CallDetail {
    /// Encoding name of the codec, for example `PCMU`.
    pub codec: String,
    /// Where the INVITE came from.
    pub source: String,
    /// Its Contact header as it was sent.
    pub contact: String,
    /// Where the caller's session description wants audio.
    pub media_described: String,
    /// Where the caller's audio came from; empty if none came.
    pub media_seen: String,
    /// RTP packets sent to the caller.
    pub packets_sent: u64,
    /// RTP packets received from it.
    pub packets_received: u64,
    /// RTP packets that it sent and that never arrived.
    pub packets_lost: u64,
}
