use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::Api;
use super::auth::Peer;

/// What one client may cost before it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest a request's head may take, or an idle connection be kept.
    pub(crate) head: Duration,
    /// Connections at once; more wait in the listener's backlog.
    pub(crate) connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(60),
            connections: 4096,
        }
    }
}

/// Bytes a request's head may have. A bulk read of a large batch names every run in it.
const MAX_HEAD: usize = 128 * 1024;

/// Pause after a connection could not be accepted, most often for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `api` until `stop`, then finishes the requests in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Api,
    stop: CancellationToken,
    limits: Limits,
) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, (stream, peer)) = match stop.run_until_cancelled(next).await {
            None => break,
            Some((place, Ok((stream, peer)))) => (place, (stream, Peer(peer))),
            Some((_, Err(error))) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = api.clone().map_request(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request
        });
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn start(limits: Limits) -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let same: fn(Request) -> Request = |request| request;
        let api = Router::new().route("/", get(|| async { "here" }));
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, api.map_request(same), stop.clone(), limits));
        (address, stop)
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        read.expect("the connection was not closed").unwrap();
        text
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_head_that_does_not_end_closes_its_connection_only() {
        let limits = Limits {
            head: Duration::from_millis(200),
            ..Limits::default()
        };
        let (address, stop) = start(limits).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        let mut quick = TcpStream::connect(address).await.unwrap();
        quick.write_all(REQUEST).await.unwrap();
        assert!(rest(&mut quick).await.ends_with("here"));
        assert!(!rest(&mut slow).await.contains("200 OK"));
        stop.cancel();
    }

    #[tokio::test]
    async fn a_connection_too_many_waits_until_another_ends() {
        let limits = Limits {
            connections: 1,
            ..Limits::default()
        };
        let (address, stop) = start(limits).await;
        let first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(REQUEST).await.unwrap();
        drop(first);
        assert!(rest(&mut second).await.ends_with("here"));
        stop.cancel();
    }
}
