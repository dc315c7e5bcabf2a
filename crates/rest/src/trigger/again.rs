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
use crate::{metrics, results};

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
            "Every run is judged when its call ends, and the same recording gives the same values: the \
             values stand. Refused for runs that have not ended.",
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
) -> Answer<Json<wire::ResultSummary>> {
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
    if let Some(unknown) = metrics.iter().flatten().find(|id| !metrics::exists(**id)) {
        let message = format!("There is no metric {unknown}.");
        return Err(Failure::field("metric_ids", message));
    }
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
    if let Some(run) = runs.iter().find(|run| !run.status().is_terminal()) {
        let message = format!(
            "Run {} is {}: it is judged once its call has ended. Ask again then.",
            run.id,
            run.status()
        );
        return Err(Failure::detail(StatusCode::CONFLICT, message));
    }
    results::summary_of(&state, scope, batch.id).await.map(Json)
}
