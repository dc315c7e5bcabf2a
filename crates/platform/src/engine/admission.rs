//! Gives slots away: when a run is added, when one leaves its slot, when a limit changes, and at the very
//! moment at which a project's calls per second let the next one start.
//!
//! A slow sweep repairs what no event told, after a process died between a transition and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ringdown_bus::now;
use ringdown_domain::{OrganisationId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Engine, PAUSE};

/// Between two sweeps. It is also the longest sleep, should the system clock be set.
const SWEEP: Duration = Duration::from_secs(30);

/// Who waits for admission.
#[derive(Default)]
pub(super) struct Waiting {
    changed: Notify,
    now: Mutex<BTreeSet<OrganisationId>>,
    /// When calls per second let the next run start.
    paced: Mutex<BTreeMap<OrganisationId, Timestamp>>,
}

impl Waiting {
    fn add(&self, org: OrganisationId) {
        lock(&self.now).insert(org);
        self.changed.notify_one();
    }

    fn is_due(&self, org: OrganisationId) -> bool {
        lock(&self.now).contains(&org)
    }

    /// Looks again at this time. An earlier one stands: whoever looks too early is told a later one, and one
    /// that is out of date costs a look.
    fn add_at(&self, org: OrganisationId, at: Timestamp) {
        let mut paced = lock(&self.paced);
        let next = paced.entry(org).or_insert(at);
        *next = at.min(*next);
        drop(paced);
        self.changed.notify_one();
    }

    /// Those to look at now.
    fn take(&self, now: Timestamp) -> BTreeSet<OrganisationId> {
        let mut due = std::mem::take(&mut *lock(&self.now));
        lock(&self.paced).retain(|org, at| {
            let is_due = *at <= now;
            if is_due {
                due.insert(*org);
            }
            !is_due
        });
        due
    }

    /// How long nobody is due by the clock.
    fn sleep(&self, now: Timestamp) -> Duration {
        let next = lock(&self.paced).values().min().copied();
        next.map_or(SWEEP, |at| now.until(at).min(SWEEP))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Runs that got a slot only because a sweep looked for them, since the start. A slot that another
    /// platform was about to give away at that moment may be among them.
    pub fn missed_admissions(&self) -> u64 {
        self.0.missed_admissions.load(Ordering::Relaxed)
    }

    pub(super) fn schedule_admission(&self, org: OrganisationId) {
        self.0.admission.add(org);
    }

    /// Gives slots to the head of the queue. `None` if that failed, and is tried again; otherwise how many
    /// runs got one and whether there may be more to give.
    pub(super) async fn admit_portion(&self, org: OrganisationId) -> Option<(usize, bool)> {
        match self.0.store.admit(org, now()).await {
            Ok(admission) => {
                if let Some(at) = admission.next {
                    self.0.admission.add_at(org, at);
                }
                let of = format_args!("organisation {org}");
                self.0.invariants.check(admission.violation, &of);
                admission.runs.iter().for_each(|run| self.check(run));
                let admitted = admission.runs.len();
                if admitted > 0 {
                    debug!(%org, admitted, "runs got slots");
                    self.changed();
                }
                Some((admitted, admission.more))
            }
            Err(error) => {
                warn!(%org, %error, "cannot admit runs, will try again");
                let engine = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    engine.schedule_admission(org);
                });
                None
            }
        }
    }

    /// How many runs got slots. A long queue is admitted in portions, so that no transaction holds the
    /// others up.
    async fn admit(&self, org: OrganisationId) -> usize {
        let mut all = 0;
        while let Some((admitted, more)) = self.admit_portion(org).await {
            all += admitted;
            if !more {
                break;
            }
        }
        all
    }

    pub(super) async fn admission_loop(self, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once, and is what a restarted platform begins with.
        let mut begun = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.admission.changed.notified() => {}
                () = tokio::time::sleep(self.0.admission.sleep(now())) => {}
                _ = sweep.tick() => self.sweep(std::mem::replace(&mut begun, true)).await,
            }
            for org in self.0.admission.take(now()) {
                if stop.is_cancelled() {
                    return;
                }
                self.admit(org).await;
            }
        }
    }

    /// Looks at every queue. What starts by it, after the first time, no event had told of.
    async fn sweep(&self, counts: bool) {
        let orgs = match self.0.store.organisations_with_queue().await {
            Ok(orgs) => orgs,
            Err(error) => {
                warn!(%error, "cannot look for queued runs, will try again");
                return;
            }
        };
        for org in orgs {
            // Told of, and looked at next.
            if self.0.admission.is_due(org) {
                continue;
            }
            let admitted = self.admit(org).await;
            if admitted > 0 && counts {
                let missed = u64::try_from(admitted).unwrap_or(u64::MAX);
                self.0
                    .missed_admissions
                    .fetch_add(missed, Ordering::Relaxed);
                warn!(%org, admitted, "a sweep gave slots that no event had told of");
            }
        }
    }
}
