use std::time::Duration;

use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response, StatusCode};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{self, at, bearer, set};
use crate::ending::by_sip;
use crate::listed::{Listed, list, pick};
use crate::table::{Row, Table, never, passing};
use crate::wire::{clean, code, id, post_json};
use crate::{Found, Habits, InvalidSettings, Order, Progress, Provider, Settings, Unfit, wire};

/// Synthflow, Make a call, and Concurrency. Every 5xx is a doubt.
const TABLE: Table = Table {
    provider: "Synthflow",
    reset: "retry-after",
    rows: ROWS,
    others: &[],
};

const ROWS: &[Row] = &[
    // A limit is reached: calls above it get this or wait in a queue, and this one does not wait.
    passing(
        429,
        "it is asked again more slowly; too many calls are up or were started at once",
    ),
    never(400, "check model_id, from_number and the number to call"),
    never(
        401,
        "check synthflow_api_key, and that base_url is the workspace's region",
    ),
    never(403, "check the workspace's state and the key's permissions"),
    never(404, "check model_id and base_url"),
    never(422, "check model_id, from_number and the number to call"),
];

/// A workspace at Synthflow (Platform API, Calls). Nothing documented calls a call off or hangs it up.
#[derive(Clone, Debug)]
pub struct Synthflow {
    base: Url,
    api_key: Secret,
    model_id: String,
    name: String,
    from: Option<E164>,
}

impl Synthflow {
    /// From these settings:
    ///
    /// * secret `synthflow_api_key`: the API key; it has to be there.
    /// * `model_id`: the agent that talks; it has to be there.
    /// * `name`: what the agent calls the callee; by default `Ringdown`.
    /// * `from_number`: the number to call from, one of the agent's numbers at Synthflow; by default the agent's
    ///   caller ID, if it has one.
    /// * `base_url`: by default `https://api.synthflow.ai`; `https://api.us.synthflow.ai` and
    ///   `https://api.eu.synthflow.ai` for workspaces there.
    ///
    /// No callbacks are asked for: what Synthflow signs is the call's id and not the body.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let synthflow = Self {
            base: settings.base("https://api.synthflow.ai")?,
            api_key: settings.credential("synthflow_api_key")?,
            model_id: settings.required("model_id")?,
            name: settings
                .text("name")?
                .unwrap_or_else(|| "Ringdown".to_owned()),
            from: settings.number("from_number")?,
        };
        settings.finish()?;
        Ok(synthflow)
    }

    fn url(&self, call: Option<&str>) -> Result<Url, Unfit> {
        let mut segments = vec!["v2", "calls"];
        segments.extend(call);
        at(&self.base, &segments)
    }

    fn get(&self, url: Url) -> Option<Request> {
        bearer(Request::new(Method::GET, url), self.api_key.expose()).ok()
    }
}

impl Provider for Synthflow {
    fn name(&self) -> &'static str {
        "synthflow"
    }

    fn account(&self) -> String {
        format!("synthflow {}", self.model_id)
    }

    /// One call a second and five at once by default; on some accounts more wait (Synthflow, Concurrency).
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 1.0,
            concurrent_calls: Some(5),
            queues: true,
            repeatable_for: None,
            looks_up: true,
            least_ring: Duration::ZERO,
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    /// It has no time to ring, and echoes nothing of ours that the agent would not read out.
    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let variable = |(name, text): (&str, String)| json!({"key": name, "value": text});
        let mut body = json!({
            "model_id": self.model_id,
            "phone": order.to.as_str(),
            "name": self.name,
            "custom_variables": order.texts().map(variable).collect::<Value>(),
        });
        let from = ask::from(self.from.as_ref(), order);
        if let Some(from) = from {
            set(&mut body, "from_phone_number", from.as_str());
        }
        bearer(post_json(self.url(None)?, &body), self.api_key.expose())
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let body = wire::json(answer).unwrap_or_default();
        let call = id(body.pointer("/response/call_id")).or_else(|| id(body.get("call_id")));
        TABLE.judge(answer, call, "", &self.api_key)
    }

    fn look_up(&self, order: &Order, asked_at: Timestamp) -> Option<Request> {
        let millis = asked_at.as_micros().div_euclid(1000);
        let mut url = self.url(None).ok()?;
        url.query_pairs_mut()
            .append_pair("model_id", &self.model_id)
            .append_pair("lead_phone_number", order.to.as_str())
            .append_pair("from_date", &millis.to_string())
            .append_pair("limit", "20");
        self.get(url)
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let calls = match list(answer, "/response/calls", &self.api_key) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let from = ask::from(self.from.as_ref(), order);
        let between = |call: &&Value| {
            let number = |name: &str| call[name].as_str();
            let to = number("phone_number_to").or_else(|| number("lead_phone_number"));
            let same_from =
                from.is_none_or(|from| number("phone_number_from") == Some(from.as_str()));
            to == Some(order.to.as_str()) && same_from
        };
        let listed = calls.iter().filter(between).map(|call| Listed {
            id: id(call.get("call_id")),
            created: millis(&code(call.get("start_time"))),
            ours: None,
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(Some(provider_id)).ok()?;
        self.get(url)
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        if answer.status != StatusCode::OK {
            return None;
        }
        let calls = list(answer, "/response/calls", &self.api_key).ok()?;
        let call = calls.first()?;
        let status = ["status", "call_status"]
            .iter()
            .find_map(|name| call[name].as_str());
        progress(status?, call["error_message"].as_str().unwrap_or_default())
    }
}

/// Milliseconds since 1970.
fn millis(text: &str) -> Option<Timestamp> {
    let millis: i64 = text.parse().ok()?;
    Some(Timestamp::from_micros(millis.checked_mul(1000)?))
}

/// Synthflow, Get a call, status and error message.
fn progress(status: &str, error: &str) -> Option<Progress> {
    let ending = match status {
        "pending" | "registered" => return Some(Progress::Queued),
        "ringing" => return Some(Progress::Ringing),
        "in-progress" | "paused" => return Some(Progress::Answered),
        // A voice mail answers too.
        "completed" | "hangup_on_voicemail" | "left_voicemail" => Ending::Completed,
        "no-answer" => Ending::NoAnswer,
        "busy" => Ending::Busy,
        "canceled" | "user-canceled" => Ending::Cancelled,
        "failed" | "spam" => by_words(error),
        _ => return None,
    };
    let said = if error.is_empty() { status } else { error };
    Some(Progress::Ended {
        ending,
        sip_code: None,
        said: clean(said),
    })
}

/// Such as `Telephony - 403 - Caller ID is unauthorized`, and `400 - Invalid phone number`.
fn by_words(error: &str) -> Ending {
    if error.contains("Invalid phone number") {
        return Ending::InvalidNumber;
    }
    let words = error.strip_prefix("Telephony - ").unwrap_or_default();
    let code = words.split(' ').next().and_then(|code| code.parse().ok());
    code.and_then(by_sip).unwrap_or(Ending::Failed)
}

#[cfg(test)]
#[path = "synthflow_tests.rs"]
mod tests;
