use std::time::Duration;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path}: {kind}")]
pub struct Error {
    /// The method.
    pub method: &'static str,
    /// The path asked for, without the host and the key.
    pub path: String,
    /// What happened, and what it means for trying again.
    pub kind: Kind,
}

/// What a failure means.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// Nothing left this machine: the request had no effect.
    #[error("could not connect: {0}")]
    NotSent(String),
    /// The service refused it: it had no effect and will be refused again.
    #[error("refused with {status}: {body}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The answer, shortened.
        body: String,
    },
    /// The service asks to slow down: it had no effect.
    #[error("the service asks to slow down{}", .retry_after.map(|t| format!(" for {} s", t.as_secs())).unwrap_or_default())]
    Throttled {
        /// How long to wait, if the service said so.
        retry_after: Option<Duration>,
    },
    /// It may have had an effect.
    #[error("it is unknown whether the request was carried out: {0}")]
    Ambiguous(String),
    /// The answer came, but cannot be understood.
    #[error("the answer cannot be understood: {0}")]
    Malformed(String),
}

impl Error {
    /// Whether sending the same request again can do no harm: always for reads, else only if it
    /// provably had no effect.
    pub fn is_safe_to_retry(&self) -> bool {
        match self.kind {
            Kind::NotSent(_) | Kind::Throttled { .. } => true,
            Kind::Ambiguous(_) => self.method == "GET",
            Kind::Rejected { .. } | Kind::Malformed(_) => false,
        }
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            Kind::Rejected { status, .. } => Some(status),
            _ => None,
        }
    }
}
