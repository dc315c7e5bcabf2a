use std::collections::HashMap;

use ringdown_domain::admission::{BatchLoad, Decision, ProjectLoad, Queue, QueuedRun, decide};
use ringdown_domain::run::Event;
use ringdown_domain::{OrganisationId, ProjectId, ResultId, Timestamp};
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
    /// Those that no limit keeps from a slot: a long limited batch must not hide the runs behind it.
    Admissible,
    /// All, to say what each waits for.
    All,
}

/// A batch with queued runs.
struct Waiting {
    id: ResultId,
    project: ProjectId,
    limit: Option<u32>,
    held: u32,
}

/// Steps from batch to batch along the index of queued runs instead of reading every run.
async fn waiting(db: &mut SqliteConnection, org: OrganisationId) -> Result<Vec<Waiting>> {
    let rows = sqlx::query(
        "WITH RECURSIVE waiting (id) AS (\
         SELECT min(result_id) FROM runs WHERE org_id = $1 AND status = 'in_queue' \
         UNION ALL SELECT (SELECT min(result_id) FROM runs WHERE org_id = $1 \
         AND status = 'in_queue' AND result_id > waiting.id) FROM waiting \
         WHERE waiting.id IS NOT NULL) \
         SELECT b.id, b.project_id, b.concurrency_limit, CASE WHEN b.concurrency_limit IS NULL \
         THEN 0 ELSE (SELECT count(*) FROM runs r WHERE r.result_id = b.id \
         AND r.status IN ('pending', 'in_progress')) END AS held \
         FROM waiting CROSS JOIN batches b ON b.id = waiting.id ORDER BY b.id",
    )
    .bind(org.0)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                id: row.try_get::<i64, _>("id")?.into(),
                project: row.try_get::<i64, _>("project_id")?.into(),
                limit: limit("batch", row.try_get("concurrency_limit")?)?,
                held: unsigned("batch", row.try_get("held")?)?,
            })
        })
        .collect()
}

fn room(limit: Option<u32>, held: u32) -> i64 {
    limit.map_or(HEAD, |limit| i64::from(limit.saturating_sub(held)))
}

/// The queue's head: of each project as many of its oldest runs as could matter. A batch is stored
/// with all its runs at once, so that the order of batches is the order of their runs.
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
        "SELECT p.id, p.parallel_limit, p.weight, (SELECT count(*) FROM runs r WHERE \
         r.org_id = $1 AND r.project_id = p.id AND r.status IN ('pending', 'in_progress')) AS held \
         FROM projects p WHERE p.org_id = $1",
    )
    .bind(org.0)
    .fetch_all(&mut *db)
    .await?;
    let mut wanted = HashMap::new();
    for row in rows {
        let project = ProjectLoad {
            id: row.try_get::<i64, _>("id")?.into(),
            limit: limit("project", row.try_get("parallel_limit")?)?,
            weight: unsigned("project", row.try_get("weight")?)?,
            held: unsigned("project", row.try_get("held")?)?,
        };
        let slots = room(queue.limit, queue.held).min(room(project.limit, project.held));
        let head = match queued {
            Queued::Admissible => slots.min(HEAD),
            Queued::All => HEAD,
        };
        wanted.insert(project.id, head);
        queue.projects.push(project);
    }
    for batch in waiting(&mut *db, org).await? {
        let Some(wanted) = wanted.get_mut(&batch.project) else {
            continue;
        };
        let head = match queued {
            Queued::Admissible => room(batch.limit, batch.held).min(*wanted),
            Queued::All => *wanted,
        };
        if head == 0 {
            continue;
        }
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM runs WHERE org_id = $1 AND result_id = $2 AND status = 'in_queue' \
             ORDER BY id LIMIT $3",
        )
        .bind(org.0)
        .bind(batch.id.0)
        .bind(head)
        .fetch_all(&mut *db)
        .await?;
        *wanted -= i64::try_from(ids.len()).unwrap_or(head);
        queue.runs.extend(ids.into_iter().map(|id| QueuedRun {
            run: id.into(),
            project: batch.project,
            batch: batch.id,
        }));
        if batch.limit.is_some() {
            queue.batches.push(BatchLoad {
                id: batch.id,
                limit: batch.limit,
                held: batch.held,
            });
        }
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
