//! Starting, ending, and starting again.

use std::time::Duration;

use ringdown_bus::Stream;
use ringdown_domain::run::Status;
use ringdown_proto::v1::call_fact::Step;
use ringdown_proto::v1::envelope::Fact;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Bench, Facts, Server, assert_scored, soon};

/// One plain request; the answer's head and body.
async fn get(server: &Server, path: &str) -> String {
    let address = server.ready.http_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn a_ready_server_says_so_and_shows_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up(folder.path(), &["--voice", "tone"]).await;

    assert!(server.ready.ready);
    assert!(server.ready.http_url.starts_with("http://127.0.0.1:"));
    assert!(server.ready.sip_uri.starts_with("sip:127.0.0.1:"));
    assert!(server.ready.nats_url.starts_with("nats://"));
    assert!(!server.ready.admin_key.is_empty());
    for path in ["/healthz", "/readyz"] {
        let answer = get(&server, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let metrics = get(&server, "/metrics").await;
    assert!(metrics.contains("# TYPE ringdown_"), "{metrics}");
    assert!(!metrics.contains(&server.ready.admin_key));
    server.stop().await;
}

#[tokio::test]
async fn a_live_call_finishes_before_the_server_ends_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let extra = ["--dial-route", "own=sip:local?seconds=30"];
    let server = Server::up(folder.path(), &extra).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::InProgress).await;
    let key = server.ready.admin_key.clone();

    server.signal(Signal::TERM);

    let (ended, log) = server.ended().await;
    assert!(ended.success(), "{ended}: {log}");
    let again = Server::up(folder.path(), &extra).await;
    assert_eq!(again.ready.admin_key, key);
    // What happened until the end was published, and what was still to be done is done now.
    again
        .transitions()
        .await
        .until(run, Status::Completed)
        .await;
    let run = again.client.run(run).await.unwrap();
    assert_scored(&run, folder.path());
    assert_eq!(run.success, Some(true));
    again.stop().await;
}

#[tokio::test]
async fn a_call_that_does_not_end_is_ended_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let extra = [
        "--dial-route",
        "own=sip:local?seconds=120",
        "--drain-seconds",
        "0",
    ];
    let server = Server::up(folder.path(), &extra).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::InProgress).await;

    server.signal(Signal::TERM);

    let (ended, log) = server.ended().await;
    assert!(ended.success(), "{ended}: {log}");
    let again = Server::up(folder.path(), &extra).await;
    let (fact, status) = again.transitions().await.ended(run).await;
    assert!(
        matches!(status, Status::Completed | Status::Failed),
        "{status}: {}",
        fact.error_message
    );
    again.stop().await;
}

#[tokio::test]
async fn a_cancelled_run_is_hung_up_and_frees_its_slot() {
    let folder = tempfile::tempdir().unwrap();
    let extra = [
        "--parallel-calls",
        "1",
        "--dial-route",
        "own=sip:local?seconds=120",
    ];
    let server = Server::up(folder.path(), &extra).await;
    let bench = Bench::build(&server.client, 2, Some("own")).await;
    let mut facts = server.transitions().await;
    let runs = bench.trigger(&server.client, 1).await.runs;
    facts.until(runs[0].id, Status::InProgress).await;

    server.client.end_call(runs[0].id).await.unwrap();

    let (fact, status) = facts.ended(runs[0].id).await;
    assert_eq!(status, Status::Cancelled);
    assert!(
        fact.error_message.contains("by a user"),
        "{}",
        fact.error_message
    );
    facts.until(runs[1].id, Status::InProgress).await;
    let mut calls = Facts::open(&server.ready.nats_url, Stream::Calls).await;
    loop {
        let Some(Fact::Call(call)) = calls.next().await.envelope.fact else {
            continue;
        };
        if let (true, Some(Step::Ended(ended))) = (call.run_id == runs[0].id, call.step) {
            assert!(ended.duration_ms < 60_000, "{ended:?}");
            break;
        }
    }
    server.client.end_calls(1).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let extra = [
        "--dial-route",
        "own=sip:local?seconds=120",
        "--drain-seconds",
        "600",
    ];
    let server = Server::up(folder.path(), &extra).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::InProgress).await;

    server.signal(Signal::TERM);
    // Not ready any more: the first signal was taken in.
    while get(&server, "/readyz").await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    server.signal(Signal::TERM);

    let (ended, log) = server.ended().await;
    assert_eq!(ended.code(), Some(130), "{log}");
}

#[tokio::test]
async fn a_killed_server_leaves_no_bus_behind_and_its_runs_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let extra = ["--voice", "tone", "--parallel-calls", "1"];
    let server = Server::up(folder.path(), &extra).await;
    let bench = Bench::build(&server.client, 2, None).await;
    let mut facts = server.transitions().await;
    let runs = bench.trigger(&server.client, 1).await.runs;
    facts.until(runs[0].id, Status::Pending).await;
    drop(facts);
    let (_, bus) = server.ready.nats_url.rsplit_once('@').unwrap();
    let bus = bus.to_owned();

    server.signal(Signal::KILL);
    server.ended().await;

    soon("the end of the bus", async {
        while TcpStream::connect(&bus).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let again = Server::up(folder.path(), &extra).await;
    let states: Vec<String> = again
        .client
        .runs_bulk(&[runs[0].id, runs[1].id])
        .await
        .unwrap()
        .iter()
        .map(|run| run.status.to_string())
        .collect();
    assert_eq!(states, ["pending", "in_queue"]);
    let mut facts = again.transitions().await;
    again.client.end_call(runs[0].id).await.unwrap();
    facts.until(runs[1].id, Status::Pending).await;
    again.stop().await;
}
