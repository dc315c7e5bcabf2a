//! Whom a call says it is from.

use ringdown_domain::CallerHeader;

use crate::header;

/// Fields of each header that are looked at: the number of them is the caller's choice.
const MAX_FIELDS: usize = 3;
/// Addresses of one field that are looked at. RFC 3325 allows two, a `sip:` and a `tel:` URI.
const MAX_ADDRESSES: usize = 4;

/// A header field that may name the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerField {
    /// Which header it is.
    pub header: CallerHeader,
    /// Its value, as received.
    pub value: String,
    /// The addresses in it that are about the caller, in their order.
    pub addresses: Vec<CallerAddress>,
}

/// One address of such a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerAddress {
    /// Its URI, as received.
    pub uri: String,
    /// The user of a `sip:` or `sips:` URI or the subscriber of a `tel:` URI, percent-decoded; empty if
    /// there is none.
    pub user: String,
}

/// The fields among `headers` that may name the caller, first come first.
pub(crate) fn fields(headers: &[(String, String)]) -> Vec<CallerField> {
    let mut found: Vec<CallerField> = Vec::new();
    for (name, value) in headers {
        let Some(header) = CallerHeader::parse(name) else {
            continue;
        };
        // The stack goes by the first From, and a second one must not be a second chance.
        let most = match header {
            CallerHeader::From => 1,
            _ => MAX_FIELDS,
        };
        if found.iter().filter(|field| field.header == header).count() < most {
            found.push(CallerField {
                header,
                value: value.clone(),
                addresses: addresses(header, value),
            });
        }
    }
    found
}

fn addresses(header: CallerHeader, value: &str) -> Vec<CallerAddress> {
    let most = match header {
        CallerHeader::From => 1,
        _ => MAX_ADDRESSES,
    };
    header::addresses(value)
        .filter(|address| {
            // Remote-Party-ID may describe the called party as well.
            header != CallerHeader::RemotePartyId
                || header::parameter(address, "party")
                    .is_none_or(|party| party.eq_ignore_ascii_case("calling"))
        })
        .take(most)
        .map(|address| CallerAddress {
            uri: header::uri(address).to_owned(),
            user: header::user(address).unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(header: &str, value: &str) -> Vec<String> {
        let fields = fields(&[(header.to_owned(), value.to_owned())]);
        let addresses = fields.into_iter().flat_map(|field| field.addresses);
        addresses.map(|address| address.uri).collect()
    }

    #[test]
    fn values_as_trunks_send_them() {
        for (header, value, expected) in [
            (
                "From",
                "\"Alice\" <sip:02071838750@198.51.100.7;user=phone>;tag=as1",
                &["sip:02071838750@198.51.100.7;user=phone"][..],
            ),
            ("from", "sip:+15550100@host;tag=1", &["sip:+15550100@host"]),
            (
                "From",
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1",
                &["sip:anonymous@anonymous.invalid"],
            ),
            (
                "P-Asserted-Identity",
                "\"Doe, John\" <sip:+15550100@host>, <tel:+1-555-0100>",
                &["sip:+15550100@host", "tel:+1-555-0100"],
            ),
            (
                "P-ASSERTED-IDENTITY",
                "<sip:%2B15550100;phone-context=+1@host;user=phone>",
                &["sip:%2B15550100;phone-context=+1@host;user=phone"],
            ),
            ("P-Asserted-Identity", "tel:+15550100", &["tel:+15550100"]),
            (
                "Remote-Party-ID",
                "\"A\" <sip:15550100@10.0.0.1>;party=calling;screen=yes;privacy=off",
                &["sip:15550100@10.0.0.1"],
            ),
            (
                "Remote-Party-ID",
                "<sip:1@h>; Party = CALLED;screen=no, <sip:2@h>;party=\"calling\"",
                &["sip:2@h"],
            ),
            (
                "Diversion",
                "<sip:+15550199@host>;reason=unconditional;counter=1, <tel:+15550198>;reason=no-answer",
                &["sip:+15550199@host", "tel:+15550198"],
            ),
            // Hostile ones.
            (
                "P-Asserted-Identity",
                "\"x\\\" <sip:evil@h>, \" <sip:good@h>",
                &["sip:good@h"],
            ),
            ("P-Asserted-Identity", "\"never closed <sip:a@b>", &[""]),
            (
                "P-Asserted-Identity",
                "<sip:a@b,<sip:c@d>",
                &["sip:a@b,<sip:c@d"],
            ),
            ("P-Asserted-Identity", ",,,", &[]),
            ("From", "<sip:a@b>, <sip:c@d>", &["sip:a@b"]),
            ("To", "<sip:a@b>", &[]),
        ] {
            assert_eq!(of(header, value), expected, "{header}: {value}");
        }
    }

    #[test]
    fn a_flood_of_headers_is_bounded_and_hides_nothing() {
        let mut headers = vec![("Diversion".to_owned(), "<sip:x@h>,".repeat(500)); 500];
        headers.push(("From".to_owned(), "<sip:first@h>;tag=1".to_owned()));
        headers.push(("From".to_owned(), "<sip:second@h>;tag=2".to_owned()));
        headers.push((
            "P-Asserted-Identity".to_owned(),
            "<sip:asserted@h>".to_owned(),
        ));
        let fields = fields(&headers);
        assert_eq!(fields.len(), MAX_FIELDS + 2);
        assert!(
            fields
                .iter()
                .all(|field| field.addresses.len() <= MAX_ADDRESSES)
        );
        let users = |header| -> Vec<&str> {
            let of_it = fields.iter().filter(|field| field.header == header);
            let addresses = of_it.flat_map(|field| &field.addresses);
            addresses.map(|address| address.user.as_str()).collect()
        };
        assert_eq!(users(CallerHeader::From), ["first"]);
        assert_eq!(users(CallerHeader::PAssertedIdentity), ["asserted"]);
    }

    proptest! {
        #[test]
        fn any_value_is_survived(value in "\\PC*|[\"<>,:;@=%\\\\a-z ]*") {
            for header in CallerHeader::ALL {
                for uri in of(header.as_str(), &value) {
                    prop_assert!(value.contains(&uri));
                }
            }
        }
    }
}
