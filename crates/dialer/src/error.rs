/// Why the dialer could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] ringdown_bus::Error),
    /// A metric could not be registered.
    #[error("register a metric: {0}")]
    Metric(#[from] prometheus::Error),
}
