use std::time::Duration;

use ringdown_domain::attempt::Verdict;
use ringdown_domain::call::EndedReason;
use ringdown_domain::matching::{Candidate, IncomingCall, Judgement, judge};
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{CallId, E164, OrganisationId, RunId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::Sqlite;
use super::ledger::insert;
use super::rows::{from_json, status, window};
use super::runs::{apply, load};
use super::tenancy::reject;
use crate::{Arrival, AttemptKind, Matched, NewAttempt, Reject, Result, Run, RunPatch, Transition};

/// Finished runs are still an explanation for this long.
const RECENT: Duration = Duration::from_secs(15 * 60);

/// Pending runs looked at for one call, oldest first; any of them may be the one.
const MAX_PENDING: i64 = 2000;

/// Runs in each other state looked at: they only explain a refusal.
const MAX_OTHERS: i64 = 500;

fn candidate(row: &SqliteRow) -> Result<Candidate> {
    Ok(Candidate {
        run: RunId(row.try_get("id")?),
        status: status(row.try_get("status")?)?,
        window: window(row)?,
        caller_ids: from_json("run", row.try_get("caller_ids")?)?,
        call: row.try_get::<Option<String>, _>("call_id")?.map(CallId),
    })
}

/// Runs of its `owner` on `number`, the call's own first if it was matched before, then oldest pending first.
async fn candidates(
    db: &mut SqliteConnection,
    number: &E164,
    owner: Option<i64>,
    call: &CallId,
    now: Timestamp,
) -> Result<Vec<Candidate>> {
    let recent = i64::try_from(RECENT.as_micros()).unwrap_or(i64::MAX);
    // Each part is a short walk along an index: a number may have any number of runs. The plus keeps
    // the search for the call off the index of numbers.
    let rows = sqlx::query(
        "WITH ours AS NOT MATERIALIZED (SELECT * FROM runs WHERE number = $1 \
         AND ($5 IS NULL OR org_id = $5)) \
         SELECT id, status, opens_at, closes_at, caller_ids, call_id FROM runs WHERE id IN (\
         SELECT id FROM runs WHERE call_id = $3 AND +number = $1 \
         AND ($5 IS NULL OR org_id = $5) \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE status = 'pending' \
         ORDER BY opens_at, id LIMIT $4) \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE status = 'in_progress' \
         ORDER BY id LIMIT $6) \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE status = 'in_queue' \
         ORDER BY id LIMIT $6) \
         UNION ALL SELECT id FROM (SELECT id FROM ours WHERE updated_at >= $2 \
         ORDER BY updated_at DESC LIMIT $6)) \
         ORDER BY (call_id IS $3) DESC, (status = 'pending') DESC, \
         (status IN ('in_queue', 'in_progress')) DESC, opens_at, id",
    )
    .bind(number.as_str())
    .bind(now.as_micros().saturating_sub(recent))
    .bind(&call.0)
    .bind(MAX_PENDING)
    .bind(owner)
    .bind(MAX_OTHERS)
    .fetch_all(db)
    .await?;
    rows.iter().map(candidate).collect()
}

/// The pending run that a caller was meant to reach when it called another number.
async fn expected_elsewhere(
    db: &mut SqliteConnection,
    from: &E164,
    owner: Option<OrganisationId>,
) -> Result<Option<Run>> {
    let id: Option<i64> = sqlx::query_scalar(
        "SELECT r.id FROM runs r WHERE r.status = 'pending' AND ($1 IS NULL OR r.org_id = $1) \
         AND EXISTS (SELECT 1 FROM json_each(r.caller_ids) c WHERE c.value = $2) \
         ORDER BY r.opens_at, r.id LIMIT 1",
    )
    .bind(owner.map(|org| org.0))
    .bind(from.as_str())
    .fetch_optional(&mut *db)
    .await?;
    match id {
        Some(id) => Ok(Some(load(db, RunId(id)).await?)),
        None => Ok(None),
    }
}

pub(super) async fn match_call(
    db: &Sqlite,
    call: IncomingCall,
    arrival: Arrival,
    now: Timestamp,
) -> Result<Matched> {
    let mut tx = db.write().await?;
    let (owner, runs) = match &call.to {
        Ok(to) => {
            let owner: Option<i64> =
                sqlx::query_scalar("SELECT org_id FROM phone_numbers WHERE number = $1")
                    .bind(to.as_str())
                    .fetch_optional(&mut *tx)
                    .await?;
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
        Some(id) => Some(load(&mut tx, id).await?),
        None => None,
    };
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
        && let Some(pending) = run.take_if(|run| run.status() == Status::Pending)
    {
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
async fn refused_before(db: &mut SqliteConnection, call: &CallId) -> Result<Option<Judgement>> {
    let refused: Option<(String, Option<i64>)> = sqlx::query_as(
        "SELECT explanation, run_id FROM attempts \
         WHERE kind = 'invite' AND attempt_id = $1 AND verdict = 'at_capacity'",
    )
    .bind(&call.0)
    .fetch_optional(db)
    .await?;
    Ok(refused.map(|(explanation, run)| Judgement {
        verdict: Verdict::AtCapacity,
        run: run.map(RunId),
        explanation,
    }))
}

/// See [`crate::Store::refuse_call`].
pub(super) async fn refuse(
    db: &Sqlite,
    mut attempt: NewAttempt,
    now: Timestamp,
) -> Result<Option<Transition>> {
    let mut tx = db.write().await?;
    let run: Option<i64> = sqlx::query_scalar("SELECT id FROM runs WHERE call_id = $1")
        .bind(&attempt.attempt_id)
        .fetch_optional(&mut *tx)
        .await?;
    let mut transition = None;
    if let Some(id) = run {
        let run = load(&mut tx, RunId(id)).await?;
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

async fn rejection(db: &mut SqliteConnection, run: Option<&Run>) -> Result<Reject> {
    let Some(run) = run else {
        return Ok(Reject::Explicit);
    };
    let text: Option<String> = sqlx::query_scalar("SELECT reject FROM projects WHERE id = $1")
        .bind(run.project.0)
        .fetch_optional(db)
        .await?;
    text.map_or(Ok(Reject::Explicit), |text| reject(&text))
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
        explanation: judgement.explanation.clone(),
        route: String::new(),
    }
}
