use std::collections::BTreeSet;

use ringdown_domain::{E164, ResultId, RunId, Timestamp};

use super::rows::{from_json, own_project, parsed, to_json};
use super::tenancy::lock_organisation;
use super::{Database, batches, cron};
use crate::sql::{Session, sql};
use crate::{
    Actor, Batch, Error, NewBatch, NewRun, NewTemplate, Result, TriggeredRun, WebhookKind,
};

/// Runs, or templates, stored in one transaction where every other writer has to wait for it.
const PORTION: usize = 500;

/// Bytes of templates stored in one such transaction.
const PORTION_BYTES: usize = 2 * 1024 * 1024;

/// Stores a batch. On PostgreSQL it is one transaction. On SQLite a long batch is stored in portions
/// behind the state `staging`, which nobody sees, and appears at once with the last one: a transaction
/// as seen from outside, without keeping other writers waiting for the length of it.
pub(super) async fn trigger(
    db: &Database,
    new: NewBatch,
    now: Timestamp,
) -> Result<(Batch, Vec<TriggeredRun>)> {
    let mut staged = None;
    let short = new.runs.len() <= PORTION && new.templates.len() <= 1;
    if !db.has_one_writer() || short {
        return store(db, &new, now, &mut staged).await;
    }
    // In a task of its own: whoever asked for it may stop waiting between two portions.
    let db = db.clone();
    let work = async move {
        let stored = store(&db, &new, now, &mut staged).await;
        if let (Err(_), Some(id)) = (&stored, staged)
            && let Err(error) = remove(&db, id).await
        {
            // It stays invisible, and goes when the database is opened the next time.
            tracing::warn!(batch = %id, %error, "failed to remove a batch that was stored in part");
        }
        stored
    };
    let task = match Actor::current() {
        Some(actor) => tokio::spawn(actor.scope(work)),
        None => tokio::spawn(work),
    };
    match task.await {
        Ok(stored) => stored,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
        },
    }
}

/// Stores a batch, on SQLite in portions. `staged` is set as long as a part of it is stored.
async fn store(
    db: &Database,
    new: &NewBatch,
    now: Timestamp,
    staged: &mut Option<ResultId>,
) -> Result<(Batch, Vec<TriggeredRun>)> {
    let mut tx = db.write().await?;
    let id = insert_batch(&mut tx, new, now).await?;
    let mut templates = Vec::with_capacity(new.templates.len());
    let mut bytes = 0;
    for (index, template) in new.templates.iter().enumerate() {
        let long = index > 0 && (index.is_multiple_of(PORTION) || bytes > PORTION_BYTES);
        if db.has_one_writer() && long {
            tx.commit_part().await?;
            *staged = Some(id);
            tx = db.write().await?;
            bytes = 0;
        }
        templates.push(insert_template(&mut tx, id, template, &mut bytes).await?);
    }
    let portion = if db.has_one_writer() {
        PORTION
    } else {
        usize::MAX
    };
    let mut pool = NumberPool::new(new);
    let mut runs = Vec::with_capacity(new.runs.len());
    let mut left = new.runs.as_slice();
    loop {
        let (now_stored, later) = left.split_at(portion.min(left.len()));
        left = later;
        // Numbers are chosen and taken in one transaction, or two batches would choose the same ones.
        let numbers = pool.choose(&mut tx, now_stored).await?;
        let mut rows = Vec::with_capacity(now_stored.len());
        for (run, number) in now_stored.iter().zip(numbers) {
            let template = templates.get(run.template).copied();
            let scenario = new.templates.get(run.template).map(|t| t.scenario.0);
            rows.push((template, scenario, run.template, number));
        }
        let ids = insert_runs(&mut tx, id, new, &rows, now).await?;
        runs.extend(
            ids.into_iter()
                .zip(rows)
                .map(|(id, (_, _, template, number))| TriggeredRun {
                    id,
                    template,
                    number,
                }),
        );
        if left.is_empty() {
            break;
        }
        tx.commit_part().await?;
        *staged = Some(id);
        tx = db.write().await?;
    }
    publish(&mut tx, id, new, now).await?;
    let stored = batches::load(&mut tx, id).await?;
    tx.commit().await?;
    *staged = None;
    Ok((stored, runs))
}

async fn insert_batch(on: &mut Session, new: &NewBatch, now: Timestamp) -> Result<ResultId> {
    own_project(on, new.org, Some(new.project)).await?;
    if let Some(idempotency) = &new.idempotency {
        // Two requests with one key wait for each other, so that the second finds the first.
        super::lock(on, &format!("idempotency {} {}", new.org, idempotency.key)).await?;
        let used = sql("SELECT result_id FROM idempotency WHERE org_id = $1 AND key = $2")
            .bind(new.org.0)
            .bind(&idempotency.key)
            .optional(on)
            .await?;
        if let Some(used) = used {
            return Err(Error::Repeated(used.id("result_id")?));
        }
    }
    let row = sql(
        "INSERT INTO batches (org_id, project_id, agent_id, agent_name, name, concurrency_limit, \
         settings, created_at, state, caller_ids, dial_route, cron_job_id, priority) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'staging', $9, $10, $11, $12) RETURNING id",
    )
    .bind(new.org.0)
    .bind(new.project.0)
    .bind(new.agent.0)
    .bind(&new.agent_name)
    .bind(&new.name)
    .bind(new.concurrency_limit)
    .bind(to_json("batch", &new.settings)?)
    .bind(now)
    .bind(to_json("batch", &new.caller_ids)?)
    .bind(&new.dial_route)
    .bind(new.cron_job.map(|firing| firing.job.0))
    .bind(i64::from(new.priority))
    .one(on)
    .await?;
    let id: ResultId = row.id("id")?;
    if let Some(idempotency) = &new.idempotency {
        sql(
            "INSERT INTO idempotency (org_id, key, request_sha256, result_id, created_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(new.org.0)
        .bind(&idempotency.key)
        .bind(idempotency.request_sha256.as_slice())
        .bind(id.0)
        .bind(now)
        .run(on)
        .await?;
    }
    Ok(id)
}

/// Adds the length of what is stored to `bytes`.
async fn insert_template(
    on: &mut Session,
    batch: ResultId,
    template: &NewTemplate,
    bytes: &mut usize,
) -> Result<i64> {
    let profile = template.test_profile.as_ref();
    let profile = profile.map(|profile| to_json("run", profile)).transpose()?;
    let script = to_json("run", &template.script)?;
    *bytes += script.len() + profile.as_ref().map_or(0, String::len);
    let row = sql(
        "INSERT INTO run_templates (result_id, scenario_id, scenario_name, personality_id, \
         personality_name, test_profile, script) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         RETURNING id",
    )
    .bind(batch.0)
    .bind(template.scenario.0)
    .bind(&template.scenario_name)
    .bind(template.personality.map(|id| id.0))
    .bind(&template.personality_name)
    .bind(profile)
    .bind(script)
    .one(on)
    .await?;
    row.get("id")
}

/// Gives every run of a batch its number: its own, or one that no unfinished run uses.
struct NumberPool<'a> {
    new: &'a NewBatch,
    /// Numbers that runs of this batch have of themselves.
    named: BTreeSet<&'a E164>,
    /// Runs without a number of their own.
    wanted: usize,
    chosen: usize,
}

impl<'a> NumberPool<'a> {
    fn new(new: &'a NewBatch) -> Self {
        Self {
            new,
            named: new
                .runs
                .iter()
                .filter_map(|run| run.number.as_ref())
                .collect(),
            wanted: new.runs.iter().filter(|run| run.number.is_none()).count(),
            chosen: 0,
        }
    }

    /// The numbers of some runs. The first time it also fails if there are too few for all of them.
    async fn choose(&mut self, on: &mut Session, runs: &[NewRun]) -> Result<Vec<E164>> {
        let now = runs.iter().filter(|run| run.number.is_none()).count();
        let mut free = Vec::new();
        if now > 0 {
            let needed = if self.chosen == 0 { self.wanted } else { now };
            free = self.free(on, needed).await?;
            if free.len() < needed {
                return Err(Error::TooFewNumbers {
                    wanted: self.wanted,
                    free: self.chosen + free.len(),
                });
            }
            self.chosen += now;
        }
        let numbers = runs.iter().map(|run| {
            let number = run.number.clone().or_else(|| free.pop());
            number.ok_or(Error::TooFewNumbers {
                wanted: self.wanted,
                free: 0,
            })
        });
        numbers.collect()
    }

    /// Free numbers, at most `most`, the oldest last.
    async fn free(&self, on: &mut Session, most: usize) -> Result<Vec<E164>> {
        lock_organisation(on, self.new.org).await?;
        let rows = sql(
            "SELECT number FROM (SELECT n.id, n.number FROM phone_numbers n \
             WHERE n.org_id = $1 AND (n.project_id IS NULL OR n.project_id = $2) \
             AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.number = n.number \
             AND r.status IN ('in_queue', 'pending', 'in_progress')) ORDER BY n.id LIMIT $3) free \
             ORDER BY id DESC",
        )
        .bind(self.new.org.0)
        .bind(self.new.project.0)
        .bind(i64::try_from(most.saturating_add(self.named.len())).unwrap_or(i64::MAX))
        .all(on)
        .await?;
        let mut free = Vec::with_capacity(rows.len());
        for row in &rows {
            let number: E164 = parsed("phone number", row.get("number")?)?;
            if !self.named.contains(&number) {
                free.push(number);
            }
        }
        Ok(free)
    }
}

type NewRow = (Option<i64>, Option<i64>, usize, E164);

/// Stores runs under ids that grow in their order, which is the order of the queue.
async fn insert_runs(
    on: &mut Session,
    batch: ResultId,
    new: &NewBatch,
    rows: &[NewRow],
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let mut reserve = sql("SELECT ");
    reserve.either(
        "coalesce(json_group_array(value), '[]') FROM (WITH RECURSIVE n (value) AS (SELECT \
         (SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'runs') UNION ALL \
         SELECT value + 1 FROM n LIMIT ",
        "coalesce(jsonb_agg(value)::text, '[]') FROM (SELECT \
         nextval(pg_get_serial_sequence('runs', 'id')) AS value FROM generate_series(1, ",
    );
    reserve.push_bind(i64::try_from(rows.len()).unwrap_or(i64::MAX));
    reserve.either(") SELECT value FROM n)", ")) reserved");
    let mut ids: Vec<RunId> = from_json("run", &reserve.one(on).await?.first::<String>()?)?;
    ids.sort_unstable();
    let values: Vec<_> = ids
        .iter()
        .zip(rows)
        .map(|(id, (template, scenario, _, number))| (id.0, template, scenario, number.as_str()))
        .collect();
    let mut insert = sql(
        "INSERT INTO runs (id, org_id, project_id, result_id, agent_id, template_id, scenario_id, \
         number, seq, version, status, created_at, updated_at) SELECT ",
    );
    insert.either(
        "value ->> 0, $1, $2, $3, $4, value ->> 1, value ->> 2, value ->> 3, 1, 1, 'in_queue', $5, $5 \
         FROM json_each($6)",
        "(v ->> 0)::bigint, $1, $2, $3, $4, (v ->> 1)::bigint, (v ->> 2)::bigint, v ->> 3, 1, 1, \
         'in_queue', $5, $5 FROM jsonb_array_elements($6::jsonb) e (v)",
    );
    insert
        .bind(new.org.0)
        .bind(new.project.0)
        .bind(batch.0)
        .bind(new.agent.0)
        .bind(now)
        .bind(to_json("run", &values)?)
        .run(on)
        .await?;
    Ok(ids)
}

/// Makes the batch visible, announces it, and ends the due time of its cron job.
async fn publish(on: &mut Session, id: ResultId, new: &NewBatch, now: Timestamp) -> Result<()> {
    let runs = i64::try_from(new.runs.len()).unwrap_or(i64::MAX);
    sql(
        "INSERT INTO batch_counts (result_id, total, in_queue, updated_at, project_id, priority) \
         VALUES ($1, $2, $2, $3, $4, $5)",
    )
    .bind(id.0)
    .bind(runs)
    .bind(now)
    .bind(new.project.0)
    .bind(i64::from(new.priority))
    .run(on)
    .await?;
    sql(
        "INSERT INTO totals (org_id, project_id, agent_id, results, runs) \
         VALUES ($1, $2, $3, 1, $4) ON CONFLICT (org_id, project_id, agent_id) DO UPDATE \
         SET results = totals.results + 1, runs = totals.runs + excluded.runs",
    )
    .bind(new.org.0)
    .bind(new.project.0)
    .bind(new.agent.0)
    .bind(runs)
    .run(on)
    .await?;
    sql("INSERT INTO outbox (result_id, at, seq, status) VALUES ($1, $2, 1, 'in_queue')")
        .bind(id.0)
        .bind(now)
        .run(on)
        .await?;
    if new.gated {
        super::webhooks::insert(
            on,
            new.org,
            new.project,
            WebhookKind::ResultPreTrigger,
            Some(id),
            "",
            now,
        )
        .await?;
    }
    if let Some(firing) = new.cron_job {
        let outcome = format!("triggered result {id}");
        if !cron::move_on(on, firing, &outcome, now).await? {
            return Err(Error::NotDue(firing.job));
        }
    }
    sql("UPDATE batches SET state = $1 WHERE id = $2")
        .bind(if new.gated { "gated" } else { "ready" })
        .bind(id.0)
        .run(on)
        .await?;
    Ok(())
}

/// Removes one batch that could not be stored whole.
async fn remove(db: &Database, id: ResultId) -> Result<()> {
    let mut tx = db.write().await?;
    for statement in [
        "DELETE FROM idempotency WHERE result_id IN \
         (SELECT id FROM batches WHERE id = $1 AND state = 'staging')",
        "DELETE FROM batches WHERE id = $1 AND state = 'staging'",
    ] {
        sql(statement).bind(id.0).run(&mut tx).await?;
    }
    tx.commit_part().await
}

/// Removes batches that a process which died left half-stored, with their idempotency keys.
pub(super) async fn remove_unfinished(db: &Database) -> Result<u64> {
    if !db.has_one_writer() {
        return Ok(0);
    }
    let mut tx = db.write().await?;
    sql("DELETE FROM idempotency WHERE result_id IN (SELECT id FROM batches WHERE state = 'staging')")
        .run(&mut tx)
        .await?;
    let removed = sql("DELETE FROM batches WHERE state = 'staging'")
        .run(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(removed)
}
