use ringdown_domain::E164;
use ringdown_egress::{Method, Request};
use ringdown_provider::wire::{digits, join, text};
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

use super::{Found, InvalidCredential, OwnedNumber, check};

/// An account at Plivo.
#[derive(Clone, Debug)]
pub struct Plivo {
    /// The account's auth ID.
    pub(super) auth_id: String,
    pub(super) auth_token: Secret,
}

impl Plivo {
    /// An account with these credentials.
    ///
    /// # Errors
    /// [`InvalidCredential`] for one that no account has.
    pub fn new(auth_id: impl Into<String>, auth_token: Secret) -> Result<Self, InvalidCredential> {
        let auth_id = auth_id.into();
        check("plivo_auth_id", &auth_id, false)?;
        check("plivo_auth_token", auth_token.expose(), true)?;
        Ok(Self {
            auth_id,
            auth_token,
        })
    }

    /// The number as a resource of the account, written without a plus sign (Plivo, Number API).
    pub(super) fn question(&self, base: &Url, number: &E164) -> Option<Request> {
        let id = &self.auth_id;
        // The last segment is empty: without a slash at its end the path is redirected.
        let path = ["v1", "Account", id, "Number", digits(number), ""];
        let request = Request::new(Method::GET, join(base, &path)?);
        Some(request.basic(id, self.auth_token.expose()))
    }
}

/// A number has no other identifier than itself.
pub(super) fn read(answer: &Value, number: &E164) -> Found {
    let Some(named) = text(answer.get("number")) else {
        return Found::Unreadable("it names no number");
    };
    if named.trim_start_matches('+') != digits(number) {
        return Found::NotOwned;
    }
    Found::Owned(OwnedNumber {
        provider_id: digits(number).to_owned(),
        friendly_name: text(answer.get("alias")),
    })
}
