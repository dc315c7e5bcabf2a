//! Closes the books of a run whose claimant is gone.
//!
//! A live claimant keeps its transition from being delivered again. So a transition that comes
//! again, and that the claim was made for, means a dead or a paused claimant, and the two look
//! alike. Writing the intention in its place decides: if that wins, the claimant had not begun to
//! dial and, should it wake up, cannot begin any more. If it loses, the claimant may have dialed.

use ringdown_bus::{Bus, Claim, Error, subject};
use ringdown_domain::dial::Stage;
use ringdown_proto::v1::dial_fact::{Intended, Settled, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{DialFact, Envelope};
use tracing::warn;

use crate::attempt::Context;
use crate::facts::Job;

/// How the books of a run are closed.
pub(crate) enum Closed {
    /// This attempt placed the call; the provider's name for it.
    Placed(String),
    /// In any other way.
    Otherwise,
}

/// Settles the attempt, unless it has an outcome. Safe to do twice, and by two at once.
pub(crate) async fn settle(context: &Context, job: &Job) -> Result<Closed, Error> {
    if let Some(closed) = closed(&context.bus, job).await? {
        return Ok(closed);
    }
    let fence = Step::Intended(Intended { fence: true });
    let fence = job.fact(&context.bus, fence);
    let (outcome, reason) = match context.bus.claim(&fence).await? {
        Claim::Won => NOT_DIALED,
        Claim::Lost(intention) if is_fence(&intention) => NOT_DIALED,
        Claim::Lost(_) => UNKNOWN,
    };
    // The claimant may have reported while we looked.
    if let Some(closed) = closed(&context.bus, job).await? {
        return Ok(closed);
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
    Ok(Closed::Otherwise)
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
            })) if attempt_id == job.attempt_id => Closed::Placed(placed.provider_id),
            _ => Closed::Otherwise,
        }));
    }
    Ok(None)
}
