//! Rates: of a key, and of an address that sends wrong keys.

use ringdown_api::API_KEY_HEADER;
use ringdown_rest::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{OWN, V1, World, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let limits = Limits {
        requests_per_minute: 60,
        failures_per_minute: 100,
        ..Limits::default()
    };
    let world = World::start_with(limits).await;
    let us = &world.us;
    let slow = json!({"name": "slow", "rate_per_minute": 1});
    let slow = us.post(&format!("{OWN}/keys/"), slow).await;
    let slow = us.with_key(slow["key"].as_str());
    let agents = format!("{V1}/aiagents/");
    slow.get(&agents).await;
    let answer = slow.try_get(&agents).await;
    let wait: u64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    let told = answer.refused(429);
    assert!(told.contains("1 requests a minute"), "{told}");
    assert!(told.contains(&format!("{wait} s")), "{told}");
    // Refused before anything is done, whatever it is.
    let body = json!({"agent_name": "x", "inbound": true});
    slow.ask("POST", &agents, &body).await.refused(429);
    let mut answered = 0;
    while us.try_get(&agents).await.status == 200 {
        answered += 1;
        assert!(answered < 1000, "no limit");
    }
    assert!(answered >= 8, "{answered}");
    world.them.get(&agents).await;
    world.close().await;
}

/// Sends one request over a socket; the status.
async fn status(address: std::net::SocketAddr, key: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {V1}/aiagents/ HTTP/1.1\r\nHost: x\r\n{API_KEY_HEADER}: {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_wrong_keys_is_stopped_and_known_keys_go_on_there() {
    let limits = Limits {
        requests_per_minute: 100_000,
        failures_per_minute: 5,
        ..Limits::default()
    };
    let mut world = World::start_with(limits).await;
    let address = world.listen().await;
    let (us, them) = (world.us.key().to_owned(), world.them.key().to_owned());
    assert_eq!(status(address, &us).await, 200);
    let mut refused = Vec::new();
    for guess in 0..7 {
        refused.push(status(address, &format!("rd_guess{guess}")).await);
    }
    assert_eq!(refused, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(status(address, &us).await, 200, "it was seen to be right");
    assert_eq!(status(address, &them).await, 429, "it may be a guess");
    world.close().await;
}
