use std::net::IpAddr;

use ringdown_egress::{
    Class, Client, Error, InvalidUrl, Method, NotSent, Policy, Request, StatusCode, header_field,
};
use tokio::net::TcpListener;

use crate::support::{Answers, OK, Server, client, get, loopback, resolving};

fn class_of(error: Error) -> Class {
    match error {
        Error::NotSent(
            NotSent::Address { refused, .. } | NotSent::Url(InvalidUrl::Address(refused)),
        ) => refused.class,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_allowed_network_is_reached_and_the_request_arrives_whole() {
    let mut server = Server::answering(OK).await;
    let (name, value) = header_field("X-Team", "blue").unwrap();
    let request = Request::new(Method::POST, server.url("/hook?a=%20b#part"))
        .body("application/json", "{\"a\":1}")
        .header(name, value);
    let response = client().send(request).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(&response.body[..], b"ok");
    assert_eq!(response.peer, "127.0.0.1".parse::<IpAddr>().unwrap());
    assert!(!response.is_truncated());
    let seen = server.request().await;
    assert!(seen.starts_with("POST /hook?a=%20b HTTP/1.1\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"a\":1}"), "{seen}");
    for line in [
        &format!("host: {}", server.address),
        "x-team: blue",
        "content-type: application/json",
        "content-length: 7",
        "connection: close",
        concat!("user-agent: ringdown/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
}

#[tokio::test]
async fn loopback_is_refused_unless_it_is_allowed() {
    let mut server = Server::answering(OK).await;
    let client = Client::new(Policy::public_only());
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let error = client.send(get(format!("http://{host}:{port}/"))).await;
        let error = error.unwrap_err();
        assert!(!error.may_have_been_sent());
        assert_eq!(class_of(error), Class::Loopback, "{host}");
    }
    assert!(server.is_untouched());
}

#[tokio::test]
async fn the_resolver_of_the_system_finds_this_machine() {
    let server = Server::answering(OK).await;
    let response = client().send(get(server.named("localhost"))).await.unwrap();
    assert!(response.peer.is_loopback());
}

#[tokio::test]
async fn a_name_is_resolved_once_so_a_second_answer_changes_nothing() {
    let server = Server::answering(OK).await;
    let answers = Answers::of(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let client = resolving(loopback(), answers.clone());
    let response = client.send(get(server.named("hook.test"))).await.unwrap();
    assert_eq!(response.peer, server.address.ip());
    assert_eq!(answers.asked(), 1);
    // The second request resolves again, and sees that the name has moved.
    let error = client.send(get(server.named("hook.test"))).await;
    assert_eq!(class_of(error.unwrap_err()), Class::Private);
    assert_eq!(answers.asked(), 2);
}

#[tokio::test]
async fn one_forbidden_address_spoils_the_answer_wherever_it_stands() {
    let mut server = Server::answering(OK).await;
    for (answer, expected) in [
        (["127.0.0.1", "10.0.0.1"], Class::Private),
        (["169.254.169.254", "127.0.0.1"], Class::Metadata),
        (["127.0.0.1", "::ffff:192.168.0.1"], Class::Private),
        (["127.0.0.1", "fd00::1"], Class::UniqueLocal),
        (["127.0.0.1", "0.0.0.0"], Class::Unspecified),
    ] {
        let client = resolving(loopback(), Answers::of(&[&answer]));
        let error = client.send(get(server.named("hook.test"))).await;
        let error = error.unwrap_err();
        assert!(error.to_string().contains("hook.test leads to"), "{error}");
        assert_eq!(class_of(error), expected);
    }
    assert!(server.is_untouched());
}

#[tokio::test]
async fn a_name_without_addresses_or_with_too_many_is_refused() {
    let many = vec!["127.0.0.1"; 65];
    let client = resolving(loopback(), Answers::of(&[&[], &many]));
    for expected in [
        "it has no addresses",
        "it has 65 addresses",
        "no such name: hook.test",
    ] {
        let error = client.send(get("http://hook.test/")).await.unwrap_err();
        assert!(matches!(error, Error::NotSent(NotSent::Resolve { .. })));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_if_one_does_not_answer() {
    let server = Server::answering(OK).await;
    // Nothing listens at the port on the first two.
    let answers = Answers::of(&[&["127.0.0.2", "::1", "127.0.0.1"]]);
    let client = resolving(loopback(), answers);
    let response = client.send(get(server.named("hook.test"))).await.unwrap();
    assert_eq!(response.peer, server.address.ip());
}

#[tokio::test]
async fn redirects_are_returned_and_not_followed() {
    let mut private = Server::answering(OK).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Moved\r\ncontent-length: 0\r\n");
        let location = format!("location: {}\r\n\r\n", private.url("/secret"));
        let mut server = Server::answering(head + &location).await;
        let response = client().send(get(server.url("/"))).await.unwrap();
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(response.headers["location"], private.url("/secret"));
        server.request().await;
        assert!(server.is_untouched());
    }
    assert!(private.is_untouched());
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_as_meant_is_not_sent() {
    let mut server = Server::answering(OK).await;
    let mut request = get(server.url("/"));
    request
        .headers
        .insert("transfer-encoding", "chunked".parse().unwrap());
    let error = client().send(request).await.unwrap_err();
    assert!(matches!(error, Error::NotSent(NotSent::Header(_))));
    let error = client().send(get("ftp://127.0.0.1/")).await.unwrap_err();
    assert!(matches!(error, Error::NotSent(NotSent::Url(_))));
    assert!(server.is_untouched());
}

#[tokio::test]
async fn a_closed_port_is_told_as_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/?key=hush");
    let error = client().send(get(url)).await.unwrap_err();
    assert!(matches!(error, Error::NotSent(NotSent::Connect { .. })));
    let text = error.to_string();
    assert!(text.contains("refused") && !text.contains("hush"), "{text}");
}
