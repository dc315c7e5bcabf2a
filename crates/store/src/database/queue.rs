//! Admission. Everything here takes a time that depends on the slots that are used and given, and not on
//! how long the queue is: what waits is counted with its batch, and runs are read only to be admitted.

use std::collections::HashMap;
use std::time::Duration;

use ringdown_domain::admission::{
    Account, BatchLoad, Decision, Grant, Lag, ProjectLoad, Queue, decide,
};
use ringdown_domain::invariant::of_admission;
use ringdown_domain::run::Event;
use ringdown_domain::{OrganisationId, ProjectId, ResultId, RunId, Timestamp};
use serde_json::json;

use super::Database;
use super::apply::{Step, apply_all};
use super::rows::{from_json, from_millis, limit, not_found, unsigned};
use super::tenancy::{lock_organisation, pace};
use super::transitions::{load_all, lock_batches};
use crate::sql::{Row, Session, sql};
use crate::{Admission, Result, RunPatch};

/// Runs that get slots in one transaction; whoever admits asks again until none is left.
const PORTION: u32 = 200;

/// Batches of a project that are read beside those that could get a slot, so that its share does not look
/// smaller than it is.
const BESIDE: u32 = 4;

/// Which waiting batches are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Batches {
    /// Those that no limit of their own keeps from a slot.
    WithRoom,
    /// All, to say what each waits for.
    All,
}

/// A project with what admission needs beside its load.
pub(super) struct Project {
    pub(super) load: ProjectLoad,
    dial_window: Duration,
}

/// What an organisation's slots are used for.
pub(super) struct Slots {
    pub(super) limit: Option<u32>,
    held: HashMap<ProjectId, u32>,
}

impl Slots {
    pub(super) async fn read(on: &mut Session, org: OrganisationId) -> Result<Self> {
        let rows = sql(
            "SELECT o.parallel_limit, h.project_id, h.held FROM organisations o LEFT JOIN \
             (SELECT project_id, count(*) AS held FROM runs WHERE org_id = $1 \
             AND status IN ('pending', 'in_progress') GROUP BY project_id) h ON 1 = 1 WHERE o.id = $1",
        )
        .bind(org.0)
        .all(on)
        .await?;
        let mut slots = Self {
            limit: None,
            held: HashMap::new(),
        };
        for row in &rows {
            slots.limit = limit("organisation", row.get("parallel_limit")?)?;
            if let Some(project) = row.maybe_id("project_id")? {
                let held = row.get::<Option<i64>>("held")?.unwrap_or(0);
                slots.held.insert(project, unsigned("project", held)?);
            }
        }
        Ok(slots)
    }

    pub(super) fn held(&self) -> u32 {
        self.held.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Slots that the organisation has left.
    fn room(&self) -> u32 {
        self.limit
            .map_or(u32::MAX, |limit| limit.saturating_sub(self.held()))
    }
}

/// A waiting batch as it is read: id, limit, slots it holds, runs in the queue, priority.
type Waiting = (i64, Option<u32>, u32, u32, i64);

/// The oldest queued runs of a batch, at most `most`.
pub(super) async fn oldest(on: &mut Session, batch: ResultId, most: u32) -> Result<Vec<RunId>> {
    let mut query = sql("SELECT id FROM runs WHERE status = 'in_queue' AND ");
    // PostgreSQL would walk all runs in the order of their ids, in the hope of meeting queued ones of the
    // batch soon, and pass those that have ended. That the batch is a range of one makes its index the only
    // one in the right order.
    query
        .either("result_id = ", "result_id BETWEEN ")
        .push_bind(batch.0)
        .either("", " AND $1")
        .either(" ORDER BY id", " ORDER BY result_id, id")
        .push(" LIMIT ")
        .push_bind(most);
    let rows = query.all(on).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Reads the projects that have queued runs or are remembered to have had some, each with at most `most`
/// waiting batches.
pub(super) async fn projects(
    on: &mut Session,
    org: OrganisationId,
    slots: &Slots,
    batches: Batches,
    most: u32,
) -> Result<Vec<Project>> {
    let mut query = sql(
        "SELECT p.id, p.parallel_limit, p.weight, p.pace, p.last_start_at, p.lag, p.lag_rate, p.lag_at, \
         p.dial_window_ms, (SELECT ",
    );
    query
        .either(
            "json_group_array(json_array(id, lim, held, in_queue, priority))",
            "coalesce(jsonb_agg(jsonb_build_array(id, lim, held, in_queue, priority))::text, '[]')",
        )
        .push(
            " FROM (SELECT c.result_id AS id, b.concurrency_limit AS lim, \
             c.pending + c.in_progress AS held, c.in_queue, c.priority FROM batch_counts c \
             CROSS JOIN batches b WHERE b.id = c.result_id AND c.project_id = p.id \
             AND c.in_queue > 0 AND b.state = 'ready' ",
        )
        .push(match batches {
            Batches::All => "",
            Batches::WithRoom => {
                "AND (b.concurrency_limit IS NULL OR c.pending + c.in_progress < b.concurrency_limit) "
            }
        })
        .push("ORDER BY c.priority DESC, c.result_id LIMIT ")
        .push_bind(i64::from(most) + 1)
        .push(") w) AS waiting FROM projects p WHERE p.org_id = ")
        .push_bind(org.0);
    let rows = query.all(on).await?;
    let mut projects = Vec::new();
    for row in &rows {
        let project = project(row, slots, most)?;
        if !project.load.batches.is_empty() || project.load.lag != Lag::NONE {
            projects.push(project);
        }
    }
    Ok(projects)
}

fn project(row: &Row, slots: &Slots, most: u32) -> Result<Project> {
    let id: ProjectId = row.id("id")?;
    let mut waiting: Vec<Waiting> = from_json("project", row.get("waiting")?)?;
    waiting.sort_by_key(|(id, .., priority)| (-priority, *id));
    let wanted = usize::try_from(most).unwrap_or(usize::MAX);
    let more = waiting.len() > wanted;
    waiting.truncate(wanted);
    let batches = waiting
        .into_iter()
        .map(|(id, limit, held, queued, _)| BatchLoad {
            id: ResultId(id),
            limit,
            held,
            queued,
        });
    Ok(Project {
        load: ProjectLoad {
            id,
            limit: limit("project", row.get("parallel_limit")?)?,
            weight: unsigned("project", row.get("weight")?)?,
            held: slots.held.get(&id).copied().unwrap_or(0),
            pace: pace(row.get("pace")?)?,
            lag: Lag {
                behind: row.get("lag")?,
                rate: row.get("lag_rate")?,
                since: Timestamp::from_micros(row.get("lag_at")?),
            },
            last_start: row
                .get::<Option<i64>>("last_start_at")?
                .map(Timestamp::from_micros),
            batches: batches.collect(),
            more,
        },
        dial_window: from_millis(row.get("dial_window_ms")?),
    })
}

/// Writes what projects are remembered by.
async fn remember(on: &mut Session, accounts: &[Account]) -> Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    let rows = accounts.iter().map(|account| {
        json!({
            "id": account.project.0,
            "lag": account.lag.behind,
            "lag_rate": account.lag.rate,
            "lag_at": account.lag.since,
            "last_start_at": account.last_start,
        })
    });
    let columns = ["id", "lag", "lag_rate", "lag_at", "last_start_at"].map(|name| (name, "bigint"));
    let mut update = sql("UPDATE projects SET lag = j.lag, lag_rate = j.lag_rate, \
         lag_at = j.lag_at, last_start_at = j.last_start_at FROM ");
    update
        .push_records("j", &columns, rows.collect())
        .push(" WHERE projects.id = j.id");
    update.run(on).await?;
    Ok(())
}

/// The oldest queued runs of each batch, as many as it has grants, in the order of the grants. Fewer, if
/// some were cancelled since they were counted. The batches have to be locked.
async fn chosen(on: &mut Session, grants: &[Grant]) -> Result<Vec<RunId>> {
    let mut wanted: HashMap<ResultId, u32> = HashMap::new();
    for grant in grants {
        *wanted.entry(grant.batch).or_default() += 1;
    }
    let mut of_batch: HashMap<ResultId, std::vec::IntoIter<RunId>> = HashMap::new();
    for (batch, wanted) in wanted {
        let ids = oldest(on, batch, wanted).await?;
        of_batch.insert(batch, ids.into_iter());
    }
    let runs = grants.iter();
    let runs = runs.filter_map(|grant| of_batch.get_mut(&grant.batch).and_then(Iterator::next));
    Ok(runs.collect())
}

pub(super) async fn admit(db: &Database, org: OrganisationId, now: Timestamp) -> Result<Admission> {
    let mut tx = db.write().await?;
    lock_organisation(&mut tx, org).await?;
    let slots = Slots::read(&mut tx, org).await?;
    let room = slots.room().min(PORTION);
    if room == 0 {
        // Whoever frees a slot asks again.
        return Ok(Admission::default());
    }
    let projects = projects(&mut tx, org, &slots, Batches::WithRoom, room + BESIDE).await?;
    let windows: HashMap<ProjectId, Duration> = projects
        .iter()
        .map(|project| (project.load.id, project.dial_window))
        .collect();
    let queue = Queue {
        limit: slots.limit,
        held: slots.held(),
        projects: projects.into_iter().map(|project| project.load).collect(),
    };
    let decision = decide(&queue, PORTION, now);
    let violation = of_admission(&queue, &decision);
    let Decision {
        grants,
        accounts,
        more,
        next,
    } = decision;
    if grants.is_empty() && accounts.is_empty() {
        return Ok(Admission {
            next,
            ..Admission::default()
        });
    }
    remember(&mut tx, &accounts).await?;
    lock_batches(&mut tx, grants.iter().map(|grant| grant.batch)).await?;
    let chosen = chosen(&mut tx, &grants).await?;
    let missing = chosen.len() < grants.len();
    let runs = load_all(&mut tx, chosen.iter().map(|id| id.0)).await?;
    let projects: HashMap<RunId, ProjectId> =
        runs.iter().map(|run| (run.id, run.project)).collect();
    let mut steps = Vec::with_capacity(chosen.len());
    for run in chosen {
        let window = projects.get(&run).and_then(|id| windows.get(id)).copied();
        let dial_window = window.ok_or_else(|| not_found("project of run", run))?;
        steps.push(Step {
            run,
            event: Some(Event::Admitted { dial_window }),
            patch: RunPatch::default(),
            now,
        });
    }
    let transitions = apply_all(&mut tx, runs, steps).await?;
    tx.commit().await?;
    let runs = transitions.into_iter().map(|done| Ok(done?.run));
    Ok(Admission {
        runs: runs.collect::<Result<_>>()?,
        more: more || missing,
        next,
        violation,
    })
}

/// Organisations that have queued runs.
pub(super) async fn organisations(db: &Database) -> Result<Vec<OrganisationId>> {
    let rows = sql(
        "SELECT p.org_id FROM projects p WHERE EXISTS (SELECT 1 FROM batch_counts c \
         WHERE c.project_id = p.id AND c.in_queue > 0) GROUP BY p.org_id ORDER BY p.org_id",
    )
    .all(&mut db.read().await?)
    .await?;
    rows.iter().map(|row| row.id("org_id")).collect()
}
