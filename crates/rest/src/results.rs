use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api as wire;
use ringdown_domain::run::Status;
use ringdown_domain::{AgentId, OrganisationId, ResultId};
use ringdown_store::{Batch, Page, Run, RunFilter};
use serde_json::{Value, json};

use super::State;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id, minutes, time};
use super::runs;
use crate::error::Answer;

const PAGE: u32 = 500;

pub(crate) fn operations(table: &mut Table) {
    table.tag("Results", "The runs of one trigger, together.");
    table
        .get("/test_framework/v1/results", list)
        .id("results-v1-list")
        .summary("List results")
        .paged()
        .query("agent_id", Kind::Id, "Only of this agent.")
        .answers::<wire::Page<wire::ResultSummary>>(200);
    table
        .get("/test_framework/v1/results/{id}", read)
        .id("results-v1-retrieve")
        .summary("Show a result with its runs")
        .answers::<wire::ResultDetail>(200);
    table
        .post("/test_framework/v1/results/{id}/end_calls", end_calls)
        .id("end-calls_2")
        .summary("Cancel what is left of a result")
        .answers::<wire::EndedCalls>(200);
}

async fn all_runs(state: &State, org: OrganisationId, id: ResultId) -> Answer<Vec<Run>> {
    let mut runs = Vec::new();
    for number in 1.. {
        let filter = RunFilter {
            result: Some(id),
            ..RunFilter::default()
        };
        let page = Page { number, size: PAGE };
        let listing = state.store().runs(org, filter, page).await?;
        let last = listing.rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        runs.extend(listing.rows);
        if last {
            break;
        }
    }
    Ok(runs)
}

/// Counts of a result's runs.
#[derive(Default)]
struct Counts {
    total: i64,
    ended: i64,
    passed: i64,
    connected: i64,
    failed: i64,
    started: bool,
}

fn count(runs: &[Run]) -> Counts {
    let mut counts = Counts::default();
    for run in runs {
        counts.total += 1;
        let status = run.status();
        counts.started |= status != Status::InQueue;
        counts.connected += i64::from(run.executed_at.is_some());
        if status.is_terminal() {
            counts.ended += 1;
            counts.passed += i64::from(run.success() == Some(true));
            counts.failed += i64::from(run.success() != Some(true));
        }
    }
    counts
}

impl Counts {
    /// A result is failed only if every run failed for want of a usable conversation; runs that did
    /// not pass leave it completed.
    fn status(&self, runs: &[Run]) -> wire::RunStatus {
        if self.ended < self.total {
            return if self.started {
                wire::RunStatus::Running
            } else {
                wire::RunStatus::Known(Status::Pending)
            };
        }
        let all = |status: Status| runs.iter().all(|run| run.status() == status);
        let broken = |run: &Run| matches!(run.status(), Status::Failed | Status::Timeout);
        if all(Status::Cancelled) {
            Status::Cancelled.into()
        } else if runs.iter().all(broken) {
            Status::Failed.into()
        } else {
            Status::Completed.into()
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn success_rate(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        let rate = self.passed as f64 * 100.0 / self.total as f64;
        (rate * 100.0).round() / 100.0
    }
}

fn summary(batch: Batch, runs: &[Run]) -> wire::ResultSummary {
    let counts = count(runs);
    wire::ResultSummary {
        id: batch.id.0,
        name: batch.name,
        agent: Some(batch.agent.0),
        agent_name: batch.agent_name,
        status: counts.status(runs),
        success_rate: counts.success_rate(),
        total_runs_count: counts.total,
        completed_runs_count: counts.ended,
        success_runs_count: counts.passed,
        failed_runs_count: counts.failed,
        created_at: time(batch.created_at),
        updated_at: time(batch.updated_at),
    }
}

fn detail(batch: Batch, runs: &[Run], base: &str) -> wire::ResultDetail {
    let counts = count(runs);
    let total: Duration = runs.iter().filter_map(|run| run.duration).sum();
    let scenarios: BTreeMap<i64, &str> = runs
        .iter()
        .map(|run| (run.scenario.0, run.scenario_name.as_str()))
        .collect();
    let scenarios: Vec<Value> = scenarios
        .into_iter()
        .map(|(id, name)| json!({"id": id, "name": name}))
        .collect();
    wire::ResultDetail {
        id: batch.id.0,
        name: batch.name,
        agent: Some(batch.agent.0),
        agent_name: batch.agent_name,
        status: counts.status(runs),
        success_rate: counts.success_rate(),
        run_as_text: false,
        runs: runs
            .iter()
            .map(|run| (run.id.to_string(), runs::show(run, base)))
            .collect(),
        total_duration: Value::String(minutes(total)),
        total_runs_count: counts.total,
        completed_runs_count: counts.ended,
        success_runs_count: counts.passed,
        failed_runs_count: counts.failed,
        connected_runs: counts.connected,
        not_connected_runs: counts.ended
            - runs
                .iter()
                .filter(|r| r.status().is_terminal())
                .map(|r| i64::from(r.executed_at.is_some()))
                .sum::<i64>(),
        scenarios: Value::Array(scenarios),
        run_settings: batch.settings,
        created_at: time(batch.created_at),
        updated_at: time(batch.updated_at),
    }
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::ResultSummary>>> {
    let page = asked.page()?;
    let org = asked.principal.org;
    let agent = asked.query_id("agent_id")?.map(AgentId);
    let listing = state.store().batches(org, agent, page).await?;
    let shown = asked.listing(page, listing, |batch| batch)?;
    let mut results = Vec::with_capacity(shown.results.len());
    for batch in shown.results {
        let runs = all_runs(&state, org, batch.id).await?;
        results.push(summary(batch, &runs));
    }
    Ok(Json(wire::Page {
        count: shown.count,
        next: shown.next,
        previous: shown.previous,
        results,
    }))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::ResultDetail>> {
    let org = asked.principal.org;
    let batch = state.store().batch(org, ResultId(id)).await?;
    let runs = all_runs(&state, org, batch.id).await?;
    Ok(Json(detail(batch, &runs, &asked.base)))
}

pub(crate) async fn end_calls(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::EndedCalls>> {
    let org = asked.principal.org;
    let cancelled = state.engine.cancel_batch(org, ResultId(id)).await?;
    Ok(Json(wire::EndedCalls {
        id,
        cancelled_runs_count: cancelled,
    }))
}
