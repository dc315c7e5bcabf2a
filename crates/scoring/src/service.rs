use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::{Bus, Delivery, Stream, Workers, WorkersOptions, subject};
use ringdown_domain::Team;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::SCORING_TIME;
use ringdown_proto::v1::call_fact::{Recorded, Step, Turn};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{CallFact, Envelope, MediaQuality, Metric as WireMetric, ScoreFact};
use ringdown_store::{Artefacts, Error as StoreError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::{Error, Options, Scorecard, Speaker};

/// A scorer that was silent for this long is taken for gone: its recordings go to another one. One that
/// works says so three times as often.
const ACK_WAIT: Duration = Duration::from_secs(15);

/// How long reading a recording, and judging it, may take. An hour of call is judged in about 11 s.
const READ: Duration = Duration::from_secs(15);
const JUDGE: Duration = Duration::from_secs(40);
const _: () = assert!(READ.as_secs() + JUDGE.as_secs() < SCORING_TIME.as_secs());

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
        let scoring = self.score(&delivery.envelope, delivery.delivered);
        let answered = match delivery.kept_alive(ACK_WAIT / 3, scoring).await {
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
            absent(call, &recorded.missing_reason)
        } else {
            let reading = self.artefacts.get(&recorded.recording);
            let unread = match tokio::time::timeout(READ, reading).await {
                Ok(Ok(wav)) => Ok(wav),
                Ok(Err(error @ StoreError::NotFound { .. })) => Err((error.to_string(), true)),
                Ok(Err(error)) => Err((error.to_string(), false)),
                Err(_) => {
                    let why = format!("the recording was not read within {} s", READ.as_secs());
                    Err((why, false))
                }
            };
            match unread {
                Ok(wav) => self.judge(call, recorded, wav.into()).await,
                Err((why, is_final)) if is_final || tries >= MAX_TRIES => absent(call, &why),
                Err((why, _)) => return Err(why),
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

    async fn judge(&self, call: &CallFact, recorded: &Recorded, wav: Vec<u8>) -> ScoreFact {
        let scoring = self.options.scoring;
        match within(JUDGE, move || crate::score(&wav, &scoring)).await {
            Ok(Ok(card)) => fact(call, recorded, &card),
            Ok(Err(Error::Empty)) => ScoreFact {
                reasons: vec!["the call ended before any audio was recorded".to_owned()],
                duration_ms: recorded.duration_ms,
                ..of(call)
            },
            Ok(Err(error)) => absent(call, &error.to_string()),
            // The same recording would do the same to the next scorer.
            Err(why) => ScoreFact {
                unscorable_reason: why,
                ..of(call)
            },
        }
    }
}

/// Works on another thread for at most `limit`. Work that takes longer is left to itself: it cannot be
/// stopped, but nothing waits for it any more.
async fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(panic)) => {
            error!(%panic, "scoring a recording failed; this is a defect");
            Err(format!("scoring the recording failed: {panic}"))
        }
        Err(_) => {
            let seconds = limit.as_secs_f64();
            error!(seconds, "scoring a recording takes too long");
            Err(format!(
                "scoring did not come to an end within {seconds} s: the scorer is overloaded, or hangs \
                 on this recording"
            ))
        }
    }
}

fn of(call: &CallFact) -> ScoreFact {
    ScoreFact {
        run_id: call.run_id,
        call_id: call.call_id.clone(),
        ..ScoreFact::default()
    }
}

fn absent(call: &CallFact, why: &str) -> ScoreFact {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_or_panics_is_given_up_with_a_reason() {
        let limit = Duration::from_millis(50);
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let hung = within(limit, move || ends.recv().is_err()).await;
        drop(end);
        let why = hung.unwrap_err();
        assert!(
            why.contains("did not come to an end within 0.05 s"),
            "{why}"
        );
        let panicked: Result<(), String> =
            within(Duration::from_secs(20), || panic!("on purpose")).await;
        let why = panicked.unwrap_err();
        assert!(why.contains("failed"), "{why}");
        assert_eq!(within(Duration::from_secs(20), || 7).await, Ok(7));
    }
}
