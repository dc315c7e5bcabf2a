use async_trait::async_trait;
use ringdown_domain::{AgentId, CronJobId, ProjectId, Timestamp};

use crate::{CronJob, Firing, NewCronJob, Result, Scope};

/// Jobs that trigger runs on a schedule.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Stores a new job.
    async fn create_cron_job(&self, new: NewCronJob, now: Timestamp) -> Result<CronJob>;
    /// One job.
    async fn cron_job(&self, scope: Scope, id: CronJobId) -> Result<CronJob>;
    /// Jobs, by id, at most 10,000.
    async fn cron_jobs(
        &self,
        scope: Scope,
        project: Option<ProjectId>,
        agent: Option<AgentId>,
    ) -> Result<Vec<CronJob>>;
    /// Replaces what a job is.
    async fn update_cron_job(&self, id: CronJobId, job: NewCronJob, now: Timestamp) -> Result<()>;
    /// Deletes a job.
    async fn delete_cron_job(&self, scope: Scope, id: CronJobId) -> Result<()>;
    /// Jobs that are due at `now`, most overdue first.
    async fn due_cron_jobs(&self, now: Timestamp, limit: u32) -> Result<Vec<CronJob>>;
    /// When the next job is due.
    async fn next_cron_job(&self) -> Result<Option<Timestamp>>;
    /// Moves a job on from a due time that triggers nothing, and writes down why. False if the job stood
    /// elsewhere already: another process was first, or a user changed the job. A time that triggers a
    /// batch is over with [`Runs::trigger`](crate::Runs::trigger).
    async fn skip_cron_job(&self, firing: Firing, outcome: &str, now: Timestamp) -> Result<bool>;
}
