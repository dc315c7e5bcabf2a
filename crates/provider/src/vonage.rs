use std::time::Duration;

use ring::digest;
use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Map, Value, json};
use url::Url;

use crate::ask::{self, Ring, at, bearer, caller, set, url_setting, with_variables};
use crate::echo::{self, names};
use crate::ending::sip_code;
use crate::jwt::{Claims, PrivateKey, verify};
use crate::listed::{Listed, list, pick};
use crate::signed::{self, hex, sent};
use crate::table::{REFUSALS, Row, Table, never, passing};
use crate::time::{self, Clock, rfc3339};
use crate::wire::{code, digits, id, json as read, post_json, text};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit,
};

/// Vonage, Voice API, Create an outbound call, responses.
const TABLE: Table = Table {
    provider: "Vonage",
    reset: "retry-after",
    rows: ROWS,
    others: REFUSALS,
};

const ROWS: &[Row] = &[
    // Invalid parameters, which are named.
    never(400, "check the numbers and answer_url"),
    never(
        401,
        "check application_id, vonage_private_key and this machine's clock",
    ),
    // Too many requests: more than three calls a second are rejected, not queued.
    passing(429, "calls are started faster than Vonage allows"),
];

/// Shortest and longest time to ring, in seconds (`ringing_timer`).
const RING: Ring = Ring::between(1, 120);

/// How long a token holds. It is used at once; Vonage allows up to a day.
const LIFETIME: Duration = Duration::from_secs(300);

/// A Vonage application (Voice API: calls, webhooks; signed webhooks).
///
/// Vonage connects the callee with what its answer address says, so variables go into that address's query.
#[derive(Clone, Debug)]
pub struct Vonage {
    base: Url,
    application_id: String,
    key: PrivateKey,
    /// Stands for the key where answers are searched for secrets: Vonage never sees the key itself.
    nothing: Secret,
    signature_secret: Option<Secret>,
    answer_url: Url,
    from: Option<E164>,
    clock: Clock,
}

impl Vonage {
    /// An account with these settings. Tokens are dated by the system's clock.
    ///
    /// * `application_id`: the application.
    /// * `vonage_private_key` (secret): its private key, the PEM file as it is (PKCS#8 or PKCS#1; line ends may
    ///   be written as `\n`).
    /// * `vonage_signature_secret` (secret): the account's signature secret, for signed webhooks (HS256).
    ///   Default: none; callbacks are refused.
    /// * `answer_url`: where Vonage gets what happens in the call; asked with GET, the variables and the run in
    ///   its query.
    /// * `from_number`: a number of the account. Default: the agent's caller ID.
    /// * `base_url`: default `https://api.nexmo.com`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the setting that is missing, wrong or unknown.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        const KEY: &str = "vonage_private_key";
        let pem = settings
            .secret(KEY)
            .ok_or_else(|| InvalidSettings::new(KEY, "it is missing"))?;
        let answer_url = url_setting(&mut settings, "answer_url")?;
        let account = Self {
            base: settings.base("https://api.nexmo.com")?,
            application_id: settings.required("application_id")?,
            key: PrivateKey::from_pem(pem.expose())
                .map_err(|problem| InvalidSettings::new(KEY, problem))?,
            nothing: Secret::new(""),
            signature_secret: settings.secret("vonage_signature_secret"),
            answer_url,
            from: settings.number("from_number")?,
            clock: time::system,
        };
        settings.finish()?;
        Ok(account)
    }

    /// With a token of its own (RS256).
    fn signed(&self, request: Request) -> Result<Request, Unfit> {
        let mut more = Map::new();
        let id = self.application_id.as_str();
        more.insert("application_id".to_owned(), id.into());
        let claims = Claims::new((self.clock)(), LIFETIME, more);
        let token = claims.and_then(|claims| self.key.sign(&claims));
        let token = token.map_err(|error| Unfit(error.to_string()))?;
        bearer(request, &token)
    }

    fn url(&self, call: Option<&str>) -> Result<Url, Unfit> {
        let mut segments = vec!["v1", "calls"];
        segments.extend(call);
        at(&self.base, &segments)
    }
}

impl Provider for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    fn account(&self) -> String {
        format!("vonage application {}", self.application_id)
    }

    /// Vonage, Voice API throttling: three calls started each second, more are rejected.
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 3.0,
            concurrent_calls: None,
            queues: false,
            repeatable_for: None,
            looks_up: true,
            least_ring: RING.least(),
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let from = caller(self.from.as_ref(), order, "Vonage")?;
        let mut answer_url = with_variables(&self.answer_url, order);
        answer_url.query_pairs_mut().extend_pairs(names(order));
        let mut body = json!({
            "to": [{ "type": "phone", "number": digits(&order.to) }],
            "from": { "type": "phone", "number": digits(from) },
            "answer_url": [answer_url],
            "answer_method": "GET",
            "ringing_timer": RING.seconds(order, "Vonage")?,
        });
        if let Some(url) = order.callback_with_run() {
            set(&mut body, "event_url", json!([url]));
            set(&mut body, "event_method", "POST");
        }
        self.signed(post_json(self.url(None)?, &body))
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let body = read(answer).unwrap_or_default();
        TABLE.judge(answer, id(body.get("uuid")), "", &self.nothing)
    }

    /// The list has no filter for numbers.
    fn look_up(&self, _order: &Order, asked_at: Timestamp) -> Option<Request> {
        let mut url = self.url(None).ok()?;
        url.query_pairs_mut()
            .append_pair("date_start", &rfc3339(asked_at))
            .append_pair("page_size", "100");
        self.signed(Request::new(Method::GET, url)).ok()
    }

    /// The only call between the two numbers. Calls carry nothing of ours here.
    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let calls = match list(answer, "/_embedded/calls", &self.nothing) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let from = ask::from(self.from.as_ref(), order);
        let is = |end: &Value, number: &E164| {
            let end = end.get("number").unwrap_or(end);
            end == digits(number)
        };
        let between = |call: &&Value| {
            let from = from.is_some_and(|from| is(&call["from"], from));
            from && is(&call["to"], &order.to)
        };
        let listed = calls.iter().filter(between).map(|call| Listed {
            id: id(call.get("uuid")),
            created: Some(asked_at),
            ours: None,
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(Some(provider_id)).ok()?;
        self.signed(Request::new(Method::GET, url)).ok()
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        if !answer.status.is_success() {
            return None;
        }
        progress(&read(answer).ok()?)
    }

    /// Vonage, Modify an in-progress call: hangs up, ringing or not.
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(Some(provider_id)).ok()?;
        let mut request = post_json(url, &json!({ "action": "hangup" }));
        request.method = Method::PUT;
        self.signed(request).ok()
    }

    /// Vonage, Signed webhooks: `Authorization: Bearer` and a token (HS256) whose `payload_hash` is the SHA-256
    /// of the body. A token without that claim is believed too, since not all products have it.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let secret = self
            .signature_secret
            .as_ref()
            .ok_or(Rejected::NotExpected)?;
        let claims = verify(sent(callback)?, secret.expose().as_bytes(), callback.at)?;
        if let Some(hash) = claims.get("payload_hash") {
            let digest = digest::digest(&digest::SHA256, callback.body);
            let hash = hash.as_str().unwrap_or_default();
            if !hash.eq_ignore_ascii_case(&hex(digest.as_ref())) {
                return Err(Rejected::Forged);
            }
        }
        let application = claims.get("application_id").and_then(Value::as_str);
        if application.is_some_and(|application| application != self.application_id) {
            return Err(Rejected::Forged);
        }
        let body = &signed::json(callback)?;
        let Some(progress) = progress(body) else {
            // Errors, recordings and transfers have no status of a call.
            return Ok(Vec::new());
        };
        let provider_id = id(body.get("uuid"))
            .ok_or_else(|| Rejected::Unreadable("it has a status, but no uuid".to_owned()))?;
        let (run, attempt_id) = echo::in_query(callback.url);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// Vonage, call states. Nothing waits at Vonage, so a call that is started is dialed.
fn progress(call: &Value) -> Option<Progress> {
    let status = call["status"].as_str()?;
    let ending = match status {
        "started" | "ringing" => return Some(Progress::Ringing),
        // `machine`: answered, by one.
        "answered" | "machine" => return Some(Progress::Answered),
        "completed" => Ending::Completed,
        "busy" => Ending::Busy,
        "cancelled" => Ending::Cancelled,
        "failed" => Ending::Failed,
        "rejected" => Ending::Rejected,
        // The time to ring was over, or the carrier says that nobody answered.
        "timeout" | "unanswered" => Ending::NoAnswer,
        _ => return None,
    };
    let said = text(call.get("detail")).or_else(|| text(call.get("reason")));
    Some(Progress::Ended {
        ending,
        sip_code: sip_code(&code(call.get("sip_code"))),
        said: said.unwrap_or_else(|| status.to_owned()),
    })
}

#[cfg(test)]
#[path = "vonage_tests.rs"]
mod tests;
