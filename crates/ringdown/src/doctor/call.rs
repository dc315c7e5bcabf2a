//! One test call: from the trigger to the end of its run.

use std::time::Duration;

use ringdown_api::own::{Attempt, Diagnosis};
use ringdown_api::{Run, RunScenarios};
use ringdown_client::{AttemptQuery, Client, Kind};
use ringdown_domain::run::{SCORING_DEADLINE, Status};
use tokio::time::Instant;

use crate::attempts::failure;
use crate::exit::Failure;
use crate::up::Signals;

/// How often the run is looked at.
const PAUSE: Duration = Duration::from_secs(1);
/// What messages and admission may take on top of window, call and scoring.
const GRACE: Duration = Duration::from_secs(10);

/// What became of the test call.
pub(super) enum Made {
    /// The platform refused to trigger it.
    NotTriggered(String),
    /// The user does not want to wait; the run was ended.
    Interrupted,
    /// The run as it was last seen, ended or given up, and its rows of the ledger, newest first.
    Over {
        run: Box<Run>,
        attempts: Vec<Attempt>,
    },
}

/// Triggers one run of `evaluator` and waits for its end: no longer than its window, the longest call
/// and its scoring take. Whatever happens, no run is left behind.
pub(super) async fn make(
    client: &Client,
    diagnosis: &Diagnosis,
    evaluator: i64,
) -> Result<Made, Failure> {
    let mut signals = Signals::listen()?;
    let request = RunScenarios {
        agent_id: Some(diagnosis.agent_id),
        scenarios: Some(vec![evaluator]),
        frequency: Some(1),
        name: Some(format!("Test call of agent {}", diagnosis.agent_id)),
        ..RunScenarios::default()
    };
    let triggered = match client.run_scenarios(&request).await {
        Ok(triggered) => triggered,
        Err(error) => match error.kind {
            Kind::Rejected { body, .. } => return Ok(Made::NotTriggered(body)),
            _ => return Err(failure(error)),
        },
    };
    let Some(first) = triggered.runs.first().map(|run| run.id) else {
        return Ok(Made::NotTriggered("the batch has no run".to_owned()));
    };
    eprintln!("triggered run {first}");
    let longest = Duration::from_secs(diagnosis.dial_window_seconds)
        + Duration::from_secs(diagnosis.longest_call_seconds)
        + SCORING_DEADLINE
        + GRACE;
    let followed = tokio::select! {
        followed = follow(client, first, Instant::now() + longest) => Some(followed),
        () = signals.next() => None,
    };
    let run = match followed {
        Some(Ok(run)) if is_over(&run) => run,
        unfinished => {
            eprintln!("ending result {}", triggered.id);
            let ended = client.end_calls(triggered.id).await;
            match unfinished {
                Some(Ok(run)) => {
                    ended.map_err(failure)?;
                    run
                }
                // That it could not be read says more than that it could not be ended either.
                Some(Err(error)) => return Err(failure(error)),
                None => {
                    ended.map_err(failure)?;
                    return Ok(Made::Interrupted);
                }
            }
        }
    };
    let query = AttemptQuery {
        run: Some(first),
        page: 1,
        page_size: 500,
        ..AttemptQuery::default()
    };
    let attempts = client.attempts(&query).await.map_err(failure)?.results;
    Ok(Made::Over {
        run: Box::new(run),
        attempts,
    })
}

pub(super) fn is_over(run: &Run) -> bool {
    run.status.known().is_some_and(Status::is_terminal)
}

/// The run once it is over, or as it is at the deadline. Says on standard error where it is.
async fn follow(
    client: &Client,
    id: i64,
    deadline: Instant,
) -> Result<Run, ringdown_client::Error> {
    let mut told = String::new();
    loop {
        let run = client.run(id).await?;
        let status = run.status.as_str();
        if told != status {
            match (run.status.known(), &run.outbound_number, &run.agent_number) {
                (Some(Status::Pending), Some(to), Some(from)) => {
                    eprintln!("run {id} is pending: expecting a call from {from} to {to}");
                }
                _ => eprintln!("run {id} is {status}"),
            }
            status.clone_into(&mut told);
        }
        if is_over(&run) || Instant::now() >= deadline {
            return Ok(run);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
