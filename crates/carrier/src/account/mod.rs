//! Accounts at providers, and the question that is asked before a number is imported: does the
//! account own it?
//!
//! Contract: a yes is only said if the provider's answer names the very number. The question is one
//! read that changes nothing, so it may be asked again after any error.

mod error;
mod plivo;
mod telnyx;
mod twilio;

use std::time::Duration;

use ringdown_domain::E164;
use ringdown_egress::{Client, Cut, Request, Response, StatusCode};
use ringdown_provider::wire::said;
use ringdown_vault::Secret;
use serde_json::Value;
use url::Url;

pub use error::{Error, InvalidCredential, Provider};
pub use plivo::Plivo;
pub use telnyx::Telnyx;
pub use twilio::Twilio;

/// Longest credential, in bytes, as the API allows.
const LONGEST_CREDENTIAL: usize = 255;

/// Answers about one number are a few kilobytes.
const LARGEST_ANSWER: usize = 256 * 1024;

/// An account at one of the providers.
#[derive(Clone, Debug)]
pub enum Account {
    /// At Twilio.
    Twilio(Twilio),
    /// At Plivo.
    Plivo(Plivo),
    /// At Telnyx.
    Telnyx(Telnyx),
}

impl Account {
    /// Whose account it is.
    pub fn provider(&self) -> Provider {
        match self {
            Self::Twilio(_) => Provider::Twilio,
            Self::Plivo(_) => Provider::Plivo,
            Self::Telnyx(_) => Provider::Telnyx,
        }
    }

    fn secret(&self) -> &Secret {
        match self {
            Self::Twilio(account) => &account.auth_token,
            Self::Plivo(account) => &account.auth_token,
            Self::Telnyx(account) => &account.api_key,
        }
    }

    /// The question for the server at `base`; `None` if that is no base of URLs.
    fn question(&self, base: &Url, number: &E164) -> Option<Request> {
        match self {
            Self::Twilio(account) => account.question(base, number),
            Self::Plivo(account) => account.question(base, number),
            Self::Telnyx(account) => account.question(base, number),
        }
    }

    fn read(&self, answer: &Value, number: &E164) -> Found {
        match self {
            Self::Twilio(_) => twilio::read(answer, number),
            Self::Plivo(_) => plivo::read(answer, number),
            Self::Telnyx(_) => telnyx::read(answer, number),
        }
    }
}

/// A number as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedNumber {
    /// The provider's own identifier of the number.
    pub provider_id: String,
    /// What its owner calls it, if anything; at most 255 characters.
    pub friendly_name: Option<String>,
}

/// What a readable answer says.
enum Found {
    Owned(OwnedNumber),
    NotOwned,
    Unreadable(&'static str),
}

/// Asks providers about numbers. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    client: Client,
    base: Option<String>,
    timeout: Duration,
}

impl Accounts {
    /// Asks the providers themselves, each question within 15 seconds.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            base: None,
            timeout: Duration::from_secs(15),
        }
    }

    /// Asks the server at `base` instead, whoever the provider is.
    #[must_use]
    pub fn at(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }

    /// Gives each question this long.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether `account` owns `number`, as its provider sees it now.
    ///
    /// # Errors
    /// [`Error::NotOwned`] is the provider's no; every other error leaves the question open.
    pub async fn verify(&self, account: &Account, number: &E164) -> Result<OwnedNumber, Error> {
        let provider = account.provider();
        let unreachable = |reason: String| Error::Unreachable { provider, reason };
        let base = self.base.as_deref().unwrap_or(provider.base());
        let base: Url = base
            .parse()
            .map_err(|error| unreachable(format!("its address {base:?} is no URL ({error})")))?;
        let mut question = account
            .question(&base, number)
            .ok_or_else(|| unreachable("its address is no base of URLs".to_owned()))?;
        question.timeout = self.timeout;
        question.max_response_bytes = LARGEST_ANSWER;
        let response = self.client.send(question).await;
        let response = response.map_err(|error| unreachable(error.to_string()))?;
        judge(account, number, &response)
    }
}

fn judge(account: &Account, number: &E164, response: &Response) -> Result<OwnedNumber, Error> {
    let provider = account.provider();
    let not_owned = || Error::NotOwned {
        provider,
        number: number.clone(),
    };
    let unreadable = |reason: &str| Error::Unreadable {
        provider,
        reason: reason.to_owned(),
    };
    match response.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(Error::Unauthorised { provider }),
        // The number is the resource here, so it being missing is the answer.
        StatusCode::NOT_FOUND if provider == Provider::Plivo => return Err(not_owned()),
        status => {
            return Err(Error::Refused {
                provider,
                status: status.as_u16(),
                message: said(&response.body, account.secret()),
            });
        }
    }
    match &response.cut {
        None => {}
        Some(Cut::TooLarge(_)) => return Err(unreadable("it is too long")),
        Some(cut) => {
            return Err(Error::Unreachable {
                provider,
                reason: cut.to_string(),
            });
        }
    }
    let answer: Value =
        serde_json::from_slice(&response.body).map_err(|_| unreadable("it is no JSON"))?;
    match account.read(&answer, number) {
        Found::Owned(owned) => Ok(owned),
        Found::NotOwned => Err(not_owned()),
        Found::Unreadable(reason) => Err(unreadable(reason)),
    }
}

/// A credential that can be sent: visible ASCII, not too long. `colon` says whether it may hold one.
fn check(field: &'static str, value: &str, colon: bool) -> Result<(), InvalidCredential> {
    let problem = if value.is_empty() {
        "it is empty"
    } else if value.len() > LONGEST_CREDENTIAL {
        "it has more than 255 characters"
    } else if !value.bytes().all(|b| b.is_ascii_graphic()) {
        "it has spaces or characters that no credential has; copy it again"
    } else if !colon && value.contains(':') {
        "it has a colon, which no id has; copy it again"
    } else {
        return Ok(());
    };
    Err(InvalidCredential { field, problem })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> [Account; 3] {
        let secret = || Secret::new("s3cret-token");
        [
            Account::Twilio(Twilio::new("AC1", secret()).unwrap()),
            Account::Plivo(Plivo::new("MA1", secret()).unwrap()),
            Account::Telnyx(Telnyx::new(secret()).unwrap()),
        ]
    }

    fn response(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Default::default(),
            body: body.into().into(),
            cut: None,
            peer: [127, 0, 0, 1].into(),
        }
    }

    #[test]
    fn nothing_about_an_account_shows_its_secret() {
        for account in all() {
            assert!(!format!("{account:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_credential_that_cannot_be_sent_is_told_by_its_field() {
        let good = || Secret::new("token");
        let long = "a".repeat(256);
        for id in ["", "a b", "a:b", "\u{e9}", "a\n", &long] {
            let error = Twilio::new(id, good()).unwrap_err();
            assert_eq!(error.field, "twilio_account_sid");
            assert_eq!(Plivo::new(id, good()).unwrap_err().field, "plivo_auth_id");
        }
        for token in ["", "a b", "\u{e9}", "a\r\nb", &long] {
            let bad = || Secret::new(token);
            assert_eq!(
                Twilio::new("AC1", bad()).unwrap_err().field,
                "twilio_auth_token"
            );
            assert_eq!(
                Plivo::new("MA1", bad()).unwrap_err().field,
                "plivo_auth_token"
            );
            assert_eq!(Telnyx::new(bad()).unwrap_err().field, "telnyx_api_key");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_providers_words_without_the_secret() {
        let number = "+14155550123".parse().unwrap();
        for (body, expected) in [
            (r#"{"code":20003,"message":"Suspended"}"#, "Suspended"),
            (
                r#"{"errors":[{"title":"T","detail":"No\nfunds"}]}"#,
                "No funds",
            ),
            (r#"{"errors":[{"title":"T"}]}"#, "T"),
            (r#"{"error":"gone"}"#, "gone"),
            (r#"{"error":{"error":"gone"}}"#, "gone"),
            (
                r#"{"message":"key s3cret-token is old"}"#,
                "key (hidden) is old",
            ),
            ("<h1>Bad\tgateway</h1>", "<h1>Bad gateway</h1>"),
            ("", "no reason given"),
        ] {
            for account in all() {
                match judge(&account, &number, &response(503, body)) {
                    Err(Error::Refused {
                        status: 503,
                        message,
                        ..
                    }) => {
                        assert_eq!(message, expected);
                    }
                    other => panic!("{body}: {other:?}"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_is_taken_for_a_yes(
            status in 100_u16..600,
            body in prop_oneof![
                ".{0,80}",
                r#"\{"(data|number|incoming_phone_numbers|errors)":(\[(\{\}|1|null)?\]|\{\}|""|null|1)\}"#,
                r#"\{"(data|incoming_phone_numbers)":\[\{"(id|sid|phone_number)":"\+1415555012[0-9]"\}\]\}"#,
            ],
        ) {
            let number = "+14155550123".parse().unwrap();
            for account in all() {
                prop_assert!(judge(&account, &number, &response(status, body.clone())).is_err());
            }
        }
    }
}
