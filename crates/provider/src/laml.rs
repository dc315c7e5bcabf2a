//! Twilio's Calls API, and SignalWire's that is shaped after it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Method, Request, Response};
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

use crate::ask::Ring;
use crate::ending::{by_sip, sip_code};
use crate::listed::{Listed, list, pick};
use crate::signed::{SKEW, field, fits, form, fresh, query, unreadable};
use crate::table::Table;
use crate::time::parse_rfc2822;
use crate::wire::{code, id, json, shown};
use crate::{Callback, Found, Habits, News, Order, Progress, Provider, Rejected, Unfit};
use crate::{ask, echo, signed};

/// What differs between the two.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    /// The path up to the account's id.
    pub(crate) path: &'static [&'static str],
    /// What resources end with.
    pub(crate) suffix: &'static str,
    /// `Timeout`.
    pub(crate) ring: Ring,
    pub(crate) signature: &'static str,
    /// The header of what is signed with a key of its own and not the account's, which says how.
    pub(crate) signature_settings: Option<&'static str>,
}

/// What a call does once it is answered.
#[derive(Clone, Debug)]
pub(crate) enum Instructions {
    /// Fetched from this address.
    Url(Url),
    /// These.
    Twiml(String),
    /// Those of an application, which also names where its status goes.
    Application(String),
}

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct Laml {
    pub(crate) dialect: &'static Dialect,
    pub(crate) base: Url,
    pub(crate) account: String,
    pub(crate) token: Secret,
    /// What callbacks are signed with.
    pub(crate) signing_key: Option<Secret>,
    /// What those are signed with that have [`Dialect::signature_settings`].
    pub(crate) shared_key: Option<Secret>,
    pub(crate) from: Option<E164>,
    pub(crate) instructions: Instructions,
}

/// A provider that is one of the two.
pub(crate) trait Speaks: Send + Sync + std::fmt::Debug + 'static {
    /// Its account.
    fn laml(&self) -> &Laml;
}

impl<T: Speaks> Provider for T {
    fn name(&self) -> &'static str {
        self.laml().dialect.name
    }

    fn account(&self) -> String {
        format!("{} {}", self.name(), self.laml().account)
    }

    /// Both start one call a second and queue the rest (Twilio, Voice queueing; SignalWire, Calls per second). POST is
    /// not idempotent (Twilio, Calls resource).
    fn habits(&self) -> Habits {
        Habits {
            calls_per_second: 1.0,
            concurrent_calls: None,
            queues: true,
            repeatable_for: None,
            looks_up: true,
            least_ring: self.laml().dialect.ring.least(),
        }
    }

    fn caller_id(&self) -> Option<&E164> {
        self.laml().from.as_ref()
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        self.laml().request(order)
    }

    fn outcome(&self, _order: &Order, answer: &Response) -> Outcome {
        let laml = self.laml();
        let body = json(answer).unwrap_or_default();
        let code = code(body.get("code"));
        let sid = id(body.get("sid"));
        laml.dialect.table.judge(answer, sid, &code, &laml.token)
    }

    fn look_up(&self, order: &Order, _asked_at: Timestamp) -> Option<Request> {
        let laml = self.laml();
        let from = ask::from(laml.from.as_ref(), order)?;
        let mut url = laml.url(None).ok()?;
        // No StartTime: a call that still waits has none. The newest come first.
        url.query_pairs_mut()
            .append_pair("To", order.to.as_str())
            .append_pair("From", from.as_str())
            .append_pair("PageSize", "50");
        Some(laml.signed(Request::new(Method::GET, url)))
    }

    fn found(&self, order: &Order, asked_at: Timestamp, answer: &Response) -> Found {
        let laml = self.laml();
        let from = ask::from(laml.from.as_ref(), order);
        let calls = match list(answer, "/calls", &laml.token) {
            Ok(calls) => calls,
            Err(unreadable) => return unreadable,
        };
        let between = |call: &&Value| {
            call["to"].as_str() == Some(order.to.as_str())
                && call["from"].as_str() == from.map(E164::as_str)
        };
        let listed = calls.iter().filter(between).map(|call| Listed {
            id: id(call.get("sid")),
            created: call["date_created"].as_str().and_then(parse_rfc2822),
            ours: None,
        });
        pick(listed.collect(), asked_at)
    }

    fn status(&self, provider_id: &str) -> Option<Request> {
        let laml = self.laml();
        let url = laml.url(Some(provider_id)).ok()?;
        Some(laml.signed(Request::new(Method::GET, url)))
    }

    fn progress(&self, _provider_id: &str, answer: &Response) -> Option<Progress> {
        let call = shown(answer)?;
        let code = code(call.get("sip_result_code"));
        progress(call.get("status")?.as_str()?, sip_code(&code))
    }

    /// Ends calls that are queued or ringing, and no others (Twilio, Calls resource, Status).
    fn cancel(&self, provider_id: &str) -> Option<Request> {
        let laml = self.laml();
        let url = laml.url(Some(provider_id)).ok()?;
        Some(laml.signed(ask::post_form(url, &[("Status", "canceled")])))
    }

    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        self.laml().callback(callback)
    }
}

impl Laml {
    /// The account's calls, or one of them.
    fn url(&self, call: Option<&str>) -> Result<Url, Unfit> {
        let suffix = self.dialect.suffix;
        let (calls, call) = match call {
            None => (format!("Calls{suffix}"), None),
            Some(call) => ("Calls".to_owned(), Some(format!("{call}{suffix}"))),
        };
        let mut segments = self.dialect.path.to_vec();
        segments.extend([self.account.as_str(), calls.as_str()]);
        segments.extend(call.as_deref());
        ask::at(&self.base, &segments)
    }

    fn signed(&self, request: Request) -> Request {
        request.basic(&self.account, self.token.expose())
    }

    fn request(&self, order: &Order) -> Result<Request, Unfit> {
        let provider = self.dialect.table.provider;
        let from = ask::caller(self.from.as_ref(), order, provider)?;
        let timeout = self.dialect.ring.seconds(order, provider)?.to_string();
        let mut fields = vec![("To", order.to.as_str()), ("From", from.as_str())];
        let url;
        match &self.instructions {
            Instructions::Url(address) => {
                url = ask::with_variables(address, order);
                fields.push(("Url", url.as_str()));
            }
            _ if !order.variables.is_empty() => {
                return Err(Unfit(
                    "variables reach the agent in the query of the setting url only; give url instead of twiml or application_sid, or leave main_agent_variables out".to_owned(),
                ));
            }
            Instructions::Twiml(twiml) => fields.push(("Twiml", twiml)),
            Instructions::Application(sid) => fields.push(("ApplicationSid", sid)),
        }
        fields.push(("Timeout", &timeout));
        let callback = order.callback_with_run().filter(|_| self.takes_callbacks());
        if let Some(callback) = &callback {
            fields.push(("StatusCallback", callback.as_str()));
            fields.push(("StatusCallbackMethod", "POST"));
            for event in ["initiated", "ringing", "answered", "completed"] {
                fields.push(("StatusCallbackEvent", event));
            }
        }
        Ok(self.signed(ask::post_form(self.url(None)?, &fields)))
    }

    /// An application's own address takes them instead (Twilio, Calls resource, ApplicationSid).
    fn takes_callbacks(&self) -> bool {
        let own = !matches!(self.instructions, Instructions::Application(_));
        own && self.signing_key.is_some()
    }

    /// The code is over the address and the form's fields, sorted by name, names and values one after the other
    /// (Twilio, Validating requests). The address is signed with its port or without.
    fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        let settings = self.dialect.signature_settings;
        let settings = settings.and_then(|name| callback.header(name));
        let (key, algorithm) = match settings.filter(|settings| !settings.is_empty()) {
            None => (&self.signing_key, HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Some(settings) => (&self.shared_key, named(settings)?),
        };
        let key = key.as_ref().ok_or(Rejected::NotExpected)?;
        let name = self.dialect.signature;
        let tag = callback.header(name).ok_or(Rejected::Unsigned(name))?;
        let tag = STANDARD.decode(tag).map_err(|_| Rejected::Forged)?;
        let posted = callback.method != "GET";
        let fields = form(if posted {
            callback.body
        } else {
            query(callback.url).as_bytes()
        });
        let mut sorted = if posted { fields.clone() } else { Vec::new() };
        sorted.sort();
        // What is there twice is signed once (Twilio's helper libraries).
        sorted.dedup();
        let signed: String = sorted.iter().flat_map(|(k, v)| [k.as_str(), v]).collect();
        let genuine = signed::with_and_without_port(callback.url)
            .iter()
            .any(|url| {
                let message = format!("{url}{signed}");
                fits(algorithm, key, message.as_bytes(), &tag)
            });
        if !genuine {
            return Err(Rejected::Forged);
        }
        if let Some(at) = field(&fields, "Timestamp") {
            let at = parse_rfc2822(at).ok_or_else(|| unreadable("its Timestamp is no time"))?;
            fresh(callback.at, at, SKEW)?;
        }
        let sid = field(&fields, "CallSid").map(|sid| Value::String(sid.to_owned()));
        let provider_id = id(sid.as_ref()).ok_or_else(|| unreadable("it has no CallSid"))?;
        let Some(status) = field(&fields, "CallStatus") else {
            return Ok(Vec::new());
        };
        let code = field(&fields, "SipResponseCode").and_then(sip_code);
        let progress = progress(status, code)
            .ok_or_else(|| unreadable("its CallStatus is none that is documented"))?;
        let (run, attempt_id) = echo::in_query(callback.url);
        Ok(vec![News {
            provider_id,
            run,
            attempt_id,
            progress,
        }])
    }
}

/// The algorithm that a signature's settings name (Twilio's helper libraries): `key=ID,algorithm=HMAC_SHA256`.
fn named(settings: &str) -> Result<Algorithm, Rejected> {
    let fields = settings
        .split(',')
        .filter_map(|field| field.split_once('='));
    let mut algorithms = fields
        .filter(|(name, _)| name.trim() == "algorithm")
        .map(|(_, algorithm)| algorithm.trim().to_ascii_uppercase())
        .filter(|algorithm| !algorithm.is_empty());
    match algorithms.next().as_deref() {
        Some("HMAC_SHA256") => Ok(HMAC_SHA256),
        None | Some("HMAC_SHA1") => Ok(HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Some(_) => Err(Rejected::Forged),
    }
}

/// Twilio, Calls resource, call status values; SignalWire has the same.
fn progress(status: &str, sip_code: Option<u16>) -> Option<Progress> {
    let by_code = sip_code.and_then(by_sip);
    let ending = match status {
        // Waits for its turn in the account's queue.
        "queued" => return Some(Progress::Queued),
        // The INVITE is on its way; then it rings.
        "initiated" | "ringing" => return Some(Progress::Ringing),
        "in-progress" => return Some(Progress::Answered),
        "completed" => Ending::Completed,
        // A busy signal; a callee that declines is told as busy too, with 603.
        "busy" => by_code.unwrap_or(Ending::Busy),
        // It rang until its timeout.
        "no-answer" => by_code.unwrap_or(Ending::NoAnswer),
        // Could not be completed as dialed.
        "failed" => by_code.unwrap_or(Ending::Failed),
        // Called off while it was queued or ringing.
        "canceled" => Ending::Cancelled,
        _ => return None,
    };
    Some(Progress::Ended {
        ending,
        sip_code,
        said: status.to_owned(),
    })
}
