use std::path::PathBuf;

/// Why the testing agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting makes no sense.
    #[error("set up the testing agent: {0}")]
    Options(String),
    /// The SIP endpoint did not come up.
    #[error(transparent)]
    Sip(#[from] ringdown_sip::Error),
    /// Which runs are over cannot be followed.
    #[error(transparent)]
    Bus(#[from] ringdown_bus::Error),
    /// Another testing agent already uses this registry.
    #[error("register the testing agent's metrics: {0}")]
    Metric(#[from] prometheus::Error),
    /// The folder for recordings in progress cannot be used.
    #[error("use {path} for recordings in progress: {source}; make it a writable folder")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
