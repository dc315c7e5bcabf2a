//! Vonage, Voice API: calls, webhooks; signed webhooks.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, bare, plus, rfc3339, since};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{by_private_key, digest, hex, hs256, now};

pub(super) struct Vonage;

fn words(state: FakeState) -> &'static str {
    match state {
        FakeState::Queued => "started",
        FakeState::Ringing => "ringing",
        FakeState::Answered => "answered",
        FakeState::Ended(ending) => match ending {
            FakeEnding::Completed => "completed",
            FakeEnding::Busy => "busy",
            FakeEnding::NoAnswer => "unanswered",
            FakeEnding::Rejected => "rejected",
            FakeEnding::Cancelled => "cancelled",
            _ => "failed",
        },
    }
}

fn shown(call: &FakeCall) -> Value {
    json!({
        "uuid": call.id, "status": words(call.state), "direction": "outbound",
        "conversation_uuid": format!("CON-{}", call.other), "start_time": rfc3339(call.created),
        "to": {"type": "phone", "number": bare(&call.to)},
        "from": {"type": "phone", "number": bare(&call.from)},
    })
}

impl Adapter for Vonage {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v1", "calls"]) => Route::Create,
            ("GET", ["v1", "calls"]) => Route::Find,
            ("GET", ["v1", "calls", id]) => Route::Status((*id).to_owned()),
            ("PUT", ["v1", "calls", id]) => Route::Cancel((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        let token = ask.header("authorization").strip_prefix("Bearer ");
        let claims = token.and_then(|token| by_private_key(token, &keys.secret));
        let application = |claims: Value| claims["application_id"] == keys.account.as_str();
        claims.is_some_and(application)
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        if ask.body["ncco"].is_null() == ask.body["answer_url"].is_null() {
            return Err("give either ncco or answer_url".to_owned());
        }
        if !ask.body["answer_url"].is_null() {
            ask.needed("/answer_url/0")?;
        }
        let (from, to) = (ask.needed("/from/number")?, ask.needed("/to/0/number")?);
        let digits = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(from) || !digits(to) || !(7..=15).contains(&to.len()) {
            return Err("numbers are 7 to 15 digits".to_owned());
        }
        let ring = &ask.body["ringing_timer"];
        let fits = |seconds: u64| (1..=120).contains(&seconds);
        if !ring.is_null() && !ring.as_u64().is_some_and(fits) {
            return Err("ringing_timer is from 1 to 120".to_owned());
        }
        Ok(Placing::new(&plus(from), &plus(to)).callback(ask.text("/event_url/0")))
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let body = json!({
            "uuid": call.id, "status": "started", "direction": "outbound",
            "conversation_uuid": format!("CON-{}", call.other),
        });
        Answer::new(201, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let body = json!({
            "type": "https://developer.vonage.com/api-errors", "title": code, "detail": code,
            "instance": "00000000-0000-0000-0000-000000000000",
        });
        Answer::new(status, body)
    }

    /// No filter for numbers.
    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let fits = |call: &&&FakeCall| {
            since(call, ask.queried("date_start")) && ask.wants("status", words(call.state))
        };
        let found = calls.iter().filter(fits);
        let found: Vec<Value> = found.map(|call| shown(call)).collect();
        let body = json!({"count": found.len(), "_embedded": {"calls": found}});
        Answer::new(200, body)
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, shown(call))
    }

    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let mut body = json!({
            "uuid": call.id, "conversation_uuid": format!("CON-{}", call.other),
            "status": words(state), "direction": "outbound", "from": bare(&call.from),
            "to": bare(&call.to), "timestamp": rfc3339(jiff::Timestamp::now()),
        });
        if let FakeState::Ended(ending) = state {
            body["sip_code"] = ending.sip().into();
        }
        vec![Report::json(url, &body)]
    }

    fn sign(&self, report: &Report, call: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let claims = json!({
            "iat": now(), "jti": call.other, "iss": "Vonage", "application_id": keys.account,
            "payload_hash": hex(digest(&report.body).as_ref()),
        });
        let token = hs256(&keys.signing, &claims);
        vec![("authorization", format!("Bearer {token}"))]
    }
}
