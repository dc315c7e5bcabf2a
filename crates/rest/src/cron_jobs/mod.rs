//! Jobs that trigger runs on a schedule: kept here, fired by the platform.
//!
//! What a job triggers is stored under the API's own names: `scenarios`, `tags`, `frequency`,
//! `personalities`, `concurrency_limit` and `test_profile_ids`.

mod show;
mod write;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, CronJobId, ProjectId};
use ringdown_store::NewCronJob;
use serde_json::Map;

use self::show::{show, show_alone};
use self::write::apply;
use super::State;
use super::agents::of_others;
use super::body::Fields;
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id};
use crate::error::Answer;

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
            "priority",
            Kind::Range(-100, 100),
            "Results of a higher priority go first inside their project.",
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
    state.engine.cron_changed();
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
    state.engine.cron_changed();
    let job = state.store().cron_job(scope, id).await?;
    show_alone(&state, scope, job).await
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    state.store().delete_cron_job(scope, CronJobId(id)).await?;
    state.engine.cron_changed();
    Ok(StatusCode::NO_CONTENT)
}
