//! The agents under test, in both versions of the API: one stored agent, two shapes of it.

mod fields;
pub(crate) mod secrets;
mod shape;
mod v2;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, ProjectId};
use ringdown_store::{
    Agent, AgentFilter, Error as StoreError, Listing, NewAgent, Page, Scope, SecretChange,
};

use self::fields::{apply, body};
use self::shape::{Beside, show, show_short};
use super::State;
use super::body::Fields;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id};
use crate::error::{Answer, Failure};

pub(crate) use self::fields::project_or_first;

pub(crate) fn operations(table: &mut Table) {
    const MANY: &str = "/test_framework/v1/aiagents";
    const ONE: &str = "/test_framework/v1/aiagents/{id}";
    table.tag("Agents", "The voice agents under test.");
    table
        .get(MANY, list)
        .id("aiagents-v1-list")
        .summary("List agents")
        .paged()
        .query("project_id", Kind::Id, "Only of this project.")
        .query("q", Kind::Text, "Only those whose name contains this.")
        .answers::<wire::Page<wire::Agent>>(200);
    table
        .get("/test_framework/v1/aiagents/short_list", short_list)
        .id("aiagents-v1-short-list-list")
        .summary("List agents in short")
        .paged()
        .query("project_id", Kind::Id, "Only of this project.")
        .query("organization_id", Kind::Id, "Only of this organisation.")
        .query("q", Kind::Text, "Only those whose name contains this.")
        .answers::<wire::Page<wire::ShortAgent>>(200);
    table
        .post(MANY, create)
        .id("aiagents-v1-create")
        .summary("Create an agent")
        .takes(body())
        .answers::<wire::Agent>(201);
    table
        .get(ONE, read)
        .id("aiagents-v1-retrieve")
        .summary("Show an agent")
        .answers::<wire::Agent>(200);
    table
        .put(ONE, replace)
        .id("aiagents-v1-update")
        .summary("Replace an agent")
        .about("Secrets that the body leaves out stay as they are.")
        .takes(body())
        .answers::<wire::Agent>(200);
    table
        .patch(ONE, change)
        .id("aiagents-v1-partial-update")
        .summary("Change an agent")
        .takes(body().partly())
        .answers::<wire::Agent>(200);
    table
        .delete(ONE, delete)
        .id("aiagents-v1-destroy")
        .summary("Delete an agent")
        .query(
            "delete_related",
            Kind::Flag,
            "Whether its evaluators and cron jobs are deleted too; without it, an agent that has any \
             is kept.",
        )
        .answers_nothing(204);
    v2::operations(table);
}

/// The page of agents that is asked for.
async fn page_of(
    state: &State,
    asked: &Asked,
    page: Page,
    elsewhere: bool,
) -> Answer<Listing<Agent>> {
    let filter = AgentFilter {
        project: asked.query_id("project_id")?.map(ProjectId),
        name_contains: asked.query("q").map(str::to_owned),
    };
    if elsewhere {
        return Ok(Listing {
            count: 0,
            rows: Vec::new(),
        });
    }
    let scope = asked.principal.scope;
    Ok(state.store().agents(scope, filter, page).await?)
}

/// Whether another organisation's objects are asked for: there are none to be seen.
pub(crate) fn of_others(asked: &Asked) -> Answer<bool> {
    let named = asked.query_id("organization_id")?;
    Ok(named.is_some_and(|id| id != asked.principal.scope.org.0))
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::Agent>>> {
    let page = asked.page()?;
    let listing = page_of(&state, &asked, page, false).await?;
    let beside = Beside::load(&state, asked.principal.scope, &listing.rows).await?;
    let shown = asked.listing(page, listing, |agent| show(agent, &beside))?;
    Ok(Json(shown))
}

async fn short_list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::ShortAgent>>> {
    let page = asked.page()?;
    let listing = page_of(&state, &asked, page, of_others(&asked)?).await?;
    Ok(Json(asked.listing(page, listing, show_short)?))
}

/// An agent with what is shown beside it.
async fn with_beside(state: &State, scope: Scope, agent: Agent) -> Answer<(Agent, Beside)> {
    let beside = Beside::load(state, scope, std::slice::from_ref(&agent)).await?;
    Ok((agent, beside))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Agent>> {
    let scope = asked.principal.scope;
    let agent = state.store().agent(scope, AgentId(id)).await?;
    let (agent, beside) = with_beside(&state, scope, agent).await?;
    Ok(Json(show(agent, &beside)))
}

/// An agent that is not stored yet.
fn blank(scope: Scope) -> Agent {
    Agent {
        id: AgentId(0),
        org: scope.org,
        project: ProjectId(0),
        name: String::new(),
        inbound: false,
        contact_number: None,
        outbound_numbers: Vec::new(),
        dial_route: None,
        extra: serde_json::Map::new(),
        created_at: now(),
        updated_at: now(),
    }
}

async fn store_new(state: &State, agent: Agent, secrets: Vec<SecretChange>) -> Answer<Agent> {
    let new = NewAgent {
        org: agent.org,
        project: agent.project,
        name: agent.name,
        inbound: agent.inbound,
        contact_number: agent.contact_number,
        outbound_numbers: agent.outbound_numbers,
        dial_route: None,
        extra: agent.extra,
        // There is nothing to forget yet.
        secrets: secrets.into_iter().filter(|s| s.sealed.is_some()).collect(),
    };
    Ok(state.store().create_agent(new, now()).await?)
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Agent>)> {
    let scope = asked.principal.scope;
    let mut agent = blank(scope);
    let secrets = apply(&state, scope, &mut agent, &mut fields, true).await?;
    let agent = store_new(&state, agent, secrets).await?;
    let (agent, beside) = with_beside(&state, scope, agent).await?;
    Ok((StatusCode::CREATED, Json(show(agent, &beside))))
}

async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Agent>> {
    update(state, id, asked, fields, false).await
}

async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Agent>> {
    update(state, id, asked, fields, true).await
}

async fn update(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
    whole: bool,
) -> Answer<Json<wire::Agent>> {
    let scope = asked.principal.scope;
    let mut agent = state.store().agent(scope, AgentId(id)).await?;
    let secrets = apply(&state, scope, &mut agent, &mut fields, whole).await?;
    state.store().update_agent(&agent, secrets, now()).await?;
    let agent = state.store().agent(scope, AgentId(id)).await?;
    let (agent, beside) = with_beside(&state, scope, agent).await?;
    Ok(Json(show(agent, &beside)))
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let related = asked.flag("delete_related")?.unwrap_or(false);
    let scope = asked.principal.scope;
    match state
        .store()
        .delete_agent(scope, AgentId(id), related)
        .await
    {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(StoreError::Conflict { why, .. }) => Err(Failure::detail(
            StatusCode::BAD_REQUEST,
            format!("Agent {id} is not deleted: {why}."),
        )),
        Err(error) => Err(error.into()),
    }
}
