//! Requests that are wrong in one way each: refused, named, and nothing is stored.

use serde_json::{Value, json};

use crate::bodies::nested;
use crate::world::{CALLER, Catalogue, OWN, V1, World, id};

struct Setting {
    world: World,
    made: Catalogue,
    inbound: i64,
    without_number: i64,
    profile: i64,
}

impl Setting {
    async fn new() -> Self {
        let world = World::start().await;
        let us = &world.us;
        let made = us.catalogue("+15559990001").await;
        let agents = format!("{V1}/aiagents/");
        let inbound = json!({"agent_name": "takes calls", "inbound": true});
        let inbound = id(&us.post(&agents, inbound).await);
        let silent = json!({"agent_name": "no caller id", "inbound": false, "contact_number": ""});
        let without_number = id(&us.post(&agents, silent).await);
        let profile = json!({"name": "profile", "information": {}});
        let profile = id(&us.post(&format!("{V1}/test-profiles/"), profile).await);
        Self {
            made,
            inbound,
            without_number,
            profile,
            world,
        }
    }

    /// Every body, merged into `good`, is refused with a word about its field.
    async fn refuse(&self, method: &str, path: &str, good: &Value, bad: &[(&str, Value, &str)]) {
        let us = &self.world.us;
        let before = us.counts().await;
        let shown = us.try_get(path).await.bytes;
        for (field, value, named) in bad {
            let mut body = good.clone();
            body[field] = value.clone();
            println!("{method} {path} {field}: {:.60}", value.to_string());
            us.ask(method, path, &body).await.names(named);
        }
        assert_eq!(us.counts().await, before, "{path}: nothing is stored");
        assert_eq!(us.try_get(path).await.bytes, shown, "{path}: unchanged");
    }
}

/// Values that are no text.
fn no_text(field: &'static str) -> Vec<(&'static str, Value, &'static str)> {
    [json!(1), json!(true), json!([]), json!({}), json!("a\0b")]
        .into_iter()
        .map(|value| (field, value, field))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_numbers() {
    let set = Setting::new().await;
    let good = json!({"agent_name": "new", "inbound": false, "contact_number": CALLER});
    let mut bad = no_text("agent_name");
    bad.extend(no_text("contact_number"));
    bad.extend([
        ("agent_name", json!("  "), "agent_name"),
        ("agent_name", json!("x".repeat(256)), "agent_name"),
        ("agent_name", json!("x".repeat(1_000_000)), "agent_name"),
        ("inbound", json!("false"), "inbound"),
        ("inbound", json!(0), "inbound"),
        ("contact_number", json!("15551230001"), "contact_number"),
        ("contact_number", json!("+1 555 123 0001"), "contact_number"),
        ("contact_number", json!("+1555"), "contact_number"),
        ("contact_number", json!("+01234567890"), "contact_number"),
        (
            "contact_number",
            json!("+1234567890123456"),
            "contact_number",
        ),
        (
            "contact_number",
            json!("+１５５５１２３０００１"),
            "contact_number",
        ),
        ("contact_number", json!("+1555123000a"), "contact_number"),
        (
            "contact_number",
            json!("tel:+15551230001"),
            "contact_number",
        ),
        (
            "outbound_numbers",
            json!("+15551230001"),
            "outbound_numbers",
        ),
        (
            "outbound_numbers",
            json!([15_551_230_001_i64]),
            "outbound_numbers",
        ),
        (
            "outbound_numbers",
            json!([CALLER, "555"]),
            "outbound_numbers",
        ),
        (
            "outbound_numbers",
            json!(vec![CALLER; 101]),
            "outbound_numbers",
        ),
        ("outbound_numbers", json!({"0": CALLER}), "outbound_numbers"),
        ("project", json!(0), "project"),
        ("project", json!(999), "project"),
        ("project", json!("1"), "project"),
        ("project", json!(1.5), "project"),
        ("project", json!(u64::MAX), "project"),
        ("description", json!("a\0b"), "description"),
        ("description", json!("x".repeat(70_000)), "description"),
        ("nested", json!({"a": ["b", {"c\0": 1}]}), "nested"),
        (
            "hallucination_metric_kb_files",
            json!([1, null, []]),
            "hallucination_metric_kb_files",
        ),
    ]);
    let path = format!("{V1}/aiagents/{}/", set.made.agent);
    for (method, path) in [
        ("PUT", &path),
        ("PATCH", &path),
        ("POST", &format!("{V1}/aiagents/")),
    ] {
        set.refuse(method, path, &good, &bad).await;
    }
    let missing = [
        ("agent_name", Value::Null, "agent_name"),
        ("inbound", Value::Null, "inbound"),
    ];
    set.refuse("POST", &format!("{V1}/aiagents/"), &good, &missing)
        .await;

    let mut bad = no_text("number");
    bad.extend(no_text("name"));
    bad.extend([
        ("number", json!(""), "number"),
        ("number", Value::Null, "number"),
        ("number", json!("5559990009"), "number"),
        ("number", json!("+15559990001"), "number"),
        ("name", json!("x".repeat(256)), "name"),
        ("provider", json!("twilio"), "provider"),
    ]);
    let good = json!({"number": "+15559990009", "name": "new"});
    set.refuse("POST", &format!("{OWN}/phone-numbers/"), &good, &bad)
        .await;
    for asked in [
        "",
        "phone_number=",
        "phone_number=555",
        "phone_number=%2B1555x",
        "phone_number=%00",
    ] {
        let path = format!("{V1}/phone-numbers/check_occupancy/?{asked}");
        set.world.us.try_get(&path).await.names("phone_number");
    }
    set.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluators_and_test_profiles() {
    let set = Setting::new().await;
    let good = json!({"name": "new", "agent": set.made.agent});
    let mut bad = Vec::new();
    for field in [
        "name",
        "first_message",
        "instructions",
        "expected_outcome_prompt",
        "scenario_language",
        "scenario_type",
        "folder_path",
    ] {
        bad.extend(no_text(field));
    }
    bad.extend([
        ("name", json!(""), "name"),
        ("name", json!("x".repeat(81)), "name"),
        ("name", json!("x".repeat(1_000_000)), "name"),
        ("agent", json!(999), "agent"),
        ("agent", json!(-1), "agent"),
        ("agent", json!([1]), "agent"),
        ("first_message", json!("x".repeat(2001)), "first_message"),
        ("instructions", json!("x".repeat(10_001)), "instructions"),
        (
            "expected_outcome_prompt",
            json!("ü".repeat(10_001)),
            "expected_outcome_prompt",
        ),
        (
            "scenario_language",
            json!("x".repeat(11)),
            "scenario_language",
        ),
        ("scenario_type", json!("interview"), "scenario_type"),
        ("folder_path", json!("x".repeat(256)), "folder_path"),
        ("tags", json!("smoke"), "tags"),
        ("tags", json!([1]), "tags"),
        ("tags", json!(["a\0b"]), "tags"),
        ("tags", json!(["x".repeat(101)]), "tags"),
        ("tags", json!(vec!["x"; 101]), "tags"),
        ("tags", json!({}), "tags"),
        ("max_duration", json!(9), "max_duration"),
        ("max_duration", json!(3601), "max_duration"),
        ("max_duration", json!("60"), "max_duration"),
        ("max_duration", json!(60.5), "max_duration"),
        ("personality", json!(0), "personality"),
        ("personality", json!("calm"), "personality"),
        ("phone_number", json!(999), "phone_number"),
        ("phone_number", json!("+15559990001"), "phone_number"),
        ("test_profile", json!(999), "test_profile"),
        ("test_profile", json!(i64::MIN), "test_profile"),
        ("conditional_actions", json!([]), "conditional_actions"),
        (
            "conditional_actions",
            json!({"a": "x".repeat(70_000)}),
            "conditional_actions",
        ),
        (
            "conditional_actions",
            json!({"a": "\0"}),
            "conditional_actions",
        ),
        ("anything", json!(vec!["x".repeat(700); 100]), "anything"),
    ]);
    let path = format!("{V1}/scenarios/{}/", set.made.scenario);
    for (method, path) in [
        ("PUT", &path),
        ("PATCH", &path),
        ("POST", &format!("{V1}/scenarios/")),
    ] {
        set.refuse(method, path, &good, &bad).await;
    }
    let missing = [
        ("name", Value::Null, "name"),
        ("agent", Value::Null, "agent"),
    ];
    set.refuse("POST", &format!("{V1}/scenarios/"), &good, &missing)
        .await;

    let good = json!({"name": "new", "information": {"a": 1}});
    let mut bad = no_text("name");
    bad.extend([
        ("name", json!(""), "name"),
        ("name", Value::Null, "name"),
        ("name", json!("x".repeat(256)), "name"),
        ("information", json!("text"), "information"),
        ("information", json!([1]), "information"),
        ("information", json!(7), "information"),
        (
            "information",
            json!({"a": "x".repeat(64 * 1024)}),
            "information",
        ),
        (
            "information",
            json!({"a": "\"".repeat(40_000)}),
            "information",
        ),
        ("information", json!({"a\0": 1}), "information"),
        ("information", json!({"a": [{"b": "\0"}]}), "information"),
        ("information", nested(40), "information"),
        ("agent", json!(999), "agent"),
        ("project", json!(999), "project"),
        ("project", json!(true), "project"),
    ]);
    let path = format!("{V1}/test-profiles/{}/", set.profile);
    for (method, path) in [
        ("PUT", &path),
        ("PATCH", &path),
        ("POST", &format!("{V1}/test-profiles/")),
    ] {
        set.refuse(method, path, &good, &bad).await;
    }
    set.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_and_questions_about_runs() {
    let set = Setting::new().await;
    let good = json!({"scenarios": [set.made.scenario], "agent_id": set.made.agent});
    let mut bad = no_text("mode");
    bad.extend(no_text("name"));
    bad.extend(no_text("agent_number"));
    bad.extend([
        ("scenarios", json!([]), "scenarios"),
        ("scenarios", Value::Null, "scenarios"),
        ("scenarios", json!([999]), "scenarios"),
        ("scenarios", json!([set.made.scenario, 999]), "scenarios"),
        ("scenarios", json!([0]), "scenarios"),
        ("scenarios", json!([u64::MAX]), "scenarios"),
        ("scenarios", json!(["1"]), "scenarios"),
        ("scenarios", json!([[1]]), "scenarios"),
        ("scenarios", json!(set.made.scenario), "scenarios"),
        (
            "scenarios",
            json!(vec![set.made.scenario; 10_001]),
            "scenarios",
        ),
        ("tags", json!(["smoke"]), "scenarios"),
        ("folder_path", json!("Sales"), "scenarios"),
        ("agent_id", json!(999), "agent_id"),
        ("agent_id", json!(set.inbound), "agent_id"),
        ("agent_id", json!("1"), "agent_id"),
        ("agent_id", json!(set.without_number), "contact_number"),
        ("frequency", json!(0), "frequency"),
        ("frequency", json!(-1), "frequency"),
        ("frequency", json!(10_001), "frequency"),
        ("frequency", json!(i64::MAX), "frequency"),
        ("frequency", json!(1e300), "frequency"),
        ("frequency", json!("1"), "frequency"),
        ("frequency", json!(true), "frequency"),
        ("freq", json!(0), "freq"),
        ("freq", json!([1]), "freq"),
        ("personality_ids", json!(vec![1; 10_001]), "personality_ids"),
        ("personality_ids", json!([-1]), "personality_ids"),
        ("test_profile_ids", json!([999]), "test_profile_ids"),
        ("test_profile_id", json!(999), "test_profile_ids"),
        ("test_profile_id", json!("x"), "test_profile_id"),
        ("mode", json!("any_numbers"), "mode"),
        ("name", json!("x".repeat(256)), "name"),
        ("agent_number", json!("555"), "agent_number"),
        (
            "outbound_phone_number",
            json!("+15559990009"),
            "outbound_phone_number",
        ),
        (
            "outbound_phone_number",
            json!("none"),
            "outbound_phone_number",
        ),
        ("concurrency_limit", json!(0), "concurrency_limit"),
        ("concurrency_limit", json!(-5), "concurrency_limit"),
        ("priority", json!(101), "priority"),
        ("priority", json!(-101), "priority"),
        ("priority", json!(0.5), "priority"),
        ("concurrency_limit", json!(1_000_001), "concurrency_limit"),
        ("project_id", json!("x"), "project_id"),
    ]);
    let run = format!("{V1}/scenarios/run_scenarios/");
    set.refuse("POST", &run, &good, &bad).await;
    // Each factor is allowed, their product is not.
    let mut product = good.clone();
    product["frequency"] = json!(10_000);
    let many = [("personality_ids", json!([1, 2]), "frequency")];
    set.refuse("POST", &run, &product, &many).await;

    let us = &set.world.us;
    let too_many = vec!["1"; 5_001].join(",");
    for ids in [
        "",
        ",",
        "1,",
        "1,,2",
        "x",
        "[1,2]",
        "1;2",
        "1.0",
        "9223372036854775808",
        &too_many,
    ] {
        let path = format!("{V1}/runs/bulk/?run_ids={ids}");
        us.try_get(&path).await.names("run_ids");
    }
    us.try_get(&format!("{V1}/runs/bulk/"))
        .await
        .names("run_ids");
    let unknown = us
        .get(&format!("{V1}/runs/bulk/?run_ids=0,-7,99,%2012"))
        .await;
    assert_eq!(unknown, json!([]));
    for path in [
        format!("{V1}/runs/99/end_call/"),
        format!("{V1}/results/99/end_calls/"),
    ] {
        us.ask("POST", &path, &json!({})).await.refused(404);
    }
    let answer = us.trigger(&set.made, 1).await;
    assert_eq!(
        us.statuses(&answer.ids).await,
        ["pending"],
        "all was well but for the bad ones"
    );
    set.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_projects_and_organisations() {
    let set = Setting::new().await;
    let projects = format!("{OWN}/projects/");
    let project = id(&set.world.us.get(&projects).await[0]);
    let good = json!({"name": "renamed"});
    let mut bad = no_text("name");
    bad.extend(no_text("reject"));
    bad.extend([
        ("name", json!(""), "name"),
        ("name", json!("x".repeat(256)), "name"),
        ("parallel_call_limit", json!(-1), "parallel_call_limit"),
        (
            "parallel_call_limit",
            json!(1_000_001),
            "parallel_call_limit",
        ),
        ("parallel_call_limit", json!("2"), "parallel_call_limit"),
        ("outbound_timeout", json!(0), "outbound_timeout"),
        ("outbound_timeout", json!(301), "outbound_timeout"),
        ("max_call_duration", json!(9), "max_call_duration"),
        ("silence_timeout", json!(0), "silence_timeout"),
        ("reject", json!("loud"), "reject"),
        ("weight", json!(0), "weight"),
        ("weight", json!(1_001), "weight"),
        ("retention_days", json!(-1), "retention_days"),
        ("calls_per_second", json!(-1), "calls_per_second"),
        ("calls_per_second", json!(0.0001), "calls_per_second"),
        ("calls_per_second", json!(1_001), "calls_per_second"),
        ("retention_days", json!(3_651), "retention_days"),
        ("color", json!("red"), "color"),
        ("id", json!(7), "id"),
    ]);
    let path = format!("{projects}{project}/");
    set.refuse("PATCH", &path, &good, &bad).await;
    let bad = [
        ("parallel_call_limit", json!(2.5), "parallel_call_limit"),
        ("slug", json!("x"), "slug"),
    ];
    let path = format!("{OWN}/organizations/current/");
    set.refuse("PATCH", &path, &json!({}), &bad).await;
    let mut bad = no_text("route");
    bad.push(("route", json!("x".repeat(65)), "route"));
    bad.push(("rout", json!("x"), "rout"));
    let path = format!("{OWN}/agents/{}/dial-route/", set.made.agent);
    set.refuse("PUT", &path, &json!({}), &bad).await;
    set.world.close().await;
}
