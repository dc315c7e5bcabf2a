//! Creating and changing evaluators.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{AgentId, PhoneNumberId, ScenarioId, TestProfileId};
use ringdown_store::{NewScenario, Scenario, Scope};
use ringdown_suite::conditional;
use serde_json::{Map, Value};

use super::show::{Shape, show};
use crate::State;
use crate::body::Fields;
use crate::error::{Answer, found};
use crate::kept::{Known, LANGUAGE, declare};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Id};
use crate::personalities;

/// Fields only the server writes.
const READ_ONLY: &[&str] = &[
    "id",
    // An evaluator is in its agent's project.
    "project",
    "agent_name",
    "personality_name",
    "outbound_phone_number_data",
    "inbound_phone_number_data",
    "test_profile_data",
    "metric_names",
    "dynamic_variable_values",
    "created_at",
    "updated_at",
    "created_by",
    "last_updated_by",
];

const SCENARIO_TYPES: &[&str] = &[
    "instruction",
    "real_world_smart",
    "real_world_fixed",
    "conditional_actions",
];

const DEFAULT_FIRST_MESSAGE: &str = "Hello";

/// Problems of structured actions that are told at once.
const MOST_PROBLEMS: usize = 20;

/// Fields that are checked and kept.
const KNOWN: &[Known] = &[
    (
        "instructions",
        Kind::Short(10_000),
        "What the testing agent is to do.",
    ),
    (
        "expected_outcome_prompt",
        Kind::Short(10_000),
        "What has to happen for the run to pass.",
    ),
    ("scenario_language", LANGUAGE, "Its language."),
    (
        "scenario_type",
        Kind::OneOf(SCENARIO_TYPES),
        "How the call is led.",
    ),
    ("metrics", Kind::Ids, "Metrics; every run gets all of them."),
    ("tool_ids", Kind::Any, "Kept as it is."),
    ("simulation_description", Kind::Text, "Kept as it is."),
    ("information_fields", Kind::Object, "Kept as it is."),
    (
        "suite_type",
        Kind::OneOf(&["undefined", "infrastructure"]),
        "Kept as it is.",
    ),
    ("is_predefined", Kind::Flag, "Kept as it is."),
    ("generated_mock_tool_entries", Kind::Any, "Kept as it is."),
    ("inbound_phone_number", Kind::Id, "Kept as it is."),
];

pub(super) fn operations(table: &mut Table) {
    const ONE: &str = "/test_framework/v1/scenarios/{id}";
    table
        .post("/test_framework/v1/scenarios", create)
        .id("scenarios-create")
        .summary("Create an evaluator")
        .takes(body())
        .answers::<wire::Scenario>(201);
    table
        .put(ONE, replace)
        .id("scenarios-update")
        .summary("Replace an evaluator")
        .takes(body())
        .answers::<wire::Scenario>(200);
    table
        .patch(ONE, change)
        .id("scenarios-partial-update")
        .summary("Change an evaluator")
        .takes(body().partly())
        .answers::<wire::Scenario>(200);
}

fn body() -> Body {
    let body = Body::new()
        .required("name", Kind::Short(80), "Its name.")
        .optional("agent", Kind::Id, "The agent it tests.")
        .optional(
            "assistant_id",
            Kind::Short(255),
            "The agent it tests, by its id at the voice provider.",
        )
        .optional(
            "personality",
            Kind::Id,
            "The personality of the caller; the normal one if absent.",
        )
        .optional(
            "phone_number",
            Kind::Id,
            "Id of the number it is called on.",
        )
        .optional("test_profile", Kind::Id, "The variables it is filled with.")
        .optional("tags", Kind::Texts, "Its tags.")
        .optional(
            "folder_path",
            Kind::Short(255),
            "Its folder, with '.' between levels.",
        )
        .optional("first_message", Kind::Short(2000), "What is said first.")
        .optional("conditional_actions", Kind::Object, "What is said on what.")
        .optional(
            "max_duration",
            Kind::Range(10, 3600),
            "Longest call in seconds; the project's if absent.",
        );
    declare(body, KNOWN).lenient()
}

/// Fields of an evaluator that point at other objects or need a range.
struct Links {
    agent: Option<ringdown_store::Agent>,
    phone_number: Option<PhoneNumberId>,
    test_profile: Option<TestProfileId>,
    personality: Option<i64>,
    max_duration: Option<Duration>,
}

/// The agent under test, by its id or by that at its provider.
async fn agent(
    state: &State,
    scope: Scope,
    fields: &mut Fields,
) -> Answer<Option<ringdown_store::Agent>> {
    let assistant = fields.text("assistant_id", 255).filter(|id| !id.is_empty());
    if let Some(id) = fields.id("agent") {
        let agent = found(state.store().agent(scope, AgentId(id)).await)?;
        if agent.is_none() {
            let message = format!("There is no agent {id} in your organisation.");
            fields.wrong("agent", message);
        }
        return Ok(agent);
    }
    let Some(assistant) = assistant else {
        return Ok(None);
    };
    let agent = state.store().agent_of_assistant(scope, &assistant).await?;
    if agent.is_none() {
        let message = format!("There is no agent with assistant_id {assistant:?}.");
        fields.wrong("assistant_id", message);
    }
    Ok(agent)
}

/// Reads and checks them; every reference has to be to something of the same organisation.
async fn links(state: &State, scope: Scope, fields: &mut Fields) -> Answer<Links> {
    let agent = agent(state, scope, fields).await?;
    let phone_number = fields.id("phone_number").map(PhoneNumberId);
    if let Some(id) = phone_number
        && found(state.store().phone_number(scope, id).await)?.is_none()
    {
        let message = format!("There is no phone number with id {id} in your organisation.");
        fields.wrong("phone_number", message);
    }
    let test_profile = fields.id("test_profile").map(TestProfileId);
    if let Some(id) = test_profile
        && found(state.store().test_profile(scope, id).await)?.is_none()
    {
        let message = format!("There is no test profile {id} in your organisation.");
        fields.wrong("test_profile", message);
    }
    let personality = fields.id("personality");
    if let Some(id) = personality {
        personalities::check(state, scope, fields, "personality", &[id]).await?;
    }
    let max_duration = fields
        .integer("max_duration", 10, 3600)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs);
    Ok(Links {
        agent,
        phone_number,
        test_profile,
        personality,
        max_duration,
    })
}

/// Writes out what conditions may leave out in the API, and need in a suite.
fn complete(actions: &mut Value) {
    let conditions = actions.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let Value::Object(condition) = condition else {
            continue;
        };
        let kind = condition.entry("type").or_insert_with(|| "standard".into());
        let follows = kind == "action_followup";
        condition.entry("fixed_message").or_insert(false.into());
        if follows
            && let Some(Value::String(text)) = condition.get("condition")
            && let Ok(id) = text.parse::<u32>()
        {
            condition.insert("condition".to_owned(), id.into());
        }
    }
}

/// Takes structured actions, which have to be without a fault.
fn actions(fields: &mut Fields) -> Option<Value> {
    const NAME: &str = "conditional_actions";
    let mut actions = fields.object(NAME)?;
    complete(&mut actions);
    let Err(problems) = conditional::check(&actions) else {
        return Some(actions);
    };
    for problem in problems.iter().take(MOST_PROBLEMS) {
        let message = if problem.path.is_empty() {
            problem.message.clone()
        } else {
            format!("{}: {}", problem.path, problem.message)
        };
        fields.wrong(NAME, message);
    }
    None
}

/// Checks and keeps the fields that nothing but a run's script looks at, or nothing at all.
fn keep(fields: &mut Fields, extra: &mut Map<String, Value>, personality: Option<i64>) {
    let mut new = Map::new();
    fields.known(KNOWN, extra, &mut new);
    if fields.has("conditional_actions") {
        match actions(fields) {
            Some(actions) => {
                new.insert("conditional_actions".to_owned(), actions);
            }
            None => {
                extra.remove("conditional_actions");
            }
        }
    }
    if let Some(id) = personality {
        new.insert("personality".to_owned(), id.into());
    }
    let structured = new
        .get("scenario_type")
        .or_else(|| extra.get("scenario_type"));
    if structured.and_then(Value::as_str) == Some("conditional_actions")
        && !new.contains_key("conditional_actions")
        && !extra.contains_key("conditional_actions")
    {
        fields.require("conditional_actions");
    }
    new.append(&mut fields.rest(READ_ONLY));
    fields.keep(extra, new);
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Scenario>)> {
    let scope = asked.principal.scope;
    let name = fields.required_text("name", 80);
    let links = links(&state, scope, &mut fields).await?;
    if links.agent.is_none() {
        fields.require("agent");
    }
    let tags = fields.texts("tags", 100).unwrap_or_default();
    let folder_path = fields.text("folder_path", 255);
    let first_message = fields.text("first_message", 2000);
    let mut extra = Map::new();
    keep(&mut fields, &mut extra, links.personality);
    fields.check()?;
    let Some(agent) = links.agent else {
        return Err(crate::error::Failure::field(
            "agent",
            "This field is required.",
        ));
    };
    let new = NewScenario {
        org: scope.org,
        project: agent.project,
        agent: agent.id,
        name: name.unwrap_or_default(),
        phone_number: links.phone_number,
        test_profile: links.test_profile,
        tags,
        folder_path,
        first_message: first_message.unwrap_or_else(|| DEFAULT_FIRST_MESSAGE.to_owned()),
        max_duration: links.max_duration,
        extra,
    };
    let scenario = state.store().create_scenario(new, now()).await?;
    let shown = show(&state, scope, scenario, Shape::Alone).await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn change(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Scenario>> {
    let scope = asked.principal.scope;
    let scenario = update(&state, scope, ScenarioId(id), fields, false).await?;
    Ok(Json(show(&state, scope, scenario, Shape::Alone).await?))
}

async fn replace(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Scenario>> {
    let scope = asked.principal.scope;
    let scenario = update(&state, scope, ScenarioId(id), fields, true).await?;
    Ok(Json(show(&state, scope, scenario, Shape::Brief).await?))
}

async fn update(
    state: &State,
    scope: Scope,
    id: ScenarioId,
    mut fields: Fields,
    whole: bool,
) -> Answer<Scenario> {
    let mut scenario = state.store().scenario(scope, id).await?;
    if (whole || fields.has("name"))
        && let Some(name) = fields.required_text("name", 80)
    {
        scenario.name = name;
    }
    let named = |fields: &Fields, name: &str| whole || fields.has(name);
    let (number, profile) = (
        named(&fields, "phone_number"),
        named(&fields, "test_profile"),
    );
    let duration = named(&fields, "max_duration");
    let personality = named(&fields, "personality");
    let links = links(state, scope, &mut fields).await?;
    // A number is only taken away by naming another: an evaluator cannot run without one.
    if number && links.phone_number.is_some() {
        scenario.phone_number = links.phone_number;
    }
    if profile {
        scenario.test_profile = links.test_profile;
    }
    if duration {
        scenario.max_duration = links.max_duration;
    }
    if named(&fields, "tags") {
        scenario.tags = fields.texts("tags", 100).unwrap_or_default();
    }
    if named(&fields, "folder_path") {
        scenario.folder_path = fields.text("folder_path", 255);
    }
    if named(&fields, "first_message") {
        let text = fields.text("first_message", 2000);
        scenario.first_message = text.unwrap_or_else(|| DEFAULT_FIRST_MESSAGE.to_owned());
    }
    if whole {
        scenario.extra.clear();
    }
    if personality {
        scenario.extra.remove("personality");
    }
    keep(&mut fields, &mut scenario.extra, links.personality);
    fields.check()?;
    if let Some(agent) = links.agent {
        scenario.agent = agent.id;
        scenario.project = agent.project;
    }
    state.store().update_scenario(&scenario, now()).await?;
    Ok(state.store().scenario(scope, id).await?)
}
