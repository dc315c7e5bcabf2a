//! Results once more: the same runs again, and the request to judge them again.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_domain::run::Status;
use ringdown_domain::{ResultId, RunId};
use ringdown_platform::plan::{Case, Request};
use ringdown_store::Batch;
use serde_json::{Value, json};

use super::takes_runs;
use crate::State;
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Table};
use crate::pages::{Asked, Id, time};

pub(super) fn operations(table: &mut Table) {
    table
        .post("/test_framework/v1/results/{id}/rerun", rerun)
        .id("results-v1-rerun-create")
        .summary("Run a result's evaluators again")
        .about(
            "Makes a new result with the same evaluators, personalities and test profiles as they \
             are now, and with the same settings.",
        )
        .answers::<wire::ResultSummary>(200);
    table
        .post(
            "/test_framework/v1/results/{id}/evaluate_metrics",
            evaluate_metrics,
        )
        .id("results-v1-evaluate-metrics-create")
        .summary("Judge runs again")
        .about(
            "Always refused: metrics are measured from the recording when a call ends, and the same \
             recording gives the same values.",
        )
        .takes(Body::of::<wire::EvaluateMetrics>())
        .answers::<wire::ResultSummary>(200)
        .answers::<wire::Detail>(409);
}

pub(crate) async fn rerun(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::ResultSummary>> {
    takes_runs(&state)?;
    let scope = asked.principal.scope;
    let before = state.store().batch(scope, ResultId(id)).await?;
    let used = state.store().batch_templates(scope, before.id).await?;
    let cases = used.iter().map(|one| Case {
        scenario: one.scenario,
        personality: one.personality,
        test_profile: one.test_profile,
        runs: one.runs,
    });
    let mut request = Request::again(&before.settings, before.agent, cases.collect());
    request.name = Some(before.name);
    let mut batch = state.engine.plan(scope, &request).await?;
    batch.settings = match before.settings {
        Value::Object(mut settings) => {
            settings.insert("rerun_of".to_owned(), id.into());
            Value::Object(settings)
        }
        _ => json!({"rerun_of": id}),
    };
    let triggered = state.engine.trigger(batch).await?;
    Ok(Json(fresh(triggered.batch)))
}

/// A result none of whose runs has begun.
fn fresh(batch: Batch) -> wire::ResultSummary {
    wire::ResultSummary {
        id: batch.id.0,
        name: batch.name,
        agent: Some(batch.agent.0),
        agent_name: batch.agent_name,
        status: Status::Pending.into(),
        total_runs_count: i64::try_from(batch.counts.total).unwrap_or(i64::MAX),
        created_at: time(batch.created_at),
        updated_at: time(batch.updated_at),
        ..wire::ResultSummary::default()
    }
}

pub(crate) async fn evaluate_metrics(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Detail>> {
    let scope = asked.principal.scope;
    let batch = state.store().batch(scope, ResultId(id)).await?;
    let runs = fields.text_ids("run_ids");
    let metrics = fields.text_ids("metric_ids");
    for (name, ids) in [("run_ids", &runs), ("metric_ids", &metrics)] {
        if ids.as_ref().is_none_or(Vec::is_empty) {
            fields.require(name);
        }
    }
    fields.check()?;
    let ids: Vec<RunId> = runs.into_iter().flatten().map(RunId).collect();
    let runs = state.store().runs_by_id(scope, &ids).await?;
    let foreign = ids.iter().find(|id| {
        !runs
            .iter()
            .any(|run| run.id == **id && run.result == batch.id)
    });
    if let Some(foreign) = foreign {
        let message = format!("Result {id} has no run {foreign}.");
        return Err(Failure::field("run_ids", message));
    }
    Err(Failure::detail(
        StatusCode::CONFLICT,
        format!(
            "Nothing is judged again: metrics are measured from the recording when a call ends, and \
             the same recording gives the same values. Make new calls with POST \
             /test_framework/v1/results/{id}/rerun/."
        ),
    ))
}
