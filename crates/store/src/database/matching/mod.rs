//! Which run a call belongs to. The rules are the domain's; here is what they need to know, and the transaction that
//! gives a run its call.

mod quick;

use std::time::Duration;

use ringdown_domain::attempt::Verdict;
use ringdown_domain::call::EndedReason;
use ringdown_domain::matching::{Candidate, IncomingCall, Judgement, judge};
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{CallId, E164, OrganisationId, Timestamp};

use super::apply::apply;
use super::ledger::insert;
use super::rows::{from_json, status, window};
use super::tenancy::reject;
use super::transitions::{load, load_locked};
use super::{Database, lock};
use crate::sql::{Row, Session, sql};
use crate::{Arrival, AttemptKind, Matched, NewAttempt, Reject, Result, Run, RunPatch, Transition};
pub(super) use quick::Call;

/// Finished runs are still an explanation for this long.
const RECENT: Duration = Duration::from_secs(15 * 60);

/// Pending runs looked at for one call, oldest first; any of them may be the one.
const MAX_PENDING: i64 = 2000;

/// Runs in each other state looked at: they only explain a refusal.
const MAX_OTHERS: i64 = 500;

fn candidate(row: &Row) -> Result<Candidate> {
    Ok(Candidate {
        run: row.id("id")?,
        status: status(row.get("status")?)?,
        window: window(row)?,
        caller_ids: from_json("run", row.get("caller_ids")?)?,
        call: row.get::<Option<String>>("call_id")?.map(CallId),
    })
}

/// Runs of its `owner` on `number`, the call's own first if it was matched before, then oldest pending first.
async fn candidates(
    on: &mut Session,
    number: &E164,
    owner: Option<i64>,
    call: &CallId,
    now: Timestamp,
) -> Result<Vec<Candidate>> {
    let recent = i64::try_from(RECENT.as_micros()).unwrap_or(i64::MAX);
    // Each part is a short walk along an index: a number may have any number of runs. The plus keeps
    // the search for the call off the index of numbers.
    let mut query = sql(
        "WITH ours AS NOT MATERIALIZED (SELECT * FROM runs WHERE number = $1 \
         AND ($5 IS NULL OR org_id = $5)) \
         SELECT r.id, r.status, r.opens_at, r.closes_at, b.caller_ids, r.call_id FROM runs r \
         JOIN batches b ON b.id = r.result_id AND b.state <> 'staging' WHERE r.id IN (\
         SELECT id FROM runs WHERE call_id = $3 AND ",
    )
    .bind(number)
    .bind(now.as_micros().saturating_sub(recent))
    .bind(&call.0)
    .bind(MAX_PENDING)
    .bind(owner)
    .bind(MAX_OTHERS);
    query.either("+", "").push(
        "number = $1 AND ($5 IS NULL OR org_id = $5) \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE status = 'pending' \
         ORDER BY opens_at, id LIMIT $4) a \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE status = 'in_progress' \
         ORDER BY id LIMIT $6) b \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE status = 'in_queue' \
         ORDER BY id LIMIT $6) c \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE updated_at >= $2 \
         ORDER BY updated_at DESC LIMIT $6) d) \
         ORDER BY coalesce(r.call_id = $3, false) DESC, (r.status = 'pending') DESC, \
         (r.status IN ('in_queue', 'in_progress')) DESC, r.opens_at, r.id",
    );
    let rows = query.all(on).await?;
    rows.iter().map(candidate).collect()
}

/// The pending run that a caller was meant to reach when it called another number.
async fn expected_elsewhere(
    on: &mut Session,
    from: &E164,
    owner: Option<OrganisationId>,
) -> Result<Option<Run>> {
    let mut query = sql(
        "SELECT r.id FROM runs r JOIN batches b ON b.id = r.result_id \
        WHERE r.status = 'pending'",
    );
    if let Some(owner) = owner {
        query.push(" AND r.org_id = ").push_bind(owner.0);
    }
    query.push(" AND ").list_has("b.caller_ids", from.as_str());
    query.push(" ORDER BY r.opens_at, r.id LIMIT 1");
    match query.optional(on).await? {
        Some(row) => Ok(Some(load(on, row.id("id")?).await?)),
        None => Ok(None),
    }
}

pub(super) async fn match_call(
    db: &Database,
    call: IncomingCall,
    arrival: Arrival,
    now: Timestamp,
) -> Result<Matched> {
    let call = Call { call, arrival, now };
    match db.calls.take(call.clone()).await? {
        Some(matched) => Ok(matched),
        None => thoroughly(db, call).await,
    }
}

/// Matches a call, or finds out why it matches nothing.
async fn thoroughly(db: &Database, asked: Call) -> Result<Matched> {
    let Call { call, arrival, now } = asked;
    let mut tx = db.write().await?;
    let (owner, runs) = match &call.to {
        Ok(to) => {
            // Two calls to one number are judged one after the other.
            lock(&mut tx, to.as_str()).await?;
            let row = sql("SELECT org_id FROM phone_numbers WHERE number = $1")
                .bind(to)
                .optional(&mut tx)
                .await?;
            let owner: Option<i64> = row.map(|row| row.get("org_id")).transpose()?;
            (
                owner.map(OrganisationId),
                candidates(&mut tx, to, owner, &call.call, now).await?,
            )
        }
        Err(_) => (None, Vec::new()),
    };
    let over = match refused_before(&mut tx, &call.call).await? {
        Some(refused) => Some(refused),
        None => over(&call.call, &runs),
    };
    let mut judgement = match &over {
        Some(over) => over.clone(),
        None => judge(&call, owner.is_some(), &runs, now),
    };
    let mut run = match judgement.run {
        Some(id) if judgement.verdict == Verdict::Matched => Some(load_locked(&mut tx, id).await?),
        Some(id) => Some(load(&mut tx, id).await?),
        None => None,
    };
    // Its window closed, or a user cancelled it, while its batch was waited for.
    if judgement.verdict == Verdict::Matched
        && let Some(gone) = run
            .as_ref()
            .filter(|run| !matches!(run.status(), Status::Pending | Status::InProgress))
    {
        judgement.verdict = Verdict::TooLate;
        judgement.explanation = format!("run {} ended at the moment the call arrived", gone.id);
    }
    let lost = over.is_none()
        && matches!(
            judgement.verdict,
            Verdict::UnknownNumber | Verdict::NoPendingRun
        );
    if let (true, Ok(from)) = (lost, &call.from)
        && let Some(meant) = expected_elsewhere(&mut tx, from, owner).await?
    {
        let (id, number) = (meant.id, &meant.number);
        judgement.explanation = format!(
            "{}; run {id} expects a call from {from} on {number}",
            judgement.explanation
        );
        judgement.run = Some(id);
        run = Some(meant);
    }
    if judgement.verdict == Verdict::Matched
        && let Some(mut pending) = run.take_if(|run| run.status() == Status::Pending)
    {
        pending.holder.clone_from(&arrival.holder);
        let event = Event::Matched {
            call: call.call.clone(),
            max_duration: Duration::from_millis(pending.script.max_duration_ms),
        };
        let transition = apply(&mut tx, pending, event, RunPatch::default(), now).await?;
        run = Some(transition.run);
    }
    let treatment = rejection(&mut tx, run.as_ref()).await?;
    let row = ledger_row(
        &call,
        arrival,
        &judgement,
        run.as_ref(),
        owner,
        treatment,
        now,
    );
    insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(Matched {
        judgement,
        run,
        reject: treatment,
    })
}

/// A call that the testing agent refused while the question about it was on its way.
async fn refused_before(on: &mut Session, call: &CallId) -> Result<Option<Judgement>> {
    let row = sql("SELECT explanation, run_id FROM attempts \
         WHERE kind = 'invite' AND attempt_id = $1 AND verdict = 'at_capacity'")
    .bind(&call.0)
    .optional(on)
    .await?;
    row.map(|row| {
        Ok(Judgement {
            verdict: Verdict::AtCapacity,
            run: row.maybe_id("run_id")?,
            explanation: row.get("explanation")?,
        })
    })
    .transpose()
}

/// See [`crate::Transitions::refuse_call`].
pub(super) async fn refuse(
    db: &Database,
    mut attempt: NewAttempt,
    now: Timestamp,
) -> Result<Option<Transition>> {
    let mut tx = db.write().await?;
    if let Some(to) = &attempt.to {
        // The question about this call may be being answered.
        lock(&mut tx, to.as_str()).await?;
    }
    let found = sql("SELECT id FROM runs WHERE call_id = $1")
        .bind(&attempt.attempt_id)
        .optional(&mut tx)
        .await?;
    let mut transition = None;
    if let Some(row) = found {
        let run = load_locked(&mut tx, row.id("id")?).await?;
        attempt.org = Some(run.org);
        attempt.run = Some(run.id);
        if run.status() == Status::InProgress {
            let ended = Event::CallEnded {
                call: CallId(attempt.attempt_id.clone()),
                ended: EndedReason::CallFailed,
            };
            transition = Some(apply(&mut tx, run, ended, RunPatch::default(), now).await?);
        }
    }
    insert(&mut tx, &attempt).await?;
    tx.commit().await?;
    Ok(transition)
}

/// A call that is asked about again after its run has moved on: it belongs to that run, so no other
/// one may be given to it.
fn over(call: &CallId, runs: &[Candidate]) -> Option<Judgement> {
    let over = |run: &&Candidate| {
        run.call.as_ref() == Some(call)
            && !matches!(run.status, Status::Pending | Status::InProgress)
    };
    runs.iter().find(over).map(|run| Judgement {
        verdict: Verdict::NoPendingRun,
        run: Some(run.run),
        explanation: format!("the call was matched to run {}, which is over", run.run),
    })
}

async fn rejection(on: &mut Session, run: Option<&Run>) -> Result<Reject> {
    let Some(run) = run else {
        return Ok(Reject::Explicit);
    };
    let row = sql("SELECT reject FROM projects WHERE id = $1")
        .bind(run.project.0)
        .optional(on)
        .await?;
    row.map_or(Ok(Reject::Explicit), |row| reject(row.get("reject")?))
}

fn ledger_row(
    call: &IncomingCall,
    arrival: Arrival,
    judgement: &Judgement,
    run: Option<&Run>,
    owner: Option<OrganisationId>,
    treatment: Reject,
    now: Timestamp,
) -> NewAttempt {
    let matched = judgement.verdict == Verdict::Matched;
    let response = match treatment {
        _ if matched => Some(200),
        Reject::Explicit => judgement.verdict.sip_status(),
        Reject::Silent => None,
    };
    NewAttempt {
        attempt_id: arrival.attempt_id,
        kind: AttemptKind::Invite,
        at: now,
        verdict: judgement.verdict.to_string(),
        org: run.map(|run| run.org).or(owner),
        run: judgement.run,
        nearest: !matched && judgement.run.is_some(),
        from_raw: arrival.from_raw,
        from: call.from.clone().ok(),
        to_raw: arrival.to_raw,
        to: call.to.clone().ok(),
        source: arrival.source,
        sip_call_id: arrival.sip_call_id,
        response,
        ending: None,
        explanation: judgement.explanation.clone(),
        route: String::new(),
        presented: call.presented.clone(),
    }
}
