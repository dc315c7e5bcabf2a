#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use proptest::prelude::*;

use super::*;
use crate::testing::{self, *};
use crate::{Found, Rejected};

fn made(more: Value) -> Result<TriggerUrl, InvalidSettings> {
    let fields = json!({"trigger_url": "https://agent.example/call?k=1"});
    TriggerUrl::new(settings(with(fields, &more), &["trigger_secret"]))
}

fn trigger() -> TriggerUrl {
    made(json!({})).unwrap()
}

#[test]
fn the_receiver_gets_all_it_needs_to_call_once_and_in_time() {
    let request = trigger().request(&order()).unwrap();
    assert_eq!(line(&request), "POST https://agent.example/call?k=1");
    assert_eq!(header(&request, "x-cekura-secret"), testing::SECRET);
    assert!(request.headers["x-cekura-secret"].is_sensitive());
    assert_eq!(header(&request, "idempotency-key"), "attempt-7");
    assert_eq!(request.timeout, Duration::from_secs(30));
    assert_eq!(
        body(&request),
        json!({
            "from_number": "+14155550100",
            "to_number": "+14155550123",
            "dynamic_variables": {"name": "Ada & Bo", "seats": 2, "vip": true, "tags": ["a"], "X-Trace": "t1"},
            "run_id": 42,
            "attempt_id": "attempt-7",
            "closes_at": "2026-11-28T11:49:11.300Z",
        })
    );
    let fields = json!({"trigger_url": "https://agent.example/call"});
    let open = TriggerUrl::new(settings(fields, &[])).unwrap();
    let request = open.request(&order()).unwrap();
    assert_eq!(header(&request, "x-cekura-secret"), "(none)");
    let unfit = open.request(&bare_order()).unwrap_err();
    assert!(unfit.0.contains("from_number"), "{unfit}");
}

#[test]
fn settings_are_refused_by_field() {
    for (more, field) in [
        (json!({"trigger_url": null}), "trigger_url"),
        (json!({"trigger_url": "ftp://agent.example"}), "trigger_url"),
        (
            json!({"trigger_url": "https://u:p@agent.example"}),
            "trigger_url",
        ),
        (json!({"deduplicates": "yes"}), "deduplicates"),
        (json!({"from_number": "1"}), "from_number"),
        (json!({"method": "GET"}), "method"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let secrets = [("trigger_secret".to_owned(), Secret::new("a\nb"))].into();
    let Value::Object(fields) = json!({"trigger_url": "https://agent.example"}) else {
        panic!()
    };
    let error = TriggerUrl::new(Settings::new(fields, secrets)).unwrap_err();
    assert_eq!(error.field, "trigger_secret");
}

#[test]
fn only_a_receiver_that_says_so_is_asked_twice() {
    assert_eq!(trigger().habits().repeatable_for, None);
    let declared = made(json!({"deduplicates": true})).unwrap();
    assert!(declared.habits().repeatable_for.is_some());
    assert_eq!(trigger().account(), "trigger_url https://agent.example");
}

#[test]
fn answers_mean_what_http_says() {
    let said = json!({"error": "said so"});
    outcomes(
        &trigger(),
        &[
            (
                200,
                json!({"success": true, "call_id": "c-1"}),
                "placed",
                "c-1",
            ),
            (202, json!({"call_id": 17}), "placed", "17"),
            (200, json!({"success": null}), "placed", "attempt-7"),
            (200, json!("OK"), "placed", "attempt-7"),
            (204, json!({}), "placed", "attempt-7"),
            (200, json!({"call_id": "c 1"}), "placed", "attempt-7"),
            (
                200,
                json!({"success": false, "message": "no line"}),
                "never",
                "no line",
            ),
            (
                200,
                json!({"success": "no"}),
                "ambiguous",
                "neither true nor false",
            ),
            (301, said.clone(), "never", "points to"),
            (307, said.clone(), "never", "points to"),
            (308, said.clone(), "never", "points to"),
            (302, said.clone(), "ambiguous", "302"),
            (303, said.clone(), "ambiguous", "303"),
            (400, said.clone(), "never", "said so"),
            (401, said.clone(), "never", "trigger_secret"),
            (403, said.clone(), "never", "trigger_secret"),
            (404, said.clone(), "never", "trigger_url"),
            (405, said.clone(), "never", "POST"),
            (410, said.clone(), "never", "trigger_url"),
            (411, said.clone(), "never", "expects"),
            (413, said.clone(), "never", "expects"),
            (415, said.clone(), "never", "application/json"),
            (422, said.clone(), "never", "said so"),
            (408, said.clone(), "ambiguous", "408"),
            (409, said.clone(), "ambiguous", "409"),
            (425, said.clone(), "ambiguous", "425"),
            (429, said.clone(), "ambiguous", "429"),
            (500, said.clone(), "ambiguous", "500"),
            (503, said, "ambiguous", "said so"),
        ],
    );
    let mut cut = answer(200, r#"{"succ"#);
    cut.cut = Some(ringdown_egress::Cut::TooLarge(6));
    let outcome = trigger().outcome(&order(), &cut);
    assert!(matches!(outcome, Outcome::Ambiguous { .. }), "{outcome:?}");
}

#[test]
fn there_is_nothing_to_look_up_follow_or_hear() {
    let trigger = trigger();
    assert!(trigger.look_up(&order(), ASKED_AT).is_none());
    assert_eq!(
        trigger.found(&order(), ASKED_AT, &answer(200, "[]")),
        Found::Nothing
    );
    assert!(trigger.status("c-1").is_none() && trigger.cancel("c-1").is_none());
    let told = Sent::new("{}", Vec::new()).arrives(&trigger);
    assert_eq!(told, Err(Rejected::NotExpected));
}

proptest! {
    #[test]
    fn no_answer_is_misread(answer in answers(&["success", "call_id", "message", "error"])) {
        is_sound(&trigger(), &answer);
    }
}
