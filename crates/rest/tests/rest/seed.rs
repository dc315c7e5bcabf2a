//! The reference's sample script, request by request, and what it reads from the answers.

use ringdown_domain::run::Status;
use serde_json::{Value, json};

use crate::shape::{
    AGENT, PAGE, PHONE_NUMBER, RESULT, RESULT_DETAIL, RUN, RUN_SUMMARY, SCENARIO, TEST_PROFILE,
    TRIGGERED, TRIGGERED_RUN, check,
};
use crate::world::{CALLER, V1, World, id};

const NUMBER: &str = "+15559990001";

#[tokio::test(flavor = "multi_thread")]
async fn an_outbound_test_from_its_number_to_its_result() {
    let world = World::start().await;
    let us = &world.us;
    let number = json!({"number": NUMBER, "name": "first"});
    let answer = us.ask("POST", "/ringdown/v1/phone-numbers/", &number).await;
    assert_eq!(answer.status, 201);
    check(&answer.ok(), PHONE_NUMBER);

    let agent = json!({
        "agent_name": "Sales",
        "inbound": false,
        "contact_number": CALLER,
        "description": "calls people",
        "language": "en",
        "vapi_api_key": "must not be kept",
    });
    let answer = us.ask("POST", &format!("{V1}/aiagents/"), &agent).await;
    assert_eq!(answer.status, 201);
    let agent = answer.ok();
    check(&agent, AGENT);
    assert_eq!(agent["description"], "calls people", "kept as it came");
    assert!(!agent.to_string().contains("must not be kept"));

    let profile = json!({
        "agent": id(&agent),
        "name": "Alex",
        "information": {"testing_agent_variables": {"name": "Alex"}},
    });
    let profile = us.post(&format!("{V1}/test-profiles/"), profile).await;
    check(&profile, TEST_PROFILE);
    assert_eq!(profile["agent_name"], "Sales");

    let scenario = json!({
        "name": "Polite caller",
        "agent": id(&agent),
        "personality": 3,
        "first_message": "I am {{test_profile.name}}",
        "instructions": "Ask for {{test_profile.none}}a refund.",
        "expected_outcome_prompt": "The agent is polite.",
        "test_profile": id(&profile),
        "tags": ["smoke"],
    });
    let answer = us.ask("POST", &format!("{V1}/scenarios/"), &scenario).await;
    assert_eq!(answer.status, 201);
    let scenario = answer.ok();
    check(&scenario, SCENARIO);

    let page = us
        .get(&format!("{V1}/scenarios/?agent_id={}", id(&agent)))
        .await;
    check(&page, PAGE);
    assert_eq!(
        (page["count"].as_i64(), page["next"].clone()),
        (Some(1), Value::Null)
    );
    check(&page["results"][0], SCENARIO);
    assert_eq!(page["results"][0]["phone_number"], NUMBER);

    // The script sends a body with its GET.
    let path = format!("{V1}/aiagents/{}/", id(&agent));
    let body = json!({"agent_id": id(&agent)});
    assert_eq!(us.ask("GET", &path, &body).await.ok()["inbound"], false);

    let body = json!({"scenarios": [id(&scenario)], "freq": 1, "agent_id": id(&agent)});
    let path = format!("{V1}/scenarios/run_scenarios/");
    let answer = us.ask("POST", &path, &body).await;
    assert_eq!(answer.status, 201);
    let result = answer.ok();
    check(&result, TRIGGERED);
    assert_eq!(result["status"], "pending");
    let run = &result["runs"][0];
    check(run, TRIGGERED_RUN);
    assert_eq!(
        (&run["status"], &run["number"]),
        (&json!("pending"), &json!(NUMBER))
    );
    assert_eq!(run["test_profile_data"]["name"], "Alex");
    assert_eq!(run["outbound_dial_window_seconds"].as_f64(), Some(300.0));

    let bulk = us
        .get(&format!("{V1}/runs/bulk/?run_ids={}", id(run)))
        .await;
    check(&bulk[0], RUN);
    assert_eq!(bulk[0]["outbound_number"], NUMBER);
    assert_eq!(bulk[0]["agent_number"], CALLER);
    assert_eq!(bulk[0]["test_profile_data"]["id"], profile["id"]);
    assert_eq!(
        (&bulk[0]["duration"], &bulk[0]["transcript"]),
        (&json!("00:00"), &json!(""))
    );
    assert_eq!(bulk, json!([us.run_among_others(id(run)).await]));

    let detail = us.get(&format!("{V1}/results/{}/", id(&result))).await;
    check(&detail, RESULT);
    check(&detail, RESULT_DETAIL);
    assert_eq!(detail["runs"][id(run).to_string()], bulk[0]);
    let scenarios = json!([{"id": id(&scenario), "name": "Polite caller"}]);
    assert_eq!(detail["scenarios"], scenarios);
    let page = us.get(&format!("{V1}/results/")).await;
    check(&page, PAGE);
    check(&page["results"][0], RESULT);
    let page = us.get(&format!("{V1}/runs/?status__in=pending")).await;
    check(&page, PAGE);
    check(&page["results"][0], RUN_SUMMARY);

    let stored = world.engine.store();
    let stored = stored
        .run(world.org.id.into(), id(run).into())
        .await
        .unwrap();
    assert_eq!(stored.status(), Status::Pending);
    assert_eq!(stored.script.first_message, "I am Alex");
    assert_eq!(stored.script.instructions, "Ask for a refund.");
    world.close().await;
}

/// Runs are evaluators times frequency times personalities times test profiles.
#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_runs_is_the_product_of_what_is_asked_for() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue(NUMBER).await;
    let other = us.scenario(made.agent, "other").await;
    let mut profiles = Vec::new();
    for name in ["one", "two"] {
        let profile = json!({"name": name, "information": {}});
        profiles.push(id(&us.post(&format!("{V1}/test-profiles/"), profile).await));
    }
    let both = json!([made.scenario, other]);
    for (more, runs) in [
        (json!({}), 2),
        (json!({"freq": 3}), 6),
        (json!({"frequency": 2}), 4),
        (json!({"frequency": 2, "freq": 50}), 4),
        (json!({"frequency": 2, "personality_ids": [4, 5, 6]}), 12),
        (json!({"test_profile_ids": profiles}), 4),
        (
            json!({"test_profile_id": profiles[1], "personality_ids": null}),
            2,
        ),
        (
            json!({"frequency": 2, "personality_ids": [1, 2], "test_profile_ids": profiles}),
            16,
        ),
    ] {
        let mut body = json!({"scenarios": both, "agent_id": made.agent});
        body.as_object_mut()
            .unwrap()
            .append(&mut more.clone().as_object().unwrap().clone());
        let answer = us
            .post(&format!("{V1}/scenarios/run_scenarios/"), body)
            .await;
        assert_eq!(answer["runs"].as_array().unwrap().len(), runs, "{more}");
        let path = format!("{V1}/results/{}/", id(&answer));
        let settings = us.get(&path).await["run_settings"].clone();
        let frequency = more.get("frequency").or(more.get("freq"));
        assert_eq!(settings["frequency"], *frequency.unwrap_or(&json!(1)));
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_folders_select_within_a_project() {
    let world = World::start().await;
    let us = &world.us;
    us.number(NUMBER).await;
    let second = us
        .post("/ringdown/v1/projects/", json!({"name": "second"}))
        .await;
    let mut agents = vec![us.agent("first").await];
    let agent = json!({
        "agent_name": "second",
        "inbound": false,
        "contact_number": CALLER,
        "project": id(&second),
    });
    agents.push(id(&us.post(&format!("{V1}/aiagents/"), agent).await));
    for agent in &agents {
        let scenario = json!({
            "name": format!("of {agent}"),
            "agent": agent,
            "tags": ["smoke", "night"],
            "folder_path": "Sales.Outbound",
        });
        us.post(&format!("{V1}/scenarios/"), scenario).await;
    }
    let run = format!("{V1}/scenarios/run_scenarios/");
    let name = format!("of {}", agents[1]);
    for selection in [
        json!({"folder_path": "Sales", "project_id": id(&second)}),
        json!({"tags": ["night"], "project_id": id(&second)}),
        json!({"tags": ["night", "none"], "agent_id": agents[1]}),
    ] {
        let runs = us.post(&run, selection.clone()).await["runs"].clone();
        assert_eq!(runs.as_array().unwrap().len(), 1, "{selection}");
        assert_eq!(runs[0]["scenario_name"], name, "{selection}");
    }
    let counts = us.counts().await;
    for (selection, field) in [
        (json!({"folder_path": "Sales"}), "agent_id"),
        (json!({"tags": []}), "tags"),
        (json!({"tags": ["none"]}), "tags"),
        (json!({"folder_path": "Sal"}), "folder_path"),
        (
            json!({"tags": ["night"], "folder_path": "Sales"}),
            "scenarios",
        ),
        (json!({}), "scenarios"),
    ] {
        us.ask("POST", &run, &selection).await.names(field);
    }
    assert_eq!(us.counts().await, counts);
    world.close().await;
}

/// `different_numbers` spreads the runs over the organisation's numbers, so that a call's number says
/// which run it is for.
#[tokio::test(flavor = "multi_thread")]
async fn runs_can_be_spread_over_numbers_and_occupancy_shows_it() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    us.number("+15559990002").await;
    us.number("+15559990003").await;
    let body = json!({
        "scenarios": [made.scenario],
        "frequency": 3,
        "mode": "different_numbers",
        "agent_number": "+15551239999",
    });
    let result = us
        .post(&format!("{V1}/scenarios/run_scenarios/"), body)
        .await;
    let runs = result["runs"].as_array().unwrap();
    let mut numbers: Vec<&str> = runs.iter().map(|r| r["number"].as_str().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["+15559990001", "+15559990002", "+15559990003"]);
    let shown = us.get(&format!("{V1}/runs/{}/", id(&runs[0]))).await;
    assert_eq!(shown["agent_number"], "+15551239999", "overridden");
    for (asked, pending) in [
        ("%2B15559990002", 1),
        ("+15559990002", 1),
        ("15559990002", 1),
        ("%2B15559990009", 0),
    ] {
        let path = format!("{V1}/phone-numbers/check_occupancy/?phone_number={asked}");
        let shown = us.get(&path).await;
        assert_eq!(shown["is_occupied"], pending > 0, "{asked}");
        assert_eq!(shown["pending_runs_count"], pending, "{asked}");
    }
    world.close().await;
}
