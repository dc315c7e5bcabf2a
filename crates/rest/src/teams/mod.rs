//! Organisations, projects, API keys and the audit log.

mod audit;
mod keys;
mod organisations;
pub(crate) mod projects;
mod sealed;
mod settings;

use ringdown_domain::{OrganisationId, ProjectId};
use ringdown_store::{Project, Scope};

use super::State;
use super::operations::Table;
use crate::error::{Answer, Failure, found};

pub(crate) use sealed::seal;

pub(crate) fn operations(table: &mut Table) {
    organisations::operations(table);
    projects::operations(table);
    keys::operations(table);
    audit::operations(table);
}

/// The project of an object that need not have one: the one named, or the one the key is bound to.
pub(crate) async fn project_or_none(
    state: &State,
    scope: Scope,
    field: &str,
    named: Option<i64>,
) -> Answer<Option<ProjectId>> {
    let Some(id) = named.map(ProjectId) else {
        return Ok(scope.project);
    };
    match found(state.store().project(scope, id).await)? {
        Some(project) => Ok(Some(project.id)),
        None => {
            let message = "There is no such project in your organisation.";
            Err(Failure::field(field, message))
        }
    }
}

/// A project with the defaults of its organisation, to be stored.
pub(crate) async fn new_project(state: &State, org: OrganisationId, name: &str) -> Answer<Project> {
    let organisation = state.store().organisation(org).await?;
    let mut project = Project::new(org, name);
    organisations::defaults(&organisation, &mut project);
    Ok(project)
}
