use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::null_is_default;

/// An agent in a list of names (`AIAgentList`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShortAgent {
    /// Its id.
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent_name: String,
    /// Its project.
    #[serde(default)]
    pub project: Option<i64>,
    /// Its organisation.
    #[serde(default)]
    pub organization: i64,
    /// The number it calls from, E.164; absent if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_number: Option<String>,
    /// Whether it takes calls instead of making them.
    #[serde(default)]
    pub inbound: Option<bool>,
    /// The language it speaks.
    #[serde(default, deserialize_with = "null_is_default")]
    pub language: String,
    /// Whether it speaks first.
    #[serde(default)]
    pub agent_gives_first_message: Option<bool>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}

/// An agent as version 2 of the API shows it (`AIAgentV2`): the same agent as
/// [`Agent`](crate::Agent), with what belongs to its line and to its provider kept together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentV2 {
    /// Its id.
    pub id: i64,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// What it is for and how it behaves.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<i64>,
    /// The language it speaks.
    #[serde(default, deserialize_with = "null_is_default")]
    pub language: String,
    /// How it is reached and from where it calls.
    #[serde(default)]
    pub telephony: Telephony,
    /// Where it runs.
    #[serde(default)]
    pub provider: Provider,
    /// Whether it speaks first.
    #[serde(default)]
    pub agent_speaks_first: Option<bool>,
    /// Whether a webhook secret is stored: `true`, or empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub webhook_secret_configured: String,
    /// Files the agent knows; none are kept here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub knowledge_base_files: Vec<Value>,
    /// Personalities that may call it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub enabled_personalities: Vec<i64>,
    /// Its mock tools.
    #[serde(default, deserialize_with = "null_is_default")]
    pub mock_tools: Vec<Value>,
    /// Whether they are in use.
    #[serde(default, deserialize_with = "null_is_default")]
    pub mock_tools_enabled: bool,
    /// Who serves them; nobody here.
    #[serde(default)]
    pub mock_tools_provider: Option<String>,
    /// Variables the agent takes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub dynamic_variables: Vec<Value>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Every other field.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An agent's line (`AgentTelephony`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Telephony {
    /// The number it calls from, E.164; empty if unset.
    #[serde(default, deserialize_with = "null_is_default")]
    pub phone_number: String,
    /// Whether it takes calls instead of making them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub inbound: bool,
    /// Its SIP address.
    #[serde(default)]
    pub sip_uri: Option<String>,
    /// The credentials for it, masked.
    #[serde(default)]
    pub sip_auth: Option<Value>,
    /// Its WebSocket.
    #[serde(default)]
    pub websocket_url: Option<String>,
    /// The credentials for it, masked.
    #[serde(default)]
    pub websocket_auth: Option<Value>,
    /// Numbers it may call from; `phone_number` counts if this is empty.
    #[serde(default, deserialize_with = "null_is_default")]
    pub outbound_numbers: Vec<String>,
}

/// Where an agent runs (`AgentProvider`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provider {
    /// The provider, for example `vapi`; empty if unset.
    #[serde(default, rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// The agent's id there.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// What is stored of its credentials; secrets are masked.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// How it chats.
    #[serde(default)]
    pub chat_agent_details: Option<Chat>,
    /// The provider of its chat; empty if unset.
    #[serde(default, deserialize_with = "null_is_default")]
    pub chat_provider: String,
    /// Whether it is asked to call when runs are triggered.
    #[serde(default)]
    pub auto_dial_outbound: Option<bool>,
    /// Whether its calls are to be imported.
    #[serde(default)]
    pub auto_import_calls: Option<bool>,
    /// Whether its description is to follow the provider's.
    #[serde(default)]
    pub auto_sync_prompt: Option<bool>,
    /// Whether it is told about conversations.
    #[serde(default)]
    pub send_post_conversation_metadata: Option<bool>,
    /// What is to be taken out of transcripts.
    #[serde(default)]
    pub redact_fields: Option<Vec<String>>,
}

/// A provider's credentials (`AgentCredentials`). The key is written and never shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Credentials {
    /// Whether a key is stored; an addition to the reference.
    #[serde(default, deserialize_with = "null_is_default")]
    pub api_key_configured: bool,
    /// What else the provider wants, secrets masked.
    #[serde(default)]
    pub config: Option<Value>,
}

/// How an agent chats (`ChatAgentDetails`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// The provider of its chat.
    #[serde(default, rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// What that provider wants, secrets masked.
    #[serde(default)]
    pub config: Option<Value>,
}
