//! Processes that die, targets that are dead, and several platforms at once.

use std::sync::Arc;
use std::time::Duration;

use ringdown_store::WebhookState::{Delivered, Due};
use ringdown_store::{RunPatch, WebhookState};
use tokio::task::JoinSet;

use crate::receiver::{Receiver, Reply, status};
use crate::world::{World, now, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_sending_and_writing_down_loses_nothing() {
    let held = Reply::Hold(Box::new(status("200 OK")));
    let mut target = Receiver::start([held]).await;
    let world = World::start(&target.url()).await;
    let options = ringdown_webhook::Options {
        lease: Duration::from_millis(500),
        ..quick()
    };
    let dying = world.serve(options.clone());
    let event = world.ended().await;
    let first = target.hear().await;
    // As abrupt as a kill: what is in flight is dropped where it stands.
    dying.drain(Duration::ZERO).await;
    let (found, tries) = world.read(&event).await;
    assert_eq!((found.state, tries.len()), (Due, 0));
    let service = world.serve(options);
    let again = target.hear().await;
    assert_eq!(again.body, first.body);
    let id = |heard: &crate::receiver::Heard| heard.header("X-Ringdown-Event-Id").to_owned();
    assert_eq!(id(&again), id(&first));
    world.until(&event, Delivered, 1).await;
    assert_eq!(target.backlog(), 0);
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_does_not_change_when_its_result_does() {
    let mut target = Receiver::start([status("500 Internal Server Error")]).await;
    let world = World::start(&target.url()).await;
    let mut options = quick();
    options.schedule.completed = vec![Duration::from_secs(3600)];
    let service = world.serve(options);
    let event = world.ended().await;
    let first = target.hear().await;
    world.until(&event, Due, 1).await;
    let scope = world.org.id.into();
    let result = event.result.unwrap();
    world
        .store
        .rename_batch(scope, result, "other")
        .await
        .unwrap();
    let replayed = world.store.replay_webhook(scope, event.id, now()).await;
    assert_eq!(replayed.unwrap().state, Due);
    world.wake();
    let again = target.hear().await;
    assert_eq!(again.body, first.body);
    world.until(&event, Delivered, 2).await;
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_finished_at_the_end() {
    let held = Reply::Hold(Box::new(status("200 OK")));
    let mut target = Receiver::start([held]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let event = world.ended().await;
    target.hear().await;
    let draining = tokio::spawn(service.drain(Duration::from_secs(40)));
    target.release();
    draining.await.unwrap();
    let (event, tries) = world.read(&event).await;
    assert_eq!((event.state, tries.len()), (Delivered, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_holds_no_other_up() {
    let dead = Reply::Hold(Box::new(Reply::Close));
    let mut dead = Receiver::with([], dead).await;
    let mut alive = Receiver::start([]).await;
    let world = World::start(&dead.url()).await;
    let other = world.another(&alive.url()).await;
    for _ in 0..40 {
        world.add(&world.project.clone()).await;
    }
    let options = ringdown_webhook::Options {
        concurrency: 12,
        timeout: Duration::from_secs(5),
        ..quick()
    };
    let service = world.serve(options);
    for _ in 0..4 {
        dead.hear().await;
    }
    for _ in 0..20 {
        let event = world.add(&other).await;
        alive.hear().await;
        world.until(&event, Delivered, 1).await;
    }
    // Twice the share of 4, at the most; the rest waits untouched.
    assert!(dead.backlog() <= 4);
    service.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_platforms_share_the_work() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    let services: Vec<_> = (0..3).map(|_| world.serve(quick())).collect();
    let mut events = Vec::new();
    for _ in 0..30 {
        events.push(world.add(&world.project.clone()).await);
    }
    for event in &events {
        world.until(event, WebhookState::Delivered, 1).await;
    }
    assert_eq!(target.backlog(), 30);
    for service in services {
        service.drain(Duration::from_secs(40)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_tells_of_a_result_whose_runs_end_together() {
    let mut target = Receiver::start([]).await;
    let world = Arc::new(World::start(&target.url()).await);
    let service = world.serve(quick());
    let (_, runs) = world.trigger(40, false).await;
    world.store.admit(world.org.id, now()).await.unwrap();
    let mut ending = JoinSet::new();
    for run in runs {
        let world = Arc::clone(&world);
        ending.spawn(async move {
            world.complete(run.id, true, RunPatch::default()).await;
        });
    }
    while let Some(ended) = ending.join_next().await {
        ended.unwrap();
    }
    world.wake();
    let heard = target.hear().await;
    let data = &heard.json()["data"];
    assert_eq!(data["success_rate"], 100.0);
    assert_eq!(data["runs"].as_object().unwrap().len(), 40);
    let events = world.events().await;
    assert_eq!(events.len(), 1);
    world.until(&events[0], Delivered, 1).await;
    assert_eq!(target.backlog(), 0);
    service.drain(Duration::from_secs(40)).await;
}
