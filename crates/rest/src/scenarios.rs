use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::{
    AgentId, OrganisationId, PhoneNumberId, ProjectId, ScenarioId, TestProfileId,
};
use ringdown_store::{NewScenario, Scenario, ScenarioFilter, TagMatch};
use serde_json::Value;

use super::State;
use super::body::{Fields, MAX_STORED_ITEMS, MAX_TEXT};
use super::operations::{Body, Kind, Table};
use super::pages::{Asked, Id, time};
use crate::error::{Answer, Failure, found};

const READ_ONLY: &[&str] = &[
    "id",
    // An evaluator is in its agent's project.
    "project",
    "agent_name",
    "personality_name",
    "phone_number",
    "outbound_phone_number_data",
    "inbound_phone_number_data",
    "test_profile_data",
    "metric_names",
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
        .query("tags", Kind::Text, "Tags, separated by commas.")
        .query(
            "tag_filter_type",
            Kind::OneOf(&["and", "or", "not"]),
            "Whether all, any or none of the tags have to be there; or if absent.",
        )
        .query("folder_path", Kind::Text, "Only in this folder.")
        .answers::<wire::Page<wire::Scenario>>(200);
    table
        .post(MANY, create)
        .id("scenarios-create")
        .summary("Create an evaluator")
        .takes(body().required("agent", Kind::Id, "The agent it tests."))
        .answers::<wire::Scenario>(201);
    table
        .get(ONE, read)
        .id("scenarios-retrieve")
        .summary("Show an evaluator")
        .answers::<wire::Scenario>(200);
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
    table
        .delete(ONE, delete)
        .id("scenarios-destroy")
        .summary("Delete an evaluator")
        .answers_nothing(204);
}

fn body() -> Body {
    Body::new()
        .required("name", Kind::Short(80), "Its name.")
        .optional("agent", Kind::Id, "The agent it tests.")
        .optional("personality", Kind::Id, "The personality of the caller.")
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
        .optional(
            "instructions",
            Kind::Text,
            "What the testing agent is to do.",
        )
        .optional(
            "expected_outcome_prompt",
            Kind::Text,
            "What has to happen for the run to pass.",
        )
        .optional(
            "scenario_type",
            Kind::OneOf(SCENARIO_TYPES),
            "How the call is led.",
        )
        .optional(
            "scenario_language",
            Kind::Short(10),
            "Its language, for example en.",
        )
        .optional("conditional_actions", Kind::Object, "What is said on what.")
        .optional(
            "max_duration",
            Kind::Range(10, 3600),
            "Longest call in seconds; the project's if absent.",
        )
        .lenient()
}

/// Shows an evaluator with what is looked up beside it.
pub(crate) async fn show(state: &State, scenario: Scenario) -> Answer<wire::Scenario> {
    let org = scenario.org;
    let agent = state.store().agent(org, scenario.agent).await?;
    let profile = match scenario.test_profile {
        Some(id) => Some(state.store().test_profile(org, id).await?),
        None => None,
    };
    let mut other = scenario.extra;
    let mut text = |name: &str| match other.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let instructions = text("instructions");
    let expected_outcome_prompt = text("expected_outcome_prompt");
    let scenario_type = text("scenario_type");
    let personality = other.remove("personality").and_then(|id| id.as_i64());
    let number = scenario.number.as_ref().map(ToString::to_string);
    Ok(wire::Scenario {
        id: scenario.id.0,
        name: scenario.name,
        agent: Some(scenario.agent.0),
        agent_name: agent.name,
        project: Some(scenario.project.0),
        personality,
        personality_name: personality.map_or_else(String::new, |_| "Standard".to_owned()),
        outbound_phone_number_data: scenario.phone_number.zip(number.clone()).map(
            |(id, number)| wire::PhoneNumberBrief {
                id: id.0,
                phone_number_id: number.clone(),
                number,
            },
        ),
        phone_number: number,
        first_message: scenario.first_message,
        instructions,
        expected_outcome_prompt,
        scenario_type: if scenario_type.is_empty() {
            "instruction".to_owned()
        } else {
            scenario_type
        },
        tags: scenario.tags,
        folder_path: scenario.folder_path,
        max_duration: scenario
            .max_duration
            .and_then(|duration| i64::try_from(duration.as_secs()).ok()),
        test_profile: scenario.test_profile.map(|id| id.0),
        test_profile_data: profile.map(|profile| wire::TestProfileData {
            id: profile.id.0,
            name: profile.name,
            information: profile.information,
        }),
        created_at: time(scenario.created_at),
        updated_at: time(scenario.updated_at),
        other,
    })
}

pub(crate) async fn list(
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
    let filter = ScenarioFilter {
        agent: asked.query_id("agent_id")?.map(AgentId),
        project: asked.query_id("project_id")?.map(ProjectId),
        ids: None,
        tags,
        tag_match,
        folder_path: asked.query("folder_path").map(str::to_owned),
    };
    let org = asked.principal.org;
    let listing = state.store().scenarios(org, filter, page).await?;
    let shown = asked.listing(page, listing, |scenario| scenario)?;
    let mut results = Vec::with_capacity(shown.results.len());
    for scenario in shown.results {
        results.push(show(&state, scenario).await?);
    }
    Ok(Json(wire::Page {
        count: shown.count,
        next: shown.next,
        previous: shown.previous,
        results,
    }))
}

pub(crate) async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::Scenario>> {
    let org = asked.principal.org;
    let scenario = state.store().scenario(org, ScenarioId(id)).await?;
    Ok(Json(show(&state, scenario).await?))
}

/// Fields of an evaluator that point at other objects or need a range.
struct Links {
    agent: Option<i64>,
    phone_number: Option<PhoneNumberId>,
    test_profile: Option<TestProfileId>,
    max_duration: Option<Duration>,
}

/// Reads and checks them; every reference has to be to something of the same organisation.
async fn links(state: &State, org: OrganisationId, fields: &mut Fields) -> Answer<Links> {
    let agent = fields.id("agent");
    if let Some(id) = agent
        && found(state.store().agent(org, AgentId(id)).await)?.is_none()
    {
        fields.wrong(
            "agent",
            format!("There is no agent {id} in your organisation."),
        );
    }
    let phone_number = fields.id("phone_number").map(PhoneNumberId);
    if let Some(id) = phone_number
        && found(state.store().phone_number(org, id).await)?.is_none()
    {
        let message = format!("There is no phone number with id {id} in your organisation.");
        fields.wrong("phone_number", message);
    }
    let test_profile = fields.id("test_profile").map(TestProfileId);
    if let Some(id) = test_profile
        && found(state.store().test_profile(org, id).await)?.is_none()
    {
        let message = format!("There is no test profile {id} in your organisation.");
        fields.wrong("test_profile", message);
    }
    let max_duration = fields
        .integer("max_duration", 10, 3600)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs);
    Ok(Links {
        agent,
        phone_number,
        test_profile,
        max_duration,
    })
}

/// Checks and keeps the fields that nothing but a run's script looks at, or nothing at all.
fn keep_rest(fields: &mut Fields, extra: &mut serde_json::Map<String, Value>) {
    let mut kept = serde_json::Map::new();
    for (name, max) in [
        ("instructions", MAX_TEXT),
        ("expected_outcome_prompt", MAX_TEXT),
        ("scenario_language", 10),
    ] {
        if let Some(text) = fields.text(name, max) {
            kept.insert(name.to_owned(), Value::String(text));
        }
    }
    if let Some(kind) = fields.text("scenario_type", 50) {
        if !SCENARIO_TYPES.contains(&kind.as_str()) {
            fields.wrong(
                "scenario_type",
                format!("Expected one of {}.", SCENARIO_TYPES.join(", ")),
            );
        }
        kept.insert("scenario_type".to_owned(), Value::String(kind));
    }
    if let Some(actions) = fields.object("conditional_actions") {
        kept.insert("conditional_actions".to_owned(), actions);
    }
    if let Some(id) = fields.id("personality") {
        kept.insert("personality".to_owned(), id.into());
    }
    kept.append(&mut fields.rest(READ_ONLY));
    fields.keep(extra, kept);
}

pub(crate) async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    mut fields: Fields,
) -> Answer<(StatusCode, Json<wire::Scenario>)> {
    let org = asked.principal.org;
    let name = fields.required_text("name", 80);
    let links = links(&state, org, &mut fields).await?;
    if links.agent.is_none() {
        fields.require("agent");
    }
    let tags = fields.texts("tags", 100).unwrap_or_default();
    let folder_path = fields.text("folder_path", 255);
    let first_message = fields.text("first_message", 2000);
    let mut extra = serde_json::Map::new();
    keep_rest(&mut fields, &mut extra);
    fields.check()?;
    let agent = state
        .store()
        .agent(org, AgentId(links.agent.unwrap_or_default()))
        .await?;
    let new = NewScenario {
        org,
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
    Ok((StatusCode::CREATED, Json(show(&state, scenario).await?)))
}

pub(crate) async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::Scenario>> {
    update(state, id, asked, fields, false).await
}

pub(crate) async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    mut fields: Fields,
) -> Answer<Json<wire::Scenario>> {
    if !fields.has("name") {
        fields.require("name");
    }
    update(state, id, asked, fields, true).await
}

async fn update(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    mut fields: Fields,
    whole: bool,
) -> Answer<Json<wire::Scenario>> {
    let org = asked.principal.org;
    let mut scenario = state.store().scenario(org, ScenarioId(id)).await?;
    if fields.has("name")
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
    let links = links(&state, org, &mut fields).await?;
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
    keep_rest(&mut fields, &mut scenario.extra);
    fields.check()?;
    if let Some(agent) = links.agent {
        let agent = state.store().agent(org, AgentId(agent)).await?;
        scenario.agent = agent.id;
        scenario.project = agent.project;
    }
    state.store().update_scenario(&scenario, now()).await?;
    let scenario = state.store().scenario(org, ScenarioId(id)).await?;
    Ok(Json(show(&state, scenario).await?))
}

pub(crate) async fn delete(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<StatusCode> {
    state
        .store()
        .delete_scenario(asked.principal.org, ScenarioId(id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
