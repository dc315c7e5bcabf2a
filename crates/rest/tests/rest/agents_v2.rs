//! Agents, version 2: another shape of the same agents.

use serde_json::{Value, json};

use crate::world::{CALLER, V1, World, counted, id};

const V2: &str = "/test_framework/v2/aiagents/";
const SECRET: &str = "sk-very-secret-7";

fn body() -> Value {
    json!({
        "name": "Sales",
        "description": "Sells.",
        "language": "es",
        "agent_speaks_first": true,
        "telephony": {
            "phone_number": CALLER,
            "inbound": false,
            "sip_uri": "sip:agent@example.com",
            "sip_auth": {"username": "ringdown", "password": SECRET},
            "websocket_url": "wss://agent.example.com/voice",
            "outbound_numbers": [CALLER],
        },
        "provider": {
            "type": "vapi",
            "agent_id": "asst_1",
            "credentials": {
                "api_key": SECRET,
                "config": {"trigger_url": "https://example.com/call", "trigger_secret": SECRET},
            },
            "chat_agent_details": {
                "type": "self_hosted",
                "config": {"url": "wss://agent.example.com/chat", "websocket_secret": SECRET},
            },
            "auto_dial_outbound": true,
            "auto_import_calls": false,
            "auto_sync_prompt": true,
            "send_post_conversation_metadata": true,
            "redact_fields": ["age", "ssn"],
            "configure_from_provider": true,
        },
        "webhook_url": "https://example.com/hook",
        "webhook_secret": SECRET,
        "email_id": "team@example.com",
        "mock_tools_enabled": true,
        "mock_tools": [{"name": "book", "description": "Books.", "mock_data": [1]}],
        "dynamic_variables": [{"name": "x", "description": "An x."}],
        "something_new": [1],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_show_the_same_agent() {
    let world = World::start().await;
    let us = &world.us;
    let answer = us.ask("POST", V2, &body()).await;
    assert_eq!(answer.status, 201);
    let made = answer.ok();
    let two = format!("{V2}{}/", id(&made));
    let one = format!("{V1}/aiagents/{}/", id(&made));
    for shown in [
        made.clone(),
        us.get(&two).await,
        us.get(V2).await["results"][0].clone(),
    ] {
        let sent = body();
        assert!(!shown.to_string().contains(SECRET), "{shown}");
        for name in [
            "name",
            "description",
            "language",
            "agent_speaks_first",
            "something_new",
        ] {
            assert_eq!(shown[name], sent[name], "{name}");
        }
        for name in [
            "phone_number",
            "inbound",
            "sip_uri",
            "websocket_url",
            "outbound_numbers",
        ] {
            assert_eq!(shown["telephony"][name], sent["telephony"][name], "{name}");
        }
        for name in [
            "type",
            "agent_id",
            "auto_dial_outbound",
            "auto_import_calls",
        ] {
            assert_eq!(shown["provider"][name], sent["provider"][name], "{name}");
        }
        assert_eq!(shown["provider"]["redact_fields"], json!(["age", "ssn"]));
        let credentials = &shown["provider"]["credentials"];
        assert_eq!(credentials["api_key_configured"], true);
        assert_eq!(
            credentials["config"]["trigger_url"],
            "https://example.com/call"
        );
        assert_eq!(credentials["config"]["trigger_secret"], "********");
        assert_eq!(shown["provider"]["chat_provider"], "self_hosted");
        let chat = &shown["provider"]["chat_agent_details"]["config"];
        assert_eq!(chat["url"], "wss://agent.example.com/chat");
        assert_eq!(shown["telephony"]["sip_auth"]["username"], "ringdown");
        assert_eq!(shown["webhook_secret_configured"], "true");
        assert_eq!(shown["mock_tools"][0]["served_via"]["type"], "direct");
        assert_eq!(shown["dynamic_variables"][0]["id"], 1);
    }
    let old = us.get(&one).await;
    assert!(!old.to_string().contains(SECRET), "{old}");
    for (name, value) in [
        ("agent_name", json!("Sales")),
        ("contact_number", json!(CALLER)),
        ("outbound_numbers", json!([CALLER])),
        ("inbound", json!(false)),
        ("assistant_id", json!("asst_1")),
        ("transcript_provider", json!("vapi")),
        ("assistant_provider", json!("self_hosted")),
        ("websocket_url", json!("wss://agent.example.com/chat")),
        (
            "websocket_voice_url",
            json!("wss://agent.example.com/voice"),
        ),
        ("outbound_auto_call", json!(true)),
        ("agent_gives_first_message", json!(true)),
        ("vapi_api_key_configured", json!("true")),
    ] {
        assert_eq!(old[name], value, "{name}");
    }
    // A change through one version is seen in the other, and nothing else changes.
    us.patch(
        &one,
        json!({"llm_model": "gpt-4o-mini", "contact_number": "+15551230009"}),
    )
    .await;
    let shown = us.get(&two).await;
    assert_eq!(shown["telephony"]["phone_number"], "+15551230009");
    assert_eq!(shown["telephony"]["sip_uri"], "sip:agent@example.com");
    let line = json!({"telephony": {"phone_number": CALLER}, "provider": {"agent_id": "asst_2"}});
    let shown = us.patch(&two, line).await;
    assert_eq!(shown["telephony"]["outbound_numbers"], json!([CALLER]));
    assert_eq!(shown["provider"]["type"], "vapi");
    assert_eq!(shown["provider"]["credentials"]["api_key_configured"], true);
    let old = us.get(&one).await;
    assert_eq!(old["contact_number"], CALLER);
    assert_eq!(old["assistant_id"], "asst_2");
    assert_eq!(old["llm_model"], "gpt-4o-mini");
    // PUT clears what it leaves out, but for secrets and what only version 1 has.
    let shown = us
        .ask("PUT", &two, &json!({"name": "Bare", "description": "d"}))
        .await
        .ok();
    assert_eq!(shown["telephony"]["phone_number"], "");
    assert_eq!(shown["telephony"]["sip_auth"], Value::Null);
    assert_eq!(shown["provider"]["type"], "");
    assert_eq!(shown["provider"]["chat_agent_details"], Value::Null);
    assert_eq!(shown["mock_tools"], json!([]));
    assert_eq!(shown["webhook_secret_configured"], "true");
    assert_eq!(us.get(&one).await["llm_model"], "gpt-4o-mini");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_named_as_version_2_names_things() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.post(V2, json!({"description": "d"})).await;
    assert_eq!(made["name"], "New agent");
    let path = format!("{V2}{}/", id(&made));
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"telephony": []}), "telephony"),
        (
            json!({"telephony": {"phone_number": "555"}}),
            "telephony.phone_number",
        ),
        (json!({"telephony": {"inbound": "no"}}), "telephony.inbound"),
        (
            json!({"telephony": {"outbound_numbers": ["x"]}}),
            "telephony.outbound_numbers",
        ),
        (json!({"provider": {"type": "nobody"}}), "provider.type"),
        (
            json!({"provider": {"redact_fields": ["soul"]}}),
            "provider.redact_fields",
        ),
        (
            json!({"provider": {"credentials": 7}}),
            "provider.credentials",
        ),
        (
            json!({"provider": {"credentials": {"api_key": 7}}}),
            "provider.credentials.api_key",
        ),
        (
            json!({"provider": {"chat_agent_details": {"type": "nobody"}}}),
            "provider.chat_agent_details",
        ),
        (
            json!({"knowledge_base_files": [{"name": "a.md"}]}),
            "knowledge_base_files",
        ),
        (json!({"mock_tools": [{"description": "x"}]}), "mock_tools"),
        (
            json!({"dynamic_variables": [{"name": "x"}]}),
            "dynamic_variables",
        ),
        (json!({"language": "xx"}), "language"),
        (json!({"project": 999}), "project"),
    ] {
        for (method, path) in [("POST", V2), ("PATCH", &path), ("PUT", &path)] {
            println!("{method} {body}");
            us.ask(method, path, &body).await.names(field);
        }
    }
    assert_eq!(counted(&us.get(V2).await), 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_agent_is_not_there() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let made = us.catalogue("+15559990001").await;
    let path = format!("{V2}{}/", made.agent);
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let body = json!({"name": "taken", "description": ""});
        them.ask(method, &path, &body).await.refused(404);
    }
    assert_eq!(counted(&them.get(V2).await), 0);
    assert_eq!(
        counted(&us.get(&format!("{V2}?q=AGENT&project_id=999")).await),
        0
    );
    assert_eq!(
        counted(&us.get(&format!("{V2}?organization_id=999")).await),
        0
    );
    us.ask("DELETE", &path, &Value::Null).await.refused(400);
    let all = format!("{path}?delete_related=true");
    assert_eq!(us.ask("DELETE", &all, &Value::Null).await.status, 204);
    us.try_get(&path).await.refused(404);
    world.close().await;
}
