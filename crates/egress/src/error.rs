use std::net::IpAddr;
use std::time::Duration;

use crate::policy::Refused;
use crate::request::InvalidHeader;
use crate::target::InvalidUrl;

/// Why there is no response, and whether the request can have had an effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No byte of the request left: it can be sent again without harm.
    #[error("the request was not sent: {0}")]
    NotSent(#[from] NotSent),
    /// The request may have arrived and may have been carried out.
    #[error("it is unknown whether the request was carried out: {0}")]
    Ambiguous(#[from] Ambiguous),
}

impl Error {
    /// Whether the server can have received the request.
    pub fn may_have_been_sent(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }
}

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The URL may not be called.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The name leads to an address that may not be reached.
    #[error("{name} leads to an address that may not be reached: {refused}")]
    Address {
        /// The host name.
        name: String,
        /// The first such address.
        refused: Refused,
    },
    /// A header may not be sent.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// The parts do not make a request.
    #[error("the request cannot be built: {0}")]
    Request(String),
    /// The name has no addresses, or they cannot be found out.
    #[error("{name} cannot be resolved: {reason}; check the spelling and the name server")]
    Resolve {
        /// The host name.
        name: String,
        /// What the resolver said.
        reason: String,
    },
    /// No address could be connected to.
    #[error(
        "no connection to {origin} ({address}): {reason}; check that the server is up and reachable"
    )]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// The address tried last.
        address: IpAddr,
        /// What the system said.
        reason: String,
    },
    /// The server is not who the URL says, or speaks no TLS.
    #[error("no secure connection to {origin}: {reason}")]
    Tls {
        /// Scheme, host and port.
        origin: String,
        /// What failed.
        reason: String,
    },
    /// The time was over before the request could be sent.
    #[error("{origin} was not ready for the request within {} ms, while {phase}", .after.as_millis())]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// What was waited for.
        phase: &'static str,
        /// How long it was waited for in all.
        after: Duration,
    },
}

/// What happened after the request may have left.
#[derive(Debug, thiserror::Error)]
pub enum Ambiguous {
    /// No response in time.
    #[error("{origin} did not answer within {} ms", .after.as_millis())]
    TimedOut {
        /// Scheme, host and port.
        origin: String,
        /// The time that the request had.
        after: Duration,
    },
    /// The connection ended, or what came is not HTTP.
    #[error("{origin} gave no usable answer: {reason}")]
    Broken {
        /// Scheme, host and port.
        origin: String,
        /// What failed.
        reason: String,
    },
}
