//! Jobs that trigger runs on a schedule: kept here, fired by the platform.
//!
//! What a job triggers is stored under the API's own names: `scenarios`, `tags`, `frequency`,
//! `personalities`, `concurrency_limit` and `test_profile_ids`.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_cron::Schedule;
use ringdown_domain::{AgentId, CronJobId, ProjectId, ScenarioId, TestProfileId};
use ringdown_store::{CronJob, NewCronJob, Scenario, ScenarioFilter, Scope};
use serde_json::{Map, Value};

use super::State;
use super::agents::{of_others, project_or_first};
use super::body::Fields;
use super::kept::text;
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id, WHOLE, time};
use super::personalities;
use super::scenarios::personality;
use crate::error::{Answer, Failure, found};

/// Least time between two runs of a job.
const LEAST_SPACING: Duration = Duration::from_secs(60);

/// Evaluators a job names.
const MOST_SCENARIOS: usize = 1000;

/// Fields only the server writes.
const READ_ONLY: &[&str] = &[
    "id",
    "project",
    "scenario_ids",
    "scenarios_data",
    "created_by",
    "created_via",
    "created_at",
    "updated_at",
    "next_run_at",
    "last_run_at",
    "last_outcome",
];

const MODES: &[&str] = &[
    "voice",
    "text",
    "sip",
    "vapi_webrtc",
    "retell_webrtc",
    "elevenlabs",
    "ello",
    "livekit_v2",
    "pipecat_v2",
    "agora",
];

const NOTIFY: &[&str] = &["never", "success", "failure", "both"];

pub(crate) fn operations(table: &mut Table) {
    const MANY: &str = "/schedules/v1/cron-jobs";
    const ONE: &str = "/schedules/v1/cron-jobs/{id}";
    table.tag("Cron jobs", "Runs that are triggered on a schedule.");
    table
        .get(MANY, list)
        .id("cron-jobs-list")
        .summary("List cron jobs")
        .query("agent_id", Kind::Id, "Only of this agent.")
        .query("project_id", Kind::Id, "Only of this project.")
        .query("organization_id", Kind::Id, "Only of this organisation.")
        .answers::<Vec<wire::CronJob>>(200);
    table
        .post(MANY, create)
        .id("cron-jobs-create")
        .summary("Create a cron job")
        .takes(body())
        .answers::<wire::CronJob>(201);
    table
        .get(ONE, read)
        .id("cron-jobs-retrieve")
        .summary("Show a cron job")
        .answers::<wire::CronJob>(200);
    table
        .put(ONE, replace)
        .id("cron-jobs-update")
        .summary("Replace a cron job")
        .takes(body())
        .answers::<wire::CronJob>(200);
    table
        .patch(ONE, change)
        .id("cron-jobs-partial-update")
        .summary("Change a cron job")
        .takes(body().partly())
        .answers::<wire::CronJob>(200);
    table
        .delete(ONE, delete)
        .id("cron-jobs-destroy")
        .summary("Delete a cron job")
        .answers_nothing(204);
}

fn body() -> Body {
    Body::new()
        .required(
            "crontab_expression",
            Kind::Short(255),
            "When it runs: minute, hour, day of the month, month, day of the week.",
        )
        .optional(
            "timezone",
            Kind::Text,
            "The IANA time zone of the expression; UTC if absent.",
        )
        .optional("name", Kind::Short(255), "Its name.")
        .optional(
            "agent",
            Kind::Id,
            "The agent under test; needed with tags, else that of the evaluators.",
        )
        .optional(
            "scenarios",
            Kind::Ids,
            "The evaluators it runs; either these or tags.",
        )
        .optional(
            "tags",
            Kind::Texts,
            "Runs the evaluators with any of these tags.",
        )
        .optional("personality", Kind::Id, "A personality for all runs.")
        .optional(
            "personalities",
            Kind::Ids,
            "Personalities; each multiplies the runs.",
        )
        .optional(
            "test_profile_ids",
            Kind::Ids,
            "Test profiles; each multiplies the runs.",
        )
        .optional(
            "frequency",
            Kind::Range(1, 100),
            "Runs per evaluator; 1 if absent.",
        )
        .optional(
            "concurrency_limit",
            Kind::Range(1, 1_000_000),
            "Parallel-call limit of its results.",
        )
        .optional(
            "run_as_text",
            Kind::Flag,
            "Has to be false: runs are calls.",
        )
        .optional(
            "execution_mode",
            Kind::OneOf(MODES),
            "How its runs are made; not text.",
        )
        .optional(
            "notify_on",
            Kind::OneOf(NOTIFY),
            "On what its owner is told; never if absent.",
        )
        .optional("is_active", Kind::Flag, "Whether it runs; true if absent.")
        .lenient()
}

fn ids(kept: &Map<String, Value>, name: &str) -> Vec<i64> {
    let list = kept.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .collect()
}

/// Evaluators by id, those of many jobs at once.
async fn evaluators(
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

async fn show(state: &State, scope: Scope, jobs: Vec<CronJob>) -> Answer<Vec<wire::CronJob>> {
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

async fn show_alone(state: &State, scope: Scope, job: CronJob) -> Answer<Json<wire::CronJob>> {
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

async fn list(Extract(state): Extract<State>, asked: Asked) -> Answer<Json<Vec<wire::CronJob>>> {
    let agent = asked.query_id("agent_id")?.map(AgentId);
    let project = asked.query_id("project_id")?.map(ProjectId);
    if of_others(&asked)? {
        return Ok(Json(Vec::new()));
    }
    let scope = asked.principal.scope;
    let jobs = state.store().cron_jobs(scope, project, agent).await?;
    Ok(Json(show(&state, scope, jobs).await?))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::CronJob>> {
    let scope = asked.principal.scope;
    let job = state.store().cron_job(scope, CronJobId(id)).await?;
    show_alone(&state, scope, job).await
}

/// Reads the schedule; whether it changed.
fn schedule(fields: &mut Fields, job: &mut NewCronJob, whole: bool) -> Option<Schedule> {
    if whole || fields.has("crontab_expression") {
        job.expression = fields
            .required_text("crontab_expression", ringdown_cron::MAX_EXPRESSION)
            .unwrap_or_default();
    }
    if whole || fields.has("timezone") {
        let zone = fields.text("timezone", 100).filter(|zone| !zone.is_empty());
        job.timezone = zone.unwrap_or_else(|| "UTC".to_owned());
    }
    if job.expression.is_empty() {
        return None;
    }
    match Schedule::parse(&job.expression, &job.timezone) {
        Ok(schedule) => {
            if let Err(error) = schedule.check_spacing(LEAST_SPACING) {
                fields.wrong("crontab_expression", format!("{error}."));
            }
            schedule.expression().clone_into(&mut job.expression);
            schedule.timezone().clone_into(&mut job.timezone);
            Some(schedule)
        }
        Err(error) => {
            let field = match error {
                ringdown_cron::Invalid::TimeZone(_) => "timezone",
                _ => "crontab_expression",
            };
            fields.wrong(field, format!("{error}."));
            None
        }
    }
}

/// Takes what is triggered.
async fn selection(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
    job: &mut NewCronJob,
) -> Answer<()> {
    for name in ["scenarios", "tags"] {
        if !fields.has(name) {
            continue;
        }
        let chosen = match name {
            "scenarios" => fields.ids(name).map(Value::from),
            _ => fields.texts(name, 100).map(Value::from),
        };
        match chosen.filter(|chosen| chosen.as_array().is_some_and(|list| !list.is_empty())) {
            Some(chosen) => job.extra.insert(name.to_owned(), chosen),
            None => job.extra.remove(name),
        };
    }
    let (named, tagged) = (ids(&job.extra, "scenarios"), job.extra.contains_key("tags"));
    if named.is_empty() != tagged {
        let message = "Select what to run with exactly one of scenarios and tags.";
        fields.wrong("scenarios", message);
        return Ok(());
    }
    if tagged {
        if job.agent.is_none() {
            fields.wrong("agent", "Name the agent whose evaluators have these tags.");
        }
        return Ok(());
    }
    if named.len() > MOST_SCENARIOS {
        let message = format!("At most {MOST_SCENARIOS} evaluators are allowed.");
        fields.wrong("scenarios", message);
        return Ok(());
    }
    let known = evaluators(state, scope, named.clone()).await?;
    let unknown: Vec<String> = named
        .iter()
        .filter(|id| !known.contains_key(id))
        .map(ToString::to_string)
        .collect();
    if !unknown.is_empty() {
        let message = format!("There is no such evaluator: {}.", unknown.join(", "));
        fields.wrong("scenarios", message);
        return Ok(());
    }
    let mut agents: Vec<AgentId> = known.values().map(|one| one.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    match (job.agent, agents.as_slice()) {
        (None, [only]) => job.agent = Some(*only),
        (None, _) => fields.wrong(
            "agent",
            "The evaluators belong to different agents: name the one to test.",
        ),
        (Some(_), _) => {}
    }
    Ok(())
}

/// Takes the references that only have to exist.
async fn references(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
    job: &mut NewCronJob,
) -> Answer<()> {
    if let Some(id) = fields.id("agent") {
        if found(state.store().agent(scope, AgentId(id)).await)?.is_none() {
            let message = format!("There is no agent {id} in your organisation.");
            fields.wrong("agent", message);
        }
        job.agent = Some(AgentId(id));
    }
    let one = fields.has("personality").then(|| fields.id("personality"));
    let many = fields
        .has("personalities")
        .then(|| fields.ids("personalities"));
    let named = match (one, many) {
        (_, Some(Some(many))) if !many.is_empty() => Some(("personalities", many)),
        (Some(one), _) => Some(("personality", one.into_iter().collect())),
        (None, Some(_)) => Some(("personalities", Vec::new())),
        (None, None) => None,
    };
    if let Some((name, named)) = named {
        personalities::check(state, scope, fields, name, &named).await?;
        job.extra.insert("personalities".to_owned(), named.into());
    }
    if fields.has("test_profile_ids") {
        let wanted = fields.ids("test_profile_ids").unwrap_or_default();
        let ids: Vec<TestProfileId> = wanted.iter().copied().map(TestProfileId).collect();
        let known = state.store().test_profiles_by_id(scope, &ids).await?;
        let unknown = ids
            .iter()
            .find(|id| !known.iter().any(|one| one.id == **id));
        if let Some(id) = unknown {
            let message = format!("There is no test profile {id} in your organisation.");
            fields.wrong("test_profile_ids", message);
        }
        job.extra
            .insert("test_profile_ids".to_owned(), wanted.into());
    }
    Ok(())
}

/// Changes a job as a body says. `whole`: what the body leaves out is as if the job were new.
async fn apply(
    state: &State,
    scope: Scope,
    job: &mut NewCronJob,
    mut fields: Fields,
    whole: bool,
) -> Answer<()> {
    let before = job.clone();
    if whole {
        job.extra.clear();
        job.agent = None;
    }
    if whole || fields.has("name") {
        let name = fields
            .text("name", 255)
            .filter(|name| !name.trim().is_empty());
        job.name = name.unwrap_or_else(|| "Scheduled runs".to_owned());
    }
    let schedule = schedule(&mut fields, job, whole);
    references(state, scope, &mut fields, job).await?;
    selection(state, scope, &mut fields, job).await?;
    if whole || fields.has("is_active") {
        job.is_active = fields.boolean("is_active").unwrap_or(true);
    }
    if fields.boolean("run_as_text") == Some(true) {
        fields.wrong("run_as_text", "Runs are calls here: leave this out.");
    }
    let mut new = Map::new();
    for (name, kind) in [
        ("frequency", Kind::Range(1, 100)),
        ("concurrency_limit", Kind::Range(1, 1_000_000)),
        ("execution_mode", Kind::OneOf(MODES)),
        ("notify_on", Kind::OneOf(NOTIFY)),
    ] {
        if fields.has(name) {
            match fields.value(name, kind) {
                Some(value) => new.insert(name.to_owned(), value),
                None => job.extra.remove(name),
            };
        }
    }
    if new.get("execution_mode").and_then(Value::as_str) == Some("text") {
        fields.wrong("execution_mode", "Runs are calls here: text is not served.");
    }
    new.append(&mut fields.rest(READ_ONLY));
    fields.keep(&mut job.extra, new);
    fields.check()?;
    let moved = job.expression != before.expression
        || job.timezone != before.timezone
        || job.is_active != before.is_active;
    if moved {
        let next = schedule.and_then(|schedule| schedule.next_after(now()));
        job.next_run_at = next.filter(|_| job.is_active);
    }
    job.project = match job.agent {
        Some(agent) => state.store().agent(scope, agent).await?.project,
        None => project_or_first(state, scope, None).await?,
    };
    Ok(())
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    fields: Fields,
) -> Answer<(StatusCode, Json<wire::CronJob>)> {
    let scope = asked.principal.scope;
    let mut new = NewCronJob {
        org: scope.org,
        project: ProjectId(0),
        agent: None,
        name: String::new(),
        expression: String::new(),
        timezone: String::new(),
        is_active: true,
        extra: Map::new(),
        next_run_at: None,
        created_by: Some(asked.principal.key),
    };
    apply(&state, scope, &mut new, fields, true).await?;
    let job = state.store().create_cron_job(new, now()).await?;
    Ok((StatusCode::CREATED, show_alone(&state, scope, job).await?))
}

async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::CronJob>> {
    update(state, id, asked, fields, false).await
}

async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::CronJob>> {
    update(state, id, asked, fields, true).await
}

async fn update(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    fields: Fields,
    whole: bool,
) -> Answer<Json<wire::CronJob>> {
    let scope = asked.principal.scope;
    let id = CronJobId(id);
    let mut job = state.store().cron_job(scope, id).await?.job;
    apply(&state, scope, &mut job, fields, whole).await?;
    state.store().update_cron_job(id, job, now()).await?;
    let job = state.store().cron_job(scope, id).await?;
    show_alone(&state, scope, job).await
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    state.store().delete_cron_job(scope, CronJobId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
