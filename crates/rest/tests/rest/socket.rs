//! What only shows on a real connection: bodies that are too large, slow, cut short or no text.

use std::net::SocketAddr;
use std::time::Duration;

use ringdown_rest::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{V1, World, within};

const HOST: &str = "platform.test";

fn head(method: &str, path: &str, key: &str, length: usize) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nX-CEKURA-API-KEY: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Everything the server sends until it closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = within("an answer and its end", stream.read_to_end(&mut answer)).await;
    read.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    rest(stream).await
}

#[track_caller]
fn json_of(answer: &str, status: u16) -> Value {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_all_of_it_was_sent() {
    let mut world = World::start().await;
    let address = world.listen().await;
    let mut request = head("POST", &format!("{V1}/aiagents/"), world.us.key(), 1 << 40);
    request.extend(vec![b' '; 1024 * 1024 + 1]);
    let answer = exchange(address, &request).await;
    let detail = json_of(&answer, 413)["detail"].to_string();
    assert!(detail.contains("1 MiB"), "{detail}");
    // A chunked body does not say how long it is.
    let request = String::from_utf8(head("POST", &format!("{V1}/aiagents/"), world.us.key(), 0))
        .unwrap()
        .replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, " ".repeat(64 * 1024));
    let mut request = request.into_bytes();
    request.extend(chunk.repeat(16).into_bytes());
    request.extend(b"1\r\n \r\n");
    json_of(&exchange(address, &request).await, 413);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_read_and_one_cut_short_stores_nothing() {
    let mut world = World::start().await;
    let address = world.listen().await;
    let body = json!({"agent_name": "slow", "inbound": false}).to_string();
    let path = format!("{V1}/aiagents-external/");
    let mut request = head("POST", &path, world.us.key(), body.len());
    request.extend(body.as_bytes());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in &request {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let made = json_of(&rest(stream).await, 201);
    assert_eq!(made["agent_name"], "slow");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(&request[..request.len() - 1])
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let answer = rest(stream).await;
    let detail = json_of(&answer, 400)["detail"].to_string();
    assert!(detail.contains("did not arrive whole"), "{detail}");
    let agents = world.us.get(&format!("{V1}/aiagents/")).await;
    assert_eq!(agents["count"], 1, "the whole request only");
    world.close().await;
}

/// The reference's sample script names all runs of its batch in one request line.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_is_read_in_one_request() {
    let mut world = World::start().await;
    let address = world.listen().await;
    let ids: Vec<String> = (1_000_000..1_005_000).map(|id| id.to_string()).collect();
    let path = format!("{V1}/runs/bulk/?run_ids={}", ids.join(","));
    let request = head("GET", &path, world.us.key(), 0);
    assert_eq!(json_of(&exchange(address, &request).await, 200), json!([]));
    world.close().await;
}

/// Whatever bytes arrive, they are answered or their connection is closed, and the next client is
/// served.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_harm_nobody() {
    let mut world = World::start().await;
    let address = world.listen().await;
    let key = world.us.key().to_owned();
    let agents = format!("{V1}/aiagents/");
    let with_body = |body: &[u8]| [head("POST", &agents, &key, body.len()), body.to_vec()].concat();
    let with_key = |key: &[u8]| {
        let request = String::from_utf8(head("GET", &agents, "SECRET", 0)).unwrap();
        let (before, after) = request.split_once("SECRET").unwrap();
        [before.as_bytes(), key, after.as_bytes()].concat()
    };
    for (request, status) in [
        (with_body(b"\xff\xfe{}"), 400),
        (
            with_body(b"{\"agent_name\": \"\xc3\x28\", \"inbound\": false}"),
            400,
        ),
        (with_key(b"\xff\xfe"), 401),
        (with_key(b"r\xc3\xa9"), 401),
        (with_key(b""), 401),
        (head("GET", &format!("{V1}/runs/%FF%FE/"), &key, 0), 404),
        (
            head("GET", &format!("{V1}/scenarios/?folder_path=%FF"), &key, 0),
            200,
        ),
        (head("BREW", &agents, &key, 0), 405),
        (head("OPTIONS", &agents, &key, 0), 405),
    ] {
        json_of(&exchange(address, &request).await, status);
    }
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n".to_vec(),
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        head("GET", &format!("/{}", "x".repeat(100_000)), &key, 0),
        [
            &b"GET / HTTP/1.1\r\nX: "[..],
            &vec![b'x'; 1 << 20],
            b"\r\n\r\n",
        ]
        .concat(),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close before it has read everything.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = within("the connection ends", stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1."),
            "{answer}"
        );
        assert!(
            !answer.contains(" 200 ") && !answer.contains(" 500 "),
            "{answer}"
        );
    }
    let page = json_of(
        &exchange(address, &head("GET", &agents, &key, 0)).await,
        200,
    );
    assert_eq!(page["count"], 0);
    // A HEAD is a GET without its body.
    let answer = exchange(address, &head("HEAD", &agents, &key, 0)).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    world.close().await;
}

/// A client that sends its body a byte at a time, or not at all, is told so in time and its connection
/// is closed, while others are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_frees_its_connection() {
    let limits = Limits {
        body: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut world = World::start_with(limits).await;
    let address = world.listen().await;
    let path = format!("{V1}/aiagents/");
    let request = head("POST", &path, world.us.key(), 1000);
    // Without this header the server still does not wait for what is left.
    let kept = String::from_utf8(request.clone())
        .unwrap()
        .replace("Connection: close\r\n", "")
        .into_bytes();
    for (request, trickles) in [(&request, true), (&kept, true), (&kept, false)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.write_all(b"{\"agent_name\": \"").await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let trickle = tokio::spawn(async move {
            while trickles && write.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            write
        });
        let mut answer = Vec::new();
        // A client that still writes when its connection closes may hear of a reset at the end.
        let _ = within("the connection ends", read.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).unwrap();
        let detail = json_of(&answer, 408)["detail"].to_string();
        assert!(detail.contains("0.3 s"), "{detail}");
        within("writing fails", trickle).await.unwrap();
        exchange(address, &head("GET", &path, world.us.key(), 0)).await;
    }
    assert_eq!(world.us.get(&path).await["count"], 0);
    world.close().await;
}

/// More headers than anybody needs, and a long one.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_refused() {
    let mut world = World::start().await;
    let address = world.listen().await;
    let path = format!("{V1}/aiagents/");
    let request = String::from_utf8(head("GET", &path, world.us.key(), 0)).unwrap();
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(200 * 1024));
    for flood in [many, long] {
        let request = request.replacen("Host:", &format!("{flood}Host:"), 1);
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = within("the connection ends", stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
            "{answer}"
        );
    }
    json_of(&exchange(address, request.as_bytes()).await, 200);
    world.close().await;
}
