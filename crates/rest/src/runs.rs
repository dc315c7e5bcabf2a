use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api as wire;
use ringdown_domain::run::Status;
use ringdown_domain::{AgentId, ProjectId, ResultId, RunId};
use ringdown_store::{Run, RunFilter};
use serde_json::{Value, json};

use super::State;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id, minutes, time};
use crate::error::{Answer, Failure};
use ringdown_platform::{Score, ScoreTurn};

/// Runs one bulk read may ask for. The reference's sample script asks for a whole batch at once, and a
/// request line holds about this many ids.
const MAX_IDS: usize = 5_000;

pub(crate) fn operations(table: &mut Table) {
    const ONE: &str = "/test_framework/v1/runs/{id}";
    table.tag("Runs", "One evaluator, one call, one verdict.");
    table
        .get("/test_framework/v1/runs", list)
        .id("runs-v1-list")
        .summary("List runs")
        .paged()
        .query("result_id", Kind::Id, "Only of this result.")
        .query("result__id", Kind::Id, "The same.")
        .query("agent_id", Kind::Id, "Only of this agent.")
        .query("result__agent_id", Kind::Id, "The same.")
        .query("project_id", Kind::Id, "Only of this project.")
        .query(
            "status",
            Kind::Text,
            "Only in one of these states, separated by commas.",
        )
        .query("status__in", Kind::Text, "The same.")
        .answers::<wire::Page<wire::Run>>(200);
    table
        .get("/test_framework/v1/runs/bulk", bulk)
        .id("runs-v1-bulk-retrieve")
        .summary("Show several runs")
        .required_query(
            "run_ids",
            Kind::Text,
            "Their ids, separated by commas; at most 5,000.",
        )
        .answers::<Vec<wire::Run>>(200);
    table
        .get(ONE, read)
        .id("runs-v1-retrieve")
        .summary("Show a run")
        .answers::<wire::Run>(200);
    table
        .post("/test_framework/v1/runs/{id}/end_call", end_call)
        .id("end-call_2")
        .summary("Cancel a run and end its call")
        .answers::<wire::Run>(200);
}

/// Shows a run. `base` is where its recording's link begins.
pub(crate) fn show(run: &Run, base: &str) -> wire::Run {
    let score: Option<Score> = run
        .score
        .clone()
        .and_then(|score| serde_json::from_value(score).ok());
    let turns = score.as_ref().map_or(&[][..], |score| &score.turns);
    let success = run.success();
    wire::Run {
        id: run.id.0,
        status: run.status().into(),
        scenario: Some(run.scenario.0),
        scenario_name: run.scenario_name.clone(),
        agent: Some(run.agent.0),
        agent_name: run.agent_name.clone(),
        result_id: Some(run.result.0),
        result_name: run.result_name.clone(),
        outbound_number: Some(run.number.to_string()),
        inbound_number: None,
        agent_number: run.caller_ids.first().map(ToString::to_string),
        success,
        evaluation_status: success.map(|s| if s { "success" } else { "failure" }.to_owned()),
        evaluation: Some(score.as_ref().map(evaluation).unwrap_or_default()),
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
        metadata: json!({
            "ended_reason": run.ended_reason.map(ringdown_domain::call::EndedReason::as_str),
            "call_id": run.call.as_ref().map(|call| &call.0),
            "duration_seconds": run.duration.map(|duration| duration.as_secs_f64()),
            "recording": run.recording,
            "not_passed_because": score.as_ref().map(|score| &score.reasons),
        }),
        test_profile_data: run
            .test_profile
            .as_ref()
            .map(|profile| wire::TestProfileData {
                id: profile.id,
                name: profile.name.clone(),
                information: profile.information.clone(),
            }),
        run_as_text: false,
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
    }
}

/// `[MM:SS] Role: text`, one line per turn. What the agent said is not transcribed here.
fn transcript(turns: &[ScoreTurn]) -> String {
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

fn statuses(asked: &Asked) -> Answer<Vec<Status>> {
    let mut statuses = Vec::new();
    for name in ["status", "status__in"] {
        for text in asked
            .query(name)
            .into_iter()
            .flat_map(|text| text.split(','))
        {
            let status = Status::parse(text.trim());
            let message = || Failure::field(name, format!("{text:?} is no status of a run."));
            statuses.push(status.ok_or_else(message)?);
        }
    }
    Ok(statuses)
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::Run>>> {
    let page = asked.page()?;
    let either = |a: Option<i64>, b: Option<i64>| a.or(b);
    let filter = RunFilter {
        result: either(asked.query_id("result_id")?, asked.query_id("result__id")?).map(ResultId),
        agents: either(
            asked.query_id("agent_id")?,
            asked.query_id("result__agent_id")?,
        )
        .map(AgentId)
        .into_iter()
        .collect(),
        project: asked.query_id("project_id")?.map(ProjectId),
        statuses: statuses(&asked)?,
        ..RunFilter::default()
    };
    let scope = asked.principal.scope;
    let listing = state.store().runs(scope, filter, page).await?;
    Ok(Json(
        asked.listing(page, listing, |run| show(&run, &asked.base))?,
    ))
}

pub(crate) async fn bulk(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::Run>>> {
    let text = asked
        .query("run_ids")
        .ok_or_else(|| Failure::field("run_ids", "This parameter is required."))?;
    let mut ids = Vec::new();
    for part in text.split(',') {
        let id: Option<i64> = part.trim().parse().ok();
        let message = || {
            Failure::field(
                "run_ids",
                "Expected run ids separated by commas, for example run_ids=1,2,3.",
            )
        };
        ids.push(RunId(id.ok_or_else(message)?));
    }
    if ids.len() > MAX_IDS {
        let message = format!("At most {MAX_IDS} ids are allowed at once.");
        return Err(Failure::field("run_ids", message));
    }
    let runs = state
        .store()
        .runs_by_id(asked.principal.scope, &ids)
        .await?;
    Ok(Json(
        runs.iter().map(|run| show(run, &asked.base)).collect(),
    ))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Run>> {
    let run = state.store().run(asked.principal.scope, RunId(id)).await?;
    Ok(Json(show(&run, &asked.base)))
}

pub(crate) async fn end_call(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Run>> {
    let run = state
        .engine
        .cancel_run(asked.principal.scope, RunId(id))
        .await?;
    Ok(Json(show(&run, &asked.base)))
}
