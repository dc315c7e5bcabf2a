//! Long batches on SQLite are stored in parts. Nobody may ever see a part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringdown_store::{Actor, BatchFilter, Error, Idempotency, NewBatch, RunFilter, Scope};

use crate::conformance::{Db, PAGE, Team, at, hidden, team, whole_outbox};

/// Runs of a long batch; as many as may be triggered at once.
pub const RUNS: usize = 10_000;

fn long(team: &Team, runs: usize, key: &str) -> NewBatch {
    let mut new = team.new_batch(runs);
    new.idempotency = Some(Idempotency {
        key: key.to_owned(),
        request_sha256: [1; 32],
    });
    new
}

fn actor(team: &Team) -> Actor {
    Actor {
        request_id: "request".to_owned(),
        at: at(0),
        org: team.org.id,
        project: None,
        key: 1.into(),
        key_name: "first".to_owned(),
        operation: "POST".to_owned(),
        path: "/".to_owned(),
        source: String::new(),
    }
}

async fn nothing_is_seen(db: &Db, scope: Scope) {
    let batches = db.batches(scope, BatchFilter::default(), PAGE).await;
    assert_eq!(batches.unwrap().count, 0);
    let runs = db.runs(scope, RunFilter::default(), PAGE).await.unwrap();
    assert_eq!((runs.count, runs.rows.len()), (0, 0));
    assert!(db.admit(scope.org, at(1)).await.unwrap().runs.is_empty());
    assert!(whole_outbox(db).await.is_empty());
    assert!(db.repeated(scope.org, "key").await.unwrap().is_none());
    assert_eq!(db.audit_log(scope, PAGE).await.unwrap().count, 0);
}

pub async fn stored_without_its_caller(db: Db) {
    let team = team(&db, "team").await;
    let work = actor(&team).scope(db.trigger(long(&team, 2_000, "key"), at(0)));
    tokio::select! {
        biased;
        _ = work => panic!("it takes longer than that"),
        () = tokio::task::yield_now() => {}
    }
    loop {
        let batches = db.batches(team.scope(), BatchFilter::default(), PAGE);
        if let [batch] = &batches.await.unwrap().rows[..] {
            assert_eq!(batch.counts.total, 2_000, "all of it, or nothing");
            break;
        }
    }
    assert!(db.repeated(team.org.id, "key").await.unwrap().is_some());
    assert_eq!(db.audit_log(team.scope(), PAGE).await.unwrap().count, 1);
    assert_eq!(whole_outbox(&db).await.len(), 1);
}

pub async fn failed_in_its_last_portion(db: Db) {
    let team = team(&db, "team").await;
    let mut broken = long(&team, 1_200, "key");
    broken.runs[1_199].template = 7;
    let failed = actor(&team).scope(db.trigger(broken, at(0))).await;
    assert!(matches!(failed, Err(Error::Database(_))), "{failed:?}");
    nothing_is_seen(&db, team.scope()).await;
    // The key is free again.
    let (batch, _) = db.trigger(long(&team, 600, "key"), at(1)).await.unwrap();
    for run in db
        .runs_of(team.scope(), batch.id, None, 1_000)
        .await
        .unwrap()
    {
        let cancelled = crate::conformance::cancelled();
        crate::conformance::transition(&db, run.id, cancelled, at(2))
            .await
            .unwrap();
    }
    db.delete_batch(team.scope(), batch.id, 1_000, at(3))
        .await
        .unwrap();
    hidden("a batch", &db.batch(team.scope(), batch.id).await);
}

pub async fn trigger_until_killed(db: Db) {
    let team = Arc::new(team(&db, "child").await);
    for n in 0.. {
        let new = long(&team, RUNS, &format!("key {n}"));
        db.trigger(new, at(0)).await.unwrap();
    }
}

/// How many batches were removed.
pub async fn invisible_until_removed(db: &Db, complete: usize) -> u64 {
    let org = db.organisation_by_slug("child").await.unwrap().unwrap().id;
    let seen = async || {
        let batches = db.batches(org.into(), BatchFilter::default(), PAGE).await;
        let batches = batches.unwrap();
        assert_eq!(
            (batches.count, batches.rows.len()),
            (complete as u64, complete)
        );
        let runs = db
            .runs(org.into(), RunFilter::default(), PAGE)
            .await
            .unwrap();
        assert_eq!(runs.count, (complete * RUNS) as u64);
        assert_eq!(whole_outbox(db).await.len(), complete);
        let next = format!("key {complete}");
        assert!(db.repeated(org, &next).await.unwrap().is_none());
    };
    seen().await;
    let removed = db.remove_unfinished().await.unwrap();
    seen().await;
    assert_eq!(db.remove_unfinished().await.unwrap(), 0);
    removed
}

/// While a long batch is stored, others write in between.
pub async fn nobody_waits(db: Db) {
    let team = Arc::new(team(&db, "team").await);
    let long = {
        let team = Arc::clone(&team);
        tokio::spawn(async move {
            let new = long(&team, RUNS, "key");
            team.db.trigger(new, at(0)).await.unwrap()
        })
    };
    let mut longest = Duration::ZERO;
    let mut writes = 0;
    while !long.is_finished() {
        let waiting = Instant::now();
        db.keys_used(vec![]).await.unwrap();
        longest = longest.max(waiting.elapsed());
        writes += 1;
    }
    let (batch, runs) = long.await.unwrap();
    assert_eq!((batch.counts.total, runs.len()), (RUNS as u64, RUNS));
    assert!(writes > 10, "{writes} writes in between");
    assert!(longest < Duration::from_secs(1), "one waited {longest:?}");
}
