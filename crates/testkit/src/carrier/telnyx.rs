//! Telnyx, Call Control: Dial, List call events, webhooks.

use std::time::Duration;

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, rfc3339, since, uuid};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{base64, ed25519, now};

pub(super) struct Telnyx;

fn control(call: &FakeCall) -> String {
    format!("v3:{}", call.other)
}

/// What happened to a call: its states' events, with their payloads.
fn event(call: &FakeCall, state: FakeState) -> Option<(&'static str, Value)> {
    let mut payload = json!({
        "call_control_id": control(call), "call_leg_id": call.id,
        "call_session_id": call.other, "client_state": call.asked["client_state"],
        "connection_id": call.asked["connection_id"], "from": call.from, "to": call.to,
    });
    let name = match state {
        FakeState::Queued => return None,
        FakeState::Ringing => "call.initiated",
        FakeState::Answered => "call.answered",
        FakeState::Ended(ending) => {
            payload["hangup_cause"] = cause(ending).into();
            payload["hangup_source"] = "callee".into();
            let code = ending.sip().filter(|code| *code != 200);
            let code = code.map_or("unspecified".to_owned(), |code| code.to_string());
            payload["sip_hangup_cause"] = code.into();
            "call.hangup"
        }
    };
    Some((name, payload))
}

fn cause(ending: FakeEnding) -> &'static str {
    match ending {
        FakeEnding::Completed => "normal_clearing",
        FakeEnding::Busy => "user_busy",
        FakeEnding::NoAnswer => "no_answer",
        FakeEnding::Rejected => "call_rejected",
        FakeEnding::InvalidNumber => "not_found",
        FakeEnding::Cancelled => "originator_cancel",
        FakeEnding::Failed | FakeEnding::NeverDialed => "unspecified",
    }
}

impl Adapter for Telnyx {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v2", "calls"]) => Route::Create,
            ("GET", ["v2", "call_events"]) => Route::Find,
            ("GET", ["v2", "calls", id]) => Route::Status((*id).to_owned()),
            ("POST", ["v2", "calls", id, "actions", "hangup"]) => Route::Cancel((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.authorized_by(&format!("Bearer {}", keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/connection_id")?;
        let seconds = &ask.body["timeout_secs"];
        let fits = |seconds: u64| (5..=600).contains(&seconds);
        if !seconds.is_null() && !seconds.as_u64().is_some_and(fits) {
            return Err("timeout_secs is from 5 to 600".to_owned());
        }
        Ok(Placing::new(ask.needed("/from")?, ask.needed("/to")?)
            .key(ask.text("/command_id"))
            .callback(ask.text("/webhook_url")))
    }

    fn repeatable(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    fn shape(&self) -> fn(&str) -> String {
        uuid
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        self.status(call)
    }

    /// A code of the SIP side, such as D35, stands in the words.
    fn refusal(&self, status: u16, code: &str) -> Answer {
        let sip = code.starts_with('D');
        let number = if sip { "10010" } else { code };
        let detail = match sip {
            true => format!("The call could not be placed: {code}"),
            false => format!("Error {code}"),
        };
        let error = json!({"code": number, "title": "Request refused", "detail": detail});
        Answer::new(status, json!({"errors": [error]}))
    }

    fn too_fast(&self) -> Answer {
        self.refusal(429, "90103")
    }

    fn wait_header(&self) -> &'static str {
        "x-ratelimit-reset"
    }

    fn is(&self, call: &FakeCall, name: &str) -> bool {
        control(call) == name
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let fits = |call: &&&FakeCall| {
            ask.wants("filter[to]", &call.to)
                && ask.wants("filter[from]", &call.from)
                && ask.wants("filter[leg_id]", &call.id)
                && since(call, ask.queried("filter[occurred_at][gte]"))
        };
        let mut events = Vec::new();
        for call in calls.iter().filter(fits) {
            let happened = call.history.iter().filter_map(|state| event(call, *state));
            for (name, payload) in happened.filter(|(name, _)| ask.wants("filter[name]", name)) {
                events.push(json!({
                    "record_type": "call_event", "type": "webhook", "name": name,
                    "call_leg_id": call.id, "call_session_id": call.other,
                    "event_timestamp": rfc3339(call.created),
                    "metadata": {"body": {"data": {"event_type": name, "payload": payload}}},
                }));
            }
        }
        Answer::new(200, json!({"data": events, "meta": {"page_number": 1}}))
    }

    fn status(&self, call: &FakeCall) -> Answer {
        let data = json!({
            "record_type": "call", "call_control_id": control(call), "call_leg_id": call.id,
            "call_session_id": call.other, "is_alive": call.ending().is_none(),
            "client_state": call.asked["client_state"],
        });
        Answer::new(200, json!({"data": data}))
    }

    fn cancelled(&self, _: &FakeCall) -> Answer {
        Answer::new(200, json!({"data": {"result": "ok"}}))
    }

    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let report = |(name, payload): (&str, Value)| {
            let data = json!({
                "record_type": "event", "event_type": name, "id": call.other,
                "occurred_at": rfc3339(jiff::Timestamp::now()), "payload": payload,
            });
            Report::json(
                url,
                &json!({"data": data, "meta": {"attempt": 1, "delivered_to": url}}),
            )
        };
        event(call, state).map(report).into_iter().collect()
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let time = now().to_string();
        let message = format!("{time}|{}", report.body);
        let signature = ed25519(&keys.signing).sign(message.as_bytes());
        vec![
            ("telnyx-timestamp", time),
            ("telnyx-signature-ed25519", base64(signature)),
        ]
    }
}
