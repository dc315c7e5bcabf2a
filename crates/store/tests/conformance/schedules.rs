use std::sync::Arc;

use ringdown_store::NewCronJob;

use super::projects::cron_job;
use super::{Db, at, hidden, team};

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

/// Of many processes that see a job due, one runs it.
pub async fn each_due_time_is_taken_once(db: Db) {
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
                let taken = db.take_cron_job(id, this, Some(next), at(200));
                taken.await.unwrap()
            });
        }
        let mut taken = 0;
        while let Some(done) = tasks.join_next().await {
            taken += usize::from(done.unwrap());
        }
        assert_eq!(taken, 1, "round {round}");
    }
    db.cron_job_ran(job.id, "triggered result 7").await.unwrap();
    let read = db.cron_job(team.scope(), job.id).await.unwrap();
    assert_eq!(read.last_run_at, Some(at(200)));
    assert_eq!(read.last_outcome, "triggered result 7");
    assert_eq!(read.job.next_run_at, Some(at(105)));
    assert!(
        db.take_cron_job(job.id, at(105), None, at(201))
            .await
            .unwrap()
    );
    assert_eq!(
        due(1_000, 9).await,
        [late.id],
        "a job without a next time is never due"
    );
}
