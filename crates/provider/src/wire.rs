//! What requests and answers of all providers have in common.

use std::time::Duration;

use ringdown_domain::E164;
use ringdown_domain::dial::{Outcome, Retry};
use ringdown_egress::{Method, Request, Response, StatusCode};
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

/// Longest text that is taken over from an answer, in characters.
const LONGEST_TEXT: usize = 255;

/// Shortest secret that is worth hiding in what a provider says: anything shorter is no secret.
pub(crate) const SHORTEST_SECRET: usize = 8;

/// Longest wait that an answer can ask for; whoever asks for more is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// `base` with these segments behind its path, percent-encoded; `None` if it is no base of URLs.
pub fn join(base: &Url, segments: &[&str]) -> Option<Url> {
    let mut base = base.clone();
    base.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(segments);
    Some(base)
}

/// A request with a JSON body.
pub fn post_json(url: Url, body: &Value) -> Request {
    Request::new(Method::POST, url).body("application/json", body.to_string())
}

/// The number without its plus sign.
pub fn digits(number: &E164) -> &str {
    number.as_str().trim_start_matches('+')
}

/// The answer's body, if it is whole and JSON.
///
/// # Errors
/// Why it is not, for people.
pub fn json(answer: &Response) -> Result<Value, String> {
    if let Some(cut) = &answer.cut {
        return Err(cut.to_string());
    }
    serde_json::from_slice(&answer.body).map_err(|_| "the answer is no JSON".to_owned())
}

/// What an answer of status 200 shows; `None` for any other, and for one that is not whole or no JSON.
pub fn shown(answer: &Response) -> Option<Value> {
    if answer.status != StatusCode::OK {
        return None;
    }
    json(answer).ok()
}

/// A text of an answer for people: shortened, without control characters, `None` if it is empty.
pub fn text(value: Option<&Value>) -> Option<String> {
    let text = clean(value?.as_str()?);
    (!text.is_empty()).then_some(text)
}

/// An identifier of an answer: a text of at most 255 visible ASCII characters.
pub fn id(value: Option<&Value>) -> Option<String> {
    let id = value?.as_str()?;
    let good = (1..=LONGEST_TEXT).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    // Dots alone are no segment of a path.
    let good = good && !id.bytes().all(|b| b == b'.');
    good.then(|| id.to_owned())
}

/// A code of an answer, which some write as a text and some as a number; empty for anything else.
pub fn code(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(code)) => clean(code),
        Some(Value::Number(code)) => code.to_string(),
        _ => String::new(),
    }
}

/// A text for people: shortened to 255 characters, without control characters.
pub fn clean(text: &str) -> String {
    let visible = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_TEXT);
    visible.collect::<String>().trim().to_owned()
}

/// What a provider says about a refusal, without this secret, should it repeat it. All of them have JSON for it,
/// each its own.
pub fn said(body: &[u8], secret: &Secret) -> String {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let said = answer.as_ref().and_then(|answer| {
        [
            "/message",
            "/message/0",
            "/errors/0/detail",
            "/errors/0/title",
            "/errors/0",
            "/error/error",
            "/error/message",
            "/error",
            "/detail/message",
            "/detail/description",
            "/detail",
            "/detail/0/msg",
            "/description",
            "/msg",
            "/title",
        ]
        .iter()
        .find_map(|path| answer.pointer(path)?.as_str())
    });
    let said = said.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    // Some repeat what they refuse. Hidden before it is cut, since a half would not be found.
    let said = if secret.len() < SHORTEST_SECRET {
        said.into_owned()
    } else {
        said.replace(secret.expose(), "(hidden)")
    };
    let said = clean(&said);
    if said.is_empty() {
        "no reason given".to_owned()
    } else {
        said
    }
}

/// How long an answer asks to wait: `Retry-After` in seconds (RFC 9110 section 10.2.3), or the field that this
/// provider uses for it.
pub fn wait(answer: &Response, field: &str) -> Option<Duration> {
    let value = answer
        .headers
        .get("retry-after")
        .or_else(|| answer.headers.get(field))?;
    let seconds: f64 = value.to_str().ok()?.trim().parse().ok()?;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    Some(wait.min(LONGEST_WAIT))
}

/// Not placed, and to be tried again when the answer says so.
pub fn again(answer: &Response, field: &str, reason: String) -> Outcome {
    let retry = wait(answer, field).map_or(Retry::Later, Retry::After);
    Outcome::NotPlaced { reason, retry }
}

/// Not placed, and no use to try again.
pub fn refused(reason: String) -> Outcome {
    Outcome::NotPlaced {
        reason,
        retry: Retry::Never,
    }
}

/// Nobody can tell whether it was placed.
pub fn ambiguous(reason: String) -> Outcome {
    Outcome::Ambiguous { reason }
}
