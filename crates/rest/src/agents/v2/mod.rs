//! Version 2 of the agents API: the same agents, with what belongs to the line under `telephony` and
//! what belongs to the provider under `provider`.

mod body;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use ringdown_api as wire;
use ringdown_bus::now;
use ringdown_domain::AgentId;
use ringdown_platform::dialing::{data_name, key_name};
use ringdown_store::Agent;
use serde_json::{Map, Value, json};

use self::body::{CHATS, renamed, translate};
use super::fields::{KNOWN, apply};
use super::secrets::MASKED;
use super::shape::Beside;
use super::{blank, delete, of_others, page_of, store_new, with_beside};
use crate::State;
use crate::body::Fields;
use crate::error::Answer;
use crate::kept::{LANGUAGE, text};
use crate::operations::{Body, Kind, Table};
use crate::pages::{Asked, Id, time};

/// What an agent is called until it is told.
const UNNAMED: &str = "New agent";

pub(super) fn operations(table: &mut Table) {
    const MANY: &str = "/test_framework/v2/aiagents";
    const ONE: &str = "/test_framework/v2/aiagents/{id}";
    table
        .get(MANY, list)
        .id("aiagents-list")
        .summary("List agents, version 2")
        .paged()
        .query("project_id", Kind::Id, "Only of this project.")
        .query("organization_id", Kind::Id, "Only of this organisation.")
        .query("q", Kind::Text, "Only those whose name contains this.")
        .answers::<wire::Page<wire::AgentV2>>(200);
    table
        .post(MANY, create)
        .id("aiagents-create")
        .summary("Create an agent, version 2")
        .about(
            "Always answers 201: nothing is fetched from a provider, so configure_from_provider \
             changes nothing.",
        )
        .takes(declared())
        .answers::<wire::AgentV2>(201);
    table
        .get(ONE, read)
        .id("aiagents-retrieve")
        .summary("Show an agent, version 2")
        .answers::<wire::AgentV2>(200);
    table
        .put(ONE, replace)
        .id("aiagents-update")
        .summary("Replace an agent, version 2")
        .about("Secrets, and fields that only version 1 has, stay as they are.")
        .takes(declared())
        .answers::<wire::AgentV2>(200);
    table
        .patch(ONE, change)
        .id("aiagents-partial-update")
        .summary("Change an agent, version 2")
        .about("Of telephony and provider, only what is named changes.")
        .takes(declared().partly())
        .answers::<wire::AgentV2>(200);
    table
        .delete(ONE, delete)
        .id("aiagents-destroy")
        .summary("Delete an agent, version 2")
        .query(
            "delete_related",
            Kind::Flag,
            "Whether its evaluators and cron jobs are deleted too; without it, an agent that has any \
             is kept.",
        )
        .answers_nothing(204);
}

fn declared() -> Body {
    Body::new()
        .optional("name", Kind::Short(255), "Its name.")
        .optional(
            "description",
            Kind::Text,
            "What it is for and how it behaves.",
        )
        .optional("project", Kind::Id, "Its project; the first one if absent.")
        .optional("language", LANGUAGE, "The language it speaks.")
        .optional(
            "telephony",
            Kind::Object,
            "How it is reached and from where it calls.",
        )
        .optional("provider", Kind::Object, "Where it runs.")
        .optional("agent_speaks_first", Kind::Flag, "Whether it speaks first.")
        .optional(
            "predefined_metrics",
            Kind::Any,
            "Metrics it is scored by; never shown.",
        )
        .optional(
            "knowledge_base_files",
            Kind::List,
            "Has to be empty: files are not kept here.",
        )
        .optional("webhook_url", Kind::Url, "Kept as it is.")
        .optional(
            "webhook_secret",
            Kind::Text,
            "A secret: sealed, never shown.",
        )
        .optional("mock_tools", Kind::List, "Its mock tools.")
        .optional("mock_tools_enabled", Kind::Flag, "Whether they are in use.")
        .optional(
            "dynamic_variables",
            Kind::List,
            "Variables the agent takes.",
        )
        .optional("email_id", Kind::Short(254), "Whom to write to.")
        .lenient()
}

async fn list(
    Extract(state): Extract<State>,
    asked: Asked,
) -> Answer<Json<wire::Page<wire::AgentV2>>> {
    let page = asked.page()?;
    let listing = page_of(&state, &asked, page, of_others(&asked)?).await?;
    let beside = Beside::load(&state, asked.principal.scope, &listing.rows).await?;
    let shown = asked.listing(page, listing, |agent| show(agent, &beside))?;
    Ok(Json(shown))
}

async fn read(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::AgentV2>> {
    let scope = asked.principal.scope;
    let agent = state.store().agent(scope, AgentId(id)).await?;
    let (agent, beside) = with_beside(&state, scope, agent).await?;
    Ok(Json(show(agent, &beside)))
}

async fn create(
    Extract(state): Extract<State>,
    asked: Asked,
    fields: Fields,
) -> Answer<(StatusCode, Json<wire::AgentV2>)> {
    let scope = asked.principal.scope;
    let mut agent = blank(scope);
    UNNAMED.clone_into(&mut agent.name);
    let mut fields = translate(fields, &agent, false)?;
    let secrets = apply(&state, scope, &mut agent, &mut fields, false)
        .await
        .map_err(renamed)?;
    let agent = store_new(&state, agent, secrets).await?;
    let (agent, beside) = with_beside(&state, scope, agent).await?;
    Ok((StatusCode::CREATED, Json(show(agent, &beside))))
}

async fn change(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::AgentV2>> {
    update(state, id, asked, fields, false).await
}

async fn replace(
    state: Extract<State>,
    id: Id,
    asked: Asked,
    fields: Fields,
) -> Answer<Json<wire::AgentV2>> {
    update(state, id, asked, fields, true).await
}

async fn update(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
    fields: Fields,
    whole: bool,
) -> Answer<Json<wire::AgentV2>> {
    let scope = asked.principal.scope;
    let mut agent = state.store().agent(scope, AgentId(id)).await?;
    let mut fields = translate(fields, &agent, whole)?;
    let secrets = apply(&state, scope, &mut agent, &mut fields, false)
        .await
        .map_err(renamed)?;
    state.store().update_agent(&agent, secrets, now()).await?;
    let agent = state.store().agent(scope, AgentId(id)).await?;
    let (agent, beside) = with_beside(&state, scope, agent).await?;
    Ok(Json(show(agent, &beside)))
}

/// A provider's data as an object, however version 1 was given it.
fn data(kept: &mut Map<String, Value>, name: &str) -> Option<Value> {
    match kept.remove(name)? {
        Value::String(text) => serde_json::from_str(&text).ok().filter(Value::is_object),
        value => value.is_object().then_some(value),
    }
}

fn flag(kept: &mut Map<String, Value>, name: &str) -> Option<bool> {
    kept.remove(name).and_then(|value| value.as_bool())
}

fn optional_text(kept: &mut Map<String, Value>, name: &str) -> Option<String> {
    Some(text(kept, name)).filter(|text| !text.is_empty())
}

fn list_of(kept: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match kept.remove(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// A mock tool as it is read.
fn mock_tool((index, tool): (usize, Value)) -> Value {
    let text = |name: &str| tool.get(name).and_then(Value::as_str).unwrap_or_default();
    let id = tool.get("id").and_then(Value::as_i64);
    let through = tool.get("served_via").and_then(|via| via.get("type"));
    let through = through
        .and_then(Value::as_str)
        .filter(|kind| *kind == "mcp");
    json!({
        "id": id.unwrap_or_else(|| i64::try_from(index).unwrap_or(0) + 1),
        "name": text("name"),
        "description": text("description"),
        "mock_data": tool.get("mock_data").cloned().unwrap_or_else(|| json!([])),
        "served_via": {"type": through.unwrap_or("direct"), "url": ""},
    })
}

fn variable((index, variable): (usize, Value)) -> Value {
    let id = variable.get("id").and_then(Value::as_i64);
    json!({
        "id": id.unwrap_or_else(|| i64::try_from(index).unwrap_or(0) + 1),
        "name": variable.get("name"),
        "description": variable.get("description"),
    })
}

fn provider(agent: AgentId, kept: &mut Map<String, Value>, beside: &Beside) -> wire::Provider {
    let kind = text(kept, "transcript_provider");
    let config = data(kept, &data_name(&kind));
    let api_key_configured = beside.has(agent, &key_name(&kind));
    let chats = text(kept, "assistant_provider");
    let websocket = optional_text(kept, "websocket_url");
    let config_of_chat = kept.remove("chat_agent_config").filter(Value::is_object);
    let config_of_chat = config_of_chat.or_else(|| {
        let url = websocket.filter(|_| chats == "self_hosted")?;
        Some(json!({"url": url}))
    });
    let shown = CHATS.contains(&chats.as_str()) && (!chats.is_empty() || config_of_chat.is_some());
    let redact = kept.remove("redact_fields");
    wire::Provider {
        agent_id: optional_text(kept, "assistant_id"),
        credentials: (api_key_configured || config.is_some()).then_some(wire::Credentials {
            api_key_configured,
            config,
        }),
        chat_agent_details: shown.then(|| wire::Chat {
            kind: chats.clone(),
            config: config_of_chat,
        }),
        chat_provider: chats,
        auto_dial_outbound: flag(kept, "outbound_auto_call"),
        auto_import_calls: flag(kept, "auto_fetch_calls_enabled"),
        auto_sync_prompt: flag(kept, "auto_sync_prompt_enabled"),
        send_post_conversation_metadata: flag(kept, "send_post_conversation_metadata"),
        redact_fields: redact.and_then(|names| serde_json::from_value(names).ok()),
        kind,
    }
}

fn show(agent: Agent, beside: &Beside) -> wire::AgentV2 {
    let mut kept = agent.extra;
    let language = text(&mut kept, "language");
    let telephony = wire::Telephony {
        phone_number: agent
            .contact_number
            .map_or_else(String::new, |number| number.to_string()),
        inbound: agent.inbound,
        sip_uri: optional_text(&mut kept, "sip_endpoint"),
        sip_auth: kept.remove("sip_auth"),
        websocket_url: optional_text(&mut kept, "websocket_voice_url"),
        websocket_auth: kept.remove("websocket_auth"),
        outbound_numbers: agent
            .outbound_numbers
            .iter()
            .map(ToString::to_string)
            .collect(),
    };
    let provider = provider(agent.id, &mut kept, beside);
    let speaks_first = flag(&mut kept, "agent_gives_first_message");
    let description = text(&mut kept, "description");
    let tools = list_of(&mut kept, "mock_tools");
    let variables = list_of(&mut kept, "dynamic_variables");
    let mock_tools_enabled = flag(&mut kept, "mock_tools_enabled").unwrap_or(false);
    // What is left that only version 1 knows stays with version 1.
    kept.retain(|name, _| {
        let here = ["webhook_url", "email_id"].contains(&name.as_str());
        let version_1 =
            KNOWN.iter().any(|(known, _, _)| known == name) || MASKED.contains(&name.as_str());
        here || !version_1
    });
    wire::AgentV2 {
        id: agent.id.0,
        name: agent.name,
        description,
        project: Some(agent.project.0),
        language: if language.is_empty() {
            "en".to_owned()
        } else {
            language
        },
        telephony,
        provider,
        agent_speaks_first: speaks_first,
        webhook_secret_configured: beside.configured(agent.id, "webhook_secret"),
        knowledge_base_files: Vec::new(),
        enabled_personalities: beside.personalities(agent.project),
        mock_tools: tools.into_iter().enumerate().map(mock_tool).collect(),
        mock_tools_enabled,
        mock_tools_provider: None,
        dynamic_variables: variables.into_iter().enumerate().map(variable).collect(),
        created_at: time(agent.created_at),
        updated_at: time(agent.updated_at),
        other: kept,
    }
}
