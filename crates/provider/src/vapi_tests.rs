use proptest::prelude::*;

use super::*;
use crate::testing::*;

const SECRETS: [&str; 2] = ["vapi_api_key", "vapi_webhook_secret"];

fn made(more: Value) -> Vapi {
    let mut fields = json!({ "assistant_id": "as_1", "phone_number_id": "pn_1" });
    let Value::Object(more) = more else {
        panic!("an object");
    };
    fields.as_object_mut().unwrap().extend(more);
    let secrets = match fields.get("callback_auth") {
        Some(_) => &SECRETS[..],
        None => &SECRETS[..1],
    };
    Vapi::new(settings(fields, secrets)).unwrap()
}

fn account() -> Vapi {
    made(json!({ "callback_auth": "hmac" }))
}

fn call(number: &str, attempt: Option<&str>) -> Value {
    let variables = match attempt {
        Some(attempt) => json!({ "ringdown_run_id": "42", "ringdown_attempt_id": attempt }),
        None => json!({}),
    };
    json!({
        "id": format!("{number}-{}", attempt.unwrap_or_default()),
        "customer": { "number": number },
        "assistantOverrides": { "variableValues": variables },
    })
}

#[test]
fn a_request_says_everything_once() {
    let request = account().request(&order()).unwrap();
    let (line, body) = shown(&request);
    assert_eq!(line, "POST https://api.vapi.ai/call");
    assert_eq!(request.headers["authorization"], format!("Bearer {SECRET}"));
    let mut expected = json!({
        "name": "Ringdown run 42",
        "assistantId": "as_1",
        "phoneNumberId": "pn_1",
        "customer": { "number": "+14155550123" },
        "assistantOverrides": { "variableValues": {
            "name": "Ada & Bo", "seats": 2, "vip": true, "tags": ["a"], "X-Trace": "t1",
            "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7", "ringdown_team": "acme",
        } },
    });
    assert_eq!(body, expected);
    let reporting = made(json!({
        "callback_auth": "bearer", "report_calls": true, "credential_id": "cred_1",
        "base_url": "http://127.0.0.1:9",
    }));
    let (line, body) = shown(&reporting.request(&order()).unwrap());
    assert_eq!(line, "POST http://127.0.0.1:9/call");
    let overrides = &mut expected["assistantOverrides"];
    let query = "run_id=42&team=acme&attempt_id=attempt-7";
    overrides["server"] = json!({
        "url": format!("https://ringdown.example/callbacks/1?{query}"), "credentialId": "cred_1",
    });
    overrides["serverMessages"] = json!(["status-update", "end-of-call-report"]);
    assert_eq!(body, expected);
    let mut private = order();
    private.callback = None;
    let (_, body) = shown(&reporting.request(&private).unwrap());
    assert_eq!(body["assistantOverrides"].get("server"), None);
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let ids = || json!({ "assistant_id": "as_1", "phone_number_id": "pn_1" });
    for (field, value) in [
        ("callback_auth", json!("basic")),
        ("signature_header", json!("a b")),
        ("signature_header", json!("Authorization")),
        ("timestamp_header", json!("Host")),
        ("assistant", json!("x")),
    ] {
        let mut fields = ids();
        fields["callback_auth"] = "hmac".into();
        fields[field] = value;
        complains(Vapi::new(settings(fields, &SECRETS)), field);
    }
    let mut reporting = ids();
    reporting["report_calls"] = true.into();
    complains(
        Vapi::new(settings(reporting, &SECRETS[..1])),
        "callback_auth",
    );
    complains(Vapi::new(settings(ids(), &[])), "vapi_api_key");
    complains(Vapi::new(settings(ids(), &SECRETS)), "vapi_webhook_secret");
    complains(Vapi::new(settings(json!({}), &SECRETS)), "assistant_id");
}

#[test]
fn answers_become_outcomes() {
    let said = r#"{"message":"because","statusCode":400}"#;
    let blocked =
        r#"{"id":"c1","status":"queued","subscriptionLimits":{"concurrencyBlocked":true}}"#;
    let free = r#"{"id":"c1","status":"queued","subscriptionLimits":{"concurrencyBlocked":false}}"#;
    outcomes(
        &account(),
        &[
            (201, free, "placed", "c1"),
            (201, r#"{"id":"c1"}"#, "placed", "c1"),
            (201, blocked, "ambiguous", "concurrency"),
            (201, r#"{"results":[]}"#, "ambiguous", "names no call"),
            (201, "", "ambiguous", "no JSON"),
            (400, said, "never", "because; check assistant_id"),
            (
                400,
                r#"{"error":"Over Concurrency Limit"}"#,
                "later",
                "Over Concurrency",
            ),
            (
                400,
                r#"{"message":["customer.number must be E.164"],"error":"Bad Request"}"#,
                "never",
                "E.164; check",
            ),
            (401, said, "never", "vapi_api_key"),
            (403, said, "never", "because"),
            (404, said, "never", "base_url"),
            (408, said, "ambiguous", "408"),
            (429, said, "ambiguous", "because"),
            (500, said, "ambiguous", "because"),
        ],
    );
    let full = answer(400, r#"{"error":"Over Concurrency Limit"}"#);
    waits(&account(), full, "retry-after");
}

#[test]
fn a_lost_call_is_found_by_its_attempt_or_as_the_only_one() {
    let account = account();
    let (line, _) = shown(&account.look_up(&order(), NOW).unwrap());
    assert_eq!(
        line,
        "GET https://api.vapi.ai/call?assistantId=as_1&phoneNumberId=pn_1\
         &createdAtGe=2026-11-28T11%3A48%3A30Z&limit=100"
    );
    let ours = call("+14155550123", Some("attempt-7"));
    let other = call("+14155550123", Some("attempt-8"));
    let bare = call("+14155550123", None);
    let far = call("+14155550199", None);
    let found = |calls: Value| account.found(&order(), NOW, &answer(200, calls));
    let is = |call: &Value| Found::Call {
        provider_id: call["id"].as_str().unwrap().to_owned(),
    };
    assert_eq!(found(json!([far, bare, ours, other])), is(&ours));
    assert_eq!(found(json!([far, bare, other])), is(&bare));
    assert_eq!(found(json!([far, other, 1, null])), Found::Nothing);
    let again = |call: &Value| {
        let mut again = call.clone();
        again["id"] = "another".into();
        again
    };
    assert_eq!(found(json!([bare, again(&bare)])), Found::Several);
    assert_eq!(found(json!([ours, again(&ours)])), Found::Several);
    for (status, body) in [(200, "{}"), (200, "x"), (500, "[]")] {
        let found = account.found(&order(), NOW, &answer(status, body));
        assert!(matches!(found, Found::Unreadable(_)), "{found:?}");
    }
}

#[test]
fn a_call_is_polled() {
    let account = account();
    let (line, _) = shown(&account.status("c1").unwrap());
    assert_eq!(line, "GET https://api.vapi.ai/call/c1");
    assert!(account.cancel("c1").is_none());
    let progress = |status: &str, reason: &str| {
        let body = json!({ "id": "c1", "status": status, "endedReason": reason });
        account.progress("call-1", &answer(200, body))
    };
    for (status, expected) in [
        ("scheduled", Some(Progress::Queued)),
        ("queued", Some(Progress::Queued)),
        ("ringing", Some(Progress::Ringing)),
        ("in-progress", Some(Progress::Answered)),
        ("forwarding", Some(Progress::Answered)),
        ("new", None),
    ] {
        assert_eq!(progress(status, ""), expected, "{status}");
    }
    let sip = "call.in-progress.error-providerfault-outbound-sip-";
    for (reason, ending, code) in [
        ("customer-busy", Ending::Busy, None),
        ("customer-did-not-answer", Ending::NoAnswer, None),
        ("vonage-rejected", Ending::Rejected, None),
        ("manually-canceled", Ending::Cancelled, None),
        ("twilio-failed-to-connect-call", Ending::Failed, None),
        ("vonage-failed-to-connect-call", Ending::Failed, None),
        ("", Ending::Failed, None),
        (&format!("{sip}403-forbidden"), Ending::Rejected, Some(403)),
        (&format!("{sip}407-proxy"), Ending::Failed, Some(407)),
        (&format!("{sip}408-timeout"), Ending::NoAnswer, Some(408)),
        (&format!("{sip}480-gone"), Ending::NoAnswer, Some(480)),
        (&format!("{sip}503-unavailable"), Ending::Failed, Some(503)),
        (&format!("{sip}486"), Ending::Busy, Some(486)),
        (&format!("{sip}99999"), Ending::Failed, None),
        (
            "call.in-progress.error-sip-outbound-call-failed-to-connect",
            Ending::Failed,
            None,
        ),
        (
            "call.start.error-subscription-concurrency-limit-reached",
            Ending::NeverDialed,
            None,
        ),
        (
            "call.start.error-vapi-number-outbound-daily-limit",
            Ending::NeverDialed,
            None,
        ),
        (
            "call.in-progress.error-assistant-did-not-receive",
            Ending::Completed,
            None,
        ),
        ("pipeline-error-openai-llm-failed", Ending::Failed, None),
        ("customer-ended-call", Ending::Completed, None),
        ("assistant-ended-call", Ending::Completed, None),
        ("voicemail", Ending::Completed, None),
        ("silence-timed-out", Ending::Completed, None),
    ] {
        let expected = Some(ended(ending, code, reason));
        assert_eq!(progress("ended", reason), expected, "{reason}");
    }
}

fn message(kind: &str, status: &str) -> String {
    json!({ "message": {
        "type": kind, "status": status, "endedReason": "customer-busy",
        "call": call("n", Some("attempt-7")),
    } })
    .to_string()
}

fn news(progress: Progress) -> Vec<News> {
    crate::testing::news("n-attempt-7", progress)
}

#[test]
fn callbacks_with_an_hmac() {
    let account = account();
    let send = |body: &str, time: &str, tag: &str| {
        let headers = headers(&[("x-timestamp", time), ("x-signature", tag)]);
        account.callback(&callback(&headers, body.as_bytes()))
    };
    let sign = |time: &str, body: &str| sign_hex(SECRET, &[time, ".", body]);
    let (time, millis) = ("1795866510", "1795866510123");
    let busy = || Ok(news(ended(Ending::Busy, None, "customer-busy")));
    for (kind, status, expected) in [
        ("status-update", "ringing", Ok(news(Progress::Ringing))),
        ("status-update", "ended", busy()),
        ("end-of-call-report", "", busy()),
        ("hang", "", Ok(Vec::new())),
    ] {
        let body = message(kind, status);
        assert_eq!(send(&body, time, &sign(time, &body)), expected, "{kind}");
        assert_eq!(
            send(&body, millis, &sign(millis, &body)),
            expected,
            "{kind}"
        );
    }
    let body = message("status-update", "ended");
    let good = sign(time, &body);
    assert_eq!(send(&body, time, &format!("sha256={good}")), busy());
    let tampered = body.replace("busy", "fine");
    assert_eq!(send(&tampered, time, &good), Err(Rejected::Forged));
    assert_eq!(send(&body, millis, &good), Err(Rejected::Forged));
    assert_eq!(
        send(&body, time, &good.replace('a', "b")),
        Err(Rejected::Forged)
    );
    let stale = Err(Rejected::Stale { seconds: 301 });
    assert_eq!(send(&body, "1795866209", &sign("1795866209", &body)), stale);
    for (fields, missing) in [
        (headers(&[("x-timestamp", time)]), "signature_header"),
        (headers(&[("x-signature", &good)]), "timestamp_header"),
    ] {
        let error = account
            .callback(&callback(&fields, body.as_bytes()))
            .unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
    }
    for rubbish in [
        "",
        "[",
        &message("status-update", "new"),
        r#"{"message":{"type":"end-of-call-report"}}"#,
    ] {
        let answer = send(rubbish, time, &sign(time, rubbish));
        assert!(matches!(answer, Err(Rejected::Unreadable(_))), "{rubbish}");
    }
    let time = "soon";
    assert!(matches!(
        send(&body, time, &sign(time, &body)),
        Err(Rejected::Unreadable(_))
    ));
}

#[test]
fn callbacks_by_the_other_schemes() {
    let bearer = format!("Bearer {SECRET}");
    let body = message("status-update", "ringing");
    let bare = sign_hex(SECRET, &[&body]);
    for (fields, header, value) in [
        (
            json!({ "callback_auth": "bearer" }),
            "authorization",
            bearer.as_str(),
        ),
        (
            json!({ "callback_auth": "secret" }),
            "x-vapi-secret",
            SECRET,
        ),
        (
            json!({ "callback_auth": "hmac", "signature_header": "X-Hub-Signature", "timestamp_header": "none" }),
            "x-hub-signature",
            bare.as_str(),
        ),
    ] {
        let account = made(fields);
        let send = |fields: &[(&'static str, &str)]| {
            account.callback(&callback(&headers(fields), body.as_bytes()))
        };
        assert_eq!(send(&[(header, value)]), Ok(news(Progress::Ringing)));
        let (first, rest) = value.split_at(value.len() - 1);
        let tampered = format!("{first}{}", if rest == "0" { "1" } else { "0" });
        assert_eq!(send(&[(header, &tampered)]), Err(Rejected::Forged));
        assert_eq!(send(&[(header, "x")]), Err(Rejected::Forged));
        assert!(matches!(send(&[]), Err(Rejected::Unsigned(_))));
        let twice = send(&[(header, value), (header, value)]);
        assert!(matches!(twice, Err(Rejected::Unsigned(_))));
    }
    let silent = made(json!({}));
    let fields = headers(&[("authorization", bearer.as_str())]);
    let answer = silent.callback(&callback(&fields, body.as_bytes()));
    assert_eq!(answer, Err(Rejected::NotExpected));
}

proptest! {
    #[test]
    fn no_answer_is_trusted(answer in answers(&["id", "status", "message", "error", "subscriptionLimits", "concurrencyBlocked", "customer", "number", "assistantOverrides", "variableValues"])) {
        is_sound(&account(), &answer);
    }
}
