use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::HMAC_SHA256;
use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{self, Ring, at, set};
use crate::echo;
use crate::listed::{Listed, list, pick};
use crate::signed::{field, fits, form, query, unreadable};
use crate::table::{Row, Table, never, passing};
use crate::time::{parse_rfc3339, rfc3339, seconds};
use crate::wire::{clean, code, digits, id, post_json};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit, wire,
};

/// Plivo, API overview, HTTP status codes. Every 5xx is a doubt.
const TABLE: Table = Table {
    provider: "Plivo",
    reset: "retry-after",
    rows: ROWS,
    others: &[],
};

const ROWS: &[Row] = &[
    // A parameter is missing or invalid.
    never(
        400,
        "correct the settings of this account, and check the numbers",
    ),
    // Authentication failed.
    never(401, "check auth_id and plivo_auth_token"),
    // No permission for the country, or the account is not verified.
    never(
        403,
        "verify the account, and allow the country in its geographic permissions",
    ),
    never(404, "check auth_id and base_url"),
    never(405, "check base_url"),
    // CPS limit reached.
    passing(429, "it is asked again more slowly"),
];

/// In seconds: the helper libraries ask for 120 where nothing is said.
const RING: Ring = Ring::between(1, 120);

const SIGNATURE: &str = "X-Plivo-Signature-V3";
const NONCE: &str = "X-Plivo-Signature-V3-Nonce";

/// The moment of the request in the address that a call reports to.
const ASKED: &str = "asked_at";

/// An account at Plivo (Call API).
///
/// A request is answered with its own UUID, and a record is kept under the call's. Nothing documented says that they are
/// the same, though the helper libraries' examples have the same in both. So a call's identifier here is the request's
/// UUID, and behind an `@` who calls whom since when, by which its record is found in any case: `UUID@FROM-TO-SECONDS`.
/// One without that is a call's UUID.
#[derive(Clone, Debug)]
pub struct Plivo {
    base: Url,
    auth_id: String,
    auth_token: Secret,
    answer_url: Url,
    from: Option<E164>,
}

impl Plivo {
    /// From these settings:
    ///
    /// * `auth_id`: the account; it has to be there.
    /// * secret `plivo_auth_token`: its auth token, which also signs its callbacks; it has to be there.
    /// * `answer_url`: where Plivo fetches the call's XML, with the variables in its query; it has to be there. SIP
    ///   headers are not sent: Plivo gives them other names and takes letters and digits only.
    /// * `from_number`: the number to call from; by default the agent's.
    /// * `base_url`: by default `https://api.plivo.com`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let plivo = Self {
            base: settings.base("https://api.plivo.com")?,
            auth_id: ask::id_setting(&mut settings, "auth_id")?,
            auth_token: settings.credential("plivo_auth_token")?,
            answer_url: ask::url_setting(&mut settings, "answer_url")?,
            from: settings.number("from_number")?,
        };
        settings.finish()?;
        Ok(plivo)
    }

    /// Under the account; without a slash at its end the path is redirected.
    fn url(&self, segments: &[&str]) -> Result<Url, Unfit> {
        let account = ["v1", "Account", &self.auth_id];
        at(&self.base, &[&account, segments, &[""]].concat())
    }

    /// Records of ended calls between two numbers (Plivo, Call API, retrieve all call details).
    fn records(&self, from: &str, to: &str, since: Option<&str>) -> Option<Request> {
        let mut url = self.url(&["Call"]).ok()?;
        url.query_pairs_mut()
            .append_pair("call_direction", "outbound")
            .append_pair("from_number", from)
            .append_pair("to_number", to)
            .extend_pairs(since.map(|since| ("end_time__gte", since)))
            .append_pair("limit", "20");
        Some(self.basic(Request::new(Method::GET, url)))
    }

    fn basic(&self, request: Request) -> Request {
        request.basic(&self.auth_id, self.auth_token.expose())
    }
}

impl Provider for Plivo {
    fn name(&self) -> &'static str {
        "plivo"
    }

    fn account(&self) -> String {
        format!("plivo {}", self.auth_id)
    }

    /// Two calls a second, the rest waits in a queue (Plivo, Call API, rate limits).
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 2.0,
            concurrent_calls: None,
            queues: true,
            repeatable_for: None,
            looks_up: true,
            least_ring: RING.least(),
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let from = ask::caller(self.from.as_ref(), order, "Plivo")?;
        if *from == order.to {
            return Err(Unfit(format!(
                "Plivo does not call {from} from itself; give another from_number"
            )));
        }
        let mut body = json!({
            "from": digits(from),
            "to": digits(&order.to),
            "answer_url": ask::with_variables(&self.answer_url, order).as_str(),
            "answer_method": "POST",
            "ring_timeout": RING.seconds(order, "Plivo")?,
        });
        if let Some(mut url) = order.callback_with_run() {
            let asked_at = seconds(order.asked_at()).to_string();
            url.query_pairs_mut().append_pair(ASKED, &asked_at);
            for name in ["ring", "hangup"] {
                set(&mut body, &format!("{name}_url"), url.as_str());
                set(&mut body, &format!("{name}_method"), "POST");
            }
        }
        Ok(self.basic(post_json(self.url(&["Call"])?, &body)))
    }

    fn outcome(&self, order: &Order, answer: &Response) -> Outcome {
        let body = wire::json(answer).unwrap_or_default();
        let from = ask::from(self.from.as_ref(), order);
        let call = id(body.get("request_uuid")).zip(from).map(|(uuid, from)| {
            let asked_at = seconds(order.asked_at());
            format!("{uuid}@{}-{}-{asked_at}", digits(from), digits(&order.to))
        });
        TABLE.judge(answer, call, "", &self.auth_token)
    }

    fn look_up(&self, order: &Order, _asked_at: Timestamp) -> Option<Request> {
        let from = ask::from(self.from.as_ref(), order)?;
        self.records(digits(from), digits(&order.to), None)
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let Some(from) = ask::from(self.from.as_ref(), order) else {
            return Found::Nothing;
        };
        match list(answer, "/objects", &self.auth_token) {
            Ok(calls) => among(&calls, "", digits(from), digits(&order.to), asked_at),
            Err(unreadable) => unreadable,
        }
    }

    /// The records that its own can be among; calls that have not ended have none.
    fn status(&self, provider_id: &str) -> Option<Request> {
        match asked(provider_id) {
            Some(Asked {
                from, to, since, ..
            }) => {
                let since = rfc3339(since).replace('T', " ").replace('Z', "");
                self.records(from, to, Some(&since))
            }
            None => {
                let url = self.url(&["Call", provider_id]).ok()?;
                Some(self.basic(Request::new(Method::GET, url)))
            }
        }
    }

    fn progress(&self, provider_id: &str, answer: &Response) -> Option<Progress> {
        let call = match asked(provider_id) {
            None => wire::shown(answer)?,
            Some(Asked {
                uuid,
                from,
                to,
                since,
            }) => {
                let calls = list(answer, "/objects", &self.auth_token).ok()?;
                let Found::Call { provider_id } = among(&calls, uuid, from, to, since) else {
                    return None;
                };
                let is_it = |call: &Value| call["call_uuid"] == provider_id.as_str();
                calls.into_iter().find(is_it)?
            }
        };
        let cause = code(call.get("hangup_cause_code"));
        let name = call.get("hangup_cause_name").and_then(Value::as_str);
        (!cause.is_empty()).then(|| hung_up(&cause, "", name))
    }

    /// Hangs up what was not answered yet, by the request; or a call (Plivo, Call API, hang up a call request; hang up
    /// a call).
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let segments = match asked(provider_id) {
            Some(Asked { uuid, .. }) => ["Request", uuid],
            None => ["Call", provider_id],
        };
        let url = self.url(&segments).ok()?;
        Some(self.basic(Request::new(Method::DELETE, url)))
    }

    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let header = |name| callback.header(name).ok_or(Rejected::Unsigned(name));
        let (signatures, nonce) = (header(SIGNATURE)?, header(NONCE)?);
        let message = signed_text(callback, nonce);
        // One for each token that is valid.
        let genuine = signatures.split(',').any(|signature| {
            let tag = STANDARD.decode(signature.trim()).unwrap_or_default();
            fits(HMAC_SHA256, &self.auth_token, message.as_bytes(), &tag)
        });
        if !genuine {
            return Err(Rejected::Forged);
        }
        let posted = callback.method != "GET";
        let fields = form(if posted {
            callback.body
        } else {
            query(callback.url).as_bytes()
        });
        let provider_id =
            named(&fields, callback.url).ok_or_else(|| unreadable("it names no call"))?;
        let status = field(&fields, "CallStatus");
        let cause = field(&fields, "HangupCauseCode");
        let progress = match (cause, status, field(&fields, "Event")) {
            (None, None, _) => return Ok(Vec::new()),
            (Some(_), _, _) | (_, _, Some("Hangup")) => {
                let name = field(&fields, "HangupCauseName").or(status);
                hung_up(cause.unwrap_or_default(), status.unwrap_or_default(), name)
            }
            (None, Some("ringing"), _) => Progress::Ringing,
            (None, Some("in-progress"), _) => Progress::Answered,
            (None, Some(_), _) => return Err(unreadable("its CallStatus is not known")),
        };
        let (run, attempt_id) = echo::in_query(callback.url);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// A call by its request.
struct Asked<'a> {
    uuid: &'a str,
    from: &'a str,
    to: &'a str,
    since: Timestamp,
}

/// Reads an identifier; `None` if it is a call's UUID.
fn asked(provider_id: &str) -> Option<Asked<'_>> {
    let (uuid, rest) = provider_id.rsplit_once('@')?;
    let mut parts = rest.split('-');
    let (from, to, since) = (parts.next()?, parts.next()?, parts.next()?);
    let since: i64 = since.parse().ok()?;
    let since = Timestamp::from_micros(since.saturating_mul(1_000_000));
    Some(Asked {
        uuid,
        from,
        to,
        since,
    })
}

/// The record of the call between these numbers: the one that has the request's UUID, else the only one since then.
fn among(calls: &[Value], uuid: &str, from: &str, to: &str, since: Timestamp) -> Found {
    let is = |value: &Value, digits: &str| {
        let named = value.as_str().map(|named| named.trim_start_matches('+'));
        named == Some(digits)
    };
    let between = |call: &&Value| is(&call["to_number"], to) && is(&call["from_number"], from);
    let listed = calls.iter().filter(between).map(|call| Listed {
        id: id(call.get("call_uuid")),
        created: call["initiation_time"].as_str().and_then(parse_rfc3339),
        ours: (call["call_uuid"] == uuid).then_some(true),
    });
    pick(listed.collect(), since)
}

/// The identifier of the call that a callback speaks of, as its request was answered, if the callback tells all of it.
fn named(fields: &[(String, String)], url: &str) -> Option<String> {
    let uuid = |names: &[&str]| {
        let uuid = names.iter().find_map(|name| field(fields, name))?;
        id(Some(&Value::from(uuid)))
    };
    let digits = |name: &str| {
        let digits = field(fields, name)?.trim_start_matches('+');
        let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        good.then_some(digits)
    };
    let Some(request) = uuid(&["RequestUUID", "ALegRequestUUID"]) else {
        return uuid(&["CallUUID"]);
    };
    let query = form(query(url).as_bytes());
    let asked_at = field(&query, ASKED).filter(|at| at.parse::<i64>().is_ok());
    Some(match (digits("From"), digits("To"), asked_at) {
        (Some(from), Some(to), Some(asked_at)) => format!("{request}@{from}-{to}-{asked_at}"),
        _ => request,
    })
}

/// Plivo, Signature validation V3, as its helper libraries do it: the address, its query sorted, the form's fields
/// sorted, the nonce.
fn signed_text(callback: &Callback<'_>, nonce: &str) -> String {
    let address = callback.url.split(['?', '#']).next().unwrap_or_default();
    let sorted = |bytes: &[u8], between: &str| -> Vec<String> {
        let mut fields = form(bytes);
        fields.sort();
        let text = |(name, value): &(String, String)| format!("{name}{between}{value}");
        fields.iter().map(text).collect()
    };
    let query = sorted(query(callback.url).as_bytes(), "=").join("&");
    let posted = callback.method != "GET" && !callback.body.is_empty();
    let fields = if posted {
        sorted(callback.body, "").concat()
    } else {
        String::new()
    };
    let mark = if query.is_empty() && !posted { "" } else { "?" };
    let dot = if query.is_empty() || !posted { "" } else { "." };
    format!("{address}{mark}{query}{dot}{fields}.{nonce}")
}

/// Plivo, Hangup causes; without a cause by the status. There is no SIP response in it.
fn hung_up(cause: &str, status: &str, name: Option<&str>) -> Progress {
    let ending = match (cause, status) {
        // Called off before it was answered.
        ("1000", _) => Ending::Cancelled,
        // Out of credit; too many calls are dialed at once.
        ("1010" | "1020", _) => Ending::NeverDialed,
        // The country or the number is barred.
        ("2030" | "2040", _) => Ending::NeverDialed,
        // Invalid destination.
        ("2000", _) => Ending::InvalidNumber,
        // No answer, busy, rejected.
        ("3000", _) => Ending::NoAnswer,
        ("3010", _) => Ending::Busy,
        ("3020", _) => Ending::Rejected,
        // Normal hangup, end of the XML.
        ("4000" | "4010", _) => Ending::Completed,
        ("", "completed") => Ending::Completed,
        ("", "busy") => Ending::Busy,
        ("", "no-answer" | "timeout") => Ending::NoAnswer,
        ("", "cancel") => Ending::Cancelled,
        // Unknown, out of service, and whatever else there is.
        _ => Ending::Failed,
    };
    Progress::Ended {
        ending,
        sip_code: None,
        said: clean(name.unwrap_or(cause)),
    }
}

#[cfg(test)]
#[path = "plivo_tests.rs"]
mod tests;
