//! Ways to make an agent call, one module each.
//!
//! Contract: a carrier is asked once per attempt and returns exactly one `domain::dial::Outcome`.
//! `NotPlaced` is only said when provably no call was placed; everything that leaves a doubt is
//! `Ambiguous`, and the dialer never dials that run again.
//!
//! Refuses: claims, retries and windows (crate `dialer`).

pub mod account;
mod exec;
mod route;
mod sip;
mod talk;

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use ringdown_domain::dial::Outcome;
use ringdown_domain::{E164, RunId, Team};
use tokio_util::sync::CancellationToken;

pub use exec::Exec;
pub use route::{InvalidRoute, RouteSpec, Routes};
pub use sip::{Placed, SipTrunk, facing, place};
pub use talk::{TalkError, agent_tone, read_wav};

/// One call to place.
#[derive(Clone, Debug)]
pub struct Order {
    /// The run's team.
    pub team: Team,
    /// The run.
    pub run: RunId,
    /// Unique name of the attempt.
    pub attempt_id: String,
    /// Caller ID to call from, if the run names one.
    pub from: Option<E164>,
    /// The number to call.
    pub to: E164,
    /// Time until the dial window closes.
    pub time_left: Duration,
    /// The run's test profile as JSON; empty if it has none.
    pub test_profile_json: String,
    /// The evaluator's name.
    pub scenario_name: String,
    /// The agent's name.
    pub agent_name: String,
}

/// What a carrier did.
pub struct Dialed {
    /// Whether the call was placed.
    pub outcome: Outcome,
    /// The rest of a call that this process carries; ends with the call.
    pub rest: Option<BoxFuture<'static, ()>>,
}

impl Dialed {
    fn only(outcome: Outcome) -> Self {
        Self {
            outcome,
            rest: None,
        }
    }
}

/// A way to make an agent call.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// What it is, for people.
    fn describe(&self) -> String;

    /// Places the call, or says why not. `stop` asks to give up: a call that is not placed yet is
    /// not placed any more, and what the carrier started is ended.
    async fn dial(&self, order: &Order, stop: &CancellationToken) -> Dialed;
}
