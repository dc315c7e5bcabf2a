//! Dials that are not worth or not possible to make, and what is said about them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdown_bus::now;
use ringdown_carrier::{Carrier, Dialed, Order};
use ringdown_dialer::Options;
use ringdown_domain::Timestamp;
use ringdown_domain::dial::{Outcome, Retry, Stage};
use ringdown_proto::v1::dial_fact::Step;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::world::{Facts, NOTE, PATIENCE, ROUTE, World, exec, gated, options, routes, within};

const NOT_BEGUN: [Stage; 2] = [Stage::Intended, Stage::NotPlaced];

async fn refused(facts: &mut Facts, run: i64) -> String {
    match facts.outcome(run).await {
        Step::NotPlaced(refused) => refused.reason,
        other => panic!("{run} was not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_window_has_no_time_to_ring_is_not_dialed() {
    let world = World::new().await;
    let options = Options {
        min_ring: Duration::from_secs(60),
        ..options(routes([(ROUTE, world.script("call.sh", NOTE))]).await)
    };
    let dialer = world.dialer_with("only", options).await;
    let mut facts = world.facts().await;
    let long_ago = Timestamp::from_micros(1);
    let soon = now().plus(Duration::from_secs(50));
    for (run, closes_at) in [(1, long_ago), (2, soon)] {
        world
            .pending_with(run, |run| run.closes_at_us = closes_at.as_micros())
            .await;
        let reason = refused(&mut facts, run).await;
        assert!(reason.contains("no time to ring"), "{reason}");
        assert_eq!(facts.stages(run), NOT_BEGUN);
    }
    world.pending(3).await;
    let outcome = facts.outcome(3).await;
    assert!(matches!(outcome, Step::Placed(_)), "{outcome:?}");
    dialer.drain(PATIENCE).await;
    assert_eq!(world.dialed(), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transition_that_cannot_be_dialed_says_why() {
    let world = World::new().await;
    let dialer = world
        .dialer(
            "only",
            routes([
                (ROUTE, world.script("call.sh", NOTE)),
                ("missing", exec(&world.path("no such program"))),
            ])
            .await,
        )
        .await;
    let mut facts = world.facts().await;
    world
        .pending_with(1, |run| "nowhere".clone_into(&mut run.dial_route))
        .await;
    let reason = refused(&mut facts, 1).await;
    assert!(
        reason.contains("\"nowhere\"") && reason.contains("main, missing"),
        "{reason}"
    );
    assert_eq!(facts.stages(1), NOT_BEGUN);

    world
        .pending_with(2, |run| "0800 CALL".clone_into(&mut run.number))
        .await;
    let reason = refused(&mut facts, 2).await;
    assert!(reason.contains("E.164"), "{reason}");
    assert_eq!(facts.stages(2), NOT_BEGUN);

    world
        .pending_with(3, |run| "missing".clone_into(&mut run.dial_route))
        .await;
    let reason = refused(&mut facts, 3).await;
    assert!(reason.contains("no such program"), "{reason}");

    dialer.drain(PATIENCE).await;
    assert!(world.dialed().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn transitions_without_a_route_or_a_window_are_nobodys() {
    let world = World::new().await;
    let dialer = world
        .dialer(
            "only",
            routes([(ROUTE, world.script("call.sh", NOTE))]).await,
        )
        .await;
    let mut facts = world.facts().await;
    world.pending_with(1, |run| run.dial_route.clear()).await;
    world.pending_with(2, |run| run.closes_at_us = 0).await;
    world.pending(3).await;
    facts.outcome(3).await;
    dialer.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert!(facts.stages(1).is_empty() && facts.stages(2).is_empty());
    assert_eq!(world.dialed(), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_s_dialer_leaves_other_teams_alone() {
    let world = World::new().await;
    let options = Options {
        team: Some("other".parse().unwrap()),
        ..options(routes([(ROUTE, world.script("call.sh", NOTE))]).await)
    };
    let other = world.dialer_with("other", options).await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    let mut theirs = world.pending_envelope(2);
    "other".clone_into(&mut theirs.team);
    world.bus.publish(&theirs, "2").await.unwrap();
    facts.outcome(2).await;
    other.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert!(facts.stages(1).is_empty());
    assert_eq!(world.dialed(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_command_decides_whether_it_is_tried_again() {
    let world = World::new().await;
    // Refuses for now, once; then places.
    let once = format!(
        "{NOTE}\nif [ -e \"$0.tried\" ]; then exit 0; fi\n: >\"$0.tried\"\necho busy >&2\nexit 75"
    );
    let routes = routes([
        ("once", world.script("once.sh", &once)),
        (
            "usage",
            world.script(
                "usage.sh",
                &format!("{NOTE}\necho wrong number >&2\nexit 64"),
            ),
        ),
        ("off", world.script("off.sh", &format!("{NOTE}\nexit 69"))),
        (
            "odd",
            world.script("odd.sh", &format!("{NOTE}\necho crashed >&2\nexit 1")),
        ),
        (
            "killed",
            world.script("killed.sh", &format!("{NOTE}\nkill -KILL $$")),
        ),
    ])
    .await;
    let dialer = world.dialer("only", routes).await;
    let mut facts = world.facts().await;
    let cases = [
        ("once", Stage::Placed, "", 2),
        ("usage", Stage::NotPlaced, "wrong number", 1),
        ("off", Stage::NotPlaced, "69", 1),
        ("odd", Stage::Ambiguous, "crashed", 1),
        ("killed", Stage::Ambiguous, "signal", 1),
    ];
    for (run, (route, stage, word, tries)) in (1..).zip(cases) {
        world
            .pending_with(run, |run| route.clone_into(&mut run.dial_route))
            .await;
        let reason = match facts.outcome(run).await {
            Step::NotPlaced(step) => step.reason,
            Step::Ambiguous(step) => step.reason,
            _ => String::new(),
        };
        assert!(reason.contains(word), "{route}: {reason}");
        assert_eq!(facts.stages(run), [Stage::Intended, stage], "{route}");
        let dialed = world.dialed().into_iter().filter(|dialed| *dialed == run);
        assert_eq!(dialed.count(), tries, "{route}");
    }
    dialer.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_end_with_the_window() {
    let world = World::new().await;
    let script = world.script("call.sh", &format!("{NOTE}\necho busy >&2\nexit 75"));
    let dialer = world.dialer("only", routes([(ROUTE, script)]).await).await;
    let mut facts = world.facts().await;
    let closes_at = now().plus(Duration::from_millis(2500));
    world
        .pending_with(1, |run| run.closes_at_us = closes_at.as_micros())
        .await;
    let reason = refused(&mut facts, 1).await;
    assert!(now() < closes_at, "tried until after the window");
    assert!(
        reason.contains("busy") && reason.contains("no time is left"),
        "{reason}"
    );
    dialer.drain(PATIENCE).await;
    let tries = world.dialed().len();
    assert!((2..=3).contains(&tries), "{tries} tries in 2.5 s");
}

/// Never places a call, and says that it might later.
struct Busy(mpsc::UnboundedSender<()>);

#[async_trait]
impl Carrier for Busy {
    fn describe(&self) -> String {
        "busy".to_owned()
    }

    async fn dial(&self, _order: &Order, _stop: &CancellationToken) -> Dialed {
        // The test may have seen enough.
        let _ = self.0.send(());
        Dialed {
            outcome: Outcome::NotPlaced {
                reason: "busy".to_owned(),
                retry: Retry::Later,
            },
            rest: None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_called_off() {
    let world = World::new().await;
    let (mut routes, mut gate) = gated();
    let (sender, mut tries) = mpsc::unbounded_channel();
    routes.insert("busy", Arc::new(Busy(sender)));
    let dialer = world.dialer("only", routes).await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    assert_eq!(gate.dialing().await, 1);
    world.cancelled(1).await;
    let Step::Ambiguous(ambiguous) = facts.outcome(1).await else {
        panic!("not called off")
    };
    assert_eq!(ambiguous.reason, "called off");

    world
        .pending_with(2, |run| "busy".clone_into(&mut run.dial_route))
        .await;
    within(tries.recv()).await.unwrap();
    world.cancelled(2).await;
    let reason = refused(&mut facts, 2).await;
    assert!(reason.contains("called off before another try"), "{reason}");
    dialer.drain(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cancelled_before_a_dialer_took_it_is_not_dialed() {
    let world = World::new().await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    world.cancelled(1).await;
    let dialer = world
        .dialer(
            "late",
            routes([(ROUTE, world.script("call.sh", NOTE))]).await,
        )
        .await;
    let reason = refused(&mut facts, 1).await;
    assert!(reason.contains("cancelled"), "{reason}");
    assert_eq!(facts.stages(1), NOT_BEGUN);
    dialer.drain(PATIENCE).await;
    assert!(world.dialed().is_empty());
}
