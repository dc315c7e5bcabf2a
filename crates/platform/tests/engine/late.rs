//! What was reported in time counts, even if the platform was away while it was.

use std::time::Duration;

use ringdown_bus::{Stream, WorkersOptions, now, subject};
use ringdown_domain::call::EndedReason;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{CallId, Presented, RunId, Timestamp};
use ringdown_store::{Arrival, RunPatch, Store};

use ringdown_proto::v1::MatchRequest;

use crate::world::{CALLER, NUMBER, World, ended, number, request, scored};

/// A call that was answered at `then`.
async fn answer(db: &dyn Store, name: &str, then: Timestamp) -> RunId {
    let call = IncomingCall {
        call: CallId(name.to_owned()),
        from: Ok(number(CALLER)),
        to: Ok(number(NUMBER)),
        hint: None,
        presented: Presented::default(),
    };
    let arrival = Arrival {
        attempt_id: name.to_owned(),
        from_raw: CALLER.to_owned(),
        to_raw: NUMBER.to_owned(),
        source: "192.0.2.1:5060".to_owned(),
        sip_call_id: String::new(),
        holder: None,
    };
    let matched = db.match_call(call, arrival, then).await.unwrap();
    matched.run.unwrap().id
}

/// The testing agent had given up waiting for an answer when the call was matched: its run hears of
/// it instead of waiting for the deadline of a call that never was.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_given_up_while_it_was_matched_fails_its_run_at_once() {
    let world = World::start().await;
    world.limit(1).await;
    let mut seen = world.transitions().await;
    let runs = world.trigger(2).await.1;
    let matched = world.arrives("call", CALLER, NUMBER).await;
    assert_eq!(matched.run_id, runs[0].id.0);
    let given_up = MatchRequest {
        decided_verdict: "at_capacity".to_owned(),
        given_up: true,
        ..request("call", CALLER, NUMBER)
    };
    world.ask(&given_up).await;
    let over = seen.until(runs[0].id, Status::Failed).await;
    assert!(!over.error_message.is_empty());
    seen.until(runs[1].id, Status::Pending).await;
    let rows = world.attempts().await;
    assert!(
        rows[0].row.explanation.contains("did not answer in time"),
        "{rows:?}"
    );
    world.close().await;
}

/// The platform was away until long after the deadlines of a live run and of one being scored. What
/// ends them came while it was away, or comes just after it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passed_while_the_platform_was_away_ends_no_run_that_was_reported() {
    let mut world = World::start().await;
    let mut seen = world.transitions().await;
    let first = world.trigger(1).await.1[0].id;
    seen.until(first, Status::Pending).await;
    let then = Timestamp::from_micros(now().as_micros() - 600_000_000);
    let (bus, org, batch) = (world.bus.clone(), world.org.id, world.new_batch(2));
    let team = "team".parse().unwrap();
    let (mut live, mut evaluating) = (first, first);
    world
        .restart(async |db| {
            let cancel = Event::Cancelled {
                reason: String::new(),
            };
            let patch = RunPatch::default();
            db.transition(first, cancel, patch.clone(), now())
                .await
                .unwrap();
            db.trigger(batch, then).await.unwrap();
            db.admit(org, then).await.unwrap();
            live = answer(db, "live", then).await;
            evaluating = answer(db, "evaluating", then).await;
            let over = Event::CallEnded {
                call: CallId("evaluating".to_owned()),
                ended: EndedReason::MainAgentEnded,
            };
            db.transition(evaluating, over, patch, then).await.unwrap();
            let over = ended(live, "live", EndedReason::MainAgentEnded);
            bus.publish(&bus.envelope(&team, over), "e").await.unwrap();
        })
        .await;
    seen.until(evaluating, Status::Evaluating).await;
    seen.until(live, Status::Evaluating).await;
    for (run, call) in [(live, "live"), (evaluating, "evaluating")] {
        world.publish(scored(run, call, true), call).await;
        seen.until(run, Status::Completed).await;
    }
    world.close().await;
}

/// A platform died with the end of a call in its hands, so that it comes again much later than the
/// score.
#[tokio::test(flavor = "multi_thread")]
async fn a_score_waits_for_the_end_of_its_call_however_long_that_takes() {
    let mut world = World::start().await;
    let mut seen = world.transitions().await;
    let live = world.trigger(1).await.1[0].id;
    world.arrives("call", CALLER, NUMBER).await;
    seen.until(live, Status::InProgress).await;
    let bus = world.bus.clone();
    let team = "team".parse().unwrap();
    world
        .restart(async |_| {
            let over = ended(live, "call", EndedReason::MainAgentEnded);
            bus.publish(&bus.envelope(&team, over), "e").await.unwrap();
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
            workers
                .next()
                .await
                .again_after(Duration::from_secs(22))
                .await
                .unwrap();
        })
        .await;
    world.publish(scored(live, "call", true), "s").await;
    seen.until(live, Status::Evaluating).await;
    seen.until(live, Status::Completed).await;
    world.close().await;
}
