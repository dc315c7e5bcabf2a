use proptest::prelude::*;

use super::*;
use crate::testing::*;

fn account() -> Retell {
    let fields = json!({ "agent_id": "agent_1", "from_number": "+14155550101" });
    Retell::new(settings(fields, &["retell_api_key"])).unwrap()
}

fn call(status: &str, reason: &str) -> Value {
    json!({
        "call_id": "call_1", "call_status": status, "disconnection_reason": reason,
        "metadata": { "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7" },
    })
}

#[test]
fn a_request_says_everything_once() {
    let request = account().request(&order()).unwrap();
    let (line, body) = shown(&request);
    assert_eq!(line, "POST https://api.retellai.com/v2/create-phone-call");
    assert_eq!(request.headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(
        body,
        json!({
            "from_number": "+14155550101",
            "to_number": "+14155550123",
            "override_agent_id": "agent_1",
            "idempotency_key": "attempt-7",
            "metadata": {
                "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7", "ringdown_team": "acme",
            },
            "retell_llm_dynamic_variables": {
                "name": "Ada & Bo", "seats": "2", "vip": "true", "tags": "[\"a\"]", "X-Trace": "t1",
            },
            "custom_sip_headers": { "X-Trace": "t1" },
        })
    );
}

#[test]
fn what_is_not_set_is_not_sent() {
    let fields = json!({ "base_url": "http://127.0.0.1:9/retell/" });
    let account = Retell::new(settings(fields, &["retell_api_key"])).unwrap();
    let mut order = order();
    order.sip_headers.clear();
    let (line, body) = shown(&account.request(&order).unwrap());
    assert_eq!(line, "POST http://127.0.0.1:9/retell/v2/create-phone-call");
    assert_eq!(body["from_number"], "+14155550100");
    for absent in ["override_agent_id", "custom_sip_headers"] {
        assert_eq!(body.get(absent), None);
    }
    order.from = None;
    let Unfit(reason) = account.request(&order).unwrap_err();
    assert!(reason.contains("from_number"), "{reason}");
    complains(Retell::new(settings(json!({}), &[])), "retell_api_key");
    let unknown = settings(json!({ "agent": "a" }), &["retell_api_key"]);
    complains(Retell::new(unknown), "agent");
}

#[test]
fn answers_become_outcomes() {
    let said = r#"{"status":"error","message":"because"}"#;
    outcomes(
        &account(),
        &[
            (201, r#"{"call_id":"call_1"}"#, "placed", "call_1"),
            (200, r#"{"call_id":"call_1"}"#, "placed", "call_1"),
            (201, "{}", "ambiguous", "names no call"),
            (201, "ok", "ambiguous", "no JSON"),
            (302, "", "ambiguous", "302"),
            (400, said, "never", "because; check the numbers"),
            (401, said, "never", "retell_api_key"),
            (402, said, "never", "billing"),
            (403, said, "never", "base_url"),
            (404, "<p>", "never", "base_url"),
            (408, said, "ambiguous", "408"),
            (409, said, "ambiguous", "409"),
            (422, said, "never", "from_number"),
            (429, said, "later", "faster"),
            (500, said, "ambiguous", "because"),
            (503, "", "ambiguous", "no reason given"),
        ],
    );
    waits(&account(), answer(429, said), "retry-after");
}

#[test]
fn a_lost_call_is_found_by_its_attempt() {
    let account = account();
    let (line, body) = shown(&account.look_up(&order(), NOW).unwrap());
    assert_eq!(line, "POST https://api.retellai.com/v3/list-calls");
    assert_eq!(
        body,
        json!({
            "filter_criteria": { "metadata": [{
                "type": "string", "op": "eq", "key": "ringdown_attempt_id", "value": "attempt-7",
            }] },
            "limit": 10,
        })
    );
    let ours = call("ended", "");
    let other = json!({ "call_id": "call_2", "metadata": { "ringdown_attempt_id": "attempt-8" } });
    let found = |items: Value| {
        let body = json!({ "items": items, "has_more": false });
        account.found(&order(), NOW, &answer(200, body))
    };
    let provider_id = "call_1".to_owned();
    assert_eq!(found(json!([other, ours])), Found::Call { provider_id });
    assert_eq!(found(json!([other, {}])), Found::Nothing);
    let mut again = ours.clone();
    again["call_id"] = "call_3".into();
    assert_eq!(found(json!([ours, again])), Found::Several);
    for (status, body) in [(200, "[]"), (200, "x"), (500, r#"{"items":[]}"#)] {
        let found = account.found(&order(), NOW, &answer(status, body));
        assert!(matches!(found, Found::Unreadable(_)), "{found:?}");
    }
}

#[test]
fn a_call_is_polled_and_stopped() {
    let account = account();
    let (line, _) = shown(&account.status("call/1").unwrap());
    assert_eq!(line, "GET https://api.retellai.com/v2/get-call/call%2F1");
    let request = account.cancel("call_1").unwrap();
    let (line, body) = shown(&request);
    assert_eq!(line, "POST https://api.retellai.com/v2/stop-call/call_1");
    assert_eq!(body, Value::Null);
    assert_eq!(request.headers["authorization"], format!("Bearer {SECRET}"));

    let progress = |status, reason| account.progress("call-1", &answer(200, call(status, reason)));
    assert_eq!(progress("registered", ""), Some(Progress::Queued));
    assert_eq!(progress("ongoing", ""), Some(Progress::Answered));
    assert_eq!(progress("new", ""), None);
    for (status, reason, ending) in [
        ("ended", "user_hangup", Ending::Completed),
        ("ended", "voicemail_reached", Ending::Completed),
        ("ended", "error_asr", Ending::Completed),
        ("not_connected", "dial_busy", Ending::Busy),
        ("not_connected", "dial_no_answer", Ending::NoAnswer),
        ("not_connected", "dial_failed", Ending::Failed),
        (
            "not_connected",
            "invalid_destination",
            Ending::InvalidNumber,
        ),
        ("not_connected", "user_declined", Ending::Rejected),
        ("not_connected", "marked_as_spam", Ending::Rejected),
        ("not_connected", "network_blocked", Ending::Rejected),
        (
            "error",
            "telephony_provider_permission_denied",
            Ending::Rejected,
        ),
        ("error", "telephony_provider_unavailable", Ending::Failed),
        ("error", "sip_routing_error", Ending::Failed),
        ("not_connected", "registered_call_timeout", Ending::Failed),
        ("error", "concurrency_limit_reached", Ending::NeverDialed),
        ("error", "no_valid_payment", Ending::NeverDialed),
        ("error", "error_unknown", Ending::Failed),
    ] {
        assert_eq!(progress(status, reason), Some(ended(ending, None, reason)));
    }
    let refused = answer(404, call("ended", ""));
    assert_eq!(account.progress("call-1", &refused), None);
}

fn signed(body: &str, at: Timestamp, key: &str) -> String {
    let time = (at.as_micros() / 1000).to_string();
    format!("v={time},d={}", sign_hex(key, &[body, &time]))
}

#[test]
fn callbacks_are_checked_then_read() {
    let account = account();
    let send = |body: &str, signature: &str| {
        let headers = headers(&[("x-retell-signature", signature)]);
        account.callback(&callback(&headers, body.as_bytes()))
    };
    let news = |progress| news("call_1", progress);
    let event = |event: &str, call: Value| json!({ "event": event, "call": call }).to_string();
    let busy = event("call_ended", call("not_connected", "dial_busy"));
    let good = signed(&busy, NOW, SECRET);
    let busy_news = news(ended(Ending::Busy, None, "dial_busy"));
    assert_eq!(send(&busy, &good), Ok(busy_news.clone()));
    assert_eq!(
        send(&busy, &good),
        Ok(busy_news),
        "a duplicate says the same"
    );
    let started = event("call_started", call("ongoing", ""));
    let answered = Ok(news(Progress::Answered));
    assert_eq!(send(&started, &signed(&started, NOW, SECRET)), answered);
    let other = event("transcript_updated", Value::Null);
    assert_eq!(send(&other, &signed(&other, NOW, SECRET)), Ok(Vec::new()));

    let tampered = busy.replace("busy", "fine");
    assert_eq!(send(&tampered, &good), Err(Rejected::Forged));
    for signature in [
        "",
        "v=1",
        "d=00",
        "nonsense",
        &signed(&busy, NOW, "other"),
        &good[..40],
    ] {
        assert_eq!(send(&busy, signature), Err(Rejected::Forged), "{signature}");
    }
    let old = NOW.plus(Duration::from_secs(301));
    let stale = Err(Rejected::Stale { seconds: 301 });
    assert_eq!(send(&busy, &signed(&busy, old, SECRET)), stale);
    let unsigned = account.callback(&callback(&headers(&[]), busy.as_bytes()));
    assert_eq!(unsigned, Err(Rejected::Unsigned("x-retell-signature")));
    for rubbish in [
        "",
        "{",
        r#"{"event":"call_ended"}"#,
        r#"{"event":"call_started","call":[]}"#,
    ] {
        let answer = send(rubbish, &signed(rubbish, NOW, SECRET));
        assert!(matches!(answer, Err(Rejected::Unreadable(_))), "{rubbish}");
    }
}

#[test]
fn webhooks_may_have_their_own_key() {
    let secrets = [
        ("retell_api_key", SECRET),
        ("retell_webhook_key", "another"),
    ];
    let account = Retell::new(settings_with(json!({}), &secrets)).unwrap();
    let body = r#"{"event":"ping"}"#;
    for (key, expected) in [("another", Ok(Vec::new())), (SECRET, Err(Rejected::Forged))] {
        let headers = headers(&[("x-retell-signature", &signed(body, NOW, key))]);
        assert_eq!(
            account.callback(&callback(&headers, body.as_bytes())),
            expected
        );
    }
}

proptest! {
    #[test]
    fn no_answer_is_trusted(answer in answers(&["call_id", "status", "call_status", "message", "items", "metadata", "ringdown_attempt_id"])) {
        is_sound(&account(), &answer);
    }
}
