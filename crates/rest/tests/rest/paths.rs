//! Every path in all of its spellings.

use serde_json::json;

use crate::world::{V1, World};

/// All requests of the reference that the platform serves, with ids that exist.
fn reference(
    agent: i64,
    scenario: i64,
    profile: i64,
    number: i64,
    run: i64,
    result: i64,
) -> Vec<(&'static str, String)> {
    let get = |path: String| ("GET", path);
    vec![
        get("aiagents".to_owned()),
        get(format!("aiagents/{agent}")),
        get("scenarios".to_owned()),
        get(format!("scenarios/{scenario}")),
        get("test-profiles".to_owned()),
        get(format!("test-profiles/{profile}")),
        get("phone-numbers".to_owned()),
        get(format!("phone-numbers/{number}")),
        get("phone-numbers/inbound".to_owned()),
        get("phone-numbers/check_occupancy".to_owned()),
        get("runs".to_owned()),
        get("runs/bulk".to_owned()),
        get(format!("runs/{run}")),
        get("results".to_owned()),
        get(format!("results/{result}")),
        ("POST", "aiagents".to_owned()),
        ("POST", "scenarios".to_owned()),
        ("POST", "test-profiles".to_owned()),
        ("POST", "scenarios/run_scenarios".to_owned()),
        ("POST", format!("runs/{run}/end_call")),
        ("POST", format!("results/{result}/end_calls")),
        ("PATCH", format!("aiagents/{agent}")),
        ("PUT", format!("scenarios/{scenario}")),
        ("PATCH", format!("test-profiles/{profile}")),
    ]
}

/// A client that follows a redirect turns a POST into a GET, so no spelling is redirected.
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_path_is_served_and_none_is_redirected() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.catalogue("+15559990001").await;
    let profile = json!({"name": "profile", "information": {}});
    let profile = us.post(&format!("{V1}/test-profiles/"), profile).await;
    let profile = profile["id"].as_i64().unwrap();
    let triggered = us.trigger(&made, 1).await;
    let run = triggered.ids[0];
    let query = format!("run_ids={run}&phone_number=%2B15559990001");
    let requests = reference(
        made.agent,
        made.scenario,
        profile,
        made.number,
        run,
        triggered.result,
    );
    for (method, path) in requests {
        let body = json!({
            "agent_name": "a",
            "inbound": false,
            "contact_number": "+15551230001",
            "name": "n",
            "agent": made.agent,
            "scenarios": [made.scenario],
            "agent_id": made.agent,
        });
        let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
        let rest = if rest.is_empty() {
            String::new()
        } else {
            format!("/{rest}")
        };
        for spelling in [
            format!("{V1}/{first}{rest}"),
            format!("{V1}/{first}{rest}/"),
            format!("{V1}/{first}-external{rest}"),
            format!("{V1}/{first}-external{rest}/"),
        ] {
            let answer = us.ask(method, &format!("{spelling}?{query}"), &body).await;
            let expected = match (method, path.as_str()) {
                ("POST", "test-profiles") => 200,
                ("POST", path) if !path.contains("/end_call") => 201,
                _ => 200,
            };
            assert_eq!(
                answer.status,
                expected,
                "{method} {spelling}: {}",
                answer.json()
            );
        }
    }
    for path in [
        "/ringdown/v1/queue",
        "/ringdown/v1/queue/",
        "/ringdown/v1/organizations/current",
        "/ringdown/v1/organizations/current/",
        "/healthz",
        "/healthz/",
        "/readyz/",
        "/metrics/",
    ] {
        assert_eq!(us.try_get(path).await.status, 200, "{path}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_refused_in_the_apis_shape() {
    let world = World::start().await;
    let us = &world.us;
    for path in [
        "/",
        "//",
        "/nothing",
        "/test_framework",
        "/test_framework/v1/",
        "/test_framework/v1/runs//",
        "/test_framework/v1//runs/",
        "/test_framework/v1/runs-external-external/",
        "/test_framework/v1/bulk-external/",
        "/test_framework/v1/runs/abc/",
        "/test_framework/v1/runs/1.0/",
        "/test_framework/v1/runs/-1/",
        "/test_framework/v1/runs/0/",
        "/test_framework/v1/runs/9223372036854775807/",
        "/test_framework/v1/runs/9223372036854775808/",
        "/test_framework/v1/runs/%FF/",
        "/test_framework/v1/runs/1%00/",
        "/test_framework/v1/aiagents/%20/",
        "/ringdown/v1/runs/1/recording/",
        "/ringdown/v1/projects/99999/",
    ] {
        us.try_get(path).await.refused(404);
    }
    for (method, path, allowed) in [
        ("POST", "/test_framework/v1/runs/1/", "GET"),
        ("POST", "/test_framework/v1/phone-numbers/", "GET"),
        ("PUT", "/test_framework/v1/scenarios/run_scenarios/", "POST"),
        ("PATCH", "/healthz", "GET"),
    ] {
        let answer = us.ask(method, path, &json!({})).await;
        answer.refused(405);
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(allow.contains(allowed), "{method} {path}: {allow}");
    }
    world.close().await;
}
