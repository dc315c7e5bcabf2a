//! What has to be true whatever happens, by number, and how to see it in what is at hand. The domain only
//! looks; whoever applies what it decided counts what is violated.

use std::fmt;

use crate::Timestamp;
use crate::admission::{Decision, Queue};
use crate::run::{State, Window};

/// A promise that is checked while the product runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Slots are only given inside the limits of organisation, project and batch.
    I1,
    /// A call is only matched while the run's dial window is open.
    I2,
    /// A run is only numbered upwards: each transition has a number above 1, and a version not below it.
    I3,
    /// A run that ended without a score has a reason.
    I4,
    /// A run that may be dialed has a window that closes after it opens.
    I5,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Self; 5] = [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5];

    /// Its number, as it stands in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A promise that was not kept, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub invariant: Invariant,
    /// What was seen instead.
    pub what: String,
}

/// I1: what a decision gives fits the limits that it was made under.
pub fn of_admission(queue: &Queue, decision: &Decision) -> Option<Violation> {
    let broken = |what: String| {
        Some(Violation {
            invariant: Invariant::I1,
            what,
        })
    };
    let exceeds = |limit: Option<u32>, held: u32, given: usize| {
        let held = u64::from(held) + u64::try_from(given).unwrap_or(u64::MAX);
        given > 0 && limit.is_some_and(|limit| held > u64::from(limit))
    };
    if exceeds(queue.limit, queue.held, decision.grants.len()) {
        return broken("more slots than the organisation's limit".to_owned());
    }
    for project in &queue.projects {
        let given = decision.grants.iter().filter(|g| g.project == project.id);
        if exceeds(project.limit, project.held, given.count()) {
            return broken(format!(
                "more slots than the limit of project {}",
                project.id
            ));
        }
        for batch in project.batches.iter().filter(|batch| batch.limit.is_some()) {
            let given = decision.grants.iter().filter(|g| g.batch == batch.id);
            if exceeds(batch.limit, batch.held, given.count()) {
                return broken(format!("more slots than the limit of result {}", batch.id));
            }
        }
    }
    None
}

/// I2 to I5: what a run is after a transition.
pub fn of_run(
    state: &State,
    window: Option<Window>,
    executed_at: Option<Timestamp>,
    seq: u64,
    version: u64,
) -> Option<Violation> {
    let broken = |invariant, what: &str| {
        Some(Violation {
            invariant,
            what: what.to_owned(),
        })
    };
    match (state, window, executed_at) {
        (State::InProgress { .. }, Some(window), Some(at)) if !window.contains(at) => {
            return broken(Invariant::I2, "its call was matched outside its window");
        }
        (State::InProgress { .. }, None, _) => {
            return broken(Invariant::I2, "its call was matched without a window");
        }
        (State::Pending { window }, ..) if window.closes_at < window.opens_at => {
            return broken(Invariant::I5, "its window closes before it opens");
        }
        (
            State::Failed { reason } | State::Timeout { reason } | State::Cancelled { reason },
            ..,
        ) if reason.trim().is_empty() => {
            return broken(Invariant::I4, "it ended without a reason");
        }
        _ => {}
    }
    if seq < 2 || version < seq {
        return broken(Invariant::I3, "its transition has a number that was used");
    }
    None
}
