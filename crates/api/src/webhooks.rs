//! Outgoing webhooks and what came of them, under `/ringdown/v1/webhooks/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An outgoing webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// Its id, sent as `X-Ringdown-Event-Id` with every try.
    pub id: i64,
    /// Its project.
    pub project_id: i64,
    /// `result.completed`, `result.pre_trigger` or `test`.
    pub kind: String,
    /// The result it tells about.
    pub result_id: Option<i64>,
    /// `due`, `delivered`, `failed` or `skipped`.
    pub state: String,
    /// Where it was sent last, without the query.
    pub url: String,
    /// Tries so far; a replay starts again.
    pub tries: u32,
    /// When it is tried next, RFC 3339; null if it is not.
    pub next_try_at: Option<String>,
    /// When it came to be, RFC 3339.
    pub created_at: String,
    /// When it last changed, RFC 3339.
    pub updated_at: String,
}

/// An outgoing webhook with what it says and every try to say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookDetail {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The body, the same in every try; null until it is put together.
    pub body: serde_json::Value,
    /// Every try, oldest first.
    pub attempts: Vec<WebhookTry>,
}

/// One try to deliver a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookTry {
    /// When it began, RFC 3339.
    pub at: String,
    /// Where it went, without the query.
    pub url: String,
    /// What the target answered; null if it did not.
    pub status: Option<u16>,
    /// Why it did not arrive; empty if it did.
    pub error: String,
    /// The beginning of the answer, without secrets.
    pub answer: String,
    /// How long it took.
    pub duration_ms: u64,
}
