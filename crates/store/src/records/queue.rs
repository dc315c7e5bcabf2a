use ringdown_domain::admission::{Limit, Pace, Unknown};
use ringdown_domain::invariant::Violation;
use ringdown_domain::run::Status;
use ringdown_domain::{RunId, Timestamp};

use super::Run;

/// What an admission did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// The runs that became pending.
    pub runs: Vec<Run>,
    /// Whether more could be admitted at once.
    pub more: bool,
    /// When the next run may start that only calls per second keep waiting.
    pub next: Option<Timestamp>,
    /// A promise that was not kept by it.
    pub violation: Option<Violation>,
}

/// A queued run's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The run.
    pub run: RunId,
    /// Its place, from 1.
    pub position: u32,
    /// The limit that keeps it: `organisation`, `project` or `batch`.
    pub blocked_by: String,
}

/// Why a queued run waits, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePlace {
    /// How many runs get a slot before it, and one: as far as can be told while all wait that wait now.
    /// `None` while its batch waits for the pre-run webhook.
    pub position: Option<u64>,
    /// What keeps it; `None` if admission only has to look.
    pub blocked_by: Option<Limit>,
    /// The limit's value, if it is one on slots.
    pub limit: Option<u32>,
    /// Slots that are used of it.
    pub held: Option<u32>,
    /// The project's calls per second.
    pub pace: Option<Pace>,
    /// Who uses them, oldest first, at most [`HOLDERS`].
    pub holders: Vec<Holder>,
    /// About when it starts, or why nobody knows.
    pub starts_at: std::result::Result<Timestamp, Unknown>,
}

/// How many runs are named that hold the slots another one waits for.
pub const HOLDERS: u32 = 20;

/// A run that holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub status: Status,
    /// Since when it is in it.
    pub since: Timestamp,
}
