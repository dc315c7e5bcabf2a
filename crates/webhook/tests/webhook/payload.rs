//! The shape of `result.completed`.

use ringdown_store::RunPatch;
use ringdown_store::WebhookState::Delivered;
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::world::{World, now, quick};

fn score() -> Value {
    json!({
        "reasons": [],
        "metrics": [
            {
                "code": "infrastructure_issues", "name": "Infrastructure Issues",
                "kind": "binary", "value": null, "unit": "", "passed": true,
                "explanation": "Answered in time.", "percentiles": {},
            },
            {
                "code": "latency", "name": "Latency", "kind": "numeric", "value": 812.5,
                "unit": "ms", "passed": null, "explanation": "", "percentiles": {"p50": 800.0},
            },
        ],
        "turns": [
            {"speaker": "Testing Agent", "start_ms": 2320, "end_ms": 2820, "text": "Hello."},
            {"speaker": "Main Agent", "start_ms": 61_500, "end_ms": 62_000, "text": ""},
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_told_in_the_references_shape() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let (batch, runs) = world.trigger(2, false).await;
    world.store.admit(world.org.id, now()).await.unwrap();
    let patch = RunPatch {
        score: Some(score()),
        recording: Some("recordings/one.wav".to_owned()),
        ..RunPatch::default()
    };
    world.complete(runs[0].id, true, patch).await;
    world.cancel(runs[1].id).await;
    world.wake();
    let heard = target.hear().await.json();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&heard), ["data", "event_type"]);
    let mut data = heard["data"].clone();
    let told = data.as_object_mut().unwrap().remove("runs").unwrap();
    let created = data["created_at"].clone();
    assert_eq!(
        data,
        json!({
            "id": batch.id.0,
            "name": "batch",
            "agent": batch.agent.0,
            "status": "completed",
            "met_expected_outcome_count": 1,
            "total_expected_outcome_count": 2,
            "success_rate": 50.0,
            "run_as_text": false,
            "is_cronjob": false,
            "created_at": created,
        })
    );
    let run = world.store.run_unscoped(runs[0].id).await.unwrap();
    let mut passed = told[runs[0].id.to_string()].clone();
    for name in ["timestamp", "executed_at"] {
        let time = passed.as_object_mut().unwrap().remove(name).unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    assert_eq!(
        passed,
        json!({
            "id": runs[0].id.0,
            "scenario": {
                "id": run.scenario.0,
                "name": "evaluator",
                "personality_name": "Calm",
                "expected_outcome_prompt": "The agent says when.",
            },
            "expected_outcome": {},
            "success": true,
            "evaluation": {"metrics": [
                {
                    "id": 1,
                    "name": "Infrastructure Issues",
                    "explanation": ["Answered in time."],
                    "vocera_defined_metric_code": "infrastructure_issues",
                    "eval_type": "binary",
                    "passed": true,
                    "type": "binary_workflow_adherence",
                    "score": 5,
                },
                {
                    "id": 2,
                    "name": "Latency",
                    "explanation": [""],
                    "vocera_defined_metric_code": "latency",
                    "type": "numeric",
                    "score": 812.5,
                },
            ]},
            "transcript_object": [
                {
                    "role": "Testing Agent", "time": "00:02", "content": "Hello.",
                    "start_time": 2.32, "end_time": 2.82,
                },
                {
                    "role": "Main Agent", "time": "01:01", "content": "",
                    "start_time": 61.5, "end_time": 62.0,
                },
            ],
            "voice_recording": format!(
                "https://ringdown.test/ringdown/v1/runs/{}/recording/",
                runs[0].id
            ),
            "error_message": "",
        })
    );
    let cancelled = &told[runs[1].id.to_string()];
    assert_eq!(
        (
            &cancelled["success"],
            &cancelled["error_message"],
            &cancelled["executed_at"]
        ),
        (&json!(false), &json!("enough"), &Value::Null)
    );
    assert_eq!(keys(cancelled), keys(&told[runs[0].id.to_string()]));
    let events = world.events().await;
    world.until(&events[0], Delivered, 1).await;
    world.close(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_result_leaves_transcripts_out_instead_of_growing_without_bound() {
    let mut target = Receiver::start([]).await;
    let world = World::start(&target.url()).await;
    let service = world.serve(quick());
    let (_, runs) = world.trigger(6, false).await;
    world.store.admit(world.org.id, now()).await.unwrap();
    for run in &runs {
        let mut long = score();
        long["turns"][0]["text"] = json!("x".repeat(1024 * 1024));
        let patch = RunPatch {
            score: Some(long),
            ..RunPatch::default()
        };
        world.complete(run.id, true, patch).await;
    }
    world.wake();
    let heard = target.hear().await;
    assert!(heard.body.len() < 5 * 1024 * 1024, "{}", heard.body.len());
    let told = heard.json()["data"]["runs"].clone();
    let empty = told.as_object().unwrap().values();
    let empty = empty.filter(|run| run["transcript_object"] == json!([]));
    assert_eq!((told.as_object().unwrap().len(), empty.count()), (6, 2));
    world.close(service).await;
}
