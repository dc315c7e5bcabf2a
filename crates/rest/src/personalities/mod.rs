//! Personalities: the built-in ones, which are the product's, and those that users made.

mod builtin;

use std::collections::HashMap;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::personality::{BUILTIN, Builtin, builtin_by_id};
use ringdown_domain::{PersonalityId, ProjectId};
use ringdown_store::{NewPersonality, Personality, Scope};
use serde_json::{Map, Value};

use super::State;
use super::agents::project_or_first;
use super::body::Fields;
use super::kept::{Known, LANGUAGE, declare, text};
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id};
use crate::error::{Answer, Failure};

/// The personality of evaluators that name none.
pub(crate) const NORMAL: i64 = 1;

/// Fields only the server writes.
const READ_ONLY: &[&str] = &["id", "patronus_settings", "provider_agent_id"];

/// Fields that are checked and kept; those of any kind are shown as text, which is the reference's
/// type of them.
const KNOWN: &[Known] = &[
    ("prompt", Kind::Text, "How it behaves."),
    ("accent", Kind::Short(255), "Its accent."),
    ("background_noise", Kind::Any, "What is heard behind it."),
    ("voice_model", Kind::Text, "Its voice model."),
    ("voice_id", Kind::Text, "Its voice."),
    ("interruption_level", Kind::Any, "How often it interrupts."),
    ("speed", Kind::Any, "How fast it speaks."),
    ("generation_config", Kind::Any, "Kept as it is."),
    (
        "network_simulation",
        Kind::Any,
        "What its line does to the sound.",
    ),
    (
        "message_plan",
        Kind::Any,
        "What it does when nobody speaks.",
    ),
    ("start_speaking_plan", Kind::Any, "When it starts to speak."),
    ("stop_speaking_plan", Kind::Any, "When it stops."),
    (
        "background_sound_volume",
        Kind::Any,
        "How loud the background is.",
    ),
    (
        "end_call_enabled",
        Kind::Flag,
        "Whether it may end the call; true if absent.",
    ),
    (
        "provider",
        Kind::OneOf(&["11labs", "cartesia"]),
        "Whose voice it is.",
    ),
];

pub(crate) fn operations(table: &mut Table) {
    const MANY: &str = "/test_framework/v1/personalities";
    const ONE: &str = "/test_framework/v1/personalities/{id}";
    table.tag(
        "Personalities",
        "How the testing agent speaks and behaves. The built-in ones cannot be changed.",
    );
    table
        .get(MANY, list)
        .id("personalities-list")
        .summary("List personalities")
        .query("language", LANGUAGE, "Only of this language.")
        .query(
            "project_id",
            Kind::Id,
            "Only of this project, and the built-in ones.",
        )
        .answers::<Vec<wire::Personality>>(200);
    table
        .post(MANY, create)
        .id("personalities-create")
        .summary("Create a personality")
        .takes(body())
        .answers::<wire::Personality>(201);
    table
        .get(ONE, read)
        .id("personalities-retrieve")
        .summary("Show a personality")
        .answers::<wire::Personality>(200);
    table
        .put(ONE, replace)
        .id("personalities-update")
        .summary("Replace a personality")
        .takes(body())
        .answers::<wire::Personality>(200);
    table
        .patch(ONE, change)
        .id("personalities-partial-update")
        .summary("Change a personality")
        .takes(body().partly())
        .answers::<wire::Personality>(200);
    table
        .delete(ONE, delete)
        .id("personalities-destroy")
        .summary("Delete a personality")
        .answers_nothing(204);
}

fn body() -> Body {
    let body = Body::new()
        .required("name", Kind::Short(255), "Its name.")
        .optional("language", LANGUAGE, "Its language; en if absent.")
        .optional("project", Kind::Id, "Its project; the first one if absent.");
    declare(body, KNOWN).lenient()
}

fn shown(
    id: i64,
    project: Option<ProjectId>,
    name: &str,
    language: &str,
    mut other: Map<String, Value>,
) -> wire::Personality {
    for (name, kind, _) in KNOWN {
        if matches!(kind, Kind::Any)
            && let Some(value) = other.get_mut(*name)
            && !value.is_string()
            && !value.is_null()
        {
            *value = value.to_string().into();
        }
    }
    let or = |text: String, default: &str| match text.is_empty() {
        true => default.to_owned(),
        false => text,
    };
    let ends = other.remove("end_call_enabled");
    wire::Personality {
        id,
        project: project.map(|project| project.0),
        name: name.to_owned(),
        language: language.to_owned(),
        background_noise: or(text(&mut other, "background_noise"), "off"),
        voice_model: or(text(&mut other, "voice_model"), "default"),
        end_call_enabled: ends.and_then(|ends| ends.as_bool()).unwrap_or(true),
        other,
    }
}

fn show(own: Personality) -> wire::Personality {
    shown(
        own.id.0,
        Some(own.project),
        &own.name,
        &own.language,
        own.extra,
    )
}

fn show_builtin(builtin: &Builtin) -> wire::Personality {
    shown(
        builtin.id.0,
        None,
        builtin.name,
        builtin.language,
        builtin::fields(builtin),
    )
}

/// Names of the personalities with these ids; those that are not there are left out. One query at
/// most, and none if all are built in.
pub(crate) async fn names(
    state: &State,
    scope: Scope,
    ids: impl IntoIterator<Item = i64>,
) -> Answer<HashMap<i64, String>> {
    let mut names = HashMap::new();
    let mut own = false;
    for id in ids {
        match builtin_by_id(PersonalityId(id)) {
            Some(builtin) => {
                names.insert(id, builtin.name.to_owned());
            }
            None => own = true,
        }
    }
    if own {
        let all = state.store().personalities(scope, None).await?;
        names.extend(all.into_iter().map(|own| (own.id.0, own.name)));
    }
    Ok(names)
}

/// Complains unless all of these personalities exist.
pub(crate) async fn check(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
    name: &str,
    ids: &[i64],
) -> Answer<()> {
    let known = names(state, scope, ids.iter().copied()).await?;
    let unknown: Vec<String> = ids
        .iter()
        .filter(|id| !known.contains_key(id))
        .map(ToString::to_string)
        .collect();
    if !unknown.is_empty() {
        let message = format!(
            "Invalid personalities provided: there is no personality {}.",
            unknown.join(", ")
        );
        fields.wrong(name, message);
    }
    Ok(())
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<Vec<wire::Personality>>> {
    let language = asked.query("language");
    let project = asked.query_id("project_id")?.map(ProjectId);
    let own = state
        .store()
        .personalities(asked.principal.scope, project)
        .await?;
    let builtin = BUILTIN.iter().map(show_builtin);
    let all = builtin.chain(own.into_iter().map(show));
    let wanted = all.filter(|one| language.is_none_or(|language| one.language == language));
    Ok(Json(wanted.collect()))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Personality>> {
    if let Some(builtin) = builtin_by_id(PersonalityId(id)) {
        return Ok(Json(show_builtin(builtin)));
    }
    let scope = asked.principal.scope;
    let own = state.store().personality(scope, PersonalityId(id)).await?;
    Ok(Json(show(own)))
}

/// An own personality; one that is built in is refused.
async fn own(state: &State, scope: Scope, id: i64) -> Answer<Personality> {
    if let Some(builtin) = builtin_by_id(PersonalityId(id)) {
        let message = format!(
            "Personality {id} ({}) is built in and cannot be changed or deleted: create one of your \
             own with POST /test_framework/v1/personalities/ and change that.",
            builtin.name
        );
        return Err(Failure::detail(StatusCode::FORBIDDEN, message));
    }
    Ok(state.store().personality(scope, PersonalityId(id)).await?)
}

/// Reads the fields that are kept.
fn keep(fields: &mut Fields, extra: &mut Map<String, Value>) {
    let mut new = Map::new();
    fields.known(KNOWN, extra, &mut new);
    new.append(&mut fields.rest(READ_ONLY));
    fields.keep(extra, new);
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Personality>)> {
    let scope = asked.principal.scope;
    let name = fields.required_text("name", 255).unwrap_or_default();
    let language = fields.value("language", LANGUAGE);
    let language = language.as_ref().and_then(Value::as_str).unwrap_or("en");
    let project = fields.id("project");
    let mut extra = Map::new();
    keep(&mut fields, &mut extra);
    fields.check()?;
    let new = NewPersonality {
        org: scope.org,
        project: project_or_first(&state, scope, project).await?,
        name,
        language: language.to_owned(),
        extra,
    };
    let made = state.store().create_personality(new, now()).await?;
    Ok((StatusCode::CREATED, Json(show(made))))
}

async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Personality>> {
    update(state, id, asked, fields, false).await
}

async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Personality>> {
    update(state, id, asked, fields, true).await
}

async fn update(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
    whole: bool,
) -> Answer<Json<wire::Personality>> {
    let scope = asked.principal.scope;
    let mut own = own(&state, scope, id).await?;
    if (whole || fields.has("name"))
        && let Some(name) = fields.required_text("name", 255)
    {
        own.name = name;
    }
    let language = fields.value("language", LANGUAGE);
    match language.as_ref().and_then(Value::as_str) {
        Some(language) => language.clone_into(&mut own.language),
        None if whole => "en".clone_into(&mut own.language),
        None => {}
    }
    let project = fields.id("project");
    if whole {
        own.extra.clear();
    }
    keep(&mut fields, &mut own.extra);
    fields.check()?;
    if project.is_some() {
        own.project = project_or_first(&state, scope, project).await?;
    }
    state.store().update_personality(&own, now()).await?;
    let own = state.store().personality(scope, own.id).await?;
    Ok(Json(show(own)))
}

async fn delete(Extract(state): Extract<State>, Id(id): Id, asked: Asked) -> Answer<StatusCode> {
    let scope = asked.principal.scope;
    let own = own(&state, scope, id).await?;
    state.store().delete_personality(scope, own.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
