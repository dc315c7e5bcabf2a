//! What happens under the write lock stays quick when there are 100,000 runs and attempts: while it
//! is held, no call is matched and no run accepted.

use std::path::Path;
use std::time::{Duration, Instant};

use ringdown_domain::attempt::Verdict;
use ringdown_domain::run::Status;
use ringdown_store::Run;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Executor as _};

use crate::conformance::{Db, Team, at, cancelled, number, team, transition};

/// What one operation may take, on a slow machine and without optimisation.
const QUICK: Duration = Duration::from_millis(500);

/// Copies a run or an attempt many times, faster than by triggering.
async fn multiply(db: &mut SqliteConnection, table: &str, columns: &str, id: i64, times: u32) {
    let copy = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times}) \
         INSERT INTO {table} ({columns}) SELECT {} FROM n, {table} t WHERE t.id = {id}",
        columns.replace("attempt_id", "attempt_id || '-' || n.i"),
    );
    db.execute(sqlx::AssertSqlSafe(copy)).await.unwrap();
}

const RUN: &str = "org_id, project_id, result_id, agent_id, agent_name, scenario_id, scenario_name, \
    number, caller_ids, dial_route, script, seq, status, opens_at, closes_at, reason, created_at, \
    updated_at";
const ATTEMPT: &str = "kind, attempt_id, at, verdict, org_id, run_id, nearest, from_raw, \
    from_number, to_raw, to_number, source, sip_call_id, response, explanation, route";

async fn batch(team: &Team, limit: Option<u32>) -> Run {
    let mut new = team.new_batch(1);
    new.concurrency_limit = limit;
    team.db.trigger(new, at(0)).await.unwrap().1.remove(0)
}

/// 60,000 ended runs, 40,000 queued ones in batches with and without a limit, 100,000 attempts.
async fn fill(team: &Team, file: &Path) {
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file))
        .await
        .unwrap();
    let ended = batch(team, None).await.id;
    transition(&team.db, ended, cancelled(), at(0))
        .await
        .unwrap();
    multiply(&mut raw, "runs", RUN, ended.0, 60_000).await;
    team.call("stray", at(0)).await;
    multiply(&mut raw, "attempts", ATTEMPT, 1, 100_000).await;
    for limit in [Some(20), None, Some(30), None] {
        let queued = batch(team, limit).await.id;
        multiply(&mut raw, "runs", RUN, queued.0, 10_000).await;
    }
    raw.close().await.unwrap();
}

async fn quickly<T>(what: &str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = work.await;
    let took = begun.elapsed();
    assert!(took < QUICK, "{what} took {took:?}");
    done
}

pub async fn a_long_history_and_a_long_queue_slow_nothing_down(db: Db, file: &Path) {
    let team = team(&db, "team").await;
    let (org, now) = (team.org.id, at(100_000));
    team.limit(Some(50)).await;
    fill(&team, file).await;

    let mut pending = db.admit(org, now).await.unwrap();
    assert_eq!(pending.len(), 50);
    let ended = pending.remove(0);
    transition(&db, ended.id, cancelled(), now).await.unwrap();
    let next = quickly("giving a slot away", db.admit(org, now)).await;
    let next = next.unwrap();
    assert_eq!((next.len(), next[0].result), (1, ended.result));

    let matched = quickly("matching a call", team.call("call", now)).await;
    assert_eq!(matched.run.unwrap().id, pending.remove(0).id);
    let (stranger, nowhere) = (number(41), number(42));
    let stray = team.arrive("lost", stranger.as_str(), nowhere.as_str(), now);
    let stray = quickly("refusing a call to an unknown number", stray).await;
    assert_eq!(stray.verdict(), Verdict::UnknownNumber);

    let evidence = quickly("reading the evidence", db.evidence(next[0].id)).await;
    assert!(evidence.unwrap().is_empty());
    let page = crate::conformance::PAGE;
    let listed = quickly(
        "listing runs",
        db.runs(org, ringdown_store::RunFilter::default(), page),
    )
    .await;
    assert_eq!(listed.unwrap().rows.len(), 500);
    let portion = db.cancel_batch(org, ended.result, "by a user", 5, now);
    let portion = quickly("cancelling a portion", portion).await.unwrap();
    assert!(
        portion
            .iter()
            .all(|ended| ended.run.status() == Status::Cancelled)
    );
}
