//! What differs between services.

use std::time::Duration;

use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::books::{FakeCall, FakeState};
use super::keys::Keys;

/// A request that was read.
pub(super) struct Ask {
    pub(super) method: Method,
    /// The path's segments, decoded, without empty ones.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// A form or JSON; of a form, names that occur more than once are lists. Null for anything else.
    pub(super) body: Value,
    /// Its media type.
    pub(super) media_type: String,
}

impl Ask {
    pub(super) fn is_json(&self) -> bool {
        self.media_type == "application/json"
    }

    /// The method and the path's segments, to match on.
    pub(super) fn line(&self) -> (&str, Vec<&str>) {
        let path = self.path.iter().map(String::as_str).collect();
        (self.method.as_str(), path)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// A field of the query.
    pub(super) fn queried(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the query asks for nothing else than this value in this field.
    pub(super) fn wants(&self, name: &str, value: &str) -> bool {
        self.queried(name).is_none_or(|wanted| wanted == value)
    }

    /// A text of the body that has to be there and not empty.
    pub(super) fn needed(&self, pointer: &str) -> Result<&str, String> {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| format!("{} is required", pointer.trim_start_matches('/')))
    }

    /// A text of the body.
    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    }

    /// Whether `Authorization` is exactly this.
    pub(super) fn authorized_by(&self, expected: &str) -> bool {
        self.header("authorization") == expected
    }
}

/// The fields of a form, as an object.
pub(super) fn form(bytes: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(bytes).into_owned() {
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(one) => *one = Value::Array(vec![one.take(), value.into()]),
        }
    }
    Value::Object(fields)
}

/// What a request is for.
pub(super) enum Route {
    /// To place a call.
    Create,
    /// For something that has to be there before a call is placed.
    Prepare,
    /// To list calls.
    Find,
    /// To read a call.
    Status(String),
    /// To call a call off, or to hang it up.
    Cancel(String),
    /// Nothing that the service has.
    Nothing,
}

/// The call that a request asks for.
pub(super) struct Placing {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) key: Option<String>,
    pub(super) callback: Option<String>,
}

impl Placing {
    pub(super) fn new(from: &str, to: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            key: None,
            callback: None,
        }
    }

    pub(super) fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    pub(super) fn callback(mut self, callback: Option<String>) -> Self {
        self.callback = callback;
        self
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Null for none.
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Something that a service reports of a call.
#[derive(Clone)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) media_type: &'static str,
    pub(super) body: String,
}

impl Report {
    pub(super) fn json(url: &str, body: &Value) -> Self {
        Self {
            url: url.to_owned(),
            media_type: "application/json",
            body: body.to_string(),
        }
    }

    pub(super) fn form(url: &str, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        Self {
            url: url.to_owned(),
            media_type: "application/x-www-form-urlencoded",
            body: form.finish(),
        }
    }
}

/// A service's own shapes, from its documents.
pub(super) trait Adapter: Send + Sync {
    /// What a request is for, by its method and path.
    fn route(&self, ask: &Ask) -> Route;

    /// Whether its credentials are right.
    fn allows(&self, ask: &Ask, keys: &Keys) -> bool;

    /// The call that it asks for.
    ///
    /// # Errors
    /// What is wrong with it; it is refused with 400 then.
    fn placing(&self, ask: &Ask) -> Result<Placing, String>;

    /// The answer to a request for something that has to be there before a call is placed.
    ///
    /// # Errors
    /// What is wrong with it; it is refused with 400 then.
    fn prepares(&self, ask: &Ask) -> Result<Answer, String> {
        let _ = ask;
        Err("there is nothing to prepare".to_owned())
    }

    /// How long the service knows the key of a request.
    fn repeatable(&self) -> Option<Duration> {
        None
    }

    /// A call's name, from 32 hexadecimal digits.
    fn shape(&self) -> fn(&str) -> String {
        uuid
    }

    /// The answer to a request that is accepted.
    fn placed(&self, call: &FakeCall, keys: &Keys) -> Answer;

    /// A refusal, with the service's code or in words.
    fn refusal(&self, status: u16, code: &str) -> Answer;

    /// A refusal of what comes too fast; how long to wait is said by the headers that it already has.
    fn too_fast(&self) -> Answer {
        self.refusal(429, "Too Many Requests")
    }

    /// The header in which it tells the seconds to wait.
    fn wait_header(&self) -> &'static str {
        "retry-after"
    }

    /// The success that means failure, and whether there is a call all the same.
    fn failure(&self, call: &FakeCall) -> Option<(Answer, bool)> {
        let _ = call;
        None
    }

    /// Whether a request means this call.
    fn is(&self, call: &FakeCall, name: &str) -> bool {
        call.id == name
    }

    /// The answer to a request for a list, of all calls there are.
    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let _ = (ask, calls);
        self.refusal(404, "Not Found")
    }

    /// The answer to a request for one call.
    fn status(&self, call: &FakeCall) -> Answer {
        let _ = call;
        self.refusal(404, "Not Found")
    }

    /// The answer to a request that calls a call off, which it now is.
    fn cancelled(&self, call: &FakeCall) -> Answer {
        let _ = call;
        Answer::new(204, Value::Null)
    }

    /// Whether a call can be called off by this request.
    ///
    /// # Errors
    /// The status and the code of the refusal.
    fn cancels(&self, ask: &Ask, call: &FakeCall) -> Result<(), (u16, &'static str)> {
        let _ = ask;
        match call.ending() {
            None => Ok(()),
            Some(_) => Err((400, "the call is over")),
        }
    }

    /// What is reported to this address when a call gets into this state.
    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let _ = (call, state, url);
        Vec::new()
    }

    /// The headers that show who reports.
    fn sign(&self, report: &Report, call: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let _ = (report, call, keys);
        Vec::new()
    }
}

/// 32 hexadecimal digits as they are.
pub(super) fn plain(digits: &str) -> String {
    digits.to_owned()
}

/// 32 hexadecimal digits in the form of a UUID.
pub(super) fn uuid(digits: &str) -> String {
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    parts.join("-")
}

/// A number with its plus sign.
pub(super) fn plus(digits: &str) -> String {
    format!("+{}", digits.trim_start_matches('+'))
}

/// A number without its plus sign.
pub(super) fn bare(number: &str) -> &str {
    number.trim_start_matches('+')
}

/// As in mail (RFC 5322).
pub(super) fn rfc2822(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// With milliseconds (RFC 3339).
pub(super) fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Whether a call was accepted at this moment (RFC 3339) or later; so is every call if it is no moment.
pub(super) fn since(call: &FakeCall, moment: Option<&str>) -> bool {
    let moment = moment.and_then(|moment| moment.parse::<Timestamp>().ok());
    moment.is_none_or(|moment| call.created >= moment)
}
