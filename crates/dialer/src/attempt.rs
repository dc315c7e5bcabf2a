use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ringdown_bus::{Bus, Claim, Error, now, subject};
use ringdown_carrier::{Carrier, Routes};
use ringdown_domain::dial::Stage;
use ringdown_domain::leads_to_account;
use ringdown_proto::v1::Envelope;
use ringdown_proto::v1::dial_fact::{Intended, NotPlaced, Step};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::accounts::{Accounts, Missing};
use crate::cancelled::Cancelled;
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
    pub(crate) cancelled: Cancelled,
    pub(crate) metrics: Metrics,
    /// Least time before the window closes that a dial is worth.
    pub(crate) min_ring: Duration,
    /// A dialer that is silent for this long is taken for gone.
    pub(crate) silence: Duration,
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

/// Dials the run, unless another attempt has. Every path that has its intention reports an outcome; who finds somebody
/// else's leaves that to them. `delivered` counts how often the transition came, from 1.
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
    match try_it(context, job, &way, delivered > 1, stop).await {
        Ok(finished) => finished,
        Err(error) => {
            warn!(run = %job.run, %error, "cannot establish how a run stands, will try again");
            Finished::Again
        }
    }
}

/// `again`: the transition has come before, so that whoever had it is gone.
async fn try_it(
    context: &Context,
    job: &Job,
    way: &Result<Arc<dyn Carrier>, String>,
    again: bool,
    stop: &CancellationToken,
) -> Result<Finished, Error> {
    if again {
        if let Some(finished) = heir::already(context, job, way).await? {
            return Ok(finished);
        }
        let intended = subject::dial(&job.team, job.run, Stage::Intended);
        if let Some(theirs) = context.bus.last(&intended).await?
            && job.is_of(&theirs)
        {
            return heir::answer_for(context, job, way, &theirs, stop).await;
        }
    }
    let dialed = match way {
        Ok(carrier) => Box::pin(dial(context, job, Arc::clone(carrier), stop)).await,
        Err(reason) => Dialing::NotBegun(reason.clone(), None),
    };
    let theirs = match dialed {
        Dialing::Over(step, rest) => return Ok(conclude(context, job, step, rest).await),
        Dialing::TakenOver => return Ok(Finished::TakenOver),
        Dialing::Theirs(theirs) => theirs,
        Dialing::NotBegun(reason, written) => {
            let theirs = match fence(context, job).await? {
                Claim::Won => None,
                // Its own, of which it did not hear that it was stored.
                Claim::Lost(theirs) if written.as_ref() == Some(&theirs.event_id) => None,
                Claim::Lost(theirs) => Some(theirs),
            };
            let Some(theirs) = theirs else {
                let refused = Step::NotPlaced(NotPlaced { reason });
                return Ok(conclude(context, job, refused, Rest::Nothing).await);
            };
            theirs
        }
    };
    if !job.is_of(&theirs) {
        // The run was announced more than once. The other transition brings whoever answers for it.
        return Ok(Finished::Done);
    }
    if !again {
        // Whoever wrote it took this dialer for gone.
        return Ok(Finished::TakenOver);
    }
    heir::answer_for(context, job, way, &theirs, stop).await
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

/// Writes what only one may write, and goes on asking while a dial would still be worth it: a bus that is away for a moment
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
        if stop.is_cancelled() || window_too_short(job, context.min_ring).is_some() {
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
    for stage in [Stage::Claimed, Stage::Intended] {
        let theirs = subject::dial(&job.team, job.run, stage);
        match context.bus.last(&theirs).await {
            // Whether that dialer is well is for those to judge who could have dialed.
            Ok(Some(_)) => return Some(Finished::Again),
            Ok(None) => {}
            Err(error) => {
                debug!(run = %job.run, %error, "cannot see whether somebody has a run");
                return Some(Finished::Again);
            }
        }
    }
    (delivered < ROUTE_PATIENCE).then_some(Finished::Again)
}
