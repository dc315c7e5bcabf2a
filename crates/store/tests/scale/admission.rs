//! A slot that comes free is given away as quickly whatever waits.

use std::time::{Duration, Instant};

use super::{COUNT, RUN, multiplied};
use crate::conformance::{Db, at, cancelled, team, transition};

/// Slots that are freed and given away to measure one.
const TURNS: u64 = 41;

/// Copies the batch of a team many times, each with so many runs.
fn batches(batch: i64, copies: u32, runs: u32) -> [String; 3] {
    let columns = "org_id, project_id, agent_id, agent_name, name, settings, created_at, state, \
        caller_ids, priority";
    let numbers = |most: u32| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most}) ")
    };
    [
        format!(
            "{}INSERT INTO batches ({columns}) SELECT {columns} FROM n, batches t WHERE t.id = {batch}",
            numbers(copies)
        ),
        format!(
            "INSERT INTO batch_counts (result_id, project_id, updated_at) SELECT id, project_id, 0 \
             FROM batches WHERE id > {batch}"
        ),
        format!(
            "{}INSERT INTO runs ({RUN}) SELECT {} FROM batches b, n, runs t WHERE b.id > {batch} \
             AND t.result_id = {batch} AND t.status = 'in_queue'",
            numbers(runs),
            RUN.split(", ")
                .map(|column| match column {
                    "result_id" => "b.id".to_owned(),
                    column => format!("t.{column}"),
                })
                .collect::<Vec<_>>()
                .join(", ")
        ),
    ]
}

/// The least that it takes to give one slot away: the database is measured, and not what else the machine
/// does. There are `copies` batches of `runs` runs beside one of `first` runs.
async fn measured(
    db: &Db,
    raw: &impl AsyncFn(String),
    slug: &str,
    shape: (u32, u32, u32),
) -> Duration {
    let (first, copies, runs) = shape;
    let team = team(db, slug).await;
    team.limit(Some(10)).await;
    let (batch, all) = team.trigger(1, at(0)).await;
    if copies > 0 {
        for statement in batches(batch.id.0, copies, runs) {
            raw(statement).await;
        }
    }
    raw(multiplied("runs", RUN, all[0].id.0, first)).await;
    raw("ANALYZE".to_owned()).await;
    raw(format!(
        "{COUNT} WHERE updated_at = 0 OR result_id = {}",
        batch.id
    ))
    .await;
    raw("ANALYZE".to_owned()).await;
    let mut pending = db.admit(team.org.id, at(1)).await.unwrap().runs;
    assert_eq!(pending.len(), 10);
    let mut took = Vec::new();
    for turn in 0..TURNS {
        let ended = pending.remove(0);
        transition(db, ended.id, cancelled(), at(2 + turn))
            .await
            .unwrap();
        let begun = Instant::now();
        let next = db.admit(team.org.id, at(2 + turn)).await.unwrap().runs;
        took.push(begun.elapsed());
        assert_eq!(next.len(), 1);
        pending.extend(next);
    }
    took.sort();
    took[0]
}

/// A few runs in the queue, or 100,000, in one batch or in a thousand.
pub async fn a_slot_is_given_away_as_quickly_whatever_waits(db: Db, raw: impl AsyncFn(String)) {
    // What is done for the first time takes longer.
    measured(&db, &raw, "first", (60, 0, 0)).await;
    let short = measured(&db, &raw, "short", (60, 0, 0)).await;
    let long = measured(&db, &raw, "long", (100_000, 0, 0)).await;
    let many = measured(&db, &raw, "many", (60, 1_000, 100)).await;
    println!("a slot of few takes {short:?}; of 100,000 runs {long:?}; of 1,000 batches {many:?}");
    for (what, took) in [("runs", long), ("batches", many)] {
        assert!(
            took < short.mul_f64(1.5) + Duration::from_millis(1),
            "of many {what} it takes {took:?}, of few {short:?}"
        );
    }
}
