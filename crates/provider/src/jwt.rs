//! JSON Web Tokens (RFC 7519) in the compact form (RFC 7515), with the two algorithms that providers use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::{hmac, rand, signature};
use ringdown_domain::Timestamp;
use serde_json::{Map, Value, json};

use crate::Rejected;
use crate::signed::{SKEW, fresh, hex};
use crate::time::seconds;

/// Why no token can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token can be signed: the system gives no random numbers")]
pub(crate) struct Unsigned;

/// A private RSA key that signs tokens (RS256). Not shown by `Debug`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PrivateKey(Arc<signature::RsaKeyPair>);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

impl PrivateKey {
    /// Reads a PEM file (RFC 7468): PKCS#8 (`PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`), of 2048 to 4096
    /// bits. Line ends may be written as `\n`, as they are where a setting has one line.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a private RSA key in PEM, whole, from -----BEGIN to -----END";
        let pem = pem.replace("\\n", "\n");
        let (_, rest) = pem.split_once("-----BEGIN ").ok_or(EXPECTED)?;
        let (label, rest) = rest.split_once("-----").ok_or(EXPECTED)?;
        let (text, _) = rest.split_once("-----END ").ok_or(EXPECTED)?;
        let text: String = text.split_whitespace().collect();
        let der = STANDARD.decode(text).map_err(|_| EXPECTED)?;
        let pair = match label {
            "PRIVATE KEY" => signature::RsaKeyPair::from_pkcs8(&der),
            "RSA PRIVATE KEY" => signature::RsaKeyPair::from_der(&der),
            "ENCRYPTED PRIVATE KEY" => return Err("the key needs a password; give it without one"),
            _ => return Err(EXPECTED),
        };
        let pair = pair.map_err(|_| "it is no private RSA key of 2048 to 4096 bits")?;
        Ok(Self(Arc::new(pair)))
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Unsigned> {
        let message = message("RS256", claims);
        let mut tag = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(
                &signature::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut tag,
            )
            .map_err(|_| Unsigned)?;
        Ok(whole(&message, &tag))
    }

    #[cfg(test)]
    pub(crate) fn public(&self) -> &[u8] {
        self.0.public().as_ref()
    }
}

/// What a token says.
#[derive(Clone, Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// Claims of a token that is made now (`iat`), holds for `lifetime` (`exp`), and has a name of its own
    /// (`jti`), besides these.
    pub(crate) fn new(
        now: Timestamp,
        lifetime: Duration,
        more: Map<String, Value>,
    ) -> Result<Self, Unsigned> {
        let name = rand::generate::<[u8; 16]>(&SystemRandom::new()).map_err(|_| Unsigned)?;
        let mut claims = more;
        claims.insert("iat".to_owned(), seconds(now).into());
        claims.insert("exp".to_owned(), seconds(now.plus(lifetime)).into());
        claims.insert("jti".to_owned(), hex(&name.expose()).into());
        Ok(Self(claims))
    }
}

/// A token that is signed with a shared secret (HS256).
pub(crate) fn hs256(claims: &Claims, secret: &[u8]) -> String {
    let message = message("HS256", claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, message.as_bytes());
    whole(&message, tag.as_ref())
}

/// The claims of a token that was signed with this secret (HS256, no other algorithm) and holds now: made (`iat`,
/// else `nbf`) within five minutes, and not expired (`exp`).
///
/// # Errors
/// [`Rejected`] for any other one; one without a time is unreadable.
pub(crate) fn verify(token: &str, secret: &[u8], now: Timestamp) -> Result<Value, Rejected> {
    let (message, tag) = token.rsplit_once('.').ok_or(Rejected::Forged)?;
    let (header, claims) = message.split_once('.').ok_or(Rejected::Forged)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| Rejected::Forged)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, message.as_bytes(), &tag).map_err(|_| Rejected::Forged)?;
    let header = read(header)?;
    if header.get("alg").and_then(Value::as_str) != Some("HS256") {
        return Err(Rejected::Forged);
    }
    let claims = read(claims)?;
    // A NumericDate may have a fraction (RFC 7519 section 2); it does not matter here.
    let time = |name: &str| {
        let time = claims.get(name)?;
        let whole = time.as_i64().or_else(|| {
            let text = time.to_string();
            text.split_once('.')?.0.parse().ok()
        })?;
        Some(Timestamp::from_micros(whole.saturating_mul(1_000_000)))
    };
    let (made, expires) = (time("iat").or_else(|| time("nbf")), time("exp"));
    if made.is_none() && expires.is_none() {
        let problem = "the token does not say when it was made".to_owned();
        return Err(Rejected::Unreadable(problem));
    }
    if let Some(made) = made {
        fresh(now, made, SKEW)?;
    }
    match expires {
        Some(expires) if now > expires => Err(Rejected::Stale {
            seconds: now.since(expires).as_secs(),
        }),
        _ => Ok(claims),
    }
}

fn message(algorithm: &str, claims: &Claims) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    let claims = Value::from(claims.0.clone()).to_string();
    let (header, claims) = (
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
    );
    format!("{header}.{claims}")
}

fn whole(message: &str, tag: &[u8]) -> String {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn read(part: &str) -> Result<Value, Rejected> {
    let unreadable = || Rejected::Unreadable("the token has a part that is no JSON".to_owned());
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| unreadable())?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
