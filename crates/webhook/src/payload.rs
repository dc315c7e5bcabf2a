//! What events say: the reference service's webhook format.

use std::time::Duration;

use ringdown_api::RunStatus;
use ringdown_domain::Timestamp;
use ringdown_domain::run::Status;
use ringdown_store::{Batch, Run};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Bytes of an event about a result up to which its runs carry transcripts and metrics. Those of
/// the runs after that are read from the API.
const FULL: usize = 4 * 1024 * 1024;

/// The part of a stored score that is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Score {
    metrics: Vec<Metric>,
    turns: Vec<Turn>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metric {
    code: String,
    name: String,
    kind: String,
    value: Option<f64>,
    passed: Option<bool>,
    explanation: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Turn {
    speaker: String,
    start_ms: u64,
    end_ms: u64,
    text: String,
}

/// `result.completed`: add every run, then [`finish`](Completed::finish).
#[derive(Debug)]
pub struct Completed {
    base: String,
    runs: Map<String, Value>,
    bytes: usize,
    outcomes: u64,
    met: u64,
}

impl Completed {
    /// `base` is where links to recordings begin: scheme and host, no slash at the end.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            runs: Map::new(),
            bytes: 0,
            outcomes: 0,
            met: 0,
        }
    }

    /// Adds a run.
    pub fn add(&mut self, run: &Run) {
        let score: Score = run
            .score
            .as_ref()
            .and_then(|score| Score::deserialize(score).ok())
            .unwrap_or_default();
        let success = run.success() == Some(true);
        let judged = score.metrics.iter().find(|m| m.code == "expected_outcome");
        if !run.script.expected_outcome.is_empty() {
            self.outcomes += 1;
            let met = judged.and_then(|metric| metric.passed).unwrap_or(success);
            self.met += u64::from(met);
        }
        let expected_outcome = judged.map_or_else(
            || json!({}),
            |metric| json!({"score": metric.value, "explanation": [metric.explanation]}),
        );
        let full = self.bytes < FULL;
        let told = |list: Vec<Value>| if full { list } else { Vec::new() };
        let recording = run.recording.as_ref();
        let shown = json!({
            "id": run.id.0,
            "scenario": {
                "id": run.scenario.0,
                "name": run.scenario_name,
                "personality_name": run.personality_name,
                "expected_outcome_prompt": run.script.expected_outcome,
            },
            "expected_outcome": expected_outcome,
            "success": success,
            "evaluation": {"metrics": told(metrics(&score.metrics))},
            "transcript_object": told(score.turns.iter().map(turn).collect()),
            "voice_recording": recording.map(|_| {
                format!("{}/ringdown/v1/runs/{}/recording/", self.base, run.id)
            }),
            "timestamp": time(run.created_at),
            "executed_at": run.executed_at.map(time),
            "error_message": run.error_message().unwrap_or_default(),
        });
        if full {
            self.bytes += shown.to_string().len();
        }
        self.runs.insert(run.id.to_string(), shown);
    }

    /// The body.
    pub fn finish(self, batch: &Batch) -> String {
        let event = json!({
            "event_type": "result.completed",
            "data": {
                "id": batch.id.0,
                "name": batch.name,
                "agent": batch.agent.0,
                "status": status(batch),
                "met_expected_outcome_count": self.met,
                "total_expected_outcome_count": self.outcomes,
                "success_rate": percent(batch.counts.passed, batch.counts.total),
                "run_as_text": false,
                "is_cronjob": batch.cron_job.is_some(),
                "runs": self.runs,
                "created_at": time(batch.created_at),
            },
        });
        event.to_string()
    }
}

/// `result.pre_trigger`: add every run, then `finish`.
#[derive(Debug, Default)]
pub struct PreTrigger {
    runs: Map<String, Value>,
}

impl PreTrigger {
    /// Adds a run.
    pub fn add(&mut self, run: &Run) {
        let profile = run.test_profile.as_ref();
        let shown = json!({
            "id": run.id.0,
            "scenario": {"id": run.scenario.0, "name": run.scenario_name},
            "test_profile": profile.map(|profile| json!({
                "id": profile.id,
                "name": profile.name,
                "information": profile.information,
            })),
            "personality": run.personality.map(|id| json!({
                "id": id.0,
                "name": run.personality_name,
            })),
            "phone_number": run.number.as_str(),
        });
        self.runs.insert(run.id.to_string(), shown);
    }

    /// The body.
    pub fn finish(self, batch: &Batch) -> String {
        let event = json!({
            "event_type": "result.pre_trigger",
            "data": {
                "result_id": batch.id.0,
                "label": batch.name,
                "agent_id": batch.agent.to_string(),
                "timestamp": time(batch.created_at),
                "runs": self.runs,
            },
        });
        event.to_string()
    }
}

/// A `result.completed` about nothing, for trying a target. Its ids are 0, which nothing has.
pub fn mock(now: Timestamp) -> String {
    let metric = Metric {
        code: "infrastructure_issues".to_owned(),
        name: "Infrastructure Issues".to_owned(),
        kind: "binary".to_owned(),
        value: None,
        passed: Some(true),
        explanation: "This is a test of the webhook.".to_owned(),
    };
    let said = Turn {
        speaker: "Testing Agent".to_owned(),
        start_ms: 500,
        end_ms: 1500,
        text: "Hello.".to_owned(),
    };
    let event = json!({
        "event_type": "result.completed",
        "data": {
            "id": 0,
            "name": "Test of the webhook",
            "agent": 0,
            "status": "completed",
            "met_expected_outcome_count": 1,
            "total_expected_outcome_count": 1,
            "success_rate": 100.0,
            "run_as_text": false,
            "is_cronjob": false,
            "runs": {"0": {
                "id": 0,
                "scenario": {
                    "id": 0,
                    "name": "Test of the webhook",
                    "personality_name": "",
                    "expected_outcome_prompt": "The target answers with 2xx.",
                },
                "expected_outcome": {},
                "success": true,
                "evaluation": {"metrics": metrics(&[metric])},
                "transcript_object": [turn(&said)],
                "voice_recording": null,
                "timestamp": time(now),
                "executed_at": time(now),
                "error_message": "",
            }},
            "created_at": time(now),
        },
    });
    event.to_string()
}

/// Each with its id within the run, from 1, as the API gives them.
fn metrics(metrics: &[Metric]) -> Vec<Value> {
    let shown = metrics.iter().zip(1u32..).map(|(metric, id)| {
        let mut entry = json!({
            "id": id,
            "name": metric.name,
            "explanation": [metric.explanation],
            "vocera_defined_metric_code": metric.code,
        });
        let verdict = if metric.kind == "binary" {
            json!({
                "eval_type": "binary",
                "passed": metric.passed,
                // The pair from before `eval_type`, which receivers still read.
                "type": "binary_workflow_adherence",
                "score": metric.passed.map(|passed| if passed { 5 } else { 0 }),
            })
        } else {
            json!({"type": metric.kind, "score": metric.value})
        };
        if let (Value::Object(entry), Value::Object(verdict)) = (&mut entry, verdict) {
            entry.extend(verdict);
        }
        entry
    });
    shown.collect()
}

fn turn(turn: &Turn) -> Value {
    let start = Duration::from_millis(turn.start_ms);
    let seconds = start.as_secs();
    json!({
        "role": turn.speaker,
        "time": format!("{:02}:{:02}", seconds / 60, seconds % 60),
        "content": turn.text,
        "start_time": start.as_secs_f64(),
        "end_time": Duration::from_millis(turn.end_ms).as_secs_f64(),
    })
}

/// Failed only if no run had a usable conversation; runs that did not pass leave it completed.
fn status(batch: &Batch) -> String {
    let counts = &batch.counts;
    let status = if counts.ended() < counts.total {
        RunStatus::Running
    } else if counts.cancelled == counts.total {
        Status::Cancelled.into()
    } else if counts.failed + counts.timeout == counts.total {
        Status::Failed.into()
    } else {
        Status::Completed.into()
    };
    status.as_str().to_owned()
}

/// In percent, to two places.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn percent(passed: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    (passed as f64 * 10_000.0 / total as f64).round() / 100.0
}

/// RFC 3339 in UTC.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros())
        .map_or_else(|_| String::new(), |time| time.to_string())
}
