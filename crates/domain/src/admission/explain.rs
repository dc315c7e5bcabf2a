use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::share::{Claim, SLOT, shares, slots};
use super::{BatchLoad, Decision, Limit, ProjectLoad, Queue, decide, room};
use crate::{ProjectId, ResultId, Timestamp};

/// Grants that are looked ahead: runs behind so many others say what keeps the first of them.
const AHEAD: u32 = 1_000;

/// An organisation's queue as it is once admission has looked at it.
#[derive(Clone, Debug)]
pub struct Settled {
    queue: Queue,
    decision: Decision,
}

impl Settled {
    /// Gives the slots that are free. Here the batches of the queue may be full.
    pub fn of(queue: &Queue, now: Timestamp) -> Self {
        let decision = decide(queue, AHEAD, now);
        let mut given: HashMap<ResultId, u32> = HashMap::new();
        for grant in &decision.grants {
            *given.entry(grant.batch).or_default() += 1;
        }
        let mut queue = queue.clone();
        for project in &mut queue.projects {
            for batch in &mut project.batches {
                let given = given.get(&batch.id).copied().unwrap_or(0);
                batch.queued = batch.queued.saturating_sub(given);
                batch.held = batch.held.saturating_add(given);
                project.held = project.held.saturating_add(given);
                queue.held = queue.held.saturating_add(given);
            }
            let of_project = |account: &&super::Account| account.project == project.id;
            if let Some(account) = decision.accounts.iter().find(of_project) {
                project.last_start = account.last_start;
            }
        }
        Self { queue, decision }
    }

    /// How many runs of a project are about to start.
    pub fn starting_of(&self, project: ProjectId) -> u64 {
        let grants = self.decision.grants.iter();
        let of_project = grants.filter(|grant| grant.project == project);
        u64::try_from(of_project.count()).unwrap_or(u64::MAX)
    }

    /// How many of the oldest runs of a batch are about to start.
    pub fn starting(&self, batch: ResultId) -> usize {
        let of_batch = self.decision.grants.iter().filter(|g| g.batch == batch);
        of_batch.count()
    }

    /// The project, as it is then.
    pub fn project(&self, id: ProjectId) -> Option<&ProjectLoad> {
        self.queue.projects.iter().find(|project| project.id == id)
    }

    /// The organisation's limit, and what is used of it.
    pub fn organisation(&self) -> (Option<u32>, u32) {
        (self.queue.limit, self.queue.held)
    }

    /// What keeps a batch's next run in the queue. The narrowest limit is named, since raising a wider
    /// one would not help. `None` if only admission has to look once more.
    pub fn keeps(&self, project: &ProjectLoad, batch: &BatchLoad, now: Timestamp) -> Option<Limit> {
        if room(project.limit, project.held) == Some(0) {
            Some(Limit::Project)
        } else if room(batch.limit, batch.held) == Some(0) {
            Some(Limit::Batch)
        } else if room(self.queue.limit, self.queue.held) == Some(0) {
            Some(Limit::Organisation)
        } else if project
            .pace
            .is_some_and(|pace| pace.next_start(project.last_start, now) > now)
        {
            Some(Limit::Pace)
        } else {
            None
        }
    }

    /// Runs of other projects that get a slot before the `place`th waiting run of this one, from 1: slots
    /// go to whoever has the fewest per weight.
    pub fn others_before(&self, project: &ProjectLoad, place: u64) -> u64 {
        let others = self.queue.projects.iter().filter(|p| p.id != project.id);
        let weight = u128::from(project.weight.max(1));
        let reached = u128::from(project.held) + u128::from(place);
        let before = others.map(|other| {
            let queued: u64 = other.batches.iter().map(|b| u64::from(b.queued)).sum();
            let share = reached * u128::from(other.weight.max(1)) / weight;
            let turns = share.saturating_sub(u128::from(other.held));
            u64::try_from(turns).unwrap_or(u64::MAX).min(queued)
        });
        before.fold(0, u64::saturating_add)
    }

    /// Slots, in thousandths, that a project will have while all wait that wait now; `None` for any
    /// number.
    pub fn share(&self, id: ProjectId) -> Option<u64> {
        let waits = |p: &&ProjectLoad| p.more || p.batches.iter().any(|batch| batch.queued > 0);
        let waiting: Vec<&ProjectLoad> = self.queue.projects.iter().filter(waits).collect();
        let place = waiting.iter().position(|project| project.id == id)?;
        let contested: u32 = waiting.iter().map(|p| p.held).fold(0, u32::saturating_add);
        let others = self.queue.held.saturating_sub(contested);
        let claims: Vec<Claim> = waiting
            .iter()
            .map(|project| {
                let queued = project.batches.iter().map(|batch| batch.queued);
                let queued = queued.fold(project.held, u32::saturating_add);
                let most = Some(queued).filter(|_| !project.more);
                Claim {
                    weight: project.weight,
                    most: [most, project.limit].into_iter().flatten().min(),
                }
            })
            .collect();
        let limits = room(self.queue.limit, others).map(slots);
        let share = shares(limits, &claims).get(place).copied()?;
        let limited = self.queue.limit.is_some() || waiting.get(place)?.limit.is_some();
        limited.then(|| u64::try_from(share / (SLOT / 1000)).unwrap_or(0))
    }
}

/// Why nobody knows when a run will start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Its batch waits for the answer of the pre-run webhook.
    Gated,
    /// A limit is 0.
    NoSlots,
    /// No call of the project has ended yet.
    NothingMeasured,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gated => "its result waits for the answer of the pre-run webhook",
            Self::NoSlots => "a limit leaves it no slot: raise the limit",
            Self::NothingMeasured => "no call of its project has ended yet, so none was measured",
        })
    }
}

/// A queued run's place among those of its project, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Among the runs of its project that wait.
    pub in_project: u64,
    /// Among those of its batch.
    pub in_batch: u64,
}

impl Settled {
    /// About when a run starts, if calls go on as they did: `mean` is how long a run of the project held
    /// its slot lately.
    ///
    /// # Errors
    /// [`Unknown`] if nobody can know.
    pub fn starts_at(
        &self,
        project: &ProjectLoad,
        batch: &BatchLoad,
        place: Place,
        mean: Option<Duration>,
        now: Timestamp,
    ) -> Result<Timestamp, Unknown> {
        // Calls that `thousandths` of a slot have let go by the turn of the `nth` run.
        let after = |nth: u64, thousandths: u64| {
            let mean = mean.ok_or(Unknown::NothingMeasured)?;
            let micros = mean.as_micros() * u128::from(nth) * 1_000;
            let wait = micros.checked_div(u128::from(thousandths));
            let wait = u64::try_from(wait.ok_or(Unknown::NoSlots)?).unwrap_or(u64::MAX);
            Ok(now.plus(Duration::from_micros(wait)))
        };
        let mut start = now;
        let keeps = self.keeps(project, batch, now);
        if let Some(pace) = project.pace {
            let next = pace.next_start(project.last_start, now);
            let before = u32::try_from(place.in_project.saturating_sub(1)).unwrap_or(u32::MAX);
            start = start.max(next.plus(pace.interval().saturating_mul(before)));
        }
        if matches!(keeps, Some(Limit::Pace) | None) {
            return Ok(start);
        }
        if let Some(share) = self.share(project.id) {
            start = start.max(after(place.in_project, share)?);
        }
        if let Some(limit) = batch.limit {
            start = start.max(after(place.in_batch, u64::from(limit) * 1_000)?);
        }
        Ok(start)
    }
}
