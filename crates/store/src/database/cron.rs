use async_trait::async_trait;
use ringdown_domain::{AgentId, CronJobId, ProjectId, Timestamp};

use super::Database;
use super::rows::{changed, from_json, not_found, own_agent, own_project, to_json, within};
use crate::sql::{Row, Session, sql};
use crate::{CronJob, Firing, NewCronJob, Result, Schedules, Scope};

fn cron_job(row: &Row) -> Result<CronJob> {
    let moment = |column: &str| -> Result<Option<Timestamp>> {
        Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    };
    Ok(CronJob {
        id: row.id("id")?,
        job: NewCronJob {
            org: row.id("org_id")?,
            project: row.id("project_id")?,
            agent: row.maybe_id("agent_id")?,
            name: row.get("name")?,
            expression: row.get("expression")?,
            timezone: row.get("timezone")?,
            is_active: row.get("is_active")?,
            extra: from_json("cron job", row.get("body")?)?,
            next_run_at: moment("next_run_at")?,
            created_by: row.maybe_id("created_by")?,
        },
        last_run_at: moment("last_run_at")?,
        last_outcome: row.get("last_outcome")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    })
}

#[async_trait]
impl Schedules for Database {
    async fn create_cron_job(&self, new: NewCronJob, now: Timestamp) -> Result<CronJob> {
        let mut tx = self.write().await?;
        own_project(&mut tx, new.org, Some(new.project)).await?;
        own_agent(&mut tx, new.org, new.agent).await?;
        let row = sql(
            "INSERT INTO cron_jobs (org_id, project_id, agent_id, name, expression, timezone, \
             is_active, body, next_run_at, created_by, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING *",
        )
        .bind(new.org.0)
        .bind(new.project.0)
        .bind(new.agent.map(|agent| agent.0))
        .bind(&new.name)
        .bind(&new.expression)
        .bind(&new.timezone)
        .bind(new.is_active)
        .bind(to_json("cron job", &new.extra)?)
        .bind(new.next_run_at)
        .bind(new.created_by.map(|key| key.0))
        .bind(now)
        .one(&mut tx)
        .await?;
        tx.commit().await?;
        cron_job(&row)
    }

    async fn cron_job(&self, scope: Scope, id: CronJobId) -> Result<CronJob> {
        let mut query = sql("SELECT * FROM cron_jobs WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let row = query.optional(&mut self.read().await?).await?;
        cron_job(&row.ok_or_else(|| not_found("cron job", id))?)
    }

    async fn cron_jobs(
        &self,
        scope: Scope,
        project: Option<ProjectId>,
        agent: Option<AgentId>,
    ) -> Result<Vec<CronJob>> {
        let mut query = sql("SELECT * FROM cron_jobs WHERE ");
        within(&mut query, "", scope);
        if let Some(project) = project {
            query.push(" AND project_id = ").push_bind(project.0);
        }
        if let Some(agent) = agent {
            query.push(" AND agent_id = ").push_bind(agent.0);
        }
        query.push(" ORDER BY id LIMIT 10000");
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(cron_job).collect()
    }

    async fn update_cron_job(&self, id: CronJobId, job: NewCronJob, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        own_project(&mut tx, job.org, Some(job.project)).await?;
        own_agent(&mut tx, job.org, job.agent).await?;
        let rows = sql(
            "UPDATE cron_jobs SET project_id = $1, agent_id = $2, name = $3, expression = $4, \
             timezone = $5, is_active = $6, body = $7, next_run_at = $8, updated_at = $9 \
             WHERE org_id = $10 AND id = $11",
        )
        .bind(job.project.0)
        .bind(job.agent.map(|agent| agent.0))
        .bind(&job.name)
        .bind(&job.expression)
        .bind(&job.timezone)
        .bind(job.is_active)
        .bind(to_json("cron job", &job.extra)?)
        .bind(job.next_run_at)
        .bind(now)
        .bind(job.org.0)
        .bind(id.0)
        .run(&mut tx)
        .await?;
        changed("cron job", id.0, rows)?;
        tx.commit().await
    }

    async fn delete_cron_job(&self, scope: Scope, id: CronJobId) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query = sql("DELETE FROM cron_jobs WHERE id = $1 AND ").bind(id.0);
        within(&mut query, "", scope);
        let rows = query.run(&mut tx).await?;
        changed("cron job", id.0, rows)?;
        tx.commit().await
    }

    async fn due_cron_jobs(&self, now: Timestamp, limit: u32) -> Result<Vec<CronJob>> {
        let rows = sql(
            "SELECT * FROM cron_jobs WHERE next_run_at <= $1 ORDER BY next_run_at, id LIMIT $2",
        )
        .bind(now)
        .bind(limit)
        .all(&mut self.read().await?)
        .await?;
        rows.iter().map(cron_job).collect()
    }

    async fn next_cron_job(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> =
            sql("SELECT min(next_run_at) FROM cron_jobs WHERE next_run_at IS NOT NULL")
                .one(&mut self.read().await?)
                .await?
                .first()?;
        Ok(at.map(Timestamp::from_micros))
    }

    async fn skip_cron_job(&self, firing: Firing, outcome: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.write().await?;
        let moved = move_on(&mut tx, firing, outcome, now).await?;
        tx.commit().await?;
        Ok(moved)
    }
}

/// Moves a job on to its next time. False if it did not stand at the due time.
pub(super) async fn move_on(
    on: &mut Session,
    firing: Firing,
    outcome: &str,
    now: Timestamp,
) -> Result<bool> {
    let rows = sql(
        "UPDATE cron_jobs SET next_run_at = $1, last_run_at = $2, last_outcome = $3 \
         WHERE id = $4 AND next_run_at = $5",
    )
    .bind(firing.next)
    .bind(now)
    .bind(outcome)
    .bind(firing.job.0)
    .bind(firing.due)
    .run(on)
    .await?;
    Ok(rows > 0)
}
