//! What becomes of a run whose claimant is gone.
//!
//! A live claimant keeps its transition from being delivered again. So a transition that comes
//! again, and that the claim was made for, means a dead or a paused claimant, and the two look
//! alike. The intention decides, which only one of them can write. If the heir writes it, the heir dials, and the
//! claimant cannot begin any more, should it wake up. If the claimant has written it, it may have dialed: the
//! carrier is asked what became of that, and nothing is done that could make a number ring twice.

use std::sync::Arc;

use ringdown_bus::{Bus, Claim, Error, now, subject};
use ringdown_carrier::Carrier;
use ringdown_domain::dial::Stage;
use ringdown_proto::v1::dial_fact::{Placed, Settled, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{DialFact, Envelope};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::attempt::{Context, Finished, conclude, fence};
use crate::dial::{Dialing, Rest, dial, order};
use crate::facts::Job;

/// Takes the run over. `way` is how it can be dialed from here, or why it cannot. Safe to do twice, and by two at once.
///
/// # Errors
/// [`Error`] if the bus does not say how the run stands: nothing has been decided.
pub(crate) async fn inherit(
    context: &Context,
    job: &Job,
    way: Result<Arc<dyn Carrier>, String>,
    stop: &CancellationToken,
) -> Result<Finished, Error> {
    match closed(&context.bus, job).await? {
        None => {}
        Some(Closed::Placed(placed)) => {
            // Whoever placed it follows it no more.
            let rest = way.map(|carrier| Rest::found(context, &placed, &carrier));
            return Ok(match rest {
                Ok(Rest::Follow(follow)) => Finished::Following(follow),
                _ => Finished::Done,
            });
        }
        Some(Closed::Otherwise) => return Ok(Finished::Done),
    }
    warn!(run = %job.run, attempt = %job.attempt_id, "the dialer of a run is gone");
    let dialed = match &way {
        Ok(carrier) => dial(context, job, Arc::clone(carrier), stop).await,
        Err(reason) => Dialing::NotBegun(reason.clone()),
    };
    let theirs = match dialed {
        Dialing::Over(step, rest) => return Ok(conclude(context, job, step, rest).await),
        Dialing::Theirs(theirs) => theirs,
        Dialing::NotBegun(reason) => match fence(context, job).await? {
            Claim::Won => return settle(context, job, NOT_DIALED, &reason).await,
            Claim::Lost(theirs) => theirs,
        },
    };
    if is_fence(&theirs) {
        return settle(context, job, NOT_DIALED, "it was fenced off").await;
    }
    let recovered = match way {
        Ok(carrier) => recover(context, job, &carrier, &theirs, stop).await,
        Err(reason) => Err(reason),
    };
    match recovered {
        Ok((step, rest)) => Ok(conclude(context, job, step, rest).await),
        Err(reason) => settle(context, job, UNKNOWN, &reason).await,
    }
}

/// Finds the call that the claimant has begun to place.
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

/// What a run without a dialer came to, and how that is told.
type Verdict = (&'static str, &'static str);

const NOT_DIALED: Verdict = (
    "not_placed",
    "the dialer that had claimed the run stopped before it dialed; nothing was dialed",
);
const UNKNOWN: Verdict = (
    "unknown",
    "the dialer stopped after it had begun to dial; the run is not dialed again",
);

/// Closes the books of the run, unless its claimant has done that meanwhile.
async fn settle(
    context: &Context,
    job: &Job,
    (outcome, what): Verdict,
    why: &str,
) -> Result<Finished, Error> {
    if closed(&context.bus, job).await?.is_some() {
        return Ok(Finished::Done);
    }
    let settled = Step::Settled(Settled {
        outcome: outcome.to_owned(),
        reason: format!("{what} ({why})"),
    });
    Ok(conclude(context, job, settled, Rest::Nothing).await)
}

fn is_fence(intention: &Envelope) -> bool {
    match &intention.fact {
        Some(Fact::Dial(dial)) => {
            matches!(&dial.step, Some(Step::Intended(step)) if step.fence)
        }
        _ => false,
    }
}

/// How the books of a run are closed.
enum Closed {
    /// This attempt placed the call.
    Placed(Placed),
    /// In any other way.
    Otherwise,
}

/// How the books of the run are closed; `None` if they are open.
async fn closed(bus: &Bus, job: &Job) -> Result<Option<Closed>, Error> {
    for stage in Stage::ALL.into_iter().filter(|stage| stage.is_final()) {
        let subject = subject::dial(&job.team, job.run, stage);
        let Some(envelope) = bus.last(&subject).await? else {
            continue;
        };
        return Ok(Some(match envelope.fact {
            Some(Fact::Dial(DialFact {
                attempt_id,
                step: Some(Step::Placed(placed)),
                ..
            })) if attempt_id == job.attempt_id => Closed::Placed(placed),
            _ => Closed::Otherwise,
        }));
    }
    Ok(None)
}
