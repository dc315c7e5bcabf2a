use ringdown_domain::admission::{BatchLoad, Decision, ProjectLoad, Queue, QueuedRun, decide};
use ringdown_domain::run::Event;
use ringdown_domain::{OrganisationId, Timestamp};
use sqlx::{Row as _, SqliteConnection};

use super::Sqlite;
use super::rows::{from_millis, limit, unsigned};
use super::runs::{apply, load};
use crate::{QueueEntry, Result, Run, RunPatch};

/// Queued runs of one project that are looked at; the rest of a longer queue waits its turn.
const HEAD: i64 = 500;

/// Which queued runs are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queued {
    /// Those that their own batch's limit does not keep: a long limited batch must not hide the
    /// runs behind it.
    Admissible,
    /// All, to say what each waits for.
    All,
}

async fn read_queue(
    db: &mut SqliteConnection,
    org: OrganisationId,
    queued: Queued,
) -> Result<Queue> {
    let row = sqlx::query(
        "SELECT parallel_limit, (SELECT count(*) FROM runs WHERE org_id = $1 AND \
         status IN ('pending', 'in_progress')) AS held FROM organisations WHERE id = $1",
    )
    .bind(org.0)
    .fetch_one(&mut *db)
    .await?;
    let mut queue = Queue {
        limit: limit("organisation", row.try_get("parallel_limit")?)?,
        held: unsigned("organisation", row.try_get("held")?)?,
        ..Queue::default()
    };
    let rows = sqlx::query(
        "WITH room AS (SELECT b.id, b.concurrency_limit - (SELECT count(*) FROM runs r WHERE \
         r.result_id = b.id AND r.status IN ('pending', 'in_progress')) AS slots FROM batches b \
         WHERE b.concurrency_limit IS NOT NULL AND b.id IN (SELECT DISTINCT result_id FROM runs \
         WHERE org_id = $1 AND status = 'in_queue')), \
         queued AS (SELECT r.id, r.project_id, r.result_id, room.slots, \
         row_number() OVER (PARTITION BY r.result_id ORDER BY r.id) AS place FROM runs r \
         LEFT JOIN room ON room.id = r.result_id WHERE r.org_id = $1 AND r.status = 'in_queue') \
         SELECT id, project_id, result_id FROM (SELECT id, project_id, result_id, \
         row_number() OVER (PARTITION BY project_id ORDER BY id) AS place FROM queued \
         WHERE $3 OR slots IS NULL OR place <= slots) WHERE place <= $2 ORDER BY id",
    )
    .bind(org.0)
    .bind(HEAD)
    .bind(queued == Queued::All)
    .fetch_all(&mut *db)
    .await?;
    for row in rows {
        queue.runs.push(QueuedRun {
            run: row.try_get::<i64, _>("id")?.into(),
            project: row.try_get::<i64, _>("project_id")?.into(),
            batch: row.try_get::<i64, _>("result_id")?.into(),
        });
    }
    let rows = sqlx::query(
        "SELECT p.id, p.parallel_limit, p.weight, (SELECT count(*) FROM runs r WHERE \
         r.org_id = $1 AND r.project_id = p.id AND r.status IN ('pending', 'in_progress')) AS held \
         FROM projects p WHERE p.org_id = $1",
    )
    .bind(org.0)
    .fetch_all(&mut *db)
    .await?;
    for row in rows {
        queue.projects.push(ProjectLoad {
            id: row.try_get::<i64, _>("id")?.into(),
            limit: limit("project", row.try_get("parallel_limit")?)?,
            weight: unsigned("project", row.try_get("weight")?)?,
            held: unsigned("project", row.try_get("held")?)?,
        });
    }
    let rows = sqlx::query(
        "SELECT b.id, b.concurrency_limit, (SELECT count(*) FROM runs r WHERE r.result_id = b.id \
         AND r.status IN ('pending', 'in_progress')) AS held FROM batches b WHERE b.id IN \
         (SELECT DISTINCT result_id FROM runs WHERE org_id = $1 AND status = 'in_queue') \
         AND b.concurrency_limit IS NOT NULL",
    )
    .bind(org.0)
    .fetch_all(&mut *db)
    .await?;
    for row in rows {
        queue.batches.push(BatchLoad {
            id: row.try_get::<i64, _>("id")?.into(),
            limit: limit("batch", row.try_get("concurrency_limit")?)?,
            held: unsigned("batch", row.try_get("held")?)?,
        });
    }
    Ok(queue)
}

pub(super) async fn admit(db: &Sqlite, org: OrganisationId, now: Timestamp) -> Result<Vec<Run>> {
    let mut tx = db.write().await?;
    let Decision { admitted, .. } = decide(&read_queue(&mut tx, org, Queued::Admissible).await?);
    let mut runs = Vec::with_capacity(admitted.len());
    for id in admitted {
        let run = load(&mut tx, id).await?;
        let dial_window: i64 =
            sqlx::query_scalar("SELECT dial_window_ms FROM projects WHERE id = $1")
                .bind(run.project.0)
                .fetch_one(&mut *tx)
                .await?;
        let event = Event::Admitted {
            dial_window: from_millis(dial_window),
        };
        let transition = apply(&mut tx, run, event, RunPatch::default(), now).await?;
        runs.push(transition.run);
    }
    tx.commit().await?;
    Ok(runs)
}

pub(super) async fn explain(db: &Sqlite, org: OrganisationId) -> Result<Vec<QueueEntry>> {
    let mut connection = db.readers.acquire().await?;
    let decision = decide(&read_queue(&mut connection, org, Queued::All).await?);
    // Runs that could start now are first: they are only waiting for admission to look.
    let starting = decision
        .admitted
        .iter()
        .map(|run| (*run, "admission".to_owned()));
    let blocked = decision
        .blocked
        .iter()
        .map(|(run, limit)| (*run, limit.to_string()));
    Ok(starting
        .chain(blocked)
        .zip(1u32..)
        .map(|((run, blocked_by), position)| QueueEntry {
            run,
            position,
            blocked_by,
        })
        .collect())
}

pub(super) async fn organisations(db: &Sqlite) -> Result<Vec<OrganisationId>> {
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT DISTINCT org_id FROM runs WHERE status = 'in_queue'")
            .fetch_all(&db.readers)
            .await?;
    Ok(ids.into_iter().map(OrganisationId).collect())
}
