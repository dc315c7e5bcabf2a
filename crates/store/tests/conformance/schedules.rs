use std::sync::Arc;

use ringdown_domain::{CronJobId, Timestamp};
use ringdown_store::{BatchFilter, Error, Firing, NewCronJob, NewRun};

use super::projects::cron_job;
use super::{Db, PAGE, at, hidden, team};

fn firing(job: CronJobId, due: Timestamp, next: Option<Timestamp>) -> Firing {
    Firing { job, due, next }
}

pub async fn cron_jobs_are_kept_whole(db: Db) {
    let (ours, theirs) = (team(&db, "ours").await, team(&db, "theirs").await);
    let me = ours.scope();
    let mut new = cron_job(&ours, &ours.project);
    new.agent = Some(ours.agent.id);
    new.created_by = Some(7.into());
    let extra = serde_json::json!({"scenarios": [1, 2]});
    new.extra = extra.as_object().unwrap().clone();
    let job = db.create_cron_job(new.clone(), at(1)).await.unwrap();
    assert_eq!(job.job, new);
    assert_eq!(db.cron_job(me, job.id).await.unwrap(), job);
    assert_eq!(db.next_cron_job().await.unwrap(), Some(at(100)));
    assert_eq!(
        db.cron_jobs(me, None, new.agent).await.unwrap(),
        std::slice::from_ref(&job)
    );
    let of_nobody = db.cron_jobs(me, None, Some(theirs.agent.id)).await;
    assert!(of_nobody.unwrap().is_empty());
    hidden("a job", &db.cron_job(theirs.scope(), job.id).await);
    hidden("a job", &db.delete_cron_job(theirs.scope(), job.id).await);

    let changed = NewCronJob {
        name: "hourly".to_owned(),
        expression: "0 * * * *".to_owned(),
        is_active: false,
        next_run_at: None,
        ..new
    };
    let foreign = NewCronJob {
        org: theirs.org.id,
        ..changed.clone()
    };
    hidden("a job", &db.update_cron_job(job.id, foreign, at(2)).await);
    db.update_cron_job(job.id, changed.clone(), at(2))
        .await
        .unwrap();
    let read = db.cron_job(me, job.id).await.unwrap();
    assert_eq!((read.job, read.updated_at), (changed, at(2)));
    assert_eq!(db.next_cron_job().await.unwrap(), None);
    db.delete_cron_job(me, job.id).await.unwrap();
    hidden("a job", &db.cron_job(me, job.id).await);
}

/// Of many processes that see a job due and cannot trigger it, one says so.
pub async fn each_due_time_is_skipped_once(db: Db) {
    let team = team(&db, "team").await;
    let mut late = cron_job(&team, &team.project);
    late.next_run_at = Some(at(50));
    let job = db.create_cron_job(cron_job(&team, &team.project), at(1));
    let job = job.await.unwrap();
    let late = db.create_cron_job(late, at(1)).await.unwrap();
    let due = async |now, limit| -> Vec<_> {
        let jobs = db.due_cron_jobs(at(now), limit).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    };
    assert_eq!(due(100, 9).await, [late.id, job.id], "most overdue first");
    assert_eq!(due(100, 1).await, [late.id]);
    assert_eq!(due(99, 9).await, [late.id]);
    for round in 0..5 {
        let (this, next) = (at(100 + round), at(101 + round));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let db = Arc::clone(&db);
            let id = job.id;
            tasks.spawn(async move {
                let firing = firing(id, this, Some(next));
                let skipped = db.skip_cron_job(firing, "not triggered", at(200));
                skipped.await.unwrap()
            });
        }
        let mut taken = 0;
        while let Some(done) = tasks.join_next().await {
            taken += usize::from(done.unwrap());
        }
        assert_eq!(taken, 1, "round {round}");
    }
    let read = db.cron_job(team.scope(), job.id).await.unwrap();
    assert_eq!(read.last_run_at, Some(at(200)));
    assert_eq!(read.last_outcome, "not triggered");
    assert_eq!(read.job.next_run_at, Some(at(105)));
    let last = firing(job.id, at(105), None);
    assert!(db.skip_cron_job(last, "over", at(201)).await.unwrap());
    assert_eq!(
        due(1_000, 9).await,
        [late.id],
        "a job without a next time is never due"
    );
}

/// A batch and the end of its due time are one fact: of many processes that trigger it, one does, and
/// whatever stops a batch leaves its job due.
pub async fn each_due_time_stores_one_batch_or_stays(db: Db) {
    let team = team(&db, "team").await;
    let me = team.scope();
    let job = cron_job(&team, &team.project);
    let job = db.create_cron_job(job, at(1)).await.unwrap();
    let firing = firing(job.id, at(100), Some(at(300)));
    // A long batch is stored in portions on SQLite, so it is refused after most of it was written.
    let refused = async |firing, runs| {
        let mut batch = team.new_batch(runs);
        batch.cron_job = Some(firing);
        db.trigger(batch, at(200)).await.unwrap_err()
    };
    for (due, runs) in [(99, 1), (99, 1200), (101, 2)] {
        let firing = Firing {
            due: at(due),
            ..firing
        };
        let why = refused(firing, runs).await;
        assert!(matches!(why, Error::NotDue(id) if id == job.id), "{why}");
    }
    let mut without_number = team.new_batch(1);
    without_number.cron_job = Some(firing);
    without_number.runs = vec![
        NewRun {
            template: 0,
            number: None
        };
        50
    ];
    let why = db.trigger(without_number, at(200)).await.unwrap_err();
    assert!(matches!(why, Error::TooFewNumbers { .. }), "{why}");
    let page = db.batches(me, BatchFilter::default(), PAGE).await.unwrap();
    assert_eq!(page.count, 0);
    assert_eq!(db.cron_job(me, job.id).await.unwrap(), job, "still due");

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let db = Arc::clone(&db);
        let mut batch = team.new_batch(3);
        batch.cron_job = Some(firing);
        tasks.spawn(async move { db.trigger(batch, at(200)).await });
    }
    let mut stored = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            Ok((batch, _)) => stored.push(batch),
            Err(why) => assert!(matches!(why, Error::NotDue(_)), "{why}"),
        }
    }
    assert_eq!(stored.len(), 1);
    let page = db.batches(me, BatchFilter::default(), PAGE).await.unwrap();
    assert_eq!((page.count, page.rows[0].id), (1, stored[0].id));
    assert_eq!(page.rows[0].cron_job, Some(job.id));
    let read = db.cron_job(me, job.id).await.unwrap();
    let outcome = format!("triggered result {}", stored[0].id);
    assert_eq!(
        (read.last_outcome, read.last_run_at),
        (outcome, Some(at(200)))
    );
    assert_eq!(read.job.next_run_at, Some(at(300)));
    assert!(!db.skip_cron_job(firing, "late", at(201)).await.unwrap());
    let gone = Firing {
        job: 999.into(),
        ..firing
    };
    assert!(matches!(refused(gone, 1).await, Error::NotDue(_)));
}
