//! Jobs on a schedule, with a real clock.

use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::run::Status;
use ringdown_domain::{CronJobId, PersonalityId, Timestamp};
use ringdown_store::{CronJob, NewCronJob, Store};
use serde_json::{Value, json};

use crate::world::{World, within};

/// A job that was due an hour ago, and every hour before that.
fn job(world: &World, extra: Value) -> NewCronJob {
    let Value::Object(extra) = extra else {
        panic!("not an object: {extra}");
    };
    let hour = 3_600_000_000;
    NewCronJob {
        org: world.org.id,
        project: world.project.id,
        agent: Some(world.agent.id),
        name: "nightly".to_owned(),
        expression: "0 * * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        is_active: true,
        extra,
        next_run_at: Some(Timestamp::from_micros(now().as_micros() - hour)),
        created_by: None,
    }
}

/// Waits until a job has been taken and its outcome written; nothing on the bus says so.
async fn ran(db: &dyn Store, world: &World, id: CronJobId) -> CronJob {
    within("a cron job ran", async {
        loop {
            let job = db.cron_job(world.org.id.into(), id).await.unwrap();
            if !job.last_outcome.is_empty() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_job_triggers_once_and_goes_on_from_now() {
    let world = World::start().await;
    let scenario = world.scenario("a", json!({})).await;
    let extra = json!({
        "scenarios": [scenario.id],
        "frequency": 2,
        "personalities": [2, 8],
        "concurrency_limit": 3,
        "test_profile_ids": [world.profile("Pat").await],
    });
    let mut transitions = world.transitions().await;
    let made = world.db.create_cron_job(job(&world, extra), now()).await;
    let made = made.unwrap();
    world.engine.cron_changed();
    let job = ran(world.db.as_ref(), &world, made.id).await;
    let batches = world.batches().await;
    assert_eq!(batches.len(), 1, "a missed time is made up for once");
    let batch = &batches[0];
    assert_eq!(job.last_outcome, format!("triggered result {}", batch.id));
    assert_eq!(batch.cron_job, Some(made.id));
    assert_eq!((batch.name.as_str(), batch.counts.total), ("nightly", 4));
    assert_eq!(batch.concurrency_limit, Some(3));
    assert!(job.job.next_run_at.unwrap() > now());
    assert!(job.last_run_at.is_some());
    let runs = world.db.runs_of(world.org.id.into(), batch.id, None, 10);
    let runs = runs.await.unwrap();
    assert_eq!(runs[1].personality, Some(PersonalityId(8)));
    transitions.until(runs[0].id, Status::Pending).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_outcome_and_an_idle_job_does_nothing() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for (change, expected) in [
        (json!({"scenarios": [77]}), "not triggered: scenarios: "),
        (json!({}), "not triggered: scenarios: "),
        (json!({"tags": ["none"]}), "not triggered: tags: "),
    ] {
        let made = world.db.create_cron_job(job(&world, change), now()).await;
        ids.push((made.unwrap().id, expected));
    }
    let broken = NewCronJob {
        expression: "every day".to_owned(),
        ..job(&world, json!({}))
    };
    let made = world.db.create_cron_job(broken, now()).await.unwrap();
    ids.push((made.id, "not triggered: "));
    let idle = NewCronJob {
        is_active: false,
        ..job(&world, json!({}))
    };
    let made = world.db.create_cron_job(idle, now()).await.unwrap();
    ids.push((made.id, "not triggered: the job is not active"));
    world.engine.cron_changed();
    for (index, (id, expected)) in ids.into_iter().enumerate() {
        let job = ran(world.db.as_ref(), &world, id).await;
        assert!(job.last_outcome.starts_with(expected), "{job:?}");
        assert_eq!(job.job.next_run_at.is_some(), index < 3, "{job:?}");
    }
    assert!(world.batches().await.is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_on_one_database_trigger_each_job_once() {
    let world = World::start().await;
    let (second, stop, running) = world.second_engine();
    let scenario = world.scenario("a", json!({})).await;
    let extra = json!({"scenarios": [scenario.id]});
    let mut ids = Vec::new();
    for _ in 0..10 {
        let made = world.db.create_cron_job(job(&world, extra.clone()), now());
        ids.push(made.await.unwrap().id);
        world.engine.cron_changed();
        second.cron_changed();
    }
    for id in &ids {
        ran(world.db.as_ref(), &world, *id).await;
    }
    let mut jobs: Vec<CronJobId> = world
        .batches()
        .await
        .iter()
        .filter_map(|batch| batch.cron_job)
        .collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ids);
    stop.cancel();
    within("the second engine stops", running)
        .await
        .unwrap()
        .unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_passed_while_nobody_ran_is_made_up_for_after_the_start() {
    let mut world = World::start().await;
    let scenario = world.scenario("a", json!({})).await;
    let due = job(&world, json!({"scenarios": [scenario.id]}));
    let mut id = None;
    world
        .restart(async |db| {
            let made = db.create_cron_job(due, now()).await.unwrap();
            id = Some(made.id);
        })
        .await;
    let ran = ran(world.db.as_ref(), &world, id.unwrap()).await;
    assert!(ran.last_outcome.starts_with("triggered result "), "{ran:?}");
    assert_eq!(world.batches().await.len(), 1);
    world.close().await;
}

/// An engine dies somewhere on its way from seeing a job due to having triggered it, each time a little
/// later. Another one goes on: every job is triggered, and none twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_triggered_once_whenever_its_engine_dies() {
    let world = World::start().await;
    let scenario = world.scenario("a", json!({})).await;
    // On SQLite so many runs are stored in several transactions.
    let extra = json!({"scenarios": [scenario.id], "frequency": 1200});
    let mut ids = Vec::new();
    for round in 0..8 {
        let (second, _stop, running) = world.second_engine();
        let made = world.db.create_cron_job(job(&world, extra.clone()), now());
        let id = made.await.unwrap().id;
        second.cron_changed();
        // No wait for anything: the moment of the death is what is tried out.
        tokio::time::sleep(Duration::from_millis(6 * round)).await;
        running.abort();
        let _ = within("the second engine is gone", running).await;
        world.engine.cron_changed();
        let ran = ran(world.db.as_ref(), &world, id).await;
        assert!(ran.last_outcome.starts_with("triggered result "), "{ran:?}");
        assert!(ran.job.next_run_at.unwrap() > now());
        ids.push(id);
    }
    let batches = world.batches().await;
    let mut jobs: Vec<CronJobId> = batches.iter().filter_map(|batch| batch.cron_job).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ids);
    assert!(batches.iter().all(|batch| batch.counts.total == 1200));
    world.close().await;
}
