//! Triggers what is due on a schedule.
//!
//! The transaction that stores a batch moves its job on to the next time, so whenever a process dies, and
//! however many there are, a due time is triggered once. Times that passed while nobody ran are made up
//! for once. What came of it, a refusal included, is written to the job; while the database fails, the job
//! stays due.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_cron::Schedule;
use ringdown_domain::{PersonalityId, ResultId, ScenarioId, TestProfileId, Timestamp};
use ringdown_store::{CronJob, Error as StoreError, Extra, Firing, Scope};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clip::{SENTENCE, clip};
use super::{Engine, PAUSE};
use crate::Error;
use crate::plan::{Refusal, Request, Selection};

/// Jobs that are looked at together.
const AT_ONCE: u32 = 100;

/// Longest sleep without a look at the clock, should the system clock be set.
const MAX_SLEEP: Duration = Duration::from_secs(30);

impl Engine {
    /// A cron job was stored, changed or deleted: another may be due next.
    pub fn cron_changed(&self) {
        self.0.cron.notify_one();
    }
}

/// Triggers due jobs until `stop`. A job that is being triggered is finished.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sleep = match trigger_due(&engine, &stop).await {
            Ok(sleep) => sleep,
            Err(error) => {
                warn!(%error, "cannot trigger what is due on a schedule, will try again");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.0.cron.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Returns when to look again.
async fn trigger_due(engine: &Engine, stop: &CancellationToken) -> Result<Duration, Error> {
    let store = &engine.0.store;
    loop {
        let due = store.due_cron_jobs(now(), AT_ONCE).await?;
        if due.is_empty() {
            break;
        }
        let mut failed = false;
        for job in due {
            if stop.is_cancelled() {
                return Ok(PAUSE);
            }
            // It stays due. One that cannot be triggered keeps no other waiting.
            if let Err(error) = fire(engine, &job).await {
                warn!(job = %job.id, %error, "cannot trigger a cron job, will try again");
                failed = true;
            }
        }
        if failed {
            return Ok(PAUSE);
        }
    }
    let next = store.next_cron_job().await?;
    Ok(next.map_or(MAX_SLEEP, |at| now().until(at).min(MAX_SLEEP)))
}

/// Triggers a job or writes down why not. Fails, and changes nothing, if the database does.
async fn fire(engine: &Engine, job: &CronJob) -> Result<(), StoreError> {
    let Some(due) = job.job.next_run_at else {
        return Ok(());
    };
    let schedule = Schedule::parse(&job.job.expression, &job.job.timezone);
    let next: Option<Timestamp> = match &schedule {
        Ok(schedule) if job.job.is_active => schedule.next_after(now()),
        _ => None,
    };
    let firing = Firing {
        job: job.id,
        due,
        next,
    };
    let why = match schedule {
        _ if !job.job.is_active => "the job is not active".to_owned(),
        Err(why) => why.to_string(),
        Ok(_) => match trigger(engine, job, firing).await {
            Ok(result) => {
                info!(job = %job.id, %result, "a cron job was due");
                return Ok(());
            }
            // Another process was first, or a user changed the job.
            Err(Refusal::Store(StoreError::NotDue(_))) => return Ok(()),
            Err(Refusal::Store(failed @ StoreError::Database(_))) => return Err(failed),
            Err(Refusal::Store(why)) => why.to_string(),
            Err(Refusal::Wrong(why)) => why.to_string(),
        },
    };
    let outcome = clip(&format!("not triggered: {why}"), SENTENCE);
    if (engine.0.store.skip_cron_job(firing, &outcome, now())).await? {
        info!(job = %job.id, %outcome, "a cron job was due");
    }
    Ok(())
}

async fn trigger(engine: &Engine, job: &CronJob, firing: Firing) -> Result<ResultId, Refusal> {
    let scope = Scope {
        org: job.job.org,
        project: Some(job.job.project),
    };
    let mut batch = engine.plan(scope, &request(job)).await?;
    batch.cron_job = Some(firing);
    match engine.trigger(batch).await {
        Ok(triggered) => Ok(triggered.batch.id),
        Err(Error::Store(error)) => Err(Refusal::Store(error)),
        Err(Error::Bus(error)) => Err(Refusal::of("bus", error.to_string())),
    }
}

/// What a job triggers. Its fields were checked when it was stored; what is unreadable all the same
/// counts as absent, and the plan says what is missing.
fn request(job: &CronJob) -> Request {
    let extra = &job.job.extra;
    let scenarios: Vec<ScenarioId> = read(extra, "scenarios").unwrap_or_default();
    let tags: Vec<String> = read(extra, "tags").unwrap_or_default();
    let selection = if scenarios.is_empty() && !tags.is_empty() {
        Selection::Tags(tags)
    } else {
        Selection::Scenarios(scenarios)
    };
    let mut personality_ids: Vec<PersonalityId> = read(extra, "personalities").unwrap_or_default();
    if personality_ids.is_empty() {
        personality_ids.extend(read::<PersonalityId>(extra, "personality"));
    }
    let test_profile_ids: Vec<TestProfileId> = read(extra, "test_profile_ids").unwrap_or_default();
    Request {
        agent_id: job.job.agent,
        project_id: Some(job.job.project),
        frequency: read(extra, "frequency").unwrap_or(1),
        name: Some(job.job.name.clone()),
        personality_ids,
        test_profile_ids,
        concurrency_limit: read(extra, "concurrency_limit"),
        priority: read(extra, "priority").unwrap_or_default(),
        ..Request::of(selection)
    }
}

fn read<T: DeserializeOwned>(extra: &Extra, name: &str) -> Option<T> {
    serde_json::from_value(extra.get(name)?.clone()).ok()
}
