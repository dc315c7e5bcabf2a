use std::collections::BTreeMap;
use std::time::Instant;

use ringdown_api::Run;
use ringdown_bus::{Bus, now};
use ringdown_client::Client;
use ringdown_domain::run::{MAX_DIAL_WINDOW, Status};
use ringdown_domain::{Team, Timestamp};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{RunStatus, RunTransition};
use tracing::{debug, warn};

use crate::pace::Pace;
use crate::service::Heard;

/// Looks in a row that may miss a run before it is taken for deleted.
const MAX_MISSING: u32 = 5;

struct Watched {
    last: Option<Status>,
    missing: u32,
    transition: RunTransition,
}

/// Watches the runs of one plan until all have ended.
pub(crate) async fn watch(
    client: &Client,
    bus: &Bus,
    team: &Team,
    runs: Vec<RunTransition>,
    heard: &Heard,
) -> Result<(), ringdown_bus::Error> {
    let mut watched: BTreeMap<i64, Watched> = BTreeMap::new();
    for transition in runs {
        let run = Watched {
            last: None,
            missing: 0,
            transition,
        };
        watched.insert(run.transition.run_id, run);
    }
    let mut pace = Pace::new();
    while !watched.is_empty() {
        let begun = Instant::now();
        let ids: Vec<i64> = watched.keys().copied().collect();
        let mut changed = false;
        match client.runs_bulk(&ids).await {
            Ok(found) => {
                heard.now();
                changed = take(bus, team, &mut watched, found).await?;
            }
            // The client has tried for its read deadline already; the runs go on without us.
            Err(error) => warn!(%error, "cannot look at runs, will try again"),
        }
        let queued = watched
            .values()
            .any(|run| matches!(run.last, None | Some(Status::InQueue)));
        let wait = pace.next(changed, queued, begun.elapsed());
        if !watched.is_empty() {
            tokio::time::sleep(wait).await;
        }
    }
    Ok(())
}

async fn take(
    bus: &Bus,
    team: &Team,
    watched: &mut BTreeMap<i64, Watched>,
    found: Vec<Run>,
) -> Result<bool, ringdown_bus::Error> {
    let mut changed = false;
    let mut found: BTreeMap<i64, Run> = found.into_iter().map(|run| (run.id, run)).collect();
    let ids: Vec<i64> = watched.keys().copied().collect();
    for id in ids {
        let Some(known) = watched.get_mut(&id) else {
            continue;
        };
        let status = match found.remove(&id) {
            Some(run) => {
                known.missing = 0;
                let Some(status) = run.status.known() else {
                    debug!(run = id, status = %run.status, "a status this build does not know");
                    continue;
                };
                if known.last == Some(status) {
                    continue;
                }
                update(&mut known.transition, &run, status);
                status
            }
            None if known.missing < MAX_MISSING => {
                known.missing += 1;
                continue;
            }
            None => {
                let message = "the service does not know the run any more";
                known.transition.status = RunStatus::Failed.into();
                known.transition.seq = seq(Status::Failed);
                message.clone_into(&mut known.transition.error_message);
                Status::Failed
            }
        };
        known.last = Some(status);
        changed = true;
        let envelope = bus.envelope(team, Fact::Run(known.transition.clone()));
        let message_id = format!("poll:{team}:{id}:{status}");
        bus.publish(&envelope, &message_id).await?;
        if status.is_terminal() {
            watched.remove(&id);
        }
    }
    Ok(changed)
}

/// A remote service numbers no transitions: the place of a state in a run's life serves.
fn seq(status: Status) -> u64 {
    match status {
        Status::InQueue => 1,
        Status::Pending => 2,
        Status::InProgress => 3,
        Status::Evaluating => 4,
        Status::Completed | Status::Failed | Status::Timeout | Status::Cancelled => 5,
    }
}

fn update(transition: &mut RunTransition, run: &Run, status: Status) {
    transition.status = RunStatus::from(status).into();
    transition.seq = seq(status);
    transition.error_message.clone_from(&run.error_message);
    transition.success = run.success.filter(|_| status == Status::Completed);
    if let Some(number) = &run.outbound_number {
        transition.number.clone_from(number);
    }
    if transition.scenario_name.is_empty() {
        transition.scenario_name.clone_from(&run.scenario_name);
    }
    if status == Status::Pending {
        let (opens, closes) = window(run, now());
        transition.opens_at_us = opens.as_micros();
        transition.closes_at_us = closes.as_micros();
    }
}

/// The dial window by our own clock. The service's clock may be off: its closing time is believed
/// only if it is in the future and no later than the window's length from now.
fn window(run: &Run, now: Timestamp) -> (Timestamp, Timestamp) {
    let length = run
        .outbound_dial_window_seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
        .map_or(MAX_DIAL_WINDOW, |length| length.min(MAX_DIAL_WINDOW));
    let latest = now.plus(length);
    let told = run
        .outbound_dial_window_closes_at
        .as_deref()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map(|at| Timestamp::from_micros(at.as_microsecond()))
        .filter(|at| now < *at && *at <= latest);
    (now, told.unwrap_or(latest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(seconds: Option<f64>, closes: Option<&str>) -> Run {
        Run {
            outbound_dial_window_seconds: seconds,
            outbound_dial_window_closes_at: closes.map(str::to_owned),
            ..Run::default()
        }
    }

    #[test]
    fn a_wrong_clock_at_the_service_is_not_believed() {
        let now = Timestamp::from_micros(1_000_000_000_000_000);
        let (_, closes) = window(&run(Some(60.0), None), now);
        assert_eq!(now.until(closes), Duration::from_secs(60));
        for told in ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "soon"] {
            let (_, closes) = window(&run(Some(60.0), Some(told)), now);
            assert_eq!(now.until(closes), Duration::from_secs(60), "{told}");
        }
        // 1_000_000_000 s after the epoch is 2001-09-09T01:46:40Z.
        let (_, closes) = window(&run(Some(60.0), Some("2001-09-09T01:47:00Z")), now);
        assert_eq!(now.until(closes), Duration::from_secs(20));
        let (_, closes) = window(&run(Some(-1.0), None), now);
        assert_eq!(now.until(closes), MAX_DIAL_WINDOW);
    }
}
