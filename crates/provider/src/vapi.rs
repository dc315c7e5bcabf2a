mod proof;

use std::time::Duration;

use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::ask::{at, bearer, set};
use crate::echo::{self, names};
use crate::ending::by_sip_alone;
use crate::listed::{Listed, list, pick};
use crate::signed::{self, fingerprint};
use crate::table::{REFUSALS, Row, Table, never, passing};
use crate::time::rfc3339;
use crate::wire::{id, json as read, post_json, said, text};
use crate::{
    Callback, Found, Habits, InvalidSettings, News, Order, Progress, Provider, Rejected, Settings,
    Unfit,
};

use self::proof::Proof;

/// Vapi, Create Call, responses. Its 429 is not documented.
const TABLE: Table = Table {
    provider: "Vapi",
    reset: "retry-after",
    rows: ROWS,
    others: REFUSALS,
};

/// What the refusal of a call above the limit says.
const CONCURRENCY: &str = "concurrency limit";

const ROWS: &[Row] = &[
    // It passes.
    passing(400, "too many calls are up; raise the organisation's limit").coded(CONCURRENCY),
    // Policy, limits or validation.
    never(
        400,
        "check assistant_id and phone_number_id, and the limits of the number at Vapi",
    ),
    never(
        401,
        "check the API key (vapi_api_key): the private one is needed",
    ),
];

/// A Vapi organisation (API reference: Create Call, List Calls, Get Call; server messages).
///
/// Vapi has no field for the time to ring, and no documented way to call off a call that waits: `schedulePlan` is for
/// calls of another day, and live call control ends what was answered, at an address that asks for no credentials.
#[derive(Clone, Debug)]
pub struct Vapi {
    base: Url,
    key: Secret,
    assistant_id: String,
    phone_number_id: String,
    from: Option<E164>,
    report: Option<Report>,
    proof: Option<Proof>,
}

/// What a call needs to report to us.
#[derive(Clone, Debug)]
struct Report {
    credential_id: Option<String>,
}

impl Vapi {
    /// An account with these settings:
    ///
    /// * `vapi_api_key` (secret): the organisation's private API key.
    /// * `assistant_id`: the assistant that calls.
    /// * `phone_number_id`: the number at Vapi that it calls from.
    /// * `from_number`: that number itself, to compare it with the agent's caller IDs. Default: not compared.
    /// * `report_calls`: true to have each call's `status-update` and `end-of-call-report` sent here. That
    ///   replaces the assistant's own server for these calls, so leave it off if the assistant needs its
    ///   server. Default: false; calls are asked about instead.
    /// * `credential_id`: the custom credential at Vapi that those messages are signed with.
    /// * `callback_auth`: how it signs them: `bearer` (Bearer token in `Authorization`), `secret` (the secret
    ///   itself in `X-Vapi-Secret`), or `hmac` (HMAC-SHA256 in hexadecimal, over `{timestamp}.{body}`, or over
    ///   the body where there is no timestamp). Default: none; callbacks are refused.
    /// * `vapi_webhook_secret` (secret): the token or secret of that credential.
    /// * `signature_header`: where the HMAC is. Default: `x-signature`.
    /// * `timestamp_header`: where its time is, in seconds or milliseconds; `none` for an HMAC over the body
    ///   alone, which can be replayed. Default: `x-timestamp`.
    /// * `base_url`: default `https://api.vapi.ai`.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the setting that is missing, wrong or unknown.
    pub fn new(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let report = settings.flag("report_calls")?.unwrap_or(false);
        let credential_id = settings.text("credential_id")?;
        let account = Self {
            base: settings.base("https://api.vapi.ai")?,
            key: settings.credential("vapi_api_key")?,
            assistant_id: settings.required("assistant_id")?,
            phone_number_id: settings.required("phone_number_id")?,
            from: settings.number("from_number")?,
            report: report.then_some(Report { credential_id }),
            proof: Proof::read(&mut settings)?,
        };
        settings.finish()?;
        if account.report.is_some() && account.proof.is_none() {
            let problem = "it is needed with report_calls; give bearer, secret or hmac";
            return Err(InvalidSettings::new("callback_auth", problem));
        }
        Ok(account)
    }
}

impl Provider for Vapi {
    fn name(&self) -> &'static str {
        "vapi"
    }

    fn account(&self) -> String {
        format!("vapi organisation of key {}", fingerprint(&self.key))
    }

    /// Vapi, Call concurrency: 10 lines. Its limit on requests is shown in its dashboard and documented nowhere: one
    /// each second is a cautious choice of ours. Calls above the concurrency may wait.
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

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let mut variables = order.variables.clone();
        for (name, text) in names(order) {
            variables.insert(name.to_owned(), text.into());
        }
        let mut overrides = json!({ "variableValues": variables });
        if let (Some(report), Some(url)) = (&self.report, order.callback_with_run()) {
            let mut server = json!({ "url": url });
            if let Some(credential) = &report.credential_id {
                set(&mut server, "credentialId", credential.as_str());
            }
            set(&mut overrides, "server", server);
            let messages = json!(["status-update", "end-of-call-report"]);
            set(&mut overrides, "serverMessages", messages);
        }
        let body = json!({
            "name": format!("Ringdown run {}", order.run),
            "assistantId": self.assistant_id,
            "phoneNumberId": self.phone_number_id,
            "customer": { "number": order.to },
            "assistantOverrides": overrides,
        });
        let url = at(&self.base, &["call"])?;
        bearer(post_json(url, &body), self.key.expose())
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let body = read(answer).unwrap_or_default();
        // Vapi, SubscriptionLimits: "True if this call was blocked by the Call Concurrency limit". It is
        // not said whether a blocked call is dropped or waits, so it has to be looked up.
        let blocked = body.pointer("/subscriptionLimits/concurrencyBlocked");
        if answer.status.is_success() && blocked == Some(&Value::Bool(true)) {
            let more = " and says that its concurrency limit blocks the call";
            return TABLE.doubt(answer, &self.key, more);
        }
        let words = said(&answer.body, &self.key).to_ascii_lowercase();
        let code = words.contains(CONCURRENCY).then_some(CONCURRENCY);
        let call = id(body.get("id"));
        TABLE.judge(answer, call, code.unwrap_or_default(), &self.key)
    }

    fn look_up(&self, _order: &Order, asked_at: Timestamp) -> Option<Request> {
        let mut url = at(&self.base, &["call"]).ok()?;
        url.query_pairs_mut()
            .append_pair("assistantId", &self.assistant_id)
            .append_pair("phoneNumberId", &self.phone_number_id)
            .append_pair("createdAtGe", &rfc3339(asked_at))
            .append_pair("limit", "100");
        bearer(Request::new(Method::GET, url), self.key.expose()).ok()
    }

    /// A call with our attempt among its variables, else the only one to that number which has no attempt of
    /// another order.
    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let calls = match list(answer, "", &self.key) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let listed = calls.iter().filter_map(|call| {
            let ours = carried(call).1.map(|attempt| attempt == order.attempt_id);
            let customer = &call["customer"];
            let same_number = customer["number"] == order.to.as_str();
            (ours.is_some() || same_number).then(|| Listed {
                id: id(call.get("id")),
                created: Some(asked_at),
                ours,
            })
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let url = at(&self.base, &["call", provider_id]).ok()?;
        bearer(Request::new(Method::GET, url), self.key.expose()).ok()
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        if !answer.status.is_success() {
            return None;
        }
        let call = &read(answer).ok()?;
        progress(call["status"].as_str()?, call.get("endedReason"))
    }

    /// Vapi, server authentication: the scheme is the user's choice, so it is a setting here.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        self.proof
            .as_ref()
            .ok_or(Rejected::NotExpected)?
            .check(callback)?;
        let body = &signed::json(callback)?;
        let message = &body["message"];
        let status = match message["type"].as_str() {
            Some("status-update") => message["status"].as_str(),
            Some("end-of-call-report") => Some("ended"),
            _ => return Ok(Vec::new()),
        };
        let progress = status.and_then(|status| progress(status, message.get("endedReason")));
        let call = &message["call"];
        let (Some(provider_id), Some(progress)) = (id(call.get("id")), progress) else {
            let problem = "it has no call.id, or no status that is known".to_owned();
            return Err(Rejected::Unreadable(problem));
        };
        let (run, attempt_id) = carried(call);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// A call hands its variables back.
fn carried(call: &Value) -> echo::Echo {
    let overrides = &call["assistantOverrides"];
    echo::in_variables(&overrides["variableValues"])
}

/// Vapi, Get Call, `status`.
fn progress(status: &str, reason: Option<&Value>) -> Option<Progress> {
    Some(match status {
        "scheduled" | "queued" => Progress::Queued,
        "ringing" => Progress::Ringing,
        "in-progress" | "forwarding" => Progress::Answered,
        "ended" => {
            let said = text(reason).unwrap_or_default();
            let (ending, sip_code) = ending(&said);
            Progress::Ended {
                ending,
                sip_code,
                said,
            }
        }
        _ => return None,
    })
}

/// Vapi, Call ended reasons: 627 of them, so families are told by how they are made up.
fn ending(reason: &str) -> (Ending, Option<u16>) {
    // "...error-providerfault-outbound-sip-403-forbidden", the carrier's own response.
    if let Some((_, rest)) = reason.split_once("outbound-sip-") {
        let code = rest.split('-').next().unwrap_or_default().parse().ok();
        let code = code.filter(|code| (300..700).contains(code));
        return (by_sip_alone(code), code);
    }
    let ending = match reason {
        "customer-busy" => Ending::Busy,
        "customer-did-not-answer" => Ending::NoAnswer,
        "vonage-rejected" => Ending::Rejected,
        "manually-canceled" => Ending::Cancelled,
        "" | "twilio-failed-to-connect-call" | "vonage-failed-to-connect-call" => Ending::Failed,
        // "The phone never rang."
        _ if reason.starts_with("call.start.error-") => Ending::NeverDialed,
        _ if reason.ends_with("sip-outbound-call-failed-to-connect") => Ending::Failed,
        // Went wrong while it was up, so it was answered.
        _ if reason.starts_with("call.in-progress.") => Ending::Completed,
        _ if reason.contains("error") || reason.contains("failed") => Ending::Failed,
        // Hung up by either side, voicemail, silence, time over.
        _ => Ending::Completed,
    };
    (ending, None)
}

#[cfg(test)]
#[path = "vapi_tests.rs"]
mod tests;
