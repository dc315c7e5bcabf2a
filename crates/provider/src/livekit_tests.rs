use proptest::prelude::*;

use super::*;
use crate::testing::{
    NOW, SECRET, answer, answers, callback, complains, headers, is_sound, news, order, outcomes,
    settings, shown, waits,
};

const SECRETS: [&str; 2] = ["livekit_api_key", "livekit_api_secret"];
const ROOM: &str = "ringdown-attempt-7";
const CALL: &str = "SCL_1@ringdown-attempt-7";

fn with(fields: Value) -> LiveKit {
    let mut account = LiveKit::new(settings(fields, &SECRETS)).unwrap();
    account.clock = || NOW;
    account
}

fn account() -> LiveKit {
    with(json!({ "base_url": "https://p.livekit.cloud", "sip_trunk_id": "ST_1" }))
}

/// The claims of a request's token.
fn claims(request: &Request) -> Value {
    let header = request.headers["authorization"].to_str().unwrap();
    let token = header.strip_prefix("Bearer ").unwrap();
    verify(token, SECRET.as_bytes(), NOW).unwrap()
}

fn callee(status: &str) -> Value {
    json!({
        "sid": "PA_1", "identity": CALLEE, "kind": "SIP",
        "attributes": {
            "sip.callID": "SCL_1", "sip.callStatus": status,
            "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7",
        },
    })
}

#[test]
fn a_request_says_everything_once() {
    let request = account().request(&order()).unwrap();
    let (line, body) = shown(&request);
    let address = "https://p.livekit.cloud/twirp/livekit.SIP/CreateSIPParticipant";
    assert_eq!(line, format!("POST {address}"));
    let expected = json!({
        "sip_trunk_id": "ST_1",
        "sip_call_to": "+14155550123",
        "sip_number": "+14155550100",
        "room_name": ROOM,
        "participant_identity": "ringdown-callee",
        "participant_attributes": {
            "name": "Ada & Bo", "seats": "2", "vip": "true", "tags": "[\"a\"]", "X-Trace": "t1",
            "ringdown_run_id": "42", "ringdown_attempt_id": "attempt-7", "ringdown_team": "acme",
        },
        "headers": { "X-Trace": "t1" },
        "ringing_timeout": "40s",
        "wait_until_answered": false,
    });
    assert_eq!(body, expected);
    assert!(request.headers["authorization"].is_sensitive());
    let claims = claims(&request);
    assert_eq!(
        (&claims["iss"], &claims["sip"], &claims["exp"]),
        (
            &json!(SECRET),
            &json!({ "call": true }),
            &json!(1_795_866_810)
        )
    );
    assert_eq!(claims.get("video"), None);
}

#[test]
fn what_is_set_is_sent() {
    let account = with(json!({
        "base_url": "http://127.0.0.1:9/lk", "sip_trunk_id": "ST_1", "room_prefix": "test-",
        "from_number": "+14155550101",
    }));
    let mut order = order();
    (order.from, order.ring) = (None, Duration::from_secs(300));
    order.sip_headers.clear();
    let (line, body) = shown(&account.request(&order).unwrap());
    let address = "http://127.0.0.1:9/lk/twirp/livekit.SIP/CreateSIPParticipant";
    assert_eq!(line, format!("POST {address}"));
    assert_eq!(body["room_name"], "test-attempt-7");
    assert_eq!(body["sip_number"], "+14155550101");
    assert_eq!(body["ringing_timeout"], "80s");
    assert_eq!(body.get("headers"), None);
    order.ring = Duration::from_millis(1);
    assert!(account.request(&order).is_err());
    let fields = json!({ "sip_trunk_id": "ST_1" });
    complains(LiveKit::new(settings(fields, &SECRETS)), "base_url");
    let fields = json!({ "base_url": "wss://p.livekit.cloud", "sip_trunk_id": "ST_1" });
    complains(LiveKit::new(settings(fields, &SECRETS)), "base_url");
    let fields = json!({ "base_url": "https://p.livekit.cloud" });
    complains(LiveKit::new(settings(fields, &SECRETS)), "sip_trunk_id");
    complains(
        LiveKit::new(settings(json!({ "base_url": "https://p" }), &SECRETS[..1])),
        "livekit_api_secret",
    );
}

#[test]
fn an_agent_with_a_name_is_dispatched_before_the_callee_is_dialed() {
    assert!(account().prepare(&order()).unwrap().is_none());
    let account = with(json!({
        "base_url": "https://p.livekit.cloud", "sip_trunk_id": "ST_1", "agent_name": "booker",
    }));
    let request = account.prepare(&order()).unwrap().unwrap();
    let (line, sent) = shown(&request);
    let address = "https://p.livekit.cloud/twirp/livekit.AgentDispatchService/CreateDispatch";
    assert_eq!(line, format!("POST {address}"));
    let room = "ringdown-attempt-7-1795866510400000";
    assert_eq!(
        (&sent["agent_name"], &sent["room"]),
        (&json!("booker"), &json!(room))
    );
    let grant = json!({ "roomAdmin": true, "room": room });
    assert_eq!(claims(&request)["video"], grant);
    let told: Value = serde_json::from_str(sent["metadata"].as_str().unwrap()).unwrap();
    let (_, call) = shown(&account.request(&order()).unwrap());
    assert_eq!(told, call["participant_attributes"]);
    // The same room, in which the call is looked for as well.
    assert_eq!(call["room_name"], room);
    let (_, look) = shown(&account.look_up(&order(), NOW).unwrap());
    assert_eq!(look["room"], room);
    // Another try has another room: a second dispatch would be a second agent.
    let mut again = order();
    again.ring -= Duration::from_millis(250);
    let (_, second) = shown(&account.prepare(&again).unwrap().unwrap());
    assert_eq!(second["room"], "ringdown-attempt-7-1795866510650000");

    assert_eq!(
        account.prepared(&answer(200, json!({ "id": "AD_1" }))),
        Ok(())
    );
    for (status, retry) in [
        (400, Retry::Never),
        (401, Retry::Never),
        (403, Retry::Never),
        (404, Retry::Never),
        (408, Retry::Later),
        (429, Retry::Later),
        (500, Retry::Later),
        (503, Retry::Later),
    ] {
        let body = format!(r#"{{"code":"x","msg":"because {SECRET}"}}"#);
        let Unprepared {
            reason,
            retry: told,
        } = account.prepared(&answer(status, body)).unwrap_err();
        assert_eq!(told, retry, "{status}: {reason}");
        assert!(reason.contains("because (hidden)"), "{reason}");
    }
}

#[test]
fn answers_become_outcomes() {
    let good =
        r#"{"participant_id":"PA_1","room_name":"ringdown-attempt-7","sip_call_id":"SCL_1"}"#;
    let camel = r#"{"participantId":"PA_1","roomName":"ringdown-attempt-7","sipCallId":"SCL_1"}"#;
    let error = |code: &str| format!(r#"{{"code":"{code}","msg":"because"}}"#);
    let dialed = |code: &str, sip: &str| {
        format!(r#"{{"code":"{code}","msg":"x","meta":{{"sip_status_code":"{sip}"}}}}"#)
    };
    let rows = [
        (200, good.to_owned(), "placed", CALL),
        (200, camel.to_owned(), "placed", CALL),
        (
            200,
            r#"{"sip_call_id":"SCL_1"}"#.to_owned(),
            "ambiguous",
            "names no call",
        ),
        (200, String::new(), "ambiguous", "no JSON"),
        (
            400,
            error("invalid_argument"),
            "never",
            "because; check sip_trunk_id",
        ),
        (401, "invalid token".to_owned(), "never", "clock"),
        (403, error("permission_denied"), "never", "may not place"),
        (404, error("not_found"), "never", "sip_trunk_id"),
        (408, error("deadline_exceeded"), "ambiguous", "because"),
        (409, error("aborted"), "ambiguous", "because"),
        (412, error("failed_precondition"), "never", "trunk"),
        (429, error("resource_exhausted"), "later", "quota"),
        (429, "slow down".to_owned(), "ambiguous", "slow down"),
        (500, error("internal"), "ambiguous", "because"),
        (503, error("unavailable"), "ambiguous", "because"),
        // The callee's own answers: all of these were dialed.
        (
            429,
            dialed("resource_exhausted", "486"),
            "ambiguous",
            "SIP 486",
        ),
        (
            429,
            dialed("resource_exhausted", "480"),
            "ambiguous",
            "SIP 480",
        ),
        (
            429,
            dialed("resource_exhausted", "600"),
            "ambiguous",
            "SIP 600",
        ),
        (
            403,
            dialed("permission_denied", "603"),
            "ambiguous",
            "SIP 603",
        ),
        (404, dialed("not_found", "404"), "ambiguous", "SIP 404"),
        (
            408,
            dialed("deadline_exceeded", "408"),
            "ambiguous",
            "SIP 408",
        ),
        (409, dialed("aborted", "487"), "ambiguous", "SIP 487"),
        (
            412,
            dialed("failed_precondition", "503"),
            "ambiguous",
            "SIP 503",
        ),
    ];
    outcomes(&account(), &rows);
    let full = answer(429, error("resource_exhausted"));
    waits(&account(), full, "retry-after");
}

#[test]
fn a_lost_call_is_found_in_its_room() {
    let account = account();
    let request = account.look_up(&order(), NOW).unwrap();
    let (line, body) = shown(&request);
    let address = "https://p.livekit.cloud/twirp/livekit.RoomService/ListParticipants";
    assert_eq!(line, format!("POST {address}"));
    assert_eq!(body, json!({ "room": ROOM }));
    let grant = json!({ "roomAdmin": true, "room": ROOM });
    assert_eq!(claims(&request)["video"], grant);

    let found = |status, body: Value| account.found(&order(), NOW, &answer(status, body));
    let callee = callee("dialing");
    let agent = json!({ "identity": "agent-1" });
    let provider_id = CALL.to_owned();
    let both = json!({ "participants": [agent, callee] });
    assert_eq!(found(200, both), Found::Call { provider_id });
    assert_eq!(
        found(200, json!({ "participants": [agent] })),
        Found::Nothing
    );
    assert_eq!(found(200, json!({})), Found::Nothing);
    let mut second = callee.clone();
    second["attributes"]["sip.callID"] = "SCL_2".into();
    let twice = json!({ "participants": [callee, second] });
    assert_eq!(found(200, twice), Found::Several);
    assert_eq!(found(404, json!({ "code": "not_found" })), Found::Nothing);
    for (status, body) in [(200, json!([])), (500, json!({})), (401, json!({}))] {
        let found = found(status, body);
        assert!(matches!(found, Found::Unreadable(_)), "{found:?}");
    }
}

#[test]
fn a_call_is_polled_and_removed() {
    let account = account();
    let (line, body) = shown(&account.status(CALL).unwrap());
    let service = "POST https://p.livekit.cloud/twirp/livekit.RoomService";
    assert_eq!(line, format!("{service}/ListParticipants"));
    assert_eq!(body, json!({ "room": ROOM }));
    let request = account.cancel(CALL).unwrap();
    let (line, body) = shown(&request);
    assert_eq!(line, format!("{service}/RemoveParticipant"));
    assert_eq!(body, json!({ "room": ROOM, "identity": "ringdown-callee" }));
    assert_eq!(claims(&request)["video"]["room"], ROOM);
    assert!(account.status("SCL_1").is_none() && account.cancel("SCL_1").is_none());

    for (status, expected) in [
        ("dialing", Some(Progress::Ringing)),
        ("ringing", Some(Progress::Ringing)),
        ("active", Some(Progress::Answered)),
        ("automation", Some(Progress::Answered)),
        ("hangup", None),
    ] {
        let body = json!({ "participants": [{ "identity": "a" }, callee(status)] });
        assert_eq!(
            account.progress("call-1", &answer(200, &body)),
            expected,
            "{status}"
        );
        assert_eq!(account.progress("call-1", &answer(500, &body)), None);
    }
    assert_eq!(account.progress("call-1", &answer(200, "{}")), None);
}

fn token(account: &LiveKit, issuer: &str, body: &str, at: Timestamp) -> String {
    let mut more = Map::new();
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, body.as_bytes()));
    more.insert("iss".to_owned(), issuer.into());
    more.insert("sha256".to_owned(), digest.into());
    let claims = Claims::new(at, LIFETIME, more).unwrap();
    hs256(&claims, account.secret.expose().as_bytes())
}

#[test]
fn callbacks_are_checked_then_read() {
    let account = account();
    let send = |body: &str, token: &str| {
        let headers = headers(&[("authorization", token)]);
        account.callback(&callback(&headers, body.as_bytes()))
    };
    let event = |event: &str, participant: Value| {
        json!({ "event": event, "room": { "name": ROOM }, "participant": participant }).to_string()
    };
    let sign = |body: &str| token(&account, SECRET, body, NOW);
    let news = |progress| news(CALL, progress);
    let joined = event("participant_joined", callee("dialing"));
    let good = sign(&joined);
    assert_eq!(send(&joined, &good), Ok(news(Progress::Ringing)));
    let with_word = format!("Bearer {good}");
    assert_eq!(send(&joined, &with_word), Ok(news(Progress::Ringing)));
    for (reason, ending) in [
        ("CLIENT_INITIATED", Ending::Completed),
        ("ROOM_DELETED", Ending::Completed),
        ("ROOM_CLOSED", Ending::Completed),
        ("PARTICIPANT_REMOVED", Ending::Cancelled),
        ("USER_UNAVAILABLE", Ending::NoAnswer),
        ("USER_REJECTED", Ending::Rejected),
        ("SIP_TRUNK_FAILURE", Ending::Failed),
        ("CONNECTION_TIMEOUT", Ending::Failed),
    ] {
        for name in ["disconnectReason", "disconnect_reason"] {
            let mut callee = callee("hangup");
            callee[name] = reason.into();
            let left = event("participant_left", callee);
            let expected = news(crate::testing::ended(ending, None, reason));
            assert_eq!(send(&left, &sign(&left)), Ok(expected));
        }
    }
    for other in [
        event("participant_joined", json!({ "identity": "agent-1" })),
        event("participant_joined", callee("hangup")),
        event("track_published", callee("active")),
        r#"{"event":"room_started"}"#.to_owned(),
    ] {
        assert_eq!(send(&other, &sign(&other)), Ok(Vec::new()), "{other}");
    }

    let tampered = joined.replace("42", "43");
    assert_eq!(send(&tampered, &good), Err(Rejected::Forged));
    let cut = &good[..good.len() - 2];
    let theirs = token(&account, "another", &joined, NOW);
    for token in ["", "x", "Bearer x", cut, &theirs] {
        assert_eq!(send(&joined, token), Err(Rejected::Forged), "{token}");
    }
    let old = NOW.plus(Duration::from_secs(301));
    let stale = Err(Rejected::Stale { seconds: 301 });
    assert_eq!(send(&joined, &token(&account, SECRET, &joined, old)), stale);
    let unsigned = account.callback(&callback(&headers(&[]), joined.as_bytes()));
    assert_eq!(unsigned, Err(Rejected::Unsigned("authorization")));
    let nameless = joined.replace("SCL_1", "");
    for rubbish in ["", "{", &nameless] {
        let answer = send(rubbish, &sign(rubbish));
        assert!(matches!(answer, Err(Rejected::Unreadable(_))), "{rubbish}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_trusted(answer in answers(&["sip_call_id", "room_name", "code", "msg", "meta", "sip_status_code", "participants", "identity", "attributes"])) {
        is_sound(&account(), &answer);
    }
}
