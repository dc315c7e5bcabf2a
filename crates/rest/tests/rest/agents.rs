//! Agents, version 1: every field is kept, secrets are sealed, and nothing is deleted by accident.

use ringdown_domain::AgentId;
use ringdown_store::SecretOwner;
use serde_json::{Value, json};

use crate::world::{CALLER, V1, World, counted, id};

const SECRET: &str = "sk-very-secret-7";

#[tokio::test(flavor = "multi_thread")]
async fn every_field_comes_back_and_no_secret_does() {
    let world = World::start().await;
    let us = &world.us;
    let agents = format!("{V1}/aiagents/");
    let fields = json!({
        "agent_name": "Sales",
        "inbound": false,
        "description": "Sells.",
        "contact_number": CALLER,
        "outbound_numbers": [CALLER, "+15551230002"],
        "language": "de",
        "assistant_id": "asst_1",
        "chat_assistant_id": "chat_1",
        "websocket_url": "wss://agent.example.com/chat",
        "llm_system_prompt": "You sell.",
        "llm_model": "gpt-4.1",
        "llm_temperature": 0.5,
        "llm_max_tokens": 100,
        "outbound_auto_call": true,
        "sip_endpoint": "sip:agent@example.com",
        "websocket_voice_url": "wss://agent.example.com/voice",
        "transcript_provider": "vapi",
        "assistant_provider": "self_hosted",
        "dropoff_nodes": [{"a": 1}],
        "topic_nodes": ["x"],
        "pronunciation_words": {"a": "b"},
        "spelling_word_types": ["names"],
        "auto_update_dropoff_nodes": true,
        "auto_update_topic_nodes": false,
        "hallucination_metric_kb_files": [1, null],
        "auto_fetch_calls_enabled": true,
        "auto_sync_prompt_enabled": true,
        "agent_gives_first_message": true,
        "webhook_url": "https://example.com/hook",
        "email_id": "team@example.com",
        "something_new": {"kept": [true]},
    });
    let mut body = fields.clone();
    body["vapi_api_key"] = json!(SECRET);
    body["webhook_secret"] = json!(SECRET);
    body["unknown_api_key"] = json!(SECRET);
    body["sip_auth"] = json!({"username": "ringdown", "password": SECRET});
    body["websocket_headers"] = json!({"Authorization": SECRET});
    body["vapi_data"] =
        json!({"trigger_url": "https://example.com/call", "trigger_secret": SECRET})
            .to_string()
            .into();
    let answer = us.ask("POST", &agents, &body).await;
    assert_eq!(answer.status, 201);
    let made = answer.ok();
    let path = format!("{agents}{}/", id(&made));
    for shown in [
        made.clone(),
        us.get(&path).await,
        us.get(&agents).await["results"][0].clone(),
    ] {
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}");
        }
        assert!(!shown.to_string().contains(SECRET), "{shown}");
        assert_eq!(shown["vapi_api_key_configured"], "true");
        assert_eq!(shown["webhook_secret_configured"], "true");
        assert_eq!(shown["retell_api_key_configured"], "");
        assert_eq!(shown["sip_auth"]["username"], "ringdown");
        let data: Value = serde_json::from_str(shown["vapi_data"].as_str().unwrap()).unwrap();
        assert_eq!(data["trigger_url"], "https://example.com/call");
        assert_eq!(data["trigger_secret"], "********");
        assert!(
            shown["enabled_personalities"]
                .as_array()
                .unwrap()
                .contains(&json!(1))
        );
        assert!(shown.get("unknown_api_key").is_none());
    }

    // What was read can be sent back: masks and read-only fields change nothing.
    let store = world.engine.store();
    let owner = SecretOwner::Agent(AgentId(id(&made)));
    let scope = world.org.id.into();
    let sealed = store.secrets_of(scope, &[owner]).await.unwrap();
    let mut back = made.clone();
    back["vapi_data"] =
        json!({"trigger_url": "https://example.com/v2", "trigger_secret": "********"});
    let changed = us.ask("PUT", &path, &back).await.ok();
    assert_eq!(changed["webhook_secret_configured"], "true");
    assert!(changed["vapi_data"].as_str().unwrap().contains("/v2"));
    assert_eq!(store.secrets_of(scope, &[owner]).await.unwrap(), sealed);

    // An empty text forgets a secret; a field of its own value leaves the others.
    us.patch(
        &path,
        json!({"vapi_api_key": "", "description": "Sells more."}),
    )
    .await;
    let shown = us.get(&path).await;
    assert_eq!(shown["vapi_api_key_configured"], "");
    assert_eq!(shown["webhook_secret_configured"], "true");
    assert_eq!(shown["description"], "Sells more.");
    // PUT makes everything else new, but keeps what nobody can read back.
    let short = json!({"agent_name": "Short", "inbound": true, "description": ""});
    let shown = us.ask("PUT", &path, &short).await.ok();
    assert_eq!(shown["language"], "en");
    assert!(shown.get("assistant_id").is_none());
    assert!(shown.get("sip_auth").is_none());
    assert_eq!(shown["webhook_secret_configured"], "true");
    let left = store.secrets_of(scope, &[owner]).await.unwrap();
    let left: Vec<&str> = left.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(left, ["webhook_secret"]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_agent_can_be_is_refused() {
    let world = World::start().await;
    let us = &world.us;
    let agent = us.agent("one").await;
    let path = format!("{V1}/aiagents/{agent}/");
    let before = us.try_get(&path).await.bytes;
    for (field, value) in [
        ("language", json!("xx")),
        ("llm_model", json!("abacus")),
        ("llm_temperature", json!("hot")),
        ("llm_max_tokens", json!(1.5)),
        ("transcript_provider", json!("nobody")),
        ("webhook_url", json!("example.com")),
        ("webhook_url", json!("file:///etc/passwd")),
        ("email_id", json!("nobody")),
        ("assistant_id", json!("x".repeat(256))),
        ("outbound_auto_call", json!("yes")),
        ("vapi_api_key", json!(7)),
        ("vapi_api_key", json!("x".repeat(10_001))),
        ("websocket_headers", json!("Authorization: x")),
        ("sip_auth", json!({"password": "\0"})),
    ] {
        us.ask("PATCH", &path, &json!({field: value}))
            .await
            .names(field);
    }
    assert_eq!(us.try_get(&path).await.bytes, before);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_evaluators_goes_only_with_them() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let path = format!("{V1}/aiagents/{}/", made.agent);
    let refused = us.ask("DELETE", &path, &Value::Null).await.refused(400);
    assert!(refused.contains("delete_related=true"), "{refused}");
    let odd = format!("{path}?delete_related=maybe");
    us.ask("DELETE", &odd, &Value::Null)
        .await
        .names("delete_related");
    let theirs = format!("{path}?delete_related=true");
    world
        .them
        .ask("DELETE", &theirs, &Value::Null)
        .await
        .refused(404);
    let scenario = format!("{V1}/scenarios/{}/", made.scenario);
    us.get(&scenario).await;
    assert_eq!(us.ask("DELETE", &theirs, &Value::Null).await.status, 204);
    us.try_get(&path).await.refused(404);
    us.try_get(&scenario).await.refused(404);
    // Without evaluators there is nothing to ask.
    let lonely = us.agent("lonely").await;
    let path = format!("{V1}/aiagents/{lonely}/");
    assert_eq!(us.ask("DELETE", &path, &Value::Null).await.status, 204);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_list_names_agents() {
    let world = World::start().await;
    let us = &world.us;
    for n in 0..3 {
        us.agent(&format!("agent {n}")).await;
    }
    us.agent("other").await;
    let list = format!("{V1}/aiagents/short_list/");
    let shown = us.get(&format!("{list}?q=AGENT&page_size=2")).await;
    assert_eq!(shown["count"], 3);
    assert_eq!(shown["results"].as_array().unwrap().len(), 2);
    let first = &shown["results"][0];
    assert_eq!(first["agent_name"], "agent 2");
    assert_eq!(first["organization"], world.org.id.0);
    assert_eq!(first["contact_number"], CALLER);
    let of = |org: i64| format!("{list}?organization_id={org}");
    assert_eq!(counted(&us.get(&of(world.org.id.0)).await), 4);
    assert_eq!(counted(&us.get(&of(999)).await), 0);
    assert_eq!(counted(&us.get(&format!("{list}?project_id=999")).await), 0);
    assert_eq!(counted(&world.them.get(&list).await), 0);
    world.close().await;
}
