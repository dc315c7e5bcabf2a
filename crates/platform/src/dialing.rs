//! What an agent's settings say about dialing it. Pure.
//!
//! Settings of providers came to agents through the compatible API, so they have its names; here they get those of the
//! providers (crate `provider`).

use ringdown_domain::AGENT_ROUTE;
use ringdown_store::Agent;
use serde_json::{Map, Value};

/// Providers that place calls for an agent that runs at them, and what each calls the agent's id there; at LiveKit
/// the trunk's rules say who talks.
const CALLING: [(&str, Option<&str>); 7] = [
    ("vapi", Some("assistant_id")),
    ("retell", Some("agent_id")),
    ("elevenlabs", Some("agent_id")),
    ("bland", Some("pathway_id")),
    ("livekit", None),
    ("synthflow", Some("model_id")),
    ("telnyx", Some("assistant_id")),
];

/// Where an agent keeps what else its provider wants.
pub fn data_name(provider: &str) -> String {
    match provider {
        "" | "custom" => "custom_provider_data".to_owned(),
        provider => format!("{provider}_data"),
    }
}

/// Where an agent keeps the key of its provider.
pub fn key_name(provider: &str) -> String {
    match provider {
        "" | "custom" | "cisco" => "custom_provider_api_key".to_owned(),
        "koreai" | "genesys" => format!("{provider}_client_secret"),
        "amazon_connect" => "amazon_connect_security_token".to_owned(),
        provider => format!("{provider}_api_key"),
    }
}

/// How an agent's own settings say that it is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnAccount {
    /// The provider, as the carriers call it.
    pub(crate) provider: String,
    /// Its open settings.
    pub(crate) settings: Map<String, Value>,
    /// The stored secret that is a credential, where that is not among the settings.
    pub(crate) key: Option<String>,
    /// The stored secret that holds the settings as they are without their masks.
    pub(crate) data: String,
}

fn text<'a>(agent: &'a Agent, name: &str) -> &'a str {
    let value = agent.extra.get(name).and_then(Value::as_str);
    value.unwrap_or_default()
}

/// Sets what is not set yet.
fn fill(settings: &mut Map<String, Value>, name: &str, value: &str) {
    if !value.is_empty() && !settings.contains_key(name) {
        settings.insert(name.to_owned(), value.into());
    }
}

/// The account that an agent's settings name.
///
/// # Errors
/// Why they name none, and what to set.
pub(crate) fn own_account(agent: &Agent) -> Result<OwnAccount, String> {
    let provider = text(agent, "transcript_provider");
    let data = data_name(provider);
    let mut settings = match agent.extra.get(&data) {
        Some(Value::Object(settings)) => settings.clone(),
        _ => Map::new(),
    };
    if let Some(number) = &agent.contact_number {
        fill(&mut settings, "from_number", number.as_str());
    }
    let has_trigger = settings
        .get("trigger_url")
        .and_then(Value::as_str)
        .is_some_and(|url| !url.is_empty());
    if has_trigger {
        return Ok(OwnAccount {
            provider: "trigger_url".to_owned(),
            settings,
            key: None,
            data,
        });
    }
    let Some((_, id)) = CALLING.iter().find(|(name, _)| *name == provider) else {
        let names: Vec<&str> = CALLING.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "agent {} says that it is called automatically, but not how: give it a provider that places calls ({}), a \
             trigger_url among its provider's data, or a dial route",
            agent.id,
            names.join(", ")
        ));
    };
    if let Some(id) = id {
        fill(&mut settings, id, text(agent, "assistant_id"));
    }
    if provider == "elevenlabs" {
        fill(&mut settings, "line", "twilio");
    }
    if provider == "livekit"
        && let Some(url) = settings.get("url").cloned()
    {
        settings.entry("base_url").or_insert(url);
    }
    Ok(OwnAccount {
        provider: provider.to_owned(),
        settings,
        key: Some(key_name(provider)),
        data,
    })
}

/// The dial route of an agent's runs: the one that was set, else its own settings if it says that it is called
/// automatically; `None`: it calls by itself, or somebody makes it.
pub fn route(agent: &Agent) -> Option<String> {
    let automatic = agent
        .extra
        .get("outbound_auto_call")
        .is_some_and(|flag| *flag == Value::Bool(true));
    let own = || automatic.then(|| AGENT_ROUTE.to_owned());
    agent.dial_route.clone().or_else(own)
}

#[cfg(test)]
mod tests {
    use ringdown_domain::Timestamp;
    use serde_json::json;

    use super::*;

    fn agent(extra: Value) -> Agent {
        let Value::Object(extra) = extra else {
            panic!("an object")
        };
        Agent {
            id: 3.into(),
            org: 1.into(),
            project: 1.into(),
            name: "Agent".to_owned(),
            contact_number: Some("+15550100002".parse().unwrap()),
            outbound_numbers: vec![],
            inbound: false,
            dial_route: None,
            extra,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_provider_that_places_calls_gets_the_agents_id_and_number() {
        let account = own_account(&agent(json!({
            "transcript_provider": "vapi", "assistant_id": "a-1",
            "vapi_data": {"phone_number_id": "p-1"},
        })));
        let account = account.unwrap();
        assert_eq!(account.provider, "vapi");
        assert_eq!(
            (account.key.as_deref(), account.data.as_str()),
            (Some("vapi_api_key"), "vapi_data")
        );
        assert_eq!(
            Value::from(account.settings),
            json!({"assistant_id": "a-1", "phone_number_id": "p-1", "from_number": "+15550100002"})
        );
    }

    #[test]
    fn a_trigger_url_is_used_whatever_the_provider_is() {
        for provider in ["", "custom", "retell"] {
            let data = data_name(provider);
            let account = own_account(&agent(json!({
                "transcript_provider": provider, data: {"trigger_url": "https://example.com/call"},
            })));
            assert_eq!(account.unwrap().provider, "trigger_url", "{provider}");
        }
    }

    #[test]
    fn who_says_nothing_of_how_is_told_what_to_set() {
        for provider in ["", "custom", "pipecat"] {
            let error = own_account(&agent(json!({"transcript_provider": provider}))).unwrap_err();
            assert!(
                error.contains("trigger_url") && error.contains("agent 3"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_set_route_comes_before_the_agents_own() {
        let mut one = agent(json!({"outbound_auto_call": true}));
        assert_eq!(route(&one).as_deref(), Some("agent"));
        one.dial_route = Some("main".to_owned());
        assert_eq!(route(&one).as_deref(), Some("main"));
        assert_eq!(route(&agent(json!({"outbound_auto_call": false}))), None);
        assert_eq!(route(&agent(json!({}))), None);
    }
}
