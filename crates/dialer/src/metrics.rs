use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

/// What the dialer counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Finished attempts, by stage.
    pub(crate) attempts: IntCounterVec,
    /// Runs that are dialed or followed.
    pub(crate) in_flight: IntGauge,
    /// Runs that may be dialed and that no dialer has taken yet.
    pub(crate) backlog: IntGauge,
    /// From the opening of the window to the dial.
    pub(crate) lag: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "ringdown_dialer_attempts_total",
            "Dial attempts, by outcome.",
        );
        let metrics = Self {
            attempts: IntCounterVec::new(opts, &["outcome"])?,
            in_flight: IntGauge::new(
                "ringdown_dialer_in_flight",
                "Runs that this dialer dials, or whose calls it follows.",
            )?,
            backlog: IntGauge::new(
                "ringdown_dialer_backlog",
                "Pending runs that no dialer has taken yet: the same number at every dialer.",
            )?,
            lag: Histogram::with_opts(HistogramOpts::new(
                "ringdown_dialer_lag_seconds",
                "From the opening of a run's dial window to its dial.",
            ))?,
        };
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.backlog.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        Ok(metrics)
    }
}
