use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringdown_domain::RunId;
use ringdown_domain::call::EndedReason;
use ringdown_domain::run::{Event, Status};
use ringdown_store::{Announcement, Error, OutboxRow, RunPatch};

use super::{Db, at, cancelled, ended, entered, team, transition, whole_outbox};

/// A batch is announced once, then its transitions in their order; a run's `seq` has no gap, and only
/// what was published is forgotten.
pub async fn the_outbox_keeps_the_order_and_forgets_only_what_was_published(db: Db) {
    let team = team(&db, "team").await;
    let (batch, runs) = team.trigger(3, at(0)).await;
    db.admit(team.org.id, at(1)).await.unwrap();
    team.call("call", at(2)).await;
    transition(&db, runs[0].id, cancelled(), at(3))
        .await
        .unwrap();
    let rows = whole_outbox(&db).await;
    assert!(matches!(rows[0].event, Announcement::Accepted(id) if id == batch.id));
    assert_eq!(rows[0].at, at(0));
    let transitions = entered(&db).await;
    let seen: Vec<_> = transitions
        .iter()
        .map(|t| (t.run.id, t.seq, t.status))
        .collect();
    let [a, b, c] = [runs[0].id, runs[1].id, runs[2].id];
    assert_eq!(
        seen,
        [
            (a, 2, Status::Pending),
            (b, 2, Status::Pending),
            (c, 2, Status::Pending),
            (a, 3, Status::InProgress),
            (a, 4, Status::Cancelled),
        ]
    );
    assert!(rows.is_sorted_by_key(|row| row.id));
    // A row says what was true then, not what is true now.
    assert_eq!(rows[1].at, at(1));
    assert_eq!(transitions[0].window.unwrap().opens_at, at(1));
    assert_eq!(transitions[4].error_message.as_deref(), Some("by a user"));
    assert_eq!(transitions[0].error_message, None);
    let accepted = db.accepted_runs(batch.id, None, 2).await.unwrap();
    let ids: Vec<_> = accepted.iter().map(|run| run.id).collect();
    assert_eq!(ids, [a, b]);
    let rest = db.accepted_runs(batch.id, Some(b), 2).await.unwrap();
    assert_eq!(rest[0].id, c);

    let first = db.outbox(3).await.unwrap();
    let published = [first[0].id, first[2].id];
    for _ in 0..2 {
        db.outbox_published(&published).await.unwrap();
    }
    db.outbox_published(&[]).await.unwrap();
    let left: Vec<_> = whole_outbox(&db).await.iter().map(|row| row.id).collect();
    let expected: Vec<_> = [1, 3, 4, 5].iter().map(|i| rows[*i].id).collect();
    assert_eq!(left, expected);
    db.outbox_published(&left).await.unwrap();
    transition(&db, b, cancelled(), at(4)).await.unwrap();
    let after = whole_outbox(&db).await;
    assert!(after[0].id > rows[5].id, "names are never used again");
}

/// The rows of a batch are deleted with it, in another order than they are published in: neither waits
/// for the other, and nothing is left.
pub async fn a_batch_is_deleted_while_it_is_published(db: Db) {
    let team = team(&db, "team").await;
    for round in 0..8 {
        let (batch, _) = team.trigger(300, at(round)).await;
        let cancelled = db.cancel_batch(team.scope(), batch.id, "over", 300, at(round));
        assert_eq!(cancelled.await.unwrap().len(), 300);
        let ids: Vec<i64> = whole_outbox(&db).await.iter().map(|row| row.id).collect();
        let delete = db.delete_batch(team.scope(), batch.id, 300, at(round));
        let publish = async {
            for portion in ids.chunks(100) {
                db.outbox_published(portion).await?;
            }
            Ok(())
        };
        let (left, published) = tokio::join!(delete, publish);
        assert_eq!(left.unwrap(), 0, "round {round}");
        published.unwrap_or_else(|error: Error| panic!("round {round}: {error}"));
        assert!(whole_outbox(&db).await.is_empty(), "round {round}");
    }
}

/// Publishes as the relay does, until the writers are done and nothing is left.
async fn publish(db: &Db, done: &AtomicBool) -> Vec<OutboxRow> {
    let mut published = Vec::new();
    loop {
        let over = done.load(Ordering::SeqCst);
        let rows = db.outbox(7).await.unwrap();
        if rows.is_empty() && over {
            return published;
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        db.outbox_published(&ids).await.unwrap();
        published.extend(rows);
        tokio::task::yield_now().await;
    }
}

/// While many write at once, rows may appear in another order than their names. What is published is
/// deleted by name, so none is skipped, and each run's rows come in its order.
pub async fn nothing_is_lost_while_many_write_and_one_publishes(db: Db) {
    let team = Arc::new(team(&db, "team").await);
    let done = Arc::new(AtomicBool::new(false));
    let publisher = {
        let (db, done) = (Arc::clone(&db), Arc::clone(&done));
        tokio::spawn(async move { publish(&db, &done).await })
    };
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let team = Arc::clone(&team);
        tasks.spawn(async move {
            let db = &team.db;
            let mut last = Vec::new();
            for round in 0..5 {
                let (_, runs) = team.trigger(3, at(0)).await;
                db.admit(team.org.id, at(1)).await.unwrap();
                for run in &runs {
                    let name = format!("call-{task}-{round}-{}", run.id);
                    let matched = Event::Matched {
                        call: ringdown_domain::CallId(name.clone()),
                        max_duration: std::time::Duration::from_secs(60),
                    };
                    for event in [
                        matched,
                        ended(&name, EndedReason::MainAgentEnded),
                        Event::Scored { success: true },
                    ] {
                        let done = db
                            .transition(run.id, event, RunPatch::default(), at(2))
                            .await;
                        last.push((run.id, done.unwrap().run.seq));
                    }
                }
            }
            last
        });
    }
    let mut seqs: BTreeMap<RunId, u64> = BTreeMap::new();
    while let Some(last) = tasks.join_next().await {
        seqs.extend(last.unwrap());
    }
    done.store(true, Ordering::SeqCst);
    let published = publisher.await.unwrap();
    let names: BTreeSet<i64> = published.iter().map(|row| row.id).collect();
    assert_eq!(names.len(), published.len(), "each row once");
    let mut told: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut accepted = 0;
    for row in published {
        match row.event {
            Announcement::Accepted(batch) => {
                accepted += 1;
                for run in db.accepted_runs(batch, None, 100).await.unwrap() {
                    let before = told.insert(run.id, 1);
                    assert_eq!(before, None, "a run is told after its batch");
                }
            }
            Announcement::Entered(entered) => {
                let before = told.insert(entered.run.id, entered.seq);
                assert_eq!(before, Some(entered.seq - 1), "run {}", entered.run.id);
            }
        }
    }
    assert_eq!((accepted, told.len()), (40, 120));
    assert_eq!(told, seqs);
}
