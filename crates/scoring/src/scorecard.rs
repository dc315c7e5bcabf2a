use crate::{Percentiles, Turn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was measured in a recording. Times are from the beginning of the recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorecard {
    /// Length of the recording in milliseconds.
    pub duration_ms: u64,
    /// First sound of the agent; `None` when it made none.
    pub first_agent_audio_ms: Option<u64>,
    /// First sound of the testing agent; `None` when it made none.
    pub first_testing_agent_audio_ms: Option<u64>,
    /// Whether the agent was heard before the testing agent; `None` when neither was heard.
    pub agent_speaks_first: Option<bool>,
    /// Share of the recording in which the agent is active, 0 to 1.
    pub talk_ratio: f64,
    /// Latency of each agent turn that answers the testing agent, in order.
    pub latencies_ms: Vec<u64>,
    /// Mean of the latencies; `None` without any.
    pub latency_mean_ms: Option<f64>,
    /// Spread of the latencies; `None` without any.
    pub latency_percentiles_ms: Option<Percentiles>,
    /// Longest time in which neither side is active.
    pub longest_silence_ms: u64,
    /// Limit that the longest silence is judged by.
    pub silence_limit_ms: u64,
    /// Longest silence that the testing agent spent waiting for the agent; `None` when it never finished a turn.
    pub longest_wait_ms: Option<u64>,
    /// Limit that the longest wait is judged by.
    pub answer_timeout_ms: u64,
    /// Times the agent started while the testing agent spoke.
    pub agent_interruptions: u32,
    /// Times the testing agent started while the agent spoke.
    pub testing_agent_interruptions: u32,
    /// Mean time the agent spoke on after the testing agent cut in; `None` when it never did.
    pub stop_time_mean_ms: Option<f64>,
    /// Who spoke when, by start.
    pub turns: Vec<Turn>,
}

/// What a metric's value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A quantity.
    Numeric,
    /// Yes (1) or no (0).
    Binary,
}

impl Kind {
    /// "numeric" or "binary".
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Binary => "binary",
        }
    }
}

/// One metric as the API and the bus carry it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Stable code.
    pub code: String,
    /// Name for people.
    pub name: String,
    /// What the value means.
    pub kind: Kind,
    /// The value; `None` when there was nothing to measure, and the explanation says why.
    pub value: Option<f64>,
    /// Unit of the value: "s", "ms", "ratio", "count", or empty.
    pub unit: String,
    /// Verdict of the metrics that judge; `None` for the others and where it does not apply.
    pub passed: Option<bool>,
    /// The value in words.
    pub explanation: String,
    /// "p25" to "p99" in the same unit, where the value is a mean.
    pub percentiles: BTreeMap<String, f64>,
}

impl Metric {
    fn new(
        code: &str,
        name: &str,
        kind: Kind,
        unit: &str,
        value: Option<f64>,
        explanation: String,
    ) -> Self {
        Self {
            code: code.to_owned(),
            name: name.to_owned(),
            kind,
            value,
            unit: unit.to_owned(),
            passed: None,
            explanation,
            percentiles: BTreeMap::new(),
        }
    }

    fn numeric(
        code: &str,
        name: &str,
        unit: &str,
        value: Option<f64>,
        explanation: String,
    ) -> Self {
        Self::new(code, name, Kind::Numeric, unit, value, explanation)
    }

    fn binary(code: &str, name: &str, value: Option<bool>, explanation: String) -> Self {
        let number = value.map(|value| if value { 1.0 } else { 0.0 });
        Self::new(code, name, Kind::Binary, "", number, explanation)
    }

    fn judging(self, passed: Option<bool>) -> Self {
        Self { passed, ..self }
    }
}

/// Whether the call passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// True when nothing speaks against it.
    pub passed: bool,
    /// What speaks against it, one sentence each; empty when passed.
    pub reasons: Vec<String>,
}

impl Scorecard {
    /// False when the testing agent waited longer than the limit for the agent, `None` when it never waited.
    #[must_use]
    pub fn infrastructure_ok(&self) -> Option<bool> {
        self.longest_wait_ms
            .map(|wait| wait <= self.answer_timeout_ms)
    }

    /// False when both sides were silent for longer than the limit.
    #[must_use]
    pub fn silence_ok(&self) -> bool {
        self.longest_silence_ms <= self.silence_limit_ms
    }

    /// The metrics of the API, always all of them and in this order.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        vec![
            self.duration(),
            self.first_audio(),
            self.speaks_first(),
            Metric::numeric(
                "talk_ratio",
                "Talk Ratio",
                "ratio",
                Some(self.talk_ratio),
                format!(
                    "The agent spoke during {:.0} % of the recording; 40 to 60 % is typical.",
                    self.talk_ratio * 100.0
                ),
            ),
            self.latency(),
            self.infrastructure_issues(),
            self.silence_detection(),
            Metric::numeric(
                "longest_silence",
                "Longest Silence",
                "ms",
                Some(self.longest_silence_ms as f64),
                format!(
                    "Both sides were silent for at most {} ms.",
                    self.longest_silence_ms
                ),
            ),
            Metric::numeric(
                "ai_interrupting_user",
                "AI Interrupting User",
                "count",
                Some(f64::from(self.agent_interruptions)),
                format!(
                    "The agent started to speak {} time(s) while the testing agent spoke.",
                    self.agent_interruptions
                ),
            ),
            Metric::numeric(
                "user_interrupting_ai",
                "User Interrupting AI",
                "count",
                Some(f64::from(self.testing_agent_interruptions)),
                format!(
                    "The testing agent started to speak {} time(s) while the agent spoke.",
                    self.testing_agent_interruptions
                ),
            ),
            self.stop_time(),
        ]
    }

    /// The verdict: every metric that judges and applies has passed, and the agent was heard at all.
    #[must_use]
    pub fn success(&self) -> Verdict {
        let mut reasons = Vec::new();
        if self.first_agent_audio_ms.is_none() {
            reasons.push(format!(
                "The agent made no sound in a recording of {}; check that it sends audio to this call.",
                seconds(self.duration_ms)
            ));
        }
        let failed = self
            .metrics()
            .into_iter()
            .filter(|metric| metric.passed == Some(false));
        reasons.extend(failed.map(|metric| format!("{}: {}", metric.name, metric.explanation)));
        Verdict {
            passed: reasons.is_empty(),
            reasons,
        }
    }

    fn duration(&self) -> Metric {
        let value = Some(self.duration_ms as f64 / 1_000.0);
        Metric::numeric(
            "duration",
            "Duration",
            "s",
            value,
            format!("The recording is {} long.", seconds(self.duration_ms)),
        )
    }

    fn first_audio(&self) -> Metric {
        let explanation = match self.first_agent_audio_ms {
            Some(ms) => format!("The agent was first heard {ms} ms after the answer."),
            None => "The agent was never heard.".to_owned(),
        };
        let value = self.first_agent_audio_ms.map(|ms| ms as f64);
        Metric::numeric(
            "answer_to_first_audio",
            "Answer to First Audio",
            "ms",
            value,
            explanation,
        )
    }

    fn speaks_first(&self) -> Metric {
        let explanation = match self.agent_speaks_first {
            Some(true) => "The agent spoke first.",
            Some(false) => "The testing agent spoke first.",
            None => "Neither side was heard.",
        };
        Metric::binary(
            "agent_speaks_first",
            "Agent Speaks First",
            self.agent_speaks_first,
            explanation.to_owned(),
        )
    }

    fn latency(&self) -> Metric {
        let explanation = match (self.latency_mean_ms, self.latency_percentiles_ms) {
            (Some(mean), Some(spread)) => format!(
                "{} answer(s) of the agent came {mean:.0} ms after the testing agent on average, half of them within {:.0} ms; under \
                 2000 ms is good.",
                self.latencies_ms.len(),
                spread.p50
            ),
            _ => "The agent never answered a turn of the testing agent.".to_owned(),
        };
        let mut metric = Metric::numeric(
            "latency",
            "Latency",
            "ms",
            self.latency_mean_ms,
            explanation,
        );
        if let Some(Percentiles {
            p25,
            p50,
            p75,
            p90,
            p95,
            p99,
        }) = self.latency_percentiles_ms
        {
            let named = [
                ("p25", p25),
                ("p50", p50),
                ("p75", p75),
                ("p90", p90),
                ("p95", p95),
                ("p99", p99),
            ];
            metric.percentiles = named.map(|(name, value)| (name.to_owned(), value)).into();
        }
        metric
    }

    fn infrastructure_issues(&self) -> Metric {
        let limit = seconds(self.answer_timeout_ms);
        let explanation = match self.longest_wait_ms {
            None => "Does not apply: the testing agent never finished a turn.".to_owned(),
            Some(wait) if wait <= self.answer_timeout_ms => {
                format!(
                    "The agent never left the testing agent waiting for more than {}; the limit is {limit}.",
                    seconds(wait)
                )
            }
            Some(wait) => format!(
                "The agent did not answer within {limit}: the testing agent waited {}.",
                seconds(wait)
            ),
        };
        let ok = self.infrastructure_ok();
        Metric::binary(
            "infrastructure_issues",
            "Infrastructure Issues",
            ok,
            explanation,
        )
        .judging(ok)
    }

    fn silence_detection(&self) -> Metric {
        let ok = self.silence_ok();
        let (longest, limit) = (
            seconds(self.longest_silence_ms),
            seconds(self.silence_limit_ms),
        );
        let explanation = if ok {
            format!("Both sides were never silent for more than {longest}; the limit is {limit}.")
        } else {
            format!("Both sides were silent for {longest}, longer than the limit of {limit}.")
        };
        Metric::binary(
            "silence_detection",
            "Silence Detection",
            Some(ok),
            explanation,
        )
        .judging(Some(ok))
    }

    fn stop_time(&self) -> Metric {
        let explanation = match self.stop_time_mean_ms {
            Some(ms) => format!(
                "The agent spoke on for {ms:.0} ms on average after the testing agent cut in; under 500 ms is good."
            ),
            None => "The testing agent never cut in.".to_owned(),
        };
        Metric::numeric(
            "stop_time_after_interruption",
            "Stop Time after Interruption",
            "ms",
            self.stop_time_mean_ms,
            explanation,
        )
    }
}

fn seconds(ms: u64) -> String {
    format!("{:.1} s", ms as f64 / 1_000.0)
}
