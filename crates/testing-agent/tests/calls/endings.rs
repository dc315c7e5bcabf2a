//! Calls that end by something other than the conversation.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdown_bus::Heard;
use ringdown_domain::HolderId;
use ringdown_domain::run::Status;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{RunStatus, RunTransition};
use ringdown_sip::DialError;
use ringdown_voice::{Error, Synthesizer, VoiceOptions};

use crate::support::{RUN, Setup, TEAM, World, hear_speech, soon};

async fn cancel(world: &World, team: &str, run: i64) {
    enter(world, team, run, Status::Cancelled).await;
}

async fn enter(world: &World, team: &str, run: i64, status: Status) {
    let transition = RunTransition {
        run_id: run,
        status: RunStatus::from(status).into(),
        ..RunTransition::default()
    };
    let team = team.parse().unwrap();
    let envelope = world.bus.envelope(&team, Fact::Run(transition));
    let id = format!("{team}:{run}:{status}");
    world.bus.publish(&envelope, &id).await.unwrap();
}

/// The platform took it for lost and gave the slot away: a second call may be up already.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_run_has_failed_is_hung_up_on() {
    let mut world = Setup::default().start().await;
    let call = world.dial().await.unwrap();
    hear_speech(&call).await;
    enter(&world, "another-team", RUN, Status::Failed).await;
    enter(&world, TEAM, RUN, Status::Failed).await;
    soon("the end of the call", call.ended()).await;
    let (_, ended, _) = world.report().await;
    assert_eq!(ended.reason, "Testing agent-lost");
    world.stop().await;
}

/// Says whose the calls are, lives as long as it works, and says goodbye when all is reported.
#[tokio::test(flavor = "multi_thread")]
async fn a_testing_agent_is_heard_under_the_name_it_holds_calls_by_until_it_is_drained() {
    let mut world = Setup::default().start().await;
    let mut heartbeats = world.bus.heartbeats().await.unwrap();
    let _call = world.dial().await.unwrap();
    let holder: HolderId = world.request().await.holder.parse().unwrap();
    let heard = soon("a heartbeat", heartbeats.next()).await;
    assert_eq!(heard, Some(Heard::Alive(holder.clone())));
    let agent = world.agent.take().unwrap();
    agent.drain(Duration::ZERO).await;
    let left = Some(Heard::Left(holder));
    soon("the goodbye", async {
        while heartbeats.next().await != left {}
    })
    .await;
    let (names, ..) = world.report().await;
    assert_eq!(names.last(), Some(&"recorded"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_hung_up_on() {
    let mut world = Setup::default().start().await;
    let call = world.dial().await.unwrap();
    hear_speech(&call).await;
    cancel(&world, "another-team", RUN).await;
    cancel(&world, TEAM, RUN + 1).await;
    cancel(&world, TEAM, RUN).await;
    soon("the end of the call", call.ended()).await;
    let (names, ended, recorded) = world.report().await;
    assert_eq!(names.first(), Some(&"answered"));
    assert_eq!(ended.reason, "run-cancelled-by-user");
    assert!(!recorded.recording.is_empty());
    world.stop().await;
}

/// A voice that is not there, or never comes to an end.
#[derive(Debug)]
struct Broken {
    hangs: bool,
}

#[async_trait]
impl Synthesizer for Broken {
    async fn identity(&self) -> Result<String, Error> {
        Ok("broken".to_owned())
    }

    async fn synthesize(&self, _: &str, _: &VoiceOptions) -> Result<Arc<[i16]>, Error> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(Error::MissingTool {
            tool: "flite".to_owned(),
            install: "apt-get install flite",
        })
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testing_agent_without_a_voice_refuses_and_says_what_to_install() {
    let mut world = Setup {
        synthesizer: Arc::new(Broken { hangs: false }),
        ..Setup::default()
    }
    .start()
    .await;
    match world.dial().await {
        Err(DialError::Refused { status: 500, .. }) => {}
        other => panic!("expected a refusal: {other:?}"),
    }
    let (names, ended, recorded) = world.report().await;
    assert_eq!(names, ["ended", "recorded"]);
    assert_eq!(ended.reason, "sip-call-failed");
    assert!(recorded.recording.is_empty());
    let why = recorded.missing_reason;
    assert!(why.contains("apt-get install flite"), "{why}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_before_the_answer_is_reported() {
    let mut world = Setup {
        synthesizer: Arc::new(Broken { hangs: true }),
        ..Setup::default()
    }
    .start()
    .await;
    let mut request = world.dial_request();
    request.ring_timeout = Duration::from_secs(1);
    match world.dial_with(request).await {
        Err(DialError::NoAnswer) => {}
        other => panic!("expected ringing without an answer: {other:?}"),
    }
    let (names, ended, recorded) = world.report().await;
    assert_eq!(names, ["ended", "recorded"]);
    assert_eq!(ended.reason, "call-canceled");
    assert!(recorded.missing_reason.contains("gave up"));
    assert!(world.recordings_left().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cancelled_while_its_call_rings_is_refused() {
    let mut world = Setup {
        synthesizer: Arc::new(Broken { hangs: true }),
        ..Setup::default()
    }
    .start()
    .await;
    let ((), dialed) = tokio::join!(cancel(&world, TEAM, RUN), world.dial());
    match dialed {
        Err(DialError::Refused { status: 480, .. }) => {}
        other => panic!("expected a refusal: {other:?}"),
    }
    let (_, ended, _) = world.report().await;
    assert_eq!(ended.reason, "run-cancelled-by-user");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_cannot_be_stored_is_set_aside_and_the_reason_reported() {
    let mut world = Setup {
        sink_fails: true,
        ..Setup::default()
    }
    .start()
    .await;
    let call = world.dial().await.unwrap();
    hear_speech(&call).await;
    call.hang_up().await;
    let (_, ended, recorded) = world.report().await;
    assert_eq!(ended.reason, "Main agent-ended-call");
    assert!(recorded.recording.is_empty());
    let why = recorded.missing_reason;
    assert!(why.contains("the artefact store is full"), "{why}");
    let left = world.recordings_left();
    assert!(
        matches!(left.as_slice(), [kept] if kept.to_string_lossy().contains("set-aside")),
        "{left:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_dies_during_a_call_loses_nothing() {
    let mut world = Setup::default().start().await;
    let call = world.dial().await.unwrap();
    hear_speech(&call).await;
    let pid = world.server.pid();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    call.hang_up().await;
    let (names, ended, recorded) = world.report().await;
    assert_eq!(names, ["answered", "turn", "ended", "recorded"]);
    assert_eq!(ended.reason, "Main agent-ended-call");
    assert!(world.artefact(&recorded.recording).is_file());
    assert_ne!(world.server.pid(), pid);
    // Cancellations are followed again.
    let call = world.dial().await.unwrap();
    cancel(&world, TEAM, RUN).await;
    soon("the end of the call", call.ended()).await;
    let (_, ended, _) = world.report().await;
    assert_eq!(ended.reason, "run-cancelled-by-user");
    world.stop().await;
}
