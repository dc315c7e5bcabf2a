#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use std::time::Duration;

use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::testing::*;

const ACCOUNT: &str = "https://api.plivo.com/v1/Account/MA1";

fn fields() -> Value {
    json!({"auth_id": "MA1", "answer_url": "https://agent.example/xml?a=1"})
}

fn made(more: Value) -> Result<Plivo, InvalidSettings> {
    Plivo::new(settings(with(fields(), &more), &["plivo_auth_token"]))
}

/// The call of the request r-1.
const ASKED_FOR: &str = "r-1@14155550100-14155550123-1795866510";

fn plivo() -> Plivo {
    made(json!({})).unwrap()
}

#[test]
fn a_call_is_asked_for_as_plivo_documents_it() {
    let request = plivo().request(&order()).unwrap();
    assert_eq!(line(&request), format!("POST {ACCOUNT}/Call/"));
    let basic = format!("Basic {}", STANDARD.encode(format!("MA1:{SECRET}")));
    assert_eq!(header(&request, "authorization"), basic);
    let callback = "https://ringdown.example/callbacks/1?run_id=42&team=acme&attempt_id=attempt-7&asked_at=1795866510";
    assert_eq!(
        body(&request),
        json!({
            "from": "14155550100",
            "to": "14155550123",
            "answer_url": "https://agent.example/xml?a=1&X-Trace=t1&name=Ada+%26+Bo&seats=2&tags=%5B%22a%22%5D&vip=true",
            "answer_method": "POST",
            "ring_timeout": 40,
            "ring_url": callback,
            "ring_method": "POST",
            "hangup_url": callback,
            "hangup_method": "POST",
        })
    );
}

#[test]
fn what_plivo_cannot_do_is_said_before_it_is_asked() {
    let unfit = plivo().request(&bare_order()).unwrap_err();
    assert!(unfit.0.contains("from_number"), "{unfit}");
    let itself = made(json!({"from_number": "+14155550123"})).unwrap();
    let unfit = itself.request(&order()).unwrap_err();
    assert!(unfit.0.contains("from itself"), "{unfit}");
    let mut order = order();
    order.callback = None;
    order.ring = Duration::from_millis(999);
    assert!(plivo().request(&order).unwrap_err().0.contains("at least"));
    order.ring = Duration::from_secs(500);
    let sent = body(&plivo().request(&order).unwrap());
    assert_eq!(
        (&sent["ring_timeout"], sent.get("hangup_url")),
        (&json!(120), None)
    );
    for (more, field) in [
        (json!({"auth_id": null}), "auth_id"),
        (json!({"auth_id": "a/b"}), "auth_id"),
        (json!({"answer_url": null}), "answer_url"),
        (json!({"to": "x"}), "to"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let error = Plivo::new(settings(fields(), &[])).unwrap_err();
    assert_eq!(error.field, "plivo_auth_token");
    let elsewhere = made(json!({"base_url": "http://127.0.0.1:9"})).unwrap();
    let url = elsewhere.request(&order).unwrap().url;
    assert_eq!(url, "http://127.0.0.1:9/v1/Account/MA1/Call/");
}

#[test]
fn answers_mean_what_plivo_documents() {
    let accepted = json!({"message": "call fired", "api_id": "a", "request_uuid": "r-1"});
    let refusal = json!({"api_id": "a", "error": "said so"});
    outcomes(
        &plivo(),
        &[
            (201, accepted.clone(), "placed", ASKED_FOR),
            (200, accepted, "placed", ASKED_FOR),
            (
                201,
                json!({"message": "call fired", "request_uuid": ["r-1"]}),
                "ambiguous",
                "names no call",
            ),
            (202, json!({}), "ambiguous", "names no call"),
            (400, refusal.clone(), "never", "said so; correct"),
            (401, refusal.clone(), "never", "plivo_auth_token"),
            (403, refusal.clone(), "never", "geographic permissions"),
            (404, refusal.clone(), "never", "auth_id"),
            (405, refusal.clone(), "never", "base_url"),
            (429, refusal.clone(), "later", "said so"),
            (402, refusal.clone(), "ambiguous", "402"),
            (301, refusal.clone(), "ambiguous", "301"),
            (500, refusal, "ambiguous", "said so"),
        ],
    );
    waits(&plivo(), answer(429, "{}"), "retry-after");
}

#[test]
fn a_lost_call_is_found_by_its_numbers_and_time() {
    let plivo = plivo();
    let request = plivo.look_up(&order(), ASKED_AT).unwrap();
    let query = "call_direction=outbound&from_number=14155550100&to_number=14155550123&limit=20";
    assert_eq!(line(&request), format!("GET {ACCOUNT}/Call/?{query}"));
    let call = |uuid: &str, more: Value| {
        with(
            json!({"call_uuid": uuid, "to_number": "14155550123", "from_number": "+14155550100",
                "initiation_time": "2026-11-28 17:18:31+05:30"}),
            &more,
        )
    };
    let found =
        |calls: Value| plivo.found(&order(), ASKED_AT, &answer(200, json!({"objects": calls})));
    let one = call("u-1", json!({}));
    let earlier = call(
        "u-0",
        json!({"initiation_time": "2026-11-28 11:48:29+00:00"}),
    );
    let other = call("u-3", json!({"to_number": "14155550999"}));
    let provider_id = "u-1".to_owned();
    assert_eq!(
        found(json!([one, earlier, other])),
        Found::Call { provider_id }
    );
    assert_eq!(found(json!([one, call("u-2", json!({}))])), Found::Several);
    assert_eq!(found(json!([earlier])), Found::Nothing);
    let timeless = call("u-1", json!({"initiation_time": null}));
    assert!(matches!(found(json!([timeless])), Found::Unreadable(_)));
    let bad = plivo.found(&order(), ASKED_AT, &answer(200, "[]"));
    assert!(matches!(bad, Found::Unreadable(_)));
}

const ENDINGS: [(&str, Ending); 13] = [
    ("0", Ending::Failed),
    ("1000", Ending::Cancelled),
    ("1010", Ending::NeverDialed),
    ("1020", Ending::NeverDialed),
    ("2000", Ending::InvalidNumber),
    ("2010", Ending::Failed),
    ("2030", Ending::NeverDialed),
    ("2040", Ending::NeverDialed),
    ("3000", Ending::NoAnswer),
    ("3010", Ending::Busy),
    ("3020", Ending::Rejected),
    ("4000", Ending::Completed),
    ("4010", Ending::Completed),
];

#[test]
fn a_call_is_followed_and_called_off() {
    let plivo = plivo();
    let request = plivo.status("u-1").unwrap();
    assert_eq!(line(&request), format!("GET {ACCOUNT}/Call/u-1/"));
    assert_eq!(
        line(&plivo.cancel("u-1").unwrap()),
        format!("DELETE {ACCOUNT}/Call/u-1/")
    );
    for (cause, ending) in ENDINGS {
        let number: i64 = cause.parse().unwrap();
        let call = json!({"hangup_cause_code": number, "hangup_cause_name": "So"});
        assert_eq!(
            plivo.progress("call-1", &answer(200, call)),
            Some(ended(ending, None, "So"))
        );
    }
    assert_eq!(plivo.progress("call-1", &answer(200, "{}")), None);
    assert_eq!(
        plivo.progress("call-1", &answer(404, r#"{"hangup_cause_code": 4000}"#)),
        None
    );
}

#[test]
fn a_call_is_found_by_what_it_was_asked_for_with() {
    let plivo = plivo();
    let request = plivo.status(ASKED_FOR).unwrap();
    let query = "call_direction=outbound&from_number=14155550100&to_number=14155550123\
                 &end_time__gte=2026-11-28+11%3A48%3A30&limit=20";
    assert_eq!(line(&request), format!("GET {ACCOUNT}/Call/?{query}"));
    let request = plivo.cancel(ASKED_FOR).unwrap();
    assert_eq!(line(&request), format!("DELETE {ACCOUNT}/Request/r-1/"));

    let record = |uuid: &str, code: u16, more: Value| {
        with(
            json!({"call_uuid": uuid, "to_number": "14155550123", "from_number": "+14155550100",
                "initiation_time": "2026-11-28 17:18:30+05:30", "hangup_cause_code": code,
                "hangup_cause_name": "So"}),
            &more,
        )
    };
    let stands =
        |records: Value| plivo.progress(ASKED_FOR, &answer(200, json!({"objects": records})));
    let busy = Some(ended(Ending::Busy, None, "So"));
    let ours = record("u-1", 3010, json!({}));
    let earlier = record(
        "u-0",
        4000,
        json!({"initiation_time": "2026-11-28 11:48:29+00:00"}),
    );
    let other = record("u-2", 4000, json!({"from_number": "14155550101"}));
    assert_eq!(stands(json!([ours, earlier, other])), busy);
    // Of two that can be it, the one that has the request's UUID.
    let twin = record("u-3", 4000, json!({}));
    assert_eq!(stands(json!([ours, twin])), None);
    let named = record("r-1", 3010, json!({}));
    assert_eq!(stands(json!([twin, named])), busy);
    assert_eq!(stands(json!([earlier, other])), None);
    assert_eq!(stands(json!([])), None);
    let refused = answer(401, json!({"objects": [ours]}));
    assert_eq!(plivo.progress(ASKED_FOR, &refused), None);
    // What is no moment is a part of a UUID.
    let request = plivo.status("r-1@14155550100-14155550123-x").unwrap();
    assert!(request.url.contains("/Call/r-1@"), "{}", request.url);
}

fn signed(message: &str) -> String {
    let key = hmac::Key::new(HMAC_SHA256, SECRET.as_bytes());
    STANDARD.encode(hmac::sign(&key, message.as_bytes()))
}

/// The fields have to be sorted already.
fn sent(fields: &[(&str, &str)]) -> Sent {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields.iter().rev());
    let mut sent = Sent::new(body.finish(), Vec::new());
    let fields: String = fields.iter().map(|(k, v)| format!("{k}{v}")).collect();
    let dot = if fields.is_empty() { "" } else { "." };
    let query = "attempt_id=attempt-7&run_id=42&team=acme";
    let message = format!("https://ringdown.example/callbacks/1?{query}{dot}{fields}.12345");
    sent.headers = vec![
        (SIGNATURE, format!("AAAA, {}", signed(&message))),
        (NONCE, "12345".to_owned()),
    ];
    sent
}

const RINGING: &[(&str, &str)] = &[
    ("CallStatus", "ringing"),
    ("CallUUID", "u-1"),
    ("Event", "Ring"),
    ("RequestUUID", "r-1"),
];

#[test]
fn news_is_believed_if_it_is_signed() {
    let plivo = plivo();
    assert_eq!(
        sent(RINGING).arrives(&plivo),
        Ok(news("r-1", Progress::Ringing))
    );
    let of_request = [
        ("CallStatus", "ringing"),
        ("From", "+14155550100"),
        ("RequestUUID", "r-1"),
        ("To", "14155550123"),
    ];
    let mut whole = sent(&of_request);
    whole.url += "&asked_at=1795866510";
    let query = "asked_at=1795866510&attempt_id=attempt-7&run_id=42&team=acme";
    let fields: String = of_request.iter().map(|(k, v)| format!("{k}{v}")).collect();
    let message = format!("https://ringdown.example/callbacks/1?{query}.{fields}.12345");
    whole.headers[0].1 = signed(&message);
    let ringing = Ok(news(ASKED_FOR, Progress::Ringing));
    assert_eq!(whole.arrives(&plivo), ringing);
    let up = [("CallStatus", "in-progress"), ("CallUUID", "u-1")];
    assert_eq!(
        sent(&up).arrives(&plivo),
        Ok(news("u-1", Progress::Answered))
    );
    let other = [("Event", "Redirect"), ("RequestUUID", "r-1")];
    assert_eq!(sent(&other).arrives(&plivo), Ok(Vec::new()));
    for (cause, ending) in ENDINGS {
        let fields = [
            ("Event", "Hangup"),
            ("HangupCauseCode", cause),
            ("HangupCauseName", "So"),
            ("RequestUUID", "r-1"),
        ];
        let expected = Ok(news("r-1", ended(ending, None, "So")));
        assert_eq!(sent(&fields).arrives(&plivo), expected, "{cause}");
    }
    for (status, ending) in [
        ("completed", Ending::Completed),
        ("busy", Ending::Busy),
        ("no-answer", Ending::NoAnswer),
        ("timeout", Ending::NoAnswer),
        ("cancel", Ending::Cancelled),
        ("failed", Ending::Failed),
    ] {
        let fields = [
            ("CallStatus", status),
            ("Event", "Hangup"),
            ("RequestUUID", "r-1"),
        ];
        let expected = Ok(news("r-1", ended(ending, None, status)));
        assert_eq!(sent(&fields).arrives(&plivo), expected, "{status}");
    }
    let mut get = Sent::new("", Vec::new());
    get.method = "GET";
    get.url += "&RequestUUID=r-1&CallStatus=ringing";
    let query = "CallStatus=ringing&RequestUUID=r-1&attempt_id=attempt-7&run_id=42&team=acme";
    let message = format!("https://ringdown.example/callbacks/1?{query}.n");
    get.headers = vec![(SIGNATURE, signed(&message)), (NONCE, "n".to_owned())];
    assert_eq!(get.arrives(&plivo), Ok(news("r-1", Progress::Ringing)));
}

#[test]
fn news_of_others_is_refused() {
    let plivo = plivo();
    let mut tampered = sent(RINGING);
    tampered.body = tampered.body.replace("r-1", "r-2");
    assert_eq!(tampered.arrives(&plivo), Err(Rejected::Forged));
    let mut tampered = sent(RINGING);
    tampered.url = tampered.url.replace("run_id=42", "run_id=43");
    assert_eq!(tampered.arrives(&plivo), Err(Rejected::Forged));
    for (at, value) in [(0, ""), (0, "AAAA"), (0, "not base64!"), (1, "54321")] {
        let mut tampered = sent(RINGING);
        tampered.headers[at].1 = value.to_owned();
        assert_eq!(tampered.arrives(&plivo), Err(Rejected::Forged));
    }
    for name in [SIGNATURE, NONCE] {
        let mut unsigned = sent(RINGING);
        unsigned.headers.retain(|(other, _)| *other != name);
        assert_eq!(unsigned.arrives(&plivo), Err(Rejected::Unsigned(name)));
    }
}

#[test]
fn signed_rubbish_is_unreadable() {
    for fields in [
        &[][..],
        &[("CallStatus", "ringing")],
        &[("CallStatus", "ringing"), ("CallUUID", "u 1")],
        &[("CallStatus", "sleeping"), ("CallUUID", "u-1")],
    ] {
        let told = sent(fields).arrives(&plivo());
        assert!(matches!(told, Err(Rejected::Unreadable(_))), "{told:?}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["request_uuid", "message", "error", "objects", "call_uuid", "to_number", "from_number", "initiation_time", "hangup_cause_code", "hangup_cause_name"]),
    ) {
        is_sound(&plivo(), &answer);
    }

    #[test]
    fn no_signed_callback_panics(fields in proptest::collection::btree_map("[A-Z][A-Za-z]{0,8}", ".{0,12}", 0..5)) {
        let fields: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let told = sent(&fields).arrives(&plivo());
        prop_assert!(told != Err(Rejected::Forged), "{:?}", told);
    }
}
