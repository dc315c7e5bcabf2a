use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ringdown_bus::{Bus, Claim, now};
use ringdown_carrier::{Carrier, Order, Routes};
use ringdown_domain::E164;
use ringdown_domain::dial::{Outcome, Retry};
use ringdown_proto::v1::dial_fact::{Ambiguous, Claimed, Intended, NotPlaced, Placed, Step};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::facts::Job;
use crate::metrics::Metrics;
use crate::reconcile;

/// First and longest wait before a dial that was provably not placed is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an attempt needs of its dialer.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) bus: Bus,
    pub(crate) routes: Routes,
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
    /// Whether the run is claimed could not be established: let the transition come again.
    Again,
}

/// Claims the run and dials it. Every path that has claimed reports an outcome.
pub(crate) async fn run(context: &Context, job: &Job, stop: &CancellationToken) -> Finished {
    if job.route.is_empty() {
        // The agent calls by itself.
        return Finished::Done;
    }
    let attempt_id = ringdown_bus::new_event_id();
    let claimed = Step::Claimed(Claimed {
        worker: context.bus.producer().to_owned(),
    });
    let claim = job.fact(&context.bus, &attempt_id, claimed);
    match context.bus.claim(&claim).await {
        Ok(Claim::Won) => {}
        Ok(Claim::Lost(owner)) => {
            return match reconcile::settle(context, job, &owner).await {
                Ok(()) => Finished::Done,
                Err(error) => {
                    warn!(run = %job.run, %error, "cannot settle a claimed run, will try again");
                    Finished::Again
                }
            };
        }
        Err(error) => {
            warn!(run = %job.run, %error, "cannot claim a run, will try again");
            return Finished::Again;
        }
    }
    let (step, rest) = dial(context, job, &attempt_id, stop).await;
    let outcome = match &step {
        Step::Placed(_) => "placed",
        Step::Ambiguous(_) => "ambiguous",
        _ => "not_placed",
    };
    context.metrics.attempts.with_label_values(&[outcome]).inc();
    info!(run = %job.run, attempt = %attempt_id, outcome, "dialed");
    job.report(&context.bus, &attempt_id, step).await;
    rest.map_or(Finished::Done, Finished::Talking)
}

fn not_placed(reason: impl Into<String>) -> (Step, Option<BoxFuture<'static, ()>>) {
    let reason = reason.into();
    (Step::NotPlaced(NotPlaced { reason }), None)
}

async fn dial(
    context: &Context,
    job: &Job,
    attempt_id: &str,
    stop: &CancellationToken,
) -> (Step, Option<BoxFuture<'static, ()>>) {
    let Some(carrier) = context.routes.get(&job.route) else {
        return not_placed(format!(
            "this dialer has no route {:?}, it has: {}",
            job.route,
            context.routes.names()
        ));
    };
    let Ok(to) = job.to.parse::<E164>() else {
        return not_placed(format!("the number {:?} is not E.164", job.to));
    };
    if let Some(reason) = window_too_short(context, job) {
        return not_placed(reason);
    }
    if stop.is_cancelled() {
        return not_placed("called off before it was dialed");
    }
    let intended = Step::Intended(Intended { fence: false });
    let intention = job.fact(&context.bus, attempt_id, intended);
    match context.bus.claim(&intention).await {
        Ok(Claim::Won) => {}
        Ok(Claim::Lost(_)) => {
            return not_placed("another dialer took this run for abandoned and fenced it off");
        }
        // The intention may be stored or not; nothing was dialed, and nothing will be.
        Err(error) => return not_placed(format!("the intention could not be stored: {error}")),
    }
    context
        .metrics
        .lag
        .observe(now().since(job.opens_at).as_secs_f64());
    let order = Order {
        team: job.team.clone(),
        run: job.run,
        attempt_id: attempt_id.to_owned(),
        from: job.from.parse().ok(),
        to,
        time_left: now().until(job.closes_at),
        test_profile_json: job.transition.test_profile_json.clone(),
        scenario_name: job.transition.scenario_name.clone(),
        agent_name: job.transition.agent_name.clone(),
    };
    try_carrier(context, job, carrier, order, stop).await
}

async fn try_carrier(
    context: &Context,
    job: &Job,
    carrier: &Arc<dyn Carrier>,
    mut order: Order,
    stop: &CancellationToken,
) -> (Step, Option<BoxFuture<'static, ()>>) {
    let mut wait = FIRST_WAIT;
    loop {
        let begun = Instant::now();
        order.time_left = now().until(job.closes_at);
        let dialed = carrier.dial(&order, stop).await;
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
        if retry == Retry::Never {
            return not_placed(reason);
        }
        let left = now().until(job.closes_at);
        if left < wait + context.min_ring {
            return not_placed(format!("{reason}; no time is left in the dial window"));
        }
        info!(run = %job.run, %reason, ?wait, "not placed, will try again");
        if stop
            .run_until_cancelled(tokio::time::sleep(wait))
            .await
            .is_none()
        {
            return not_placed(format!("{reason}; called off before another try"));
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
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
