use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response, StatusCode};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{self, Ring, at, bearer, object, set};
use crate::echo;
use crate::ending::{by_sip, sip_code};
use crate::listed::{Listed, list, pick};
use crate::signed::{self, SKEW, fresh, moment, unreadable};
use crate::table::{Row, Table, never, never_by, passing_by};
use crate::time::{parse_rfc3339, rfc3339_millis};
use crate::wire::{clean, code, id, post_json, said};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit,
};

/// Telnyx, Dial and API error codes. Any other 429, and every 5xx, is a doubt: with the same `command_id` it can be
/// asked again.
const TABLE: Table = Table {
    provider: "Telnyx",
    reset: "x-ratelimit-reset",
    rows: ROWS,
    others: &[],
};

const ROWS: &[Row] = &[
    // Dials per second limit exceeded: rejected.
    passing_by("90103", "it is asked again more slowly"),
    // Too many requests.
    passing_by("10011", "it is asked again more slowly"),
    // Channel limits: of the account, of the outbound profile, of the connection, of the number.
    passing_by(
        "D1",
        "too many calls are up; raise the account's channel limit",
    ),
    passing_by(
        "D2",
        "too many calls are up; raise the outbound voice profile's channel limit",
    ),
    passing_by(
        "D3",
        "too many calls are up; raise the connection's channel limit",
    ),
    passing_by("D22", "too many calls are up; raise the channel limit"),
    // The caller ID is not the account's and not verified.
    never_by(
        "D35",
        "verify the caller ID in the Telnyx portal, or set from_number to a number of the account",
    ),
    // The account is not active, or out of money.
    never_by("D18", "activate the account in the Telnyx portal"),
    never_by("D19", "check the account's balance in the Telnyx portal"),
    never(400, "correct the settings of this account"),
    never(401, "check telnyx_api_key"),
    never(
        403,
        "check the account's state and permissions in the Telnyx portal",
    ),
    never(404, "check connection_id and base_url"),
    never(
        422,
        "check connection_id, the outbound voice profile and the numbers",
    ),
];

/// Telnyx, Dial, `timeout_secs`.
const RING: Ring = Ring::between(5, 600);

/// An account at Telnyx (Call Control, Dial).
///
/// A call's identifier is its leg's, which its events are found by, an `@`, and its `call_control_id`, which commands
/// need. One without an `@` is a leg whose `call_control_id` nothing told.
#[derive(Clone, Debug)]
pub struct Telnyx {
    base: Url,
    api_key: Secret,
    connection_id: String,
    from: Option<E164>,
    assistant_id: Option<String>,
    public_key: Option<Vec<u8>>,
}

impl Telnyx {
    /// From these settings:
    ///
    /// * `connection_id`: the Call Control application; it has to be there.
    /// * secret `telnyx_api_key`: the API key; it has to be there.
    /// * `assistant_id`: the AI assistant that talks, which gets the variables as its dynamic variables. Without one
    ///   the application's own server talks, and finds them under `dynamic_variables` in `client_state`.
    /// * `public_key`: the account's public key in base64, which callbacks are checked with. Callbacks are asked for
    ///   if it and an `assistant_id` are there: without an assistant they would be taken from the application.
    /// * `from_number`: the number to call from; by default the agent's.
    /// * `base_url`: by default `https://api.telnyx.com`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let public_key = match settings.text("public_key")? {
            None => None,
            Some(text) => match STANDARD.decode(text) {
                Ok(key) if key.len() == 32 => Some(key),
                _ => {
                    let problem = "expected 32 bytes in base64; copy it again from the portal";
                    return Err(InvalidSettings::new("public_key", problem));
                }
            },
        };
        let telnyx = Self {
            base: settings.base("https://api.telnyx.com")?,
            api_key: settings.credential("telnyx_api_key")?,
            connection_id: settings.required("connection_id")?,
            from: settings.number("from_number")?,
            assistant_id: settings.text("assistant_id")?,
            public_key,
        };
        settings.finish()?;
        Ok(telnyx)
    }

    /// The events that webhooks were sent for, filtered (Telnyx, List call events).
    fn events(&self, filters: &[(&str, &str)]) -> Option<Request> {
        let mut url = at(&self.base, &["v2", "call_events"]).ok()?;
        url.query_pairs_mut()
            .append_pair("filter[type]", "webhook")
            .extend_pairs(filters)
            .append_pair("page[size]", "50");
        bearer(Request::new(Method::GET, url), self.api_key.expose()).ok()
    }
}

impl Provider for Telnyx {
    fn name(&self) -> &'static str {
        "telnyx"
    }

    fn account(&self) -> String {
        format!("telnyx {}", self.connection_id)
    }

    /// 150 dials in five seconds, more are rejected; ten calls at once for a verified account. Commands with a
    /// `command_id` that was seen are ignored for 60 s (Telnyx, Dial; Receiving webhooks): half of that here, since
    /// a request may take 30 s to arrive.
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 30.0,
            concurrent_calls: Some(10),
            queues: false,
            repeatable_for: Some(Duration::from_secs(30)),
            looks_up: true,
            least_ring: RING.least(),
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let from = ask::caller(self.from.as_ref(), order, "Telnyx")?;
        let variables = object(order.texts());
        let mut state = echo::tag(order);
        let mut body = json!({
            "connection_id": self.connection_id,
            "to": order.to.as_str(),
            "from": from.as_str(),
            "timeout_secs": RING.seconds(order, "Telnyx")?,
            // It would try other routes after the timeout.
            "retry_on_timeout": false,
            "command_id": order.attempt_id,
        });
        match &self.assistant_id {
            None => set(&mut state, "dynamic_variables", variables),
            Some(id) => {
                let assistant = json!({"id": id, "dynamic_variables": variables});
                set(&mut body, "assistant", assistant);
                if let (Some(url), Some(_)) = (&order.callback, &self.public_key) {
                    set(&mut body, "webhook_url", url.as_str());
                    set(&mut body, "webhook_url_method", "POST");
                }
            }
        }
        set(
            &mut body,
            "client_state",
            STANDARD.encode(state.to_string()),
        );
        if !order.sip_headers.is_empty() {
            let header = |(name, value): &(String, String)| json!({"name": name, "value": value});
            let headers: Value = order.sip_headers.iter().map(header).collect();
            set(&mut body, "custom_headers", headers);
        }
        let request = post_json(at(&self.base, &["v2", "calls"])?, &body);
        bearer(request, self.api_key.expose())
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status.is_client_error() && tells_of_a_repeat(&said(&answer.body, &self.api_key))
        {
            // What a repeated command is answered with is not documented: the first one may have dialed.
            return TABLE.doubt(answer, &self.api_key, "");
        }
        let data = body.get("data").filter(|_| answer.cut.is_none());
        let call = data.and_then(name);
        TABLE.judge(answer, call, &error_code(&body), &self.api_key)
    }

    fn look_up(&self, order: &Order, asked_at: Timestamp) -> Option<Request> {
        let from = ask::from(self.from.as_ref(), order)?;
        self.events(&[
            ("filter[name]", "call.initiated"),
            ("filter[to]", order.to.as_str()),
            ("filter[from]", from.as_str()),
            ("filter[occurred_at][gte]", &rfc3339_millis(asked_at)),
        ])
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let events = match list(answer, "/data", &self.api_key) {
            Ok(events) => events,
            Err(unreadable) => return unreadable,
        };
        let listed = events.iter().map(|event| Listed {
            id: id(event.get("call_leg_id")),
            created: event["event_timestamp"].as_str().and_then(parse_rfc3339),
            ours: within(event, "client_state")
                .and_then(Value::as_str)
                .map(|state| {
                    echo::in_tag(&client_state(state)).1.as_deref() == Some(&order.attempt_id)
                }),
        });
        match pick(listed.collect(), asked_at) {
            Found::Call { provider_id: leg } => {
                let of_leg = events
                    .iter()
                    .filter(|event| event["call_leg_id"] == leg.as_str());
                let mut names = of_leg.filter_map(name).filter(|name| *name != leg);
                let provider_id = names.next().unwrap_or(leg);
                Found::Call { provider_id }
            }
            other => other,
        }
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let leg = provider_id.split('@').next().unwrap_or(provider_id);
        self.events(&[("filter[leg_id]", leg)])
    }

    /// Also ends a call that is up (Telnyx, Call commands, Hangup).
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let (_, control) = provider_id.split_once('@')?;
        let url = at(&self.base, &["v2", "calls", control, "actions", "hangup"]).ok()?;
        bearer(post_json(url, &json!({})), self.api_key.expose()).ok()
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        if answer.status != StatusCode::OK {
            return None;
        }
        let events = list(answer, "/data", &self.api_key).ok()?;
        let of = |name: &str| {
            events
                .iter()
                .find(|event| event["name"].as_str() == Some(name))
        };
        let answered = of("call.answered").is_some();
        match of("call.hangup") {
            Some(event) => Some(hung_up(event, answered)),
            None if answered => Some(Progress::Answered),
            None => of("call.initiated").map(|_| Progress::Ringing),
        }
    }

    /// Telnyx, Webhook signing: Ed25519 over the time, a bar and the body.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let key = self.public_key.as_ref().ok_or(Rejected::NotExpected)?;
        let header = |name| callback.header(name).ok_or(Rejected::Unsigned(name));
        let time = header("telnyx-timestamp")?;
        let signature = header("telnyx-signature-ed25519")?;
        let signature = STANDARD.decode(signature).map_err(|_| Rejected::Forged)?;
        let message = [time.as_bytes(), b"|", callback.body].concat();
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&message, &signature)
            .map_err(|_| Rejected::Forged)?;
        fresh(callback.at, moment(time, 1_000_000)?, SKEW)?;

        let event = signed::json(callback)?;
        let data = event
            .get("data")
            .ok_or_else(|| unreadable("it has no data"))?;
        let kind = data["event_type"]
            .as_str()
            .ok_or_else(|| unreadable("it has no event_type"))?;
        let payload = &data["payload"];
        let progress = match kind {
            "call.initiated" => Progress::Ringing,
            "call.answered" => Progress::Answered,
            "call.hangup" => hung_up(payload, false),
            _ => return Ok(Vec::new()),
        };
        let provider_id = name(payload).ok_or_else(|| unreadable("it names no call"))?;
        let state = payload["client_state"].as_str().map(client_state);
        let (run, attempt_id) = echo::in_tag(&state.unwrap_or_default());
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

fn tells_of_a_repeat(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["command_id", "command id", "duplicate"]
        .iter()
        .any(|word| said.contains(word))
}

/// The error's code; a `D` code of the SIP side stands in its words.
fn error_code(body: &Value) -> String {
    let error = body.pointer("/errors/0").unwrap_or(&Value::Null);
    let texts = [&error["detail"], &error["title"]];
    let words = texts.iter().filter_map(|text| text.as_str());
    let words = words.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()));
    let is_code = |word: &&str| {
        let digits = word.strip_prefix('D').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let by_words = words.into_iter().find(is_code).map(str::to_owned);
    by_words.unwrap_or_else(|| code(error.get("code")))
}

/// Telnyx, Hangup causes.
fn hung_up(event: &Value, answered: bool) -> Progress {
    let cause = within(event, "hangup_cause").and_then(Value::as_str);
    let sip_code = sip_code(&code(within(event, "sip_hangup_cause")));
    let by_code = sip_code.and_then(by_sip);
    let ending = match cause {
        // Either side hung up, or the longest time was over.
        Some("normal_clearing" | "time_limit") => Ending::Completed,
        Some("user_busy") => Ending::Busy,
        // timeout_secs was over, or the network gave up.
        Some("timeout" | "no_answer") => Ending::NoAnswer,
        Some("call_rejected") => Ending::Rejected,
        Some("not_found") => Ending::InvalidNumber,
        Some("originator_cancel") => Ending::Cancelled,
        // Unspecified, or none that is documented.
        _ if answered => Ending::Completed,
        _ => by_code.unwrap_or(Ending::Failed),
    };
    Progress::Ended {
        ending,
        sip_code,
        said: clean(cause.unwrap_or("call.hangup")),
    }
}

/// A call's identifier.
fn name(event: &Value) -> Option<String> {
    let leg = id(event.get("call_leg_id"))?;
    Some(match id(within(event, "call_control_id")) {
        Some(control) => format!("{leg}@{control}"),
        None => leg,
    })
}

fn client_state(text: &str) -> Value {
    let state = STANDARD.decode(text).ok();
    let state = state.and_then(|state| serde_json::from_slice(&state).ok());
    state.unwrap_or_default()
}

/// A field wherever it is: events wrap the webhook that was sent, in a form that is not documented.
fn within<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => match map.get(name) {
            Some(found) => Some(found),
            None => map.values().find_map(|inner| within(inner, name)),
        },
        Value::Array(list) => list.iter().find_map(|inner| within(inner, name)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "telnyx_tests.rs"]
mod tests;
