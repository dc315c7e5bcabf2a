//! What happens under a lock, and what users look at, stays quick when there are 100,000 runs and
//! attempts: while SQLite's write lock is held, no call is matched and no run accepted.

use std::time::{Duration, Instant};

use ringdown_domain::attempt::Verdict;
use ringdown_domain::run::Status;
use ringdown_domain::{ResultId, RunId};
use ringdown_store::{AttemptFilter, BatchFilter, Page, RunFilter};

use crate::conformance::{Db, PAGE, Team, at, cancelled, number, team, transition};

/// What reading may take without optimisation.
const QUICK: Duration = Duration::from_millis(500);

/// What a change may take, of which there is only one try: it includes what else the machine does.
const CHANGED: Duration = Duration::from_millis(1_500);

/// Reading is measured this often and the quickest counts, so that the database is measured and not
/// what else the machine does.
const TRIES: u32 = 4;

/// Copies a run or an attempt many times, faster than by triggering.
fn multiplied(table: &str, columns: &str, id: i64, times: u32) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times}) \
         INSERT INTO {table} ({columns}) SELECT {} FROM n, {table} t WHERE t.id = {id}",
        columns.replace("attempt_id", "attempt_id || '-' || n.i"),
    )
}

const RUN: &str = "org_id, project_id, result_id, agent_id, template_id, scenario_id, number, seq, \
    version, status, opens_at, closes_at, reason, created_at, updated_at";
const ATTEMPT: &str = "kind, attempt_id, at, verdict, org_id, run_id, nearest, from_raw, \
    from_number, to_raw, to_number, source, sip_call_id, response, explanation, route";

/// What every transition keeps in step.
const COUNT: &str = "UPDATE batch_counts SET \
    total = (SELECT count(*) FROM runs r WHERE r.result_id = batch_counts.result_id), \
    in_queue = (SELECT count(*) FROM runs r WHERE r.result_id = batch_counts.result_id \
    AND r.status = 'in_queue'), \
    cancelled = (SELECT count(*) FROM runs r WHERE r.result_id = batch_counts.result_id \
    AND r.status = 'cancelled')";
const TOTAL: &str = "UPDATE totals SET runs = (SELECT count(*) FROM runs)";

async fn batch(team: &Team, limit: Option<u32>) -> (ResultId, RunId) {
    let mut new = team.new_batch(1);
    new.concurrency_limit = limit;
    let (batch, runs) = team.db.trigger(new, at(0)).await.unwrap();
    (batch.id, runs[0].id)
}

/// 60,000 ended runs, 40,000 queued ones in batches with and without a limit, 100,000 attempts.
async fn fill(team: &Team, raw: impl AsyncFn(String)) {
    let (_, ended) = batch(team, None).await;
    transition(&team.db, ended, cancelled(), at(0))
        .await
        .unwrap();
    raw(multiplied("runs", RUN, ended.0, 60_000)).await;
    team.call("stray", at(0)).await;
    raw(multiplied("attempts", ATTEMPT, 1, 100_000)).await;
    for limit in [Some(20), None, Some(30), None] {
        let (_, queued) = batch(team, limit).await;
        raw(multiplied("runs", RUN, queued.0, 10_000)).await;
    }
    raw(COUNT.to_owned()).await;
    raw(TOTAL.to_owned()).await;
}

async fn quickly<T>(what: &str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = work.await;
    let took = begun.elapsed();
    assert!(took < CHANGED, "{what} took {took:?}");
    done
}

async fn reads<T>(what: &str, read: impl AsyncFn() -> ringdown_store::Result<T>) -> T {
    let mut best = Duration::MAX;
    let mut last = None;
    for _ in 0..TRIES {
        let begun = Instant::now();
        last = Some(read().await.unwrap());
        best = best.min(begun.elapsed());
        if best < QUICK {
            break;
        }
    }
    assert!(best < QUICK, "{what} took {best:?}");
    last.unwrap()
}

/// `raw` executes a statement on the database.
pub async fn a_long_history_and_a_long_queue_slow_nothing_down(db: Db, raw: impl AsyncFn(String)) {
    let team = team(&db, "team").await;
    let (org, now) = (team.org.id, at(100_000));
    team.limit(Some(50)).await;
    fill(&team, &raw).await;
    raw("ANALYZE".to_owned()).await;

    let mut pending = db.admit(org, now).await.unwrap().runs;
    assert_eq!(pending.len(), 50);
    let ended = pending.remove(0);
    transition(&db, ended.id, cancelled(), now).await.unwrap();
    let next = quickly("giving a slot away", db.admit(org, now)).await;
    let next = next.unwrap().runs;
    assert_eq!((next.len(), next[0].result), (1, ended.result));

    let matched = quickly("matching a call", team.call("call", now)).await;
    assert_eq!(matched.run.unwrap().id, pending.remove(0).id);
    let (stranger, nowhere) = (number(41), number(42));
    let stray = team.arrive("lost", stranger.as_str(), nowhere.as_str(), now);
    let stray = quickly("refusing a call to an unknown number", stray).await;
    assert_eq!(stray.verdict(), Verdict::UnknownNumber);
    let triggered = quickly("triggering", team.trigger(100, now)).await;
    assert_eq!(triggered.1.len(), 100);

    let evidence = reads("the evidence", async || db.evidence(next[0].id).await);
    assert!(evidence.await.is_empty());
    let holders = reads("who holds calls", async || db.holders().await);
    assert!(holders.await.is_empty());
    read(&team, ended.result).await;

    let portion = db.cancel_batch(team.scope(), ended.result, "by a user", 5, now);
    let portion = quickly("cancelling a portion", portion).await.unwrap();
    assert!(
        portion
            .iter()
            .all(|ended| ended.run.status() == Status::Cancelled)
    );
    let deleted = db.delete_run(team.scope(), portion[0].run.id, now);
    quickly("deleting a run", deleted).await.unwrap();
    let old = db.delete_old_attempts(at(0), 1_000);
    assert_eq!(quickly("looking for old attempts", old).await.unwrap(), 0);
    let expired = reads("old batches", async || db.expired_batches(now, 10).await);
    assert!(expired.await.is_empty());
}

/// What users look at, of the whole organisation and of one project.
async fn read(team: &Team, batch: ResultId) {
    let db = &team.db;
    let project = ringdown_store::Scope {
        org: team.org.id,
        project: Some(team.project.id),
    };
    let filters = [
        RunFilter::default(),
        RunFilter {
            agents: vec![team.agent.id],
            ..RunFilter::default()
        },
        RunFilter {
            result: Some(batch),
            statuses: vec![Status::InQueue],
            ..RunFilter::default()
        },
        RunFilter {
            statuses: vec![Status::Pending],
            ..RunFilter::default()
        },
        RunFilter {
            call: Some("call".to_owned()),
            ..RunFilter::default()
        },
    ];
    for scope in [team.scope(), project] {
        for filter in &filters {
            let what = format!("the list of {filter:?}");
            let listed = reads(&what, async || db.runs(scope, filter.clone(), PAGE).await);
            assert!(!listed.await.rows.is_empty(), "{what}");
        }
        let deep = Page {
            number: 40,
            size: 100,
        };
        let all = RunFilter::default();
        let listed = reads("a page", async || db.runs(scope, all.clone(), deep).await);
        assert_eq!(listed.await.rows.len(), 100);
        let listed = reads("the batches", async || {
            db.batches(scope, BatchFilter::default(), PAGE).await
        });
        assert_eq!(listed.await.count, 6);
        let listed = reads("the attempts", async || {
            db.attempts(scope, AttemptFilter::default(), PAGE).await
        });
        listed.await;
        let ids: Vec<RunId> = (1..=1_000).map(RunId).collect();
        let found = reads("runs by id", async || db.runs_by_id(scope, &ids).await);
        assert_eq!(found.await.len(), 1_000);
        let found = reads("versions", async || db.versions(scope, &ids).await);
        assert_eq!(found.await.len(), 1_000);
    }
    let due = reads("deadlines", async || {
        db.overdue(&Status::ALL, at(0), 100).await
    });
    assert!(due.await.is_empty());
    let queue = reads("the queue", async || db.queue(team.org.id, at(3)).await);
    assert!(!queue.await.is_empty());
}
