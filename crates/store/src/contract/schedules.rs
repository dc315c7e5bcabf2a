use async_trait::async_trait;
use ringdown_domain::{AgentId, CronJobId, ProjectId, Timestamp};

use crate::{CronJob, NewCronJob, Result, Scope};

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
    /// Takes a due time: moves the job on from `due` to `next`. False if it stood elsewhere already:
    /// another process has taken it, or a user changed the job.
    async fn take_cron_job(
        &self,
        id: CronJobId,
        due: Timestamp,
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool>;
    /// Writes down what came of the last time.
    async fn cron_job_ran(&self, id: CronJobId, outcome: &str) -> Result<()>;
}
