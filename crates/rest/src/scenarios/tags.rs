//! What is done to several evaluators at once: tags, and deleting them.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, ProjectId, ScenarioId};
use ringdown_store::{Error as StoreError, ScenarioFilter, Scope};

use super::strangers;
use crate::State;
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::Asked;

pub(super) fn operations(table: &mut Table) {
    table
        .get("/test_framework/v1/scenarios/tags", list)
        .id("scenarios-tags-retrieve")
        .summary("List the tags of evaluators")
        .query("agent_id", Kind::Id, "Only of this agent's evaluators.")
        .query("project_id", Kind::Id, "Only of this project's evaluators.")
        .answers::<wire::ScenarioTags>(200);
    table
        .post("/test_framework/v1/scenarios/add_tags", add)
        .id("scenarios-add-tags-create")
        .summary("Add tags to evaluators")
        .takes(
            Body::new()
                .required("scenarios", Kind::Ids, "The evaluators.")
                .required("tags", Kind::Texts, "The tags.")
                .lenient(),
        )
        .answers::<wire::TaggedScenarios>(200);
    table
        .post("/test_framework/v1/scenarios/delete_scenarios", delete)
        .id("scenarios-bulk-delete_2")
        .summary("Delete evaluators")
        .about("Deletes all of them, or none if one is not there.")
        .takes(
            Body::new()
                .required("scenarios", Kind::Ids, "The evaluators.")
                .optional("agent_id", Kind::Id, "The agent all of them have to be of.")
                .optional(
                    "project_id",
                    Kind::Id,
                    "The project all of them have to be in.",
                )
                .lenient(),
        )
        .answers_nothing(204);
}

async fn list(Extract(state): Extract<State>, asked: Asked) -> Answer<Json<wire::ScenarioTags>> {
    let filter = ScenarioFilter {
        agent: asked.query_id("agent_id")?.map(AgentId),
        project: asked.query_id("project_id")?.map(ProjectId),
        ..ScenarioFilter::default()
    };
    let used = state.store().tags(asked.principal.scope, filter).await?;
    Ok(Json(wire::ScenarioTags {
        tags: used.iter().map(|(tag, _)| tag.clone()).collect(),
        counts: used.into_iter().collect(),
    }))
}

/// The evaluators a body names, each once; all of them have to be there.
async fn named(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
    agent: Option<AgentId>,
    project: Option<ProjectId>,
) -> Answer<Vec<ScenarioId>> {
    let mut ids = fields.ids("scenarios").unwrap_or_default();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        fields.require("scenarios");
    } else {
        let strangers = strangers(state, scope, &ids, agent, project).await?;
        if !strangers.is_empty() {
            let strangers: Vec<String> = strangers.iter().take(20).map(i64::to_string).collect();
            let message = format!("There is no such evaluator: {}.", strangers.join(", "));
            fields.wrong("scenarios", message);
        }
    }
    Ok(ids.into_iter().map(ScenarioId).collect())
}

/// One that was there a moment ago is gone.
fn gone(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound { id, .. } => {
            Failure::field("scenarios", format!("There is no such evaluator: {id}."))
        }
        StoreError::Conflict { why, .. } => Failure::field("tags", format!("{why}.")),
        error => error.into(),
    }
}

async fn add(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::TaggedScenarios>> {
    let scope = asked.principal.scope;
    let ids = named(&state, scope, &mut fields, None, None).await?;
    let tags = fields.texts("tags", 100).unwrap_or_default();
    if tags.is_empty() {
        fields.require("tags");
    }
    fields.check()?;
    state
        .store()
        .add_tags(scope, &ids, &tags, now())
        .await
        .map_err(gone)?;
    Ok(Json(wire::TaggedScenarios {
        scenarios: ids.into_iter().map(|id| id.0).collect(),
        tags,
    }))
}

async fn delete(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    let agent = fields.id("agent_id").map(AgentId);
    let project = fields.id("project_id").map(ProjectId);
    let ids = named(&state, scope, &mut fields, agent, project).await?;
    fields.check()?;
    state
        .store()
        .delete_scenarios(scope, &ids)
        .await
        .map_err(gone)?;
    Ok(StatusCode::NO_CONTENT)
}
