/// Why the service cannot go on with an event now. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] ringdown_store::Error),
    /// The secret cannot be opened.
    #[error("open the webhook secret of project {project}: {reason}")]
    Secret {
        /// The project.
        project: ringdown_domain::ProjectId,
        /// What the vault said.
        reason: ringdown_vault::Error,
    },
    /// The payload is no JSON, which is a defect.
    #[error("put a webhook together: {0}")]
    Payload(#[from] serde_json::Error),
    /// The platform could not act on the answer.
    #[error("act on the answer to a webhook: {0}")]
    Dispatch(String),
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not of the form `t=SECONDS,v1=HEX`.
    #[error("the signature is not of the form t=SECONDS,v1=HEX")]
    Malformed,
    /// Too old, or from the future.
    #[error("the signature was made {seconds} s from now, more than the tolerance")]
    Time {
        /// How far off it is.
        seconds: u64,
    },
    /// Made with another secret, or for another body.
    #[error("the signature was not made with this secret for this body")]
    Mismatch,
}
