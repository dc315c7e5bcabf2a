//! How a job is shown, with the evaluators it names.

use std::collections::HashMap;

use axum::Json;
use ringdown_api as wire;
use ringdown_domain::ScenarioId;
use ringdown_store::{CronJob, Scenario, ScenarioFilter, Scope};
use serde_json::{Map, Value};

use crate::State;
use crate::error::{Answer, Failure};
use crate::kept::text;
use crate::pages::{WHOLE, time};
use crate::personalities;
use crate::scenarios::personality;

pub(super) fn ids(kept: &Map<String, Value>, name: &str) -> Vec<i64> {
    let list = kept.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .collect()
}

/// Evaluators by id, those of many jobs at once.
pub(super) async fn evaluators(
    state: &State,
    scope: Scope,
    wanted: Vec<i64>,
) -> Answer<HashMap<i64, Scenario>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let filter = ScenarioFilter {
        ids: Some(wanted.into_iter().map(ScenarioId).collect()),
        ..ScenarioFilter::default()
    };
    let found = state.store().scenarios(scope, filter, WHOLE).await?;
    Ok(found.rows.into_iter().map(|one| (one.id.0, one)).collect())
}

pub(super) async fn show(
    state: &State,
    scope: Scope,
    jobs: Vec<CronJob>,
) -> Answer<Vec<wire::CronJob>> {
    let mut wanted: Vec<i64> = jobs
        .iter()
        .flat_map(|job| ids(&job.job.extra, "scenarios"))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let evaluators = evaluators(state, scope, wanted).await?;
    let names = personalities::names(state, scope, evaluators.values().map(personality)).await?;
    Ok(jobs
        .into_iter()
        .map(|job| show_one(job, &evaluators, &names))
        .collect())
}

pub(super) async fn show_alone(
    state: &State,
    scope: Scope,
    job: CronJob,
) -> Answer<Json<wire::CronJob>> {
    let id = job.id;
    let shown = show(state, scope, vec![job]).await?.pop();
    shown
        .map(Json)
        .ok_or_else(|| Failure::not_found("cron job", id))
}

fn show_one(
    shown: CronJob,
    evaluators: &HashMap<i64, Scenario>,
    names: &HashMap<i64, String>,
) -> wire::CronJob {
    let job = shown.job;
    let mut other = job.extra;
    let scenario_ids = ids(&other, "scenarios");
    let scenarios_data = scenario_ids.iter().filter_map(|id| {
        let scenario = evaluators.get(id)?;
        let personality = personality(scenario);
        Some(wire::ScenarioBrief {
            id: *id,
            agent: Some(scenario.agent.0),
            name: scenario.name.clone(),
            personality: Some(personality),
            personality_name: names.get(&personality).cloned().unwrap_or_default(),
        })
    });
    let scenarios_data = scenarios_data.collect();
    let personalities = ids(&other, "personalities");
    let tags = other.remove("tags");
    let or = |text: String, default: &str| match text.is_empty() {
        true => default.to_owned(),
        false => text,
    };
    let (mode, notify) = (
        text(&mut other, "execution_mode"),
        text(&mut other, "notify_on"),
    );
    let frequency = other.remove("frequency").and_then(|value| value.as_i64());
    let concurrency_limit = other.remove("concurrency_limit");
    for name in ["scenarios", "personalities", "personality", "run_as_text"] {
        other.remove(name);
    }
    wire::CronJob {
        id: shown.id.0,
        agent: job.agent.map(|agent| agent.0),
        project: job.project.0,
        name: job.name,
        crontab_expression: job.expression,
        timezone: job.timezone,
        scenario_ids,
        scenarios_data,
        personality: personalities.first().copied(),
        personalities,
        tags: tags
            .and_then(|tags| serde_json::from_value(tags).ok())
            .unwrap_or_default(),
        frequency: frequency.unwrap_or(1),
        concurrency_limit: concurrency_limit.and_then(|limit| limit.as_i64()),
        run_as_text: false,
        execution_mode: or(mode, "voice"),
        notify_on: or(notify, "never"),
        is_active: job.is_active,
        next_run_at: job.next_run_at.map(time),
        last_run_at: shown.last_run_at.map(time),
        last_outcome: shown.last_outcome,
        created_by: job.created_by.map(|key| key.0),
        created_via: Some("api".to_owned()),
        created_at: time(shown.created_at),
        updated_at: time(shown.updated_at),
        other,
    }
}
