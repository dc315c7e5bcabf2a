//! What a failure says about the request, and what it never says.

use std::time::{Duration, Instant};

use ringdown_api::RunScenarios;
use ringdown_client::{ApiKey, Client, Error, Kind, Options};
use tokio::net::TcpListener;

use crate::peer::{Answer, KEY, Peer, answer, client};

/// What triggering runs came to; nothing but the answer is ever right.
async fn triggering(client: &Client) -> Error {
    client
        .run_scenarios(&RunScenarios::default())
        .await
        .unwrap_err()
}

/// The failure of a trigger at a service that answers so, and how often it was asked.
async fn failure(answer: Answer) -> (Error, usize) {
    let mut peer = Peer::new([answer]).await;
    let error = triggering(&peer.patient_client(Duration::from_secs(5))).await;
    assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
    let requests = peer.requests();
    assert!(requests.iter().all(|request| request.contains(KEY)));
    (error, requests.len())
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = triggering(&client(address, Duration::ZERO)).await;
    assert!(matches!(error.kind, Kind::NotSent(_)), "{error}");
    assert!(error.is_safe_to_retry());
}

#[tokio::test]
async fn a_request_that_was_not_answered_is_ambiguous_and_not_repeated() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":";
    for unanswered in [
        Answer::Reset,
        Answer::Close,
        Answer::Raw("HTTP/1.1 200".to_owned()),
        Answer::Raw(cut.to_owned()),
        Answer::Raw("no http at all\r\n\r\n".to_owned()),
    ] {
        let (error, requests) = failure(unanswered).await;
        assert!(matches!(error.kind, Kind::Ambiguous(_)), "{error}");
        assert!(!error.is_safe_to_retry());
        assert_eq!((error.status(), requests), (None, 1));
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_is_not_waited_for_forever() {
    let mut peer = Peer::new([Answer::Silence]).await;
    let options = Options {
        request_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let base = format!("http://{}", peer.address);
    let client = Client::new(&base, &ApiKey::new(KEY), options).unwrap();
    let error = triggering(&client).await;
    assert!(matches!(error.kind, Kind::Ambiguous(_)), "{error}");
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn a_status_says_whether_the_request_had_an_effect() {
    for status in [301, 302, 307, 400, 401, 403, 404, 405, 409, 413, 422] {
        let reply = answer(&format!("{status} X"), "", "{\"detail\":\"because\"}");
        let (error, requests) = failure(reply).await;
        let Kind::Rejected { body, .. } = &error.kind else {
            panic!("{status}: {error}")
        };
        assert!(body.contains("because"));
        assert_eq!((error.status(), requests), (Some(status), 1));
        assert!(!error.is_safe_to_retry());
    }
    for status in [500, 502, 503, 504] {
        let (error, requests) = failure(answer(&format!("{status} X"), "", "why")).await;
        assert!(matches!(error.kind, Kind::Ambiguous(_)), "{error}");
        assert!(error.to_string().contains("why") && !error.is_safe_to_retry());
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_service_that_asks_to_slow_down_is_understood() {
    let most = Duration::from_secs(u64::MAX);
    for (header, expected) in [
        ("", None),
        ("Retry-After: 7\r\n", Some(Duration::from_secs(7))),
        ("Retry-After: 0\r\n", Some(Duration::ZERO)),
        ("Retry-After: soon\r\n", None),
        ("Retry-After: -1\r\n", None),
        ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", None),
        ("Retry-After: 18446744073709551615\r\n", Some(most)),
    ] {
        let (error, requests) = failure(answer("429 Too Many Requests", header, "")).await;
        let Kind::Throttled { retry_after } = error.kind else {
            panic!("{error}")
        };
        assert_eq!((retry_after, requests), (expected, 1), "{header}");
        assert!(error.is_safe_to_retry());
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_understood_leaves_a_trigger_unrepeated() {
    let long = "x".repeat(100_000);
    for body in [
        "<html>",
        "",
        "[]",
        "{\"id\":\"seven\",\"runs\":[]}",
        long.as_str(),
    ] {
        let (error, requests) = failure(answer("200 OK", "", body)).await;
        assert!(matches!(error.kind, Kind::Malformed(_)), "{error}");
        assert!(!error.is_safe_to_retry());
        assert!(error.to_string().len() < 1000, "{error}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        let peer = Peer::new([Answer::Flood(head)]).await;
        let error = triggering(&peer.client()).await;
        assert!(error.to_string().contains("larger than"), "{error}");
        let refused = head.contains("400");
        assert_eq!(error.status(), refused.then_some(400), "{error}");
        assert!(!error.is_safe_to_retry());
        // What fits into the buffers between comes on top of what was read.
        assert!(peer.flooded() < 48 << 20, "{} bytes", peer.flooded());
    }
}

#[tokio::test]
async fn a_key_does_not_follow_a_redirect() {
    for status in [301, 302, 303, 307, 308] {
        let mut elsewhere = Peer::new([answer("200 OK", "", "{}")]).await;
        let location = format!("Location: http://{}/\r\n", elsewhere.address);
        let mut peer = Peer::new([answer(&format!("{status} Moved"), &location, "")]).await;
        let error = peer.client().agent(1).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert_eq!(peer.requests().len(), 1);
        assert!(elsewhere.requests().is_empty());
    }
}

#[tokio::test]
async fn a_key_is_never_shown() {
    let echo = format!("{{\"detail\":\"{}invalid key {KEY}\"}}", "x".repeat(290));
    let wrong = format!("{{\"id\":\"{KEY}\",\"runs\":[]}}");
    for reply in [
        answer("401 Unauthorized", "", &format!("invalid key {KEY}")),
        answer("401 Unauthorized", "", &echo),
        answer("500 Internal Server Error", "", &format!("{KEY}{KEY}")),
        answer("200 OK", "", &wrong),
        answer("200 OK", "", KEY),
    ] {
        // Checks that the text is free of the key.
        let (error, _) = failure(reply).await;
        assert!(!error.to_string().contains("sk-very"), "{error}");
    }
    let key = ApiKey::new(KEY);
    let client = Client::new("http://127.0.0.1:1", &key, Options::default()).unwrap();
    assert!(!format!("{key:?} {client:?}").contains(KEY));
    let broken = ApiKey::new(format!("{KEY}\n"));
    let error = Client::new("http://127.0.0.1:1", &broken, Options::default()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(KEY));
}

#[test]
fn an_address_that_cannot_be_used_is_refused_without_showing_a_password() {
    for (base, words) in [
        ("", "relative URL"),
        ("example.com", "relative URL"),
        ("ftp://example.com", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http://", "empty host"),
        ("https://user:hunter2@example.com", "user name or password"),
        ("https://user@example.com/", "user name or password"),
        ("https://user:hunter2@exa mple.com", "invalid"),
    ] {
        let key = ApiKey::new(KEY);
        let error = Client::new(base, &key, Options::default()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(words), "{base}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(matches!(error.kind, Kind::NotSent(_)));
    }
}

#[tokio::test]
async fn reads_are_tried_again_until_they_succeed() {
    let good = answer("200 OK", "", "{\"id\":1}");
    let mut peer = Peer::new([
        Answer::Reset,
        answer("503 Service Unavailable", "", ""),
        answer("429 Too Many Requests", "Retry-After: 1\r\n", ""),
        good,
    ])
    .await;
    let begun = Instant::now();
    let agent = peer.patient_client(Duration::from_secs(60)).agent(1).await;
    assert_eq!(agent.unwrap().id, 1);
    assert_eq!(peer.requests().len(), 4);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "did not slow down"
    );
}

#[tokio::test]
async fn reads_are_not_tried_again_where_that_cannot_help() {
    for reply in [
        answer("404 Not Found", "", ""),
        answer("200 OK", "", "not json"),
        answer("429 Too Many Requests", "Retry-After: 3600\r\n", ""),
        answer(
            "429 Too Many Requests",
            "Retry-After: 18446744073709551615\r\n",
            "",
        ),
    ] {
        let mut peer = Peer::new([reply]).await;
        let client = peer.patient_client(Duration::from_secs(60));
        client.agent(1).await.unwrap_err();
        assert_eq!(peer.requests().len(), 1);
    }
}

#[tokio::test]
async fn reads_are_given_up_at_their_deadline_and_do_not_hammer() {
    for header in ["", "Retry-After: 0\r\n"] {
        let mut peer = Peer::new([answer("429 Too Many Requests", header, "")]).await;
        let client = peer.patient_client(Duration::from_millis(800));
        let begun = Instant::now();
        let error = client.agent(1).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Throttled { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        let tries = peer.requests().len();
        assert!((2..=8).contains(&tries), "{tries} tries in 0.8 s");
    }
}
