use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use ringdown_domain::attempt::Verdict;
use ringdown_domain::call::EndedReason;

use crate::Error;

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    calls: IntCounterVec,
    ended: IntCounterVec,
    pub(crate) live: IntGauge,
    pub(crate) setup: Histogram,
    pub(crate) unreported: IntCounter,
    pub(crate) lost_facts: IntCounter,
    pub(crate) publish_retries: IntCounter,
}

/// What became of a call as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The ledger's word.
    Verdict(Verdict),
    /// The platform used a word this build does not know.
    UnknownVerdict,
    /// Nobody answered the matching request.
    PlatformAbsent,
    /// The testing agent is being stopped.
    Draining,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => verdict.as_str(),
            Self::UnknownVerdict => "unknown",
            Self::PlatformAbsent => "platform_absent",
            Self::Draining => "draining",
        }
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, Error> {
            let counter = IntCounter::new(format!("ringdown_testing_agent_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, Error> {
            let opts = Opts::new(format!("ringdown_testing_agent_{name}"), help);
            let counters = IntCounterVec::new(opts, &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let live = IntGauge::new(
            "ringdown_testing_agent_live_calls",
            "Calls being set up or talked on.",
        )?;
        registry.register(Box::new(live.clone()))?;
        let setup = Histogram::with_opts(
            HistogramOpts::new(
                "ringdown_testing_agent_setup_seconds",
                "From the arrival of an INVITE to our answer.",
            )
            .buckets(vec![
                0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
            ]),
        )?;
        registry.register(Box::new(setup.clone()))?;
        Ok(Self {
            calls: counters("calls_total", "Calls that arrived, by verdict.", "verdict")?,
            ended: counters(
                "ended_total",
                "Matched calls that ended, by reason.",
                "reason",
            )?,
            live,
            setup,
            unreported: counter(
                "unreported_refusals_total",
                "Refused calls that were counted but not reported to the ledger, to bound its rate.",
            )?,
            lost_facts: counter(
                "lost_facts_total",
                "Facts about calls that could not be published.",
            )?,
            publish_retries: counter(
                "publish_retries_total",
                "Publishing attempts that failed and were repeated.",
            )?,
        })
    }

    pub(crate) fn arrived(&self, outcome: Outcome) {
        self.calls.with_label_values(&[outcome.label()]).inc();
    }

    pub(crate) fn ended(&self, reason: EndedReason) {
        self.ended.with_label_values(&[reason.as_str()]).inc();
    }
}
