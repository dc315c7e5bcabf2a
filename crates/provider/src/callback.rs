use ringdown_domain::Timestamp;
use ringdown_egress::HeaderMap;

/// A status callback as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Callback<'a> {
    /// The address it was sent to, as the provider knows it, with its query.
    pub url: &'a str,
    /// `POST`, or `GET` where a provider reports in the query.
    pub method: &'a str,
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// Its body, byte for byte.
    pub body: &'a [u8],
    /// When it arrived: old signatures are replays.
    pub at: Timestamp,
}

impl Callback<'_> {
    /// A header that occurs once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        match values.next() {
            None => value.to_str().ok(),
            Some(_) => None,
        }
    }
}

/// Why a callback is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// This account has no callbacks, or no secret to check them with.
    #[error("this account takes no callbacks; give it the secret that they are signed with")]
    NotExpected,
    /// No signature.
    #[error("the header {0} is missing")]
    Unsigned(&'static str),
    /// A signature that was not made with this account's secret for these bytes.
    #[error("the signature does not fit")]
    Forged,
    /// A signature of another time.
    #[error("the signature is {seconds} s away from now")]
    Stale {
        /// How far.
        seconds: u64,
    },
    /// Signed, and yet unreadable.
    #[error("the callback cannot be read: {0}")]
    Unreadable(String),
}
