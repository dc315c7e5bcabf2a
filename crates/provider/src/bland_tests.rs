#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use proptest::prelude::*;

use super::*;
use crate::testing::*;

const CALLS: &str = "https://api.bland.ai/v1/calls";
const SECRETS: &[&str] = &["bland_api_key", "bland_webhook_secret"];

fn made(more: Value) -> Result<Bland, InvalidSettings> {
    let fields = json!({"pathway_id": "p-1", "pathway_version": "3"});
    Bland::new(settings(with(fields, &more), SECRETS))
}

fn bland() -> Bland {
    made(json!({})).unwrap()
}

#[test]
fn a_call_is_asked_for_as_bland_documents_it() {
    let request = bland().request(&order()).unwrap();
    assert_eq!(line(&request), format!("POST {CALLS}"));
    assert_eq!(header(&request, "authorization"), SECRET);
    assert!(request.headers["authorization"].is_sensitive());
    assert_eq!(header(&request, "encrypted_key"), "(none)");
    assert_eq!(
        body(&request),
        json!({
            "phone_number": "+14155550123",
            "pathway_id": "p-1",
            "pathway_version": "3",
            "from": "+14155550100",
            "request_data": {"name": "Ada & Bo", "seats": 2, "vip": true, "tags": ["a"], "X-Trace": "t1"},
            "metadata": {"run_id": 42, "attempt_id": "attempt-7"},
            "webhook": "https://ringdown.example/callbacks/1",
        })
    );
    let fields = json!({"task": "Book a table", "from_number": "+14155550111"});
    let own = ["bland_api_key", "bland_encrypted_key"];
    let own = Bland::new(settings(fields, &own)).unwrap();
    let request = own.request(&order()).unwrap();
    assert_eq!(header(&request, "encrypted_key"), SECRET);
    let sent = body(&request);
    assert_eq!(sent["from"], "+14155550111");
    assert_eq!(sent["task"], "Book a table");
    assert!(sent.get("webhook").is_none() && sent.get("retry").is_none());
    let told = Sent::new("{}", Vec::new()).arrives(&own);
    assert_eq!(told, Err(Rejected::NotExpected));
    let sent = body(&bland().request(&bare_order()).unwrap());
    assert!(sent.get("from").is_none());
}

#[test]
fn settings_that_no_account_has_are_refused_by_field() {
    for (more, field) in [
        (json!({"pathway_id": null}), "task"),
        (json!({"task": "x"}), "task"),
        (json!({"pathway_id": null, "task": "x"}), "pathway_version"),
        (json!({"from_number": "x"}), "from_number"),
        (json!({"retry": "x"}), "retry"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let error = Bland::new(settings(json!({"task": "x"}), &[])).unwrap_err();
    assert_eq!(error.field, "bland_api_key");
    let elsewhere = made(json!({"base_url": "http://127.0.0.1:9"})).unwrap();
    let url = elsewhere.request(&order()).unwrap().url;
    assert_eq!(url, "http://127.0.0.1:9/v1/calls");
}

#[test]
fn answers_mean_what_bland_documents() {
    let error = json!({"status": "error", "message": "said so"});
    outcomes(
        &bland(),
        &[
            (
                200,
                json!({"status": "success", "call_id": "c-1"}),
                "placed",
                "c-1",
            ),
            (
                200,
                json!({"status": "success"}),
                "ambiguous",
                "names no call",
            ),
            (
                200,
                json!({"call_id": "c-1"}),
                "ambiguous",
                "without success",
            ),
            (
                200,
                json!({"status": "error", "call_id": "c-1"}),
                "ambiguous",
                "without success",
            ),
            (200, json!({}), "ambiguous", "without success"),
            (200, error.clone(), "never", "said so"),
            (
                200,
                json!({"status": "error", "errors": ["first"]}),
                "never",
                ": first;",
            ),
            (400, error.clone(), "never", "said so; correct"),
            (401, error.clone(), "never", "bland_api_key"),
            (402, error.clone(), "never", "balance"),
            (403, error.clone(), "never", "permissions"),
            (404, error.clone(), "never", "pathway_id"),
            (405, error.clone(), "never", "base_url"),
            (422, error.clone(), "never", "said so"),
            (429, error.clone(), "ambiguous", "said so"),
            (500, error.clone(), "ambiguous", "said so"),
        ],
    );
    let own = ["bland_api_key", "bland_encrypted_key"];
    let own = Bland::new(settings(json!({"task": "x"}), &own)).unwrap();
    is_sound(&own, &answer(400, json!({"message": SECRET})));
}

#[test]
fn a_lost_call_is_found_by_its_attempt_or_its_numbers_and_time() {
    let bland = bland();
    let request = bland.look_up(&order(), ASKED_AT).unwrap();
    let query = "to_number=%2B14155550123&from_number=%2B14155550100";
    assert_eq!(line(&request), format!("GET {CALLS}?{query}"));
    let call = |id: &str, more: Value| {
        with(
            json!({"call_id": id, "to": "+14155550123", "from": "+14155550100",
                "created_at": "2026-11-28T11:48:30.025251+00:00"}),
            &more,
        )
    };
    let found =
        |calls: Value| bland.found(&order(), ASKED_AT, &answer(200, json!({"calls": calls})));
    let silent = call("c-1", json!({}));
    let ours = call("c-2", json!({"metadata": {"attempt_id": "attempt-7"}}));
    let other = call("c-3", json!({"metadata": {"attempt_id": "attempt-8"}}));
    let earlier = call("c-0", json!({"created_at": "2026-11-28T11:48:29Z"}));
    let is = |id: &str| Found::Call {
        provider_id: id.to_owned(),
    };
    assert_eq!(found(json!([silent, other, earlier])), is("c-1"));
    assert_eq!(found(json!([silent, ours, other])), is("c-2"));
    assert_eq!(
        found(json!([silent, call("c-4", json!({}))])),
        Found::Several
    );
    assert_eq!(found(json!([other, earlier])), Found::Nothing);
    let bad = bland.found(&order(), ASKED_AT, &answer(200, "{}"));
    assert!(matches!(bad, Found::Unreadable(_)));
}

const STATES: [(&str, &str, bool, Option<Ending>); 10] = [
    ("completed", "human", true, Some(Ending::Completed)),
    ("completed", "voicemail", true, Some(Ending::Completed)),
    ("completed", "no-answer", true, Some(Ending::NoAnswer)),
    ("busy", "", true, Some(Ending::Busy)),
    ("no-answer", "", true, Some(Ending::NoAnswer)),
    ("failed", "", true, Some(Ending::Failed)),
    ("canceled", "", true, Some(Ending::Cancelled)),
    ("unknown", "human", true, Some(Ending::Completed)),
    ("unknown", "unknown", true, Some(Ending::Failed)),
    ("unknown", "", false, None),
];

#[test]
fn a_call_is_followed_and_called_off() {
    let bland = bland();
    assert_eq!(
        line(&bland.status("c-1").unwrap()),
        format!("GET {CALLS}/c-1")
    );
    assert_eq!(
        line(&bland.cancel("c-1").unwrap()),
        format!("POST {CALLS}/c-1/stop")
    );
    let progress = |call: Value| bland.progress("call-1", &answer(200, call));
    for (status, by, completed, ending) in STATES {
        let call = json!({"status": status, "answered_by": by, "completed": completed});
        let expected = ending.map(|ending| ended(ending, None, status));
        assert_eq!(progress(call), expected, "{status} {by}");
    }
    let failed = json!({"status": "failed", "error_message": "no route"});
    assert_eq!(
        progress(failed),
        Some(ended(Ending::Failed, None, "no route"))
    );
    for (call, expected) in [
        (json!({"queue_status": "new"}), Progress::Queued),
        (json!({"queue_status": "queued"}), Progress::Queued),
        (json!({"queue_status": "started"}), Progress::Ringing),
        (json!({"status": "in-progress"}), Progress::Answered),
    ] {
        assert_eq!(progress(call), Some(expected));
    }
    assert_eq!(
        bland.progress("call-1", &answer(404, r#"{"status": "busy"}"#)),
        None
    );
}

fn sent(body: &Value) -> Sent {
    let tag = sign_hex(SECRET, &[&body.to_string()]);
    Sent::new(body, vec![(SIGNATURE, tag)])
}

fn event(more: &Value) -> Value {
    let metadata = json!({"run_id": 42, "attempt_id": "attempt-7"});
    with(json!({"call_id": "c-1", "metadata": metadata}), more)
}

#[test]
fn news_is_believed_if_it_is_signed() {
    let bland = bland();
    for (status, by, completed, ending) in STATES {
        let call = json!({"status": status, "answered_by": by, "completed": completed});
        let expected =
            ending.map_or_else(Vec::new, |ending| news("c-1", ended(ending, None, status)));
        assert_eq!(sent(&event(&call)).arrives(&bland), Ok(expected));
    }
    let good = || sent(&event(&json!({"status": "busy"})));
    let mut tampered = good();
    tampered.body = tampered.body.replace("busy", "failed");
    assert_eq!(tampered.arrives(&bland), Err(Rejected::Forged));
    for signature in ["", "00", "0", "xyz", "\u{e9}\u{e9}"] {
        let mut tampered = good();
        tampered.headers[0].1 = signature.to_owned();
        let told = tampered.arrives(&bland);
        assert!(
            matches!(told, Err(Rejected::Forged | Rejected::Unsigned(_))),
            "{told:?}"
        );
    }
    let mut unsigned = good();
    unsigned.headers.clear();
    assert_eq!(unsigned.arrives(&bland), Err(Rejected::Unsigned(SIGNATURE)));
    for rubbish in [json!("x"), json!({}), event(&json!({"call_id": 1}))] {
        let told = sent(&rubbish).arrives(&bland);
        assert!(matches!(told, Err(Rejected::Unreadable(_))), "{told:?}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["status", "call_id", "message", "calls", "to", "from", "created_at", "metadata", "completed", "queue_status"]),
    ) {
        is_sound(&bland(), &answer);
    }

    #[test]
    fn no_signed_callback_panics(answer in answers(&["call_id", "metadata", "run_id", "attempt_id", "status", "completed"])) {
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        let _ = sent(&body).arrives(&bland());
    }
}
