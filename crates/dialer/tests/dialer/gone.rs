//! Runs whose dialer is gone: they are taken over, and nobody calls a second time.

use std::collections::VecDeque;
use std::time::Duration;

use ringdown_bus::now;
use ringdown_dialer::Options;
use ringdown_domain::dial::Stage;
use ringdown_proto::v1::dial_fact::{Claimed, Followed, Intended, Placed, Settled, Step};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{
    Facts, NOTE, PATIENCE, ROUTE, World, attempt_on, connect, gated, options, routes, within,
};

fn claimed() -> Step {
    Step::Claimed(Claimed {
        worker: "gone".to_owned(),
    })
}

fn refused(step: Step) -> String {
    match step {
        Step::NotPlaced(refused) => refused.reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn settled(step: Step) -> Settled {
    match step {
        Step::Settled(settled) => settled,
        other => panic!("not settled: {other:?}"),
    }
}

/// The run of a dialer that claimed it and died: taken over, as the window allows.
async fn inherited(window: Duration) -> (World, Facts, Step) {
    let world = World::new().await;
    let mut facts = world.facts().await;
    let closes_at = now().plus(window).as_micros();
    world
        .pending_with(1, |run| run.closes_at_us = closes_at)
        .await;
    let taken = world.take().await.envelope.clone();
    world.foreign(&taken, claimed()).await;
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let heir = world.dialer("heir", routes).await;
    let outcome = facts.outcome(1).await;
    heir.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.attempts(1), [attempt_on(&taken)]);
    (world, facts, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_a_dialer_that_died_after_its_claim_is_dialed_by_its_heir() {
    let (world, facts, outcome) = inherited(PATIENCE).await;
    assert!(matches!(outcome, Step::Placed(_)), "{outcome:?}");
    assert_eq!(facts.stages(1), [Stage::Intended, Stage::Placed]);
    assert_eq!(world.dialed(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_heir_that_comes_too_late_fences_the_dead_off_and_says_so() {
    // Taken by the heir after a second, when less than the half second that a ring is worth is left.
    let (world, mut facts, outcome) = inherited(Duration::from_millis(1300)).await;
    let reason = refused(outcome);
    assert!(reason.contains("no time to ring"), "{reason}");
    let Step::Intended(fence) = facts.stage(1, Stage::Intended).await else {
        panic!("not an intention")
    };
    assert!(fence.fence, "the dead dialer could still dial");
    assert_eq!(facts.stages(1), [Stage::Intended, Stage::NotPlaced]);
    assert!(world.dialed().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialer_that_died_after_its_intention_leaves_an_unknown_outcome() {
    let world = World::new().await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    world.about_to_dial().await;
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let dialer = world.dialer("heir", routes).await;
    let settled = settled(facts.outcome(1).await);
    assert_eq!(settled.outcome, "unknown");
    assert!(settled.reason.contains("not dialed again"), "{settled:?}");
    dialer.drain(PATIENCE).await;
    assert!(world.dialed().is_empty());
}

/// A provider's callback came before the dialer that was killed could say that the call was placed.
#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_call_tell_that_it_was_placed() {
    let world = World::new().await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    let taken = world.about_to_dial().await;
    let news = Step::Followed(Followed {
        provider_id: "call-7".to_owned(),
        state: "ringing".to_owned(),
        ..Followed::default()
    });
    world.foreign(&taken, news).await;
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let heir = world.dialer("heir", routes).await;
    match facts.stage(1, Stage::Placed).await {
        Step::Placed(placed) => assert_eq!(placed.provider_id, "call-7"),
        other => panic!("{other:?}"),
    }
    heir.drain(PATIENCE).await;
    assert!(world.dialed().is_empty());
}

#[test]
fn a_dialer_that_dies_in_the_middle_of_a_dial_is_not_repeated() {
    let survivors = tokio::runtime::Runtime::new().unwrap();
    let victims = tokio::runtime::Runtime::new().unwrap();
    let world = survivors.block_on(World::new());
    let (gated_routes, mut gate) = gated();
    let victim = victims.block_on(world.dialer_with("victim", options(gated_routes)));
    survivors.block_on(async {
        let mut facts = world.facts().await;
        world.pending(1).await;
        assert_eq!(gate.dialing().await, 1);
        // Like kill -9: no task of its gets to say anything any more.
        victims.shutdown_background();
        let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
        let heir = world.dialer("heir", routes).await;
        assert_eq!(settled(facts.outcome(1).await).outcome, "unknown");
        heir.drain(PATIENCE).await;
        assert!(world.dialed().is_empty());
        assert_eq!(
            facts.producers(1),
            ["victim", "heir"],
            "who intended and settled"
        );
    });
    drop(victim);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialer_that_died_after_its_report_leaves_nothing_to_say() {
    let world = World::new().await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    let taken = world.take().await;
    world.foreign(&taken.envelope, claimed()).await;
    let intended = Step::Intended(Intended { fence: false });
    world.foreign(&taken.envelope, intended).await;
    let placed = Step::Placed(Placed::default());
    world.foreign(&taken.envelope, placed).await;
    // Transitions that come again are handed out before new ones.
    taken.again_after(Duration::ZERO).await.unwrap();
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let dialer = world.dialer("heir", routes).await;
    let again = world.pending(2).await;
    facts.outcome(2).await;
    dialer.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.stages(1), [Stage::Intended, Stage::Placed]);
    assert_eq!(facts.attempts(2), [attempt_on(&again)]);
    assert_eq!(world.dialed(), [2]);
}

/// A dialer was paused, and wakes up to find an intention written in its place. It dials nothing and says nothing; the
/// transition comes again to whoever answers for it, and that one says this.
async fn overtaken(fence: bool) -> Step {
    let world = World::new().await;
    let mut facts = world.facts().await;
    let pending = world.pending_envelope(1);
    world
        .foreign(&pending, Step::Intended(Intended { fence }))
        .await;
    world.bus.publish(&pending, "1").await.unwrap();
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let dialer = world.dialer("late", routes).await;
    let outcome = facts.outcome(1).await;
    dialer.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.stages(1).len(), 2, "{:?}", facts.stages(1));
    assert!(world.dialed().is_empty());
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialer_that_was_overtaken_does_not_dial() {
    let reason = refused(overtaken(true).await);
    assert!(reason.contains("nothing was dialed"), "{reason}");
    let settled = settled(overtaken(false).await);
    assert_eq!(settled.outcome, "unknown", "{settled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dial_came_to_survives_a_restart_of_the_bus() {
    let world = World::new().await;
    let (routes, mut gate) = gated();
    let dialer = world.dialer("only", routes).await;
    world.pending(1).await;
    assert_eq!(gate.dialing().await, 1);
    let killed = world.server.pid();
    let pid = Pid::from_raw(i32::try_from(killed).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    gate.open(2);
    let bus = within(async {
        while world.server.pid() == killed {
            tokio::task::yield_now().await;
        }
        connect(world.server.url(), "observer").await
    })
    .await;
    let mut facts = world.facts_from(&bus).await;
    let outcome = facts.outcome(1).await;
    assert!(matches!(outcome, Step::Placed(_)), "{outcome:?}");
    dialer.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.stages(1), [Stage::Intended, Stage::Placed]);
    assert_eq!(gate.unseen(), 0);
}

/// A way to the bus that breaks right after it has carried the first message to each of `subjects`:
/// the server has it, and its confirmation is lost.
async fn breaking_way(url: &str, subjects: [&'static str; 2]) -> String {
    let (credentials, server) = url.rsplit_once('@').unwrap();
    let server = server.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut breaks: VecDeque<&str> = subjects.into();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&server).await.unwrap();
            carry(client, server, &mut breaks).await;
        }
    });
    format!("{credentials}@{address}")
}

/// Carries until either side closes, or the next break is due.
async fn carry(mut client: TcpStream, mut server: TcpStream, breaks: &mut VecDeque<&str>) {
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let read = read.unwrap_or(0);
                if read == 0 || server.write_all(&up[..read]).await.is_err() {
                    return;
                }
                let text = String::from_utf8_lossy(&up[..read]);
                if breaks.front().is_some_and(|subject| text.contains(subject)) {
                    breaks.pop_front();
                    // Waits for the server's answer, so that it has certainly been stored.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let read = read.unwrap_or(0);
                if read == 0 || client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intention_whose_confirmation_was_lost_is_kept() {
    let world = World::new().await;
    let subjects = ["rd.v1.dial.team.1.intended", "rd.v1.dial.team.1.placed"];
    let way = breaking_way(world.server.url(), subjects).await;
    let routes = routes([(ROUTE, world.script("call.sh", NOTE))]).await;
    let options = Options {
        ack_wait: PATIENCE,
        ..options(routes)
    };
    let dialer = world.dialer_at(&way, "only", options).await;
    let mut facts = world.facts().await;
    world.pending(1).await;
    let outcome = facts.outcome(1).await;
    assert!(matches!(outcome, Step::Placed(_)), "{outcome:?}");
    dialer.drain(PATIENCE).await;
    facts.everything(&world).await;
    assert_eq!(facts.stages(1), [Stage::Intended, Stage::Placed]);
    assert_eq!(world.dialed(), [1]);
}
