//! The largest things that are accepted still work everywhere they go.

use ringdown_bus::{From, Stream, subject};
use ringdown_domain::run::Status;
use ringdown_proto::v1::envelope::Fact;
use serde_json::{Value, json};

use crate::bodies::nested;
use crate::world::{CALLER, V1, World, id, within};

const NUMBER: &str = "+15559990001";

/// An object whose JSON has exactly that many bytes.
fn sized(bytes: usize) -> Value {
    let frame = json!({"text": ""}).to_string().len();
    json!({"text": "x".repeat(bytes - frame)})
}

/// A run's transition carries its test profile, its names and its caller IDs; what answers a call
/// carries its texts. Both fit the bus however large what was accepted is.
#[tokio::test(flavor = "multi_thread")]
async fn runs_of_the_largest_objects_are_announced_and_matched() {
    let world = World::start().await;
    let us = &world.us;
    us.number(NUMBER).await;
    let mut numbers = vec![CALLER.to_owned()];
    numbers.extend((0..99).map(|n| format!("+4930123456789{n:02}")));
    let agent = json!({
        "agent_name": "🙂".repeat(255),
        "inbound": false,
        "outbound_numbers": numbers,
        "description": "x".repeat(64 * 1024 - 2),
    });
    let agent = id(&us.post(&format!("{V1}/aiagents/"), agent).await);
    let profile = json!({"name": "🙂".repeat(255), "information": sized(64 * 1024)});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    // The first action is what is said first, so it is as long as a first message may be.
    let reply = |n: i32| {
        let (condition, action) = match n {
            0 => ("FIRST_MESSAGE", "🙂".repeat(2000)),
            _ => ("x", "y".repeat(200)),
        };
        json!({"id": n, "condition": condition, "action": action, "fixed_message": true})
    };
    let replies: Vec<Value> = (0..200).map(reply).collect();
    let scenario = json!({
        "name": "🙂".repeat(80),
        "agent": agent,
        "test_profile": profile,
        "first_message": "🙂".repeat(2000),
        "instructions": "🙂".repeat(10_000),
        "expected_outcome_prompt": "🙂".repeat(10_000),
        "conditional_actions": {"role": "caller", "conditions": replies},
    });
    let scenario = id(&us.post(&format!("{V1}/scenarios/"), scenario).await);
    let body = json!({"scenarios": [scenario], "name": "🙂".repeat(255)});
    let run = format!("{V1}/scenarios/run_scenarios/");
    let bus = world.engine.bus();
    let runs = subject::runs_of(&world.org.team);
    let mut told = bus
        .observe(Stream::Runs, &runs, From::Beginning)
        .await
        .unwrap();
    let triggered = us.post(&run, body).await;
    let run = id(&triggered["runs"][0]);
    let announced = within("the run is announced", async {
        loop {
            let next = told.next().await.unwrap().unwrap();
            if let Some(Fact::Run(transition)) = next.envelope.fact
                && transition.known_status() == Some(Status::Pending)
            {
                return transition;
            }
        }
    })
    .await;
    assert_eq!(announced.run_id, run);
    assert!(announced.test_profile_json.len() > 64 * 1024);
    assert_eq!(announced.caller_ids.len(), 100);
    let reply = world.arrives(CALLER, NUMBER).await;
    assert_eq!((reply.verdict.as_str(), reply.run_id), ("matched", run));
    let script = reply.script.unwrap();
    assert_eq!(script.first_message.chars().count(), 2000);
    assert_eq!(script.replies.len(), 199);
    world.close().await;
}

/// Placeholders multiply what they stand for, so the filled texts are bounded as well.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_grow_when_they_are_filled_in_are_refused() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue(NUMBER).await;
    let profile = json!({"name": "large", "information": {"x": "y".repeat(60_000)}});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    let path = format!("{V1}/scenarios/{}/", made.scenario);
    let placeholders = "{{test_profile.x}}".repeat(100);
    let run = format!("{V1}/scenarios/run_scenarios/");
    let body = json!({"scenarios": [made.scenario], "test_profile_id": profile});
    let before = us.counts().await;
    for field in ["first_message", "instructions", "expected_outcome_prompt"] {
        us.patch(&path, json!({field: placeholders})).await;
        us.ask("POST", &run, &body).await.names("scenarios");
        us.patch(&path, json!({field: "short"})).await;
    }
    // One copy is fine, the copies of thousands of runs together are not.
    us.patch(&path, json!({"instructions": "{{test_profile.x}}"}))
        .await;
    let mut many = body.clone();
    many["frequency"] = json!(5000);
    us.ask("POST", &run, &many).await.names("frequency");
    assert_eq!(us.counts().await, before);
    let one = us.post(&run, body).await;
    assert_eq!(one["runs"].as_array().unwrap().len(), 1);
    world.close().await;
}

/// A change at a time, an object could otherwise grow without end.
#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_kept_as_they_came_are_bounded_together() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue(NUMBER).await;
    for path in [
        format!("{V1}/aiagents/{}/", made.agent),
        format!("{V1}/scenarios/{}/", made.scenario),
    ] {
        let mut kept = 0;
        let refused = loop {
            let field = format!("field_{kept}");
            let answer = us.ask("PATCH", &path, &json!({field: sized(60_000)})).await;
            if answer.status != 200 {
                break answer;
            }
            kept += 1;
            assert!(kept < 100, "{path} grows without end");
        };
        refused.names(&format!("field_{kept}"));
        assert!(kept >= 4, "{kept}");
        let shown = us.get(&path).await;
        assert!(shown.get(format!("field_{}", kept - 1)).is_some());
        assert!(shown.get(format!("field_{kept}")).is_none());
        us.patch(&path, json!({"field_0": null})).await;
        us.patch(&path, json!({"name": "renamed", "agent_name": "renamed"}))
            .await;
    }
    world.close().await;
}

/// Common JSON readers stop at 128 levels, so answers that hold what was accepted stay below.
#[tokio::test(flavor = "multi_thread")]
async fn the_deepest_accepted_value_can_be_read_in_every_answer() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue(NUMBER).await;
    let profile = json!({"name": "deep", "information": nested(31)});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    let deeper = json!({"information": nested(32)});
    let path = format!("{V1}/test-profiles/{profile}/");
    us.ask("PATCH", &path, &deeper).await.names("information");
    let scenario = format!("{V1}/scenarios/{}/", made.scenario);
    us.patch(&scenario, json!({"test_profile": profile})).await;
    let result = us.trigger(&made, 1).await.result;
    let shown = us.get(&format!("{V1}/results/{result}/")).await;
    assert!(shown.to_string().contains("\"a\":{\"a\":1}"));
    assert_eq!(us.get(&path).await["information"], nested(31));
    world.close().await;
}

/// Names that an object has already are not answered a second time.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_holds_a_name_twice() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue(NUMBER).await;
    let mut scenario = us.get(&format!("{V1}/scenarios/{}/", made.scenario)).await;
    let mut agent = us.get(&format!("{V1}/aiagents/{}/", made.agent)).await;
    // A client that sends back all it read must not confuse the platform.
    scenario["phone_number"] = json!(made.number);
    agent["id"] = json!(777);
    for (path, body) in [("scenarios", scenario), ("aiagents", agent)] {
        let answer = us.ask("POST", &format!("{V1}/{path}/"), &body).await;
        answer.ok();
        let text = String::from_utf8(answer.bytes).unwrap();
        for name in body.as_object().unwrap().keys() {
            let times = text.matches(&format!("\"{name}\":")).count();
            let nested = usize::from(name == "phone_number_id" || name == "id" || name == "number");
            assert!(times <= 1 + nested, "{name} is there {times} times: {text}");
        }
        assert_ne!(serde_json::from_str::<Value>(&text).unwrap()["id"], 777);
    }
    world.close().await;
}
