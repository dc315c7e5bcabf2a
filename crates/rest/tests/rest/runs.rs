//! Single runs and lists of them: every filter, reviews, deletion, listening.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Event;
use ringdown_domain::{CallId, E164, RunId};
use ringdown_store::{NewBatch, NewRun, NewTemplate, RunPatch, Script};
use serde_json::{Value, json};

use crate::world::{V1, World, id};

/// Applies events to a run, as the engine does when it hears of them.
pub async fn happens(world: &World, run: i64, event: Event, patch: RunPatch) {
    let store = world.engine.store();
    let at = now();
    store
        .transition(RunId(run), event, patch, at)
        .await
        .unwrap();
}

/// A score with one numeric and one binary metric.
pub fn score(latency: f64, quiet: bool) -> Value {
    json!({
        "reasons": if quiet { json!([]) } else { json!(["too loud"]) },
        "metrics": [
            {"code": "latency", "name": "Latency", "kind": "numeric", "value": latency, "unit": "ms",
             "passed": null, "explanation": "e", "percentiles": {}},
            {"code": "quiet", "name": "Quiet", "kind": "binary", "value": null, "unit": "",
             "passed": quiet, "explanation": "e", "percentiles": {}},
        ],
        "turns": [{"speaker": "Main Agent", "start_ms": 0, "end_ms": 900, "text": "Hello"}],
    })
}

/// A call of `seconds`, recorded and scored.
pub async fn is_called(world: &World, run: i64, seconds: u64, passed: bool) {
    let call = CallId(format!("Call-{run}"));
    let matched = Event::Matched {
        call: call.clone(),
        max_duration: Duration::from_secs(60),
    };
    happens(world, run, matched, RunPatch::default()).await;
    let recording = format!("recordings/us/{run}/call.wav");
    let content = format!("sound of {run}").into_bytes();
    world
        .artefacts
        .put(&recording, content.into())
        .await
        .unwrap();
    let ended = EndedReason::MainAgentEnded;
    let patch = RunPatch {
        duration: Some(Duration::from_secs(seconds)),
        ended_reason: Some(ended),
        recording: Some(recording),
        ..RunPatch::default()
    };
    happens(world, run, Event::CallEnded { call, ended }, patch).await;
    let patch = RunPatch {
        score: Some(score(seconds as f64 * 100.0, passed)),
        ..RunPatch::default()
    };
    happens(world, run, Event::Scored { success: passed }, patch).await;
}

/// A run of this evaluator with the personality 7; its batch and its id.
async fn with_personality(world: &World, agent: i64, scenario: i64) -> (i64, i64) {
    let agent = world.us.get(&format!("{V1}/aiagents/{agent}/")).await;
    let number: E164 = "+15559990001".parse().unwrap();
    let template = NewTemplate {
        scenario: scenario.into(),
        scenario_name: "tagged".to_owned(),
        personality: Some(7.into()),
        personality_name: "Seven".to_owned(),
        test_profile: None,
        script: Script {
            first_message: String::new(),
            replies: vec![],
            closing: String::new(),
            max_duration_ms: 60_000,
            silence_timeout_ms: 10_000,
            language: "en".to_owned(),
            instructions: String::new(),
            expected_outcome: String::new(),
        },
    };
    let batch = NewBatch {
        org: world.org.id,
        project: agent["project"].as_i64().unwrap().into(),
        agent: id(&agent).into(),
        agent_name: "other".to_owned(),
        name: "batch".to_owned(),
        concurrency_limit: None,
        priority: 0,
        settings: json!({}),
        caller_ids: vec![],
        dial_route: None,
        gated: false,
        cron_job: None,
        idempotency: None,
        templates: vec![template],
        runs: vec![NewRun {
            template: 0,
            number: Some(number),
        }],
    };
    let triggered = world.engine.trigger(batch).await.unwrap();
    (triggered.batch.id.0, triggered.runs[0].id.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_the_list_finds_what_it_says() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let agent = json!({
        "agent_name": "other", "inbound": false, "contact_number": "+15551230001",
        "assistant_id": "asst_7",
    });
    let agent = id(&us.post(&format!("{V1}/aiagents/"), agent).await);
    let body = json!({"name": "tagged", "agent": agent, "personality": 1, "tags": ["night"]});
    let scenario = id(&us.post(&format!("{V1}/scenarios/"), body).await);
    let first = us.trigger(&made, 3).await;
    let (after, last) = with_personality(&world, agent, scenario).await;
    let [passed, failed, waiting] = first.ids[..] else {
        panic!("three runs");
    };
    is_called(&world, passed, 12, true).await;
    is_called(&world, failed, 30, false).await;
    let all = [last, waiting, failed, passed];
    let read = us.get(&format!("{V1}/runs/{passed}/")).await;
    let at = read["timestamp"].as_str().unwrap().to_owned();
    let day = &at[..10];
    let result = first.result;
    for (query, expected) in [
        (String::new(), all.to_vec()),
        (format!("id={passed}"), vec![passed]),
        (format!("id__in={passed},{last}"), vec![last, passed]),
        (format!("id__in={passed}&id__in={last}"), vec![last, passed]),
        (format!("id={passed}&id__in={last}"), vec![]),
        (
            format!("id__contains={last}"),
            all.iter()
                .copied()
                .filter(|id| id.to_string().contains(&last.to_string()))
                .collect(),
        ),
        (format!("result_id={result}"), vec![waiting, failed, passed]),
        (format!("result__id={after}"), vec![last]),
        (format!("result_id={result}&result__id={after}"), vec![]),
        ("result__run_as_text=true".to_owned(), vec![]),
        ("result__run_as_text=false".to_owned(), all.to_vec()),
        (format!("agent_id={agent}"), vec![last]),
        (
            format!("result__agent_id={}", made.agent),
            vec![waiting, failed, passed],
        ),
        (
            format!("result__agent_id__in={},{agent}", made.agent),
            all.to_vec(),
        ),
        (
            format!("agent_id={agent}&result__agent_id__in={}", made.agent),
            vec![],
        ),
        ("assistant_id=asst_7".to_owned(), vec![last]),
        ("assistant_id=asst_8".to_owned(), vec![]),
        ("project_id=999".to_owned(), vec![]),
        ("status=completed".to_owned(), vec![failed, passed]),
        ("status__in=completed,pending".to_owned(), all.to_vec()),
        ("status=completed&status__in=pending".to_owned(), vec![]),
        (
            "status__in=completed&status__in=timeout".to_owned(),
            vec![failed, passed],
        ),
        ("success=true".to_owned(), vec![passed]),
        ("success=false".to_owned(), vec![failed]),
        ("success_rate=100".to_owned(), vec![passed]),
        ("success_rate=1.0".to_owned(), vec![passed]),
        ("success_rate=0".to_owned(), vec![failed]),
        ("success_rate=50".to_owned(), vec![]),
        ("success=true&success_rate=0".to_owned(), vec![]),
        (format!("timestamp__gte={at}&id={passed}"), vec![passed]),
        ("timestamp__lte=2020-01-01T00:00:00Z".to_owned(), vec![]),
        (
            "created_at_from=2020-01-01T00:00:00+00:00".to_owned(),
            all.to_vec(),
        ),
        ("created_at_to=2020-01-01T00:00:00Z".to_owned(), vec![]),
        (format!("created_at_range={day},{day}"), all.to_vec()),
        ("created_at_range=,2020-01-01".to_owned(), vec![]),
        (
            format!("created_at_range=2020-01-01,&created_at_from={day}"),
            all.to_vec(),
        ),
        ("duration__gte=12.5".to_owned(), vec![failed]),
        ("duration__lte=12".to_owned(), vec![passed]),
        ("duration_range=12,30".to_owned(), vec![failed, passed]),
        ("duration_range=,29.9".to_owned(), vec![passed]),
        (format!("call_id=Call-{passed}"), vec![passed]),
        (format!("provider_call_id=Call-{failed}"), vec![failed]),
        (format!("call_id=Call-{passed}&provider_call_id=x"), vec![]),
        ("call_id__icontains=call-".to_owned(), vec![failed, passed]),
        (
            "provider_call_id__icontains=CALL".to_owned(),
            vec![failed, passed],
        ),
        (format!("scenario__id={scenario}"), vec![last]),
        (format!("scenario__id__in={scenario},999"), vec![last]),
        (
            format!("scenarios={}", made.scenario),
            vec![waiting, failed, passed],
        ),
        ("personality__id=7".to_owned(), vec![last]),
        ("personality__id__in=8,9".to_owned(), vec![]),
        ("personalities=7,8".to_owned(), vec![last]),
        ("tags=night,day".to_owned(), vec![last]),
        ("tags=day".to_owned(), vec![]),
        ("metrics=1,2".to_owned(), all.to_vec()),
        ("search=TAGGED".to_owned(), vec![last]),
        ("search=9990001".to_owned(), all.to_vec()),
        ("search=%25".to_owned(), vec![]),
        (
            "call_ended_reason=Main%20agent-ended-call".to_owned(),
            vec![failed, passed],
        ),
        (
            "call_ended_reason__in=call-failed,Main%20agent-ended-call".to_owned(),
            vec![failed, passed],
        ),
        (
            "call_ended_reason__icontains=ENDED".to_owned(),
            vec![failed, passed],
        ),
        ("call_ended_reason=busy".to_owned(), vec![]),
    ] {
        let shown = us.get(&format!("{V1}/runs-external/?{query}")).await;
        let ids: Vec<i64> = shown["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(id)
            .collect();
        assert_eq!(ids, expected, "{query}");
        assert_eq!(
            shown["count"].as_u64(),
            Some(expected.len() as u64),
            "{query}"
        );
        let theirs = world.them.get(&format!("{V1}/runs/?{query}")).await;
        assert_eq!(theirs["count"], 0, "{query}");
    }
    for (query, field) in [
        ("id=x", "id"),
        ("id__in=1,,2", "id__in"),
        ("id__contains=a", "id__contains"),
        ("result__agent_id__in=0", "result__agent_id__in"),
        ("success=perhaps", "success"),
        ("success_rate=NaN", "success_rate"),
        ("timestamp__gte=yesterday", "timestamp__gte"),
        ("created_at_range=2020-01-01", "created_at_range"),
        ("created_at_range=2020-13-01,", "created_at_range"),
        ("duration__gte=-1", "duration__gte"),
        ("duration__lte=inf", "duration__lte"),
        ("duration_range=a,b", "duration_range"),
        ("scenario__id__in=one", "scenario__id__in"),
        ("personalities=kind", "personalities"),
        ("result__run_as_text=2", "result__run_as_text"),
        (
            "call_id__icontains=a&provider_call_id__icontains=b",
            "provider_call_id__icontains",
        ),
    ] {
        us.try_get(&format!("{V1}/runs/?{query}"))
            .await
            .names(field);
    }
    let many = vec!["1"; 5_001].join(",");
    us.try_get(&format!("{V1}/runs/?id__in={many}"))
        .await
        .names("id__in");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_kept_beside_what_the_engine_found() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let run = us.trigger(&made, 1).await.ids[0];
    is_called(&world, run, 12, false).await;
    let path = format!("{V1}/runs/{run}/");
    let before = us.get(&path).await;
    assert_eq!(before["evaluation_status"], "failure");
    assert_eq!(before["is_reviewed"], false);
    assert_eq!(before["provider_call_id"], format!("Call-{run}"));
    assert_eq!(before["evaluation"]["metrics"][1]["score"], 0);
    assert_eq!(before["evaluation"]["metrics"][0]["value"], "1200");
    assert_eq!(
        before["transcript_object"][0]["normalized_content"],
        "hello"
    );
    assert_eq!(
        before["metadata"]["not_passed_because"],
        json!(["too loud"])
    );

    let body = json!({
        "feedback": "it was fine", "evaluation_status": "reviewed_success", "trace_id": "t-1",
        "success": true, "status": "pending", "error_message": "x", "unknown": 1,
    });
    let after = us.patch(&path, body).await;
    assert_eq!(after["feedback"], "it was fine");
    assert_eq!(after["is_reviewed"], true);
    assert_eq!(after["evaluation_status"], "reviewed_success");
    assert_eq!(after["trace_id"], "t-1");
    for name in [
        "success",
        "status",
        "error_message",
        "evaluation",
        "metadata",
        "duration",
    ] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(us.get(&path).await, after);
    let listed = us.get(&format!("{V1}/runs/")).await["results"][0].clone();
    assert_eq!(listed["evaluation_status"], "reviewed_success");

    let body = json!({"evaluation_status": "failure", "is_reviewed": false});
    let put = us.ask("PUT", &path, &body).await.ok();
    assert_eq!(put["evaluation_status"], "failure");
    assert_eq!(put["is_reviewed"], false);
    assert_eq!(put["feedback"], "it was fine", "absent: as it was");
    for (body, field) in [
        (json!({"evaluation_status": "good"}), "evaluation_status"),
        (json!({"feedback": 1}), "feedback"),
        (json!({"feedback": "x".repeat(10_001)}), "feedback"),
        (json!({"is_reviewed": "yes"}), "is_reviewed"),
        (json!({"trace_id": "x".repeat(33)}), "trace_id"),
    ] {
        us.ask("PATCH", &path, &body).await.names(field);
    }
    assert_eq!(us.get(&path).await, put);
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let body = json!({"feedback": "mine now"});
        world.them.ask(method, &path, &body).await.refused(404);
    }
    assert_eq!(us.get(&path).await, put);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_listened_to_once_it_is_over_and_a_run_deleted_with_its_recording() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let triggered = us.trigger(&made, 2).await;
    let [run, other] = triggered.ids[..] else {
        panic!("two runs");
    };
    let path = format!("{V1}/runs/{run}/");
    let listen = format!("{path}get_listen_url/");
    us.try_get(&listen).await.refused(409);
    us.ask("DELETE", &path, &json!({})).await.refused(409);
    is_called(&world, run, 12, true).await;
    let link = us.get(&listen).await["listen_url"].clone();
    let link = link.as_str().unwrap();
    assert_eq!(link, us.get(&path).await["voice_recording_url"]);
    let recording = link.strip_prefix("http://platform.test").unwrap();
    let sound = us.try_get(recording).await;
    assert_eq!(sound.bytes, format!("sound of {run}").into_bytes());
    world.them.try_get(&listen).await.refused(404);
    us.post(&format!("{V1}/runs/{other}/end_call/"), json!({}))
        .await;
    us.try_get(&format!("{V1}/runs/{other}/get_listen_url/"))
        .await
        .refused(404);

    let deleted = us.ask("DELETE", &path, &json!({})).await;
    assert_eq!((deleted.status.as_u16(), deleted.bytes.len()), (204, 0));
    us.try_get(&path).await.refused(404);
    us.try_get(recording).await.refused(404);
    us.ask("DELETE", &path, &json!({})).await.refused(404);
    let result = us.get(&format!("{V1}/results/{}/", triggered.result)).await;
    assert_eq!(result["total_runs_count"], 1);
    assert_eq!(result["success_runs_count"], 0);
    assert_eq!(us.get(&format!("{V1}/runs/")).await["count"], 1);
    recording_is_gone(&world, run).await;
    world.close().await;
}

/// Waits until a run's recording is removed; nothing announces it.
pub async fn recording_is_gone(world: &World, run: i64) {
    let key = format!("recordings/us/{run}/call.wav");
    crate::world::within("the recording is removed", async {
        while world.artefacts.get(&key).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
