//! Reports of finished runs: JUnit for CI, HTML for people, JSON for programs.

mod chart;
mod html;
mod junit;

use ringdown_domain::run::Status;
use serde::{Deserialize, Serialize};

use crate::{Error, RunKey, RunView};

/// What a report is made of. Serialises as the JSON report.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub title: String,
    /// When the report was made, RFC 3339.
    pub generated_at: String,
    /// Parallel-call limits to draw, by team.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<TeamLimit>,
    /// The runs.
    pub runs: Vec<RunReport>,
    /// Calls that belong to no run of the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stray_calls: Vec<AttemptReport>,
}

/// A team's parallel-call limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TeamLimit {
    /// The team.
    pub team: String,
    /// Its limit.
    pub limit: u32,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// The team.
    pub team: String,
    /// The run.
    pub run_id: i64,
    /// The batch.
    pub result_id: i64,
    /// The agent under test.
    pub agent: String,
    /// The evaluator.
    pub scenario: String,
    /// The number that was to be called.
    pub number: String,
    /// Its state.
    pub status: String,
    /// Whether it passed; absent unless it completed.
    pub success: Option<bool>,
    /// Why it has no score, or why it did not pass.
    pub message: String,
    /// How the call ended.
    pub ended_reason: String,
    /// Length of the call in milliseconds.
    pub duration_ms: Option<i64>,
    /// The recording: a path or URL.
    pub recording: Option<String>,
    /// How it was dialed.
    pub dial: String,
    /// When it entered each state, in microseconds since the Unix epoch.
    pub entered: Vec<Entered>,
    /// What was measured.
    pub metrics: Vec<MetricReport>,
    /// Who spoke when.
    pub turns: Vec<TurnReport>,
    /// Calls that arrived for it or instead of it.
    pub attempts: Vec<AttemptReport>,
}

/// A run entered a state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entered {
    /// The state.
    pub status: String,
    /// When, in microseconds since the Unix epoch.
    pub at_us: i64,
}

/// One metric of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetricReport {
    /// Stable code.
    pub code: String,
    /// Name for people.
    pub name: String,
    /// The value, if it could be measured.
    pub value: Option<f64>,
    /// Unit of the value.
    pub unit: String,
    /// The verdict of a metric that has one.
    pub passed: Option<bool>,
    /// One sentence for people.
    pub explanation: String,
}

/// One stretch of speech.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TurnReport {
    /// `Testing Agent` or `Main Agent`.
    pub speaker: String,
    /// From the answer, in milliseconds.
    pub start_ms: i64,
    /// From the answer, in milliseconds.
    pub end_ms: i64,
    /// What was said, where it is known.
    pub text: String,
}

/// One row of the attempt ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptReport {
    /// When, RFC 3339.
    pub at: String,
    /// The verdict.
    pub verdict: String,
    /// Who called.
    pub from: String,
    /// Which number was called.
    pub to: String,
    /// The SIP response sent, if any.
    pub response: Option<u16>,
    /// Why.
    pub explanation: String,
}

/// Runs by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Completed and passed.
    pub passed: usize,
    /// Completed and not passed.
    pub not_passed: usize,
    /// Failed or timed out: no usable conversation.
    pub broken: usize,
    /// Cancelled.
    pub cancelled: usize,
    /// Not finished when the report was made.
    pub unfinished: usize,
}

impl RunReport {
    /// What the bus told about a run. Ledger rows are not on the bus: the caller adds them.
    pub fn from_view(key: &RunKey, view: &RunView) -> Self {
        let score = view.score.clone().unwrap_or_default();
        let turns = if score.turns.is_empty() {
            &view.call.turns
        } else {
            &score.turns
        };
        Self {
            team: key.team.to_string(),
            run_id: key.run.0,
            result_id: view.result,
            agent: view.agent_name.clone(),
            scenario: view.scenario_name.clone(),
            number: view.number.clone(),
            status: view.status.map_or_else(String::new, |s| s.to_string()),
            success: view.success,
            message: if view.error_message.is_empty() {
                score.reasons.join("; ")
            } else {
                view.error_message.clone()
            },
            ended_reason: view.call.ended_reason.clone(),
            duration_ms: view.call.duration_ms,
            recording: (!view.call.recording.is_empty()).then(|| view.call.recording.clone()),
            dial: view.dial.as_ref().map_or_else(String::new, |dial| {
                format!("{} through {}", dial.stage, dial.route)
            }),
            entered: view
                .entered
                .iter()
                .map(|(status, at)| Entered {
                    status: status.to_string(),
                    at_us: at.as_micros(),
                })
                .collect(),
            metrics: score
                .metrics
                .iter()
                .map(|metric| MetricReport {
                    code: metric.code.clone(),
                    name: metric.name.clone(),
                    value: metric.value,
                    unit: metric.unit.clone(),
                    passed: metric.passed,
                    explanation: metric.explanation.clone(),
                })
                .collect(),
            turns: turns
                .iter()
                .map(|turn| TurnReport {
                    speaker: turn.speaker.clone(),
                    start_ms: turn.start_ms,
                    end_ms: turn.end_ms,
                    text: turn.text.clone(),
                })
                .collect(),
            attempts: Vec::new(),
        }
    }

    fn known_status(&self) -> Option<Status> {
        Status::parse(&self.status)
    }
}

impl Report {
    /// Counts the runs by outcome.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for run in &self.runs {
            let slot = match run.known_status() {
                Some(Status::Completed) if run.success == Some(true) => &mut totals.passed,
                Some(Status::Completed) => &mut totals.not_passed,
                Some(Status::Failed | Status::Timeout) => &mut totals.broken,
                Some(Status::Cancelled) => &mut totals.cancelled,
                _ => &mut totals.unfinished,
            };
            *slot += 1;
        }
        totals
    }

    /// The JUnit XML report: one suite per batch, one case per run.
    ///
    /// # Errors
    /// [`Error::Render`] if the XML cannot be written.
    pub fn junit(&self) -> Result<String, Error> {
        junit::render(self)
    }

    /// A page that needs nothing else but the recordings it links to.
    pub fn html(&self) -> String {
        html::render(self)
    }

    /// The JSON report.
    ///
    /// # Errors
    /// [`Error::Render`] if a number has no JSON form.
    pub fn json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self).map_err(|error| Error::Render {
            format: "JSON",
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn report() -> Report {
        let run = |run_id, status: Status, success, message: &str| RunReport {
            team: "team".into(),
            run_id,
            result_id: 1,
            agent: "Agent <1>".into(),
            scenario: "Books & pays".into(),
            number: "+15551230000".into(),
            status: status.to_string(),
            success,
            message: message.into(),
            duration_ms: Some(2500),
            recording: Some("recordings/a b.wav".into()),
            entered: vec![
                Entered {
                    status: "pending".into(),
                    at_us: 1_000_000,
                },
                Entered {
                    status: status.to_string(),
                    at_us: 3_000_000,
                },
            ],
            turns: vec![TurnReport {
                speaker: "Main Agent".into(),
                start_ms: 0,
                end_ms: 900,
                text: "<script>".into(),
            }],
            ..RunReport::default()
        };
        Report {
            title: "Nightly".into(),
            generated_at: "2026-01-01T00:00:00Z".into(),
            limits: vec![TeamLimit {
                team: "team".into(),
                limit: 2,
            }],
            runs: vec![
                run(1, Status::Completed, Some(true), ""),
                run(2, Status::Completed, Some(false), "too silent"),
                run(3, Status::Timeout, None, "no call arrived"),
                run(4, Status::Cancelled, None, "by a user"),
                run(5, Status::Pending, None, ""),
            ],
            stray_calls: Vec::new(),
        }
    }

    #[test]
    fn every_run_is_counted_once() {
        let expected = Totals {
            passed: 1,
            not_passed: 1,
            broken: 1,
            cancelled: 1,
            unfinished: 1,
        };
        assert_eq!(report().totals(), expected);
    }

    #[test]
    fn the_json_report_reads_back() {
        let back: Report = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!(back.totals(), report().totals());
    }
}
