use ringdown_domain::{OrganisationId, ResultId, ScenarioId, Timestamp};

use super::Database;
use super::counts::{COUNTS, counts};
use super::rows::{
    Count, changed, corrupt, count, from_json, limit, not_found, page, unsigned, within,
};
use super::transitions::lock_batches;
use crate::sql::{Row, Session, Sql, sql};
use crate::{Batch, BatchFilter, Listing, Page, Result, Scope, UsedTemplate};

const BATCH: &str = "b.id, b.org_id, b.project_id, b.agent_id, b.agent_name, b.name, \
    b.concurrency_limit, b.priority, b.settings, b.state, b.cron_job_id, b.created_at, ";
const BATCH_FROM: &str =
    " FROM batches b JOIN batch_counts c ON c.result_id = b.id WHERE b.state <> 'staging' AND ";

fn batch(row: &Row) -> Result<Batch> {
    Ok(Batch {
        id: row.id("id")?,
        org: row.id("org_id")?,
        project: row.id("project_id")?,
        agent: row.id("agent_id")?,
        agent_name: row.get("agent_name")?,
        name: row.get("name")?,
        concurrency_limit: limit("batch", row.get("concurrency_limit")?)?,
        priority: i32::try_from(row.get::<i64>("priority")?)
            .map_err(|error| corrupt("batch", error))?,
        settings: from_json("batch", row.get("settings")?)?,
        gated: row.get::<&str>("state")? == "gated",
        cron_job: row.maybe_id("cron_job_id")?,
        counts: counts(row)?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

fn select() -> Sql {
    let mut query = sql("SELECT ");
    query.push(BATCH).push(COUNTS).push(BATCH_FROM);
    query
}

/// Reads a batch, whoever owns it.
pub(super) async fn load(on: &mut Session, id: ResultId) -> Result<Batch> {
    let mut query = select();
    query.push("b.id = ").push_bind(id.0);
    let row = query.optional(on).await?;
    batch(&row.ok_or_else(|| not_found("result", id))?)
}

pub(super) async fn by_id(on: &mut Session, scope: Scope, id: ResultId) -> Result<Batch> {
    let mut query = select();
    query.push("b.id = ").push_bind(id.0).push(" AND ");
    within(&mut query, "b.", scope);
    let row = query.optional(on).await?;
    batch(&row.ok_or_else(|| not_found("result", id))?)
}

/// A column of `totals`, summed over what a filter names.
pub(super) async fn total(
    on: &mut Session,
    column: &'static str,
    scope: Scope,
    project: Option<i64>,
    agents: &[i64],
) -> Result<u64> {
    let mut query = sql("SELECT coalesce(CAST(sum(");
    query
        .push(column)
        .push(") AS BIGINT), 0) FROM totals WHERE ");
    within(&mut query, "", scope);
    if let Some(project) = project {
        query.push(" AND project_id = ").push_bind(project);
    }
    if !agents.is_empty() {
        query
            .push(" AND ")
            .one_of("agent_id", agents.iter().copied());
    }
    count("total", query.one(on).await?.first()?)
}

pub(super) async fn list(
    db: &Database,
    scope: Scope,
    filter: BatchFilter,
    wanted: Page,
) -> Result<Listing<Batch>> {
    let mut on = db.read().await?;
    let counting = if filter.search.is_none() && filter.scenarios.is_empty() {
        let agents: Vec<i64> = filter.agent.iter().map(|agent| agent.0).collect();
        let project = filter.project.map(|project| project.0);
        Count::Known(total(&mut on, "results", scope, project, &agents).await?)
    } else {
        Count::Exactly
    };
    let columns: &'static str = "b.id, b.org_id, b.project_id, b.agent_id, b.agent_name, b.name, \
        b.concurrency_limit, b.settings, b.state, b.cron_job_id, b.created_at, c.*";
    page(
        &mut on,
        columns,
        " ORDER BY b.id DESC",
        wanted,
        counting,
        |query| {
            query.push(BATCH_FROM);
            within(query, "b.", scope);
            if let Some(agent) = filter.agent {
                query.push(" AND b.agent_id = ").push_bind(agent.0);
            }
            if let Some(project) = filter.project {
                query.push(" AND b.project_id = ").push_bind(project.0);
            }
            if let Some(text) = &filter.search {
                query.push(" AND ").text_has("b.name", text);
            }
            if !filter.scenarios.is_empty() {
                query.push(
                    " AND EXISTS (SELECT 1 FROM run_templates t WHERE t.result_id = b.id AND ",
                );
                query.one_of("t.scenario_id", filter.scenarios.iter().map(|id| id.0));
                query.push(")");
            }
        },
        batch,
    )
    .await
}

pub(super) async fn scenarios(
    db: &Database,
    batches: &[ResultId],
) -> Result<Vec<(ResultId, ScenarioId, String)>> {
    let mut query =
        sql("SELECT DISTINCT result_id, scenario_id, scenario_name FROM run_templates WHERE ");
    query.one_of("result_id", batches.iter().map(|id| id.0));
    query.push(" ORDER BY result_id, scenario_id");
    let rows = query.all(&mut db.read().await?).await?;
    rows.iter()
        .map(|row| {
            Ok((
                row.id("result_id")?,
                row.id("scenario_id")?,
                row.get("scenario_name")?,
            ))
        })
        .collect()
}

pub(super) async fn templates(
    db: &Database,
    scope: Scope,
    id: ResultId,
) -> Result<Vec<UsedTemplate>> {
    let mut on = db.read().await?;
    by_id(&mut on, scope, id).await?;
    let mut query = sql("SELECT t.scenario_id, t.personality_id, ");
    query.either(
        "json_extract(t.test_profile, '$.id')",
        "(t.test_profile::jsonb ->> 'id')::bigint",
    );
    query.push(
        " AS profile_id, count(*) AS used FROM run_templates t JOIN runs r \
         ON r.result_id = t.result_id AND r.template_id = t.id WHERE t.result_id = ",
    );
    query.push_bind(id.0).push(" GROUP BY t.id ORDER BY t.id");
    let rows = query.all(&mut on).await?;
    rows.iter()
        .map(|row| {
            Ok(UsedTemplate {
                scenario: row.id("scenario_id")?,
                personality: row.maybe_id("personality_id")?,
                test_profile: row.maybe_id("profile_id")?,
                runs: unsigned("run", row.get("used")?)?,
            })
        })
        .collect()
}

pub(super) async fn rename(db: &Database, scope: Scope, id: ResultId, name: &str) -> Result<()> {
    let mut tx = db.write().await?;
    lock_batches(&mut tx, [id]).await?;
    let mut query = sql("UPDATE batches SET name = $1 WHERE state <> 'staging' AND id = $2 AND ")
        .bind(name)
        .bind(id.0);
    within(&mut query, "", scope);
    let rows = query.run(&mut tx).await?;
    changed("result", id.0, rows)?;
    // Runs show the name too.
    sql("UPDATE runs SET version = version + 1 WHERE result_id = $1")
        .bind(id.0)
        .run(&mut tx)
        .await?;
    tx.commit().await
}

pub(super) async fn share(
    db: &Database,
    scope: Scope,
    id: ResultId,
    token_sha256: [u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let mut tx = db.write().await?;
    by_id(&mut tx, scope, id).await?;
    sql("DELETE FROM share_links WHERE expires_at <= $1")
        .bind(now)
        .run(&mut tx)
        .await?;
    sql(
        "INSERT INTO share_links (token_sha256, org_id, result_id, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(token_sha256.as_slice())
    .bind(scope.org.0)
    .bind(id.0)
    .bind(expires_at)
    .bind(now)
    .run(&mut tx)
    .await?;
    tx.commit().await
}

pub(super) async fn shared(
    db: &Database,
    token_sha256: [u8; 32],
    now: Timestamp,
) -> Result<Option<(OrganisationId, ResultId)>> {
    let row = sql(
        "SELECT org_id, result_id FROM share_links WHERE token_sha256 = $1 AND expires_at > $2",
    )
    .bind(token_sha256.as_slice())
    .bind(now)
    .optional(&mut db.read().await?)
    .await?;
    row.map(|row| Ok((row.id("org_id")?, row.id("result_id")?)))
        .transpose()
}
