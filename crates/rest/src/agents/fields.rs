//! What a body says about an agent, under the names of version 1.

use ringdown_store::{Agent, Scope, SecretChange};
use serde_json::{Map, Value};

use super::secrets::{self, MASKED, SECRETS};
use crate::State;
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::kept::{Known, LANGUAGE, declare};
use crate::operations::{Body, Kind};
use ringdown_domain::ProjectId;

/// Fields only the server writes.
const READ_ONLY: &[&str] = &[
    "id",
    "organization",
    "knowledge_base_files",
    "enabled_personalities",
    "created_at",
    "updated_at",
];

/// Providers that an agent may run at; the empty one is none.
pub(super) const PROVIDERS: &[&str] = &[
    "vapi",
    "retell",
    "synthflow",
    "elevenlabs",
    "bland",
    "livekit",
    "pipecat",
    "koreai",
    "custom",
    "cisco",
    "genesys",
    "agora",
    "amazon_connect",
    "telnyx",
    "",
];

const ASSISTANTS: &[&str] = &[
    "vapi",
    "retell",
    "elevenlabs",
    "vocera",
    "sms",
    "whatsapp",
    "self_hosted",
    "agentforce",
    "cisco",
    "bland",
    "livekit",
    "pipecat",
    "synthflow",
    "agora",
    "koreai",
    "genesys",
    "amazon_connect",
    "telnyx",
    "sierra",
    "",
];

const MODELS: &[&str] = &[
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "claude-sonnet-4-5-20250929",
];

/// Fields that are checked and kept.
pub(super) const KNOWN: &[Known] = &[
    (
        "description",
        Kind::Text,
        "What it is for and how it behaves.",
    ),
    ("language", LANGUAGE, "The language it speaks."),
    (
        "assistant_id",
        Kind::Short(255),
        "Its id at the voice provider.",
    ),
    (
        "chat_assistant_id",
        Kind::Short(255),
        "Its id at the chat provider.",
    ),
    ("websocket_url", Kind::Url, "Where it chats."),
    (
        "llm_system_prompt",
        Kind::Text,
        "Its prompt, if it is a model alone.",
    ),
    (
        "llm_model",
        Kind::OneOf(MODELS),
        "Its model, if it is a model alone.",
    ),
    ("llm_temperature", Kind::Number, "That model's temperature."),
    (
        "llm_max_tokens",
        Kind::Integer,
        "Longest answer of that model.",
    ),
    (
        "outbound_auto_call",
        Kind::Flag,
        "Whether it is asked to call when runs are triggered.",
    ),
    ("sip_endpoint", Kind::Short(255), "Its SIP address."),
    ("websocket_voice_url", Kind::Short(255), "Where it talks."),
    (
        "predefined_metrics",
        Kind::Any,
        "Metrics it is scored by; never shown.",
    ),
    (
        "transcript_provider",
        Kind::OneOf(PROVIDERS),
        "Where it runs.",
    ),
    (
        "assistant_provider",
        Kind::OneOf(ASSISTANTS),
        "Where it chats.",
    ),
    ("dropoff_nodes", Kind::Any, "Kept as it is."),
    ("topic_nodes", Kind::Any, "Kept as it is."),
    ("pronunciation_words", Kind::Any, "Kept as it is."),
    ("spelling_word_types", Kind::Any, "Kept as it is."),
    ("auto_update_dropoff_nodes", Kind::Flag, "Kept as it is."),
    ("auto_update_topic_nodes", Kind::Flag, "Kept as it is."),
    (
        "hallucination_metric_kb_files",
        Kind::Numbers,
        "Kept as it is.",
    ),
    (
        "auto_fetch_calls_enabled",
        Kind::Flag,
        "Whether its calls are to be imported.",
    ),
    (
        "auto_sync_prompt_enabled",
        Kind::Flag,
        "Whether its description is to follow the provider's.",
    ),
    (
        "agent_gives_first_message",
        Kind::Flag,
        "Whether it speaks first.",
    ),
    ("webhook_url", Kind::Url, "Kept as it is."),
    ("email_id", Kind::Short(254), "Whom to write to."),
];

/// Fields that only version 2 of the API names.
pub(super) const KNOWN_V2: &[Known] = &[
    (
        "send_post_conversation_metadata",
        Kind::Flag,
        "Whether it is told about conversations.",
    ),
    (
        "redact_fields",
        Kind::Texts,
        "What is to be taken out of transcripts.",
    ),
    ("mock_tools", Kind::List, "Its mock tools."),
    ("mock_tools_enabled", Kind::Flag, "Whether they are in use."),
    (
        "dynamic_variables",
        Kind::List,
        "Variables the agent takes.",
    ),
];

/// The body of version 1.
pub(super) fn body() -> Body {
    let body = Body::new()
        .required("agent_name", Kind::Short(255), "Its name.")
        .required(
            "inbound",
            Kind::Flag,
            "Whether it takes calls instead of making them.",
        )
        .optional("contact_number", Kind::Phone, "The number it calls from.")
        .optional(
            "outbound_numbers",
            Kind::Texts,
            "Numbers it may call from; contact_number counts if this is empty.",
        )
        .optional("project", Kind::Id, "Its project; the first one if absent.");
    let body = declare(declare(body, KNOWN), KNOWN_V2);
    let body = SECRETS.iter().fold(body, |body, name| {
        body.optional(
            name,
            Kind::Text,
            "A secret: sealed, never shown; an empty text forgets it.",
        )
    });
    let body = MASKED.iter().fold(body, |body, name| {
        body.optional(
            name,
            Kind::Any,
            "Secrets in it are sealed and shown masked.",
        )
    });
    body.lenient()
}

/// The project of an object: the one named, or the organisation's first.
pub(crate) async fn project_or_first(
    state: &State,
    scope: Scope,
    named: Option<i64>,
) -> Answer<ProjectId> {
    let projects = state.store().projects(scope).await?;
    let wanted = match named {
        Some(id) => projects.iter().find(|project| project.id.0 == id),
        None => projects.first(),
    };
    wanted
        .map(|project| project.id)
        .ok_or_else(|| Failure::field("project", "There is no such project in your organisation."))
}

/// Changes an agent as a body says; the secrets that change with it. `whole`: what the body leaves out
/// is as if the agent were new, but for secrets, which no client can send back.
pub(super) async fn apply(
    state: &State,
    scope: Scope,
    agent: &mut Agent,
    fields: &mut Fields,
    whole: bool,
) -> Answer<Vec<SecretChange>> {
    if (whole || fields.has("agent_name"))
        && let Some(name) = fields.required_text("agent_name", 255)
    {
        agent.name = name;
    }
    match fields.boolean("inbound") {
        Some(inbound) => agent.inbound = inbound,
        None if whole => fields.require("inbound"),
        None => {}
    }
    if whole || fields.has("contact_number") {
        agent.contact_number = fields.number("contact_number");
    }
    if whole || fields.has("outbound_numbers") {
        agent.outbound_numbers = fields.numbers("outbound_numbers").unwrap_or_default();
    }
    let project = fields.id("project");
    let before = agent.extra.clone();
    if whole {
        agent.extra.clear();
    }
    let mut new = Map::new();
    fields.known(KNOWN, &mut agent.extra, &mut new);
    fields.known(KNOWN_V2, &mut agent.extra, &mut new);
    if let Some(Value::String(address)) = new.get("email_id")
        && !address.is_empty()
        && !is_address(address)
    {
        fields.wrong("email_id", "Expected an address such as name@example.com.");
    }
    let mut changes = secrets::plain(fields);
    changes.extend(secrets::masked(state, agent, &before, fields, &mut new, whole).await?);
    let mut rest = fields.rest(READ_ONLY);
    rest.retain(|name, _| !secrets::is_secret(name) && !name.ends_with("_configured"));
    new.append(&mut rest);
    fields.keep(&mut agent.extra, new);
    fields.check()?;
    if project.is_some() || agent.project.0 == 0 {
        agent.project = project_or_first(state, scope, project).await?;
    }
    secrets::seal(state, agent.org, changes)
}

fn is_address(text: &str) -> bool {
    text.is_ascii()
        && !text.contains(char::is_whitespace)
        && text.split_once('@').is_some_and(|(name, host)| {
            let inside = |part: &str| !part.is_empty() && !part.contains('@');
            inside(name) && inside(host) && !host.starts_with(['.', '-']) && !host.ends_with('.')
        })
}
