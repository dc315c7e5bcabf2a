use ringdown_domain::E164;
use ringdown_egress::{Method, Request};
use ringdown_provider::wire::{digits, join, text};
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

use super::{Found, InvalidCredential, OwnedNumber, check};

/// What is said about a number that is in the list, but not or no longer the account's.
const GONE: [&str; 4] = ["deleted", "purchase-failed", "port-failed", "ported-out"];

/// An account at Telnyx.
#[derive(Clone, Debug)]
pub struct Telnyx {
    pub(super) api_key: Secret,
}

impl Telnyx {
    /// An account with this key.
    ///
    /// # Errors
    /// [`InvalidCredential`] for one that no account has.
    pub fn new(api_key: Secret) -> Result<Self, InvalidCredential> {
        check("telnyx_api_key", api_key.expose(), true)?;
        Ok(Self { api_key })
    }

    /// The list of the account's numbers, filtered. The filter wants digits and finds nothing if it
    /// is given a plus sign (Telnyx, list of phone numbers).
    pub(super) fn question(&self, base: &Url, number: &E164) -> Option<Request> {
        let mut url = join(base, &["v2", "phone_numbers"])?;
        url.query_pairs_mut()
            .append_pair("filter[phone_number]", digits(number));
        let request = Request::new(Method::GET, url);
        request.bearer(self.api_key.expose()).ok()
    }
}

/// The filter matches parts of numbers too, so the number itself is looked for.
pub(super) fn read(answer: &Value, number: &E164) -> Found {
    let Some(numbers) = answer["data"].as_array() else {
        return Found::Unreadable("it has no list data");
    };
    let is_owned = |entry: &&Value| {
        let status = entry["status"].as_str().unwrap_or_default();
        entry["phone_number"].as_str() == Some(number.as_str())
            && !GONE.contains(&status.replace('_', "-").as_str())
    };
    let Some(entry) = numbers.iter().find(is_owned) else {
        return Found::NotOwned;
    };
    match text(entry.get("id")) {
        Some(provider_id) => Found::Owned(OwnedNumber {
            provider_id,
            friendly_name: text(entry.get("customer_reference")),
        }),
        None => Found::Unreadable("the number in it has no id"),
    }
}
