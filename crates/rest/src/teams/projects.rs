use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api::teams as wire;
use ringdown_bus::now;
use ringdown_domain::ProjectId;
use ringdown_egress::Target;
use ringdown_store::{Organisation, Project, Role, SecretChange, SecretOwner};

use super::organisations;
use super::settings::{self, Holds, Setting, setting};
use super::{State, new_project, sealed};
use crate::body::Fields;
use crate::error::Answer;
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Id, time};

pub(super) const SECRETS: &[&str] = &[
    "webhook_secret",
    "vapi_api_key",
    "vapi_public_key",
    "retell_api_key",
    "syntflow_api_key",
    "elevenlabs_api_key",
    "livekit_api_key",
    "pipecat_api_key",
];

const SETTINGS: &[Setting] = &[
    setting("min_call_duration", Holds::Whole(0)),
    setting("sample_rate", Holds::Number(100.0)),
    setting("max_messages_chat_runs_limit", Holds::Whole(0)),
    setting("evaluate_relevant_metrics_enabled", Holds::Flag(false)),
    setting("end_call_enabled", Holds::Flag(true)),
    setting(
        "generate_scenario_auto_assign_numbers_enabled",
        Holds::Flag(true),
    ),
    setting("enable_client_side_testing", Holds::Flag(false)),
    setting("use_provider_transcript", Holds::Flag(false)),
    setting("should_show_powered_by", Holds::Flag(false)),
    setting("notify_results_completion", Holds::Flag(false)),
    setting("notify_daily_report", Holds::Flag(false)),
    setting("notify_daily_report_no_calls", Holds::Flag(false)),
    setting("daily_report_ai_summary_enabled", Holds::Flag(false)),
    setting("notify_cron_failure", Holds::Flag(false)),
    setting("notify_cron_success", Holds::Flag(false)),
    setting("notify_no_calls", Holds::Flag(false)),
    setting("no_calls_notify_time_period", Holds::Any),
    setting("notify_daily_report_webhook", Holds::Flag(false)),
    setting("notify_pre_run_webhook", Holds::Flag(false)),
    setting("daily_report_dashboard_ids", Holds::Ids),
    setting("notify_result_webhook_failed", Holds::Flag(true)),
    setting("notify_result_webhook_success", Holds::Flag(true)),
    setting("notify_result_webhook_error", Holds::Flag(true)),
    setting("notify_cronjob_webhook_failed", Holds::Flag(true)),
    setting("notify_cronjob_webhook_success", Holds::Flag(true)),
    setting("notify_cronjob_webhook_error", Holds::Flag(true)),
    setting("notify_call_log_webhook_failed", Holds::Flag(false)),
    setting("notify_call_log_webhook_success", Holds::Flag(false)),
    setting("notify_frequent_calls_for_number", Holds::Flag(false)),
    setting("frequent_calls_threshold", Holds::Whole(0)),
    setting("frequent_calls_time_period", Holds::Whole(0)),
    setting("frequent_calls_cooldown", Holds::Whole(0)),
    setting("forward_vapi_webhook", Holds::Flag(false)),
    setting("forward_retell_webhook", Holds::Flag(false)),
    setting("is_send_emails_enabled", Holds::Flag(false)),
    setting("rubric_config", Holds::Any),
    setting("timezone", Holds::Zone),
];

/// Fields only the server writes.
const READ_ONLY: &[&str] = &[
    "id",
    "members",
    "organization",
    "webhook_secret_configured",
    "vapi_api_key_configured",
    "vapi_public_key_configured",
    "retell_api_key_configured",
    "syntflow_api_key_configured",
    "elevenlabs_api_key_configured",
    "livekit_api_key_configured",
    "pipecat_api_key_configured",
    "created_at",
    "updated_at",
];

pub(super) fn operations(table: &mut Table) {
    const MANY: &str = "/user/v1/projects";
    const ONE: &str = "/user/v1/projects/{id}";
    table.tag(
        "Projects",
        "Parts of an organisation with settings of their own.",
    );
    table
        .get(MANY, list)
        .id("projects-list")
        .summary("List projects")
        .query("organization_id", Kind::Id, "Only of this organisation.")
        .query("project_id", Kind::Id, "Only this one.")
        .answers::<Vec<wire::Project>>(200);
    table
        .post(MANY, create)
        .id("projects-create")
        .summary("Create a project")
        .role(Role::Admin)
        .whole_organisation()
        .takes(body())
        .answers::<wire::Project>(201);
    table
        .get(ONE, read)
        .id("projects-retrieve")
        .summary("Show a project")
        .answers::<wire::Project>(200);
    table
        .put(ONE, replace)
        .id("projects-update")
        .summary("Replace a project's settings")
        .about("Credentials that are left out stay.")
        .role(Role::Admin)
        .takes(body())
        .answers::<wire::Project>(200);
    table
        .patch(ONE, change)
        .id("projects-partial-update")
        .summary("Change a project's settings")
        .role(Role::Admin)
        .takes(body().partly())
        .answers::<wire::Project>(200);
}

fn body() -> Body {
    let body = Body::new()
        .required("name", Kind::Short(255), "Its name.")
        .optional("organization_id", Kind::Id, "One's own organisation.")
        .optional(
            "outbound_timeout",
            Kind::Range(1, 300),
            "Length of the dial window, seconds.",
        )
        .optional(
            "max_call_duration",
            Kind::Range(10, 3600),
            "Longest call, seconds.",
        )
        .optional(
            "webhook_url",
            Kind::Text,
            "Where its webhooks go; an empty text: nowhere.",
        )
        .optional("is_deleted", Kind::Flag, "Only false.");
    sealed::declare(settings::declare(body, SETTINGS), SECRETS).lenient()
}

pub(super) fn brief(project: &Project) -> wire::Brief {
    wire::Brief {
        id: project.id.0,
        name: project.name.clone(),
        members: Vec::new(),
        created_at: time(project.created_at),
        updated_at: time(project.updated_at),
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

pub(crate) async fn show(
    state: &State,
    organisation: &Organisation,
    project: Project,
) -> Answer<wire::Project> {
    let owner = SecretOwner::Project(project.id);
    let have = state
        .store()
        .secret_names(project.org.into(), owner)
        .await?;
    let brief = brief(&project);
    let mut other = settings::show(SETTINGS, &project.extra);
    sealed::flags(SECRETS, &have, &mut other);
    other.insert("is_deleted".to_owned(), false.into());
    Ok(wire::Project {
        id: brief.id,
        name: brief.name,
        organization: organisations::brief(organisation),
        outbound_timeout: whole_seconds(project.dial_window),
        max_call_duration: whole_seconds(project.max_call_duration),
        webhook_url: project.webhook_url.unwrap_or_default(),
        members: Vec::new(),
        created_at: brief.created_at,
        updated_at: brief.updated_at,
        other,
    })
}

async fn list(Extract(state): Extract<State>, asked: Asked) -> Answer<Json<Vec<wire::Project>>> {
    let scope = asked.principal.scope;
    let only = asked.query_id("project_id")?;
    let organisation = asked.query_id("organization_id")?;
    if organisation.is_some_and(|id| id != scope.org.0) {
        return Ok(Json(Vec::new()));
    }
    let organisation = state.store().organisation(scope.org).await?;
    let mut shown = Vec::new();
    for project in state.store().projects(scope).await? {
        if only.is_none_or(|id| id == project.id.0) {
            shown.push(show(&state, &organisation, project).await?);
        }
    }
    Ok(Json(shown))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Project>> {
    let scope = asked.principal.scope;
    let project = state.store().project(scope, ProjectId(id)).await?;
    let organisation = state.store().organisation(scope.org).await?;
    Ok(Json(show(&state, &organisation, project).await?))
}

/// Takes what the fields say into a project. Returns the credentials to change.
fn take(state: &State, fields: &mut Fields, project: &mut Project) -> Answer<Vec<SecretChange>> {
    if let Some(id) = fields.id("organization_id")
        && id != project.org.0
    {
        fields.wrong("organization_id", "It is not your organisation.");
    }
    let mut seconds = |name, low, high, setting: &mut Duration| {
        if let Some(value) = fields.integer(name, low, high) {
            *setting = Duration::from_secs(value.unsigned_abs());
        }
    };
    seconds("outbound_timeout", 1, 300, &mut project.dial_window);
    seconds(
        "max_call_duration",
        10,
        3600,
        &mut project.max_call_duration,
    );
    if fields.has("webhook_url") {
        project.webhook_url = webhook_url(state, fields);
    }
    if fields.boolean("is_deleted") == Some(true) {
        fields.wrong("is_deleted", "A project cannot be deleted this way.");
    }
    settings::take(fields, SETTINGS, &mut project.extra);
    let secrets = sealed::take(state, project.org, fields, SECRETS)?;
    let rest = fields.rest(READ_ONLY);
    fields.keep(&mut project.extra, rest);
    Ok(secrets)
}

fn webhook_url(state: &State, fields: &mut Fields) -> Option<String> {
    let longest = ringdown_egress::LONGEST_URL;
    let text = fields.text("webhook_url", longest)?;
    if text.is_empty() {
        return None;
    }
    if let Err(error) = Target::check(&text, state.egress.policy()) {
        fields.wrong("webhook_url", format!("{error}."));
        return None;
    }
    Some(text)
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Project>)> {
    let org = asked.principal.scope.org;
    let name = fields.required_text("name", 255).unwrap_or_default();
    let mut project = new_project(&state, org, &name).await?;
    let secrets = take(&state, &mut fields, &mut project)?;
    fields.check()?;
    let project = state
        .store()
        .create_project(project, secrets, now())
        .await?;
    let organisation = state.store().organisation(org).await?;
    let shown = show(&state, &organisation, project).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn replace(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Project>> {
    let scope = asked.principal.scope;
    let before = state.store().project(scope, ProjectId(id)).await?;
    let name = fields.required_text("name", 255).unwrap_or_default();
    let fresh = new_project(&state, scope.org, &name).await?;
    // What the reference does not know stays.
    let project = Project {
        name,
        dial_window: fresh.dial_window,
        max_call_duration: fresh.max_call_duration,
        webhook_url: None,
        extra: fresh.extra,
        ..before
    };
    store(&state, fields, project).await
}

async fn change(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Project>> {
    let scope = asked.principal.scope;
    let mut project = state.store().project(scope, ProjectId(id)).await?;
    if fields.has("name")
        && let Some(name) = fields.required_text("name", 255)
    {
        project.name = name;
    }
    store(&state, fields, project).await
}

async fn store(
    state: &State,
    mut fields: Fields,
    mut project: Project,
) -> Answer<Json<wire::Project>> {
    let secrets = take(state, &mut fields, &mut project)?;
    fields.check()?;
    state
        .store()
        .update_project(&project, secrets, now())
        .await?;
    state.engine.limits_changed(project.org);
    let project = state
        .store()
        .project(project.org.into(), project.id)
        .await?;
    let organisation = state.store().organisation(project.org).await?;
    Ok(Json(show(state, &organisation, project).await?))
}
