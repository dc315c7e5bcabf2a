use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use ringdown_api::Page as Wire;
use ringdown_domain::Timestamp;
use ringdown_store::{Listing, Page, Principal};

use super::operations::Declared;
use super::paths::AsAsked;
use crate::error::{Answer, Failure};

const PAGE_SIZE: u32 = 30;
const MAX_PAGE_SIZE: u32 = 500;

/// The lists that the reference service gives whole instead of in pages, bounded all the same.
pub(crate) const WHOLE: Page = Page {
    number: 1,
    size: 10_000,
};

/// The `{id}` of a path. What cannot be an id belongs to nothing, so it is not found.
pub(crate) struct Id(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        let unknown = || Failure::detail(StatusCode::NOT_FOUND, "The path does not hold an id.");
        id.map(Self).ok_or_else(unknown)
    }
}

/// Where the server is, as [`base`] has it.
pub(crate) struct Base(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(base(&parts.headers)))
    }
}

/// What a handler has to know of a request besides its body.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Who asks.
    pub(crate) principal: Principal,
    /// Where the server is, as [`base`] has it.
    pub(crate) base: String,
    path: String,
    query: Vec<(String, String)>,
    declared: Declared,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Failure::detail(StatusCode::BAD_REQUEST, error.to_string()))?;
        let principal = parts.extensions.get::<Principal>().cloned();
        let Base(base) = Base::from_request_parts(parts, state).await?;
        let asked = parts.extensions.get::<AsAsked>();
        Ok(Self {
            principal: principal
                .ok_or_else(|| Failure::detail(StatusCode::UNAUTHORIZED, "Send your API key."))?,
            base,
            path: asked.map_or_else(|| parts.uri.path().to_owned(), |path| path.0.clone()),
            query,
            declared: parts.extensions.get().cloned().unwrap_or_default(),
        })
    }
}

/// Where the client reached the server, `http://host` without a trailing slash; https if a proxy
/// before the server says so.
pub(crate) fn base(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = text(header::HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

impl Asked {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.declared.check_query(name);
        let found = self.query.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    /// Like [`query`](Self::query), but an empty text is a text too.
    pub(crate) fn query_or_empty(&self, name: &str) -> Option<&str> {
        self.declared.check_query(name);
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.declared.check_query(name);
        let given = self.query.iter().filter(move |(key, _)| key == name);
        given
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn query_id(&self, name: &str) -> Answer<Option<i64>> {
        self.query(name)
            .map(|text| {
                let id: Option<i64> = text.parse().ok().filter(|id| *id > 0);
                id.ok_or_else(|| Failure::field(name, "Expected an id."))
            })
            .transpose()
    }

    /// A number from 1 to `max`.
    pub(crate) fn query_number(&self, name: &str, default: u32, max: u32) -> Answer<u32> {
        let Some(text) = self.query(name) else {
            return Ok(default);
        };
        let number: Option<u32> = text.parse().ok().filter(|n| (1..=max).contains(n));
        number.ok_or_else(|| Failure::field(name, format!("Expected a number from 1 to {max}.")))
    }

    pub(crate) fn page(&self) -> Answer<Page> {
        Ok(Page {
            number: self.query_number("page", 1, 1_000_000)?,
            size: self.query_number("page_size", PAGE_SIZE, MAX_PAGE_SIZE)?,
        })
    }

    /// One page as the API shows it, with links to its neighbours.
    pub(crate) fn listing<T, U>(
        &self,
        page: Page,
        listing: Listing<T>,
        show: impl Fn(T) -> U,
    ) -> Answer<Wire<U>> {
        let before = u64::from(page.number - 1) * u64::from(page.size);
        if page.number > 1 && before >= listing.count {
            let message = format!("There is no page {}.", page.number);
            return Err(Failure::detail(StatusCode::NOT_FOUND, message));
        }
        let more = before + u64::from(page.size) < listing.count;
        Ok(Wire {
            count: listing.count,
            next: more.then(|| self.link(page.number + 1)),
            previous: (page.number > 1).then(|| self.link(page.number - 1)),
            results: listing.rows.into_iter().map(show).collect(),
        })
    }

    fn link(&self, page: u32) -> String {
        let mut query: Vec<String> = self
            .query
            .iter()
            .filter(|(key, _)| key != "page")
            .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
            .collect();
        query.push(format!("page={page}"));
        format!("{}{}?{}", self.base, self.path, query.join("&"))
    }
}

/// Percent-encodes a query part (RFC 3986 section 3.4).
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// RFC 3339 in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros())
        .map_or_else(|_| String::new(), |time| time.to_string())
}

/// `MM:SS`, minutes beyond 99 included.
pub(crate) fn minutes(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}
