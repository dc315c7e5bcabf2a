use std::fmt;

use ringdown_domain::E164;

/// A provider of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Twilio.
    Twilio,
    /// Plivo.
    Plivo,
    /// Telnyx.
    Telnyx,
}

impl Provider {
    /// The base of its API.
    pub fn base(self) -> &'static str {
        match self {
            Self::Twilio => "https://api.twilio.com",
            Self::Plivo => "https://api.plivo.com",
            Self::Telnyx => "https://api.telnyx.com",
        }
    }

    fn credentials(self) -> &'static str {
        match self {
            Self::Twilio => "account SID and auth token",
            Self::Plivo => "auth ID and auth token",
            Self::Telnyx => "API key",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twilio => "Twilio",
            Self::Plivo => "Plivo",
            Self::Telnyx => "Telnyx",
        })
    }
}

/// A credential that no provider can have given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidCredential {
    /// The field of the API that holds it.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Why an account was not found to own a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The credentials are wrong.
    #[error("{provider} does not accept the {}; copy them again from its console", .provider.credentials())]
    Unauthorised {
        /// Who was asked.
        provider: Provider,
    },
    /// The provider says no.
    #[error(
        "this {provider} account does not own {number}; check the number, or use the credentials of the account that owns it"
    )]
    NotOwned {
        /// Who was asked.
        provider: Provider,
        /// The number.
        number: E164,
    },
    /// The provider does not answer the question.
    #[error("{provider} refused the question with status {status}: {message}; {}", next_step(*.status))]
    Refused {
        /// Who was asked.
        provider: Provider,
        /// The HTTP status.
        status: u16,
        /// What the provider says, shortened.
        message: String,
    },
    /// The answer is not what the provider documents.
    #[error(
        "the answer of {provider} cannot be understood: {reason}; try again, and check its status page"
    )]
    Unreadable {
        /// Who was asked.
        provider: Provider,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no answer.
    #[error("{provider} cannot be reached: {reason}; try again")]
    Unreachable {
        /// Who was asked.
        provider: Provider,
        /// What happened.
        reason: String,
    },
}

fn next_step(status: u16) -> &'static str {
    match status {
        429 | 500..=599 => "try again later",
        300..=399 => "check the provider's address in the configuration",
        _ => "check the account's state and permissions in its console",
    }
}
