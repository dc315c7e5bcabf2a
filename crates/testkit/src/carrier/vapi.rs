//! Vapi, API reference: Create, List and Get Call; server messages; call ended reasons.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, rfc3339, since};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{millis, sha256_hex};

pub(super) struct Vapi;

fn words(state: FakeState) -> &'static str {
    match state {
        FakeState::Queued => "queued",
        FakeState::Ringing => "ringing",
        FakeState::Answered => "in-progress",
        FakeState::Ended(_) => "ended",
    }
}

fn reason(ending: FakeEnding) -> &'static str {
    match ending {
        FakeEnding::Completed => "customer-ended-call",
        FakeEnding::Busy => "customer-busy",
        FakeEnding::NoAnswer => "customer-did-not-answer",
        FakeEnding::Rejected => "call.in-progress.error-providerfault-outbound-sip-403-forbidden",
        FakeEnding::InvalidNumber => "twilio-failed-to-connect-call",
        FakeEnding::Failed => "call.in-progress.error-sip-outbound-call-failed-to-connect",
        FakeEnding::Cancelled => "manually-canceled",
        FakeEnding::NeverDialed => "call.start.error-subscription-concurrency-limit-reached",
    }
}

fn shown(call: &FakeCall) -> Value {
    let asked = |name: &str| &call.asked[name];
    let created = rfc3339(call.created);
    json!({
        "id": call.id, "orgId": call.other, "type": "outboundPhoneCall", "createdAt": created,
        "updatedAt": created, "status": words(call.state), "name": asked("name"),
        "assistantId": asked("assistantId"), "phoneNumberId": asked("phoneNumberId"),
        "customer": asked("customer"), "assistantOverrides": asked("assistantOverrides"),
        "endedReason": call.ending().map(reason),
    })
}

impl Adapter for Vapi {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["call"]) => Route::Create,
            ("GET", ["call"]) => Route::Find,
            ("GET", ["call", id]) => Route::Status((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.authorized_by(&format!("Bearer {}", keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/assistantId")?;
        let name = ask.text("/name");
        if name.is_some_and(|name| name.len() > 40) {
            return Err("name must be shorter than or equal to 40 characters".to_owned());
        }
        let (from, to) = (
            ask.needed("/phoneNumberId")?,
            ask.needed("/customer/number")?,
        );
        Ok(Placing::new(from, to).callback(ask.text("/assistantOverrides/server/url")))
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let mut body = shown(call);
        body["status"] = "queued".into();
        body["subscriptionLimits"] = json!({
            "concurrencyBlocked": false, "concurrencyLimit": 10, "remainingConcurrentCalls": 9,
        });
        Answer::new(201, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let body = json!({"message": code, "error": code, "statusCode": status});
        Answer::new(status, body)
    }

    fn failure(&self, call: &FakeCall) -> Option<(Answer, bool)> {
        let mut body = shown(call);
        body["subscriptionLimits"] = json!({
            "concurrencyBlocked": true, "concurrencyLimit": 10, "remainingConcurrentCalls": 0,
        });
        Some((Answer::new(201, body), true))
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let text = |call: &FakeCall, name: &str| {
            let text = call.asked[name].as_str();
            text.unwrap_or_default().to_owned()
        };
        let fits = |call: &&&FakeCall| {
            ask.wants("assistantId", &text(call, "assistantId"))
                && ask.wants("phoneNumberId", &text(call, "phoneNumberId"))
                && since(call, ask.queried("createdAtGe"))
        };
        let found = calls.iter().rev().filter(fits);
        Answer::new(200, found.map(|call| shown(call)).collect())
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, shown(call))
    }

    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let mut call = call.clone();
        call.state = state;
        let message = |kind: &str| {
            let mut message = json!({"type": kind, "timestamp": millis(), "call": shown(&call)});
            if let FakeState::Ended(ending) = state {
                message["endedReason"] = reason(ending).into();
            }
            if kind == "status-update" {
                message["status"] = words(state).into();
            }
            Report::json(url, &json!({"message": message}))
        };
        let kinds = match state {
            FakeState::Ended(_) => &["status-update", "end-of-call-report"][..],
            _ => &["status-update"],
        };
        let wanted = call.asked.pointer("/assistantOverrides/serverMessages");
        let wanted = wanted.and_then(Value::as_array);
        let wanted = |kind: &&&str| wanted.is_none_or(|all| all.iter().any(|one| one == **kind));
        kinds
            .iter()
            .filter(wanted)
            .map(|kind| message(kind))
            .collect()
    }

    /// Of the schemes that users can choose from: HMAC-SHA256 over the time and the body, in these headers.
    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let time = millis().to_string();
        let tag = sha256_hex(&keys.signing, &format!("{time}.{}", report.body));
        vec![("x-signature", tag), ("x-timestamp", time)]
    }
}
