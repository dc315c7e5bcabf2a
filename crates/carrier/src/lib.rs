//! Ways to make an agent call, one module each.
//!
//! Contract: a carrier is asked once per attempt and returns exactly one `domain::dial::Outcome`.
//! `NotPlaced` is only said when provably no call was placed; everything that leaves a doubt is
//! `Ambiguous`, and the dialer never dials that run again.
//!
//! Refuses: claims, retries and windows (crate `dialer`).

pub mod account;
mod exec;
mod hosted;
mod making;
mod route;
mod sip;
mod talk;

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use ringdown_domain::dial::Outcome;
use ringdown_domain::{E164, RunId, Team, Timestamp};
use tokio_util::sync::CancellationToken;

pub use exec::Exec;
pub use hosted::{Hosted, Limits, followed};
pub use making::{InvalidAccount, Making};
pub use ringdown_provider::{Callback, News, Progress, Rejected};
pub use route::{InvalidRoute, RouteSpec, Routes, variable_of};
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
    /// Every caller ID that the run's agent may call from.
    pub caller_ids: Vec<E164>,
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

    /// Finds out what became of an order that a dialer who is gone began to place at `begun`, without ever making a
    /// second call of it: the provider's name for the call. If it is not `wanted` any more, nothing is done that could
    /// place it.
    ///
    /// # Errors
    /// Why it cannot be known whether there is a call.
    async fn recover(
        &self,
        order: &Order,
        begun: Timestamp,
        wanted: bool,
        stop: &CancellationToken,
    ) -> Result<String, String> {
        let _ = (order, begun, wanted, stop);
        Err(format!("{} cannot be asked for it", self.describe()))
    }

    /// What its account may do, if it has one that everybody who dials with it shares.
    fn limits(&self) -> Option<&Limits> {
        None
    }

    /// How a call that it placed stands now; `None` if that cannot be told.
    async fn progress(&self, provider_id: &str) -> Option<Progress> {
        let _ = provider_id;
        None
    }

    /// Keeps a call that was placed and is wanted no more from being dialed, as far as it can; false if it cannot
    /// do that, or it did not work.
    async fn call_off(&self, provider_id: &str) -> bool {
        let _ = provider_id;
        false
    }
}
