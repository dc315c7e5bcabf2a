//! Bland: Send call, Call details, list, Stop call, webhook signing.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, rfc3339};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::sha256_hex;

pub(super) struct Bland;

fn shown(call: &FakeCall) -> Value {
    let status = match call.state {
        FakeState::Queued | FakeState::Ringing => None,
        FakeState::Answered => Some("in-progress"),
        FakeState::Ended(ending) => Some(match ending {
            FakeEnding::Completed => "completed",
            FakeEnding::Busy => "busy",
            FakeEnding::NoAnswer => "no-answer",
            FakeEnding::Cancelled => "canceled",
            _ => "failed",
        }),
    };
    let queue = match call.state {
        FakeState::Queued => "queued",
        FakeState::Ended(_) => "complete",
        _ => "started",
    };
    json!({
        "call_id": call.id, "batch_id": null, "created_at": rfc3339(call.created),
        "from": call.from, "to": call.to, "inbound": false, "queue_status": queue,
        "status": status, "completed": call.ending().is_some(), "error_message": null,
        "answered_by": call.answered().then_some("human"), "metadata": call.asked["metadata"],
    })
}

impl Adapter for Bland {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v1", "calls"]) => Route::Create,
            ("GET", ["v1", "calls"]) => Route::Find,
            ("GET", ["v1", "calls", id]) => Route::Status((*id).to_owned()),
            ("POST", ["v1", "calls", id, "stop"]) => Route::Cancel((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        let given = ask.header("authorization");
        given.strip_prefix("Bearer ").unwrap_or(given) == keys.secret
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        if ask.body["task"].is_null() == ask.body["pathway_id"].is_null() {
            return Err("give either task or pathway_id".to_owned());
        }
        let to = ask.needed("/phone_number")?;
        let from = ask
            .text("/from")
            .unwrap_or_else(|| "+15005550000".to_owned());
        Ok(Placing::new(&from, to).callback(ask.text("/webhook")))
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let body = json!({
            "status": "success", "message": "Call successfully queued.", "call_id": call.id,
            "batch_id": null,
        });
        Answer::new(200, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let body = json!({"status": "error", "message": code, "errors": [code]});
        Answer::new(status, body)
    }

    fn failure(&self, _: &FakeCall) -> Option<(Answer, bool)> {
        Some((self.refusal(200, "Invalid phone number"), false))
    }

    /// `from` and `to` are places in the list, and not numbers.
    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let fits = |call: &&&FakeCall| {
            ask.wants("to_number", &call.to) && ask.wants("from_number", &call.from)
        };
        let found = calls.iter().rev().filter(fits);
        let found: Vec<Value> = found.map(|call| shown(call)).collect();
        Answer::new(200, json!({"count": found.len(), "calls": found}))
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, shown(call))
    }

    fn cancelled(&self, _: &FakeCall) -> Answer {
        Answer::new(
            200,
            json!({"status": "success", "message": "Call ended successfully."}),
        )
    }

    /// Only the end is reported.
    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        match state {
            FakeState::Ended(_) => vec![Report::json(url, &shown(call))],
            _ => Vec::new(),
        }
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        vec![(
            "x-webhook-signature",
            sha256_hex(&keys.signing, &report.body),
        )]
    }
}
