//! Synthflow, Platform API, Calls.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Route};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;

pub(super) struct Synthflow;

fn shown(call: &FakeCall) -> Value {
    let (status, error) = match call.state {
        FakeState::Queued => ("registered", ""),
        FakeState::Ringing => ("ringing", ""),
        FakeState::Answered => ("in-progress", ""),
        FakeState::Ended(ending) => match ending {
            FakeEnding::Completed => ("completed", ""),
            FakeEnding::Busy => ("busy", ""),
            FakeEnding::NoAnswer => ("no-answer", ""),
            FakeEnding::Rejected => ("failed", "Telephony - 403 - Caller ID is unauthorized"),
            FakeEnding::InvalidNumber => ("failed", "400 - Invalid phone number"),
            FakeEnding::Cancelled => ("canceled", ""),
            FakeEnding::Failed | FakeEnding::NeverDialed => ("failed", "Telephony - 503"),
        },
    };
    json!({
        "call_id": call.id, "model_id": call.asked["model_id"], "call_status": status,
        "status": status, "error_message": error, "phone_number_from": call.from,
        "phone_number_to": call.to, "lead_phone_number": call.to,
        "start_time": call.created.as_millisecond().to_string(),
    })
}

fn listed(calls: &[Value]) -> Answer {
    let body = json!({"status": "ok", "response": {"pagination": {}, "calls": calls}});
    Answer::new(200, body)
}

impl Adapter for Synthflow {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v2", "calls"]) => Route::Create,
            ("GET", ["v2", "calls"]) => Route::Find,
            ("GET", ["v2", "calls", id]) => Route::Status((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.authorized_by(&format!("Bearer {}", keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/model_id")?;
        ask.needed("/name")?;
        let from = ask.text("/from_phone_number");
        let from = from.unwrap_or_else(|| "number-of-agent".to_owned());
        Ok(Placing::new(&from, ask.needed("/phone")?))
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let body = json!({"status": "ok", "response": {"call_id": call.id}});
        Answer::new(200, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        Answer::new(status, json!({"status": "error", "message": code}))
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let from = ask.queried("from_date").and_then(|from| from.parse().ok());
        let fits = |call: &&&FakeCall| {
            let model = call.asked["model_id"].as_str().unwrap_or_default();
            ask.wants("model_id", model)
                && ask.wants("lead_phone_number", &call.to)
                && from.is_none_or(|from: i64| call.created.as_millisecond() >= from)
        };
        let found = calls.iter().rev().filter(fits);
        listed(&found.map(|call| shown(call)).collect::<Vec<_>>())
    }

    fn status(&self, call: &FakeCall) -> Answer {
        listed(&[shown(call)])
    }
}
