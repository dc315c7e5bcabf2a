//! Events that hold a batch back.

use ringdown_store::WebhookState::{Delivered, Failed, Skipped};
use ringdown_store::{WebhookEvent, WebhookKind};
use serde_json::json;

use crate::receiver::{Receiver, Reply, status};
use crate::world::{World, now, quick};

async fn asking(target: &str) -> World {
    let mut world = World::start(target).await;
    world
        .project
        .extra
        .insert("notify_pre_run_webhook".to_owned(), json!(true));
    world.set(&world.project.clone()).await;
    world
}

async fn question(world: &World) -> WebhookEvent {
    let events = world.events().await;
    let mut events = events.into_iter();
    let asked = events.find(|event| event.kind == WebhookKind::ResultPreTrigger);
    asked.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_the_answer() {
    let held = Reply::Hold(Box::new(status("204 No Content")));
    let mut target = Receiver::start([held]).await;
    let world = asking(&target.url()).await;
    let service = world.serve(quick());
    let (batch, runs) = world.trigger(2, true).await;
    let heard = target.hear().await;
    let admitted = world.store.admit(world.org.id, now()).await.unwrap().runs;
    assert!(admitted.is_empty(), "nothing is admitted before the answer");
    target.release();
    let event = question(&world).await;
    world.until(&event, Delivered, 1).await;
    let admitted = world.store.admit(world.org.id, now()).await.unwrap().runs;
    assert_eq!(admitted.len(), 2);
    let key = format!("result_pre_trigger:{}", batch.id);
    assert_eq!(heard.header("X-CEKURA-IDEMPOTENCY-KEY"), key);
    let data = &heard.json()["data"];
    assert_eq!(heard.json()["event_type"], "result.pre_trigger");
    assert_eq!(data["result_id"], batch.id.0);
    assert_eq!(data["agent_id"], batch.agent.to_string());
    assert_eq!(
        (&data["label"], data["timestamp"].is_string()),
        (&json!("batch"), true)
    );
    let shown = data["runs"].as_object().unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(
        shown[&runs[0].id.to_string()],
        json!({
            "id": runs[0].id.0,
            "scenario": {"id": admitted[0].scenario.0, "name": "evaluator"},
            "test_profile": {
                "id": 5,
                "name": "profile",
                "information": {"main_agent_variables": {"a": "b"}},
            },
            "personality": {"id": 1, "name": "Calm"},
            "phone_number": "+15550001000",
        })
    );
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_ends_with_the_reason() {
    let target = Receiver::start([status("403 Forbidden")]).await;
    let world = asking(&target.url()).await;
    let service = world.serve(quick());
    let (_, runs) = world.trigger(3, true).await;
    let event = question(&world).await;
    world.until(&event, Failed, 1).await;
    for run in &runs {
        let run = world.store.run_unscoped(run.id).await.unwrap();
        let why = run.error_message().unwrap();
        assert!(
            why.contains("the pre-run webhook was not accepted"),
            "{why}"
        );
        assert!(why.contains("403"), "{why}");
    }
    // The end of the result is told like any other's.
    let told = world.events().await.remove(0);
    assert_eq!(told.kind, WebhookKind::ResultCompleted);
    world.until(&told, Delivered, 1).await;
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ends_after_three_more_tries() {
    let mut target = Receiver::with([], status("500 Internal Server Error")).await;
    let world = asking(&target.url()).await;
    let service = world.serve(quick());
    let (_, runs) = world.trigger(1, true).await;
    let event = question(&world).await;
    world.until(&event, Failed, 4).await;
    for number in 1..=4 {
        let heard = target.hear().await;
        assert_eq!(heard.header("X-Ringdown-Delivery"), number.to_string());
    }
    let run = world.store.run_unscoped(runs[0].id).await.unwrap();
    assert!(run.status().is_terminal());
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_ends_no_batch_that_was_let_go() {
    let target = Receiver::start([status("200 OK"), status("403 Forbidden")]).await;
    let world = asking(&target.url()).await;
    let service = world.serve(quick());
    let (_, runs) = world.trigger(1, true).await;
    let event = question(&world).await;
    world.until(&event, Delivered, 1).await;
    let scope = world.org.id.into();
    let replayed = world.store.replay_webhook(scope, event.id, now()).await;
    assert_eq!(replayed.unwrap().tries, 0);
    world.wake();
    world.until(&event, Failed, 2).await;
    let run = world.store.run_unscoped(runs[0].id).await.unwrap();
    assert!(!run.status().is_terminal());
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_does_not_wait_for_what_nobody_wants() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    world.trigger(1, true).await;
    let event = question(&world).await;
    world.until(&event, Skipped, 0).await;
    let admitted = world.store.admit(world.org.id, now()).await.unwrap().runs;
    assert_eq!(admitted.len(), 1);
    assert_eq!(target.backlog(), 0);
    world.close(service).await;
}
