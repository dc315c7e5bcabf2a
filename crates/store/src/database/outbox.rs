use std::collections::HashMap;

use async_trait::async_trait;
use ringdown_domain::{ResultId, RunId, Timestamp};

use super::Database;
use super::rows::{RUN, RUN_FROM, count, run, status, window};
use super::transitions::load_all;
use crate::sql::sql;
use crate::{Announcement, Entered, Outbox, OutboxRow, Result, Run};

#[async_trait]
impl Outbox for Database {
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        let mut on = self.read().await?;
        let rows = sql("SELECT * FROM outbox ORDER BY id LIMIT $1")
            .bind(limit)
            .all(&mut on)
            .await?;
        let mut ids = Vec::new();
        for row in &rows {
            ids.extend(row.maybe_id::<RunId>("run_id")?.map(|id| id.0));
        }
        let runs = load_all(&mut on, ids).await?;
        let runs: HashMap<RunId, Run> = runs.into_iter().map(|run| (run.id, run)).collect();
        let mut outbox = Vec::with_capacity(rows.len());
        for row in &rows {
            let event = match row.maybe_id::<RunId>("run_id")? {
                None => Announcement::Accepted(row.id("result_id")?),
                Some(id) => Announcement::Entered(Box::new(Entered {
                    seq: count("run", row.get("seq")?)?,
                    status: status(row.get("status")?)?,
                    window: window(row)?,
                    error_message: row.get("reason")?,
                    success: row.get("success")?,
                    run: match runs.get(&id) {
                        Some(run) => run.clone(),
                        // Deleted while this was read, and its rows with it.
                        None => continue,
                    },
                })),
            };
            outbox.push(OutboxRow {
                id: row.get("id")?,
                at: Timestamp::from_micros(row.get("at")?),
                event,
            });
        }
        Ok(outbox)
    }

    async fn accepted_runs(
        &self,
        batch: ResultId,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Run>> {
        let mut query = sql("SELECT ");
        query.push(RUN).push(RUN_FROM);
        query.push(" WHERE r.result_id = ").push_bind(batch.0);
        query
            .push(" AND r.id > ")
            .push_bind(after.map_or(0, |id| id.0));
        query.push(" ORDER BY r.id LIMIT ").push_bind(limit);
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(run).collect()
    }

    async fn outbox_published(&self, ids: &[i64]) -> Result<()> {
        let mut tx = self.write().await?;
        // Rows that are being deleted with their runs are left to whoever deletes them: waiting for them while
        // holding others would be a deadlock. Should that be undone, they are published once more, which
        // harms nobody.
        let mut query = sql("DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE ");
        query
            .one_of("id", ids.iter().copied())
            .either("", " FOR UPDATE SKIP LOCKED")
            .push(")");
        query.run(&mut tx).await?;
        tx.commit().await
    }
}
