use async_trait::async_trait;
use ringdown_domain::{OrganisationId, ProjectId, ResultId, Timestamp, WebhookEventId};

use crate::{
    Listing, Page, Result, Scope, WebhookEvent, WebhookFilter, WebhookKind, WebhookOutcome,
    WebhookTry,
};

/// Outgoing webhooks: events written with what they tell about, and every try to tell them.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Takes events that are due, most overdue first, and sets their next try to `until`: if this
    /// process dies, another tries then.
    async fn take_webhooks(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<WebhookEvent>> {
        self.take_webhooks_fairly(now, until, limit, limit, &[])
            .await
    }
    /// The same, but at most `share` of any project and kind, and none of those in `except`.
    async fn take_webhooks_fairly(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
        share: u32,
        except: &[(ProjectId, WebhookKind)],
    ) -> Result<Vec<WebhookEvent>>;
    /// When the next event is due.
    async fn next_webhook(&self) -> Result<Option<Timestamp>>;
    /// Writes down a try and what follows from it.
    async fn webhook_tried(
        &self,
        id: WebhookEventId,
        outcome: WebhookOutcome,
        now: Timestamp,
    ) -> Result<()>;
    /// Adds an event that is due at once.
    async fn add_webhook(
        &self,
        org: OrganisationId,
        project: ProjectId,
        kind: WebhookKind,
        result: Option<ResultId>,
        body: &str,
        now: Timestamp,
    ) -> Result<WebhookEvent>;
    /// Adds an event that the caller tries at once by itself; others may at `until`.
    #[allow(clippy::too_many_arguments)]
    async fn add_taken_webhook(
        &self,
        org: OrganisationId,
        project: ProjectId,
        kind: WebhookKind,
        result: Option<ResultId>,
        body: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<WebhookEvent>;
    /// Events, newest first. `count` stops at 10,000.
    async fn webhooks(
        &self,
        scope: Scope,
        filter: WebhookFilter,
        page: Page,
    ) -> Result<Listing<WebhookEvent>>;
    /// One event with its tries, oldest first.
    async fn webhook(
        &self,
        scope: Scope,
        id: WebhookEventId,
    ) -> Result<(WebhookEvent, Vec<WebhookTry>)>;
    /// Makes an event due again, with the same id and body.
    async fn replay_webhook(
        &self,
        scope: Scope,
        id: WebhookEventId,
        now: Timestamp,
    ) -> Result<WebhookEvent>;
}
