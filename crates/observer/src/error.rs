/// Why observing or reporting failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] ringdown_bus::Error),
    /// A metric could not be registered.
    #[error("register a metric: {0}")]
    Metric(#[from] prometheus::Error),
    /// A report could not be rendered.
    #[error("render the {format} report: {reason}")]
    Render {
        /// Which report.
        format: &'static str,
        /// What happened.
        reason: String,
    },
}
