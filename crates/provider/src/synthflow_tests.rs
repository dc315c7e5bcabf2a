#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use proptest::prelude::*;

use super::*;
use crate::Rejected;
use crate::testing::*;

const CALLS: &str = "https://api.synthflow.ai/v2/calls";

fn made(more: Value) -> Result<Synthflow, InvalidSettings> {
    let fields = json!({"model_id": "m-1"});
    Synthflow::new(settings(with(fields, &more), &["synthflow_api_key"]))
}

fn synthflow() -> Synthflow {
    made(json!({})).unwrap()
}

#[test]
fn a_call_is_asked_for_as_synthflow_documents_it() {
    let request = synthflow().request(&order()).unwrap();
    assert_eq!(line(&request), format!("POST {CALLS}"));
    assert_eq!(
        header(&request, "authorization"),
        format!("Bearer {SECRET}")
    );
    assert_eq!(
        body(&request),
        json!({
            "model_id": "m-1",
            "phone": "+14155550123",
            "name": "Ringdown",
            "from_phone_number": "+14155550100",
            "custom_variables": [
                {"key": "X-Trace", "value": "t1"},
                {"key": "name", "value": "Ada & Bo"},
                {"key": "seats", "value": "2"},
                {"key": "tags", "value": "[\"a\"]"},
                {"key": "vip", "value": "true"},
            ],
        })
    );
    let sent = body(&synthflow().request(&bare_order()).unwrap());
    assert!(sent.get("from_phone_number").is_none());
    let named = made(json!({"name": "Ada", "from_number": "+14155550111"})).unwrap();
    let sent = body(&named.request(&order()).unwrap());
    assert_eq!(
        (&sent["name"], &sent["from_phone_number"]),
        (&json!("Ada"), &json!("+14155550111"))
    );
    let told = Sent::new("{}", Vec::new()).arrives(&named);
    assert_eq!(told, Err(Rejected::NotExpected));
}

#[test]
fn settings_that_no_workspace_has_are_refused_by_field() {
    for (more, field) in [
        (json!({"model_id": null}), "model_id"),
        (json!({"from_number": "x"}), "from_number"),
        (json!({"base_url": "x"}), "base_url"),
        (json!({"prompt": "x"}), "prompt"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let error = Synthflow::new(settings(json!({"model_id": "m-1"}), &[])).unwrap_err();
    assert_eq!(error.field, "synthflow_api_key");
    let elsewhere = made(json!({"base_url": "https://api.eu.synthflow.ai"})).unwrap();
    let url = elsewhere.request(&order()).unwrap().url;
    assert_eq!(url, "https://api.eu.synthflow.ai/v2/calls");
}

#[test]
fn answers_mean_what_synthflow_documents() {
    let error = json!({"detail": {"status": "error", "description": "said so"}});
    outcomes(
        &synthflow(),
        &[
            (
                200,
                json!({"status": "ok", "response": {"call_id": "c-1"}, "eta": 3}),
                "placed",
                "c-1",
            ),
            (201, json!({"call_id": "c-1"}), "placed", "c-1"),
            (
                200,
                json!({"status": "error", "response": {"answer": "no"}}),
                "ambiguous",
                "names no call",
            ),
            (400, error.clone(), "never", "said so; check model_id"),
            (401, error.clone(), "never", "region"),
            (403, error.clone(), "never", "permissions"),
            (404, error.clone(), "never", "model_id"),
            (422, error.clone(), "never", "said so"),
            (429, error.clone(), "later", "said so"),
            (409, error.clone(), "ambiguous", "409"),
            (500, error.clone(), "ambiguous", "said so"),
            (502, error, "ambiguous", "502"),
        ],
    );
    waits(&synthflow(), answer(429, "{}"), "retry-after");
}

#[test]
fn a_lost_call_is_found_by_its_numbers_and_time() {
    let synthflow = synthflow();
    let request = synthflow.look_up(&order(), ASKED_AT).unwrap();
    let query = "model_id=m-1&lead_phone_number=%2B14155550123&from_date=1795866510400&limit=20";
    assert_eq!(line(&request), format!("GET {CALLS}?{query}"));
    let call = |id: &str, more: Value| {
        with(
            json!({"call_id": id, "phone_number_to": "+14155550123",
                "phone_number_from": "+14155550100", "start_time": "1795866511000"}),
            &more,
        )
    };
    let found = |calls: Value| {
        let body = json!({"status": "ok", "response": {"calls": calls}});
        synthflow.found(&order(), ASKED_AT, &answer(200, body))
    };
    let one = call("c-1", json!({}));
    let earlier = call("c-0", json!({"start_time": 1_795_866_509_000_i64}));
    let other = call("c-3", json!({"phone_number_from": "+14155550199"}));
    let lead = json!({"phone_number_to": null, "lead_phone_number": "+14155550123"});
    let is = |id: &str| Found::Call {
        provider_id: id.to_owned(),
    };
    assert_eq!(found(json!([one, earlier, other])), is("c-1"));
    assert_eq!(found(json!([call("c-2", lead)])), is("c-2"));
    assert_eq!(found(json!([one, call("c-2", json!({}))])), Found::Several);
    assert_eq!(found(json!([earlier])), Found::Nothing);
    let timeless = call("c-1", json!({"start_time": "soon"}));
    assert!(matches!(found(json!([timeless])), Found::Unreadable(_)));
}

#[test]
fn a_call_is_followed() {
    let synthflow = synthflow();
    assert_eq!(
        line(&synthflow.status("c-1").unwrap()),
        format!("GET {CALLS}/c-1")
    );
    assert!(synthflow.cancel("c-1").is_none());
    let progress = |call: Value| {
        let body = json!({"response": {"calls": [call]}});
        synthflow.progress("call-1", &answer(200, body))
    };
    for (status, expected) in [
        ("pending", Some(Progress::Queued)),
        ("registered", Some(Progress::Queued)),
        ("ringing", Some(Progress::Ringing)),
        ("in-progress", Some(Progress::Answered)),
        ("paused", Some(Progress::Answered)),
        (
            "completed",
            Some(ended(Ending::Completed, None, "completed")),
        ),
        (
            "hangup_on_voicemail",
            Some(ended(Ending::Completed, None, "hangup_on_voicemail")),
        ),
        (
            "left_voicemail",
            Some(ended(Ending::Completed, None, "left_voicemail")),
        ),
        (
            "no-answer",
            Some(ended(Ending::NoAnswer, None, "no-answer")),
        ),
        ("busy", Some(ended(Ending::Busy, None, "busy"))),
        ("canceled", Some(ended(Ending::Cancelled, None, "canceled"))),
        (
            "user-canceled",
            Some(ended(Ending::Cancelled, None, "user-canceled")),
        ),
        ("failed", Some(ended(Ending::Failed, None, "failed"))),
        ("spam", Some(ended(Ending::Failed, None, "spam"))),
        ("else", None),
    ] {
        let call = json!({"status": status, "error_message": ""});
        assert_eq!(progress(call), expected, "{status}");
        assert_eq!(
            progress(json!({"call_status": status})),
            expected,
            "{status}"
        );
    }
    for (error, ending) in [
        (
            "Telephony - 403 - Caller ID is unauthorized",
            Ending::Rejected,
        ),
        ("Telephony - 486 - Busy Here", Ending::Busy),
        ("Telephony - 500 - Error", Ending::Failed),
        ("400 - Invalid phone number", Ending::InvalidNumber),
        ("else", Ending::Failed),
    ] {
        let call = json!({"status": "failed", "error_message": error});
        assert_eq!(progress(call), Some(ended(ending, None, error)));
    }
    assert_eq!(
        synthflow.progress("call-1", &answer(200, r#"{"response": {"calls": []}}"#)),
        None
    );
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["response", "call_id", "status", "calls", "detail", "phone_number_to", "phone_number_from", "start_time", "error_message"]),
    ) {
        is_sound(&synthflow(), &answer);
    }
}
