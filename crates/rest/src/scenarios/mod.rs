//! Evaluators, which the API calls scenarios: what is said and expected on a call.

mod folders;
mod show;
mod tags;
mod write;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_domain::{AgentId, ProjectId, ScenarioId};
use ringdown_store::{Listing, ScenarioFilter, Scope, TagMatch};

pub(crate) use self::show::personality;

use self::show::{Beside, Shape, show};
use super::State;
use super::body::MAX_STORED_ITEMS;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id};
use crate::error::{Answer, Failure};

pub(crate) fn operations(table: &mut Table) {
    const MANY: &str = "/test_framework/v1/scenarios";
    const ONE: &str = "/test_framework/v1/scenarios/{id}";
    table.tag("Evaluators", "What is said and expected on a call.");
    table
        .get(MANY, list)
        .id("scenarios-list")
        .summary("List evaluators")
        .paged()
        .query("agent_id", Kind::Id, "Only of this agent.")
        .query("project_id", Kind::Id, "Only of this project.")
        .query(
            "assistant_id",
            Kind::Text,
            "Only of the agent with this id at the voice provider.",
        )
        .query("tags", Kind::Text, "Tags, separated by commas.")
        .query(
            "tag_filter_type",
            Kind::OneOf(&["and", "or", "not"]),
            "Whether all, any or none of the tags have to be there; or if absent.",
        )
        .query(
            "folder_path",
            Kind::Text,
            "Only in this folder or below it.",
        )
        .answers::<wire::Page<wire::Scenario>>(200);
    table
        .get(ONE, read)
        .id("scenarios-retrieve")
        .summary("Show an evaluator")
        .answers::<wire::Scenario>(200);
    table
        .delete(ONE, delete)
        .id("scenarios-destroy")
        .summary("Delete an evaluator")
        .answers_nothing(204);
    write::operations(table);
    folders::operations(table);
    tags::operations(table);
}

/// The agent that a list is narrowed to; `Err(())` in its inner result if there is no such agent, so
/// that nothing is listed.
async fn narrowed(state: &State, asked: &Asked) -> Answer<Result<Option<AgentId>, ()>> {
    let agent = asked.query_id("agent_id")?.map(AgentId);
    let Some(assistant) = asked.query("assistant_id") else {
        return Ok(Ok(agent));
    };
    let scope = asked.principal.scope;
    let of_assistant = state.store().agent_of_assistant(scope, assistant).await?;
    Ok(match (of_assistant, agent) {
        (Some(found), None) => Ok(Some(found.id)),
        (Some(found), Some(named)) if found.id == named => Ok(Some(named)),
        _ => Err(()),
    })
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::Scenario>>> {
    let page = asked.page()?;
    let tags: Vec<String> = asked.query("tags").map_or_else(Vec::new, |tags| {
        tags.split(',').map(|tag| tag.trim().to_owned()).collect()
    });
    if tags.len() > MAX_STORED_ITEMS {
        let message = format!("At most {MAX_STORED_ITEMS} tags are allowed.");
        return Err(Failure::field("tags", message));
    }
    let tag_match = match asked.query("tag_filter_type") {
        None | Some("or") => TagMatch::Any,
        Some("and") => TagMatch::All,
        Some("not") => TagMatch::None,
        Some(_) => {
            return Err(Failure::field(
                "tag_filter_type",
                "Expected and, or or not.",
            ));
        }
    };
    let project = asked.query_id("project_id")?.map(ProjectId);
    let scope = asked.principal.scope;
    let listing = match narrowed(&state, &asked).await? {
        Ok(agent) => {
            let filter = ScenarioFilter {
                agent,
                project,
                tags,
                tag_match,
                folder_path: asked.query("folder_path").map(str::to_owned),
                ..ScenarioFilter::default()
            };
            state.store().scenarios(scope, filter, page).await?
        }
        Err(()) => Listing {
            count: 0,
            rows: Vec::new(),
        },
    };
    let beside = Beside::load(&state, scope, &listing.rows).await?;
    let shown = asked.listing(page, listing, |one| beside.show(one, Shape::Brief))?;
    Ok(Json(shown))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Scenario>> {
    let scope = asked.principal.scope;
    let scenario = state.store().scenario(scope, ScenarioId(id)).await?;
    Ok(Json(show(&state, scope, scenario, Shape::Alone).await?))
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    state
        .store()
        .delete_scenarios(scope, &[ScenarioId(id)])
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Those of these ids that are no evaluator of the scope, or not of this agent and project.
async fn strangers(
    state: &State,
    scope: Scope,
    ids: &[i64],
    agent: Option<AgentId>,
    project: Option<ProjectId>,
) -> Answer<Vec<i64>> {
    let filter = ScenarioFilter {
        ids: Some(ids.iter().copied().map(ScenarioId).collect()),
        agent,
        project,
        ..ScenarioFilter::default()
    };
    let known = state
        .store()
        .scenarios(scope, filter, super::pages::WHOLE)
        .await?;
    let known: std::collections::HashSet<i64> = known.rows.iter().map(|one| one.id.0).collect();
    Ok(ids
        .iter()
        .copied()
        .filter(|id| !known.contains(id))
        .collect())
}
