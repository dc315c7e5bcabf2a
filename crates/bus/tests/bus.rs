//! The bus against a real `nats-server`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use ringdown_bus::{
    Bus, Claim, Error, From, Heard, Heartbeats, LeaseTimes, Message, NatsServer, Options,
    ServerOptions, Stream, WorkersOptions, find_nats_server, subject,
};
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Team, dial};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{
    DialFact, Envelope, MatchReply, MatchRequest, RunStatus, RunTransition, dial_fact,
};
use tokio_util::sync::CancellationToken;

struct World {
    bus: Bus,
    server: NatsServer,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::Builder::new()
        .prefix("ringdown bus ")
        .tempdir()
        .unwrap();
    let server = NatsServer::start(ServerOptions {
        program: find_nats_server().unwrap(),
        folder: folder.path().join("data folder"),
    })
    .await
    .unwrap();
    let bus = Bus::connect(&options(&server, "test")).await.unwrap();
    World {
        bus,
        server,
        _folder: folder,
    }
}

fn options(server: &NatsServer, name: &str) -> Options {
    Options {
        url: server.url().to_owned(),
        name: name.to_owned(),
        replicas: 1,
    }
}

fn team() -> Team {
    "team".parse().unwrap()
}

fn transition(bus: &Bus, run: i64, status: Status) -> Envelope {
    bus.envelope(
        &team(),
        Fact::Run(RunTransition {
            run_id: run,
            status: RunStatus::from(status).into(),
            ..RunTransition::default()
        }),
    )
}

fn claim(bus: &Bus, run: i64, attempt: &str) -> Envelope {
    bus.envelope(
        &team(),
        Fact::Dial(DialFact {
            run_id: run,
            attempt_id: attempt.to_owned(),
            step: Some(dial_fact::Step::Claimed(dial_fact::Claimed::default())),
            ..DialFact::default()
        }),
    )
}

fn pending_workers(ack_wait: Duration) -> WorkersOptions {
    WorkersOptions {
        stream: Stream::Runs,
        durable: "dialers".to_owned(),
        filter: subject::runs_entering(Status::Pending),
        ack_wait,
        max_in_flight: 100,
        batch: 1,
    }
}

fn run_of(envelope: &Envelope) -> i64 {
    match &envelope.fact {
        Some(Fact::Run(run)) => run.run_id,
        other => panic!("not a transition: {other:?}"),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("nothing happened for 20 s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_has_exactly_one_winner() {
    let world = world().await;
    let mut tasks = Vec::new();
    for attempt in 0..40 {
        let bus = world.bus.clone();
        tasks.push(tokio::spawn(async move {
            let mine = claim(&bus, 7, &attempt.to_string());
            let first = bus.claim(&mine).await.unwrap();
            let again = bus.claim(&mine).await.unwrap();
            let won = matches!(first, Claim::Won);
            assert_eq!(won, matches!(again, Claim::Won), "a claim changed hands");
            won
        }));
    }
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(within(task).await.unwrap());
    }
    assert_eq!(winners, 1);
    let owner = world
        .bus
        .last(&subject::dial(&team(), RunId(7), dial::Stage::Claimed))
        .await
        .unwrap();
    assert!(owner.is_some());
    let nobody = subject::dial(&team(), RunId(8), dial::Stage::Claimed);
    assert!(world.bus.last(&nobody).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_published_twice_is_stored_once_and_seen_in_order() {
    let world = world().await;
    for run in 1..=20 {
        let fact = transition(&world.bus, run, Status::Pending);
        let id = format!("{run}:1");
        assert!(!world.bus.publish(&fact, &id).await.unwrap().duplicate);
        assert!(world.bus.publish(&fact, &id).await.unwrap().duplicate);
    }
    let mut observer = world
        .bus
        .observe(Stream::Runs, &subject::runs_of(&team()), From::Beginning)
        .await
        .unwrap();
    for run in 1..=20 {
        let seen = within(observer.next()).await.unwrap().unwrap();
        assert_eq!(run_of(&seen.envelope), run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_nobody_finished_comes_again_and_garbage_does_not() {
    let world = world().await;
    let address: async_nats::ServerAddr = world.server.url().parse().unwrap();
    let raw = async_nats::ConnectOptions::new()
        .user_and_password(
            address.username().unwrap().to_owned(),
            address.password().unwrap().to_owned(),
        )
        .connect(address)
        .await
        .unwrap();
    raw.publish("rd.v1.run.team.1.pending", vec![0xff; 40].into())
        .await
        .unwrap();
    raw.flush().await.unwrap();
    let fact = transition(&world.bus, 2, Status::Pending);
    world.bus.publish(&fact, "2:1").await.unwrap();
    let options = pending_workers(Duration::from_millis(300));
    let mut first = world.bus.workers(options.clone()).await.unwrap();
    let delivery = within(first.next()).await;
    assert_eq!((run_of(&delivery.envelope), delivery.delivered), (2, 1));
    drop(delivery);
    drop(first);
    let mut second = world.bus.workers(options).await.unwrap();
    let delivery = within(second.next()).await;
    assert_eq!(run_of(&delivery.envelope), 2);
    assert!(delivery.delivered > 1);
    delivery.done().await.unwrap();
    let fact = transition(&world.bus, 3, Status::Pending);
    world.bus.publish(&fact, "3:1").await.unwrap();
    assert_eq!(run_of(&within(second.next()).await.envelope), 3);
    assert_eq!(world.bus.unusable_messages(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_hears_only_what_is_published_after_it() {
    let world = world().await;
    let earlier = transition(&world.bus, 1, Status::Cancelled);
    world.bus.publish(&earlier, "1:1").await.unwrap();
    let mut watch = world
        .bus
        .watch(&subject::runs_entering(Status::Cancelled))
        .await
        .unwrap();
    let fresh = transition(&world.bus, 2, Status::Cancelled);
    world.bus.publish(&fresh, "2:1").await.unwrap();
    assert_eq!(run_of(&within(watch.next()).await.unwrap()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_is_answered_or_fails_within_its_deadline() {
    let world = world().await;
    let request = MatchRequest {
        call_id: "call".to_owned(),
        ..MatchRequest::default()
    };
    let nobody = world.bus.match_call(&request, Duration::from_secs(2)).await;
    assert!(matches!(nobody, Err(Error::Request { .. })));
    let mut calls = world.bus.match_calls().await.unwrap();
    let asking = tokio::spawn({
        let bus = world.bus.clone();
        async move { bus.match_call(&request, Duration::from_secs(5)).await }
    });
    let call = within(calls.next()).await.unwrap();
    assert_eq!(call.request.call_id, "call");
    let reply = MatchReply {
        verdict: "matched".to_owned(),
        ..MatchReply::default()
    };
    call.reply(&reply).await.unwrap();
    assert_eq!(within(asking).await.unwrap().unwrap(), reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_with_everything() {
    let world = world().await;
    let fact = transition(&world.bus, 1, Status::Pending);
    world.bus.publish(&fact, "1:1").await.unwrap();
    let mut workers = world
        .bus
        .workers(pending_workers(Duration::from_secs(5)))
        .await
        .unwrap();
    let killed = world.server.pid();
    let pid = rustix::process::Pid::from_raw(i32::try_from(killed).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let delivery = within(workers.next()).await;
    assert_eq!(run_of(&delivery.envelope), 1);
    let after = transition(&world.bus, 2, Status::Pending);
    within(async {
        while world.bus.publish(&after, "2:1").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_ne!(world.server.pid(), killed);
    world.server.stop().await;
}

/// Waits for the next heartbeat of anybody.
async fn heard(heartbeats: &mut Heartbeats) -> Heard {
    within(heartbeats.next()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_heard_until_it_ends_and_again_after_the_bus_was_away() {
    const BEAT: Duration = Duration::from_millis(50);
    let world = world().await;
    let other = Bus::connect(&options(&world.server, "other"))
        .await
        .unwrap();
    let mut heartbeats = other.heartbeats().await.unwrap();
    let times = LeaseTimes::beating_every(BEAT);
    let lease = world.bus.lease("testing-agent", times).unwrap();
    let holder = lease.holder().clone();
    assert!(holder.as_str().starts_with("testing-agent-"), "{holder}");
    let again = world.bus.lease("testing-agent", times).unwrap();
    assert_ne!(again.holder(), &holder, "two instances have one name");
    drop(again);
    let alive = Heard::Alive(holder.clone());
    while heard(&mut heartbeats).await != alive {}
    assert_eq!(heard(&mut heartbeats).await, alive, "the other one is gone");

    let killed = world.server.pid();
    let pid = rustix::process::Pid::from_raw(i32::try_from(killed).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    within(async {
        while world.server.pid() == killed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Everything heard so far was heard before.
    while tokio::time::timeout(BEAT / 2, heartbeats.next())
        .await
        .is_ok()
    {}
    assert_eq!(heard(&mut heartbeats).await, alive);

    lease.leave().await;
    let mut last = heard(&mut heartbeats).await;
    while last == alive {
        last = heard(&mut heartbeats).await;
    }
    assert_eq!(last, Heard::Left(holder));
    let more = tokio::time::timeout(BEAT * 6, heartbeats.next()).await;
    assert!(more.is_err(), "heard after its goodbye: {more:?}");
    world.server.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let failed = NatsServer::start(ServerOptions {
        program: "/bin/false".into(),
        folder: folder.path().to_owned(),
    })
    .await
    .err()
    .unwrap();
    assert!(failed.to_string().contains("/bin/false"), "{failed}");
}

/// Several consumers with much to do, each taking one fact at a time: none of them may stop asking.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_one_fact_at_a_time_never_stops_asking() {
    const FACTS: i64 = 500;
    const WORKERS: usize = 8;
    const STALLED: Duration = Duration::from_secs(8);
    let world = world().await;
    for run in 0..FACTS {
        let fact = transition(&world.bus, run, Status::Pending);
        world.bus.publish(&fact, &format!("{run}")).await.unwrap();
    }
    // A busy process: whatever happens between two steps of the client has time to happen.
    let busy = CancellationToken::new();
    for _ in 0..6 {
        let busy = busy.clone();
        std::thread::spawn(move || {
            while !busy.is_cancelled() {
                let until = Instant::now() + Duration::from_millis(2);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
        });
    }
    let mut working = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let mut options = pending_workers(Duration::from_secs(30));
        options.durable = format!("workers-{worker}");
        let mut workers = world.bus.workers(options).await.unwrap();
        working.spawn(async move {
            for seen in 0..FACTS {
                let delivery = tokio::time::timeout(STALLED, workers.next())
                    .await
                    .unwrap_or_else(|_| panic!("nothing came after {seen} facts"));
                delivery.done().await.unwrap();
            }
        });
    }
    while let Some(worker) = working.join_next().await {
        worker.unwrap();
    }
    busy.cancel();
    world.server.stop().await;
}

fn messages(bus: &Bus, runs: std::ops::Range<i64>) -> Vec<Message> {
    let message = |run| Message {
        envelope: transition(bus, run, Status::InQueue),
        id: format!("{run}:1"),
    };
    runs.map(message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_published_together_are_stored_in_order_and_once() {
    let world = world().await;
    world.bus.publish_all(&[]).await.unwrap();
    // One alone, a full batch and a rest, and some that the server has already, in the middle of the others.
    let all = messages(&world.bus, 0..1_301);
    world.bus.publish_all(&all[..1]).await.unwrap();
    world.bus.publish_all(&all[1..1_200]).await.unwrap();
    world.bus.publish_all(&all[1_190..]).await.unwrap();
    world.bus.publish_all(&all[1_290..]).await.unwrap();

    let subjects = Stream::Runs.subjects();
    let mut observer = (world
        .bus
        .observe(Stream::Runs, subjects, From::Beginning)
        .await)
        .unwrap();
    for run in 0..1_301 {
        let fact = within(observer.next()).await.unwrap().unwrap();
        assert_eq!(run_of(&fact.envelope), run);
        assert_eq!(fact.sequence, u64::try_from(run).unwrap() + 1);
    }
    let end = transition(&world.bus, -1, Status::InQueue);
    world.bus.publish(&end, "end").await.unwrap();
    let fact = within(observer.next()).await.unwrap().unwrap();
    assert_eq!(run_of(&fact.envelope), -1, "a fact was stored twice");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_for_no_stream_are_refused_and_nothing_of_them_is_stored() {
    let world = world().await;
    let mut facts = messages(&world.bus, 0..3);
    facts[2].envelope.fact = None;
    let refused = world.bus.publish_all(&facts).await;
    assert!(matches!(refused, Err(Error::NoSubject)), "{refused:?}");
    let subjects = Stream::Runs.subjects();
    let mut observer = (world
        .bus
        .observe(Stream::Runs, subjects, From::Beginning)
        .await)
        .unwrap();
    world
        .bus
        .publish_all(&messages(&world.bus, 7..9))
        .await
        .unwrap();
    let fact = within(observer.next()).await.unwrap().unwrap();
    assert_eq!(run_of(&fact.envelope), 7);
    world.server.stop().await;
}
