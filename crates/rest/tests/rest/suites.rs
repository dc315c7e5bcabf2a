//! Tests as code: a suite is checked as a whole, stored as a whole, and run.

use serde_json::{Value, json};

use crate::world::{CALLER, Client, V1, World, id};

const RUN: &str = "/test_framework/v1/scenarios/run_scenarios_json/";
const DRY: &str = "/test_framework/v1/scenarios/run_scenarios_json/?dry_run=true";

fn suite() -> Value {
    json!({
        "version": "1",
        "suite": {"name": "Refunds"},
        "defaults": {"personality": 2, "tags": ["code"]},
        "scenarios": [
            {
                "name": "Happy path",
                "key": "happy",
                "instructions": "Ask for a refund of {{test_profile.order}}.",
                "expected_outcome": "The agent confirms it.",
                "test_profile": {"name": "Order", "caller_variables": {"order": "A-1"}},
                "metrics": ["greeting_by_name"],
                "frequency": 2,
            },
            {
                "name": "In Spanish",
                "instructions": "Ask whether the shop is open.",
                "personality": {"base": 14, "name": "Calm", "prompt": "Stay calm."},
                "max_duration": 60,
            },
        ],
    })
}

async fn scenarios(us: &Client) -> Vec<Value> {
    let list = us.get(&format!("{V1}/scenarios/")).await;
    list["results"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suite_creates_its_evaluators_then_changes_them() {
    let world = World::start().await;
    let us = &world.us;
    us.number("+15559990001").await;
    let agent = us.agent("agent").await;
    let body = json!({"agent_id": agent, "spec": suite()});
    let counts = us.counts().await;
    let dry = us.ask("POST", DRY, &body).await;
    assert_eq!(dry.status, 200);
    let dry = dry.ok();
    assert_eq!(
        (&dry["dry_run"], &dry["total_runs_count"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(dry["name"], "Refunds");
    let planned = json!([
        {"id": null, "key": "happy", "name": "Happy path", "action": "create", "runs": 2},
        {"id": null, "key": "In Spanish", "name": "In Spanish", "action": "create", "runs": 1},
    ]);
    assert_eq!(dry["scenarios"], planned);
    assert_eq!(dry["test_profiles"][0]["action"], "create");
    assert_eq!(us.counts().await, counts, "nothing was stored");

    let answer = us.ask("POST", RUN, &body).await;
    assert_eq!(answer.status, 200);
    let result = answer.ok();
    assert_eq!(
        (&result["agent"], &result["name"]),
        (&json!(agent), &json!("Refunds"))
    );
    let made = scenarios(us).await;
    assert_eq!(made.len(), 2);
    assert_eq!(made[0]["tags"], json!(["code"]));
    assert_eq!(made[0]["personality"], 2);
    let runs = result["runs"].as_array().unwrap();
    let of: Vec<&Value> = runs.iter().map(|run| &run["scenario"]).collect();
    assert_eq!(of, [&made[0]["id"], &made[1]["id"], &made[0]["id"]]);
    let profile = &runs[0]["test_profile_data"];
    assert_eq!(
        profile["information"]["testing_agent_variables"]["order"],
        "A-1"
    );
    let stored = world.engine.store();
    let org = world.org.id;
    let run = |index: usize| stored.run(org.into(), id(&runs[index]).into());
    assert_eq!(
        run(0).await.unwrap().script.instructions,
        "Ask for a refund of A-1."
    );
    let spanish = run(1).await.unwrap();
    assert_eq!(
        (
            spanish.script.language.as_str(),
            spanish.script.max_duration_ms
        ),
        ("es", 60_000)
    );
    assert_eq!(spanish.personality_name, "Calm");

    // The next commit: one case is renamed but keeps its key, and its data changed.
    let mut changed = suite();
    changed["scenarios"][0]["name"] = json!("Refund");
    changed["scenarios"][0]["test_profile"]["caller_variables"]["order"] = json!("B-2");
    let body = json!({"agent_id": agent, "spec": changed.to_string(), "name": "second"});
    let dry = us.ask("POST", DRY, &body).await.ok();
    assert_eq!(dry["scenarios"][0]["action"], "update");
    assert_eq!(dry["scenarios"][0]["id"], made[0]["id"]);
    assert_eq!(dry["personalities"][0]["action"], "update");
    let second = us.ask("POST", RUN, &body).await.ok();
    assert_eq!(second["name"], "second");
    let now = scenarios(us).await;
    assert_eq!(now.len(), 2);
    assert_eq!(
        (&now[0]["id"], &now[0]["name"]),
        (&made[0]["id"], &json!("Refund"))
    );
    let information = &second["runs"][0]["test_profile_data"]["information"];
    assert_eq!(information["testing_agent_variables"]["order"], "B-2");
    let profiles = us.get(&format!("{V1}/test-profiles/")).await;
    assert_eq!(profiles.as_array().unwrap().len(), 1);
    // By the number the agent calls from, and by names.
    let mut named = suite();
    named["scenarios"][0]["test_profile"] = json!("Order");
    named["scenarios"][1]["personality"] = json!("Calm");
    let body = json!({"agent_number": CALLER, "spec": named});
    us.ask("POST", RUN, &body).await.ok();
    // What was run can be run again.
    let path = format!("{V1}/results/{}/rerun/", id(&result));
    let again = us.post(&path, json!({})).await;
    assert_eq!(again["total_runs_count"], 3);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_named_by_its_place_and_nothing_is_stored() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let agent = us.agent("agent").await;
    let body = json!({"agent_id": agent, "spec": suite()});
    us.ask("POST", RUN, &body)
        .await
        .names("outbound_phone_number");
    us.number("+15559990001").await;
    let counts = us.counts().await;
    let mut wrong = suite();
    wrong["version"] = json!("9");
    wrong["scenarios"][0]["instructions"] = json!(7);
    let answer = us.ask("POST", RUN, &json!({"spec": wrong})).await;
    for place in ["version", "scenarios[0].instructions", "agent_id"] {
        answer.names(place);
    }
    let mut unknown = suite();
    unknown["defaults"]["personality"] = json!(500);
    unknown["scenarios"][0]["test_profile"] = json!("nobody");
    unknown["scenarios"][1]["personality"] = json!("nobody");
    unknown["scenarios"][1]["phone_number"] = json!("+15550001111");
    let body = json!({"agent_id": agent, "spec": unknown, "channel": "text"});
    for path in [RUN, DRY] {
        let answer = us.ask("POST", path, &body).await;
        for place in [
            "channel",
            "defaults.personality",
            "scenarios[0].test_profile",
            "scenarios[1].personality",
            "scenarios[1].phone_number",
        ] {
            answer.names(place);
        }
    }
    let body = json!({"agent_id": agent, "spec": suite()});
    them.ask("POST", RUN, &body).await.names("agent_id");
    let other = json!({"agent_number": "+15550002222", "spec": suite()});
    us.ask("POST", RUN, &other).await.names("agent_number");
    let path = format!("{V1}/scenarios/run_scenarios_json/?dry_run=perhaps");
    us.ask("POST", &path, &body).await.names("dry_run");
    us.ask("POST", RUN, &json!([])).await.refused(400);
    assert_eq!(us.counts().await, counts);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suite_with_a_key_runs_once_and_has_a_schema() {
    let world = World::start().await;
    let us = &world.us;
    us.number("+15559990001").await;
    let agent = us.agent("agent").await;
    let body = json!({"agent_id": agent, "spec": suite()});
    let first = us.once(RUN, "commit", &body).await;
    let again = us.once(RUN, "commit", &body).await;
    assert_eq!((again.status.as_u16(), &again.bytes), (200, &first.bytes));
    let results = us.get(&format!("{V1}/results/")).await;
    assert_eq!(results["count"], 1);

    let schema = us.get(&format!("{V1}/scenarios/json_schema/")).await;
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&suite()));
    assert!(!validator.is_valid(&json!({"version": "9", "scenarios": []})));
    let versioned = us
        .get(&format!("{V1}/scenarios/json_schema/?version=1"))
        .await;
    assert_eq!(versioned, schema);
    let path = format!("{V1}/scenarios/json_schema/?version=2");
    us.try_get(&path).await.names("version");
    world.close().await;
}
