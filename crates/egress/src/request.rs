use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

/// Most header fields of a request.
const MOST_HEADERS: usize = 64;

/// Most bytes of a request's header fields, names and values together.
const LARGEST_HEADERS: usize = 16 * 1024;

/// Fields that say how a message travels. They are set here and nowhere else, because a second
/// opinion on where a message ends lets one message hide another (RFC 9112 section 11.2).
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header field that may not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// Not a field name.
    #[error("header {0:?} has a name with characters that no header name has")]
    Name(String),
    /// Not a field value.
    #[error("header {0} has a value with characters that no header value has")]
    Value(String),
    /// Set by the client itself.
    #[error("header {0} says how a message travels and cannot be chosen; leave it out")]
    Framing(String),
    /// Too many fields or bytes.
    #[error(
        "there are {fields} headers of {bytes} bytes in all, at most {MOST_HEADERS} of {LARGEST_HEADERS} are allowed"
    )]
    TooLarge {
        /// Fields.
        fields: usize,
        /// Bytes of all names and values.
        bytes: usize,
    },
}

/// Reads a header field that a user names. Does no I/O, so it can refuse one when it is stored.
///
/// # Errors
/// [`InvalidHeader`] says what is wrong with it, without the value.
pub fn header_field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidHeader> {
    let short: String = name.chars().take(64).collect();
    let name: HeaderName = name
        .parse()
        .map_err(|_| InvalidHeader::Name(short.clone()))?;
    check_name(&name)?;
    let value = HeaderValue::from_str(value).map_err(|_| InvalidHeader::Value(short))?;
    Ok((name, value))
}

fn check_name(name: &HeaderName) -> Result<(), InvalidHeader> {
    if FRAMING.contains(&name.as_str()) {
        return Err(InvalidHeader::Framing(name.as_str().to_owned()));
    }
    Ok(())
}

/// One request.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to; checked when it is sent.
    pub url: String,
    /// Header fields besides those that the message itself needs.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// Time for everything, from the lookup of the name to the last byte of the response.
    pub timeout: Duration,
    /// Most bytes of the response's body that are kept.
    pub max_response_bytes: usize,
}

impl Request {
    /// A request without body that has 30 seconds, and 64 KiB for the response.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(30),
            max_response_bytes: 64 * 1024,
        }
    }

    /// With a body of this media type, such as `application/json`.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let media_type = HeaderValue::from_static(media_type);
        self.headers.insert(hyper::header::CONTENT_TYPE, media_type);
        self.body = body.into();
        self
    }

    /// With one more header field; a field of the same name is replaced.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With user and password (RFC 7617). The user must not hold a colon, which ends it.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        let both = STANDARD.encode(format!("{user}:{password}"));
        // Base64 is always a valid value.
        match HeaderValue::from_str(&format!("Basic {both}")) {
            Ok(value) => self.authorization(value),
            Err(_) => self,
        }
    }

    /// With a bearer token (RFC 6750).
    ///
    /// # Errors
    /// [`InvalidHeader::Value`] if the token has characters that no header has.
    pub fn bearer(self, token: &str) -> Result<Self, InvalidHeader> {
        let value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| InvalidHeader::Value(AUTHORIZATION.as_str().to_owned()))?;
        Ok(self.authorization(value))
    }

    fn authorization(self, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.header(AUTHORIZATION, value)
    }

    pub(crate) fn check_headers(&self) -> Result<(), InvalidHeader> {
        let mut bytes = 0;
        for (name, value) in &self.headers {
            check_name(name)?;
            bytes += name.as_str().len() + value.len();
        }
        let fields = self.headers.len();
        if fields > MOST_HEADERS || bytes > LARGEST_HEADERS {
            return Err(InvalidHeader::TooLarge { fields, bytes });
        }
        Ok(())
    }
}

/// Without the URL, the values of the headers and the body: all of them may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why a response's body is not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// It is larger than asked for.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The time was over.
    #[error("the answer did not end in time")]
    TimedOut,
    /// The connection ended before it.
    #[error("the connection ended in the middle of the answer: {0}")]
    Broken(String),
}

/// What the server said. Redirects are responses like any other.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields; at most 64 of 32 KiB in all.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Why the body is only a beginning, if it is. The status stands all the same.
    pub cut: Option<Cut>,
    /// The address that answered.
    pub peer: IpAddr,
}

impl Response {
    /// Whether the body is only a beginning.
    pub fn is_truncated(&self) -> bool {
        self.cut.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_header_is_read_or_refused_by_name() {
        let (name, value) = header_field("X-Secret", "s3cret").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("x-secret", &b"s3cret"[..])
        );
        for name in ["Host", "content-length", "Transfer-Encoding", "CONNECTION"] {
            let error = header_field(name, "x").unwrap_err();
            assert_eq!(error, InvalidHeader::Framing(name.to_ascii_lowercase()));
        }
        for name in ["", "a b", "a:b", "a\r\nb", "\u{e9}"] {
            assert_eq!(
                header_field(name, "x"),
                Err(InvalidHeader::Name(name.into()))
            );
        }
        let error = header_field("x-a", "secret\r\nHost: b").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn headers_are_bounded_in_number_and_size() {
        let mut request = Request::new(Method::GET, "http://example.com/");
        let large = HeaderValue::from_str(&"a".repeat(LARGEST_HEADERS)).unwrap();
        let error = request.clone().header(AUTHORIZATION, large).check_headers();
        assert!(matches!(
            error,
            Err(InvalidHeader::TooLarge { fields: 1, .. })
        ));
        for n in 0..=MOST_HEADERS {
            let (name, value) = header_field(&format!("x-{n}"), "v").unwrap();
            request = request.header(name, value);
        }
        let error = request.check_headers();
        assert!(matches!(
            error,
            Err(InvalidHeader::TooLarge { fields: 65, .. })
        ));
    }

    #[test]
    fn a_request_never_shows_its_secrets() {
        let request = Request::new(Method::POST, "http://example.com/?key=hush1")
            .basic("user", "hush2")
            .body("text/plain", "hush3");
        let shown = format!("{request:?} {:?}", request.headers);
        assert!(
            !shown.contains("hush") && !shown.contains("aHVzaDI"),
            "{shown}"
        );
        assert_eq!(request.headers[AUTHORIZATION], "Basic dXNlcjpodXNoMg==");
        assert!(request.bearer("a\nb").is_err());
    }
}
