use ringdown_domain::E164;
use ringdown_egress::{Method, Request};
use ringdown_provider::wire::{join, text};
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

use super::{Found, InvalidCredential, OwnedNumber, check};

/// An account at Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// The account's SID, which begins with `AC`.
    pub(super) account_sid: String,
    pub(super) auth_token: Secret,
}

impl Twilio {
    /// An account with these credentials.
    ///
    /// # Errors
    /// [`InvalidCredential`] for one that no account has.
    pub fn new(
        account_sid: impl Into<String>,
        auth_token: Secret,
    ) -> Result<Self, InvalidCredential> {
        let account_sid = account_sid.into();
        check("twilio_account_sid", &account_sid, false)?;
        check("twilio_auth_token", auth_token.expose(), true)?;
        Ok(Self {
            account_sid,
            auth_token,
        })
    }

    /// The list of the account's numbers, filtered (Twilio, IncomingPhoneNumber resource).
    pub(super) fn question(&self, base: &Url, number: &E164) -> Option<Request> {
        let sid = &self.account_sid;
        let path = ["2010-04-01", "Accounts", sid, "IncomingPhoneNumbers.json"];
        let mut url = join(base, &path)?;
        url.query_pairs_mut()
            .append_pair("PhoneNumber", number.as_str());
        let request = Request::new(Method::GET, url);
        Some(request.basic(sid, self.auth_token.expose()))
    }
}

/// The filter matches parts of numbers too, so the number itself is looked for.
pub(super) fn read(answer: &Value, number: &E164) -> Found {
    let Some(numbers) = answer["incoming_phone_numbers"].as_array() else {
        return Found::Unreadable("it has no list incoming_phone_numbers");
    };
    let same = |entry: &&Value| entry["phone_number"].as_str() == Some(number.as_str());
    let Some(entry) = numbers.iter().find(same) else {
        return Found::NotOwned;
    };
    match text(entry.get("sid")) {
        Some(provider_id) => Found::Owned(OwnedNumber {
            provider_id,
            friendly_name: text(entry.get("friendly_name")),
        }),
        None => Found::Unreadable("the number in it has no sid"),
    }
}
