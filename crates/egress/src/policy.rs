use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Most networks that a policy allows.
const MOST_NETWORKS: usize = 256;

/// What an address is for, after the registries of special-purpose addresses (RFC 6890 and its
/// successors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A host on the Internet.
    Public,
    /// This host or this network: `0.0.0.0/8`, `::`.
    Unspecified,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918).
    Private,
    /// Shared with a provider's address translation, `100.64.0.0/10` (RFC 6598).
    Shared,
    /// The link only (RFC 3927, RFC 4291).
    LinkLocal,
    /// A private network of IPv6, `fc00::/7` (RFC 4193).
    UniqueLocal,
    /// A service that hands a cloud's credentials to whoever asks.
    Metadata,
    /// For examples in documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// For benchmarks between network devices (RFC 2544, RFC 5180).
    Benchmarking,
    /// A group of hosts.
    Multicast,
    /// Every host.
    Broadcast,
    /// An IPv4 address inside a deprecated tunnel (6to4, Teredo).
    Tunnel,
    /// Not assigned to hosts.
    Reserved,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "an address shared with a provider's address translation",
            Self::LinkLocal => "a link-local address",
            Self::UniqueLocal => "a unique local address",
            Self::Metadata => "a cloud's metadata service",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Tunnel => "an address inside a tunnel",
            Self::Reserved => "a reserved address",
        })
    }
}

impl Class {
    /// No allowed network opens these: no HTTP server that a user may name is there.
    fn is_never_allowed(self) -> bool {
        matches!(
            self,
            Self::Unspecified | Self::Metadata | Self::Multicast | Self::Broadcast | Self::Tunnel
        )
    }
}

/// Metadata services, some of them at addresses that look public.
const METADATA: [IpAddr; 9] = [
    // Most clouds; the two others are containers and pods on AWS.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Alibaba, Azure, Oracle.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS twice, Google.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// The parts of IPv4 that are not public; the first that matches decides.
const SPECIAL_V4: [(Ipv4Net, Class); 16] = [
    (v4(0, 0, 0, 0, 8), Class::Unspecified),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::Shared),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v4(169, 254, 0, 0, 16), Class::LinkLocal),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 0, 0, 0, 24), Class::Reserved),
    (v4(192, 0, 2, 0, 24), Class::Documentation),
    (v4(192, 88, 99, 0, 24), Class::Tunnel),
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v4(198, 18, 0, 0, 15), Class::Benchmarking),
    (v4(198, 51, 100, 0, 24), Class::Documentation),
    (v4(203, 0, 113, 0, 24), Class::Documentation),
    (v4(224, 0, 0, 0, 4), Class::Multicast),
    (v4(255, 255, 255, 255, 32), Class::Broadcast),
    (v4(240, 0, 0, 0, 4), Class::Reserved),
];

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// NAT64 (RFC 6052): the last 32 bits are the IPv4 address that is really reached.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// The parts of IPv6 that have a name; the first that matches decides. Of the rest only
/// `2000::/3` is assigned to hosts.
const SPECIAL_V6: [(Ipv6Net, Class); 10] = [
    (v6(0xfe80, 0, 0, 10), Class::LinkLocal),
    (v6(0xfc00, 0, 0, 7), Class::UniqueLocal),
    (v6(0xff00, 0, 0, 8), Class::Multicast),
    (v6(0x2001, 0, 0, 32), Class::Tunnel),
    (v6(0x2001, 2, 0, 48), Class::Benchmarking),
    (v6(0x2001, 0, 0, 23), Class::Reserved),
    (v6(0x2001, 0xdb8, 0, 32), Class::Documentation),
    (v6(0x2002, 0, 0, 16), Class::Tunnel),
    (v6(0x3fff, 0, 0, 20), Class::Documentation),
    (v6(0x2000, 0, 0, 3), Class::Public),
];

/// What `address` is for. An IPv4 address written as IPv6 is judged as what it reaches.
pub fn classify(address: IpAddr) -> Class {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return Class::Metadata;
    }
    match address {
        IpAddr::V4(address) => SPECIAL_V4
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map_or(Class::Public, |(_, class)| *class),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Class::Unspecified,
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Class::Loopback,
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            classify(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map_or(Class::Reserved, |(_, class)| *class),
    }
}

/// An address that may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {class}, where requests must not go; {}", self.next_step())]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// What it is for.
    pub class: Class,
}

impl Refused {
    fn next_step(&self) -> &'static str {
        if self.class.is_never_allowed() {
            "use a public address"
        } else {
            "use a public address, or let the operator allow the network"
        }
    }
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// Neither an address nor a network in CIDR form.
    #[error(
        "read network {0:?}: expected an address or a network such as 10.1.0.0/16 or fd12::/48"
    )]
    Malformed(String),
    /// Bits behind the prefix are set, so one of the two parts is a mistake.
    #[error("read network {given}: it has bits set behind its prefix; write {meant}")]
    HostBits {
        /// As given.
        given: IpNet,
        /// With these bits cleared.
        meant: IpNet,
    },
    /// The list is too long.
    #[error("{0} networks are too many, at most {MOST_NETWORKS} can be allowed; write wider ones")]
    TooMany(usize),
}

/// Where requests may go: to public addresses and to the networks that the operator allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allowed: Vec<IpNet>,
}

impl Policy {
    /// Public addresses only.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Public addresses and `networks`, each an address or a network in CIDR form.
    ///
    /// An allowed network opens no metadata service, multicast, broadcast or unspecified address.
    ///
    /// # Errors
    /// [`InvalidNetwork`] for the first text that is none, or for more than 256 of them.
    pub fn allowing<T: AsRef<str>>(networks: &[T]) -> Result<Self, InvalidNetwork> {
        if networks.len() > MOST_NETWORKS {
            return Err(InvalidNetwork::TooMany(networks.len()));
        }
        let allowed = networks.iter().map(|text| network(text.as_ref()));
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
        })
    }

    /// Whether `address` may be reached.
    ///
    /// # Errors
    /// [`Refused`] with what the address is for.
    pub fn permits(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let class = classify(address);
        let allowed = class == Class::Public
            || (!class.is_never_allowed() && self.allowed.iter().any(|net| net.contains(&address)));
        if allowed {
            Ok(())
        } else {
            Err(Refused { address, class })
        }
    }
}

fn network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let text = text.trim();
    let malformed = || InvalidNetwork::Malformed(text.chars().take(64).collect());
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let given: IpNet = text.parse().map_err(|_| malformed())?;
    let meant = given.trunc();
    if given != meant {
        return Err(InvalidNetwork::HostBits { given, meant });
    }
    Ok(given)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
