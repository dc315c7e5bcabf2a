//! Why runs wait. Bounded, however long the queue is.

use std::collections::BTreeMap;

use ringdown_domain::admission::{BatchLoad, ProjectLoad, Queue, Settled};
use ringdown_domain::{OrganisationId, RunId, Timestamp};

use super::Database;
use super::queue::{Batches, Slots, projects};
use crate::sql::{Session, sql};
use crate::{QueueEntry, Result};

/// Queued runs of one project that are listed.
const HEAD: u32 = 500;

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

/// The oldest queued runs of a batch.
async fn oldest(on: &mut Session, batch: &BatchLoad, most: u32) -> Result<Vec<RunId>> {
    let rows = sql(
        "SELECT id FROM runs WHERE result_id = $1 AND status = 'in_queue' ORDER BY id LIMIT $2",
    )
    .bind(batch.id.0)
    .bind(most)
    .all(on)
    .await?;
    rows.iter().map(|row| row.id("id")).collect()
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
            let runs = oldest(&mut on, batch, left).await?;
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
