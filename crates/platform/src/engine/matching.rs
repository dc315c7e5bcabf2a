use ringdown_bus::{MatchCall, MatchCalls, now};
use ringdown_domain::attempt::Verdict;
use ringdown_domain::matching::IncomingCall;
use ringdown_domain::{CallId, HolderId, Presented, RunId};
use ringdown_proto::v1::{CallScript, MatchReply, MatchRequest};
use ringdown_store::{Arrival, AttemptKind, Matched, NewAttempt, Reject, Run};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use super::Engine;
use super::clip::{RAW, clip};
use super::questions::answer_all;
use crate::Error;

/// Matches worked on at once; more wait in the connection.
const CONCURRENCY: usize = 64;

/// Answers the testing agents' question which run a call belongs to.
pub(super) struct Service {
    calls: MatchCalls,
}

impl Service {
    pub(super) async fn start(engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            calls: engine.0.bus.match_calls().await?,
        })
    }

    pub(super) async fn run(self, engine: Engine, stop: CancellationToken) {
        answer_all(self.calls, CONCURRENCY, stop, |call| {
            let engine = engine.clone();
            let span = info_span!("match", call_id = %call.request.call_id);
            async move { answer(&engine, call).await }.instrument(span)
        })
        .await;
    }
}

async fn answer(engine: &Engine, call: MatchCall) {
    let reply = match decide(engine, &call.request).await {
        Ok(reply) => reply,
        // No reply: the testing agent asks again, and a call that cannot be matched is refused as
        // temporarily unavailable instead of being explained wrongly.
        Err(error) => {
            warn!(%error, "cannot match a call");
            return;
        }
    };
    if let Err(error) = call.reply(&reply).await {
        warn!(%error, "cannot answer a match request");
    }
}

/// The request with everything the network wrote cut to a length that can be kept and published.
fn clipped(request: &MatchRequest) -> MatchRequest {
    MatchRequest {
        from_raw: clip(&request.from_raw, RAW),
        to_raw: clip(&request.to_raw, RAW),
        source: clip(&request.source, RAW),
        sip_call_id: clip(&request.sip_call_id, RAW),
        ..request.clone()
    }
}

/// How the call was presented, no longer than can be kept.
fn presented(request: &MatchRequest) -> Presented {
    let mut presented = request.presented();
    presented.trunk = clip(&presented.trunk, RAW);
    for value in &mut presented.values {
        value.value = clip(&value.value, RAW);
    }
    presented
}

async fn decide(engine: &Engine, request: &MatchRequest) -> Result<MatchReply, Error> {
    let request = &clipped(request);
    let call = IncomingCall {
        call: CallId(request.call_id.clone()),
        from: request.caller(),
        to: request.callee(),
        hint: (request.hinted_run > 0).then_some(RunId(request.hinted_run)),
        presented: presented(request),
    };
    if let Some(verdict) = Verdict::parse(&request.decided_verdict) {
        return record(engine, request, call, verdict).await;
    }
    let arrival = Arrival {
        attempt_id: request.call_id.clone(),
        from_raw: request.from_raw.clone(),
        to_raw: request.to_raw.clone(),
        source: request.source.clone(),
        sip_call_id: request.sip_call_id.clone(),
        holder: holder(request),
    };
    let matched = engine.0.store.match_call(call, arrival, now()).await?;
    engine.changed();
    if matched.verdict() == Verdict::Matched
        && let Some(run) = &matched.run
    {
        engine.check(run);
    }
    info!(verdict = %matched.verdict(), why = %matched.judgement.explanation, "call arrived");
    Ok(reply(&matched))
}

/// Who will hold the call; without a name it is only missed at its longest duration.
fn holder(request: &MatchRequest) -> Option<HolderId> {
    if request.holder.is_empty() {
        return None;
    }
    let named = request.holder.parse();
    named
        .inspect_err(|error| warn!(%error, "cannot tell who holds a call"))
        .ok()
}

/// The testing agent has decided already: only the ledger hears of it.
async fn record(
    engine: &Engine,
    request: &MatchRequest,
    call: IncomingCall,
    verdict: Verdict,
) -> Result<MatchReply, Error> {
    let explanation = match verdict {
        Verdict::AtCapacity if request.given_up => {
            "the platform did not answer in time, so the testing agent refused the call"
        }
        Verdict::AtCapacity => "the testing agent had no capacity for one more call",
        Verdict::UntrustedSource => "the call came from an address outside the trunk list",
        _ => "the testing agent refused the call",
    };
    let sip_status = verdict.sip_status();
    let attempt = NewAttempt {
        attempt_id: request.call_id.clone(),
        kind: AttemptKind::Invite,
        at: now(),
        verdict: verdict.to_string(),
        org: None,
        run: None,
        nearest: false,
        from_raw: request.from_raw.clone(),
        from: call.from.ok(),
        to_raw: request.to_raw.clone(),
        to: call.to.ok(),
        source: request.source.clone(),
        sip_call_id: request.sip_call_id.clone(),
        response: sip_status,
        ending: None,
        explanation: explanation.to_owned(),
        route: String::new(),
        presented: call.presented,
    };
    let lost = engine.0.store.refuse_call(attempt, now()).await?;
    if let Some(transition) = lost {
        warn!(run = %transition.run.id, "a run lost its call, which was refused before it was known to be matched");
        engine.follow_up(&transition);
    }
    Ok(MatchReply {
        verdict: verdict.to_string(),
        explanation: explanation.to_owned(),
        sip_status: sip_status.map_or(0, u32::from),
        ..MatchReply::default()
    })
}

fn reply(matched: &Matched) -> MatchReply {
    let verdict = matched.verdict();
    let run = matched.run.as_ref();
    let refused = verdict.sip_status();
    let sip_status = match (matched.reject, refused) {
        (Reject::Explicit, Some(status)) => u32::from(status),
        _ => 0,
    };
    MatchReply {
        verdict: verdict.to_string(),
        explanation: matched.judgement.explanation.clone(),
        run_id: run.map_or(0, |run| run.id.0),
        team: run.map_or_else(String::new, |run| run.team.to_string()),
        sip_status,
        script: run.filter(|_| verdict == Verdict::Matched).map(script),
    }
}

fn script(run: &Run) -> CallScript {
    let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    CallScript {
        first_message: run.script.first_message.clone(),
        replies: run.script.replies.clone(),
        closing: run.script.closing.clone(),
        max_duration_ms: millis(run.script.max_duration_ms),
        silence_timeout_ms: millis(run.script.silence_timeout_ms),
        language: run.script.language.clone(),
    }
}
