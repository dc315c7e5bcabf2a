use async_trait::async_trait;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{HolderId, OrganisationId, ResultId, RunId, Timestamp};

use super::apply::{Step, apply_all};
use super::rows::{RUN, RUN_FROM, in_state, not_found, parsed, run, within};
use super::{Database, matching, queue, waiting};
use crate::sql::{Row, Session, Sql, sql};
use crate::{
    Admission, Arrival, Matched, NewAttempt, QueueEntry, QueuePlace, Result, Run, RunPatch, Scope,
    Transition, Transitions,
};

/// Runs that a testing agent still has something to report of; the condition of their index.
const HELD: &str = "r.holder IS NOT NULL AND r.status IN ('in_progress', 'evaluating')";

/// What is locked of a batch; its condition follows.
const COUNTS: &str = "SELECT 1 FROM batch_counts c WHERE ";

/// Reads a run.
pub(super) async fn load(on: &mut Session, id: RunId) -> Result<Run> {
    let mut query = sql("SELECT ");
    query.push(RUN).push(RUN_FROM).push(" WHERE r.id = ");
    query.push_bind(id.0);
    let row = query.optional(on).await?;
    run(&row.ok_or_else(|| not_found("run", id))?)
}

/// Reads a run to change it. Its batch is locked first: every change counts there.
pub(super) async fn load_locked(on: &mut Session, id: RunId) -> Result<Run> {
    let found = load_all_locked(on, &[id]).await?.pop();
    found.ok_or_else(|| not_found("run", id))
}

/// Locks the counts of several batches, always in the same order.
pub(super) async fn lock_batches(
    on: &mut Session,
    batches: impl IntoIterator<Item = ResultId>,
) -> Result<()> {
    let mut which = sql(COUNTS);
    which.one_of("c.result_id", batches.into_iter().map(|id| id.0));
    lock_counts(on, which).await
}

/// Reads runs to change them, those of `ids` that there are, with their batches locked.
pub(super) async fn load_all_locked(on: &mut Session, ids: &[RunId]) -> Result<Vec<Run>> {
    let ids = || ids.iter().map(|id| id.0);
    let mut which = sql(COUNTS);
    which
        .push("c.result_id IN (SELECT result_id FROM runs WHERE ")
        .one_of("id", ids())
        .push(")");
    lock_counts(on, which).await?;
    load_all(on, ids()).await
}

/// Locks the counts that a query beginning with [`COUNTS`] finds. SQLite has one writer anyway.
async fn lock_counts(on: &mut Session, mut which: Sql) -> Result<()> {
    if let Session::PostgresWrite(_) = on {
        which.push(" ORDER BY c.result_id").locked("c");
        which.all(on).await?;
    }
    Ok(())
}

/// Reads those runs of `ids` that there are, in any order.
pub(super) async fn load_all(
    on: &mut Session,
    ids: impl IntoIterator<Item = i64>,
) -> Result<Vec<Run>> {
    let mut query = sql("SELECT ");
    query
        .push(RUN)
        .push(RUN_FROM)
        .push(" WHERE ")
        .one_of("r.id", ids);
    query.all(on).await?.iter().map(run).collect()
}

#[async_trait]
impl Transitions for Database {
    async fn admit(&self, org: OrganisationId, now: Timestamp) -> Result<Admission> {
        queue::admit(self, org, now).await
    }

    async fn queue(&self, org: OrganisationId, now: Timestamp) -> Result<Vec<QueueEntry>> {
        waiting::list(self, org, now).await
    }

    async fn place(&self, scope: Scope, run: RunId, now: Timestamp) -> Result<Option<QueuePlace>> {
        waiting::place(self, scope, run, now).await
    }

    async fn organisations_with_queue(&self) -> Result<Vec<OrganisationId>> {
        queue::organisations(self).await
    }

    async fn open_gate(&self, batch: ResultId) -> Result<()> {
        let mut tx = self.write().await?;
        sql("UPDATE batches SET state = 'ready' WHERE id = $1 AND state = 'gated'")
            .bind(batch.0)
            .run(&mut tx)
            .await?;
        tx.commit().await
    }

    async fn transition(
        &self,
        id: RunId,
        event: Event,
        patch: RunPatch,
        now: Timestamp,
    ) -> Result<Transition> {
        self.step(Step {
            run: id,
            event: Some(event),
            patch,
            now,
        })
        .await
    }

    async fn cancel_batch(
        &self,
        scope: Scope,
        batch: ResultId,
        reason: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Transition>> {
        let mut tx = self.write().await?;
        lock_batches(&mut tx, [batch]).await?;
        let mut owned = sql("SELECT 1 FROM batches WHERE id = $1 AND ").bind(batch.0);
        within(&mut owned, "", scope);
        if owned.optional(&mut tx).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut runs = Vec::new();
        // State by state along the index of the batch, so that no long queue has to be sorted.
        for status in ["in_queue", "pending", "in_progress", "evaluating"] {
            let left = limit.saturating_sub(u32::try_from(runs.len()).unwrap_or(limit));
            let mut query = sql("SELECT ");
            query.push(RUN).push(RUN_FROM).push(" WHERE r.result_id = ");
            query.push_bind(batch.0).push(" AND r.status = ");
            query.push_bind(status).push(" ORDER BY r.id DESC LIMIT ");
            query.push_bind(left);
            let rows = query.all(&mut tx).await?;
            runs.extend(rows.iter().map(run).collect::<Result<Vec<_>>>()?);
        }
        let steps = runs.iter().map(|run| Step {
            run: run.id,
            event: Some(Event::Cancelled {
                reason: reason.to_owned(),
            }),
            patch: RunPatch::default(),
            now,
        });
        let steps = steps.collect();
        let transitions = apply_all(&mut tx, runs, steps).await?;
        tx.commit().await?;
        transitions.into_iter().collect()
    }

    async fn patch_run(&self, id: RunId, patch: RunPatch, now: Timestamp) -> Result<()> {
        let step = Step {
            run: id,
            event: None,
            patch,
            now,
        };
        self.step(step).await.map(drop)
    }

    async fn match_call(
        &self,
        call: IncomingCall,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Matched> {
        matching::match_call(self, call, arrival, now).await
    }

    async fn refuse_call(&self, attempt: NewAttempt, now: Timestamp) -> Result<Option<Transition>> {
        matching::refuse(self, attempt, now).await
    }

    async fn overdue(&self, statuses: &[Status], now: Timestamp, limit: u32) -> Result<Vec<Run>> {
        let mut query = sql("SELECT ");
        query
            .push(RUN)
            .push(RUN_FROM)
            .push(" WHERE r.deadline_at <= ");
        query.push_bind(now).push(" AND ");
        // The plus keeps SQLite's search on the index of deadlines.
        query.either("+", "");
        in_state(&mut query, "r.status", statuses);
        query
            .push(" ORDER BY r.deadline_at LIMIT ")
            .push_bind(limit);
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(run).collect()
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> =
            sql("SELECT min(deadline_at) FROM runs WHERE deadline_at IS NOT NULL")
                .one(&mut self.read().await?)
                .await?
                .first()?;
        Ok(at.map(Timestamp::from_micros))
    }

    async fn holders(&self) -> Result<Vec<HolderId>> {
        let mut query = sql("SELECT DISTINCT holder FROM runs r WHERE ");
        query.push(HELD);
        let rows = query.all(&mut self.read().await?).await?;
        let holder = |row: &Row| parsed("run", row.get("holder")?);
        rows.iter().map(holder).collect()
    }

    async fn held_by(
        &self,
        holder: &HolderId,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Run>> {
        let mut query = sql("SELECT ");
        query.push(RUN).push(RUN_FROM).push(" WHERE ").push(HELD);
        query.push(" AND r.holder = ").push_bind(holder.as_str());
        query.push(" AND r.id > ");
        query.push_bind(after.map_or(i64::MIN, |run| run.0));
        query.push(" ORDER BY r.id LIMIT ").push_bind(limit);
        let rows = query.all(&mut self.read().await?).await?;
        rows.iter().map(run).collect()
    }

    async fn run_unscoped(&self, id: RunId) -> Result<Run> {
        load(&mut self.read().await?, id).await
    }
}
