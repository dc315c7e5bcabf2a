//! Twilio (Calls resource, Validating requests) and SignalWire (Compatibility API, Calls), which is shaped after it.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, rfc2822};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{basic, sha1};

pub(super) struct Laml {
    /// The path up to the account.
    path: &'static [&'static str],
    suffix: &'static str,
    created: u16,
    signature: &'static str,
    docs: &'static str,
    signalwire: bool,
}

pub(super) static TWILIO: Laml = Laml {
    path: &["2010-04-01", "Accounts"],
    suffix: ".json",
    created: 201,
    signature: "x-twilio-signature",
    docs: "https://www.twilio.com/docs/errors/",
    signalwire: false,
};

pub(super) static SIGNALWIRE: Laml = Laml {
    path: &["api", "laml", "2010-04-01", "Accounts"],
    suffix: "",
    created: 200,
    signature: "x-signalwire-signature",
    docs: "https://developer.signalwire.com/rest/error-codes#",
    signalwire: true,
};

impl Laml {
    fn call(&self, call: &FakeCall) -> Value {
        let created = rfc2822(call.created);
        let mut shown = json!({
            "sid": call.id, "from": call.from, "to": call.to, "status": words(call.state),
            "direction": "outbound-api", "date_created": created, "date_updated": created,
            "start_time": call.rang().then_some(created), "duration": null, "answered_by": null,
        });
        if self.signalwire {
            let code = call.ending().and_then(FakeEnding::sip);
            shown["sip_result_code"] = code.map(|code| code.to_string()).into();
        }
        shown
    }
}

/// Twilio, Calls resource, call status values.
fn words(state: FakeState) -> &'static str {
    match state {
        FakeState::Queued => "queued",
        FakeState::Ringing => "ringing",
        FakeState::Answered => "in-progress",
        FakeState::Ended(ending) => match ending {
            FakeEnding::Completed => "completed",
            FakeEnding::Busy | FakeEnding::Rejected => "busy",
            FakeEnding::NoAnswer => "no-answer",
            FakeEnding::Cancelled | FakeEnding::NeverDialed => "canceled",
            FakeEnding::InvalidNumber | FakeEnding::Failed => "failed",
        },
    }
}

impl Adapter for Laml {
    fn route(&self, ask: &Ask) -> Route {
        let (method, path) = ask.line();
        let Some([_account, rest @ ..]) = path.strip_prefix(self.path) else {
            return Route::Nothing;
        };
        let Some((last, parents)) = rest.split_last() else {
            return Route::Nothing;
        };
        match (method, parents, last.strip_suffix(self.suffix)) {
            ("POST", [], Some("Calls")) => Route::Create,
            ("GET", [], Some("Calls")) => Route::Find,
            ("GET", ["Calls"], Some(id)) => Route::Status(id.to_owned()),
            ("POST", ["Calls"], Some(id)) => Route::Cancel(id.to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.path[self.path.len()] == keys.account
            && ask.authorized_by(&basic(&keys.account, &keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        if ask.is_json() {
            return Err("415".to_owned());
        }
        let instructions = ["/Url", "/Twiml", "/ApplicationSid"];
        if !instructions.iter().any(|name| ask.needed(name).is_ok()) {
            return Err("21205".to_owned());
        }
        let (from, to) = (ask.needed("/From"), ask.needed("/To"));
        let from = from.map_err(|_| "21213")?;
        let to = to.map_err(|_| "21201")?;
        Ok(Placing::new(from, to).callback(ask.text("/StatusCallback")))
    }

    fn shape(&self) -> fn(&str) -> String {
        |digits| format!("CA{digits}")
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let mut body = self.call(call);
        // It is dialed when its turn comes.
        body["status"] = "queued".into();
        body["start_time"] = Value::Null;
        Answer::new(self.created, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let number = code.parse::<u32>().unwrap_or(20_000 + u32::from(status));
        let body = json!({
            "code": number, "message": format!("error {code}"), "status": status,
            "more_info": format!("{}{number}", self.docs),
        });
        Answer::new(status, body)
    }

    fn too_fast(&self) -> Answer {
        self.refusal(429, "20429")
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let fits = |call: &&&FakeCall| {
            ask.wants("To", &call.to)
                && ask.wants("From", &call.from)
                && ask.wants("Status", words(call.state))
        };
        let found = calls.iter().rev().filter(fits);
        let found: Value = found.map(|call| self.call(call)).collect();
        Answer::new(200, json!({"calls": found, "page": 0, "page_size": 50}))
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, self.call(call))
    }

    fn cancelled(&self, call: &FakeCall) -> Answer {
        Answer::new(200, self.call(call))
    }

    /// `canceled` does not touch a call that is up; `completed` does.
    fn cancels(&self, ask: &Ask, call: &FakeCall) -> Result<(), (u16, &'static str)> {
        let wanted = ask.text("/Status").unwrap_or_default();
        match (wanted.as_str(), call.state) {
            (_, FakeState::Ended(_)) | ("canceled", FakeState::Answered) => Err((400, "21220")),
            ("canceled" | "completed", _) => Ok(()),
            _ => Err((400, "20001")),
        }
    }

    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        // (The event that is subscribed to, the status.)
        let events = match state {
            FakeState::Queued => vec![],
            FakeState::Ringing => vec![("initiated", "initiated"), ("ringing", "ringing")],
            FakeState::Answered => vec![("answered", "in-progress")],
            FakeState::Ended(_) => vec![("completed", words(state))],
        };
        let wanted = &call.asked["StatusCallbackEvent"];
        let wanted = |event: &str| match wanted {
            Value::Array(events) => events.iter().any(|other| other == event),
            Value::String(events) => events == event,
            _ => event == "completed",
        };
        let events = events.into_iter().filter(|(event, _)| wanted(event));
        let report = |(_, status): (&str, &str)| {
            let place = call.history.iter().position(|other| *other == state);
            let number = place.unwrap_or_default() + usize::from(status != "initiated");
            let (number, now) = (number.to_string(), rfc2822(jiff::Timestamp::now()));
            let code = match state {
                FakeState::Ended(ending) => ending.sip().map(|code| code.to_string()),
                _ => None,
            };
            let mut fields = vec![
                ("CallSid", call.id.as_str()),
                ("From", &call.from),
                ("To", &call.to),
                ("Direction", "outbound-api"),
                ("CallStatus", status),
                ("SequenceNumber", &number),
                ("Timestamp", &now),
                ("CallbackSource", "call-progress-events"),
            ];
            fields.extend(code.as_ref().map(|code| ("SipResponseCode", code.as_str())));
            Report::form(url, &fields)
        };
        events.map(report).collect()
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let fields = url::form_urlencoded::parse(report.body.as_bytes()).into_owned();
        let mut fields: Vec<(String, String)> = fields.collect();
        fields.sort();
        let fields: String = fields
            .into_iter()
            .map(|(name, value)| name + &value)
            .collect();
        let message = format!("{}{fields}", report.url);
        vec![(self.signature, sha1(&keys.signing, &message))]
    }
}
