//! What becomes of a run whose dialer is gone.
//!
//! A live dialer keeps its transition from being delivered again. So a transition that comes again
//! means a dead or a paused dialer, and the two look alike. The intention decides, which only one of them can write. If
//! the heir writes it, the heir dials, and the other cannot begin any more, should it wake up. If the other has written it,
//! it may have dialed: the carrier is asked what became of that, and nothing is done that could make a number ring twice.

use std::sync::Arc;

use ringdown_bus::{Error, now, subject};
use ringdown_carrier::Carrier;
use ringdown_domain::dial::Stage;
use ringdown_proto::v1::dial_fact::{NotPlaced, Placed, Settled, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{DialFact, Envelope};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::attempt::{Context, Finished, conclude};
use crate::dial::{Rest, order};
use crate::facts::Job;

const NOT_DIALED: &str =
    "a dialer gave the run up and was gone before it said why; nothing was dialed";

/// What is left to do for a run that somebody has told the outcome of; `None` if nobody has.
///
/// # Errors
/// [`Error`] if the bus does not say.
pub(crate) async fn already(
    context: &Context,
    job: &Job,
    way: &Result<Arc<dyn Carrier>, String>,
) -> Result<Option<Finished>, Error> {
    for stage in Stage::ALL.into_iter().filter(|stage| stage.is_final()) {
        let subject = subject::dial(&job.team, job.run, stage);
        let Some(envelope) = context.bus.last(&subject).await? else {
            continue;
        };
        let ours = job.is_of(&envelope);
        let follow = match (envelope.fact, way) {
            (
                Some(Fact::Dial(DialFact {
                    step: Some(Step::Placed(placed)),
                    ..
                })),
                Ok(carrier),
            ) if ours => Rest::found(context, &placed, carrier),
            _ => Rest::Nothing,
        };
        return Ok(Some(match follow {
            // Whoever placed it follows it no more.
            Rest::Follow(follow) => Finished::Following(follow),
            _ => Finished::Done,
        }));
    }
    Ok(None)
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
    let provider_id = carrier.recover(&order(job)?, begun, stop).await?;
    let took_ms = i64::try_from(now().since(begun).as_millis()).unwrap_or(i64::MAX);
    let placed = Placed {
        provider_id,
        took_ms,
    };
    let rest = Rest::found(context, &placed, carrier);
    Ok((Step::Placed(placed), rest))
}

fn is_fence(intention: &Envelope) -> bool {
    match &intention.fact {
        Some(Fact::Dial(dial)) => {
            matches!(&dial.step, Some(Step::Intended(step)) if step.fence)
        }
        _ => false,
    }
}
