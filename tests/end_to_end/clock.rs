//! A server whose clock is set while it works. Only wall time moves: that is what an operator, a virtual machine
//! or a time server can do to a process.

use std::path::{Path, PathBuf};

use ringdown_domain::run::Status;
use serde_json::{Value, json};

use crate::support::{Bench, Server, ask, assert_scored, ringdown, set_window, verdicts};

const HOUR: i64 = 3600;

/// The library that moves a process's clock.
fn library() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").unwrap().find_map(|folder| {
        let library = folder.unwrap().path().join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    found.expect("libfaketime is missing: run `make tools-test`")
}

/// A server with a clock of its own.
struct Clocked {
    server: Server,
    clock: PathBuf,
}

impl Clocked {
    async fn up(folder: &Path, extra: &[&str]) -> Self {
        let clock = folder.join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let mut arguments = vec!["up", "--http-listen", "127.0.0.1:0"];
        arguments.extend(["--sip-listen", "127.0.0.1:0"]);
        arguments.extend(extra);
        let mut command = ringdown(&arguments);
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let server = Server::announced(folder, &arguments, command).await;
        Self { server, clock }
    }

    /// Sets the server's clock this many seconds from the true time.
    fn set(&self, seconds: i64) {
        // Whole at once: the server reads the file whenever it wants to know the time.
        let new = self.clock.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}")).unwrap();
        std::fs::rename(&new, &self.clock).unwrap();
    }

    async fn ask(&self, method: &str, path: &str, key: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.server.ready.http_url);
        let (status, body) = ask(method, &url, key, &body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

/// The moment, so many seconds from now.
fn from_now(seconds: i64) -> String {
    let at = ringdown_bus::now().as_micros() + seconds * 1_000_000;
    jiff::Timestamp::from_microsecond(at).unwrap().to_string()
}

#[tokio::test]
async fn calls_and_queue_go_on_when_the_clock_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let extra = [
        "--parallel-calls",
        "1",
        "--dial-route",
        "own=sip:local?seconds=30",
    ];
    let clocked = Clocked::up(folder.path(), &extra).await;
    let client = &clocked.server.client;
    let bench = Bench::build(client, 2, Some("own")).await;
    let mut facts = clocked.server.transitions().await;
    let runs = bench.trigger(client, 1).await.runs;
    facts.until(runs[0].id, Status::InProgress).await;

    clocked.set(-HOUR);

    let again = bench.trigger(client, 1).await.runs;
    let (mut held, mut left) = (0, 4);
    facts = clocked.server.transitions().await;
    while left > 0 {
        match facts.transition().await.1 {
            Status::Pending => held += 1,
            Status::Evaluating => held -= 1,
            status if status.is_terminal() => left -= 1,
            _ => {}
        }
        assert!(held <= 1, "{held} runs hold a slot");
    }
    for run in runs.iter().chain(&again) {
        let ended = client.run(run.id).await.unwrap();
        assert_scored(&ended, folder.path());
        assert_eq!(verdicts(&clocked.server, run.id).await, ["matched"]);
    }
    clocked.server.stop().await;
}

#[tokio::test]
async fn what_expires_does_so_by_the_clock_wherever_it_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let clocked = Clocked::up(folder.path(), &["--voice", "tone"]).await;
    let client = &clocked.server.client;
    set_window(client, 300).await;
    let bench = Bench::build(client, 1, None).await;
    let admin = clocked.server.ready.admin_key.clone();
    let body = json!({"name": "short", "role": "viewer", "expires_at": from_now(2 * HOUR)});
    let (status, key) = clocked
        .ask("POST", "/ringdown/v1/keys/", &admin, body)
        .await;
    assert_eq!(status, 201, "{key}");
    let key = key["key"].as_str().unwrap();
    let triggered = bench.trigger(client, 1).await;
    let (result, run) = (triggered.id, triggered.runs[0].id);
    let mut facts = clocked.server.transitions().await;
    facts.until(run, Status::Pending).await;
    let create = format!("/test_framework/v1/results/{result}/create_shareable_link_token/");
    let body = json!({"expire_at": from_now(2 * HOUR)});
    let (status, link) = clocked.ask("POST", &create, &admin, body).await;
    assert!((200..300).contains(&status), "{link}");
    let link = format!("/ringdown/v1/shared/{}/", link["token"].as_str().unwrap());

    for (hours, status) in [(-24, 200), (0, 200), (3, 404)] {
        clocked.set(hours * HOUR);
        let (answer, shown) = clocked.ask("GET", &link, "", Value::Null).await;
        assert_eq!(answer, status, "the link at {hours} h: {shown}");
        let by_key = if status == 200 { 200 } else { 401 };
        let listed = clocked.ask("GET", "/test_framework/v1/results/", key, Value::Null);
        assert_eq!(listed.await.0, by_key, "the key at {hours} h");
    }

    // The hours that the clock was ahead closed the window, and said what came: nothing.
    let (fact, status) = facts.ended(run).await;
    assert_eq!(status, Status::Timeout, "{}", fact.error_message);
    assert!(!fact.error_message.is_empty());
    clocked.server.stop().await;
}
