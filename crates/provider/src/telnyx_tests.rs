#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::testing::*;

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn fields() -> Value {
    let key = STANDARD.encode(pair().public_key().as_ref());
    json!({"connection_id": "c-1", "assistant_id": "a-1", "public_key": key})
}

fn made(more: Value) -> Result<Telnyx, InvalidSettings> {
    Telnyx::new(settings(with(fields(), &more), &["telnyx_api_key"]))
}

fn telnyx() -> Telnyx {
    made(json!({})).unwrap()
}

/// The leg and its call_control_id.
const CALL: &str = "leg-1@v3:x";

fn state() -> String {
    STANDARD.encode(json!({"run_id": 42, "attempt_id": "attempt-7"}).to_string())
}

#[test]
fn a_call_is_asked_for_as_telnyx_documents_it() {
    let request = telnyx().request(&order()).unwrap();
    assert_eq!(line(&request), "POST https://api.telnyx.com/v2/calls");
    assert_eq!(
        header(&request, "authorization"),
        format!("Bearer {SECRET}")
    );
    let sent = body(&request);
    assert_eq!(
        with(sent.clone(), &json!({"client_state": null})),
        json!({
            "connection_id": "c-1",
            "to": "+14155550123",
            "from": "+14155550100",
            "timeout_secs": 40,
            "retry_on_timeout": false,
            "command_id": "attempt-7",
            "client_state": null,
            "assistant": {
                "id": "a-1",
                "dynamic_variables": {
                    "name": "Ada & Bo", "seats": "2", "vip": "true", "tags": "[\"a\"]", "X-Trace": "t1",
                },
            },
            "custom_headers": [{"name": "X-Trace", "value": "t1"}],
            "webhook_url": "https://ringdown.example/callbacks/1",
            "webhook_url_method": "POST",
        })
    );
    let state = client_state(sent["client_state"].as_str().unwrap());
    assert_eq!(state, json!({"run_id": 42, "attempt_id": "attempt-7"}));
}

#[test]
fn without_an_assistant_the_application_keeps_its_webhooks_and_gets_the_variables() {
    let request = made(json!({"assistant_id": null}))
        .unwrap()
        .request(&order())
        .unwrap();
    let sent = body(&request);
    assert!(sent.get("webhook_url").is_none() && sent.get("assistant").is_none());
    let state = client_state(sent["client_state"].as_str().unwrap());
    assert_eq!(state["dynamic_variables"]["seats"], "2");
    let request = made(json!({"public_key": null}))
        .unwrap()
        .request(&order())
        .unwrap();
    assert!(body(&request).get("webhook_url").is_none());
}

#[test]
fn what_telnyx_cannot_do_is_said_before_it_is_asked() {
    let unfit = telnyx().request(&bare_order()).unwrap_err();
    assert!(unfit.0.contains("from_number"), "{unfit}");
    let mut order = order();
    order.ring = Duration::from_secs(4);
    assert!(
        telnyx()
            .request(&order)
            .unwrap_err()
            .0
            .contains("5 s at least")
    );
    order.ring = Duration::from_secs(9000);
    assert_eq!(
        body(&telnyx().request(&order).unwrap())["timeout_secs"],
        600
    );
    for (more, field) in [
        (json!({"connection_id": null}), "connection_id"),
        (json!({"public_key": "AAAA"}), "public_key"),
        (json!({"public_key": "?"}), "public_key"),
        (json!({"url": "https://x.example"}), "url"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let error = Telnyx::new(settings(fields(), &[])).unwrap_err();
    assert_eq!(error.field, "telnyx_api_key");
    let elsewhere = made(json!({"base_url": "http://127.0.0.1:9"})).unwrap();
    let url = elsewhere.request(&crate::testing::order()).unwrap().url;
    assert_eq!(url, "http://127.0.0.1:9/v2/calls");
}

#[test]
fn answers_mean_what_telnyx_documents() {
    let refusal = |code: &str, detail: &str| json!({"errors": [{"code": code, "title": "T", "detail": detail}]});
    let call = json!({"call_control_id": "v3:x", "call_leg_id": "leg-1", "is_alive": true});
    outcomes(
        &telnyx(),
        &[
            (200, json!({"data": call}), "placed", CALL),
            (
                200,
                json!({"data": {"call_leg_id": "leg-1"}}),
                "placed",
                "leg-1",
            ),
            // Its events could not be found.
            (
                200,
                json!({"data": {"call_control_id": "v3:x"}}),
                "ambiguous",
                "names no call",
            ),
            (200, json!({"data": {}}), "ambiguous", "names no call"),
            (
                429,
                refusal("90103", "Dials per second"),
                "later",
                "Dials per second",
            ),
            (
                429,
                refusal("10011", "Too many requests"),
                "later",
                "Too many requests",
            ),
            (
                403,
                refusal("10010", "User channel limit exceeded D1"),
                "later",
                "account's channel",
            ),
            (
                403,
                refusal("10010", "Channel limit exceeded D2"),
                "later",
                "profile's channel",
            ),
            (
                403,
                refusal("D3", "Channel limit exceeded"),
                "later",
                "connection's channel",
            ),
            (
                403,
                refusal("10010", "Channel limit D22."),
                "later",
                "channel limit",
            ),
            (
                403,
                refusal("10010", "Caller Origination Number is Invalid D35"),
                "never",
                "verify the caller ID",
            ),
            (403, refusal("10010", "Inactive D18"), "never", "activate"),
            (403, refusal("10010", "D19 balance"), "never", "balance"),
            (400, refusal("10015", "Bad"), "never", "correct"),
            (
                401,
                refusal("10009", "Authentication failed"),
                "never",
                "telnyx_api_key",
            ),
            (
                403,
                refusal("10010", "Not permitted"),
                "never",
                "permissions",
            ),
            (404, refusal("10005", "Not found"), "never", "connection_id"),
            (422, refusal("10015", "Invalid 'to'"), "never", "numbers"),
            (
                422,
                refusal("90000", "Duplicate command"),
                "ambiguous",
                "Duplicate",
            ),
            (
                400,
                refusal("90000", "command_id was used"),
                "ambiguous",
                "command_id",
            ),
            (429, refusal("1", "?"), "ambiguous", "429"),
            (409, refusal("1", "?"), "ambiguous", "409"),
            (500, refusal("10007", "Internal"), "ambiguous", "Internal"),
            (503, json!({}), "ambiguous", "503"),
        ],
    );
    waits(
        &telnyx(),
        answer(429, refusal("90103", "Dials")),
        "x-ratelimit-reset",
    );
    waits(
        &telnyx(),
        answer(429, refusal("90103", "Dials")),
        "retry-after",
    );
}

#[test]
fn a_lost_call_is_found_by_its_state_or_its_numbers_and_time() {
    let telnyx = telnyx();
    let request = telnyx.look_up(&order(), ASKED_AT).unwrap();
    let url: Url = request.url.parse().unwrap();
    assert_eq!(url.path(), "/v2/call_events");
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let query: Vec<_> = query
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        query,
        [
            ("filter[type]", "webhook"),
            ("filter[name]", "call.initiated"),
            ("filter[to]", "+14155550123"),
            ("filter[from]", "+14155550100"),
            ("filter[occurred_at][gte]", "2026-11-28T11:48:30.400Z"),
            ("page[size]", "50"),
        ]
    );
    let event = |leg: &str, metadata: Value| {
        json!({"call_leg_id": leg, "name": "call.initiated", "metadata": metadata,
            "event_timestamp": "2026-11-28T11:48:31.127783Z"})
    };
    let found =
        |events: Value| telnyx.found(&order(), ASKED_AT, &answer(200, json!({"data": events})));
    let ours = event("leg-1", json!({"payload": {"client_state": state()}}));
    let silent = event("leg-2", json!({}));
    let other = event("leg-3", json!({"client_state": "e30="}));
    let call = |leg: &str| Found::Call {
        provider_id: leg.to_owned(),
    };
    assert_eq!(found(json!([silent, ours, other, ours])), call("leg-1"));
    let named = event(
        "leg-1",
        json!({"payload": {"client_state": state(), "call_control_id": "v3:x"}}),
    );
    assert_eq!(found(json!([ours, named, other])), call(CALL));
    assert_eq!(found(json!([silent, silent, other])), call("leg-2"));
    assert_eq!(
        found(json!([silent, event("leg-4", json!({}))])),
        Found::Several
    );
    assert_eq!(found(json!([other])), Found::Nothing);
    let bad = telnyx.found(&order(), ASKED_AT, &answer(500, "x"));
    assert!(matches!(bad, Found::Unreadable(_)));
}

#[test]
fn a_call_is_followed_by_its_events() {
    let telnyx = telnyx();
    for call in ["leg-1", CALL] {
        let request = telnyx.status(call).unwrap();
        let expected = "GET https://api.telnyx.com/v2/call_events?filter%5Btype%5D=webhook&filter%5Bleg_id%5D=leg-1&page%5Bsize%5D=50";
        assert_eq!(line(&request), expected);
    }
    let progress = |names: &[&str], cause: Value| {
        let event = |name: &&str| json!({"name": name, "metadata": {"payload": cause}});
        let events: Value = names.iter().map(event).collect();
        telnyx.progress("call-1", &answer(200, json!({"data": events})))
    };
    let none = json!({});
    assert_eq!(progress(&[], none.clone()), None);
    assert_eq!(
        progress(&["call.initiated"], none.clone()),
        Some(Progress::Ringing)
    );
    let up = ["call.answered", "call.initiated"];
    assert_eq!(progress(&up, none.clone()), Some(Progress::Answered));
    for (cause, code, ending) in [
        ("call_rejected", 603, Ending::Rejected),
        ("normal_clearing", 200, Ending::Completed),
        ("originator_cancel", 487, Ending::Cancelled),
        ("timeout", 487, Ending::NoAnswer),
        ("time_limit", 200, Ending::Completed),
        ("user_busy", 486, Ending::Busy),
        ("not_found", 404, Ending::InvalidNumber),
        ("no_answer", 480, Ending::NoAnswer),
        ("unspecified", 403, Ending::Rejected),
        ("unspecified", 500, Ending::Failed),
    ] {
        let told = json!({"hangup_cause": cause, "sip_hangup_cause": code.to_string()});
        let progress = progress(&["call.initiated", "call.hangup"], told);
        assert_eq!(progress, Some(ended(ending, Some(code), cause)));
    }
    let over = progress(&["call.answered", "call.hangup"], none);
    assert_eq!(over, Some(ended(Ending::Completed, None, "call.hangup")));
    let hangup = telnyx.cancel(CALL).unwrap();
    assert_eq!(
        line(&hangup),
        "POST https://api.telnyx.com/v2/calls/v3:x/actions/hangup"
    );
    assert_eq!(body(&hangup), json!({}));
    let key = format!("Bearer {SECRET}");
    assert_eq!(header(&hangup, "authorization"), key);
    assert!(telnyx.cancel("leg-1").is_none());
}

fn sent(body: &Value, seconds: &str) -> Sent {
    let message = format!("{seconds}|{body}");
    let signature = STANDARD.encode(pair().sign(message.as_bytes()).as_ref());
    let headers = vec![
        ("telnyx-timestamp", seconds.to_owned()),
        ("telnyx-signature-ed25519", signature),
    ];
    Sent::new(body, headers)
}

const NOW: &str = "1795866510";

fn event(kind: &str, more: &Value) -> Value {
    let payload =
        json!({"call_leg_id": "leg-1", "call_control_id": "v3:x", "client_state": state()});
    json!({"data": {"event_type": kind, "payload": with(payload, more)}})
}

#[test]
fn news_is_believed_if_it_is_signed() {
    let telnyx = telnyx();
    let told = |kind: &str, more: Value| sent(&event(kind, &more), NOW).arrives(&telnyx);
    let none = json!({});
    assert_eq!(
        told("call.initiated", none.clone()),
        Ok(news(CALL, Progress::Ringing))
    );
    assert_eq!(
        told("call.answered", none.clone()),
        Ok(news(CALL, Progress::Answered))
    );
    assert_eq!(told("call.machine.detection.ended", none), Ok(Vec::new()));
    let busy = told(
        "call.hangup",
        json!({"hangup_cause": "user_busy", "sip_hangup_cause": "486"}),
    );
    assert_eq!(
        busy,
        Ok(news(CALL, ended(Ending::Busy, Some(486), "user_busy")))
    );
    let unknown = told("call.answered", json!({"client_state": null})).unwrap();
    assert_eq!((unknown[0].run, &unknown[0].attempt_id), (None, &None));
}

#[test]
fn news_of_others_is_refused() {
    let telnyx = telnyx();
    let good = || sent(&event("call.answered", &json!({})), NOW);
    let mut tampered = good();
    tampered.body = tampered.body.replace("leg-1", "leg-2");
    assert_eq!(tampered.arrives(&telnyx), Err(Rejected::Forged));
    for signature in ["", "AAAA", "not base64!"] {
        let mut tampered = good();
        tampered.headers[1].1 = signature.to_owned();
        assert_eq!(tampered.arrives(&telnyx), Err(Rejected::Forged));
    }
    let mut tampered = good();
    tampered.headers[0].1 = "1795866511".to_owned();
    assert_eq!(tampered.arrives(&telnyx), Err(Rejected::Forged));
    for name in ["telnyx-timestamp", "telnyx-signature-ed25519"] {
        let mut unsigned = good();
        unsigned.headers.retain(|(other, _)| *other != name);
        assert_eq!(unsigned.arrives(&telnyx), Err(Rejected::Unsigned(name)));
    }
    for late in [301, -301_i64] {
        let at = (1_795_866_510 - late).to_string();
        let told = sent(&event("call.answered", &json!({})), &at).arrives(&telnyx);
        assert!(matches!(told, Err(Rejected::Stale { .. })), "{told:?}");
    }
    let silent = made(json!({"public_key": null})).unwrap();
    assert_eq!(good().arrives(&silent), Err(Rejected::NotExpected));
}

#[test]
fn signed_rubbish_is_unreadable() {
    let nameless = json!({"call_leg_id": null, "call_control_id": null});
    for (body, time) in [
        (json!("x"), NOW),
        (json!({}), NOW),
        (json!({"data": {}}), NOW),
        (event("call.hangup", &nameless), NOW),
        (json!({}), "now"),
    ] {
        let told = sent(&body, time).arrives(&telnyx());
        assert!(matches!(told, Err(Rejected::Unreadable(_))), "{told:?}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["data", "call_leg_id", "call_control_id", "errors", "code", "detail", "name", "metadata", "client_state", "event_timestamp", "hangup_cause"]),
    ) {
        is_sound(&telnyx(), &answer);
    }

    #[test]
    fn no_signed_callback_panics(answer in answers(&["data", "event_type", "payload", "call_leg_id", "client_state", "hangup_cause"])) {
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        let _ = sent(&body, NOW).arrives(&telnyx());
    }
}
