//! Things of one kind that come at the same time are done together: a transaction costs the same for one as for
//! a hundred.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::Pools;
use crate::sql::Session;
use crate::{Error, Result};

/// Done together, and waiting, at most.
const TOGETHER: usize = 128;

/// Something that can share its transaction with others of its kind.
pub(super) trait Task: Clone + Send + Sync + 'static {
    /// What comes of it.
    type Outcome: Send;

    /// Does all of them, in their order. What fails alone is an outcome; an error leaves all of them undone.
    fn together(
        on: &mut Session,
        tasks: Vec<Self>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Outcome>>>> + Send;
}

struct Item<T: Task> {
    task: T,
    outcome: oneshot::Sender<Result<T::Outcome>>,
}

/// Where tasks are handed in. Cheap to clone; the work ends with the last clone.
#[derive(Clone, Debug)]
pub(super) struct Group<T: Task>(mpsc::Sender<Item<T>>);

impl<T: Task> Group<T> {
    pub(super) fn start(pools: Pools) -> Self {
        let (sender, items) = mpsc::channel(TOGETHER);
        tokio::spawn(work(pools, items));
        Self(sender)
    }

    /// Does it; what it did is on disk afterwards.
    pub(super) async fn take(&self, task: T) -> Result<T::Outcome> {
        let (outcome, done) = oneshot::channel();
        let gone = || Error::Database(sqlx::Error::PoolClosed);
        let item = Item { task, outcome };
        self.0.send(item).await.map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

async fn work<T: Task>(pools: Pools, mut items: mpsc::Receiver<Item<T>>) {
    let mut group = Vec::new();
    while items.recv_many(&mut group, TOGETHER).await > 0 {
        let (tasks, told): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|item| (item.task, item.outcome))
            .unzip();
        let outcomes = match transact(&pools, tasks.clone()).await {
            Ok(outcomes) => outcomes,
            Err(error) if tasks.len() == 1 => vec![Err(error)],
            Err(error) => {
                // One of them may be to blame, and the others must not suffer for it.
                debug!(%error, tasks = tasks.len(), "doing one by one what failed together");
                let mut outcomes = Vec::with_capacity(tasks.len());
                for task in tasks {
                    outcomes.push(alone(&pools, task).await);
                }
                outcomes
            }
        };
        for (outcome, told) in outcomes.into_iter().zip(told) {
            // Whoever does not wait any more will see what was done.
            let _ = told.send(outcome);
        }
    }
}

/// Does one in a transaction of its own.
pub(super) async fn alone<T: Task>(pools: &Pools, task: T) -> Result<T::Outcome> {
    let outcome = transact(pools, vec![task]).await?.pop();
    outcome.unwrap_or(Err(Error::Database(sqlx::Error::RowNotFound)))
}

async fn transact<T: Task>(pools: &Pools, tasks: Vec<T>) -> Result<Vec<Result<T::Outcome>>> {
    let mut on = pools.write().await?;
    let outcomes = T::together(&mut on, tasks).await?;
    on.commit().await?;
    Ok(outcomes)
}
