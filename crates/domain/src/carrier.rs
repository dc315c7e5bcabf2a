//! Names of carriers, and the dial routes that lead through them.

use std::fmt;
use std::str::FromStr;

/// The dial route of runs that are dialed with what their agent's own settings name.
pub const AGENT_ROUTE: &str = "agent";

/// What a dial route begins with that leads through a carrier.
const PREFIX: &str = "carrier:";

/// Whether a dial route leads to an account that the platform knows.
pub fn leads_to_account(route: &str) -> bool {
    route == AGENT_ROUTE || route.starts_with(PREFIX)
}

/// An organisation's own name for a carrier, which is an account at a provider: 1 to 40 ASCII letters,
/// digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierName(String);

/// Why a text names no carrier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read carrier name {0:?}: use 1 to 40 letters, digits, '-', '_' and '.'")]
pub struct InvalidCarrierName(pub String);

impl CarrierName {
    /// Longest name, in characters.
    pub const LONGEST: usize = 40;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The dial route of agents that are dialed through this carrier.
    pub fn route(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// The name that a secret of this carrier is stored and sealed under, so that what is sealed fits one carrier of one
    /// organisation alone.
    pub fn stored_secret(&self, secret: &str) -> String {
        format!("carrier.{self}.{secret}")
    }

    /// The secret that is stored under this name; `None` if it is not this carrier's.
    pub fn secret_of<'a>(&self, stored: &'a str) -> Option<&'a str> {
        stored.strip_prefix(self.stored_secret("").as_str())
    }

    /// The carrier a dial route leads through; `None` if it does not begin like one that leads through a
    /// carrier.
    ///
    /// # Errors
    /// [`InvalidCarrierName`] if it does, and what follows is no name.
    pub fn of_route(route: &str) -> Option<Result<Self, InvalidCarrierName>> {
        route.strip_prefix(PREFIX).map(str::parse)
    }
}

impl FromStr for CarrierName {
    type Err = InvalidCarrierName;

    fn from_str(text: &str) -> Result<Self, InvalidCarrierName> {
        let valid = (1..=Self::LONGEST).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCarrierName(text.chars().take(64).collect()))
        }
    }
}

impl fmt::Display for CarrierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_from_its_route() {
        let longest = "x".repeat(40);
        for good in ["a", "Twilio-EU_2.main", "..", &longest] {
            let name: CarrierName = good.parse().unwrap();
            assert_eq!(name.as_str(), good);
            assert_eq!(CarrierName::of_route(&name.route()), Some(Ok(name)));
        }
        for other in ["", "agent", "twilio", "Carrier:x", "carrier"] {
            assert_eq!(CarrierName::of_route(other), None);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "x".repeat(41);
        for bad in ["", "a b", "a/b", "a:b", "\u{e4}", "a\0", &long] {
            assert!(bad.parse::<CarrierName>().is_err(), "{bad:?}");
            let route = CarrierName::of_route(&format!("carrier:{bad}"));
            assert!(route.is_some_and(|name| name.is_err()), "{bad:?}");
        }
    }
}
