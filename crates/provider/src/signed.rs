//! Who sent a callback, and what is in it.

use std::time::Duration;

use ring::{digest, hmac};
use ringdown_domain::Timestamp;
use ringdown_vault::Secret;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::{Callback, Rejected};

/// How far a signature's time may be from when it arrives, unless the provider says something else.
pub(crate) const SKEW: Duration = Duration::from_secs(300);

/// Whether `tag` is the code of `message` under `key`. In constant time.
pub(crate) fn fits(algorithm: hmac::Algorithm, key: &Secret, message: &[u8], tag: &[u8]) -> bool {
    let key = hmac::Key::new(algorithm, key.expose().as_bytes());
    hmac::verify(&key, message, tag).is_ok()
}

/// Whether this hexadecimal text is the HMAC-SHA256 of the parts one after another. In constant time.
pub(crate) fn fits_hex(key: &Secret, parts: &[&[u8]], given: &str) -> bool {
    let tag = unhex(given);
    tag.is_some_and(|tag| fits(hmac::HMAC_SHA256, key, &parts.concat(), &tag))
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

/// A moment that is given as a count of units of so many microseconds.
pub(crate) fn moment(text: &str, unit_in_micros: i64) -> Result<Timestamp, Rejected> {
    let count: i64 = text
        .parse()
        .map_err(|_| unreadable("the signature's time is no number"))?;
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

/// The fields of a form or a query.
pub(crate) fn form(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// A field of a form that is not empty.
pub(crate) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = form.iter().find(|(other, _)| other == name)?;
    (!value.is_empty()).then_some(value)
}

/// The query of an address, as it is written.
pub(crate) fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The callback's body as JSON.
///
/// # Errors
/// [`Rejected::Unreadable`] if it is none.
pub(crate) fn json(callback: &Callback<'_>) -> Result<Value, Rejected> {
    serde_json::from_slice(callback.body)
        .map_err(|error| unreadable(format!("the body is no JSON ({error})")))
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

/// A few characters that tell secrets apart without telling them.
pub(crate) fn fingerprint(secret: &Secret) -> String {
    let digest = digest::digest(&digest::SHA256, secret.expose().as_bytes());
    hex(digest.as_ref()).chars().take(8).collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits, in either case.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: &u8| char::from(*digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(high)? * 16 + nibble(low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hmac_holds_for_its_bytes_only() {
        // RFC 4231 section 4.3.
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let key = Secret::new("Jefe");
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert!(fits_hex(&key, &parts, tag));
        assert!(fits_hex(&key, &parts, &tag.to_uppercase()));
        assert!(!fits_hex(&key, &[b"what do ya want for nothing!"], tag));
        for other in ["", "5", "zz", "\u{e9}\u{e9}", &tag[2..]] {
            assert!(!fits_hex(&key, &parts, other), "{other}");
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
