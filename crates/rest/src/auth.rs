use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use rand::RngExt as _;
use ringdown_api::API_KEY_HEADER;
use sha2::{Digest as _, Sha256};

use super::State;
use crate::error::{Answer, Failure};

/// A new API key: 32 random bytes in hexadecimal after `rd_`. Shown once, stored only as a hash.
pub struct ApiKey(String);

impl ApiKey {
    /// Draws a key.
    pub fn generate() -> Self {
        use std::fmt::Write as _;
        let bytes: [u8; 32] = rand::rng().random();
        let mut text = "rd_".to_owned();
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What is stored of a key. The key has 256 random bits, so one round of SHA-256 is enough and the
/// look-up by hash leaks nothing about it through timing.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Lets only holders of a key through, and tells the handlers who they are.
pub(crate) async fn require(
    Extract(state): Extract<State>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let refused = |message: &str| Failure::detail(StatusCode::UNAUTHORIZED, message);
    let key = request
        .headers()
        .get(API_KEY_HEADER)
        .ok_or_else(|| refused("Send your API key in the header X-CEKURA-API-KEY."))?
        .to_str()
        .map_err(|_| refused("The API key has characters that no key has."))?;
    let principal = state
        .store()
        .authenticate(hash_key(key))
        .await?
        .ok_or_else(|| refused("The API key is not known."))?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}
