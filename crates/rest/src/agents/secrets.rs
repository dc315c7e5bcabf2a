//! Credentials of agents: sealed when they come, never shown.

use std::collections::HashMap;

use ringdown_domain::{AgentId, OrganisationId};
use ringdown_store::{Agent, Scope, SecretChange, SecretOwner};
use ringdown_vault::Secret;
use serde_json::{Map, Value};

use crate::State;
use crate::body::{Fields, MAX_TEXT};
use crate::error::{Answer, Failure};
use crate::operations::Kind;

/// What stands where a secret was. Sent back, it leaves the secret as it is.
pub(super) const MASK: &str = "********";

/// Fields that are a secret as a whole.
pub(crate) const SECRETS: &[&str] = &[
    "vapi_api_key",
    "vapi_public_key",
    "retell_api_key",
    "elevenlabs_api_key",
    "bland_api_key",
    "livekit_api_key",
    "pipecat_api_key",
    "koreai_api_key",
    "koreai_client_secret",
    "genesys_client_secret",
    "agentforce_client_secret",
    "sierra_agent_token",
    "amazon_connect_security_token",
    "custom_provider_api_key",
    "agora_api_key",
    "synthflow_api_key",
    "telnyx_api_key",
    "webhook_secret",
];

/// Fields that hold secrets among other things.
pub(super) const MASKED: &[&str] = &[
    "sip_auth",
    "websocket_auth",
    "websocket_headers",
    "bland_data",
    "livekit_data",
    "pipecat_data",
    "koreai_data",
    "genesys_data",
    "agentforce_data",
    "sierra_data",
    "amazon_connect_data",
    "custom_provider_data",
    "vapi_data",
    "retell_data",
    "elevenlabs_data",
    "agora_data",
    "synthflow_data",
    "telnyx_data",
    "cisco_data",
    "chat_agent_config",
];

/// A secret to store under a name, or to forget.
pub(super) type Change = (String, Option<Secret>);

/// Whether a field that is not known looks like a secret: it is not kept.
pub(super) fn is_secret(name: &str) -> bool {
    ["_api_key", "_secret", "_token", "_auth", "_password"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Whether a value under this name inside an object is a secret.
fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let has = |part: &str| key.contains(part);
    !has("public")
        && (["secret", "password", "token", "authorization", "credential"]
            .iter()
            .any(|p| has(p))
            || key.ends_with("key"))
}

/// A copy with a mask in the place of every secret. `all`: every text in it is one, but for a user's
/// name.
fn mask(value: &Value, all: bool) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let secret = (all && !key.eq_ignore_ascii_case("username")) || is_secret_key(key);
                let shown = match value {
                    Value::Object(_) | Value::Array(_) => mask(value, secret),
                    Value::Null => Value::Null,
                    Value::String(text) if text.is_empty() => value.clone(),
                    _ if secret => MASK.into(),
                    _ => value.clone(),
                };
                (key.clone(), shown)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| mask(item, all)).collect(),
        Value::Null => Value::Null,
        _ if all => MASK.into(),
        _ => value.clone(),
    }
}

/// The value with the earlier secrets where a client sent the mask back.
fn unmask(value: Value, earlier: Option<&Value>) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let earlier = earlier.and_then(|earlier| earlier.get(&key));
                let value = unmask(value, earlier);
                (key, value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| unmask(item, earlier.and_then(|earlier| earlier.get(index))))
            .collect(),
        Value::String(text) if text == MASK => earlier.cloned().unwrap_or_default(),
        other => other,
    }
}

fn has_mask(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(has_mask),
        Value::Array(items) => items.iter().any(has_mask),
        Value::String(text) => text == MASK,
        _ => false,
    }
}

/// Takes the fields that are secrets as a whole.
pub(super) fn plain(fields: &mut Fields) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in SECRETS {
        if !fields.has(name) {
            continue;
        }
        let text = fields.text(name, MAX_TEXT).filter(|text| !text.is_empty());
        if text.as_deref() != Some(MASK) {
            changes.push(((*name).to_owned(), text.map(Secret::new)));
        }
    }
    changes
}

/// Takes the fields that hold secrets: the masked values go to `new`, the true ones are to be sealed.
pub(super) async fn masked(
    state: &State,
    agent: &mut Agent,
    before: &Map<String, Value>,
    fields: &mut Fields,
    new: &mut Map<String, Value>,
    whole: bool,
) -> Answer<Vec<Change>> {
    let mut changes = Vec::new();
    for name in MASKED {
        if !fields.has(name) {
            if whole && before.contains_key(*name) {
                changes.push(((*name).to_owned(), None));
            }
            continue;
        }
        let kind = match *name {
            "websocket_headers" => Kind::Object,
            _ => Kind::Any,
        };
        let Some(value) = fields.value(name, kind) else {
            agent.extra.remove(*name);
            changes.push(((*name).to_owned(), None));
            continue;
        };
        // Version 1 shows these as JSON in a text.
        let value = match value {
            Value::String(text) => serde_json::from_str(&text)
                .ok()
                .filter(Value::is_object)
                .unwrap_or(Value::String(text)),
            value => value,
        };
        let value = if has_mask(&value) {
            let earlier = opened(state, agent, name).await?;
            unmask(value, earlier.as_ref())
        } else {
            value
        };
        let shown = mask(
            &value,
            !name.ends_with("_data") && *name != "chat_agent_config",
        );
        let sealed = (shown != value).then(|| Secret::new(value.to_string()));
        changes.push(((*name).to_owned(), sealed));
        new.insert((*name).to_owned(), shown);
    }
    Ok(changes)
}

/// The true value of a masked field.
async fn opened(state: &State, agent: &Agent, name: &str) -> Answer<Option<Value>> {
    let Some(secret) = revealed(state, agent, name).await? else {
        return Ok(agent.extra.get(name).cloned());
    };
    Ok(serde_json::from_str(secret.expose()).ok())
}

/// A secret of the agent, for the one who uses it.
pub(crate) async fn revealed(state: &State, agent: &Agent, name: &str) -> Answer<Option<Secret>> {
    let owner = SecretOwner::Agent(agent.id);
    let stored = state.store().secret(agent.org.into(), owner, name).await?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    let failed = |error: ringdown_vault::Error| Failure::internal(&error.to_string());
    let opened = state.keyring.open_stored(agent.org.0, name, &stored);
    Ok(Some(opened.map_err(failed)?))
}

/// Seals what is to be stored.
pub(super) fn seal(
    state: &State,
    org: OrganisationId,
    changes: Vec<Change>,
) -> Answer<Vec<SecretChange>> {
    changes
        .into_iter()
        .map(|(name, secret)| {
            let sealed = secret
                .map(|secret| state.keyring.seal_stored(org.0, &name, &secret))
                .transpose()
                .map_err(|error| match error {
                    ringdown_vault::Error::TooLong(_) => {
                        Failure::field(&name, "This is too long to be sealed.")
                    }
                    error => Failure::internal(&error.to_string()),
                })?;
            Ok(SecretChange { sealed, name })
        })
        .collect()
}

/// Names of the secrets these agents have.
pub(crate) async fn names(
    state: &State,
    scope: Scope,
    agents: &[Agent],
) -> Answer<HashMap<AgentId, Vec<String>>> {
    let owners: HashMap<String, AgentId> = agents
        .iter()
        .map(|agent| (SecretOwner::Agent(agent.id).to_string(), agent.id))
        .collect();
    let asked: Vec<SecretOwner> = agents.iter().map(|a| SecretOwner::Agent(a.id)).collect();
    let mut names: HashMap<AgentId, Vec<String>> = HashMap::new();
    for (owner, name) in state.store().secrets_of(scope, &asked).await? {
        if let Some(id) = owners.get(&owner) {
            names.entry(*id).or_default().push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_and_come_back() {
        let value = json!({
            "trigger_url": "https://example.com",
            "trigger_secret": "s",
            "public_key": "p",
            "config": {"x": [1, {"api_key": "k"}]},
            "apiToken": {"a": "b", "c": null},
        });
        let shown = mask(&value, false);
        assert_eq!(
            shown,
            json!({
                "trigger_url": "https://example.com",
                "trigger_secret": MASK,
                "public_key": "p",
                "config": {"x": [1, {"api_key": MASK}]},
                "apiToken": {"a": MASK, "c": null},
            })
        );
        assert!(has_mask(&shown));
        assert_eq!(unmask(shown, Some(&value)), value);
        assert_eq!(
            mask(&json!({"username": "u", "realm": "r"}), true),
            json!({"username": "u", "realm": MASK})
        );
    }

    #[test]
    fn a_mask_without_a_secret_behind_it_is_nothing() {
        assert_eq!(
            unmask(json!({"a_secret": MASK}), None),
            json!({"a_secret": null})
        );
    }
}
