//! Retell, API reference: Create Phone Call, List Calls, Get Call, Stop Call; webhooks, disconnection reasons.

use std::time::Duration;

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{millis, sha256_hex};

pub(super) struct Retell;

fn reason(ending: FakeEnding) -> &'static str {
    match ending {
        FakeEnding::Completed => "user_hangup",
        FakeEnding::Busy => "dial_busy",
        FakeEnding::NoAnswer => "dial_no_answer",
        FakeEnding::Rejected => "user_declined",
        FakeEnding::InvalidNumber => "invalid_destination",
        FakeEnding::Failed | FakeEnding::Cancelled => "dial_failed",
        FakeEnding::NeverDialed => "concurrency_limit_reached",
    }
}

fn shown(call: &FakeCall) -> Value {
    let status = match call.state {
        FakeState::Queued | FakeState::Ringing => "registered",
        FakeState::Answered => "ongoing",
        FakeState::Ended(_) if call.answered() => "ended",
        FakeState::Ended(_) => "not_connected",
    };
    let start = call.answered().then(|| call.created.as_millisecond());
    json!({
        "call_id": call.id, "call_type": "phone_call", "direction": "outbound",
        "agent_id": call.asked["override_agent_id"], "call_status": status,
        "from_number": call.from, "to_number": call.to, "metadata": call.asked["metadata"],
        "retell_llm_dynamic_variables": call.asked["retell_llm_dynamic_variables"],
        "start_timestamp": start, "disconnection_reason": call.ending().map(reason),
    })
}

impl Adapter for Retell {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v2", "create-phone-call"]) => Route::Create,
            ("POST", ["v2" | "v3", "list-calls"]) => Route::Find,
            ("GET", ["v2", "get-call", id]) => Route::Status((*id).to_owned()),
            ("POST", ["v2", "stop-call", id]) => Route::Cancel((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.authorized_by(&format!("Bearer {}", keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        let variables = ask.body["retell_llm_dynamic_variables"].as_object();
        if variables.is_some_and(|all| all.values().any(|value| !value.is_string())) {
            return Err("retell_llm_dynamic_variables have to be strings".to_owned());
        }
        let (from, to) = (ask.needed("/from_number")?, ask.needed("/to_number")?);
        Ok(Placing::new(from, to).key(ask.text("/idempotency_key")))
    }

    fn repeatable(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn shape(&self) -> fn(&str) -> String {
        |digits| format!("call_{digits}")
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let mut body = shown(call);
        body["call_status"] = "registered".into();
        Answer::new(201, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        Answer::new(status, json!({"status": "error", "message": code}))
    }

    /// Version 2 answers with a list, version 3 with an object around it. Of the filters, equality of metadata.
    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let wanted = ask.body.pointer("/filter_criteria/metadata");
        let wanted = wanted.and_then(Value::as_array);
        let fits = |call: &&&FakeCall| {
            let has = |filter: &Value| {
                let key = filter["key"].as_str().unwrap_or_default();
                filter["op"] == "eq" && call.asked["metadata"][key] == filter["value"]
            };
            wanted.is_none_or(|filters| filters.iter().all(has))
        };
        let found: Value = calls
            .iter()
            .rev()
            .filter(fits)
            .map(|call| shown(call))
            .collect();
        let body = match ask.path[0].as_str() {
            "v3" => json!({"items": found, "has_more": false}),
            _ => found,
        };
        Answer::new(200, body)
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, shown(call))
    }

    /// A call that does not connect sends no `call_started`.
    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let mut call = call.clone();
        call.state = state;
        let events = match state {
            FakeState::Queued | FakeState::Ringing => &[][..],
            FakeState::Answered => &["call_started"],
            FakeState::Ended(_) => &["call_ended", "call_analyzed"],
        };
        let report = |event| Report::json(url, &json!({"event": event, "call": shown(&call)}));
        events.iter().map(report).collect()
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let time = millis().to_string();
        let tag = sha256_hex(&keys.signing, &format!("{}{time}", report.body));
        vec![("x-retell-signature", format!("v={time},d={tag}"))]
    }
}
