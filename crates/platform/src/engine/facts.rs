//! Applies what other roles report: call endings, recordings, scores and dial outcomes.

use std::sync::Arc;
use std::time::Duration;

use ringdown_bus::{Delivery, Stream, Workers, WorkersOptions, now, subject};
use ringdown_domain::call::EndedReason;
use ringdown_domain::dial::{Ending, Stage};
use ringdown_domain::run::Event;
use ringdown_domain::{E164, Presented, RunId};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{CallFact, DialFact, Envelope, ScoreFact, call_fact, dial_fact};
use ringdown_store::{AttemptKind, Error as StoreError, NewAttempt, Run, RunPatch};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, warn};

use super::Engine;
use super::clip::{SENTENCE, clip};
use crate::Error;
use crate::call_note::CallNote;
use crate::score::Score;

const ACK_WAIT: Duration = Duration::from_secs(30);

/// Facts of one consumer that are applied at once.
const AT_ONCE: usize = 64;

/// Facts of one consumer that may wait for their answer, over all platforms.
const IN_FLIGHT: u32 = 256;

/// Durable consumers of the facts that end a run.
const ENDED: &str = "platform-ended";
const SCORES: &str = "platform-scores";

/// Facts about one call come through different consumers, so a score may be seen before the end of
/// the call was applied: as much earlier as a redelivery takes. Such a fact comes again this much later
/// at first, and as often as needed, because the run it waits for has a deadline.
const EARLY: Duration = Duration::from_millis(200);
const LONGEST_EARLY: Duration = Duration::from_secs(2);

/// What became of a fact.
enum Applied {
    Done,
    /// It does not fit the run's state yet.
    Early,
}

pub(super) struct Service {
    consumers: Vec<Workers>,
}

/// Whether reports that could end a live run wait to be applied.
pub(super) async fn are_unread(engine: &Engine) -> Result<bool, Error> {
    for (stream, durable) in [(Stream::Calls, ENDED), (Stream::Scores, SCORES)] {
        if engine.0.bus.backlog(stream, durable).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Service {
    pub(super) async fn start(engine: &Engine) -> Result<Self, Error> {
        let consumer = |stream: Stream, durable: &str, filter: String| WorkersOptions {
            stream,
            durable: durable.to_owned(),
            filter,
            ack_wait: ACK_WAIT,
            max_in_flight: IN_FLIGHT,
            batch: AT_ONCE,
        };
        let all = |stream: Stream| stream.subjects().to_owned();
        let wanted = [
            consumer(Stream::Calls, ENDED, subject::calls("ended")),
            consumer(
                Stream::Calls,
                "platform-recorded",
                subject::calls("recorded"),
            ),
            consumer(Stream::Scores, SCORES, all(Stream::Scores)),
            consumer(Stream::Dials, "platform-dials", all(Stream::Dials)),
        ];
        let mut consumers = Vec::with_capacity(wanted.len());
        for options in wanted {
            consumers.push(engine.0.bus.workers(options).await?);
        }
        Ok(Self { consumers })
    }

    pub(super) async fn run(self, engine: Engine, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        for mut consumer in self.consumers {
            let (engine, stop) = (engine.clone(), stop.clone());
            loops.spawn(async move {
                // Facts about one run may be applied in any order, so none has to wait for another.
                let permits = Arc::new(Semaphore::new(AT_ONCE));
                let mut working = JoinSet::new();
                loop {
                    while working.try_join_next().is_some() {}
                    let next = async {
                        let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                        Some((permit, consumer.next().await))
                    };
                    let Some(Some((permit, delivery))) = stop.run_until_cancelled(next).await
                    else {
                        break;
                    };
                    let (engine, span) = (engine.clone(), delivery.span.clone());
                    let work = async move {
                        take(&engine, delivery).await;
                        drop(permit);
                    };
                    working.spawn(work.instrument(span));
                }
                while working.join_next().await.is_some() {}
            });
        }
        while loops.join_next().await.is_some() {}
    }
}

async fn take(engine: &Engine, delivery: Delivery) {
    let answered = match apply(engine, &delivery.envelope).await {
        Ok(Applied::Done) => delivery.done().await,
        Ok(Applied::Early) => {
            let pause = EARLY.saturating_mul(u32::try_from(delivery.delivered).unwrap_or(u32::MAX));
            delivery.again_after(pause.min(LONGEST_EARLY)).await
        }
        Err(error) => {
            warn!(event = %delivery.envelope.event_id, %error, "cannot apply a fact, it will come again");
            delivery.again_after(EARLY * 5).await
        }
    };
    if let Err(error) = answered {
        debug!(%error, "a fact will come again");
    }
}

async fn apply(engine: &Engine, envelope: &Envelope) -> Result<Applied, Error> {
    let run = match &envelope.fact {
        Some(Fact::Call(fact)) => fact.run_id,
        Some(Fact::Score(fact)) => fact.run_id,
        Some(Fact::Dial(fact)) => fact.run_id,
        _ => return Ok(Applied::Done),
    };
    let run = match engine.0.store.run_unscoped(RunId(run)).await {
        Ok(run) if run.team.as_str() == envelope.team => run,
        // Another platform's run, or a remote one's: not ours to change.
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(Applied::Done),
        Err(error) => return Err(error.into()),
    };
    match envelope.fact.clone() {
        Some(Fact::Call(fact)) => call(engine, &run, fact).await,
        Some(Fact::Score(fact)) => score(engine, &run, fact).await,
        Some(Fact::Dial(fact)) => dial(engine, &run, fact, envelope).await,
        _ => Ok(Applied::Done),
    }
}

/// Applies an event; one that does not fit is either late (the run has moved on) or early.
async fn event(
    engine: &Engine,
    run: &Run,
    event: Event,
    patch: RunPatch,
) -> Result<Applied, Error> {
    match engine.apply(run.id, event, patch).await {
        Ok(_) => Ok(Applied::Done),
        Err(StoreError::Illegal(why)) if why.status.is_terminal() => {
            debug!(run = %run.id, %why, "late fact ignored");
            Ok(Applied::Done)
        }
        Err(StoreError::Illegal(why)) => {
            debug!(run = %run.id, %why, "early fact");
            Ok(Applied::Early)
        }
        Err(error) => Err(error.into()),
    }
}

async fn call(engine: &Engine, run: &Run, fact: CallFact) -> Result<Applied, Error> {
    let call = ringdown_domain::CallId(fact.call_id);
    if run.call.as_ref() != Some(&call) {
        return Ok(Applied::Done);
    }
    match fact.step {
        Some(call_fact::Step::Ended(step)) => {
            let reason = EndedReason::parse(&step.reason).unwrap_or(EndedReason::CallFailed);
            let patch = RunPatch {
                duration: Some(milliseconds(step.duration_ms)),
                ended_reason: Some(reason),
                notes: CallNote::of(&step),
                ..RunPatch::default()
            };
            let ended = Event::CallEnded {
                call,
                ended: reason,
            };
            // The match is committed before the call is answered, so an end is never early: a run
            // that is evaluating has seen it before.
            event(engine, run, ended, patch).await?;
            Ok(Applied::Done)
        }
        Some(call_fact::Step::Recorded(step)) if !step.recording.is_empty() => {
            let patch = RunPatch {
                recording: Some(step.recording),
                ..RunPatch::default()
            };
            engine.0.store.patch_run(run.id, patch, now()).await?;
            Ok(Applied::Done)
        }
        _ => Ok(Applied::Done),
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

async fn score(engine: &Engine, run: &Run, fact: ScoreFact) -> Result<Applied, Error> {
    if run.call.as_ref().map(|call| call.0.as_str()) != Some(fact.call_id.as_str()) {
        return Ok(Applied::Done);
    }
    if !fact.unscorable_reason.is_empty() {
        let unscorable = Event::Unscorable {
            reason: fact.unscorable_reason,
        };
        return event(engine, run, unscorable, RunPatch::default()).await;
    }
    let scored = Event::Scored {
        success: fact.success,
    };
    let score = serde_json::to_value(Score::from(fact)).map_err(|error| StoreError::Corrupt {
        what: "score",
        why: error.to_string(),
    })?;
    let patch = RunPatch {
        score: Some(score),
        ..RunPatch::default()
    };
    event(engine, run, scored, patch).await
}

/// What a provider said of the end of a call, for people.
fn ended(step: &dial_fact::Followed, ending: Ending, sip_code: Option<u16>) -> String {
    let mut sentence = format!(
        "placed as {}; the provider says: {ending}",
        step.provider_id
    );
    if let Some(code) = sip_code {
        sentence.push_str(&format!(", SIP {code}"));
    }
    if !step.said.is_empty() {
        sentence.push_str(&format!(" ({})", step.said));
    }
    sentence
}

async fn dial(
    engine: &Engine,
    run: &Run,
    fact: DialFact,
    envelope: &Envelope,
) -> Result<Applied, Error> {
    let Some(stage) = fact.stage() else {
        return Ok(Applied::Done);
    };
    let mut provider_id = String::new();
    let mut refused = None;
    let (mut ending, mut sip_code) = (None, None);
    let explanation = match fact.step {
        Some(dial_fact::Step::Claimed(step)) => format!("claimed by {}", step.worker),
        Some(dial_fact::Step::Intended(step)) if step.fence => {
            "fenced off: nothing was dialed".to_owned()
        }
        Some(dial_fact::Step::Intended(_)) => "about to dial".to_owned(),
        Some(dial_fact::Step::Placed(step)) => {
            provider_id.clone_from(&step.provider_id);
            format!("placed as {} after {} ms", step.provider_id, step.took_ms)
        }
        Some(dial_fact::Step::NotPlaced(step)) => {
            refused = Some(step.reason.clone());
            step.reason
        }
        Some(dial_fact::Step::Ambiguous(step)) => step.reason,
        Some(dial_fact::Step::Settled(step)) => {
            if step.outcome == "not_placed" {
                refused = Some(step.reason.clone());
            }
            step.reason
        }
        // What it says before the end is of the moment only.
        Some(dial_fact::Step::Followed(step)) => {
            let Some(said) = Ending::parse(&step.ending) else {
                return Ok(Applied::Done);
            };
            sip_code = u16::try_from(step.sip_code).ok().filter(|code| *code > 0);
            if said == Ending::NeverDialed {
                refused = Some(format!("its provider never dialed: {}", step.said));
            }
            ending = Some(said);
            provider_id.clone_from(&step.provider_id);
            ended(&step, said, sip_code)
        }
        None => String::new(),
    };
    let explanation = clip(&explanation, SENTENCE);
    // A provider that tells of a call has placed it.
    let verdict = match stage {
        Stage::Followed => Stage::Placed,
        stage => stage,
    };
    let row = NewAttempt {
        attempt_id: fact.attempt_id,
        kind: AttemptKind::Dial,
        at: envelope.at(),
        verdict: verdict.to_string(),
        org: Some(run.org),
        run: Some(run.id),
        nearest: false,
        from: E164::normalise(&fact.from).ok(),
        from_raw: fact.from,
        to: E164::normalise(&fact.to).ok(),
        to_raw: fact.to,
        source: envelope.producer.clone(),
        sip_call_id: provider_id,
        response: sip_code,
        ending,
        explanation,
        route: fact.route,
        presented: Presented::default(),
    };
    engine.0.store.record_attempt(row).await?;
    if let Some(reason) = refused {
        let reason = clip(&reason, SENTENCE);
        let reason = format!("the dialer could not place the call: {reason}");
        // A call that was matched all the same is up, which no dial outcome may undo.
        event(
            engine,
            run,
            Event::NotDialed { reason },
            RunPatch::default(),
        )
        .await?;
    }
    Ok(Applied::Done)
}
