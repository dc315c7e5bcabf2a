//! At most one call per run, whoever announces it and however often.

use std::sync::Arc;

use async_trait::async_trait;
use ringdown_carrier::{Carrier, Dialed, Order, Routes};
use ringdown_dialer::Options;
use ringdown_domain::dial::{Outcome, Stage};
use ringdown_proto::v1::RunTransition;
use ringdown_proto::v1::dial_fact::Step;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::world::{NOTE, PATIENCE, ROUTE, World, gated, options, routes, within};

const PLACED: [Stage; 2] = [Stage::Intended, Stage::Placed];

#[tokio::test(flavor = "multi_thread")]
async fn two_dialers_dial_every_run_exactly_once() {
    let world = World::new().await;
    let routes = routes([(ROUTE, world.script("call it.sh", NOTE))]).await;
    let first = world.dialer("first", routes.clone()).await;
    let second = world.dialer("second", routes).await;
    let mut facts = world.facts().await;
    for run in 1..=50 {
        world.pending(run).await;
    }
    for run in 1..=50 {
        let outcome = facts.outcome(run).await;
        assert!(matches!(outcome, Step::Placed(_)), "{run}: {outcome:?}");
    }
    first.drain(PATIENCE).await;
    second.drain(PATIENCE).await;
    facts.everything(&world).await;
    for run in 1..=50 {
        assert_eq!(facts.stages(run), PLACED, "{run}");
        assert_eq!(facts.attempts(run).len(), 1, "{run}");
        let mut producers = facts.producers(run);
        producers.dedup();
        assert_eq!(producers.len(), 1, "{run} was dialed by {producers:?}");
    }
    assert_eq!(sorted(world.dialed()), (1..=50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_dialed_by_the_dialer_that_has_its_route() {
    let world = World::new().await;
    let note = || world.script("call.sh", NOTE);
    let first = world.dialer("first", routes([("one", note())]).await).await;
    let second = world
        .dialer("second", routes([("two", note())]).await)
        .await;
    let mut facts = world.facts().await;
    for run in 1..=8 {
        let route = if run % 2 == 0 { "two" } else { "one" };
        let on_route =
            |transition: &mut RunTransition| route.clone_into(&mut transition.dial_route);
        world.pending_with(run, on_route).await;
    }
    for run in 1..=8 {
        let outcome = facts.outcome(run).await;
        assert!(matches!(outcome, Step::Placed(_)), "{run}: {outcome:?}");
    }
    first.drain(PATIENCE).await;
    second.drain(PATIENCE).await;
    assert_eq!(sorted(world.dialed()), (1..=8).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_announced_twice_at_once_are_dialed_once_each() {
    let world = World::new().await;
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let first = world.dialer("first", routes.clone()).await;
    let second = world.dialer("second", routes).await;
    let mut facts = world.facts().await;
    for run in 1..=30 {
        // Two events, as after the restart of a poller: to the server they are no repetition.
        tokio::join!(world.pending(run), world.pending(run));
    }
    for run in 1..=30 {
        facts.outcome(run).await;
    }
    // Transitions are handed out in order: whoever has this has all of the others.
    world.pending(31).await;
    facts.outcome(31).await;
    first.drain(PATIENCE).await;
    second.drain(PATIENCE).await;
    facts.everything(&world).await;
    for run in 1..=30 {
        assert_eq!(facts.stages(run), PLACED, "{run}");
    }
    assert_eq!(sorted(world.dialed()), (1..=31).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_announced_again_while_it_is_dialed_is_left_to_its_dialer() {
    let world = World::new().await;
    let (routes, mut gate) = gated();
    let first = world.dialer("first", routes.clone()).await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    assert_eq!(gate.dialing().await, 1);
    let second = world.dialer("second", routes).await;
    for _ in 0..4 {
        world.pending(1).await;
    }
    world.pending(2).await;
    assert_eq!(gate.dialing().await, 2);
    gate.open(2);
    let outcome = facts.outcome(1).await;
    assert!(matches!(outcome, Step::Placed(_)), "{outcome:?}");
    facts.outcome(2).await;
    first.drain(PATIENCE).await;
    second.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.stages(1), PLACED);
    assert_eq!(gate.unseen(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_published_twice_is_dialed_once() {
    let world = World::new().await;
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let dialer = world.dialer("only", routes).await;
    let mut facts = world.facts().await;
    let pending = world.pending_envelope(1);
    for _ in 0..2 {
        world.bus.publish(&pending, "run:1").await.unwrap();
    }
    facts.outcome(1).await;
    // The server forgets the names of messages in time; the claim is what counts.
    world.bus.publish(&pending, "another name").await.unwrap();
    world.pending(2).await;
    facts.outcome(2).await;
    dialer.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.stages(1), PLACED);
    assert_eq!(world.dialed(), [1, 2]);
}

/// Dials only together with the others.
struct Together(Barrier);

#[async_trait]
impl Carrier for Together {
    fn describe(&self) -> String {
        "together".to_owned()
    }

    async fn dial(&self, order: &Order, _stop: &CancellationToken) -> Dialed {
        self.0.wait().await;
        Dialed {
            outcome: Outcome::Placed {
                provider_id: order.attempt_id.clone(),
            },
            rest: None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_dialer_leaves_work_to_others() {
    let world = World::new().await;
    let mut routes = Routes::default();
    routes.insert(ROUTE, Arc::new(Together(Barrier::new(2))));
    let alone = Options {
        concurrency: 1,
        ..options(routes)
    };
    let first = world.dialer_with("first", alone.clone()).await;
    let second = world.dialer_with("second", alone).await;
    let mut facts = world.facts().await;
    for run in 1..=4 {
        world.pending(run).await;
    }
    for run in 1..=4 {
        facts.outcome(run).await;
        assert_eq!(facts.stages(run), PLACED, "{run}");
    }
    within(async {
        tokio::join!(first.drain(PATIENCE), second.drain(PATIENCE));
    })
    .await;
}

fn sorted(mut runs: Vec<i64>) -> Vec<i64> {
    runs.sort_unstable();
    runs
}
