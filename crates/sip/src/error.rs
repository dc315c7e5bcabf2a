//! What can go wrong, and for a dial what is known about the far end.

use std::io;
use std::net::SocketAddr;

use crate::sdp;

/// An endpoint or an answered call could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The SIP socket could not be opened.
    #[error("bind the SIP socket to {addr}: {source}; choose a free port or stop what uses it")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread of the endpoint could not be started.
    #[error("start the {name} thread: {source}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No RTP socket could be opened for a call.
    #[error("open an RTP socket on {addr}: {source}; check the limit on open files")]
    MediaPort {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The caller's session description is not acceptable; it was told 488.
    #[error("accept the session description: {0}")]
    Sdp(#[from] sdp::Error),
    /// The caller sent CANCEL, or BYE, before the answer was complete.
    #[error("answer: the caller cancelled first")]
    Cancelled,
    /// The answer was sent and retransmitted, and no ACK came (RFC 3261 section 13.3.1.4).
    #[error(
        "complete the answer: no ACK came; check that the caller can be reached at its Contact"
    )]
    NoAck,
    /// A refusal needs a final status between 300 and 699.
    #[error("refuse the call with status {0}: use a status from 300 to 699")]
    InvalidStatus(u16),
    /// The SIP stack refused the operation.
    #[error("drive the SIP dialog: {0}")]
    Stack(String),
    /// The endpoint was shut down.
    #[error("use the endpoint: it was shut down")]
    ShutDown,
}

/// A call that was not set up, with what is known about what the far end saw.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// A final response refused the call.
    #[error("dial: refused with {status} {reason_phrase}")]
    Refused {
        /// The SIP status, 300 to 699.
        status: u16,
        /// The phrase on the status line.
        reason_phrase: String,
        /// The `Reason` header (RFC 3326) as received.
        reason_header: Option<String>,
    },
    /// The far end was found and did not answer within the ring timeout; the call was cancelled.
    #[error("dial: no answer within the ring timeout, cancelled")]
    NoAnswer,
    /// Provably no INVITE left this machine: the only case in which another attempt is safe.
    #[error("dial: nothing was sent: {reason}")]
    NotSent {
        /// Why, and what to change.
        reason: String,
    },
    /// The INVITE was sent and nothing came back: the far end may or may not have seen it.
    #[error("dial: no response at all; check the proxy's address and the network between")]
    NoResponse,
    /// The call was answered and hung up at once because its session description is unusable.
    #[error("dial: answered, but {0}")]
    Media(#[from] sdp::Error),
    /// The far end broke the protocol after the INVITE was sent.
    #[error("dial: the SIP exchange broke off: {0}")]
    Protocol(String),
}

impl DialError {
    /// Whether an INVITE may have left this machine. Only `false` allows another attempt.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        !matches!(self, Self::NotSent { .. })
    }

    pub(crate) fn not_sent(reason: impl std::fmt::Display) -> Self {
        Self::NotSent {
            reason: reason.to_string(),
        }
    }
}
