use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{self, Ring, at, set};
use crate::echo;
use crate::listed::{Listed, list, pick};
use crate::signed::{self, unreadable};
use crate::table::{Row, Table, hide, never, passing_by};
use crate::time::{parse_rfc3339, rfc3339_millis};
use crate::wire::{clean, id, post_json};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit, wire,
};

/// Bandwidth, Voice API, Create call, errors. A 429 with other words, and every 5xx, is a doubt.
const TABLE: Table = Table {
    provider: "Bandwidth",
    reset: "retry-after",
    rows: ROWS,
    others: &[],
};

/// What is at the end of a 429's description.
const RATE: &str = "call creation rate limit exceeded";
const CONCURRENT: &str = "concurrent call limit exceeded";

const ROWS: &[Row] = &[
    // Five minutes of calls wait already; this one is not taken.
    passing_by(RATE, "it is asked again more slowly"),
    // The account's sessions are all in use.
    passing_by(
        CONCURRENT,
        "too many calls are up; raise the account's limit",
    ),
    never(
        400,
        "correct the settings of this account, and check the numbers",
    ),
    never(401, "check username and bandwidth_password"),
    never(403, "check the account's state and the user's permissions"),
    never(404, "check account_id and base_url"),
    never(405, "check base_url"),
    never(415, "check base_url"),
];

/// Bandwidth, Voice API, `callTimeout`.
const RING: Ring = Ring::between(1, 300);

/// An account at Bandwidth (Voice API).
#[derive(Clone, Debug)]
pub struct Bandwidth {
    base: Url,
    account_id: String,
    username: String,
    password: Secret,
    application_id: String,
    answer_url: Url,
    from: Option<E164>,
    webhook_username: String,
    webhook_password: Option<Secret>,
}

impl Bandwidth {
    /// From these settings:
    ///
    /// * `account_id`: the account; it has to be there.
    /// * `username` and the secret `bandwidth_password`: of a user of the Voice API; they have to be there.
    /// * `application_id`: the voice application of the number; it has to be there.
    /// * `answer_url`: where Bandwidth fetches the call's BXML, with the variables in its query; it has to be there.
    /// * `from_number`: the number to call from; by default the agent's.
    /// * secret `bandwidth_webhook_password`, and `webhook_username` (by default `ringdown`): what Bandwidth shows
    ///   when it reports. It shows the same at `answer_url`. Without the secret, or without https there and here, no
    ///   callbacks are asked for.
    /// * `base_url`: by default `https://voice.bandwidth.com`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let bandwidth = Self {
            base: settings.base("https://voice.bandwidth.com")?,
            account_id: ask::id_setting(&mut settings, "account_id")?,
            username: ask::id_setting(&mut settings, "username")?,
            password: settings.credential("bandwidth_password")?,
            application_id: settings.required("application_id")?,
            answer_url: ask::url_setting(&mut settings, "answer_url")?,
            from: settings.number("from_number")?,
            webhook_username: ask::optional_id(&mut settings, "webhook_username")?
                .unwrap_or_else(|| "ringdown".to_owned()),
            webhook_password: settings.secret("bandwidth_webhook_password"),
        };
        settings.finish()?;
        Ok(bandwidth)
    }

    /// The account's calls, or one of them.
    fn url(&self, call: Option<&str>) -> Result<Url, Unfit> {
        let mut segments = vec!["api", "v2", "accounts", &self.account_id, "calls"];
        segments.extend(call);
        at(&self.base, &segments)
    }

    fn basic(&self, request: Request) -> Request {
        request.basic(&self.username, self.password.expose())
    }
}

impl Provider for Bandwidth {
    fn name(&self) -> &'static str {
        "bandwidth"
    }

    fn account(&self) -> String {
        format!("bandwidth {}", self.account_id)
    }

    /// Five calls a second, of which five minutes can wait, and 100 sessions (Bandwidth, Voice API, limits).
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 5.0,
            concurrent_calls: Some(100),
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
        let from = ask::caller(self.from.as_ref(), order, "Bandwidth")?;
        let mut body = json!({
            "from": from.as_str(),
            "to": order.to.as_str(),
            "applicationId": self.application_id,
            "answerUrl": ask::with_variables(&self.answer_url, order).as_str(),
            "callTimeout": RING.seconds(order, "Bandwidth")?,
            "tag": echo::tag(order).to_string(),
        });
        let secure = |url: &&Url| url.scheme() == "https" && self.answer_url.scheme() == "https";
        let url = order.callback.as_ref().filter(secure);
        if let (Some(url), Some(password)) = (url, &self.webhook_password) {
            set(&mut body, "disconnectUrl", url.as_str());
            set(&mut body, "disconnectMethod", "POST");
            set(&mut body, "username", self.webhook_username.as_str());
            set(&mut body, "password", password.expose());
        }
        Ok(self.basic(post_json(self.url(None)?, &body)))
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let answer = &hide(answer, self.webhook_password.as_ref());
        let body = wire::json(answer).unwrap_or_default();
        let call = id(body.get("callId"));
        let words = body.get("description").and_then(Value::as_str);
        let words = words.unwrap_or_default().to_ascii_lowercase();
        let code = [RATE, CONCURRENT]
            .into_iter()
            .find(|code| words.contains(code));
        TABLE.judge(answer, call, code.unwrap_or_default(), &self.password)
    }

    fn look_up(&self, order: &Order, asked_at: Timestamp) -> Option<Request> {
        let from = ask::from(self.from.as_ref(), order)?;
        let mut url = self.url(None).ok()?;
        url.query_pairs_mut()
            .append_pair("to", order.to.as_str())
            .append_pair("from", from.as_str())
            .append_pair("minStartTime", &rfc3339_millis(asked_at));
        Some(self.basic(Request::new(Method::GET, url)))
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let calls = match list(answer, "", &self.password) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let from = ask::from(self.from.as_ref(), order);
        let between = |call: &&Value| {
            call["to"].as_str() == Some(order.to.as_str())
                && call["from"].as_str() == from.map(E164::as_str)
        };
        let listed = calls.iter().filter(between).map(|call| {
            let times = [call["enqueuedTime"].as_str(), call["startTime"].as_str()];
            Listed {
                id: id(call.get("callId")),
                created: times.into_iter().flatten().find_map(parse_rfc3339),
                ours: None,
            }
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(Some(provider_id)).ok()?;
        Some(self.basic(Request::new(Method::GET, url)))
    }

    /// Bandwidth, Voice API, Get call state.
    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        let call = &wire::shown(answer)?;
        match call["state"].as_str()? {
            "queued" => Some(Progress::Queued),
            "initiated" => Some(Progress::Ringing),
            "answered" => Some(Progress::Answered),
            "disconnected" => Some(over(call, "disconnectCause")),
            _ => None,
        }
    }

    /// Also ends a call that is up (Bandwidth, Voice API, Update call).
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let url = self.url(Some(provider_id)).ok()?;
        Some(self.basic(post_json(url, &json!({"state": "completed"}))))
    }

    /// The user and the password of the order, over https; there is no signature.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let password = self
            .webhook_password
            .as_ref()
            .ok_or(Rejected::NotExpected)?;
        let name = "Authorization";
        let shown = callback.header(name).ok_or(Rejected::Unsigned(name))?;
        let both = format!("{}:{}", self.webhook_username, password.expose());
        if !Secret::new(format!("Basic {}", STANDARD.encode(both))).matches(shown) {
            return Err(Rejected::Forged);
        }
        let event = &signed::json(callback)?;
        let kind = event["eventType"].as_str();
        let progress = match kind.ok_or_else(|| unreadable("it has no eventType"))? {
            "answer" => Progress::Answered,
            "disconnect" => over(event, "cause"),
            _ => return Ok(Vec::new()),
        };
        let provider_id = id(event.get("callId")).ok_or_else(|| unreadable("it has no callId"))?;
        let tag = event["tag"]
            .as_str()
            .and_then(|tag| serde_json::from_str(tag).ok());
        let (run, attempt_id) = echo::in_tag(&tag.unwrap_or_default());
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// Bandwidth, Disconnect event, causes. There is no SIP response in it.
fn over(call: &Value, field: &str) -> Progress {
    let cause = call[field].as_str().unwrap_or_default();
    let answered = call["answerTime"].is_string();
    let ending = match cause {
        // One side hung up, or the BXML ended.
        "hangup" => Ending::Completed,
        "busy" => Ending::Busy,
        // Not answered before callTimeout.
        "timeout" => Ending::NoAnswer,
        // Called off while it was ringing.
        "cancel" => Ending::Cancelled,
        "rejected" => Ending::Rejected,
        // The account's limits were reached.
        "account-limit" => Ending::NeverDialed,
        // Its BXML could not be fetched or was wrong, capacity, errors: it was over for another reason once it was
        // answered.
        _ if answered => Ending::Completed,
        _ => Ending::Failed,
    };
    let words = call["errorMessage"]
        .as_str()
        .map(|said| format!("{cause}: {said}"));
    Progress::Ended {
        ending,
        sip_code: None,
        said: clean(words.as_deref().unwrap_or(cause)),
    }
}

#[cfg(test)]
#[path = "bandwidth_tests.rs"]
mod tests;
