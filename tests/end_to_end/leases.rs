//! A testing agent that is killed in the middle of a call frees its slot within the stated time.

use std::path::Path;
use std::time::{Duration, Instant};

use ringdown_bus::Stream;
use ringdown_domain::run::Status;
use ringdown_proto::v1::call_fact::Step;
use ringdown_proto::v1::envelope::Fact;
use rustix::process::Signal;

use crate::support::{Bench, Facts, Server, soon};

/// The stated time, `docs/operating.md`: a lease of 12 s and a look every 3 s.
const STATED: Duration = Duration::from_secs(15);

/// What a loaded machine may add to it.
const SLACK: Duration = Duration::from_secs(5);

/// A testing agent in a process of its own.
async fn testing_agent(folder: &Path, nats_url: &str) -> Server {
    let arguments = [
        "serve",
        "testing-agent",
        "--nats-url",
        nats_url,
        "--sip-listen",
        "127.0.0.1:0",
        "--voice",
        "tone",
    ];
    Server::start(folder, &arguments).await
}

/// The rest of the deployment, one call at a time.
async fn platform(folder: &Path) -> Server {
    let arguments = [
        "serve",
        "platform",
        "scoring",
        "--http-listen",
        "127.0.0.1:0",
        "--parallel-calls",
        "1",
    ];
    Server::start(folder, &arguments).await
}

/// Makes the agent under test call this address for two minutes.
async fn dialer(folder: &Path, nats_url: &str, sip: &str) -> Server {
    let route = format!("own=sip:{sip}?seconds=120");
    let arguments = [
        "serve",
        "dialer",
        "--nats-url",
        nats_url,
        "--drain-seconds",
        "0",
        "--dial-route",
        &route,
    ];
    Server::start(folder, &arguments).await
}

/// Waits until the call of a run was answered.
async fn answered(nats_url: &str, run: i64) {
    let mut calls = Facts::open(nats_url, Stream::Calls).await;
    loop {
        if let Some(Fact::Call(call)) = calls.next().await.envelope.fact
            && call.run_id == run
            && matches!(call.step, Some(Step::Answered(_)))
        {
            return;
        }
    }
}

#[tokio::test]
async fn a_killed_testing_agent_frees_its_slot_within_the_stated_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("platform");
    let server = platform(&data).await;
    let nats = server.ready.nats_url.clone();
    let agent = testing_agent(&data, &nats).await;
    let dialer = dialer(&folder.path().join("dialer"), &nats, agent.sip()).await;
    let bench = Bench::build(&server.client, 2, Some("own")).await;
    let mut facts = server.transitions().await;
    let runs = bench.trigger(&server.client, 1).await.runs;
    let first = runs[0].id;
    facts.until(first, Status::InProgress).await;
    answered(&nats, first).await;

    agent.signal(Signal::KILL);
    let killed = Instant::now();
    agent.ended().await;
    let (fact, status) = facts.ended(first).await;
    let noticed = killed.elapsed();
    facts.until(runs[1].id, Status::Pending).await;
    let freed = killed.elapsed();

    println!("noticed {noticed:?} after the kill, slot given away after {freed:?}");
    assert_eq!(status, Status::Failed);
    let why = &fact.error_message;
    assert!(
        why.starts_with("Testing agent-lost: testing-agent-"),
        "{why}"
    );
    assert!(why.contains("not heard for 12 s"), "{why}");
    assert!(freed < STATED + SLACK, "{freed:?}");
    let run = server.client.run(first).await.unwrap();
    assert_eq!((run.status.as_str(), &run.error_message), ("failed", why));
    dialer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_testing_agent_that_is_stopped_politely_is_never_missed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("platform");
    let server = platform(&data).await;
    let nats = server.ready.nats_url.clone();
    let agent = testing_agent(&data, &nats).await;
    let dialer = dialer(&folder.path().join("dialer"), &nats, agent.sip()).await;
    let bench = Bench::build(&server.client, 1, Some("own")).await;
    let mut facts = server.transitions().await;
    let run = bench.trigger(&server.client, 1).await.runs[0].id;
    facts.until(run, Status::InProgress).await;
    answered(&nats, run).await;

    // Its call goes on to its own end.
    agent.signal(Signal::TERM);
    let (fact, status) = facts.ended(run).await;
    let (ended, log) = agent.ended().await;

    assert!(ended.success(), "{log}");
    assert_eq!(status, Status::Completed, "{}", fact.error_message);
    soon("the end of the dialer", dialer.stop()).await;
    server.stop().await;
}
