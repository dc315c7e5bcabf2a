//! Organisations, projects and keys: those of the reference service, and our own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::null_is_default;

/// An organisation (`Organization`). Settings this product does not act on are kept in `other`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Organization {
    /// Its id.
    pub id: i64,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Parallel-call limit; 2147483647 is unlimited.
    #[serde(default, deserialize_with = "null_is_default")]
    pub max_concurrent_runs_limit: i64,
    /// Dial window of new projects, seconds.
    #[serde(default, deserialize_with = "null_is_default")]
    pub outbound_timeout: i64,
    /// Longest call of new projects, seconds.
    #[serde(default, deserialize_with = "null_is_default")]
    pub max_call_duration: i64,
    /// Nobody: access is by API key.
    #[serde(default, deserialize_with = "null_is_default")]
    pub members: Vec<Value>,
    /// Its projects in short.
    #[serde(default, deserialize_with = "null_is_default")]
    pub projects: Vec<Brief>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Every other field. A `*_configured` field is `true` as text, or an empty text.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An organisation or project in short (`OrganizationInline`, `ProjectInline`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Brief {
    /// Its id.
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Nobody: access is by API key.
    #[serde(default, deserialize_with = "null_is_default")]
    pub members: Vec<Value>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
}

/// A project (`Project`). Settings this product does not act on are kept in `other`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Its id.
    pub id: i64,
    /// Its name, at most 255 characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Its organisation in short.
    #[serde(default)]
    pub organization: Brief,
    /// Length of the dial window in seconds, 1 to 300.
    #[serde(default, deserialize_with = "null_is_default")]
    pub outbound_timeout: i64,
    /// Longest call in seconds, 10 to 3600.
    #[serde(default, deserialize_with = "null_is_default")]
    pub max_call_duration: i64,
    /// Where its webhooks go; empty: nowhere.
    #[serde(default, deserialize_with = "null_is_default")]
    pub webhook_url: String,
    /// Nobody: access is by API key.
    #[serde(default, deserialize_with = "null_is_default")]
    pub members: Vec<Value>,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub updated_at: String,
    /// Every other field. A `*_configured` field is `true` as text, or an empty text.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An API key (`UserAPIKey`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserApiKey {
    /// Its id.
    pub id: i64,
    /// What it is for.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Its organisation's name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub organization_name: String,
    /// The project it is bound to; null: the whole organisation.
    #[serde(default)]
    pub project: Option<i64>,
    /// That project's name; empty if there is none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub project_name: String,
    /// The key in the answer that creates it, its last characters after that.
    #[serde(default, deserialize_with = "null_is_default")]
    pub key: String,
    /// When it was created, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created_at: String,
}

/// An API key, as `keys/` shows it (our own).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// Its id.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What it allows: `viewer`, `editor` or `admin`.
    pub role: String,
    /// The project it is bound to; null: the whole organisation.
    pub project_id: Option<i64>,
    /// Whether it administers the deployment.
    pub operator: bool,
    /// Its last characters; empty for keys that were made with their organisation.
    pub hint: String,
    /// Requests it may make per minute; null: the deployment's default.
    pub rate_per_minute: Option<u32>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it was last used, to about a minute, RFC 3339.
    pub last_used_at: Option<String>,
    /// When it stops working, RFC 3339; null: never.
    pub expires_at: Option<String>,
    /// The key itself, only in the answer that creates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Body of `POST keys/` (our own).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for, at most 255 characters.
    pub name: String,
    /// What it allows: `viewer`, `editor` or `admin`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The project to bind it to; absent: the whole organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,
    /// Requests it may make per minute, 1 to 1000000; absent: the deployment's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// When it stops working, RFC 3339; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A line of the audit log (our own).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Position in the log.
    pub id: i64,
    /// When, RFC 3339.
    pub at: String,
    /// What the request is called in its answer's `X-Request-Id`.
    pub request_id: String,
    /// The key that was used.
    pub key_id: i64,
    /// Its name at that time.
    pub key_name: String,
    /// The project the key is bound to.
    pub project_id: Option<i64>,
    /// What was done, for example `DELETE /test_framework/v1/aiagents/{id}`.
    pub operation: String,
    /// To what: the path of the request.
    pub path: String,
    /// Address the request came from, if known.
    pub source: String,
}
