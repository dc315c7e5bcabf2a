//! What a dial attempt came to. A carrier returns exactly one [`Outcome`]; only [`Outcome::NotPlaced`]
//! may ever be tried again.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The one answer a carrier gives to one dial request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The call was placed. `provider_id` is the provider's name for it.
    Placed {
        /// The provider's own identifier for the call.
        provider_id: String,
    },
    /// Provably no call was placed: nothing was sent, or the provider refused it as not processed.
    NotPlaced {
        /// What refused it, for a person.
        reason: String,
        /// Whether another try inside the window may succeed.
        retry: Retry,
    },
    /// A call may or may not have been placed. Never dialed again.
    Ambiguous {
        /// What left it unknown, for a person.
        reason: String,
    },
}

/// Whether a dial that was provably not placed is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    /// A passing fault: try again inside the window, with backoff.
    Later,
    /// The same, not before this time has passed.
    After(Duration),
    /// The same request will be refused again.
    Never,
}

/// How a call that a provider placed ended, in words that all providers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was answered, and is over.
    Completed,
    /// The callee was busy.
    Busy,
    /// It rang, or may have, and nobody answered.
    NoAnswer,
    /// The callee or a network on the way refused it.
    Rejected,
    /// There is no such number.
    InvalidNumber,
    /// It failed on the way; whether it rang is not known.
    Failed,
    /// The provider gave it up before it dialed: nothing rang.
    NeverDialed,
    /// It was called off.
    Cancelled,
}

impl Ending {
    /// Every ending, for parsing and documentation.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::InvalidNumber,
        Self::Failed,
        Self::NeverDialed,
        Self::Cancelled,
    ];

    /// The text used on the bus and on the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::InvalidNumber => "invalid_number",
            Self::Failed => "failed",
            Self::NeverDialed => "never_dialed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The ending with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == text)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a run's dialing stands, as folded from the DIALS stream. One owner: the claim's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// One attempt owns the run.
    Claimed,
    /// The request is about to be made, or was.
    Intended,
    /// The call was placed.
    Placed,
    /// Provably not placed; nobody will dial again.
    NotPlaced,
    /// Unknown whether it was placed; nobody will dial again.
    Ambiguous,
    /// The dialer that owned the run vanished and another one closed its books.
    Settled,
    /// The provider told how the call that it placed stands.
    Followed,
}

impl Stage {
    /// Every stage, for parsing and documentation.
    pub const ALL: [Self; 7] = [
        Self::Claimed,
        Self::Intended,
        Self::Placed,
        Self::NotPlaced,
        Self::Ambiguous,
        Self::Settled,
        Self::Followed,
    ];

    /// The text used as a subject token and on the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Intended => "intended",
            Self::Placed => "placed",
            Self::NotPlaced => "not_placed",
            Self::Ambiguous => "ambiguous",
            Self::Settled => "settled",
            Self::Followed => "followed",
        }
    }

    /// The stage with this text, if any.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }

    /// Whether nothing more will happen to this run's dialing.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Claimed | Self::Intended)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
