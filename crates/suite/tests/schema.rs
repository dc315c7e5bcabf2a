//! The published schema and the check agree on what a suite looks like.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::Index;
use ringdown_suite::{Problem, Suite, json_schema};
use serde_json::{Value, json};

/// A suite that uses every field there is.
fn full() -> Value {
    json!({
        "$schema": "x", "version": "1",
        "suite": {"name": "s", "description": "d"},
        "defaults": {
            "concurrency_limit": 1, "frequency": 1, "language": "en", "max_duration": 60,
            "metrics": [1, "m"], "personality": "Normal", "phone_number": "+14155550123",
            "tags": ["t"], "test_profile": 4,
        },
        "scenarios": [
            {
                "name": "one", "key": "k", "type": "instruction", "instructions": "i",
                "expected_outcome": "e", "first_message": "f", "metrics": ["m"], "tags": ["t"],
                "personality": {
                    "base": 1, "name": "n", "prompt": "p", "language": "de", "voice_model": "v",
                    "voice_id": "v", "provider": "11labs", "speed": 1.1, "background_noise": "off",
                    "end_call_enabled": true,
                },
                "test_profile": {
                    "name": "n", "agent_variables": {"a": [1, {"b": null}]},
                    "caller_variables": {"c": "d"},
                },
                "tools": ["end_call"], "language": "en", "frequency": 2, "max_duration": 20,
                "phone_number": "+14155550124",
            },
            {
                "name": "two", "type": "conditional_actions",
                "conditional_actions": {
                    "role": "r",
                    "functions": [{
                        "name": "f", "type": "rest_api", "auto_run": true,
                        "config": {
                            "method": "POST", "url": "https://x", "headers": {"a": "b"},
                            "query_params": {"c": 1.5}, "body": {"d": [1]}, "timeout_seconds": 2.5,
                            "response_mapping": {"o": "$.a", "p": {"path": "$.b", "default": 1}},
                        },
                    }],
                    "conditions": [
                        {"id": 0, "condition": "FIRST_MESSAGE", "action": "", "type": "standard",
                         "fixed_message": true},
                        {"id": 1, "condition": 0, "action": "a", "type": "action_followup",
                         "fixed_message": false},
                    ],
                },
            },
        ],
    })
}

/// The pointers of all values inside.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.push(format!("{at}/{index}"));
                places(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                found.push(format!("{at}/{name}"));
                places(item, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    Add(&'static str, Value),
    Repeat(usize),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            -1_i64,
            0,
            1,
            5,
            31,
            3600,
            3601,
            10_001,
            1_000_001,
            i64::MAX
        ])
        .prop_map(Value::from),
        Just(json!(u64::MAX)),
        prop::sample::select(vec![0.5, 0.8, 1.15, 30.5, -2.5, 1e300]).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "en",
            "xx",
            "standard",
            "GET",
            "1",
            "instruction",
            "🙂"
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![16_usize, 17, 64, 65, 80, 81, 255, 256, 2001])
            .prop_map(|length| json!("é".repeat(length))),
        Just(json!([])),
        Just(json!([1, "a", null])),
        Just(json!({})),
        Just(json!({"name": "x", "base": 3})),
        Just(json!({"path": "$.a"})),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => value().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        2 => (prop::sample::select(vec!["agent_id", "name", "language", "x", "frequency"]), value())
            .prop_map(|(name, value)| Change::Add(name, value)),
        1 => prop::sample::select(vec![16_usize, 17, 32, 33, 64, 65, 200, 201])
            .prop_map(Change::Repeat),
    ]
}

fn apply(suite: &mut Value, pointer: &str, change: &Change) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match change {
        Change::Replace(value) => *suite.pointer_mut(pointer).unwrap() = value.clone(),
        Change::Remove => match suite.pointer_mut(parent).unwrap() {
            Value::Object(map) => {
                map.remove(name);
            }
            Value::Array(items) => {
                items.remove(name.parse().unwrap());
            }
            _ => {}
        },
        Change::Add(name, value) => {
            if let Value::Object(map) = suite.pointer_mut(pointer).unwrap() {
                map.insert((*name).to_owned(), value.clone());
            }
        }
        Change::Repeat(times) => {
            if let Value::Array(items) = suite.pointer_mut(pointer).unwrap()
                && let Some(first) = items.first().cloned()
            {
                *items = vec![first; *times];
            }
        }
    }
}

/// Whether a problem is one of structure: the words of the check against the schema.
fn structural(problem: &Problem) -> bool {
    let message = &problem.message;
    let sizes = ["At least ", "At most "]
        .iter()
        .any(|start| message.starts_with(start));
    message.starts_with("Expected ")
        || message == "This field is required."
        || message.starts_with("There is no such field here")
        || message.contains("is out of range")
        || message.contains("is not known here")
        || message.starts_with("It cannot be read")
        || sizes && !message.contains(" bytes ")
}

fn agree(validator: &Validator, suite: &Value) {
    let by_schema = validator.is_valid(suite);
    match Suite::parse(suite) {
        Ok(parsed) => {
            assert!(by_schema, "only the schema refuses {suite}");
            // What is kept is what was sent, apart from fields that were null.
            let kept = serde_json::to_value(parsed.document()).unwrap();
            assert_eq!(Suite::parse(&kept).unwrap(), parsed);
            assert!(validator.is_valid(&kept));
        }
        Err(problems) => {
            let structure = problems.iter().any(structural);
            assert_eq!(structure, !by_schema, "{problems}\n{suite}");
        }
    }
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&json_schema(None).unwrap()).unwrap()
}

#[test]
fn the_schema_is_one_and_takes_a_full_suite() {
    let schema = json_schema(None).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    assert!(validator().is_valid(&full()));
    Suite::parse(&full()).unwrap();
    let smallest = json!({"version": "1", "scenarios": [{"name": "a", "instructions": "b"}]});
    assert!(validator().is_valid(&smallest));
    Suite::parse(&smallest).unwrap();
}

#[test]
fn they_agree_on_each_single_change() {
    let validator = validator();
    let mut pointers = Vec::new();
    places(&full(), "", &mut pointers);
    let replacements = [
        Value::Null,
        json!(true),
        json!(0),
        json!(1.5),
        json!(""),
        json!("text"),
        json!([]),
        json!({}),
    ];
    for pointer in &pointers {
        let changes = replacements.iter().cloned().map(Change::Replace);
        let others = [
            Change::Remove,
            Change::Add("x", json!(1)),
            Change::Repeat(201),
        ];
        for change in changes.chain(others) {
            let mut suite = full();
            apply(&mut suite, pointer, &change);
            agree(&validator, &suite);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn they_agree_on_many_changes(changes in prop::collection::vec((any::<Index>(), change()), 0..4)) {
        let mut suite = full();
        for (index, change) in changes {
            let mut pointers = Vec::new();
            places(&suite, "", &mut pointers);
            if pointers.is_empty() {
                break;
            }
            let pointer = pointers[index.index(pointers.len())].clone();
            apply(&mut suite, &pointer, &change);
        }
        thread_local! {
            static VALIDATOR: Validator = validator();
        }
        VALIDATOR.with(|validator| agree(validator, &suite));
    }
}
