use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Numbering;

/// A telephone number in E.164 form (ITU-T E.164): `+`, then 7 to 15 digits, the first not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164(String);

/// Why a text is no E.164 number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read number {0:?}: expected E.164, a plus sign and 7 to 15 digits such as +14155550123")]
pub struct InvalidNumber(pub String);

impl E164 {
    /// The number with its leading plus sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number that is meant by `raw`, written in any of the international forms that
    /// [`Numbering::read`] knows.
    ///
    /// # Errors
    /// [`InvalidNumber`].
    pub fn normalise(raw: &str) -> Result<Self, InvalidNumber> {
        Numbering::default()
            .read(raw)
            .map_err(|_| InvalidNumber(raw.chars().take(64).collect()))
    }
}

impl FromStr for E164 {
    type Err = InvalidNumber;

    /// Reads the exact form only: no separators, no missing plus sign.
    fn from_str(text: &str) -> Result<Self, InvalidNumber> {
        let valid = text.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !digits.starts_with('0')
        });
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidNumber(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for E164 {
    type Error = InvalidNumber;

    fn try_from(text: String) -> Result<Self, InvalidNumber> {
        text.parse()
    }
}

impl From<E164> for String {
    fn from(number: E164) -> Self {
        number.0
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_trunks_send_becomes_one_form() {
        for raw in [
            "+15551234567",
            "15551234567",
            "0015551234567",
            "01115551234567",
            "tel:+1-555-123-4567",
            "sip:+15551234567@198.51.100.1:5060;user=phone",
            "+15551234567;npdi",
            " +1 (555) 123.4567 ",
            "SIP:15551234567@host",
        ] {
            assert_eq!(
                E164::normalise(raw).unwrap().as_str(),
                "+15551234567",
                "{raw:?}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for raw in [
            "",
            "anonymous",
            "+",
            "+0123456789",
            "+1234567890123456",
            "sipp",
            "+12a4567",
        ] {
            assert!(E164::normalise(raw).is_err(), "{raw:?}");
        }
        assert!("15551234567".parse::<E164>().is_err());
    }

    proptest! {
        #[test]
        fn normalising_never_panics_and_is_idempotent(raw in ".{0,80}") {
            if let Ok(number) = E164::normalise(&raw) {
                prop_assert_eq!(E164::normalise(number.as_str()).unwrap(), number);
            }
        }
    }
}
