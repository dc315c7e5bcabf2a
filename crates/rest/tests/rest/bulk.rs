//! `runs/bulk`: what is kept in memory is never stale and never another team's.

use ringdown_domain::run::Event;
use ringdown_store::RunPatch;
use serde_json::{Value, json};

use crate::runs::{happens, is_called};
use crate::world::{Client, V1, World, id};

async fn bulk(client: &Client, ids: &[i64]) -> Value {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    client
        .get(&format!("{V1}/runs/bulk/?run_ids={}", ids.join(",")))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_run_is_shown_as_it_is_at_once() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let triggered = us.trigger(&made, 3).await;
    let ids = &triggered.ids;
    // Twice: first they are read, then they are in memory.
    for _ in 0..2 {
        for run in bulk(us, ids).await.as_array().unwrap() {
            assert_eq!(*run, us.run_among_others(id(run)).await);
        }
    }
    is_called(&world, ids[0], 12, true).await;
    assert_eq!(bulk(us, ids).await[0]["status"], "completed");
    let reason = "cancelled".to_owned();
    happens(
        &world,
        ids[1],
        Event::Cancelled { reason },
        RunPatch::default(),
    )
    .await;
    assert_eq!(bulk(us, ids).await[1]["status"], "cancelled");
    let body = json!({"feedback": "good"});
    us.patch(&format!("{V1}/runs/{}/", ids[0]), body).await;
    assert_eq!(bulk(us, ids).await[0]["feedback"], "good");
    let path = format!("{V1}/results/{}/", triggered.result);
    us.patch(&path, json!({"name": "renamed"})).await;
    for run in bulk(us, ids).await.as_array().unwrap() {
        assert_eq!(run["result_name"], "renamed");
        assert_eq!(*run, us.run_among_others(id(run)).await);
    }
    let gone = us
        .ask("DELETE", &format!("{V1}/runs/{}/", ids[1]), &json!({}))
        .await;
    assert_eq!(gone.status, 204);
    let left = bulk(us, ids).await;
    let left: Vec<i64> = left.as_array().unwrap().iter().map(id).collect();
    assert_eq!(left, [ids[0], ids[2]]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_come_in_the_order_asked_for_and_never_to_another_team() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let ids = us.trigger(&made, 3).await.ids;
    let asked = [ids[2], 999_999, ids[0], ids[2], ids[1]];
    let shown = bulk(us, &asked).await;
    let shown: Vec<i64> = shown.as_array().unwrap().iter().map(id).collect();
    assert_eq!(shown, [ids[2], ids[0], ids[2], ids[1]]);
    assert_eq!(bulk(&world.them, &asked).await, json!([]));
    let many: Vec<i64> = (1..=5_000).collect();
    assert_eq!(bulk(us, &many).await.as_array().unwrap().len(), 3);
    let many = vec!["1"; 5_001].join(",");
    for query in [
        "",
        "?run_ids=",
        "?run_ids=1,x",
        "?run_ids=[1]",
        &format!("?run_ids={many}"),
    ] {
        us.try_get(&format!("{V1}/runs/bulk/{query}"))
            .await
            .names("run_ids");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_begin_with_the_host_that_was_asked() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let run = us.trigger(&made, 1).await.ids[0];
    is_called(&world, run, 12, true).await;
    let path = format!("{V1}/runs/bulk/?run_ids={run}");
    for host in ["one.test", "two.test:8080", "one.test", "with\"quote"] {
        let answer = us.get_with(&path, &[("host", host)]).await;
        let link = format!("http://{host}/ringdown/v1/runs/{run}/recording/");
        assert_eq!(answer.ok()[0]["voice_recording_url"], link);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_answer_is_not_sent_again() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let ids = us.trigger(&made, 2).await.ids;
    let path = format!("{V1}/runs/bulk/?run_ids={},{}", ids[0], ids[1]);
    let first = us.try_get(&path).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    for given in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let again = us.get_with(&path, &[("if-none-match", &given)]).await;
        assert_eq!(again.status, 304, "{given}");
        assert!(again.bytes.is_empty());
        assert_eq!(again.headers["etag"], tag.as_str());
    }
    let reversed = format!("{V1}/runs/bulk/?run_ids={},{}", ids[1], ids[0]);
    let host = [("if-none-match", tag.as_str()), ("host", "other.test")];
    assert_eq!(us.get_with(&path, &host).await.status, 200);
    let given = [("if-none-match", tag.as_str())];
    assert_eq!(us.get_with(&reversed, &given).await.status, 200);
    assert_eq!(world.them.get_with(&path, &given).await.ok(), json!([]));
    us.post(&format!("{V1}/runs/{}/end_call/", ids[0]), json!({}))
        .await;
    let changed = us.get_with(&path, &given).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.headers["etag"], tag.as_str());
    assert_eq!(changed.ok()[0]["status"], "cancelled");
    world.close().await;
}
