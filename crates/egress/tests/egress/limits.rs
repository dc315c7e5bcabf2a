use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ringdown_egress::{Ambiguous, Client, Cut, Error, NotSent, Options, Resolve, StatusCode};
use tokio::net::TcpListener;

use crate::support::{Answer, Server, client, get, loopback};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_server_that_says_nothing_leaves_the_request_ambiguous_at_the_deadline() {
    let mut server = Server::start(Answer::Hang(Vec::new())).await;
    let mut request = get(server.url("/"));
    request.timeout = SHORT;
    let started = Instant::now();
    let error = client().send(request).await.unwrap_err();
    assert!(matches!(
        error,
        Error::Ambiguous(Ambiguous::TimedOut { .. })
    ));
    assert!(error.may_have_been_sent());
    let took = started.elapsed();
    assert!(took >= SHORT && took < Duration::from_secs(5), "{took:?}");
    server.request().await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_it_ambiguous() {
    for answer in ["", "HTTP/1.1 200", "220 mail.example.com ESMTP\r\n\r\n"] {
        let mut server = Server::answering(answer).await;
        let error = client().send(get(server.url("/"))).await.unwrap_err();
        assert!(
            matches!(error, Error::Ambiguous(Ambiguous::Broken { .. })),
            "{answer:?}: {error:?}"
        );
        server.request().await;
    }
}

#[tokio::test]
async fn a_lookup_that_never_ends_is_given_up_before_anything_is_sent() {
    struct Never;

    #[async_trait]
    impl Resolve for Never {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            pending().await
        }
    }

    let options = Options {
        resolve_timeout: SHORT,
        resolver: Arc::new(Never),
        ..Options::default()
    };
    let client = Client::with(loopback(), options);
    let error = client.send(get("http://hook.test/")).await.unwrap_err();
    assert!(matches!(error, Error::NotSent(NotSent::TimedOut { .. })));
    assert!(
        error.to_string().contains("while its name was looked up"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tls_server_that_says_nothing_is_given_up_before_anything_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        connect_timeout: SHORT,
        ..Options::default()
    };
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let error = Client::with(loopback(), options).send(get(url)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NotSent(NotSent::TimedOut { .. })));
    assert!(
        error.to_string().contains("while TLS was set up"),
        "{error}"
    );
}

#[tokio::test]
async fn a_huge_body_is_cut_at_its_bound_and_a_body_of_that_size_is_not() {
    let body = "x".repeat(1000);
    for (bound, cut) in [(999, Some(Cut::TooLarge(999))), (1000, None), (1001, None)] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{body}");
        let server = Server::answering(answer).await;
        let mut request = get(server.url("/"));
        request.max_response_bytes = bound;
        let response = client().send(request).await.unwrap();
        assert_eq!(response.cut, cut);
        assert_eq!(response.body.len(), bound.min(1000));
    }
    // Without an announced length, and much larger than what the system buffers.
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(32 * 1024 * 1024, b'x');
    let server = Server::answering(answer).await;
    let response = client().send(get(server.url("/"))).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.body.len(), 64 * 1024);
    assert_eq!(response.cut, Some(Cut::TooLarge(64 * 1024)));
}

#[tokio::test]
async fn a_chunked_body_is_put_together() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: y\r\n\r\n";
    let server = Server::answering(answer).await;
    let response = client().send(get(server.url("/"))).await.unwrap();
    assert_eq!((&response.body[..], response.cut), (&b"abcde"[..], None));
}

#[tokio::test]
async fn a_body_that_stops_midway_keeps_its_status() {
    let begun = b"HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\nabc".to_vec();
    let server = Server::start(Answer::Hang(begun.clone())).await;
    let mut request = get(server.url("/"));
    request.timeout = SHORT;
    let response = client().send(request).await.unwrap();
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!(
        (&response.body[..], response.cut),
        (&b"abc"[..], Some(Cut::TimedOut))
    );

    let server = Server::answering(begun).await;
    let response = client().send(get(server.url("/"))).await.unwrap();
    assert_eq!(response.status, StatusCode::CREATED);
    assert!(matches!(response.cut, Some(Cut::Broken(_))), "{response:?}");
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_no_usable_answer() {
    let many = (0..65).fold(String::new(), |text, n| text + &format!("x-{n}: v\r\n"));
    let large = format!("x: {}\r\n", "a".repeat(40 * 1024));
    for fields in [many, large] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        let server = Server::answering(answer).await;
        let error = client().send(get(server.url("/"))).await.unwrap_err();
        assert!(matches!(error, Error::Ambiguous(Ambiguous::Broken { .. })));
    }
}
