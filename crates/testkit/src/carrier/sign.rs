//! Signatures and tokens as services make and check them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use ring::{digest, hmac};
use serde_json::{Value, json};

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    millis() / 1000
}

/// Milliseconds since 1970.
pub(super) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn tag(algorithm: hmac::Algorithm, key: &str, message: &str) -> hmac::Tag {
    let key = hmac::Key::new(algorithm, key.as_bytes());
    hmac::sign(&key, message.as_bytes())
}

/// HMAC-SHA1 in base64.
pub(super) fn sha1(key: &str, message: &str) -> String {
    STANDARD.encode(tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, message))
}

/// HMAC-SHA256 in base64.
pub(super) fn sha256(key: &str, message: &str) -> String {
    STANDARD.encode(tag(hmac::HMAC_SHA256, key, message))
}

/// HMAC-SHA256 in hexadecimal.
pub(super) fn sha256_hex(key: &str, message: &str) -> String {
    hex(tag(hmac::HMAC_SHA256, key, message).as_ref())
}

pub(super) fn digest(text: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, text.as_bytes())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// What `Authorization` says for these (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}")))
}

pub(super) fn ed25519(seed: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).expect("the seed has 32 bytes")
}

/// A token (RFC 7519) that is signed with HS256.
pub(super) fn hs256(key: &str, claims: &Value) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let tag = URL_SAFE_NO_PAD.encode(tag(hmac::HMAC_SHA256, key, &message));
    format!("{message}.{tag}")
}

/// The claims of a token that holds now, whose algorithm is this and whose signature fits.
fn claims(token: &str, algorithm: &str, fits: impl FnOnce(&[u8], &[u8]) -> bool) -> Option<Value> {
    let (message, tag) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (header, claims) = (read(header)?, read(claims)?);
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    let holds = claims["exp"].as_u64().is_none_or(|expires| expires > now());
    let good = holds && header["alg"] == algorithm && fits(message.as_bytes(), &tag);
    good.then_some(claims)
}

/// The claims of a token that this secret signed.
pub(super) fn by_secret(token: &str, secret: &str) -> Option<Value> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let fits = |message: &[u8], tag: &[u8]| hmac::verify(&key, message, tag).is_ok();
    claims(token, "HS256", fits)
}

/// The claims of a token that the owner of this private key (PEM, PKCS#8) signed.
pub(super) fn by_private_key(token: &str, pem: &str) -> Option<Value> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----"));
    let text: String = lines.filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(text).unwrap();
    let pair = RsaKeyPair::from_pkcs8(&der).expect("a private RSA key in PKCS#8");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    let fits = |message: &[u8], tag: &[u8]| public.verify(message, tag).is_ok();
    claims(token, "RS256", fits)
}
