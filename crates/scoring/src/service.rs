use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::{Bus, Delivery, Stream, Workers, WorkersOptions, subject};
use ringdown_domain::Team;
use ringdown_domain::call::EndedReason;
use ringdown_proto::v1::call_fact::{Recorded, Step, Turn};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{CallFact, Envelope, MediaQuality, Metric as WireMetric, ScoreFact};
use ringdown_store::{Artefacts, Error as StoreError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::{Error, Options, Scorecard, Speaker};

/// Scoring one recording must not take longer; the bus hands it to another scorer then.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// A recording that cannot be read is asked for again after this, this often.
const AGAIN: Duration = Duration::from_secs(2);
const MAX_TRIES: u64 = 10;

/// Lateness of our own sending that makes a result the harness's fault, in milliseconds.
const OVERLOADED_MS: f64 = 60.0;

/// How a scorer works.
#[derive(Clone, Copy, Debug)]
pub struct ScorerOptions {
    /// Recordings scored at once, at least 1.
    pub concurrency: usize,
    /// The limits of the judgement.
    pub scoring: Options,
}

/// The scoring role: from recordings to scores.
pub struct Scorer {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Scorer {
    /// Joins the scorers on this bus.
    ///
    /// # Errors
    /// The bus cannot be used.
    pub async fn start(
        bus: &Bus,
        artefacts: Artefacts,
        options: ScorerOptions,
    ) -> Result<Self, ringdown_bus::Error> {
        let workers = bus
            .workers(WorkersOptions {
                stream: Stream::Calls,
                durable: "scorers".to_owned(),
                filter: subject::calls("recorded"),
                ack_wait: ACK_WAIT,
                max_in_flight: 1000,
                batch: 1,
            })
            .await?;
        let stop = CancellationToken::new();
        let service = Service {
            bus: bus.clone(),
            artefacts,
            options,
        };
        let task = tokio::spawn(service.run(workers, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Takes no new recordings and finishes those begun, until `deadline`.
    pub async fn drain(self, deadline: Duration) {
        self.stop.cancel();
        let mut task = self.task;
        if tokio::time::timeout(deadline, &mut task).await.is_err() {
            warn!("scoring did not finish in time; what is left is scored by the next scorer");
            task.abort();
        }
    }
}

#[derive(Clone)]
struct Service {
    bus: Bus,
    artefacts: Artefacts,
    options: ScorerOptions,
}

impl Service {
    async fn run(self, mut workers: Workers, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.options.concurrency.max(1)));
        let mut working = JoinSet::new();
        loop {
            while working.try_join_next().is_some() {}
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                Some((permit, workers.next().await))
            };
            let Some(Some((permit, delivery))) = stop.run_until_cancelled(next).await else {
                break;
            };
            let service = self.clone();
            let span = info_span!(parent: &delivery.span, "score");
            let work = async move {
                service.take(delivery).await;
                drop(permit);
            };
            working.spawn(work.instrument(span));
        }
        while let Some(ended) = working.join_next().await {
            if let Err(panic) = ended {
                error!(%panic, "scoring panicked");
            }
        }
    }

    async fn take(&self, delivery: Delivery) {
        let answered = match self.score(&delivery.envelope, delivery.delivered).await {
            Ok(()) => delivery.done().await,
            Err(reason) => {
                warn!(event = %delivery.envelope.event_id, %reason, "cannot score yet, will try again");
                delivery.again_after(AGAIN).await
            }
        };
        if let Err(error) = answered {
            debug!(%error, "a recording will be scored again");
        }
    }

    /// Scores and publishes. An error asks for another try; whatever is final is published.
    async fn score(&self, envelope: &Envelope, tries: u64) -> Result<(), String> {
        let (Some(Fact::Call(call)), Ok(team)) = (&envelope.fact, envelope.team.parse::<Team>())
        else {
            return Ok(());
        };
        let Some(Step::Recorded(recorded)) = &call.step else {
            return Ok(());
        };
        let scorable =
            EndedReason::parse(&recorded.ended_reason).is_none_or(EndedReason::is_scorable);
        let fact = if !scorable {
            // The run has failed already, with a better reason than a score could give.
            return Ok(());
        } else if recorded.recording.is_empty() {
            unscorable(call, &recorded.missing_reason)
        } else {
            match self.artefacts.get(&recorded.recording).await {
                Ok(wav) => self.judge(call, recorded, wav.into()).await?,
                Err(error @ StoreError::NotFound { .. }) => unscorable(call, &error.to_string()),
                Err(error) if tries >= MAX_TRIES => unscorable(call, &error.to_string()),
                Err(error) => return Err(error.to_string()),
            }
        };
        info!(run = fact.run_id, success = fact.success, "scored");
        let id = format!("score:{}", call.call_id);
        let fact = self.bus.envelope(&team, Fact::Score(fact));
        self.bus
            .publish(&fact, &id)
            .await
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    async fn judge(
        &self,
        call: &CallFact,
        recorded: &Recorded,
        wav: Vec<u8>,
    ) -> Result<ScoreFact, String> {
        let scoring = self.options.scoring;
        let scored = tokio::task::spawn_blocking(move || crate::score(&wav, &scoring))
            .await
            .map_err(|panic| format!("scoring panicked: {panic}"))?;
        Ok(match scored {
            Ok(card) => fact(call, recorded, &card),
            Err(Error::Empty) => ScoreFact {
                reasons: vec!["the call ended before any audio was recorded".to_owned()],
                duration_ms: recorded.duration_ms,
                ..of(call)
            },
            Err(error) => unscorable(call, &error.to_string()),
        })
    }
}

fn of(call: &CallFact) -> ScoreFact {
    ScoreFact {
        run_id: call.run_id,
        call_id: call.call_id.clone(),
        ..ScoreFact::default()
    }
}

fn unscorable(call: &CallFact, why: &str) -> ScoreFact {
    ScoreFact {
        unscorable_reason: format!("Testing agent-recording-absent: {why}"),
        ..of(call)
    }
}

fn fact(call: &CallFact, recorded: &Recorded, card: &Scorecard) -> ScoreFact {
    let verdict = card.success();
    let mut metrics: Vec<WireMetric> = card
        .metrics()
        .into_iter()
        .map(|metric| WireMetric {
            code: metric.code,
            name: metric.name,
            kind: metric.kind.label().to_owned(),
            value: metric.value,
            unit: metric.unit,
            passed: metric.passed,
            explanation: metric.explanation,
            percentiles: metric.percentiles,
        })
        .collect();
    metrics.extend(
        recorded
            .media
            .as_ref()
            .map(media_metrics)
            .into_iter()
            .flatten(),
    );
    ScoreFact {
        success: verdict.passed,
        reasons: verdict.reasons,
        metrics,
        turns: turns(card, recorded),
        duration_ms: recorded.duration_ms,
        ..of(call)
    }
}

/// The turns heard in the recording, with the testing agent's words where they are known.
fn turns(card: &Scorecard, recorded: &Recorded) -> Vec<Turn> {
    let milliseconds = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    card.turns
        .iter()
        .map(|turn| {
            let (start_ms, end_ms) = (milliseconds(turn.start_ms), milliseconds(turn.end_ms));
            let spoken = recorded.turns.iter().filter(|said| {
                said.speaker == turn.speaker.label()
                    && said.start_ms < end_ms
                    && start_ms < said.end_ms
            });
            let words: Vec<&str> = spoken.map(|said| said.text.as_str()).collect();
            Turn {
                speaker: turn.speaker.label().to_owned(),
                start_ms,
                end_ms,
                text: if turn.speaker == Speaker::TestingAgent {
                    words.join(" ")
                } else {
                    String::new()
                },
            }
        })
        .collect()
}

/// What the network and the harness did to the audio, so that neither is blamed on the agent.
fn media_metrics(media: &MediaQuality) -> Vec<WireMetric> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "packet counts are far below 2^53"
    )]
    let loss = {
        let expected = media.packets_received + media.packets_lost;
        (expected > 0).then(|| media.packets_lost as f64 * 100.0 / expected as f64)
    };
    let late = media.max_send_lateness_ms;
    let overloaded = late > OVERLOADED_MS;
    let metric = |code: &str, name: &str, value, unit: &str, explanation| WireMetric {
        code: code.to_owned(),
        name: name.to_owned(),
        kind: "numeric".to_owned(),
        value,
        unit: unit.to_owned(),
        explanation,
        ..WireMetric::default()
    };
    vec![
        metric(
            "rtp_packet_loss",
            "RTP packet loss",
            loss,
            "%",
            loss.map_or_else(
                || "no RTP arrived".to_owned(),
                |loss| format!("{loss:.2} % of the agent's packets were lost"),
            ),
        ),
        metric(
            "rtp_jitter",
            "RTP jitter",
            Some(media.jitter_ms),
            "ms",
            format!("{:.1} ms interarrival jitter (RFC 3550)", media.jitter_ms),
        ),
        metric(
            "harness_lag",
            "Harness lag",
            Some(late),
            "ms",
            if overloaded {
                format!(
                    "the testing agent sent up to {late:.0} ms late: it was overloaded, do not trust the latencies"
                )
            } else {
                format!("the testing agent sent at most {late:.1} ms late")
            },
        ),
    ]
}
