use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ringdown_bus::{Bus, Claim, Error, now, subject};
use ringdown_carrier::{Carrier, Order, Routes};
use ringdown_domain::dial::{Outcome, Retry, Stage};
use ringdown_domain::run::Status;
use ringdown_domain::{E164, Timestamp, leads_to_account};
use ringdown_proto::v1::Envelope;
use ringdown_proto::v1::dial_fact::{Ambiguous, Claimed, Intended, NotPlaced, Placed, Step};
use ringdown_proto::v1::envelope::Fact;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::accounts::{Accounts, Missing};
use crate::facts::Job;
use crate::follow::Follow;
use crate::lane::{Lane, Lanes};
use crate::metrics::Metrics;
use crate::reconcile::{self, Closed};

/// First and longest wait before a dial that was provably not placed is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

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
}

/// Claims the run and dials it. Every path that has claimed reports an outcome. `delivered` counts
/// how often the transition came, from 1.
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
            return lost(context, job, &owner, delivered > 1, way.ok()).await;
        }
        Err(error) => {
            warn!(run = %job.run, %error, "cannot claim a run, will try again");
            return Finished::Again;
        }
    }
    let (step, rest) = match way {
        Ok(carrier) => dial(context, job, carrier, stop).await,
        Err(reason) => not_placed(reason),
    };
    let outcome = match &step {
        Step::Placed(_) => "placed",
        Step::Ambiguous(_) => "ambiguous",
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

/// What is left of a dial.
enum Rest {
    Nothing,
    Talk(BoxFuture<'static, ()>),
    Follow(Follow),
}

/// Claims, and goes on asking while a dial would still be worth it: a bus that is away for a moment
/// is no reason to give a run up. The same fact is asked for each time, so a claim whose
/// confirmation was lost is recognised.
async fn establish(
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
    carrier: Option<Arc<dyn Carrier>>,
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
    match reconcile::settle(context, job).await {
        // Whoever placed it follows it no more.
        Ok(Closed::Placed(provider_id)) => {
            match carrier.filter(|carrier| carrier.limits().is_some()) {
                Some(carrier) => Finished::Following(Follow {
                    carrier,
                    provider_id,
                    up: None,
                }),
                None => Finished::Done,
            }
        }
        Ok(Closed::Otherwise) => Finished::Done,
        Err(error) => {
            warn!(run = %job.run, %error, "cannot settle a claimed run, will try again");
            Finished::Again
        }
    }
}

fn not_placed(reason: impl Into<String>) -> (Step, Rest) {
    let reason = reason.into();
    (Step::NotPlaced(NotPlaced { reason }), Rest::Nothing)
}

async fn dial(
    context: &Context,
    job: &Job,
    carrier: Arc<dyn Carrier>,
    stop: &CancellationToken,
) -> (Step, Rest) {
    let Ok(to) = job.to.parse::<E164>() else {
        return not_placed(format!("the number {:?} is not E.164", job.to));
    };
    if let Some(reason) = window_too_short(context, job) {
        return not_placed(reason);
    }
    if stop.is_cancelled() {
        return not_placed("called off before it was dialed");
    }
    // Cancellations are heard as they are published; one from before the run was taken is not. If
    // this cannot be read, a needless call is the lesser harm than none.
    let cancelled = subject::run(&job.team, job.run, Status::Cancelled);
    if let Ok(Some(_)) = context.bus.last(&cancelled).await {
        return not_placed("the run was cancelled before it was dialed");
    }
    let lane = carrier.limits().map(|limits| context.lanes.of(limits));
    let latest = latest(context, job);
    let mut up = None;
    if let Some(lane) = &lane {
        let permitted = async {
            let up = lane.room(latest).await?;
            lane.moment(latest).await?;
            Ok::<_, String>(up)
        };
        match stop.run_until_cancelled(permitted).await {
            Some(Ok(room)) => up = room,
            Some(Err(reason)) => return not_placed(reason),
            None => return not_placed("called off while it waited for its turn"),
        }
    }
    let intended = Step::Intended(Intended { fence: false });
    let intention = job.fact(&context.bus, intended);
    match establish(context, job, &intention, stop).await {
        Ok(Claim::Won) => {}
        Ok(Claim::Lost(_)) => {
            return not_placed("another dialer took this run for abandoned and fenced it off");
        }
        // The intention may be stored or not; nothing was dialed, and nothing will be.
        Err(error) => return not_placed(format!("the intention could not be stored: {error}")),
    }
    // Storing the intention may have taken a while.
    if let Some(reason) = window_too_short(context, job) {
        return not_placed(reason);
    }
    context
        .metrics
        .lag
        .observe(now().since(job.opens_at).as_secs_f64());
    let order = Order {
        team: job.team.clone(),
        run: job.run,
        attempt_id: job.attempt_id.clone(),
        from: job.from.parse().ok(),
        caller_ids: job.caller_ids(),
        to,
        time_left: now().until(job.closes_at),
        test_profile_json: job.transition.test_profile_json.clone(),
        scenario_name: job.transition.scenario_name.clone(),
        agent_name: job.transition.agent_name.clone(),
    };
    let (step, talk) = try_carrier(context, job, &carrier, lane.as_deref(), order, stop).await;
    let rest = match (&step, talk) {
        (_, Some(talk)) => Rest::Talk(talk),
        (Step::Placed(placed), None) if lane.is_some() => Rest::Follow(Follow {
            provider_id: placed.provider_id.clone(),
            carrier,
            up,
        }),
        _ => Rest::Nothing,
    };
    (step, rest)
}

async fn try_carrier(
    context: &Context,
    job: &Job,
    carrier: &Arc<dyn Carrier>,
    lane: Option<&Lane>,
    mut order: Order,
    stop: &CancellationToken,
) -> (Step, Option<BoxFuture<'static, ()>>) {
    let refused = |reason: String| (Step::NotPlaced(NotPlaced { reason }), None);
    let latest = latest(context, job);
    let mut wait = FIRST_WAIT;
    loop {
        let begun = Instant::now();
        order.time_left = now().until(job.closes_at);
        let dialed = carrier.dial(&order, stop).await;
        if let Some(lane) = lane {
            lane.answered(failure(&dialed.outcome));
        }
        let (reason, retry) = match dialed.outcome {
            Outcome::Placed { provider_id } => {
                let took_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                let placed = Placed {
                    provider_id,
                    took_ms,
                };
                return (Step::Placed(placed), dialed.rest);
            }
            Outcome::Ambiguous { reason } => {
                return (Step::Ambiguous(Ambiguous { reason }), None);
            }
            Outcome::NotPlaced { reason, retry } => (reason, retry),
        };
        let pause = match retry {
            Retry::Never => return refused(reason),
            Retry::Later => jittered(wait),
            Retry::After(least) => jittered(wait).max(least),
        };
        let left = now().until(job.closes_at);
        if left < pause + context.min_ring {
            return refused(format!("{reason}; no time is left in the dial window"));
        }
        info!(run = %job.run, %reason, ?pause, "not placed, will try again");
        let turn = async {
            tokio::time::sleep(pause).await;
            match lane {
                Some(lane) => lane.moment(latest).await,
                None => Ok(()),
            }
        };
        match stop.run_until_cancelled(turn).await {
            Some(Ok(())) => {}
            Some(Err(dropped)) => return refused(format!("{reason}; {dropped}")),
            None => return refused(format!("{reason}; called off before another try")),
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// What a provider that works does not answer.
fn failure(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Ambiguous { reason }
        | Outcome::NotPlaced {
            reason,
            retry: Retry::Later,
        } => Some(reason),
        _ => None,
    }
}

/// Between half and the whole of a pause, so that those who were refused together do not come again together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

/// The last moment at which a dial is worth it: a call that rings when the window is over is worse than none.
fn latest(context: &Context, job: &Job) -> Timestamp {
    job.closes_at.minus(context.min_ring)
}

fn window_too_short(context: &Context, job: &Job) -> Option<String> {
    let left = now().until(job.closes_at);
    (left < context.min_ring).then(|| {
        format!(
            "the dial window closes in {} ms, which is no time to ring",
            left.as_millis()
        )
    })
}
