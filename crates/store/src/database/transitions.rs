use async_trait::async_trait;
use ringdown_domain::call::EndedReason;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::run::{Event, State, Status};
use ringdown_domain::{OrganisationId, ResultId, RunId, Timestamp};

use super::counts::{Change, follow};
use super::rows::{RUN, RUN_FROM, in_state, millis, not_found, run, to_json, within};
use super::{Database, matching, queue, waiting, webhooks};
use crate::sql::{Session, sql};
use crate::{
    Admission, Arrival, Matched, NewAttempt, QueueEntry, QueuePlace, Result, Run, RunPatch, Scope,
    Transition, Transitions, WebhookKind,
};

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
    if let Session::PostgresWrite(_) = on {
        let batch = sql(
            "SELECT 1 FROM batch_counts WHERE result_id = (SELECT result_id FROM runs WHERE id = $1) \
             FOR UPDATE",
        )
        .bind(id.0)
        .optional(on)
        .await?;
        if batch.is_none() {
            return Err(not_found("run", id));
        }
    }
    load(on, id).await
}

/// Locks the counts of several batches, always in the same order.
pub(super) async fn lock_batches(
    on: &mut Session,
    batches: impl IntoIterator<Item = ResultId>,
) -> Result<()> {
    if let Session::PostgresWrite(_) = on {
        let mut query = sql("SELECT 1 FROM batch_counts c WHERE ");
        query.one_of("c.result_id", batches.into_iter().map(|id| id.0));
        query.push(" ORDER BY c.result_id").locked("c");
        query.all(on).await?;
    }
    Ok(())
}

/// Writes the outbox row of the state the run is in.
async fn announce(on: &mut Session, run: &Run, now: Timestamp) -> Result<()> {
    sql(
        "INSERT INTO outbox (result_id, run_id, at, seq, status, opens_at, closes_at, reason, \
         success) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(run.result.0)
    .bind(run.id.0)
    .bind(now)
    .bind(i64::try_from(run.seq).unwrap_or(i64::MAX))
    .bind(run.status().as_str())
    .bind(run.window.map(|window| window.opens_at))
    .bind(run.window.map(|window| window.closes_at))
    .bind(run.error_message())
    .bind(run.success())
    .run(on)
    .await?;
    Ok(())
}

/// Takes over what a patch sets.
fn patched(run: &mut Run, patch: RunPatch) {
    run.duration = patch.duration.or(run.duration);
    run.ended_reason = patch.ended_reason.or(run.ended_reason);
    run.recording = patch.recording.or_else(|| run.recording.take());
    run.score = patch.score.or_else(|| run.score.take());
    if let Some(notes) = patch.notes {
        run.notes.extend(notes);
    }
}

/// Writes every column of a run that can change.
async fn write(on: &mut Session, run: &Run) -> Result<()> {
    let (deadline, reason) = (run.state.deadline(), run.error_message());
    let notes = (!run.notes.is_empty()).then_some(&run.notes);
    sql(
        "UPDATE runs SET seq = $1, version = $2, status = $3, opens_at = $4, closes_at = $5, \
         call_id = $6, deadline_at = $7, executed_at = $8, reason = $9, success = $10, \
         updated_at = $11, duration_ms = $12, ended_reason = $13, recording = $14, score = $15, \
         notes = $16 WHERE id = $17",
    )
    .bind(i64::try_from(run.seq).unwrap_or(i64::MAX))
    .bind(i64::try_from(run.version).unwrap_or(i64::MAX))
    .bind(run.status().as_str())
    .bind(run.window.map(|window| window.opens_at))
    .bind(run.window.map(|window| window.closes_at))
    .bind(run.call.as_ref().map(|call| call.0.as_str()))
    .bind(deadline)
    .bind(run.executed_at)
    .bind(reason)
    .bind(run.success())
    .bind(run.updated_at)
    .bind(run.duration.map(millis))
    .bind(run.ended_reason.map(EndedReason::as_str))
    .bind(&run.recording)
    .bind(
        run.score
            .as_ref()
            .map(|score| to_json("run", score))
            .transpose()?,
    )
    .bind(notes.map(|notes| to_json("run", notes)).transpose()?)
    .bind(run.id.0)
    .run(on)
    .await?;
    Ok(())
}

/// Applies an event inside a transaction that has the run locked: the new state, what came with it, the
/// batch's counts and the outbox row.
pub(super) async fn apply(
    on: &mut Session,
    mut run: Run,
    event: Event,
    patch: RunPatch,
    now: Timestamp,
) -> Result<Transition> {
    let (before, before_duration) = (run.status(), run.duration);
    let connected_before = run.executed_at.is_some();
    let (state, effects) = run.state.apply(event, now)?;
    match &state {
        State::Pending { window } => run.window = Some(*window),
        State::InProgress { call, .. } => {
            run.call = Some(call.clone());
            run.executed_at = Some(now);
        }
        _ => {}
    }
    run.state = state;
    run.seq += 1;
    run.version += 1;
    run.updated_at = now;
    patched(&mut run, patch);
    write(on, &run).await?;
    let change = Change {
        moved: Some((before, run.status())),
        passed: run.success() == Some(true),
        connected: !connected_before && run.executed_at.is_some(),
        duration: run
            .duration
            .map(|after| (before_duration.unwrap_or_default(), after))
            .filter(|(before, after)| before != after),
    };
    let finished = follow(on, run.result, &change, now).await?;
    announce(on, &run, now).await?;
    if finished {
        webhooks::insert_if_wanted(on, &run, WebhookKind::ResultCompleted, now).await?;
    }
    Ok(Transition { run, effects })
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
        let mut tx = self.write().await?;
        let run = load_locked(&mut tx, id).await?;
        let transition = apply(&mut tx, run, event, patch, now).await?;
        tx.commit().await?;
        Ok(transition)
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
        let mut transitions = Vec::new();
        // State by state along the index of the batch, so that no long queue has to be sorted.
        for status in ["in_queue", "pending", "in_progress", "evaluating"] {
            let left = limit.saturating_sub(u32::try_from(transitions.len()).unwrap_or(limit));
            let rows = sql("SELECT id FROM runs WHERE result_id = $1 AND status = $2 \
                 ORDER BY id DESC LIMIT $3")
            .bind(batch.0)
            .bind(status)
            .bind(left)
            .all(&mut tx)
            .await?;
            for row in &rows {
                let run = load(&mut tx, row.id("id")?).await?;
                let cancelled = Event::Cancelled {
                    reason: reason.to_owned(),
                };
                transitions.push(apply(&mut tx, run, cancelled, RunPatch::default(), now).await?);
            }
        }
        tx.commit().await?;
        Ok(transitions)
    }

    async fn patch_run(&self, id: RunId, patch: RunPatch, now: Timestamp) -> Result<()> {
        let mut tx = self.write().await?;
        let mut run = load_locked(&mut tx, id).await?;
        let before = run.duration;
        patched(&mut run, patch);
        run.version += 1;
        write(&mut tx, &run).await?;
        let change = Change {
            duration: run
                .duration
                .map(|after| (before.unwrap_or_default(), after))
                .filter(|(before, after)| before != after),
            ..Change::default()
        };
        follow(&mut tx, run.result, &change, now).await?;
        tx.commit().await
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

    async fn run_unscoped(&self, id: RunId) -> Result<Run> {
        load(&mut self.read().await?, id).await
    }
}
