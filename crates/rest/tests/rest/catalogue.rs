//! Personalities, metrics and test profiles.

use serde_json::{Value, json};

use crate::world::{OWN, V1, World, counted, id};

#[tokio::test(flavor = "multi_thread")]
async fn built_in_personalities_are_read_and_own_ones_are_changed() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let all = format!("{V1}/personalities/");
    let built_in = counted(&us.get(&all).await);
    assert!(built_in >= 12);
    let normal = us.get(&format!("{all}1/")).await;
    assert_eq!(normal["name"], "Normal");
    for method in ["PUT", "PATCH", "DELETE"] {
        let body = json!({"name": "mine"});
        let detail = us
            .ask(method, &format!("{all}1/"), &body)
            .await
            .refused(403);
        assert!(detail.contains("create one of your own"), "{detail}");
    }
    us.try_get(&format!("{all}999/")).await.refused(404);
    let body = json!({
        "name": "Mumbler",
        "language": "de",
        "prompt": "Mumble.",
        "accent": "Bavarian",
        "background_noise": "office",
        "voice_model": "sonic",
        "voice_id": "v1",
        "interruption_level": "low",
        "speed": "0.9",
        "network_simulation": {"packet_loss": 1},
        "stop_speaking_plan": null,
        "end_call_enabled": false,
        "provider": "cartesia",
        "something_new": [1],
    });
    let answer = us.ask("POST", &all, &body).await;
    assert_eq!(answer.status, 201);
    let own = answer.ok();
    assert!(id(&own) > 1000, "{own}");
    let path = format!("{all}{}/", id(&own));
    for shown in [own.clone(), us.get(&path).await] {
        for (name, value) in body.as_object().unwrap() {
            if name != "network_simulation" && !value.is_null() {
                assert_eq!(&shown[name], value, "{name}");
            }
        }
        assert_eq!(shown["network_simulation"], r#"{"packet_loss":1}"#);
    }
    let german = us.get(&format!("{all}?language=de")).await;
    assert_eq!(counted(&german), 2);
    assert_eq!(counted(&us.get(&all).await), built_in + 1);
    let elsewhere = us.get(&format!("{all}?project_id=999")).await;
    assert_eq!(counted(&elsewhere), built_in);
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        them.ask(method, &path, &json!({"name": "taken"}))
            .await
            .refused(404);
    }
    for (field, value) in [
        ("name", json!("")),
        ("language", json!("xx")),
        ("provider", json!("nobody")),
        ("project", json!(999)),
        ("end_call_enabled", json!("no")),
    ] {
        us.ask("PATCH", &path, &json!({field: value}))
            .await
            .names(field);
    }
    us.ask("POST", &all, &json!({})).await.names("name");
    let shown = us.patch(&path, json!({"speed": "1.1"})).await;
    assert_eq!(
        (&shown["speed"], &shown["accent"]),
        (&json!("1.1"), &json!("Bavarian"))
    );
    let shown = us.ask("PUT", &path, &json!({"name": "Bare"})).await.ok();
    assert_eq!(shown["language"], "en");
    assert!(shown.get("accent").is_none());
    // An evaluator can have it, and an agent says so.
    let made = us.catalogue("+15559990001").await;
    let scenario = format!("{V1}/scenarios/{}/", made.scenario);
    let scenario = us.patch(&scenario, json!({"personality": id(&own)})).await;
    assert_eq!(scenario["personality_name"], "Bare");
    let agent = us.get(&format!("{V1}/aiagents/{}/", made.agent)).await;
    assert!(
        agent["enabled_personalities"]
            .as_array()
            .unwrap()
            .contains(&own["id"])
    );
    assert_eq!(us.ask("DELETE", &path, &Value::Null).await.status, 204);
    us.try_get(&path).await.refused(404);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_those_that_runs_are_scored_by() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let agent = us.agent("one").await;
    us.patch(
        &format!("{V1}/aiagents/{agent}/"),
        json!({"assistant_id": "a1"}),
    )
    .await;
    let project = id(&us.get(&format!("{OWN}/projects/")).await[0]);
    let all = us.get(&format!("{V1}/predefined-metrics/")).await;
    let all = all.as_array().unwrap().len() as u64;
    let codes = us.get(&format!("{V1}/metrics/")).await;
    let names: Vec<&str> = codes
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["function_name"].as_str().unwrap())
        .collect();
    for code in [
        "talk_ratio",
        "latency",
        "infrastructure_issues",
        "silence_detection",
    ] {
        assert!(names.contains(&code), "{code}");
    }
    for (query, expected) in [
        (String::new(), all),
        (format!("agent_id={agent}"), all),
        ("agent_id=999".to_owned(), 0),
        (format!("agents={agent}"), all),
        (format!("agents={agent},999"), 0),
        (
            format!("project_id={project}&include_scores=true&filters=%7B%7D"),
            all,
        ),
        ("project_id=999".to_owned(), 0),
        ("assistant_id=a1".to_owned(), all),
        ("assistant_id=a2".to_owned(), 0),
        ("slug=latency".to_owned(), 1),
        ("slug=none".to_owned(), 0),
    ] {
        let list = us.get(&format!("{V1}/metrics/?{query}")).await;
        assert_eq!(counted(&list), expected, "{query}");
    }
    for query in ["agents=x", "agent_id=x", "include_scores=x"] {
        let field = query.split('=').next().unwrap();
        us.try_get(&format!("{V1}/metrics/?{query}"))
            .await
            .names(field);
    }
    assert_eq!(
        counted(&them.get(&format!("{V1}/metrics/?agent_id={agent}")).await),
        0
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_profiles_have_an_owner_that_can_change() {
    let world = World::start().await;
    let us = &world.us;
    let agent = us.agent("one").await;
    let project = id(&us.get(&format!("{OWN}/projects/")).await[0]);
    let all = format!("{V1}/test-profiles/");
    let of_agent = us.post(&all, json!({"name": "a", "agent": agent})).await;
    us.post(&all, json!({"name": "p", "project": project}))
        .await;
    us.post(&all, json!({"name": "free", "information": {"x": 1}}))
        .await;
    for (query, expected) in [
        (String::new(), 3),
        (format!("?agent_id={agent}"), 1),
        // An agent's profile is in the agent's project.
        (format!("?project_id={project}"), 2),
        ("?agent_id=999".to_owned(), 0),
    ] {
        assert_eq!(
            counted(&us.get(&format!("{all}{query}")).await),
            expected,
            "{query}"
        );
    }
    assert_eq!(of_agent["agent_name"], "one");
    let path = format!("{all}{}/", id(&of_agent));
    let shown = us
        .patch(&path, json!({"agent": null, "project": project}))
        .await;
    assert_eq!(
        (&shown["agent"], &shown["project"]),
        (&Value::Null, &json!(project))
    );
    assert_eq!(shown["agent_name"], "");
    let body = json!({"name": "b", "agent": agent, "information": {"x": 2}});
    let replaced = us.ask("PUT", &path, &body).await.ok();
    assert_eq!(
        (
            &replaced["name"],
            &replaced["agent"],
            &replaced["information"]
        ),
        (&json!("b"), &json!(agent), &json!({"x": 2}))
    );
    us.ask("DELETE", &path, &Value::Null).await.ok();
    us.try_get(&path).await.refused(404);
    world.close().await;
}
