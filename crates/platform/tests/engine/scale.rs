//! A batch of the largest size, while others go on writing.

use std::time::{Duration, Instant};

use ringdown_bus::now;
use ringdown_platform::plan::{Request, Selection};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::world::{World, within};

/// Bounds for an unoptimised build on a busy machine; an optimised one is about ten times as fast.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(20);
const WRITERS_WAIT_AT_MOST: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_runs_are_accepted_without_keeping_others_waiting() {
    let world = World::start().await;
    let scenario = world.scenario("a", json!({})).await;
    world.limit(20).await;
    let stop = CancellationToken::new();
    let writer = tokio::spawn({
        let (db, stop, project) = (world.db.clone(), stop.clone(), world.project.clone());
        async move {
            let mut longest = Duration::ZERO;
            while !stop.is_cancelled() {
                let begun = Instant::now();
                db.update_project(&project, vec![], now()).await.unwrap();
                longest = longest.max(begun.elapsed());
                tokio::task::yield_now().await;
            }
            longest
        }
    });
    let begun = Instant::now();
    let request = Request {
        frequency: 10_000,
        ..Request::of(Selection::Scenarios(vec![scenario.id]))
    };
    let batch = world.engine.plan(world.org.id.into(), &request).await;
    let planned = begun.elapsed();
    let triggered = world.engine.trigger(batch.unwrap());
    let triggered = within("the batch is accepted", triggered).await.unwrap();
    let accepted = begun.elapsed();
    stop.cancel();
    let longest = writer.await.unwrap();
    eprintln!(
        "planned in {planned:?}, accepted in {accepted:?}, others waited {longest:?} at most"
    );
    assert_eq!(triggered.batch.counts.total, 10_000);
    assert_eq!(triggered.progress.len(), 10_000);
    assert!(accepted < ACCEPTED_WITHIN, "{accepted:?}");
    assert!(longest < WRITERS_WAIT_AT_MOST, "{longest:?}");
    let ids: Vec<i64> = triggered.runs.iter().map(|run| run.id.0).collect();
    assert!(ids.is_sorted(), "the order of the queue");
    world.close().await;
}
