use async_trait::async_trait;
use ringdown_domain::{ResultId, RunId, Timestamp};

use super::rows::{count, not_found};
use super::transitions::{load, load_locked, lock_batches};
use super::{Database, batches, trigger};
use crate::sql::{Session, sql};
use crate::{Error, Expired, Result, Retention, Run, Scope};

/// Deletes an ended run inside a transaction, with everything that speaks of it.
async fn delete(on: &mut Session, run: &Run, now: Timestamp) -> Result<()> {
    if let Some(recording) = &run.recording {
        sql("INSERT INTO artefacts_to_delete (key, since) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(recording)
            .bind(now)
            .run(on)
            .await?;
    }
    for statement in [
        "DELETE FROM outbox WHERE run_id = $1",
        "DELETE FROM attempts WHERE run_id = $1",
        "DELETE FROM runs WHERE id = $1",
    ] {
        sql(statement).bind(run.id.0).run(on).await?;
    }
    let status = run.status();
    let mut counts = sql("UPDATE batch_counts SET total = total - 1");
    counts.push(format!(", {status} = {status} - 1"));
    if run.success() == Some(true) {
        counts.push(", passed = passed - 1");
    }
    if run.executed_at.is_some() {
        counts.push(", connected = connected - 1");
    }
    counts.push(", duration_ms = duration_ms - ");
    counts.push_bind(super::rows::millis(run.duration.unwrap_or_default()));
    counts.push(" WHERE result_id = ").push_bind(run.result.0);
    counts.run(on).await?;
    sql(
        "UPDATE totals SET runs = runs - 1 WHERE org_id = $1 AND project_id = $2 AND agent_id = $3",
    )
    .bind(run.org.0)
    .bind(run.project.0)
    .bind(run.agent.0)
    .run(on)
    .await?;
    Ok(())
}

fn ended(run: &Run) -> Result<()> {
    if run.status().is_terminal() {
        return Ok(());
    }
    Err(Error::Conflict {
        what: "run",
        why: format!("run {} is {}: end it first", run.id, run.status()),
    })
}

#[async_trait]
impl Retention for Database {
    async fn delete_run(&self, scope: Scope, id: RunId, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        let run = load_locked(&mut tx, id).await?;
        if run.org != scope.org || scope.project.is_some_and(|only| only != run.project) {
            return Err(not_found("run", id));
        }
        ended(&run)?;
        delete(&mut tx, &run, now).await?;
        tx.commit().await
    }

    async fn delete_batch(
        &self,
        scope: Scope,
        id: ResultId,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64> {
        let mut tx = self.write().await?;
        lock_batches(&mut tx, [id]).await?;
        let batch = batches::by_id(&mut tx, scope, id).await?;
        if batch.counts.ended() < batch.counts.total {
            let unfinished = batch.counts.total - batch.counts.ended();
            return Err(Error::Conflict {
                what: "result",
                why: format!("{unfinished} of its runs have not ended: end its calls first"),
            });
        }
        let rows = sql("SELECT id FROM runs WHERE result_id = $1 ORDER BY id LIMIT $2")
            .bind(id.0)
            .bind(limit)
            .all(&mut tx)
            .await?;
        for row in &rows {
            let run = load(&mut tx, row.id("id")?).await?;
            delete(&mut tx, &run, now).await?;
        }
        let left: i64 =
            sql("SELECT count(*) FROM (SELECT 1 FROM runs WHERE result_id = $1 LIMIT 100000) l")
                .bind(id.0)
                .one(&mut tx)
                .await?
                .first()?;
        if left == 0 {
            sql("DELETE FROM outbox WHERE result_id = $1")
                .bind(id.0)
                .run(&mut tx)
                .await?;
            sql("DELETE FROM idempotency WHERE result_id = $1 AND org_id = $2")
                .bind(id.0)
                .bind(batch.org.0)
                .run(&mut tx)
                .await?;
            sql("DELETE FROM batches WHERE id = $1")
                .bind(id.0)
                .run(&mut tx)
                .await?;
            sql("UPDATE totals SET results = results - 1 \
                 WHERE org_id = $1 AND project_id = $2 AND agent_id = $3")
            .bind(batch.org.0)
            .bind(batch.project.0)
            .bind(batch.agent.0)
            .run(&mut tx)
            .await?;
        }
        tx.commit().await?;
        count("result", left)
    }

    async fn expired_batches(&self, now: Timestamp, limit: u32) -> Result<Vec<Expired>> {
        const DAY: i64 = 24 * 60 * 60 * 1_000_000;
        // As long as anybody may keep anything: more days would not fit into a timestamp.
        const MOST_DAYS: i64 = 36_500;
        let mut query = sql(
            "SELECT b.org_id, b.id FROM projects p JOIN batches b ON b.project_id = p.id \
             JOIN batch_counts c ON c.result_id = b.id WHERE p.retention_days IS NOT NULL \
             AND b.state <> 'staging' AND c.updated_at < $1 - $2 * ",
        )
        .bind(now)
        .bind(DAY)
        .bind(MOST_DAYS)
        .bind(limit);
        query.either("min", "least").push(
            "(p.retention_days, $3) \
             AND c.in_queue + c.pending + c.in_progress + c.evaluating = 0 ORDER BY b.id LIMIT $4",
        );
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter()
            .map(|row| {
                Ok(Expired {
                    org: row.id("org_id")?,
                    batch: row.id("id")?,
                })
            })
            .collect()
    }

    async fn delete_old_attempts(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let mut tx = self.write().await?;
        let mut deleted = 0;
        for statement in [
            "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE at < $1 \
             AND run_id IS NULL ORDER BY at LIMIT $2)",
            // The oldest are looked at and no others, so that it takes no longer when none is old enough.
            "DELETE FROM audit_log WHERE at < $1 AND id IN (SELECT id FROM audit_log \
             ORDER BY id LIMIT $2)",
        ] {
            deleted += sql(statement).bind(before).bind(limit).run(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(deleted)
    }

    async fn artefacts_to_delete(&self, limit: u32) -> Result<Vec<String>> {
        let rows = sql("SELECT key FROM artefacts_to_delete ORDER BY since, key LIMIT $1")
            .bind(limit)
            .all(&mut self.read().await?)
            .await?;
        rows.iter().map(|row| row.get("key")).collect()
    }

    async fn artefacts_deleted(&self, keys: &[String]) -> Result<()> {
        let mut tx = self.write().await?;
        let mut query = sql("DELETE FROM artefacts_to_delete WHERE ");
        query.one_of("key", keys.iter().cloned());
        query.run(&mut tx).await?;
        tx.commit().await
    }

    async fn remove_unfinished(&self) -> Result<u64> {
        trigger::remove_unfinished(self).await
    }
}
