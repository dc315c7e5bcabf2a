//! Our own additions, under `/ringdown/v1/`.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringdown_api::{Page as WirePage, PhoneNumber as WireNumber, own as wire};
use ringdown_bus::now;
use ringdown_domain::admission::Pace;
use ringdown_domain::{AgentId, PhoneNumberId, ProjectId, RunId, Team};
use ringdown_store::{
    Error as StoreError, NewOrganisation, NewPhoneNumber, Organisation, Project, Reject, Role,
    Scope,
};

use super::State;
use super::attempts::attempts;
use super::auth::{ApiKey, hash_key};
use super::body::Fields;
use super::carriers;
use super::numbers;
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id};
use super::teams;
use crate::error::{Answer, Failure};

const MAX_LIMIT: i64 = 1_000_000;

pub(crate) fn operations(table: &mut Table) {
    table.tag("Ringdown", "What the compatible API does not have.");
    table
        .post("/ringdown/v1/phone-numbers", add_number)
        .id("ringdown-phone-numbers-create")
        .summary("Add a phone number")
        .about("Of a trunk of one's own. Bound to a project, if one is named or the key has one.")
        .role(Role::Admin)
        .takes(Body::of::<wire::AddPhoneNumber>())
        .answers::<WireNumber>(201);
    table
        .delete("/ringdown/v1/phone-numbers/{id}", delete_number)
        .id("ringdown-phone-numbers-destroy")
        .summary("Take a phone number away")
        .role(Role::Admin)
        .answers_nothing(204);
    table
        .get("/ringdown/v1/attempts", attempts)
        .id("ringdown-attempts-list")
        .summary("List every call that arrived or was made")
        .paged()
        .query(
            "kind",
            Kind::OneOf(&["invite", "dial"]),
            "Only of this kind.",
        )
        .query("verdict", Kind::Text, "Only with this verdict.")
        .query("run_id", Kind::Id, "Only of this run, matched or nearest.")
        .query("refused", Kind::Flag, "Only calls that were not matched.")
        .answers::<WirePage<wire::Attempt>>(200);
    table
        .post("/ringdown/v1/organizations", create_organisation)
        .id("ringdown-organizations-create")
        .summary("Create an organisation")
        .about("Takes the deployment's admin key.")
        .operator()
        .takes(Body::of::<wire::CreateOrganization>())
        .answers::<wire::Organization>(201);
    table
        .get("/ringdown/v1/organizations/current", organisation)
        .id("ringdown-organizations-current-retrieve")
        .summary("Show one's own organisation")
        .whole_organisation()
        .answers::<wire::Organization>(200);
    table
        .patch("/ringdown/v1/organizations/current", change_organisation)
        .id("ringdown-organizations-current-partial-update")
        .summary("Change one's own organisation")
        .role(Role::Admin)
        .whole_organisation()
        .takes(Body::of::<wire::OrganizationSettings>())
        .answers::<wire::Organization>(200);
    table
        .get("/ringdown/v1/projects", projects)
        .id("ringdown-projects-list")
        .summary("List projects")
        .answers::<Vec<wire::Project>>(200);
    table
        .post("/ringdown/v1/projects", create_project)
        .id("ringdown-projects-create")
        .summary("Create a project")
        .role(Role::Admin)
        .whole_organisation()
        .takes(Body::new().required("name", Kind::Short(255), "Its name."))
        .answers::<wire::Project>(201);
    table
        .get("/ringdown/v1/projects/{id}", project)
        .id("ringdown-projects-retrieve")
        .summary("Show a project")
        .answers::<wire::Project>(200);
    table
        .patch("/ringdown/v1/projects/{id}", change_project)
        .id("ringdown-projects-partial-update")
        .summary("Change a project")
        .role(Role::Admin)
        .takes(Body::of::<wire::ProjectSettings>())
        .answers::<wire::Project>(200);
    table
        .put("/ringdown/v1/agents/{id}/dial-route", set_dial_route)
        .id("ringdown-agents-dial-route-update")
        .summary("Say how an agent is made to call")
        .path("id", Kind::Id, "The agent.")
        .takes(Body::of::<wire::DialRoute>())
        .answers::<wire::DialRoute>(200);
    table
        .get("/ringdown/v1/runs/{id}/recording", recording)
        .id("ringdown-runs-recording-retrieve")
        .summary("Fetch a run's recording")
        .path("id", Kind::Id, "The run.")
        .answers_media(200, "audio/wav");
}

pub(crate) async fn add_number(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<WireNumber>)> {
    let number = fields.number("number");
    if number.is_none() {
        fields.require("number");
    }
    let name = fields.text("name", 255);
    let project = fields.id("project_id");
    fields.check_all_known()?;
    let scope = asked.principal.scope;
    let project = teams::project_or_none(&state, scope, "project_id", project).await?;
    let Some(number) = number else {
        return Err(Failure::field("number", "This field is required."));
    };
    let new = NewPhoneNumber {
        scope: Scope { project, ..scope },
        number,
        name,
        provider: numbers::OWN.to_owned(),
        provider_id: None,
        sms_enabled: false,
        secrets: Vec::new(),
    };
    match state.store().add_phone_number(new, now()).await {
        Ok(number) => Ok((StatusCode::CREATED, Json(numbers::show(number)))),
        Err(StoreError::Conflict { why, .. }) => Err(Failure::field("number", format!("{why}."))),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn delete_number(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    state
        .store()
        .delete_phone_number(scope, PhoneNumberId(id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parallel_limit(fields: &mut Fields) -> Option<u32> {
    fields
        .integer("parallel_call_limit", 0, MAX_LIMIT)
        .and_then(|limit| u32::try_from(limit).ok())
        .filter(|limit| *limit > 0)
}

pub(crate) async fn create_organisation(
    Extract(state): Extract<State>,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Organization>)> {
    let name = fields.required_text("name", 255);
    let slug = fields.required_text("slug", 32);
    let team: Option<Team> = slug.and_then(|slug| match slug.parse() {
        Ok(team) => Some(team),
        Err(error) => {
            fields.wrong("slug", format!("{error}."));
            None
        }
    });
    let limit = parallel_limit(&mut fields);
    fields.check_all_known()?;
    let Some(team) = team else {
        return Err(Failure::field("slug", "This field is required."));
    };
    let key = ApiKey::generate();
    let new = NewOrganisation {
        team,
        name: name.unwrap_or_default(),
        parallel_limit: limit,
        key_sha256: hash_key(key.expose()),
        operator: false,
    };
    let (organisation, project) = match state.store().create_organisation(new, now()).await {
        Ok(created) => created,
        Err(StoreError::Conflict { why, .. }) => {
            return Err(Failure::field("slug", format!("{why}.")));
        }
        Err(error) => return Err(error.into()),
    };
    let mut shown = show_organisation(organisation);
    shown.project_id = Some(project.id.0);
    shown.api_key = Some(key.expose().to_owned());
    Ok((StatusCode::CREATED, Json(shown)))
}

pub(crate) fn show_organisation(organisation: Organisation) -> wire::Organization {
    wire::Organization {
        id: organisation.id.0,
        name: organisation.name,
        slug: organisation.team.to_string(),
        project_id: None,
        parallel_call_limit: organisation.parallel_limit,
        api_key: None,
    }
}

pub(crate) async fn organisation(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Organization>> {
    let organisation = state
        .store()
        .organisation(asked.principal.scope.org)
        .await?;
    Ok(Json(show_organisation(organisation)))
}

pub(crate) async fn change_organisation(
    state: Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Organization>> {
    let named = fields.has("parallel_call_limit");
    let limit = parallel_limit(&mut fields);
    fields.check_all_known()?;
    let scope = asked.principal.scope;
    if named {
        state
            .store()
            .set_organisation_limit(scope.org, limit)
            .await?;
        state.engine.limits_changed(scope.org);
    }
    organisation(state, asked).await
}

fn show_project(project: Project) -> wire::Project {
    wire::Project {
        id: project.id.0,
        name: project.name,
        parallel_call_limit: project.parallel_limit,
        outbound_timeout: project.dial_window.as_secs(),
        max_call_duration: project.max_call_duration.as_secs(),
        silence_timeout: project.silence_timeout.as_secs(),
        reject: match project.reject {
            Reject::Explicit => "explicit",
            Reject::Silent => "silent",
        }
        .to_owned(),
        weight: project.weight,
        calls_per_second: project.pace.map(Pace::calls_per_second),
        retention_days: project.retention_days,
    }
}

pub(crate) async fn projects(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::Project>>> {
    let projects = state.store().projects(asked.principal.scope).await?;
    Ok(Json(projects.into_iter().map(show_project).collect()))
}

pub(crate) async fn project(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Project>> {
    let project = state
        .store()
        .project(asked.principal.scope, ProjectId(id))
        .await?;
    Ok(Json(show_project(project)))
}

pub(crate) async fn create_project(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Project>)> {
    let name = fields.required_text("name", 255).unwrap_or_default();
    fields.check_all_known()?;
    let scope = asked.principal.scope;
    let project = state
        .store()
        .create_project(
            teams::new_project(&state, scope.org, &name).await?,
            Vec::new(),
            now(),
        )
        .await?;
    Ok((StatusCode::CREATED, Json(show_project(project))))
}

pub(crate) async fn change_project(
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
    if fields.has("parallel_call_limit") {
        project.parallel_limit = parallel_limit(&mut fields);
    }
    let mut seconds = |name: &str, low, high, setting: &mut Duration| {
        if let Some(value) = fields.integer(name, low, high)
            && let Ok(value) = u64::try_from(value)
        {
            *setting = Duration::from_secs(value);
        }
    };
    seconds("outbound_timeout", 1, 300, &mut project.dial_window);
    seconds(
        "max_call_duration",
        10,
        3600,
        &mut project.max_call_duration,
    );
    seconds("silence_timeout", 1, 300, &mut project.silence_timeout);
    match fields.text("reject", 16).as_deref() {
        None => {}
        Some("explicit") => project.reject = Reject::Explicit,
        Some("silent") => project.reject = Reject::Silent,
        Some(_) => fields.wrong("reject", "Expected explicit or silent."),
    }
    if let Some(weight) = fields.integer("weight", 1, 1000) {
        project.weight = u32::try_from(weight).unwrap_or(1);
    }
    match fields.real("calls_per_second") {
        None => {}
        Some(0.0) => project.pace = None,
        Some(calls) => match Pace::per_second(calls) {
            Some(pace) => project.pace = Some(pace),
            None => fields.wrong("calls_per_second", "Expected 0, or 0.001 to 1000."),
        },
    }
    if let Some(days) = fields.integer("retention_days", 0, 3650) {
        project.retention_days = u32::try_from(days).ok().filter(|days| *days > 0);
    }
    fields.check_all_known()?;
    state
        .store()
        .update_project(&project, Vec::new(), now())
        .await?;
    state.engine.limits_changed(scope.org);
    Ok(Json(show_project(project)))
}

pub(crate) async fn set_dial_route(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::DialRoute>> {
    let scope = asked.principal.scope;
    let mut agent = state.store().agent(scope, AgentId(id)).await?;
    if !fields.has("route") {
        fields.require("route");
    }
    let route = fields.text("route", 64).filter(|route| !route.is_empty());
    fields.check_all_known()?;
    agent.dial_route.clone_from(&route);
    let stored = state.store().update_agent(&agent, Vec::new(), now()).await;
    match (stored, &route) {
        (
            Err(StoreError::NotFound {
                what: "carrier", ..
            }),
            Some(route),
        ) => Err(carriers::unknown(&state, scope, route).await?),
        (stored, _) => {
            stored?;
            Ok(Json(wire::DialRoute { route }))
        }
    }
}

pub(crate) async fn recording(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Response> {
    let run = state.store().run(asked.principal.scope, RunId(id)).await?;
    let Some(key) = run.recording else {
        return Err(Failure::not_found("recording of run", id));
    };
    let content = state.artefacts.get(&key).await?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], content).into_response())
}
