//! Plivo, Call API: make a call, call records, hang up a request or a call, hangup causes; signature validation V3.
//!
//! A call goes by two names that have nothing to do with each other: its request's, and its own in its record.

use serde_json::{Value, json};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route, bare, plus, uuid};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{basic, sha256};

pub(super) struct Plivo;

/// Code and name; 1000 and above are documented, 3000 to 3020 are known from calls.
fn cause(ending: FakeEnding) -> (u16, &'static str) {
    match ending {
        FakeEnding::Completed => (4000, "Normal Hangup"),
        FakeEnding::Busy => (3010, "Busy Line"),
        FakeEnding::NoAnswer => (3000, "No Answer"),
        FakeEnding::Rejected => (3020, "Rejected"),
        FakeEnding::InvalidNumber => (2000, "Invalid Destination Address"),
        FakeEnding::Failed => (0, "Unknown"),
        FakeEnding::Cancelled => (1000, "Cancelled"),
        FakeEnding::NeverDialed => (1010, "Out Of Credit"),
    }
}

/// What a request is known by, and a call is not.
fn request(uuid: &str) -> String {
    format!("request {uuid}")
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S+00:00").to_string()
}

/// A moment of a filter, in UTC to the second.
fn moment(text: &str) -> Timestamp {
    let at: DateTime = text.parse().unwrap();
    TimeZone::UTC.to_timestamp(at).unwrap()
}

/// The record of an ended call.
fn record(call: &FakeCall, ending: FakeEnding) -> Value {
    let (code, name) = cause(ending);
    let (created, ended) = (shown(call.created), call.ended.map(shown));
    json!({
        "end_time": ended,
        "call_uuid": call.other, "from_number": bare(&call.from), "to_number": bare(&call.to),
        "call_direction": "outbound", "initiation_time": created, "hangup_cause_code": code,
        "hangup_cause_name": name, "hangup_source": "Callee",
    })
}

impl Adapter for Plivo {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v1", "Account", _, "Call"]) => Route::Create,
            ("GET", ["v1", "Account", _, "Call"]) => Route::Find,
            ("GET", ["v1", "Account", _, "Call", id]) => Route::Status((*id).to_owned()),
            ("DELETE", ["v1", "Account", _, "Request", id]) => Route::Cancel(request(id)),
            ("DELETE", ["v1", "Account", _, "Call", id]) => Route::Cancel((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.path[2] == keys.account && ask.authorized_by(&basic(&keys.account, &keys.secret))
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/answer_url")?;
        let (from, to) = (ask.needed("/from")?, ask.needed("/to")?);
        if from == to {
            return Err("from and to are the same".to_owned());
        }
        Ok(Placing::new(&plus(from), &plus(to)).callback(ask.text("/hangup_url")))
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let body = json!({
            "message": "call fired", "request_uuid": call.id,
            "api_id": uuid("00000000000000000000000000000001"),
        });
        Answer::new(201, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        Answer::new(status, json!({"api_id": "0", "error": code}))
    }

    fn is(&self, call: &FakeCall, name: &str) -> bool {
        call.other == name || request(&call.id) == name
    }

    /// A request is hung up until it is answered, a call until it is over.
    fn cancels(&self, ask: &Ask, call: &FakeCall) -> Result<(), (u16, &'static str)> {
        let by_request = ask.path.iter().any(|segment| segment == "Request");
        match call.ending() {
            None if by_request && call.answered() => Err((404, "not found")),
            None => Ok(()),
            Some(_) => Err((404, "not found")),
        }
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let since = ask.queried("end_time__gte").map(moment);
        let fits = |call: &&&FakeCall| {
            let wants = |name: &str, number: &str| {
                let wanted = ask.queried(name).map(bare);
                wanted.is_none_or(|wanted| wanted == bare(number))
            };
            wants("from_number", &call.from)
                && wants("to_number", &call.to)
                && since.is_none_or(|since| call.ended.is_some_and(|ended| ended >= since))
        };
        let ended = |call: &&FakeCall| call.ending().map(|ending| record(call, ending));
        let found = calls.iter().rev().filter(fits);
        let found: Value = found.filter_map(ended).collect();
        Answer::new(
            200,
            json!({"api_id": "0", "meta": {"limit": 20}, "objects": found}),
        )
    }

    fn status(&self, call: &FakeCall) -> Answer {
        match call.ending() {
            Some(ending) => Answer::new(200, record(call, ending)),
            None => self.refusal(404, "not found"),
        }
    }

    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let mut fields = vec![
            ("RequestUUID", call.id.as_str()),
            ("CallUUID", &call.other),
            ("From", bare(&call.from)),
            ("To", bare(&call.to)),
            ("Direction", "outbound"),
        ];
        let code;
        let at = match state {
            FakeState::Ringing => {
                fields.extend([("Event", "Ring"), ("CallStatus", "ringing")]);
                call.asked["ring_url"].as_str()
            }
            FakeState::Ended(ending) => {
                let status = match ending {
                    FakeEnding::Completed => "completed",
                    FakeEnding::Busy | FakeEnding::Rejected => "busy",
                    FakeEnding::NoAnswer => "no-answer",
                    FakeEnding::Cancelled => "cancel",
                    _ => "failed",
                };
                let (number, name) = cause(ending);
                code = number.to_string();
                fields.extend([("Event", "Hangup"), ("CallStatus", status)]);
                fields.extend([
                    ("HangupCauseCode", code.as_str()),
                    ("HangupCauseName", name),
                ]);
                Some(url)
            }
            _ => None,
        };
        at.map(|at| Report::form(at, &fields)).into_iter().collect()
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let sorted = |text: &str, between: &str, joint: &str| {
            let fields = url::form_urlencoded::parse(text.as_bytes()).into_owned();
            let mut fields: Vec<_> = fields.collect();
            fields.sort();
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}{between}{value}"));
            fields.collect::<Vec<_>>().join(joint)
        };
        let (address, query) = report.url.split_once('?').unwrap_or((&report.url, ""));
        let mut base = format!("{address}?{}", sorted(query, "=", "&"));
        if !query.is_empty() {
            base.push('.');
        }
        base += &sorted(&report.body, "", "");
        let nonce = super::sign::millis().to_string();
        vec![
            (
                "x-plivo-signature-v3",
                sha256(&keys.signing, &format!("{base}.{nonce}")),
            ),
            ("x-plivo-signature-v3-nonce", nonce),
        ]
    }
}
