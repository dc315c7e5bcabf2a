use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ringdown_bus::{Bus, Claim, Error, now, subject};
use ringdown_carrier::{Carrier, Routes};
use ringdown_domain::dial::Stage;
use ringdown_domain::leads_to_account;
use ringdown_proto::v1::Envelope;
use ringdown_proto::v1::dial_fact::{Claimed, Intended, NotPlaced, Step};
use ringdown_proto::v1::envelope::Fact;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::accounts::{Accounts, Missing};
use crate::dial::{Dialing, Rest, dial, window_too_short};
use crate::facts::Job;
use crate::follow::Follow;
use crate::heir;
use crate::lane::Lanes;
use crate::metrics::Metrics;

/// First and longest pause before a claim that could not be established is asked for again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How often a run whose route is not here is left to other dialers before it is given up.
const ROUTE_PATIENCE: u64 = 4;

/// What an attempt needs of its dialer.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) bus: Bus,
    pub(crate) routes: Routes,
    /// `None`: this dialer has no accounts.
    pub(crate) accounts: Option<Accounts>,
    pub(crate) lanes: Lanes,
    pub(crate) metrics: Metrics,
    /// Least time before the window closes that a dial is worth.
    pub(crate) min_ring: Duration,
}

/// What is left to do for a transition.
pub(crate) enum Finished {
    /// Nothing.
    Done,
    /// The call is up and carried by this process.
    Talking(BoxFuture<'static, ()>),
    /// A provider has the call: what becomes of it is to be seen.
    Following(Follow),
    /// Whether something is left to do could not be established: let the transition come again.
    Again,
    /// Another dialer has taken the run over and answers for it, the transition included.
    TakenOver,
}

/// Claims the run and dials it. Every path that has claimed reports an outcome, or leaves that to whoever has taken
/// the run over. `delivered` counts how often the transition came, from 1.
pub(crate) async fn run(
    context: &Context,
    job: &Job,
    delivered: u64,
    stop: &CancellationToken,
) -> Finished {
    if job.route.is_empty() {
        // The agent calls by itself.
        return Finished::Done;
    }
    let way = match way(context, job).await {
        Way::Here(carrier) => Ok(carrier),
        Way::Unusable(reason) => Err(reason),
        Way::Elsewhere => {
            if let Some(finished) = leave_to_others(context, job, delivered).await {
                return finished;
            }
            Err(format!(
                "no dialer has the route {:?}; this one has: {}",
                job.route,
                context.routes.names()
            ))
        }
        Way::Unreachable(_) if now() >= job.closes_at => return Finished::Done,
        Way::Unreachable(error) => {
            warn!(run = %job.run, %error, "cannot ask for the account of a run, will try again");
            return Finished::Again;
        }
    };
    let claimed = Step::Claimed(Claimed {
        worker: context.bus.producer().to_owned(),
    });
    let claim = job.fact(&context.bus, claimed);
    match establish(context, job, &claim, stop).await {
        Ok(Claim::Won) => {}
        Ok(Claim::Lost(owner)) => {
            return lost(context, job, &owner, delivered > 1, way, stop).await;
        }
        Err(error) => {
            warn!(run = %job.run, %error, "cannot claim a run, will try again");
            return Finished::Again;
        }
    }
    let reason = match way {
        Ok(carrier) => match dial(context, job, carrier, stop).await {
            Dialing::Over(step, rest) => return conclude(context, job, step, rest).await,
            // Whoever wrote it took this dialer for gone.
            Dialing::Theirs(_) => return Finished::TakenOver,
            Dialing::NotBegun(reason) => reason,
        },
        Err(reason) => reason,
    };
    match fence(context, job).await {
        Ok(Claim::Won) => {
            let refused = Step::NotPlaced(NotPlaced { reason });
            conclude(context, job, refused, Rest::Nothing).await
        }
        Ok(Claim::Lost(_)) => Finished::TakenOver,
        Err(error) => {
            warn!(run = %job.run, %error, reason, "cannot give a run up, will try again");
            Finished::Again
        }
    }
}

/// Writes an intention that keeps everybody from dialing the run, unless somebody has written another one.
pub(crate) async fn fence(context: &Context, job: &Job) -> Result<Claim, Error> {
    let fence = Step::Intended(Intended { fence: true });
    context.bus.claim(&job.fact(&context.bus, fence)).await
}

/// Reports what a dial came to.
pub(crate) async fn conclude(context: &Context, job: &Job, step: Step, rest: Rest) -> Finished {
    let outcome = match &step {
        Step::Placed(_) => "placed",
        Step::Ambiguous(_) => "ambiguous",
        Step::Settled(_) => "settled",
        _ => "not_placed",
    };
    context.metrics.attempts.with_label_values(&[outcome]).inc();
    info!(run = %job.run, attempt = %job.attempt_id, outcome, "dialed");
    let mut report = std::pin::pin!(job.report(&context.bus, step));
    let mut rest = match rest {
        Rest::Nothing => {
            report.await;
            return Finished::Done;
        }
        Rest::Follow(follow) => {
            report.await;
            return Finished::Following(follow);
        }
        Rest::Talk(rest) => rest,
    };
    // The call does not wait for the bus: it would be silent, and last longer than it is to.
    tokio::select! {
        () = &mut report => Finished::Talking(rest),
        () = &mut rest => {
            report.await;
            Finished::Done
        }
    }
}

/// How a run can be dialed from here.
enum Way {
    Here(Arc<dyn Carrier>),
    /// Another dialer may have its route.
    Elsewhere,
    /// Nobody can, and why.
    Unusable(String),
    /// That could not be found out.
    Unreachable(Error),
}

async fn way(context: &Context, job: &Job) -> Way {
    if let Some(carrier) = context.routes.get(&job.route) {
        return Way::Here(Arc::clone(carrier));
    }
    let Some(accounts) = context
        .accounts
        .as_ref()
        .filter(|_| leads_to_account(&job.route))
    else {
        return Way::Elsewhere;
    };
    match accounts.get(job).await {
        Ok(carrier) => Way::Here(carrier),
        Err(Missing::Unusable(reason)) => Way::Unusable(reason),
        Err(Missing::Unreachable(error)) => Way::Unreachable(error),
    }
}

/// Claims, and goes on asking while a dial would still be worth it: a bus that is away for a moment
/// is no reason to give a run up. The same fact is asked for each time, so a claim whose
/// confirmation was lost is recognised.
pub(crate) async fn establish(
    context: &Context,
    job: &Job,
    fact: &Envelope,
    stop: &CancellationToken,
) -> Result<Claim, Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match context.bus.claim(fact).await {
            Ok(claim) => return Ok(claim),
            Err(error) => error,
        };
        if stop.is_cancelled() || window_too_short(context, job).is_some() {
            return Err(error);
        }
        debug!(run = %job.run, %error, "asking for a claim again");
        stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What to do with a run whose route this dialer does not have: another one may. `None` once nobody
/// took it for so long that the run has to be told.
async fn leave_to_others(context: &Context, job: &Job, delivered: u64) -> Option<Finished> {
    if now() >= job.closes_at {
        return Some(Finished::Done);
    }
    let claim = subject::dial(&job.team, job.run, Stage::Claimed);
    match context.bus.last(&claim).await {
        // Whether that dialer is well is for those to judge who could have dialed.
        Ok(Some(_)) => Some(Finished::Again),
        Ok(None) if delivered >= ROUTE_PATIENCE => None,
        Ok(None) => Some(Finished::Again),
        Err(error) => {
            debug!(run = %job.run, %error, "cannot see whether a run is claimed");
            Some(Finished::Again)
        }
    }
}

/// Another claim came first. Who made it decides what is left to do.
async fn lost(
    context: &Context,
    job: &Job,
    owner: &Envelope,
    again: bool,
    way: Result<Arc<dyn Carrier>, String>,
    stop: &CancellationToken,
) -> Finished {
    let ours = matches!(&owner.fact, Some(Fact::Dial(claim)) if claim.attempt_id == job.attempt_id);
    if !ours {
        // The run was announced more than once. The transition it was claimed for brings whoever
        // has to close its books.
        return Finished::Done;
    }
    if !again {
        // The bus has lost count of its deliveries, so the claimant may well be alive.
        return Finished::Again;
    }
    match heir::inherit(context, job, way, stop).await {
        Ok(finished) => finished,
        Err(error) => {
            warn!(run = %job.run, %error, "cannot settle a claimed run, will try again");
            Finished::Again
        }
    }
}
