#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::*;

const CALLS: &str = "https://voice.bandwidth.com/api/v2/accounts/9900/calls";
const SECRETS: &[&str] = &["bandwidth_password", "bandwidth_webhook_password"];

fn fields() -> Value {
    json!({"account_id": "9900", "username": "api", "application_id": "app-1",
        "answer_url": "https://agent.example/bxml"})
}

fn made(more: Value) -> Result<Bandwidth, InvalidSettings> {
    Bandwidth::new(settings(with(fields(), &more), SECRETS))
}

fn bandwidth() -> Bandwidth {
    made(json!({})).unwrap()
}

const TAG: &str = r#"{"attempt_id":"attempt-7","run_id":42}"#;

#[test]
fn a_call_is_asked_for_as_bandwidth_documents_it() {
    let request = bandwidth().request(&order()).unwrap();
    assert_eq!(line(&request), format!("POST {CALLS}"));
    let basic = format!("Basic {}", STANDARD.encode(format!("api:{SECRET}")));
    assert_eq!(header(&request, "authorization"), basic);
    let sent = body(&request);
    let tag: Value = serde_json::from_str(sent["tag"].as_str().unwrap()).unwrap();
    assert_eq!(tag, serde_json::from_str::<Value>(TAG).unwrap());
    assert_eq!(
        with(sent, &json!({"tag": TAG})),
        json!({
            "from": "+14155550100",
            "to": "+14155550123",
            "applicationId": "app-1",
            "answerUrl": "https://agent.example/bxml?X-Trace=t1&name=Ada+%26+Bo&seats=2&tags=%5B%22a%22%5D&vip=true",
            "callTimeout": 40,
            "tag": TAG,
            "disconnectUrl": "https://ringdown.example/callbacks/1",
            "disconnectMethod": "POST",
            "username": "ringdown",
            "password": SECRET,
        })
    );
}

#[test]
fn callbacks_need_a_password_and_https() {
    let silent = Bandwidth::new(settings(fields(), &SECRETS[..1])).unwrap();
    let plain = made(json!({"answer_url": "http://agent.example/bxml"})).unwrap();
    for bandwidth in [&silent, &plain] {
        let sent = body(&bandwidth.request(&order()).unwrap());
        assert!(sent.get("disconnectUrl").is_none() && sent.get("password").is_none());
    }
    let told = Sent::new("{}", Vec::new()).arrives(&silent);
    assert_eq!(told, Err(Rejected::NotExpected));
}

#[test]
fn what_bandwidth_cannot_do_is_said_before_it_is_asked() {
    let unfit = bandwidth().request(&bare_order()).unwrap_err();
    assert!(unfit.0.contains("from_number"), "{unfit}");
    let mut order = order();
    order.ring = Duration::ZERO;
    assert!(
        bandwidth()
            .request(&order)
            .unwrap_err()
            .0
            .contains("at least")
    );
    order.ring = Duration::from_secs(301);
    assert_eq!(
        body(&bandwidth().request(&order).unwrap())["callTimeout"],
        300
    );
    for (more, field) in [
        (json!({"account_id": null}), "account_id"),
        (json!({"username": "a:b"}), "username"),
        (json!({"webhook_username": "a:b"}), "webhook_username"),
        (json!({"application_id": null}), "application_id"),
        (json!({"answer_url": null}), "answer_url"),
        (json!({"priority": "1"}), "priority"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let error = Bandwidth::new(settings(fields(), &[])).unwrap_err();
    assert_eq!(error.field, "bandwidth_password");
    let elsewhere = made(json!({"base_url": "http://127.0.0.1:9"})).unwrap();
    let url = elsewhere.request(&order).unwrap().url;
    assert_eq!(url, "http://127.0.0.1:9/api/v2/accounts/9900/calls");
}

#[test]
fn answers_mean_what_bandwidth_documents() {
    let refusal = |said: &str| json!({"type": "validation", "description": said, "id": "e-1"});
    let rate = refusal("Account call creation rate limit exceeded");
    outcomes(
        &bandwidth(),
        &[
            (
                201,
                json!({"callId": "c-1", "enqueuedTime": "2026-11-28T11:48:31Z"}),
                "placed",
                "c-1",
            ),
            (
                201,
                json!({"enqueuedTime": "2026-11-28T11:48:31Z"}),
                "ambiguous",
                "names no call",
            ),
            (429, rate.clone(), "later", "more slowly"),
            (
                429,
                refusal("Account concurrent call limit exceeded"),
                "later",
                "too many calls",
            ),
            (429, refusal("Slow down"), "ambiguous", "Slow down"),
            (
                400,
                refusal("to is invalid"),
                "never",
                "to is invalid; correct",
            ),
            (401, refusal("no"), "never", "bandwidth_password"),
            (403, refusal("no"), "never", "permissions"),
            (404, refusal("no"), "never", "account_id"),
            (405, refusal("no"), "never", "base_url"),
            (415, refusal("no"), "never", "base_url"),
            (409, refusal("no"), "ambiguous", "409"),
            (500, rate.clone(), "ambiguous", "rate limit"),
            (
                400,
                refusal(&format!("password {SECRET} is short")),
                "never",
                "(hidden)",
            ),
        ],
    );
    waits(&bandwidth(), answer(429, rate), "retry-after");
}

#[test]
fn the_webhook_password_is_not_repeated() {
    let Value::Object(fields) = fields() else {
        panic!()
    };
    let secrets = [
        ("bandwidth_password".to_owned(), Secret::new(SECRET)),
        (
            "bandwidth_webhook_password".to_owned(),
            Secret::new("pass-word-2"),
        ),
    ];
    let bandwidth = Bandwidth::new(Settings::new(fields, secrets.into())).unwrap();
    let refusal = json!({"description": "password pass-word-2 is weak"});
    let outcome = bandwidth.outcome(&order(), &answer(400, refusal));
    let shown = format!("{outcome:?}");
    assert!(shown.contains("(hidden) is weak"), "{shown}");
}

#[test]
fn a_lost_call_is_found_by_its_numbers_and_time() {
    let bandwidth = bandwidth();
    let request = bandwidth.look_up(&order(), ASKED_AT).unwrap();
    let query = "to=%2B14155550123&from=%2B14155550100&minStartTime=2026-11-28T11%3A48%3A30.400Z";
    assert_eq!(line(&request), format!("GET {CALLS}?{query}"));
    let call = |id: &str, more: Value| {
        with(
            json!({"callId": id, "to": "+14155550123", "from": "+14155550100",
                "startTime": "2026-11-28T11:48:32.1Z"}),
            &more,
        )
    };
    let found = |calls: Value| bandwidth.found(&order(), ASKED_AT, &answer(200, calls));
    let one = call("c-1", json!({}));
    let earlier = call("c-0", json!({"enqueuedTime": "2026-11-28T11:48:29Z"}));
    let other = call("c-3", json!({"from": "+14155550199"}));
    let provider_id = "c-1".to_owned();
    assert_eq!(
        found(json!([one, earlier, other])),
        Found::Call { provider_id }
    );
    assert_eq!(found(json!([one, call("c-2", json!({}))])), Found::Several);
    assert_eq!(found(json!([])), Found::Nothing);
    assert!(matches!(found(json!({})), Found::Unreadable(_)));
    let timeless = call("c-1", json!({"startTime": null}));
    assert!(matches!(found(json!([timeless])), Found::Unreadable(_)));
}

const ENDINGS: [(&str, Ending); 13] = [
    ("hangup", Ending::Completed),
    ("busy", Ending::Busy),
    ("timeout", Ending::NoAnswer),
    ("cancel", Ending::Cancelled),
    ("rejected", Ending::Rejected),
    ("callback-error", Ending::Failed),
    ("invalid-bxml", Ending::Failed),
    ("application-error", Ending::Failed),
    ("account-limit", Ending::NeverDialed),
    ("node-capacity-exceeded", Ending::Failed),
    ("error", Ending::Failed),
    ("unknown", Ending::Failed),
    ("else", Ending::Failed),
];

#[test]
fn a_call_is_followed_and_called_off() {
    let bandwidth = bandwidth();
    assert_eq!(
        line(&bandwidth.status("c-1").unwrap()),
        format!("GET {CALLS}/c-1")
    );
    let progress = |call: Value| bandwidth.progress("call-1", &answer(200, call));
    assert_eq!(progress(json!({"state": "queued"})), Some(Progress::Queued));
    assert_eq!(
        progress(json!({"state": "initiated"})),
        Some(Progress::Ringing)
    );
    assert_eq!(
        progress(json!({"state": "answered"})),
        Some(Progress::Answered)
    );
    assert_eq!(progress(json!({"state": "else"})), None);
    assert_eq!(
        bandwidth.progress("call-1", &answer(404, r#"{"state": "queued"}"#)),
        None
    );
    for (cause, ending) in ENDINGS {
        let call = json!({"state": "disconnected", "disconnectCause": cause});
        assert_eq!(progress(call), Some(ended(ending, None, cause)));
    }
    let call = json!({"state": "disconnected", "disconnectCause": "callback-error",
        "errorMessage": "timeout", "answerTime": "2026-11-28T11:48:40Z"});
    let expected = ended(Ending::Completed, None, "callback-error: timeout");
    assert_eq!(progress(call), Some(expected));
    let request = bandwidth.cancel("c-1").unwrap();
    assert_eq!(line(&request), format!("POST {CALLS}/c-1"));
    assert_eq!(body(&request), json!({"state": "completed"}));
}

fn sent(body: Value) -> Sent {
    let basic = format!("Basic {}", STANDARD.encode(format!("ringdown:{SECRET}")));
    Sent::new(body, vec![("Authorization", basic)])
}

#[test]
fn news_is_believed_if_it_shows_the_password() {
    let bandwidth = bandwidth();
    for (cause, ending) in ENDINGS {
        let event = json!({"eventType": "disconnect", "callId": "c-1", "cause": cause, "tag": TAG});
        let expected = Ok(news("c-1", ended(ending, None, cause)));
        assert_eq!(sent(event).arrives(&bandwidth), expected);
    }
    let up = json!({"eventType": "answer", "callId": "c-1", "tag": TAG});
    assert_eq!(
        sent(up).arrives(&bandwidth),
        Ok(news("c-1", Progress::Answered))
    );
    let other = json!({"eventType": "gather", "callId": "c-1"});
    assert_eq!(sent(other).arrives(&bandwidth), Ok(Vec::new()));

    let mut wrong = sent(json!({"eventType": "answer", "callId": "c-1"}));
    for shown in [
        "",
        "Basic",
        "Basic AAAA",
        &wrong.headers[0].1.to_lowercase(),
    ] {
        wrong.headers[0].1 = shown.to_owned();
        assert_eq!(wrong.arrives(&bandwidth), Err(Rejected::Forged));
    }
    wrong.headers.clear();
    assert_eq!(
        wrong.arrives(&bandwidth),
        Err(Rejected::Unsigned("Authorization"))
    );
    for rubbish in [json!("x"), json!({}), json!({"eventType": "answer"})] {
        let told = sent(rubbish).arrives(&bandwidth);
        assert!(matches!(told, Err(Rejected::Unreadable(_))), "{told:?}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["callId", "description", "state", "disconnectCause", "to", "from", "startTime", "errorMessage"]),
    ) {
        is_sound(&bandwidth(), &answer);
    }

    #[test]
    fn no_signed_callback_panics(answer in answers(&["eventType", "callId", "cause", "tag", "answerTime"])) {
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        let _ = sent(body).arrives(&bandwidth());
    }
}
