use proptest::prelude::*;

use super::*;

fn class(text: &str) -> Class {
    classify(text.parse().unwrap())
}

#[test]
fn every_special_network_is_known_from_its_first_to_its_last_address() {
    for (first, last, expected) in [
        ("0.0.0.0", "0.255.255.255", Class::Unspecified),
        ("10.0.0.0", "10.255.255.255", Class::Private),
        ("100.64.0.0", "100.127.255.255", Class::Shared),
        ("127.0.0.0", "127.255.255.255", Class::Loopback),
        ("169.254.0.0", "169.254.255.255", Class::LinkLocal),
        ("172.16.0.0", "172.31.255.255", Class::Private),
        ("192.0.0.0", "192.0.0.255", Class::Reserved),
        ("192.0.2.0", "192.0.2.255", Class::Documentation),
        ("192.168.0.0", "192.168.255.255", Class::Private),
        ("198.18.0.0", "198.19.255.255", Class::Benchmarking),
        ("198.51.100.0", "198.51.100.255", Class::Documentation),
        ("203.0.113.0", "203.0.113.255", Class::Documentation),
        ("224.0.0.0", "239.255.255.255", Class::Multicast),
        ("240.0.0.0", "255.255.255.254", Class::Reserved),
        ("255.255.255.255", "255.255.255.255", Class::Broadcast),
        ("::", "::", Class::Unspecified),
        ("::1", "::1", Class::Loopback),
        ("fe80::", "febf:ffff::1", Class::LinkLocal),
        ("fc00::", "fdff:ffff::1", Class::UniqueLocal),
        ("ff00::", "ffff:ffff::1", Class::Multicast),
        ("2001:db8::", "2001:db8:ffff::1", Class::Documentation),
        ("3fff::", "3fff:fff:ffff::1", Class::Documentation),
        ("2002::", "2002:ffff::1", Class::Tunnel),
        ("2001::", "2001:0:ffff::1", Class::Tunnel),
        ("fec0::1", "feff::1", Class::Reserved),
        ("100::1", "1fff::1", Class::Reserved),
        ("4000::", "fbff::1", Class::Reserved),
    ] {
        assert_eq!(class(first), expected, "{first}");
        assert_eq!(class(last), expected, "{last}");
    }
}

#[test]
fn the_neighbours_of_special_networks_are_public() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:db7::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1",
        "3ffe::1",
    ] {
        assert_eq!(class(address), Class::Public, "{address}");
    }
}

#[test]
fn an_address_inside_another_is_judged_as_what_it_reaches() {
    for (address, expected) in [
        ("::ffff:127.0.0.1", Class::Loopback),
        ("::ffff:10.1.2.3", Class::Private),
        ("::ffff:169.254.169.254", Class::Metadata),
        ("::ffff:8.8.8.8", Class::Public),
        ("64:ff9b::10.1.2.3", Class::Private),
        ("64:ff9b::169.254.169.254", Class::Metadata),
        ("64:ff9b::8.8.8.8", Class::Public),
        ("64:ff9b:1::8.8.8.8", Class::Reserved),
        ("::127.0.0.1", Class::Reserved),
        ("::8.8.8.8", Class::Reserved),
        ("2002:7f00:1::1", Class::Tunnel),
        ("2002:a9fe:a9fe::1", Class::Tunnel),
    ] {
        assert_eq!(class(address), expected, "{address}");
    }
}

#[test]
fn no_allowed_network_opens_a_metadata_service() {
    let policy = Policy::allowing(&["0.0.0.0/0", "::/0"]).unwrap();
    for address in METADATA {
        assert_eq!(policy.permits(address).unwrap_err().class, Class::Metadata);
    }
    for address in [
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "2002:a00::1",
    ] {
        assert!(
            policy.permits(address.parse().unwrap()).is_err(),
            "{address}"
        );
    }
    for address in [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "fd12::1",
        "192.0.2.1",
        "8.8.8.8",
    ] {
        assert!(
            policy.permits(address.parse().unwrap()).is_ok(),
            "{address}"
        );
    }
}

#[test]
fn an_allowed_network_opens_itself_and_no_more() {
    let policy = Policy::allowing(&["10.1.0.0/16", " 192.168.7.7 ", "fd12::/48"]).unwrap();
    for address in ["10.1.2.3", "192.168.7.7", "fd12::1", "::ffff:10.1.2.3"] {
        assert!(
            policy.permits(address.parse().unwrap()).is_ok(),
            "{address}"
        );
    }
    for address in [
        "10.2.0.1",
        "192.168.7.8",
        "fd13::1",
        "127.0.0.1",
        "64:ff9b::10.1.2.3",
    ] {
        assert!(
            policy.permits(address.parse().unwrap()).is_err(),
            "{address}"
        );
    }
}

#[test]
fn a_network_that_cannot_be_meant_is_refused_with_the_right_one() {
    let error = Policy::allowing(&["10.1.2.3/16"]).unwrap_err().to_string();
    assert!(error.contains("write 10.1.0.0/16"), "{error}");
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "localhost",
        "::/129",
        "10.0.0.0/-1",
        "1.2.3.4/",
    ] {
        let error = Policy::allowing(&[text]).unwrap_err();
        assert!(matches!(error, InvalidNetwork::Malformed(_)), "{text}");
    }
    let many = vec!["10.0.0.0/8"; MOST_NETWORKS + 1];
    assert!(matches!(
        Policy::allowing(&many),
        Err(InvalidNetwork::TooMany(257))
    ));
}

#[test]
fn a_refusal_names_the_address_and_the_way_out() {
    let refused = Policy::public_only().permits("::ffff:10.0.0.1".parse().unwrap());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "10.0.0.1 is a private address, where requests must not go; \
         use a public address, or let the operator allow the network"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_the_standard_library_calls_special_is_never_public(bits: u32) {
        let address = Ipv4Addr::from(bits);
        let special = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_multicast() || address.is_broadcast() || address.is_documentation()
            || address.is_unspecified();
        let class = classify(IpAddr::V4(address));
        prop_assert!(!special || class != Class::Public, "{address} is {class}");
        // However it is written, it is the same address.
        prop_assert_eq!(classify(IpAddr::V6(address.to_ipv6_mapped())), class);
        let nat64 = (0x64_ff9b_u128 << 96) | u128::from(bits);
        prop_assert_eq!(classify(IpAddr::V6(Ipv6Addr::from_bits(nat64))), class);
        let hidden = u128::from(bits) | 0x2002_u128 << 112;
        prop_assert_ne!(classify(IpAddr::V6(Ipv6Addr::from_bits(hidden))), Class::Public);
    }

    #[test]
    fn only_global_unicast_of_ipv6_is_public(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let special = address.is_loopback() || address.is_multicast() || address.is_unspecified()
            || address.is_unicast_link_local() || address.is_unique_local()
            || address.to_ipv4().is_some() || bits >> 125 != 1;
        let class = classify(IpAddr::V6(address));
        prop_assert!(!special || class != Class::Public, "{address} is {class}");
    }

    #[test]
    fn a_host_is_allowed_exactly_in_its_network(bits: u32, prefix in 8_u8..=32, other: u32) {
        let net = Ipv4Net::new(Ipv4Addr::from(bits), prefix).unwrap().trunc();
        let policy = Policy::allowing(&[net.to_string()]).unwrap();
        let address = Ipv4Addr::from(other);
        let class = classify(IpAddr::V4(address));
        let expected = class == Class::Public
            || (!class.is_never_allowed() && net.contains(&address));
        prop_assert_eq!(policy.permits(IpAddr::V4(address)).is_ok(), expected);
    }

    #[test]
    fn reading_a_network_never_panics(text in ".{0,40}") {
        let _ = Policy::allowing(&[text]);
    }
}
