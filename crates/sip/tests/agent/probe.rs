//! OPTIONS, from the side that asks.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use ringdown_sip::ProbeError;

use crate::support::*;

#[tokio::test]
async fn an_endpoint_answers_and_keeps_nothing_of_it() {
    let (asking, _) = endpoint().await;
    let (asked, _incoming) = endpoint().await;
    for _ in 0..3 {
        let probed = asking.probe(asked.local_addr(), PATIENCE).await.unwrap();
        assert_eq!(probed.status, 200);
        assert!(probed.took < PATIENCE);
    }
    assert_eq!((asking.stats().dialogs, asked.stats().dialogs), (0, 0));
    assert_eq!(
        (asked.stats().invites, asked.stats().malformed_datagrams),
        (0, 0)
    );
}

#[tokio::test]
async fn silence_is_asked_again_and_given_up_at_the_deadline() {
    let (asking, _) = endpoint().await;
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = silent.local_addr().unwrap();
    let deadline = Duration::from_millis(1_800);
    let begun = Instant::now();
    let error = asking.probe(target, deadline).await.unwrap_err();
    assert!(matches!(error, ProbeError::NoAnswer { .. }), "{error}");
    assert!(begun.elapsed() >= deadline && begun.elapsed() < PATIENCE);
    // At once, after 500 ms and after 1.5 s: a lost datagram is not taken for silence.
    silent.set_nonblocking(true).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 2_048];
    while let Ok(length) = silent.recv(&mut buffer) {
        received.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    assert!(received.len() > 1, "{received:?}");
    assert!(received.iter().all(|text| text == &received[0]));
    let first = format!("OPTIONS sip:{target} SIP/2.0\r\n");
    assert!(received[0].starts_with(&first), "{}", received[0]);
}

#[tokio::test]
async fn what_is_no_address_is_not_asked() {
    let (asking, _) = endpoint().await;
    for target in ["0.0.0.0:5060", "127.0.0.1:0", "[::]:5060"] {
        let error = asking.probe(target.parse().unwrap(), PATIENCE).await;
        assert!(
            matches!(error, Err(ProbeError::NotSent { .. })),
            "{error:?}"
        );
    }
    let (asked, _incoming) = endpoint().await;
    asking.shutdown(Duration::ZERO).await;
    let error = asking.probe(asked.local_addr(), PATIENCE).await;
    assert!(
        matches!(error, Err(ProbeError::NotSent { .. })),
        "{error:?}"
    );
}
