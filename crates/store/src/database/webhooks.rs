use std::time::Duration;

use async_trait::async_trait;
use ringdown_domain::{OrganisationId, ProjectId, ResultId, Timestamp, WebhookEventId};

use super::Database;
use super::rows::{
    Count, changed, corrupt, from_millis, millis, not_found, page, unsigned, within,
};
use crate::sql::{Row, Session, sql};
use crate::{
    Listing, Page, Result, Run, Scope, WebhookEvent, WebhookFilter, WebhookKind, WebhookOutcome,
    WebhookState, WebhookTry, Webhooks,
};

fn event(row: &Row) -> Result<WebhookEvent> {
    let (kind, state): (&str, &str) = (row.get("kind")?, row.get("state")?);
    let unknown =
        |what: &str, text: &str| corrupt("webhook", format!("{what} {text:?} is not known"));
    Ok(WebhookEvent {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.id("project_id")?,
        kind: WebhookKind::parse(kind).ok_or_else(|| unknown("kind", kind))?,
        result: row.maybe_id("result_id")?,
        state: WebhookState::parse(state).ok_or_else(|| unknown("state", state))?,
        url: row.get("url")?,
        body: row.get("body")?,
        tries: unsigned("webhook", row.get("tries")?)?,
        next_try_at: row
            .get::<Option<i64>>("next_try_at")?
            .map(Timestamp::from_micros),
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

/// Adds an event that is due at once, inside the transaction that it tells about.
pub(super) async fn insert(
    on: &mut Session,
    org: OrganisationId,
    project: ProjectId,
    kind: WebhookKind,
    result: Option<ResultId>,
    body: &str,
    now: Timestamp,
) -> Result<WebhookEvent> {
    insert_due_at(on, org, project, kind, result, body, now, now).await
}

/// Adds an event that is due at `due`.
#[expect(clippy::too_many_arguments, reason = "each is a column of the row")]
async fn insert_due_at(
    on: &mut Session,
    org: OrganisationId,
    project: ProjectId,
    kind: WebhookKind,
    result: Option<ResultId>,
    body: &str,
    due: Timestamp,
    now: Timestamp,
) -> Result<WebhookEvent> {
    let row = sql(
        "INSERT INTO webhook_events (org_id, project_id, kind, result_id, state, body, next_try_at, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, 'due', $5, $6, $7, $7) RETURNING *",
    )
    .bind(org.0)
    .bind(project.0)
    .bind(kind.as_str())
    .bind(result.map(|id| id.0))
    .bind(body)
    .bind(due)
    .bind(now)
    .one(on)
    .await?;
    event(&row)
}

/// Adds an event about a run's batch, if the project has anywhere to send it.
pub(super) async fn insert_if_wanted(
    on: &mut Session,
    run: &Run,
    kind: WebhookKind,
    now: Timestamp,
) -> Result<()> {
    let wanted = sql("SELECT 1 FROM projects WHERE id = $1 AND webhook_url IS NOT NULL")
        .bind(run.project.0)
        .optional(on)
        .await?;
    if wanted.is_some() {
        insert(on, run.org, run.project, kind, Some(run.result), "", now).await?;
    }
    Ok(())
}

#[async_trait]
impl Webhooks for Database {
    async fn take_webhooks_fairly(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
        share: u32,
        except: &[(ProjectId, WebhookKind)],
    ) -> Result<Vec<WebhookEvent>> {
        let mut tx = self.write().await?;
        // Two statements: one that updates what a limited SELECT finds says nothing about their order,
        // and PostgreSQL may look for them more than once.
        let mut query = sql(
            "SELECT * FROM webhook_events WHERE next_try_at <= $1 AND id IN (SELECT id FROM \
             (SELECT id, row_number() OVER (PARTITION BY project_id, kind \
             ORDER BY next_try_at, id) AS place FROM (SELECT id, project_id, kind, next_try_at \
             FROM webhook_events WHERE next_try_at <= $1",
        )
        .bind(now);
        for (project, kind) in except {
            query.push(" AND NOT (project_id = ").push_bind(project.0);
            query.push(" AND kind = ").push_bind(kind.as_str());
            query.push(")");
        }
        // However much is due, a bounded part of it is looked at.
        query.push(" ORDER BY next_try_at, id LIMIT 10000) AS due) AS places WHERE place <= ");
        query.push_bind(share);
        query
            .push(") ORDER BY next_try_at, id LIMIT ")
            .push_bind(limit);
        query.either("", " FOR UPDATE SKIP LOCKED");
        let rows = query.all(&mut tx).await?;
        let mut events: Vec<WebhookEvent> = rows.iter().map(event).collect::<Result<_>>()?;
        if events.is_empty() {
            return Ok(events);
        }
        let mut update = sql("UPDATE webhook_events SET next_try_at = $1 WHERE ").bind(until);
        update.one_of("id", events.iter().map(|event| event.id.0));
        update.run(&mut tx).await?;
        tx.commit().await?;
        for event in &mut events {
            event.next_try_at = Some(until);
        }
        Ok(events)
    }

    async fn next_webhook(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> =
            sql("SELECT min(next_try_at) FROM webhook_events WHERE next_try_at IS NOT NULL")
                .one(&mut self.read().await?)
                .await?
                .first()?;
        Ok(at.map(Timestamp::from_micros))
    }

    async fn webhook_tried(
        &self,
        id: WebhookEventId,
        outcome: WebhookOutcome,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let tried = outcome.attempt.as_ref();
        let rows = sql(
            "UPDATE webhook_events SET state = $1, next_try_at = $2, body = $3, \
             url = coalesce($4, url), tries = tries + $5, updated_at = $6 WHERE id = $7",
        )
        .bind(outcome.state.as_str())
        .bind(outcome.next_try_at)
        .bind(&outcome.body)
        .bind(tried.map(|tried| tried.url.as_str()))
        .bind(i64::from(tried.is_some()))
        .bind(now)
        .bind(id.0)
        .run(&mut tx)
        .await?;
        changed("webhook", id.0, rows)?;
        if let Some(tried) = tried {
            sql(
                "INSERT INTO webhook_tries (event_id, at, url, status, error, answer, duration_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(id.0)
            .bind(tried.at)
            .bind(&tried.url)
            .bind(tried.status)
            .bind(&tried.error)
            .bind(&tried.answer)
            .bind(millis(tried.duration))
            .run(&mut tx)
            .await?;
        }
        tx.commit().await
    }

    async fn add_webhook(
        &self,
        org: OrganisationId,
        project: ProjectId,
        kind: WebhookKind,
        result: Option<ResultId>,
        body: &str,
        now: Timestamp,
    ) -> Result<WebhookEvent> {
        let mut tx = self.write().await?;
        let added = insert(&mut tx, org, project, kind, result, body, now).await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn add_taken_webhook(
        &self,
        org: OrganisationId,
        project: ProjectId,
        kind: WebhookKind,
        result: Option<ResultId>,
        body: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<WebhookEvent> {
        let mut tx = self.write().await?;
        let added = insert_due_at(&mut tx, org, project, kind, result, body, until, now).await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn webhooks(
        &self,
        scope: Scope,
        filter: WebhookFilter,
        wanted: Page,
    ) -> Result<Listing<WebhookEvent>> {
        page(
            &mut self.read().await?,
            "*",
            " ORDER BY id DESC",
            wanted,
            Count::AtMost,
            |query| {
                query.push(" FROM webhook_events WHERE ");
                within(query, "", scope);
                if let Some(project) = filter.project {
                    query.push(" AND project_id = ").push_bind(project.0);
                }
                if let Some(kind) = filter.kind {
                    query.push(" AND kind = ").push_bind(kind.as_str());
                }
                if let Some(state) = filter.state {
                    query.push(" AND state = ").push_bind(state.as_str());
                }
                if let Some(result) = filter.result {
                    query.push(" AND result_id = ").push_bind(result.0);
                }
            },
            event,
        )
        .await
    }

    async fn webhook(
        &self,
        scope: Scope,
        id: WebhookEventId,
    ) -> Result<(WebhookEvent, Vec<WebhookTry>)> {
        let mut on = self.read().await?;
        let mut query = sql("SELECT * FROM webhook_events WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let row = query.optional(&mut on).await?;
        let found = event(&row.ok_or_else(|| not_found("webhook", id))?)?;
        let rows = sql("SELECT * FROM webhook_tries WHERE event_id = $1 ORDER BY id LIMIT 1000")
            .bind(id.0)
            .all(&mut on)
            .await?;
        let tries = rows.iter().map(|row| {
            let status: Option<i64> = row.get("status")?;
            let duration: Duration = from_millis(row.get("duration_ms")?);
            Ok(WebhookTry {
                at: Timestamp::from_micros(row.get("at")?),
                url: row.get("url")?,
                status: status.and_then(|status| u16::try_from(status).ok()),
                error: row.get("error")?,
                answer: row.get("answer")?,
                duration,
            })
        });
        Ok((found, tries.collect::<Result<_>>()?))
    }

    async fn replay_webhook(
        &self,
        scope: Scope,
        id: WebhookEventId,
        now: Timestamp,
    ) -> Result<WebhookEvent> {
        let mut tx = self.write().await?;
        let mut query = sql(
            "UPDATE webhook_events SET state = 'due', tries = 0, next_try_at = $1, updated_at = $1 \
             WHERE id = $2 AND ",
        )
        .bind(now)
        .bind(id.0);
        within(&mut query, "", scope);
        query.push(" RETURNING *");
        let row = query.optional(&mut tx).await?;
        let replayed = event(&row.ok_or_else(|| not_found("webhook", id))?)?;
        tx.commit().await?;
        Ok(replayed)
    }
}
