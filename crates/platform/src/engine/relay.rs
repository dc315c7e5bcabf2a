use std::collections::HashSet;
use std::time::Duration;

use prost::Message as _;
use ringdown_bus::Message;
use ringdown_domain::run::Status;
use ringdown_domain::{ResultId, Timestamp};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{RunStatus, RunTransition};
use ringdown_store::{Announcement, Entered};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::clip::{RAW, SENTENCE, clip};
use super::{Engine, PAUSE};
use crate::Error;

const BATCH: u32 = 256;

/// Rows are looked for this often even without a wake-up: a second process may have written them.
const IDLE: Duration = Duration::from_secs(1);

/// Longest pause between tries while the bus is away.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Largest transition that is published as it is, in bytes; a message of the bus holds 1 MiB.
const MAX_BYTES: usize = 768 * 1024;

/// Publishes outbox rows in order until `stop`, then once more.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    let mut pause = PAUSE;
    loop {
        let stopping = stop.is_cancelled();
        match drain(&engine).await {
            Ok(()) => pause = PAUSE,
            Err(error) => {
                warn!(%error, "cannot publish transitions, will try again");
                if !stopping {
                    stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                    continue;
                }
            }
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = engine.0.outbox.notified() => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

/// Publishes until nothing is left. What was published is forgotten while the next rows are on their way: a
/// transition does not wait for the housekeeping of those before it.
async fn drain(engine: &Engine) -> Result<(), Error> {
    let mut published = HashSet::new();
    loop {
        let (forgotten, next) =
            tokio::join!(forget(engine, &published), forward(engine, &published));
        forgotten?;
        published = next?;
        if published.is_empty() {
            return Ok(());
        }
    }
}

async fn forget(engine: &Engine, published: &HashSet<i64>) -> Result<(), Error> {
    if published.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = published.iter().copied().collect();
    Ok(engine.0.store.outbox_published(&ids).await?)
}

/// Publishes the next rows, but for those that are being forgotten. Returns which.
async fn forward(engine: &Engine, forgotten: &HashSet<i64>) -> Result<HashSet<i64>, Error> {
    let beside = u32::try_from(forgotten.len()).unwrap_or(BATCH);
    let mut rows = engine.0.store.outbox(BATCH + beside).await?;
    rows.retain(|row| !forgotten.contains(&row.id));
    let ids = rows.iter().map(|row| row.id).collect();
    // In their order, so that a run's transitions stand in the stream in theirs.
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows {
        match row.event {
            Announcement::Entered(entered) => messages.push(message(engine, &entered, row.at)),
            Announcement::Accepted(batch) => {
                let before = std::mem::take(&mut messages);
                engine.0.bus.publish_all(&before).await?;
                accepted(engine, batch, row.at).await?;
            }
        }
    }
    engine.0.bus.publish_all(&messages).await?;
    Ok(ids)
}

fn message(engine: &Engine, entered: &Entered, at: Timestamp) -> Message {
    let run = &entered.run;
    let fact = Fact::Run(bounded(transition(entered)));
    let mut envelope = engine.0.bus.envelope(&run.team, fact);
    envelope.event_id = format!("run-{}-{}", run.id, entered.seq);
    envelope.at_us = at.as_micros();
    let id = format!("{}:{}", run.id, entered.seq);
    Message { envelope, id }
}

/// Announces the first transition of every run of a batch, wherever the runs are by now.
async fn accepted(engine: &Engine, batch: ResultId, at: Timestamp) -> Result<(), Error> {
    let mut after = None;
    loop {
        let runs = engine.0.store.accepted_runs(batch, after, BATCH).await?;
        let Some(last) = runs.last().map(|run| run.id) else {
            return Ok(());
        };
        after = Some(last);
        let queued = runs.into_iter().map(|run| Entered {
            seq: 1,
            status: Status::InQueue,
            window: None,
            error_message: None,
            success: None,
            run,
        });
        let messages: Vec<Message> = queued
            .map(|entered| message(engine, &entered, at))
            .collect();
        engine.0.bus.publish_all(&messages).await?;
    }
}

/// What is stored is bounded, so this never has to act; but one row that could not be published
/// would hold up every row behind it.
fn bounded(mut transition: RunTransition) -> RunTransition {
    if transition.encoded_len() > MAX_BYTES {
        error!(
            run = transition.run_id,
            bytes = transition.encoded_len(),
            "a transition is too large for the bus and goes without its test profile and names"
        );
        transition.test_profile_json.clear();
        transition.scenario_name = clip(&transition.scenario_name, RAW);
        transition.agent_name = clip(&transition.agent_name, RAW);
        transition.error_message = clip(&transition.error_message, SENTENCE);
        transition.caller_ids.truncate(64);
    }
    transition
}

fn transition(row: &Entered) -> RunTransition {
    let run = &row.run;
    let profile = run.test_profile.as_ref();
    RunTransition {
        run_id: run.id.0,
        seq: row.seq,
        status: RunStatus::from(row.status).into(),
        number: run.number.to_string(),
        caller_ids: run.caller_ids.iter().map(ToString::to_string).collect(),
        opens_at_us: row.window.map_or(0, |w| Timestamp::as_micros(w.opens_at)),
        closes_at_us: row.window.map_or(0, |w| Timestamp::as_micros(w.closes_at)),
        dial_route: run.dial_route.clone().unwrap_or_default(),
        test_profile_json: profile
            .and_then(|profile| serde_json::to_string(profile).ok())
            .unwrap_or_default(),
        scenario_id: run.scenario.0,
        scenario_name: run.scenario_name.clone(),
        agent_id: run.agent.0,
        agent_name: run.agent_name.clone(),
        result_id: run.result.0,
        error_message: row.error_message.clone().unwrap_or_default(),
        success: row.success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_that_no_message_holds_is_cut_down() {
        let huge = "ä".repeat(1024 * 1024);
        let cut = bounded(RunTransition {
            run_id: 7,
            number: "+15551230000".to_owned(),
            test_profile_json: huge.clone(),
            error_message: huge.clone(),
            agent_name: huge.clone(),
            scenario_name: huge,
            ..RunTransition::default()
        });
        assert!(cut.encoded_len() < 16 * 1024);
        assert_eq!((cut.run_id, cut.number.as_str()), (7, "+15551230000"));
        let small = RunTransition {
            test_profile_json: "{}".to_owned(),
            ..RunTransition::default()
        };
        assert_eq!(bounded(small.clone()), small);
    }
}
