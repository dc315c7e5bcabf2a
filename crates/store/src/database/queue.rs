use std::collections::HashMap;
use std::time::Duration;

use ringdown_domain::admission::{BatchLoad, Decision, ProjectLoad, Queue, QueuedRun, decide};
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{OrganisationId, ProjectId, ResultId, RunId, Timestamp};

use super::Database;
use super::apply::{Step, apply_all};
use super::rows::{from_millis, limit, unsigned};
use super::tenancy::lock_organisation;
use super::transitions::{load_all, lock_batches};
use crate::sql::{Session, sql};
use crate::{QueueEntry, Result, Run, RunPatch};

/// Queued runs of one project that are looked at; the rest of a longer queue waits its turn.
const HEAD: i64 = 500;

/// Runs of one project that get slots in one transaction; whoever admits asks again until none is left.
const PORTION: i64 = 200;

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
async fn waiting(on: &mut Session, org: OrganisationId) -> Result<Vec<Waiting>> {
    let rows = sql("WITH RECURSIVE waiting (id) AS (\
         SELECT min(result_id) FROM runs WHERE org_id = $1 AND status = 'in_queue' \
         UNION ALL SELECT (SELECT min(result_id) FROM runs WHERE org_id = $1 \
         AND status = 'in_queue' AND result_id > waiting.id) FROM waiting \
         WHERE waiting.id IS NOT NULL) \
         SELECT b.id, b.project_id, b.concurrency_limit, CASE WHEN b.concurrency_limit IS NULL \
         THEN 0 ELSE (SELECT count(*) FROM runs r WHERE r.result_id = b.id \
         AND r.status IN ('pending', 'in_progress')) END AS held \
         FROM waiting JOIN batches b ON b.id = waiting.id AND b.state = 'ready' ORDER BY b.id")
    .bind(org.0)
    .all(on)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Waiting {
                id: row.id("id")?,
                project: row.id("project_id")?,
                limit: limit("batch", row.get("concurrency_limit")?)?,
                held: unsigned("batch", row.get("held")?)?,
            })
        })
        .collect()
}

fn room(limit: Option<u32>, held: u32) -> i64 {
    limit.map_or(HEAD, |limit| i64::from(limit.saturating_sub(held)))
}

/// The queue's head: of each project as many of its oldest runs as could matter. A batch is stored
/// with all its runs at once, so that the order of batches is the order of their runs.
async fn read_queue(on: &mut Session, org: OrganisationId, queued: Queued) -> Result<Queue> {
    let row = sql(
        "SELECT parallel_limit, (SELECT count(*) FROM runs WHERE org_id = $1 AND \
         status IN ('pending', 'in_progress')) AS held FROM organisations WHERE id = $1",
    )
    .bind(org.0)
    .one(on)
    .await?;
    let mut queue = Queue {
        limit: limit("organisation", row.get("parallel_limit")?)?,
        held: unsigned("organisation", row.get("held")?)?,
        ..Queue::default()
    };
    let rows = sql(
        "SELECT p.id, p.parallel_limit, p.weight, (SELECT count(*) FROM runs r WHERE \
         r.org_id = $1 AND r.project_id = p.id AND r.status IN ('pending', 'in_progress')) AS held \
         FROM projects p WHERE p.org_id = $1",
    )
    .bind(org.0)
    .all(on)
    .await?;
    let mut wanted = HashMap::new();
    for row in rows {
        let project = ProjectLoad {
            id: row.id("id")?,
            limit: limit("project", row.get("parallel_limit")?)?,
            weight: unsigned("project", row.get("weight")?)?,
            held: unsigned("project", row.get("held")?)?,
        };
        let slots = room(queue.limit, queue.held).min(room(project.limit, project.held));
        let head = match queued {
            Queued::Admissible => slots.min(PORTION),
            Queued::All => HEAD,
        };
        wanted.insert(project.id, head);
        queue.projects.push(project);
    }
    for batch in waiting(on, org).await? {
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
        let rows = sql(
            "SELECT id FROM runs WHERE org_id = $1 AND result_id = $2 AND status = 'in_queue' \
             ORDER BY id LIMIT $3",
        )
        .bind(org.0)
        .bind(batch.id.0)
        .bind(head)
        .all(on)
        .await?;
        let ids: Vec<RunId> = rows.iter().map(|row| row.id("id")).collect::<Result<_>>()?;
        *wanted -= i64::try_from(ids.len()).unwrap_or(head);
        queue.runs.extend(ids.into_iter().map(|id| QueuedRun {
            run: id,
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

pub(super) async fn admit(db: &Database, org: OrganisationId, now: Timestamp) -> Result<Vec<Run>> {
    let mut tx = db.write().await?;
    lock_organisation(&mut tx, org).await?;
    let queue = read_queue(&mut tx, org, Queued::Admissible).await?;
    let Decision { admitted, .. } = decide(&queue);
    let chosen = queue.runs.iter().filter(|run| admitted.contains(&run.run));
    lock_batches(&mut tx, chosen.map(|run| run.batch)).await?;
    // Those that were cancelled while their batch was waited for are left out.
    let mut runs = load_all(&mut tx, admitted.iter().map(|id| id.0)).await?;
    runs.retain(|run| run.status() == Status::InQueue);
    let rows = sql("SELECT id, dial_window_ms FROM projects WHERE org_id = $1")
        .bind(org.0)
        .all(&mut tx)
        .await?;
    let mut windows: HashMap<ProjectId, Duration> = HashMap::new();
    for row in rows {
        windows.insert(row.id("id")?, from_millis(row.get("dial_window_ms")?));
    }
    let projects: HashMap<RunId, ProjectId> =
        runs.iter().map(|run| (run.id, run.project)).collect();
    let steps = admitted.into_iter().filter_map(|run| {
        let dial_window = *windows.get(projects.get(&run)?)?;
        Some(Step {
            run,
            event: Some(Event::Admitted { dial_window }),
            patch: RunPatch::default(),
            now,
        })
    });
    let steps = steps.collect();
    let transitions = apply_all(&mut tx, runs, steps).await?;
    tx.commit().await?;
    let runs = transitions.into_iter().map(|done| Ok(done?.run));
    runs.collect()
}

pub(super) async fn explain(db: &Database, org: OrganisationId) -> Result<Vec<QueueEntry>> {
    let queue = read_queue(&mut db.read().await?, org, Queued::All).await?;
    let decision = decide(&queue);
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
