//! Testing agents that vanish, and those that only seem to.

use std::time::{Duration, Instant};

use ringdown_bus::{Lease, LeaseTimes, Stream, WorkersOptions, subject};
use ringdown_domain::RunId;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Status;
use ringdown_proto::v1::dial_fact::{Claimed, Step};

use crate::outages::signal;
use crate::world::{
    CALLER, NUMBER, World, connect, dial, ended, recorded, request, scored, within,
};

const BEAT: Duration = Duration::from_millis(300);

async fn world() -> World {
    World::start_with(LeaseTimes::beating_every(BEAT)).await
}

/// A testing agent with a connection of its own.
async fn testing_agent(world: &World) -> Lease {
    let bus = connect(&world.server).await;
    bus.lease("testing-agent", world.leases).unwrap()
}

/// A run in a call that this testing agent holds.
async fn live(world: &World, agent: &Lease) -> RunId {
    let run = world.trigger(1).await.1[0].id;
    take(world, agent, run, "call").await;
    run
}

async fn take(world: &World, agent: &Lease, run: RunId, call: &str) {
    let mut asked = request(call, CALLER, NUMBER);
    asked.hinted_run = run.0;
    asked.holder = agent.holder().to_string();
    let reply = world.ask(&asked).await;
    assert_eq!((reply.verdict.as_str(), reply.run_id), ("matched", run.0));
}

/// Lets a time pass in which something would have happened to the run, and has not.
async fn still(world: &World, run: RunId, status: Status, pause: Duration) {
    tokio::time::sleep(pause).await;
    let run = world.run(run).await;
    assert_eq!(run.status(), status, "{:?}", run.error_message());
}

/// Two platforms watch; the run ends once, with its reason, and its slot is given away.
#[tokio::test(flavor = "multi_thread")]
async fn a_testing_agent_that_falls_silent_frees_its_slot_within_the_stated_time() {
    let world = world().await;
    let (_, stop, second) = world.second_engine();
    world.limit(1).await;
    let agent = testing_agent(&world).await;
    let lease = world.leases.lease();
    let mut seen = world.transitions().await;
    let runs = world.trigger(2).await.1;
    take(&world, &agent, runs[0].id, "call").await;
    still(&world, runs[0].id, Status::InProgress, lease * 3).await;

    let name = agent.holder().to_string();
    drop(agent);
    let silent = Instant::now();
    let failed = seen.until(runs[0].id, Status::Failed).await;
    let took = silent.elapsed();
    println!("noticed after {took:?}, at a lease of {lease:?}");
    // The last heartbeat is up to one beat old, and runs are looked at every beat.
    assert!(took >= lease - BEAT * 2, "{took:?}");
    assert!(took <= lease + BEAT + Duration::from_secs(2), "{took:?}");
    let why = failed.error_message;
    assert!(why.starts_with("Testing agent-lost: "), "{why}");
    assert!(why.contains(&name) && why.contains("1.2 s"), "{why}");
    seen.until(runs[1].id, Status::Pending).await;
    assert_eq!(
        world.run(runs[0].id).await.ended_reason,
        Some(EndedReason::TestingAgentLost)
    );
    // What it says when it comes back changes nothing.
    let late = ended(runs[0].id, "call", EndedReason::MainAgentEnded);
    world.publish(late, "late").await;
    take(&world, &testing_agent(&world).await, runs[1].id, "next").await;
    seen.until(runs[1].id, Status::Failed).await;
    let life = [
        Status::InQueue,
        Status::Pending,
        Status::InProgress,
        Status::Failed,
    ];
    assert_eq!(seen.of(runs[0].id), life);
    stop.cancel();
    within("the second engine stops", second)
        .await
        .unwrap()
        .unwrap();
    world.close().await;
}

/// An old testing agent sends none, and nothing is known about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_testing_agent_without_a_name_is_left_alone() {
    let world = world().await;
    let run = world.trigger(1).await.1[0].id;
    world.arrives("call", CALLER, NUMBER).await;
    let lease = world.leases.lease();
    still(&world, run, Status::InProgress, lease * 3).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_ends_what_was_not_reported_without_waiting_for_silence() {
    let world = World::start().await;
    let agent = testing_agent(&world).await;
    let mut seen = world.transitions().await;
    let run = live(&world, &agent).await;
    let left = Instant::now();
    agent.leave().await;
    let failed = seen.until(run, Status::Failed).await;
    assert!(left.elapsed() < world.leases.lease(), "{left:?}");
    assert!(
        failed.error_message.contains("stopped"),
        "{}",
        failed.error_message
    );
    world.close().await;
}

/// The bus hangs, and later dies, for longer than a lease each: nobody is heard, and nobody is judged.
#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_for_longer_than_a_lease_ends_no_call() {
    let world = world().await;
    let agent = testing_agent(&world).await;
    let lease = world.leases.lease();
    let mut seen = world.transitions().await;
    let run = live(&world, &agent).await;
    seen.until(run, Status::InProgress).await;

    signal(&world, "-STOP");
    still(&world, run, Status::InProgress, lease * 4).await;
    signal(&world, "-CONT");
    still(&world, run, Status::InProgress, lease * 3).await;

    for _ in 0..4 {
        let killed = world.server.pid();
        signal(&world, "-KILL");
        within("the server is started again", async {
            while world.server.pid() == killed {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    still(&world, run, Status::InProgress, lease * 3).await;

    // It is still watched. Whoever observed the streams has to begin anew with the new server.
    drop(agent);
    let mut seen = world.transitions().await;
    seen.until(run, Status::Failed).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testing_agent_that_died_while_no_platform_ran_is_noticed() {
    let mut world = world().await;
    let (dead, alive) = (testing_agent(&world).await, testing_agent(&world).await);
    let mut seen = world.transitions().await;
    let lost = live(&world, &dead).await;
    let kept = world.trigger(1).await.1[0].id;
    take(&world, &alive, kept, "kept").await;
    seen.until(kept, Status::InProgress).await;
    world.restart(async |_| drop(dead)).await;
    let started = Instant::now();
    seen.until(lost, Status::Failed).await;
    let took = started.elapsed();
    let lease = world.leases.lease();
    assert!(took >= lease, "judged too early: {took:?}");
    still(&world, kept, Status::InProgress, lease).await;
    world.close().await;
}

/// The end of the call is in the hands of a platform that died when the testing agent is missed.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_reported_counts_however_late_it_is_read() {
    let mut world = world().await;
    let agent = testing_agent(&world).await;
    let mut seen = world.transitions().await;
    let run = live(&world, &agent).await;
    seen.until(run, Status::InProgress).await;
    let bus = world.bus.clone();
    let unread = world.leases.lease() * 4;
    world
        .restart(async |_| {
            let over = ended(run, "call", EndedReason::MainAgentEnded);
            let team = "team".parse().unwrap();
            bus.publish(&bus.envelope(&team, over), "e").await.unwrap();
            drop(agent);
            let mut workers = bus
                .workers(WorkersOptions {
                    stream: Stream::Calls,
                    durable: "platform-ended".to_owned(),
                    filter: subject::calls("ended"),
                    ack_wait: Duration::from_secs(30),
                    max_in_flight: 64,
                    batch: 1,
                })
                .await
                .unwrap();
            workers.next().await.again_after(unread).await.unwrap();
        })
        .await;
    seen.until(run, Status::Evaluating).await;
    world.close().await;
}

/// It died between the end of the call and its recording, so there will be nothing to score.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_recording_died_with_its_testing_agent_says_so() {
    let world = world().await;
    let agent = testing_agent(&world).await;
    let mut seen = world.transitions().await;
    let (without, with) = (live(&world, &agent).await, world.trigger(1).await.1[0].id);
    take(&world, &agent, with, "with").await;
    world
        .publish(recorded(with, "with", "recordings/1.wav", ""), "r")
        .await;
    for (run, call) in [(without, "call"), (with, "with")] {
        let over = ended(run, call, EndedReason::MainAgentEnded);
        world.publish(over, &format!("e-{call}")).await;
        seen.until(run, Status::Evaluating).await;
    }
    drop(agent);
    let failed = seen.until(without, Status::Failed).await;
    let why = failed.error_message;
    assert!(why.contains("had not reported the recording"), "{why}");
    let lease = world.leases.lease();
    still(&world, with, Status::Evaluating, lease).await;
    world.publish(scored(with, "with", true), "s").await;
    seen.until(with, Status::Completed).await;
    world.close().await;
}

/// No dialer is left that could close its books.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_only_dialer_vanished_ends_with_its_window_and_says_so() {
    let world = World::start().await;
    world.dial_window(Duration::from_secs(3)).await;
    let mut seen = world.transitions().await;
    let run = world.trigger(1).await.1[0].id;
    let claim = Step::Claimed(Claimed {
        worker: "dialer-7".to_owned(),
    });
    world.publish(dial(run, "attempt", claim), "claim").await;
    let closed = seen.until(run, Status::Timeout).await;
    let why = closed.error_message;
    assert!(
        why.contains("claimed by dialer-7") && why.contains("did not say that it dialed"),
        "{why}"
    );
    world.close().await;
}
