use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, OrganisationId, ProjectId, TestProfileId};
use ringdown_store::{NewTestProfile, TestProfile, TestProfileFilter};
use serde_json::Value;

use super::State;
use super::body::Fields;
use super::error::Answer;
use super::pages::{Asked, time};

fn show(profile: TestProfile) -> wire::TestProfile {
    wire::TestProfile {
        id: profile.id.0,
        project: profile.project.map(|id| id.0),
        agent: profile.agent.map(|id| id.0),
        agent_name: None,
        name: profile.name,
        information: profile.information,
        created_at: time(profile.created_at),
        updated_at: time(profile.updated_at),
    }
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::TestProfile>>> {
    let page = asked.page()?;
    let filter = TestProfileFilter {
        project: asked.query_id("project_id")?.map(ProjectId),
        agent: asked.query_id("agent_id")?.map(AgentId),
    };
    let org = asked.principal.org;
    let listing = state.store().test_profiles(org, filter, page).await?;
    Ok(Json(asked.listing(page, listing, show)?))
}

pub(super) async fn read(
    Extract(state): Extract<State>,
    Path(id): Path<i64>,
    asked: Asked,
) -> Answer<Json<wire::TestProfile>> {
    let org = asked.principal.org;
    let profile = state.store().test_profile(org, TestProfileId(id)).await?;
    Ok(Json(show(profile)))
}

/// Reads the owner, which has to be of the same organisation.
async fn owner(
    state: &State,
    org: OrganisationId,
    fields: &mut Fields,
) -> Answer<(Option<ProjectId>, Option<AgentId>)> {
    let project = fields.id("project").map(ProjectId);
    if let Some(id) = project
        && state.store().project(org, id).await.is_err()
    {
        fields.wrong(
            "project",
            format!("There is no project {id} in your organisation."),
        );
    }
    let agent = fields.id("agent").map(AgentId);
    if let Some(id) = agent
        && state.store().agent(org, id).await.is_err()
    {
        fields.wrong(
            "agent",
            format!("There is no agent {id} in your organisation."),
        );
    }
    Ok((project, agent))
}

pub(super) async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::TestProfile>)> {
    let org = asked.principal.org;
    let name = fields.required_text("name", 255);
    let information = fields.object("information");
    let (project, agent) = owner(&state, org, &mut fields).await?;
    fields.check()?;
    let new = NewTestProfile {
        org,
        project,
        agent,
        name: name.unwrap_or_default(),
        information: information.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
    };
    let profile = state.store().create_test_profile(new, now()).await?;
    Ok((StatusCode::CREATED, Json(show(profile))))
}

pub(super) async fn change(
    state: Extract<State>,
    id: Path<i64>,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::TestProfile>> {
    update(state, id, asked, fields).await
}

pub(super) async fn replace(
    state: Extract<State>,
    id: Path<i64>,
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
    Path(id): Path<i64>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::TestProfile>> {
    let org = asked.principal.org;
    let id = TestProfileId(id);
    let mut profile = state.store().test_profile(org, id).await?;
    if fields.has("name")
        && let Some(name) = fields.required_text("name", 255)
    {
        profile.name = name;
    }
    if let Some(information) = fields.object("information") {
        profile.information = information;
    }
    let (project, agent) = owner(&state, org, &mut fields).await?;
    fields.check()?;
    profile.project = project.or(profile.project);
    profile.agent = agent.or(profile.agent);
    state.store().update_test_profile(&profile, now()).await?;
    Ok(Json(show(state.store().test_profile(org, id).await?)))
}

pub(super) async fn delete(
    Extract(state): Extract<State>,
    Path(id): Path<i64>,
    asked: Asked,
) -> Answer<StatusCode> {
    state
        .store()
        .delete_test_profile(asked.principal.org, TestProfileId(id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
