//! Evaluators, their folders and their tags.

use serde_json::{Value, json};

use crate::world::{OWN, V1, World, counted, id};

#[tokio::test(flavor = "multi_thread")]
async fn every_field_comes_back() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let profile = json!({"name": "Alex", "information": {"a": 1}, "agent": made.agent});
    let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
    let actions = json!({"role": "A customer.", "conditions": [
        {"id": 0, "condition": "FIRST_MESSAGE", "action": "Hello", "fixed_message": true},
        {"id": 1, "condition": "0", "action": "Go on", "type": "action_followup"},
        {"id": 2, "condition": "They ask for a name", "action": "Say Alex"},
    ]});
    let fields = json!({
        "name": "Refund",
        "agent": made.agent,
        "personality": 3,
        "instructions": "Ask for a refund.",
        "expected_outcome_prompt": "It is granted.",
        "scenario_type": "conditional_actions",
        "scenario_language": "de",
        "first_message": "Hi",
        "tags": ["smoke", "de"],
        "tool_ids": ["TOOL_END_CALL"],
        "metrics": [1, 5],
        "test_profile": profile,
        "folder_path": "Sales.Refunds",
        "max_duration": 120,
        "simulation_description": "x",
        "information_fields": {"a": 1},
        "suite_type": "infrastructure",
        "is_predefined": false,
        "generated_mock_tool_entries": [{"x": 1}],
        "inbound_phone_number": null,
        "something_new": [1, 2],
    });
    let mut body = fields.clone();
    body["conditional_actions"] = actions;
    let scenario = us.post(&format!("{V1}/scenarios/"), body.clone()).await;
    let path = format!("{V1}/scenarios/{}/", id(&scenario));
    for shown in [scenario, us.get(&path).await] {
        for (name, value) in fields.as_object().unwrap() {
            if !value.is_null() {
                assert_eq!(&shown[name], value, "{name}");
            }
        }
        assert_eq!(shown["personality_name"], "Impatient");
        assert_eq!(shown["test_profile_data"]["name"], "Alex");
        assert_eq!(shown["phone_number"], "+15559990001");
        let followup = &shown["conditional_actions"]["conditions"][1];
        assert_eq!(followup["condition"], 0);
        assert_eq!(followup["fixed_message"], false);
    }
    let shown = us
        .ask("PUT", &path, &json!({"name": "Short", "personality": 1}))
        .await
        .ok();
    assert_eq!(shown["tags"], json!([]));
    assert_eq!(shown["scenario_type"], "instruction");
    assert_eq!(shown["test_profile"], Value::Null);
    assert_eq!(shown["agent"], made.agent);
    assert!(shown.get("something_new").is_none());
    let shown = us
        .patch(&path, json!({"personality": null, "tags": ["a"]}))
        .await;
    assert_eq!(shown["personality"], 1, "the normal one");
    assert_eq!(shown["name"], "Short");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn personalities_and_structured_actions_are_checked() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let theirs = json!({"name": "theirs", "background_noise": "off", "voice_model": "x"});
    let theirs = id(&them.post(&format!("{V1}/personalities/"), theirs).await);
    let path = format!("{V1}/scenarios/{}/", made.scenario);
    for odd in [500, 1001, theirs, 99_999] {
        let answer = us.ask("PATCH", &path, &json!({"personality": odd})).await;
        answer.names("personality");
        let said = answer.json()["personality"][0].as_str().unwrap().to_owned();
        assert!(said.starts_with("Invalid personalities provided"), "{said}");
    }
    let first = json!({"id": 0, "condition": "FIRST_MESSAGE", "action": "", "fixed_message": true});
    for conditions in [
        json!([]),
        json!([{"id": 0, "condition": "x", "action": "y", "fixed_message": true}]),
        json!([first, {"id": 0, "condition": "x", "action": "y"}]),
        json!([first, {"id": 1, "condition": "x", "action": ""}]),
        json!([first, {"id": 1, "condition": "7", "action": "y", "type": "action_followup"}]),
        json!([first, {"id": 1, "condition": "x", "action": "y", "type": "odd"}]),
    ] {
        let actions = json!({"role": "x", "conditions": conditions});
        let body = json!({"conditional_actions": actions});
        us.ask("PATCH", &path, &body)
            .await
            .names("conditional_actions");
    }
    let kind = json!({"scenario_type": "conditional_actions"});
    us.ask("PATCH", &path, &kind)
        .await
        .names("conditional_actions");
    let odd = json!({"scenario_language": "xx"});
    us.ask("PATCH", &path, &odd)
        .await
        .names("scenario_language");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_can_be_named_by_its_id_at_the_provider() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    us.patch(
        &format!("{V1}/aiagents/{}/", made.agent),
        json!({"assistant_id": "asst_1"}),
    )
    .await;
    let scenarios = format!("{V1}/scenarios/");
    let body = json!({"name": "new", "assistant_id": "asst_1", "personality": 1});
    let new = us.post(&scenarios, body.clone()).await;
    assert_eq!(new["agent"], made.agent);
    assert!(new.get("assistant_id").is_none());
    them.ask("POST", &scenarios, &body)
        .await
        .names("assistant_id");
    let of = |query: &str| format!("{scenarios}?{query}");
    assert_eq!(counted(&us.get(&of("assistant_id=asst_1")).await), 2);
    assert_eq!(counted(&us.get(&of("assistant_id=asst_2")).await), 0);
    let both = of(&format!("assistant_id=asst_1&agent_id={}", made.agent));
    assert_eq!(counted(&us.get(&both).await), 2);
    assert_eq!(
        counted(&us.get(&of("assistant_id=asst_1&agent_id=999")).await),
        0
    );
    assert_eq!(counted(&them.get(&of("assistant_id=asst_1")).await), 0);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_made_from_the_top_and_listed_by_level() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let project = id(&us.get(&format!("{OWN}/projects/")).await[0]);
    let create = format!("{V1}/scenarios/create_folder/");
    let folder = |name: &str, parent: Value| json!({"name": name, "parent_path": parent, "project_id": project});
    let answer = us.ask("POST", &create, &folder("Sales", Value::Null)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.ok()["path"], "Sales");
    let made_in = us.post(&create, folder("Refunds", json!("Sales"))).await;
    assert_eq!(
        (&made_in["name"], &made_in["path"]),
        (&json!("Refunds"), &json!("Sales.Refunds"))
    );
    us.post(&create, folder("Support", json!(""))).await;
    for (body, field) in [
        (folder("Sales", Value::Null), "name"),
        (folder("a.b", Value::Null), "name"),
        (folder(" ", Value::Null), "name"),
        (folder(&"x".repeat(101), Value::Null), "name"),
        (folder("x", json!("Nowhere")), "parent_path"),
        (json!({"name": "x"}), "project_id"),
        (json!({"name": "x", "project_id": 999}), "project_id"),
    ] {
        us.ask("POST", &create, &body).await.names(field);
    }
    them.ask("POST", &create, &folder("x", Value::Null))
        .await
        .names("project_id");
    let scenario = format!("{V1}/scenarios/{}/", made.scenario);
    us.patch(&scenario, json!({"folder_path": "Sales.Refunds"}))
        .await;
    for (query, expected) in [
        ("", 3),
        ("?parent_path=", 2),
        ("?parent_path=Sales", 1),
        ("?parent_path=Support", 0),
        ("?search=refund", 1),
        (&*format!("?agent_id={}", made.agent), 1),
        ("?agent_id=999", 0),
        ("?assistant_id=none", 0),
        (&*format!("?project_id={project}"), 3),
        ("?project_id=999", 0),
    ] {
        let list = us.get(&format!("{V1}/scenarios/folders/{query}")).await;
        assert_eq!(list["count"], expected, "{query}");
    }
    assert_eq!(
        counted(&them.get(&format!("{V1}/scenarios/folders/")).await),
        0
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_deletion_reach_several_or_none() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let (one, two) = (made.scenario, us.scenario(made.agent, "two").await);
    let add = format!("{V1}/scenarios/add_tags/");
    let tagged = us
        .post(
            &add,
            json!({"scenarios": [one, two, two], "tags": ["a", "b"]}),
        )
        .await;
    assert_eq!(tagged["scenarios"], json!([one, two]));
    us.post(&add, json!({"scenarios": [one], "tags": ["b", "c"]}))
        .await;
    let tags = us.get(&format!("{V1}/scenarios/tags/")).await;
    assert_eq!(tags["tags"], json!(["a", "b", "c"]));
    assert_eq!(tags["counts"]["b"], 2);
    assert_eq!(
        us.get(&format!("{V1}/scenarios/tags/?agent_id=999")).await["tags"],
        json!([])
    );
    assert_eq!(
        them.get(&format!("{V1}/scenarios/tags/")).await["tags"],
        json!([])
    );
    let delete = format!("{V1}/scenarios/delete_scenarios/");
    let many: Vec<String> = (0..99).map(|n| n.to_string()).collect();
    for (path, body, field) in [
        (
            &add,
            json!({"scenarios": [one, 999], "tags": ["d"]}),
            "scenarios",
        ),
        (&add, json!({"scenarios": [], "tags": ["d"]}), "scenarios"),
        (&add, json!({"scenarios": [one]}), "tags"),
        (&add, json!({"scenarios": [one], "tags": many}), "tags"),
        (&delete, json!({"scenarios": [one, 999]}), "scenarios"),
        (&delete, json!({"scenarios": []}), "scenarios"),
        (
            &delete,
            json!({"scenarios": [one], "agent_id": 999}),
            "scenarios",
        ),
        (
            &delete,
            json!({"scenarios": [one], "project_id": 999}),
            "scenarios",
        ),
    ] {
        us.ask("POST", path, &body).await.names(field);
    }
    them.ask("POST", &delete, &json!({"scenarios": [one]}))
        .await
        .names("scenarios");
    them.ask("POST", &add, &json!({"scenarios": [one], "tags": ["x"]}))
        .await
        .names("scenarios");
    assert_eq!(counted(&us.get(&format!("{V1}/scenarios/")).await), 2);
    let both = json!({"scenarios": [one, two], "agent_id": made.agent});
    assert_eq!(us.ask("POST", &delete, &both).await.status, 204);
    assert_eq!(counted(&us.get(&format!("{V1}/scenarios/")).await), 0);
    world.close().await;
}
