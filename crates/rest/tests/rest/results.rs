//! Results: what is counted is what is there; names, filters, deletion.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use ringdown_bus::now;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Event;
use ringdown_domain::{CallId, RunId};
use ringdown_store::{Error as StoreError, RunPatch};
use serde_json::{Value, json};

use crate::runs::{happens, is_called, recording_is_gone, score};
use crate::world::{Client, V1, World, id};

/// Anything that may happen to a run, with what comes with it.
fn anything(random: &mut StdRng, run: i64) -> (Event, RunPatch) {
    let call = CallId(format!("call-{run}"));
    let reason = || "because".to_owned();
    let mut patch = RunPatch::default();
    let event = match random.random_range(0..10) {
        0..3 => Event::Matched {
            call,
            max_duration: Duration::from_secs(60),
        },
        3..6 => {
            patch.duration = Some(Duration::from_millis(random.random_range(0..90_000)));
            let ended = [EndedReason::MainAgentEnded, EndedReason::SilenceTimedOut];
            let ended = *ended.choose(random).unwrap();
            patch.ended_reason = Some(ended);
            Event::CallEnded { call, ended }
        }
        6..8 => {
            let success = random.random_bool(0.5);
            patch.score = Some(score(random.random_range(100.0..3_000.0), success));
            Event::Scored { success }
        }
        8 => match random.random_range(0..4) {
            0 => Event::NotDialed { reason: reason() },
            1 => Event::Unscorable { reason: reason() },
            2 => Event::DeadlinePassed,
            _ => Event::WindowClosed { reason: reason() },
        },
        _ => Event::Cancelled { reason: reason() },
    };
    (event, patch)
}

/// Counts the runs of a detail one by one and compares.
async fn counts_are_exact(client: &Client, result: i64) {
    let detail = client.get(&format!("{V1}/results/{result}/")).await;
    let runs: Vec<&Value> = detail["runs"].as_object().unwrap().values().collect();
    let count = |is: &dyn Fn(&Value) -> bool| runs.iter().filter(|run| is(run)).count();
    let status = |run: &Value| run["status"].as_str().unwrap().to_owned();
    let over = |run: &Value| {
        ["completed", "failed", "timeout", "cancelled"].contains(&status(run).as_str())
    };
    let passed = |run: &Value| run["success"] == true;
    let connected = |run: &Value| !run["executed_at"].is_null();
    let completed = |run: &Value| status(run) == "completed";
    let total = runs.len();
    for (name, expected) in [
        ("total_runs_count", total),
        ("completed_runs_count", count(&over)),
        ("success_runs_count", count(&passed)),
        ("failed_runs_count", count(&|run| over(run) && !passed(run))),
        ("met_expected_outcome_count", count(&passed)),
        ("total_expected_outcome_count", count(&completed)),
        ("connected_runs", count(&connected)),
        (
            "not_connected_runs",
            count(&|run| over(run) && !connected(run)),
        ),
        (
            "failed_infrastructure_runs",
            count(&|run| ["failed", "timeout"].contains(&status(run).as_str())),
        ),
        (
            "failed_workflow_runs",
            count(&|run| run["success"] == false),
        ),
        ("successful_calls", count(&completed)),
    ] {
        assert_eq!(detail[name], expected, "{name}");
    }
    let seconds: f64 = runs
        .iter()
        .filter_map(|run| run["metadata"]["duration_seconds"].as_f64())
        .sum();
    let seconds = Duration::from_secs_f64(seconds + 0.000_1).as_secs();
    let minutes = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    assert_eq!(detail["total_duration"], minutes);
    let rate = count(&passed) as f64 * 100.0 / total as f64;
    assert!((detail["success_rate"].as_f64().unwrap() - rate).abs() < 0.01);
    scores_are_exact(&detail, &runs);

    let list = client.get(&format!("{V1}/results/")).await;
    let listed = list["results"].as_array().unwrap().iter();
    let listed = listed.clone().find(|one| id(one) == result).unwrap();
    for name in [
        "status",
        "success_rate",
        "total_runs_count",
        "completed_runs_count",
        "success_runs_count",
        "failed_runs_count",
        "met_expected_outcome_count",
        "is_cronjob",
        "updated_at",
    ] {
        assert_eq!(listed[name], detail[name], "{name}");
    }
}

fn scores_are_exact(detail: &Value, runs: &[&Value]) {
    let of = |run: &Value, code: &str| {
        let metrics = run["evaluation"]["metrics"].as_array().unwrap().clone();
        metrics.into_iter().find(|one| one["function_name"] == code)
    };
    let mut latencies: Vec<f64> = runs
        .iter()
        .filter_map(|run| of(run, "latency")?["score"].as_f64())
        .collect();
    latencies.sort_by(f64::total_cmp);
    if latencies.is_empty() {
        assert_eq!(detail["latency_data"], json!({}));
        assert_eq!(detail["metrics"], json!([]));
        return;
    }
    let latency = &detail["latency_data"];
    let mean = latencies.iter().sum::<f64>() / latencies.len() as f64;
    assert_eq!(latency["runs"], latencies.len());
    assert!((latency["average"].as_f64().unwrap() - mean).abs() < 0.001);
    let middle = latencies[latencies.len().div_ceil(2) - 1];
    assert!((latency["percentiles"]["p50"].as_f64().unwrap() - middle).abs() < 0.001);
    let quiet: Vec<bool> = runs
        .iter()
        .filter_map(|run| of(run, "quiet")?["passed"].as_bool())
        .collect();
    let shown = detail["metrics"].as_array().unwrap();
    let shown = shown
        .iter()
        .find(|one| one["function_name"] == "quiet")
        .unwrap();
    assert_eq!(
        shown["passed"],
        quiet.iter().filter(|quiet| **quiet).count()
    );
    assert_eq!(
        shown["failed"],
        quiet.iter().filter(|quiet| !**quiet).count()
    );
    assert_eq!(detail["overall_evaluation"]["metric_summary"]["2"], *shown);
    let loud = quiet.iter().filter(|quiet| !**quiet).count();
    let reasons = detail["failed_reasons"].as_array().unwrap();
    let found = reasons.iter().find(|one| one["reason"] == "too loud");
    assert_eq!(found.map_or(json!(0), |one| one["count"].clone()), loud);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_exact_whatever_happens() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let store = world.engine.store();
    store
        .set_organisation_limit(world.org.id, Some(20))
        .await
        .unwrap();
    let triggered = us.trigger(&made, 25).await;
    counts_are_exact(us, triggered.result).await;
    let mut random = StdRng::seed_from_u64(7);
    for round in 1..=300 {
        let run = *triggered.ids.choose(&mut random).unwrap();
        let (event, patch) = anything(&mut random, run);
        match store.transition(RunId(run), event, patch, now()).await {
            Ok(_) | Err(StoreError::Illegal(_)) => {}
            Err(error) => panic!("{error}"),
        }
        if round % 50 == 0 {
            counts_are_exact(us, triggered.result).await;
        }
    }
    us.post(
        &format!("{V1}/results/{}/end_calls/", triggered.result),
        json!({}),
    )
    .await;
    counts_are_exact(us, triggered.result).await;
    for run in triggered.ids.iter().take(5) {
        let path = format!("{V1}/runs/{run}/");
        assert_eq!(us.ask("DELETE", &path, &json!({})).await.status, 204);
    }
    counts_are_exact(us, triggered.result).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_have_a_status_tags_and_filters() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let tags = json!({"tags": ["night", "smoke"]});
    us.patch(&format!("{V1}/scenarios/{}/", made.scenario), tags)
        .await;
    let first = us.trigger(&made, 2).await;
    let second = us.trigger(&made, 1).await;
    let path = |result: i64| format!("{V1}/results/{result}/");
    assert_eq!(us.get(&path(first.result)).await["status"], "running");
    is_called(&world, first.ids[0], 12, true).await;
    let reason = "refused".to_owned();
    happens(
        &world,
        first.ids[1],
        Event::NotDialed { reason },
        RunPatch::default(),
    )
    .await;
    let reason = "refused".to_owned();
    happens(
        &world,
        second.ids[0],
        Event::NotDialed { reason },
        RunPatch::default(),
    )
    .await;
    let shown = us.get(&path(first.result)).await;
    assert_eq!(shown["status"], "completed");
    let counts = json!({"total_runs_count": 2, "completed_runs_count": 1, "success_runs_count": 1});
    assert_eq!(
        shown["runs_by_tags"],
        json!({"night": counts, "smoke": counts})
    );
    assert_eq!(
        shown["failed_reasons"],
        json!([{"reason": "refused", "count": 1, "run_ids": [first.ids[1]]}])
    );
    assert_eq!(us.get(&path(second.result)).await["status"], "failed");

    us.patch(
        &path(second.result),
        json!({"name": "Nightly 50%", "agent": 9, "runs": {}}),
    )
    .await;
    let renamed = us.get(&path(second.result)).await;
    assert_eq!(renamed["name"], "Nightly 50%");
    assert_eq!(renamed["agent"], made.agent);
    for name in [json!(""), json!(7), json!("x".repeat(256))] {
        let body = json!({"name": name});
        us.ask("PATCH", &path(second.result), &body)
            .await
            .names("name");
    }
    let both = vec![second.result, first.result];
    for (query, expected) in [
        (String::new(), both.clone()),
        (format!("agent_id={}", made.agent), both.clone()),
        ("agent_id=999".to_owned(), vec![]),
        ("project_id=999".to_owned(), vec![]),
        ("search=nightly".to_owned(), vec![second.result]),
        ("search=50%25".to_owned(), vec![second.result]),
        ("search=_".to_owned(), vec![]),
        (format!("scenarios={},999", made.scenario), both.clone()),
        ("scenarios=999".to_owned(), vec![]),
        ("page=2&page_size=1".to_owned(), vec![first.result]),
    ] {
        let list = us.get(&format!("{V1}/results/?{query}")).await;
        let ids: Vec<i64> = list["results"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let list = us.get(&format!("{V1}/results/")).await;
    let scenario = json!({"id": made.scenario, "name": "evaluator"});
    let key = made.scenario.to_string();
    assert_eq!(list["results"][0]["scenarios"][key], scenario);
    for (query, field) in [("scenarios=a", "scenarios"), ("agent_id=a", "agent_id")] {
        us.try_get(&format!("{V1}/results/?{query}"))
            .await
            .names(field);
    }
    for (method, end) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "end_calls/"),
    ] {
        let path = format!("{}{end}", path(first.result));
        world.them.ask(method, &path, &json!({})).await.refused(404);
    }
    assert_eq!(world.them.get(&format!("{V1}/results/")).await["count"], 0);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_deleted_whole_once_it_has_ended() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let triggered = us.trigger(&made, 450).await;
    let path = format!("{V1}/results/{}/", triggered.result);
    is_called(&world, triggered.ids[0], 12, true).await;
    us.ask("DELETE", &path, &json!({})).await.refused(409);
    assert_eq!(us.get(&path).await["total_runs_count"], 450);
    us.post(&format!("{path}end_calls/"), json!({})).await;
    let deleted = us.ask("DELETE", &path, &json!({})).await;
    assert_eq!((deleted.status.as_u16(), deleted.bytes.len()), (204, 0));
    us.try_get(&path).await.refused(404);
    us.ask("DELETE", &path, &json!({})).await.refused(404);
    assert_eq!(us.get(&format!("{V1}/runs/")).await["count"], 0);
    assert_eq!(us.get(&format!("{V1}/results/")).await["count"], 0);
    recording_is_gone(&world, triggered.ids[0]).await;
    world.close().await;
}
