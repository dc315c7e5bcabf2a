//! A dialer that is killed dials nothing twice, and the run says what happened.

use std::path::Path;
use std::time::{Duration, Instant};

use ringdown_bus::Stream;
use ringdown_domain::dial::Stage;
use ringdown_domain::run::Status;
use ringdown_proto::v1::dial_fact::Step;
use ringdown_proto::v1::envelope::Fact;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Bench, Facts, Server, attempts, script, set_window, soon};

/// Seconds that a run may be dialed: longer than it takes to notice that a dialer is gone.
const WINDOW: u64 = 40;

/// Everything but the dialer, and an agent that is dialed through the route `own`.
async fn platform(folder: &Path) -> (Server, Bench) {
    let arguments = [
        "serve",
        "platform",
        "testing-agent",
        "scoring",
        "--http-listen",
        "127.0.0.1:0",
        "--sip-listen",
        "127.0.0.1:0",
        "--voice",
        "tone",
    ];
    let server = Server::start(&folder.join("platform"), &arguments).await;
    set_window(&server.client, WINDOW).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;
    (server, bench)
}

async fn dialer(folder: &Path, nats_url: &str, route: &str) -> Server {
    let route = format!("own={route}");
    let arguments = [
        "serve",
        "dialer",
        "--nats-url",
        nats_url,
        "--dial-route",
        &route,
    ];
    Server::start(folder, &arguments).await
}

/// A route that tells of every call through a named pipe and stays on the line.
struct Calls {
    route: String,
    told: BufReader<pipe::Receiver>,
}

impl Calls {
    fn new(folder: &Path) -> Self {
        let path = folder.join("calls");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        // Open for writing too: so that the pipe never ends, and the first caller need not wait.
        let told = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&path)
            .unwrap();
        let command = folder.join("call.sh");
        let body = format!(
            "echo \"$RINGDOWN_RUN_ID $$\" > '{}'\nexec sleep 300",
            path.display()
        );
        script(&command, &body);
        Self {
            route: format!("exec:'{}'", command.display()),
            told: BufReader::new(told),
        }
    }

    /// The run of the next call, and the process that makes it.
    async fn next(&mut self) -> (i64, i32) {
        let mut line = String::new();
        soon("a call", self.told.read_line(&mut line))
            .await
            .unwrap();
        let (run, pid) = line.trim().split_once(' ').unwrap();
        (run.parse().unwrap(), pid.parse().unwrap())
    }

    /// Asserts that nobody has called since.
    fn none_left(mut self) {
        let more = self.told.get_mut().try_read(&mut [0; 64]);
        assert!(
            self.told.buffer().is_empty() && more.is_err(),
            "a second call"
        );
    }
}

/// Asserts that a dialer killed then was noticed within the stated time, and what a loaded machine may add.
fn noticed(killed: Instant) {
    let took = killed.elapsed();
    println!("noticed {took:?} after the kill");
    assert!(took < Duration::from_secs(15 + 5), "{took:?}");
}

/// The steps of the only dial attempt, until it is closed.
async fn dial_steps(url: &str) -> Vec<Step> {
    let mut facts = Facts::open(url, Stream::Dials).await;
    let mut steps = Vec::new();
    loop {
        let Some(Fact::Dial(dial)) = facts.next().await.envelope.fact else {
            continue;
        };
        let last = dial.stage().is_some_and(Stage::is_final);
        steps.extend(dial.step);
        if last {
            return steps;
        }
    }
}

#[tokio::test]
async fn a_dialer_killed_after_it_dialed_does_not_make_another_dial_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut calls = Calls::new(folder.path());
    let (server, bench) = platform(folder.path()).await;
    let nats = server.ready.nats_url.clone();
    let first = dialer(&folder.path().join("first"), &nats, &calls.route).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;

    let (called, caller) = calls.next().await;
    first.signal(Signal::KILL);
    let killed = Instant::now();
    first.ended().await;
    let second = dialer(&folder.path().join("second"), &nats, &calls.route).await;

    assert_eq!(called, run);
    let steps = dial_steps(&nats).await;
    noticed(killed);
    let Some(Step::Settled(settled)) = steps.last() else {
        panic!("{steps:?}");
    };
    assert_eq!(settled.outcome, "unknown", "{settled:?}");
    let (fact, status) = facts.ended(run).await;
    assert_eq!(status, Status::Timeout);
    assert!(
        fact.error_message.contains("not dialed again"),
        "{}",
        fact.error_message
    );
    let rows = attempts(&server, run).await;
    assert!(rows.iter().any(|row| row["kind"] == "dial"), "{rows:?}");
    calls.none_left();
    let caller = rustix::process::Pid::from_raw(caller).unwrap();
    rustix::process::kill_process(caller, Signal::KILL).unwrap();
    second.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_dialer_killed_before_it_began_to_dial_leaves_its_run_to_an_heir() {
    let folder = tempfile::tempdir().unwrap();
    let mut calls = Calls::new(folder.path());
    let (server, bench) = platform(folder.path()).await;
    let nats = server.ready.nats_url.clone();
    let mut gate = Gate::before_the_first_dial_fact(&nats).await;
    let first = dialer(&folder.path().join("first"), &gate.url, &calls.route).await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;

    soon("the intention", gate.closed.wait_for(|closed| *closed))
        .await
        .unwrap();
    first.signal(Signal::KILL);
    let killed = Instant::now();
    first.ended().await;
    let second = dialer(&folder.path().join("second"), &nats, &calls.route).await;

    let (called, caller) = calls.next().await;
    noticed(killed);
    assert_eq!(called, run);
    let caller = rustix::process::Pid::from_raw(caller).unwrap();
    rustix::process::kill_process(caller, Signal::KILL).unwrap();
    let steps = dial_steps(&nats).await;
    let began = |step: &Step| matches!(step, Step::Intended(step) if !step.fence);
    assert_eq!(steps.iter().filter(|step| began(step)).count(), 1);
    // The command was killed, so nobody knows whether it called.
    assert!(
        matches!(steps.last(), Some(Step::Ambiguous(_))),
        "{steps:?}"
    );
    calls.none_left();
    second.stop().await;
    server.stop().await;
}

/// A way to the bus that shuts as soon as the client wants to say anything about a dial.
struct Gate {
    url: String,
    closed: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Gate {
    async fn before_the_first_dial_fact(nats_url: &str) -> Self {
        let (credentials, server) = nats_url.rsplit_once('@').unwrap();
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{credentials}@{}", listener.local_addr().unwrap());
        let (shut, closed) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                connections.spawn(pass(client, server, shut.clone()));
            }
        });
        Self { url, closed, task }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, shut: watch::Sender<bool>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let down = tokio::io::copy(&mut from_server, &mut to_client);
    let up = async {
        const PUBLISH: &[u8] = b"PUB rd.v1.dial.";
        let (mut buffer, mut tail, mut seen) = (vec![0; 65_536], Vec::new(), 0);
        loop {
            let read = from_client.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            // What was seen of the last chunk may be the beginning of a match.
            tail.extend_from_slice(&buffer[..read]);
            seen += tail
                .windows(PUBLISH.len())
                .filter(|w| *w == PUBLISH)
                .count();
            tail.drain(..tail.len().saturating_sub(PUBLISH.len() - 1));
            if seen > 0 {
                shut.send_replace(true);
            }
            if *shut.borrow() {
                std::future::pending::<()>().await;
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = down => {}
        () = up => {}
    }
}
