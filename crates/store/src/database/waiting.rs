//! Why runs wait. Bounded, however long the queue is: whole batches are counted by their counts, and runs
//! one by one only inside the batch that is asked about.

use std::collections::BTreeMap;
use std::time::Duration;

use ringdown_domain::admission::{BatchLoad, Limit, Place, ProjectLoad, Queue, Settled, Unknown};
use ringdown_domain::{OrganisationId, ResultId, RunId, Timestamp};

use super::Database;
use super::queue::{Batches, Slots, oldest, projects};
use super::rows::{count, from_millis, limit, not_found, status, unsigned, within};
use crate::sql::{Session, sql};
use crate::{HOLDERS, Holder, QueueEntry, QueuePlace, Result, Scope};

/// Queued runs of one project that are listed.
const HEAD: u32 = 500;

/// Runs of an organisation, of each kind of end, that are looked at to measure a project's.
const RECENT: u32 = 300;

/// Runs of a project that are measured, of each kind of end.
const MEASURED: usize = 50;

/// Waiting batches of one project that are looked at.
const BATCHES: u32 = 500;

async fn settled(
    on: &mut Session,
    org: OrganisationId,
    now: Timestamp,
) -> Result<(Queue, Settled)> {
    let slots = Slots::read(on, org).await?;
    let projects = projects(on, org, &slots, Batches::All, BATCHES).await?;
    let queue = Queue {
        limit: slots.limit,
        held: slots.held(),
        projects: projects.into_iter().map(|project| project.load).collect(),
    };
    let settled = Settled::of(&queue, now);
    Ok((queue, settled))
}

pub(super) async fn list(
    db: &Database,
    org: OrganisationId,
    now: Timestamp,
) -> Result<Vec<QueueEntry>> {
    let mut on = db.read().await?;
    let (queue, settled) = settled(&mut on, org, now).await?;
    // In the order of their turns; runs that could start now are only waiting for admission to look.
    let mut turns = BTreeMap::new();
    for project in &queue.projects {
        let mut left = HEAD;
        let mut place = 0_u64;
        for batch in &project.batches {
            if left == 0 {
                break;
            }
            let runs = oldest(&mut on, batch.id, left).await?;
            left = left.saturating_sub(u32::try_from(runs.len()).unwrap_or(u32::MAX));
            let starting = settled.starting(batch.id);
            let waits_for = keeps(&settled, project, batch, now);
            for (index, run) in runs.into_iter().enumerate() {
                let (turn, waits_for) = if index < starting {
                    (0, "admission".to_owned())
                } else {
                    place += 1;
                    (1 + turn(&settled, project, place), waits_for.clone())
                };
                turns.insert((turn, batch.id, run), waits_for);
            }
        }
    }
    let entries = turns.into_iter().zip(1..);
    Ok(entries
        .map(|(((_, _, run), blocked_by), position)| QueueEntry {
            run,
            position,
            blocked_by,
        })
        .collect())
}

fn keeps(settled: &Settled, project: &ProjectLoad, batch: &BatchLoad, now: Timestamp) -> String {
    let later = settled.project(project.id);
    let keeps = later.and_then(|project| {
        let batch = project.batches.iter().find(|later| later.id == batch.id)?;
        settled.keeps(project, batch, now)
    });
    keeps.map_or_else(|| "admission".to_owned(), |limit| limit.to_string())
}

/// When the `place`th waiting run of a project has its turn: how many others go before it.
fn turn(settled: &Settled, project: &ProjectLoad, place: u64) -> u64 {
    let later = settled.project(project.id).unwrap_or(project);
    place.saturating_add(settled.others_before(later, place))
}

/// A queued run and its batch.
struct Queued {
    project: ProjectLoad,
    batch: BatchLoad,
    gated: bool,
    place: Place,
}

/// Where a run is in the queue of its project.
async fn queued(
    on: &mut Session,
    scope: Scope,
    id: RunId,
    settled: &Settled,
) -> Result<Option<Queued>> {
    let mut query = sql(
        "SELECT r.status, r.project_id, r.result_id, b.state, b.concurrency_limit, c.priority, c.in_queue, \
         c.pending + c.in_progress AS held FROM runs r JOIN batches b ON b.id = r.result_id \
         AND b.state <> 'staging' JOIN batch_counts c ON c.result_id = b.id WHERE r.id = $1 AND ",
    )
    .bind(id.0);
    within(&mut query, "r.", scope);
    let row = query.optional(on).await?;
    let row = row.ok_or_else(|| not_found("run", id))?;
    let project = row.id("project_id")?;
    // A project whose batches all wait for their gates has no queue to admission.
    let known = settled.project(project).cloned();
    let project = known.unwrap_or_else(|| ProjectLoad::idle(project));
    let batch: ResultId = row.id("result_id")?;
    if row.get::<&str>("status")? != "in_queue" {
        return Ok(None);
    }
    let mut before = sql(
        "SELECT (SELECT count(*) FROM runs WHERE result_id = $1 AND status = 'in_queue' AND id < $2) \
         AS in_batch, CAST(coalesce(sum(c.in_queue), 0) AS BIGINT) AS in_project \
         FROM batch_counts c CROSS JOIN batches b WHERE b.id = c.result_id AND b.state = 'ready' \
         AND c.project_id = $3 AND c.in_queue > 0 AND (c.priority > $4 OR \
         (c.priority = $4 AND c.result_id < $1))",
    );
    before = before.bind(batch.0).bind(id.0);
    before = before.bind(row.get::<i64>("project_id")?);
    let before = before.bind(row.get::<i64>("priority")?).one(on).await?;
    let in_batch = 1 + count("run", before.get("in_batch")?)?;
    let in_project = in_batch + count("run", before.get("in_project")?)?;
    let gated = row.get::<&str>("state")? == "gated";
    Ok(Some(Queued {
        project,
        batch: BatchLoad {
            id: batch,
            limit: limit("batch", row.get("concurrency_limit")?)?,
            held: unsigned("batch", row.get("held")?)?,
            queued: unsigned("batch", row.get("in_queue")?)?,
        },
        gated,
        place: Place {
            in_project,
            in_batch,
        },
    }))
}

/// How long runs of a project held their slots lately, on average.
async fn measured(
    on: &mut Session,
    org: OrganisationId,
    project: &ProjectLoad,
) -> Result<Option<Duration>> {
    let mut held = Vec::new();
    for status in ["completed", "failed", "timeout"] {
        let rows = sql(
            "SELECT r.opens_at, r.executed_at, r.duration_ms, r.updated_at FROM (SELECT project_id, \
             opens_at, executed_at, duration_ms, updated_at FROM runs WHERE org_id = $1 AND status = $2 \
             ORDER BY id DESC LIMIT $3) r WHERE r.project_id = $4 AND r.opens_at IS NOT NULL",
        )
        .bind(org.0)
        .bind(status)
        .bind(RECENT)
        .bind(project.id.0)
        .all(on)
        .await?;
        for row in rows.iter().take(MEASURED) {
            let micros = |column: &str| -> Result<Option<Timestamp>> {
                Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
            };
            let length = row.get::<Option<i64>>("duration_ms")?.map(from_millis);
            let ended = match (micros("executed_at")?, length) {
                (Some(answered), Some(length)) => Some(answered.plus(length)),
                _ => micros("updated_at")?,
            };
            if let (Some(opened), Some(ended)) = (micros("opens_at")?, ended) {
                held.push(ended.since(opened));
            }
        }
    }
    let all: Duration = held.iter().sum();
    let runs = u32::try_from(held.len()).unwrap_or(u32::MAX);
    Ok(all.checked_div(runs))
}

/// Runs that use the slots of a limit, oldest first.
async fn holders(
    on: &mut Session,
    scope: Scope,
    keeps: Limit,
    queued: &Queued,
) -> Result<Vec<Holder>> {
    let mut query = sql(
        "SELECT id, status, opens_at, executed_at FROM runs WHERE status IN ('pending', 'in_progress') \
         AND ",
    );
    within(&mut query, "", scope);
    match keeps {
        Limit::Organisation => {}
        Limit::Project => {
            query
                .push(" AND project_id = ")
                .push_bind(queued.project.id.0);
        }
        Limit::Batch => {
            query.push(" AND result_id = ").push_bind(queued.batch.id.0);
        }
        Limit::Pace | Limit::Gate => return Ok(Vec::new()),
    }
    query.push(" ORDER BY id LIMIT ").push_bind(HOLDERS);
    let rows = query.all(on).await?;
    rows.iter()
        .map(|row| {
            let since = match row.get::<Option<i64>>("executed_at")? {
                Some(answered) => Some(answered),
                None => row.get("opens_at")?,
            };
            Ok(Holder {
                run: row.id("id")?,
                status: status(row.get("status")?)?,
                since: Timestamp::from_micros(since.unwrap_or(0)),
            })
        })
        .collect()
}

pub(super) async fn place(
    db: &Database,
    scope: Scope,
    id: RunId,
    now: Timestamp,
) -> Result<Option<QueuePlace>> {
    let mut on = db.read().await?;
    let (_, settled) = settled(&mut on, scope.org, now).await?;
    let Some(queued) = queued(&mut on, scope, id, &settled).await? else {
        return Ok(None);
    };
    let Queued {
        project,
        batch,
        gated,
        place,
    } = &queued;
    let mut shown = QueuePlace {
        position: None,
        blocked_by: Some(Limit::Gate),
        limit: None,
        held: None,
        pace: project.pace,
        holders: Vec::new(),
        starts_at: Err(Unknown::Gated),
    };
    if *gated {
        return Ok(Some(shown));
    }
    let starting = u64::try_from(settled.starting(batch.id)).unwrap_or(u64::MAX);
    if place.in_batch <= starting {
        shown.position = Some(place.in_project);
        shown.blocked_by = None;
        shown.starts_at = Ok(now);
        return Ok(Some(shown));
    }
    let place = Place {
        in_project: place
            .in_project
            .saturating_sub(settled.starting_of(project.id))
            .max(1),
        in_batch: place.in_batch.saturating_sub(starting).max(1),
    };
    let batch = BatchLoad {
        held: batch
            .held
            .saturating_add(u32::try_from(starting).unwrap_or(u32::MAX)),
        ..*batch
    };
    let others = match scope.project {
        // How many runs of other projects wait is not the business of one.
        Some(_) => 0,
        None => settled.others_before(project, place.in_project),
    };
    shown.position = Some(place.in_project.saturating_add(others));
    shown.blocked_by = settled.keeps(project, &batch, now);
    let (limit, held) = match shown.blocked_by {
        Some(Limit::Organisation) if scope.project.is_none() => settled.organisation(),
        Some(Limit::Project) => (project.limit, project.held),
        Some(Limit::Batch) => (batch.limit, batch.held),
        _ => (None, 0),
    };
    (shown.limit, shown.held) = (limit, limit.map(|_| held));
    if let Some(keeps) = shown.blocked_by {
        shown.holders = holders(&mut on, scope, keeps, &queued).await?;
    }
    let mean = measured(&mut on, scope.org, project).await?;
    shown.starts_at = settled.starts_at(project, &batch, place, mean, now);
    Ok(Some(shown))
}
