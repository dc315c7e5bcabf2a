//! How the platform answers what other roles ask it: several questions at once, and none after it was told to stop.

use std::sync::Arc;

use ringdown_bus::{Question, Questions};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Answers questions until `stop`, at most `at_once` at the same time; more wait in the connection. Those begun are finished.
pub(super) async fn answer_all<Q, A, F>(
    mut questions: Questions<Q, A>,
    at_once: usize,
    stop: CancellationToken,
    answer: impl Fn(Question<Q, A>) -> F,
) where
    Q: prost::Message + Default,
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(at_once));
    let mut working = JoinSet::new();
    loop {
        while working.try_join_next().is_some() {}
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((permit, questions.next().await?))
        };
        let Some(Some((permit, question))) = stop.run_until_cancelled(next).await else {
            break;
        };
        let work = answer(question);
        working.spawn(async move {
            work.await;
            drop(permit);
        });
    }
    while working.join_next().await.is_some() {}
}
