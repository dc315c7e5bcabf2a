use std::time::Duration;

use prost::Message as _;
use ringdown_domain::Timestamp;
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{RunStatus, RunTransition};
use ringdown_store::OutboxRow;
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

async fn drain(engine: &Engine) -> Result<(), Error> {
    loop {
        let rows = engine.0.store.outbox(BATCH).await?;
        let Some(last) = rows.last().map(|row| row.id) else {
            return Ok(());
        };
        for row in &rows {
            // One after the other, so that a run's transitions stand in the stream in their order.
            let mut envelope = engine
                .0
                .bus
                .envelope(&row.run.team, Fact::Run(bounded(transition(row))));
            envelope.event_id = format!("run-{}-{}", row.run.id, row.seq);
            envelope.at_us = row.at.as_micros();
            let id = format!("{}:{}", row.run.id, row.seq);
            engine.0.bus.publish(&envelope, &id).await?;
        }
        engine.0.store.outbox_published(last).await?;
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

fn transition(row: &OutboxRow) -> RunTransition {
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
