use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Ambiguous, Error, NotSent};
use crate::policy::Policy;
use crate::request::{Cut, Request, Response};
use crate::resolve::{Resolve, SystemResolver};
use crate::target::{Scheme, Server, Target};

/// Longest time for one request, whatever it asks for.
const LONGEST: Duration = Duration::from_secs(600);

/// Most addresses of a name: more are an attack or a mistake.
const MOST_ADDRESSES: usize = 64;

/// Most addresses that are connected to, one after the other.
const MOST_ATTEMPTS: usize = 8;

/// Most header fields of a response, and most bytes of all of them.
const MOST_HEADERS: usize = 64;
const LARGEST_HEAD: usize = 32 * 1024;

/// How a client resolves, connects and trusts.
#[derive(Clone)]
pub struct Options {
    /// Longest wait for the addresses of a name.
    pub resolve_timeout: Duration,
    /// Longest wait for a connection, over all addresses, and then again for TLS.
    pub connect_timeout: Duration,
    /// Certificates that are trusted besides those of the system.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Who turns names into addresses.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            resolve_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            extra_roots: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// Sends requests where a policy lets them go. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    options: Options,
    /// Without certificates only plain HTTP works, and says so when TLS is asked for.
    tls: Result<TlsConnector, String>,
}

impl Client {
    /// A client with the system's resolver and certificates.
    pub fn new(policy: Policy) -> Self {
        Self::with(policy, Options::default())
    }

    /// A client with these options.
    pub fn with(policy: Policy, options: Options) -> Self {
        let tls = connector(options.extra_roots.clone());
        let inner = Inner {
            policy,
            options,
            tls,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Where this client may go, for checking URLs when they are stored.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// Sends the request once, over a connection of its own.
    ///
    /// # Errors
    /// [`Error::NotSent`] if no byte of the request left, [`Error::Ambiguous`] if it may have. A
    /// response with any status is no error.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let target = Target::check(&request.url, &self.inner.policy).map_err(NotSent::from)?;
        request.check_headers().map_err(NotSent::from)?;
        let started = Instant::now();
        let call = Call {
            client: &self.inner,
            target: &target,
            started,
            deadline: started + request.timeout.min(LONGEST),
            most: request.max_response_bytes,
        };
        let message = message(request, &target)?;
        let addresses = call.resolve().await?;
        let (stream, peer) = call.connect(&addresses).await?;
        match target.scheme {
            Scheme::Http => call.exchange(stream, message, peer).await,
            Scheme::Https => {
                let stream = call.secure(stream).await?;
                call.exchange(stream, message, peer).await
            }
        }
    }
}

/// One request on its way.
struct Call<'a> {
    client: &'a Inner,
    target: &'a Target,
    started: Instant,
    deadline: Instant,
    most: usize,
}

impl Call<'_> {
    /// The addresses of the host, every one checked. One that may not be reached spoils the whole
    /// answer: names that mix them are how a check is fooled.
    async fn resolve(&self) -> Result<Vec<IpAddr>, NotSent> {
        let name = match &self.target.host {
            Server::Address(address) => return Ok(vec![*address]),
            Server::Name(name) => name,
        };
        let failed = |reason: String| NotSent::Resolve {
            name: name.clone(),
            reason,
        };
        let options = &self.client.options;
        let until = self.within(options.resolve_timeout);
        let found = timeout_at(until, options.resolver.resolve(name))
            .await
            .map_err(|_| self.late("its name was looked up"))?
            .map_err(|error| failed(error.to_string()))?;
        if found.is_empty() {
            return Err(failed("it has no addresses".to_owned()));
        }
        if found.len() > MOST_ADDRESSES {
            let count = found.len();
            return Err(failed(format!(
                "it has {count} addresses, too many to check"
            )));
        }
        for address in &found {
            let permitted = self.client.policy.permits(*address);
            permitted.map_err(|refused| NotSent::Address {
                name: name.clone(),
                refused,
            })?;
        }
        Ok(found)
    }

    /// Connects to the first address that lets us, each with its share of the time left.
    async fn connect(&self, addresses: &[IpAddr]) -> Result<(TcpStream, IpAddr), NotSent> {
        let until = self.within(self.client.options.connect_timeout);
        let attempts = addresses.len().min(MOST_ATTEMPTS);
        let mut last = self.late("a connection was made");
        for (tried, address) in addresses.iter().take(attempts).enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let share = u32::try_from(attempts - tried).unwrap_or(1).max(1);
            let until = Instant::now() + left / share;
            let server = SocketAddr::new(*address, self.target.port);
            match timeout_at(until, TcpStream::connect(server)).await {
                Ok(Ok(stream)) => {
                    // Requests are small and wait for an answer.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, *address));
                }
                Ok(Err(error)) => {
                    last = NotSent::Connect {
                        origin: self.target.to_string(),
                        address: *address,
                        reason: error.to_string(),
                    }
                }
                Err(_) => last = self.late("a connection was made"),
            }
        }
        Err(last)
    }

    async fn secure(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, NotSent> {
        let failed = |reason: String| NotSent::Tls {
            origin: self.target.to_string(),
            reason,
        };
        let tls = self.client.tls.as_ref();
        let tls = tls.map_err(|reason| failed(reason.clone()))?;
        let name = match &self.target.host {
            Server::Address(address) => ServerName::from(*address),
            Server::Name(name) => {
                let name = name.trim_end_matches('.').to_owned();
                ServerName::try_from(name).map_err(|error| failed(error.to_string()))?
            }
        };
        let until = self.within(self.client.options.connect_timeout);
        timeout_at(until, tls.connect(name, stream))
            .await
            .map_err(|_| self.late("TLS was set up"))?
            .map_err(|error| failed(error.to_string()))
    }

    /// Sends the request and reads the response. From here on nothing is certain to be unsent.
    async fn exchange<S>(
        &self,
        stream: S,
        message: hyper::Request<Full<Bytes>>,
        peer: IpAddr,
    ) -> Result<Response, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let not_sent = |error: &hyper::Error| NotSent::Connect {
            origin: self.target.to_string(),
            address: peer,
            reason: causes(error),
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_buf_size(LARGEST_HEAD)
            .max_header_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| not_sent(&error))?;
        // Ends with this call, whichever way it ends.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let answer = timeout_at(self.deadline, sender.try_send_request(message)).await;
        let response = match answer {
            Ok(Ok(response)) => response,
            // The error holds the message only if nothing of it was written.
            Ok(Err(error)) if error.message().is_some() => {
                return Err(not_sent(error.error()).into());
            }
            Ok(Err(error)) => {
                return Err(Error::Ambiguous(Ambiguous::Broken {
                    origin: self.target.to_string(),
                    reason: causes(error.error()),
                }));
            }
            Err(_) => {
                return Err(Error::Ambiguous(Ambiguous::TimedOut {
                    origin: self.target.to_string(),
                    after: self.started.elapsed(),
                }));
            }
        };
        let (head, body) = response.into_parts();
        let (body, cut) = self.read(body).await;
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
            cut,
            peer,
        })
    }

    async fn read(&self, mut body: Incoming) -> (Bytes, Option<Cut>) {
        let mut read = BytesMut::new();
        let cut = loop {
            let frame = match timeout_at(self.deadline, body.frame()).await {
                Ok(None) => break None,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => break Some(Cut::Broken(causes(&error))),
                Err(_) => break Some(Cut::TimedOut),
            };
            // The rest are trailers, which nobody here needs.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let room = self.most.saturating_sub(read.len());
            if let Some(fits) = data.get(..room) {
                read.extend_from_slice(fits);
                if data.len() > room {
                    break Some(Cut::TooLarge(self.most));
                }
            } else {
                read.extend_from_slice(&data);
            }
        };
        (read.freeze(), cut)
    }

    fn within(&self, limit: Duration) -> Instant {
        self.deadline.min(Instant::now() + limit)
    }

    fn late(&self, phase: &'static str) -> NotSent {
        NotSent::TimedOut {
            origin: self.target.to_string(),
            phase,
            after: self.started.elapsed(),
        }
    }
}

/// The message in the form that goes over a connection to the server itself.
fn message(request: Request, target: &Target) -> Result<hyper::Request<Full<Bytes>>, NotSent> {
    let invalid = |error: &dyn std::error::Error| NotSent::Request(error.to_string());
    let mut message = hyper::Request::builder()
        .method(request.method)
        .uri(target.path_and_query())
        .body(Full::new(request.body))
        .map_err(|error| invalid(&error))?;
    let host = HeaderValue::from_str(target.authority()).map_err(|error| invalid(&error))?;
    let headers = message.headers_mut();
    *headers = request.headers;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!(
            "ringdown/",
            env!("CARGO_PKG_VERSION")
        )));
    Ok(message)
}

fn connector(extra_roots: Vec<CertificateDer<'static>>) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))
        .map_err(|error| {
            format!("no certificates to check servers with ({error}); install ca-certificates, or name a file in SSL_CERT_FILE")
        })?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The error with what caused it.
fn causes(error: &hyper::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    texts.dedup();
    texts.join(": ")
}
