use std::time::Duration;

use ringdown_api as wire;
use ringdown_domain::call::EndedReason;
use ringdown_platform::{CALL_NOTE, Score, ScoreTurn};
use ringdown_store::Run;
use serde_json::{Value, json};

use super::review::Review;
use crate::pages::{minutes, time};

/// Recordings hold the agent on the left and the testing agent on the right.
const TESTING_CHANNEL: i64 = 1;

/// A run's score, if it has one that can be read.
pub(crate) fn score_of(run: &Run) -> Option<Score> {
    let score = run.score.as_ref()?;
    serde::Deserialize::deserialize(score).ok()
}

/// A reviewer's verdict, or else the engine's.
pub(crate) fn verdict(success: Option<bool>, reviewed: Option<bool>) -> Option<String> {
    let text = match (reviewed, success) {
        (Some(true), _) => "reviewed_success",
        (Some(false), _) => "reviewed_failure",
        (None, Some(true)) => "success",
        (None, Some(false)) => "failure",
        (None, None) => return None,
    };
    Some(text.to_owned())
}

fn call_of(run: &Run) -> String {
    run.call
        .as_ref()
        .map_or_else(String::new, |call| call.0.clone())
}

fn metadata(run: &Run, score: Option<&Score>) -> Value {
    json!({
        "ended_reason": run.ended_reason.map(EndedReason::as_str),
        "call_id": run.call.as_ref().map(|call| &call.0),
        "duration_seconds": run.duration.map(|duration| duration.as_secs_f64()),
        "recording": run.recording,
        "not_passed_because": score.map(|score| &score.reasons),
        "call": run.notes.get(CALL_NOTE),
    })
}

/// Shows a run. `base` is where its recording's link begins.
pub(crate) fn show(run: &Run, base: &str) -> wire::Run {
    let score = score_of(run);
    let turns = score.as_ref().map_or(&[][..], |score| &score.turns);
    let success = run.success();
    let review = Review::of(run);
    wire::Run {
        id: run.id.0,
        status: run.status().into(),
        scenario: Some(run.scenario.0),
        scenario_name: run.scenario_name.clone(),
        scenario_type: "instruction".to_owned(),
        personality: run.personality.map(|id| id.0),
        personality_name: run.personality_name.clone(),
        agent: Some(run.agent.0),
        agent_name: run.agent_name.clone(),
        provider_call_id: call_of(run),
        trace_id: review.trace_id,
        result_id: Some(run.result.0),
        result_name: run.result_name.clone(),
        outbound_number: Some(run.number.to_string()),
        inbound_number: None,
        agent_number: run.caller_ids.first().map(ToString::to_string),
        success,
        evaluation_status: verdict(success, review.verdict),
        is_reviewed: review.is_reviewed,
        feedback: review.feedback,
        rubric: Value::Null,
        critical_categories: Vec::new(),
        evaluation: Some(score.as_ref().map(evaluation).unwrap_or_default()),
        scenario_instructions: run.script.instructions.clone(),
        expected_outcome_prompt: run.script.expected_outcome.clone(),
        expected_outcome: Value::Null,
        transcript: transcript(turns),
        transcript_object: turns.iter().map(turn).collect(),
        duration: Value::String(minutes(run.duration.unwrap_or_default())),
        voice_recording_url: run
            .recording
            .as_ref()
            .map(|_| format!("{base}/ringdown/v1/runs/{}/recording/", run.id)),
        timestamp: Some(time(run.created_at)),
        executed_at: run.executed_at.map(time),
        error_message: run.error_message().unwrap_or_default().to_owned(),
        metadata: metadata(run, score.as_ref()),
        test_profile_data: run
            .test_profile
            .as_ref()
            .map(|profile| wire::TestProfileData {
                id: profile.id,
                name: profile.name.clone(),
                information: profile.information.clone(),
            }),
        run_as_text: false,
        run_type: None,
        testing_channel_index: run.recording.as_ref().map(|_| TESTING_CHANNEL),
        email_id: None,
        provider_call_details: Value::Null,
        generated_mock_tool_entries: Vec::new(),
        mocked_tool_names: Vec::new(),
        outbound_dial_window_opens_at: run.window.map(|window| time(window.opens_at)),
        outbound_dial_window_seconds: run
            .window
            .map(|window| window.closes_at.since(window.opens_at).as_secs_f64()),
        outbound_dial_window_closes_at: run.window.map(|window| time(window.closes_at)),
    }
}

/// Shows a run in a list, without its conversation.
pub(crate) fn summary(run: &Run) -> wire::RunSummary {
    let score = score_of(run);
    let success = run.success();
    let review = Review::of(run);
    wire::RunSummary {
        id: run.id.0,
        status: run.status().into(),
        provider_call_id: call_of(run),
        trace_id: review.trace_id,
        scenario: Some(run.scenario.0),
        scenario_name: run.scenario_name.clone(),
        personality: run.personality.map(|id| id.0),
        personality_name: run.personality_name.clone(),
        result_id: Some(run.result.0),
        agent: Some(run.agent.0),
        agent_name: run.agent_name.clone(),
        agent_version: String::new(),
        duration: Value::String(minutes(run.duration.unwrap_or_default())),
        evaluation_status: verdict(success, review.verdict),
        expected_outcome: Value::Null,
        success,
        timestamp: Some(time(run.created_at)),
        executed_at: run.executed_at.map(time),
        metadata: metadata(run, score.as_ref()),
        outbound_number: Some(run.number.to_string()),
        inbound_number: None,
        agent_number: run.caller_ids.first().map(ToString::to_string),
        critical_categories: Vec::new(),
        metrics: score.as_ref().map(evaluation).unwrap_or_default().metrics,
        error_message: run.error_message().unwrap_or_default().to_owned(),
        run_as_text: false,
        test_profile_name: run
            .test_profile
            .as_ref()
            .map_or_else(String::new, |profile| profile.name.clone()),
        run_type: None,
        outbound_dial_window_opens_at: run.window.map(|window| time(window.opens_at)),
        outbound_dial_window_seconds: run
            .window
            .map(|window| window.closes_at.since(window.opens_at).as_secs_f64()),
        outbound_dial_window_closes_at: run.window.map(|window| time(window.closes_at)),
    }
}

fn evaluation(score: &Score) -> wire::Evaluation {
    let metrics = score.metrics.iter().zip(1i64..).map(|(metric, id)| {
        let binary = metric.kind == "binary";
        wire::Metric {
            id: Some(id),
            name: metric.name.clone(),
            kind: metric.kind.clone(),
            // Binary metrics are 5 or 0, as the reference service's webhooks have them.
            score: match (binary, metric.passed) {
                (true, Some(true)) => json!(5),
                (true, Some(false)) => json!(0),
                _ => json!(metric.value),
            },
            passed: metric.passed,
            choice: String::new(),
            value: Value::String(
                metric
                    .value
                    .map_or_else(String::new, |value| value.to_string()),
            ),
            explanation: json!([metric.explanation]),
            function_name: metric.code.clone(),
            vocera_defined_metric_code: Some(metric.code.clone()),
            extra: Some(wire::MetricExtra {
                percentiles: metric.percentiles.clone(),
                unit: Some(metric.unit.clone()).filter(|unit| !unit.is_empty()),
            }),
        }
    });
    wire::Evaluation {
        metrics: metrics.collect(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "calls last far less than 2^53 ms"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn turn(turn: &ScoreTurn) -> wire::TranscriptTurn {
    wire::TranscriptTurn {
        role: turn.speaker.clone(),
        content: turn.text.clone(),
        start_time: Some(seconds(turn.start_ms)),
        end_time: Some(seconds(turn.end_ms)),
        timestamp: Some(seconds(turn.start_ms)),
        normalized_content: turn.text.to_lowercase(),
        comparison_spans: Vec::new(),
    }
}

/// `[MM:SS] Role: text`, one line per turn. What the agent said is not transcribed here.
pub(crate) fn transcript(turns: &[ScoreTurn]) -> String {
    let line = |turn: &ScoreTurn| {
        let at = minutes(Duration::from_millis(
            u64::try_from(turn.start_ms).unwrap_or(0),
        ));
        let text = if turn.text.is_empty() {
            "(speech)"
        } else {
            &turn.text
        };
        format!("[{at}] {}: {text}", turn.speaker)
    };
    turns.iter().map(line).collect::<Vec<_>>().join("\n")
}
