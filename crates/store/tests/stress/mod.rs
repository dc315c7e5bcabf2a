//! Everything that locks something, from many tasks at once. None may wait for another in a circle, no
//! limit may be exceeded, and in the end every count is exact.

use std::sync::Arc;

use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status};
use ringdown_domain::{ProjectId, ResultId};
use ringdown_store::{Error, Project, RunFilter, RunPatch};

use crate::conformance::counts::exact;
use crate::conformance::limits::peak;
use crate::conformance::{
    Db, PAGE, Team, arrival, at, cancelled, ended, entered, new_number, number, team, transition,
};

const TASKS: usize = 12;
const ROUNDS: usize = 40;
const ORGANISATION: u32 = 9;
const PROJECT: u32 = 4;
const BATCH: u32 = 2;

/// What every task works on.
struct Field {
    team: Team,
    batches: Vec<ResultId>,
    narrow: Project,
}

pub async fn everything_at_once(platforms: [Db; 2]) {
    let db = Arc::clone(&platforms[0]);
    let team = team(&db, "team").await;
    team.limit(Some(ORGANISATION)).await;
    let mut narrow = team.another_project("narrow").await;
    narrow.parallel_limit = Some(PROJECT);
    narrow.webhook_url = Some("https://example.com/hook".to_owned());
    db.update_project(&narrow, vec![], at(0)).await.unwrap();
    for last in 0..30 {
        let new = new_number(team.org.id, number(500 + last));
        db.add_phone_number(new, at(0)).await.unwrap();
    }
    let mut batches = Vec::new();
    for (project, limit) in [
        (team.project.id, None),
        (narrow.id, None),
        (team.project.id, Some(BATCH)),
        (narrow.id, Some(BATCH)),
    ] {
        let mut new = team.new_batch(40);
        (new.project, new.concurrency_limit) = (project, limit);
        batches.push(db.trigger(new, at(0)).await.unwrap().0.id);
    }
    let field = Arc::new(Field {
        team,
        batches,
        narrow,
    });
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (db, field) = (Arc::clone(&platforms[task % 2]), Arc::clone(&field));
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                step(&db, &field, task, round).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let peak = peak(&entered(&db).await);
    assert!(peak.organisation <= ORGANISATION as usize);
    assert!(peak.organisation > 1, "hardly anything happened");
    let most = peak.project.get(&field.narrow.id).copied();
    assert!(most.unwrap_or_default() <= PROJECT as usize);
    for batch in &field.batches[2..] {
        let most = peak.batch.get(batch).copied();
        assert!(most.unwrap_or_default() <= BATCH as usize);
    }
    let all = db.batches(field.team.scope(), Default::default(), PAGE);
    let all: Vec<ResultId> = all.await.unwrap().rows.iter().map(|b| b.id).collect();
    exact(&field.team, &all).await;
    // 160 to begin with and more since; what was deleted is counted no longer.
    let runs = db
        .runs(field.team.scope(), RunFilter::default(), PAGE)
        .await;
    let runs = runs.unwrap();
    assert_eq!(runs.count, runs.rows.len() as u64);
}

/// One thing after another, another one for each task at any time.
async fn step(db: &Db, field: &Field, task: usize, round: usize) {
    let (team, scope, now) = (&field.team, field.team.scope(), at(1));
    let batch = field.batches[(task + round) % field.batches.len()];
    let done = match (task + 3 * round) % 12 {
        0..=2 => db.admit(team.org.id, now).await.map(drop),
        3 => {
            let (from, to) = (team.caller(), team.number.number.clone());
            let (call, arrival) = arrival(&format!("{task}-{round}"), from.as_str(), to.as_str());
            db.match_call(call, arrival, now).await.map(drop)
        }
        4..=6 => move_on(db, field, batch, task + round).await,
        7 => db
            .cancel_batch(scope, batch, "stress", 2, now)
            .await
            .map(drop),
        8 => db.rename_batch(scope, batch, &format!("{round}")).await,
        9 => trigger(db, team, field.narrow.id).await,
        10 => {
            db.update_project(&field.narrow, vec![], now).await.unwrap();
            db.take_webhooks(now, at(100), 5).await.map(drop)
        }
        _ => delete(db, field, batch).await,
    };
    match done {
        // Another task was faster: that is the point of the test.
        Ok(())
        | Err(
            Error::Illegal(_)
            | Error::NotFound { .. }
            | Error::Conflict { .. }
            | Error::TooFewNumbers { .. },
        ) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// Whatever comes next for a run that is under way.
async fn move_on(db: &Db, field: &Field, batch: ResultId, which: usize) -> Result<(), Error> {
    let under_way = RunFilter {
        result: Some(batch),
        statuses: vec![Status::Pending, Status::InProgress, Status::Evaluating],
        ..RunFilter::default()
    };
    let runs = db.runs(field.team.scope(), under_way, PAGE).await?.rows;
    let Some(run) = runs.get(which % runs.len().max(1)) else {
        return Ok(());
    };
    let call = run.call.clone().map_or_else(String::new, |call| call.0);
    let event = match run.status() {
        Status::Pending => cancelled(),
        Status::InProgress => ended(&call, EndedReason::MainAgentEnded),
        _ => Event::Scored { success: true },
    };
    let patch = RunPatch {
        duration: Some(std::time::Duration::from_millis(1_500)),
        ..RunPatch::default()
    };
    db.patch_run(run.id, patch, at(1)).await?;
    transition(db, run.id, event, at(1)).await.map(drop)
}

async fn trigger(db: &Db, team: &Team, project: ProjectId) -> Result<(), Error> {
    let mut new = team.new_batch(2);
    new.project = project;
    for run in &mut new.runs {
        run.number = None;
    }
    db.trigger(new, at(1)).await.map(drop)
}

async fn delete(db: &Db, field: &Field, batch: ResultId) -> Result<(), Error> {
    let over = RunFilter {
        result: Some(batch),
        statuses: vec![Status::Completed, Status::Cancelled],
        ..RunFilter::default()
    };
    let scope = field.team.scope();
    let runs = db.runs(scope, over, PAGE).await?.rows;
    match runs.first() {
        Some(run) => db.delete_run(scope, run.id, at(1)).await,
        None => Ok(()),
    }
}
