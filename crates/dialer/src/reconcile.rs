//! Closes the books of a run whose claimant is gone.
//!
//! A live claimant keeps its transition from being delivered again. So a transition that comes
//! again, and that the claim was made for, means a dead or a paused claimant, and the two look
//! alike. Writing the intention in its place decides: if that wins, the claimant had not begun to
//! dial and, should it wake up, cannot begin any more. If it loses, the claimant may have dialed.

use ringdown_bus::{Bus, Claim, Error, subject};
use ringdown_domain::dial::Stage;
use ringdown_proto::v1::Envelope;
use ringdown_proto::v1::dial_fact::{Intended, Settled, Step};
use ringdown_proto::v1::envelope::Fact;
use tracing::warn;

use crate::attempt::Context;
use crate::facts::Job;

/// Settles the attempt, unless it has an outcome. Safe to do twice, and by two at once. Returns the provider's name for
/// the call if it was placed.
pub(crate) async fn settle(context: &Context, job: &Job) -> Result<Option<String>, Error> {
    if let Some(placed) = placed(&context.bus, job).await? {
        return Ok(Some(placed));
    }
    if has_outcome(&context.bus, job).await? {
        return Ok(None);
    }
    let fence = Step::Intended(Intended { fence: true });
    let fence = job.fact(&context.bus, fence);
    let (outcome, reason) = match context.bus.claim(&fence).await? {
        Claim::Won => NOT_DIALED,
        Claim::Lost(intention) if is_fence(&intention) => NOT_DIALED,
        Claim::Lost(_) => UNKNOWN,
    };
    // The claimant may have reported while we looked.
    if has_outcome(&context.bus, job).await? {
        return placed(&context.bus, job).await;
    }
    warn!(run = %job.run, attempt = %job.attempt_id, outcome, "settled a run whose dialer is gone");
    context
        .metrics
        .attempts
        .with_label_values(&["settled"])
        .inc();
    let settled = Step::Settled(Settled {
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
    });
    job.report(&context.bus, settled).await;
    Ok(None)
}

const NOT_DIALED: (&str, &str) = (
    "not_placed",
    "the dialer that had claimed the run stopped before it dialed; nothing was dialed",
);
const UNKNOWN: (&str, &str) = (
    "unknown",
    "the dialer stopped after it had begun to dial; the run is not dialed again",
);

fn is_fence(intention: &Envelope) -> bool {
    match &intention.fact {
        Some(Fact::Dial(dial)) => {
            matches!(&dial.step, Some(Step::Intended(step)) if step.fence)
        }
        _ => false,
    }
}

/// The provider's name for the call of this attempt, if it was placed.
async fn placed(bus: &Bus, job: &Job) -> Result<Option<String>, Error> {
    let subject = subject::dial(&job.team, job.run, Stage::Placed);
    let Some(envelope) = bus.last(&subject).await? else {
        return Ok(None);
    };
    Ok(match envelope.fact {
        Some(Fact::Dial(dial)) if dial.attempt_id == job.attempt_id => match dial.step {
            Some(Step::Placed(placed)) => Some(placed.provider_id),
            _ => None,
        },
        _ => None,
    })
}

/// Whether the books of the run are closed already.
async fn has_outcome(bus: &Bus, job: &Job) -> Result<bool, Error> {
    for stage in Stage::ALL.into_iter().filter(|stage| stage.is_final()) {
        let subject = subject::dial(&job.team, job.run, stage);
        if bus.last(&subject).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
