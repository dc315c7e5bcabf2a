//! Limits, promotion and ending runs, seen through the API.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::poll;
use ringdown_bus::{From, Observer, Stream, subject};
use ringdown_domain::run::Status;
use ringdown_proto::v1::envelope::Fact;
use serde_json::json;

use crate::world::{Client, OWN, V1, World, id, within};

/// Waits until the bus has told of `runs` entering `status`.
async fn told(transitions: &mut Observer, status: Status, runs: &[i64]) {
    let mut open: BTreeSet<i64> = runs.iter().copied().collect();
    within(&format!("{runs:?} are {status}"), async {
        while !open.is_empty() {
            let next = transitions.next().await.unwrap().unwrap();
            if let Some(Fact::Run(transition)) = next.envelope.fact
                && transition.known_status() == Some(status)
            {
                open.remove(&transition.run_id);
            }
        }
    })
    .await;
}

async fn transitions(world: &World) -> Observer {
    let bus = world.engine.bus();
    let subject = subject::runs_of(&world.org.team);
    bus.observe(Stream::Runs, &subject, From::Beginning)
        .await
        .unwrap()
}

/// States of runs; never more than `limit` of them hold a slot.
async fn within_limit(us: &Client, ids: &[i64], limit: usize) -> Vec<String> {
    let statuses = us.statuses(ids).await;
    let held = |status: &&String| ["pending", "in_progress"].contains(&status.as_str());
    let held = statuses.iter().filter(held).count();
    assert!(held <= limit, "{statuses:?}");
    statuses
}

async fn end_call(us: &Client, run: i64) {
    let path = format!("{V1}/runs/{run}/end_call/");
    let ended = us.post(&path, json!({})).await;
    assert_eq!((id(&ended), &ended["status"]), (run, &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn six_runs_at_a_project_limit_of_two_take_turns() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let project = us.get(&format!("{OWN}/projects/")).await;
    let path = format!("{OWN}/projects/{}/", id(&project[0]));
    let project = us.patch(&path, json!({"parallel_call_limit": 2})).await;
    assert_eq!(project["parallel_call_limit"], 2);
    let mut bus = transitions(&world).await;
    let triggered = us.trigger(&made, 6).await;
    let ids = triggered.ids.clone();

    // Somebody looks all the time, as the sample script does, only more often.
    let watcher = tokio::spawn({
        let (us, ids) = (us.clone(), ids.clone());
        async move {
            let mut looks = 0;
            loop {
                let statuses = within_limit(&us, &ids, 2).await;
                looks += 1;
                if statuses.iter().all(|status| status == "cancelled") {
                    return looks;
                }
            }
        }
    });
    for turn in 0..6 {
        if let Some(next) = ids.get(turn + 1) {
            told(&mut bus, Status::Pending, &[*next]).await;
        }
        let statuses = within_limit(us, &ids, 2).await;
        for (place, status) in statuses.iter().enumerate() {
            let expected = match place {
                place if place < turn => "cancelled",
                place if place < turn + 2 => "pending",
                _ => "in_queue",
            };
            assert_eq!(status, expected, "turn {turn}: {statuses:?}");
        }
        let queue = us.get(&format!("{OWN}/queue/")).await;
        let queue = queue.as_array().unwrap();
        assert_eq!(queue.len(), ids.len().saturating_sub(turn + 2));
        for (entry, place) in queue.iter().zip(1..) {
            assert_eq!(entry["position"], place);
            assert_eq!(entry["blocked_by"], "project");
            assert_eq!(entry["run_id"], ids[turn + 1 + place]);
        }
        end_call(us, ids[turn]).await;
        // The second time changes nothing.
        end_call(us, ids[turn]).await;
    }
    let looks = within("the watcher sees the end", watcher).await.unwrap();
    assert!(looks > 1);
    let result = us.get(&format!("{V1}/results/{}/", triggered.result)).await;
    assert_eq!(result["status"], "cancelled");
    assert_eq!(
        (&result["total_runs_count"], &result["completed_runs_count"]),
        (&json!(6), &json!(6))
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_batch_and_of_an_organisation_count_as_well() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let path = format!("{V1}/scenarios/run_scenarios/");
    let body = json!({"scenarios": [made.scenario], "frequency": 4, "concurrency_limit": 1});
    let small = us.post(&path, body).await;
    let runs = small["runs"].as_array().unwrap();
    let statuses: Vec<&str> = runs.iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["pending", "in_queue", "in_queue", "in_queue"]);
    for run in runs {
        assert!(run["number"].is_string(), "queued runs have numbers too");
        let waiting = run["status"] == "in_queue";
        assert_eq!(run["outbound_dial_window_opens_at"].is_null(), waiting);
    }
    let organisation = format!("{OWN}/organizations/current/");
    us.patch(&organisation, json!({"parallel_call_limit": 3}))
        .await;
    let other = us.trigger(&made, 4).await;
    let statuses = us.statuses(&other.ids).await;
    assert_eq!(statuses, ["pending", "pending", "in_queue", "in_queue"]);
    let queue = us.get(&format!("{OWN}/queue/")).await.to_string();
    assert!(queue.contains("organisation"), "{queue}");
    let place = us.get(&format!("{OWN}/runs/{}/queue/", other.ids[3])).await;
    assert_eq!(
        (&place["queued"], &place["blocked_by"], &place["position"]),
        (&json!(true), &json!("organisation"), &json!(5))
    );
    assert_eq!((&place["limit"], &place["held"]), (&json!(3), &json!(3)));
    assert_eq!(place["holders"].as_array().unwrap().len(), 3);
    assert_eq!(place["estimated_start_at"], json!(null));
    let why = place["estimate_unknown_because"].as_str().unwrap();
    assert!(why.contains("no call of its project has ended"), "{why}");
    let place = us.get(&format!("{OWN}/runs/{}/queue/", other.ids[0])).await;
    assert_eq!(
        (&place["queued"], &place["position"]),
        (&json!(false), &json!(null))
    );
    world
        .them
        .ask(
            "GET",
            &format!("{OWN}/runs/{}/queue/", other.ids[3]),
            &json!(null),
        )
        .await
        .refused(404);

    // A raised limit moves the queue without anything else happening.
    let mut bus = transitions(&world).await;
    us.patch(&organisation, json!({"parallel_call_limit": null}))
        .await;
    told(&mut bus, Status::Pending, &other.ids).await;
    assert_eq!(us.statuses(&other.ids).await, ["pending"; 4]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_result_ends_its_runs_and_no_others() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let organisation = format!("{OWN}/organizations/current/");
    us.patch(&organisation, json!({"parallel_call_limit": 3}))
        .await;
    let mut bus = transitions(&world).await;
    let first = us.trigger(&made, 5).await;
    let second = us.trigger(&made, 2).await;
    assert_eq!(us.statuses(&second.ids).await, ["in_queue"; 2]);
    let path = format!("{V1}/results/{}/end_calls/", first.result);
    let ended = us.post(&path, json!({})).await;
    assert_eq!(ended["cancelled_runs_count"], 5);
    assert_eq!(us.statuses(&first.ids).await, ["cancelled"; 5]);
    told(&mut bus, Status::Pending, &second.ids).await;
    assert_eq!(us.statuses(&second.ids).await, ["pending"; 2]);
    let again = us.post(&path, json!({})).await;
    assert_eq!(again["cancelled_runs_count"], 0);
    let result = us.get(&format!("{V1}/results/{}/", first.result)).await;
    assert_eq!(result["status"], "cancelled");
    let run = us.get(&format!("{V1}/runs/{}/", first.ids[0])).await;
    assert_eq!(run["error_message"], "cancelled by a user");
    assert_eq!(run["success"], json!(null));
    world.close().await;
}

/// A client that hangs up after it sent its request leaves nothing half-done behind: its runs are
/// stored and admitted, the slot it freed is given away.
#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_request_is_carried_out_to_its_end() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let organisation = format!("{OWN}/organizations/current/");
    us.patch(&organisation, json!({"parallel_call_limit": 1}))
        .await;
    let mut bus = transitions(&world).await;
    let body = json!({"scenarios": [made.scenario], "frequency": 2}).to_string();
    let path = format!("{V1}/scenarios/run_scenarios/");
    abandon(us, &path, body).await;
    let ids = within("the runs are stored", async {
        loop {
            let runs = us.get(&format!("{V1}/runs/")).await;
            let runs = runs["results"].as_array().unwrap();
            if !runs.is_empty() {
                return runs.iter().rev().map(id).collect::<Vec<_>>();
            }
        }
    })
    .await;
    told(&mut bus, Status::Pending, &ids[..1]).await;
    abandon(
        us,
        &format!("{V1}/runs/{}/end_call/", ids[0]),
        String::new(),
    )
    .await;
    told(&mut bus, Status::Pending, &ids[1..]).await;
    world.close().await;
}

/// Begins a request and drops it as soon as it waits for something.
async fn abandon(us: &Client, path: &str, body: String) {
    let mut request = pin!(us.send("POST", path, Some("application/json"), body.into_bytes()));
    assert!(poll!(&mut request).is_pending());
}
