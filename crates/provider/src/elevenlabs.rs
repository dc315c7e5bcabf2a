use std::time::Duration;

use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::header::HeaderValue;
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Map, Value, json};
use url::Url;

use crate::ask::{Ring, at};
use crate::echo::{self, names};
use crate::ending::{by_sip_alone, sip_code};
use crate::listed::{Listed, list, pick};
use crate::signed::{self, fingerprint, fits_hex, fresh, moment, part};
use crate::table::{REFUSALS, Row, Table, never, passing};
use crate::time::seconds;
use crate::wire::{ambiguous, code, id, json as read, post_json, refused, said, text};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit,
};

/// ElevenLabs, API error codes and the responses of both outbound calls. A 429 with another code is a doubt.
const TABLE: Table = Table {
    provider: "ElevenLabs",
    reset: "retry-after",
    rows: ROWS,
    others: REFUSALS,
};

const ROWS: &[Row] = &[
    // Invalid request, or one that the plan does not allow.
    never(400, "check agent_id and phone_number_id at ElevenLabs"),
    never(401, "check the API key (elevenlabs_api_key)"),
    // Validation.
    never(
        422,
        "check agent_id, and that line fits the number of phone_number_id",
    ),
    // Over the plan's concurrency, or too busy; either way the request is turned away.
    passing(429, "too many calls are up; raise the plan's limit")
        .coded("too_many_concurrent_requests"),
    passing(429, "ElevenLabs is busy").coded("system_busy"),
];

/// Shortest and longest time to ring, in seconds. The field has no documented range; its default is 60, and
/// Twilio, which limits it on one of the lines, takes up to 600.
const RING: Ring = Ring::between(1, 600);

/// ElevenLabs, post-call webhooks: a signature may be 30 minutes old.
const OLDEST: Duration = Duration::from_secs(1800);

/// Which service dials for ElevenLabs.
#[derive(Clone, Copy, Debug)]
enum Line {
    Twilio,
    Sip,
}

/// An ElevenLabs workspace (API reference: Twilio and SIP trunk outbound calls, List and Get conversations;
/// post-call webhooks).
///
/// A call's identifier is its conversation's. Where the answer names the carrier's call alone (`callSid`,
/// `sip_call_id`), it is that, an `@`, and the attempt, by which the conversation is found among all. Nothing documented
/// calls a single call off or hangs it up.
#[derive(Clone, Debug)]
pub struct ElevenLabs {
    base: Url,
    key: Secret,
    webhook_secret: Option<Secret>,
    line: Line,
    agent_id: String,
    phone_number_id: String,
    from: Option<E164>,
}

impl ElevenLabs {
    /// An account with these settings:
    ///
    /// * `elevenlabs_api_key` (secret): the workspace's API key.
    /// * `elevenlabs_webhook_secret` (secret): the secret of the workspace's post-call webhook, which has to be
    ///   set at ElevenLabs to the address that takes callbacks. Default: none; callbacks are refused.
    /// * `line`: `twilio` or `sip`, as the number was imported.
    /// * `agent_id`: the agent that calls.
    /// * `phone_number_id`: the number at ElevenLabs that it calls from.
    /// * `from_number`: that number itself, to compare it with the agent's caller IDs. Default: not compared.
    /// * `base_url`: default `https://api.elevenlabs.io`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the setting that is missing, wrong or unknown.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let line = match settings.required("line")?.as_str() {
            "twilio" => Line::Twilio,
            "sip" => Line::Sip,
            _ => return Err(InvalidSettings::new("line", "expected twilio or sip")),
        };
        let account = Self {
            base: settings.base("https://api.elevenlabs.io")?,
            key: settings.credential("elevenlabs_api_key")?,
            webhook_secret: settings.secret("elevenlabs_webhook_secret"),
            line,
            agent_id: settings.required("agent_id")?,
            phone_number_id: settings.required("phone_number_id")?,
            from: settings.number("from_number")?,
        };
        settings.finish()?;
        Ok(account)
    }

    fn with_key(&self, request: Request) -> Option<Request> {
        let (name, mut value) =
            ringdown_egress::header_field("xi-api-key", self.key.expose()).ok()?;
        HeaderValue::set_sensitive(&mut value, true);
        Some(request.header(name, value))
    }

    /// An attempt's conversations since it was asked for, or all of them.
    fn conversations(&self, attempt_id: &str, since: Option<Timestamp>) -> Option<Request> {
        let since = since.map(|since| seconds(since).to_string());
        let mut query = vec![
            ("agent_id", self.agent_id.as_str()),
            ("user_id", attempt_id),
        ];
        query.extend(
            since
                .iter()
                .map(|since| ("call_start_after_unix", since.as_str())),
        );
        query.push(("page_size", "100"));
        self.get(&[], &query)
    }

    /// The only conversation of the agent.
    fn among(&self, conversations: &[Value], asked_at: Timestamp) -> Found {
        let listed = conversations.iter().map(|call| Listed {
            id: id(call.get("conversation_id")),
            created: None,
            ours: Some(call["agent_id"] == self.agent_id.as_str()),
        });
        pick(listed.collect(), asked_at)
    }

    fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Option<Request> {
        let mut url = at(
            &self.base,
            &[&["v1", "convai", "conversations"], path].concat(),
        )
        .ok()?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.with_key(Request::new(Method::GET, url))
    }
}

impl Provider for ElevenLabs {
    fn name(&self) -> &'static str {
        "elevenlabs"
    }

    fn account(&self) -> String {
        format!("elevenlabs workspace of key {}", fingerprint(&self.key))
    }

    /// ElevenLabs documents no calls per second (API reference, Outbound calls; Error codes): one each second is a
    /// cautious choice of ours. Calls at once depend on the plan, up to three times as many with bursting (Burst
    /// pricing); what is above is rejected with 429.
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 1.0,
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
        let ring = RING.seconds(order, "ElevenLabs")?;
        let mut variables = scalars(order);
        for (name, text) in names(order) {
            variables.insert(name.to_owned(), text.into());
        }
        let body = json!({
            "agent_id": self.agent_id,
            "agent_phone_number_id": self.phone_number_id,
            "to_number": order.to,
            "conversation_initiation_client_data": {
                "dynamic_variables": variables,
                "user_id": order.attempt_id,
            },
            "telephony_call_config": { "ringing_timeout_secs": ring },
        });
        let line = match self.line {
            Line::Twilio => "twilio",
            Line::Sip => "sip-trunk",
        };
        let url = at(&self.base, &["v1", "convai", line, "outbound-call"])?;
        let request = post_json(url, &body);
        self.with_key(request)
            .ok_or_else(|| Unfit("elevenlabs_api_key cannot be sent in a header".to_owned()))
    }

    fn outcome(&self, order: &Order, answer: &Response) -> Outcome {
        let body = read(answer).unwrap_or_default();
        let carrier = ["callSid", "sip_call_id"];
        let carrier = || carrier.iter().find_map(|field| id(body.get(field)));
        let of_attempt = |call: String| format!("{call}@{}", order.attempt_id);
        let call = id(body.get("conversation_id")).or_else(|| carrier().map(of_attempt));
        // The responses of both calls: `success` says whether the call was started; ids are null if not.
        if answer.status.is_success() && body.get("success") == Some(&Value::Bool(false)) {
            let said = said(&answer.body, &self.key);
            let reason = format!("ElevenLabs did not start the call: {said}");
            let lower = said.to_ascii_lowercase();
            // A failed call over a trunk is told with the trunk's SIP response, so it was dialed.
            let dialed = lower.contains("sip status") || lower.contains("invite");
            return if dialed || call.is_some() {
                ambiguous(reason)
            } else {
                refused(format!("{reason}; check the number at ElevenLabs"))
            };
        }
        let code = ["/detail/status", "/detail/code", "/code", "/status"]
            .iter()
            .find_map(|path| body.pointer(path)?.as_str());
        TABLE.judge(answer, call, code.unwrap_or_default(), &self.key)
    }

    /// By the attempt as `user_id`: the list itself shows neither the number nor the variables.
    fn look_up(&self, order: &Order, asked_at: Timestamp) -> Option<Request> {
        self.conversations(&order.attempt_id, Some(asked_at))
    }

    fn found(&self, _order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let calls = match list(answer, "/conversations", &self.key) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        self.among(&calls, asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        match attempt(provider_id) {
            Some(attempt) => self.conversations(attempt, None),
            None => self.get(&[provider_id], &[]),
        }
    }

    /// The list has a conversation's status and not the call's result.
    fn progress(&self, provider_id: &str, answer: &Response) -> Option<Progress> {
        if attempt(provider_id).is_some() {
            let calls = list(answer, "/conversations", &self.key).ok()?;
            let Found::Call { provider_id } = self.among(&calls, Timestamp::from_micros(0)) else {
                return None;
            };
            let is_it = |call: &&Value| call["conversation_id"] == provider_id.as_str();
            return progress(calls.iter().find(is_it)?);
        }
        if !answer.status.is_success() {
            return None;
        }
        progress(&read(answer).ok()?)
    }

    /// ElevenLabs, post-call webhooks: `ElevenLabs-Signature: t={s},v0={hex}`, HMAC-SHA256 over `{t}.{body}`,
    /// at most 30 minutes old. They come after the call, never during it.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        const HEADER: &str = "elevenlabs-signature";
        let secret = self.webhook_secret.as_ref().ok_or(Rejected::NotExpected)?;
        let header = callback.header(HEADER).ok_or(Rejected::Unsigned(HEADER))?;
        let time = part(header, "t").ok_or(Rejected::Forged)?;
        let tag = part(header, "v0").ok_or(Rejected::Forged)?;
        let message: [&[u8]; 3] = [time.as_bytes(), b".", callback.body];
        if !fits_hex(secret, &message, tag) {
            return Err(Rejected::Forged);
        }
        fresh(callback.at, moment(time, 1_000_000)?, OLDEST)?;
        let body = &signed::json(callback)?;
        let data = &body["data"];
        let progress = match body["type"].as_str() {
            Some("post_call_transcription") => progress(data),
            Some("call_initiation_failure") => Some(failure(data)),
            _ => return Ok(Vec::new()),
        };
        let provider_id = id(data.get("conversation_id"));
        let (Some(provider_id), Some(progress)) = (provider_id, progress) else {
            let problem = "it has no conversation_id, or no status that is known".to_owned();
            return Err(Rejected::Unreadable(problem));
        };
        let client = &data["conversation_initiation_client_data"];
        let (run, attempt_id) = echo::in_variables(&client["dynamic_variables"]);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id: attempt_id.or_else(|| id(client.get("user_id"))),
            progress,
        }])
    }
}

/// The attempt in an identifier that is no conversation's.
fn attempt(provider_id: &str) -> Option<&str> {
    let (_, attempt) = provider_id.rsplit_once('@')?;
    Some(attempt)
}

/// The variables, with all values but texts, numbers and flags as JSON.
fn scalars(order: &Order) -> Map<String, Value> {
    let scalar = |value: &Value| match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => value.clone(),
        other => Value::String(other.to_string()),
    };
    let variables = order.variables.iter();
    variables
        .map(|(name, value)| (name.clone(), scalar(value)))
        .collect()
}

/// ElevenLabs, Get conversation, `status`. One that is `initiated` may still wait for its turn
/// (`queue_wait_secs`), so it is not known to be dialed.
fn progress(conversation: &Value) -> Option<Progress> {
    let otherwise = match conversation["status"].as_str()? {
        "initiated" => return Some(Progress::Queued),
        "in-progress" => return Some(Progress::Answered),
        "processing" | "done" => Ending::Completed,
        "failed" => Ending::Failed,
        _ => return None,
    };
    let metadata = &conversation["metadata"];
    let result = text(metadata.pointer("/phone_call/call_result"));
    let ending = match result.as_deref() {
        Some("answered" | "voicemail") => Ending::Completed,
        Some("busy") => Ending::Busy,
        Some("no_answer") => Ending::NoAnswer,
        Some("failed") => Ending::Failed,
        _ => otherwise,
    };
    let error = metadata.pointer("/error/reason").or(metadata.get("error"));
    let said = text(metadata.get("termination_reason")).or_else(|| text(error));
    Some(Progress::Ended {
        ending,
        sip_code: None,
        said: said.or(result).unwrap_or_default(),
    })
}

/// ElevenLabs, post-call webhooks, `call_initiation_failure`: its metadata is what Twilio or the trunk said.
fn failure(data: &Value) -> Progress {
    let said = text(data.get("failure_reason")).unwrap_or_default();
    let metadata = &data["metadata"];
    let details = &metadata["body"];
    let sip_code = ["sip_status_code", "SipResponseCode"]
        .iter()
        .find_map(|field| sip_code(&code(details.get(field))));
    let ending = match said.as_str() {
        "busy" => Ending::Busy,
        "no-answer" => Ending::NoAnswer,
        _ => by_sip_alone(sip_code),
    };
    Progress::Ended {
        ending,
        sip_code,
        said,
    }
}

#[cfg(test)]
#[path = "elevenlabs_tests.rs"]
mod tests;
