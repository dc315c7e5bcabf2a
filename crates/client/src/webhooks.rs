use reqwest::Method;
use ringdown_api::Page;
use ringdown_api::webhooks::{Webhook, WebhookDetail};
use serde_json::json;

use crate::client::Client;
use crate::error::Error;

/// Which outgoing webhooks to read.
#[derive(Clone, Debug, Default)]
pub struct WebhookQuery {
    /// Only of this project.
    pub project: Option<i64>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only in this state.
    pub state: Option<String>,
    /// Only about this result.
    pub result: Option<i64>,
    /// Page, from 1.
    pub page: u32,
    /// Rows per page.
    pub page_size: u32,
}

const WEBHOOKS: &str = "ringdown/v1/webhooks";

impl Client {
    /// One page of outgoing webhooks, newest first.
    ///
    /// # Errors
    /// See [`Error`]; so for every method.
    pub async fn webhooks(&self, query: &WebhookQuery) -> Result<Page<Webhook>, Error> {
        let mut path = format!(
            "{WEBHOOKS}/?page={}&page_size={}",
            query.page.max(1),
            query.page_size.clamp(1, 500)
        );
        for (name, id) in [("project_id", query.project), ("result_id", query.result)] {
            if let Some(id) = id {
                path.push_str(&format!("&{name}={id}"));
            }
        }
        for (name, value) in [("kind", &query.kind), ("state", &query.state)] {
            if let Some(value) = value {
                let value: String =
                    url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                path.push_str(&format!("&{name}={value}"));
            }
        }
        self.get(&path).await
    }

    /// One outgoing webhook with every try.
    pub async fn webhook(&self, id: i64) -> Result<WebhookDetail, Error> {
        self.get(&format!("{WEBHOOKS}/{id}/")).await
    }

    /// Sends a webhook again, with the same id and body.
    pub async fn replay_webhook(&self, id: i64) -> Result<Webhook, Error> {
        let path = format!("{WEBHOOKS}/{id}/replay/");
        self.send(Method::POST, &path, &json!({})).await
    }

    /// Sends a test to a project's target, once, and says what came of it.
    pub async fn test_webhook(&self, project: i64) -> Result<WebhookDetail, Error> {
        let path = format!("ringdown/v1/projects/{project}/test-webhook/");
        self.send(Method::POST, &path, &json!({})).await
    }
}
