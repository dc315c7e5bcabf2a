#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of values read better"
)]

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::hmac;
use ringdown_domain::dial::Ending;
use serde_json::{Value, json};

use super::*;
use crate::testing::*;
use crate::{Found, Progress, Provider, Rejected};

const URL: &str = "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls";
const ANSWER: &str = "https://agent.example/twiml";

fn fields() -> Value {
    json!({"account_sid": "AC1", "url": ANSWER, "from_number": "+14155550111"})
}

fn made(more: Value) -> Result<Twilio, InvalidSettings> {
    Twilio::new(settings(with(fields(), &more), &["twilio_auth_token"]))
}

fn twilio() -> Twilio {
    made(json!({})).unwrap()
}

#[test]
fn a_call_is_asked_for_as_twilio_documents_it() {
    let request = twilio().request(&order()).unwrap();
    assert_eq!(line(&request), format!("POST {URL}.json"));
    let basic = format!("Basic {}", STANDARD.encode(format!("AC1:{SECRET}")));
    assert_eq!(header(&request, "authorization"), basic);
    let callback = "https://ringdown.example/callbacks/1?run_id=42&team=acme&attempt_id=attempt-7";
    let url = format!("{ANSWER}?X-Trace=t1&name=Ada+%26+Bo&seats=2&tags=%5B%22a%22%5D&vip=true");
    let expected = [
        ("To", "+14155550123"),
        ("From", "+14155550111"),
        ("Url", &url),
        ("Timeout", "35"),
        ("StatusCallback", callback),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
    ];
    let sent = form(&request);
    let sent: Vec<_> = sent.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(sent, expected);
}

#[test]
fn the_call_says_what_the_settings_say() {
    let mut order = bare_order();
    for (more, name, value) in [
        (json!({"base_url": "http://127.0.0.1:9/x/"}), "Url", ANSWER),
        (
            json!({"url": null, "twiml": "<Response/>"}),
            "Twiml",
            "<Response/>",
        ),
        (
            json!({"url": null, "application_sid": "AP1"}),
            "ApplicationSid",
            "AP1",
        ),
    ] {
        let request = made(more).unwrap().request(&order).unwrap();
        assert_eq!(form(&request)[2], (name.to_owned(), value.to_owned()));
    }
    let elsewhere = made(json!({"base_url": "http://127.0.0.1:9/x/"})).unwrap();
    let url = elsewhere.request(&order).unwrap().url;
    assert_eq!(
        url,
        "http://127.0.0.1:9/x/2010-04-01/Accounts/AC1/Calls.json"
    );

    order.callback = testing_callback();
    let application = made(json!({"url": null, "application_sid": "AP1"})).unwrap();
    assert_eq!(form(&application.request(&order).unwrap()).len(), 4);
    order.variables = crate::testing::order().variables;
    let unfit = application.request(&order).unwrap_err();
    assert!(unfit.0.contains("give url"), "{unfit}");

    let agents = made(json!({"from_number": null})).unwrap();
    assert_eq!(agents.caller_id(), None);
    let request = agents.request(&crate::testing::order()).unwrap();
    assert_eq!(form(&request)[1].1, "+14155550100");
    let unfit = agents.request(&bare_order()).unwrap_err();
    assert!(unfit.0.contains("from_number"), "{unfit}");
}

fn testing_callback() -> Option<url::Url> {
    order().callback
}

#[test]
fn a_call_rings_no_longer_than_its_window() {
    let mut order = order();
    for (seconds, timeout) in [(6, "1"), (604, "599"), (100_000, "600")] {
        order.ring = Duration::from_secs(seconds);
        let request = twilio().request(&order).unwrap();
        assert_eq!(
            form(&request)[3],
            ("Timeout".to_owned(), timeout.to_owned())
        );
    }
    order.ring = Duration::from_millis(5999);
    let unfit = twilio().request(&order).unwrap_err();
    assert!(unfit.0.contains("at least"), "{unfit}");
}

#[test]
fn settings_that_no_account_has_are_refused_by_field() {
    for (more, field) in [
        (json!({"account_sid": null}), "account_sid"),
        (json!({"account_sid": "A:1"}), "account_sid"),
        (json!({"url": null}), "url"),
        (json!({"twiml": "<Response/>"}), "url"),
        (json!({"application_sid": "AP1"}), "url"),
        (json!({"url": "ftp://x"}), "url"),
        (json!({"from_number": "123"}), "from_number"),
        (json!({"base_url": "x"}), "base_url"),
        (json!({"region": "au1"}), "region"),
    ] {
        assert_eq!(made(more).unwrap_err().field, field);
    }
    let error = Twilio::new(settings(fields(), &[])).unwrap_err();
    assert_eq!(error.field, "twilio_auth_token");
}

#[test]
fn answers_mean_what_twilio_documents() {
    let refusal = |code: i64, said: &str| json!({"code": code, "message": said, "status": 400});
    outcomes(
        &twilio(),
        &[
            (
                201,
                json!({"sid": "CA1", "status": "queued"}),
                "placed",
                "CA1",
            ),
            (
                200,
                json!({"sid": "CA1", "status": "queued"}),
                "placed",
                "CA1",
            ),
            (
                201,
                json!({"status": "queued"}),
                "ambiguous",
                "names no call",
            ),
            (201, json!({"sid": "C A"}), "ambiguous", "names no call"),
            (429, refusal(20429, "Too many"), "later", "Too many"),
            (
                429,
                refusal(10004, "Concurrency"),
                "later",
                "limit of concurrent calls",
            ),
            (
                400,
                refusal(10004, "Concurrency"),
                "later",
                "limit of concurrent calls",
            ),
            (429, refusal(22005, "Full"), "never", "queue is full"),
            (
                400,
                refusal(21210, "Not verified"),
                "never",
                "verify the caller ID",
            ),
            (400, refusal(21212, "Invalid From"), "never", "from_number"),
            (400, refusal(21211, "Invalid To"), "never", "number to call"),
            (
                400,
                refusal(21214, "Unreachable"),
                "never",
                "number to call",
            ),
            (
                400,
                refusal(21215, "Geo"),
                "never",
                "geographic permissions",
            ),
            (
                400,
                refusal(13227, "Geo"),
                "never",
                "geographic permissions",
            ),
            (400, refusal(21219, "Trial"), "never", "upgrade the trial"),
            (400, refusal(573002, "Trial"), "never", "upgrade the trial"),
            (400, refusal(573005, "Trial"), "never", "upgrade the trial"),
            (400, refusal(14111, "Trial"), "never", "upgrade the trial"),
            (400, refusal(21208, "Timeout"), "never", "report it"),
            (
                400,
                refusal(21205, "Url is bad"),
                "never",
                "Url is bad; correct",
            ),
            (
                401,
                refusal(20003, "Authenticate"),
                "never",
                "twilio_auth_token",
            ),
            (403, refusal(20005, "Suspended"), "never", "permissions"),
            (404, refusal(20404, "Not found"), "never", "account_sid"),
            (405, json!({}), "never", "base_url"),
            (415, json!({}), "never", "base_url"),
            (
                429,
                json!({"message": "slow down"}),
                "ambiguous",
                "slow down",
            ),
            (408, json!({}), "ambiguous", "408"),
            (409, json!({}), "ambiguous", "409"),
            (302, json!({}), "ambiguous", "302"),
            (500, refusal(20500, "Internal"), "ambiguous", "Internal"),
            (500, refusal(20429, "Too many"), "ambiguous", "Too many"),
            (503, json!("<h1>"), "ambiguous", "503"),
        ],
    );
    let asked = answer(429, refusal(20429, "Too many"));
    waits(&twilio(), asked, "retry-after");
    let mut cut = answer(201, json!({"sid": "CA1"}));
    cut.cut = Some(ringdown_egress::Cut::TimedOut);
    let outcome = format!("{:?}", twilio().outcome(&order(), &cut));
    assert!(
        outcome.contains("Ambiguous") && outcome.contains("in time"),
        "{outcome}"
    );
}

#[test]
fn a_lost_call_is_found_by_its_numbers_and_time() {
    let twilio = twilio();
    let request = twilio.look_up(&order(), ASKED_AT).unwrap();
    let query = "To=%2B14155550123&From=%2B14155550111&PageSize=50";
    assert_eq!(line(&request), format!("GET {URL}.json?{query}"));
    let call = |sid: &str, more: Value| {
        with(
            json!({"sid": sid, "to": "+14155550123", "from": "+14155550111",
                "date_created": "Sat, 28 Nov 2026 11:48:30 +0000"}),
            &more,
        )
    };
    let found =
        |calls: Value| twilio.found(&order(), ASKED_AT, &answer(200, json!({"calls": calls})));
    let one = call("CA1", json!({}));
    let earlier = call(
        "CA0",
        json!({"date_created": "Sat, 28 Nov 2026 11:48:29 +0000"}),
    );
    let other = call("CA3", json!({"from": "+14155550199"}));
    let provider_id = "CA1".to_owned();
    assert_eq!(
        found(json!([one, earlier, other])),
        Found::Call { provider_id }
    );
    assert_eq!(found(json!([one, call("CA2", json!({}))])), Found::Several);
    assert_eq!(found(json!([earlier, other])), Found::Nothing);
    for bad in [
        call("", json!({})),
        call("CA2", json!({"date_created": null})),
    ] {
        assert!(matches!(found(json!([bad])), Found::Unreadable(_)));
    }
    for bad in [answer(200, "{}"), answer(200, "x"), answer(401, "{}")] {
        let found = twilio.found(&order(), ASKED_AT, &bad);
        assert!(matches!(found, Found::Unreadable(_)));
    }
}

#[test]
fn a_call_is_followed_and_called_off() {
    let twilio = twilio();
    let request = twilio.status("CA1").unwrap();
    assert_eq!(line(&request), format!("GET {URL}/CA1.json"));
    for (status, expected) in [
        ("queued", Some(Progress::Queued)),
        ("initiated", Some(Progress::Ringing)),
        ("ringing", Some(Progress::Ringing)),
        ("in-progress", Some(Progress::Answered)),
        (
            "completed",
            Some(ended(Ending::Completed, None, "completed")),
        ),
        ("busy", Some(ended(Ending::Busy, None, "busy"))),
        (
            "no-answer",
            Some(ended(Ending::NoAnswer, None, "no-answer")),
        ),
        ("failed", Some(ended(Ending::Failed, None, "failed"))),
        ("canceled", Some(ended(Ending::Cancelled, None, "canceled"))),
        ("else", None),
    ] {
        let progress = twilio.progress("call-1", &answer(200, json!({"status": status})));
        assert_eq!(progress, expected, "{status}");
    }
    assert_eq!(
        twilio.progress("call-1", &answer(404, json!({"status": "busy"}))),
        None
    );
    let request = twilio.cancel("CA1").unwrap();
    assert_eq!(line(&request), format!("POST {URL}/CA1.json"));
    assert_eq!(
        form(&request),
        [("Status".to_owned(), "canceled".to_owned())]
    );
}

fn signed(key: &str, url: &str, sorted: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, format!("{url}{sorted}").as_bytes()))
}

fn sent(fields: &[(&str, &str)]) -> Sent {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let mut sent = Sent::new(body.finish(), Vec::new());
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let sorted: String = sorted.iter().map(|(k, v)| format!("{k}{v}")).collect();
    sent.headers = vec![("X-Twilio-Signature", signed(SECRET, &sent.url, &sorted))];
    sent
}

const RINGING: &[(&str, &str)] = &[
    ("CallStatus", "ringing"),
    ("CallSid", "CA1"),
    ("Timestamp", "Sat, 28 Nov 2026 11:48:29 +0000"),
];

#[test]
fn the_documented_example_is_signed_as_documented() {
    // Twilio, Validating requests, the example of the algorithm.
    let sorted =
        "CallSidCA1234567890ABCDECaller+14158675309Digits1234From+14158675309To+18005551212";
    let signature = signed(
        "12345",
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        sorted,
    );
    assert_eq!(signature, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
}

#[test]
fn news_is_believed_if_it_is_signed() {
    let twilio = twilio();
    let ringing = Ok(news("CA1", Progress::Ringing));
    assert_eq!(sent(RINGING).arrives(&twilio), ringing);
    let mut ported = sent(RINGING);
    ported.url = ported
        .url
        .replace("ringdown.example/", "ringdown.example:443/");
    assert_eq!(ported.arrives(&twilio), ringing);

    for (status, code, ending) in [
        ("busy", "486", Ending::Busy),
        ("busy", "603", Ending::Rejected),
        ("no-answer", "480", Ending::NoAnswer),
        ("no-answer", "487", Ending::NoAnswer),
        ("failed", "403", Ending::Rejected),
        ("failed", "404", Ending::InvalidNumber),
        ("failed", "503", Ending::Failed),
        ("completed", "200", Ending::Completed),
    ] {
        let fields = [
            ("CallSid", "CA1"),
            ("CallStatus", status),
            ("SipResponseCode", code),
        ];
        let expected = ended(ending, code.parse().ok(), status);
        assert_eq!(sent(&fields).arrives(&twilio), Ok(news("CA1", expected)));
    }
    let nothing = sent(&[("CallSid", "CA1"), ("AnsweredBy", "human")]).arrives(&twilio);
    assert_eq!(nothing, Ok(Vec::new()));

    let mut get = Sent::new("", Vec::new());
    get.method = "GET";
    get.url += "&CallSid=CA1&CallStatus=ringing";
    get.headers = vec![("X-Twilio-Signature", signed(SECRET, &get.url, ""))];
    assert_eq!(get.arrives(&twilio), ringing);
}

#[test]
fn news_of_others_is_refused() {
    let twilio = twilio();
    let mut tampered = sent(RINGING);
    tampered.body = tampered.body.replace("ringing", "completed");
    assert_eq!(tampered.arrives(&twilio), Err(Rejected::Forged));
    let mut tampered = sent(RINGING);
    tampered.url = tampered.url.replace("run_id=42", "run_id=43");
    assert_eq!(tampered.arrives(&twilio), Err(Rejected::Forged));
    for signature in ["", "AAAA", "not base64!", &signed("other", "x", "")] {
        let mut tampered = sent(RINGING);
        tampered.headers = vec![("X-Twilio-Signature", signature.to_owned())];
        assert_eq!(tampered.arrives(&twilio), Err(Rejected::Forged));
    }
    let mut unsigned = sent(RINGING);
    unsigned.headers.clear();
    let missing = Err(Rejected::Unsigned("X-Twilio-Signature"));
    assert_eq!(unsigned.arrives(&twilio), missing);
    let mut twice = sent(RINGING);
    twice.headers.push(twice.headers[0].clone());
    assert_eq!(twice.arrives(&twilio), missing);
    let mut late = sent(RINGING);
    late.at = ASKED_AT.plus(Duration::from_secs(301));
    assert_eq!(late.arrives(&twilio), Err(Rejected::Stale { seconds: 302 }));
}

#[test]
fn a_shared_key_signs_what_says_so() {
    let shared = "shared-key-of-tests";
    let secrets = [("twilio_auth_token", SECRET), ("twilio_shared_key", shared)];
    let both = Twilio::new(settings_with(fields(), &secrets)).unwrap();
    let mut sent = sent(RINGING);
    let by_token = sent.headers.clone();
    sent.headers = vec![
        ("X-Twilio-Signature", {
            let key = hmac::Key::new(hmac::HMAC_SHA256, shared.as_bytes());
            let mut sorted = RINGING.to_vec();
            sorted.sort_unstable();
            let sorted: String = sorted.iter().map(|(k, v)| format!("{k}{v}")).collect();
            let message = format!("{}{sorted}", sent.url);
            STANDARD.encode(hmac::sign(&key, message.as_bytes()))
        }),
        (
            "X-Twilio-Webhooks-Signature-Settings",
            "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256".to_owned(),
        ),
    ];
    assert_eq!(sent.arrives(&both), Ok(news("CA1", Progress::Ringing)));
    // Not by the token, and not without the key.
    assert_eq!(sent.arrives(&twilio()), Err(Rejected::NotExpected));
    sent.headers[0] = by_token[0].clone();
    assert_eq!(sent.arrives(&both), Err(Rejected::Forged));
    sent.headers.pop();
    assert_eq!(sent.arrives(&both), Ok(news("CA1", Progress::Ringing)));
}

#[test]
fn signed_rubbish_is_unreadable() {
    for fields in [
        &[][..],
        &[("CallStatus", "ringing")],
        &[("CallSid", "C A"), ("CallStatus", "ringing")],
        &[("CallSid", "CA1"), ("CallStatus", "sleeping")],
        &[
            ("CallSid", "CA1"),
            ("CallStatus", "busy"),
            ("Timestamp", "now"),
        ],
    ] {
        let told = sent(fields).arrives(&twilio());
        assert!(matches!(told, Err(Rejected::Unreadable(_))), "{told:?}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_misread(
        answer in answers(&["sid", "code", "message", "status", "calls", "to", "from", "date_created", "sip_result_code"]),
    ) {
        is_sound(&twilio(), &answer);
    }

    #[test]
    fn no_signed_callback_panics(fields in proptest::collection::vec(("[A-Z][A-Za-z]{0,8}", ".{0,12}"), 0..5)) {
        let fields: Vec<_> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let _ = sent(&fields).arrives(&twilio());
    }
}
