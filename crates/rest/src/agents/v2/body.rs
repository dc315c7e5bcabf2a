//! Turns bodies of version 2 into those of version 1.

use ringdown_platform::dialing::{data_name, key_name};
use ringdown_store::Agent;
use serde_json::{Map, Value};

use crate::agents::fields::PROVIDERS;
use crate::agents::secrets::{MASKED, SECRETS};
use crate::body::Fields;
use crate::error::{Answer, Failure};
use crate::operations::Kind;

/// Names at the top, here and in version 1.
const TOP: &[(&str, &str)] = &[
    ("name", "agent_name"),
    ("description", "description"),
    ("project", "project"),
    ("language", "language"),
    ("agent_speaks_first", "agent_gives_first_message"),
    ("predefined_metrics", "predefined_metrics"),
    ("webhook_url", "webhook_url"),
    ("mock_tools", "mock_tools"),
    ("mock_tools_enabled", "mock_tools_enabled"),
    ("dynamic_variables", "dynamic_variables"),
    ("email_id", "email_id"),
];

const TELEPHONY: &[(&str, &str)] = &[
    ("phone_number", "contact_number"),
    ("inbound", "inbound"),
    ("sip_uri", "sip_endpoint"),
    ("sip_auth", "sip_auth"),
    ("websocket_url", "websocket_voice_url"),
    ("websocket_auth", "websocket_auth"),
    ("outbound_numbers", "outbound_numbers"),
];

const PROVIDER: &[(&str, &str)] = &[
    ("type", "transcript_provider"),
    ("agent_id", "assistant_id"),
    ("auto_dial_outbound", "outbound_auto_call"),
    ("auto_import_calls", "auto_fetch_calls_enabled"),
    ("auto_sync_prompt", "auto_sync_prompt_enabled"),
    (
        "send_post_conversation_metadata",
        "send_post_conversation_metadata",
    ),
    ("redact_fields", "redact_fields"),
];

pub(super) const CHATS: &[&str] = &[
    "retell",
    "bland",
    "vapi",
    "elevenlabs",
    "livekit",
    "agora",
    "sms",
    "whatsapp",
    "self_hosted",
    "agentforce",
    "amazon_connect",
    "koreai",
    "sierra",
    "",
];

/// What can be taken out of transcripts.
const REDACTABLE: &[&str] = &[
    "person_name",
    "age",
    "phone_number",
    "email_address",
    "date",
    "time",
    "location",
    "origin",
    "gender_sexuality",
    "physical_attribute",
    "occupation",
    "username",
    "password",
    "ip_address",
    "url",
    "filename",
    "event",
    "vehicle_id",
    "dob",
    "healthcare_number",
    "medical_professional",
    "credit_card",
    "account_number",
    "bank_account",
    "money",
    "ssn",
    "passport_number",
    "driver_license",
    "numerical_pii",
];

/// Moves members to the names of version 1. `whole`: absent ones are as if they were null.
fn moved(
    from: &mut Map<String, Value>,
    names: &[(&str, &str)],
    to: &mut Map<String, Value>,
    whole: bool,
) {
    for (here, there) in names {
        match from.remove(*here) {
            Some(value) => {
                to.insert((*there).to_owned(), value);
            }
            None if whole => {
                to.insert((*there).to_owned(), Value::Null);
            }
            None => {}
        }
    }
}

fn object(fields: &mut Fields, name: &str) -> Option<Map<String, Value>> {
    match fields.value(name, Kind::Object) {
        Some(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// A member that has to be an object, or null or absent.
fn member(
    fields: &mut Fields,
    of: &mut Map<String, Value>,
    name: &str,
    path: &str,
) -> Option<Map<String, Value>> {
    match of.remove(name) {
        None => None,
        Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(map)) => Some(map),
        Some(_) => {
            fields.wrong(path, "Expected an object.");
            None
        }
    }
}

/// The body in the words of version 1.
pub(super) fn translate(mut fields: Fields, agent: &Agent, whole: bool) -> Answer<Fields> {
    let mut out = Map::new();
    let (has_line, has_provider) = (fields.has("telephony"), fields.has("provider"));
    let line = object(&mut fields, "telephony");
    let provider = object(&mut fields, "provider");
    // Null is as if the agent were new.
    let line_cleared = whole || (has_line && line.is_none());
    let cleared = whole || (has_provider && provider.is_none());
    let (mut line, mut provider) = (line.unwrap_or_default(), provider.unwrap_or_default());
    moved(&mut line, TELEPHONY, &mut out, line_cleared);
    provider.remove("configure_from_provider");
    provider.remove("chat_provider");
    if let Some(Value::Array(named)) = provider.get("redact_fields")
        && let Some(odd) = named
            .iter()
            .find(|name| !name.as_str().is_some_and(|name| REDACTABLE.contains(&name)))
    {
        let message = format!("{odd} is nothing that can be taken out of transcripts.");
        fields.wrong("provider.redact_fields", message);
    }
    let kind = match provider.get("type") {
        Some(Value::String(kind)) if PROVIDERS.contains(&kind.as_str()) => kind.clone(),
        Some(Value::String(_)) => String::new(),
        _ if cleared => String::new(),
        _ => known_kind(agent),
    };
    if cleared {
        // The provider's data goes with the provider; its key is a secret and stays.
        out.insert(data_name(&known_kind(agent)), Value::Null);
    }
    let credentials = member(
        &mut fields,
        &mut provider,
        "credentials",
        "provider.credentials",
    );
    if let Some(mut credentials) = credentials {
        credentials.remove("api_key_configured");
        if let Some(key) = credentials.remove("api_key") {
            out.insert(key_name(&kind), key);
        }
        if let Some(config) = credentials.remove("config") {
            out.insert(data_name(&kind), config);
        }
    }
    chat(&mut fields, &mut provider, &mut out, cleared);
    moved(&mut provider, PROVIDER, &mut out, cleared);
    let files = fields.value("knowledge_base_files", Kind::List);
    if files.is_some_and(|files| files.as_array().is_some_and(|files| !files.is_empty())) {
        let message = "Files are not kept: nothing here reads them. Leave them out.";
        fields.wrong("knowledge_base_files", message);
    }
    let mut top = Map::new();
    for name in TOP.iter().map(|(name, _)| *name).chain(["webhook_secret"]) {
        if fields.has(name) {
            let value = fields.take(name).unwrap_or_default();
            top.insert(name.to_owned(), value);
        }
    }
    listed(&mut fields, &top, "mock_tools", &["name"]);
    listed(
        &mut fields,
        &top,
        "dynamic_variables",
        &["name", "description"],
    );
    if let Some(secret) = top.remove("webhook_secret") {
        out.insert("webhook_secret".to_owned(), secret);
    }
    moved(&mut top, TOP, &mut out, whole);
    // Null stands for what it is without being told, which no name and no direction can be.
    for name in ["agent_name", "inbound", "project"] {
        if out.get(name).is_some_and(Value::is_null) {
            out.remove(name);
        }
    }
    if line_cleared {
        out.entry("inbound").or_insert(false.into());
    }
    let rest = fields.rest(&["id", "enabled_personalities", "created_at", "updated_at"]);
    for (name, value) in rest {
        out.entry(name).or_insert(value);
    }
    fields.check()?;
    Ok(Fields::of(out))
}

/// Reads how the agent chats.
fn chat(
    fields: &mut Fields,
    provider: &mut Map<String, Value>,
    out: &mut Map<String, Value>,
    cleared: bool,
) {
    const PATH: &str = "provider.chat_agent_details";
    let named = provider.contains_key("chat_agent_details");
    let Some(mut chat) = member(fields, provider, "chat_agent_details", PATH) else {
        if cleared && !named {
            out.insert("assistant_provider".to_owned(), Value::Null);
            out.insert("chat_agent_config".to_owned(), Value::Null);
        }
        return;
    };
    let emptied = chat.is_empty();
    match chat.remove("type") {
        Some(Value::String(kind)) if !CHATS.contains(&kind.as_str()) => {
            fields.wrong(PATH, format!("{kind:?} is no provider of chats."));
        }
        Some(kind) => {
            out.insert("assistant_provider".to_owned(), kind);
        }
        None if emptied => {
            out.insert("assistant_provider".to_owned(), Value::Null);
        }
        None => {}
    }
    match chat.remove("config") {
        Some(config) => {
            if let Some(Value::String(url)) = config.get("url") {
                out.insert("websocket_url".to_owned(), url.as_str().into());
            }
            out.insert("chat_agent_config".to_owned(), config);
        }
        None if emptied => {
            out.insert("chat_agent_config".to_owned(), Value::Null);
        }
        None => {}
    }
}

/// Checks that a list holds objects that have these texts.
fn listed(fields: &mut Fields, of: &Map<String, Value>, name: &str, texts: &[&str]) {
    let Some(Value::Array(items)) = of.get(name) else {
        return;
    };
    let good = |item: &Value| {
        texts
            .iter()
            .all(|text| item.get(text).is_some_and(Value::is_string))
    };
    if !items.iter().all(good) {
        let message = format!("Expected objects with the texts {}.", texts.join(" and "));
        fields.wrong(name, message);
    }
}

fn known_kind(agent: &Agent) -> String {
    let kind = agent
        .extra
        .get("transcript_provider")
        .and_then(Value::as_str);
    kind.unwrap_or_default().to_owned()
}

/// Names what is wrong as version 2 does.
pub(super) fn renamed(failure: Failure) -> Failure {
    let Failure::Fields(errors) = failure else {
        return failure;
    };
    let mut out = ringdown_api::FieldErrors::default();
    for (name, messages) in errors.0 {
        let find = |names: &[(&'static str, &str)], prefix: &str| {
            let found = names.iter().find(|(_, there)| *there == name);
            found.map(|(here, _)| format!("{prefix}{here}"))
        };
        let path = find(TOP, "")
            .or_else(|| find(TELEPHONY, "telephony."))
            .or_else(|| find(PROVIDER, "provider."))
            .unwrap_or_else(|| match name.as_str() {
                "webhook_secret" => name.clone(),
                "assistant_provider" | "chat_agent_config" | "websocket_url" => {
                    "provider.chat_agent_details".to_owned()
                }
                name if MASKED.contains(&name) => "provider.credentials.config".to_owned(),
                name if SECRETS.contains(&name) => "provider.credentials.api_key".to_owned(),
                _ => name.clone(),
            });
        for message in messages {
            out.add(&path, message);
        }
    }
    Failure::Fields(out)
}
