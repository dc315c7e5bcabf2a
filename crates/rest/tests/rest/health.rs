//! Health pages, metrics and draining.

use serde_json::json;

use crate::world::{V1, World, within};

#[tokio::test(flavor = "multi_thread")]
async fn health_pages_need_no_key_and_tell_the_truth() {
    let world = World::start().await;
    let nobody = world.us.with_key(None);
    assert_eq!(nobody.get("/healthz").await, json!({"status": "alive"}));
    assert_eq!(nobody.get("/readyz").await, json!({"status": "ready"}));
    let metrics = nobody.try_get("/metrics").await;
    assert_eq!(metrics.bytes, b"ringdown_test_total 7\n");
    let kind = metrics.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_platform_takes_no_new_runs_but_answers_everything_else() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let before = us.trigger(&made, 1).await;
    world.health.drain();
    let ready = us.try_get("/readyz").await;
    assert_eq!(ready.status, 503);
    let missing = ready.json()["missing"].to_string();
    assert!(missing.contains("draining"), "{missing}");
    let body = json!({"scenarios": [made.scenario]});
    let path = format!("{V1}/scenarios/run_scenarios/");
    us.ask("POST", &path, &body).await.refused(503);
    let body = us.try_get("/healthz").await;
    assert_eq!(body.status, 200, "a draining process is alive");
    assert_eq!(us.statuses(&before.ids).await, ["pending"]);
    let path = format!("{V1}/runs/{}/end_call/", before.ids[0]);
    assert_eq!(us.post(&path, json!({})).await["status"], "cancelled");
    assert_eq!(us.get(&format!("{V1}/results/")).await["count"], 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_what_is_missing() {
    let mut world = World::start().await;
    let nobody = world.us.with_key(None);
    world.engine_is_up().await;
    world.stop_bus().await;
    let missing = within("the loss of the bus is seen", async {
        loop {
            let ready = nobody.try_get("/readyz").await;
            if ready.status == 503 {
                return ready.json()["missing"].clone();
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(missing.await, json!(["NATS is not connected"]));
    world.close_store().await;
    let missing = nobody.try_get("/readyz").await.json()["missing"].to_string();
    assert!(missing.contains("database"), "{missing}");
    assert_eq!(nobody.try_get("/healthz").await.status, 200);
    let path = format!("{V1}/runs/");
    let hidden = world.us.try_get(&path).await.refused(500);
    assert!(!hidden.to_lowercase().contains("pool"), "{hidden}");
    world.close().await;
}
