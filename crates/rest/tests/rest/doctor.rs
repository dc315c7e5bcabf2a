//! Whether a batch of an agent could work, seen through the API.

use serde_json::{Value, json};

use crate::provider::{OWNED, SECRET};
use crate::world::{CALLER, Client, OWN, V1, World, id};

async fn diagnosis(client: &Client, agent: i64, query: &str) -> Value {
    client
        .get(&format!("{OWN}/agents/{agent}/doctor/{query}"))
        .await
}

/// The severity of the finding with this code; `null` if there is none.
fn severity<'a>(diagnosis: &'a Value, code: &str) -> &'a Value {
    let findings = diagnosis["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code);
    found.map_or(&Value::Null, |finding| &finding["severity"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_agent_is_right_and_what_goes_wrong_is_named() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let found = diagnosis(us, made.agent, "").await;
    let findings = found["findings"].as_array().unwrap();
    assert!(
        findings.iter().all(|finding| finding["severity"] == "ok"),
        "{found:#}"
    );
    assert_eq!(found["agent_id"], made.agent);
    assert_eq!(
        (&found["runs"], &found["parallel"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(found["evaluator_id"], made.scenario);
    assert_eq!(found["dial_window_seconds"], 300);
    assert_eq!(found["sip_uri"], "sip:192.0.2.7:5060");

    // More runs than numbers, more calls than the limit, a rival, and a route that no dialer has.
    let project = us.get(&format!("{OWN}/projects/")).await;
    let project = format!("{OWN}/projects/{}/", id(&project[0]));
    us.patch(
        &project,
        json!({"parallel_call_limit": 2, "outbound_timeout": 5}),
    )
    .await;
    let twin = us.agent("twin").await;
    let scenario = json!({"name": "same number", "agent": twin, "personality": 1,
                          "phone_number": made.number});
    us.post(&format!("{V1}/scenarios/"), scenario).await;
    let route = format!("{OWN}/agents/{}/dial-route/", made.agent);
    us.ask("PUT", &route, &json!({"route": "unknown"}))
        .await
        .ok();
    let found = diagnosis(us, made.agent, "?runs=8&parallel=3").await;
    for (code, expected) in [
        ("numbers_short", "warning"),
        ("limit_below_parallel", "warning"),
        ("caller_id_shared", "warning"),
        ("dial_window_short", "warning"),
        ("route_unknown", "error"),
    ] {
        assert_eq!(severity(&found, code), expected, "{code}: {found:#}");
    }
    us.ask("PUT", &route, &json!({"route": "known"})).await.ok();
    let found = diagnosis(us, made.agent, "").await;
    assert_eq!(severity(&found, "route_known"), "ok");
    assert_eq!(severity(&found, "slots_busy"), &Value::Null);
    us.trigger(&made, 2).await;
    let found = diagnosis(us, made.agent, "").await;
    assert_eq!(severity(&found, "slots_busy"), "warning", "{found:#}");
    assert_eq!(severity(&found, "numbers_short"), "warning", "{found:#}");

    let agents = format!("{V1}/aiagents/");
    let silent = json!({"agent_name": "silent", "inbound": true, "contact_number": ""});
    let silent = id(&us.post(&agents, silent).await);
    let found = diagnosis(us, silent, "").await;
    for code in ["agent_inbound", "caller_id_missing", "evaluators_missing"] {
        assert_eq!(severity(&found, code), "error", "{found:#}");
    }
    assert_eq!(found["evaluator_id"], Value::Null);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_about_ones_own_agents_and_a_sane_batch() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let path = format!("{OWN}/agents/{}/doctor/", made.agent);
    world.them.try_get(&path).await.refused(404);
    us.try_get(&format!("{OWN}/agents/987654/doctor/"))
        .await
        .refused(404);
    for name in ["runs", "parallel"] {
        for wrong in ["0", "-1", "10001", "many", "1.5"] {
            us.try_get(&format!("{path}?{name}={wrong}"))
                .await
                .names(name);
        }
        us.get(&format!("{path}?{name}=10000")).await;
    }
    // A rival of another project is not named to a key that may not see it.
    let projects = format!("{OWN}/projects/");
    let first = id(&us.get(&projects).await[0]);
    let second = id(&us.post(&projects, json!({"name": "second"})).await);
    let twin = json!({"agent_name": "secret twin", "inbound": false, "contact_number": CALLER,
                      "project": second});
    let twin = id(&us.post(&format!("{V1}/aiagents/"), twin).await);
    let scenario = json!({"name": "same number", "agent": twin, "personality": 1,
                          "phone_number": made.number});
    us.post(&format!("{V1}/scenarios/"), scenario).await;
    let key = json!({"name": "bound", "project_id": first, "role": "viewer"});
    let bound = us.post(&format!("{OWN}/keys/"), key).await;
    let bound = us.with_key(bound["key"].as_str());
    let found = diagnosis(&bound, made.agent, "").await;
    assert_eq!(severity(&found, "caller_id_shared"), "warning");
    assert!(!found.to_string().contains("secret twin"), "{found:#}");
    let found = diagnosis(us, made.agent, "").await;
    assert!(found.to_string().contains("secret twin"), "{found:#}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_can_be_asked_is_asked() {
    let world = World::start().await;
    let us = &world.us;
    let agents = format!("{V1}/aiagents/");
    let agent = json!({"agent_name": "hosted", "inbound": false, "contact_number": OWNED,
                       "transcript_provider": "telnyx"});
    let agent = id(&us.post(&agents, agent).await);
    let path = format!("{agents}{agent}/");
    let found = diagnosis(us, agent, "").await;
    assert_eq!(severity(&found, "credentials_missing"), "warning");
    assert!(world.provider.asked().is_empty());
    for (change, code, expected) in [
        (
            json!({"telnyx_api_key": SECRET}),
            "credentials_accepted",
            "ok",
        ),
        (
            json!({"contact_number": CALLER}),
            "credentials_other_account",
            "warning",
        ),
        (
            json!({"contact_number": "+15550000000"}),
            "credentials_unanswered",
            "warning",
        ),
        (
            json!({"telnyx_api_key": "wrong-token"}),
            "credentials_refused",
            "error",
        ),
        (
            json!({"telnyx_api_key": "not a key"}),
            "credentials_refused",
            "error",
        ),
        (
            json!({"transcript_provider": "vapi"}),
            "credentials_missing",
            "warning",
        ),
        (json!({"vapi_api_key": SECRET}), "credentials_present", "ok"),
    ] {
        us.patch(&path, change.clone()).await;
        let found = diagnosis(us, agent, "").await;
        assert_eq!(severity(&found, code), expected, "{change}: {found:#}");
        assert!(!found.to_string().contains(SECRET), "{found:#}");
    }
    world.close().await;
}
