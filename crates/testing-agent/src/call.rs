//! One INVITE, from its arrival to the last fact about it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringdown_domain::attempt::Verdict;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{SCORING_DEADLINE, SCORING_TIME};
use ringdown_domain::{CallerHeader, RunId, Team};
use ringdown_proto::v1::call_fact::{Ended, Recorded, Turn};
use ringdown_proto::v1::{CallScript, MatchReply, MatchRequest, MediaQuality};
use ringdown_sip::{IncomingCall, MediaOptions, Rejection};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Span, debug, info, warn};

use crate::conversation::{self, Orders};
use crate::facts::{About, Facts, arrived, millis, quality};
use crate::hearing::Hearing;
use crate::metrics::Outcome;
use crate::prompts::Prompts;
use crate::script::Plan;
use crate::service::Context;
use crate::trunk::{Trunk, cut};

/// How long the platform may take to answer, each time it is asked.
const MATCH_DEADLINE: Duration = Duration::from_secs(5);
/// Between the two times: a platform that restarts is back soon.
const MATCH_PAUSE: Duration = Duration::from_millis(250);
/// How long rendering the prompts may take before the call has to be refused.
const RENDER_DEADLINE: Duration = Duration::from_secs(8);
/// After this the caller is told that it rings.
const RING_AFTER: Duration = Duration::from_millis(200);
/// How long a recording may take to be complete once the call is over.
const RECORDING_DEADLINE: Duration = Duration::from_secs(5);
/// How long storing a recording may take, each time, and how often it is tried.
const STORE_DEADLINE: Duration = Duration::from_secs(30);
const STORE_TRIES: u32 = 3;
const STORE_PAUSE: Duration = Duration::from_millis(500);
const _: () = assert!(
    STORE_DEADLINE.saturating_mul(STORE_TRIES).as_secs() + SCORING_TIME.as_secs()
        <= SCORING_DEADLINE.as_secs()
);
/// What a script without limits gets, and the longest it may ask for.
const DEFAULT_DURATION: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(3_600);
const DEFAULT_SILENCE: Duration = Duration::from_secs(30);

/// A place among the calls taken at once.
pub(crate) struct Slot {
    pub(crate) _permit: OwnedSemaphorePermit,
    pub(crate) live: prometheus::IntGauge,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.live.dec();
    }
}

/// A call that belongs to a run.
struct Matched {
    about: About,
    script: CallScript,
    arrived: Instant,
}

/// What became of a matched call.
struct Taken {
    reason: EndedReason,
    duration: Duration,
    media: Option<MediaQuality>,
    turns: Vec<Turn>,
    recording: Result<PathBuf, String>,
}

impl Taken {
    fn unanswered(reason: EndedReason, why: impl Into<String>) -> Self {
        Self {
            reason,
            duration: Duration::ZERO,
            media: None,
            turns: Vec::new(),
            recording: Err(why.into()),
        }
    }
}

/// What the platform is asked about a call of `trunk`.
pub(crate) fn request(context: &Context, call: &IncomingCall, trunk: &Trunk) -> MatchRequest {
    let caller = trunk.caller(call.callers());
    let called = trunk.numbering.read(call.to_uri()).ok();
    let presented = caller.presented;
    MatchRequest {
        call_id: ringdown_bus::new_event_id(),
        sip_call_id: cut(call.sip_call_id()),
        from_raw: caller.raw,
        to_raw: call.to_user().map(cut).unwrap_or_default(),
        source: call.source().to_string(),
        hinted_run: call
            .header("X-Run-Id")
            .filter(|_| trunk.run_id)
            .and_then(|value| value.trim().parse().ok())
            .filter(|run| *run > 0)
            .unwrap_or_default(),
        received_at_us: ringdown_bus::now().as_micros(),
        holder: context.holder.to_string(),
        trunk: presented.trunk,
        from_header: presented.header.map_or("", CallerHeader::as_str).to_owned(),
        callers: presented.values.into_iter().map(Into::into).collect(),
        from: Some(caller.number.map_or_else(String::new, String::from)),
        to: Some(called.map_or_else(String::new, String::from)),
        ..MatchRequest::default()
    }
}

/// What the platform is told about a call that is refused without asking it.
pub(crate) fn decided(request: MatchRequest, verdict: Verdict) -> MatchRequest {
    MatchRequest {
        decided_verdict: verdict.to_string(),
        ..request
    }
}

/// Refuses a call; the caller having given up first is just as well.
pub(crate) async fn refuse(call: IncomingCall, status: u16, reason_text: &str) {
    let rejection = Rejection {
        status,
        reason_text: reason_text.to_owned(),
    };
    if let Err(error) = call.reject(rejection).await {
        debug!(%error, "a call ended before it was refused");
    }
}

/// Takes a call from a trusted source through everything.
pub(crate) async fn serve(
    context: Arc<Context>,
    call: IncomingCall,
    request: MatchRequest,
    slot: Slot,
) {
    let arrived = Instant::now();
    Span::current().record("call_id", &request.call_id);
    let reply = match ask(&context, &request).await {
        Ok(reply) => reply,
        Err(error) => {
            context.metrics.arrived(Outcome::PlatformAbsent);
            if let Some(times) = context.platform_absent.due() {
                warn!(%error, times, "calls were refused because the platform did not answer");
            }
            let mut entry = decided(request, Verdict::AtCapacity);
            entry.given_up = true;
            context.ledger.report(entry);
            return refuse(call, 503, "the platform did not answer").await;
        }
    };
    let verdict = Verdict::parse(&reply.verdict);
    context
        .metrics
        .arrived(verdict.map_or(Outcome::UnknownVerdict, Outcome::Verdict));
    if verdict != Some(Verdict::Matched) {
        return refuse_as_told(call, verdict, &reply).await;
    }
    let (Ok(team), Some(script)) = (reply.team.parse::<Team>(), reply.script) else {
        warn!("the platform matched a call without saying how to take it");
        return refuse(call, 503, "the platform's answer is not usable").await;
    };
    let run = RunId(reply.run_id);
    Span::current().record("team", team.as_str());
    Span::current().record("run_id", run.0);
    let matched = Matched {
        about: About {
            team,
            run,
            call_id: request.call_id,
            sip_call_id: call.sip_call_id().to_owned(),
        },
        script,
        arrived,
    };
    take(&context, call, matched, slot).await;
}

/// Asks which run the call belongs to, twice at most. The platform gives a call the same answer both
/// times, so a lost first answer costs nothing.
async fn ask(context: &Context, request: &MatchRequest) -> Result<MatchReply, ringdown_bus::Error> {
    match context.bus.match_call(request, MATCH_DEADLINE).await {
        Ok(reply) => Ok(reply),
        Err(error) => {
            debug!(%error, "asking the platform again");
            tokio::time::sleep(MATCH_PAUSE).await;
            context.bus.match_call(request, MATCH_DEADLINE).await
        }
    }
}

async fn refuse_as_told(call: IncomingCall, verdict: Option<Verdict>, reply: &MatchReply) {
    debug!(
        verdict = reply.verdict,
        status = reply.sip_status,
        "refused a call"
    );
    if reply.sip_status == 0 {
        return call.ignore();
    }
    let status = u16::try_from(reply.sip_status)
        .ok()
        .filter(|status| (300..=699).contains(status))
        .or(verdict.and_then(Verdict::sip_status))
        .unwrap_or(480);
    refuse(call, status, &reply.explanation).await;
}

/// A matched call: answer, talk, report.
async fn take(context: &Arc<Context>, call: IncomingCall, matched: Matched, slot: Slot) {
    let about = matched.about.clone();
    let mut facts = Facts::start(
        about.clone(),
        context.bus.clone(),
        &context.publishers,
        context.give_up.clone(),
        Arc::clone(&context.metrics),
    );
    let entry = context.live.enter(&about.team, about.run);
    let orders = Orders {
        over: entry.tokens().clone(),
        drained: context.hang_up.clone(),
    };
    let taken = Box::pin(talk(context, call, &matched, &mut facts, &orders)).await;
    drop(entry);
    // The place is free before the platform hears of it: it may send the next call at once.
    drop(slot);
    context.metrics.ended(taken.reason);
    info!(
        reason = taken.reason.as_str(),
        duration_ms = millis(taken.duration),
        turns = taken.turns.len(),
        "a call ended"
    );
    facts
        .ended(Ended {
            reason: taken.reason.to_string(),
            duration_ms: millis(taken.duration),
            media: taken.media,
            ..Ended::default()
        })
        .await;
    let (recording, missing_reason) = match taken.recording {
        Ok(file) => match keep(context, &about, &file).await {
            Ok(key) => (key, String::new()),
            Err(why) => (String::new(), why),
        },
        Err(why) => (String::new(), why),
    };
    facts
        .recorded(Recorded {
            recording,
            missing_reason,
            ended_reason: taken.reason.to_string(),
            turns: taken.turns,
            media: taken.media,
            duration_ms: millis(taken.duration),
        })
        .await;
}

async fn talk(
    context: &Arc<Context>,
    call: IncomingCall,
    matched: &Matched,
    facts: &mut Facts,
    orders: &Orders,
) -> Taken {
    let prompts = match prepare(context, &call, &matched.script, orders).await {
        Ok(prompts) => prompts,
        Err(obstacle) => return obstacle.end(call).await,
    };
    let file = context.workspace.file(&matched.about.call_id);
    let options = MediaOptions::default().recording_to(&file);
    let way = arrived(&call);
    // Dropping the answer half-way hangs up.
    let answered = tokio::select! {
        answered = call.answer(options) => answered,
        obstacle = stopped(orders) => {
            discard(context, file).await;
            return Taken::unanswered(obstacle.reason, obstacle.why);
        }
    };
    let call = match answered {
        Ok(call) => call,
        Err(error) => {
            discard(context, file).await;
            let reason = match error {
                ringdown_sip::Error::Cancelled => EndedReason::CallCanceled,
                _ => EndedReason::CallFailed,
            };
            info!(%error, "a call was not answered");
            return Taken::unanswered(reason, format!("the call was not answered: {error}"));
        }
    };
    let setup = call
        .answered_at()
        .saturating_duration_since(matched.arrived);
    context.metrics.setup.observe(setup.as_secs_f64());
    facts.answered(setup).await;
    let outcome = conversation::hold(
        &call,
        &prompts,
        (plan(&matched.script), context.options.timing),
        Hearing::new(context.options.detector),
        facts,
        orders,
    )
    .await;
    facts.came(way, &call.media().path());
    if outcome.ended.media.frames_dropped > 0 {
        warn!(
            frames = outcome.ended.media.frames_dropped,
            "the testing agent was too slow to hear everything; it is overloaded"
        );
    }
    Taken {
        reason: outcome.reason,
        duration: outcome.ended.duration,
        media: Some(quality(&outcome.ended.media)),
        turns: outcome.turns,
        recording: complete(context, &call, file).await,
    }
}

/// Why a matched call is not answered.
struct Obstacle {
    reason: EndedReason,
    /// The final response; `None` if the caller is gone.
    status: Option<u16>,
    why: String,
}

impl Obstacle {
    async fn end(self, call: IncomingCall) -> Taken {
        info!(why = self.why, "a call was not answered");
        if let Some(status) = self.status {
            refuse(call, status, &self.why).await;
        }
        Taken::unanswered(self.reason, self.why)
    }
}

/// Waits for an order to stop.
async fn stopped(orders: &Orders) -> Obstacle {
    let (reason, status, why) = tokio::select! {
        () = orders.over.cancelled.cancelled() => (EndedReason::CancelledByUser, 480, "the run was cancelled"),
        () = orders.over.lost.cancelled() => (EndedReason::TestingAgentLost, 480, "the run is over"),
        () = orders.drained.cancelled() => (EndedReason::TestingAgentDrained, 503, "draining"),
    };
    Obstacle {
        reason,
        status: Some(status),
        why: why.to_owned(),
    }
}

/// Renders the prompts, and lets the caller know that it rings if that takes a while.
async fn prepare(
    context: &Context,
    call: &IncomingCall,
    script: &CallScript,
    orders: &Orders,
) -> Result<Prompts, Obstacle> {
    let rendering = Prompts::render(&*context.synthesizer, script);
    let rendered = tokio::time::timeout(RENDER_DEADLINE, rendering);
    let ringing = async {
        tokio::time::sleep(RING_AFTER).await;
        if let Err(error) = call.ring().await {
            debug!(%error, "ring");
        }
        std::future::pending::<Infallible>().await
    };
    let failed = |why: String| Obstacle {
        reason: EndedReason::CallFailed,
        status: Some(500),
        why,
    };
    tokio::select! {
        biased;
        () = call.cancelled() => Err(Obstacle {
            reason: EndedReason::CallCanceled,
            status: None,
            why: "the caller gave up before the answer".to_owned(),
        }),
        obstacle = stopped(orders) => Err(obstacle),
        rendered = rendered => match rendered {
            Ok(Ok(prompts)) => Ok(prompts),
            Ok(Err(error)) => Err(failed(format!("failed to {error}"))),
            Err(_) => Err(failed(format!(
                "the prompts were not rendered within {} s",
                RENDER_DEADLINE.as_secs()
            ))),
        },
        never = ringing => match never {},
    }
}

fn plan(script: &CallScript) -> Plan {
    let limit = |ms: i64, default: Duration| match u64::try_from(ms) {
        Ok(0) | Err(_) => default,
        Ok(ms) => Duration::from_millis(ms).clamp(Duration::from_secs(1), LONGEST),
    };
    let present = |text: &str| !text.trim().is_empty();
    Plan {
        speaks_first: present(&script.first_message),
        replies: script.replies.len(),
        closing: present(&script.closing),
        max_duration: limit(script.max_duration_ms, DEFAULT_DURATION),
        silence_timeout: limit(script.silence_timeout_ms, DEFAULT_SILENCE),
    }
}

/// The complete recording, or why there is none.
async fn complete(
    context: &Arc<Context>,
    call: &ringdown_sip::Call,
    file: PathBuf,
) -> Result<PathBuf, String> {
    let Some(recording) = call.media().recording() else {
        return Err("the call was not recorded".to_owned());
    };
    let why = match tokio::time::timeout(RECORDING_DEADLINE, recording.finished()).await {
        Ok(Ok(summary)) => return Ok(summary.path),
        Ok(Err(error)) => format!("failed to {error}"),
        Err(_) => "the recording was not complete in time; the disk is too slow".to_owned(),
    };
    warn!(why, "a recording is missing");
    on_disk(context, move |context| context.workspace.set_aside(&file)).await;
    Err(why)
}

/// Stores a recording; returns its key, or why it was not stored.
async fn keep(context: &Arc<Context>, about: &About, file: &Path) -> Result<String, String> {
    let About {
        team, run, call_id, ..
    } = about;
    let key = format!("recordings/{team}/{run}/{call_id}.wav");
    let stored = context
        .give_up
        .run_until_cancelled(store(context, &key, file))
        .await
        .unwrap_or_else(|| Err("the testing agent had to stop before it was stored".to_owned()));
    let file = file.to_owned();
    match stored {
        Ok(()) => {
            on_disk(context, move |context| context.workspace.remove(&file)).await;
            Ok(key)
        }
        Err(why) => {
            warn!(why, "a recording was not stored; it is set aside");
            on_disk(context, move |context| context.workspace.set_aside(&file)).await;
            Err(why)
        }
    }
}

async fn store(context: &Context, key: &str, file: &Path) -> Result<(), String> {
    let mut pause = STORE_PAUSE;
    let mut tries = 1;
    loop {
        let storing = context.recordings.store(key, file);
        let why = match tokio::time::timeout(STORE_DEADLINE, storing).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("failed to store the recording: {error}"),
            Err(_) => format!(
                "failed to store the recording within {} s",
                STORE_DEADLINE.as_secs()
            ),
        };
        if tries == STORE_TRIES {
            return Err(why);
        }
        debug!(why, "storing a recording again");
        tries += 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Removes what may have been recorded of a call that was never answered.
async fn discard(context: &Arc<Context>, file: PathBuf) {
    on_disk(context, move |context| context.workspace.remove(&file)).await;
}

async fn on_disk(context: &Arc<Context>, work: impl FnOnce(&Context) + Send + 'static) {
    let context = Arc::clone(context);
    let done = tokio::task::spawn_blocking(move || work(&context)).await;
    if let Err(error) = done {
        warn!(%error, "a file operation on a recording failed");
    }
}
