/// Why a plan was not triggered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refused or could not be reached; no run was triggered.
    #[error("ask the service: {0}")]
    Service(#[source] ringdown_client::Error),
    /// The agent takes calls instead of making them.
    #[error("trigger runs for agent {0}: it takes calls; set its inbound to false first")]
    Inbound(i64),
    /// There is no such agent.
    #[error("trigger runs for agent {0}: the service has no such agent")]
    NoSuchAgent(i64),
    /// The answer to the trigger was lost.
    #[error(
        "trigger runs: {0}; they may have been triggered, look at the service's latest result before trying again"
    )]
    Unknown(#[source] ringdown_client::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] ringdown_bus::Error),
}
