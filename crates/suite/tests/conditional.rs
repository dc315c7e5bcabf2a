//! The rules of structured evaluators.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use ringdown_suite::conditional::{self, check};
use ringdown_suite::tag::{Piece, parse};
use serde_json::{Value, json};

fn actions(conditions: &[Value]) -> Value {
    let first = json!({"id": 0, "condition": "FIRST_MESSAGE", "action": "Hello", "type": "standard",
                       "fixed_message": true});
    let conditions: Vec<&Value> = std::iter::once(&first).chain(conditions).collect();
    json!({
        "role": "A caller",
        "functions": [{
            "name": "lookup",
            "type": "rest_api",
            "auto_run": false,
            "config": {
                "method": "GET",
                "url": "https://api.example.com/{{test_profile.order}}",
                "headers": {"Accept": "application/json", "X-Try": 1},
                "timeout_seconds": 5,
                "response_mapping": {
                    "status": {"path": "$.data.status", "default": "unknown"},
                    "eta": "$.data.eta",
                },
            },
        }],
        "conditions": conditions,
    })
}

fn standard(action: &str) -> Value {
    json!({"id": 1, "condition": "It asks", "action": action, "type": "standard", "fixed_message": true})
}

fn followup(action: &str) -> Value {
    json!({"id": 1, "condition": 0, "action": action, "type": "action_followup", "fixed_message": true})
}

fn said(value: &Value) -> String {
    check(value)
        .err()
        .map(|problems| problems.to_string())
        .unwrap_or_default()
}

#[test]
fn every_tag_has_a_right_form() {
    for action in [
        "<ivr text=\"Press 1 <silence time='1s'/> or 2\" />",
        "<ivr text=\"Press 1 <silence time=\"1s\" /> or 2\" />",
        " <voicemail /> ",
        "<voicemail text='Leave a message' />",
        "<ignore_interruptions>One <audio id=\"a\"/> <hold time=\"5s\" /> two</ignore_interruptions> <endcall />",
        "<background_noise sound=\"coffee-shop\" volume=\"0.3\">Hello <silence time=\"1s\"/></background_noise>",
        "Let me think <silence time=\"2.5s\" /> yes <hold time=\"5s\"/> no",
        "It is <spell>ABC123</spell>",
        "<speed ratio=\"1.2\" /><volume ratio=\"2\"/> quick and loud",
        "Born <speed ratio=\"0.8\" text=\"in May\" />, ok?",
        "<voice provider=\"cartesia\" id=\"b7d50908-b17c-442d-ad8d-810c63997ed9\">Me <silence time=\"1s\"/></voice>",
        "Wait. <voice provider=\"11labs\" id=\"21m00Tcm4TlvDq8ikWAM\" model=\"x\" /> Hi.",
        "<dtmf digits=\"0123456789*#ABCD\" />",
        "<dtmf digits=\"{{test_profile.pin}}#\" />",
        "<send_sms text=\"Code 1\" />",
        "<client_message t=\"open\" d='{\"a\":\"<b>\"}' />",
        "<noise sound=\"beep\" volume=\"1\" time=\"600\" /><noise sound=\"https://x/y.wav\"/>",
        "<network_simulation packet_loss=\"5\" jitter=\"20\" /> hm",
        "<function name=\"lookup\"/> It is {{function.lookup.status}}.",
        "2 < 3, and {{test_profile.name}}",
    ] {
        assert_eq!(said(&actions(&[standard(action)])), "", "{action}");
    }
    for action in [
        "<interruption time=\"0s\" /> Stop",
        "<interruption time=\"1.2s\"/> <noise sound=\"cough1\"/>",
        "<interruption time=\"1s\"/><volume ratio=\"1.5\"/> Stop",
    ] {
        assert_eq!(said(&actions(&[followup(action)])), "", "{action}");
    }
}

#[test]
fn a_wrong_tag_is_explained() {
    for (action, words) in [
        ("<ivr text=\"a\" /> b", "<ivr> is a whole action"),
        ("<ivr />", "<ivr> needs the attribute text"),
        (
            "<ivr text=\"a <hold time='1s'/>\" />",
            "<hold> cannot stand in the text of <ivr>",
        ),
        ("<ivr>a</ivr>", "<ivr> stands alone"),
        (
            "<voicemail text=\"\" />",
            "<voicemail text> cannot be empty",
        ),
        ("<voicemail/><voicemail/>", "<voicemail> is a whole action"),
        (
            "<silence time=\"2\" />",
            "<silence time> is `2`: write seconds",
        ),
        ("<hold time=\"-1s\" />", "<hold time> is `-1s`"),
        ("<hold time=\"infs\" />", "<hold time> is `infs`"),
        ("<hold time=\"3601s\" />", "write seconds up to 3600"),
        ("<speed ratio=\"1.3\" /> a", "between 0.8 and 1.2"),
        ("a <speed ratio=\"1.1\" /> b", "move it to the start"),
        ("<volume ratio=\"2.1\" /> a", "between 0 and 2"),
        ("<volume ratio=\"loud\" /> a", "<volume ratio> is `loud`"),
        ("<volume ratio=\"1\">a</volume>", "<volume> stands alone"),
        ("<dtmf digits=\"12E\" />", "0-9, *, # and A-D"),
        (
            "<dtmf digits=\"{{test_profile.pin}}-\" />",
            "0-9, *, # and A-D",
        ),
        ("<dtmf digits=\"\" />", "cannot be empty"),
        (
            "<dtmf />",
            "<dtmf> needs the attribute digits: write <dtmf digits=\"123#\"",
        ),
        (
            "<dtfm digits=\"1\" />",
            "There is no tag <dtfm>: did you mean <dtmf>?",
        ),
        ("<DTMF digits=\"1\" />", "did you mean <dtmf>?"),
        (
            "<dtmf digit=\"1\" />",
            "has no attribute digit: did you mean digits?",
        ),
        ("<dtmf digits=\"1\" digits=\"2\" />", "has digits twice"),
        ("<interruption time=\"1s\"/> a", "write action_followup"),
        (
            "<background_noise sound=\"cofee-shop\">a</background_noise>",
            "did you mean coffee-shop?",
        ),
        (
            "<background_noise sound=\"beep\" volume=\"2\">a</background_noise>",
            "between 0 and 1",
        ),
        (
            "<background_noise sound=\"beep\">a",
            "<background_noise> is never closed",
        ),
        ("a</spell>", "</spell> closes nothing"),
        (
            "<spell>a <silence time=\"1s\"/></spell>",
            "<silence> cannot stand inside <spell>",
        ),
        ("<spell/>", "<spell> stands around something"),
        (
            "<ignore_interruptions><ignore_interruptions>a</ignore_interruptions></ignore_interruptions>",
            "<ignore_interruptions> cannot stand inside",
        ),
        ("<voice provider=\"cartesia\" id=\"x\"/> a", "is a UUID"),
        (
            "<voice provider=\"11labs\" id=\"a-b\"/> a",
            "letters and digits only",
        ),
        (
            "<voice provider=\"x\" id=\"y\" text=\"a\">b</voice>",
            "either as an attribute or around it",
        ),
        (
            "<network_simulation packet_loss=\"101\"/> a",
            "between 0 and 100",
        ),
        (
            "<network_simulation jitter=\"1\"/> a",
            "needs the attribute packet_loss",
        ),
        (
            "<function name=\"look\"/>",
            "There is no function `look`: did you mean `lookup`?",
        ),
        (
            "{{function.lookup.stats}}",
            "has no output `stats`: did you mean `status`?",
        ),
        ("{{function.other.a}}", "There is no function `other`"),
        (
            "<endcall now=\"1\"/>",
            "<endcall> has no attribute now: it has none.",
        ),
        ("<endcall", "begins like a tag and is none"),
        ("<silence time=2s />", "quotes around the value"),
        ("<silence time=\"2s />", "a second quote"),
        ("<audio id=\"a b\"/>", "letters, digits"),
    ] {
        let said = said(&actions(&[standard(action)]));
        assert!(said.contains(words), "{action}: {said}");
        assert!(said.starts_with("conditions[1].action: "), "{said}");
    }
    for (action, words) in [
        ("a <interruption time=\"1s\"/> b", "move it to the start"),
        (
            "<interruption time=\"1s\"/> <silence time=\"1s\"/>",
            "needs something to interrupt with",
        ),
    ] {
        let said = said(&actions(&[followup(action)]));
        assert!(said.contains(words), "{action}: {said}");
    }
}

#[test]
fn an_instruction_runs_functions_and_nothing_else() {
    let free = |action: &str| {
        said(&actions(&[
            json!({"id": 1, "condition": "It asks", "action": action,
            "type": "standard", "fixed_message": false}),
        ]))
    };
    assert_eq!(
        free("<function name=\"lookup\"/> Ask about <your> order, 1 < 2 <b"),
        ""
    );
    assert!(free("Wait <silence time=\"2s\"/>").contains("works only in fixed messages"));
    assert!(free("Say {{function.lookup.status}}").contains("only into fixed messages"));
}

#[test]
fn conditions_hang_together() {
    let change = |pointer: &str, value: Value| {
        let mut actions = actions(&[
            standard("a"),
            json!({"id": 2, "condition": 1, "action": "b",
            "type": "action_followup", "fixed_message": false}),
        ]);
        *actions.pointer_mut(pointer).unwrap() = value;
        said(&actions)
    };
    assert_eq!(change("/role", json!("x")), "");
    assert_eq!(change("/conditions/0/action", json!("")), "");
    for (pointer, value, words) in [
        ("/role", json!(" "), "role: Say in a sentence"),
        ("/conditions", json!([]), "conditions: At least 1 item"),
        (
            "/conditions/0/id",
            json!(7),
            "conditions[0].id: The first condition has the id 0",
        ),
        ("/conditions/0/condition", json!(""), "write FIRST_MESSAGE"),
        (
            "/conditions/0/fixed_message",
            json!(false),
            "conditions[0].fixed_message",
        ),
        (
            "/conditions/0/type",
            json!("action_followup"),
            "conditions[0].type",
        ),
        (
            "/conditions/0/action",
            json!("<function name=\"lookup\"/>"),
            "runs no function",
        ),
        (
            "/conditions/0/action",
            json!("{{function.lookup.eta}}"),
            "before any function",
        ),
        (
            "/conditions/1/id",
            json!(2),
            "conditions[2].id: The id 2 is that of conditions[1]",
        ),
        (
            "/conditions/1/id",
            json!(-1),
            "conditions[1].id: -1 is out of range",
        ),
        (
            "/conditions/1/id",
            json!("1"),
            "conditions[1].id: Expected a whole number",
        ),
        (
            "/conditions/1/condition",
            json!("FIRST_MESSAGE"),
            "Only the first condition",
        ),
        (
            "/conditions/1/condition",
            json!(0),
            "A standard condition is a text",
        ),
        (
            "/conditions/1/condition",
            json!("  "),
            "Say what the agent does",
        ),
        (
            "/conditions/1/action",
            json!(" "),
            "only the first action may be empty",
        ),
        (
            "/conditions/1/type",
            json!("standart"),
            "did you mean `standard`?",
        ),
        (
            "/conditions/2/condition",
            json!(9),
            "No condition has the id 9",
        ),
        ("/conditions/2/condition", json!("1"), "as a number"),
        ("/conditions/2/condition", json!(2), "in a circle"),
        (
            "/conditions/1",
            json!({"id": 1, "condition": "x", "action": "y"}),
            "conditions[1].type: This field is required",
        ),
        (
            "/functions/0/name",
            json!("a b"),
            "functions[0].name: Write a name of letters",
        ),
        ("/functions/0/type", json!("sql"), "functions[0].type"),
        (
            "/functions/0/config/url",
            json!("http://localhost/"),
            "the whole internet",
        ),
        (
            "/functions/0/config/url",
            json!("https://x/{{function.lookup.eta}}"),
            "further up in the list",
        ),
        (
            "/functions/0/config/method",
            json!("PUT"),
            "write one of GET, POST",
        ),
        (
            "/functions/0/config/headers",
            json!({"A": true}),
            "headers.A: Expected a number or a text",
        ),
        (
            "/functions/0/config/headers",
            json!({"A": "b\r\nC: d"}),
            "a header is one line",
        ),
        (
            "/functions/0/config/timeout_seconds",
            json!(31),
            "between 1.0 and 30.0",
        ),
        (
            "/functions/0/config/response_mapping",
            json!({"a": "$..b"}),
            "no path to one value",
        ),
        (
            "/functions/0/config",
            json!({"url": "https://x", "body": {}}),
            "write POST",
        ),
    ] {
        let said = change(pointer, value);
        assert!(
            said.to_lowercase().contains(&words.to_lowercase()),
            "{pointer}: {said}"
        );
    }
    let large = vec![standard(&"x".repeat(16_000)); 5];
    assert!(said(&actions(&large)).contains("At most 65536 bytes"));
}

#[test]
fn a_later_function_can_use_an_earlier_one() {
    let mut value = actions(&[]);
    let second = json!({"name": "verify", "type": "rest_api",
        "config": {"url": "https://x/?status={{function.lookup.status}}"}});
    value["functions"].as_array_mut().unwrap().push(second);
    assert_eq!(said(&value), "");
    assert_eq!(
        conditional::parse(&value).unwrap().functions.unwrap().len(),
        2
    );
    value["functions"].as_array_mut().unwrap().swap(0, 1);
    assert!(said(&value).contains("functions[0].config.url: There is no function `lookup`"));
}

fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "<",
        ">",
        "/>",
        "</",
        "\"",
        "'",
        "=",
        " ",
        "{{",
        "}}",
        "ivr",
        "voicemail",
        "text",
        "dtmf",
        "digits",
        "time",
        "2s",
        "speed",
        "spell",
        "voice",
        "function.lookup.status",
        "é",
        "🙂",
        "x",
        "<ivr text=\"",
        "<spell>",
        "</spell>",
        "<silence time=\"1s\"/>",
        "interruption",
        "\n",
    ]);
    prop::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_action_panics(action in prop_oneof!["\\PC{0,200}", scraps()], followup_too: bool) {
        let condition = if followup_too { followup(&action) } else { standard(&action) };
        let _ = check(&actions(&[condition]));
    }

    #[test]
    fn no_character_is_lost(action in scraps()) {
        let parsed = parse(&action);
        let texts: usize = parsed.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Tag(_) => 0,
        }).sum();
        prop_assert!(texts <= action.len());
        if parsed.tags().next().is_none() {
            prop_assert_eq!(texts, action.len());
        }
        for pair in parsed.pieces.windows(2) {
            prop_assert!(!matches!(pair, [Piece::Text(_), Piece::Text(_)]));
        }
    }
}
