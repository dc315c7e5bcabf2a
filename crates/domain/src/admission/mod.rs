//! Which queued runs get a slot. Pure.
//!
//! * Never past the parallel-call limit of the organisation, of a project or of a batch, and never
//!   faster than a project's calls per second.
//! * Between projects the slots are shared by weight, over time: a project holds its share of slots on
//!   average as long as it has runs waiting, however long its calls are and however long its queue.
//! * Inside a project batches of a higher priority go first, then older ones; inside a batch the oldest
//!   run.

mod explain;
mod pace;
mod share;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

pub use explain::{Place, Settled, Unknown};
pub use pace::Pace;
pub use share::Lag;
use share::{Claim, SLOT, shares, slots};

use crate::{ProjectId, ResultId, Timestamp};

/// Lowest priority of a batch.
pub const MIN_PRIORITY: i32 = -100;

/// Highest priority of a batch.
pub const MAX_PRIORITY: i32 = 100;

/// A batch that has queued runs and may be dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLoad {
    /// The batch.
    pub id: ResultId,
    /// Its `concurrency_limit`; `None` is unlimited.
    pub limit: Option<u32>,
    /// Slots it holds now.
    pub held: u32,
    /// Runs it has in the queue, at least 1.
    pub queued: u32,
}

impl BatchLoad {
    /// Runs of it that its own limit lets have a slot now.
    fn admissible(self) -> u32 {
        room(self.limit, self.held).map_or(self.queued, |room| room.min(self.queued))
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectLoad {
    /// The project.
    pub id: ProjectId,
    /// Its parallel-call limit; `None` is unlimited.
    pub limit: Option<u32>,
    /// Its share relative to other projects, at least 1.
    pub weight: u32,
    /// Slots it holds now.
    pub held: u32,
    /// Its calls per second; `None`: as many as there are slots.
    pub pace: Option<Pace>,
    /// What its share of the slots still owes it.
    pub lag: Lag,
    /// When a run of it last got a slot, if that was written down.
    pub last_start: Option<Timestamp>,
    /// Batches with queued runs, in the order in which they are served. As many as could matter.
    pub batches: Vec<BatchLoad>,
    /// Whether it has more batches with queued runs than these.
    pub more: bool,
}

impl ProjectLoad {
    /// A project without settings, slots and queue.
    pub fn idle(id: ProjectId) -> Self {
        Self {
            id,
            limit: None,
            weight: 1,
            held: 0,
            pace: None,
            lag: Lag::NONE,
            last_start: None,
            batches: Vec::new(),
            more: false,
        }
    }
}

/// The queue of one organisation and what its slots are used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The organisation's limit; `None` is unlimited.
    pub limit: Option<u32>,
    /// Slots the organisation holds now, over all its projects.
    pub held: u32,
    /// Its projects: those with queued runs, and those that had any when it was last decided.
    pub projects: Vec<ProjectLoad>,
}

/// What keeps a run in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The organisation's parallel-call limit.
    Organisation,
    /// The project's parallel-call limit.
    Project,
    /// The batch's `concurrency_limit`.
    Batch,
    /// The project's calls per second.
    Pace,
    /// Its batch waits for the answer of the pre-run webhook.
    Gate,
}

impl Limit {
    /// Its name on the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Project => "project",
            Self::Batch => "batch",
            Self::Pace => "pace",
            Self::Gate => "gate",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A slot for the oldest queued run of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The project.
    pub project: ProjectId,
    /// The batch.
    pub batch: ResultId,
}

/// What a project is remembered by until the next decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The project.
    pub project: ProjectId,
    /// See [`ProjectLoad::lag`].
    pub lag: Lag,
    /// See [`ProjectLoad::last_start`].
    pub last_start: Option<Timestamp>,
}

/// What to do with the queue now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Slots, in the order in which they are given.
    pub grants: Vec<Grant>,
    /// Accounts that changed, to be written together with the slots.
    pub accounts: Vec<Account>,
    /// Whether more could be given at once: only `most` ended it.
    pub more: bool,
    /// When the next run may start that only a project's calls per second keep waiting.
    pub next: Option<Timestamp>,
}

fn room(limit: Option<u32>, held: u32) -> Option<u32> {
    limit.map(|limit| limit.saturating_sub(held))
}

/// A project while it is decided.
struct Contender<'a> {
    load: &'a ProjectLoad,
    /// Its share of the slots, in millionths.
    share: i64,
    held: u32,
    /// Slots that its own limits still allow; `None` for any number.
    room: Option<u32>,
    /// Slots that its calls per second still allow; `None` for any number.
    starts: Option<u32>,
    /// The batch whose turn it is, and what was given to it.
    batch: usize,
    given: u32,
    /// Runs that still wait, of the batches that are known.
    waiting: u64,
}

/// Who comes first: the lowest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// Far below its share, within a slot of it, or beyond it.
    band: u8,
    /// Inside a band.
    measure: i64,
    /// The older run first.
    batch: ResultId,
    index: usize,
}

impl<'a> Contender<'a> {
    fn of(load: &'a ProjectLoad, now: Timestamp) -> Self {
        let starts = load
            .pace
            .map(|pace| u32::from(pace.next_start(load.last_start, now) <= now));
        Self {
            load,
            share: 0,
            held: load.held,
            room: room(load.limit, load.held),
            starts,
            batch: 0,
            given: 0,
            waiting: load.batches.iter().map(|b| u64::from(b.queued)).sum(),
        }
    }

    fn waits(&self) -> bool {
        self.waiting > 0 || self.load.more
    }

    /// What it could use if it had the organisation for itself.
    fn claim(&self) -> Claim {
        let known = if self.load.more {
            None
        } else {
            let admissible = self.load.batches.iter().map(|b| b.admissible());
            Some(admissible.fold(0, u32::saturating_add))
        };
        let bounds = [known, self.room, self.starts];
        Claim {
            weight: self.load.weight,
            most: bounds
                .into_iter()
                .flatten()
                .min()
                .map(|more| self.held.saturating_add(more)),
        }
    }

    /// The batch that gives its next run, if one does.
    fn next_batch(&mut self) -> Option<ResultId> {
        while let Some(batch) = self.load.batches.get(self.batch) {
            if self.given < batch.admissible() {
                return Some(batch.id);
            }
            self.batch += 1;
            self.given = 0;
        }
        None
    }

    /// Its place among the others, if a run of it may start now.
    fn turn(&mut self, index: usize, now: Timestamp) -> Option<Turn> {
        if self.room == Some(0) || self.starts == Some(0) {
            return None;
        }
        let batch = self.next_batch()?;
        let missing = self.share.saturating_sub(slots(self.held));
        let per_weight = |held: u32| slots(held) / i64::from(self.load.weight.max(1));
        let (band, measure) = if missing >= SLOT {
            (0, per_weight(self.held))
        } else if missing > 0 {
            (1, -self.load.lag.at(now))
        } else {
            (2, per_weight(self.held.saturating_add(1)))
        };
        Some(Turn {
            band,
            measure,
            batch,
            index,
        })
    }

    fn take(&mut self) {
        self.held = self.held.saturating_add(1);
        self.room = self.room.map(|room| room.saturating_sub(1));
        self.starts = self.starts.map(|starts| starts.saturating_sub(1));
        self.given += 1;
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// When its next run may start, if only its calls per second keep it waiting.
    fn paced_until(&mut self, last_start: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let pace = self.load.pace.filter(|_| self.starts == Some(0))?;
        if self.room == Some(0) || (self.next_batch().is_none() && !self.load.more) {
            return None;
        }
        Some(pace.next_start(last_start, now))
    }
}

/// Gives at most `most` queued runs a slot, as far as the limits allow.
///
/// What one project gets is said by its share: the organisation's slots split by weight among the
/// projects that have runs waiting, where none has more than it can use. Projects that hold at least a
/// whole slot less than their share come first, the fewest slots per weight first. A slot of which
/// several projects have a part each goes to whoever has fallen behind the most ([`Lag`]), so that each
/// has it for its part of the time. Without that memory the oldest queue would have it all the time, and
/// of more projects than slots the younger ones would have nothing.
///
/// Takes time proportional to the number of projects, and to the grants times its logarithm, however
/// long the queues are.
pub fn decide(queue: &Queue, most: u32, now: Timestamp) -> Decision {
    let mut contenders: Vec<Contender<'_>> = queue
        .projects
        .iter()
        .map(|load| Contender::of(load, now))
        .collect();
    let waiting = contenders.iter().filter(|contender| contender.waits());
    let claims: Vec<Claim> = waiting.clone().map(Contender::claim).collect();
    let contested: u32 = waiting
        .map(|contender| contender.held)
        .fold(0, u32::saturating_add);
    // What projects without a queue hold is not there to be shared.
    let others = queue.held.saturating_sub(contested);
    let total = room(queue.limit, others).map(slots);
    let shares = shares(total, &claims);
    let waiting = contenders.iter_mut().filter(|contender| contender.waits());
    for (contender, share) in waiting.zip(shares) {
        contender.share = share;
    }

    let mut left = room(queue.limit, queue.held);
    let mut decision = Decision::default();
    let turns = contenders.iter_mut().enumerate();
    let mut turns: BinaryHeap<Reverse<Turn>> = turns
        .filter_map(|(index, contender)| contender.turn(index, now).map(Reverse))
        .collect();
    while left != Some(0) {
        let Some(Reverse(turn)) = turns.pop() else {
            break;
        };
        if decision.grants.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
            decision.more = true;
            break;
        }
        let Some(contender) = contenders.get_mut(turn.index) else {
            continue;
        };
        contender.take();
        left = left.map(|left| left.saturating_sub(1));
        decision.grants.push(Grant {
            project: contender.load.id,
            batch: turn.batch,
        });
        turns.extend(contender.turn(turn.index, now).map(Reverse));
    }
    // Batches behind those that were read may have runs that could start as well.
    let unread = |c: &mut Contender<'_>| {
        c.load.more && c.room != Some(0) && c.starts != Some(0) && c.next_batch().is_none()
    };
    let gave = !decision.grants.is_empty();
    decision.more |= gave && left != Some(0) && contenders.iter_mut().any(unread);
    for contender in &mut contenders {
        let load = contender.load;
        let started = contender.held > load.held && load.pace.is_some();
        let account = Account {
            project: load.id,
            lag: if contender.waits() {
                load.lag.follow(contender.share, contender.held, now)
            } else {
                Lag::NONE
            },
            last_start: if started { Some(now) } else { load.last_start },
        };
        if left != Some(0)
            && let Some(at) = contender.paced_until(account.last_start, now)
        {
            decision.next = Some(decision.next.map_or(at, |next| next.min(at)));
        }
        if (account.lag, account.last_start) != (load.lag, load.last_start) {
            decision.accounts.push(account);
        }
    }
    decision
}
