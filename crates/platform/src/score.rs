use std::collections::BTreeMap;

use ringdown_proto::v1::ScoreFact;
use serde::{Deserialize, Serialize};

/// A run's score as the platform stores it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Why it did not pass; empty if it did.
    pub reasons: Vec<String>,
    /// What was measured.
    pub metrics: Vec<ScoreMetric>,
    /// Who spoke when.
    pub turns: Vec<ScoreTurn>,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreMetric {
    /// Stable code.
    pub code: String,
    /// Name for people.
    pub name: String,
    /// `numeric` or `binary`.
    pub kind: String,
    /// The value, if it could be measured.
    pub value: Option<f64>,
    /// Unit of the value.
    pub unit: String,
    /// The verdict, if it has one.
    pub passed: Option<bool>,
    /// One sentence for people.
    pub explanation: String,
    /// Percentiles, for example `p50`.
    pub percentiles: BTreeMap<String, f64>,
}

/// One stretch of speech.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreTurn {
    /// `Testing Agent` or `Main Agent`.
    pub speaker: String,
    /// From the answer, in milliseconds.
    pub start_ms: i64,
    /// From the answer, in milliseconds.
    pub end_ms: i64,
    /// What was said, where it is known.
    pub text: String,
}

impl From<ScoreFact> for Score {
    fn from(fact: ScoreFact) -> Self {
        Self {
            reasons: fact.reasons,
            metrics: fact
                .metrics
                .into_iter()
                .map(|metric| ScoreMetric {
                    code: metric.code,
                    name: metric.name,
                    kind: metric.kind,
                    value: metric.value.filter(|value| value.is_finite()),
                    unit: metric.unit,
                    passed: metric.passed,
                    explanation: metric.explanation,
                    percentiles: metric.percentiles,
                })
                .collect(),
            turns: fact
                .turns
                .into_iter()
                .map(|turn| ScoreTurn {
                    speaker: turn.speaker,
                    start_ms: turn.start_ms,
                    end_ms: turn.end_ms,
                    text: turn.text,
                })
                .collect(),
        }
    }
}
