//! What a call said about its caller.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::E164;

/// A SIP header that may name the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerHeader {
    /// `From` (RFC 3261 section 20.20): what the caller says of itself.
    From,
    /// `P-Asserted-Identity` (RFC 3325): what the network vouches for.
    PAssertedIdentity,
    /// `Remote-Party-ID` (draft-ietf-sip-privacy-04), which older equipment sends instead.
    RemotePartyId,
    /// `Diversion` (RFC 5806): who forwarded the call.
    Diversion,
}

/// A text that is no such header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is none of the headers that name a caller: from, p-asserted-identity, remote-party-id, diversion"
)]
pub struct InvalidCallerHeader(pub String);

impl CallerHeader {
    /// Every header that may name the caller.
    pub const ALL: [Self; 4] = [
        Self::From,
        Self::PAssertedIdentity,
        Self::RemotePartyId,
        Self::Diversion,
    ];

    /// The text used in the configuration, on the API, on the bus and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::PAssertedIdentity => "p-asserted-identity",
            Self::RemotePartyId => "remote-party-id",
            Self::Diversion => "diversion",
        }
    }

    /// The header with this name, if any; case does not matter (RFC 3261 section 7.3.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|header| header.as_str().eq_ignore_ascii_case(name))
    }
}

impl FromStr for CallerHeader {
    type Err = InvalidCallerHeader;

    fn from_str(name: &str) -> Result<Self, InvalidCallerHeader> {
        Self::parse(name.trim()).ok_or_else(|| InvalidCallerHeader(name.chars().take(64).collect()))
    }
}

impl fmt::Display for CallerHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One value of such a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerValue {
    /// The header.
    pub header: CallerHeader,
    /// The value as it was received, cut where it is too long.
    pub value: String,
    /// The number it names, if it names one.
    pub number: Option<E164>,
}

/// How a call was presented: who brought it, and what it said about its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// Name of the trunk it came from; empty for a network that is trusted without being a trunk.
    pub trunk: String,
    /// The header that counted; `None` if none of those that count was there.
    pub header: Option<CallerHeader>,
    /// All that was said, whether it counts or not.
    pub values: Vec<CallerValue>,
}

impl Presented {
    /// The first value naming one of `numbers` in a header that did not count.
    pub(crate) fn overlooked(&self, numbers: &[E164]) -> Option<&CallerValue> {
        self.values.iter().find(|value| {
            let named = value.number.as_ref();
            Some(value.header) != self.header && named.is_some_and(|n| numbers.contains(n))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_reads_back_in_any_case() {
        for header in CallerHeader::ALL {
            assert_eq!(header.as_str().to_uppercase().parse(), Ok(header));
            let json = serde_json::to_value(header).unwrap();
            assert_eq!(json, header.as_str());
        }
        assert!("to".parse::<CallerHeader>().is_err());
    }
}
