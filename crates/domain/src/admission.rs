//! Which queued runs get a slot. Pure: FIFO within a batch, weighted fair between projects, and
//! never past the organisation's, a project's or a batch's parallel-call limit.

use std::collections::HashMap;
use std::fmt;

use crate::{ProjectId, ResultId, RunId};

/// A project that has queued runs.
#[derive(Clone, Debug)]
pub struct ProjectLoad {
    /// The project.
    pub id: ProjectId,
    /// Its parallel-call limit; `None` is unlimited.
    pub limit: Option<u32>,
    /// Its share relative to other projects, at least 1.
    pub weight: u32,
    /// Slots it holds now.
    pub held: u32,
}

/// A batch that has queued runs.
#[derive(Clone, Debug)]
pub struct BatchLoad {
    /// The batch.
    pub id: ResultId,
    /// Its `concurrency_limit`; `None` is unlimited.
    pub limit: Option<u32>,
    /// Slots it holds now.
    pub held: u32,
}

/// A run in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedRun {
    /// The run.
    pub run: RunId,
    /// Its project.
    pub project: ProjectId,
    /// Its batch.
    pub batch: ResultId,
}

/// The queue of one organisation and what its slots are used for.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// The organisation's limit; `None` is unlimited.
    pub limit: Option<u32>,
    /// Slots the organisation holds now, over all its projects.
    pub held: u32,
    /// Projects with queued runs.
    pub projects: Vec<ProjectLoad>,
    /// Batches with queued runs.
    pub batches: Vec<BatchLoad>,
    /// Queued runs, oldest first.
    pub runs: Vec<QueuedRun>,
}

/// The limit that keeps a run in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The organisation's parallel-call limit.
    Organisation,
    /// The project's parallel-call limit.
    Project,
    /// The batch's `concurrency_limit`.
    Batch,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Organisation => "organisation",
            Self::Project => "project",
            Self::Batch => "batch",
        })
    }
}

/// What to do with the queue now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Runs that get a slot, in the order they get it.
    pub admitted: Vec<RunId>,
    /// Runs that stay, in queue order, each with the limit that keeps it.
    pub blocked: Vec<(RunId, Limit)>,
}

fn has_room(limit: Option<u32>, held: u32) -> bool {
    limit.is_none_or(|limit| held < limit)
}

/// Admits as many queued runs as the limits allow.
///
/// Each grant goes to the project whose use per weight is lowest, so that a project with a long
/// queue cannot starve another; inside a project the oldest run whose batch has room is taken.
/// Runs in time proportional to the queue for every grant.
pub fn decide(queue: &Queue) -> Decision {
    let mut held = queue.held;
    let mut projects: HashMap<ProjectId, ProjectLoad> =
        queue.projects.iter().map(|p| (p.id, p.clone())).collect();
    let mut batches: HashMap<ResultId, BatchLoad> =
        queue.batches.iter().map(|b| (b.id, b.clone())).collect();
    let mut waiting = queue.runs.clone();
    let mut decision = Decision::default();
    while has_room(queue.limit, held) {
        let best = waiting
            .iter()
            .enumerate()
            .filter(|(_, run)| keeps_out(run, &projects, &batches).is_none())
            .min_by_key(|(index, run)| {
                let (used, weight) = projects
                    .get(&run.project)
                    .map_or((0, 1), |p| (p.held, p.weight.max(1)));
                (u64::from(used) * 1_000_000 / u64::from(weight), *index)
            })
            .map(|(index, _)| index);
        let Some(index) = best else { break };
        let run = waiting.remove(index);
        held += 1;
        if let Some(project) = projects.get_mut(&run.project) {
            project.held += 1;
        }
        if let Some(batch) = batches.get_mut(&run.batch) {
            batch.held += 1;
        }
        decision.admitted.push(run.run);
    }
    decision.blocked = waiting
        .iter()
        .map(|run| {
            let limit = keeps_out(run, &projects, &batches).unwrap_or(Limit::Organisation);
            (run.run, limit)
        })
        .collect();
    decision
}

fn keeps_out(
    run: &QueuedRun,
    projects: &HashMap<ProjectId, ProjectLoad>,
    batches: &HashMap<ResultId, BatchLoad>,
) -> Option<Limit> {
    let project_full = projects
        .get(&run.project)
        .is_some_and(|p| !has_room(p.limit, p.held));
    let batch_full = batches
        .get(&run.batch)
        .is_some_and(|b| !has_room(b.limit, b.held));
    if project_full {
        Some(Limit::Project)
    } else if batch_full {
        Some(Limit::Batch)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn project(id: i64, limit: Option<u32>, held: u32) -> ProjectLoad {
        ProjectLoad {
            id: ProjectId(id),
            limit,
            weight: 1,
            held,
        }
    }

    fn run(id: i64, project: i64, batch: i64) -> QueuedRun {
        QueuedRun {
            run: RunId(id),
            project: ProjectId(project),
            batch: ResultId(batch),
        }
    }

    #[test]
    fn grants_alternate_between_projects_and_keep_the_order_inside_one() {
        let queue = Queue {
            limit: Some(4),
            projects: vec![project(1, None, 0), project(2, None, 0)],
            runs: vec![
                run(1, 1, 1),
                run(2, 1, 1),
                run(3, 1, 1),
                run(4, 2, 2),
                run(5, 2, 2),
            ],
            ..Queue::default()
        };
        let decision = decide(&queue);
        assert_eq!(decision.admitted, [RunId(1), RunId(4), RunId(2), RunId(5)]);
        assert_eq!(decision.blocked, [(RunId(3), Limit::Organisation)]);
    }

    #[test]
    fn the_limit_that_blocks_is_named() {
        let queue = Queue {
            limit: Some(10),
            held: 1,
            projects: vec![project(1, Some(1), 1), project(2, None, 0)],
            batches: vec![BatchLoad {
                id: ResultId(2),
                limit: Some(0),
                held: 0,
            }],
            runs: vec![run(1, 1, 1), run(2, 2, 2)],
        };
        assert_eq!(
            decide(&queue).blocked,
            [(RunId(1), Limit::Project), (RunId(2), Limit::Batch)]
        );
    }

    proptest! {
        #[test]
        fn no_limit_is_ever_exceeded_and_no_room_is_wasted(
            org in proptest::option::of(0u32..6),
            limits in proptest::collection::vec(proptest::option::of(0u32..4), 3),
            batch_limits in proptest::collection::vec(proptest::option::of(0u32..4), 3),
            picks in proptest::collection::vec((0i64..3, 0i64..3), 0..20),
        ) {
            let queue = Queue {
                limit: org,
                held: 0,
                projects: (0i64..3).zip(&limits).map(|(id, l)| project(id, *l, 0)).collect(),
                batches: (0i64..3)
                    .zip(&batch_limits)
                    .map(|(id, l)| BatchLoad { id: ResultId(id), limit: *l, held: 0 })
                    .collect(),
                runs: (0i64..)
                    .zip(&picks)
                    .map(|(id, (p, b))| run(id, *p, *b))
                    .collect(),
            };
            let decision = decide(&queue);
            let admitted: Vec<_> =
                queue.runs.iter().filter(|r| decision.admitted.contains(&r.run)).collect();
            prop_assert_eq!(decision.admitted.len() + decision.blocked.len(), queue.runs.len());
            prop_assert!(org.is_none_or(|l| admitted.len() <= l as usize));
            for (id, limit) in (0i64..).zip(&limits) {
                let n = admitted.iter().filter(|r| r.project.0 == id).count();
                prop_assert!(limit.is_none_or(|l| n <= l as usize));
            }
            for (id, limit) in (0i64..).zip(&batch_limits) {
                let n = admitted.iter().filter(|r| r.batch.0 == id).count();
                prop_assert!(limit.is_none_or(|l| n <= l as usize));
            }
            let org_full = org.is_some_and(|l| admitted.len() >= l as usize);
            for (_, limit) in &decision.blocked {
                prop_assert!(*limit != Limit::Organisation || org_full);
            }
        }
    }
}
