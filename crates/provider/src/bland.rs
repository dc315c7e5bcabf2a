use std::time::Duration;

use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::header::{AUTHORIZATION, HeaderName, HeaderValue};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{self, at, set};
use crate::echo;
use crate::listed::{Listed, list, pick};
use crate::signed::{self, fits_hex, unreadable};
use crate::table::{Row, Table, hide, never};
use crate::time::parse_rfc3339;
use crate::wire::{clean, id, post_json, refused};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit, wire,
};

/// Bland, Send call. What a 429 of its plan's caps did is not documented: a doubt, as is every 5xx.
const TABLE: Table = Table {
    provider: "Bland",
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
    never(401, "check bland_api_key"),
    never(402, "check the account's balance"),
    never(403, "check the account's state and the key's permissions"),
    never(404, "check pathway_id and base_url"),
    never(405, "check base_url"),
    never(
        422,
        "correct the settings of this account, and check the numbers",
    ),
];

const SIGNATURE: &str = "X-Webhook-Signature";
const ENCRYPTED_KEY: HeaderName = HeaderName::from_static("encrypted_key");

/// An account at Bland (Send call).
#[derive(Clone, Debug)]
pub struct Bland {
    base: Url,
    api_key: Secret,
    encrypted_key: Option<Secret>,
    webhook_secret: Option<Secret>,
    task: Option<String>,
    pathway: Option<(String, Option<String>)>,
    from: Option<E164>,
}

impl Bland {
    /// From these settings:
    ///
    /// * secret `bland_api_key`: the API key; it has to be there.
    /// * One of `task` (what the agent is to do) and `pathway_id`, the latter with a `pathway_version` if wanted.
    /// * `from_number`: the number to call from; by default the agent's, else one of Bland's.
    /// * secret `bland_encrypted_key`: the key of an own Twilio account that is connected to Bland.
    /// * secret `bland_webhook_secret`: what callbacks are signed with. Without it none are asked for.
    /// * `base_url`: by default `https://api.bland.ai`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let (task, pathway) = (settings.text("task")?, settings.text("pathway_id")?);
        let version = settings.text("pathway_version")?;
        if task.is_some() == pathway.is_some() {
            let problem = "give exactly one of task and pathway_id";
            return Err(InvalidSettings::new("task", problem));
        }
        if pathway.is_none() && version.is_some() {
            let problem = "it needs a pathway_id";
            return Err(InvalidSettings::new("pathway_version", problem));
        }
        let encrypted_key = settings.secret("bland_encrypted_key");
        let sent = encrypted_key.as_ref().map(Secret::expose);
        if sent.is_some_and(|key| HeaderValue::from_str(key).is_err()) {
            let problem = "it has characters that no key has; copy it again";
            return Err(InvalidSettings::new("bland_encrypted_key", problem));
        }
        let bland = Self {
            base: settings.base("https://api.bland.ai")?,
            api_key: settings.credential("bland_api_key")?,
            encrypted_key,
            webhook_secret: settings.secret("bland_webhook_secret"),
            task,
            pathway: pathway.map(|id| (id, version)),
            from: settings.number("from_number")?,
        };
        settings.finish()?;
        Ok(bland)
    }

    /// With the key as it is: Bland takes it with and without `Bearer`.
    fn keyed(&self, mut request: Request) -> Option<Request> {
        let value = |secret: &Secret| {
            let mut value = HeaderValue::from_str(secret.expose()).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        if let Some(key) = &self.encrypted_key {
            request = request.header(ENCRYPTED_KEY, value(key)?);
        }
        Some(request.header(AUTHORIZATION, value(&self.api_key)?))
    }

    fn url(&self, segments: &[&str]) -> Result<Url, Unfit> {
        at(&self.base, &[&["v1", "calls"], segments].concat())
    }
}

impl Provider for Bland {
    fn name(&self) -> &'static str {
        "bland"
    }

    fn account(&self) -> String {
        let script = self.pathway.as_ref().map_or("task", |(id, _)| id.as_str());
        format!("bland {script}")
    }

    /// Ten calls at once on the smallest plan. Calls per second are not documented: one is a cautious choice of ours. Calls
    /// above that are queued (Bland, Send call).
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 1.0,
            concurrent_calls: Some(10),
            queues: true,
            repeatable_for: None,
            looks_up: true,
            least_ring: Duration::ZERO,
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    /// It has no time to ring. `retry` is left out, which leaves redialing off.
    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let mut body = json!({
            "phone_number": order.to.as_str(),
            "request_data": order.variables,
            "metadata": echo::tag(order),
        });
        if let Some(task) = &self.task {
            set(&mut body, "task", task.as_str());
        }
        if let Some((id, version)) = &self.pathway {
            set(&mut body, "pathway_id", id.as_str());
            if let Some(version) = version {
                set(&mut body, "pathway_version", version.as_str());
            }
        }
        if let Some(from) = ask::from(self.from.as_ref(), order) {
            set(&mut body, "from", from.as_str());
        }
        if let (Some(url), Some(_)) = (&order.callback, &self.webhook_secret) {
            set(&mut body, "webhook", url.as_str());
        }
        self.keyed(post_json(self.url(&[])?, &body))
            .ok_or_else(|| Unfit("bland_api_key cannot be sent in a header".to_owned()))
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let answer = &hide(answer, self.encrypted_key.as_ref());
        let body = wire::json(answer).unwrap_or_default();
        let call = id(body.get("call_id"));
        let status = body.get("status").and_then(Value::as_str);
        if !answer.status.is_success() || status == Some("success") {
            return TABLE.judge(answer, call, "", &self.api_key);
        }
        match (status, call) {
            // status is success or error: an error that names no call is a refusal (Bland, Send call).
            (Some("error"), None) => {
                let advice = "correct the settings of this account, and check the numbers";
                refused(TABLE.told(answer, &self.api_key, advice))
            }
            _ => TABLE.doubt(answer, &self.api_key, " without success"),
        }
    }

    /// `from` and `to` would be places in the list.
    fn look_up(&self, order: &Order, _asked_at: Timestamp) -> Option<Request> {
        let mut url = self.url(&[]).ok()?;
        url.query_pairs_mut()
            .append_pair("to_number", order.to.as_str());
        if let Some(from) = ask::from(self.from.as_ref(), order) {
            url.query_pairs_mut()
                .append_pair("from_number", from.as_str());
        }
        self.keyed(Request::new(Method::GET, url))
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let answer = &hide(answer, self.encrypted_key.as_ref());
        let calls = match list(answer, "/calls", &self.api_key) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let from = ask::from(self.from.as_ref(), order);
        let between = |call: &&Value| {
            let same_from = from.is_none_or(|from| call["from"].as_str() == Some(from.as_str()));
            call["to"].as_str() == Some(order.to.as_str()) && same_from
        };
        let listed = calls.iter().filter(between).map(|call| {
            let attempt = echo::in_tag(&call["metadata"]).1;
            Listed {
                id: id(call.get("call_id")),
                created: call["created_at"].as_str().and_then(parse_rfc3339),
                ours: attempt.map(|attempt| attempt == order.attempt_id),
            }
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(&[provider_id]).ok()?;
        self.keyed(Request::new(Method::GET, url))
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        progress(&wire::shown(answer)?)
    }

    /// Also ends a call that is up (Bland, Stop call).
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(&[provider_id, "stop"]).ok()?;
        self.keyed(Request::new(Method::POST, url))
    }

    /// Bland, Webhook signing: over the body's bytes. There is no time in it, so a replay says the same again.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let secret = self.webhook_secret.as_ref().ok_or(Rejected::NotExpected)?;
        let tag = callback
            .header(SIGNATURE)
            .ok_or(Rejected::Unsigned(SIGNATURE))?;
        if !fits_hex(secret, &[callback.body], tag.trim()) {
            return Err(Rejected::Forged);
        }
        let call = &signed::json(callback)?;
        let provider_id = id(call.get("call_id")).ok_or_else(|| unreadable("it has no call_id"))?;
        let (run, attempt_id) = echo::in_tag(&call["metadata"]);
        let news = progress(call).map(|progress| News {
            provider_id,
            run,
            attempt_id,
            progress,
        });
        Ok(news.into_iter().collect())
    }
}

/// Bland, Call details.
fn progress(call: &Value) -> Option<Progress> {
    let text = |name: &str| call[name].as_str().unwrap_or_default();
    let (status, queue) = (text("status"), text("queue_status"));
    let ending = match (status, text("answered_by")) {
        ("busy", _) => Ending::Busy,
        ("no-answer", _) | ("completed", "no-answer") => Ending::NoAnswer,
        ("failed", _) => Ending::Failed,
        ("canceled", _) => Ending::Cancelled,
        ("completed", _) => Ending::Completed,
        _ if call["completed"].as_bool() == Some(true) => match text("answered_by") {
            "" | "unknown" => Ending::Failed,
            "no-answer" => Ending::NoAnswer,
            _ => Ending::Completed,
        },
        // Not over: it waits in the queue, or it was taken out of it.
        ("in-progress", _) => return Some(Progress::Answered),
        _ => {
            return match queue {
                "new" | "queued" => Some(Progress::Queued),
                "started" => Some(Progress::Ringing),
                _ => None,
            };
        }
    };
    let words = [text("error_message"), status, queue];
    let said = words.into_iter().find(|words| !words.is_empty());
    Some(Progress::Ended {
        ending,
        sip_code: None,
        said: clean(said.unwrap_or("completed")),
    })
}

#[cfg(test)]
#[path = "bland_tests.rs"]
mod tests;
