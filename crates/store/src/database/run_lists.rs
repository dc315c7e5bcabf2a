use std::collections::HashMap;

use async_trait::async_trait;
use ringdown_domain::{OrganisationId, ResultId, RunId, ScenarioId, Timestamp};

use super::rows::{
    Count, RUN, RUN_FROM, count, in_state, millis, not_found, page, run, status, window, within,
};
use super::{Database, batches, trigger};
use crate::sql::{Session, Sql, sql};
use crate::{
    Batch, BatchFilter, Listing, NewBatch, Page, Repeated, Result, Run, RunFilter, RunProgress,
    Runs, Scope, TriggeredRun, UsedTemplate,
};

/// Adds that a run is one of these and in the scope. The plus keeps both databases from searching the runs
/// of the whole scope for them.
fn by_id(query: &mut Sql, scope: Scope, ids: &[RunId]) {
    query
        .one_of("r.id", ids.iter().map(|id| id.0))
        .push(" AND ");
    within(query, "+r.", scope);
}

/// Adds what a filter asks for of the columns of `runs`, aliased `r`, alone: many runs are gone through,
/// and joining each with its batch would take longer than everything else.
fn filtered(query: &mut Sql, scope: Scope, filter: &RunFilter) {
    query.push(" WHERE ");
    within(query, "r.", scope);
    if let Some(result) = filter.result {
        query.push(" AND r.result_id = ").push_bind(result.0);
    }
    if let Some(project) = filter.project {
        query.push(" AND r.project_id = ").push_bind(project.0);
    }
    let mut any_of = |column, ids: Vec<i64>| {
        if !ids.is_empty() {
            query.push(" AND ").one_of(column, ids);
        }
    };
    any_of("r.agent_id", filter.agents.iter().map(|id| id.0).collect());
    any_of("r.id", filter.ids.iter().map(|id| id.0).collect());
    any_of(
        "r.scenario_id",
        filter.scenarios.iter().map(|id| id.0).collect(),
    );
    if !filter.personalities.is_empty() {
        query.push(" AND r.template_id IN (SELECT id FROM run_templates WHERE ");
        query.one_of("personality_id", filter.personalities.iter().map(|id| id.0));
        query.push(")");
    }
    if !filter.statuses.is_empty() {
        query.push(" AND ");
        in_state(query, "r.status", &filter.statuses);
    }
    if !filter.ended_reasons.is_empty() {
        query.push(" AND ");
        query.one_of("r.ended_reason", filter.ended_reasons.iter().cloned());
    }
    let mut compare = |text: &'static str, value: Option<i64>| {
        if let Some(value) = value {
            query.push(text).push_bind(value);
        }
    };
    compare(
        " AND r.created_at >= ",
        filter.created_from.map(Timestamp::as_micros),
    );
    compare(
        " AND r.created_at <= ",
        filter.created_to.map(Timestamp::as_micros),
    );
    compare(" AND r.duration_ms >= ", filter.min_duration.map(millis));
    compare(" AND r.duration_ms <= ", filter.max_duration.map(millis));
    if let Some(success) = filter.success {
        query.push(" AND r.success = ").push_bind(success);
    }
    if let Some(call) = &filter.call {
        query.push(" AND r.call_id = ").push_bind(call);
    }
    let mut has = |column, text: &Option<String>| {
        if let Some(text) = text {
            query.push(" AND ").text_has(column, text);
        }
    };
    has("CAST(r.id AS TEXT)", &filter.id_contains);
    has("r.call_id", &filter.call_contains);
    has("r.ended_reason", &filter.ended_reason_contains);
    if let Some(text) = &filter.search {
        searched(query, scope, text);
    }
    if !filter.tags.is_empty() {
        query.push(" AND EXISTS (SELECT 1 FROM scenarios s WHERE s.id = r.scenario_id AND ");
        query.list_has_any("s.tags", &filter.tags).push(")");
    }
}

/// Adds that a text is in what is joined to a run. The batches and templates that have it are looked up
/// first, of which there are far fewer than runs.
fn searched(query: &mut Sql, scope: Scope, text: &str) {
    query.push(" AND (r.result_id IN (SELECT b.id FROM batches b WHERE b.org_id = ");
    query.push_bind(scope.org.0).push(" AND (");
    query.text_has("b.name", text).push(" OR ");
    query.text_has("b.agent_name", text);
    query.push(
        ")) OR r.template_id IN (SELECT t.id FROM run_templates t \
         JOIN batches b ON b.id = t.result_id AND b.org_id = ",
    );
    query.push_bind(scope.org.0).push(" WHERE ");
    query.text_has("t.scenario_name", text).push(")");
    if text.chars().all(|c| c == '+' || c.is_ascii_digit()) {
        query.push(" OR ").text_has("r.number", text);
    }
    query.push(")");
}

/// How many runs a filter finds. It is known already if the filter names nothing but what batches and
/// totals are kept by.
async fn counted(on: &mut Session, scope: Scope, filter: &RunFilter) -> Result<Count> {
    let plain = RunFilter {
        result: filter.result,
        project: filter.project,
        agents: filter.agents.clone(),
        ..RunFilter::default()
    };
    if plain != *filter {
        let mut query = sql("SELECT count(*) FROM runs r");
        filtered(&mut query, scope, filter);
        query.push(" AND r.result_id NOT IN (SELECT id FROM batches WHERE state = 'staging')");
        return Ok(Count::Known(count("run", query.one(on).await?.first()?)?));
    }
    if let Some(result) = filter.result {
        return Ok(match batches::by_id(on, scope, result).await {
            Ok(batch)
                if (filter.agents.is_empty() || filter.agents.contains(&batch.agent))
                    && filter.project.is_none_or(|id| id == batch.project) =>
            {
                Count::Known(batch.counts.total)
            }
            Ok(_) | Err(crate::Error::NotFound { .. }) => Count::Known(0),
            Err(error) => return Err(error),
        });
    }
    let agents: Vec<i64> = filter.agents.iter().map(|agent| agent.0).collect();
    let project = filter.project.map(|project| project.0);
    let runs = batches::total(on, "runs", scope, project, &agents).await?;
    Ok(Count::Known(runs))
}

#[async_trait]
impl Runs for Database {
    async fn trigger(&self, batch: NewBatch, now: Timestamp) -> Result<(Batch, Vec<TriggeredRun>)> {
        trigger::trigger(self, batch, now).await
    }

    async fn repeated(&self, org: OrganisationId, key: &str) -> Result<Option<Repeated>> {
        let row = sql(
            "SELECT i.* FROM idempotency i JOIN batches b ON b.id = i.result_id \
             AND b.state <> 'staging' WHERE i.org_id = $1 AND i.key = $2",
        )
        .bind(org.0)
        .bind(key)
        .optional(&mut self.read().await?)
        .await?;
        row.map(|row| {
            let sha256: Vec<u8> = row.get("request_sha256")?;
            Ok(Repeated {
                result: row.id("result_id")?,
                request_sha256: sha256
                    .try_into()
                    .map_err(|_| super::rows::corrupt("idempotency key", "no SHA-256"))?,
                answer: row.get("answer")?,
            })
        })
        .transpose()
    }

    async fn keep_answer(&self, org: OrganisationId, key: &str, answer: &str) -> Result<()> {
        let mut tx = self.write().await?;
        sql("UPDATE idempotency SET answer = $1 WHERE org_id = $2 AND key = $3 AND answer IS NULL")
            .bind(answer)
            .bind(org.0)
            .bind(key)
            .run(&mut tx)
            .await?;
        tx.commit().await
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let mut tx = self.write().await?;
        let forgotten = sql(
            "DELETE FROM idempotency WHERE (org_id, key) IN (SELECT org_id, key FROM idempotency \
             WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        )
        .bind(before)
        .bind(limit)
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    async fn run(&self, scope: Scope, id: RunId) -> Result<Run> {
        let found = self.runs_by_id(scope, &[id]).await?.pop();
        found.ok_or_else(|| not_found("run", id))
    }

    async fn runs_by_id(&self, scope: Scope, ids: &[RunId]) -> Result<Vec<Run>> {
        let mut query = sql("SELECT ");
        query.push(RUN).push(RUN_FROM).push(" WHERE ");
        by_id(&mut query, scope, ids);
        let rows = query.all(&mut self.read().await?).await?;
        let runs: Vec<Run> = rows.iter().map(run).collect::<Result<_>>()?;
        let found: HashMap<RunId, &Run> = runs.iter().map(|run| (run.id, run)).collect();
        Ok(ids
            .iter()
            .filter_map(|id| found.get(id).copied().cloned())
            .collect())
    }

    async fn versions(&self, scope: Scope, ids: &[RunId]) -> Result<Vec<(RunId, u64)>> {
        // One row: drivers hand rows over one by one, which would cost more than the look-up.
        let mut query = sql("SELECT ");
        query.either(
            "json_group_array(json_array(id, version))",
            "coalesce(json_agg(json_build_array(id, version))::text, '[]')",
        );
        query.push(
            " AS versions FROM (SELECT r.id, r.version FROM runs r \
             JOIN batches b ON b.id = r.result_id AND b.state <> 'staging' WHERE ",
        );
        by_id(&mut query, scope, ids);
        query.push(") found");
        let row = query.one(&mut self.read().await?).await?;
        super::rows::from_json("run", row.get("versions")?)
    }

    async fn runs(&self, scope: Scope, filter: RunFilter, wanted: Page) -> Result<Listing<Run>> {
        let mut on = self.read().await?;
        let counting = counted(&mut on, scope, &filter).await?;
        page(
            &mut on,
            RUN,
            " ORDER BY r.id DESC",
            wanted,
            counting,
            |query| {
                query.push(RUN_FROM);
                filtered(query, scope, &filter);
            },
            run,
        )
        .await
    }

    async fn runs_of(
        &self,
        scope: Scope,
        batch: ResultId,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Run>> {
        let mut query = sql("SELECT ");
        query.push(RUN).push(RUN_FROM).push(" WHERE ");
        within(&mut query, "r.", scope);
        query.push(" AND r.result_id = ").push_bind(batch.0);
        query
            .push(" AND r.id > ")
            .push_bind(after.map_or(0, |id| id.0));
        query.push(" ORDER BY r.id LIMIT ").push_bind(limit);
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(run).collect()
    }

    async fn progress(&self, batch: ResultId) -> Result<Vec<RunProgress>> {
        let rows = sql(
            "SELECT id, status, opens_at, closes_at FROM runs WHERE result_id = $1 ORDER BY id",
        )
        .bind(batch.0)
        .all(&mut self.read().await?)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RunProgress {
                    id: row.id("id")?,
                    status: status(row.get("status")?)?,
                    window: window(row)?,
                })
            })
            .collect()
    }

    async fn batch(&self, scope: Scope, id: ResultId) -> Result<Batch> {
        batches::by_id(&mut self.read().await?, scope, id).await
    }

    async fn batches(
        &self,
        scope: Scope,
        filter: BatchFilter,
        wanted: Page,
    ) -> Result<Listing<Batch>> {
        batches::list(self, scope, filter, wanted).await
    }

    async fn batch_scenarios(
        &self,
        of: &[ResultId],
    ) -> Result<Vec<(ResultId, ScenarioId, String)>> {
        batches::scenarios(self, of).await
    }

    async fn batch_templates(&self, scope: Scope, id: ResultId) -> Result<Vec<UsedTemplate>> {
        batches::templates(self, scope, id).await
    }

    async fn rename_batch(&self, scope: Scope, id: ResultId, name: &str) -> Result<()> {
        batches::rename(self, scope, id, name).await
    }

    async fn add_share_link(
        &self,
        scope: Scope,
        batch: ResultId,
        token_sha256: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        batches::share(self, scope, batch, token_sha256, expires_at, now).await
    }

    async fn shared_batch(
        &self,
        token_sha256: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(OrganisationId, ResultId)>> {
        batches::shared(self, token_sha256, now).await
    }
}
