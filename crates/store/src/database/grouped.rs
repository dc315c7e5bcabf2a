//! Steps of runs that come at the same time are carried out together: a transaction costs the same for one run
//! as for a hundred.

use ringdown_domain::RunId;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::Pools;
use super::apply::{Step, apply_all, apply_one};
use super::transitions::{load_all_locked, load_locked};
use crate::{Error, Result, Transition};

/// Steps carried out together, and steps that wait, at most.
const TOGETHER: usize = 128;

struct Item {
    step: Step,
    outcome: oneshot::Sender<Result<Transition>>,
}

/// Where steps are handed in. Cheap to clone; the work ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Steps(mpsc::Sender<Item>);

impl Steps {
    pub(super) fn start(pools: Pools) -> Self {
        let (sender, items) = mpsc::channel(TOGETHER);
        tokio::spawn(work(pools, items));
        Self(sender)
    }

    /// Carries out a step; what it did is on disk afterwards.
    pub(super) async fn take(&self, step: Step) -> Result<Transition> {
        let (outcome, done) = oneshot::channel();
        let gone = || Error::Database(sqlx::Error::PoolClosed);
        let item = Item { step, outcome };
        self.0.send(item).await.map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

async fn work(pools: Pools, mut items: mpsc::Receiver<Item>) {
    let mut group = Vec::new();
    while items.recv_many(&mut group, TOGETHER).await > 0 {
        let (steps, told): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|item| (item.step, item.outcome))
            .unzip();
        let outcomes = match carry_out(&pools, &steps).await {
            Ok(outcomes) => outcomes,
            Err(error) if steps.len() == 1 => vec![Err(error)],
            Err(error) => {
                // One of them may be to blame, and the others must not suffer for it.
                debug!(%error, steps = steps.len(), "carrying steps out one by one");
                let mut outcomes = Vec::with_capacity(steps.len());
                for step in &steps {
                    outcomes.push(alone(&pools, step.clone()).await);
                }
                outcomes
            }
        };
        for (outcome, told) in outcomes.into_iter().zip(told) {
            // Whoever does not wait any more will see the run as it is.
            let _ = told.send(outcome);
        }
    }
}

/// Carries out one step in a transaction of its own.
pub(super) async fn alone(pools: &Pools, step: Step) -> Result<Transition> {
    let mut on = pools.write().await?;
    let run = load_locked(&mut on, step.run).await?;
    let transition = apply_one(&mut on, run, step).await?;
    on.commit().await?;
    Ok(transition)
}

async fn carry_out(pools: &Pools, steps: &[Step]) -> Result<Vec<Result<Transition>>> {
    let mut on = pools.write().await?;
    let ids: Vec<RunId> = steps.iter().map(|step| step.run).collect();
    let runs = load_all_locked(&mut on, &ids).await?;
    let outcomes = apply_all(&mut on, runs, steps.to_vec()).await?;
    on.commit().await?;
    Ok(outcomes)
}
