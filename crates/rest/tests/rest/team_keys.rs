//! API keys: made, shown once, bound, limited, revoked; and the audit log of what they do.

use std::time::Duration;

use ringdown_store::Keys as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{OWN, V1, World, id, within};

fn keys() -> String {
    format!("{OWN}/keys/")
}

const BRIEF: &str = "/user/api/v1/user-api-key/";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let world = World::start().await;
    let us = &world.us;
    let project = id(&us.get(&format!("{OWN}/projects/")).await[0]);
    let body = json!({"name": "ci", "project": project});
    let made = us.ask("POST", BRIEF, &body).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    let key = made["key"].as_str().unwrap();
    assert_eq!(made["name"], "ci");
    assert_eq!(made["organization_name"], "us");
    assert_eq!(made["project"], project);
    assert_eq!(made["project_name"], "default");
    let bound = us.with_key(Some(key));
    assert_eq!(bound.get(BRIEF).await.as_array().unwrap().len(), 1);
    let listed = us.get(BRIEF).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(key));
    assert_eq!(listed[1]["key"], format!("rd_...{}", &key[key.len() - 4..]));
    assert_eq!(listed[0]["project"], Value::Null);
    assert_eq!(listed[0]["project_name"], "");
    let details = us.get(&format!("{}{}/", keys(), id(&made))).await;
    assert_eq!(details["role"], "admin");
    assert_eq!(details["hint"], &key[key.len() - 4..]);
    assert!(!us.get(&keys()).await.to_string().contains(key));

    let one = format!("{BRIEF}{}/", id(&made));
    bound.ask("DELETE", &one, &json!({})).await.refused(409);
    world
        .them
        .ask("DELETE", &one, &json!({}))
        .await
        .refused(404);
    assert_eq!(us.ask("DELETE", &one, &json!({})).await.status, 204);
    bound.try_get(BRIEF).await.refused(401);
    us.ask("DELETE", &one, &json!({})).await.refused(404);
    us.try_get(&format!("{}{}/", keys(), id(&made)))
        .await
        .refused(404);
    for (body, field) in [
        (json!({"project": 999_999}), "project"),
        (json!({"project": "x"}), "project"),
        (json!({"name": 5}), "name"),
    ] {
        us.ask("POST", BRIEF, &body).await.names(field);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_a_role_a_rate_and_an_end() {
    let world = World::start().await;
    let us = &world.us;
    let ends = jiff::Timestamp::now() + Duration::from_millis(1500);
    let body = json!({"name": "short", "role": "viewer", "rate_per_minute": 600,
                      "expires_at": ends.to_string()});
    let made = us.post(&keys(), body).await;
    assert_eq!(made["role"], "viewer");
    assert_eq!(made["rate_per_minute"], 600);
    assert_eq!(made["project_id"], Value::Null);
    assert_eq!(made["operator"], false);
    let short = us.with_key(made["key"].as_str());
    let agents = format!("{V1}/aiagents/");
    short.get(&agents).await;
    short.ask("POST", &agents, &json!({})).await.refused(403);
    within("the key ends", async {
        while short.try_get(&agents).await.status != 401 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(jiff::Timestamp::now() >= ends);
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "x", "role": "owner"}), "role"),
        (
            json!({"name": "x", "rate_per_minute": 0}),
            "rate_per_minute",
        ),
        (json!({"name": "x", "expires_at": "soon"}), "expires_at"),
        (
            json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}),
            "expires_at",
        ),
        (json!({"name": "x", "project_id": 999_999}), "project_id"),
        (json!({"name": "x", "operator": true}), "operator"),
    ] {
        us.ask("POST", &keys(), &body).await.names(field);
    }
    world.close().await;
}

/// A key that another process revoked is believed for a second at most.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_revoked_elsewhere_ends_within_a_second() {
    let world = World::start().await;
    let us = &world.us;
    let made = us.post(&keys(), json!({"name": "gone"})).await;
    let gone = us.with_key(made["key"].as_str());
    let agents = format!("{V1}/aiagents/");
    gone.get(&agents).await;
    let now = ringdown_bus::now();
    let (scope, key) = (world.org.id.into(), id(&made).into());
    world.store.revoke_api_key(scope, key, now).await.unwrap();
    let revoked = std::time::Instant::now();
    within("the key ends", async {
        while gone.try_get(&agents).await.status != 401 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(revoked.elapsed() < Duration::from_secs(10));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_key_was_used_is_written_down_at_the_end() {
    let world = World::start().await;
    let us = &world.us;
    let before = us.get(&keys()).await;
    assert_eq!(before[0]["last_used_at"], Value::Null);
    let stop = CancellationToken::new();
    stop.cancel();
    let store = std::sync::Arc::new(world.store.clone());
    world.access.clone().keep_books(store, stop).await;
    let after = us.get(&keys()).await;
    let used: jiff::Timestamp = after[0]["last_used_at"].as_str().unwrap().parse().unwrap();
    assert!(used <= jiff::Timestamp::now());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_once_and_reads_and_refusals_are_not() {
    let world = World::start().await;
    let (us, them) = (&world.us, &world.them);
    let log = format!("{OWN}/audit-log/");
    assert_eq!(us.get(&log).await["count"], 0);
    let made = us.catalogue("+15559990001").await;
    us.trigger(&made, 2).await;
    us.get(&format!("{V1}/aiagents/")).await;
    let path = format!("{V1}/aiagents/{}/", made.agent);
    us.ask("PATCH", &path, &json!({"inbound": 7}))
        .await
        .names("inbound");
    them.ask("DELETE", &path, &json!({})).await.refused(404);
    let related = format!("{path}?delete_related=true");
    us.ask("DELETE", &related, &json!({})).await.ok();
    let page = us.get(&log).await;
    let entries = page["results"].as_array().unwrap();
    let operations: Vec<&str> = entries
        .iter()
        .map(|entry| entry["operation"].as_str().unwrap())
        .collect();
    assert_eq!(
        operations,
        [
            "DELETE /test_framework/v1/aiagents/{id}",
            "POST /test_framework/v1/scenarios/run_scenarios",
            "POST /test_framework/v1/scenarios",
            "POST /test_framework/v1/aiagents",
            "POST /ringdown/v1/phone-numbers",
        ]
    );
    assert_eq!(entries[0]["path"], path.trim_end_matches('/'));
    assert_eq!(entries[0]["key_name"], "first");
    assert_eq!(them.get(&log).await["count"], 0);
    let second = us.get(&format!("{log}?page=2&page_size=2")).await;
    assert_eq!(second["results"][0]["id"], entries[2]["id"]);
    us.try_get(&format!("{log}?page_size=0"))
        .await
        .names("page_size");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_a_name_and_no_client_can_hide_a_change_behind_it() {
    let world = World::start().await;
    let us = &world.us;
    let named = |name: &'static str| {
        let request = axum::extract::Request::builder()
            .method("POST")
            .uri(format!("{V1}/aiagents/"))
            .header("x-cekura-api-key", us.key())
            .header("x-request-id", name);
        let body = json!({"agent_name": "a", "inbound": true}).to_string();
        us.request(request.body(body.into()).unwrap())
    };
    for _ in 0..2 {
        let answer = named("deploy-7").await;
        assert_eq!(answer.headers["x-request-id"], "deploy-7");
        answer.ok();
    }
    let answer = named("<mad>").await;
    let given = answer.headers["x-request-id"].to_str().unwrap().to_owned();
    assert!(given.len() > 8 && !given.contains('<'), "{given}");
    let log = us.get(&format!("{OWN}/audit-log/")).await;
    let names: Vec<&str> = log["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["request_id"].as_str().unwrap())
        .collect();
    assert_eq!(names, [&*given, "deploy-7", "deploy-7"]);
    let answer = us.try_get("/no/such/path").await;
    assert!(answer.headers.contains_key("x-request-id"));
    world.close().await;
}
