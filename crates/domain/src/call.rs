//! How a call ended, in the reference service's words plus the ones it lacks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `call_ended_reason` of a call that was answered. The texts are the reference service's
/// (`metadata.ended_reason`); the ones it has no word for are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndedReason {
    /// The agent under test hung up.
    MainAgentEnded,
    /// The testing agent had said everything and hung up.
    TestingAgentEnded,
    /// Nobody spoke for the silence limit.
    SilenceTimedOut,
    /// The call reached its maximum duration.
    ExceededMaxDuration,
    /// A user cancelled the run while the call was up.
    CancelledByUser,
    /// The caller gave up between our answer and its acknowledgement.
    CallCanceled,
    /// The answer could not be completed, or the media failed.
    CallFailed,
    /// The testing agent was stopped before the call was over (ours).
    TestingAgentDrained,
    /// The testing agent vanished during the call: no end was ever reported (ours).
    TestingAgentLost,
}

impl EndedReason {
    /// Every reason, for parsing and documentation.
    pub const ALL: [Self; 9] = [
        Self::MainAgentEnded,
        Self::TestingAgentEnded,
        Self::SilenceTimedOut,
        Self::ExceededMaxDuration,
        Self::CancelledByUser,
        Self::CallCanceled,
        Self::CallFailed,
        Self::TestingAgentDrained,
        Self::TestingAgentLost,
    ];

    /// The text used on the API and the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MainAgentEnded => "Main agent-ended-call",
            Self::TestingAgentEnded => "Testing agent-ended-call",
            Self::SilenceTimedOut => "Main agent-silence-timed-out",
            Self::ExceededMaxDuration => "exceeded-max-duration",
            Self::CancelledByUser => "run-cancelled-by-user",
            Self::CallCanceled => "call-canceled",
            Self::CallFailed => "sip-call-failed",
            Self::TestingAgentDrained => "Testing agent-drained",
            Self::TestingAgentLost => "Testing agent-lost",
        }
    }

    /// The reason with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Whether the call produced a conversation worth scoring. The others end the run as `failed`.
    pub fn is_scorable(self) -> bool {
        matches!(
            self,
            Self::MainAgentEnded
                | Self::TestingAgentEnded
                | Self::SilenceTimedOut
                | Self::ExceededMaxDuration
        )
    }
}

impl fmt::Display for EndedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back() {
        for reason in EndedReason::ALL {
            assert_eq!(EndedReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(EndedReason::parse("hung up"), None);
    }
}
