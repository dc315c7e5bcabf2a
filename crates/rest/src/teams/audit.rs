use axum::Json;
use axum::extract::State as Extract;
use ringdown_api::Page;
use ringdown_api::teams as wire;
use ringdown_store::{AuditEntry, Role};

use super::State;
use crate::auth::RequestId;
use crate::error::Answer;
use crate::operations::Table;
use crate::pages::{Asked, time};

pub(super) fn operations(table: &mut Table) {
    table
        .get("/ringdown/v1/audit-log", list)
        .id("ringdown-audit-log-list")
        .summary("List who changed what")
        .about("Newest first. A key that is bound to a project sees what keys of the project did.")
        .role(Role::Admin)
        .paged()
        .answers::<Page<wire::AuditEntry>>(200);
}

fn show(entry: AuditEntry) -> wire::AuditEntry {
    let actor = entry.actor;
    wire::AuditEntry {
        id: entry.id,
        at: time(actor.at),
        request_id: RequestId::told(&actor.request_id).to_owned(),
        key_id: actor.key.0,
        key_name: actor.key_name,
        project_id: actor.project.map(|project| project.0),
        operation: actor.operation,
        path: actor.path,
        source: actor.source,
    }
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Page<wire::AuditEntry>>> {
    let page = asked.page()?;
    let listing = state.store().audit_log(asked.principal.scope, page).await?;
    Ok(Json(asked.listing(page, listing, show)?))
}
