mod aggregate;
mod export;
mod share;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::run::Status;
use ringdown_domain::{AgentId, ProjectId, ResultId, ScenarioId};
use ringdown_store::{Batch, BatchFilter, Counts, Run, ScenarioFilter, Scope};
use serde_json::{Value, json};

use crate::State;
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Id, WHOLE, minutes, time};
use crate::runs;
use aggregate::Aggregate;

/// Runs read at once.
const PORTION: u32 = 500;

/// Runs deleted in one transaction.
const DELETED_AT_ONCE: u32 = 200;

/// Evaluators one request may name.
const MAX_SCENARIOS: usize = 1_000;

pub(crate) fn operations(table: &mut Table) {
    const ONE: &str = "/test_framework/v1/results/{id}";
    table.tag("Results", "The runs of one trigger, together.");
    table
        .get("/test_framework/v1/results", list)
        .id("results-v1-list")
        .summary("List results, newest first")
        .paged()
        .query("agent_id", Kind::Id, "Only of this agent.")
        .query("project_id", Kind::Id, "Only of this project.")
        .query("search", Kind::Text, "Only with this in the name.")
        .query(
            "scenarios",
            Kind::Text,
            "Only with a run of one of these evaluators: ids separated by commas.",
        )
        .answers::<wire::Page<wire::ResultSummary>>(200);
    table
        .get(ONE, read)
        .id("results-v1-retrieve")
        .summary("Show a result with its runs")
        .answers::<wire::ResultDetail>(200);
    table
        .patch(ONE, rename)
        .id("results-v1-partial-update")
        .summary("Rename a result")
        .takes(
            Body::new()
                .optional("name", Kind::Short(255), "Its name.")
                .lenient(),
        )
        .answers::<wire::ResultDetail>(200);
    table
        .delete(ONE, delete)
        .id("results-v1-destroy")
        .summary("Delete a result with its runs and recordings")
        .about("Refused with 409 while one of its runs has not ended.")
        .answers_nothing(204);
    table
        .post("/test_framework/v1/results/{id}/end_calls", end_calls)
        .id("end-calls_2")
        .summary("Cancel what is left of a result")
        .answers::<wire::EndedCalls>(200);
    share::operations(table);
    export::operations(table);
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A result is failed only if every run failed for want of a usable conversation; runs that did not pass
/// leave it completed.
fn status(counts: &Counts) -> wire::RunStatus {
    if counts.ended() < counts.total {
        return if counts.in_queue < counts.total {
            wire::RunStatus::Running
        } else {
            Status::Pending.into()
        };
    }
    if counts.total > 0 && counts.cancelled == counts.total {
        Status::Cancelled.into()
    } else if counts.total > 0 && counts.failed + counts.timeout == counts.total {
        Status::Failed.into()
    } else {
        Status::Completed.into()
    }
}

/// Percent of all runs that passed.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn success_rate(counts: &Counts) -> f64 {
    if counts.total == 0 {
        return 0.0;
    }
    let rate = counts.passed as f64 * 100.0 / counts.total as f64;
    (rate * 100.0).round() / 100.0
}

/// Runs that ended without a call.
fn not_connected(counts: &Counts) -> u64 {
    let live = counts.in_progress + counts.evaluating;
    let ended = counts.connected.saturating_sub(live);
    counts.ended().saturating_sub(ended)
}

fn summary(batch: Batch, scenarios: BTreeMap<String, wire::ResultScenario>) -> wire::ResultSummary {
    let counts = batch.counts;
    wire::ResultSummary {
        id: batch.id.0,
        name: batch.name,
        agent: Some(batch.agent.0),
        agent_name: batch.agent_name,
        // A trigger refuses agents that take calls.
        agent_inbound: false,
        agent_version: String::new(),
        status: status(&counts),
        success_rate: success_rate(&counts),
        met_expected_outcome_count: signed(counts.passed),
        total_expected_outcome_count: signed(counts.completed),
        is_cronjob: batch.cron_job.is_some(),
        run_as_text: false,
        run_type: None,
        scenarios,
        total_runs_count: signed(counts.total),
        completed_runs_count: signed(counts.ended()),
        success_runs_count: signed(counts.passed),
        failed_runs_count: signed(counts.ended() - counts.passed),
        created_at: time(batch.created_at),
        updated_at: time(batch.updated_at),
    }
}

/// Summaries of batches, with what has to be looked up for all of them at once.
async fn summaries(state: &State, batches: Vec<Batch>) -> Answer<Vec<wire::ResultSummary>> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<ResultId> = batches.iter().map(|batch| batch.id).collect();
    let mut scenarios: BTreeMap<ResultId, BTreeMap<String, wire::ResultScenario>> = BTreeMap::new();
    for (result, scenario, name) in state.store().batch_scenarios(&ids).await? {
        let one = wire::ResultScenario {
            id: scenario.0,
            name,
        };
        let of = scenarios.entry(result).or_default();
        of.insert(scenario.to_string(), one);
    }
    let show = |batch: Batch| {
        let scenarios = scenarios.remove(&batch.id).unwrap_or_default();
        summary(batch, scenarios)
    };
    Ok(batches.into_iter().map(show).collect())
}

/// The summary of one result as it is now.
pub(crate) async fn summary_of(
    state: &State,
    scope: Scope,
    id: ResultId,
) -> Answer<wire::ResultSummary> {
    let batch = state.store().batch(scope, id).await?;
    let shown = summaries(state, vec![batch]).await?.pop();
    shown.ok_or_else(|| Failure::internal("a result without a summary"))
}

/// Visits every run of a result, by id, in portions.
pub(crate) async fn each_run(
    state: &State,
    scope: Scope,
    id: ResultId,
    mut visit: impl FnMut(&Run),
) -> Answer<()> {
    let mut after = None;
    loop {
        let runs = state.store().runs_of(scope, id, after, PORTION).await?;
        runs.iter().for_each(&mut visit);
        match runs.last() {
            Some(run) => after = Some(run.id),
            None => return Ok(()),
        }
    }
}

/// The tags that evaluators have now.
async fn tags(
    state: &State,
    scope: Scope,
    ids: Vec<ScenarioId>,
) -> Answer<Vec<(ScenarioId, Vec<String>)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let filter = ScenarioFilter {
        ids: Some(ids),
        ..ScenarioFilter::default()
    };
    let found = state.store().scenarios(scope, filter, WHOLE).await?;
    let tags = found.rows.into_iter().map(|one| (one.id, one.tags));
    Ok(tags.collect())
}

async fn detail(
    state: &State,
    scope: Scope,
    id: ResultId,
    base: &str,
) -> Answer<wire::ResultDetail> {
    let batch = state.store().batch(scope, id).await?;
    let mut shown = BTreeMap::new();
    let mut all = Aggregate::default();
    each_run(state, scope, id, |run| {
        all.add(run);
        shown.insert(run.id.to_string(), runs::show(run, base));
    })
    .await?;
    let scenarios = state.store().batch_scenarios(&[id]).await?;
    let scenarios = scenarios
        .into_iter()
        .map(|(_, id, name)| json!({"id": id.0, "name": name}));
    let tags = tags(state, scope, all.scenarios()).await?;
    let counts = batch.counts;
    let rate = success_rate(&counts);
    Ok(wire::ResultDetail {
        id: batch.id.0,
        name: batch.name,
        agent: Some(batch.agent.0),
        agent_name: batch.agent_name,
        agent_version: String::new(),
        status: status(&counts),
        success_rate: rate,
        met_expected_outcome_count: signed(counts.passed),
        total_expected_outcome_count: signed(counts.completed),
        is_cronjob: batch.cron_job.is_some(),
        run_as_text: false,
        runs: shown,
        total_duration: Value::String(minutes(counts.duration)),
        total_runs_count: signed(counts.total),
        completed_runs_count: signed(counts.ended()),
        success_runs_count: signed(counts.passed),
        failed_runs_count: signed(counts.ended() - counts.passed),
        connected_runs: signed(counts.connected),
        not_connected_runs: signed(not_connected(&counts)),
        failed_infrastructure_runs: signed(counts.failed + counts.timeout),
        failed_workflow_runs: signed(counts.completed - counts.passed),
        successful_calls: signed(counts.completed),
        scenarios: scenarios.collect(),
        overall_evaluation: all.overall(rate),
        critical_categories: json!([]),
        metrics: all.metrics(),
        performance_metrics: all.performance(),
        runs_by_tags: all.by_tags(&tags),
        latency_data: all.latency(),
        failed_reasons: all.failed_reasons(),
        ai_summary: Value::Null,
        ai_summary_status: String::new(),
        next_steps: Value::Null,
        path_coverage: Value::Null,
        run_type: None,
        run_settings: batch.settings,
        created_at: time(batch.created_at),
        updated_at: time(batch.updated_at),
    })
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::ResultSummary>>> {
    let page = asked.page()?;
    let scope = asked.principal.scope;
    let mut scenarios = Vec::new();
    for text in asked.values("scenarios").flat_map(|text| text.split(',')) {
        let id: Option<i64> = text.trim().parse().ok().filter(|id| *id > 0);
        let id = id.ok_or_else(|| {
            Failure::field("scenarios", "Expected ids of evaluators, for example 1,2.")
        })?;
        scenarios.push(ScenarioId(id));
    }
    if scenarios.len() > MAX_SCENARIOS {
        let message = format!("At most {MAX_SCENARIOS} evaluators are allowed at once.");
        return Err(Failure::field("scenarios", message));
    }
    let filter = BatchFilter {
        agent: asked.query_id("agent_id")?.map(AgentId),
        project: asked.query_id("project_id")?.map(ProjectId),
        search: asked.query("search").map(str::to_owned),
        scenarios,
    };
    let listing = state.store().batches(scope, filter, page).await?;
    let shown = asked.listing(page, listing, |batch| batch)?;
    Ok(Json(wire::Page {
        count: shown.count,
        next: shown.next,
        previous: shown.previous,
        results: summaries(&state, shown.results).await?,
    }))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::ResultDetail>> {
    let scope = asked.principal.scope;
    Ok(Json(
        detail(&state, scope, ResultId(id), &asked.base).await?,
    ))
}

async fn rename(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::ResultDetail>> {
    let scope = asked.principal.scope;
    state.store().batch(scope, ResultId(id)).await?;
    let name = if fields.has("name") {
        fields.required_text("name", 255)
    } else {
        None
    };
    fields.check()?;
    if let Some(name) = name {
        state
            .store()
            .rename_batch(scope, ResultId(id), &name)
            .await?;
    }
    Ok(Json(
        detail(&state, scope, ResultId(id), &asked.base).await?,
    ))
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    let mut left = u64::MAX;
    while left > 0 {
        // In portions, so that no transaction holds the others up.
        left = state
            .store()
            .delete_batch(scope, ResultId(id), DELETED_AT_ONCE, now())
            .await?;
    }
    state.engine.deleted();
    Ok(StatusCode::NO_CONTENT)
}

async fn end_calls(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::EndedCalls>> {
    let scope = asked.principal.scope;
    let cancelled = state.engine.cancel_batch(scope, ResultId(id)).await?;
    Ok(Json(wire::EndedCalls {
        id,
        cancelled_runs_count: cancelled,
    }))
}
