//! All runs of a result as a file, read and sent in portions: however many they are, a few are in memory.
//!
//! Spreadsheets take a cell that begins like a formula for one, whoever wrote it; such a text gets an
//! apostrophe before it.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use ringdown_api as wire;
use ringdown_domain::call::EndedReason;
use ringdown_domain::{ResultId, RunId};
use ringdown_store::{Run, Scope};
use serde_json::json;

use super::summaries;
use crate::State;
use crate::error::{Answer, Failure};
use crate::operations::{Kind, Table};
use crate::pages::{Asked, time};
use crate::runs;

/// Runs read at once.
const PORTION: u32 = 200;

pub(super) fn operations(table: &mut Table) {
    table
        .get("/test_framework/v1/results/export_result_runs", export)
        .id("results-v1-export-result-runs-retrieve")
        .summary("Export all runs of a result")
        .about("JSON is the result with its runs by id; CSV has one line per run.")
        .required_query("result_id", Kind::Id, "The result.")
        .query("format", Kind::OneOf(&["json", "csv"]), "json if absent.")
        .answers::<wire::ResultSummary>(200)
        .answers_media(200, "text/csv");
}

/// Columns of the CSV file.
const COLUMNS: [&str; 25] = [
    "run_id",
    "result_id",
    "result_name",
    "agent_id",
    "agent_name",
    "scenario_id",
    "scenario_name",
    "personality_name",
    "test_profile_name",
    "status",
    "success",
    "evaluation_status",
    "outbound_number",
    "agent_number",
    "timestamp",
    "executed_at",
    "duration_seconds",
    "call_id",
    "ended_reason",
    "error_message",
    "not_passed_because",
    "metrics",
    "transcript",
    "is_reviewed",
    "feedback",
];

/// A text that somebody wrote, so that no spreadsheet computes it.
fn text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// A run's line.
fn line(run: &Run) -> [String; COLUMNS.len()] {
    let score = runs::score_of(run).unwrap_or_default();
    let metrics: serde_json::Map<String, serde_json::Value> = score
        .metrics
        .iter()
        .map(|metric| {
            let value = metric
                .passed
                .map_or(json!(metric.value), |passed| json!(passed));
            (metric.code.clone(), value)
        })
        .collect();
    let metrics = if metrics.is_empty() {
        String::new()
    } else {
        serde_json::Value::Object(metrics).to_string()
    };
    let note = |name: &str| run.notes.get(name).cloned().unwrap_or_default();
    let success = run.success();
    [
        run.id.to_string(),
        run.result.to_string(),
        text(&run.result_name),
        run.agent.to_string(),
        text(&run.agent_name),
        run.scenario.to_string(),
        text(&run.scenario_name),
        text(&run.personality_name),
        text(
            run.test_profile
                .as_ref()
                .map_or("", |profile| &profile.name),
        ),
        run.status().to_string(),
        success.map_or_else(String::new, |success| success.to_string()),
        runs::verdict(success, note("reviewed_success").as_bool()).unwrap_or_default(),
        run.number.to_string(),
        run.caller_ids
            .first()
            .map_or_else(String::new, ToString::to_string),
        time(run.created_at),
        run.executed_at.map_or_else(String::new, time),
        run.duration
            .map_or_else(String::new, |duration| duration.as_secs_f64().to_string()),
        text(run.call.as_ref().map_or("", |call| &call.0)),
        run.ended_reason.map_or("", EndedReason::as_str).to_owned(),
        text(run.error_message().unwrap_or_default()),
        text(&score.reasons.join(" ")),
        metrics,
        runs::transcript(&score.turns),
        note("is_reviewed")
            .as_bool()
            .unwrap_or_default()
            .to_string(),
        text(note("feedback").as_str().unwrap_or_default()),
    ]
}

fn csv<'a>(lines: impl Iterator<Item = &'a [String]>) -> Result<Bytes, axum::BoxError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line)?;
    }
    let written = writer.into_inner().map_err(|error| error.to_string())?;
    Ok(written.into())
}

/// The runs of a result in portions, by id.
fn portions(
    state: State,
    scope: Scope,
    id: ResultId,
) -> impl Stream<Item = Result<Vec<Run>, axum::BoxError>> {
    stream::try_unfold(
        (state, None),
        move |(state, after): (State, Option<RunId>)| async move {
            let runs = state.store().runs_of(scope, id, after, PORTION).await?;
            let next = runs.last().map(|run| run.id);
            Ok(next.map(|last| (runs, (state, Some(last)))))
        },
    )
}

/// Runs as the fields of an object, each after a comma unless it is the first.
fn fields(runs: &[Run], base: &str, first: bool) -> Result<Bytes, axum::BoxError> {
    let mut text = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        if place > 0 || !first {
            text.push(b',');
        }
        text.extend_from_slice(format!("\"{}\":", run.id).as_bytes());
        serde_json::to_writer(&mut text, &runs::show(run, base))?;
    }
    Ok(text.into())
}

async fn export(Extract(state): Extract<State>, asked: Asked) -> Answer<Response> {
    let scope = asked.principal.scope;
    let id = asked
        .query_id("result_id")?
        .ok_or_else(|| Failure::field("result_id", "This parameter is required."))?;
    let as_csv = match asked.query("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Failure::field("format", "Expected json or csv.")),
    };
    let batch = state.store().batch(scope, ResultId(id)).await?;
    if as_csv {
        let columns = COLUMNS.map(str::to_owned);
        let head = csv(std::iter::once(columns.as_slice()));
        let lines = portions(state, scope, batch.id).map(|runs| {
            let lines: Vec<_> = runs?.iter().map(line).collect();
            csv(lines.iter().map(<[String; COLUMNS.len()]>::as_slice))
        });
        let body = Body::from_stream(stream::iter([head]).chain(lines));
        return Ok(file(body, "text/csv; charset=utf-8", id, "csv"));
    }
    let summary = summaries(&state, vec![batch]).await?.pop();
    let json = serde_json::to_string(&summary.unwrap_or_default())
        .map_err(|error| Failure::internal(&error.to_string()))?;
    // The object stays open for its runs.
    let open = json.strip_suffix('}').unwrap_or(&json);
    let head = Bytes::from(format!("{open},\"runs\":{{"));
    let base = asked.base;
    let mut first = true;
    let runs = portions(state, scope, ResultId(id)).map(move |runs| {
        let text = fields(&runs?, &base, first);
        first = false;
        text
    });
    let head = stream::iter([Ok(head)]);
    let body = head
        .chain(runs)
        .chain(stream::iter([Ok(Bytes::from_static(b"}}"))]));
    Ok(file(
        Body::from_stream(body),
        "application/json",
        id,
        "json",
    ))
}

fn file(body: Body, kind: &'static str, id: i64, ending: &str) -> Response {
    let name = format!("attachment; filename=\"result-{id}-runs.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(text(bad), format!("'{bad}"));
        }
        assert_eq!(text("a=1"), "a=1");
        assert_eq!(text(""), "");
    }
}
