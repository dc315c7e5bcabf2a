//! Verdicts of the attempt ledger: one for every INVITE that arrived.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a call that arrived, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was a pending run's call and was answered.
    Matched,
    /// A run waited on this number, but for other caller IDs.
    CallerIdMismatch,
    /// The call carried no usable caller ID.
    CallerIdMissing,
    /// The run exists but is still queued.
    TooEarly,
    /// The run's dial window had closed.
    TooLate,
    /// Nobody owns the number that was called.
    UnknownNumber,
    /// The number is ours, but no run waits on it.
    NoPendingRun,
    /// The run's call is already up; this is a second one.
    Duplicate,
    /// The call came from an address outside the trunk list.
    UntrustedSource,
    /// The testing agent had no capacity for one more call.
    AtCapacity,
}

impl Verdict {
    /// Every verdict, for parsing and documentation.
    pub const ALL: [Self; 10] = [
        Self::Matched,
        Self::CallerIdMismatch,
        Self::CallerIdMissing,
        Self::TooEarly,
        Self::TooLate,
        Self::UnknownNumber,
        Self::NoPendingRun,
        Self::Duplicate,
        Self::UntrustedSource,
        Self::AtCapacity,
    ];

    /// The text used on the API, the bus and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::CallerIdMismatch => "caller_id_mismatch",
            Self::CallerIdMissing => "caller_id_missing",
            Self::TooEarly => "too_early",
            Self::TooLate => "too_late",
            Self::UnknownNumber => "unknown_number",
            Self::NoPendingRun => "no_pending_run",
            Self::Duplicate => "duplicate",
            Self::UntrustedSource => "untrusted_source",
            Self::AtCapacity => "at_capacity",
        }
    }

    /// The verdict with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }

    /// The SIP final response (RFC 3261 section 21) a refused caller gets when refusals are
    /// explicit. `None` for a matched call, which is answered, and for an untrusted source, which
    /// gets no response at all.
    pub fn sip_status(self) -> Option<u16> {
        match self {
            Self::Matched | Self::UntrustedSource => None,
            Self::CallerIdMismatch | Self::CallerIdMissing => Some(403),
            Self::UnknownNumber => Some(404),
            Self::TooEarly | Self::TooLate | Self::NoPendingRun => Some(480),
            Self::Duplicate | Self::AtCapacity => Some(486),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_reads_back_and_has_a_final_response() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
            if let Some(status) = verdict.sip_status() {
                assert!((400..700).contains(&status));
            }
        }
    }
}
