//! Folders of evaluators.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::ProjectId;
use ringdown_store::{Error as StoreError, Folder, FolderFilter, Listing};

use super::narrowed;
use crate::State;
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, time};

/// Characters of a path: what an evaluator can name.
const LONGEST_PATH: usize = 255;

pub(super) fn operations(table: &mut Table) {
    table
        .get("/test_framework/v1/scenarios/folders", list)
        .id("scenarios-folders-list")
        .summary("List folders of evaluators")
        .paged()
        .query("project_id", Kind::Id, "Only of this project.")
        .query(
            "parent_path",
            Kind::Text,
            "Only directly in this folder; empty: only those in no folder.",
        )
        .query("search", Kind::Text, "Only those whose path contains this.")
        .query("agent_id", Kind::Id, "Only with evaluators of this agent.")
        .query(
            "assistant_id",
            Kind::Text,
            "Only with evaluators of the agent with this id at the voice provider.",
        )
        .answers::<wire::Page<wire::ScenarioFolder>>(200);
    table
        .post("/test_framework/v1/scenarios/create_folder", create)
        .id("scenarios-folder-create_2")
        .summary("Create a folder of evaluators")
        .takes(
            Body::new()
                .required("name", Kind::Short(100), "Its name, without '.'.")
                .optional(
                    "parent_path",
                    Kind::Short(255),
                    "The folder it is in; at the top if absent.",
                )
                .required("project_id", Kind::Id, "Its project.")
                .lenient(),
        )
        .answers::<wire::ScenarioFolder>(201);
}

fn show(folder: Folder) -> wire::ScenarioFolder {
    let name = folder.path.rsplit('.').next().unwrap_or_default();
    wire::ScenarioFolder {
        id: folder.id.0,
        name: name.to_owned(),
        project_id: folder.project.0,
        scenarios_count: folder.scenarios,
        created_at: time(folder.created_at),
        updated_at: time(folder.updated_at),
        path: folder.path,
    }
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::ScenarioFolder>>> {
    let page = asked.page()?;
    let project = asked.query_id("project_id")?.map(ProjectId);
    let listing = match narrowed(&state, &asked).await? {
        Ok(agent) => {
            let filter = FolderFilter {
                project,
                parent: asked.query_or_empty("parent_path").map(str::to_owned),
                search: asked.query("search").map(str::to_owned),
                agent,
            };
            let scope = asked.principal.scope;
            state.store().folders(scope, filter, page).await?
        }
        Err(()) => Listing {
            count: 0,
            rows: Vec::new(),
        },
    };
    Ok(Json(asked.listing(page, listing, show)?))
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::ScenarioFolder>)> {
    let name = fields.required_text("name", 100).unwrap_or_default();
    if name.contains('.') {
        fields.wrong(
            "name",
            "A name cannot hold '.', which stands between the levels of a path.",
        );
    }
    let parent = fields.text("parent_path", LONGEST_PATH);
    let project = fields.id("project_id");
    if project.is_none() {
        fields.require("project_id");
    }
    let path = match parent.filter(|parent| !parent.is_empty()) {
        Some(parent) => format!("{parent}.{name}"),
        None => name,
    };
    if path.chars().count() > LONGEST_PATH {
        let message = format!("The path would be longer than {LONGEST_PATH} characters.");
        fields.wrong("name", message);
    }
    fields.check()?;
    let project = ProjectId(project.unwrap_or_default());
    let scope = asked.principal.scope;
    match state
        .store()
        .create_folder(scope, project, &path, now())
        .await
    {
        Ok(folder) => Ok((StatusCode::CREATED, Json(show(folder)))),
        Err(StoreError::NotFound { what: "folder", id }) => {
            let message = format!("There is no folder {id}: create it first.");
            Err(Failure::field("parent_path", message))
        }
        Err(StoreError::NotFound { id, .. }) => {
            let message = format!("There is no project {id} in your organisation.");
            Err(Failure::field("project_id", message))
        }
        Err(StoreError::Conflict { why, .. }) => Err(Failure::field("name", format!("{why}."))),
        Err(error) => Err(error.into()),
    }
}
