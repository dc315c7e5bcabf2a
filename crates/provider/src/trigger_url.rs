use std::time::Duration;

use ringdown_domain::E164;
use ringdown_domain::dial::Outcome;
use ringdown_egress::header::{HeaderName, HeaderValue};
use ringdown_egress::{Request, Response};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::table::{Row, Table, never};
use crate::time::rfc3339_millis;
use crate::wire::{ambiguous, code, id, post_json, refused};
use crate::{Habits, InvalidSettings, Order, Provider, Settings, Unfit, ask, wire};

const TABLE: Table = Table {
    provider: "the trigger URL",
    reset: "retry-after",
    rows: ROWS,
    others: &[],
};

/// RFC 9110 section 15: the receiver's own words are not known, so only what says that the request was not acted on
/// counts as a refusal. 302 and 303 may come after a call.
const ROWS: &[Row] = &[
    // It is to be asked elsewhere, and redirects are not followed.
    never(301, "set trigger_url to the address that it points to"),
    never(307, "set trigger_url to the address that it points to"),
    never(308, "set trigger_url to the address that it points to"),
    never(400, "check what the receiver expects"),
    never(401, "check trigger_secret"),
    never(403, "check trigger_secret"),
    never(404, "check trigger_url"),
    never(405, "let the receiver take POST, or check trigger_url"),
    never(410, "check trigger_url"),
    never(411, "check what the receiver expects"),
    never(413, "check what the receiver expects"),
    never(415, "let the receiver take application/json"),
    never(422, "check what the receiver expects"),
];

const SECRET: HeaderName = HeaderName::from_static("x-cekura-secret");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// An address of the user's own that makes the agent call.
#[derive(Clone, Debug)]
pub struct TriggerUrl {
    url: Url,
    secret: Secret,
    deduplicates: bool,
    from: Option<E164>,
}

impl TriggerUrl {
    /// From these settings:
    ///
    /// * `trigger_url`: where to POST; it has to be there, without user and password.
    /// * secret `trigger_secret`: shown to it in the header `X-CEKURA-SECRET`; by default nothing is.
    /// * `deduplicates`: whether it makes one call only however often it gets the same `Idempotency-Key`; false by
    ///   default. If it does, it is asked again when its answer got lost.
    /// * `from_number`: the number that it calls from; by default the agent's.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first field that is wrong.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let url = ask::url_setting(&mut settings, "trigger_url")?;
        if !url.username().is_empty() || url.password().is_some() {
            let problem = "leave user and password out; the secret is trigger_secret";
            return Err(InvalidSettings::new("trigger_url", problem));
        }
        let secret = settings.secret("trigger_secret");
        let secret = secret.unwrap_or_else(|| Secret::new(""));
        if HeaderValue::from_str(secret.expose()).is_err() {
            let problem = "it has characters that no header has; choose another one";
            return Err(InvalidSettings::new("trigger_secret", problem));
        }
        let trigger = Self {
            url,
            secret,
            deduplicates: settings.flag("deduplicates")?.unwrap_or_default(),
            from: settings.number("from_number")?,
        };
        settings.finish()?;
        Ok(trigger)
    }
}

impl Provider for TriggerUrl {
    fn name(&self) -> &'static str {
        "trigger_url"
    }

    /// Without its path, which may be a secret.
    fn account(&self) -> String {
        format!("trigger_url {}", self.url.origin().ascii_serialization())
    }

    /// The reference service starts five calls a second. How the receiver paces is not known.
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 5.0,
            concurrent_calls: None,
            queues: false,
            // Longer than any window.
            repeatable_for: self.deduplicates.then_some(Duration::from_secs(3600)),
            looks_up: false,
            least_ring: Duration::ZERO,
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.from.as_ref()
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let from = ask::caller(self.from.as_ref(), order, "the trigger URL")?;
        let body = json!({
            "from_number": from.as_str(),
            "to_number": order.to.as_str(),
            "dynamic_variables": order.variables,
            "run_id": order.run.0,
            "attempt_id": order.attempt_id,
            "closes_at": rfc3339_millis(order.closes_at),
        });
        let header = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Unfit("a header cannot be sent".to_owned()))
        };
        let mut request = post_json(self.url.clone(), &body);
        request = request.header(KEY, header(&order.attempt_id)?);
        if !self.secret.is_empty() {
            let mut secret = header(self.secret.expose())?;
            secret.set_sensitive(true);
            request = request.header(SECRET, secret);
        }
        // It has to answer within 30 s.
        request.timeout = Duration::from_secs(30);
        Ok(request)
    }

    /// Any 2xx accepts; its body is optional and may have `success` and `call_id`. A call without a `call_id` goes
    /// by the attempt's id, which the receiver got.
    fn outcome(&self, order: &Order, answer: &Response) -> Outcome {
        if !answer.status.is_success() {
            return TABLE.judge(answer, None, "", &self.secret);
        }
        if answer.cut.is_some() {
            return TABLE.doubt(answer, &self.secret, "");
        }
        let body = wire::json(answer).unwrap_or_default();
        match body.get("success") {
            None | Some(Value::Null | Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                let advice = "see the receiver's log";
                return refused(TABLE.told(answer, &self.secret, advice));
            }
            Some(_) => {
                return ambiguous(
                    "the trigger URL answered with a success that is neither true nor false"
                        .to_owned(),
                );
            }
        }
        let named = match body.get("call_id") {
            Some(Value::Number(_)) => Some(code(body.get("call_id"))),
            call => id(call),
        };
        Outcome::Placed {
            provider_id: named.unwrap_or_else(|| order.attempt_id.clone()),
        }
    }
}

#[cfg(test)]
#[path = "trigger_url_tests.rs"]
mod tests;
