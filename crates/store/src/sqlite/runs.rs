use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, State, Status};
use ringdown_domain::{AgentId, OrganisationId, ResultId, RunId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite as Driver, SqliteConnection};

use super::Sqlite;
use super::catalogue::page;
use super::rows::{RUN, RUN_FROM, from_json, limit, millis, run, status, to_json, window};
use super::tenancy::not_found;
use crate::{
    Batch, Listing, NewBatch, NewRun, OutboxRow, Page, Result, Run, RunFilter, RunPatch, Transition,
};

fn batch(row: &SqliteRow) -> Result<Batch> {
    Ok(Batch {
        id: row.try_get::<i64, _>("id")?.into(),
        org: row.try_get::<i64, _>("org_id")?.into(),
        project: row.try_get::<i64, _>("project_id")?.into(),
        agent: row.try_get::<i64, _>("agent_id")?.into(),
        agent_name: row.try_get("agent_name")?,
        name: row.try_get("name")?,
        concurrency_limit: limit("batch", row.try_get("concurrency_limit")?)?,
        settings: from_json("batch", row.try_get("settings")?)?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        updated_at: Timestamp::from_micros(row.try_get("updated_at")?),
    })
}

pub(super) async fn trigger(
    db: &Sqlite,
    new: NewBatch,
    now: Timestamp,
) -> Result<(Batch, Vec<Run>)> {
    let mut tx = db.write().await?;
    let row = sqlx::query(
        "INSERT INTO batches (org_id, project_id, agent_id, agent_name, name, concurrency_limit, \
         settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING *",
    )
    .bind(new.org.0)
    .bind(new.project.0)
    .bind(new.agent.0)
    .bind(&new.agent_name)
    .bind(&new.name)
    .bind(new.concurrency_limit)
    .bind(to_json("batch", &new.settings)?)
    .bind(now.as_micros())
    .fetch_one(&mut *tx)
    .await?;
    let stored = batch(&row)?;
    let mut runs = Vec::with_capacity(new.runs.len());
    for new_run in &new.runs {
        let id = insert_run(&mut tx, &stored, new_run, now).await?;
        let run = load(&mut tx, id).await?;
        announce(&mut tx, &run, now).await?;
        runs.push(run);
    }
    tx.commit().await?;
    Ok((stored, runs))
}

async fn insert_run(
    db: &mut SqliteConnection,
    batch: &Batch,
    new: &NewRun,
    now: Timestamp,
) -> Result<RunId> {
    let profile = new.test_profile.as_ref();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO runs (org_id, project_id, result_id, agent_id, agent_name, scenario_id, \
         scenario_name, number, caller_ids, dial_route, test_profile, script, seq, status, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, \
         'in_queue', $13, $13) RETURNING id",
    )
    .bind(batch.org.0)
    .bind(batch.project.0)
    .bind(batch.id.0)
    .bind(batch.agent.0)
    .bind(&batch.agent_name)
    .bind(new.scenario.0)
    .bind(&new.scenario_name)
    .bind(new.number.as_str())
    .bind(to_json("run", &new.caller_ids)?)
    .bind(&new.dial_route)
    .bind(profile.map(|profile| to_json("run", profile)).transpose()?)
    .bind(to_json("run", &new.script)?)
    .bind(now.as_micros())
    .fetch_one(db)
    .await?;
    Ok(RunId(id))
}

/// Reads a run inside a transaction.
pub(super) async fn load(db: &mut SqliteConnection, id: RunId) -> Result<Run> {
    let mut query = QueryBuilder::<Driver>::new("SELECT ");
    query.push(RUN).push(RUN_FROM).push(" WHERE r.id = ");
    query.push_bind(id.0);
    let row = query.build().fetch_optional(db).await?;
    run(&row.ok_or_else(|| not_found("run", id.0))?)
}

/// Writes the outbox row of the state the run is in.
async fn announce(db: &mut SqliteConnection, run: &Run, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO outbox (run_id, at, seq, status, opens_at, closes_at, reason, success) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(run.id.0)
    .bind(now.as_micros())
    .bind(i64::try_from(run.seq).unwrap_or(i64::MAX))
    .bind(run.status().as_str())
    .bind(run.window.map(|window| window.opens_at.as_micros()))
    .bind(run.window.map(|window| window.closes_at.as_micros()))
    .bind(run.error_message())
    .bind(run.success())
    .execute(db)
    .await?;
    Ok(())
}

/// Applies an event inside a transaction: the new state, what came with it and the outbox row.
pub(super) async fn apply(
    db: &mut SqliteConnection,
    run: Run,
    event: Event,
    patch: RunPatch,
    now: Timestamp,
) -> Result<Transition> {
    let (state, effects) = run.state.apply(event, now)?;
    let (window, call) = match &state {
        State::Pending { window } => (Some(*window), None),
        State::InProgress { call, .. } => (None, Some(call.0.clone())),
        _ => (None, None),
    };
    let executed = matches!(state, State::InProgress { .. }).then_some(now.as_micros());
    let reason = match &state {
        State::Failed { reason } | State::Timeout { reason } | State::Cancelled { reason } => {
            Some(reason.as_str())
        }
        _ => None,
    };
    let success = match state {
        State::Completed { success } => Some(success),
        _ => None,
    };
    sqlx::query(
        "UPDATE runs SET seq = seq + 1, status = $1, opens_at = coalesce($2, opens_at), \
         closes_at = coalesce($3, closes_at), call_id = coalesce($4, call_id), deadline_at = $5, \
         executed_at = coalesce($6, executed_at), reason = $7, success = $8, updated_at = $9 \
         WHERE id = $10",
    )
    .bind(state.status().as_str())
    .bind(window.map(|window| window.opens_at.as_micros()))
    .bind(window.map(|window| window.closes_at.as_micros()))
    .bind(call)
    .bind(state.deadline().map(Timestamp::as_micros))
    .bind(executed)
    .bind(reason)
    .bind(success)
    .bind(now.as_micros())
    .bind(run.id.0)
    .execute(&mut *db)
    .await?;
    sqlx::query("UPDATE batches SET updated_at = $1 WHERE id = $2")
        .bind(now.as_micros())
        .bind(run.result.0)
        .execute(&mut *db)
        .await?;
    write_patch(db, run.id, patch).await?;
    let run = load(db, run.id).await?;
    announce(db, &run, now).await?;
    Ok(Transition { run, effects })
}

async fn write_patch(db: &mut SqliteConnection, id: RunId, patch: RunPatch) -> Result<()> {
    let score = patch.score.as_ref();
    sqlx::query(
        "UPDATE runs SET duration_ms = coalesce($1, duration_ms), \
         ended_reason = coalesce($2, ended_reason), recording = coalesce($3, recording), \
         score = coalesce($4, score) WHERE id = $5",
    )
    .bind(patch.duration.map(millis))
    .bind(patch.ended_reason.map(EndedReason::as_str))
    .bind(patch.recording)
    .bind(score.map(|score| to_json("run", score)).transpose()?)
    .bind(id.0)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn transition(
    db: &Sqlite,
    id: RunId,
    event: Event,
    patch: RunPatch,
    now: Timestamp,
) -> Result<Transition> {
    let mut tx = db.write().await?;
    let run = load(&mut tx, id).await?;
    let transition = apply(&mut tx, run, event, patch, now).await?;
    tx.commit().await?;
    Ok(transition)
}

pub(super) async fn cancel_batch(
    db: &Sqlite,
    org: OrganisationId,
    batch: ResultId,
    reason: &str,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Transition>> {
    let mut tx = db.write().await?;
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM runs WHERE result_id = $1 AND +org_id = $2 \
         AND status IN ('in_queue', 'pending', 'in_progress', 'evaluating') \
         ORDER BY (status = 'in_queue') DESC, id DESC LIMIT $3",
    )
    .bind(batch.0)
    .bind(org.0)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    let mut transitions = Vec::with_capacity(ids.len());
    for id in ids {
        let run = load(&mut tx, RunId(id)).await?;
        let cancelled = Event::Cancelled {
            reason: reason.to_owned(),
        };
        transitions.push(apply(&mut tx, run, cancelled, RunPatch::default(), now).await?);
    }
    tx.commit().await?;
    Ok(transitions)
}

pub(super) async fn patch(db: &Sqlite, id: RunId, patch: RunPatch) -> Result<()> {
    let mut tx = db.write().await?;
    load(&mut tx, id).await?;
    write_patch(&mut tx, id, patch).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn overdue(
    db: &Sqlite,
    statuses: &[Status],
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Run>> {
    let mut query = QueryBuilder::<Driver>::new("SELECT ");
    query
        .push(RUN)
        .push(RUN_FROM)
        .push(" WHERE r.deadline_at <= ");
    query.push_bind(now.as_micros());
    query.push(" AND +r.status IN (SELECT value FROM json_each(");
    query.push_bind(to_json("run", &statuses)?);
    query.push(")) ORDER BY r.deadline_at LIMIT ");
    query.push_bind(i64::from(limit));
    let rows = query.build().fetch_all(&db.readers).await?;
    rows.iter().map(run).collect()
}

pub(super) async fn next_deadline(db: &Sqlite) -> Result<Option<Timestamp>> {
    let at: Option<i64> =
        sqlx::query_scalar("SELECT min(deadline_at) FROM runs WHERE deadline_at IS NOT NULL")
            .fetch_one(&db.readers)
            .await?;
    Ok(at.map(Timestamp::from_micros))
}

pub(super) async fn unscoped(db: &Sqlite, id: RunId) -> Result<Run> {
    let mut connection = db.readers.acquire().await?;
    load(&mut connection, id).await
}

pub(super) async fn by_ids(db: &Sqlite, org: OrganisationId, ids: &[RunId]) -> Result<Vec<Run>> {
    let mut query = QueryBuilder::<Driver>::new("SELECT ");
    query.push(RUN).push(RUN_FROM);
    query
        .push(" JOIN json_each(")
        .push_bind(to_json("run", &ids)?);
    query.push(") wanted ON wanted.value = r.id WHERE r.org_id = ");
    query.push_bind(org.0).push(" ORDER BY wanted.key");
    let rows = query.build().fetch_all(&db.readers).await?;
    rows.iter().map(run).collect()
}

pub(super) async fn list(
    db: &Sqlite,
    org: OrganisationId,
    filter: RunFilter,
    wanted: Page,
) -> Result<Listing<Run>> {
    let select = |query: &mut QueryBuilder<Driver>| {
        query.push(RUN_FROM).push(" WHERE r.org_id = ");
        query.push_bind(org.0);
        if let Some(result) = filter.result {
            query.push(" AND r.result_id = ").push_bind(result.0);
        }
        if let Some(agent) = filter.agent {
            query.push(" AND r.agent_id = ").push_bind(agent.0);
        }
        if let Some(project) = filter.project {
            query.push(" AND r.project_id = ").push_bind(project.0);
        }
        if !filter.statuses.is_empty() {
            let statuses = to_json("run", &filter.statuses)?;
            query.push(" AND r.status IN (SELECT value FROM json_each(");
            query.push_bind(statuses).push("))");
        }
        Ok(())
    };
    page(&db.readers, RUN, " ORDER BY r.id DESC", wanted, select, run).await
}

pub(super) async fn batch_by_id(db: &Sqlite, org: OrganisationId, id: ResultId) -> Result<Batch> {
    let row = sqlx::query("SELECT * FROM batches WHERE org_id = $1 AND id = $2")
        .bind(org.0)
        .bind(id.0)
        .fetch_optional(&db.readers)
        .await?;
    batch(&row.ok_or_else(|| not_found("result", id.0))?)
}

pub(super) async fn batches(
    db: &Sqlite,
    org: OrganisationId,
    agent: Option<AgentId>,
    wanted: Page,
) -> Result<Listing<Batch>> {
    let select = |query: &mut QueryBuilder<Driver>| {
        query.push(" FROM batches WHERE org_id = ").push_bind(org.0);
        if let Some(agent) = agent {
            query.push(" AND agent_id = ").push_bind(agent.0);
        }
        Ok(())
    };
    page(&db.readers, "*", " ORDER BY id DESC", wanted, select, batch).await
}

pub(super) async fn outbox(db: &Sqlite, limit: u32) -> Result<Vec<OutboxRow>> {
    let mut connection = db.readers.acquire().await?;
    let rows = sqlx::query("SELECT * FROM outbox ORDER BY id LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    let mut outbox = Vec::with_capacity(rows.len());
    for row in rows {
        let run = load(&mut connection, RunId(row.try_get("run_id")?)).await?;
        outbox.push(OutboxRow {
            id: row.try_get("id")?,
            at: Timestamp::from_micros(row.try_get("at")?),
            seq: u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or(0),
            status: status(row.try_get("status")?)?,
            window: window(&row)?,
            error_message: row.try_get("reason")?,
            success: row.try_get("success")?,
            run,
        });
    }
    Ok(outbox)
}

pub(super) async fn outbox_published(db: &Sqlite, last: i64) -> Result<()> {
    sqlx::query("DELETE FROM outbox WHERE id <= $1")
        .bind(last)
        .execute(&db.writer)
        .await?;
    Ok(())
}
