use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

/// What the service counts.
#[derive(Clone)]
pub struct Metrics {
    /// Tries, by kind and what came of them: `delivered`, `retried`, `failed`.
    pub(crate) tries: IntCounterVec,
    /// Events that nobody wanted, by kind.
    pub(crate) skipped: IntCounterVec,
    /// Tries in flight.
    pub(crate) in_flight: IntGauge,
    /// How long the most overdue event has been waiting.
    pub(crate) queue_age: Gauge,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// If something of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let tries = Opts::new(
            "ringdown_webhook_tries_total",
            "Tries to deliver a webhook, by kind and outcome.",
        );
        let skipped = Opts::new(
            "ringdown_webhook_skipped_total",
            "Webhooks that their project did not want, by kind.",
        );
        let metrics = Self {
            tries: IntCounterVec::new(tries, &["kind", "outcome"])?,
            skipped: IntCounterVec::new(skipped, &["kind"])?,
            in_flight: IntGauge::new(
                "ringdown_webhook_in_flight",
                "Webhooks that are being delivered.",
            )?,
            queue_age: Gauge::new(
                "ringdown_webhook_queue_age_seconds",
                "How long the most overdue webhook has been waiting.",
            )?,
        };
        registry.register(Box::new(metrics.tries.clone()))?;
        registry.register(Box::new(metrics.skipped.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.queue_age.clone()))?;
        Ok(metrics)
    }
}
