use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use ringdown_api::API_KEY_HEADER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::debug;
use url::Url;

use crate::backoff::Backoff;
use crate::error::{Error, Kind};

/// Largest answer that is read.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How much of an answer is shown in an error.
const EXCERPT: usize = 300;

/// Shortest key that is worth hiding in what the service says: anything shorter is no secret.
const SHORTEST_SECRET: usize = 8;

/// An API key. Never shown by `Debug`.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// How patient the client is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
    /// Reads are tried again for this long.
    pub read_deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            read_deadline: Duration::from_secs(60),
        }
    }
}

/// A client of one service with one key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: ApiKey,
    options: Options,
}

impl Client {
    /// A client of the service at `base`: `https://host`, or the same with `/test_framework`.
    ///
    /// # Errors
    /// [`Kind::NotSent`] if the address or the key cannot be used. An address with a user name or
    /// password is not: it would be shown and published.
    pub fn new(base: &str, key: &ApiKey, options: Options) -> Result<Self, Error> {
        let failed = |reason: String| Error {
            method: "GET",
            path: base.rsplit('@').next().unwrap_or_default().to_owned(),
            kind: Kind::NotSent(reason),
        };
        let trimmed = base
            .trim_end_matches('/')
            .trim_end_matches("/test_framework");
        let base = Url::parse(&format!("{trimmed}/")).map_err(|e| failed(e.to_string()))?;
        if !["http", "https"].contains(&base.scheme()) {
            return Err(failed(
                "the address has to begin with http:// or https://".to_owned(),
            ));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(failed(
                "the address must not hold a user name or password".to_owned(),
            ));
        }
        let mut secret = HeaderValue::from_str(&key.0)
            .map_err(|_| failed("the API key has characters that no key has".to_owned()))?;
        secret.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(API_KEY_HEADER, secret);
        // A provider may be installed already, by another client: that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .timeout(options.request_timeout)
            .user_agent(concat!("ringdown/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            http,
            base,
            key: key.clone(),
            options,
        })
    }

    /// The service's address.
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Reads, and tries again while that may help and the read deadline allows.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let give_up = Instant::now() + self.options.read_deadline;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let error = match self.once(Method::GET, path, None::<&()>).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let asked = match error.kind {
                Kind::Throttled { retry_after } => retry_after,
                _ => None,
            };
            // A service that asks for no wait at all is not hammered either.
            let wait = backoff.wait(spread()).max(asked.unwrap_or_default());
            let left = give_up.saturating_duration_since(Instant::now());
            if !error.is_safe_to_retry() || wait > left {
                return Err(error);
            }
            debug!(%error, ?wait, "reading again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends once.
    pub(crate) async fn send<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, Error> {
        self.once(method, path, Some(body)).await
    }

    async fn once<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Error> {
        let name = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            _ => "DELETE",
        };
        let failed = |kind| Error {
            method: name,
            path: path.to_owned(),
            kind,
        };
        let url = self
            .base
            .join(path)
            .map_err(|error| failed(Kind::NotSent(error.to_string())))?;
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            let bytes = serde_json::to_vec(body)
                .map_err(|error| failed(Kind::NotSent(error.to_string())))?;
            request = request.header(CONTENT_TYPE, "application/json").body(bytes);
        }
        let response = request.send().await.map_err(|error| {
            let reason = causes(&error);
            failed(if error.is_connect() || error.is_builder() {
                Kind::NotSent(reason)
            } else {
                Kind::Ambiguous(reason)
            })
        })?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let bytes = read(response).await.map_err(|reason| {
            failed(if status.is_success() {
                Kind::Ambiguous(reason)
            } else {
                self.rejected(status, retry_after, reason.as_bytes())
            })
        })?;
        if !status.is_success() {
            return Err(failed(self.rejected(status, retry_after, &bytes)));
        }
        let bytes = if bytes.is_empty() {
            b"null"
        } else {
            &bytes[..]
        };
        serde_json::from_slice(bytes).map_err(|error| {
            let reason = self.without_key(&error.to_string());
            failed(Kind::Malformed(format!(
                "{reason}: {}",
                self.excerpt(bytes)
            )))
        })
    }

    /// A 5xx leaves it open whether the request was carried out; 3xx and 4xx do not.
    fn rejected(&self, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Kind {
        if status == StatusCode::TOO_MANY_REQUESTS {
            Kind::Throttled { retry_after }
        } else if status.is_server_error() {
            Kind::Ambiguous(format!("{status}: {}", self.excerpt(body)))
        } else {
            Kind::Rejected {
                status: status.as_u16(),
                body: self.excerpt(body),
            }
        }
    }

    fn excerpt(&self, bytes: &[u8]) -> String {
        let text = self.without_key(&String::from_utf8_lossy(bytes));
        let mut short: String = text.chars().take(EXCERPT).collect();
        if short.len() < text.len() {
            short.push_str("...");
        }
        short
    }

    /// Services like to repeat a key that they refuse.
    fn without_key(&self, text: &str) -> String {
        if self.key.0.len() < SHORTEST_SECRET {
            return text.to_owned();
        }
        text.replace(&self.key.0, "(hidden)")
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3); the date form is not used by APIs.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error))? {
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(format!("the answer is larger than {MAX_BODY} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The error with what caused it, without the address, which may be long.
fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    texts.dedup();
    if texts.is_empty() {
        return if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            error.to_string()
        };
    }
    texts.join(": ")
}

/// A number from 0 to 1 from the clock: retries need spreading, not secrecy.
fn spread() -> f64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_nanos());
    f64::from(nanos % 1000) / 1000.0
}
