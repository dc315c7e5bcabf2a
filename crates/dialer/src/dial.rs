//! One dial: its turn, its intention, and the carrier.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ringdown_bus::{Claim, now};
use ringdown_carrier::{Carrier, Order};
use ringdown_domain::E164;
use ringdown_domain::dial::{Outcome, Retry};
use ringdown_proto::v1::Envelope;
use ringdown_proto::v1::dial_fact::{Ambiguous, Claimed, Intended, NotPlaced, Placed, Step};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::attempt::{Context, establish};
use crate::facts::Job;
use crate::follow::Follow;
use crate::heir;
use crate::lane::{Lane, Up};

/// An attempt that has had no turn after this long says that it waits.
const PROMPT: Duration = Duration::from_millis(50);

/// First and longest wait before a dial that was provably not placed is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is left of a dial.
pub(crate) enum Rest {
    Nothing,
    Talk(BoxFuture<'static, ()>),
    Follow(Follow),
}

impl Rest {
    /// What is left of a call that `carrier` has placed: an account's calls are followed.
    fn of(placed: &Placed, carrier: &Arc<dyn Carrier>, up: Option<Up>) -> Self {
        if carrier.limits().is_none() {
            return Self::Nothing;
        }
        Self::Follow(Follow {
            provider_id: placed.provider_id.clone(),
            carrier: Arc::clone(carrier),
            up,
        })
    }

    /// The same of one that another dialer has placed: it takes up room whether there is some or not.
    pub(crate) fn found(context: &Context, placed: &Placed, carrier: &Arc<dyn Carrier>) -> Self {
        let lane = carrier.limits().map(|limits| context.lanes.of(limits));
        Self::of(placed, carrier, lane.and_then(|lane| lane.occupied()))
    }
}

/// How far a dial came.
pub(crate) enum Dialing {
    /// It was given up before its intention was written, and why. The intention that may be written all the same.
    NotBegun(String, Option<String>),
    /// It took so long that another dialer may have taken the run over, and answers for it.
    TakenOver,
    /// Somebody else's intention or claim was there already.
    Theirs(Box<Envelope>),
    /// It has an outcome, to be reported.
    Over(Step, Rest),
}

/// Waits for its turn, writes the intention and asks the carrier.
pub(crate) async fn dial(
    context: &Context,
    job: &Job,
    carrier: Arc<dyn Carrier>,
    stop: &CancellationToken,
) -> Dialing {
    let mut order = match order(job) {
        Ok(order) => order,
        Err(reason) => return Dialing::NotBegun(reason, None),
    };
    let limits = carrier.limits();
    let lane = limits.map(|limits| context.lanes.of(limits));
    let least = least(context, carrier.as_ref());
    let mut turn = std::pin::pin!(turn(context, job, lane.as_deref(), least, stop));
    let mut claim = std::pin::pin!(claim(context, job));
    let mut claimed = false;
    let up = loop {
        tokio::select! {
            biased;
            up = &mut turn => break up,
            theirs = &mut claim, if !claimed => match theirs {
                Some(theirs) => return Dialing::Theirs(theirs),
                None => claimed = true,
            },
        }
    };
    let up = match up {
        Ok(up) => up,
        Err(reason) => return Dialing::NotBegun(reason, None),
    };
    let intended = Step::Intended(Intended { fence: false });
    let intention = job.fact(&context.bus, intended);
    match establish(context, job, &intention, stop).await {
        Ok(Claim::Won) => {}
        Ok(Claim::Lost(theirs)) => return Dialing::Theirs(theirs),
        Err(error) => {
            let reason = format!("the intention could not be stored: {error}");
            return Dialing::NotBegun(reason, Some(intention.event_id));
        }
    }
    // Whoever was paused or cut off for that long may have an heir, and is neither to dial again what that has placed nor
    // to deny it.
    let overtaken =
        async || now().since(intention.at()) >= context.silence / 2 && heirs(context, job).await;
    let refused = |reason: String| {
        let refused = Step::NotPlaced(NotPlaced { reason });
        Dialing::Over(refused, Rest::Nothing)
    };
    // Storing the intention may have taken a while.
    if let Some(reason) = window_too_short(job, least) {
        return refused(reason);
    }
    // A connection that was lost meanwhile may have brought a cancellation.
    if context.cancelled.holds(job).await {
        return refused("the run was cancelled before it was dialed".to_owned());
    }
    if overtaken().await {
        return Dialing::TakenOver;
    }
    context
        .metrics
        .lag
        .observe(now().since(job.opens_at).as_secs_f64());
    order.time_left = now().until(job.closes_at);
    let attempt = try_carrier(context, job, &carrier, lane.as_deref(), least, order, stop);
    let (step, talk) = attempt.await;
    if matches!(step, Step::NotPlaced(_)) && overtaken().await {
        return Dialing::TakenOver;
    }
    let rest = match (&step, talk) {
        (_, Some(talk)) => Rest::Talk(talk),
        (Step::Placed(placed), None) => Rest::of(placed, &carrier, up),
        _ => Rest::Nothing,
    };
    Dialing::Over(step, rest)
}

/// Least time before the window closes that a dial is worth.
pub(crate) fn least(context: &Context, carrier: &dyn Carrier) -> Duration {
    let limits = carrier.limits();
    limits.map_or(context.min_ring, |limits| {
        context.min_ring.max(limits.least_ring)
    })
}

/// What a carrier is asked for.
///
/// # Errors
/// Why nobody can be asked for that.
pub(crate) fn order(job: &Job) -> Result<Order, String> {
    let to = job.to.parse::<E164>();
    Ok(Order {
        team: job.team.clone(),
        run: job.run,
        attempt_id: job.attempt_id.clone(),
        from: job.from.parse().ok(),
        caller_ids: job.caller_ids(),
        to: to.map_err(|_| format!("the number {:?} is not E.164", job.to))?,
        time_left: now().until(job.closes_at),
        test_profile_json: job.transition.test_profile_json.clone(),
        scenario_name: job.transition.scenario_name.clone(),
        agent_name: job.transition.agent_name.clone(),
    })
}

/// Says that this attempt has the run, once it has waited for its turn for a while. Returns the claim of another
/// attempt, if that came first. It decides nothing: the intention does.
async fn claim(context: &Context, job: &Job) -> Option<Box<Envelope>> {
    tokio::time::sleep(PROMPT).await;
    let worker = context.bus.producer().to_owned();
    let claim = job.fact(&context.bus, Step::Claimed(Claimed { worker }));
    match context.bus.claim(&claim).await {
        Ok(Claim::Lost(theirs)) if !job.is_of(&theirs) => Some(theirs),
        Ok(_) => None,
        Err(error) => {
            debug!(run = %job.run, %error, "cannot say that a run waits for its turn");
            None
        }
    }
}

/// Waits until the run may be dialed. Returns its room among the calls that are up, if those are counted.
///
/// # Errors
/// Why it may not be, or not in time.
async fn turn(
    context: &Context,
    job: &Job,
    lane: Option<&Lane>,
    least: Duration,
    stop: &CancellationToken,
) -> Result<Option<Up>, String> {
    if let Some(reason) = window_too_short(job, least) {
        return Err(reason);
    }
    if stop.is_cancelled() {
        return Err("called off before it was dialed".to_owned());
    }
    let latest = job.closes_at.minus(least);
    let permitted = async {
        let Some(lane) = lane else {
            return Ok(None);
        };
        let up = lane.room(latest).await?;
        lane.moment(latest).await?;
        Ok(up)
    };
    let permitted = async {
        let (up, was_cancelled) = tokio::join!(permitted, context.cancelled.holds(job));
        if was_cancelled {
            return Err("the run was cancelled before it was dialed".to_owned());
        }
        up
    };
    let called_off = || Err("called off while it waited for its turn".to_owned());
    stop.run_until_cancelled(permitted)
        .await
        .unwrap_or_else(called_off)
}

/// Whether somebody has told the outcome of the run, or that cannot be seen.
async fn heirs(context: &Context, job: &Job) -> bool {
    !matches!(heir::told(&context.bus, job).await, Ok(None))
}

async fn try_carrier(
    context: &Context,
    job: &Job,
    carrier: &Arc<dyn Carrier>,
    lane: Option<&Lane>,
    least: Duration,
    mut order: Order,
    stop: &CancellationToken,
) -> (Step, Option<BoxFuture<'static, ()>>) {
    let refused = |reason: String| (Step::NotPlaced(NotPlaced { reason }), None);
    // A call that rings when the window is over is worse than none.
    let latest = job.closes_at.minus(least);
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
        if left < pause + least {
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
        if heirs(context, job).await {
            return refused(format!("{reason}; another dialer has taken the run over"));
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

/// Why a run is not dialed any more, if less than `least` is left of its window.
pub(crate) fn window_too_short(job: &Job, least: Duration) -> Option<String> {
    let left = now().until(job.closes_at);
    (left < least).then(|| {
        format!(
            "the dial window closes in {} ms, which is no time to ring",
            left.as_millis()
        )
    })
}
