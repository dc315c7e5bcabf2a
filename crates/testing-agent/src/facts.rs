//! Publishing the facts of one call, in order, until they are stored.

use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::Bus;
use ringdown_domain::{RunId, Team};
use ringdown_proto::v1::call_fact::{self, Step, Turn};
use ringdown_proto::v1::{CallFact, CallPath, Envelope, MediaQuality, envelope::Fact};
use ringdown_sip::{IncomingCall, MediaPath, MediaStats};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, error, warn};

use crate::metrics::Metrics;
use crate::trunk::cut;

/// Facts of one call that may wait for the bus.
const WAITING: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The call the facts are about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) team: Team,
    pub(crate) run: RunId,
    pub(crate) call_id: String,
    pub(crate) sip_call_id: String,
}

/// The way to the bus of one call's facts.
#[derive(Debug)]
pub(crate) struct Facts {
    about: About,
    bus: Bus,
    turns: u64,
    path: Option<CallPath>,
    waiting: mpsc::Sender<(String, Envelope)>,
    metrics: Arc<Metrics>,
}

impl Facts {
    /// Starts the call's publisher, which ends when this is dropped and everything is published, or
    /// when `give_up` is cancelled.
    pub(crate) fn start(
        about: About,
        bus: Bus,
        tasks: &TaskTracker,
        give_up: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (waiting, facts) = mpsc::channel(WAITING);
        let publisher = publish_all(bus.clone(), facts, give_up, Arc::clone(&metrics));
        tasks.spawn(publisher.in_current_span());
        Self {
            about,
            bus,
            turns: 0,
            path: None,
            waiting,
            metrics,
        }
    }

    pub(crate) async fn answered(&self, setup: Duration) {
        let setup_ms = millis(setup);
        self.send("answered", Step::Answered(call_fact::Answered { setup_ms }))
            .await;
    }

    /// A turn that does not fit is left to `recorded`, which carries all of them: the conversation
    /// does not wait for the bus.
    pub(crate) fn turn(&mut self, turn: Turn) {
        self.turns += 1;
        let waiting = self.envelope(&format!("turn:{}", self.turns), Step::Turn(turn));
        if self.waiting.try_send(waiting).is_err() {
            self.metrics.lost_facts.inc();
            debug!("a turn was not published: too many facts wait for the bus");
        }
    }

    /// The way the call took, for its end to tell.
    pub(crate) fn came(&mut self, arrived: CallPath, media: &MediaPath) {
        self.path = Some(CallPath {
            codec: media.codec.name().to_owned(),
            media_described: media.described.to_string(),
            media_seen: media.seen.map(|seen| seen.to_string()).unwrap_or_default(),
            ..arrived
        });
    }

    /// `ended` with the way the call took, if it was answered.
    pub(crate) async fn ended(&self, ended: call_fact::Ended) {
        let path = self.path.clone();
        let ended = call_fact::Ended { path, ..ended };
        self.send("ended", Step::Ended(ended)).await;
    }

    pub(crate) async fn recorded(&self, recorded: call_fact::Recorded) {
        self.send("recorded", Step::Recorded(recorded)).await;
    }

    async fn send(&self, name: &str, step: Step) {
        let waiting = self.envelope(name, step);
        if self.waiting.send(waiting).await.is_err() {
            self.metrics.lost_facts.inc();
            error!("a fact was lost: publishing was given up");
        }
    }

    fn envelope(&self, name: &str, step: Step) -> (String, Envelope) {
        let About {
            team,
            run,
            call_id,
            sip_call_id,
        } = &self.about;
        let fact = CallFact {
            run_id: run.0,
            call_id: call_id.clone(),
            sip_call_id: sip_call_id.clone(),
            step: Some(step),
        };
        let envelope = self.bus.envelope(team, Fact::Call(fact));
        (format!("{call_id}:{name}"), envelope)
    }
}

async fn publish_all(
    bus: Bus,
    mut facts: mpsc::Receiver<(String, Envelope)>,
    give_up: CancellationToken,
    metrics: Arc<Metrics>,
) {
    while let Some((message_id, envelope)) = facts.recv().await {
        let publishing = publish(&bus, &message_id, &envelope, &metrics);
        if give_up.run_until_cancelled(publishing).await.is_none() {
            facts.close();
            let mut lost = 1;
            while facts.recv().await.is_some() {
                lost += 1;
            }
            metrics.lost_facts.inc_by(lost);
            error!(
                message_id,
                lost, "facts were not published before the testing agent had to stop"
            );
            return;
        }
    }
}

/// Publishes until it succeeds. The message id makes repetition harmless.
async fn publish(bus: &Bus, message_id: &str, envelope: &Envelope, metrics: &Metrics) {
    let mut pause = FIRST_PAUSE;
    loop {
        match bus.publish(envelope, message_id).await {
            Ok(_) => return,
            Err(error @ ringdown_bus::Error::NoSubject) => {
                metrics.lost_facts.inc();
                error!(message_id, %error, "a fact cannot be published; this is a defect");
                return;
            }
            Err(error) => {
                metrics.publish_retries.inc();
                warn!(message_id, %error, "a fact is not published yet, will try again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// The wire form of the counters of a call.
pub(crate) fn quality(stats: &MediaStats) -> MediaQuality {
    MediaQuality {
        packets_sent: stats.packets_sent,
        packets_received: stats.packets_received,
        packets_lost: stats.lost,
        packets_late: stats.late,
        jitter_ms: stats.jitter_ms,
        max_send_lateness_ms: stats.max_send_lateness_ms,
    }
}

/// What is known of the way of a call before it is answered.
pub(crate) fn arrived(call: &IncomingCall) -> CallPath {
    CallPath {
        source: call.source().to_string(),
        contact: call.header("Contact").map(cut).unwrap_or_default(),
        ..CallPath::default()
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
