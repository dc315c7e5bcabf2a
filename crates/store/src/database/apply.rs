use std::collections::{BTreeMap, BTreeSet, HashMap};

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Effect, Event, State};
use ringdown_domain::{HolderId, ResultId, RunId, Timestamp};
use serde_json::{Value, json};

use super::counts::{Change, follow};
use super::grouped::Task;
use super::rows::{millis, not_found, to_json};
use super::transitions::load_all_locked;
use super::webhooks;
use crate::sql::{Session, sql, storable};
use crate::{Result, Run, RunPatch, Transition, WebhookKind};

/// What is to happen to a run.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) run: RunId,
    /// None: only what the patch says changes, and nobody is told.
    pub(super) event: Option<Event>,
    pub(super) patch: RunPatch,
    pub(super) now: Timestamp,
}

impl Task for Step {
    type Outcome = Transition;

    async fn together(on: &mut Session, steps: Vec<Self>) -> Result<Vec<Result<Transition>>> {
        let ids: Vec<RunId> = steps.iter().map(|step| step.run).collect();
        let runs = load_all_locked(on, &ids).await?;
        apply_all(on, runs, steps).await
    }
}

/// Takes over what a patch sets.
fn patched(run: &mut Run, patch: RunPatch) {
    run.duration = patch.duration.or(run.duration);
    run.ended_reason = patch.ended_reason.or(run.ended_reason);
    run.recording = patch.recording.or_else(|| run.recording.take());
    run.score = patch.score.or_else(|| run.score.take());
    if let Some(notes) = patch.notes {
        run.notes.extend(notes);
    }
}

/// What the step makes of the run.
fn stepped(run: &Run, step: Step) -> Result<(Run, Vec<Effect>)> {
    let mut run = run.clone();
    let mut effects = Vec::new();
    if let Some(event) = step.event {
        let (state, demanded) = run.state.apply(event, step.now)?;
        match &state {
            State::Pending { window } => run.window = Some(*window),
            State::InProgress { call, .. } => {
                run.call = Some(call.clone());
                run.executed_at = Some(step.now);
            }
            _ => {}
        }
        run.state = state;
        run.seq += 1;
        run.updated_at = step.now;
        effects = demanded;
    }
    run.version += 1;
    patched(&mut run, step.patch);
    Ok((run, effects))
}

/// The columns of a run that can change.
const CHANGING: &[(&str, &str)] = &[
    ("id", "bigint"),
    ("seq", "bigint"),
    ("version", "bigint"),
    ("status", "text"),
    ("opens_at", "bigint"),
    ("closes_at", "bigint"),
    ("call_id", "text"),
    ("deadline_at", "bigint"),
    ("executed_at", "bigint"),
    ("reason", "text"),
    ("success", "boolean"),
    ("updated_at", "bigint"),
    ("duration_ms", "bigint"),
    ("ended_reason", "text"),
    ("recording", "text"),
    ("score", "text"),
    ("notes", "text"),
    ("holder", "text"),
];

fn changing(run: &Run) -> Result<Value> {
    let notes = (!run.notes.is_empty()).then_some(&run.notes);
    Ok(json!({
        "id": run.id.0,
        "seq": run.seq,
        "version": run.version,
        "status": run.status().as_str(),
        "opens_at": run.window.map(|window| window.opens_at),
        "closes_at": run.window.map(|window| window.closes_at),
        "call_id": run.call.as_ref().map(|call| storable(&call.0)),
        "deadline_at": run.state.deadline(),
        "executed_at": run.executed_at,
        "reason": run.error_message().map(storable),
        "success": run.success(),
        "updated_at": run.updated_at,
        "duration_ms": run.duration.map(millis),
        "ended_reason": run.ended_reason.map(EndedReason::as_str),
        "recording": run.recording.as_deref().map(storable),
        "score": run.score.as_ref().map(|score| to_json("run", score)).transpose()?,
        "notes": notes.map(|notes| to_json("run", notes)).transpose()?,
        "holder": run.holder.as_ref().map(HolderId::as_str),
    }))
}

async fn write(on: &mut Session, runs: impl Iterator<Item = &Run>) -> Result<()> {
    let rows: Vec<Value> = runs.map(changing).collect::<Result<_>>()?;
    let assignments: Vec<String> = CHANGING
        .iter()
        .skip(1)
        .map(|(column, _)| format!("{column} = j.{column}"))
        .collect();
    let mut update = sql("UPDATE runs SET ");
    update
        .push(assignments.join(", "))
        .push(" FROM ")
        .push_records("j", CHANGING, rows)
        .push(" WHERE runs.id = j.id");
    update.run(on).await?;
    Ok(())
}

/// The columns of an outbox row.
const ANNOUNCED: &[(&str, &str)] = &[
    ("result_id", "bigint"),
    ("run_id", "bigint"),
    ("at", "bigint"),
    ("seq", "bigint"),
    ("status", "text"),
    ("opens_at", "bigint"),
    ("closes_at", "bigint"),
    ("reason", "text"),
    ("success", "boolean"),
];

/// The outbox row of the state a run is in.
fn announcement(run: &Run) -> Value {
    json!({
        "result_id": run.result.0,
        "run_id": run.id.0,
        "at": run.updated_at,
        "seq": run.seq,
        "status": run.status().as_str(),
        "opens_at": run.window.map(|window| window.opens_at),
        "closes_at": run.window.map(|window| window.closes_at),
        "reason": run.error_message().map(storable),
        "success": run.success(),
    })
}

async fn announce(on: &mut Session, rows: Vec<Value>) -> Result<()> {
    let columns: Vec<&str> = ANNOUNCED.iter().map(|(column, _)| *column).collect();
    let columns = columns.join(", ");
    let mut insert = sql("INSERT INTO outbox (");
    insert
        .push(columns.clone())
        .push(") SELECT ")
        .push(columns)
        .push(" FROM ")
        .push_records("j", ANNOUNCED, rows);
    insert.run(on).await?;
    Ok(())
}

/// Applies one event; see [`apply_all`].
pub(super) async fn apply(
    on: &mut Session,
    run: Run,
    event: Event,
    patch: RunPatch,
    now: Timestamp,
) -> Result<Transition> {
    let step = Step {
        run: run.id,
        event: Some(event),
        patch,
        now,
    };
    apply_one(on, run, step).await
}

/// Applies one step; see [`apply_all`].
pub(super) async fn apply_one(on: &mut Session, run: Run, step: Step) -> Result<Transition> {
    let id = run.id;
    let outcome = apply_all(on, vec![run], vec![step]).await?.pop();
    outcome.unwrap_or_else(|| Err(not_found("run", id)))
}

/// Applies steps in their order, inside a transaction that has the batches of these runs locked: the new states,
/// what came with them, the batches' counts and the outbox rows, in a handful of statements however many
/// steps there are. A step that fits no state changes nothing, and the others are none the worse for it.
///
/// Returns what became of each step.
pub(super) async fn apply_all(
    on: &mut Session,
    runs: Vec<Run>,
    steps: Vec<Step>,
) -> Result<Vec<Result<Transition>>> {
    let mut runs: HashMap<RunId, Run> = runs.into_iter().map(|run| (run.id, run)).collect();
    let mut changed = BTreeSet::new();
    let mut counted: BTreeMap<ResultId, Change> = BTreeMap::new();
    let mut announced = Vec::new();
    let mut ended = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let (id, now, moves) = (step.run, step.now, step.event.is_some());
        let Some(before) = runs.get(&id) else {
            outcomes.push(Err(not_found("run", id)));
            continue;
        };
        let (run, effects) = match stepped(before, step) {
            Ok(stepped) => stepped,
            Err(error) => {
                outcomes.push(Err(error));
                continue;
            }
        };
        counted
            .entry(run.result)
            .or_default()
            .add(before, &run, now);
        if moves {
            announced.push(announcement(&run));
            if run.status().is_terminal() {
                ended.insert(run.result, (id, now));
            }
        }
        changed.insert(id);
        runs.insert(id, run.clone());
        outcomes.push(Ok(Transition { run, effects }));
    }
    if changed.is_empty() {
        return Ok(outcomes);
    }
    write(on, changed.iter().filter_map(|id| runs.get(id))).await?;
    let finished = follow(on, &counted).await?;
    if !announced.is_empty() {
        announce(on, announced).await?;
    }
    for (id, now) in finished.iter().filter_map(|batch| ended.get(batch)) {
        if let Some(run) = runs.get(id) {
            webhooks::insert_if_wanted(on, run, WebhookKind::ResultCompleted, *now).await?;
        }
    }
    Ok(outcomes)
}
