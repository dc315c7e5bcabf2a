use std::fmt::Write as _;
use std::time::Duration;

use ring::hmac;
use ringdown_vault::Secret;

use crate::error::Invalid;

/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "X-Ringdown-Signature";

/// Most signatures that are looked at: one, or two while a secret is being changed.
const MOST_SIGNATURES: usize = 8;

/// The signature of a body sent at `at`, seconds since 1970: `t=SECONDS` and, for each secret,
/// `v1=` with the hexadecimal HMAC-SHA256 (RFC 2104) of `SECONDS.BODY`.
pub fn signature<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    at: u64,
    body: &[u8],
) -> String {
    let mut text = format!("t={at}");
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{at}.").as_bytes());
        context.update(body);
        text.push_str(",v1=");
        for byte in context.sign().as_ref() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

/// Whether `header` was made with `secret` for `body`, at most `tolerance` away from `now`, seconds
/// since 1970. What a receiver has to do; the comparison takes constant time.
///
/// # Errors
/// [`Invalid`] says why it does not hold.
pub fn verify(
    secret: &Secret,
    header: &str,
    body: &[u8],
    now: u64,
    tolerance: Duration,
) -> Result<(), Invalid> {
    let mut at = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) if at.is_none() => at = text.parse::<u64>().ok(),
            Some(("v1", text)) if signatures.len() < MOST_SIGNATURES => {
                signatures.push(bytes(text).ok_or(Invalid::Malformed)?);
            }
            // Later versions may come beside this one.
            Some((name, _)) if name != "t" => {}
            _ => return Err(Invalid::Malformed),
        }
    }
    let at = at.ok_or(Invalid::Malformed)?;
    if signatures.is_empty() {
        return Err(Invalid::Malformed);
    }
    let seconds = now.abs_diff(at);
    if seconds > tolerance.as_secs() {
        return Err(Invalid::Time { seconds });
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut message = format!("{at}.").into_bytes();
    message.extend_from_slice(body);
    let holds = signatures
        .iter()
        .any(|signature| hmac::verify(&key, &message, signature).is_ok());
    if holds {
        Ok(())
    } else {
        Err(Invalid::Mismatch)
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTES: Duration = Duration::from_secs(300);

    #[test]
    fn the_signature_is_the_documented_one() {
        // echo -n '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'key'
        let made = signature([&Secret::new("key")], 1_700_000_000, br#"{"a":1}"#);
        assert_eq!(made, VECTOR);
        verify(
            &Secret::new("key"),
            VECTOR,
            br#"{"a":1}"#,
            1_700_000_300,
            MINUTES,
        )
        .unwrap();
    }

    const VECTOR: &str =
        "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";

    #[test]
    fn while_a_secret_is_changed_either_one_will_do() {
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let made = signature([&new, &old], 9, b"body");
        for secret in [&old, &new] {
            verify(secret, &made, b"body", 9, MINUTES).unwrap();
        }
        let other = verify(&Secret::new("other"), &made, b"body", 9, MINUTES);
        assert_eq!(other, Err(Invalid::Mismatch));
    }

    #[test]
    fn old_signatures_and_those_from_the_future_do_not_hold() {
        let secret = Secret::new("key");
        let made = signature([&secret], 1000, b"");
        for now in [699, 1301] {
            let error = verify(&secret, &made, b"", now, MINUTES);
            assert_eq!(error, Err(Invalid::Time { seconds: 301 }));
        }
        for now in [700, 1000, 1300] {
            verify(&secret, &made, b"", now, MINUTES).unwrap();
        }
    }

    #[test]
    fn what_is_no_signature_is_called_so() {
        let secret = Secret::new("key");
        let hex = "0".repeat(64);
        let two_times = format!("t=1,t=2,v1={hex}");
        for text in ["", "t=1", "v1=", "t=1,v1=zz", "t=x,v1=", &hex, &two_times] {
            let error = verify(&secret, text, b"", 1, MINUTES);
            assert_eq!(error, Err(Invalid::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_can_be_changed(
            secret in ".{1,40}",
            body in prop::collection::vec(any::<u8>(), 1..200),
            at in 1u64..4_000_000_000,
            flip in any::<prop::sample::Index>(),
        ) {
            let secret = Secret::new(secret);
            let made = signature([&secret], at, &body);
            prop_assert_eq!(verify(&secret, &made, &body, at, MINUTES), Ok(()));
            let mut other = body.clone();
            other[flip.index(body.len())] ^= 1;
            prop_assert_eq!(verify(&secret, &made, &other, at, MINUTES), Err(Invalid::Mismatch));
            let moved = made.replacen(&format!("t={at}"), &format!("t={}", at + 1), 1);
            prop_assert_eq!(verify(&secret, &moved, &body, at, MINUTES), Err(Invalid::Mismatch));
        }
    }
}
