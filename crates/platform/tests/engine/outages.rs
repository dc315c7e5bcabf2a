//! The engine while the bus is away, and across restarts: nothing is lost, nothing is told twice.

use std::process::Command;
use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::Status;
use ringdown_store::ProfileSnapshot;

use crate::world::{CALLER, NUMBER, World, ended, scored, within};

pub fn signal(world: &World, name: &str) {
    let pid = world.server.pid().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

/// The bus hangs without closing its connections, which is the worst way to be away.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_bus_stalls_only_the_fan_out() {
    let world = World::start().await;
    world.limit(2).await;
    let mut seen = world.transitions().await;
    let first = world.trigger(1).await.1[0].id;
    seen.until(first, Status::Pending).await;

    signal(&world, "-STOP");
    // Runs are accepted and cancelled, slots are given away.
    let begun = std::time::Instant::now();
    let (_, runs) = world.trigger(3).await;
    assert_eq!(runs[0].status(), Status::Pending);
    world
        .engine
        .cancel_run(world.org.id.into(), first)
        .await
        .unwrap();
    within("the slot is given away", async {
        while world.run(runs[1].id).await.status() != Status::Pending {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let took = begun.elapsed();
    let waiting = world.db.outbox(100).await.unwrap().len();
    signal(&world, "-CONT");
    assert!(
        took < Duration::from_secs(4),
        "the platform waited for the bus: {took:?}"
    );
    // The batch as a whole, two slots given, one run cancelled.
    assert!(waiting >= 4, "{waiting}");

    seen.until(first, Status::Cancelled).await;
    seen.until(runs[1].id, Status::Pending).await;
    assert_eq!(
        seen.of(first),
        [Status::InQueue, Status::Pending, Status::Cancelled]
    );
    for run in &runs[..2] {
        assert_eq!(seen.of(run.id), [Status::InQueue, Status::Pending]);
    }
    within("the outbox is empty", async {
        while !world.db.outbox(1).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    world.close().await;
}

/// The server is killed again and again while runs go through their whole life.
#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_killed_loses_and_repeats_nothing() {
    let world = World::start().await;
    let first = world.trigger(1).await.1[0].id;
    // The engine has started once it publishes; a bus that is away before that is an error.
    let mut started = world.transitions().await;
    started.until(first, Status::Pending).await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        let triggered = world.trigger(4).await.1;
        let killed = world.server.pid();
        signal(&world, "-KILL");
        runs.extend(triggered.iter().map(|run| run.id));
        let cancelled = triggered[3].id;
        let org = world.org.id.into();
        world.engine.cancel_run(org, cancelled).await.unwrap();
        within("the server is started again", async {
            while world.server.pid() == killed {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    let mut seen = world.transitions().await;
    for (index, run) in runs.iter().enumerate() {
        if index % 4 == 3 {
            seen.until(*run, Status::Cancelled).await;
            let life = [Status::InQueue, Status::Pending, Status::Cancelled];
            assert_eq!(seen.of(*run), life);
        } else {
            seen.until(*run, Status::Pending).await;
            assert_eq!(seen.of(*run), [Status::InQueue, Status::Pending]);
        }
    }
    // Calls are matched again, without a restart of the engine.
    within("a call is matched", async {
        let asked = crate::world::request("call", CALLER, NUMBER);
        let deadline = Duration::from_secs(1);
        while world.bus.match_call(&asked, deadline).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    seen.until(first, Status::InProgress).await;
    world.close().await;
}

/// Facts published while no platform runs are applied when one starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_platform_goes_on_where_it_was() {
    let mut world = World::start().await;
    world.limit(1).await;
    let mut seen = world.transitions().await;
    let (_, runs) = world.trigger(3).await;
    let (live, queued) = (runs[0].id, runs[1].id);
    world.arrives("call", CALLER, NUMBER).await;
    seen.until(live, Status::InProgress).await;
    let (bus, org) = (world.bus.clone(), world.org.id);
    world
        .restart(async |db| {
            let team = "team".parse().unwrap();
            let over = ended(live, "call", EndedReason::MainAgentEnded);
            bus.publish(&bus.envelope(&team, over), "e").await.unwrap();
            let score = scored(live, "call", true);
            bus.publish(&bus.envelope(&team, score), "s").await.unwrap();
            // More room, and rows in the outbox that nobody has announced.
            db.set_organisation_limit(org, Some(2)).await.unwrap();
            assert_eq!(db.admit(org, now()).await.unwrap().runs.len(), 1);
            assert!(!db.outbox(1).await.unwrap().is_empty());
        })
        .await;
    seen.until(queued, Status::Pending).await;
    seen.until(live, Status::Completed).await;
    seen.until(runs[2].id, Status::Pending).await;
    for run in &runs {
        seen.of(run.id);
    }
    world.close().await;
}

/// A run whose window closed while no platform ran ends when one starts.
#[tokio::test(flavor = "multi_thread")]
async fn deadlines_survive_a_restart() {
    let mut world = World::start().await;
    world.dial_window(Duration::from_millis(1_500)).await;
    let mut seen = world.transitions().await;
    let id = world.trigger(1).await.1[0].id;
    seen.until(id, Status::Pending).await;
    world
        .restart(async |db| {
            let closes_at = db.next_deadline().await.unwrap().unwrap();
            tokio::time::sleep(now().until(closes_at)).await;
        })
        .await;
    seen.until(id, Status::Timeout).await;
    world.close().await;
}

/// A queue that has room only because the platform died before it could admit moves at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_left_behind_is_admitted_at_the_start() {
    let mut world = World::start().await;
    world.limit(0).await;
    let (_, runs) = world.trigger(2).await;
    let mut seen = world.transitions().await;
    let org = world.org.id;
    world
        .restart(async |db| {
            db.set_organisation_limit(org, Some(2)).await.unwrap();
        })
        .await;
    for run in &runs {
        seen.until(run.id, Status::Pending).await;
    }
    world.close().await;
}

/// One transition that the bus cannot carry does not hold up everybody else's, whether it is refused
/// when it is triggered or cut later.
#[tokio::test(flavor = "multi_thread")]
async fn a_transition_too_large_for_the_bus_does_not_stall_the_others() {
    let world = World::start().await;
    let mut seen = world.transitions().await;
    let mut large = world.new_batch(1);
    large.templates[0].test_profile = Some(ProfileSnapshot {
        id: 1,
        name: "large".to_owned(),
        information: serde_json::json!({"text": "x".repeat(1_100_000)}),
    });
    if let Err(refused) = world.engine.trigger(large).await {
        println!("refused: {refused}");
    }
    let small = world.trigger(1).await.1[0].id;
    seen.until(small, Status::Pending).await;
    world.close().await;
}

/// What the network sends ends up in a run's reason. However long it is, it stalls nobody.
#[tokio::test(flavor = "multi_thread")]
async fn calls_with_absurd_numbers_do_not_stall_the_fan_out() {
    let world = World::start().await;
    world.dial_window(Duration::from_secs(4)).await;
    let mut seen = world.transitions().await;
    let id = world.trigger(1).await.1[0].id;
    for call in 0..50 {
        let to = format!("{}{call}", "x".repeat(30_000));
        let reply = world.arrives(&call.to_string(), CALLER, &to).await;
        assert_eq!(
            (reply.verdict.as_str(), reply.run_id),
            ("unknown_number", id.0)
        );
    }
    assert_eq!(world.run(id).await.status(), Status::Pending, "in time");
    let over = seen.until(id, Status::Timeout).await;
    assert!(over.error_message.contains(NUMBER));
    let next = world.trigger(1).await.1[0].id;
    seen.until(next, Status::Pending).await;
    world.close().await;
}
