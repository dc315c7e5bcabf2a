//! Calls at providers whose dialer is gone: they are found again, or placed by the key of their attempt, and never twice.

use std::time::Duration;

use ringdown_proto::v1::dial_fact::Step;
use ringdown_testkit::carrier::{FakeCarrier, FakeKind, Fault};

use crate::accounts::{Platform, number, pending};
use crate::world::{PATIENCE, World};

/// Services that say nothing about a call that is not over, unless they have told its name.
const SILENT: [FakeKind; 2] = [FakeKind::Plivo, FakeKind::TriggerUrl];

#[test]
fn a_call_whose_dialer_died_before_the_answer_is_found_at_its_provider() {
    let survivors = tokio::runtime::Runtime::new().unwrap();
    let victims = tokio::runtime::Runtime::new().unwrap();
    let (world, platform, mut facts) = survivors.block_on(async {
        let world = World::new().await;
        let platform = Platform::start(&world.bus).await;
        let facts = world.facts().await;
        (world, platform, facts)
    });
    let victim = victims.block_on(platform.dialer(&world, "victim"));
    survivors.block_on(async {
        let mut fakes = Vec::new();
        for (run, kind) in (1..).zip(FakeKind::ALL) {
            let fake = FakeCarrier::start(kind);
            // It rings, and whoever asked never hears of it.
            fake.script([Fault::Delay(Duration::from_secs(3600))]);
            platform.account(run, &fake, |_| ());
            pending(&world, run, 12).await;
            fakes.push(fake);
        }
        for (run, fake) in (1..).zip(&fakes) {
            fake.until(|fake| fake.rings(&number(run)) == 1).await;
        }
        // Like kill -9: no task of its gets to say anything any more.
        victims.shutdown_background();
        let heir = platform.dialer(&world, "heir").await;
        for (run, fake) in (1..).zip(&fakes) {
            let outcome = facts.outcome(run).await;
            match &outcome {
                Step::Placed(placed) => {
                    // LiveKit's name of a call has its room behind it.
                    let id = &fake.calls()[0].id;
                    assert!(placed.provider_id.starts_with(id), "{placed:?}: {id}");
                }
                Step::Settled(settled) => {
                    assert!(
                        SILENT.contains(&fake.kind()),
                        "{:?}: {outcome:?}",
                        fake.kind()
                    );
                    assert_eq!(settled.outcome, "unknown", "{outcome:?}");
                }
                other => panic!("{:?}: {other:?}", fake.kind()),
            }
            assert_eq!(facts.producers(run)[..2], ["victim", "heir"]);
            assert_eq!(fake.all_rings(), 1, "{:?}", fake.kind());
        }
        heir.drain(PATIENCE).await;
    });
    drop(victim);
}

/// A dialer wrote that it was about to dial, and nothing reached the provider. Where the attempt's key makes it safe the
/// call is placed after all; elsewhere it cannot be known that nothing rang.
#[tokio::test(flavor = "multi_thread")]
async fn what_never_reached_the_provider_is_placed_where_that_is_safe() {
    let world = World::new().await;
    let platform = Platform::start(&world.bus).await;
    let mut facts = world.facts().await;
    let cases = [(FakeKind::Retell, true), (FakeKind::Twilio, false)];
    let mut fakes = Vec::new();
    for (run, (kind, _)) in (1..).zip(cases) {
        let fake = FakeCarrier::start(kind);
        platform.account(run, &fake, |_| ());
        pending(&world, run, 6).await;
        fakes.push(fake);
    }
    for _ in cases {
        world.about_to_dial().await;
    }
    let heir = platform.dialer(&world, "heir").await;
    for (run, ((kind, placed), fake)) in (1..).zip(cases.iter().zip(&fakes)) {
        let outcome = facts.outcome(run).await;
        match &outcome {
            Step::Placed(_) => assert!(placed, "{kind:?}"),
            Step::Settled(settled) => {
                assert_eq!((settled.outcome.as_str(), *placed), ("unknown", false));
                assert!(settled.reason.contains("looks"), "{settled:?}");
            }
            other => panic!("{kind:?}: {other:?}"),
        }
        assert_eq!(fake.all_rings(), u32::from(*placed), "{kind:?}");
    }
    heir.drain(PATIENCE).await;
}

/// The same, of a run that was cancelled meanwhile: no key makes it right to place that call.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_meanwhile_is_not_placed_by_an_heir() {
    let world = World::new().await;
    let platform = Platform::start(&world.bus).await;
    let mut facts = world.facts().await;
    let fake = FakeCarrier::start(FakeKind::Retell);
    platform.account(1, &fake, |_| ());
    pending(&world, 1, 60).await;
    world.about_to_dial().await;
    world.cancelled(1).await;
    let heir = platform.dialer(&world, "heir").await;
    fake.until(|fake| fake.requests() > 0).await;
    heir.drain(Duration::ZERO).await;
    let outcome = facts.outcome(1).await;
    assert!(matches!(outcome, Step::Settled(_)), "{outcome:?}");
    assert_eq!(fake.creates(), 0, "it was asked for again");
}
