//! What a suite may say, and what is said about one that is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use ringdown_domain::AgentId;
use ringdown_suite::{
    AgentRef, Channel, Kind, MAX_PROBLEMS, MetricRef, Mode, Personality, Request, Suite, Talk,
    TestProfile,
};
use serde_json::{Value, json};

fn suite() -> Value {
    json!({
        "$schema": "https://example.com/schema.json",
        "version": "1",
        "suite": {"name": "Checkout", "description": "What must not break"},
        "defaults": {
            "language": "en", "metrics": ["greeting"], "personality": 3, "max_duration": 300,
            "frequency": 2, "concurrency_limit": 7, "tags": ["nightly"],
        },
        "scenarios": [
            {
                "key": "refund",
                "name": "Refund",
                "instructions": "Order {{test_profile.order_id}} is broken.",
                "expected_outcome": "A refund is confirmed.",
                "metrics": [412, "no_hallucination"],
                "personality": {"base": 3, "speed": 1.15},
                "test_profile": {
                    "agent_variables": {"order_id": "ORD-4471"},
                    "caller_variables": {"user_name": "Maria"},
                },
                "tools": ["end_call", "dtmf"],
                "frequency": 3,
                "phone_number": "+14155550123",
            },
            {
                "name": "Menu",
                "type": "conditional_actions",
                "conditional_actions": {
                    "role": "A caller at a menu",
                    "conditions": [
                        {"id": 0, "condition": "FIRST_MESSAGE", "action": "", "type": "standard",
                         "fixed_message": true},
                        {"id": 1, "condition": "The menu is read", "type": "standard",
                         "action": "<dtmf digits=\"2#\" /> there", "fixed_message": true},
                    ],
                },
            },
        ],
    })
}

/// The suite with one place changed.
fn with(pointer: &str, value: Value) -> Value {
    let mut suite = suite();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match suite.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    suite
}

fn problems(value: &Value) -> String {
    Suite::parse(value).unwrap_err().to_string()
}

#[test]
fn defaults_fill_what_a_case_leaves_out() {
    let body = json!({"agent_id": 12, "spec": suite(), "frequency": 4});
    let request = Request::parse(&body).unwrap();
    assert_eq!(request.suite.runs(), 5);
    let plan = request.plan();
    assert_eq!(plan.agent, AgentRef::Id(AgentId(12)));
    assert_eq!(plan.name.as_deref(), Some("Checkout"));
    assert_eq!(plan.runs(), 20);
    assert_eq!(plan.settings.concurrency_limit, Some(7));
    assert_eq!(plan.settings.mode, Mode::SameNumber);
    assert_eq!(plan.settings.channel, Channel::Voice);

    let refund = &plan.evaluators[0];
    assert_eq!((refund.key.as_str(), refund.frequency), ("refund", 3));
    assert_eq!(refund.first_message, "Hello");
    assert_eq!(
        refund.metrics,
        [
            MetricRef::Id(412),
            MetricRef::Slug("no_hallucination".into())
        ]
    );
    assert!(matches!(&refund.personality, Some(Personality::Inline(p)) if p.base == Some(3)));
    assert_eq!(refund.tags, ["nightly"]);
    assert_eq!(refund.max_duration, Some(Duration::from_secs(300)));
    assert_eq!(refund.phone_number, Some("+14155550123".parse().unwrap()));
    assert_eq!(
        refund.test_profile,
        Some(TestProfile::Inline {
            name: "Refund".into(),
            information: json!({
                "main_agent_variables": {"order_id": "ORD-4471"},
                "testing_agent_variables": {"user_name": "Maria"},
            }),
        })
    );
    assert_eq!(
        Value::Object(refund.extra()),
        json!({
            "scenario_type": "instruction",
            "instructions": "Order {{test_profile.order_id}} is broken.",
            "expected_outcome_prompt": "A refund is confirmed.",
            "scenario_language": "en",
            "tool_ids": ["TOOL_END_CALL", "TOOL_DTMF"],
        })
    );

    let menu = &plan.evaluators[1];
    assert_eq!(
        (menu.key.as_str(), menu.kind),
        ("Menu", Kind::ConditionalActions)
    );
    assert_eq!((menu.first_message.as_str(), menu.frequency), ("", 2));
    assert_eq!(menu.personality, Some(Personality::Id(3)));
    assert!(matches!(&menu.talk, Talk::Conditions(actions) if actions.conditions.len() == 2));
    assert_eq!(
        menu.extra()["conditional_actions"],
        suite()["scenarios"][1]["conditional_actions"]
    );
}

#[test]
fn every_problem_is_said_at_once_by_its_place() {
    let wrong = json!({
        "version": 1,
        "agent_id": 12,
        "defaults": {"frequency": 0, "metrics": ["ok", 0, true]},
        "scenarios": [
            {"name": "", "instrctions": "x"},
            {"type": "conditional_action", "max_duration": 1.5},
            "nothing",
        ],
    });
    let problems = Suite::parse(&wrong).unwrap_err();
    let said: Vec<(&str, &str)> = problems
        .iter()
        .map(|problem| (problem.path.as_str(), problem.message.as_str()))
        .collect();
    for expected in [
        ("version", "Expected a text, found a number."),
        (
            "agent_id",
            "There is no such field here: name the agent in the request, not in the file.",
        ),
        (
            "defaults.frequency",
            "0 is out of range: write between 1 and 10000.",
        ),
        (
            "defaults.metrics[2]",
            "Expected a whole number or a text, found true or false.",
        ),
        (
            "scenarios[0].name",
            "At least 1 character is needed, found 0.",
        ),
        (
            "scenarios[0].instrctions",
            "There is no such field here: did you mean `instructions`?",
        ),
        ("scenarios[1].name", "This field is required."),
        (
            "scenarios[1].type",
            "`conditional_action` is not known here: did you mean `conditional_actions`?",
        ),
        (
            "scenarios[1].max_duration",
            "Expected a whole number, found the number 1.5.",
        ),
        ("scenarios[2]", "Expected an object, found a text."),
    ] {
        assert!(
            said.contains(&expected),
            "{expected:?} is not among {said:#?}"
        );
    }
    assert_eq!(problems.by_path()["scenarios[1].name"].len(), 1);
}

#[test]
fn rules_between_fields_are_kept() {
    for (pointer, value, place, words) in [
        (
            "/scenarios/0/instructions",
            json!(" "),
            "scenarios[0].instructions",
            "what the testing",
        ),
        (
            "/scenarios/1/conditional_actions",
            Value::Null,
            "scenarios[1].conditional_actions",
            "needs",
        ),
        (
            "/scenarios/1/type",
            json!("instruction"),
            "scenarios[1].type",
            "write conditional_actions",
        ),
        (
            "/defaults/language",
            Value::Null,
            "scenarios[1].language",
            "needs a language",
        ),
        (
            "/scenarios/1/name",
            json!("refund"),
            "scenarios[1].name",
            "scenarios[0] is called",
        ),
        (
            "/scenarios/0/phone_number",
            json!("0123"),
            "scenarios[0].phone_number",
            "E.164",
        ),
        (
            "/defaults/metrics",
            json!(["Greeting!"]),
            "defaults.metrics[0]",
            "small letters",
        ),
        (
            "/defaults/personality",
            json!({"speed": 1}),
            "defaults.personality.voice_id",
            "base",
        ),
        (
            "/scenarios/0/personality",
            json!({"base": 1, "accent": "x"}),
            "scenarios[0].personality.accent",
            "voice_id",
        ),
        (
            "/scenarios/0/test_profile",
            json!({"name": "x"}),
            "scenarios[0].test_profile",
            "needs",
        ),
        (
            "/scenarios/0/test_profile",
            json!({"agent_variables": {"x-run-id": 1}}),
            "scenarios[0].test_profile.agent_variables.x-run-id",
            "another name",
        ),
        (
            "/scenarios/0/test_profile",
            json!({"agent_variables": {"a": "x".repeat(70_000)}}),
            "scenarios[0].test_profile",
            "bytes",
        ),
        (
            "/scenarios/0/instructions",
            json!("a\0b"),
            "scenarios[0].instructions",
            "null character",
        ),
        (
            "/scenarios/1/conditional_actions/conditions/1/action",
            json!("<audio id=\"x\"/>"),
            "scenarios[1].conditional_actions.conditions[1].action",
            "a suite has none",
        ),
        (
            "/scenarios/1/conditional_actions/conditions/1/id",
            json!(0),
            "scenarios[1].conditional_actions.conditions[1].id",
            "its own",
        ),
    ] {
        let problems = problems(&with(pointer, value));
        assert!(
            problems
                .lines()
                .any(|line| line.starts_with(&format!("{place}: ")) && line.contains(words)),
            "{pointer}: {problems}"
        );
    }
    Suite::parse(&suite()).unwrap();
}

#[test]
fn everything_is_bounded() {
    let cases: Vec<Value> = (0..201)
        .map(|n| json!({"name": n.to_string(), "instructions": "x"}))
        .collect();
    assert!(problems(&json!({"version": "1", "scenarios": cases})).contains("At most 200 items"));
    let broken: Vec<Value> = (0..200).map(|_| json!({})).collect();
    let many = Suite::parse(&json!({"version": "1", "scenarios": broken})).unwrap_err();
    assert_eq!(many.iter().count(), MAX_PROBLEMS);
    assert_eq!(many.left_out(), 100);
    assert!(many.to_string().ends_with("and 100 more problems"));
    let large = with("/suite/description", json!("x".repeat(1_100_000)));
    assert!(problems(&large).contains("At most 1048576 bytes"));
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let value = with(
        "/scenarios/0/test_profile",
        json!({"agent_variables": {"a": deep}}),
    );
    assert!(problems(&value).contains("levels of nesting"));
}

#[test]
fn a_request_is_checked_with_its_suite() {
    let request = |body: Value| Request::parse(&body).map_err(|problems| problems.to_string());
    let text = serde_json::to_string(&suite()).unwrap();
    let sent = request(json!({
        "spec": text, "agent_number": "+15550001111", "mode": null, "tags": [], "folder_path": "",
        "channel": "livekit_v2", "livekit_data": {"url": "wss://x"}, "name": "Pull request 7",
        "mock_tool_names": [],
    }))
    .unwrap();
    assert_eq!(
        sent.agent,
        AgentRef::CallingFrom("+15550001111".parse().unwrap())
    );
    assert_eq!(sent.plan().name.as_deref(), Some("Pull request 7"));
    assert!(sent.connection.is_some());
    assert_eq!(sent.mock_tool_names, Some(Vec::new()));

    for (body, words) in [
        (json!({"spec": suite()}), "agent_id: Name the agent"),
        (json!({"agent_id": 1}), "spec: This field is required"),
        (
            json!({"agent_id": 1, "spec": 5}),
            "spec: Expected an object or a text",
        ),
        (
            json!({"agent_id": 1, "spec": "{"}),
            "spec: The suite is not JSON",
        ),
        (json!([]), "Expected an object, found a list"),
        (
            json!({"agent_id": 1, "spec": suite(), "personality_ids": [3]}),
            "personality_ids: There is no such field here: choose the personality of each case",
        ),
        (
            json!({"agent_id": 1, "spec": suite(), "pipecat_data": {}}),
            "pipecat_data: This is only",
        ),
        (
            json!({"agent_id": 1, "spec": suite(), "frequency": 2001}),
            "frequency: That would be 10005 runs",
        ),
        (
            json!({"agent_id": 1, "spec": suite(), "mode": "different_numbers"}),
            "mode: The suite names phone numbers itself",
        ),
        (
            json!({"agent_id": 1, "spec": suite(), "agent_number": "555"}),
            "agent_number: `555`",
        ),
        (
            json!({"agent_id": 1, "spec": suite(), "channel": "fax"}),
            "channel: `fax` is not known",
        ),
        // Both halves are looked at.
        (
            json!({"agent_id": 0, "spec": {"version": "1"}}),
            "agent_id: 0 is out of range",
        ),
        (
            json!({"agent_id": 0, "spec": {"version": "1"}}),
            "scenarios: This field is required",
        ),
    ] {
        let said = request(body.clone()).unwrap_err();
        assert!(said.contains(words), "{body}: {said}");
    }
}
