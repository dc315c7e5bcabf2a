//! What dialers share over a real `nats-server`: rates, and numbers of calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use ringdown_bus::{Bus, NatsServer, Options, ServerOptions, find_nats_server, now};

struct World {
    server: NatsServer,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.path().join("data"),
        })
        .await
        .unwrap();
        Self {
            server,
            _folder: folder,
        }
    }

    async fn bus(&self) -> Bus {
        let options = Options {
            url: self.server.url().to_owned(),
            name: "test".to_owned(),
            replicas: 1,
        };
        Bus::connect(&options).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_shared_and_no_moment_is_given_twice() {
    let world = World::new().await;
    let (rate, each) = (50.0, 40_usize);
    let mut tasks = tokio::task::JoinSet::new();
    for most in [1, 3, 7, 1] {
        let bus = world.bus().await;
        tasks.spawn(async move {
            let mut pacer = bus.pacer("account with spaces.and dots", rate);
            let mut given = Vec::new();
            while given.len() < each {
                let asked = now();
                let latest = asked.plus(Duration::from_secs(60));
                let moments = pacer.next(asked, latest, most).await.unwrap();
                assert!(!moments.is_empty() && moments.len() <= most as usize);
                assert!(moments[0] >= asked, "a moment that has passed");
                given.extend(moments);
            }
            given
        });
    }
    let mut all = BTreeSet::new();
    while let Some(given) = tasks.join_next().await {
        for at in given.unwrap() {
            assert!(all.insert(at), "{at:?} was given twice");
        }
    }
    let all: Vec<_> = all.into_iter().collect();
    for pair in all.windows(2) {
        let apart = pair[0].until(pair[1]);
        assert!(apart >= Duration::from_micros(19_990), "{apart:?}");
    }
    // Four that share it are not slower than one by more than the moments that are lost at a start.
    let whole = all[0].until(*all.last().unwrap());
    assert!(whole < Duration::from_secs(8), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_have_a_moment_in_time_is_told_so() {
    let world = World::new().await;
    let mut pacer = world.bus().await.pacer("slow", 0.1);
    let asked = now();
    let latest = asked.plus(Duration::from_secs(25));
    let mut given = 0;
    while !pacer.next(asked, latest, 1).await.unwrap().is_empty() {
        given += 1;
    }
    assert!((2..=3).contains(&given), "{given} in 25 s at one in 10 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_shared_and_never_exceeded() {
    let world = World::new().await;
    let lease = Duration::from_secs(60);
    let mut tasks = tokio::task::JoinSet::new();
    for holder in 0..8 {
        let bus = world.bus().await;
        tasks.spawn(async move {
            let holder = format!("dialer-{holder}");
            bus.hold("account", &holder, 3, 10, lease).await.unwrap()
        });
    }
    let mut held = 0;
    while let Some(one) = tasks.join_next().await {
        held += one.unwrap();
    }
    assert_eq!(held, 10);
    let bus = world.bus().await;
    for holder in 0..8 {
        let holder = format!("dialer-{holder}");
        assert_eq!(bus.hold("account", &holder, 0, 10, lease).await.unwrap(), 0);
    }
    assert_eq!(
        bus.hold("account", "another", 10, 10, lease).await.unwrap(),
        10
    );
    // Who is not heard holds nothing.
    let short = Duration::from_millis(1);
    assert_eq!(
        bus.hold("account", "another", 10, 10, short).await.unwrap(),
        10
    );
    let mut got = 0;
    while got == 0 {
        got = bus.hold("account", "next", 10, 10, lease).await.unwrap();
    }
    assert_eq!(got, 10);
}
