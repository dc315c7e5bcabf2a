//! The run state machine.
//!
//! `in_queue -> pending -> in_progress -> evaluating -> completed | failed`, `pending -> timeout`,
//! anything unfinished `-> cancelled`. [`State::apply`] is the only way from one state to the next.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::EndedReason;
use crate::{CallId, Timestamp};

/// Longest dial window a project may set (the reference service's maximum).
pub const MAX_DIAL_WINDOW: Duration = Duration::from_secs(300);

/// The name of a state, as it stands on the API, on the bus and in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, has its number, waits for a slot. A call now is too early.
    InQueue,
    /// Slot granted, dial window open.
    Pending,
    /// The agent's call was matched and answered.
    InProgress,
    /// Call over, recording being scored.
    Evaluating,
    /// Scored.
    Completed,
    /// No usable conversation or score.
    Failed,
    /// The window closed and no call matched.
    Timeout,
    /// Ended by a user.
    Cancelled,
}

impl Status {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 8] = [
        Self::InQueue,
        Self::Pending,
        Self::InProgress,
        Self::Evaluating,
        Self::Completed,
        Self::Failed,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// The text used on the API, as a subject token and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InQueue => "in_queue",
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Evaluating => "evaluating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this text, if any. The reference service's `running` and `scaling_up` are
    /// accepted as in progress and queued; neither is ever produced.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "running" => Some(Self::InProgress),
            "scaling_up" => Some(Self::InQueue),
            _ => Self::ALL.into_iter().find(|status| status.as_str() == text),
        }
    }

    /// Whether a run in this state counts against the parallel-call limits.
    pub fn holds_slot(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }

    /// Whether a run in this state never changes again.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Timeout | Self::Cancelled
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a run may be dialed: from `opens_at` up to, not including, `closes_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first moment a call is matched.
    pub opens_at: Timestamp,
    /// The first moment a call is too late.
    pub closes_at: Timestamp,
}

impl Window {
    /// Whether a call arriving at `now` is in time.
    pub fn contains(self, now: Timestamp) -> bool {
        self.opens_at <= now && now < self.closes_at
    }
}

/// A run's state with what belongs to it, so that a pending run always has a window and a live one
/// always has a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// See [`Status::InQueue`].
    InQueue,
    /// See [`Status::Pending`].
    Pending {
        /// When it may be dialed.
        window: Window,
    },
    /// See [`Status::InProgress`].
    InProgress {
        /// The call that was matched.
        call: CallId,
        /// When the call must have ended; after it the testing agent is taken for lost.
        deadline: Timestamp,
    },
    /// See [`Status::Evaluating`].
    Evaluating {
        /// The call being scored.
        call: CallId,
        /// When the score must have arrived.
        deadline: Timestamp,
    },
    /// See [`Status::Completed`].
    Completed {
        /// Whether the run passed.
        success: bool,
    },
    /// See [`Status::Failed`].
    Failed {
        /// Why, for a person.
        reason: String,
    },
    /// See [`Status::Timeout`].
    Timeout {
        /// The nearest evidence, for a person.
        reason: String,
    },
    /// See [`Status::Cancelled`].
    Cancelled {
        /// Who or what ended it, for a person.
        reason: String,
    },
}

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A slot was granted.
    Admitted {
        /// Length of the dial window.
        dial_window: Duration,
    },
    /// A call was matched to the run.
    Matched {
        /// The call.
        call: CallId,
        /// Longest the call may last; the state's deadline adds [`CALL_GRACE`].
        max_duration: Duration,
    },
    /// The dial window closed.
    WindowClosed {
        /// The nearest evidence from the ledger.
        reason: String,
    },
    /// The dialer proved that no call was placed and none will be.
    NotDialed {
        /// What refused the dial.
        reason: String,
    },
    /// The call ended.
    CallEnded {
        /// The call.
        call: CallId,
        /// How it ended.
        ended: EndedReason,
    },
    /// The deadline of the state passed without the fact it waited for.
    DeadlinePassed,
    /// The testing agent that held the call is gone, and did not report what the state waits for.
    AgentLost {
        /// The call it held.
        call: CallId,
        /// Which testing agent, and how that was noticed.
        reason: String,
    },
    /// The recording was scored.
    Scored {
        /// Whether the run passed.
        success: bool,
    },
    /// There is nothing to score.
    Unscorable {
        /// Why.
        reason: String,
    },
    /// A user ended the run.
    Cancelled {
        /// Who or what asked.
        reason: String,
    },
}

/// What has to happen in the world because of a transition. Announcing the new state is implied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A slot came free: admission should look at the queue.
    SlotFreed,
    /// The live call has to be hung up.
    HangUp(CallId),
}

/// Time a call's end may be reported after its maximum duration.
pub const CALL_GRACE: Duration = Duration::from_secs(20);

/// Time from the end of a call until its score, after which the run is failed.
pub const SCORING_DEADLINE: Duration = Duration::from_secs(180);

/// What of it is left to scoring itself; storing the recording may take the rest.
pub const SCORING_TIME: Duration = Duration::from_secs(60);

/// The event does not fit the state; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("apply {event} to a run that is {status}: {why}")]
pub struct IllegalTransition {
    /// The state the run is in.
    pub status: Status,
    /// The event's name.
    pub event: &'static str,
    /// What the event would have needed.
    pub why: &'static str,
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "admitted",
            Self::Matched { .. } => "matched",
            Self::WindowClosed { .. } => "window closed",
            Self::NotDialed { .. } => "not dialed",
            Self::CallEnded { .. } => "call ended",
            Self::DeadlinePassed => "deadline passed",
            Self::AgentLost { .. } => "testing agent lost",
            Self::Scored { .. } => "scored",
            Self::Unscorable { .. } => "unscorable",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

impl State {
    /// The state's name.
    pub fn status(&self) -> Status {
        match self {
            Self::InQueue => Status::InQueue,
            Self::Pending { .. } => Status::Pending,
            Self::InProgress { .. } => Status::InProgress,
            Self::Evaluating { .. } => Status::Evaluating,
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Timeout { .. } => Status::Timeout,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// When this state must have been left, if it has a deadline.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Pending { window } => Some(window.closes_at),
            Self::InProgress { deadline, .. } | Self::Evaluating { deadline, .. } => {
                Some(*deadline)
            }
            _ => None,
        }
    }

    /// The state after `event` at `now`, with what it demands of the world.
    ///
    /// # Errors
    /// [`IllegalTransition`] if the event does not fit the state: the caller keeps the old state.
    pub fn apply(
        &self,
        event: Event,
        now: Timestamp,
    ) -> Result<(Self, Vec<Effect>), IllegalTransition> {
        let name = event.name();
        // Nobody has said that the call is over, so it may still be up.
        let unheard = matches!(event, Event::AgentLost { .. } | Event::DeadlinePassed);
        let refuse = |why| {
            Err(IllegalTransition {
                status: self.status(),
                event: name,
                why,
            })
        };
        let next = match (self, event) {
            (Self::InQueue, Event::Admitted { dial_window }) => Self::Pending {
                window: Window {
                    opens_at: now,
                    closes_at: now.plus(dial_window.min(MAX_DIAL_WINDOW)),
                },
            },
            (Self::Pending { window }, Event::Matched { call, max_duration }) => {
                if !window.contains(now) {
                    return refuse("the dial window is not open");
                }
                Self::InProgress {
                    call,
                    deadline: now.plus(max_duration).plus(CALL_GRACE),
                }
            }
            (Self::Pending { window }, Event::WindowClosed { reason }) => {
                if now < window.closes_at {
                    return refuse("the dial window is still open");
                }
                Self::Timeout { reason }
            }
            (Self::Pending { .. }, Event::NotDialed { reason }) => Self::Failed { reason },
            (Self::InProgress { call, .. }, Event::CallEnded { call: other, .. })
            | (
                Self::InProgress { call, .. } | Self::Evaluating { call, .. },
                Event::AgentLost { call: other, .. },
            ) if *call != other => {
                return refuse("it is about another call");
            }
            (Self::InProgress { .. }, Event::CallEnded { call, ended }) if ended.is_scorable() => {
                Self::Evaluating {
                    call,
                    deadline: now.plus(SCORING_DEADLINE),
                }
            }
            (Self::InProgress { .. }, Event::CallEnded { ended, .. }) => Self::Failed {
                reason: ended.as_str().to_owned(),
            },
            (Self::InProgress { deadline, .. }, Event::DeadlinePassed) => {
                if now < *deadline {
                    return refuse("the call may still be up");
                }
                Self::Failed {
                    reason: format!(
                        "{}: no end of the call was reported in time",
                        EndedReason::TestingAgentLost
                    ),
                }
            }
            (
                Self::InProgress { .. } | Self::Evaluating { .. },
                Event::AgentLost { reason, .. },
            ) => Self::Failed {
                reason: format!("{}: {reason}", EndedReason::TestingAgentLost),
            },
            (Self::Evaluating { deadline, .. }, Event::DeadlinePassed) => {
                if now < *deadline {
                    return refuse("scoring may still finish");
                }
                Self::Failed {
                    reason: "no score arrived in time: check that a scoring role is running"
                        .to_owned(),
                }
            }
            (Self::Evaluating { .. }, Event::Scored { success }) => Self::Completed { success },
            (Self::Evaluating { .. }, Event::Unscorable { reason }) => Self::Failed { reason },
            (state, Event::Cancelled { reason }) if !state.status().is_terminal() => {
                Self::Cancelled { reason }
            }
            _ => return refuse("the run is in no state for it"),
        };
        let mut effects = Vec::new();
        if self.status().holds_slot() && !next.status().holds_slot() {
            effects.push(Effect::SlotFreed);
        }
        if let Self::InProgress { call, .. } = self
            && (unheard || matches!(next, Self::Cancelled { .. }))
        {
            effects.push(Effect::HangUp(call.clone()));
        }
        Ok((next, effects))
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
