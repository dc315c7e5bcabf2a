//! What the scores of a result's runs say together.

use std::collections::{BTreeMap, HashMap};

use ringdown_domain::ScenarioId;
use ringdown_platform::ScoreMetric;
use ringdown_store::Run;
use serde_json::{Map, Value, json};

use crate::runs::score_of;

/// Runs that are named with a reason.
const NAMED: usize = 20;

/// Spread over runs, by name.
const PERCENTILES: [(&str, f64); 6] = [
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
];

/// One metric over all runs.
struct Measured {
    code: String,
    name: String,
    binary: bool,
    unit: String,
    values: Vec<f64>,
    passed: u64,
    failed: u64,
}

impl Measured {
    fn of(metric: &ScoreMetric) -> Self {
        Self {
            code: metric.code.clone(),
            name: metric.name.clone(),
            binary: metric.kind == "binary",
            unit: metric.unit.clone(),
            values: Vec::new(),
            passed: 0,
            failed: 0,
        }
    }

    fn add(&mut self, metric: &ScoreMetric) {
        match (self.binary, metric.passed) {
            (true, Some(true)) => self.passed += 1,
            (true, Some(false)) => self.failed += 1,
            _ => self.values.extend(metric.value),
        }
    }

    /// Mean of the values; for a binary metric 5 times the share of runs that passed, as a run's own
    /// score is 5 or 0. Null if no run has one.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn score(&self) -> Value {
        let judged = self.passed + self.failed;
        if self.binary && judged > 0 {
            return json!(rounded(self.passed as f64 * 5.0 / judged as f64));
        }
        if self.values.is_empty() {
            return Value::Null;
        }
        let sum: f64 = self.values.iter().sum();
        json!(rounded(sum / self.values.len() as f64))
    }

    fn runs(&self) -> u64 {
        let values = u64::try_from(self.values.len()).unwrap_or(u64::MAX);
        self.passed + self.failed + values
    }

    /// Values of which so many of a hundred runs have no more (nearest rank).
    fn percentiles(&self) -> Map<String, Value> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let mut found = Map::new();
        for (name, share) in PERCENTILES {
            if let Some(value) = sorted.get(rank(sorted.len(), share)) {
                found.insert(name.to_owned(), json!(rounded(*value)));
            }
        }
        found
    }

    fn show(&self, id: usize) -> Value {
        json!({
            "id": id,
            "name": self.name,
            "type": if self.binary { "binary" } else { "numeric" },
            "function_name": self.code,
            "vocera_defined_metric_code": self.code,
            "score": self.score(),
            "unit": self.unit,
            "runs": self.runs(),
            "passed": self.passed,
            "failed": self.failed,
            "percentiles": self.percentiles(),
            "p50": self.percentiles().get("p50"),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank lies between 0 and the number of values"
)]
fn rank(values: usize, share: f64) -> usize {
    let rank = (values as f64 * share).ceil() as usize;
    rank.saturating_sub(1)
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Runs of one evaluator.
#[derive(Clone, Copy, Default)]
struct Tally {
    total: u64,
    completed: u64,
    passed: u64,
}

/// Everything that is folded out of the runs.
#[derive(Default)]
pub(super) struct Aggregate {
    metrics: Vec<Measured>,
    /// Why runs failed, how many, and some of them.
    reasons: HashMap<String, (u64, Vec<i64>)>,
    scenarios: BTreeMap<ScenarioId, Tally>,
}

impl Aggregate {
    pub(super) fn add(&mut self, run: &Run) {
        let tally = self.scenarios.entry(run.scenario).or_default();
        tally.total += 1;
        tally.completed += u64::from(run.success().is_some());
        tally.passed += u64::from(run.success() == Some(true));
        if let Some(reason) = run.error_message().filter(|reason| !reason.is_empty()) {
            self.because(reason, run);
        }
        let Some(score) = score_of(run) else {
            return;
        };
        for metric in &score.metrics {
            let place = self.metrics.iter().position(|one| one.code == metric.code);
            let measured = match place.and_then(|place| self.metrics.get_mut(place)) {
                Some(measured) => measured,
                None => self.metrics.push_mut(Measured::of(metric)),
            };
            measured.add(metric);
        }
        if run.success() == Some(false) {
            for reason in &score.reasons {
                self.because(reason, run);
            }
        }
    }

    fn because(&mut self, reason: &str, run: &Run) {
        let (count, named) = self.reasons.entry(reason.to_owned()).or_default();
        *count += 1;
        if named.len() < NAMED {
            named.push(run.id.0);
        }
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &Measured)> {
        (1..).zip(&self.metrics)
    }

    pub(super) fn metrics(&self) -> Value {
        self.numbered()
            .map(|(id, metric)| metric.show(id))
            .collect()
    }

    pub(super) fn performance(&self) -> Value {
        self.numbered()
            .filter(|(_, metric)| !metric.binary && !metric.values.is_empty())
            .map(|(id, metric)| {
                json!({
                    "id": id,
                    "name": metric.name,
                    "type": "numeric",
                    "function_name": metric.code,
                    "unit": metric.unit,
                    "value": metric.score(),
                    "percentiles": metric.percentiles(),
                })
            })
            .collect()
    }

    /// The agent's latency: the spread of the runs' means.
    pub(super) fn latency(&self) -> Value {
        let metric = self.metrics.iter().find(|metric| metric.code == "latency");
        let Some(metric) = metric.filter(|metric| !metric.values.is_empty()) else {
            return json!({});
        };
        let worst = metric.values.iter().copied().fold(0.0, f64::max);
        json!({
            "unit": metric.unit,
            "runs": metric.values.len(),
            "average": metric.score(),
            "max": rounded(worst),
            "percentiles": metric.percentiles(),
        })
    }

    pub(super) fn overall(&self, success_rate: f64) -> Value {
        let summary: Map<String, Value> = self
            .numbered()
            .map(|(id, metric)| (id.to_string(), metric.show(id)))
            .collect();
        let mut worst: Vec<(usize, &Measured)> = self
            .numbered()
            .filter(|(_, metric)| metric.failed > 0)
            .collect();
        worst.sort_by_key(|(_, metric)| std::cmp::Reverse(metric.failed));
        let worst: Vec<usize> = worst.into_iter().map(|(id, _)| id).collect();
        json!({
            "success_rate": success_rate,
            "metric_summary": summary,
            "worst_performing_metrics": {"binary_adherence": worst},
            "numeric_metrics": self.performance(),
            "enum_metrics": [],
            "extra_metrics": [],
        })
    }

    pub(super) fn failed_reasons(&self) -> Value {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by(|(a, (more, _)), (b, (less, _))| less.cmp(more).then(a.cmp(b)));
        let show = |(reason, (count, named)): (&String, &(u64, Vec<i64>))| json!({"reason": reason, "count": count, "run_ids": named});
        reasons.into_iter().map(show).collect()
    }

    pub(super) fn scenarios(&self) -> Vec<ScenarioId> {
        self.scenarios.keys().copied().collect()
    }

    /// Runs by tag, given the tags of the evaluators.
    pub(super) fn by_tags(&self, tags: &[(ScenarioId, Vec<String>)]) -> Value {
        let mut by: BTreeMap<&str, Tally> = BTreeMap::new();
        for (scenario, tags) in tags {
            let Some(tally) = self.scenarios.get(scenario) else {
                continue;
            };
            for tag in tags {
                let of = by.entry(tag).or_default();
                of.total += tally.total;
                of.completed += tally.completed;
                of.passed += tally.passed;
            }
        }
        let show = |(tag, tally): (&str, Tally)| {
            let counts = json!({
                "total_runs_count": tally.total,
                "completed_runs_count": tally.completed,
                "success_runs_count": tally.passed,
            });
            (tag.to_owned(), counts)
        };
        Value::Object(by.into_iter().map(show).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let metric = ScoreMetric {
            kind: "numeric".to_owned(),
            ..ScoreMetric::default()
        };
        let mut measured = Measured::of(&metric);
        assert_eq!(measured.score(), Value::Null);
        assert!(measured.percentiles().is_empty());
        for value in 1..=100 {
            measured.add(&ScoreMetric {
                value: Some(f64::from(value)),
                ..metric.clone()
            });
        }
        assert_eq!(measured.score(), json!(50.5));
        let found = measured.percentiles();
        assert_eq!(found["p25"], 25.0);
        assert_eq!(found["p50"], 50.0);
        assert_eq!(found["p99"], 99.0);
    }
}
