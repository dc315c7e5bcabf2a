//! LiveKit: SIP API, Room service API, Agent dispatch API (Twirp), webhooks; the SIP errors of its protocol.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{base64, by_secret, digest, hs256, now};

pub(super) struct LiveKit;

fn room(call: &FakeCall) -> &str {
    call.asked["room_name"].as_str().unwrap_or_default()
}

/// How a call ends whose callee answers so.
pub(super) fn ending(sip: u16) -> FakeEnding {
    match sip {
        486 | 600 => FakeEnding::Busy,
        408 | 480 | 487 => FakeEnding::NoAnswer,
        403 | 603 | 607 | 608 => FakeEnding::Rejected,
        404 | 410 | 604 => FakeEnding::InvalidNumber,
        _ => FakeEnding::Failed,
    }
}

/// The callee's answer as an error of the request.
pub(super) fn sip_error(sip: u16) -> Answer {
    let status = match sip {
        480 | 486 | 600 => 429,
        403 | 603 | 607 | 608 => 403,
        404 | 410 | 604 => 404,
        408 | 504 => 408,
        487 => 409,
        _ => 412,
    };
    let mut answer = LiveKit.refusal(status, &format!("sip status: {sip}"));
    answer.body["meta"] = json!({"sip_status_code": sip.to_string(), "sip_status": "refused"});
    answer
}

fn participant(call: &FakeCall) -> Value {
    let status = match call.state {
        FakeState::Queued => "dialing",
        FakeState::Ringing => "ringing",
        FakeState::Answered => "active",
        FakeState::Ended(_) => "hangup",
    };
    let mut attributes = json!({
        "sip.callID": call.id, "sip.callStatus": status, "sip.phoneNumber": call.to,
        "sip.trunkID": call.asked["sip_trunk_id"],
    });
    if let Some(more) = call.asked["participant_attributes"].as_object() {
        attributes.as_object_mut().unwrap().extend(more.clone());
    }
    json!({
        "sid": format!("PA_{}", call.other), "identity": call.asked["participant_identity"],
        "kind": "SIP", "state": "ACTIVE", "attributes": attributes,
    })
}

impl Adapter for LiveKit {
    fn route(&self, ask: &Ask) -> Route {
        let ("POST", path) = ask.line() else {
            return Route::Nothing;
        };
        match path.as_slice() {
            ["twirp", "livekit.SIP", "CreateSIPParticipant"] => Route::Create,
            ["twirp", "livekit.AgentDispatchService", "CreateDispatch"] => Route::Prepare,
            ["twirp", "livekit.RoomService", "ListParticipants"] => Route::Find,
            ["twirp", "livekit.RoomService", "RemoveParticipant"] => {
                Route::Cancel(ask.text("/room").unwrap_or_default())
            }
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        let token = ask.header("authorization").strip_prefix("Bearer ");
        let claims = token.and_then(|token| by_secret(token, &keys.secret));
        let Some(claims) = claims.filter(|claims| claims["iss"] == keys.account.as_str()) else {
            return false;
        };
        match ask.path[1].as_str() {
            "livekit.SIP" => claims["sip"]["call"] == true,
            _ => {
                claims["video"]["roomAdmin"] == true && claims["video"]["room"] == ask.body["room"]
            }
        }
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/sip_trunk_id")?;
        ask.needed("/room_name")
            .map_err(|_| "room name must be set")?;
        let from = ask.text("/sip_number");
        let from = from.unwrap_or_else(|| "number-of-trunk".to_owned());
        Ok(Placing::new(&from, ask.needed("/sip_call_to")?))
    }

    fn prepares(&self, ask: &Ask) -> Result<Answer, String> {
        let (agent, room) = (ask.needed("/agent_name")?, ask.needed("/room")?);
        let metadata = &ask.body["metadata"];
        let body = json!({"id": "AD_1", "agent_name": agent, "room": room, "metadata": metadata});
        Ok(Answer::new(200, body))
    }

    fn shape(&self) -> fn(&str) -> String {
        |digits| format!("SCL_{digits}")
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let body = json!({
            "participant_id": format!("PA_{}", call.other), "room_name": room(call),
            "participant_identity": call.asked["participant_identity"], "sip_call_id": call.id,
        });
        Answer::new(200, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let twirp = match status {
            400 => "invalid_argument",
            401 => "unauthenticated",
            403 => "permission_denied",
            404 => "not_found",
            408 => "deadline_exceeded",
            409 => "aborted",
            412 => "failed_precondition",
            429 => "resource_exhausted",
            503 => "unavailable",
            _ => "internal",
        };
        Answer::new(status, json!({"code": twirp, "msg": code}))
    }

    /// By the room: there is one callee in each.
    fn is(&self, call: &FakeCall, name: &str) -> bool {
        room(call) == name
    }

    /// Who is in the room; whose call is over has left it.
    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let mut there = calls.iter().filter(|call| ask.body["room"] == room(call));
        if there.clone().next().is_none() {
            return self.refusal(404, "requested room does not exist");
        }
        let left = |call: &&&FakeCall| call.ending().is_none();
        let there: Value = there
            .by_ref()
            .filter(left)
            .map(|call| participant(call))
            .collect();
        Answer::new(200, json!({"participants": there}))
    }

    fn cancels(&self, ask: &Ask, call: &FakeCall) -> Result<(), (u16, &'static str)> {
        let same = ask.body["identity"] == call.asked["participant_identity"];
        let there = call.ending().is_none() && same;
        there
            .then_some(())
            .ok_or((404, "participant does not exist"))
    }

    fn cancelled(&self, _: &FakeCall) -> Answer {
        Answer::new(200, json!({}))
    }

    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let mut call = call.clone();
        call.state = state;
        let mut who = participant(&call);
        let event = match state {
            FakeState::Queued | FakeState::Answered => return Vec::new(),
            FakeState::Ringing => "participant_joined",
            FakeState::Ended(ending) => {
                who["disconnectReason"] = match ending {
                    FakeEnding::Completed => "CLIENT_INITIATED",
                    FakeEnding::Cancelled => "PARTICIPANT_REMOVED",
                    FakeEnding::NoAnswer => "USER_UNAVAILABLE",
                    FakeEnding::Busy | FakeEnding::Rejected => "USER_REJECTED",
                    _ => "SIP_TRUNK_FAILURE",
                }
                .into();
                "participant_left"
            }
        };
        let body = json!({
            "event": event, "room": {"sid": format!("RM_{}", call.other), "name": room(&call)},
            "participant": who, "id": format!("EV_{}", call.other), "createdAt": now().to_string(),
        });
        vec![Report {
            media_type: "application/webhook+json",
            ..Report::json(url, &body)
        }]
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let claims = json!({
            "iss": keys.account, "nbf": now(), "exp": now() + 300,
            "sha256": base64(digest(&report.body)),
        });
        vec![("authorization", hs256(&keys.signing, &claims))]
    }
}
