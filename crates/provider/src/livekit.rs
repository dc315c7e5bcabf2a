use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use ringdown_domain::dial::{Ending, Outcome, Retry};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Request, Response};
use ringdown_vault::Secret;
use serde_json::{Map, Value, json};
use url::Url;

use crate::ask::{self, Ring, at, bearer, object, set};
use crate::echo::{self, names};
use crate::ending::sip_code;
use crate::jwt::{Claims, hs256, verify};
use crate::listed::{Listed, pick, whole};
use crate::signed::{self, fingerprint, sent};
use crate::table::{REFUSALS, Row, Table, never, passing};
use crate::time::{self, Clock};
use crate::wire::{ambiguous, clean, code, id, json as read, post_json, said};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit, Unprepared,
};

/// LiveKit, SIP API errors, for answers without a SIP status: those come before anything is dialed. Twirp's
/// mapping of codes to statuses; a 408 (`deadline_exceeded`) or 409 leaves open what was done.
const TABLE: Table = Table {
    provider: "LiveKit",
    reset: "retry-after",
    rows: ROWS,
    others: REFUSALS,
};

const ROWS: &[Row] = &[
    // invalid_argument, malformed.
    never(400, "check sip_trunk_id and the numbers"),
    // unauthenticated; the server's own check of the token has no code.
    never(
        401,
        "check livekit_api_key and livekit_api_secret, and this machine's clock",
    ),
    // permission_denied: the grant `sip.call` is not given.
    never(403, "the API key may not place SIP calls"),
    // not_found: no such trunk; bad_route: no SIP service.
    never(404, "check sip_trunk_id and base_url"),
    // failed_precondition: the trunk cannot be used.
    never(412, "check the trunk at LiveKit"),
    // resource_exhausted: a quota of the project.
    passing(429, "a quota of the LiveKit project is used up").coded("resource_exhausted"),
];

/// The callee's name in its room. Every call has a room of its own.
const CALLEE: &str = "ringdown-callee";

/// LiveKit, Make outbound calls: a call may be let ring for 80 s at most.
const RING: Ring = Ring::between(1, 80);

/// How long a token holds. It is used at once.
const LIFETIME: Duration = Duration::from_secs(300);

/// A LiveKit project (SIP API, Room service API, webhooks).
///
/// Each call gets a room of its own, named after the attempt, into which the callee is dialed. An agent without a name
/// is dispatched by LiveKit to every new room; one with a name (`agent_name`) by us, before the callee is dialed. Two
/// dispatches are two agents, so that a room is also named after the moment then, and has one dispatch however often an
/// attempt is tried. The agent finds the variables in the attributes of the participant `ringdown-callee`, and as JSON in
/// the metadata of its job if it was dispatched by us.
///
/// A call's identifier is LiveKit's SIP call id, an `@`, and the room, which polls and cancels need.
#[derive(Clone, Debug)]
pub struct LiveKit {
    base: Url,
    key: Secret,
    secret: Secret,
    trunk: String,
    room_prefix: String,
    agent_name: Option<String>,
    from: Option<E164>,
    clock: Clock,
}

impl LiveKit {
    /// An account with these settings. Tokens are dated by the system's clock.
    ///
    /// * `livekit_api_key` (secret), `livekit_api_secret` (secret): an API key of the project. Webhooks have to
    ///   be signed with the same one.
    /// * `base_url`: the project's address, such as `https://name.livekit.cloud`.
    /// * `sip_trunk_id`: the outbound trunk.
    /// * `from_number`: the number to call from. Default: the agent's caller ID, else the trunk's number.
    /// * `agent_name`: the agent to dispatch into each room, by the name that it registers with. Default: none, for an
    ///   agent without a name.
    /// * `room_prefix`: what rooms' names begin with. Default: `ringdown-`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the setting that is missing, wrong or unknown.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let base = settings.url("base_url")?.ok_or_else(|| {
            let problem = "it is missing; give the project's, such as https://name.livekit.cloud";
            InvalidSettings::new("base_url", problem)
        })?;
        let prefix = settings.text("room_prefix")?;
        let account = Self {
            base,
            key: settings.credential("livekit_api_key")?,
            secret: settings.credential("livekit_api_secret")?,
            trunk: settings.required("sip_trunk_id")?,
            room_prefix: prefix.unwrap_or_else(|| "ringdown-".to_owned()),
            agent_name: settings.text("agent_name")?,
            from: settings.number("from_number")?,
            clock: time::system,
        };
        settings.finish()?;
        Ok(account)
    }

    /// A Twirp call with a token of its own.
    fn ask(&self, method: [&str; 2], grant: (&str, Value), body: &Value) -> Result<Request, Unfit> {
        let [service, method] = method;
        let url = at(&self.base, &["twirp", service, method])?;
        let mut more = Map::new();
        more.insert("iss".to_owned(), self.key.expose().into());
        more.insert("sub".to_owned(), "ringdown".into());
        more.insert(grant.0.to_owned(), grant.1);
        let claims = Claims::new((self.clock)(), LIFETIME, more);
        let claims = claims.map_err(|error| Unfit(error.to_string()))?;
        let token = hs256(&claims, self.secret.expose().as_bytes());
        bearer(post_json(url, body), &token)
    }

    fn in_room(&self, method: &str, room: &str, mut body: Value) -> Option<Request> {
        set(&mut body, "room", room);
        let grant = json!({ "roomAdmin": true, "room": room });
        self.ask(["livekit.RoomService", method], ("video", grant), &body)
            .ok()
    }

    fn room(&self, order: &Order) -> String {
        let room = format!("{}{}", self.room_prefix, order.attempt_id);
        match self.agent_name {
            Some(_) => format!("{room}-{}", order.asked_at().as_micros()),
            None => room,
        }
    }

    /// The variables and what the call belongs to.
    fn told(order: &Order) -> Value {
        let variables = order.texts();
        let variables = variables.map(|(name, text)| (name.to_owned(), text));
        let names = names(order).map(|(name, text)| (name.to_owned(), text));
        object(variables.chain(names))
    }
}

impl Provider for LiveKit {
    fn name(&self) -> &'static str {
        "livekit"
    }

    fn account(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        format!("livekit {host}, key {}", fingerprint(&self.key))
    }

    /// LiveKit documents no calls per second, and none at once that holds for all plans and trunks (Quotas and limits;
    /// SIP API): one each second is a cautious choice of ours.
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 1.0,
            concurrent_calls: None,
            queues: false,
            repeatable_for: None,
            looks_up: true,
            least_ring: RING.least(),
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    /// LiveKit, Agent dispatch, explicit: a room that is not there is created by it.
    fn prepare(&self, order: &Order) -> Result<Option<Request>, Unfit> {
        let Some(agent) = &self.agent_name else {
            return Ok(None);
        };
        let room = self.room(order);
        let grant = json!({ "roomAdmin": true, "room": room });
        let body = json!({
            "agent_name": agent,
            "room": room,
            "metadata": Self::told(order).to_string(),
        });
        let method = ["livekit.AgentDispatchService", "CreateDispatch"];
        self.ask(method, ("video", grant), &body).map(Some)
    }

    fn prepared(&self, answer: &Response) -> Result<(), Unprepared> {
        if answer.status.is_success() {
            return Ok(());
        }
        let (status, said) = (answer.status.as_u16(), said(&answer.body, &self.secret));
        let refused = REFUSALS.contains(&status);
        let (advice, retry) = match refused {
            true => (
                "check agent_name, and that the API key may administer rooms",
                Retry::Never,
            ),
            false => ("nothing was dialed", Retry::Later),
        };
        Err(Unprepared {
            reason: format!(
                "LiveKit answered the dispatch of the agent with status {status}: {said}; {advice}"
            ),
            retry,
        })
    }

    /// `wait_until_answered` stays off: the answer then comes while it is dialed, and cannot be the callee's
    /// refusal in the shape of a 429.
    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let ring = RING.seconds(order, "LiveKit")?;
        let mut body = json!({
            "sip_trunk_id": self.trunk,
            "sip_call_to": order.to,
            "room_name": self.room(order),
            "participant_identity": CALLEE,
            "participant_attributes": Self::told(order),
            "ringing_timeout": format!("{ring}s"),
            "wait_until_answered": false,
        });
        if let Some(from) = ask::from(self.from.as_ref(), order) {
            set(&mut body, "sip_number", from.as_str());
        }
        if !order.sip_headers.is_empty() {
            let headers = order.sip_headers.iter().cloned();
            set(&mut body, "headers", object(headers));
        }
        let method = ["livekit.SIP", "CreateSIPParticipant"];
        self.ask(method, ("sip", json!({ "call": true })), &body)
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let body = read(answer).unwrap_or_default();
        // LiveKit, protocol, SIP errors: 486, 480 and 600 come as 429, 403 and 603 as 403, 404 as 404. With
        // a SIP status it was dialed, whatever the code would mean without one.
        let dialed = sip_code(&code(body.pointer("/meta/sip_status_code")));
        if let (false, Some(dialed)) = (answer.status.is_success(), dialed) {
            let (status, said) = (answer.status.as_u16(), said(&answer.body, &self.secret));
            return ambiguous(format!(
                "LiveKit answered with status {status}: {said}; it was dialed: SIP {dialed}"
            ));
        }
        let call = name(
            field(&body, ["sip_call_id", "sipCallId"]),
            field(&body, ["room_name", "roomName"]),
        );
        let code = body.get("code").and_then(Value::as_str);
        TABLE.judge(answer, call, code.unwrap_or_default(), &self.secret)
    }

    /// Who is in the attempt's room.
    fn look_up(&self, order: &Order, _asked_at: Timestamp) -> Option<Request> {
        self.in_room("ListParticipants", &self.room(order), json!({}))
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        // Twirp, not_found: there is no such room (now).
        if answer.status.as_u16() == 404 {
            return Found::Nothing;
        }
        let body = match whole(answer, &self.secret) {
            Ok(body) => body,
            Err(unreadable) => return unreadable,
        };
        if !body.is_object() {
            return Found::Unreadable("the answer is no object".to_owned());
        }
        let room = Value::from(self.room(order));
        let listed = callees(&body).map(|callee| Listed {
            id: name(attribute(callee, "sip.callID"), &room),
            created: None,
            ours: Some(true),
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let (_, room) = provider_id.split_once('@')?;
        self.in_room("ListParticipants", room, json!({}))
    }

    /// LiveKit, SIP participant attributes, `sip.callStatus`. A callee who is gone is not in the list, so how a
    /// call ended is told by webhooks alone.
    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        if !answer.status.is_success() {
            return None;
        }
        let body = read(answer).ok()?;
        let callee = callees(&body).next()?;
        standing(callee)
    }

    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let (_, room) = provider_id.split_once('@')?;
        let body = json!({ "identity": CALLEE });
        self.in_room("RemoveParticipant", room, body)
    }

    /// LiveKit, Webhooks: `Authorization` is a token that is signed with the API secret (HS256) and has the
    /// claim `sha256`, base64 of the body's SHA-256. It holds for five minutes.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let claims = &verify(
            sent(callback)?,
            self.secret.expose().as_bytes(),
            callback.at,
        )?;
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, callback.body));
        if claims["sha256"] != digest.as_str() || claims["iss"] != self.key.expose() {
            return Err(Rejected::Forged);
        }
        let body = &signed::json(callback)?;
        let callee = &body["participant"];
        if callee["identity"] != CALLEE {
            return Ok(Vec::new());
        }
        let progress = match body["event"].as_str() {
            Some("participant_joined") => standing(callee),
            Some("participant_left" | "participant_connection_aborted") => Some(ended(callee)),
            _ => return Ok(Vec::new()),
        };
        let Some(progress) = progress else {
            return Ok(Vec::new());
        };
        let room = &body["room"];
        let name = name(attribute(callee, "sip.callID"), &room["name"]);
        let provider_id = name.ok_or_else(|| {
            Rejected::Unreadable("it has no room.name, or no attribute sip.callID".to_owned())
        })?;
        let (run, attempt_id) = echo::in_variables(&callee["attributes"]);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// A field under its name in the protocol, or as JSON renames it: LiveKit uses both.
fn field<'a>(value: &'a Value, names: [&str; 2]) -> &'a Value {
    let found = names.iter().find_map(|name| value.get(name));
    found.unwrap_or(&Value::Null)
}

fn attribute<'a>(participant: &'a Value, name: &str) -> &'a Value {
    let attributes = &participant["attributes"];
    &attributes[name]
}

/// A call's identifier.
fn name(call: &Value, room: &Value) -> Option<String> {
    Some(format!("{}@{}", id(Some(call))?, id(Some(room))?))
}

fn callees(list: &Value) -> impl Iterator<Item = &Value> {
    let participants = list["participants"].as_array();
    let participants = participants.map_or(&[][..], Vec::as_slice).iter();
    participants.filter(|participant| participant["identity"] == CALLEE)
}

fn standing(callee: &Value) -> Option<Progress> {
    match attribute(callee, "sip.callStatus").as_str()? {
        // "Dialing and waiting to be picked up".
        "dialing" | "ringing" => Some(Progress::Ringing),
        // Connected; `automation` while it dials an extension.
        "active" | "automation" => Some(Progress::Answered),
        _ => None,
    }
}

/// LiveKit, protocol, `DisconnectReason`.
fn ended(callee: &Value) -> Progress {
    let said = field(callee, ["disconnect_reason", "disconnectReason"])
        .as_str()
        .unwrap_or_default();
    let ending = match said {
        // The callee hung up, or the agent did, which closes or deletes the room.
        "CLIENT_INITIATED" | "ROOM_DELETED" | "ROOM_CLOSED" => Ending::Completed,
        "PARTICIPANT_REMOVED" => Ending::Cancelled,
        // "SIP user did not respond."
        "USER_UNAVAILABLE" => Ending::NoAnswer,
        // "SIP user rejected the call"; a busy callee too.
        "USER_REJECTED" => Ending::Rejected,
        // SIP_TRUNK_FAILURE and faults on the way.
        _ => Ending::Failed,
    };
    Progress::Ended {
        ending,
        sip_code: None,
        said: clean(said),
    }
}

#[cfg(test)]
#[path = "livekit_tests.rs"]
mod tests;
