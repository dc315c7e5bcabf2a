use std::collections::HashMap;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api::teams as wire;
use ringdown_bus::now;
use ringdown_domain::{KeyId, ProjectId, Timestamp};
use ringdown_store::{ApiKeyRecord, NewApiKey, Role, Scope};

use super::{State, project_or_none};
use crate::auth::{ApiKey, hash_key};
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Id, time};

/// Most requests per minute that a key may be given.
const MOST_PER_MINUTE: i64 = 1_000_000;

pub(super) fn operations(table: &mut Table) {
    const THEIRS: &str = "/user/api/v1/user-api-key";
    const OURS: &str = "/ringdown/v1/keys";
    table.tag("API keys", "Who may use the API, and for what.");
    table
        .get(THEIRS, list_brief)
        .id("user-api-key-list")
        .summary("List API keys")
        .role(Role::Admin)
        .answers::<Vec<wire::UserApiKey>>(200);
    table
        .post(THEIRS, create_brief)
        .id("user-api-key-create")
        .summary("Make an API key")
        .about("The answer shows the key, and nothing does after that. Its role is admin.")
        .role(Role::Admin)
        .takes(
            Body::new()
                .optional("name", Kind::Short(255), "What it is for.")
                .optional("project", Kind::Id, "The project to bind it to.")
                .lenient(),
        )
        .answers::<wire::UserApiKey>(201);
    table
        .delete("/user/api/v1/user-api-key/{id}", revoke)
        .id("user-api-key-destroy")
        .summary("Revoke an API key")
        .role(Role::Admin)
        .answers_nothing(204);
    table
        .get(OURS, list)
        .id("ringdown-keys-list")
        .summary("List API keys with their roles")
        .role(Role::Admin)
        .answers::<Vec<wire::Key>>(200);
    table
        .post(OURS, create)
        .id("ringdown-keys-create")
        .summary("Make an API key with a role, a rate and an end")
        .role(Role::Admin)
        .takes(Body::of::<wire::NewKey>())
        .answers::<wire::Key>(201);
    table
        .get("/ringdown/v1/keys/{id}", read)
        .id("ringdown-keys-retrieve")
        .summary("Show an API key")
        .role(Role::Admin)
        .answers::<wire::Key>(200);
    table
        .delete("/ringdown/v1/keys/{id}", revoke)
        .id("ringdown-keys-destroy")
        .summary("Revoke an API key")
        .about("It stops working everywhere within a second. A key cannot revoke itself.")
        .role(Role::Admin)
        .answers_nothing(204);
}

fn show(record: ApiKeyRecord) -> wire::Key {
    wire::Key {
        id: record.id.0,
        name: record.name,
        role: record.role.as_str().to_owned(),
        project_id: record.scope.project.map(|project| project.0),
        operator: record.operator,
        hint: record.hint,
        rate_per_minute: record.rate_per_minute,
        created_at: time(record.created_at),
        last_used_at: record.last_used_at.map(time),
        expires_at: record.expires_at.map(time),
        key: None,
    }
}

/// Names of what the keys of a scope belong to.
struct Names {
    organisation: String,
    projects: HashMap<ProjectId, String>,
}

impl Names {
    async fn read(state: &State, scope: Scope) -> Answer<Self> {
        let projects = state.store().projects(scope).await?;
        Ok(Self {
            organisation: state.store().organisation(scope.org).await?.name,
            projects: projects.into_iter().map(|p| (p.id, p.name)).collect(),
        })
    }

    fn show(&self, record: ApiKeyRecord, key: Option<&str>) -> wire::UserApiKey {
        let project = record.scope.project;
        let project_name = project.and_then(|id| self.projects.get(&id).cloned());
        let hint = || format!("rd_...{}", record.hint);
        wire::UserApiKey {
            id: record.id.0,
            organization_name: self.organisation.clone(),
            project: project.map(|project| project.0),
            project_name: project_name.unwrap_or_default(),
            key: key.map_or_else(hint, str::to_owned),
            created_at: time(record.created_at),
            name: record.name,
        }
    }
}

async fn list_brief(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::UserApiKey>>> {
    let scope = asked.principal.scope;
    let names = Names::read(&state, scope).await?;
    let keys = state.store().api_keys(scope).await?;
    Ok(Json(
        keys.into_iter().map(|key| names.show(key, None)).collect(),
    ))
}

async fn list(Extract(state): Extract<State>, asked: Asked) -> Answer<Json<Vec<wire::Key>>> {
    let keys = state.store().api_keys(asked.principal.scope).await?;
    Ok(Json(keys.into_iter().map(show).collect()))
}

async fn read(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<Json<wire::Key>> {
    let keys = state.store().api_keys(asked.principal.scope).await?;
    let key = keys.into_iter().find(|key| key.id.0 == id);
    let key = key.ok_or_else(|| Failure::not_found("API key", id))?;
    Ok(Json(show(key)))
}

/// A new key of a scope, to be stored.
fn new(scope: Scope, key: &ApiKey, name: String) -> NewApiKey {
    NewApiKey {
        scope,
        key_sha256: hash_key(key.expose()),
        name,
        hint: key.hint().to_owned(),
        role: Role::Admin,
        operator: false,
        rate_per_minute: None,
        expires_at: None,
    }
}

async fn create_brief(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::UserApiKey>)> {
    let name = fields.text("name", 255).unwrap_or_default();
    let project = fields.id("project");
    fields.check()?;
    let scope = asked.principal.scope;
    let project = project_or_none(&state, scope, "project", project).await?;
    let key = ApiKey::generate();
    let new = new(Scope { project, ..scope }, &key, name);
    let record = state.store().add_api_key(new, now()).await?;
    let shown = Names::read(&state, scope)
        .await?
        .show(record, Some(key.expose()));
    Ok((StatusCode::CREATED, Json(shown)))
}

/// A moment yet to come.
fn future(fields: &mut Fields, name: &str) -> Option<Timestamp> {
    let text = fields.text(name, 64)?;
    let at = text.parse::<jiff::Timestamp>().ok();
    let at = at.map(|at| Timestamp::from_micros(at.as_microsecond()));
    match at {
        None => fields.wrong(name, "Expected a time such as 2030-01-31T12:00:00Z."),
        Some(at) if at <= now() => fields.wrong(name, "Expected a time in the future."),
        Some(_) => return at,
    }
    None
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Key>)> {
    let name = fields.required_text("name", 255);
    let role = match fields.text("role", 16) {
        None => Some(Role::Admin),
        Some(text) => {
            let role = Role::parse(&text);
            if role.is_none() {
                fields.wrong("role", "Expected viewer, editor or admin.");
            }
            role
        }
    };
    let rate = fields.integer("rate_per_minute", 1, MOST_PER_MINUTE);
    let expires_at = future(&mut fields, "expires_at");
    let project = fields.id("project_id");
    fields.check_all_known()?;
    let scope = asked.principal.scope;
    let project = project_or_none(&state, scope, "project_id", project).await?;
    let key = ApiKey::generate();
    let new = NewApiKey {
        role: role.unwrap_or(Role::Viewer),
        rate_per_minute: rate.and_then(|rate| u32::try_from(rate).ok()),
        expires_at,
        ..new(Scope { project, ..scope }, &key, name.unwrap_or_default())
    };
    let record = state.store().add_api_key(new, now()).await?;
    let mut shown = show(record);
    shown.key = Some(key.expose().to_owned());
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn revoke(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    if asked.principal.key == KeyId(id) {
        // So that an organisation always keeps a key that can make others.
        return Err(Failure::detail(
            StatusCode::CONFLICT,
            "A key cannot revoke itself; use another one.",
        ));
    }
    let scope = asked.principal.scope;
    state
        .store()
        .revoke_api_key(scope, KeyId(id), now())
        .await?;
    state.access.forget();
    Ok(StatusCode::NO_CONTENT)
}
