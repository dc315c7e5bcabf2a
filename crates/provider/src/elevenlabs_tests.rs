use proptest::prelude::*;

use super::*;
use crate::testing::*;

const SECRETS: [&str; 2] = ["elevenlabs_api_key", "elevenlabs_webhook_secret"];

fn on(line: &str) -> ElevenLabs {
    let fields = json!({ "line": line, "agent_id": "agent_1", "phone_number_id": "phnum_1" });
    ElevenLabs::new(settings(fields, &SECRETS)).unwrap()
}

fn account() -> ElevenLabs {
    on("twilio")
}

fn conversation(status: &str, metadata: &Value) -> Value {
    json!({
        "agent_id": "agent_1", "conversation_id": "conv_1", "status": status, "metadata": metadata,
        "conversation_initiation_client_data": { "dynamic_variables": {
            "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7",
        } },
    })
}

#[test]
fn a_request_says_everything_once() {
    let expected = json!({
        "agent_id": "agent_1",
        "agent_phone_number_id": "phnum_1",
        "to_number": "+14155550123",
        "conversation_initiation_client_data": {
            "user_id": "attempt-7",
            "dynamic_variables": {
                "name": "Ada & Bo", "seats": 2, "vip": true, "tags": "[\"a\"]", "X-Trace": "t1",
                "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7",
                "ringdown_team": "acme",
            },
        },
        "telephony_call_config": { "ringing_timeout_secs": 40 },
    });
    for (line, path) in [("twilio", "twilio"), ("sip", "sip-trunk")] {
        let request = on(line).request(&order()).unwrap();
        let (line, body) = shown(&request);
        assert_eq!(
            line,
            format!("POST https://api.elevenlabs.io/v1/convai/{path}/outbound-call")
        );
        assert_eq!(request.headers["xi-api-key"], SECRET);
        assert!(request.headers["xi-api-key"].is_sensitive());
        assert_eq!(body, expected);
    }
    let mut late = order();
    late.ring = Duration::from_millis(900);
    let Unfit(reason) = account().request(&late).unwrap_err();
    assert!(reason.contains("left to ring"), "{reason}");
}

#[test]
fn settings_that_do_not_fit_are_told() {
    let fields = json!({ "line": "fax", "agent_id": "a", "phone_number_id": "p" });
    complains(ElevenLabs::new(settings(fields, &SECRETS)), "line");
    complains(ElevenLabs::new(settings(json!({}), &SECRETS)), "line");
    let fields = json!({ "line": "sip", "agent_id": "a" });
    complains(
        ElevenLabs::new(settings(fields.clone(), &SECRETS)),
        "phone_number_id",
    );
    complains(ElevenLabs::new(settings(fields, &[])), "elevenlabs_api_key");
}

#[test]
fn answers_become_outcomes() {
    let said = r#"{"detail":{"status":"invalid","message":"because"}}"#;
    let full = r#"{"detail":{"status":"too_many_concurrent_requests","message":"full"}}"#;
    let busy = r#"{"detail":{"status":"system_busy","message":"busy"}}"#;
    let listed = r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#;
    let twilio = r#"{"success":true,"message":"ok","conversation_id":"conv_1","callSid":"CA1"}"#;
    let sid = r#"{"success":true,"message":"ok","conversation_id":null,"callSid":"CA1"}"#;
    let sip = r#"{"success":true,"message":"ok","conversation_id":null,"sip_call_id":"SCL_1"}"#;
    let none = r#"{"success":true,"message":"ok","conversation_id":null,"callSid":null}"#;
    let failed = r#"{"success":false,"message":"no","conversation_id":null,"callSid":null}"#;
    let half = r#"{"success":false,"message":"no","conversation_id":"conv_1","callSid":null}"#;
    let dialed = r#"{"success":false,"message":"INVITE failed: sip status: 486: Busy Here"}"#;
    let table = [
        (200, twilio, "placed", "conv_1"),
        (200, sid, "placed", "CA1@attempt-7"),
        (200, sip, "placed", "SCL_1@attempt-7"),
        (200, none, "ambiguous", "names no call"),
        (200, failed, "never", "did not start the call: no;"),
        (200, half, "ambiguous", "did not start"),
        (200, dialed, "ambiguous", "486"),
        (200, "[]", "ambiguous", "names no call"),
        (200, "", "ambiguous", "no JSON"),
        (400, said, "never", "because; check agent_id"),
        (401, said, "never", "elevenlabs_api_key"),
        (403, said, "never", "because"),
        (404, said, "never", "because"),
        (422, listed, "never", "field required"),
        (429, full, "later", "full"),
        (429, busy, "later", "busy"),
        (429, said, "ambiguous", "because"),
        (429, "", "ambiguous", "429"),
        (500, said, "ambiguous", "because"),
        (503, "", "ambiguous", "503"),
    ];
    outcomes(&on("twilio"), &table);
    outcomes(&on("sip"), &table);
    waits(&on("sip"), answer(429, full), "retry-after");
}

#[test]
fn a_lost_call_is_found_by_its_attempt() {
    let account = account();
    let request = account.look_up(&order(), NOW).unwrap();
    assert_eq!(request.headers["xi-api-key"], SECRET);
    assert_eq!(
        shown(&request).0,
        "GET https://api.elevenlabs.io/v1/convai/conversations?agent_id=agent_1\
         &user_id=attempt-7&call_start_after_unix=1795866510&page_size=100"
    );
    let found = |calls: Value| {
        let body = json!({ "conversations": calls, "has_more": false });
        account.found(&order(), NOW, &answer(200, body))
    };
    let one = json!({ "agent_id": "agent_1", "conversation_id": "conv_1" });
    let other = json!({ "agent_id": "agent_2", "conversation_id": "conv_2" });
    let provider_id = "conv_1".to_owned();
    assert_eq!(found(json!([other, one])), Found::Call { provider_id });
    assert_eq!(found(json!([other, 1])), Found::Nothing);
    let again = json!({ "agent_id": "agent_1", "conversation_id": "conv_3" });
    assert_eq!(found(json!([one, again])), Found::Several);
    let nameless = found(json!([{ "agent_id": "agent_1" }]));
    assert!(matches!(nameless, Found::Unreadable(_)));
    for (status, body) in [(200, "[]"), (200, "x"), (401, r#"{"conversations":[]}"#)] {
        let found = account.found(&order(), NOW, &answer(status, body));
        assert!(matches!(found, Found::Unreadable(_)), "{found:?}");
    }
}

#[test]
fn a_call_is_polled() {
    let account = account();
    assert_eq!(
        shown(&account.status("conv_1").unwrap()).0,
        "GET https://api.elevenlabs.io/v1/convai/conversations/conv_1"
    );
    assert!(account.cancel("conv_1").is_none());
    let progress = |status: &str, result: Value| {
        let metadata = json!({ "phone_call": { "call_result": result } });
        account.progress("call-1", &answer(200, conversation(status, &metadata)))
    };
    let none = Value::Null;
    assert_eq!(progress("initiated", none.clone()), Some(Progress::Queued));
    assert_eq!(
        progress("in-progress", none.clone()),
        Some(Progress::Answered)
    );
    assert_eq!(progress("new", none.clone()), None);
    for (status, result, ending) in [
        ("processing", "", Ending::Completed),
        ("done", "", Ending::Completed),
        ("done", "answered", Ending::Completed),
        ("done", "voicemail", Ending::Completed),
        ("done", "busy", Ending::Busy),
        ("failed", "", Ending::Failed),
        ("failed", "busy", Ending::Busy),
        ("failed", "no_answer", Ending::NoAnswer),
        ("failed", "failed", Ending::Failed),
    ] {
        let expected = Some(ended(ending, None, result));
        assert_eq!(
            progress(status, result.into()),
            expected,
            "{status} {result}"
        );
    }
    let metadata = json!({ "termination_reason": "Client hung up", "error": { "reason": "e" } });
    let body = conversation("done", &metadata);
    let expected = Some(ended(Ending::Completed, None, "Client hung up"));
    assert_eq!(account.progress("call-1", &answer(200, &body)), expected);
    assert_eq!(account.progress("call-1", &answer(404, &body)), None);
}

#[test]
fn a_call_without_a_conversation_is_looked_for_by_its_attempt() {
    let account = account();
    for call in ["CA1@attempt-7", "a84b4c76e66710@192.0.2.4@attempt-7"] {
        assert_eq!(
            shown(&account.status(call).unwrap()).0,
            "GET https://api.elevenlabs.io/v1/convai/conversations?agent_id=agent_1\
             &user_id=attempt-7&page_size=100"
        );
        let stands = |status: u16, calls: Value| {
            let body = json!({ "conversations": calls, "has_more": false });
            account.progress(call, &answer(status, body))
        };
        let of = |agent: &str, id: &str, status: &str| json!({ "agent_id": agent, "conversation_id": id, "status": status });
        let ours = of("agent_1", "conv_1", "in-progress");
        let other = of("agent_2", "conv_2", "failed");
        assert_eq!(stands(200, json!([other, ours])), Some(Progress::Answered));
        let failed = of("agent_1", "conv_1", "failed");
        let expected = Some(ended(Ending::Failed, None, ""));
        assert_eq!(stands(200, json!([failed])), expected);
        let second = of("agent_1", "conv_3", "done");
        assert_eq!(stands(200, json!([ours, second])), None);
        assert_eq!(stands(200, json!([other])), None);
        assert_eq!(stands(403, json!([ours])), None);
        // A conversation is not what was asked for.
        assert_eq!(account.progress(call, &answer(200, ours)), None);
    }
}

fn sign(time: i64, body: &str) -> String {
    let time = time.to_string();
    let tag = sign_hex(SECRET, &[&time, ".", body]);
    format!("t={time},v0={tag}")
}

#[test]
fn callbacks_are_checked_then_read() {
    let account = account();
    let send = |body: &str, signature: &str| {
        let headers = headers(&[("elevenlabs-signature", signature)]);
        account.callback(&callback(&headers, body.as_bytes()))
    };
    let now = seconds(NOW);
    let event = |kind: &str, data: Value| json!({ "type": kind, "data": data }).to_string();
    let metadata = json!({ "phone_call": { "call_result": "busy" } });
    let body = event("post_call_transcription", conversation("done", &metadata));
    let news = news("conv_1", ended(Ending::Busy, None, "busy"));
    let good = sign(now, &body);
    assert_eq!(send(&body, &good), Ok(news.clone()));
    assert_eq!(send(&body, &sign(now - 1800, &body)), Ok(news));
    for (reason, details, ending, code) in [
        (
            "busy",
            json!({ "CallStatus": "busy", "SipResponseCode": "486" }),
            Ending::Busy,
            Some(486),
        ),
        ("no-answer", json!({}), Ending::NoAnswer, None),
        (
            "unknown",
            json!({ "sip_status_code": 603 }),
            Ending::Rejected,
            Some(603),
        ),
        (
            "unknown",
            json!({ "sip_status_code": 3 }),
            Ending::Failed,
            None,
        ),
        ("unknown", Value::Null, Ending::Failed, None),
    ] {
        let data = json!({
            "agent_id": "agent_1", "conversation_id": "conv_1", "failure_reason": reason,
            "metadata": { "type": "sip", "body": details },
        });
        let body = event("call_initiation_failure", data);
        let news = send(&body, &sign(now, &body)).unwrap();
        assert_eq!(news[0].progress, ended(ending, code, reason), "{body}");
        assert_eq!((news[0].run, &news[0].attempt_id), (None, &None));
    }
    let audio = event("post_call_audio", json!({ "conversation_id": "conv_1" }));
    assert_eq!(send(&audio, &sign(now, &audio)), Ok(Vec::new()));

    let tampered = body.replace("busy", "fine");
    assert_eq!(send(&tampered, &good), Err(Rejected::Forged));
    for signature in ["", "t=1", "v0=00", &good[..50], &good.replace("v0", "v1")] {
        assert_eq!(send(&body, signature), Err(Rejected::Forged), "{signature}");
    }
    for (time, seconds) in [(now - 1801, 1801), (now + 301, 301)] {
        let stale = Err(Rejected::Stale { seconds });
        assert_eq!(send(&body, &sign(time, &body)), stale);
    }
    let unsigned = account.callback(&callback(&headers(&[]), body.as_bytes()));
    assert_eq!(unsigned, Err(Rejected::Unsigned("elevenlabs-signature")));
    for rubbish in [
        "",
        "{",
        r#"{"type":"post_call_transcription"}"#,
        r#"{"type":"call_initiation_failure","data":{}}"#,
    ] {
        let answer = send(rubbish, &sign(now, rubbish));
        assert!(matches!(answer, Err(Rejected::Unreadable(_))), "{rubbish}");
    }
    let fields = json!({ "line": "sip", "agent_id": "a", "phone_number_id": "p" });
    let silent = ElevenLabs::new(settings(fields, &SECRETS[..1])).unwrap();
    let headers = headers(&[("elevenlabs-signature", &good)]);
    let answer = silent.callback(&callback(&headers, body.as_bytes()));
    assert_eq!(answer, Err(Rejected::NotExpected));
}

proptest! {
    #[test]
    fn no_answer_is_trusted(answer in answers(&["conversation_id", "callSid", "sip_call_id", "success", "message", "detail", "status", "code", "conversations", "agent_id", "metadata"])) {
        is_sound(&account(), &answer);
    }
}
