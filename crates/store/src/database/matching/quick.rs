//! Most calls find their run at once. They are matched together, and nothing is read for them that only a refusal
//! has to explain.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use ringdown_domain::attempt::Verdict;
use ringdown_domain::matching::{Candidate, IncomingCall, Judgement, judge};
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{E164, RunId, Timestamp};

use super::{candidate, ledger_row, over};
use crate::database::apply::{Step, apply_all};
use crate::database::grouped::Task;
use crate::database::ledger::insert_all;
use crate::database::lock_all;
use crate::database::rows::parsed;
use crate::database::transitions::load_all_locked;
use crate::sql::{Session, sql};
use crate::{Arrival, Matched, Reject, Result, Run, RunPatch};

/// Pending runs of a number looked at, oldest first.
const NEAR: i64 = 50;

/// A call to match.
#[derive(Clone, Debug)]
pub(in crate::database) struct Call {
    pub(super) call: IncomingCall,
    pub(super) arrival: Arrival,
    pub(super) now: Timestamp,
}

impl Task for Call {
    /// None: which run it is, if any, is not to be seen at once, and nothing was done.
    type Outcome = Option<Matched>;

    async fn together(on: &mut Session, calls: Vec<Self>) -> Result<Vec<Result<Option<Matched>>>> {
        let numbers: BTreeSet<&E164> = calls.iter().filter_map(Call::to).collect();
        // Two calls to one number are judged one after the other.
        lock_all(on, numbers.iter().map(|number| number.as_str())).await?;
        let mut near = near(on, &numbers, &calls).await?;
        let refused = refused(on, &calls).await?;
        let mut asked = HashSet::new();
        let judgements: Vec<Option<Judgement>> = calls
            .iter()
            .map(|call| {
                let again = !asked.insert(&call.call.call) || refused.contains(&call.call.call.0);
                let runs = near.get_mut(call.to()?)?;
                if again { None } else { call.judge(runs) }
            })
            .collect();
        let found: Vec<RunId> = judgements
            .iter()
            .flatten()
            .filter_map(|judgement| judgement.run)
            .collect();
        if found.is_empty() {
            return Ok(calls.iter().map(|_| Ok(None)).collect());
        }
        let runs = load_all_locked(on, &found).await?;
        let runs = runs.into_iter().map(|run| (run.id, run)).collect();
        let mut matched = give(on, &calls, &judgements, runs).await?;
        let mut rows = Vec::new();
        let mut outcomes = Vec::with_capacity(calls.len());
        for (call, judgement) in calls.into_iter().zip(judgements) {
            let run = judgement.as_ref().and_then(|judgement| judgement.run);
            let run = run.and_then(|run| matched.remove(&run));
            let (Some(judgement), Some(run)) = (judgement, run) else {
                outcomes.push(Ok(None));
                continue;
            };
            rows.push(ledger_row(
                &call.call,
                call.arrival,
                &judgement,
                Some(&run),
                None,
                Reject::Explicit,
                call.now,
            ));
            outcomes.push(Ok(Some(Matched {
                judgement,
                run: Some(run),
                // Nothing is rejected.
                reject: Reject::Explicit,
            })));
        }
        insert_all(on, &rows).await?;
        Ok(outcomes)
    }
}

impl Call {
    fn to(&self) -> Option<&E164> {
        self.call.to.as_ref().ok()
    }

    /// The run of this call among those near, which is taken from the calls after this one.
    fn judge(&self, runs: &mut [Candidate]) -> Option<Judgement> {
        if over(&self.call.call, runs).is_some() {
            return None;
        }
        let judgement = judge(&self.call, true, runs, self.now);
        if judgement.verdict != Verdict::Matched {
            return None;
        }
        let run = runs.iter_mut().find(|run| Some(run.run) == judgement.run)?;
        run.status = Status::InProgress;
        run.call = Some(self.call.call.clone());
        Some(judgement)
    }
}

/// Gives each run that is still pending its call. Returns the runs that have the call they were judged to have.
async fn give(
    on: &mut Session,
    calls: &[Call],
    judgements: &[Option<Judgement>],
    mut runs: HashMap<RunId, Run>,
) -> Result<HashMap<RunId, Run>> {
    let mut matched = HashMap::new();
    let mut pending = Vec::new();
    let mut steps = Vec::new();
    for (call, judgement) in calls.iter().zip(judgements) {
        let run = judgement.as_ref().and_then(|judgement| judgement.run);
        let Some(mut run) = run.and_then(|run| runs.remove(&run)) else {
            continue;
        };
        match run.status() {
            Status::Pending => {
                run.holder.clone_from(&call.arrival.holder);
                let max_duration = Duration::from_millis(run.script.max_duration_ms);
                steps.push(Step {
                    run: run.id,
                    event: Some(Event::Matched {
                        call: call.call.call.clone(),
                        max_duration,
                    }),
                    patch: RunPatch::default(),
                    now: call.now,
                });
                pending.push(run);
            }
            Status::InProgress if run.call.as_ref() == Some(&call.call.call) => {
                matched.insert(run.id, run);
            }
            // It ended while its batch was waited for.
            _ => {}
        }
    }
    let given = apply_all(on, pending, steps).await?;
    matched.extend(
        given
            .into_iter()
            .flatten()
            .map(|given| (given.run.id, given.run)),
    );
    Ok(matched)
}

/// The runs that calls to these numbers may be for: those that have one of the calls already, those that the dialer
/// names, and the oldest pending ones. Only those of a number's owner.
async fn near(
    on: &mut Session,
    numbers: &BTreeSet<&E164>,
    calls: &[Call],
) -> Result<HashMap<E164, Vec<Candidate>>> {
    // The order of the joins is fixed for SQLite, which would walk along a number's whole queue; so is, by the plus,
    // the index.
    let mut query = sql("WITH owned AS (SELECT number, org_id FROM phone_numbers WHERE ");
    query
        .one_of("number", numbers.iter().map(|number| number.as_str()))
        .push(
            "), waiting AS (SELECT r.id, \
             row_number() OVER (PARTITION BY r.number ORDER BY r.opens_at, r.id) AS place \
             FROM owned o CROSS JOIN runs r WHERE r.number = o.number AND r.status = 'pending' AND ",
        )
        .either("+", "")
        .push("r.org_id = o.org_id), near AS (SELECT id FROM waiting WHERE place <= ")
        .push_bind(NEAR)
        .push(" UNION SELECT id FROM runs WHERE ")
        .one_of(
            "call_id",
            calls.iter().map(|call| call.call.call.0.as_str()),
        )
        .push(" UNION SELECT id FROM runs WHERE ")
        .one_of(
            "id",
            calls.iter().filter_map(|call| call.call.hint).map(|run| run.0),
        )
        .push(
            ") SELECT r.id, r.number, r.status, r.opens_at, r.closes_at, b.caller_ids, r.call_id \
             FROM near n CROSS JOIN runs r JOIN owned o ON o.number = r.number AND o.org_id = r.org_id \
             JOIN batches b ON b.id = r.result_id AND b.state <> 'staging' \
             WHERE r.id = n.id ORDER BY r.opens_at, r.id",
        );
    let mut near: HashMap<E164, Vec<Candidate>> = HashMap::new();
    for row in query.all(on).await? {
        let number = parsed("run", row.get("number")?)?;
        near.entry(number).or_default().push(candidate(&row)?);
    }
    Ok(near)
}

/// Which of the calls the testing agent refused while the question about them was on its way.
async fn refused(on: &mut Session, calls: &[Call]) -> Result<HashSet<String>> {
    let mut query = sql(
        "SELECT attempt_id FROM attempts WHERE kind = 'invite' AND verdict = 'at_capacity' AND ",
    );
    query.one_of(
        "attempt_id",
        calls.iter().map(|call| call.call.call.0.as_str()),
    );
    let rows = query.all(on).await?;
    rows.iter().map(|row| row.get("attempt_id")).collect()
}
