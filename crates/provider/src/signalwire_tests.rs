#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::hmac;
use ringdown_domain::dial::Ending;
use serde_json::{Value, json};

use super::*;
use crate::testing::*;
use crate::{Found, Progress, Provider, Rejected};

const CALLS: &str = "https://acme.signalwire.com/api/laml/2010-04-01/Accounts/p-1/Calls";
const SECRETS: &[&str] = &["signalwire_api_token", "signalwire_signing_key"];

fn fields() -> Value {
    json!({"space": "acme", "project_id": "p-1", "url": "https://agent.example/laml"})
}

fn made(more: Value) -> Result<SignalWire, InvalidSettings> {
    SignalWire::new(settings(with(fields(), &more), SECRETS))
}

fn signalwire() -> SignalWire {
    made(json!({})).unwrap()
}

#[test]
fn a_call_is_asked_for_as_signalwire_documents_it() {
    let request = signalwire().request(&order()).unwrap();
    assert_eq!(line(&request), format!("POST {CALLS}"));
    let basic = format!("Basic {}", STANDARD.encode(format!("p-1:{SECRET}")));
    assert_eq!(header(&request, "authorization"), basic);
    let sent = form(&request);
    let of = |name: &str| -> Vec<&str> {
        let of = sent.iter().filter(|(other, _)| other == name);
        of.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(of("To"), ["+14155550123"]);
    assert_eq!(of("From"), ["+14155550100"]);
    let url =
        "https://agent.example/laml?X-Trace=t1&name=Ada+%26+Bo&seats=2&tags=%5B%22a%22%5D&vip=true";
    assert_eq!(of("Url"), [url]);
    assert_eq!(of("Timeout"), ["40"]);
    let callback = "https://ringdown.example/callbacks/1?run_id=42&team=acme&attempt_id=attempt-7";
    assert_eq!(of("StatusCallback"), [callback]);
    let events = ["initiated", "ringing", "answered", "completed"];
    assert_eq!(of("StatusCallbackEvent"), events);
    assert_eq!(of("StatusCallbackMethod"), ["POST"]);
    assert_eq!(sent.len(), 10);
}

#[test]
fn without_a_signing_key_no_callbacks_are_asked_for_or_taken() {
    let silent = SignalWire::new(settings(fields(), &SECRETS[..1])).unwrap();
    assert_eq!(form(&silent.request(&order()).unwrap()).len(), 4);
    let told = Sent::new("", Vec::new()).arrives(&silent);
    assert_eq!(told, Err(Rejected::NotExpected));
}

#[test]
fn settings_that_no_project_has_are_refused_by_field() {
    for (more, field) in [
        (json!({"space": null}), "space"),
        (json!({"space": "a.b"}), "space"),
        (json!({"space": "evil.example/"}), "space"),
        (json!({"project_id": null}), "project_id"),
        (json!({"url": null}), "url"),
        (json!({"twiml": "<Response/>"}), "twiml"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let url = |more: Value| made(more).unwrap().request(&order()).unwrap().url;
    assert_eq!(url(json!({"space": "acme.signalwire.com"})), CALLS);
    let other = json!({"space": null, "base_url": "http://127.0.0.1:9"});
    assert_eq!(
        url(other),
        CALLS.replace("https://acme.signalwire.com", "http://127.0.0.1:9")
    );
}

#[test]
fn answers_mean_what_signalwire_documents() {
    let refusal = |code: &str, said: &str| json!({"code": code, "message": said, "status": 422});
    outcomes(
        &signalwire(),
        &[
            (
                200,
                json!({"sid": "c-1", "status": "queued"}),
                "placed",
                "c-1",
            ),
            (
                201,
                json!({"sid": "c-1", "status": "queued"}),
                "placed",
                "c-1",
            ),
            (
                200,
                json!({"status": "queued"}),
                "ambiguous",
                "names no call",
            ),
            (422, refusal("20429", "Throughput"), "later", "Throughput"),
            (429, refusal("20429", "Throughput"), "later", "Throughput"),
            (
                422,
                refusal("21210", "Not owned"),
                "never",
                "verify the caller ID",
            ),
            (422, refusal("21212", "Bad From"), "never", "from_number"),
            (422, refusal("21211", "Bad To"), "never", "number to call"),
            (422, refusal("21217", "Bad To"), "never", "number to call"),
            (
                422,
                refusal("21219", "Trial"),
                "never",
                "limits of the space",
            ),
            (
                422,
                refusal("21205", "Bad Url"),
                "never",
                "Bad Url; correct",
            ),
            (400, json!({}), "never", "correct"),
            (401, json!({}), "never", "signalwire_api_token"),
            (404, json!({}), "never", "project_id and space"),
            (403, json!({}), "ambiguous", "403"),
            (429, json!({}), "ambiguous", "429"),
            (500, json!({}), "ambiguous", "500"),
        ],
    );
}

#[test]
fn a_call_is_found_followed_and_called_off() {
    let signalwire = signalwire();
    let request = signalwire.look_up(&order(), ASKED_AT).unwrap();
    let query = "To=%2B14155550123&From=%2B14155550100&PageSize=50";
    assert_eq!(line(&request), format!("GET {CALLS}?{query}"));
    let calls = json!({"calls": [{"sid": "c-1", "to": "+14155550123", "from": "+14155550100",
        "date_created": "Sat, 28 Nov 2026 11:48:31 +0000"}]});
    let provider_id = "c-1".to_owned();
    let found = signalwire.found(&order(), ASKED_AT, &answer(200, calls));
    assert_eq!(found, Found::Call { provider_id });

    assert_eq!(
        line(&signalwire.status("c-1").unwrap()),
        format!("GET {CALLS}/c-1")
    );
    assert_eq!(
        line(&signalwire.cancel("c-1").unwrap()),
        format!("POST {CALLS}/c-1")
    );
    for (call, ending, code) in [
        (
            json!({"status": "failed", "sip_result_code": "404"}),
            Ending::InvalidNumber,
            404,
        ),
        (
            json!({"status": "failed", "sip_result_code": 603}),
            Ending::Rejected,
            603,
        ),
        (
            json!({"status": "busy", "sip_result_code": "486"}),
            Ending::Busy,
            486,
        ),
    ] {
        let said = call["status"].as_str().unwrap();
        let progress = signalwire.progress("call-1", &answer(200, &call));
        assert_eq!(progress, Some(ended(ending, Some(code), said)));
    }
}

#[test]
fn news_is_believed_if_it_is_signed() {
    let mut sent = Sent::new("CallSid=c-1&CallStatus=ringing", Vec::new());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let message = format!("{}CallSidc-1CallStatusringing", sent.url);
    let signature = STANDARD.encode(hmac::sign(&key, message.as_bytes()));
    sent.headers = vec![("X-SignalWire-Signature", signature)];
    let told = sent.arrives(&signalwire());
    assert_eq!(told, Ok(news("c-1", Progress::Ringing)));
    sent.body += "&SipResponseCode=200";
    assert_eq!(sent.arrives(&signalwire()), Err(Rejected::Forged));
    sent.headers.clear();
    let missing = Err(Rejected::Unsigned("X-SignalWire-Signature"));
    assert_eq!(sent.arrives(&signalwire()), missing);
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["sid", "code", "message", "status", "calls", "to", "from", "date_created", "sip_result_code"]),
    ) {
        is_sound(&signalwire(), &answer);
    }
}
