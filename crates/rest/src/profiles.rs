use std::collections::HashMap;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, ProjectId, TestProfileId};
use ringdown_store::{NewTestProfile, Scope, TestProfile, TestProfileFilter};
use serde_json::Value;

use super::State;
use super::body::Fields;
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id, WHOLE, time};
use crate::error::{Answer, Failure, found};

pub(crate) fn operations(table: &mut Table) {
    const MANY: &str = "/test_framework/v1/test-profiles";
    const ONE: &str = "/test_framework/v1/test-profiles/{id}";
    table.tag(
        "Test profiles",
        "Variables that evaluators are filled with.",
    );
    table
        .get(MANY, list)
        .id("test-profiles-list")
        .summary("List test profiles")
        .query("agent_id", Kind::Id, "Only of this agent.")
        .query("project_id", Kind::Id, "Only of this project.")
        .answers::<Vec<wire::TestProfile>>(200);
    table
        .post(MANY, create)
        .id("test-profiles-create")
        .summary("Create a test profile")
        .takes(body())
        .answers::<wire::TestProfile>(200);
    table
        .get(ONE, read)
        .id("test-profiles-retrieve")
        .summary("Show a test profile")
        .answers::<wire::TestProfile>(200);
    table
        .put(ONE, replace)
        .id("test-profiles-update")
        .summary("Replace a test profile")
        .takes(body())
        .answers::<wire::TestProfile>(200);
    table
        .patch(ONE, change)
        .id("test-profiles-partial-update")
        .summary("Change a test profile")
        .takes(body().partly())
        .answers::<wire::TestProfile>(200);
    table
        .delete(ONE, delete)
        .id("test-profiles-destroy")
        .summary("Delete a test profile")
        .answers_nothing(204);
}

fn body() -> Body {
    Body::new()
        .required("name", Kind::Short(255), "Its name.")
        .optional("information", Kind::Object, "The variables.")
        .optional("agent", Kind::Id, "Its agent, if it is an agent's.")
        .optional("project", Kind::Id, "Its project, if it is a project's.")
        .lenient()
}

/// Shows test profiles with their agents' names, all looked up at once.
async fn show_all(
    state: &State,
    scope: Scope,
    profiles: Vec<TestProfile>,
) -> Answer<Vec<wire::TestProfile>> {
    let mut agents: Vec<AgentId> = profiles.iter().filter_map(|one| one.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    let agents = state.store().agents_by_id(scope, &agents).await?;
    let names: HashMap<AgentId, String> = agents.into_iter().map(|a| (a.id, a.name)).collect();
    let shown = profiles.into_iter().map(|profile| wire::TestProfile {
        id: profile.id.0,
        project: profile.project.map(|id| id.0),
        agent: profile.agent.map(|id| id.0),
        agent_name: profile.agent.and_then(|id| names.get(&id).cloned()),
        name: profile.name,
        information: profile.information,
        created_at: time(profile.created_at),
        updated_at: time(profile.updated_at),
    });
    Ok(shown.collect())
}

async fn show(state: &State, scope: Scope, profile: TestProfile) -> Answer<wire::TestProfile> {
    let id = profile.id;
    let shown = show_all(state, scope, vec![profile]).await?.pop();
    shown.ok_or_else(|| Failure::not_found("test profile", id))
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::TestProfile>>> {
    let filter = TestProfileFilter {
        project: asked.query_id("project_id")?.map(ProjectId),
        agent: asked.query_id("agent_id")?.map(AgentId),
    };
    let scope = asked.principal.scope;
    let listing = state.store().test_profiles(scope, filter, WHOLE).await?;
    Ok(Json(show_all(&state, scope, listing.rows).await?))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::TestProfile>> {
    let scope = asked.principal.scope;
    let profile = state.store().test_profile(scope, TestProfileId(id)).await?;
    Ok(Json(show(&state, scope, profile).await?))
}

/// Reads the owner, which has to be of the same organisation.
async fn owner(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
) -> Answer<(Option<ProjectId>, Option<AgentId>)> {
    let project = fields.id("project").map(ProjectId);
    if let Some(id) = project
        && found(state.store().project(scope, id).await)?.is_none()
    {
        fields.wrong(
            "project",
            format!("There is no project {id} in your organisation."),
        );
    }
    let agent = fields.id("agent").map(AgentId);
    let mut agents_project = None;
    if let Some(id) = agent {
        match found(state.store().agent(scope, id).await)? {
            Some(agent) => agents_project = Some(agent.project),
            None => fields.wrong(
                "agent",
                format!("There is no agent {id} in your organisation."),
            ),
        }
    }
    // Without a project it would be every project's.
    Ok((project.or(agents_project), agent))
}

pub(crate) async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::TestProfile>> {
    let scope = asked.principal.scope;
    let name = fields.required_text("name", 255);
    let information = fields.object("information");
    let (project, agent) = owner(&state, scope, &mut fields).await?;
    fields.check()?;
    let project = project.or(scope.project);
    let new = NewTestProfile {
        org: scope.org,
        // Without an owner, a key of one project makes its project's.
        project: project.or(scope.project.filter(|_| agent.is_none())),
        agent,
        name: name.unwrap_or_default(),
        information: information.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
    };
    let profile = state.store().create_test_profile(new, now()).await?;
    let shown = show(&state, scope, profile).await?;
    // 200, not 201: so does the reference service.
    Ok(Json(shown))
}

pub(crate) async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::TestProfile>> {
    update(state, id, asked, fields).await
}

pub(crate) async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::TestProfile>> {
    if !fields.has("name") {
        fields.require("name");
    }
    update(state, id, asked, fields).await
}

async fn update(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::TestProfile>> {
    let scope = asked.principal.scope;
    let id = TestProfileId(id);
    let mut profile = state.store().test_profile(scope, id).await?;
    if scope.project.is_some() && profile.project != scope.project {
        // The whole organisation's: a project's key may use it, not change it.
        return Err(Failure::not_found("test profile", id));
    }
    if fields.has("name")
        && let Some(name) = fields.required_text("name", 255)
    {
        profile.name = name;
    }
    if let Some(information) = fields.object("information") {
        profile.information = information;
    }
    let (has_project, has_agent) = (fields.has("project"), fields.has("agent"));
    let (project, agent) = owner(&state, scope, &mut fields).await?;
    fields.check()?;
    // Null takes the owner away.
    if has_project {
        profile.project = project.or(scope.project);
    }
    if has_agent {
        profile.agent = agent;
    }
    state.store().update_test_profile(&profile, now()).await?;
    let profile = state.store().test_profile(scope, id).await?;
    Ok(Json(show(&state, scope, profile).await?))
}

pub(crate) async fn delete(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<StatusCode> {
    state
        .store()
        .delete_test_profile(asked.principal.scope, TestProfileId(id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
