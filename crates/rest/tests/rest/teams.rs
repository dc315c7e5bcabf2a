//! Organisations and projects as the reference service has them.

use ringdown_store::{SecretOwner, Secrets as _};
use serde_json::{Value, json};

use crate::world::{OWN, World, id};

const ORGANIZATIONS: &str = "/user/organizations/";
const PROJECTS: &str = "/user/v1/projects/";

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_is_shown_and_changed() {
    let world = World::start().await;
    let us = &world.us;
    let list = us.get(ORGANIZATIONS).await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    let shown = &list[0];
    assert_eq!(shown["id"], world.org.id.0);
    assert_eq!(shown["max_concurrent_runs_limit"], i32::MAX);
    assert_eq!(shown["members"], json!([]));
    assert_eq!(shown["projects"][0]["name"], "default");
    assert_eq!(shown["limit_to_exclusive_numbers"], false);
    assert_eq!(shown["vapi_api_key_configured"], "");
    assert_eq!(shown["low_credits_threshold"], "0.00");
    assert_eq!(us.get(&format!("{ORGANIZATIONS}?search=U")).await, list);
    let none = us.get(&format!("{ORGANIZATIONS}?search=other")).await;
    assert_eq!(none, json!([]));
    let path = format!("{ORGANIZATIONS}{}/", world.org.id);
    assert_eq!(us.get(&path).await, *shown);
    let changes = json!({
        "name": "Us, renamed", "max_concurrent_runs_limit": 7, "outbound_timeout": 60,
        "max_call_duration": 120, "timezone": "Europe/Berlin", "notify_no_calls": true,
        "low_credits_threshold": "12.5", "team_size": "10-100", "discovery_source": "a friend",
        "vapi_api_key": "vapi-secret", "something_new": {"kept": true},
        "id": 5, "members": ["me"], "show_custom_dashboards": true,
    });
    let changed = us.patch(&path, changes).await;
    for (name, value) in [
        ("id", json!(world.org.id.0)),
        ("name", json!("Us, renamed")),
        ("max_concurrent_runs_limit", json!(7)),
        ("outbound_timeout", json!(60)),
        ("max_call_duration", json!(120)),
        ("timezone", json!("Europe/Berlin")),
        ("notify_no_calls", json!(true)),
        ("low_credits_threshold", json!("12.50")),
        ("team_size", json!("10-100")),
        ("discovery_source", json!("a friend")),
        ("vapi_api_key_configured", json!("true")),
        ("retell_api_key_configured", json!("")),
        ("something_new", json!({"kept": true})),
        ("members", json!([])),
        ("show_custom_dashboards", json!(false)),
    ] {
        assert_eq!(changed[name], value, "{name}");
    }
    assert!(!changed.to_string().contains("vapi-secret"));
    assert_eq!(us.get(&path).await, changed);
    let own = us.get(&format!("{OWN}/organizations/current/")).await;
    assert_eq!(own["parallel_call_limit"], 7);
    // New projects begin with what their organisation says.
    for path in [PROJECTS.to_owned(), format!("{OWN}/projects/")] {
        let made = us.post(&path, json!({"name": "new"})).await;
        assert_eq!(made["outbound_timeout"], 60);
        assert_eq!(made["max_call_duration"], 120);
    }
    let undone =
        json!({"notify_no_calls": null, "vapi_api_key": "", "max_concurrent_runs_limit": i32::MAX});
    let undone = us.patch(&path, undone).await;
    assert_eq!(undone["notify_no_calls"], false);
    assert_eq!(undone["vapi_api_key_configured"], "");
    assert_eq!(undone["max_concurrent_runs_limit"], i32::MAX);
    for (field, wrong) in [
        ("name", json!("")),
        ("max_concurrent_runs_limit", json!(0)),
        ("outbound_timeout", json!(301)),
        ("max_call_duration", json!(9)),
        ("timezone", json!("Mars/Base")),
        ("team_size", json!("2")),
        ("notify_no_calls", json!("yes")),
        ("low_credits_threshold", json!("lots")),
        ("vapi_api_key", json!("two\nlines")),
        ("vapi_api_key", json!(5)),
    ] {
        let body = json!({field: wrong});
        us.ask("PATCH", &path, &body).await.names(field);
    }
    assert_eq!(us.get(&path).await, undone);
    world.them.try_get(&path).await.refused(404);
    let body = json!({"name": "taken"});
    world.them.ask("PATCH", &path, &body).await.refused(404);
    let all = format!("{OWN}/organizations/");
    us.try_get(&all).await.refused(403);
    let all = world.admin.get(&all).await;
    assert_eq!(all["count"], 3);
    assert_eq!(all["results"][1]["slug"], "us");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_made_replaced_and_changed() {
    let world = World::start().await;
    let us = &world.us;
    let full = json!({
        "name": "Support", "organization_id": world.org.id.0, "outbound_timeout": 45,
        "max_call_duration": 90, "min_call_duration": 5, "sample_rate": 12.5,
        "webhook_url": "https://example.com/hook", "webhook_secret": "hush-hush",
        "vapi_api_key": "vapi-secret", "notify_result_webhook_failed": true,
        "rubric_config": {"rules": [1]}, "timezone": "Asia/Calcutta",
        "daily_report_dashboard_ids": [3], "extra_field": "kept",
    });
    let made = us.ask("POST", PROJECTS, &full).await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    for (name, value) in full.as_object().unwrap() {
        match name.as_str() {
            "organization_id" | "webhook_secret" | "vapi_api_key" => {
                assert!(made.get(name).is_none(), "{name} is write-only");
            }
            _ => assert_eq!(made[name], *value, "{name}"),
        }
    }
    assert_eq!(made["organization"]["id"], world.org.id.0);
    assert_eq!(made["webhook_secret_configured"], "true");
    assert_eq!(made["vapi_api_key_configured"], "true");
    assert_eq!(made["livekit_api_key_configured"], "");
    assert_eq!(made["notify_cronjob_webhook_error"], true);
    assert!(!made.to_string().contains("hush"));
    let path = format!("{PROJECTS}{}/", id(&made));
    assert_eq!(us.get(&path).await, made);
    let owner = SecretOwner::Project(id(&made).into());
    let scope = world.org.id.into();
    let sealed = world.store.secret(scope, owner, "webhook_secret").await;
    assert!(!sealed.unwrap().unwrap().contains("hush"));

    let list = us.get(PROJECTS).await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    let only = us
        .get(&format!("{PROJECTS}?project_id={}", id(&made)))
        .await;
    assert_eq!(only, json!([made]));
    let query = format!("{PROJECTS}?organization_id={}", world.org.id);
    assert_eq!(us.get(&query).await, list);
    let query = format!("{PROJECTS}?organization_id=999999");
    assert_eq!(us.get(&query).await, json!([]));

    let changed = json!({"outbound_timeout": 1, "webhook_secret": null, "webhook_url": ""});
    let changed = us.patch(&path, changed).await;
    assert_eq!(changed["outbound_timeout"], 1);
    assert_eq!(changed["max_call_duration"], 90);
    assert_eq!(changed["webhook_url"], "");
    assert_eq!(changed["webhook_secret_configured"], "");
    assert_eq!(changed["vapi_api_key_configured"], "true");

    let replaced = us.ask("PUT", &path, &json!({"name": "Plain"})).await.ok();
    assert_eq!(replaced["name"], "Plain");
    assert_eq!(replaced["outbound_timeout"], 300);
    assert_eq!(replaced["timezone"], "UTC");
    assert_eq!(replaced["rubric_config"], Value::Null);
    assert!(replaced.get("extra_field").is_none());
    assert_eq!(
        replaced["vapi_api_key_configured"], "true",
        "it cannot be sent back"
    );
    us.ask("PUT", &path, &json!({})).await.names("name");

    for (field, wrong) in [
        ("name", json!("")),
        ("organization_id", json!(999_999)),
        ("outbound_timeout", json!(0)),
        ("outbound_timeout", json!(301)),
        ("max_call_duration", json!(3601)),
        ("webhook_url", json!("http://10.0.0.1/hook")),
        ("webhook_url", json!("http://169.254.169.254/latest")),
        ("webhook_url", json!("https://user:pass@example.com/")),
        ("webhook_url", json!("ftp://example.com/")),
        ("webhook_url", json!("example.com")),
        ("webhook_secret", json!("\u{e9}")),
        ("sample_rate", json!("all")),
        ("timezone", json!("Mars/Base")),
        ("notify_pre_run_webhook", json!(1)),
        ("is_deleted", json!(true)),
    ] {
        let mut body = json!({"name": "x"});
        body[field] = wrong;
        us.ask("PATCH", &path, &body).await.names(field);
        us.ask("PUT", &path, &body).await.names(field);
        us.ask("POST", PROJECTS, &body).await.names(field);
    }
    assert_eq!(us.get(&path).await, replaced);
    assert_eq!(us.get(PROJECTS).await.as_array().unwrap().len(), 2);
    for (method, body) in [
        ("GET", Value::Null),
        ("PATCH", json!({"name": "x"})),
        ("PUT", json!({"name": "x"})),
    ] {
        world.them.ask(method, &path, &body).await.refused(404);
    }
    world.close().await;
}

#[tokio::test]
async fn ringdowns_own_settings_of_a_project_are_changed_one_by_one() {
    let world = World::start().await;
    let us = &world.us;
    let path = format!(
        "{OWN}/projects/{}/",
        id(&us.get(&format!("{OWN}/projects/")).await[0])
    );
    let before = us.get(&path).await;
    assert_eq!(
        (&before["weight"], &before["retention_days"]),
        (&json!(1), &Value::Null)
    );
    for (name, value) in [
        ("weight", json!(3)),
        ("retention_days", json!(30)),
        ("calls_per_second", json!(0.5)),
        ("silence_timeout", json!(20)),
        ("reject", json!("silent")),
    ] {
        let mut expected = us.get(&path).await;
        expected[name] = value.clone();
        let mut body = json!({});
        body[name] = value;
        assert_eq!(us.patch(&path, body).await, expected);
    }
    let kept = us.patch(&path, json!({"retention_days": 0})).await;
    assert_eq!(kept["retention_days"], Value::Null);
    assert_eq!(kept["calls_per_second"], json!(0.5));
    let unpaced = us.patch(&path, json!({"calls_per_second": 0})).await;
    assert_eq!(unpaced["calls_per_second"], Value::Null);
    world.close().await;
}
