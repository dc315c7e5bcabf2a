//! Bandwidth, Voice API: calls, errors, Disconnect event.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, rfc3339, since};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::basic;

pub(super) struct Bandwidth;

fn cause(ending: FakeEnding) -> &'static str {
    match ending {
        FakeEnding::Completed => "hangup",
        FakeEnding::Busy => "busy",
        FakeEnding::NoAnswer => "timeout",
        FakeEnding::Rejected => "rejected",
        FakeEnding::Cancelled => "cancel",
        FakeEnding::NeverDialed => "account-limit",
        FakeEnding::InvalidNumber | FakeEnding::Failed => "error",
    }
}

fn shown(call: &FakeCall) -> Value {
    let created = rfc3339(call.created);
    let state = match call.state {
        FakeState::Queued => "queued",
        FakeState::Ringing => "initiated",
        FakeState::Answered => "answered",
        FakeState::Ended(_) => "disconnected",
    };
    json!({
        "callId": call.id, "from": call.from, "to": call.to, "direction": "outbound",
        "state": state, "enqueuedTime": created, "applicationId": call.asked["applicationId"],
        "startTime": call.rang().then_some(&created),
        "answerTime": call.answered().then_some(&created),
        "disconnectCause": call.ending().map(cause), "errorMessage": null,
    })
}

impl Adapter for Bandwidth {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["api", "v2", "accounts", _, "calls"]) => Route::Create,
            ("GET", ["api", "v2", "accounts", _, "calls"]) => Route::Find,
            ("GET", ["api", "v2", "accounts", _, "calls", id]) => Route::Status((*id).to_owned()),
            ("POST", ["api", "v2", "accounts", _, "calls", id]) => Route::Cancel((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    /// The user is called as the account here.
    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.path[3] == keys.account && ask.authorized_by(&basic(&keys.account, &keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/applicationId")?;
        ask.needed("/answerUrl")?;
        let seconds = &ask.body["callTimeout"];
        let fits = |seconds: f64| (1.0..=300.0).contains(&seconds);
        if !seconds.is_null() && !seconds.as_f64().is_some_and(fits) {
            return Err("callTimeout is from 1 to 300".to_owned());
        }
        if ask.text("/tag").is_some_and(|tag| tag.len() > 256) {
            return Err("tag has 256 characters at most".to_owned());
        }
        Ok(Placing::new(ask.needed("/from")?, ask.needed("/to")?)
            .callback(ask.text("/disconnectUrl")))
    }

    fn shape(&self) -> fn(&str) -> String {
        |digits| format!("c-{digits}")
    }

    fn placed(&self, call: &FakeCall, keys: &Keys) -> Answer {
        let mut body = shown(call);
        body["state"] = Value::Null;
        let at = format!("/api/v2/accounts/{}/calls/{}", keys.account, call.id);
        Answer::new(201, body).header("location", at)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let kind = match status {
            401 => "authentication",
            403 => "authorization",
            404 => "not-found",
            429 => "call-creation-limit",
            400..=499 => "validation",
            _ => "internal-server-error",
        };
        let body = json!({"type": kind, "description": code, "id": "00000000-0000"});
        Answer::new(status, body)
    }

    fn too_fast(&self) -> Answer {
        self.refusal(429, "Account call creation rate limit exceeded")
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let fits = |call: &&&FakeCall| {
            ask.wants("to", &call.to)
                && ask.wants("from", &call.from)
                && since(call, ask.queried("minStartTime"))
        };
        let found = calls.iter().filter(fits);
        Answer::new(200, found.map(|call| shown(call)).collect())
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, shown(call))
    }

    fn cancelled(&self, _: &FakeCall) -> Answer {
        Answer::new(200, Value::Null)
    }

    /// Only the end goes to `disconnectUrl`; the answer goes to `answerUrl`.
    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let FakeState::Ended(ending) = state else {
            return Vec::new();
        };
        let mut body = shown(call);
        body["eventType"] = "disconnect".into();
        body["eventTime"] = rfc3339(jiff::Timestamp::now()).into();
        body["cause"] = cause(ending).into();
        body["tag"] = call.asked["tag"].clone();
        vec![Report::json(url, &body)]
    }

    /// The user and the password that the request named. There is no signature.
    fn sign(&self, _: &Report, call: &FakeCall, _: &Keys) -> Vec<(&'static str, String)> {
        let text = |name: &str| call.asked[name].as_str().unwrap_or_default();
        vec![("authorization", basic(text("username"), text("password")))]
    }
}
