use axum::extract::{Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use rand::RngExt as _;
use ringdown_api::API_KEY_HEADER;
use ringdown_store::Principal;
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

/// What a caller may do. Each role may do everything the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Read.
    Viewer,
    /// Also change what is tested, and run it.
    Editor,
    /// Also change the organisation, its projects and its keys.
    Admin,
}

impl Role {
    /// The text on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

/// The role of a key's holder. Every key is one of its organisation's own, which may do everything.
fn role(_: &Principal) -> Role {
    Role::Admin
}

/// Refuses a caller whose role is less than an operation needs.
pub(crate) fn authorise(principal: &Principal, needs: Role) -> Answer<()> {
    let has = role(principal);
    if has >= needs {
        return Ok(());
    }
    let message = format!(
        "This takes the role {}; your API key has the role {}.",
        needs.as_str(),
        has.as_str()
    );
    Err(Failure::detail(StatusCode::FORBIDDEN, message))
}

/// What stands before one operation.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) state: State,
    /// The least role the operation takes.
    pub(crate) needs: Role,
}

/// Lets only holders of a key with the operation's role through, and tells the handlers who they are.
pub(crate) async fn require(
    Extract(Guard { state, needs }): Extract<Guard>,
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
    authorise(&principal, needs)?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}
