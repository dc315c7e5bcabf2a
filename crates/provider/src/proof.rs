//! How signed callbacks are checked.

use std::time::Duration;

use ring::{digest, hmac};
use ringdown_domain::{RunId, Timestamp};
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

use crate::{Callback, Rejected};

/// How far a signature's time may be from now, unless the provider says something else.
pub(crate) const SKEW: Duration = Duration::from_secs(300);

/// Whether this hexadecimal text is the HMAC-SHA256 of the parts one after another. In constant time.
pub(crate) fn hmac_hex(key: &[u8], parts: &[&[u8]], given: &str) -> bool {
    let Some(tag) = unhex(given) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&key, &parts.concat(), &tag).is_ok()
}

/// Refuses a signature that is older than `past`, or more than [`SKEW`] from the future.
pub(crate) fn fresh(now: Timestamp, signed: Timestamp, past: Duration) -> Result<(), Rejected> {
    let (age, lead) = (now.since(signed), now.until(signed));
    if age <= past && lead <= SKEW {
        return Ok(());
    }
    let seconds = age.max(lead).as_secs();
    Err(Rejected::Stale { seconds })
}

/// A moment that is given in whole seconds or in milliseconds.
pub(crate) fn moment(text: &str, unit_in_micros: i64) -> Result<Timestamp, Rejected> {
    let count: i64 = text
        .parse()
        .map_err(|_| Rejected::Unreadable("the signature's time is no number".to_owned()))?;
    Ok(Timestamp::from_micros(count.saturating_mul(unit_in_micros)))
}

/// A field of a header such as `t=1,v0=ab`.
pub(crate) fn part<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// The token in `Authorization`, with or without the word `Bearer`.
///
/// # Errors
/// [`Rejected::Unsigned`] if there is none.
pub(crate) fn sent<'a>(callback: &'a Callback<'_>) -> Result<&'a str, Rejected> {
    let header = callback
        .header("authorization")
        .ok_or(Rejected::Unsigned("authorization"))?;
    let token = match header.split_once(' ') {
        Some((word, token)) if word.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => header,
    };
    Ok(token)
}

/// The body as JSON, once the signature holds.
pub(crate) fn body(callback: &Callback<'_>) -> Result<Value, Rejected> {
    serde_json::from_slice(callback.body)
        .map_err(|error| Rejected::Unreadable(format!("the body is no JSON ({error})")))
}

/// The run and the attempt in the query of the address that a callback was sent to.
pub(crate) fn echo_in_query(url: &str) -> (Option<RunId>, Option<String>) {
    let Ok(url) = url.parse::<Url>() else {
        return (None, None);
    };
    let value = |wanted: &str| {
        url.query_pairs()
            .find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
    };
    let run = value("run_id").and_then(|run| run.parse().ok()).map(RunId);
    (run, value("attempt_id"))
}

/// A few characters that tell secrets apart without telling them.
pub(crate) fn fingerprint(secret: &Secret) -> String {
    let digest = digest::digest(&digest::SHA256, secret.expose().as_bytes());
    hex(digest.as_ref()).chars().take(8).collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let bytes = pairs.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hmac_holds_for_its_bytes_only() {
        // RFC 4231 section 4.3.
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert!(hmac_hex(b"Jefe", &parts, tag));
        assert!(hmac_hex(b"Jefe", &parts, &tag.to_uppercase()));
        assert!(!hmac_hex(b"Jefe", &[b"what do ya want for nothing!"], tag));
        for other in ["", "5", "zz", "\u{e9}\u{e9}", &tag[2..]] {
            assert!(!hmac_hex(b"Jefe", &parts, other), "{other}");
        }
    }

    #[test]
    fn times_are_bounded_on_both_sides() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for (signed, expected) in [
            (699, Err(301)),
            (700, Ok(())),
            (1300, Ok(())),
            (1301, Err(301)),
        ] {
            let expected = expected.map_err(|seconds| Rejected::Stale { seconds });
            assert_eq!(fresh(at(1000), at(signed), SKEW), expected);
        }
    }
}
