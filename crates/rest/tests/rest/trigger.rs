//! Starting runs through the API: who calls, on which numbers, only once, and once more.

use std::collections::BTreeSet;

use futures::future::join_all;
use ringdown_api::TriggeredResult;
use serde_json::{Value, json};

use crate::runs::is_called;
use crate::world::{Answer, Client, V1, World, id};

const RUN: &str = "/test_framework/v1/scenarios/run_scenarios/";

fn runs(result: &Value) -> &Vec<Value> {
    result["runs"].as_array().unwrap()
}

async fn personality_names(us: &Client, result: &Value) -> Vec<String> {
    let ids: Vec<String> = runs(result).iter().map(|run| id(run).to_string()).collect();
    let path = format!("{V1}/runs/bulk/?run_ids={}", ids.join(","));
    let shown = us.get(&path).await;
    let name = |run: &Value| {
        let name = run.get("personality_name").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    };
    shown.as_array().unwrap().iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_singular_forms_count_and_unknown_things_are_refused_by_field() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let path = format!("{V1}/test-profiles/");
    let profile = us.post(&path, json!({"name": "Pat", "information": {}}));
    let profile = id(&profile.await);
    let with = |more: Value| {
        let mut body = json!({"scenarios": [made.scenario], "agent_id": made.agent});
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        body
    };
    for (more, count) in [
        (json!({"personality_id": 2}), 1),
        (json!({"personality_id": 2, "personality_ids": [2, 3]}), 2),
        (
            json!({"test_profile_id": profile, "personality_ids": [2, 3]}),
            2,
        ),
        (json!({"mock_tool_names": ["lookup"], "name": "named"}), 1),
    ] {
        for path in [RUN, "/test_framework/v1/scenarios-external/run_scenarios"] {
            let answer = us.ask("POST", path, &with(more.clone())).await;
            assert_eq!(answer.status, 201);
            let result = answer.ok();
            assert_eq!(runs(&result).len(), count, "{more}");
            let read: TriggeredResult = serde_json::from_value(result.clone()).unwrap();
            assert_eq!(read.runs.len(), count);
            assert_eq!(read.agent, Some(made.agent));
            assert_eq!(read.runs[0].number.as_deref(), Some("+15559990001"));
        }
    }
    let result = us
        .post(RUN, with(json!({"personality_ids": [3, 14]})))
        .await;
    let names = personality_names(us, &result).await;
    assert!(names.iter().all(String::is_empty) || names == ["Impatient", "Spanish"]);
    let stored = world.engine.store();
    let run = id(&runs(&result)[1]);
    let run = stored.run(world.org.id.into(), run.into()).await.unwrap();
    assert_eq!(
        (run.personality_name.as_str(), run.script.language.as_str()),
        ("Spanish", "es")
    );

    let counts = us.counts().await;
    for (more, field) in [
        (json!({"personality_ids": [999]}), "personality_ids"),
        (json!({"personality_id": 9_999}), "personality_ids"),
        (json!({"test_profile_id": 9_999}), "test_profile_ids"),
        (json!({"mode": "any"}), "mode"),
        (json!({"frequency": 0}), "frequency"),
        (
            json!({"frequency": 10_000, "personality_ids": [1, 2]}),
            "frequency",
        ),
        (json!({"concurrency_limit": 0}), "concurrency_limit"),
        (
            json!({"outbound_phone_number": "+15550009999"}),
            "outbound_phone_number",
        ),
        (json!({"tags": ["night"]}), "scenarios"),
        (json!({"agent_id": 9_999}), "agent_id"),
        (
            json!({"agent_id": null, "assistant_id": "nobody"}),
            "assistant_id",
        ),
    ] {
        let answer = us.ask("POST", RUN, &with(more.clone())).await;
        answer.names(field);
    }
    // All at once, and another team's things do not exist.
    let all = json!({"personality_ids": [999], "test_profile_ids": [9_999], "scenarios": [9_999]});
    let answer = us.ask("POST", RUN, &with(all)).await;
    for field in ["personality_ids", "test_profile_ids", "scenarios"] {
        answer.names(field);
    }
    them.ask("POST", RUN, &with(json!({})))
        .await
        .names("scenarios");
    assert_eq!(us.counts().await, counts);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_numbers_are_counted_and_no_number_is_given_twice() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    for last in 2..=6 {
        us.number(&format!("+1555999000{last}")).await;
    }
    let spread = |frequency: usize| {
        json!({
            "scenarios": [made.scenario], "frequency": frequency, "mode": "different_numbers",
        })
    };
    let (first, second) = (spread(3), spread(3));
    let (a, b) = tokio::join!(us.ask("POST", RUN, &first), us.ask("POST", RUN, &second));
    let (a, b) = (a.ok(), b.ok());
    let numbers: BTreeSet<&str> = runs(&a)
        .iter()
        .chain(runs(&b))
        .map(|run| run["number"].as_str().unwrap())
        .collect();
    assert_eq!(numbers.len(), 6);
    let refused = us.ask("POST", RUN, &spread(2)).await;
    refused.names("mode");
    assert!(
        refused.json()["mode"].to_string().contains("2 are missing"),
        "{refused:?}"
    );
    world.close().await;
}

fn replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_is_carried_out_once() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let body = json!({"scenarios": [made.scenario], "frequency": 3});
    let first = us.once(RUN, "key-1", &body).await;
    assert_eq!(first.status, 201);
    assert!(!replayed(&first));
    let path = format!("{V1}/results/{}/end_calls/", id(&first.json()));
    us.post(&path, json!({})).await;
    let other_form = "/test_framework/v1/scenarios-external/run_scenarios";
    for path in [RUN, other_form] {
        let again = us.once(path, "key-1", &body).await;
        assert_eq!(again.status, 201);
        assert!(replayed(&again));
        assert_eq!(
            again.bytes, first.bytes,
            "byte for byte, whatever the runs are now"
        );
    }
    let different = json!({"scenarios": [made.scenario], "frequency": 4});
    let refused = us.once(RUN, "key-1", &different).await.refused(422);
    assert!(refused.contains("new key"), "{refused}");
    let other_key = us.once(RUN, "key-2", &body).await.ok();
    assert_ne!(id(&other_key), id(&first.json()));
    // A refused request may be repeated with the same key once it is right.
    us.once(RUN, "key-3", &json!({"scenarios": [9_999]}))
        .await
        .names("scenarios");
    us.once(RUN, "key-3", &body).await.ok();
    // Keys are a team's own.
    them.once(RUN, "key-1", &body).await.names("scenarios");
    for key in ["", "with space", "ü", &"k".repeat(256)] {
        us.once(RUN, key, &body).await.refused(400);
    }
    us.once(RUN, &"k".repeat(255), &body).await.ok();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_at_the_same_time_store_one_batch() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    // Long enough to be stored in portions.
    let body = json!({"scenarios": [made.scenario], "frequency": 1_500});
    let requests = (0..6).map(|_| us.once(RUN, "same", &body));
    let answers = join_all(requests).await;
    let first = &answers[0];
    for answer in &answers {
        assert_eq!(
            answer.status,
            201,
            "{}",
            String::from_utf8_lossy(&answer.bytes)
        );
        assert_eq!(answer.bytes, first.bytes);
    }
    let carried_out = answers.iter().filter(|answer| !replayed(answer)).count();
    assert_eq!(carried_out, 1);
    let results = us.get(&format!("{V1}/results/")).await;
    assert_eq!(results["count"], 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_runs_again_as_it_was() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let other = us.scenario(made.agent, "other").await;
    let body = json!({
        "scenarios": [made.scenario, other],
        "frequency": 2,
        "personality_ids": [2, 8],
        "concurrency_limit": 3,
        "priority": 7,
        "agent_number": "+15551239999",
        "name": "nightly",
    });
    let result = us.post(RUN, body).await;
    let path = format!("{V1}/results/{}/rerun/", id(&result));
    let answer = us.ask("POST", &path, &json!({})).await;
    assert_eq!(answer.status, 200);
    let again = answer.ok();
    assert_ne!(id(&again), id(&result));
    assert_eq!(
        (&again["name"], &again["total_runs_count"]),
        (&json!("nightly"), &json!(8))
    );
    let path = |of: &Value| format!("{V1}/results/{}/", id(of));
    let (before, after) = (us.get(&path(&result)).await, us.get(&path(&again)).await);
    let names = |detail: &Value| {
        let runs = detail["runs"].as_object().unwrap();
        let mut names: Vec<String> = runs
            .values()
            .map(|run| format!("{} {}", run["scenario"], run["agent_number"]))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&before), names(&after));
    assert_eq!(after["run_settings"]["rerun_of"], result["id"]);
    for setting in [
        "frequency",
        "personality_ids",
        "concurrency_limit",
        "priority",
        "mode",
    ] {
        assert_eq!(
            after["run_settings"][setting],
            before["run_settings"][setting]
        );
    }
    let rerun = |of: &Value| format!("{V1}/results/{}/rerun/", id(of));
    them.ask("POST", &rerun(&result), &json!({}))
        .await
        .refused(404);
    us.ask("POST", &format!("{V1}/results/9999/rerun/"), &json!({}))
        .await
        .refused(404);
    let gone = format!("{V1}/scenarios/{other}/");
    assert_eq!(us.send("DELETE", &gone, None, Vec::new()).await.status, 204);
    us.ask("POST", &rerun(&result), &json!({}))
        .await
        .names("scenarios");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn judging_again_gives_the_values_that_stand() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let result = us.trigger(&made, 1).await;
    let other = us.trigger(&made, 1).await;
    let path = format!("{V1}/results/{}/evaluate_metrics/", result.result);
    let run = result.ids[0].to_string();
    let body = json!({"run_ids": [run], "metric_ids": ["1"]});
    let detail = us.ask("POST", &path, &body).await.refused(409);
    assert!(detail.contains("once its call has ended"), "{detail}");
    is_called(&world, result.ids[0], 3, true).await;
    let judged = us.post(&path, body.clone()).await;
    assert_eq!(
        (&judged["id"], &judged["status"], &judged["success_rate"]),
        (&json!(result.result), &json!("completed"), &json!(100.0))
    );
    for (body, field) in [
        (
            json!({"metric_ids": ["999"], "run_ids": [run]}),
            "metric_ids",
        ),
        (json!({"run_ids": [run]}), "metric_ids"),
        (json!({"metric_ids": ["1"], "run_ids": []}), "run_ids"),
        (json!({"metric_ids": ["1"], "run_ids": ["x"]}), "run_ids"),
        (
            json!({"metric_ids": ["1"], "run_ids": [other.ids[0].to_string()]}),
            "run_ids",
        ),
    ] {
        us.ask("POST", &path, &body).await.names(field);
    }
    them.ask("POST", &path, &body).await.refused(404);
    world.close().await;
}
