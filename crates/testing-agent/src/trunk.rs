//! Where calls may come from, and what is believed of what they say.

use std::net::IpAddr;

use ringdown_domain::{CallerHeader, CallerValue, E164, Numbering, Presented};
use ringdown_sip::CallerField;

use crate::Network;

/// Longest value of a header that is kept, in characters.
const MAX_VALUE: usize = 256;

/// Networks that send calls, and how the calls say who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Its name in the ledger; empty for networks that are only trusted.
    pub name: String,
    /// Addresses of its signalling.
    pub networks: Vec<Network>,
    /// The headers that count as the caller ID, the most telling first. What the trunk lets its own
    /// customers write as they like should not be here.
    pub caller_id: Vec<CallerHeader>,
    /// How it writes numbers.
    pub numbering: Numbering,
    /// Whether `X-Run-Id` is believed. It only chooses among the runs that the caller ID fits.
    pub run_id: bool,
}

/// What a call says about its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user that counts, as it arrived; empty if none does.
    pub(crate) raw: String,
    /// The number it is.
    pub(crate) number: Option<E164>,
    pub(crate) presented: Presented,
}

impl Trunk {
    /// A trunk that counts only `From`, writes numbers in an international form, and is not believed about
    /// `X-Run-Id`.
    pub fn new(name: impl Into<String>, networks: Vec<Network>) -> Self {
        Self {
            name: name.into(),
            networks,
            caller_id: vec![CallerHeader::From],
            numbering: Numbering::default(),
            run_id: false,
        }
    }

    /// Networks that are trusted without being a trunk, those of one's own dialers among them:
    /// `P-Asserted-Identity` counts before `From`, and `X-Run-Id` is believed.
    pub fn trusted(networks: Vec<Network>) -> Self {
        Self {
            caller_id: vec![CallerHeader::PAssertedIdentity, CallerHeader::From],
            run_id: true,
            ..Self::new("", networks)
        }
    }

    /// Whether a call from `ip` is one of this trunk's.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }

    /// The first number in the headers that count; if there is none, the first of their users.
    pub(crate) fn caller(&self, fields: &[CallerField]) -> Caller {
        let counting = self.caller_id.iter().flat_map(|header| {
            let of_it = fields.iter().filter(move |field| field.header == *header);
            of_it
                .flat_map(|field| &field.addresses)
                .map(|address| (*header, address))
        });
        let mut first = None;
        let mut found = None;
        for (header, address) in counting {
            first.get_or_insert((header, address));
            if let Ok(number) = self.numbering.read(&address.uri) {
                found = Some((header, address, number));
                break;
            }
        }
        let (counted, number) = match found {
            Some((header, address, number)) => (Some((header, address)), Some(number)),
            None => (first, None),
        };
        Caller {
            raw: counted.map_or_else(String::new, |(_, address)| cut(&address.user)),
            number,
            presented: Presented {
                trunk: self.name.clone(),
                header: counted.map(|(header, _)| header),
                values: fields.iter().map(|field| self.value(field)).collect(),
            },
        }
    }

    fn value(&self, field: &CallerField) -> CallerValue {
        let mut addresses = field.addresses.iter();
        CallerValue {
            header: field.header,
            value: cut(&field.value),
            number: addresses.find_map(|address| self.numbering.read(&address.uri).ok()),
        }
    }
}

/// At most as many characters of `text` as are passed on.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use ringdown_sip::CallerAddress;

    use super::*;
    use CallerHeader::{Diversion, From, PAssertedIdentity, RemotePartyId};

    fn field(header: CallerHeader, users: &[&str]) -> CallerField {
        let addresses = users.iter().map(|user| CallerAddress {
            uri: format!("sip:{user}@198.51.100.7"),
            user: (*user).to_owned(),
        });
        CallerField {
            header,
            value: format!("<sip:{}@198.51.100.7>", users.join(">, <sip:")),
            addresses: addresses.collect(),
        }
    }

    fn london(caller_id: &[CallerHeader]) -> Trunk {
        Trunk {
            caller_id: caller_id.to_vec(),
            numbering: Numbering::national("44", "0", 9..=10).unwrap(),
            ..Trunk::new("london", Vec::new())
        }
    }

    #[test]
    fn the_first_header_with_a_number_counts_and_all_are_kept() {
        let said = [
            field(From, &["anonymous"]),
            field(RemotePartyId, &["02071838751"]),
            field(PAssertedIdentity, &["alice", "02071838750"]),
            field(Diversion, &["+15550100"]),
        ];
        for (counts, header, raw, number) in [
            (&[From][..], Some(From), "anonymous", None),
            (
                &[From, PAssertedIdentity],
                Some(PAssertedIdentity),
                "02071838750",
                Some("+442071838750"),
            ),
            (
                &[RemotePartyId, PAssertedIdentity],
                Some(RemotePartyId),
                "02071838751",
                Some("+442071838751"),
            ),
            (
                &[Diversion],
                Some(Diversion),
                "+15550100",
                Some("+15550100"),
            ),
            (&[], None, "", None),
        ] {
            let caller = london(counts).caller(&said);
            assert_eq!(caller.presented.header, header, "{counts:?}");
            assert_eq!(caller.raw, raw, "{counts:?}");
            assert_eq!(
                caller.number.as_ref().map(E164::as_str),
                number,
                "{counts:?}"
            );
            assert_eq!(caller.presented.trunk, "london");
            let numbers = caller.presented.values.iter().map(|value| &value.number);
            let numbers: Vec<&str> = numbers
                .map(|n| n.as_ref().map_or("-", E164::as_str))
                .collect();
            assert_eq!(
                numbers,
                ["-", "+442071838751", "+442071838750", "+15550100"]
            );
        }
    }

    #[test]
    fn a_header_that_is_missing_leaves_nothing_and_long_ones_are_cut() {
        let said = [field(From, &["x".repeat(9_000).as_str()])];
        let caller = london(&[PAssertedIdentity]).caller(&said);
        assert_eq!((caller.raw.as_str(), caller.presented.header), ("", None));
        assert_eq!(caller.presented.values[0].value.len(), MAX_VALUE);
        let caller = london(&[From]).caller(&said);
        assert_eq!(caller.raw.len(), MAX_VALUE);
    }

    #[test]
    fn trusted_networks_count_what_is_asserted_first() {
        let said = [
            field(From, &["+15550100"]),
            field(PAssertedIdentity, &["+15550199"]),
        ];
        let trusted = Trunk::trusted(vec![Network::LOOPBACK_V4]);
        let number = trusted.caller(&said).number.unwrap();
        assert_eq!(number.as_str(), "+15550199");
        assert!(trusted.contains("127.0.0.1".parse().unwrap()) && trusted.run_id);
        assert!(!trusted.contains("192.0.2.1".parse().unwrap()));
    }
}
