use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Position, Url};

use crate::policy::{Policy, Refused};

/// Longest URL, in bytes.
pub const LONGEST_URL: usize = 2048;

/// Longest host name, in bytes (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

/// Why a URL cannot be called. The texts fit behind the name of the field that holds the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Too long.
    #[error("the URL has {0} bytes, at most {LONGEST_URL} are allowed")]
    TooLong(usize),
    /// Not a URL.
    #[error("this is no URL ({0}); write one such as https://example.com/hook")]
    Malformed(String),
    /// Spaces or control characters, which readers of URLs treat differently.
    #[error("the URL has a space or control character; write it percent-encoded, such as %20")]
    Characters,
    /// Neither http nor https.
    #[error("the URL begins with {0}:, only http:// and https:// can be called")]
    Scheme(String),
    /// A user name or password.
    #[error("the URL has a user name or password in it; send them in a header instead")]
    Credentials,
    /// No usable host.
    #[error("the URL names no host")]
    NoHost,
    /// Port 0.
    #[error("the URL names port 0, where no server can be")]
    Port,
    /// An address that may not be reached.
    #[error("the URL cannot be called: {0}")]
    Address(#[from] Refused),
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// A URL that may be called as far as can be told without resolving its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    pub(crate) scheme: Scheme,
    pub(crate) host: Server,
    pub(crate) port: u16,
}

/// The host of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Name(String),
    Address(IpAddr),
}

impl Target {
    /// Reads and checks `url`. Does no I/O, so it can refuse a URL when it is stored; the name is
    /// checked again, with its addresses, whenever it is called.
    ///
    /// # Errors
    /// [`InvalidUrl`] says what is wrong with it.
    pub fn check(url: &str, policy: &Policy) -> Result<Self, InvalidUrl> {
        if url.len() > LONGEST_URL {
            return Err(InvalidUrl::TooLong(url.len()));
        }
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidUrl::Characters);
        }
        let mut url = Url::parse(url).map_err(|error| match error {
            url::ParseError::EmptyHost => InvalidUrl::NoHost,
            other => InvalidUrl::Malformed(other.to_string()),
        })?;
        // Reading may have made it longer, by percent-encoding.
        if url.as_str().len() > LONGEST_URL {
            return Err(InvalidUrl::TooLong(url.as_str().len()));
        }
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(InvalidUrl::Scheme(other.chars().take(32).collect())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::Credentials);
        }
        let host = match url.host().ok_or(InvalidUrl::NoHost)? {
            Host::Domain(name) => Server::Name(check_name(name, policy)?),
            Host::Ipv4(address) => Server::Address(IpAddr::V4(address)),
            Host::Ipv6(address) => Server::Address(IpAddr::V6(address)),
        };
        if let Server::Address(address) = host {
            policy.permits(address)?;
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if port == 0 {
            return Err(InvalidUrl::Port);
        }
        // Never sent (RFC 9110 section 4.2.5).
        url.set_fragment(None);
        Ok(Self {
            url,
            scheme,
            host,
            port,
        })
    }

    /// The URL in its normal form, without a fragment.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// How the server is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Scheme, host and port: what may be logged. Paths and queries often hold secrets.
    pub fn origin(&self) -> &str {
        &self.url[..Position::BeforePath]
    }

    /// Host and port as the `Host` header wants them (RFC 9110 section 7.2).
    pub(crate) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Path and query as the request line wants them (RFC 9112 section 3.2.1).
    pub(crate) fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.origin())
    }
}

fn check_name(name: &str, policy: &Policy) -> Result<String, InvalidUrl> {
    let bare = name.trim_end_matches('.');
    if bare.is_empty() || bare.len() > LONGEST_NAME {
        return Err(InvalidUrl::NoHost);
    }
    // Names that are loopback whatever a resolver says (RFC 6761 section 6.3).
    if bare == "localhost" || bare.ends_with(".localhost") {
        let v6 = policy.permits(IpAddr::V6(Ipv6Addr::LOCALHOST));
        v6.or_else(|_| policy.permits(IpAddr::V4(Ipv4Addr::LOCALHOST)))?;
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Class;

    fn check(url: &str) -> Result<Target, InvalidUrl> {
        Target::check(url, &Policy::public_only())
    }

    fn refused(url: &str) -> Class {
        match check(url) {
            Err(InvalidUrl::Address(refused)) => refused.class,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_public_url_is_taken_apart_for_the_request() {
        let target = check("https://Example.COM:8443/a%20b/?q=1&r#part").unwrap();
        assert_eq!(target.as_str(), "https://example.com:8443/a%20b/?q=1&r");
        assert_eq!(target.origin(), "https://example.com:8443");
        assert_eq!(target.authority(), "example.com:8443");
        assert_eq!(target.path_and_query(), "/a%20b/?q=1&r");
        assert_eq!((target.scheme(), target.port), (Scheme::Https, 8443));
        let target = check("http://[2606:4700::1]").unwrap();
        assert_eq!(target.authority(), "[2606:4700::1]");
        assert_eq!((target.path_and_query(), target.port), ("/", 80));
        assert_eq!(format!("{target:?}"), "Target(http://[2606:4700::1])");
    }

    #[test]
    fn every_spelling_of_a_forbidden_address_is_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://2130706433/",
            "http://0177.0.0.1:8080/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://agent.localhost:9000/",
            "http://%31%32%37.0.0.1/",
            "http://\u{ff11}27.0.0.1/",
            "http:\\\\127.0.0.1\\",
        ] {
            assert_eq!(refused(url), Class::Loopback, "{url}");
        }
        assert_eq!(refused("http://169.254.169.254/latest"), Class::Metadata);
        assert_eq!(refused("https://[fd00:ec2::254]/"), Class::Metadata);
        assert_eq!(refused("https://10.0.0.1:443/"), Class::Private);
        assert_eq!(refused("https://0/"), Class::Unspecified);
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_its_reason() {
        let long = format!("https://example.com/{}", "a".repeat(LONGEST_URL));
        let swells = format!("https://example.com/{}", "\u{e9}".repeat(1000));
        let name = format!("https://{}example.com/", "abc.".repeat(64));
        for (url, expected) in [
            ("ftp://example.com/", InvalidUrl::Scheme("ftp".into())),
            ("file:///etc/passwd", InvalidUrl::Scheme("file".into())),
            ("gopher://example.com", InvalidUrl::Scheme("gopher".into())),
            (
                "javascript:alert(1)",
                InvalidUrl::Scheme("javascript".into()),
            ),
            ("https://user@example.com/", InvalidUrl::Credentials),
            ("https://user:pass@example.com/", InvalidUrl::Credentials),
            ("https://:pass@example.com/", InvalidUrl::Credentials),
            ("https://", InvalidUrl::NoHost),
            ("https://./", InvalidUrl::NoHost),
            (&name, InvalidUrl::NoHost),
            ("https://example.com:0/", InvalidUrl::Port),
            ("https://example.com/a b", InvalidUrl::Characters),
            ("https://exam\tple.com/", InvalidUrl::Characters),
            (
                "https://example.com/\r\nHost: other",
                InvalidUrl::Characters,
            ),
            (&long, InvalidUrl::TooLong(2068)),
            (&swells, InvalidUrl::TooLong(6020)),
        ] {
            assert_eq!(check(url).unwrap_err(), expected, "{url}");
        }
        for url in [
            "",
            "example.com/hook",
            "//example.com",
            "https://[::1",
            "https://a:99999/",
        ] {
            let error = check(url).unwrap_err();
            assert!(matches!(error, InvalidUrl::Malformed(_)), "{url}: {error}");
        }
    }

    #[test]
    fn an_allowed_network_opens_its_literals_and_names() {
        let policy = Policy::allowing(&["127.0.0.0/8"]).unwrap();
        for url in [
            "http://127.0.0.1:1",
            "http://localhost:1",
            "http://[::ffff:127.0.0.1]:1",
        ] {
            assert!(Target::check(url, &policy).is_ok(), "{url}");
        }
        assert!(Target::check("http://[::1]/", &policy).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_passes_has_all_its_parts(url in "(https?://)?.{0,60}") {
            if let Ok(target) = check(&url) {
                prop_assert!(target.port != 0 && !target.authority().is_empty());
                prop_assert!(target.path_and_query().starts_with('/'));
                prop_assert!(!target.authority().contains('@'));
                prop_assert_eq!(check(target.as_str()).unwrap(), target);
            }
        }

        #[test]
        fn an_address_in_a_url_is_judged_like_the_address(bits: u32) {
            let policy = Policy::public_only();
            let permitted = policy.permits(IpAddr::V4(Ipv4Addr::from(bits))).is_ok();
            prop_assert_eq!(check(&format!("http://{bits}/")).is_ok(), permitted);
            prop_assert_eq!(check(&format!("http://{}/", Ipv4Addr::from(bits))).is_ok(), permitted);
        }
    }
}
