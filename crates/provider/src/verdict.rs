//! How the answers of services with JSON are judged: by a table of each service's own, then by HTTP itself.

use ringdown_domain::dial::{Ending, Outcome};
use ringdown_domain::{E164, RunId};
use ringdown_egress::{Request, Response};
use ringdown_vault::Secret;
use serde_json::{Map, Value};

use crate::wire::{again, ambiguous, id, json, refused, said};
use crate::{Found, Order, Unfit};

/// Under these names a call carries what it belongs to, where a service hands variables back.
pub(crate) const RUN: &str = "ringdown_run_id";
/// See [`RUN`].
pub(crate) const ATTEMPT: &str = "ringdown_attempt_id";
/// See [`RUN`].
pub(crate) const TEAM: &str = "ringdown_team";

/// What a status means by a service's documents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) status: u16,
    pub(crate) verdict: Verdict,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

/// See [`Row`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// Not processed, and will not be.
    Refused,
    /// Not processed this time.
    Again,
}

impl Row {
    pub(crate) const fn refused(status: u16, advice: &'static str) -> Self {
        let verdict = Verdict::Refused;
        Self {
            status,
            verdict,
            advice,
        }
    }

    pub(crate) const fn again(status: u16, advice: &'static str) -> Self {
        let verdict = Verdict::Again;
        Self {
            status,
            verdict,
            advice,
        }
    }
}

/// Statuses by which a server says that it did not do what was asked (RFC 9110 section 15.5): 400 cannot be
/// processed, 401 was not applied, 403 refused, 404 there is no such thing to ask, 405 not supported, 413, 414
/// and 415 refused for the message's form, 421 the wrong server, 422 cannot be processed. Not among them: 408,
/// 409, 425 and 429, which leave open what was done before.
const REFUSALS: [u16; 10] = [400, 401, 403, 404, 405, 413, 414, 415, 421, 422];

/// Judges an answer: a readable 2xx by `placed`, everything else by `table`, then by [`REFUSALS`]; what
/// neither of them knows is ambiguous.
pub(crate) fn judge(
    service: &str,
    table: &[Row],
    answer: &Response,
    secret: &Secret,
    placed: impl FnOnce(&Value) -> Outcome,
) -> Outcome {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return match json(answer) {
            Ok(value) => placed(&value),
            Err(problem) => ambiguous(format!("{service} answered {status}: {problem}")),
        };
    }
    let reason = format!(
        "{service} answered {status}: {}",
        said(&answer.body, secret)
    );
    match table.iter().find(|row| row.status == status) {
        Some(row) => {
            let reason = format!("{reason}; {}", row.advice);
            match row.verdict {
                Verdict::Refused => refused(reason),
                Verdict::Again => again(answer, "retry-after", reason),
            }
        }
        None if REFUSALS.contains(&status) => refused(format!(
            "{reason}; check the settings of this account, base_url among them"
        )),
        None => ambiguous(reason),
    }
}

/// Placed under this identifier, or ambiguous if there is none.
pub(crate) fn placed(service: &str, field: &str, provider_id: Option<String>) -> Outcome {
    match provider_id {
        Some(provider_id) => Outcome::Placed { provider_id },
        None => ambiguous(format!(
            "{service} accepted the call, but its answer has no {field}"
        )),
    }
}

/// The number to call from: the account's own, else the agent's.
pub(crate) fn caller<'a>(
    service: &str,
    own: Option<&'a E164>,
    order: &'a Order,
) -> Result<&'a E164, Unfit> {
    own.or(order.from.as_ref()).ok_or_else(|| {
        Unfit(format!(
            "{service} has to be told which number to call from; give this account the setting from_number"
        ))
    })
}

/// A request with a bearer token.
pub(crate) fn bearer(request: Request, token: &str) -> Result<Request, Unfit> {
    request
        .bearer(token)
        .map_err(|error| Unfit(error.to_string()))
}

/// Says that a setting made an address that cannot be asked.
pub(crate) fn no_base() -> Unfit {
    Unfit("the setting base_url is no address that paths can be added to".to_owned())
}

/// What is at this JSON pointer (RFC 6901); null if nothing is.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// An object of texts.
pub(crate) fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, String)>) -> Value {
    let fields = fields.into_iter();
    let fields = fields.map(|(name, text)| (name.into(), Value::String(text)));
    Value::Object(fields.collect())
}

/// One more field of an object.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value.into());
    }
}

/// What the call belongs to, as texts.
pub(crate) fn names(order: &Order) -> [(&'static str, String); 3] {
    [
        (RUN, order.run.to_string()),
        (ATTEMPT, order.attempt_id.clone()),
        (TEAM, order.team.to_string()),
    ]
}

/// The run and the attempt that a service hands back among a call's variables.
pub(crate) fn echo(variables: &Value) -> (Option<RunId>, Option<String>) {
    let run = variables.get(RUN).and_then(Value::as_str);
    let run = run.and_then(|run| run.parse().ok()).map(RunId);
    (run, id(variables.get(ATTEMPT)))
}

/// The variables, with all values but texts, numbers and flags as JSON.
pub(crate) fn scalars(order: &Order) -> Map<String, Value> {
    let scalar = |value: &Value| match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => value.clone(),
        other => Value::String(other.to_string()),
    };
    let variables = order.variables.iter();
    variables
        .map(|(name, value)| (name.clone(), scalar(value)))
        .collect()
}

/// The one call among those that match.
pub(crate) fn only(mut ids: impl Iterator<Item = Option<String>>) -> Found {
    match (ids.next(), ids.next()) {
        (None, _) => Found::Nothing,
        (Some(Some(provider_id)), None) => Found::Call { provider_id },
        (Some(None), None) => Found::Unreadable("a call in the list has no id".to_owned()),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// The answer to a look-up, if it is a list.
pub(crate) fn listed(answer: &Response, secret: &Secret) -> Result<Value, Found> {
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        let said = said(&answer.body, secret);
        return Err(Found::Unreadable(format!("answered {status}: {said}")));
    }
    json(answer).map_err(Found::Unreadable)
}

/// How a call ended by its final SIP response (RFC 3261 section 21, RFC 8197 for 607, RFC 8688 for 608). A 487
/// is what a call that was let ring long enough ends with.
pub(crate) fn ending_of_sip(code: u16) -> Ending {
    match code {
        200..=299 => Ending::Completed,
        486 | 600 => Ending::Busy,
        408 | 480 | 487 => Ending::NoAnswer,
        404 | 410 | 484 | 604 => Ending::InvalidNumber,
        403 | 603 | 607 | 608 => Ending::Rejected,
        _ => Ending::Failed,
    }
}

/// A final SIP response code in an answer, as number or text.
pub(crate) fn sip_code(value: Option<&Value>) -> Option<u16> {
    let code = match value? {
        Value::Number(code) => code.as_u64()?.try_into().ok()?,
        Value::String(code) => code.parse().ok()?,
        _ => return None,
    };
    (200..700).contains(&code).then_some(code)
}
