use ringdown_domain::run::Status;
use ringdown_domain::{ResultId, Timestamp};

use super::rows::{count, from_millis, millis};
use crate::sql::{Row, Session, sql};
use crate::{Counts, Result};

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

/// What a change of one run changes in its batch's counts.
#[derive(Default)]
pub(super) struct Change {
    /// From which state to which, if it is a transition.
    pub(super) moved: Option<(Status, Status)>,
    pub(super) passed: bool,
    pub(super) connected: bool,
    /// Length of its call before and after.
    pub(super) duration: Option<(std::time::Duration, std::time::Duration)>,
}

/// Keeps the counts of a batch in step with one of its runs. True if no run of it is unfinished now.
pub(super) async fn follow(
    on: &mut Session,
    batch: ResultId,
    change: &Change,
    now: Timestamp,
) -> Result<bool> {
    let mut update = sql("UPDATE batch_counts SET updated_at = ");
    update.push_bind(now);
    if let Some((from, to)) = change.moved
        && from != to
    {
        let (from, to) = (from.as_str(), to.as_str());
        update.push(format!(", {from} = {from} - 1, {to} = {to} + 1"));
    }
    if change.passed {
        update.push(", passed = passed + 1");
    }
    if change.connected {
        update.push(", connected = connected + 1");
    }
    if let Some((before, after)) = change.duration {
        update.push(", duration_ms = duration_ms + ");
        update.push_bind(millis(after) - millis(before));
    }
    update.push(" WHERE result_id = ").push_bind(batch.0);
    update.push(" RETURNING in_queue + pending + in_progress + evaluating AS unfinished");
    let unfinished: i64 = update.one(on).await?.get("unfinished")?;
    Ok(unfinished == 0)
}
