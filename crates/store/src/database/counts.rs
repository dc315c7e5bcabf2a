use std::collections::BTreeMap;

use ringdown_domain::run::Status;
use ringdown_domain::{ResultId, Timestamp};

use super::rows::{count, from_millis, millis};
use crate::sql::{Row, Session, sql};
use crate::{Counts, Result, Run};

/// Columns of [`counts`].
pub(super) const COUNTS: &str = "c.total, c.in_queue, c.pending, c.in_progress, c.evaluating, \
    c.completed, c.failed, c.timeout, c.cancelled, c.passed, c.connected, c.duration_ms, c.updated_at";

pub(super) fn counts(row: &Row) -> Result<Counts> {
    let number = |column: &str| count("batch", row.get(column)?);
    Ok(Counts {
        total: number("total")?,
        in_queue: number("in_queue")?,
        pending: number("pending")?,
        in_progress: number("in_progress")?,
        evaluating: number("evaluating")?,
        completed: number("completed")?,
        failed: number("failed")?,
        timeout: number("timeout")?,
        cancelled: number("cancelled")?,
        passed: number("passed")?,
        connected: number("connected")?,
        duration: from_millis(row.get("duration_ms")?),
    })
}

/// How the counts of a batch change with its runs.
#[derive(Default)]
pub(super) struct Change {
    /// Runs that came into a state, less those that left it.
    moved: BTreeMap<&'static str, i64>,
    passed: i64,
    connected: i64,
    duration_ms: i64,
    updated_at: Option<Timestamp>,
}

impl Change {
    /// A run that was `before` is `after` now.
    pub(super) fn add(&mut self, before: &Run, after: &Run, now: Timestamp) {
        *self.moved.entry(before.status().as_str()).or_default() -= 1;
        *self.moved.entry(after.status().as_str()).or_default() += 1;
        let passed = |run: &Run| i64::from(run.success() == Some(true));
        self.passed += passed(after) - passed(before);
        let connected = |run: &Run| i64::from(run.executed_at.is_some());
        self.connected += connected(after) - connected(before);
        let length = |run: &Run| run.duration.map_or(0, millis);
        self.duration_ms += length(after) - length(before);
        self.updated_at = Some(now);
    }

    fn row(&self, batch: ResultId) -> serde_json::Value {
        let mut row = serde_json::Map::new();
        let mut set = |column: &str, value: serde_json::Value| row.insert(column.to_owned(), value);
        set("result_id", batch.0.into());
        set(
            "updated_at",
            self.updated_at.map(Timestamp::as_micros).into(),
        );
        set("passed", self.passed.into());
        set("connected", self.connected.into());
        set("duration_ms", self.duration_ms.into());
        for status in Status::ALL.map(Status::as_str) {
            let moved = self.moved.get(status).copied().unwrap_or_default();
            set(status, moved.into());
        }
        row.into()
    }
}

/// The counts that are added to.
const ADDED: [&str; 11] = [
    "in_queue",
    "pending",
    "in_progress",
    "evaluating",
    "completed",
    "failed",
    "timeout",
    "cancelled",
    "passed",
    "connected",
    "duration_ms",
];

/// Keeps the counts of batches in step with their runs. Returns those of which no run is unfinished now.
pub(super) async fn follow(
    on: &mut Session,
    changes: &BTreeMap<ResultId, Change>,
) -> Result<Vec<ResultId>> {
    let rows: Vec<_> = changes
        .iter()
        .map(|(batch, change)| change.row(*batch))
        .collect();
    let mut columns = vec![("result_id", "bigint"), ("updated_at", "bigint")];
    columns.extend(ADDED.map(|column| (column, "bigint")));
    let added = ADDED.map(|column| format!("{column} = batch_counts.{column} + j.{column}"));
    let mut update = sql("UPDATE batch_counts SET updated_at = j.updated_at, ");
    update
        .push(added.join(", "))
        .push(" FROM ")
        .push_records("j", &columns, rows)
        .push(
            " WHERE batch_counts.result_id = j.result_id RETURNING \
             batch_counts.result_id AS result_id, batch_counts.in_queue + batch_counts.pending + \
             batch_counts.in_progress + batch_counts.evaluating AS unfinished",
        );
    let mut finished = Vec::new();
    for row in update.all(on).await? {
        if row.get::<i64>("unfinished")? == 0 {
            finished.push(row.id("result_id")?);
        }
    }
    Ok(finished)
}
