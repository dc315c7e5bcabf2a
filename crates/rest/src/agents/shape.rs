//! How version 1 shows an agent.

use std::collections::HashMap;

use ringdown_api as wire;
use ringdown_domain::personality::BUILTIN;
use ringdown_domain::{AgentId, ProjectId};
use ringdown_store::{Agent, Scope};
use serde_json::{Map, Value, json};

use super::secrets::{self, MASKED};
use crate::State;
use crate::error::Answer;
use crate::kept::text;
use crate::pages::time;

/// Secrets whose presence the reference shows.
const CONFIGURED: &[&str] = &[
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
    "synthflow_api_key",
    "telnyx_api_key",
    "webhook_secret",
];

/// What is shown beside agents, looked up for a whole page at once.
pub(super) struct Beside {
    secrets: HashMap<AgentId, Vec<String>>,
    personalities: Vec<(ProjectId, i64)>,
}

impl Beside {
    pub(super) async fn load(state: &State, scope: Scope, agents: &[Agent]) -> Answer<Self> {
        let own = state.store().personalities(scope, None).await?;
        Ok(Self {
            secrets: secrets::names(state, scope, agents).await?,
            personalities: own.iter().map(|own| (own.project, own.id.0)).collect(),
        })
    }

    /// `true` or nothing. The reference's type of it is text, and an empty text is the one that counts
    /// as false.
    pub(super) fn configured(&self, agent: AgentId, name: &str) -> String {
        let has = self.has(agent, name);
        if has {
            "true".to_owned()
        } else {
            String::new()
        }
    }

    pub(super) fn has(&self, agent: AgentId, name: &str) -> bool {
        let names = self.secrets.get(&agent);
        names.is_some_and(|names| names.iter().any(|one| one == name))
    }

    /// Ids of the personalities that may call agents of a project.
    pub(super) fn personalities(&self, project: ProjectId) -> Vec<i64> {
        let own = self.personalities.iter();
        let own = own.filter(|(of, _)| *of == project).map(|(_, id)| *id);
        BUILTIN
            .iter()
            .map(|builtin| builtin.id.0)
            .chain(own)
            .collect()
    }
}

/// What an agent is without being told.
fn defaults() -> Value {
    json!({
        "language": "en",
        "llm_model": "gpt-4o",
        "llm_temperature": 0.0,
        "llm_max_tokens": 4096,
        "outbound_auto_call": false,
        "transcript_provider": "",
        "assistant_provider": "",
        "auto_fetch_calls_enabled": false,
    })
}

fn add_defaults(other: &mut Map<String, Value>) {
    if let Value::Object(defaults) = defaults() {
        for (name, value) in defaults {
            other.entry(name).or_insert(value);
        }
    }
}

pub(super) fn show(agent: Agent, beside: &Beside) -> wire::Agent {
    let mut other = agent.extra;
    let description = text(&mut other, "description");
    other.remove("predefined_metrics");
    for name in MASKED {
        // The reference's type of a provider's data is text.
        if name.ends_with("_data")
            && let Some(value) = other.get_mut(*name)
            && !value.is_string()
        {
            *value = value.to_string().into();
        }
    }
    add_defaults(&mut other);
    for name in CONFIGURED {
        let configured = beside.configured(agent.id, name);
        other.insert(format!("{name}_configured"), configured.into());
    }
    let personalities = beside.personalities(agent.project);
    other.insert("enabled_personalities".to_owned(), personalities.into());
    wire::Agent {
        id: agent.id.0,
        project: Some(agent.project.0),
        agent_name: agent.name,
        description,
        inbound: agent.inbound,
        contact_number: agent
            .contact_number
            .map_or_else(String::new, |number| number.to_string()),
        outbound_numbers: agent
            .outbound_numbers
            .iter()
            .map(ToString::to_string)
            .collect(),
        created_at: time(agent.created_at),
        updated_at: time(agent.updated_at),
        other,
    }
}

pub(super) fn show_short(agent: Agent) -> wire::ShortAgent {
    let mut other = agent.extra;
    add_defaults(&mut other);
    wire::ShortAgent {
        id: agent.id.0,
        agent_name: agent.name,
        project: Some(agent.project.0),
        organization: agent.org.0,
        contact_number: agent.contact_number.map(|number| number.to_string()),
        inbound: Some(agent.inbound),
        language: text(&mut other, "language"),
        agent_gives_first_message: other
            .get("agent_gives_first_message")
            .and_then(Value::as_bool),
        created_at: time(agent.created_at),
        updated_at: time(agent.updated_at),
    }
}
