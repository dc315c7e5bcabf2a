//! Checking and reading callbacks.

use std::time::Duration;

use ring::hmac;
use ringdown_domain::{RunId, Timestamp};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::{Callback, Rejected};

/// How far a signature's time may be away, where the provider says nothing else.
pub(crate) const LONGEST_AWAY: Duration = Duration::from_secs(300);

/// Whether `tag` is the code of `message` under `key`. In constant time.
pub(crate) fn fits(algorithm: hmac::Algorithm, key: &str, message: &[u8], tag: &[u8]) -> bool {
    let key = hmac::Key::new(algorithm, key.as_bytes());
    hmac::verify(&key, message, tag).is_ok()
}

/// # Errors
/// [`Rejected::Stale`] if `at` is too far from when the callback arrived.
pub(crate) fn fresh(callback: &Callback<'_>, at: Timestamp) -> Result<(), Rejected> {
    let away = callback.at.as_micros().abs_diff(at.as_micros());
    if Duration::from_micros(away) <= LONGEST_AWAY {
        return Ok(());
    }
    let seconds = away / 1_000_000;
    Err(Rejected::Stale { seconds })
}

/// The fields of a form or a query.
pub(crate) fn form(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// A field of a form that is not empty.
pub(crate) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = form.iter().find(|(other, _)| other == name)?;
    (!value.is_empty()).then_some(value)
}

/// The run and the attempt that [`crate::Order::callback_with_run`] put into the query.
pub(crate) fn run_in_query(callback: &Callback<'_>) -> (Option<RunId>, Option<String>) {
    let query = form(query(callback.url).as_bytes());
    let run = field(&query, "run_id").and_then(|id| id.parse().ok());
    (
        run.map(RunId),
        field(&query, "attempt_id").map(str::to_owned),
    )
}

/// The query of an address, as it is written.
pub(crate) fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The run and the attempt in an object `{"run_id", "attempt_id"}`.
pub(crate) fn run_in(value: &Value) -> (Option<RunId>, Option<String>) {
    let run = match &value["run_id"] {
        Value::String(id) => id.parse().ok(),
        id => id.as_i64(),
    };
    let attempt = value["attempt_id"].as_str().map(str::to_owned);
    (run.map(RunId), attempt)
}

/// The callback's body as JSON.
///
/// # Errors
/// [`Rejected::Unreadable`] if it is none.
pub(crate) fn json(callback: &Callback<'_>) -> Result<Value, Rejected> {
    serde_json::from_slice(callback.body).map_err(|_| unreadable("it is no JSON"))
}

/// Signed, and yet not understood.
pub(crate) fn unreadable(why: impl Into<String>) -> Rejected {
    Rejected::Unreadable(why.into())
}

/// The address with the default port and without one: providers sign either.
pub(crate) fn with_and_without_port(url: &str) -> Vec<String> {
    let mut both = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return both;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (Some((host, tail)), Ok(parsed)) = (rest.split_at_checked(end), url.parse::<Url>()) else {
        return both;
    };
    let port = host
        .rsplit_once(':')
        .filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    match (port, parsed.port_or_known_default()) {
        (Some((host, _)), _) => both.push(format!("{scheme}://{host}{tail}")),
        (None, Some(port)) => both.push(format!("{scheme}://{host}:{port}{tail}")),
        (None, None) => {}
    }
    both
}

/// Bytes of hexadecimal digits.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let nibble = |digit: &u8| char::from(*digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(high)? * 16 + nibble(low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}
