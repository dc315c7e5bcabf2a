//! What becomes of a run whose dialer is gone.
//!
//! A live dialer keeps its transition from being delivered again. So a transition that comes again
//! means a dead or a paused dialer, and the two look alike. The intention decides, which only one of them can write. If
//! the heir writes it, the heir dials, and the other cannot begin any more, should it wake up. If the other has written it,
//! it may have dialed: the carrier is asked what became of that, and nothing is done that could make a number ring twice.

use std::sync::Arc;

use ringdown_bus::{Bus, Error, now, subject};
use ringdown_carrier::Carrier;
use ringdown_domain::dial::Stage;
use ringdown_proto::v1::dial_fact::{NotPlaced, Placed, Settled, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{DialFact, Envelope};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::attempt::{Context, Finished, conclude};
use crate::dial::{Rest, least, order, window_too_short};
use crate::facts::Job;

const NOT_DIALED: &str =
    "a dialer gave the run up and was gone before it said why; nothing was dialed";

/// What somebody has told the run's dialing to have come to; `None` if nobody has. News of a call are no outcome.
///
/// # Errors
/// [`Error`] if the bus does not say.
pub(crate) async fn told(bus: &Bus, job: &Job) -> Result<Option<Envelope>, Error> {
    let is_outcome = |stage: &Stage| stage.is_final() && *stage != Stage::Followed;
    for stage in Stage::ALL.into_iter().filter(is_outcome) {
        let told = bus.last(&subject::dial(&job.team, job.run, stage)).await?;
        if told.is_some() {
            return Ok(told);
        }
    }
    Ok(None)
}

/// What is left to do for a run that somebody has told the outcome of; `None` if nobody has.
///
/// # Errors
/// [`Error`] if the bus does not say.
pub(crate) async fn already(
    context: &Context,
    job: &Job,
    way: &Result<Arc<dyn Carrier>, String>,
) -> Result<Option<Finished>, Error> {
    let Some(told) = told(&context.bus, job).await? else {
        return Ok(None);
    };
    let ours = job.is_of(&told);
    let follow = match (told.fact, way) {
        (
            Some(Fact::Dial(DialFact {
                step: Some(Step::Placed(placed)),
                ..
            })),
            Ok(carrier),
        ) if ours => Rest::found(context, &placed, carrier),
        _ => Rest::Nothing,
    };
    Ok(Some(match follow {
        // Whoever placed it follows it no more.
        Rest::Follow(follow) => Finished::Following(follow),
        _ => Finished::Done,
    }))
}

/// Tells the outcome of a run whose dialer wrote `intention` and is gone. Safe to do twice, and by two at once.
///
/// # Errors
/// [`Error`] if the bus does not say how the run stands: nothing has been decided.
pub(crate) async fn answer_for(
    context: &Context,
    job: &Job,
    way: &Result<Arc<dyn Carrier>, String>,
    intention: &Envelope,
    stop: &CancellationToken,
) -> Result<Finished, Error> {
    // Who wrote it so shortly ago may well live, although the transition has come again: after a cut for example.
    if now().since(intention.at()) < context.silence {
        return Ok(Finished::Again);
    }
    warn!(run = %job.run, attempt = %job.attempt_id, "the dialer of a run is gone");
    let found = if is_fence(intention) {
        let reason = NOT_DIALED.to_owned();
        Ok((Step::NotPlaced(NotPlaced { reason }), Rest::Nothing))
    } else {
        match way {
            Ok(carrier) => recover(context, job, carrier, intention, stop).await,
            Err(reason) => Err(reason.clone()),
        }
    };
    // The other may have told it meanwhile.
    if let Some(finished) = already(context, job, way).await? {
        return Ok(finished);
    }
    if found.is_err() && stop.is_cancelled() && !context.cancelled.holds(job).await {
        // This dialer is ending. Another one can find out.
        return Ok(Finished::Again);
    }
    let (step, rest) = found.unwrap_or_else(|why| {
        let settled = Settled {
            outcome: "unknown".to_owned(),
            reason: format!(
                "the dialer stopped after it had begun to dial; the run is not dialed again ({why})"
            ),
        };
        (Step::Settled(settled), Rest::Nothing)
    });
    Ok(conclude(context, job, step, rest).await)
}

/// Finds the call that was about to be placed.
///
/// # Errors
/// Why it is not known whether there is one.
async fn recover(
    context: &Context,
    job: &Job,
    carrier: &Arc<dyn Carrier>,
    intention: &Envelope,
    stop: &CancellationToken,
) -> Result<(Step, Rest), String> {
    let begun = intention.at();
    let provider_id = match named(context, job).await {
        Some(provider_id) => provider_id,
        None => {
            let wanted = !stop.is_cancelled()
                && !context.cancelled.holds(job).await
                && window_too_short(job, least(context, carrier.as_ref())).is_none();
            carrier.recover(&order(job)?, begun, wanted, stop).await?
        }
    };
    let took_ms = i64::try_from(now().since(begun).as_millis()).unwrap_or(i64::MAX);
    let placed = Placed {
        provider_id,
        took_ms,
    };
    let rest = Rest::found(context, &placed, carrier);
    Ok((Step::Placed(placed), rest))
}

/// The call, if its provider has told of it.
async fn named(context: &Context, job: &Job) -> Option<String> {
    let followed = subject::dial(&job.team, job.run, Stage::Followed);
    let told = context.bus.last(&followed).await.ok()??;
    if !job.is_of(&told) {
        return None;
    }
    match told.fact {
        Some(Fact::Dial(DialFact {
            step: Some(Step::Followed(followed)),
            ..
        })) if !followed.provider_id.is_empty() => Some(followed.provider_id),
        _ => None,
    }
}

fn is_fence(intention: &Envelope) -> bool {
    match &intention.fact {
        Some(Fact::Dial(dial)) => {
            matches!(&dial.step, Some(Step::Intended(step)) if step.fence)
        }
        _ => false,
    }
}
