use std::time::Duration;

use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{at, bearer, caller, object, set};
use crate::echo::{self, ATTEMPT, names};
use crate::listed::{Listed, list, pick};
use crate::signed::{self, SKEW, fingerprint, fits_hex, fresh, moment, part};
use crate::table::{REFUSALS, Row, Table, never, passing};
use crate::wire::{id, json as read, post_json, text};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit,
};

/// Retell, Create Phone Call, responses. A 500 leaves open what was done.
const TABLE: Table = Table {
    provider: "Retell",
    reset: "retry-after",
    rows: ROWS,
    others: REFUSALS,
};

const ROWS: &[Row] = &[
    // Invalid request; also a number on the do-not-call list.
    never(400, "check the numbers and the agent at Retell"),
    // Missing or invalid API key.
    never(401, "check the API key (retell_api_key)"),
    // Payment needed: trial over or no valid payment.
    never(402, "check the workspace's billing at Retell"),
    // The agent, or the number, cannot be used.
    never(
        422,
        "check from_number and agent_id: both have to be in the workspace",
    ),
    // Rate limited: the request is throttled, not processed.
    passing(429, "calls are started faster than the workspace allows"),
];

/// A Retell workspace (API reference: Create Phone Call, List Calls, Get Call, Stop Call; webhooks).
///
/// Retell has no field for the time to ring, so a call may ring as long as its telephony provider lets it.
#[derive(Clone, Debug)]
pub struct Retell {
    base: Url,
    key: Secret,
    webhook_key: Secret,
    agent_id: Option<String>,
    from: Option<E164>,
}

impl Retell {
    /// An account with these settings:
    ///
    /// * `retell_api_key` (secret): the workspace's API key.
    /// * `retell_webhook_key` (secret): the API key that webhooks are signed with, the one with the webhook
    ///   badge. Default: `retell_api_key`.
    /// * `agent_id`: the agent that calls. Default: the one that is bound to the number.
    /// * `from_number`: a number of the workspace. Default: the agent's caller ID.
    /// * `base_url`: default `https://api.retellai.com`.
    ///
    /// Calls report to the webhook that is set at Retell for the agent or the workspace.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the setting that is missing, wrong or unknown.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let key = settings.credential("retell_api_key")?;
        let account = Self {
            base: settings.base("https://api.retellai.com")?,
            webhook_key: settings
                .secret("retell_webhook_key")
                .unwrap_or_else(|| key.clone()),
            key,
            agent_id: settings.text("agent_id")?,
            from: settings.number("from_number")?,
        };
        settings.finish()?;
        Ok(account)
    }

    fn get(&self, method: Method, path: [&str; 3]) -> Option<Request> {
        let request = Request::new(method, at(&self.base, &path).ok()?);
        bearer(request, self.key.expose()).ok()
    }
}

impl Provider for Retell {
    fn name(&self) -> &'static str {
        "retell"
    }

    fn account(&self) -> String {
        format!("retell workspace of key {}", fingerprint(&self.key))
    }

    /// Retell, concurrency and calls per second: 20 at once in a workspace, one each second and number.
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 1.0,
            concurrent_calls: Some(20),
            queues: false,
            repeatable_for: Some(Duration::from_secs(3600)),
            looks_up: true,
            least_ring: Duration::ZERO,
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let from = caller(self.from.as_ref(), order, "Retell")?;
        let url = at(&self.base, &["v2", "create-phone-call"])?;
        let mut body = json!({
            "from_number": from,
            "to_number": order.to,
            "idempotency_key": order.attempt_id,
            "metadata": object(names(order)),
            "retell_llm_dynamic_variables": object(order.texts()),
        });
        if let Some(agent) = &self.agent_id {
            set(&mut body, "override_agent_id", agent.as_str());
        }
        if !order.sip_headers.is_empty() {
            let headers = order.sip_headers.iter().cloned();
            set(&mut body, "custom_sip_headers", object(headers));
        }
        bearer(post_json(url, &body), self.key.expose())
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let body = read(answer).unwrap_or_default();
        TABLE.judge(answer, id(body.get("call_id")), "", &self.key)
    }

    /// By the attempt in the call's metadata alone: a call that never rang has no time to be found by.
    fn look_up(&self, order: &Order, _asked_at: Timestamp) -> Option<Request> {
        let url = at(&self.base, &["v3", "list-calls"]).ok()?;
        let attempt = json!({
            "type": "string", "op": "eq", "key": ATTEMPT, "value": order.attempt_id,
        });
        let body = json!({ "filter_criteria": { "metadata": [attempt] }, "limit": 10 });
        bearer(post_json(url, &body), self.key.expose()).ok()
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let calls = match list(answer, "/items", &self.key) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let listed = calls.iter().map(|call| {
            let attempt = echo::in_variables(&call["metadata"]).1;
            Listed {
                id: id(call.get("call_id")),
                created: None,
                ours: Some(attempt.as_deref() == Some(&*order.attempt_id)),
            }
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        self.get(Method::GET, ["v2", "get-call", provider_id])
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        if !answer.status.is_success() {
            return None;
        }
        progress(&read(answer).ok()?)
    }

    fn cancel(&self, provider_id: &str) -> Option<Request> {
        self.get(Method::POST, ["v2", "stop-call", provider_id])
    }

    /// Retell, Secure the webhook: `x-retell-signature: v={ms},d={hex}`, HMAC-SHA256 over the body and the
    /// milliseconds, at most five minutes old. Calls that do not connect send no `call_started`.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        const HEADER: &str = "x-retell-signature";
        let header = callback.header(HEADER).ok_or(Rejected::Unsigned(HEADER))?;
        let (Some(time), Some(tag)) = (part(header, "v"), part(header, "d")) else {
            return Err(Rejected::Forged);
        };
        if !fits_hex(&self.webhook_key, &[callback.body, time.as_bytes()], tag) {
            return Err(Rejected::Forged);
        }
        fresh(callback.at, moment(time, 1000)?, SKEW)?;
        let body = &signed::json(callback)?;
        let call = &body["call"];
        let progress = match body["event"].as_str() {
            Some("call_started") => Some(Progress::Answered),
            Some("call_ended" | "call_analyzed") => progress(call),
            _ => return Ok(Vec::new()),
        };
        let provider_id = id(call.get("call_id"));
        let (Some(provider_id), Some(progress)) = (provider_id, progress) else {
            let problem = "it has no call_id, or no call_status that is known".to_owned();
            return Err(Rejected::Unreadable(problem));
        };
        let (run, attempt_id) = echo::in_variables(&call["metadata"]);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// Retell, Get Call, `call_status`.
fn progress(call: &Value) -> Option<Progress> {
    let otherwise = match call["call_status"].as_str()? {
        "registered" => return Some(Progress::Queued),
        "ongoing" => return Some(Progress::Answered),
        "ended" => Ending::Completed,
        "not_connected" | "error" => Ending::Failed,
        _ => return None,
    };
    let reason = text(call.get("disconnection_reason")).unwrap_or_default();
    Some(Progress::Ended {
        ending: ending(&reason).unwrap_or(otherwise),
        sip_code: None,
        said: reason,
    })
}

/// Retell, Debug disconnection reasons; those of calls that connected, and errors on the way, are told by the
/// call's status.
fn ending(reason: &str) -> Option<Ending> {
    Some(match reason {
        "dial_busy" => Ending::Busy,
        "dial_no_answer" => Ending::NoAnswer,
        // No SIP code, or one that Retell does not know.
        "dial_failed" => Ending::Failed,
        "invalid_destination" => Ending::InvalidNumber,
        // The callee, a network on the way, or the telephony provider said no.
        "user_declined"
        | "marked_as_spam"
        | "network_blocked"
        | "telephony_provider_permission_denied" => Ending::Rejected,
        "telephony_provider_unavailable" | "sip_routing_error" => Ending::Failed,
        // Given up at Retell, before anything was dialed.
        "concurrency_limit_reached" | "no_valid_payment" => Ending::NeverDialed,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "retell_tests.rs"]
mod tests;
