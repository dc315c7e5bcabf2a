//! Why runs wait: of all of them, and of one.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State as Extract;
use ringdown_api::own as wire;
use ringdown_bus::now;
use ringdown_domain::RunId;
use ringdown_domain::admission::{Limit, Pace};
use ringdown_store::{Holder, QueuePlace, Run};

use super::State;
use super::operations::{Kind, Table};
use super::pages::{Asked, Id, time};
use crate::error::Answer;

/// What a run waits for whose turn it is.
const ADMISSION: &str = "admission";

pub(crate) fn operations(table: &mut Table) {
    table
        .get("/ringdown/v1/queue", list)
        .id("ringdown-queue-list")
        .summary("List the runs that wait, and why")
        .about("In the order of their turns; of a long queue, the first 500 of each project.")
        .answers::<Vec<wire::QueueEntry>>(200);
    table
        .get("/ringdown/v1/runs/{id}/queue", place)
        .id("ringdown-runs-queue-retrieve")
        .summary("Say why a run waits, and for how long")
        .path("id", Kind::Id, "The run.")
        .answers::<wire::QueuePlace>(200);
}

async fn list(Extract(state): Extract<State>, asked: Asked) -> Answer<Json<Vec<wire::QueueEntry>>> {
    let scope = asked.principal.scope;
    let mut entries = state.store().queue(scope.org, now()).await?;
    if scope.project.is_some() {
        // Counted among themselves: how many runs of other projects wait is not this key's business.
        let ids: Vec<RunId> = entries.iter().map(|entry| entry.run).collect();
        let seen = state.store().versions(scope, &ids).await?;
        let seen: HashSet<RunId> = seen.into_iter().map(|(run, _)| run).collect();
        entries.retain(|entry| seen.contains(&entry.run));
        for (entry, position) in entries.iter_mut().zip(1..) {
            entry.position = position;
        }
    }
    let show = |entry: ringdown_store::QueueEntry| wire::QueueEntry {
        run_id: entry.run.0,
        position: entry.position,
        blocked_by: entry.blocked_by,
    };
    Ok(Json(entries.into_iter().map(show).collect()))
}

async fn place(
    Extract(state): Extract<State>,
    Id(id): Id,
    asked: Asked,
) -> Answer<Json<wire::QueuePlace>> {
    let scope = asked.principal.scope;
    let run = state.store().run(scope, RunId(id)).await?;
    let place = state.store().place(scope, run.id, now()).await?;
    Ok(Json(show(&run, place)))
}

fn show(run: &Run, place: Option<QueuePlace>) -> wire::QueuePlace {
    let Some(place) = place else {
        return wire::QueuePlace {
            run_id: run.id.0,
            queued: false,
            estimate_unknown_because: Some(format!("it is not queued: it is {}", run.status())),
            ..wire::QueuePlace::default()
        };
    };
    let holder = |holder: Holder| wire::SlotHolder {
        run_id: holder.run.0,
        status: holder.status.to_string(),
        since: time(holder.since),
    };
    wire::QueuePlace {
        run_id: run.id.0,
        queued: true,
        position: place.position,
        blocked_by: Some(place.blocked_by.map_or(ADMISSION, Limit::as_str).to_owned()),
        limit: place.limit,
        held: place.held,
        calls_per_second: place.pace.map(Pace::calls_per_second),
        holders: place.holders.into_iter().map(holder).collect(),
        estimated_start_at: place.starts_at.ok().map(time),
        estimate_unknown_because: place.starts_at.err().map(|why| why.to_string()),
    }
}
