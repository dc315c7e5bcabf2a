//! What a project wants to hear (`notify_*` of the reference's Project). The reference documents no
//! defaults: a project with a target hears of every result unless it says otherwise, and is asked
//! before a result only if it says so.

use ringdown_store::{Batch, Project};

/// Which results a project wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toggles {
    /// Those whose runs all passed.
    pub success: bool,
    /// Those with a run that did not pass.
    pub failed: bool,
    /// Those with a run that has an `error_message`.
    pub error: bool,
}

fn toggle(project: &Project, name: &str, default: bool) -> bool {
    project
        .extra
        .get(name)
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(default)
}

/// Whether the project is to be asked before its results are dispatched.
pub fn wants_pre_trigger(project: &Project) -> bool {
    project.webhook_url.is_some() && toggle(project, "notify_pre_run_webhook", false)
}

impl Toggles {
    /// The project's, for results that a job triggers or for the others.
    pub fn of(project: &Project, cron: bool) -> Self {
        let on = |result: &str, job: &str| toggle(project, if cron { job } else { result }, true);
        Self {
            success: on(
                "notify_result_webhook_success",
                "notify_cronjob_webhook_success",
            ),
            failed: on(
                "notify_result_webhook_failed",
                "notify_cronjob_webhook_failed",
            ),
            error: on(
                "notify_result_webhook_error",
                "notify_cronjob_webhook_error",
            ),
        }
    }

    /// Whether one of the kinds of result that this one is, is wanted.
    pub fn want(self, batch: &Batch) -> bool {
        let counts = &batch.counts;
        let not_passed = counts.completed.saturating_sub(counts.passed);
        let broken = counts.failed + counts.timeout + counts.cancelled;
        self.success && counts.passed == counts.total
            || self.failed && not_passed > 0
            || self.error && broken > 0
    }
}
