use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, ProjectId};
use ringdown_store::{Agent, AgentFilter, NewAgent, Scope};

use super::State;
use super::body::{Fields, MAX_KEPT};
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id, time};
use crate::error::{Answer, Failure};

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
        .answers_nothing(204);
}

fn body() -> Body {
    Body::new()
        .required("agent_name", Kind::Short(255), "Its name.")
        .required(
            "inbound",
            Kind::Flag,
            "Whether it takes calls instead of making them.",
        )
        .optional(
            "description",
            Kind::Text,
            "What it is for and how it behaves.",
        )
        .optional("contact_number", Kind::Phone, "The number it calls from.")
        .optional(
            "outbound_numbers",
            Kind::Texts,
            "Numbers it may call from; contact_number counts if this is empty.",
        )
        .optional("project", Kind::Id, "Its project; the first one if absent.")
        .lenient()
}

/// Fields only the server writes, and secrets that this product neither needs nor keeps.
const READ_ONLY: &[&str] = &[
    "id",
    "organization",
    "knowledge_base_files",
    "enabled_personalities",
    "created_at",
    "updated_at",
];

/// Provider credentials are not stored: no part of this product calls the provider with them.
fn is_secret(name: &str) -> bool {
    ["_api_key", "_secret", "_token", "_auth"]
        .iter()
        .any(|end| name.ends_with(end))
        || name == "websocket_headers"
}

/// Keeps the fields this product does not act on.
fn keep_rest(fields: &mut Fields, extra: &mut serde_json::Map<String, serde_json::Value>) {
    let description = fields.text("description", MAX_KEPT);
    let mut rest = fields.rest(READ_ONLY);
    rest.retain(|name, _| !is_secret(name));
    if let Some(text) = description {
        rest.insert("description".to_owned(), text.into());
    }
    fields.keep(extra, rest);
}

pub(crate) fn show(agent: Agent) -> wire::Agent {
    let mut other = agent.extra;
    let description = match other.remove("description") {
        Some(serde_json::Value::String(text)) => text,
        _ => String::new(),
    };
    wire::Agent {
        id: agent.id.0,
        project: Some(agent.project.0),
        agent_name: agent.name,
        description,
        inbound: agent.inbound,
        contact_number: agent
            .contact_number
            .map_or_else(String::new, |number| number.to_string()),
        outbound_numbers: agent
            .outbound_numbers
            .iter()
            .map(ToString::to_string)
            .collect(),
        created_at: time(agent.created_at),
        updated_at: time(agent.updated_at),
        other,
    }
}

/// The project of an object: the one named, or the organisation's first.
pub(crate) async fn project_or_first(
    state: &State,
    scope: Scope,
    named: Option<i64>,
) -> Answer<ProjectId> {
    let projects = state.store().projects(scope).await?;
    let wanted = match named {
        Some(id) => projects.iter().find(|project| project.id.0 == id),
        None => projects.first(),
    };
    wanted
        .map(|project| project.id)
        .ok_or_else(|| Failure::field("project", "There is no such project in your organisation."))
}

pub(crate) async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::Agent>>> {
    let page = asked.page()?;
    let filter = AgentFilter {
        project: asked.query_id("project_id")?.map(ProjectId),
        name_contains: asked.query("q").map(str::to_owned),
    };
    let listing = state
        .store()
        .agents(asked.principal.scope, filter, page)
        .await?;
    Ok(Json(asked.listing(page, listing, show)?))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Agent>> {
    let agent = state
        .store()
        .agent(asked.principal.scope, AgentId(id))
        .await?;
    Ok(Json(show(agent)))
}

pub(crate) async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Agent>)> {
    let name = fields.required_text("agent_name", 255);
    let inbound = fields.boolean("inbound");
    if inbound.is_none() {
        fields.require("inbound");
    }
    let contact_number = fields.number("contact_number");
    let outbound_numbers = fields.numbers("outbound_numbers");
    let project = fields.id("project");
    let mut extra = serde_json::Map::new();
    keep_rest(&mut fields, &mut extra);
    fields.check()?;
    let project = project_or_first(&state, asked.principal.scope, project).await?;
    let new = NewAgent {
        org: asked.principal.scope.org,
        project,
        name: name.unwrap_or_default(),
        inbound: inbound.unwrap_or_default(),
        contact_number,
        outbound_numbers: outbound_numbers.unwrap_or_default(),
        dial_route: None,
        extra,
        secrets: Vec::new(),
    };
    let agent = state.store().create_agent(new, now()).await?;
    Ok((StatusCode::CREATED, Json(show(agent))))
}

pub(crate) async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Agent>> {
    update(state, id, asked, fields, false).await
}

pub(crate) async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Agent>> {
    for name in ["agent_name", "inbound"] {
        if !fields.has(name) {
            fields.require(name);
        }
    }
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
    if fields.has("agent_name")
        && let Some(name) = fields.required_text("agent_name", 255)
    {
        agent.name = name;
    }
    agent.inbound = fields.boolean("inbound").unwrap_or(agent.inbound);
    if whole || fields.has("contact_number") {
        agent.contact_number = fields.number("contact_number");
    }
    if whole || fields.has("outbound_numbers") {
        agent.outbound_numbers = fields.numbers("outbound_numbers").unwrap_or_default();
    }
    let project = fields.id("project");
    if whole {
        agent.extra.clear();
    }
    keep_rest(&mut fields, &mut agent.extra);
    fields.check()?;
    if project.is_some() {
        agent.project = project_or_first(&state, scope, project).await?;
    }
    state
        .store()
        .update_agent(&agent, Vec::new(), now())
        .await?;
    let agent = state.store().agent(scope, AgentId(id)).await?;
    Ok(Json(show(agent)))
}

pub(crate) async fn delete(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<StatusCode> {
    state
        .store()
        .delete_agent(asked.principal.scope, AgentId(id), true)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
